/* segment_write.c - events to a block.
 *
 * Events are kept as they come: attributes and texts of data by their number in one table of texts,
 * the rest by value.  Only when a block is full is it known what is worth what: a text that comes
 * again and again goes into the dictionary, and what comes together again and again (shape, source,
 * type and such values) into tuples, so that most of an event is one number, whose meaning a reader
 * works out once.
 *
 * What has the same names and kinds in the same order is of one layout, which is looked up by a
 * hash; only the first of them is taken apart by name.
 *
 * Memory that an event is spread over costs more here than instructions do.  So a value takes eight
 * bytes, and a text that is a number is one: nearly all quantities differ, and their texts would
 * drive all others out of the cache.  It becomes a text again where it turns out to be a code.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "base/bytes.h"
#include "base/map.h"
#include "decode/segment_column.h"
#include "decode/segment_form.h"

#include <assert.h>

enum {
    LEVEL = 3,                      /* of zstd */
    PAIRS = 2 * SEGMENT_EVENTS_MAX, /* slots of the table of pairs */
    TUPLE_BYTES = 2,                /* that a tuple more costs, packed */
    DECIMAL_DIGITS_MAX = 18,
};

enum value_class { CLASS_TEXT, CLASS_WORD, CLASS_NUMBER };

/* A value takes 64 bits: a text's number, a word, or the place of a number among the wide ones;
 * or, with the highest bit set, a number (of a text: that it is written as), its scale in the next
 * five and its mantissa, zigzag. */
#define VALUE_IS_NUMBER (UINT64_C(1) << 63)
enum { VALUE_SCALE_BIT = 58, VALUE_SCALE_MASK = 31 };

struct staged {
    uint32_t shape, source, type, subject;
};

struct shape {
    uint32_t json; /* a text */
    uint32_t leaf_count, event_count;
    const uint8_t *classes;
    uint8_t *codings;
    uint32_t *widths;
    const uint64_t *paths;
};

/* Subjects are many, and so each is somewhere else.  They wait until there are enough of them to
 * look for all at once. */
enum { WAITING_MAX = 32 };
struct waiting {
    uint32_t hash, event;
    struct text text; /* its own bytes */
    char bytes[ATTRIBUTE_MAX_BYTES + 1];
};

/* In which order an event's members are a shape's values. */
struct layout {
    uint32_t shape, member_count;
    const uint64_t *names; /* of the members: their paths and kinds */
    const uint16_t *members;
};

struct pair {
    uint64_t key;
    uint32_t number, epoch;
};

struct segment_writer {
    struct arena *arena;
    struct arena_mark empty;
    ZSTD_CCtx *packer;
    struct pair *pairs;
    uint32_t epoch;
    /* Of the block, from here on: */
    bool is_begun;
    struct map text_map, shape_map, layout_map;
    struct text *texts;
    uint32_t text_count, text_capacity;
    size_t text_bytes;   /* with each use that may cost bytes */
    size_t number_bytes; /* of texts that are kept as numbers: new ones count twice */
    bool keeps_numbers;  /* texts that are numbers, as numbers */
    struct shape *shapes;
    uint32_t shape_count, shape_capacity;
    struct layout *layouts;
    uint32_t layout_count, layout_capacity;
    uint32_t last_layout;
    struct waiting waiting[WAITING_MAX];
    uint32_t waiting_count;
    size_t waiting_bytes;
    /* Apart, so that texts that are looked up lie close together. */
    struct column_pool text_pool, subject_pool, id_pool;
    struct staged *events;
    instant *times;
    struct text *ids;
    uint32_t *first_values; /* of each event */
    uint32_t event_count;
    uint64_t *values;
    uint32_t value_count;
    struct dec *wide; /* numbers that are more than a value */
    uint32_t wide_count, wide_capacity;
    /* While it is finished: */
    uint32_t *seen; /* of a text: in which epoch */
    uint32_t seen_count;
    uint32_t *numbers; /* of a text in the dictionary, plus one */
    uint32_t *dictionary;
    uint32_t dictionary_count;
    struct buffer body;
};

struct segment_writer *segment_writer_new(struct arena *arena)
{
    struct segment_writer *writer = arena_calloc(arena, 1, sizeof *writer);
    writer->arena = arena;
    size_t size = ZSTD_estimateCCtxSize(LEVEL);
    writer->packer = ZSTD_initStaticCCtx(arena_alloc(arena, size), size);
    assert(writer->packer);
    writer->pairs = arena_calloc(arena, PAIRS, sizeof *writer->pairs);
    /* Once for all blocks, in full. */
    writer->events = arena_alloc(arena, SEGMENT_EVENTS_MAX * sizeof *writer->events);
    writer->times = arena_alloc(arena, SEGMENT_EVENTS_MAX * sizeof *writer->times);
    writer->ids = arena_alloc(arena, SEGMENT_EVENTS_MAX * sizeof *writer->ids);
    writer->first_values = arena_alloc(arena, SEGMENT_EVENTS_MAX * sizeof *writer->first_values);
    writer->values =
        arena_alloc(arena, (SEGMENT_VALUES_MAX + MEMBERS_MAX) * sizeof *writer->values);
    writer->empty = arena_mark(arena);
    return writer;
}

uint32_t segment_count(const struct segment_writer *writer)
{
    return writer->is_begun ? writer->event_count : 0;
}

bool segment_is_full(const struct segment_writer *writer)
{
    return segment_count(writer) > 0 && (writer->event_count == SEGMENT_EVENTS_MAX ||
                                         writer->value_count >= SEGMENT_VALUES_MAX ||
                                         writer->text_bytes >= SEGMENT_TEXTS_MAX_BYTES);
}

/* ---- adding -------------------------------------------------------------------------------- */

static void begin_block(struct segment_writer *writer)
{
    struct arena *arena = writer->arena;
    arena_rewind(arena, writer->empty);
    writer->is_begun = true;
    map_init(&writer->text_map, arena, 4096);
    map_init(&writer->shape_map, arena, 16);
    map_init(&writer->layout_map, arena, 16);
    column_pool_init(&writer->text_pool, arena);
    column_pool_init(&writer->subject_pool, arena);
    column_pool_init(&writer->id_pool, arena);
    writer->texts = NULL;
    writer->shapes = NULL;
    writer->layouts = NULL;
    writer->text_count = writer->text_capacity = writer->shape_count = writer->shape_capacity = 0;
    writer->layout_count = writer->layout_capacity = 0;
    writer->last_layout = 0;
    writer->event_count = writer->value_count = 0;
    writer->wide = NULL;
    writer->wide_count = writer->wide_capacity = 0;
    writer->text_bytes = writer->number_bytes = writer->waiting_bytes = 0;
    writer->waiting_count = 0;
    writer->keeps_numbers = true;
}

/* The number of a text, of which the map has that slot. */
static uint32_t number_of_slot(struct segment_writer *writer, struct map_slot *slot,
                               struct column_pool *pool, struct text text)
{
    if (slot->value != MAP_NONE) {
        return slot->value;
    }
    if (writer->text_count == writer->text_capacity) {
        uint32_t capacity = writer->text_capacity ? writer->text_capacity * 2 : 4096;
        writer->texts = arena_grow(writer->arena, writer->texts, writer->text_capacity, capacity,
                                   sizeof *writer->texts);
        writer->text_capacity = capacity;
    }
    slot->key = writer->texts[writer->text_count] = column_pool_copy(pool, text);
    writer->text_bytes += text.size;
    return slot->value = writer->text_count++;
}

static uint32_t find_text(struct segment_writer *writer, struct text text)
{
    return number_of_slot(writer, map_take(&writer->text_map, text), &writer->text_pool, text);
}

static void find_waiting(struct segment_writer *writer)
{
    struct map *map = &writer->text_map;
    for (uint32_t i = 0; i < writer->waiting_count; i++) {
        map_fetch_key(map, writer->waiting[i].hash);
    }
    for (uint32_t i = 0; i < writer->waiting_count; i++) {
        const struct waiting *waiting = &writer->waiting[i];
        writer->events[waiting->event].subject =
            number_of_slot(writer, map_take_hashed(map, waiting->hash, waiting->text),
                           &writer->subject_pool, waiting->text);
    }
    writer->waiting_count = 0;
    writer->waiting_bytes = 0;
}

static void wait_for_subject(struct segment_writer *writer, uint32_t event, struct text subject)
{
    if (subject.size > ATTRIBUTE_MAX_BYTES) {
        writer->events[event].subject = find_text(writer, subject);
        return;
    }
    if (writer->waiting_count == WAITING_MAX) {
        find_waiting(writer);
    }
    struct waiting *waiting = &writer->waiting[writer->waiting_count++];
    waiting->hash = map_hash(&writer->text_map, subject);
    map_fetch_slot(&writer->text_map, waiting->hash);
    waiting->event = event;
    waiting->text = (struct text){waiting->bytes, subject.size};
    if (subject.size > 0) {
        memcpy(waiting->bytes, subject.at, subject.size);
    }
    writer->waiting_bytes += subject.size;
}

static uint8_t class_of(const struct member *member)
{
    return member->kind == MEMBER_TEXT     ? CLASS_TEXT
           : member->kind == MEMBER_NUMBER ? CLASS_NUMBER
                                           : CLASS_WORD;
}

static uint32_t word_of(const struct member *member)
{
    switch (member->kind) {
    case MEMBER_BOOL:
        return member->truth ? WORD_TRUE : WORD_FALSE;
    case MEMBER_EMPTY_OBJECT:
        return WORD_OBJECT;
    case MEMBER_EMPTY_ARRAY:
        return WORD_ARRAY;
    default:
        return WORD_NULL;
    }
}

static uint32_t find_shape(struct segment_writer *writer, const struct shape_form *form,
                           const uint8_t *classes)
{
    struct text key = text_join(writer->arena, form->json,
                                (struct text){(const char *)classes, form->leaf_count});
    uint32_t found = map_find(&writer->shape_map, key);
    if (found != MAP_NONE) {
        return found;
    }
    if (writer->shape_count == writer->shape_capacity) {
        uint32_t capacity = writer->shape_capacity ? writer->shape_capacity * 2 : 16;
        writer->shapes = arena_grow(writer->arena, writer->shapes, writer->shape_capacity, capacity,
                                    sizeof *writer->shapes);
        writer->shape_capacity = capacity;
    }
    uint32_t count = form->leaf_count;
    uint8_t *kept = arena_alloc(writer->arena, 2 * (size_t)count + 1);
    if (count > 0) {
        memcpy(kept, classes, count);
    }
    writer->shapes[writer->shape_count] =
        (struct shape){.json = find_text(writer, form->json),
                       .leaf_count = count,
                       .classes = kept,
                       .codings = kept + count,
                       .widths = arena_calloc(writer->arena, count + 1, sizeof(uint32_t)),
                       .paths = form->paths};
    return map_put(&writer->shape_map, key, writer->shape_count++);
}

/* Takes the data apart by name. */
static enum status read_layout(struct segment_writer *writer, const struct event *event,
                               struct text record, const struct csv_header *header,
                               struct decoder *decoder, struct layout *layout, struct error *err)
{
    struct buffer canonical;
    buffer_init(&canonical, writer->arena, record.size + 64);
    TRY(decode_canonical(decoder, record, header, &canonical, err));
    writer->text_bytes += canonical.size;
    struct text text = buffer_text(&canonical), head = TEXT("{\"data\":");
    assert(text.size > head.size && memcmp(text.at, head.at, head.size) == 0);
    struct shape_form form;
    bool is_good = shape_form_read(
        writer->arena, (struct text){text.at + head.size, text.size - head.size}, false, &form);
    assert(is_good && form.leaf_count == event->member_count);
    uint16_t *members = arena_alloc(writer->arena, (form.leaf_count + 1u) * sizeof *members);
    uint8_t classes[MEMBERS_MAX];
    for (uint32_t leaf = 0; leaf < form.leaf_count; leaf++) {
        uint32_t at = 0;
        while (at < event->member_count && event->members[at].path != form.paths[leaf]) {
            at++;
        }
        assert(at < event->member_count);
        members[leaf] = (uint16_t)at;
        classes[leaf] = class_of(&event->members[at]);
    }
    layout->shape = find_shape(writer, &form, classes);
    layout->members = members;
    return OK;
}

static uint64_t layout_name(const struct member *member)
{
    return member->path + class_of(member) * UINT64_C(0x9E3779B97F4A7C15);
}

static bool is_of_layout(const struct layout *layout, const struct event *event)
{
    bool is = layout->member_count == event->member_count;
    for (uint32_t i = 0; i < event->member_count && is; i++) {
        is = layout->names[i] == layout_name(&event->members[i]);
    }
    return is;
}

static enum status find_layout(struct segment_writer *writer, const struct event *event,
                               struct text record, const struct csv_header *header,
                               struct decoder *decoder, const struct layout **layout,
                               struct error *err)
{
    enum { LAYOUTS_TRIED = 8 };
    for (uint32_t i = 0; i < writer->layout_count && i < LAYOUTS_TRIED; i++) {
        /* The last one comes first. */
        uint32_t at = i == 0 ? writer->last_layout : i - (i <= writer->last_layout);
        if (is_of_layout(&writer->layouts[at], event)) {
            writer->last_layout = at;
            *layout = &writer->layouts[at];
            return OK;
        }
    }
    uint32_t count = event->member_count;
    uint64_t names[MEMBERS_MAX];
    assert(count <= MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = layout_name(&event->members[i]);
    }
    struct text key = {(const char *)names, count * sizeof *names};
    uint32_t found = map_find(&writer->layout_map, key);
    if (found == MAP_NONE) {
        struct layout made;
        TRY(read_layout(writer, event, record, header, decoder, &made, err));
        key = text_copy(writer->arena, key);
        made.names = (const uint64_t *)(const void *)key.at; /* an arena's memory is aligned */
        made.member_count = count;
        if (writer->layout_count == writer->layout_capacity) {
            uint32_t capacity = writer->layout_capacity ? writer->layout_capacity * 2 : 16;
            writer->layouts = arena_grow(writer->arena, writer->layouts, writer->layout_capacity,
                                         capacity, sizeof *writer->layouts);
            writer->layout_capacity = capacity;
        }
        found = writer->layout_count++;
        writer->layouts[found] = made;
        (void)map_put(&writer->layout_map, key, found);
    }
    writer->last_layout = found;
    *layout = &writer->layouts[found];
    return OK;
}

/* False when the number is too wide for a value. */
static bool stage_number(struct dec number, uint64_t *value)
{
    uint64_t mantissa = zigzag((int64_t)number.mantissa);
    *value = VALUE_IS_NUMBER | (uint64_t)number.scale << VALUE_SCALE_BIT | mantissa;
    return number.mantissa == (int64_t)number.mantissa && mantissa >> VALUE_SCALE_BIT == 0;
}

static uint64_t stage_any_number(struct segment_writer *writer, struct dec number)
{
    uint64_t value;
    if (stage_number(number, &value)) {
        return value;
    }
    if (writer->wide_count == writer->wide_capacity) {
        uint32_t capacity = writer->wide_capacity ? writer->wide_capacity * 2 : 64;
        writer->wide = arena_grow(writer->arena, writer->wide, writer->wide_capacity, capacity,
                                  sizeof *writer->wide);
        writer->wide_capacity = capacity;
    }
    writer->wide[writer->wide_count] = number;
    return writer->wide_count++;
}

static struct dec number_of(uint64_t value)
{
    uint64_t mantissa = value & ((UINT64_C(1) << VALUE_SCALE_BIT) - 1);
    return (struct dec){unzigzag(mantissa), (int32_t)(value >> VALUE_SCALE_BIT & VALUE_SCALE_MASK)};
}

/* Whether the text is what a decimal with so many digits after the point is written as. */
static inline bool read_decimal(struct text text, struct dec *number)
{
    const char *at = text.at, *end = at + text.size;
    bool is_negative = at < end && *at == '-';
    at += is_negative;
    const char *whole = at;
    uint64_t mantissa = 0;
    unsigned digit;
    if (text.size > DECIMAL_DIGITS_MAX + 2) {
        return false;
    }
    for (; at < end && (digit = (unsigned)*at - '0') <= 9; at++) {
        mantissa = mantissa * 10 + digit;
    }
    int digits = (int)(at - whole), scale = 0;
    if (digits == 0 || (digits > 1 && *whole == '0')) {
        return false;
    }
    if (at < end && *at == '.') {
        const char *fraction = ++at;
        for (; at < end && (digit = (unsigned)*at - '0') <= 9; at++) {
            mantissa = mantissa * 10 + digit;
        }
        scale = (int)(at - fraction);
        if (scale == 0) {
            return false;
        }
    }
    if (at < end || digits + scale > DECIMAL_DIGITS_MAX || (is_negative && mantissa == 0)) {
        return false;
    }
    *number = (struct dec){is_negative ? -(int64_t)mantissa : (int64_t)mantissa, scale};
    return true;
}

static uint64_t stage_text(struct segment_writer *writer, struct text text)
{
    struct dec number;
    uint64_t value;
    writer->text_bytes += text.size;
    if (writer->keeps_numbers && read_decimal(text, &number) && stage_number(number, &value)) {
        writer->number_bytes += text.size;
        return value;
    }
    return find_text(writer, text);
}

static struct text format_number(uint64_t value, char out[DEC_FORMAT_MAX])
{
    return (struct text){out, (size_t)dec_format(number_of(value), out)};
}

/* Where a block ends depends on which texts are new.  As long as they could all be new it does not
 * matter; then texts that are kept as numbers are looked up after all, and so is what follows. */
static void stop_keeping_numbers(struct segment_writer *writer)
{
    for (uint32_t e = 0; e < writer->event_count; e++) {
        const struct shape *shape = &writer->shapes[writer->events[e].shape];
        for (uint32_t leaf = 0; leaf < shape->leaf_count; leaf++) {
            uint64_t *value = &writer->values[writer->first_values[e] + leaf];
            if (shape->classes[leaf] == CLASS_TEXT && *value & VALUE_IS_NUMBER) {
                char text[DEC_FORMAT_MAX];
                *value = find_text(writer, format_number(*value, text));
            }
        }
    }
    writer->number_bytes = 0;
    writer->keeps_numbers = false;
}

enum status segment_add(struct segment_writer *writer, const struct event *event,
                        struct text record, const struct csv_header *header,
                        struct decoder *decoder, struct error *err)
{
    if (!writer->is_begun) {
        begin_block(writer);
    }
    assert(!segment_is_full(writer));
    const struct layout *layout;
    TRY(find_layout(writer, event, record, header, decoder, &layout, err));
    uint32_t at = writer->event_count++;
    writer->events[at] = (struct staged){.shape = layout->shape,
                                         .source = find_text(writer, event->source),
                                         .type = find_text(writer, event->type)};
    wait_for_subject(writer, at, event->subject);
    writer->times[at] = event->at;
    writer->ids[at] = column_pool_copy(&writer->id_pool, event->id);
    writer->text_bytes += event->id.size;
    writer->first_values[at] = writer->value_count;
    struct shape *shape = &writer->shapes[layout->shape];
    shape->event_count++;
    for (uint32_t leaf = 0; leaf < shape->leaf_count; leaf++) {
        const struct member *member = &event->members[layout->members[leaf]];
        uint64_t *value = &writer->values[writer->value_count++];
        switch (shape->classes[leaf]) {
        case CLASS_TEXT:
            *value = stage_text(writer, member->text);
            break;
        case CLASS_WORD:
            *value = word_of(member);
            break;
        default:
            *value = stage_any_number(writer, member->number);
            break;
        }
    }
    if (writer->text_bytes + writer->number_bytes + writer->waiting_bytes >=
        SEGMENT_TEXTS_MAX_BYTES) {
        find_waiting(writer);
        if (writer->number_bytes > 0) {
            stop_keeping_numbers(writer);
        }
    }
    return OK;
}

/* ---- streams ------------------------------------------------------------------------------- */

static void add_le(struct buffer *out, uint64_t value, int size)
{
    char bytes[8];
    write_le(bytes, value, size);
    buffer_add(out, bytes, (size_t)size);
}

/* Packed where that saves a sixteenth. */
static void add_stream(struct segment_writer *writer, struct text bytes)
{
    struct buffer *body = &writer->body;
    size_t bound = ZSTD_compressBound(bytes.size);
    char *to = buffer_reserve(body, STREAM_HEAD_BYTES + bound);
    size_t size = bytes.size;
    if (bytes.size >= 32) {
        size = ZSTD_compressCCtx(writer->packer, to + STREAM_HEAD_BYTES, bound, bytes.at,
                                 bytes.size, LEVEL);
        assert(!ZSTD_isError(size));
    }
    if (size >= bytes.size - bytes.size / 16) {
        size = bytes.size;
        if (size > 0) {
            memcpy(to + STREAM_HEAD_BYTES, bytes.at, size);
        }
    }
    write_le(to, size, 4);
    write_le(to + 4, bytes.size, 4);
    body->size += STREAM_HEAD_BYTES + size;
}

/* Numbers of a few bits each. */
struct bits {
    struct buffer out;
    uint64_t word;
    uint32_t used, width;
};

static void bits_start(struct bits *bits, struct arena *arena, uint32_t width, uint32_t count)
{
    *bits = (struct bits){.width = width};
    buffer_init(&bits->out, arena, (size_t)count * width / 8 + 16);
}

static inline void bits_add(struct bits *bits, uint32_t value)
{
    bits->word |= (uint64_t)value << bits->used;
    bits->used += bits->width;
    if (bits->used >= 32) {
        uint32_t low = bytes_order32((uint32_t)bits->word);
        buffer_add(&bits->out, &low, sizeof low);
        bits->word >>= 32;
        bits->used -= 32;
    }
}

static void bits_end(struct segment_writer *writer, struct bits *bits)
{
    for (; bits->used > 0; bits->used -= bits->used < 8 ? bits->used : 8) {
        add_le(&bits->out, bits->word & 0xFF, 1);
        bits->word >>= 8;
    }
    add_stream(writer, buffer_text(&bits->out));
}

static void add_text_column(struct segment_writer *writer, const struct text *texts, uint32_t count)
{
    struct text_column column = text_column_make(writer->arena, texts, count);
    add_stream(writer, column.patterns);
    add_stream(writer, column.choice);
    add_stream(writer, column.digits);
    add_stream(writer, column.rest);
}

/* ---- numbers ------------------------------------------------------------------------------- */

static void add_wide_number(struct buffer *sizes, struct buffer *bytes, struct dec number)
{
    i128 mantissa = number.mantissa;
    if (mantissa != (int64_t)mantissa) {
        u128 wide = (u128)mantissa << 1 ^ (u128)(mantissa >> 127);
        buffer_add_char(sizes, (char)(number.scale * 10 + NUMBER_WIDE_SIZE));
        add_le(bytes, (uint64_t)wide, 8);
        add_le(bytes, (uint64_t)(wide >> 64), 8);
        return;
    }
    uint64_t value = zigzag((int64_t)mantissa);
    int size = value == 0 ? 0 : (71 - __builtin_clzll(value)) / 8;
    buffer_add_char(sizes, (char)(number.scale * 10 + size));
    add_le(bytes, value, size);
}

/* One that a value holds. */
static inline void add_number(struct buffer *sizes, struct buffer *bytes, uint64_t value)
{
    uint64_t mantissa = value & ((UINT64_C(1) << VALUE_SCALE_BIT) - 1);
    unsigned scale = value >> VALUE_SCALE_BIT & VALUE_SCALE_MASK;
    unsigned size = mantissa == 0 ? 0 : (71 - (unsigned)__builtin_clzll(mantissa)) / 8;
    buffer_add_char(sizes, (char)(scale * 10 + size));
    bytes_store64(buffer_reserve(bytes, 8), mantissa);
    bytes->size += size;
}

/* ---- what goes where ----------------------------------------------------------------------- */

static uint32_t find_pair(struct segment_writer *writer, uint64_t key, uint32_t *count)
{
    uint64_t at = (key * UINT64_C(0x9E3779B97F4A7C15)) >> 32;
    for (;; at++) {
        struct pair *pair = &writer->pairs[at % PAIRS];
        if (pair->epoch != writer->epoch) {
            *pair = (struct pair){key, (*count)++, writer->epoch};
            return pair->number;
        }
        if (pair->key == key) {
            return pair->number;
        }
    }
}

/* The table of pairs, without any. */
static void forget_pairs(struct segment_writer *writer)
{
    if (++writer->epoch == 0) {
        memset(writer->pairs, 0, PAIRS * sizeof *writer->pairs);
        memset(writer->seen, 0, writer->seen_count * sizeof *writer->seen);
        writer->epoch = 1;
    }
}

static inline uint64_t *value_of(const struct segment_writer *writer, uint32_t event, uint32_t leaf)
{
    return &writer->values[writer->first_values[event] + leaf];
}

/* Of a text or word; once it is known that it is a code. */
static inline uint32_t code_of(const struct segment_writer *writer, uint32_t event, uint32_t leaf)
{
    return (uint32_t)*value_of(writer, event, leaf);
}

/* The events of one shape, and how they fall into tuples. */
struct tupling {
    const uint32_t *events;
    uint32_t event_count;
    uint32_t *tuples; /* of each */
    uint32_t tuple_count;
    uint32_t *scratch;
};

/* Whether the bits that a column of codes saves are worth the tuples more. */
static bool is_worth(const struct tupling *tupling, uint32_t distinct, uint32_t tuple_count)
{
    uint32_t more = tuple_count - tupling->tuple_count;
    uint32_t column = width_of(distinct);
    uint32_t wider = width_of(tuple_count) - width_of(tupling->tuple_count);
    uint64_t saved = column > wider ? (uint64_t)(column - wider) * tupling->event_count / 8 : 0;
    return more <= tupling->event_count / 64 || saved >= (uint64_t)more * TUPLE_BYTES;
}

static bool join_leaf(struct segment_writer *writer, struct tupling *tupling, uint32_t leaf,
                      uint32_t distinct)
{
    uint32_t count = 0;
    forget_pairs(writer);
    for (uint32_t i = 0; i < tupling->event_count; i++) {
        uint64_t code = code_of(writer, tupling->events[i], leaf);
        tupling->scratch[i] = find_pair(writer, (uint64_t)tupling->tuples[i] << 32 | code, &count);
        if (count > tupling->event_count / 4 + 64) {
            return false;
        }
    }
    if (!is_worth(tupling, distinct, count)) {
        return false;
    }
    uint32_t *old = tupling->tuples;
    tupling->tuples = tupling->scratch;
    tupling->scratch = old;
    tupling->tuple_count = count;
    return true;
}

/* How many texts there are, or words; no more than one more than max. */
static uint32_t count_distinct(struct segment_writer *writer, const struct tupling *tupling,
                               uint32_t leaf, uint32_t max)
{
    uint32_t count = 0;
    forget_pairs(writer);
    for (uint32_t i = 0; i < tupling->event_count && count <= max; i++) {
        uint64_t value = *value_of(writer, tupling->events[i], leaf);
        if (value & VALUE_IS_NUMBER) {
            (void)find_pair(writer, value, &count);
        } else if (writer->seen[value] != writer->epoch) {
            writer->seen[value] = writer->epoch;
            count++;
        }
    }
    return count;
}

static bool are_decimals(const struct segment_writer *writer, const struct tupling *tupling,
                         uint32_t leaf)
{
    for (uint32_t i = 0; i < tupling->event_count; i++) {
        uint64_t value = *value_of(writer, tupling->events[i], leaf);
        struct dec ignored;
        if (!(value & VALUE_IS_NUMBER) && !read_decimal(writer->texts[value], &ignored)) {
            return false;
        }
    }
    return true;
}

/* Texts that are kept as numbers become codes. */
static void code_numbers(struct segment_writer *writer, const struct tupling *tupling,
                         uint32_t leaf)
{
    uint32_t count = 0;
    uint32_t *codes = tupling->scratch; /* of each number that was found */
    forget_pairs(writer);
    for (uint32_t i = 0; i < tupling->event_count; i++) {
        uint64_t *value = value_of(writer, tupling->events[i], leaf);
        if (*value & VALUE_IS_NUMBER) {
            uint32_t known = count, number = find_pair(writer, *value, &count);
            if (number == known) {
                char text[DEC_FORMAT_MAX];
                codes[number] = find_text(writer, format_number(*value, text));
            }
            *value = codes[number];
        }
    }
}

/* Chooses the codings of a shape, and the tuples of its events. */
static void plan_shape(struct segment_writer *writer, struct shape *shape, struct tupling *tupling)
{
    struct {
        uint32_t leaf, distinct;
    } coded[MEMBERS_MAX];
    uint32_t coded_count = 0;
    for (uint32_t leaf = 0; leaf < shape->leaf_count; leaf++) {
        if (shape->classes[leaf] == CLASS_NUMBER) {
            shape->codings[leaf] = NUMBER_COLUMN;
            continue;
        }
        const uint32_t code_max = tupling->event_count / 8 + 4;
        bool is_text = shape->classes[leaf] == CLASS_TEXT;
        uint32_t distinct = count_distinct(writer, tupling, leaf, code_max);
        if (is_text && distinct > code_max) {
            shape->codings[leaf] =
                are_decimals(writer, tupling, leaf) ? DECIMAL_COLUMN : TEXT_COLUMN;
            continue;
        }
        if (is_text) {
            code_numbers(writer, tupling, leaf);
        }
        uint32_t at = coded_count++;
        for (; at > 0 && coded[at - 1].distinct > distinct; at--) {
            coded[at] = coded[at - 1];
        }
        coded[at].leaf = leaf;
        coded[at].distinct = distinct;
    }
    uint32_t count = 0;
    forget_pairs(writer);
    for (uint32_t i = 0; i < tupling->event_count; i++) {
        const struct staged *event = &writer->events[tupling->events[i]];
        tupling->tuples[i] = find_pair(writer, (uint64_t)event->source << 32 | event->type, &count);
    }
    tupling->tuple_count = count;
    for (uint32_t i = 0; i < coded_count; i++) {
        uint32_t leaf = coded[i].leaf;
        bool is_text = shape->classes[leaf] == CLASS_TEXT;
        if (join_leaf(writer, tupling, leaf, coded[i].distinct)) {
            shape->codings[leaf] = is_text ? TEXT_IN_TUPLE : WORD_IN_TUPLE;
        } else {
            shape->codings[leaf] = is_text ? TEXT_BY_CODE : WORD_BY_CODE;
        }
    }
}

static uint32_t number_text(struct segment_writer *writer, uint32_t text)
{
    if (writer->numbers[text] == 0) {
        writer->dictionary[writer->dictionary_count++] = text;
        writer->numbers[text] = writer->dictionary_count;
    }
    return writer->numbers[text] - 1;
}

/* ---- the block ----------------------------------------------------------------------------- */

/* The block's events, shape by shape. */
struct order {
    uint32_t *events, *first; /* first: of each shape, and behind the last */
};

static struct order order_events(struct segment_writer *writer)
{
    struct order order = {
        .events = arena_alloc(writer->arena, writer->event_count * sizeof *order.events),
        .first = arena_calloc(writer->arena, writer->shape_count + 2u, sizeof *order.first)};
    for (uint32_t s = 0; s < writer->shape_count; s++) {
        order.first[s + 2] = order.first[s + 1] + writer->shapes[s].event_count;
    }
    for (uint32_t e = 0; e < writer->event_count; e++) {
        order.events[order.first[writer->events[e].shape + 1]++] = e;
    }
    return order;
}

/* Divisions by what the compiler knows cost a third. */
static inline int64_t in_unit(instant at, int unit)
{
    return unit == 9   ? at / NS_PER_SECOND
           : unit == 6 ? at / (NS_PER_SECOND / 1000)
           : unit == 3 ? at / 1000
                       : at;
}

static inline int64_t factor_of(int unit)
{
    return unit == 9 ? NS_PER_SECOND : unit == 6 ? NS_PER_SECOND / 1000 : unit == 3 ? 1000 : 1;
}

/* The largest that all times are whole in. */
static int unit_of_times(const struct segment_writer *writer)
{
    int unit = 9;
    for (uint32_t e = 0; e < writer->event_count; e++) {
        while (in_unit(writer->times[e], unit) * factor_of(unit) != writer->times[e]) {
            unit -= 3;
        }
    }
    return unit;
}

static void add_times(struct segment_writer *writer, int unit)
{
    struct bits sizes;
    struct buffer bytes;
    bits_start(&sizes, writer->arena, 2, writer->event_count);
    buffer_init(&bytes, writer->arena, writer->event_count * 2ul + 16);
    int64_t before = in_unit(writer->times[0], unit);
    for (uint32_t e = 0; e < writer->event_count; e++) {
        int64_t at = in_unit(writer->times[e], unit);
        uint64_t step = zigzag(at - before);
        uint32_t size = step <= UINT8_MAX ? 0 : step <= UINT16_MAX ? 1 : step <= UINT32_MAX ? 2 : 3;
        bits_add(&sizes, size);
        bytes_store64(buffer_reserve(&bytes, 8), step);
        bytes.size += UINT64_C(1) << size;
        before = at;
    }
    bits_end(writer, &sizes);
    add_stream(writer, buffer_text(&bytes));
}

/* The columns of one value of a shape. */
static void add_leaf_column(struct segment_writer *writer, const struct shape *shape, uint32_t leaf,
                            const uint32_t *events)
{
    struct arena *arena = writer->arena;
    uint32_t count = shape->event_count;
    switch ((enum segment_coding)shape->codings[leaf]) {
    case TEXT_BY_CODE:
    case WORD_BY_CODE: {
        struct bits bits;
        bits_start(&bits, arena, shape->widths[leaf], count);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t code = code_of(writer, events[i], leaf);
            bits_add(&bits,
                     shape->codings[leaf] == TEXT_BY_CODE ? number_text(writer, code) : code);
        }
        bits_end(writer, &bits);
        break;
    }
    case NUMBER_COLUMN:
    case DECIMAL_COLUMN: {
        struct buffer sizes, bytes;
        buffer_init(&sizes, arena, count);
        buffer_init(&bytes, arena, count * 4ul + 16);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t value = *value_of(writer, events[i], leaf);
            if (value & VALUE_IS_NUMBER) {
                add_number(&sizes, &bytes, value);
            } else if (shape->codings[leaf] == NUMBER_COLUMN) {
                add_wide_number(&sizes, &bytes, writer->wide[value]);
            } else {
                struct dec number = DEC_ZERO;
                (void)read_decimal(writer->texts[value], &number); /* it could be read before */
                add_wide_number(&sizes, &bytes, number);
            }
        }
        add_stream(writer, buffer_text(&sizes));
        add_stream(writer, buffer_text(&bytes));
        break;
    }
    case TEXT_COLUMN: {
        struct text *texts = arena_alloc(arena, count * sizeof *texts);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t value = *value_of(writer, events[i], leaf);
            char text[DEC_FORMAT_MAX];
            texts[i] = value & VALUE_IS_NUMBER
                           ? column_pool_copy(&writer->text_pool, format_number(value, text))
                           : writer->texts[value];
        }
        add_text_column(writer, texts, count);
        break;
    }
    default:
        break;
    }
}

/* Texts by code come first in the dictionary, so that their codes are short. */
static void number_codes(struct segment_writer *writer, const struct order *order)
{
    for (uint32_t s = 0; s < writer->shape_count; s++) {
        struct shape *shape = &writer->shapes[s];
        for (uint32_t leaf = 0; leaf < shape->leaf_count; leaf++) {
            if (shape->codings[leaf] == WORD_BY_CODE) {
                shape->widths[leaf] = width_of(SEGMENT_WORDS);
            } else if (shape->codings[leaf] == TEXT_BY_CODE) {
                uint32_t greatest = 0;
                for (uint32_t i = order->first[s]; i < order->first[s + 1]; i++) {
                    uint32_t number = number_text(writer, code_of(writer, order->events[i], leaf));
                    greatest = number > greatest ? number : greatest;
                }
                shape->widths[leaf] = width_of(greatest + 1);
            }
        }
    }
}

struct tuples {
    uint32_t *of;     /* of each event */
    uint32_t *sample; /* of each tuple: an event that has it */
    uint32_t count;
};

static struct tuples make_tuples(struct segment_writer *writer, const struct order *order)
{
    struct arena *arena = writer->arena;
    struct tuples tuples = {.of = arena_alloc(arena, writer->event_count * sizeof *tuples.of),
                            .sample =
                                arena_alloc(arena, writer->event_count * sizeof *tuples.sample)};
    writer->seen_count = writer->text_count + SEGMENT_WORDS;
    writer->seen = arena_calloc(arena, writer->seen_count, sizeof *writer->seen);
    uint32_t *rooms = arena_alloc(arena, 2ul * writer->event_count * sizeof *rooms);
    for (uint32_t s = 0; s < writer->shape_count; s++) {
        uint32_t first = order->first[s], count = order->first[s + 1] - first;
        struct tupling tupling = {.events = order->events + first,
                                  .event_count = count,
                                  .tuples = rooms,
                                  .scratch = rooms + writer->event_count};
        plan_shape(writer, &writer->shapes[s], &tupling);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t tuple = tuples.count + tupling.tuples[i];
            tuples.of[tupling.events[i]] = tuple;
            tuples.sample[tuple] = tupling.events[i];
        }
        tuples.count += tupling.tuple_count;
    }
    return tuples;
}

static void add_plan(struct segment_writer *writer, const struct tuples *tuples, int unit,
                     uint32_t subject_count)
{
    struct buffer shapes, rows, plan;
    buffer_init(&shapes, writer->arena, 1024);
    buffer_init(&rows, writer->arena, tuples->count * 8ul + 16);
    for (uint32_t s = 0; s < writer->shape_count; s++) {
        const struct shape *shape = &writer->shapes[s];
        add_varint(&shapes, number_text(writer, shape->json));
        add_varint(&shapes, shape->leaf_count);
        for (uint32_t leaf = 0; leaf < shape->leaf_count; leaf++) {
            add_varint(&shapes, shape->codings[leaf]);
            if (shape->codings[leaf] == TEXT_BY_CODE || shape->codings[leaf] == WORD_BY_CODE) {
                add_varint(&shapes, shape->widths[leaf]);
            }
        }
    }
    for (uint32_t t = 0; t < tuples->count; t++) {
        add_varint(&rows, writer->events[tuples->sample[t]].shape);
    }
    for (uint32_t t = 0; t < tuples->count; t++) {
        add_varint(&rows, number_text(writer, writer->events[tuples->sample[t]].source));
    }
    for (uint32_t t = 0; t < tuples->count; t++) {
        add_varint(&rows, number_text(writer, writer->events[tuples->sample[t]].type));
    }
    for (uint32_t t = 0; t < tuples->count; t++) {
        const struct shape *shape = &writer->shapes[writer->events[tuples->sample[t]].shape];
        for (uint32_t leaf = 0; leaf < shape->leaf_count; leaf++) {
            uint32_t code = code_of(writer, tuples->sample[t], leaf);
            if (shape->codings[leaf] == TEXT_IN_TUPLE) {
                add_varint(&rows, number_text(writer, code));
            } else if (shape->codings[leaf] == WORD_IN_TUPLE) {
                add_varint(&rows, code);
            }
        }
    }
    struct buffer sizes, texts;
    buffer_init(&sizes, writer->arena, writer->dictionary_count + 16ul);
    buffer_init(&texts, writer->arena, writer->dictionary_count * 16ul + 16);
    for (uint32_t i = 0; i < writer->dictionary_count; i++) {
        struct text text = writer->texts[writer->dictionary[i]];
        add_varint(&sizes, text.size);
        buffer_add_text(&texts, text);
    }
    buffer_init(&plan, writer->arena, shapes.size + rows.size + 64);
    add_varint(&plan, writer->dictionary_count);
    add_varint(&plan, (uint64_t)unit);
    add_varint(&plan, (uint64_t)in_unit(writer->times[0], unit));
    add_varint(&plan, subject_count);
    add_varint(&plan, writer->shape_count);
    buffer_add_text(&plan, buffer_text(&shapes));
    add_varint(&plan, tuples->count);
    buffer_add_text(&plan, buffer_text(&rows));
    add_stream(writer, buffer_text(&sizes));
    add_stream(writer, buffer_text(&texts));
    add_stream(writer, buffer_text(&plan));
}

static void add_codes(struct segment_writer *writer, const uint32_t *codes, uint32_t count)
{
    struct bits bits;
    bits_start(&bits, writer->arena, width_of(count), writer->event_count);
    for (uint32_t e = 0; e < writer->event_count; e++) {
        bits_add(&bits, codes[e]);
    }
    bits_end(writer, &bits);
}

struct text segment_finish(struct segment_writer *writer, uint64_t events_before)
{
    assert(segment_count(writer) > 0);
    struct arena *arena = writer->arena;
    uint32_t count = writer->event_count;
    struct segment_header header = {.kind = SEGMENT_EVENTS,
                                    .event_count = count,
                                    .events_before = events_before,
                                    .from = writer->times[0],
                                    .last = writer->times[0]};
    buffer_init(&writer->body, arena, SEGMENT_HEADER_BYTES + count * 32ul + writer->text_bytes / 4);
    writer->body.size = SEGMENT_HEADER_BYTES;

    find_waiting(writer);
    struct order order = order_events(writer);
    struct tuples tuples = make_tuples(writer, &order);
    /* Now there are no more texts than these. */
    writer->numbers = arena_calloc(arena, writer->text_count, sizeof *writer->numbers);
    writer->dictionary = arena_alloc(arena, writer->text_count * sizeof *writer->dictionary);
    writer->dictionary_count = 0;
    number_codes(writer, &order);
    uint32_t *subjects = arena_calloc(arena, writer->text_count, sizeof *subjects);
    uint32_t *subject_codes = arena_alloc(arena, count * sizeof *subject_codes);
    struct text *names = arena_alloc(arena, count * sizeof *names);
    uint32_t subject_count = 0;
    for (uint32_t e = 0; e < count; e++) {
        uint32_t subject = writer->events[e].subject;
        if (subjects[subject] == 0) {
            names[subject_count++] = writer->texts[subject];
            subjects[subject] = subject_count;
        }
        subject_codes[e] = subjects[subject] - 1;
        instant at = writer->times[e];
        header.from = at < header.from ? at : header.from;
        header.last = at > header.last ? at : header.last;
    }
    int unit = unit_of_times(writer);
    add_plan(writer, &tuples, unit, subject_count);
    add_codes(writer, tuples.of, tuples.count);
    add_codes(writer, subject_codes, subject_count);
    add_times(writer, unit);
    add_text_column(writer, names, subject_count);
    add_text_column(writer, writer->ids, count);
    for (uint32_t s = 0; s < writer->shape_count; s++) {
        for (uint32_t leaf = 0; leaf < writer->shapes[s].leaf_count; leaf++) {
            add_leaf_column(writer, &writer->shapes[s], leaf, order.events + order.first[s]);
        }
    }
    assert(writer->body.size - SEGMENT_HEADER_BYTES <= SEGMENT_BODY_MAX_BYTES);
    header.body_bytes = (uint32_t)(writer->body.size - SEGMENT_HEADER_BYTES);
    segment_seal(header, writer->body.at);
    writer->is_begun = false;
    return buffer_text(&writer->body);
}
