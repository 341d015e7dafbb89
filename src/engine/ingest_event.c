/* ingest_event.c - an event to its arrival, spooled by key, and its record, spooled by payer.
 *
 * The way of an event: meter, then the account.  Looking an account up costs two cache misses in a
 * row (slot, payer), which is as much as all the rest; so simple events wait in a ring while what
 * they will need is fetched, and are finished sixteen events later.
 */
#include "engine/ingest.h"

#include "decode/segment.h"
#include "engine/load.h"
#include "engine/restatement.h"
#include "engine/strangers.h"

enum { RING = 32, STEP = 8 };

/* In place of the account of a block's subject that was not looked up yet; NONE: it is none. */
static const uint32_t UNKNOWN = NONE - 1;

void ingest_prepare(struct worker *worker)
{
    worker->read.pending = arena_calloc(&worker->arena, RING, sizeof *worker->read.pending);
    worker->read.plain_cache =
        arena_alloc(&worker->arena, PLAIN_CACHE * sizeof *worker->read.plain_cache);
    worker->read.series_cache =
        arena_alloc(&worker->arena, SERIES_CACHE * sizeof *worker->read.series_cache);
    for (uint32_t i = 0; i < PLAIN_CACHE; i++) {
        worker->read.plain_cache[i].number = NONE;
    }
    for (uint32_t i = 0; i < SERIES_CACHE; i++) {
        worker->read.series_cache[i] = NONE;
    }
}

/* The items when count of them have room there, else room for twice as many: what they held is not
 * kept. */
static void *make_room(struct worker *worker, void *items, uint32_t count, uint32_t *capacity,
                       size_t size)
{
    if (count <= *capacity) {
        return items;
    }
    *capacity = count * 2;
    return arena_alloc(&worker->read.block_arena, *capacity * size);
}

void ingest_segment(struct worker *worker)
{
    const struct segment_reader *reader = worker->read.segments;
    uint32_t sources = segment_source_count(reader) + 1;
    uint32_t subjects = segment_subject_count(reader) + 1;
    uint32_t tuples = segment_tuple_count(reader) + 1;
    worker->read.block_sources =
        make_room(worker, worker->read.block_sources, sources, &worker->read.block_source_capacity,
                  sizeof *worker->read.block_sources);
    worker->read.block_accounts =
        make_room(worker, worker->read.block_accounts, subjects,
                  &worker->read.block_account_capacity, sizeof *worker->read.block_accounts);
    worker->read.block_tuples =
        make_room(worker, worker->read.block_tuples, tuples, &worker->read.block_tuple_capacity,
                  sizeof *worker->read.block_tuples);
    memset(worker->read.block_sources, 0, sources * sizeof *worker->read.block_sources);
    memset(worker->read.block_tuples, 0, tuples * sizeof *worker->read.block_tuples);
    for (uint32_t i = 0; i < subjects; i++) {
        worker->read.block_accounts[i] = UNKNOWN;
    }
}

/* ---- series ---------------------------------------------------------------------------------- */

/* The run's number of a series: from the worker's cache of those met last, else from the shared
 * table, under its lock. */
__attribute__((noinline)) static uint32_t find_series(struct worker *worker, uint32_t meter,
                                                      const struct measure *measure)
{
    struct run *run = worker->run;
    uint64_t hash = series_hash(meter, measure->sku, measure->resource, measure->dimensions,
                                measure->dimension_count);
    uint32_t *cached = &worker->read.series_cache[hash % SERIES_CACHE];
    if (*cached != NONE &&
        series_equal(series_at(&run->series, *cached), hash, meter, measure->sku, measure->resource,
                     measure->dimensions, measure->dimension_count)) {
        return *cached;
    }
    struct env *env = run->env;
    env->lock_take(env, run->series_lock);
    /* The table's arena is shared: running out must give the lock back. */
    jmp_buf recover;
    if (ARENA_RECOVER(&run->series_arena, recover)) {
        env->lock_give(env, run->series_lock);
        longjmp(*worker->arena.recover, 1);
    }
    uint32_t index = series_find(&run->series, hash, meter, measure->sku, measure->resource,
                                 measure->dimensions, measure->dimension_count);
    if (index == NONE) {
        index = series_add(&run->series, hash, meter, measure->sku, measure->resource,
                           measure->dimensions, measure->dimension_count);
    }
    env->lock_give(env, run->series_lock);
    *cached = index;
    return index;
}

/* Of a meter without dimensions and resource, as many are: no hash is needed. */
static uint32_t find_plain(struct worker *worker, uint32_t meter, const struct measure *measure)
{
    static_assert(PLAIN_CACHE == 1 << (32 - 21));
    uint32_t place = (meter * 0x9E3779B1u + measure->sku * 0x85EBCA6Bu) >> 21;
    struct plain_series *plain = &worker->read.plain_cache[place];
    if (plain->number == NONE || plain->meter != meter || plain->sku != measure->sku) {
        *plain = (struct plain_series){meter, measure->sku, find_series(worker, meter, measure)};
    }
    return plain->number;
}

/* ---- records --------------------------------------------------------------------------------- */

void record_set_wide(struct record *record, struct dec value, instant at)
{
    record->mantissa = 0;
    record->flags |= RECORD_WIDE | RECORD_TAIL;
    record->tail_units = 1;
    record[1] = (struct record){0};
    memcpy(record + 1, &value.mantissa, RECORD_WIDE_BYTES);
    record_tail(record)->at = at;
}
static_assert(RECORD_WIDE_BYTES + RECORD_TAIL_BYTES <= sizeof(struct record));

void record_set_measure(struct worker *worker, struct record *record, uint32_t meter,
                        const struct measure *measure)
{
    if (measure->exclusion != EXCLUDE_NONE) {
        record_exclude(record, measure->exclusion, meter);
    } else {
        bool is_plain = measure->dimension_count == 0 && measure->resource.size == 0;
        record->series = (is_plain ? find_plain : find_series)(worker, meter, measure);
    }
    record->scale = (uint8_t)measure->value.scale;
    record->mantissa = dec_is_small(measure->value) ? (int64_t)measure->value.mantissa : 0;
}

struct record record_of_no_meter(const struct event *event)
{
    struct record record = {.print = event->print, .flags = RECORD_FIRST};
    record_exclude(&record, EXCLUDE_NO_METER, NONE);
    return record;
}

/* ---- the account and the slot ---------------------------------------------------------------- */

/* Of what has no meter nothing else is told. */
static void exclude_metered(struct record *record, enum exclusion reason, uint32_t meter)
{
    if (record_exclusion(record) != EXCLUDE_NO_METER) {
        record_exclude(record, reason, meter);
    }
}

__attribute__((noinline)) uint32_t record_place_other(const struct run *run, struct record *record,
                                                      uint32_t account, uint32_t meter,
                                                      enum grain grain, instant at)
{
    if (account == NONE) {
        exclude_metered(record, EXCLUDE_NO_ACCOUNT, meter);
        return 0;
    }
    if (run->accounts->view_count > 0 &&
        !accounts_is_billed(run->accounts, run->catalog, accounts_payer(run->accounts, account, at),
                            at)) {
        return NOWHERE;
    }
    if (has_steady_slot(run, account, at)) {
        return place_steady(run, record, account, grain, at);
    }
    uint32_t payer = accounts_payer(run->accounts, account, at);
    struct period cut;
    if (!run_cut(run, payer, at, &cut)) {
        exclude_metered(record, EXCLUDE_OUT_OF_PERIOD, meter);
        record->slot_s = 0;
        /* It is listed with who pays for the account as the period begins, a view's with its buyer.
         */
        bool is_of_view = accounts_view(run->accounts, account) != NONE;
        return book_partition(
            run, is_of_view ? payer : accounts_payer(run->accounts, account, run->period.from));
    }
    instant start;
    if (record->flags & RECORD_EXCLUDED) { /* who pays does not change in its slot */
        instant next, edge = accounts_edge(run->accounts, run->catalog, account, at, &next);
        start = edge > cut.from ? edge : cut.from;
    } else {
        start = slot_start(run->catalog, run->accounts, account,
                           series_at(&run->series, record->series), cut, at);
    }
    record->slot_s = (uint32_t)((start - run->period.from) / NS_PER_SECOND);
    return book_partition(run, payer);
}

static inline void put_records(struct worker *worker, uint32_t partition,
                               const struct record *records, uint32_t units)
{
    struct record *to = spool_add(worker->read.records, partition, units);
    if (to) {
        *to = *records; /* mostly all: a copy of unknown size is a call, or rep */
        for (uint32_t i = 1; i < units; i++) {
            to[i] = records[i];
        }
    } else {
        run_stop(worker->run);
    }
}

void records_emit(struct worker *worker, uint32_t partition, const struct record *records,
                  uint32_t units)
{
    for (const struct record *at = records; at < records + units; at += 1 + at->tail_units) {
        total_count(&worker->read.totals[meter_of_record(worker->run, at)], at);
    }
    put_records(worker, partition, records, units);
}

/* One and its tail, whose meter is known without asking its series, which is somewhere else. */
static inline void emit_record(struct worker *worker, uint32_t partition,
                               const struct record *record, uint32_t meter)
{
    uint32_t counted =
        record->flags & RECORD_EXCLUDED ? meter_of_record(worker->run, record) : meter;
    total_count(&worker->read.totals[counted], record);
    put_records(worker, partition, record, 1u + record->tail_units);
}

/* ---- the ring -------------------------------------------------------------------------------- */

static void finish_pending(struct worker *worker, struct pending *pending)
{
    uint32_t account = pending->arrival.account;
    if (account == NONE && !pending->is_found &&
        record_exclusion(pending->records) != EXCLUDE_NO_METER) {
        strangers_note(&worker->read.no_account, pending->subject, pending->arrival.position,
                       TEXT(""));
    }
    if (accounts_has_copies(worker->run->accounts, account)) {
        ingest_finish_copies(worker, pending);
        return;
    }
    if (pending->count > 1) {
        ingest_finish_several(worker, pending);
        return;
    }
    uint32_t partition = record_place(worker, pending->records, account, pending->meters[0],
                                      pending->grains[0], pending->at);
    pending->arrival.partition = (uint16_t)partition;
    arrival_emit(worker, &pending->arrival);
    emit_record(worker, partition, pending->records, pending->meters[0]);
}

static struct pending *ring_at(struct worker *worker, uint64_t index)
{
    return &worker->read.pending[index % RING];
}

static void find_pending(struct worker *worker, struct pending *pending)
{
    const struct run *run = worker->run;
    uint32_t account =
        pending->is_found ? pending->arrival.account : account_find(&run->finder, pending->subject);
    pending->arrival.account = account;
    if (pending->of_block) {
        *pending->of_block = account;
    }
    if (account != NONE) {
        __builtin_prefetch(&run->steady_partition[account]);
    }
}

/* Work on those that wait, while what the next one needs is fetched: the slot of the entry STEP
 * behind has come, and so has the payer of the one 2 x STEP behind. */
static void turn_ring(struct worker *worker)
{
    if (worker->read.ring_added - worker->read.ring_found >= STEP) {
        find_pending(worker, ring_at(worker, worker->read.ring_found++));
    }
    if (worker->read.ring_added - worker->read.ring_finished >= 2 * STEP) {
        finish_pending(worker, ring_at(worker, worker->read.ring_finished++));
    }
}

void ingest_drain(struct worker *worker)
{
    while (worker->read.ring_found < worker->read.ring_added) {
        find_pending(worker, ring_at(worker, worker->read.ring_found++));
    }
    while (worker->read.ring_finished < worker->read.ring_added) {
        finish_pending(worker, ring_at(worker, worker->read.ring_finished++));
    }
}

/* ---- withdrawals and late events ------------------------------------------------------------- */

static void take_withdrawal(struct worker *worker, const struct event *event, uint64_t position)
{
    struct arrival arrival = {
        .key = event_key(&worker->run->secret, event->target_source, event->target_id),
        .print = event->print,
        .position = position,
        .account = NONE,
        .is_withdrawal = true};
    worker->read.withdrawals++;
    arrival_emit(worker, &arrival);
}

/* Added to the fingerprint of an event that is too late, for a copy of it may have come in time:
 * the bytes decide which of the two is accepted, and the verdict finds the records of the other. */
#define LATE_PRINT UINT64_C(0x9E3779B97F4A7C15)

/* Whether usage of that time, or of all of the period, was not billed any more when the event's
 * file came.  A withdrawal takes back nothing of such a period. */
__attribute__((cold, noinline)) static bool comes_too_late(struct worker *worker,
                                                           const struct event *event)
{
    const struct run *run = worker->run;
    uint32_t file = worker->read.block.file_index;
    instant before = restatement_late_before(run, file);
    bool is_usage = event->kind != EVENT_WITHDRAWAL;
    bool is_late = is_usage && event->at < before;
    if (is_usage && restatement_is_new(run, file)) {
        worker->read.block_too_late += is_late;
        if (!is_late && !restatement_has(run, event)) {
            outside_add(&worker->read.block_outside, &(struct outside){1, event->at, event->at});
        }
    }
    return is_late || run->period.from < before;
}

/* Of an event that comes too late: it is excluded by that name. */
__attribute__((cold, noinline)) static void
take_late_event(struct worker *worker, const struct event *event, uint64_t position)
{
    const struct run *run = worker->run;
    struct event late = *event;
    late.print += LATE_PRINT;
    struct arrival arrival = {.key = event_key(&run->secret, event->source, event->id),
                              .print = late.print,
                              .position = position};
    uint32_t count;
    const uint32_t *meters = meter_find(run->plan, worker->read.meter_scratch, event, &count);
    ingest_general(worker, &late, &arrival, meters, count);
    worker->read.block_events.print -= LATE_PRINT; /* in its file it is as it is */
}

/* ---- the quick way --------------------------------------------------------------------------- */

/* The identity of an event. */
static inline uint64_t find_key(struct worker *worker, const struct event *event)
{
    const struct hash_secret *secret = &worker->run->secret;
    if (event->source_number == 0) {
        return event_key(secret, event->source, event->id);
    }
    struct block_source *source = &worker->read.block_sources[event->source_number];
    if (!source->is_known) {
        *source = (struct block_source){event_key_source(secret, event->source), true};
    }
    return event_key_id(secret, source->key, event->id);
}

/* What the event's account is found by, unless another event of its block had it. */
static inline void set_subject(struct worker *worker, const struct event *event,
                               struct pending *pending)
{
    pending->of_block =
        event->subject_number == 0 ? NULL : &worker->read.block_accounts[event->subject_number];
    pending->is_found = pending->of_block && *pending->of_block != UNKNOWN;
    if (pending->is_found) {
        pending->arrival.account = *pending->of_block;
    } else {
        pending->subject = account_hash(&worker->run->finder, event->subject);
        account_prefetch(&worker->run->finder, pending->subject);
    }
}

/* Adds a record of a meter; the caller sets it. */
static inline struct record *add_pending(struct pending *pending, uint32_t meter, enum grain grain)
{
    pending->meters[pending->count] = meter;
    pending->grains[pending->count++] = (uint8_t)grain;
    return &pending->records[pending->units++];
}

static inline void set_pending_value(struct pending *pending, struct record *record,
                                     struct dec value, instant at)
{
    if (!dec_is_small(value)) {
        record_set_wide(record, value, at);
        pending->units += record->tail_units;
    }
}

/* The record of an event that no meter takes, or that the filters of all leave out, as they may
 * most. */
static void set_unmetered(const struct event *event, struct pending *pending)
{
    *add_pending(pending, NONE, GRAIN_HOUR) = record_of_no_meter(event);
}

/* The record of an event of a plain meter; false when it is not one. *plain has its meters. */
static inline __attribute__((always_inline)) bool measure_plain(struct worker *worker,
                                                                const struct event *event,
                                                                struct plain_measure *plain,
                                                                struct pending *pending)
{
    struct plain_tuple *tuple =
        event->tuple_number == 0 ? NULL : &worker->read.block_tuples[event->tuple_number];
    enum plain_taken taken =
        meter_take_plain(worker->run->plan, worker->read.meter_scratch, event, tuple, plain);
    if (taken == PLAIN_LEFT) {
        set_unmetered(event, pending);
    }
    if (taken != PLAIN_MEASURED) {
        return taken == PLAIN_LEFT;
    }
    if (*plain->number == NONE) {
        struct measure measure = {.sku = plain->sku, .resource = TEXT("")};
        *plain->number = find_series(worker, plain->meter, &measure);
    }
    pending->meters[0] = plain->meter;
    pending->grains[0] = (uint8_t)plain->grain;
    pending->count = pending->units = 1;
    struct record *record = pending->records;
    *record = (struct record){.print = event->print,
                              .mantissa = (int64_t)plain->value.mantissa,
                              .series = *plain->number,
                              .scale = (uint8_t)plain->value.scale,
                              .flags = RECORD_FIRST};
    set_pending_value(pending, record, plain->value, event->at);
    return true;
}

/* The same of an event that has few meters, whose records keep no key.  The name of a SKU that
 * nothing is would be gone when its account is known: such an event goes the general way. */
static bool measure_simple(struct worker *worker, const struct event *event, const uint32_t *meters,
                           uint32_t count, struct pending *pending)
{
    const struct catalog *catalog = worker->run->catalog;
    bool is_simple = count <= PENDING_METERS;
    for (uint32_t i = 0; i < count && is_simple; i++) {
        const struct meter *meter = &catalog->meters[meters[i]];
        is_simple = !meter_keeps_key(meter) && !meter->spread_from;
    }
    if (!is_simple) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct meter *meter = &catalog->meters[meters[i]];
        struct measure measure;
        meter_apply(catalog, meter, event, worker->read.meter_scratch, &measure);
        if (measure.exclusion == EXCLUDE_UNKNOWN_SKU) {
            pending->count = pending->units = 0;
            return false;
        }
        if (measure.matched) {
            struct record made = {.print = event->print,
                                  .flags = pending->count == 0 ? RECORD_FIRST : 0};
            record_set_measure(worker, &made, meters[i], &measure);
            struct record *record = add_pending(pending, meters[i], meter->grain);
            *record = made;
            set_pending_value(pending, record, measure.value, event->at);
        }
    }
    if (pending->count == 0) {
        set_unmetered(event, pending);
    }
    return true;
}

void ingest_event(void *context, const struct event *event, size_t record_offset, struct text)
{
    struct worker *worker = context;
    uint64_t position =
        (uint64_t)worker->read.block.file_index << 48 | (worker->read.line_offset + record_offset);
    worker->read.is_late = event->at < worker->read.late_max && comes_too_late(worker, event);
    if (event->kind == EVENT_WITHDRAWAL) {
        if (worker->read.is_late) {
            worker->read.block_events.count++; /* it is in the file, all the same */
            worker->read.block_events.print += event->print;
        } else {
            take_withdrawal(worker, event, position);
        }
        return;
    }
    if (worker->read.is_late) {
        take_late_event(worker, event, position);
        return;
    }
    turn_ring(worker);
    struct pending *pending = ring_at(worker, worker->read.ring_added);
    pending->arrival = (struct arrival){
        .key = find_key(worker, event), .print = event->print, .position = position};
    pending->count = pending->units = 0;
    struct plain_measure plain;
    if (!measure_plain(worker, event, &plain, pending) &&
        !measure_simple(worker, event, plain.meters, plain.meter_count, pending)) {
        ingest_general(worker, event, &pending->arrival, plain.meters, plain.meter_count);
        return;
    }
    pending->at = event->at;
    set_subject(worker, event, pending);
    worker->read.ring_added++;
}
