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

#include "price/charge_curve.h"
#include "price/term_bases.h"

#include "base/nofloat.h"

/* An opening state, by the step that made it. */
struct opened {
    uint32_t node, state;
};

/* Of a bucket, what the best of a group will take and has not yet, and with which numbers. */
struct won {
    struct dec base;
    const struct charge_values *values; /* NULL: nothing */
};

struct run {
    struct work *work;
    struct bases bases;
    struct opened *openings; /* by node, then as they came; made when the first is asked for */
    uint32_t *base_of;       /* of each charge; NONE: it is none; made for groups */
    uint32_t base_of_count, base_of_capacity, based_count; /* so many bases are in it */
    struct entry *entries;
    uint32_t entry_capacity;
    struct won *won; /* of each bucket */
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

/* A term of a group, what it saves on a charge, and the bucket to which that adds its base. */
struct choice {
    uint32_t node, bucket;
    struct dec saving, base;
    struct charge_values values; /* its numbers */
};

static struct won *won_of(struct run *run, uint32_t bucket)
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

/* The numbers of a bucket are asked once, by the first charge that it has, or will have. */
static enum status ask_values(struct run *run, const struct step *step, const struct charge *charge,
                              struct choice *own)
{
    struct work *work = run->work;
    if (own->bucket != NONE) {
        const struct bucket *bucket = &work->buckets[own->bucket];
        const struct charge_values *known = bucket->step == step && bucket->values
                                                ? bucket->values
                                                : won_of(run, own->bucket)->values;
        if (known) {
            own->values = *known;
            return OK;
        }
    }
    return charge_numbers(work, step, charge, charge_turn(work, step, charge), &own->values);
}

/* One that has a limit saves what is left of it, behind the charges that it will have. */
static enum status try_step(struct run *run, const struct step *step, uint32_t index,
                            const struct charge *charge, struct choice *best)
{
    struct work *work = run->work;
    struct choice own = {.node = step->node, .bucket = NONE};
    struct dec before = DEC_ZERO;
    bool takes;
    TRY(charge_where(work, step, charge, &takes));
    if (!takes) {
        return OK;
    }
    TRY(step_base(work, step, index, charge, &own.base));
    if (!step_is_alone(step)) {
        TRY(bucket_find(work, step, charge, &own.bucket));
        TRY(dec_add(work->buckets[own.bucket].x, won_of(run, own.bucket)->base, &before,
                    work->err));
    }
    TRY(ask_values(run, step, charge, &own));
    TRY(step_charge_saving(work, step, index, &own.values, before, own.base, &own.saving));
    if (!own.values.is_over && (best->node == NONE || dec_compare(own.saving, best->saving) > 0)) {
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
        struct won *won = won_of(run, best.bucket);
        TRY(dec_add(won->base, best.base, &won->base, work->err));
        if (!won->values) {
            struct charge_values *values = arena_alloc(work->arena, sizeof *values);
            *values = best.values;
            won->values = values;
        }
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

/* The base that a charge is; NULL: none. */
static struct base *base_of(struct run *run, uint32_t charge)
{
    struct work *work = run->work;
    if (run->base_of_count < work->charge_count) {
        if (work->charge_count > run->base_of_capacity) {
            uint32_t more = work->charge_count + work->charge_count / 2;
            run->base_of = arena_grow(work->arena, run->base_of, run->base_of_count, more,
                                      sizeof *run->base_of);
            run->base_of_capacity = more;
        }
        memset(run->base_of + run->base_of_count, 0xFF,
               (work->charge_count - run->base_of_count) * sizeof *run->base_of);
        run->base_of_count = work->charge_count;
    }
    for (; run->based_count < run->bases.count; run->based_count++) {
        run->base_of[run->bases.items[run->based_count].charge] = run->based_count;
    }
    uint32_t found = run->base_of[charge];
    return found == NONE ? NULL : &run->bases.items[found];
}

static void mark_base(struct run *run, const struct step *step, uint32_t charge)
{
    struct base *base = base_of(run, charge);
    if (base) {
        base->groups |= group_bit(step);
    }
}

/* One that is over, or that takes nothing of a charge, leaves it to the next of its group. */
static void mark_taken(struct run *run, const struct step *step, uint32_t first, uint32_t count)
{
    struct work *work = run->work;
    for (uint32_t i = first; i < work->charge_count; i++) {
        uint32_t of = work->charges[i].of;
        if (of < first) {
            mark_base(run, step, of);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (step_charge_takes_whole(work, &run->entries[i])) {
            mark_base(run, step, run->entries[i].charge);
        }
    }
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
    struct dec f, f_before;
    asks.contract = contract;
    asks.keys = scope.keys = bucket_keys_of_name(work, name); /* numbers may ask of a resource */
    struct charge owed = scope;
    TRY(step_charge_due(work, step, state, &asks, &owed, &f));
    scope.kind = owed.kind;
    scope.sku = owed.sku;
    scope.amount = scope.net = scope.list = *amount = owed.amount;
    if (dec_is_zero(scope.amount)) {
        return OK;
    }
    TRY(step_charge_f_before(step, state, &f_before, work->err));
    work_trace(work, &(struct trace){.row = NONE,
                                     .charge = NONE,
                                     .made_from = work->charge_count,
                                     .made_to = work->charge_count + 1,
                                     .account = account,
                                     .price = scope.price,
                                     .step = step,
                                     .bucket = name,
                                     .turn = turn,
                                     .before = x,
                                     .after = x,
                                     .f_before = f_before,
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
static enum status settle_idle(struct run *run, const struct step *step)
{
    struct work *work = run->work;
    const struct pricing *pricing = work->pricing;
    const struct accounts *accounts = pricing->accounts;
    if (!pays_for_some(pricing) || step->by_count > 0 || step->clock == CLOCK_ROW ||
        step->scope == SCOPE_RESOURCE) {
        return OK;
    }
    for (uint32_t i = 0; i < run->bases.member_count; i++) {
        const struct member_span *member = &pricing->members[run->bases.members[i]];
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

static int compare_opened(const void *a, const void *b)
{
    const struct opened *left = a, *right = b;
    int order = (left->node > right->node) - (left->node < right->node);
    return order ? order : (left->state > right->state) - (left->state < right->state);
}

static void sort_openings(struct run *run)
{
    struct work *work = run->work;
    const struct pricing *pricing = work->pricing;
    run->openings = arena_alloc(work->arena, pricing->opening_count * sizeof *run->openings);
    for (uint32_t i = 0; i < pricing->opening_count; i++) {
        struct arena_mark mark = arena_mark(work->arena);
        size_t at = 0;
        struct text name = bucket_name_part(work->arena, pricing->opening[i].key, &at);
        run->openings[i] = (struct opened){map_find(&work->catalog->node_by_name, name), i};
        arena_rewind(work->arena, mark);
    }
    qsort(run->openings, pricing->opening_count, sizeof *run->openings, compare_opened);
}

/* The first opening state of a node or behind it. */
static uint32_t find_opened(const struct run *run, uint32_t node)
{
    return sort_first(run->openings, run->work->pricing->opening_count, sizeof *run->openings,
                      offsetof(struct opened, node), node);
}

/* Opening states that nothing entered: split by values that no row of this bill has. */
static enum status settle_openings(struct run *run, const struct step *step)
{
    struct work *work = run->work;
    const struct pricing *pricing = work->pricing;
    if (pricing->opening_count == 0) {
        return OK;
    }
    if (!run->openings) {
        sort_openings(run);
    }
    for (uint32_t o = find_opened(run, step->node);
         o < pricing->opening_count && run->openings[o].node == step->node; o++) {
        const uint32_t i = run->openings[o].state;
        const struct bucket_state *state = &pricing->opening[i];
        if (work->notes[i].is_used || state->turn.to <= pricing->cut.from) {
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
            uint32_t found = map_find(&work->catalog->contract_by_id, id);
            contract = found == MAP_NONE ? NULL : &work->catalog->contracts[found];
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

/* The place of the first member of an account among those whom the term may be for; NONE: of any.
 */
static uint32_t first_of(const struct run *run, uint32_t account)
{
    const struct bases *bases = &run->bases;
    uint32_t low = 0, high = account == NONE ? 0 : bases->member_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run->work->pricing->members[bases->members[middle]].account < account) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* When a turn of a bucket begins to be the term's: it may come into force inside it, or the payer
 * begin to pay, for the first of those who share the bucket. */
static instant start_of_turn(const struct run *run, const struct step *step, uint32_t account,
                             const struct contract *contract, struct period turn)
{
    const struct work *work = run->work;
    const struct pricing *pricing = work->pricing;
    const struct contract *const *own = step->scope == SCOPE_CONTRACT ? &contract : NULL;
    instant start = turn.to;
    for (uint32_t i = first_of(run, step->scope == SCOPE_ACCOUNT ? account : NONE);
         i < run->bases.member_count; i++) {
        const struct member_span *member = &pricing->members[run->bases.members[i]];
        if (step->scope == SCOPE_ACCOUNT && member->account != account) {
            break;
        }
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
static enum status buy_commits(struct run *run, const struct step *step, uint32_t account,
                               const struct contract *contract, struct period stretch, bool is_over)
{
    struct work *work = run->work;
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
        instant start = start_of_turn(run, step, account, contract, turn);
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

static enum status pay_before(struct run *run, const struct step *step, bool is_over)
{
    struct work *work = run->work;
    const struct pricing *pricing = work->pricing;
    const struct accounts *accounts = pricing->accounts;
    bool is_commit = step->kind == STEP_COMMIT && step->commit.is_prepaid;
    if (!is_commit && !(step->kind == STEP_CREDIT && step->credit.is_sold)) {
        return OK;
    }
    for (uint32_t i = 0; i < run->bases.member_count; i++) {
        const struct member_span *member = &pricing->members[run->bases.members[i]];
        struct period span = period_intersect(member->span, pricing->cut);
        if (step->scope == SCOPE_ACCOUNT && accounts_is_bare(accounts, member->account)) {
            continue;
        }
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
            TRY(is_commit ? buy_commits(run, step, account, contract, stretch, is_over)
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
    const struct bases *bases = &run->bases;
    work->term = term;
    if (work->catalog->charge_tally_count == 0) {
        return OK;
    }
    for (uint32_t i = bases_first(bases, term); i != NONE; i = bases_next(bases, term, i)) {
        const struct base *base = &bases->items[i];
        struct charge charge = work->charges[base->charge];
        charge.contract = charge.contract ? charge.contract : base->contract;
        charge.net = goes ? dec_negate(charge.net) : charge.net;
        TRY(tally_count_charge(work, step, &charge));
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
    const struct owners *contracts = &run->bases.owners[OWNER_CONTRACT];
    for (uint32_t i = 0; i < contracts->count && term->level == LEVEL_PLAN; i++) {
        const struct term other = term_of_contract(&catalog->contracts[contracts->items[i].index]);
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
    for (uint32_t i = 0; i < run->bases.list_count; i++) {
        struct base *base = &run->bases.items[run->bases.list[i].base];
        bool takes;
        status = takes_base(run, step, base, &takes);
        if (status != OK) {
            return work_fail_on(work, status, term->list, step, base->charge);
        }
        if (takes) {
            run->entries[(*count)++] = (struct entry){.charge = base->charge, .step = step};
        }
    }
    status = count_all_rivals(run, term, step, true);
    return status == OK ? OK : work_fail(work, status, term->list, step, payer);
}

/* The best of a group was found by the numbers that the first charge it won has asked; its order
 * may have another charge first. */
static enum status keep_numbers(struct run *run, const struct step *step, uint32_t count)
{
    struct work *work = run->work;
    for (uint32_t i = 0; i < count; i++) {
        struct charge copy;
        uint32_t at;
        TRY(bucket_find(work, step, step_charge_seen(work, run->entries[i].charge, &copy), &at));
        struct bucket *bucket = &work->buckets[at];
        const struct charge_values *values = won_of(run, at)->values;
        if (values && (!bucket->values || bucket->step != step)) {
            bucket->values = values;
            bucket->step = step;
        }
    }
    return OK;
}

static enum status run_step(struct run *run, const struct term *term, const struct step *step)
{
    struct work *work = run->work;
    const uint32_t first = work->charge_count, wallets = work->wallet_count;
    uint32_t count = 0;
    if (run->bases.list_count > run->entry_capacity) {
        uint32_t more = run->bases.list_count + run->bases.list_count / 4;
        run->entries = arena_alloc(work->arena, more * sizeof *run->entries);
        run->entry_capacity = more;
    }
    TRY(choose_bases(run, term, step, &count));
    if (step->kind == STEP_CREDIT || step->kind == STEP_COMMIT) {
        enum status status = pay_before(run, step, false);
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
        if (has_best(work, step) && !step_is_alone(step)) {
            TRY(keep_numbers(run, step, count));
        }
    }
    TRY(step_charge_run(work, run->entries, count));
    if (has_group(step) && !has_best(work, step)) {
        mark_taken(run, step, first, count);
    }
    if (step->kind == STEP_CREDIT || (step->kind == STEP_COMMIT && step->commit.has_rollover)) {
        /* Terms behind it see what is bought to the end of the bill. */
        enum status status =
            step->kind == STEP_CREDIT ? credit_finish(work, wallets) : pay_before(run, step, true);
        if (status != OK) {
            return work_fail(work, status, term->list, step, work->pricing->payer);
        }
    }
    if (step_waits(step)) {
        enum status status = settle_idle(run, step);
        status = status == OK ? settle_openings(run, step) : status;
        if (status != OK) {
            return work_fail(work, status, term->list, step, work->pricing->payer);
        }
    }
    bool is_asked = count > 0 || step_waits(step) || work->charge_count > first;
    if (step->has_money && is_asked) { /* also by what is sold, and not used */
        TRY(check_money(work, term, step));
    }
    bases_add(&run->bases, term, first);
    return OK;
}

static enum status run_list(struct run *run, const struct term *term)
{
    if (term->list->step_count > 0) {
        bases_open(&run->bases, term);
    }
    for (uint32_t i = 0; i < term->list->step_count; i++) {
        TRY(run_step(run, term, &term->list->steps[i]));
    }
    return OK;
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
    struct owners *plans = &run.bases.owners[OWNER_PLAN];
    struct owners *contracts = &run.bases.owners[OWNER_CONTRACT];
    bases_begin(&run.bases, work);
    work->gross = arena_alloc(work->arena, (work->charge_count + 1) * sizeof *work->gross);
    work->gross_count = work->charge_count;
    for (uint32_t i = 0; i < work->charge_count; i++) {
        work->gross[i] = work->charges[i].net;
    }
    for (uint32_t i = 0; i < plans->count;) {
        uint32_t plan = plans->items[i].index;
        TRY(run_list(&run, &(struct term){.list = &catalog->plans[plan].terms,
                                          .level = LEVEL_PLAN,
                                          .plan = plan}));
        i = owners_find(plans, plan) + 1; /* what has come before it is too late */
    }
    for (uint32_t i = 0; i < contracts->count; i++) {
        const struct term term = term_of_contract(&catalog->contracts[contracts->items[i].index]);
        TRY(run_list(&run, &term));
    }
    const struct term term = term_of_catalog(catalog);
    TRY(run_list(&run, &term));
    work->term = NULL;
    return check_conservation(work);
}
