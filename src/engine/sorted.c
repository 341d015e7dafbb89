/* sorted.c - see sorted.h.
 *
 * Records fill a run in memory; a full one is sorted by an index of (group, place) and written. The
 * runs are merged, all at once, with a small buffer for each.
 */
#include "engine/sorted.h"

#include <assert.h>

enum { MERGE_BUFFER_UNITS = 512, RUN_LEAST_UNITS = 4096, WRITE_UNITS = 4096 };

/* A record of a run, and what is compared first. */
struct entry {
    uint32_t group, at; /* unit of the run */
};

struct run_place {
    uint64_t first, end; /* units of the file */
};

struct sorted {
    struct env *env;
    struct arena *arena;
    const char *folder;
    const struct record_order *order;
    struct file *runs_file, *file;
    struct arena_mark mark;
    struct record *units, *writing;
    struct entry *entries, *spare;
    uint32_t capacity, unit_count, entry_count;
    uint32_t writing_count;
    uint64_t written; /* units of the file that is written */
    struct run_place *runs;
    uint32_t run_count, run_capacity;
    uint32_t groups;
    uint64_t *first; /* of each group, one more at the end */
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

static bool entry_is_after(const struct sorted *sorted, struct entry a, struct entry b)
{
    if (a.group != b.group) {
        return a.group > b.group;
    }
    return is_after(&sorted->units[a.at], &sorted->units[b.at], sorted->order);
}

static void sort_entries(const struct sorted *sorted, struct entry *items, uint32_t count)
{
    if (count < 2) {
        return;
    }
    uint32_t half = count / 2;
    sort_entries(sorted, items, half);
    sort_entries(sorted, items + half, count - half);
    if (!entry_is_after(sorted, items[half - 1], items[half])) {
        return;
    }
    memcpy(sorted->spare, items, half * sizeof *items);
    for (uint32_t to = 0, low = 0, high = half; low < half; to++) {
        bool takes_high = high < count && entry_is_after(sorted, sorted->spare[low], items[high]);
        items[to] = takes_high ? items[high++] : sorted->spare[low++];
    }
}

/* ---- runs ------------------------------------------------------------------------------------ */

static enum status flush_writing(struct sorted *sorted, struct file *file, struct error *err)
{
    size_t size = sorted->writing_count * sizeof *sorted->writing;
    TRY(sorted->env->file_write_at(sorted->env, file, sorted->writing, size,
                                   sorted->written * sizeof *sorted->writing, err));
    sorted->written += sorted->writing_count;
    sorted->writing_count = 0;
    return OK;
}

static enum status write_record(struct sorted *sorted, struct file *file,
                                const struct record *record, struct error *err)
{
    uint32_t units = 1u + record->tail_units;
    if (sorted->writing_count + units > WRITE_UNITS) {
        TRY(flush_writing(sorted, file, err));
    }
    memcpy(sorted->writing + sorted->writing_count, record, units * sizeof *record);
    sorted->writing_count += units;
    return OK;
}

static enum status write_run(struct sorted *sorted, struct error *err)
{
    if (sorted->entry_count == 0) {
        return OK;
    }
    if (sorted->run_count == sorted->run_capacity) {
        return fail(err, ERR_LIMIT,
                    "too many records for so little memory: allow more with --memory");
    }
    sort_entries(sorted, sorted->entries, sorted->entry_count);
    struct run_place *place = &sorted->runs[sorted->run_count++];
    place->first = sorted->written;
    for (uint32_t i = 0; i < sorted->entry_count; i++) {
        TRY(write_record(sorted, sorted->runs_file, &sorted->units[sorted->entries[i].at], err));
        sorted->first[sorted->entries[i].group + 1] +=
            1u + sorted->units[sorted->entries[i].at].tail_units;
    }
    TRY(flush_writing(sorted, sorted->runs_file, err));
    place->end = sorted->written;
    sorted->unit_count = sorted->entry_count = 0;
    return OK;
}

enum status sorted_new(struct env *env, struct arena *arena, const char *folder, size_t room_bytes,
                       uint32_t groups, const struct record_order *order, struct sorted **out,
                       struct error *err)
{
    enum { RUNS_MAX = 4096 };
    const size_t unit_bytes = sizeof(struct record) + sizeof(struct entry) * 3 / 2;
    struct sorted *sorted = arena_calloc(arena, 1, sizeof *sorted);
    *sorted = (struct sorted){.env = env,
                              .arena = arena,
                              .folder = folder,
                              .order = order,
                              .groups = groups,
                              .run_capacity = RUNS_MAX};
    sorted->runs = arena_calloc(arena, RUNS_MAX, sizeof *sorted->runs);
    sorted->first = arena_calloc(arena, groups + 1, sizeof *sorted->first);
    sorted->writing = arena_alloc(arena, WRITE_UNITS * sizeof *sorted->writing);
    size_t units = room_bytes / unit_bytes;
    sorted->capacity = units > RUN_LEAST_UNITS ? (uint32_t)units : RUN_LEAST_UNITS;
    sorted->mark = arena_mark(arena);
    sorted->units = arena_alloc(arena, sorted->capacity * sizeof *sorted->units);
    sorted->entries = arena_alloc(arena, sorted->capacity * sizeof *sorted->entries);
    sorted->spare = arena_alloc(arena, (sorted->capacity / 2 + 1) * sizeof *sorted->spare);
    *out = sorted;
    return env->file_temporary(env, folder, &sorted->runs_file, err);
}

enum status sorted_add(struct sorted *sorted, uint32_t group, const struct record *record,
                       struct error *err)
{
    uint32_t units = 1u + record->tail_units;
    assert(group < sorted->groups && !sorted->is_merged);
    if (sorted->unit_count + units > sorted->capacity) {
        TRY(write_run(sorted, err));
    }
    sorted->entries[sorted->entry_count++] = (struct entry){group, sorted->unit_count};
    memcpy(sorted->units + sorted->unit_count, record, units * sizeof *record);
    sorted->unit_count += units;
    return OK;
}

/* ---- merging --------------------------------------------------------------------------------- */

/* The head of a run. */
struct head {
    struct record *units;
    uint32_t at, count; /* units in memory */
    uint64_t next, end; /* units of the file */
};

static enum status fill_head(const struct sorted *sorted, struct head *head, struct error *err)
{
    uint32_t kept = head->count - head->at;
    memmove(head->units, head->units + head->at, kept * sizeof *head->units);
    uint64_t left = head->end - head->next;
    uint32_t more = MERGE_BUFFER_UNITS - kept;
    more = left < more ? (uint32_t)left : more;
    size_t got, size = more * sizeof *head->units;
    TRY(sorted->env->file_read_at(sorted->env, sorted->runs_file, head->units + kept, size,
                                  head->next * sizeof *head->units, &got, err));
    if (got != size) {
        return fail(err, ERR_IO, "a temporary file is shorter than it was written");
    }
    head->next += more;
    head->at = 0;
    head->count = kept + more;
    return OK;
}

static bool head_is_whole(const struct head *head)
{
    return head->at < head->count &&
           head->at + 1u + head->units[head->at].tail_units <= head->count;
}

/* False when it has come to its end. */
static enum status ready_head(const struct sorted *sorted, struct head *head, bool *has_more,
                              struct error *err)
{
    if (!head_is_whole(head) && (head->next < head->end || head->at < head->count)) {
        TRY(fill_head(sorted, head, err));
    }
    *has_more = head_is_whole(head);
    return OK;
}

struct merge {
    const struct sorted *sorted;
    uint32_t (*group_of)(const void *context, const struct record *record);
    const void *context;
    struct head *heads;
    uint32_t *heap, count;
};

static bool head_is_before(const struct merge *merge, uint32_t a, uint32_t b)
{
    const struct record *x = &merge->heads[a].units[merge->heads[a].at];
    const struct record *y = &merge->heads[b].units[merge->heads[b].at];
    uint32_t x_group = merge->group_of(merge->context, x);
    uint32_t y_group = merge->group_of(merge->context, y);
    if (x_group != y_group) {
        return x_group < y_group;
    }
    return is_after(y, x, merge->sorted->order);
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

static enum status run_merge(struct sorted *sorted, struct merge *merge, struct error *err)
{
    for (uint32_t i = 0; i < sorted->run_count; i++) {
        struct head *head = &merge->heads[i];
        head->next = sorted->runs[i].first;
        head->end = sorted->runs[i].end;
        bool has_more;
        TRY(ready_head(sorted, head, &has_more, err));
        assert(has_more); /* no run is empty */
        merge->heap[merge->count++] = i;
    }
    for (uint32_t i = merge->count; i-- > 0;) {
        sift(merge, i);
    }
    sorted->written = 0;
    while (merge->count > 0) {
        struct head *head = &merge->heads[merge->heap[0]];
        const struct record *record = &head->units[head->at];
        TRY(write_record(sorted, sorted->file, record, err));
        head->at += 1u + record->tail_units;
        bool has_more;
        TRY(ready_head(sorted, head, &has_more, err));
        if (!has_more) {
            merge->heap[0] = merge->heap[--merge->count];
        }
        sift(merge, 0);
    }
    return flush_writing(sorted, sorted->file, err);
}

enum status sorted_merge(struct sorted *sorted,
                         uint32_t (*group_of)(const void *context, const struct record *record),
                         const void *context, struct error *err)
{
    TRY(write_run(sorted, err));
    arena_rewind(sorted->arena, sorted->mark);
    sorted->is_merged = true;
    for (uint32_t g = 0; g < sorted->groups; g++) {
        sorted->first[g + 1] += sorted->first[g];
    }
    if (sorted->run_count == 1) {
        sorted->file = sorted->runs_file;
        sorted->runs_file = NULL;
        return OK;
    }
    struct merge merge = {.sorted = sorted, .group_of = group_of, .context = context};
    merge.heads = arena_calloc(sorted->arena, sorted->run_count + 1, sizeof *merge.heads);
    merge.heap = arena_calloc(sorted->arena, sorted->run_count + 1, sizeof *merge.heap);
    for (uint32_t i = 0; i < sorted->run_count; i++) {
        merge.heads[i].units =
            arena_alloc(sorted->arena, MERGE_BUFFER_UNITS * sizeof(struct record));
    }
    TRY(sorted->env->file_temporary(sorted->env, sorted->folder, &sorted->file, err));
    TRY(run_merge(sorted, &merge, err));
    arena_rewind(sorted->arena, sorted->mark);
    struct file *file = sorted->runs_file;
    sorted->runs_file = NULL;
    return sorted->env->file_close(sorted->env, file, err);
}

void sorted_free(struct sorted *sorted)
{
    if (sorted) {
        struct file *files[] = {sorted->file, sorted->runs_file};
        sorted->file = sorted->runs_file = NULL;
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            if (files[i]) {
                struct error ignored;
                enum status status = sorted->env->file_close(sorted->env, files[i], &ignored);
                (void)status; /* a temporary file */
            }
        }
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

void sorted_group(const struct sorted *sorted, uint32_t group, uint64_t *first, uint64_t *end)
{
    *first = sorted->first[group];
    *end = sorted->first[group + 1];
}

enum status sorted_read(const struct sorted *sorted, uint64_t at, uint64_t end, struct record *room,
                        uint32_t *units, struct error *err)
{
    uint32_t wanted = end - at < SORTED_ROOM_UNITS ? (uint32_t)(end - at) : SORTED_ROOM_UNITS;
    size_t got, size = wanted * sizeof *room;
    TRY(sorted->env->file_read_at(sorted->env, sorted->file, room, size, at * sizeof *room, &got,
                                  err));
    if (got != size) {
        return fail(err, ERR_IO, "a temporary file is shorter than it was written");
    }
    uint32_t whole = 0;
    while (whole < wanted && whole + 1u + room[whole].tail_units <= wanted) {
        whole += 1u + room[whole].tail_units;
    }
    *units = whole;
    return OK;
}
