/* run.h - a bill run: the one place where computing meets input and output.  Private to this room.
 *
 *     load      catalog, accounts, opening, bills issued before
 *     read      blocks --decode, meter--> arrivals, spooled by key,
 *                                     and records, spooled by payer
 *     accept    partition of keys --dedup--> verdicts, spooled by payer
 *     settle    partition of payers: records less what verdicts take out
 *               --fold, price, bill--> files, in order
 *     report    dead letters, conflicts, summary; conservation is checked before anything
 *               gets its name
 *
 * Blocks and partitions are any thread's, in any order; only for output do threads take turns.
 */
#ifndef FARTHING_ENGINE_RUN_H
#define FARTHING_ENGINE_RUN_H

#include <yyjson.h>

#include "base/env.h"
#include "bill/bill.h"
#include "catalog/finder.h"
#include "decode/decode.h"
#include "engine/kept.h"
#include "engine/sorted.h"
#include "engine/spool.h"
#include "farthing.h"
#include "feed/feed.h"
#include "feed/output.h"
#include "render/render.h"
#include "usage/usage.h"

/* A meter state that came with the opening. */
struct carried {
    uint32_t payer; /* as the period begins */
    struct meter_state state;
    struct text raw;  /* its line */
    bool is_copy;     /* for another payer */
    bool is_gone;     /* of a view that is not there any more, or has not the account: of nobody */
    bool has_samples; /* not the state, but the line says: see carry_samples */
};

/* Of the names of buckets in closings: 2 since they say which keys their values are of. */
enum { CLOSING_FORM = 2 };

struct opening_bucket {
    uint32_t payer;
    bool is_moved; /* it was another payer's */
    struct bucket_state state;
    struct text raw; /* its line */
};

/* A payer whom the run before did not bill, as the opening says. */
struct unbilled {
    uint32_t payer;
    struct period span; /* for which it was to be billed */
    struct text raw;    /* its line */
};

/* A line of a bill issued before. */
struct issued_line {
    uint32_t payer;
    struct period period; /* of its bill */
    struct line line;
};

/* Events that are known of a bill's time, as the bill shows them: on its usage rows, and on no line
 * for a reason.  Those outside the period are of another bill. */
struct known_events {
    uint64_t on_rows, excluded;
};
static inline uint64_t known_count(struct known_events known)
{
    return known.on_rows + known.excluded;
}

/* A bill issued before, of a time that is billed here. */
struct issued_bill {
    uint32_t payer;
    bool is_correction;
    bool same_accounts; /* as now: who pays for whom has not changed */
    instant cut;        /* when the cut begins that it is of */
    struct known_events events;
};

/* What --billed names. */
struct issued_folder {
    const char *path;
    char print[33], bills_print[33]; /* of its lines.csv, its bills.ndjson */
    uint32_t bills, matched;
    struct known_events events; /* to the bills that matched */
};

/* Events as a whole, whatever meters they have: how many, and the sum of their fingerprints. */
struct event_count {
    uint64_t count, print;
};

/* A run that restates a closed period: correct.c says what it is, restatement.c holds it to that.
 */
struct known_file {
    const char *path;
    const char *recorded; /* its path then */
    bool is_csv;
    uint32_t round;          /* of a key's records the earliest round's stay accepted */
    struct event_count read; /* records in it, when it was billed */
    instant late_before;     /* it came too late for times before; INSTANT_MIN: for none */
    const char *folder;      /* that says so */
};
/* A payer that could not be billed. */
struct failure {
    struct text payer, contract; /* of a view: its contract */
    struct text message;
    bool is_torn; /* and something of it was billed or taken back in the same run */
};
/* Records of times that a correction does not restate: how many, the first and the last time. */
struct outside {
    uint64_t count;
    instant first, last;
};
struct restatement {
    const struct period *periods; /* all that the correction restates, in order */
    size_t period_count;
    const struct known_file *known; /* the first of the events' paths */
    size_t known_count;
    uint32_t round;      /* of the events that are new */
    instant late_before; /* what is new and of a time before is not billed; INSTANT_MIN: all is */
    /* Digests of the closed run's inputs; empty: another one was given. */
    struct text catalog, accounts;
    /* The state that the period is in: of the last of its closed folders. */
    const char *folder;
    struct text usage_print, closing_print;
    yyjson_val *excluded; /* by reason */
    bool tells; /* it is written for what is refused alone, so that it is listed somewhere */
    /* The period before and the one behind are corrected with it; some behind that is not. */
    bool has_before, has_behind, has_later;
    const char *warning; /* of how the period goes on from the one before; NULL */
    /* Who is not billed, since another period of the correction could not be. */
    const struct failure *held;
    uint32_t held_count;
    /* Results, in the run's arena: who could not be billed, but for those; and whose bills lie in
     * other turns now. */
    struct failure *failures, *shifted;
    uint32_t failure_count, shifted_count;
    bool is_torn; /* one of both is torn: nothing was written */
    /* Results: */
    bool is_written;  /* something has changed */
    bool was_cleared; /* nothing has, and what an earlier run had written there is gone */
    uint64_t late_records, late_refused, late_conflicts;
    uint64_t too_late;      /* new records of a time for which late usage is not billed any more */
    struct outside outside; /* others, of no period that is corrected */
    bool has_untold;        /* some of these two are listed in no closed folder */
};

/* A dead letter in its stream: this head, then detail and the first bytes of the record. */
struct letter {
    uint64_t line_in_block, offset, size;
    uint32_t refusal, detail_size, bytes_size, pad;
    struct digest digest;
};

/* Streams that are damaged or cut, or files that changed while they were read: how many, and of the
 * first by name where and why. */
struct damage {
    uint32_t count, file;
    uint64_t offset;
    const char *reason;
};

struct conflict {
    struct text source, id;
    uint64_t accepted, refused; /* positions */
    struct hash128 print;       /* of the refused record's bytes */
    uint64_t offset, size;      /* of these in the first worker's stream `conflicts` */
};

struct failed_payer {
    uint32_t index;
    struct text payer;
    struct text message;
    bool is_torn; /* a part of its bills is written */
};

/* What the lines of a contract come to in a currency: before tax, and the tax. */
struct contract_sum {
    uint32_t contract, next; /* of the contract, in another currency; NONE */
    const struct currency *currency;
    struct dec_sum amount, tax;
};

/* A payer of whom fewer events are known now than were when it was billed before. */
struct fewer {
    uint32_t payer;
    struct known_events now, then;
};

/* A value that a change of its price, or of the contract, has cut in two (cut_value.c). */
struct cut_value {
    uint32_t payer, account;
    const struct meter *meter;
    const struct price *price; /* of the second part */
    bool is_contract;          /* it is the contract that changes */
    instant at;
};
struct cut_values {
    uint64_t count;
    struct cut_value first; /* of the first payer that has one, in the order of its rows */
};

/* An event that only its bytes can decide, kept until they are read again. */
struct undecided {
    uint32_t group;
    struct arrival arrival;
};
enum { UNDECIDED_A_CHUNK = 1024 };
struct undecided_chunk {
    struct undecided_chunk *next;
    uint32_t count;
    struct undecided items[UNDECIDED_A_CHUNK];
};

enum { SERIES_CACHE = 16384, PLAIN_CACHE = 2048 };

/* A series that is a meter and a SKU, no more. */
struct plain_series {
    uint32_t meter, sku, number;
};

struct run;

/* What a thread has for itself; merged at the end of each part. */
enum { DEDUP_BYTES = 8, SPLITS_MAX = 10 }; /* of memory for an arrival, besides itself */
/* What bills in one currency came to. */
struct money_sums {
    const struct currency *currency;
    struct dec_sum *products; /* then of no product, then of rounding */
    struct dec_sum total;
};

enum { PRODUCTS_KNOWN_BITS = 8, PARTITION_RANGES = 4096, UNSTEADY = 0xFF };

/* A name of nothing, and where it came first, as in an arrival: a subject that is no account, which
 * is read again there, or a SKU that nothing is, with the beginning of its name. */
enum { STRANGERS_MOST = 3, STRANGER_NAME_BYTES = 256 };
struct stranger {
    struct hash128 hash;
    uint64_t position;
    char name[STRANGER_NAME_BYTES];
};
struct strangers {
    struct stranger items[STRANGERS_MOST]; /* by position */
    uint32_t count;
};

struct worker {
    struct run *run;
    int index;
    struct arena arena;   /* for the whole run */
    struct arena scratch; /* rewound for each payer or block */
    struct arena output;  /* of a partition's text */
    struct arena shelf;   /* of a partition's records */
    struct arena handed;  /* of a payer: what one of its cuts leaves for the next */
    struct memory memory; /* of the last four: room.h */
    struct error err;
    bool failed;
    uint64_t failed_at; /* of reading: the block, in the order in which they are claimed */
    /* read */
    struct decoder *decoder;
    struct arena decoder_arena;
    struct segment_reader *segments; /* NULL: there was none yet */
    struct arena segment_arena;
    uint32_t again_file; /* whose block is open in `segments`, when records are read again */
    uint64_t again_first;
    char *again_line; /* room for a line, and what may be read behind it */
    struct meter_scratch *meter_scratch;
    struct arena meter_arena;
    struct plain_series *plain_cache; /* of those met last; number NONE */
    /* Of the texts of a segment's block, by number (struct event): the part of a source in the
     * identity of events, the account of a subject, what the meter makes of a tuple. */
    struct block_source {
        uint64_t key;
        bool is_known;
    } * block_sources;
    uint32_t *block_accounts;
    struct plain_tuple *block_tuples;
    uint32_t block_source_capacity, block_account_capacity, block_tuple_capacity;
    struct arena block_arena; /* of these three */
    uint32_t *series_cache; /* numbers of series met last, by hash; NONE */
    struct spool_writer *arrivals, *records;
    struct total *read_totals;           /* of the records of each meter, then of none */
    const struct csv_header *csv_header; /* of the file csv_file; NULL: none was read yet */
    uint32_t csv_file;
    struct arena header_arena; /* of that alone: files may be many */
    struct feed_block block;
    uint64_t line_in_block;
    uint64_t line_offset; /* in the file */
    struct event_count block_events, block_refused;
    uint64_t block_too_late;
    struct outside block_outside;
    instant late_max; /* that of the run; of a block of late events none: all are looked at */
    bool is_late;     /* the event at hand comes too late to be billed */
    struct kept_stream letters; /* a piece for each block that has some */
    uint64_t lines_read, refused[REFUSALS], withdrawals;
    struct damage damage, change;
    struct pending *pending; /* ring of events whose account is being looked up; ingest_event.c */
    uint64_t ring_added, ring_found, ring_finished; /* so many so far */
    /* accept */
    struct spool_writer *verdicts;
    struct dedup_memory dedup;
    size_t dedup_bytes;               /* of that, counted in the run */
    struct spool *splits[SPLITS_MAX]; /* of arrivals of a partition that is too large */
    uint32_t split_count;
    struct event_count accepted, withdrawn; /* withdrawn ones are accepted too */
    uint64_t duplicates;
    struct undecided_chunk *undecided; /* the last first */
    struct arena undecided_arena;
    uint32_t undecided_count, group_count;
    struct kept_stream conflicts; /* bytes of records that are in conflict */
    /* settle */
    bool is_busy;   /* within the gate: it may take memory */
    bool is_alone;  /* there */
    bool is_trying; /* what finds no memory is tried again */
    bool is_booked; /* the events of the cut at hand are in booked_totals */
    struct writer *writer;
    struct price_memory *prices;
    struct texts *texts;                       /* of the partition at hand; NULL */
    struct held_block *held_first, *held_last; /* of its text; texts.c */
    uint32_t held_count;
    struct file *aside; /* what was made of it before that, when others needed memory */
    uint64_t aside_bytes;
    struct sorted *sorted; /* of the partition, when it is large */
    struct record_order order;
    struct total *booked_totals, *removed_totals; /* removed: net, by verdicts */
    struct event_count booked, booked_withdrawn;
    uint32_t products[1 << PRODUCTS_KNOWN_BITS]; /* see find_product */
    struct money_sums *sums; /* the catalog's currency first, the others as they came */
    uint32_t sum_count, sum_capacity;
    bool is_amount_lost; /* one of these has left its range */
    uint64_t bills, bill_lines, usage_rows, events_billed;
    uint64_t excluded[EXCLUSIONS];
    struct strangers no_account, unknown_sku;
    struct fewer fewer; /* the first of them */
    uint64_t fewer_count;
    struct cut_values cut_values;
    struct known_events events_known;
    struct failed_payer *failures;
    uint32_t failure_count, failure_capacity;
    struct kept_stream sourced; /* text of views by source: sourced.c */
    /* What contracts come to, in each currency: margins.c. NULL: there are no sellers. */
    struct contract_sum *contract_sums;
    uint32_t contract_sum_count, contract_sum_capacity;
    uint32_t *contract_sum_of; /* the last of each contract, NONE */
};

struct run {
    struct env *env;
    const struct farthing_config *config;
    const struct farthing_bill *options;
    bool is_case;           /* a pricing case, loaded exactly (load_inputs) */
    struct tax_sums *taxes; /* of a pricing case */
    struct error *err;
    struct arena arena;
    jmp_buf recover;
    int threads;
    size_t memory_bytes; /* that it may take */
    size_t limit_bytes;  /* of the process, as it was asked for */
    size_t outer_bytes;  /* that who has begun the run holds */
    size_t loaded_bytes; /* with that; then what the run's arena was charged with: room.h */
    size_t set_up_charged_bytes;
    size_t room_bytes; /* for a payer, as arenas charge it */
    /* For all threads: records of partitions, so much of that taken (atomic); what writers
     * remember; what is left free for what must not fail. */
    size_t records_bytes, records_taken_bytes, writers_bytes, spare_bytes;

    /* load */
    const struct catalog *catalog;
    struct accounts *accounts;
    struct complaints complaints;
    struct text zones_digest, opening_digest;
    struct period period;
    struct text period_edges; /* of bills of all of it: bill_edges */
    bool has_pending;         /* some step may charge at a turn's end what it does not before */
    instant late_before; /* usage from before that comes now is not billed; INSTANT_MIN: all is */
    instant late_max;    /* of a correction: what is of a time before may come too late */
    bool has_cuts;       /* some payer's bill is not one of the whole period */
    const uint32_t
        *cut_first; /* of each account as a payer, when billing is custom: range in cuts */
    const struct period *cuts;
    instant cuts_end; /* of the last one: turns that begin in the period may end behind it */
    struct period
        turn; /* without cuts: the turn of the catalog's billing that the period ends in */
    /* By account: who pays for it through all that is billed, when no edge of the account or
     * catalog cuts a slot within; else NONE. */
    uint32_t *steady_payer;
    /* No bill is cut and no clock divides slots: what such an account uses is in the slot of its
     * hour, or of all of the period. */
    bool has_steady_slots;
    instant first_hour;   /* that the period begins in */
    uint32_t into_hour_s; /* how far, begun seconds too */
    struct account_finder finder; /* while events are read */
    struct arena finder_arena;
    struct arena table_arena;          /* of steady_payer and steady_partition */
    bool *buyer_uses;                  /* of each of accounts->unknown_buyers: it has usage */
    const struct member_span *members; /* by payer; only when fixed prices need them */
    const uint32_t *member_first;
    struct opening_bucket *opening; /* sorted by (payer, key) */
    uint32_t opening_count;
    struct carried *carried; /* sorted by payer */
    uint32_t carried_count, carried_capacity;
    struct unbilled *unbilled; /* sorted by payer */
    uint32_t unbilled_count, unbilled_capacity;
    /* Views by source: indices in accounts->views, those of a payer in sourced[sourced_first[payer]
     * .. sourced_first[payer + 1]), a source before what stands on it; NULL: there are none. */
    const uint32_t *sourced, *sourced_first;
    const uint32_t *sourced_root; /* by view: the payer on which it stands in the end */
    bool *sourced_is_split;       /* by view: who pays for its source changes in the period */
    /* Accounts that are with several payers as turns of the run begin, and wallets that go along
     * (wallets.c): of each payer whether it is one of those, NULL when none is; what came to it
     * from another, the first in moved, or NONE. */
    bool *moves;
    uint32_t *movers, mover_count, *moved_first;
    struct moved_state *moved;
    uint32_t moved_count, moved_capacity;
    bool *waits;           /* by payer: before its first cut it was on no bill; NULL: none does */
    uint32_t *unbilled_by; /* by payer: whose failing keeps it from being billed, or NONE; NULL */
    /* As `correct` does: what was issued for another time than is billed now is taken back. */
    bool takes_back;
    bool *is_shifted;            /* by payer: its bills lie in other turns now; NULL: nobody's do */
    const struct failure **held; /* by payer: not billed, as restatement->held says; NULL */
    struct issued_line *issued;  /* sorted by (payer, period) */
    uint32_t issued_count;
    struct issued_bill *issued_bills; /* sorted by (payer, cut) */
    uint32_t issued_bill_count;
    struct issued_folder *issued_folders; /* as options->billed */
    const struct csv_mapping *csv_mapping;

    /* read */
    struct feed *feed;
    struct hash_secret secret;
    struct meter_plan *plan;
    bool has_samples;  /* some meters are sampled */
    bool is_scattered; /* some have records of one event in the books of several payers */
    struct series_table series;
    struct arena series_arena;
    struct lock *series_lock;
    struct spool *arrivals, *records, *verdicts;
    struct spool_budget budget;
    size_t accept_bytes; /* of a thread: for a partition of arrivals, and its table */
    struct spool_bound arrival_bound;
    size_t dedup_table_bytes, dedup_peak_bytes; /* of all threads; with the arrivals; atomic */
    uint32_t key_partitions, key_shift, book_partitions;
    /* Of each partition of the books its first payer; behind the last, UINT32_MAX.  Of each range
     * of payers the partition that its first one is in. */
    uint32_t partition_first[SPOOL_PARTITIONS_MAX + 1];
    uint8_t partition_near[PARTITION_RANGES];
    /* By account: where its records go while it is steady and slots are, else UNSTEADY.  A byte,
     * so that what each event asks of its account stays in a cache. */
    uint8_t *steady_partition;
    uint32_t range_shift;
    struct text *file_headers;        /* of CSV files, for reading a record again */
    struct event_count *file_events;  /* records of each file, withdrawals too */
    struct event_count *file_refused; /* what was refused of each */
    struct restatement *restatement;  /* NULL: none */

    /* accept, settle: partitions are claimed from a counter */
    struct lock *lock;
    uint32_t next_partition;
    bool is_stopped;     /* some thread has failed, so that no other begins anything more; atomic */
    int billing_threads; /* of the threads, those that claim partitions of payers */
    /* settle: a payer that finds less memory than it may take is tried again when no other thread
     * takes any */
    struct lock *gate;
    int busy_count;
    bool is_alone; /* or waits to be; atomic */

    struct worker *workers;
    struct conflict *conflicts;
    uint32_t conflict_count, conflict_capacity;
    const char **no_account; /* the first subjects that are no account; NULL: none */
    uint32_t no_account_count;
    struct output *output;
    struct output_file *bills, *lines, *usage, *closing, *exclusions;
    struct output_file *letters_file, *conflicts_file, *summary_file;
    int64_t progress_ns;
    struct farthing_count *warnings; /* in the order they were found */
    uint32_t warning_count, warning_capacity;
};

/* ---- load.c ---- */

/* Reads whole files into the arena. */
enum status load_bytes(struct env *env, struct arena *arena, const char *path, uint64_t size_max,
                       struct text *bytes, struct error *err);
/* Catalog and accounts; complaints are in *complaints whatever the result. */
struct load_inputs {
    const char *zone_folder; /* NULL: /usr/share/zoneinfo */
    struct farthing_paths catalog, accounts;
    bool is_exact; /* of a pricing case: without `rounding:` amounts stay exact, name and currency
                      may be left out */
};
struct loaded {
    const struct catalog *catalog;
    struct accounts *accounts;
    struct text zones_digest;
};
enum status load_catalog(struct env *env, struct arena *arena, const struct load_inputs *inputs,
                         struct complaints *complaints, struct loaded *loaded, struct error *err);
/* How the catalog's `csv:` reads rows; NULL: it has none. */
const struct csv_mapping *csv_mapping_new(struct arena *arena, const struct catalog *catalog);
/* Zones by name from the folder, which remembers what was used: a bill names its digest. */
struct zone_source *zone_source_new(struct env *env, struct arena *arena, const char *folder);
/* Period, cuts, members, opening, issued. */
enum status load_state(struct run *run);
/* Holds a file of an output folder against the folder's run.json, and gives its print.  A folder
 * without one is no whole output. */
enum status check_written(struct run *run, const char *folder, const char *name, struct text bytes,
                          char print[33]);
/* pending.c: whether some step of the catalog may charge at a turn's end what it does not before.
 */
bool pending_is_possible(const struct catalog *catalog);
/* From when on late usage is billed in the turn that has an instant; INSTANT_MIN: always. */
instant late_before(const struct catalog *catalog, instant at);
/* Whose billing a payer has, all through the run. */
struct billing_of run_billing(const struct run *run, uint32_t payer);

/* ---- cut_value.c ---- */

/* Warns of values that a change cut in two. */
void warn_of_cut_values(struct run *run);

/* ---- opening.c ---- */

/* The states of --opening; without one, warns.  Periods, cuts and members are known.  ERR_INPUT: it
 * is not the closing of the period just before, whole and of this version; ERR_CORRUPT: it was
 * edited. */
enum status load_opening(struct run *run);
/* Samples that came with it, into the spool of records. */
enum status carry_samples(struct run *run);

/* ---- unopened.c ---- */

/* Warns when the run begins inside a turn of a step that accumulates, or has meters that carry. */
void warn_of_no_opening(struct run *run);

/* ---- unbilled.c ---- */

void unbilled_add(struct run *run, struct unbilled unbilled);
/* Whom they keep from being billed; after the last was added. */
void unbilled_spread(struct run *run);
const struct unbilled *unbilled_find(const struct run *run, uint32_t payer);
/* ERR_CONFLICT: it cannot be billed. */
enum status unbilled_check(const struct run *run, uint32_t payer, struct error *err);

/* ---- waiting.c ---- */

/* Whether the payer has had no bill in the runs before, so that none has told its levels.  Says the
 * opening; without one, those that have no turn in the run, if levels are carried at all. */
bool run_waits(const struct run *run, uint32_t payer);
/* And has none in this run. */
bool run_holds(const struct run *run, uint32_t payer);
/* Who pays for an account then may hold its levels. */
static inline instant run_last_second(const struct run *run)
{
    return run->period.to - NS_PER_SECOND;
}
/* Whether the payer was billed by a run before for a time of this one or of a later one. */
bool run_was_billed(const struct run *run, uint32_t payer, instant at);
/* Whether who pays for the account then is billed for it by a later run than this one. */
bool run_tells_level(const struct run *run, uint32_t account, instant at);
/* As the opening says. */
void waiting_add(struct run *run, uint32_t payer);
/* Who waits, when there is no opening. */
void waiting_find(struct run *run);
static inline bool carried_is_level(const struct run *run, const struct carried *carried)
{
    const uint32_t meter = series_at(&run->series, carried->state.series)->meter;
    return run->catalog->meters[meter].aggregate == AGGREGATE_TIME_WEIGHTED;
}

/* ---- issued.c ---- */

/* The bills of --billed; warns of what looks as if something was not given. */
enum status load_issued(struct run *run);
/* Their lines alone. */
enum status load_issued_lines(struct run *run);
/* Where the lines issued to a payer begin in run->issued; if there are any, issued_next says so:
 * end is behind those of the payer and of one period that begin at first. */
uint32_t issued_first(const struct run *run, uint32_t payer);
bool issued_next(const struct run *run, uint32_t payer, uint32_t first, uint32_t *end);
/* The most events that were known when this cut was billed before; 0: it was not, or who pays for
 * whom has changed since. */
struct known_events issued_events(const struct run *run, uint32_t payer, instant cut);
/* The most that were known to the bills of one run, whoever pays now. */
struct known_events issued_events_total(const struct run *run);

/* ---- restatement.c; OK where nothing is restated ---- */

/* Catalog and accounts are those of the closed run, where no others were given. */
enum status restatement_check_inputs(struct run *run);
/* The files that were billed have the records that they had. */
enum status restatement_check_events(struct run *run);
/* Before when a file is not billed, as it came too late; INSTANT_MIN: it did not. */
instant restatement_late_before(const struct run *run, uint32_t file);
/* No event of this instant or later comes too late; INSTANT_MIN: none does. */
instant restatement_late_max(const struct run *run);
/* It is of late events. */
bool restatement_is_new(const struct run *run, uint32_t file);
/* Whether a period that is corrected has the event on a bill, by its time.  A turn of a payer's own
 * clock is of the period in which it begins. */
bool restatement_has(const struct run *run, const struct event *event);
/* Adds more to what is there. */
void outside_add(struct outside *to, const struct outside *more);
/* Whom it says to hold, once accounts are known; and its warning. */
void restatement_hold(struct run *run);
/* Tells who failed and whose bills lie in other turns now; true when one of them has only some of
 * its bills in what the run would write. */
bool restatement_is_torn(struct run *run);
/* There is a difference, or the state that the next period begins with is another one. */
bool restatement_has_changed(struct run *run, const struct farthing_summary *summary);

/* ---- taken_back.c ---- */

/* Of a correction: ERR_INPUT when a turn of a payer whose bills lie in other turns now reaches into
 * a period that is not corrected with this one; a warning when it may. */
enum status taken_back_check(struct run *run);

/* ---- strangers.c ---- */

/* Keeps the first places of so many names: which these are depends on no order.  Of those of all
 * workers, too. */
void strangers_note(struct strangers *known, struct hash128 hash, uint64_t position,
                    struct text name);
void strangers_merge(struct strangers *all, const struct strangers *more);

/* ---- ingest.c, accept.c, settle.c, report.c ---- */

enum status run_read(struct run *run);
enum status run_accept(struct run *run);
enum status run_settle(struct run *run);
/* What the worker's bills in a currency come to so far; made when it is not there. */
struct money_sums *money_sums_of(struct worker *worker, const struct currency *currency);
/* What pricing a payer for a cut is a function of, besides its rows; also for explain. */
void run_pricing(const struct run *run, struct arena *arena, uint32_t payer, struct period cut,
                 struct pricing *pricing);
enum status run_report(struct run *run, struct farthing_summary *summary);
/* The warning of so many files that changed while they were read, the first of them at path. */
const char *change_format(struct arena *arena, const char *path, uint32_t count);

/* ---- run.c ---- */

/* Work for each thread; the first error of any. */
enum status run_threads(struct run *run, void (*work)(void *argument, int index));
/* That error, for who has started the threads himself; OK: none has failed.  Of several that failed
 * in reading it is the one of the first block: one that was claimed is read to its end, so that it
 * does not matter who was quicker. */
enum status run_failure(const struct run *run);
/* From any thread: the others begin no block and no partition more. */
void run_stop(struct run *run);
static inline bool run_is_stopped(const struct run *run)
{
    return __atomic_load_n(&run->is_stopped, __ATOMIC_RELAXED);
}
/* The next partition to work on, or NONE. */
uint32_t run_claim(struct run *run, uint32_t count);
void run_progress(struct run *run, int thread, const char *phase, uint64_t done, uint64_t total);
/* For the summary; of the thread that runs the run. */
void run_warn(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Keeps the first error of a worker. */
__attribute__((cold)) void worker_fail(struct worker *worker, enum status status);

/* The payer of a name, of a view when there is a contract; MAP_NONE when there is none. */
uint32_t run_payer(const struct run *run, struct text payer, struct text contract);
/* Who pays for the account from an instant in the period on, stretch by stretch; one may come
 * again.
 *
 *     for (instant at = run->period.from; payers_next(run, account, &at, &payer);) { ... }
 */
bool payers_next(const struct run *run, uint32_t account, instant *at, uint32_t *payer);
/* Whether they are more than one. */
bool payers_are_several(const struct run *run, uint32_t account);

/* The cut of the payer that holds an instant; false when none does. */
bool run_cut(const struct run *run, uint32_t payer, instant at, struct period *cut);

static inline uint32_t book_partition(const struct run *run, uint32_t payer)
{
    uint32_t partition = run->partition_near[payer >> run->range_shift];
    while (payer >= run->partition_first[partition + 1]) {
        partition++;
    }
    return partition;
}

/* In which round of a closed period's bills the events of a file came; all in one where none is
 * closed. */
static inline uint32_t run_round(const struct run *run, uint32_t file)
{
    const struct restatement *restatement = run->restatement;
    size_t source = feed_file_source(run->feed, file);
    return !restatement                        ? 0
           : source < restatement->known_count ? restatement->known[source].round
                                               : restatement->round;
}

/* Its place in totals of meters. */
static inline uint32_t meter_of_record(const struct run *run, const struct record *record)
{
    if (!(record->flags & RECORD_EXCLUDED)) {
        return series_at(&run->series, record->series)->meter;
    }
    uint32_t meter = record_excluded_meter(record);
    return meter == NONE ? run->catalog->meter_count : meter;
}

enum status farthing_run_bill(struct env *env, const struct farthing_config *config,
                              const struct farthing_bill *options, struct arena *arena,
                              struct farthing_summary *summary, struct complaints *complaints,
                              struct error *err);

/* What the taxes of a run come to, by the kind of the charge that they are on. */
struct tax_sums {
    struct dec_sum of[CHARGE_KINDS];
    bool is_lost; /* one has left its range */
};
/* The same of a pricing case, whose catalog is loaded exactly. */
enum status farthing_run_case(struct env *env, const struct farthing_config *config,
                              const struct farthing_bill *options, struct tax_sums *taxes,
                              struct arena *arena, struct farthing_summary *summary,
                              struct complaints *complaints, struct error *err);

/* The same for a closed period: the events of known files must be as they were, and nothing is
 * written when nothing has changed. */
enum status farthing_run_restatement(struct env *env, const struct farthing_config *config,
                                     const struct farthing_bill *options,
                                     struct restatement *restatement, struct arena *arena,
                                     struct farthing_summary *summary,
                                     struct complaints *complaints, struct error *err);

#endif
