/* parquet.c - see parquet.h.
 *
 * Values pass as text: DuckDB casts a column to VARCHAR, which loses nothing of integers, decimals
 * and texts, and times come as nanoseconds or microseconds, whichever the column has: one far away
 * is then a number like others, where a conversion would end the file.  Then a row is a line of
 * JSON like any other, and is accepted or refused like one.
 */
#include "exchange/parquet.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/calendar.h"
#include "base/decimal.h"
#include "decode/decode.h"

/* As DuckDB's C header has it (1.4), which is not needed to build. */
struct duck_result {
    uint64_t deprecated[3];
    void *columns;
    char *error;
    void *internal;
};
struct duck_string {
    uint32_t size;
    char inlined[12];
};
enum { DUCK_INLINED_MAX = 12, DUCK_OK = 0 };

struct parquet {
    struct arena *arena;
    void *library, *database, *connection;
    /* Of the query at hand, here since memory may run out while it is read: */
    void *statement, *chunk;
    struct duck_result result;
    bool has_result;
    int (*create_config)(void **);
    int (*set_config)(void *, const char *, const char *);
    void (*destroy_config)(void **);
    void (*free)(void *);
    int (*open)(const char *, void **, void *, char **);
    void (*close)(void **);
    int (*connect)(void *, void **);
    void (*disconnect)(void **);
    int (*query)(void *, const char *, struct duck_result *);
    const char *(*result_error)(struct duck_result *);
    void (*destroy_result)(struct duck_result *);
    int (*prepare)(void *, const char *, void **);
    const char *(*prepare_error)(void *);
    void (*destroy_prepare)(void **);
    int (*execute_streaming)(void *, struct duck_result *);
    void *(*fetch_chunk)(struct duck_result);
    void (*destroy_chunk)(void **);
    uint64_t (*chunk_size)(void *);
    void *(*chunk_vector)(void *, uint64_t);
    void *(*vector_data)(void *);
    uint64_t *(*vector_validity)(void *);
};

/* ---- the library ----------------------------------------------------------------------------- */

static enum status load_library(struct parquet *p, struct error *err)
{
    const char *named = getenv("FARTHING_DUCKDB"); /* empty: not named */
    named = named && named[0] != '\0' ? named : "libduckdb.so";
    p->library = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    if (!p->library) {
        const char *why = dlerror();
        (void)fail(err, ERR_NOT_FOUND,
                   "DuckDB's library, which reads and writes Parquet, is not there: %s",
                   why ? why : "");
        return fail_hint(err,
                         "install libduckdb.so, or name it: FARTHING_DUCKDB=/path/to/libduckdb.so; "
                         "the npm package @duckdb/node-bindings-linux-x64 has it");
    }
    const struct {
        const char *name;
        void **function;
    } FUNCTIONS[] = {
        {"duckdb_create_config", (void **)&p->create_config},
        {"duckdb_set_config", (void **)&p->set_config},
        {"duckdb_destroy_config", (void **)&p->destroy_config},
        {"duckdb_free", (void **)&p->free},
        {"duckdb_open_ext", (void **)&p->open},
        {"duckdb_close", (void **)&p->close},
        {"duckdb_connect", (void **)&p->connect},
        {"duckdb_disconnect", (void **)&p->disconnect},
        {"duckdb_query", (void **)&p->query},
        {"duckdb_result_error", (void **)&p->result_error},
        {"duckdb_destroy_result", (void **)&p->destroy_result},
        {"duckdb_prepare", (void **)&p->prepare},
        {"duckdb_prepare_error", (void **)&p->prepare_error},
        {"duckdb_destroy_prepare", (void **)&p->destroy_prepare},
        {"duckdb_execute_prepared_streaming", (void **)&p->execute_streaming},
        {"duckdb_fetch_chunk", (void **)&p->fetch_chunk},
        {"duckdb_destroy_data_chunk", (void **)&p->destroy_chunk},
        {"duckdb_data_chunk_get_size", (void **)&p->chunk_size},
        {"duckdb_data_chunk_get_vector", (void **)&p->chunk_vector},
        {"duckdb_vector_get_data", (void **)&p->vector_data},
        {"duckdb_vector_get_validity", (void **)&p->vector_validity},
    };
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        *FUNCTIONS[i].function = dlsym(p->library, FUNCTIONS[i].name);
        if (!*FUNCTIONS[i].function) {
            (void)fail(err, ERR_NOT_FOUND,
                       "%s: is no library of DuckDB, or an old one: it has no %s", named,
                       FUNCTIONS[i].name);
            return fail_hint(err, "name one of version 1.1 or later: "
                                  "FARTHING_DUCKDB=/path/to/libduckdb.so");
        }
    }
    return OK;
}

static enum status open_database(struct parquet *p, int threads, size_t memory_bytes,
                                 struct error *err)
{
    char count[16], memory[32];
    char *why = NULL;
    void *config = NULL;
    (void)snprintf(count, sizeof count, "%d", threads > 0 ? threads : 1);
    (void)snprintf(memory, sizeof memory, "%zuMiB",
                   (memory_bytes >> 20) > 64 ? memory_bytes >> 20 : 64);
    const char *const SETTINGS[][2] = {{"threads", count},
                                       {"memory_limit", memory},
                                       {"autoinstall_known_extensions", "false"},
                                       {"autoload_known_extensions", "false"},
                                       {"preserve_insertion_order", "true"}};
    bool is_good = p->create_config(&config) == DUCK_OK;
    for (size_t i = 0; is_good && i < sizeof SETTINGS / sizeof *SETTINGS; i++) {
        is_good = p->set_config(config, SETTINGS[i][0], SETTINGS[i][1]) == DUCK_OK;
    }
    is_good = is_good && p->open(NULL, &p->database, config, &why) == DUCK_OK &&
              p->connect(p->database, &p->connection) == DUCK_OK;
    if (config) {
        p->destroy_config(&config);
    }
    if (is_good) {
        return OK;
    }
    (void)fail(err, ERR_IO, "DuckDB does not start: %s", why ? why : "no reason given");
    if (why) {
        p->free(why);
    }
    return ERR_IO;
}

enum status parquet_open(struct arena *arena, int threads, size_t memory_bytes,
                         struct parquet **parquet, struct error *err)
{
    *parquet = arena_calloc(arena, 1, sizeof **parquet);
    (*parquet)->arena = arena;
    TRY(load_library(*parquet, err));
    return open_database(*parquet, threads, memory_bytes, err);
}

static void end_query(struct parquet *p)
{
    if (p->chunk) {
        p->destroy_chunk(&p->chunk);
    }
    if (p->has_result) {
        p->destroy_result(&p->result);
        p->has_result = false;
    }
    if (p->statement) {
        p->destroy_prepare(&p->statement);
    }
}

void parquet_close(struct parquet *p)
{
    if (!p) {
        return;
    }
    end_query(p);
    if (p->connection) {
        p->disconnect(&p->connection);
    }
    if (p->database) {
        p->close(&p->database);
    }
    /* The library stays: its threads may still be ending. */
}

/* ---- queries --------------------------------------------------------------------------------- */

/* One line of what DuckDB says. */
static enum status fail_query(const char *path, const char *why, struct error *err)
{
    int size = (int)strcspn(why ? why : "", "\n");
    return fail(err, ERR_INPUT, "%s: DuckDB: %.*s", path, size < 300 ? size : 300, why ? why : "");
}

/* A text in a query. */
static void add_quoted(struct buffer *sql, struct text text, char quote)
{
    buffer_add_char(sql, quote);
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == quote) {
            buffer_add_char(sql, quote);
        }
        buffer_add_char(sql, text.at[i]);
    }
    buffer_add_char(sql, quote);
}

/* This file and no other, and what is in it: the library would take * ? and [ for a pattern, and a
 * folder that is called year=2026 for a column. */
static void add_file(struct buffer *sql, const char *path)
{
    struct buffer plain;
    buffer_init(&plain, sql->arena, 256);
    bool is_input = path[0] == '-' && path[1] == '\0'; /* a file, which has places */
    for (const char *at = is_input ? "/dev/stdin" : path; *at; at++) {
        bool is_pattern = *at == '*' || *at == '?' || *at == '[';
        buffer_add_text(&plain, is_pattern ? TEXT("[") : TEXT(""));
        buffer_add_char(&plain, *at);
        buffer_add_text(&plain, is_pattern ? TEXT("]") : TEXT(""));
    }
    buffer_add_text(sql, TEXT("read_parquet("));
    add_quoted(sql, buffer_text(&plain), '\'');
    buffer_add_text(sql, TEXT(", hive_partitioning = false)"));
}

struct rows {
    const char *path;
    uint32_t column_count;
    enum status (*take)(void *context, const struct text *values, struct error *err);
    void *context;
};

static struct text string_of(const struct duck_string *string)
{
    const char *at = string->inlined;
    if (string->size > DUCK_INLINED_MAX) { /* four bytes of it, then where all of it is */
        memcpy(&at, string->inlined + 4, sizeof at);
    }
    return (struct text){at, string->size};
}

static enum status take_chunk(struct parquet *p, void *chunk, const struct rows *rows,
                              struct text *values, struct error *err)
{
    uint64_t size = p->chunk_size(chunk);
    for (uint64_t row = 0; row < size; row++) {
        for (uint32_t c = 0; c < rows->column_count; c++) {
            void *vector = p->chunk_vector(chunk, c);
            const uint64_t *validity = p->vector_validity(vector);
            const struct duck_string *strings = p->vector_data(vector);
            bool is_there = !validity || (validity[row / 64] >> row % 64 & 1) != 0;
            values[c] = is_there ? string_of(&strings[row]) : (struct text){0};
            values[c].at = is_there && !values[c].at ? "" : values[c].at;
        }
        TRY(rows->take(rows->context, values, err));
    }
    return OK;
}

static enum status start_query(struct parquet *p, const char *sql, const struct rows *rows,
                               struct error *err)
{
    if (p->prepare(p->connection, sql, &p->statement) != DUCK_OK) {
        return fail_query(rows->path, p->prepare_error(p->statement), err);
    }
    p->result = (struct duck_result){0};
    p->has_result = true;
    return p->execute_streaming(p->statement, &p->result) == DUCK_OK
               ? OK
               : fail_query(rows->path, p->result_error(&p->result), err);
}

/* Each row of a query whose columns are all texts; a value that is null has no place. */
static enum status run_query(struct parquet *p, const char *sql, const struct rows *rows,
                             struct error *err)
{
    struct text *values = arena_alloc(p->arena, (rows->column_count + 1) * sizeof *values);
    enum status status = start_query(p, sql, rows, err);
    for (bool is_end = false; status == OK && !is_end;) {
        p->chunk = p->fetch_chunk(p->result);
        if (!p->chunk) {
            const char *why = p->result_error(&p->result);
            status = why ? fail_query(rows->path, why, err) : OK;
            break;
        }
        is_end = p->chunk_size(p->chunk) == 0;
        status = take_chunk(p, p->chunk, rows, values, err);
        p->destroy_chunk(&p->chunk);
    }
    end_query(p);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER,
    COLUMN_WORD,
    COLUMN_TIME_NS,
    COLUMN_TIME_US,
    COLUMN_JSON
};

struct column {
    struct text name;  /* of the member or attribute */
    struct text given; /* as in the file */
    enum column_kind kind;
    bool is_attribute, is_ignored;
};

enum { COLUMNS_MAX = 256 };

struct reading {
    struct parquet *p;
    const char *path;
    struct column columns[COLUMNS_MAX];
    uint32_t column_count;
    struct buffer line;
    bool is_broken; /* the line: it has a column of JSON that is more, or less, than a value */
    enum status (*take)(void *context, struct text line, struct error *err);
    void *context;
};

static bool begins(struct text text, const char *head)
{
    size_t size = strlen(head);
    return text.size >= size && memcmp(text.at, head, size) == 0;
}

static bool find_kind(struct text type, enum column_kind *kind)
{
    static const char *const NUMBERS[] = {
        "TINYINT",  "SMALLINT", "INTEGER",  "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
        "UINTEGER", "UBIGINT",  "UHUGEINT", "FLOAT",  "DOUBLE",  "REAL"};
    static const char *const TEXTS[] = {"VARCHAR", "UUID", "DATE", "TIME"};
    const char last = type.size > 0 ? type.at[type.size - 1] : '\0';
    *kind = COLUMN_NUMBER;
    if (last == ']' || last == ')') { /* lists, of decimals too, structures, choices */
        return last == ')' && begins(type, "DECIMAL(");
    }
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        if (text_equal(type, text_of(NUMBERS[i]))) {
            return true;
        }
    }
    if (begins(type, "TIMESTAMP")) {
        *kind = begins(type, "TIMESTAMP_NS") ? COLUMN_TIME_NS : COLUMN_TIME_US;
        return true;
    }
    *kind = text_equal(type, TEXT("BOOLEAN")) ? COLUMN_WORD
            : text_equal(type, TEXT("JSON"))  ? COLUMN_JSON
                                              : COLUMN_TEXT;
    bool is_text = *kind != COLUMN_TEXT;
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        is_text |= text_equal(type, text_of(TEXTS[i]));
    }
    return is_text;
}

static enum status take_column(void *context, const struct text *values, struct error *err)
{
    static const char *const ATTRIBUTES_READ[] = {"id", "source", "type", "subject", "time"};
    struct reading *reading = context;
    if (reading->column_count == COLUMNS_MAX) {
        return fail(err, ERR_INPUT, "%s has more than %d columns", reading->path, COLUMNS_MAX);
    }
    struct column *column = &reading->columns[reading->column_count++];
    struct text type = values[1];
    *column = (struct column){.given = text_copy(reading->p->arena, values[0])};
    column->name = column->given;
    for (size_t i = 0; i < sizeof ATTRIBUTES_READ / sizeof *ATTRIBUTES_READ; i++) {
        column->is_attribute |= text_equal(column->name, text_of(ATTRIBUTES_READ[i]));
    }
    column->is_ignored = text_equal(column->name, TEXT("specversion"));
    if (begins(column->name, "data.")) {
        column->name = (struct text){column->name.at + 5, column->name.size - 5};
    }
    if (!find_kind(type, &column->kind) || memchr(column->name.at, '.', column->name.size)) {
        (void)fail(err, ERR_INPUT, "%s: column %.*s, a %.*s, cannot be read", reading->path,
                   TEXT_ARG(column->given), TEXT_ARG(type));
        return fail_hint(
            err, "columns of texts, numbers, booleans and timestamps, with a plain name; what is "
                 "nested can stand in a column `data` as JSON");
    }
    if (text_equal(column->given, TEXT("data")) && column->kind == COLUMN_TEXT) {
        column->kind = COLUMN_JSON;
    }
    return OK;
}

/* Units of time since 1970.  What is before it, or beyond its nanoseconds, is for the decoder to
 * refuse, as the time that it is; and so is a word, such as infinity. */
static void add_time(struct buffer *line, struct text value, int64_t units_per_second)
{
    struct dec parsed;
    char time[TIME_FORMAT_MAX];
    if (dec_parse(value, &parsed) != NUMBER_OK) {
        buffer_add_json(line, value);
        return;
    }
    int64_t units = (int64_t)parsed.mantissa, ns_per_unit = NS_PER_SECOND / units_per_second;
    if (units >= 0 && units < INSTANT_MAX / ns_per_unit) {
        int size = time_format((instant)(units * ns_per_unit), time);
        buffer_add_json(line, (struct text){time, (size_t)size});
        return;
    }
    int64_t second = units / units_per_second - (units % units_per_second < 0);
    int64_t day = second / 86400 - (second % 86400 < 0);
    int clock = (int)(second - day * 86400);
    struct civil date = civil_from_days(day);
    buffer_format(line, "\"%s%04d-%02d-%02dT%02d:%02d:%02dZ\"", date.year < 0 ? "-" : "",
                  abs(date.year), date.month, date.day, clock / 3600, clock / 60 % 60, clock % 60);
}

/* False when a text that stands where a value of JSON is wanted would reach beyond its place, as
 * {},"subject":"x" would.  Whether it is a value is for the decoder. */
static bool is_one_value(struct text text)
{
    size_t at = 0;
    if (!json_value_end(text, &at)) {
        return false;
    }
    while (at < text.size && (text.at[at] == ' ' || (text.at[at] >= '\t' && text.at[at] <= '\r'))) {
        at++;
    }
    return at == text.size;
}

static void add_json(struct reading *reading, struct text value)
{
    if (is_one_value(value)) {
        buffer_add_text(&reading->line, value);
    } else {
        buffer_add_json(&reading->line, value);
        reading->is_broken = true;
    }
}

static void add_value(struct reading *reading, const struct column *column, struct text value)
{
    struct buffer *line = &reading->line;
    switch (column->kind) {
    case COLUMN_NUMBER:
        if (!column->is_attribute) {
            buffer_add_text(line, value);
            break;
        }
        buffer_add_json(line, value);
        break;
    case COLUMN_WORD:
        buffer_add_text(line, value);
        break;
    case COLUMN_JSON:
        add_json(reading, value);
        break;
    case COLUMN_TIME_NS:
        add_time(line, value, NS_PER_SECOND);
        break;
    case COLUMN_TIME_US:
        add_time(line, value, NS_PER_SECOND / 1000);
        break;
    default:
        buffer_add_json(line, value);
        break;
    }
}

static void add_member(struct reading *reading, const struct column *column, struct text value,
                       bool *is_first)
{
    struct buffer *line = &reading->line;
    buffer_add_text(line, *is_first ? TEXT("") : TEXT(","));
    buffer_add_json(line, column->name);
    buffer_add_char(line, ':');
    add_value(reading, column, value);
    *is_first = false;
}

static enum status take_row(void *context, const struct text *values, struct error *err)
{
    struct reading *reading = context;
    struct buffer *line = &reading->line;
    line->size = 0;
    reading->is_broken = false;
    buffer_add_text(line, TEXT("{\"specversion\":\"1.0\""));
    bool is_first = false, has_json = false;
    for (uint32_t c = 0; c < reading->column_count; c++) {
        const struct column *column = &reading->columns[c];
        bool is_json = column->kind == COLUMN_JSON && text_equal(column->given, TEXT("data"));
        if (values[c].at && !column->is_ignored && (column->is_attribute || is_json)) {
            add_member(reading, column, values[c], &is_first);
            has_json |= is_json;
        }
    }
    bool has_data = false;
    is_first = true;
    for (uint32_t c = 0; c < reading->column_count && !has_json; c++) {
        const struct column *column = &reading->columns[c];
        if (values[c].at && !column->is_ignored && !column->is_attribute) {
            buffer_add_text(line, has_data ? TEXT("") : TEXT(",\"data\":{"));
            has_data = true;
            add_member(reading, column, values[c], &is_first);
        }
    }
    if (!reading->is_broken) { /* no JSON otherwise, whatever is in it */
        buffer_add_text(line, has_data ? TEXT("}}") : TEXT("}"));
    }
    return reading->take(reading->context, buffer_text(line), err);
}

/* A column as text; of a time the units, or the word where it has none. */
static void add_selected(struct buffer *sql, const struct column *column)
{
    bool is_ns = column->kind == COLUMN_TIME_NS, is_time = is_ns || column->kind == COLUMN_TIME_US;
    if (is_time) {
        buffer_add_text(sql,
                        is_ns ? TEXT("coalesce(CAST(epoch_ns(") : TEXT("coalesce(CAST(epoch_us("));
        add_quoted(sql, column->given, '"');
        buffer_add_text(sql, TEXT(") AS VARCHAR), "));
    }
    buffer_add_text(sql, TEXT("CAST("));
    add_quoted(sql, column->given, '"');
    buffer_add_text(sql, is_time ? TEXT(" AS VARCHAR))") : TEXT(" AS VARCHAR)"));
}

static enum status read_file(struct parquet *parquet, const char *path,
                             enum status (*take)(void *context, struct text line,
                                                 struct error *err),
                             void *context, struct error *err)
{
    struct reading *reading = arena_calloc(parquet->arena, 1, sizeof *reading);
    *reading = (struct reading){.p = parquet, .path = path, .take = take, .context = context};
    struct buffer sql;
    buffer_init(&sql, parquet->arena, 1024);
    buffer_add_text(&sql, TEXT("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "));
    add_file(&sql, path);
    buffer_add(&sql, ")", 2);
    const struct rows columns = {path, 2, take_column, reading};
    TRY(run_query(parquet, sql.at, &columns, err));
    sql.size = 0;
    buffer_add_text(&sql, TEXT("SELECT "));
    for (uint32_t c = 0; c < reading->column_count; c++) {
        buffer_add_text(&sql, c > 0 ? TEXT(", ") : TEXT(""));
        add_selected(&sql, &reading->columns[c]);
    }
    buffer_add_text(&sql, TEXT(" FROM "));
    add_file(&sql, path);
    buffer_add(&sql, "", 1);
    buffer_init(&reading->line, parquet->arena, 4096);
    const struct rows rows = {path, reading->column_count, take_row, reading};
    return run_query(parquet, sql.at, &rows, err);
}

enum status parquet_read(struct parquet *parquet, const char *path,
                         enum status (*take)(void *context, struct text line, struct error *err),
                         void *context, struct error *err)
{
    struct arena_mark mark = arena_mark(parquet->arena); /* files may be many */
    enum status status = read_file(parquet, path, take, context, err);
    arena_rewind(parquet->arena, mark);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

enum status parquet_write(struct parquet *parquet, const char *csv_path, const char *path,
                          struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, parquet->arena, 1024);
    buffer_add_text(
        &sql, TEXT("COPY (SELECT id, source, type, subject, make_timestamp_ns(time) AS time, data "
                   "FROM read_csv("));
    add_quoted(&sql, text_of(csv_path), '\'');
    buffer_add_text(
        &sql,
        TEXT(", auto_detect=false, header=true, delim=',', quote='\"', escape='\"', "
             "max_line_size=16777216, columns={id:'VARCHAR', source:'VARCHAR', type:'VARCHAR', "
             "subject:'VARCHAR', time:'BIGINT', data:'VARCHAR'})) TO "));
    add_quoted(&sql, text_of(path), '\'');
    static const char END[] = " (FORMAT parquet, COMPRESSION zstd)";
    buffer_add(&sql, END, sizeof END);
    struct duck_result result = {0};
    enum status status = OK;
    if (parquet->query(parquet->connection, sql.at, &result) != DUCK_OK) {
        status = fail_query(path, parquet->result_error(&result), err);
    }
    parquet->destroy_result(&result);
    return status;
}
