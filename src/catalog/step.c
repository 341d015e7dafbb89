/* step.c - a step: keys to numbers, clocks and curves.
 *
 * Idea: each primitive is a table of its keys and one function that reads them (step_usage.c,
 * step_charge.c, credit.c).  What all steps have (name, where, scope, by, clock, attribute) is read
 * before, once.  Checks that need one step alone are there; what the steps of a list decide is in
 * steps.c, what several prices decide in check.c.
 */
#include "catalog/step.h"

#include <assert.h>

#include "base/nofloat.h"

static const char *const kind_names[STEP_KINDS] = {
    [STEP_CONVERT] = "convert", [STEP_AGGREGATE] = "aggregate",
    [STEP_COVER] = "cover",     [STEP_ALLOWANCE] = "allowance",
    [STEP_RATE] = "rate",       [STEP_PERCENT] = "percent",
    [STEP_FORMULA] = "formula", [STEP_TIER] = "tier",
    [STEP_FIXED] = "fixed",     [STEP_BOUND] = "bound",
    [STEP_ROUND] = "round",     [STEP_DISCOUNT] = "discount",
    [STEP_MARKUP] = "markup",   [STEP_FEE] = "fee",
    [STEP_TAX] = "tax",         [STEP_COMMIT] = "commit",
    [STEP_CREDIT] = "credit",   [STEP_ALLOCATE] = "allocate",
};

const char *step_kind_name(enum step_kind kind)
{
    assert((unsigned)kind < STEP_KINDS); /* nobody writes a tally */
    return kind_names[kind];
}

/* Keys of each primitive; those of all steps are added where they mean something. */
#define ACCUMULATES "name", "where", "scope", "by", "clock", "on_change", "settings_at"
static const char *const step_keys[STEP_KINDS][24] = {
    [STEP_CONVERT] = {ACCUMULATES, "order", "multiply", "divide", "quantity", "to", "minimum",
                      "increment", "round"},
    [STEP_AGGREGATE] = {ACCUMULATES, "order", "measure", "function", "percentile", "method",
                        "samples"},
    [STEP_COVER] = {"name", "where", "clock", "settings_at", "passes", "lines", "late"},
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
                     "targets", "largest", "overage", "kinds", "resets", "keep_overage", "share",
                     "top_up"},
    [STEP_ALLOCATE] = {"name", "where", "scope", "by", "clock", "settings_at", "order", "to",
                       "weight", "idle", "digits"},
};
static const char *const scope_names[] = {"resource", "account", "organization", "contract", NULL};
static const char *const attribute_names[] = {"in_order", "pro_rata", "none", NULL};
static const char *const prorate_names[] = {"none",   "day",    "day_inclusive",
                                            "second", "30_day", NULL};

void refuse_key(struct work *work, const char *name, const char *why)
{
    if (own_key(work, name) != NULL) {
        complain(work->loader->complaints, yaml_key_place(own_key(work, name)), "CHOOSE_ONE",
                 NO_HINT, "%s %s", name, why);
    }
}

struct text scope_text(enum scope scope)
{
    return text_of(scope_names[scope]);
}

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
void check_money(struct loader *loader, const struct yaml_node *node, const char *name,
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

bool read_settles_at_end(struct work *work, bool fallback)
{
    static const char *const names[] = {"now", "at_end", NULL};
    return read_option(work, "settle", names, fallback) == 1;
}

void read_proration(struct work *work, struct proration *proration)
{
    struct loader *loader = work->loader;
    enum step_kind kind = work->step->kind;
    bool is_of_tiers = kind == STEP_DISCOUNT || kind == STEP_MARKUP || kind == STEP_FEE;
    const struct yaml_node *of_step = key(work, "prorate");
    *proration = (struct proration){PRORATE_NONE, DEC_SCALE, ROUND_HALF_EVEN};
    if (of_step != NULL && of_step->kind == YAML_TEXT && text_equal(of_step->text, TEXT("true"))) {
        proration->rule = PRORATE_AS_FIXED;
        if (!step_adjusts(work->step) || kind == STEP_FEE || work->is_term) {
            COMPLAIN(loader, of_step, "BAD_VALUE",
                     TEXT("day, second ... by the time in which the step holds"),
                     "true is of a discount in a price with a fixed amount: nothing says by what "
                     "this is prorated");
        }
    } else {
        proration->rule = (enum prorate)read_option(work, "prorate", prorate_names, PRORATE_NONE);
    }
    if (proration->rule != PRORATE_NONE && work->step->clock == CLOCK_ALWAYS) {
        proration->rule = PRORATE_NONE; /* what a profile says is of turns that end */
        if (own_key(work, "prorate") != NULL) {
            COMPLAIN(loader, of_step, "STEP_CLOCK", TEXT("clock: period, or month, year ..."),
                     "what is prorated has a part of a turn, and all time has no part");
            return;
        }
    }
    if (proration->rule == PRORATE_NONE) {
        refuse_key(work, "digits", "is of proration, and here is none");
    }
    if (proration->rule == PRORATE_NONE && !is_of_tiers) { /* of these it is graduated or volume */
        refuse_key(work, "mode", "is of proration, and here is none");
    }
    if (proration->rule == PRORATE_AS_FIXED) {
        refuse_key(work, "digits", "is that of the fixed amount, as its prorate is");
    }
    const struct yaml_node *of_profile = profile_option(loader, "proration", "digits");
    const struct yaml_node *node = key(work, "digits") ? key(work, "digits") : of_profile;
    if (node != NULL) {
        read_int(loader, node, 0, DEC_SCALE, &proration->digits);
    }
    node = is_of_tiers ? NULL : key(work, "mode");
    node = node ? node : profile_option(loader, "proration", "mode");
    if (node != NULL) {
        read_rounding_mode(loader, node, &proration->mode);
    }
}

/* ---- what all steps have ---- */

void read_round_part(struct work *work, const struct yaml_node *node, int *digits,
                     enum rounding *mode)
{
    struct loader *loader = work->loader;
    static const char *const keys[] = {"digits", "mode", NULL};
    if (node->kind == YAML_TEXT) {
        read_int(loader, node, 0, DEC_SCALE, digits);
    } else if (want_kind(loader, node, YAML_MAP)) {
        check_keys(loader, node, "round", keys);
        if (want_member(loader, node, "digits") != NULL) {
            read_int(loader, yaml_member(node, "digits"), 0, DEC_SCALE, digits);
        }
        if (yaml_member(node, "mode") != NULL) {
            read_rounding_mode(loader, yaml_member(node, "mode"), mode);
        }
    }
}

/* One of the keys by which a step sorts its rows. */
static void read_order_key(struct loader *loader, const struct yaml_node *node,
                           const struct expr_context *context, struct order_key *out)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return;
    }
    struct text text = node->text;
    out->descends = text.size > 0 && text.at[0] == '-';
    if (out->descends) { /* a blank in its place, so that errors are where they are */
        text = text_join(loader->arena, TEXT(" "), (struct text){text.at + 1, text.size - 1});
    }
    if (read_expr_text(loader, node, text, context, EXPR_DYNAMIC, &out->expr) &&
        expr_is_constant(out->expr, NULL)) {
        COMPLAIN(loader, node, "BAD_VALUE", TEXT("order: [sku, -quantity]"),
                 "what is the same for every row orders none");
    }
}

void read_order_keys(struct loader *loader, const struct yaml_node *node,
                     const struct expr_context *context, const struct order_key **out,
                     uint32_t *out_count)
{
    bool is_list = node->kind == YAML_LIST;
    uint32_t count = is_list ? node->count : 1;
    if (count == 0 || count > ORDER_KEYS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "an order has 1 to %d keys", ORDER_KEYS_MAX);
        return;
    }
    struct order_key *keys = arena_calloc(loader->arena, count, sizeof *keys);
    for (uint32_t i = 0; i < count; i++) {
        read_order_key(loader, is_list ? &node->items[i] : node, context, &keys[i]);
    }
    *out = keys;
    *out_count = count;
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
    const struct yaml_node *node = key_of_kind(work, "order");
    if (node != NULL) {
        read_order_keys(work->loader, node, &work->rows, &work->step->order,
                        &work->step->order_count);
    }
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

/* By their names: a bucket is the same in whatever order a version writes its keys. */
static void sort_keys(const struct catalog *catalog, struct by_key *keys, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct by_key key = keys[i];
        uint32_t at = i;
        while (at > 0 &&
               text_compare(by_key_name(catalog, keys[at - 1]), by_key_name(catalog, key)) > 0) {
            keys[at] = keys[at - 1];
            at--;
        }
        keys[at] = key;
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
        sort_keys(loader->catalog, keys, step->by_count);
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
    step->settings_at = (enum settings_at)read_option(
        work, "settings_at", settings_at,
        step->kind == STEP_COVER ? SETTINGS_AT_TURN_END : SETTINGS_AT_ROW);
}

/* ---- a step ---- */

static const struct {
    void (*read)(struct work *work);
    enum yaml_kind short_form; /* YAML_NONE: none */
    const char *example;
} readers[STEP_KINDS] = {
    [STEP_CONVERT] = {read_convert, YAML_NONE, "convert: {divide: 1000}"},
    [STEP_AGGREGATE] = {read_aggregate, YAML_NONE, "aggregate: {function: max}"},
    [STEP_COVER] = {read_cover, YAML_NONE, "cover: {passes: [{offering: ..., for: own}]}"},
    [STEP_ALLOWANCE] = {read_allowance, YAML_TEXT, "allowance: 100"},
    [STEP_RATE] = {read_rate, YAML_TEXT, "rate: 0.10"},
    [STEP_PERCENT] = {read_percent, YAML_TEXT, "percent: 3"},
    [STEP_FORMULA] = {read_formula, YAML_TEXT, "formula: quantity * 2"},
    [STEP_TIER] = {read_tier, YAML_LIST, "tier: [{up_to: 100, rate: 0.10}, {rate: 0.05}]"},
    [STEP_FIXED] = {read_fixed, YAML_TEXT, "fixed: 10"},
    [STEP_BOUND] = {read_bound, YAML_NONE, "bound: {min: 20}, {max: 50}, or both"},
    [STEP_ROUND] = {read_round, YAML_TEXT, "round: 2"},
    [STEP_DISCOUNT] = {read_discount, YAML_NONE, "discount: {percent: 10}"},
    [STEP_MARKUP] = {read_discount, YAML_NONE, "markup: {percent: 10}"},
    [STEP_FEE] = {read_fee, YAML_NONE, "fee: {percent: 3}"},
    [STEP_TAX] = {read_tax, YAML_TEXT, "tax: 19"},
    [STEP_COMMIT] = {read_commit, YAML_NONE, "commit: {amount: 500}"},
    [STEP_CREDIT] = {read_credit, YAML_NONE, "credit: {grants: [{id: free, amount: 100}]}"},
    [STEP_ALLOCATE] = {read_allocate, YAML_NONE, "allocate: {where: ..., to: ...}"},
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
        .clock = kind == STEP_CONVERT ? CLOCK_ROW
                 : kind == STEP_COVER ? CLOCK_RULE
                                      : CLOCK_PERIOD,
        .place = yaml_key_place(body),
    };
    if (kind == STEP_COVER) {
        step->rule = clock_calendar(EVERY_HOUR, loader->zone);
    }
    if (body->kind != YAML_MAP &&
        (readers[kind].short_form == YAML_NONE || body->kind != readers[kind].short_form)) {
        static const char *const forms[] = {"a mapping", "a number or a mapping",
                                            "a list or a mapping"};
        COMPLAIN(loader, body, "WRONG_TYPE", text_of(readers[kind].example),
                 "%s: %s is wanted here, and this is %s", kind_names[kind],
                 forms[readers[kind].short_form], yaml_kind_phrase(body->kind));
        return false;
    }
    struct work work = {.loader = loader,
                        .body = body,
                        .step = step,
                        .is_term = is_term,
                        .bucket = {.kind = NAMES_BUCKET}};
    check_keys(loader, body, kind_names[kind], step_keys[kind]);
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

/* ---- all expressions of a step ---- */

static void visit_cover(const struct step_cover *cover,
                        void (*visit)(void *context, const struct expr *expr), void *context)
{
    for (uint32_t i = 0; i < cover->pass_count; i++) {
        const struct cover_pass *pass = &cover->passes[i];
        visit(context, pass->where);
        for (uint32_t k = 0; k < pass->order_count; k++) {
            visit(context, pass->order[k].expr);
        }
        visit(context, pass->offering->eligible);
        visit(context, pass->offering->weight);
        visit(context, pass->offering->rate);
    }
}

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
    case STEP_COVER:
        visit_cover(&step->cover, visit, context);
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
               step->kind == STEP_ALLOCATE || step->kind == STEP_COVER) {
        step_visit(step, visit, context);
    }
}

void step_visit_alone(const struct step *step,
                      void (*visit)(void *context, const struct expr *expr), void *context)
{
    step_visit_rows(step, visit, context);
    if (step->kind == STEP_RATE || step->kind == STEP_PERCENT) {
        step_visit(step, visit, context);
    } else if (step_is_alone(step)) {
        visit(context, step->adjust.number.expr);
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

bool step_asks_parameters(const struct step *step)
{
    bool asks = false;
    step_visit(step, note_parameters, &asks);
    return asks;
}

bool step_asks_contract(const struct step *step, bool of_contract)
{
    if (step->scope == SCOPE_CONTRACT || step->clock == CLOCK_CONTRACT) {
        return true;
    }
    bool is_own = of_contract && step->shared == NONE;
    if (is_own &&
        ((step->kind == STEP_ALLOWANCE && step->allowance.proration.rule != PRORATE_NONE) ||
         (step->kind == STEP_BOUND && step->bound.proration.rule != PRORATE_NONE))) {
        return true;
    }
    return step_asks_parameters(step);
}
