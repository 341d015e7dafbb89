/* segment_read.c - a block to events.
 *
 * All that the block says once is worked out when it is opened: texts are checked, shapes get the
 * paths of their values, and each tuple and subject its part of the fingerprint.  An event is then
 * a few numbers out of streams that are read from front to back: no search, no allocation, four
 * short hashes.
 *
 * A block whose hash is right was made by a writer, or by somebody who wants to see what happens:
 * so every size and code is checked, when the block is opened or when it is met.  So is how much it
 * says there is: packed, a few bytes can be millions of texts or values, which take memory; but no
 * writer makes more of them than its events have.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "decode/segment_form.h"

enum {
    TEXT_ROOM_BYTES = 2 * ATTRIBUTE_MAX_BYTES +
                      64, /* of a text made from a pattern, and what is written beyond */
    COPY_BYTES = 16,      /* at once, of what is shorter too */
    SHAPES_MAX_BYTES = 2 * SEGMENT_TEXTS_MAX_BYTES, /* of full blocks, and one record more */
    EVENT_TEXTS = 3, /* that are no values: source, type, and the shape's */
    TUPLES_MAX_BYTES = 32 * 1024 * 1024,
    LINE_BYTES = 64,    /* of a cache */
    HEADS_AT_ONCE = 32, /* so that what they name is in memory by the time it is asked for */
};

struct cursor {
    const unsigned char *at, *end;
};

struct codes {
    const unsigned char *bits;
    uint32_t width;
    uint32_t limit; /* codes are below */
    uint32_t count; /* as many are there */
};

/* Literal bytes, then digits. */
struct pattern_run {
    uint8_t literal_size, digit_count;
    uint16_t literal_at;
};

struct pattern {
    const char *bytes;
    const struct pattern_run *runs;
    uint32_t size, run_count, digit_count;
    bool is_attribute; /* may be one: not empty, no control character */
};

struct text_column {
    const struct pattern *patterns;
    uint32_t pattern_count;
    struct cursor choice, digits, rest;
    bool has_choice;
};

struct leaf {
    uint8_t coding;
    uint64_t path;
    struct codes codes;
    uint32_t next; /* event of the shape, for codes */
    struct cursor sizes, bytes;
    struct text_column texts;
    char *room; /* for the text of one event at a time: shapes share it */
};

struct shape {
    struct shape_form form;
    struct leaf *leaves;
    uint32_t in_tuple_count;
};

/* Met at random, event by event: small, so that they stay in the cache. */
struct subject {
    uint64_t print;
    uint32_t offset, size; /* of its text in subject_bytes */
};

struct tuple {
    uint64_t print; /* of source, type and what is in the tuple */
    uint64_t type_print;
    uint32_t shape, source, type;
    bool is_withdrawal;
    struct tuple_code {
        uint64_t print; /* of the member */
        uint32_t code;
    } codes[]; /* as many as its shape has in tuples */
};

/* What each event has, whatever its shape. */
struct head {
    uint32_t tuple, subject; /* their codes */
    instant at;
    struct text id; /* empty: the event cannot be read */
};

struct segment_reader {
    struct arena *arena;
    struct arena_mark empty;
    ZSTD_DCtx *unpacker;
    struct member members[MEMBERS_MAX];
    char id_room[HEADS_AT_ONCE * ATTRIBUTE_MAX_BYTES + TEXT_ROOM_BYTES];
    struct head heads[HEADS_AT_ONCE]; /* of the events from heads_first on, read ahead */
    uint32_t heads_first, heads_count;
    const char *fault;
    struct segment_header header;
    struct cursor body;
    size_t unpacked_bytes, shape_bytes;
    uint32_t leaf_count;    /* of all shapes */
    uint32_t pattern_count; /* of all columns */
    char *rooms[MEMBERS_MAX];
    struct text *texts;
    uint32_t text_count;
    struct subject *subjects;
    const char *subject_bytes;
    uint32_t subject_count;
    struct shape *shapes;
    uint32_t shape_count;
    char *tuples;           /* struct tuple, one behind another */
    uint32_t *tuple_places; /* of each in tuples */
    uint32_t tuple_count;
    struct codes tuple_codes, subject_codes;
    const unsigned char *time_sizes;
    struct cursor times;
    struct text_column ids;
    int64_t unit;       /* of times: so many nanoseconds */
    int64_t at, at_max; /* in units: of the head that was read last; no time has more */
    uint32_t next;
    struct event event;        /* the last one */
    const struct shape *shape; /* its shape */
};

struct segment_reader *segment_reader_new(struct arena *arena)
{
    struct segment_reader *reader = arena_calloc(arena, 1, sizeof *reader);
    reader->arena = arena;
    size_t size = ZSTD_estimateDCtxSize();
    reader->unpacker = ZSTD_initStaticDCtx(arena_alloc(arena, size), size);
    reader->empty = arena_mark(arena);
    return reader;
}

uint32_t segment_position(const struct segment_reader *reader)
{
    return reader->next;
}

uint32_t segment_source_count(const struct segment_reader *reader)
{
    return reader->text_count;
}

uint32_t segment_subject_count(const struct segment_reader *reader)
{
    return reader->subject_count;
}

uint32_t segment_tuple_count(const struct segment_reader *reader)
{
    return reader->tuple_count;
}

/* ---- streams ------------------------------------------------------------------------------- */

static bool find_fault(struct segment_reader *reader, const char *fault)
{
    reader->fault = fault;
    return false;
}

static bool next_stream(struct segment_reader *reader, struct cursor *stream)
{
    struct cursor *body = &reader->body;
    if ((size_t)(body->end - body->at) < STREAM_HEAD_BYTES) {
        return find_fault(reader, "segment: a stream is missing");
    }
    size_t size = read_le(body->at, 4), unpacked = read_le(body->at + 4, 4);
    body->at += STREAM_HEAD_BYTES;
    if (size > (size_t)(body->end - body->at) || size > unpacked ||
        unpacked > SEGMENT_BODY_MAX_BYTES - reader->unpacked_bytes) {
        return find_fault(reader, "segment: a stream is too long");
    }
    reader->unpacked_bytes += unpacked;
    *stream = (struct cursor){body->at, body->at + size};
    body->at += size;
    if (size == unpacked) {
        return true;
    }
    unsigned char *to = arena_alloc(reader->arena, unpacked + SEGMENT_PADDING_BYTES);
    if (ZSTD_decompressDCtx(reader->unpacker, to, unpacked, stream->at, size) != unpacked) {
        return find_fault(reader, "segment: a stream cannot be unpacked");
    }
    memset(to + unpacked, 0, SEGMENT_PADDING_BYTES);
    *stream = (struct cursor){to, to + unpacked};
    return true;
}

static bool next_varint(struct cursor *cursor, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; cursor->at < cursor->end && shift < 63; shift += 7) {
        unsigned char c = *cursor->at++;
        *value |= (uint64_t)(c & 0x7F) << shift;
        if (c < 0x80) {
            return true;
        }
    }
    return false;
}

/* A number of the plan that is at most max. */
static bool next_number(struct segment_reader *reader, struct cursor *plan, uint64_t max,
                        uint32_t *number)
{
    uint64_t value;
    if (!next_varint(plan, &value) || value > max) {
        return find_fault(reader, "segment: the plan has a number that cannot be");
    }
    *number = (uint32_t)value;
    return true;
}

static bool next_codes(struct segment_reader *reader, uint32_t width, uint32_t limit,
                       uint32_t count, struct codes *codes)
{
    struct cursor stream;
    if (!next_stream(reader, &stream)) {
        return false;
    }
    uint64_t there = width == 0 ? UINT32_MAX : (uint64_t)(stream.end - stream.at) * 8 / width;
    if (width > 32 || there < count) {
        return find_fault(reader, "segment: a stream of codes is too short");
    }
    *codes = (struct codes){stream.at, width, limit, (uint32_t)there};
    return true;
}

static inline uint32_t code_at(const struct codes *codes, uint32_t index)
{
    uint64_t bit = (uint64_t)index * codes->width;
    uint64_t word = read_le64(codes->bits + (bit >> 3)) >> (bit & 7);
    return (uint32_t)(word & ((UINT64_C(1) << codes->width) - 1));
}

static inline struct tuple *tuple_at(const struct segment_reader *reader, uint32_t index)
{
    return (struct tuple *)(void *)(reader->tuples + reader->tuple_places[index]);
}

/* Each event adds its values, and a block that is full gets no more. */
static uint32_t values_max(const struct segment_reader *reader)
{
    uint64_t values = (uint64_t)reader->header.event_count * MEMBERS_MAX;
    uint64_t most = SEGMENT_VALUES_MAX + MEMBERS_MAX;
    return (uint32_t)(values < most ? values : most);
}

/* No pattern is without a text, and those are subjects, ids and values. */
static uint32_t patterns_max(const struct segment_reader *reader)
{
    return 2 * reader->header.event_count + values_max(reader);
}

/* ---- columns of text ----------------------------------------------------------------------- */

/* Goes over the pattern; out (NULL: only counted) has room for all runs. */
static uint32_t find_runs(const char *bytes, uint32_t size, struct pattern_run *out)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < size; count++) {
        struct pattern_run run = {.literal_at = (uint16_t)at};
        while (at < size && bytes[at] != '\0' && run.literal_size < COPY_BYTES) {
            at++;
            run.literal_size++;
        }
        while (at < size && bytes[at] == '\0') {
            at++;
            run.digit_count++;
        }
        if (out) {
            out[count] = run;
        }
    }
    return count;
}

static bool read_pattern(struct segment_reader *reader, struct cursor *names,
                         struct pattern *pattern)
{
    uint64_t size;
    if (!next_varint(names, &size) || size > ATTRIBUTE_MAX_BYTES ||
        size > (size_t)(names->end - names->at)) {
        return find_fault(reader, "segment: a pattern is cut");
    }
    char *bytes = arena_alloc(reader->arena, size + COPY_BYTES);
    char sample[ATTRIBUTE_MAX_BYTES];
    memcpy(bytes, names->at, size);
    names->at += size;
    for (size_t i = 0; i < size; i++) {
        sample[i] = bytes[i] ? bytes[i] : '0';
        pattern->digit_count += bytes[i] == '\0';
    }
    struct text text = {sample, size};
    if (!text_is_utf8(text)) {
        return find_fault(reader, "segment: a pattern is no UTF-8");
    }
    pattern->bytes = bytes;
    pattern->size = (uint32_t)size;
    pattern->run_count = find_runs(bytes, pattern->size, NULL);
    struct pattern_run *runs =
        arena_alloc(reader->arena, (pattern->run_count + 1ul) * sizeof *runs);
    (void)find_runs(bytes, pattern->size, runs);
    pattern->runs = runs;
    pattern->is_attribute = size > 0 && !has_control(text);
    return true;
}

static bool open_texts(struct segment_reader *reader, uint32_t count, struct text_column *column)
{
    struct cursor names;
    uint64_t pattern_count;
    *column = (struct text_column){0};
    if (!next_stream(reader, &names) || !next_stream(reader, &column->choice) ||
        !next_stream(reader, &column->digits) || !next_stream(reader, &column->rest)) {
        return false;
    }
    column->has_choice = column->choice.at < column->choice.end;
    if (!next_varint(&names, &pattern_count) || pattern_count > PATTERN_REST ||
        (column->has_choice ? (size_t)(column->choice.end - column->choice.at) < count
                            : count > 0 && pattern_count != 1)) {
        return find_fault(reader, "segment: a column of texts is cut");
    }
    reader->pattern_count += (uint32_t)pattern_count;
    if (reader->pattern_count > patterns_max(reader)) {
        return find_fault(reader, "segment: the columns have too many patterns");
    }
    struct pattern *patterns =
        arena_calloc(reader->arena, (size_t)pattern_count + 1, sizeof *patterns);
    for (uint64_t i = 0; i < pattern_count; i++) {
        if (!read_pattern(reader, &names, &patterns[i])) {
            return false;
        }
    }
    column->patterns = patterns;
    column->pattern_count = (uint32_t)pattern_count;
    return true;
}

/* Sixteen bytes at once: a compiler makes a few instructions of it, on any machine. */
typedef uint8_t vector __attribute__((vector_size(16)));

static inline vector name_digits(vector digits)
{
    vector letters = (vector)(digits > 9);
    return digits + (uint8_t)'0' + (letters & (uint8_t)('a' - '0' - 10));
}

/* 32 digits out of sixteen bytes. */
static inline void spread_digits(const unsigned char *bytes, char *out)
{
    vector packed;
    memcpy(&packed, bytes, sizeof packed);
    vector high = name_digits(packed >> 4), low = name_digits(packed & 15);
    vector first =
        __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    vector second = __builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                            14, 30, 15, 31);
    memcpy(out, &first, sizeof first);
    memcpy(out + sizeof first, &second, sizeof second);
}

static inline void fill_pattern(const struct pattern *pattern, const unsigned char *packed,
                                char *out)
{
    char digits[ATTRIBUTE_MAX_BYTES + 1 + 2 * COPY_BYTES];
    for (uint32_t at = 0; at < pattern->digit_count; at += 2 * COPY_BYTES) {
        spread_digits(packed + at / 2, digits + at);
    }
    const char *from = digits;
    for (uint32_t i = 0; i < pattern->run_count; i++) {
        const struct pattern_run *run = &pattern->runs[i];
        memcpy(out, pattern->bytes + run->literal_at, COPY_BYTES);
        out += run->literal_size;
        memcpy(out, from, COPY_BYTES);
        for (uint32_t at = COPY_BYTES; at < run->digit_count; at += COPY_BYTES) {
            memcpy(out + at, from + at, COPY_BYTES);
        }
        out += run->digit_count;
        from += run->digit_count;
    }
}

/* The next text, in room or where the stream has it.  is_attribute: it must be one, or be empty
 * where may_be_empty. */
static inline bool next_text(struct text_column *column, char *room, bool is_attribute,
                             bool may_be_empty, struct text *text)
{
    uint32_t choice = 0;
    if (column->has_choice) {
        if (column->choice.at == column->choice.end) {
            return false;
        }
        choice = *column->choice.at++;
    }
    if (choice < column->pattern_count) {
        const struct pattern *pattern = &column->patterns[choice];
        size_t packed = (pattern->digit_count + 1) / 2;
        if ((size_t)(column->digits.end - column->digits.at) < packed ||
            (is_attribute && !pattern->is_attribute && !(may_be_empty && pattern->size == 0))) {
            return false;
        }
        fill_pattern(pattern, column->digits.at, room);
        column->digits.at += packed;
        *text = (struct text){room, pattern->size};
        return true;
    }
    uint64_t size;
    if (choice != PATTERN_REST || !next_varint(&column->rest, &size) ||
        size > (size_t)(column->rest.end - column->rest.at)) {
        return false;
    }
    *text = (struct text){(const char *)column->rest.at, size};
    column->rest.at += size;
    if (is_attribute &&
        (size > ATTRIBUTE_MAX_BYTES || (size == 0 && !may_be_empty) || has_control(*text))) {
        return false;
    }
    return text_is_utf8(*text) && !memchr(text->at, '\0', text->size);
}

/* ---- opening ------------------------------------------------------------------------------- */

static bool read_texts(struct segment_reader *reader, struct cursor sizes, struct cursor bytes,
                       uint32_t count)
{
    reader->texts = arena_alloc(reader->arena, (count + 1ul) * sizeof *reader->texts);
    reader->text_count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t size;
        if (!next_varint(&sizes, &size) || size > (size_t)(bytes.end - bytes.at)) {
            return find_fault(reader, "segment: the dictionary is cut");
        }
        struct text text = {(const char *)bytes.at, size};
        bytes.at += size;
        if (!text_is_utf8(text) || (size > 0 && memchr(text.at, '\0', size))) {
            return find_fault(reader, "segment: the dictionary has a text that is no UTF-8");
        }
        reader->texts[i] = text;
    }
    return true;
}

static char *take_room(struct segment_reader *reader, uint32_t leaf)
{
    static_assert((int)TEXT_ROOM_BYTES >= (int)DEC_FORMAT_MAX);
    if (!reader->rooms[leaf]) {
        reader->rooms[leaf] = arena_alloc(reader->arena, TEXT_ROOM_BYTES);
    }
    return reader->rooms[leaf];
}

/* Each shape is that of an event. */
static bool count_shape(struct segment_reader *reader, uint32_t json, uint32_t leaf_count)
{
    reader->shape_bytes += reader->texts[json].size;
    reader->leaf_count += leaf_count;
    return (reader->shape_bytes <= SHAPES_MAX_BYTES && reader->leaf_count <= values_max(reader)) ||
           find_fault(reader, "segment: the shapes have too many values");
}

static bool read_shape(struct segment_reader *reader, struct cursor *plan, struct shape *shape)
{
    uint32_t json, count;
    struct shape_form *form = &shape->form;
    if (!next_number(reader, plan, (uint64_t)reader->text_count - 1, &json) ||
        !next_number(reader, plan, MEMBERS_MAX, &count) || !count_shape(reader, json, count)) {
        return false;
    }
    if (!shape_form_read(reader->arena, reader->texts[json], true, form) ||
        form->leaf_count != count) {
        return find_fault(reader, "segment: a shape is none");
    }
    shape->leaves = arena_calloc(reader->arena, count + 1ul, sizeof *shape->leaves);
    for (uint32_t i = 0; i < count; i++) {
        struct leaf *leaf = &shape->leaves[i];
        uint32_t coding;
        if (!next_number(reader, plan, SEGMENT_CODINGS - 1, &coding)) {
            return false;
        }
        leaf->coding = (uint8_t)coding;
        leaf->path = form->paths[i];
        shape->in_tuple_count += coding == TEXT_IN_TUPLE || coding == WORD_IN_TUPLE;
        leaf->codes.limit = coding == WORD_BY_CODE ? SEGMENT_WORDS : reader->text_count;
        if ((coding == TEXT_BY_CODE || coding == WORD_BY_CODE) &&
            !next_number(reader, plan, 32, &leaf->codes.width)) {
            return false;
        }
        if (coding == DECIMAL_COLUMN || coding == TEXT_COLUMN) {
            leaf->room = take_room(reader, i);
        }
    }
    return true;
}

static void set_word(struct member *member, uint32_t word)
{
    static const enum member_kind KINDS[SEGMENT_WORDS] = {MEMBER_BOOL, MEMBER_BOOL, MEMBER_NULL,
                                                          MEMBER_EMPTY_OBJECT, MEMBER_EMPTY_ARRAY};
    member->kind = KINDS[word];
    member->truth = word == WORD_TRUE;
}

static bool is_attribute(struct text text)
{
    return text.size > 0 && text.size <= ATTRIBUTE_MAX_BYTES && !has_control(text);
}

static bool read_tuple_codes(struct segment_reader *reader, struct cursor *plan,
                             struct tuple *tuple)
{
    const struct shape *shape = &reader->shapes[tuple->shape];
    uint32_t used = 0;
    for (uint32_t i = 0; i < shape->form.leaf_count; i++) {
        const struct leaf *leaf = &shape->leaves[i];
        struct member member = {.path = leaf->path, .kind = MEMBER_TEXT};
        uint32_t code;
        if (leaf->coding == TEXT_IN_TUPLE) {
            if (!next_number(reader, plan, (uint64_t)reader->text_count - 1, &code)) {
                return false;
            }
            member.text = reader->texts[code];
        } else if (leaf->coding == WORD_IN_TUPLE) {
            if (!next_number(reader, plan, SEGMENT_WORDS - 1, &code)) {
                return false;
            }
            set_word(&member, code);
        } else {
            continue;
        }
        uint64_t print = record_print_member(&member);
        tuple->codes[used++] = (struct tuple_code){print, code};
        tuple->print += print;
    }
    return true;
}

/* The source or type of each tuple.  Most texts come again and again, and are looked at once. */
static bool read_tuple_attributes(struct segment_reader *reader, struct cursor *plan,
                                  enum attribute attribute)
{
    struct arena_mark mark = arena_mark(reader->arena);
    uint64_t *prints = arena_alloc(reader->arena, reader->text_count * sizeof *prints);
    bool *is_known = arena_calloc(reader->arena, reader->text_count, sizeof *is_known);
    for (uint32_t t = 0; t < reader->tuple_count; t++) {
        struct tuple *tuple = tuple_at(reader, t);
        uint32_t code;
        if (!next_number(reader, plan, (uint64_t)reader->text_count - 1, &code)) {
            return false;
        }
        struct text text = reader->texts[code];
        if (!is_known[code]) {
            if (!is_attribute(text)) {
                return find_fault(reader, "segment: an attribute is none");
            }
            prints[code] = record_print_attribute(attribute, text);
            is_known[code] = true;
        }
        tuple->print += prints[code];
        if (attribute == ATTRIBUTE_SOURCE) {
            tuple->source = code;
        } else {
            tuple->type = code;
            tuple->type_print = prints[code];
            tuple->is_withdrawal = text_equal(text, TEXT(WITHDRAWAL_TYPE));
        }
    }
    arena_rewind(reader->arena, mark);
    return true;
}

/* Room for the tuples, each as large as its shape asks for: shapes that differ in that may be in
 * one block. */
static bool place_tuples(struct segment_reader *reader, struct cursor plan)
{
    /* A block has no more of them than events, and no more codes than values. */
    static_assert(SEGMENT_EVENTS_MAX * (sizeof(struct tuple) + LINE_BYTES) +
                      (SEGMENT_VALUES_MAX + MEMBERS_MAX) * sizeof(struct tuple_code) <=
                  TUPLES_MAX_BYTES);
    uint32_t count = reader->tuple_count;
    size_t bytes = 0;
    reader->tuple_places = arena_alloc(reader->arena, count * sizeof *reader->tuple_places);
    for (uint32_t t = 0; t < count; t++) {
        uint32_t shape;
        if (!next_number(reader, &plan, (uint64_t)reader->shape_count - 1, &shape)) {
            return false;
        }
        reader->tuple_places[t] = (uint32_t)bytes;
        size_t codes_bytes = reader->shapes[shape].in_tuple_count * sizeof(struct tuple_code);
        bytes += (sizeof(struct tuple) + codes_bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
        if (bytes > TUPLES_MAX_BYTES) {
            return find_fault(reader, "segment: the tuples have too many values");
        }
    }
    char *tuples = arena_calloc(reader->arena, bytes + LINE_BYTES, 1);
    reader->tuples = tuples + (-(uintptr_t)tuples & (LINE_BYTES - 1));
    return true;
}

static bool read_tuples(struct segment_reader *reader, struct cursor *plan)
{
    uint32_t count = reader->tuple_count;
    if (!place_tuples(reader, *plan)) {
        return false;
    }
    for (uint32_t t = 0; t < count; t++) {
        if (!next_number(reader, plan, (uint64_t)reader->shape_count - 1,
                         &tuple_at(reader, t)->shape)) {
            return false;
        }
    }
    if (!read_tuple_attributes(reader, plan, ATTRIBUTE_SOURCE) ||
        !read_tuple_attributes(reader, plan, ATTRIBUTE_TYPE)) {
        return false;
    }
    for (uint32_t t = 0; t < count; t++) {
        if (!read_tuple_codes(reader, plan, tuple_at(reader, t))) {
            return false;
        }
    }
    return true;
}

static bool read_plan(struct segment_reader *reader, struct cursor plan, struct cursor sizes,
                      struct cursor bytes)
{
    uint32_t text_count, unit;
    uint64_t first;
    uint32_t count = reader->header.event_count;
    uint32_t texts_max = EVENT_TEXTS * count + values_max(reader);
    if (!next_number(reader, &plan, texts_max, &text_count) ||
        text_count > (size_t)(sizes.end - sizes.at) || text_count == 0) {
        return find_fault(reader, "segment: the dictionary is cut");
    }
    if (!read_texts(reader, sizes, bytes, text_count)) {
        return false;
    }
    if (!next_number(reader, &plan, 9, &unit) || unit % 3 != 0 || !next_varint(&plan, &first) ||
        first > (uint64_t)INSTANT_MAX / POWER64[unit]) {
        return find_fault(reader, "segment: a time that cannot be");
    }
    reader->unit = (int64_t)POWER64[unit];
    reader->at_max = INSTANT_MAX / reader->unit;
    reader->at = (int64_t)first;
    if (!next_number(reader, &plan, count, &reader->subject_count) ||
        !next_number(reader, &plan, count, &reader->shape_count)) {
        return false;
    }
    reader->shapes = arena_calloc(reader->arena, reader->shape_count + 1ul, sizeof *reader->shapes);
    for (uint32_t s = 0; s < reader->shape_count; s++) {
        if (!read_shape(reader, &plan, &reader->shapes[s])) {
            return false;
        }
    }
    if (!next_number(reader, &plan, count, &reader->tuple_count)) {
        return false;
    }
    if (reader->subject_count == 0 || reader->shape_count == 0 || reader->tuple_count == 0) {
        return find_fault(reader, "segment: the plan is empty");
    }
    return read_tuples(reader, &plan);
}

static bool read_subjects(struct segment_reader *reader)
{
    struct text_column column;
    uint32_t count = reader->subject_count;
    if (!open_texts(reader, count, &column)) {
        return false;
    }
    reader->subjects = arena_alloc(reader->arena, count * sizeof *reader->subjects);
    struct buffer bytes;
    buffer_init(&bytes, reader->arena, count * 16ul + TEXT_ROOM_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        char *room = buffer_reserve(&bytes, TEXT_ROOM_BYTES);
        struct text text;
        if (!next_text(&column, room, true, true, &text)) {
            return find_fault(reader, "segment: a subject is none");
        }
        if (text.at != room && text.size > 0) {
            memcpy(room, text.at, text.size);
        }
        reader->subjects[i] =
            (struct subject){.print = record_print_attribute(ATTRIBUTE_SUBJECT, text),
                             .offset = (uint32_t)bytes.size,
                             .size = (uint32_t)text.size};
        bytes.size += text.size;
    }
    reader->subject_bytes = bytes.at;
    return true;
}

/* How many events have the value is not known yet: what is missing is met when it is asked for. */
static bool open_leaf(struct segment_reader *reader, struct leaf *leaf)
{
    switch ((enum segment_coding)leaf->coding) {
    case TEXT_BY_CODE:
    case WORD_BY_CODE:
        return next_codes(reader, leaf->codes.width, leaf->codes.limit, 0, &leaf->codes);
    case NUMBER_COLUMN:
    case DECIMAL_COLUMN:
        return next_stream(reader, &leaf->sizes) && next_stream(reader, &leaf->bytes);
    case TEXT_COLUMN:
        return open_texts(reader, 0, &leaf->texts);
    default:
        return true;
    }
}

static bool open_streams(struct segment_reader *reader)
{
    struct cursor sizes, bytes, plan, time_sizes;
    uint32_t count = reader->header.event_count;
    if (!next_stream(reader, &sizes) || !next_stream(reader, &bytes) ||
        !next_stream(reader, &plan) || !read_plan(reader, plan, sizes, bytes) ||
        !next_codes(reader, width_of(reader->tuple_count), reader->tuple_count, count,
                    &reader->tuple_codes) ||
        !next_codes(reader, width_of(reader->subject_count), reader->subject_count, count,
                    &reader->subject_codes) ||
        !next_stream(reader, &time_sizes) || !next_stream(reader, &reader->times)) {
        return false;
    }
    if ((size_t)(time_sizes.end - time_sizes.at) * TIME_STEPS_PER_BYTE < count) {
        return find_fault(reader, "segment: the times are cut");
    }
    reader->time_sizes = time_sizes.at;
    if (!read_subjects(reader) || !open_texts(reader, count, &reader->ids)) {
        return false;
    }
    for (uint32_t s = 0; s < reader->shape_count; s++) {
        struct shape *shape = &reader->shapes[s];
        for (uint32_t i = 0; i < shape->form.leaf_count; i++) {
            if (!open_leaf(reader, &shape->leaves[i])) {
                return false;
            }
        }
    }
    return reader->body.at == reader->body.end ||
           find_fault(reader, "segment: something follows the last stream");
}

bool segment_open(struct segment_reader *reader, struct text block, const char **fault)
{
    arena_rewind(reader->arena, reader->empty);
    reader->next = reader->heads_first = reader->heads_count = 0;
    reader->fault = NULL;
    reader->unpacked_bytes = reader->shape_bytes = 0;
    reader->leaf_count = reader->pattern_count = 0;
    memset(reader->rooms, 0, sizeof reader->rooms);
    reader->header.event_count = 0;
    *fault = NULL;
    if (block.size < SEGMENT_HEADER_BYTES ||
        !segment_header_read(block.at, &reader->header, fault) ||
        reader->header.kind != SEGMENT_EVENTS ||
        block.size != SEGMENT_HEADER_BYTES + (size_t)reader->header.body_bytes) {
        *fault = *fault ? *fault : "segment: a block is cut";
        return false;
    }
    const unsigned char *body = (const unsigned char *)block.at + SEGMENT_HEADER_BYTES;
    if (hash_print64(body, reader->header.body_bytes, SEGMENT_HASH_BODY) !=
        reader->header.body_hash) {
        *fault = "segment: a block is damaged";
        return false;
    }
    reader->body = (struct cursor){body, body + reader->header.body_bytes};
    if (!open_streams(reader)) {
        *fault = reader->fault;
        return false;
    }
    return true;
}

/* ---- events -------------------------------------------------------------------------------- */

static const uint64_t SIZE_MASKS[9] = {0,          0xFF,         0xFFFF,         0xFFFFFF,
                                       0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF,
                                       UINT64_MAX};

static inline bool next_time(struct segment_reader *reader, uint32_t index, instant *at)
{
    uint32_t size =
        1u << (reader->time_sizes[index / TIME_STEPS_PER_BYTE] >> index % TIME_STEPS_PER_BYTE * 2 &
               3);
    struct cursor *times = &reader->times;
    if ((size_t)(times->end - times->at) < size) {
        return false;
    }
    uint64_t step = read_le64(times->at) & SIZE_MASKS[size];
    times->at += size;
    reader->at = (int64_t)((uint64_t)reader->at + (uint64_t)unzigzag(step));
    if (reader->at < 0 || reader->at > reader->at_max) {
        return false;
    }
    *at = reader->at * reader->unit;
    return *at < INSTANT_MAX;
}

static bool next_wide(struct cursor *bytes, int scale, struct dec *number)
{
    if (bytes->end - bytes->at < 16) {
        return false;
    }
    u128 wide = (u128)read_le64(bytes->at + 8) << 64 | read_le64(bytes->at);
    bytes->at += 16;
    i128 mantissa = (i128)(wide >> 1 ^ (0 - (wide & 1)));
    return dec_make(mantissa, scale, number, NULL) == OK && number->scale == scale;
}

static inline bool next_mantissa(struct leaf *leaf, int *scale, int *size, int64_t *mantissa)
{
    if (leaf->sizes.at == leaf->sizes.end) {
        return false;
    }
    unsigned char c = *leaf->sizes.at++;
    *scale = c / 10;
    *size = c % 10;
    if (*scale > DEC_SCALE || *size == NUMBER_WIDE_SIZE) {
        return *scale <= DEC_SCALE;
    }
    if (leaf->bytes.end - leaf->bytes.at < *size) {
        return false;
    }
    *mantissa = unzigzag(read_le64(leaf->bytes.at) & SIZE_MASKS[*size]);
    leaf->bytes.at += *size;
    return true;
}

static inline bool next_dec(struct leaf *leaf, struct dec *number)
{
    int scale, size;
    int64_t mantissa = 0;
    if (!next_mantissa(leaf, &scale, &size, &mantissa)) {
        return false;
    }
    if (size == NUMBER_WIDE_SIZE) {
        return next_wide(&leaf->bytes, scale, number);
    }
    *number = (struct dec){mantissa, scale};
    return scale == 0 || mantissa % 10 != 0;
}

/* A text that is a number: as many digits after the point as it had, zeros too. */
static inline bool next_decimal(struct leaf *leaf, struct member *member)
{
    int scale, size;
    int64_t mantissa = 0;
    if (!next_mantissa(leaf, &scale, &size, &mantissa) || size == NUMBER_WIDE_SIZE) {
        return false;
    }
    member->number = (struct dec){mantissa, scale};
    member->has_number = scale == 0 || mantissa % 10 != 0; /* else it has a shorter form */
    member->text = (struct text){leaf->room, (size_t)dec_format(member->number, leaf->room)};
    return true;
}

/* The value of a leaf; its part of the fingerprint is added where it is not in the tuple's. */
static inline bool next_value(struct segment_reader *reader, struct leaf *leaf,
                              const struct tuple_code **codes, struct member *member,
                              uint64_t *print)
{
    bool is_good = true;
    member->path = leaf->path;
    member->kind = MEMBER_TEXT;
    member->is_of_tuple = member->has_number = false;
    switch ((enum segment_coding)leaf->coding) {
    case TEXT_IN_TUPLE:
        member->print = (*codes)->print;
        member->text = reader->texts[(*codes)++->code];
        member->is_of_tuple = true;
        return true;
    case WORD_IN_TUPLE:
        member->print = (*codes)->print;
        set_word(member, (*codes)++->code);
        member->is_of_tuple = true;
        return true;
    case TEXT_BY_CODE: {
        uint32_t code =
            leaf->next < leaf->codes.count ? code_at(&leaf->codes, leaf->next) : UINT32_MAX;
        is_good = code < leaf->codes.limit;
        leaf->next++;
        member->text = reader->texts[is_good ? code : 0];
        break;
    }
    case WORD_BY_CODE: {
        uint32_t code =
            leaf->next < leaf->codes.count ? code_at(&leaf->codes, leaf->next) : UINT32_MAX;
        is_good = code < leaf->codes.limit;
        leaf->next++;
        set_word(member, is_good ? code : 0);
        break;
    }
    case NUMBER_COLUMN:
        member->kind = MEMBER_NUMBER;
        is_good = next_dec(leaf, &member->number);
        break;
    case DECIMAL_COLUMN:
        is_good = next_decimal(leaf, member);
        break;
    case TEXT_COLUMN:
        is_good = next_text(&leaf->texts, leaf->room, false, true, &member->text);
        break;
    default:
        break;
    }
    if (is_good) {
        member->print = record_print_member(member);
        *print += member->print;
    }
    return is_good;
}

static bool set_targets(struct event *event)
{
    const struct member *source = event_member(event, member_path(PATH_DATA, TEXT("source")));
    const struct member *id = event_member(event, member_path(PATH_DATA, TEXT("id")));
    if (!source || !id || source->kind != MEMBER_TEXT || id->kind != MEMBER_TEXT ||
        !is_attribute(source->text) || !is_attribute(id->text)) {
        return false;
    }
    event->kind = EVENT_WITHDRAWAL;
    event->target_source = source->text;
    event->target_id = id->text;
    return true;
}

/* False when it cannot be read, and then none behind it can. */
static inline bool read_head(struct segment_reader *reader, uint32_t index, char *room,
                             struct head *head)
{
    head->tuple = code_at(&reader->tuple_codes, index);
    head->subject = code_at(&reader->subject_codes, index);
    if (head->tuple >= reader->tuple_count || head->subject >= reader->subject_count) {
        return false;
    }
    __builtin_prefetch(&reader->subjects[head->subject]);
    __builtin_prefetch(tuple_at(reader, head->tuple));
    return next_time(reader, index, &head->at) &&
           next_text(&reader->ids, room, true, false, &head->id);
}

/* Those of the events from index on. */
static void read_heads(struct segment_reader *reader, uint32_t index)
{
    uint32_t left = reader->header.event_count - index;
    char *room = reader->id_room;
    reader->heads_first = index;
    reader->heads_count = left < HEADS_AT_ONCE ? left : (uint32_t)HEADS_AT_ONCE;
    for (uint32_t i = 0; i < reader->heads_count; i++) {
        struct head *head = &reader->heads[i];
        if (!read_head(reader, index + i, room, head)) {
            head->id = TEXT("");
            reader->heads_count = i + 1;
        }
        room += head->id.at == room ? head->id.size : 0;
    }
}

static inline bool read_event(struct segment_reader *reader, uint32_t index, struct event *made)
{
    if (index - reader->heads_first >= reader->heads_count) {
        read_heads(reader, index);
    }
    const struct head *head = &reader->heads[index - reader->heads_first];
    if (head->id.size == 0) {
        return false;
    }
    const struct tuple *tuple = tuple_at(reader, head->tuple);
    const struct subject *subject = &reader->subjects[head->subject];
    struct shape *shape = &reader->shapes[tuple->shape];
    uint64_t print = tuple->print + subject->print;
    const struct tuple_code *codes = tuple->codes;
    for (uint32_t i = 0; i < shape->form.leaf_count; i++) {
        if (!next_value(reader, &shape->leaves[i], &codes, &reader->members[i], &print)) {
            return false;
        }
    }
    reader->shape = shape;
    made->kind = EVENT_USAGE;
    made->id = head->id;
    made->at = head->at;
    made->source = reader->texts[tuple->source];
    made->type = reader->texts[tuple->type];
    made->type_print = tuple->type_print;
    made->source_number = tuple->source + 1;
    made->subject_number = head->subject + 1;
    made->tuple_number = head->tuple + 1;
    made->subject = (struct text){reader->subject_bytes + subject->offset, subject->size};
    made->members = reader->members;
    made->member_count = shape->form.leaf_count;
    made->holders = shape->form.holders;
    made->holder_count = shape->form.holder_count;
    made->target_source = made->target_id = (struct text){0};
    made->print =
        print + record_print_attribute(ATTRIBUTE_ID, made->id) + record_print_time(made->at);
    return tuple->is_withdrawal ? set_targets(made) : subject->size > 0;
}

const struct event *segment_next(struct segment_reader *reader, const char **fault)
{
    *fault = NULL;
    if (reader->next == reader->header.event_count || reader->fault) {
        return NULL;
    }
    if (!read_event(reader, reader->next, &reader->event)) {
        *fault = reader->fault = "segment: an event cannot be read";
        return NULL;
    }
    reader->next++;
    return &reader->event;
}

/* ---- canonical form ------------------------------------------------------------------------ */

static void add_member(struct buffer *out, const struct member *member)
{
    char digits[DEC_FORMAT_MAX];
    switch (member->kind) {
    case MEMBER_TEXT:
        buffer_add_json(out, member->text);
        break;
    case MEMBER_NUMBER:
        buffer_add(out, digits, (size_t)dec_format(member->number, digits));
        break;
    case MEMBER_BOOL:
        buffer_add_text(out, member->truth ? TEXT("true") : TEXT("false"));
        break;
    case MEMBER_NULL:
        buffer_add_text(out, TEXT("null"));
        break;
    case MEMBER_EMPTY_OBJECT:
        buffer_add_text(out, TEXT("{}"));
        break;
    case MEMBER_EMPTY_ARRAY:
        buffer_add_text(out, TEXT("[]"));
        break;
    }
}

static void add_data(const struct segment_reader *reader, struct buffer *out)
{
    const struct shape_form *form = &reader->shape->form;
    size_t at = 0;
    for (uint32_t i = 0; i < form->leaf_count; i++) {
        buffer_add(out, form->json.at + at, form->places[i] - at);
        add_member(out, &reader->members[i]);
        at = form->places[i] + 1ul;
    }
    buffer_add(out, form->json.at + at, form->json.size - at);
}

static void add_attribute(struct buffer *out, struct text head, struct text value)
{
    buffer_add_text(out, head);
    buffer_add_json(out, value);
}

void segment_canonical(const struct segment_reader *reader, struct buffer *out)
{
    const struct event *event = &reader->event;
    char time[TIME_FORMAT_MAX];
    buffer_add_text(out, TEXT("{\"data\":"));
    add_data(reader, out);
    add_attribute(out, TEXT(",\"id\":"), event->id);
    add_attribute(out, TEXT(",\"source\":"), event->source);
    buffer_add_text(out, TEXT(",\"specversion\":\"1.0\""));
    if (event->subject.size) {
        add_attribute(out, TEXT(",\"subject\":"), event->subject);
    }
    add_attribute(out, TEXT(",\"time\":"),
                  (struct text){time, (size_t)time_format(event->at, time)});
    add_attribute(out, TEXT(",\"type\":"), event->type);
    buffer_add_char(out, '}');
}
