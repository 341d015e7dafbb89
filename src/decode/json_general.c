/* json_general.c - JSON to events on yyjson: the authority on what is accepted and why not.
 *
 *     line -> items of a batch -> record -> scan of its bytes -> yyjson -> walk -> record_judge
 *
 * The scan looks at bytes and strings only, so it works on what is no JSON: depth without
 * recursion, lone surrogates, and where the items of a batch begin and end.  A bracket of the
 * wrong kind does not matter there, since the item's own parse finds it; so one bad item leaves its
 * neighbours alone.
 *
 * yyjson tells a number that is none (NaN, 0x10, 01) from any other error by position only.  When
 * a parse fails, such tokens are replaced by 0 in the copy and it is parsed again: if that works,
 * they were all that was wrong, and the reason is the number's.
 */
#include <assert.h>
#include <string.h>

#include <yyjson.h>

#include "decode/record.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct text trim(struct text text)
{
    while (text.size && is_blank(text.at[0])) {
        text.at++;
        text.size--;
    }
    while (text.size && is_blank(text.at[text.size - 1])) {
        text.size--;
    }
    return text;
}

/* ---- the scan ------------------------------------------------------------------------------ */

/* Goes over the string that begins at text[at], a quote; returns where it ends (behind its quote),
 * or the text's size when it does not.  finding may be NULL. */
static size_t skip_string(struct text text, size_t at, struct finding *finding)
{
    for (at++; at < text.size; at++) {
        if (text.at[at] == '"') {
            return at + 1;
        }
        if (text.at[at] != '\\') {
            continue;
        }
        int32_t value = json_escape_value(text, at);
        if (json_is_pair(value, json_escape_value(text, at + 6))) {
            at += 11;
            continue;
        }
        if (finding && value >= 0xD800 && value < 0xE000) {
            finding_note(finding, REFUSE_UTF8, at, "lone surrogate",
                         (struct text){text.at + at, 6});
        }
        at++; /* whatever is escaped, it does not end the string */
    }
    return text.size;
}

/* Notes what can be said of bytes that may be no JSON, and that lie in so many objects already. */
static void scan_record(struct text record, size_t outer, struct finding *finding)
{
    size_t fault = utf8_fault(record);
    if (fault < record.size) {
        finding_note(finding, REFUSE_UTF8, fault, "invalid UTF-8", (struct text){0});
    }
    size_t depth = outer;
    for (size_t at = 0; at < record.size;) {
        char c = record.at[at];
        if (c == '"') {
            at = skip_string(record, at, finding);
            continue;
        }
        if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                finding_note(finding, REFUSE_JSON_DEPTH, at, "", (struct text){0});
            }
        } else if ((c == '}' || c == ']') && depth > outer) {
            depth--;
        }
        at++;
    }
}

/* ---- numbers that are none ----------------------------------------------------------------- */

static bool ends_token(char c)
{
    return is_blank(c) || memchr("{}[]:,\"", c, 7) != NULL;
}

static bool is_word(struct text token, const char *lower)
{
    size_t size = strlen(lower);
    if (token.size != size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if ((token.at[i] | 0x20) != lower[i]) {
            return false;
        }
    }
    return true;
}

static bool looks_like_number(struct text token)
{
    char c = token.at[0];
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || is_word(token, "nan") ||
           is_word(token, "inf") || is_word(token, "infinity");
}

/* Replaces what looks like a number and is none by 0 in copy, which has the bytes of record;
 * returns whether there was any. */
static bool patch_numbers(struct text record, char *copy, struct finding *finding)
{
    bool patched = false;
    for (size_t at = 0; at < record.size;) {
        if (record.at[at] == '"') {
            at = skip_string(record, at, NULL);
            continue;
        }
        size_t end = at;
        while (end < record.size && !ends_token(record.at[end])) {
            end++;
        }
        struct text token = {record.at + at, end - at};
        if (token.size && looks_like_number(token)) {
            struct dec ignored;
            enum number_fault fault = dec_parse(token, &ignored);
            if (fault != NUMBER_OK) {
                finding_note(finding, refusal_of_number(fault), at, "", token);
                memset(copy + at, ' ', token.size);
                copy[at] = '0';
                patched = true;
            }
        }
        at = end > at ? end : at + 1;
    }
    return patched;
}

/* ---- parse --------------------------------------------------------------------------------- */

static void *parse_malloc(void *context, size_t size)
{
    return arena_alloc(context, size);
}

static void *parse_realloc(void *context, void *old, size_t old_size, size_t size)
{
    return old_size < size ? arena_grow(context, old, old_size, size, 1) : old;
}

static void parse_free(void *, void *)
{
}

struct parse {
    yyjson_val *root;
    /* The copy: strings and numbers of the tree lie in it, at the record's offsets. */
    const char *bytes;
};

static yyjson_doc *parse_copy(struct decoder *decoder, char *copy, size_t size,
                              yyjson_read_err *err)
{
    const yyjson_alc allocator = {parse_malloc, parse_realloc, parse_free, decoder->arena};
    return yyjson_read_opts(copy, size, YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW, &allocator,
                            err);
}

static char *copy_record(struct decoder *decoder, struct text record)
{
    char *copy = arena_alloc(decoder->arena, record.size + YYJSON_PADDING_SIZE);
    memcpy(copy, record.at, record.size);
    memset(copy + record.size, 0, YYJSON_PADDING_SIZE);
    return copy;
}

static bool parse_record(struct decoder *decoder, struct text record, struct finding *finding,
                         struct parse *parse)
{
    if (record.size == 0) {
        finding_note(finding, REFUSE_JSON_SYNTAX, 0, "no value", (struct text){0});
        return false;
    }
    yyjson_read_err err = {0};
    char *copy = copy_record(decoder, record);
    yyjson_doc *doc = parse_copy(decoder, copy, record.size, &err);
    if (!doc) {
        struct finding numbers = {0};
        copy = copy_record(decoder, record);
        if (patch_numbers(record, copy, &numbers)) {
            doc = parse_copy(decoder, copy, record.size, &err);
        }
        if (doc) {
            *finding = numbers;
        } else {
            finding_note(finding, REFUSE_JSON_SYNTAX, err.pos, err.msg, (struct text){0});
        }
    }
    *parse = (struct parse){.root = doc ? yyjson_doc_get_root(doc) : NULL, .bytes = copy};
    return doc != NULL;
}

/* ---- walk ---------------------------------------------------------------------------------- */

struct walk {
    struct decoder *decoder;
    struct draft *draft;
    struct finding *finding;
    const char *bytes;
};

static struct text text_of_value(yyjson_val *value)
{
    return (struct text){unsafe_yyjson_get_str(value), unsafe_yyjson_get_len(value)};
}

static bool has_zero(struct text text)
{
    return text.size && memchr(text.at, '\0', text.size) != NULL;
}

/* Of a string or number: where its first character stands. */
static size_t offset_of(const struct walk *walk, struct text text)
{
    return (size_t)(text.at - walk->bytes);
}

static void check_key(const struct walk *walk, struct text key)
{
    if (has_zero(key)) {
        finding_note(walk->finding, REFUSE_CTRL_CHAR, offset_of(walk, key), "name", key);
    }
}

enum { FEW_KEYS = 12 };

static void note_duplicate(const struct walk *walk, struct text first, struct text second)
{
    struct text later = first.at > second.at ? first : second;
    finding_note(walk->finding, REFUSE_JSON_DUP_KEY, offset_of(walk, later), "", later);
}

/* Names are compared as they are after unescaping. */
static void check_duplicates(const struct walk *walk, yyjson_val *object)
{
    size_t count = yyjson_obj_size(object);
    struct entry few[FEW_KEYS];
    struct entry *keys =
        count <= FEW_KEYS ? few : arena_alloc(walk->decoder->arena, count * sizeof *keys);
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    size_t used = 0;
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator));) {
        keys[used++].key = text_of_value(key);
    }
    assert(used == count);
    if (count <= FEW_KEYS) {
        for (size_t i = 1; i < count; i++) {
            for (size_t j = 0; j < i; j++) {
                if (text_equal(keys[i].key, keys[j].key)) {
                    note_duplicate(walk, keys[i].key, keys[j].key);
                }
            }
        }
        return;
    }
    entries_sort(keys, count);
    for (size_t i = 1; i < count; i++) {
        if (text_equal(keys[i].key, keys[i - 1].key)) {
            note_duplicate(walk, keys[i].key, keys[i - 1].key);
        }
    }
}

/* Where a value is and whether it is kept as a member: what lies outside data is only checked. */
struct place {
    uint64_t path;
    struct text key;
    size_t offset;
    bool is_data;
};

static void add_member(const struct walk *walk, struct place place, struct member value,
                       size_t offset)
{
    if (!place.is_data) {
        return;
    }
    struct member *member = draft_add(walk->decoder, walk->draft, place.path, offset);
    if (member) {
        value.path = place.path;
        *member = value;
    }
}

static struct text read_text(const struct walk *walk, struct place place, yyjson_val *value)
{
    struct text text = text_of_value(value);
    if (has_zero(text)) {
        finding_note(walk->finding, REFUSE_CTRL_CHAR, offset_of(walk, text), "", place.key);
    }
    add_member(walk, place, (struct member){.kind = MEMBER_TEXT, .text = text},
               offset_of(walk, text));
    return text;
}

static void read_number(const struct walk *walk, struct place place, yyjson_val *value)
{
    struct text text = text_of_value(value);
    struct dec number = DEC_ZERO;
    enum number_fault fault = dec_parse(text, &number);
    if (fault != NUMBER_OK) {
        finding_note(walk->finding, refusal_of_number(fault), offset_of(walk, text), "", text);
    }
    add_member(walk, place, (struct member){.kind = MEMBER_NUMBER, .number = number},
               offset_of(walk, text));
}

static void walk_value(const struct walk *walk, struct place place, yyjson_val *value);

static void walk_object(const struct walk *walk, uint64_t path, bool is_data, yyjson_val *object)
{
    check_duplicates(walk, object);
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator));) {
        struct text name = text_of_value(key);
        check_key(walk, name);
        struct place place = {.path = is_data ? member_path(path, name) : PATH_DATA,
                              .key = name,
                              .offset = offset_of(walk, name),
                              .is_data = is_data};
        walk_value(walk, place, yyjson_obj_iter_get_val(key));
    }
}

static void walk_array(const struct walk *walk, struct place place, yyjson_val *array)
{
    yyjson_arr_iter iterator = yyjson_arr_iter_with(array);
    uint32_t index = 0;
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iterator)); index++) {
        struct place below = place;
        /* Behind MEMBERS_MAX items nothing is kept, and no path is needed. */
        if (place.is_data && index <= MEMBERS_MAX) {
            below.path = member_item_path(place.path, index);
        }
        walk_value(walk, below, item);
    }
}

/* The depth is at most JSON_DEPTH_MAX: the scan has seen to it. */
static void walk_value(const struct walk *walk, struct place place, yyjson_val *value)
{
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_STR:
        read_text(walk, place, value);
        break;
    case YYJSON_TYPE_RAW:
        read_number(walk, place, value);
        break;
    case YYJSON_TYPE_BOOL:
        add_member(walk, place,
                   (struct member){.kind = MEMBER_BOOL, .truth = yyjson_get_bool(value)},
                   place.offset);
        break;
    case YYJSON_TYPE_NULL:
        add_member(walk, place, (struct member){.kind = MEMBER_NULL}, place.offset);
        break;
    case YYJSON_TYPE_OBJ:
        if (yyjson_obj_size(value) == 0) {
            add_member(walk, place, (struct member){.kind = MEMBER_EMPTY_OBJECT}, place.offset);
        } else if (place.is_data) {
            note_holder(walk->decoder, place.path);
        }
        walk_object(walk, place.path, place.is_data, value);
        break;
    case YYJSON_TYPE_ARR:
        if (yyjson_arr_size(value) == 0) {
            add_member(walk, place, (struct member){.kind = MEMBER_EMPTY_ARRAY}, place.offset);
        } else if (place.is_data) {
            note_holder(walk->decoder, place.path);
        }
        walk_array(walk, place, value);
        break;
    default:
        assert(false && "a type of JSON value");
    }
}

/* A member of the record itself that is neither data nor data_base64.  null is as if it were not
 * there. */
static void walk_attribute(const struct walk *walk, struct place place, yyjson_val *value)
{
    struct field field = {.state = FIELD_OTHER, .offset = place.offset};
    if (yyjson_is_str(value)) {
        field.text = read_text(walk, place, value);
        field.state = FIELD_TEXT;
        field.offset = offset_of(walk, field.text);
    } else if (yyjson_is_raw(value)) {
        read_number(walk, place, value);
        field.text = text_of_value(value);
        field.state = FIELD_NUMBER;
        field.offset = offset_of(walk, field.text);
    } else if (yyjson_is_null(value)) {
        field.state = FIELD_ABSENT;
    } else {
        walk_value(walk, place, value);
    }
    enum attribute attribute = attribute_find(place.key);
    if (attribute != ATTRIBUTE_NONE) {
        walk->draft->attributes[attribute] = field;
    } else if (field.state == FIELD_TEXT && has_control(field.text)) {
        finding_note(walk->finding, REFUSE_CTRL_CHAR, field.offset, "", place.key);
    }
}

static void walk_record(const struct walk *walk, yyjson_val *record, const void **data)
{
    if (yyjson_obj_size(record) > MEMBERS_MAX) {
        finding_note(walk->finding, REFUSE_FIELD_COUNT, 0, "attributes", (struct text){0});
    }
    check_duplicates(walk, record);
    yyjson_obj_iter iterator = yyjson_obj_iter_with(record);
    bool has_data = false;
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator));) {
        struct text name = text_of_value(key);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        check_key(walk, name);
        struct place place = {.key = name, .offset = offset_of(walk, name)};
        bool is_base64 = text_equal(name, TEXT("data_base64")) && !yyjson_is_null(value);
        if (!is_base64 && !text_equal(name, TEXT("data"))) {
            walk_attribute(walk, place, value);
            continue;
        }
        /* CloudEvents allows one of the two. */
        if (has_data || (is_base64 ? !yyjson_is_str(value) : !yyjson_is_obj(value))) {
            finding_note(walk->finding, REFUSE_FIELD_TYPE, place.offset, "", name);
        }
        has_data = true;
        *data = value;
        if (is_base64) {
            place.path = member_path(PATH_DATA, name);
            place.is_data = true;
            walk_value(walk, place, value);
        } else if (yyjson_is_obj(value)) {
            walk_object(walk, PATH_DATA, true, value);
        } else {
            walk_value(walk, place, value);
        }
    }
}

bool json_general_read(struct decoder *decoder, struct text record, struct finding *finding,
                       struct event *event, const void **data)
{
    *data = NULL;
    scan_record(record, 0, finding);
    if (finding->refusal != REFUSE_NONE) {
        return false; /* what comes later is less */
    }
    struct parse parse;
    if (!parse_record(decoder, record, finding, &parse)) {
        return false;
    }
    struct draft draft = {0};
    decoder->holder_count = 0;
    struct walk walk = {decoder, &draft, finding, parse.bytes};
    if (!yyjson_is_obj(parse.root)) {
        walk_value(&walk, (struct place){0}, parse.root);
        finding_note(finding, REFUSE_FIELD_TYPE, 0, "the record is no object", (struct text){0});
        return false;
    }
    walk_record(&walk, parse.root, data);
    return record_judge(decoder, &draft, finding, event);
}

bool json_data_read(struct decoder *decoder, struct text field, struct draft *draft,
                    struct finding *finding, const void **data)
{
    *data = NULL;
    scan_record(field, 1, finding); /* the record is the outermost object */
    struct parse parse;
    if (finding->refusal != REFUSE_NONE || !parse_record(decoder, field, finding, &parse)) {
        return false;
    }
    struct walk walk = {decoder, draft, finding, parse.bytes};
    if (yyjson_is_obj(parse.root)) {
        walk_object(&walk, PATH_DATA, true, parse.root);
    } else {
        walk_value(&walk, (struct place){0}, parse.root);
        finding_note(finding, REFUSE_FIELD_TYPE, 0, "data", field);
    }
    *data = parse.root;
    return finding->refusal == REFUSE_NONE;
}

/* ---- lines and batches --------------------------------------------------------------------- */

struct line {
    struct decoder *decoder;
    struct text text;
    const struct sink *sink;
    bool is_fast;
    bool is_padded; /* DECODE_PADDING_BYTES behind its newline may be read */
};

static void refuse(const struct line *line, struct finding *finding, struct text record)
{
    finding->record = record;
    finding->offset += (size_t)(record.at - line->text.at);
    line->sink->refused(line->sink->context, finding);
}

static void accept(const struct line *line, const struct event *event, struct text record)
{
    line->sink->event(line->sink->context, event, (size_t)(record.at - line->text.at), record);
}

/* A record of a shape that came before, in the line that begins there: its size, or 0.  end: as
 * template_read's. */
static inline size_t decode_known(struct decoder *decoder, const struct sink *sink,
                                  const char *line, const char *record, const char *end)
{
    size_t size = template_read(decoder, record, end);
    if (size == 0 || !record_finish_event(&decoder->event)) {
        return 0;
    }
    sink->event(sink->context, &decoder->event, (size_t)(record - line),
                (struct text){record, size});
    return size;
}

static bool decode_fast(const struct line *line, struct text record)
{
    struct event event;
    if (!json_fast_read(line->decoder, record, &event)) {
        return false;
    }
    if (line->is_padded) {
        template_learn(line->decoder, record, event.member_count);
    }
    accept(line, &event, record);
    return true;
}

static void decode_record(const struct line *line, struct text record)
{
    if (line->is_fast && decode_fast(line, record)) {
        return;
    }
    struct event event;
    struct finding finding = {0};
    const void *data;
    if (json_general_read(line->decoder, record, &finding, &event, &data)) {
        accept(line, &event, record);
    } else {
        refuse(line, &finding, record);
    }
}

/* The next item of a batch from *at on, which is behind a bracket or comma; *at is then behind the
 * comma or bracket that ends it, which is returned; 0 when nothing ends it. */
static char next_item(struct text batch, size_t *at, struct text *item)
{
    size_t start = *at;
    size_t depth = 0;
    for (size_t i = start; i < batch.size;) {
        char c = batch.at[i];
        if (c == '"') {
            i = skip_string(batch, i, NULL);
            continue;
        }
        if (depth == 0 && (c == ',' || c == ']')) {
            *item = trim((struct text){batch.at + start, i - start});
            *at = i + 1;
            return c;
        }
        if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
        i++;
    }
    *at = batch.size;
    return 0;
}

/* The items of a batch, of which the first BATCH_MAX are kept.  False when they cannot be told
 * apart, and *fault is where that shows. */
static bool find_items(struct arena *arena, struct text batch, struct text **items, uint32_t *count,
                       size_t *fault)
{
    size_t at = 1;
    uint32_t capacity = 0;
    struct text item;
    *items = NULL;
    *count = 0;
    for (char end = ','; end == ',';) {
        end = next_item(batch, &at, &item);
        if (end == 0 || (end == ']' && at < batch.size)) {
            *fault = at;
            return false;
        }
        if (*count < BATCH_MAX) {
            *items = arena_room(arena, *items, *count, &capacity, sizeof **items);
            (*items)[*count] = item;
        }
        ++*count;
    }
    if (*count == 1 && item.size == 0) {
        *count = 0;
    }
    return true;
}

/* Of each item the memory is given back, the list of them stays. */
static void decode_items(const struct line *line, const struct text *items, uint32_t count)
{
    struct decoder *decoder = line->decoder;
    const struct arena_mark empty = decoder->empty;
    decoder->empty = arena_mark(decoder->arena);
    for (uint32_t i = 0; i < count; i++) {
        const char *end = items[i].at + items[i].size;
        arena_rewind(decoder->arena, decoder->empty);
        if (!line->is_padded ||
            decode_known(decoder, line->sink, line->text.at, items[i].at, end) == 0) {
            decode_record(line, items[i]);
        }
    }
    decoder->empty = empty;
}

static void decode_batch(const struct line *line, struct text batch)
{
    struct finding finding = {0};
    struct text *items;
    uint32_t count;
    size_t fault;
    if (!find_items(line->decoder->arena, batch, &items, &count, &fault)) {
        scan_record(batch, 0, &finding);
        finding_note(&finding, REFUSE_JSON_SYNTAX, fault, "where the batch ends", (struct text){0});
    } else if (count == 0) {
        finding_note(&finding, REFUSE_JSON_SYNTAX, 0, "empty batch", (struct text){0});
    } else if (count > BATCH_MAX) {
        finding_note(&finding, REFUSE_BATCH_LIMIT, 0, "", (struct text){0});
    }
    if (finding.refusal != REFUSE_NONE) {
        refuse(line, &finding, batch);
        return;
    }
    decode_items(line, items, count);
}

/* A byte order mark where the file begins, or ASCII in two bytes a character anywhere. */
static bool is_other_encoding(struct text line, bool first_of_file)
{
    if (line.size < 2) {
        return false;
    }
    bool has_mark = (line.size >= 3 && memcmp(line.at, "\xEF\xBB\xBF", 3) == 0) ||
                    memcmp(line.at, "\xFF\xFE", 2) == 0 || memcmp(line.at, "\xFE\xFF", 2) == 0;
    return (first_of_file && has_mark) || (line.at[0] == '\0') != (line.at[1] == '\0');
}

static struct text drop_return(struct text line)
{
    if (line.size && line.at[line.size - 1] == '\r') {
        line.size--;
    }
    return line;
}

static void decode_line(struct line line, bool first_of_file)
{
    arena_rewind(line.decoder->arena, line.decoder->empty);
    struct text record = trim(line.text);
    struct finding finding = {0};
    if (is_other_encoding(line.text, first_of_file)) {
        finding_note(&finding, REFUSE_ENCODING, 0, "", (struct text){0});
        refuse(&line, &finding, line.text);
    } else if (line.text.size > LINE_MAX_BYTES) {
        finding_note(&finding, REFUSE_LINE_LIMIT, LINE_MAX_BYTES, "", (struct text){0});
        refuse(&line, &finding, line.text);
    } else if (record.size && record.at[0] == '[') {
        decode_batch(&line, record);
    } else if (record.size) {
        decode_record(&line, record);
    }
}

void decode_json_line(struct decoder *decoder, struct text line, bool first_of_file,
                      const struct sink *sink)
{
    const struct line whole = {
        .decoder = decoder, .text = drop_return(line), .sink = sink, .is_fast = true};
    if (!decode_fast(&whole, whole.text)) {
        decode_line(whole, first_of_file);
    }
}

/* The next line, of a shape that did not come before. */
__attribute__((noinline)) static size_t decode_next(struct decoder *decoder, struct text rest,
                                                    bool first_of_file, const struct sink *sink)
{
    const char *newline = memchr(rest.at, '\n', rest.size);
    const size_t size = newline ? (size_t)(newline - rest.at) : rest.size;
    const struct text text = drop_return((struct text){rest.at, size});
    const struct line line = {decoder, text, sink, true, true};
    if (!decode_fast(&line, text)) {
        decode_line(line, first_of_file);
    }
    return size + 1;
}

size_t decode_json_next(struct decoder *decoder, struct text rest, bool first_of_file,
                        const struct sink *sink)
{
    const size_t size = decode_known(decoder, sink, rest.at, rest.at, NULL);
    return size > 0 ? size + (rest.at[size] == '\r') + 1
                    : decode_next(decoder, rest, first_of_file, sink);
}

void decoder_narrow(struct decoder *decoder, int width)
{
    decoder->width = scan_width_of((enum scan_width)width);
}

void decode_json_general(struct decoder *decoder, struct text line, bool first_of_file,
                         const struct sink *sink)
{
    decode_line((struct line){.decoder = decoder, .text = drop_return(line), .sink = sink},
                first_of_file);
}

bool json_value_end(struct text text, size_t *at)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = *at; i < text.size; i++) {
        const char c = text.at[i];
        const bool closes = c == '}' || c == ']';
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth > 0 && closes && --depth == 0) {
            *at = i + 1;
            return true;
        } else if (depth == 0 && (closes || c == ',' || c == ':')) {
            *at = i;
            return true;
        }
    }
    *at = text.size;
    return depth == 0 && !in_string;
}

struct decoder *decoder_new(struct arena *arena)
{
    struct decoder *decoder = arena_alloc(arena, sizeof *decoder);
    decoder->arena = arena;
    memset(decoder->names, 0, sizeof decoder->names); /* a size of 0 is no name's */
    template_init(decoder);
    decoder->width = scan_width_of(SCAN_WIDE);
    decoder->hour = (struct hour){{0, 0}, 0};
    decoder->has_texts = false;
    decoder->empty = arena_mark(arena);
    return decoder;
}
