/* table.c - tables of rates and series of points: rows of key values and a rate, sorted so that a
 * row is found by bisection.  Rows stand in the catalog or in a file beside it; both are read as
 * cells, so that one body judges them.
 */
#include "catalog/load.h"
#include "catalog/records.h"

#include <assert.h>
#include <stdlib.h>

#include "base/nofloat.h"

struct table_row {
    const struct text *values;
    struct dec rate;
    instant from, to;
    struct place place;
    uint32_t key_count;
};

/* One row as it was written; from and to may be absent. */
struct cells {
    const struct yaml_node *keys; /* one after the other */
    const struct yaml_node *rate, *from, *to;
    bool is_plain; /* the rate is a number, and no expression */
    struct place place;
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
    int order = compare_values(left->values, right->values, left->key_count);
    return order != 0 ? order : (left->from > right->from) - (left->from < right->from);
}

static bool is_behind(struct place a, struct place b)
{
    return a.line != b.line ? a.line > b.line : a.column > b.column;
}

static bool read_cells(struct loader *loader, const struct rate_table *table,
                       const struct cells *cells, struct table_row *out)
{
    uint32_t keys = table->key_count;
    struct text *values = arena_calloc(loader->arena, keys + 1, sizeof *values);
    bool good = cells->is_plain ? read_plain_number(loader, cells->rate, &out->rate)
                                : read_dec(loader, cells->rate, &out->rate);
    for (uint32_t k = 0; k < keys; k++) {
        good = want_kind(loader, &cells->keys[k], YAML_TEXT) && good;
        values[k] = cells->keys[k].text;
    }
    out->from = INSTANT_MIN;
    out->to = INSTANT_MAX;
    good = (cells->from == NULL || read_instant(loader, cells->from, &out->from)) && good;
    good = (cells->to == NULL || read_instant(loader, cells->to, &out->to)) && good;
    if (good && out->from >= out->to) {
        COMPLAIN(loader, cells->to, "PERIOD_EMPTY",
                 TEXT("`to` is the first instant that is no more in it"),
                 "the row ends before it begins");
        good = false;
    }
    out->values = values;
    out->place = cells->place;
    out->key_count = keys;
    return good;
}

static void collect_edges(struct loader *loader, struct rate_table *table)
{
    instant *edges = arena_calloc(loader->arena, 2 * (size_t)table->row_count + 1, sizeof *edges);
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; i < table->row_count; i++) {
        if (table->from[i] != INSTANT_MIN) {
            edges[count++] = table->from[i];
        }
        if (table->to[i] != INSTANT_MAX) {
            edges[count++] = table->to[i];
        }
    }
    instants_sort(edges, count);
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || edges[kept - 1] != edges[i]) {
            edges[kept++] = edges[i];
        }
    }
    table->edges = edges;
    table->edge_count = kept;
}

/* Of neighbours: two rows that hold at once.  A row without an end ends where the next begins. */
static void check_neighbours(struct loader *loader, const struct rate_table *table,
                             const struct table_row *a, const struct table_row *b)
{
    const struct table_row *second = is_behind(b->place, a->place) ? b : a;
    const struct table_row *first = second == b ? a : b;
    if (compare_rows(a, b) == 0) {
        complain(loader->complaints, second->place, "TABLE_ROW", NO_HINT,
                 "the %s has two rows for these keys%s: the other is in line %u",
                 table->is_series ? "series" : "table",
                 a->from == INSTANT_MIN ? "" : " and this time", first->place.line);
    } else if (compare_values(a->values, b->values, a->key_count) == 0 && a->to != INSTANT_MAX &&
               a->to > b->from) {
        complain(loader->complaints, second->place, "TABLE_OVERLAP",
                 TEXT("`to` is the first instant that is no more in a row"),
                 "the row holds at the same time as that of the same keys in line %u",
                 first->place.line);
    }
}

static void finish_table(struct loader *loader, struct rate_table *table, struct table_row *sorted,
                         uint32_t count)
{
    qsort(sorted, count, sizeof *sorted, compare_rows);
    struct text *values =
        arena_calloc(loader->arena, (size_t)count * table->key_count + 1, sizeof *values);
    struct dec *rates = arena_calloc(loader->arena, count + 1, sizeof *rates);
    instant *from = arena_calloc(loader->arena, count + 1, sizeof *from);
    instant *to = arena_calloc(loader->arena, count + 1, sizeof *to);
    struct place *places = arena_calloc(loader->arena, count + 1, sizeof *places);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            check_neighbours(loader, table, &sorted[i - 1], &sorted[i]);
        }
        if (table->key_count > 0) {
            memcpy(&values[(size_t)i * table->key_count], sorted[i].values,
                   table->key_count * sizeof *values);
        }
        rates[i] = sorted[i].rate;
        from[i] = sorted[i].from;
        to[i] = sorted[i].to;
        places[i] = sorted[i].place;
    }
    table->values = values;
    table->rates = rates;
    table->from = from;
    table->to = to;
    table->places = places;
    table->row_count = count;
    collect_edges(loader, table);
}

/* ---- rows in the catalog ---- */

/* A row of a table is its keys, the rate, and, in one with dates, since when it holds and until
 * when; a point of a series its time, its keys and the value. */
static bool read_row(struct loader *loader, const struct yaml_node *row,
                     const struct rate_table *table, bool has_dates, struct table_row *out)
{
    uint32_t keys = table->key_count, first = table->is_series ? 1 : 0;
    uint32_t least = keys + 1 + first, most = least + (has_dates ? 2 : 0);
    if (row->count < least || row->count > most) {
        bool may_be_dated =
            !table->is_series && !has_dates && row->count > least && row->count <= least + 2;
        COMPLAIN(loader, row, "TABLE_ROW",
                 may_be_dated ? TEXT("with `dated: true` in the table, a row may say since when "
                                     "and until when it holds")
                              : NO_HINT,
                 table->is_series
                     ? "a point has a time, a value for each of %u keys, then its value: %u, not %u"
                 : has_dates
                     ? "a row has a value for each of %u keys, then the rate, and it may say since "
                       "when and until when: %u or one or two more, not %u"
                     : "a row has a value for each of %u keys, then the rate: %u, not %u",
                 keys, least, row->count);
        return false;
    }
    struct cells cells = {.keys = &row->items[first],
                          .rate = &row->items[first + keys],
                          .from = first == 1 ? &row->items[0] : NULL,
                          .place = yaml_place(row)};
    if (row->count > least && row->items[least].kind != YAML_NONE) {
        cells.from = &row->items[least];
    }
    if (row->count > least + 1 && row->items[least + 1].kind != YAML_NONE) {
        cells.to = &row->items[least + 1];
    }
    return read_cells(loader, table, &cells, out);
}

static void fill_table(struct loader *loader, const struct yaml_node *rows, bool has_dates,
                       struct rate_table *table)
{
    struct table_row *found = arena_calloc(loader->arena, rows->count + 1, sizeof *found);
    uint32_t count = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct yaml_node *row = &rows->items[i];
        count += want_kind(loader, row, YAML_LIST) &&
                 read_row(loader, row, table, has_dates, &found[count]);
    }
    finish_table(loader, table, found, count);
}

/* ---- rows in a file ---- */

/* Its columns, in the order of these numbers, behind one for each key. */
enum column { COLUMN_RATE, COLUMN_FROM, COLUMN_TO, COLUMNS };
_Static_assert((int)TABLE_KEYS_MAX + (int)COLUMNS <= (int)RECORD_FIELDS_MAX,
               "a row has a place for every column");

struct table_file {
    struct loader *loader;
    struct rate_table *table;
    const struct yaml_node *node; /* where the catalog names it */
    struct yaml_file file;
    struct text names[TABLE_KEYS_MAX + COLUMNS]; /* of columns */
    struct yaml_node cells[TABLE_KEYS_MAX + COLUMNS];
    struct table_row *rows;
    uint32_t count;
};

static uint32_t column_of(const struct table_file *file, enum column column)
{
    return file->table->key_count + (uint32_t)column;
}

static uint32_t column_count(const struct table_file *file)
{
    return column_of(file, file->table->is_series ? COLUMN_TO : COLUMNS); /* points have no end */
}

/* Of the columns, those that every row has something in. */
static bool is_needed(const struct table_file *file, uint32_t column)
{
    return column <= column_of(file, COLUMN_RATE) ||
           (file->table->is_series && column == column_of(file, COLUMN_FROM));
}

static bool take_header(void *context, uint32_t present)
{
    struct table_file *file = context;
    bool good = true;
    for (uint32_t c = 0; c < column_count(file); c++) {
        if (!is_needed(file, c) || present >> c & 1) {
            continue;
        }
        struct place place = {file->file.name, 1, 1};
        complain(file->loader->complaints, place, "TABLE_FILE",
                 present == 0 ? TEXT("none that is wanted is in the header: in CSV its names are "
                                     "separated by commas")
                 : c == column_of(file, COLUMN_RATE) ? TEXT("say which it is: value: COLUMN")
                                                     : NO_HINT,
                 "the file has no column %.*s", TEXT_ARG(file->names[c]));
        good = false;
    }
    return good;
}

static void take_row(void *context, const struct record_row *row)
{
    struct table_file *file = context;
    struct loader *loader = file->loader;
    struct place place = {file->file.name, row->line, 1};
    for (uint32_t c = 0; c < column_count(file); c++) {
        bool is_key = c < file->table->key_count;
        bool is_empty = row->values[c].size == 0;
        place.column = row->columns[c];
        if (is_needed(file, c) && (!(row->present >> c & 1) || (is_empty && !is_key))) {
            complain(loader->complaints, place, "TABLE_ROW", NO_HINT, "the row has no %.*s",
                     TEXT_ARG(file->names[c]));
            return;
        }
        file->cells[c] = (struct yaml_node){.kind = YAML_TEXT,
                                            .is_plain = true,
                                            .line = row->line,
                                            .column = row->columns[c],
                                            .file = &file->file,
                                            .text = text_copy(loader->arena, row->values[c])};
    }
    const struct yaml_node *from = &file->cells[column_of(file, COLUMN_FROM)];
    const struct yaml_node *to = &file->cells[column_of(file, COLUMN_TO)];
    struct cells cells = {.keys = file->cells,
                          .rate = &file->cells[column_of(file, COLUMN_RATE)],
                          .from = from->text.size > 0 ? from : NULL,
                          .to = to->text.size > 0 ? to : NULL,
                          .is_plain = true,
                          .place = place};
    file->count += read_cells(loader, file->table, &cells, &file->rows[file->count]);
}

static void take_fault(void *context, uint32_t line, uint32_t column, const char *code,
                       const char *message, const char *hint)
{
    struct table_file *file = context;
    complain(file->loader->complaints, (struct place){file->file.name, line, column}, code,
             text_of(hint), "%s", message);
}

/* Names of files beside the catalog's: none leads out of its folder. */
static bool is_inside(struct text name)
{
    bool good = name.size > 0 && !text_equal(name, TEXT("-"));
    for (size_t i = 0, start = 0; good && i <= name.size; i++) {
        if (i < name.size && name.at[i] != '/') {
            good = name.at[i] != '\\';
            continue;
        }
        struct text part = {name.at + start, i - start};
        good = part.size > 0 && !text_equal(part, TEXT(".")) && !text_equal(part, TEXT(".."));
        start = i + 1;
    }
    return good;
}

/* The file's path, as complaints name it: beside the file that names it. */
struct text path_beside(struct loader *loader, const struct yaml_node *node)
{
    struct text beside = node->file->name;
    while (beside.size > 0 && beside.at[beside.size - 1] != '/') {
        beside.size--;
    }
    return text_join(loader->arena, beside, node->text);
}

bool path_is_inside(struct text path, const struct yaml_node *node)
{
    struct text folder = node->file->name;
    while (folder.size > 0 && folder.at[folder.size - 1] != '/') {
        folder.size--;
    }
    return path.size > folder.size &&
           is_inside((struct text){path.at + folder.size, path.size - folder.size});
}

static bool find_file(struct table_file *file)
{
    struct loader *loader = file->loader;
    const struct yaml_node *node = file->node;
    if (!want_kind(loader, node, YAML_TEXT) || !check_name(loader, yaml_place(node), node->text)) {
        return false;
    }
    if (!is_inside(node->text)) {
        COMPLAIN(loader, node, "TABLE_FILE", TEXT("rates.csv, or prices/rates.csv"),
                 "the file is to be in the catalog's folder or in one below it");
        return false;
    }
    const struct table_source *source = loader->input->tables;
    struct text reason = TEXT("there is none");
    file->file.name = path_beside(loader, node);
    if (source == NULL ||
        !source->find(source->context, file->file.name, &file->file.bytes, &reason)) {
        COMPLAIN(loader, node, "TABLE_FILE",
                 TEXT("a table's file stands beside the file that names it"),
                 "the file %.*s cannot be read: %.*s", TEXT_ARG(node->text), TEXT_ARG(reason));
        return false;
    }
    if (file->file.bytes.size > TABLE_FILE_MAX_BYTES) {
        complain(loader->complaints, (struct place){file->file.name, 1, 1}, "FILE_SIZE",
                 TEXT("split it into several tables"), "a table's file has at most %d bytes",
                 TABLE_FILE_MAX_BYTES);
        return false;
    }
    return true;
}

static uint32_t count_lines(struct text bytes)
{
    uint32_t count = 1;
    for (size_t i = 0; i < bytes.size; i++) {
        count += bytes.at[i] == '\n';
    }
    return count;
}

/* What each column is called; false when the value's would be a key's. */
static bool name_columns(struct table_file *file, const struct yaml_node *node,
                         const struct yaml_node *names)
{
    struct loader *loader = file->loader;
    const struct yaml_node *value = yaml_member(node, "value");
    for (uint32_t k = 0; k < file->table->key_count; k++) {
        file->names[k] = names->items[k].text;
    }
    struct text *rate = &file->names[column_of(file, COLUMN_RATE)];
    *rate = TEXT("value");
    if (value != NULL && !read_name(loader, value, rate)) {
        return false;
    }
    file->names[column_of(file, COLUMN_FROM)] =
        file->table->is_series ? TEXT("time") : TEXT("from");
    file->names[column_of(file, COLUMN_TO)] = TEXT("to");
    for (uint32_t k = 0; k < file->table->key_count; k++) {
        if (text_equal(file->names[k], *rate)) {
            COMPLAIN(loader, value != NULL ? value : file->node, "BAD_VALUE",
                     TEXT("value: the column of the rates"),
                     "the column %.*s is one of the keys, and so not that of the rates",
                     TEXT_ARG(*rate));
            return false;
        }
    }
    return true;
}

static void read_file(struct loader *loader, const struct yaml_node *node,
                      const struct yaml_node *names, uint32_t index)
{
    struct table_file file = {
        .loader = loader, .table = &loader->rate_tables[index], .node = yaml_member(node, "file")};
    if (!name_columns(&file, node, names) || !find_file(&file)) {
        return;
    }
    uint32_t lines = count_lines(file.file.bytes);
    if (lines > TABLE_ROWS_MAX + 2) {
        complain(loader->complaints, (struct place){file.file.name, TABLE_ROWS_MAX + 3, 1}, "LIMIT",
                 TEXT("split it into several tables"), "a table's file has at most %d rows",
                 TABLE_ROWS_MAX);
        return;
    }
    file.rows = arena_calloc(loader->arena, lines + 1, sizeof *file.rows);
    struct record_sink sink = {&file, take_header, take_row, take_fault};
    struct record_reader *reader =
        records_new(loader->arena, file.names, NULL, column_count(&file), true);
    uint32_t errors = loader->complaints->errors;
    records_feed(reader, file.file.bytes, true, &sink);
    if (file.count == 0 && loader->complaints->errors == errors) {
        complain(loader->complaints, (struct place){file.file.name, 1, 1}, "TABLE_FILE", NO_HINT,
                 "the file has no rows");
    }
    loader->table_digests[index] = hash_digest(file.file.bytes);
    loader->table_has_file[index] = true;
    finish_table(loader, file.table, file.rows, file.count);
}

/* ---- both ---- */

/* Keys that are said of rows in the catalog, or of a file, and not of both. */
static void check_rows_or_file(struct loader *loader, const struct yaml_node *node,
                               const char *rows_name)
{
    const struct yaml_node *file = yaml_member(node, "file"), *value = yaml_member(node, "value");
    const struct yaml_node *rows = yaml_member(node, rows_name);
    const struct yaml_node *dated = yaml_member(node, "dated");
    if (file != NULL && rows != NULL) {
        complain(loader->complaints, yaml_key_place(rows), "CHOOSE_ONE", NO_HINT,
                 "rows stand here or in a file, not in both");
    }
    if (file != NULL && dated != NULL) {
        complain(loader->complaints, yaml_key_place(dated), "CHOOSE_ONE", NO_HINT,
                 "a file says by its columns from and to when its rows hold");
    }
    if (file == NULL && value != NULL) {
        complain(loader->complaints, yaml_key_place(value), "CHOOSE_ONE", TEXT("file: rates.csv"),
                 "value names a column of a file, and here is none");
    }
}

static void load_table(struct loader *loader, const struct yaml_node *node, uint32_t index,
                       bool is_series)
{
    static const char *const table_keys[] = {"keys", "rows", "dated", "file", "value", NULL};
    static const char *const series_keys[] = {"keys", "points", "file", "value", NULL};
    struct rate_table *table = &loader->rate_tables[index];
    table->name = node->key;
    table->is_series = is_series;
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    const char *rows_name = is_series ? "points" : "rows";
    check_keys(loader, node, is_series ? "a series" : "a table",
               is_series ? series_keys : table_keys);
    check_rows_or_file(loader, node, rows_name);
    const struct yaml_node *names =
        is_series ? yaml_member(node, "keys") : want_member(loader, node, "keys");
    bool has_file = yaml_member(node, "file") != NULL;
    const struct yaml_node *rows = has_file ? NULL : want_member(loader, node, rows_name);
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
            if (loader->table_key_unknown[index].size == 0) {
                loader->table_key_unknown[index] = names->items[k].text;
            }
        }
    }
    if (has_file) {
        read_file(loader, node, names, index);
    } else if (rows != NULL && want_kind(loader, rows, YAML_LIST)) {
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
    loader->table_key_unknown =
        arena_calloc(loader->arena, count + 1, sizeof *loader->table_key_unknown);
    loader->table_has_file = arena_calloc(loader->arena, count + 1, sizeof(bool));
    loader->table_digests = arena_calloc(loader->arena, count + 1, sizeof *loader->table_digests);
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
    return count > 0 && has_key(table, count - 1, key) && at < table->to[count - 1]
               ? &table->rates[count - 1]
               : NULL;
}

struct period rate_table_span(const struct rate_table *table, const struct text *key, instant at)
{
    struct period span = {INSTANT_MIN, INSTANT_MAX};
    if (key) {
        uint32_t count = count_up_to(table, key, at);
        if (count > 0 && has_key(table, count - 1, key)) {
            bool is_over = table->to[count - 1] <= at;
            span.from = is_over ? table->to[count - 1] : table->from[count - 1];
            span.to = is_over ? span.to : table->to[count - 1];
        }
        if (has_key(table, count, key) && table->from[count] < span.to) {
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

static enum status look_up(const struct rate_table *table, const struct expr_value *args,
                           size_t arg_count, instant at, struct arena *scratch,
                           struct expr_value *out, struct error *err)
{
    struct text key[EXPR_ARGS_MAX];
    assert(arg_count == table->key_count + 1);
    for (size_t i = 1; i < arg_count; i++) {
        key[i - 1] = args[i].text;
        if (args[i].type != EXPR_TEXT) {
            struct buffer text;
            buffer_init(&text, scratch, DEC_FORMAT_MAX);
            expr_value_format(&args[i], &text);
            key[i - 1] = buffer_text(&text);
        }
    }
    const struct dec *rate = rate_table_find(table, key, at);
    if (!rate) {
        struct buffer keys;
        buffer_init(&keys, scratch, DEC_FORMAT_MAX);
        for (uint32_t i = 0; i < table->key_count; i++) {
            buffer_add_text(&keys, i > 0 ? TEXT(", ") : TEXT(""));
            buffer_add_text(&keys, key[i]);
        }
        return fail(err, ERR_INPUT, "the %s %.*s has no row for %.*s%s",
                    table->is_series ? "series" : "table", TEXT_ARG(table->name),
                    TEXT_ARG(buffer_text(&keys)), table->edge_count > 0 ? " at that time" : "");
    }
    *out = expr_number(*rate);
    return OK;
}

enum status catalog_call(const struct catalog *catalog, uint32_t slot,
                         const struct expr_value *args, size_t arg_count, instant at,
                         struct arena *scratch, struct expr_value *out, struct error *err)
{
    if (slot >= CALL_LOOKUP) {
        return look_up(&catalog->tables[slot - CALL_LOOKUP], args, arg_count, at, scratch, out,
                       err);
    }
    *out = expr_bool(calendar_has(&catalog->calendars[slot - CALL_CALENDAR], at));
    return OK;
}
