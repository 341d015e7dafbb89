/* credit.c - grants: money or units that are used up, in an order of their own. */
#include "catalog/step.h"

#include <stdlib.h>

#include "base/nofloat.h"

enum { GRANTS_MAX = 1000, GRANT_KEYS_MAX = 8, RESETS_MAX = 1000 };

const char *const credit_kinds[] = {"usage",    "fee",      "minimum", "shortfall", "commitment",
                                    "discount", "markup",   "tax",     "allocated", "credit",
                                    "overage",  "rounding", NULL};

/* every: month, or {period: 168 hours, anchor: 2026-10-04}; anchored where the grant begins. */
static void read_recurrence(struct loader *loader, const struct yaml_node *node,
                            struct grant *grant)
{
    static const char *const keys[] = {"period", "anchor", NULL};
    const struct yaml_node *period = node;
    instant anchor = grant->from;
    if (node->kind == YAML_MAP) {
        check_keys(loader, node, "every", keys);
        period = want_member(loader, node, "period");
        if (yaml_member(node, "anchor") != NULL) {
            read_instant(loader, yaml_member(node, "anchor"), &anchor);
        }
    }
    enum clock_every every;
    int32_t count;
    if (period == NULL || !read_every(loader, period, &every, &count)) {
        return;
    }
    grant->recurs = true;
    grant->every = anchor == INSTANT_MIN ? clock_calendar(every, loader->zone)
                                         : clock_anchored(every, count, anchor, loader->zone);
    grant->every.count = count;
}

static void read_rollover(struct loader *loader, const struct yaml_node *node, struct grant *grant)
{
    static const char *const keys[] = {"min", "max", NULL};
    grant->has_rollover = true;
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "rollover", keys);
    if (yaml_member(node, "min") != NULL) {
        read_dec(loader, yaml_member(node, "min"), &grant->least);
    }
    if (yaml_member(node, "max") != NULL) {
        grant->has_most = read_dec(loader, yaml_member(node, "max"), &grant->most);
    }
    if (dec_sign(grant->least) < 0 ||
        (grant->has_most && dec_compare(grant->most, grant->least) < 0)) {
        COMPLAIN(loader, node, "BOUND_ORDER", TEXT("rollover: {min: 0, max: 50}"),
                 "what stays is at least min, which is not negative, and at most max");
    }
    if (grant->from == INSTANT_MIN) {
        COMPLAIN(loader, node, "MISSING_KEY", TEXT("from: in the grant"),
                 "what rolls over is counted from when the grant begins");
    }
}

/* An amount of money that is no expression. */
static bool read_money(struct work *work, const struct yaml_node *node, const char *name,
                       struct dec *value)
{
    if (!read_dec(work->loader, node, value)) {
        return false;
    }
    check_sign(work, node, name, &(struct number){*value, NULL}, NOT_NEGATIVE);
    return true;
}

static void read_cost(struct work *work, const struct yaml_node *node, struct grant *grant)
{
    struct loader *loader = work->loader;
    const struct yaml_node *cost = yaml_member(node, "cost");
    grant->has_cost = read_money(work, cost, "cost", &grant->cost);
    if (yaml_member(node, "from") == NULL) {
        COMPLAIN(loader, cost, "MISSING_KEY", TEXT("from: in the grant"),
                 "a grant is bought as it begins");
    }
    if (work->step->by_count > 0 || work->step->scope == SCOPE_RESOURCE) {
        COMPLAIN(loader, cost, "CHOOSE_ONE", TEXT("scope: account, organization or contract"),
                 "who buys a grant is known of wallets of accounts, organizations and contracts");
    }
}

static void read_grant(struct work *work, const struct yaml_node *node, uint32_t number,
                       struct grant *grant)
{
    static const char *const keys[] = {"id",       "amount",  "from",     "to",    "void",
                                       "priority", "every",   "rollover", "where", "cost",
                                       "width",    "account", NULL};
    struct loader *loader = work->loader;
    *grant = (struct grant){.from = INSTANT_MIN, .to = INSTANT_MAX, .amount = DEC_ZERO};
    grant->account = TEXT("");
    grant->priority = grant->width = grant->cost = grant->least = grant->most = DEC_ZERO;
    grant->id = text_format(loader->arena, "%u", number);
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "a grant", keys);
    const struct yaml_node *amount = want_member(loader, node, "amount");
    if (yaml_member(node, "id") != NULL) {
        read_name(loader, yaml_member(node, "id"), &grant->id);
    }
    if (text_equal(grant->id, TEXT("overage")) || text_equal(grant->id, TEXT("top_up"))) {
        COMPLAIN(loader, yaml_member(node, "id"), "BAD_NAME", NO_HINT,
                 "overage is the name of what no grant holds, top_up of what refills a wallet");
    }
    work->step->has_money = true;
    if (amount != NULL && read_dec(loader, amount, &grant->amount)) {
        check_sign(work, amount, "amount", &(struct number){grant->amount, NULL}, NOT_NEGATIVE);
    }
    read_dates(loader, node, &grant->from, &grant->to);
    instant void_at;
    if (yaml_member(node, "void") != NULL &&
        read_instant(loader, yaml_member(node, "void"), &void_at) && void_at < grant->to) {
        grant->to = void_at;
    }
    if (yaml_member(node, "priority") != NULL) {
        read_dec(loader, yaml_member(node, "priority"), &grant->priority);
    }
    if (yaml_member(node, "width") != NULL) {
        read_dec(loader, yaml_member(node, "width"), &grant->width);
    }
    if (yaml_member(node, "cost") != NULL) {
        read_cost(work, node, grant);
    }
    if (yaml_member(node, "every") != NULL) {
        read_recurrence(loader, yaml_member(node, "every"), grant);
    }
    if (yaml_member(node, "rollover") != NULL) {
        read_rollover(loader, yaml_member(node, "rollover"), grant);
    }
    if (yaml_member(node, "where") != NULL) {
        read_expr(loader, yaml_member(node, "where"), &work->rows, EXPR_BOOL, &grant->where);
    }
    if (yaml_member(node, "account") != NULL) {
        read_name(loader, yaml_member(node, "account"), &grant->account);
        if (work->step->scope != SCOPE_ACCOUNT) {
            COMPLAIN(loader, yaml_member(node, "account"), "CHOOSE_ONE", TEXT("scope: account"),
                     "a grant is an account's own where wallets are accounts'");
        }
    }
}

/* ---- the order in which they are used ---- */

/* BY_WIDE: as BY_WIDTH, which worked cases that are handed over call so. */
enum grant_key { BY_PRIORITY, BY_TO, BY_FROM, BY_AMOUNT, BY_ID, BY_WIDTH, BY_WIDE };
struct grant_order {
    enum grant_key key;
    bool descends;
};
struct ranked {
    struct grant grant;
    const struct grant_order *order;
    uint32_t order_count;
};

static int compare_grants(const void *a_item, const void *b_item)
{
    const struct ranked *a = a_item, *b = b_item;
    for (uint32_t i = 0; i < a->order_count; i++) {
        int order = 0;
        switch (a->order[i].key) {
        case BY_PRIORITY:
            order = dec_compare(a->grant.priority, b->grant.priority);
            break;
        case BY_TO:
            order = (a->grant.to > b->grant.to) - (a->grant.to < b->grant.to);
            break;
        case BY_FROM:
            order = (a->grant.from > b->grant.from) - (a->grant.from < b->grant.from);
            break;
        case BY_AMOUNT:
            order = dec_compare(a->grant.amount, b->grant.amount);
            break;
        case BY_ID:
            order = text_compare(a->grant.id, b->grant.id);
            break;
        case BY_WIDTH:
        case BY_WIDE:
            order = dec_compare(a->grant.width, b->grant.width);
            break;
        }
        if (order != 0) {
            return a->order[i].descends ? -order : order;
        }
    }
    return text_compare(a->grant.id, b->grant.id);
}

static uint32_t read_grant_order(struct work *work, struct grant_order *order)
{
    static const char *const names[] = {"priority", "to",    "from", "amount",
                                        "id",       "width", "wide", NULL};
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "order");
    static const enum grant_key usual[] = {BY_PRIORITY, BY_TO, BY_FROM};
    const bool is_list = node != NULL && want_kind(loader, node, YAML_LIST);
    if (is_list && node->count > GRANT_KEYS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "at most %d keys of an order",
                 (int)GRANT_KEYS_MAX);
    }
    if (!is_list || node->count > GRANT_KEYS_MAX) {
        for (uint32_t i = 0; i < 3; i++) {
            order[i] = (struct grant_order){usual[i], false};
        }
        return 3;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        struct yaml_node name = node->items[i];
        int choice = 0;
        order[i] = (struct grant_order){BY_PRIORITY, false};
        if (name.kind == YAML_TEXT && name.text.size > 1 && name.text.at[0] == '-') {
            order[i].descends = true;
            name.text = (struct text){name.text.at + 1, name.text.size - 1};
        }
        if (read_choice(loader, &name, names, &choice)) {
            order[i].key = (enum grant_key)choice;
        }
    }
    return node->count;
}

/* ---- whose they are ---- */

struct placed {
    struct text account;
    uint32_t place;
};

static int compare_placed(const void *a_item, const void *b_item)
{
    const struct placed *a = a_item, *b = b_item;
    int order = text_compare(a->account, b->account);
    return order ? order : (a->place > b->place) - (a->place < b->place);
}

/* By account, so that a wallet asks for what is in it, and not of each grant whether it is. */
static void place_grants(struct arena *arena, struct step_credit *credit)
{
    struct placed *placed = arena_alloc(arena, (credit->grant_count + 1) * sizeof *placed);
    uint32_t *places = arena_alloc(arena, (credit->grant_count + 1) * sizeof *places);
    for (uint32_t i = 0; i < credit->grant_count; i++) {
        placed[i] = (struct placed){credit->grants[i].account, i};
        credit->common_count += credit->grants[i].account.size == 0;
    }
    if (credit->grant_count > 1) {
        qsort(placed, credit->grant_count, sizeof *placed, compare_placed);
    }
    for (uint32_t i = 0; i < credit->grant_count; i++) {
        places[i] = placed[i].place;
    }
    credit->places = places;
}

struct grant_places credit_places(const struct step_credit *credit, struct text account)
{
    uint32_t low = credit->common_count, high = credit->grant_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (text_compare(credit->grants[credit->places[middle]].account, account) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (high < credit->grant_count &&
           text_equal(credit->grants[credit->places[high]].account, account)) {
        high++;
    }
    return (struct grant_places){credit->places + low, high - low};
}

static void read_grants(struct work *work, struct step_credit *credit)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node =
        work->body->kind == YAML_MAP ? want_member(loader, work->body, "grants") : NULL;
    if (node == NULL || !want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count > GRANTS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "at most %d grants", (int)GRANTS_MAX);
        return;
    }
    struct grant_order order[GRANT_KEYS_MAX];
    uint32_t order_count = read_grant_order(work, order);
    struct ranked *ranked = arena_calloc(loader->arena, node->count, sizeof *ranked);
    for (uint32_t i = 0; i < node->count; i++) {
        read_grant(work, &node->items[i], i, &ranked[i].grant);
        ranked[i].order = order;
        ranked[i].order_count = order_count;
        for (uint32_t k = 0; k < i; k++) {
            if (text_equal(ranked[k].grant.id, ranked[i].grant.id)) {
                COMPLAIN(loader, &node->items[i], "DUPLICATE_NAME", NO_HINT,
                         "two grants have the id %.*s", TEXT_ARG(ranked[i].grant.id));
            }
        }
    }
    if (node->count > 1) {
        qsort(ranked, node->count, sizeof *ranked, compare_grants);
    }
    struct grant *grants = arena_calloc(loader->arena, node->count, sizeof *grants);
    for (uint32_t i = 0; i < node->count; i++) {
        grants[i] = ranked[i].grant;
        credit->is_sold = credit->is_sold || grants[i].has_cost;
    }
    credit->grants = grants;
    credit->grant_count = node->count;
    place_grants(loader->arena, credit);
}

/* ---- the rest ---- */

static void read_resets(struct work *work, struct step_credit *credit)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "resets");
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count > RESETS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "at most %d resets", (int)RESETS_MAX);
        return;
    }
    instant *resets = arena_calloc(loader->arena, node->count, sizeof *resets);
    for (uint32_t i = 0; i < node->count; i++) {
        credit->reset_count += read_instant(loader, &node->items[i], &resets[credit->reset_count]);
    }
    instants_sort(resets, credit->reset_count);
    credit->resets = resets;
}

/* top_up: {below: 100, amount: 500, cost: 450}. */
static void read_top_up(struct work *work, struct step_credit *credit)
{
    static const char *const keys[] = {"below", "amount", "cost", NULL};
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "top_up");
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "top_up", keys);
    const struct yaml_node *below = want_member(loader, node, "below");
    const struct yaml_node *amount = want_member(loader, node, "amount");
    const struct yaml_node *cost = yaml_member(node, "cost");
    if (below == NULL || amount == NULL || !read_money(work, below, "below", &credit->below) ||
        !read_dec(loader, amount, &credit->top_up)) {
        return;
    }
    check_sign(work, amount, "amount", &(struct number){credit->top_up, NULL}, POSITIVE);
    credit->has_top_up = dec_sign(credit->top_up) > 0;
    credit->top_up_cost = credit->top_up;
    if (cost != NULL) {
        credit->has_top_up_cost = read_money(work, cost, "cost", &credit->top_up_cost);
    }
    if (own_key(work, "overage") == NULL) { /* a profile's is of other wallets */
        credit->carries_overage = false;
    } else if (credit->carries_overage) {
        COMPLAIN(loader, node, "CHOOSE_ONE", TEXT("overage: bill"),
                 "a wallet that is refilled holds all that is taken: nothing is carried");
    }
}

static void read_share(struct work *work, struct step_credit *credit)
{
    static const char *const shares[] = {"own_first", "all", NULL};
    if (key(work, "share") == NULL) {
        return;
    }
    credit->share = read_option(work, "share", shares, 0) == 0 ? SHARE_OWN_FIRST : SHARE_ALL;
    if (work->step->scope != SCOPE_ACCOUNT) {
        COMPLAIN(work->loader, key(work, "share"), "CHOOSE_ONE", TEXT("scope: account"),
                 "what accounts share is the accounts' own");
    }
}

static void read_kinds(struct work *work, struct step_credit *credit)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = key(work, "kinds");
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        int choice;
        if (read_choice(loader, &node->items[i], credit_kinds, &choice)) {
            credit->kinds |= UINT64_C(1) << choice;
        }
    }
}

/* `largest: [account, product]`, from the outermost sum on; of a period's charges. */
static void read_largest(struct work *work, const struct yaml_node *node,
                         struct step_credit *credit)
{
    static const char *const names[] = {"account", "product", "sku", NULL};
    struct loader *loader = work->loader;
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    credit->is_largest_first = true;
    bool has[SUM_KEYS] = {false};
    for (uint32_t i = 0; i < node->count; i++) {
        int choice;
        if (!read_choice(loader, &node->items[i], names, &choice)) {
            continue;
        }
        if (has[choice]) {
            COMPLAIN(loader, &node->items[i], "DUPLICATE_NAME", TEXT("each once"),
                     "charges are summed by %s already", names[choice]);
            continue;
        }
        has[choice] = true;
        credit->largest[credit->largest_count++] = (enum credit_sum)choice;
    }
    if (!credit->is_of_period) {
        COMPLAIN(loader, node, "MISSING_KEY", TEXT("clock: period"),
                 "which charges are the largest is known of all of a period");
    }
}

void read_credit(struct work *work)
{
    struct loader *loader = work->loader;
    struct step *step = work->step;
    struct step_credit *credit = &step->credit;
    static const char *const overages[] = {"bill", "carry", NULL};
    const struct yaml_node *clock = key(work, "clock"), *targets = key(work, "targets");
    credit->is_of_period = clock != NULL;
    if (clock != NULL && !(clock->kind == YAML_TEXT && text_equal(clock->text, TEXT("period")))) {
        COMPLAIN(loader, clock, "STEP_CLOCK", TEXT("clock: period, or none: in the order of time"),
                 "a wallet lives on: what has a clock of its own is a grant, with every");
    }
    step->clock = CLOCK_ALWAYS;
    read_grants(work, credit);
    credit->carries_overage = read_option(work, "overage", overages, 0) == 1;
    if (key(work, "top_up") != NULL) {
        work->step->has_money = true;
        read_top_up(work, credit);
    }
    read_share(work, credit);
    if (key(work, "kinds") != NULL) {
        read_kinds(work, credit);
    }
    if (key(work, "resets") != NULL) {
        read_resets(work, credit);
    }
    read_flag(work, "keep_overage", &credit->keeps_overage);
    if (key(work, "resets") == NULL) {
        refuse_key(work, "keep_overage", "is of resets, and here are none");
    }
    if (targets != NULL && want_kind(loader, targets, YAML_LIST)) {
        struct text *names = arena_calloc(loader->arena, targets->count, sizeof *names);
        for (uint32_t i = 0; i < targets->count; i++) {
            if (want_kind(loader, &targets->items[i], YAML_TEXT)) {
                names[credit->target_count++] = targets->items[i].text;
            }
        }
        credit->targets = names;
        if (clock == NULL) {
            COMPLAIN(loader, targets, "MISSING_KEY", TEXT("clock: period"),
                     "an order of targets is of all charges of a period");
        }
    }
    if (key(work, "largest") != NULL) {
        read_largest(work, key(work, "largest"), credit);
    }
    if (credit_goes_along(step) &&
        (credit->carries_overage || credit->has_top_up || credit->is_sold)) {
        bool is_of_profile = credit->carries_overage && own_key(work, "overage") == NULL;
        COMPLAIN(loader, key(work, "settings_at"), "CHOOSE_ONE",
                 is_of_profile ? TEXT("overage: bill, since the profile says carry") : NO_HINT,
                 "what is bought, refilled or carried below nothing is one payer's: it does not go "
                 "along with an account");
    }
    struct by_key *by = arena_calloc(loader->arena, step->by_count + 1u, sizeof *by);
    if (step->by_count > 0) {
        memcpy(by, step->by, step->by_count * sizeof *by);
    }
    by[step->by_count++] = (struct by_key){BY_GRANT, NONE};
    step->by = by;
}
