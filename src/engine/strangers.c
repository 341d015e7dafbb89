/* strangers.c - the first names that are no account, or no SKU. */
#include "engine/strangers.h"

#include <string.h>

/* Of a name that is cut no character is left in parts. */
static void set_name(struct stranger *stranger, struct text name)
{
    size_t size = name.size < STRANGER_NAME_BYTES ? name.size : STRANGER_NAME_BYTES - 1;
    while (size < name.size && size > 0 && ((unsigned char)name.at[size] & 0xC0) == 0x80) {
        size--;
    }
    memcpy(stranger->name, name.at, size);
    stranger->name[size] = '\0';
}

__attribute__((cold)) void strangers_note(struct strangers *known, struct hash128 hash,
                                          uint64_t position, struct text name)
{
    struct stranger *items = known->items;
    uint32_t at = 0, count = known->count;
    while (at < count && hash_compare(items[at].hash, hash) != 0) {
        at++;
    }
    if (at == count && count < STRANGERS_MOST) {
        known->count++;
    } else if (at == count) {
        at--; /* the last of them gives way, if it comes later */
    }
    if (at < count && items[at].position <= position) {
        return;
    }
    for (; at > 0 && items[at - 1].position > position; at--) {
        items[at] = items[at - 1];
    }
    items[at].hash = hash;
    items[at].position = position;
    set_name(&items[at], name);
}

void strangers_merge(struct strangers *all, const struct strangers *more)
{
    for (uint32_t i = 0; i < more->count; i++) {
        const struct stranger *item = &more->items[i];
        strangers_note(all, item->hash, item->position, text_of(item->name));
    }
}
