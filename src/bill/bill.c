/* bill.c - see bill.h.  Charges are grouped by sorting: equal keys are neighbours, and the order of
 * the keys is the order of the lines. */
#include "bill/bill.h"

#include "base/bytes.h"
#include "base/sort.h"
#include "price/line_key.h"

#include <assert.h>
#include <stdlib.h>

#include "base/nofloat.h"

/* ---- a charge's line ------------------------------------------------------------------------- */

struct text bill_encode(struct arena *arena, struct text text)
{
    return line_encode(arena, text);
}

struct text bill_dimensions(struct arena *arena, const struct catalog *catalog,
                            const struct series *series)
{
    return line_series_dimensions(arena, catalog, series);
}

struct text bill_event(struct arena *arena, const struct event_name *event)
{
    return line_event(arena, event);
}

struct text bill_contract(const struct catalog *catalog, const struct accounts *accounts,
                          uint32_t payer)
{
    uint32_t view = payer == NONE ? NONE : accounts_view(accounts, payer);
    return view == NONE ? TEXT("") : catalog->contracts[accounts->views[view].contract].id;
}

/* Each component of a price has the row; its events are counted on the line of the first. */
static inline uint64_t events_of(const struct charge *charge)
{
    return charge->is_copy ? 0 : charge->events;
}

static void fill_line(struct arena *arena, const struct pricing *pricing,
                      const struct charge *charge, struct line *line)
{
    const struct catalog *catalog = pricing->catalog;
    const struct sku *sku = charge->sku == NONE ? NULL : &catalog->skus[charge->sku];
    bool has_product = sku && sku->product != NONE;
    struct period span = line_span(pricing, charge);
    /* Each member by itself: to zero the whole before is what costs most here. */
    line->id = (struct hash128){0, 0};
    line->account = pricing->accounts->items[charge->account].id;
    line->sku = sku ? sku->name : TEXT("");
    line->dimensions = line_dimensions(arena, pricing, charge);
    line->resource = line_resource(arena, pricing, charge);
    line->contract = line_contract(pricing, charge);
    line->price = charge->price->name;
    line->step = charge->step->name;
    line->kind = charge_kind_text(charge->kind);
    line->unit = charge->unit;
    line->grant = charge->grant ? *charge->grant : TEXT("");
    line->tier = charge->tier == NONE ? 0 : (int32_t)charge->tier + 1;
    line->from = span.from;
    line->to = span.to;
    line->version = charge->price->from;
    line->has_rate = charge->has_rate;
    line->rate = charge->has_rate ? charge->rate : DEC_ZERO;
    line->conversion = NULL;
    line->effective = NULL;
    if (charge->converted) {
        const struct used_rate *used = charge->converted->rate;
        line->conversion = arena_alloc(arena, sizeof *line->conversion);
        *line->conversion = (struct line_conversion){.currency = text_of(used->from->code),
                                                     .rate = used->rate,
                                                     .at = used->at,
                                                     .amount = charge->converted->amount};
    }
    line->product = has_product ? catalog->products[sku->product].name : TEXT("");
    line->level = price_level_text(charge->level);
    line->currency = TEXT("");
    line->quantity = charge->quantity;
    line->exact = charge->amount;
    line->amount = DEC_ZERO;
    line->list = charge->list;
    line->events = events_of(charge);
    line->print = 0;
    __builtin_prefetch(line->sku.at); /* names lie all over the catalog: for the id */
    __builtin_prefetch(line->price.at);
}

/* Lines of one account, SKU, price share the texts. */
static int compare_texts(struct text a, struct text b)
{
    return a.at == b.at && a.size == b.size ? 0 : text_compare(a, b);
}

static int compare_times(instant a, instant b)
{
    return (a > b) - (a < b);
}

/* Terms of a plan, a contract and the catalog may have one name: whose it was is part of the key.
 */
static struct text term_level(const struct line *line)
{
    static const char end[] = " terms";
    size_t size = sizeof end - 1;
    struct text level = line->level;
    bool is_term = level.size > size && memcmp(level.at + level.size - size, end, size) == 0;
    return is_term ? level : TEXT("");
}

/* What terms add stands behind what prices charge, and tax behind all of it. */
static int line_rank(const struct line *line)
{
    return (term_level(line).size > 0) + text_equal(line->kind, TEXT("tax"));
}

/* A charge stands before what adjusts it. */
static bool is_adjusting(const struct line *line)
{
    static const char *const kinds[] = {"cap",      "discount", "markup",   "credit",
                                        "negation", "rounding", "allocated"};
    bool is_one = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        is_one = is_one || text_equal(line->kind, text_of(kinds[i]));
    }
    return is_one;
}

static int compare_conversions(const struct line_conversion *a, const struct line_conversion *b)
{
    if (!a || !b) {
        return (a != NULL) - (b != NULL);
    }
    int order = compare_texts(a->currency, b->currency);
    order = order ? order : compare_times(a->at, b->at);
    return order ? order : dec_compare(a->rate, b->rate);
}

/* The order of lines, by their key: see line_key_add. */
static int compare_lines(const void *a_line, const void *b_line)
{
    const struct line *a = a_line, *b = b_line;
    int order = compare_texts(a->account, b->account);
    order = order ? order : compare_texts(a->product, b->product);
    order = order ? order : compare_texts(a->sku, b->sku);
    order = order ? order : compare_texts(a->price, b->price);
    order = order ? order : compare_texts(a->dimensions, b->dimensions);
    order = order ? order : compare_texts(a->resource, b->resource);
    order = order ? order : compare_times(a->from, b->from);
    order = order ? order : compare_times(a->to, b->to);
    order = order ? order : compare_times(a->version, b->version);
    order = order ? order : line_rank(a) - line_rank(b);
    order = order ? order : (int)is_adjusting(a) - (int)is_adjusting(b);
    order = order ? order : (a->tier > b->tier) - (a->tier < b->tier);
    order = order ? order : compare_texts(a->step, b->step);
    order = order ? order : compare_texts(a->grant, b->grant);
    order = order ? order : compare_texts(a->kind, b->kind);
    order = order ? order : (int)a->has_rate - (int)b->has_rate;
    order = order ? order : dec_compare(a->rate, b->rate);
    order = order ? order : compare_texts(a->unit, b->unit);
    order = order ? order : compare_texts(a->contract, b->contract);
    order = order ? order : compare_conversions(a->conversion, b->conversion);
    return order ? order : compare_texts(term_level(a), term_level(b));
}

/* A text after its size, so that texts that are put together can be told apart. */
static inline char *put_text(char *to, struct text text)
{
    const uint32_t size = (uint32_t)text.size, ordered = bytes_order32(size);
    memcpy(to, &ordered, sizeof ordered);
    to += sizeof ordered;
    /* Most names: two words that overlap are sooner copied than by a call. */
    if (size > 32) {
        memcpy(to, text.at, size);
    } else if (size > 16) {
        memcpy(to, text.at, 16);
        memcpy(to + size - 16, text.at + size - 16, 16);
    } else if (size >= 8) {
        memcpy(to, text.at, 8);
        memcpy(to + size - 8, text.at + size - 8, 8);
    } else if (size >= 4) {
        memcpy(to, text.at, 4);
        memcpy(to + size - 4, text.at + size - 4, 4);
    } else {
        for (uint32_t i = 0; i < size; i++) {
            to[i] = text.at[i];
        }
    }
    return to + size;
}

static inline void order_numbers(uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        numbers[i] = bytes_order64(numbers[i]);
    }
}

static void add_conversion_key(struct buffer *key, const struct line_conversion *conversion)
{
    uint64_t numbers[] = {(uint64_t)conversion->at, (uint64_t)conversion->rate.mantissa,
                          (uint64_t)(conversion->rate.mantissa >> 64),
                          (uint64_t)conversion->rate.scale};
    order_numbers(numbers, sizeof numbers / sizeof *numbers);
    buffer_add_text(key, conversion->currency);
    buffer_add(key, (const char *)numbers, sizeof numbers);
}

/* The key of a line, behind what is its bill's. */
static void put_key(struct buffer *key, const struct bill *bill, const struct line *line)
{
    uint64_t numbers[] = {(uint64_t)bill->period.from,
                          (uint64_t)bill->period.to,
                          (uint64_t)line->from,
                          (uint64_t)line->to,
                          (uint64_t)line->version,
                          (uint64_t)(int64_t)line->tier,
                          line->has_rate,
                          (uint64_t)line->rate.mantissa,
                          (uint64_t)(line->rate.mantissa >> 64),
                          (uint64_t)(int64_t)line->rate.scale};
    enum { TEXTS_MAX = 11 };
    const struct text term = term_level(line);
    char *to = buffer_reserve(key, TEXTS_MAX * sizeof(uint32_t) + sizeof numbers +
                                       line->account.size + line->sku.size + line->price.size +
                                       line->step.size + line->kind.size + line->dimensions.size +
                                       line->resource.size + line->contract.size + line->unit.size +
                                       term.size + line->grant.size);
    to = put_text(to, line->account);
    to = put_text(to, line->sku);
    to = put_text(to, line->price);
    to = put_text(to, line->step);
    to = put_text(to, line->kind);
    to = put_text(to, line->dimensions);
    to = put_text(to, line->resource);
    to = put_text(to, line->contract);
    to = put_text(to, line->unit);
    if (term.size > 0 || line->grant.size > 0) { /* few lines have them */
        to = put_text(to, term);
    }
    if (line->grant.size > 0) {
        to = put_text(to, line->grant);
    }
    order_numbers(numbers, sizeof numbers / sizeof *numbers);
    memcpy(to, numbers, sizeof numbers);
    key->size = (size_t)(to + sizeof numbers - key->at);
    if (line->conversion) {
        add_conversion_key(key, line->conversion);
    }
}

/* Ids are hashes of keys, which begin with what is the bill's. */
static void make_ids(struct arena *arena, struct bill *bill)
{
    struct arena_mark mark = arena_mark(arena);
    struct buffer key;
    buffer_init(&key, arena, 1024);
    char *to = buffer_reserve(&key, 4 * sizeof(uint32_t) + bill->provider.size + bill->payer.size +
                                        bill->contract.size);
    to = put_text(put_text(to, bill->provider), bill->payer);
    if (bill->contract.size > 0) { /* no other line has an empty text there and one behind it */
        to = put_text(put_text(to, TEXT("")), bill->contract);
    }
    const size_t of_bill = (size_t)(to - key.at);
    for (uint32_t i = 0; i < bill->line_count; i++) {
        key.size = of_bill;
        put_key(&key, bill, &bill->lines[i]);
        bill->lines[i].id = hash_print(key.at, key.size);
    }
    arena_rewind(arena, mark);
}

/* Adds the line on which it happened to *err and returns status. */
static enum status fail_line(const struct line *line, enum status status, struct error *err)
{
    if (err) {
        struct error inner = *err;
        (void)fail(err, status, "price %.*s, step %.*s, SKU %.*s, account %.*s, in a line: %s",
                   TEXT_ARG(line->price), TEXT_ARG(line->step), TEXT_ARG(line->sku),
                   TEXT_ARG(line->account), inner.message);
        memcpy(err->hint, inner.hint, sizeof inner.hint);
    }
    return status;
}

/* Adds whose lines did not add up. */
static enum status fail_sum(struct text payer, enum status status, struct error *err)
{
    if (err) {
        struct error inner = *err;
        (void)fail(err, status, "the sum of the lines of payer %.*s: %s", TEXT_ARG(payer),
                   inner.message);
        memcpy(err->hint, inner.hint, sizeof inner.hint);
    }
    return status;
}

static enum status add_values(struct line *into, struct dec quantity, struct dec exact,
                              struct dec list, struct error *err)
{
    TRY(dec_add(into->quantity, quantity, &into->quantity, err));
    TRY(dec_add(into->exact, exact, &into->exact, err));
    return dec_add(into->list, list, &into->list, err);
}

/* Of a line that has one; the other may have none when it was read from a folder without. */
static enum status add_effective(struct arena *arena, struct line *into, const struct dec *more,
                                 struct error *err)
{
    if (!more) {
        return OK;
    }
    struct dec *sum = arena_alloc(arena, sizeof *sum);
    *sum = *more;
    if (into->effective) {
        TRY(dec_add(*into->effective, *more, sum, err));
    }
    into->effective = sum;
    return OK;
}

static enum status merge_line(struct arena *arena, struct line *into, const struct line *from,
                              struct error *err)
{
    enum status status = add_values(into, from->quantity, from->exact, from->list, err);
    if (status == OK && into->conversion && from->conversion) {
        status = dec_add(into->conversion->amount, from->conversion->amount,
                         &into->conversion->amount, err);
    }
    if (status == OK) {
        status = dec_add(into->amount, from->amount, &into->amount, err);
    }
    if (status == OK) {
        status = add_effective(arena, into, from->effective, err);
    }
    if (status != OK) {
        return fail_line(into, status, err);
    }
    into->events += from->events;
    into->print += from->print;
    return OK;
}

/* Sorts and merges neighbours with equal keys. */
static enum status merge_lines(struct arena *arena, struct bill *bill, struct error *err)
{
    if (bill->line_count == 0) {
        return OK;
    }
    /* Most bills' charges come in the order of their lines: what is in order is only looked at. */
    uint32_t rise = 1;
    while (rise < bill->line_count &&
           compare_lines(&bill->lines[rise - 1], &bill->lines[rise]) < 0) {
        rise++;
    }
    if (rise == bill->line_count) {
        return OK;
    }
    qsort(bill->lines, bill->line_count, sizeof *bill->lines, compare_lines);
    uint32_t kept = 0;
    for (uint32_t i = 1; i < bill->line_count; i++) {
        if (compare_lines(&bill->lines[kept], &bill->lines[i]) == 0) {
            TRY(merge_line(arena, &bill->lines[kept], &bill->lines[i], err));
        } else if (++kept != i) {
            bill->lines[kept] = bill->lines[i];
        }
    }
    bill->line_count = kept + 1;
    return OK;
}

/* ---- charges to lines ------------------------------------------------------------------------ */

/* Most charges of a payer with hourly rows go to few lines.  They find theirs by a table over what
 * makes the key, so that texts are put together once a line, and only lines are sorted. */
struct line_table {
    uint32_t *slots; /* index of the first charge of a line, or FREE */
    uint32_t *lines; /* of each charge, the number of its line */
    uint32_t mask;
};
static const uint32_t FREE = 0xFFFFFFFFu;

/* Room for one more line; lines move when they grow. */
static struct line *add_line(struct arena *arena, struct bill *bill)
{
    bill->lines =
        arena_room(arena, bill->lines, bill->line_count, &bill->line_capacity, sizeof *bill->lines);
    return &bill->lines[bill->line_count++];
}

/* The number of the charge's line: the next one when no charge before is on it. */
static uint32_t find_line(const struct pricing *pricing, const struct priced *priced,
                          uint32_t index, struct line_table *table, uint32_t next)
{
    const struct charge *charge = &priced->charges[index];
    uint32_t at = (uint32_t)line_key_hash(pricing, charge) & table->mask;
    while (table->slots[at] != FREE &&
           !line_key_equal(pricing, &priced->charges[table->slots[at]], charge)) {
        at = (at + 1) & table->mask;
    }
    if (table->slots[at] == FREE) {
        table->slots[at] = index;
        return next;
    }
    return table->lines[table->slots[at]];
}

static enum status add_charge(const struct charge *charge, const struct dec *effective,
                              uint64_t print, struct line *line, struct error *err)
{
    enum status status = add_values(line, charge->quantity, charge->amount, charge->list, err);
    if (status == OK && charge->converted) {
        status = dec_add(line->conversion->amount, charge->converted->amount,
                         &line->conversion->amount, err);
    }
    if (status == OK && effective) { /* its own, since it has been made */
        struct dec *sum = (struct dec *)line->effective;
        status = dec_add(*sum, *effective, sum, err);
    }
    if (status != OK) {
        return fail_line(line, status, err);
    }
    line->events += events_of(charge);
    line->print += print;
    return OK;
}

/* The charges that are on lines, in the order of their rows: it is that of the lines, mostly. */
static const struct sort_key *order_charges(struct arena *arena, const struct priced *priced,
                                            uint32_t *count)
{
    struct sort_key *order = arena_alloc(arena, (priced->charge_count + 1) * sizeof *order);
    *count = 0;
    for (uint32_t i = 0; i < priced->charge_count; i++) {
        if (charge_is_billed(&priced->charges[i])) {
            order[(*count)++] = (struct sort_key){priced->charges[i].order, i};
        }
    }
    (void)sort_keys(arena, order, *count);
    return order;
}

/* True when a's line stands before b's for sure, and so is another one: of two SKUs, or of two
 * tiers of a row. */
static bool is_before(const struct pricing *pricing, const struct charge *a, const struct charge *b)
{
    const struct catalog *catalog = pricing->catalog;
    if (a->account != b->account || a->sku == NONE || b->sku == NONE) {
        return false;
    }
    if (a->sku == b->sku) {
        return a->row == b->row && a->row != NONE && a->price == b->price && a->kind == b->kind &&
               a->level == b->level && a->merged == b->merged && a->tier < b->tier &&
               b->tier != NONE;
    }
    return catalog->skus[a->sku].rank < catalog->skus[b->sku].rank;
}

/* Finds the line of each charge; returns how many there are. */
static uint32_t find_lines(struct arena *arena, const struct pricing *pricing,
                           const struct priced *priced, const struct sort_key *order,
                           uint32_t count, struct line_table *table)
{
    uint32_t line_count = 0;
    size_t slot_count = 16;
    while (slot_count < (size_t)count * 2) {
        slot_count *= 2;
    }
    table->mask = (uint32_t)(slot_count - 1);
    table->slots = arena_alloc(arena, slot_count * sizeof *table->slots);
    memset(table->slots, 0xFF, slot_count * sizeof *table->slots);
    table->lines = arena_alloc(arena, (priced->charge_count + 1) * sizeof *table->lines);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = (uint32_t)order[k].low;
        table->lines[i] = find_line(pricing, priced, i, table, line_count);
        line_count += table->lines[i] == line_count;
    }
    return line_count;
}

/* Of a view by source: what several charges of the source were for may be one line here, and the
 * row that is behind all of them counts once. */
static void add_prints_once(struct arena *arena, const struct usage_row *rows,
                            const struct priced *priced, const struct sort_key *order,
                            uint32_t count, const struct line_table *table, struct bill *bill)
{
    struct arena_mark mark = arena_mark(arena);
    uint32_t pair_count = 0;
    struct sort_key *pairs = NULL;
    for (int pass = 0; pass < 2; pass++) {
        pairs = pass == 0 ? NULL : arena_alloc(arena, (pair_count + 1) * sizeof *pairs);
        pair_count = 0;
        for (uint32_t k = 0; k < count; k++) {
            const uint32_t i = (uint32_t)order[k].low;
            const struct charge *charge = &priced->charges[i];
            const uint32_t row_count = charge->merged ? charge->merged->row_count : 1;
            for (uint32_t r = 0; charge->row != NONE && charge->of == NONE && r < row_count; r++) {
                if (pairs) {
                    uint64_t line = table->lines ? table->lines[i] : k;
                    uint64_t row = charge->merged ? charge->merged->rows[r] : charge->row;
                    pairs[pair_count] = (struct sort_key){line << 32 | row, pair_count};
                }
                pair_count++;
            }
        }
    }
    (void)sort_keys(arena, pairs, pair_count);
    for (uint32_t k = 0; k < pair_count; k++) {
        if (k == 0 || pairs[k - 1].high != pairs[k].high) {
            bill->lines[pairs[k].high >> 32].print += rows[(uint32_t)pairs[k].high].total.print;
        }
    }
    arena_rewind(arena, mark);
}

/* An earlier part of the charge's row is on the same line: in and behind a last tier of 0, say, or
 * covered by one commitment, with another's part between.  Parts of a row follow each other. */
static bool row_is_on_line(const struct priced *priced, const struct sort_key *order,
                           const uint32_t *lines, uint32_t at)
{
    const uint32_t index = (uint32_t)order[at].low, row = priced->charges[index].row;
    for (uint32_t k = at; k-- > 0;) {
        const uint32_t i = (uint32_t)order[k].low;
        const struct charge *charge = &priced->charges[i];
        if (charge->row != row && order[k].high != order[at].high) {
            return false;
        }
        if (charge->row == row && charge->of == NONE && lines[i] == lines[index]) {
            return true;
        }
    }
    return false;
}

static enum status collect_lines(struct arena *arena, const struct pricing *pricing,
                                 const struct usage_row *rows, uint32_t row_count,
                                 const struct priced *priced, struct bill *bill, struct error *err)
{
    uint32_t count, apart = 1;
    const struct sort_key *order = order_charges(arena, priced, &count);
    while (apart < count && is_before(pricing, &priced->charges[(uint32_t)order[apart - 1].low],
                                      &priced->charges[(uint32_t)order[apart].low])) {
        apart++;
    }
    /* Which line each is on comes first, and then as much room as lines take: they are large.  Most
     * bills' charges have a line each, in the order of the lines. */
    struct line_table table = {.lines = NULL};
    uint32_t line_count = count;
    if (apart < count) {
        line_count = find_lines(arena, pricing, priced, order, count, &table);
    }
    bill->line_capacity = line_count + 1; /* the rounding line */
    bill->lines = arena_alloc(arena, bill->line_capacity * sizeof *bill->lines);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = (uint32_t)order[k].low, number = table.lines ? table.lines[i] : k;
        const struct charge *charge = &priced->charges[i];
        const struct dec *effective = priced_effective(priced, i);
        uint64_t print = 0;
        if (charge->row != NONE && charge->of == NONE && pricing->source_count == 0) {
            assert(charge->row < row_count);
            print = charge->merged ? charge->merged->print : rows[charge->row].total.print;
            print = table.lines && row_is_on_line(priced, order, table.lines, k) ? 0 : print;
        }
        struct line *line = &bill->lines[number];
        if (number < bill->line_count) {
            TRY(add_charge(charge, effective, print, line, err));
            continue;
        }
        bill->line_count++;
        fill_line(arena, pricing, charge, line);
        line->print = print;
        TRY(add_effective(arena, line, effective, err));
    }
    if (pricing->source_count > 0) {
        add_prints_once(arena, rows, priced, order, count, &table, bill);
    }
    return table.lines ? merge_lines(arena, bill, err) : OK;
}

/* ---- rounding -------------------------------------------------------------------------------- */

/* Largest remainders: every line is cut down to the digits, and the units that lack go to the lines
 * that lost most, first lines first. */
struct share {
    uint32_t line;
    struct dec lost;
};

static int compare_shares(const void *a_share, const void *b_share)
{
    const struct share *a = a_share, *b = b_share;
    int order = dec_compare(b->lost, a->lost);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

int bill_digits(const struct bill *bill)
{
    const int digits = bill->rounding->digits;
    return digits == DIGITS_OF_CURRENCY ? bill->minor_digits : digits;
}

static enum status round_at_total(struct arena *arena, struct bill *bill, struct error *err)
{
    const int digits = bill_digits(bill);
    struct dec exact = DEC_ZERO, total, given = DEC_ZERO;
    struct share *shares = arena_calloc(arena, bill->line_count + 1, sizeof *shares);
    for (uint32_t i = 0; i < bill->line_count; i++) {
        struct line *line = &bill->lines[i];
        TRY(dec_add(exact, line->exact, &exact, err));
        TRY(dec_round(line->exact, digits, ROUND_FLOOR, &line->amount, err));
        TRY(dec_add(given, line->amount, &given, err));
        shares[i].line = i;
        TRY(dec_subtract(line->exact, line->amount, &shares[i].lost, err));
    }
    TRY(dec_round(exact, digits, bill->rounding->mode, &total, err));
    qsort(shares, bill->line_count, sizeof *shares, compare_shares);
    struct dec unit;
    TRY(dec_make(1, digits, &unit, err));
    for (uint32_t i = 0; i < bill->line_count && dec_compare(given, total) < 0; i++) {
        struct line *line = &bill->lines[shares[i].line];
        TRY(dec_add(line->amount, unit, &line->amount, err));
        TRY(dec_add(given, unit, &given, err));
    }
    return OK;
}

enum rounding line_mode(const struct line *line, enum rounding mode)
{
    return text_equal(line->kind, TEXT("negation")) ? rounding_mirrored(mode) : mode;
}

static enum status round_lines(struct arena *arena, struct bill *bill, struct error *err)
{
    const struct line_rounding *rounding = bill->rounding;
    const int digits = bill_digits(bill);
    if (rounding->at_total && !rounding->exact) {
        enum status status = round_at_total(arena, bill, err);
        return status == OK ? OK : fail_sum(bill->payer, status, err);
    }
    for (uint32_t i = 0; i < bill->line_count; i++) {
        struct line *line = &bill->lines[i];
        if (rounding->exact) {
            line->amount = line->exact;
        } else {
            const enum rounding mode = line_mode(line, rounding->mode);
            enum status status = dec_round(line->exact, digits, mode, &line->amount, err);
            if (status != OK) {
                return fail_line(line, status, err);
            }
        }
    }
    return OK;
}

/* The line that makes the lines add up to a total in the currency's minor unit. */
static enum status add_rounding_line(struct arena *arena, struct bill *bill, struct error *err)
{
    struct dec sum, total, difference;
    if (bill->rounding->exact) {
        return OK;
    }
    struct dec_sum amounts = {0};
    for (uint32_t i = 0; i < bill->line_count; i++) {
        TRY(dec_sum_add(&amounts, bill->lines[i].amount, err));
    }
    TRY(dec_sum_read(&amounts, &sum, err));
    TRY(dec_round(sum, bill->minor_digits, ROUND_HALF_UP, &total, err));
    TRY(dec_subtract(total, sum, &difference, err));
    if (!dec_is_zero(difference)) {
        *add_line(arena, bill) = (struct line){.account = bill->payer,
                                               .sku = TEXT(""),
                                               .product = TEXT(""),
                                               .dimensions = TEXT(""),
                                               .resource = TEXT(""),
                                               .contract = bill->contract,
                                               .price = TEXT(""),
                                               .level = TEXT(""),
                                               .unit = TEXT(""),
                                               .grant = TEXT(""),
                                               .step = TEXT("total"),
                                               .kind = TEXT("rounding"),
                                               .from = bill->period.from,
                                               .to = bill->period.to,
                                               .amount = difference};
    }
    return OK;
}

/* ---- the difference -------------------------------------------------------------------------- */

static int compare_ids(const void *a_line, const void *b_line)
{
    const struct line *a = a_line, *b = b_line;
    return hash_compare(a->id, b->id);
}

/* One line may have been billed in two currencies, if not at one time. */
static int compare_ids_and_currencies(const void *a_line, const void *b_line)
{
    const struct line *a = a_line, *b = b_line;
    int order = compare_ids(a, b);
    return order ? order : text_compare(a->currency, b->currency);
}

static void negate_line(struct arena *arena, struct line *line)
{
    if (line->conversion) {
        struct line_conversion *negated = arena_alloc(arena, sizeof *negated);
        *negated = *line->conversion;
        negated->amount = dec_negate(negated->amount);
        line->conversion = negated;
    }
    if (line->effective) {
        struct dec *negated = arena_alloc(arena, sizeof *negated);
        *negated = dec_negate(*line->effective);
        line->effective = negated;
    }
    line->quantity = dec_negate(line->quantity);
    line->exact = dec_negate(line->exact);
    line->amount = dec_negate(line->amount);
    line->list = dec_negate(line->list);
    line->events = 0 - line->events;
    line->print = 0 - line->print;
}

/* A line that costs the same for other events is said too: events and fingerprints of all bills of
 * a line add up to those that are known.  So does what is converted, also to nothing. */
static bool is_nothing(const struct line *line)
{
    return dec_is_zero(line->quantity) && dec_is_zero(line->amount) && dec_is_zero(line->exact) &&
           dec_is_zero(line->list) && line->events == 0 && line->print == 0 &&
           (!line->effective || dec_is_zero(*line->effective)) &&
           (!line->conversion || dec_is_zero(line->conversion->amount));
}

/* Lines that are equal become one; what is zero goes. */
static enum status merge_equal(struct arena *arena, struct line *lines, uint32_t *count,
                               int (*compare)(const void *, const void *), struct error *err)
{
    uint32_t kept = 0;
    if (*count > 1) {
        qsort(lines, *count, sizeof *lines, compare);
    }
    for (uint32_t i = 0; i < *count;) {
        struct line line = lines[i++];
        while (i < *count && compare(&line, &lines[i]) == 0) {
            TRY(merge_line(arena, &line, &lines[i++], err));
        }
        if (!is_nothing(&line)) {
            lines[kept++] = line;
        }
    }
    *count = kept;
    return OK;
}

/* The first line of another currency than the bill's; NULL: all are in that one. */
static const struct line *find_other_currency(const struct bill *bill, const struct line *lines,
                                              uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (lines[i].currency.size > 0 && !text_equal(lines[i].currency, bill->currency)) {
            return &lines[i];
        }
    }
    return NULL;
}

/* Of lines issued in several currencies, what was not taken back already is in one.  A bill of
 * nothing else takes that back, and so is in its currency. */
static enum status settle_currency(struct arena *arena, struct bill *bill, struct line *lines,
                                   uint32_t *count, struct error *err)
{
    TRY(merge_equal(arena, lines, count, compare_ids_and_currencies, err));
    const struct line *other = find_other_currency(bill, lines, *count);
    if (other && bill->line_count == 0) {
        bill->currency = other->currency;
        bill->minor_digits = currency_find(other->currency)->digits;
        other = find_other_currency(bill, lines, *count);
    }
    if (other) {
        (void)fail(err, ERR_INPUT, "payer %.*s was billed in %.*s, and the bill is in %.*s",
                   TEXT_ARG(bill->payer), TEXT_ARG(other->currency), TEXT_ARG(bill->currency));
        return fail_hint(err, "a time is billed in one currency: say another one by a contract "
                              "that begins later");
    }
    return OK;
}

/* lines now + negated lines issued, summed by id. */
static enum status subtract_issued(struct arena *arena, struct bill *bill,
                                   const struct issued *issued, struct error *err)
{
    const bool is_mixed = find_other_currency(bill, issued->lines, issued->count) != NULL;
    struct line *apart = is_mixed ? arena_alloc(arena, issued->count * sizeof *apart) : NULL;
    uint32_t apart_count = is_mixed ? issued->count : 0;
    for (uint32_t i = 0; i < issued->count; i++) {
        struct line line = issued->lines[i];
        negate_line(arena, &line);
        *(is_mixed ? &apart[i] : add_line(arena, bill)) = line;
    }
    if (is_mixed) {
        TRY(settle_currency(arena, bill, apart, &apart_count, err));
    }
    for (uint32_t i = 0; i < apart_count; i++) {
        *add_line(arena, bill) = apart[i];
    }
    TRY(merge_equal(arena, bill->lines, &bill->line_count, compare_ids, err));
    if (bill->line_count > 1) {
        qsort(bill->lines, bill->line_count, sizeof *bill->lines, compare_lines);
    }
    return OK;
}

bool line_is_rounding(const struct line *line)
{
    return line->price.size == 0 && text_equal(line->kind, TEXT("rounding"));
}

/* Rounding lines go last, whatever their account: there is one of each bill that is subtracted. */
static void move_rounding_last(struct arena *arena, struct bill *bill)
{
    struct arena_mark mark = arena_mark(arena);
    struct line *rounding = arena_alloc(arena, (bill->line_count + 1) * sizeof *rounding);
    uint32_t kept = 0, count = 0;
    for (uint32_t i = 0; i < bill->line_count; i++) {
        const struct line line = bill->lines[i];
        *(line_is_rounding(&line) ? &rounding[count++] : &bill->lines[kept++]) = line;
    }
    memcpy(bill->lines + kept, rounding, count * sizeof *rounding);
    arena_rewind(arena, mark);
}

/* ---- the bill -------------------------------------------------------------------------------- */

struct text bill_edges(struct arena *arena, struct period period)
{
    char *text = arena_alloc(arena, 2 * TIME_FORMAT_MAX);
    int size = time_format_short(period.from, text);
    text[size++] = '/';
    size += time_format_short(period.to, text + size);
    return (struct text){text, (size_t)size};
}

struct text bill_id(struct arena *arena, const struct bill_name *name)
{
    const struct text names[] = {name->provider, name->payer, name->contract, name->source};
    struct buffer out;
    buffer_init(&out, arena, 96);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (i < 2 || names[i].size > 0) {
            buffer_add_text(&out, i > 0 ? TEXT("/") : TEXT(""));
            buffer_add_encoded(&out, names[i], "/ ");
        }
    }
    buffer_add_char(&out, '/');
    buffer_add_text(&out, name->edges.size > 0 ? name->edges : bill_edges(arena, name->period));
    return buffer_text(&out);
}

bool bill_id_read(struct arena *arena, struct text id, struct bill_name *name)
{
    enum { NAMES_MAX = 4, PARTS_MAX = NAMES_MAX + 2 };
    struct text parts[PARTS_MAX];
    struct text *names[NAMES_MAX] = {&name->provider, &name->payer, &name->contract, &name->source};
    int count = 0;
    for (size_t at = 0; at <= id.size && count < PARTS_MAX; count++) {
        const char *end = at < id.size ? memchr(id.at + at, '/', id.size - at) : NULL;
        size_t size = count + 1 == PARTS_MAX || !end ? id.size - at : (size_t)(end - id.at) - at;
        parts[count] = (struct text){id.at + at, size};
        at += size + 1;
    }
    name->contract = name->source = TEXT("");
    bool is_good = count >= 4 && time_read(parts[count - 2], &name->period.from) &&
                   time_read(parts[count - 1], &name->period.to);
    for (int i = 0; is_good && i < count - 2; i++) {
        is_good = (i < 2 || parts[i].size > 0) &&
                  text_decode(parts[i], arena_alloc(arena, parts[i].size + 1), names[i]);
    }
    return is_good;
}

/* Of the account whose lines end before line_end.  Lines are sorted by account, but that those of
 * the whole bill, which are its payer's, stand behind all others. */
static struct section *section_of(struct bill *bill, struct text account, uint32_t line_end)
{
    for (uint32_t i = 0; i < bill->section_count && line_end == bill->line_count; i++) {
        if (compare_texts(bill->sections[i].account, account) == 0) {
            return &bill->sections[i];
        }
    }
    return NULL;
}

static enum status add_sections(struct arena *arena, struct bill *bill, struct error *err)
{
    uint32_t capacity = 0;
    bill->sections = NULL;
    bill->total = DEC_ZERO;
    bill->exact = (struct dec_sum){0};
    for (uint32_t i = 0; i < bill->line_count;) {
        const struct text account = bill->lines[i].account;
        const uint32_t first = i;
        struct dec_sum sum = {0};
        for (; i < bill->line_count && compare_texts(account, bill->lines[i].account) == 0; i++) {
            TRY(dec_sum_add(&sum, bill->lines[i].amount, err));
            TRY(dec_sum_add(&bill->exact, bill->lines[i].exact, err));
        }
        struct section *section = section_of(bill, account, i);
        if (!section) {
            bill->sections = arena_room(arena, bill->sections, bill->section_count, &capacity,
                                        sizeof *bill->sections);
            section = &bill->sections[bill->section_count++];
            *section = (struct section){.account = account, .amount = DEC_ZERO};
        }
        struct dec amount;
        TRY(dec_sum_read(&sum, &amount, err));
        TRY(dec_add(section->amount, amount, &section->amount, err));
        section->line_count += i - first;
        TRY(dec_add(bill->total, amount, &bill->total, err));
    }
    return OK;
}

/* The total, which is a document's own, in the currency that it is settled in. */
static enum status add_settlement(const struct pricing *pricing, const struct bill_money *money,
                                  struct bill *bill, struct error *err)
{
    if (!money->settlement || money->settlement == money->currency ||
        !text_equal(bill->currency, text_of(money->currency->code))) {
        return OK; /* nor is what takes back another currency settled */
    }
    TRY(pricing_rate(pricing, money->currency, money->settlement, bill->period.to, &bill->settled,
                     err));
    bill->has_settlement = true;
    return dec_multiply_round(bill->total, bill->settled.rate, money->settlement->digits,
                              ROUND_HALF_UP, &bill->settlement, err);
}

/* Of a view by source: the rows whose charges it has. */
static bool *find_sourced(struct arena *arena, const struct pricing *pricing, uint32_t row_count)
{
    bool *is_sourced = arena_calloc(arena, row_count + 1u, sizeof *is_sourced);
    for (uint32_t i = 0; i < pricing->source_count; i++) {
        const struct charge *charge = &pricing->source_charges[i];
        uint32_t count = charge->merged ? charge->merged->row_count : charge->row != NONE;
        for (uint32_t k = 0; k < count; k++) {
            is_sourced[charge->merged ? charge->merged->rows[k] : charge->row] = true;
        }
    }
    return is_sourced;
}

static void add_proof(struct arena *arena, const struct pricing *pricing,
                      const struct usage_row *rows, uint32_t row_count,
                      const struct excluded *excluded, uint32_t excluded_count,
                      const struct priced *priced, struct bill *bill)
{
    const bool *is_sourced =
        pricing->source_charges ? find_sourced(arena, pricing, row_count) : NULL;
    for (uint32_t i = 0; i < row_count; i++) {
        if (!is_sourced || is_sourced[i]) {
            bill->row_count++;
            bill->event_count += rows[i].total.count;
            bill->print += rows[i].total.print;
        }
    }
    uint32_t count = excluded_count + priced->excluded_count;
    struct excluded *all = arena_calloc(arena, count + 1, sizeof *all);
    if (excluded_count > 0) {
        memcpy(all, excluded, excluded_count * sizeof *all);
    }
    if (priced->excluded_count > 0) {
        memcpy(all + excluded_count, priced->excluded, priced->excluded_count * sizeof *all);
    }
    bill->excluded = all;
    bill->excluded_count = count;
}

const struct covered_before *bill_covered(struct arena *arena, const struct issued *issued,
                                          uint32_t *count)
{
    struct covered_before *covered = arena_alloc(arena, (issued->count + 1u) * sizeof *covered);
    *count = 0;
    for (uint32_t i = 0; i < issued->count; i++) {
        const struct line *line = &issued->lines[i];
        if (text_equal(line->kind, TEXT("covered"))) {
            covered[(*count)++] = (struct covered_before){
                .row = line_covered_row(arena, line->account, line->sku, line->dimensions,
                                        line->resource, line->step),
                .span = {line->from, line->to},
                .grant = line->grant,
                .quantity = line->quantity,
            };
        }
    }
    return covered;
}

enum status bill_make(struct arena *arena, const struct pricing *pricing,
                      const struct usage_row *rows, uint32_t row_count,
                      const struct excluded *excluded, uint32_t excluded_count,
                      const struct priced *priced, const struct issued *issued, struct bill *bill,
                      struct error *err)
{
    const struct catalog *catalog = pricing->catalog;
    const struct accounts *accounts = pricing->accounts;
    struct text payer = accounts->items[pricing->payer].id;
    uint32_t view = accounts_view(accounts, pricing->payer);
    const struct contract *contract =
        view == NONE ? NULL : &catalog->contracts[accounts->views[view].contract];
    struct bill_name name = {.provider = catalog->name,
                             .payer = payer,
                             .contract = contract ? contract->id : TEXT(""),
                             .source = contract ? contract->source_id : TEXT(""),
                             .period = pricing->cut,
                             .edges = pricing->cut_edges};
    *bill = (struct bill){.id = bill_id(arena, &name),
                          .contract = name.contract,
                          .source = name.source,
                          .seller = contract ? contract->seller : TEXT(""),
                          .kind = issued && issued->count > 0 ? BILL_CORRECTION : BILL_FIRST,
                          .provider = catalog->name,
                          .payer = payer,
                          .currency = text_of(priced->money.currency->code),
                          .minor_digits = priced->money.currency->digits,
                          .rounding = priced->money.rounding,
                          .period = pricing->cut};
    TRY(collect_lines(arena, pricing, rows, row_count, priced, bill, err));
    TRY(round_lines(arena, bill, err));
    enum status status = add_rounding_line(arena, bill, err);
    if (status != OK) {
        return fail_sum(payer, status, err);
    }
    make_ids(arena, bill);
    if (issued && issued->count > 0) {
        TRY(subtract_issued(arena, bill, issued, err));
        move_rounding_last(arena, bill);
    }
    status = add_sections(arena, bill, err);
    if (status != OK) {
        return fail_sum(payer, status, err);
    }
    if (priced->effective_of) {
        TRY(bill_close(arena, bill, err));
    }
    TRY(add_settlement(pricing, &priced->money, bill, err));
    add_proof(arena, pricing, rows, row_count, excluded, excluded_count, priced, bill);
    return OK;
}

bool line_has_charge(struct arena *arena, const struct pricing *pricing, const struct line *line,
                     const struct charge *charge)
{
    if (!charge->has_amount) {
        return false;
    }
    struct line other;
    fill_line(arena, pricing, charge, &other);
    return compare_lines(line, &other) == 0;
}
