/* writer.c - see writer.h. */
#include "render/writer.h"

#include "render/render.h"

/* Forms take no more than fits a cache of the machine. */
struct writer *writer_new(struct arena *arena, size_t room_bytes)
{
    enum { FORMS_LEAST = 64, FORMS_MOST = 4096 };
    struct writer *writer = arena_calloc(arena, 1, sizeof *writer);
    uint32_t forms = FORMS_LEAST;
    while (forms < FORMS_MOST && 2 * forms * sizeof *writer->series <= room_bytes) {
        forms *= 2;
    }
    writer->series_mask = forms - 1;
    writer->has_series = arena_calloc(arena, forms, sizeof *writer->has_series);
    writer->series = arena_alloc(arena, forms * sizeof *writer->series);
    return writer;
}

size_t writer_quote(char *to, struct text text)
{
    char *from = to;
    *to++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == '"') {
            *to++ = '"';
        }
        *to++ = text.at[i];
    }
    *to++ = '"';
    return (size_t)(to - from);
}

size_t writer_find_time(struct writer *writer, size_t slot, instant at)
{
    writer->times[slot].at = at;
    writer->times[slot].size = time_format_short(at, writer->times[slot].text);
    return slot;
}

void writer_ask(const struct writer *writer, uint32_t series)
{
    const uint32_t at = series & writer->series_mask;
    const char *form = (const char *)&writer->series[at];
    __builtin_prefetch(&writer->has_series[at]);
    __builtin_prefetch(form);
    __builtin_prefetch(form + 64);
}
