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
};

/* Sorts pointers to records. The arena is as it was afterwards. */
void records_sort(struct arena *arena, const struct record **records, uint32_t count,
                  const struct record_order *order);

/* Records of several groups on disk, each group in order. */
struct sorted;

/* Memory for runs, room_bytes, is taken at once. */
enum status sorted_new(struct env *env, struct arena *arena, const char *folder, size_t room_bytes,
                       uint32_t groups, const struct record_order *order, struct sorted **sorted,
                       struct error *err);
/* Copies a record with its tail. Takes no memory. */
enum status sorted_add(struct sorted *sorted, uint32_t group, const struct record *record,
                       struct error *err);
/* After the last one. group_of tells a record's group again.  The arena must still be as sorted_new
 * left it, and then has given back what the runs took. */
enum status sorted_merge(struct sorted *sorted,
                         uint32_t (*group_of)(const void *context, const struct record *record),
                         const void *context, struct error *err);
void sorted_free(struct sorted *sorted); /* its file; NULL is fine */

/* The place of a group, in units of the file. */
void sorted_group(const struct sorted *sorted, uint32_t group, uint64_t *first, uint64_t *end);
/* Whole records from unit at on, at most to unit end, into room of SORTED_ROOM_UNITS. */
enum { SORTED_ROOM_UNITS = 2048 };
enum status sorted_read(const struct sorted *sorted, uint64_t at, uint64_t end, struct record *room,
                        uint32_t *units, struct error *err);

#endif
