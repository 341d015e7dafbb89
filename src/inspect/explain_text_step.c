/* explain_text_step.c - a step of a line's price, for people: what it says, in words, and what it
 * did.
 */
#include "inspect/explain_write.h"
#include "price/curve.h"

/* ---- what it says -------------------------------------------------------------------------- */

/* As the catalog has it, in brackets when it is more than a name. */
static void add_expr(struct buffer *out, const struct expr *expr)
{
    struct buffer written;
    buffer_init(&written, out->arena, 64);
    expr_format(expr, NULL, &written);
    bool is_name = memchr(written.at, ' ', written.size) == NULL;
    buffer_add_text(out, is_name ? TEXT("") : TEXT("("));
    add_shown(out, buffer_text(&written));
    buffer_add_text(out, is_name ? TEXT("") : TEXT(")"));
}

static void add_number(struct buffer *out, const struct number *number)
{
    if (number->expr) {
        add_expr(out, number->expr);
    } else {
        add_decimal(out, number->value);
    }
}

static void add_convert(struct buffer *out, const struct step_convert *convert)
{
    if (convert->quantity) {
        add_expr(out, convert->quantity);
    } else {
        buffer_add_text(out, TEXT("quantity"));
    }
    bool is_one = !convert->multiply.expr && dec_equal(convert->multiply.value, dec_from_int(1));
    if (!is_one) {
        buffer_add_text(out, TEXT(" x "));
        add_number(out, &convert->multiply);
    }
    is_one = !convert->divide.expr && dec_equal(convert->divide.value, dec_from_int(1));
    if (!is_one) {
        buffer_add_text(out, TEXT(" / "));
        add_number(out, &convert->divide);
    }
    if (convert->has_minimum) {
        buffer_add_text(out, TEXT(", at least "));
        add_number(out, &convert->minimum);
    }
    for (uint32_t i = 0; i < convert->increment_count; i++) {
        buffer_add_text(out, i == 0 ? TEXT(", in whole ") : TEXT(" and "));
        add_decimal(out, convert->increments[i].size);
    }
    if (convert->has_round) {
        buffer_format(out, ", rounded %s to %d digits", rounding_name(convert->round_mode),
                      convert->round_digits);
    }
    if (convert->to.size > 0) {
        buffer_add_text(out, TEXT(", in "));
        add_shown(out, convert->to);
    }
}

/* Limits may be expressions, or parts of what is written: those that held are shown. */
static void add_tier(struct buffer *out, const struct step_tier *body,
                     const struct explained_step *done)
{
    uint32_t index = done->tier;
    if (index == NONE) { /* a graduated amount that is not attributed in order is of all of them */
        buffer_add_text(out, TEXT("graduated, over "));
        say_count(out, body->tier_count, "tier");
        return;
    }
    buffer_format(out, "%s, tier %u of %u", body->mode == TIER_VOLUME ? "volume" : "graduated",
                  index + 1, body->tier_count);
    const struct tier *tier = &body->tiers[index];
    if (!tier->open && body->past_last == PAST_FREE && body->mode == TIER_GRADUATED &&
        dec_compare(dec_max(done->before, done->after), done->tier_to) > 0 &&
        dec_compare(dec_min(done->before, done->after), done->tier_to) >= 0) {
        buffer_add_text(out, TEXT(", which is the last: over "));
        add_decimal(out, done->tier_to);
        buffer_add_text(out, TEXT(" free"));
        return;
    }
    if (index > 0) {
        buffer_format(out, ", %s ", body->tiers[index - 1].below ? "from" : "over");
        add_decimal(out, done->tier_from);
    }
    if (!tier->open) {
        buffer_format(out, "%s %s ", index > 0 ? "" : ",", tier->below ? "below" : "up to");
        add_decimal(out, done->tier_to);
    }
    buffer_format(out, ", at ");
    add_number(out, &tier->rate);
    buffer_add_text(out, tier->is_percent ? TEXT(" percent") : TEXT(""));
    if (tier->has_package) {
        buffer_add_text(out, TEXT(" a package of "));
        add_decimal(out, tier->package);
    }
    if (tier->flat.expr || !dec_is_zero(tier->flat.value)) {
        buffer_add_text(out, TEXT(", and "));
        add_number(out, &tier->flat);
        buffer_add_text(out, TEXT(" once"));
    }
}

static void add_rate(struct buffer *out, const struct explained_step *done)
{
    const struct step_rate *rate = &done->step->rate;
    if (rate->table) {
        buffer_add_text(out, rate->table->is_series ? TEXT("of series ") : TEXT("of table "));
        add_shown(out, rate->table->name);
        if (done->row_place && !done->has_other_rates) {
            buffer_add_text(out, TEXT(" at "));
            say_place(out, done->row_place);
        }
        buffer_add_text(out, TEXT(": "));
    } else if (rate->from) {
        buffer_add_text(out, TEXT("said by the row, "));
        add_expr(out, rate->from);
        buffer_add_text(out, TEXT(": "));
    } else if (rate->case_count > 1) {
        buffer_format(out, "the first of %u cases that holds: ", rate->case_count);
    }
    buffer_add_text(out, TEXT("quantity x "));
    if (done->has_other_rates) { /* of an adjustment: what it adjusts is on a line for each */
        buffer_add_text(out, TEXT("the rate of each row"));
    } else {
        add_decimal(out, done->limit);
    }
    if (rate->has_per) {
        buffer_add_text(out, TEXT(" / "));
        add_decimal(out, rate->per);
    }
}

static void add_aggregate(struct buffer *out, const struct step_aggregate *aggregate)
{
    if (aggregate->function == FUNCTION_PERCENTILE) {
        add_decimal(out, aggregate->percentile);
        buffer_add_text(out, aggregate->method == PERCENTILE_DROP_TOP
                                 ? TEXT("th percentile, what is above dropped")
                                 : TEXT("th percentile, nearest rank"));
    } else {
        buffer_add_text(out, text_of(function_name(aggregate->function)));
    }
    buffer_add_text(out, TEXT(" of the bucket's rows"));
    if (aggregate->has_samples) {
        buffer_add_text(out, TEXT(", as if there were "));
        add_number(out, &aggregate->samples);
    }
}

/* Of a step's numbers, one that it may have. */
struct part {
    bool has;
    const char *name;
    const struct number *number;
};

static void add_parts(struct buffer *out, const struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (parts[i].has) {
            buffer_format(out, ", %s ", parts[i].name);
            add_number(out, parts[i].number);
        }
    }
}

static void add_percent(struct buffer *out, const struct step_percent *percent)
{
    add_number(out, &percent->rate);
    buffer_add_text(out, TEXT(" percent"));
    const struct part parts[] = {{percent->has_fixed, "and for each event", &percent->fixed},
                                 {percent->has_min, "at least", &percent->min},
                                 {percent->has_max, "at most", &percent->max}};
    add_parts(out, parts, sizeof parts / sizeof *parts);
}

/* What a discount, a markup or a fee is worth. */
static void add_adjust(struct buffer *out, const struct step *step)
{
    const struct step_adjust *adjust = &step->adjust;
    switch (adjust->worth) {
    case WORTH_PERCENT:
        add_number(out, &adjust->number);
        buffer_add_text(out, TEXT(" %"));
        break;
    case WORTH_AMOUNT:
        add_number(out, &adjust->number);
        break;
    case WORTH_QUANTITY:
        add_number(out, &adjust->number);
        buffer_add_text(out, TEXT(" units, at what they cost"));
        break;
    case WORTH_TIERS:
        buffer_format(out, "%u tiers of percent%s", adjust->tier.tier_count,
                      adjust->tier.mode == TIER_VOLUME ? ", by volume" : "");
        break;
    }
    buffer_add_text(out, adjust->is_gross ? TEXT(" of what was charged before all terms")
                                          : TEXT(" of what is charged"));
    const struct part parts[] = {{adjust->has_limit, "at most", &adjust->limit},
                                 {adjust->has_min, "at least", &adjust->min},
                                 {adjust->has_max, "at most", &adjust->max}};
    add_parts(out, parts, sizeof parts / sizeof *parts);
}

/* Those of a step or rounding that says none: of the currency that it works in. */
static int digits_shown(const struct explain *x, int digits)
{
    bool is_of_price = x->charge && x->charge->level < LEVEL_TERMS;
    return digits != DIGITS_OF_CURRENCY ? digits
           : !is_of_price               ? x->bill.minor_digits
           : x->charge->price->takes_money
               ? x->pricing.source_currency->digits
               : price_currency(x->run->catalog, x->charge->price)->digits;
}

static void add_tax(const struct explain *x, struct buffer *out, const struct step *step,
                    const struct explained_step *done)
{
    static const char *const ats[] = {"each line", "the sum of each rate", "the whole tax"};
    if (explain_is_reverse(x, step)) {
        buffer_add_text(out, TEXT("reverse charge: the buyer owes it, and none is added"));
        if (!step->tax.is_inclusive) {
            return;
        }
        buffer_add_text(out, TEXT("; taken out is "));
    }
    add_decimal(out, done->limit);
    buffer_add_text(out, step->tax.is_inclusive ? TEXT(" %, which is in the amount") : TEXT(" %"));
    if (step->tax.has_round) {
        buffer_format(out, "; %s is rounded %s to %d digits", ats[step->tax.at],
                      rounding_name(step->tax.mode), digits_shown(x, step->tax.digits));
    }
}

/* The line's charge, or what that adjusts: a credit, or a tax, on a fee. */
static const struct charge *charge_itself(const struct explain *x)
{
    return x->charge->of == NONE ? x->charge : &x->priced.charges[x->charge->of];
}

/* A fee of a commitment or its unused part; else what it took of rows. */
static void add_cover(const struct explain *x, struct buffer *out,
                      const struct explained_step *done)
{
    enum charge_kind kind = charge_itself(x)->kind;
    buffer_add_text(out, TEXT("commitment "));
    add_shown(out, done->grant ? *done->grant : TEXT(""));
    if (kind == CHARGE_COMMITMENT) {
        buffer_add_text(out, TEXT(", a fee of "));
        add_decimal(out, done->limit);
        bool is_once = text_equal(done->step->name, TEXT("upfront"));
        buffer_add_text(out, is_once ? TEXT(" as it begins") : TEXT(" for each turn"));
    } else if (kind == CHARGE_UNUSED) {
        buffer_add_text(out, TEXT(", units that nobody used, which cost "));
        add_decimal(out, done->limit);
    } else {
        buffer_add_text(out, TEXT(", of "));
        add_decimal(out, done->limit);
        buffer_add_text(out, TEXT(" units a turn"));
    }
    if (done->step->cover.is_frozen) {
        buffer_add_text(out, TEXT("; what was billed stays"));
    }
}

static void add_taken(struct buffer *out, const struct explained_step *done)
{
    buffer_add_text(out, TEXT("     covers    "));
    add_decimal(out, done->in);
    buffer_add_text(out, TEXT(" in "));
    say_count(out, done->count, "row");
    buffer_add_text(out, TEXT(", which took "));
    add_decimal(out, done->out);
    buffer_add_text(out, TEXT(" of its units\n"));
}

/* True when the line is what the grant cost; another fee may be one that it pays. */
static bool is_bought(const struct explain *x, const struct explained_step *done)
{
    return x->charge->kind == CHARGE_FEE && x->charge->step == done->step &&
           dec_compare(done->after, done->before) > 0;
}

/* What a wallet owes: no grant is called so. */
static bool is_overage(const struct explained_step *done)
{
    return done->grant && text_equal(*done->grant, TEXT("overage"));
}

static void add_allowance(struct buffer *out, const struct explained_step *done)
{
    const struct step *step = done->step;
    add_decimal(out, done->limit);
    buffer_add_text(out, step->allowance.has_quantity ? TEXT(" free") : TEXT(" events free"));
    if (step->allowance.has_rollover) {
        buffer_add_text(out, TEXT(", of which from turns before "));
        add_decimal(out, done->tier_from);
    }
}

static void add_fixed_amount(const struct explain *x, struct buffer *out,
                             const struct explained_step *done)
{
    const struct step *step = done->step;
    if (step->fixed.installment_count > 0) {
        add_decimal(out, x->charge->rate);
        buffer_add_text(out, TEXT(" x "));
        add_decimal(out, done->in);
        buffer_add_text(out, TEXT(", an installment"));
        return;
    }
    add_number(out, &step->fixed.amount);
    buffer_add_text(out, TEXT(" x "));
    add_decimal(out, done->in);
    buffer_format(out, ", %s",
                  step->fixed.when == FIXED_IN_ADVANCE ? "due when its turn begins"
                  : step->fixed.when == FIXED_ONCE     ? "once"
                                                       : "due when its turn ends");
}

static void add_bound(struct buffer *out, const struct explained_step *done)
{
    const struct step *step = done->step;
    if (step->bound.has_max && !done->is_whole) {
        buffer_add_text(out, TEXT("at most "));
        add_decimal(out, done->limit);
    } else if (done->is_whole) {
        buffer_add_text(out, TEXT("at least "));
        add_decimal(out, done->limit);
    } else {
        buffer_add_text(out, TEXT("a minimum of "));
        add_number(out, &step->bound.min);
        buffer_add_text(out, TEXT(", looked at when its turn ends"));
    }
}

static void add_credit(const struct explain *x, struct buffer *out,
                       const struct explained_step *done)
{
    buffer_add_text(out, TEXT("grant "));
    add_shown(out, done->grant ? *done->grant : TEXT(""));
    if (is_overage(done)) {
        buffer_add_text(out, TEXT(", what no grant holds: what comes in later repays it"));
        return;
    }
    buffer_add_text(out, is_bought(x, done) ? TEXT(", bought for ") : TEXT(", of "));
    add_decimal(out, done->limit);
}

static void add_commit(struct buffer *out, const struct explained_step *done)
{
    const struct step *step = done->step;
    buffer_add_text(out, TEXT("a promise of "));
    add_decimal(out, done->limit);
    buffer_add_text(out, step->commit.is_quantity ? TEXT(" units") : TEXT(""));
    if (done->grant) {
        buffer_add_text(out, TEXT(", prepaid"));
    } else if (!done->is_whole) {
        buffer_add_text(out, TEXT(", beyond it x "));
        add_number(out, &step->commit.overage);
    }
}

static void add_allocate(struct buffer *out, const struct explained_step *done)
{
    if (done->is_whole) {
        add_decimal(out, done->f_after);
        buffer_add_text(out, TEXT(" of "));
        add_decimal(out, done->limit);
        buffer_add_text(out, TEXT(" shared by weight"));
    } else {
        buffer_add_text(out, TEXT("gives "));
        add_decimal(out, done->limit);
        buffer_add_text(out, TEXT(", has a share by its weight"));
    }
}

static void add_what(const struct explain *x, struct buffer *out, const struct explained_step *done)
{
    const struct step *step = done->step;
    switch (step->kind) {
    case STEP_CONVERT:
        add_convert(out, &step->convert);
        return;
    case STEP_ALLOWANCE:
        add_allowance(out, done);
        return;
    case STEP_AGGREGATE:
        add_aggregate(out, &step->aggregate);
        return;
    case STEP_RATE:
        add_rate(out, done);
        return;
    case STEP_PERCENT:
        add_percent(out, &step->percent);
        return;
    case STEP_FORMULA:
        add_shown(out, done->formula);
        return;
    case STEP_TIER:
        add_tier(out, done->curve ? &done->curve->tier : &step->tier, done);
        return;
    case STEP_FIXED:
        add_fixed_amount(x, out, done);
        return;
    case STEP_BOUND:
        add_bound(out, done);
        return;
    case STEP_ROUND:
        buffer_format(out, "%s to %d digits", rounding_name(step->round.mode),
                      digits_shown(x, step->round.digits));
        return;
    case STEP_DISCOUNT:
    case STEP_MARKUP:
    case STEP_FEE:
        add_adjust(out, step);
        return;
    case STEP_TAX:
        add_tax(x, out, step, done);
        return;
    case STEP_CREDIT:
        add_credit(x, out, done);
        return;
    case STEP_COMMIT:
        add_commit(out, done);
        return;
    case STEP_ALLOCATE:
        add_allocate(out, done);
        return;
    case STEP_COVER:
        add_cover(x, out, done);
        return;
    case STEP_TALLY:
        return;
    }
}

/* ---- what it did --------------------------------------------------------------------------- */

static void add_pair(struct buffer *out, const char *name, struct dec before, struct dec after)
{
    buffer_format(out, "     %-9s ", name);
    add_decimal(out, before);
    buffer_add_text(out, TEXT(" -> "));
    add_decimal(out, after);
    buffer_add_char(out, '\n');
}

/* A bucket of all time, as a wallet is, has no turn to tell of. */
static void add_bucket(struct buffer *out, const struct explained_step *done)
{
    buffer_add_text(out, TEXT("     bucket    "));
    add_shown(out, done->bucket);
    if (done->turn.from > INSTANT_MIN || done->turn.to < INSTANT_MAX) {
        buffer_add_text(out, TEXT("\n     turn      "));
        say_period(out, done->turn);
    }
    buffer_add_char(out, '\n');
}

static bool has_others_between(const struct explained_step *done)
{
    struct dec moved;
    return dec_subtract(done->after, done->before, &moved, NULL) != OK ||
           dec_compare(moved, done->in) != 0;
}

/* As show and lines.csv begin them. */
static void add_held_against(struct buffer *out, const struct told_lines *told)
{
    enum { SHOWN_DIGITS = 8 };
    for (uint32_t i = 0; i < told->count; i++) {
        char id[33];
        hash128_format(told->ids[i], id);
        buffer_format(out, "%s%.*s", i == 0 ? "     of lines  " : ", ", SHOWN_DIGITS, id);
    }
    if (told->count > 0) {
        buffer_add_text(out, told->has_more ? TEXT(", and others\n") : TEXT("\n"));
    }
}

/* What lacks to a minimum, or what a fee on the sum comes to. */
static void add_of_sum(struct buffer *out, const struct explained_step *done)
{
    add_bucket(out, done);
    buffer_add_text(out, TEXT("     sum       "));
    add_decimal(out, done->f_before);
    buffer_add_char(out, '\n');
    add_held_against(out, &done->held_against);
    struct dec all = done->f_after;
    bool is_fee = done->step->kind == STEP_FEE;
    if (is_fee || dec_subtract(done->f_after, done->f_before, &all, NULL) == OK) {
        buffer_format(out, "     %-9s ", is_fee ? "comes to" : "lacked");
        add_decimal(out, all);
        buffer_add_char(out, '\n');
    }
    if (!dec_equal(all, done->out)) { /* a tier of it, or what the next bill of a turn adds */
        buffer_add_text(out, TEXT("     this line "));
        add_decimal(out, done->out);
        buffer_add_char(out, '\n');
    }
}

static void add_days(const struct explain *x, struct buffer *out, const struct explained_step *done)
{
    const struct step *step = done->step;
    const struct zone *zone = step->clock == CLOCK_PERIOD ? x->pricing.zone : step->rule.zone;
    int64_t part, whole;
    if (step->fixed.when != FIXED_ONCE && prorate_days(step->fixed.proration.rule, x->charge->span,
                                                       done->turn, zone, &part, &whole)) {
        buffer_format(out, "\n     days      %lld of %lld", (long long)part, (long long)whole);
    }
}

static void add_factor(struct buffer *out, const struct step_fixed *fixed, struct dec factor)
{
    static const char *const NAMES[] = {[PRORATE_NONE] = "not prorated",
                                        [PRORATE_DAY] = "by the day",
                                        [PRORATE_DAY_INCLUSIVE] = "by the day, both ends counted",
                                        [PRORATE_SECOND] = "by the second",
                                        [PRORATE_30_DAY] = "by the day, 30 in a month"};
    buffer_add_text(out, TEXT("\n     factor    "));
    add_decimal(out, factor);
    buffer_format(out, ", %s", fixed->when == FIXED_ONCE ? "once" : NAMES[fixed->proration.rule]);
    if (factor.scale >= DEC_SCALE && fixed->proration.digits == DEC_SCALE) {
        buffer_add_text(out, TEXT("; shown at 18 digits, used exactly"));
    }
}

static void add_fixed(const struct explain *x, struct buffer *out,
                      const struct explained_step *done)
{
    buffer_add_text(out, TEXT("     turn      "));
    say_period(out, done->turn);
    if (done->count == 1) {
        buffer_add_text(out, TEXT("\n     active    "));
        say_period(out, x->charge->span);
        add_days(x, out, done);
        add_factor(out, &done->step->fixed, done->limit);
    } else {
        buffer_add_text(out, TEXT(" (the first of "));
        say_count(out, done->count, "turn");
        buffer_add_char(out, ')');
    }
    buffer_add_text(out, TEXT("\n     amount    "));
    add_decimal(out, done->out);
    buffer_add_char(out, '\n');
}

static void add_curve(struct buffer *out, const struct explained_step *done)
{
    bool is_allowance = done->step->kind == STEP_ALLOWANCE;
    add_bucket(out, done);
    const struct step *curve = done->curve ? done->curve : done->step;
    bool has_chord = curve->kind == STEP_TIER || curve->kind == STEP_ALLOWANCE;
    if (has_chord && curve->attribute == ATTRIBUTE_PRO_RATA && !done->is_whole) {
        buffer_add_text(out, TEXT("     share of the bucket's total, along its chord\n"));
    }
    add_pair(out, "position", done->before, done->after);
    add_pair(out, is_allowance ? "left" : "F", done->f_before, done->f_after);
    if (done->is_whole) {
        buffer_add_text(out, TEXT("     the bucket as a whole, with all lines of it\n"));
        struct dec all;
        if (done->step->kind == STEP_COMMIT && /* of units, or a part was owed before */
            dec_subtract(done->f_after, done->f_before, &all, NULL) == OK &&
            !dec_equal(all, done->out)) {
            buffer_add_text(out, TEXT("     this line "));
            add_decimal(out, done->out);
            buffer_add_char(out, '\n');
        }
        return;
    }
    buffer_add_text(out, TEXT("     this line "));
    add_decimal(out, done->in);
    buffer_add_text(out, TEXT(" in, "));
    add_decimal(out, done->out);
    buffer_add_text(out, is_allowance ? TEXT(" left, of ") : TEXT(" out, of "));
    say_count(out, done->count, "row");
    if (has_others_between(done)) {
        buffer_add_text(out, TEXT("; rows of other lines lie between"));
    }
    buffer_add_char(out, '\n');
    if (done->has_worth) {
        buffer_add_text(out, TEXT("     worth     "));
        add_decimal(out, done->worth);
        buffer_add_char(out, '\n');
    }
    if (!dec_is_zero(done->lost)) {
        buffer_add_text(out, TEXT("     lost      "));
        add_decimal(out, done->lost);
        buffer_add_text(out, TEXT(" of F: no discount takes more than is left of its charge\n"));
    }
}

/* As the catalog says it: what is there of it at a time is told as the step's. */
static void add_granted(struct buffer *out, const struct explained_step *done)
{
    const struct step_credit *credit = &done->step->credit;
    const struct grant *grant = explain_grant(done);
    if (grant) {
        buffer_add_text(out, TEXT("     granted   "));
        add_decimal(out, grant->amount);
        if (grant->from > INSTANT_MIN) {
            buffer_add_text(out, TEXT(", from "));
            say_instant(out, grant->from);
        }
        if (grant->to < INSTANT_MAX) {
            buffer_add_text(out, grant->from > INSTANT_MIN ? TEXT(" to ") : TEXT(", up to "));
            say_instant(out, grant->to);
        }
        if (grant->recurs) {
            buffer_add_text(out, TEXT(", every "));
            say_every(out, &grant->every);
        }
        buffer_add_char(out, '\n');
    } else if (credit->has_top_up && done->grant && text_equal(*done->grant, TEXT("top_up"))) {
        buffer_add_text(out, TEXT("     granted   "));
        add_decimal(out, credit->top_up);
        buffer_add_text(out, TEXT(", whenever less is left than "));
        add_decimal(out, credit->below);
        buffer_add_char(out, '\n');
    }
}

/* What a grant had before the line and has behind it. */
static void add_grant(struct buffer *out, const struct explained_step *done)
{
    add_bucket(out, done);
    add_pair(out, is_overage(done) ? "owed" : "left", done->before, done->after);
    buffer_add_text(out, TEXT("     this line "));
    add_decimal(out, done->out);
    buffer_add_text(out, is_overage(done) ? TEXT(" carried, of ") : TEXT(" paid, of "));
    say_count(out, done->count, "row");
    if (has_others_between(done)) {
        buffer_add_text(out, TEXT("; rows of other lines lie between"));
    }
    buffer_add_char(out, '\n');
}

/* What the step accumulates, and in which order it takes its rows, when it says so. */
static void add_measure(struct buffer *out, const struct step *step)
{
    if (step->measure) {
        buffer_add_text(out, TEXT("     measure   "));
        expr_format(step->measure, NULL, out);
        buffer_add_char(out, '\n');
    }
    for (uint32_t i = 0; i < step->order_count; i++) {
        buffer_add_text(out, i == 0 ? TEXT("     order     ") : TEXT(", "));
        expr_format(step->order[i].expr, NULL, out);
        buffer_add_text(out, step->order[i].descends ? TEXT(" falling") : TEXT(""));
    }
    buffer_add_text(out, step->order_count > 0 ? TEXT("\n") : TEXT(""));
}

/* ---- all of it ----------------------------------------------------------------------------- */

void explain_write_step(const struct explain *x, struct buffer *out, uint32_t number,
                        const struct explained_step *done)
{
    const struct step *step = done->step;
    buffer_format(out, "  %u. %s", number, step_kind_name(step->kind));
    if (!text_equal(step->name, text_of(step_kind_name(step->kind)))) {
        buffer_add_char(out, ' ');
        add_shown(out, step->name);
    }
    buffer_add_text(out, TEXT(": "));
    add_what(x, out, done);
    buffer_add_text(out, TEXT("  ("));
    say_place(out, explain_place(x, step));
    buffer_add_text(out, TEXT(")\n"));
    add_measure(out, step);
    if (step->kind == STEP_CREDIT) {
        add_granted(out, done);
    }
    if (step->kind == STEP_COVER) {
        if (x->charge->row != NONE) {
            add_taken(out, done);
        }
    } else if (step->kind == STEP_FIXED) {
        add_fixed(x, out, done);
    } else if ((step->kind == STEP_BOUND || step->kind == STEP_FEE) && done->is_whole) {
        add_of_sum(out, done);
    } else if (step->kind == STEP_CREDIT && !is_bought(x, done) && done->bucket.size > 0) {
        add_grant(out, done);
    } else if (done->bucket.size > 0) {
        add_curve(out, done);
    } else {
        const bool is_by_line = rounding_is_of_lines(x->bill.rounding);
        buffer_add_text(out, !done->has_pieces ? TEXT("     each row alone: ")
                             : is_by_line      ? TEXT("     the rows of a line together: ")
                                               : TEXT("     the rows of an account together: "));
        say_count(out, done->count, "row");
        buffer_add_text(out, TEXT(", "));
        add_decimal(out, done->in);
        buffer_add_text(out, TEXT(" in, "));
        add_decimal(out, done->out);
        buffer_add_text(out, TEXT(" out\n"));
    }
}
