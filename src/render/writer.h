/* writer.h - rows of CSV at the speed of copying; private to this room.
 *
 * A row's greatest size is known before it is written, so room is made once and the pointer runs.
 * Tens of millions of lines pass here, and most of what they say they share: a writer lives as long
 * as a thread's run and formats instants that repeat once.
 */
#ifndef FARTHING_RENDER_WRITER_H
#define FARTHING_RENDER_WRITER_H

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/hash.h"
#include "base/text.h"

enum { WRITER_TIMES = 8 };

struct writer {
    struct buffer *out;
    char *at; /* where the next byte goes */
    struct {
        instant at;
        int size; /* 0: empty */
        char text[TIME_FORMAT_MAX];
    } times[WRITER_TIMES];
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

typedef uint8_t writer_lane __attribute__((vector_size(16)));
/* The same as words: what is written to memory in parts and read as a whole waits for it. */
typedef uint64_t writer_halves __attribute__((vector_size(16)));

/* Not zero where a byte must be quoted: comma, quote, newline, carriage return. */
static inline writer_lane writer_special(writer_lane lane)
{
    return (writer_lane)((lane == ',') | (lane == '"') | (lane == '\n') | (lane == '\r'));
}

static inline bool writer_is_zero(writer_lane lane)
{
    writer_halves halves = (writer_halves)lane;
    return (halves[0] | halves[1]) == 0;
}

/* Copies a text of 16 bytes or more, the last 16 apart; false when it must be quoted. */
static inline bool writer_copy_long(char *to, struct text text)
{
    writer_lane lane, special;
    size_t last = text.size - sizeof lane;
    memcpy(&lane, text.at + last, sizeof lane);
    memcpy(to + last, &lane, sizeof lane);
    special = writer_special(lane);
    for (size_t i = 0; i < last; i += sizeof lane) {
        memcpy(&lane, text.at + i, sizeof lane);
        memcpy(to + i, &lane, sizeof lane);
        special |= writer_special(lane);
    }
    return writer_is_zero(special);
}

/* The same of a shorter one: in two words that overlap, or byte by byte. */
static inline bool writer_copy_short(char *to, struct text text)
{
    uint64_t first = 0, second = 0;
    size_t size = text.size;
    if (size >= 8) {
        memcpy(&first, text.at, 8);
        memcpy(&second, text.at + size - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + size - 8, &second, 8);
    } else if (size >= 4) {
        memcpy(&first, text.at, 4);
        memcpy(&second, text.at + size - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + size - 4, &second, 4);
    } else {
        for (size_t i = 0; i < size; i++) {
            to[i] = text.at[i];
            first = first << 8 | (unsigned char)text.at[i];
        }
    }
    return writer_is_zero(writer_special((writer_lane)(writer_halves){first, second}));
}

/* With its quotes, which takes writer_text_max at most; returns the size. */
size_t writer_quote(char *to, struct text text);

/* Quoted when it must be, which is known when it is copied. */
static inline void writer_text(struct writer *writer, struct text text)
{
    bool is_plain = text.size < sizeof(writer_lane) ? writer_copy_short(writer->at, text)
                                                    : writer_copy_long(writer->at, text);
    writer->at += is_plain ? text.size : writer_quote(writer->at, text);
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
static inline void writer_decimal_again(struct writer *writer, struct dec value, const char *before,
                                        struct dec value_before)
{
    enum { USUAL_BYTES = 32 };
    size_t size = (size_t)(writer->at - before);
    if (value.mantissa != value_before.mantissa || value.scale != value_before.scale ||
        size > USUAL_BYTES) {
        writer_decimal(writer, value);
        return;
    }
    writer_lane lanes[USUAL_BYTES / sizeof(writer_lane)];
    memcpy(lanes, before, sizeof lanes); /* what lies behind the field is room of the row */
    memcpy(writer->at, lanes, sizeof lanes);
    writer->at += size;
}

void writer_time(struct writer *writer, instant at); /* and its comma */
void writer_u64(struct writer *writer, uint64_t value);
void writer_print(struct writer *writer, uint64_t print); /* 16 hexadecimal digits */

#endif
