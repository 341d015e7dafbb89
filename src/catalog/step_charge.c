/* step_charge.c - steps that take charges and add charges of their own: discount, markup, fee, tax,
 * commit, allocate, bound, round.
 *
 * They read alike in a price and as terms.  What such a step is worth is said in one of a few ways
 * (a percentage, an amount, units, tiers), each a curve over what has accumulated.
 */
#include "catalog/step.h"

#include "base/nofloat.h"

/* The one of several keys that says what the step is worth; NULL with a complaint. */
static const struct yaml_node *find_worth(struct work *work, const char *const *ways,
                                          const char *hint, int *way)
{
    const struct yaml_node *found = NULL;
    for (int i = 0; ways[i] != NULL; i++) {
        const struct yaml_node *node = key(work, ways[i]);
        if (node != NULL && found != NULL) {
            complain(work->loader->complaints, yaml_key_place(node), "CHOOSE_ONE", NO_HINT,
                     "%.*s and %.*s say it twice: give one of them", TEXT_ARG(found->key),
                     TEXT_ARG(node->key));
        } else if (node != NULL) {
            found = node;
            *way = i;
        }
    }
    if (found == NULL) {
        complain(work->loader->complaints, yaml_key_place(work->body), "MISSING_KEY", text_of(hint),
                 "nothing says what it comes to");
    }
    return found;
}

/* A percentage below nothing would be the other step. */
static void check_percent(struct work *work, const struct yaml_node *node,
                          const struct number *percent)
{
    struct loader *loader = work->loader;
    bool is_discount = work->step->kind == STEP_DISCOUNT;
    if (percent->expr != NULL) {
        return;
    }
    if (dec_sign(percent->value) < 0) {
        COMPLAIN(loader, node, "NEGATIVE",
                 is_discount ? TEXT("write markup") : TEXT("write discount"),
                 "percent must not be negative");
    } else if (is_discount && dec_compare(percent->value, dec_from_int(100)) > 0) {
        COMPLAIN(loader, node, "NUM_RANGE", NO_HINT, "a discount takes at most 100 percent");
    }
}

static void read_percentage(struct work *work, struct step_adjust *adjust)
{
    const struct yaml_node *node = key(work, "percent");
    if (read_number(work->loader, node, &work->bucket, &adjust->number)) {
        check_percent(work, node, &adjust->number);
    }
}

/* Tiers of percentages: what has accumulated is money. */
static void read_percent_tiers(struct work *work, struct step_adjust *adjust)
{
    struct loader *loader = work->loader;
    static const char *const modes[] = {"graduated", "volume", NULL};
    struct step_tier *tier = &adjust->tier;
    tier->mode = (enum tier_mode)read_option(work, "mode", modes, TIER_GRADUATED);
    tier->package_round = ROUND_UP;
    tier->past_last = PAST_REFUSED;
    read_tiers(work, key(work, "tiers"), tier);
    work->step->has_money = true; /* by spend */
    for (uint32_t i = 0; i < tier->tier_count; i++) {
        const struct tier *item = &tier->tiers[i];
        bool has_rate = item->rate.expr != NULL || !dec_is_zero(item->rate.value);
        bool has_flat = item->flat.expr != NULL || !dec_is_zero(item->flat.value);
        if ((!item->is_percent && has_rate) || item->has_package ||
            (has_flat && work->step->kind != STEP_FEE)) {
            COMPLAIN(loader, &key(work, "tiers")->items[i], "CHOOSE_ONE", TEXT("percent: 10"),
                     work->step->kind == STEP_FEE
                         ? "a tier of a fee has a percent, a flat amount or both"
                         : "a tier of charges has a percent");
            return;
        }
        check_percent(work, &key(work, "tiers")->items[i], &item->rate);
        check_sign(work, &key(work, "tiers")->items[i], "a flat amount", &item->flat, NOT_NEGATIVE);
    }
}

static void read_worth(struct work *work, struct step_adjust *adjust, const char *const *ways,
                       const char *hint)
{
    int way = 0;
    if (work->body->kind != YAML_MAP || find_worth(work, ways, hint, &way) == NULL) {
        return;
    }
    static const enum worth worths[] = {WORTH_PERCENT, WORTH_TIERS, WORTH_AMOUNT, WORTH_QUANTITY};
    adjust->worth = worths[way];
    switch (adjust->worth) {
    case WORTH_PERCENT:
        read_percentage(work, adjust);
        break;
    case WORTH_TIERS:
        read_percent_tiers(work, adjust);
        break;
    case WORTH_AMOUNT:
        read_step_number(work, "amount", NOT_NEGATIVE, &adjust->number);
        check_amount(work, "amount", &adjust->number);
        break;
    case WORTH_QUANTITY:
        read_step_number(work, "quantity", NOT_NEGATIVE, &adjust->number);
        break;
    }
    if (adjust->worth != WORTH_TIERS) {
        refuse_key(work, "mode", "is of tiers, and here are none");
    }
}

static void read_base(struct work *work, struct step_adjust *adjust)
{
    static const char *const bases[] = {"net", "gross", NULL};
    adjust->is_gross = read_option(work, "base", bases, 0) == 1;
    adjust->group = NONE;
    adjust->sku = NONE;
    adjust->settle_at_end = read_settles_at_end(work, false);
    read_proration(work, &adjust->proration);
}

/* Index of a group's name; groups are the catalog's, whichever list names them. */
static uint32_t find_group(struct loader *loader, const struct yaml_node *node)
{
    struct text name;
    if (!read_name(loader, node, &name)) {
        return NONE;
    }
    if (loader->group_by_name.arena == NULL) {
        map_init(&loader->group_by_name, loader->arena, 8);
    }
    uint32_t index = map_put(&loader->group_by_name, name, loader->catalog->group_count);
    if (index == loader->catalog->group_count) {
        if (index == GROUPS_MAX) {
            COMPLAIN(loader, node, "LIMIT", NO_HINT, "more than %d exclusive groups",
                     (int)GROUPS_MAX);
            return NONE;
        }
        loader->catalog->group_count++;
    }
    return index;
}

static void read_exclusive(struct work *work, struct step_adjust *adjust)
{
    struct loader *loader = work->loader;
    const struct yaml_node *best = key(work, "best");
    if (!work->is_term) {
        refuse_key(work, "exclusive", "is of terms: in a price every step takes what it says");
        refuse_key(work, "best", "is of terms: in a price every step takes what it says");
        return;
    }
    static const char *const buyers[] = {"buyer", NULL};
    if (key(work, "exclusive") != NULL) {
        adjust->group = find_group(loader, key(work, "exclusive"));
    }
    if (adjust->group != NONE && best != NULL) {
        loader->catalog->best_groups |= UINT64_C(1) << adjust->group;
    }
    if (adjust->group != NONE && adjust->worth != WORTH_PERCENT) {
        loader->group_others[adjust->group] = key(work, "exclusive");
    }
    if (best == NULL) {
        return;
    }
    (void)read_option(work, "best", buyers, 0);
    if (key(work, "exclusive") == NULL) {
        complain(loader->complaints, yaml_key_place(best), "MISSING_KEY",
                 TEXT("exclusive: name, the same in all of which the best applies"),
                 "best is of an exclusive group, and here is none");
    }
}

void check_groups(struct loader *loader)
{
    for (uint32_t i = 0; i < loader->catalog->group_count; i++) {
        if (loader->catalog->best_groups >> i & 1 && loader->group_others[i] != NULL) {
            COMPLAIN(loader, loader->group_others[i], "CHOOSE_ONE",
                     TEXT("leave best out: the first of a group applies"),
                     "the best of a group is chosen among percentages");
        }
    }
}

/* limit: {turns: 3}, {amount: 500}, or both. */
static void read_limit(struct work *work, struct step_adjust *adjust)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "limit");
    static const char *const keys[] = {"turns", "amount", NULL};
    if (node == NULL || !want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "limit", keys);
    const struct yaml_node *turns = yaml_member(node, "turns");
    const struct yaml_node *amount = yaml_member(node, "amount");
    int count = 0;
    if (turns != NULL && read_int(loader, turns, 1, 10'000, &count)) {
        adjust->limit_turns = (uint32_t)count;
        if (work->step->clock == CLOCK_ROW || work->step->clock == CLOCK_ALWAYS) {
            COMPLAIN(loader, turns, "STEP_CLOCK", TEXT("clock: period, or month, year ..."),
                     "turns are those of the step's clock, and it has none that follow each other");
        }
    }
    if (amount != NULL) {
        adjust->has_limit = read_number(loader, amount, &work->bucket, &adjust->limit);
        check_sign(work, amount, "amount", &adjust->limit, NOT_NEGATIVE);
        work->step->has_money = true;
    }
    if (turns == NULL && amount == NULL) {
        complain(loader->complaints, yaml_key_place(node), "MISSING_KEY",
                 TEXT("limit: {turns: 3} or {amount: 500}"),
                 "a limit has turns, an amount or both");
    }
}

void read_discount(struct work *work)
{
    static const char *const ways[] = {"percent", "tiers", "amount", "quantity", NULL};
    struct step *step = work->step;
    struct step_adjust *adjust = &step->adjust;
    read_base(work, adjust);
    read_worth(work, adjust, ways,
               step->kind == STEP_DISCOUNT ? "discount: {percent: 10}" : "markup: {percent: 10}");
    read_limit(work, adjust);
    read_exclusive(work, adjust);
    bool is_whole = adjust->worth == WORTH_AMOUNT ||
                    (adjust->worth == WORTH_TIERS && adjust->tier.mode == TIER_VOLUME);
    if (is_whole && key(work, "attribute") == NULL) {
        step->attribute = ATTRIBUTE_PRO_RATA;
    }
    if (adjust->worth == WORTH_QUANTITY && step->attribute != ATTRIBUTE_IN_ORDER) {
        refuse_key(work, "attribute", "of units is in_order: each is worth what its charge costs");
    }
    if (!is_whole) {
        refuse_key(work, "settle",
                   "is of an amount or of volume tiers: this step bills as it goes");
    } else if (adjust->worth == WORTH_AMOUNT && step->attribute == ATTRIBUTE_IN_ORDER) {
        refuse_key(work, "settle", "is of an amount as a whole: in_order bills as it goes");
    }
    if (adjust->worth == WORTH_PERCENT || adjust->worth == WORTH_TIERS) {
        if (adjust->proration.rule != PRORATE_NONE && !adjust->has_limit) {
            refuse_key(work, "prorate", "is of an amount or units");
        }
    }
    if (adjust->worth == WORTH_QUANTITY && adjust->proration.rule == PRORATE_AS_FIXED) {
        refuse_key(work, "prorate",
                   "true is of an amount: a unit shrinks with the fixed amount that it is of");
    }
    if (step->clock == CLOCK_ROW && step->attribute == ATTRIBUTE_NONE) {
        refuse_key(work, "attribute", "none is of a clock with turns");
    }
}

void read_fee(struct work *work)
{
    static const char *const ways[] = {"percent", "tiers", NULL};
    struct loader *loader = work->loader;
    struct step *step = work->step;
    struct step_adjust *adjust = &step->adjust;
    read_base(work, adjust);
    read_worth(work, adjust, ways, "fee: {percent: 3}");
    adjust->has_min = key(work, "min") != NULL;
    adjust->has_max = key(work, "max") != NULL;
    read_step_number(work, "min", NOT_NEGATIVE, &adjust->min);
    read_step_number(work, "max", NOT_NEGATIVE, &adjust->max);
    check_amount(work, "min", &adjust->min);
    check_amount(work, "max", &adjust->max);
    if (adjust->has_min && adjust->has_max && adjust->min.expr == NULL &&
        adjust->max.expr == NULL && dec_compare(adjust->min.value, adjust->max.value) > 0) {
        COMPLAIN(loader, key(work, "min"), "BOUND_ORDER", NO_HINT, "min is greater than max");
    }
    if (!adjust->has_min && !adjust->has_max) {
        refuse_key(work, "prorate", "is of min and max, and here are none");
    }
    if (key(work, "sku") != NULL && want_kind(loader, key(work, "sku"), YAML_TEXT)) {
        uint32_t sku = map_find(&loader->catalog->sku_by_name, key(work, "sku")->text);
        adjust->sku = sku == MAP_NONE ? NONE : sku; /* no name: a complaint says so */
    }
    if (key(work, "attribute") == NULL) {
        step->attribute = ATTRIBUTE_NONE;
    } else if (step->attribute != ATTRIBUTE_NONE) {
        refuse_key(work, "attribute", "of a fee is none: it is a charge of its own");
    }
    if (step->clock == CLOCK_ROW) {
        COMPLAIN(loader, key(work, "clock"), "STEP_CLOCK",
                 TEXT("clock: period, or month, year ..."), "a fee is of all charges of a turn");
    }
}

void read_tax(struct work *work)
{
    static const char *const ats[] = {"line", "rate", "total", NULL};
    struct loader *loader = work->loader;
    struct step *step = work->step;
    struct step_tax *tax = &step->tax;
    const struct yaml_node *percent = work->body;
    if (work->body->kind == YAML_MAP) {
        percent = want_member(loader, work->body, "percent");
    }
    const struct expr *expr;
    struct expr_value value;
    if (percent != NULL && read_row_number(loader, percent, &work->rows, &expr)) {
        if (expr_is_constant(expr, &value)) {
            tax->plain = value.number;
            check_sign(work, percent, "percent", &(struct number){value.number, NULL},
                       NOT_NEGATIVE);
        } else {
            tax->percent = expr;
        }
    }
    read_flag(work, "inclusive", &tax->is_inclusive);
    tax->at = (enum tax_at)read_option(work, "at", ats, TAX_AT_LINE);
    tax->digits = DIGITS_OF_CURRENCY;
    tax->mode = ROUND_HALF_UP;
    tax->has_round = key(work, "round") != NULL || key(work, "at") != NULL;
    if (key(work, "round") != NULL) {
        read_round_part(work, key(work, "round"), &tax->digits, &tax->mode);
    }
    if (key(work, "exempt") != NULL) {
        read_expr(loader, key(work, "exempt"), &work->rows, EXPR_BOOL, &tax->exempt);
    }
    if (key(work, "reverse_charge") != NULL) {
        read_expr(loader, key(work, "reverse_charge"), &work->rows, EXPR_BOOL,
                  &tax->reverse_charge);
    }
    /* It accumulates rate by rate, but for the whole tax; that which is taken out of prices where
     * the buyer owes it by itself. */
    struct by_key *by = arena_calloc(loader->arena, step->by_count + 1u, sizeof *by);
    if (step->by_count > 0) {
        memcpy(by, step->by, step->by_count * sizeof *by);
    }
    if (tax->at != TAX_AT_TOTAL || (tax->is_inclusive && tax->reverse_charge)) {
        by[step->by_count++] = (struct by_key){BY_TAX_RATE, NONE};
    }
    step->by = by;
}

void read_commit(struct work *work)
{
    static const char *const ways[] = {"amount", "quantity", NULL};
    static const char *const shortfalls[] = {"charge", "none", NULL};
    struct loader *loader = work->loader;
    struct step *step = work->step;
    struct step_commit *commit = &step->commit;
    int way = 0;
    if (find_worth(work, ways, "commit: {amount: 500000}", &way) == NULL) {
        return;
    }
    step->attribute = ATTRIBUTE_NONE; /* what lacks */
    commit->is_quantity = way == 1;
    read_step_number(work, ways[way], NOT_NEGATIVE, &commit->promise);
    if (!commit->is_quantity) {
        check_amount(work, "amount", &commit->promise);
    }
    commit->overage.value = dec_from_int(1);
    read_step_number(work, "overage", NOT_NEGATIVE, &commit->overage);
    read_flag(work, "prepaid", &commit->is_prepaid);
    commit->has_shortfall =
        read_option(work, "shortfall", shortfalls, 0) == 0 && !commit->is_prepaid;
    if (commit->is_prepaid && commit->is_quantity) {
        COMPLAIN(loader, key(work, "prepaid"), "CHOOSE_ONE",
                 TEXT("commit: {amount: 500000, prepaid: true}, or credit: with grants that cost"),
                 "what is paid before it is used is an amount");
    }
    if (commit->is_prepaid) {
        if (step->by_count > 0 || step->scope == SCOPE_RESOURCE || step->clock == CLOCK_ALWAYS) {
            COMPLAIN(loader, key(work, "prepaid"), "CHOOSE_ONE",
                     TEXT("scope: account, organization or contract, and a clock with turns"),
                     "who pays, and when, is known before there is usage");
        }
        refuse_key(work, "shortfall",
                   "is of what is paid as a turn ends: this is paid as it "
                   "begins");
    }
    const struct yaml_node *rollover = key(work, "rollover");
    if (rollover != NULL &&
        !(rollover->kind == YAML_TEXT && text_equal(rollover->text, TEXT("none")))) {
        commit->has_rollover = read_dec(loader, rollover, &commit->rollover);
        if (commit->has_rollover && (dec_sign(commit->rollover) < 0 ||
                                     dec_compare(commit->rollover, dec_from_int(1)) > 0)) {
            COMPLAIN(loader, rollover, "NUM_RANGE", TEXT("rollover: 0.5, or none"),
                     "a part of what exceeds is from 0 to 1");
        }
        if (step->on_change_restart) {
            COMPLAIN(loader, rollover, "CHOOSE_ONE", NO_HINT,
                     "what rolls over needs versions that continue");
        }
    }
    read_proration(work, &commit->proration);
    if (step->clock == CLOCK_ROW || (step->clock == CLOCK_ALWAYS && commit->has_rollover)) {
        COMPLAIN(loader, key(work, "clock"), "STEP_CLOCK",
                 TEXT("clock: period, or month, year ..."),
                 "a commit is of turns that follow each other");
    }
}

void read_allocate(struct work *work)
{
    static const char *const idles[] = {"pro_rata", "none", NULL};
    struct loader *loader = work->loader;
    struct step *step = work->step;
    struct step_allocate *allocate = &step->allocate;
    const struct yaml_node *to = want_member(loader, work->body, "to");
    step->attribute = ATTRIBUTE_PRO_RATA; /* along the weights */
    if (to != NULL) {
        read_expr(loader, to, &work->rows, EXPR_BOOL, &allocate->to);
    }
    if (key(work, "weight") != NULL) {
        const struct yaml_node *weight = key(work, "weight");
        struct expr_value value;
        if (read_row_number(loader, weight, &work->rows, &allocate->weight) &&
            expr_is_constant(allocate->weight, &value)) {
            check_sign(work, weight, "weight", &(struct number){value.number, NULL}, NOT_NEGATIVE);
        }
    }
    allocate->keeps_idle = read_option(work, "idle", idles, 0) == 1;
    allocate->has_digits = key(work, "digits") != NULL;
    if (allocate->has_digits) {
        read_int(loader, key(work, "digits"), 0, DEC_SCALE, &allocate->digits);
    }
    if (step->clock == CLOCK_ROW) {
        COMPLAIN(loader, key(work, "clock"), "STEP_CLOCK",
                 TEXT("clock: period, or month, day, hour ..."),
                 "what is shared is all that a turn has");
    }
}

void read_bound(struct work *work)
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
    read_step_number(work, "max", NOT_NEGATIVE, &bound->max);
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
    bound->settle_now = !read_settles_at_end(work, true) && bound->has_min;
    if (own_key(work, "settle") != NULL && !bound->has_min) {
        complain(loader->complaints, yaml_key_place(own_key(work, "settle")), "CHOOSE_ONE", NO_HINT,
                 "settle is of a minimum, and here is none");
    }
    if (!bound->has_min && work->step->attribute != ATTRIBUTE_IN_ORDER) {
        refuse_key(work, "attribute", "is of a minimum: a maximum acts in order");
    }
    read_proration(work, &bound->proration);
}

void read_round(struct work *work)
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
    static const char *const of_turns[] = {"scope", "by", "order", "on_change", NULL};
    for (int i = 0; round->at == ROUND_AT_ROW && of_turns[i] != NULL; i++) {
        refuse_key(work, of_turns[i], "is of sums, at: line or bucket: here each charge is alone");
    }
}
