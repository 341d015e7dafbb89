/* diff_sums.h - sums of what the lines of bills say, and parts of them.  Private to this room.
 * They are of 256 bits: sums of numbers that have 38 digits may have more. */
#ifndef FARTHING_INSPECT_DIFF_SUMS_H
#define FARTHING_INSPECT_DIFF_SUMS_H

#include "base/decimal.h"

bool sum_is_zero(struct wide value);
struct wide sum_plus(struct wide a, struct wide b);
struct wide sum_minus(struct wide a, struct wide b);
struct wide sum_negative(struct wide value);
int sum_sign(struct wide value);
/* No bill has more digits after the point than are kept. */
enum status sum_add(struct error *err, struct wide *sum, struct dec value);
enum status sum_take(struct error *err, struct wide *sum, struct dec value);
/* a x b / c, rounded to as many digits as there is room for. ERR_OVERFLOW. */
enum status sum_multiply_divide(struct error *err, struct wide a, struct wide b, struct wide c,
                                struct wide *out);

#endif
