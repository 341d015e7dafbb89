/* map.c - see map.h.  Linear probing in a power of two of slots, at most three quarters full; the
 * stored hashes make growing cheap and a comparison of keys rare.
 */
#include "base/map.h"

#include <assert.h>

#include "base/hash_inline.h"

enum { SLOTS_MIN = 8 };

static void take_slots(struct map *map, uint64_t slot_count)
{
    assert(slot_count <= UINT64_C(1) << 31);
    map->slots = arena_alloc(map->arena, (size_t)slot_count * sizeof *map->slots);
    map->mask = (uint32_t)(slot_count - 1);
    for (uint64_t i = 0; i < slot_count; i++) {
        map->slots[i].value = MAP_NONE;
    }
}

void map_init(struct map *map, struct arena *arena, uint32_t count_expected)
{
    uint64_t slot_count = SLOTS_MIN;
    while (slot_count / 4 * 3 < count_expected) {
        slot_count *= 2;
    }
    *map = (struct map){.arena = arena};
    take_slots(map, slot_count);
    /* Where memory lies decides how long a search takes, and nothing else. */
    const void *places[] = {map, arena, map->slots};
    map->seed = hash_print64(places, sizeof places, 0);
}

static inline uint32_t hash_of(const struct map *map, struct text key)
{
    return (uint32_t)hash_print64_inline(key.at, key.size, map->seed);
}

/* The slot of key, or the empty one where it would be. */
static inline struct map_slot *find_slot(const struct map *map, uint32_t hash, struct text key)
{
    for (uint32_t i = hash & map->mask;; i = (i + 1) & map->mask) {
        struct map_slot *slot = &map->slots[i];
        if (slot->value == MAP_NONE || (slot->hash == hash && text_equal(slot->key, key))) {
            return slot;
        }
    }
}

static void grow(struct map *map)
{
    struct map_slot *old = map->slots;
    uint64_t old_count = (uint64_t)map->mask + 1;
    take_slots(map, old_count * 2);
    for (uint64_t i = 0; i < old_count; i++) {
        if (old[i].value != MAP_NONE) {
            uint32_t at = old[i].hash & map->mask;
            while (map->slots[at].value != MAP_NONE) {
                at = (at + 1) & map->mask;
            }
            map->slots[at] = old[i];
        }
    }
}

uint32_t map_find(const struct map *map, struct text key)
{
    return find_slot(map, hash_of(map, key), key)->value;
}

uint32_t map_hash(const struct map *map, struct text key)
{
    return hash_of(map, key);
}

static inline struct map_slot *take(struct map *map, uint32_t hash, struct text key)
{
    struct map_slot *slot = find_slot(map, hash, key);
    if (slot->value != MAP_NONE) {
        return slot;
    }
    if (((uint64_t)map->count + 1) * 4 > ((uint64_t)map->mask + 1) * 3) {
        grow(map);
        slot = find_slot(map, hash, key);
    }
    slot->hash = hash;
    slot->key = key;
    map->count++;
    return slot;
}

struct map_slot *map_take(struct map *map, struct text key)
{
    return take(map, hash_of(map, key), key);
}

struct map_slot *map_take_hashed(struct map *map, uint32_t hash, struct text key)
{
    return take(map, hash, key);
}

uint32_t map_put(struct map *map, struct text key, uint32_t value)
{
    assert(value != MAP_NONE);
    struct map_slot *slot = map_take(map, key);
    if (slot->value == MAP_NONE) {
        slot->value = value;
    }
    return slot->value;
}
