/* writer.c - see writer.h. */
#include "render/writer.h"

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* The high bit of each byte of word that equals c; a byte after such a one may have it too, which
 * is enough here. */
static uint64_t find_byte(uint64_t word, unsigned char c)
{
    uint64_t same = word ^ EACH_BYTE(c);
    return (same - EACH_BYTE(1)) & ~same & EACH_BYTE(0x80);
}

bool writer_needs_quotes(struct text text)
{
    size_t i = 0;
    for (; i + 8 <= text.size; i += 8) {
        uint64_t word;
        memcpy(&word, text.at + i, 8);
        if (find_byte(word, ',') | find_byte(word, '"') | find_byte(word, '\n') |
            find_byte(word, '\r')) {
            return true;
        }
    }
    for (; i < text.size; i++) {
        char c = text.at[i];
        if (c == ',' || c == '"' || c == '\n' || c == '\r') {
            return true;
        }
    }
    return false;
}

void writer_quoted(struct writer *writer, struct text text)
{
    *writer->at++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == '"') {
            *writer->at++ = '"';
        }
        *writer->at++ = text.at[i];
    }
    *writer->at++ = '"';
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
    /* Bytes are least nibble last here: a little-endian store puts the greatest first. */
    uint64_t letters = ((x + EACH_BYTE(6)) >> 4) & EACH_BYTE(1);
    return x + EACH_BYTE('0') + letters * ('a' - '0' - 10);
}

void writer_print(struct writer *writer, uint64_t print)
{
    uint64_t parts[2] = {hex_digits((uint32_t)(print >> 32)), hex_digits((uint32_t)print)};
    memcpy(writer->at, parts, sizeof parts);
    writer->at += sizeof parts;
}
