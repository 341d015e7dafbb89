/* step_usage.c - usage steps: convert and allowance, quantity to quantity. */
#include <assert.h>

#include "price/work.h"

#include "base/nofloat.h"

static enum status convert_numbers(struct work *work, const struct step *step,
                                   const struct charge *charge, struct period turn,
                                   struct convert_values *values)
{
    TRY(number_value(work, &step->convert.multiply, charge, turn, &values->multiply));
    TRY(number_value(work, &step->convert.divide, charge, turn, &values->divide));
    TRY(number_not_negative(work, "a factor", values->multiply));
    TRY(number_not_negative(work, "a divisor", values->divide));
    values->minimum = DEC_ZERO;
    if (step->convert.has_minimum) {
        TRY(number_value(work, &step->convert.minimum, charge, turn, &values->minimum));
    }
    return OK;
}

enum status step_convert_alone(struct work *work, const struct step *step,
                               const struct charge *charge, struct dec *quantity)
{
    struct period turn = charge_turn(work, step, charge);
    struct convert_values values;
    struct dec in = charge->quantity;
    if (step->convert.quantity) {
        struct expr_value value;
        TRY(charge_eval(work, step->convert.quantity, charge, turn, &value));
        in = value.number;
    }
    TRY(convert_numbers(work, step, charge, turn, &values));
    return curve_convert(&step->convert, &values, in, quantity, work->err);
}

enum status step_convert_run(struct work *work, const struct step *step, uint32_t index)
{
    struct charge *charge = &work->charges[index];
    struct period turn = charge_turn(work, step, charge);
    struct dec in = charge->quantity;
    if (step->convert.quantity) {
        struct expr_value value;
        TRY(charge_eval(work, step->convert.quantity, charge, turn, &value));
        in = value.number;
        if (in.scale > DEC_SCALE) {
            TRY(dec_round(in, DEC_SCALE, ROUND_HALF_EVEN, &in, work->err));
        }
    }
    struct dec out, f_before = DEC_ZERO, f_after, before = DEC_ZERO, after = in;
    struct convert_values values;
    const struct bucket *traced = NULL;
    if (step->clock == CLOCK_ROW) {
        TRY(convert_numbers(work, step, charge, turn, &values));
        TRY(curve_convert(&step->convert, &values, in, &f_after, work->err));
        out = f_after;
    } else {
        uint32_t at;
        TRY(bucket_find(work, step, charge, &at));
        struct bucket *bucket = &work->buckets[at];
        TRY(convert_numbers(work, step, charge, turn, &values));
        before = bucket->x;
        TRY(dec_add(before, in, &after, work->err));
        TRY(curve_convert(&step->convert, &values, before, &f_before, work->err));
        TRY(curve_convert(&step->convert, &values, after, &f_after, work->err));
        TRY(dec_subtract(f_after, f_before, &out, work->err));
        bucket->x = after;
        bucket->y = f_after;
        traced = bucket;
    }
    work_trace_step(work, index, traced,
                    (struct trace){.step = step,
                                   .before = before,
                                   .after = after,
                                   .f_before = f_before,
                                   .f_after = f_after,
                                   .tier = NONE});
    struct dec change;
    TRY(dec_subtract(charge->quantity, out, &change, work->err));
    TRY(work_take_of_row(work, charge, change));
    charge->quantity = out;
    if (step->convert.to.size > 0) {
        charge->unit = step->convert.to;
    }
    work_pass_on(work, index);
    return OK;
}

/* What is above a limit: max(0, x - limit). */
enum status step_above(struct dec x, struct dec limit, struct dec *value, struct error *err)
{
    if (dec_compare(x, limit) <= 0) {
        *value = DEC_ZERO;
        return OK;
    }
    return dec_subtract(x, limit, value, err);
}

struct allowance_values {
    struct dec quantity, events;
};

static enum status allowance_numbers(struct work *work, const struct step *step,
                                     const struct charge *charge, struct period turn,
                                     struct allowance_values *values)
{
    const struct step_allowance *allowance = &step->allowance;
    *values = (struct allowance_values){DEC_ZERO, DEC_ZERO};
    if (allowance->has_quantity) {
        TRY(number_value(work, &allowance->quantity, charge, turn, &values->quantity));
        TRY(step_prorated(work, step, allowance->proration, charge, turn, &values->quantity));
        if (allowance->proration.rule == PRORATE_NONE) {
            TRY(step_restarted(work, step, charge, turn, &values->quantity));
        }
    }
    if (allowance->has_events) {
        TRY(number_value(work, &allowance->events, charge, turn, &values->events));
        TRY(step_prorated(work, step, allowance->proration, charge, turn, &values->events));
        if (allowance->proration.rule == PRORATE_NONE) {
            TRY(step_restarted(work, step, charge, turn, &values->events));
        }
    }
    return OK;
}

bool step_rolls_over(const struct step *step)
{
    return (step->kind == STEP_ALLOWANCE && step->allowance.has_rollover) ||
           (step->kind == STEP_COMMIT && step->commit.has_rollover);
}

/* What is left of a turn that had `rolled` from the one before, by the allowance as the step has it
 * now. */
static enum status roll(struct work *work, const struct step *step, const struct charge *charge,
                        struct period turn, struct dec x, struct dec *rolled)
{
    const struct step_allowance *body = &step->allowance;
    struct charge then = *charge;
    then.at = turn.from;
    struct allowance_values values;
    struct dec all, left;
    TRY(allowance_numbers(work, step, &then, turn, &values));
    TRY(dec_add(values.quantity, *rolled, &all, work->err));
    TRY(step_above(all, dec_max(x, DEC_ZERO), &left, work->err));
    TRY(dec_multiply_round(left, body->rollover_part, DEC_SCALE, ROUND_HALF_EVEN, rolled,
                           work->err));
    if (body->has_rollover_most) {
        *rolled = dec_min(*rolled, body->rollover_most);
    }
    return OK;
}

/* What comes into a turn from those before it.  They count from the first that had usage; back to
 * it is where a state is, in this bill or the opening. */
static enum status roll_over(struct work *work, const struct step *step,
                             const struct charge *charge, struct period turn, struct dec *rolled)
{
    enum { TURNS_MAX = 10'000 };
    struct period *turns = NULL;
    uint32_t count = 0, capacity = 0;
    instant first = work->pricing->cut.from;
    if (work->pricing->opening_count > 0 && work->opening_from < first) {
        first = work->opening_from;
    }
    struct dec x = DEC_ZERO;
    *rolled = DEC_ZERO;
    for (struct period at = turn; at.from > first && count < TURNS_MAX;) {
        struct charge before = *charge;
        before.at = at.from - 1;
        at = charge_turn(work, step, &before);
        turns = arena_room(work->arena, turns, count, &capacity, sizeof *turns);
        turns[count++] = at;
        if (bucket_find_past(work, step, &before, at, &x, rolled, NULL)) {
            for (uint32_t i = count; i > 0; i--) {
                TRY(roll(work, step, charge, turns[i - 1], x, rolled));
                x = DEC_ZERO;
            }
            return OK;
        }
    }
    return OK;
}

/* What of x units is free: those up to the limit. Returns below nothing take from no allowance, so
 * that one of 0 changes nothing. */
static struct dec free_of(struct dec x, struct dec limit)
{
    return dec_max(DEC_ZERO, dec_min(x, limit));
}

/* The part of a quantity that goes with a part of what it measures; with none of it, none. */
static enum status part_of(struct dec quantity, struct dec measure, struct dec of_measure,
                           struct dec *part, struct error *err)
{
    if (dec_is_zero(of_measure) || dec_equal(of_measure, measure)) {
        *part = dec_is_zero(of_measure) ? DEC_ZERO : quantity;
        return OK;
    }
    if (dec_equal(quantity, measure)) {
        *part = of_measure;
        return OK;
    }
    return dec_multiply_divide(quantity, of_measure, measure, DEC_SCALE, ROUND_HALF_EVEN, part,
                               err);
}

/* The part of a row that its allowed events permit.  A row of none is a piece of an event that has
 * come before, and as free as that was. */
static enum status part_by_events(struct work *work, const struct bucket *bucket,
                                  const struct allowance_values *values,
                                  const struct charge *charge, struct dec *part)
{
    if (charge->events == 0) {
        bool is_free =
            dec_sign(values->events) > 0 && dec_compare(bucket->events, values->events) <= 0;
        *part = is_free ? charge->quantity : DEC_ZERO;
        return OK;
    }
    struct dec all = dec_from_int((int64_t)charge->events), left;
    TRY(dec_subtract(values->events, bucket->events, &left, work->err));
    left = dec_max(DEC_ZERO, dec_min(left, all));
    return dec_multiply_divide(charge->quantity, left, all, DEC_SCALE, ROUND_HALF_EVEN, part,
                               work->err);
}

/* The free part of a row: what both its allowed units and its allowed events permit; and what is
 * left of its measure. */
static enum status free_part(struct work *work, const struct step *step,
                             const struct bucket *bucket, const struct allowance_values *values,
                             const struct charge *charge, struct dec measure, struct dec *part,
                             struct dec *left_of_measure)
{
    struct dec free = measure;
    if (step->allowance.has_quantity) {
        struct dec after;
        TRY(dec_add(bucket->x, measure, &after, work->err));
        TRY(dec_subtract(free_of(after, values->quantity), free_of(bucket->x, values->quantity),
                         &free, work->err));
    }
    TRY(part_of(charge->quantity, measure, free, part, work->err));
    if (step->allowance.has_events) {
        struct dec by_events;
        TRY(part_by_events(work, bucket, values, charge, &by_events));
        if (dec_compare(dec_abs(by_events), dec_abs(*part)) < 0) {
            *part = by_events;
            TRY(part_of(measure, charge->quantity, by_events, &free, work->err));
        }
    }
    return dec_subtract(measure, free, left_of_measure, work->err);
}

/* True of a row of no quantity whose events are all free: there is no part of it to take, but
 * nothing of it is left either. */
static bool is_free_event(const struct step *step, const struct bucket *bucket,
                          const struct allowance_values *values, const struct charge *charge)
{
    struct dec events = dec_from_int((int64_t)charge->events), after;
    return step->allowance.has_events && charge->events > 0 && dec_is_zero(charge->quantity) &&
           dec_add(bucket->events, events, &after, NULL) == OK &&
           dec_compare(after, values->events) <= 0 &&
           (!step->allowance.has_quantity || dec_compare(bucket->x, values->quantity) < 0);
}

/* True when a minimum is among the steps that the row has before it. */
static bool meets_minimum(const struct charge *charge)
{
    const struct price *price = charge->price;
    for (uint32_t i = price_step_after(price, charge->next_step); i < price->step_count;
         i = price_step_after(price, i)) {
        const struct step *step = &price->steps[i];
        if (step->kind == STEP_BOUND && step->bound.has_min) {
            return true;
        }
    }
    return false;
}

/* The free part as a charge of 0, or as an exclusion; then it goes on all the same where it was
 * used, which is what a minimum asks. */
static enum status emit_free(struct work *work, const struct step *step, uint32_t index,
                             struct dec part)
{
    struct charge *charge = &work->charges[index];
    const bool is_part = !dec_equal(part, charge->quantity);
    TRY(work_take_of_row(work, charge, part));
    if (!step->allowance.emit_free) {
        struct total total = {0};
        wide_add_dec(&total.sum, part);
        if (!charge->is_copy) {
            work_exclude(work, charge->account, EXCLUDE_FREE, work_meter_of(work, charge), &total);
        }
        if (!meets_minimum(charge)) {
            return OK;
        }
    }
    struct charge emitted = *charge;
    emitted.quantity = part;
    if (is_part) {
        emitted.events = 0; /* they are with what is left */
    }
    emitted.rate = emitted.amount = emitted.net = DEC_ZERO;
    emitted.has_amount = emitted.has_rate = emitted.emitted_free = true;
    emitted.step = step;
    work_pass_on(work, work_add_charge(work, &emitted));
    return OK;
}

/* The bucket that a row enters, with its numbers as the row's version has them. */
static enum status allowance_bucket(struct work *work, const struct step *step, uint32_t index,
                                    uint32_t *at)
{
    TRY(bucket_find(work, step, &work->charges[index], at));
    struct bucket *bucket = &work->buckets[*at];
    const struct charge *charge = &work->charges[index];
    if (bucket->values && bucket->step == step) {
        return OK;
    }
    struct allowance_values *values = arena_alloc(work->arena, sizeof *values);
    TRY(allowance_numbers(work, step, charge, bucket->turn, values));
    bool is_new = !bucket->values && dec_is_zero(bucket->x) && dec_is_zero(bucket->events);
    if (step_rolls_over(step) && is_new) {
        TRY(roll_over(work, step, charge, bucket->turn, &bucket->high));
    }
    if (step_rolls_over(step)) {
        TRY(dec_add(values->quantity, bucket->high, &values->quantity, work->err));
    }
    bucket = &work->buckets[*at];
    bucket->values = values;
    bucket->step = step;
    return OK;
}

/* The free part leaves the row; what is left of it goes on. */
static enum status free_row(struct work *work, const struct step *step, uint32_t index,
                            struct dec part, bool is_free)
{
    struct dec rest;
    TRY(dec_subtract(work->charges[index].quantity, part, &rest, work->err));
    if (dec_is_zero(part) && !is_free) {
        work_pass_on(work, index);
        return OK;
    }
    TRY(emit_free(work, step, index, part));
    struct charge *left = &work->charges[index];
    left->quantity = rest;
    if (dec_is_zero(rest)) {
        left->next_step = left->price->step_count; /* nothing of it goes on */
        return OK;
    }
    work_pass_on(work, index);
    return OK;
}

enum status step_allowance_run(struct work *work, const struct step *step, uint32_t index)
{
    uint32_t at;
    TRY(allowance_bucket(work, step, index, &at));
    struct bucket *bucket = &work->buckets[at];
    const struct charge *charge = &work->charges[index];
    const struct allowance_values *values = bucket->values;
    bool is_free = is_free_event(step, bucket, values, charge);
    struct dec part, measure, left_of_measure, before = bucket->x, left_before = bucket->y;
    TRY(charge_measure(work, step, charge, charge->quantity, &measure));
    TRY(free_part(work, step, bucket, values, charge, measure, &part, &left_of_measure));
    TRY(dec_add(bucket->x, measure, &bucket->x, work->err));
    TRY(dec_add(bucket->y, left_of_measure, &bucket->y, work->err));
    TRY(dec_add(bucket->events, dec_from_int((int64_t)charge->events), &bucket->events, work->err));
    work_trace_step(
        work, index, bucket,
        (struct trace){.step = step,
                       .before = before,
                       .after = bucket->x,
                       .f_before = left_before,
                       .f_after = bucket->y,
                       .limit = step->allowance.has_quantity ? values->quantity : values->events,
                       .tier = NONE,
                       .tier_from = bucket->high}); /* what rolled over */
    return free_row(work, step, index, part, is_free);
}

/* What is free of x along the chord of a bucket's bill, whose sum is sum and of which total is. */
static enum status share_of(struct dec total, struct dec x, struct dec sum, struct dec *share,
                            struct error *err)
{
    if (dec_is_zero(sum)) {
        *share = DEC_ZERO;
        return OK;
    }
    return dec_multiply_divide(total, x, sum, DEC_SCALE, ROUND_HALF_EVEN, share, err);
}

enum status step_allowance_share(struct work *work, struct entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct entry *entry = &entries[i];
        work->asking = entry->step;
        TRY(allowance_bucket(work, entry->step, entry->charge, &entry->bucket));
        struct bucket *bucket = &work->buckets[entry->bucket];
        const struct charge *charge = &work->charges[entry->charge];
        struct dec measure;
        TRY(charge_measure(work, entry->step, charge, charge->quantity, &measure));
        TRY(dec_subtract(bucket->x, bucket->opening_x, &entry->before, work->err));
        TRY(dec_add(bucket->x, measure, &bucket->x, work->err));
        TRY(dec_subtract(bucket->x, bucket->opening_x, &entry->after, work->err));
    }
    /* Where each bucket began: versions that are not pro rata may have filled it before. */
    struct dec *starts = arena_calloc(work->arena, work->bucket_count + 1, sizeof *starts);
    for (uint32_t i = count; i > 0; i--) {
        starts[entries[i - 1].bucket] = entries[i - 1].before;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[i];
        struct bucket *bucket = &work->buckets[entry->bucket];
        const struct allowance_values *values = bucket->values;
        struct dec start, from, to, sum, total, before, after, measure, free, part;
        struct dec left_before = bucket->y;
        TRY(dec_add(bucket->opening_x, starts[entry->bucket], &start, work->err));
        TRY(dec_subtract(bucket->x, start, &sum, work->err));
        TRY(dec_subtract(free_of(bucket->x, values->quantity), free_of(start, values->quantity),
                         &total, work->err));
        TRY(dec_subtract(entry->before, starts[entry->bucket], &from, work->err));
        TRY(dec_subtract(entry->after, starts[entry->bucket], &to, work->err));
        TRY(share_of(total, from, sum, &before, work->err));
        TRY(share_of(total, to, sum, &after, work->err));
        TRY(dec_subtract(after, before, &free, work->err));
        TRY(dec_subtract(entry->after, entry->before, &measure, work->err));
        TRY(part_of(work->charges[entry->charge].quantity, measure, free, &part, work->err));
        TRY(dec_subtract(measure, free, &measure, work->err));
        TRY(dec_add(bucket->y, measure, &bucket->y, work->err));
        work_trace_step(work, entry->charge, bucket,
                        (struct trace){.step = entry->step,
                                       .before = entry->before,
                                       .after = entry->after,
                                       .f_before = left_before,
                                       .f_after = bucket->y,
                                       .limit = values->quantity,
                                       .tier = NONE,
                                       .tier_from = bucket->high});
        TRY(free_row(work, entry->step, entry->charge, part, false));
    }
    return OK;
}
