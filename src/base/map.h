/* map.h - text -> index: the one hash table of the pure rooms.
 *
 * Open addressing with stored hashes of 32 bits; keys are not copied.  Iteration is not offered:
 * order of a hash table must never reach a result.  Grows in its arena.  The hash is seeded with
 * the map's place in memory, so that nobody can prepare keys that fall together.
 */
#ifndef FARTHING_BASE_MAP_H
#define FARTHING_BASE_MAP_H

#include <stdint.h>

#include "base/text.h"

enum { MAP_NONE = 0xFFFFFFFFu };

struct map_slot {
    struct text key;
    uint32_t hash;
    uint32_t value; /* MAP_NONE: empty slot */
};

struct map {
    struct arena *arena;
    struct map_slot *slots;
    uint64_t seed;
    uint32_t mask; /* number of slots less one */
    uint32_t count;
};

void map_init(struct map *map, struct arena *arena, uint32_t count_expected);
/* The value of key, or MAP_NONE. */
uint32_t map_find(const struct map *map, struct text key);
/* Puts value (not MAP_NONE) unless the key is there; returns the value that is there now. */
uint32_t map_put(struct map *map, struct text key, uint32_t value);
/* Both with one search: the slot of key.  When its value is MAP_NONE, the key was not there, and
 * the caller gives it a value, and a copy of the key if key goes, before the map's next use. */
struct map_slot *map_take(struct map *map, struct text key);

/* The same in steps, for who has many keys at hand: while one key's memory comes, others are seen
 * to.  First its slot is asked for, then the key that is there. */
uint32_t map_hash(const struct map *map, struct text key);
static inline __attribute__((always_inline)) void map_fetch_slot(const struct map *map,
                                                                 uint32_t hash)
{
    __builtin_prefetch(&map->slots[hash & map->mask]);
}
static inline __attribute__((always_inline)) void map_fetch_key(const struct map *map,
                                                                uint32_t hash)
{
    const struct map_slot *slot = &map->slots[hash & map->mask];
    __builtin_prefetch(slot->value == MAP_NONE ? (const char *)slot : slot->key.at);
}
struct map_slot *map_take_hashed(struct map *map, uint32_t hash, struct text key);

#endif
