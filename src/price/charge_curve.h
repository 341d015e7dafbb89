/* charge_curve.h - what a step over charges says, in numbers, and the curve F that it is.  Private
 * to step_charge.c, which runs charges along it; doc/pricing/terms.md has the rules.
 *
 * x is what the bucket's charges come to, or what else the step measures.
 */
#ifndef FARTHING_PRICE_CHARGE_CURVE_H
#define FARTHING_PRICE_CHARGE_CURVE_H

#include "price/work.h"

/* The numbers of a step in a bucket. */
struct charge_values {
    struct dec number, limit, min, max;
    const struct tier_values *tiers;
    bool is_over;            /* the turns in which it applies are behind */
    struct dec rolled, unit; /* of a commit: what counts besides x, and what a unit costs; of a
                                bound, what its maximum took back of x */
};

/* Those numbers, as a charge asks for them.  ERR_INPUT: one is negative, or out of its range. */
enum status charge_numbers(struct work *work, const struct step *step, const struct charge *charge,
                           struct period turn, struct charge_values *values);
/* What a discount, a markup or a fee of x comes to, without its sign. */
enum status charge_worth(const struct step *step, const struct charge_values *values, struct dec x,
                         struct dec *f, struct error *err);
/* So much in a turn at most: of returns beyond what was used no more is given back, either. */
struct dec charge_within(struct dec y, struct dec limit);
/* What a bucket comes to as a whole, with its sign: F(x), and the sum of the step's charges. */
enum status charge_whole(const struct step *step, const struct charge_values *values, struct dec x,
                         struct dec *f, struct dec *y, struct error *err);

#endif
