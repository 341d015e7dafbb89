/* decimal.h - exact decimals: the only numbers on the way of money.
 *
 *     struct dec    a value: mantissa x 10^-scale, at most 38 significant digits
 *     struct wide   256 bits, two's complement, at a fixed scale the user knows: sums and products
 *
 * A dec is canonical: scale 0..36, mantissa not divisible by ten unless scale is 0, zero is
 * {0, 0}.  So equal values are equal bytes.  Input has at most 38 significant digits and 18 after
 * the point; the room above 18 is for exact products.  Nothing here rounds unless its name says so,
 * and what leaves the range is ERR_OVERFLOW, never a wrap.
 *
 * Quotients and curves are quantized once, at DEC_SCALE digits.
 */
#ifndef FARTHING_BASE_DECIMAL_H
#define FARTHING_BASE_DECIMAL_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

typedef __int128 i128;
typedef unsigned __int128 u128;

enum {
    DEC_DIGITS_MAX = 38, /* significant digits of a value */
    DEC_SCALE = 18,      /* digits after the point of an input or a quantized value */
    DEC_SCALE_MAX = 36,  /* of an exact product */
    DEC_LENGTH_MAX = 64, /* characters of a number's text: NUM_LENGTH beyond */
    DEC_FORMAT_MAX = 64, /* characters a dec_format... writes at most, with its zero byte */
    WIDE_FORMAT_MAX = 96,
};

/* Aligned to 8, so that a number takes 24 bytes and not 32: charges and lines are made of them. */
struct dec {
    i128 mantissa __attribute__((packed, aligned(8)));
    int32_t scale;
};
_Static_assert(sizeof(struct dec) == 24, "numbers take 24 bytes");

#define DEC_ZERO ((struct dec){0, 0})

/* 10^0 .. 10^19, all that 64 bits hold. */
enum { POWER64_MAX = 19 };
extern const uint64_t POWER64[POWER64_MAX + 1];

enum rounding {
    ROUND_HALF_UP, /* halves away from zero, as invoices do */
    ROUND_HALF_EVEN,
    ROUND_HALF_DOWN, /* halves towards zero */
    ROUND_UP,        /* away from zero */
    ROUND_DOWN,      /* towards zero */
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_MODES
};

/* The names are half_up, half_even, half_down, up, down, ceiling, floor; false when unknown. */
bool rounding_parse(struct text name, enum rounding *mode);
const char *rounding_name(enum rounding mode);
/* Rounds -x to minus what mode makes of x: ceiling and floor change places, and the others are
 * their own. */
enum rounding rounding_mirrored(enum rounding mode);

/* What is wrong with a number's text, in order of precedence. */
enum number_fault {
    NUMBER_OK = 0,
    NUMBER_LENGTH, /* more than DEC_LENGTH_MAX characters */
    NUMBER_SYNTAX, /* not a JSON number: NaN, 0x10, 01, +1, .5, 5., 1_000, blanks, empty */
    NUMBER_RANGE,  /* more than 38 significant digits; 1e38 has 39 */
    NUMBER_SCALE,  /* more than 18 digits after the point: refused, never rounded */
};
const char *number_fault_name(enum number_fault fault); /* "NUM_SYNTAX" ... */

/* Reads a JSON number (RFC 8259), exponents included: 1e3 is 1000, -0 and 0e5 are 0, 1E1000000000
 * is NUMBER_RANGE at once.  The whole text must be the number. */
enum number_fault dec_parse(struct text text, struct dec *value);

/* Plain notation without exponent or trailing zeros ("-1234.5"); returns the length.  out has
 * DEC_FORMAT_MAX bytes.  One that is not in canonical form keeps its zeros: {150, 2} is "1.50". */
int dec_format(struct dec value, char *out);
/* With at least digits (0..18) after the point ("12.50"), for a currency's minor unit. */
int dec_format_digits(struct dec value, int digits, char *out);

struct dec dec_from_int(int64_t value);
/* From a mantissa and scale (0..36), made canonical; ERR_OVERFLOW beyond 38 digits. */
enum status dec_make(i128 mantissa, int scale, struct dec *value, struct error *err);

static inline bool dec_is_zero(struct dec value)
{
    return value.mantissa == 0;
}
static inline int dec_sign(struct dec value)
{
    return (value.mantissa > 0) - (value.mantissa < 0);
}
/* Whether an int64_t holds the mantissa: told by halves, so that what follows has 64 bits. */
static inline bool dec_is_small(struct dec value)
{
    return (int64_t)(value.mantissa >> 64) == (int64_t)value.mantissa >> 63;
}
int dec_compare_any(struct dec a, struct dec b);
/* Exact, for any two values. */
static inline int dec_compare(struct dec a, struct dec b)
{
    i128 left = (int64_t)a.mantissa, right = (int64_t)b.mantissa;
    const int gap = a.scale - b.scale;
    if (!dec_is_small(a) || !dec_is_small(b) || gap > POWER64_MAX - 1 || gap < 1 - POWER64_MAX) {
        return dec_compare_any(a, b);
    }
    left = gap < 0 ? left * (int64_t)POWER64[-gap] : left; /* less than 2^123 */
    right = gap > 0 ? right * (int64_t)POWER64[gap] : right;
    return (left > right) - (left < right);
}
static inline bool dec_equal(struct dec a, struct dec b)
{
    return a.mantissa == b.mantissa && a.scale == b.scale;
}
static inline struct dec dec_negate(struct dec value)
{
    return (struct dec){-value.mantissa, value.scale};
}
static inline struct dec dec_abs(struct dec value)
{
    return value.mantissa < 0 ? dec_negate(value) : value;
}
static inline struct dec dec_min(struct dec a, struct dec b)
{
    return dec_compare(a, b) <= 0 ? a : b;
}
static inline struct dec dec_max(struct dec a, struct dec b)
{
    return dec_compare(a, b) >= 0 ? a : b;
}

/* Exact, or ERR_OVERFLOW. err may be NULL. */
enum status dec_add(struct dec a, struct dec b, struct dec *sum, struct error *err);
enum status dec_subtract(struct dec a, struct dec b, struct dec *difference, struct error *err);
enum status dec_multiply(struct dec a, struct dec b, struct dec *product, struct error *err);

/* a x b rounded to digits (0..18), through the exact product. */
enum status dec_multiply_round(struct dec a, struct dec b, int digits, enum rounding mode,
                               struct dec *product, struct error *err);
/* a / b rounded to digits (0..18) through the exact quotient; ERR_INPUT when b is zero. */
enum status dec_divide(struct dec a, struct dec b, int digits, enum rounding mode,
                       struct dec *quotient, struct error *err);
/* A divisor of many numbers, made ready: dec_divide_by is dec_divide at DEC_SCALE digits, half to
 * even, and for whole numbers takes no division.  value is not zero. */
struct dec_divisor {
    struct dec value;
    u128 inverse; /* floor(10^18 x 2^64 / |value|), or 0: value is not whole, or too large */
};
void dec_divisor_init(struct dec_divisor *divisor, struct dec value);
enum status dec_divide_by(struct dec a, const struct dec_divisor *divisor, struct dec *quotient,
                          struct error *err);
/* a x b / c rounded once: proration and shares. ERR_INPUT when c is zero. */
enum status dec_multiply_divide(struct dec a, struct dec b, struct dec c, int digits,
                                enum rounding mode, struct dec *result, struct error *err);
/* To digits (0..36) after the point; ERR_OVERFLOW only when rounding up leaves the range. */
enum status dec_round(struct dec value, int digits, enum rounding mode, struct dec *rounded,
                      struct error *err);
/* The multiple of step (> 0) next to value in the mode: increments of 60, nickels. ERR_INPUT when
 * step <= 0. */
enum status dec_round_to(struct dec value, struct dec step, enum rounding mode, struct dec *rounded,
                         struct error *err);
/* Truncated quotient's integer part and the remainder with the sign of a (CEL's %). */
enum status dec_remainder(struct dec a, struct dec b, struct dec *remainder, struct error *err);

/* ---- sums ---------------------------------------------------------------------------------- */

/* 256 bits in two's complement, least limb first. */
enum { WIDE_LIMBS = 4 };
struct wide {
    uint64_t limb[WIDE_LIMBS];
};

/* The lower (0) or the upper (1) 128 bits. */
static inline u128 wide_half(const struct wide *wide, int half)
{
    return (u128)wide->limb[2 * half + 1] << 64 | wide->limb[2 * half];
}
static inline void wide_add_halves(struct wide *sum, u128 low, u128 high)
{
    u128 sum_low = wide_half(sum, 0) + low;
    u128 sum_high = wide_half(sum, 1) + high + (sum_low < low);
    sum->limb[0] = (uint64_t)sum_low;
    sum->limb[1] = (uint64_t)(sum_low >> 64);
    sum->limb[2] = (uint64_t)sum_high;
    sum->limb[3] = (uint64_t)(sum_high >> 64);
}
static inline void wide_add(struct wide *sum, const struct wide *other)
{
    wide_add_halves(sum, wide_half(other, 0), wide_half(other, 1));
}

/* A sum of inputs: a wide at scale 18.  2^62 inputs of 38 digits at scale 18 cannot overflow it
 * (10^56 x 2^62 < 2^255), so adding has no error path, is commutative and associative; the range is
 * checked when it is read. */
void wide_add_dec(struct wide *sum, struct dec value); /* value.scale <= 18 */
/* The bulk form: mantissa x 10^-scale with a 64-bit mantissa. */
static inline void wide_add_i64(struct wide *sum, int64_t mantissa, int scale)
{
    assert(scale >= 0 && scale <= DEC_SCALE);
    i128 term = (i128)mantissa * (int64_t)POWER64[DEC_SCALE - scale];
    u128 low;
    bool carries = __builtin_add_overflow(wide_half(sum, 0), (u128)term, &low);
    sum->limb[0] = (uint64_t)low;
    sum->limb[1] = (uint64_t)(low >> 64);
    if (carries != (term < 0)) { /* seldom: the sum passes zero, or 2^128 */
        u128 high = wide_half(sum, 1) + (carries ? 1 : ~(u128)0);
        sum->limb[2] = (uint64_t)high;
        sum->limb[3] = (uint64_t)(high >> 64);
    }
}
void wide_subtract(struct wide *sum, const struct wide *other);
bool wide_equal(const struct wide *a, const struct wide *b);
bool wide_is_negative(const struct wide *a);
/* ERR_OVERFLOW when the sum has more than 38 significant digits. */
enum status wide_read(const struct wide *sum, struct dec *value, struct error *err);
/* Text of any sum at scale 18, without trailing zeros, into WIDE_FORMAT_MAX bytes; returns the
 * length. */
int wide_format(const struct wide *sum, char *out);

/* A sum of any values.  Nearly all have at most 18 digits after the point, and then there is no
 * error but when it is read; the others are apart. */
struct dec_sum {
    struct wide usual;
    struct dec others;
};
static inline enum status dec_sum_add(struct dec_sum *sum, struct dec value, struct error *err)
{
    if (value.scale > DEC_SCALE) {
        return dec_add(sum->others, value, &sum->others, err);
    }
    if (dec_is_small(value)) {
        wide_add_i64(&sum->usual, (int64_t)value.mantissa, value.scale);
    } else {
        wide_add_dec(&sum->usual, value);
    }
    return OK;
}
enum status dec_sum_read(const struct dec_sum *sum, struct dec *value, struct error *err);
/* Text of any sum, into WIDE_FORMAT_MAX bytes; returns the length.  One of more than 38 digits is
 * rounded to 18 after the point. */
int dec_sum_format(const struct dec_sum *sum, char *out);
/* Adds other to sum. */
enum status dec_sum_merge(struct dec_sum *sum, const struct dec_sum *other, struct error *err);

/* ---- curves -------------------------------------------------------------------------------- */

/* An exact sum of products: a wide at scale 36.  For F(x) = sum of flat + rate x part, quantized
 * once at the end. */
struct exact {
    struct wide at36;
};
/* ERR_OVERFLOW, and the sum as it was, when a term or the sum leaves 256 bits (about 5 x 10^40) or
 * a product has more than 36 digits after the point. */
enum status exact_add(struct exact *sum, struct dec value, struct error *err);
enum status exact_add_product(struct exact *sum, struct dec a, struct dec b, struct error *err);
/* Quantized to digits (0..18); ERR_OVERFLOW beyond 38 digits. */
enum status exact_round(const struct exact *sum, int digits, enum rounding mode, struct dec *value,
                        struct error *err);

#endif
