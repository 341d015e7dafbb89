/* run.c - the order of a bill run, and what its threads share. */
#include "engine/run.h"

#include "engine/load.h"
#include "engine/opening.h"
#include "engine/restatement.h"
#include "engine/room.h"
#include "feed/output.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MEMORY_DEFAULT_MIB = 1024,
    ARRIVALS_LEAST_BYTES = 8 * 1024 * 1024,
};

void run_stop(struct run *run)
{
    __atomic_store_n(&run->is_stopped, true, __ATOMIC_RELAXED);
}

void worker_fail(struct worker *worker, enum status status)
{
    worker->failed = true;
    worker->err.status = status;
    run_stop(worker->run);
}

struct thread_work {
    struct run *run;
    void (*work)(void *argument, int index);
};

static void call_work(void *argument, int index)
{
    struct thread_work *work = argument;
    work->work(work->run, index);
}

enum status run_failure(const struct run *run)
{
    const struct worker *first = NULL;
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        if (worker->failed && (!first || worker->failed_at < first->failed_at)) {
            first = worker;
        }
    }
    if (first) {
        *run->err = first->err;
    }
    return first ? first->err.status : OK;
}

enum status run_threads(struct run *run, void (*work)(void *argument, int index))
{
    struct thread_work call = {run, work};
    if (run->threads == 1) {
        work(run, 0);
    } else {
        TRY(run->env->threads_run(run->env, run->threads, call_work, &call, run->err));
    }
    return run_failure(run);
}

uint32_t run_claim(struct run *run, uint32_t count)
{
    struct env *env = run->env;
    env->lock_take(env, run->lock);
    bool has_more = run->next_partition < count && !run_is_stopped(run);
    uint32_t claimed = has_more ? run->next_partition++ : NONE;
    env->lock_give(env, run->lock);
    return claimed;
}

uint32_t run_payer(const struct run *run, struct text payer, struct text contract)
{
    if (payer.size == 0) { /* who has no id: nobody, who keeps what an account had before a view */
        return run->accounts->nobody == NONE ? (uint32_t)MAP_NONE : run->accounts->nobody;
    }
    if (contract.size == 0) {
        return accounts_find(run->accounts, NONE, payer);
    }
    uint32_t index = map_find(&run->catalog->contract_by_id, contract);
    uint32_t view = index == MAP_NONE ? NONE : run->catalog->contracts[index].view;
    bool is_known = view != NONE && text_equal(run->catalog->contracts[index].buyer, payer);
    return is_known ? run->accounts->views[view].buyer : (uint32_t)MAP_NONE;
}

bool payers_next(const struct run *run, uint32_t account, instant *at, uint32_t *payer)
{
    if (*at >= run->cuts_end) {
        return false;
    }
    *payer = accounts_payer(run->accounts, account, *at);
    (void)accounts_edge(run->accounts, run->catalog, account, *at, at);
    return true;
}

bool payers_are_several(const struct run *run, uint32_t account)
{
    const uint32_t first = accounts_payer(run->accounts, account, run->period.from);
    bool are_several = false;
    uint32_t payer;
    for (instant at = run->period.from; !are_several && payers_next(run, account, &at, &payer);) {
        are_several = payer != first;
    }
    return are_several;
}

void run_progress(struct run *run, int thread, const char *phase, uint64_t done, uint64_t total)
{
    enum { EVERY_NS = 100'000'000 };
    if (thread != 0 || !run->config->progress) {
        return;
    }
    int64_t now = run->env->clock_mono_ns(run->env);
    if (now - run->progress_ns >= EVERY_NS) {
        run->progress_ns = now;
        run->config->progress(run->config->progress_context, phase, done, total);
    }
}

void run_warn(struct run *run, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    message_format(message, sizeof message, format, args);
    va_end(args);
    run->warnings.items = arena_room(&run->arena, run->warnings.items, run->warnings.count,
                                     &run->warnings.capacity, sizeof *run->warnings.items);
    run->warnings.items[run->warnings.count++] =
        (struct farthing_count){.name = text_copy(&run->arena, text_of(message)).at};
}

/* ---- setting up ------------------------------------------------------------------------------ */

/* As many partitions as keep one of them small against the caches, and few when there is little to
 * do, or little memory: each thread has two chunks open for each, of arrivals and of records. */
static uint32_t choose_partitions(const struct run *run, uint64_t input_bytes)
{
    enum { BYTES_A_PARTITION = 8 * 1024 * 1024, OPEN_SHARE = 4 };
    uint64_t open_bytes = UINT64_C(2) * (unsigned)run->threads * SPOOL_CHUNK_BYTES;
    size_t used = run->env->memory_used_bytes(run->env);
    size_t memory_bytes = run->memory_bytes > used ? run->memory_bytes - used : 0;
    uint32_t partitions = 1;
    while (partitions < SPOOL_PARTITIONS_MAX && input_bytes / partitions > BYTES_A_PARTITION &&
           2 * partitions * open_bytes <= memory_bytes / OPEN_SHARE) {
        partitions *= 2;
    }
    return partitions;
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

/* Who pays for accounts for which nothing changes in what is billed; before the partitions of the
 * books are made. */
static void find_payers(struct run *run)
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

/* Partitions are ranges of payers who pay for equally many accounts, more or less: payers with many
 * have names that are alike, and would share one. */
static enum status divide_books(struct run *run)
{
    struct env *env = run->env;
    const uint32_t count = run->accounts->count, partitions = run->book_partitions;
    size_t bytes = ((size_t)count + 1) * sizeof(uint32_t);
    uint32_t *weights = env->memory.allocate(&env->memory, bytes);
    if (!weights) {
        return fail_memory(run->err, env->memory_asked_bytes, "", "");
    }
    memset(weights, 0, bytes);
    for (uint32_t i = 0; i < count; i++) {
        weights[run->steady_payer[i] == NONE ? i : run->steady_payer[i]]++;
    }
    uint64_t sum = 0; /* of those before */
    uint32_t made = 1;
    run->partition_first[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += weights[i];
        while (made < partitions && sum * partitions >= (uint64_t)made * count) {
            run->partition_first[made++] = i + 1;
        }
    }
    while (made < partitions) {
        run->partition_first[made++] = count;
    }
    run->partition_first[partitions] = UINT32_MAX;
    env->memory.release(&env->memory, weights, bytes);

    run->range_shift = 0;
    while (count >> run->range_shift >= PARTITION_RANGES) {
        run->range_shift++;
    }
    for (uint32_t range = 0, partition = 0; range <= count >> run->range_shift; range++) {
        while (range << run->range_shift >= run->partition_first[partition + 1]) {
            partition++;
        }
        run->partition_near[range] = (uint8_t)partition;
    }
    static_assert((int)SPOOL_PARTITIONS_MAX <= (int)UNSTEADY);
    run->steady_partition = arena_alloc(&run->table_arena, (size_t)count + 1);
    for (uint32_t i = 0; i < count; i++) {
        bool is_steady = run->has_steady_slots && run->steady_payer[i] != NONE;
        run->steady_partition[i] =
            is_steady ? (uint8_t)book_partition(run, run->steady_payer[i]) : UNSTEADY;
    }
    return OK;
}

static enum status set_up_spools(struct run *run)
{
    struct env *env = run->env;
    uint64_t bytes = feed_bytes_plain(run->feed);
    bool has_pipe = false;
    for (size_t i = 0; i < run->options->events.count; i++) {
        has_pipe |= strcmp(run->options->events.items[i], "-") == 0;
    }
    uint64_t guess = has_pipe && bytes < 256 * 1024 * 1024 ? 256 * 1024 * 1024 : bytes * 4;
    run->key_partitions = run->book_partitions = choose_partitions(run, guess / 4);
    TRY(divide_books(run));
    run->key_shift = 64;
    for (uint32_t p = run->key_partitions; p > 1; p /= 2) {
        run->key_shift--;
    }
    /* Each thread needs room behind the spools: for a partition of keys, of which lines are seldom
     * shorter than this, and open chunks of verdicts; later for a partition of payers, its bills
     * and their text. */
    enum { SETTLE_BYTES = 32 * 1024 * 1024, LINE_LEAST_BYTES = 128 };
    size_t threads = (size_t)run->threads;
    size_t verdicts = (size_t)run->book_partitions * SPOOL_CHUNK_BYTES;
    size_t arrivals = (size_t)(bytes / run->key_partitions / LINE_LEAST_BYTES *
                               (sizeof(struct arrival) + DEDUP_BYTES));
    size_t accept = arrivals + verdicts;
    size_t reserve = threads * (accept > SETTLE_BYTES ? accept : SETTLE_BYTES);
    reserve = reserve < run->memory_bytes / 4 ? run->memory_bytes / 4 : reserve;
    reserve = reserve < 2 * threads * verdicts ? 2 * threads * verdicts : reserve;
    reserve = reserve > run->memory_bytes / 2 ? run->memory_bytes / 2 : reserve;
    run->budget.limit_bytes = run->memory_bytes - reserve;
    run->accept_bytes = reserve / threads > verdicts ? reserve / threads - verdicts : 0;
    const char *folder = run->config->temporary_folder;
    TRY(spool_new(env, run->key_partitions, sizeof(struct arrival), &run->budget, folder,
                  &run->arrivals, run->err));
    /* Dedup looks at one partition after the other, and all that is in memory besides is a gift. */
    run->arrival_bound.least_bytes = ARRIVALS_LEAST_BYTES;
    spool_bind(run->arrivals, &run->arrival_bound);
    TRY(spool_new(env, run->book_partitions, sizeof(struct record), &run->budget, folder,
                  &run->records, run->err));
    return spool_new(env, run->book_partitions, sizeof(struct verdict), &run->budget, folder,
                     &run->verdicts, run->err);
}

/* Those of a worker: its own, that of all the run first; then those of the room for bills. */
enum { ROOM_ARENAS_FROM = 7, WORKER_ARENAS = 11 };
static void list_arenas(struct worker *worker, struct arena *arenas[WORKER_ARENAS])
{
    struct arena *const all[WORKER_ARENAS] = {&worker->arena,
                                              &worker->read.decoder_arena,
                                              &worker->read.meter_arena,
                                              &worker->read.segment_arena,
                                              &worker->read.block_arena,
                                              &worker->read.header_arena,
                                              &worker->accept.undecided_arena,
                                              &worker->scratch,
                                              &worker->output,
                                              &worker->shelf,
                                              &worker->handed};
    memcpy(arenas, all, sizeof all);
}

static enum status set_up_workers(struct run *run)
{
    /* What is left unused of a block should be little against the memory there is. */
    enum {
        BLOCK_SHARE = 64,
        BLOCK_LEAST_BYTES = 1024 * 1024,
        SMALL_SHARE = 512,
        SMALL_LEAST_BYTES = 128 * 1024
    };
    size_t block_bytes = run->memory_bytes / BLOCK_SHARE;
    block_bytes = block_bytes > BLOCK_LEAST_BYTES ? block_bytes : BLOCK_LEAST_BYTES;
    /* Those of bills are counted up, and what is kept for a thread is little. */
    size_t small_bytes = run->memory_bytes / SMALL_SHARE;
    small_bytes = small_bytes > SMALL_LEAST_BYTES ? small_bytes : SMALL_LEAST_BYTES;
    run->series_arena.block_max_bytes = small_bytes;
    size_t workers_bytes = (size_t)run->threads * sizeof *run->workers;
    /* Not of the run's arena, which is to hold the same for any number of threads. */
    run->workers = run->env->memory.allocate(&run->env->memory, workers_bytes);
    if (!run->workers) {
        return fail(run->err, ERR_LIMIT, "no memory for threads");
    }
    memset(run->workers, 0, workers_bytes);
    for (int i = 0; i < run->threads; i++) {
        struct worker *worker = &run->workers[i];
        worker->run = run;
        worker->index = i;
        struct arena *arenas[WORKER_ARENAS];
        list_arenas(worker, arenas);
        for (size_t a = 0; a < ROOM_ARENAS_FROM; a++) {
            arena_init(arenas[a], &run->env->memory, 0);
            arenas[a]->block_max_bytes = a == 0 ? small_bytes : block_bytes;
        }
        for (size_t a = ROOM_ARENAS_FROM; a < WORKER_ARENAS; a++) {
            room_init(worker, arenas[a], small_bytes);
        }
    }
    run->lock = run->env->lock_new(run->env);
    run->series_lock = run->env->lock_new(run->env);
    run->gate.lock = run->env->lock_new(run->env);
    if (!run->lock || !run->series_lock || !run->gate.lock) {
        return fail(run->err, ERR_LIMIT, "no memory for locks");
    }
    return OK;
}

static void tear_down(struct run *run)
{
    struct env *env = run->env;
    output_abort(run->output);
    for (int i = 0; run->workers && i < run->threads; i++) {
        /* Where memory ran out as conflicts were decided. */
        spool_abandon(run->workers[i].accept.verdicts);
    }
    spool_free(run->arrivals);
    spool_free(run->records);
    spool_free(run->verdicts);
    feed_close(run->feed);
    for (int i = 0; run->workers && i < run->threads; i++) {
        struct worker *worker = &run->workers[i];
        struct file *files[] = {worker->read.letters.file, worker->accept.conflicts.file,
                                worker->settle.sourced.file, worker->settle.held.aside};
        for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
            struct error ignored;
            if (files[f]) {
                (void)env->file_close(env, files[f], &ignored); /* a temporary file */
            }
        }
        struct arena *arenas[WORKER_ARENAS];
        list_arenas(worker, arenas);
        for (size_t a = 0; a < WORKER_ARENAS; a++) {
            arena_release(arenas[a]);
        }
    }
    if (run->workers) {
        env->memory.release(&env->memory, run->workers,
                            (size_t)run->threads * sizeof *run->workers);
    }
    arena_release(&run->series_arena);
    arena_release(&run->table_arena);
    arena_release(&run->finder_arena);
    if (run->lock) {
        env->lock_free(env, run->lock);
    }
    if (run->series_lock) {
        env->lock_free(env, run->series_lock);
    }
    if (run->gate.lock) {
        env->lock_free(env, run->gate.lock);
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

/* Known files are read as they were then. */
static const enum feed_format *make_formats(struct run *run, enum feed_format format)
{
    const struct restatement *restatement = run->restatement;
    size_t count = run->options->events.count;
    enum feed_format *formats = arena_calloc(&run->arena, count + 1, sizeof *formats);
    for (size_t i = 0; i < count; i++) {
        formats[i] = i >= restatement->known_count  ? format
                     : restatement->known[i].is_csv ? FEED_CSV
                                                    : FEED_NDJSON;
    }
    return formats;
}

enum { EVENT_FILES_MAX = 65'535 }; /* an arrival has two bytes for its file */

static enum status open_inputs(struct run *run)
{
    const struct farthing_bill *options = run->options;
    struct feed_options feed_options = {.threads = run->threads,
                                        .format = options->format == FARTHING_CSV ? FEED_CSV
                                                  : options->format == FARTHING_NDJSON
                                                      ? FEED_NDJSON
                                                      : FEED_BY_NAME,
                                        .temporary_folder = run->config->temporary_folder};
    if (run->restatement) {
        feed_options.formats = make_formats(run, feed_options.format);
    }
    TRY(feed_open(run->env, &run->arena, options->events.items, options->events.count,
                  &feed_options, &run->feed, run->err));
    if (feed_file_count(run->feed) > EVENT_FILES_MAX) {
        (void)fail(run->err, ERR_LIMIT, "more than 65,535 files of events");
        return fail_hint(run->err, "join them, or bill in several runs");
    }
    /* Of larger writes a disk takes fewer; beyond this it does not tell. */
    enum { BUFFERS_SHARE = 256, BUFFER_MOST_BYTES = 2 * 1024 * 1024 };
    size_t buffer_bytes = OUTPUT_BUFFER_LEAST_BYTES;
    while (buffer_bytes < BUFFER_MOST_BYTES && buffer_bytes < run->memory_bytes / BUFFERS_SHARE) {
        buffer_bytes *= 2;
    }
    struct output_options output_options = {.buffer_bytes = buffer_bytes,
                                            .replace = options->replace != 0};
    return output_open(run->env, options->out, &output_options, &run->output, run->err);
}

/* What the meters need that most catalogs do not have. */
static void note_meters(struct run *run)
{
    for (uint32_t i = 0; i < run->catalog->meter_count; i++) {
        const struct meter *meter = &run->catalog->meters[i];
        run->has_samples |= aggregate_is_sampled(meter->aggregate);
        run->is_scattered |= meter->aggregate == AGGREGATE_TIME_WEIGHTED ||
                             (meter->aggregate == AGGREGATE_LATEST && run->has_cuts) ||
                             meter->spread_from;
    }
}

/* Catalog, accounts, what was before, and all that reading needs. */
static enum status run_load(struct run *run, struct complaints *complaints)
{
    struct env *env = run->env;
    struct loaded loaded = {0};
    const struct load_inputs inputs = {.zone_folder = run->config->zone_folder,
                                       .catalog = run->options->catalog,
                                       .accounts = run->options->accounts,
                                       .is_exact = run->is_case};
    TRY(load_catalog(env, &run->arena, &inputs, complaints, &loaded, run->err));
    run->catalog = loaded.catalog;
    run->accounts = loaded.accounts;
    run->zones_digest = loaded.zones_digest;
    TRY(restatement_check_inputs(run));
    arena_init(&run->series_arena, &env->memory, 0);
    arena_init(&run->table_arena, &env->tables, 0);
    arena_init(&run->finder_arena, &env->tables, 0);
    run->series_arena.recover = run->table_arena.recover = &run->recover;
    run->finder_arena.recover = &run->recover;
    series_table_init(&run->series, &run->series_arena, run->catalog);
    run->buyer_uses =
        arena_calloc(&run->arena, run->accounts->unknown_buyer_count + 1u, sizeof *run->buyer_uses);
    TRY(set_up_workers(run));
    TRY(load_state(run));
    room_count_loaded(run);
    TRY(open_inputs(run));
    run->has_pending = pending_is_possible(run->catalog);
    run->plan = meter_plan_new(&run->arena, run->catalog);
    note_meters(run);
    env->random_bytes(env, run->secret.bytes, sizeof run->secret.bytes);
    find_payers(run);
    TRY(set_up_spools(run));
    room_count_set_up(run);
    return OK;
}

/* Files get their names, unless nothing may be written or nothing has changed. */
static enum status finish_output(struct run *run, const struct farthing_summary *summary)
{
    struct output *output = run->output;
    run->output = NULL;
    if (restatement_is_torn(run)) {
        output_abort(output);
        return OK;
    }
    return run->restatement && !restatement_has_changed(run, summary)
               ? output_clear(output, &run->restatement->was_cleared, run->err)
               : output_commit(output, run->err);
}

/* When a part of the run began: by the clock, and by what all threads have computed. */
struct moment {
    int64_t ns, cpu_ns;
};

static struct moment now_of(struct env *env)
{
    return (struct moment){env->clock_mono_ns(env), env->clock_cpu_ns(env)};
}

/* What a part took; the next one begins. */
static void end_part(struct env *env, struct moment *from, int64_t *ns, int64_t *cpu_ns)
{
    struct moment now = now_of(env);
    *ns = now.ns - from->ns;
    *cpu_ns = now.cpu_ns - from->cpu_ns;
    *from = now;
}

static enum status run_all(struct run *run, struct complaints *complaints,
                           struct farthing_summary *summary)
{
    struct env *env = run->env;
    struct moment at = now_of(env);
    TRY(run_load(run, complaints));
    end_part(env, &at, &summary->load_ns, &summary->load_cpu_ns);

    TRY(carry_samples(run));
    TRY(run_read(run));
    TRY(restatement_check_events(run));
    end_part(env, &at, &summary->read_ns, &summary->read_cpu_ns);

    TRY(run_accept(run));
    spool_free(run->arrivals);
    run->arrivals = NULL;
    end_part(env, &at, &summary->accept_ns, &summary->accept_cpu_ns);

    run->series_arena.recover = run->table_arena.recover = &run->recover;
    TRY(run_settle(run));
    TRY(run_report(run, summary));
    summary->bytes_read = feed_bytes_read(run->feed);
    TRY(finish_output(run, summary));
    end_part(env, &at, &summary->bill_ns, &summary->bill_cpu_ns);
    summary->total_ns = summary->load_ns + summary->read_ns + summary->accept_ns + summary->bill_ns;
    summary->dedup_peak_bytes = run->dedup_peak_bytes > run->arrival_bound.peak_bytes
                                    ? run->dedup_peak_bytes
                                    : run->arrival_bound.peak_bytes;
    return OK;
}

static enum status run_bill(struct env *env, const struct farthing_config *config,
                            const struct farthing_bill *options, struct tax_sums *taxes,
                            struct restatement *restatement, struct arena *arena,
                            struct farthing_summary *summary, struct complaints *complaints,
                            struct error *err)
{
    struct run *run = env->memory.allocate(&env->memory, sizeof *run);
    if (!run) {
        return fail(err, ERR_LIMIT, "no memory");
    }
    *run = (struct run){.env = env,
                        .config = config,
                        .options = options,
                        .is_case = taxes != NULL,
                        .taxes = taxes,
                        .restatement = restatement,
                        .takes_back = restatement != NULL,
                        .err = err};
    /* The caller's arena is the run's while it lasts, so that what the summary points to outlives
     * the run. */
    run->arena = *arena;
    size_t used_bytes = env->memory_used_bytes(env);
    run->room.outer_bytes = used_bytes > arena->held_bytes ? used_bytes - arena->held_bytes : 0;
    run->threads = config->threads > 0 ? config->threads : env->processors(env);
    run->memory_bytes = env->memory_limit_bytes ? env->memory_limit_bytes
                                                : (size_t)MEMORY_DEFAULT_MIB * 1024 * 1024;
    int threads_max = room_threads(env->memory_limit_bytes ? run->memory_bytes : SIZE_MAX);
    run->threads = run->threads > threads_max ? threads_max : run->threads;
    *summary = (struct farthing_summary){0};
    enum status status;
    if (ARENA_RECOVER(&run->arena, run->recover)) {
        status = fail_memory(err, env->memory_asked_bytes, "",
                             ": the catalog, accounts, the opening and bills that were issued are "
                             "kept in memory");
    } else {
        status = run_all(run, complaints, summary);
    }
    tear_down(run);
    *arena = run->arena;
    arena->recover = NULL;
    env->memory.release(&env->memory, run, sizeof *run);
    return status;
}

enum status farthing_run_bill(struct env *env, const struct farthing_config *config,
                              const struct farthing_bill *options, struct arena *arena,
                              struct farthing_summary *summary, struct complaints *complaints,
                              struct error *err)
{
    return run_bill(env, config, options, NULL, NULL, arena, summary, complaints, err);
}

enum status farthing_run_case(struct env *env, const struct farthing_config *config,
                              const struct farthing_bill *options, struct tax_sums *taxes,
                              struct arena *arena, struct farthing_summary *summary,
                              struct complaints *complaints, struct error *err)
{
    return run_bill(env, config, options, taxes, NULL, arena, summary, complaints, err);
}

enum status farthing_run_restatement(struct env *env, const struct farthing_config *config,
                                     const struct farthing_bill *options,
                                     struct restatement *restatement, struct arena *arena,
                                     struct farthing_summary *summary,
                                     struct complaints *complaints, struct error *err)
{
    return run_bill(env, config, options, NULL, restatement, arena, summary, complaints, err);
}
