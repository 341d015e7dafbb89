/* usage.h - what happened, counted: events to usage rows, with the proof that none is lost.
 *
 *     event --meter_apply--> measure --> record --+--> those that count --book_fold--> usage rows
 *       |                                         |                                        |
 *       +--> arrival --dedup--> verdicts ---------+                                        |
 *                                                 |                                        |
 *       totals of all records less those that verdicts take out  ==  of rows and exclusions
 *
 * Every aggregation is a commutative monoid: rows do not depend on the order of events, on how
 * they were split over files, or on threads.  Sums are 256 bits wide, so no partial sum
 * overflows; ranges are checked when a state is read.
 *
 * Each (accepted event, meter that matches it) is in exactly one usage row or one named
 * exclusion.  This is not believed but checked, on every run, by counts, exact sums and
 * fingerprints that bind an event to its row (struct total).
 */
#ifndef FARTHING_USAGE_USAGE_H
#define FARTHING_USAGE_USAGE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/calendar.h"
#include "base/decimal.h"
#include "base/hash.h"
#include "base/text.h"
#include "catalog/accounts.h"
#include "catalog/catalog.h"
#include "catalog/hold.h"
#include "decode/event.h"

/* ---- exclusions ------------------------------------------------------------------------------ */

/* Why an accepted event is on no line, in order of precedence.  What a catalog decides is here and
 * not among the refusals, so that a later catalog can lift it. */
enum exclusion {
    EXCLUDE_NONE = 0,
    EXCLUDE_WITHDRAWN,     /* a withdrawal names it */
    EXCLUDE_NO_METER,      /* no meter takes its type, or each one's filter is false */
    EXCLUDE_NO_ACCOUNT,    /* its subject is no account */
    EXCLUDE_OUT_OF_PERIOD, /* its time lies outside the period that is billed */
    EXCLUDE_LATE,          /* it came when usage of its time was not billed any more */
    EXCLUDE_FIELD_MISSING, /* a member the meter needs is not there */
    EXCLUDE_FIELD_TYPE,    /* a member has the wrong type: a text where a number is wanted */
    EXCLUDE_EXPRESSION,    /* an expression of the meter fails on it: zero divisor, range */
    EXCLUDE_NEGATIVE,      /* a negative value where the meter forbids it */
    EXCLUDE_UNKNOWN_SKU,   /* the SKU it names is not in the catalog */
    EXCLUDE_UNPRICED,      /* of a row: no price matches */
    EXCLUDE_FREE,          /* of a row: an allowance took it and emits no line */
    EXCLUSIONS
};
const char *exclusion_name(enum exclusion exclusion); /* "NO_ACCOUNT" */

/* ---- meters ---------------------------------------------------------------------------------- */

/* Which meters an event type has; made once per catalog. */
struct meter_plan;
struct meter_plan *meter_plan_new(struct arena *arena, const struct catalog *catalog);
/* The meters of an event type, or count 0. */
const uint32_t *meter_plan_find(const struct meter_plan *plan, struct text type, uint32_t *count);

/* What a meter makes of an event. Texts point into the event or the catalog. */
enum { DIMENSIONS_MAX = 32 };
struct measure {
    enum exclusion exclusion;
    bool matched; /* false: the filter says no; nothing else is set */
    uint32_t sku;
    struct text dimensions[DIMENSIONS_MAX]; /* of the meter, in its order */
    uint32_t dimension_count;
    struct text resource;
    struct dec value;
    struct text key;         /* of a meter that counts unique ones */
    struct period spread;    /* of a meter that spreads its events */
    struct text unknown_sku; /* of EXCLUDE_UNKNOWN_SKU; valid until the next event */
};

/* An event that took time: its value belongs to all of it alike. */
struct spread {
    struct period span;
    struct dec value;
};
/* What of the value belongs to a piece of the span; pieces add up to the value.  A span of no
 * length is a piece of itself.  False when a part has more than 38 digits. */
bool spread_piece(const struct spread *spread, struct period piece, struct dec *value);

/* Scratch memory of one thread, for one catalog and its plan: expression slots, names met last. */
struct meter_scratch;
struct meter_scratch *meter_scratch_new(struct arena *arena, const struct catalog *catalog);
/* meter_plan_find of the event's type, sooner for types that come again. */
const uint32_t *meter_find(const struct meter_plan *plan, struct meter_scratch *scratch,
                           const struct event *event, uint32_t *count);
void meter_apply(const struct catalog *catalog, const struct meter *meter,
                 const struct event *event, struct meter_scratch *scratch, struct measure *out);

/* What most events come to: one meter takes it, which has no key, dimension or resource and a
 * constant SKU or one that is a plain member, and nothing is wrong with what it reads. */
struct plain_measure {
    const uint32_t *meters; /* of the event, unless it is measured: as meter_find says */
    uint32_t meter_count;
    uint32_t meter, sku;
    enum grain grain; /* of the meter */
    struct dec value;
    uint32_t *number; /* what the caller keeps of this meter and SKU; NONE at first */
};
/* What is known of the plain events of one tuple (struct event): all but the value. */
struct plain_tuple {
    uint32_t meter, sku, number; /* as above */
    enum grain grain;
    bool is_known, is_from_text, may_be_negative;
    uint16_t value_at; /* of its members; MEMBERS_MAX: each is 1 */
};
enum plain_taken {
    PLAIN_NOT,  /* meter_apply is to be asked */
    PLAIN_LEFT, /* the filter says no; nothing is set */
    PLAIN_MEASURED
};
/* The same as meter_apply, sooner.  tuple: what was found of that of the event before, zero at
 * first; NULL for an event that has none. */
enum plain_taken meter_take_plain(const struct meter_plan *plan, struct meter_scratch *scratch,
                                  const struct event *event, struct plain_tuple *tuple,
                                  struct plain_measure *out);

/* ---- series: what a row is about, but for account and time ----------------------------------- */

struct series {
    uint32_t meter, sku;
    struct text resource;
    const struct text *dimensions; /* of the meter, in its order */
    uint64_t hash;
    uint32_t
        rank; /* order by (resource, SKU name, dimension values, meter name); set by series_rank */
    uint8_t aggregate, grain; /* of the meter, which is far from here */
};
_Static_assert(sizeof(struct series) == 48 || sizeof(void *) != 8, "series are read at random");

/* A table that gives equal series one number. Numbers depend on arrival and never reach a result:
 * ranks do.  Items never move, so a thread that was given a number may read its item while another
 * adds. */
enum { SERIES_FIRST = 1024, SERIES_CHUNKS = 20 }; /* chunk k has SERIES_FIRST << k items */
struct series_table {
    struct arena *arena;
    struct series *chunks[SERIES_CHUNKS];
    uint32_t count;
    uint32_t *slots;
    uint32_t slot_mask;
    const struct catalog *catalog;
};

static inline struct series *series_at(const struct series_table *table, uint32_t index)
{
    uint32_t shifted = index / SERIES_FIRST + 1;
    uint32_t chunk = 31u - (uint32_t)__builtin_clz(shifted);
    return &table->chunks[chunk][index - (((1u << chunk) - 1) * SERIES_FIRST)];
}
bool series_equal(const struct series *series, uint64_t hash, uint32_t meter, uint32_t sku,
                  struct text resource, const struct text *dimensions, uint32_t dimension_count);
void series_table_init(struct series_table *table, struct arena *arena,
                       const struct catalog *catalog);
uint64_t series_hash(uint32_t meter, uint32_t sku, struct text resource,
                     const struct text *dimensions, uint32_t dimension_count);
/* NONE when it is not there. */
uint32_t series_find(const struct series_table *table, uint64_t hash, uint32_t meter, uint32_t sku,
                     struct text resource, const struct text *dimensions, uint32_t dimension_count);
/* Adds what series_find did not find, copying the texts.  More than SERIES_CHUNKS hold, a billion,
 * are the same as memory that ran out. */
uint32_t series_add(struct series_table *table, uint64_t hash, uint32_t meter, uint32_t sku,
                    struct text resource, const struct text *dimensions, uint32_t dimension_count);
/* Sets every rank: equal for equal content, whatever the numbers. */
void series_rank(struct series_table *table);

/* ---- slots ----------------------------------------------------------------------------------- */

/* The start of the slot that holds at: the hour (unless the meter's grain is the month), or later,
 * where the cut begins, something about the series changed for the account (catalog/hold.h), or a
 * clock of its price turned. */
instant slot_start(const struct catalog *catalog, const struct accounts *accounts, uint32_t account,
                   const struct series *series, struct period cut, instant at);
/* The end of the slot that starts there. */
instant slot_end(const struct catalog *catalog, const struct accounts *accounts, uint32_t account,
                 const struct series *series, struct period cut, instant start);

/* ---- arrivals and records: events on their way ----------------------------------------------- */

/* One for each record of the input that is an event or a withdrawal: what tells whether its event
 * came before.  32 bytes. */
struct arrival {
    uint64_t key;       /* keyed hash of (source, id): identity */
    uint64_t print;     /* fingerprint of the content */
    uint64_t position;  /* file << 48 | offset of the record in the file */
    uint32_t account;   /* NONE: no account */
    uint16_t partition; /* of the books: where its records are */
    bool is_withdrawal; /* takes back the event with its key; it has no records */
};
_Static_assert(sizeof(struct arrival) == 32, "arrivals are 32 bytes");

enum record_flag {
    RECORD_FIRST = 1,    /* the first record of its event; others of the event follow it */
    RECORD_EXCLUDED = 2, /* series says why: record_exclusion */
    RECORD_TAIL = 4,     /* followed by units that hold its tail */
    RECORD_WIDE = 8,     /* the value does not fit: tail starts with 16 bytes of mantissa */
    RECORD_PIECE = 16,   /* a piece of a spread event, not the first: counts no event */
    RECORD_ECHO = 32, /* no usage: of a level or gauge, for another payer of the account later on */
    RECORD_ELSEWHERE = 64, /* with RECORD_FIRST: the event is counted in another partition */
    RECORD_CARRIED = 128,  /* a sample that came with the opening: it is billed already */
};

/* One (event, meter) on its way to its payer's book, 32 bytes (+ tail units of 32).  Those of one
 * event are adjacent. */
struct record {
    _Alignas(16) uint64_t print; /* of the event; aligned for a tail's 128-bit number */
    int64_t mantissa;
    uint32_t account; /* NONE: excluded */
    uint32_t series;
    uint32_t slot_s; /* start of the slot, seconds after the run's first instant */
    uint8_t flags;
    uint8_t scale;      /* of the value */
    uint8_t tail_units; /* that follow */
    uint8_t form;       /* enum record_form */
};
_Static_assert(sizeof(struct record) == 32, "records are 32 bytes");

/* What an excluded record has in place of a series: why, and its meter, or NONE. */
enum { RECORD_NO_METER = 0xFFFF };
static inline void record_exclude(struct record *record, enum exclusion reason, uint32_t meter)
{
    record->flags |= RECORD_EXCLUDED;
    record->series = (uint32_t)reason << 16 | (meter & RECORD_NO_METER);
}
static inline enum exclusion record_exclusion(const struct record *record)
{
    return record->flags & RECORD_EXCLUDED ? (enum exclusion)(record->series >> 16) : EXCLUDE_NONE;
}
static inline uint32_t record_excluded_meter(const struct record *record)
{
    const uint32_t meter = record->series & RECORD_NO_METER;
    return meter == RECORD_NO_METER ? NONE : meter;
}

/* What a record of a sampled meter is, once sorted to disk, or carried in. */
enum record_form {
    RECORD_OF_EVENT,
    RECORD_SAMPLE, /* counts nothing; its print is how many equal ones it stands for; of an average
                      their sum is its value */
    RECORD_TOTAL,  /* what those of a row count: its tail is a struct total */
};

/* The tail of a record: what the order of `latest`, or a row of one event, needs.  When
 * RECORD_WIDE, 16 bytes of mantissa come before it. */
struct record_tail {
    instant at; /* exact time, and */
    uint16_t source_size, id_size;
    char texts[]; /* source and id, of meters that meter_keeps_key; of unique ones the key, as
                     source */
};
enum { RECORD_TAIL_BYTES = offsetof(struct record_tail, texts), RECORD_WIDE_BYTES = sizeof(i128) };

static inline struct record_tail *record_tail(struct record *record)
{
    size_t offset = record->flags & RECORD_WIDE ? RECORD_WIDE_BYTES : 0;
    return (struct record_tail *)(void *)((char *)(record + 1) + offset);
}

/* ---- dedup ----------------------------------------------------------------------------------- */

/* What dedup has found about the records of a partition of the books: of the events with this
 * fingerprint and account so many copies go, and the one that stays is withdrawn or not.  Copies
 * are equal, so that it does not matter which of them go.  (The account is there against one tenant
 * who makes a fingerprint that equals another's.) */
struct verdict {
    uint64_t print;
    uint32_t account;
    uint32_t copies;
    bool is_withdrawn;
};
_Static_assert(sizeof(struct verdict) == 24, "verdicts are 24 bytes");

/* What dedup found in one partition of keys, in an order that depends on that of the arrivals; what
 * the callbacks count and hand on must not. */
struct dedup_sink {
    void *context;
    /* An accepted event came in so many copies more. */
    void (*duplicate)(void *context, const struct arrival *first, uint32_t copies);
    /* A group that only the bytes can decide: contents differ under one identity hash, or a
     * withdrawal is among them. */
    void (*undecided)(void *context, const struct arrival *const *group, uint32_t count);
};

/* Arrivals of a partition, in pieces of memory: as many as have places of 31 bits. */
enum { DEDUP_CHUNK_MAX = 2048, DEDUP_CHUNKS_MAX = 1 << 20 };
struct arrival_chunk {
    const struct arrival *arrivals;
    uint32_t count; /* at most DEDUP_CHUNK_MAX */
};

/* Memory for dedup_partition that is kept between calls; grows in its arena. */
struct dedup_memory {
    struct arena *arena;
    uint32_t *slots; /* places of arrivals */
    uint32_t slot_count, slot_capacity;
    uint64_t *more; /* place of the first of a key << 32 | that of another */
    uint32_t more_count, more_capacity;
};
/* What it takes, besides the arrivals. */
size_t dedup_memory_bytes(const struct dedup_memory *memory);

/* Events that are accepted without a look at their bytes, and the sum of their fingerprints. */
struct dedup_accepted {
    uint64_t count, print;
};

/* Every arrival of the partition is one of the accepted, counted in duplicate, or in an undecided
 * group.  Chunks are at most DEDUP_CHUNKS_MAX. */
struct dedup_accepted dedup_partition(struct dedup_memory *memory,
                                      const struct arrival_chunk *chunks, uint32_t chunk_count,
                                      const struct dedup_sink *sink);

/* ---- books ----------------------------------------------------------------------------------- */

/* What is counted on both sides of every step.  bound binds each event to the row it belongs to, so
 * an event that moved to another row is seen as well as one lost or doubled. */
struct total {
    uint64_t count;
    struct wide sum;
    uint64_t print, bound;
};
void total_add(struct total *total, const struct total *other);
void total_subtract(struct total *total, const struct total *other);
/* Counts a record: under its meter, in the row or exclusion that it names. */
void total_count(struct total *total, const struct record *record);
bool total_equal(const struct total *a, const struct total *b);

/* What binds an event to its row. */
static inline uint64_t row_key(uint32_t account, uint32_t series, uint32_t slot_s)
{
    uint64_t key = ((uint64_t)account << 32 | series) * UINT64_C(0x9E3779B97F4A7C15);
    return (key ^ (key >> 29) ^ slot_s) * UINT64_C(0xD6E8FEB86659FD93);
}
static inline uint64_t bind_event(uint64_t print, uint64_t row_key)
{
    uint64_t x = (print ^ row_key) * UINT64_C(0xBF58476D1CE4E5B9);
    return x ^ (x >> 32);
}

/* The event that a row is of. */
struct event_name {
    instant at;
    struct text source, id;
};

/* The state of one meter, account, series and slot; with `grain: event` one for each event. */
struct usage_row {
    uint32_t account, series, slot_s;
    uint32_t rank;                  /* of the series */
    uint32_t value;                 /* what the total does not hold, in book->values; NONE */
    const struct event_name *event; /* with `grain: event`; else NULL */
    instant to;                     /* end of the slot; set by book_close, and so is */
    struct dec quantity;            /* what the meter makes of it, less what was billed */
    struct total total;
};

/* When a row of usage is: its event's instant, or the start of its slot.  base: what slot_s counts
 * from. */
static inline instant row_at(const struct usage_row *row, instant base)
{
    return row->event ? row->event->at : base + (instant)row->slot_s * NS_PER_SECOND;
}

/* What a row holds besides its total: the picked value, or what its samples come to. */
struct usage_value {
    bool has_value;
    bool carried; /* holds a state that came with the opening */
    struct dec value;
    struct dec billed; /* what a bill of an earlier part of the slot has counted of it already */
    instant at;
    struct text source, id;
    struct exact integral;  /* of a level over the slot, in seconds */
    uint64_t place;         /* of its first sample, as book_sample was told */
    uint64_t carried_count; /* of samples, or of values of an average, that came with the opening */
    struct wide carried_sum; /* of the latter */
};

/* The value of a gauge, or a level, on its way from bill to bill. */
struct meter_state {
    uint32_t account, series;
    struct dec value;
    instant at; /* of the event that it is from */
    /* When it is so: as the bill ended that tells it, or as its account left the payer. */
    instant told;
    struct text source, id;
    bool is_open; /* of a slot, or level, that goes on: the bill was cut inside it */
    bool is_lent; /* of a level inside its bill: for others alone, who begin then */
};
struct meter_states {
    struct meter_state *items;
    uint32_t count, capacity;
};

/* An exclusion of an account: events that a meter matched and that are on no row. */
struct excluded {
    uint32_t account; /* NONE */
    enum exclusion reason;
    uint32_t meter; /* NONE */
    struct total total;
};

/* Those of a payer: one for each (account, reason, meter), found by a map, for there may be as many
 * as accounts. */
struct exclusions {
    struct excluded *items; /* as they came, until they are sorted */
    uint32_t count, capacity, last;
    struct map places;
};
/* The total of one; made when it is not there.  Until the next is asked for. */
struct total *exclusions_find(struct exclusions *list, struct arena *arena, uint32_t account,
                              enum exclusion reason, uint32_t meter);
/* By (account, reason, meter); none is found behind it. */
void exclusions_sort(struct exclusions *list);

/* The level of a time-weighted meter of one account and series. */
struct level {
    struct meter_state state; /* told: what came before is all in it */
    instant since;            /* up to then it is in rows */
    bool is_with;             /* its account is the payer's there, or was until the cut's end */
    instant with_to;          /* and this holds until then */
    bool is_lent;             /* what it was at view->lends_at is noted */
};

/* Where the reading of samples is. */
struct sample_reading {
    uint32_t row;                          /* NONE */
    uint64_t seen;                         /* of its samples */
    uint64_t wanted;                       /* percentile: the sample that is it, counted from 1 */
    uint64_t seen_carried, wanted_carried; /* the same of those that came with the opening */
    struct buffer key;                     /* unique: the last */
    uint32_t level;                        /* NONE */
    uint32_t told;                         /* of the levels carried in, the next */
    struct period slot;                    /* of the level, where it stands, and */
    bool is_paid;                          /* whether the payer pays for it there */
    struct buffer source, id;              /* of the last change */
    bool is_begun;
};

struct book {
    struct arena *arena;
    struct usage_row *rows;
    uint32_t row_count, row_capacity;
    struct usage_value *values;
    uint32_t value_count, value_capacity;
    struct exclusions excluded;
    uint32_t *slots;
    uint32_t slot_mask, slot_count; /* taken: rows of single events have none */
    bool has_events;                /* some rows are of one event */
    struct level *levels;           /* as the cut ends, by account and series */
    uint32_t level_count, level_capacity;
    struct sample_reading reading;
    struct meter_states told; /* levels that were carried in */
    struct meter_states left; /* levels of accounts that have left the payer, as they did; and those
                                 that have become nothing, of accounts that may yet leave */
    struct meter_states lent; /* levels that change behind view->lends_at, as they were then */
    struct meter_states kept; /* states that make no row in this bill, but go on */
};
/* records_expected: so many will be folded, more or less.  How much memory a book takes from the
 * arena is a function of its rows, and not of the order of records. */
void book_init(struct book *book, struct arena *arena, size_t records_expected);
/* Merges a record: any order, any grouping, same book. */
void book_fold(struct book *book, const struct record *record, const struct series_table *series,
               const struct catalog *catalog);
/* Takes in a state from the bill before.  begins_turn: a turn of the bill's clock begins with this
 * bill; then a meter with `carry` starts from the state, and others forget it.  Inside a turn an
 * open slot goes on, counting only what is new, and any other state is kept for later; so is that
 * of an account for which the payer does not pay as the bill begins: !is_paid.  A level is what it
 * is when it is told, whoever pays then, whatever changes are known from before. */
void book_carry(struct book *book, const struct meter_state *state, uint32_t slot_s, bool is_paid,
                bool begins_turn, const struct series_table *table);
/* The order in which the records of sampled meters are read: by account, series and slot, then
 * percentile: by value; unique: by key; time_weighted: by time, source and id; the row's total
 * last. Equal records are interchangeable.  Others come in some order. */
int record_compare(const struct record *a, const struct record *b,
                   const struct series_table *series, const struct catalog *catalog);
bool record_is_sample(const struct record *record, const struct series_table *series,
                      const struct catalog *catalog);
bool record_same_row(const struct record *a, const struct record *b);
/* Of the record of an event, when its row's total has counted it. */
void record_to_sample(struct record *record);
/* How many equal samples it stands for. */
uint64_t record_count(const struct record *record);
/* The value of a record, and the key of one of a unique meter. */
struct dec record_value(const struct record *record);
struct text record_key(const struct record *record);
enum record_joint {
    RECORDS_APART,
    RECORDS_KEPT,  /* the first stands for both */
    RECORDS_TAKEN, /* the second does */
};
/* Two samples, or two totals, that are neighbours in the order, as one: percentile: of one value;
 * unique: of one key; time_weighted: of one instant. */
enum record_joint record_join(struct record *first, struct record *second,
                              const struct series_table *series, const struct catalog *catalog);
/* Where usage is looked at from: what samples and ends of slots depend on. */
struct book_view {
    const struct series_table *series;
    const struct catalog *catalog;
    const struct accounts *accounts;
    uint32_t payer;
    instant base; /* what slot_s counts from */
    struct period cut;
    instant lends_at;       /* inside the cut, as bills of other turns begin; 0: never */
    const uint32_t *steady; /* by account: not NONE where nothing but the hour ends a slot inside
                               the cut; NULL: of none is that known */
};
/* When all records are folded and states carried: the records of sampled meters once more, in the
 * order of record_compare, then book_samples_end.  The state of such a meter is this sorted
 * sequence, which may be merged of any parts, in memory or not; here it is read without being held.
 * place: where the record lies, for who reads a row's samples again.  ERR_OVERFLOW. */
enum status book_sample(struct book *book, const struct book_view *view,
                        const struct record *record, uint64_t place, struct error *err);
enum status book_samples_end(struct book *book, const struct book_view *view, struct error *err);
/* Reads the states, ends the slots and sorts the rows in the total order (time, account, resource,
 * SKU, dimension values, and of single events source, id).  ERR_OVERFLOW names the row whose
 * quantity left the range. */
enum status book_close(struct book *book, const struct book_view *view, struct error *err);
/* True when the cut ends inside the row's slot, in a turn that ends at turn_to, and its state is
 * more than one value: an average, unique or percentile. */
bool book_row_is_cut(const struct book *book, const struct book_view *view, instant turn_to,
                     uint32_t row);
/* The states that go on after the bill of the view's cut, in a turn that ends at turn_to: of meters
 * with `carry`, of slots that the cut ends but nothing else does, and levels; for each account and
 * series the last one, and levels that have left; sorted by (account, series rank).  with_all: also
 * levels of accounts that are not the payer's as the cut ends.  Returns how many. */
uint32_t book_states(struct arena *arena, const struct book *book, const struct book_view *view,
                     instant turn_to, bool with_all, struct meter_state **states);
/* Adds rows and exclusions to totals[meter], and those without a meter to totals[meter_count]. */
void book_totals(const struct book *book, const struct series_table *series, struct total *totals,
                 uint32_t meter_count);

#endif
