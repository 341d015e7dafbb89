/* sort.c - see sort.h.  A bill has few of anything, and mostly in order. */
#include "base/sort.h"

#include <stdlib.h>

static int compare_keys(const void *a, const void *b)
{
    return sort_is_before(a, b) ? -1 : sort_is_before(b, a);
}

bool sort_keys(struct sort_key *keys, uint32_t count)
{
    enum { FEW = 24 };
    uint32_t rise = 1;
    while (rise < count && !sort_is_before(&keys[rise], &keys[rise - 1])) {
        rise++;
    }
    if (rise >= count) {
        return false;
    }
    if (count > FEW) {
        qsort(keys, count, sizeof *keys, compare_keys);
        return true;
    }
    for (uint32_t i = rise; i < count; i++) {
        struct sort_key key = keys[i];
        uint32_t at = i;
        for (; at > 0 && sort_is_before(&key, &keys[at - 1]); at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
    return true;
}
