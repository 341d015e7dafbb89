/* dedup.c - each event once, whatever was sent how often.
 *
 * Arrivals of one key lie in one partition, since partitions are made by the key.  Within it a
 * table of keys finds the arrivals that share one.  Three cases:
 *
 *     alone, or all with the same content      accepted once, the rest are duplicates
 *     different contents under one hash        undecided: a conflict, or two keys with equal hashes
 *     a withdrawal among them                  undecided: the bytes say whose
 *
 * The undecided are rare; the engine reads their bytes again and decides by full keys
 * (engine/accept.c), so neither a collision of hashes nor an attack on them can bill wrongly.
 */
#include "usage/usage.h"

#include <assert.h>

static const uint32_t END = 0xFFFFFFFFu;

/* Room for so many arrivals; returns the mask of the table, which is empty. */
static uint32_t make_room(struct dedup_memory *memory, uint32_t count)
{
    if (count > memory->capacity) {
        uint32_t capacity = count + count / 4 + 64;
        memory->arrivals = arena_calloc(memory->arena, capacity, sizeof *memory->arrivals);
        memory->next = arena_calloc(memory->arena, capacity, sizeof *memory->next);
        memory->state = arena_calloc(memory->arena, capacity, sizeof *memory->state);
        memory->capacity = capacity;
    }
    uint32_t slot_count = 1024;
    while (slot_count < count * 2) {
        slot_count *= 2;
    }
    if (slot_count > memory->slot_count) {
        memory->slots = arena_alloc(memory->arena, slot_count * sizeof *memory->slots);
        memory->slot_count = slot_count;
    }
    memset(memory->slots, 0xFF, slot_count * sizeof *memory->slots);
    return slot_count - 1;
}

/* Of a group, kept with its first arrival. */
enum { GROUP_MEMBER = 1, GROUP_MIXED = 2 };

/* Adds the arrival to the group of its key: a list that starts at the slot's arrival. */
static void group_arrival(struct dedup_memory *memory, uint32_t mask, uint32_t index)
{
    const struct arrival *arrival = memory->arrivals[index];
    memory->next[index] = END;
    memory->state[index] = arrival->is_withdrawal ? GROUP_MIXED : 0;
    for (uint32_t at = (uint32_t)arrival->key & mask;; at = (at + 1) & mask) {
        uint32_t first = memory->slots[at];
        if (first == END) {
            memory->slots[at] = index;
            return;
        }
        const struct arrival *other = memory->arrivals[first];
        if (other->key == arrival->key) {
            if (other->print != arrival->print || arrival->is_withdrawal) {
                memory->state[first] |= GROUP_MIXED;
            }
            memory->next[index] = memory->next[first];
            memory->next[first] = index;
            memory->state[index] = GROUP_MEMBER;
            return;
        }
    }
}

static uint32_t count_group(const struct dedup_memory *memory, uint32_t first)
{
    uint32_t count = 0;
    for (uint32_t i = first; i != END; i = memory->next[i]) {
        count++;
    }
    return count;
}

static void report_undecided(struct dedup_memory *memory, uint32_t first,
                             const struct dedup_sink *sink)
{
    enum { SMALL = 16 };
    const struct arrival *small[SMALL];
    uint32_t count = count_group(memory, first);
    const struct arrival **group =
        count <= SMALL ? small : arena_calloc(memory->arena, count, sizeof *group);
    count = 0;
    for (uint32_t i = first; i != END; i = memory->next[i]) {
        group[count++] = memory->arrivals[i];
    }
    sink->undecided(sink->context, group, count);
}

struct dedup_accepted dedup_partition(struct dedup_memory *memory,
                                      const struct arrival_chunk *chunks, uint32_t chunk_count,
                                      const struct dedup_sink *sink)
{
    uint32_t count = 0;
    for (uint32_t c = 0; c < chunk_count; c++) {
        count += chunks[c].count;
    }
    uint32_t mask = make_room(memory, count);
    uint32_t index = 0;
    for (uint32_t c = 0; c < chunk_count; c++) {
        for (uint32_t i = 0; i < chunks[c].count; i++) {
            memory->arrivals[index++] = &chunks[c].arrivals[i];
        }
    }
    assert(index == count);
    enum { AHEAD = 16 };
    for (index = 0; index < count; index++) {
        if (index + AHEAD < count) {
            __builtin_prefetch(&memory->slots[memory->arrivals[index + AHEAD]->key & mask]);
        }
        if (index + 2 * AHEAD < count) {
            __builtin_prefetch(memory->arrivals[index + 2 * AHEAD]);
        }
        group_arrival(memory, mask, index);
    }
    struct dedup_accepted accepted = {0, 0};
    for (index = 0; index < count; index++) {
        if (memory->state[index] & GROUP_MIXED) {
            report_undecided(memory, index, sink);
        } else if (!(memory->state[index] & GROUP_MEMBER)) {
            accepted.count++;
            accepted.print += memory->arrivals[index]->print;
            if (memory->next[index] != END) {
                sink->duplicate(sink->context, memory->arrivals[index],
                                count_group(memory, index) - 1);
            }
        }
    }
    return accepted;
}
