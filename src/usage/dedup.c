/* dedup.c - each event once, whatever was sent how often.
 *
 * Arrivals of one key lie in one partition, since partitions are made by the key.  Within it a
 * table of keys finds the arrivals that share one: a slot of four bytes holds the place of the
 * first of a key, and the few that are not the first are listed beside it.  Three cases:
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
#include <stdlib.h>

enum { CHUNK_BITS = 11 };
static_assert(1 << CHUNK_BITS == DEDUP_CHUNK_MAX);

static const uint32_t EMPTY = 0xFFFFFFFFu;

/* The place of an arrival: its chunk, and where it is there. */
static uint32_t place_of(uint32_t chunk, uint32_t unit)
{
    return chunk << CHUNK_BITS | unit;
}

static const struct arrival *arrival_at(const struct arrival_chunk *chunks, uint32_t place)
{
    return &chunks[place >> CHUNK_BITS].arrivals[place & (DEDUP_CHUNK_MAX - 1)];
}

/* Room for so many arrivals: half as many slots more, all empty. */
static void make_room(struct dedup_memory *memory, uint32_t count)
{
    uint32_t slot_count = count + count / 2 + 64;
    if (slot_count > memory->slot_capacity) {
        memory->slot_capacity = slot_count + slot_count / 8;
        memory->slots = arena_alloc(memory->arena, memory->slot_capacity * sizeof *memory->slots);
    }
    memset(memory->slots, 0xFF, slot_count * sizeof *memory->slots);
    memory->slot_count = slot_count;
    memory->more_count = 0;
}

/* The upper bits of keys are equal within a partition. */
static uint32_t slot_of(const struct dedup_memory *memory, uint64_t key)
{
    return (uint32_t)((uint64_t)(uint32_t)key * memory->slot_count >> 32);
}

static void add_more(struct dedup_memory *memory, uint32_t first, uint32_t place)
{
    memory->more = arena_room(memory->arena, memory->more, memory->more_count,
                              &memory->more_capacity, sizeof *memory->more);
    memory->more[memory->more_count++] = (uint64_t)first << 32 | place;
}

/* Takes the arrival as the first of its key, or as one more of it; a withdrawal is always noted. */
static bool is_first_arrival(struct dedup_memory *memory, const struct arrival_chunk *chunks,
                             const struct arrival *arrival, uint32_t place)
{
    for (uint32_t at = slot_of(memory, arrival->key);;) {
        uint32_t first = memory->slots[at];
        if (first == EMPTY) {
            memory->slots[at] = place;
            if (arrival->is_withdrawal) {
                add_more(memory, place, place);
            }
            return true;
        }
        if (arrival_at(chunks, first)->key == arrival->key) {
            add_more(memory, first, place);
            return false;
        }
        at = at + 1 == memory->slot_count ? 0 : at + 1;
    }
}

static int compare_more(const void *a_item, const void *b_item)
{
    const uint64_t *a = a_item, *b = b_item;
    return (*a > *b) - (*a < *b);
}

/* A group of more than one, or of a withdrawal: its first arrival, and count more. */
static void report_group(struct dedup_memory *memory, const struct arrival_chunk *chunks,
                         const uint64_t *more, uint32_t count, struct dedup_accepted *accepted,
                         const struct dedup_sink *sink)
{
    uint32_t first_place = (uint32_t)(more[0] >> 32);
    const struct arrival *first = arrival_at(chunks, first_place);
    bool is_mixed = first->is_withdrawal;
    uint32_t other_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct arrival *other = arrival_at(chunks, (uint32_t)more[i]);
        is_mixed = is_mixed || other->print != first->print || other->is_withdrawal;
        other_count += (uint32_t)more[i] != first_place;
    }
    if (!is_mixed) {
        sink->duplicate(sink->context, first, other_count);
        return;
    }
    accepted->count--;
    accepted->print -= first->print;
    enum { SMALL = 16 };
    const struct arrival *small[SMALL];
    const struct arrival **group =
        other_count < SMALL ? small
                            : arena_alloc(memory->arena, (other_count + (size_t)1) * sizeof *group);
    uint32_t used = 0;
    group[used++] = first;
    for (uint32_t i = 0; i < count; i++) {
        if ((uint32_t)more[i] != first_place) {
            group[used++] = arrival_at(chunks, (uint32_t)more[i]);
        }
    }
    sink->undecided(sink->context, group, used);
}

struct dedup_accepted dedup_partition(struct dedup_memory *memory,
                                      const struct arrival_chunk *chunks, uint32_t chunk_count,
                                      const struct dedup_sink *sink)
{
    uint32_t count = 0;
    assert(chunk_count <= DEDUP_CHUNKS_MAX);
    for (uint32_t c = 0; c < chunk_count; c++) {
        assert(chunks[c].count <= DEDUP_CHUNK_MAX);
        count += chunks[c].count;
    }
    make_room(memory, count);
    struct dedup_accepted accepted = {0, 0};
    enum { AHEAD = 16 };
    for (uint32_t c = 0; c < chunk_count; c++) {
        const struct arrival *arrivals = chunks[c].arrivals;
        for (uint32_t i = 0; i < chunks[c].count; i++) {
            if (i + AHEAD < chunks[c].count) {
                __builtin_prefetch(&memory->slots[slot_of(memory, arrivals[i + AHEAD].key)]);
            }
            if (is_first_arrival(memory, chunks, &arrivals[i], place_of(c, i))) {
                accepted.count++;
                accepted.print += arrivals[i].print;
            }
        }
    }
    if (memory->more_count > 1) {
        qsort(memory->more, memory->more_count, sizeof *memory->more, compare_more);
    }
    const uint64_t *more = memory->more;
    for (uint32_t i = 0, end; i < memory->more_count; i = end) {
        for (end = i + 1; end < memory->more_count && more[end] >> 32 == more[i] >> 32; end++) {
        }
        report_group(memory, chunks, more + i, end - i, &accepted, sink);
    }
    return accepted;
}

size_t dedup_memory_bytes(const struct dedup_memory *memory)
{
    return memory->slot_capacity * sizeof *memory->slots +
           memory->more_capacity * sizeof *memory->more;
}
