/* ingest.c - blocks of lines to arrivals, spooled by key, and records, spooled by payer.
 *
 * The way of an event: decode, meter, then the account.  Looking an account up costs two cache
 * misses in a row (slot, payer), which is as much as all the rest; so simple events wait in a
 * ring while what they will need is fetched, and are finished sixteen events later.
 */
#include <assert.h>

#include "decode/segment.h"
#include "engine/run.h"

static_assert((int)DECODE_PADDING_BYTES <= (int)FEED_PADDING_BYTES);

enum { RING = 32, STEP = 8, PENDING_METERS = 4 };

/* In place of an account. */
static const uint32_t UNKNOWN = NONE - 1;

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

/* ---- dead letters ---------------------------------------------------------------------------- */

__attribute__((cold)) static void add_letter(struct worker *worker, enum refusal refusal,
                                             uint64_t line_in_block, uint64_t offset,
                                             struct text record, const char *detail)
{
    struct kept_stream *stream = &worker->letters;
    uint32_t bytes_size = record.size > FEED_HEAD_BYTES ? FEED_HEAD_BYTES : (uint32_t)record.size;
    struct letter letter = {.line_in_block = line_in_block,
                            .offset = offset,
                            .size = record.size,
                            .refusal = refusal,
                            .detail_size = (uint32_t)strlen(detail),
                            .bytes_size = bytes_size,
                            .digest = hash_digest(record)};
    struct kept_piece *last =
        stream->piece_count > 0 ? &stream->pieces[stream->piece_count - 1] : NULL;
    if (!last || last->of != worker->block.file_index || last->part != worker->block.block_index) {
        last = kept_begin(worker, stream, worker->block.file_index, worker->block.block_index);
    }
    if (kept_add(worker, stream, &letter, sizeof letter) &&
        kept_add(worker, stream, detail, letter.detail_size) &&
        kept_add(worker, stream, record.at, bytes_size)) {
        last->size += sizeof letter + letter.detail_size + bytes_size;
    }
    uint64_t print;
    memcpy(&print, &letter.digest, sizeof print);
    worker->block_refused.count++;
    worker->block_refused.print += print;
    worker->refused[refusal]++;
}

static void take_finding(void *context, const struct finding *finding)
{
    struct worker *worker = context;
    add_letter(worker, finding->refusal, worker->line_in_block,
               worker->line_offset + finding->offset, finding->record, finding->detail);
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
    uint32_t *cached = &worker->series_cache[hash % SERIES_CACHE];
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
    uint32_t place = (meter * 0x9E3779B1u + measure->sku * 0x85EBCA6Bu) >> 21;
    struct plain_series *plain = &worker->plain_cache[place];
    if (plain->number == NONE || plain->meter != meter || plain->sku != measure->sku) {
        *plain = (struct plain_series){meter, measure->sku, find_series(worker, meter, measure)};
    }
    return plain->number;
}

/* ---- the account and the slot ---------------------------------------------------------------- */

static void exclude_record(struct record *record, enum exclusion reason)
{
    /* What was excluded before for a lesser reason keeps its meter. */
    uint32_t meter = record->flags & RECORD_EXCLUDED ? record->series & 0xFFFFu : 0xFFFFu;
    record->flags |= RECORD_EXCLUDED;
    record->series = (uint32_t)reason << 16 | meter;
}

static enum exclusion excluded_of(const struct record *record)
{
    return record->flags & RECORD_EXCLUDED ? (enum exclusion)(record->series >> 16) : EXCLUDE_NONE;
}

/* In place of a partition: nobody is billed for the account then, so that there is no record. */
enum { NOWHERE = 0xFFFF };
static_assert((int)SPOOL_PARTITIONS_MAX <= (int)NOWHERE);

/* The slot of an hour: its start, or the period's in the first. */
static inline uint32_t hour_slot(const struct run *run, instant at)
{
    const uint64_t hour = (uint64_t)(at - run->first_hour) / (uint64_t)NS_PER_HOUR;
    return hour == 0 ? 0 : (uint32_t)hour * 3600 - run->into_hour_s;
}

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

__attribute__((noinline)) static uint32_t place_other(const struct run *run, struct record *record,
                                                      uint32_t account, uint32_t meter,
                                                      enum grain grain, instant at)
{
    uint32_t coded = meter == NONE ? 0xFFFFu : meter;
    if (account == NONE) {
        if (excluded_of(record) != EXCLUDE_NO_METER) {
            record->series = coded;
            record->flags |= RECORD_EXCLUDED;
            exclude_record(record, EXCLUDE_NO_ACCOUNT);
        }
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
        if (excluded_of(record) != EXCLUDE_NO_METER) {
            record->series = coded;
            record->flags |= RECORD_EXCLUDED;
            exclude_record(record, EXCLUDE_OUT_OF_PERIOD);
        }
        /* It is listed with who pays for the account as the period begins; a view's with its buyer.
         */
        record->slot_s = 0;
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

/* Sets account and slot of a record whose meter is done; returns the partition of its book.
 * NO_METER goes before NO_ACCOUNT before OUT_OF_PERIOD before what the meter found. */
static inline uint32_t place_record(struct worker *worker, struct record *record, uint32_t account,
                                    uint32_t meter, enum grain grain, instant at)
{
    const struct run *run = worker->run;
    record->account = account;
    return account != NONE && run->accounts->view_count == 0 && has_steady_slot(run, account, at)
               ? place_steady(run, record, account, grain, at)
               : place_other(run, record, account, meter, grain, at);
}

static inline void emit_arrival(struct worker *worker, const struct arrival *arrival)
{
    uint32_t shift = worker->run->key_shift;
    uint32_t partition = shift == 64 ? 0 : (uint32_t)(arrival->key >> shift);
    struct arrival *to = spool_add(worker->arrivals, partition, 1);
    if (to) {
        *to = *arrival;
    } else {
        run_stop(worker->run); /* spool_flush tells why */
    }
    worker->block_events.count++;
    worker->block_events.print += arrival->print;
}

static inline void put_records(struct worker *worker, uint32_t partition,
                               const struct record *records, uint32_t units)
{
    struct record *to = spool_add(worker->records, partition, units);
    if (to) {
        *to = *records; /* mostly all: a copy of unknown size is a call, or rep */
        for (uint32_t i = 1; i < units; i++) {
            to[i] = records[i];
        }
    } else {
        run_stop(worker->run);
    }
}

/* The records of one event, counted before they go on their way: one side of conservation. */
static void emit_records(struct worker *worker, uint32_t partition, const struct record *records,
                         uint32_t units)
{
    for (const struct record *at = records; at < records + units; at += 1 + at->tail_units) {
        total_count(&worker->read_totals[meter_of_record(worker->run, at)], at);
    }
    put_records(worker, partition, records, units);
}

/* One and its tail, whose meter is known without asking its series, which is somewhere else. */
static inline void emit_record(struct worker *worker, uint32_t partition,
                               const struct record *record, uint32_t meter)
{
    uint32_t counted =
        record->flags & RECORD_EXCLUDED ? meter_of_record(worker->run, record) : meter;
    total_count(&worker->read_totals[counted], record);
    put_records(worker, partition, record, 1u + record->tail_units);
}

/* ---- what comes of an event -------------------------------------------------------------------
 */

enum {
    UNITS_MAX = SPOOL_CHUNK_BYTES / sizeof(struct record),
    WIDE_UNITS = 2,
    KEY_UNITS =
        1 + (sizeof(struct record_tail) + 2 * ATTRIBUTE_MAX_BYTES + sizeof(struct record) - 1) /
                sizeof(struct record),
};
static_assert(EVENT_METERS_MAX * WIDE_UNITS <= UNITS_MAX);
static_assert(EVENT_METERS_MAX / EVENT_METER_WITH_KEY * KEY_UNITS <= UNITS_MAX);

/* The records of one event on their way, and the partition of each. */
struct event_records {
    struct record units[UNITS_MAX];
    uint16_t partitions[UNITS_MAX];
    uint32_t used, count;
    uint32_t reserved; /* units that meters to come may take */
};

/* What comes of an event for one partition; the first record says that it begins there. */
static void emit_part(struct worker *worker, const struct event_records *records,
                      uint32_t partition, bool is_elsewhere)
{
    struct record part[UNITS_MAX];
    uint32_t used = 0, at = 0;
    for (uint32_t i = 0; i < records->count; i++) {
        const struct record *record = &records->units[at];
        uint32_t units = 1u + record->tail_units;
        if (records->partitions[i] == partition) {
            memcpy(part + used, record, units * sizeof *record);
            part[used].flags &= (uint8_t) ~(RECORD_FIRST | RECORD_ELSEWHERE);
            used += units;
        }
        at += units;
    }
    part[0].flags |= RECORD_FIRST;
    part[0].flags |= is_elsewhere ? RECORD_ELSEWHERE : 0;
    emit_records(worker, partition, part, used);
}

__attribute__((cold, noinline)) static void
emit_scattered(struct worker *worker, const struct event_records *records, uint32_t main)
{
    bool has[SPOOL_PARTITIONS_MAX] = {false};
    for (uint32_t i = 0; i < records->count; i++) {
        uint32_t partition = records->partitions[i];
        if (!has[partition]) {
            has[partition] = true;
            emit_part(worker, records, partition, partition != main);
        }
    }
}

/* main: the partition in which the event is counted; NOWHERE: it was in another place. */
static void emit_parts(struct worker *worker, const struct event_records *records, uint32_t main)
{
    bool is_scattered = main == NOWHERE;
    for (uint32_t i = 0; i < records->count; i++) {
        is_scattered |= records->partitions[i] != main;
    }
    if (is_scattered) {
        emit_scattered(worker, records, main);
    } else {
        emit_records(worker, main, records->units, records->used);
    }
}

/* A record and room for its tail. */
static struct record *add_record(struct event_records *records, const struct record *record)
{
    struct record *to = &records->units[records->used];
    assert(records->used + 1u + record->tail_units <= UNITS_MAX);
    *to = *record;
    memset(to + 1, 0, record->tail_units * sizeof *to);
    records->used += 1u + record->tail_units;
    records->count++;
    return to;
}

/* Takes out what is nobody's; and, of all places but the first, what is excluded. */
static void keep_billed(struct event_records *records, bool is_counted)
{
    uint32_t count = 0, used = 0, at = 0;
    for (uint32_t i = 0; i < records->count; i++) {
        const struct record *record = &records->units[at];
        uint32_t units = 1u + record->tail_units;
        bool goes =
            records->partitions[i] == NOWHERE || (is_counted && record->flags & RECORD_EXCLUDED);
        if (!goes) {
            memmove(&records->units[used], record, units * sizeof *record);
            records->partitions[count++] = records->partitions[i];
            used += units;
        }
        at += units;
    }
    records->count = count;
    records->used = used;
    if (count > 0) {
        records->units[0].flags |= RECORD_FIRST;
    }
}

/* What comes of an event in one of the places that its account has: its own, or a view.  The first
 * counts the event, and lists it when it is excluded. */
static void emit_place(struct worker *worker, struct event_records *records,
                       struct arrival *arrival, bool *is_counted)
{
    keep_billed(records, *is_counted);
    if (records->count == 0) {
        return;
    }
    uint32_t main = NOWHERE;
    if (!*is_counted) {
        main = records->partitions[0];
        arrival->partition = (uint16_t)main;
        emit_arrival(worker, arrival);
    }
    emit_parts(worker, records, main);
    *is_counted = true;
}

/* ---- the ring -------------------------------------------------------------------------------- */

static void place_pending(struct worker *worker, const struct pending *pending, uint32_t account,
                          struct event_records *records)
{
    memcpy(records->units, pending->records, pending->units * sizeof *records->units);
    records->used = pending->units;
    records->count = pending->count;
    struct record *at = records->units;
    for (uint32_t i = 0; i < pending->count; i++) {
        records->partitions[i] = (uint16_t)place_record(worker, at, account, pending->meters[i],
                                                        pending->grains[i], pending->at);
        at += 1 + at->tail_units;
    }
}

/* Of an account that views have: a record for each of them, and one for who pays otherwise. */
__attribute__((cold, noinline)) static void finish_copies(struct worker *worker,
                                                          struct pending *pending)
{
    const struct accounts *accounts = worker->run->accounts;
    uint32_t own = pending->arrival.account, first = accounts->copy_first[own];
    bool is_counted = false;
    for (uint32_t i = first; i <= accounts->copy_first[own + 1]; i++) {
        struct event_records records;
        place_pending(worker, pending, i == first ? own : accounts->copies[i - 1], &records);
        emit_place(worker, &records, &pending->arrival, &is_counted);
    }
    assert(is_counted);
}

__attribute__((noinline)) static void finish_several(struct worker *worker, struct pending *pending)
{
    struct event_records records;
    place_pending(worker, pending, pending->arrival.account, &records);
    uint32_t main = records.partitions[0];
    pending->arrival.partition = (uint16_t)main;
    emit_arrival(worker, &pending->arrival);
    emit_parts(worker, &records, main);
}

/* Of a name that is cut no character is left in parts. */
static void set_name(struct stranger *stranger, struct text name)
{
    size_t size = name.size < STRANGER_NAME_BYTES ? name.size : STRANGER_NAME_BYTES - 1;
    while (size < name.size && size > 0 && ((unsigned char)name.at[size] & 0xC0) == 0x80) {
        size--;
    }
    memcpy(stranger->name, name.at, size);
    stranger->name[size] = '\0';
}

__attribute__((cold)) void strangers_note(struct strangers *known, struct hash128 hash,
                                          uint64_t position, struct text name)
{
    struct stranger *items = known->items;
    uint32_t at = 0, count = known->count;
    while (at < count && hash_compare(items[at].hash, hash) != 0) {
        at++;
    }
    if (at == count && count < STRANGERS_MOST) {
        known->count++;
    } else if (at == count) {
        at--; /* the last of them gives way, if it comes later */
    }
    if (at < count && items[at].position <= position) {
        return;
    }
    for (; at > 0 && items[at - 1].position > position; at--) {
        items[at] = items[at - 1];
    }
    items[at].hash = hash;
    items[at].position = position;
    set_name(&items[at], name);
}

void strangers_merge(struct strangers *all, const struct strangers *more)
{
    for (uint32_t i = 0; i < more->count; i++) {
        const struct stranger *item = &more->items[i];
        strangers_note(all, item->hash, item->position, text_of(item->name));
    }
}

static void finish_pending(struct worker *worker, struct pending *pending)
{
    uint32_t account = pending->arrival.account;
    if (account == NONE && !pending->is_found &&
        excluded_of(pending->records) != EXCLUDE_NO_METER) {
        strangers_note(&worker->no_account, pending->subject, pending->arrival.position, TEXT(""));
    }
    if (accounts_has_copies(worker->run->accounts, account)) {
        finish_copies(worker, pending);
        return;
    }
    if (pending->count > 1) {
        finish_several(worker, pending);
        return;
    }
    uint32_t partition = place_record(worker, pending->records, account, pending->meters[0],
                                      pending->grains[0], pending->at);
    pending->arrival.partition = (uint16_t)partition;
    emit_arrival(worker, &pending->arrival);
    emit_record(worker, partition, pending->records, pending->meters[0]);
}

static struct pending *ring_at(struct worker *worker, uint64_t index)
{
    return &worker->pending[index % RING];
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
    if (worker->ring_added - worker->ring_found >= STEP) {
        find_pending(worker, ring_at(worker, worker->ring_found++));
    }
    if (worker->ring_added - worker->ring_finished >= 2 * STEP) {
        finish_pending(worker, ring_at(worker, worker->ring_finished++));
    }
}

static void drain_ring(struct worker *worker)
{
    while (worker->ring_found < worker->ring_added) {
        find_pending(worker, ring_at(worker, worker->ring_found++));
    }
    while (worker->ring_finished < worker->ring_added) {
        finish_pending(worker, ring_at(worker, worker->ring_finished++));
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The mantissa of a value goes into the record when it fits 64 bits. */
static bool fits(struct dec value)
{
    return value.mantissa == (int64_t)value.mantissa;
}

/* Puts a value that does not fit the record into the tail behind it, where nothing else is. */
static void set_wide(struct record *record, struct dec value, instant at)
{
    record->mantissa = 0;
    record->flags |= RECORD_WIDE | RECORD_TAIL;
    record->tail_units = 1;
    record[1] = (struct record){0};
    memcpy(record + 1, &value.mantissa, RECORD_WIDE_BYTES);
    record_tail(record)->at = at;
}
static_assert(RECORD_WIDE_BYTES + RECORD_TAIL_BYTES <= sizeof(struct record));

static void set_measure(struct worker *worker, struct record *record, uint32_t meter,
                        const struct measure *measure)
{
    if (measure->exclusion != EXCLUDE_NONE) {
        record->flags |= RECORD_EXCLUDED;
        record->series = (uint32_t)measure->exclusion << 16 | meter;
    } else {
        bool is_plain = measure->dimension_count == 0 && measure->resource.size == 0;
        record->series = (is_plain ? find_plain : find_series)(worker, meter, measure);
    }
    record->scale = (uint8_t)measure->value.scale;
    record->mantissa = fits(measure->value) ? (int64_t)measure->value.mantissa : 0;
}

static void take_withdrawal(struct worker *worker, const struct event *event, uint64_t position)
{
    struct arrival arrival = {
        .key = event_key(&worker->run->secret, event->target_source, event->target_id),
        .print = event->print,
        .position = position,
        .account = NONE,
        .is_withdrawal = true};
    worker->withdrawals++;
    emit_arrival(worker, &arrival);
}

static struct text tail_source(const struct event *event, const struct meter *meter,
                               const struct measure *measure)
{
    return meter->aggregate == AGGREGATE_UNIQUE ? measure->key : event->source;
}

static struct text tail_id(const struct event *event, const struct meter *meter)
{
    return meter->aggregate == AGGREGATE_UNIQUE ? TEXT("") : event->id;
}

static uint32_t tail_units(const struct event *event, const struct meter *meter,
                           const struct measure *measure)
{
    size_t size = RECORD_TAIL_BYTES + (fits(measure->value) ? 0 : RECORD_WIDE_BYTES);
    if (meter_keeps_key(meter)) {
        size += tail_source(event, meter, measure).size + tail_id(event, meter).size;
    }
    return (uint32_t)((size + sizeof(struct record) - 1) / sizeof(struct record));
}

static void fill_tail(struct record *record, const struct event *event, const struct meter *meter,
                      const struct measure *measure)
{
    struct record_tail *tail = record_tail(record);
    if (record->flags & RECORD_WIDE) {
        memcpy(record + 1, &measure->value.mantissa, RECORD_WIDE_BYTES);
    }
    tail->at = event->at;
    if (meter_keeps_key(meter)) {
        struct text source = tail_source(event, meter, measure), id = tail_id(event, meter);
        tail->source_size = (uint16_t)source.size;
        tail->id_size = (uint16_t)id.size;
        memcpy(tail->texts, source.at, source.size);
        memcpy(tail->texts + source.size, id.at, id.size);
    }
}

/* Of an event that no meter takes. */
static struct record no_meter_record(const struct event *event)
{
    return (struct record){.print = event->print,
                           .flags = RECORD_FIRST | RECORD_EXCLUDED,
                           .series = (uint32_t)EXCLUDE_NO_METER << 16 | 0xFFFFu};
}

/* To how many payers of an account its levels and gauges are told: each takes a record. */
enum { PAYERS_MAX = UNITS_MAX };

/* The first instant of a span that is in a cut of the payer; false when there is none. */
static bool first_in_cut(const struct run *run, uint32_t payer, struct period span,
                         struct period *cut, instant *first)
{
    const struct period *cuts = run->has_cuts ? run->cuts + run->cut_first[payer] : &run->period;
    uint32_t count = run->has_cuts ? run->cut_first[payer + 1] - run->cut_first[payer] : 1;
    for (uint32_t i = 0; i < count; i++) {
        if (span.from < cuts[i].to && cuts[i].from < span.to) {
            *cut = cuts[i];
            *first = cut->from > span.from ? cut->from : span.from;
            return true;
        }
    }
    return false;
}

/* The same for another payer, whose slot begins at start; false when there is no room. */
static bool add_echo(struct worker *worker, struct event_records *records,
                     const struct record *record, const struct record *made, uint32_t payer,
                     instant start)
{
    const struct run *run = worker->run;
    if (records->used + 1u + record->tail_units > UNITS_MAX - records->reserved) {
        return false;
    }
    struct record *echo = add_record(records, made);
    memcpy(echo + 1, record + 1, record->tail_units * sizeof *echo);
    echo->flags = (uint8_t)((echo->flags & ~RECORD_FIRST) | RECORD_ECHO);
    echo->slot_s = (uint32_t)((start - run->period.from) / NS_PER_SECOND);
    records->partitions[records->count - 1] = (uint16_t)book_partition(run, payer);
    return true;
}

static void fail_payers(struct worker *worker, uint32_t account)
{
    (void)fail(&worker->err, ERR_LIMIT,
               "account %.*s has too many payers in one period for its levels and gauges",
               TEXT_ARG(worker->run->accounts->items[account].id));
    worker_fail(worker,
                fail_hint(&worker->err,
                          "about 1,500 have room, fewer where several meters keep a level of one "
                          "event: bill the time in shorter periods, one after the other"));
}

/* A level is known to all that pay for its account later in the period; and where no bill of the
 * period before tells it, to who pays as a bill begins, from changes that came before.  Changes of
 * a turn that began before the period, and was billed, are told by the opening. */
static void add_echoes(struct worker *worker, struct event_records *records,
                       const struct record *record, const struct record *made,
                       const struct meter *meter, instant at)
{
    const struct run *run = worker->run;
    bool has_opening = run->opening_digest.size > 0, is_outside = record->flags & RECORD_EXCLUDED;
    bool was_told = has_opening && is_outside &&
                    (at < run->period.from ||
                     run_was_billed(run, accounts_payer(run->accounts, record->account, at), at));
    uint32_t payers[PAYERS_MAX], count = 0;
    struct period span = {at > run->period.from ? at : run->period.from, 0};
    for (; span.from < run->cuts_end; span.from = span.to) {
        uint32_t payer = accounts_payer(run->accounts, record->account, span.from), known = 0;
        (void)accounts_edge(run->accounts, run->catalog, record->account, span.from, &span.to);
        if (!accounts_is_billed(run->accounts, run->catalog, payer, span.from)) {
            continue;
        }
        while (known < count && payers[known] != payer) {
            known++;
        }
        struct period cut;
        instant start;
        if (known < count || !first_in_cut(run, payer, span, &cut, &start)) {
            continue;
        }
        if (count < PAYERS_MAX) {
            payers[count++] = payer;
        }
        bool is_told = was_told || (has_opening && start > span.from && !run_waits(run, payer));
        if (start <= at || is_told || (at < cut.from && !meter->carry)) {
            continue;
        }
        if (count == PAYERS_MAX || !add_echo(worker, records, record, made, payer, start)) {
            fail_payers(worker, record->account);
            return;
        }
    }
    if (!run->waits || !meter->carry || at >= run->period.to || was_told) {
        return;
    }
    const instant last = run_last_second(run);
    const uint32_t holder = accounts_payer(run->accounts, record->account, last);
    if (run_holds(run, holder) && !add_echo(worker, records, record, made, holder, last)) {
        fail_payers(worker, record->account);
    }
}

/* A run that begins inside a turn cuts it there. */
static bool begins_turn(const struct run *run, uint32_t payer, uint32_t cut)
{
    const struct billing_of billing = run_billing(run, payer);
    const instant from = run->cuts[cut].from;
    return from != run->period.from || billing_turn(&billing, from).from == from;
}

/* The last value of a gauge is known to others that pay for its account as a turn of theirs begins;
 * to its own payer it goes from turn to turn (book_carry). */
static void add_gauge_echoes(struct worker *worker, struct event_records *records,
                             const struct record *record, const struct record *made, instant at)
{
    const struct run *run = worker->run;
    uint32_t payers[PAYERS_MAX], count = 1;
    payers[0] = accounts_payer(run->accounts, record->account, at);
    struct period span = {at, 0};
    for (; span.from < run->cuts_end; span.from = span.to) {
        uint32_t payer = accounts_payer(run->accounts, record->account, span.from), known = 0;
        (void)accounts_edge(run->accounts, run->catalog, record->account, span.from, &span.to);
        if (!accounts_is_billed(run->accounts, run->catalog, payer, span.from)) {
            continue;
        }
        while (known < count && payers[known] != payer) {
            known++;
        }
        uint32_t cut = run->cut_first[payer];
        while (cut < run->cut_first[payer + 1] &&
               (run->cuts[cut].from < span.from || !begins_turn(run, payer, cut))) {
            cut++;
        }
        if (known < count || cut == run->cut_first[payer + 1] || run->cuts[cut].from >= span.to) {
            continue;
        }
        if (count == PAYERS_MAX ||
            !add_echo(worker, records, record, made, payer, run->cuts[cut].from)) {
            fail_payers(worker, record->account);
            return;
        }
        payers[count++] = payer;
    }
}

/* The end of the piece that begins at an instant: of its slot, or of what is not billed around. */
static instant piece_end(const struct worker *worker, uint32_t account, const struct record *record,
                         instant at, instant to)
{
    const struct run *run = worker->run;
    uint32_t payer = accounts_payer(run->accounts, account, at);
    struct period cut;
    instant end;
    if (run_cut(run, payer, at, &cut)) {
        end = slot_end(run->catalog, run->accounts, account,
                       series_at(&run->series, record->series), cut, at);
    } else if (at < run->period.from) {
        end = run->period.from;
    } else {
        (void)accounts_edge(run->accounts, run->catalog, account, at, &end);
        if (run->has_cuts) {
            for (uint32_t i = run->cut_first[payer]; i < run->cut_first[payer + 1]; i++) {
                bool begins = run->cuts[i].from > at && run->cuts[i].from < end;
                end = begins ? run->cuts[i].from : end;
            }
        }
    }
    return end < to ? end : to;
}

/* Puts the pieces in place of the record that stands for the whole; false when they have no room,
 * or their values none. */
static bool add_pieces(struct worker *worker, struct event_records *records,
                       const struct record *whole, uint32_t account, uint32_t index,
                       const struct measure *measure, uint32_t units_max)
{
    const struct meter *meter = &worker->run->catalog->meters[index];
    const struct spread spread = {measure->spread, measure->value};
    instant at = spread.span.from;
    bool is_first = true;
    do {
        struct dec value;
        struct record piece = *whole;
        struct period of = {at, piece_end(worker, account, whole, at, spread.span.to)};
        if (!spread_piece(&spread, of, &value)) {
            return false;
        }
        bool is_wide = !fits(value);
        if (records->used + 1u + is_wide > units_max) {
            return false;
        }
        if (!is_first) {
            piece.flags = (uint8_t)((piece.flags & ~RECORD_FIRST) | RECORD_PIECE);
        }
        piece.scale = (uint8_t)value.scale;
        piece.mantissa = (int64_t)value.mantissa;
        piece.tail_units = is_wide;
        struct record *record = add_record(records, &piece);
        if (is_wide) {
            set_wide(record, value, at);
        }
        records->partitions[records->count - 1] =
            (uint16_t)place_record(worker, record, account, index, meter->grain, at);
        is_first = false;
        at = of.to;
    } while (at < spread.span.to);
    return true;
}

static void add_measure(struct worker *worker, struct event_records *records,
                        const struct event *event, uint32_t account, uint32_t index,
                        struct measure *measure)
{
    const struct run *run = worker->run;
    const struct meter *meter = &run->catalog->meters[index];
    bool is_wide = !fits(measure->value);
    struct record made = {.print = event->print, .flags = records->count == 0 ? RECORD_FIRST : 0};
    if (is_wide || meter_keeps_key(meter)) {
        made.flags |= RECORD_TAIL;
        made.flags |= is_wide ? RECORD_WIDE : 0;
        made.tail_units = (uint8_t)tail_units(event, meter, measure);
    }
    set_measure(worker, &made, index, measure);
    struct record *record = add_record(records, &made);
    records->partitions[records->count - 1] =
        (uint16_t)place_record(worker, record, account, index, meter->grain, event->at);
    if (record->tail_units > 0) {
        fill_tail(record, event, meter, measure);
    }
    if (meter->aggregate == AGGREGATE_TIME_WEIGHTED && measure->exclusion == EXCLUDE_NONE &&
        account != NONE) {
        if (record->flags & RECORD_EXCLUDED || run->steady_payer[account] == NONE) {
            made.account = account;
            add_echoes(worker, records, record, &made, meter, event->at);
        }
    } else if (meter->aggregate == AGGREGATE_LATEST && meter->carry && run->has_cuts &&
               !(record->flags & RECORD_EXCLUDED) && run->steady_payer[account] == NONE) {
        made.account = account;
        add_gauge_echoes(worker, records, record, &made, event->at);
    }
}

/* An event of an account, spread.  What has too many pieces is excluded. */
static void add_spread(struct worker *worker, struct event_records *records,
                       const struct event *event, uint32_t account, uint32_t index,
                       struct measure *measure)
{
    const uint32_t used = records->used, count = records->count;
    struct record whole = {.print = event->print, .flags = count == 0 ? RECORD_FIRST : 0};
    set_measure(worker, &whole, index, measure);
    if (!add_pieces(worker, records, &whole, account, index, measure,
                    UNITS_MAX - records->reserved)) {
        records->used = used;
        records->count = count;
        measure->exclusion = EXCLUDE_EXPRESSION;
        add_measure(worker, records, event, account, index, measure);
    }
}

/* What its record takes at most; pieces and echoes take what is left. */
static uint32_t units_of(const struct meter *meter)
{
    return meter_keeps_key(meter) ? KEY_UNITS : WIDE_UNITS;
}

/* What the meters of its type make of an event, for an account. */
static void measure_event(struct worker *worker, struct event_records *records,
                          const struct event *event, uint64_t position, uint32_t account,
                          const uint32_t *meters, uint32_t count)
{
    const struct run *run = worker->run;
    records->used = records->count = records->reserved = 0;
    for (uint32_t i = 0; i < count; i++) {
        records->reserved += units_of(&run->catalog->meters[meters[i]]);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct measure measure;
        meter_apply(run->catalog, &run->catalog->meters[meters[i]], event, worker->meter_scratch,
                    &measure);
        records->reserved -= units_of(&run->catalog->meters[meters[i]]);
        if (!measure.matched) {
            continue;
        }
        if (worker->is_late) {
            measure.exclusion = EXCLUDE_LATE;
        }
        const struct record *record = &records->units[records->used];
        bool is_spread = run->catalog->meters[meters[i]].spread_from && account != NONE &&
                         measure.exclusion == EXCLUDE_NONE;
        (is_spread ? add_spread : add_measure)(worker, records, event, account, meters[i],
                                               &measure);
        /* Unless it is excluded for another reason, which goes before. */
        if (excluded_of(record) == EXCLUDE_UNKNOWN_SKU &&
            records->partitions[records->count - 1] != NOWHERE) {
            strangers_note(&worker->unknown_sku, account_hash(&run->finder, measure.unknown_sku),
                          position, measure.unknown_sku);
        }
    }
    if (records->count == 0) {
        struct record none = no_meter_record(event);
        records->partitions[0] =
            (uint16_t)place_record(worker, &none, account, NONE, GRAIN_HOUR, event->at);
        (void)add_record(records, &none);
    }
}

static void take_event_copies(struct worker *worker, struct event_records *records,
                              const struct event *event, struct arrival *arrival,
                              const uint32_t *meters, uint32_t meter_count)
{
    const struct accounts *accounts = worker->run->accounts;
    uint32_t own = arrival->account, first = accounts->copy_first[own];
    bool is_counted = false;
    for (uint32_t i = first; i <= accounts->copy_first[own + 1]; i++) {
        measure_event(worker, records, event, arrival->position,
                      i == first ? own : accounts->copies[i - 1], meters, meter_count);
        emit_place(worker, records, arrival, &is_counted);
    }
    assert(is_counted);
}

/* The general way: any number of meters, wide values, tails, several payers. */
__attribute__((cold, noinline)) static void take_event_whole(struct worker *worker,
                                                             const struct event *event,
                                                             struct arrival *arrival,
                                                             const uint32_t *meters, uint32_t count)
{
    const struct run *run = worker->run;
    struct event_records records;
    struct hash128 subject = account_hash(&run->finder, event->subject);
    arrival->account = account_find(&run->finder, subject);
    if (accounts_has_copies(run->accounts, arrival->account)) {
        take_event_copies(worker, &records, event, arrival, meters, count);
        return;
    }
    measure_event(worker, &records, event, arrival->position, arrival->account, meters, count);
    if (arrival->account == NONE && excluded_of(records.units) != EXCLUDE_NO_METER) {
        strangers_note(&worker->no_account, subject, arrival->position, TEXT(""));
    }
    uint32_t main = records.partitions[0];
    arrival->partition = (uint16_t)main;
    emit_arrival(worker, arrival);
    emit_parts(worker, &records, main);
}

/* Added to the fingerprint of an event that is too late, for a copy of it may have come in time:
 * the bytes decide which of the two is accepted, and the verdict finds the records of the other. */
#define LATE_PRINT UINT64_C(0x9E3779B97F4A7C15)

/* Whether a period that is corrected has the event on a bill, by its time.  A turn of a payer's own
 * clock is of the period in which it begins. */
static bool is_restated(const struct run *run, const struct event *event)
{
    const struct restatement *restatement = run->restatement;
    instant at = event->at;
    uint32_t account = billing_is_calendar(run->catalog)
                           ? NONE
                           : account_find(&run->finder, account_hash(&run->finder, event->subject));
    if (account != NONE) {
        uint32_t payer = accounts_payer(run->accounts, account, at);
        const struct billing_of of = billing_of(run->catalog, run->accounts, payer, at);
        instant from = billing_turn(&of, at).from;
        at = billing_at(&of, from).is_custom ? from : at;
    }
    for (size_t i = 0; i < restatement->period_count; i++) {
        if (period_has(restatement->periods[i], at)) {
            return true;
        }
    }
    return false;
}

static void add_outside(struct outside *to, const struct outside *more)
{
    if (more->count > 0) {
        to->first = to->count == 0 || more->first < to->first ? more->first : to->first;
        to->last = to->count == 0 || more->last > to->last ? more->last : to->last;
        to->count += more->count;
    }
}

/* Whether usage of that time, or of all of the period, was not billed any more when the event's
 * file came.  A withdrawal takes back nothing of such a period. */
__attribute__((cold, noinline)) static bool comes_too_late(struct worker *worker,
                                                           const struct event *event)
{
    const struct run *run = worker->run;
    uint32_t file = worker->block.file_index;
    instant before = restatement_late_before(run, file);
    bool is_usage = event->kind != EVENT_WITHDRAWAL;
    bool is_late = is_usage && event->at < before;
    if (is_usage && restatement_is_new(run, file)) {
        worker->block_too_late += is_late;
        if (!is_late && !is_restated(run, event)) {
            add_outside(&worker->block_outside, &(struct outside){1, event->at, event->at});
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
    const uint32_t *meters = meter_find(run->plan, worker->meter_scratch, event, &count);
    take_event_whole(worker, &late, &arrival, meters, count);
    worker->block_events.print -= LATE_PRINT; /* in its file it is as it is */
}

/* The identity of an event. */
static inline uint64_t find_key(struct worker *worker, const struct event *event)
{
    const struct hash_secret *secret = &worker->run->secret;
    if (event->source_number == 0) {
        return event_key(secret, event->source, event->id);
    }
    struct block_source *source = &worker->block_sources[event->source_number];
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
        event->subject_number == 0 ? NULL : &worker->block_accounts[event->subject_number];
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
    if (!fits(value)) {
        set_wide(record, value, at);
        pending->units += record->tail_units;
    }
}

/* The record of an event that no meter takes, or that the filters of all leave out, as they may
 * most. */
static void set_unmetered(const struct event *event, struct pending *pending)
{
    *add_pending(pending, NONE, GRAIN_HOUR) = no_meter_record(event);
}

/* The record of an event of a plain meter; false when it is not one. *plain has its meters. */
static inline __attribute__((always_inline)) bool measure_plain(struct worker *worker,
                                                                const struct event *event,
                                                                struct plain_measure *plain,
                                                                struct pending *pending)
{
    struct plain_tuple *tuple =
        event->tuple_number == 0 ? NULL : &worker->block_tuples[event->tuple_number];
    enum plain_taken taken =
        meter_take_plain(worker->run->plan, worker->meter_scratch, event, tuple, plain);
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
        meter_apply(catalog, meter, event, worker->meter_scratch, &measure);
        if (measure.exclusion == EXCLUDE_UNKNOWN_SKU) {
            pending->count = pending->units = 0;
            return false;
        }
        if (measure.matched) {
            struct record made = {.print = event->print,
                                  .flags = pending->count == 0 ? RECORD_FIRST : 0};
            set_measure(worker, &made, meters[i], &measure);
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

static void take_event(void *context, const struct event *event, size_t record_offset,
                       struct text record_bytes)
{
    (void)record_bytes;
    struct worker *worker = context;
    uint64_t position =
        (uint64_t)worker->block.file_index << 48 | (worker->line_offset + record_offset);
    worker->is_late = event->at < worker->late_max && comes_too_late(worker, event);
    if (event->kind == EVENT_WITHDRAWAL) {
        if (worker->is_late) {
            worker->block_events.count++; /* it is in the file, all the same */
            worker->block_events.print += event->print;
        } else {
            take_withdrawal(worker, event, position);
        }
        return;
    }
    if (worker->is_late) {
        take_late_event(worker, event, position);
        return;
    }
    turn_ring(worker);
    struct pending *pending = ring_at(worker, worker->ring_added);
    pending->arrival = (struct arrival){
        .key = find_key(worker, event), .print = event->print, .position = position};
    pending->count = pending->units = 0;
    struct plain_measure plain;
    if (!measure_plain(worker, event, &plain, pending) &&
        !measure_simple(worker, event, plain.meters, plain.meter_count, pending)) {
        take_event_whole(worker, event, &pending->arrival, plain.meters, plain.meter_count);
        return;
    }
    pending->at = event->at;
    set_subject(worker, event, pending);
    worker->ring_added++;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static enum status open_csv(struct worker *worker)
{
    struct run *run = worker->run;
    if (worker->csv_header && worker->csv_file == worker->block.file_index) {
        return OK;
    }
    struct error inner;
    worker->csv_header = NULL;
    arena_rewind(&worker->header_arena, (struct arena_mark){0});
    enum status status = csv_header_read(&worker->header_arena, worker->block.header,
                                         run->csv_mapping, &worker->csv_header, &inner);
    if (status != OK) {
        (void)fail(&worker->err, status, "%s:1: %s",
                   feed_file_path(run->feed, worker->block.file_index), inner.message);
        return fail_hint(&worker->err, "%s", inner.hint);
    }
    worker->csv_file = worker->block.file_index;
    struct env *env = run->env;
    env->lock_take(env, run->lock);
    run->file_headers[worker->block.file_index] = worker->block.header;
    env->lock_give(env, run->lock);
    return OK;
}

/* What a file has in it, however it is cut, packed or ordered: for who reads it again. */
static void count_file_events(struct worker *worker)
{
    struct run *run = worker->run;
    struct event_count *events = &run->file_events[worker->block.file_index];
    struct event_count *refused = &run->file_refused[worker->block.file_index];
    run->env->lock_take(run->env, run->lock);
    events->count += worker->block_events.count;
    events->print += worker->block_events.print;
    refused->count += worker->block_refused.count;
    refused->print += worker->block_refused.print;
    if (run->restatement) {
        run->restatement->too_late += worker->block_too_late;
        add_outside(&run->restatement->outside, &worker->block_outside);
    }
    run->env->lock_give(run->env, run->lock);
    worker->block_events = worker->block_refused = (struct event_count){0};
    worker->block_too_late = 0;
    worker->block_outside = (struct outside){0};
}

/* Room for what is found of the texts of a block. */
static void prepare_block(struct worker *worker)
{
    uint32_t sources = segment_source_count(worker->segments) + 1;
    uint32_t subjects = segment_subject_count(worker->segments) + 1;
    uint32_t tuples = segment_tuple_count(worker->segments) + 1;
    if (sources > worker->block_source_capacity) {
        worker->block_source_capacity = sources * 2;
        worker->block_sources = arena_alloc(&worker->arena, worker->block_source_capacity *
                                                                sizeof *worker->block_sources);
    }
    if (subjects > worker->block_account_capacity) {
        worker->block_account_capacity = subjects * 2;
        worker->block_accounts = arena_alloc(&worker->arena, worker->block_account_capacity *
                                                                 sizeof *worker->block_accounts);
    }
    if (tuples > worker->block_tuple_capacity) {
        worker->block_tuple_capacity = tuples * 2;
        worker->block_tuples = arena_alloc(&worker->arena, worker->block_tuple_capacity *
                                                               sizeof *worker->block_tuples);
    }
    memset(worker->block_sources, 0, sources * sizeof *worker->block_sources);
    memset(worker->block_tuples, 0, tuples * sizeof *worker->block_tuples);
    for (uint32_t i = 0; i < subjects; i++) {
        worker->block_accounts[i] = UNKNOWN;
    }
}

/* Of a block of a segment: what takes the place of lines is events. */
static void read_segment(struct worker *worker)
{
    const struct feed_block *block = &worker->block;
    const struct text bytes = {block->bytes, block->size};
    const struct event *event;
    const char *fault;
    if (!worker->segments) {
        worker->segments = segment_reader_new(&worker->segment_arena);
    }
    uint32_t count = 0;
    if (segment_open(worker->segments, bytes, &fault)) {
        worker->line_offset = block->first_event;
        prepare_block(worker);
        for (; (event = segment_next(worker->segments, &fault)); count++) {
            take_event(worker, event, count, (struct text){0});
        }
    }
    if (fault) {
        add_letter(worker, REFUSE_SEGMENT, count, block->offset, bytes, fault);
    }
    worker->lines_read += count;
}

static void read_lines(struct worker *worker)
{
    const struct feed_block *block = &worker->block;
    const struct csv_header *header = block->format == FEED_CSV ? worker->csv_header : NULL;
    struct sink sink = {.context = worker, .event = take_event, .refused = take_finding};
    uint64_t line = 0;
    for (size_t at = 0; at < block->size; line++) {
        worker->line_in_block = line;
        worker->line_offset = block->offset + at;
        struct text rest = {block->bytes + at, block->size - at};
        bool is_first = block->is_first_of_file && line == 0;
        at += header ? decode_csv_next(worker->decoder, header, rest, is_first, &sink)
                     : decode_json_next(worker->decoder, rest, is_first, &sink);
    }
    worker->lines_read += line;
    feed_count_lines(worker->run->feed, block->file_index, block->block_index, (uint32_t)line);
}

/* The rest of the file is billed all the same, so that who bills is told. */
static void note_damage(struct worker *worker, struct damage *damage,
                        const struct feed_finding *finding)
{
    bool is_first = damage->count++ == 0 || finding->file_index < damage->file ||
                    (finding->file_index == damage->file && finding->offset < damage->offset);
    if (is_first) {
        damage->file = finding->file_index;
        damage->offset = finding->offset;
        damage->reason = text_format(&worker->arena, "%s", finding->reason).at;
    }
}

const char *change_format(struct arena *arena, const char *path, uint32_t count)
{
    const char *others = count > 1 ? text_format(arena, " (so with %u more)", count - 1).at : "";
    return text_format(arena,
                       "%s: the file changed while it was read%s: what was added or written over "
                       "may be missing; run it again when nobody writes to it",
                       path, others)
        .at;
}

static enum status read_block(struct worker *worker)
{
    const struct feed_block *block = &worker->block;
    const struct run *run = worker->run;
    worker->late_max = restatement_is_new(run, block->file_index) ? INSTANT_MAX : run->late_max;
    if (block->format == FEED_CSV && block->size > 0) {
        TRY(open_csv(worker));
    }
    if (block->format != FEED_SEGMENT) {
        read_lines(worker);
    } else if (block->size > 0) {
        read_segment(worker);
    }
    drain_ring(worker);
    for (uint32_t i = 0; i < block->finding_count; i++) {
        const struct feed_finding *finding = &block->findings[i];
        if (finding->refusal == REFUSE_NONE) {
            note_damage(worker, &worker->change, finding);
        } else {
            if (finding->refusal == REFUSE_ENCODING) {
                note_damage(worker, &worker->damage, finding);
            }
            add_letter(worker, finding->refusal, FEED_LINE_LAST, finding->offset, finding->head,
                       finding->reason);
        }
    }
    count_file_events(worker);
    return OK;
}

static enum status read_blocks(struct worker *worker)
{
    struct run *run = worker->run;
    TRY(spool_writer_new(run->arrivals, &worker->arrivals, &worker->err));
    TRY(spool_writer_new(run->records, &worker->records, &worker->err));
    worker->read_totals =
        arena_calloc(&worker->arena, run->catalog->meter_count + 1, sizeof *worker->read_totals);
    worker->decoder = decoder_new(&worker->decoder_arena);
    worker->meter_scratch = meter_scratch_new(&worker->meter_arena, run->catalog);
    worker->plain_cache = arena_alloc(&worker->arena, PLAIN_CACHE * sizeof *worker->plain_cache);
    memset(worker->plain_cache, 0xFF, PLAIN_CACHE * sizeof *worker->plain_cache);
    worker->series_cache = arena_alloc(&worker->arena, SERIES_CACHE * sizeof *worker->series_cache);
    memset(worker->series_cache, 0xFF, SERIES_CACHE * sizeof *worker->series_cache);
    worker->pending = arena_calloc(&worker->arena, RING, sizeof *worker->pending);
    for (;;) {
        TRY(feed_next(run->feed, worker->index, &worker->block, &worker->err));
        if (!worker->block.bytes) {
            return OK;
        }
        TRY(read_block(worker));
        if (run_is_stopped(run)) {
            return OK;
        }
        run_progress(run, worker->index, "reading events", feed_bytes_read(run->feed),
                     feed_bytes_total(run->feed));
    }
}

static void flush_spool(struct worker *worker, struct spool_writer **writer)
{
    if (*writer) {
        struct error err;
        enum status status = spool_flush(*writer, &err);
        if (status != OK && !worker->failed) {
            worker->err = err;
            worker_fail(worker, status);
        }
        *writer = NULL;
    }
}

static void read_work(void *argument, int index)
{
    struct run *run = argument;
    struct worker *worker = &run->workers[index];
    jmp_buf recover;
    if (ARENA_RECOVER(&worker->arena, recover)) {
        enum status status =
            fail(&worker->err, ERR_LIMIT, "the memory limit is reached while events are read");
        (void)fail_hint(&worker->err, "allow more with --memory: accounts, resources and "
                                      "dimension values are kept in memory");
        worker_fail(worker, status);
    } else {
        worker->decoder_arena.recover = worker->meter_arena.recover = &recover;
        worker->segment_arena.recover = worker->header_arena.recover = &recover;
        enum status status = read_blocks(worker);
        if (status != OK) {
            const struct feed_block *block = &worker->block; /* without bytes: the feed failed */
            worker->failed_at =
                block->bytes ? (uint64_t)block->file_index << 32 | block->block_index : UINT64_MAX;
            worker_fail(worker, status);
        }
    }
    flush_spool(worker, &worker->arrivals);
    flush_spool(worker, &worker->records);
    arena_release(&worker->segment_arena); /* a block takes what billing needs */
    worker->segments = NULL;
}

/* Overrides are no part of the catalog, and their dates none of its edges. */
static bool has_dated_override(const struct run *run, uint32_t account)
{
    uint32_t override = run->accounts->items[account].override;
    if (override == NONE) {
        return false;
    }
    const struct price_set *set = &run->accounts->overrides[override].prices;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        if ((price->from > run->period.from && price->from < run->cuts_end) ||
            (price->to > run->period.from && price->to < run->cuts_end)) {
            return true;
        }
    }
    return false;
}

/* Those of accounts for which nothing changes in what is billed. */
void run_find_payers(struct run *run)
{
    const struct accounts *accounts = run->accounts;
    run->steady_payer = arena_alloc(&run->table_arena, (accounts->count + 1) * sizeof(uint32_t));
    for (uint32_t account = 0; account < accounts->count; account++) {
        instant next;
        (void)accounts_edge(accounts, run->catalog, account, run->period.from, &next);
        bool is_steady = next >= run->cuts_end && !has_dated_override(run, account);
        is_steady = is_steady && !(accounts->view_count > 0 && account == accounts->nobody);
        run->steady_payer[account] =
            is_steady ? accounts_payer(accounts, account, run->period.from) : NONE;
    }
    run->has_steady_slots =
        !run->has_cuts && run->catalog->slot_clock_count == 0 && !run->catalog->has_meter_clocks;
    const instant into_hour = run->period.from % NS_PER_HOUR;
    run->first_hour = run->period.from - into_hour;
    run->into_hour_s = (uint32_t)((into_hour + NS_PER_SECOND - 1) / NS_PER_SECOND);
}

enum status run_read(struct run *run)
{
    account_finder_init(&run->finder, &run->table_arena, run->accounts, &run->secret);
    run->file_headers =
        arena_calloc(&run->arena, feed_file_count(run->feed) + 1, sizeof *run->file_headers);
    run->file_events =
        arena_calloc(&run->arena, feed_file_count(run->feed) + 1, sizeof *run->file_events);
    run->file_refused =
        arena_calloc(&run->arena, feed_file_count(run->feed) + 1, sizeof *run->file_refused);
    return run_threads(run, read_work);
}
