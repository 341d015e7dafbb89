/* series.c - equal (meter, SKU, resource, dimension values) get one number; slots of an account.
 *
 * The table is an open-addressed index over items in chunks, each twice the one before, so that
 * items stay where they are.
 */
#include "usage/usage.h"

#include <assert.h>
#include <stdlib.h>

static const uint32_t FREE = 0xFFFFFFFFu;

void series_table_init(struct series_table *table, struct arena *arena,
                       const struct catalog *catalog)
{
    enum { SLOTS_FIRST = 16 };
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

bool series_equal(const struct series *series, uint64_t hash, uint32_t meter, uint32_t sku,
                  struct text resource, const struct text *dimensions, uint32_t dimension_count)
{
    if (series->hash != hash || series->meter != meter || series->sku != sku ||
        !text_equal(series->resource, resource)) {
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
                     struct text resource, const struct text *dimensions, uint32_t dimension_count)
{
    for (uint32_t at = (uint32_t)hash & table->slot_mask;; at = (at + 1) & table->slot_mask) {
        uint32_t index = table->slots[at];
        if (index == FREE) {
            return NONE;
        }
        if (series_equal(series_at(table, index), hash, meter, sku, resource, dimensions,
                         dimension_count)) {
            return index;
        }
    }
}

static void put_slot(struct series_table *table, uint32_t index)
{
    uint32_t at = (uint32_t)series_at(table, index)->hash & table->slot_mask;
    while (table->slots[at] != FREE) {
        at = (at + 1) & table->slot_mask;
    }
    table->slots[at] = index;
}

/* The last chunk is full: the next one, and slots for all that may be in it.  Behind the last there
 * is none, which is the same as memory that ran out. */
static void grow_table(struct series_table *table, uint32_t chunk)
{
    if (chunk == SERIES_CHUNKS) {
        arena_run_out(table->arena);
    }
    size_t items = (size_t)SERIES_FIRST << chunk;
    table->chunks[chunk] = arena_alloc(table->arena, items * sizeof **table->chunks);
    size_t slot_count = items * 4;
    table->slots = arena_alloc(table->arena, slot_count * sizeof *table->slots);
    memset(table->slots, 0xFF, slot_count * sizeof *table->slots);
    table->slot_mask = (uint32_t)(slot_count - 1);
    for (uint32_t i = 0; i < table->count; i++) {
        put_slot(table, i);
    }
}

uint32_t series_add(struct series_table *table, uint64_t hash, uint32_t meter, uint32_t sku,
                    struct text resource, const struct text *dimensions, uint32_t dimension_count)
{
    uint32_t shifted = table->count / SERIES_FIRST + 1;
    uint32_t chunk = 31u - (uint32_t)__builtin_clz(shifted);
    if (chunk == SERIES_CHUNKS || !table->chunks[chunk]) {
        grow_table(table, chunk);
    }
    struct text *copies = arena_calloc(table->arena, dimension_count, sizeof *copies);
    for (uint32_t i = 0; i < dimension_count; i++) {
        copies[i] = text_copy(table->arena, dimensions[i]);
    }
    const struct meter *of = &table->catalog->meters[meter];
    *series_at(table, table->count) = (struct series){.meter = meter,
                                                      .sku = sku,
                                                      .hash = hash,
                                                      .resource = text_copy(table->arena, resource),
                                                      .dimensions = copies,
                                                      .aggregate = (uint8_t)of->aggregate,
                                                      .grain = (uint8_t)of->grain};
    put_slot(table, table->count);
    return table->count++;
}

/* ---- ranks ----------------------------------------------------------------------------------- */

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
    const struct series *x = series_at(a->table, a->index), *y = series_at(b->table, b->index);
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
        series_at(table, order[i].index)->rank = i;
    }
}

/* ---- slots ----------------------------------------------------------------------------------- */

static struct period slot_around(const struct catalog *catalog, const struct accounts *accounts,
                                 uint32_t account, const struct series *series, struct period cut,
                                 instant at)
{
    struct usage_kind kind = {account, series->sku, &catalog->meters[series->meter],
                              series->dimensions};
    struct period slot = cut;
    bool is_month = kind.meter->grain == GRAIN_MONTH;
    if (!is_month) {
        instant hour = at - at % NS_PER_HOUR;
        slot = period_intersect(slot, (struct period){hour, hour + NS_PER_HOUR});
    }
    if (kind.meter->has_clock) {
        slot = period_intersect(slot, clock_turn(&kind.meter->clock, at));
    }
    hold_narrow(accounts, catalog, &kind, at, &slot);
    hold_narrow_to_turns(accounts, catalog, &kind, !is_month, at, &slot);
    return slot;
}

instant slot_start(const struct catalog *catalog, const struct accounts *accounts, uint32_t account,
                   const struct series *series, struct period cut, instant at)
{
    assert(period_has(cut, at));
    return slot_around(catalog, accounts, account, series, cut, at).from;
}

instant slot_end(const struct catalog *catalog, const struct accounts *accounts, uint32_t account,
                 const struct series *series, struct period cut, instant start)
{
    return slot_around(catalog, accounts, account, series, cut, start).to;
}
