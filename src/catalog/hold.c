/* hold.c - see hold.h.  Every date that might change something is a candidate; what holds right
 * before it and at it is compared.  Few dates lie inside a slot, so few comparisons are made.
 */
#include "catalog/hold.h"

#include "base/money.h"

#include "base/nofloat.h"

/* NULL when no price matches.  *contract, the one in force, may be NULL. */
static const struct price *find_price(const struct accounts *accounts,
                                      const struct catalog *catalog, const struct usage_kind *kind,
                                      instant at, const struct contract **contract)
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

/* The lists of steps that usage passes: of its price, and the terms in force for its account; NULL
 * where there is none. */
enum { LISTS = 4 };
struct lists {
    const struct price *items[LISTS];
};

static struct lists lists_of(const struct accounts *accounts, const struct catalog *catalog,
                             const struct usage_kind *kind, const struct contract *contract,
                             const struct price *price)
{
    struct lists lists = {{price}};
    if (catalog->has_terms) {
        uint32_t plan = catalog_plan_of(catalog, contract, accounts->items[kind->account].plan);
        const struct price *terms[] = {plan == NONE ? NULL : &catalog->plans[plan].terms,
                                       contract ? &contract->terms : NULL, &catalog->terms};
        for (int i = 1; i < LISTS; i++) {
            lists.items[i] = terms[i - 1] && terms[i - 1]->step_count > 0 ? terms[i - 1] : NULL;
        }
    }
    return lists;
}

static bool is_change(const struct accounts *accounts, const struct catalog *catalog,
                      const struct usage_kind *kind, instant edge)
{
    const struct contract *old, *new;
    const struct price *before = find_price(accounts, catalog, kind, edge - 1, &old);
    const struct price *after = find_price(accounts, catalog, kind, edge, &new);
    if (!say_the_same(before, after)) {
        return true;
    }
    struct lists were = lists_of(accounts, catalog, kind, old, NULL);
    struct lists are = lists_of(accounts, catalog, kind, new, NULL);
    bool asks = asks_contract(after);
    for (int i = 0; i < LISTS; i++) {
        if (were.items[i] != are.items[i]) {
            return true;
        }
        asks = asks || asks_contract(are.items[i]);
    }
    return old != new &&asks;
}

static void narrow_to_edge(instant edge, instant at, struct period *slot)
{
    slot->from = edge <= at && edge > slot->from ? edge : slot->from;
    slot->to = edge > at && edge < slot->to ? edge : slot->to;
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

static const struct price *price_at(const struct price_set *set, struct price_range range,
                                    uint32_t place)
{
    return &set->base[range.prices[place]];
}

static void try_price(const struct narrowing *n, const struct price *price)
{
    if (!price->is_fixed) {
        try_edge(n, price->from);
        try_edge(n, price->to);
    }
}

static void try_prices(const struct narrowing *n, const struct price_set *set)
{
    const uint32_t wanted[] = {n->kind->sku, NONE};
    for (int r = 0; r < 2; r++) {
        struct price_range range = price_set_find(set, wanted[r]);
        uint32_t plain = 0;
        for (; plain < range.count && price_at(set, range, plain)->selector_count > 0; plain++) {
            try_price(n, price_at(set, range, plain));
        }
        /* From the instant on, and from it back, as far as the slot still goes. */
        const uint32_t next = price_range_begun(set, range, plain, n->at);
        for (uint32_t i = next; i > plain; i--) {
            const struct price *price = price_at(set, range, i - 1);
            try_price(n, price);
            if (price->from <= n->slot->from && !price->is_fixed) {
                break;
            }
        }
        for (uint32_t i = next; i < range.count && price_at(set, range, i)->from < n->slot->to;
             i++) {
            try_price(n, price_at(set, range, i));
        }
    }
}

/* From the instant on, and from it back, as far as the slot still goes. */
static void try_sku_edges(const struct narrowing *n)
{
    const instant *edges = n->catalog->sku_edges;
    const uint32_t first = n->catalog->sku_edge_first[n->kind->sku];
    const uint32_t end = n->catalog->sku_edge_first[n->kind->sku + 1];
    uint32_t next = first;
    for (uint32_t high = end; next < high;) {
        uint32_t middle = next + (high - next) / 2;
        if (edges[middle] <= n->at) {
            next = middle + 1;
        } else {
            high = middle;
        }
    }
    for (uint32_t i = next; i > first && edges[i - 1] > n->slot->from; i--) {
        try_edge(n, edges[i - 1]);
    }
    for (uint32_t i = next; i < end && edges[i] < n->slot->to; i++) {
        try_edge(n, edges[i]);
    }
}

void hold_narrow(const struct accounts *accounts, const struct catalog *catalog,
                 const struct usage_kind *kind, instant at, struct period *slot)
{
    /* First, so that what is above the account is the same at every candidate. */
    accounts_narrow(accounts, kind->account, at, slot);
    for (uint32_t i = 0; i < catalog->source_edge_count; i++) {
        narrow_to_edge(catalog->source_edges[i], at, slot);
    }
    struct narrowing n = {accounts, catalog, kind, at, slot};
    try_sku_edges(&n);
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

/* Room for the text of an attribute that is no text. */
struct key_room {
    char bytes[DEC_FORMAT_MAX];
};

static struct text attribute_text(const struct sku *sku, uint32_t name, struct key_room *room)
{
    for (uint32_t i = 0; i < sku->attribute_count; i++) {
        const struct expr_value *value = &sku->attributes[i].value;
        if (sku->attributes[i].name == name && value->type == EXPR_TEXT) {
            return value->text;
        }
        if (sku->attributes[i].name == name && value->type == EXPR_NUMBER) {
            int size = dec_format(value->number, room->bytes);
            return (struct text){room->bytes, (size_t)size};
        }
        if (sku->attributes[i].name == name && value->type == EXPR_BOOL) {
            return value->truth ? TEXT("true") : TEXT("false");
        }
    }
    return TEXT("");
}

/* The value of a key for usage of a kind; false when the kind does not tell it. */
static bool key_value(const struct accounts *accounts, const struct catalog *catalog,
                      const struct usage_kind *kind, struct by_key key, struct key_room *room,
                      struct text *value)
{
    const struct sku *sku = &catalog->skus[kind->sku];
    *value = TEXT("");
    switch (key.kind) {
    case BY_SKU:
        *value = sku->name;
        return true;
    case BY_PRODUCT:
        if (sku->product != NONE) {
            *value = catalog->products[sku->product].name;
        }
        return true;
    case BY_ACCOUNT:
        *value = accounts->items[kind->account].id;
        return true;
    case BY_ATTRIBUTE:
        *value = attribute_text(sku, key.index, room);
        return true;
    case BY_DIMENSION:
        for (uint32_t i = 0; i < kind->meter->dimension_count; i++) {
            if (kind->meter->dimensions[i].name == key.index) {
                *value = kind->dimensions[i];
            }
        }
        return true;
    case BY_RESOURCE:
    case BY_UNIT:
    case BY_TAX_RATE:
    case BY_GRANT:
        break;
    }
    return false;
}

/* When what a table with dates says of the usage may change. */
static struct period table_span(const struct accounts *accounts, const struct catalog *catalog,
                                const struct usage_kind *kind, const struct slot_clock *item,
                                instant at)
{
    const struct rate_table *table = item->table;
    struct text key[8];
    struct key_room rooms[8];
    bool is_known = !item->any_key;
    for (uint32_t i = 0; i < table->key_count && is_known; i++) {
        is_known = key_value(accounts, catalog, kind, table->keys[i], &rooms[i], &key[i]);
    }
    return rate_table_span(table, is_known ? key : NULL, at);
}

/* True when usage of the kind is what usage() of the tally tells. */
static bool tally_counts(const struct tally *tally, const struct catalog *catalog,
                         const struct usage_kind *kind)
{
    return tally->sku != NONE ? kind->sku == tally->sku
                              : kind->meter == &catalog->meters[tally->meter];
}

/* In a view there is its own contract alone: what another contract asks for cuts nothing there. */
static bool is_asked_elsewhere(const struct accounts *accounts, const struct catalog *catalog,
                               const struct tally *tally, uint32_t account)
{
    uint32_t view = accounts_view(accounts, account);
    struct text asker = tally->asker, owner = TEXT("@contract/");
    if (view == NONE || asker.size <= owner.size || memcmp(asker.at, owner.at, owner.size) != 0) {
        return false;
    }
    struct text id = catalog->contracts[accounts->views[view].contract].id;
    return asker.size - owner.size <= id.size || asker.at[owner.size + id.size] != '/' ||
           memcmp(asker.at + owner.size, id.at, id.size) != 0;
}

/* A charge is paid by the grants that live at its time, so it has none of another one's. */
static void narrow_to_grants(const struct step_credit *credit, instant at, struct period *slot)
{
    for (uint32_t i = 0; i < credit->grant_count; i++) {
        const struct grant *grant = &credit->grants[i];
        narrow_to_edge(grant->from, at, slot);
        narrow_to_edge(grant->to, at, slot);
        if (grant->recurs && grant->from <= at && at < grant->to) {
            *slot = period_intersect(*slot, clock_turn(&grant->every, at));
        }
    }
    for (uint32_t i = 0; i < credit->reset_count; i++) {
        narrow_to_edge(credit->resets[i], at, slot);
    }
}

/* A row, and what is asked of its customer. */
struct asked {
    const struct accounts *accounts;
    const struct catalog *catalog;
    uint32_t account, payer;
    const bool *names; /* of each, whether it is asked */
    instant at;
    struct period *slot;
};

static bool says_another(const struct asked *asked, instant edge)
{
    for (uint32_t name = 0; name < asked->catalog->customer_name_count; name++) {
        if (!asked->names[name]) {
            continue;
        }
        struct expr_value before = accounts_customer(asked->accounts, asked->catalog,
                                                     asked->account, asked->payer, name, edge - 1);
        struct expr_value after = accounts_customer(asked->accounts, asked->catalog, asked->account,
                                                    asked->payer, name, edge);
        bool is_same = before.type == after.type &&
                       (before.type == EXPR_MISSING || expr_value_equal(&before, &after));
        if (!is_same) {
            return true;
        }
    }
    return false;
}

static void try_customer_edge(const struct asked *asked, instant edge)
{
    struct period narrow = *asked->slot;
    narrow_to_edge(edge, asked->at, &narrow);
    bool is_nearer = narrow.from > asked->slot->from || narrow.to < asked->slot->to;
    if (is_nearer && says_another(asked, edge)) {
        *asked->slot = narrow;
    }
}

/* To the time in which what is asked of the customer is the same: said of the account, or of its
 * payer.  Where records begin or end and nothing that is asked changes, no row is cut. */
static void narrow_to_customer(const struct asked *asked)
{
    const struct accounts *accounts = asked->accounts;
    const uint32_t whose[] = {accounts_own(accounts, asked->account),
                              accounts_own(accounts, asked->payer)};
    for (int k = 0; k < 2 && whose[k] != NONE /* nobody: see accounts_views.c */; k++) {
        for (uint32_t i = accounts_first_setting(accounts, whose[k]);
             i < accounts->setting_count && accounts->settings[i].account == whose[k]; i++) {
            if (accounts->settings[i].name < SETTING_SHARING) {
                try_customer_edge(asked, accounts->settings[i].from);
                try_customer_edge(asked, accounts->settings[i].to);
            }
        }
        const struct catalog *catalog = asked->catalog;
        uint32_t found = map_find(&catalog->customer_by_id, accounts->items[whose[k]].id);
        for (; found != MAP_NONE && found != NONE; found = catalog->customers[found].next) {
            try_customer_edge(asked, catalog->customers[found].from);
            try_customer_edge(asked, catalog->customers[found].to);
        }
    }
}

/* True when a price is in the one currency that its payer is billed in, whatever the bill: where
 * rates of exchange change, nothing does for what it prices. */
static bool is_never_converted(const struct accounts *accounts, const struct catalog *catalog,
                               const struct price *price, uint32_t payer)
{
    const struct currency *currency = price_currency(catalog, price);
    const struct account *account = &accounts->items[payer];
    const struct currency *said = currency_of_number(account->currency);
    bool is_one = (said ? said : catalog->currency) == currency;
    for (uint32_t i = 0; i < account->contract_count && is_one; i++) {
        uint32_t index = accounts->contract_of[account->contract_first + i];
        said = catalog->contracts[index].currency;
        is_one = !said || said == currency;
    }
    return is_one;
}

static void narrow_to_turn(const struct accounts *accounts, const struct catalog *catalog,
                           const struct usage_kind *kind, const struct slot_clock *item,
                           const struct contract *contract, instant at, struct period *slot)
{
    if (item->calendar) {
        *slot = calendar_stretch(item->calendar, at, *slot);
    } else if (item->table) {
        *slot = period_intersect(*slot, table_span(accounts, catalog, kind, item, at));
    } else if (item->credit) {
        narrow_to_grants(item->credit, at, slot);
    } else if (item->of_customer) {
        const uint32_t payer = accounts_payer(accounts, kind->account, at);
        bool is_view = accounts_view(accounts, payer) != NONE; /* what it sells its payer buys */
        struct asked asked = {
            accounts, catalog, is_view ? payer : kind->account, payer, item->of_customer, at, slot};
        narrow_to_customer(&asked);
    } else if (item->of_account) {
        bool is_own = item->scope == SCOPE_RESOURCE || item->scope == SCOPE_ACCOUNT;
        bool is_buyer = item->scope == SCOPE_CONTRACT && contract;
        uint32_t account = is_own     ? kind->account
                           : is_buyer ? accounts_buyer(accounts, contract)
                                      : accounts_payer(accounts, kind->account, at);
        struct clock clock = clock_since(item->clock, accounts->items[account].since);
        *slot = period_intersect(*slot, clock_turn(&clock, at));
    } else if (!item->of_contract) {
        *slot = period_intersect(*slot, clock_turn(&item->clock, at));
    } else if (contract) {
        struct clock clock = clock_since(item->clock, contract->from);
        *slot = period_intersect(*slot, clock_turn(&clock, at));
    }
}

void hold_narrow_to_turns(const struct accounts *accounts, const struct catalog *catalog,
                          const struct usage_kind *kind, bool hours_only, instant at,
                          struct period *slot)
{
    if (hours_only ? !catalog->has_odd_clocks && !accounts->has_odd_settings
                   : catalog->slot_clock_count == 0) {
        return;
    }
    const struct contract *contract;
    const struct price *price = find_price(accounts, catalog, kind, at, &contract);
    struct lists lists = lists_of(accounts, catalog, kind, contract, price);
    /* A term is over charges, and one value is one charge: of the turn in which it begins. */
    const int list_count = meter_is_one_value(kind->meter) ? 1 : LISTS;
    for (int i = 0; price && i < list_count; i++) {
        uint32_t count = lists.items[i] ? lists.items[i]->clock_count : 0;
        for (uint32_t k = 0; k < count; k++) {
            const struct slot_clock *item = &catalog->slot_clocks[lists.items[i]->clocks[k]];
            bool is_odd = !item->hour_aligned || (item->of_customer && accounts->has_odd_settings);
            if (item->of_exchange && !item->is_resold &&
                is_never_converted(accounts, catalog, price,
                                   accounts_payer(accounts, kind->account, at))) {
                continue;
            }
            if ((!hours_only || is_odd) &&
                (!item->tally ||
                 (tally_counts(item->tally, catalog, kind) &&
                  !is_asked_elsewhere(accounts, catalog, item->tally, kind->account)))) {
                narrow_to_turn(accounts, catalog, kind, item, contract, at, slot);
            }
        }
    }
}
