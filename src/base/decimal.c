/* decimal.c - arithmetic of decimals; their text is decimal_text.c's.
 *
 * Every operation works on a sign and a magnitude.  Nearly all magnitudes of real bills fit 64 bits
 * and their products 128, so each operation tries these first, in registers; the rest goes through
 * a struct big of fixed size on the stack and GMP's mpn functions, which neither allocate nor fail.
 * Two facts keep the bodies short:
 *   - a canonical mantissa with a scale ends in a digit other than zero, so a sum of two different
 *     scales is canonical as it stands;
 *   - 10^38 < 2^127, so a mantissa can be negated, and two of them add up in 128 unsigned bits.
 */
#include "base/decimal_inline.h"

#include <assert.h>
#include <gmp.h>
#include <string.h>

#include "base/nofloat.h"

_Static_assert(GMP_LIMB_BITS == 64 && GMP_NAIL_BITS == 0, "limbs are those of struct wide");

static u128 join_limbs(uint64_t low, uint64_t high)
{
    return (u128)high << 64 | low;
}

/* ---- powers of ten ------------------------------------------------------------------------- */

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

#define INVERSE(power) {UINT64_MAX / (power), (uint64_t)(~(u128)0 / (power)) + 1}
const struct inverse INVERSES[DEC_SCALE + 1] = {
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

/* ---- canonical form ------------------------------------------------------------------------ */

/* Takes count zeros off, as strip64 does, by the inverse of 5^count; power is 10^count. */
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

/* strip64 of 128 bits. */
static void strip(u128 *value, int *scale)
{
    const u128 fifth = join_limbs(0xCCCC'CCCC'CCCC'CCCDu, 0xCCCC'CCCC'CCCC'CCCCu);
    const u128 fifth_8th = join_limbs(0xC767'074B'22E9'0E21u, 0xF36B'7213'EE9F'5A78u);
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

enum { BIG_LIMBS = 8 }; /* a x b x 10^54 has 434 bits */

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

/* Times 10^exponent. */
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

/* The quotient, truncated; leaves the remainder in *number. */
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

/* Takes a trailing zero off; false when there is none. */
static bool strip_big(struct big *big)
{
    mp_limb_t digit = mpn_divrem_1(big->limb, 0, big->limb, big->size, 10);
    trim(big);
    return digit == 0;
}

/* settle of more than 128 bits, as long as they end in zeros. */
static enum status settle_big(bool negative, struct big big, int scale, struct dec *value,
                              struct error *err)
{
    for (; big.size > 2; scale--) {
        if (scale == 0 || !strip_big(&big)) {
            return overflow(err);
        }
    }
    u128 magnitude = join_limbs(big.size > 0 ? big.limb[0] : 0, big.size > 1 ? big.limb[1] : 0);
    return settle(negative, magnitude, scale, value, err);
}

/* ---- rounding ------------------------------------------------------------------------------ */

enum rounding rounding_mirrored(enum rounding mode)
{
    return mode == ROUND_CEILING ? ROUND_FLOOR : mode == ROUND_FLOOR ? ROUND_CEILING : mode;
}

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

/* The sign of rest - power / 2, for a power of ten that is even. */
static int compare_half(uint64_t rest, uint64_t power)
{
    return (rest > power / 2) - (rest < power / 2);
}

/* number / divisor, rounded to an integer. */
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
    u128 gap = divisor - remainder; /* compared so, nothing is doubled that may not fit */
    int half = (remainder > gap) - (remainder < gap);
    return quotient + rounds_away(mode, negative, (quotient & 1) != 0, remainder != 0, half);
}

/* rounds_away of a quotient and what divide_big has left. */
static bool rounds_away_big(enum rounding mode, bool negative, const struct big *quotient,
                            const struct big *remainder, const struct big *divisor)
{
    bool odd = quotient->size > 0 && (quotient->limb[0] & 1) != 0;
    struct big twice = *remainder;
    scale_big(&twice, 2);
    return rounds_away(mode, negative, odd, remainder->size != 0, compare_big(&twice, divisor));
}

/* The same in struct big, with the remainder left in *number. */
static struct big divide_round_big(struct big *number, const struct big *divisor, bool negative,
                                   enum rounding mode)
{
    struct big quotient = divide_big(number, divisor);
    if (rounds_away_big(mode, negative, &quotient, number, divisor)) {
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
    struct big quotient = divide_round_big(&big_number, &big_divisor, negative, mode);
    return settle_big(negative, quotient, scale, value, err);
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

/* Any two, aligned to the larger scale in 128 bits. */
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
        return overflow(err); /* with any b: 39 digits, the last of which is no zero */
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

/* In 64 bits; false when aligned numbers or the sum may need more. */
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

/* Half to even at DEC_SCALE digits; false when the two at one scale need more than 64 bits. */
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
    uint64_t whole = 0;
    u128 scaled = (u128)number * POWER64[DEC_SCALE];
    if (scaled >> 63 >= divisor) { /* the quotient and its rounding need more than 64 bits */
        whole = number / divisor;
        scaled = (u128)(number % divisor) * POWER64[DEC_SCALE];
    }
    uint64_t part = divide_half_even(scaled, divisor);
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
    if (value.scale == 0 && magnitude <= UINT64_MAX / 4) { /* a rest of twice as much has room */
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
    *rounded = make_canonical(negative, quotient, digits);
    return OK;
}

/* Both magnitudes at the larger of the two scales. */
static void align_big(struct dec a, struct dec b, struct big *left, struct big *right)
{
    int scale = a.scale > b.scale ? a.scale : b.scale;
    *left = multiply_big(magnitude_of(a.mantissa), 1, scale - a.scale);
    *right = multiply_big(magnitude_of(b.mantissa), 1, scale - b.scale);
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
    struct big quotient = divide_big(&number, &divisor); /* leaves the remainder */
    mpn_sub(multiple.limb, multiple.limb, multiple.size, number.limb, number.size);
    trim(&multiple);
    if (rounds_away_big(mode, negative, &quotient, &number, &divisor)) {
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
    if (dec_is_small(value)) {
        wide_add_i64(sum, (int64_t)value.mantissa, value.scale);
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

/* Usage seldom has more than nine digits after the point: then its sum is a multiple of 10^9, which
 * is told as in strip64, of 2^9 and 5^9 apart. */
enum status wide_read(const struct wide *sum, struct dec *value, struct error *err)
{
    const uint64_t fifth_9th = 0x8E47'CE42'3A2E'9C6Du, power_of_5 = 1'953'125, power_of_2 = 512;
    const u128 halved = wide_half(sum, 0) >> 9;
    uint64_t magnitude = (uint64_t)halved * fifth_9th;
    if ((sum->limb[3] | sum->limb[2] | (uint64_t)(halved >> 64)) != 0 ||
        sum->limb[0] % power_of_2 != 0 || magnitude > UINT64_MAX / power_of_5) {
        return read_any(sum, value, err);
    }
    *value = make_canonical(false, magnitude, DEC_SCALE - 9);
    return OK;
}

enum status dec_sum_read(const struct dec_sum *sum, struct dec *value, struct error *err)
{
    TRY(wide_read(&sum->usual, value, err));
    return dec_is_zero(sum->others) ? OK : dec_add(*value, sum->others, value, err);
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
        if (!strip_big(&big)) {
            return fail(err, ERR_OVERFLOW, "a product has more than %d digits after the point",
                        DEC_SCALE_MAX);
        }
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
    *quotient = join_limbs(limb[0], limb[1]);
    bool away = rounds_away(mode, negative, (limb[0] & 1) != 0, remainder != 0,
                            compare_half(remainder, divisor));
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
    struct big quotient = divide_round_big(&number, &divisor, negative, mode);
    return settle_big(negative, quotient, digits, value, err);
}
