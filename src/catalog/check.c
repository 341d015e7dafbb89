/* check.c - what only the whole catalog shows.
 *
 * What meets in one node (nodes.c) must be of one kind and order.
 *
 * Ambiguity: two prices of one level that the same row could have.  Selectors are values of
 * dimensions, so this is decided here and never while a bill is made.
 *
 * Then units, dimensions that meters lack, and warnings.
 */
#include "catalog/load.h"

#include <stdlib.h>

#include "base/nofloat.h"

/* ---- steps that meet ---- */

static bool same_order(struct loader *loader, const struct step *a, const struct step *b)
{
    bool is_same = a->order_count == b->order_count;
    uint32_t targets = a->kind == STEP_CREDIT ? a->credit.target_count : 0;
    is_same = is_same && targets == (b->kind == STEP_CREDIT ? b->credit.target_count : 0);
    for (uint32_t i = 0; i < targets && is_same; i++) {
        is_same = text_equal(a->credit.targets[i], b->credit.targets[i]);
    }
    if (a->kind == STEP_CREDIT && b->kind == STEP_CREDIT) {
        is_same = is_same && a->credit.is_largest_first == b->credit.is_largest_first &&
                  a->credit.largest_count == b->credit.largest_count;
        for (uint32_t i = 0; i < a->credit.largest_count && is_same; i++) {
            is_same = a->credit.largest[i] == b->credit.largest[i];
        }
    }
    for (uint32_t i = 0; i < a->order_count && is_same; i++) {
        struct buffer left, right;
        buffer_init(&left, loader->arena, 64);
        buffer_init(&right, loader->arena, 64);
        if (a->order[i].expr == NULL || b->order[i].expr == NULL) {
            return true; /* said where it stands */
        }
        expr_format(a->order[i].expr, NULL, &left);
        expr_format(b->order[i].expr, NULL, &right);
        is_same = a->order[i].descends == b->order[i].descends &&
                  text_equal(buffer_text(&left), buffer_text(&right));
    }
    return is_same;
}

/* Rows that meet have one order: versions of a price cannot sort theirs in two. */
static void check_orders(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    const struct step **first = arena_calloc(loader->arena, catalog->node_count + 1, sizeof *first);
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        for (uint32_t i = 0; i < catalog->prices[p].step_count; i++) {
            const struct step *step = &catalog->prices[p].steps[i];
            const struct step *other = first[step->node];
            first[step->node] = other == NULL ? step : other;
            if (other != NULL && !same_order(loader, step, other)) {
                complain(loader->complaints, step->place, "ORDER_DIFFERS",
                         TEXT("say the same order, or give one of the steps another name"),
                         "its rows meet those of the step on line %u, which has another order",
                         other->place.line);
            }
        }
    }
}

/* What makes amounts may change from version to version. */
static bool is_rating(const struct step *step)
{
    return step->kind >= STEP_RATE && step->kind <= STEP_FIXED;
}

/* A step of one name goes on in the next version of its price: so it is the same primitive, or what
 * one has accumulated would be another's. */
static void check_kinds(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    const struct step **first = arena_calloc(loader->arena, catalog->node_count + 1, sizeof *first);
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        for (uint32_t i = 0; i < catalog->prices[p].step_count; i++) {
            const struct step *step = &catalog->prices[p].steps[i], *other = first[step->node];
            first[step->node] = other == NULL ? step : other;
            if (other != NULL && step->kind != other->kind &&
                !(is_rating(step) && is_rating(other))) {
                complain(
                    loader->complaints, step->place, "KIND_DIFFERS",
                    TEXT("give one of the steps another name"),
                    "%s is called as the step on line %u, which is %s: steps of one name go on "
                    "from version to version",
                    step_kind_name(step->kind), other->place.line, step_kind_name(other->kind));
            }
        }
    }
}

/* A cover asks what its rows would cost before those are known that a number asks for. */
static void check_covers(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        const struct step *cover = NULL;
        for (uint32_t i = 0; i < price->step_count; i++) {
            const struct step *step = &price->steps[i];
            cover = step->kind == STEP_COVER ? step : cover;
            bool is_asked = cover && (step->kind == STEP_CONVERT || is_rating(step));
            if (is_asked && step_asks_usage(step)) {
                complain(
                    loader->complaints, step->place, "COVER_USAGE",
                    TEXT("a rate that does not ask for usage, or a price without the cover"),
                    "the cover on line %u asks what rows would cost, before the usage is known "
                    "that %s asks for",
                    cover->place.line, step_kind_name(step->kind));
            }
            bool is_last = price->component_count > 0 && step->skip > 0;
            cover = is_last ? NULL : cover; /* another component begins */
        }
    }
}

/* Whose own price it is pays a fixed amount over the scope of a contract once; who has a price of
 * the catalog or a plan is an account. */
static void check_payers(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        for (uint32_t i = 0; i < price->step_count; i++) {
            const struct step *step = &price->steps[i];
            if (step->kind != STEP_FIXED || step->scope != SCOPE_CONTRACT) {
                continue;
            }
            bool is_others = price_set_has(&catalog->public_prices, price);
            for (uint32_t k = 0; k < catalog->plan_count && !is_others; k++) {
                is_others = price_set_has(&catalog->plans[k].prices, price);
            }
            if (is_others) {
                complain(loader->complaints, step->place, "BAD_VALUE",
                         TEXT("put it into the contract's own prices, where it is paid once; or "
                              "scope: organization"),
                         "a fixed amount of the %s is paid by accounts, and not by a contract",
                         price_set_has(&catalog->public_prices, price) ? "catalog" : "plan");
            }
        }
    }
}

void check_nodes(struct loader *loader)
{
    check_orders(loader);
    check_kinds(loader);
    check_covers(loader);
    check_payers(loader);
}

/* ---- ambiguity ---- */

enum { PAIRS_MAX = 20'000'000 }; /* compared; a catalog that needs more is refused */

/* True when no row can have both: a dimension that both name, with no common value. */
static bool excludes(const struct price *a, const struct price *b)
{
    for (uint32_t i = 0; i < a->selector_count; i++) {
        for (uint32_t k = 0; k < b->selector_count; k++) {
            const struct selector *left = &a->selectors[i], *right = &b->selectors[k];
            if (left->key.kind != right->key.kind || left->key.index != right->key.index) {
                continue;
            }
            uint32_t l = 0, r = 0;
            bool common = false;
            while (l < left->value_count && r < right->value_count && !common) {
                int order = text_compare(left->values[l], right->values[r]);
                common = order == 0;
                l += order < 0;
                r += order > 0;
            }
            if (!common) {
                return true;
            }
        }
    }
    return false;
}

static void complain_of_pair(struct loader *loader, const struct price *a, const struct price *b)
{
    bool later = text_compare(a->place.file, b->place.file) < 0 ||
                 (text_equal(a->place.file, b->place.file) && a->place.line <= b->place.line);
    const struct price *second = later ? b : a, *first = later ? a : b;
    bool same = text_equal(a->name, b->name);
    char from[TIME_FORMAT_MAX] = "";
    instant both = a->from > b->from ? a->from : b->from;
    if (both != INSTANT_MIN) {
        time_format_short(both, from);
    }
    const char *since = from[0] == '\0' ? "" : " from ";
    complain(loader->complaints, second->place, same ? "PRICE_OVERLAP" : "PRICE_AMBIGUOUS",
             text_format(loader->arena, "the other is in %.*s on line %u%s",
                         TEXT_ARG(first->place.file), first->place.line,
                         same ? ": give it a to, this one a from" : ": select by dates or where"),
             same ? "two versions of the price %.*s%.*s hold at once%s%s"
                  : "a row can have the price %.*s and the price %.*s%s%s",
             TEXT_ARG(second->name), same ? 0 : (int)first->name.size, first->name.at, since, from);
}

struct candidate {
    uint32_t sku; /* sku_count: `*` */
    const struct price *price;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    if (left->sku != right->sku) {
        return left->sku < right->sku ? -1 : 1;
    }
    if (left->price->selector_count != right->price->selector_count) {
        return left->price->selector_count < right->price->selector_count ? -1 : 1;
    }
    if (left->price->from != right->price->from) {
        return left->price->from < right->price->from ? -1 : 1;
    }
    return (left->price > right->price) - (left->price < right->price);
}

/* Prices of one SKU with as many selectors, by from: each against those still open. False when it
 * is too much work. */
static bool check_group(struct loader *loader, const struct candidate *group, uint32_t count,
                        uint32_t *pairs, struct map *told)
{
    const struct price **open = arena_calloc(loader->arena, count, sizeof *open);
    uint32_t open_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct price *price = group[i].price;
        uint32_t kept = 0;
        for (uint32_t k = 0; k < open_count; k++) {
            if (open[k]->to <= price->from) {
                continue;
            }
            open[kept++] = open[k];
            if (++*pairs > PAIRS_MAX) {
                complain(loader->complaints, price->place, "LIMIT",
                         TEXT("fewer prices for one SKU"),
                         "too many prices could be meant for the same rows");
                return false;
            }
            /* Prices of many SKUs meet in each: said once. */
            struct text pair = {0};
            if (!excludes(open[k], price)) {
                pair =
                    text_format(loader->arena, "%p %p", (const void *)open[k], (const void *)price);
            }
            uint32_t told_count = told->count;
            if (pair.size > 0 && map_put(told, pair, told_count) == told_count) {
                complain_of_pair(loader, open[k], price);
            }
            if (loader->complaints->errors > COMPLAINTS_MAX) {
                return false;
            }
        }
        open_count = kept;
        open[open_count++] = price;
    }
    return true;
}

static void check_set(struct loader *loader, const struct price_set *set, uint32_t *pairs)
{
    uint32_t sku_count = loader->catalog->sku_count, count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        count += price->skus == NULL ? 1 : price->sku_count;
    }
    struct candidate *candidates = arena_calloc(loader->arena, count, sizeof *candidates);
    count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        if (price->is_fixed) { /* takes no rows */
            continue;
        }
        for (uint32_t k = 0; k < price->sku_count; k++) {
            candidates[count++] = (struct candidate){price->skus[k], price};
        }
        if (price->skus == NULL) {
            candidates[count++] = (struct candidate){sku_count, price};
        }
    }
    if (count > 0) {
        qsort(candidates, count, sizeof *candidates, compare_candidates);
    }
    struct map told;
    map_init(&told, loader->arena, 16);
    for (uint32_t from = 0, to = 0; from < count; from = to) {
        while (to < count && candidates[to].sku == candidates[from].sku &&
               candidates[to].price->selector_count == candidates[from].price->selector_count) {
            to++;
        }
        if (!check_group(loader, &candidates[from], to - from, pairs, &told)) {
            return;
        }
    }
    /* Versions of one price that no SKU brings together. */
    for (uint32_t i = 1; i < set->count; i++) {
        const struct price *before = &set->base[set->prices[i - 1]];
        const struct price *price = &set->base[set->prices[i]];
        struct text pair =
            text_format(loader->arena, "%p %p", (const void *)before, (const void *)price);
        if (text_equal(before->name, price->name) && before->to > price->from && before < price &&
            set->prices[i] == set->prices[i - 1] + 1 && map_find(&told, pair) == MAP_NONE) {
            complain_of_pair(loader, before, price);
        }
    }
}

static void check_contracts(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    struct map *ids = &loader->catalog->contract_by_id;
    map_init(ids, loader->arena, catalog->contract_count);
    const struct contract *longest = NULL; /* of the buyer so far: the one that ends last */
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct contract *contract = &catalog->contracts[i];
        uint32_t first = map_put(ids, contract->id, i);
        if (first != i && contract->id.size > 0) {
            complain(loader->complaints, contract->place, "DUPLICATE_NAME",
                     text_format(loader->arena, "the other is in %.*s on line %u",
                                 TEXT_ARG(catalog->contracts[first].place.file),
                                 catalog->contracts[first].place.line),
                     "two contracts have the id %.*s", TEXT_ARG(contract->id));
        }
        if (contract->view != NONE) {
            continue; /* beside what its buyer has otherwise: views.c */
        }
        if (longest != NULL && text_equal(longest->buyer, contract->buyer) &&
            longest->to > contract->from && contract->buyer.size > 0) {
            char from[TIME_FORMAT_MAX];
            time_format_short(contract->from, from);
            complain(loader->complaints, contract->place, "CONTRACT_OVERLAP",
                     contract->from > longest->from
                         ? text_format(loader->arena, "end %.*s with to: %s", TEXT_ARG(longest->id),
                                       from)
                         : TEXT("from: and to: say when each holds"),
                     "the contracts %.*s and %.*s of %.*s hold at once", TEXT_ARG(longest->id),
                     TEXT_ARG(contract->id), TEXT_ARG(contract->buyer));
        }
        if (longest == NULL || !text_equal(longest->buyer, contract->buyer) ||
            contract->to > longest->to) {
            longest = contract;
        }
    }
}

/* ---- units ---- */

/* The last `to` of a price's converts; NULL when no step changes the unit. */
static const struct step *last_convert(const struct price *price)
{
    const struct step *last = NULL;
    for (uint32_t i = 0; i < price->step_count && price->component_count == 0; i++) {
        if (price->steps[i].kind == STEP_CONVERT && price->steps[i].convert.to.size > 0) {
            last = &price->steps[i];
        }
    }
    return last;
}

static void check_units(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    bool *converted = arena_calloc(loader->arena, catalog->sku_count, sizeof *converted);
    const struct price **plain = arena_calloc(loader->arena, catalog->sku_count, sizeof(void *));
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        const struct step *convert = last_convert(price);
        for (uint32_t i = 0; i < price->sku_count && !price->takes_money; i++) {
            const struct sku *sku = &catalog->skus[price->skus[i]];
            bool is_many = price->component_count > 0; /* each has a unit of its own */
            converted[price->skus[i]] |= convert != NULL || is_many;
            if (convert == NULL && !is_many && plain[price->skus[i]] == NULL) {
                plain[price->skus[i]] = price;
            }
            if (convert != NULL && sku->unit.size > 0 &&
                !text_equal(convert->convert.to, sku->unit)) {
                complain(loader->complaints, convert->place, "UNIT_MISMATCH",
                         text_format(loader->arena, "to: %.*s", TEXT_ARG(sku->unit)),
                         "the SKU %.*s is sold by the %.*s, and the price converts to %.*s",
                         TEXT_ARG(sku->name), TEXT_ARG(sku->unit), TEXT_ARG(convert->convert.to));
                break;
            }
        }
    }
    for (uint32_t m = 0; m < catalog->meter_count; m++) {
        const struct meter *meter = &catalog->meters[m];
        if (meter->sku == NONE || meter->sku == MAP_NONE || meter->unit.size == 0) {
            continue;
        }
        const struct sku *sku = &catalog->skus[meter->sku];
        if (sku->unit.size > 0 && !text_equal(sku->unit, meter->unit) &&
            (plain[meter->sku] != NULL || !converted[meter->sku])) {
            const struct price *price = plain[meter->sku];
            complain(loader->complaints, meter->place, "UNIT_MISMATCH",
                     text_format(loader->arena, "add convert: {..., to: %.*s} to its price%s%s",
                                 TEXT_ARG(sku->unit), price == NULL ? "" : ", ",
                                 price == NULL ? "" : place_text(loader->arena, price->place)),
                     "the meter %.*s counts %.*s, and the SKU %.*s is sold by the %.*s",
                     TEXT_ARG(meter->name), TEXT_ARG(meter->unit), TEXT_ARG(sku->name),
                     TEXT_ARG(sku->unit));
        }
    }
}

/* ---- dimensions ---- */

/* Which dimensions rows of a SKU surely have: those that each of its meters declares.  A SKU that
 * only expressions name, or none, is not known. */
struct known_dimensions {
    uint64_t *bits; /* NULL: not known */
};

static bool has_bit(const uint64_t *bits, uint32_t index)
{
    return (bits[index / 64] >> (index % 64) & 1) != 0;
}

static struct known_dimensions *find_known_dimensions(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    uint32_t words = catalog->dimension_count / 64 + 1;
    struct known_dimensions *known = arena_calloc(loader->arena, catalog->sku_count, sizeof *known);
    for (uint32_t m = 0; m < catalog->meter_count; m++) {
        const struct meter *meter = &catalog->meters[m];
        if (meter->sku == NONE) {
            continue;
        }
        uint64_t *bits = arena_calloc(loader->arena, words, sizeof *bits);
        for (uint32_t i = 0; i < meter->dimension_count; i++) {
            bits[meter->dimensions[i].name / 64] |= UINT64_C(1) << (meter->dimensions[i].name % 64);
        }
        struct known_dimensions *of = &known[meter->sku];
        for (uint32_t w = 0; w < words && of->bits != NULL; w++) {
            bits[w] &= of->bits[w];
        }
        of->bits = bits;
    }
    /* Rows of a pricing case bring dimensions of their own. */
    for (uint32_t i = 0; i < loader->input->dimension_count; i++) {
        uint32_t index = map_find(&loader->dimension_by_name, loader->input->dimensions[i]);
        for (uint32_t s = 0; s < catalog->sku_count; s++) {
            if (known[s].bits != NULL) {
                known[s].bits[index / 64] |= UINT64_C(1) << (index % 64);
            }
        }
    }
    return known;
}

static void add_key_use(uint64_t *used, struct by_key key)
{
    if (key.kind == BY_DIMENSION) {
        used[key.index / 64] |= UINT64_C(1) << (key.index % 64);
    }
}

static void add_expr_use(void *context, const struct expr *expr)
{
    uint64_t *used = context;
    size_t count = 0;
    const uint32_t *slots = expr == NULL ? NULL : expr_slots(expr, &count);
    for (size_t i = 0; i < count; i++) {
        if (slots[i] >= NAME_DIMENSION && slots[i] < NAME_ATTRIBUTE) {
            add_key_use(used, (struct by_key){BY_DIMENSION, slots[i] - NAME_DIMENSION});
        } else if (slots[i] >= NAME_NUMBER && slots[i] < NAME_ATTRIBUTE_NUMBER) {
            add_key_use(used, (struct by_key){BY_DIMENSION, slots[i] - NAME_NUMBER});
        }
    }
}

/* The dimensions that a step reads. */
static void add_step_use(uint64_t *used, const struct step *step)
{
    step_visit(step, add_expr_use, used);
    for (uint32_t i = 0; i < step->by_count; i++) {
        add_key_use(used, step->by[i]);
    }
    if (step->kind == STEP_RATE) {
        for (uint32_t i = 0; step->rate.table != NULL && i < step->rate.table->key_count; i++) {
            add_key_use(used, step->rate.table->keys[i]);
        }
    }
}

static void check_dimensions(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    uint32_t words = catalog->dimension_count / 64 + 1;
    const struct known_dimensions *known = find_known_dimensions(loader);
    uint64_t *used = arena_calloc(loader->arena, words, sizeof *used);
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        memset(used, 0, words * sizeof *used);
        for (uint32_t i = 0; i < price->selector_count; i++) {
            add_key_use(used, price->selectors[i].key);
        }
        for (uint32_t i = 0; i < price->step_count; i++) {
            add_step_use(used, &price->steps[i]);
        }
        for (uint32_t i = 0; i < price->sku_count; i++) {
            const uint64_t *has = known[price->skus[i]].bits;
            uint32_t w = 0;
            while (w < words && (has == NULL || (used[w] & ~has[w]) == 0)) {
                w++;
            }
            if (w == words) {
                continue;
            }
            uint32_t index = w * 64;
            while (!has_bit(used, index) || has_bit(has, index)) {
                index++;
            }
            complain(loader->complaints, price->place, "DIMENSION_MISSING",
                     text_format(loader->arena, "add it to the dimensions of the meter of %.*s",
                                 TEXT_ARG(catalog->skus[price->skus[i]].name)),
                     "the price reads the dimension %.*s, and a meter of %.*s has none such",
                     TEXT_ARG(catalog->dimensions[index]),
                     TEXT_ARG(catalog->skus[price->skus[i]].name));
            break;
        }
    }
}

/* ---- grain ---- */

static bool needs_events(const struct step *step)
{
    return step->kind == STEP_PERCENT
               ? step->percent.has_fixed || step->percent.has_min || step->percent.has_max
               : step->kind == STEP_ALLOWANCE && step->allowance.has_events;
}

/* What is free of a row of several events is a part of its quantity: right of events that are one
 * each.  Those with a duration have no rows of their own. */
static bool holds_several(const struct meter *meter, const struct step *step)
{
    bool is_allowance = step != NULL && step->kind == STEP_ALLOWANCE;
    bool may_be = meter->aggregate == AGGREGATE_COUNT || meter->spread_from != NULL;
    return meter->grain != GRAIN_EVENT && !(is_allowance && may_be);
}

/* Whether usage of the meter comes to the price.  Of a meter whose SKUs only events name it is
 * known when there are rows. */
static bool is_sold_at(const struct meter *meter, const struct price *price)
{
    return meter->sku != NONE && meter->sku != MAP_NONE &&
           (price->skus == NULL || price_has_sku(price, meter->sku));
}

/* Of a step that asks for single events, or with NULL of the price's lines: the first meter whose
 * rows hold several. */
static bool complain_of_grain(struct loader *loader, const struct price *price,
                              const struct step *step)
{
    const struct catalog *catalog = loader->catalog;
    const bool is_percent = step != NULL && step->kind == STEP_PERCENT;
    for (uint32_t m = 0; m < catalog->meter_count; m++) {
        const struct meter *meter = &catalog->meters[m];
        if (!holds_several(meter, step) || !is_sold_at(meter, price)) {
            continue;
        }
        complain(
            loader->complaints, step == NULL ? price->place : step->place,
            step == NULL ? "PRICE_GRAIN"
            : is_percent ? "PERCENT_GRAIN"
                         : "ALLOWANCE_GRAIN",
            text_format(loader->arena, "grain: event in the meter %.*s", TEXT_ARG(meter->name)),
            "%s, and a row of the meter %.*s holds several",
            step == NULL ? "its lines are of single events"
            : is_percent ? "fixed, min and max are of each event"
                         : "the first events are free",
            TEXT_ARG(meter->name));
        return true;
    }
    return false;
}

/* What is said of each event needs rows of single events. */
static void check_grain(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        if (price->takes_money) {
            continue; /* it is charges that it looks at, which may be of single events */
        }
        bool has_complained = price->grain == GRAIN_EVENT && complain_of_grain(loader, price, NULL);
        for (uint32_t i = 0; i < price->step_count && !has_complained; i++) {
            const struct step *step = &price->steps[i];
            has_complained = needs_events(step) && complain_of_grain(loader, price, step);
        }
    }
}

/* ---- edges, warnings, all ---- */

static void collect_edges(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    instant *edges = arena_calloc(
        loader->arena, 4 * ((size_t)catalog->price_count + catalog->view_count), sizeof *edges);
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; i < catalog->source_edge_count; i++) {
        edges[count++] = catalog->source_edges[i];
    }
    for (uint32_t i = 0; i < catalog->price_count; i++) {
        if (catalog->prices[i].from != INSTANT_MIN) {
            edges[count++] = catalog->prices[i].from;
        }
        if (catalog->prices[i].to != INSTANT_MAX) {
            edges[count++] = catalog->prices[i].to;
        }
    }
    instants_sort(edges, count);
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || edges[kept - 1] != edges[i]) {
            edges[kept++] = edges[i];
        }
    }
    catalog->edges = edges;
    catalog->edge_count = kept;
}

/* ---- names that credits pay first ---- */

static bool lists_step(const struct price *list, struct text name)
{
    for (uint32_t i = 0; i < list->step_count; i++) {
        if (text_equal(list->steps[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool is_step_name(const struct catalog *catalog, struct text name)
{
    bool found = lists_step(&catalog->terms, name);
    for (uint32_t i = 0; i < catalog->price_count && !found; i++) {
        found = lists_step(&catalog->prices[i], name);
    }
    for (uint32_t i = 0; i < catalog->plan_count && !found; i++) {
        found = lists_step(&catalog->plans[i].terms, name);
    }
    for (uint32_t i = 0; i < catalog->contract_count && !found; i++) {
        found = lists_step(&catalog->contracts[i].terms, name);
    }
    return found;
}

static void check_targets(void *context, const struct step *step, bool)
{
    struct loader *loader = context;
    for (uint32_t i = 0; step->kind == STEP_CREDIT && i < step->credit.target_count; i++) {
        struct text name = step->credit.targets[i];
        bool is_known = map_find(&loader->catalog->sku_by_name, name) != MAP_NONE ||
                        is_step_name(loader->catalog, name);
        for (int k = 0; credit_kinds[k] != NULL && !is_known; k++) {
            is_known = text_equal(name, text_of(credit_kinds[k]));
        }
        if (!is_known) {
            complain(loader->complaints, step->place, "UNKNOWN_NAME", NO_HINT,
                     "the target %.*s: there is no kind of charge, SKU or step of that name",
                     TEXT_ARG(name));
        }
    }
}

/* What a fee is sold as is sold by the fee. */
static void note_sold(void *context, const struct step *step, bool of_contract)
{
    (void)of_contract;
    bool *sold = context;
    if (step->kind == STEP_FEE && step->adjust.sku != NONE) {
        sold[step->adjust.sku] = true;
    }
}

/* A meter that counts what nothing sells, where something that is sold and that no meter counts is
 * called nearly the same: one of the names is wrong.  Other SKUs may be for `usage` alone. */
static void warn_of_misnamed(struct loader *loader, const bool *sold)
{
    const struct catalog *catalog = loader->catalog;
    bool *counted = arena_calloc(loader->arena, catalog->sku_count, sizeof *counted);
    for (uint32_t i = 0; i < catalog->meter_count; i++) {
        if (catalog->meters[i].sku_expr) {
            return; /* which it counts, its events say */
        }
        if (catalog->meters[i].sku != NONE) {
            counted[catalog->meters[i].sku] = true;
        }
    }
    struct text *others = arena_calloc(loader->arena, catalog->sku_count, sizeof *others);
    uint32_t other_count = 0;
    for (uint32_t i = 0; i < catalog->sku_count; i++) {
        if (sold[i] && !counted[i]) {
            others[other_count++] = catalog->skus[i].name;
        }
    }
    for (uint32_t i = 0; i < catalog->meter_count; i++) {
        const struct meter *meter = &catalog->meters[i];
        if (meter->sku == NONE || sold[meter->sku] || catalog->skus[meter->sku].product != NONE) {
            continue;
        }
        const struct text name = catalog->skus[meter->sku].name;
        const struct text hint = hint_nearest(loader->arena, name, others, other_count);
        if (hint.size > 0) {
            complain_softly(loader->complaints, meter->place, "SKU_UNPRICED", hint,
                            "the meter %.*s counts the SKU %.*s, which no price sells",
                            TEXT_ARG(meter->name), TEXT_ARG(name));
        }
    }
}

/* Whether hours of a zone begin within those of UTC, in our time. */
static bool has_odd_hours(const struct zone *zone)
{
    bool is_odd = false;
    for (int month = 1; zone != NULL && month <= 7; month += 6) {
        const instant at = civil_to_days(2026, month, 1) * NS_PER_DAY;
        is_odd = is_odd || zone_offset_seconds(zone, at) % 3600 != 0;
    }
    return is_odd;
}

struct time_use {
    bool any, is_odd; /* an hour, weekday or date of a row is asked for; in a zone of odd hours */
};

static void note_time(void *context, const struct expr *expr)
{
    struct time_use *use = context;
    size_t count = 0;
    const struct zone *const *zones =
        expr != NULL && expr_uses(expr, NAME_TIME) ? expr_zones(expr, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        use->any = true;
        use->is_odd = use->is_odd || has_odd_hours(zones[i]);
    }
}

/* The time of a row is when its slot begins: of a month that says nothing of the usage in it. */
static void warn_of_times(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        struct time_use use = {0};
        for (uint32_t i = 0; i < price->step_count && !price->takes_money; i++) {
            step_visit_rows(&price->steps[i], note_time, &use);
        }
        for (uint32_t m = 0; m < catalog->meter_count && use.any; m++) {
            const struct meter *meter = &catalog->meters[m];
            const bool is_month = meter->grain == GRAIN_MONTH;
            if ((is_month || (use.is_odd && meter->grain == GRAIN_HOUR)) &&
                is_sold_at(meter, price)) {
                complain_softly(loader->complaints, price->place, "TIME_OF_ROW",
                                TEXT("in_calendar(\"...\") cuts rows at its hours; or grain: event "
                                     "in the meter"),
                                "it asks for the hour or date of a row, and those of the meter "
                                "%.*s begin with %s",
                                TEXT_ARG(meter->name),
                                is_month ? "a month"
                                         : "an hour of UTC, in which one of the zone begins");
                break;
            }
        }
    }
}

static void warn(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    warn_of_times(loader);
    for (uint32_t i = 0; i < catalog->shared_count; i++) {
        if (!loader->shared_used[i]) {
            complain_softly(
                loader->complaints, catalog->shared[i].place, "STEP_UNUSED",
                text_format(loader->arena, "- use: %.*s", TEXT_ARG(catalog->shared[i].name)),
                "no price uses the step %.*s", TEXT_ARG(catalog->shared[i].name));
        }
    }
    bool *sold = arena_calloc(loader->arena, catalog->sku_count, sizeof *sold);
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        if (price->takes_money) {
            continue;
        }
        if (price->skus == NULL) {
            return; /* `*` sells them all */
        }
        for (uint32_t i = 0; i < price->sku_count; i++) {
            sold[price->skus[i]] = true;
        }
        for (uint32_t i = 0; i < price->step_count; i++) {
            note_sold(sold, &price->steps[i], false);
        }
    }
    terms_visit(catalog, note_sold, sold);
    for (uint32_t i = 0; i < catalog->sku_count; i++) {
        const struct sku *sku = &catalog->skus[i];
        if (!sold[i] && sku->product != NONE) {
            complain_softly(loader->complaints, sku->place, "SKU_UNPRICED",
                            TEXT("usage of it is excluded as UNPRICED"),
                            "no price sells the SKU %.*s", TEXT_ARG(sku->name));
        }
    }
    if (loader->complaints->errors == 0) { /* what could not be read may sell it */
        warn_of_misnamed(loader, sold);
    }
}

void check_catalog(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    uint32_t pairs = 0;
    check_set(loader, &catalog->public_prices, &pairs);
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        check_set(loader, &catalog->plans[i].prices, &pairs);
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        check_set(loader, &catalog->contracts[i].prices, &pairs);
    }
    check_contracts(loader);
    check_views(loader);
    check_units(loader);
    terms_visit(catalog, check_targets, loader);
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        for (uint32_t i = 0; i < catalog->prices[p].step_count; i++) {
            check_targets(loader, &catalog->prices[p].steps[i], false);
        }
    }
    if (loader->complaints->errors == 0) { /* a meter that could not be read may have them */
        check_dimensions(loader);
        check_grain(loader);
    }
    collect_edges(loader);
    warn(loader);
    terms_warn(loader);
    price_set_index(loader->arena, &catalog->public_prices);
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        price_set_index(loader->arena, (struct price_set *)&catalog->plans[i].prices);
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        price_set_index(loader->arena, (struct price_set *)&catalog->contracts[i].prices);
    }
}
