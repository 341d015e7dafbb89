/* fixed.c - charges that need no usage: fees of a subscription, seats, standing charges.
 *
 * Who pays: a fixed price of the catalog is paid by each account (scope account) or by the payer
 * (scope organization); of an account's plan, by the account; of a contract or its plan, by the
 * contract's buyer, once.
 *
 * For what: the parts of a turn of the step's clock in which the price is in force: payer, account,
 * contract and version hold, and no fixed price of its name or SKU on a narrower level stands in
 * its place.  A step that asks its account's contract for a number has a part with each.  In
 * advance it falls due when such a part begins, in arrears when it ends; it is on the bill whose
 * time holds that instant.
 *
 * A prorated price is charged for each part.  One that is not prorated is charged once a turn,
 * whole: by what is in force first in it (in advance) or last (in arrears), whatever versions,
 * plans, contracts or payers have followed one another.  `once` is once for the account: when the
 * first price of its name or SKU comes into force; a contract's own is once for the contract.
 *
 * A clock that is anchored at the contract counts the turns of each contract apart: a part is of
 * one, and only what is in force under that one is in its turn.
 */
#include <assert.h>

#include "price/work.h"

#include "base/nofloat.h"

/* Who pays a fixed price, and while what is true. */
struct subscription {
    uint32_t account;
    int level;
    const struct contract *contract;
    struct period active;
};

instant work_edge_after(const struct work *work, uint32_t account, instant at)
{
    const struct accounts *accounts = work->pricing->accounts;
    const uint32_t own = accounts->items[account].override;
    instant next;
    (void)accounts_edge(accounts, work->catalog, account, at, &next);
    for (uint32_t i = 0; own != NONE && i < accounts->overrides[own].prices.count; i++) {
        const struct price_set *set = &accounts->overrides[own].prices;
        const struct price *price = &set->base[set->prices[i]];
        next = price->from > at && price->from < next ? price->from : next;
        next = price->to > at && price->to < next ? price->to : next;
    }
    return next;
}

static bool falls_due_late(const struct step_fixed *fixed)
{
    return fixed->when == FIXED_IN_ARREARS && fixed->installment_count == 0;
}

static bool falls_due(const struct step_fixed *fixed, struct period part, struct period cut)
{
    if (falls_due_late(fixed)) {
        return cut.from < part.to && part.to <= cut.to;
    }
    return period_has(cut, part.from);
}

struct period fixed_measure(bool stub_back, const struct clock *clock, struct period part,
                            instant turn_from, struct period whole)
{
    if (!stub_back || part.from <= turn_from) {
        return whole;
    }
    struct clock back = clock_anchored(clock->every, clock->count, whole.to, clock->zone);
    return clock_turn(&back, whole.to - 1);
}

/* One with components is one price: what stands for it need not charge a fixed amount. */
static bool stands_for(const struct price *other, const struct price *price, instant at)
{
    return (other->has_fixed || price->component_count > 0) && other->from <= at &&
           at < other->to &&
           (text_equal(other->name, price->name) ||
            (other->sku_count > 0 && price->sku_count > 0 && other->skus[0] == price->skus[0]));
}

static bool has_instead(const struct price_set *set, const struct price *price, instant at)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (stands_for(&set->base[set->prices[i]], price, at)) {
            return true;
        }
    }
    return false;
}

/* A tariff gives way to a price of its SKU that the account has of its own; a fixed amount alone
 * does not, since such a price says what usage costs. */
static bool is_overridden(const struct work *work, const struct price *price, uint32_t account,
                          instant at)
{
    const struct accounts *accounts = work->pricing->accounts;
    const uint32_t own = accounts->items[account].override;
    return price->component_count > 0 && own != NONE &&
           has_instead(&accounts->overrides[own].prices, price, at);
}

/* A fixed price gives way to one of the same name or SKU on a narrower level, as a rated one does.
 */
static bool is_in_force(const struct work *work, const struct price *price,
                        const struct subscription *who, instant at)
{
    const struct catalog *catalog = work->catalog;
    if (who->level == LEVEL_CONTRACT) {
        return true;
    }
    const struct contract *contract =
        who->contract ? who->contract
                      : accounts_contract(work->pricing->accounts, catalog, who->account, at);
    if ((contract && has_instead(&contract->prices, price, at)) ||
        (!who->contract && is_overridden(work, price, who->account, at))) {
        return false;
    }
    if (who->level == LEVEL_PLAN) {
        /* A contract's plan goes before the account's own. */
        return who->contract || !contract || contract->plan == NONE;
    }
    uint32_t plan =
        catalog_plan_of(catalog, contract, work->pricing->accounts->items[who->account].plan);
    return plan == NONE || !has_instead(&catalog->plans[plan].prices, price, at);
}

/* Whose turns a step counts: NULL where they are nobody's, or the clock is no contract's. */
static const struct contract *clock_contract(const struct work *work, const struct step *step,
                                             const struct subscription *who, instant at)
{
    if (who->contract || step->clock != CLOCK_CONTRACT) {
        return who->contract;
    }
    return accounts_contract(work->pricing->accounts, work->catalog, who->account, at);
}

/* The first part of the span, from its start on, in which the price is in force, and what it asks
 * of a contract (seats, turns) is asked of one; false when there is none. */
static bool part_in_force(const struct work *work, const struct price *price,
                          const struct step *step, const struct subscription *who,
                          struct period span, struct period *part)
{
    const struct accounts *accounts = work->pricing->accounts;
    bool asks = (step->fixed.asks_contract || step->clock == CLOCK_CONTRACT) && !who->contract;
    const struct contract *asked = NULL;
    *part = (struct period){span.to, span.to};
    for (instant at = span.from, next; at < span.to; at = next) {
        next = work_edge_after(work, who->account, at);
        const struct contract *contract =
            asks ? accounts_contract(accounts, work->catalog, who->account, at) : NULL;
        bool is_open = part->from < span.to;
        bool holds = is_in_force(work, price, who, at) && (!is_open || contract == asked);
        if (holds && !is_open) {
            part->from = at;
            asked = contract;
        }
        if (!holds && part->from < span.to) {
            part->to = at;
            break;
        }
    }
    return part->from < span.to;
}

/* ---- charged once for several parts ---------------------------------------------------------- */

/* The fixed step of a price that is what another one is in its; of components, by its name. */
static const struct step *fixed_step(const struct price *price, const struct step *like)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        if (price->steps[i].kind == STEP_FIXED &&
            (price->component_count == 0 || text_equal(price->steps[i].name, like->name))) {
            return &price->steps[i];
        }
    }
    return NULL;
}

static bool is_whole(const struct step *step)
{
    return step->fixed.when == FIXED_ONCE || step->fixed.proration.rule == PRORATE_NONE;
}

/* Whether a price of the set would charge at that instant what the step charges. */
static bool has_same(const struct price_set *set, const struct price *price,
                     const struct step *step, bool is_payer, instant at)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *other = &set->base[set->prices[i]];
        const struct step *its = stands_for(other, price, at) ? fixed_step(other, step) : NULL;
        if (its && is_whole(its) && its->fixed.installment_count == 0 &&
            its->fixed.when == step->fixed.when && (its->scope != SCOPE_ORGANIZATION || is_payer) &&
            (step->fixed.when == FIXED_ONCE ||
             (its->clock == step->clock && its->rule.every == step->rule.every &&
              its->rule.count == step->rule.count))) {
            return true;
        }
    }
    return false;
}

/* The same for what is in force for the account, on whatever level, whoever pays for it; of turns
 * of a contract, under that one. */
static bool is_same_in_force(const struct work *work, const struct price *price,
                             const struct step *step, uint32_t account,
                             const struct contract *of_turn, instant at)
{
    const struct catalog *catalog = work->catalog;
    const struct accounts *accounts = work->pricing->accounts;
    if (at < accounts->items[account].since) {
        return false;
    }
    const struct contract *contract = accounts_contract(accounts, catalog, account, at);
    if (step->fixed.when != FIXED_ONCE && step->clock == CLOCK_CONTRACT && contract != of_turn) {
        return false;
    }
    uint32_t plan = catalog_plan_of(catalog, contract, accounts->items[account].plan);
    const struct price_set *set = &catalog->public_prices;
    bool is_of_contract = false;
    if (contract && has_instead(&contract->prices, price, at)) {
        set = &contract->prices;
        is_of_contract = true;
    } else if (plan != NONE && has_instead(&catalog->plans[plan].prices, price, at)) {
        set = &catalog->plans[plan].prices;
        is_of_contract = contract && contract->plan != NONE;
    }
    if (!is_of_contract && is_overridden(work, price, account, at)) {
        return false;
    }
    bool is_payer =
        set != &catalog->public_prices || accounts_payer(accounts, account, at) == account;
    return has_same(set, price, step, is_payer, at);
}

static bool is_same_within(const struct work *work, const struct price *price,
                           const struct step *step, uint32_t account,
                           const struct contract *of_turn, struct period span)
{
    const struct accounts *accounts = work->pricing->accounts;
    instant since = accounts->items[account].since;
    for (instant at = span.from > since ? span.from : since, next; at < span.to; at = next) {
        next = work_edge_after(work, account, at);
        if (is_same_in_force(work, price, step, account, of_turn, at)) {
            return true;
        }
    }
    return false;
}

/* A whole charge that another part of the turn pays. */
static bool is_paid_by_other(const struct work *work, const struct price *price,
                             const struct step *step, const struct subscription *who,
                             struct period part, struct period turn)
{
    if (!is_whole(step)) {
        return false;
    }
    struct period others = step->fixed.when == FIXED_IN_ARREARS
                               ? (struct period){part.to, turn.to}
                               : (struct period){turn.from, part.from};
    const struct contract *of_turn = clock_contract(work, step, who, part.from);
    return is_same_within(work, price, step, who->account, of_turn, others);
}

/* Whether what is charged once was charged before that instant. */
static bool was_charged(const struct work *work, const struct price *price, const struct step *step,
                        const struct subscription *who, instant at)
{
    if (who->level != LEVEL_CONTRACT) {
        return is_same_within(work, price, step, who->account, NULL,
                              (struct period){INSTANT_MIN, at});
    }
    /* A contract's own: by an earlier version in it, or while another paid for the buyer. */
    const struct price_set *set = &who->contract->prices;
    instant since = work->pricing->accounts->items[who->account].since;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *other = &set->base[set->prices[i]];
        struct period active = period_intersect((struct period){other->from, other->to},
                                                (struct period){who->contract->from, at});
        active.from = active.from > since ? active.from : since;
        const struct step *its = active.from < active.to && stands_for(other, price, active.from)
                                     ? fixed_step(other, step)
                                     : NULL;
        if (its && its->fixed.when == FIXED_ONCE) {
            return true;
        }
    }
    return false;
}

/* ---- charges --------------------------------------------------------------------------------- */

static enum status emit_turn(struct work *work, const struct price *price, const struct step *step,
                             const struct subscription *who, const struct clock *clock,
                             const struct number *due, struct period part, struct period turn)
{
    const struct step_fixed *fixed = &step->fixed;
    struct charge charge = {.kind = CHARGE_FEE,
                            .has_amount = true,
                            .has_rate = true,
                            .level = (int8_t)who->level,
                            .account = who->account,
                            .sku = price->sku_count > 0 ? price->skus[0] : NONE,
                            .series = NONE,
                            .row = NONE,
                            .order = CHARGE_OF_NO_ROW,
                            .tier = NONE,
                            .of = NONE,
                            .at = falls_due_late(fixed) ? part.to - 1 : part.from,
                            .span = part,
                            .price = price,
                            .step = step,
                            .contract = who->contract};
    if (!charge.contract) { /* as of a row: steps behind may be over its scope */
        charge.contract =
            accounts_contract(work->pricing->accounts, work->catalog, who->account, charge.at);
    }
    struct dec amount, quantity, part_of_turn;
    TRY(number_value(work, due, &charge, turn, &amount));
    TRY(number_value(work, &fixed->quantity, &charge, turn, &quantity));
    TRY(number_not_negative(work, "a quantity", quantity));
    charge.quantity = quantity;
    charge.rate = amount;
    struct period measure = fixed_measure(fixed->stub_back, clock, part, turn.from,
                                          clock_turn(clock, turn.from));
    struct proration how = fixed->proration;
    how.rule = fixed->when == FIXED_ONCE ? PRORATE_NONE : prorate_in_turn(how.rule, part, turn);
    TRY(dec_multiply_round(amount, quantity, DEC_SCALE, ROUND_HALF_EVEN, &charge.amount,
                           work->err));
    /* A part that counts the day in which it may end stands alone, the last one of a turn too. */
    bool is_alone = fixed->proration.rule == PRORATE_DAY_INCLUSIVE;
    TRY((is_alone ? prorate_value : prorate_part)(how, part, measure, clock->zone, charge.amount,
                                                  &charge.amount, work->err));
    TRY(prorate_value(how, part, measure, clock->zone, dec_from_int(1), &part_of_turn, work->err));
    charge.net = charge.list = charge.amount;
    struct trace trace = {.row = NONE,
                          .charge = work->charge_count,
                          .account = who->account,
                          .price = price,
                          .step = step,
                          .bucket = TEXT(""),
                          .turn = measure,
                          .after = quantity,
                          .f_after = charge.amount,
                          .limit = part_of_turn,
                          .tier = NONE};
    work_trace(work, &trace);
    /* It goes on with the step after its own. */
    charge.next_step = price_step_after(price, (uint32_t)(step - price->steps));
    uint32_t index = work_add_charge(work, &charge);
    work_push(work, index);
    return OK;
}

static struct period billed_turn(const struct pricing *pricing, instant at, struct clock *clock)
{
    struct period turn = pricing_turn(pricing, at);
    *clock = billing_at(&pricing->billing, turn.from).clock;
    return turn;
}

/* The turn of the step that holds the instant, and the clock that counts it. */
static struct period fixed_turn(const struct work *work, const struct step *step,
                                const struct contract *contract, uint32_t account, instant at,
                                struct clock *clock)
{
    switch (step->clock) {
    case CLOCK_RULE:
        *clock = step->rule;
        break;
    case CLOCK_CONTRACT:
        *clock = contract ? clock_since(step->rule, contract->from) : step->rule;
        break;
    case CLOCK_ACCOUNT:
        *clock = clock_since(step->rule, work->pricing->accounts->items[account].since);
        break;
    case CLOCK_ALWAYS:
        *clock = clock_calendar(EVERY_ALWAYS, NULL);
        break;
    case CLOCK_ROW:
    case CLOCK_PERIOD:
        return billed_turn(work->pricing, at, clock);
    }
    return clock_turn(clock, at);
}

/* Those whose date the bill holds, if the price is in force then. */
static enum status emit_installments(struct work *work, const struct price *price,
                                     const struct step *step, const struct subscription *who,
                                     struct period active)
{
    for (uint32_t i = 0; i < step->fixed.installment_count; i++) {
        const struct installment *item = &step->fixed.installments[i];
        struct clock clock;
        struct period turn = billed_turn(work->pricing, item->at, &clock), part;
        struct period left = {item->at, turn.to < active.to ? turn.to : active.to};
        if (period_has(work->pricing->cut, item->at) && period_has(active, item->at) &&
            part_in_force(work, price, step, who, left, &part) && part.from == item->at) {
            TRY(emit_turn(work, price, step, who, &clock, &item->amount, part, turn));
        }
    }
    return OK;
}

/* When the turn that holds an instant ends, or is another contract's. */
static instant turn_changes(const struct work *work, const struct step *step,
                            const struct subscription *who, const struct contract *contract,
                            instant at, instant end)
{
    for (instant next; step->clock == CLOCK_CONTRACT && at < end; at = next) {
        if (clock_contract(work, step, who, at) != contract) {
            return at;
        }
        (void)accounts_edge(work->pricing->accounts, work->catalog, who->account, at, &next);
    }
    return end;
}

static enum status emit_fixed(struct work *work, const struct price *price, const struct step *step,
                              const struct subscription *who)
{
    struct period cut = work->pricing->cut;
    struct period active = period_intersect(who->active, (struct period){price->from, price->to});
    if (active.from >= active.to) {
        return OK;
    }
    if (step->fixed.installment_count > 0) {
        return emit_installments(work, price, step, who, active);
    }
    struct clock clock;
    struct period part;
    if (step->fixed.when == FIXED_ONCE) {
        /* In force from before all time: due with the first bill there is, which is not this
         * function's to know. */
        if (active.to <= cut.from || active.from >= cut.to ||
            !part_in_force(work, price, step, who, active, &part) || !period_has(cut, part.from) ||
            was_charged(work, price, step, who, part.from)) {
            return OK;
        }
        struct period turn = fixed_turn(work, step, who->contract, who->account, part.from, &clock);
        return emit_turn(work, price, step, who, &clock, &step->fixed.amount,
                         period_intersect(part, turn), turn);
    }
    /* Turns that touch the cut, those that end with its start left out. */
    for (instant at = cut.from, next; at <= cut.to; at = next) {
        instant then = at == cut.to ? at - 1 : at;
        const struct contract *contract = clock_contract(work, step, who, then);
        struct period turn = fixed_turn(work, step, contract, who->account, then, &clock);
        struct period left = period_intersect(active, turn);
        next = turn_changes(work, step, who, contract, then, turn.to);
        while (left.from < left.to && part_in_force(work, price, step, who, left, &part)) {
            if (falls_due(&step->fixed, part, cut) && part.from < next && then < part.to &&
                !is_paid_by_other(work, price, step, who, part, turn)) {
                TRY(emit_turn(work, price, step, who, &clock, &step->fixed.amount, part, turn));
            }
            left.from = part.to;
        }
        if (next >= cut.to) {
            break;
        }
    }
    return OK;
}

/* Those of the catalog that are the payer's alone, or the others; elsewhere all. */
static enum status emit_price(struct work *work, const struct price *price,
                              const struct subscription *who, bool payer_only)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        const struct step *step = &price->steps[i];
        bool of_payer = step->scope == SCOPE_ORGANIZATION;
        work->asking = step;
        if (step->kind == STEP_FIXED && (who->level != LEVEL_CATALOG || of_payer == payer_only)) {
            enum status status = emit_fixed(work, price, step, who);
            if (status != OK) {
                return work_fail(work, status, price, step, who->account);
            }
        }
    }
    return OK;
}

static enum status emit_set(struct work *work, const struct price_set *set,
                            const struct subscription *who, bool payer_only)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        if (price->has_fixed) {
            TRY(emit_price(work, price, who, payer_only));
        }
    }
    return OK;
}

static enum status emit_contract(struct work *work, const struct contract *contract,
                                 struct period member_span)
{
    const struct catalog *catalog = work->catalog;
    struct subscription who = {
        .account = accounts_buyer(work->pricing->accounts, contract),
        .level = LEVEL_CONTRACT,
        .contract = contract,
        .active = period_intersect((struct period){contract->from, contract->to}, member_span)};
    instant since = work->pricing->accounts->items[who.account].since;
    if (since > who.active.from) {
        who.active.from = since;
    }
    TRY(emit_set(work, &contract->prices, &who, false));
    if (contract->plan != NONE) {
        who.level = LEVEL_PLAN;
        TRY(emit_set(work, &catalog->plans[contract->plan].prices, &who, false));
    }
    return OK;
}

static enum status emit_member(struct work *work, const struct member_span *member)
{
    const struct account *account = &work->pricing->accounts->items[member->account];
    struct subscription who = {
        .account = member->account, .level = LEVEL_CATALOG, .active = member->span};
    if (account->since > who.active.from) {
        who.active.from = account->since;
    }
    for (uint32_t i = 0; i < account->contract_count; i++) {
        uint32_t index = work->pricing->accounts->contract_of[account->contract_first + i];
        TRY(emit_contract(work, &work->catalog->contracts[index], member->span));
    }
    if (work->pricing->source_charges) {
        return OK; /* they are in what the source charges */
    }
    bool is_bare = accounts_is_bare(work->pricing->accounts, member->account);
    if (!is_bare) {
        TRY(emit_set(work, &work->catalog->public_prices, &who, false));
    }
    if (member->account == work->pricing->payer) {
        TRY(emit_set(work, &work->catalog->public_prices, &who, true));
    }
    if (is_bare) {
        return OK;
    }
    uint32_t plan = catalog_plan_of(work->catalog, NULL, account->plan);
    if (plan != NONE) {
        who.level = LEVEL_PLAN;
        TRY(emit_set(work, &work->catalog->plans[plan].prices, &who, false));
    }
    return OK;
}

/* ---- who pays --------------------------------------------------------------------------------
 */

static bool is_in_set(const struct price_set *set, const struct price *price)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (&set->base[set->prices[i]] == price) {
            return true;
        }
    }
    return false;
}

static bool is_of_payer(const struct price *price)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        if (price->steps[i].kind == STEP_FIXED) {
            return price->steps[i].scope == SCOPE_ORGANIZATION;
        }
    }
    return false;
}

bool fixed_is_paid(const struct work *work, const struct price *price, uint32_t account, instant at,
                   const struct contract **contract, int *level)
{
    const struct catalog *catalog = work->catalog;
    const struct accounts *accounts = work->pricing->accounts;
    const struct account *item = &accounts->items[account];
    struct subscription who = {.account = account, .level = LEVEL_CATALOG};
    bool has = false;
    if (at < item->since || at < price->from || at >= price->to) {
        return false;
    }
    for (uint32_t i = 0; i < item->contract_count && !has; i++) {
        const struct contract *own =
            &catalog->contracts[accounts->contract_of[item->contract_first + i]];
        bool is_own = is_in_set(&own->prices, price);
        bool is_plan = own->plan != NONE && is_in_set(&catalog->plans[own->plan].prices, price);
        if (at >= own->from && at < own->to && (is_own || is_plan)) {
            who.contract = own;
            who.level = is_own ? LEVEL_CONTRACT : LEVEL_PLAN;
            has = is_in_force(work, price, &who, at);
        }
    }
    uint32_t plan = catalog_plan_of(catalog, NULL, item->plan);
    bool is_bare = accounts_is_bare(accounts, account);
    if (!has && !work->pricing->source_charges) {
        who.contract = NULL;
        who.level = LEVEL_CATALOG;
        has = is_in_set(&catalog->public_prices, price) &&
              (is_of_payer(price) ? account == work->pricing->payer : !is_bare) &&
              is_in_force(work, price, &who, at);
        if (!has && !is_bare && plan != NONE && is_in_set(&catalog->plans[plan].prices, price)) {
            who.level = LEVEL_PLAN;
            has = is_in_force(work, price, &who, at);
        }
    }
    *contract = who.contract ? who.contract : accounts_contract(accounts, catalog, account, at);
    *level = who.level;
    return has;
}

enum status fixed_emit(struct work *work)
{
    for (uint32_t i = 0; i < work->pricing->member_count; i++) {
        TRY(emit_member(work, &work->pricing->members[i]));
    }
    return OK;
}
