/* turn_end.c - what waits for the end of a bucket's turn: minimums, and tiers that settle at the
 * end.
 *
 * They are due as the turn ends, or as the contract ends that the bucket belongs to
 * (doc/pricing/tier.md, bound.md): a private step of its own prices, or one over the scope of the
 * contract.  What is due is what the version in force then says.  When nothing was used in the bill
 * in which it is due, the bucket is known by its state in the opening alone: its name tells node,
 * scope and turn.
 */
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

static bool is_of_catalog(const struct work *work, const struct price *price)
{
    return price >= work->catalog->prices &&
           price < work->catalog->prices + work->catalog->price_count;
}

/* When the account has the price of a plan for the last time in the turn: a contract that ends, or
 * one that begins and brings another plan; the turn's end when it keeps it. */
static instant plan_end(const struct work *work, const struct price *price, uint32_t account,
                        struct period turn)
{
    const struct accounts *accounts = work->pricing->accounts;
    const struct catalog *catalog = work->catalog;
    instant end = turn.to;
    bool holds = false;
    for (instant at = turn.from, next; at < turn.to; at = next) {
        (void)accounts_edge(accounts, catalog, account, at, &next);
        const struct contract *contract = accounts_contract(accounts, catalog, account, at);
        uint32_t plan = catalog_plan_of(catalog, contract, accounts->items[account].plan);
        holds = plan != NONE && price_set_has(&catalog->plans[plan].prices, price);
        if (holds) {
            end = next;
        }
    }
    return holds || end > turn.to ? turn.to : end;
}

bool turn_end_is_of_contract(const struct work *work, const struct step *step,
                             const struct price *price, const struct contract *contract)
{
    return contract && step->shared == NONE && is_of_catalog(work, price) &&
           text_starts_with(work->catalog->node_names[step->node], TEXT("@contract/")) &&
           price_set_has(&contract->prices, price);
}

bool turn_end_is_of_plan(const struct work *work, const struct step *step)
{
    return step->shared == NONE &&
           text_starts_with(work->catalog->node_names[step->node], TEXT("@plan/"));
}

instant turn_end_due(const struct work *work, const struct step *step, const struct price *price,
                     const struct contract *contract, uint32_t account, struct period turn)
{
    if (!is_of_catalog(work, price) || step->clock == CLOCK_ROW) {
        return turn.to;
    }
    if (contract && contract->to < turn.to &&
        (step->scope == SCOPE_CONTRACT || turn_end_is_of_contract(work, step, price, contract))) {
        return contract->to;
    }
    if (step->scope != SCOPE_CONTRACT && turn_end_is_of_plan(work, step)) {
        return plan_end(work, price, account, turn);
    }
    return turn.to;
}

static bool is_by_sku(const struct step *step)
{
    uint32_t at = 0;
    while (at < step->by_count && step->by[at].kind != BY_SKU) {
        at++;
    }
    return at < step->by_count;
}

bool turn_end_is_pooled(const struct step *step)
{
    return step->shared != NONE && step->clock != CLOCK_ROW && !is_by_sku(step);
}

static bool settles(const struct step *step)
{
    return step_settles(step) || step_is_whole(step);
}

const struct step *turn_end_step(const struct work *work, const struct step *step, instant due,
                                 const struct price **price)
{
    if (step->on_change_restart || step->clock == CLOCK_ROW || !is_of_catalog(work, *price)) {
        return step;
    }
    if (turn_end_is_pooled(step)) {
        *price = &work->catalog->prices[work->catalog->node_price[step->node]];
    }
    /* Versions are neighbours, in the order of their dates. */
    const struct price *first = work->catalog->prices;
    const struct price *end = first + work->catalog->price_count, *at = *price;
    const struct price *like = at;
    while (at > first && price_is_version(at - 1, like)) {
        at--;
    }
    const struct step *found = NULL;
    for (; at < end && price_is_version(at, like); at++) {
        for (uint32_t i = 0; i < at->step_count && at->from < due; i++) {
            /* One that begins anew has a bucket of its own. */
            if (at->steps[i].node == step->node && settles(&at->steps[i]) &&
                !at->steps[i].on_change_restart && text_equal(at->steps[i].unit, step->unit)) {
                found = &at->steps[i];
                *price = at;
            }
        }
    }
    if (!found && step->shared != NONE) {
        found = price_step_of(*price, step->node);
    }
    return found ? found : step;
}

struct charge turn_end_charge(const struct work *work, const struct bucket *bucket,
                              const struct step *step, const struct price *price, instant due,
                              const struct charge *like)
{
    instant end = due < work->pricing->cut.to ? due : work->pricing->cut.to;
    instant at = step->clock == CLOCK_ROW ? like->at : end - 1; /* a row's turn is its instant */
    const struct contract *contract = like->contract;
    if (!turn_end_is_of_contract(work, step, price, contract)) {
        contract = work_contract(work, bucket->account, at);
    }
    return (struct charge){.kind = CHARGE_USAGE,
                           .has_amount = true,
                           .level = like->level,
                           .account = bucket->account,
                           .sku = turn_end_is_pooled(step) ? NONE : like->sku,
                           .series = NONE,
                           .row = NONE,
                           .order = CHARGE_OF_NO_ROW,
                           .tier = NONE,
                           .of = NONE,
                           .at = at,
                           .span = period_intersect(bucket->turn, work->pricing->cut),
                           .price = price,
                           .step = step,
                           .contract = contract,
                           .keys =
                               bucket_keys(work, bucket->keyed_by, bucket->resource, bucket->by),
                           .unit = like->unit,
                           .next_step = price_step_after(price, (uint32_t)(step - price->steps))};
}

/* ---- states that nothing entered ------------------------------------------------------------- */

/* The contract that a bucket is of: by its id, or because the price is its own. */
static const struct contract *find_contract(const struct work *work, const struct price *price,
                                            uint32_t account, struct text id)
{
    const struct catalog *catalog = work->catalog;
    const struct account *item = &work->pricing->accounts->items[account];
    for (uint32_t i = 0; i < item->contract_count; i++) {
        const struct contract *contract =
            &catalog->contracts[work->pricing->accounts->contract_of[item->contract_first + i]];
        if (id.size > 0 ? text_equal(contract->id, id) : price_set_has(&contract->prices, price)) {
            return contract;
        }
    }
    for (uint32_t i = 0; i < catalog->contract_count && id.size == 0; i++) {
        if (price_set_has(&catalog->contracts[i].prices, price)) {
            return &catalog->contracts[i]; /* of a member, over the organization */
        }
    }
    return NULL;
}

/* The version that restarts a bucket, by the instant in its name. */
static const struct price *find_version(const struct work *work, const struct price *price,
                                        uint32_t node, struct text from)
{
    const struct price *end = work->catalog->prices + work->catalog->price_count;
    for (const struct price *at = price; at < end && price_is_version(at, price); at++) {
        char time[TIME_FORMAT_MAX];
        int size = time_format(at->from, time);
        if (text_equal((struct text){time, (size_t)size}, from) && price_step_of(at, node)) {
            return at;
        }
    }
    return NULL;
}

/* The version that opened a bucket, by the scope and the keys in its name; the first when none has
 * them any more. */
static const struct price *find_opener(const struct work *work, const struct price *price,
                                       uint32_t node, struct text name)
{
    const struct price *end = work->catalog->prices + work->catalog->price_count;
    for (const struct price *at = price; at < end && price_is_version(at, price); at++) {
        const struct step *step = price_step_of(at, node);
        if (step && bucket_name_fits(work->arena, name, work->catalog, step)) {
            return at;
        }
    }
    return price;
}

/* The first price of a set that passes the node with that SKU; NULL. */
static const struct price *first_of_sku(const struct price_set *set, uint32_t node, uint32_t sku)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        if (price_step_of(price, node) && (!price->skus || price_has_sku(price, sku))) {
            return price;
        }
    }
    return NULL;
}

/* The price that passes the node with that SKU: of what is in force for the account then, else of
 * the catalog, the plans and the contracts, by their names, since they have the order of the files.
 */
static const struct price *price_of_sku(const struct work *work, uint32_t node, uint32_t sku,
                                        uint32_t account, instant at, const struct price *otherwise)
{
    const struct catalog *catalog = work->catalog;
    const struct accounts *accounts = work->pricing->accounts;
    const struct contract *contract = accounts_contract(accounts, catalog, account, at);
    uint32_t plan = catalog_plan_of(catalog, contract, accounts->items[account].plan);
    const struct price *found = contract ? first_of_sku(&contract->prices, node, sku) : NULL;
    if (!found && plan != NONE) {
        found = first_of_sku(&catalog->plans[plan].prices, node, sku);
    }
    if (!found) {
        found = first_of_sku(&catalog->public_prices, node, sku);
    }
    if (found) {
        return found;
    }
    struct text name = TEXT("");
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        const struct price *price = first_of_sku(&catalog->plans[i].prices, node, sku);
        if (price && (!found || text_compare(catalog->plans[i].name, name) < 0)) {
            found = price;
            name = catalog->plans[i].name;
        }
    }
    for (uint32_t i = 0; i < catalog->contract_count && !found; i++) { /* sorted */
        found = first_of_sku(&catalog->contracts[i].prices, node, sku);
    }
    return found ? found : otherwise;
}

/* What settles an opening state in this bill; false when nothing does. */
static bool find_due(struct work *work, uint32_t opening, struct due *due)
{
    const struct catalog *catalog = work->catalog;
    const struct bucket_state *state = &work->pricing->opening[opening];
    struct period cut = work->pricing->cut;
    if (state->turn.to <= cut.from) {
        return false;
    }
    size_t at = 0;
    struct text name = bucket_name_part(work->arena, state->key, &at);
    uint32_t node = map_find(&catalog->node_by_name, name);
    if (node == MAP_NONE || catalog->node_price[node] == NONE) {
        return false;
    }
    const struct price *price = &catalog->prices[catalog->node_price[node]];
    struct text part;
    price = bucket_name_label(work->arena, state->key, TEXT("version="), &part)
                ? find_version(work, price, node, part)
                : find_opener(work, price, node, state->key);
    const struct step *step = price ? price_step_of(price, node) : NULL;
    if (!step || (!step_kind_takes_charges(step->kind) && step->kind != STEP_TIER)) {
        return false;
    }
    const struct accounts *accounts = work->pricing->accounts;
    uint32_t account = accounts_find(accounts, accounts_view(accounts, work->pricing->payer),
                                     bucket_name_part(work->arena, state->key, &at));
    if (account == MAP_NONE) {
        return false;
    }
    struct text id;
    (void)bucket_name_label(work->arena, state->key, TEXT("contract="), &id);
    (void)bucket_name_label(work->arena, state->key, TEXT("resource="), &due->resource);
    due->sku = NONE;
    if (step->shared == NONE) {
        bool has_other = bucket_name_label(work->arena, state->key, TEXT("sku="), &part);
        due->sku = map_find(&catalog->sku_by_name, has_other ? part : price->name);
    } else if (!turn_end_is_pooled(step)) {
        (void)bucket_name_label(work->arena, state->key, TEXT("sku:"), &part);
        due->sku = map_find(&catalog->sku_by_name, part);
        instant last = (state->turn.to < cut.to ? state->turn.to : cut.to) - 1;
        price = price_of_sku(work, node, due->sku, account, last, price);
        step = price_step_of(price, node);
    }
    const struct contract *contract = NULL;
    if (id.size > 0 || text_starts_with(name, TEXT("@contract/"))) {
        contract = find_contract(work, price, account, id);
    }
    instant end = turn_end_due(work, step, price, contract, account, state->turn);
    if (end <= cut.from || end > cut.to) {
        return false;
    }
    step = turn_end_step(work, step, end, &price);
    due->node = node;
    due->opening = opening;
    due->account = account;
    due->step = step;
    due->price = price;
    due->contract = contract;
    due->at = end;
    return step_waits(step) || (step_is_whole(step) && step->tier.settle_at_end);
}

static int compare_due(const void *a_item, const void *b_item)
{
    const struct due *a = a_item, *b = b_item;
    if (a->node != b->node) {
        return a->node < b->node ? -1 : 1;
    }
    return a->opening < b->opening ? -1 : a->opening > b->opening;
}

void turn_end_prepare(struct work *work)
{
    uint32_t count = work->pricing->opening_count;
    if (count == 0) {
        return;
    }
    work->due = arena_calloc(work->arena, count, sizeof *work->due);
    for (uint32_t i = 0; i < count; i++) {
        struct arena_mark mark = arena_mark(work->arena);
        struct due *due = &work->due[work->due_count];
        bool is_due = find_due(work, i, due);
        if (!is_due || due->resource.size == 0) {
            arena_rewind(work->arena, mark);
        }
        work->due_count += is_due;
    }
    qsort(work->due, work->due_count, sizeof *work->due, compare_due);
}

uint32_t turn_end_node(const struct work *work)
{
    return work->due_at < work->due_count ? work->due[work->due_at].node : NONE;
}

static enum status settle_due(struct work *work, const struct due *due)
{
    const struct pricing *pricing = work->pricing;
    const struct bucket_state *state = &pricing->opening[due->opening];
    const struct step *step = due->step;
    const struct price *price = due->price;
    struct text node = work->catalog->node_names[due->node];
    struct bucket bucket = {.step = step,
                            .keyed_by = step,
                            .account = due->account,
                            .turn = state->turn,
                            .x = state->x,
                            .high = state->high};
    int8_t level = text_starts_with(node, TEXT("@contract/")) ? LEVEL_CONTRACT
                   : text_starts_with(node, TEXT("@plan/"))   ? LEVEL_PLAN
                                                              : LEVEL_CATALOG;
    struct charge like = {.level = level,
                          .sku = due->sku,
                          .contract = due->contract,
                          .unit = step->unit}; /* what a meter alone says is not known by now */
    struct charge charge = turn_end_charge(work, &bucket, step, price, due->at, &like);
    charge.keys = bucket_keys_of_name(work, state->key);
    struct trace trace = {.row = NONE,
                          .charge = NONE,
                          .account = due->account,
                          .price = price,
                          .step = step,
                          .bucket = state->key,
                          .turn = state->turn,
                          .before = state->x,
                          .after = state->x,
                          .f_before = state->x,
                          .tier = NONE};
    const struct merged of_resource = {.series = {.resource = due->resource}};
    struct charge asking = charge; /* its numbers may ask for usage on the scope */
    asking.merged = &of_resource;
    if (step_kind_takes_charges(step->kind)) {
        TRY(step_charge_due(work, step, state, &asking, &charge, &trace.f_after));
        charge.list = charge.amount;
        TRY(step_charge_f_before(step, state, &trace.f_before, work->err));
        trace.limit = trace.f_after;
    } else {
        trace.f_before = state->y;
        TRY(step_whole_value(work, step, &asking, &bucket, &charge.tier, &trace.f_after));
        TRY(dec_subtract(trace.f_after, state->y, &charge.amount, work->err));
        const struct tier_values *tier = bucket.values;
        tier += charge.tier == NONE ? 0 : charge.tier;
        trace.tier = charge.tier;
        charge.list = DEC_ZERO; /* the rows have theirs */
        charge.quantity = charge.tier == NONE ? DEC_ZERO : state->x;
        charge.has_rate = charge.tier != NONE;
        charge.rate = charge.tier == NONE ? DEC_ZERO : tier->rate;
        trace.tier_from = tier->from;
        trace.tier_to = tier->up_to;
    }
    if (!dec_is_zero(charge.amount)) {
        charge.net = charge.amount;
        work->notes[due->opening].emitted = charge.amount;
        trace.made_from = work->charge_count;
        trace.made_to = work->charge_count + 1;
        work_trace(work, &trace);
        work_push(work, work_add_charge(work, &charge));
    }
    return OK;
}

enum status turn_end_settle(struct work *work, uint32_t node)
{
    for (; work->due_at < work->due_count && work->due[work->due_at].node == node; work->due_at++) {
        const struct due *due = &work->due[work->due_at];
        work->asking = due->step;
        enum status status = work->notes[due->opening].is_used ? OK : settle_due(work, due);
        if (status != OK) {
            return work_fail(work, status, due->price, due->step, due->account);
        }
    }
    return OK;
}
