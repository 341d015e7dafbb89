/* writer.h - rows of CSV at the speed of copying; private to this room.
 *
 * A row's greatest size is known before it is written, so room is made once and the pointer runs.
 * Tens of millions of lines pass here, and most of what they say they share: a writer lives as long
 * as a thread's run and remembers instants, and what rows of one series say alike, as the text that
 * it is.  (Of lines that would be slower: a bill has their names at hand, as it has hashed them.)
 */
#ifndef FARTHING_RENDER_WRITER_H
#define FARTHING_RENDER_WRITER_H

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/digits.h"
#include "base/hash.h"
#include "base/text.h"

typedef uint8_t writer_lane __attribute__((vector_size(16)));
/* The same as words: what is written to memory in parts and read as a whole waits for it. */
typedef uint64_t writer_halves __attribute__((vector_size(16)));

enum { WRITER_TIMES = 8, WRITER_LANE = sizeof(writer_lane) };

/* What rows of usage of one series say alike: meter, sku, resource, dimensions. */
enum { SERIES_FORM_BYTES = 200 };
struct series;
struct series_form {
    const struct series *series;
    size_t size;
    char bytes[SERIES_FORM_BYTES + WRITER_LANE];
};

struct writer {
    struct {
        instant at;
        int size; /* 0: empty */
        char text[TIME_FORMAT_MAX];
    } times[WRITER_TIMES];
    struct { /* of bills: "from":"...","to":"..." */
        struct period period;
        size_t size; /* 0: empty */
        char text[2 * TIME_FORMAT_MAX + 32];
    } edges;
    struct series_form *series; /* by the number of the series */
    bool *has_series;           /* which of these there are */
    uint32_t series_mask;
};

/* What a text takes at most: each byte a quote, and two around it. */
static inline size_t writer_text_max(struct text text)
{
    return 2 * text.size + 2;
}

/* Where the next byte of a row goes.  A pen is a variable of the function that writes the row, and
 * what it is given to is compiled into that: so it stays in a register. */
struct pen {
    char *at;
};

static inline struct pen pen_begin(struct buffer *out, size_t size_max)
{
    return (struct pen){buffer_reserve(out, size_max)};
}

static inline void pen_end(const struct pen *pen, struct buffer *out)
{
    out->size = (size_t)(pen->at - out->at);
}

static inline void pen_char(struct pen *pen, char c)
{
    *pen->at++ = c;
}

/* In whole lanes: from and the row have room for what is too much. */
static inline void pen_copy(struct pen *pen, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i += WRITER_LANE) {
        writer_lane lane;
        memcpy(&lane, from + i, sizeof lane);
        memcpy(pen->at + i, &lane, sizeof lane);
    }
    pen->at += size;
}
static inline bool writer_is_zero(writer_lane lane)
{
    writer_halves halves = (writer_halves)lane;
    return (halves[0] | halves[1]) == 0;
}

/* Not zero where a byte must be quoted in CSV: comma, quote, newline, carriage return ... */
static inline writer_lane writer_special_csv(writer_lane lane)
{
    return (writer_lane)((lane == ',') | (lane == '"') | (lane == '\n') | (lane == '\r'));
}

/* ... and where one in JSON must be escaped, or may: a blank never. */
static inline writer_lane writer_special_json(writer_lane lane)
{
    return (writer_lane)((lane == '"') | (lane == '\\') | (lane < 0x20) | (lane > 0x7F));
}

/* Copies a text of 16 bytes or more, the last 16 apart; false when a byte is special. */
static inline bool writer_copy_long(char *to, struct text text, writer_lane (*find)(writer_lane))
{
    writer_lane lane, special;
    size_t last = text.size - sizeof lane;
    memcpy(&lane, text.at + last, sizeof lane);
    memcpy(to + last, &lane, sizeof lane);
    special = find(lane);
    for (size_t i = 0; i < last; i += sizeof lane) {
        memcpy(&lane, text.at + i, sizeof lane);
        memcpy(to + i, &lane, sizeof lane);
        special |= find(lane);
    }
    return writer_is_zero(special);
}

/* The same of a shorter one: in two words that overlap, or at most three bytes; blanks fill up. */
static inline bool writer_copy_short(char *to, struct text text, writer_lane (*find)(writer_lane))
{
    const uint64_t blanks = UINT64_C(0x2020202020202020);
    uint64_t first = blanks, second = blanks;
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
    } else if (size > 0) {
        const unsigned char begin = (unsigned char)text.at[0];
        const unsigned char middle = (unsigned char)text.at[size / 2];
        const unsigned char end = (unsigned char)text.at[size - 1];
        to[0] = (char)begin;
        to[size / 2] = (char)middle;
        to[size - 1] = (char)end;
        first = blanks << 24 | (uint32_t)begin << 16 | (uint32_t)middle << 8 | end;
    } else {
        return true;
    }
    return writer_is_zero(find((writer_lane)(writer_halves){first, second}));
}

static inline bool writer_copy_plain(char *to, struct text text, writer_lane (*find)(writer_lane))
{
    return text.size < sizeof(writer_lane) ? writer_copy_short(to, text, find)
                                           : writer_copy_long(to, text, find);
}

/* With its quotes, which takes writer_text_max at most; returns the size. */
size_t writer_quote(char *to, struct text text);

/* Quoted when it must be, which is known when it is copied. */
static inline void pen_text(struct pen *pen, struct text text)
{
    bool is_plain = writer_copy_plain(pen->at, text, writer_special_csv);
    pen->at += is_plain ? text.size : writer_quote(pen->at, text);
}

static inline void pen_field(struct pen *pen, struct text text)
{
    pen_text(pen, text);
    *pen->at++ = ',';
}

static inline void pen_decimal(struct pen *pen, struct dec value)
{
    pen->at += dec_format(value, pen->at);
    *pen->at++ = ',';
}

/* A value that often is the one whose field begins at before, and then is copied; what lies behind
 * that is room of the row. */
static inline void pen_decimal_again(struct pen *pen, struct dec value, const char *before,
                                     struct dec value_before)
{
    if (dec_equal(value, value_before)) {
        pen_copy(pen, before, (size_t)(pen->at - before));
    } else {
        pen_decimal(pen, value);
    }
}

/* Formats one that was not met; returns where it is in writer->times. */
size_t writer_find_time(struct writer *writer, size_t slot, instant at);

/* With its comma. */
static inline void writer_time(struct writer *writer, struct pen *pen, instant at)
{
    size_t slot = (uint64_t)at * UINT64_C(0x9E3779B97F4A7C15) >> 61;
    if (writer->times[slot].at != at || writer->times[slot].size == 0) {
        slot = writer_find_time(writer, slot, at);
    }
    memcpy(pen->at, writer->times[slot].text, TIME_FORMAT_MAX);
    pen->at += writer->times[slot].size;
    *pen->at++ = ',';
}

static inline void pen_u64(struct pen *pen, uint64_t value)
{
    pen->at = digits_put(pen->at, value);
}

/* 16 hexadecimal digits: nibbles are spread over the bytes of a lane, then made digits. */
static inline void pen_print(struct pen *pen, uint64_t print)
{
    const uint64_t bytes = bytes_order64(__builtin_bswap64(print)), nibbles = 0x0F0F0F0F0F0F0F0F;
    writer_lane high = (writer_lane)(writer_halves){bytes >> 4 & nibbles, 0};
    writer_lane low = (writer_lane)(writer_halves){bytes & nibbles, 0};
    writer_lane digits =
        __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    digits += '0' + ((writer_lane)(digits > 9) & ('a' - '0' - 10));
    memcpy(pen->at, &digits, sizeof digits);
    pen->at += sizeof digits;
}

#endif
