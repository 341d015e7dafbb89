/* spread.c - an event with a duration, in pieces.
 *
 * Up to an instant an event has used the part of its value that the time until then is of the
 * whole: quantized once, at 18 digits half-even.  A piece is a difference of two such parts, so
 * pieces add up to the value, wherever they are cut.
 */
#include "usage/usage.h"

static enum status used_until(const struct spread *spread, instant at, struct dec *used)
{
    if (at >= spread->span.to) {
        *used = spread->value;
        return OK;
    }
    struct dec part = dec_from_int(at - spread->span.from);
    struct dec whole = dec_from_int(spread->span.to - spread->span.from);
    return dec_multiply_divide(spread->value, part, whole, DEC_SCALE, ROUND_HALF_EVEN, used, NULL);
}

bool spread_piece(const struct spread *spread, struct period piece, struct dec *value)
{
    struct dec before = DEC_ZERO, after;
    return (piece.from <= spread->span.from || used_until(spread, piece.from, &before) == OK) &&
           used_until(spread, piece.to, &after) == OK &&
           dec_subtract(after, before, value, NULL) == OK;
}
