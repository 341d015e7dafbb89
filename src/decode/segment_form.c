/* segment_form.c - headers and shapes, as writer and reader of segments see them. */
#include <yyjson.h>

#include "decode/segment_form.h"

static const unsigned char MAGIC[8] = {0x89, 'F', 'S', 'E', 'G', '\r', '\n', 0x1A};

/* ---- headers ------------------------------------------------------------------------------- */

bool segment_is_magic(const void *bytes, size_t size)
{
    return size >= sizeof MAGIC && memcmp(bytes, MAGIC, sizeof MAGIC) == 0;
}

bool segment_header_read(const void *bytes, struct segment_header *header, const char **fault)
{
    const unsigned char *at = bytes;
    if (!segment_is_magic(at, SEGMENT_HEADER_BYTES)) {
        *fault = "segment: no block begins here";
        return false;
    }
    if (read_le64(at + 56) != hash_print64(at, 56, SEGMENT_HASH_HEADER)) {
        *fault = "segment: a block's header is damaged";
        return false;
    }
    if (read_le(at + 8, 2) != SEGMENT_VERSION) {
        *fault = "segment: a block of another version";
        return false;
    }
    *header = (struct segment_header){.kind = (enum segment_kind)read_le(at + 10, 2),
                                      .event_count = (uint32_t)read_le(at + 12, 4),
                                      .events_before = read_le64(at + 16),
                                      .body_bytes = (uint32_t)read_le(at + 24, 4),
                                      .body_hash = read_le64(at + 32),
                                      .from = (instant)read_le64(at + 40),
                                      .last = (instant)read_le64(at + 48)};
    bool is_end =
        header->kind == SEGMENT_END && header->event_count == 0 && header->body_bytes == 0;
    bool is_events = header->kind == SEGMENT_EVENTS && header->event_count > 0 &&
                     header->event_count <= SEGMENT_EVENTS_MAX &&
                     header->body_bytes <= SEGMENT_BODY_MAX_BYTES;
    bool is_counted = header->events_before <= SEGMENT_FILE_EVENTS_MAX - header->event_count;
    if ((!is_end && !is_events) || !is_counted) {
        *fault = "segment: a block's header says what none can";
        return false;
    }
    return true;
}

static void write_header(const struct segment_header *header, char *block)
{
    memset(block, 0, SEGMENT_HEADER_BYTES);
    memcpy(block, MAGIC, sizeof MAGIC);
    write_le(block + 8, SEGMENT_VERSION, 2);
    write_le(block + 10, header->kind, 2);
    write_le(block + 12, header->event_count, 4);
    write_le(block + 16, header->events_before, 8);
    write_le(block + 24, header->body_bytes, 4);
    write_le(block + 32, header->body_hash, 8);
    write_le(block + 40, (uint64_t)header->from, 8);
    write_le(block + 48, (uint64_t)header->last, 8);
    write_le(block + 56, hash_print64(block, 56, SEGMENT_HASH_HEADER), 8);
}

void segment_seal(struct segment_header header, char *block)
{
    if (header.kind == SEGMENT_EVENTS) {
        header.body_hash =
            hash_print64(block + SEGMENT_HEADER_BYTES, header.body_bytes, SEGMENT_HASH_BODY);
    }
    write_header(&header, block);
}

void segment_end(uint64_t events, char block[SEGMENT_HEADER_BYTES])
{
    segment_seal((struct segment_header){.kind = SEGMENT_END, .events_before = events}, block);
}

/* ---- shapes -------------------------------------------------------------------------------- */

struct walk {
    struct shape_form *form;
    struct buffer json;
    bool is_of_zeros, is_good;
};

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

static struct text text_of_value(yyjson_val *value)
{
    return (struct text){unsafe_yyjson_get_str(value), unsafe_yyjson_get_len(value)};
}

static void walk_object(struct walk *walk, uint64_t path, yyjson_val *object, int depth);

static void add_leaf(struct walk *walk, uint64_t path, yyjson_val *value)
{
    struct shape_form *form = walk->form;
    if (form->leaf_count == MEMBERS_MAX ||
        (walk->is_of_zeros &&
         !(yyjson_is_raw(value) && text_equal(text_of_value(value), TEXT("0"))))) {
        walk->is_good = false;
        return;
    }
    form->paths[form->leaf_count] = path;
    form->places[form->leaf_count++] = (uint32_t)walk->json.size;
    buffer_add_char(&walk->json, '0');
}

static bool add_holder(struct walk *walk, uint64_t path, int depth)
{
    if (depth >= JSON_DEPTH_MAX || walk->form->holder_count == HOLDERS_MAX) {
        walk->is_good = false;
        return false;
    }
    walk->form->holders[walk->form->holder_count++] = path;
    return true;
}

/* depth: of what the value stands in. */
static void walk_value(struct walk *walk, uint64_t path, yyjson_val *value, int depth)
{
    if (!walk->is_good) {
        return;
    }
    if (yyjson_is_obj(value) && yyjson_obj_size(value) > 0) {
        if (add_holder(walk, path, depth)) {
            walk_object(walk, path, value, depth + 1);
        }
    } else if (yyjson_is_arr(value) && yyjson_arr_size(value) > 0) {
        if (!add_holder(walk, path, depth)) {
            return;
        }
        buffer_add_char(&walk->json, '[');
        yyjson_arr_iter iterator = yyjson_arr_iter_with(value);
        uint32_t index = 0;
        for (yyjson_val *item; (item = yyjson_arr_iter_next(&iterator)); index++) {
            if (index > 0) {
                buffer_add_char(&walk->json, ',');
            }
            walk_value(walk, member_item_path(path, index), item, depth + 1);
        }
        buffer_add_char(&walk->json, ']');
    } else {
        add_leaf(walk, path, value);
    }
}

static void walk_object(struct walk *walk, uint64_t path, yyjson_val *object, int depth)
{
    buffer_add_char(&walk->json, '{');
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    struct text before = {0};
    bool is_first = true;
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)); is_first = false) {
        struct text name = text_of_value(key);
        if (!is_first) {
            walk->is_good &= text_compare(before, name) < 0;
            buffer_add_char(&walk->json, ',');
        }
        walk->is_good &= name.size == 0 || !memchr(name.at, '\0', name.size);
        before = name;
        buffer_add_json(&walk->json, name);
        buffer_add_char(&walk->json, ':');
        walk_value(walk, member_path(path, name), yyjson_obj_iter_get_val(key), depth);
    }
    buffer_add_char(&walk->json, '}');
}

bool shape_form_read(struct arena *arena, struct text json, bool is_of_zeros,
                     struct shape_form *form)
{
    char *copy = arena_alloc(arena, json.size + YYJSON_PADDING_SIZE);
    memcpy(copy, json.at, json.size);
    memset(copy + json.size, 0, YYJSON_PADDING_SIZE);
    const yyjson_alc allocator = {parse_malloc, parse_realloc, parse_free, arena};
    yyjson_read_flag flags = YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW |
                             (is_of_zeros ? 0 : YYJSON_READ_STOP_WHEN_DONE);
    yyjson_doc *doc = yyjson_read_opts(copy, json.size, flags, &allocator, NULL);
    yyjson_val *root = doc ? yyjson_doc_get_root(doc) : NULL;
    if (!yyjson_is_obj(root)) {
        return false;
    }
    size_t count = yyjson_doc_get_val_count(doc);
    size_t leaf_max = count < MEMBERS_MAX ? count : MEMBERS_MAX;
    size_t holder_max = count < HOLDERS_MAX ? count : HOLDERS_MAX;
    *form = (struct shape_form){.paths = arena_alloc(arena, leaf_max * sizeof *form->paths),
                                .places = arena_alloc(arena, leaf_max * sizeof *form->places),
                                .holders = arena_alloc(arena, holder_max * sizeof *form->holders)};
    struct walk walk = {.form = form, .is_of_zeros = is_of_zeros, .is_good = true};
    buffer_init(&walk.json, arena, json.size + 16);
    walk_object(&walk, PATH_DATA, root, 2);
    form->json = buffer_text(&walk.json);
    return walk.is_good && (!is_of_zeros || text_equal(form->json, json));
}
