/* decimal_inline.h - what arithmetic (decimal.c) and text (decimal_text.c) know of a decimal's
 * insides, without a call between them.  All else includes decimal.h.
 *
 * Both work on a sign and a magnitude, strip trailing zeros and divide by powers of ten; neither
 * takes a division for it.
 */
#ifndef FARTHING_BASE_DECIMAL_INLINE_H
#define FARTHING_BASE_DECIMAL_INLINE_H

#include "base/decimal.h"

#define E19          ((u128)10'000'000'000'000'000'000u)
#define MANTISSA_END (E19 * E19) /* 10^38: the first magnitude that is too large */

/* ---- sign and magnitude -------------------------------------------------------------------- */

static inline u128 magnitude_of(i128 value)
{
    return value < 0 ? -(u128)value : (u128)value;
}

static inline struct dec make_signed(bool negative, u128 magnitude, int scale)
{
    i128 mantissa = (i128)magnitude;
    return (struct dec){negative ? -mantissa : mantissa, scale};
}

static inline bool fits64(u128 value)
{
    return (uint64_t)(value >> 64) == 0;
}

/* ---- powers of ten ------------------------------------------------------------------------- */

enum { POWER128_MAX = 38 };

/* 10^0 .. 10^38. */
static inline u128 power128(int exponent)
{
    assert(exponent >= 0 && exponent <= POWER128_MAX);
    return exponent <= POWER64_MAX ? POWER64[exponent] : E19 * POWER64[exponent - POWER64_MAX];
}

/* 2^128 / 10^scale, rounded up, for scale 1 to DEC_SCALE; there is none of 10^0. */
struct inverse {
    uint64_t high, low;
};
extern const struct inverse INVERSES[DEC_SCALE + 1];

/* value / 10^scale and what is left, for value < 2^127 and scale 1 to DEC_SCALE.  The product is
 * the quotient or one more. */
static inline u128 divide_by_power(u128 value, int scale, uint64_t *rest)
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

/* Takes trailing zeros off while scale allows it; zero ends at scale 0.
 *
 * x is a multiple of 10 exactly when x * (1/5 mod 2^64), rotated right by one bit, is at most
 * (2^64 - 1) / 10, and that is then the quotient; so it is with 10^8 and eight bits. */
static inline void strip64(uint64_t *value, int *scale)
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

static inline struct dec make_canonical(bool negative, uint64_t mantissa, int scale)
{
    if (scale > 0 && (mantissa & 1) == 0) {
        strip64(&mantissa, &scale);
    }
    return make_signed(negative, mantissa, scale);
}

#endif
