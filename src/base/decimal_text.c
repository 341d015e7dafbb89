/* decimal_text.c - decimals from text and to text.
 *
 * Nearly all numbers of real input and bills are short, and there are several for each event and
 * line, so each way has a quick one that is tried first:
 *   - what is read is one or two words of eight characters, tested and joined at once;
 *   - what is written is a whole part and a fraction of 2^64, from one product with the inverse of
 *     10^scale, and three digits come out of each product after that.
 * Other texts are parse_slowly's, which is the grammar; other values format_large's.
 */
#include "base/decimal_inline.h"

#include <assert.h>
#include <gmp.h>
#include <string.h>

#include "base/digits.h"

#include "base/nofloat.h"

/* ---- names --------------------------------------------------------------------------------- */

static const char *const ROUNDING_NAMES[ROUND_MODES] = {
    [ROUND_HALF_UP] = "half_up", [ROUND_HALF_EVEN] = "half_even", [ROUND_HALF_DOWN] = "half_down",
    [ROUND_UP] = "up",           [ROUND_DOWN] = "down",           [ROUND_CEILING] = "ceiling",
    [ROUND_FLOOR] = "floor",
};

bool rounding_parse(struct text name, enum rounding *mode)
{
    for (int i = 0; i < ROUND_MODES; i++) {
        if (text_equal(name, text_of(ROUNDING_NAMES[i]))) {
            *mode = (enum rounding)i;
            return true;
        }
    }
    return false;
}

const char *rounding_name(enum rounding mode)
{
    assert((unsigned)mode < ROUND_MODES);
    return ROUNDING_NAMES[mode];
}

const char *number_fault_name(enum number_fault fault)
{
    static const char *const names[] = {
        [NUMBER_OK] = "NUM_OK",         [NUMBER_LENGTH] = "NUM_LENGTH",
        [NUMBER_SYNTAX] = "NUM_SYNTAX", [NUMBER_RANGE] = "NUM_RANGE",
        [NUMBER_SCALE] = "NUM_SCALE",
    };
    assert((size_t)fault < sizeof names / sizeof *names);
    return names[fault];
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* The mantissa of at most 38 digits. */
static u128 read_digits(const unsigned char *digits, int count)
{
    u128 value = 0;
    for (int i = 0; i < count; i++) {
        value = value * 10 + digits[i];
    }
    return value;
}

/* Adds the digits that come next to those that are significant: no leading zeros. */
static const char *take_digits(const char *at, const char *end, unsigned char *digits, int *count)
{
    for (; at < end && is_digit(*at); at++) {
        if (*count > 0 || *at != '0') {
            digits[(*count)++] = (unsigned char)(*at - '0');
        }
    }
    return at;
}

/* The whole grammar, for texts that the quick path leaves: exponents, many digits, faults. */
__attribute__((noinline)) static enum number_fault parse_slowly(const char *at, const char *end,
                                                                struct dec *value)
{
    enum { EXPONENT_CAP = 1'000'000 }; /* beyond any that 64 digits can make up for */
    bool negative = at < end && *at == '-';
    at += negative;
    if (at == end || !is_digit(*at) || (*at == '0' && at + 1 < end && is_digit(at[1]))) {
        return NUMBER_SYNTAX;
    }
    unsigned char digits[DEC_LENGTH_MAX];
    int count = 0, scale = 0;
    at = take_digits(at, end, digits, &count);
    if (at < end && *at == '.') {
        const char *part = at + 1;
        at = take_digits(part, end, digits, &count);
        scale = (int)(at - part);
        if (scale == 0) {
            return NUMBER_SYNTAX;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        bool shrinks = at < end && *at == '-';
        at += at < end && (*at == '-' || *at == '+');
        if (at == end || !is_digit(*at)) {
            return NUMBER_SYNTAX;
        }
        int exponent = 0;
        for (; at < end && is_digit(*at); at++) {
            if (exponent < EXPONENT_CAP) {
                exponent = exponent * 10 + (*at - '0');
            }
        }
        scale += shrinks ? exponent : -exponent;
    }
    if (at != end) {
        return NUMBER_SYNTAX;
    }
    while (count > 0 && digits[count - 1] == 0) {
        count--;
        scale--;
    }
    if (count == 0) {
        *value = DEC_ZERO;
        return NUMBER_OK;
    }
    int zeros = scale < 0 ? -scale : 0;
    if (count + zeros > DEC_DIGITS_MAX) {
        return NUMBER_RANGE;
    }
    if (scale > DEC_SCALE) {
        return NUMBER_SCALE;
    }
    *value = make_signed(negative, read_digits(digits, count) * power128(zeros), scale + zeros);
    return NUMBER_OK;
}

/* Eight characters as digits, the first in the lowest byte. */
static inline uint64_t load_digits(const char *at)
{
    return bytes_load64(at) ^ DIGITS_ZEROS;
}

/* Fewer than eight; what is behind them is no digit. */
static inline uint64_t load_few_digits(const char *at, unsigned size)
{
    uint64_t word = 0;
    if (size >= 4) { /* two halves, that may overlap */
        word = bytes_load32(at) | (uint64_t)bytes_load32(at + size - 4) << 8 * (size - 4);
    } else {
        for (unsigned i = 0; i < size; i++) {
            word |= (uint64_t)(unsigned char)at[i] << 8 * i;
        }
    }
    return word ^ DIGITS_ZEROS;
}

/* Where a byte of such a word is no digit, its highest bit.  A carry may set more of them behind
 * the first, and clears none. */
static inline uint64_t find_others(uint64_t digits)
{
    const uint64_t ones = 0x0101'0101'0101'0101u;
    return ((digits + ones * 0x76) | digits) & ones * 0x80;
}

/* The first count (1 to 8) digits of a word, at its end. */
static inline uint64_t first_digits(uint64_t digits, unsigned count)
{
    return digits << 8 * (DIGITS_WORD - count);
}

/* Takes the point out of a word, where others has its bit: what is before it moves up by a byte,
 * and before that comes what is carried in. */
static inline uint64_t close_gap(uint64_t digits, uint64_t others, uint64_t carried)
{
    const uint64_t point = others >> 7, before = point - 1;
    return (digits & ~(before | point * 0xFF)) | (digits & before) << 8 | carried;
}

enum { SHORT_MAX = 2 * DIGITS_WORD };

/* At most SHORT_MAX characters, digits with a point among them or none: as two words that end where
 * the text ends; the point is taken out, and they are one number.  False for anything else. */
static inline bool read_short(const char *at, unsigned size, uint64_t *mantissa, int *scale)
{
    uint64_t first = 0, last;
    if (size < DIGITS_WORD) {
        last = first_digits(load_few_digits(at, size), size);
    } else {
        last = load_digits(at + size - DIGITS_WORD);
        if (size > DIGITS_WORD) {
            first = first_digits(load_digits(at), size - DIGITS_WORD);
        }
    }
    const uint64_t first_others = find_others(first), last_others = find_others(last);
    const uint64_t others = first_others | last_others;
    unsigned part = 0, whole = size; /* digits after the point and before it */
    if (others != 0) {
        part = DIGITS_WORD - 1 - (unsigned)__builtin_ctzll(others) / 8;
        if (first_others == 0) {
            last = close_gap(last, others, first >> 56);
            first <<= 8;
        } else {
            part += DIGITS_WORD;
            first = close_gap(first, others, 0);
        }
        whole = size - 1 - part;
        if ((others & (others - 1)) != 0 || (first_others != 0 && last_others != 0) || part == 0 ||
            whole == 0 || at[whole] != '.') {
            return false;
        }
    }
    *mantissa = digits_join(first) * DIGITS_WORD_END + digits_join(last);
    *scale = (int)part;
    return whole == 1 || *at != '0';
}

/* The same of more characters, up to eight of them before the point, with as many digits as an
 * uint64_t holds. */
static inline bool read_longer(const char *at, unsigned size, uint64_t *mantissa, int *scale)
{
    const uint64_t first = load_digits(at);
    const uint64_t others = find_others(first);
    const unsigned whole = others ? (unsigned)__builtin_ctzll(others) / 8 : DIGITS_WORD;
    const unsigned part = size - 1 - whole;
    if (whole == 0 || (whole > 1 && *at == '0') || at[whole] != '.' || part > 2 * DIGITS_WORD ||
        whole + part > POWER64_MAX) {
        return false;
    }
    const uint64_t last = load_digits(at + size - DIGITS_WORD);
    uint64_t others_behind = find_others(last), rest = digits_join(last);
    if (part > DIGITS_WORD) {
        uint64_t middle = first_digits(load_digits(at + size - part), part - DIGITS_WORD);
        others_behind |= find_others(middle);
        rest += digits_join(middle) * DIGITS_WORD_END;
    }
    *mantissa = digits_join(first_digits(first, whole)) * POWER64[part] + rest;
    *scale = (int)part;
    return others_behind == 0;
}

__attribute__((noinline)) static enum number_fault parse_longer(struct text text, struct dec *value)
{
    enum { USUAL_MAX = POWER64_MAX + 1 }; /* and a point */
    const bool negative = *text.at == '-';
    const unsigned size = (unsigned)text.size - negative;
    uint64_t mantissa;
    int scale;
    if (size <= SHORT_MAX || size > USUAL_MAX ||
        !read_longer(text.at + negative, size, &mantissa, &scale)) {
        return parse_slowly(text.at, text.at + text.size, value);
    }
    *value = make_canonical(negative, mantissa, scale);
    return NUMBER_OK;
}

enum number_fault dec_parse(struct text text, struct dec *value)
{
    if (text.size > DEC_LENGTH_MAX) {
        return NUMBER_LENGTH;
    }
    if (text.size == 0) {
        return NUMBER_SYNTAX;
    }
    const bool negative = *text.at == '-';
    const unsigned size = (unsigned)text.size - negative;
    uint64_t mantissa;
    int scale;
    if (size == 0 || size > SHORT_MAX ||
        !read_short(text.at + negative, size, &mantissa, &scale)) {
        return parse_longer(text, value);
    }
    *value = make_canonical(negative, mantissa, scale);
    return NUMBER_OK;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* value / 10^scale for scale 1 to DEC_SCALE: the whole part, and a fraction of 2^64 that begins
 * with the digits behind it.  The inverse makes it too large by less than one, and what is cut off
 * and made up for is one; the last of 18 digits is worth more than 18 of these. */
static inline uint64_t split(uint64_t value, int scale, uint64_t *fraction)
{
    const struct inverse *inverse = &INVERSES[scale];
    u128 product = (u128)value * inverse->high + ((u128)value * inverse->low >> 64);
    *fraction = (uint64_t)product + 1;
    return (uint64_t)(product >> 64);
}

/* Three digits, with leading zeros; and how many bits those that only lead take.  Both are loaded
 * as one word. */
struct three {
    char digits[3];
    uint8_t zero_bits;
};
_Static_assert(sizeof(struct three) == sizeof(uint32_t), "a word");
#define THREE(a, b, c) {{'0' + a, '0' + b, '0' + c}, a ? 0 : b ? 8 : 16}
#define TEN_THREES(a, b)                                                                           \
    THREE(a, b, 0), THREE(a, b, 1), THREE(a, b, 2), THREE(a, b, 3), THREE(a, b, 4),                \
        THREE(a, b, 5), THREE(a, b, 6), THREE(a, b, 7), THREE(a, b, 8), THREE(a, b, 9)
#define HUNDRED_THREES(a)                                                                          \
    TEN_THREES(a, 0), TEN_THREES(a, 1), TEN_THREES(a, 2), TEN_THREES(a, 3), TEN_THREES(a, 4),      \
        TEN_THREES(a, 5), TEN_THREES(a, 6), TEN_THREES(a, 7), TEN_THREES(a, 8), TEN_THREES(a, 9)
enum { THREES_END = 1000 };
static const struct three THREES[THREES_END] = {
    HUNDRED_THREES(0), HUNDRED_THREES(1), HUNDRED_THREES(2), HUNDRED_THREES(3), HUNDRED_THREES(4),
    HUNDRED_THREES(5), HUNDRED_THREES(6), HUNDRED_THREES(7), HUNDRED_THREES(8), HUNDRED_THREES(9),
};

/* Takes room for four bytes: all these write a little more than they have. */
static inline char *put_three(char *to, uint64_t number)
{
    memcpy(to, &THREES[number], sizeof *THREES);
    return to + sizeof THREES->digits;
}

/* The digits alone of a number < THREES_END. */
static inline char *put_few(char *to, uint64_t value)
{
    uint32_t word = bytes_load32(&THREES[value]), zero_bits = word >> 24;
    bytes_store32(to, word >> zero_bits);
    return to + sizeof THREES->digits - zero_bits / 8;
}

/* The first count digits of a fraction of 2^64. */
static inline char *put_fraction(char *to, uint64_t fraction, int count)
{
    char *const end = to + count;
    do {
        for (int i = 0; i < 3; i++) {
            u128 product = (u128)fraction * THREES_END;
            fraction = (uint64_t)product;
            to = put_three(to, (uint64_t)(product >> 64));
        }
    } while (to < end);
    return end;
}

/* All nineteen of a number < 10^19, with leading zeros. */
static inline char *put_padded(char *to, uint64_t value)
{
    *to++ = (char)('0' + value / POWER64[DEC_SCALE]);
    uint64_t fraction = value % POWER64[DEC_SCALE];
    (void)split(fraction, DEC_SCALE, &fraction);
    return put_fraction(to, fraction, DEC_SCALE);
}

/* Any value.  Of more than DEC_SCALE digits after the point the last DEC_SCALE are parted first. */
__attribute__((noinline)) static int format_large(struct dec value, char *out)
{
    u128 magnitude = magnitude_of(value.mantissa);
    int scale = value.scale;
    assert(magnitude < MANTISSA_END && scale >= 0 && scale <= DEC_SCALE_MAX);
    const bool is_long = scale > DEC_SCALE;
    uint64_t fraction = 0, last = 0;
    if (is_long) {
        magnitude = divide_by_power(magnitude, DEC_SCALE, &last);
        scale -= DEC_SCALE;
    }
    u128 whole = scale > 0 ? divide_by_power(magnitude, scale, &fraction) : magnitude;
    char *at = out;
    *at = '-';
    at += value.mantissa < 0;
    if (whole < THREES_END) {
        at = put_few(at, (uint64_t)whole);
    } else if (fits64(whole)) {
        at = digits_put(at, (uint64_t)whole);
    } else {
        at = digits_put(at, (uint64_t)(whole / E19));
        at = put_padded(at, (uint64_t)(whole % E19));
    }
    if (scale > 0) {
        *at++ = '.';
        (void)split(fraction, scale, &fraction);
        at = put_fraction(at, fraction, scale);
    }
    if (is_long) {
        (void)split(last, DEC_SCALE, &last);
        at = put_fraction(at, last, DEC_SCALE);
    }
    *at = '\0';
    return (int)(at - out);
}

int dec_format(struct dec value, char *out)
{
    const int64_t small = (int64_t)value.mantissa;
    const uint64_t magnitude = small < 0 ? -(uint64_t)small : (uint64_t)small;
    if (!dec_is_small(value) || (unsigned)value.scale > DEC_SCALE) {
        return format_large(value, out);
    }
    uint64_t whole = magnitude, fraction = 0;
    if (value.scale > 0) {
        whole = split(magnitude, value.scale, &fraction);
    }
    char *at = out;
    *at = '-';
    at += small < 0;
    if (whole < THREES_END) {
        at = put_few(at, whole);
    } else if (whole < THREES_END * THREES_END) {
        at = put_few(at, whole / THREES_END);
        at = put_three(at, whole % THREES_END);
    } else {
        return format_large(value, out);
    }
    if (value.scale > 0) {
        *at++ = '.';
        at = put_fraction(at, fraction, value.scale);
    }
    *at = '\0';
    return (int)(at - out);
}

int dec_format_digits(struct dec value, int digits, char *out)
{
    assert(digits >= 0 && digits <= DEC_SCALE);
    int length = dec_format(value, out);
    if (value.scale >= digits) {
        return length;
    }
    if (value.scale == 0) {
        out[length++] = '.';
    }
    for (int i = value.scale; i < digits; i++) {
        out[length++] = '0';
    }
    out[length] = '\0';
    return length;
}

/* All the digits that it may have, and then without the zeros at both ends. */
int wide_format(const struct wide *sum, char *out)
{
    enum { GROUP = 19, GROUPS = 5, DIGITS = GROUPS * GROUP }; /* 2^256 has 78 */
    enum { POINT = DIGITS - DEC_SCALE };
    const bool negative = wide_is_negative(sum);
    struct wide rest = *sum;
    if (negative) {
        rest = (struct wide){{0}};
        wide_subtract(&rest, sum);
    }
    uint64_t groups[GROUPS];
    for (int i = GROUPS - 1, size = WIDE_LIMBS; i >= 0; i--) {
        while (size > 0 && rest.limb[size - 1] == 0) {
            size--;
        }
        groups[i] = size > 0 ? mpn_divrem_1(rest.limb, 0, rest.limb, size, POWER64[GROUP]) : 0;
    }
    char digits[DIGITS + DIGITS_WORD];
    for (int i = 0; i < GROUPS; i++) {
        (void)put_padded(digits + i * GROUP, groups[i]);
    }
    int from = 0, end = DIGITS;
    while (from < POINT - 1 && digits[from] == '0') {
        from++;
    }
    while (end > POINT && digits[end - 1] == '0') {
        end--;
    }
    char *at = out;
    *at = '-';
    at += negative;
    memcpy(at, digits + from, (size_t)(POINT - from));
    at += POINT - from;
    if (end > POINT) {
        *at++ = '.';
        memcpy(at, digits + POINT, (size_t)(end - POINT));
        at += end - POINT;
    }
    *at = '\0';
    return (int)(at - out);
}

int dec_sum_format(const struct dec_sum *sum, char *out)
{
    struct dec value;
    if (dec_sum_read(sum, &value, NULL) == OK) {
        return dec_format(value, out);
    }
    struct wide all = sum->usual;
    enum status status = dec_round(sum->others, DEC_SCALE, ROUND_HALF_EVEN, &value, NULL);
    assert(status == OK); /* it has digits to lose */
    (void)status;
    wide_add_dec(&all, value);
    return wide_format(&all, out);
}
