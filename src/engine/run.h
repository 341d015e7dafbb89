/* run.h - a bill run: where computing meets input and output.  Private to this room and those
 * above.
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

#include "base/env.h"
#include "bill/bill.h"
#include "catalog/finder.h"
#include "decode/decode.h"
#include "engine/cut_value.h"
#include "engine/issued.h"
#include "engine/kept.h"
#include "engine/sorted.h"
#include "engine/spool.h"
#include "engine/strangers.h"
#include "farthing.h"
#include "feed/feed.h"
#include "usage/usage.h"

/* Events as a whole, whatever meters they have: how many, and the sum of their fingerprints. */
struct event_count {
    uint64_t count, print;
};

/* Records of times that a correction does not restate: how many, the first and the last time. */
struct outside {
    uint64_t count;
    instant first, last;
};

/* Streams that are damaged or cut, or files that changed while they were read: how many, and of the
 * first by name where and why. */
struct damage {
    uint32_t count, file;
    uint64_t offset;
    const char *reason;
};

struct failed_payer {
    uint32_t index;
    struct text payer;
    struct text message;
    bool is_torn; /* a part of its bills is written */
};

/* What bills in one currency came to. */
struct money_sums {
    const struct currency *currency;
    struct dec_sum *products; /* then of no product, then of rounding */
    struct dec_sum total;
};

enum {
    PRODUCTS_KNOWN_BITS = 8,
    PARTITION_RANGES = 4096,
    UNSTEADY = 0xFF,
    DEDUP_BYTES = 8, /* of memory for an arrival, besides itself */
    SPLITS_MAX = 10,
};

struct run;

/* What a thread has while it reads; its decoder and its segment, while records are read again, too.
 */
struct read_state {
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
    uint32_t *series_cache;   /* numbers of series met last, by hash; NONE */
    struct spool_writer *arrivals, *records;
    struct total *totals;                /* of the records of each meter, then of none */
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
    struct strangers no_account, unknown_sku;
};

/* What it has while it accepts. */
struct accept_state {
    struct spool_writer *verdicts;
    struct dedup_memory dedup;
    size_t dedup_bytes;               /* of that, counted in the run */
    struct spool *splits[SPLITS_MAX]; /* of arrivals of a partition that is too large */
    uint32_t split_count;
    struct event_count accepted, withdrawn; /* withdrawn ones are accepted too */
    uint64_t duplicates;
    struct undecided_chunk *undecided; /* the last first */
    struct arena undecided_arena;
    uint64_t undecided_count;
    uint32_t group_count;
    struct kept_stream conflicts; /* bytes of records that are in conflict */
};

/* What it has while it settles. */
struct settle_state {
    bool is_busy;   /* within the gate: it may take memory */
    bool is_alone;  /* there */
    bool is_trying; /* what finds no memory is tried again */
    bool is_booked; /* the events of the cut at hand are in booked_totals */
    struct writer *writer;
    struct price_memory *prices;
    struct texts *texts; /* of the partition at hand; NULL */
    struct {             /* of its text: texts.c */
        struct held_block *first, *last;
        uint32_t count;
        struct file *aside; /* what was made of it before that, when others needed memory */
        uint64_t aside_bytes;
    } held;
    struct sorted *sorted; /* of the partition, when it is large */
    struct record_order order;
    struct total *booked_totals, *removed_totals; /* removed: net, by verdicts */
    struct event_count booked, booked_withdrawn;
    uint32_t products[1 << PRODUCTS_KNOWN_BITS]; /* see find_product */
    struct {
        struct money_sums *items; /* the catalog's currency first, the others as they came */
        uint32_t count, capacity;
    } sums;
    bool is_amount_lost; /* one of these has left its range */
    uint64_t bills, bill_lines, usage_rows, events_billed;
    uint64_t excluded[EXCLUSIONS];
    struct fewer fewer; /* the first payer of whom fewer events are known than were */
    uint64_t fewer_count;
    struct cut_values cut_values;
    struct known_events events_known;
    struct { /* payers that are not billed */
        struct failed_payer *items;
        uint32_t count, capacity;
    } failures;
    struct kept_stream sourced; /* text of views by source: sourced.c */
    struct {                    /* what they come to, in each currency: margins.c */
        struct contract_sum *sums;
        uint32_t count, capacity;
        uint32_t *of; /* the last sum of each contract, NONE; NULL: there are no sellers */
    } contracts;
};

/* What a thread has for itself; merged at the end of each part. */
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
    struct read_state read;
    struct accept_state accept;
    struct settle_state settle;
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
    /* How that is divided: room.h. */
    struct {
        size_t outer_bytes;          /* that who has begun the run holds */
        size_t loaded_bytes;         /* with that */
        size_t set_up_charged_bytes; /* what the run's arena was charged with by then */
        size_t payer_bytes;          /* for a payer, as arenas charge it */
        /* For all threads: records of partitions, so much of that taken (atomic); what writers
         * remember; what is left free for what must not fail. */
        size_t records_bytes, records_taken_bytes, writers_bytes, spare_bytes;
    } room;

    /* load */
    const struct catalog *catalog;
    struct accounts *accounts;
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
    instant first_hour;           /* that the period begins in */
    uint32_t into_hour_s;         /* how far, begun seconds too */
    struct account_finder finder; /* while events are read */
    struct arena finder_arena;
    struct arena table_arena;          /* of steady_payer and steady_partition */
    bool *buyer_uses;                  /* of each of accounts->unknown_buyers: it has usage */
    const struct member_span *members; /* by payer; only when fixed prices need them */
    const uint32_t *member_first;
    struct opening_bucket *opening; /* sorted by (payer, key) */
    uint32_t opening_count;
    struct {
        struct carried *items; /* sorted by payer */
        uint32_t count, capacity;
    } carried;
    struct {
        struct unbilled *items; /* sorted by payer */
        uint32_t count, capacity;
        uint32_t *by; /* by payer: whose failing keeps it from being billed, or NONE; NULL */
    } unbilled;
    struct { /* views by source */
        /* Indices in accounts->views, those of a payer in views[first[payer] .. first[payer + 1]),
         * a source before what stands on it; NULL: there are none. */
        const uint32_t *views, *first;
        const uint32_t *root; /* by view: the payer on which it stands in the end */
        bool *is_split;       /* by view: who pays for its source changes in the period */
    } sourced;
    /* Accounts that are with several payers as turns of the run begin, and what goes along with
     * them: wallets.h. */
    struct {
        bool *is_party;        /* by payer: it is priced before all bills; NULL: none is */
        bool *is_wallet_party; /* by payer: for wallets; else for gauges alone */
        uint32_t *accounts, account_count; /* that take wallets along */
        /* What came to a payer from another: the first, or NONE; by payer. */
        uint32_t *first, *gauge_first;
        struct moved_state *states;
        uint32_t state_count, state_capacity;
        struct moved_gauge *gauges;
        uint32_t gauge_count, gauge_capacity;
    } moves;
    bool *waits; /* by payer: before its first cut it was on no bill; NULL: none does */
    /* As `correct` does: what was issued for another time than is billed now is taken back. */
    bool takes_back;
    bool *is_shifted;            /* by payer: its bills lie in other turns now; NULL: nobody's do */
    const struct failure **held; /* by payer: not billed, as restatement->held says; NULL */
    struct {                     /* what was billed before: issued.h */
        struct issued_line *lines; /* sorted by (payer, period) */
        uint32_t line_count;
        struct issued_bill *bills; /* sorted by (payer, cut) */
        uint32_t bill_count;
        struct issued_folder *folders; /* as options->billed */
    } issued;
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
     * takes any: gate.h */
    struct {
        struct lock *lock;
        int busy_count; /* threads inside */
        bool is_alone;  /* one of them is, or waits to be; atomic */
    } gate;

    struct worker *workers;
    struct {
        struct conflict *items;
        uint32_t count, capacity;
    } conflicts;
    const char **no_account; /* the first subjects that are no account; NULL: none */
    uint32_t no_account_count;
    struct output *output;
    struct {
        struct output_file *bills, *lines, *usage, *closing, *exclusions;
        struct output_file *letters, *conflicts, *summary;
    } files; /* of that */
    int64_t progress_ns;
    struct {
        struct farthing_count *items; /* in the order they were found */
        uint32_t count, capacity;
    } warnings;
};

/* ---- ingest.c, accept.c, settle.c, payer.c, report.c ---- */

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

static inline uint32_t book_partition(const struct run *run, uint32_t payer)
{
    uint32_t partition = run->partition_near[payer >> run->range_shift];
    while (payer >= run->partition_first[partition + 1]) {
        partition++;
    }
    return partition;
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

#endif
