/* slots.c - where usage is cut into slots, as prices and terms ask for it.
 *
 *     prices with dates              catalog->sku_edges, by SKU
 *     clocks of steps, calendars,    catalog->slot_clocks, each once; price->clocks, those that its
 *     tables with dates, grants,     rows are cut by
 *     what is asked of customers
 *     what depends on the contract   price->asks_contract
 *
 * A slot is an hour at most, so what changes at whole hours of UTC alone cuts none
 * (slot_clock.hour_aligned); catalog->has_odd_clocks says that something does.
 */
#include "catalog/load.h"

#include "base/nofloat.h"

/* ---- dates of prices ---- */

static void mark_prices(const struct price_set *set, bool *marks)
{
    for (uint32_t i = 0; i < set->count; i++) {
        marks[set->prices[i]] = true;
    }
}

/* The prices of catalog and plans that have a date and take usage; their number in *count. */
static const struct price **find_dated(struct loader *loader, uint32_t *count)
{
    const struct catalog *catalog = loader->catalog;
    bool *is_common = arena_calloc(loader->arena, catalog->price_count + 1, sizeof *is_common);
    mark_prices(&catalog->public_prices, is_common);
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        mark_prices(&catalog->plans[i].prices, is_common);
    }
    const struct price **dated =
        arena_calloc(loader->arena, catalog->price_count + 1, sizeof *dated);
    *count = 0;
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        bool is_dated = price->from != INSTANT_MIN || price->to != INSTANT_MAX;
        if (is_common[p] && is_dated && !price->is_fixed) {
            dated[(*count)++] = price;
        }
    }
    return dated;
}

/* Puts the dates of a price, with each SKU that may have it, where place says that the SKU's next
 * one goes; without edges they are only counted. */
static void put_dates(const struct catalog *catalog, const struct price *price, uint32_t *place,
                      instant *edges)
{
    const instant dates[] = {price->from, price->to};
    uint32_t sku_count = price->skus ? price->sku_count : catalog->sku_count;
    for (uint32_t k = 0; k < sku_count; k++) {
        uint32_t *next = &place[price->skus ? price->skus[k] : k];
        for (int i = 0; i < 2; i++) {
            if (dates[i] != INSTANT_MIN && dates[i] != INSTANT_MAX) {
                if (edges) {
                    edges[*next] = dates[i];
                }
                (*next)++;
            }
        }
    }
}

/* Of each SKU, the effective dates of the prices of catalog and plans that may be its own; those of
 * contracts are looked up with the contract. */
static void collect_sku_edges(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    uint32_t dated_count;
    const struct price **dated = find_dated(loader, &dated_count);
    /* Counts of SKU i stand at i + 2; added up, i + 1 says where its dates begin, and when these
     * are filled in, where they end, which is where those of SKU i + 1 begin. */
    uint32_t *first = arena_calloc(loader->arena, (size_t)catalog->sku_count + 2, sizeof *first);
    for (uint32_t p = 0; p < dated_count; p++) {
        put_dates(catalog, dated[p], first + 2, NULL);
    }
    for (uint32_t sku = 0; sku < catalog->sku_count; sku++) {
        first[sku + 2] += first[sku + 1];
    }
    uint32_t count = first[catalog->sku_count + 1];
    instant *edges = arena_alloc(loader->arena, ((size_t)count + 1) * sizeof *edges);
    for (uint32_t p = 0; p < dated_count; p++) {
        put_dates(catalog, dated[p], first + 1, edges);
    }
    for (uint32_t sku = 0; sku < catalog->sku_count; sku++) {
        instants_sort(edges + first[sku], first[sku + 1] - first[sku]);
    }
    catalog->sku_edges = edges;
    catalog->sku_edge_first = first;
}

/* ---- clocks, calendars and tables ---- */

/* True when no turn of the clock begins inside an hour of UTC. Offsets are looked at twice a year;
 * they change no more often between whole and half hours. */
static bool is_hour_aligned(const struct clock *clock)
{
    const struct civil *anchor = &clock->anchor;
    if (anchor->minute != 0 || anchor->second != 0 || anchor->nanosecond != 0) {
        return false;
    }
    for (int32_t year = 1970; clock->zone != NULL && year < 2262; year++) {
        for (int32_t month = 1; month <= 7; month += 6) {
            instant at = civil_to_days(year, month, 1) * NS_PER_DAY;
            if (zone_offset_seconds(clock->zone, at) % 3600 != 0) {
                return false;
            }
        }
    }
    return true;
}

static bool same_clock(const struct clock *a, const struct clock *b)
{
    return a->every == b->every && a->count == b->count && a->zone == b->zone &&
           memcmp(&a->anchor, &b->anchor, sizeof a->anchor) == 0;
}

/* The clock of a step in catalog->slot_clocks; NONE when it has none that could cut a row. */
static uint32_t find_slot_clock(struct catalog *catalog, const struct step *step,
                                const struct tally *tally, struct slot_clock *items)
{
    bool of_contract = step->clock == CLOCK_CONTRACT, of_account = step->clock == CLOCK_ACCOUNT;
    if (step->clock != CLOCK_RULE && !of_contract && !of_account) {
        return NONE;
    }
    if (tally && tally->slot_clock != NONE) {
        return tally->slot_clock; /* it has one, and all prices that it counts ask for it */
    }
    for (uint32_t i = 0; i < catalog->slot_clock_count && !tally; i++) {
        if (!items[i].calendar && !items[i].table && !items[i].credit && !items[i].of_customer &&
            items[i].of_contract == of_contract && items[i].of_account == of_account &&
            (!of_account || items[i].scope == step->scope) && items[i].tally == tally &&
            same_clock(&items[i].clock, &step->rule)) {
            return i;
        }
    }
    if (tally) {
        ((struct tally *)tally)->slot_clock = catalog->slot_clock_count; /* of this loader */
    }
    bool is_aligned = !of_contract && !of_account && is_hour_aligned(&step->rule);
    catalog->has_odd_clocks = catalog->has_odd_clocks || !is_aligned;
    items[catalog->slot_clock_count] = (struct slot_clock){
        .clock = step->rule,
        .tally = tally,
        .of_contract = of_contract,
        .of_account = of_account,
        .scope = step->scope,
        .hour_aligned = is_aligned,
    };
    return catalog->slot_clock_count++;
}

/* The calendars and tables that a price's expressions ask, and what they ask of the customer. */
struct call_use {
    bool *calendars, *tables, *customer; /* of each; of each of its names */
    bool any, any_customer;
};

static void note_customer(void *context, const struct expr *expr)
{
    struct call_use *use = context;
    size_t count = 0;
    const uint32_t *slots = expr == NULL ? NULL : expr_slots(expr, &count);
    for (size_t i = 0; i < count; i++) {
        if (slots[i] >= NAME_CUSTOMER && slots[i] < NAME_SAVINGS) {
            use->customer[slots[i] - NAME_CUSTOMER] = use->any_customer = true;
        }
    }
}

static void note_calls(void *context, const struct expr *expr)
{
    struct call_use *use = context;
    size_t count = 0;
    const uint32_t *calls = expr == NULL ? NULL : expr_calls(expr, &count);
    for (size_t i = 0; i < count; i++) {
        bool is_table = calls[i] >= CALL_LOOKUP && calls[i] < CALL_USAGE;
        if (is_table) {
            use->tables[calls[i] - CALL_LOOKUP] = use->any = true;
        } else if (calls[i] < CALL_LOOKUP) {
            use->calendars[calls[i] - CALL_CALENDAR] = use->any = true;
        }
    }
}

/* A table with dates in catalog->slot_clocks; NONE when it has none. */
static uint32_t find_slot_table(struct catalog *catalog, const struct rate_table *table,
                                bool any_key, bool of_exchange, struct slot_clock *items)
{
    if (table == NULL || table->edge_count == 0) {
        return NONE;
    }
    bool is_aligned = true;
    for (uint32_t i = 0; i < table->edge_count; i++) {
        is_aligned = is_aligned && table->edges[i] % NS_PER_HOUR == 0;
    }
    for (uint32_t i = 0; i < catalog->slot_clock_count; i++) {
        if (items[i].table == table && items[i].any_key == any_key &&
            items[i].of_exchange == of_exchange) {
            return i;
        }
    }
    catalog->has_odd_clocks = catalog->has_odd_clocks || !is_aligned;
    bool is_resold = false;
    for (uint32_t i = 0; i < catalog->contract_count && of_exchange; i++) {
        is_resold = is_resold || catalog->contracts[i].source_id.size > 0;
    }
    items[catalog->slot_clock_count] = (struct slot_clock){.hour_aligned = is_aligned,
                                                           .table = table,
                                                           .any_key = any_key,
                                                           .of_exchange = of_exchange,
                                                           .is_resold = is_resold};
    return catalog->slot_clock_count++;
}

/* What is asked of the customer, as a row comes, in catalog->slot_clocks.  When it changes is known
 * with the accounts. */
static uint32_t find_slot_customer(struct catalog *catalog, const bool *names,
                                   struct slot_clock *items)
{
    uint32_t at = 0;
    while (at < catalog->slot_clock_count &&
           !(items[at].of_customer &&
             memcmp(items[at].of_customer, names, catalog->customer_name_count) == 0)) {
        at++;
    }
    if (at == catalog->slot_clock_count) {
        items[catalog->slot_clock_count++] =
            (struct slot_clock){.hour_aligned = true, .of_customer = names};
    }
    return at;
}

/* The grants of a credit in catalog->slot_clocks; NONE when they are there for all of the period,
 * or for all time. */
static uint32_t find_slot_credit(struct catalog *catalog, const struct step *step,
                                 struct slot_clock *items)
{
    const struct step_credit *credit = &step->credit;
    if (step->kind != STEP_CREDIT || credit->is_of_period) {
        return NONE;
    }
    bool is_aligned = true, changes = credit->reset_count > 0;
    for (uint32_t i = 0; i < credit->grant_count; i++) {
        const struct grant *grant = &credit->grants[i];
        changes =
            changes || grant->from != INSTANT_MIN || grant->to != INSTANT_MAX || grant->recurs;
        is_aligned = is_aligned && (grant->from == INSTANT_MIN || grant->from % NS_PER_HOUR == 0) &&
                     (grant->to == INSTANT_MAX || grant->to % NS_PER_HOUR == 0) &&
                     (!grant->recurs || is_hour_aligned(&grant->every));
    }
    for (uint32_t i = 0; i < credit->reset_count; i++) {
        is_aligned = is_aligned && credit->resets[i] % NS_PER_HOUR == 0;
    }
    if (!changes) {
        return NONE;
    }
    catalog->has_odd_clocks = catalog->has_odd_clocks || !is_aligned;
    items[catalog->slot_clock_count] =
        (struct slot_clock){.hour_aligned = is_aligned, .credit = credit};
    return catalog->slot_clock_count++;
}

/* True when it changes at whole hours of UTC alone. */
static bool is_calendar_aligned(const struct calendar *calendar)
{
    struct clock day = clock_calendar(EVERY_DAY, calendar->zone);
    bool is_aligned = is_hour_aligned(&day);
    for (int d = 0; d < 7; d++) {
        for (uint32_t i = 0; i < calendar->days[d].count; i++) {
            is_aligned = is_aligned && calendar->days[d].from[i] % 60 == 0 &&
                         calendar->days[d].to[i] % 60 == 0;
        }
    }
    return is_aligned;
}

static uint32_t find_slot_calendar(struct catalog *catalog, const struct calendar *calendar,
                                   struct slot_clock *items)
{
    for (uint32_t i = 0; i < catalog->slot_clock_count; i++) {
        if (items[i].calendar == calendar) {
            return i;
        }
    }
    bool is_aligned = is_calendar_aligned(calendar);
    catalog->has_odd_clocks = catalog->has_odd_clocks || !is_aligned;
    items[catalog->slot_clock_count] =
        (struct slot_clock){.hour_aligned = is_aligned, .calendar = calendar};
    return catalog->slot_clock_count++;
}

/* Of calendars, then of tables. */
static uint32_t find_slot_named(struct catalog *catalog, uint32_t i, struct slot_clock *items)
{
    uint32_t table = i - catalog->calendar_count;
    return i < catalog->calendar_count
               ? find_slot_calendar(catalog, &catalog->calendars[i], items)
               : find_slot_table(catalog, &catalog->tables[table], true, false, items);
}

/* The numbers of the slot clocks of a price, most of which have none. */
struct clock_list {
    struct loader *loader;
    uint32_t *items;
    uint32_t count, room;
};

static void add_clock(struct clock_list *clocks, uint32_t clock)
{
    if (clock == NONE) {
        return;
    }
    if (!clocks->items) {
        clocks->items = arena_alloc(clocks->loader->arena, clocks->room * sizeof *clocks->items);
    }
    clocks->items[clocks->count++] = clock;
}

/* Whether rows of a price may be of the meter that a tally is of, when it is of one: a meter that
 * counts one SKU is of no other's price. */
static bool tally_may_count(const struct catalog *catalog, const struct tally *tally,
                            const struct price *price)
{
    uint32_t sku = tally->sku == NONE ? catalog->meters[tally->meter].sku : NONE;
    return sku == NONE || sku == MAP_NONE || price->skus == NULL || price_has_sku(price, sku);
}

/* What a step that counts for others means for where rows are cut: as those do. */
static void collect_tally_clocks(struct price *price, struct slot_clock *items,
                                 struct clock_list *clocks)
{
    struct catalog *catalog = clocks->loader->catalog;
    for (uint32_t t = 0; t < catalog->tally_count; t++) {
        const struct tally *tally = &catalog->tallies[t];
        if (tally_fits(tally, price) && tally_may_count(catalog, tally, price)) {
            price->asks_contract = price->asks_contract || step_asks_contract(&tally->step, false);
            add_clock(clocks, find_slot_clock(catalog, &tally->step, tally, items));
        }
    }
}

/* What the steps of a price, or of a list of terms, mean for where rows are cut: their clocks,
 * calendars, dated tables, grants and customers, and whether they ask the contract. */
static void collect_clocks(struct loader *loader, struct price *price, bool of_contract,
                           struct slot_clock *items)
{
    struct catalog *catalog = loader->catalog;
    uint32_t named = catalog->calendar_count + catalog->table_count;
    struct clock_list clocks = {.loader = loader,
                                .room = 2 * price->step_count + named + catalog->tally_count + 2};
    struct call_use use = {.any = false};
    use.calendars = arena_calloc(loader->arena, named + 1, sizeof *use.calendars);
    use.tables = use.calendars + catalog->calendar_count;
    use.customer =
        arena_calloc(loader->arena, catalog->customer_name_count + 1, sizeof *use.customer);
    for (uint32_t i = 0; i < price->step_count && !price->is_fixed; i++) {
        const struct step *step = &price->steps[i];
        if (step->kind == STEP_FIXED) {
            continue; /* of a tariff: it takes no rows, and cuts none */
        }
        price->asks_contract = price->asks_contract || step_asks_contract(step, of_contract);
        if (step->kind == STEP_TALLY) {
            collect_tally_clocks(price, items, &clocks);
        }
        step_visit_alone(step, note_calls, &use);
        if (step->settings_at == SETTINGS_AT_ROW) {
            step_visit_alone(step, note_customer, &use);
        }
        add_clock(&clocks, step->kind == STEP_CREDIT ? find_slot_credit(catalog, step, items)
                                                     : find_slot_clock(catalog, step, NULL, items));
        if (step->kind == STEP_RATE) {
            add_clock(&clocks, find_slot_table(catalog, step->rate.table, false, false, items));
        }
    }
    for (uint32_t i = 0; i < named && use.any; i++) {
        if (use.calendars[i]) {
            add_clock(&clocks, find_slot_named(catalog, i, items));
        }
    }
    if (use.any_customer) {
        add_clock(&clocks, find_slot_customer(catalog, use.customer, items));
    }
    if (catalog->conversion.at == SETTINGS_AT_ROW && !price->is_terms) {
        add_clock(&clocks, find_slot_table(catalog, catalog->conversion.rates, true, true, items));
    }
    price->clocks = clocks.items;
    price->clock_count = clocks.count;
}

/* What covers alone mean for that: an override may pass them without the other steps of a price. */
static void collect_cover_clocks(struct loader *loader, struct slot_clock *items)
{
    for (uint32_t i = 0; i < loader->catalog->shared_count; i++) {
        struct step *step = (struct step *)&loader->catalog->shared[i];
        struct price alone = {.steps = step, .step_count = 1};
        if (step->kind == STEP_COVER) {
            collect_clocks(loader, &alone, false, items);
            step->cover.clocks = alone.clocks;
            step->cover.clock_count = alone.clock_count;
            step->cover.asks_contract = alone.asks_contract;
        }
    }
}

static void collect_slot_clocks(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    uint32_t most = catalog->calendar_count + catalog->table_count + catalog->tally_count +
                    terms_count(catalog);
    most += catalog->price_count + catalog->plan_count + catalog->contract_count; /* of customers */
    most += 3 * catalog->shared_count;
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        most += 2 * catalog->prices[p].step_count;
    }
    struct slot_clock *items = arena_calloc(loader->arena, most + 4, sizeof *items);
    /* What is written to is of this loader. */
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        struct price *price = (struct price *)&catalog->prices[p];
        bool of_contract = price->owner > catalog->plan_count; /* 0: the catalog's own */
        collect_clocks(loader, price, of_contract, items);
    }
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        collect_clocks(loader, (struct price *)&catalog->plans[i].terms, true, items);
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        collect_clocks(loader, (struct price *)&catalog->contracts[i].terms, true, items);
    }
    collect_clocks(loader, &catalog->terms, false, items);
    collect_cover_clocks(loader, items);
    catalog->slot_clocks = items;
}

void collect_slots(struct loader *loader)
{
    collect_slot_clocks(loader);
    collect_sku_edges(loader);
}
