/* hold.c - see hold.h.  Every date that might change something is a candidate; what holds right
 * before it and at it is compared.  Few dates lie inside a slot, so few comparisons are made.
 */
#include "catalog/hold.h"

#include "base/nofloat.h"

const struct price *hold_price(const struct accounts *accounts, const struct catalog *catalog,
                               const struct usage_kind *kind, instant at,
                               const struct contract **contract)
{
    const struct account *account = &accounts->items[kind->account];
    const struct price_set *overrides =
        account->override == NONE ? NULL : &accounts->overrides[account->override].prices;
    *contract = accounts_contract(accounts, catalog, kind->account, at);
    struct dimension_values dimensions = {kind->meter, kind->dimensions};
    return catalog_price(catalog, overrides, *contract, account->plan, kind->sku, &dimensions, at,
                         NULL);
}

/* True when the two are versions of one price that say the same. */
static bool say_the_same(const struct price *a, const struct price *b)
{
    if (a == b) {
        return true;
    }
    if (!a || !b || !text_equal(a->name, b->name)) {
        return false;
    }
    if (a->has_content && b->has_content) {
        return hash_equal(a->content, b->content);
    }
    /* Overrides: equal steps are one object in memory. */
    return !a->has_content && !b->has_content && a->steps == b->steps;
}

static bool asks_contract(const struct price *price)
{
    for (uint32_t i = 0; price && i < price->step_count; i++) {
        if (price->steps[i].scope == SCOPE_CONTRACT) {
            return true;
        }
    }
    return price && price->asks_contract;
}

static bool is_change(const struct accounts *accounts, const struct catalog *catalog,
                      const struct usage_kind *kind, instant edge)
{
    const struct contract *old, *new;
    const struct price *before = hold_price(accounts, catalog, kind, edge - 1, &old);
    const struct price *after = hold_price(accounts, catalog, kind, edge, &new);
    return !say_the_same(before, after) || (old != new &&asks_contract(after));
}

/* A slot on its way. */
struct narrowing {
    const struct accounts *accounts;
    const struct catalog *catalog;
    const struct usage_kind *kind;
    instant at;
    struct period *slot;
};

static void try_edge(const struct narrowing *n, instant edge)
{
    if (edge <= n->slot->from || edge >= n->slot->to ||
        !is_change(n->accounts, n->catalog, n->kind, edge)) {
        return;
    }
    if (edge <= n->at) {
        n->slot->from = edge;
    } else {
        n->slot->to = edge;
    }
}

static void try_prices(const struct narrowing *n, const struct price_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        if (!price->is_fixed && price_has_sku(price, n->kind->sku)) {
            try_edge(n, price->from);
            try_edge(n, price->to);
        }
    }
}

void hold_narrow(const struct accounts *accounts, const struct catalog *catalog,
                 const struct usage_kind *kind, instant at, struct period *slot)
{
    /* First, so that what is above the account is the same at every candidate. */
    accounts_narrow(accounts, kind->account, at, slot);
    struct narrowing n = {accounts, catalog, kind, at, slot};
    for (uint32_t i = catalog->sku_edge_first[kind->sku];
         i < catalog->sku_edge_first[kind->sku + 1]; i++) {
        try_edge(&n, catalog->sku_edges[i]);
    }
    const struct account *own = &accounts->items[kind->account];
    if (own->override != NONE) {
        try_prices(&n, &accounts->overrides[own->override].prices);
    }
    for (uint32_t account = kind->account; account != NONE;
         account = accounts_above(accounts, account, at)) {
        const struct account *item = &accounts->items[account];
        for (uint32_t i = 0; i < item->contract_count; i++) {
            const struct contract *contract =
                &catalog->contracts[accounts->contract_of[item->contract_first + i]];
            try_edge(&n, contract->from);
            try_edge(&n, contract->to);
            try_prices(&n, &contract->prices);
        }
    }
}

void hold_narrow_to_turns(const struct accounts *accounts, const struct catalog *catalog,
                          const struct usage_kind *kind, bool hours_only, instant at,
                          struct period *slot)
{
    if (hours_only ? !catalog->has_odd_clocks : catalog->slot_clock_count == 0) {
        return;
    }
    const struct contract *contract;
    const struct price *price = hold_price(accounts, catalog, kind, at, &contract);
    for (uint32_t i = 0; price && i < price->clock_count; i++) {
        const struct slot_clock *item = &catalog->slot_clocks[price->clocks[i]];
        if (hours_only && item->hour_aligned) {
            continue;
        }
        if (item->calendar) {
            *slot = calendar_stretch(item->calendar, at, *slot);
            continue;
        }
        struct clock clock = item->clock;
        if (item->of_contract) {
            if (!contract) {
                continue;
            }
            clock = clock_anchored(clock.every, clock.count, contract->from, clock.zone);
        }
        *slot = period_intersect(*slot, clock_turn(&clock, at));
    }
}
