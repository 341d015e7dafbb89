/* settle.c - partitions of payers to bills: fold, price, bill, render, in order.
 *
 * A partition is a range of payers in the order of their ids, so partitions written in turn are
 * sorted files, whatever thread made which.  A payer's memory is rewound before the next, and a
 * payer that cannot be billed is reported while the others go on.
 */
#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "engine/run.h"

enum {
    FETCH_AHEAD = 16, /* records: what they will need from memory is asked for this early */
    ROWS_GUESS_MAX = 4096,
};

/* Records one behind the other, with their tails: in memory, or a part of a file. */
struct records {
    const struct record *at, *end;
    const struct sorted *sorted; /* NULL: memory */
    uint64_t first, stop;        /* units of the file */
    struct record *room;         /* for what is read of it */
};

/* The records of one partition, grouped by payer so that each group is read in order, from memory
 * that is fetched ahead: first those of no account, then those of payer low, low + 1, ... */
struct partition {
    uint32_t low, high; /* payers */
    struct record *units;
    uint32_t *first, *end; /* of each group: unit */
    uint32_t *group_at;    /* of each record as it comes */
    void *room;            /* for a chunk */
    struct sorted *sorted; /* when they are too many: the groups are there, and each is in order */
    struct record *sorted_room;
};

static struct records group(const struct partition *partition, uint32_t index)
{
    if (!partition->sorted) {
        return (struct records){.at = partition->units + partition->first[index],
                                .end = partition->units + partition->end[index]};
    }
    struct records records = {.sorted = partition->sorted, .room = partition->sorted_room};
    sorted_group(partition->sorted, index, &records.first, &records.stop);
    return records;
}

static bool has_records(const struct records *records)
{
    return records->at < records->end || records->first < records->stop;
}

static const struct record *next_record(const struct record *at)
{
    return at + 1 + at->tail_units;
}

/* Reads records from the first on. */
struct cursor {
    const struct record *at, *end;
    const struct records *from;
    uint64_t next;
    enum status status;
    struct error *err;
};

static struct cursor cursor_at(const struct records *records, struct error *err)
{
    return (struct cursor){records->at, records->end, records, records->first, OK, err};
}

__attribute__((noinline)) static bool cursor_fill(struct cursor *cursor)
{
    const struct records *from = cursor->from;
    if (!from->sorted || cursor->next == from->stop || cursor->status != OK) {
        return false;
    }
    uint32_t units;
    cursor->status = sorted_read(from->sorted, cursor->next, from->stop, from->room, &units,
                                 cursor->err);
    if (cursor->status != OK) {
        return false;
    }
    cursor->at = from->room;
    cursor->end = from->room + units;
    cursor->next += units;
    return true;
}

/* NULL behind the last, and when the file cannot be read: status. */
static inline const struct record *cursor_next(struct cursor *cursor)
{
    if (cursor->at >= cursor->end && !cursor_fill(cursor)) {
        return NULL;
    }
    const struct record *record = cursor->at;
    cursor->at = next_record(record);
    return record;
}

/* ---- the gate -------------------------------------------------------------------------------- */

static void enter(struct worker *worker)
{
    struct run *run = worker->run;
    run->env->lock_take(run->env, run->gate);
    while (run->is_alone) {
        run->env->lock_wait(run->env, run->gate);
    }
    run->busy_count++;
    worker->is_busy = true;
    run->env->lock_give(run->env, run->gate);
}

static void leave(struct worker *worker)
{
    struct run *run = worker->run;
    if (worker->is_busy) {
        run->env->lock_take(run->env, run->gate);
        run->busy_count--;
        worker->is_busy = false;
        run->env->lock_wake_all(run->env, run->gate);
        run->env->lock_give(run->env, run->gate);
    }
}

/* Between payers: what one has taken goes back when others wait for memory, and when it was much
 * beyond what the partition itself holds. */
static void yield(struct worker *worker, size_t partition_bytes)
{
    struct run *run = worker->run;
    bool is_wanted = __atomic_load_n(&run->is_alone, __ATOMIC_RELAXED);
    size_t much = partition_bytes + run->memory_bytes / 4 / (size_t)run->threads;
    if (is_wanted || worker->scratch.held_bytes > much) {
        arena_trim(&worker->scratch);
    }
    if (is_wanted) {
        leave(worker);
        enter(worker);
    }
}

/* Until end_alone no other thread is between enter and leave.  One that waits for its turn of the
 * output is not, so that the turn must be taken before. */
static void begin_alone(struct worker *worker)
{
    struct run *run = worker->run;
    leave(worker);
    run->env->lock_take(run->env, run->gate);
    while (run->is_alone) {
        run->env->lock_wait(run->env, run->gate);
    }
    __atomic_store_n(&run->is_alone, true, __ATOMIC_RELAXED);
    worker->is_alone = true;
    while (run->busy_count > 0) {
        run->env->lock_wait(run->env, run->gate);
    }
    run->env->lock_give(run->env, run->gate);
}

static void end_alone(struct worker *worker)
{
    struct run *run = worker->run;
    if (worker->is_alone) {
        run->env->lock_take(run->env, run->gate);
        __atomic_store_n(&run->is_alone, false, __ATOMIC_RELAXED);
        worker->is_alone = false;
        run->env->lock_wake_all(run->env, run->gate);
        run->env->lock_give(run->env, run->gate);
    }
}

/* ---- text ------------------------------------------------------------------------------------ */

/* The text that a partition gives to each file.  It is handed over as it fills when it is the
 * partition's turn.  Until then what bills it makes is held in blocks, so that a thread need not
 * wait for the others; one that has no more memory for that does, and keeps its turn. */
enum text_kind { TEXT_BILLS, TEXT_LINES, TEXT_USAGE, TEXT_CLOSING, TEXT_EXCLUSIONS, TEXTS };
struct texts {
    struct buffer bills, lines, usage, closing, exclusions;
    uint32_t partition;
    bool has_turn;
    uint64_t write_count;
    uint32_t held_max; /* blocks */
};

static struct buffer *text_buffer(struct texts *texts, enum text_kind kind)
{
    struct buffer *buffers[TEXTS] = {&texts->bills, &texts->lines, &texts->usage, &texts->closing,
                                     &texts->exclusions};
    return buffers[kind];
}

static size_t texts_size(struct texts *texts)
{
    size_t size = 0;
    for (enum text_kind i = 0; i < TEXTS; i++) {
        size += text_buffer(texts, i)->size;
    }
    return size;
}

/* Pieces of text for the files, in the order in which they were made. */
struct held_piece {
    uint32_t kind, size; /* enum text_kind; of the bytes, which follow */
};
struct held_block {
    struct held_block *next;
    size_t used;
    char bytes[1024 * 1024 - 2 * sizeof(void *)];
};

static void drop_held(struct worker *worker)
{
    struct memory *memory = &worker->run->env->memory;
    while (worker->held_first) {
        struct held_block *block = worker->held_first;
        worker->held_first = block->next;
        memory->release(memory, block, sizeof *block);
    }
    worker->held_last = NULL;
    worker->held_count = 0;
}

static void hold(struct held_block *block, enum text_kind kind, const char *bytes, size_t size)
{
    struct held_piece piece = {kind, (uint32_t)size};
    memcpy(block->bytes + block->used, &piece, sizeof piece);
    memcpy(block->bytes + block->used + sizeof piece, bytes, size);
    block->used += sizeof piece + size;
}

/* Puts the texts away; false when there is no room, and then they are as they were. */
static bool hold_texts(struct worker *worker, struct texts *texts)
{
    struct memory *memory = &worker->run->env->memory;
    const size_t most = sizeof((struct held_block *)0)->bytes;
    size_t need = texts_size(texts) + TEXTS * sizeof(struct held_piece);
    struct held_block *block = worker->held_last;
    if (!block || need > most - block->used) {
        if (need > most || worker->held_count == texts->held_max) {
            return false;
        }
        block = memory->allocate(memory, sizeof *block);
        if (!block) {
            return false;
        }
        block->next = NULL;
        block->used = 0;
        *(worker->held_last ? &worker->held_last->next : &worker->held_first) = block;
        worker->held_last = block;
        worker->held_count++;
    }
    for (enum text_kind i = 0; i < TEXTS; i++) {
        struct buffer *buffer = text_buffer(texts, i);
        if (buffer->size > 0) {
            hold(block, i, buffer->at, buffer->size);
            buffer->size = 0;
        }
    }
    return true;
}

static enum status take_turn(struct worker *worker, struct texts *texts)
{
    if (texts->has_turn) {
        return OK;
    }
    bool was_busy = worker->is_busy;
    leave(worker);
    enum status status = output_turn_take(worker->run->output, texts->partition, &worker->err);
    texts->has_turn = status == OK;
    if (was_busy) {
        enter(worker);
    }
    return status;
}

static enum status append_text(struct worker *worker, enum text_kind kind, const char *bytes,
                               size_t size)
{
    const struct run *run = worker->run;
    struct output_file *files[TEXTS] = {run->bills, run->lines, run->usage, run->closing,
                                        run->exclusions};
    return output_append(files[kind], bytes, size, &worker->err);
}

static enum status write_texts(struct worker *worker, struct texts *texts)
{
    TRY(take_turn(worker, texts));
    texts->write_count++;
    for (struct held_block *block = worker->held_first; block; block = block->next) {
        struct held_piece piece;
        for (size_t at = 0; at < block->used; at += sizeof piece + piece.size) {
            memcpy(&piece, block->bytes + at, sizeof piece);
            TRY(append_text(worker, piece.kind, block->bytes + at + sizeof piece, piece.size));
        }
    }
    drop_held(worker);
    for (enum text_kind i = 0; i < TEXTS; i++) {
        struct buffer *buffer = text_buffer(texts, i);
        TRY(append_text(worker, i, buffer->at, buffer->size));
        buffer->size = 0;
    }
    return OK;
}

/* In the middle of a bill, of which nothing can be put away that would be made again. */
static enum status write_when_full(struct worker *worker, struct texts *texts)
{
    enum { FULL_BYTES = 1024 * 1024 };
    return texts_size(texts) < FULL_BYTES ? OK : write_texts(worker, texts);
}

/* Behind a bill. */
static enum status pass_on_when_full(struct worker *worker, struct texts *texts)
{
    enum { FULL_BYTES = 256 * 1024 };
    if (texts_size(texts) < FULL_BYTES) {
        return OK;
    }
    bool is_turn = texts->has_turn || output_turn_is(worker->run->output, texts->partition);
    return !is_turn && hold_texts(worker, texts) ? OK : write_texts(worker, texts);
}

static instant slot_time(const struct run *run, const struct record *record)
{
    return run->period.from + (instant)record->slot_s * NS_PER_SECOND;
}

static uint32_t payer_of(const struct run *run, const struct record *record)
{
    uint32_t payer = run->steady_payer[record->account];
    return payer != NONE ? payer
                         : accounts_payer(run->accounts, record->account, slot_time(run, record));
}

static uint32_t first_payer(const struct run *run, uint32_t partition)
{
    /* The least payer p with p * partitions / (count + 1) == partition; the count when there is
     * none. */
    uint64_t count = run->accounts->count + 1;
    uint32_t payer =
        (uint32_t)(((uint64_t)partition * count + run->book_partitions - 1) / run->book_partitions);
    return payer < run->accounts->count ? payer : run->accounts->count;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* Verdicts of a partition by fingerprint and account, those on the same added up. */
struct verdict_table {
    struct verdict_slot {
        struct verdict verdict;
        bool is_used;
    } * slots;
    uint32_t mask;
    bool is_empty;
};

static struct verdict_slot *find_verdict(const struct verdict_table *table, uint64_t print,
                                         uint32_t account)
{
    for (uint32_t at = (uint32_t)print & table->mask;; at = (at + 1) & table->mask) {
        struct verdict_slot *slot = &table->slots[at];
        if (!slot->is_used || (slot->verdict.print == print && slot->verdict.account == account)) {
            return slot;
        }
    }
}

static void load_verdicts(struct worker *worker, const struct spool_partition *loaded,
                          struct verdict_table *table)
{
    uint32_t slot_count = 16;
    while (slot_count < loaded->unit_count * 4) {
        slot_count *= 2;
    }
    *table = (struct verdict_table){.mask = slot_count - 1, .is_empty = loaded->unit_count == 0};
    table->slots = arena_calloc(&worker->scratch, slot_count, sizeof *table->slots);
    for (uint32_t c = 0; c < loaded->chunk_count; c++) {
        const struct verdict *verdicts = loaded->chunks[c].units;
        for (uint32_t i = 0; i < loaded->chunks[c].count; i++) {
            struct verdict_slot *slot = find_verdict(table, verdicts[i].print, verdicts[i].account);
            struct verdict *verdict = &slot->verdict;
            if (slot->is_used) {
                verdict->copies += verdicts[i].copies;
                verdict->is_withdrawn |= verdicts[i].is_withdrawn;
            } else {
                *slot = (struct verdict_slot){verdicts[i], true};
            }
        }
    }
}

/* Carries out what was found about the event whose first record this is: false when the event goes,
 * a copy or one that conflicts.  The records of a withdrawn event become exclusions. */
static bool judge_event(struct worker *worker, const struct verdict_table *verdicts,
                        struct record *first, const struct record *end)
{
    const struct run *run = worker->run;
    struct verdict *verdict = &find_verdict(verdicts, first->print, first->account)->verdict;
    bool goes = verdict->copies > 0;
    if (!goes && !verdict->is_withdrawn) {
        return true;
    }
    verdict->copies -= goes;
    struct record *at = first;
    do {
        struct total *removed = &worker->removed_totals[meter_of_record(run, at)], one = {0};
        total_count(&one, at);
        total_add(removed, &one);
        if (!goes) {
            uint32_t meter = meter_of_record(run, at);
            meter = meter == run->catalog->meter_count ? 0xFFFFu : meter;
            at->series = (uint32_t)EXCLUDE_WITHDRAWN << 16 | meter;
            at->flags |= RECORD_EXCLUDED;
            struct total now = {0};
            total_count(&now, at);
            total_subtract(removed, &now);
        }
        at += 1 + at->tail_units;
    } while (at < end && !(at->flags & RECORD_FIRST));
    if (!goes && !(first->flags & RECORD_ELSEWHERE)) {
        worker->booked_withdrawn.count++;
        worker->booked_withdrawn.print += first->print;
    }
    return !goes;
}

/* ---- records by payer ------------------------------------------------------------------------ */

static void make_room(struct worker *worker, uint64_t units, struct partition *partition)
{
    struct arena *arena = &worker->scratch;
    uint32_t groups = partition->high - partition->low + 1;
    partition->first = arena_calloc(arena, groups + 1, sizeof *partition->first);
    partition->end = arena_alloc(arena, groups * sizeof *partition->end);
    partition->units = arena_alloc(arena, (units + 1) * sizeof *partition->units);
    partition->group_at = arena_alloc(arena, (units + 1) * sizeof *partition->group_at);
    partition->room = arena_alloc(arena, SPOOL_CHUNK_BYTES);
}

static uint32_t group_of(const struct run *run, const struct partition *partition,
                         const struct record *record)
{
    uint32_t index = record->account == NONE ? 0 : payer_of(run, record) - partition->low + 1;
    assert(index <= partition->high - partition->low);
    return index;
}

/* Finds the group of each record and makes room for all of them. */
static enum status count_groups(struct worker *worker, uint32_t p, struct partition *partition)
{
    const struct run *run = worker->run;
    uint32_t groups = partition->high - partition->low + 1, at = 0;
    for (uint32_t c = 0; c < spool_chunk_count(run->records, p); c++) {
        struct spool_chunk chunk;
        TRY(spool_read(run->records, p, c, partition->room, &chunk, &worker->err));
        const struct record *record = chunk.units, *end = record + chunk.count;
        for (; record < end; record = next_record(record)) {
            if (end - record > FETCH_AHEAD && record[FETCH_AHEAD].account < run->accounts->count) {
                /* A tail that is read as a record fetches what is not needed, no more. */
                __builtin_prefetch(&run->steady_payer[record[FETCH_AHEAD].account]);
            }
            uint32_t index = group_of(run, partition, record);
            partition->first[index + 1] += 1 + record->tail_units;
            partition->group_at[at++] = index;
        }
    }
    for (uint32_t g = 0; g < groups; g++) {
        partition->first[g + 1] += partition->first[g];
        partition->end[g] = partition->first[g];
    }
    return OK;
}

static void count_booked(struct worker *worker, const struct record *first, bool stays)
{
    if (stays && !(first->flags & RECORD_ELSEWHERE)) {
        worker->booked.count++;
        worker->booked.print += first->print;
    }
}

/* Whether a record stays: the first one of an event decides for those behind it. */
static bool judge_record(struct worker *worker, const struct verdict_table *verdicts,
                         struct record *record, const struct record *end, bool stayed)
{
    if (!(record->flags & RECORD_FIRST)) {
        return stayed;
    }
    bool stays = verdicts->is_empty || judge_event(worker, verdicts, record, end);
    count_booked(worker, record, stays);
    return stays;
}

/* Judges the records and puts those that stay into their groups.  Takes no memory: what it counts
 * and changes is done once. */
static enum status fill_groups(struct worker *worker, uint32_t p,
                               const struct verdict_table *verdicts, struct partition *partition)
{
    const struct run *run = worker->run;
    uint32_t at = 0;
    for (uint32_t c = 0; c < spool_chunk_count(run->records, p); c++) {
        struct spool_chunk chunk;
        TRY(spool_read(run->records, p, c, partition->room, &chunk, &worker->err));
        struct record *record = chunk.units;
        const struct record *end = record + chunk.count;
        bool stays = true;
        for (uint32_t units; record < end; record += units, at++) {
            units = 1 + record->tail_units;
            stays = judge_record(worker, verdicts, record, end, stays);
            if (stays) {
                uint32_t *to = &partition->end[partition->group_at[at]];
                for (uint32_t i = 0; i < units; i++) {
                    partition->units[*to + i] = record[i];
                }
                *to += units;
            }
        }
        spool_drop(run->records, p, c);
    }
    return OK;
}

/* ---- one payer ------------------------------------------------------------------------------- */

/* The first item of a payer, or of the one after it: items are sorted by payer, which is their
 * first member. */
static uint32_t first_of(const void *items, uint32_t count, size_t item_bytes, uint32_t payer)
{
    static_assert(offsetof(struct opening_bucket, payer) == 0);
    static_assert(offsetof(struct carried, payer) == 0);
    static_assert(offsetof(struct issued_line, payer) == 0);
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, found;
        memcpy(&found, (const char *)items + middle * item_bytes, sizeof found);
        if (found < payer) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t first_opening(const struct run *run, uint32_t payer)
{
    return first_of(run->opening, run->opening_count, sizeof *run->opening, payer);
}

static uint32_t first_carried(const struct run *run, uint32_t payer)
{
    return first_of(run->carried, run->carried_count, sizeof *run->carried, payer);
}

static uint32_t first_issued(const struct run *run, uint32_t payer)
{
    return first_of(run->issued, run->issued_count, sizeof *run->issued, payer);
}

static void find_opening(const struct run *run, uint32_t payer, struct arena *arena,
                         struct pricing *pricing)
{
    uint32_t low = first_opening(run, payer), end = low;
    while (end < run->opening_count && run->opening[end].payer == payer) {
        end++;
    }
    if (end == low) {
        return;
    }
    struct bucket_state *states = arena_alloc(arena, (end - low) * sizeof *states);
    for (uint32_t i = low; i < end; i++) {
        states[i - low] = run->opening[i].state;
    }
    pricing->opening = states;
    pricing->opening_count = end - low;
}

void run_pricing(const struct run *run, struct arena *arena, uint32_t payer, struct period cut,
                 struct pricing *pricing)
{
    bool is_custom;
    *pricing = (struct pricing){
        .catalog = run->catalog,
        .accounts = run->accounts,
        .series = &run->series,
        .base = run->period.from,
        .payer = payer,
        .cut = cut,
        .billing = payer_billing(run->catalog, run->accounts, payer, run->period, &is_custom)};
    if (run->members) {
        pricing->members = run->members + run->member_first[payer];
        pricing->member_count = run->member_first[payer + 1] - run->member_first[payer];
    }
    find_opening(run, payer, arena, pricing);
}

/* Meter states that came with the opening, of accounts that this payer pays for: into the payer's
 * first cut. */
static void carry_opening(const struct run *run, uint32_t payer, struct period cut,
                          bool begins_turn, struct book *book)
{
    uint32_t slot_s = (uint32_t)((cut.from - run->period.from) / NS_PER_SECOND);
    for (uint32_t i = first_carried(run, payer);
         i < run->carried_count && run->carried[i].payer == payer; i++) {
        book_carry(book, &run->carried[i].state, slot_s, begins_turn, &run->series);
    }
}

/* What a payer's cut hands to its next one within the run, when its own clock has several turns
 * that begin in the period: what closing.ndjson hands to the next period. */
struct handover {
    struct bucket_state *buckets;
    uint32_t bucket_count;
    struct meter_state *meters;
    uint32_t meter_count;
};

static struct book_view view_of(const struct pricing *pricing)
{
    return (struct book_view){pricing->series, pricing->catalog, pricing->accounts,
                              pricing->payer,  pricing->base,    pricing->cut};
}

static uint32_t closing_states(struct arena *arena, const struct pricing *pricing,
                               const struct book *book, bool is_last,
                               struct meter_state **states)
{
    struct period turn = clock_turn(&pricing->billing, pricing->cut.to - 1);
    struct book_view view = view_of(pricing);
    return book_states(arena, book, &view, turn.to, is_last, states);
}

/* Into the arena of outputs, since scratch memory goes between cuts. */
static void hand_over(struct worker *worker, const struct pricing *pricing,
                      const struct priced *priced, const struct book *book,
                      struct handover *handover)
{
    struct arena *arena = &worker->output;
    handover->buckets = arena_calloc(arena, priced->closing_count + 1, sizeof *handover->buckets);
    handover->bucket_count = priced->closing_count;
    for (uint32_t i = 0; i < priced->closing_count; i++) {
        handover->buckets[i] = priced->closing[i];
        handover->buckets[i].key = text_copy(arena, priced->closing[i].key);
    }
    struct meter_state *states;
    uint32_t count = closing_states(&worker->scratch, pricing, book, false, &states);
    handover->meters = arena_calloc(arena, count + 1, sizeof *handover->meters);
    handover->meter_count = count;
    for (uint32_t i = 0; i < count; i++) {
        handover->meters[i] = states[i];
        handover->meters[i].source = text_copy(arena, states[i].source);
        handover->meters[i].id = text_copy(arena, states[i].id);
    }
}

/* A payer that pays for nobody any more has what was billed to it taken back. */
static bool has_issued(const struct run *run, uint32_t payer)
{
    uint32_t first = first_issued(run, payer);
    return first < run->issued_count && run->issued[first].payer == payer;
}

/* What was billed to the payer for this time: whole bills inside the cut.  One that reaches beyond
 * it cannot be told apart line by line. */
static enum status find_issued(const struct run *run, struct arena *arena, uint32_t payer,
                               struct period cut, struct issued *issued, struct error *err)
{
    uint32_t low = first_issued(run, payer), end = low, count = 0;
    while (end < run->issued_count && run->issued[end].payer == payer) {
        end++;
    }
    struct line *lines = arena_alloc(arena, (end - low + 1) * sizeof *lines);
    for (uint32_t i = low; i < end; i++) {
        struct period period = run->issued[i].period;
        if (cut.from <= period.from && period.to <= cut.to) {
            lines[count++] = run->issued[i].line;
        } else if (period.from < cut.to && cut.from < period.to) {
            (void)fail(err, ERR_CONFLICT,
                       "a bill issued before reaches beyond the period that is billed");
            return fail_hint(err, "bill a period that holds the bills given with --billed");
        }
    }
    *issued = (struct issued){lines, count};
    return OK;
}

/* The product of a line: told by where its name lies, unless the line was read from a file.  Lines
 * are sorted, so that it is mostly the next one after the last found. */
static uint32_t find_product(const struct catalog *catalog, struct text name, uint32_t last)
{
    uint32_t count = catalog->product_count;
    for (uint32_t i = 0, at = last; i < count; i++, at++) {
        at = at < count ? at : 0;
        if (catalog->products[at].name.at == name.at) {
            return at;
        }
    }
    uint32_t product = 0;
    while (product < count && !text_equal(catalog->products[product].name, name)) {
        product++;
    }
    return product;
}

static void count_bill(struct worker *worker, const struct bill *bill, const struct usage_row *rows,
                       uint32_t row_count)
{
    const struct catalog *catalog = worker->run->catalog;
    struct text last = {NULL, 0};
    uint32_t product = catalog->product_count;
    for (uint32_t i = 0; i < bill->line_count; i++) {
        const struct line *line = &bill->lines[i];
        if (line->product.at != last.at || line->product.size != last.size) {
            last = line->product;
            product = find_product(catalog, last, product);
        }
        bool is_rounding = line->price.size == 0 && text_equal(line->kind, TEXT("rounding"));
        struct dec_sum *amount =
            &worker->product_amounts[is_rounding ? catalog->product_count + 1 : product];
        worker->is_amount_lost |= dec_sum_add(amount, line->amount, NULL) != OK;
    }
    worker->is_amount_lost |= dec_sum_add(&worker->amount, bill->total, NULL) != OK;
    worker->bills += bill->line_count > 0; /* exclusions alone make no bill */
    worker->bill_lines += bill->line_count;
    worker->usage_rows += row_count;
    for (uint32_t i = 0; i < row_count; i++) {
        worker->events_billed += rows[i].total.count;
    }
    for (uint32_t i = 0; i < bill->excluded_count; i++) {
        worker->excluded[bill->excluded[i].reason] += bill->excluded[i].total.count;
        if (bill->excluded[i].reason == EXCLUDE_UNPRICED) {
            worker->events_billed -= bill->excluded[i].total.count; /* its row has no line */
        }
    }
}

/* Withdrawn and other excluded events are known; one of a row that no price matches is on the row.
 */
static void compare_issued_events(struct worker *worker, uint32_t payer, const struct bill *bill)
{
    if (worker->run->issued_count == 0) {
        return;
    }
    struct known_events then = issued_events(worker->run, payer, bill->period.from);
    struct known_events now = {.on_rows = bill->event_count};
    for (uint32_t i = 0; i < bill->excluded_count; i++) {
        enum exclusion reason = bill->excluded[i].reason;
        bool counts =
            reason != EXCLUDE_UNPRICED && reason != EXCLUDE_FREE && reason != EXCLUDE_OUT_OF_PERIOD;
        now.excluded += counts ? bill->excluded[i].total.count : 0;
    }
    worker->events_known.on_rows += now.on_rows;
    worker->events_known.excluded += now.excluded;
    if (known_count(now) >= known_count(then)) {
        return;
    }
    if (worker->fewer_count == 0 || payer < worker->fewer.payer) {
        worker->fewer = (struct fewer){payer, now, then};
    }
    worker->fewer_count++;
}

static void fail_payer(struct worker *worker, uint32_t payer, const struct error *err)
{
    if (worker->failure_count == worker->failure_capacity) {
        uint32_t capacity = worker->failure_capacity ? worker->failure_capacity * 2 : 16;
        worker->failures = arena_grow(&worker->arena, worker->failures, worker->failure_count,
                                      capacity, sizeof *worker->failures);
        worker->failure_capacity = capacity;
    }
    worker->failures[worker->failure_count++] = (struct failed_payer){
        worker->run->accounts->items[payer].id, text_copy(&worker->arena, text_of(err->message))};
}

/* Each record belongs to one cut; an exclusion whose time is in none goes with the first. */
static bool is_of_cut(const struct run *run, uint32_t payer, const struct record *record,
                      struct period cut, bool is_first)
{
    struct period found;
    if (!run->has_cuts) {
        return true;
    }
    return run_cut(run, payer, slot_time(run, record), &found) ? found.from == cut.from : is_first;
}

/* The records of sampled meters once more, in order. */
static enum status read_samples(struct worker *worker, const struct records *records,
                                const struct book_view *view, bool is_first, struct book *book,
                                struct error *err)
{
    const struct run *run = worker->run;
    struct arena *arena = &worker->scratch;
    const struct record **samples = NULL;
    uint32_t count = 0, capacity = 0;
    struct cursor cursor = cursor_at(records, err);
    for (const struct record *at; (at = cursor_next(&cursor));) {
        if (!record_is_sample(at, &run->series, run->catalog) ||
            !is_of_cut(run, view->payer, at, view->cut, is_first)) {
            continue;
        }
        if (records->sorted) {
            TRY(book_sample(book, view, at, err));
            continue;
        }
        if (count == capacity) {
            uint32_t more = capacity ? capacity * 2 : 256;
            samples = arena_grow(arena, samples, count, more, sizeof *samples);
            capacity = more;
        }
        samples[count++] = at;
    }
    TRY(cursor.status);
    if (count > 0) {
        struct record_order order = {&run->series, run->catalog};
        records_sort(arena, samples, count, &order);
    }
    for (uint32_t i = 0; i < count; i++) {
        TRY(book_sample(book, view, samples[i], err));
    }
    return book_samples_end(book, view, err);
}

/* So many lines or rows between two looks at whether the text is to be written, and room for them
 * and what may be there: once a part of a bill is written, memory must not run out. */
enum { RENDER_AT_ONCE = 512, RENDER_ROOM_BYTES = 2 * 1024 * 1024 };

/* Folds, prices and bills one payer for one cut; nothing is written when it fails. */

static enum status settle_cut(struct worker *worker, uint32_t payer, struct period cut,
                              bool is_first, bool is_last, struct handover *handover,
                              struct records records, struct text inputs, struct texts *texts,
                              struct error *err)
{
    struct run *run = worker->run;
    struct arena *arena = &worker->scratch;
    const struct account *account = &run->accounts->items[payer];
    struct book book;
    size_t units = (size_t)(records.end - records.at) + (size_t)(records.stop - records.first);
    book_init(&book, arena, units < ROWS_GUESS_MAX ? (uint32_t)units : ROWS_GUESS_MAX);
    struct cursor cursor = cursor_at(&records, err);
    for (const struct record *at; (at = cursor_next(&cursor));) {
        if (is_of_cut(run, payer, at, cut, is_first)) {
            book_fold(&book, at, &run->series, run->catalog);
        }
    }
    TRY(cursor.status);
    struct pricing pricing;
    run_pricing(run, arena, payer, cut, &pricing);
    bool begins_turn = clock_turn(&pricing.billing, cut.from).from == cut.from;
    if (is_first) {
        carry_opening(run, payer, cut, begins_turn, &book);
    } else {
        pricing.opening = handover->buckets;
        pricing.opening_count = handover->bucket_count;
        uint32_t slot_s = (uint32_t)((cut.from - run->period.from) / NS_PER_SECOND);
        for (uint32_t i = 0; i < handover->meter_count; i++) {
            book_carry(&book, &handover->meters[i], slot_s, begins_turn, &run->series);
        }
    }
    if (!worker->is_booked) {
        book_totals(&book, &run->series, worker->booked_totals, run->catalog->meter_count);
        worker->is_booked = true;
    }
    struct book_view view = view_of(&pricing);
    if (run->has_samples) {
        TRY(read_samples(worker, &records, &view, is_first, &book, err));
    }
    TRY(book_close(&book, &view, err));
    TRY(book_check_cut(&book, &view, clock_turn(&pricing.billing, cut.to - 1).to, err));
    struct priced priced;
    TRY(price_payer(arena, &pricing, book.rows, book.row_count, &priced, err));
    struct issued issued = {NULL, 0};
    if (run->issued_count > 0) {
        TRY(find_issued(run, arena, payer, cut, &issued, err));
    }
    struct bill bill;
    TRY(bill_make(arena, &pricing, book.rows, book.row_count, book.excluded, book.excluded_count,
                  &priced, &issued, &bill, err));
    if (!is_last) {
        hand_over(worker, &pricing, &priced, &book, handover);
    }
    if (bill.line_count == 0 && bill.excluded_count == 0 && bill.row_count == 0 &&
        priced.closing_count == 0 && book.kept_count == 0) {
        compare_issued_events(worker, payer, &bill);
        return OK;
    }
    if (is_last) {
        struct meter_state *states;
        uint32_t state_count = closing_states(arena, &pricing, &book, true, &states);
        render_closing(&texts->closing, &pricing, account->id, &priced, states, state_count);
    }
    render_exclusions_csv(&texts->exclusions, run->catalog, run->accounts, account->id,
                          bill.excluded, bill.excluded_count);
    if (bill.line_count > 0) {
        render_bill_json(&texts->bills, run->catalog, run->accounts, &bill, inputs);
    }
    if (bill.line_count > RENDER_AT_ONCE || book.row_count > RENDER_AT_ONCE) {
        (void)buffer_reserve(&texts->lines, RENDER_ROOM_BYTES);
        (void)buffer_reserve(&texts->usage, RENDER_ROOM_BYTES);
    }
    for (uint32_t i = 0; i < bill.line_count; i += RENDER_AT_ONCE) {
        uint32_t left = bill.line_count - i;
        render_lines_csv(worker->writer, &texts->lines, &bill, i,
                         left < RENDER_AT_ONCE ? left : RENDER_AT_ONCE);
        TRY(write_when_full(worker, texts));
    }
    for (uint32_t i = 0; i < book.row_count; i += RENDER_AT_ONCE) {
        uint32_t left = book.row_count - i;
        render_usage_csv(worker->writer, &texts->usage, &pricing, account->id, book.rows + i,
                         left < RENDER_AT_ONCE ? left : RENDER_AT_ONCE);
        TRY(write_when_full(worker, texts));
    }
    /* Nothing takes memory from here on. */
    compare_issued_events(worker, payer, &bill);
    if (bill.line_count > 0 || bill.excluded_count > 0) {
        count_bill(worker, &bill, book.rows, book.row_count);
    }
    return pass_on_when_full(worker, texts);
}

static bool is_payer(const struct run *run, uint32_t account)
{
    for (instant at = run->period.from, next; at < run->period.to; at = next) {
        if (accounts_payer(run->accounts, account, at) == account) {
            return true;
        }
        (void)accounts_edge(run->accounts, run->catalog, account, at, &next);
    }
    return false;
}

/* An account that pays no more may still have turns to settle. */
static bool has_opening(const struct run *run, uint32_t payer)
{
    uint32_t at = first_opening(run, payer);
    return at < run->opening_count && run->opening[at].payer == payer;
}

/* Exclusions alone: of events that no account has (payer empty, listed first), or of a payer whose
 * bills have no turn that begins in the period. */
static void settle_excluded(struct worker *worker, struct text payer, struct records records,
                            struct texts *texts)
{
    const struct run *run = worker->run;
    struct book book;
    book_init(&book, &worker->scratch, 0);
    struct cursor cursor = cursor_at(&records, &worker->err);
    for (const struct record *at; (at = cursor_next(&cursor));) {
        book_fold(&book, at, &run->series, run->catalog);
    }
    if (cursor.status != OK) {
        worker_fail(worker, cursor.status);
        return;
    }
    book_totals(&book, &run->series, worker->booked_totals, run->catalog->meter_count);
    struct book_view view = {&run->series, run->catalog,     run->accounts,
                             NONE,         run->period.from, run->period};
    enum status status = book_close(&book, &view, &worker->err);
    assert(status == OK); /* it has no rows */
    (void)status;
    for (uint32_t i = 0; i < book.excluded_count; i++) {
        worker->excluded[book.excluded[i].reason] += book.excluded[i].total.count;
    }
    render_exclusions_csv(&texts->exclusions, run->catalog, run->accounts, payer, book.excluded,
                          book.excluded_count);
}

/* A payer whose clock has no turn that begins in the period: what was carried in is carried on. */
static void pass_opening(const struct run *run, uint32_t payer, struct buffer *closing)
{
    for (uint32_t i = first_opening(run, payer);
         i < run->opening_count && run->opening[i].payer == payer; i++) {
        buffer_add_text(closing, run->opening[i].raw);
        buffer_add_char(closing, '\n');
    }
    for (uint32_t i = first_carried(run, payer);
         i < run->carried_count && run->carried[i].payer == payer; i++) {
        if (!run->carried[i].is_copy) {
            buffer_add_text(closing, run->carried[i].raw);
            buffer_add_char(closing, '\n');
        }
    }
}

/* A cut failed, and those behind it depend on it: their events are counted, so that conservation
 * holds, and not billed. */
static void leave_cuts(struct worker *worker, uint32_t payer, struct period failed, bool is_first,
                       struct records records)
{
    const struct run *run = worker->run;
    struct cursor cursor = cursor_at(&records, &worker->err);
    for (const struct record *record; (record = cursor_next(&cursor));) {
        struct period cut;
        bool is_failed = is_of_cut(run, payer, record, failed, is_first);
        bool is_behind = !is_failed && run_cut(run, payer, slot_time(run, record), &cut) &&
                         cut.from > failed.from;
        if (is_behind || (is_failed && !worker->is_booked)) {
            total_count(&worker->booked_totals[meter_of_record(run, record)], record);
        }
    }
    if (cursor.status != OK) {
        worker_fail(worker, cursor.status);
    }
}

/* What settle_cut works on. */
struct job {
    uint32_t payer;
    struct records records;
    struct text inputs;
    struct texts *texts;
    struct handover handover;
};

/* settle_cut; *is_out when it found no memory: then all is as before. */
static enum status try_cut(struct worker *worker, struct job *job, struct period cut, bool is_first,
                           bool is_last, bool *is_out, struct error *err)
{
    size_t sizes[TEXTS];
    for (enum text_kind i = 0; i < TEXTS; i++) {
        sizes[i] = text_buffer(job->texts, i)->size;
    }
    const uint64_t write_count = job->texts->write_count;
    const struct handover handover = job->handover;
    const struct arena_mark mark = arena_mark(&worker->scratch);
    jmp_buf here, *outer = worker->scratch.recover;
    enum status status;
    if (setjmp(here) == 0) {
        worker->scratch.recover = worker->output.recover = &here;
        status = settle_cut(worker, job->payer, cut, is_first, is_last, &job->handover,
                            job->records, job->inputs, job->texts, err);
        *is_out = false;
    } else if (job->texts->write_count == write_count) {
        for (enum text_kind i = 0; i < TEXTS; i++) {
            text_buffer(job->texts, i)->size = sizes[i];
        }
        job->handover = handover;
        status = ERR_LIMIT;
        *is_out = true;
    } else {
        /* A part of the bill is written already. */
        worker->scratch.recover = worker->output.recover = outer;
        arena_run_out(&worker->scratch);
    }
    worker->scratch.recover = worker->output.recover = outer;
    arena_rewind(&worker->scratch, mark);
    if (*is_out) {
        arena_trim(&worker->scratch);
    }
    return status;
}

/* A payer that finds no memory is tried again when it has all that there is. */
static enum status settle_with_room(struct worker *worker, struct job *job, struct period cut,
                                    bool is_first, bool is_last, struct error *err)
{
    const struct run *run = worker->run;
    bool is_out;
    worker->is_booked = false;
    enum status status = try_cut(worker, job, cut, is_first, is_last, &is_out, err);
    if (is_out) {
        TRY(take_turn(worker, job->texts));
        begin_alone(worker);
        status = try_cut(worker, job, cut, is_first, is_last, &is_out, err);
        end_alone(worker);
        enter(worker);
    }
    if (is_out) {
        uint64_t count = 0;
        struct cursor cursor = cursor_at(&job->records, err);
        while (cursor_next(&cursor)) {
            count++;
        }
        TRY(cursor.status);
        (void)fail(err, ERR_LIMIT,
                   "its usage of %" PRIu64 " events does not fit into what is left of %zu MiB: "
                   "allow more with --memory, or use fewer threads",
                   count, run->memory_bytes >> 20);
    }
    return status;
}

static void settle_payer(struct worker *worker, uint32_t payer, struct records records,
                         struct text inputs, struct texts *texts)
{
    const struct run *run = worker->run;
    struct period whole = run->period;
    const struct period *cuts = &whole;
    uint32_t cut_count = 1;
    if (run->has_cuts) {
        cuts = run->cuts + run->cut_first[payer];
        cut_count = run->cut_first[payer + 1] - run->cut_first[payer];
    }
    if (cut_count == 0) {
        struct arena_mark mark = arena_mark(&worker->scratch);
        pass_opening(run, payer, &texts->closing);
        settle_excluded(worker, run->accounts->items[payer].id, records, texts);
        arena_rewind(&worker->scratch, mark);
    }
    struct job job = {payer, records, inputs, texts, {0}};
    for (uint32_t i = 0; i < cut_count; i++) {
        struct error err = {0};
        enum status status =
            settle_with_room(worker, &job, cuts[i], i == 0, i + 1 == cut_count, &err);
        if (status != OK) {
            /* Text is made last, and what can fail then is the output: that ends the run. */
            if (status == ERR_CORRUPT || status == ERR_IO || worker->err.status != OK) {
                worker->err = worker->err.status != OK ? worker->err : err;
                worker_fail(worker, worker->err.status);
                return;
            }
            fail_payer(worker, payer, &err);
            leave_cuts(worker, payer, cuts[i], i == 0, records);
            return;
        }
    }
}

static enum status fail_memory(struct worker *worker)
{
    (void)fail(&worker->err, ERR_LIMIT, "the memory limit is reached while bills are made");
    return fail_hint(&worker->err, "allow more with --memory, or use fewer threads");
}

/* ---- partitions ------------------------------------------------------------------------------ */

/* Reads the records of a partition and groups them; *is_out when there is no memory: then nothing
 * of it is held but what the spools keep, and no record is judged yet. */
static enum status try_open(struct worker *worker, uint32_t p, struct partition *partition,
                            bool *is_out)
{
    struct run *run = worker->run;
    const struct arena_mark mark = arena_mark(&worker->scratch);
    struct spool_partition found;
    enum status status = spool_load(run->verdicts, p, &found, &worker->err);
    *is_out = status == ERR_LIMIT;
    if (status != OK) {
        return status;
    }
    jmp_buf here, *outer = worker->scratch.recover;
    if (ARENA_RECOVER(&worker->scratch, here)) {
        worker->scratch.recover = outer;
        arena_rewind(&worker->scratch, mark);
        *is_out = true;
        return ERR_LIMIT;
    }
    *partition = (struct partition){.low = first_payer(run, p), .high = first_payer(run, p + 1)};
    struct verdict_table verdicts;
    load_verdicts(worker, &found, &verdicts);
    make_room(worker, spool_units(run->records, p), partition);
    worker->scratch.recover = outer;
    TRY(count_groups(worker, p, partition));
    TRY(fill_groups(worker, p, &verdicts, partition));
    spool_unload(run->verdicts, p, &found);
    return OK;
}

/* Judges the records and sorts them into a file: as fill_groups, for any number of records. */
static enum status sort_groups(struct worker *worker, uint32_t p,
                               const struct verdict_table *verdicts, struct partition *partition)
{
    const struct run *run = worker->run;
    for (uint32_t c = 0; c < spool_chunk_count(run->records, p); c++) {
        struct spool_chunk chunk;
        TRY(spool_read(run->records, p, c, partition->room, &chunk, &worker->err));
        struct record *record = chunk.units;
        const struct record *end = record + chunk.count;
        bool stays = true;
        for (uint32_t units; record < end; record += units) {
            units = 1 + record->tail_units;
            stays = judge_record(worker, verdicts, record, end, stays);
            if (stays) {
                TRY(sorted_add(partition->sorted, group_of(run, partition, record), record,
                               &worker->err));
            }
        }
        spool_drop(run->records, p, c);
    }
    return OK;
}

struct grouping {
    const struct run *run;
    const struct partition *partition;
};

static uint32_t group_again(const void *context, const struct record *record)
{
    const struct grouping *grouping = context;
    return group_of(grouping->run, grouping->partition, record);
}

/* As try_open, by way of a file. */
static enum status try_sort(struct worker *worker, uint32_t p, struct partition *partition,
                            bool *is_out)
{
    enum { ROOM_SHARE = 16 };
    struct run *run = worker->run;
    const struct arena_mark mark = arena_mark(&worker->scratch);
    struct spool_partition found;
    enum status status = spool_load(run->verdicts, p, &found, &worker->err);
    *is_out = status == ERR_LIMIT;
    if (status != OK) {
        return status;
    }
    *partition = (struct partition){.low = first_payer(run, p), .high = first_payer(run, p + 1)};
    worker->sorted = NULL;
    jmp_buf here, *outer = worker->scratch.recover;
    if (ARENA_RECOVER(&worker->scratch, here)) {
        worker->scratch.recover = outer;
        sorted_free(worker->sorted);
        worker->sorted = NULL;
        arena_rewind(&worker->scratch, mark);
        *is_out = true;
        return ERR_LIMIT;
    }
    struct verdict_table verdicts;
    load_verdicts(worker, &found, &verdicts);
    worker->order = (struct record_order){&run->series, run->catalog};
    partition->room = arena_alloc(&worker->scratch, SPOOL_CHUNK_BYTES);
    partition->sorted_room =
        arena_alloc(&worker->scratch, SORTED_ROOM_UNITS * sizeof(struct record));
    status = sorted_new(run->env, &worker->scratch, run->config->temporary_folder,
                        run->memory_bytes / ROOM_SHARE, partition->high - partition->low + 1,
                        &worker->order, &worker->sorted, &worker->err);
    worker->scratch.recover = outer;
    TRY(status);
    partition->sorted = worker->sorted;
    TRY(sort_groups(worker, p, &verdicts, partition));
    struct grouping grouping = {run, partition};
    TRY(sorted_merge(partition->sorted, group_again, &grouping, &worker->err));
    spool_unload(run->verdicts, p, &found);
    return OK;
}

/* Partitions are small unless a payer is large.  Then memory would be full of records and have no
 * room for what is made of them. */
static bool is_large(const struct run *run, uint32_t p)
{
    enum { LARGE_SHARE = 4 };
    return spool_units(run->records, p) * sizeof(struct record) > run->memory_bytes / LARGE_SHARE;
}

static enum status open_partition(struct worker *worker, struct texts *texts,
                                  struct partition *partition)
{
    uint32_t p = texts->partition;
    bool is_out, is_sorted = is_large(worker->run, p);
    enum status status = (is_sorted ? try_sort : try_open)(worker, p, partition, &is_out);
    if (is_out) {
        worker->err = (struct error){0};
        TRY(take_turn(worker, texts));
        begin_alone(worker);
        arena_trim(&worker->scratch);
        status = is_sorted ? OK : try_open(worker, p, partition, &is_out);
        if (is_out) {
            worker->err = (struct error){0};
            arena_trim(&worker->scratch);
            status = try_sort(worker, p, partition, &is_out);
        }
        end_alone(worker);
        enter(worker);
    }
    return is_out ? fail_memory(worker) : status;
}

static enum status settle_partition(struct worker *worker, uint32_t p, struct text inputs)
{
    enum { HELD_SHARE = 32 }; /* of the memory: text that is held, by all threads */
    struct run *run = worker->run;
    struct partition partition;
    struct arena_mark mark = arena_mark(&worker->scratch);
    struct arena_mark output_mark = arena_mark(&worker->output);
    struct texts texts = {.partition = p,
                          .held_max = (uint32_t)(run->memory_bytes / HELD_SHARE /
                                                 (size_t)run->threads / sizeof(struct held_block))};
    enter(worker);
    for (enum text_kind i = 0; i < TEXTS; i++) {
        buffer_init(text_buffer(&texts, i), &worker->output, 4096);
    }
    TRY(open_partition(worker, &texts, &partition));
    size_t partition_bytes = worker->scratch.held_bytes;
    struct records nobody = group(&partition, 0);
    if (has_records(&nobody)) {
        settle_excluded(worker, TEXT(""), nobody, &texts);
    }
    bool every_payer =
        run->members || run->opening_count > 0 || run->carried_count > 0 || run->issued_count > 0;
    for (uint32_t payer = partition.low; payer < partition.high && !worker->failed; payer++) {
        struct records records = group(&partition, payer - partition.low + 1);
        if (has_records(&records) || (every_payer && (is_payer(run, payer) || has_opening(run, payer) ||
                                          has_issued(run, payer)))) {
            settle_payer(worker, payer, records, inputs, &texts);
            yield(worker, partition_bytes);
        }
    }
    sorted_free(worker->sorted);
    worker->sorted = NULL;
    arena_rewind(&worker->scratch, mark);
    yield(worker, 0);
    leave(worker);
    enum status status = worker->failed ? worker->err.status : write_texts(worker, &texts);
    if (texts.has_turn) {
        output_turn_give(run->output);
    }
    arena_rewind(&worker->output, output_mark);
    return status;
}

static enum status settle_partitions(struct worker *worker)
{
    struct run *run = worker->run;
    const struct catalog *catalog = run->catalog;
    worker->booked_totals =
        arena_calloc(&worker->arena, catalog->meter_count + 1, sizeof *worker->booked_totals);
    worker->removed_totals =
        arena_calloc(&worker->arena, catalog->meter_count + 1, sizeof *worker->removed_totals);
    worker->product_amounts =
        arena_calloc(&worker->arena, catalog->product_count + 2, sizeof *worker->product_amounts);
    char catalog_digest[65], accounts_digest[65];
    digest_format(&catalog->digest, catalog_digest);
    digest_format(&run->accounts->digest, accounts_digest);
    struct inputs inputs = {.catalog_digest = text_of(catalog_digest),
                            .accounts_digest = text_of(accounts_digest),
                            .zones_digest = run->zones_digest,
                            .opening_digest = run->opening_digest,
                            .rules = TEXT(FARTHING_RULES)};
    struct text inputs_json = render_inputs(&worker->arena, &inputs);
    worker->writer = writer_new(&worker->arena);
    for (uint32_t p; (p = run_claim(run, run->book_partitions)) != NONE;) {
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
        status = fail_memory(worker);
    } else {
        worker->scratch.recover = worker->output.recover = &recover;
        arena_rewind(&worker->scratch, (struct arena_mark){NULL, 0});
        status = settle_partitions(worker);
    }
    if (status != OK) {
        worker_fail(worker, status);
        output_fail(run->output, &worker->err);
    }
    sorted_free(worker->sorted);
    worker->sorted = NULL;
    drop_held(worker);
    arena_release(&worker->scratch); /* the report needs memory too */
    arena_release(&worker->output);
    end_alone(worker);
    leave(worker);
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
        add_events(&accepted, worker->accepted);
        add_events(&booked, worker->booked);
        add_events(&withdrawn, worker->withdrawn);
        add_events(&booked_withdrawn, worker->booked_withdrawn);
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
            total_add(&accepted, &run->workers[i].read_totals[m]);
            total_subtract(&accepted, &run->workers[i].removed_totals[m]);
            total_add(&booked, &run->workers[i].booked_totals[m]);
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
 * not taken for a whole one. */
static enum status end_closing(struct run *run)
{
    char print[33];
    hash128_format(output_file_print(run->closing), print);
    return output_append_text(
        run->closing,
        text_format(&run->arena, "{\"closing\":{\"size\":%llu,\"print\":\"%s\"}}\n",
                    (unsigned long long)output_file_size(run->closing), print),
        run->err);
}

enum status run_settle(struct run *run)
{
    const struct {
        const char *name;
        struct output_file **file;
        const char *header;
    } files[] = {{"bills.ndjson", &run->bills, NULL},
                 {"lines.csv", &run->lines, LINES_HEADER},
                 {"usage.csv", &run->usage, USAGE_HEADER},
                 {"closing.ndjson", &run->closing, NULL},
                 {"exclusions.csv", &run->exclusions, EXCLUSIONS_HEADER}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        TRY(output_file_open(run->output, files[i].name, files[i].file, run->err));
        if (files[i].header) {
            TRY(output_append_text(*files[i].file, text_of(files[i].header), run->err));
        }
    }
    series_rank(&run->series);
    run->next_partition = 0;
    TRY(run_threads(run, settle_work));
    TRY(check_conservation(run));
    return end_closing(run);
}
