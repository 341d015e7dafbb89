/* writer.h - rows of CSV at the speed of copying; private to this room.
 *
 * A row's greatest size is known before it is written, so room is made once and the pointer runs.
 * Tens of millions of lines pass here: fields are looked at eight bytes at a time, and instants
 * that repeat are formatted once.
 */
#ifndef FARTHING_RENDER_WRITER_H
#define FARTHING_RENDER_WRITER_H

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/hash.h"
#include "base/text.h"

enum { WRITER_TIMES = 8, WRITER_PLAIN = 32 };

struct writer {
    struct buffer *out;
    char *at; /* where the next byte goes */
    struct {
        instant at;
        int size; /* 0: empty */
        char text[TIME_FORMAT_MAX];
    } times[WRITER_TIMES];
    struct text plain[WRITER_PLAIN]; /* fields met last that need no quotes */
};

/* What a text takes at most: each byte a quote, and two around it. */
static inline size_t writer_text_max(struct text text)
{
    return 2 * text.size + 2;
}

static inline void writer_begin(struct writer *writer, size_t size_max)
{
    writer->at = buffer_reserve(writer->out, size_max);
}

static inline void writer_end(struct writer *writer)
{
    writer->out->size = (size_t)(writer->at - writer->out->at);
}

static inline void writer_char(struct writer *writer, char c)
{
    *writer->at++ = c;
}

/* Copies without a call what is short, as most fields are. */
static inline void writer_copy(struct writer *writer, struct text text)
{
    char *to = writer->at;
    writer->at += text.size;
    if (text.size >= 8 && text.size <= 16) {
        memcpy(to, text.at, 8);
        memcpy(to + text.size - 8, text.at + text.size - 8, 8);
    } else if (text.size > 16 && text.size <= 32) {
        memcpy(to, text.at, 16);
        memcpy(to + text.size - 16, text.at + text.size - 16, 16);
    } else if (text.size < 8) {
        for (size_t i = 0; i < text.size; i++) {
            to[i] = text.at[i];
        }
    } else {
        memcpy(to, text.at, text.size);
    }
}

/* True when a field must be quoted: it holds a comma, a quote, a newline or a carriage return. */
bool writer_needs_quotes(struct text text);
void writer_quoted(struct writer *writer, struct text text);

/* Most fields are names that row after row points to. Texts stay what they are while a writer lives. */
static inline void writer_text(struct writer *writer, struct text text)
{
    if (text.size == 0) {
        return;
    }
    struct text *plain = &writer->plain[((uintptr_t)text.at >> 3) % WRITER_PLAIN];
    if (plain->at != text.at || plain->size != text.size) {
        if (writer_needs_quotes(text)) {
            writer_quoted(writer, text);
            return;
        }
        *plain = text;
    }
    writer_copy(writer, text);
}

static inline void writer_field(struct writer *writer, struct text text)
{
    writer_text(writer, text);
    *writer->at++ = ',';
}

static inline void writer_decimal(struct writer *writer, struct dec value)
{
    writer->at += dec_format(value, writer->at);
    *writer->at++ = ',';
}

/* A value that often is the one whose field begins at before, and then is copied. */
static inline void writer_decimal_again(struct writer *writer, struct dec value,
                                        const char *before, struct dec value_before)
{
    if (value.mantissa == value_before.mantissa && value.scale == value_before.scale) {
        size_t size = (size_t)(writer->at - before);
        memcpy(writer->at, before, size);
        writer->at += size;
    } else {
        writer_decimal(writer, value);
    }
}

void writer_time(struct writer *writer, instant at); /* and its comma */
void writer_u64(struct writer *writer, uint64_t value);
void writer_print(struct writer *writer, uint64_t print); /* 16 hexadecimal digits */

#endif
