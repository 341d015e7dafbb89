/* writer.c - see writer.h. */
#include "render/writer.h"

#include "base/bytes.h"
#include "render/render.h"

struct writer *writer_new(struct arena *arena)
{
    return arena_calloc(arena, 1, sizeof(struct writer));
}

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

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

void writer_time(struct writer *writer, instant at)
{
    uint64_t hash = (uint64_t)at * UINT64_C(0x9E3779B97F4A7C15) >> 61;
    if (writer->times[hash].size == 0 || writer->times[hash].at != at) {
        writer->times[hash].at = at;
        writer->times[hash].size = time_format_short(at, writer->times[hash].text);
    }
    memcpy(writer->at, writer->times[hash].text, TIME_FORMAT_MAX);
    writer->at += writer->times[hash].size;
    *writer->at++ = ',';
}

void writer_u64(struct writer *writer, uint64_t value)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        *writer->at++ = digits[--count];
    }
}

/* Eight hexadecimal digits at once: nibbles are spread over the bytes of a word, then made digits.
 */
static uint64_t hex_digits(uint32_t value)
{
    uint64_t x = value;
    x = (x << 32 | x >> 16) & UINT64_C(0x0000FFFF0000FFFF);
    x = (x << 16 | x >> 8) & UINT64_C(0x00FF00FF00FF00FF);
    x = (x << 8 | x >> 4) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    /* The greatest nibble is in the lowest byte, which is stored first. */
    uint64_t letters = ((x + EACH_BYTE(6)) >> 4) & EACH_BYTE(1);
    return x + EACH_BYTE('0') + letters * ('a' - '0' - 10);
}

void writer_print(struct writer *writer, uint64_t print)
{
    bytes_store64(writer->at, hex_digits((uint32_t)(print >> 32)));
    bytes_store64(writer->at + 8, hex_digits((uint32_t)print));
    writer->at += 16;
}
