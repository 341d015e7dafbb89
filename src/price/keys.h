/* keys.h - numbers for 128-bit keys, which are hashes of what they stand for: from 0, in the order
 * in which they came. */
#ifndef FARTHING_PRICE_KEYS_H
#define FARTHING_PRICE_KEYS_H

#include "base/arena.h"
#include "base/hash.h"
#include "catalog/catalog.h"

/* Empty when it is all zero; what it grows by is the arena's. */
struct keys {
    struct hash128 *keys;
    uint32_t *slots; /* index in keys; NONE: free */
    uint32_t count, capacity, mask;
};

/* NONE: it is not there. */
uint32_t keys_find(const struct keys *keys, struct hash128 key);
/* *is_new: it was not there. */
uint32_t keys_add(struct arena *arena, struct keys *keys, struct hash128 key, bool *is_new);
/* None is left; the room is. */
void keys_clear(struct keys *keys);

#endif
