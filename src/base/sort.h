/* sort.h - sorting what two numbers tell apart. */
#ifndef FARTHING_BASE_SORT_H
#define FARTHING_BASE_SORT_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
