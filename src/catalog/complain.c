/* complain.c - see complain.h. */
#include "catalog/complain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/money.h"
#include "base/nearest.h"

#include "base/nofloat.h"

static void put_hint(struct complaint *complaint, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message_format(complaint->hint, sizeof complaint->hint, format, arguments);
    va_end(arguments);
}

static void add(struct complaints *complaints, struct place place, const char *code,
                struct text hint, bool is_warning, const char *format, va_list arguments)
{
    complaints->errors += !is_warning;
    if (complaints->count >= COMPLAINTS_MAX) {
        return;
    }
    if ((complaints->count & (complaints->count - 1)) == 0) { /* full at each power of two */
        complaints->items = arena_grow(complaints->arena, complaints->items, complaints->count,
                                       complaints->count == 0 ? 1 : 2 * (size_t)complaints->count,
                                       sizeof *complaints->items);
    }
    struct complaint *complaint = &complaints->items[complaints->count++];
    *complaint = (struct complaint){.place = place, .is_warning = is_warning};
    snprintf(complaint->code, sizeof complaint->code, "%s", code);
    message_format(complaint->message, sizeof complaint->message, format, arguments);
    put_hint(complaint, "%.*s", TEXT_ARG(hint));
}

void complain(struct complaints *complaints, struct place place, const char *code, struct text hint,
              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(complaints, place, code, hint, false, format, arguments);
    va_end(arguments);
}

void complain_softly(struct complaints *complaints, struct place place, const char *code,
                     struct text hint, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(complaints, place, code, hint, true, format, arguments);
    va_end(arguments);
}

const char *place_text(struct arena *arena, struct place place)
{
    struct text file = place.file;
    return place.line == 0 ? text_format(arena, "%.*s", TEXT_ARG(file)).at
           : place.column == 0
               ? text_format(arena, "%.*s:%u", TEXT_ARG(file), place.line).at
               : text_format(arena, "%.*s:%u:%u", TEXT_ARG(file), place.line, place.column).at;
}

static int compare_places(const struct complaint *a, const struct complaint *b)
{
    int order = text_compare(a->place.file, b->place.file);
    if (order == 0 && a->place.line != b->place.line) {
        order = a->place.line < b->place.line ? -1 : 1;
    }
    if (order == 0 && a->place.column != b->place.column) {
        order = a->place.column < b->place.column ? -1 : 1;
    }
    return order;
}

/* qsort is not stable: the order of coming is sorted with the places. */
static int compare_pointers(const void *a, const void *b)
{
    const struct complaint *const *left = a, *const *right = b;
    int order = compare_places(*left, *right);
    return order != 0 ? order : (*left > *right) - (*left < *right);
}

void complaints_sort(struct complaints *complaints)
{
    uint32_t count = complaints->count;
    const struct complaint **order = arena_alloc(complaints->arena, count * sizeof *order);
    struct complaint *sorted = arena_alloc(complaints->arena, count * sizeof *sorted);
    for (uint32_t i = 0; i < count; i++) {
        order[i] = &complaints->items[i];
    }
    if (count > 0) {
        qsort(order, count, sizeof *order, compare_pointers);
    }
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = *order[i];
    }
    if (count > 0) {
        memcpy(complaints->items, sorted, count * sizeof *sorted);
    }
}

struct text hint_nearest(struct arena *arena, struct text word, const struct text *candidates,
                         size_t count)
{
    struct text nearest = text_nearest(word, candidates, count);
    return nearest.size == 0 ? (struct text){"", 0}
                             : text_format(arena, "did you mean %.*s?", TEXT_ARG(nearest));
}

struct text hint_currency(struct arena *arena, struct text code)
{
    char letters[3];
    for (size_t i = 0; code.size == sizeof letters && i < code.size; i++) {
        bool is_small = code.at[i] >= 'a' && code.at[i] <= 'z';
        letters[i] = (char)(is_small ? code.at[i] - 'a' + 'A' : code.at[i]);
    }
    struct text capital = {letters, sizeof letters};
    return code.size == sizeof letters && currency_find(capital)
               ? text_format(arena, "did you mean %.*s?", TEXT_ARG(capital))
               : TEXT("a code of ISO 4217 with a minor unit: USD, EUR, JPY");
}

/* What other systems, and people, call a thing: the word here, and how it is written where that is
 * not the word alone. */
static const struct {
    const char *word, *meant, *written;
} other_words[] = {
    {"minimum", "bound", "bound: {min: ...}"},
    {"min", "bound", "bound: {min: ...}"},
    {"maximum", "bound", "bound: {max: ...}"},
    {"max", "bound", "bound: {max: ...}"},
    {"cap", "bound", "bound: {max: ...}"},
    {"limit", "bound", "bound: {max: ...}"},
    {"free", "allowance", NULL},
    {"included", "allowance", NULL},
    {"quota", "allowance", NULL},
    {"price", "rate", NULL},
    {"unit_price", "rate", NULL},
    {"per_unit", "rate", NULL},
    {"graduated", "tier", NULL},
    {"tiers", "tier", NULL},
    {"volume", "tier", "tier: {mode: volume, ...}"},
    {"package", "tier", "tier: [{package: ..., rate: ...}]"},
    {"flat", "fixed", NULL},
    {"flat_fee", "fixed", NULL},
    {"recurring", "fixed", NULL},
    {"subscription", "fixed", NULL},
    {"seats", "fixed", "fixed: {amount: ..., quantity: ...}"},
    {"multiply", "convert", "convert: {multiply: ...}"},
    {"divide", "convert", "convert: {divide: ...}"},
    {"org", "organization", NULL},
    {"team", "organization", NULL},
    {"group", "organization", NULL},
    {"payer", "organization", NULL},
    {"customer", "account", NULL},
    {"user", "account", NULL},
    {"subscriber", "account", NULL},
    {"billing_period", "period", NULL},
    {"annual", "year", NULL},
    {"name", "id", NULL},
    {"account_id", "id", NULL},
    {"customer_id", "id", NULL},
    {"parent", "organization", NULL},
    {"parent_id", "organization", NULL},
    {"organization_id", "organization", NULL},
    {"organization", "member_of", NULL},
    {"org", "member_of", NULL},
    {"parent", "member_of", NULL},
    {"parent_id", "member_of", NULL},
    {"organization_id", "member_of", NULL},
    {"members", "children", NULL},
    {"plan_id", "plan", NULL},
};

struct text word_meant(struct text word, const struct text *candidates, size_t count)
{
    for (size_t w = 0; w < sizeof other_words / sizeof other_words[0]; w++) {
        for (size_t i = 0; i < count && text_equal(word, text_of(other_words[w].word)); i++) {
            if (text_equal(candidates[i], text_of(other_words[w].meant))) {
                return other_words[w].written ? text_of(other_words[w].written) : candidates[i];
            }
        }
    }
    return text_nearest(word, candidates, count);
}

struct text hint_choice(struct arena *arena, struct text word, const struct text *candidates,
                        size_t count)
{
    struct text meant = word_meant(word, candidates, count);
    struct buffer out;
    buffer_init(&out, arena, 128);
    if (meant.size != 0) {
        buffer_format(&out, "did you mean %.*s?", TEXT_ARG(meant));
        if (count == 1) {
            return buffer_text(&out);
        }
    }
    buffer_add_text(&out, meant.size != 0 ? TEXT(" One of ") : TEXT("one of "));
    const size_t room = sizeof((struct complaint *)NULL)->hint - sizeof ", ...";
    size_t shown = 0;
    for (; shown < count && out.size + candidates[shown].size + 2 <= room; shown++) {
        buffer_format(&out, "%s%.*s", shown == 0 ? "" : ", ", TEXT_ARG(candidates[shown]));
    }
    if (shown < count) {
        buffer_add_text(&out, TEXT(", ..."));
    }
    return buffer_text(&out);
}
