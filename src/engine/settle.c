/* settle.c - all partitions to bills, and the proof that nothing was lost.
 *
 * A partition is a range of payers in the order of their ids, so partitions written in turn are
 * sorted files, whatever thread made which.
 */
#include <string.h>

#include "engine/gate.h"
#include "engine/margins.h"
#include "engine/partition.h"
#include "engine/payer.h"
#include "engine/room.h"
#include "engine/run.h"
#include "engine/sourced.h"
#include "engine/texts.h"
#include "engine/waiting.h"
#include "feed/output.h"
#include "render/render.h"

static enum status settle_partition(struct worker *worker, uint32_t p, struct text inputs)
{
    /* Of the memory: text that all threads hold.  Two of them never wait for their turn when half a
     * partition fits, which is tens of megabytes where there are tens of millions of lines. */
    enum { HELD_SHARE = 8 };
    struct run *run = worker->run;
    struct partition partition;
    struct texts texts = {.partition = p,
                          .held_max = (uint32_t)(run->memory_bytes / HELD_SHARE /
                                                 (size_t)run->threads / sizeof(struct held_block))};
    gate_enter(worker);
    for (enum text_kind i = 0; i < TEXTS; i++) {
        buffer_init(texts_buffer(&texts, i), &worker->output, 4096);
    }
    worker->settle.texts = &texts;
    TRY(partition_open(worker, &texts, &partition));
    struct records nobody = partition_group(&partition, 0);
    if (records_any(&nobody)) {
        payer_settle_excluded(worker, TEXT(""), TEXT(""), nobody, &texts);
        arena_rewind(&worker->scratch, ARENA_EMPTY);
    }
    bool every_payer = run->members || run->opening_count > 0 || run->carried.count > 0 ||
                       run->unbilled.count > 0 || run->issued.line_count > 0 || run->waits ||
                       run->moves.is_party;
    for (uint32_t payer = partition.low; payer < partition.high && !worker->failed; payer++) {
        struct records records = partition_group(&partition, payer - partition.low + 1);
        for (enum ask ask = 0; ask < ASKS; ask++) {
            const uint32_t next = payer + ASKS - ask;
            if (next < partition.high) {
                struct records ahead = partition_group(&partition, next - partition.low + 1);
                if (ahead.at < ahead.end) {
                    payer_ask(worker, next, &ahead, ask);
                }
            }
        }
        if (records_any(&records) ||
            (every_payer && payer_is_settled(run, payer) &&
             (payer_pays(run, payer) || payer_has_opening(run, payer) ||
              payer_has_issued(run, payer) || run_holds(run, payer) || sourced_wait(run, payer)))) {
            payer_settle(worker, payer, records, inputs, &texts);
            arena_rewind(&worker->handed, ARENA_EMPTY);
            gate_yield(worker);
        }
    }
    partition_close(worker, &partition);
    enum status status = worker->failed ? worker->err.status : texts_write(worker, &texts);
    worker->settle.texts = NULL;
    arena_rewind(&worker->output, ARENA_EMPTY);
    gate_leave(worker);
    if (texts.has_turn) {
        output_turn_give(run->output);
    }
    return status;
}

static enum status settle_partitions(struct worker *worker)
{
    struct run *run = worker->run;
    const struct catalog *catalog = run->catalog;
    worker->settle.booked_totals = arena_calloc(&worker->arena, catalog->meter_count + 1,
                                                sizeof *worker->settle.booked_totals);
    worker->settle.removed_totals = arena_calloc(&worker->arena, catalog->meter_count + 1,
                                                 sizeof *worker->settle.removed_totals);
    (void)money_sums_of(worker, catalog->currency);
    char catalog_digest[65], accounts_digest[65];
    digest_format(&catalog->digest, catalog_digest);
    digest_format(&run->accounts->digest, accounts_digest);
    struct inputs inputs = {.catalog_digest = text_of(catalog_digest),
                            .accounts_digest = text_of(accounts_digest),
                            .zones_digest = run->zones_digest,
                            .opening_digest = run->opening_digest,
                            .rules = TEXT(FARTHING_RULES)};
    struct text inputs_json = render_inputs(&worker->arena, &inputs);
    worker->settle.writer =
        writer_new(&worker->arena, run->room.writers_bytes / (size_t)run->threads);
    worker->settle.prices = price_memory_new(&worker->arena, catalog);
    sourced_prepare(worker);
    margins_prepare(worker);
    for (uint32_t p; worker->index < run->billing_threads &&
                     (p = run_claim(run, run->book_partitions)) != NONE;) {
        TRY(settle_partition(worker, p, inputs_json));
        run_progress(run, worker->index, "billing", p, run->book_partitions);
    }
    return OK;
}

static void settle_work(void *argument, int index)
{
    struct run *run = argument;
    struct worker *worker = &run->workers[index];
    jmp_buf recover;
    enum status status;
    if (ARENA_RECOVER(&worker->arena, recover)) {
        status = partition_fail_memory(worker);
    } else {
        worker->scratch.recover = worker->output.recover = &recover;
        worker->shelf.recover = worker->handed.recover = &recover;
        status = settle_partitions(worker);
    }
    if (status != OK) {
        worker_fail(worker, status);
        output_fail(run->output, &worker->err);
    }
    sorted_free(worker->settle.sorted);
    worker->settle.sorted = NULL;
    texts_drop_held(worker);
    worker->settle.texts = NULL;
    arena_release(&worker->scratch); /* the report needs memory too */
    arena_release(&worker->output);
    arena_release(&worker->shelf);
    arena_release(&worker->handed);
    gate_end_alone(worker);
    gate_leave(worker);
}

/* Two writes at once went to the disk at half as much again as one by one (1.7 and 1.1 GB/s). */
enum { WRITERS = 2 };

static void settle_or_write(void *argument, int index)
{
    struct run *run = argument;
    if (index < run->threads) {
        settle_work(run, index);
        output_leave(run->output);
    } else {
        output_write_behind(run->output);
    }
}

/* Who asks for one thread gets no more. */
static enum status settle_payers(struct run *run)
{
    if (run->threads == 1) {
        return run_threads(run, settle_work);
    }
    output_share(run->output, run->threads);
    TRY(run->env->threads_run(run->env, run->threads + WRITERS, settle_or_write, run, run->err));
    return run_failure(run);
}

static void add_events(struct event_count *sum, struct event_count events)
{
    sum->count += events.count;
    sum->print += events.print;
}

/* Both sides of conservation: the events that acceptance has found ... */
static enum status check_events(struct run *run)
{
    struct event_count accepted = {0}, booked = {0}, withdrawn = {0}, booked_withdrawn = {0};
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        add_events(&accepted, worker->accept.accepted);
        add_events(&booked, worker->settle.booked);
        add_events(&withdrawn, worker->accept.withdrawn);
        add_events(&booked_withdrawn, worker->settle.booked_withdrawn);
    }
    if (memcmp(&accepted, &booked, sizeof booked) != 0 ||
        memcmp(&withdrawn, &booked_withdrawn, sizeof withdrawn) != 0) {
        return fail(run->err, ERR_CORRUPT,
                    "conservation: %llu events were accepted, %llu of them withdrawn; %llu were "
                    "booked, %llu of them withdrawn, or others; nothing was written",
                    (unsigned long long)accepted.count, (unsigned long long)withdrawn.count,
                    (unsigned long long)booked.count, (unsigned long long)booked_withdrawn.count);
    }
    return OK;
}

/* ... and the records that were read, meter by meter. */
static enum status check_conservation(struct run *run)
{
    TRY(check_events(run));
    const struct catalog *catalog = run->catalog;
    for (uint32_t m = 0; m <= catalog->meter_count; m++) {
        struct total accepted = {0}, booked = {0};
        for (int i = 0; i < run->threads; i++) {
            total_add(&accepted, &run->workers[i].read.totals[m]);
            total_subtract(&accepted, &run->workers[i].settle.removed_totals[m]);
            total_add(&booked, &run->workers[i].settle.booked_totals[m]);
        }
        if (!total_equal(&accepted, &booked)) {
            struct text name = m < catalog->meter_count ? catalog->meters[m].name : TEXT("none");
            return fail(run->err, ERR_CORRUPT,
                        "conservation: meter %.*s accepted %llu events, usage rows and exclusions "
                        "hold %llu, or others; nothing was written",
                        TEXT_ARG(name), (unsigned long long)accepted.count,
                        (unsigned long long)booked.count);
        }
    }
    return OK;
}

/* The last line of a closing tells how much comes before it, so that a copy that is cut short is
 * not taken for a whole one, and which form its names have. */
static enum status end_closing(struct run *run)
{
    char print[33];
    hash128_format(output_file_print(run->files.closing), print);
    return output_append_text(
        run->files.closing,
        text_format(&run->arena, "{\"closing\":{\"form\":%d,\"size\":%llu,\"print\":\"%s\"}}\n",
                    CLOSING_FORM, (unsigned long long)output_file_size(run->files.closing), print),
        run->err);
}

/* As many threads as find room for a partition and a payer's bill each: more of them would keep
 * memory from the one whose turn it is to write. */
static int choose_billing_threads(const struct run *run)
{
    enum { THREAD_SHARE = 5, THREAD_MOST_BYTES = 64 * 1024 * 1024 };
    size_t used = run->env->memory_used_bytes(run->env), kept = run->budget.kept_bytes;
    used = used > kept ? used - kept : 0; /* what is kept is what is billed */
    size_t left = run->memory_bytes > used ? run->memory_bytes - used : 0;
    size_t share = run->memory_bytes / THREAD_SHARE;
    size_t count = left / (share < THREAD_MOST_BYTES ? share : THREAD_MOST_BYTES);
    return count < 1 ? 1 : count < (size_t)run->threads ? (int)count : run->threads;
}

enum status run_settle(struct run *run)
{
    const struct {
        const char *name;
        struct output_file **file;
        const char *header;
    } files[] = {{"bills.ndjson", &run->files.bills, NULL},
                 {"lines.csv", &run->files.lines, LINES_HEADER},
                 {"usage.csv", &run->files.usage, USAGE_HEADER},
                 {"closing.ndjson", &run->files.closing, NULL},
                 {"exclusions.csv", &run->files.exclusions, EXCLUSIONS_HEADER}};
    size_t opened_bytes = run->env->memory_used_bytes(run->env);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        TRY(output_file_open(run->output, files[i].name, files[i].file, run->err));
        if (files[i].header) {
            struct text header = text_of(files[i].header);
            bool has_views = run->accounts->view_count > 0 && files[i].header != LINES_HEADER;
            if (has_views) {
                header = text_format(&run->arena, "%.*s%s\n", (int)header.size - 1, header.at,
                                     VIEWS_HEADER);
            }
            TRY(output_append_text(*files[i].file, header, run->err));
        }
    }
    opened_bytes = run->env->memory_used_bytes(run->env) - opened_bytes;
    series_rank(&run->series);
    run->period_edges = bill_edges(&run->arena, run->period);
    TRY(room_divide(run, opened_bytes));
    TRY(payers_rehearse(run));
    run->billing_threads = choose_billing_threads(run);
    run->next_partition = 0;
    TRY(settle_payers(run));
    TRY(sourced_write(run));
    TRY(check_conservation(run));
    return end_closing(run);
}
