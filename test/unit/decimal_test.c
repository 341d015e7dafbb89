/* decimal_test.c - exact decimals against two oracles that share nothing with decimal.c and
 * decimal_text.c: plain 64-bit integers for all small values, GMP's mpz for random ones of up to 38
 * digits.
 *
 * FARTHING_SEED=n repeats a run, FARTHING_CASES=n sets the number of random cases (a million).
 */
#include <gmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "table.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* ---- counting ------------------------------------------------------------------------------ */

static uint64_t case_count, mismatch_count;

static void show(const char *what, struct dec value)
{
    char text[DEC_FORMAT_MAX];
    dec_format(value, text);
    printf("    %-8s %s\n", what, text);
}

/* True when the first mismatches are still to be shown. */
static bool mismatch(const char *operation)
{
    mismatch_count++;
    if (mismatch_count <= 10) {
        printf("  MISMATCH in %s\n", operation);
    }
    return mismatch_count <= 10;
}

static void report(const char *name)
{
    printf("  %s: %llu cases, %llu mismatches\n", name, (unsigned long long)case_count,
           (unsigned long long)mismatch_count);
    assert_true(case_count > 0);
    assert_int_equal(mismatch_count, 0);
}

static void restart_count(void)
{
    case_count = 0;
    mismatch_count = 0;
}

/* ---- small values, against 64-bit integers ------------------------------------------------- */

static const int64_t TEN[] = {1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000};

/* number / divisor to an integer, from the floor and its neighbour. */
static int64_t small_quotient(int64_t number, int64_t divisor, enum rounding mode)
{
    if (divisor < 0) {
        number = -number;
        divisor = -divisor;
    }
    int64_t floor = number / divisor;
    if (floor * divisor > number) {
        floor--;
    }
    int64_t above = number - floor * divisor;
    if (above == 0) {
        return floor;
    }
    bool positive = number > 0;
    bool nearer_up = 2 * above > divisor;
    bool tie = 2 * above == divisor;
    switch (mode) {
    case ROUND_FLOOR:
        return floor;
    case ROUND_CEILING:
        return floor + 1;
    case ROUND_DOWN:
        return positive ? floor : floor + 1;
    case ROUND_UP:
        return positive ? floor + 1 : floor;
    case ROUND_HALF_UP:
        return floor + (nearer_up || (tie && positive));
    case ROUND_HALF_DOWN:
        return floor + (nearer_up || (tie && !positive));
    case ROUND_HALF_EVEN:
        return floor + (nearer_up || (tie && floor % 2 != 0));
    case ROUND_MODES:
        break;
    }
    abort();
}

static struct dec small_dec(int64_t mantissa, int scale)
{
    while (scale > 0 && mantissa % 10 == 0) {
        mantissa /= 10;
        scale--;
    }
    return (struct dec){mantissa, scale};
}

static void check_small(const char *operation, struct dec a, struct dec b, enum status status,
                        struct dec got, int64_t mantissa, int scale)
{
    case_count++;
    struct dec expected = small_dec(mantissa, scale);
    if ((status != OK || !dec_equal(got, expected)) && mismatch(operation)) {
        show("a", a);
        show("b", b);
        show("expected", expected);
        show("got", got);
    }
}

static void check_small_pair(int64_t a, int a_scale, int64_t b, int b_scale)
{
    struct dec left = {a, a_scale}, right = {b, b_scale}, got = DEC_ZERO;
    enum status status = dec_add(left, right, &got, NULL);
    check_small("add", left, right, status, got, a * TEN[3 - a_scale] + b * TEN[3 - b_scale], 3);
    status = dec_subtract(left, right, &got, NULL);
    check_small("subtract", left, right, status, got, a * TEN[3 - a_scale] - b * TEN[3 - b_scale],
                3);
    status = dec_multiply(left, right, &got, NULL);
    check_small("multiply", left, right, status, got, a * b, a_scale + b_scale);

    int64_t a3 = a * TEN[3 - a_scale], b3 = b * TEN[3 - b_scale];
    int order = dec_compare(left, right);
    case_count++;
    if (order != (a3 > b3) - (a3 < b3) && mismatch("compare")) {
        show("a", left);
        show("b", right);
    }
    if (b != 0) {
        status = dec_remainder(left, right, &got, NULL);
        check_small("remainder", left, right, status, got, a3 % b3, 3);
    }
    for (int i = 0; i < ROUND_MODES; i++) {
        enum rounding mode = (enum rounding)i;
        for (int digits = 0; digits <= 3; digits++) {
            status = dec_multiply_round(left, right, digits, mode, &got, NULL);
            check_small("multiply_round", left, right, status, got,
                        small_quotient(a * b * TEN[digits], TEN[a_scale + b_scale], mode), digits);
            if (b != 0) {
                status = dec_divide(left, right, digits, mode, &got, NULL);
                check_small("divide", left, right, status, got,
                            small_quotient(a3 * TEN[digits], b3, mode), digits);
            }
        }
        if (b > 0) {
            status = dec_round_to(left, right, mode, &got, NULL);
            check_small("round_to", left, right, status, got, small_quotient(a3, b3, mode) * b3, 3);
        }
    }
}

static void small_values_are_exact(void **)
{
    restart_count();
    for (int a_scale = 0; a_scale <= 3; a_scale++) {
        for (int64_t a = -99; a <= 99; a++) {
            if (a_scale > 0 && a % 10 == 0) {
                continue; /* not canonical, and there with a smaller scale */
            }
            struct dec value = {a, a_scale}, got = DEC_ZERO;
            for (int i = 0; i < ROUND_MODES; i++) {
                for (int digits = 0; digits <= 4; digits++) {
                    enum rounding mode = (enum rounding)i;
                    enum status status = dec_round(value, digits, mode, &got, NULL);
                    int to = digits < 3 ? digits : 3;
                    check_small("round", value, value, status, got,
                                small_quotient(a * TEN[3 - a_scale], TEN[3 - to], mode), to);
                }
            }
            for (int b_scale = 0; b_scale <= 3; b_scale++) {
                for (int64_t b = -99; b <= 99; b++) {
                    if (b_scale == 0 || b % 10 != 0) {
                        check_small_pair(a, a_scale, b, b_scale);
                    }
                }
            }
        }
    }
    report("all small values");
}

/* ---- random values, against mpz ------------------------------------------------------------ */

static uint64_t random_state;

/* splitmix64 */
static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9E37'79B9'7F4A'7C15u;
    z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9u;
    z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EBu;
    return z ^ (z >> 31);
}

static int random_below(int end)
{
    return (int)(random_next() % (uint64_t)end);
}

static uint64_t read_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

struct oracle {
    mpz_t number, divisor, quotient, rest, ten, limit, low, high;
};

static void init_oracle(struct oracle *oracle)
{
    mpz_inits(oracle->number, oracle->divisor, oracle->quotient, oracle->rest, oracle->ten,
              oracle->limit, oracle->low, oracle->high, NULL);
    mpz_ui_pow_ui(oracle->limit, 10, DEC_DIGITS_MAX);
}

static void clear_oracle(struct oracle *oracle)
{
    mpz_clears(oracle->number, oracle->divisor, oracle->quotient, oracle->rest, oracle->ten,
               oracle->limit, oracle->low, oracle->high, NULL);
}

static void set_i128(mpz_t to, i128 value)
{
    u128 magnitude = value < 0 ? -(u128)value : (u128)value;
    uint64_t limbs[2] = {(uint64_t)magnitude, (uint64_t)(magnitude >> 64)};
    mpz_import(to, 2, -1, sizeof *limbs, 0, 0, limbs);
    if (value < 0) {
        mpz_neg(to, to);
    }
}

static i128 get_i128(const mpz_t from)
{
    uint64_t limbs[2] = {0};
    assert_true(mpz_sizeinbase(from, 2) <= 127);
    mpz_export(limbs, NULL, -1, sizeof *limbs, 0, 0, from);
    i128 value = (i128)((u128)limbs[1] << 64 | limbs[0]);
    return mpz_sgn(from) < 0 ? -value : value;
}

static void raise(struct oracle *oracle, mpz_t value, int exponent)
{
    mpz_ui_pow_ui(oracle->ten, 10, (unsigned long)exponent);
    mpz_mul(value, value, oracle->ten);
}

/* The canonical value of oracle->number x 10^-scale; false when out of range. */
static bool expect(struct oracle *oracle, int scale, struct dec *expected)
{
    mpz_set(oracle->rest, oracle->number);
    while (scale > 0 && mpz_divisible_ui_p(oracle->rest, 10)) {
        mpz_divexact_ui(oracle->rest, oracle->rest, 10);
        scale--;
    }
    if (mpz_cmpabs(oracle->rest, oracle->limit) >= 0 || scale > DEC_SCALE_MAX) {
        return false;
    }
    *expected = (struct dec){get_i128(oracle->rest), scale};
    return true;
}

/* oracle->number becomes number / divisor as an integer, from the floor and its neighbour. */
static void round_quotient(struct oracle *oracle, enum rounding mode)
{
    int sign = mpz_sgn(oracle->number) * mpz_sgn(oracle->divisor);
    mpz_fdiv_qr(oracle->quotient, oracle->rest, oracle->number, oracle->divisor);
    mpz_set(oracle->number, oracle->quotient);
    if (mpz_sgn(oracle->rest) == 0) {
        return;
    }
    mpz_mul_2exp(oracle->rest, oracle->rest, 1);
    int half = mpz_cmpabs(oracle->rest, oracle->divisor);
    bool up = false;
    switch (mode) {
    case ROUND_FLOOR:
        up = false;
        break;
    case ROUND_CEILING:
        up = true;
        break;
    case ROUND_DOWN:
        up = sign < 0;
        break;
    case ROUND_UP:
        up = sign > 0;
        break;
    case ROUND_HALF_UP:
        up = half > 0 || (half == 0 && sign > 0);
        break;
    case ROUND_HALF_DOWN:
        up = half > 0 || (half == 0 && sign < 0);
        break;
    case ROUND_HALF_EVEN:
        up = half > 0 || (half == 0 && mpz_odd_p(oracle->number));
        break;
    case ROUND_MODES:
        abort();
    }
    if (up) {
        mpz_add_ui(oracle->number, oracle->number, 1);
    }
}

/* A canonical value with a bias to what breaks things: nines, powers of ten, few digits, limits of
 * words. */
static struct dec random_dec(int scale_max)
{
    int digits = random_below(3) == 0 ? random_below(39) : random_below(19);
    u128 magnitude = 0;
    switch (random_below(6)) {
    case 0: /* 99...9 or a neighbour */
        magnitude = 1;
        for (int i = 0; i < digits; i++) {
            magnitude *= 10;
        }
        magnitude += (unsigned)random_below(3);
        magnitude -= magnitude > 0;
        break;
    case 1: /* a power of two or a neighbour */
        magnitude = ((u128)1 << random_below(127)) + (unsigned)random_below(3) - 1;
        break;
    case 2: /* few digits and many zeros */
        magnitude = 1 + (unsigned)random_below(999);
        for (int i = 3; i < digits; i++) {
            magnitude *= 10;
        }
        break;
    default:
        for (int i = 0; i < digits; i++) {
            magnitude = magnitude * 10 + (unsigned)random_below(10);
        }
        break;
    }
    u128 end = 1;
    for (int i = 0; i < DEC_DIGITS_MAX; i++) {
        end *= 10;
    }
    magnitude %= end;
    int scale = random_below(4) == 0 ? 0 : random_below(scale_max + 1);
    while (scale > 0 && magnitude % 10 == 0) {
        magnitude /= 10;
        scale--;
    }
    i128 mantissa = (i128)magnitude;
    return (struct dec){random_below(2) ? -mantissa : mantissa, scale};
}

struct operands {
    struct dec a, b, c;
    int digits;
    enum rounding mode;
};

static void check_random(struct oracle *oracle, const char *operation, const struct operands *with,
                         enum status status, struct dec got, int scale)
{
    struct dec expected = DEC_ZERO;
    bool fits = expect(oracle, scale, &expected);
    bool right = fits ? status == OK && dec_equal(got, expected) : status == ERR_OVERFLOW;
    if (!right && mismatch(operation)) {
        show("a", with->a);
        show("b", with->b);
        show("c", with->c);
        printf("    digits %d, %s, status %d\n", with->digits, rounding_name(with->mode), status);
        gmp_printf("    expected %Zd scale %d (%s)\n", oracle->number, scale,
                   fits ? "fits" : "overflow");
        show("got", got);
    }
}

static void check_true(bool right, const char *operation, const struct operands *with)
{
    if (!right && mismatch(operation)) {
        show("a", with->a);
        show("b", with->b);
    }
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* oracle->number and oracle->divisor: a and b at the larger of their scales, which it returns. */
static int align(struct oracle *oracle, const struct operands *with)
{
    int scale = larger(with->a.scale, with->b.scale);
    set_i128(oracle->number, with->a.mantissa);
    raise(oracle, oracle->number, scale - with->a.scale);
    set_i128(oracle->divisor, with->b.mantissa);
    raise(oracle, oracle->divisor, scale - with->b.scale);
    return scale;
}

/* a x b / c to digits. */
static void set_ratio(struct oracle *oracle, const struct operands *with)
{
    set_i128(oracle->number, with->a.mantissa);
    set_i128(oracle->rest, with->b.mantissa);
    mpz_mul(oracle->number, oracle->number, oracle->rest);
    raise(oracle, oracle->number, with->c.scale + with->digits);
    set_i128(oracle->divisor, with->c.mantissa);
    raise(oracle, oracle->divisor, with->a.scale + with->b.scale);
    round_quotient(oracle, with->mode);
}

static void check_addition(struct oracle *oracle, struct operands *with)
{
    struct dec got = DEC_ZERO;
    if (random_below(8) == 0) { /* near cancellation */
        with->b = dec_negate(with->a);
        if (with->b.scale > 0) {
            with->b = (struct dec){with->b.mantissa - with->b.mantissa % 10 +
                                       (with->b.mantissa < 0 ? -1 : 1),
                                   with->b.scale};
        }
    }
    enum status status = dec_add(with->a, with->b, &got, NULL);
    int scale = align(oracle, with);
    mpz_add(oracle->number, oracle->number, oracle->divisor);
    check_random(oracle, "add", with, status, got, scale);
    status = dec_subtract(with->a, with->b, &got, NULL);
    scale = align(oracle, with);
    mpz_sub(oracle->number, oracle->number, oracle->divisor);
    check_random(oracle, "subtract", with, status, got, scale);
}

static void check_multiplication(struct oracle *oracle, struct operands *with)
{
    struct dec got = DEC_ZERO;
    enum status status = dec_multiply(with->a, with->b, &got, NULL);
    set_i128(oracle->number, with->a.mantissa);
    set_i128(oracle->rest, with->b.mantissa);
    mpz_mul(oracle->number, oracle->number, oracle->rest);
    check_random(oracle, "multiply", with, status, got, with->a.scale + with->b.scale);

    with->c = dec_from_int(1);
    status = dec_multiply_round(with->a, with->b, with->digits, with->mode, &got, NULL);
    set_ratio(oracle, with);
    check_random(oracle, "multiply_round", with, status, got, with->digits);
}

static void check_division(struct oracle *oracle, struct operands *with)
{
    struct dec got = DEC_ZERO;
    if (random_below(4) == 0) { /* ties */
        with->c = (struct dec){random_below(2) ? 2 : -2, 0};
    }
    enum status status =
        dec_multiply_divide(with->a, with->b, with->c, with->digits, with->mode, &got, NULL);
    if (dec_is_zero(with->c)) {
        check_true(status == ERR_INPUT, "multiply_divide by zero", with);
        return;
    }
    set_ratio(oracle, with);
    check_random(oracle, "multiply_divide", with, status, got, with->digits);

    with->b = dec_from_int(1);
    status = dec_divide(with->a, with->c, with->digits, with->mode, &got, NULL);
    set_ratio(oracle, with);
    check_random(oracle, "divide", with, status, got, with->digits);

    with->digits = DEC_SCALE;
    with->mode = ROUND_HALF_EVEN;
    if (random_below(2) == 0) { /* whole numbers of 64 bits have a way of their own */
        with->a = (struct dec){(int64_t)with->a.mantissa >> random_below(64), 0};
        with->c = (struct dec){(int64_t)with->c.mantissa >> random_below(64) | 1, 0};
    }
    struct dec_divisor divisor;
    dec_divisor_init(&divisor, with->c);
    status = dec_divide_by(with->a, &divisor, &got, NULL);
    set_ratio(oracle, with);
    check_random(oracle, "divide_by", with, status, got, with->digits);
    status = dec_divide(with->a, with->c, with->digits, with->mode, &got, NULL);
    check_random(oracle, "divide, half to even", with, status, got, with->digits);
}

static void check_rounding(struct oracle *oracle, struct operands *with)
{
    struct dec got = DEC_ZERO;
    with->digits = random_below(DEC_SCALE_MAX + 1);
    if (random_below(4) == 0 && with->a.scale > 0) { /* ties */
        with->a.mantissa = with->a.mantissa / 10 * 10 + (with->a.mantissa < 0 ? -5 : 5);
        with->digits = with->a.scale - 1;
    }
    if (random_below(4) == 0 && with->a.scale > 0) { /* further from the end, or next to one */
        int cut = 1 + random_below(with->a.scale);
        i128 unit = 1;
        for (int i = 0; i < cut; i++) {
            unit *= 10;
        }
        i128 part = unit / 2 + random_below(3) - 1;
        with->a.mantissa += -(with->a.mantissa % unit) + (with->a.mantissa < 0 ? -part : part);
        with->digits = with->a.scale - cut;
    }
    enum status status = dec_round(with->a, with->digits, with->mode, &got, NULL);
    set_i128(oracle->number, with->a.mantissa);
    if (with->a.scale > with->digits) {
        mpz_ui_pow_ui(oracle->divisor, 10, (unsigned long)(with->a.scale - with->digits));
        round_quotient(oracle, with->mode);
        check_random(oracle, "round", with, status, got, with->digits);
    } else {
        check_random(oracle, "round", with, status, got, with->a.scale);
    }

    status = dec_round_to(with->a, with->b, with->mode, &got, NULL);
    if (with->b.mantissa <= 0) {
        check_true(status == ERR_INPUT, "round_to a step that is not positive", with);
        return;
    }
    int scale = align(oracle, with);
    mpz_set(oracle->low, oracle->divisor);
    round_quotient(oracle, with->mode);
    mpz_mul(oracle->number, oracle->number, oracle->low);
    check_random(oracle, "round_to", with, status, got, scale);
}

static void check_order(struct oracle *oracle, struct operands *with)
{
    if (random_below(4) == 0) { /* neighbours */
        with->b = with->a;
        i128 last = with->b.mantissa % 10;
        with->b.mantissa += last >= 0 && last < 9 ? 1 : last > -9 && last < 0 ? -1 : 0;
    }
    int scale = align(oracle, with);
    int order = mpz_cmp(oracle->number, oracle->divisor);
    check_true(dec_compare(with->a, with->b) == (order > 0) - (order < 0), "compare", with);
    check_true(dec_compare(with->b, with->a) == (order < 0) - (order > 0), "compare", with);

    struct dec got = DEC_ZERO;
    enum status status = dec_remainder(with->a, with->b, &got, NULL);
    if (dec_is_zero(with->b)) {
        check_true(status == ERR_INPUT, "remainder by zero", with);
        return;
    }
    mpz_tdiv_r(oracle->number, oracle->number, oracle->divisor);
    check_random(oracle, "remainder", with, status, got, scale);
}

static void check_making(struct oracle *oracle, struct operands *with)
{
    u128 bits = (u128)random_next() << 64 | random_next();
    bits >>= random_below(128);
    i128 mantissa;
    memcpy(&mantissa, &bits, sizeof mantissa);
    if (random_below(16) == 0) { /* the minimum cannot be negated */
        mantissa = (i128)1 << 126;
        mantissa = -mantissa - mantissa;
    } else if (random_below(4) == 0) {
        mantissa = mantissa / 1'000'000 * 1'000'000;
    }
    int scale = random_below(DEC_SCALE_MAX + 1);
    struct dec got = DEC_ZERO;
    enum status status = dec_make(mantissa, scale, &got, NULL);
    set_i128(oracle->number, mantissa);
    check_random(oracle, "make", with, status, got, scale);
}

/* The text that oracle->number x 10^-scale should have, from GMP's own digits. */
static int expect_text(const mpz_t number, int scale, int digits, char *out)
{
    char plain[256];
    mpz_get_str(plain, 10, number);
    const char *at = plain;
    char *to = out;
    if (*at == '-') {
        *to++ = *at++;
    }
    char padded[512];
    int missing = scale + 1 - (int)strlen(at);
    snprintf(padded, sizeof padded, "%.*s%s", missing > 0 ? missing : 0,
             "0000000000000000000000000000000000000000000000000000000000000000", at);
    int whole = (int)strlen(padded) - scale;
    to += sprintf(to, "%.*s", whole, padded);
    int shown = scale;
    while (shown > digits && padded[whole + shown - 1] == '0') {
        shown--;
    }
    if (shown > 0 || digits > 0) {
        to += sprintf(to, ".%.*s", shown, padded + whole);
        for (int i = shown; i < digits; i++) {
            *to++ = '0';
        }
    }
    *to = '\0';
    return (int)(to - out);
}

static void check_text(struct oracle *oracle, struct operands *with)
{
    char got[DEC_FORMAT_MAX + 8], expected[512];
    memset(got, '#', sizeof got);
    set_i128(oracle->number, with->a.mantissa);
    int length = expect_text(oracle->number, with->a.scale, 0, expected);
    check_true(dec_format(with->a, got) == length && strcmp(got, expected) == 0, "format", with);
    if (with->a.scale <= DEC_SCALE) {
        struct dec back = DEC_ZERO;
        enum number_fault fault = dec_parse((struct text){got, (size_t)length}, &back);
        check_true(fault == NUMBER_OK && dec_equal(back, with->a), "parse of format", with);
    }
    length = expect_text(oracle->number, with->a.scale, with->digits, expected);
    check_true(dec_format_digits(with->a, with->digits, got) == length &&
                   strcmp(got, expected) == 0,
               "format_digits", with);
    check_true(memcmp(got + DEC_FORMAT_MAX, "########", 8) == 0, "format writes too much", with);
}

/* A random number's text: sign, digits, a point somewhere, an exponent or none. */
static void check_parse(struct oracle *oracle, const struct operands *with)
{
    char text[128], digits[128];
    int whole = random_below(4) ? 1 + random_below(12) : 1 + random_below(40);
    int part = random_below(3) ? random_below(12) : random_below(24);
    int kind = random_below(4);
    for (int i = 0; i < whole + part; i++) {
        digits[i] = (char)('0' + (kind == 0   ? 9
                                  : kind == 1 ? (random_below(6) == 0) * random_below(10)
                                              : random_below(10)));
    }
    if (digits[0] == '0') {
        memmove(digits + 1, digits + whole, (size_t)part);
        whole = 1;
    }
    digits[whole + part] = '\0';
    bool negative = random_below(2) == 0;
    int exponent = random_below(3) ? 0 : random_below(81) - 40;
    int length = sprintf(text, "%s%.*s", negative ? "-" : "", whole, digits);
    if (part > 0) {
        length += sprintf(text + length, ".%s", digits + whole);
    }
    if (exponent != 0 || random_below(8) == 0) {
        length += sprintf(text + length, random_below(2) ? "e%d" : "E%+d", exponent);
    }

    enum number_fault expected = NUMBER_OK;
    struct dec value = DEC_ZERO;
    mpz_set_str(oracle->number, digits, 10);
    if (negative) {
        mpz_neg(oracle->number, oracle->number);
    }
    int scale = part - exponent;
    if (scale < 0) {
        raise(oracle, oracle->number, -scale);
        scale = 0;
    }
    while (scale > 0 && mpz_divisible_ui_p(oracle->number, 10)) {
        mpz_divexact_ui(oracle->number, oracle->number, 10);
        scale--;
    }
    if (length > DEC_LENGTH_MAX) {
        expected = NUMBER_LENGTH;
    } else if (mpz_cmpabs(oracle->number, oracle->limit) >= 0) {
        expected = NUMBER_RANGE;
    } else if (scale > DEC_SCALE) {
        expected = NUMBER_SCALE;
    } else {
        value = (struct dec){get_i128(oracle->number), scale};
    }
    struct dec got = DEC_ZERO;
    /* A copy of exactly this size lets the sanitizer see a read behind the text. */
    char *exact = malloc((size_t)length);
    assert_non_null(exact);
    memcpy(exact, text, (size_t)length);
    enum number_fault fault = dec_parse((struct text){exact, (size_t)length}, &got);
    free(exact);
    bool right = fault == expected && (fault != NUMBER_OK || dec_equal(got, value));
    if (!right) {
        check_true(false, "parse", with);
        printf("    text %s: got %s, expected %s\n", text, number_fault_name(fault),
               number_fault_name(expected));
    }
}

/* ---- sums and curves ----------------------------------------------------------------------- */

static void set_wide(mpz_t to, const struct wide *wide)
{
    mpz_import(to, 4, -1, sizeof wide->limb[0], 0, 0, wide->limb);
    if (wide_is_negative(wide)) {
        mpz_t turn;
        mpz_init_set_ui(turn, 1);
        mpz_mul_2exp(turn, turn, 256);
        mpz_sub(to, to, turn);
        mpz_clear(turn);
    }
}

static struct wide random_wide(void)
{
    struct wide wide;
    uint64_t sign = random_below(2) ? ~UINT64_C(0) : 0;
    int used = random_below(5);
    for (int i = 0; i < 4; i++) {
        wide.limb[i] = i < used ? random_next() : sign;
        if (random_below(8) == 0) {
            wide.limb[i] = random_below(2) ? ~UINT64_C(0) : 0;
        }
    }
    return wide;
}

static void check_sums(struct oracle *oracle, struct operands *with)
{
    struct wide sum = {{0}}, reverse = {{0}};
    struct dec terms[8];
    mpz_set_ui(oracle->low, 0);
    int count = 1 + random_below(8);
    for (int i = 0; i < count; i++) {
        terms[i] = random_dec(DEC_SCALE);
        set_i128(oracle->number, terms[i].mantissa);
        raise(oracle, oracle->number, DEC_SCALE - terms[i].scale);
        mpz_add(oracle->low, oracle->low, oracle->number);
        int64_t small = (int64_t)terms[i].mantissa;
        if (small == terms[i].mantissa) {
            wide_add_i64(&sum, small, terms[i].scale);
        } else {
            wide_add_dec(&sum, terms[i]);
        }
    }
    int64_t edge = random_below(2) ? INT64_MIN : INT64_MAX;
    int edge_scale = random_below(DEC_SCALE + 1);
    wide_add_i64(&sum, edge, edge_scale);
    mpz_set_si(oracle->number, edge);
    raise(oracle, oracle->number, DEC_SCALE - edge_scale);
    mpz_add(oracle->low, oracle->low, oracle->number);
    wide_add_dec(&reverse, small_dec(edge, edge_scale));
    for (int i = count - 1; i >= 0; i--) {
        struct wide one = {{0}};
        wide_add_dec(&one, terms[i]);
        wide_add(&reverse, &one);
    }
    check_true(wide_equal(&sum, &reverse), "wide sums in two orders", with);
    check_true(wide_is_negative(&sum) == (mpz_sgn(oracle->low) < 0), "wide_is_negative", with);
    struct dec got = DEC_ZERO;
    enum status status = wide_read(&sum, &got, NULL);
    mpz_set(oracle->number, oracle->low);
    check_random(oracle, "wide_read", with, status, got, DEC_SCALE);

    char text[96 + 8], expected[512];
    memset(text, '#', sizeof text);
    int length = expect_text(oracle->low, DEC_SCALE, 0, expected);
    check_true(wide_format(&sum, text) == length && strcmp(text, expected) == 0, "wide_format",
               with);
    for (int i = 0; i < count; i++) {
        struct wide one = {{0}};
        wide_add_dec(&one, terms[i]);
        wide_subtract(&sum, &one);
    }
    struct wide only_edge = {{0}};
    wide_add_i64(&only_edge, edge, edge_scale);
    check_true(wide_equal(&sum, &only_edge), "wide_subtract", with);
}

/* Any 256 bits, not only those that sums have. */
static void check_bits(struct oracle *oracle, struct operands *with)
{
    struct wide wide = random_wide();
    set_wide(oracle->low, &wide);
    char text[96 + 8], expected[512];
    memset(text, '#', sizeof text);
    int length = expect_text(oracle->low, DEC_SCALE, 0, expected);
    check_true(wide_format(&wide, text) == length && strcmp(text, expected) == 0, "wide_format",
               with);
    check_true(memcmp(text + 96, "########", 8) == 0, "wide_format writes too much", with);
    struct dec got = DEC_ZERO;
    enum status status = wide_read(&wide, &got, NULL);
    mpz_set(oracle->number, oracle->low);
    check_random(oracle, "wide_read", with, status, got, DEC_SCALE);

    struct exact exact = {wide};
    status = exact_round(&exact, with->digits, with->mode, &got, NULL);
    mpz_set(oracle->number, oracle->low);
    mpz_ui_pow_ui(oracle->divisor, 10, (unsigned long)(DEC_SCALE_MAX - with->digits));
    round_quotient(oracle, with->mode);
    check_random(oracle, "exact_round", with, status, got, with->digits);
}

static void check_curves(struct oracle *oracle, struct operands *with)
{
    struct exact sum = {{{0}}};
    int scale_max = random_below(4) ? DEC_SCALE : DEC_SCALE_MAX;
    if (random_below(2) == 0) {
        sum.at36 = random_wide();
    }
    set_wide(oracle->high, &sum.at36);
    for (int i = 1 + random_below(6); i > 0; i--) {
        with->a = random_dec(scale_max);
        with->b = random_dec(scale_max);
        struct exact before = sum;
        enum status status;
        int scale = with->a.scale;
        set_i128(oracle->number, with->a.mantissa);
        if (random_below(2)) {
            status = exact_add(&sum, with->a, NULL);
        } else {
            status = exact_add_product(&sum, with->a, with->b, NULL);
            set_i128(oracle->rest, with->b.mantissa);
            mpz_mul(oracle->number, oracle->number, oracle->rest);
            scale += with->b.scale;
        }
        raise(oracle, oracle->number, 2 * DEC_SCALE_MAX - scale);
        mpz_ui_pow_ui(oracle->ten, 10, DEC_SCALE_MAX);
        bool fits = mpz_divisible_p(oracle->number, oracle->ten) != 0;
        mpz_tdiv_q(oracle->number, oracle->number, oracle->ten);
        fits = fits && mpz_sizeinbase(oracle->number, 2) <= 255;
        mpz_add(oracle->low, oracle->high, oracle->number);
        mpz_set(oracle->rest, oracle->low);
        if (mpz_sgn(oracle->rest) < 0) { /* -2^255 is in range, 2^255 is not */
            mpz_com(oracle->rest, oracle->rest);
        }
        fits = fits && mpz_sizeinbase(oracle->rest, 2) <= 255;
        if (fits) {
            mpz_swap(oracle->high, oracle->low);
        } else {
            check_true(wide_equal(&before.at36, &sum.at36), "exact sum after overflow", with);
        }
        check_true(status == (fits ? OK : ERR_OVERFLOW), "exact_add overflow", with);
    }
    set_wide(oracle->low, &sum.at36);
    check_true(mpz_cmp(oracle->low, oracle->high) == 0, "exact_add", with);
    struct dec got = DEC_ZERO;
    enum status status = exact_round(&sum, with->digits, with->mode, &got, NULL);
    mpz_set(oracle->number, oracle->high);
    mpz_ui_pow_ui(oracle->divisor, 10, (unsigned long)(DEC_SCALE_MAX - with->digits));
    round_quotient(oracle, with->mode);
    check_random(oracle, "exact_round", with, status, got, with->digits);
}

/* ---- all sizes ----------------------------------------------------------------------------- */

/* All scale digits of it are written, also zeros at the end, and nothing behind its room. */
static void check_format(const mpz_t number, int scale)
{
    char got[DEC_FORMAT_MAX + 8], expected[512];
    memset(got, '#', sizeof got);
    int length = expect_text(number, scale, scale, expected);
    int written = dec_format((struct dec){get_i128(number), scale}, got);
    case_count++;
    if ((written != length || strcmp(got, expected) != 0 ||
         memcmp(got + DEC_FORMAT_MAX, "########", 8) != 0) &&
        mismatch("format")) {
        printf("    got %s, expected %s\n", got, expected);
    }
}

/* A value comes back from a sum, and from twice itself. */
static void check_sum(struct oracle *oracle, int scale)
{
    struct operands with = {.a = {get_i128(oracle->number), scale}, .b = {2, 0}};
    struct wide sum = {{0}};
    struct dec got = DEC_ZERO;
    wide_add_dec(&sum, with.a);
    check_random(oracle, "wide_read", &with, wide_read(&sum, &got, NULL), got, scale);
    wide_add_dec(&sum, with.a);
    mpz_mul_2exp(oracle->number, oracle->number, 1);
    check_random(oracle, "wide_read", &with, wide_read(&sum, &got, NULL), got, scale);
    check_random(oracle, "multiply", &with, dec_multiply(with.a, with.b, &got, NULL), got, scale);
}

/* At all scales: the number, its neighbours, and their opposites. */
static void check_sizes(struct oracle *oracle, const mpz_t number)
{
    for (int by = -1; by <= 1; by++) {
        for (int scale = 0; scale <= DEC_SCALE_MAX; scale++) {
            for (int sign = 1; sign >= -1; sign -= 2) {
                mpz_set_si(oracle->number, by);
                mpz_add(oracle->number, oracle->number, number);
                mpz_mul_si(oracle->number, oracle->number, sign);
                if (mpz_cmpabs(oracle->number, oracle->limit) >= 0) {
                    continue;
                }
                check_format(oracle->number, scale);
                if (scale <= DEC_SCALE) {
                    check_sum(oracle, scale);
                }
            }
        }
    }
}

static void numbers_of_all_sizes_are_exact(void **)
{
    restart_count();
    random_state = read_env("FARTHING_SEED", 1);
    printf("  FARTHING_SEED=%llu\n", (unsigned long long)random_state);
    struct oracle oracle;
    init_oracle(&oracle);
    for (unsigned long bits = 0; bits < 127; bits++) {
        mpz_ui_pow_ui(oracle.low, 2, bits);
        check_sizes(&oracle, oracle.low);
    }
    for (unsigned long digits = 0; digits <= DEC_DIGITS_MAX; digits++) {
        mpz_ui_pow_ui(oracle.low, 10, digits);
        check_sizes(&oracle, oracle.low);
        for (int i = 0; i < 30; i++) {
            set_i128(oracle.high, (i128)((u128)(random_next() >> 1) << 64 | random_next()));
            mpz_ui_pow_ui(oracle.low, 10, digits);
            mpz_tdiv_r(oracle.low, oracle.high, oracle.low);
            check_sizes(&oracle, oracle.low);
        }
    }
    /* A few digits, then as many zeros or nines. */
    for (unsigned long first = 1; first <= 1000; first = first * 10 / 3 + 1) {
        for (unsigned long digits = 0; digits < DEC_DIGITS_MAX - 3; digits++) {
            mpz_ui_pow_ui(oracle.low, 10, digits);
            mpz_mul_ui(oracle.low, oracle.low, first);
            check_sizes(&oracle, oracle.low);
        }
    }
    clear_oracle(&oracle);
    report("numbers of all sizes");
}

/* What the grammar says of a text without an exponent: digits, a point among them or none. */
static bool is_plain_number(const char *text, int length)
{
    int at = length > 0 && text[0] == '-', whole = 0, part = 0;
    const bool leads_with_zero = at < length && text[at] == '0';
    for (; at < length && text[at] >= '0' && text[at] <= '9'; at++) {
        whole++;
    }
    if (whole == 0 || (whole > 1 && leads_with_zero)) {
        return false;
    }
    if (at == length) {
        return true;
    }
    if (text[at] != '.') {
        return false;
    }
    for (at++; at < length && text[at] >= '0' && text[at] <= '9'; at++) {
        part++;
    }
    return part > 0 && at == length;
}

/* Short texts of all lengths and forms, each also with a character or two that may not be there. */
static void short_texts_are_read_or_refused(void **)
{
    restart_count();
    random_state = read_env("FARTHING_SEED", 1);
    printf("  FARTHING_SEED=%llu\n", (unsigned long long)random_state);
    static const char odd[] = ".-+/: 0\xAE\xFF\x1E\x8A";
    struct oracle oracle;
    init_oracle(&oracle);
    for (int i = 0; i < 2'000'000; i++) {
        const int length = 1 + random_below(21), point = random_below(24);
        char text[24], digits[24];
        for (int k = 0; k < length; k++) {
            text[k] = k == point ? '.' : (char)('0' + random_below(10));
        }
        text[0] = random_below(4) ? text[0] : '-';
        for (int changes = random_below(3); changes > 0; changes--) {
            text[random_below(length)] =
                random_below(4) ? odd[random_below(sizeof odd)] : (char)random_below(256);
        }
        if (memchr(text, 'e', (size_t)length) || memchr(text, 'E', (size_t)length)) {
            continue;
        }
        case_count++;
        struct dec got = DEC_ZERO, expected = DEC_ZERO;
        char *exact = malloc((size_t)length);
        assert_non_null(exact);
        memcpy(exact, text, (size_t)length);
        const enum number_fault fault = dec_parse((struct text){exact, (size_t)length}, &got);
        free(exact);
        enum number_fault wanted = NUMBER_SYNTAX;
        if (is_plain_number(text, length)) {
            int count = 0, scale = 0;
            for (int k = 0; k < length; k++) {
                if (text[k] == '.') {
                    scale = length - 1 - k;
                } else {
                    digits[count++] = text[k];
                }
            }
            digits[count] = '\0';
            mpz_set_str(oracle.number, digits, 10);
            assert_true(expect(&oracle, scale, &expected));
            wanted = expected.scale <= DEC_SCALE ? NUMBER_OK : NUMBER_SCALE;
        }
        if ((fault != wanted || (fault == NUMBER_OK && !dec_equal(got, expected))) &&
            mismatch("parse")) {
            printf("    text %.*s: got %s, expected %s\n", length, text, number_fault_name(fault),
                   number_fault_name(wanted));
        }
    }
    clear_oracle(&oracle);
    report("short texts");
}

static void random_values_are_exact(void **)
{
    restart_count();
    random_state = read_env("FARTHING_SEED", 1);
    uint64_t cases = read_env("FARTHING_CASES", 1'000'000);
    printf("  FARTHING_SEED=%llu FARTHING_CASES=%llu\n", (unsigned long long)random_state,
           (unsigned long long)cases);
    struct oracle oracle;
    init_oracle(&oracle);
    while (case_count < cases) {
        case_count++;
        int scale_max = random_below(3) ? DEC_SCALE : DEC_SCALE_MAX;
        struct operands with = {
            .a = random_dec(scale_max),
            .b = random_dec(scale_max),
            .c = random_dec(scale_max),
            .digits = random_below(DEC_SCALE + 1),
            .mode = (enum rounding)random_below(ROUND_MODES),
        };
        switch (case_count % 10) {
        case 0:
            check_addition(&oracle, &with);
            break;
        case 1:
            check_multiplication(&oracle, &with);
            break;
        case 2:
            check_division(&oracle, &with);
            break;
        case 3:
            check_rounding(&oracle, &with);
            break;
        case 4:
            check_order(&oracle, &with);
            break;
        case 5:
            check_making(&oracle, &with);
            check_text(&oracle, &with);
            break;
        case 6:
            check_parse(&oracle, &with);
            break;
        case 7:
            check_sums(&oracle, &with);
            break;
        case 8:
            check_bits(&oracle, &with);
            break;
        default:
            check_curves(&oracle, &with);
            break;
        }
    }
    clear_oracle(&oracle);
    report("random values");
}

/* ---- tables and names ---------------------------------------------------------------------- */

static void numbers_are_read_or_refused(void **)
{
    restart_count();
    struct table table = table_read("number_fault");
    for (size_t i = 0; i < table.row_count; i++) {
        const struct table_row *row = &table.rows[i];
        case_count++;
        struct dec value = DEC_ZERO;
        char shown[DEC_FORMAT_MAX] = "";
        enum number_fault fault = dec_parse(row->fields[0], &value);
        if (fault == NUMBER_OK) {
            dec_format(value, shown);
        }
        if ((!text_equal(row->fields[1], text_of(number_fault_name(fault))) ||
             !text_equal(row->fields[2], text_of(shown))) &&
            mismatch("number_fault.tbl")) {
            printf("    line %d: got %s %s\n", row->line, number_fault_name(fault), shown);
        }
    }
    table_free(&table);
    report("number_fault.tbl");
}

static void names_are_stable(void **)
{
    static const char *const names[] = {"half_up", "half_even", "half_down", "up",
                                        "down",    "ceiling",   "floor"};
    for (int i = 0; i < ROUND_MODES; i++) {
        enum rounding mode = ROUND_MODES;
        assert_true(rounding_parse(text_of(names[i]), &mode));
        assert_int_equal(mode, i);
        assert_string_equal(rounding_name(mode), names[i]);
    }
    enum rounding mode;
    assert_false(rounding_parse(TEXT("bankers"), &mode));
    assert_false(rounding_parse(TEXT(""), &mode));
    assert_false(rounding_parse(TEXT("half_u"), &mode));
}

static void errors_are_told(void **)
{
    struct error err = {.status = OK};
    struct dec largest = DEC_ZERO, value = DEC_ZERO;
    assert_int_equal(dec_parse(TEXT("99999999999999999999999999999999999999"), &largest),
                     NUMBER_OK);
    assert_int_equal(dec_add(largest, dec_from_int(1), &value, &err), ERR_OVERFLOW);
    assert_int_equal(err.status, ERR_OVERFLOW);
    assert_true(strlen(err.message) > 0);
    assert_int_equal(dec_divide(largest, DEC_ZERO, 2, ROUND_UP, &value, &err), ERR_INPUT);
    assert_int_equal(err.status, ERR_INPUT);
    assert_int_equal(dec_round_to(largest, dec_from_int(-1), ROUND_UP, &value, &err), ERR_INPUT);
    assert_int_equal(dec_remainder(largest, DEC_ZERO, &value, &err), ERR_INPUT);

    /* A sum holds what a value cannot, and comes back into range. */
    struct wide sum = {{0}};
    for (int i = 0; i < 1000; i++) {
        wide_add_dec(&sum, largest);
    }
    assert_int_equal(wide_read(&sum, &value, &err), ERR_OVERFLOW);
    for (int i = 0; i < 999; i++) {
        wide_add_dec(&sum, dec_negate(largest));
    }
    assert_int_equal(wide_read(&sum, &value, &err), OK);
    assert_true(dec_equal(value, largest));
}

static struct dec number(const char *text)
{
    struct dec value = DEC_ZERO;
    assert_int_equal(dec_parse(text_of(text), &value), NUMBER_OK);
    return value;
}

/* Borders that random values do not meet. */
static void borders_hold(void **)
{
    struct dec value = DEC_ZERO;
    /* The largest multiple of ten in 128 bits becomes a value once its zero is gone. */
    assert_int_equal(dec_multiply(number("680564733841876926926749214863536422.9"),
                                  dec_from_int(50), &value, NULL),
                     OK);
    assert_true(dec_equal(value, number("34028236692093846346337460743176821145")));
    /* 10^18 x 2^128, cut by 10^18, is 2^128: one more than 128 bits hold, and 39 digits. */
    struct exact sum = {{{0, 0, 1'000'000'000'000'000'000, 0}}};
    assert_int_equal(exact_round(&sum, 18, ROUND_DOWN, &value, NULL), ERR_OVERFLOW);
    /* 2^64 has no room in the quick sum of two 64-bit mantissas. */
    assert_int_equal(dec_add(dec_from_int(INT64_MIN), dec_from_int(INT64_MIN), &value, NULL), OK);
    assert_true(dec_equal(value, number("-18446744073709551616")));
    assert_int_equal(dec_subtract(DEC_ZERO, dec_from_int(INT64_MIN), &value, NULL), OK);
    assert_true(dec_equal(value, number("9223372036854775808")));
    /* 2^63 is a product of 64 bits only with a sign. */
    assert_int_equal(dec_multiply(number("429496729.6"), number("-214748364.8"), &value, NULL), OK);
    assert_true(dec_equal(value, number("-92233720368547758.08")));
    assert_int_equal(dec_multiply(number("429496729.6"), number("214748364.8"), &value, NULL), OK);
    assert_true(dec_equal(value, number("92233720368547758.08")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_or_refused),
        cmocka_unit_test(names_are_stable),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(borders_hold),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(numbers_of_all_sizes_are_exact),
        cmocka_unit_test(short_texts_are_read_or_refused),
        cmocka_unit_test(random_values_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
