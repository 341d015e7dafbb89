/* digits.h - whole numbers as decimal digits, eight at a time.
 *
 * All write whole words: what they are given has room for eight bytes more than the digits.
 */
#ifndef FARTHING_BASE_DIGITS_H
#define FARTHING_BASE_DIGITS_H

#include "base/bytes.h"

enum { DIGITS_WORD = 8, DIGITS_WORD_END = 100'000'000 }; /* the first number of nine digits */
#define DIGITS_ZEROS UINT64_C(0x3030303030303030)

/* The eight digits of value < 10^8 as bytes of a word, the first lowest: halves, then quarters,
 * then digits are parted in lanes of the word.  In each lane x becomes q = x / n and, in the lane
 * above, x - q n: that is x moved up, less q times what n is there, but for the q that stays. */
static inline uint64_t digits_word(uint32_t value)
{
    uint64_t x = value, q = x * 3'518'437'209 >> 45; /* / 10^4 */
    x = (x << 32) - q * ((UINT64_C(10'000) << 32) - 1);
    q = (x * 10'486 >> 20) & UINT64_C(0x0000'007F'0000'007F); /* / 100 */
    x = (x << 16) - q * ((100 << 16) - 1);
    q = (x * 103 >> 10) & UINT64_C(0x000F'000F'000F'000F); /* / 10 */
    x = (x << 8) - q * ((10 << 8) - 1);
    return x + DIGITS_ZEROS;
}

/* The other way: the number that eight digits are (0 to 9, not their characters), the first lowest:
 * as pairs, fours, eights. */
static inline uint64_t digits_join(uint64_t digits)
{
    const uint64_t pairs = UINT64_C(0x0000'00FF'0000'00FF);
    digits = digits * 10 + (digits >> 8);
    return ((digits & pairs) * (100 + (UINT64_C(1'000'000) << 32)) +
            (digits >> 16 & pairs) * (1 + (UINT64_C(10'000) << 32))) >>
           32;
}

/* Exactly eight, with leading zeros; returns where the next byte goes, as all of these do. */
static inline char *digits_put_word(char *to, uint32_t value)
{
    bytes_store64(to, digits_word(value));
    return to + DIGITS_WORD;
}

/* Those of value < 10^8 alone, at least one. */
static inline char *digits_put_few(char *to, uint32_t value)
{
    if (value < 10) {
        *to = (char)('0' + value);
        return to + 1;
    }
    uint64_t word = digits_word(value);
    int zeros = __builtin_ctzll(word ^ DIGITS_ZEROS) & ~7; /* in bits */
    bytes_store64(to, word >> zeros);
    return to + DIGITS_WORD - zeros / 8;
}

/* Those of any number alone. */
static inline char *digits_put(char *to, uint64_t value)
{
    if (value < DIGITS_WORD_END) {
        return digits_put_few(to, (uint32_t)value);
    }
    uint64_t high = value / DIGITS_WORD_END;
    if (high < DIGITS_WORD_END) {
        to = digits_put_few(to, (uint32_t)high);
    } else {
        to = digits_put_few(to, (uint32_t)(high / DIGITS_WORD_END));
        to = digits_put_word(to, (uint32_t)(high % DIGITS_WORD_END));
    }
    return digits_put_word(to, (uint32_t)(value % DIGITS_WORD_END));
}

#endif
