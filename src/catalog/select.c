/* select.c - which price a row has, and where time is cut.
 *
 * The prices of a set stand in the order of their SKUs, more selectors first, then of time, so that
 * those of a SKU are found by bisection, and of those without selectors, which may be thousands of
 * versions, the one that holds.  The first match is the price, since check.c has shown that no two
 * with as many selectors can match.
 */
#include "base/sort.h"
#include "catalog/load.h"

#include <assert.h>
#include <stdlib.h>

#include "base/nofloat.h"

/* ---- the index of a set ---- */

struct entry {
    uint32_t sku; /* NONE: every SKU, behind all others */
    uint32_t selector_count;
    uint32_t price; /* in base */
    instant from;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = (left->sku > right->sku) - (left->sku < right->sku);
    order = order ? order
                  : (left->selector_count < right->selector_count) -
                        (left->selector_count > right->selector_count);
    order = order ? order : (left->from > right->from) - (left->from < right->from);
    return order ? order : (left->price > right->price) - (left->price < right->price);
}

void price_set_index(struct arena *arena, struct price_set *set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        count += price->skus == NULL ? 1 : price->sku_count;
    }
    uint32_t *by_sku = arena_alloc(arena, (count + 1u) * sizeof *by_sku);
    uint32_t *skus = arena_alloc(arena, (count + 1u) * sizeof *skus);
    struct arena_mark mark = arena_mark(arena);
    struct entry *entries = arena_alloc(arena, (count + 1u) * sizeof *entries);
    uint32_t used = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        uint32_t times = price->skus == NULL ? 1 : price->sku_count;
        for (uint32_t k = 0; k < times; k++) {
            entries[used++] = (struct entry){price->skus == NULL ? NONE : price->skus[k],
                                             price->selector_count, set->prices[i], price->from};
        }
    }
    if (count > 0) {
        qsort(entries, count, sizeof *entries, compare_entries);
    }
    for (uint32_t i = 0; i < count; i++) {
        by_sku[i] = entries[i].price;
        skus[i] = entries[i].sku;
    }
    arena_rewind(arena, mark);
    set->by_sku = by_sku;
    set->skus = skus;
    set->by_sku_count = count;
}

static uint32_t sku_at(const struct price_set *set, uint32_t place)
{
    return set->skus != NULL ? set->skus[place] : set->base[set->by_sku[place]].skus[0];
}

struct price_range price_set_find(const struct price_set *set, uint32_t sku)
{
    uint32_t first = 0;
    for (uint32_t rest = set->by_sku_count; rest > 0;) {
        uint32_t half = rest - rest / 2;
        first += sku_at(set, first + half - 1) < sku ? half : 0;
        rest /= 2;
    }
    /* Most have one, some thousands. */
    uint32_t low = first, high = first, step = 1;
    while (high < set->by_sku_count && sku_at(set, high) == sku) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    high = high < set->by_sku_count ? high : set->by_sku_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sku_at(set, middle) == sku) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (struct price_range){set->by_sku + first, low - first};
}

uint32_t price_range_begun(const struct price_set *set, struct price_range range, uint32_t first,
                           instant at)
{
    uint32_t low = first, high = range.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set->base[range.prices[middle]].from <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool price_has_sku(const struct price *price, uint32_t sku)
{
    if (price->skus == NULL) {
        return true;
    }
    const uint32_t at = sort_first(price->skus, price->sku_count, sizeof *price->skus, 0, sku);
    return at < price->sku_count && price->skus[at] == sku;
}

/* The text of a SKU's attribute; buffer has room for a number. */
static struct text attribute_text(const struct catalog *catalog, uint32_t sku, uint32_t name,
                                  char buffer[DEC_FORMAT_MAX])
{
    const struct sku *of = &catalog->skus[sku];
    for (uint32_t i = 0; i < of->attribute_count; i++) {
        const struct expr_value *value = &of->attributes[i].value;
        if (of->attributes[i].name != name) {
            continue;
        }
        switch (value->type) {
        case EXPR_TEXT:
            return value->text;
        case EXPR_NUMBER:
            return (struct text){buffer, (size_t)dec_format(value->number, buffer)};
        case EXPR_BOOL:
            return value->truth ? TEXT("true") : TEXT("false");
        default:
            break;
        }
    }
    return (struct text){"", 0};
}

static struct text dimension_value(const struct dimension_values *dimensions, uint32_t name)
{
    const struct meter *meter = dimensions->meter;
    if (meter == NULL) {
        return dimensions->values[name];
    }
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        if (meter->dimensions[i].name == name) {
            return dimensions->values[i];
        }
    }
    return TEXT("");
}

static bool selects(const struct catalog *catalog, const struct price *price, uint32_t sku,
                    const struct dimension_values *dimensions)
{
    for (uint32_t i = 0; i < price->selector_count; i++) {
        const struct selector *selector = &price->selectors[i];
        char buffer[DEC_FORMAT_MAX];
        struct text value = selector->key.kind == BY_DIMENSION
                                ? dimension_value(dimensions, selector->key.index)
                                : attribute_text(catalog, sku, selector->key.index, buffer);
        uint32_t low = 0, high = selector->value_count;
        int order = 1;
        while (low < high && order != 0) {
            uint32_t middle = low + (high - low) / 2;
            order = text_compare(selector->values[middle], value);
            if (order < 0) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if (order != 0) {
            return false;
        }
    }
    return true;
}

static bool is_in_force(const struct price *price, instant at)
{
    return price->from <= at && at < price->to && !price->is_fixed;
}

/* The one without selectors that holds: of those that have begun the last, unless it is over. */
static const struct price *find_plain(const struct price_set *set, struct price_range range,
                                      uint32_t first, instant at)
{
    const struct price *price = NULL;
    uint32_t next = price_range_begun(set, range, first, at);
    do {
        price = next > first ? &set->base[range.prices[--next]] : NULL;
    } while (price && price->is_fixed);
    return price && is_in_force(price, at) ? price : NULL;
}

static const struct price *find_in(const struct catalog *catalog, const struct price_set *set,
                                   uint32_t sku, const struct dimension_values *dimensions,
                                   instant at)
{
    const uint32_t wanted[] = {sku, NONE};
    for (int r = 0; r < 2; r++) {
        struct price_range range = price_set_find(set, wanted[r]);
        for (uint32_t i = 0; i < range.count; i++) {
            const struct price *price = &set->base[range.prices[i]];
            if (price->selector_count == 0) {
                price = find_plain(set, range, i, at);
                if (price) {
                    return price;
                }
                break;
            }
            if (is_in_force(price, at) && selects(catalog, price, sku, dimensions)) {
                return price;
            }
        }
    }
    return NULL;
}

/* Indices of a set are sorted. */
bool price_set_has(const struct price_set *set, const struct price *price)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct price *at = &set->base[set->prices[middle]];
        if (at == price) {
            return true;
        }
        if (at < price) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

uint32_t catalog_plan_of(const struct catalog *catalog, const struct contract *contract,
                         uint32_t plan)
{
    if (contract != NULL && (contract->plan != NONE || contract->source != NONE)) {
        return contract->plan;
    }
    return plan != NONE ? plan : catalog->default_plan;
}

const struct price *catalog_price(const struct catalog *catalog, const struct price_set *overrides,
                                  const struct contract *contract, uint32_t plan, uint32_t sku,
                                  const struct dimension_values *dimensions, instant at, int *level)
{
    assert(sku < catalog->sku_count);
    /* What a source charges is no usage: the catalog's prices are in it already. */
    bool has_source = contract != NULL && contract->source != NONE;
    uint32_t in_force = catalog_plan_of(catalog, contract, plan);
    const struct price_set *sets[] = {
        overrides,
        contract == NULL ? NULL : &contract->prices,
        in_force == NONE ? NULL : &catalog->plans[in_force].prices,
        has_source ? NULL : &catalog->public_prices,
    };
    for (int i = 0; i < 4; i++) {
        const struct price *price =
            sets[i] == NULL ? NULL : find_in(catalog, sets[i], sku, dimensions, at);
        if (price != NULL) {
            if (level != NULL) {
                *level = i;
            }
            return price;
        }
    }
    if (has_source && level != NULL) {
        *level = 1;
    }
    return has_source ? &catalog->prices[contract->cost] : NULL;
}

/* ---- edges ---- */

/* The number of edges <= at. */
static uint32_t count_edges(const struct catalog *catalog, instant at)
{
    uint32_t low = 0, high = catalog->edge_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (catalog->edges[middle] <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

instant catalog_edge_after(const struct catalog *catalog, instant at)
{
    uint32_t index = count_edges(catalog, at);
    return index < catalog->edge_count ? catalog->edges[index] : INSTANT_MAX;
}

instant catalog_edge_before(const struct catalog *catalog, instant at)
{
    uint32_t index = count_edges(catalog, at);
    return index > 0 ? catalog->edges[index - 1] : INSTANT_MIN;
}
