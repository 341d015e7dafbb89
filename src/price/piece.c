/* piece.c - amounts of rows and charges that have no bucket, at a rate or a percentage.
 *
 * Each costs what it costs, whatever came before.  Only what 18 digits do not hold would be rounded
 * once for each, and three thirds would not be a whole: so these are pieces of a curve, of which
 * each value is rounded once.  The curve is that of what is rounded afterwards: of a line.
 */
#include "price/line_key.h"
#include "price/work.h"

#include "base/nofloat.h"

/* What tells a curve, besides its line. */
struct piece_key {
    const struct price *price;
    i128 mantissa; /* of the rate, the same however it was written */
    uint32_t account, sku, node;
    int32_t scale;
};
struct piece_curve {
    struct dec x, y; /* quantity so far, and what it has come to */
};

static struct dec shortest(struct dec value)
{
    while (value.scale > 0 && value.mantissa % 10 == 0) {
        value.mantissa /= 10;
        value.scale--;
    }
    return value;
}

static struct piece_curve *find_curve(struct work *work, const struct step *step,
                                      const struct charge *like, struct dec rate)
{
    const struct dec plain = shortest(rate);
    struct piece_key key;
    memset(&key, 0, sizeof key); /* gaps, too */
    key.price = like->price;
    key.mantissa = plain.mantissa;
    key.account = like->account;
    key.sku = like->sku;
    key.node = step->node;
    key.scale = plain.scale;
    struct arena_mark mark = arena_mark(work->arena);
    struct buffer all;
    buffer_init(&all, work->arena, 256);
    buffer_add(&all, (const char *)&key, sizeof key);
    if (work->is_by_line) {
        struct charge on = *like;
        on.rate = shortest(like->rate);
        line_key_add(work->arena, work->pricing, &on, &all);
    }
    const struct hash128 print = hash_print(all.at, all.size);
    arena_rewind(work->arena, mark);
    bool is_new;
    const uint32_t index = keys_add(work->arena, &work->pieces, print, &is_new);
    if (is_new) {
        work->piece_curves = arena_room(work->arena, work->piece_curves, index,
                                        &work->piece_curve_capacity, sizeof *work->piece_curves);
        work->piece_curves[index] = (struct piece_curve){DEC_ZERO, DEC_ZERO};
    }
    return &work->piece_curves[index];
}

/* quantity x rate / per. */
static enum status value(const struct piece *piece, struct dec quantity, enum rounding mode,
                         struct dec *amount, struct error *err)
{
    return dec_multiply_divide(quantity, piece->rate, piece->per, DEC_SCALE, mode, amount, err);
}

enum status piece_alone(const struct piece *piece, bool *is_held, struct dec *amount,
                        struct error *err)
{
    const int scale = piece->quantity.scale + piece->rate.scale + piece->per_digits;
    *is_held = true;
    if (piece->per_digits == 0 && scale <= DEC_SCALE) {
        return dec_multiply(piece->quantity, piece->rate, amount, err);
    }
    TRY(value(piece, piece->quantity, ROUND_DOWN, amount, err));
    if (piece->per_digits < 0 || scale > DEC_SCALE) {
        struct dec more;
        TRY(value(piece, piece->quantity, ROUND_UP, &more, err));
        *is_held = dec_equal(*amount, more);
    }
    return OK;
}

enum status piece_of_curve(struct work *work, const struct step *step, const struct charge *like,
                           const struct piece *piece, struct dec *amount)
{
    struct piece_curve *curve = find_curve(work, step, like, piece->rate);
    struct dec x, y;
    TRY(dec_add(curve->x, piece->quantity, &x, work->err));
    TRY(value(piece, x, ROUND_HALF_EVEN, &y, work->err));
    TRY(dec_subtract(y, curve->y, amount, work->err));
    *curve = (struct piece_curve){x, y};
    return OK;
}
