/* accept.c - each event once: partitions of keys to verdicts on records, spooled by payer.
 *
 * What dedup cannot decide from hashes alone is decided from bytes: the records are read again, in
 * the order of the files, and compared by prints of their full keys and canonical bytes; where
 * contents of one key differ, by those bytes, which are read once more.  Of the records
 * of one key the one with the smallest canonical bytes is accepted, whatever came first; equal
 * content is a duplicate, other content a conflict; and a withdrawal wins in any order.  Where a
 * closed period is restated, what was accepted before stays: rounds come before bytes.
 */
#include <assert.h>
#include <stdlib.h>

#include "decode/segment.h"
#include "engine/conflict.h"
#include "engine/restatement.h"
#include "engine/run.h"
#include "engine/strangers.h"

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

/* ---- one partition --------------------------------------------------------------------------- */

static void count_event(struct event_count *events, uint64_t print)
{
    events->count++;
    events->print += print;
}

static void add_verdict(struct worker *worker, uint32_t partition, const struct verdict *verdict)
{
    struct verdict *to = spool_add(worker->accept.verdicts, partition, 1);
    if (to) {
        *to = *verdict;
    } else {
        run_stop(worker->run); /* spool_flush tells why */
    }
}

/* Records of the event may be wherever the account has a payer. */
static void give_verdict_to_payers(struct worker *worker, uint32_t main,
                                   const struct verdict *verdict)
{
    const struct run *run = worker->run;
    bool has[SPOOL_PARTITIONS_MAX] = {false};
    uint32_t payer;
    add_verdict(worker, main, verdict);
    has[main] = true;
    for (instant at = run->period.from; payers_next(run, verdict->account, &at, &payer);) {
        uint32_t partition = book_partition(run, payer);
        if (!has[partition]) {
            add_verdict(worker, partition, verdict);
        }
        has[partition] = true;
    }
}

static void give_verdict(struct worker *worker, const struct arrival *arrival, uint32_t copies,
                         bool is_withdrawn)
{
    const struct run *run = worker->run;
    const struct accounts *accounts = run->accounts;
    const uint32_t account = arrival->account;
    struct verdict verdict = {.print = arrival->print,
                              .account = account,
                              .copies = copies,
                              .is_withdrawn = is_withdrawn};
    if (accounts_has_copies(accounts, account)) { /* of views, each with payers of its own */
        give_verdict_to_payers(worker, arrival->partition, &verdict);
        for (uint32_t i = accounts->copy_first[account]; i < accounts->copy_first[account + 1];
             i++) {
            verdict.account = accounts->copies[i];
            give_verdict_to_payers(worker, arrival->partition, &verdict);
        }
    } else if (run->is_scattered && account != NONE && run->steady_payer[account] == NONE) {
        give_verdict_to_payers(worker, arrival->partition, &verdict);
    } else {
        add_verdict(worker, arrival->partition, &verdict);
    }
}

static void take_duplicate(void *context, const struct arrival *first, uint32_t copies)
{
    struct worker *worker = context;
    worker->accept.duplicates += copies;
    give_verdict(worker, first, copies, false);
}

static void keep_undecided(void *context, const struct arrival *const *arrivals, uint32_t count)
{
    struct worker *worker = context;
    uint32_t group = worker->accept.group_count++;
    for (uint32_t i = 0; i < count; i++) {
        struct undecided_chunk *chunk = worker->accept.undecided;
        if (!chunk || chunk->count == UNDECIDED_A_CHUNK) {
            chunk = arena_alloc(&worker->accept.undecided_arena, sizeof *chunk);
            chunk->next = worker->accept.undecided;
            chunk->count = 0;
            worker->accept.undecided = chunk;
        }
        chunk->items[chunk->count++] = (struct undecided){.group = group, .arrival = *arrivals[i]};
        worker->accept.undecided_count++;
    }
}

/* What dedup takes, while the partition at hand is in memory. */
static void count_dedup_bytes(struct worker *worker)
{
    struct run *run = worker->run;
    size_t bytes = dedup_memory_bytes(&worker->accept.dedup),
           more = bytes - worker->accept.dedup_bytes;
    worker->accept.dedup_bytes = bytes;
    size_t all = __atomic_add_fetch(&run->dedup_table_bytes, more, __ATOMIC_RELAXED) +
                 __atomic_load_n(&run->arrival_bound.held_bytes, __ATOMIC_RELAXED);
    size_t peak = __atomic_load_n(&run->dedup_peak_bytes, __ATOMIC_RELAXED);
    while (all > peak && !__atomic_compare_exchange_n(&run->dedup_peak_bytes, &peak, all, true,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static enum status accept_whole(struct worker *worker, struct spool *spool, uint32_t partition)
{
    if (spool_chunk_count(spool, partition) > DEDUP_CHUNKS_MAX) { /* of one key: it was split */
        return fail(&worker->err, ERR_LIMIT, "one event came more than a billion times");
    }
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
        dedup_partition(&worker->accept.dedup, chunks, loaded.chunk_count, &sink);
    worker->accept.accepted.count += accepted.count;
    worker->accept.accepted.print += accepted.print;
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
    const uint64_t bytes = spool_units(spool, partition) * (sizeof(struct arrival) + DEDUP_BYTES);
    const bool fits =
        bytes <= run->accept_bytes && spool_chunk_count(spool, partition) <= DEDUP_CHUNKS_MAX;
    if (fits || shift < SPLIT_BITS) {
        return accept_whole(worker, spool, partition);
    }
    struct arena_mark mark = arena_mark(&worker->scratch);
    void *room = arena_alloc(&worker->scratch, SPOOL_CHUNK_BYTES);
    struct spool **parts = &worker->accept.splits[worker->accept.split_count];
    assert(worker->accept.split_count < SPLITS_MAX);
    TRY(spool_new(run->env, SPLITS, sizeof(struct arrival), &run->budget,
                  run->config->temporary_folder, parts, &worker->err));
    spool_bind(*parts, &run->arrival_bound);
    worker->accept.split_count++;
    TRY(move_arrivals(worker, spool, partition, *parts, shift, room));
    arena_rewind(&worker->scratch, mark);
    for (uint32_t p = 0; p < SPLITS; p++) {
        TRY(accept_partition(worker, *parts, p, shift - SPLIT_BITS));
    }
    spool_free(worker->accept.splits[--worker->accept.split_count]);
    return OK;
}

static enum status accept_partitions(struct worker *worker)
{
    struct run *run = worker->run;
    TRY(spool_writer_new(run->verdicts, &worker->accept.verdicts, &worker->err));
    worker->accept.dedup.arena = &worker->scratch;
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
        status = fail_memory(&worker->err, run->env->memory_asked_bytes,
                             " while duplicates are looked for", "");
    } else {
        worker->scratch.recover = worker->accept.undecided_arena.recover = &recover;
        status = accept_partitions(worker);
    }
    while (worker->accept.split_count > 0) {
        spool_free(worker->accept.splits[--worker->accept.split_count]);
    }
    if (status != OK) {
        worker_fail(worker, status);
    }
}

/* ---- deciding by bytes ----------------------------------------------------------------------- */

/* An undecided event, as it was read again: of its key and its canonical bytes there are keyed
 * prints, since there may be as many as there are events.  The bytes themselves are asked for where
 * an order matters, which is between different contents of one key. */
struct contender {
    const struct arrival *arrival;
    struct hash128 key; /* of the event, or of the target of a withdrawal */
    struct hash128 content;
    uint32_t group; /* over all workers */
    uint32_t round;
    uint32_t canonical_bytes;
    bool is_withdrawal;
};

static int compare_arrivals(const struct arrival *a, const struct arrival *b)
{
    return a->position < b->position ? -1 : a->position > b->position;
}

static int compare_positions(const void *a_item, const void *b_item)
{
    const struct contender *a = a_item, *b = b_item;
    return compare_arrivals(a->arrival, b->arrival);
}

/* Those of a key one behind the other, withdrawals first, then by round and content. */
static int compare_contenders(const void *a_item, const void *b_item)
{
    const struct contender *a = a_item, *b = b_item;
    int order = a->group < b->group ? -1 : a->group > b->group;
    order = order ? order : hash_compare(a->key, b->key);
    order = order ? order : (int)b->is_withdrawal - (int)a->is_withdrawal;
    order = order ? order : (a->round > b->round) - (a->round < b->round);
    order = order ? order : hash_compare(a->content, b->content);
    return order ? order : compare_arrivals(a->arrival, b->arrival);
}

/* A record that is read again; it lives until the next one is, or the scratch arena is rewound. */
struct again {
    struct event event;
    struct text bytes, canonical;
};

static enum status fail_changed(const struct run *run, uint32_t file)
{
    return fail(run->err, ERR_INPUT, "%s: has changed while it was read",
                feed_file_path(run->feed, file));
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

/* Of a segment: the canonical form of an event is its record, however long it is. */
static enum status read_event_again(struct run *run, struct worker *worker, uint32_t file,
                                    uint64_t number, struct again *again)
{
    struct text block;
    uint64_t first;
    TRY(feed_reread_event(run->feed, file, number, &block, &first, run->err));
    if (!worker->read.segments) {
        worker->read.segments = segment_reader_new(&worker->read.segment_arena);
    }
    const char *fault;
    /* They come in order, so a block is mostly read once. */
    bool is_open = worker->read.again_file == file && worker->read.again_first == first &&
                   segment_position(worker->read.segments) <= number - first;
    if (!is_open && !segment_open(worker->read.segments, block, &fault)) {
        return fail_changed(run, file);
    }
    worker->read.again_file = file;
    worker->read.again_first = first;
    do {
        const struct event *event = segment_next(worker->read.segments, &fault);
        if (!event) {
            return fail_changed(run, file);
        }
        again->event = *event;
    } while (segment_position(worker->read.segments) <= number - first);
    struct buffer canonical;
    buffer_init(&canonical, &worker->scratch, 1024);
    segment_canonical(worker->read.segments, &canonical);
    again->bytes = again->canonical = buffer_text(&canonical);
    return OK;
}

/* Rows of one file come one behind the other. */
static enum status find_header(struct run *run, struct worker *worker, uint32_t file,
                               const struct csv_header **header)
{
    *header = NULL;
    if (run->file_headers[file].size == 0) {
        return OK;
    }
    if (!worker->read.csv_header || worker->read.csv_file != file) {
        worker->read.csv_header = NULL;
        arena_rewind(&worker->read.header_arena, ARENA_EMPTY);
        TRY(csv_header_read(&worker->read.header_arena, run->file_headers[file], run->csv_mapping,
                            &worker->read.csv_header, run->err));
        worker->read.csv_file = file;
    }
    *header = worker->read.csv_header;
    return OK;
}

static enum status read_line_again(struct run *run, struct worker *worker, uint32_t file,
                                   uint64_t offset, struct again *again)
{
    size_t size;
    const struct csv_header *header;
    struct sink sink = {.context = &again->event, .event = keep_event, .refused = keep_refusal};
    char *buffer = worker->read.again_line;
    worker->read.again_file = UINT32_MAX; /* the feed may give back the block that was open */
    TRY(feed_reread(run->feed, file, offset, buffer, LINE_MAX_BYTES, &size, run->err));
    TRY(find_header(run, worker, file, &header));
    if (header) {
        size -= size > 0 && buffer[size - 1] == '\r'; /* of a line that ends with CR LF */
        decode_csv_row(worker->read.decoder, header, (struct text){buffer, size}, &sink);
    } else {
        size_t end = 0; /* an event of a batch ends before its line does */
        (void)json_value_end((struct text){buffer, size}, &end);
        size = end;
        decode_json_line(worker->read.decoder, (struct text){buffer, size}, false, &sink);
    }
    if (again->event.source.size == 0) {
        return fail_changed(run, file);
    }
    /* The texts of the event go when its record is decoded once more. */
    struct event *event = &again->event;
    struct text *texts[] = {&event->source, &event->id, &event->subject, &event->target_source,
                            &event->target_id};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = text_copy(&worker->scratch, *texts[i]);
    }
    again->bytes = (struct text){buffer, size};
    struct buffer canonical;
    buffer_init(&canonical, &worker->scratch, size + 64);
    TRY(decode_canonical(worker->read.decoder, again->bytes, header, &canonical, run->err));
    again->canonical = buffer_text(&canonical);
    return OK;
}

/* In ascending order of positions. */
static enum status read_again(struct run *run, struct worker *worker, uint64_t position,
                              struct again *again)
{
    uint32_t file = (uint32_t)(position >> 48);
    uint64_t place = position & ((UINT64_C(1) << 48) - 1);
    *again = (struct again){.event = {.at = 0}};
    return feed_file_format(run->feed, file) == FEED_SEGMENT
               ? read_event_again(run, worker, file, place, again)
               : read_line_again(run, worker, file, place, again);
}

static enum status read_contender(struct run *run, struct worker *worker,
                                  struct contender *contender)
{
    struct again again;
    struct arena_mark mark = arena_mark(&worker->scratch);
    TRY(read_again(run, worker, contender->arrival->position, &again));
    const struct event *event = &again.event;
    contender->is_withdrawal = event->kind == EVENT_WITHDRAWAL;
    contender->round = run_round(run, (uint32_t)(contender->arrival->position >> 48));
    struct text source = contender->is_withdrawal ? event->target_source : event->source;
    struct text id = contender->is_withdrawal ? event->target_id : event->id;
    char key[2 * ATTRIBUTE_MAX_BYTES + 1];
    memcpy(key, source.at, source.size);
    key[source.size] = '\0'; /* which no attribute has */
    memcpy(key + source.size + 1, id.at, id.size);
    contender->key = hash_secret128(&run->secret, key, source.size + 1 + id.size);
    contender->content = hash_secret128(&run->secret, again.canonical.at, again.canonical.size);
    contender->canonical_bytes = (uint32_t)again.canonical.size;
    arena_rewind(&worker->scratch, mark);
    return OK;
}

static void add_conflict(struct run *run, const struct contender *accepted,
                         const struct contender *refused)
{
    run->conflicts.items = arena_room(&run->arena, run->conflicts.items, run->conflicts.count,
                                      &run->conflicts.capacity, sizeof *run->conflicts.items);
    run->conflicts.items[run->conflicts.count++] = (struct conflict){
        .accepted = accepted->arrival->position, .refused = refused->arrival->position};
}

/* All contenders of one key; accepted is one of the events among them. */
static void decide_key(struct run *run, struct worker *worker, const struct contender *items,
                       uint32_t count, const struct contender *accepted)
{
    bool is_withdrawn = items[0].is_withdrawal;
    count_event(&worker->accept.accepted, accepted->arrival->print);
    if (is_withdrawn) {
        count_event(&worker->accept.withdrawn, accepted->arrival->print);
        give_verdict(worker, accepted->arrival, 0, true);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].is_withdrawal || &items[i] == accepted) {
            continue;
        }
        if (hash_equal(items[i].content, accepted->content)) {
            worker->accept.duplicates++;
        } else {
            add_conflict(run, accepted, &items[i]);
        }
        give_verdict(worker, items[i].arrival, 1, false);
    }
}

/* A key whose first round has events of several contents: the least canonical bytes so far. */
struct contest {
    const struct contender *items, *best; /* NULL: none was read yet */
    uint32_t count;
    char *bytes;
    size_t size, size_max;
};

/* The first of its content. */
struct candidate {
    struct contest *contest;
    const struct contender *contender;
};

static int compare_candidates(const void *a_item, const void *b_item)
{
    const struct candidate *a = a_item, *b = b_item;
    return compare_positions(a->contender, b->contender);
}

/* Contests that are decided at once: as many as have their bytes in a share of the memory, since
 * each time the files are gone through once more. */
struct contests {
    struct contest *items;
    struct candidate *candidates;
    uint32_t count, candidate_count;
    size_t bytes;
};

static enum status decide_contests(struct run *run, struct worker *worker,
                                   struct contests *contests)
{
    struct arena_mark start = arena_mark(&worker->scratch);
    for (uint32_t i = 0; i < contests->count; i++) {
        struct contest *contest = &contests->items[i];
        contest->bytes = arena_alloc(&worker->scratch, contest->size_max);
    }
    qsort(contests->candidates, contests->candidate_count, sizeof *contests->candidates,
          compare_candidates);
    for (uint32_t i = 0; i < contests->candidate_count; i++) {
        const struct candidate *candidate = &contests->candidates[i];
        struct contest *contest = candidate->contest;
        struct again again;
        struct arena_mark mark = arena_mark(&worker->scratch);
        TRY(read_again(run, worker, candidate->contender->arrival->position, &again));
        struct text best = {contest->bytes, contest->size};
        if (again.canonical.size > contest->size_max) {
            return fail_changed(run, (uint32_t)(candidate->contender->arrival->position >> 48));
        }
        if (!contest->best || text_compare(again.canonical, best) < 0) {
            contest->best = candidate->contender;
            memcpy(contest->bytes, again.canonical.at, again.canonical.size);
            contest->size = again.canonical.size;
        }
        arena_rewind(&worker->scratch, mark);
    }
    for (uint32_t i = 0; i < contests->count; i++) {
        const struct contest *contest = &contests->items[i];
        decide_key(run, worker, contest->items, contest->count, contest->best);
    }
    contests->count = contests->candidate_count = 0;
    contests->bytes = 0;
    arena_rewind(&worker->scratch, start);
    return OK;
}

/* The contenders of one key that has events: [first, end) are those of the first round. */
struct key {
    const struct contender *items;
    uint32_t count, first, end;
    bool is_contested;
};

/* *at is behind the last key, of sorted contenders. */
static bool next_key(const struct contender *items, uint32_t count, uint32_t *at, struct key *key)
{
    while (*at < count) {
        const struct contender *from = &items[*at];
        const uint32_t left = count - *at;
        uint32_t end = 0, first = 0;
        while (end < left && from[end].group == from->group &&
               hash_equal(from[end].key, from->key)) {
            first += from[end++].is_withdrawal;
        }
        *at += end;
        *key = (struct key){.items = from, .count = end, .first = first, .end = first};
        while (key->end < end && from[key->end].round == from[first].round) {
            key->end++;
        }
        if (first < end) { /* else a withdrawal of an event that is not here */
            key->is_contested = !hash_equal(from[first].content, from[key->end - 1].content);
            return true;
        }
    }
    return false;
}

static void add_contest(struct contests *contests, const struct key *key)
{
    struct contest *contest = &contests->items[contests->count++];
    *contest = (struct contest){.items = key->items, .count = key->count};
    for (uint32_t i = key->first; i < key->end; i++) {
        const struct contender *item = &key->items[i];
        if (i == key->first || !hash_equal(item->content, item[-1].content)) {
            contests->candidates[contests->candidate_count++] = (struct candidate){contest, item};
            contest->size_max = item->canonical_bytes > contest->size_max ? item->canonical_bytes
                                                                          : contest->size_max;
        }
    }
    contests->bytes += contest->size_max;
}

/* Of sorted contenders. */
static enum status decide_keys(struct run *run, struct worker *worker,
                               const struct contender *items, uint32_t count)
{
    enum { BYTES_SHARE = 16 };
    struct contests contests = {0};
    struct key key;
    uint32_t keys = 0, events = 0; /* that are contested */
    for (uint32_t at = 0; next_key(items, count, &at, &key);) {
        keys += key.is_contested;
        events += key.is_contested ? key.end - key.first : 0;
    }
    contests.items = arena_alloc(&worker->scratch, (keys + 1ul) * sizeof *contests.items);
    contests.candidates =
        arena_alloc(&worker->scratch, (events + 1ul) * sizeof *contests.candidates);
    for (uint32_t at = 0; next_key(items, count, &at, &key);) {
        if (!key.is_contested) {
            decide_key(run, worker, key.items, key.count, &key.items[key.first]);
            continue;
        }
        add_contest(&contests, &key);
        if (contests.bytes >= run->memory_bytes / BYTES_SHARE) {
            TRY(decide_contests(run, worker, &contests));
        }
    }
    return contests.count > 0 ? decide_contests(run, worker, &contests) : OK;
}

static int compare_refused(const void *a_item, const void *b_item)
{
    const struct conflict *a = a_item, *b = b_item;
    return a->refused < b->refused ? -1 : a->refused > b->refused;
}

/* What is listed of the refused records; their bytes in a temporary file. */
static enum status keep_conflicts(struct run *run, struct worker *worker)
{
    struct text source = {0}; /* the last one: most are like it */
    if (run->conflicts.count > 0) {
        qsort(run->conflicts.items, run->conflicts.count, sizeof *run->conflicts.items,
              compare_refused);
    }
    for (uint32_t i = 0; i < run->conflicts.count; i++) {
        struct conflict *conflict = &run->conflicts.items[i];
        struct again again;
        struct arena_mark mark = arena_mark(&worker->scratch);
        TRY(read_again(run, worker, conflict->refused, &again));
        if (i == 0 || !text_equal(source, again.event.source)) {
            source = text_copy(&run->arena, again.event.source);
        }
        conflict->source = source;
        conflict->id = text_copy(&run->arena, again.event.id);
        conflict->print = hash_print(again.bytes.at, again.bytes.size);
        conflict->size = again.bytes.size;
        conflict->offset = kept_end(&worker->accept.conflicts);
        if (!kept_add(worker, &worker->accept.conflicts, again.bytes.at, again.bytes.size)) {
            return run_failure(run);
        }
        arena_rewind(&worker->scratch, mark);
    }
    return OK;
}

static enum status decide_all(struct run *run)
{
    uint64_t undecided = 0;
    for (int i = 0; i < run->threads; i++) {
        undecided += run->workers[i].accept.undecided_count;
    }
    if (undecided == 0) {
        return OK;
    }
    if (undecided > ARENA_ITEMS_MAX) {
        return fail(run->err, ERR_LIMIT,
                    "more than %u events are withdrawn or in conflict, or are withdrawals",
                    (unsigned)ARENA_ITEMS_MAX);
    }
    const uint32_t count = (uint32_t)undecided;
    struct worker *worker = &run->workers[0];
    struct contender *items = arena_calloc(&worker->scratch, count, sizeof *items);
    uint32_t at = 0, groups = 0;
    for (int i = 0; i < run->threads; i++) {
        const struct worker *from = &run->workers[i];
        for (const struct undecided_chunk *c = from->accept.undecided; c; c = c->next) {
            for (uint32_t u = 0; u < c->count; u++) {
                items[at++] = (struct contender){.group = groups + c->items[u].group,
                                                 .arrival = &c->items[u].arrival};
            }
        }
        groups += from->accept.group_count;
    }
    qsort(items, count, sizeof *items, compare_positions);
    worker->read.again_file = UINT32_MAX;
    worker->read.again_line = arena_alloc(&worker->scratch, LINE_MAX_BYTES + FEED_PADDING_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        TRY(read_contender(run, worker, &items[i]));
    }
    qsort(items, count, sizeof *items, compare_contenders);
    TRY(decide_keys(run, worker, items, count));
    return keep_conflicts(run, worker);
}

/* The names of the first subjects that are no account: read again, since nothing is kept of them.
 */
static void read_strangers(struct run *run)
{
    struct worker *worker = &run->workers[0];
    struct strangers all = {.count = 0};
    for (int i = 0; i < run->threads; i++) {
        strangers_merge(&all, &run->workers[i].read.no_account);
    }
    if (all.count == 0) {
        return;
    }
    run->no_account = arena_calloc(&run->arena, STRANGERS_MOST, sizeof *run->no_account);
    worker->read.again_file = UINT32_MAX;
    worker->read.again_line = arena_alloc(&worker->scratch, LINE_MAX_BYTES + FEED_PADDING_BYTES);
    for (uint32_t i = 0; i < all.count; i++) {
        struct again again;
        if (read_again(run, worker, all.items[i].position, &again) == OK) {
            run->no_account[run->no_account_count++] =
                text_copy(&run->arena, again.event.subject).at;
        }
    }
}

/* Where memory of the thread that decides runs out to, when the others have ended. */
static void set_recover(struct run *run, jmp_buf *recover)
{
    struct worker *worker = &run->workers[0];
    struct arena *arenas[] = {&run->arena,
                              &worker->arena,
                              &worker->scratch,
                              &worker->read.decoder_arena,
                              &worker->read.segment_arena,
                              &worker->read.header_arena};
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) {
        arenas[i]->recover = recover;
    }
}

/* They are told and not written: what cannot be read, or has no room, is left out. */
static void name_strangers(struct run *run)
{
    const struct error err = *run->err;
    jmp_buf here;
    set_recover(run, &here);
    if (setjmp(here) == 0) {
        read_strangers(run);
    }
    set_recover(run, &run->recover);
    *run->err = err;
}

enum status run_accept(struct run *run)
{
    run->next_partition = 0;
    enum status status = run_threads(run, accept_work);
    for (int i = 0; i < run->threads; i++) {
        run->workers[i].accept.dedup = (struct dedup_memory){0};
        arena_release(&run->workers[i].scratch);
    }
    if (status == OK && !run_is_stopped(run)) {
        set_recover(run, &run->recover);
        status = decide_all(run);
        if (status == OK) {
            name_strangers(run);
        }
    }
    for (int i = 0; i < run->threads; i++) {
        struct worker *worker = &run->workers[i];
        if (worker->accept.verdicts) {
            struct error err;
            enum status flushed = spool_flush(worker->accept.verdicts, &err);
            worker->accept.verdicts = NULL;
            if (flushed != OK && status == OK) {
                *run->err = err;
                status = flushed;
            }
        }
        /* Billing needs the memory, and nothing of this. */
        struct arena *arenas[] = {&worker->scratch,           &worker->read.decoder_arena,
                                  &worker->read.meter_arena,  &worker->read.segment_arena,
                                  &worker->read.header_arena, &worker->accept.undecided_arena};
        for (size_t a = 0; a < sizeof arenas / sizeof *arenas; a++) {
            arena_release(arenas[a]);
        }
    }
    return status;
}
