/* billing.c - see billing.h. */
#include "catalog/billing.h"

#include "base/nofloat.h"

static bool is_calendar(const struct clock *clock)
{
    struct clock calendar = clock_calendar(clock->every, clock->zone);
    const struct civil *a = &clock->anchor, *b = &calendar.anchor;
    bool midnight = a->hour == 0 && a->minute == 0 && a->second == 0 && a->nanosecond == 0;
    bool day = clock->every == EVERY_WEEK
                   ? civil_weekday(civil_to_days(a->year, a->month, a->day)) == 1
               : clock->every >= EVERY_MONTH ? a->day == 1
                                             : true;
    bool month = clock->every == EVERY_YEAR      ? a->month == b->month
                 : clock->every == EVERY_QUARTER ? a->month % 3 == 1
                                                 : true;
    return clock->count == 1 && midnight && day && month;
}

bool billing_is_calendar(const struct catalog *catalog)
{
    return !catalog->billing_at_account && !catalog->has_contract_billing &&
           is_calendar(&catalog->billing);
}

struct billing_of billing_of(const struct catalog *catalog, const struct accounts *accounts,
                             uint32_t payer, instant at)
{
    uint32_t view = accounts_view(accounts, payer);
    while (view != NONE) {
        const struct contract *contract = &catalog->contracts[accounts->views[view].contract];
        if (contract->source == NONE) {
            break;
        }
        contract = &catalog->contracts[contract->source];
        payer = accounts_buyer(accounts, contract);
        view = contract->view;
        if (view == NONE) {
            payer = accounts_payer(accounts, payer, at);
        }
    }
    return (struct billing_of){catalog, accounts, payer};
}

/* The contract whose billing holds at that instant; NULL: none.  *span is while it does. */
static const struct contract *contract_at(const struct billing_of *of, instant at,
                                          struct period *span)
{
    const struct account *account = &of->accounts->items[of->payer];
    const struct contract *holds = NULL;
    *span = (struct period){INSTANT_MIN, INSTANT_MAX};
    for (uint32_t i = 0; i < account->contract_count && !holds; i++) {
        const struct contract *contract =
            &of->catalog->contracts[of->accounts->contract_of[account->contract_first + i]];
        if (!contract->has_billing) {
            continue;
        }
        if (contract->from <= at && at < contract->to) {
            holds = contract;
            *span = period_intersect(*span, (struct period){contract->from, contract->to});
        } else if (contract->to <= at) {
            span->from = contract->to > span->from ? contract->to : span->from;
        } else {
            span->to = contract->from < span->to ? contract->from : span->to;
        }
    }
    return holds;
}

struct billing billing_at(const struct billing_of *of, instant at)
{
    const struct catalog *catalog = of->catalog;
    struct billing billing = {.clock = catalog->billing, .span = {INSTANT_MIN, INSTANT_MAX}};
    instant since = of->accounts->items[of->payer].since;
    if (catalog->has_contract_billing) {
        billing.contract = contract_at(of, at, &billing.span);
    }
    if (billing.contract) {
        billing.clock = billing.contract->billing;
        if (billing.contract->billing_at_start) {
            billing.clock = clock_since(billing.clock, billing.contract->from);
        }
    } else if (catalog->billing_at_account) {
        billing.clock = clock_since(billing.clock, since);
    }
    billing.is_custom = !is_calendar(&billing.clock);
    return billing;
}

struct period billing_turn(const struct billing_of *of, instant at)
{
    const struct billing billing = billing_at(of, at);
    const struct period whole = clock_turn(&billing.clock, at);
    struct period turn = whole;
    /* A turn may begin before the first instant there is, west of UTC. */
    for (instant edge = billing.span.from; edge > turn.from && edge > INSTANT_MIN;) {
        struct billing before = billing_at(of, edge - 1);
        if (period_equal(clock_turn(&before.clock, edge), whole)) {
            edge = before.span.from;
        } else {
            turn.from = edge;
        }
    }
    for (instant edge = billing.span.to; edge < turn.to;) {
        struct billing behind = billing_at(of, edge);
        if (period_equal(clock_turn(&behind.clock, edge), whole)) {
            edge = behind.span.to;
        } else {
            turn.to = edge;
        }
    }
    return turn;
}
