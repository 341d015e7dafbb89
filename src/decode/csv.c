/* csv.c - rows of CSV to events.
 *
 * A row ends at its line, quotes or not: of a file with a quote too many, one row is refused and
 * the next one stands on its own.  So a newline within quotes is refused (CSV_ROW), both halves of
 * it.
 *
 * Fields of usual rows are found by the positions of the separators, also those in quotes that hold
 * no other quote; any other row is copied field by field, and judged.  A field that is all of data
 * goes to the reader of JSON when its row is known to be whole.
 */
#include <string.h>

#include "base/hash_inline.h"
#include "decode/record.h"

enum { COLUMNS_MAX = 4096 };

/* ---- fields -------------------------------------------------------------------------------- */

/* Reads the field that starts at row[*at]; *at is then at the separator behind it, or at the end.
 * A quoted field with doubled quotes is copied to scratch.  False when its quotes are wrong. */
static bool read_field(struct text row, char separator, size_t *at, char **scratch,
                       struct text *field)
{
    size_t start = *at;
    if (start == row.size || row.at[start] != '"') {
        while (*at < row.size && row.at[*at] != separator) {
            if (row.at[*at] == '"') {
                return false;
            }
            ++*at;
        }
        *field = (struct text){row.at + start, *at - start};
        return true;
    }
    char *out = *scratch;
    for (++*at; *at < row.size; ++*at) {
        char c = row.at[*at];
        if (c == '"') {
            bool is_doubled = *at + 1 < row.size && row.at[*at + 1] == '"';
            if (!is_doubled) {
                ++*at;
                *field = (struct text){*scratch, (size_t)(out - *scratch)};
                *scratch = out;
                return *at == row.size || row.at[*at] == separator;
            }
            ++*at;
        }
        *out++ = c;
    }
    return false;
}

/* ---- header -------------------------------------------------------------------------------- */

/* How a character that separates is written in a catalog. */
static const char *separator_text(char separator)
{
    return separator == '\t' ? "\\t" : separator == ';' ? ";" : ",";
}

/* After a failure: that the fields are separated by something else, or the header that was read. */
static enum status hint_header(struct text line, char separator, const char *before,
                               struct error *err)
{
    static const char OTHERS[] = ";\t,";
    for (const char *other = OTHERS; *other && !memchr(line.at, separator, line.size); other++) {
        if (memchr(line.at, *other, line.size)) {
            const char *text = separator_text(*other);
            return fail_hint(err,
                             "the header has \"%s\" and no \"%s\": csv: {separator: \"%s\"} in the "
                             "catalog says so",
                             text, separator_text(separator), text);
        }
    }
    enum { SHOWN_BYTES = 80 };
    char shown[SHOWN_BYTES + 1];
    size_t size = line.size < SHOWN_BYTES ? line.size : SHOWN_BYTES;
    while (size < line.size && size > 0 && ((unsigned char)line.at[size] & 0xC0) == 0x80) {
        size--; /* no character is cut */
    }
    for (size_t i = 0; i < size; i++) {
        bool is_control = (unsigned char)line.at[i] < 0x20 || line.at[i] == 0x7F;
        shown[i] = is_control ? ' ' : line.at[i];
    }
    const char blank[] = {separator, ' '};
    const char *told = memmem(line.at, line.size, blank, sizeof blank)
                           ? ", blanks behind it belong to the names"
                           : "";
    return fail_hint(err, "%sthe separator is \"%s\"%s, and the first line of the file: %.*s%s",
                     before, separator_text(separator), told, (int)size, shown,
                     size < line.size ? " ..." : "");
}

static enum status split_header(struct arena *arena, struct text line, char separator,
                                struct text *names, uint32_t *count, struct error *err)
{
    char *scratch = arena_alloc(arena, line.size);
    *count = 0;
    for (size_t at = 0;; at++) {
        if (*count == COLUMNS_MAX) {
            return fail(err, ERR_INPUT, "the header has more than %d columns", COLUMNS_MAX);
        }
        struct text *name = &names[*count];
        if (!read_field(line, separator, &at, &scratch, name)) {
            return fail(err, ERR_INPUT, "column %u of the header: wrong quotes", *count + 1);
        }
        if (name->size == 0) {
            (void)fail(err, ERR_INPUT, "column %u of the header has no name", *count + 1);
            return hint_header(line, separator, "take it out where it is empty in all rows; ", err);
        }
        if (has_control(*name)) {
            (void)fail(err, ERR_INPUT, "column %u of the header: control character in its name",
                       *count + 1);
            return hint_header(line, separator, "", err);
        }
        ++*count;
        if (at == line.size) {
            return OK;
        }
    }
}

/* The names of a path joined by zero bytes, which sorts as sorting name by name does. */
static enum status make_path(struct arena *arena, struct text names, struct csv_target *target,
                             struct text *key, struct error *err)
{
    char *joined = arena_alloc(arena, names.size + 1);
    uint64_t *holders = arena_alloc(arena, JSON_DEPTH_MAX * sizeof *holders);
    target->path = PATH_DATA;
    target->holders = holders;
    size_t start = 0;
    int depth = 2; /* the record and data */
    for (size_t i = 0; i <= names.size; i++) {
        if (i < names.size && names.at[i] != '.') {
            joined[i] = names.at[i];
            continue;
        }
        if (i == start) {
            (void)fail(err, ERR_INPUT, "target %.*s: a name is empty", TEXT_ARG(target->name));
            return fail_hint(err, "data.x or data.x.y");
        }
        if (depth++ > JSON_DEPTH_MAX) {
            return fail(err, ERR_INPUT, "target %.*s is nested too deep", TEXT_ARG(target->name));
        }
        joined[i] = '\0';
        if (start > 0) {
            holders[target->holder_count++] = target->path;
        }
        target->path = member_path(target->path, (struct text){names.at + start, i - start});
        start = i + 1;
    }
    *key = (struct text){joined, names.size};
    return OK;
}

/* Fills target from its name: an attribute, data, data.x, or "" for nowhere. */
static enum status resolve(struct arena *arena, struct csv_target *target, struct text *key,
                           struct error *err)
{
    target->attribute = attribute_find(target->name);
    if (target->name.size == 0 || target->attribute != ATTRIBUTE_NONE) {
        return OK;
    }
    const struct text data = TEXT("data.");
    target->is_json = text_equal(target->name, TEXT("data"));
    if (target->is_json) {
        return OK;
    }
    if (!text_starts_with(target->name, data)) {
        (void)fail(err, ERR_INPUT, "unknown target %.*s", TEXT_ARG(target->name));
        return fail_hint(err,
                         "id, source, type, subject, time, data, data.NAME, or \"\" to ignore");
    }
    target->is_data = true;
    return make_path(arena,
                     (struct text){target->name.at + data.size, target->name.size - data.size},
                     target, key, err);
}

static const struct csv_column *find_declared(const struct csv_mapping *mapping, struct text column)
{
    for (uint32_t i = 0; mapping && i < mapping->column_count; i++) {
        if (text_equal(mapping->columns[i].column, column)) {
            return &mapping->columns[i];
        }
    }
    return NULL;
}

/* Where a column goes when nothing is declared for it. */
static struct text default_target(struct arena *arena, struct text column)
{
    if (attribute_find(column) != ATTRIBUTE_NONE || text_equal(column, TEXT("data"))) {
        return column;
    }
    return text_starts_with(column, TEXT("data.")) ? column
                                                   : text_join(arena, TEXT("data."), column);
}

static enum status check_columns(struct text line, const struct text *names, uint32_t count,
                                 const struct csv_mapping *mapping, struct error *err)
{
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (text_equal(names[i], names[j])) {
                return fail(err, ERR_INPUT, "the header has column %.*s twice", TEXT_ARG(names[i]));
            }
        }
    }
    for (uint32_t i = 0; mapping && i < mapping->column_count; i++) {
        struct text declared = mapping->columns[i].column;
        uint32_t at = 0;
        while (at < count && !text_equal(names[at], declared)) {
            at++;
        }
        if (at == count) {
            (void)fail(err, ERR_INPUT,
                       "the header lacks column %.*s, which csv: of the catalog declares",
                       TEXT_ARG(declared));
            if (text_equal(line, TEXT("id,source,type,subject,time,data"))) { /* of export */
                return fail_hint(err, "a file that farthing export wrote is read with a catalog "
                                      "without csv:, or exported again as NDJSON or segments");
            }
            return hint_header(line, mapping->separator, "", err);
        }
    }
    return OK;
}

/* Every target once, none below another, and the attributes that each event has. */
static enum status check_targets(struct text line, const struct csv_header *header,
                                 struct error *err)
{
    uint32_t total = header->column_count + header->constant_count;
    bool has[ATTRIBUTES] = {false};
    for (uint32_t i = 0; i < total; i++) {
        enum attribute attribute = header->targets[i].attribute;
        if (attribute == ATTRIBUTE_NONE) {
            continue;
        }
        if (has[attribute]) {
            (void)fail(err, ERR_INPUT, "two columns give %s", ATTRIBUTE_NAMES[attribute]);
            return fail_hint(err, "declare target \"\" for the one to ignore");
        }
        has[attribute] = true;
    }
    for (uint32_t i = 1; i < header->sorted_count; i++) {
        const struct entry *a = &header->sorted[i - 1];
        const struct entry *b = &header->sorted[i];
        const struct csv_target *below = b->value;
        if (text_starts_with(b->key, a->key) &&
            (b->key.size == a->key.size || b->key.at[a->key.size] == '\0')) {
            const struct csv_target *above = a->value;
            return fail(err, ERR_INPUT, "two columns give %.*s and %.*s, which exclude each other",
                        TEXT_ARG(above->name), TEXT_ARG(below->name));
        }
    }
    static const enum attribute NEEDED[] = {ATTRIBUTE_ID, ATTRIBUTE_SOURCE, ATTRIBUTE_TYPE,
                                            ATTRIBUTE_TIME};
    for (size_t i = 0; i < sizeof NEEDED / sizeof *NEEDED; i++) {
        if (!has[NEEDED[i]]) {
            (void)fail(err, ERR_INPUT, "no column gives %s", ATTRIBUTE_NAMES[NEEDED[i]]);
            return hint_header(line, header->separator,
                               "a column of that name, or csv: in the catalog to declare which "
                               "column or constant it is; ",
                               err);
        }
    }
    return OK;
}

/* What the mapping declares is not left out for a column of JSON, as other columns are. */
static enum status check_json(const struct csv_header *header, const struct text *names,
                              const struct csv_mapping *mapping, struct error *err)
{
    uint32_t total = header->column_count + header->constant_count;
    const struct csv_target *json = NULL, *declared = NULL;
    for (uint32_t i = 0; i < total; i++) {
        const struct csv_target *target = &header->targets[i];
        if (target->is_json && json) {
            return fail(err, ERR_INPUT, "two columns give data");
        }
        json = target->is_json ? target : json;
        if (target->is_data && (i >= header->column_count || find_declared(mapping, names[i]))) {
            declared = target;
        }
    }
    if (json && declared) {
        (void)fail(err, ERR_INPUT, "two columns give data and %.*s, which exclude each other",
                   TEXT_ARG(declared->name));
        return fail_hint(err, "a column data is JSON; declare it data.data when it is a plain "
                              "text, or \"\" to ignore it");
    }
    return OK;
}

static struct text drop_return(struct text line)
{
    if (line.size && line.at[line.size - 1] == '\r') {
        line.size--;
    }
    return line;
}

static enum status check_text(struct text line, struct error *err)
{
    if (line.size >= 2 &&
        (text_starts_with(line, TEXT("\xEF\xBB\xBF")) || text_starts_with(line, TEXT("\xFF\xFE")) ||
         text_starts_with(line, TEXT("\xFE\xFF")) || !line.at[0] != !line.at[1])) {
        (void)fail(err, ERR_INPUT, "the header begins with a byte order mark, or is no UTF-8");
        return fail_hint(err, "save the file as UTF-8 without a byte order mark");
    }
    if (line.size > LINE_MAX_BYTES) {
        return fail(err, ERR_INPUT, "the header has more than %d bytes", LINE_MAX_BYTES);
    }
    return text_is_utf8(line) ? OK : fail(err, ERR_INPUT, "the header is no valid UTF-8");
}

/* The target of a column, as the mapping declares it or by the column's name. */
static void take_column(struct arena *arena, const struct csv_mapping *mapping, struct text name,
                        struct csv_target *target)
{
    const struct csv_column *declared = find_declared(mapping, name);
    target->name = declared ? text_copy(arena, declared->target) : default_target(arena, name);
    target->is_number = declared && declared->is_number;
}

static enum status take_constant(struct arena *arena, const struct csv_constant *constant,
                                 struct csv_target *target, struct error *err)
{
    target->name = text_copy(arena, constant->target);
    target->value = text_copy(arena, constant->value);
    if (text_equal(target->name, TEXT("data"))) {
        return fail(err, ERR_INPUT, "a constant gives data, which only a column can");
    }
    if (has_control(target->value) || !text_is_utf8(target->value)) {
        return fail(err, ERR_INPUT, "the constant for %.*s is no plain text",
                    TEXT_ARG(target->name));
    }
    return OK;
}

enum status csv_header_read(struct arena *arena, struct text line,
                            const struct csv_mapping *mapping, const struct csv_header **header,
                            struct error *err)
{
    line = drop_return(line);
    TRY(check_text(line, err));
    struct csv_header *made = arena_calloc(arena, 1, sizeof *made);
    made->separator = mapping && mapping->separator ? mapping->separator : ',';
    size_t names_max = 1;
    for (size_t i = 0; i < line.size && names_max < COLUMNS_MAX; i++) {
        names_max += line.at[i] == made->separator;
    }
    struct text *names = arena_calloc(arena, names_max, sizeof *names);
    line = text_copy(arena, line);
    TRY(split_header(arena, line, made->separator, names, &made->column_count, err));
    TRY(check_columns(line, names, made->column_count, mapping, err));
    made->constant_count = mapping ? mapping->constant_count : 0;
    uint32_t total = made->column_count + made->constant_count;
    struct csv_target *targets = arena_calloc(arena, total, sizeof *targets);
    struct entry *sorted = arena_calloc(arena, total, sizeof *sorted);
    for (uint32_t i = 0; i < total; i++) {
        struct csv_target *target = &targets[i];
        if (i < made->column_count) {
            take_column(arena, mapping, names[i], target);
        } else {
            TRY(take_constant(arena, &mapping->constants[i - made->column_count], target, err));
        }
        struct text key = {0};
        TRY(resolve(arena, target, &key, err));
        if (target->is_data) {
            sorted[made->sorted_count++] = (struct entry){key, target};
        }
        if (target->attribute == ATTRIBUTE_SPECVERSION) {
            target->attribute = ATTRIBUTE_NONE; /* a row has no version: the column is ignored */
        }
        target->seed = target->attribute == ATTRIBUTE_NONE
                           ? record_member_seed(target->path, MEMBER_TEXT)
                           : record_attribute_seed(target->attribute);
    }
    entries_sort(sorted, made->sorted_count);
    made->targets = targets;
    made->sorted = sorted;
    TRY(check_targets(line, made, err));
    TRY(check_json(made, names, mapping, err));
    *header = made;
    return OK;
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* A row being read: what its fields have given so far. */
struct reading {
    struct decoder *decoder;
    const struct csv_header *header;
    struct text row;
    struct draft draft;
    struct finding *finding;
    struct text json;   /* of the column that is all of data; empty: there is none */
    size_t json_offset; /* of that field in the row */
};

static void note_holders(struct decoder *decoder, const struct csv_target *target)
{
    for (uint32_t i = 0; i < target->holder_count; i++) {
        note_holder(decoder, target->holders[i]);
    }
}

static void take_field(struct reading *reading, uint32_t index, struct text field, size_t offset)
{
    const struct csv_target *target = &reading->header->targets[index];
    if (field.size == 0) {
        return;
    }
    if (target->attribute != ATTRIBUTE_NONE) {
        reading->draft.attributes[target->attribute] =
            (struct field){.state = FIELD_TEXT, .text = field, .offset = offset};
        return;
    }
    if (target->is_json) {
        reading->json = field;
        reading->json_offset = offset;
    }
    if (!target->is_data) {
        return;
    }
    struct dec number = DEC_ZERO;
    if (target->is_number) {
        enum number_fault fault = scan_number(field, reading->row, &number);
        if (fault != NUMBER_OK) {
            finding_note(reading->finding, refusal_of_number(fault), offset, "", field);
        }
    }
    struct member *member = draft_add(reading->decoder, &reading->draft, target->path, offset);
    if (member) {
        member->kind = target->is_number ? MEMBER_NUMBER : MEMBER_TEXT;
        member->text = target->is_number ? (struct text){0} : field;
        member->number = number;
        reading->decoder->targets[member - reading->decoder->members] = index;
        note_holders(reading->decoder, target);
    }
}

static void note_row(struct reading *reading, size_t offset, const char *what)
{
    finding_note(reading->finding, REFUSE_CSV_ROW, offset, what, (struct text){0});
}

/* Any row. */
static void split_row(struct reading *reading, struct text row)
{
    const struct csv_header *header = reading->header;
    char *scratch = arena_alloc(reading->decoder->arena, row.size);
    uint32_t count = 0;
    for (size_t at = 0;; at++) {
        size_t start = at;
        struct text field;
        if (!read_field(row, header->separator, &at, &scratch, &field)) {
            note_row(reading, at < row.size ? at : start, "quotes");
            return;
        }
        if (count == header->column_count) {
            note_row(reading, start, "more fields than the header");
            return;
        }
        take_field(reading, count++, field, start);
        if (at == row.size) {
            break;
        }
    }
    if (count < header->column_count) {
        note_row(reading, row.size, "fewer fields than the header");
    }
}

/* Goes on from byte *byte of the field of JSON, which stands at row[at], to a later one; returns
 * where that stands. */
static size_t place_later(const struct reading *reading, size_t at, size_t *byte, size_t later)
{
    const char *row = reading->row.at;
    bool is_quoted = row[reading->json_offset] == '"';
    for (; *byte < later; ++*byte) {
        at += is_quoted && row[at] == '"' ? 2 : 1;
    }
    return at;
}

/* Its values are the members; what other columns gave goes, as in Parquet. */
static void read_json(struct reading *reading, const void **data)
{
    struct decoder *decoder = reading->decoder;
    struct draft *draft = &reading->draft;
    struct finding found = {0};
    decoder->holder_count = 0;
    draft->member_count = 0;
    (void)json_data_read(decoder, reading->json, draft, &found, data);
    size_t start = reading->json_offset + (reading->row.at[reading->json_offset] == '"');
    size_t byte = 0;
    if (found.refusal != REFUSE_NONE) {
        found.offset = place_later(reading, start, &byte, found.offset);
        found.record = reading->finding->record;
        *reading->finding = found;
        return;
    }
    /* Of a withdrawal, places of values may be told. */
    if (text_equal(draft->attributes[ATTRIBUTE_TYPE].text, TEXT(WITHDRAWAL_TYPE))) {
        for (uint32_t i = 0; i < draft->member_count && i < MEMBERS_MAX; i++) {
            start = place_later(reading, start, &byte, decoder->offsets[i]);
            decoder->offsets[i] = start;
        }
    }
}

/* Puts a field or constant where it goes, and adds it to the fingerprint.  False when the other way
 * must decide. */
static inline bool take_plain(struct decoder *decoder, const struct csv_header *header,
                              uint32_t index, struct text field, struct text row,
                              struct attributes *attributes, uint32_t *member_count)
{
    const struct csv_target *target = &header->targets[index];
    struct member *member = NULL;
    uint64_t *print;
    if (target->attribute != ATTRIBUTE_NONE) {
        attributes->texts[target->attribute] = field;
        print = &attributes->prints[target->attribute];
        if (target->attribute == ATTRIBUTE_TIME) {
            return true; /* it is the instant that goes in, not its text */
        }
    } else if (!target->is_data || field.size == 0) {
        return !target->is_json || field.size == 0;
    } else if (*member_count == MEMBERS_MAX) {
        return false;
    } else {
        decoder->targets[*member_count] = index;
        member = &decoder->members[(*member_count)++];
        print = &member->print;
        member->path = target->path;
        note_holders(decoder, target);
        if (target->is_number) {
            member->kind = MEMBER_NUMBER;
            if (scan_number(field, row, &member->number) != NUMBER_OK) {
                return false;
            }
            *print = record_print_member(member);
            attributes->print += *print;
            return true;
        }
        member->kind = MEMBER_TEXT;
        member->text = field;
    }
    *print = hash_print64_inline(field.at, field.size, target->seed);
    attributes->print += *print;
    return true;
}

static bool has_control_besides(struct text row, char separator)
{
    bool found = false;
    for (size_t i = 0; i < row.size; i++) {
        unsigned char c = (unsigned char)row.at[i];
        found |= (c < 0x20 || c == 0x7f) && row.at[i] != separator;
    }
    return found;
}

/* How many quotes lie in a field. */
static inline size_t count_quotes(const char *at, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += at[i] == '"';
    }
    return count;
}

/* A field in quotes with others in it, each of which is doubled: a copy, with blanks behind it up
 * to SCAN_MIN_BYTES.  False: one is not doubled. */
static bool undouble(struct arena *arena, struct text inner, struct text *field)
{
    const size_t room = inner.size < SCAN_MIN_BYTES ? SCAN_MIN_BYTES : inner.size;
    char *copy = arena_alloc(arena, room), *to = copy;
    for (size_t i = 0; i < inner.size; i++) {
        *to++ = inner.at[i];
        if (inner.at[i] == '"' && (++i == inner.size || inner.at[i] != '"')) {
            return false;
        }
    }
    *field = (struct text){copy, (size_t)(to - copy)};
    memset(to, ' ', room - field->size);
    return true;
}

/* A field as it is written, with so many quotes, without them; false when they are wrong. */
static bool unquote(struct decoder *decoder, size_t quotes, struct text *field)
{
    if (quotes == 0) {
        return true;
    }
    const struct text inner = {field->at + 1, field->size - 2};
    if (quotes == 1 || field->at[0] != '"' || field->at[field->size - 1] != '"') {
        return false;
    }
    if (quotes > 2) {
        return undouble(decoder->arena, inner, field);
    }
    *field = inner;
    return true;
}

/* The members of a field that is all of data, a copy as undouble made it. */
static bool take_json(struct decoder *decoder, struct text field, struct attributes *attributes,
                      uint32_t *member_count)
{
    if (*member_count > 0 || !json_fast_data(decoder, field, member_count)) {
        return false;
    }
    for (uint32_t i = 0; i < *member_count; i++) {
        decoder->members[i].print = record_print_member(&decoder->members[i]);
        attributes->print += decoder->members[i].print;
    }
    return true;
}

/* The same, where it is not worth its place in a loop. */
__attribute__((noinline)) static bool take_apart(struct decoder *decoder,
                                                 const struct csv_header *header, uint32_t index,
                                                 struct text field, struct text row,
                                                 struct attributes *attributes,
                                                 uint32_t *member_count)
{
    return take_plain(decoder, header, index, field, row, attributes, member_count);
}

static bool take_constants(struct decoder *decoder, const struct csv_header *header,
                           struct text row, struct attributes *attributes, uint32_t *member_count)
{
    for (uint32_t i = 0; i < header->constant_count; i++) {
        uint32_t index = header->column_count + i;
        if (!take_apart(decoder, header, index, header->targets[index].value, row, attributes,
                        member_count)) {
            return false;
        }
    }
    return true;
}

/* Where the field that begins at start ends: at a separator, but for those in quotes, or behind the
 * row.  *quotes: how many it has, to be told apart when they are not even. */
static size_t find_field_end(struct marks *separators, struct text row, size_t start,
                             size_t *quotes)
{
    size_t from = start;
    *quotes = 0;
    for (;;) {
        const size_t end = marks_next(separators), to = end < row.size ? end : row.size;
        *quotes += from < to ? count_quotes(row.at + from, to - from) : 0;
        if (*quotes % 2 == 0 || end >= row.size) {
            return end;
        }
        from = to;
    }
}

/* A row with quotes, that is plain otherwise. */
__attribute__((noinline)) static bool read_quoted_row(struct decoder *decoder,
                                                      const struct csv_header *header,
                                                      struct text row, struct event *event)
{
    struct marks separators = marks_start(decoder->marks);
    struct attributes attributes = {0};
    struct text json = {NULL, 0};
    uint32_t member_count = 0;
    size_t start = 0;
    decoder->holder_count = 0;
    arena_rewind(decoder->arena, decoder->empty);
    for (uint32_t i = 0; i < header->column_count; i++) {
        size_t quotes, end = find_field_end(&separators, row, start, &quotes);
        bool is_last = i + 1 == header->column_count;
        if ((end >= row.size) != is_last) {
            return false;
        }
        struct text field = {row.at + start, (is_last ? row.size : end) - start};
        start = end + 1;
        /* A separator in quotes is a control character, too, where it is a tab. */
        if (header->separator < ' ' && memchr(field.at, header->separator, field.size)) {
            return false;
        }
        if (!unquote(decoder, quotes, &field)) {
            return false;
        }
        /* An object has names, and they have quotes; of an empty one the other way knows. */
        if (header->targets[i].is_json && quotes > 2) {
            json = field;
        } else if (!take_apart(decoder, header, i, field, row, &attributes, &member_count)) {
            return false;
        }
    }
    return take_constants(decoder, header, row, &attributes, &member_count) &&
           (json.size == 0 || take_json(decoder, json, &attributes, &member_count)) &&
           record_finish(decoder, &attributes, member_count, event);
}

/* A row without control characters or anything to refuse, whose separators are in the decoder's
 * marks.  False as json_fast_read. */
static bool read_plain_row(struct decoder *decoder, const struct csv_header *header,
                           struct text row, unsigned flags, struct event *event)
{
    if (((flags & SCAN_CONTROL) && has_control_besides(row, header->separator)) ||
        ((flags & SCAN_HIGH) && !text_is_utf8(row))) {
        return false;
    }
    if (flags & SCAN_ESCAPE) {
        return read_quoted_row(decoder, header, row, event);
    }
    struct marks separators = marks_start(decoder->marks);
    struct attributes attributes = {0};
    uint32_t member_count = 0;
    decoder->holder_count = 0;
    size_t start = 0;
    for (uint32_t i = 0; i < header->column_count; i++) {
        size_t end = marks_next(&separators);
        bool is_last = i + 1 == header->column_count;
        if ((end >= row.size) != is_last) {
            return false;
        }
        struct text field = {row.at + start, (is_last ? row.size : end) - start};
        start = end + 1;
        if (!take_plain(decoder, header, i, field, row, &attributes, &member_count)) {
            return false;
        }
    }
    return take_constants(decoder, header, row, &attributes, &member_count) &&
           record_finish(decoder, &attributes, member_count, event);
}

bool csv_read(struct decoder *decoder, const struct csv_header *header, struct text row,
              struct finding *finding, struct event *event, const void **data)
{
    struct reading reading = {.decoder = decoder, .header = header, .row = row, .finding = finding};
    *data = NULL;
    decoder->holder_count = 0;
    size_t fault = utf8_fault(row);
    if (fault < row.size) {
        finding_note(finding, REFUSE_UTF8, fault, "invalid UTF-8", (struct text){0});
        return false;
    }
    const char *zero = row.size ? memchr(row.at, '\0', row.size) : NULL;
    if (zero) {
        note_row(&reading, (size_t)(zero - row.at), "a zero byte");
    }
    split_row(&reading, row);
    for (uint32_t i = 0; i < header->constant_count; i++) {
        take_field(&reading, header->column_count + i,
                   header->targets[header->column_count + i].value, 0);
    }
    /* A row is of the one version there is. */
    reading.draft.attributes[ATTRIBUTE_SPECVERSION] =
        (struct field){.state = FIELD_TEXT, .text = TEXT("1.0")};
    if (finding->refusal != REFUSE_NONE && finding->refusal <= REFUSE_CSV_ROW) {
        return false; /* which field is which is not known */
    }
    if (reading.json.size > 0) {
        read_json(&reading, data);
    }
    return record_judge(decoder, &reading.draft, finding, event);
}

void decode_csv_row(struct decoder *decoder, const struct csv_header *header, struct text line,
                    const struct sink *sink)
{
    arena_rewind(decoder->arena, decoder->empty);
    struct text row = drop_return(line);
    if (row.size == 0) {
        return;
    }
    struct finding finding;
    finding.refusal = REFUSE_NONE;
    finding.record = row;
    struct event event;
    const void *data;
    if (row.size > LINE_MAX_BYTES) {
        finding_note(&finding, REFUSE_LINE_LIMIT, LINE_MAX_BYTES, "", (struct text){0});
        sink->refused(sink->context, &finding);
    } else if (csv_read(decoder, header, row, &finding, &event, &data)) {
        sink->event(sink->context, &event, 0, row);
    } else {
        sink->refused(sink->context, &finding);
    }
}

static size_t line_size(struct text rest)
{
    const char *newline = memchr(rest.at, '\n', rest.size);
    return newline ? (size_t)(newline - rest.at) : rest.size;
}

size_t decode_csv_next(struct decoder *decoder, const struct csv_header *header, struct text rest,
                       bool first_of_file, const struct sink *sink)
{
    if (first_of_file) {
        return line_size(rest) + 1;
    }
    size_t size;
    unsigned flags =
        scan_line(decoder->width, rest.at, header->separator, '"', decoder->marks, &size);
    struct text row = drop_return((struct text){rest.at, size});
    struct event event;
    if (row.size > 0 && size < SCAN_MAX_BYTES &&
        read_plain_row(decoder, header, row, flags, &event)) {
        sink->event(sink->context, &event, 0, row);
        return size + 1;
    }
    row.size = size < SCAN_MAX_BYTES ? size : line_size(rest);
    decode_csv_row(decoder, header, row, sink);
    return row.size + 1;
}
