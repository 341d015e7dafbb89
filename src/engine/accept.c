/* accept.c - each event once: partitions of keys to verdicts on records, spooled by payer.
 *
 * What dedup cannot decide from hashes alone is decided from bytes: the records are read again, in
 * the order of the files, and compared by their full keys and canonical bytes.  Of the records
 * of one key the one with the smallest canonical bytes is accepted, whatever came first; equal
 * content is a duplicate, other content a conflict; and a withdrawal wins in any order.  Where a
 * closed period is restated, what was accepted before stays: rounds come before bytes.
 */
#include <assert.h>
#include <stdlib.h>

#include "decode/segment.h"
#include "engine/run.h"

/* ---- one partition --------------------------------------------------------------------------- */

static void count_event(struct event_count *events, uint64_t print)
{
    events->count++;
    events->print += print;
}

static void add_verdict(struct worker *worker, uint32_t partition, const struct verdict *verdict)
{
    struct verdict *to = spool_add(worker->verdicts, partition, 1);
    if (to) {
        *to = *verdict;
    }
}

/* Of an account that views have: wherever it has a payer, and wherever they do. */
static void give_verdict_to_copies(struct worker *worker, const struct arrival *arrival,
                                   struct verdict verdict)
{
    const struct run *run = worker->run;
    const struct accounts *accounts = run->accounts;
    uint32_t first = accounts->copy_first[arrival->account];
    for (uint32_t i = first; i <= accounts->copy_first[arrival->account + 1]; i++) {
        uint32_t payers[PAYERS_MAX];
        bool has[SPOOL_PARTITIONS_MAX] = {false};
        verdict.account = i == first ? arrival->account : accounts->copies[i - 1];
        add_verdict(worker, arrival->partition, &verdict);
        has[arrival->partition] = true;
        uint32_t count = payers_from(run, verdict.account, run->period.from, payers, NULL);
        for (uint32_t k = 0; k < count; k++) {
            uint32_t partition = book_partition(run, payers[k]);
            if (!has[partition]) {
                add_verdict(worker, partition, &verdict);
            }
            has[partition] = true;
        }
    }
}

static void give_verdict(struct worker *worker, const struct arrival *arrival, uint32_t copies,
                         bool is_withdrawn)
{
    const struct run *run = worker->run;
    const struct verdict verdict = {.print = arrival->print,
                                    .account = arrival->account,
                                    .copies = copies,
                                    .is_withdrawn = is_withdrawn};
    if (accounts_has_copies(run->accounts, arrival->account)) {
        give_verdict_to_copies(worker, arrival, verdict);
        return;
    }
    add_verdict(worker, arrival->partition, &verdict);
    if (!run->is_scattered || arrival->account == NONE ||
        run->steady_payer[arrival->account] != NONE) {
        return;
    }
    /* Records of the event may be wherever the account has a payer. */
    uint32_t payers[PAYERS_MAX];
    bool has[SPOOL_PARTITIONS_MAX] = {false};
    has[arrival->partition] = true;
    uint32_t count = payers_from(run, arrival->account, run->period.from, payers, NULL);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t partition = book_partition(run, payers[i]);
        if (!has[partition]) {
            add_verdict(worker, partition, &verdict);
        }
        has[partition] = true;
    }
}

static void take_duplicate(void *context, const struct arrival *first, uint32_t copies)
{
    struct worker *worker = context;
    worker->duplicates += copies;
    give_verdict(worker, first, copies, false);
}

static void keep_undecided(void *context, const struct arrival *const *arrivals, uint32_t count)
{
    struct worker *worker = context;
    uint32_t group = worker->group_count++;
    for (uint32_t i = 0; i < count; i++) {
        if (worker->undecided_count == worker->undecided_capacity) {
            uint32_t capacity = worker->undecided_capacity ? worker->undecided_capacity * 2 : 64;
            worker->undecided =
                arena_grow(&worker->arena, worker->undecided, worker->undecided_count, capacity,
                           sizeof *worker->undecided);
            worker->undecided_capacity = capacity;
        }
        worker->undecided[worker->undecided_count++] =
            (struct undecided){.group = group, .arrival = *arrivals[i]};
    }
}

/* What dedup takes, while the partition at hand is in memory. */
static void count_dedup_bytes(struct worker *worker)
{
    struct run *run = worker->run;
    size_t bytes = dedup_memory_bytes(&worker->dedup), more = bytes - worker->dedup_bytes;
    worker->dedup_bytes = bytes;
    size_t all = __atomic_add_fetch(&run->dedup_table_bytes, more, __ATOMIC_RELAXED) +
                 __atomic_load_n(&run->arrival_bound.held_bytes, __ATOMIC_RELAXED);
    size_t peak = __atomic_load_n(&run->dedup_peak_bytes, __ATOMIC_RELAXED);
    while (all > peak && !__atomic_compare_exchange_n(&run->dedup_peak_bytes, &peak, all, true,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static enum status accept_whole(struct worker *worker, struct spool *spool, uint32_t partition)
{
    struct spool_partition loaded;
    TRY(spool_load(spool, partition, &loaded, &worker->err));
    struct arrival_chunk *chunks =
        arena_alloc(&worker->scratch, (loaded.chunk_count + 1) * sizeof *chunks);
    for (uint32_t i = 0; i < loaded.chunk_count; i++) {
        chunks[i] = (struct arrival_chunk){loaded.chunks[i].units, loaded.chunks[i].count};
    }
    struct dedup_sink sink = {
        .context = worker, .duplicate = take_duplicate, .undecided = keep_undecided};
    struct dedup_accepted accepted =
        dedup_partition(&worker->dedup, chunks, loaded.chunk_count, &sink);
    worker->accepted.count += accepted.count;
    worker->accepted.print += accepted.print;
    count_dedup_bytes(worker);
    spool_unload(spool, partition, &loaded);
    return OK;
}

enum { SPLIT_BITS = 6, SPLITS = 1 << SPLIT_BITS };

/* Moves the arrivals of a partition into parts by the bits of their keys below shift. */
static enum status move_arrivals(struct worker *worker, struct spool *spool, uint32_t partition,
                                 struct spool *parts, uint32_t shift, void *room)
{
    struct spool_writer *writer;
    TRY(spool_writer_new(parts, &writer, &worker->err));
    enum status status = OK;
    uint32_t count = spool_chunk_count(spool, partition);
    for (uint32_t c = 0; status == OK && c < count; c++) {
        struct spool_chunk chunk;
        status = spool_read(spool, partition, c, room, &chunk, &worker->err);
        const struct arrival *arrivals = chunk.units;
        for (uint32_t i = 0; status == OK && i < chunk.count; i++) {
            uint32_t part = (uint32_t)(arrivals[i].key >> (shift - SPLIT_BITS)) % SPLITS;
            struct arrival *to = spool_add(writer, part, 1);
            if (!to) {
                break; /* spool_flush tells why */
            }
            *to = arrivals[i];
        }
        if (status == OK) {
            spool_drop(spool, partition, c);
        }
    }
    enum status flushed = spool_flush(writer, status == OK ? &worker->err : NULL);
    return status == OK ? flushed : status;
}

/* How many there are is not known before they are read: a partition that turns out too large for
 * the memory is split. shift: the bits of the keys that have not parted them yet. */
static enum status accept_partition(struct worker *worker, struct spool *spool, uint32_t partition,
                                    uint32_t shift)
{
    struct run *run = worker->run;
    if (spool_units(spool, partition) * (sizeof(struct arrival) + DEDUP_BYTES) <=
            run->accept_bytes ||
        shift < SPLIT_BITS) {
        return accept_whole(worker, spool, partition);
    }
    struct arena_mark mark = arena_mark(&worker->scratch);
    void *room = arena_alloc(&worker->scratch, SPOOL_CHUNK_BYTES);
    struct spool **parts = &worker->splits[worker->split_count];
    assert(worker->split_count < SPLITS_MAX);
    TRY(spool_new(run->env, SPLITS, sizeof(struct arrival), &run->budget,
                  run->config->temporary_folder, parts, &worker->err));
    spool_bind(*parts, &run->arrival_bound);
    worker->split_count++;
    TRY(move_arrivals(worker, spool, partition, *parts, shift, room));
    arena_rewind(&worker->scratch, mark);
    for (uint32_t p = 0; p < SPLITS; p++) {
        TRY(accept_partition(worker, *parts, p, shift - SPLIT_BITS));
    }
    spool_free(worker->splits[--worker->split_count]);
    return OK;
}

static enum status accept_partitions(struct worker *worker)
{
    struct run *run = worker->run;
    TRY(spool_writer_new(run->verdicts, &worker->verdicts, &worker->err));
    worker->dedup.arena = &worker->scratch;
    for (uint32_t p; (p = run_claim(run, run->key_partitions)) != NONE;) {
        TRY(accept_partition(worker, run->arrivals, p, run->key_shift));
        run_progress(run, worker->index, "accepting events", p, run->key_partitions);
    }
    return OK;
}

static void accept_work(void *argument, int index)
{
    struct run *run = argument;
    struct worker *worker = &run->workers[index];
    jmp_buf recover;
    enum status status;
    if (ARENA_RECOVER(&worker->arena, recover)) {
        status = fail(&worker->err, ERR_LIMIT,
                      "the memory limit is reached while duplicates are looked for");
        (void)fail_hint(&worker->err, "allow more with --memory");
    } else {
        worker->scratch.recover = &recover;
        status = accept_partitions(worker);
    }
    while (worker->split_count > 0) {
        spool_free(worker->splits[--worker->split_count]);
    }
    if (status != OK) {
        worker_fail(worker, status);
    }
}

/* ---- deciding by bytes ----------------------------------------------------------------------- */

/* An undecided event with its bytes. */
struct contender {
    uint32_t group; /* over all workers */
    const struct arrival *arrival;
    bool is_withdrawal;
    uint32_t round;
    struct text source, id; /* of the event, or of the target of a withdrawal */
    struct text canonical;
    struct text bytes;
};

static int compare_positions(const void *a_item, const void *b_item)
{
    const struct contender *a = a_item, *b = b_item;
    uint64_t x = a->arrival->position, y = b->arrival->position;
    return x < y ? -1 : x > y;
}

static int compare_contenders(const void *a_item, const void *b_item)
{
    const struct contender *a = a_item, *b = b_item;
    int order = a->group < b->group ? -1 : a->group > b->group;
    order = order ? order : text_compare(a->source, b->source);
    order = order ? order : text_compare(a->id, b->id);
    order = order ? order : (int)b->is_withdrawal - (int)a->is_withdrawal;
    order = order ? order : (a->round > b->round) - (a->round < b->round);
    order = order ? order : text_compare(a->canonical, b->canonical);
    return order ? order : compare_positions(a, b);
}

static void keep_event(void *context, const struct event *event, size_t record_offset,
                       struct text record)
{
    (void)record_offset;
    (void)record;
    *(struct event *)context = *event;
}

static void keep_refusal(void *context, const struct finding *finding)
{
    (void)context;
    (void)finding;
}

/* The canonical form of an event of a segment, which is its record; in the scratch arena. */
static enum status read_event_again(struct run *run, struct worker *worker, uint32_t file,
                                    uint64_t number, struct text *bytes)
{
    struct text block;
    uint64_t first;
    TRY(feed_reread_event(run->feed, file, number, &block, &first, run->err));
    if (!worker->segments) {
        worker->segments = segment_reader_new(&worker->segment_arena);
    }
    const char *fault;
    /* They come in order, so a block is mostly read once. */
    bool is_open = worker->again_file == file && worker->again_first == first &&
                   segment_position(worker->segments) <= number - first;
    if (!is_open && !segment_open(worker->segments, block, &fault)) {
        return fail(run->err, ERR_INPUT, "%s: has changed while it was read",
                    feed_file_path(run->feed, file));
    }
    worker->again_file = file;
    worker->again_first = first;
    do {
        if (!segment_next(worker->segments, &fault)) {
            return fail(run->err, ERR_INPUT, "%s: has changed while it was read",
                        feed_file_path(run->feed, file));
        }
    } while (segment_position(worker->segments) <= number - first);
    struct buffer canonical;
    buffer_init(&canonical, &worker->scratch, 1024);
    segment_canonical(worker->segments, &canonical);
    *bytes = buffer_text(&canonical);
    return OK;
}

static enum status read_contender(struct run *run, struct worker *worker, char *buffer,
                                  struct contender *contender)
{
    uint32_t file = (uint32_t)(contender->arrival->position >> 48);
    uint64_t offset = contender->arrival->position & ((UINT64_C(1) << 48) - 1);
    size_t size;
    struct text bytes;
    struct arena_mark mark = arena_mark(&worker->scratch);
    if (feed_file_format(run->feed, file) == FEED_SEGMENT) {
        TRY(read_event_again(run, worker, file, offset, &bytes));
    } else {
        TRY(feed_reread(run->feed, file, offset, buffer, LINE_MAX_BYTES, &size, run->err));
        bytes = (struct text){buffer, size};
    }
    const struct csv_header *header = NULL;
    struct event event = {.at = 0};
    struct sink sink = {.context = &event, .event = keep_event, .refused = keep_refusal};
    if (run->file_headers[file].size > 0) {
        TRY(csv_header_read(&worker->scratch, run->file_headers[file], run->csv_mapping, &header,
                            run->err));
        decode_csv_row(worker->decoder, header, bytes, &sink);
    } else {
        size_t end = 0; /* an event of a batch ends before its line does */
        (void)json_value_end(bytes, &end);
        bytes.size = end;
        decode_json_line(worker->decoder, bytes, false, &sink);
    }
    if (event.source.size == 0) {
        return fail(run->err, ERR_INPUT, "%s: has changed while it was read",
                    feed_file_path(run->feed, file));
    }
    contender->is_withdrawal = event.kind == EVENT_WITHDRAWAL;
    contender->round = run_round(run, file);
    contender->source =
        text_copy(&run->arena, contender->is_withdrawal ? event.target_source : event.source);
    contender->id = text_copy(&run->arena, contender->is_withdrawal ? event.target_id : event.id);
    struct buffer canonical;
    buffer_init(&canonical, &run->arena, bytes.size + 64);
    TRY(decode_canonical(worker->decoder, bytes, header, &canonical, run->err));
    contender->canonical = buffer_text(&canonical);
    contender->bytes = text_copy(&run->arena, bytes);
    arena_rewind(&worker->scratch, mark);
    return OK;
}

static void add_conflict(struct run *run, uint32_t capacity, const struct contender *accepted,
                         const struct contender *refused)
{
    assert(run->conflict_count < capacity);
    (void)capacity;
    run->conflicts[run->conflict_count++] =
        (struct conflict){.source = refused->source,
                          .id = refused->id,
                          .accepted = accepted->arrival->position,
                          .refused = refused->arrival->position,
                          .bytes = refused->bytes};
}

/* All contenders of one key, withdrawals first, then by round and canonical bytes. */
static void decide_key(struct run *run, struct worker *worker, const struct contender *items,
                       uint32_t count, uint32_t capacity)
{
    uint32_t first = 0;
    while (first < count && items[first].is_withdrawal) {
        first++;
    }
    if (first == count) {
        return; /* a withdrawal of an event that is not here */
    }
    const struct contender *accepted = &items[first];
    count_event(&worker->accepted, accepted->arrival->print);
    if (first > 0) {
        count_event(&worker->withdrawn, accepted->arrival->print);
        give_verdict(worker, accepted->arrival, 0, true);
    }
    for (uint32_t i = first + 1; i < count; i++) {
        if (text_equal(items[i].canonical, accepted->canonical)) {
            worker->duplicates++;
        } else {
            add_conflict(run, capacity, accepted, &items[i]);
        }
        give_verdict(worker, items[i].arrival, 1, false);
    }
}

static enum status decide_all(struct run *run)
{
    uint32_t count = 0, groups = 0;
    for (int i = 0; i < run->threads; i++) {
        count += run->workers[i].undecided_count;
    }
    if (count == 0) {
        return OK;
    }
    struct contender *items = arena_calloc(&run->arena, count, sizeof *items);
    uint32_t at = 0;
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        for (uint32_t u = 0; u < worker->undecided_count; u++) {
            items[at++] = (struct contender){.group = groups + worker->undecided[u].group,
                                             .arrival = &worker->undecided[u].arrival};
        }
        groups += worker->group_count;
    }
    qsort(items, count, sizeof *items, compare_positions);
    struct worker *worker = &run->workers[0];
    worker->again_file = UINT32_MAX;
    char *buffer = arena_alloc(&run->arena, LINE_MAX_BYTES + FEED_PADDING_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        TRY(read_contender(run, worker, buffer, &items[i]));
    }
    qsort(items, count, sizeof *items, compare_contenders);
    run->conflicts = arena_calloc(&run->arena, count, sizeof *run->conflicts);
    for (uint32_t i = 0; i < count;) {
        uint32_t end = i + 1;
        while (end < count && items[end].group == items[i].group &&
               text_equal(items[end].source, items[i].source) &&
               text_equal(items[end].id, items[i].id)) {
            end++;
        }
        decide_key(run, worker, &items[i], end - i, count);
        i = end;
    }
    return OK;
}

enum status run_accept(struct run *run)
{
    run->next_partition = 0;
    enum status status = run_threads(run, accept_work);
    if (status == OK) {
        run->workers[0].decoder_arena.recover = &run->recover;
        run->workers[0].scratch.recover = &run->recover;
        run->workers[0].segment_arena.recover = &run->recover;
        run->workers[0].arena.recover = &run->recover;
        status = decide_all(run);
    }
    for (int i = 0; i < run->threads; i++) {
        struct worker *worker = &run->workers[i];
        if (worker->verdicts) {
            struct error err;
            enum status flushed = spool_flush(worker->verdicts, &err);
            worker->verdicts = NULL;
            if (flushed != OK && status == OK) {
                *run->err = err;
                status = flushed;
            }
        }
        /* Billing needs the memory, and nothing of this. */
        worker->dedup = (struct dedup_memory){0};
        arena_release(&worker->scratch);
        arena_release(&worker->decoder_arena);
        arena_release(&worker->meter_arena);
        arena_release(&worker->segment_arena);
    }
    return status;
}
