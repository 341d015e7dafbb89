/* partition.h - the records of a range of payers, judged and grouped by payer.  Private to this
 * room.
 *
 * What came through the spools is read chunk by chunk: twice into memory, so that each payer's
 * records lie one behind the other; or, when there are too many, once into a file that is sorted.
 */
#ifndef FARTHING_ENGINE_PARTITION_H
#define FARTHING_ENGINE_PARTITION_H

#include "engine/run.h"
#include "engine/texts.h"

/* Records one behind the other, with their tails: in memory, or a part of a file. */
struct records {
    const struct record *at, *end;
    struct sorted *sorted; /* NULL: memory */
    uint64_t first, stop;  /* places of the file */
    uint64_t unit_count;   /* with copies of what is one in the file */
};

/* The records of one partition, grouped by payer so that each group is read in order, from memory
 * that is fetched ahead: first those of no account, then those of payer low, low + 1, ... */
struct partition {
    uint32_t low, high; /* payers */
    struct record *units;
    uint32_t *first, *end; /* of each group: unit */
    struct sorted *sorted; /* when they are too many: the groups are there, and each is in order */
    size_t shelf_bytes;    /* of what threads may take for records, counted in the run */
    /* While it is opened, in scratch memory: */
    uint32_t *group_at;    /* of each record as it comes */
    uint32_t record_count; /* of those */
    void *room;            /* for a chunk */
};

/* The first payer of a partition; the number of accounts behind the last. */
uint32_t partition_first_payer(const struct run *run, uint32_t p);

/* Reads the records of the partition of the texts, carries out the verdicts on its events and
 * groups what stays; alone, when there is no memory otherwise.  ERR_LIMIT: nor is there then. */
enum status partition_open(struct worker *worker, struct texts *texts, struct partition *partition);
/* Gives its memory back. */
void partition_close(struct worker *worker, struct partition *partition);
/* Adds the records of some payers of a partition that is to be opened later, as they are judged:
 * nothing is counted, and the partition is as it was. */
enum status partition_copy(struct worker *worker, uint32_t p, const bool *is_wanted,
                           struct sorted *to);
/* Says in the worker's error what to do: ERR_LIMIT. */
enum status partition_fail_memory(struct worker *worker);
/* Most accounts of a large provider have no usage in a month: each is asked, and none may cost. */
struct records partition_sorted_group(const struct partition *partition, uint32_t index);
static inline struct records partition_group(const struct partition *partition, uint32_t index)
{
    return partition->sorted
               ? partition_sorted_group(partition, index)
               : (struct records){.at = partition->units + partition->first[index],
                                  .end = partition->units + partition->end[index],
                                  .unit_count = partition->end[index] - partition->first[index]};
}

/* Of a record that has an account. */
uint32_t record_payer(const struct run *run, const struct record *record);

/* When its slot begins. */
static inline instant record_instant(const struct run *run, const struct record *record)
{
    return run->period.from + (instant)record->slot_s * NS_PER_SECOND;
}

/* False when all records of a payer belong to its one cut. */
static inline bool run_divides(const struct run *run)
{
    return run->has_cuts || run->catalog->has_thresholds;
}
/* Else each record belongs to one; an exclusion whose time is in none goes with the first. */
bool record_is_of_cut(const struct run *run, uint32_t payer, const struct record *record,
                      struct period cut, bool is_first);

static inline bool records_any(const struct records *records)
{
    return records->at < records->end || records->first < records->stop;
}

static inline const struct record *record_next(const struct record *at)
{
    return at + 1 + at->tail_units;
}

/* Reads records from the first on. */
struct cursor {
    const struct record *at, *end;
    const struct record *first; /* of those in memory */
    uint64_t first_place;
    const struct records *from;
    uint64_t next;
    enum status status;
    struct error *err;
};

/* place: of a file; else from the first on. */
static inline struct cursor cursor_from(const struct records *records, uint64_t place,
                                        struct error *err)
{
    return (struct cursor){records->at, records->end, NULL, 0, records, place, OK, err};
}

static inline struct cursor cursor_at(const struct records *records, struct error *err)
{
    return cursor_from(records, records->first, err);
}

/* Of the record of a file that was read last. */
static inline uint64_t cursor_place(const struct cursor *cursor, const struct record *record)
{
    return cursor->first_place + (uint64_t)(record - cursor->first);
}

/* False behind the last record, and when the file cannot be read. */
bool cursor_fill(struct cursor *cursor);

/* NULL behind the last, and when the file cannot be read: status. */
static inline const struct record *cursor_next(struct cursor *cursor)
{
    if (cursor->at >= cursor->end && !cursor_fill(cursor)) {
        return NULL;
    }
    const struct record *record = cursor->at;
    cursor->at = record_next(record);
    return record;
}

#endif
