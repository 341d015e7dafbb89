/* ingest.h - reading in three files.  Private to them; run.h has what others call.
 *
 *     ingest.c            blocks of lines --decode--> events, dead letters
 *     ingest_event.c      an event --meter, account, slot--> its arrival and its record, by way of
 *                         a ring; withdrawals, and what comes too late
 *     ingest_general.c    the general way: events of many records, or of many payers
 */
#ifndef FARTHING_ENGINE_INGEST_H
#define FARTHING_ENGINE_INGEST_H

#include <assert.h>

#include "engine/run.h"

/* In place of a partition: nobody is billed for the account then, so that there is no record. */
enum { NOWHERE = 0xFFFF };
static_assert((int)SPOOL_PARTITIONS_MAX <= (int)NOWHERE);

enum { SERIES_CACHE = 16384, PLAIN_CACHE = 2048 };

/* A series that is a meter and a SKU, no more. */
struct plain_series {
    uint32_t meter, sku, number;
};

enum { PENDING_METERS = 4 };

/* A simple event between its stages: a record of each meter that it matches, with a tail when its
 * value is wide. */
struct pending {
    struct arrival arrival;
    struct hash128 subject;
    uint32_t *of_block; /* where the account is kept for others of its block; NULL */
    instant at;
    bool is_found;                   /* the account is known */
    uint8_t count, units;            /* of records; of what they and their tails are */
    uint8_t grains[PENDING_METERS];  /* of the meters */
    uint32_t meters[PENDING_METERS]; /* of the records */
    struct record records[2 * PENDING_METERS];
};

/* ---- ingest_event.c -------------------------------------------------------------------------- */

/* The worker's ring, and what it remembers of series. */
void ingest_prepare(struct worker *worker);
/* Room for what is found of the texts of a segment's block, which is open; before its events. */
void ingest_segment(struct worker *worker);
/* Takes an event of the block at hand, as struct sink has it. */
void ingest_event(void *context, const struct event *event, size_t record_offset, struct text);
/* Finishes those that wait in the ring. */
void ingest_drain(struct worker *worker);

/* Series or exclusion, and the value when 64 bits hold its mantissa. */
void record_set_measure(struct worker *worker, struct record *record, uint32_t meter,
                        const struct measure *measure);
/* Puts a value that they do not hold into the tail behind the record, where nothing else is. */
void record_set_wide(struct record *record, struct dec value, instant at);
/* Of an event that no meter takes. */
struct record record_of_no_meter(const struct event *event);

/* The slot of an hour: its start, or the period's in the first. */
static inline uint32_t hour_slot(const struct run *run, instant at)
{
    const uint64_t hour = (uint64_t)(at - run->first_hour) / (uint64_t)NS_PER_HOUR;
    return hour == 0 ? 0 : (uint32_t)hour * 3600 - run->into_hour_s;
}

/* What is at that time is in the slot of its hour, and goes where steady_partition says. */
static inline bool has_steady_slot(const struct run *run, uint32_t account, instant at)
{
    return run->steady_partition[account] != UNSTEADY && period_has(run->period, at);
}

static inline uint32_t place_steady(const struct run *run, struct record *record, uint32_t account,
                                    enum grain grain, instant at)
{
    record->slot_s = grain == GRAIN_MONTH ? 0 : hour_slot(run, at);
    return run->steady_partition[account];
}

/* record_place where the account alone does not tell. */
uint32_t record_place_other(const struct run *run, struct record *record, uint32_t account,
                            uint32_t meter, enum grain grain, instant at);

/* Sets account and slot of a record whose meter is done; returns the partition of its book.
 * NO_METER goes before NO_ACCOUNT before OUT_OF_PERIOD before what the meter found. */
static inline uint32_t record_place(struct worker *worker, struct record *record, uint32_t account,
                                    uint32_t meter, enum grain grain, instant at)
{
    const struct run *run = worker->run;
    record->account = account;
    return account != NONE && run->accounts->view_count == 0 && has_steady_slot(run, account, at)
               ? place_steady(run, record, account, grain, at)
               : record_place_other(run, record, account, meter, grain, at);
}

/* Sends it to the partition of its key. */
static inline void arrival_emit(struct worker *worker, const struct arrival *arrival)
{
    uint32_t shift = worker->run->key_shift;
    uint32_t partition = shift == 64 ? 0 : (uint32_t)(arrival->key >> shift);
    struct arrival *to = spool_add(worker->read.arrivals, partition, 1);
    if (to) {
        *to = *arrival;
    } else {
        run_stop(worker->run); /* spool_flush tells why */
    }
    worker->read.block_events.count++;
    worker->read.block_events.print += arrival->print;
}

/* Sends the records of an event to a partition of the books, and counts them before: one side of
 * conservation. */
void records_emit(struct worker *worker, uint32_t partition, const struct record *records,
                  uint32_t units);

/* ---- ingest_general.c ------------------------------------------------------------------------ */

/* An event with any number of meters, wide values, tails, several payers. */
void ingest_general(struct worker *worker, const struct event *event, struct arrival *arrival,
                    const uint32_t *meters, uint32_t count);
/* One that has waited in the ring: it has several records. */
void ingest_finish_several(struct worker *worker, struct pending *pending);
/* One of an account that views have: each of them has its records, and who pays otherwise. */
void ingest_finish_copies(struct worker *worker, struct pending *pending);

#endif
