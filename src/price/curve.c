/* curve.c - see curve.h.  A tier covers (from, up_to]; `below` moves the boundary itself to the
 * next tier. */
#include "price/curve.h"

#include <assert.h>

#include "base/nofloat.h"

static bool fits64(struct dec value)
{
    return value.mantissa == (int64_t)value.mantissa;
}

/* dec_compare, in registers for the usual numbers. */
static int compare(struct dec a, struct dec b)
{
    int gap = b.scale - a.scale;
    if (!fits64(a) || !fits64(b) || gap > DEC_SCALE || gap < -DEC_SCALE) {
        return dec_compare(a, b);
    }
    i128 left = (i128)(int64_t)a.mantissa * (int64_t)POWER64[gap > 0 ? gap : 0];
    i128 right = (i128)(int64_t)b.mantissa * (int64_t)POWER64[gap < 0 ? -gap : 0];
    return (left > right) - (left < right);
}

/* True when a quantity of x has entered the tier: paid its flat. */
static bool enters_tier(const struct tier_values *tier, struct dec x)
{
    int order = compare(x, tier->from);
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

uint32_t curve_tier_above(const struct tier_values *tiers, uint32_t count, struct dec x)
{
    uint32_t at = 0;
    while (at + 1 < count && compare(tiers[at + 1].from, x) <= 0) {
        at++;
    }
    return at;
}

bool curve_boundary(const struct tier_values *tiers, uint32_t count, struct dec x, struct dec end,
                    struct dec *boundary)
{
    for (uint32_t i = 0; i < count && !tiers[i].open; i++) {
        if (compare(tiers[i].up_to, x) > 0) {
            *boundary = tiers[i].up_to;
            return compare(tiers[i].up_to, end) < 0; /* those behind it are not less */
        }
    }
    return false;
}

/* ---- sums of flats and rate x part ----------------------------------------------------------- */

/* Exact: at 18 digits in 128 bits while the terms fit, which they nearly always do; from the first
 * that does not, at 36 digits in 256 bits. */
struct sum {
    i128 at18;
    bool is_wide;
    struct exact exact;
};

/* Adds mantissa x 10^-scale; false when it does not fit, and then the sum is wide. */
static bool add_small(struct sum *sum, i128 mantissa, int scale)
{
    i128 term, total;
    if (!sum->is_wide && scale <= DEC_SCALE &&
        !__builtin_mul_overflow(mantissa, (i128)POWER64[DEC_SCALE - scale], &term) &&
        !__builtin_add_overflow(sum->at18, term, &total)) {
        sum->at18 = total;
        return true;
    }
    return false;
}

static enum status widen(struct sum *sum, struct error *err)
{
    if (!sum->is_wide) {
        sum->is_wide = true;
        sum->exact = (struct exact){0};
        return exact_add(&sum->exact, (struct dec){sum->at18, DEC_SCALE}, err);
    }
    return OK;
}

static enum status add(struct sum *sum, struct dec value, struct error *err)
{
    if (add_small(sum, value.mantissa, value.scale)) {
        return OK;
    }
    TRY(widen(sum, err));
    return exact_add(&sum->exact, value, err);
}

static enum status add_product(struct sum *sum, struct dec a, struct dec b, struct error *err)
{
    if (fits64(a) && fits64(b) &&
        add_small(sum, (i128)(int64_t)a.mantissa * (int64_t)b.mantissa, a.scale + b.scale)) {
        return OK;
    }
    TRY(widen(sum, err));
    return exact_add_product(&sum->exact, a, b, err);
}

static enum status quantize(const struct sum *sum, struct dec *value, struct error *err)
{
    if (sum->is_wide) {
        return exact_round(&sum->exact, DEC_SCALE, ROUND_HALF_EVEN, value, err);
    }
    if (sum->at18 == 0) {
        *value = DEC_ZERO;
        return OK;
    }
    return dec_make(sum->at18, DEC_SCALE, value, err);
}

/* ---- curves ---------------------------------------------------------------------------------- */

static enum status count_packages(const struct step_tier *step, const struct tier *tier,
                                  struct dec quantity, struct dec *packages, struct error *err)
{
    struct dec rounded;
    TRY(dec_round_to(quantity, tier->package, step->package_round, &rounded, err));
    return dec_divide(rounded, tier->package, DEC_SCALE, ROUND_HALF_EVEN, packages, err);
}

/* Adds rate x quantity (in packages, as a percentage) to the sum. */
static enum status add_part(const struct step_tier *step, const struct tier_values *values,
                            struct dec quantity, struct sum *sum, struct error *err)
{
    const struct tier *tier = values->tier;
    if (tier->has_package) {
        TRY(count_packages(step, tier, quantity, &quantity, err));
    }
    struct dec rate = values->rate;
    if (tier->is_percent) {
        TRY(dec_multiply(rate, (struct dec){1, 2}, &rate, err));
    }
    return add_product(sum, quantity, rate, err);
}

/* F(x), or what F comes to just before x is reached: without the flat of a tier that begins with x
 * itself. */
static enum status graduated(const struct step_tier *step, const struct tier_values *tiers,
                             struct dec x, struct dec high, bool is_reached, struct dec *value,
                             struct error *err)
{
    struct sum sum = {0};
    bool negative = dec_sign(x) < 0; /* returns: at the first tier's rate */
    bool is_highest = dec_equal(x, high);
    for (uint32_t i = 0; i < step->tier_count; i++) {
        const struct tier_values *tier = &tiers[i];
        bool enters = is_reached ? enters_tier(tier, x) : compare(x, tier->from) > 0;
        bool paid = is_highest ? enters : enters_tier(tier, high);
        if (paid || (i == 0 && step->at_zero_charge)) {
            TRY(add(&sum, tier->flat, err));
        }
        if (negative && i > 0) {
            continue;
        }
        if (!negative && !enters) {
            if (is_highest || compare(high, x) <= 0) {
                break;
            }
            continue;
        }
        bool past_last = i + 1 == step->tier_count && !tier->open && step->past_last == PAST_LAST;
        struct dec end = x;
        if (!negative && !tier->open && !past_last && compare(x, tier->up_to) > 0) {
            end = tier->up_to;
        }
        struct dec part = end;
        if (!dec_is_zero(tier->from)) {
            TRY(dec_subtract(end, tier->from, &part, err));
        }
        TRY(add_part(step, tier, part, &sum, err));
    }
    return quantize(&sum, value, err);
}

enum status curve_graduated(const struct step_tier *step, const struct tier_values *tiers,
                            struct dec x, struct dec high, struct dec *value, struct error *err)
{
    return graduated(step, tiers, x, high, true, value, err);
}

enum status curve_graduated_before(const struct step_tier *step, const struct tier_values *tiers,
                                   struct dec x, struct dec *value, struct error *err)
{
    return graduated(step, tiers, x, x, false, value, err);
}

enum status curve_volume(const struct step_tier *step, const struct tier_values *tiers,
                         struct dec x, struct dec position, uint32_t *tier, struct dec *value,
                         struct error *err)
{
    struct sum sum = {0};
    uint32_t at = curve_tier_of(tiers, step->tier_count, position);
    *tier = at;
    bool is_past = !tiers[at].open && dec_compare(position, tiers[at].up_to) > 0;
    if (is_past && step->past_last == PAST_FREE) {
        *value = DEC_ZERO;
        return OK;
    }
    if (dec_sign(x) != 0 || step->at_zero_charge) {
        TRY(add(&sum, tiers[at].flat, err));
    }
    TRY(add_part(step, &tiers[at], x, &sum, err));
    return quantize(&sum, value, err);
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

/* Days as if every month had thirty: the 31st is the 30th, and so is the last day of each month.
 * Parts of a month add up to 30. */
static int64_t day_of_360(const struct zone *zone, instant at)
{
    struct civil civil = zone_civil(zone, at);
    bool is_last = civil.day == civil_days_in_month(civil.year, civil.month);
    int64_t of_month = is_last ? 30 : civil.day;
    return (civil.year * INT64_C(12) + civil.month) * 30 + of_month;
}

/* Days from one instant to another, as the rule counts them. */
static int64_t count_days(enum prorate prorate, const struct zone *zone, struct period span)
{
    return prorate == PRORATE_30_DAY ? day_of_360(zone, span.to) - day_of_360(zone, span.from)
                                     : local_day(zone, span.to) - local_day(zone, span.from);
}

static int64_t count_active(enum prorate prorate, const struct zone *zone, struct period active,
                            struct period turn)
{
    bool is_end_in = prorate == PRORATE_DAY_INCLUSIVE && active.from < active.to &&
                     active.to < turn.to;                 /* no time has no day */
    return count_days(prorate, zone, active) + is_end_in; /* the day in which it ends */
}

/* A part of a turn, and the whole of it, in what the rule counts. */
struct share {
    int64_t part, whole;
};

static struct share count_share(enum prorate prorate, struct period active, struct period turn,
                                const struct zone *zone)
{
    struct share share = {.whole = prorate == PRORATE_SECOND ? 0 : count_days(prorate, zone, turn)};
    if (share.whole <= 0) { /* a turn inside one day has no days to count */
        return (struct share){active.to - active.from, turn.to - turn.from};
    }
    share.part = count_active(prorate, zone, active, turn);
    return share;
}

static enum status take_share(struct share share, struct proration how, struct dec value,
                              struct dec *prorated, struct error *err)
{
    assert(share.whole > 0);
    struct dec part = dec_from_int(share.part > share.whole ? share.whole : share.part);
    struct dec whole = dec_from_int(share.whole), factor;
    if (how.digits == DEC_SCALE) {
        return dec_multiply_divide(value, part, whole, DEC_SCALE, ROUND_HALF_EVEN, prorated, err);
    }
    TRY(dec_divide(part, whole, how.digits, how.mode, &factor, err));
    return dec_multiply_round(value, factor, DEC_SCALE, ROUND_HALF_EVEN, prorated, err);
}

enum status prorate_value(struct proration how, struct period active, struct period turn,
                          const struct zone *zone, struct dec value, struct dec *prorated,
                          struct error *err)
{
    *prorated = value;
    if (how.rule == PRORATE_NONE || (active.from <= turn.from && active.to >= turn.to)) {
        return OK;
    }
    return take_share(count_share(how.rule, active, turn, zone), how, value, prorated, err);
}

enum status prorate_parts(struct proration how, const struct period *parts, uint32_t count,
                          struct period turn, struct period whole, const struct zone *zone,
                          struct dec value, struct dec *prorated, struct error *err)
{
    if (count == 1) {
        how.rule = prorate_in_turn(how.rule, parts[0], turn);
        return prorate_value(how, parts[0], whole, zone, value, prorated, err);
    }
    struct share all = count_share(how.rule, (struct period){whole.from, whole.from}, whole, zone);
    for (uint32_t i = 0; i < count; i++) {
        enum prorate rule = prorate_in_turn(how.rule, parts[i], turn);
        all.part += count_share(rule, parts[i], whole, zone).part;
    }
    return take_share(all, how, value, prorated, err);
}

bool prorate_days(enum prorate prorate, struct period active, struct period turn,
                  const struct zone *zone, int64_t *part, int64_t *whole)
{
    if (prorate == PRORATE_NONE || prorate == PRORATE_SECOND ||
        (active.from <= turn.from && active.to >= turn.to)) {
        return false;
    }
    *whole = count_days(prorate, zone, turn);
    *part = count_active(prorate, zone, active, turn);
    *part = *part > *whole ? *whole : *part;
    return *whole > 0;
}

enum status prorate_part(struct proration how, struct period part, struct period turn,
                         const struct zone *zone, struct dec value, struct dec *prorated,
                         struct error *err)
{
    if (how.digits != DEC_SCALE || how.rule == PRORATE_NONE || how.rule == PRORATE_DAY_INCLUSIVE ||
        part.from <= turn.from) {
        return prorate_value(how, part, turn, zone, value, prorated, err);
    }
    struct dec before, after;
    const struct period until = {turn.from, part.from}, through = {turn.from, part.to};
    TRY(prorate_value(how, until, turn, zone, value, &before, err));
    TRY(prorate_value(how, through, turn, zone, value, &after, err));
    return dec_subtract(after, before, prorated, err);
}
