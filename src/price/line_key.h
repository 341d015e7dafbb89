/* line_key.h - which charges stand on one line of a bill; for bill.c, and for what is done line by
 * line before there are lines: rounding and taxes `at: line`, and conversion.
 *
 * What a line tells of its charges is made here, and line_key_add puts it together: charges with
 * one such key are one line, as compare_lines (bill.c) finds when it sorts lines.  line_key_hash
 * and line_key_equal are quick, and finer: what they call equal is one line, but one line may be
 * several of theirs.
 */
#ifndef FARTHING_PRICE_LINE_KEY_H
#define FARTHING_PRICE_LINE_KEY_H

#include "price/price.h"

/* Control characters and percent signs percent-encoded. */
struct text line_encode(struct arena *arena, struct text text);
/* The dimensions of a row's line, "region=eu;size=l", and of one of an event "@id=e5;@source=/net"
 * in front of them; its resource, where its lines tell it. */
struct text line_series_dimensions(struct arena *arena, const struct catalog *catalog,
                                   const struct series *series);
struct text line_event(struct arena *arena, const struct event_name *event);
struct text line_dimensions(struct arena *arena, const struct pricing *pricing,
                            const struct charge *charge); /* of a charge of no row, its bucket's */
struct text line_resource(struct arena *arena, const struct pricing *pricing,
                          const struct charge *charge);

/* The time that a line is for, and the contract that it names; empty. */
struct period line_span(const struct pricing *pricing, const struct charge *charge);
struct text line_contract(const struct pricing *pricing, const struct charge *charge);
/* Adds all that tells the line of a charge from others. */
void line_key_add(struct arena *arena, const struct pricing *pricing, const struct charge *charge,
                  struct buffer *key);

/* What tells the row of a covered line, whatever its price says now: see struct covered_before. */
struct hash128 line_covered_row(struct arena *arena, struct text account, struct text sku,
                                struct text dimensions, struct text resource, struct text step);

static inline bool line_key_is_by_slot(const struct charge *charge)
{
    return charge->row == NONE || charge->price->grain != GRAIN_MONTH;
}

static inline uint64_t line_key_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static inline uint64_t line_key_hash(const struct pricing *pricing, const struct charge *charge)
{
    uint64_t hash = line_key_mix(charge->account, (uint64_t)charge->sku << 32 | charge->tier);
    hash = line_key_mix(hash, (uint64_t)(uintptr_t)charge->price);
    hash = line_key_mix(hash, (uint64_t)(uintptr_t)charge->step + charge->kind);
    hash = line_key_mix(hash, (uint64_t)charge->rate.mantissa);
    if (line_key_is_by_slot(charge)) {
        hash = line_key_mix(hash, (uint64_t)charge->span.from ^ (uint64_t)charge->series);
        hash = line_key_mix(hash, (uint64_t)(uintptr_t)charge->event);
    } else {
        const struct series *series = charge_series(pricing, charge);
        const struct meter *meter = &pricing->catalog->meters[series->meter];
        for (uint32_t i = 0; i < meter->dimension_count; i++) {
            hash = hash_print64(series->dimensions[i].at, series->dimensions[i].size, hash);
        }
    }
    return hash;
}

/* Equal here is equal as lines; lines that are equal but not here meet by line_key_add, or when
 * they are sorted. */
static inline bool line_key_equal(const struct pricing *pricing, const struct charge *a,
                                  const struct charge *b)
{
    if (a->account != b->account || a->sku != b->sku || a->tier != b->tier ||
        a->price != b->price || a->step != b->step || a->kind != b->kind ||
        a->contract != b->contract || a->grant != b->grant || a->has_rate != b->has_rate ||
        !dec_equal(a->rate, b->rate) || !text_equal(a->unit, b->unit) ||
        charge_rate_used(a) != charge_rate_used(b) ||
        line_key_is_by_slot(a) != line_key_is_by_slot(b)) {
        return false;
    }
    if (line_key_is_by_slot(a)) {
        return a->series == b->series && a->merged == b->merged && a->event == b->event &&
               a->keys == b->keys && a->span.from == b->span.from && a->span.to == b->span.to;
    }
    if (a->series == b->series && a->merged == b->merged) {
        return true;
    }
    const struct series *x = charge_series(pricing, a);
    const struct series *y = charge_series(pricing, b);
    if (x->meter != y->meter) {
        return false;
    }
    for (uint32_t i = 0; i < pricing->catalog->meters[x->meter].dimension_count; i++) {
        if (!text_equal(x->dimensions[i], y->dimensions[i])) {
            return false;
        }
    }
    return true;
}

#endif
