/* table.c - tables of rates: rows of key values and a rate, sorted so that a row is found by
 * bisection. */
#include "catalog/load.h"

#include <stdlib.h>

#include "base/nofloat.h"

struct table_row {
    const struct text *values;
    struct dec rate;
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

static int compare_rows(const void *a, const void *b)
{
    const struct table_row *left = a, *right = b;
    return compare_values(left->values, right->values, left->key_count);
}

static void fill_table(struct loader *loader, const struct yaml_node *rows,
                       struct rate_table *table)
{
    struct table_row *sorted = arena_calloc(loader->arena, rows->count, sizeof *sorted);
    uint32_t count = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct yaml_node *row = &rows->items[i];
        if (!want_kind(loader, row, YAML_LIST)) {
            continue;
        }
        if (row->count != table->key_count + 1) {
            COMPLAIN(loader, row, "TABLE_ROW", NO_HINT,
                     "a row has a value for each of %u keys, then the rate: %u, not %u",
                     table->key_count, table->key_count + 1, row->count);
            continue;
        }
        struct text *values = arena_calloc(loader->arena, table->key_count, sizeof *values);
        struct table_row *out = &sorted[count];
        bool good = read_dec(loader, &row->items[table->key_count], &out->rate);
        for (uint32_t k = 0; k < table->key_count; k++) {
            good = want_kind(loader, &row->items[k], YAML_TEXT) && good;
            values[k] = row->items[k].text;
        }
        out->values = values;
        out->node = row;
        out->key_count = table->key_count;
        count += good;
    }
    if (count > 0) {
        qsort(sorted, count, sizeof *sorted, compare_rows);
    }
    struct text *values =
        arena_calloc(loader->arena, (size_t)count * table->key_count, sizeof *values);
    struct dec *rates = arena_calloc(loader->arena, count, sizeof *rates);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && compare_rows(&sorted[i - 1], &sorted[i]) == 0) {
            bool later = sorted[i].node->offset > sorted[i - 1].node->offset ||
                         sorted[i].node->line > sorted[i - 1].node->line;
            COMPLAIN(loader, sorted[later ? i : i - 1].node, "TABLE_ROW", NO_HINT,
                     "the table has two rows for these keys");
        }
        memcpy(&values[(size_t)i * table->key_count], sorted[i].values,
               table->key_count * sizeof *values);
        rates[i] = sorted[i].rate;
    }
    table->values = values;
    table->rates = rates;
    table->row_count = count;
}

void load_tables(struct loader *loader)
{
    static const char *const keys[] = {"keys", "rows", NULL};
    static const char *const later[] = {"file", "value", "from", NULL};
    struct section tables = loader->tables;
    loader->rate_tables = arena_calloc(loader->arena, tables.count, sizeof *loader->rate_tables);
    loader->table_needs_keys = arena_calloc(loader->arena, tables.count, sizeof(bool));
    for (uint32_t i = 0; i < tables.count; i++) {
        const struct yaml_node *node = tables.items[i];
        struct rate_table *table = &loader->rate_tables[i];
        table->name = node->key;
        if (!want_kind(loader, node, YAML_MAP)) {
            continue;
        }
        check_keys(loader, node, "a table", keys, later);
        const struct yaml_node *names = want_member(loader, node, "keys");
        const struct yaml_node *rows = yaml_member(node, "file") == NULL
                                           ? want_member(loader, node, "rows")
                                           : yaml_member(node, "rows");
        if (names == NULL || !want_kind(loader, names, YAML_LIST)) {
            continue;
        }
        if (names->count == 0 || names->count > TABLE_KEYS_MAX) {
            COMPLAIN(loader, names, "LIMIT", NO_HINT, "a table has 1 to %d keys", TABLE_KEYS_MAX);
            continue;
        }
        table->key_count = names->count;
        for (uint32_t k = 0; k < names->count; k++) {
            if (!want_kind(loader, &names->items[k], YAML_TEXT) ||
                !find_by_key(loader, names->items[k].text, &table->keys[k])) {
                loader->table_needs_keys[i] = true;
            }
        }
        if (rows != NULL && want_kind(loader, rows, YAML_LIST)) {
            fill_table(loader, rows, table);
        }
    }
}

const struct dec *rate_table_find(const struct rate_table *table, const struct text *key)
{
    uint32_t low = 0, high = table->row_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_values(&table->values[(size_t)middle * table->key_count], key,
                                   table->key_count);
        if (order == 0) {
            return &table->rates[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
