/* sample.c - meters that one number cannot hold: percentile, unique, time_weighted.
 *
 * Their state is the sorted sequence of their samples, as a multiset: sequences of parts merge to
 * that of the whole, in any order and grouping, and it may lie on disk.  It is read once, from its
 * beginning, without being held:
 *
 *     percentile      the wanted sample, counted from the least: how many there are is in the total
 *     unique          how often the key differs from the one before
 *     time_weighted   level x seconds from each change to the next, cut at the edges of slots
 */
#include <stdlib.h>

#include "usage/book.h"

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

bool record_is_sample(const struct record *record, const struct series_table *series,
                      const struct catalog *catalog)
{
    return !(record->flags & RECORD_EXCLUDED) && record->form != RECORD_TOTAL &&
           aggregate_is_sampled(
               catalog->meters[series_at(series, record->series)->meter].aggregate);
}

static int compare_keys(const struct record *a, const struct record *b)
{
    int order = text_compare(tail_source(tail_of(a)), tail_source(tail_of(b)));
    return order ? order : text_compare(tail_id(tail_of(a)), tail_id(tail_of(b)));
}

static int compare_values(const struct record *a, const struct record *b)
{
    if (a->scale == b->scale && !((a->flags | b->flags) & RECORD_WIDE)) {
        return (a->mantissa > b->mantissa) - (a->mantissa < b->mantissa);
    }
    return dec_compare(record_value(a), record_value(b));
}

int record_compare(const struct record *a, const struct record *b,
                   const struct series_table *series, const struct catalog *catalog)
{
    bool is_excluded = a->flags & RECORD_EXCLUDED;
    if (is_excluded != (bool)(b->flags & RECORD_EXCLUDED)) {
        return is_excluded ? 1 : -1;
    }
    int order = compare_numbers(a->account, b->account);
    order = order ? order : compare_numbers(a->series, b->series);
    order = order ? order : compare_numbers(a->slot_s, b->slot_s);
    if (order || is_excluded) {
        return order;
    }
    if (a->form == RECORD_TOTAL || b->form == RECORD_TOTAL) {
        return (a->form == RECORD_TOTAL) - (b->form == RECORD_TOTAL);
    }
    bool is_carried = a->flags & RECORD_CARRIED;
    int tie = (bool)(b->flags & RECORD_CARRIED) - (int)is_carried;
    switch (catalog->meters[series_at(series, a->series)->meter].aggregate) {
    case AGGREGATE_PERCENTILE:
        order = compare_values(a, b);
        return order ? order : tie;
    case AGGREGATE_UNIQUE:
        order = compare_keys(a, b);
        return order ? order : tie;
    case AGGREGATE_TIME_WEIGHTED:
        if (tail_of(a)->at != tail_of(b)->at) {
            return tail_of(a)->at < tail_of(b)->at ? -1 : 1;
        }
        return compare_keys(a, b);
    default:
        return 0;
    }
}

struct dec record_value(const struct record *record)
{
    bool is_wide = record->flags & RECORD_WIDE;
    return (struct dec){is_wide ? *(const i128 *)(const void *)(record + 1) : record->mantissa,
                        record->scale};
}

struct text record_key(const struct record *record)
{
    return tail_source(tail_of(record));
}

uint64_t record_count(const struct record *record)
{
    return record->form == RECORD_SAMPLE ? record->print : 1;
}

bool record_same_row(const struct record *a, const struct record *b)
{
    return a->account == b->account && a->series == b->series && a->slot_s == b->slot_s;
}

void record_to_sample(struct record *record)
{
    if (record->form != RECORD_OF_EVENT) {
        return;
    }
    record->form = RECORD_SAMPLE;
    record->print = 1;
    record->flags &= RECORD_TAIL | RECORD_WIDE;
}

/* Changes at one instant are one change, if the sum is as simple as they are.  A value is
 * canonical, so that what is said of it does not depend on which have met. */
static bool join_changes(const struct record *first, struct record *second)
{
    int64_t sum;
    if (((first->flags | second->flags) & RECORD_WIDE) || first->scale != second->scale ||
        __builtin_add_overflow(first->mantissa, second->mantissa, &sum)) {
        return false;
    }
    while (second->scale > 0 && sum % 10 == 0) {
        sum /= 10;
        second->scale--;
    }
    second->mantissa = sum;
    return true;
}

enum record_joint record_join(struct record *first, struct record *second,
                              const struct series_table *series, const struct catalog *catalog)
{
    if (first->form == RECORD_OF_EVENT || first->form != second->form ||
        !record_same_row(first, second)) {
        return RECORDS_APART;
    }
    if (first->form == RECORD_TOTAL) {
        struct total *total = (struct total *)(void *)(first + 1);
        total_add(total, total_of(second));
        return RECORDS_KEPT;
    }
    const struct meter *meter = &catalog->meters[series_at(series, first->series)->meter];
    if (meter->aggregate == AGGREGATE_TIME_WEIGHTED) {
        bool is_one = tail_of(first)->at == tail_of(second)->at &&
                      (meter->states_level || join_changes(first, second));
        return is_one ? RECORDS_TAKEN : RECORDS_APART;
    }
    if (!aggregate_is_sampled(meter->aggregate) ||
        record_compare(first, second, series, catalog) != 0) {
        return RECORDS_APART;
    }
    first->print += second->print;
    return RECORDS_KEPT;
}

/* ---- percentile and unique ------------------------------------------------------------------- */

/* The least whole number that is not below percent of count. */
static enum status find_wanted(struct dec percent, uint64_t count, uint64_t *wanted,
                               struct error *err)
{
    struct dec product, whole;
    TRY(dec_multiply(percent, dec_from_int((int64_t)count), &product, err));
    TRY(dec_make(product.mantissa, product.scale + 2, &product, err));
    TRY(dec_round(product, 0, ROUND_CEILING, &whole, err));
    *wanted = (uint64_t)whole.mantissa;
    return OK;
}

static enum status begin_row(struct book *book, const struct meter *meter,
                             const struct record *record, uint64_t place, struct error *err)
{
    struct sample_reading *reading = &book->reading;
    struct usage_row *row = book_find_row(book, record->account, record->series, record->slot_s);
    reading->row = (uint32_t)(row - book->rows);
    reading->seen = reading->seen_carried = 0;
    struct usage_value *value = book_value(book, row);
    value->has_value = true;
    value->value = value->billed = DEC_ZERO;
    value->place = place;
    if (meter->aggregate != AGGREGATE_PERCENTILE) {
        return OK;
    }
    TRY(find_wanted(meter->percentile, value->carried_count, &reading->wanted_carried, err));
    return find_wanted(meter->percentile, row->total.count + value->carried_count, &reading->wanted,
                       err);
}

/* True when the wanted one, counted from 1, is among so many more; *seen moves on. */
static bool passes(uint64_t *seen, uint64_t count, uint64_t wanted)
{
    uint64_t before = *seen;
    *seen += count;
    return before < wanted && wanted <= *seen;
}

static void keep_text(struct book *book, struct buffer *buffer, struct text text)
{
    if (!buffer->arena) {
        buffer_init(buffer, book->arena, 64);
    }
    buffer->size = 0;
    buffer_add_text(buffer, text);
}

static enum status read_sample(struct book *book, const struct meter *meter,
                               const struct record *record, uint64_t place, struct error *err)
{
    struct sample_reading *reading = &book->reading;
    const struct usage_row *row = reading->row == NONE ? NULL : &book->rows[reading->row];
    if (!row || row->account != record->account || row->series != record->series ||
        row->slot_s != record->slot_s) {
        TRY(begin_row(book, meter, record, place, err));
        row = &book->rows[reading->row];
    }
    bool is_carried = record->flags & RECORD_CARRIED;
    struct usage_value *value = &book->values[row->value];
    if (meter->aggregate == AGGREGATE_PERCENTILE) {
        uint64_t count = record_count(record);
        if (passes(&reading->seen, count, reading->wanted)) {
            value->value = record_value(record);
        }
        if (is_carried && passes(&reading->seen_carried, count, reading->wanted_carried)) {
            value->billed = record_value(record);
        }
        return OK;
    }
    struct text key = record_key(record);
    if (reading->seen++ > 0 && text_equal(buffer_text(&reading->key), key)) {
        return OK;
    }
    keep_text(book, &reading->key, key);
    if (is_carried) { /* of equal ones the first */
        TRY(dec_add(value->billed, dec_from_int(1), &value->billed, err));
    }
    return dec_add(value->value, dec_from_int(1), &value->value, err);
}

/* ---- levels ---------------------------------------------------------------------------------- */

static int compare_told(const void *a_item, const void *b_item)
{
    const struct meter_state *a = a_item, *b = b_item;
    int order = compare_numbers(a->account, b->account);
    order = order ? order : compare_numbers(a->series, b->series);
    if (order || a->told != b->told) {
        return order ? order : a->told < b->told ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

/* Adds what the level makes from where it stands to an instant, slot by slot.  It counts while the
 * account is the payer's. */
static enum status advance(struct book *book, const struct book_view *view, struct level *level,
                           instant to, struct error *err)
{
    struct sample_reading *reading = &book->reading;
    uint32_t account = level->state.account, series = level->state.series;
    const struct series *item = series_at(view->series, series);
    while (level->since < to && !dec_is_zero(level->state.value)) {
        instant at = level->since;
        if (!period_has(reading->slot, at)) {
            instant start = slot_start(view->catalog, view->accounts, account, item, view->cut, at);
            reading->slot = (struct period){
                start, slot_end(view->catalog, view->accounts, account, item, view->cut, start)};
            reading->is_paid =
                accounts_is_paid_by(view->accounts, view->catalog, account, view->payer, start);
        }
        instant end = reading->slot.to < to ? reading->slot.to : to;
        if (reading->is_paid) {
            struct usage_row *row =
                book_find_row(book, account, series,
                              (uint32_t)((reading->slot.from - view->base) / NS_PER_SECOND));
            struct dec seconds;
            TRY(dec_make(end - at, 9, &seconds, err));
            TRY(exact_add_product(&book_value(book, row)->integral, level->state.value, seconds,
                                  err));
        }
        level->since = end;
    }
    level->since = level->since < to ? to : level->since;
    return OK;
}

static void find_payer(const struct book_view *view, struct level *level, instant at)
{
    const uint32_t account = level->state.account;
    level->is_with = accounts_is_paid_by(view->accounts, view->catalog, account, view->payer, at);
    (void)accounts_edge(view->accounts, view->catalog, account, at, &level->with_to);
}

static void keep_name(struct book *book, struct level *level)
{
    struct sample_reading *reading = &book->reading;
    if (reading->source.size > 0) {
        level->state.source = text_copy(book->arena, buffer_text(&reading->source));
        level->state.id = text_copy(book->arena, buffer_text(&reading->id));
        reading->source.size = 0;
    }
}

/* Goes on to an instant, and notes what the level is as its account leaves the payer. */
static enum status pass(struct book *book, const struct book_view *view, struct level *level,
                        instant to, struct error *err)
{
    while (level->with_to <= to && level->with_to < INSTANT_MAX) { /* a bill may end there */
        const instant edge = level->with_to;
        const bool was_with = level->is_with;
        find_payer(view, level, edge);
        level->is_with &= was_with || edge < view->cut.to;
        if (was_with && !level->is_with) {
            keep_name(book, level);
            level->state.told = edge;
            book_add_state(book, &book->left, &level->state);
        }
    }
    return advance(book, view, level, to, err);
}

/* The same, and notes what the level was as bills of other turns began, before it changed. */
static enum status go_on(struct book *book, const struct book_view *view, struct level *level,
                         instant to, struct error *err)
{
    const instant at = view->lends_at;
    if (at > 0 && !level->is_lent && at <= to) {
        TRY(pass(book, view, level, at, err));
        level->is_lent = true;
        if (level->is_with && !dec_is_zero(level->state.value)) {
            keep_name(book, level);
            struct meter_state lent = level->state;
            lent.told = at;
            lent.is_lent = true;
            book_add_state(book, &book->lent, &lent);
        }
    }
    return pass(book, view, level, to, err);
}

/* Takes the states that are told of the level up to an instant. */
static enum status take_told(struct book *book, const struct book_view *view, struct level *level,
                             instant to, struct error *err)
{
    struct sample_reading *reading = &book->reading;
    while (reading->told < book->told.count) {
        const struct meter_state *told = &book->told.items[reading->told];
        if (told->account != level->state.account || told->series != level->state.series ||
            told->told > to) {
            break;
        }
        TRY(go_on(book, view, level, told->told, err));
        level->state = *told;
        reading->source.size = 0;
        reading->told++;
    }
    return OK;
}

static enum status finish_level(struct book *book, const struct book_view *view, struct error *err)
{
    struct sample_reading *reading = &book->reading;
    if (reading->level == NONE) {
        return OK;
    }
    struct level *level = &book->levels[reading->level];
    TRY(take_told(book, view, level, view->cut.to, err));
    TRY(go_on(book, view, level, view->cut.to, err));
    keep_name(book, level);
    struct meter_states *lent = &book->lent;
    if (lent->count > 0 && lent->items[lent->count - 1].account == level->state.account &&
        lent->items[lent->count - 1].series == level->state.series &&
        level->state.at < view->lends_at) {
        lent->count--; /* it has not changed since: what is told at the end says so */
    }
    level->state.told = level->is_with ? view->cut.to : level->state.told;
    if (level->is_with && dec_is_zero(level->state.value) && level->state.at >= view->cut.from &&
        level->with_to < INSTANT_MAX) {
        book_add_state(book, &book->left, &level->state);
    }
    reading->level = NONE;
    return OK;
}

static void begin_level(struct book *book, const struct book_view *view, uint32_t account,
                        uint32_t series)
{
    struct sample_reading *reading = &book->reading;
    struct level *level = book_add_level(book);
    *level = (struct level){.state = {.account = account, .series = series, .told = INSTANT_MIN},
                            .since = view->cut.from};
    find_payer(view, level, view->cut.from);
    reading->level = (uint32_t)(level - book->levels);
    reading->slot = (struct period){0, 0};
    reading->source.size = 0;
}

/* Levels that are told and do not change, up to an account and series. */
static enum status read_told(struct book *book, const struct book_view *view, uint32_t account,
                             uint32_t series, struct error *err)
{
    TRY(finish_level(book, view, err));
    while (book->reading.told < book->told.count) {
        const struct meter_state *told = &book->told.items[book->reading.told];
        if (told->account > account || (told->account == account && told->series >= series)) {
            break;
        }
        begin_level(book, view, told->account, told->series);
        TRY(finish_level(book, view, err));
    }
    return OK;
}

static enum status read_level(struct book *book, const struct book_view *view,
                              const struct meter *meter, const struct record *record,
                              struct error *err)
{
    struct sample_reading *reading = &book->reading;
    struct level *level = reading->level == NONE ? NULL : &book->levels[reading->level];
    if (!level || level->state.account != record->account ||
        level->state.series != record->series) {
        TRY(read_told(book, view, record->account, record->series, err));
        begin_level(book, view, record->account, record->series);
        level = &book->levels[reading->level];
    }
    const struct record_tail *tail = tail_of(record);
    if (tail->at < view->cut.from && !meter->carry) {
        return OK; /* of another payer, before this one's turn began */
    }
    TRY(take_told(book, view, level, tail->at, err));
    TRY(go_on(book, view, level, tail->at, err));
    level->state.at = tail->at;
    keep_text(book, &reading->source, tail_source(tail));
    keep_text(book, &reading->id, tail_id(tail));
    if (meter->states_level) {
        level->state.value = record_value(record);
        return OK;
    }
    return dec_add(level->state.value, record_value(record), &level->state.value, err);
}

/* ---- all ------------------------------------------------------------------------------------- */

static enum status fail_range(const struct book_view *view, uint32_t account, uint32_t meter,
                              struct error *err)
{
    (void)fail(err, ERR_OVERFLOW,
               "AGG_OVERFLOW: the value of meter %.*s for account %.*s has more than 38 digits",
               TEXT_ARG(view->catalog->meters[meter].name),
               TEXT_ARG(view->accounts->items[account].id));
    return fail_hint(err, "measure in a larger unit, or split the usage by a dimension");
}

static void sort_told(struct book *book)
{
    if (!book->reading.is_begun) {
        book->reading.is_begun = true;
        if (book->told.count > 1) {
            qsort(book->told.items, book->told.count, sizeof *book->told.items, compare_told);
        }
    }
}

enum status book_sample(struct book *book, const struct book_view *view,
                        const struct record *record, uint64_t place, struct error *err)
{
    uint32_t index = series_at(view->series, record->series)->meter;
    const struct meter *meter = &view->catalog->meters[index];
    sort_told(book);
    enum status status = meter->aggregate == AGGREGATE_TIME_WEIGHTED
                             ? read_level(book, view, meter, record, NULL)
                             : read_sample(book, meter, record, place, NULL);
    return status == OK ? OK : fail_range(view, record->account, index, err);
}

enum status book_samples_end(struct book *book, const struct book_view *view, struct error *err)
{
    sort_told(book);
    if (read_told(book, view, NONE, NONE, NULL) == OK) {
        return OK;
    }
    const struct meter_state *state = &book->levels[book->reading.level].state;
    return fail_range(view, state->account, series_at(view->series, state->series)->meter, err);
}
