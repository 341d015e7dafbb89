/* step_percent.c - percent and formula: an amount for each row, whatever came before. */
#include "price/work.h"

#include "base/nofloat.h"

/* A percentage of the quantity, and an amount for each event, within bounds
 * (doc/pricing/percent.md). */
enum status step_percent_run(struct work *work, const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    const struct step_percent *body = &step->percent;
    struct period turn = charge_turn(work, step, charge);
    const bool is_bound = body->has_min || body->has_max;
    bool is_held = true;
    struct dec rate, amount, other;
    if (is_bound && charge->events > 1) {
        return fail(work->err, ERR_INPUT,
                    "min and max are of each event, and a row holds %llu: its meter wants "
                    "grain: event",
                    (unsigned long long)charge->events);
    }
    TRY(number_alone(work, &body->rate, charge, turn, &rate));
    if (is_bound) { /* each event by itself */
        TRY(dec_multiply_divide(charge->quantity, rate, dec_from_int(100), DEC_SCALE,
                                ROUND_HALF_EVEN, &amount, work->err));
    } else {
        const struct piece piece = {charge->quantity, rate, dec_from_int(100), 2};
        TRY(piece_alone(&piece, &is_held, &amount, work->err));
        if (!is_held) {
            TRY(step_rate_piece(work, step, charge, &piece, &amount));
        }
    }
    if (body->has_fixed) {
        TRY(number_alone(work, &body->fixed, charge, turn, &other));
        TRY(dec_multiply_round(other, dec_from_int((int64_t)charge->events), DEC_SCALE,
                               ROUND_HALF_EVEN, &other, work->err));
        TRY(dec_add(amount, other, &amount, work->err));
    }
    struct dec before = amount;
    if (body->has_max) {
        TRY(number_alone(work, &body->max, charge, turn, &other));
        amount = dec_min(amount, other);
    }
    if (body->has_min) {
        struct dec min;
        TRY(number_alone(work, &body->min, charge, turn, &min));
        if (body->has_max && dec_compare(min, other) > 0) {
            return fail(work->err, ERR_INPUT, "its minimum is above its maximum");
        }
        amount = dec_max(amount, min);
    }
    work_trace_step(work, index, NULL,
                    (struct trace){.step = step,
                                   .after = charge->quantity,
                                   .f_after = amount,
                                   .limit = before,
                                   .is_piece = !is_held,
                                   .tier = NONE});
    return step_rate_charge(work, step, index, rate, amount);
}

/* An expression with its values, for explain. */
static void tell(const struct work *work, struct text name, const struct expr *expr,
                 struct buffer *out)
{
    if (work->pricing->trace) {
        if (name.size > 0) {
            buffer_format(out, "%.*s = ", TEXT_ARG(name));
        }
        expr_format(expr, &(struct expr_env){.slots = work->slots}, out);
        buffer_add_text(out, name.size > 0 ? TEXT("; ") : TEXT(""));
    }
}

enum status step_formula_run(struct work *work, const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    const struct step_formula *body = &step->formula;
    struct period turn = charge_turn(work, step, charge);
    struct expr_value value;
    struct buffer told;
    buffer_init(&told, work->arena, 0);
    for (uint32_t i = 0; i < body->result_count; i++) {
        TRY(charge_eval(work, body->results[i], charge, turn, &value));
        tell(work, body->names[i], body->results[i], &told);
        work->slots[NAME_RESULT + i] = value;
    }
    TRY(charge_eval(work, body->amount, charge, turn, &value));
    tell(work, TEXT(""), body->amount, &told);
    struct dec amount = value.number;
    if (amount.scale > DEC_SCALE) {
        TRY(dec_round(amount, DEC_SCALE, ROUND_HALF_EVEN, &amount, work->err));
    }
    work_trace_step(work, index, NULL,
                    (struct trace){.step = step,
                                   .after = charge->quantity,
                                   .f_after = amount,
                                   .formula = buffer_text(&told),
                                   .tier = NONE});
    TRY(step_rate_charge(work, step, index, DEC_ZERO, amount));
    work->charges[index].has_rate = false;
    return OK;
}
