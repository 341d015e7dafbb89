/* explain_text.c - an explanation for people. */
#include "engine/explain_write.h"
#include "price/curve.h"

#include <stdlib.h>

/* ---- small words ---------------------------------------------------------------------------- */

static void add_short_time(struct buffer *out, instant at)
{
    if (at <= INSTANT_MIN) {
        buffer_add_text(out, TEXT("the beginning"));
    } else if (at >= INSTANT_MAX) {
        buffer_add_text(out, TEXT("no end"));
    } else {
        add_time(out, at);
    }
}

static void add_period(struct buffer *out, struct period period)
{
    add_short_time(out, period.from);
    buffer_add_text(out, TEXT(" to "));
    add_short_time(out, period.to);
}

static void add_place(struct buffer *out, const struct place *place)
{
    add_shown(out, place->file);
    buffer_format(out, ":%u", place->line);
}

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

static void add_plural(struct buffer *out, uint64_t count, const char *word)
{
    buffer_format(out, "%llu %s%s", (unsigned long long)count, word, count == 1 ? "" : "s");
}

/* ---- the head ------------------------------------------------------------------------------- */

static void add_amounts(const struct explain *x, struct buffer *out, const struct line *line,
                        struct text currency)
{
    const struct step *step = x->charge ? x->charge->step : NULL;
    if (step && line->has_rate && (step->kind == STEP_FEE || step->kind == STEP_TAX)) {
        add_decimal(out, line->rate); /* of charges, not of a quantity */
        buffer_add_text(out, TEXT("%: "));
    } else if (line->has_rate || !dec_is_zero(line->quantity)) {
        add_decimal(out, line->quantity);
        if (line->unit.size > 0) {
            buffer_add_char(out, ' ');
            add_shown(out, line->unit);
        }
        if (line->has_rate) {
            buffer_add_text(out, TEXT(" at "));
            add_decimal(out, line->rate);
        }
        buffer_add_text(out, TEXT(": "));
    }
    if (line->conversion) {
        add_decimal(out, line->conversion->amount);
        buffer_format(out, " %.*s, which is ", TEXT_ARG(line->conversion->currency));
    }
    add_decimal(out, line->amount);
    buffer_format(out, " %.*s", TEXT_ARG(currency));
    if (line->effective) {
        buffer_add_text(out, TEXT(", effectively "));
        add_decimal(out, *line->effective);
        buffer_format(out, " %.*s", TEXT_ARG(currency));
    }
}

static void add_head(const struct explain *x, struct buffer *out)
{
    const struct line *line = &x->line;
    char id[33];
    hash128_format(line->id, id);
    buffer_format(out, "Line %s\nof %s ", id, x->is_correction ? "correction" : "bill");
    add_shown(out, x->head.bill);
    buffer_add_text(out, TEXT("\n\naccount   "));
    add_shown(out, line->account);
    if (line->sku.size > 0) {
        buffer_add_text(out, TEXT("\nSKU       "));
        add_shown(out, line->sku);
        if (line->product.size > 0) {
            buffer_add_text(out, TEXT(", product "));
            add_shown(out, line->product);
        }
    }
    if (line->dimensions.size > 0) {
        buffer_add_text(out, TEXT("\nwhere     "));
        add_shown(out, line->dimensions);
    }
    if (line->resource.size > 0) {
        buffer_add_text(out, TEXT("\nresource  "));
        add_shown(out, line->resource);
    }
    buffer_add_text(out, TEXT("\nfor       "));
    add_period(out, (struct period){line->from, line->to});
    buffer_format(out, "\n%-9.*s ", TEXT_ARG(line->kind));
    add_amounts(x, out, line, x->head.currency);
    buffer_add_char(out, '\n');
}

static void add_correction(const struct explain *x, struct buffer *out)
{
    const struct {
        const char *name;
        struct dec amount, quantity;
    } rows[] = {{"known now", x->present.amount, x->present.quantity},
                {"billed before", x->issued.amount, x->issued.quantity},
                {"this line", x->line.amount, x->line.quantity}};
    buffer_add_text(out, TEXT("\ncorrection: what is known now, less what was billed before\n"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buffer_format(out, "  %-14s", rows[i].name);
        add_decimal(out, rows[i].amount);
        buffer_format(out, " %.*s", TEXT_ARG(x->head.currency));
        if (!dec_is_zero(rows[i].quantity)) {
            buffer_add_text(out, TEXT(", for "));
            add_decimal(out, rows[i].quantity);
            if (x->line.unit.size > 0) {
                buffer_add_char(out, ' ');
                add_shown(out, x->line.unit);
            }
        }
        buffer_add_char(out, '\n');
    }
    buffer_add_text(out,
                    TEXT("  (billed before is told by the difference; the bills themselves are "
                         "in the folders given\n  to the run with --billed or --closed)\n"));
    if (x->is_taken_back) {
        buffer_add_text(out, TEXT("  all of its bill is taken back: its time is in other turns of "
                                  "billing now\n"));
    } else if (!x->has_present) {
        buffer_add_text(out, TEXT("  nothing of this line is charged now: it is taken back\n"));
    } else {
        buffer_add_text(out, TEXT("\nwhat is known now is explained below\n"));
    }
}

/* ---- the price ------------------------------------------------------------------------------ */

static void add_fixed_level(const struct explain *x, struct buffer *out)
{
    const struct charge *charge = x->charge;
    if (charge->level == LEVEL_CATALOG) {
        bool of_payer = charge->step->scope == SCOPE_ORGANIZATION;
        buffer_format(out,
                      "  catalog   a fixed price: %s pays it, unless a narrower level has one "
                      "of its name or SKU\n",
                      of_payer ? "the payer" : "each account");
    } else if (charge->contract) {
        buffer_add_text(out, TEXT("  contract  "));
        add_shown(out, charge->contract->id);
        buffer_format(out, "%s: its buyer pays it once\n",
                      charge->level == LEVEL_PLAN ? ", its plan" : "");
    } else {
        buffer_add_text(out, TEXT("  plan      a fixed price of the account's plan\n"));
    }
}

/* Of a line that a term made: which, and whose. */
static void add_term(const struct explain *x, struct buffer *out)
{
    const struct charge *charge = x->charge;
    buffer_add_text(out, TEXT("\nterm "));
    add_shown(out, charge->step->name);
    buffer_add_text(out, TEXT(", written at "));
    add_place(out, &charge->step->place);
    buffer_format(out, "\n  one of the %s", price_level_name(charge->level));
    if (charge->price->name.size > 0) {
        buffer_add_text(out, TEXT(", on a charge of price "));
        add_shown(out, charge->price->name);
    }
    buffer_add_char(out, '\n');
}

static void add_price(const struct explain *x, struct buffer *out)
{
    const struct charge *charge = x->charge;
    const struct price *price = charge->price;
    if (charge->level >= LEVEL_TERMS) {
        add_term(x, out);
        return;
    }
    bool is_offering = charge->series == NONE && charge->step->kind == STEP_COVER;
    buffer_add_text(out, is_offering ? TEXT("\noffering ") : TEXT("\nprice "));
    add_shown(out, price->name);
    buffer_add_text(out, TEXT(", written at "));
    add_place(out, &price->place);
    buffer_add_text(out, TEXT("\n  in force  "));
    add_period(out, (struct period){price->from, price->to});
    buffer_add_char(out, '\n');
    for (int i = 0; i < x->level_count; i++) {
        buffer_format(out, "  %-9s %.*s\n", x->levels[i].level, TEXT_ARG(x->levels[i].why));
    }
    if (is_offering) {
        return;
    }
    if (charge->series == NONE && charge->step->kind == STEP_FIXED) {
        add_fixed_level(x, out);
        return;
    }
    buffer_format(out, "  %-9s here it was found", price_level_name(charge->level));
    if (charge->level == LEVEL_CONTRACT) {
        buffer_add_text(out, TEXT(": contract "));
        add_shown(out, charge->contract->id);
    } else if (charge->level == LEVEL_PLAN) {
        const struct account *account = &x->run->accounts->items[charge->account];
        uint32_t plan = catalog_plan_of(x->run->catalog, charge->contract, account->plan);
        buffer_add_text(out, TEXT(": plan "));
        add_shown(out, x->run->catalog->plans[plan].name);
    }
    buffer_add_char(out, '\n');
}

/* ---- the steps ------------------------------------------------------------------------------ */

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
        add_plural(out, body->tier_count, "tier");
        return;
    }
    buffer_format(out, "%s, tier %u of %u", body->mode == TIER_VOLUME ? "volume" : "graduated",
                  index + 1, body->tier_count);
    const struct tier *tier = &body->tiers[index];
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

static void add_rate(const struct explain *x, struct buffer *out, const struct explained_step *done)
{
    const struct step_rate *rate = &done->step->rate;
    if (rate->table) {
        buffer_add_text(out, rate->table->is_series ? TEXT("of series ") : TEXT("of table "));
        add_shown(out, rate->table->name);
        if (done->row_place) {
            buffer_add_text(out, TEXT(" at "));
            add_place(out, done->row_place);
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
    uint32_t of = x->charge->of; /* an adjustment has no rate; what it adjusts has */
    add_decimal(out, of == NONE ? x->charge->rate : x->priced.charges[of].rate);
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

static void add_percent(struct buffer *out, const struct step_percent *percent)
{
    add_number(out, &percent->rate);
    buffer_add_text(out, TEXT(" percent"));
    const struct {
        bool has;
        const char *name;
        const struct number *number;
    } parts[] = {{percent->has_fixed, "and for each event", &percent->fixed},
                 {percent->has_min, "at least", &percent->min},
                 {percent->has_max, "at most", &percent->max}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].has) {
            buffer_format(out, ", %s ", parts[i].name);
            add_number(out, parts[i].number);
        }
    }
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
    const struct {
        bool has;
        const char *name;
        const struct number *number;
    } parts[] = {{adjust->has_limit, "at most", &adjust->limit},
                 {adjust->has_min, "at least", &adjust->min},
                 {adjust->has_max, "at most", &adjust->max}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].has) {
            buffer_format(out, ", %s ", parts[i].name);
            add_number(out, parts[i].number);
        }
    }
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
    add_plural(out, done->count, "row");
    buffer_add_text(out, TEXT(", which took "));
    add_decimal(out, done->out);
    buffer_add_text(out, TEXT(" of its units\n"));
}

static void add_what(const struct explain *x, struct buffer *out, const struct explained_step *done)
{
    const struct step *step = done->step;
    switch (step->kind) {
    case STEP_CONVERT:
        add_convert(out, &step->convert);
        return;
    case STEP_ALLOWANCE:
        add_decimal(out, done->limit);
        buffer_add_text(out, step->allowance.has_quantity ? TEXT(" free") : TEXT(" events free"));
        if (step->allowance.has_rollover) {
            buffer_add_text(out, TEXT(", of which from turns before "));
            add_decimal(out, done->tier_from);
        }
        return;
    case STEP_AGGREGATE:
        add_aggregate(out, &step->aggregate);
        return;
    case STEP_RATE:
        add_rate(x, out, done);
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
        return;
    case STEP_BOUND:
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
        buffer_add_text(out, TEXT("grant "));
        add_shown(out, done->grant ? *done->grant : TEXT(""));
        buffer_add_text(out, x->charge->kind == CHARGE_FEE ? TEXT(", bought for ") : TEXT(", of "));
        add_decimal(out, done->limit);
        return;
    case STEP_COMMIT:
        buffer_add_text(out, TEXT("a promise of "));
        add_decimal(out, done->limit);
        buffer_add_text(out, step->commit.is_quantity ? TEXT(" units") : TEXT(""));
        if (!done->is_whole) {
            buffer_add_text(out, TEXT(", beyond it x "));
            add_number(out, &step->commit.overage);
        }
        return;
    case STEP_ALLOCATE:
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
        return;
    case STEP_COVER:
        add_cover(x, out, done);
        return;
    case STEP_TALLY:
        return;
    }
}

static void add_pair(struct buffer *out, const char *name, struct dec before, struct dec after)
{
    buffer_format(out, "     %-9s ", name);
    add_decimal(out, before);
    buffer_add_text(out, TEXT(" -> "));
    add_decimal(out, after);
    buffer_add_char(out, '\n');
}

static void add_bucket(struct buffer *out, const struct explained_step *done)
{
    buffer_add_text(out, TEXT("     bucket    "));
    add_shown(out, done->bucket);
    buffer_add_text(out, TEXT("\n     turn      "));
    add_period(out, done->turn);
    buffer_add_char(out, '\n');
}

static bool has_others_between(const struct explained_step *done)
{
    struct dec moved;
    return dec_subtract(done->after, done->before, &moved, NULL) != OK ||
           dec_compare(moved, done->in) != 0;
}

/* As show and lines.csv begin them. */
static void add_held_against(const struct explain *x, struct buffer *out)
{
    enum { SHOWN_DIGITS = 8 };
    for (uint32_t i = 0; i < x->held_against_count; i++) {
        char id[33];
        hash128_format(x->held_against[i], id);
        buffer_format(out, "%s%.*s", i == 0 ? "     of lines  " : ", ", SHOWN_DIGITS, id);
    }
    if (x->held_against_count > 0) {
        buffer_add_text(out, x->has_more_held ? TEXT(", and others\n") : TEXT("\n"));
    }
}

/* What lacks to a minimum, or what a fee on the sum comes to. */
static void add_of_sum(const struct explain *x, struct buffer *out,
                       const struct explained_step *done)
{
    add_bucket(out, done);
    buffer_add_text(out, TEXT("     sum       "));
    add_decimal(out, done->f_before);
    buffer_add_char(out, '\n');
    add_held_against(x, out);
    if (done->step->kind == STEP_FEE) {
        buffer_add_text(out, TEXT("     comes to  "));
        add_decimal(out, done->f_after);
        buffer_add_char(out, '\n');
        return;
    }
    buffer_add_text(out, TEXT("     lacked    "));
    add_decimal(out, done->out);
    buffer_add_char(out, '\n');
}

static void add_days(const struct explain *x, struct buffer *out, const struct explained_step *done)
{
    const struct step *step = done->step;
    const struct zone *zone = step->clock == CLOCK_PERIOD ? x->pricing.zone : step->rule.zone;
    int64_t part, whole;
    if (step->fixed.when != FIXED_ONCE &&
        prorate_days(step->fixed.prorate, x->charge->span, done->turn, zone, &part, &whole)) {
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
    buffer_format(out, ", %s", fixed->when == FIXED_ONCE ? "once" : NAMES[fixed->prorate]);
    if (factor.scale >= DEC_SCALE && fixed->digits == DEC_SCALE) {
        buffer_add_text(out, TEXT("; shown at 18 digits, used exactly"));
    }
}

static void add_fixed(const struct explain *x, struct buffer *out,
                      const struct explained_step *done)
{
    buffer_add_text(out, TEXT("     turn      "));
    add_period(out, done->turn);
    if (done->count == 1) {
        buffer_add_text(out, TEXT("\n     active    "));
        add_period(out, x->charge->span);
        add_days(x, out, done);
        add_factor(out, &done->step->fixed, done->limit);
    } else {
        buffer_add_text(out, TEXT(" (the first of "));
        add_plural(out, done->count, "turn");
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
        return;
    }
    buffer_add_text(out, TEXT("     this line "));
    add_decimal(out, done->in);
    buffer_add_text(out, TEXT(" in, "));
    add_decimal(out, done->out);
    buffer_add_text(out, is_allowance ? TEXT(" left, of ") : TEXT(" out, of "));
    add_plural(out, done->count, "row");
    if (has_others_between(done)) {
        buffer_add_text(out, TEXT("; rows of other lines lie between"));
    }
    buffer_add_char(out, '\n');
    if (!dec_is_zero(done->lost)) {
        buffer_add_text(out, TEXT("     lost      "));
        add_decimal(out, done->lost);
        buffer_add_text(out, TEXT(" of F: no discount takes more than is left of its charge\n"));
    }
}

/* What a grant had before the line and has behind it. */
static void add_grant(struct buffer *out, const struct explained_step *done)
{
    add_bucket(out, done);
    add_pair(out, "left", done->before, done->after);
    buffer_add_text(out, TEXT("     this line "));
    add_decimal(out, done->out);
    buffer_add_text(out, TEXT(" paid, of "));
    add_plural(out, done->count, "row");
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

static void add_step(const struct explain *x, struct buffer *out, uint32_t number,
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
    add_place(out, explain_place(x, step));
    buffer_add_text(out, TEXT(")\n"));
    add_measure(out, step);
    if (step->kind == STEP_COVER) {
        if (x->charge->row != NONE) {
            add_taken(out, done);
        }
    } else if (step->kind == STEP_FIXED) {
        add_fixed(x, out, done);
    } else if ((step->kind == STEP_BOUND || step->kind == STEP_FEE) && done->is_whole) {
        add_of_sum(x, out, done);
    } else if (step->kind == STEP_CREDIT && x->charge->kind != CHARGE_FEE &&
               done->bucket.size > 0) {
        add_grant(out, done);
    } else if (done->bucket.size > 0) {
        add_curve(out, done);
    } else {
        buffer_add_text(out, TEXT("     each row alone: "));
        add_plural(out, done->count, "row");
        buffer_add_text(out, TEXT(", "));
        add_decimal(out, done->in);
        buffer_add_text(out, TEXT(" in, "));
        add_decimal(out, done->out);
        buffer_add_text(out, TEXT(" out\n"));
    }
}

/* How the amount got from the currency of its price into the bill's. */
static void add_conversion(const struct explain *x, struct buffer *out)
{
    const struct line_conversion *conversion = x->present.conversion;
    const struct conversion *rules = &x->run->catalog->conversion;
    const struct used_rate *used = x->charge ? charge_rate_used(x->charge) : NULL;
    if (!conversion || !used || !rules->rates) {
        return;
    }
    buffer_format(out, "\nconversion of %.*s into %s\n  price     ", TEXT_ARG(conversion->currency),
                  used->to->code);
    add_decimal(out, conversion->amount);
    buffer_format(out, " %.*s\n  rate      ", TEXT_ARG(conversion->currency));
    add_decimal(out, used->rate);
    buffer_format(out, ", asked for at ");
    add_short_time(out, used->asked);
    if (used->at > INSTANT_MIN) {
        buffer_add_text(out, TEXT("; it holds from "));
        add_short_time(out, used->at);
    }
    buffer_add_text(out, TEXT("\n  written   "));
    add_place(out, used->place);
    buffer_add_text(out, TEXT(", table "));
    add_shown(out, rules->rates->name);
    buffer_add_text(out, TEXT("\n  amount    "));
    add_decimal(out, x->present.exact);
    buffer_format(out, " %s, rounded %s to %d digits\n", used->to->code, rounding_name(rules->mode),
                  rules->digits);
}

static void add_rounding(const struct explain *x, struct buffer *out)
{
    const struct line_rounding *rounding = &x->run->catalog->rounding;
    const int digits =
        rounding->digits != DIGITS_OF_CURRENCY ? rounding->digits : x->bill.minor_digits;
    buffer_add_text(out, TEXT("\nrounding\n  exact     "));
    add_decimal(out, x->present.exact);
    buffer_add_text(out, TEXT("\n  amount    "));
    add_decimal(out, x->present.amount);
    if (rounding->exact) {
        buffer_add_text(out, TEXT(", not rounded\n"));
    } else if (rounding->at_total) {
        buffer_format(out, ", %d digits by largest remainder: the bill's total is rounded %s\n",
                      digits, rounding_name(rounding->mode));
    } else {
        buffer_format(out, ", rounded %s to %d digits\n", rounding_name(rounding->mode), digits);
    }
}

/* The line that makes the others add up to the total. */
static void add_total_rounding(const struct explain *x, struct buffer *out)
{
    struct dec sum;
    if (dec_subtract(x->bill.total, x->present.amount, &sum, NULL) != OK) {
        return;
    }
    buffer_add_text(out, TEXT("\nwhat makes the lines add up to the total\n  lines     "));
    add_decimal(out, sum);
    buffer_add_text(out, TEXT("\n  total     "));
    char *at = buffer_reserve(out, DEC_FORMAT_MAX);
    out->size += (size_t)dec_format_digits(x->bill.total, x->bill.minor_digits, at);
    buffer_format(out, ", the lines' sum rounded half_up to the %d digits of %.*s\n  this line ",
                  x->bill.minor_digits, TEXT_ARG(x->bill.currency));
    add_decimal(out, x->present.amount);
    buffer_add_char(out, '\n');
}

/* ---- rows and events ------------------------------------------------------------------------ */

static struct text decimal_cell(struct arena *arena, struct dec value)
{
    char *out = arena_alloc(arena, DEC_FORMAT_MAX);
    return (struct text){out, (size_t)dec_format(value, out)};
}

static struct text time_cell(struct arena *arena, instant at)
{
    char *out = arena_alloc(arena, TIME_FORMAT_MAX);
    return (struct text){out, (size_t)time_format(at, out)};
}

static struct text account_of_row(const struct explain *x, const struct explained_row *row)
{
    return x->run->accounts->items[x->usage[row->row].account].id;
}

/* An aggregate over an organization makes one of rows of several accounts. */
static bool has_other_accounts(const struct explain *x)
{
    for (uint32_t i = 0; i < x->row_count; i++) {
        if (!text_equal(account_of_row(x, &x->rows[i]), x->line.account)) {
            return true;
        }
    }
    return false;
}

static void row_cells(struct explain *x, uint64_t index, struct text *cells)
{
    struct arena *arena = &x->scratch;
    const struct explained_row *row = &x->rows[index];
    const struct usage_row *usage = &x->usage[row->row];
    const struct series *series = series_at(&x->run->series, usage->series);
    char *print = arena_alloc(arena, 17);
    hash64_format(usage->total.print, print);
    struct period slot = explain_slot(x, usage);
    cells[0] = time_cell(arena, usage->event ? usage->event->at : slot.from);
    cells[1] = time_cell(arena, slot.to);
    cells[2] = x->has_other_accounts ? account_of_row(x, row) : TEXT("");
    cells[3] = bill_encode(arena, series->resource);
    cells[4] = decimal_cell(arena, usage->quantity);
    cells[5] = x->run->catalog->meters[series->meter].unit;
    cells[6] = text_format(arena, "%llu", (unsigned long long)usage->total.count);
    cells[7] = decimal_cell(arena, row->taken);
    cells[8] = decimal_cell(arena, row->amount);
    cells[9] = (struct text){print, 12};
}

static void fill_event(struct explain *x, const struct explained_event *event, struct text *cells)
{
    struct arena *arena = &x->scratch;
    struct buffer place;
    buffer_init(&place, arena, 64);
    buffer_format(&place, "%s:%llu", feed_file_path(x->run->feed, event->file),
                  (unsigned long long)event->line);
    cells[0] = time_cell(arena, event->at);
    cells[1] = event->source;
    cells[2] = event->id;
    cells[3] = decimal_cell(arena, event->value);
    cells[4] = buffer_text(&place);
}

static void event_cells(struct explain *x, uint64_t index, struct text *cells)
{
    fill_event(x, &x->events[index], cells);
}

static void late_cells(struct explain *x, uint64_t index, struct text *cells)
{
    fill_event(x, &x->late[index], cells);
}

static enum status write_table(struct explain *x, uint64_t count,
                               void (*fill)(struct explain *, uint64_t, struct text *))
{
    struct text cells[TABLE_COLUMNS_MAX];
    struct arena_mark mark = arena_mark(&x->scratch);
    for (uint64_t i = 0; i < count; i++) {
        fill(x, i, cells);
        table_measure(&x->table, cells);
        arena_rewind(&x->scratch, mark);
    }
    table_hide_empty(&x->table);
    table_begin(&x->table, true);
    for (uint64_t i = 0; i < count; i++) {
        fill(x, i, cells);
        TRY(table_row(&x->table, cells, x->err));
        arena_rewind(&x->scratch, mark);
    }
    return table_end(&x->table, x->err);
}

static enum status write_rows(struct explain *x)
{
    TRY(sink_write(&x->sink, TEXT("\nusage rows of the line, and what it takes of each\n"),
                   x->err));
    struct table *table = &x->table;
    table_init(table, &x->scratch, &x->sink, false);
    table_add_column(table, "FROM", COLUMN_TEXT);
    table_add_column(table, "TO", COLUMN_TEXT);
    x->has_other_accounts = has_other_accounts(x);
    table_add_column(table, "ACCOUNT", COLUMN_TEXT);
    table_add_column(table, "RESOURCE", COLUMN_TEXT);
    table_add_column(table, "QUANTITY", COLUMN_DECIMAL);
    table_add_column(table, "UNIT", COLUMN_TEXT);
    table_add_column(table, "EVENTS", COLUMN_RIGHT);
    table_add_column(table, "TAKEN", COLUMN_DECIMAL);
    table_add_column(table, "AMOUNT", COLUMN_DECIMAL);
    table_add_column(table, "FINGERPRINT", COLUMN_TEXT);
    return write_table(x, x->row_count, row_cells);
}

static void init_events(struct explain *x)
{
    struct table *table = &x->table;
    table_init(table, &x->scratch, &x->sink, false);
    table_add_column(table, "TIME", COLUMN_TEXT);
    table_add_column(table, "SOURCE", COLUMN_TEXT);
    table_add_column(table, "ID", COLUMN_TEXT);
    table_add_column(table, "VALUE", COLUMN_DECIMAL);
    table_add_column(table, "PLACE", COLUMN_TEXT);
}

static enum status write_late(struct explain *x)
{
    TRY(sink_write(&x->sink,
                   TEXT("\nLATE: of the time of these rows, but came when that was billed no more, "
                        "and is on none\n"),
                   x->err));
    init_events(x);
    return write_table(x, x->late_count, late_cells);
}

static enum status write_events(struct explain *x)
{
    uint64_t pieces = 0; /* of spread events, but for each one's first */
    for (uint64_t i = 0; i < x->event_count; i++) {
        pieces += x->events[i].is_piece;
    }
    TRY(sink_write(&x->sink,
                   pieces > 0 ? TEXT("\nevents of these rows, each with its part of each row\n")
                              : TEXT("\nevents of these rows, each once\n"),
                   x->err));
    init_events(x);
    TRY(write_table(x, x->event_count, event_cells));
    uint64_t wanted = 0;
    for (uint32_t i = 0; i < x->row_count; i++) {
        wanted += x->usage[x->rows[i].row].total.count;
    }
    struct buffer out;
    buffer_init(&out, &x->scratch, 256);
    add_plural(&out, x->event_count - pieces, "event");
    if (pieces > 0) {
        buffer_format(&out, " in %llu pieces", (unsigned long long)x->event_count);
    }
    if (x->adds_up) {
        buffer_add_text(&out, TEXT(": count, sum and fingerprint of every row add up\n"));
    } else {
        buffer_format(&out, ", but the rows were counted from %llu: these do not add up to them\n",
                      (unsigned long long)wanted);
    }
    TRY(sink_write(&x->sink, buffer_text(&out), x->err));
    return x->late_count > 0 ? write_late(x) : OK;
}

/* A line that no usage row is behind. */
static struct text say_no_events(const struct explain *x)
{
    struct text kind = x->has_present ? x->present.kind : TEXT("");
    bool is_on_charges = x->charge && x->charge->step && x->charge->step->kind == STEP_FEE;
    return text_equal(kind, TEXT("fee")) && is_on_charges
               ? TEXT("\nno events: it is a fee on charges, whose usage is on other lines\n")
           : text_equal(kind, TEXT("fee"))
               ? TEXT("\nno events: a fixed price does not depend on usage\n")
           : text_equal(kind, TEXT("minimum"))
               ? TEXT(
                     "\nno events: it is what lacked in all of the bucket, whose usage is on other "
                     "lines\n")
               : TEXT("\nno events: no usage row is behind this line\n");
}

/* ---- all of it ------------------------------------------------------------------------------ */

enum status explain_write_text(struct explain *x)
{
    struct buffer out;
    buffer_init(&out, &x->run->arena, 8192);
    add_head(x, &out);
    if (x->is_correction) {
        add_correction(x, &out);
    }
    if (x->charge) {
        add_price(x, &out);
        if (x->step_count > 0) {
            buffer_add_text(&out, TEXT("\nsteps (F is quantized at 18 digits, half even)\n"));
        }
        for (uint32_t i = 0; i < x->step_count; i++) {
            add_step(x, &out, i + 1, &x->steps[i]);
        }
        if (x->of_line.size > 0) {
            buffer_format(&out, "  it adjusts line %.*s\n", TEXT_ARG(x->of_line));
        }
        add_conversion(x, &out);
        add_rounding(x, &out);
    } else if (x->has_present && text_equal(x->present.kind, TEXT("rounding"))) {
        add_total_rounding(x, &out);
    }
    TRY(sink_write(&x->sink, buffer_text(&out), x->err));
    if (x->row_count > 0) {
        TRY(write_rows(x));
    }
    if (!x->has_events) {
        return OK;
    }
    return x->row_count > 0 ? write_events(x) : sink_write(&x->sink, say_no_events(x), x->err);
}
