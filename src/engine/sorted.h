/* sorted.h - records in the order of record_compare: in memory, or more of them than memory holds.
 *
 *     sorted_add ... (runs of what fits) sorted_merge (one file, in order) --> sorted_read
 *
 * Private to this room.
 */
#ifndef FARTHING_ENGINE_SORTED_H
#define FARTHING_ENGINE_SORTED_H

#include "base/env.h"
#include "usage/usage.h"

struct record_order {
    const struct series_table *series;
    const struct catalog *catalog;
    bool is_loose; /* none is a sample, and those of one group may stand in any order */
};

/* Sorts pointers to records. The arena is as it was afterwards. */
void records_sort(struct arena *arena, const struct record **records, uint32_t count,
                  const struct record_order *order);

/* Records of several groups on disk, each group in order. Samples in them stand for equal ones, and
 * a total of each row says what they count (usage.h: enum record_form). */
struct sorted;

/* Tells a record's group. */
typedef uint32_t sorted_group_of(const void *context, const struct record *record);

/* Memory for runs, room_bytes, is taken at once. */
void sorted_new(struct env *env, struct arena *arena, const char *folder, size_t room_bytes,
                uint32_t groups, const struct record_order *order, sorted_group_of *group_of,
                const void *context, struct sorted **sorted);
/* Copies a record with its tail. Takes no memory. */
enum status sorted_add(struct sorted *sorted, const struct record *record, struct error *err);
/* After the last one.  The arena must still be as sorted_new left it, and is then rewound to what
 * reading needs. */
enum status sorted_merge(struct sorted *sorted, struct error *err);
void sorted_free(struct sorted *sorted); /* its files; NULL is fine */

/* The places where a group begins and ends: equal when it is empty. */
void sorted_group(const struct sorted *sorted, uint32_t group, uint64_t *first, uint64_t *end);
/* So many were added to it, with their tails. */
uint64_t sorted_units(const struct sorted *sorted, uint32_t group);
/* Some records from a place on, at most to end; they stay until the next call. *at moves on. */
enum status sorted_read(struct sorted *sorted, uint64_t *at, uint64_t end,
                        const struct record **first, const struct record **last, struct error *err);

#endif
