/* canonical.c - the one way to write an event's content.
 *
 * A member knows its path by a hash only, so the names come from the record itself, which is
 * decoded again: this is asked for the few records that share a key, never for all.
 */
#include <yyjson.h>

#include "decode/record.h"

static void add_number(struct buffer *out, struct dec number)
{
    char digits[DEC_FORMAT_MAX];
    buffer_add(out, digits, (size_t)dec_format(number, digits));
}

/* ---- data of JSON -------------------------------------------------------------------------- */

static void add_value(struct arena *arena, struct buffer *out, yyjson_val *value);

static void add_object(struct arena *arena, struct buffer *out, yyjson_val *object)
{
    size_t count = yyjson_obj_size(object);
    struct entry *entries = arena_alloc(arena, count * sizeof *entries);
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    size_t used = 0;
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator));) {
        struct text name = {yyjson_get_str(key), yyjson_get_len(key)};
        entries[used++] = (struct entry){name, yyjson_obj_iter_get_val(key)};
    }
    entries_sort(entries, used);
    buffer_add_char(out, '{');
    for (size_t i = 0; i < used; i++) {
        if (i > 0) {
            buffer_add_char(out, ',');
        }
        buffer_add_json(out, entries[i].key);
        buffer_add_char(out, ':');
        add_value(arena, out, (yyjson_val *)(uintptr_t)entries[i].value);
    }
    buffer_add_char(out, '}');
}

static void add_array(struct arena *arena, struct buffer *out, yyjson_val *array)
{
    yyjson_arr_iter iterator = yyjson_arr_iter_with(array);
    buffer_add_char(out, '[');
    bool is_first = true;
    for (yyjson_val *item; (item = yyjson_arr_iter_next(&iterator)); is_first = false) {
        if (!is_first) {
            buffer_add_char(out, ',');
        }
        add_value(arena, out, item);
    }
    buffer_add_char(out, ']');
}

static void add_value(struct arena *arena, struct buffer *out, yyjson_val *value)
{
    struct dec number = DEC_ZERO;
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_OBJ:
        add_object(arena, out, value);
        break;
    case YYJSON_TYPE_ARR:
        add_array(arena, out, value);
        break;
    case YYJSON_TYPE_STR:
        buffer_add_json(out, (struct text){yyjson_get_str(value), yyjson_get_len(value)});
        break;
    case YYJSON_TYPE_RAW:
        (void)dec_parse((struct text){yyjson_get_raw(value), yyjson_get_len(value)}, &number);
        add_number(out, number);
        break;
    case YYJSON_TYPE_BOOL:
        buffer_add_text(out, yyjson_get_bool(value) ? TEXT("true") : TEXT("false"));
        break;
    default:
        buffer_add_text(out, TEXT("null"));
        break;
    }
}

static void add_json_data(struct arena *arena, struct buffer *out, yyjson_val *data)
{
    if (yyjson_is_str(data)) {
        buffer_add_text(out, TEXT("{\"data_base64\":"));
        add_value(arena, out, data);
        buffer_add_char(out, '}');
    } else if (data) {
        add_object(arena, out, data);
    } else {
        buffer_add_text(out, TEXT("{}"));
    }
}

/* ---- data of CSV --------------------------------------------------------------------------- */

/* The names of a path one by one; at is behind the last one read. */
static struct text next_name(struct text key, size_t *at)
{
    size_t start = *at;
    size_t end = start;
    while (end < key.size && key.at[end] != '\0') {
        end++;
    }
    *at = end + 1;
    return (struct text){key.at + start, end - start};
}

/* How many bytes of a's names b shares, and how many objects that are: whole names only, never the
 * last. */
static size_t shared_names(struct text a, struct text b, size_t *depth)
{
    size_t shared = 0;
    *depth = 0;
    for (size_t i = 0; i < a.size && i < b.size && a.at[i] == b.at[i]; i++) {
        if (a.at[i] == '\0') {
            shared = i + 1;
            ++*depth;
        }
    }
    return shared;
}

/* The members in the order of their paths: what follows shares its first objects with what went
 * before. */
static void add_csv_data(struct decoder *decoder, struct buffer *out,
                         const struct csv_header *header, const struct event *event)
{
    uint32_t total = header->column_count + header->constant_count;
    const struct member **by_target = arena_calloc(decoder->arena, total, sizeof *by_target);
    for (uint32_t i = 0; i < event->member_count; i++) {
        by_target[decoder->targets[i]] = &event->members[i];
    }
    struct text before = {0};
    size_t open = 0;
    bool is_first = true;
    buffer_add_char(out, '{');
    for (uint32_t i = 0; i < header->sorted_count; i++) {
        const struct csv_target *target = header->sorted[i].value;
        const struct member *member = by_target[target - header->targets];
        if (!member) {
            continue;
        }
        struct text key = header->sorted[i].key;
        size_t depth;
        size_t at = shared_names(before, key, &depth);
        for (; open > depth; open--) {
            buffer_add_char(out, '}');
        }
        if (!is_first) {
            buffer_add_char(out, ',');
        }
        is_first = false;
        for (;;) {
            buffer_add_json(out, next_name(key, &at));
            buffer_add_char(out, ':');
            if (at > key.size) {
                break;
            }
            buffer_add_char(out, '{');
            open++;
        }
        if (member->kind == MEMBER_NUMBER) {
            add_number(out, member->number);
        } else {
            buffer_add_json(out, member->text);
        }
        before = key;
    }
    for (; open > 0; open--) {
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, '}');
}

/* ---- events -------------------------------------------------------------------------------- */

static void add_attribute(struct buffer *out, const char *name, struct text value)
{
    buffer_format(out, ",\"%s\":", name);
    buffer_add_json(out, value);
}

enum status decode_canonical(struct decoder *decoder, struct text record,
                             const struct csv_header *header, struct buffer *out, struct error *err)
{
    arena_rewind(decoder->arena, decoder->empty);
    struct finding finding = {0};
    struct event event;
    const void *data = NULL;
    bool is_event = header ? csv_read(decoder, header, record, &finding, &event, &data)
                           : json_general_read(decoder, record, &finding, &event, &data);
    if (!is_event) {
        return fail(err, ERR_INPUT, "a record that was accepted is refused now: %s at byte %zu",
                    refusal_name(finding.refusal), finding.offset);
    }
    buffer_add_text(out, TEXT("{\"data\":"));
    if (header && !data) {
        add_csv_data(decoder, out, header, &event);
    } else {
        add_json_data(decoder->arena, out, (yyjson_val *)(uintptr_t)data);
    }
    add_attribute(out, "id", event.id);
    add_attribute(out, "source", event.source);
    add_attribute(out, "specversion", TEXT("1.0"));
    if (event.subject.size) {
        add_attribute(out, "subject", event.subject);
    }
    char time[TIME_FORMAT_MAX];
    add_attribute(out, "time", (struct text){time, (size_t)time_format(event.at, time)});
    add_attribute(out, "type", event.type);
    buffer_add_char(out, '}');
    return OK;
}
