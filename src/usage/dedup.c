/* dedup.c - each event once, whatever was sent how often.
 *
 * Records of one key lie in one partition, since partitions are made by the key.  Within it a
 * table of keys finds the records that share one.  Three cases:
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

static uint32_t count_events(const struct record_chunk *chunks, uint32_t chunk_count)
{
    uint32_t events = 0;
    for (uint32_t c = 0; c < chunk_count; c++) {
        const struct record *end = chunks[c].records + chunks[c].count;
        for (const struct record *at = chunks[c].records; at < end; at += 1 + at->tail_units) {
            events += at->flags & RECORD_FIRST;
        }
    }
    return events;
}

static void make_room(struct dedup_memory *memory, uint32_t event_count)
{
    if (event_count > memory->event_capacity) {
        uint32_t capacity = event_count + event_count / 4 + 64;
        memory->events = arena_calloc(memory->arena, capacity, sizeof *memory->events);
        memory->units = arena_calloc(memory->arena, capacity, sizeof *memory->units);
        memory->next = arena_calloc(memory->arena, capacity, sizeof *memory->next);
        memory->state = arena_calloc(memory->arena, capacity, sizeof *memory->state);
        memory->event_capacity = capacity;
    }
    uint32_t slot_count = 1024;
    while (slot_count < event_count * 2) {
        slot_count *= 2;
    }
    if (slot_count > memory->slot_count) {
        memory->slots = arena_alloc(memory->arena, slot_count * sizeof *memory->slots);
        memory->slot_count = slot_count;
    }
    memset(memory->slots, 0xFF, slot_count * sizeof *memory->slots);
}

/* Of a group, kept with its first event. */
enum { GROUP_MEMBER = 1, GROUP_MIXED = 2 };

/* Adds the event to the group of its key: a list that starts at the slot's event. */
static void group_event(struct dedup_memory *memory, uint32_t mask, uint32_t event)
{
    const struct record *record = memory->events[event];
    memory->next[event] = END;
    memory->state[event] = record->flags & RECORD_WITHDRAWAL ? GROUP_MIXED : 0;
    for (uint32_t at = (uint32_t)(record->key.high >> 8) & mask;; at = (at + 1) & mask) {
        uint32_t first = memory->slots[at];
        if (first == END) {
            memory->slots[at] = event;
            return;
        }
        const struct record *other = memory->events[first];
        if (hash_equal(other->key, record->key)) {
            if (!hash_equal(other->print, record->print) || memory->state[event]) {
                memory->state[first] |= GROUP_MIXED;
            }
            memory->next[event] = memory->next[first];
            memory->next[first] = event;
            memory->state[event] = GROUP_MEMBER;
            return;
        }
    }
}

static void report_undecided(struct dedup_memory *memory, uint32_t first,
                             const struct dedup_sink *sink)
{
    enum { SMALL = 16 };
    const struct record *small[SMALL];
    uint32_t small_units[SMALL];
    uint32_t count = 0;
    for (uint32_t e = first; e != END; e = memory->next[e]) {
        count++;
    }
    bool is_small = count <= SMALL;
    const struct record **group =
        is_small ? small : arena_calloc(memory->arena, count, sizeof *group);
    uint32_t *units = is_small ? small_units : arena_calloc(memory->arena, count, sizeof *units);
    count = 0;
    for (uint32_t e = first; e != END; e = memory->next[e]) {
        group[count] = memory->events[e];
        units[count++] = memory->units[e];
    }
    sink->undecided(sink->context, group, units, count);
}

void dedup_partition(struct dedup_memory *memory, const struct record_chunk *chunks,
                     uint32_t chunk_count, const struct dedup_sink *sink)
{
    uint32_t event_count = count_events(chunks, chunk_count);
    make_room(memory, event_count);
    uint32_t mask = 1024;
    while (mask < event_count * 2) {
        mask *= 2;
    }
    mask -= 1;

    uint32_t event = 0;
    for (uint32_t c = 0; c < chunk_count; c++) {
        const struct record *end = chunks[c].records + chunks[c].count;
        for (const struct record *at = chunks[c].records; at < end; at += 1 + at->tail_units) {
            if (at->flags & RECORD_FIRST) {
                memory->events[event] = at;
                memory->units[event++] = 0;
            }
            memory->units[event - 1] += 1u + at->tail_units;
        }
    }
    assert(event == event_count);
    enum { AHEAD = 16 };
    for (event = 0; event < event_count; event++) {
        if (event + AHEAD < event_count) {
            uint32_t at = (uint32_t)(memory->events[event + AHEAD]->key.high >> 8) & mask;
            __builtin_prefetch(&memory->slots[at]);
        }
        if (event + 2 * AHEAD < event_count) {
            __builtin_prefetch(memory->events[event + 2 * AHEAD]);
        }
        group_event(memory, mask, event);
    }

    event = 0;
    for (uint32_t c = 0; c < chunk_count; c++) {
        const struct record *end = chunks[c].records + chunks[c].count;
        for (const struct record *at = chunks[c].records; at < end;) {
            uint32_t units = memory->units[event];
            if (event + AHEAD < event_count) {
                __builtin_prefetch(memory->events[event + AHEAD]);
            }
            if (memory->state[event] & GROUP_MIXED) {
                report_undecided(memory, event, sink);
            } else if (!(memory->state[event] & GROUP_MEMBER)) {
                sink->accepted(sink->context, at, units, false);
                uint64_t copies = 0;
                for (uint32_t e = memory->next[event]; e != END; e = memory->next[e]) {
                    copies++;
                }
                if (copies > 0) {
                    sink->duplicate(sink->context, at, copies);
                }
            }
            at += units;
            event++;
        }
    }
}
