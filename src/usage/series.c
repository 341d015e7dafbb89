/* series.c - equal (meter, SKU, resource, dimension values) get one number; slots of an account.
 *
 * The table is an open-addressed index over an array, with the hashes beside it so that growing
 * does not touch the texts.
 */
#include "usage/usage.h"

#include <assert.h>
#include <stdlib.h>

static const uint32_t FREE = 0xFFFFFFFFu;

void series_table_init(struct series_table *table, struct arena *arena,
                       const struct catalog *catalog)
{
    enum { SLOTS_FIRST = 1024 };
    *table = (struct series_table){.arena = arena, .catalog = catalog};
    table->slots = arena_alloc(arena, SLOTS_FIRST * sizeof *table->slots);
    memset(table->slots, 0xFF, SLOTS_FIRST * sizeof *table->slots);
    table->slot_mask = SLOTS_FIRST - 1;
}

uint64_t series_hash(uint32_t meter, uint32_t sku, struct text resource,
                     const struct text *dimensions, uint32_t dimension_count)
{
    uint64_t hash = hash_print64(resource.at, resource.size, (uint64_t)meter << 32 | sku);
    for (uint32_t i = 0; i < dimension_count; i++) {
        hash = hash_print64(dimensions[i].at, dimensions[i].size, hash + i);
    }
    return hash;
}

static bool is_series(const struct series *series, uint32_t meter, uint32_t sku,
                      struct text resource, const struct text *dimensions,
                      uint32_t dimension_count)
{
    if (series->meter != meter || series->sku != sku || !text_equal(series->resource, resource)) {
        return false;
    }
    for (uint32_t i = 0; i < dimension_count; i++) {
        if (!text_equal(series->dimensions[i], dimensions[i])) {
            return false;
        }
    }
    return true;
}

uint32_t series_find(const struct series_table *table, uint64_t hash, uint32_t meter, uint32_t sku,
                     struct text resource, const struct text *dimensions,
                     uint32_t dimension_count)
{
    for (uint32_t at = (uint32_t)hash & table->slot_mask;; at = (at + 1) & table->slot_mask) {
        uint32_t index = table->slots[at];
        if (index == FREE) {
            return NONE;
        }
        if (table->hashes[index] == hash && is_series(&table->items[index], meter, sku, resource,
                                                      dimensions, dimension_count)) {
            return index;
        }
    }
}

static void put_slot(struct series_table *table, uint32_t index)
{
    uint32_t at = (uint32_t)table->hashes[index] & table->slot_mask;
    while (table->slots[at] != FREE) {
        at = (at + 1) & table->slot_mask;
    }
    table->slots[at] = index;
}

static void grow_table(struct series_table *table)
{
    uint32_t capacity = table->capacity ? table->capacity * 2 : 256;
    table->items = arena_grow(table->arena, table->items, table->count, capacity,
                              sizeof *table->items);
    table->hashes = arena_grow(table->arena, table->hashes, table->count, capacity,
                               sizeof *table->hashes);
    table->capacity = capacity;
    size_t slot_count = (size_t)capacity * 4;
    if (slot_count > (size_t)table->slot_mask + 1) {
        table->slots = arena_alloc(table->arena, slot_count * sizeof *table->slots);
        memset(table->slots, 0xFF, slot_count * sizeof *table->slots);
        table->slot_mask = (uint32_t)(slot_count - 1);
        for (uint32_t i = 0; i < table->count; i++) {
            put_slot(table, i);
        }
    }
}

uint32_t series_add(struct series_table *table, uint64_t hash, uint32_t meter, uint32_t sku,
                    struct text resource, const struct text *dimensions, uint32_t dimension_count)
{
    if (table->count == table->capacity) {
        grow_table(table);
    }
    struct text *copies = arena_calloc(table->arena, dimension_count + 1, sizeof *copies);
    for (uint32_t i = 0; i < dimension_count; i++) {
        copies[i] = text_copy(table->arena, dimensions[i]);
    }
    table->items[table->count] = (struct series){.meter = meter,
                                                 .sku = sku,
                                                 .resource = text_copy(table->arena, resource),
                                                 .dimensions = copies};
    table->hashes[table->count] = hash;
    put_slot(table, table->count);
    return table->count++;
}

/* ---- ranks ------------------------------------------------------------------------------------- */

struct ranked {
    const struct series_table *table;
    uint32_t index;
};

/* The value of a catalog dimension in a series; empty when its meter has no such dimension. */
static struct text dimension_value(const struct catalog *catalog, const struct series *series,
                                   uint32_t name)
{
    const struct meter *meter = &catalog->meters[series->meter];
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        if (meter->dimensions[i].name == name) {
            return series->dimensions[i];
        }
    }
    return TEXT("");
}

static int compare_ranked(const void *a_ranked, const void *b_ranked)
{
    const struct ranked *a = a_ranked, *b = b_ranked;
    const struct catalog *catalog = a->table->catalog;
    const struct series *x = &a->table->items[a->index], *y = &b->table->items[b->index];
    int order = text_compare(x->resource, y->resource);
    if (order == 0 && x->sku != y->sku) {
        order = x->sku < y->sku ? -1 : 1; /* SKUs are sorted by name */
    }
    for (uint32_t name = 0; order == 0 && name < catalog->dimension_count; name++) {
        order = text_compare(dimension_value(catalog, x, name), dimension_value(catalog, y, name));
    }
    if (order == 0 && x->meter != y->meter) {
        order = x->meter < y->meter ? -1 : 1; /* meters are sorted by name */
    }
    return order;
}

void series_rank(struct series_table *table)
{
    struct ranked *order = arena_calloc(table->arena, table->count + 1, sizeof *order);
    for (uint32_t i = 0; i < table->count; i++) {
        order[i] = (struct ranked){table, i};
    }
    qsort(order, table->count, sizeof *order, compare_ranked);
    for (uint32_t i = 0; i < table->count; i++) {
        table->items[order[i].index].rank = i;
    }
}

/* ---- slots ------------------------------------------------------------------------------------- */

instant slot_start(const struct catalog *catalog, const struct accounts *accounts,
                   uint32_t account, enum grain grain, struct period cut, instant at)
{
    assert(period_has(cut, at));
    instant start = grain == GRAIN_MONTH ? cut.from : at - at % NS_PER_HOUR;
    instant next;
    instant edge = accounts_edge(accounts, catalog, account, at, &next);
    start = edge > start ? edge : start;
    return start > cut.from ? start : cut.from;
}

instant slot_end(const struct catalog *catalog, const struct accounts *accounts, uint32_t account,
                 enum grain grain, struct period cut, instant start)
{
    instant end = grain == GRAIN_MONTH ? cut.to : start - start % NS_PER_HOUR + NS_PER_HOUR;
    instant next;
    (void)accounts_edge(accounts, catalog, account, start, &next);
    end = next < end ? next : end;
    return end < cut.to ? end : cut.to;
}
