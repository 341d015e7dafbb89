/* sort.c - see sort.h.  A bill has few of anything, and mostly in order: a merge sort that only
 * looks at what is in order.
 */
#include "base/sort.h"

#include <string.h>

enum { FEW = 16 };

static void insert_keys(struct sort_key *keys, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct sort_key key = keys[i];
        uint32_t at = i;
        for (; at > 0 && sort_is_before(&key, &keys[at - 1]); at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
}

/* spare has room for half of them. */
static void merge_sort(struct sort_key *keys, uint32_t count, struct sort_key *spare)
{
    if (count <= FEW) {
        insert_keys(keys, count);
        return;
    }
    uint32_t half = count / 2;
    merge_sort(keys, half, spare);
    merge_sort(keys + half, count - half, spare);
    if (!sort_is_before(&keys[half], &keys[half - 1])) {
        return;
    }
    memcpy(spare, keys, half * sizeof *keys);
    for (uint32_t to = 0, low = 0, high = half; low < half; to++) {
        bool is_high = high < count && sort_is_before(&keys[high], &spare[low]);
        keys[to] = is_high ? keys[high++] : spare[low++];
    }
}

bool sort_keys(struct arena *arena, struct sort_key *keys, uint32_t count)
{
    uint32_t rise = 1;
    while (rise < count && !sort_is_before(&keys[rise], &keys[rise - 1])) {
        rise++;
    }
    if (rise >= count) {
        return false;
    }
    struct arena_mark mark = arena_mark(arena);
    struct sort_key *spare = count <= FEW ? NULL : arena_alloc(arena, (count / 2) * sizeof *spare);
    merge_sort(keys, count, spare);
    arena_rewind(arena, mark);
    return true;
}
