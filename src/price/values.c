/* values.c - what a step may ask of a row or a charge: keys, dimensions, expressions. */
#include <assert.h>

#include "price/work.h"

#include "base/nofloat.h"

struct text charge_dimension(const struct work *work, const struct charge *charge, uint32_t name)
{
    if (charge->series == NONE) {
        for (uint32_t i = 0; charge->keys && i < charge->keys->count; i++) {
            if (charge->keys->dimensions[i] == name) {
                return charge->keys->values[i];
            }
        }
        return TEXT("");
    }
    const struct series *series = charge_series(work->pricing, charge);
    const struct meter *meter = &work->catalog->meters[series->meter];
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        if (meter->dimensions[i].name == name) {
            return series->dimensions[i];
        }
    }
    return TEXT("");
}

static struct expr_value attribute_value(const struct work *work, const struct charge *charge,
                                         uint32_t name)
{
    if (charge->sku != NONE) {
        const struct sku *sku = &work->catalog->skus[charge->sku];
        for (uint32_t i = 0; i < sku->attribute_count; i++) {
            if (sku->attributes[i].name == name) {
                return sku->attributes[i].value;
            }
        }
    }
    return (struct expr_value){.type = EXPR_MISSING};
}

static struct text charge_resource(const struct work *work, const struct charge *charge)
{
    bool has_series = charge->merged || charge->series != NONE;
    return has_series     ? charge_series(work->pricing, charge)->resource
           : charge->keys ? charge->keys->resource
                          : TEXT("");
}

static struct text charge_sku(const struct work *work, const struct charge *charge)
{
    return charge->sku == NONE ? TEXT("") : work->catalog->skus[charge->sku].name;
}

static struct text charge_product(const struct work *work, const struct charge *charge)
{
    if (charge->sku == NONE || work->catalog->skus[charge->sku].product == NONE) {
        return TEXT("");
    }
    return work->catalog->products[work->catalog->skus[charge->sku].product].name;
}

struct text charge_key_value(struct work *work, const struct charge *charge, struct by_key key)
{
    switch (key.kind) {
    case BY_SKU:
        return charge_sku(work, charge);
    case BY_PRODUCT:
        return charge_product(work, charge);
    case BY_DIMENSION:
        return charge_dimension(work, charge, key.index);
    case BY_ACCOUNT:
        return work->pricing->accounts->items[charge->account].id;
    case BY_RESOURCE:
        return charge_resource(work, charge);
    case BY_UNIT:
        return charge->unit;
    case BY_TAX_RATE: {
        char *out = arena_alloc(work->arena, DEC_FORMAT_MAX);
        return (struct text){out, (size_t)dec_format(work->tax_rate, out)};
    }
    case BY_GRANT:
        return work->grant;
    case BY_ATTRIBUTE:
        break;
    }
    struct expr_value value = attribute_value(work, charge, key.index);
    if (value.type == EXPR_MISSING) {
        return TEXT("");
    }
    if (value.type == EXPR_TEXT) {
        return value.text;
    }
    struct buffer out;
    buffer_init(&out, work->arena, DEC_FORMAT_MAX);
    expr_value_format(&value, &out);
    return buffer_text(&out);
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* Spans of time as decimals: hours and days of a turn that a DST change or odd cut makes fractional
 * are quantized. */
static struct expr_value span_in(struct period span, int64_t unit_ns)
{
    struct dec value;
    enum status status = dec_divide(dec_from_int(span.to - span.from), dec_from_int(unit_ns),
                                    DEC_SCALE, ROUND_HALF_EVEN, &value, NULL);
    assert(status == OK);
    (void)status;
    return expr_number(value);
}

/* The civil time of an edge.  The start of a day is midnight, also where clocks skip that hour. */
static struct civil edge_civil(const struct zone *zone, instant at)
{
    struct civil civil = zone_civil(zone, at), before = zone_civil(zone, at - 1);
    if (before.day != civil.day) {
        civil.hour = civil.minute = civil.second = 0;
        civil.nanosecond = 0;
    }
    return civil;
}

/* Days of the calendar where it begins and ends at one time of day: a change of clocks makes no day
 * longer, and a month has 31, not 31 and an hour.  Else of 86,400 seconds. */
static struct expr_value span_in_days(struct period span, const struct zone *zone)
{
    struct civil from = edge_civil(zone, span.from), to = edge_civil(zone, span.to);
    if (from.hour == to.hour && from.minute == to.minute && from.second == to.second &&
        from.nanosecond == to.nanosecond) {
        return expr_number(dec_from_int(civil_to_days(to.year, to.month, to.day) -
                                        civil_to_days(from.year, from.month, from.day)));
    }
    return span_in(span, NS_PER_DAY);
}

static struct expr_value span_value(uint32_t which, struct period span, const struct zone *zone)
{
    switch (which) {
    case 0:
        return span_in(span, NS_PER_HOUR);
    case 1:
        return span_in_days(span, zone);
    case 2:
        return span_in(span, NS_PER_SECOND);
    default:
        return expr_time(span.from);
    }
}

/* In whose days the turn of the step that asks is counted. */
static const struct zone *turn_zone(const struct work *work)
{
    const struct step *step = work->asking;
    return step && step->clock >= CLOCK_RULE ? step->rule.zone : work->pricing->zone;
}

static struct expr_value parameter_value(const struct charge *charge, uint32_t name)
{
    const struct contract *contract = charge->contract;
    for (uint32_t i = 0; contract && i < contract->parameter_count; i++) {
        if (contract->parameters[i].name == name) {
            return contract->parameters[i].value;
        }
    }
    return (struct expr_value){.type = EXPR_MISSING};
}

/* When the step that asks looks settings up. */
static instant settings_instant(struct work *work, const struct charge *charge)
{
    const struct step *step = work->asking;
    if (!step || step->settings_at == SETTINGS_AT_ROW) {
        return charge->at;
    }
    if (step->settings_at == SETTINGS_AT_INVOICE) {
        return work->pricing->cut.to;
    }
    struct period turn = charge_turn(work, step, charge);
    if (turn.from == turn.to || turn.from == INSTANT_MIN || turn.to == INSTANT_MAX) {
        return charge->at; /* a row's, or one without end */
    }
    return step->settings_at == SETTINGS_AT_TURN_START ? turn.from : turn.to - 1;
}

/* What the account's record says, or the payer's where it has none then.  What a view sells is
 * bought by its payer. */
static struct expr_value customer_value(struct work *work, const struct charge *charge,
                                        uint32_t name)
{
    const struct pricing *pricing = work->pricing;
    instant at = settings_instant(work, charge);
    bool is_view = accounts_view(pricing->accounts, pricing->payer) != NONE;
    uint32_t account = is_view ? pricing->payer : charge->account;
    return accounts_customer(pricing->accounts, work->catalog, account, pricing->payer, name, at);
}

/* The number that a dimension holds; one that holds none fails where it is used. */
static struct expr_value number_of_text(struct text text)
{
    struct dec value;
    if (dec_parse(text, &value) == NUMBER_OK) {
        return expr_number(value);
    }
    return (struct expr_value){.type = EXPR_ERROR,
                               .failure = {.fault = EXPR_FAULT_VALUE,
                                           .status = ERR_INPUT,
                                           .detail = "a name that is used as a number holds none"}};
}

static struct expr_value slot_value(struct work *work, uint32_t slot, const struct charge *charge,
                                    struct period turn)
{
    if (slot >= NAME_COMMITMENT) {
        struct expr_value value = work->commitment->values[slot - NAME_COMMITMENT];
        bool is_empty = value.type == EXPR_TEXT && value.text.size == 0;
        return is_empty && work->is_filter ? (struct expr_value){.type = EXPR_MISSING} : value;
    }
    if (slot >= NAME_SAVINGS) {
        return expr_number(slot == NAME_SAVINGS ? work->savings : work->list_rate);
    }
    if (slot >= NAME_CUSTOMER) {
        return customer_value(work, charge, slot - NAME_CUSTOMER);
    }
    if (slot >= NAME_ATTRIBUTE_NUMBER) {
        struct expr_value value = attribute_value(work, charge, slot - NAME_ATTRIBUTE_NUMBER);
        return value.type == EXPR_TEXT ? number_of_text(value.text) : value;
    }
    if (slot >= NAME_NUMBER) {
        return number_of_text(charge_dimension(work, charge, slot - NAME_NUMBER));
    }
    if (slot >= NAME_PARAMETER) {
        return parameter_value(charge, slot - NAME_PARAMETER);
    }
    if (slot >= NAME_ATTRIBUTE) {
        return attribute_value(work, charge, slot - NAME_ATTRIBUTE);
    }
    if (slot >= NAME_DIMENSION) {
        return expr_text(charge_dimension(work, charge, slot - NAME_DIMENSION));
    }
    switch ((enum name_slot)slot) {
    case NAME_QUANTITY:
        return expr_number(charge_units(charge));
    case NAME_EVENTS:
        return expr_number(dec_from_int((int64_t)charge->events));
    case NAME_UNIT:
        return expr_text(charge->unit);
    case NAME_SKU:
        return expr_text(charge_sku(work, charge));
    case NAME_PRODUCT:
        return expr_text(charge_product(work, charge));
    case NAME_ACCOUNT:
        return expr_text(work->pricing->accounts->items[charge->account].id);
    case NAME_RESOURCE:
        return expr_text(charge_resource(work, charge));
    case NAME_TIME:
        return expr_time(charge->at);
    case NAME_AMOUNT:
        return expr_number(charge->amount);
    case NAME_NET:
        return expr_number(charge->net);
    case NAME_RATE:
        return expr_number(charge->rate);
    case NAME_KIND:
        return expr_text(text_of(charge_kind_name(charge->kind)));
    case NAME_STEP:
        return expr_text(charge->step ? charge->step->name : TEXT(""));
    case NAME_PRICE:
        return expr_text(charge->price ? charge->price->name : TEXT(""));
    case NAME_LIST:
        return expr_number(charge->list);
    case NAME_PERIOD_HOURS:
    case NAME_PERIOD_DAYS:
    case NAME_PERIOD_SECONDS:
    case NAME_PERIOD_START:
        return span_value(slot - NAME_PERIOD_HOURS, pricing_turn(work->pricing, charge->at),
                          work->pricing->zone);
    case NAME_TURN_HOURS:
    case NAME_TURN_DAYS:
    case NAME_TURN_SECONDS:
    case NAME_TURN_START:
        return span_value(slot - NAME_TURN_HOURS, turn, turn_zone(work));
    default:
        assert(0 && "a slot that the catalog does not hand out");
    }
    return (struct expr_value){.type = EXPR_MISSING};
}

/* ---- functions ---- */

struct call_context {
    struct work *work;
    const struct charge *charge;
    instant at; /* of the row; of a number of a bucket, the start of its turn */
};

static enum status call(void *context, uint32_t slot, const struct expr_value *args,
                        size_t arg_count, struct arena *scratch, struct expr_value *out,
                        struct error *err)
{
    const struct call_context *of = context;
    if (slot >= CALL_CHARGES) {
        *out = expr_number(tally_charges(of->work, slot - CALL_CHARGES, of->charge));
        return OK;
    }
    if (slot >= CALL_USAGE) {
        *out = expr_number(tally_value(of->work, slot - CALL_USAGE, of->charge));
        return OK;
    }
    return catalog_call(of->work->catalog, slot, args, arg_count, of->at, scratch, out, err);
}

/* Products inside are exact; what comes out has DEC_SCALE digits at most, as all numbers of bills
 * and closings. */
static enum status eval_at(struct work *work, const struct expr *expr, const struct charge *charge,
                           struct period turn, instant at, struct expr_value *value)
{
    if (!work->slots) {
        work->slots = arena_alloc(work->arena, (NAME_RESULT + RESULTS_MAX) * sizeof *work->slots);
    }
    size_t count;
    const uint32_t *slots = expr_slots(expr, &count);
    for (size_t i = 0; i < count && slots[i] < NAME_RESULT; i++) { /* results are there already */
        work->slots[slots[i]] = slot_value(work, slots[i], charge, turn);
    }
    struct call_context context = {work, charge, at};
    struct expr_env env = {.slots = work->slots, .context = &context, .call = call};
    TRY(expr_eval(expr, &env, work->arena, value, work->err));
    if (value->type == EXPR_NUMBER && value->number.scale > DEC_SCALE) {
        TRY(dec_round(value->number, DEC_SCALE, ROUND_HALF_EVEN, &value->number, work->err));
    }
    return OK;
}

enum status charge_eval(struct work *work, const struct expr *expr, const struct charge *charge,
                        struct period turn, struct expr_value *value)
{
    return eval_at(work, expr, charge, turn, charge->at, value);
}

struct expr_value charge_slot(struct work *work, uint32_t slot, const struct charge *charge,
                              struct period turn)
{
    return slot_value(work, slot, charge, turn);
}

enum status charge_try(struct work *work, const struct expr *expr, const struct charge *charge,
                       struct period turn, struct expr_value *value)
{
    enum status status = charge_eval(work, expr, charge, turn, value);
    bool is_unknown =
        status == ERR_INPUT && value->type == EXPR_ERROR && value->failure.fault == EXPR_FAULT_CALL;
    return is_unknown ? OK : status;
}

enum status charge_where(struct work *work, const struct step *step, const struct charge *charge,
                         bool *takes)
{
    bool is_shared = step->kind == STEP_ALLOCATE;
    *takes = true;
    if (!step->where || (is_shared && !step->allocate.to)) {
        return OK;
    }
    struct expr_value value;
    struct period turn = charge_turn(work, step, charge);
    TRY(charge_eval(work, step->where, charge, turn, &value));
    if (!value.truth && is_shared) { /* it gives nothing, and may have a share */
        TRY(charge_eval(work, step->allocate.to, charge, turn, &value));
    }
    *takes = value.truth;
    return OK;
}

enum status charge_measure(struct work *work, const struct step *step, const struct charge *charge,
                           struct dec fallback, struct dec *measure)
{
    *measure = fallback;
    if (!step->measure) {
        return OK;
    }
    struct expr_value value;
    struct period turn = charge_turn(work, step, charge);
    TRY(charge_eval(work, step->measure, charge, turn, &value));
    *measure = value.number;
    return measure->scale > DEC_SCALE
               ? dec_round(*measure, DEC_SCALE, ROUND_HALF_EVEN, measure, work->err)
               : OK;
}

static enum status number_at(struct work *work, const struct number *number,
                             const struct charge *charge, struct period turn, instant at,
                             struct dec *value)
{
    struct expr_value result = {.number = number->value};
    if (number->expr) {
        TRY(eval_at(work, number->expr, charge, turn, at, &result));
    }
    *value = result.number;
    return OK;
}

enum status number_value(struct work *work, const struct number *number,
                         const struct charge *charge, struct period turn, struct dec *value)
{
    bool has_start = turn.from > INSTANT_MIN && turn.from < turn.to;
    return number_at(work, number, charge, turn, has_start ? turn.from : charge->at, value);
}

enum status number_alone(struct work *work, const struct number *number,
                         const struct charge *charge, struct period turn, struct dec *value)
{
    return number_at(work, number, charge, turn, charge->at, value);
}

enum status number_not_negative(struct work *work, const char *what, struct dec value)
{
    if (dec_sign(value) >= 0) {
        return OK;
    }
    char text[DEC_FORMAT_MAX];
    (void)dec_format(value, text);
    return fail(work->err, ERR_INPUT, "%s of %s is negative", what, text);
}
