/* unbilled.c - who cannot be billed because an earlier bill failed.
 *
 *     a payer that fails --payer.c--> its closing: "failed", in place of the states it would have
 *     --opening with "failed" --> that payer is not billed either, and its closing says so again
 *
 * What such a payer goes on with is not known, and to bill it from nothing would be a wrong amount
 * that nobody sees.  Where meters, or wallets, hand their state on with an account, those that pay
 * now for the accounts of a payer that failed are in the same position.
 */
#include <stdlib.h>

#include "engine/load.h"
#include "engine/restatement.h"
#include "engine/run.h"
#include "engine/unbilled.h"

void unbilled_add(struct run *run, struct unbilled unbilled)
{
    run->unbilled.items = arena_room(&run->arena, run->unbilled.items, run->unbilled.count,
                                     &run->unbilled.capacity, sizeof *run->unbilled.items);
    run->unbilled.items[run->unbilled.count++] = unbilled;
}

static int compare_unbilled(const void *a_item, const void *b_item)
{
    const struct unbilled *a = a_item, *b = b_item;
    return a->payer < b->payer ? -1 : a->payer > b->payer;
}

const struct unbilled *unbilled_find(const struct run *run, uint32_t payer)
{
    struct unbilled key = {.payer = payer};
    return run->unbilled.count > 0 ? bsearch(&key, run->unbilled.items, run->unbilled.count,
                                             sizeof *run->unbilled.items, compare_unbilled)
                                   : NULL;
}

/* Which states come with an account to whom: none; what is left of its wallet, from whom had it as
 * a turn began to whom has it as one begins (wallets.c); levels, to the one that pays as the period
 * begins, or to all that pay in it. */
enum heirs { NO_HEIRS, WALLET_HEIR, FIRST_HEIR, ALL_HEIRS };

static enum heirs find_heirs(const struct run *run)
{
    enum heirs heirs = run->catalog->has_moves ? WALLET_HEIR : NO_HEIRS;
    bool is_inside = run->has_cuts ||
                     clock_turn(&run->catalog->billing, run->period.from).from < run->period.from;
    for (uint32_t i = 0; i < run->catalog->meter_count; i++) {
        const struct meter *meter = &run->catalog->meters[i];
        if (meter->aggregate == AGGREGATE_TIME_WEIGHTED) {
            return ALL_HEIRS;
        }
        if (aggregate_picks(meter->aggregate) && (meter->carry || is_inside)) {
            heirs = FIRST_HEIR;
        }
    }
    return heirs;
}

static void spread_to(struct run *run, uint32_t payer, uint32_t failed)
{
    if (run->unbilled.by[payer] == NONE) {
        run->unbilled.by[payer] = failed;
    }
}

static void spread_to_heirs(struct run *run, uint32_t account, uint32_t failed, enum heirs heirs)
{
    if (heirs == WALLET_HEIR) {
        const struct billing_of billing = run_billing(run, failed);
        instant turn = billing_turn(&billing, run->period.from).from;
        spread_to(run, accounts_payer(run->accounts, account, turn), failed);
        return;
    }
    uint32_t payer;
    for (instant at = run->period.from; payers_next(run, account, &at, &payer);) {
        spread_to(run, payer, failed);
        if (heirs == FIRST_HEIR) {
            return;
        }
    }
}

/* Whether a bill that ends as the period begins has told the account's levels. */
static bool was_told(const struct run *run, uint32_t account)
{
    const instant at = run->period.from - 1;
    const uint32_t payer = accounts_payer(run->accounts, account, at);
    return accounts_is_paid_by(run->accounts, run->catalog, account, payer, at) &&
           !unbilled_find(run, payer);
}

/* Levels are lent to a view that begins, and to the account that it had, by whoever has them
 * (opening.c): where the one that failed was the only one, they have none. */
static void spread_to_borrowers(struct run *run, uint32_t account, uint32_t failed,
                                enum heirs heirs)
{
    const struct accounts *accounts = run->accounts;
    const uint32_t own = accounts_own(accounts, account);
    if (heirs == WALLET_HEIR || !accounts_has_copies(accounts, own)) {
        return;
    }
    const uint32_t first = accounts->copy_first[own], end = accounts->copy_first[own + 1];
    bool is_told = was_told(run, own);
    for (uint32_t i = first; i < end && !is_told; i++) {
        is_told = was_told(run, accounts->copies[i]);
    }
    for (uint32_t i = first; i <= end && !is_told; i++) {
        spread_to_heirs(run, i < end ? accounts->copies[i] : own, failed, heirs);
    }
}

/* As the turn began in which it failed first. */
static instant turn_of_failure(const struct run *run, const struct unbilled *unbilled)
{
    const struct billing_of billing = run_billing(run, unbilled->payer);
    return billing_turn(&billing, unbilled->span.from).from;
}

/* Whether one of the turns for which the payer was not billed began in a time. */
static bool has_turn_in(const struct run *run, const struct unbilled *unbilled, struct period time)
{
    const struct billing_of billing = run_billing(run, unbilled->payer);
    const instant first = turn_of_failure(run, unbilled);
    const instant at = time.from < first ? first : time.from;
    const struct period turn = billing_turn(&billing, at);
    const instant begins = turn.from < at ? turn.to : turn.from;
    return begins < time.to && begins < unbilled->span.to;
}

/* All payers of the account while it was not billed. */
static void look_at_account(struct run *run, uint32_t account, struct period failed,
                            enum heirs heirs)
{
    for (instant at = failed.from, next; at < failed.to; at = next) {
        uint32_t payer = accounts_payer(run->accounts, account, at);
        (void)accounts_edge(run->accounts, run->catalog, account, at, &next);
        const struct unbilled *unbilled = unbilled_find(run, payer);
        bool had_state = unbilled && (heirs == WALLET_HEIR
                                          ? has_turn_in(run, unbilled, (struct period){at, next})
                                          : unbilled->span.from < next && at < unbilled->span.to);
        if (had_state) {
            spread_to_heirs(run, account, payer, heirs);
            spread_to_borrowers(run, account, payer, heirs);
        }
    }
}

void unbilled_spread(struct run *run)
{
    if (run->unbilled.count == 0) {
        return;
    }
    qsort(run->unbilled.items, run->unbilled.count, sizeof *run->unbilled.items, compare_unbilled);
    uint32_t count = run->accounts->count;
    run->unbilled.by = arena_alloc(&run->arena, (count + 1) * sizeof *run->unbilled.by);
    for (uint32_t i = 0; i < count; i++) {
        run->unbilled.by[i] = NONE;
    }
    struct period failed = {INSTANT_MAX, INSTANT_MIN}; /* from the first of them to the last */
    for (uint32_t i = 0; i < run->unbilled.count; i++) {
        const struct unbilled *at = &run->unbilled.items[i];
        run->unbilled.by[at->payer] = at->payer;
        const instant from = turn_of_failure(run, at);
        failed.from = from < failed.from ? from : failed.from;
        failed.to = at->span.to > failed.to ? at->span.to : failed.to;
    }
    enum heirs heirs = find_heirs(run);
    for (uint32_t i = 0; i < count && heirs != NO_HEIRS; i++) {
        look_at_account(run, i, failed, heirs);
    }
}

enum status unbilled_check(const struct run *run, uint32_t payer, struct error *err)
{
    uint32_t by = run->unbilled.by ? run->unbilled.by[payer] : NONE;
    const struct failure *held = run->held ? run->held[payer] : NULL;
    if (held) {
        return fail(err, ERR_CONFLICT, "its bills lie in other turns now, and go together: %.*s",
                    TEXT_ARG(held->message));
    }
    if (by == NONE) {
        return OK;
    }
    char to[TIME_FORMAT_MAX];
    (void)time_format_short(unbilled_find(run, by)->span.to, to);
    if (by == payer) {
        return fail(err, ERR_CONFLICT,
                    "it was not billed for the time before %s, so what it goes on with is not "
                    "known: correct that first, and give the closing of the correction",
                    to);
    }
    if (!accounts_has_bills(run->accounts, by)) {
        return fail(err, ERR_CONFLICT,
                    "what its accounts go on with is not known, since who had them before %s was "
                    "not billed: correct that first, and give the closing of the correction",
                    to);
    }
    return fail(err, ERR_CONFLICT,
                "it has accounts of %.*s, which was not billed for the time before %s, so what "
                "these go on with is not known: correct that first, and give the closing of the "
                "correction",
                TEXT_ARG(run->accounts->items[by].id), to);
}
