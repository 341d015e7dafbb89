/* step_usage.c - steps that take usage and make amounts of it: convert, aggregate, allowance, rate,
 * percent, formula, tier; and fixed, which takes none.
 *
 * Each has one function that reads its keys; what every step has is read before (step.c).
 */
#include "catalog/step.h"

#include "base/nofloat.h"

static void read_increments(struct work *work, struct step_convert *convert)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "increment");
    static const char *const keys[] = {"up_to", "size", NULL};
    bool is_list = node->kind == YAML_LIST;
    uint32_t count = is_list ? node->count : 1;
    if (count == 0 || count > TIERS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "1 to 1,000 increments are wanted");
        return;
    }
    struct increment *increments = arena_calloc(loader->arena, count, sizeof *increments);
    struct dec before = DEC_ZERO;
    for (uint32_t i = 0; i < count; i++) {
        struct increment *increment = &increments[i];
        const struct yaml_node *item = is_list ? &node->items[i] : node;
        const struct yaml_node *size = item, *up_to = NULL;
        if (item->kind == YAML_MAP) {
            check_keys(loader, item, "an increment", keys);
            up_to = yaml_member(item, "up_to");
            size = want_member(loader, item, "size");
        }
        increment->open = up_to == NULL;
        increment->size = dec_from_int(1);
        if (size != NULL && read_dec(loader, size, &increment->size) &&
            dec_sign(increment->size) <= 0) {
            COMPLAIN(loader, size, "NOT_POSITIVE", NO_HINT,
                     "an increment must be greater than zero");
        }
        if (increment->open != (i + 1 == count)) {
            COMPLAIN(loader, item, "TIER_OPEN", TEXT("leave up_to out in the last, and only there"),
                     "the last increment is open, the others end");
        }
        if (up_to != NULL && read_dec(loader, up_to, &increment->up_to)) {
            if (dec_compare(increment->up_to, before) <= 0) {
                COMPLAIN(loader, up_to, "TIER_ORDER", NO_HINT,
                         "an increment ends before it begins");
            }
            before = increment->up_to;
        }
    }
    convert->increments = increments;
    convert->increment_count = count;
}

void read_convert(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_convert *convert = &work->step->convert;
    convert->multiply.value = convert->divide.value = dec_from_int(1);
    read_step_number(work, "multiply", NOT_NEGATIVE, &convert->multiply);
    read_step_number(work, "divide", POSITIVE, &convert->divide);
    if (key(work, "quantity") != NULL) {
        read_expr(loader, key(work, "quantity"), &work->rows, EXPR_NUMBER, &convert->quantity);
        const struct yaml_node *other =
            key(work, "multiply") != NULL ? key(work, "multiply") : key(work, "divide");
        if (other != NULL) {
            complain(loader->complaints, yaml_key_place(other), "CHOOSE_ONE",
                     TEXT("put the factor into the expression"),
                     "convert has either quantity, or multiply and divide");
        }
    }
    if (key(work, "to") != NULL) {
        read_name(loader, key(work, "to"), &convert->to);
    }
    if (key(work, "minimum") != NULL) {
        convert->has_minimum = true;
        read_step_number(work, "minimum", NOT_NEGATIVE, &convert->minimum);
        if (work->step->clock != CLOCK_ROW) {
            COMPLAIN(loader, key(work, "minimum"), "STEP_CLOCK",
                     TEXT("take clock out: row is its default"),
                     "a minimum holds for each row alone");
        }
    }
    if (key(work, "increment") != NULL) {
        read_increments(work, convert);
    }
    if (key(work, "round") != NULL) {
        convert->has_round = true;
        read_round_part(work, key(work, "round"), &convert->round_digits, &convert->round_mode);
    }
    static const char *const of_turns[] = {"scope", "by", "on_change", NULL};
    for (int i = 0; work->step->clock == CLOCK_ROW && of_turns[i] != NULL; i++) {
        refuse_key(work, of_turns[i], "is of a clock with turns: here each row is alone");
    }
}

static const char *const function_names[FUNCTIONS + 1] = {
    [FUNCTION_SUM] = "sum",
    [FUNCTION_MAX] = "max",
    [FUNCTION_MIN] = "min",
    [FUNCTION_AVERAGE] = "average",
    [FUNCTION_LAST] = "last",
    [FUNCTION_COUNT] = "count",
    [FUNCTION_PERCENTILE] = "percentile",
};

const char *function_name(enum function function)
{
    return function_names[function];
}

void read_aggregate(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_aggregate *aggregate = &work->step->aggregate;
    static const char *const methods[] = {"drop_top", "nearest_rank", NULL};
    if (work->body->kind == YAML_MAP && want_member(loader, work->body, "function") != NULL) {
        aggregate->function =
            (enum function)read_option(work, "function", function_names, FUNCTION_SUM);
    }
    bool is_percentile = aggregate->function == FUNCTION_PERCENTILE;
    aggregate->method = (enum percentile_method)read_option(work, "method", methods, 0);
    const struct yaml_node *percentile = key(work, "percentile");
    if (percentile != NULL && read_dec(loader, percentile, &aggregate->percentile) &&
        (dec_sign(aggregate->percentile) <= 0 ||
         dec_compare(aggregate->percentile, dec_from_int(100)) > 0)) {
        COMPLAIN(loader, percentile, "NUM_RANGE", TEXT("percentile: 95"),
                 "a percentile is above 0 and at most 100");
    }
    if (is_percentile && percentile == NULL) {
        complain(loader->complaints, yaml_key_place(key(work, "function")), "MISSING_KEY",
                 TEXT("percentile: 95"), "nothing says which percentile");
    }
    const char *needless =
        !is_percentile && percentile != NULL                ? "percentile"
        : !is_percentile && own_key(work, "method") != NULL ? "method"
        : !is_percentile && aggregate->function != FUNCTION_AVERAGE && key(work, "samples") != NULL
            ? "samples"
            : NULL;
    if (needless != NULL) {
        complain(loader->complaints, yaml_key_place(key(work, needless)), "CHOOSE_ONE", NO_HINT,
                 "%s means nothing to the function %s", needless,
                 function_names[aggregate->function]);
    }
    aggregate->has_samples = key(work, "samples") != NULL;
    read_step_number(work, "samples", POSITIVE, &aggregate->samples);
}

static void refuse_usage(void *context, const struct expr *expr)
{
    struct work *work = context;
    size_t count = 0;
    const uint32_t *calls = expr == NULL ? NULL : expr_calls(expr, &count);
    if (count > 0 && calls[count - 1] >= CALL_USAGE) {
        complain(work->loader->complaints, yaml_key_place(key(work, "rollover")), "CHOOSE_ONE",
                 NO_HINT, "what is earned by usage is not known for a turn that is over");
    }
}

/* rollover: 0.5, or {part: 0.5, amount: 100}: what is left of a turn goes into the next. */
static void read_rollover(struct work *work, struct step_allowance *allowance)
{
    struct loader *loader = work->loader;
    const struct step *step = work->step;
    const struct yaml_node *node = key(work, "rollover"), *part = node, *most = NULL;
    static const char *const keys[] = {"part", "amount", NULL};
    allowance->has_rollover = true;
    allowance->rollover_part = dec_from_int(1);
    if (node->kind == YAML_MAP) {
        check_keys(loader, node, "rollover", keys);
        part = yaml_member(node, "part");
        most = yaml_member(node, "amount");
    }
    if (part != NULL && read_dec(loader, part, &allowance->rollover_part) &&
        (dec_sign(allowance->rollover_part) < 0 ||
         dec_compare(allowance->rollover_part, dec_from_int(1)) > 0)) {
        COMPLAIN(loader, part, "NUM_RANGE", TEXT("rollover: {amount: 100}"),
                 "a part of what is left is from 0 to 1");
    }
    if (most != NULL) {
        allowance->has_rollover_most = read_dec(loader, most, &allowance->rollover_most);
        check_sign(work, most, "amount", &(struct number){allowance->rollover_most, NULL},
                   NOT_NEGATIVE);
    }
    if (step->clock == CLOCK_ROW || step->clock == CLOCK_ALWAYS) {
        COMPLAIN(loader, node, "STEP_CLOCK", TEXT("clock: period, or month, year ..."),
                 "what rolls over needs turns that follow each other");
    }
    if (!allowance->has_quantity || allowance->has_events || step->on_change_restart) {
        COMPLAIN(loader, node, "CHOOSE_ONE", NO_HINT,
                 "rollover is of an allowance by quantity, whose versions continue");
    }
    step_visit(step, refuse_usage, work);
}

void read_allowance(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_allowance *allowance = &work->step->allowance;
    if (work->body->kind == YAML_TEXT) {
        allowance->has_quantity =
            read_number(loader, work->body, &work->bucket, &allowance->quantity);
        check_sign(work, work->body, "an allowance", &allowance->quantity, NOT_NEGATIVE);
    }
    allowance->has_quantity |= key(work, "quantity") != NULL;
    allowance->has_events = key(work, "events") != NULL;
    read_step_number(work, "quantity", NOT_NEGATIVE, &allowance->quantity);
    read_step_number(work, "events", NOT_NEGATIVE, &allowance->events);
    if (work->body->kind == YAML_MAP && !allowance->has_quantity && !allowance->has_events) {
        complain(loader->complaints, yaml_key_place(work->body), "MISSING_KEY",
                 TEXT("allowance: 200 or allowance: {quantity: 200}"),
                 "an allowance has a quantity or events");
    }
    read_proration(work, &allowance->proration);
    static const char *const emit[] = {"none", "free", NULL};
    allowance->emit_free = read_option(work, "emit", emit, 0) == 1;
    enum attribution attribute = work->step->attribute;
    if (attribute == ATTRIBUTE_NONE || (attribute != ATTRIBUTE_IN_ORDER && allowance->has_events)) {
        complain(loader->complaints, yaml_key_place(key(work, "attribute")), "CHOOSE_ONE",
                 TEXT("attribute: in_order, or pro_rata where there are no events"),
                 "what is free is free of some row: of the first, or of each its share");
    }
    if (key(work, "rollover") != NULL) {
        read_rollover(work, allowance);
    }
}

/* ---- rate ---- */

static void read_cases(struct work *work, struct step_rate *rate)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "cases");
    static const char *const keys[] = {"where", "rate", "flat", NULL};
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count == 0 || node->count > TIERS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "1 to 1,000 cases are wanted");
        return;
    }
    struct rate_case *cases = arena_calloc(loader->arena, node->count, sizeof *cases);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        if (!want_kind(loader, item, YAML_MAP)) {
            continue;
        }
        check_keys(loader, item, "a case", keys);
        const struct yaml_node *where = yaml_member(item, "where");
        const struct yaml_node *flat = yaml_member(item, "flat");
        const struct yaml_node *rated =
            flat == NULL ? want_member(loader, item, "rate") : yaml_member(item, "rate");
        if ((where == NULL) != (i + 1 == node->count)) {
            complain(loader->complaints, yaml_place(item), "CASE_OPEN",
                     TEXT("end the list with {rate: ...}, for all that no case took"),
                     where == NULL ? "only the last case has no where"
                                   : "the last case must take what is left: no where");
        }
        if (where != NULL) {
            read_expr(loader, where, &work->rows, EXPR_BOOL, &cases[i].where);
        }
        if (rated != NULL) {
            read_number(loader, rated, &work->bucket, &cases[i].rate);
        }
        if (flat != NULL) {
            read_number(loader, flat, &work->bucket, &cases[i].flat);
        }
    }
    rate->cases = cases;
    rate->case_count = node->count;
}

static void read_table_use(struct work *work, struct step_rate *rate)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "table"), *series = key(work, "series");
    uint32_t index = series == NULL
                         ? find_name(loader, node, &loader->table_by_name, loader->table_names,
                                     loader->tables.count, "table")
                         : find_name(loader, series, &loader->series_by_name, loader->series_names,
                                     loader->series.count, "series");
    if (index == NONE) {
        return;
    }
    index += series == NULL ? 0 : loader->tables.count;
    node = series == NULL ? node : series;
    const struct rate_table *table = &loader->rate_tables[index];
    rate->table = table;
    if (key(work, "keys") == NULL) {
        struct text unknown = loader->table_key_unknown[index];
        if (unknown.size > 0) {
            COMPLAIN(
                loader, node, "MISSING_KEY", TEXT("rate: {table: name, keys: [dimension, ...]}"),
                "the key %.*s of the %s %.*s is no dimension or attribute: say which to use",
                TEXT_ARG(unknown), table->is_series ? "series" : "table", TEXT_ARG(table->name));
        }
        return;
    }
    struct rate_table *other = arena_alloc(loader->arena, sizeof *other);
    *other = *table;
    uint32_t count;
    if (read_by_keys(loader, key(work, "keys"), other->keys, TABLE_KEYS_MAX, &count) &&
        count != table->key_count) {
        COMPLAIN(loader, key(work, "keys"), "TABLE_KEYS", NO_HINT,
                 "here are %u keys, and those of the %s %.*s are %u", count,
                 table->is_series ? "series" : "table", TEXT_ARG(table->name), table->key_count);
    }
    rate->table = other;
}

/* n, where a number is 10^n and n is not negative; else -1. */
static int power_of_ten(struct dec value)
{
    int power = -value.scale;
    for (; value.mantissa > 1 && value.mantissa % 10 == 0; power++) {
        value.mantissa /= 10;
    }
    return value.mantissa == 1 && power >= 0 ? power : -1;
}

void read_rate(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_rate *rate = &work->step->rate;
    struct rate_case *only = arena_calloc(loader->arena, 1, sizeof *only);
    rate->cases = only;
    rate->case_count = 1;
    if (work->body->kind == YAML_TEXT) {
        read_number(loader, work->body, &work->bucket, &only->rate);
        return;
    }
    static const char *const ways[] = {"rate", "cases", "table", "series", "from", NULL};
    const struct yaml_node *way = NULL;
    for (int i = 0; ways[i] != NULL; i++) {
        const struct yaml_node *node = key(work, ways[i]);
        if (node != NULL && way != NULL) {
            complain(loader->complaints, yaml_key_place(node), "CHOOSE_ONE", NO_HINT,
                     "rate has one of rate, cases, table, series and from; here are %.*s and %.*s",
                     TEXT_ARG(way->key), TEXT_ARG(node->key));
        }
        way = node != NULL ? node : way;
    }
    if (key(work, "flat") != NULL) {
        read_number(loader, key(work, "flat"), &work->bucket, &only->flat);
        if (way != NULL && way != key(work, "rate")) {
            complain(loader->complaints, yaml_key_place(key(work, "flat")), "CHOOSE_ONE", NO_HINT,
                     "flat stands beside rate, or inside a case");
        }
    } else if (way == NULL) {
        complain(loader->complaints, yaml_key_place(work->body), "MISSING_KEY",
                 TEXT("rate: 0.10, or one of rate, cases, table, series, from"),
                 "nothing says what the rate is");
    }
    if (key(work, "rate") != NULL) {
        read_number(loader, key(work, "rate"), &work->bucket, &only->rate);
    } else if (key(work, "cases") != NULL) {
        read_cases(work, rate);
    } else if (key(work, "table") != NULL || key(work, "series") != NULL) {
        rate->case_count = 0;
        read_table_use(work, rate);
    } else if (key(work, "from") != NULL) {
        const struct yaml_node *from = key(work, "from");
        rate->case_count = 0;
        read_row_number(loader, from, &work->rows, &rate->from);
    }
    if (key(work, "keys") != NULL && key(work, "table") == NULL && key(work, "series") == NULL) {
        complain(loader->complaints, yaml_key_place(key(work, "keys")), "MISSING_KEY", NO_HINT,
                 "keys are those of a table or a series: here is none");
    }
    if (key(work, "per") != NULL) {
        rate->has_per = read_dec(loader, key(work, "per"), &rate->per);
        if (rate->has_per) {
            check_sign(work, key(work, "per"), "per", &(struct number){rate->per, NULL}, POSITIVE);
            rate->per_digits = power_of_ten(rate->per);
        }
    }
}

/* ---- percent, formula ---- */

void read_percent(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_percent *percent = &work->step->percent;
    if (work->body->kind == YAML_TEXT) {
        read_number(loader, work->body, &work->bucket, &percent->rate);
        return;
    }
    percent->has_fixed = key(work, "fixed") != NULL;
    percent->has_min = key(work, "min") != NULL;
    percent->has_max = key(work, "max") != NULL;
    if (key(work, "rate") == NULL && !percent->has_fixed) {
        complain(loader->complaints, yaml_key_place(work->body), "MISSING_KEY",
                 TEXT("percent: 2.9, or percent: {rate: 2.9, fixed: 0.30}"),
                 "nothing says how many per cent");
    }
    uint32_t errors = loader->complaints->errors;
    read_step_number(work, "rate", ANY, &percent->rate);
    read_step_number(work, "fixed", ANY, &percent->fixed);
    read_step_number(work, "min", ANY, &percent->min);
    read_step_number(work, "max", ANY, &percent->max);
    if (loader->complaints->errors == errors && percent->has_min && percent->has_max &&
        percent->min.expr == NULL && percent->max.expr == NULL &&
        dec_compare(percent->min.value, percent->max.value) > 0) {
        COMPLAIN(loader, key(work, "min"), "BOUND_ORDER", NO_HINT, "min is greater than max");
    }
}

/* [{name: expression}, ...]: each may use those before it. */
static void read_results(struct work *work, const struct yaml_node *node,
                         struct expr_context *context)
{
    struct loader *loader = work->loader;
    struct step_formula *formula = &work->step->formula;
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count > RESULTS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "a formula has at most %d results", RESULTS_MAX);
        return;
    }
    struct text *names = arena_calloc(loader->arena, node->count + 1, sizeof *names);
    const struct expr **results = arena_calloc(loader->arena, node->count + 1, sizeof *results);
    formula->names = context->results = names;
    formula->results = results;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        if (item->kind != YAML_MAP || item->count != 1) {
            COMPLAIN(loader, item, "WRONG_TYPE", TEXT("results: [{net: quantity * 0.9}, ...]"),
                     "a result is a mapping of one name to an expression");
            continue;
        }
        const struct yaml_node *result = &item->items[0];
        for (uint32_t k = 0; k < formula->result_count; k++) {
            if (text_equal(names[k], result->key)) {
                complain(loader->complaints, yaml_key_place(result), "DUPLICATE_NAME", NO_HINT,
                         "a result named %.*s stands before it", TEXT_ARG(result->key));
            }
        }
        if (is_row_name(result->key)) {
            complain(loader->complaints, yaml_key_place(result), "DUPLICATE_NAME",
                     TEXT("give the result another name"),
                     "%.*s is a name that a row has of its own", TEXT_ARG(result->key));
        }
        if (check_name(loader, yaml_key_place(result), result->key) &&
            read_row_number(loader, result, context, &results[formula->result_count])) {
            names[formula->result_count++] = result->key;
            context->result_count = formula->result_count;
        }
    }
}

void read_formula(struct work *work)
{
    struct loader *loader = work->loader;
    struct expr_context context = work->rows;
    if (key(work, "results") != NULL) {
        read_results(work, key(work, "results"), &context);
    }
    const struct yaml_node *amount = work->body;
    if (work->body->kind == YAML_MAP) {
        amount = want_member(loader, work->body, "amount");
    }
    if (amount != NULL) {
        read_row_number(loader, amount, &context, &work->step->formula.amount);
    }
}

/* ---- tier ---- */

static void read_tier_numbers(struct work *work, const struct yaml_node *item, struct tier *tier)
{
    struct loader *loader = work->loader;
    const struct yaml_node *rate = yaml_member(item, "rate");
    const struct yaml_node *percent = yaml_member(item, "percent");
    const struct yaml_node *flat = yaml_member(item, "flat");
    const struct yaml_node *package = yaml_member(item, "package");
    if (rate != NULL && percent != NULL) {
        complain(loader->complaints, yaml_key_place(percent), "CHOOSE_ONE", NO_HINT,
                 "a tier has a rate or a percent");
    }
    if (rate == NULL && percent == NULL && flat == NULL) {
        complain(loader->complaints, yaml_place(item), "MISSING_KEY",
                 TEXT("rate: 0 when it is free"), "a tier has a rate, a percent or a flat amount");
    }
    tier->is_percent = percent != NULL;
    if (rate != NULL || percent != NULL) {
        read_number(loader, rate != NULL ? rate : percent, &work->bucket, &tier->rate);
    }
    if (flat != NULL) {
        read_number(loader, flat, &work->bucket, &tier->flat);
    }
    if (package != NULL && read_dec(loader, package, &tier->package)) {
        tier->has_package = true;
        if (dec_sign(tier->package) <= 0) {
            COMPLAIN(loader, package, "NOT_POSITIVE", NO_HINT, "a package must hold something");
        }
    }
}

/* Where a tier ends, against the one before it. */
static void check_limit(struct work *work, const struct yaml_node *item, const struct tier *tier,
                        const struct tier *before)
{
    struct loader *loader = work->loader;
    if (tier->limit != NULL || (before != NULL && before->limit != NULL)) {
        return; /* known when it is evaluated; see the pricing room */
    }
    struct dec start = before == NULL ? DEC_ZERO : before->up_to;
    const struct yaml_node *from = yaml_member(item, "from");
    char number[DEC_FORMAT_MAX];
    dec_format(start, number);
    struct dec from_value;
    if (from != NULL && read_dec(loader, from, &from_value)) {
        int order = dec_compare(from_value, start);
        if (order != 0) {
            COMPLAIN(loader, from, order > 0 ? "TIER_GAP" : "TIER_OVERLAP",
                     text_format(loader->arena, "from: %s, or leave it out", number),
                     order > 0 ? "between this tier and the one before it is a gap"
                               : "this tier overlaps the one before it");
        }
    }
    const struct yaml_node *end = yaml_member(item, tier->below ? "below" : "up_to");
    if (tier->open || end == NULL) {
        return;
    }
    int order = dec_compare(tier->up_to, start);
    if (before == NULL ? dec_sign(tier->up_to) < 0 || (tier->below && order == 0) : order < 0) {
        COMPLAIN(loader, end, "TIER_ORDER", TEXT("write the tiers in ascending order"),
                 "this tier ends before it begins at %s", number);
    } else if (before != NULL && order == 0 && (!before->below || tier->below)) {
        COMPLAIN(loader, end, "TIER_OVERLAP", TEXT("a tier ends above the one before it"),
                 "this tier ends where it begins, at %s", number);
    }
}

/* F at the limit of a volume tier, seen from the tier itself; false when it cannot be said now. */
static bool volume_at(const struct tier *tier, struct dec at, struct dec *amount)
{
    struct dec product;
    if (tier->limit != NULL || tier->rate.expr != NULL || tier->flat.expr != NULL ||
        tier->has_package || dec_multiply(tier->rate.value, at, &product, NULL) != OK) {
        return false;
    }
    if (tier->is_percent &&
        dec_divide(product, dec_from_int(100), DEC_SCALE, ROUND_HALF_EVEN, &product, NULL) != OK) {
        return false;
    }
    return dec_add(product, tier->flat.value, amount, NULL) == OK;
}

static void warn_of_drops(struct work *work, const struct yaml_node *node, const struct tier *tiers)
{
    for (uint32_t i = 0; i + 1 < node->count; i++) {
        struct dec end, begin;
        if (volume_at(&tiers[i], tiers[i].up_to, &end) &&
            volume_at(&tiers[i + 1], tiers[i].up_to, &begin) && dec_compare(begin, end) < 0) {
            char limit[DEC_FORMAT_MAX], high[DEC_FORMAT_MAX], low[DEC_FORMAT_MAX];
            dec_format(tiers[i].up_to, limit);
            dec_format(end, high);
            dec_format(begin, low);
            complain_softly(
                work->loader->complaints, yaml_place(&node->items[i + 1]), "VOLUME_DROP",
                TEXT("mode: graduated never drops; as a volume price this may be meant"),
                "the price falls at %s, from %s to %s: using more costs less", limit, high, low);
            return;
        }
    }
}

void read_tiers(struct work *work, const struct yaml_node *node, struct step_tier *tier_step)
{
    struct loader *loader = work->loader;
    static const char *const keys[] = {"from",    "up_to", "below",   "rate",
                                       "percent", "flat",  "package", NULL};
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count == 0 || node->count > TIERS_MAX) {
        COMPLAIN(loader, node, "TIER_COUNT", NO_HINT, "1 to 1,000 tiers are wanted, here are %u",
                 node->count);
        return;
    }
    struct tier *tiers = arena_calloc(loader->arena, node->count, sizeof *tiers);
    uint32_t errors = loader->complaints->errors;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        struct tier *tier = &tiers[i];
        if (!want_kind(loader, item, YAML_MAP)) {
            continue;
        }
        check_keys(loader, item, "a tier", keys);
        const struct yaml_node *up_to = yaml_member(item, "up_to");
        const struct yaml_node *below = yaml_member(item, "below");
        if (up_to != NULL && below != NULL) {
            complain(loader->complaints, yaml_key_place(below), "CHOOSE_ONE", NO_HINT,
                     "a tier ends with up_to (the limit is in it) or below (it is not)");
        }
        tier->below = below != NULL;
        tier->open = up_to == NULL && below == NULL;
        struct number limit = {0};
        bool limit_read =
            tier->open || read_number(loader, up_to != NULL ? up_to : below, &work->bucket, &limit);
        tier->up_to = limit.value;
        tier->limit = limit.expr;
        read_tier_numbers(work, item, tier);
        if (tier->open && i + 1 < node->count) {
            complain(loader->complaints, yaml_place(item), "TIER_OPEN", TEXT("up_to: or below:"),
                     "only the last tier is open, and this one has no end");
        } else if (limit_read) {
            check_limit(work, item, tier, i == 0 ? NULL : &tiers[i - 1]);
        }
        if (!tier->open && i + 1 == node->count && tier_step->past_last == PAST_REFUSED) {
            complain(loader->complaints, yaml_place(item), "TIER_OPEN",
                     TEXT("end with {rate: ...}, or say past_last: last or free"),
                     "no tier takes what is above the last: the list has no open end");
        }
    }
    tier_step->tiers = tiers;
    tier_step->tier_count = node->count;
    tier_resolve(loader->arena, tier_step);
    if (tier_step->mode == TIER_VOLUME && loader->complaints->errors == errors) {
        warn_of_drops(work, node, tiers);
    }
}

/* What finds the tier of a row, when it is not what is charged. */
static void read_position(struct work *work, struct step_tier *tier)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "position");
    /* By name it is what it is without. */
    if (node->kind == YAML_TEXT && text_equal(node->text, TEXT("quantity"))) {
        return;
    }
    read_row_number(loader, node, &work->rows, &tier->position);
    bool is_volume = tier->mode == TIER_VOLUME;
    if (work->step->attribute == (is_volume ? ATTRIBUTE_IN_ORDER : ATTRIBUTE_PRO_RATA) ||
        (!is_volume && work->step->attribute == ATTRIBUTE_NONE)) {
        COMPLAIN(loader, key(work, "attribute"), "CHOOSE_ONE", NO_HINT,
                 is_volume ? "with a position, a volume tier is attributed pro_rata or none"
                           : "with a position, a graduated tier is attributed in_order");
    }
    for (uint32_t i = 0; i < tier->tier_count && !is_volume; i++) {
        if (tier->tiers[i].has_package || tier->tiers[i].is_percent) {
            COMPLAIN(loader, node, "CHOOSE_ONE", TEXT("mode: volume, or a rate for each unit"),
                     "with a position, graduated tiers have rates and flats alone");
            return;
        }
    }
}

void read_tier(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_tier *tier = &work->step->tier;
    static const char *const modes[] = {"graduated", "volume", NULL};
    static const char *const at_zero[] = {"skip", "charge", NULL};
    static const char *const past_last[] = {"refuse", "last", "free", NULL};
    static const char *const package_round[] = {"up", "down", "nearest", NULL};
    static const enum rounding package_modes[] = {ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP};
    tier->mode = (enum tier_mode)read_option(work, "mode", modes, TIER_GRADUATED);
    tier->at_zero_charge = read_option(work, "at_zero", at_zero, 0) == 1;
    tier->past_last = (enum past_last)read_option(work, "past_last", past_last, PAST_REFUSED);
    int round = read_option(work, "package_round", package_round, 0);
    tier->package_round = package_modes[round];
    bool settles = tier->mode == TIER_VOLUME || own_key(work, "settle") != NULL;
    tier->settle_at_end = settles && read_settles_at_end(work, false);
    if (tier->mode == TIER_VOLUME && key(work, "attribute") == NULL) {
        work->step->attribute = ATTRIBUTE_PRO_RATA;
    }
    if (tier->settle_at_end && tier->mode == TIER_GRADUATED &&
        work->step->attribute == ATTRIBUTE_IN_ORDER) {
        COMPLAIN(loader, key(work, "settle"), "CHOOSE_ONE",
                 TEXT("settle: now, or attribute: pro_rata or none"),
                 "tiers that take their rows in order bill each as it comes");
    }
    const struct yaml_node *tiers = work->body;
    if (work->body->kind == YAML_MAP) {
        tiers = want_member(loader, work->body, "tiers");
    }
    if (tiers != NULL) {
        read_tiers(work, tiers, tier);
    }
    bool has_packages = false, has_open = false;
    for (uint32_t i = 0; i < tier->tier_count; i++) {
        has_packages = has_packages || tier->tiers[i].has_package;
        has_open = has_open || tier->tiers[i].open;
    }
    if (tier->tier_count > 0 && !has_packages) {
        refuse_key(work, "package_round", "is of packages, and here are none");
    }
    if (has_open && tier->past_last != PAST_REFUSED) {
        refuse_key(work, "past_last", "is of a last tier that ends: here it is open");
    }
    if (key(work, "position") != NULL) {
        read_position(work, tier);
    }
    if (tier->position != NULL && work->step->measure != NULL) {
        complain(loader->complaints, yaml_key_place(key(work, "measure")), "CHOOSE_ONE", NO_HINT,
                 "a position finds the tier of what is not charged: with a measure there is none");
    }
}

/* ---- fixed ---- */

/* [{date, amount}, ...]: amounts that are due at dates, whatever the clock. */
static void read_installments(struct work *work, struct step_fixed *fixed)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "installments");
    static const char *const keys[] = {"date", "amount", NULL};
    static const char *const others[] = {"amount", "clock", "when", "prorate",
                                         "digits", "mode",  "stub", NULL};
    for (int i = 0; others[i] != NULL; i++) {
        if (own_key(work, others[i]) != NULL) { /* a profile speaks of other fixed amounts */
            complain(loader->complaints, yaml_key_place(own_key(work, others[i])), "CHOOSE_ONE",
                     TEXT("a step, or a price, of its own for what is charged besides"),
                     "installments say when how much is due: %s means nothing beside them",
                     others[i]);
        }
    }
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count == 0 || node->count > TIERS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "1 to 1,000 installments are wanted");
        return;
    }
    struct installment *items = arena_calloc(loader->arena, node->count, sizeof *items);
    fixed->installments = items;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        if (!want_kind(loader, item, YAML_MAP)) {
            continue;
        }
        check_keys(loader, item, "an installment", keys);
        const struct yaml_node *date = want_member(loader, item, "date");
        const struct yaml_node *amount = want_member(loader, item, "amount");
        if (date == NULL || amount == NULL || !read_instant(loader, date, &items[i].at) ||
            !read_number(loader, amount, &work->bucket, &items[i].amount)) {
            continue;
        }
        check_money(loader, amount, "amount", &items[i].amount);
        if (i > 0 && items[i].at <= items[i - 1].at) {
            COMPLAIN(loader, date, "DATE_ORDER", NO_HINT,
                     "this installment is not due after the one before it");
        }
    }
    fixed->installment_count = node->count;
}

void read_fixed(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_fixed *fixed = &work->step->fixed;
    fixed->quantity.value = dec_from_int(1);
    if (work->body->kind == YAML_TEXT) {
        read_number(loader, work->body, &work->bucket, &fixed->amount);
    } else if (key(work, "installments") != NULL) {
        fixed->proration.rule = PRORATE_NONE;
        read_step_number(work, "quantity", NOT_NEGATIVE, &fixed->quantity);
        read_installments(work, fixed);
        return;
    } else if (want_member(loader, work->body, "amount") != NULL) {
        read_step_number(work, "amount", ANY, &fixed->amount);
    }
    check_amount(work, "amount", &fixed->amount);
    read_step_number(work, "quantity", NOT_NEGATIVE, &fixed->quantity);
    static const char *const when[] = {"in_arrears", "in_advance", "once", NULL};
    static const char *const stub[] = {"turn", "back", NULL};
    fixed->when = (enum fixed_when)read_option(work, "when", when, FIXED_IN_ARREARS);
    fixed->stub_back = read_option(work, "stub", stub, 0) == 1;
    read_proration(work, &fixed->proration);
    if (fixed->when == FIXED_ONCE) {
        refuse_key(work, "prorate", "is of turns: once is the whole amount");
    }
    if (fixed->when == FIXED_ONCE || fixed->proration.rule == PRORATE_NONE) {
        refuse_key(work, "stub", "is of proration, and here is none");
    }
    if (work->step->clock == CLOCK_ROW) {
        COMPLAIN(loader, key(work, "clock"), "STEP_CLOCK",
                 TEXT("clock: period, or month, year ..."), "a fixed amount has no rows");
    }
    if (work->step->scope == SCOPE_RESOURCE) {
        COMPLAIN(loader, key(work, "scope"), "BAD_VALUE",
                 TEXT("scope: account, or a rate for a meter that counts the resources"),
                 "a fixed amount is of no resource");
    }
}
