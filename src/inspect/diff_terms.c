/* diff_terms.c - see diff_terms.h.
 *
 *     base, both sides --old amount / old base--> what of the difference is the base's: its reasons
 *                                                 the rest: the term is another one
 *
 * Bills do not say which charges a term was on.  It is sought among sets of items: those of the
 * same account, SKU and dimensions, or of a scope, as far as they come before it.  Where the term
 * would have added to one of them on side B what it did add, that is its base, and all has moved
 * with it; else the first set is taken, along the chord; all of it, where what the
 * term comes to on the bill is the same and was shared in another way.  What lacks in a minimum or
 * a commitment, and what is above a maximum, moves by as much as the base does, the other way.
 *
 * Terms are told in the order of their lists, so that the reasons of a base are known when they are
 * asked for: those of a tax may be that a discount was changed.
 */
#include "inspect/diff_terms.h"

#include <assert.h>
#include <stdlib.h>

#include "inspect/diff_sums.h"

/* An item's place among those that are a base of others: lists one after the other, in each the
 * kinds in the order in which they are most often written, tax behind all. */
enum { RANK_PRICE = 1, RANK_LIST = 10, RANK_TAX = 100 };

static bool is_kind(const struct line *line, const char *kind)
{
    return text_equal(line->kind, text_of(kind));
}

int diff_list(const struct line *line)
{
    static const char *const lists[] = {"plan terms", "contract terms", "catalog terms"};
    for (int i = 0; i < (int)(sizeof lists / sizeof *lists); i++) {
        if (text_equal(line->level, text_of(lists[i]))) {
            return i + 1;
        }
    }
    return 0;
}

static int rank_of(const struct line *line)
{
    static const struct {
        const char *kind;
        int rank;
    } kinds[] = {{"discount", 1}, {"markup", 1},   {"allocated", 1}, {"minimum", 2},
                 {"cap", 2},      {"rounding", 2}, {"overage", 3},   {"shortfall", 3},
                 {"fee", 4},      {"credit", 5},   {"tax", 6},       {"negation", 6}};
    int list = diff_list(line);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!is_kind(line, kinds[i].kind)) {
            continue;
        }
        if (kinds[i].rank == 6) {
            return RANK_TAX;
        }
        bool is_of_price = kinds[i].rank == 2 || kinds[i].rank == 4; /* as fixed fees are */
        return list == 0 && is_of_price ? 0 : list * RANK_LIST + kinds[i].rank;
    }
    return list * RANK_LIST;
}

bool diff_is_term(const struct line *line)
{
    return rank_of(line) > 0;
}

static bool is_on_scope(const struct line *line)
{
    return line->sku.size == 0;
}

/* It fills up to an amount, or takes what is above one. */
static bool is_of_limit(const struct line *line)
{
    return is_kind(line, "minimum") || is_kind(line, "shortfall") || is_kind(line, "cap");
}

/* ---- bases ----------------------------------------------------------------------------------- */

struct range {
    size_t first, end;
};

struct base {
    struct wide amount[SIDES], exact[SIDES];
    struct reasons reasons;
    bool is_told;
};

enum { PARTS = 6 };

static void list_parts(struct reasons *reasons, struct wide *parts[PARTS])
{
    struct wide *const all[PARTS] = {&reasons->usage, &reasons->price,    &reasons->step,
                                     &reasons->term,  &reasons->currency, &reasons->bills};
    memcpy(parts, all, sizeof all);
}

static bool is_bill(const struct diff_item *a, const struct diff_item *b)
{
    return text_equal(a->bill, b->bill) && text_equal(a->line->currency, b->line->currency);
}

static bool is_account(const struct diff_item *a, const struct diff_item *b)
{
    return is_bill(a, b) && text_equal(a->line->account, b->line->account);
}

static bool is_like(const struct diff_item *a, const struct diff_item *b)
{
    return is_account(a, b) && text_equal(a->line->product, b->line->product) &&
           text_equal(a->line->sku, b->line->sku) &&
           text_equal(a->line->dimensions, b->line->dimensions) &&
           text_equal(a->line->resource, b->line->resource);
}

static struct range find_range(const struct diff_terms *terms, size_t at,
                               bool (*is_in)(const struct diff_item *, const struct diff_item *))
{
    struct range range = {at, at + 1};
    const struct diff_item *item = &terms->items[at];
    while (range.first > 0 && is_in(item, &terms->items[range.first - 1])) {
        range.first--;
    }
    while (range.end < terms->count && is_in(item, &terms->items[range.end])) {
        range.end++;
    }
    return range;
}

static bool has_name(struct text names, struct text name)
{
    for (size_t i = 0; i + name.size <= names.size; i++) {
        bool is_start = i == 0 || names.at[i - 1] == ' ';
        bool is_end = i + name.size == names.size || names.at[i + name.size] == ',';
        if (is_start && is_end && memcmp(names.at + i, name.at, name.size) == 0) {
            return true;
        }
    }
    return false;
}

/* Each of a list of names once. */
static void add_names(struct arena *arena, struct text *names, struct text more)
{
    while (more.size > 0) {
        size_t size = 0;
        while (size < more.size &&
               !(more.size - size > 2 && more.at[size] == ',' && more.at[size + 1] == ' ')) {
            size++;
        }
        struct text name = {more.at, size};
        size_t skip = size + 2 < more.size ? size + 2 : more.size;
        more = (struct text){more.at + skip, more.size - skip};
        if (!has_name(*names, name)) {
            struct text before = names->size > 0 ? text_join(arena, *names, TEXT(", ")) : *names;
            *names = text_join(arena, before, name);
        }
    }
}

/* The items of a range that come before a rank, without one; of a price's own charge on a scope,
 * those of the price. */
static const size_t NONE_OF_THEM = SIZE_MAX;

static void gather(const struct diff_terms *terms, size_t self, struct range range, int rank_end,
                   struct base *base)
{
    *base = (struct base){.reasons.terms = TEXT(""), .is_told = true};
    const struct line *line = self == NONE_OF_THEM ? NULL : terms->items[self].line;
    for (size_t i = range.first; i < range.end; i++) {
        const struct diff_item *item = &terms->items[i];
        bool is_other_price = line && is_on_scope(line) && line->price.size > 0 &&
                              !text_equal(line->price, item->line->price);
        if (i == self || is_other_price || rank_of(item->line) >= rank_end) {
            continue;
        }
        struct reasons from = item->reasons;
        struct wide *parts[PARTS], *more[PARTS];
        list_parts(&base->reasons, parts);
        list_parts(&from, more);
        for (int k = 0; k < PARTS; k++) {
            *parts[k] = sum_plus(*parts[k], *more[k]);
        }
        add_names(terms->arena, &base->reasons.terms, item->reasons.terms);
        for (int side = 0; side < SIDES; side++) {
            base->amount[side] = sum_plus(base->amount[side], item->amount[side]);
            base->exact[side] = sum_plus(base->exact[side], item->exact[side]);
        }
        base->is_told &= item->is_told;
    }
}

static struct wide change_of(const struct wide sides[SIDES])
{
    return sum_minus(sides[SIDE_B], sides[SIDE_A]);
}

/* ---- what of a term's difference is its base's ----------------------------------------------- */

static struct wide above_zero(struct wide value, int sign)
{
    return sum_sign(value) == sign ? value : (struct wide){{0}};
}

/* What lacks, or is above: by as much as the base moves, until nothing is left. */
static struct wide move_limit(const struct diff_item *item, struct wide change)
{
    int sign = is_kind(item->line, "cap") ? -1 : 1;
    struct wide before = item->exact[SIDE_A], after = item->exact[SIDE_B];
    if (!sum_is_zero(before)) {
        return sum_minus(above_zero(sum_minus(before, change), sign), before);
    }
    return sum_minus(after, above_zero(sum_plus(after, change), sign));
}

/* What a term comes to on a bill.  Where that is the same on both sides an amount was shared in
 * another way: a discount of so much, a credit that is used up. */
struct whole {
    const struct diff_item *of;
    struct wide exact[SIDES];
};

static bool is_whole_of(const struct diff_item *a, const struct diff_item *b)
{
    return text_equal(a->line->step, b->line->step) && text_equal(a->line->kind, b->line->kind) &&
           text_equal(a->line->level, b->line->level);
}

/* That of each item; NULL for those of prices. */
static struct whole **sum_wholes(const struct diff_terms *terms)
{
    struct whole **of_items = arena_alloc(terms->arena, (terms->count + 1) * sizeof *of_items);
    struct whole *wholes = arena_alloc(terms->arena, (terms->count + 1) * sizeof *wholes);
    size_t count = 0, first = 0; /* first: of the bill */
    for (size_t i = 0; i < terms->count; i++) {
        const struct diff_item *item = &terms->items[i];
        first = i > 0 && is_bill(&terms->items[i - 1], item) ? first : count;
        of_items[i] = NULL;
        if (!diff_is_term(item->line)) {
            continue;
        }
        size_t at = first;
        while (at < count && !is_whole_of(wholes[at].of, item)) {
            at++;
        }
        if (at == count) {
            wholes[count++] = (struct whole){.of = item};
        }
        for (int side = 0; side < SIDES; side++) {
            wholes[at].exact[side] = sum_plus(wholes[at].exact[side], item->exact[side]);
        }
        of_items[i] = &wholes[at];
    }
    return of_items;
}

static bool is_shared_anew(const struct whole *all)
{
    return !sum_is_zero(all->exact[SIDE_A]) && sum_is_zero(change_of(all->exact));
}

/* What is on it came with it, or went. */
static bool is_one_sided(const struct base *base)
{
    return sum_is_zero(base->exact[SIDE_A]) != sum_is_zero(base->exact[SIDE_B]);
}

static void find_part(const struct diff_item *item, const struct base *base, struct wide *part)
{
    struct wide change = change_of(base->exact), whole = change_of(item->exact);
    *part = (struct wide){{0}};
    if (is_kind(item->line, "fee") && item->line->grant.size > 0) {
        return; /* what is bought costs what it costs */
    }
    if (is_of_limit(item->line)) {
        *part = move_limit(item, change);
        return;
    }
    bool is_same_rate = is_kind(item->line, "tax") && item->has_one_rate && item->is_on[SIDE_A] &&
                        item->is_on[SIDE_B];
    if (is_one_sided(base) || is_same_rate) {
        *part = whole;
        return;
    }
    if (!item->is_on[SIDE_A] || !item->is_on[SIDE_B] || sum_is_zero(base->exact[SIDE_A])) {
        return;
    }
    struct error beyond;
    if (sum_multiply_divide(&beyond, item->exact[SIDE_A], change, base->exact[SIDE_A], part) !=
        OK) {
        *part = (struct wide){{0}}; /* nothing that is billed comes to so much: it is no base */
    }
}

/* As near as the roundings of lines allow. */
static bool is_near(struct wide a, struct wide b)
{
    static const struct dec most = {1, 9};
    struct wide apart = sum_minus(a, b);
    apart = sum_sign(apart) < 0 ? apart : sum_negative(apart);
    wide_add_dec(&apart, most);
    return sum_sign(apart) >= 0;
}

/* Where an item's base may be: what is alike; of what is on a scope all of the account, or of the
 * bill.  Tax is always on a charge. */
enum { RANGES_MAX = 3 };

static size_t list_ranges(const struct diff_terms *terms, size_t at, struct range *ranges)
{
    const struct line *line = terms->items[at].line;
    size_t count = 0;
    if (is_on_scope(line) && rank_of(line) < RANK_TAX) {
        if (text_equal(line->account, terms->payer)) {
            ranges[count++] = find_range(terms, at, is_bill);
        }
        ranges[count++] = find_range(terms, at, is_account);
    }
    ranges[count++] = find_range(terms, at, is_like);
    return count;
}

/* Its base, and what moved with that: in one catalog all of it. */
static void find_base(const struct diff_terms *terms, size_t at, const struct whole *all,
                      struct base *base, struct wide *part)
{
    const struct diff_item *item = &terms->items[at];
    const int rank = rank_of(item->line);
    const int ranks[] = {rank, rank - rank % RANK_LIST, RANK_PRICE, RANK_TAX};
    struct wide whole = change_of(item->exact);
    struct range ranges[RANGES_MAX];
    size_t range_count = list_ranges(terms, at, ranges);
    gather(terms, at, ranges[0], rank, base);
    if (terms->is_same_catalog) {
        *part = whole;
        return;
    }
    find_part(item, base, part);
    for (size_t k = 0; k < range_count && !is_near(*part, whole); k++) {
        for (size_t i = 0; i < sizeof ranks / sizeof *ranks && !is_near(*part, whole); i++) {
            struct base other;
            struct wide moved;
            gather(terms, at, ranges[k], ranks[i], &other);
            find_part(item, &other, &moved);
            if (!is_one_sided(&other) && is_near(moved, whole)) {
                *base = other;
                *part = moved;
            }
        }
    }
    if (is_shared_anew(all)) {
        *part = whole;
    }
}

/* ---- reasons --------------------------------------------------------------------------------- */

/* Shares an amount by the reasons of a base, in proportion to what each has moved it by; where they
 * go against each other and little is left of them, by their sizes. The largest takes what is over.
 */
static enum status share(const struct diff_terms *terms, struct reasons *to, struct reasons *from,
                         struct wide amount)
{
    struct wide *parts[PARTS], *out[PARTS], sum = {{0}}, sizes = {{0}}, rest = amount;
    list_parts(from, parts);
    list_parts(to, out);
    int largest = 0;
    struct wide size[PARTS];
    for (int k = 0; k < PARTS; k++) {
        size[k] = sum_sign(*parts[k]) < 0 ? sum_negative(*parts[k]) : *parts[k];
        sum = sum_plus(sum, *parts[k]);
        sizes = sum_plus(sizes, size[k]);
        largest = sum_sign(sum_minus(size[k], size[largest])) > 0 ? k : largest;
    }
    struct wide most = sum_sign(sum) < 0 ? sum_negative(sum) : sum;
    struct wide of = sum_sign(amount) < 0 ? sum_negative(amount) : amount;
    bool is_linear = !sum_is_zero(sum) && sum_sign(sum_minus(of, most)) <= 0;
    for (int k = 0; k < PARTS; k++) {
        struct wide part;
        if (k == largest || sum_is_zero(*parts[k])) {
            continue;
        }
        TRY(sum_multiply_divide(terms->err, amount, is_linear ? *parts[k] : size[k],
                                is_linear ? sum : sizes, &part));
        *out[k] = sum_plus(*out[k], part);
        rest = sum_minus(rest, part);
    }
    *out[largest] = sum_plus(*out[largest], rest);
    if (!sum_is_zero(from->term)) {
        add_names(terms->arena, &to->terms, from->terms);
    }
    return OK;
}

static bool has_reasons(const struct reasons *reasons)
{
    struct reasons copy = *reasons;
    struct wide *parts[PARTS];
    list_parts(&copy, parts);
    bool is_any = false;
    for (int k = 0; k < PARTS; k++) {
        is_any = is_any || !sum_is_zero(*parts[k]);
    }
    return is_any;
}

struct text diff_term_name(struct arena *arena, const struct diff_item *item)
{
    const struct line *line = item->line;
    static const char *const lists[] = {"price", "plan", "contract", "catalog"};
    int list = diff_list(line);
    struct text owner = list == 0 ? line->price : list == 2 ? item->contract : TEXT("");
    return text_format(arena, "%s%s%.*s: %.*s", lists[list], owner.size > 0 ? " " : "",
                       TEXT_ARG(owner), TEXT_ARG(line->step));
}

/* The charges of prices on the bill, whose reasons stand for those of a base that is not among the
 * items alike: a credit that another SKU has used up. */
struct bill_base {
    size_t end; /* of the items of the bill */
    struct base base;
};

static enum status tell(const struct diff_terms *terms, size_t at, const struct whole *all,
                        struct bill_base *bill, bool may_wait, bool *waits)
{
    struct diff_item *item = &terms->items[at];
    struct base base;
    struct wide part, difference = change_of(item->amount);
    find_base(terms, at, all, &base, &part);
    *waits = may_wait && !base.is_told;
    if (*waits) {
        return OK;
    }
    struct reasons *reasons = &item->reasons;
    item->is_told = true;
    if (is_near(part, change_of(item->exact))) {
        part = difference;
    }
    struct wide own = sum_minus(difference, part);
    if (!sum_is_zero(own)) {
        reasons->term = own;
        reasons->terms = diff_term_name(terms->arena, item);
    }
    if (has_reasons(&base.reasons) && !sum_is_zero(change_of(base.amount))) {
        return share(terms, reasons, &base.reasons, part);
    }
    if (bill->end <= at) {
        struct range range = find_range(terms, at, is_bill);
        gather(terms, NONE_OF_THEM, range, RANK_PRICE, &bill->base);
        bill->end = range.end;
    }
    if (has_reasons(&bill->base.reasons)) {
        return share(terms, reasons, &bill->base.reasons, part);
    }
    struct wide *other = terms->is_same_usage ? &reasons->step : &reasons->usage;
    *other = sum_plus(*other, part);
    return OK;
}

struct queued {
    int rank;
    size_t at;
};

static int compare_ranks(const void *a_item, const void *b_item)
{
    const struct queued *a = a_item, *b = b_item;
    return a->rank != b->rank ? a->rank - b->rank : (a->at > b->at) - (a->at < b->at);
}

enum status diff_terms(const struct diff_terms *terms)
{
    struct queued *queue = arena_alloc(terms->arena, (terms->count + 1) * sizeof *queue);
    size_t count = 0;
    for (size_t i = 0; i < terms->count; i++) {
        if (!terms->items[i].is_told) {
            queue[count++] = (struct queued){rank_of(terms->items[i].line), i};
        }
    }
    if (count > 1) {
        qsort(queue, count, sizeof *queue, compare_ranks);
    }
    struct whole **wholes = count > 0 ? sum_wholes(terms) : NULL;
    for (int round = 0; round < 2; round++) { /* one of a list may be on one that stands behind */
        struct bill_base bill = {0};
        int rank = 0;
        for (size_t i = 0; i < count; i++) {
            bool waits = false;
            if (terms->items[queue[i].at].is_told) {
                continue;
            }
            if (queue[i].rank != rank) { /* the bills once more */
                bill = (struct bill_base){0};
                rank = queue[i].rank;
            }
            TRY(tell(terms, queue[i].at, wholes[queue[i].at], &bill, round == 0, &waits));
            assert(round == 0 || !waits);
        }
    }
    return OK;
}
