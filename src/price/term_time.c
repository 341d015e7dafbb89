/* term_time.c - to whom a term applies, and when what it owes is due.
 *
 * A term is a plan's, a contract's or the catalog's, and is in force for an account while that has
 * the plan or contract.  What waits in a bucket is due as its turn ends, or before that the time in
 * which the term is in force, or the time in which the payer pays for anybody: whichever is first
 * (doc/pricing/terms.md).  turn_end.c says the same of steps of prices.
 */
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

/* ---- in force ------------------------------------------------------------------------------ */

const struct contract *term_contract(const struct work *work, const struct charge *charge)
{
    if (charge->contract) {
        return charge->contract;
    }
    if (charge->row == NONE && charge->level >= LEVEL_TERMS &&
        charge->step->scope == SCOPE_CONTRACT) {
        return NULL; /* of those who had none, whoever has one as its time comes */
    }
    return charge->row == NONE ? work_contract(work, charge->account, charge->at)
                               : accounts_contract(work->pricing->accounts, work->catalog,
                                                   charge->account, charge->at);
}

uint32_t term_plan_of(const struct work *work, uint32_t account, const struct contract *contract)
{
    return catalog_plan_of(work->catalog, contract, work->pricing->accounts->items[account].plan);
}

bool term_is_in_force(const struct work *work, const struct term *term, uint32_t account,
                      instant at)
{
    if (at < work->pricing->accounts->items[account].since) {
        return false;
    }
    if (term->level == LEVEL_CATALOG) {
        return true;
    }
    const struct contract *contract =
        accounts_contract(work->pricing->accounts, work->catalog, account, at);
    return term->level == LEVEL_CONTRACT ? contract == term->contract
                                         : term_plan_of(work, account, contract) == term->plan;
}

struct period term_in_force(const struct work *work, const struct term *term,
                            const struct contract *const *own, uint32_t account, struct period span)
{
    const struct accounts *accounts = work->pricing->accounts;
    struct period found = {span.to, span.to};
    for (instant at = span.from, next; at < span.to; at = next) {
        (void)accounts_edge(work->pricing->accounts, work->catalog, account, at, &next);
        if (term_is_in_force(work, term, account, at) &&
            (!own || accounts_contract(accounts, work->catalog, account, at) == *own)) {
            found.from = found.from == span.to ? at : found.from;
            found.to = next < span.to ? next : span.to;
        }
    }
    return found;
}

bool term_holds(const struct work *work, uint32_t account, instant at)
{
    return term_is_in_force(work, work->term, account, at);
}

/* ---- due ----------------------------------------------------------------------------------- */

static int compare_spans(const void *a_item, const void *b_item)
{
    const struct period *a = a_item, *b = b_item;
    return (a->from > b->from) - (a->from < b->from);
}

/* The stretches in which the payer pays for anybody, in order. */
static void find_paid(struct work *work)
{
    const struct pricing *pricing = work->pricing;
    uint32_t count = pricing->member_count, kept = 0;
    struct period *spans = arena_alloc(work->arena, (count + 1) * sizeof *spans);
    for (uint32_t i = 0; i < count; i++) {
        spans[i] = pricing->members[i].span;
    }
    if (count > 1) {
        qsort(spans, count, sizeof *spans, compare_spans);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (kept > 0 && spans[i].from <= spans[kept - 1].to) {
            instant to = spans[i].to;
            spans[kept - 1].to = to > spans[kept - 1].to ? to : spans[kept - 1].to;
        } else {
            spans[kept++] = spans[i];
        }
    }
    work->paid = spans;
    work->paid_count = kept;
}

/* What a turn leaves is due as the payer has nobody to pay for any more, so that it is owed
 * wherever bills are cut. */
static instant due_at_last(struct work *work, struct period turn, instant due)
{
    if (!work->paid) {
        find_paid(work);
    }
    for (uint32_t i = work->paid_count; i-- > 0;) {
        if (work->paid[i].from < turn.to) {
            instant end = work->paid[i].to;
            return end > turn.from && end < due ? end : due;
        }
    }
    return due;
}

/* When the account has the plan for the last time in a turn, its end when it has none; what it used
 * before its own start is in it, too. */
static instant plan_due(const struct work *work, const struct term *term, uint32_t account,
                        struct period turn)
{
    const struct accounts *accounts = work->pricing->accounts;
    instant due = turn.to;
    for (instant at = turn.from, next; at < turn.to; at = next) {
        (void)accounts_edge(accounts, work->catalog, account, at, &next);
        const struct contract *contract = accounts_contract(accounts, work->catalog, account, at);
        if (term_plan_of(work, account, contract) == term->plan) {
            due = next < turn.to ? next : turn.to;
        }
    }
    return due;
}

/* As the turn ends, or the contract, or the plan's time in it; a bucket that accounts share, for
 * others of whom the plan may go on, as the turn ends. */
static instant turn_due(const struct work *work, const struct step *step,
                        const struct contract *contract, uint32_t account, struct period turn)
{
    const struct term *term = work->term;
    if (step->clock == CLOCK_ROW) {
        return turn.to;
    }
    contract = term->level == LEVEL_CONTRACT   ? term->contract
               : step->scope == SCOPE_CONTRACT ? contract
                                               : NULL;
    if (contract) {
        return contract->to > turn.from && contract->to < turn.to ? contract->to : turn.to;
    }
    bool is_shared = step->scope == SCOPE_ORGANIZATION || step->scope == SCOPE_CONTRACT;
    if (term->level == LEVEL_PLAN && !is_shared) {
        return plan_due(work, term, account, turn);
    }
    return turn.to;
}

instant term_due(struct work *work, const struct step *step, const struct contract *contract,
                 uint32_t account, struct period turn)
{
    instant due = turn_due(work, step, contract, account, turn);
    return step->clock == CLOCK_ROW ? due : due_at_last(work, turn, due);
}

/* ---- by which contract ------------------------------------------------------------------------
 */

const struct contract *term_contract_due(const struct work *work, const struct step *step,
                                         uint32_t account, const struct contract *last, instant due)
{
    const struct term *term = work->term;
    if (term->level == LEVEL_CONTRACT || step->scope == SCOPE_CONTRACT) {
        return last;
    }
    instant end = due < work->pricing->cut.to ? due : work->pricing->cut.to;
    const struct contract *then = work_contract(work, account, end - 1);
    bool has_term = then && (term->level != LEVEL_PLAN || then->plan == term->plan);
    return has_term ? then : last;
}

/* The contract that brings the plan whose term it is: two plans that follow each other by contracts
 * are two lines. */
static const struct contract *plan_contract(const struct work *work, uint32_t account, instant at)
{
    const struct contract *contract =
        work->term->level == LEVEL_PLAN ? work_contract(work, account, at) : NULL;
    return contract && contract->plan == work->term->plan ? contract : NULL;
}

struct charge term_charge(const struct work *work, const struct step *step, uint32_t account,
                          const struct contract *contract, struct period turn, instant due,
                          instant row_at)
{
    const struct term *term = work->term;
    struct period cut = work->pricing->cut;
    instant end = due < cut.to ? due : cut.to;
    bool is_of_contract = term->level == LEVEL_CONTRACT || step->scope == SCOPE_CONTRACT;
    return (struct charge){.kind = CHARGE_USAGE,
                           .has_amount = true,
                           .level = (int8_t)level_of_terms(term->level),
                           .account = account,
                           .sku = NONE,
                           .series = NONE,
                           .row = NONE,
                           .order = CHARGE_OF_NO_ROW,
                           .tier = NONE,
                           .of = NONE,
                           .at = step->clock == CLOCK_ROW ? row_at : end - 1,
                           .span = period_intersect(turn, cut),
                           .price = term->list,
                           .step = step,
                           .contract =
                               is_of_contract ? contract : plan_contract(work, account, end - 1),
                           .unit = TEXT(""),
                           .next_step = term->list->step_count};
}
