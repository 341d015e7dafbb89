/* segment_form.h - what writer and reader of segments share; of no interest outside. */
#ifndef FARTHING_DECODE_SEGMENT_FORM_H
#define FARTHING_DECODE_SEGMENT_FORM_H

#include "decode/record.h"
#include "decode/segment.h"

/* How a value of a shape is kept; part of the format. */
enum segment_coding {
    TEXT_IN_TUPLE,
    WORD_IN_TUPLE,
    TEXT_BY_CODE,
    WORD_BY_CODE,
    NUMBER_COLUMN,
    DECIMAL_COLUMN,
    TEXT_COLUMN,
    SEGMENT_CODINGS
};

/* Values without a text of their own; part of the format. */
enum segment_word { WORD_FALSE, WORD_TRUE, WORD_NULL, WORD_OBJECT, WORD_ARRAY, SEGMENT_WORDS };

enum {
    SEGMENT_HASH_BODY = 1,
    SEGMENT_HASH_HEADER = 2,
    PATTERN_REST = 255,   /* in place of a pattern's number */
    NUMBER_WIDE_SIZE = 9, /* of 16 bytes */
    TIME_STEPS_PER_BYTE = 4,
    STREAM_HEAD_BYTES = 8,
};

/* The data of events without its values: canonical JSON in which each is a 0. */
struct shape_form {
    struct text json;
    uint32_t leaf_count, holder_count;
    uint64_t *paths;   /* of the values, in order */
    uint32_t *places;  /* of the zeros in json */
    uint64_t *holders; /* as of an event */
};

/* Writes the header of a block whose body stands behind it, its hash included. */
void segment_seal(struct segment_header header, char *block);

/* Of canonical JSON that begins with an object.  False when it is not canonical but for its values,
 * has too many of them, or lies too deep; is_of_zeros: or when a value is not 0, or something
 * follows. */
bool shape_form_read(struct arena *arena, struct text json, bool is_of_zeros,
                     struct shape_form *form);

static inline uint64_t read_le(const void *bytes, int size)
{
    uint64_t value = 0;
    memcpy(&value, bytes, (size_t)size);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
    value &= size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
#endif
    return value;
}
static inline uint64_t read_le64(const void *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}
static inline void write_le(void *bytes, uint64_t value, int size)
{
    unsigned char *to = bytes;
    for (int i = 0; i < size; i++) {
        to[i] = (unsigned char)(value >> 8 * i);
    }
}

static inline uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}
static inline int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static inline void add_varint(struct buffer *out, uint64_t value)
{
    while (value >= 0x80) {
        buffer_add_char(out, (char)(value | 0x80));
        value >>= 7;
    }
    buffer_add_char(out, (char)value);
}

/* The bits that hold numbers below count. */
static inline uint32_t width_of(uint32_t count)
{
    return count <= 1 ? 0 : 32u - (uint32_t)__builtin_clz(count - 1);
}

#endif
