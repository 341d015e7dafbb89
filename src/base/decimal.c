/* decimal.c - see decimal.h.
 *
 * Every operation works on a sign and a magnitude.  Nearly all magnitudes of real bills fit 64 bits
 * and their products 128, so each operation tries these first, in registers; the rest goes through
 * a struct big of fixed size on the stack and GMP's mpn functions, which neither allocate nor fail.
 * Three facts keep the bodies short:
 *   - a canonical mantissa with a scale ends in a digit other than zero, so a sum of two different
 *     scales is canonical as it stands;
 *   - 10^38 < 2^127, so a mantissa can be negated, and two of them add up in 128 unsigned bits;
 *   - x is a multiple of 10 exactly when x * (1/5 mod 2^n), rotated right by one bit, is at most
 *     (2^n - 1) / 10, and that is then the quotient: trailing zeros go without a division.
 */
#include "base/decimal.h"

#include <assert.h>
#include <gmp.h>
#include <stddef.h>
#include <string.h>

#include "base/digits.h"

#include "base/nofloat.h"

_Static_assert(GMP_LIMB_BITS == 64 && GMP_NAIL_BITS == 0, "limbs are those of struct wide");

enum {
    POWER128_MAX = 38,
    BIG_LIMBS = 8, /* a x b x 10^54 has 434 bits */
    WIDE_LIMBS = 4,
};

const uint64_t POWER64[POWER64_MAX + 1] = {
    1,
    10,
    100,
    1'000,
    10'000,
    100'000,
    1'000'000,
    10'000'000,
    100'000'000,
    1'000'000'000,
    10'000'000'000,
    100'000'000'000,
    1'000'000'000'000,
    10'000'000'000'000,
    100'000'000'000'000,
    1'000'000'000'000'000,
    10'000'000'000'000'000,
    100'000'000'000'000'000,
    1'000'000'000'000'000'000,
    10'000'000'000'000'000'000u,
};

#define E19          ((u128)10'000'000'000'000'000'000u)
#define MANTISSA_END (E19 * E19) /* 10^38: the first magnitude that is too large */

/* 10^0 .. 10^38. */
static u128 power128(int exponent)
{
    assert(exponent >= 0 && exponent <= POWER128_MAX);
    return exponent <= POWER64_MAX ? POWER64[exponent] : E19 * POWER64[exponent - POWER64_MAX];
}

static u128 magnitude_of(i128 value)
{
    return value < 0 ? -(u128)value : (u128)value;
}

static bool fits64(u128 value)
{
    return (uint64_t)(value >> 64) == 0;
}

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

enum rounding rounding_mirrored(enum rounding mode)
{
    return mode == ROUND_CEILING ? ROUND_FLOOR : mode == ROUND_FLOOR ? ROUND_CEILING : mode;
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

/* ---- canonical form ------------------------------------------------------------------------ */

static void strip64(uint64_t *value, int *scale)
{
    const uint64_t fifth = 0xCCCC'CCCC'CCCC'CCCDu;     /* 1/5 mod 2^64 */
    const uint64_t fifth_8th = 0xC767'074B'22E9'0E21u; /* 1/5^8 mod 2^64 */
    uint64_t rest = *value;
    int left = *scale;
    while (left >= 8) {
        uint64_t product = rest * fifth_8th;
        uint64_t quotient = product >> 8 | product << 56;
        if (quotient > UINT64_MAX / 100'000'000) {
            break;
        }
        rest = quotient;
        left -= 8;
    }
    while (left > 0) {
        uint64_t product = rest * fifth;
        uint64_t quotient = product >> 1 | product << 63;
        if (quotient > UINT64_MAX / 10) {
            break;
        }
        rest = quotient;
        left--;
    }
    *value = rest;
    *scale = left;
}

/* x / 10^count by the inverse of 5^count: whole exactly when it is at most (2^128 - 1) / 10^count.
 */
static bool strip_zeros(u128 *value, u128 inverse, int count, uint64_t power)
{
    u128 product = *value * inverse;
    u128 quotient = product >> count | product << (128 - count);
    if (quotient > ~(u128)0 / power) {
        return false;
    }
    *value = quotient;
    return true;
}

/* Takes trailing zeros off while scale allows it; zero ends at scale 0. */
static void strip(u128 *value, int *scale)
{
    const u128 fifth = (u128)0xCCCC'CCCC'CCCC'CCCCu << 64 | 0xCCCC'CCCC'CCCC'CCCDu;
    const u128 fifth_8th = (u128)0xF36B'7213'EE9F'5A78u << 64 | 0xC767'074B'22E9'0E21u;
    if (((uint64_t)*value & 1) != 0) {
        return;
    }
    while (*scale >= 8 && !fits64(*value) && strip_zeros(value, fifth_8th, 8, 100'000'000)) {
        *scale -= 8;
    }
    while (*scale > 0 && !fits64(*value)) {
        if (!strip_zeros(value, fifth, 1, 10)) {
            return;
        }
        --*scale;
    }
    if (*scale > 0) {
        uint64_t rest = (uint64_t)*value;
        strip64(&rest, scale);
        *value = rest;
    }
}

static enum status overflow(struct error *err)
{
    return fail(err, ERR_OVERFLOW, "a number needs more than %d digits, or %d after the point",
                DEC_DIGITS_MAX, DEC_SCALE_MAX);
}

static enum status zero_divisor(struct error *err)
{
    return fail(err, ERR_INPUT, "a number is divided by zero");
}

static struct dec make_signed(bool negative, u128 magnitude, int scale)
{
    i128 mantissa = (i128)magnitude;
    return (struct dec){negative ? -mantissa : mantissa, scale};
}

/* The canonical value of magnitude x 10^-scale, when there is one. */
static enum status settle(bool negative, u128 magnitude, int scale, struct dec *value,
                          struct error *err)
{
    strip(&magnitude, &scale);
    if (magnitude >= MANTISSA_END || scale > DEC_SCALE_MAX) {
        return overflow(err);
    }
    *value = make_signed(negative, magnitude, scale);
    return OK;
}

/* The same where 64 bits hold it and the scale is right. */
static inline struct dec settle_small(int64_t mantissa, int scale)
{
    if (scale > 0 && (mantissa & 1) == 0) {
        uint64_t magnitude = mantissa < 0 ? -(uint64_t)mantissa : (uint64_t)mantissa;
        strip64(&magnitude, &scale);
        return make_signed(mantissa < 0, magnitude, scale);
    }
    return (struct dec){mantissa, scale};
}

struct dec dec_from_int(int64_t value)
{
    return (struct dec){value, 0};
}

enum status dec_make(i128 mantissa, int scale, struct dec *value, struct error *err)
{
    assert(scale >= 0 && scale <= DEC_SCALE_MAX);
    return settle(mantissa < 0, magnitude_of(mantissa), scale, value, err);
}

/* ---- big ----------------------------------------------------------------------------------- */

struct big {
    mp_limb_t limb[BIG_LIMBS];
    mp_size_t size; /* limbs in use; the highest of them is not zero */
};

static void trim(struct big *big)
{
    while (big->size > 0 && big->limb[big->size - 1] == 0) {
        big->size--;
    }
}

static struct big make_big(u128 value)
{
    struct big big = {.limb = {(mp_limb_t)value, (mp_limb_t)(value >> 64)}, .size = 2};
    trim(&big);
    return big;
}

static void scale_big(struct big *big, uint64_t factor)
{
    mp_limb_t carry = big->size ? mpn_mul_1(big->limb, big->limb, big->size, factor) : 0;
    if (carry) {
        assert(big->size < BIG_LIMBS);
        big->limb[big->size++] = carry;
    }
}

static void raise_big(struct big *big, int exponent)
{
    for (; exponent > POWER64_MAX; exponent -= POWER64_MAX) {
        scale_big(big, POWER64[POWER64_MAX]);
    }
    scale_big(big, POWER64[exponent]);
}

/* a x b x 10^exponent. */
static struct big multiply_big(u128 a, u128 b, int exponent)
{
    struct big left = make_big(a);
    struct big right = make_big(b);
    struct big product = {.size = 0};
    if (left.size && right.size) {
        product.size = left.size + right.size;
        if (left.size >= right.size) {
            mpn_mul(product.limb, left.limb, left.size, right.limb, right.size);
        } else {
            mpn_mul(product.limb, right.limb, right.size, left.limb, left.size);
        }
        trim(&product);
        raise_big(&product, exponent);
    }
    return product;
}

static int compare_big(const struct big *a, const struct big *b)
{
    if (a->size != b->size) {
        return a->size < b->size ? -1 : 1;
    }
    return a->size ? mpn_cmp(a->limb, b->limb, a->size) : 0;
}

static void add_big(struct big *sum, const struct big *other)
{
    struct big larger = sum->size >= other->size ? *sum : *other;
    struct big smaller = sum->size >= other->size ? *other : *sum;
    *sum = larger;
    if (smaller.size == 0) {
        return;
    }
    mp_limb_t carry = mpn_add(sum->limb, larger.limb, larger.size, smaller.limb, smaller.size);
    if (carry) {
        assert(sum->size < BIG_LIMBS);
        sum->limb[sum->size++] = carry;
    }
}

/* Leaves the remainder in *number. */
static struct big divide_big(struct big *number, const struct big *divisor)
{
    struct big quotient = {.size = 0};
    if (number->size < divisor->size) {
        return quotient;
    }
    quotient.size = number->size - divisor->size + 1;
    if (divisor->size == 1) {
        number->limb[0] =
            mpn_divrem_1(quotient.limb, 0, number->limb, number->size, divisor->limb[0]);
        number->size = 1;
    } else {
        mp_limb_t remainder[BIG_LIMBS];
        mpn_tdiv_qr(quotient.limb, remainder, 0, number->limb, number->size, divisor->limb,
                    divisor->size);
        memcpy(number->limb, remainder, (size_t)divisor->size * sizeof *remainder);
        number->size = divisor->size;
    }
    trim(number);
    trim(&quotient);
    return quotient;
}

static enum status settle_big(bool negative, struct big big, int scale, struct dec *value,
                              struct error *err)
{
    while (big.size > 2) {
        struct big rest = big;
        if (scale == 0 || mpn_divrem_1(rest.limb, 0, big.limb, big.size, 10) != 0) {
            return overflow(err);
        }
        trim(&rest);
        big = rest;
        scale--;
    }
    u128 magnitude = (u128)(big.size > 1 ? big.limb[1] : 0) << 64 | (big.size ? big.limb[0] : 0);
    return settle(negative, magnitude, scale, value, err);
}

/* ---- powers of ten ------------------------------------------------------------------------- */

/* 2^128 / power, rounded up. */
struct inverse {
    uint64_t high, low;
};
#define INVERSE(power) {UINT64_MAX / (power), (uint64_t)(~(u128)0 / (power)) + 1}
static const struct inverse INVERSES[DEC_SCALE + 1] = {
    {0, 0}, /* none is asked for */
    INVERSE(10),
    INVERSE(100),
    INVERSE(1'000),
    INVERSE(10'000),
    INVERSE(100'000),
    INVERSE(1'000'000),
    INVERSE(10'000'000),
    INVERSE(100'000'000),
    INVERSE(1'000'000'000),
    INVERSE(10'000'000'000),
    INVERSE(100'000'000'000),
    INVERSE(1'000'000'000'000),
    INVERSE(10'000'000'000'000),
    INVERSE(100'000'000'000'000),
    INVERSE(1'000'000'000'000'000),
    INVERSE(10'000'000'000'000'000),
    INVERSE(100'000'000'000'000'000),
    INVERSE(1'000'000'000'000'000'000),
};

/* value / 10^scale and what is left, for value < 2^127 and scale 1 to DEC_SCALE.  The product is
 * the quotient or one more. */
static u128 divide_by_power(u128 value, int scale, uint64_t *rest)
{
    const struct inverse *inverse = &INVERSES[scale];
    const uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value, power = POWER64[scale];
    u128 middle = (u128)low * inverse->high + ((u128)low * inverse->low >> 64);
    u128 other = (u128)high * inverse->low + (uint64_t)middle;
    u128 quotient = (u128)high * inverse->high + (middle >> 64) + (other >> 64);
    *rest = low - (uint64_t)quotient * power;
    if (*rest >> 63 != 0) {
        *rest += power;
        quotient--;
    }
    return quotient;
}

/* ---- rounding ------------------------------------------------------------------------------ */

/* Whether a truncated magnitude grows by one.  half is the sign of (remainder - divisor / 2). */
static bool rounds_away(enum rounding mode, bool negative, bool odd, bool inexact, int half)
{
    if (!inexact) {
        return false;
    }
    switch (mode) {
    case ROUND_HALF_UP:
        return half >= 0;
    case ROUND_HALF_EVEN:
        return half > 0 || (half == 0 && odd);
    case ROUND_HALF_DOWN:
        return half > 0;
    case ROUND_UP:
        return true;
    case ROUND_DOWN:
        return false;
    case ROUND_CEILING:
        return !negative;
    case ROUND_FLOOR:
        return negative;
    case ROUND_MODES:
        break;
    }
    assert(mode < ROUND_MODES && "no such rounding mode");
    return false;
}

/* The sign of rest - power / 2, of a power of ten, which is even. */
static int compare_half(uint64_t rest, uint64_t power)
{
    return (rest > power / 2) - (rest < power / 2);
}

static u128 divide_round(u128 number, u128 divisor, bool negative, enum rounding mode)
{
    u128 quotient, remainder;
    if (fits64(number) && fits64(divisor)) {
        quotient = (uint64_t)number / (uint64_t)divisor;
        remainder = (uint64_t)number % (uint64_t)divisor;
    } else {
        quotient = number / divisor;
        remainder = number - quotient * divisor;
    }
    u128 gap = divisor - remainder; /* compared so, nothing is doubled */
    int half = (remainder > gap) - (remainder < gap);
    return quotient + rounds_away(mode, negative, (quotient & 1) != 0, remainder != 0, half);
}

/* The multiple of divisor that *number, divided and rounded, is; and how many times it is that. */
static struct big round_big(struct big *number, const struct big *divisor, bool negative,
                            enum rounding mode)
{
    struct big quotient = divide_big(number, divisor);
    struct big twice = *number;
    scale_big(&twice, 2);
    int half = compare_big(&twice, divisor);
    if (rounds_away(mode, negative, quotient.size && (quotient.limb[0] & 1), number->size != 0,
                    half)) {
        struct big one = make_big(1);
        add_big(&quotient, &one);
    }
    return quotient;
}

/* a x b x 10^exponent / divisor, rounded to an integer, as a value of the given scale. */
__attribute__((noinline)) static enum status settle_ratio(bool negative, u128 a, u128 b,
                                                          int exponent, u128 divisor, int scale,
                                                          enum rounding mode, struct dec *value,
                                                          struct error *err)
{
    u128 number;
    bool fits = !__builtin_mul_overflow(a, b, &number);
    u128 small_divisor = divisor;
    if (exponent > 0) {
        fits = fits && exponent <= POWER128_MAX &&
               !__builtin_mul_overflow(number, power128(exponent), &number);
    } else if (exponent < 0) {
        fits = fits && exponent >= -POWER128_MAX &&
               !__builtin_mul_overflow(divisor, power128(-exponent), &small_divisor);
    }
    if (fits) {
        return settle(negative, divide_round(number, small_divisor, negative, mode), scale, value,
                      err);
    }
    struct big big_number = multiply_big(a, b, exponent > 0 ? exponent : 0);
    struct big big_divisor = multiply_big(divisor, 1, exponent < 0 ? -exponent : 0);
    struct big quotient = round_big(&big_number, &big_divisor, negative, mode);
    return settle_big(negative, quotient, scale, value, err);
}

/* ---- text ---------------------------------------------------------------------------------- */

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
    int count = 0; /* significant so far: no leading zeros */
    int scale = 0;
    for (; at < end && is_digit(*at); at++) {
        if (count > 0 || *at != '0') {
            digits[count++] = (unsigned char)(*at - '0');
        }
    }
    if (at < end && *at == '.') {
        const char *point = at++;
        for (; at < end && is_digit(*at); at++) {
            if (count > 0 || *at != '0') {
                digits[count++] = (unsigned char)(*at - '0');
            }
        }
        scale = (int)(at - point) - 1;
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

/* Characters as digits, the first in the lowest byte; and where a byte is no digit its highest bit.
 * Behind the first of those the bits may be wrong. */
static const uint64_t DIGIT_ONES = 0x0101'0101'0101'0101u;

static inline uint64_t find_others(uint64_t digits)
{
    return ((digits + DIGIT_ONES * 0x76) | digits) & DIGIT_ONES * 0x80;
}

enum { WORD_BYTES = 8 };

static inline uint64_t load_digits(const char *at)
{
    return bytes_load64(at) ^ DIGIT_ONES * '0';
}

/* Of fewer than eight characters; what is behind them is no digit. */
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
    return word ^ DIGIT_ONES * '0';
}

/* The first count (1 to 8) digits of a word, at its end. */
static inline uint64_t first_digits(uint64_t digits, unsigned count)
{
    return digits << 8 * (WORD_BYTES - count);
}

/* Takes the point out of a word, where others has its bit: what is before it moves up by a byte,
 * and before that comes what is carried in. */
static inline uint64_t close_gap(uint64_t digits, uint64_t others, uint64_t carried)
{
    const uint64_t point = others >> 7, before = point - 1;
    return (digits & ~(before | point * 0xFF)) | (digits & before) << 8 | carried;
}

enum { SHORT_MAX = 2 * WORD_BYTES };

/* Digits without a sign, with a point among them or none: as two words, which end where they end,
 * the point is taken out and they are one number. */
static inline bool read_short(const char *at, unsigned size, uint64_t *mantissa, int *scale)
{
    uint64_t first = 0, last;
    if (size < WORD_BYTES) {
        last = first_digits(load_few_digits(at, size), size);
    } else {
        last = load_digits(at + size - WORD_BYTES);
        if (size > WORD_BYTES) {
            first = first_digits(load_digits(at), size - WORD_BYTES);
        }
    }
    const uint64_t first_others = find_others(first), last_others = find_others(last);
    const uint64_t others = first_others | last_others;
    unsigned part = 0, whole = size;
    if (others != 0) {
        part = WORD_BYTES - 1 - (unsigned)__builtin_ctzll(others) / 8;
        if (first_others == 0) {
            last = close_gap(last, others, first >> 56);
            first <<= 8;
        } else {
            part += WORD_BYTES;
            first = close_gap(first, others, 0);
        }
        whole = size - 1 - part;
        if ((others & (others - 1)) != 0 || (first_others != 0 && last_others != 0) || part == 0 ||
            whole == 0 || at[whole] != '.') {
            return false;
        }
    }
    *mantissa = digits_join(first) * 100'000'000 + digits_join(last);
    *scale = (int)part;
    return whole == 1 || *at != '0';
}

/* The same of more characters, up to eight of them before the point, with as many digits as an
 * uint64_t holds. */
static inline bool read_longer(const char *at, unsigned size, uint64_t *mantissa, int *scale)
{
    const uint64_t first = load_digits(at);
    const uint64_t others = find_others(first);
    const unsigned whole = others ? (unsigned)__builtin_ctzll(others) / 8 : WORD_BYTES;
    const unsigned part = size - 1 - whole;
    if (whole == 0 || (whole > 1 && *at == '0') || at[whole] != '.' || part > 2 * WORD_BYTES ||
        whole + part > POWER64_MAX) {
        return false;
    }
    const uint64_t last = load_digits(at + size - WORD_BYTES);
    uint64_t odd = find_others(last), rest = digits_join(last);
    if (part > WORD_BYTES) {
        uint64_t middle = first_digits(load_digits(at + size - part), part - WORD_BYTES);
        odd |= find_others(middle);
        rest += digits_join(middle) * 100'000'000;
    }
    *mantissa = digits_join(first_digits(first, whole)) * POWER64[part] + rest;
    *scale = (int)part;
    return odd == 0;
}

static inline struct dec make_canonical(bool negative, uint64_t mantissa, int scale)
{
    if (scale > 0 && (mantissa & 1) == 0) {
        strip64(&mantissa, &scale);
    }
    return make_signed(negative, mantissa, scale);
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

/* value / 10^scale for scale 1 to DEC_SCALE: the whole part, and a fraction of 2^64 that begins
 * with the digits behind it.  The inverse makes it too large by less than one, and what is cut off
 * and made up for is one: the last digit is more than 18. */
static inline uint64_t split(uint64_t value, int scale, uint64_t *fraction)
{
    const struct inverse *inverse = &INVERSES[scale];
    u128 product = (u128)value * inverse->high + ((u128)value * inverse->low >> 64);
    *fraction = (uint64_t)product + 1;
    return (uint64_t)(product >> 64);
}

/* Three digits, with leading zeros; and how many bits those that only lead take. */
struct three {
    char digits[3];
    uint8_t zero_bits;
};
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

/* Takes room for four bytes, as all these take room for more than their digits. */
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

/* Those of any number < 10^19, with leading zeros. */
static inline char *put_padded(char *to, uint64_t value)
{
    *to++ = (char)('0' + value / POWER64[DEC_SCALE]);
    uint64_t fraction = value % POWER64[DEC_SCALE];
    (void)split(fraction, DEC_SCALE, &fraction);
    return put_fraction(to, fraction, DEC_SCALE);
}

/* Any value.  The last DEC_SCALE digits of more than those, then those before them. */
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

/* ---- arithmetic ---------------------------------------------------------------------------- */

int dec_compare_any(struct dec a, struct dec b)
{
    if (a.scale == b.scale || (a.mantissa < 0) != (b.mantissa < 0)) {
        return (a.mantissa > b.mantissa) - (a.mantissa < b.mantissa);
    }
    /* Same sign, other scale: never equal, and the one that outgrows 128 bits is the larger. */
    int sign = a.mantissa < 0 ? -1 : 1;
    u128 left = magnitude_of(a.mantissa);
    u128 right = magnitude_of(b.mantissa);
    if (a.scale < b.scale) {
        if (__builtin_mul_overflow(left, power128(b.scale - a.scale), &left)) {
            return sign;
        }
    } else {
        if (__builtin_mul_overflow(right, power128(a.scale - b.scale), &right)) {
            return -sign;
        }
    }
    return left > right ? sign : -sign;
}

/* a + b for two magnitudes with signs, at one scale; the result of different signs is exact at
 * once. */
__attribute__((noinline)) static enum status add_scaled(struct dec a, struct dec b, struct dec *sum,
                                                        struct error *err)
{
    if (a.scale > b.scale) {
        struct dec swap = a;
        a = b;
        b = swap;
    }
    u128 left = magnitude_of(a.mantissa);
    u128 right = magnitude_of(b.mantissa);
    if (__builtin_mul_overflow(left, power128(b.scale - a.scale), &left) ||
        left >= 2 * MANTISSA_END) {
        return overflow(err); /* whatever b is: the last digit cannot be stripped */
    }
    bool negative = a.mantissa < 0;
    u128 magnitude;
    if (negative == (b.mantissa < 0)) {
        magnitude = left + right;
    } else if (left >= right) {
        magnitude = left - right;
    } else {
        magnitude = right - left;
        negative = !negative;
    }
    return settle(negative, magnitude, b.scale, sum, err);
}

/* Where it is no more than 64 bits that are aligned and added; false: it may be more. */
static bool add_small(struct dec a, struct dec b, struct dec *sum)
{
    int64_t left = (int64_t)a.mantissa, right = (int64_t)b.mantissa, total;
    int scale = a.scale, gap = b.scale - a.scale;
    if (!dec_is_small(a) || !dec_is_small(b) || gap >= POWER64_MAX || gap <= -POWER64_MAX) {
        return false;
    }
    if (gap > 0) {
        scale = b.scale;
        if (__builtin_mul_overflow(left, (int64_t)POWER64[gap], &left)) {
            return false;
        }
    } else if (gap < 0 && __builtin_mul_overflow(right, (int64_t)POWER64[-gap], &right)) {
        return false;
    }
    if (__builtin_add_overflow(left, right, &total)) {
        return false;
    }
    *sum = gap == 0 ? settle_small(total, scale) : (struct dec){total, scale};
    return true;
}

enum status dec_add(struct dec a, struct dec b, struct dec *sum, struct error *err)
{
    return add_small(a, b, sum) ? OK : add_scaled(a, b, sum, err);
}

enum status dec_subtract(struct dec a, struct dec b, struct dec *difference, struct error *err)
{
    return dec_add(a, dec_negate(b), difference, err);
}

/* Where the product needs more than 64 bits. */
__attribute__((noinline)) static enum status multiply_large(struct dec a, struct dec b,
                                                            struct dec *product, struct error *err)
{
    bool negative = (a.mantissa < 0) != (b.mantissa < 0);
    u128 left = magnitude_of(a.mantissa);
    u128 right = magnitude_of(b.mantissa);
    int scale = a.scale + b.scale;
    u128 small;
    if (__builtin_mul_overflow(left, right, &small)) {
        return settle_big(negative, multiply_big(left, right, 0), scale, product, err);
    }
    return settle(negative, small, scale, product, err);
}

enum status dec_multiply(struct dec a, struct dec b, struct dec *product, struct error *err)
{
    int64_t small;
    int scale = a.scale + b.scale;
    if (!dec_is_small(a) || !dec_is_small(b) || scale > DEC_SCALE_MAX ||
        __builtin_mul_overflow((int64_t)a.mantissa, (int64_t)b.mantissa, &small)) {
        return multiply_large(a, b, product, err);
    }
    *product = settle_small(small, scale);
    return OK;
}

enum status dec_multiply_round(struct dec a, struct dec b, int digits, enum rounding mode,
                               struct dec *product, struct error *err)
{
    return dec_multiply_divide(a, b, (struct dec){1, 0}, digits, mode, product, err);
}

/* scaled / divisor of 64 bits, half to even. */
static uint64_t divide_half_even(u128 scaled, uint64_t divisor)
{
    uint64_t quotient = (uint64_t)(scaled / divisor);
    uint64_t rest = (uint64_t)scaled - quotient * divisor;
    uint64_t lacking = divisor - rest;
    return quotient + (rest > lacking || (rest == lacking && (quotient & 1) != 0));
}

/* Half to even at DEC_SCALE digits when both are of 64 bits at one scale; false: too large. */
static bool divide_small(struct dec a, struct dec b, struct dec *quotient)
{
    u128 left = magnitude_of(a.mantissa), right = magnitude_of(b.mantissa);
    int gap = b.scale - a.scale;
    if (!fits64(left) || !fits64(right) || gap > POWER64_MAX || gap < -POWER64_MAX) {
        return false;
    }
    uint64_t number = (uint64_t)left, divisor = (uint64_t)right;
    if (gap > 0 ? __builtin_mul_overflow(number, POWER64[gap], &number)
                : __builtin_mul_overflow(divisor, POWER64[-gap], &divisor)) {
        return false;
    }
    uint64_t whole = 0, part;
    u128 scaled = (u128)number * POWER64[DEC_SCALE];
    if (scaled >> 63 >= divisor) { /* the quotient and its rounding need more than 64 bits */
        whole = number / divisor;
        scaled = (u128)(number % divisor) * POWER64[DEC_SCALE];
    }
    part = divide_half_even(scaled, divisor);
    int scale = DEC_SCALE;
    if ((part & 1) == 0) {
        strip64(&part, &scale); /* zero ends at scale 0 */
    }
    u128 magnitude = (u128)whole * POWER64[scale] + part;
    *quotient = make_signed((a.mantissa < 0) != (b.mantissa < 0), magnitude, scale);
    return true;
}

enum status dec_divide(struct dec a, struct dec b, int digits, enum rounding mode,
                       struct dec *quotient, struct error *err)
{
    if (digits == DEC_SCALE && mode == ROUND_HALF_EVEN && !dec_is_zero(b) &&
        divide_small(a, b, quotient)) {
        return OK;
    }
    return dec_multiply_divide(a, (struct dec){1, 0}, b, digits, mode, quotient, err);
}

void dec_divisor_init(struct dec_divisor *divisor, struct dec value)
{
    assert(!dec_is_zero(value));
    u128 magnitude = magnitude_of(value.mantissa);
    *divisor = (struct dec_divisor){.value = value};
    if (value.scale == 0 && magnitude <= UINT64_MAX / 4) {
        divisor->inverse = ((u128)POWER64[DEC_SCALE] << 64) / magnitude;
    }
}

/* number x inverse / 2^64 is the quotient or one less, since the inverse lacks less than 1 and
 * number less than 2^64; the remainder, of which 64 bits are enough, tells which. */
enum status dec_divide_by(struct dec a, const struct dec_divisor *divisor, struct dec *quotient,
                          struct error *err)
{
    u128 left = magnitude_of(a.mantissa);
    if (a.scale != 0 || !fits64(left) || divisor->inverse == 0) {
        return dec_divide(a, divisor->value, DEC_SCALE, ROUND_HALF_EVEN, quotient, err);
    }
    uint64_t number = (uint64_t)left, by = (uint64_t)magnitude_of(divisor->value.mantissa);
    u128 magnitude = (u128)number * (uint64_t)(divisor->inverse >> 64) +
                     ((u128)number * (uint64_t)divisor->inverse >> 64);
    uint64_t rest = number * POWER64[DEC_SCALE] - (uint64_t)magnitude * by;
    if (rest >= by) {
        rest -= by;
        magnitude++;
    }
    uint64_t lacking = by - rest;
    magnitude += rest > lacking || (rest == lacking && ((uint64_t)magnitude & 1) != 0);
    int scale = DEC_SCALE;
    strip(&magnitude, &scale);
    *quotient = make_signed((a.mantissa < 0) != (divisor->value.mantissa < 0), magnitude, scale);
    return OK;
}

enum status dec_multiply_divide(struct dec a, struct dec b, struct dec c, int digits,
                                enum rounding mode, struct dec *result, struct error *err)
{
    assert(digits >= 0 && digits <= DEC_SCALE);
    if (dec_is_zero(c)) {
        return zero_divisor(err);
    }
    bool negative = ((a.mantissa < 0) != (b.mantissa < 0)) != (c.mantissa < 0);
    return settle_ratio(negative, magnitude_of(a.mantissa), magnitude_of(b.mantissa),
                        c.scale + digits - a.scale - b.scale, magnitude_of(c.mantissa), digits,
                        mode, result, err);
}

__attribute__((noinline)) static enum status round_large(struct dec value, int digits,
                                                         enum rounding mode, struct dec *rounded,
                                                         struct error *err)
{
    const bool negative = value.mantissa < 0;
    const int cut = value.scale - digits;
    u128 magnitude = magnitude_of(value.mantissa);
    if (cut > DEC_SCALE) {
        magnitude = divide_round(magnitude, power128(cut), negative, mode);
    } else {
        uint64_t rest;
        magnitude = divide_by_power(magnitude, cut, &rest);
        magnitude += rounds_away(mode, negative, (magnitude & 1) != 0, rest != 0,
                                 compare_half(rest, POWER64[cut]));
    }
    return settle(negative, magnitude, digits, rounded, err);
}

enum status dec_round(struct dec value, int digits, enum rounding mode, struct dec *rounded,
                      struct error *err)
{
    assert(digits >= 0 && digits <= DEC_SCALE_MAX);
    const int cut = value.scale - digits;
    if (cut <= 0) {
        *rounded = value;
        return OK;
    }
    const u128 magnitude = magnitude_of(value.mantissa);
    if (!fits64(magnitude) || cut > DEC_SCALE) {
        return round_large(value, digits, mode, rounded, err);
    }
    const bool negative = value.mantissa < 0;
    const uint64_t power = POWER64[cut];
    uint64_t quotient = (uint64_t)magnitude / power, rest = (uint64_t)magnitude % power;
    quotient += rounds_away(mode, negative, (quotient & 1) != 0, rest != 0,
                            compare_half(rest, power));
    if (digits > 0 && (quotient & 1) == 0) {
        strip64(&quotient, &digits);
    }
    *rounded = make_signed(negative, quotient, digits);
    return OK;
}

/* Both magnitudes at the larger of the two scales, which it returns. */
static int align_big(struct dec a, struct dec b, struct big *left, struct big *right)
{
    int scale = a.scale > b.scale ? a.scale : b.scale;
    *left = multiply_big(magnitude_of(a.mantissa), 1, scale - a.scale);
    *right = multiply_big(magnitude_of(b.mantissa), 1, scale - b.scale);
    return scale;
}

/* The same in 128 bits; false when they do not hold them. */
static bool align(struct dec a, struct dec b, u128 *left, u128 *right)
{
    *left = magnitude_of(a.mantissa);
    *right = magnitude_of(b.mantissa);
    int gap = b.scale - a.scale;
    return gap >= 0 ? !__builtin_mul_overflow(*left, power128(gap), left)
                    : !__builtin_mul_overflow(*right, power128(-gap), right);
}

enum status dec_round_to(struct dec value, struct dec step, enum rounding mode, struct dec *rounded,
                         struct error *err)
{
    if (step.mantissa <= 0) {
        return fail(err, ERR_INPUT, "a rounding step must be greater than zero");
    }
    bool negative = value.mantissa < 0;
    int scale = value.scale > step.scale ? value.scale : step.scale;
    u128 left, right, product;
    if (align(value, step, &left, &right) &&
        !__builtin_mul_overflow(divide_round(left, right, negative, mode), right, &product)) {
        return settle(negative, product, scale, rounded, err);
    }
    struct big number, divisor;
    align_big(value, step, &number, &divisor);
    struct big multiple = number;
    struct big truncated = divide_big(&number, &divisor); /* leaves the remainder */
    struct big twice = number;
    scale_big(&twice, 2);
    mpn_sub(multiple.limb, multiple.limb, multiple.size, number.limb, number.size);
    trim(&multiple);
    if (rounds_away(mode, negative, truncated.size && (truncated.limb[0] & 1), number.size != 0,
                    compare_big(&twice, &divisor))) {
        add_big(&multiple, &divisor);
    }
    return settle_big(negative, multiple, scale, rounded, err);
}

enum status dec_remainder(struct dec a, struct dec b, struct dec *remainder, struct error *err)
{
    if (dec_is_zero(b)) {
        return zero_divisor(err);
    }
    bool negative = a.mantissa < 0;
    int scale = a.scale > b.scale ? a.scale : b.scale;
    u128 left, right;
    if (align(a, b, &left, &right)) {
        return settle(negative, left % right, scale, remainder, err);
    }
    struct big number, divisor;
    align_big(a, b, &number, &divisor);
    divide_big(&number, &divisor);
    return settle_big(negative, number, scale, remainder, err);
}

/* ---- sums ---------------------------------------------------------------------------------- */

static u128 join_limbs(uint64_t low, uint64_t high)
{
    return (u128)high << 64 | low;
}

static struct wide negate(const struct wide *wide)
{
    struct wide result = {{0}};
    wide_add_halves(&result, ~wide_half(wide, 0), ~wide_half(wide, 1));
    wide_add_halves(&result, 1, 0);
    return result;
}

void wide_add_dec(struct wide *sum, struct dec value)
{
    assert(value.scale >= 0 && value.scale <= DEC_SCALE);
    int64_t small = (int64_t)value.mantissa;
    if (small == value.mantissa) {
        wide_add_i64(sum, small, value.scale);
        return;
    }
    uint64_t factor = POWER64[DEC_SCALE - value.scale];
    u128 magnitude = magnitude_of(value.mantissa);
    u128 low = (u128)(uint64_t)magnitude * factor;
    u128 middle = (magnitude >> 64) * factor + (low >> 64);
    struct wide term = {{(uint64_t)low, (uint64_t)middle, (uint64_t)(middle >> 64), 0}};
    if (value.mantissa < 0) {
        term = negate(&term);
    }
    wide_add(sum, &term);
}

void wide_subtract(struct wide *sum, const struct wide *other)
{
    struct wide opposite = negate(other);
    wide_add(sum, &opposite);
}

bool wide_equal(const struct wide *a, const struct wide *b)
{
    return wide_half(a, 0) == wide_half(b, 0) && wide_half(a, 1) == wide_half(b, 1);
}

bool wide_is_negative(const struct wide *a)
{
    return a->limb[3] >> 63 != 0;
}

static struct big big_of_wide(const struct wide *wide)
{
    struct wide magnitude = wide_is_negative(wide) ? negate(wide) : *wide;
    struct big big = {.size = WIDE_LIMBS};
    memcpy(big.limb, magnitude.limb, sizeof magnitude.limb);
    trim(&big);
    return big;
}

__attribute__((noinline)) static enum status read_any(const struct wide *sum, struct dec *value,
                                                      struct error *err)
{
    bool negative = wide_is_negative(sum);
    u128 high = wide_half(sum, 1);
    if (high == 0) {
        return settle(false, wide_half(sum, 0), DEC_SCALE, value, err);
    }
    if (~high == 0 && wide_half(sum, 0) != 0) {
        return settle(true, -wide_half(sum, 0), DEC_SCALE, value, err);
    }
    return settle_big(negative, big_of_wide(sum), DEC_SCALE, value, err);
}

/* Usage has no more than nine digits behind the point: then its sum is divisible by 10^9. */
enum status wide_read(const struct wide *sum, struct dec *value, struct error *err)
{
    const uint64_t fifth_9th = 0x8E47'CE42'3A2E'9C6Du;
    const u128 halves = wide_half(sum, 0) >> 9;
    uint64_t magnitude = (uint64_t)halves * fifth_9th;
    int scale = DEC_SCALE - 9;
    if ((sum->limb[3] | sum->limb[2] | (uint64_t)(halves >> 64)) != 0 ||
        (sum->limb[0] & 511) != 0 || magnitude > UINT64_MAX / 1'953'125) {
        return read_any(sum, value, err);
    }
    if ((magnitude & 1) == 0) {
        strip64(&magnitude, &scale);
    }
    *value = make_signed(false, magnitude, scale);
    return OK;
}

/* The digits of a magnitude with a point, at least one before it and exactly scale after it. */
static int write_plain(char *out, bool negative, const char *digits, int count, int scale)
{
    char *at = out;
    if (negative) {
        *at++ = '-';
    }
    int whole = count - scale;
    if (whole <= 0) {
        *at++ = '0';
    } else {
        memcpy(at, digits, (size_t)whole);
        at += whole;
    }
    if (scale > 0) {
        *at++ = '.';
        for (int i = whole; i < 0; i++) {
            *at++ = '0';
        }
        int from = whole > 0 ? whole : 0;
        memcpy(at, digits + from, (size_t)(count - from));
        at += count - from;
    }
    *at = '\0';
    return (int)(at - out);
}

int wide_format(const struct wide *sum, char *out)
{
    enum { GROUP = 19, GROUPS = 5, DIGITS = GROUPS * GROUP }; /* 2^256 has 78 digits */
    char digits[DIGITS + DIGITS_WORD];
    struct big rest = big_of_wide(sum);
    uint64_t groups[GROUPS] = {0};
    for (int i = GROUPS - 1; rest.size > 0; i--) {
        struct big number = rest;
        groups[i] = mpn_divrem_1(rest.limb, 0, number.limb, number.size, POWER64[GROUP]);
        trim(&rest);
    }
    for (int i = 0; i < GROUPS; i++) {
        (void)put_padded(digits + i * GROUP, groups[i]);
    }
    int scale = DEC_SCALE;
    int end = DIGITS;
    while (scale > 0 && digits[end - 1] == '0') {
        end--;
        scale--;
    }
    int from = 0;
    while (from < end - scale - 1 && digits[from] == '0') {
        from++;
    }
    return write_plain(out, wide_is_negative(sum), digits + from, end - from, scale);
}

enum status dec_sum_read(const struct dec_sum *sum, struct dec *value, struct error *err)
{
    TRY(wide_read(&sum->usual, value, err));
    return dec_is_zero(sum->others) ? OK : dec_add(*value, sum->others, value, err);
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

enum status dec_sum_merge(struct dec_sum *sum, const struct dec_sum *other, struct error *err)
{
    wide_add(&sum->usual, &other->usual);
    return dec_add(sum->others, other->others, &sum->others, err);
}

/* ---- curves -------------------------------------------------------------------------------- */

static enum status add_exactly(struct exact *sum, bool negative, const struct wide *magnitude,
                               struct error *err)
{
    struct wide term = negative ? negate(magnitude) : *magnitude;
    struct wide total = sum->at36;
    wide_add(&total, &term);
    bool same = wide_is_negative(&sum->at36) == wide_is_negative(&term);
    if (wide_is_negative(magnitude) ||
        (same && wide_is_negative(&total) != wide_is_negative(&term))) {
        return fail(err, ERR_OVERFLOW, "a sum of amounts leaves 256 bits");
    }
    sum->at36 = total;
    return OK;
}

/* Any two factors: 256 bits hold the product. */
static struct wide multiply_wide(u128 a, u128 b)
{
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64);
    uint64_t b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    u128 low = (u128)a0 * b0;
    u128 cross = (u128)a1 * b0 + (low >> 64);
    u128 other = (u128)a0 * b1 + (uint64_t)cross;
    u128 high = (u128)a1 * b1 + (cross >> 64) + (other >> 64);
    return (struct wide){{(uint64_t)low, (uint64_t)other, (uint64_t)high, (uint64_t)(high >> 64)}};
}

enum status exact_add(struct exact *sum, struct dec value, struct error *err)
{
    struct wide term =
        multiply_wide(magnitude_of(value.mantissa), power128(DEC_SCALE_MAX - value.scale));
    return add_exactly(sum, value.mantissa < 0, &term, err);
}

enum status exact_add_product(struct exact *sum, struct dec a, struct dec b, struct error *err)
{
    bool negative = (a.mantissa < 0) != (b.mantissa < 0);
    u128 left = magnitude_of(a.mantissa);
    u128 right = magnitude_of(b.mantissa);
    int exponent = DEC_SCALE_MAX - a.scale - b.scale;
    u128 product;
    if (exponent >= 0 && !__builtin_mul_overflow(left, right, &product)) {
        struct wide term = multiply_wide(product, power128(exponent));
        return add_exactly(sum, negative, &term, err);
    }
    struct big big = multiply_big(left, right, exponent > 0 ? exponent : 0);
    for (; exponent < 0 && big.size > 0; exponent++) {
        struct big number = big;
        if (mpn_divrem_1(big.limb, 0, number.limb, number.size, 10) != 0) {
            return fail(err, ERR_OVERFLOW, "a product has more than %d digits after the point",
                        DEC_SCALE_MAX);
        }
        trim(&big);
    }
    if (big.size > WIDE_LIMBS) {
        return fail(err, ERR_OVERFLOW, "a product of amounts leaves 256 bits");
    }
    struct wide term = {{0}};
    memcpy(term.limb, big.limb, (size_t)big.size * sizeof *big.limb);
    return add_exactly(sum, negative, &term, err);
}

/* The common case of exact_round: a divisor of one limb and a quotient of two. */
static bool round_quickly(const struct wide *sum, int exponent, bool negative, enum rounding mode,
                          u128 *quotient)
{
    if (exponent > POWER64_MAX) {
        return false;
    }
    struct wide magnitude = negative ? negate(sum) : *sum;
    uint64_t divisor = POWER64[exponent];
    if (magnitude.limb[3] != 0 || magnitude.limb[2] >= divisor) {
        return false;
    }
    mp_limb_t limb[3];
    uint64_t remainder = mpn_divrem_1(limb, 0, magnitude.limb, 3, divisor);
    uint64_t gap = divisor - remainder;
    *quotient = join_limbs(limb[0], limb[1]);
    bool away = rounds_away(mode, negative, (limb[0] & 1) != 0, remainder != 0,
                            (remainder > gap) - (remainder < gap));
    return !__builtin_add_overflow(*quotient, (u128)away, quotient);
}

enum status exact_round(const struct exact *sum, int digits, enum rounding mode, struct dec *value,
                        struct error *err)
{
    assert(digits >= 0 && digits <= DEC_SCALE);
    bool negative = wide_is_negative(&sum->at36);
    u128 small;
    if (round_quickly(&sum->at36, DEC_SCALE_MAX - digits, negative, mode, &small)) {
        return settle(negative, small, digits, value, err);
    }
    struct big number = big_of_wide(&sum->at36);
    struct big divisor = multiply_big(1, 1, DEC_SCALE_MAX - digits);
    struct big quotient = round_big(&number, &divisor, negative, mode);
    return settle_big(negative, quotient, digits, value, err);
}
