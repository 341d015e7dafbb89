/* step_charge.c - steps over charges: each adds charges of its own, which name what they adjust.
 *
 * A step is a curve F over what its base charges come to, bucket by bucket.  In order, a charge is
 * adjusted by the difference it makes.  What is known only when all charges are (a minimum, an
 * amount, a fee) is settled behind the last of a bucket: Y = F(X) less what was charged before is
 * shared along the chord, or is a charge of its own on the bucket's scope (doc/pricing/terms.md).
 *
 * The same runs in a price, over the charges that wait at a node, and as a term, over all of the
 * payer's; what differs (whose scope, when due) is asked of term_time.c.
 */
#include <assert.h>

#include "price/charge_curve.h"

#include "base/nofloat.h"

static const int HUNDRED = 100;

/* What a step adds: the kind of its charges and their sign. */
static enum charge_kind kind_of(const struct step *step)
{
    switch (step->kind) {
    case STEP_DISCOUNT:
        return CHARGE_DISCOUNT;
    case STEP_MARKUP:
        return CHARGE_MARKUP;
    case STEP_FEE:
        return CHARGE_FEE;
    case STEP_TAX:
        return CHARGE_TAX;
    case STEP_ROUND:
        return CHARGE_ROUNDING;
    case STEP_COMMIT:
        return CHARGE_SHORTFALL;
    default:
        return CHARGE_MINIMUM;
    }
}

/* What adjusts a charge has its keys. */
static struct charge adjustment_of(const struct work *work, const struct step *step, uint32_t index,
                                   enum charge_kind kind, const struct dec *rate)
{
    struct charge adjustment = work->charges[index];
    adjustment.grant = NULL;
    adjustment.kind = kind;
    adjustment.of = index;
    adjustment.step = step;
    adjustment.quantity = adjustment.list = DEC_ZERO;
    adjustment.has_rate = rate != NULL;
    adjustment.rate = rate ? *rate : DEC_ZERO;
    adjustment.events = 0;
    if (work->term) {
        adjustment.level = (int8_t)level_of_terms(work->term->level);
    }
    adjustment.next_step = adjustment.price->step_count;
    return adjustment;
}

/* Tax is nobody's net: it is owed on what a charge comes to, and so is every other tax. */
static enum status add_adjustment(struct work *work, const struct step *step, uint32_t index,
                                  enum charge_kind kind, const struct dec *rate, struct dec amount,
                                  const struct text *grant)
{
    struct charge adjustment = adjustment_of(work, step, index, kind, rate);
    adjustment.grant = grant;
    adjustment.amount = adjustment.net = amount;
    if (kind != CHARGE_TAX) {
        adjustment.net = DEC_ZERO;
        TRY(dec_add(work->charges[index].net, amount, &work->charges[index].net, work->err));
    }
    (void)work_add_charge(work, &adjustment);
    return OK;
}

enum status step_pay_charge(struct work *work, const struct step *step, uint32_t index,
                            const struct text *grant, struct dec part)
{
    return add_adjustment(work, step, index, CHARGE_CREDIT, NULL, dec_negate(part), grant);
}

enum status step_charge_adjust(struct work *work, const struct step *step, uint32_t index,
                               enum charge_kind kind, struct dec amount)
{
    return dec_is_zero(amount) ? OK : add_adjustment(work, step, index, kind, NULL, amount, NULL);
}

static enum status round_small(const struct step_round *body, int digits, struct dec value,
                               struct dec *rounded, struct error *err)
{
    TRY(dec_round(value, digits, body->mode, rounded, err));
    if (body->small_up && dec_sign(value) > 0 && dec_is_zero(*rounded)) {
        *rounded = (struct dec){1, digits};
    }
    return OK;
}

/* The tax on x, or in it. At the whole tax, x is the tax itself, and only rounded. */
static enum status tax_of(const struct step_tax *body, int minor, struct dec rate, struct dec x,
                          struct dec *f, struct error *err)
{
    int digits = body->has_round ? minor : DEC_SCALE;
    enum rounding mode = body->has_round ? body->mode : ROUND_HALF_EVEN;
    if (body->at == TAX_AT_TOTAL) {
        return dec_round(x, digits, mode, f, err);
    }
    struct dec whole = dec_from_int(HUNDRED);
    if (body->is_inclusive) {
        TRY(dec_add(whole, rate, &whole, err));
    }
    return dec_multiply_divide(x, rate, whole, digits, mode, f, err);
}

/* ---- one charge ------------------------------------------------------------------------------ */

/* What a charge came to: its net, or what it was before all terms. */
static struct dec net_or_gross(const struct work *work, const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    if (!step_adjusts(step) || !step->adjust.is_gross) {
        return charge->net;
    }
    return work->term && index < work->gross_count ? work->gross[index] : charge->amount;
}

enum status step_base(struct work *work, const struct step *step, uint32_t index,
                      const struct charge *charge, struct dec *base)
{
    return charge_measure(work, step, charge, net_or_gross(work, step, index), base);
}

/* What the step adds to a charge of what it would.  Of bases before all terms, discounts together
 * may come to more than the charge: none takes it below nothing, and the rest is lost. */
static struct dec held(const struct work *work, const struct step *step, uint32_t index,
                       struct dec amount)
{
    if (step->kind != STEP_DISCOUNT || (!step->adjust.is_gross && !step->measure)) {
        return amount;
    }
    const int sign = dec_sign(net_or_gross(work, step, index));
    const struct dec none = DEC_ZERO, all = dec_negate(work->charges[index].net);
    return sign > 0 && dec_sign(amount) < 0   ? dec_max(amount, dec_min(all, none))
           : sign < 0 && dec_sign(amount) > 0 ? dec_min(amount, dec_max(all, none))
                                              : amount;
}

static enum status change(struct work *work, const struct step *step, uint32_t index,
                          uint32_t bucket, struct dec amount)
{
    struct dec taken = held(work, step, index, amount), lost;
    TRY(dec_subtract(taken, amount, &lost, work->err));
    if (!dec_is_zero(lost)) {
        work_trace_step(work, index, &work->buckets[bucket],
                        (struct trace){.step = step, .lost = lost, .is_more = true, .tier = NONE});
    }
    return step_charge_adjust(work, step, index, kind_of(step), taken);
}

const struct charge *step_charge_seen(const struct work *work, uint32_t index, struct charge *copy)
{
    const struct charge *charge = &work->charges[index];
    if (!work->term || charge->contract) {
        return charge;
    }
    *copy = *charge;
    copy->contract = term_contract(work, charge);
    return copy;
}

enum status step_charge_enter(struct work *work, struct entry *entry, struct dec in)
{
    const struct step *step = entry->step;
    struct charge copy;
    const struct charge *charge = step_charge_seen(work, entry->charge, &copy);
    TRY(bucket_find(work, step, charge, &entry->bucket));
    struct bucket *bucket = &work->buckets[entry->bucket];
    if (!bucket->values || bucket->step != step) {
        struct charge_values *values = arena_alloc(work->arena, sizeof *values);
        TRY(charge_numbers(work, step, charge, bucket->turn, values));
        bucket = &work->buckets[entry->bucket];
        bucket->values = values;
        bucket->step = step;
    }
    uint32_t at = (uint32_t)(entry - work->entries);
    if (bucket->last_charge == NONE) {
        bucket->first_entry = at;
    } else {
        work->entries[bucket->last_entry].next = at;
    }
    bucket->last_entry = at;
    entry->before = bucket->x;
    TRY(dec_add(bucket->x, in, &entry->after, work->err));
    bucket->x = entry->after;
    bucket->price = charge->price;
    bucket->last_charge = entry->charge;
    return OK;
}

/* What a bound or a rounding takes of a charge: what it comes to, unless it says otherwise. */
static enum status measure(struct work *work, const struct entry *entry, struct dec *in)
{
    struct charge copy;
    const struct charge *charge = step_charge_seen(work, entry->charge, &copy);
    return charge_measure(work, entry->step, charge, charge->net, in);
}

static void trace_units(struct work *work, const struct entry *entry, struct dec f_before,
                        struct dec f_after, struct dec limit, struct dec worth)
{
    work_trace_step(work, entry->charge, &work->buckets[entry->bucket],
                    (struct trace){.step = entry->step,
                                   .before = entry->before,
                                   .after = entry->after,
                                   .f_before = f_before,
                                   .f_after = f_after,
                                   .worth = worth,
                                   .limit = limit,
                                   .tier = NONE});
}

static void trace_entry(struct work *work, const struct entry *entry, struct dec f_before,
                        struct dec f_after, struct dec limit)
{
    trace_units(work, entry, f_before, f_after, limit, DEC_ZERO);
}

/* The maximum, in order: what a charge adds beyond it is taken back. */
static enum status run_bound(struct work *work, struct entry *entry)
{
    const struct step *step = entry->step;
    struct dec over = DEC_ZERO, before, after, in = DEC_ZERO;
    if (!work->charges[entry->charge].emitted_free) { /* else it opens the bucket, no more */
        TRY(measure(work, entry, &in));
    }
    TRY(step_charge_enter(work, entry, in));
    const struct charge_values *values = work->buckets[entry->bucket].values;
    if (step->bound.has_max) {
        TRY(step_above(entry->before, values->max, &before, work->err));
        TRY(step_above(entry->after, values->max, &after, work->err));
        TRY(dec_subtract(before, after, &over, work->err));
        /* A minimum is held against what is left: this version's, or that of one to come. */
        struct dec *taken = &work->buckets[entry->bucket].high;
        TRY(dec_subtract(*taken, over, taken, work->err));
        before = dec_min(entry->before, values->max);
        after = dec_min(entry->after, values->max);
    } else {
        before = entry->before;
        after = entry->after;
    }
    trace_entry(work, entry, before, after, values->max);
    return step_charge_adjust(work, step, entry->charge, CHARGE_CAP, over);
}

static enum status run_round(struct work *work, struct entry *entry)
{
    const struct step *step = entry->step;
    struct charge *charge = &work->charges[entry->charge];
    struct dec r_before = DEC_ZERO, r_after, change, in;
    const int digits = step_digits(work, step->round.digits, charge->price);
    TRY(measure(work, entry, &in));
    entry->bucket = NONE;
    entry->before = DEC_ZERO;
    entry->after = in;
    if (step->round.at != ROUND_AT_ROW) {
        TRY(step_charge_enter(work, entry, in));
        charge = &work->charges[entry->charge];
        TRY(round_small(&step->round, digits, entry->before, &r_before, work->err));
    }
    TRY(round_small(&step->round, digits, entry->after, &r_after, work->err));
    const struct bucket *bucket = entry->bucket == NONE ? NULL : &work->buckets[entry->bucket];
    work_trace_step(work, entry->charge, bucket,
                    (struct trace){.step = step,
                                   .before = entry->before,
                                   .after = entry->after,
                                   .f_before = r_before,
                                   .f_after = r_after,
                                   .tier = NONE});
    TRY(dec_subtract(r_after, r_before, &change, work->err));
    TRY(dec_subtract(change, in, &change, work->err));
    if (step->round.show || charge->kind == CHARGE_COVERED) { /* which a negation takes back */
        return step_charge_adjust(work, step, entry->charge, CHARGE_ROUNDING, change);
    }
    TRY(dec_add(charge->amount, change, &charge->amount, work->err));
    return dec_add(charge->net, change, &charge->net, work->err);
}

/* Units that are taken off are worth what the charge's own cost. */
static enum status run_units(struct work *work, struct entry *entry)
{
    struct charge copy;
    const struct charge *charge = step_charge_seen(work, entry->charge, &copy);
    struct dec base = net_or_gross(work, entry->step, entry->charge), quantity;
    struct dec before, after, taken, worth = DEC_ZERO;
    TRY(charge_measure(work, entry->step, charge, charge_units(charge), &quantity));
    TRY(step_charge_enter(work, entry, quantity));
    const struct charge_values *values = work->buckets[entry->bucket].values;
    TRY(charge_worth(entry->step, values, entry->before, &before, work->err));
    TRY(charge_worth(entry->step, values, entry->after, &after, work->err));
    TRY(dec_subtract(after, before, &taken, work->err));
    if (!dec_is_zero(taken)) {
        TRY(dec_multiply_divide(base, taken, quantity, DEC_SCALE, ROUND_HALF_EVEN, &worth,
                                work->err));
    }
    if (entry->step->adjust.has_limit) { /* along what all units are worth, within it */
        struct bucket *bucket = &work->buckets[entry->bucket];
        struct dec y = bucket->y, total;
        TRY(dec_add(y, worth, &total, work->err));
        bucket->y = total;
        TRY(dec_subtract(charge_within(total, values->limit), charge_within(y, values->limit),
                         &worth, work->err));
    }
    trace_units(work, entry, before, after, values->number, worth);
    if (entry->step->kind == STEP_DISCOUNT) {
        worth = dec_negate(worth);
    }
    return change(work, entry->step, entry->charge, entry->bucket, worth);
}

static enum status run_percent(struct work *work, struct entry *entry)
{
    const struct step *step = entry->step;
    struct charge copy;
    const struct charge *charge = step_charge_seen(work, entry->charge, &copy);
    struct period turn = charge_turn(work, step, charge);
    struct charge_values values;
    struct dec worth = DEC_ZERO;
    entry->before = DEC_ZERO;
    TRY(step_base(work, step, entry->charge, charge, &entry->after));
    TRY(charge_numbers(work, step, charge, turn, &values));
    const struct piece piece = {entry->after, values.number, dec_from_int(HUNDRED), 2};
    bool is_held = true;
    if (!values.is_over) {
        TRY(piece_alone(&piece, &is_held, &worth, work->err));
    }
    if (!is_held) {
        const struct charge like = adjustment_of(work, step, entry->charge, kind_of(step), NULL);
        TRY(piece_of_curve(work, step, &like, &piece, &worth));
    }
    const bool goes = step->kind == STEP_DISCOUNT;
    struct dec amount = held(work, step, entry->charge, goes ? dec_negate(worth) : worth);
    worth = goes ? dec_negate(amount) : amount;
    work_trace_step(work, entry->charge, NULL,
                    (struct trace){.step = step,
                                   .after = entry->after,
                                   .f_after = worth,
                                   .is_piece = !is_held,
                                   .tier = NONE});
    return step_charge_adjust(work, step, entry->charge, kind_of(step), amount);
}

enum status step_charge_saving(struct work *work, const struct step *step, uint32_t index,
                               const struct charge_values *values, struct dec before,
                               struct dec base, struct dec *saving)
{
    struct dec after, f_before, f_after, part;
    TRY(dec_add(before, base, &after, work->err));
    TRY(charge_worth(step, values, before, &f_before, work->err));
    TRY(charge_worth(step, values, after, &f_after, work->err));
    TRY(dec_subtract(f_after, f_before, &part, work->err));
    part = step->kind == STEP_DISCOUNT ? dec_negate(part) : part;
    *saving = dec_negate(held(work, step, index, part));
    return OK;
}

bool step_charge_takes_whole(const struct work *work, const struct entry *entry)
{
    if (!step_settles(entry->step) || entry->bucket == NONE) {
        return false;
    }
    const struct bucket *bucket = &work->buckets[entry->bucket];
    const struct charge_values *values = bucket->values;
    return !values->is_over && (entry->step->adjust.settle_at_end || !dec_is_zero(bucket->y));
}

/* An amount on top, in order: all of it on the first charge, whatever that comes to. */
static enum status run_amount_on_top(struct work *work, struct entry *entry)
{
    const struct step *step = entry->step;
    struct bucket *bucket = &work->buckets[entry->bucket];
    const struct charge_values *values = bucket->values;
    struct dec before = bucket->y, part;
    if (dec_is_zero(before)) {
        TRY(charge_worth(step, values, entry->after, &bucket->y, work->err));
    }
    TRY(dec_subtract(bucket->y, before, &part, work->err));
    trace_entry(work, entry, before, bucket->y, values->limit);
    return change(work, step, entry->charge, entry->bucket, part);
}

static enum status run_adjust(struct work *work, struct entry *entry)
{
    const struct step *step = entry->step;
    if (step->adjust.worth == WORTH_QUANTITY) {
        return run_units(work, entry);
    }
    if (step_is_alone(step)) {
        return run_percent(work, entry);
    }
    struct charge copy;
    struct dec in;
    TRY(step_base(work, step, entry->charge, step_charge_seen(work, entry->charge, &copy), &in));
    TRY(step_charge_enter(work, entry, in));
    if (step_settles(step)) {
        trace_entry(work, entry, DEC_ZERO, DEC_ZERO, DEC_ZERO);
        return OK;
    }
    if (step->kind == STEP_MARKUP && step->adjust.worth == WORTH_AMOUNT) {
        return run_amount_on_top(work, entry);
    }
    const struct charge_values *values = work->buckets[entry->bucket].values;
    struct dec before, after, part;
    TRY(charge_worth(step, values, entry->before, &before, work->err));
    TRY(charge_worth(step, values, entry->after, &after, work->err));
    TRY(dec_subtract(after, before, &part, work->err));
    trace_entry(work, entry, before, after, values->limit);
    return change(work, step, entry->charge, entry->bucket,
                  step->kind == STEP_DISCOUNT ? dec_negate(part) : part);
}

enum status charge_is_true(struct work *work, const struct step *step, const struct expr *expr,
                           const struct charge *charge, bool *truth)
{
    if (expr) {
        struct expr_value value;
        struct period turn = charge_turn(work, step, charge);
        TRY(charge_eval(work, expr, charge, turn, &value));
        *truth = value.truth;
    }
    return OK;
}

static enum status tax_rate(struct work *work, const struct step *step, const struct charge *charge,
                            struct dec *rate)
{
    const struct step_tax *body = &step->tax;
    *rate = body->plain;
    if (body->percent) {
        struct expr_value value;
        struct period turn = charge_turn(work, step, charge);
        TRY(charge_eval(work, body->percent, charge, turn, &value));
        *rate = value.number;
    }
    if (dec_sign(*rate) < 0) {
        char text[DEC_FORMAT_MAX];
        dec_format(*rate, text);
        return fail(work->err, ERR_INPUT, "a tax of %s percent is negative", text);
    }
    return OK;
}

/* The step as that of one rate, whose charges have a bucket of their own. */
static const struct step *step_of_rate(struct work *work, const struct step *step)
{
    if (work->rate_step_of != step) {
        struct step *own = arena_alloc(work->arena, sizeof *own);
        struct by_key *by = arena_alloc(work->arena, (step->by_count + 1u) * sizeof *by);
        if (step->by_count > 0) {
            memcpy(by, step->by, step->by_count * sizeof *by);
        }
        by[step->by_count] = (struct by_key){BY_TAX_RATE, NONE};
        *own = *step;
        own->by = by;
        own->by_count++;
        own->tax.at = TAX_AT_RATE;
        own->tax.has_round = false;
        work->rate_step_of = step;
        work->rate_step = own;
    }
    return work->rate_step;
}

/* What a charge adds to the tax of its rate, before that of all rates is rounded.  The tax of a
 * rate is quantized as a whole: charges quantized each could leave it beside a half cent. */
static enum status add_at_rate(struct work *work, const struct step *step,
                               const struct charge *charge, struct dec rate, struct dec in,
                               struct dec *part)
{
    const struct step *own = step_of_rate(work, step);
    uint32_t found;
    struct dec before, after;
    TRY(bucket_find(work, own, charge, &found));
    struct dec *x = &work->buckets[found].x;
    TRY(tax_of(&own->tax, 0, rate, *x, &before, work->err));
    TRY(dec_add(*x, in, x, work->err));
    TRY(tax_of(&own->tax, 0, rate, *x, &after, work->err));
    return dec_subtract(after, before, part, work->err);
}

/* One tax charge of each base charge.  Of a reverse charge there is one of nothing, so that the
 * bill says it; a price that includes the tax is billed without it.  What is taken out then adds up
 * by itself: its buckets are those of the negative rate. */
static enum status run_tax(struct work *work, struct entry *entry)
{
    const struct step *step = entry->step;
    const struct step_tax *body = &step->tax;
    struct charge copy;
    const struct charge *charge = step_charge_seen(work, entry->charge, &copy);
    const int digits = step_digits(work, body->digits, charge->price);
    bool is_exempt = false, is_reverse = false;
    TRY(charge_is_true(work, step, body->exempt, charge, &is_exempt));
    TRY(charge_is_true(work, step, body->reverse_charge, charge, &is_reverse));
    if (is_exempt) {
        return OK;
    }
    struct dec rate, in = work->charges[entry->charge].net, before, after, part;
    if (is_reverse && !dec_is_zero(in)) {
        TRY(add_adjustment(work, step, entry->charge, CHARGE_TAX, &(struct dec){0, 0}, DEC_ZERO,
                           NULL));
    }
    if (is_reverse && !body->is_inclusive) {
        work_trace_step(work, entry->charge, NULL,
                        (struct trace){.step = step, .after = in, .tier = NONE});
        return OK;
    }
    TRY(tax_rate(work, step, charge, &rate));
    work->tax_rate = is_reverse ? dec_negate(rate) : rate;
    if (body->at == TAX_AT_TOTAL) {
        TRY(add_at_rate(work, step, charge, rate, in, &in));
        work->tax_rate = dec_from_int(is_reverse ? -1 : 1);
    }
    TRY(step_charge_enter(work, entry, in));
    TRY(tax_of(body, digits, rate, entry->before, &before, work->err));
    TRY(tax_of(body, digits, rate, entry->after, &after, work->err));
    TRY(dec_subtract(after, before, &part, work->err));
    trace_entry(work, entry, before, after, rate);
    if (dec_is_zero(part)) {
        return OK;
    }
    if (body->is_inclusive) {
        TRY(add_adjustment(work, step, entry->charge, CHARGE_NEGATION, &rate, dec_negate(part),
                           NULL)); /* a line of its own for each that it takes out */
    }
    return is_reverse ? OK
                      : add_adjustment(work, step, entry->charge, CHARGE_TAX, &rate, part, NULL);
}

enum status step_commit_enter(struct work *work, const struct step *step,
                              const struct charge *charge, bool *is_bought)
{
    uint32_t index;
    struct dec rolled;
    TRY(bucket_find(work, step, charge, &index));
    struct bucket *bucket = &work->buckets[index];
    *is_bought = bucket->is_bought;
    if (bucket->is_touched || bucket->is_opened) {
        return OK;
    }
    bucket->is_touched = true;
    TRY(step_commit_rolled(work, step, charge, bucket->turn, &rolled));
    work->buckets[index].events = rolled;
    return OK;
}

/* Whether a term promises something in a turn of this bill that no charge has come to: its bucket
 * is opened when all charges have, and what has rolled over goes through it. */
static bool is_promised_unused(const struct work *work, const struct step *step,
                               const struct charge *charge, struct period turn)
{
    const struct term *term = work->term;
    if (!term || step->scope == SCOPE_RESOURCE || step->by_count > 0 ||
        turn.to <= work->pricing->cut.from) {
        return false;
    }
    const struct contract *contract = term->level == LEVEL_CONTRACT   ? term->contract
                                      : step->scope == SCOPE_CONTRACT ? charge->contract
                                                                      : NULL;
    if (contract && (contract->from >= turn.to || contract->to <= turn.from)) {
        return false;
    }
    if (step->scope != SCOPE_ACCOUNT) {
        return term->level != LEVEL_PLAN;
    }
    struct period force = term_in_force(work, term, NULL, charge->account, turn);
    return force.from < turn.to;
}

/* What the turn before left beyond its promise, as far as it counts in this one: by what it had of
 * the one before it itself. */
enum status step_commit_rolled(struct work *work, const struct step *step,
                               const struct charge *charge, struct period turn, struct dec *rolled)
{
    *rolled = DEC_ZERO;
    if (!step->commit.has_rollover || turn.from == INSTANT_MIN) {
        return OK;
    }
    struct charge before = *charge;
    struct dec x, high, events, more;
    before.at = turn.from - 1;
    struct period past = charge_turn(work, step, &before);
    if (step->commit.is_prepaid && past.from >= work->pricing->cut.from) {
        bool was_bought;
        TRY(step_commit_enter(work, step, &before, &was_bought));
        if (!was_bought) { /* the term was not in force then */
            return OK;
        }
    }
    if (!bucket_find_past(work, step, &before, past, &x, &high, &events)) {
        if (step->commit.is_prepaid || !is_promised_unused(work, step, &before, past)) {
            return OK;
        }
        x = DEC_ZERO;
        TRY(step_commit_rolled(work, step, &before, past, &events));
        if (dec_is_zero(events)) {
            return OK;
        }
    }
    struct charge_values values;
    TRY(charge_numbers(work, step, &before, past, &values));
    if (step->commit.is_prepaid) { /* what was left of it */
        TRY(dec_add(values.limit, events, &more, work->err));
        TRY(step_above(more, x, &more, work->err));
    } else {
        TRY(dec_add(x, events, &more, work->err));
        TRY(step_above(more, values.limit, &more, work->err));
    }
    return dec_multiply_round(more, step->commit.rollover, DEC_SCALE, ROUND_HALF_EVEN, rolled,
                              work->err);
}

enum status step_commit_promise(struct work *work, const struct step *step,
                                const struct charge *like, struct period turn, struct dec *promise)
{
    struct charge_values values;
    TRY(charge_numbers(work, step, like, turn, &values));
    *promise = values.limit;
    return OK;
}

/* What was prepaid pays, in order; its grant has the commit's name. */
static enum status use_up(struct work *work, const struct entry *entry, struct dec limit)
{
    struct dec before = dec_min(entry->before, limit), after = dec_min(entry->after, limit), part;
    TRY(dec_subtract(after, before, &part, work->err));
    if (dec_is_zero(part)) {
        return OK;
    }
    work_trace_step(work, entry->charge, &work->buckets[entry->bucket],
                    (struct trace){.step = entry->step,
                                   .before = entry->before,
                                   .after = entry->after,
                                   .f_before = before,
                                   .f_after = after,
                                   .limit = limit,
                                   .grant = &entry->step->name,
                                   .tier = NONE});
    return step_pay_charge(work, entry->step, entry->charge, &entry->step->name, part);
}

/* What exceeds a promise, in order, at its factor.  A bucket's events are what rolled over into it,
 * and high is what a unit cost last: at that the units are owed that lack. */
static enum status run_commit(struct work *work, struct entry *entry)
{
    const struct step *step = entry->step;
    struct charge copy;
    const struct charge *charge = step_charge_seen(work, entry->charge, &copy);
    struct dec net = charge->net, quantity, before, after, part;
    TRY(charge_measure(work, step, charge, step->commit.is_quantity ? charge_units(charge) : net,
                       &quantity));
    TRY(step_charge_enter(work, entry, quantity));
    struct bucket *bucket = &work->buckets[entry->bucket];
    const struct charge_values *values = bucket->values;
    bool is_bought;
    TRY(step_commit_enter(work, step, step_charge_seen(work, entry->charge, &copy), &is_bought));
    bucket = &work->buckets[entry->bucket];
    if (step->commit.is_quantity && !dec_is_zero(quantity)) {
        TRY(dec_divide(net, quantity, DEC_SCALE, ROUND_HALF_EVEN, &bucket->high, work->err));
    }
    struct dec more, limit = values->limit;
    if (step->commit.is_prepaid) {
        TRY(dec_add(limit, bucket->events, &limit, work->err));
        TRY(use_up(work, entry, limit));
    }
    TRY(step_above(entry->before, limit, &before, work->err));
    TRY(step_above(entry->after, limit, &after, work->err));
    TRY(dec_subtract(values->number, dec_from_int(1), &more, work->err));
    if (step->commit.is_quantity) {
        TRY(dec_subtract(after, before, &part, work->err));
        TRY(dec_multiply_round(part, more, DEC_SCALE, ROUND_HALF_EVEN, &part, work->err));
        if (!dec_is_zero(part)) {
            TRY(dec_multiply_divide(net, part, quantity, DEC_SCALE, ROUND_HALF_EVEN, &part,
                                    work->err));
        }
    } else {
        TRY(dec_multiply_round(before, more, DEC_SCALE, ROUND_HALF_EVEN, &before, work->err));
        TRY(dec_multiply_round(after, more, DEC_SCALE, ROUND_HALF_EVEN, &after, work->err));
        TRY(dec_subtract(after, before, &part, work->err));
    }
    trace_units(work, entry, before, after, limit, step->commit.is_quantity ? part : DEC_ZERO);
    return step_charge_adjust(work, step, entry->charge, CHARGE_OVERAGE, part);
}

static enum status run_credit(struct work *work, struct entry *entry)
{
    const struct step_credit *body = &entry->step->credit;
    struct charge copy;
    const struct charge *charge = step_charge_seen(work, entry->charge, &copy);
    return credit_is_meant(body, charge->kind) && dec_sign(charge->net) > 0
               ? step_credit_run(work, entry->step, entry->charge, charge,
                                 entry->is_first ? CREDIT_OWN : CREDIT_ALL)
               : OK;
}

/* What an allowance has freed costs nothing, on a line of its own or not: no step over charges
 * takes it, but that it was used makes a minimum of its price owed. */
static bool is_freed(const struct work *work, const struct entry *entry)
{
    return work->charges[entry->charge].emitted_free &&
           (work->term || entry->step->kind != STEP_BOUND);
}

static enum status run_entry(struct work *work, struct entry *entry)
{
    if (is_freed(work, entry)) {
        return OK;
    }
    switch (entry->step->kind) {
    case STEP_ALLOCATE:
        return step_allocate_enter(work, entry);
    case STEP_COMMIT:
        return run_commit(work, entry);
    case STEP_CREDIT:
        return run_credit(work, entry);
    case STEP_BOUND:
        return run_bound(work, entry);
    case STEP_ROUND:
        return run_round(work, entry);
    case STEP_TAX:
        return run_tax(work, entry);
    default:
        assert(step_adjusts(entry->step));
        return run_adjust(work, entry);
    }
}

/* ---- the whole bucket ------------------------------------------------------------------------ */

/* A charge on the scope of a bucket, whose turn is due then. */
static struct charge scope_charge(struct work *work, const struct bucket *bucket,
                                  const struct step *step, const struct price *price, instant due,
                                  const struct charge *like)
{
    struct charge scope = work->term ? term_charge(work, step, bucket->account, like->contract,
                                                   bucket->turn, due, like->at)
                                     : turn_end_charge(work, bucket, step, price, due, like);
    scope.kind = kind_of(step);
    scope.keys = bucket_keys(work, bucket->keyed_by, bucket->resource, bucket->by);
    scope.unit = TEXT("");
    if (step->kind == STEP_FEE && step->adjust.sku != NONE) {
        scope.sku = step->adjust.sku;
    }
    return scope;
}

enum status step_charge_due(struct work *work, const struct step *step,
                            const struct bucket_state *state, const struct charge *asking,
                            struct charge *charge, struct dec *f)
{
    struct charge_values values;
    struct dec all;
    TRY(charge_numbers(work, step, asking, state->turn, &values));
    values.rolled = state->events;
    values.unit = state->high;
    TRY(charge_whole(step, &values, state->x, f, &all, work->err));
    TRY(dec_subtract(all, state->y, &charge->amount, work->err));
    charge->kind = kind_of(step);
    charge->unit = TEXT("");
    if (step->kind == STEP_FEE && step->adjust.sku != NONE) {
        charge->sku = step->adjust.sku;
    }
    charge->net = charge->list = charge->amount;
    return OK;
}

/* The part of a charge in what its bucket came to; a minimum's tells of the bucket alone. */
static void trace_share(struct work *work, const struct step *step, const struct entry *entry,
                        struct dec f_before, struct dec f_after)
{
    const bool goes = step->kind == STEP_DISCOUNT;
    if (step_adjusts(step)) {
        work_trace_step(work, entry->charge, &work->buckets[entry->bucket],
                        (struct trace){.step = step,
                                       .before = entry->after,
                                       .after = entry->after,
                                       .f_before = goes ? dec_negate(f_before) : f_before,
                                       .f_after = goes ? dec_negate(f_after) : f_after,
                                       .is_more = true,
                                       .tier = NONE});
    }
}

/* Shares what a bucket comes to among its charges of this bill, along the chord. */
static enum status share(struct work *work, const struct step *step, uint32_t at, struct dec total,
                         struct dec sum)
{
    const struct entry *entries = work->entries;
    struct dec x = DEC_ZERO, low = DEC_ZERO;
    for (uint32_t i = work->buckets[at].first_entry; i != NONE; i = entries[i].next) {
        struct dec in, high, part;
        TRY(dec_subtract(entries[i].after, entries[i].before, &in, work->err));
        TRY(dec_add(x, in, &x, work->err));
        TRY(dec_multiply_divide(total, x, sum, DEC_SCALE, ROUND_HALF_EVEN, &high, work->err));
        TRY(dec_subtract(high, low, &part, work->err));
        trace_share(work, step, &entries[i], low, high);
        TRY(change(work, step, entries[i].charge, at, part));
        low = high;
    }
    return OK;
}

/* Along the curve: what the charges of earlier bills are owed by it is a charge on the scope. */
static enum status share_in_order(struct work *work, const struct step *step, uint32_t at,
                                  struct dec *rest)
{
    const struct entry *entries = work->entries;
    for (uint32_t i = work->buckets[at].first_entry; i != NONE; i = entries[i].next) {
        const struct charge_values *values = work->buckets[at].values;
        struct dec f, before, after, part;
        TRY(charge_whole(step, values, entries[i].before, &f, &before, work->err));
        TRY(charge_whole(step, values, entries[i].after, &f, &after, work->err));
        TRY(dec_subtract(after, before, &part, work->err));
        TRY(dec_subtract(*rest, part, rest, work->err));
        trace_share(work, step, &entries[i], before, after);
        TRY(change(work, step, entries[i].charge, at, part));
    }
    return OK;
}

static void add_scope_charge(struct work *work, const struct charge *scope, struct dec amount)
{
    struct charge charge = *scope;
    charge.amount = charge.net = charge.list = amount;
    work_push(work, work_add_charge(work, &charge));
}

/* A fee has one rate: one charge for each percentage, from what has accumulated before to what has
 * now.  What is left of the total is owed for another reason: a minimum, a maximum, or a curve that
 * was another one before. */
static enum status add_fees(struct work *work, const struct step *step,
                            const struct charge_values *values, struct dec from, struct dec to,
                            const struct charge *scope, struct dec *total)
{
    const struct step_adjust *body = &step->adjust;
    struct charge_values plain = *values;
    struct step curve = *step;
    curve.adjust.has_min = curve.adjust.has_max = false;
    struct dec whole_fee, whole_before;
    TRY(charge_worth(&curve, &plain, from, &whole_before, work->err));
    TRY(charge_worth(&curve, &plain, to, &whole_fee, work->err));
    TRY(dec_subtract(whole_fee, whole_before, &whole_fee, work->err));
    struct charge charge = *scope;
    charge.has_rate = true;
    charge.rate = values->number;
    if (!dec_equal(whole_fee, *total)) {
        charge.has_rate = false;
        add_scope_charge(work, &charge, *total);
        *total = DEC_ZERO;
        return OK;
    }
    if (body->worth == WORTH_TIERS && body->tier.mode == TIER_VOLUME) {
        charge.tier = curve_tier_of(values->tiers, body->tier.tier_count, to);
        charge.rate = values->tiers[charge.tier].rate;
    }
    for (uint32_t i = 0; body->worth == WORTH_TIERS && body->tier.mode == TIER_GRADUATED &&
                         i < body->tier.tier_count;
         i++) {
        const struct tier_values *tier = &values->tiers[i];
        struct dec ends[4] = {from, from, to, to}, f[4], part = DEC_ZERO;
        ends[0] = dec_min(from, tier->from);
        ends[2] = dec_min(to, tier->from);
        ends[1] = tier->open ? from : dec_min(from, tier->up_to);
        ends[3] = tier->open ? to : dec_min(to, tier->up_to);
        for (int k = 0; k < 4; k++) {
            TRY(charge_worth(&curve, &plain, ends[k], &f[k], work->err));
        }
        TRY(dec_subtract(f[3], f[2], &part, work->err));
        TRY(dec_subtract(part, f[1], &part, work->err));
        TRY(dec_add(part, f[0], &part, work->err));
        charge.tier = i;
        charge.rate = tier->rate;
        if (!dec_is_zero(part)) {
            add_scope_charge(work, &charge, part);
            TRY(dec_subtract(*total, part, total, work->err));
        }
    }
    if (!dec_is_zero(*total)) {
        add_scope_charge(work, &charge, *total);
        *total = DEC_ZERO;
    }
    return OK;
}

/* True of a discount or a markup; of what is owed is told what there is and what should be. */
static bool is_curve(const struct step *step)
{
    return step_adjusts(step) && step->kind != STEP_FEE;
}

enum status step_charge_f_before(const struct step *step, const struct bucket_state *state,
                                 struct dec *f, struct error *err)
{
    *f = !is_curve(step) ? state->x : step->kind == STEP_DISCOUNT ? dec_negate(state->y) : state->y;
    return step->kind == STEP_BOUND ? dec_subtract(state->x, state->high, f, err) : OK;
}

/* What a bucket comes to on this bill: on its charges, or on its scope. */
static enum status charge_total(struct work *work, const struct step *step, uint32_t at,
                                const struct charge *scope, struct dec total)
{
    const struct bucket *bucket = &work->buckets[at];
    struct dec sum;
    TRY(dec_subtract(bucket->x, bucket->opening_x, &sum, work->err));
    if (step->attribute == ATTRIBUTE_PRO_RATA && !dec_is_zero(sum)) {
        return share(work, step, at, total, sum);
    }
    if (step->attribute == ATTRIBUTE_IN_ORDER) {
        TRY(share_in_order(work, step, at, &total));
    }
    if (step->kind == STEP_FEE) {
        TRY(add_fees(work, step, bucket->values, bucket->opening_x, bucket->x, scope, &total));
    }
    if (!dec_is_zero(total)) {
        add_scope_charge(work, scope, total);
    }
    return OK;
}

static enum status settle(struct work *work, uint32_t at, const struct step **settled)
{
    struct bucket *bucket = &work->buckets[at];
    work->asking = bucket->step;
    if (bucket->step->kind == STEP_ALLOCATE) {
        *settled = bucket->step;
        return step_allocate_settle(work, at);
    }
    if (step_adjusts(bucket->step) && !step_settles(bucket->step)) {
        *settled = bucket->step;
        return OK; /* in order, whatever another version does */
    }
    struct charge copy, last = *step_charge_seen(work, bucket->last_charge, &copy);
    const struct price *price = last.price;
    instant cut_end = work->pricing->cut.to;
    instant due =
        work->term
            ? term_due(work, bucket->step, last.contract, bucket->account, bucket->turn)
            : turn_end_due(work, bucket->step, price, last.contract, bucket->account, bucket->turn);
    const struct step *step =
        work->term ? bucket->step : turn_end_step(work, bucket->step, due, &price);
    *settled = step;
    bool waits = (step->kind == STEP_BOUND && !step->bound.settle_now) ||
                 step->kind == STEP_COMMIT || (step_adjusts(step) && step->adjust.settle_at_end);
    if (!step_settles(step) || (waits && due > cut_end)) {
        return OK;
    }
    last.price = price;
    struct charge scope = scope_charge(work, bucket, step, price, due, &last);
    /* What is promised is one number: for what lacks, too, that of the first charge of the bill. */
    bool is_asked = step->kind == STEP_COMMIT && bucket->values && bucket->step == step;
    struct charge_values *values = is_asked ? (struct charge_values *)(uintptr_t)bucket->values
                                            : arena_alloc(work->arena, sizeof *values);
    struct dec f, y, total;
    struct charge asking = scope; /* its numbers may ask for usage on the scope */
    asking.series = last.series;
    asking.merged = last.merged;
    if (work->term) {
        asking.contract = last.contract =
            term_contract_due(work, step, bucket->account, last.contract, due);
    }
    work->asking = step;
    if (!is_asked) {
        TRY(charge_numbers(work, step, waits ? &asking : &last, bucket->turn, values));
    }
    bucket = &work->buckets[at];
    bucket->values = values;
    bucket->step = step;
    values->rolled = bucket->events;
    values->unit = bucket->high;
    TRY(charge_whole(step, values, bucket->x, &f, &y, work->err));
    TRY(dec_subtract(y, bucket->y, &total, work->err));
    if (dec_is_zero(total)) {
        return OK;
    }
    const struct bucket_state was = {.x = bucket->x, .y = bucket->y, .high = bucket->high};
    struct dec f_before;
    TRY(step_charge_f_before(step, &was, &f_before, work->err));
    bucket->y = y;
    const uint32_t made_from = work->charge_count;
    TRY(charge_total(work, step, at, &scope, total));
    bucket = &work->buckets[at];
    work_trace_bucket(work, bucket,
                      (struct trace){.made_from = made_from,
                                     .made_to = work->charge_count,
                                     .step = step,
                                     .before = is_curve(step) ? bucket->opening_x : bucket->x,
                                     .after = bucket->x,
                                     .f_before = f_before,
                                     .f_after = f,
                                     .limit = f,
                                     .tier = NONE});
    return OK;
}

enum status step_charge_run(struct work *work, struct entry *entries, uint32_t count)
{
    work->entries = entries;
    order_in_time(work, entries, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct charge *charge = &work->charges[entries[i].charge];
        const struct price *price = work->term ? work->term->list : charge->price;
        entries[i].next = NONE;
        work->asking = entries[i].step;
        entries[i].bucket = NONE;
        /* What an allowance took is a charge to a minimum alone, which asks what was used. */
        if (charge->emitted_free && entries[i].step->kind != STEP_BOUND) {
            continue;
        }
        enum status status = run_entry(work, &entries[i]);
        if (status != OK) {
            return work_fail_on(work, status, price, entries[i].step, entries[i].charge);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].bucket == NONE ||
            work->buckets[entries[i].bucket].last_charge != entries[i].charge) {
            continue; /* once a bucket, behind its last charge */
        }
        const struct charge *charge = &work->charges[entries[i].charge];
        const struct price *price = work->term ? work->term->list : charge->price;
        uint32_t account = charge->account;
        const struct step *step = entries[i].step;
        enum status status = settle(work, entries[i].bucket, &step);
        if (status != OK) {
            return work_fail(work, status, price, step, account);
        }
    }
    return OK;
}
