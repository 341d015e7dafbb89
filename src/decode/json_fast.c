/* json_fast.c - the records that producers write, in one pass over their quotes.
 *
 *     {"specversion":"1.0", ... ,"data":{"quantity":"1.5","region":"eu-west-1"}}
 *     ^ quotes, found 64 bytes at a time: a string is what lies between two of them
 *
 * When a record has no backslash and no control character, each quote begins or ends a string, so a
 * string is read without looking at its bytes, whatever its length.  Where there are backslashes,
 * the quotes behind them are taken out first.  What is left is to compare the few bytes between
 * strings.
 *
 * False means "not taken", never "refused": json_general.c decides then.  So each check here may be
 * stricter than the rule, and none may be weaker.
 */
#include <string.h>

#include "base/bytes.h"
#include "decode/record.h"

enum {
    EXTENSIONS_FAST_MAX = 16,
    NESTS_FAST_MAX = 8, /* data, and what is open in it */
};

struct cursor {
    const char *at;
    /* Ends with a brace, so that looking at one more byte is allowed before it. */
    const char *record;
    const char *end;
    struct marks quotes; /* those not read yet */
    struct arena *arena; /* for texts without their escapes; NULL: the record has none */
};

static inline void skip_blanks(struct cursor *cursor)
{
    while (*cursor->at == ' ') {
        cursor->at++;
    }
}

/* The string that begins at the cursor, as it is written. */
static inline bool read_raw(struct cursor *cursor, struct text *text)
{
    const char *first = cursor->record + marks_next(&cursor->quotes);
    if (first != cursor->at) {
        return false;
    }
    size_t last = marks_next(&cursor->quotes);
    if (last >= (size_t)(cursor->end - cursor->record)) {
        return false;
    }
    cursor->at = cursor->record + last + 1;
    *text = (struct text){first + 1, (size_t)(cursor->at - first) - 2};
    return true;
}

static bool has_escape(struct text text)
{
    return memchr(text.at, '\\', text.size) != NULL;
}

static inline bool read_string(struct cursor *cursor, struct text *text)
{
    return read_raw(cursor, text) &&
           (!cursor->arena || !has_escape(*text) || json_unescape(cursor->arena, *text, text));
}

/* One in which no control character may be. */
static inline bool read_plain_string(struct cursor *cursor, struct text *text)
{
    return read_string(cursor, text) && !(cursor->arena && has_control(*text));
}

/* Goes over c; blanks around it are rare enough to be looked for only when something is not as
 * expected. */
static inline bool read_mark(struct cursor *cursor, char c)
{
    if (*cursor->at != c) {
        skip_blanks(cursor);
        if (*cursor->at != c) {
            return false;
        }
    }
    cursor->at++;
    if (*cursor->at == ' ') {
        skip_blanks(cursor);
    }
    return true;
}

/* A name and its colon; the cursor is then at the value. */
static inline bool read_name(struct cursor *cursor, struct text *name)
{
    return read_raw(cursor, name) && !(cursor->arena && has_escape(*name)) &&
           read_mark(cursor, ':');
}

enum after { AFTER_ERROR, AFTER_COMMA, AFTER_END };

/* What follows a value in an object; the cursor is then at the next name or behind the brace. */
static inline enum after read_after(struct cursor *cursor)
{
    if (read_mark(cursor, ',')) {
        return AFTER_COMMA;
    }
    return *cursor->at++ == '}' ? AFTER_END : AFTER_ERROR;
}

static inline bool read_number(struct cursor *cursor, struct dec *number)
{
    struct text rest = {cursor->at, (size_t)(cursor->end - cursor->at)};
    size_t size = scan_plain_number(rest, number);
    if (size == 0) {
        while (size < rest.size && !strchr(",]} ", rest.at[size])) {
            size++;
        }
        rest.size = size;
        if (dec_parse(rest, number) != NUMBER_OK) {
            return false;
        }
    }
    cursor->at += size;
    return true;
}

static inline bool read_word(struct cursor *cursor, struct text word)
{
    if ((size_t)(cursor->end - cursor->at) < word.size ||
        memcmp(cursor->at, word.at, word.size) != 0) {
        return false;
    }
    cursor->at += word.size;
    return true;
}

/* A scalar: kind and value of *member. */
static inline bool read_scalar(struct cursor *cursor, struct member *member)
{
    switch (*cursor->at) {
    case '"':
        member->kind = MEMBER_TEXT;
        return read_string(cursor, &member->text);
    case 't':
    case 'f':
        member->kind = MEMBER_BOOL;
        member->truth = *cursor->at == 't';
        return read_word(cursor, member->truth ? TEXT("true") : TEXT("false"));
    case 'n':
        member->kind = MEMBER_NULL;
        return read_word(cursor, TEXT("null"));
    default:
        member->kind = MEMBER_NUMBER;
        return read_number(cursor, &member->number);
    }
}

/* The path of a name in the object at parent.  Producers write the same names in the same order:
 * the last record's are compared, eight bytes at once, before one is hashed. */
static inline uint64_t find_path(struct known_name *known, uint64_t parent, struct text name,
                                 const char *end)
{
    if (name.size - 1 >= sizeof(uint64_t) || (size_t)(end - name.at) < sizeof(uint64_t)) {
        return member_path(parent, name);
    }
    uint64_t word = bytes_load64(name.at) & UINT64_MAX >> 8 * (sizeof word - name.size);
    if (known->word != word || known->size != name.size || known->parent != parent) {
        *known = (struct known_name){word, name.size, parent, member_path(parent, name)};
    }
    return known->path;
}

/* Equal names of an object have equal paths; other names that do are none of the fast path's. */
static inline bool is_path_taken(const struct decoder *decoder, uint32_t member_count,
                                 uint64_t path)
{
    for (uint32_t i = 0; i < member_count; i++) {
        if (decoder->members[i].path == path) {
            return true;
        }
    }
    for (uint32_t i = 0; i < decoder->holder_count; i++) {
        if (decoder->holders[i] == path) {
            return true;
        }
    }
    return false;
}

/* An object or array of data that is open. */
struct nest {
    uint64_t path;
    uint32_t items; /* of an array, so far */
    bool is_array;
};

/* What begins with the bracket at the cursor: it is opened, or is a member when nothing is in it.
 */
static inline bool open_nest(struct cursor *cursor, struct decoder *decoder, uint64_t path,
                             struct nest *nests, uint32_t *depth, uint32_t *member_count)
{
    const bool is_array = *cursor->at++ == '[';
    skip_blanks(cursor);
    if (*cursor->at == (is_array ? ']' : '}')) {
        cursor->at++;
        decoder->members[(*member_count)++] = (struct member){
            .path = path, .kind = is_array ? MEMBER_EMPTY_ARRAY : MEMBER_EMPTY_OBJECT};
        return cursor->at < cursor->end;
    }
    if (++*depth == NESTS_FAST_MAX) {
        return false;
    }
    nests[*depth] = (struct nest){.path = path, .is_array = is_array};
    note_holder(decoder, path);
    return true;
}

/* Goes over the brackets that end what is open, and the comma behind them: to the next name or
 * item, or behind the brace of data, where *is_end is set. */
static inline bool close_nests(struct cursor *cursor, const struct nest *nests, uint32_t *depth,
                               bool *is_end)
{
    while (!read_mark(cursor, ',')) {
        if (*cursor->at++ != (nests[*depth].is_array ? ']' : '}')) {
            return false;
        }
        if (*depth == 0) {
            *is_end = true;
            return true;
        }
        --*depth;
        if (cursor->at >= cursor->end) {
            return false;
        }
    }
    return true;
}

/* The members of data; the cursor is behind its opening brace. */
static inline bool read_data(struct cursor *cursor, struct decoder *decoder, uint32_t *member_count)
{
    struct nest nests[NESTS_FAST_MAX] = {{.path = PATH_DATA}};
    uint32_t depth = 0;
    bool is_end = false;
    skip_blanks(cursor);
    while (!is_end) {
        struct nest *nest = &nests[depth];
        const uint32_t place = *member_count + decoder->holder_count;
        uint64_t path;
        if (place >= MEMBERS_FAST_MAX) {
            return false;
        }
        if (nest->is_array) {
            path = member_item_path(nest->path, nest->items++);
        } else {
            struct text name;
            if (!read_name(cursor, &name)) {
                return false;
            }
            path = find_path(&decoder->names[place], nest->path, name, cursor->end);
            if (is_path_taken(decoder, *member_count, path)) {
                return false;
            }
        }
        const uint32_t before = depth;
        if (*cursor->at == '{' || *cursor->at == '[') {
            if (!open_nest(cursor, decoder, path, nests, &depth, member_count)) {
                return false;
            }
        } else {
            struct member *member = &decoder->members[(*member_count)++];
            *member = (struct member){.path = path};
            if (!read_scalar(cursor, member)) {
                return false;
            }
        }
        if (depth == before && !close_nests(cursor, nests, &depth, &is_end)) {
            return false;
        }
    }
    return true;
}

/* What the members of a record have given so far. */
struct fields {
    struct attributes attributes;
    uint64_t extensions[EXTENSIONS_FAST_MAX]; /* hashes of names */
    uint32_t extension_count;
    bool has_data;
};

/* Names are told apart by their sizes, but for type and time. */
static inline enum attribute name_attribute(struct text name)
{
    switch (name.size) {
    case 2:
        return memcmp(name.at, "id", 2) == 0 ? ATTRIBUTE_ID : ATTRIBUTE_NONE;
    case 4:
        return memcmp(name.at, "type", 4) == 0   ? ATTRIBUTE_TYPE
               : memcmp(name.at, "time", 4) == 0 ? ATTRIBUTE_TIME
                                                 : ATTRIBUTE_NONE;
    case 6:
        return memcmp(name.at, "source", 6) == 0 ? ATTRIBUTE_SOURCE : ATTRIBUTE_NONE;
    case 7:
        return memcmp(name.at, "subject", 7) == 0 ? ATTRIBUTE_SUBJECT : ATTRIBUTE_NONE;
    case 11:
        return memcmp(name.at, "specversion", 11) == 0 ? ATTRIBUTE_SPECVERSION : ATTRIBUTE_NONE;
    default:
        return ATTRIBUTE_NONE;
    }
}

/* Of an attribute that is no content: it must be in order, and is forgotten. */
static bool read_extension(struct cursor *cursor, struct text name, struct fields *fields)
{
    if (text_equal(name, TEXT("data_base64")) || fields->extension_count == EXTENSIONS_FAST_MAX) {
        return false;
    }
    uint64_t hash = member_path(PATH_DATA, name);
    for (uint32_t i = 0; i < fields->extension_count; i++) {
        if (fields->extensions[i] == hash) {
            return false;
        }
    }
    fields->extensions[fields->extension_count++] = hash;
    struct member ignored;
    return *cursor->at == '"' ? read_plain_string(cursor, &ignored.text)
                              : read_scalar(cursor, &ignored);
}

/* A time in seconds, as a number. */
static bool read_epoch(struct cursor *cursor, struct text *text)
{
    struct dec ignored;
    *text = (struct text){cursor->at, (size_t)(cursor->end - cursor->at)};
    text->size = scan_plain_number(*text, &ignored);
    cursor->at += text->size;
    return text->size > 0;
}

static inline bool read_member(struct cursor *cursor, struct decoder *decoder,
                               struct fields *fields, uint32_t *member_count)
{
    struct text name;
    if (!read_name(cursor, &name)) {
        return false;
    }
    enum attribute attribute = name_attribute(name);
    if (attribute != ATTRIBUTE_NONE) {
        struct text *text = &fields->attributes.texts[attribute];
        return text->at == NULL && (attribute == ATTRIBUTE_TIME && *cursor->at != '"'
                                        ? read_epoch(cursor, text)
                                        : read_plain_string(cursor, text));
    }
    if (name.size == 4 && memcmp(name.at, "data", 4) == 0) {
        if (fields->has_data || *cursor->at != '{') {
            return false;
        }
        cursor->at++;
        fields->has_data = true;
        return read_data(cursor, decoder, member_count);
    }
    return read_extension(cursor, name, fields);
}

/* With a size that is known here, the comparison is no call. */
static inline bool is_version(struct text text)
{
    return text.size == 3 && memcmp(text.at, "1.0", 3) == 0;
}

/* Quotes behind a backslash begin and end nothing.  (Outside a string a backslash is none of what
 * is compared there.) */
static void drop_escaped_quotes(struct text record, uint64_t *marks)
{
    const char *at = record.at, *end = record.at + record.size;
    while ((at = memchr(at, '\\', (size_t)(end - at))) && at + 2 < end) {
        const size_t next = (size_t)(at + 1 - record.at);
        if (at[1] == '"') {
            marks[next / 64] &= ~(UINT64_C(1) << next % 64);
        }
        at += 2;
    }
}

/* A whole record, name by name. */
static bool read_whole(struct decoder *decoder, struct text record, bool has_escapes,
                       struct fields *fields, uint32_t *member_count)
{
    struct cursor cursor = {.at = record.at + 1,
                            .record = record.at,
                            .end = record.at + record.size,
                            .quotes = marks_start(decoder->marks),
                            .arena = has_escapes ? decoder->arena : NULL};
    enum after after = AFTER_COMMA;
    skip_blanks(&cursor);
    while (after == AFTER_COMMA) {
        if (!read_member(&cursor, decoder, fields, member_count)) {
            return false;
        }
        if (cursor.at >= cursor.end) {
            return false; /* the data's brace was the last one */
        }
        after = read_after(&cursor);
    }
    return after == AFTER_END && cursor.at == cursor.end &&
           is_version(fields->attributes.texts[ATTRIBUTE_SPECVERSION]);
}

bool json_fast_data(struct decoder *decoder, struct text field, uint32_t *member_count)
{
    const struct text scanned = {field.at,
                                 field.size < SCAN_MIN_BYTES ? SCAN_MIN_BYTES : field.size};
    if (field.size < 2 || scanned.size > SCAN_MAX_BYTES || field.at[0] != '{' ||
        field.at[field.size - 1] != '}') {
        return false;
    }
    unsigned flags = scan_marks(scanned, '"', '\\', decoder->marks);
    if (flags & SCAN_CONTROL) {
        return false;
    }
    const bool has_escapes = (flags & SCAN_ESCAPE) != 0;
    if (has_escapes) {
        drop_escaped_quotes(field, decoder->marks);
    }
    struct cursor cursor = {.at = field.at + 1,
                            .record = field.at,
                            .end = field.at + field.size,
                            .quotes = marks_start(decoder->marks),
                            .arena = has_escapes ? decoder->arena : NULL};
    decoder->holder_count = 0;
    return read_data(&cursor, decoder, member_count) && cursor.at == cursor.end;
}

bool json_fast_read(struct decoder *decoder, struct text record, struct event *event)
{
    if (record.size < SCAN_MIN_BYTES || record.size > SCAN_MAX_BYTES || record.at[0] != '{' ||
        record.at[record.size - 1] != '}') {
        return false;
    }
    unsigned flags = scan_marks(record, '"', '\\', decoder->marks);
    if ((flags & SCAN_CONTROL) || ((flags & SCAN_HIGH) && !text_is_utf8(record))) {
        return false;
    }
    const bool has_escapes = (flags & SCAN_ESCAPE) != 0;
    if (has_escapes) {
        drop_escaped_quotes(record, decoder->marks);
        arena_rewind(decoder->arena, decoder->empty);
    }
    struct fields fields = {0};
    uint32_t member_count = 0;
    decoder->holder_count = 0;
    if (!read_whole(decoder, record, has_escapes, &fields, &member_count)) {
        return false;
    }
    record_print_all(decoder, &fields.attributes, member_count);
    return record_finish(decoder, &fields.attributes, member_count, event);
}
