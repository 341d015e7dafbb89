/* table.c - see table.h. */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FARTHING_SOURCE_DIR
#define FARTHING_SOURCE_DIR "."
#endif

struct reader {
    char path[4096];
    int line;
};

static _Noreturn void stop(const struct reader *reader, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", reader->path, reader->line, what);
    abort();
}

struct bytes {
    char *at;
    size_t size, capacity;
};

static void add(struct bytes *bytes, const char *more, size_t size)
{
    if (bytes->size + size > bytes->capacity) {
        bytes->capacity = (bytes->size + size) * 2;
        bytes->at = realloc(bytes->at, bytes->capacity);
        if (!bytes->at) {
            abort();
        }
    }
    memcpy(bytes->at + bytes->size, more, size);
    bytes->size += size;
}

static int read_hex(const struct reader *reader, char c)
{
    const char *digits = "0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    if (!at) {
        stop(reader, "\\x takes two upper-case hexadecimal digits");
    }
    return (int)(at - digits);
}

/* at is behind the backslash; returns the place behind the escape. */
static const char *read_escape(const struct reader *reader, const char *at, struct bytes *out)
{
    static const char names[] = "tnr\\\"|";
    static const char values[] = "\t\n\r\\\"|";
    const char *name = *at ? strchr(names, *at) : NULL;
    if (name) {
        add(out, &values[name - names], 1);
        return at + 1;
    }
    if (*at == 'x') {
        int high = read_hex(reader, at[1]);
        char byte = (char)(high * 16 + read_hex(reader, at[2]));
        add(out, &byte, 1);
        return at + 3;
    }
    if (*at == '(') {
        const char *star = strchr(at, '*');
        char *end = NULL;
        unsigned long count = star ? strtoul(star + 1, &end, 10) : 0;
        if (star && end != star + 1 && *end == ')') {
            for (unsigned long i = 0; i < count; i++) {
                add(out, at + 1, (size_t)(star - at) - 1);
            }
            return end + 1;
        }
    }
    stop(reader, "no such escape");
}

/* Reads one field; returns the bar behind it, or the zero at the end of the line. */
static const char *read_field(const struct reader *reader, const char *at, struct text *field)
{
    struct bytes out = {0};
    add(&out, "", 1); /* so that an empty text points somewhere */
    out.size = 0;
    at += strspn(at, " ");
    bool quoted = *at == '"';
    at += quoted;
    size_t kept = 0; /* bytes that are not trailing blanks */
    while (*at && (quoted ? *at != '"' : *at != '|')) {
        bool blank = !quoted && *at == ' ';
        if (*at == '\\') {
            at = read_escape(reader, at + 1, &out);
        } else {
            add(&out, at++, 1);
        }
        kept = blank ? kept : out.size;
    }
    if (quoted) {
        if (*at != '"') {
            stop(reader, "a quote is not closed");
        }
        at++;
        at += strspn(at, " ");
        if (*at && *at != '|') {
            stop(reader, "text behind a quoted field");
        }
    }
    *field = (struct text){out.at, kept};
    return at;
}

struct table table_read(const char *name)
{
    struct reader reader = {.line = 0};
    snprintf(reader.path, sizeof reader.path, "%s/test/table/%s.tbl", FARTHING_SOURCE_DIR, name);
    FILE *file = fopen(reader.path, "r");
    if (!file) {
        stop(&reader, "cannot be opened");
    }
    struct table table = {0};
    size_t capacity = 0;
    char *line = NULL;
    size_t line_capacity = 0;
    for (ssize_t length; (length = getline(&line, &line_capacity, file)) >= 0;) {
        reader.line++;
        if (length > 0 && line[length - 1] == '\n') {
            line[--length] = '\0';
        }
        const char *at = line + strspn(line, " ");
        if (*at == '\0' || *at == '#') {
            continue;
        }
        if (table.row_count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            table.rows = realloc(table.rows, capacity * sizeof *table.rows);
            if (!table.rows) {
                abort();
            }
        }
        struct table_row *row = &table.rows[table.row_count++];
        *row = (struct table_row){.line = reader.line};
        for (int i = 0; i < TABLE_FIELDS_MAX; i++) {
            row->fields[i] =
                TEXT(""); /* read_field puts memory of its own in those that are there */
        }
        for (;;) {
            if (row->field_count == TABLE_FIELDS_MAX) {
                stop(&reader, "too many fields");
            }
            at = read_field(&reader, at, &row->fields[row->field_count++]);
            if (*at == '\0') {
                break;
            }
            at++;
        }
    }
    free(line);
    fclose(file);
    if (table.row_count == 0) {
        stop(&reader, "has no rows");
    }
    return table;
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->row_count; i++) {
        for (int j = 0; j < table->rows[i].field_count; j++) {
            free((char *)(uintptr_t)table->rows[i].fields[j].at);
        }
    }
    free(table->rows);
    *table = (struct table){0};
}
