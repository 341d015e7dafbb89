/* prorate.c - a limit by the part of its turn in which it holds (doc/pricing.md, Proration).
 *
 *     account since .. , versions of the price, contract, plan --> parts of the turn --> limit
 *
 * What it is measured against must not depend on which of the charges that meet in a bucket comes
 * first.  So a contract counts where the bucket is its own alone, and a plan where the bucket is
 * the plan's: in all the time in which the account has it, by whatever contract.
 */
#include <stdlib.h>

#include "price/curve.h"
#include "price/work.h"

#include "base/nofloat.h"

/* ---- one stretch ------------------------------------------------------------------------------
 */

uint32_t step_scope_account(const struct work *work, const struct step *step,
                            const struct charge *charge)
{
    if (step->scope == SCOPE_CONTRACT && charge->contract) {
        return accounts_buyer(work->pricing->accounts, charge->contract);
    }
    bool is_shared = step->scope == SCOPE_ORGANIZATION || step->scope == SCOPE_CONTRACT;
    return is_shared ? work->pricing->payer : charge->account;
}

/* The contract whose own the bucket is; NULL: no one's. */
static const struct contract *own_contract(const struct work *work, const struct step *step,
                                           const struct charge *charge)
{
    if (work->term && work->term->level == LEVEL_CONTRACT) {
        return work->term->contract;
    }
    bool is_own =
        step->scope == SCOPE_CONTRACT ||
        (!work->term && turn_end_is_of_contract(work, step, charge->price, charge->contract));
    return is_own ? charge->contract : NULL;
}

/* In which all holds but versions and a plan, which may come and go. */
static struct period find_stretch(const struct work *work, const struct step *step,
                                  const struct charge *charge, struct period turn)
{
    struct period stretch = turn;
    const struct contract *contract = own_contract(work, step, charge);
    if (contract) {
        stretch = period_intersect(stretch, (struct period){contract->from, contract->to});
    }
    instant since = work->pricing->accounts->items[step_scope_account(work, step, charge)].since;
    return period_intersect(stretch, (struct period){since, INSTANT_MAX});
}

/* ---- the parts of it in which versions and a plan hold ----------------------------------------
 */

struct parts {
    struct period *items; /* apart from each other once they are joined */
    uint32_t count, capacity;
    uint32_t first; /* of those that the next may go on with */
};

static void add_part(struct work *work, struct parts *parts, struct period part)
{
    if (parts->count > parts->first && parts->items[parts->count - 1].to == part.from) {
        parts->items[parts->count - 1].to = part.to;
        return;
    }
    parts->items =
        arena_room(work->arena, parts->items, parts->count, &parts->capacity, sizeof *parts->items);
    parts->items[parts->count++] = part;
}

/* Versions that go on in one bucket have one limit: for the time in which the price has the step,
 * in one version or another.  Its neighbours in the catalog's order are its versions, by their
 * dates, of which those that lie in the stretch are looked at. */
static struct parts version_parts(struct work *work, const struct step *step,
                                  const struct price *price, struct period stretch)
{
    struct parts parts = {0};
    const struct price *first = work->catalog->prices;
    const struct price *end = first + work->catalog->price_count;
    const bool is_alone = price < first || price >= end || step->on_change_restart; /* override */
    const struct price *at = price;
    while (!is_alone && at > first && at[-1].to > stretch.from && price_is_version(at - 1, price)) {
        at--;
    }
    for (; at == price ||
           (!is_alone && at < end && at->from < stretch.to && price_is_version(at, price));
         at++) {
        struct period part = period_intersect(stretch, (struct period){at->from, at->to});
        if (part.from < part.to && (at == price || price_step_of(at, step->node))) {
            add_part(work, &parts, part);
        }
    }
    if (parts.count == 0) {
        add_part(work, &parts, (struct period){stretch.from, stretch.from});
    }
    return parts;
}

/* Whether the account has the plan whose price or term it is; of a scope of contracts, without one:
 * what it has in a contract is in that one's bucket. */
static bool holds_plan(const struct work *work, const struct step *step,
                       const struct charge *charge, uint32_t account, instant at)
{
    const struct accounts *accounts = work->pricing->accounts;
    const struct contract *contract = accounts_contract(accounts, work->catalog, account, at);
    if (step->scope == SCOPE_CONTRACT && contract) {
        return false;
    }
    if (work->term) {
        return term_holds(work, account, at);
    }
    uint32_t plan = catalog_plan_of(work->catalog, contract, accounts->items[account].plan);
    return plan != NONE && price_set_has(&work->catalog->plans[plan].prices, charge->price);
}

static void add_parts(struct work *work, const struct step *step, const struct charge *charge,
                      uint32_t account, struct period stretch, struct parts *parts)
{
    const instant since = work->pricing->accounts->items[account].since;
    const instant from = since > stretch.from ? since : stretch.from;
    for (instant at = from, next; at < stretch.to; at = next) {
        (void)accounts_edge(work->pricing->accounts, work->catalog, account, at, &next);
        if (!holds_plan(work, step, charge, account, at)) {
            continue;
        }
        add_part(work, parts, (struct period){at, next < stretch.to ? next : stretch.to});
    }
}

static int compare_parts(const void *a_item, const void *b_item)
{
    const struct period *a = a_item, *b = b_item;
    return (a->from > b->from) - (a->from < b->from);
}

static void join_parts(struct parts *parts)
{
    if (parts->count < 2) {
        return;
    }
    qsort(parts->items, parts->count, sizeof *parts->items, compare_parts);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < parts->count; i++) {
        struct period *last = &parts->items[kept - 1], part = parts->items[i];
        if (part.from <= last->to) {
            last->to = part.to > last->to ? part.to : last->to;
        } else {
            parts->items[kept++] = part;
        }
    }
    parts->count = kept;
}

/* Of a scope that accounts share, the time in which any of them has the plan. */
static struct parts find_parts(struct work *work, const struct step *step,
                               const struct charge *charge, const struct parts *within)
{
    const struct pricing *pricing = work->pricing;
    struct parts parts = {0};
    for (uint32_t k = 0; k < within->count; k++) {
        const struct period stretch = within->items[k];
        if (step->scope != SCOPE_ORGANIZATION && step->scope != SCOPE_CONTRACT) {
            add_parts(work, step, charge, charge->account, stretch, &parts);
            continue;
        }
        for (uint32_t i = 0; i < pricing->member_count; i++) {
            const struct member_span *member = &pricing->members[i];
            add_parts(work, step, charge, member->account, period_intersect(stretch, member->span),
                      &parts);
        }
    }
    join_parts(&parts);
    return parts;
}

/* Whether the fixed amount that a step is on asks a contract for a number: that of its component;
 * behind components, any. */
static bool fixed_asks(const struct price *price, const struct step *own)
{
    bool asks = false;
    for (uint32_t i = 0; &price->steps[i] < own; i++) {
        const struct step *step = &price->steps[i];
        asks = asks || (step->kind == STEP_FIXED && step->fixed.asks_contract);
        if (price->component_count > 0 && step->skip > 0 &&
            own < &price->steps[price_step_after(price, i)]) {
            asks = false; /* another component begins */
        }
    }
    return asks;
}

/* The contract that has a part of a fixed amount to itself, as fixed.c charges it: whose price it
 * is, or whose plan's, or which it asks for a number; else NULL. */
static const struct contract *contract_of_part(const struct work *work, const struct step *step,
                                               const struct price *price,
                                               const struct contract *contract, int level)
{
    bool is_apart = level == LEVEL_CONTRACT;
    if (level == LEVEL_PLAN && contract && contract->plan != NONE) {
        is_apart = price_set_has(&work->catalog->plans[contract->plan].prices, price);
    }
    return is_apart || fixed_asks(price, price_step_of(price, step->node)) ? contract : NULL;
}

/* Of what shrinks as the fixed amount that it is on: the time in which this payer pays that for the
 * account, by any of the versions that have the step; each by itself, and that of each contract,
 * where first parts are measured otherwise, as the amount is charged. */
static struct parts paid_parts(struct work *work, const struct step *step,
                               const struct charge *charge, struct period turn)
{
    const struct accounts *accounts = work->pricing->accounts;
    const struct price *first = work->catalog->prices;
    const struct price *end = first + work->catalog->price_count, *at = charge->price;
    const struct member_spans members = pricing_members(work->pricing, charge->account);
    const struct contract *last = NULL;
    struct parts parts = {0};
    turn = period_intersect(turn,
                            (struct period){accounts->items[charge->account].since, INSTANT_MAX});
    while (at > first && price_is_version(at - 1, charge->price)) {
        at--;
    }
    for (; at < end && price_is_version(at, charge->price); at++) {
        const struct period version = period_intersect(turn, (struct period){at->from, at->to});
        parts.first = step->adjust.stub_back ? parts.count : 0;
        for (uint32_t i = 0; i < members.count && price_step_of(at, step->node); i++) {
            const struct period in = period_intersect(version, members.items[i].span);
            for (instant then = in.from, next; then < in.to; then = next) {
                const struct contract *contract;
                int level;
                (void)accounts_edge(accounts, work->catalog, charge->account, then, &next);
                if (fixed_is_paid(work, at, charge->account, then, &contract, &level)) {
                    contract = contract_of_part(work, step, at, contract, level);
                    parts.first =
                        step->adjust.stub_back && contract != last ? parts.count : parts.first;
                    last = contract;
                    add_part(work, &parts, (struct period){then, next < in.to ? next : in.to});
                }
            }
        }
    }
    if (!step->adjust.stub_back) {
        join_parts(&parts);
    }
    return parts;
}

/* Each part against what the fixed amount of that part is measured against. */
static enum status prorate_stubs(struct work *work, struct proration how, const struct parts *parts,
                                 struct period turn, struct period whole, const struct clock *clock,
                                 struct dec *value)
{
    struct dec sum = DEC_ZERO, one;
    for (uint32_t i = 0; i < parts->count; i++) {
        struct period measure = fixed_measure(true, clock, parts->items[i], turn.from, whole);
        TRY(prorate_parts(how, &parts->items[i], 1, turn, measure, clock->zone, *value, &one,
                          work->err));
        TRY(dec_add(sum, one, &sum, work->err));
    }
    *value = sum;
    return OK;
}

/* ---- the limit --------------------------------------------------------------------------------
 */

enum status step_prorated(struct work *work, const struct step *step, struct proration how,
                          const struct charge *charge, struct period turn, struct dec *value)
{
    if (how.rule == PRORATE_NONE) {
        return OK;
    }
    struct period stretch = find_stretch(work, step, charge, turn);
    struct parts parts = {.items = &stretch, .count = 1};
    if (!work->term) {
        parts = version_parts(work, step, charge->price, stretch);
    }
    bool is_of_plan =
        work->term ? work->term->level == LEVEL_PLAN : turn_end_is_of_plan(work, step);
    if (step_adjusts(step) && step->adjust.prorate_as_fixed) {
        parts = paid_parts(work, step, charge, turn);
    } else if (is_of_plan && !(step->scope == SCOPE_CONTRACT && charge->contract)) {
        parts = find_parts(work, step, charge, &parts);
    }
    struct period whole = turn;
    struct clock clock = step->rule;
    if (step->clock == CLOCK_PERIOD) {
        clock = billing_at(&work->pricing->billing, turn.from).clock;
        whole = clock_turn(&clock, turn.from);
    }
    if (step_adjusts(step) && step->adjust.prorate_as_fixed && step->adjust.stub_back) {
        return prorate_stubs(work, how, &parts, turn, whole, &clock, value);
    }
    return prorate_parts(how, parts.items, parts.count, turn, whole, clock.zone, *value, value,
                         work->err);
}

enum status step_restarted(struct work *work, const struct step *step, const struct charge *charge,
                           struct period turn, struct dec *limit)
{
    if (!step->on_change_restart || step->clock == CLOCK_ROW || step->clock == CLOCK_ALWAYS) {
        return OK;
    }
    static const struct proration by_second = {PRORATE_SECOND, DEC_SCALE, ROUND_HALF_EVEN};
    struct period version = {charge->price->from, charge->price->to};
    return prorate_value(by_second, period_intersect(version, turn), turn, NULL, *limit, limit,
                         work->err);
}
