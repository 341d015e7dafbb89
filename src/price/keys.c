/* keys.c - see keys.h.  Open addressing, never more than a quarter full. */
#include "price/keys.h"

#include "base/nofloat.h"

uint32_t keys_find(const struct keys *keys, struct hash128 key)
{
    if (!keys->slots) {
        return NONE;
    }
    for (uint32_t at = (uint32_t)key.low & keys->mask; keys->slots[at] != NONE;
         at = (at + 1) & keys->mask) {
        const struct hash128 *other = &keys->keys[keys->slots[at]];
        if (other->low == key.low && other->high == key.high) {
            return keys->slots[at];
        }
    }
    return NONE;
}

static void keys_place(struct keys *keys, uint32_t index)
{
    uint32_t at = (uint32_t)keys->keys[index].low & keys->mask;
    while (keys->slots[at] != NONE) {
        at = (at + 1) & keys->mask;
    }
    keys->slots[at] = index;
}

uint32_t keys_add(struct arena *arena, struct keys *keys, struct hash128 key, bool *is_new)
{
    uint32_t found = keys_find(keys, key);
    *is_new = found == NONE;
    if (found != NONE) {
        return found;
    }
    if (keys->count == keys->capacity) {
        uint32_t more = keys->capacity ? keys->capacity * 2 : 64;
        keys->keys = arena_grow(arena, keys->keys, keys->count, more, sizeof *keys->keys);
        keys->capacity = more;
        size_t slot_count = (size_t)4 * more;
        keys->mask = (uint32_t)(slot_count - 1);
        keys->slots = arena_alloc(arena, slot_count * sizeof *keys->slots);
        memset(keys->slots, 0xFF, slot_count * sizeof *keys->slots);
        for (uint32_t i = 0; i < keys->count; i++) {
            keys_place(keys, i);
        }
    }
    keys->keys[keys->count] = key;
    keys_place(keys, keys->count);
    return keys->count++;
}

void keys_clear(struct keys *keys)
{
    keys->count = 0;
    if (keys->slots) {
        memset(keys->slots, 0xFF, ((size_t)keys->mask + 1) * sizeof *keys->slots);
    }
}
