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

static struct text keys_dimensions(struct arena *arena, const struct catalog *catalog,
                                   const struct bucket_keys *keys)
{
    struct buffer out;
    buffer_init(&out, arena, 64);
    for (uint32_t i = 0; i < keys->count; i++) {
        if (keys->values[i].size == 0) {
            continue;
        }
        if (out.size > 0) {
            buffer_add_char(&out, ';');
        }
        buffer_add_encoded(&out, catalog->dimensions[keys->dimensions[i]], ";=");
        buffer_add_char(&out, '=');
        buffer_add_encoded(&out, keys->values[i], ";=");
    }
    return buffer_text(&out);
}

struct text line_dimensions(struct arena *arena, const struct pricing *pricing,
                            const struct charge *charge)
{
    if (charge->keys) {
        return keys_dimensions(arena, pricing->catalog, charge->keys);
    }
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
    if (charge->keys) {
        return line_encode(arena, charge->keys->resource);
    }
    if (charge->series == NONE || charge->price->grain == GRAIN_MONTH) {
        return TEXT("");
    }
    return line_encode(arena, charge_series(pricing, charge)->resource);
}

struct period line_span(const struct pricing *pricing, const struct charge *charge)
{
    if (line_key_is_by_slot(charge)) {
        return charge->span;
    }
    struct period span = pricing->cut; /* while the version is in force */
    span.from = charge->price->from > span.from ? charge->price->from : span.from;
    span.to = charge->price->to < span.to ? charge->price->to : span.to;
    return span;
}

struct text line_contract(const struct pricing *pricing, const struct charge *charge)
{
    if (charge->contract) {
        return charge->contract->id;
    }
    uint32_t view = accounts_view(pricing->accounts, pricing->payer);
    return view == NONE ? TEXT("")
                        : pricing->catalog->contracts[pricing->accounts->views[view].contract].id;
}

static void add_part(struct buffer *key, struct text part)
{
    uint32_t size = (uint32_t)part.size;
    buffer_add(key, (const char *)&size, sizeof size);
    buffer_add_text(key, part);
}

void line_key_add(struct arena *arena, const struct pricing *pricing, const struct charge *charge,
                  struct buffer *key)
{
    const struct used_rate *used = charge_rate_used(charge);
    const struct period span = line_span(pricing, charge);
    const struct dec rate = charge->has_rate ? charge->rate : DEC_ZERO;
    const int term = charge->level >= LEVEL_TERMS ? charge->level : 0;
    const uint64_t numbers[] = {(uint64_t)charge->account << 32 | charge->sku,
                                (uint64_t)charge->kind << 32 | charge->tier,
                                (uint64_t)term << 1 | charge->has_rate,
                                (uint64_t)rate.mantissa,
                                (uint64_t)(rate.mantissa >> 64),
                                (uint64_t)rate.scale,
                                (uint64_t)charge->price->from,
                                (uint64_t)span.from,
                                (uint64_t)span.to,
                                used ? (uint64_t)used->at : 0,
                                used ? (uint64_t)used->rate.mantissa : 0,
                                used ? (uint64_t)(used->rate.mantissa >> 64) : 0,
                                used ? (uint64_t)used->rate.scale : 0};
    buffer_add(key, (const char *)numbers, sizeof numbers);
    add_part(key, charge->price->name);
    add_part(key, charge->step->name);
    add_part(key, charge->unit);
    add_part(key, charge->grant ? *charge->grant : TEXT(""));
    add_part(key, line_contract(pricing, charge));
    add_part(key, used ? text_of(used->from->code) : TEXT(""));
    add_part(key, line_dimensions(arena, pricing, charge));
    add_part(key, line_resource(arena, pricing, charge));
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
