/* charge_curve.c - see charge_curve.h.  What an expression comes to is held to what is asked of a
 * plain number when the catalog loads.
 */
#include "price/charge_curve.h"

#include "price/curve.h"

#include "base/nofloat.h"

static const int HUNDRED = 100;

/* ---- numbers ------------------------------------------------------------------------------- */

static enum status money(struct work *work, const struct step *step, const struct number *number,
                         struct proration how, const struct charge *charge, struct period turn,
                         struct dec *value)
{
    TRY(number_value(work, number, charge, turn, value));
    TRY(step_prorated(work, step, how, charge, turn, value));
    return how.rule == PRORATE_NONE && !work->term ? step_restarted(work, step, charge, turn, value)
                                                   : OK;
}

static enum status percent_in_range(struct work *work, const struct step *step, struct dec percent)
{
    TRY(number_not_negative(work, "a percentage", percent));
    if (step->kind != STEP_DISCOUNT || dec_compare(percent, dec_from_int(HUNDRED)) <= 0) {
        return OK;
    }
    char text[DEC_FORMAT_MAX];
    (void)dec_format(percent, text);
    return fail(work->err, ERR_INPUT, "a discount takes at most 100 percent, not %s", text);
}

/* Whose start and contract turns are counted from: the scope's own, whichever of those who share it
 * has the first charge. */
static uint32_t counted_account(struct work *work, const struct step *step,
                                const struct charge *charge, struct period turn,
                                const struct contract **contract)
{
    const uint32_t account = step_scope_account(work, step, charge);
    *contract = charge->contract;
    if (step->scope == SCOPE_ORGANIZATION && (!work->term || work->term->level != LEVEL_CONTRACT)) {
        *contract = accounts_contract(work->pricing->accounts, work->catalog, account, turn.from);
    }
    return account;
}

/* Whether a turn is behind the first of its contract, or account, to which the step is limited. */
static enum status find_over(struct work *work, const struct step *step,
                             const struct charge *charge, struct period turn, bool *is_over)
{
    const struct contract *contract;
    const uint32_t account = counted_account(work, step, charge, turn, &contract);
    instant start = work->pricing->accounts->items[account].since;
    if (contract && contract->from > start) {
        start = contract->from;
    }
    if (start == INSTANT_MIN) {
        (void)fail(work->err, ERR_INPUT,
                   "limit: {turns: %u} counts from the start of the contract or the account, and "
                   "neither has a date",
                   step->adjust.limit_turns);
        return fail_hint(work->err, "from: in the contract, or since: of the account");
    }
    *is_over = true;
    instant at = start;
    for (uint32_t i = 0; i < step->adjust.limit_turns && *is_over; i++) {
        struct period one = turn_find(work, step, contract, account, at);
        *is_over = one.from != turn.from;
        at = one.to;
    }
    return OK;
}

/* The least and the most of a bound or a fee; a pointer is NULL for what it lacks. Plain numbers
 * are compared when the catalog loads, those that are computed here. */
static enum status bounds(struct work *work, const struct step *step, const struct number *min,
                          const struct number *max, struct proration how,
                          const struct charge *charge, struct period turn,
                          struct charge_values *values)
{
    if (min) {
        TRY(money(work, step, min, how, charge, turn, &values->min));
    }
    if (max) {
        TRY(money(work, step, max, how, charge, turn, &values->max));
        TRY(number_not_negative(work, "a maximum", values->max));
    }
    if (!min || !max || dec_compare(values->min, values->max) <= 0) {
        return OK;
    }
    char least[DEC_FORMAT_MAX], most[DEC_FORMAT_MAX];
    (void)dec_format(values->min, least);
    (void)dec_format(values->max, most);
    return fail(work->err, ERR_INPUT, "the minimum %s is above the maximum %s", least, most);
}

static enum status adjust_numbers(struct work *work, const struct step *step,
                                  const struct charge *charge, struct period turn,
                                  struct charge_values *values)
{
    const struct step_adjust *body = &step->adjust;
    if (body->worth == WORTH_TIERS) {
        TRY(step_tier_numbers(work, step, &body->tier, charge, turn, &values->tiers));
        for (uint32_t i = 0; i < body->tier.tier_count; i++) {
            TRY(percent_in_range(work, step, values->tiers[i].rate));
            TRY(number_not_negative(work, "a flat amount", values->tiers[i].flat));
        }
    } else if (body->worth == WORTH_PERCENT) { /* it shrinks with what it is of */
        TRY((step_is_alone(step) ? number_alone : number_value)(work, &body->number, charge, turn,
                                                                &values->number));
        TRY(percent_in_range(work, step, values->number));
    } else {
        TRY(money(work, step, &body->number, body->proration, charge, turn, &values->number));
        TRY(number_not_negative(work, body->worth == WORTH_AMOUNT ? "an amount" : "a quantity",
                                values->number));
    }
    if (body->has_limit) {
        TRY(money(work, step, &body->limit, body->proration, charge, turn, &values->limit));
        TRY(number_not_negative(work, "a limit", values->limit));
    }
    TRY(bounds(work, step, body->has_min ? &body->min : NULL, body->has_max ? &body->max : NULL,
               body->proration, charge, turn, values));
    return body->limit_turns > 0 ? find_over(work, step, charge, turn, &values->is_over) : OK;
}

static enum status bound_numbers(struct work *work, const struct step *step,
                                 const struct charge *charge, struct period turn,
                                 struct charge_values *values)
{
    const struct step_bound *body = &step->bound;
    return bounds(work, step, body->has_min ? &body->min : NULL, body->has_max ? &body->max : NULL,
                  body->proration, charge, turn, values);
}

static enum status commit_numbers(struct work *work, const struct step *step,
                                  const struct charge *charge, struct period turn,
                                  struct charge_values *values)
{
    const struct step_commit *body = &step->commit;
    TRY(number_value(work, &body->overage, charge, turn, &values->number));
    TRY(number_not_negative(work, "an overage", values->number));
    TRY(money(work, step, &body->promise, body->proration, charge, turn, &values->limit));
    return number_not_negative(work, "a commitment", values->limit);
}

enum status charge_numbers(struct work *work, const struct step *step, const struct charge *charge,
                           struct period turn, struct charge_values *values)
{
    *values = (struct charge_values){0};
    values->number = values->limit = values->min = values->max = DEC_ZERO;
    values->rolled = values->unit = DEC_ZERO;
    if (step->kind == STEP_COMMIT) {
        return commit_numbers(work, step, charge, turn, values);
    }
    if (step->kind == STEP_BOUND) {
        return bound_numbers(work, step, charge, turn, values);
    }
    return step_adjusts(step) ? adjust_numbers(work, step, charge, turn, values) : OK;
}

/* ---- when it is settled -------------------------------------------------------------------- */

bool step_settles(const struct step *step)
{
    if (step->kind == STEP_BOUND || step->kind == STEP_COMMIT) {
        return step_waits(step);
    }
    if (!step_adjusts(step) || step->adjust.worth == WORTH_QUANTITY) {
        return false;
    }
    return step->kind == STEP_FEE || step->attribute != ATTRIBUTE_IN_ORDER ||
           (step->adjust.worth == WORTH_TIERS && step->adjust.tier.mode == TIER_VOLUME);
}

bool step_waits(const struct step *step)
{
    if (step->kind == STEP_BOUND) {
        return step->bound.has_min;
    }
    if (step->kind == STEP_COMMIT) {
        return step->commit.has_shortfall;
    }
    return step_adjusts(step) && (step->adjust.has_min || step->adjust.settle_at_end);
}

/* ---- curves -------------------------------------------------------------------------------- */

struct dec charge_within(struct dec y, struct dec limit)
{
    return dec_max(dec_negate(limit), dec_min(y, limit));
}

enum status charge_worth(const struct step *step, const struct charge_values *values, struct dec x,
                         struct dec *f, struct error *err)
{
    const struct step_adjust *body = &step->adjust;
    uint32_t tier;
    *f = DEC_ZERO;
    if (values->is_over) {
        return OK;
    }
    switch (body->worth) {
    case WORTH_PERCENT:
        TRY(dec_multiply_divide(x, values->number, dec_from_int(HUNDRED), DEC_SCALE,
                                ROUND_HALF_EVEN, f, err));
        break;
    case WORTH_AMOUNT: /* a discount is at most what it is on; a markup is due on what costs nothing
                        */
        *f = step->kind == STEP_DISCOUNT ? dec_max(DEC_ZERO, dec_min(x, values->number))
                                         : values->number;
        break;
    case WORTH_TIERS:
        if (body->tier.mode == TIER_VOLUME) {
            TRY(curve_volume(&body->tier, values->tiers, x, x, &tier, f, err));
        } else {
            TRY(curve_graduated(&body->tier, values->tiers, x, x, f, err));
        }
        break;
    case WORTH_QUANTITY: /* of x units, those it is on */
        *f = dec_max(DEC_ZERO, dec_min(x, values->number));
        break;
    }
    if (body->has_limit && body->worth != WORTH_QUANTITY) {
        *f = charge_within(*f, values->limit);
    }
    if (body->has_min) {
        *f = dec_max(*f, values->min);
    }
    if (body->has_max) {
        *f = dec_min(*f, values->max);
    }
    return OK;
}

enum status charge_whole(const struct step *step, const struct charge_values *values, struct dec x,
                         struct dec *f, struct dec *y, struct error *err)
{
    if (step->kind == STEP_BOUND) {
        struct dec left; /* by its maximum */
        *f = values->min;
        TRY(dec_subtract(x, values->unit, &left, err));
        return step_above(values->min, left, y, err);
    }
    if (step->kind == STEP_COMMIT) {
        TRY(dec_add(x, values->rolled, f, err));
        TRY(step_above(values->limit, *f, y, err));
        *f = values->limit;
        return step->commit.is_quantity
                   ? dec_multiply_round(*y, values->unit, DEC_SCALE, ROUND_HALF_EVEN, y, err)
                   : OK;
    }
    TRY(charge_worth(step, values, x, f, err));
    *y = step->kind == STEP_DISCOUNT ? dec_negate(*f) : *f;
    return OK;
}
