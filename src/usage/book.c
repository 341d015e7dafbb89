/* book.c - records to usage rows, and the totals that prove that nothing is lost.
 *
 * A row's state is merged, never replaced: sums and counts add; max, min and latest keep one of two
 * under a total order; what needs its samples reads them sorted (sample.c).  So the rows are the
 * same for any order of records.
 */
#include "usage/book.h"

#include <assert.h>
#include <stdlib.h>

#include "base/sort.h"

static const uint32_t FREE = 0xFFFFFFFFu;

/* ---- totals ---------------------------------------------------------------------------------- */

void total_add(struct total *total, const struct total *other)
{
    total->count += other->count;
    wide_add(&total->sum, &other->sum);
    total->print += other->print;
    total->bound += other->bound;
}

void total_subtract(struct total *total, const struct total *other)
{
    total->count -= other->count;
    wide_subtract(&total->sum, &other->sum);
    total->print -= other->print;
    total->bound -= other->bound;
}

bool total_equal(const struct total *a, const struct total *b)
{
    return a->count == b->count && wide_equal(&a->sum, &b->sum) && a->print == b->print &&
           a->bound == b->bound;
}

/* ---- folding --------------------------------------------------------------------------------- */

void book_init(struct book *book, struct arena *arena, size_t records_expected)
{
    enum { ROWS_GUESS_MAX = 4096 };
    size_t guess = records_expected < ROWS_GUESS_MAX ? records_expected : ROWS_GUESS_MAX;
    uint32_t slot_count = 64;
    while (slot_count < guess * 2) {
        slot_count *= 2;
    }
    *book = (struct book){
        .arena = arena, .slot_mask = slot_count - 1, .reading = {.row = NONE, .level = NONE}};
    book->slots = arena_alloc(arena, slot_count * sizeof *book->slots);
    memset(book->slots, 0xFF, slot_count * sizeof *book->slots);
}

static struct usage_row *add_row(struct book *book, uint32_t account, uint32_t series,
                                 uint32_t slot_s)
{
    book->rows = arena_room(book->arena, book->rows, book->row_count, &book->row_capacity,
                            sizeof *book->rows);
    struct usage_row *row = &book->rows[book->row_count++];
    *row =
        (struct usage_row){.account = account, .series = series, .slot_s = slot_s, .value = NONE};
    return row;
}

static void put_slot(struct book *book, uint32_t row)
{
    const struct usage_row *item = &book->rows[row];
    uint64_t key = row_key(item->account, item->series, item->slot_s);
    uint32_t at = (uint32_t)(key >> 24) & book->slot_mask;
    while (book->slots[at] != FREE) {
        at = (at + 1) & book->slot_mask;
    }
    book->slots[at] = row;
}

static struct usage_row *find_row(struct book *book, uint32_t account, uint32_t series,
                                  uint32_t slot_s, uint64_t key)
{
    for (uint32_t at = (uint32_t)(key >> 24) & book->slot_mask;; at = (at + 1) & book->slot_mask) {
        uint32_t index = book->slots[at];
        if (index == FREE) {
            break;
        }
        struct usage_row *row = &book->rows[index];
        if (row->account == account && row->series == series && row->slot_s == slot_s) {
            return row;
        }
    }
    struct usage_row *row = add_row(book, account, series, slot_s);
    book->slot_count++;
    if (book->slot_count > book->slot_mask / 2 && book->slot_mask < UINT32_MAX) {
        size_t slot_count = ((size_t)book->slot_mask + 1) * 4;
        slot_count = slot_count <= UINT32_MAX ? slot_count : (size_t)UINT32_MAX + 1;
        arena_drop(book->arena, book->slots);
        book->slots = arena_alloc(book->arena, slot_count * sizeof *book->slots);
        memset(book->slots, 0xFF, slot_count * sizeof *book->slots);
        book->slot_mask = (uint32_t)(slot_count - 1);
        for (uint32_t i = 0; i < book->row_count; i++) {
            if (!book->rows[i].event) {
                put_slot(book, i);
            }
        }
    } else {
        put_slot(book, book->row_count - 1);
    }
    return row;
}

struct usage_row *book_find_row(struct book *book, uint32_t account, uint32_t series,
                                uint32_t slot_s)
{
    return find_row(book, account, series, slot_s, row_key(account, series, slot_s));
}

/* What tells one from another, as bytes. */
struct excluded_key {
    uint32_t account, reason, meter;
};

static bool is_excluded(const struct excluded *item, uint32_t account, enum exclusion reason,
                        uint32_t meter)
{
    return item->account == account && item->reason == reason && item->meter == meter;
}

struct total *exclusions_find(struct exclusions *list, struct arena *arena, uint32_t account,
                              enum exclusion reason, uint32_t meter)
{
    if (list->count > 0 && is_excluded(&list->items[list->last], account, reason, meter)) {
        return &list->items[list->last].total; /* mostly the one before */
    }
    if (!list->places.arena) {
        map_init(&list->places, arena, 8);
    }
    struct excluded_key key = {account, (uint32_t)reason, meter};
    struct map_slot *slot = map_take(&list->places, (struct text){(const char *)&key, sizeof key});
    if (slot->value != MAP_NONE) {
        list->last = slot->value;
        return &list->items[list->last].total;
    }
    slot->value = list->count;
    slot->key = text_copy(arena, slot->key);
    list->items = arena_room(arena, list->items, list->count, &list->capacity, sizeof *list->items);
    list->last = list->count++;
    list->items[list->last] =
        (struct excluded){.account = account, .reason = reason, .meter = meter};
    return &list->items[list->last].total;
}

static inline void count_record(struct total *total, const struct record *record, uint64_t key)
{
    if (record->flags & (RECORD_PIECE | RECORD_ECHO)) {
        if (record->flags & RECORD_ECHO) {
            return;
        }
        total->count--;
    }
    total->count++;
    total->print += record->print;
    total->bound += bind_event(record->print, key);
    if (record->flags & RECORD_WIDE) {
        wide_add_dec(&total->sum, record_value(record));
    } else {
        wide_add_i64(&total->sum, record->mantissa, record->scale);
    }
}

void total_count(struct total *total, const struct record *record)
{
    if (record->form != RECORD_OF_EVENT) {
        if (record->form == RECORD_TOTAL) {
            total_add(total, total_of(record));
        }
        return;
    }
    count_record(total, record, row_key(record->account, record->series, record->slot_s));
}

/* The order of latest: time, then source, then id; equal only for the same event. */
static bool is_later(const struct usage_value *value, instant at, struct text source,
                     struct text id)
{
    if (!value->has_value || value->at != at) {
        return !value->has_value || value->at < at;
    }
    int order = text_compare(value->source, source);
    return order < 0 || (order == 0 && text_compare(value->id, id) < 0);
}

struct usage_value *book_value(struct book *book, struct usage_row *row)
{
    if (row->value == NONE) {
        book->values = arena_room(book->arena, book->values, book->value_count,
                                  &book->value_capacity, sizeof *book->values);
        row->value = book->value_count++;
        book->values[row->value] = (struct usage_value){0};
    }
    return &book->values[row->value];
}

static void merge_value(struct book *book, struct usage_row *row, enum aggregate aggregate,
                        struct dec value, instant at, struct text source, struct text id)
{
    struct usage_value *state = book_value(book, row);
    if (aggregate == AGGREGATE_MAX || aggregate == AGGREGATE_MIN) {
        int order = state->has_value ? dec_compare(value, state->value) : 0;
        if (!state->has_value || (aggregate == AGGREGATE_MAX ? order > 0 : order < 0)) {
            state->value = value;
            state->has_value = true;
        }
    } else if (aggregate == AGGREGATE_LATEST && is_later(state, at, source, id)) {
        state->value = value;
        state->at = at;
        /* How many are copied before the latest comes depends on the order of records. */
        const size_t charged = book->arena->charged_bytes;
        state->source = text_copy(book->arena, source);
        state->id = text_copy(book->arena, id);
        arena_uncharge(book->arena, charged);
        state->has_value = true;
    }
}

static void merge_record(struct book *book, struct usage_row *row, enum aggregate aggregate,
                         const struct record *record)
{
    bool has_tail = record->flags & RECORD_TAIL;
    const struct record_tail *tail = tail_of(record);
    merge_value(book, row, aggregate, record_value(record), has_tail ? tail->at : 0,
                has_tail ? tail_source(tail) : TEXT(""), has_tail ? tail_id(tail) : TEXT(""));
}

/* A row of its own for one event; dedup has seen to it that it comes once. */
static struct usage_row *add_event_row(struct book *book, const struct record *record)
{
    const struct record_tail *tail = tail_of(record);
    struct event_name *event = arena_alloc(book->arena, sizeof *event);
    *event = (struct event_name){tail->at, text_copy(book->arena, tail_source(tail)),
                                 text_copy(book->arena, tail_id(tail))};
    struct usage_row *row = add_row(book, record->account, record->series, record->slot_s);
    row->event = event;
    book->has_events = true;
    return row;
}

/* What is billed already makes no usage, but a row. */
static void fold_carried(struct book *book, const struct record *record)
{
    struct usage_row *row = book_find_row(book, record->account, record->series, record->slot_s);
    struct usage_value *value = book_value(book, row);
    value->carried_count += record_count(record);
    wide_add_dec(&value->carried_sum, record_value(record)); /* of an average; unused else */
}

/* A gauge that another payer's account had when a turn of this one began. */
static void fold_echo(struct book *book, const struct record *record,
                      const struct series_table *series, const struct catalog *catalog)
{
    const struct meter *meter = &catalog->meters[series_at(series, record->series)->meter];
    if (meter->aggregate == AGGREGATE_LATEST) {
        const struct record_tail *tail = tail_of(record);
        struct meter_state state = {.account = record->account,
                                    .series = record->series,
                                    .value = record_value(record),
                                    .at = tail->at,
                                    .source = tail_source(tail),
                                    .id = tail_id(tail)};
        book_carry(book, &state, record->slot_s, true, true, series);
    }
}

void book_fold(struct book *book, const struct record *record, const struct series_table *series,
               const struct catalog *catalog)
{
    if (record->flags & RECORD_CARRIED) {
        fold_carried(book, record);
    }
    if (record->flags & RECORD_ECHO) {
        if (!(record->flags & RECORD_EXCLUDED)) { /* not withdrawn */
            fold_echo(book, record, series, catalog);
        }
        return;
    }
    if (record->form == RECORD_SAMPLE) {
        return;
    }
    uint64_t key = row_key(record->account, record->series, record->slot_s);
    const struct series *item = NULL;
    struct usage_row *row = NULL;
    struct total *total;
    if (record->flags & RECORD_EXCLUDED) {
        total = exclusions_find(&book->excluded, book->arena, record->account,
                                record_exclusion(record), record_excluded_meter(record));
    } else {
        item = series_at(series, record->series);
        row = item->grain == GRAIN_EVENT
                  ? add_event_row(book, record)
                  : find_row(book, record->account, record->series, record->slot_s, key);
        total = &row->total;
    }
    if (record->form == RECORD_TOTAL) {
        total_add(total, total_of(record));
        return;
    }
    count_record(total, record, key);
    if (row && aggregate_picks(item->aggregate)) {
        merge_record(book, row, item->aggregate, record);
    }
}

void book_add_state(struct book *book, struct meter_states *states, const struct meter_state *state)
{
    states->items = arena_room(book->arena, states->items, states->count, &states->capacity,
                               sizeof *states->items);
    states->items[states->count++] = *state;
}

struct level *book_add_level(struct book *book)
{
    book->levels = arena_room(book->arena, book->levels, book->level_count, &book->level_capacity,
                              sizeof *book->levels);
    return &book->levels[book->level_count++];
}

void book_carry(struct book *book, const struct meter_state *state, uint32_t slot_s, bool is_paid,
                bool begins_turn, const struct series_table *table)
{
    const struct meter *meter = &table->catalog->meters[series_at(table, state->series)->meter];
    if (meter->aggregate == AGGREGATE_TIME_WEIGHTED) {
        if (meter->carry || !begins_turn) {
            book_add_state(book, &book->told, state);
        }
        return;
    }
    if (begins_turn && !meter->carry) {
        return;
    }
    if (!is_paid || (!begins_turn && !state->is_open)) {
        book_add_state(book, &book->kept, state);
        return;
    }
    struct usage_row *row = book_find_row(book, state->account, state->series, slot_s);
    struct usage_value *value = book_value(book, row);
    value->carried = true;
    value->billed = begins_turn ? DEC_ZERO : state->value;
    merge_value(book, row, meter->aggregate, state->value, state->at, state->source, state->id);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Of rows at one instant, of one account. */
static int compare_tied(const void *a_row, const void *b_row)
{
    const struct usage_row *a = *(const struct usage_row *const *)a_row;
    const struct usage_row *b = *(const struct usage_row *const *)b_row;
    if (a->rank != b->rank || !a->event || !b->event) {
        return a->rank < b->rank ? -1 : a->rank > b->rank;
    }
    int order = text_compare(a->event->source, b->event->source);
    return order ? order : text_compare(a->event->id, b->event->id);
}

/* Where rows are of single events, keys hold time and account: those that share both come here. */
static void sort_ties(struct book *book, struct sort_key *keys)
{
    const struct usage_row **tied = NULL;
    for (uint32_t first = 0, end; first < book->row_count; first = end) {
        for (end = first + 1; end < book->row_count && keys[end].high == keys[first].high &&
                              keys[end].low >> 32 == keys[first].low >> 32;) {
            end++;
        }
        if (end - first == 1) {
            continue;
        }
        if (!tied) {
            tied = arena_alloc(book->arena, (book->row_count - first) * sizeof *tied);
        }
        for (uint32_t i = first; i < end; i++) {
            tied[i - first] = &book->rows[(uint32_t)keys[i].low];
        }
        qsort(tied, end - first, sizeof *tied, compare_tied);
        for (uint32_t i = first; i < end; i++) {
            keys[i].low = (uint64_t)(tied[i - first] - book->rows);
        }
    }
}

/* Puts each row where its key is, in place: there may be millions.  What a key has in its last bits
 * is gone then. */
static void permute_rows(struct usage_row *rows, struct sort_key *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t from = (uint32_t)keys[i].low;
        if (from == i) {
            continue;
        }
        const struct usage_row first = rows[i];
        uint32_t to = i;
        for (; from != i; from = (uint32_t)keys[to].low) { /* along a cycle */
            rows[to] = rows[from];
            keys[to].low = to;
            to = from;
        }
        rows[to] = first;
        keys[to].low = to;
    }
}

/* Slot, account, rank and index of each are in its key; of a book with rows of single events, whose
 * times are finer, time, account and index. */
static void sort_rows(struct book *book, instant base)
{
    const struct arena_mark mark = arena_mark(book->arena);
    struct sort_key *keys = arena_alloc(book->arena, (book->row_count + 1) * sizeof *keys);
    for (uint32_t i = 0; i < book->row_count; i++) {
        const struct usage_row *row = &book->rows[i];
        uint64_t account = row->account;
        keys[i] = book->has_events
                      ? (struct sort_key){(uint64_t)(row_at(row, base) - base), account << 32 | i}
                      : (struct sort_key){(uint64_t)row->slot_s << 32 | account,
                                          (uint64_t)row->rank << 32 | i};
    }
    bool moved = sort_keys(book->arena, keys, book->row_count);
    if (book->has_events) {
        sort_ties(book, keys);
        moved = true;
    }
    if (moved) {
        permute_rows(book->rows, keys, book->row_count);
    }
    arena_rewind(book->arena, mark);
}

static int compare_excluded(const void *a_item, const void *b_item)
{
    const struct excluded *a = a_item, *b = b_item;
    if (a->account != b->account) {
        return a->account < b->account ? -1 : 1;
    }
    if (a->reason != b->reason) {
        return a->reason < b->reason ? -1 : 1;
    }
    return a->meter < b->meter ? -1 : a->meter > b->meter;
}

void exclusions_sort(struct exclusions *list)
{
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof *list->items, compare_excluded);
    }
}

static enum status divide_sum(const struct wide *wide, uint64_t count, struct dec *quantity,
                              struct error *err)
{
    struct dec sum;
    TRY(wide_read(wide, &sum, err));
    return dec_divide(sum, dec_from_int((int64_t)count), DEC_SCALE, ROUND_HALF_EVEN, quantity, err);
}

/* What the average has changed by since a bill of an earlier part of the slot. */
static enum status read_average(const struct total *total, const struct usage_value *value,
                                struct dec *quantity, struct error *err)
{
    if (!value || value->carried_count == 0) {
        return divide_sum(&total->sum, total->count, quantity, err);
    }
    struct wide sum = total->sum;
    struct dec all, billed;
    wide_add(&sum, &value->carried_sum);
    TRY(divide_sum(&sum, total->count + value->carried_count, &all, err));
    TRY(divide_sum(&value->carried_sum, value->carried_count, &billed, err));
    return dec_subtract(all, billed, quantity, err);
}

static enum status read_quantity(const struct book *book, struct usage_row *row,
                                 enum aggregate aggregate, struct error *err)
{
    const struct usage_value *value = row->value == NONE ? NULL : &book->values[row->value];
    switch (aggregate) {
    case AGGREGATE_COUNT:
        row->quantity = dec_from_int((int64_t)row->total.count);
        return OK;
    case AGGREGATE_SUM:
        return wide_read(&row->total.sum, &row->quantity, err);
    case AGGREGATE_MAX:
    case AGGREGATE_MIN:
    case AGGREGATE_LATEST:
        return dec_subtract(value->value, value->billed, &row->quantity, err);
    case AGGREGATE_AVERAGE:
        return read_average(&row->total, value, &row->quantity, err);
    case AGGREGATE_UNIQUE:
    case AGGREGATE_PERCENTILE:
        assert(value && value->has_value); /* its samples were read */
        return dec_subtract(value->value, value->billed, &row->quantity, err);
    case AGGREGATE_TIME_WEIGHTED:
        row->quantity = DEC_ZERO;
        return value
                   ? exact_round(&value->integral, DEC_SCALE, ROUND_HALF_EVEN, &row->quantity, err)
                   : OK;
    }
    return OK;
}

static instant row_end(const struct book_view *view, const struct usage_row *row,
                       const struct series *series)
{
    instant start = view->base + (instant)row->slot_s * NS_PER_SECOND;
    if (!view->steady || view->steady[row->account] == NONE) {
        return slot_end(view->catalog, view->accounts, row->account, series, view->cut, start);
    }
    instant hour_end = start - start % NS_PER_HOUR + NS_PER_HOUR;
    return series->grain == GRAIN_MONTH || hour_end > view->cut.to ? view->cut.to : hour_end;
}

enum status book_close(struct book *book, const struct book_view *view, struct error *err)
{
    for (uint32_t i = 0; i < book->row_count; i++) {
        struct usage_row *row = &book->rows[i];
        const struct series *item = series_at(view->series, row->series);
        row->rank = item->rank;
        row->to = row_end(view, row, item);
        if (read_quantity(book, row, item->aggregate, NULL) != OK) {
            const struct meter *meter = &view->catalog->meters[item->meter];
            (void)fail(
                err, ERR_OVERFLOW,
                "AGG_OVERFLOW: the %s of meter %.*s for account %.*s has more than 38 digits",
                meter->aggregate == AGGREGATE_SUM ? "sum" : "value", TEXT_ARG(meter->name),
                TEXT_ARG(view->accounts->items[row->account].id));
            return fail_hint(err, "measure in a larger unit, or split the usage by a dimension");
        }
    }
    arena_drop(book->arena, book->slots); /* no row is looked for any more */
    book->slots = NULL;
    book->rows =
        arena_fit(book->arena, book->rows, book->row_capacity, book->row_count, sizeof *book->rows);
    sort_rows(book, view->base);
    exclusions_sort(&book->excluded);
    return OK;
}

void book_totals(const struct book *book, const struct series_table *series, struct total *totals,
                 uint32_t meter_count)
{
    for (uint32_t i = 0; i < book->row_count; i++) {
        const struct usage_row *row = &book->rows[i];
        total_add(&totals[series_at(series, row->series)->meter], &row->total);
    }
    for (uint32_t i = 0; i < book->excluded.count; i++) {
        const struct excluded *item = &book->excluded.items[i];
        total_add(&totals[item->meter == NONE ? meter_count : item->meter], &item->total);
    }
}

/* A state with where it stands: rows by slot, kept ones before all rows. */
struct standing {
    struct meter_state state;
    uint32_t rank;
    int64_t slot_s;
};

/* By (account, series), then when it is told, the last slot first.  Of states that are kept for
 * another payer, from whom several have had the account, the latest first. */
static int compare_standing(const void *a_item, const void *b_item)
{
    const struct standing *a = a_item, *b = b_item;
    if (a->state.account != b->state.account) {
        return a->state.account < b->state.account ? -1 : 1;
    }
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    if (a->state.told != b->state.told) {
        return a->state.told < b->state.told ? -1 : 1;
    }
    if (a->slot_s != b->slot_s) {
        return a->slot_s > b->slot_s ? -1 : 1;
    }
    if (a->state.at != b->state.at) {
        return a->state.at > b->state.at ? -1 : 1;
    }
    int order = text_compare(b->state.source, a->state.source);
    return order ? order : text_compare(b->state.id, a->state.id);
}

/* True when only the cut ends the row's slot. */
static bool is_open(const struct usage_row *row, const struct book_view *view, instant turn_to)
{
    instant start = view->base + (instant)row->slot_s * NS_PER_SECOND;
    struct period whole = {view->cut.from, turn_to};
    return turn_to > view->cut.to &&
           slot_end(view->catalog, view->accounts, row->account,
                    series_at(view->series, row->series), whole, start) > view->cut.to;
}

static const struct meter *meter_of(const struct book_view *view, uint32_t series)
{
    return &view->catalog->meters[series_at(view->series, series)->meter];
}

bool book_row_is_cut(const struct book *book, const struct book_view *view, instant turn_to,
                     uint32_t row)
{
    const struct usage_row *item = &book->rows[row];
    enum aggregate aggregate = meter_of(view, item->series)->aggregate;
    return turn_to > view->cut.to &&
           (aggregate == AGGREGATE_AVERAGE || aggregate == AGGREGATE_UNIQUE ||
            aggregate == AGGREGATE_PERCENTILE) &&
           is_open(item, view, turn_to);
}

/* Whether the level goes on, and where it stands then. */
static bool stand_level(const struct book_view *view, const struct meter_state *state,
                        instant turn_to, struct standing *out)
{
    *out = (struct standing){*state, series_at(view->series, state->series)->rank, -1};
    out->state.is_open = turn_to > view->cut.to;
    return out->state.is_open || meter_of(view, state->series)->carry;
}

/* The greatest or least of several is what goes on, of whatever slot: it never falls, or rises.
 * Where the first is of a slot that goes on in the next cut, what is better than that is a state
 * beside it, which waits until a turn begins. */
static uint32_t add_extreme(const struct standing *items, uint32_t count, bool is_max,
                            struct meter_state *states)
{
    const struct meter_state *best = &items[0].state;
    for (uint32_t i = 1; i < count; i++) {
        const int order = dec_compare(items[i].state.value, best->value);
        best = (is_max ? order > 0 : order < 0) ? &items[i].state : best;
    }
    states[0] = items[0].state;
    const bool is_beside = states[0].is_open && best != &items[0].state;
    states[is_beside] = *best;
    states[is_beside].is_open = best == &items[0].state && best->is_open;
    return 1u + is_beside;
}

/* All that may go on, in no order. */
static struct standing *gather_standing(struct arena *arena, const struct book *book,
                                        const struct book_view *view, instant turn_to,
                                        bool with_all, uint32_t *standing_count)
{
    struct standing *items = NULL;
    uint32_t count = 0;
    const uint32_t others =
        book->kept.count + book->level_count + book->left.count + book->lent.count;
    for (uint32_t i = 0; i < book->row_count; i++) {
        const struct usage_row *row = &book->rows[i];
        const struct meter *meter = meter_of(view, row->series);
        if (row->value == NONE || !book->values[row->value].has_value ||
            !aggregate_picks(meter->aggregate)) {
            continue;
        }
        const struct usage_value *value = &book->values[row->value];
        bool open = is_open(row, view, turn_to);
        if (!meter->carry && !open) {
            continue;
        }
        if (!items) {
            items = arena_alloc(arena, (book->row_count - i + others) * sizeof *items);
        }
        items[count++] = (struct standing){{row->account, row->series, value->value, value->at,
                                            view->cut.to, value->source, value->id, open, false},
                                           row->rank,
                                           row->slot_s};
    }
    if (!items && others > 0) {
        items = arena_alloc(arena, others * sizeof *items);
    }
    for (uint32_t i = 0; i < book->level_count; i++) {
        const struct level *level = &book->levels[i];
        if ((with_all || level->is_with) && !dec_is_zero(level->state.value)) {
            count += stand_level(view, &level->state, turn_to, &items[count]);
        }
    }
    for (uint32_t i = 0; !with_all && i < book->left.count; i++) {
        count += stand_level(view, &book->left.items[i], turn_to, &items[count]);
    }
    for (uint32_t i = 0; !with_all && i < book->lent.count; i++) {
        const struct meter_state *lent = &book->lent.items[i];
        if (meter_of(view, lent->series)->carry) {
            items[count++] =
                (struct standing){*lent, series_at(view->series, lent->series)->rank, -1};
        }
    }
    for (uint32_t i = 0; i < book->kept.count; i++) {
        struct meter_state state = book->kept.items[i];
        state.told = view->cut.to;
        items[count++] = (struct standing){state, series_at(view->series, state.series)->rank, -1};
    }
    *standing_count = count;
    return items;
}

uint32_t book_states(struct arena *arena, const struct book *book, const struct book_view *view,
                     instant turn_to, bool with_all, struct meter_state **out)
{
    uint32_t count, made = 0;
    struct standing *items = gather_standing(arena, book, view, turn_to, with_all, &count);
    *out = NULL;
    if (count == 0) {
        return 0;
    }
    qsort(items, count, sizeof *items, compare_standing);
    struct meter_state *states = arena_alloc(arena, count * sizeof *states);
    for (uint32_t i = 0, end; i < count; i = end) {
        const struct standing *first = &items[i];
        for (end = i + 1; end < count && items[end].state.account == first->state.account &&
                          items[end].rank == first->rank &&
                          items[end].state.told == first->state.told;) {
            end++;
        }
        const struct meter *meter = meter_of(view, first->state.series);
        if (meter->carry &&
            (meter->aggregate == AGGREGATE_MAX || meter->aggregate == AGGREGATE_MIN)) {
            made += add_extreme(first, end - i, meter->aggregate == AGGREGATE_MAX, &states[made]);
        } else {
            states[made++] = first->state;
        }
    }
    *out = states;
    return made;
}
