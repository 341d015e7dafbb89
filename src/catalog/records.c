/* records.c - see records.h.
 *
 * Lines that lie whole in the bytes given are read where they are; only a line that is cut is
 * carried over. Values point into the line unless they had to be unescaped.
 */
#include "catalog/records.h"

#include <assert.h>
#include <stdio.h>

#include "catalog/complain.h"

#include "base/nofloat.h"

enum record_format { FORMAT_UNKNOWN, FORMAT_CSV_HEADER, FORMAT_CSV, FORMAT_NDJSON, FORMAT_SKIP };

enum { COLUMNS_MAX = 64, NAME_REFUSED = RECORD_OTHERS + 1 };

struct record_reader {
    const struct text *names, *aliases;
    uint32_t name_count;
    uint32_t truth_names; /* bits of those that may be true or false */
    bool passes_others;   /* names besides are no faults */
    enum record_format format;
    uint32_t line;
    uint32_t columns[COLUMNS_MAX]; /* of the header: index of the name */
    uint32_t column_count;
    uint32_t present; /* names in the header */
    bool too_long;    /* the rest of a line beyond the limit is being skipped */
    size_t carry_size;
    char *carry;   /* the start of a line that was cut */
    char *scratch; /* unescaped values of one line */
    size_t scratch_size;
    struct record_row row;
};

struct record_reader *records_new(struct arena *arena, const struct text *names,
                                  const struct text *aliases, uint32_t name_count,
                                  bool passes_others)
{
    assert(name_count <= RECORD_FIELDS_MAX);
    struct record_reader *reader = arena_calloc(arena, 1, sizeof *reader);
    reader->names = names;
    reader->aliases = aliases;
    reader->name_count = name_count;
    reader->passes_others = passes_others;
    reader->carry = arena_alloc(arena, RECORD_LINE_MAX_BYTES);
    reader->scratch = arena_alloc(arena, RECORD_LINE_MAX_BYTES);
    return reader;
}

void records_take_truths(struct record_reader *reader, uint32_t names)
{
    reader->truth_names = names;
}

/* ---- faults -------------------------------------------------------------------------------- */

static void report(const struct record_reader *reader, const struct record_sink *sink,
                   size_t offset, const char *code, const char *message, const char *hint)
{
    sink->fault(sink->context, reader->line, (uint32_t)offset + 1, code, message, hint);
}

/* A name as it was read, for a message: at most 40 bytes, and nothing that could disturb a
 * terminal. */
static void print_name(struct text name, char out[48])
{
    size_t size = name.size < 40 ? name.size : 40;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)name.at[i];
        out[i] = byte < 0x20 || byte >= 0x7F ? '?' : name.at[i];
    }
    out[size] = '\0';
}

static uint32_t find_name(const struct record_reader *reader, struct text name)
{
    for (uint32_t i = 0; i < reader->name_count; i++) {
        if (text_equal(reader->names[i], name) || (reader->aliases && reader->aliases[i].size > 0 &&
                                                   text_equal(reader->aliases[i], name))) {
            return i;
        }
    }
    return RECORD_OTHERS;
}

static struct text trim(struct text text)
{
    while (text.size > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text = (struct text){text.at + 1, text.size - 1};
    }
    while (text.size > 0 && (text.at[text.size - 1] == ' ' || text.at[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

/* What would be right where a name is none. */
static void hint_column(const struct record_reader *reader, struct text name, char *hint,
                        size_t size)
{
    bool is_other = false; /* another separator */
    for (size_t i = 0; i < name.size; i++) {
        is_other |= name.at[i] == ';' || name.at[i] == '\t';
    }
    struct text trimmed = trim(name);
    struct text meant = word_meant(trimmed, reader->names, reader->name_count);
    if (text_equal(name, TEXT("specversion"))) {
        (void)snprintf(hint, size, "events are given with --events");
    } else if (trimmed.size < name.size && find_name(reader, trimmed) != RECORD_OTHERS) {
        (void)snprintf(hint, size, "%.*s, without blanks around it, here and in the rows",
                       TEXT_ARG(trimmed));
    } else if (is_other) {
        (void)snprintf(hint, size, "columns are separated by commas, not by semicolons or tabs");
    } else {
        /* All names of accounts' columns find room, and none is cut. */
        size_t used = 0;
        hint[0] = '\0';
        if (meant.size > 0) {
            used = (size_t)snprintf(hint, size, "did you mean %.*s? One of ", TEXT_ARG(meant));
        }
        for (uint32_t i = 0; i < reader->name_count && used + reader->names[i].size + 3 < size;
             i++) {
            used += (size_t)snprintf(hint + used, size - used, "%s%.*s", i ? ", " : "",
                                     TEXT_ARG(reader->names[i]));
        }
    }
}

/* The index of a name that is known and new in seen, or of one that is passed over; NAME_REFUSED
 * after a complaint. */
static uint32_t take_name(const struct record_reader *reader, const struct record_sink *sink,
                          struct text name, size_t offset, uint32_t seen)
{
    char message[128], hint[256], printed[48];
    print_name(name, printed);
    uint32_t index = find_name(reader, name);
    if (index == RECORD_OTHERS && reader->passes_others) {
        return index;
    }
    if (index == RECORD_OTHERS) {
        snprintf(message, sizeof message, "unknown column '%s'", printed);
        hint_column(reader, name, hint, sizeof hint);
        report(reader, sink, offset, "UNKNOWN_COLUMN", message, hint);
        return NAME_REFUSED;
    }
    if (seen >> index & 1) {
        snprintf(message, sizeof message, "'%s' stands twice", printed);
        report(reader, sink, offset, "DUPLICATE_COLUMN", message, "");
        return NAME_REFUSED;
    }
    return index;
}

/* ---- CSV ----------------------------------------------------------------------------------- */

/* The field at *offset, which moves behind it and its separator.  *more: a separator followed. */
static bool read_field(struct record_reader *reader, const struct record_sink *sink,
                       struct text line, size_t *offset, struct text *value, bool *more)
{
    const char *at = line.at + *offset;
    size_t left = line.size - *offset;
    if (left == 0 || *at != '"') {
        const char *comma = left ? memchr(at, ',', left) : NULL;
        *value = (struct text){at, comma ? (size_t)(comma - at) : left};
        if (value->size && memchr(at, '"', value->size)) {
            report(reader, sink, *offset, "CSV_ROW", "a quote inside a field that is not quoted",
                   "put the whole field into quotes and double the quote");
            return false;
        }
        *more = comma != NULL;
        *offset += value->size + *more;
        return true;
    }
    char *out = reader->scratch + reader->scratch_size;
    size_t size = 0, i = 1;
    for (;; i++) {
        if (i == left) {
            report(reader, sink, *offset, "CSV_ROW", "a quote is not closed on its line",
                   "fields hold no newline");
            return false;
        }
        if (at[i] == '"') {
            if (i + 1 < left && at[i + 1] == '"') {
                i++;
            } else {
                break;
            }
        }
        out[size++] = at[i];
    }
    i++;
    if (i < left && at[i] != ',') {
        report(reader, sink, *offset + i, "CSV_ROW", "a quoted field goes on after its quote",
               "a quote within quotes is doubled");
        return false;
    }
    *more = i < left;
    *value = (struct text){out, size};
    reader->scratch_size += size;
    *offset += i + *more;
    return true;
}

/* A comment, a mark, or a key and its colon: no column of any vocabulary is named so. */
static bool is_yaml(struct text line)
{
    const char *colon = memchr(line.at, ':', line.size), *comma = memchr(line.at, ',', line.size);
    size_t size = colon ? (size_t)(colon - line.at) : 0;
    return line.at[0] == '#' || text_starts_with(line, TEXT("---")) ||
           (colon && (!comma || colon < comma) &&
            (size + 1 == line.size || line.at[size + 1] == ' '));
}

/* The columns that every file of events has. */
static bool is_events(struct text line)
{
    bool has_type = false, has_time = false;
    for (size_t start = 0, i = 0; i <= line.size; i++) {
        if (i == line.size || line.at[i] == ',') {
            struct text name = {line.at + start, i - start};
            has_type |= text_equal(name, TEXT("type"));
            has_time |= text_equal(name, TEXT("time"));
            start = i + 1;
        }
    }
    return has_type && has_time;
}

static void read_header(struct record_reader *reader, const struct record_sink *sink,
                        struct text line)
{
    size_t offset = 0;
    bool more = true, good = true;
    reader->column_count = 0;
    reader->present = 0;
    reader->format = FORMAT_SKIP;
    if (!reader->passes_others && is_yaml(line)) {
        report(reader, sink, 0, "UNKNOWN_COLUMN", "this looks like YAML, not like columns",
               "YAML is given with --catalog, also accounts in it");
        return;
    }
    if (!reader->passes_others && is_events(line)) {
        report(reader, sink, 0, "UNKNOWN_COLUMN", "these are columns of events, not of accounts",
               "events are given with --events");
        return;
    }
    while (more) {
        size_t start = offset;
        struct text name;
        if (!read_field(reader, sink, line, &offset, &name, &more)) {
            return;
        }
        if (reader->column_count == COLUMNS_MAX) {
            report(reader, sink, start, "FIELD_COUNT", "more than 64 columns", "");
            return;
        }
        uint32_t index = take_name(reader, sink, name, start, reader->present);
        good = good && index != NAME_REFUSED;
        reader->columns[reader->column_count++] = index;
        reader->present |= index < RECORD_OTHERS ? 1u << index : 0;
    }
    if (good && sink->header(sink->context, reader->present)) {
        reader->format = FORMAT_CSV;
    }
}

static bool read_row(struct record_reader *reader, const struct record_sink *sink, struct text line)
{
    struct record_row *row = &reader->row;
    size_t offset = 0;
    bool more = true;
    uint32_t count = 0;
    row->present = reader->present;
    row->numbers = 0;
    while (more) {
        size_t start = offset;
        struct text value;
        if (!read_field(reader, sink, line, &offset, &value, &more)) {
            return false;
        }
        if (count < reader->column_count) {
            row->values[reader->columns[count]] = value;
            row->columns[reader->columns[count]] = (uint32_t)start + 1;
        }
        count++;
    }
    if (count != reader->column_count) {
        char message[96];
        snprintf(message, sizeof message, "%u field%s where the header has %u", count,
                 count == 1 ? "" : "s", reader->column_count);
        report(reader, sink, 0, "CSV_ROW", message,
               count < reader->column_count
                   ? "a field that is empty has its comma, too: a,,"
                   : "a field that has a comma stands in quotes: \"a, b\"");
        return false;
    }
    return true;
}

/* ---- NDJSON -------------------------------------------------------------------------------- */

struct json {
    struct record_reader *reader;
    const struct record_sink *sink;
    struct text line;
    size_t offset;
};

static bool stop(const struct json *json, size_t offset, const char *code, const char *message)
{
    report(json->reader, json->sink, offset, code, message,
           "one flat object a line, its members texts, numbers or null");
    return false;
}

static void skip_blanks(struct json *json)
{
    while (json->offset < json->line.size &&
           (json->line.at[json->offset] == ' ' || json->line.at[json->offset] == '\t')) {
        json->offset++;
    }
}

static bool take_char(struct json *json, char c)
{
    skip_blanks(json);
    if (json->offset < json->line.size && json->line.at[json->offset] == c) {
        json->offset++;
        return true;
    }
    return false;
}

static bool read_hex4(struct json *json, uint32_t *code)
{
    *code = 0;
    if (json->line.size - json->offset < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        char c = json->line.at[json->offset++];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a') + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A') + 10;
        } else {
            return false;
        }
        *code = *code * 16 + digit;
    }
    return true;
}

/* Behind "\u"; a pair of surrogates is one character. */
static bool read_unicode(struct json *json, char **out)
{
    uint32_t code, low;
    if (!read_hex4(json, &code) || (code >= 0xDC00 && code <= 0xDFFF)) {
        return false;
    }
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (json->line.size - json->offset < 6 || json->line.at[json->offset] != '\\' ||
            json->line.at[json->offset + 1] != 'u') {
            return false;
        }
        json->offset += 2;
        if (!read_hex4(json, &low) || low < 0xDC00 || low > 0xDFFF) {
            return false;
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    char *at = *out;
    if (code < 0x80) {
        *at++ = (char)code;
    } else if (code < 0x800) {
        *at++ = (char)(0xC0 | code >> 6);
        *at++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *at++ = (char)(0xE0 | code >> 12);
        *at++ = (char)(0x80 | (code >> 6 & 0x3F));
        *at++ = (char)(0x80 | (code & 0x3F));
    } else {
        *at++ = (char)(0xF0 | code >> 18);
        *at++ = (char)(0x80 | (code >> 12 & 0x3F));
        *at++ = (char)(0x80 | (code >> 6 & 0x3F));
        *at++ = (char)(0x80 | (code & 0x3F));
    }
    *out = at;
    return true;
}

/* The letter behind a backslash stands for this byte; 0: for none. */
static char unescape(char c)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *found = c ? memchr(letters, c, sizeof letters - 1) : NULL;
    return found ? bytes[found - letters] : '\0';
}

/* Behind the opening quote.  An escaped text is never longer than it is written. */
static bool read_string(struct json *json, struct text *value)
{
    const char *start = json->line.at + json->offset;
    size_t begin = json->offset;
    while (json->offset < json->line.size) {
        char c = json->line.at[json->offset];
        if (c == '"') {
            *value = (struct text){start, json->offset++ - begin};
            return true;
        }
        if (c == '\\') {
            break;
        }
        if ((unsigned char)c < 0x20) {
            return stop(json, json->offset, "JSON_SYNTAX", "a control character in a text");
        }
        json->offset++;
    }
    struct record_reader *reader = json->reader;
    char *first = reader->scratch + reader->scratch_size, *out = first;
    memcpy(out, start, json->offset - begin);
    out += json->offset - begin;
    while (json->offset < json->line.size) {
        char c = json->line.at[json->offset++];
        if (c == '"') {
            *value = (struct text){first, (size_t)(out - first)};
            reader->scratch_size += value->size;
            return true;
        }
        if ((unsigned char)c < 0x20) {
            return stop(json, json->offset - 1, "JSON_SYNTAX", "a control character in a text");
        }
        if (c != '\\') {
            *out++ = c;
            continue;
        }
        size_t at = json->offset - 1;
        char escape = json->offset < json->line.size ? json->line.at[json->offset++] : '\0';
        if (escape == 'u') {
            if (!read_unicode(json, &out)) {
                return stop(json, at, "JSON_SYNTAX", "an escape that is no character");
            }
        } else {
            char byte = unescape(escape);
            if (!byte) {
                return stop(json, at, "JSON_SYNTAX", "an unknown escape");
            }
            *out++ = byte;
        }
    }
    return stop(json, begin - 1, "JSON_SYNTAX", "a text is not closed on its line");
}

static size_t skip_digits(struct text text, size_t at)
{
    while (at < text.size && text.at[at] >= '0' && text.at[at] <= '9') {
        at++;
    }
    return at;
}

/* A number of RFC 8259, however long; whether it can be had is for the one who wants it. */
static bool is_json_number(struct text text)
{
    size_t start = text.size > 0 && text.at[0] == '-', at = skip_digits(text, start);
    bool is_good = at > start && (text.at[start] != '0' || at == start + 1);
    if (at < text.size && text.at[at] == '.') {
        start = at + 1;
        at = skip_digits(text, start);
        is_good = is_good && at > start;
    }
    if (at < text.size && (text.at[at] == 'e' || text.at[at] == 'E')) {
        start = at + 1;
        start += start < text.size && (text.at[start] == '+' || text.at[start] == '-');
        at = skip_digits(text, start);
        is_good = is_good && at > start;
    }
    return is_good && at == text.size;
}

/* A text, a number, null, or a truth where one is taken. */
static bool read_scalar(struct json *json, bool takes_truth, struct text *value, bool *is_number,
                        bool *is_null)
{
    skip_blanks(json);
    size_t start = json->offset;
    *is_number = *is_null = false;
    if (take_char(json, '"')) {
        return read_string(json, value);
    }
    while (json->offset < json->line.size) {
        char c = json->line.at[json->offset];
        if (c == ',' || c == '}' || c == ' ' || c == '\t') {
            break;
        }
        json->offset++;
    }
    *value = (struct text){json->line.at + start, json->offset - start};
    if (text_equal(*value, TEXT("null"))) {
        *is_null = true;
        *value = (struct text){"", 0};
        return true;
    }
    *is_number = is_json_number(*value);
    bool is_truth = text_equal(*value, TEXT("true")) || text_equal(*value, TEXT("false"));
    if (!*is_number && !(takes_truth && is_truth)) {
        bool plain = is_truth || (value->size > 0 && (value->at[0] == '[' || value->at[0] == '{'));
        return stop(json, start, plain ? "FIELD_TYPE" : "JSON_SYNTAX",
                    "a value that is no text and no number");
    }
    return true;
}

static bool read_object(struct record_reader *reader, const struct record_sink *sink,
                        struct text line)
{
    struct json json = {.reader = reader, .sink = sink, .line = line};
    struct record_row *row = &reader->row;
    uint32_t seen = 0;
    row->present = row->numbers = 0;
    if (!take_char(&json, '{')) {
        return stop(&json, json.offset, "JSON_SYNTAX", "a line that is no object");
    }
    bool more = !take_char(&json, '}');
    while (more) {
        struct text name, value;
        bool is_number, is_null;
        skip_blanks(&json);
        size_t start = json.offset;
        if (!take_char(&json, '"')) {
            return stop(&json, json.offset, "JSON_SYNTAX", "a member's name was expected");
        }
        if (!read_string(&json, &name)) {
            return false;
        }
        uint32_t index = take_name(reader, sink, name, start, seen);
        if (index == NAME_REFUSED) {
            return false;
        }
        if (!take_char(&json, ':')) {
            return stop(&json, json.offset, "JSON_SYNTAX", "a colon was expected");
        }
        skip_blanks(&json);
        row->columns[index] = (uint32_t)json.offset + 1;
        bool takes_truth = index < RECORD_OTHERS && (reader->truth_names >> index & 1) != 0;
        if (!read_scalar(&json, takes_truth, &value, &is_number, &is_null)) {
            return false;
        }
        row->values[index] = value;
        if (index != RECORD_OTHERS) {
            seen |= 1u << index;
            row->present |= is_null ? 0 : 1u << index;
            row->numbers |= is_number ? 1u << index : 0;
        }
        more = take_char(&json, ',');
        if (!more && !take_char(&json, '}')) {
            return stop(&json, json.offset, "JSON_SYNTAX", "a comma or the end was expected");
        }
    }
    skip_blanks(&json);
    if (json.offset < line.size) {
        return stop(&json, json.offset, "JSON_SYNTAX", "something follows the object");
    }
    return true;
}

/* ---- lines --------------------------------------------------------------------------------- */

static bool is_blank(struct text line)
{
    size_t i = 0;
    while (i < line.size && (line.at[i] == ' ' || line.at[i] == '\t')) {
        i++;
    }
    return i == line.size;
}

static void find_format(struct record_reader *reader, const struct record_sink *sink,
                        struct text line)
{
    const unsigned char *at = (const unsigned char *)line.at;
    bool marked =
        (line.size >= 3 && at[0] == 0xEF && at[1] == 0xBB && at[2] == 0xBF) ||
        (line.size >= 2 && ((at[0] == 0xFF && at[1] == 0xFE) || (at[0] == 0xFE && at[1] == 0xFF)));
    if (marked) {
        report(reader, sink, 0, "ENCODING", "the file starts with a byte order mark",
               "save it as UTF-8 without one");
        reader->format = FORMAT_SKIP;
        return;
    }
    size_t i = 0;
    while (line.at[i] == ' ' || line.at[i] == '\t') {
        i++;
    }
    reader->format = line.at[i] == '{' ? FORMAT_NDJSON : FORMAT_CSV_HEADER;
}

static void take_line(struct record_reader *reader, const struct record_sink *sink,
                      struct text line)
{
    if (line.size && line.at[line.size - 1] == '\r') {
        line.size--;
    }
    if (reader->format == FORMAT_SKIP || is_blank(line)) {
        return;
    }
    if (reader->format == FORMAT_UNKNOWN) {
        find_format(reader, sink, line);
        if (reader->format == FORMAT_SKIP) {
            return;
        }
    }
    if (!text_is_utf8(line)) {
        const bool is_packed = line.size > 2 && memcmp(line.at, "\x1F\x8B", 2) == 0;
        report(reader, sink, 0, "UTF8", "the line is no valid UTF-8",
               is_packed ? "this is gzip; events are read packed, accounts are not"
                         : "save the file as UTF-8");
        reader->format = reader->format == FORMAT_CSV_HEADER ? FORMAT_SKIP : reader->format;
        return;
    }
    reader->scratch_size = 0;
    if (reader->format == FORMAT_CSV_HEADER) {
        read_header(reader, sink, line);
        return;
    }
    struct record_row *row = &reader->row;
    for (uint32_t i = 0; i < reader->name_count; i++) {
        row->values[i] = (struct text){"", 0};
        row->columns[i] = 1;
    }
    row->line = reader->line;
    if (reader->format == FORMAT_CSV ? read_row(reader, sink, line)
                                     : read_object(reader, sink, line)) {
        sink->row(sink->context, row);
    }
}

/* Part of a line, without its newline. */
static void carry_part(struct record_reader *reader, const struct record_sink *sink,
                       struct text part)
{
    if (reader->too_long || part.size == 0) {
        return;
    }
    if (part.size > RECORD_LINE_MAX_BYTES - reader->carry_size) {
        reader->too_long = true;
        reader->line++;
        report(reader, sink, 0, "LINE_LIMIT", "a line of more than 65536 bytes", "");
        reader->line--;
        if (reader->format == FORMAT_UNKNOWN || reader->format == FORMAT_CSV_HEADER) {
            reader->format = FORMAT_SKIP;
        }
        return;
    }
    memcpy(reader->carry + reader->carry_size, part.at, part.size);
    reader->carry_size += part.size;
}

static void end_line(struct record_reader *reader, const struct record_sink *sink, struct text line)
{
    reader->line++;
    bool whole = reader->carry_size == 0 && !reader->too_long;
    if (whole && line.size <= RECORD_LINE_MAX_BYTES) {
        take_line(reader, sink, line);
        return;
    }
    reader->line--;
    carry_part(reader, sink, line);
    reader->line++;
    if (!reader->too_long) {
        take_line(reader, sink, (struct text){reader->carry, reader->carry_size});
    }
    reader->too_long = false;
    reader->carry_size = 0;
}

void records_feed(struct record_reader *reader, struct text bytes, bool last,
                  const struct record_sink *sink)
{
    size_t offset = 0;
    while (offset < bytes.size) {
        const char *at = bytes.at + offset;
        const char *newline = memchr(at, '\n', bytes.size - offset);
        if (!newline) {
            carry_part(reader, sink, (struct text){at, bytes.size - offset});
            break;
        }
        end_line(reader, sink, (struct text){at, (size_t)(newline - at)});
        offset += (size_t)(newline - at) + 1;
    }
    if (last) {
        if (reader->carry_size > 0 || reader->too_long) {
            end_line(reader, sink, (struct text){"", 0});
        }
        reader->format = FORMAT_UNKNOWN;
        reader->line = 0;
    }
}
