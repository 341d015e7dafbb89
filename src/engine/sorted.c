/* sorted.c - see sorted.h.
 *
 * Records fill a room in memory: their units from its beginning, an entry for each from its end.  A
 * full one is sorted and written as a run, in blocks that zstd has packed.  Runs are merged, as
 * many at once as have a block in that room; when there are more, so many are merged first, into a
 * run of the next level.
 *
 * What a sampled record counts goes into a total of its row, which follows the row's records;
 * then it is a sample, and equal ones become one (record_join), within a run and again in merges.
 */
#include "engine/sorted.h"

#include <assert.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

enum {
    BLOCK_UNITS = 1024,
    BLOCK_BYTES = BLOCK_UNITS * sizeof(struct record),
    PACKED_BYTES_MAX = ZSTD_COMPRESSBOUND(BLOCK_BYTES),
    LEVEL = 1, /* of zstd */
    ROOM_BLOCKS_LEAST = 8,
    RUNS_MAX = 1024, /* of a level */
    LEVELS_MAX = 6,
    UNIT_BITS = 16, /* of a place: the rest is the offset of its block */
};
static_assert(BLOCK_UNITS < 1 << UNIT_BITS);

/* A record of a run, and what is compared first. */
struct entry {
    uint32_t group, at; /* unit of the room */
};

/* Before each block of a file. */
struct block_head {
    uint32_t units, packed_bytes; /* as many as the units have: not packed */
};

struct run_place {
    uint64_t first, end; /* bytes of its level's file */
};

struct run_level {
    struct file *file;
    uint64_t size_bytes;
    uint32_t run_count;
    struct run_place *runs;
};

struct sorted {
    struct env *env;
    struct arena *arena;
    const char *folder;
    const struct record_order *order;
    sorted_group_of *group_of;
    const void *context;
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
    struct arena_mark mark;
    /* the room: units and entries of a run, or blocks of the heads of runs */
    unsigned char *room;
    size_t room_bytes;
    uint32_t unit_count, entry_count;
    /* the block that is written */
    struct record *writing;
    uint32_t writing_count, last; /* the unit of the last record, NONE */
    unsigned char *packed;
    struct file *to;
    uint64_t to_bytes;
    uint32_t group; /* of the last record, and one more: groups before it have their places */
    struct run_level levels[LEVELS_MAX];
    struct file *file; /* of all, when merged */
    struct record *block;
    uint64_t block_at; /* the place of the block that was read last */
    uint64_t block_next;
    uint32_t block_units;
    uint32_t groups;
    uint64_t *first; /* place of each group, one more at the end */
    uint64_t *units; /* of each group, as they came */
    bool is_merged;
};

/* ---- sorting in memory ----------------------------------------------------------------------- */

static bool is_after(const struct record *a, const struct record *b,
                     const struct record_order *order)
{
    return record_compare(a, b, order->series, order->catalog) > 0;
}

static void sort_pointers(const struct record **items, uint32_t count, const struct record **spare,
                          const struct record_order *order)
{
    if (count < 2) {
        return;
    }
    uint32_t half = count / 2;
    sort_pointers(items, half, spare, order);
    sort_pointers(items + half, count - half, spare, order);
    if (!is_after(items[half - 1], items[half], order)) {
        return;
    }
    memcpy(spare, items, half * sizeof *items);
    for (uint32_t to = 0, low = 0, high = half; low < half; to++) {
        bool takes_high = high < count && is_after(spare[low], items[high], order);
        items[to] = takes_high ? items[high++] : spare[low++];
    }
}

void records_sort(struct arena *arena, const struct record **records, uint32_t count,
                  const struct record_order *order)
{
    struct arena_mark mark = arena_mark(arena);
    sort_pointers(records, count, arena_alloc(arena, (count / 2 + 1) * sizeof *records), order);
    arena_rewind(arena, mark);
}

static struct record *unit_at(const struct sorted *sorted, uint32_t unit)
{
    return (struct record *)(void *)sorted->room + unit;
}

/* Entries lie at the end of the room, the last one first. */
static struct entry *entries_of(const struct sorted *sorted)
{
    return (struct entry *)(void *)(sorted->room + sorted->room_bytes) - sorted->entry_count;
}

static bool entry_is_after(const struct sorted *sorted, struct entry a, struct entry b)
{
    if (a.group != b.group) {
        return a.group > b.group;
    }
    return !sorted->order->is_loose &&
           is_after(unit_at(sorted, a.at), unit_at(sorted, b.at), sorted->order);
}

static void sort_entries(const struct sorted *sorted, struct entry *items, uint32_t count,
                         struct entry *spare)
{
    if (count < 2) {
        return;
    }
    uint32_t half = count / 2;
    sort_entries(sorted, items, half, spare);
    sort_entries(sorted, items + half, count - half, spare);
    if (!entry_is_after(sorted, items[half - 1], items[half])) {
        return;
    }
    memcpy(spare, items, half * sizeof *items);
    for (uint32_t to = 0, low = 0, high = half; low < half; to++) {
        bool takes_high = high < count && entry_is_after(sorted, spare[low], items[high]);
        items[to] = takes_high ? items[high++] : spare[low++];
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

static uint64_t place_now(const struct sorted *sorted)
{
    return sorted->to_bytes << UNIT_BITS | sorted->writing_count;
}

static void begin_writing(struct sorted *sorted, struct file *file, uint64_t at)
{
    sorted->to = file;
    sorted->to_bytes = at;
    sorted->writing_count = 0;
    sorted->last = NONE;
    sorted->group = 0;
}

static enum status flush_block(struct sorted *sorted, struct error *err)
{
    size_t size = sorted->writing_count * sizeof *sorted->writing;
    if (size == 0) {
        return OK;
    }
    unsigned char *body = sorted->packed + sizeof(struct block_head);
    size_t packed =
        ZSTD_compressCCtx(sorted->packer, body, PACKED_BYTES_MAX, sorted->writing, size, LEVEL);
    if (ZSTD_isError(packed)) {
        return fail(err, ERR_LIMIT, "the memory limit is too small for sorting");
    }
    if (packed >= size) {
        packed = size;
        memcpy(body, sorted->writing, size);
    }
    struct block_head head = {sorted->writing_count, (uint32_t)packed};
    memcpy(sorted->packed, &head, sizeof head);
    TRY(sorted->env->file_write_at(sorted->env, sorted->to, sorted->packed, sizeof head + packed,
                                   sorted->to_bytes, err));
    sorted->to_bytes += sizeof head + packed;
    sorted->writing_count = 0;
    sorted->last = NONE;
    return OK;
}

/* Notes where groups begin, up to this one. */
static void enter_group(struct sorted *sorted, uint32_t group)
{
    while (sorted->group <= group) {
        sorted->first[sorted->group++] = place_now(sorted);
    }
}

static enum status write_record(struct sorted *sorted, uint32_t group, struct record *record,
                                struct error *err)
{
    if (sorted->last != NONE && !sorted->order->is_loose) {
        struct record *kept = sorted->writing + sorted->last;
        switch (record_join(kept, record, sorted->order->series, sorted->order->catalog)) {
        case RECORDS_APART:
            break;
        case RECORDS_KEPT:
            return OK;
        case RECORDS_TAKEN:
            sorted->writing_count = sorted->last;
            break;
        }
    }
    uint32_t units = 1u + record->tail_units;
    if (sorted->writing_count + units > BLOCK_UNITS) {
        TRY(flush_block(sorted, err));
    }
    enter_group(sorted, group);
    memcpy(sorted->writing + sorted->writing_count, record, units * sizeof *record);
    sorted->last = sorted->writing_count;
    sorted->writing_count += units;
    return OK;
}

static enum status end_writing(struct sorted *sorted, struct error *err)
{
    TRY(flush_block(sorted, err));
    enter_group(sorted, sorted->groups);
    return OK;
}

/* ---- reading blocks -------------------------------------------------------------------------- */

static enum status fail_short(struct error *err)
{
    return fail(err, ERR_IO, "a temporary file is shorter than it was written");
}

/* The block at an offset, into room of BLOCK_BYTES; *at is then that of the next one. */
static enum status read_block(struct sorted *sorted, struct file *file, uint64_t *at,
                              struct record *room, uint32_t *units, struct error *err)
{
    struct env *env = sorted->env;
    struct block_head head;
    size_t got;
    TRY(env->file_read_at(env, file, &head, sizeof head, *at, &got, err));
    size_t size = head.units * sizeof *room;
    if (got != sizeof head || head.packed_bytes > size || size > BLOCK_BYTES) {
        return fail_short(err);
    }
    bool is_packed = head.packed_bytes < size;
    void *body = is_packed ? (void *)sorted->packed : (void *)room;
    TRY(env->file_read_at(env, file, body, head.packed_bytes, *at + sizeof head, &got, err));
    if (got != head.packed_bytes ||
        (is_packed &&
         ZSTD_decompressDCtx(sorted->unpacker, room, BLOCK_BYTES, body, got) != size)) {
        return fail_short(err);
    }
    *at += sizeof head + head.packed_bytes;
    *units = head.units;
    return OK;
}

/* ---- merging --------------------------------------------------------------------------------- */

/* The head of a run. */
struct head {
    struct file *file;
    struct record *units;
    uint32_t at, count, group; /* units in memory; the group of the first */
    uint64_t next, end;        /* bytes of the file */
};

struct merge {
    struct sorted *sorted;
    struct head *heads;
    uint32_t *heap, count;
};

/* False when it has come to its end. */
static enum status ready_head(struct merge *merge, struct head *head, bool *has_more,
                              struct error *err)
{
    *has_more = head->at < head->count || head->next < head->end;
    if (head->at == head->count && *has_more) {
        head->at = 0;
        TRY(read_block(merge->sorted, head->file, &head->next, head->units, &head->count, err));
    }
    if (*has_more) {
        head->group = merge->sorted->group_of(merge->sorted->context, &head->units[head->at]);
    }
    return OK;
}

static bool head_is_before(const struct merge *merge, uint32_t a, uint32_t b)
{
    const struct head *x = &merge->heads[a], *y = &merge->heads[b];
    if (x->group != y->group) {
        return x->group < y->group;
    }
    return merge->sorted->order->is_loose
               ? a < b
               : is_after(&y->units[y->at], &x->units[x->at], merge->sorted->order);
}

static void sift(struct merge *merge, uint32_t at)
{
    for (uint32_t child; (child = 2 * at + 1) < merge->count; at = child) {
        if (child + 1 < merge->count &&
            head_is_before(merge, merge->heap[child + 1], merge->heap[child])) {
            child++;
        }
        if (!head_is_before(merge, merge->heap[child], merge->heap[at])) {
            return;
        }
        uint32_t other = merge->heap[at];
        merge->heap[at] = merge->heap[child];
        merge->heap[child] = other;
    }
}

/* As many heads as the room has place for. */
static uint32_t heads_max(const struct sorted *sorted)
{
    size_t count = sorted->room_bytes / (BLOCK_BYTES + sizeof(struct head) + sizeof(uint32_t));
    return count < RUNS_MAX ? (uint32_t)count : RUNS_MAX;
}

/* All runs of the levels up to this one, to where writing has begun. */
static enum status merge_runs(struct sorted *sorted, uint32_t level_count, struct error *err)
{
    uint32_t most = heads_max(sorted);
    struct merge merge = {.sorted = sorted};
    merge.heads = (struct head *)(void *)(sorted->room + (size_t)most * BLOCK_BYTES);
    merge.heap = (uint32_t *)(void *)(merge.heads + most);
    for (uint32_t l = 0; l < level_count; l++) {
        struct run_level *level = &sorted->levels[l];
        for (uint32_t i = 0; i < level->run_count; i++) {
            struct head *head = &merge.heads[merge.count];
            *head = (struct head){
                .file = level->file,
                .units = unit_at(sorted, merge.count * (uint32_t)BLOCK_UNITS),
                .next = level->runs[i].first,
                .end = level->runs[i].end,
            };
            bool has_more;
            TRY(ready_head(&merge, head, &has_more, err));
            assert(has_more); /* no run is empty */
            merge.heap[merge.count] = merge.count;
            merge.count++;
        }
    }
    for (uint32_t i = merge.count; i-- > 0;) {
        sift(&merge, i);
    }
    while (merge.count > 0) {
        struct head *head = &merge.heads[merge.heap[0]];
        struct record *record = &head->units[head->at];
        TRY(write_record(sorted, head->group, record, err));
        head->at += 1u + record->tail_units;
        bool has_more;
        TRY(ready_head(&merge, head, &has_more, err));
        if (!has_more) {
            merge.heap[0] = merge.heap[--merge.count];
        }
        sift(&merge, 0);
    }
    return end_writing(sorted, err);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static enum status begin_run(struct sorted *sorted, uint32_t l, struct error *err)
{
    if (l == LEVELS_MAX) {
        return fail(err, ERR_LIMIT,
                    "too many records for so little memory: allow more with --memory");
    }
    struct run_level *level = &sorted->levels[l];
    if (!level->file) {
        TRY(sorted->env->file_temporary(sorted->env, sorted->folder, &level->file, err));
    }
    begin_writing(sorted, level->file, level->size_bytes);
    return OK;
}

static void end_run(struct sorted *sorted, uint32_t l)
{
    struct run_level *level = &sorted->levels[l];
    level->runs[level->run_count++] = (struct run_place){level->size_bytes, sorted->to_bytes};
    level->size_bytes = sorted->to_bytes;
}

/* Makes one run of the next level of the runs of one; those below it have none. */
static enum status raise_level(struct sorted *sorted, uint32_t l, struct error *err)
{
    TRY(begin_run(sorted, l + 1, err));
    TRY(merge_runs(sorted, l + 1, err));
    end_run(sorted, l + 1);
    struct run_level *level = &sorted->levels[l];
    struct file *file = level->file;
    level->file = NULL;
    level->size_bytes = level->run_count = 0;
    return sorted->env->file_close(sorted->env, file, err);
}

static enum status raise_full_levels(struct sorted *sorted, struct error *err)
{
    uint32_t most = heads_max(sorted);
    for (uint32_t l = 0; l < LEVELS_MAX && sorted->levels[l].run_count == most; l++) {
        TRY(raise_level(sorted, l, err));
    }
    return OK;
}

/* A row's total on its way. */
struct row_total {
    bool is_begun;
    uint32_t group;
    struct record record;
    struct total total;
};

static enum status write_total(struct sorted *sorted, struct row_total *row, struct error *err)
{
    enum { UNITS = (sizeof(struct total) + sizeof(struct record) - 1) / sizeof(struct record) };
    if (!row->is_begun) {
        return OK;
    }
    struct record units[1 + UNITS] = {row->record};
    units[0].form = RECORD_TOTAL;
    units[0].flags = RECORD_TAIL;
    units[0].tail_units = UNITS;
    units[0].print = 0;
    units[0].mantissa = 0;
    memcpy(units + 1, &row->total, sizeof row->total);
    row->is_begun = false;
    return write_record(sorted, row->group, units, err);
}

static enum status write_entry(struct sorted *sorted, const struct entry *entry,
                               struct row_total *row, struct error *err)
{
    struct record *record = unit_at(sorted, entry->at);
    bool is_sample = record_is_sample(record, sorted->order->series, sorted->order->catalog);
    if (row->is_begun && !(is_sample && record_same_row(record, &row->record))) {
        TRY(write_total(sorted, row, err));
    }
    if (is_sample) {
        if (!row->is_begun) {
            *row = (struct row_total){true, entry->group, *record, {0}};
        }
        total_count(&row->total, record);
        record_to_sample(record);
    }
    return write_record(sorted, entry->group, record, err);
}

static enum status write_run(struct sorted *sorted, struct error *err)
{
    if (sorted->entry_count == 0) {
        return OK;
    }
    struct entry *entries = entries_of(sorted);
    sort_entries(sorted, entries, sorted->entry_count,
                 (struct entry *)(void *)unit_at(sorted, sorted->unit_count));
    TRY(begin_run(sorted, 0, err));
    struct row_total row = {.is_begun = false};
    for (uint32_t i = 0; i < sorted->entry_count; i++) {
        TRY(write_entry(sorted, &entries[i], &row, err));
    }
    TRY(write_total(sorted, &row, err));
    TRY(end_writing(sorted, err));
    end_run(sorted, 0);
    sorted->unit_count = sorted->entry_count = 0;
    return raise_full_levels(sorted, err);
}

void sorted_new(struct env *env, struct arena *arena, const char *folder, size_t room_bytes,
                uint32_t groups, const struct record_order *order, sorted_group_of *group_of,
                const void *context, struct sorted **out)
{
    const size_t least = ROOM_BLOCKS_LEAST * (BLOCK_BYTES + sizeof(struct head) + sizeof(uint32_t));
    struct sorted *sorted = arena_calloc(arena, 1, sizeof *sorted);
    *sorted = (struct sorted){
        .env = env,
        .arena = arena,
        .folder = folder,
        .order = order,
        .group_of = group_of,
        .context = context,
        .groups = groups,
        .block_at = UINT64_MAX,
        .room_bytes = (room_bytes > least ? room_bytes : least) / sizeof(struct record) *
                      sizeof(struct record),
    };
    sorted->first = arena_calloc(arena, groups + 1, sizeof *sorted->first);
    sorted->units = arena_calloc(arena, groups, sizeof *sorted->units);
    sorted->block = arena_alloc(arena, BLOCK_BYTES);
    sorted->packed = arena_alloc(arena, sizeof(struct block_head) + PACKED_BYTES_MAX);
    size_t packer_bytes = ZSTD_estimateCCtxSize(LEVEL), unpacker_bytes = ZSTD_estimateDCtxSize();
    sorted->unpacker = ZSTD_initStaticDCtx(arena_alloc(arena, unpacker_bytes), unpacker_bytes);
    sorted->mark = arena_mark(arena);
    for (uint32_t l = 0; l < LEVELS_MAX; l++) {
        sorted->levels[l].runs = arena_calloc(arena, RUNS_MAX, sizeof *sorted->levels[l].runs);
    }
    sorted->writing = arena_alloc(arena, BLOCK_BYTES);
    sorted->packer = ZSTD_initStaticCCtx(arena_alloc(arena, packer_bytes), packer_bytes);
    assert(sorted->packer && sorted->unpacker);
    sorted->room = arena_alloc(arena, sorted->room_bytes);
    *out = sorted;
}

enum status sorted_add(struct sorted *sorted, const struct record *record, struct error *err)
{
    uint32_t units = 1u + record->tail_units;
    uint32_t group = sorted->group_of(sorted->context, record);
    assert(group < sorted->groups && !sorted->is_merged);
    size_t count = sorted->entry_count + 1; /* and half of the entries for sorting them */
    size_t need = (sorted->unit_count + units) * sizeof *record +
                  (count + count / 2 + 1) * sizeof(struct entry);
    if (need > sorted->room_bytes) {
        TRY(write_run(sorted, err));
    }
    sorted->units[group] += units;
    sorted->entry_count++;
    *entries_of(sorted) = (struct entry){group, sorted->unit_count};
    memcpy(unit_at(sorted, sorted->unit_count), record, units * sizeof *record);
    sorted->unit_count += units;
    return OK;
}

static uint32_t run_total(const struct sorted *sorted)
{
    uint32_t count = 0;
    for (uint32_t l = 0; l < LEVELS_MAX; l++) {
        count += sorted->levels[l].run_count;
    }
    return count;
}

enum status sorted_merge(struct sorted *sorted, struct error *err)
{
    TRY(write_run(sorted, err));
    for (uint32_t l = 0; run_total(sorted) > heads_max(sorted); l++) {
        if (sorted->levels[l].run_count > 0) {
            TRY(raise_level(sorted, l, err));
        }
    }
    if (run_total(sorted) > 1) {
        TRY(sorted->env->file_temporary(sorted->env, sorted->folder, &sorted->file, err));
        begin_writing(sorted, sorted->file, 0);
        TRY(merge_runs(sorted, LEVELS_MAX, err));
    }
    for (uint32_t l = 0; l < LEVELS_MAX; l++) {
        struct run_level *level = &sorted->levels[l];
        struct file *file = level->file;
        level->file = NULL;
        if (file && !sorted->file && level->run_count == 1) {
            sorted->file = file; /* its places are those that were noted last */
        } else if (file) {
            TRY(sorted->env->file_close(sorted->env, file, err));
        }
    }
    arena_rewind(sorted->arena, sorted->mark);
    sorted->is_merged = true;
    return OK;
}

void sorted_free(struct sorted *sorted)
{
    if (sorted) {
        struct error ignored;
        for (uint32_t l = 0; l <= LEVELS_MAX; l++) {
            struct file **file = l < LEVELS_MAX ? &sorted->levels[l].file : &sorted->file;
            if (*file) {
                enum status status = sorted->env->file_close(sorted->env, *file, &ignored);
                (void)status; /* a temporary file */
            }
            *file = NULL;
        }
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

void sorted_group(const struct sorted *sorted, uint32_t group, uint64_t *first, uint64_t *end)
{
    *first = sorted->first[group];
    *end = sorted->first[group + 1];
}

uint64_t sorted_units(const struct sorted *sorted, uint32_t group)
{
    return sorted->units[group];
}

enum status sorted_read(struct sorted *sorted, uint64_t *at, uint64_t end,
                        const struct record **first, const struct record **last, struct error *err)
{
    uint64_t offset = *at >> UNIT_BITS;
    uint32_t unit = *at % (1u << UNIT_BITS);
    if (sorted->block_at != offset) {
        sorted->block_at = UINT64_MAX;
        sorted->block_next = offset;
        TRY(read_block(sorted, sorted->file, &sorted->block_next, sorted->block,
                       &sorted->block_units, err));
        sorted->block_at = offset;
    }
    bool is_last = end >> UNIT_BITS == offset;
    *first = sorted->block + unit;
    *last = sorted->block + (is_last ? end % (1u << UNIT_BITS) : sorted->block_units);
    *at = is_last ? end : sorted->block_next << UNIT_BITS;
    return OK;
}
