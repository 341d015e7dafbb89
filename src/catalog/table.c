/* table.c - tables of rates and series of points: rows of key values and a rate, sorted so that a
 * row is found by bisection.
 */
#include "catalog/load.h"

#include <stdlib.h>

#include "base/nofloat.h"

struct table_row {
    const struct text *values;
    struct dec rate;
    instant from;
    const struct yaml_node *node;
    uint32_t key_count;
};

static int compare_values(const struct text *a, const struct text *b, uint32_t count)
{
    int order = 0;
    for (uint32_t i = 0; i < count && order == 0; i++) {
        order = text_compare(a[i], b[i]);
    }
    return order;
}

static int compare_instants(const void *a, const void *b)
{
    const instant *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static int compare_rows(const void *a, const void *b)
{
    const struct table_row *left = a, *right = b;
    int order = compare_values(left->values, right->values, left->key_count);
    return order != 0 ? order : compare_instants(&left->from, &right->from);
}

/* A row of a table is its keys, the rate, and, in one with dates, since when it holds; a point of a
 * series its time, its keys and the value. */
static bool read_row(struct loader *loader, const struct yaml_node *row,
                     const struct rate_table *table, bool has_dates, struct table_row *out)
{
    uint32_t keys = table->key_count, first = table->is_series ? 1 : 0;
    bool is_dated = table->is_series || (has_dates && row->count == keys + 2);
    if (row->count != keys + 1 + is_dated) {
        COMPLAIN(loader, row, "TABLE_ROW", NO_HINT,
                 table->is_series
                     ? "a point has a time, a value for each of %u keys, then its value: %u, not %u"
                     : "a row has a value for each of %u keys, then the rate: %u, not %u",
                 keys, keys + 1 + table->is_series, row->count);
        return false;
    }
    struct text *values = arena_calloc(loader->arena, keys + 1, sizeof *values);
    bool good = read_dec(loader, &row->items[first + keys], &out->rate);
    for (uint32_t k = 0; k < keys; k++) {
        good = want_kind(loader, &row->items[first + k], YAML_TEXT) && good;
        values[k] = row->items[first + k].text;
    }
    out->from = INSTANT_MIN;
    if (is_dated) {
        good = read_instant(loader, &row->items[first == 1 ? 0 : keys + 1], &out->from) && good;
    }
    out->values = values;
    out->node = row;
    out->key_count = keys;
    return good;
}

static void collect_edges(struct loader *loader, struct rate_table *table)
{
    instant *edges = arena_calloc(loader->arena, table->row_count + 1, sizeof *edges);
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; i < table->row_count; i++) {
        if (table->from[i] != INSTANT_MIN) {
            edges[count++] = table->from[i];
        }
    }
    qsort(edges, count, sizeof *edges, compare_instants);
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || edges[kept - 1] != edges[i]) {
            edges[kept++] = edges[i];
        }
    }
    table->edges = edges;
    table->edge_count = kept;
}

static void fill_table(struct loader *loader, const struct yaml_node *rows, bool has_dates,
                       struct rate_table *table)
{
    struct table_row *sorted = arena_calloc(loader->arena, rows->count + 1, sizeof *sorted);
    uint32_t count = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct yaml_node *row = &rows->items[i];
        count += want_kind(loader, row, YAML_LIST) &&
                 read_row(loader, row, table, has_dates, &sorted[count]);
    }
    qsort(sorted, count, sizeof *sorted, compare_rows);
    struct text *values =
        arena_calloc(loader->arena, (size_t)count * table->key_count + 1, sizeof *values);
    struct dec *rates = arena_calloc(loader->arena, count + 1, sizeof *rates);
    instant *from = arena_calloc(loader->arena, count + 1, sizeof *from);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && compare_rows(&sorted[i - 1], &sorted[i]) == 0) {
            bool later = sorted[i].node->offset > sorted[i - 1].node->offset ||
                         sorted[i].node->line > sorted[i - 1].node->line;
            COMPLAIN(loader, sorted[later ? i : i - 1].node, "TABLE_ROW", NO_HINT,
                     "the %s has two rows for these keys%s", table->is_series ? "series" : "table",
                     sorted[i].from == INSTANT_MIN ? "" : " and this time");
        }
        if (table->key_count > 0) {
            memcpy(&values[(size_t)i * table->key_count], sorted[i].values,
                   table->key_count * sizeof *values);
        }
        rates[i] = sorted[i].rate;
        from[i] = sorted[i].from;
    }
    table->values = values;
    table->rates = rates;
    table->from = from;
    table->row_count = count;
    collect_edges(loader, table);
}

static void load_table(struct loader *loader, const struct yaml_node *node, uint32_t index,
                       bool is_series)
{
    static const char *const table_keys[] = {"keys", "rows", "dated", NULL};
    static const char *const series_keys[] = {"keys", "points", NULL};
    static const char *const later[] = {"file", "value", "from", NULL};
    struct rate_table *table = &loader->rate_tables[index];
    table->name = node->key;
    table->is_series = is_series;
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    const char *rows_name = is_series ? "points" : "rows";
    check_keys(loader, node, is_series ? "a series" : "a table",
               is_series ? series_keys : table_keys, later);
    const struct yaml_node *names =
        is_series ? yaml_member(node, "keys") : want_member(loader, node, "keys");
    const struct yaml_node *rows = yaml_member(node, "file") == NULL
                                       ? want_member(loader, node, rows_name)
                                       : yaml_member(node, rows_name);
    if (names != NULL && !want_kind(loader, names, YAML_LIST)) {
        return;
    }
    uint32_t count = names == NULL ? 0 : names->count;
    if ((count == 0 && !is_series) || count > TABLE_KEYS_MAX) {
        if (names != NULL) {
            COMPLAIN(loader, names, "LIMIT", NO_HINT, "a table has 1 to %d keys", TABLE_KEYS_MAX);
        }
        return;
    }
    table->key_count = count;
    for (uint32_t k = 0; k < count; k++) {
        if (!want_kind(loader, &names->items[k], YAML_TEXT) ||
            !find_by_key(loader, names->items[k].text, &table->keys[k])) {
            loader->table_needs_keys[index] = true;
        }
    }
    if (rows != NULL && want_kind(loader, rows, YAML_LIST)) {
        bool has_dates = false;
        if (yaml_member(node, "dated") != NULL) {
            read_bool(loader, yaml_member(node, "dated"), &has_dates);
        }
        fill_table(loader, rows, has_dates, table);
    }
}

void load_tables(struct loader *loader)
{
    uint32_t count = loader->tables.count + loader->series.count;
    loader->rate_tables = arena_calloc(loader->arena, count + 1, sizeof *loader->rate_tables);
    loader->table_needs_keys = arena_calloc(loader->arena, count + 1, sizeof(bool));
    for (uint32_t i = 0; i < loader->tables.count; i++) {
        load_table(loader, loader->tables.items[i], i, false);
    }
    for (uint32_t i = 0; i < loader->series.count; i++) {
        load_table(loader, loader->series.items[i], loader->tables.count + i, true);
    }
    loader->catalog->tables = loader->rate_tables;
    loader->catalog->table_count = count;
}

/* How many rows come before (key, at) or are it. */
static uint32_t count_up_to(const struct rate_table *table, const struct text *key, instant at)
{
    uint32_t low = 0, high = table->row_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_values(&table->values[(size_t)middle * table->key_count], key,
                                   table->key_count);
        if (order < 0 || (order == 0 && table->from[middle] <= at)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has_key(const struct rate_table *table, uint32_t row, const struct text *key)
{
    return row < table->row_count && compare_values(&table->values[(size_t)row * table->key_count],
                                                    key, table->key_count) == 0;
}

const struct dec *rate_table_find(const struct rate_table *table, const struct text *key,
                                  instant at)
{
    uint32_t count = count_up_to(table, key, at);
    return count > 0 && has_key(table, count - 1, key) ? &table->rates[count - 1] : NULL;
}

struct period rate_table_span(const struct rate_table *table, const struct text *key, instant at)
{
    struct period span = {INSTANT_MIN, INSTANT_MAX};
    if (key) {
        uint32_t count = count_up_to(table, key, at);
        if (count > 0 && has_key(table, count - 1, key)) {
            span.from = table->from[count - 1];
        }
        if (has_key(table, count, key)) {
            span.to = table->from[count];
        }
        return span;
    }
    for (uint32_t low = 0, high = table->edge_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (table->edges[middle] <= at) {
            span.from = table->edges[middle];
            low = middle + 1;
        } else {
            span.to = table->edges[middle];
            high = middle;
        }
    }
    return span;
}
