/* step.c - the steps of a price: keys to numbers, clocks and curves.
 *
 * Idea: each primitive is a table of its keys and one function that reads them.  What all steps
 * have (name, where, scope, by, clock, attribute) is read before, once.  Checks that need one step
 * alone are here; what several steps or prices decide is in check.c.
 */
#include "catalog/step.h"

#include <stdlib.h>

#include "base/nofloat.h"

static const char *const kind_names[STEP_KINDS] = {
    [STEP_CONVERT] = "convert",
    [STEP_AGGREGATE] = "aggregate",
    [STEP_ALLOWANCE] = "allowance",
    [STEP_RATE] = "rate",
    [STEP_PERCENT] = "percent",
    [STEP_FORMULA] = "formula",
    [STEP_TIER] = "tier",
    [STEP_FIXED] = "fixed",
    [STEP_BOUND] = "bound",
    [STEP_ROUND] = "round",
    [STEP_DISCOUNT] = "discount",
    [STEP_MARKUP] = "markup",
    [STEP_FEE] = "fee",
    [STEP_TAX] = "tax",
    [STEP_COMMIT] = "commit",
    [STEP_CREDIT] = "credit",
    [STEP_ALLOCATE] = "allocate",
};

const char *step_kind_name(enum step_kind kind)
{
    return kind_names[kind];
}

static const char *const later_kinds[] = {
    "cover",
    NULL,
};

/* Keys of each primitive; those of all steps are added where they mean something. */
#define ACCUMULATES "name", "where", "scope", "by", "clock", "on_change", "settings_at"
static const char *const step_keys[STEP_KINDS][24] = {
    [STEP_CONVERT] = {ACCUMULATES, "order", "multiply", "divide", "quantity", "to", "minimum",
                      "increment", "round"},
    [STEP_AGGREGATE] = {ACCUMULATES, "order", "measure", "function", "percentile", "method",
                        "samples"},
    [STEP_ALLOWANCE] = {ACCUMULATES, "order", "measure", "attribute", "quantity", "events",
                        "prorate", "digits", "mode", "emit", "rollover"},
    [STEP_RATE] = {"name", "clock", "where", "settings_at", "rate", "per", "flat", "cases", "table",
                   "series", "keys", "from"},
    [STEP_PERCENT] = {"name", "clock", "where", "settings_at", "rate", "fixed", "min", "max"},
    [STEP_FORMULA] = {"name", "clock", "where", "settings_at", "results", "amount"},
    [STEP_TIER] = {ACCUMULATES, "order", "measure", "attribute", "mode", "tiers", "settle",
                   "at_zero", "past_last", "package_round", "position"},
    [STEP_FIXED] = {"name", "scope", "clock", "settings_at", "amount", "quantity", "when",
                    "prorate", "digits", "mode", "stub", "installments"},
    [STEP_BOUND] = {ACCUMULATES, "order", "measure", "attribute", "min", "max", "settle", "prorate",
                    "digits", "mode"},
    [STEP_ROUND] = {ACCUMULATES, "order", "measure", "digits", "mode", "at", "show", "small"},
#define ADJUSTS                                                                                    \
    ACCUMULATES, "order", "measure", "attribute", "percent", "tiers", "base", "settle", "prorate", \
        "digits"
    [STEP_DISCOUNT] = {ADJUSTS, "mode", "amount", "quantity", "exclusive", "best", "limit"},
    [STEP_MARKUP] = {ADJUSTS, "mode", "amount", "quantity", "exclusive", "best", "limit"},
    [STEP_FEE] = {ADJUSTS, "mode", "min", "max", "sku"},
    [STEP_TAX] = {"name", "where", "scope", "by", "clock", "settings_at", "percent", "inclusive",
                  "at", "round", "exempt", "reverse_charge"},
    [STEP_COMMIT] = {ACCUMULATES, "order", "measure", "amount", "quantity", "overage", "shortfall",
                     "rollover", "prorate", "digits", "mode", "prepaid"},
    [STEP_CREDIT] = {"name", "where", "scope", "by", "clock", "settings_at", "grants", "order",
                     "targets", "overage", "kinds", "resets", "keep_overage", "share", "top_up"},
    [STEP_ALLOCATE] = {"name", "where", "scope", "by", "clock", "settings_at", "order", "to",
                       "weight", "idle", "digits"},
};
static const char *const later_keys[STEP_KINDS][8] = {};

static const char *const scope_names[] = {"resource", "account", "organization", "contract", NULL};
static const char *const attribute_names[] = {"in_order", "pro_rata", "none", NULL};
static const char *const prorate_names[] = {"none",   "day",    "day_inclusive",
                                            "second", "30_day", NULL};

/* Expressions are checked when they are evaluated. */
void check_sign(struct work *work, const struct yaml_node *node, const char *name,
                const struct number *number, enum sign wanted)
{
    int sign = dec_sign(number->value);
    if (number->expr == NULL && wanted != ANY && sign <= 0 && (sign < 0 || wanted == POSITIVE)) {
        COMPLAIN(work->loader, node, wanted == POSITIVE ? "NOT_POSITIVE" : "NEGATIVE", NO_HINT,
                 "%s must %s", name,
                 wanted == POSITIVE ? "be greater than zero" : "not be negative");
    }
}

void read_step_number(struct work *work, const char *name, enum sign wanted, struct number *number)
{
    const struct yaml_node *node = key(work, name);
    if (node != NULL && read_number(work->loader, node, &work->bucket, number)) {
        check_sign(work, node, name, number, wanted);
    }
}

/* Amounts are money: no more digits than the currency has. */
static void check_money(struct loader *loader, const struct yaml_node *node, const char *name,
                        const struct number *number)
{
    const struct currency *currency = loader->currency;
    if (node != NULL && number->expr == NULL && number->value.scale > currency->digits) {
        COMPLAIN(loader, node, "AMOUNT_SCALE",
                 text_format(loader->arena, "%s has %d digits after the point", currency->code,
                             currency->digits),
                 "%s has more digits after the point than %s", name, currency->code);
    }
}

void check_amount(struct work *work, const char *name, const struct number *number)
{
    const struct yaml_node *node = key(work, name);
    if (node == NULL && work->body->kind == YAML_TEXT) {
        node = work->body;
    }
    work->step->has_money = work->step->has_money || node != NULL;
    check_money(work->loader, node, name, number);
}

void read_flag(struct work *work, const char *name, bool *value)
{
    if (key(work, name) != NULL) {
        read_bool(work->loader, key(work, name), value);
    }
}

/* Gives fallback when the key is absent or wrong. */
int read_option(struct work *work, const char *name, const char *const *names, int fallback)
{
    int choice = fallback;
    if (key(work, name) != NULL && !read_choice(work->loader, key(work, name), names, &choice)) {
        return fallback;
    }
    return choice;
}

void read_proration(struct work *work, enum prorate *prorate, int *digits, enum rounding *mode,
                    enum prorate fallback)
{
    struct loader *loader = work->loader;
    *prorate = (enum prorate)read_option(work, "prorate", prorate_names, (int)fallback);
    *digits = DEC_SCALE;
    *mode = ROUND_HALF_EVEN;
    const struct yaml_node *of_profile = profile_option(loader, "proration", "digits");
    const struct yaml_node *node = key(work, "digits") ? key(work, "digits") : of_profile;
    if (node != NULL) {
        read_int(loader, node, 0, DEC_SCALE, digits);
    }
    enum step_kind kind = work->step->kind; /* of these it is graduated or volume */
    bool is_of_tiers = kind == STEP_DISCOUNT || kind == STEP_MARKUP || kind == STEP_FEE;
    node = is_of_tiers ? NULL : key(work, "mode");
    node = node ? node : profile_option(loader, "proration", "mode");
    if (node != NULL) {
        read_rounding_mode(loader, node, mode);
    }
}

/* ---- what all steps have ---- */

/* One of the keys by which a step sorts its rows. */
static void read_order_key(struct work *work, const struct yaml_node *node, struct order_key *out)
{
    struct loader *loader = work->loader;
    if (!want_kind(loader, node, YAML_TEXT)) {
        return;
    }
    struct text text = node->text;
    out->descends = text.size > 0 && text.at[0] == '-';
    if (out->descends) { /* a blank in its place, so that errors are where they are */
        text = text_join(loader->arena, TEXT(" "), (struct text){text.at + 1, text.size - 1});
    }
    if (read_expr_text(loader, node, text, &work->rows, EXPR_DYNAMIC, &out->expr) &&
        expr_is_constant(out->expr, NULL)) {
        COMPLAIN(loader, node, "BAD_VALUE", TEXT("order: [sku, -quantity]"),
                 "what is the same for every row orders none");
    }
}

/* The value of a key that not all steps have. */
static const struct yaml_node *key_of_kind(const struct work *work, const char *name)
{
    const char *const *keys = step_keys[work->step->kind];
    while (*keys != NULL && strcmp(*keys, name) != 0) {
        keys++;
    }
    return *keys == NULL ? NULL : key(work, name);
}

static void read_order(struct work *work)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key_of_kind(work, "order");
    if (node == NULL) {
        return;
    }
    bool is_list = node->kind == YAML_LIST;
    uint32_t count = is_list ? node->count : 1;
    if (count == 0 || count > ORDER_KEYS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "an order has 1 to %d keys", ORDER_KEYS_MAX);
        return;
    }
    struct order_key *keys = arena_calloc(loader->arena, count, sizeof *keys);
    for (uint32_t i = 0; i < count; i++) {
        read_order_key(work, is_list ? &node->items[i] : node, &keys[i]);
    }
    work->step->order = keys;
    work->step->order_count = count;
}

static void read_measure(struct work *work)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key_of_kind(work, "measure");
    const char *fallback = work->rows.kind == NAMES_CHARGE ? "net" : "quantity";
    /* By name it is what it is without. */
    if (node != NULL && !(node->kind == YAML_TEXT && text_equal(node->text, text_of(fallback)))) {
        read_row_number(loader, node, &work->rows, &work->step->measure);
    }
}

static void read_common(struct work *work)
{
    struct loader *loader = work->loader;
    struct step *step = work->step;
    if (key(work, "name") != NULL && read_name(loader, key(work, "name"), &step->name) &&
        memchr(step->name.at, '/', step->name.size) != NULL) {
        COMPLAIN(loader, key(work, "name"), "BAD_NAME", NO_HINT, "a step's name has a slash");
    }
    if (key(work, "clock") != NULL) {
        read_step_clock(loader, key(work, "clock"), step);
    }
    work->bucket.has_usage = step->kind != STEP_FIXED;
    work->bucket.has_charges = work->is_term;
    work->bucket.has_turn = step->clock != CLOCK_ROW && step->clock != CLOCK_ALWAYS;
    work->rows = work->bucket;
    work->rows.kind = step_kind_takes_charges(step->kind) ? NAMES_CHARGE : NAMES_ROW;
    step->scope = (enum scope)read_option(work, "scope", scope_names,
                                          step->kind == STEP_TAX      ? SCOPE_ORGANIZATION
                                          : step->kind == STEP_COMMIT ? SCOPE_CONTRACT
                                                                      : SCOPE_ACCOUNT);
    if (key(work, "where") != NULL && step->kind != STEP_FIXED) {
        if (step->kind >= STEP_RATE && step->kind <= STEP_TIER) {
            COMPLAIN(loader, key(work, "where"), "RATING_WHERE",
                     TEXT("the price's own where: {dimension: value}, or rate: {cases: ...}"),
                     "a rating step takes every row: one that it left would have no price");
        } else {
            read_expr(loader, key(work, "where"), &work->rows, EXPR_BOOL, &step->where);
        }
    }
    if (key(work, "by") != NULL) {
        struct by_key *keys = arena_calloc(loader->arena, TABLE_KEYS_MAX, sizeof *keys);
        read_by_keys(loader, key(work, "by"), keys, TABLE_KEYS_MAX, &step->by_count);
        step->by = keys;
    }
    step->attribute =
        (enum attribution)read_option(work, "attribute", attribute_names, (int)step->attribute);
    if (step->kind != STEP_CREDIT) { /* whose order is that of its grants */
        read_order(work);
    }
    read_measure(work);
    static const char *const on_change[] = {"continue", "restart", NULL};
    step->on_change_restart = read_option(work, "on_change", on_change, 0) == 1;
    static const char *const settings_at[] = {"row", "turn_start", "turn_end", "invoice", NULL};
    step->settings_at =
        (enum settings_at)read_option(work, "settings_at", settings_at, SETTINGS_AT_ROW);
}

/* ---- each primitive ---- */

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
            check_keys(loader, item, "an increment", keys, NULL);
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

void read_round_part(struct work *work, const struct yaml_node *node, int *digits,
                     enum rounding *mode)
{
    struct loader *loader = work->loader;
    static const char *const keys[] = {"digits", "mode", NULL};
    if (node->kind == YAML_TEXT) {
        read_int(loader, node, 0, DEC_SCALE, digits);
    } else if (want_kind(loader, node, YAML_MAP)) {
        check_keys(loader, node, "round", keys, NULL);
        if (want_member(loader, node, "digits") != NULL) {
            read_int(loader, yaml_member(node, "digits"), 0, DEC_SCALE, digits);
        }
        if (yaml_member(node, "mode") != NULL) {
            read_rounding_mode(loader, yaml_member(node, "mode"), mode);
        }
    }
}

static void read_convert(struct work *work)
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

static void read_aggregate(struct work *work)
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
        check_keys(loader, node, "rollover", keys, NULL);
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

static void read_allowance(struct work *work)
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
    read_proration(work, &allowance->prorate, &allowance->digits, &allowance->mode, PRORATE_NONE);
    static const char *const emit[] = {"none", "free", NULL};
    allowance->emit_free = read_option(work, "emit", emit, 0) == 1;
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
        check_keys(loader, item, "a case", keys, NULL);
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
        if (loader->table_needs_keys[index]) {
            COMPLAIN(loader, node, "MISSING_KEY",
                     TEXT("rate: {table: name, keys: [dimension, ...]}"),
                     "the keys of the %s %.*s are no dimensions or attributes: say which to use",
                     table->is_series ? "series" : "table", TEXT_ARG(table->name));
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

static void read_rate(struct work *work)
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
        }
    }
}

/* ---- percent, formula ---- */

static void read_percent(struct work *work)
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
        if (check_name(loader, yaml_key_place(result), result->key) &&
            read_row_number(loader, result, context, &results[formula->result_count])) {
            names[formula->result_count++] = result->key;
            context->result_count = formula->result_count;
        }
    }
}

static void read_formula(struct work *work)
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
        check_keys(loader, item, "a tier", keys, NULL);
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

static void read_tier(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_tier *tier = &work->step->tier;
    static const char *const modes[] = {"graduated", "volume", NULL};
    static const char *const at_zero[] = {"skip", "charge", NULL};
    static const char *const past_last[] = {"refuse", "last", "free", NULL};
    static const char *const package_round[] = {"up", "down", "nearest", NULL};
    static const char *const settle[] = {"now", "at_end", NULL};
    static const enum rounding package_modes[] = {ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP};
    tier->mode = (enum tier_mode)read_option(work, "mode", modes, TIER_GRADUATED);
    tier->at_zero_charge = read_option(work, "at_zero", at_zero, 0) == 1;
    tier->past_last = (enum past_last)read_option(work, "past_last", past_last, PAST_REFUSED);
    int round = read_option(work, "package_round", package_round, 0);
    tier->package_round = package_modes[round];
    tier->settle_at_end = read_option(work, "settle", settle, 0) == 1;
    if (tier->mode == TIER_VOLUME && key(work, "attribute") == NULL) {
        work->step->attribute = ATTRIBUTE_PRO_RATA;
    }
    const struct yaml_node *tiers = work->body;
    if (work->body->kind == YAML_MAP) {
        tiers = want_member(loader, work->body, "tiers");
    }
    if (tiers != NULL) {
        read_tiers(work, tiers, tier);
    }
    if (key(work, "position") != NULL) {
        read_position(work, tier);
    }
    if (tier->position != NULL && work->step->measure != NULL) {
        complain(loader->complaints, yaml_key_place(key(work, "measure")), "CHOOSE_ONE", NO_HINT,
                 "a position finds the tier of what is not charged: with a measure there is none");
    }
}

/* ---- fixed, bound, round ---- */

/* [{date, amount}, ...]: amounts that are due at dates, whatever the clock. */
static void read_installments(struct work *work, struct step_fixed *fixed)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "installments");
    static const char *const keys[] = {"date", "amount", NULL};
    static const char *const others[] = {"amount", "clock", "when", "prorate",
                                         "digits", "mode",  "stub", NULL};
    for (int i = 0; others[i] != NULL; i++) {
        if (key(work, others[i]) != NULL) {
            complain(loader->complaints, yaml_key_place(key(work, others[i])), "CHOOSE_ONE",
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
        check_keys(loader, item, "an installment", keys, NULL);
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

static void read_fixed(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_fixed *fixed = &work->step->fixed;
    fixed->quantity.value = dec_from_int(1);
    if (work->body->kind == YAML_TEXT) {
        read_number(loader, work->body, &work->bucket, &fixed->amount);
    } else if (key(work, "installments") != NULL) {
        fixed->prorate = PRORATE_NONE;
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
    read_proration(work, &fixed->prorate, &fixed->digits, &fixed->mode, PRORATE_NONE);
    if (work->step->clock == CLOCK_ROW) {
        COMPLAIN(loader, key(work, "clock"), "STEP_CLOCK",
                 TEXT("clock: period, or month, year ..."), "a fixed amount has no rows");
    }
}

static void read_bound(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_bound *bound = &work->step->bound;
    if (!want_kind(loader, work->body, YAML_MAP)) {
        return;
    }
    bound->has_min = key(work, "min") != NULL;
    bound->has_max = key(work, "max") != NULL;
    uint32_t errors = loader->complaints->errors;
    read_step_number(work, "min", ANY, &bound->min);
    read_step_number(work, "max", ANY, &bound->max);
    check_amount(work, "min", &bound->min);
    check_amount(work, "max", &bound->max);
    if (!bound->has_min && !bound->has_max) {
        complain(loader->complaints, yaml_key_place(work->body), "MISSING_KEY",
                 TEXT("bound: {min: 100}"), "a bound has a min, a max or both");
    }
    if (loader->complaints->errors == errors && bound->has_min && bound->has_max &&
        bound->min.expr == NULL && bound->max.expr == NULL &&
        dec_compare(bound->min.value, bound->max.value) > 0) {
        COMPLAIN(loader, key(work, "min"), "BOUND_ORDER", NO_HINT, "min is greater than max");
    }
    if (bound->has_min && key(work, "attribute") == NULL) {
        work->step->attribute = ATTRIBUTE_NONE;
    }
    static const char *const settle[] = {"now", "at_end", NULL};
    bound->settle_now = read_option(work, "settle", settle, 1) == 0 && bound->has_min;
    if (own_key(work, "settle") != NULL && !bound->has_min) {
        complain(loader->complaints, yaml_key_place(own_key(work, "settle")), "CHOOSE_ONE", NO_HINT,
                 "settle is of a minimum, and here is none");
    }
    read_proration(work, &bound->prorate, &bound->digits, &bound->mode, PRORATE_NONE);
}

static void read_round(struct work *work)
{
    struct loader *loader = work->loader;
    struct step_round *round = &work->step->round;
    round->digits = DIGITS_OF_CURRENCY;
    if (work->body->kind == YAML_TEXT) {
        read_int(loader, work->body, 0, DEC_SCALE, &round->digits);
    } else if (key(work, "digits") != NULL) {
        read_int(loader, key(work, "digits"), 0, DEC_SCALE, &round->digits);
    }
    round->mode = ROUND_HALF_UP;
    if (key(work, "mode") != NULL) {
        read_rounding_mode(loader, key(work, "mode"), &round->mode);
    }
    static const char *const at[] = {"row", "line", "bucket", NULL};
    static const char *const small[] = {"none", "up", NULL};
    round->at = (enum round_at)read_option(work, "at", at, ROUND_AT_ROW);
    round->small_up = read_option(work, "small", small, 0) == 1;
    read_flag(work, "show", &round->show);
}

/* ---- a step, a list of steps ---- */

static const struct {
    void (*read)(struct work *work);
    enum yaml_kind short_form; /* YAML_NONE: none */
} readers[STEP_KINDS] = {
    [STEP_CONVERT] = {read_convert, YAML_NONE},
    [STEP_AGGREGATE] = {read_aggregate, YAML_NONE},
    [STEP_ALLOWANCE] = {read_allowance, YAML_TEXT},
    [STEP_RATE] = {read_rate, YAML_TEXT},
    [STEP_PERCENT] = {read_percent, YAML_TEXT},
    [STEP_FORMULA] = {read_formula, YAML_TEXT},
    [STEP_TIER] = {read_tier, YAML_LIST},
    [STEP_FIXED] = {read_fixed, YAML_TEXT},
    [STEP_BOUND] = {read_bound, YAML_NONE},
    [STEP_ROUND] = {read_round, YAML_TEXT},
    [STEP_DISCOUNT] = {read_discount, YAML_NONE},
    [STEP_MARKUP] = {read_discount, YAML_NONE},
    [STEP_FEE] = {read_fee, YAML_NONE},
    [STEP_TAX] = {read_tax, YAML_TEXT},
    [STEP_COMMIT] = {read_commit, YAML_NONE},
    [STEP_CREDIT] = {read_credit, YAML_NONE},
    [STEP_ALLOCATE] = {read_allocate, YAML_NONE},
};

/* {primitive: body}; false with a complaint when it is no step. */
bool read_step(struct loader *loader, const struct yaml_node *node, bool is_term, struct step *step)
{
    if (!want_kind(loader, node, YAML_MAP)) {
        return false;
    }
    if (node->count != 1) {
        struct text rest = node->count == 2 ? hint_rest(node->items[1].key) : TEXT("");
        COMPLAIN(loader, node, "STEP_KEYS",
                 rest.size > 0 ? rest : TEXT("- tier: {...} with its keys inside the braces"),
                 "a step is a mapping of one key, its primitive; here are %u", node->count);
        return false;
    }
    const struct yaml_node *body = &node->items[0];
    int kind = 0;
    while (kind < STEP_KINDS && !text_equal(body->key, text_of(kind_names[kind]))) {
        kind++;
    }
    if (kind == STEP_KINDS) {
        for (int i = 0; later_kinds[i] != NULL; i++) {
            if (text_equal(body->key, text_of(later_kinds[i]))) {
                complain(
                    loader->complaints, yaml_key_place(body), "NOT_YET",
                    TEXT("now: convert, aggregate, allowance, rate, percent, formula, tier, fixed, "
                         "bound, round, discount, markup, fee, tax, commit, credit, allocate"),
                    "the step %s comes in a later version", later_kinds[i]);
                return false;
            }
        }
        struct text names[STEP_KINDS + 1];
        for (int i = 0; i < STEP_KINDS; i++) {
            names[i] = text_of(kind_names[i]);
        }
        names[STEP_KINDS] = TEXT("use");
        complain(loader->complaints, yaml_key_place(body), "UNKNOWN_STEP",
                 hint_choice(loader->arena, body->key, names, STEP_KINDS + 1),
                 "there is no step %.*s", TEXT_ARG(body->key));
        return false;
    }
    *step = (struct step){
        .kind = (enum step_kind)kind,
        .name = text_of(kind_names[kind]),
        .shared = NONE,
        .clock = kind == STEP_CONVERT ? CLOCK_ROW : CLOCK_PERIOD,
        .place = yaml_key_place(body),
    };
    if (body->kind != YAML_MAP &&
        (readers[kind].short_form == YAML_NONE || body->kind != readers[kind].short_form)) {
        static const char *const forms[] = {"a mapping", "a number or a mapping",
                                            "a list or a mapping"};
        COMPLAIN(loader, body, "WRONG_TYPE", NO_HINT, "%s: %s is wanted here, and this is %s",
                 kind_names[kind], forms[readers[kind].short_form], yaml_kind_phrase(body->kind));
        return false;
    }
    struct work work = {.loader = loader,
                        .body = body,
                        .step = step,
                        .is_term = is_term,
                        .bucket = {.kind = NAMES_BUCKET}};
    check_keys(loader, body, kind_names[kind], step_keys[kind], later_keys[kind]);
    read_common(&work);
    readers[kind].read(&work);
    return true;
}

bool read_use(struct loader *loader, const struct yaml_node *node, struct step *step)
{
    uint32_t index = find_name(loader, node, &loader->shared_by_name, loader->shared_names,
                               loader->catalog->shared_count, "shared step");
    if (index == NONE) {
        return false;
    }
    loader->shared_used[index] = true;
    if (loader->shared_broken[index]) { /* said where it stands */
        return false;
    }
    *step = loader->catalog->shared[index];
    step->shared = index;
    step->place = yaml_key_place(node);
    return true;
}

/* The kinds in the order in which a price may have them. */
static int stage(const struct step *step)
{
    enum step_kind kind = step->kind;
    if (kind == STEP_CREDIT && step->credit.is_units) {
        return 0;
    }
    return kind <= STEP_ALLOWANCE ? 0 : kind <= STEP_FIXED ? 1 : 2;
}

/* What is bought must be bought once, by someone who is known though nothing is used yet. */
static void check_sale(struct loader *loader, const struct price *price, const struct step *step)
{
    struct catalog *catalog = loader->catalog;
    catalog->has_sales =
        catalog->has_sales || step->credit.is_sold || step->credit.share != SHARE_NONE;
    if (step->credit.is_sold) {
        if (price->skus == NULL || (price->sku_count > 1 && step->shared == NONE)) {
            complain(loader->complaints, step->place, "CHOOSE_ONE",
                     TEXT("put the credit under steps: and use it in prices that name their SKUs"),
                     "each SKU of a price has a wallet of its own, and what is bought is bought "
                     "once");
        }
    }
    if (step->credit.is_units && step->credit.has_top_up && !step->credit.has_top_up_cost) {
        complain(loader->complaints, step->place, "MISSING_KEY",
                 TEXT("top_up: {below: 100, amount: 500, cost: 45}"),
                 "what refills a wallet of units has a cost");
    }
}

/* Credits before the rating step are of units. */
static void find_units(struct step *steps, uint32_t count)
{
    uint32_t at = 0;
    while (at < count && stage(&steps[at]) != 1) {
        at++;
    }
    for (uint32_t i = 0; i < at && at < count; i++) {
        if (steps[i].kind == STEP_CREDIT) {
            steps[i].credit.is_units = true;
        }
    }
}

/* What is bought is bought before there is usage. */
static void check_sales(struct loader *loader, const struct price *price)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        const struct step *step = &price->steps[i];
        if (step->kind == STEP_CREDIT) {
            check_sale(loader, price, step);
        } else if (step->kind == STEP_COMMIT && step->commit.is_prepaid) {
            complain(loader->complaints, step->place, "STEP_ORDER",
                     TEXT("terms: [{commit: {amount: 500, prepaid: true, where: sku == ...}}]"),
                     "a prepaid commit is a term: it is paid for before there is usage");
        }
    }
}

/* Usage steps, one rating step, charge steps. */
static void check_order(struct loader *loader, const struct yaml_node *node,
                        const struct step *steps, uint32_t count)
{
    const struct step *rating = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        const char *name = kind_names[step->kind];
        if (stage(step) == 1) {
            if (rating != NULL) {
                complain(loader->complaints, step->place, "RATING_TWICE",
                         TEXT("a price of its own for what is charged besides"),
                         "%s is a second rating step: %s on line %u has made the amounts", name,
                         kind_names[rating->kind], rating->place.line);
            }
            if (step->kind == STEP_FIXED && i > 0 && rating == NULL) {
                complain(loader->complaints, step->place, "STEP_ORDER", NO_HINT,
                         "a fixed amount takes no usage: no step can stand before it");
            }
            rating = rating == NULL ? step : rating;
        } else if (stage(step) == 0 && rating != NULL) {
            complain(loader->complaints, step->place, "STEP_ORDER",
                     text_format(loader->arena, "put it before %s", kind_names[rating->kind]),
                     "%s works on quantities, and %s on line %u has made amounts of them", name,
                     kind_names[rating->kind], rating->place.line);
        } else if (stage(step) == 2 && rating == NULL) {
            complain(loader->complaints, step->place, "STEP_ORDER",
                     TEXT("put it after rate, tier or fixed"),
                     "%s works on amounts, and no step before it makes any", name);
        }
    }
    if (rating == NULL) {
        complain(loader->complaints, yaml_key_place(node), "RATING_MISSING",
                 TEXT("add a rate, a tier or a fixed amount"),
                 "no step makes an amount of the usage");
    }
}

/* Behind components stand charge steps alone. */
static void check_behind(struct loader *loader, const struct step *steps, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (stage(&steps[i]) != 2) {
            complain(loader->complaints, steps[i].place, "STEP_ORDER",
                     TEXT("put it into a component"),
                     "%s stands behind components, which have made amounts of all usage",
                     kind_names[steps[i].kind]);
        }
    }
}

/* Reads a list of steps behind those that the price has; false when not all could be read. */
static bool read_steps(struct loader *loader, const struct yaml_node *node, struct price *price,
                       uint32_t *capacity)
{
    if (!want_kind(loader, node, YAML_LIST)) {
        return false;
    }
    if (node->count > STEPS_MAX - price->step_count) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "a price has at most %d steps", STEPS_MAX);
        return false;
    }
    bool is_complete = true;
    struct step *steps = (struct step *)price->steps; /* of this loader */
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        steps = grow_array(loader, steps, price->step_count, capacity, sizeof *steps);
        price->steps = steps;
        struct step *step = &steps[price->step_count];
        bool is_use = item->kind == YAML_MAP && item->count == 1 &&
                      text_equal(item->items[0].key, TEXT("use"));
        if (!(is_use ? read_use(loader, &item->items[0], step)
                     : read_step(loader, item, false, step))) {
            is_complete = false;
            continue;
        }
        price->step_count++;
    }
    return is_complete;
}

static void check_names(struct loader *loader, const struct price *price)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        const struct step *step = &price->steps[i];
        for (uint32_t k = 0; k < i; k++) {
            const struct step *before = &price->steps[k];
            if (text_equal(before->name, step->name) && before->shared == step->shared) {
                complain(loader->complaints, step->place, "DUPLICATE_NAME",
                         TEXT("give one of them a name: of its own"),
                         "a step named %.*s stands on line %u already", TEXT_ARG(step->name),
                         before->place.line);
            }
        }
    }
}

/* What a component's steps are called: that which makes its amounts as the component, the others
 * behind its name, unless they have one of their own. */
static void name_steps(struct loader *loader, const struct component *component,
                       struct price *price)
{
    struct step *steps = (struct step *)price->steps; /* of this loader */
    for (uint32_t i = component->first; i < price->step_count; i++) {
        bool has_name = steps[i].shared != NONE ||
                        !text_equal(steps[i].name, text_of(kind_names[steps[i].kind]));
        if (!has_name) {
            steps[i].name = stage(&steps[i]) == 1
                                ? component->name
                                : text_format(loader->arena, "%.*s/%.*s", TEXT_ARG(component->name),
                                              TEXT_ARG(steps[i].name));
        }
    }
}

static int compare_components(const void *a, const void *b)
{
    const struct yaml_node *const *left = a, *const *right = b;
    return text_compare((*left)->key, (*right)->key);
}

/* By their names, since a mapping has no order. */
static void read_components(struct loader *loader, const struct yaml_node *node,
                            struct price *price, uint32_t *capacity)
{
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    if (node->count == 0) {
        complain(loader->complaints, yaml_key_place(node), "MISSING_KEY",
                 TEXT("components: {energy: [{rate: 0.30}], standing: [{fixed: 9}]}"),
                 "there is no component");
        return;
    }
    struct component *components = arena_calloc(loader->arena, node->count, sizeof *components);
    price->components = components;
    price->component_count = node->count;
    price->is_fixed = true;
    const struct yaml_node **items = arena_calloc(loader->arena, node->count, sizeof *items);
    for (uint32_t i = 0; i < node->count; i++) {
        items[i] = &node->items[i];
    }
    qsort(items, node->count, sizeof *items, compare_components);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = items[i];
        struct component *component = &components[i];
        *component = (struct component){.name = item->key, .first = price->step_count};
        if (!check_name(loader, yaml_key_place(item), item->key)) {
            continue;
        }
        if (memchr(item->key.at, '/', item->key.size) != NULL) {
            complain(loader->complaints, yaml_key_place(item), "BAD_NAME", NO_HINT,
                     "a component's name has a slash");
        }
        bool is_complete = read_steps(loader, item, price, capacity);
        struct step *steps = (struct step *)price->steps; /* of this loader */
        component->count = price->step_count - component->first;
        find_units(steps + component->first, component->count);
        if (is_complete) { /* else what the others lack is not known */
            check_order(loader, item, steps + component->first, component->count);
        }
        name_steps(loader, component, price);
        component->is_fixed = component->count > 0 && steps[component->first].kind == STEP_FIXED;
        price->is_fixed = price->is_fixed && component->is_fixed;
    }
}

void link_components(struct price *price)
{
    struct step *steps = (struct step *)price->steps; /* of this loader */
    uint32_t behind = 0;
    for (uint32_t i = 0; i < price->component_count; i++) {
        behind += price->components[i].count;
    }
    for (uint32_t i = 0; i < price->component_count; i++) {
        const struct component *component = &price->components[i];
        uint32_t end = component->first + component->count;
        for (uint32_t k = component->first; k < end; k++) {
            steps[k].skip = k + 1 == end ? behind - end : 0;
        }
    }
}

void load_steps(struct loader *loader, const struct yaml_node *node,
                const struct yaml_node *components, struct price *price)
{
    uint32_t capacity = 0, errors = loader->complaints->errors;
    if (components != NULL) {
        read_components(loader, components, price, &capacity);
    }
    uint32_t first = price->step_count;
    bool is_complete = node != NULL && read_steps(loader, node, price, &capacity);
    struct step *steps = (struct step *)price->steps; /* of this loader */
    if (components == NULL) {
        find_units(steps, price->step_count);
        price->is_fixed = price->step_count > 0 && steps[0].kind == STEP_FIXED;
    } else if (is_complete) {
        check_behind(loader, steps + first, price->step_count - first);
    }
    check_names(loader, price);
    check_sales(loader, price);
    /* With a step that could not be read, what the others lack is not known. */
    if (components == NULL && is_complete) {
        check_order(loader, node, steps, price->step_count);
    }
    if (loader->complaints->errors == errors) {
        link_components(price);
    }
    for (uint32_t i = 0; i < price->step_count; i++) {
        price->has_fixed = price->has_fixed || steps[i].kind == STEP_FIXED;
    }
}

void load_shared_steps(struct loader *loader, struct section steps)
{
    struct step *shared = arena_calloc(loader->arena, steps.count, sizeof *shared);
    loader->catalog->shared = shared;
    for (uint32_t i = 0; i < steps.count; i++) {
        const struct yaml_node *node = steps.items[i];
        if (memchr(node->key.at, '/', node->key.size) != NULL) {
            complain(loader->complaints, yaml_key_place(node), "BAD_NAME", NO_HINT,
                     "a step's name has a slash");
        }
        if (!read_step(loader, node, false, &shared[i])) {
            shared[i] = (struct step){.kind = STEP_RATE};
            loader->shared_broken[i] = true;
        }
        shared[i].name = node->key;
        shared[i].shared = i;
        shared[i].place = yaml_key_place(node);
    }
    loader->catalog->shared_count = steps.count;
}

/* ---- all expressions of a step ---- */

void step_visit(const struct step *step, void (*visit)(void *context, const struct expr *expr),
                void *context)
{
    visit(context, step->where);
    visit(context, step->measure);
    for (uint32_t i = 0; i < step->order_count; i++) {
        visit(context, step->order[i].expr);
    }
    switch (step->kind) {
    case STEP_CONVERT:
        visit(context, step->convert.quantity);
        visit(context, step->convert.multiply.expr);
        visit(context, step->convert.divide.expr);
        visit(context, step->convert.minimum.expr);
        break;
    case STEP_AGGREGATE:
        visit(context, step->aggregate.samples.expr);
        break;
    case STEP_ALLOWANCE:
        visit(context, step->allowance.quantity.expr);
        visit(context, step->allowance.events.expr);
        break;
    case STEP_RATE:
        visit(context, step->rate.from);
        for (uint32_t i = 0; i < step->rate.case_count; i++) {
            visit(context, step->rate.cases[i].where);
            visit(context, step->rate.cases[i].rate.expr);
            visit(context, step->rate.cases[i].flat.expr);
        }
        break;
    case STEP_PERCENT:
        visit(context, step->percent.rate.expr);
        visit(context, step->percent.fixed.expr);
        visit(context, step->percent.min.expr);
        visit(context, step->percent.max.expr);
        break;
    case STEP_FORMULA:
        visit(context, step->formula.amount);
        for (uint32_t i = 0; i < step->formula.result_count; i++) {
            visit(context, step->formula.results[i]);
        }
        break;
    case STEP_TIER:
        visit(context, step->tier.position);
        for (uint32_t i = 0; i < step->tier.tier_count; i++) {
            visit(context, step->tier.tiers[i].limit);
            visit(context, step->tier.tiers[i].rate.expr);
            visit(context, step->tier.tiers[i].flat.expr);
        }
        break;
    case STEP_FIXED:
        visit(context, step->fixed.amount.expr);
        visit(context, step->fixed.quantity.expr);
        for (uint32_t i = 0; i < step->fixed.installment_count; i++) {
            visit(context, step->fixed.installments[i].amount.expr);
        }
        break;
    case STEP_BOUND:
        visit(context, step->bound.min.expr);
        visit(context, step->bound.max.expr);
        break;
    case STEP_DISCOUNT:
    case STEP_MARKUP:
    case STEP_FEE:
        visit(context, step->adjust.number.expr);
        visit(context, step->adjust.limit.expr);
        visit(context, step->adjust.min.expr);
        visit(context, step->adjust.max.expr);
        for (uint32_t i = 0; i < step->adjust.tier.tier_count; i++) {
            visit(context, step->adjust.tier.tiers[i].limit);
            visit(context, step->adjust.tier.tiers[i].rate.expr);
            visit(context, step->adjust.tier.tiers[i].flat.expr);
        }
        break;
    case STEP_CREDIT:
        for (uint32_t i = 0; i < step->credit.grant_count; i++) {
            visit(context, step->credit.grants[i].where);
        }
        break;
    case STEP_COMMIT:
        visit(context, step->commit.promise.expr);
        visit(context, step->commit.overage.expr);
        break;
    case STEP_ALLOCATE:
        visit(context, step->allocate.to);
        visit(context, step->allocate.weight);
        break;
    case STEP_TAX:
        visit(context, step->tax.percent);
        visit(context, step->tax.exempt);
        visit(context, step->tax.reverse_charge);
        break;
    case STEP_ROUND:
    case STEP_TALLY:
        break;
    }
}

void step_visit_rows(const struct step *step, void (*visit)(void *context, const struct expr *expr),
                     void *context)
{
    visit(context, step->where);
    visit(context, step->measure);
    for (uint32_t i = 0; i < step->order_count; i++) {
        visit(context, step->order[i].expr);
    }
    if (step->kind == STEP_CONVERT) {
        visit(context, step->convert.quantity);
    } else if (step->kind == STEP_RATE) {
        visit(context, step->rate.from);
        for (uint32_t i = 0; i < step->rate.case_count; i++) {
            visit(context, step->rate.cases[i].where);
        }
    } else if (step->kind == STEP_TIER) {
        visit(context, step->tier.position);
    } else if (step->kind == STEP_FORMULA || step->kind == STEP_TAX || step->kind == STEP_CREDIT ||
               step->kind == STEP_ALLOCATE) {
        step_visit(step, visit, context);
    }
}

/* ---- the contract ---- */

static void note_parameters(void *context, const struct expr *expr)
{
    bool *asks = context;
    size_t count = 0;
    const uint32_t *slots = expr == NULL ? NULL : expr_slots(expr, &count);
    for (size_t i = 0; i < count; i++) {
        *asks = *asks || (slots[i] >= NAME_PARAMETER && slots[i] < NAME_NUMBER);
    }
}

bool step_asks_contract(const struct step *step, bool of_contract)
{
    if (step->scope == SCOPE_CONTRACT || step->clock == CLOCK_CONTRACT) {
        return true;
    }
    bool is_own = of_contract && step->shared == NONE;
    bool asks =
        is_own && ((step->kind == STEP_ALLOWANCE && step->allowance.prorate != PRORATE_NONE) ||
                   (step->kind == STEP_BOUND && step->bound.prorate != PRORATE_NONE));
    if (step->kind != STEP_FIXED) { /* which takes no rows */
        step_visit(step, note_parameters, &asks);
    }
    return asks;
}
