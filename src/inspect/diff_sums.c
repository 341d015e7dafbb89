/* diff_sums.c - see diff_sums.h. */
#include "inspect/diff_sums.h"

bool sum_is_zero(struct wide value)
{
    static const struct wide zero = {{0}};
    return wide_equal(&value, &zero);
}

struct wide sum_plus(struct wide a, struct wide b)
{
    wide_add(&a, &b);
    return a;
}

struct wide sum_minus(struct wide a, struct wide b)
{
    wide_subtract(&a, &b);
    return a;
}

struct wide sum_negative(struct wide value)
{
    return sum_minus((struct wide){{0}}, value);
}

int sum_sign(struct wide value)
{
    return sum_is_zero(value) ? 0 : wide_is_negative(&value) ? -1 : 1;
}

enum status sum_add(struct error *err, struct wide *sum, struct dec value)
{
    if (value.scale > DEC_SCALE) {
        TRY(dec_round(value, DEC_SCALE, ROUND_HALF_EVEN, &value, err));
    }
    wide_add_dec(sum, value);
    return OK;
}

enum status sum_take(struct error *err, struct wide *sum, struct dec value)
{
    return sum_add(err, sum, dec_negate(value));
}

/* As many digits of it as a decimal has. */
static enum status shorten(struct error *err, struct wide value, struct dec *out)
{
    enum { DIGITS_MAX = 37 };
    char text[WIDE_FORMAT_MAX];
    size_t size = (size_t)wide_format(&value, text);
    const char *point = memchr(text, '.', size);
    size_t whole = point ? (size_t)(point - text) : size, most = DIGITS_MAX + 2;
    if (size > most && whole < most) {
        size = whole >= most - 1 ? whole : most;
    }
    if (dec_parse((struct text){text, size}, out) != NUMBER_OK) {
        return fail(err, ERR_OVERFLOW, "a sum of these bills has more than 38 digits");
    }
    return OK;
}

enum status sum_multiply_divide(struct error *err, struct wide a, struct wide b, struct wide c,
                                struct wide *out)
{
    struct dec x, y, z, product;
    TRY(shorten(err, a, &x));
    TRY(shorten(err, b, &y));
    TRY(shorten(err, c, &z));
    enum status status = ERR_OVERFLOW;
    for (int digits = DEC_SCALE; digits >= 0 && status == ERR_OVERFLOW; digits -= DEC_SCALE / 6) {
        status = dec_multiply_divide(x, y, z, digits, ROUND_HALF_EVEN, &product, err);
    }
    TRY(status);
    *out = (struct wide){{0}};
    return sum_add(err, out, product);
}
