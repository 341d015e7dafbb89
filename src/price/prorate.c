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

/* Versions that go on in one bucket have one limit: the time in which a price has the step, in one
 * version or another, without a gap.  Its neighbours in the catalog's order are its versions. */
static struct period all_versions(const struct work *work, const struct price *price, uint32_t node)
{
    struct period all = {price->from, price->to};
    const struct price *first = work->catalog->prices;
    const struct price *end = first + work->catalog->price_count;
    if (price < first || price >= end) {
        return all; /* an override */
    }
    for (const struct price *at = price; at > first && price_is_version(at - 1, price) &&
                                         at[-1].to == all.from && price_step_of(at - 1, node);
         at--) {
        all.from = at[-1].from;
    }
    for (const struct price *at = price; at + 1 < end && price_is_version(at + 1, price) &&
                                         at[1].from == all.to && price_step_of(at + 1, node);
         at++) {
        all.to = at[1].to;
    }
    return all;
}

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

/* In which all holds but a plan, which may come and go. */
static struct period find_stretch(const struct work *work, const struct step *step,
                                  const struct charge *charge, struct period turn)
{
    struct period stretch = turn;
    if (!work->term) {
        struct period version = {charge->price->from, charge->price->to};
        stretch = period_intersect(stretch, step->on_change_restart
                                                ? version
                                                : all_versions(work, charge->price, step->node));
    }
    const struct contract *contract = own_contract(work, step, charge);
    if (contract) {
        stretch = period_intersect(stretch, (struct period){contract->from, contract->to});
    }
    instant since = work->pricing->accounts->items[step_scope_account(work, step, charge)].since;
    return period_intersect(stretch, (struct period){since, INSTANT_MAX});
}

/* ---- the parts of it in which a plan holds ----------------------------------------------------
 */

struct parts {
    struct period *items; /* apart from each other once they are joined */
    uint32_t count, capacity;
};

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
        if (parts->count == parts->capacity) {
            uint32_t more = parts->capacity ? parts->capacity * 2 : 8;
            parts->items =
                arena_grow(work->arena, parts->items, parts->count, more, sizeof *parts->items);
            parts->capacity = more;
        }
        parts->items[parts->count++] = (struct period){at, next < stretch.to ? next : stretch.to};
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
                               const struct charge *charge, struct period stretch)
{
    const struct pricing *pricing = work->pricing;
    struct parts parts = {0};
    if (step->scope == SCOPE_ORGANIZATION || step->scope == SCOPE_CONTRACT) {
        for (uint32_t i = 0; i < pricing->member_count; i++) {
            const struct member_span *member = &pricing->members[i];
            add_parts(work, step, charge, member->account, period_intersect(stretch, member->span),
                      &parts);
        }
    } else {
        add_parts(work, step, charge, charge->account, stretch, &parts);
    }
    join_parts(&parts);
    return parts;
}

/* ---- the limit --------------------------------------------------------------------------------
 */

enum status step_prorated(struct work *work, const struct step *step, enum prorate prorate,
                          int digits, enum rounding mode, const struct charge *charge,
                          struct period turn, struct dec *value)
{
    if (prorate == PRORATE_NONE) {
        return OK;
    }
    struct period stretch = find_stretch(work, step, charge, turn);
    struct parts parts = {.items = &stretch, .count = 1};
    bool is_of_plan =
        work->term ? work->term->level == LEVEL_PLAN : turn_end_is_of_plan(work, step);
    if (is_of_plan && !(step->scope == SCOPE_CONTRACT && charge->contract)) {
        parts = find_parts(work, step, charge, stretch);
    }
    struct period whole = turn;
    const struct zone *zone = step->rule.zone;
    if (step->clock == CLOCK_PERIOD) {
        struct billing billing = billing_at(&work->pricing->billing, turn.from);
        whole = clock_turn(&billing.clock, turn.from);
        zone = billing.clock.zone;
    }
    return prorate_parts(prorate, digits, mode, parts.items, parts.count, turn, whole, zone, *value,
                         value, work->err);
}

enum status step_restarted(struct work *work, const struct step *step, const struct charge *charge,
                           struct period turn, struct dec *limit)
{
    if (!step->on_change_restart || step->clock == CLOCK_ROW || step->clock == CLOCK_ALWAYS) {
        return OK;
    }
    struct period version = {charge->price->from, charge->price->to};
    return prorate_value(PRORATE_SECOND, DEC_SCALE, ROUND_HALF_EVEN,
                         period_intersect(version, turn), turn, NULL, *limit, limit, work->err);
}
