/* step_charge.c - charge steps: bound and round, amounts to adjustments. */
#include "price/work.h"

#include "base/nofloat.h"

/* An adjustment of a charge: a charge of its own, which names it. */
static enum status adjust(struct work *work, const struct step *step, uint32_t index,
                          enum charge_kind kind, struct dec amount)
{
    if (dec_is_zero(amount)) {
        return OK;
    }
    struct charge adjustment = work->charges[index];
    adjustment.kind = kind;
    adjustment.of = index;
    adjustment.step = step;
    adjustment.quantity = adjustment.rate = adjustment.list = adjustment.net = DEC_ZERO;
    adjustment.amount = amount;
    adjustment.has_rate = false;
    adjustment.events = 0;
    adjustment.next_step = adjustment.price->step_count;
    TRY(dec_add(work->charges[index].net, amount, &work->charges[index].net, work->err));
    (void)work_add_charge(work, &adjustment);
    return OK;
}

struct bound_values {
    struct dec min, max;
};

static enum status bound_numbers(struct work *work, const struct step *step,
                                 const struct charge *charge, struct period turn,
                                 struct bound_values *values)
{
    const struct step_bound *body = &step->bound;
    *values = (struct bound_values){DEC_ZERO, DEC_ZERO};
    if (body->has_min) {
        TRY(number_value(work, &body->min, charge, turn, &values->min));
        TRY(step_prorated(work, step, body->prorate, body->digits, body->mode, charge, turn,
                          &values->min));
        if (body->prorate == PRORATE_NONE) {
            TRY(step_restarted(work, step, charge, turn, &values->min));
        }
    }
    if (body->has_max) {
        TRY(number_value(work, &body->max, charge, turn, &values->max));
        TRY(step_prorated(work, step, body->prorate, body->digits, body->mode, charge, turn,
                          &values->max));
        if (body->prorate == PRORATE_NONE) {
            TRY(step_restarted(work, step, charge, turn, &values->max));
        }
    }
    return OK;
}

/* The maximum, in order: what a charge adds beyond it is taken back. */
enum status step_bound_run(struct work *work, const struct step *step, uint32_t index)
{
    uint32_t at;
    TRY(bucket_find(work, step, &work->charges[index], &at));
    struct bucket *bucket = &work->buckets[at];
    const struct charge *charge = &work->charges[index];
    if (!bucket->values || bucket->step != step) {
        struct bound_values *values = arena_alloc(work->arena, sizeof *values);
        TRY(bound_numbers(work, step, charge, bucket->turn, values));
        bucket = &work->buckets[at];
        bucket->values = values;
        bucket->step = step;
    }
    const struct bound_values *values = bucket->values;
    struct dec before = bucket->x, after, measure, over = DEC_ZERO;
    TRY(charge_measure(work, step, charge, charge->net, &measure));
    TRY(dec_add(before, measure, &after, work->err));
    if (step->bound.has_max) {
        struct dec over_before, over_after;
        TRY(step_above(before, values->max, &over_before, work->err));
        TRY(step_above(after, values->max, &over_after, work->err));
        TRY(dec_subtract(over_before, over_after, &over, work->err));
    }
    bucket->x = after;
    bucket->last_charge = index;
    bucket->price = charge->price;
    bool has_max = step->bound.has_max;
    work_trace_step(work, index, bucket,
                    (struct trace){.step = step,
                                   .before = before,
                                   .after = after,
                                   .f_before = has_max ? dec_min(before, values->max) : before,
                                   .f_after = has_max ? dec_min(after, values->max) : after,
                                   .limit = values->max,
                                   .tier = NONE});
    TRY(adjust(work, step, index, CHARGE_CAP, over));
    work_pass_on(work, index);
    return OK;
}

enum status step_minimum_lack(struct work *work, const struct step *step,
                              const struct charge *charge, struct period turn, struct dec x,
                              struct dec y, struct dec *min, struct dec *lack)
{
    struct bound_values values;
    TRY(bound_numbers(work, step, charge, turn, &values));
    *min = values.min;
    *lack = DEC_ZERO;
    if (dec_compare(x, values.min) < 0) {
        TRY(dec_subtract(values.min, x, lack, work->err));
    }
    return dec_subtract(*lack, y, lack, work->err);
}

/* By what a charge has its share of a minimum. */
static enum status measure_of(struct work *work, const struct entry *entry, struct dec *measure)
{
    const struct bucket *bucket = &work->buckets[entry->bucket];
    const struct charge *charge = &work->charges[entry->charge];
    return charge_measure(work, bucket->step, charge, charge->net, measure);
}

/* The minimum, when it is due with this bill: what lacks is a charge on the scope, or shared pro
 * rata. */
enum status step_minimum_settle(struct work *work, uint32_t at, const struct entry *entries,
                                uint32_t count)
{
    struct bucket *bucket = &work->buckets[at];
    struct charge last = work->charges[bucket->last_charge];
    instant due =
        turn_end_due(work, bucket->step, last.price, last.contract, bucket->account, bucket->turn);
    const struct step *step = turn_end_step(work, bucket->step, due, &last.price);
    if (!step->bound.has_min || due > work->pricing->cut.to) {
        return OK;
    }
    struct dec min, lack, sum = DEC_ZERO;
    struct charge scope = turn_end_charge(work, bucket, step, last.price, due, &last);
    struct charge asking = scope; /* its numbers may ask for usage on the scope */
    asking.series = last.series;
    asking.merged = last.merged;
    TRY(step_minimum_lack(work, step, &asking, bucket->turn, bucket->x, bucket->y, &min, &lack));
    bucket = &work->buckets[at];
    if (dec_is_zero(lack)) {
        return OK;
    }
    TRY(dec_add(bucket->y, lack, &bucket->y, work->err));
    work_trace_bucket(work, bucket,
                      (struct trace){.step = step,
                                     .before = bucket->x,
                                     .after = bucket->x,
                                     .f_before = bucket->x,
                                     .f_after = min,
                                     .limit = min,
                                     .tier = NONE});
    if (step->attribute == ATTRIBUTE_PRO_RATA) {
        for (uint32_t i = 0; i < count; i++) {
            if (entries[i].bucket == at) {
                struct dec weight;
                TRY(measure_of(work, &entries[i], &weight));
                TRY(dec_add(sum, weight, &sum, work->err));
            }
        }
    }
    if (dec_is_zero(sum)) {
        scope.kind = CHARGE_MINIMUM;
        scope.amount = scope.net = scope.list = lack;
        scope.unit = TEXT("");
        work_push(work, work_add_charge(work, &scope));
        return OK;
    }
    struct dec x = DEC_ZERO, low = DEC_ZERO;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].bucket != at) {
            continue;
        }
        struct dec high, part, weight;
        TRY(measure_of(work, &entries[i], &weight));
        TRY(dec_add(x, weight, &x, work->err));
        TRY(dec_multiply_divide(lack, x, sum, DEC_SCALE, ROUND_HALF_EVEN, &high, work->err));
        TRY(dec_subtract(high, low, &part, work->err));
        TRY(adjust(work, step, entries[i].charge, CHARGE_MINIMUM, part));
        low = high;
    }
    return OK;
}

static enum status round_small(const struct step_round *body, struct dec value, struct dec *rounded,
                               struct error *err)
{
    TRY(dec_round(value, body->digits, body->mode, rounded, err));
    if (body->small_up && dec_sign(value) > 0 && dec_is_zero(*rounded)) {
        *rounded = (struct dec){1, body->digits};
    }
    return OK;
}

enum status step_round_run(struct work *work, const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    struct dec before = DEC_ZERO, after, in, r_before = DEC_ZERO, r_after, change;
    const struct bucket *traced = NULL;
    TRY(charge_measure(work, step, charge, charge->net, &in));
    after = in;
    if (step->round.at != ROUND_AT_ROW) {
        uint32_t at;
        TRY(bucket_find(work, step, charge, &at));
        struct bucket *bucket = &work->buckets[at];
        charge = &work->charges[index];
        before = bucket->x;
        TRY(dec_add(before, in, &after, work->err));
        TRY(round_small(&step->round, before, &r_before, work->err));
        bucket->x = after;
        traced = bucket;
    }
    TRY(round_small(&step->round, after, &r_after, work->err));
    work_trace_step(work, index, traced,
                    (struct trace){.step = step,
                                   .before = before,
                                   .after = after,
                                   .f_before = r_before,
                                   .f_after = r_after,
                                   .tier = NONE});
    TRY(dec_subtract(r_after, r_before, &change, work->err));
    TRY(dec_subtract(change, in, &change, work->err));
    if (step->round.show) {
        TRY(adjust(work, step, index, CHARGE_ROUNDING, change));
    } else {
        struct charge *rounded = &work->charges[index];
        TRY(dec_add(rounded->amount, change, &rounded->amount, work->err));
        TRY(dec_add(rounded->net, change, &rounded->net, work->err));
    }
    work_pass_on(work, index);
    return OK;
}
