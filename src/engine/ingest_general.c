/* ingest_general.c - events of many records: of several meters, in pieces, for several payers.
 *
 * All records of an event are made first, each with the partition that it goes to.  Those of one
 * partition go there as a group, whose first record says that it begins; the event is counted by
 * one of the groups, and the others are elsewhere.
 */
#include "engine/ingest.h"
#include "engine/load.h"
#include "engine/strangers.h"
#include "engine/waiting.h"

#include <assert.h>

enum {
    UNITS_MAX = SPOOL_CHUNK_BYTES / sizeof(struct record),
    WIDE_UNITS = 2,
    KEY_UNITS =
        1 + (sizeof(struct record_tail) + 2 * ATTRIBUTE_MAX_BYTES + sizeof(struct record) - 1) /
                sizeof(struct record),
};
static_assert(EVENT_METERS_MAX * WIDE_UNITS <= UNITS_MAX);
static_assert(EVENT_METERS_MAX / EVENT_METER_WITH_KEY * KEY_UNITS <= UNITS_MAX);

/* The records of one event, and the partition of each. */
struct event_records {
    struct record units[UNITS_MAX];
    uint16_t partitions[UNITS_MAX];
    uint32_t used, count;
    uint32_t reserved; /* units that meters to come may take */
};

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

/* ---- on their way ---------------------------------------------------------------------------- */

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
    records_emit(worker, partition, part, used);
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
        records_emit(worker, main, records->units, records->used);
    }
}

/* An event and its records; it is counted where the first of them goes. */
static void emit_event(struct worker *worker, const struct event_records *records,
                       struct arrival *arrival)
{
    const uint32_t main = records->partitions[0];
    arrival->partition = (uint16_t)main;
    arrival_emit(worker, arrival);
    emit_parts(worker, records, main);
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
    if (*is_counted) {
        emit_parts(worker, records, NOWHERE);
    } else {
        emit_event(worker, records, arrival);
    }
    *is_counted = true;
}

/* ---- from the ring --------------------------------------------------------------------------- */

static void place_pending(struct worker *worker, const struct pending *pending, uint32_t account,
                          struct event_records *records)
{
    memcpy(records->units, pending->records, pending->units * sizeof *records->units);
    records->used = pending->units;
    records->count = pending->count;
    struct record *at = records->units;
    for (uint32_t i = 0; i < pending->count; i++) {
        records->partitions[i] = (uint16_t)record_place(worker, at, account, pending->meters[i],
                                                        pending->grains[i], pending->at);
        at += 1 + at->tail_units;
    }
}

__attribute__((cold, noinline)) void ingest_finish_copies(struct worker *worker,
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

__attribute__((noinline)) void ingest_finish_several(struct worker *worker, struct pending *pending)
{
    struct event_records records;
    place_pending(worker, pending, pending->arrival.account, &records);
    emit_event(worker, &records, &pending->arrival);
}

/* ---- tails ----------------------------------------------------------------------------------- */

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
    size_t size = RECORD_TAIL_BYTES + (dec_is_small(measure->value) ? 0 : RECORD_WIDE_BYTES);
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

/* ---- echoes ---------------------------------------------------------------------------------- */

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

/* A record once more, as it was made, for another payer, whose slot begins at start; false when
 * there is no room. */
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

/* The next stretch of time in which somebody is billed for the account, from span->to on, and who;
 * false where bills end. */
static bool next_billed(const struct run *run, uint32_t account, struct period *span,
                        uint32_t *payer)
{
    do {
        span->from = span->to;
        if (!payers_next(run, account, &span->to, payer)) {
            return false;
        }
    } while (!accounts_is_billed(run->accounts, run->catalog, *payer, span->from));
    return true;
}

static bool is_among(const uint32_t *payers, uint32_t count, uint32_t payer)
{
    uint32_t i = 0;
    while (i < count && payers[i] != payer) {
        i++;
    }
    return i < count;
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
    /* What nobody but a view was billed for is not excluded, but was told as well. */
    bool was_told = has_opening &&
                    (at < run->period.from ||
                     (is_outside &&
                      run_was_billed(run, accounts_payer(run->accounts, record->account, at), at)));
    uint32_t payers[PAYERS_MAX], count = 0, payer;
    struct period span = {.to = at > run->period.from ? at : run->period.from};
    while (next_billed(run, record->account, &span, &payer)) {
        struct period cut;
        instant start;
        if (is_among(payers, count, payer) || !first_in_cut(run, payer, span, &cut, &start)) {
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

/* Whether a bill of this run has what an account's event says, the account's own or a view's. */
static bool is_in_a_bill(const struct run *run, uint32_t account, instant at)
{
    const struct accounts *accounts = run->accounts;
    const uint32_t own = accounts_own(accounts, account);
    bool is_in = false;
    for (uint32_t i = accounts->copy_first[own]; !is_in && i <= accounts->copy_first[own + 1];
         i++) {
        const uint32_t one = i == accounts->copy_first[own] ? own : accounts->copies[i - 1];
        const uint32_t payer = accounts_payer(accounts, one, at);
        struct period cut;
        is_in =
            accounts_is_billed(accounts, run->catalog, payer, at) && run_cut(run, payer, at, &cut);
    }
    return is_in;
}

/* The last value of a gauge is known to others that pay for its account as a turn of theirs begins;
 * to its own payer it goes from turn to turn (book_carry).  One that no bill has had is known to
 * nobody, as one before the period is. */
static void add_gauge_echoes(struct worker *worker, struct event_records *records,
                             const struct record *record, const struct record *made, instant at)
{
    const struct run *run = worker->run;
    uint32_t payers[PAYERS_MAX], count = 1, payer;
    bool is_elsewhere = records->partitions[records->count - 1] == NOWHERE;
    if (is_elsewhere && !is_in_a_bill(run, made->account, at)) {
        return;
    }
    payers[0] = accounts_payer(run->accounts, record->account, at);
    struct period span = {.to = at};
    while (next_billed(run, record->account, &span, &payer)) {
        uint32_t cut = run->cut_first[payer];
        while (cut < run->cut_first[payer + 1] &&
               (run->cuts[cut].from < span.from || !begins_turn(run, payer, cut))) {
            cut++;
        }
        if (is_among(payers, count, payer) || cut == run->cut_first[payer + 1] ||
            run->cuts[cut].from >= span.to) {
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

/* ---- pieces ---------------------------------------------------------------------------------- */

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

/* Adds the pieces, each the whole but for value, account and slot; false when they have no room, or
 * their values none. */
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
        bool is_wide = !dec_is_small(value);
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
            record_set_wide(record, value, at);
        }
        records->partitions[records->count - 1] =
            (uint16_t)record_place(worker, record, account, index, meter->grain, at);
        is_first = false;
        at = of.to;
    } while (at < spread.span.to);
    return true;
}

/* ---- all meters of an event ------------------------------------------------------------------ */

static void add_measure(struct worker *worker, struct event_records *records,
                        const struct event *event, uint32_t account, uint32_t index,
                        struct measure *measure)
{
    const struct run *run = worker->run;
    const struct meter *meter = &run->catalog->meters[index];
    bool is_wide = !dec_is_small(measure->value);
    struct record made = {.print = event->print, .flags = records->count == 0 ? RECORD_FIRST : 0};
    if (is_wide || meter_keeps_key(meter)) {
        made.flags |= RECORD_TAIL;
        made.flags |= is_wide ? RECORD_WIDE : 0;
        made.tail_units = (uint8_t)tail_units(event, meter, measure);
    }
    record_set_measure(worker, &made, index, measure);
    struct record *record = add_record(records, &made);
    records->partitions[records->count - 1] =
        (uint16_t)record_place(worker, record, account, index, meter->grain, event->at);
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
               event->at >= run->period.from && !(record->flags & RECORD_EXCLUDED) &&
               run->steady_payer[account] == NONE) {
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
    record_set_measure(worker, &whole, index, measure);
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
        const struct meter *meter = &run->catalog->meters[meters[i]];
        struct measure measure;
        meter_apply(run->catalog, meter, event, worker->read.meter_scratch, &measure);
        records->reserved -= units_of(meter);
        if (!measure.matched) {
            continue;
        }
        if (worker->read.is_late) {
            measure.exclusion = EXCLUDE_LATE;
        }
        const struct record *record = &records->units[records->used];
        bool is_spread = meter->spread_from && account != NONE && measure.exclusion == EXCLUDE_NONE;
        (is_spread ? add_spread : add_measure)(worker, records, event, account, meters[i],
                                               &measure);
        /* Unless it is excluded for another reason, which goes before. */
        if (record_exclusion(record) == EXCLUDE_UNKNOWN_SKU &&
            records->partitions[records->count - 1] != NOWHERE) {
            strangers_note(&worker->read.unknown_sku,
                           account_hash(&run->finder, measure.unknown_sku), position,
                           measure.unknown_sku);
        }
    }
    if (records->count == 0) {
        struct record none = record_of_no_meter(event);
        records->partitions[0] =
            (uint16_t)record_place(worker, &none, account, NONE, GRAIN_HOUR, event->at);
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

__attribute__((cold, noinline)) void ingest_general(struct worker *worker,
                                                    const struct event *event,
                                                    struct arrival *arrival, const uint32_t *meters,
                                                    uint32_t count)
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
    if (arrival->account == NONE && record_exclusion(records.units) != EXCLUDE_NO_METER) {
        strangers_note(&worker->read.no_account, subject, arrival->position, TEXT(""));
    }
    emit_event(worker, &records, arrival);
}
