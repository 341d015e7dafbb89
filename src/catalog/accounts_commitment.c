/* accounts_commitment.c - the commitments of accounts: those that stand in the catalog's contracts,
 * and those of records.
 *
 * An id is one commitment's, of all that are no view's; the same record twice is one.
 */
#include "catalog/accounts_stage.h"

#include <stdlib.h>

#include "base/nofloat.h"

/* ---- records --------------------------------------------------------------------------------- */

static int compare_staged(const void *context, uint32_t a, uint32_t b)
{
    const struct accounts_builder *builder = context;
    const struct staged_commitment *x = chunks_at(&builder->commitments, a),
                                   *y = chunks_at(&builder->commitments, b);
    int order = text_compare(name_at(&builder->commitment_ids, x->id)->text,
                             name_at(&builder->commitment_ids, y->id)->text);
    return order ? order : compare_where(x->where, y->where);
}

static bool is_same(const struct staged_commitment *a, const struct staged_commitment *b)
{
    return a->id == b->id && a->offering == b->offering && a->account == b->account &&
           a->attributes == b->attributes && a->from == b->from && a->to == b->to &&
           memcmp(a->numbers, b->numbers, sizeof a->numbers) == 0;
}

uint32_t finish_staged_commitments(struct finish *finish, const struct staged_commitment ***rows)
{
    struct accounts_builder *builder = finish->builder;
    const uint32_t count = builder->commitments.count;
    if (count > 0 && !finish->commitments) {
        uint32_t *order = indices_take(builder, count);
        for (uint32_t i = 0; i < count; i++) {
            order[i] = i;
        }
        indices_sort(order, count, compare_staged, builder);
        finish->commitments =
            arena_alloc(builder->stage, count * sizeof(const struct staged_commitment *));
        for (uint32_t i = 0; i < count; i++) {
            const struct staged_commitment *row = chunks_at(&builder->commitments, order[i]);
            if (finish->commitment_count == 0 ||
                !is_same(row, finish->commitments[finish->commitment_count - 1])) {
                finish->commitments[finish->commitment_count++] = row;
            }
        }
    }
    *rows = finish->commitments;
    return finish->commitment_count;
}

static uint32_t find_name(const struct catalog *catalog, struct text name)
{
    for (uint32_t i = 0; i < catalog->commitment_name_count; i++) {
        if (text_equal(catalog->commitment_names[i], name)) {
            return i;
        }
    }
    return NONE;
}

static uint32_t find_offering(const struct catalog *catalog, struct text name)
{
    uint32_t low = 0, high = catalog->offering_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (text_compare(catalog->offerings[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found = low < catalog->offering_count && text_equal(catalog->offerings[low].name, name);
    return is_found ? low : NONE;
}

/* What it says of itself, under the names that expressions ask for. */
static struct expr_value *read_values(struct finish *finish, const struct staged_commitment *row)
{
    static const char *const numbers[STAGED_NUMBERS] = {"count", "amount", "recurring", "upfront"};
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    struct expr_value *values =
        arena_calloc(builder->arena, catalog->commitment_name_count, sizeof *values);
    struct text attributes = name_at(&builder->values, row->attributes)->text, name, value;
    for (size_t at = 0; at < attributes.size;) {
        (void)attribute_next(builder->arena, attributes, &at, &name, &value);
        uint32_t index = find_name(catalog, name);
        struct dec number;
        if (index != NONE) {
            values[index] =
                dec_parse(value, &number) == NUMBER_OK ? expr_number(number) : expr_text(value);
        }
    }
    for (int i = 0; i < STAGED_NUMBERS; i++) {
        uint32_t index = find_name(catalog, text_of(numbers[i]));
        if (index != NONE && row->numbers[i] != NONE) {
            values[index] = expr_number(decimals_at(builder, row->numbers[i]));
        }
    }
    return values;
}

/* Which offering may have been meant. */
static struct text hint_offering(struct arena *arena, const struct catalog *catalog,
                                 struct text name)
{
    struct text *names = arena_alloc(arena, (catalog->offering_count + 1) * sizeof *names);
    for (uint32_t i = 0; i < catalog->offering_count; i++) {
        names[i] = catalog->offerings[i].name;
    }
    struct text hint = hint_nearest(arena, name, names, catalog->offering_count);
    return hint.size > 0 ? hint : TEXT("offerings stand under commitments: of the catalog");
}

static void take_record(struct finish *finish, const struct staged_commitment *row,
                        struct held *held, uint32_t *count)
{
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    struct commitment *commitment = arena_calloc(builder->arena, 1, sizeof *commitment);
    struct text offering = name_at(&builder->offerings, row->offering)->text;
    *commitment =
        (struct commitment){.id = name_at(&builder->commitment_ids, row->id)->text,
                            .offering = find_offering(catalog, offering),
                            .account = finish->accounts->items[finish->rank[row->account]].id,
                            .view = NONE,
                            .from = row->from,
                            .to = row->to,
                            .place = where_unpack(builder, row->where)};
    if (commitment->offering == NONE) {
        COMPLAIN(builder, commitment->place, "UNKNOWN_OFFERING",
                 hint_offering(builder->arena, catalog, offering).at,
                 "there is no offering \"%.*s\"", SHOWN(offering));
        return;
    }
    commitment_fill(catalog, commitment, read_values(finish, row));
    held[*count] = (struct held){finish->rank[row->account], commitment};
    ++*count;
}

/* ---- all ------------------------------------------------------------------------------------- */

static int compare_ids(const void *a_item, const void *b_item)
{
    const struct held *a = a_item, *b = b_item;
    int order = text_compare(a->commitment->id, b->commitment->id);
    order = order ? order : compare_numbers(a->commitment->view, b->commitment->view);
    order = order ? order : text_compare(a->commitment->place.file, b->commitment->place.file);
    order = order ? order : compare_numbers(a->commitment->place.line, b->commitment->place.line);
    return order ? order
                 : compare_numbers(a->commitment->place.column, b->commitment->place.column);
}

static int compare_held(const void *a_item, const void *b_item)
{
    const struct held *a = a_item, *b = b_item;
    int order = compare_numbers(a->account, b->account);
    return order ? order : text_compare(a->commitment->id, b->commitment->id);
}

static void take_of_catalog(struct finish *finish, const struct commitment *commitment,
                            struct held *held, uint32_t *count)
{
    struct accounts_builder *builder = finish->builder;
    if (commitment->view != NONE && finish->accounts->view_count == 0) {
        return; /* a record is wrong, so that no view was made */
    }
    uint32_t account = accounts_find(finish->accounts, commitment->view, commitment->account);
    if (account == MAP_NONE) {
        COMPLAIN(builder, commitment->place, "UNKNOWN_ACCOUNT",
                 commitment->view == NONE ? "name an account of the records or the catalog"
                                          : "a view's commitments are of its own accounts",
                 "commitment %.*s is of account %.*s, which is not there", SHOWN(commitment->id),
                 SHOWN(commitment->account));
        return;
    }
    held[*count] = (struct held){account, commitment};
    ++*count;
}

/* An upfront fee is due as its commitment begins, and one that was always there never does. */
static void warn_of_upfront(const struct finish *finish, const struct held *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct commitment *item = items[i].commitment;
        const struct expr_value *own = &item->values[finish->catalog->upfront_name];
        bool has_fee = own->type == EXPR_NUMBER
                           ? !dec_is_zero(own->number)
                           : finish->catalog->offerings[item->offering].has_upfront;
        if (item->from == INSTANT_MIN && has_fee) {
            complain_softly(
                finish->builder->complaints, item->place, "UPFRONT_NEVER",
                TEXT("say from when on it is, if the fee is to be billed"),
                "commitment %.*s has an upfront fee and no 'from': the fee is due as it "
                "begins, so it is never billed",
                SHOWN(item->id));
            return; /* once for all */
        }
    }
}

/* The first instant of its term at which a view alone bills its account, and so nobody pays for it;
 * INSTANT_MAX: none. */
static instant when_unpaid(const struct accounts *accounts, const struct held *item)
{
    const struct commitment *commitment = item->commitment;
    for (instant at = commitment->from; at < commitment->to;) {
        struct period slot = {INSTANT_MIN, INSTANT_MAX};
        if (accounts_payer(accounts, item->account, at) == accounts->nobody) {
            return at;
        }
        accounts_narrow(accounts, item->account, at, &slot);
        at = slot.to;
    }
    return INSTANT_MAX;
}

/* A view has the commitments of its own contract; those that its accounts have besides are on no
 * bill while it alone bills them.  What stands in the view too goes on there.  By id. */
static void warn_of_unpaid(const struct finish *finish, const struct held *items, uint32_t count)
{
    for (uint32_t i = 0; finish->accounts->nobody != NONE && i < count; i++) {
        const struct commitment *item = items[i].commitment;
        instant at = item->view == NONE ? when_unpaid(finish->accounts, &items[i]) : INSTANT_MAX;
        bool is_in_view = i > 0 && text_equal(items[i - 1].commitment->id, item->id);
        if (at != INSTANT_MAX && !is_in_view) { /* those of views go before */
            char day[TIME_FORMAT_MAX] = "the beginning";
            if (at != INSTANT_MIN) {
                time_format_short(at, day);
            }
            complain_softly(finish->builder->complaints, item->place, "COMMITMENT_UNPAID",
                            TEXT("a view has the commitments of its own contract: write it there, "
                                 "with the same id, term and fees"),
                            "commitment %.*s covers nothing and is not billed from %s on: a view "
                            "alone bills its account, %.*s",
                            SHOWN(item->id), day,
                            SHOWN(finish->accounts->items[items[i].account].id));
            return; /* once for all */
        }
    }
}

void finish_commitments(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    const struct staged_commitment **rows;
    uint32_t record_count = finish_staged_commitments(finish, &rows), count = 0;
    if (catalog->commitment_count + record_count == 0) {
        return;
    }
    struct held *items = arena_alloc(
        builder->arena, ((size_t)catalog->commitment_count + record_count) * sizeof *items);
    for (uint32_t i = 0; i < catalog->commitment_count; i++) {
        take_of_catalog(finish, &catalog->commitments[i], items, &count);
    }
    for (uint32_t i = 0; i < record_count; i++) {
        take_record(finish, rows[i], items, &count);
    }
    qsort(items, count, sizeof *items, compare_ids);
    for (uint32_t i = 1; i < count; i++) {
        const struct commitment *a = items[i - 1].commitment, *b = items[i].commitment;
        if (text_equal(a->id, b->id) && a->view == b->view) {
            COMPLAIN(builder, b->place, "DUPLICATE_COMMITMENT", "give each an id of its own",
                     "commitment %.*s stands at %.*s:%u too", SHOWN(b->id), SHOWN(a->place.file),
                     a->place.line);
        }
    }
    warn_of_upfront(finish, items, count);
    warn_of_unpaid(finish, items, count);
    qsort(items, count, sizeof *items, compare_held);
    finish->accounts->commitments = items;
    finish->accounts->commitment_count = count;
}
