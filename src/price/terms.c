/* terms.c - steps over the charges of all prices: a plan's, then a contract's, then the catalog's,
 * each list in the order written.
 *
 * The bases are the charges that adjust nothing, in the total order; those that have no row stand
 * where their time, account and SKU put them.  A term takes the bases that its owner and its
 * `where` say, and step_charge.c does the rest.  What a term adds on a scope is a base of the terms
 * behind it.
 *
 * A minimum is owed whether or not anything was used: as a turn ends for an account, an
 * organization or a contract to which the term applies, its bucket is settled, from the opening or
 * from nothing.
 *
 * Nothing is ever edited: the amounts of all charges come to what is left of the bases and the
 * taxes on them, which is checked.
 */
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

/* A charge that terms take, and which apply to it. */
struct base {
    uint32_t charge, plan;
    const struct contract *contract;
    uint64_t groups;   /* those of which a term has taken it */
    uint32_t *winners; /* of each group whose best applies: the node; NULL: none yet */
};

/* Which plans and contracts the payer has: indices, each once, ascending. */
struct owners {
    uint32_t *items;
    uint32_t count, capacity;
};

struct run {
    struct work *work;
    struct owners plans, contracts;
    struct base *bases; /* in the total order */
    uint32_t base_count, base_capacity;
    uint32_t *opening_nodes; /* of pricing->opening; made when the first is asked for */
    struct entry *entries;
    uint32_t entry_capacity;
    struct dec *won; /* of each bucket, what the best of a group will take and has not yet */
    uint32_t won_capacity;
};

static struct term term_of_contract(const struct contract *contract)
{
    return (struct term){
        .list = &contract->terms, .level = LEVEL_CONTRACT, .plan = NONE, .contract = contract};
}

static struct term term_of_catalog(const struct catalog *catalog)
{
    return (struct term){.list = &catalog->terms, .level = LEVEL_CATALOG, .plan = NONE};
}

/* ---- bases, in the total order --------------------------------------------------------------- */

static struct text sku_name(const struct work *work, const struct charge *charge)
{
    return charge->sku == NONE ? TEXT("") : work->catalog->skus[charge->sku].name;
}

/* Dimension values in name order, those that lack empty: as rows are in order (usage/series.c). */
static int compare_dimensions(const struct work *work, const struct charge *a,
                              const struct charge *b)
{
    int order = 0;
    for (uint32_t name = 0; order == 0 && name < work->catalog->dimension_count; name++) {
        order = text_compare(charge_dimension(work, a, name), charge_dimension(work, b, name));
    }
    return order;
}

/* What a row has become: its covered parts as they were taken, of which the last one may have the
 * row's own place, then the rest. */
static int compare_parts(const struct work *work, uint32_t a, uint32_t b)
{
    const struct charge *x = &work->charges[a], *y = &work->charges[b];
    int order = (x->kind != CHARGE_COVERED) - (y->kind != CHARGE_COVERED);
    if (order == 0 && x->kind == CHARGE_COVERED) {
        order = (x->events > 0) - (y->events > 0);
    }
    return order ? order : (a > b) - (a < b);
}

/* Rows have their order, which is that of their keys.  Of what has none, and of rows that were made
 * one, whose account may be another than the first row's, the keys say where among them it stands:
 * instant, account, resource and dimensions if its bucket has them, SKU; behind a row with all the
 * same, by what made it. */
int charge_compare(const struct work *work, uint32_t a, uint32_t b)
{
    const struct charge *x = &work->charges[a], *y = &work->charges[b];
    int order = 0;
    if (x->row != NONE && y->row != NONE && !x->merged && !y->merged) {
        order = (x->order > y->order) - (x->order < y->order);
        return order ? order : compare_parts(work, a, b);
    }
    order = (x->at > y->at) - (x->at < y->at);
    order = order ? order : (x->account > y->account) - (x->account < y->account);
    struct by_key resource = {BY_RESOURCE, NONE};
    struct text left = charge_key_value((struct work *)work, x, resource);
    struct text right = charge_key_value((struct work *)work, y, resource);
    order = order ? order : text_compare(left, right);
    order = order ? order : text_compare(sku_name(work, x), sku_name(work, y));
    order = order ? order : compare_dimensions(work, x, y);
    order = order ? order : (x->row == NONE) - (y->row == NONE);
    if (!order && x->row != NONE) {
        order = (x->order > y->order) - (x->order < y->order);
    }
    if (order || x->row != NONE) {
        return order ? order : compare_parts(work, a, b);
    }
    order = (x->step->node > y->step->node) - (x->step->node < y->step->node);
    order = order ? order : text_compare(x->price->name, y->price->name);
    order = order ? order : (x->price->from > y->price->from) - (x->price->from < y->price->from);
    order = order ? order
                  : text_compare(x->contract ? x->contract->id : TEXT(""),
                                 y->contract ? y->contract->id : TEXT(""));
    order = order ? order
                  : text_compare(x->grant ? *x->grant : TEXT(""), y->grant ? *y->grant : TEXT(""));
    order = order ? order : (x->tier > y->tier) - (x->tier < y->tier);
    order = order ? order : (x->span.from > y->span.from) - (x->span.from < y->span.from);
    order = order ? order : dec_compare(x->amount, y->amount);
    return order ? order : (a > b) - (a < b);
}

/* Merge sort: the comparison needs the work. */
static void sort_bases(const struct work *work, struct base *items, struct base *room,
                       uint32_t count)
{
    if (count < 2) {
        return;
    }
    uint32_t half = count / 2;
    sort_bases(work, items, room, half);
    sort_bases(work, items + half, room, count - half);
    if (charge_compare(work, items[half - 1].charge, items[half].charge) <= 0) {
        return;
    }
    memcpy(room, items, half * sizeof *items);
    for (uint32_t a = 0, b = half, to = 0; a < half;) {
        bool is_right = b < count && charge_compare(work, items[b].charge, room[a].charge) < 0;
        items[to++] = is_right ? items[b++] : room[a++];
    }
}

/* What an allowance took is no charge to terms: whether it is on a line changes no amount. */
static bool is_base(const struct charge *charge)
{
    return charge->of == NONE && charge->has_amount && !charge->emitted_free;
}

/* Adds the charges from `first` on that adjust nothing, each at its place. */
static void add_bases(struct run *run, uint32_t first)
{
    struct work *work = run->work;
    uint32_t more = 0;
    for (uint32_t i = first; i < work->charge_count; i++) {
        more += is_base(&work->charges[i]);
    }
    if (more == 0) {
        return;
    }
    if (run->base_count + more > run->base_capacity) {
        uint32_t capacity = run->base_count + more + more / 4 + 16;
        run->bases =
            arena_grow(work->arena, run->bases, run->base_count, capacity, sizeof *run->bases);
        run->base_capacity = capacity;
    }
    for (uint32_t i = first; i < work->charge_count; i++) {
        const struct charge *charge = &work->charges[i];
        if (!is_base(charge)) {
            continue;
        }
        const struct base *last = run->base_count > 0 ? &run->bases[run->base_count - 1] : NULL;
        const struct charge *like = last ? &work->charges[last->charge] : NULL;
        struct base base = {.charge = i};
        if (like && like->account == charge->account && like->at == charge->at &&
            like->contract == charge->contract &&
            (like->step == charge->step || (like->row != NONE && charge->row != NONE))) {
            base.contract = last->contract;
            base.plan = last->plan;
        } else {
            base.contract = term_contract(work, charge);
            base.plan = term_plan_of(work, charge->account, base.contract);
        }
        run->bases[run->base_count++] = base;
    }
    struct arena_mark mark = arena_mark(work->arena);
    struct base *room = arena_alloc(work->arena, run->base_count * sizeof *room);
    sort_bases(work, run->bases, room, run->base_count);
    arena_rewind(work->arena, mark);
}

/* ---- exclusive groups ------------------------------------------------------------------------ */

static bool has_group(const struct step *step)
{
    return (step->kind == STEP_DISCOUNT || step->kind == STEP_MARKUP) && step->adjust.group != NONE;
}

static uint64_t group_bit(const struct step *step)
{
    return UINT64_C(1) << step->adjust.group;
}

static bool has_best(const struct work *work, const struct step *step)
{
    return has_group(step) && (work->catalog->best_groups & group_bit(step)) != 0;
}

static bool applies(const struct term *term, const struct base *base)
{
    return term->level == LEVEL_CATALOG ||
           (term->level == LEVEL_PLAN ? base->plan == term->plan
                                      : base->contract == term->contract);
}

/* A term of a group, what it saves on a charge, and the bucket to which that adds its base. */
struct choice {
    uint32_t node, bucket;
    struct dec saving, base;
};

static struct dec *won_of(struct run *run, uint32_t bucket)
{
    if (bucket >= run->won_capacity) {
        uint32_t more = bucket + bucket / 2 + 16;
        run->won =
            arena_grow(run->work->arena, run->won, run->won_capacity, more, sizeof *run->won);
        memset(run->won + run->won_capacity, 0, (more - run->won_capacity) * sizeof *run->won);
        run->won_capacity = more;
    }
    return &run->won[bucket];
}

/* One that has a limit saves what is left of it, behind the charges that it will have. */
static enum status try_step(struct run *run, const struct step *step, uint32_t index,
                            const struct charge *charge, struct choice *best)
{
    struct work *work = run->work;
    struct choice own = {.node = step->node, .bucket = NONE};
    struct dec before = DEC_ZERO;
    bool takes, is_over;
    TRY(charge_where(work, step, charge, &takes));
    if (!takes) {
        return OK;
    }
    TRY(step_base(work, step, index, charge, &own.base));
    if (!step_charge_is_alone(step)) {
        TRY(bucket_find(work, step, charge, &own.bucket));
        TRY(dec_add(work->buckets[own.bucket].x, *won_of(run, own.bucket), &before, work->err));
    }
    TRY(step_charge_saving(work, step, index, charge, before, own.base, &is_over, &own.saving));
    if (!is_over && (best->node == NONE || dec_compare(own.saving, best->saving) > 0)) {
        *best = own;
    }
    return OK;
}

/* Those of the group in a list, from one of its steps on. */
static enum status try_list(struct run *run, const struct term *term, size_t from, uint32_t group,
                            uint32_t index, const struct charge *charge, struct choice *best)
{
    struct work *work = run->work;
    const struct term *running = work->term;
    const struct step *asking = work->asking;
    for (size_t i = from; i < term->list->step_count; i++) {
        const struct step *step = &term->list->steps[i];
        if (has_group(step) && step->adjust.group == group) {
            work->term = term;
            work->asking = step;
            TRY(try_step(run, step, index, charge, best));
        }
    }
    work->term = running;
    work->asking = asking;
    return OK;
}

/* The node of the term of a group that saves most on a charge as it is when the first of the group
 * comes, of that one and those behind it; of equal ones the first. */
static enum status find_best(struct run *run, const struct step *step, struct base *base,
                             const struct charge *charge, uint32_t *winner)
{
    struct work *work = run->work;
    const struct catalog *catalog = work->catalog;
    const struct term *term = work->term;
    const uint32_t group = step->adjust.group;
    if (!base->winners) {
        base->winners = arena_alloc(work->arena, catalog->group_count * sizeof *base->winners);
        memset(base->winners, 0xFF, catalog->group_count * sizeof *base->winners);
    }
    *winner = base->winners[group];
    if (*winner != NONE) {
        return OK;
    }
    struct choice best = {.node = NONE, .bucket = NONE};
    const struct term of_catalog = term_of_catalog(catalog);
    TRY(try_list(run, term, (size_t)(step - term->list->steps), group, base->charge, charge,
                 &best));
    if (term->level == LEVEL_PLAN && base->contract) {
        const struct term of_contract = term_of_contract(base->contract);
        TRY(try_list(run, &of_contract, 0, group, base->charge, charge, &best));
    }
    if (term->level != LEVEL_CATALOG) {
        TRY(try_list(run, &of_catalog, 0, group, base->charge, charge, &best));
    }
    if (best.bucket != NONE) {
        struct dec *won = won_of(run, best.bucket);
        TRY(dec_add(*won, best.base, won, work->err));
    }
    *winner = base->winners[group] = best.node;
    return OK;
}

static enum status takes_base(struct run *run, const struct step *step, struct base *base,
                              bool *takes)
{
    struct work *work = run->work;
    const struct charge *charge = &work->charges[base->charge];
    struct charge copy;
    if (!charge->contract && base->contract) {
        copy = *charge;
        copy.contract = base->contract;
        charge = &copy;
    }
    TRY(charge_where(work, step, charge, takes));
    if (!*takes || !has_group(step)) {
        return OK;
    }
    if (has_best(work, step)) {
        uint32_t winner;
        TRY(find_best(run, step, base, charge, &winner));
        *takes = winner == step->node;
        return OK;
    }
    *takes = !(base->groups & group_bit(step));
    return OK;
}

/* One that is over, or that takes nothing of a charge, leaves it to the next of its group. */
static void mark_taken(struct run *run, const struct step *step, uint32_t first, uint32_t count)
{
    struct work *work = run->work;
    struct arena_mark mark = arena_mark(work->arena);
    bool *is_taken = arena_calloc(work->arena, first + 1u, sizeof *is_taken);
    for (uint32_t i = first; i < work->charge_count; i++) {
        uint32_t of = work->charges[i].of;
        if (of < first) {
            is_taken[of] = true;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (step_charge_takes_whole(work, &run->entries[i])) {
            is_taken[run->entries[i].charge] = true;
        }
    }
    for (uint32_t i = 0; i < run->base_count; i++) {
        if (is_taken[run->bases[i].charge]) {
            run->bases[i].groups |= group_bit(step);
        }
    }
    arena_rewind(work->arena, mark);
}

/* ---- what waits for the end of a turn -------------------------------------------------------- */

static enum status settle_scope(struct work *work, const struct step *step, uint32_t account,
                                const struct contract *contract, instant due,
                                const struct bucket_state *state, struct dec *amount)
{
    struct period turn = state->turn;
    struct dec x = state->x;
    struct text name = state->key;
    struct charge scope = term_charge(work, step, account, contract, turn, due, due);
    struct charge asks = scope;
    struct dec f;
    asks.contract = contract;
    struct charge owed = scope;
    TRY(step_charge_due(work, step, state, &asks, &owed, &f));
    scope.kind = owed.kind;
    scope.keys = bucket_keys_of_name(work, name);
    scope.sku = owed.sku;
    scope.amount = scope.net = scope.list = *amount = owed.amount;
    if (dec_is_zero(scope.amount)) {
        return OK;
    }
    work_trace(work, &(struct trace){.row = NONE,
                                     .charge = NONE,
                                     .account = account,
                                     .price = scope.price,
                                     .step = step,
                                     .bucket = name,
                                     .turn = turn,
                                     .before = x,
                                     .after = x,
                                     .f_before = x,
                                     .f_after = f,
                                     .limit = f,
                                     .tier = NONE});
    (void)work_add_charge(work, &scope);
    return OK;
}

/* Turns that are due in this bill, though no charge of it came, of a time in which the term is in
 * force: one that is over may be of a turn that ends now. */
static enum status settle_turns(struct work *work, const struct step *step, uint32_t account,
                                const struct contract *contract, struct period active)
{
    struct period cut = work->pricing->cut;
    instant at = active.from > cut.from ? active.from : cut.from;
    if (active.to <= cut.from) {
        at = active.to - 1;
    }
    while (at < active.to && at < cut.to) {
        struct period turn = turn_find(work, step, contract, account, at);
        instant due = term_due(work, step, contract, account, turn);
        struct charge like = term_charge(work, step, account, contract, turn, due, at);
        like.contract = contract;
        like.at = at;
        at = turn.to;
        if (due <= cut.from || due > cut.to) {
            continue;
        }
        uint32_t index;
        TRY(bucket_find(work, step, &like, &index));
        struct bucket *bucket = &work->buckets[index];
        if (bucket->last_charge != NONE || bucket->is_touched) {
            continue; /* settled behind its charges, or by way of another account */
        }
        if (step->kind == STEP_MARKUP && !bucket->is_opened) {
            continue; /* it is on charges, and no bill had any */
        }
        bucket->is_touched = true;
        struct bucket_state state = {.key = work->pricing->trace ? bucket_name(work, bucket)
                                                                 : TEXT(""),
                                     .turn = turn,
                                     .x = bucket->x,
                                     .y = bucket->y,
                                     .events = bucket->events,
                                     .high = bucket->high};
        if (step->kind == STEP_COMMIT && !bucket->is_opened) {
            TRY(step_commit_rolled(work, step, &like, turn, &state.events));
            work->buckets[index].events = state.events;
        }
        struct dec amount;
        TRY(settle_scope(work, step, account, term_contract_due(work, step, account, contract, due),
                         due, &state, &amount));
        TRY(dec_add(work->buckets[index].y, amount, &work->buckets[index].y, work->err));
    }
    return OK;
}

/* Whether the payer pays for anybody in this bill: else it owes for nothing that it did not use,
 * though some record of a time before may be settled with it. */
static bool pays_for_some(const struct pricing *pricing)
{
    bool found = false;
    for (uint32_t i = 0; i < pricing->member_count && !found; i++) {
        struct period span = period_intersect(pricing->members[i].span, pricing->cut);
        found = span.from < span.to;
    }
    return found;
}

/* Every account, organization or contract to which the term applies. */
static enum status settle_idle(struct work *work, const struct step *step)
{
    const struct pricing *pricing = work->pricing;
    const struct accounts *accounts = pricing->accounts;
    if (!pays_for_some(pricing) || step->by_count > 0 || step->clock == CLOCK_ROW ||
        step->scope == SCOPE_RESOURCE) {
        return OK;
    }
    for (uint32_t i = 0; i < pricing->member_count; i++) {
        const struct member_span *member = &pricing->members[i];
        struct period span = member->span;
        instant since = accounts->items[member->account].since;
        span.from = since > span.from ? since : span.from;
        span.to = span.to < pricing->cut.to ? span.to : pricing->cut.to;
        for (instant at = span.from, next; at < span.to; at = next) {
            (void)accounts_edge(accounts, work->catalog, member->account, at, &next);
            struct period stretch = {at, next < span.to ? next : span.to};
            if (!term_is_in_force(work, work->term, member->account, at)) {
                continue;
            }
            const struct contract *contract =
                accounts_contract(accounts, work->catalog, member->account, at);
            if (step->scope == SCOPE_ACCOUNT && accounts_is_bare(accounts, member->account)) {
                continue;
            }
            uint32_t account = step->scope == SCOPE_ACCOUNT ? member->account : pricing->payer;
            if (step->scope == SCOPE_CONTRACT && contract) {
                account = accounts_buyer(accounts, contract);
            }
            TRY(settle_turns(work, step, account, contract, stretch));
        }
    }
    return OK;
}

static void find_opening_nodes(struct run *run)
{
    struct work *work = run->work;
    const struct pricing *pricing = work->pricing;
    run->opening_nodes =
        arena_alloc(work->arena, (pricing->opening_count + 1) * sizeof *run->opening_nodes);
    for (uint32_t i = 0; i < pricing->opening_count; i++) {
        struct arena_mark mark = arena_mark(work->arena);
        size_t at = 0;
        struct text name = bucket_name_part(work->arena, pricing->opening[i].key, &at);
        run->opening_nodes[i] = map_find(&work->catalog->node_by_name, name);
        arena_rewind(work->arena, mark);
    }
}

static const struct contract *find_contract(const struct work *work, struct text id)
{
    for (uint32_t i = 0; i < work->catalog->contract_count; i++) {
        if (text_equal(work->catalog->contracts[i].id, id)) {
            return &work->catalog->contracts[i];
        }
    }
    return NULL;
}

/* Opening states that nothing entered: split by values that no row of this bill has. */
static enum status settle_openings(struct run *run, const struct step *step)
{
    struct work *work = run->work;
    const struct pricing *pricing = work->pricing;
    if (pricing->opening_count > 0 && !run->opening_nodes) {
        find_opening_nodes(run);
    }
    for (uint32_t i = 0; i < pricing->opening_count; i++) {
        const struct bucket_state *state = &pricing->opening[i];
        if (run->opening_nodes[i] != step->node || work->notes[i].is_used ||
            state->turn.to <= pricing->cut.from) {
            continue;
        }
        size_t at = 0;
        (void)bucket_name_part(work->arena, state->key, &at);
        struct text id = bucket_name_part(work->arena, state->key, &at);
        uint32_t account =
            accounts_find(pricing->accounts, accounts_view(pricing->accounts, pricing->payer), id);
        if (account == MAP_NONE) {
            continue;
        }
        const struct contract *contract = work->term->contract;
        if (bucket_name_label(work->arena, state->key, TEXT("contract="), &id)) {
            contract = find_contract(work, id);
        }
        instant due = term_due(work, step, contract, account, state->turn);
        if (due <= pricing->cut.from || due > pricing->cut.to) {
            continue;
        }
        TRY(settle_scope(work, step, account, contract, due, state, &work->notes[i].emitted));
    }
    return OK;
}

/* ---- what is paid for before it is used ------------------------------------------------------ */

/* The wallets of a credit with grants that are bought, of all to whom it applies. */
static enum status open_wallets(struct work *work, const struct step *step, uint32_t account,
                                const struct contract *contract, struct period stretch)
{
    struct period always = {INSTANT_MIN, INSTANT_MAX};
    instant at = stretch.from;
    struct charge like = term_charge(work, step, account, contract, always, stretch.to, at);
    like.contract = contract;
    like.at = at;
    return credit_open(work, step, &like);
}

/* When a turn of a bucket begins to be the term's: it may come into force inside it, or the payer
 * begin to pay, for the first of those who share the bucket. */
static instant start_of_turn(const struct work *work, const struct step *step, uint32_t account,
                             const struct contract *contract, struct period turn)
{
    const struct pricing *pricing = work->pricing;
    const struct contract *const *own = step->scope == SCOPE_CONTRACT ? &contract : NULL;
    const struct member_spans members =
        pricing_members(pricing, step->scope == SCOPE_ACCOUNT ? account : NONE);
    instant start = turn.to;
    for (uint32_t i = 0; i < members.count; i++) {
        const struct member_span *member = &members.items[i];
        struct period span = period_intersect(member->span, turn);
        if (span.from >= span.to) {
            continue;
        }
        instant since = pricing->accounts->items[member->account].since;
        span.from = since > span.from && since < span.to ? since : span.from;
        instant from = term_in_force(work, work->term, own, member->account, span).from;
        start = from < start && from < span.to ? from : start;
    }
    return start;
}

/* A prepaid commit is paid for as its turn begins, or the term's force in it: before charges come;
 * what rolls over is known when they have, is_over. */
static enum status buy_commits(struct work *work, const struct step *step, uint32_t account,
                               const struct contract *contract, struct period stretch, bool is_over)
{
    struct period cut = work->pricing->cut;
    for (instant at = stretch.from; at < stretch.to;) {
        struct period turn = turn_find(work, step, contract, account, at);
        struct charge like = term_charge(work, step, account, contract, turn, turn.to, at);
        like.contract = contract;
        like.at = at;
        at = turn.to;
        uint32_t index;
        if (is_over) { /* nothing may have come to it, and what is left may roll over */
            bool is_bought;
            TRY(step_commit_enter(work, step, &like, &is_bought));
            continue;
        }
        TRY(bucket_find(work, step, &like, &index));
        struct bucket *bucket = &work->buckets[index];
        if (bucket->is_bought || bucket->is_told) {
            continue;
        }
        instant start = start_of_turn(work, step, account, contract, turn);
        bucket->is_told = true; /* by the first of those who share it */
        if (!period_has(cut, start)) {
            continue;
        }
        bucket->is_bought = true;
        struct charge fee = term_charge(work, step, account, contract, turn, start + 1, start);
        fee.kind = CHARGE_FEE;
        fee.quantity = dec_from_int(1);
        fee.span = (struct period){start, turn.to < INSTANT_MAX ? turn.to : cut.to};
        fee.grant = &step->name;
        like.at = start;
        TRY(step_commit_promise(work, step, &like, turn, &fee.amount));
        fee.has_rate = true;
        fee.rate = fee.amount;
        fee.net = fee.list = fee.amount;
        if (!dec_is_zero(fee.amount)) {
            uint32_t made = work_add_charge(work, &fee);
            work_trace_step(work, made, &work->buckets[index],
                            (struct trace){.step = step,
                                           .before = DEC_ZERO,
                                           .after = DEC_ZERO,
                                           .f_after = fee.amount,
                                           .limit = fee.amount,
                                           .grant = &step->name,
                                           .tier = NONE});
        }
    }
    return OK;
}

static enum status pay_before(struct work *work, const struct step *step, bool is_over)
{
    const struct pricing *pricing = work->pricing;
    const struct accounts *accounts = pricing->accounts;
    bool is_commit = step->kind == STEP_COMMIT && step->commit.is_prepaid;
    if (!is_commit && !(step->kind == STEP_CREDIT && step->credit.is_sold)) {
        return OK;
    }
    for (uint32_t i = 0; i < pricing->member_count; i++) {
        const struct member_span *member = &pricing->members[i];
        struct period span = period_intersect(member->span, pricing->cut);
        for (instant at = span.from, next; at < span.to; at = next) {
            (void)accounts_edge(accounts, work->catalog, member->account, at, &next);
            struct period stretch = {at, next < span.to ? next : span.to};
            instant since = accounts->items[member->account].since;
            if (since > stretch.from && since < stretch.to) {
                stretch.from = since;
            }
            if (!term_holds(work, member->account, stretch.from)) {
                continue;
            }
            const struct contract *contract =
                accounts_contract(accounts, work->catalog, member->account, stretch.from);
            uint32_t account = step->scope == SCOPE_ACCOUNT ? member->account : pricing->payer;
            if (step->scope == SCOPE_CONTRACT && contract) {
                account = accounts_buyer(accounts, contract);
            }
            TRY(is_commit ? buy_commits(work, step, account, contract, stretch, is_over)
                          : open_wallets(work, step, account, contract, stretch));
        }
    }
    return OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Amounts that a term says are in its owner's currency, and charges are in the bill's by now. */
static enum status check_money(struct work *work, const struct term *term, const struct step *step)
{
    const struct currency *currency = price_currency(work->catalog, term->list);
    if (currency == work->currency) {
        return OK;
    }
    (void)fail(work->err, ERR_INPUT,
               "it says an amount in %s, and the bill is in %s: say it in a plan or contract with "
               "currency: %s",
               currency->code, work->currency->code, work->currency->code);
    return work_fail(work, ERR_INPUT, term->list, step, work->pricing->payer);
}

/* What charges() asks for is counted before anything is asked; or taken back. */
static enum status count_charges(struct run *run, const struct term *term, const struct step *step,
                                 bool goes)
{
    struct work *work = run->work;
    work->term = term;
    for (uint32_t i = 0; i < run->base_count && work->catalog->charge_tally_count > 0; i++) {
        const struct base *base = &run->bases[i];
        if (applies(term, base)) {
            struct charge charge = work->charges[base->charge];
            charge.contract = charge.contract ? charge.contract : base->contract;
            charge.net = goes ? dec_negate(charge.net) : charge.net;
            TRY(tally_count_charge(work, step, &charge));
        }
    }
    return OK;
}

static enum status count_rivals(struct run *run, const struct term *term, size_t from,
                                const struct step *step, bool goes)
{
    for (size_t i = from; i < term->list->step_count; i++) {
        const struct step *rival = &term->list->steps[i];
        if (has_group(rival) && rival->adjust.group == step->adjust.group) {
            TRY(count_charges(run, term, rival, goes));
        }
    }
    return OK;
}

/* The same for the terms behind one with which it is compared, for as long as that takes. */
static enum status count_all_rivals(struct run *run, const struct term *term,
                                    const struct step *step, bool goes)
{
    struct work *work = run->work;
    const struct catalog *catalog = work->catalog;
    if (!has_best(work, step) || catalog->charge_tally_count == 0) {
        return OK;
    }
    TRY(count_rivals(run, term, (size_t)(step - term->list->steps) + 1, step, goes));
    for (uint32_t i = 0; i < run->contracts.count && term->level == LEVEL_PLAN; i++) {
        const struct term other = term_of_contract(&catalog->contracts[run->contracts.items[i]]);
        TRY(count_rivals(run, &other, 0, step, goes));
    }
    if (term->level != LEVEL_CATALOG) {
        const struct term other = term_of_catalog(catalog);
        TRY(count_rivals(run, &other, 0, step, goes));
    }
    work->term = term;
    return OK;
}

/* The bases that a term takes, as entries. */
static enum status choose_bases(struct run *run, const struct term *term, const struct step *step,
                                uint32_t *count)
{
    struct work *work = run->work;
    const uint32_t payer = work->pricing->payer;
    work->asking = step;
    enum status status = count_charges(run, term, step, false);
    status = status == OK ? count_all_rivals(run, term, step, false) : status;
    if (status != OK) {
        return work_fail(work, status, term->list, step, payer);
    }
    for (uint32_t i = 0; i < run->base_count; i++) {
        struct base *base = &run->bases[i];
        bool takes = applies(term, base);
        status = takes ? takes_base(run, step, base, &takes) : OK;
        if (status != OK) {
            return work_fail(work, status, term->list, step, work->charges[base->charge].account);
        }
        if (takes) {
            run->entries[(*count)++] = (struct entry){.charge = base->charge, .step = step};
        }
    }
    status = count_all_rivals(run, term, step, true);
    return status == OK ? OK : work_fail(work, status, term->list, step, payer);
}

static enum status run_step(struct run *run, const struct term *term, const struct step *step)
{
    struct work *work = run->work;
    uint32_t first = work->charge_count, count = 0;
    if (run->base_count > run->entry_capacity) {
        run->entries = arena_alloc(work->arena, run->base_count * sizeof *run->entries);
        run->entry_capacity = run->base_count;
    }
    TRY(choose_bases(run, term, step, &count));
    if (step->kind == STEP_CREDIT || step->kind == STEP_COMMIT) {
        enum status status = pay_before(work, step, false);
        if (status != OK) {
            return work_fail(work, status, term->list, step, work->pricing->payer);
        }
    }
    if (step->kind == STEP_CREDIT && count > 0) {
        enum status status = credit_entries(work, &run->entries, &count);
        if (status != OK) {
            return work_fail(work, status, term->list, step, work->pricing->payer);
        }
        run->entry_capacity = count;
    }
    if (step->order_count > 0) {
        uint32_t *charges = arena_alloc(work->arena, (count + 1) * sizeof *charges);
        for (uint32_t i = 0; i < count; i++) {
            charges[i] = run->entries[i].charge;
        }
        TRY(order_charges(work, step, charges, count));
        for (uint32_t i = 0; i < count; i++) {
            run->entries[i].charge = charges[i];
        }
    }
    TRY(step_charge_run(work, run->entries, count));
    if (has_group(step) && !has_best(work, step)) {
        mark_taken(run, step, first, count);
    }
    if (step->kind == STEP_CREDIT || (step->kind == STEP_COMMIT && step->commit.has_rollover)) {
        /* Terms behind it see what is bought to the end of the bill. */
        enum status status =
            step->kind == STEP_CREDIT ? credit_finish(work) : pay_before(work, step, true);
        if (status != OK) {
            return work_fail(work, status, term->list, step, work->pricing->payer);
        }
    }
    if (step_waits(step)) {
        enum status status = settle_idle(work, step);
        status = status == OK ? settle_openings(run, step) : status;
        if (status != OK) {
            return work_fail(work, status, term->list, step, work->pricing->payer);
        }
    }
    bool is_asked = count > 0 || step_waits(step) || work->charge_count > first;
    if (step->has_money && is_asked) { /* also by what is sold, and not used */
        TRY(check_money(work, term, step));
    }
    add_bases(run, first);
    return OK;
}

static enum status run_list(struct run *run, const struct term *term)
{
    for (uint32_t i = 0; i < term->list->step_count; i++) {
        TRY(run_step(run, term, &term->list->steps[i]));
    }
    return OK;
}

static void add_owner(struct work *work, struct owners *owners, uint32_t owner)
{
    if (owner == NONE || (owners->count > 0 && owners->items[owners->count - 1] == owner)) {
        return;
    }
    if (owners->count == owners->capacity) {
        uint32_t more = owners->capacity ? owners->capacity * 2 : 16;
        owners->items =
            arena_grow(work->arena, owners->items, owners->count, more, sizeof *owners->items);
        owners->capacity = more;
    }
    owners->items[owners->count++] = owner;
}

static int compare_owners(const void *a, const void *b)
{
    const uint32_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void finish_owners(struct owners *owners)
{
    uint32_t kept = 0;
    if (owners->count > 1) {
        qsort(owners->items, owners->count, sizeof *owners->items, compare_owners);
    }
    for (uint32_t i = 0; i < owners->count; i++) {
        if (kept == 0 || owners->items[kept - 1] != owners->items[i]) {
            owners->items[kept++] = owners->items[i];
        }
    }
    owners->count = kept;
}

/* True where a term waits for the end of a turn that is not over as the bill begins, of those that
 * an instant is in. */
static bool is_awaited(struct work *work, const struct price *list, const struct contract *contract,
                       uint32_t account, instant at)
{
    bool found = false;
    for (uint32_t i = 0; i < list->step_count && !found; i++) {
        const struct step *step = &list->steps[i];
        found = step_waits(step) &&
                turn_find(work, step, contract, account, at).to > work->pricing->cut.from;
    }
    return found;
}

static void add_owners_at(struct work *work, uint32_t account, const struct contract *contract,
                          struct owners *plans, struct owners *contracts)
{
    add_owner(work, plans, term_plan_of(work, account, contract));
    if (contract) {
        add_owner(work, contracts, (uint32_t)(contract - work->catalog->contracts));
    }
}

/* Who had them in a bill before, for turns that go on; what is in another currency stays there. */
static void add_owners_before(struct work *work, uint32_t account, instant last,
                              struct owners *plans, struct owners *contracts)
{
    const struct catalog *catalog = work->catalog;
    const struct contract *contract =
        accounts_contract(work->pricing->accounts, catalog, account, last);
    uint32_t plan = term_plan_of(work, account, contract);
    const struct price *of_plan = plan == NONE ? NULL : &catalog->plans[plan].terms;
    if (of_plan && price_currency(catalog, of_plan) == work->currency &&
        is_awaited(work, of_plan, contract, account, last)) {
        add_owner(work, plans, plan);
    }
    if (contract && contract->to > work->pricing->cut.from &&
        price_currency(catalog, &contract->terms) == work->currency &&
        is_awaited(work, &contract->terms, contract, account, last)) {
        add_owner(work, contracts, (uint32_t)(contract - catalog->contracts));
    }
}

static void find_owners(struct run *run, struct owners *plans, struct owners *contracts)
{
    struct work *work = run->work;
    const struct pricing *pricing = work->pricing;
    for (uint32_t i = 0; i < run->base_count; i++) {
        const struct base *base = &run->bases[i];
        add_owners_at(work, work->charges[base->charge].account, base->contract, plans, contracts);
    }
    /* Who had them earlier in a turn that is not over yet owes what it leaves. */
    struct period known = {pricing_turn(pricing, pricing->cut.from).from, pricing->cut.to};
    if (pricing->opening_count > 0 && work->opening_from < known.from) {
        known.from = work->opening_from;
    }
    for (uint32_t i = 0; i < pricing->member_count && work->catalog->has_waiting_terms; i++) {
        const struct member_span *member = &pricing->members[i];
        instant end = member->span.to < known.to ? member->span.to : known.to;
        for (instant at = member->span.from, next; at < end; at = next) {
            (void)accounts_edge(pricing->accounts, work->catalog, member->account, at, &next);
            if (next <= known.from) {
                add_owners_before(work, member->account, next - 1, plans, contracts);
                continue;
            }
            add_owners_at(work, member->account,
                          accounts_contract(pricing->accounts, work->catalog, member->account, at),
                          plans, contracts);
        }
    }
    finish_owners(plans);
    finish_owners(contracts);
}

/* Of charges that a plan's terms have made, too: of an account that has left, what it owes may be
 * the first that its contract has in this bill. */
static void add_owners_made(struct work *work, uint32_t first, struct owners *plans,
                            struct owners *contracts)
{
    if (first == work->charge_count) {
        return;
    }
    for (uint32_t i = first; i < work->charge_count; i++) {
        const struct charge *charge = &work->charges[i];
        if (is_base(charge)) {
            add_owners_at(work, charge->account, term_contract(work, charge), plans, contracts);
        }
    }
    finish_owners(plans);
    finish_owners(contracts);
}

/* The amounts of all charges are what is left of the bases and of the taxes. */
static enum status check_conservation(const struct work *work)
{
    struct dec_sum amounts = {0}, nets = {0};
    struct dec amount, net;
    for (uint32_t i = 0; i < work->charge_count; i++) {
        const struct charge *charge = &work->charges[i];
        if (charge->has_amount) {
            TRY(dec_sum_add(&amounts, charge->amount, work->err));
        }
        if (charge->has_amount && (charge->of == NONE || charge->kind == CHARGE_TAX)) {
            TRY(dec_sum_add(&nets, charge->net, work->err));
        }
    }
    TRY(dec_sum_read(&amounts, &amount, work->err));
    TRY(dec_sum_read(&nets, &net, work->err));
    if (!dec_equal(amount, net)) {
        return fail(work->err, ERR_CORRUPT,
                    "payer %.*s: the charges of terms do not add up to what they change",
                    TEXT_ARG(work->pricing->accounts->items[work->pricing->payer].id));
    }
    return OK;
}

enum status terms_run(struct work *work)
{
    const struct catalog *catalog = work->catalog;
    if (!catalog->has_terms) {
        return OK;
    }
    struct run run = {.work = work};
    struct owners *plans = &run.plans, *contracts = &run.contracts;
    add_bases(&run, 0);
    work->gross = arena_alloc(work->arena, (work->charge_count + 1) * sizeof *work->gross);
    work->gross_count = work->charge_count;
    for (uint32_t i = 0; i < work->charge_count; i++) {
        work->gross[i] = work->charges[i].net;
    }
    find_owners(&run, plans, contracts);
    for (uint32_t i = 0; i < plans->count; i++) {
        uint32_t plan = plans->items[i], first = work->charge_count;
        TRY(run_list(&run, &(struct term){.list = &catalog->plans[plan].terms,
                                          .level = LEVEL_PLAN,
                                          .plan = plan}));
        add_owners_made(work, first, plans, contracts);
        while (plans->items[i] < plan) { /* one has come before it, and is too late */
            i++;
        }
    }
    for (uint32_t i = 0; i < contracts->count; i++) {
        const struct term term = term_of_contract(&catalog->contracts[contracts->items[i]]);
        TRY(run_list(&run, &term));
    }
    const struct term term = term_of_catalog(catalog);
    TRY(run_list(&run, &term));
    work->term = NULL;
    return check_conservation(work);
}
