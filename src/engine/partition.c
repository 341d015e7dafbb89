/* partition.c - see partition.h. */
#include "engine/partition.h"

#include <assert.h>

#include "engine/gate.h"
#include "engine/load.h"
#include "engine/room.h"

/* Records: what they need from memory is asked for this early, and they themselves earlier still.
 * Processors fetch what is read in order by themselves, but no further than a page goes, and on
 * virtual machines the next page is long in coming. */
enum { FETCH_AHEAD = 16, READ_AHEAD = 64 };

bool cursor_fill(struct cursor *cursor)
{
    const struct records *from = cursor->from;
    if (!from->sorted || cursor->next == from->stop || cursor->status != OK) {
        return false;
    }
    cursor->first_place = cursor->next;
    cursor->status = sorted_read(from->sorted, &cursor->next, from->stop, &cursor->at, &cursor->end,
                                 cursor->err);
    cursor->first = cursor->at;
    return cursor->status == OK;
}

bool record_is_of_cut(const struct run *run, uint32_t payer, const struct record *record,
                      struct period cut, bool is_first)
{
    struct period found;
    if (!run_divides(run)) {
        return true;
    }
    instant at = record_instant(run, record);
    return run_cut(run, payer, at, &found) ? period_has(cut, at) : is_first;
}

struct records partition_sorted_group(const struct partition *partition, uint32_t index)
{
    struct records records = {.sorted = partition->sorted,
                              .unit_count = sorted_units(partition->sorted, index)};
    sorted_group(partition->sorted, index, &records.first, &records.stop);
    return records;
}

uint32_t record_payer(const struct run *run, const struct record *record)
{
    uint32_t payer = run->steady_payer[record->account];
    return payer != NONE
               ? payer
               : accounts_payer(run->accounts, record->account, record_instant(run, record));
}

uint32_t partition_first_payer(const struct run *run, uint32_t partition)
{
    uint32_t first = run->partition_first[partition];
    return first < run->accounts->count ? first : run->accounts->count;
}

/* Verdicts of a partition by fingerprint and account, those on the same added up. */
struct verdict_table {
    struct verdict_slot {
        struct verdict verdict;
        bool is_used;
    } * slots;
    uint64_t mask;
    /* Bits by fingerprint: nearly all events have no verdict, and their fingerprints no bit. */
    uint64_t *filter;
    uint64_t filter_mask; /* of bits */
    bool is_empty;
};

static bool may_have_verdict(const struct verdict_table *table, uint64_t print)
{
    uint64_t bit = print >> 32 & table->filter_mask;
    return table->filter[bit / 64] >> bit % 64 & 1;
}

/* Always inlined: gcc takes a function that only fetches for one that does nothing. */
__attribute__((always_inline)) static inline void fetch_verdict(const struct verdict_table *table,
                                                                uint64_t print)
{
    __builtin_prefetch(&table->filter[(print >> 32 & table->filter_mask) / 64]);
}

static struct verdict_slot *find_verdict(const struct verdict_table *table, uint64_t print,
                                         uint32_t account)
{
    for (uint64_t at = print & table->mask;; at = (at + 1) & table->mask) {
        struct verdict_slot *slot = &table->slots[at];
        if (!slot->is_used || (slot->verdict.print == print && slot->verdict.account == account)) {
            return slot;
        }
    }
}

static void load_verdicts(struct worker *worker, const struct spool_partition *loaded,
                          struct verdict_table *table)
{
    size_t slot_count = 16;
    while (slot_count < loaded->unit_count * 4) {
        slot_count *= 2;
    }
    *table = (struct verdict_table){.mask = slot_count - 1, .is_empty = loaded->unit_count == 0};
    enum { BITS_A_SLOT = 8 };
    table->slots = arena_calloc(&worker->scratch, slot_count, sizeof *table->slots);
    table->filter_mask = slot_count * BITS_A_SLOT - 1;
    table->filter =
        arena_calloc(&worker->scratch, slot_count * BITS_A_SLOT / 64, sizeof *table->filter);
    for (uint32_t c = 0; c < loaded->chunk_count; c++) {
        const struct verdict *verdicts = loaded->chunks[c].units;
        for (uint32_t i = 0; i < loaded->chunks[c].count; i++) {
            struct verdict_slot *slot = find_verdict(table, verdicts[i].print, verdicts[i].account);
            struct verdict *verdict = &slot->verdict;
            uint64_t bit = verdicts[i].print >> 32 & table->filter_mask;
            table->filter[bit / 64] |= UINT64_C(1) << bit % 64;
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
        struct total *removed = &worker->settle.removed_totals[meter_of_record(run, at)], one = {0};
        total_count(&one, at);
        total_add(removed, &one);
        if (!goes) {
            uint32_t meter = meter_of_record(run, at);
            record_exclude(at, EXCLUDE_WITHDRAWN,
                           meter == run->catalog->meter_count ? NONE : meter);
            struct total now = {0};
            total_count(&now, at);
            total_subtract(removed, &now);
        }
        at += 1 + at->tail_units;
    } while (at < end && !(at->flags & RECORD_FIRST));
    if (!goes && !(first->flags & RECORD_ELSEWHERE)) {
        worker->settle.booked_withdrawn.count++;
        worker->settle.booked_withdrawn.print += first->print;
    }
    return !goes;
}

/* ---- records by payer ------------------------------------------------------------------------ */

static void make_room(struct worker *worker, uint64_t units, struct partition *partition)
{
    struct arena *arena = &worker->shelf;
    uint32_t groups = partition->high - partition->low + 1;
    partition->first = arena_calloc(arena, groups + 1, sizeof *partition->first);
    partition->end = arena_alloc(arena, groups * sizeof *partition->end);
    partition->units = arena_alloc(arena, (units + 1) * sizeof *partition->units);
    partition->group_at = arena_alloc(&worker->scratch, (units + 1) * sizeof *partition->group_at);
    partition->room = arena_alloc(&worker->scratch, SPOOL_CHUNK_BYTES);
}

static uint32_t group_of(const struct run *run, const struct partition *partition,
                         const struct record *record)
{
    uint32_t index = record->account == NONE ? 0 : record_payer(run, record) - partition->low + 1;
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
        for (; record < end; record = record_next(record)) {
            if (end - record > FETCH_AHEAD && record[FETCH_AHEAD].account < run->accounts->count) {
                /* A tail that is read as a record fetches what is not needed, no more. */
                __builtin_prefetch(&run->steady_payer[record[FETCH_AHEAD].account]);
            }
            __builtin_prefetch(record + READ_AHEAD);
            uint32_t index = group_of(run, partition, record);
            partition->first[index + 1] += 1 + record->tail_units;
            partition->group_at[at++] = index;
        }
    }
    partition->record_count = at;
    for (uint32_t g = 0; g < groups; g++) {
        partition->first[g + 1] += partition->first[g];
        partition->end[g] = partition->first[g];
    }
    return OK;
}

static void count_booked(struct worker *worker, const struct record *first, bool stays)
{
    if (stays && !(first->flags & RECORD_ELSEWHERE)) {
        worker->settle.booked.count++;
        worker->settle.booked.print += first->print;
    }
}

/* Whether a record stays: the first one of an event decides for those behind it. */
static bool judge_record(struct worker *worker, const struct verdict_table *verdicts,
                         struct record *record, const struct record *end, bool stayed)
{
    if (!(record->flags & RECORD_FIRST)) {
        return stayed;
    }
    bool stays = verdicts->is_empty || !may_have_verdict(verdicts, record->print) ||
                 judge_event(worker, verdicts, record, end);
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
            if (end - record > FETCH_AHEAD) { /* if that is a tail, in vain */
                fetch_verdict(verdicts, record[FETCH_AHEAD].print);
            }
            __builtin_prefetch(record + READ_AHEAD);
            if (at + FETCH_AHEAD < partition->record_count) {
                uint32_t group = partition->group_at[at + FETCH_AHEAD];
                __builtin_prefetch(&partition->units[partition->end[group]], 1);
            }
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

static void give_back(struct worker *worker)
{
    room_clear(&worker->scratch);
    room_clear(&worker->shelf);
}

/* Reads the records of a partition and groups them; *is_out when there is no memory: then nothing
 * of it is held but what the spools keep, and no record is judged yet. */
static enum status try_open(struct worker *worker, uint32_t p, struct partition *partition,
                            bool *is_out)
{
    struct run *run = worker->run;
    struct spool_partition found;
    enum status status = spool_load(run->verdicts, p, &found, &worker->err);
    *is_out = status == ERR_LIMIT;
    if (status != OK) {
        return status;
    }
    jmp_buf here, *outer = worker->scratch.recover;
    if (setjmp(here) != 0) {
        worker->scratch.recover = worker->shelf.recover = outer;
        give_back(worker);
        *is_out = true;
        return ERR_LIMIT;
    }
    worker->scratch.recover = worker->shelf.recover = &here;
    struct verdict_table verdicts;
    load_verdicts(worker, &found, &verdicts);
    make_room(worker, spool_units(run->records, p), partition);
    worker->scratch.recover = worker->shelf.recover = outer;
    TRY(count_groups(worker, p, partition));
    TRY(fill_groups(worker, p, &verdicts, partition));
    spool_unload(run->verdicts, p, &found);
    arena_rewind(&worker->scratch, ARENA_EMPTY);
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
                TRY(sorted_add(partition->sorted, record, &worker->err));
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
    enum { ROOM_SHARE = 16, ROOM_MOST_BYTES = 32 * 1024 * 1024 };
    struct run *run = worker->run;
    size_t room_bytes = run->memory_bytes / ROOM_SHARE;
    room_bytes = room_bytes < ROOM_MOST_BYTES ? room_bytes : ROOM_MOST_BYTES;
    struct spool_partition found;
    enum status status = spool_load(run->verdicts, p, &found, &worker->err);
    *is_out = status == ERR_LIMIT;
    if (status != OK) {
        return status;
    }
    worker->settle.sorted = NULL;
    jmp_buf here, *outer = worker->scratch.recover;
    if (setjmp(here) != 0) {
        worker->scratch.recover = worker->shelf.recover = outer;
        sorted_free(worker->settle.sorted);
        worker->settle.sorted = NULL;
        give_back(worker);
        *is_out = true;
        return ERR_LIMIT;
    }
    worker->scratch.recover = worker->shelf.recover = &here;
    struct verdict_table verdicts;
    load_verdicts(worker, &found, &verdicts);
    worker->settle.order = (struct record_order){&run->series, run->catalog, !run->has_samples};
    partition->room = arena_alloc(&worker->scratch, SPOOL_CHUNK_BYTES);
    struct grouping grouping = {run, partition};
    sorted_new(run->env, &worker->shelf, run->config->temporary_folder, room_bytes,
               partition->high - partition->low + 1, &worker->settle.order, group_again, &grouping,
               &worker->settle.sorted);
    worker->scratch.recover = worker->shelf.recover = outer;
    partition->sorted = worker->settle.sorted;
    TRY(sort_groups(worker, p, &verdicts, partition));
    TRY(sorted_merge(partition->sorted, &worker->err));
    spool_unload(run->verdicts, p, &found);
    arena_rewind(&worker->scratch, ARENA_EMPTY);
    arena_trim(&worker->shelf);
    return OK;
}

enum status partition_fail_memory(struct worker *worker)
{
    return fail_memory(&worker->err, worker->run->env->memory_asked_bytes, " while bills are made",
                       ", or use fewer threads");
}

void partition_close(struct worker *worker, struct partition *partition)
{
    sorted_free(worker->settle.sorted);
    worker->settle.sorted = NULL;
    give_back(worker);
    __atomic_fetch_sub(&worker->run->room.records_taken_bytes, partition->shelf_bytes,
                       __ATOMIC_RELAXED);
    partition->shelf_bytes = 0;
}

/* Partitions are small unless a payer is large.  Then memory would be full of records and have no
 * room for what is made of them: what is more than the share of records is read from a file. */
static bool take_shelf(struct run *run, uint32_t p, struct partition *partition)
{
    const uint64_t units = spool_units(run->records, p);
    if (units >= UINT32_MAX) { /* groups say so where they begin */
        return false;
    }
    size_t bytes = units * room_record_unit_bytes(run);
    size_t taken = __atomic_add_fetch(&run->room.records_taken_bytes, bytes, __ATOMIC_RELAXED);
    if (taken <= run->room.records_bytes) {
        partition->shelf_bytes = bytes;
        return true;
    }
    __atomic_fetch_sub(&run->room.records_taken_bytes, bytes, __ATOMIC_RELAXED);
    return false;
}

/* Chunk by chunk: records are judged where they lie, so of each chunk a copy is. */
static enum status copy_records(struct worker *worker, uint32_t p,
                                const struct verdict_table *verdicts, const bool *is_wanted,
                                struct sorted *to)
{
    const struct run *run = worker->run;
    void *room = arena_alloc(&worker->scratch, SPOOL_CHUNK_BYTES);
    struct record *copy = arena_alloc(&worker->scratch, SPOOL_CHUNK_BYTES);
    for (uint32_t c = 0; c < spool_chunk_count(run->records, p); c++) {
        struct spool_chunk chunk;
        TRY(spool_read(run->records, p, c, room, &chunk, &worker->err));
        memcpy(copy, chunk.units, chunk.count * sizeof *copy);
        struct record *record = copy;
        const struct record *end = record + chunk.count;
        bool stays = true;
        for (uint32_t units; record < end; record += units) {
            units = 1 + record->tail_units;
            stays = judge_record(worker, verdicts, record, end, stays);
            uint32_t payer = record->account == NONE ? NONE : record_payer(run, record);
            if (stays && payer != NONE && is_wanted[payer]) {
                TRY(sorted_add(to, record, &worker->err));
            }
        }
    }
    return OK;
}

enum status partition_copy(struct worker *worker, uint32_t p, const bool *is_wanted,
                           struct sorted *to)
{
    struct run *run = worker->run;
    const struct event_count booked = worker->settle.booked,
                             withdrawn = worker->settle.booked_withdrawn;
    struct total *removed = worker->settle.removed_totals;
    struct spool_partition found;
    struct verdict_table verdicts;
    TRY(spool_load(run->verdicts, p, &found, &worker->err)); /* it is loaded again */
    worker->settle.removed_totals =
        arena_calloc(&worker->scratch, run->catalog->meter_count + 1u, sizeof *removed);
    load_verdicts(worker, &found, &verdicts);
    enum status status = copy_records(worker, p, &verdicts, is_wanted, to);
    worker->settle.removed_totals = removed;
    worker->settle.booked = booked;
    worker->settle.booked_withdrawn = withdrawn;
    arena_rewind(&worker->scratch, ARENA_EMPTY);
    return status;
}

enum status partition_open(struct worker *worker, struct texts *texts, struct partition *partition)
{
    const uint32_t p = texts->partition;
    *partition = (struct partition){.low = partition_first_payer(worker->run, p),
                                    .high = partition_first_payer(worker->run, p + 1)};
    bool is_out, is_sorted = !take_shelf(worker->run, p, partition);
    worker->settle.is_trying = true;
    enum status status = (is_sorted ? try_sort : try_open)(worker, p, partition, &is_out);
    if (is_out) {
        worker->err = (struct error){0};
        TRY(texts_take_turn(worker, texts));
        TRY(gate_begin_alone(worker));
        status = is_sorted ? OK : try_open(worker, p, partition, &is_out);
        if (is_out) {
            worker->err = (struct error){0};
            status = try_sort(worker, p, partition, &is_out);
        }
        gate_end_alone(worker);
        gate_enter(worker);
    }
    worker->settle.is_trying = false;
    return is_out ? partition_fail_memory(worker) : status;
}
