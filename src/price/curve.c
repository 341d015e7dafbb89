/* curve.c - see curve.h.  A tier covers (from, up_to]; `below` moves the boundary itself to the
 * next tier. */
#include "price/curve.h"

#include <assert.h>

#include "base/nofloat.h"

/* True when a quantity of x has entered the tier: paid its flat. */
static bool enters_tier(const struct tier_values *tier, struct dec x)
{
    int order = dec_compare(x, tier->from);
    return order > 0 || (order == 0 && tier->from_is_in && dec_sign(x) > 0);
}

uint32_t curve_tier_of(const struct tier_values *tiers, uint32_t count, struct dec x)
{
    uint32_t at = 0;
    while (at + 1 < count && enters_tier(&tiers[at + 1], x)) {
        at++;
    }
    return at;
}

static enum status count_packages(const struct step_tier *step, const struct tier *tier,
                                  struct dec quantity, struct dec *packages, struct error *err)
{
    struct dec rounded;
    TRY(dec_round_to(quantity, tier->package, step->package_round, &rounded, err));
    return dec_divide(rounded, tier->package, DEC_SCALE, ROUND_HALF_EVEN, packages, err);
}

/* Adds rate x quantity (in packages, as a percentage) to the sum. */
static enum status add_part(const struct step_tier *step, const struct tier_values *values,
                            struct dec quantity, struct exact *sum, struct error *err)
{
    const struct tier *tier = values->tier;
    if (tier->has_package) {
        TRY(count_packages(step, tier, quantity, &quantity, err));
    }
    struct dec rate = values->rate;
    if (tier->is_percent) {
        TRY(dec_multiply(rate, (struct dec){1, 2}, &rate, err));
    }
    return exact_add_product(sum, quantity, rate, err);
}

enum status curve_graduated(const struct step_tier *step, const struct tier_values *tiers,
                            struct dec x, struct dec high, struct dec *value, struct error *err)
{
    struct exact sum = {0};
    bool negative = dec_sign(x) < 0; /* returns: at the first tier's rate */
    for (uint32_t i = 0; i < step->tier_count; i++) {
        const struct tier_values *tier = &tiers[i];
        bool paid = enters_tier(tier, high) || (i == 0 && step->at_zero_charge);
        if (paid) {
            TRY(exact_add(&sum, tier->flat, err));
        }
        bool past_last = i + 1 == step->tier_count && !tier->open && step->past_last == PAST_LAST;
        if (negative && i > 0) {
            continue;
        }
        if (!negative && !enters_tier(tier, x)) {
            if (dec_compare(high, x) <= 0) {
                break;
            }
            continue;
        }
        struct dec end = x;
        if (!negative && !tier->open && !past_last && dec_compare(x, tier->up_to) > 0) {
            end = tier->up_to;
        }
        struct dec part;
        TRY(dec_subtract(end, tier->from, &part, err));
        TRY(add_part(step, tier, part, &sum, err));
    }
    return exact_round(&sum, DEC_SCALE, ROUND_HALF_EVEN, value, err);
}

enum status curve_volume(const struct step_tier *step, const struct tier_values *tiers,
                         struct dec x, uint32_t *tier, struct dec *value, struct error *err)
{
    struct exact sum = {0};
    uint32_t at = curve_tier_of(tiers, step->tier_count, x);
    *tier = at;
    bool is_past = !tiers[at].open && dec_compare(x, tiers[at].up_to) > 0;
    if (is_past && step->past_last == PAST_FREE) {
        *value = DEC_ZERO;
        return OK;
    }
    if (dec_sign(x) != 0 || step->at_zero_charge) {
        TRY(exact_add(&sum, tiers[at].flat, err));
    }
    TRY(add_part(step, &tiers[at], x, &sum, err));
    return exact_round(&sum, DEC_SCALE, ROUND_HALF_EVEN, value, err);
}

/* An increment list is a curve of its own: whole steps of each range's size. */
static enum status round_increments(const struct step_convert *step, struct dec x,
                                    struct dec *value, struct error *err)
{
    struct dec sum = DEC_ZERO, from = DEC_ZERO;
    for (uint32_t i = 0; i < step->increment_count && dec_compare(x, from) > 0; i++) {
        const struct increment *increment = &step->increments[i];
        struct dec end = increment->open ? x : dec_min(x, increment->up_to);
        struct dec part, rounded;
        TRY(dec_subtract(end, from, &part, err));
        TRY(dec_round_to(part, increment->size, ROUND_UP, &rounded, err));
        TRY(dec_add(sum, rounded, &sum, err));
        from = end;
    }
    *value = dec_sign(x) < 0 ? x : sum;
    return OK;
}

enum status curve_convert(const struct step_convert *step, const struct convert_values *values,
                          struct dec x, struct dec *value, struct error *err)
{
    TRY(dec_multiply_divide(x, values->multiply, values->divide, DEC_SCALE, ROUND_HALF_EVEN, &x,
                            err));
    if (step->has_minimum && dec_sign(x) > 0) {
        x = dec_max(x, values->minimum);
    }
    if (step->increment_count > 0) {
        TRY(round_increments(step, x, &x, err));
    }
    if (step->has_round) {
        TRY(dec_round(x, step->round_digits, step->round_mode, &x, err));
    }
    *value = x;
    return OK;
}

/* ---- proration ------------------------------------------------------------------------------- */

static int64_t local_day(const struct zone *zone, instant at)
{
    struct civil civil = zone_civil(zone, at);
    return civil_to_days(civil.year, civil.month, civil.day);
}

enum status prorate_value(enum prorate prorate, int digits, enum rounding mode,
                          struct period active, struct period turn, const struct zone *zone,
                          struct dec value, struct dec *prorated, struct error *err)
{
    *prorated = value;
    if (prorate == PRORATE_NONE || (active.from <= turn.from && active.to >= turn.to)) {
        return OK;
    }
    int64_t part, whole;
    if (prorate == PRORATE_SECOND) {
        part = active.to - active.from;
        whole = turn.to - turn.from;
    } else {
        part = local_day(zone, active.to) - local_day(zone, active.from);
        part += prorate == PRORATE_DAY_INCLUSIVE;
        whole = local_day(zone, turn.to) - local_day(zone, turn.from);
        if (prorate == PRORATE_30_DAY) {
            whole = 30;
            part = part > 30 ? 30 : part;
        } else if (part > whole) {
            part = whole;
        }
    }
    assert(whole > 0);
    struct dec factor;
    if (digits == DEC_SCALE) {
        return dec_multiply_divide(value, dec_from_int(part), dec_from_int(whole), DEC_SCALE,
                                   ROUND_HALF_EVEN, prorated, err);
    }
    TRY(dec_divide(dec_from_int(part), dec_from_int(whole), digits, mode, &factor, err));
    return dec_multiply_round(value, factor, DEC_SCALE, ROUND_HALF_EVEN, prorated, err);
}
