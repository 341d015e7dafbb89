/* sort.h - sorting what two numbers tell apart, and finding what one does. */
#ifndef FARTHING_BASE_SORT_H
#define FARTHING_BASE_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

struct sort_key {
    uint64_t high, low; /* with the index of what it is of in the last bits, no two are equal */
};

static inline bool sort_is_before(const struct sort_key *a, const struct sort_key *b)
{
    return a->high != b->high ? a->high < b->high : a->low < b->low;
}

/* Ascending; false when they were before.  The arena is as it was afterwards. */
bool sort_keys(struct arena *arena, struct sort_key *keys, uint32_t count);

/* Of items in the order of a number, a uint32_t at number_at in each: the first that has this
 * number or a greater one; count: none has. */
static inline uint32_t sort_first(const void *items, uint32_t count, size_t item_bytes,
                                  size_t number_at, uint32_t number)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, found;
        memcpy(&found, (const char *)items + middle * item_bytes + number_at, sizeof found);
        if (found < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

#endif
