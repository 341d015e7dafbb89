/* curve.h - the curves F that steps are: pure functions of what has accumulated.
 *
 * Each takes exact decimals and gives F(x) quantized once at 18 digits, half-even.  The limits and
 * rates of a bucket are numbers already (struct number evaluated): a curve knows no expressions.
 */
#ifndef FARTHING_PRICE_CURVE_H
#define FARTHING_PRICE_CURVE_H

#include "base/arena.h"
#include "catalog/catalog.h"

/* Graduated: F(x), all flats of the tiers up to high (>= x) included. */
enum status curve_graduated(const struct step_tier *step, const struct tier_values *tiers,
                            struct dec x, struct dec high, struct dec *value, struct error *err);
/* Graduated: what F comes to just before x is reached for the first time; it differs from F(x) by
 * the flat of a tier that begins with x itself, behind one with `below`. */
enum status curve_graduated_before(const struct step_tier *step, const struct tier_values *tiers,
                                   struct dec x, struct dec *value, struct error *err);
/* Volume: F(x) and the tier that the position lies in, which is mostly x itself. */
enum status curve_volume(const struct step_tier *step, const struct tier_values *tiers,
                         struct dec x, struct dec position, uint32_t *tier, struct dec *value,
                         struct error *err);
/* The tier that a quantity of x reaches into: that of the last unit up to x. */
uint32_t curve_tier_of(const struct tier_values *tiers, uint32_t count, struct dec x);
/* The tier of what lies right above x. */
uint32_t curve_tier_above(const struct tier_values *tiers, uint32_t count, struct dec x);

/* Convert: factor or nothing, minimum, increments, round. quantity is after the expression, if
 * there is one. */
struct convert_values {
    struct dec multiply, divide, minimum;
};
enum status curve_convert(const struct step_convert *step, const struct convert_values *values,
                          struct dec x, struct dec *value, struct error *err);

/* Where the first limit of a tier strictly between x and end lies; false when there is none. */
bool curve_boundary(const struct tier_values *tiers, uint32_t count, struct dec x, struct dec end,
                    struct dec *boundary);

/* How a part is prorated that lies in a turn as it is billed, which a change of clocks may have
 * ended before its clock does: the day in which it ends is counted where it ends before the turn,
 * not where the turn ends with it. */
static inline enum prorate prorate_in_turn(enum prorate prorate, struct period part,
                                           struct period turn)
{
    return prorate == PRORATE_DAY_INCLUSIVE && part.to == turn.to ? PRORATE_DAY : prorate;
}

/* value x the part of turn that active has, by the step's rule, quantized once at 18 digits.  The
 * part is exact, unless digits are fewer than 18: then it is rounded to them first.  value itself
 * for PRORATE_NONE. */
enum status prorate_value(struct proration how, struct period active, struct period turn,
                          const struct zone *zone, struct dec value, struct dec *prorated,
                          struct error *err);
/* The same of several parts of a turn, which ends as it is billed, `turn`; `whole` is what its
 * clock counts.  All parts together are one factor. */
enum status prorate_parts(struct proration how, const struct period *parts, uint32_t count,
                          struct period turn, struct period whole, const struct zone *zone,
                          struct dec value, struct dec *prorated, struct error *err);
/* That part in days, as the rule counts them; false when it counts none: PRORATE_NONE and
 * PRORATE_SECOND, a turn inside one day, and a part that is the whole. */
bool prorate_days(enum prorate prorate, struct period active, struct period turn,
                  const struct zone *zone, int64_t *part, int64_t *whole);
/* The same for one of several parts of a turn: what the value comes to at the part's end less what
 * it comes to at its start, so that the parts of a turn add up to the value to the last digit.
 * Parts that are rounded to digits, or that count the day in which they end, stand alone. */
enum status prorate_part(struct proration how, struct period part, struct period turn,
                         const struct zone *zone, struct dec value, struct dec *prorated,
                         struct error *err);

#endif
