/* line_key.c - how a line tells its row's keys; see line_key.h and bill.h. */
#include "price/line_key.h"

#include "base/nofloat.h"

struct text line_encode(struct arena *arena, struct text text)
{
    bool is_plain = true;
    for (size_t i = 0; i < text.size && is_plain; i++) {
        unsigned char c = (unsigned char)text.at[i];
        is_plain = c >= 0x20 && c != 0x7F && c != '%';
    }
    if (is_plain) {
        return text;
    }
    struct buffer out;
    buffer_init(&out, arena, 3 * text.size);
    buffer_add_encoded(&out, text, "");
    return buffer_text(&out);
}

struct text line_series_dimensions(struct arena *arena, const struct catalog *catalog,
                                   const struct series *series)
{
    const struct meter *meter = &catalog->meters[series->meter];
    if (meter->dimension_count == 0) {
        return TEXT("");
    }
    struct buffer out;
    buffer_init(&out, arena, 64);
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        struct text value = series->dimensions[i];
        if (value.size == 0) {
            continue;
        }
        if (out.size > 0) {
            buffer_add_char(&out, ';');
        }
        buffer_add_encoded(&out, catalog->dimensions[meter->dimensions[i].name], ";=");
        buffer_add_char(&out, '=');
        buffer_add_encoded(&out, value, ";=");
    }
    return buffer_text(&out);
}

struct text line_event(struct arena *arena, const struct event_name *event)
{
    struct buffer out;
    buffer_init(&out, arena, 64);
    buffer_add_text(&out, TEXT("@id="));
    buffer_add_encoded(&out, event->id, ";=");
    buffer_add_text(&out, TEXT(";@source="));
    buffer_add_encoded(&out, event->source, ";=");
    return buffer_text(&out);
}

struct text line_dimensions(struct arena *arena, const struct pricing *pricing,
                            const struct charge *charge)
{
    if (charge->series == NONE) {
        return TEXT("");
    }
    const struct series *series = charge_series(pricing, charge);
    if (!charge->event && pricing->catalog->meters[series->meter].dimension_count == 0) {
        return TEXT("");
    }
    struct text own = line_series_dimensions(arena, pricing->catalog, series);
    if (!charge->event) {
        return own;
    }
    struct text event = line_event(arena, charge->event);
    event = own.size > 0 ? text_join(arena, event, TEXT(";")) : event;
    return text_join(arena, event, own);
}

struct text line_resource(struct arena *arena, const struct pricing *pricing,
                          const struct charge *charge)
{
    if (charge->series == NONE || charge->price->grain == GRAIN_MONTH) {
        return TEXT("");
    }
    return line_encode(arena, charge_series(pricing, charge)->resource);
}

static void add_part(struct buffer *key, struct text part)
{
    uint32_t size = (uint32_t)part.size;
    buffer_add(key, (const char *)&size, sizeof size);
    buffer_add_text(key, part);
}

struct hash128 line_covered_row(struct arena *arena, struct text account, struct text sku,
                                struct text dimensions, struct text resource, struct text step)
{
    struct buffer key;
    buffer_init(&key, arena, 128);
    add_part(&key, account);
    add_part(&key, sku);
    add_part(&key, dimensions);
    add_part(&key, resource);
    add_part(&key, step);
    return hash_print(key.at, key.size);
}
