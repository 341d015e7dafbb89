/* yaml.c - see yaml.h.
 *
 * Idea: libfyaml scans and gives events; the tree is ours.  So every check is linear (its own
 * document builder compares each key with all others), and nothing of libfyaml outlives the call.
 *
 * libfyaml allocates for itself, and an allocation from the arena may jump out.  So the arena's
 * recovery point is ours while the parser is open: on a jump the event in hand and the parser are
 * freed, and the jump goes on.
 *
 * Ways of libfyaml 0.7.12 that are not used: its collection of errors leaks; fy_token_get_text
 * leaks for a single-quoted text with very many doubled quotes; and fy_token_iter_chunk_next gives
 * such quotes twice.
 */
#include "catalog/yaml.h"

#include <assert.h>
#include <libfyaml.h>
#include <stdlib.h>

#include "base/nofloat.h"

enum { SMALL_MAP = 12 }; /* keys that are compared with each other rather than hashed */

struct reader {
    struct arena *arena;
    const struct yaml_file *file;
    struct complaints *complaints;
    struct fy_parser *parser;
    struct fy_event *event; /* in hand, or NULL */
    char error[256];        /* the first that libfyaml reports: "<name>:line:column: error: what" */
    uint32_t node_count;
    uint32_t last_line, last_column; /* of the last token, for nodes that have none */
    bool failed;
};

/* ---- places ---- */

struct place yaml_place(const struct yaml_node *node)
{
    return (struct place){node->file->name, node->line, node->column};
}

struct place yaml_key_place(const struct yaml_node *node)
{
    return node->key_line == 0 ? yaml_place(node)
                               : (struct place){node->file->name, node->key_line, node->key_column};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t read_hex(struct text bytes, size_t at, size_t digits)
{
    size_t value = 0;
    for (size_t i = at; i < at + digits && i < bytes.size; i++) {
        char c = bytes.at[i];
        value = value * 16 + (size_t)(c <= '9' ? c - '0' : (c & 7) + 9);
    }
    return value;
}

/* Bytes of a byte, or of the escape sequence, at at; and how many bytes that are no blanks it
 * means. */
static size_t read_written(struct text bytes, size_t at, char quote, size_t *meant)
{
    *meant = !is_blank(bytes.at[at]);
    if (quote == '\'' && bytes.at[at] == '\'') {
        return 2;
    }
    if (quote != '"' || bytes.at[at] != '\\' || at + 1 >= bytes.size) {
        return 1;
    }
    char kind = bytes.at[at + 1];
    size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits > 0) {
        size_t value = read_hex(bytes, at + 2, digits);
        bool is_of_blank = value < 0x80 && is_blank((char)value);
        *meant = is_of_blank ? 0 : value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    } else if (is_blank(kind) || kind == 't' || kind == 'n' || kind == 'r') {
        *meant = 0;
    } else {
        *meant = kind == 'N' || kind == '_' ? 2 : kind == 'L' || kind == 'P' ? 3 : 1;
    }
    return 2 + digits;
}

static void move_place(struct place *place, struct text bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.at[i] == '\n') {
            place->line++;
            place->column = 1;
        } else {
            place->column += ((unsigned char)bytes.at[i] & 0xC0) != 0x80; /* characters */
        }
    }
}

/* Folding lines and taking indentation away changes blanks alone: so a character of a text is found
 * in the file by how many that are no blanks stand before it. */
struct place yaml_place_in(const struct yaml_node *node, size_t offset)
{
    struct place place = yaml_place(node);
    if (!node->has_offset) {
        return place;
    }
    struct text bytes = node->file->bytes, text = node->text;
    size_t at = node->offset, before = 0, blanks = 0, step, meant;
    for (size_t i = 0; i < offset && i < text.size; i++) {
        before += !is_blank(text.at[i]);
        blanks = is_blank(text.at[i]) ? blanks + 1 : 0;
    }
    char quote = 0;
    if (node->is_quoted && at < bytes.size) {
        quote = bytes.at[at++];
        place.column++;
    }
    for (size_t done = 0; done < before && at < bytes.size; done += meant, at += step) {
        step = read_written(bytes, at, quote, &meant);
        move_place(&place, (struct text){bytes.at + at, step});
    }
    if (offset >= text.size || is_blank(text.at[offset])) { /* the end, or a blank on its line */
        for (; blanks > 0 && at < bytes.size && (bytes.at[at] == ' ' || bytes.at[at] == '\t');
             at++) {
            place.column++;
            blanks--;
        }
        return place;
    }
    for (; at < bytes.size; at += step) {
        step = read_written(bytes, at, quote, &meant);
        if (meant > 0) {
            break;
        }
        move_place(&place, (struct text){bytes.at + at, step});
    }
    return place;
}

const struct yaml_node *yaml_member(const struct yaml_node *node, const char *key)
{
    if (node == NULL || node->kind != YAML_MAP) {
        return NULL;
    }
    struct text wanted = text_of(key);
    for (uint32_t i = 0; i < node->count; i++) {
        if (text_equal(node->items[i].key, wanted)) {
            return &node->items[i];
        }
    }
    return NULL;
}

const char *yaml_kind_phrase(enum yaml_kind kind)
{
    static const char *const phrases[] = {"nothing", "a text", "a list", "a mapping"};
    return phrases[kind];
}

/* ---- reading ---- */

static void refuse(struct reader *reader, const char *code, struct text hint, const char *message)
{
    struct place place = {reader->file->name, reader->last_line, reader->last_column};
    complain(reader->complaints, place, code, hint, "%s", message);
    reader->failed = true;
}

static void note_place(struct reader *reader, struct fy_token *token)
{
    const struct fy_mark *mark = token == NULL ? NULL : fy_token_start_mark(token);
    if (mark != NULL) {
        reader->last_line = (uint32_t)mark->line + 1;
        reader->last_column = (uint32_t)mark->column + 1;
    }
}

static void note_error(struct fy_diag *diag, void *user, const char *bytes, size_t size)
{
    struct reader *reader = user;
    (void)diag;
    if (reader->error[0] == '\0') {
        size = size < sizeof reader->error - 1 ? size : sizeof reader->error - 1;
        memcpy(reader->error, bytes, size);
        reader->error[size] = '\0';
        reader->error[strcspn(reader->error, "\n")] = '\0';
    }
}

static const char *read_u32(const char *at, uint32_t *value)
{
    for (*value = 0; *at >= '0' && *at <= '9' && *value < 100'000'000; at++) {
        *value = *value * 10 + (uint32_t)(*at - '0');
    }
    return *at == ':' ? at + 1 : at;
}

/* The line up to the place that was noted last, without that. */
static struct text line_before(const struct reader *reader)
{
    struct text bytes = reader->file->bytes;
    size_t at = 0;
    for (uint32_t line = 1; line < reader->last_line && at < bytes.size; at++) {
        line += bytes.at[at] == '\n';
    }
    size_t size = reader->last_column - 1, rest = bytes.size - at;
    return (struct text){bytes.at + at, size < rest ? size : rest};
}

/* A colon and a blank inside an expression begin a value: {percent: a == "x" ? 8 : 0}. */
static bool is_in_expression(const struct reader *reader, const char *message)
{
    if (!strstr(message, "missing comma in flow") && !strstr(message, "nested block mapping")) {
        return false;
    }
    struct text line = line_before(reader);
    size_t at = line.size;
    while (at > 0 && !(line.at[at - 1] == ' ' && at > 1 && line.at[at - 2] == ':')) {
        at--;
    }
    bool has_operator = false;
    for (; at > 0 && at < line.size; at++) {
        has_operator |= line.at[at] != '\0' && strchr("?=<>&|+*(", line.at[at]) != NULL;
    }
    return has_operator;
}

/* What libfyaml says, at its place; the first error is the cause, others follow from it. */
static void refuse_syntax(struct reader *reader)
{
    const char *message = "this is no YAML";
    const char *at = strstr(reader->error, ">:");
    uint32_t line, column;
    if (at != NULL) {
        at = read_u32(read_u32(at + 2, &line), &column);
        reader->last_line = line > 0 ? line : 1;
        reader->last_column = column > 0 ? column : 1;
        at = strstr(at, "error: ");
        message = at != NULL ? at + strlen("error: ") : message;
    }
    struct text hint =
        is_in_expression(reader, message)
            ? TEXT("an expression with a colon and a blank stands in quotes: 'a == \"x\" ? 8 : 0'")
        : strstr(message, "tab character") ? TEXT("blanks in place of tabs")
        : strstr(message, "expected ':'")
            ? TEXT("a colon and a blank behind each key; or a dash, a bracket or a quote before it")
            : TEXT("indentation, a bracket or a quote before this place");
    refuse(reader, "YAML_SYNTAX", hint, message);
}

static void drop_event(struct reader *reader)
{
    struct fy_event *event = reader->event;
    reader->event = NULL;
    fy_parser_event_free(reader->parser, event);
}

/* Complains about what an event's node must not have. */
static void check_event(struct reader *reader, const struct fy_event *event)
{
    struct fy_token *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case FYET_SCALAR:
        anchor = event->scalar.anchor;
        tag = event->scalar.tag;
        note_place(reader, event->scalar.value);
        break;
    case FYET_SEQUENCE_START:
        anchor = event->sequence_start.anchor;
        tag = event->sequence_start.tag;
        note_place(reader, event->sequence_start.sequence_start);
        break;
    case FYET_MAPPING_START:
        anchor = event->mapping_start.anchor;
        tag = event->mapping_start.tag;
        note_place(reader, event->mapping_start.mapping_start);
        break;
    case FYET_ALIAS:
        note_place(reader, event->alias.anchor);
        refuse(reader, "YAML_ALIAS", TEXT("write it out: what is shared has a name of its own"),
               "aliases are not allowed");
        return;
    default:
        return;
    }
    if (anchor != NULL) {
        note_place(reader, anchor);
        refuse(reader, "YAML_ANCHOR", TEXT("remove &name"), "anchors are not allowed");
    } else if (tag != NULL) {
        note_place(reader, tag);
        refuse(reader, "YAML_TAG", TEXT("remove it: what a key wants decides how it is read"),
               "tags are not allowed");
    }
    if (++reader->node_count > YAML_NODES_MAX && !reader->failed) {
        refuse(reader, "YAML_NODES", TEXT("cut it into several files"),
               "more than 250,000 nodes in a file");
    }
}

/* The next event, in hand until drop_event; or NULL at the end and when reading has failed. */
static struct fy_event *next_event(struct reader *reader)
{
    if (reader->failed) {
        return NULL;
    }
    struct fy_event *event = fy_parser_parse(reader->parser);
    if (event == NULL) {
        if (fy_parser_get_stream_error(reader->parser)) {
            refuse_syntax(reader);
        }
        return NULL;
    }
    reader->event = event;
    check_event(reader, event);
    if (reader->failed) {
        drop_event(reader);
        return NULL;
    }
    return event;
}

/* The text between single quotes, from the byte after the first: two quotes are one, and a line's
 * end with the blanks around it is one blank, or as many line ends as there are empty lines. */
static struct text copy_single_quoted(struct reader *reader, size_t at, size_t size)
{
    struct text bytes = reader->file->bytes;
    char *out = arena_alloc(reader->arena, size + 1);
    size_t done = 0, kept = 0; /* kept: what no line's end can strip */
    for (; at < bytes.size && done <= size; at++) {
        char c = bytes.at[at];
        if (c == '\'') {
            if (at + 1 == bytes.size || bytes.at[++at] != '\'') {
                break;
            }
        } else if (c == '\n' || c == '\r') {
            size_t lines = 0;
            for (; at < bytes.size && strchr(" \t\r\n", bytes.at[at]) != NULL; at++) {
                lines += bytes.at[at] == '\n';
            }
            at--;
            size_t count = lines > 1 ? lines - 1 : 1;
            for (done = kept; done < size && done < kept + count; done++) {
                out[done] = lines > 1 ? '\n' : ' ';
            }
            kept = done;
            continue;
        }
        if (done < size) {
            out[done] = c;
        }
        done++;
        kept = c == ' ' || c == '\t' ? kept : done;
    }
    if (done != size) {
        refuse(reader, "YAML_SYNTAX", TEXT("put it on one line"), "this text cannot be read");
        done = 0;
    }
    out[done] = '\0';
    return (struct text){out, done};
}

static void fill_scalar(struct reader *reader, struct fy_token *token, struct yaml_node *node)
{
    const struct fy_mark *from = fy_token_start_mark(token);
    enum fy_scalar_style style = fy_token_scalar_style(token);
    char quote = style == FYSS_SINGLE_QUOTED ? '\'' : style == FYSS_DOUBLE_QUOTED ? '"' : 0;
    node->kind = YAML_TEXT;
    node->is_plain = style == FYSS_PLAIN;
    node->is_quoted = quote != 0;
    node->has_offset = from != NULL;
    node->offset = from == NULL ? 0 : from->input_pos;
    /* The mark of a quoted text lies behind its first quote. */
    if (quote != 0 && node->offset > 0 && reader->file->bytes.at[node->offset - 1] == quote) {
        node->offset--;
        node->column--;
    }
    if (style == FYSS_SINGLE_QUOTED) {
        node->text = copy_single_quoted(reader, node->offset + 1, fy_token_get_text_length(token));
    } else {
        size_t size = 0;
        const char *text = fy_token_get_text(token, &size);
        node->text = text_copy(reader->arena, (struct text){text == NULL ? "" : text, size});
    }
    if (node->is_plain && (node->text.size == 0 || text_equal(node->text, TEXT("~")) ||
                           text_equal(node->text, TEXT("null")))) {
        node->kind = YAML_NONE;
    }
}

static void read_node(struct reader *reader, struct fy_event *event, int depth,
                      struct yaml_node *node);

/* Two keys that are equal: the first stays. */
static void check_duplicate(struct reader *reader, const struct yaml_node *map, struct map *by_key,
                            uint32_t index)
{
    const struct yaml_node *item = &map->items[index];
    uint32_t first = index;
    if (by_key != NULL) {
        first = map_put(by_key, item->key, index);
    } else {
        for (first = 0; !text_equal(map->items[first].key, item->key); first++) {
        }
    }
    if (first != index) {
        complain(reader->complaints, yaml_key_place(item), "DUPLICATE_KEY",
                 text_format(reader->arena, "the first is on line %u", map->items[first].key_line),
                 "the key %.*s stands twice in a mapping", TEXT_ARG(item->key));
    }
}

/* Reads a mapping's key into node; false when the mapping ends, or with a complaint. */
static bool read_key(struct reader *reader, struct yaml_node *node)
{
    struct fy_event *event = next_event(reader);
    if (event == NULL) {
        return false;
    }
    bool more = event->type != FYET_MAPPING_END;
    if (more && event->type != FYET_SCALAR) {
        refuse(reader, "YAML_KEY", TEXT("quote it when it begins with a bracket"),
               "a key must be a text");
        more = false;
    } else if (more) {
        struct yaml_node key = {
            .file = reader->file, .line = reader->last_line, .column = reader->last_column};
        fill_scalar(reader, event->scalar.value, &key);
        node->key = key.text;
        node->key_line = key.line;
        node->key_column = key.column;
        if (key.is_plain && text_equal(key.text, TEXT("<<"))) {
            refuse(reader, "YAML_MERGE", TEXT("write the members out"),
                   "merge keys are not allowed");
            more = false;
        }
    }
    drop_event(reader);
    return more;
}

static void read_items(struct reader *reader, int depth, struct yaml_node *node)
{
    uint32_t capacity = 0;
    struct map by_key;
    bool is_map = node->kind == YAML_MAP, hashed = false;
    if (depth >= YAML_DEPTH_MAX) {
        refuse(reader, "YAML_DEPTH", TEXT("nothing in a catalog is nested that deep"),
               "more than 32 levels of brackets or indentation");
        return;
    }
    for (;;) {
        struct yaml_node item = {0};
        if (is_map && !read_key(reader, &item)) {
            return;
        }
        struct fy_event *event = next_event(reader);
        if (event == NULL) {
            return;
        }
        if (event->type == FYET_SEQUENCE_END) {
            drop_event(reader);
            return;
        }
        read_node(reader, event, depth + 1, &item);
        if (reader->failed) {
            return;
        }
        if (node->count == capacity) {
            capacity = capacity == 0 ? 4 : capacity * 2;
            node->items =
                arena_grow(reader->arena, node->items, node->count, capacity, sizeof *node->items);
        }
        node->items[node->count++] = item;
        if (!is_map) {
            continue;
        }
        if (node->count > SMALL_MAP && !hashed) {
            hashed = true;
            map_init(&by_key, reader->arena, 4 * SMALL_MAP);
            for (uint32_t i = 0; i + 1 < node->count; i++) {
                map_put(&by_key, node->items[i].key, i);
            }
        }
        check_duplicate(reader, node, hashed ? &by_key : NULL, node->count - 1);
        if (node->count > YAML_KEYS_MAX) {
            refuse(reader, "YAML_KEYS", TEXT("cut it into several files"),
                   "more than 5,000 keys in a mapping");
            return;
        }
    }
}

/* Takes the event (and frees it) and all that belongs to it. */
static void read_node(struct reader *reader, struct fy_event *event, int depth,
                      struct yaml_node *node)
{
    node->file = reader->file;
    node->line = reader->last_line;
    node->column = reader->last_column;
    enum fy_event_type type = event->type;
    if (type == FYET_SCALAR) {
        fill_scalar(reader, event->scalar.value, node);
    } else {
        node->kind = type == FYET_MAPPING_START ? YAML_MAP : YAML_LIST;
    }
    drop_event(reader);
    if (node->kind == YAML_MAP || node->kind == YAML_LIST) {
        read_items(reader, depth, node);
    }
}

static struct yaml_node *read_stream(struct reader *reader)
{
    struct yaml_node *root = NULL;
    struct fy_event *event;
    while ((event = next_event(reader)) != NULL) {
        switch (event->type) {
        case FYET_SCALAR:
        case FYET_MAPPING_START:
        case FYET_SEQUENCE_START:
            root = arena_calloc(reader->arena, 1, sizeof *root);
            read_node(reader, event, 0, root);
            continue;
        case FYET_DOCUMENT_START:
            note_place(reader, event->document_start.document_start);
            if (root != NULL) {
                refuse(reader, "YAML_DOCUMENTS", TEXT("put it into a file of its own"),
                       "a second document in a file");
            }
            break;
        default:
            break;
        }
        drop_event(reader);
    }
    return reader->failed ? NULL : root;
}

/* ---- before the parser ---- */

static struct place find_place(const struct yaml_file *file, size_t offset)
{
    struct place place = {file->name, 1, 1};
    for (size_t i = 0; i < offset; i++) {
        if (file->bytes.at[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)file->bytes.at[i] & 0xC0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

static bool check_bytes(const struct yaml_file *file, struct complaints *complaints)
{
    struct place start = {file->name, 1, 1};
    struct text bytes = file->bytes;
    if (bytes.size > YAML_SIZE_MAX_BYTES) {
        complain(complaints, start, "FILE_SIZE", TEXT("cut it into several files of the folder"),
                 "the file has more than 1 MB");
        return false;
    }
    if (bytes.size >= 3 && memcmp(bytes.at, "\xEF\xBB\xBF", 3) == 0) {
        complain(complaints, start, "ENCODING", TEXT("save it as UTF-8 without a mark"),
                 "the file begins with a byte order mark");
        return false;
    }
    const char *zero = bytes.size == 0 ? NULL : memchr(bytes.at, 0, bytes.size);
    if (zero != NULL) {
        complain(complaints, find_place(file, (size_t)(zero - bytes.at)), "ENCODING",
                 TEXT("save it as UTF-8"), "a zero byte");
        return false;
    }
    if (!text_is_utf8(bytes)) {
        size_t line =
            0; /* the first line that is none: a line's end cannot lie inside a character */
        for (size_t i = 0; i <= bytes.size; i++) {
            if (i == bytes.size || bytes.at[i] == '\n') {
                if (!text_is_utf8((struct text){bytes.at + line, i - line})) {
                    break;
                }
                line = i + 1;
            }
        }
        complain(complaints, find_place(file, line), "ENCODING", TEXT("save it as UTF-8"),
                 "bytes that are no UTF-8 on this line");
        return false;
    }
    return true;
}

struct yaml_node *yaml_read(struct arena *arena, const struct yaml_file *file,
                            struct complaints *complaints)
{
    if (!check_bytes(file, complaints)) {
        return NULL;
    }
    struct reader *reader = arena_calloc(arena, 1, sizeof *reader);
    *reader = (struct reader){
        .arena = arena, .file = file, .complaints = complaints, .last_line = 1, .last_column = 1};
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.output_fn = note_error;
    diag_config.user = reader;
    diag_config.level = FYET_ERROR;
    diag_config.colorize = false;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    struct fy_parse_cfg config = {
        .flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = diag,
    };
    reader->parser = diag == NULL ? NULL : fy_parser_create(&config);
    jmp_buf *outer = arena->recover;
    if (reader->parser == NULL) { /* the machine's memory has run out, as the arena's may */
        fy_diag_unref(diag);
        assert(outer != NULL && "out of memory without a recovery point");
        longjmp(*outer, 1);
    }
    jmp_buf recover;
    if (ARENA_RECOVER(arena, recover)) {
        if (reader->event != NULL) {
            drop_event(reader);
        }
        fy_parser_destroy(reader->parser);
        fy_diag_unref(diag);
        arena->recover = outer;
        assert(outer != NULL && "out of memory without a recovery point");
        longjmp(*outer, 1);
    }
    struct yaml_node *root = NULL;
    if (fy_parser_set_string(reader->parser, file->bytes.at, file->bytes.size) == 0) {
        root = read_stream(reader);
    }
    arena->recover = outer;
    fy_parser_destroy(reader->parser);
    fy_diag_unref(diag);
    return root;
}

/* ---- canonical form ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct yaml_node *const *left = a, *const *right = b;
    return text_compare((*left)->key, (*right)->key);
}

static bool is_bare(const struct yaml_node *node)
{
    struct dec value;
    return node->is_plain &&
           (dec_parse(node->text, &value) == NUMBER_OK || text_equal(node->text, TEXT("true")) ||
            text_equal(node->text, TEXT("false")));
}

void yaml_write_canonical(const struct yaml_node *node, struct arena *arena, struct buffer *out)
{
    switch (node->kind) {
    case YAML_NONE:
        buffer_add_text(out, TEXT("null"));
        break;
    case YAML_TEXT:
        if (is_bare(node)) {
            buffer_add_text(out, node->text);
        } else {
            buffer_add_json(out, node->text);
        }
        break;
    case YAML_LIST:
        buffer_add_char(out, '[');
        for (uint32_t i = 0; i < node->count; i++) {
            if (i > 0) {
                buffer_add_char(out, ',');
            }
            yaml_write_canonical(&node->items[i], arena, out);
        }
        buffer_add_char(out, ']');
        break;
    case YAML_MAP: {
        const struct yaml_node **sorted = arena_alloc(arena, node->count * sizeof *sorted);
        for (uint32_t i = 0; i < node->count; i++) {
            sorted[i] = &node->items[i];
        }
        if (node->count > 0) {
            qsort(sorted, node->count, sizeof *sorted, compare_keys);
        }
        buffer_add_char(out, '{');
        for (uint32_t i = 0; i < node->count; i++) {
            if (i > 0) {
                buffer_add_char(out, ',');
            }
            buffer_add_json(out, sorted[i]->key);
            buffer_add_char(out, ':');
            yaml_write_canonical(sorted[i], arena, out);
        }
        buffer_add_char(out, '}');
        break;
    }
    }
}
