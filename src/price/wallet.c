/* wallet.c - see wallet.h. */
#include "price/wallet.h"

#include "base/nofloat.h"

const struct text WALLET_OVERAGE = {"overage", 7}, WALLET_TOP_UP = {"top_up", 6};

/* The turn of the bill. */
instant wallet_turn_start(const struct work *work)
{
    return pricing_turn(work->pricing, work->pricing->cut.from).from;
}

/* True where an account's wallet of the step is this payer's: of some steps, who had the account as
 * the turn began. */
bool wallet_is_with_payer(const struct work *work, const struct step *step, uint32_t account)
{
    const struct pricing *pricing = work->pricing;
    return !credit_goes_along(step) ||
           accounts_is_paid_by(pricing->accounts, work->catalog, account, pricing->payer,
                               wallet_turn_start(work));
}

/* True of a grant that is in the wallets of an account, by its name. */
static bool is_granted(const struct work *work, const struct grant *grant, uint32_t account)
{
    return grant->account.size == 0 ||
           text_equal(grant->account, work->pricing->accounts->items[account].id);
}

static instant state_now(const struct bucket *bucket)
{
    struct dec value = bucket->events;
    return bucket->is_opened && value.scale == 0 ? (instant)value.mantissa : INSTANT_MIN;
}

enum status wallet_bucket(struct work *work, const struct step *step, const struct charge *charge,
                          struct text id, uint32_t *bucket)
{
    work->grant = id;
    return bucket_find(work, step, charge, bucket);
}

/* As it was left by the bill before, or new. */
static enum status find_grant(struct work *work, const struct step *step,
                              const struct charge *charge, uint32_t place,
                              struct grant_state *state)
{
    const struct grant *grant = &step->credit.grants[place];
    *state = (struct grant_state){.place = place};
    TRY(wallet_bucket(work, step, charge, grant->id, &state->bucket));
    const struct bucket *bucket = &work->buckets[state->bucket];
    state->now = state_now(bucket);
    state->bought = INSTANT_MIN;
    state->has_begun = bucket->is_opened && grant->from <= state->now;
    state->has_ended = bucket->is_opened && grant->to <= state->now;
    return OK;
}

/* Those of a step that are in the wallet of an account, in their order, with room for more. */
static enum status find_grants(struct work *work, const struct step *step,
                               const struct charge *charge, uint32_t account, uint32_t more,
                               struct grant_state **found, uint32_t *count)
{
    const struct step_credit *body = &step->credit;
    const struct grant_places own = credit_places(body, work->pricing->accounts->items[account].id);
    const uint32_t room = body->common_count + own.count + more + 1;
    struct grant_state *states = arena_calloc(work->arena, room, sizeof *states);
    uint32_t made = 0, at = 0;
    for (uint32_t i = 0; i < body->common_count || at < own.count;) {
        bool is_own =
            at < own.count && (i == body->common_count || own.items[at] < body->places[i]);
        uint32_t place = is_own ? own.items[at++] : body->places[i++];
        TRY(find_grant(work, step, charge, place, &states[made++]));
    }
    *found = states;
    *count = made;
    return OK;
}

static bool has_same_keys(const struct step *a, const struct step *b)
{
    bool same = a->scope == b->scope && a->by_count == b->by_count;
    for (uint32_t i = 0; same && i < a->by_count; i++) {
        same = a->by[i].kind == b->by[i].kind && a->by[i].index == b->by[i].index;
    }
    return same;
}

/* Whether this version, or one behind it that goes on with its wallets, sells grants of the step.
 */
static bool sells(const struct catalog *catalog, const struct price *price, const struct step *step)
{
    const struct price *end = catalog->prices + catalog->price_count;
    bool is_override = price < catalog->prices || price >= end;
    for (const struct price *at = price; !is_override && at < end && price_is_version(at, price);
         at++) {
        const struct step *its = price_step_of(at, step->node);
        if (its && its->credit.is_sold && has_same_keys(its, step)) {
            return true;
        }
    }
    return false;
}

static enum status buy_late(struct work *work, const struct wallet *wallet,
                            struct grant_state *state, instant there_since);

/* Whether a step of another version, or of another price that shares it, has the wallet as its own:
 * a version with another scope or other keys has wallets of its own. */
static bool is_its_wallet(struct work *work, const struct wallet *wallet, const struct price *price,
                          const struct step *step)
{
    struct charge like = wallet->like;
    like.price = price;
    work->grant = WALLET_OVERAGE;
    return bucket_is_of(work, wallet->overage, step, &like);
}

/* The version that a new wallet begins with: the one in force up to when its history is told, the
 * first when nothing is.  So what one gave is there in the next, whichever a charge comes to. */
static void find_version(struct work *work, struct wallet *wallet)
{
    const struct price *first = work->catalog->prices, *at = wallet->price;
    const struct price *end = first + work->catalog->price_count;
    if (!wallet->is_of_price || wallet->step->shared != NONE || at < first || at >= end) {
        return;
    }
    for (; at > first && price_is_version(at - 1, wallet->price); at--) {
        const struct price *before = at - 1;
        const struct step *step = price_step_of(before, wallet->step->node);
        bool is_told = wallet->like.price->from <= wallet->now;
        if (!is_told && step && is_its_wallet(work, wallet, before, step)) {
            wallet->step = step;
            wallet->like.price = before;
        }
    }
    wallet->price = wallet->like.price;
}

/* The wallet that a charge comes to: found by the bucket of its overage, which every wallet has. */
enum status wallet_find(struct work *work, const struct step *step, const struct charge *charge,
                        struct wallet **found)
{
    uint32_t at;
    TRY(wallet_bucket(work, step, charge, WALLET_OVERAGE, &at));
    if (work->buckets[at].values) {
        *found = (struct wallet *)work->buckets[at].values;
        return OK;
    }
    struct wallet *wallet = arena_calloc(work->arena, 1, sizeof *wallet);
    wallet->step = step;
    wallet->price = charge->price;
    wallet->is_of_price = !work->term;
    wallet->like = *charge;
    wallet->overage = wallet->top_up = at;
    wallet->now = state_now(&work->buckets[at]);
    find_version(work, wallet);
    work->buckets[at].values = wallet;
    TRY(find_grants(work, wallet->step, &wallet->like, work->buckets[at].account, 0,
                    &wallet->grants, &wallet->held));
    wallet->grant_count = wallet->held;
    if (wallet->step->credit.has_top_up) {
        TRY(wallet_bucket(work, wallet->step, &wallet->like, WALLET_TOP_UP, &wallet->top_up));
    }
    work->wallets = arena_room(work->arena, work->wallets, work->wallet_count,
                               &work->wallet_capacity, sizeof *work->wallets);
    work->wallets[work->wallet_count++] = wallet;
    *found = wallet;
    for (uint32_t i = 0; i < wallet->held; i++) {
        TRY(buy_late(work, wallet, &wallet->grants[i], INSTANT_MIN));
    }
    return OK;
}

/* ---- history --------------------------------------------------------------------------------- */

/* When a grant recurs next: as a turn of its clock begins while it lives.  Where nothing rolls
 * over, turns that end before an instant leave nothing that matters then. */
static instant next_turn(const struct grant *grant, const struct grant_state *state,
                         instant matters)
{
    instant from = state->now > grant->from ? state->now : grant->from;
    if (!grant->has_rollover && from < matters) {
        instant before = clock_turn(&grant->every, matters).from - 1;
        from = before > from ? before : from;
    }
    if (from == INSTANT_MIN) { /* it always did: what is before time does not matter */
        from = 0;
    }
    instant at = clock_turn(&grant->every, from).to;
    return at < grant->to ? at : INSTANT_MAX;
}

enum moment wallet_next(const struct grant *grant, const struct grant_state *state, instant matters,
                        instant *at)
{
    enum moment event = NOTHING;
    *at = INSTANT_MAX;
    if (!state->has_ended && grant->to < INSTANT_MAX) {
        *at = grant->to;
        event = ENDS;
    }
    if (!state->has_begun && !state->has_ended && grant->from < *at) {
        *at = grant->from;
        event = BEGINS;
    } else if (state->has_begun && !state->has_ended && grant->recurs) {
        instant turn = next_turn(grant, state, matters);
        if (turn < *at) {
            *at = turn;
            event = RECURS;
        }
    }
    return event;
}

static struct dec rolled_over(const struct grant *grant, struct dec balance)
{
    if (!grant->has_rollover) {
        return DEC_ZERO;
    }
    struct dec kept = dec_max(balance, grant->least);
    return grant->has_most ? dec_min(kept, grant->most) : kept;
}

/* What comes into a grant repays a debt; what it had stays, and it may be for other charges. */
static enum status repay(struct work *work, const struct wallet *wallet,
                         const struct grant_state *state, struct dec had)
{
    struct dec *debt = &work->buckets[wallet->overage].x;
    struct dec *balance = &work->buckets[state->bucket].x, came, part;
    TRY(dec_subtract(*balance, had, &came, work->err));
    part = dec_min(*debt, came);
    if (dec_sign(part) <= 0) {
        return OK;
    }
    TRY(dec_subtract(*balance, part, balance, work->err));
    return dec_subtract(*debt, part, debt, work->err);
}

static enum status reset(struct work *work, struct wallet *wallet)
{
    const struct step_credit *body = &wallet->step->credit;
    if (!body->keeps_overage) {
        work->buckets[wallet->overage].x = DEC_ZERO;
    }
    for (uint32_t i = 0; i < wallet->held; i++) {
        const struct grant_state *state = &wallet->grants[i];
        if (state->has_begun && !state->has_ended) {
            struct dec *balance = &work->buckets[state->bucket].x, had = *balance;
            *balance = rolled_over(wallet_grant(wallet, state), *balance);
            TRY(repay(work, wallet, state, had));
        }
    }
    if (body->has_top_up) {
        work->buckets[wallet->top_up].x = DEC_ZERO;
    }
    return OK;
}

/* ---- buying ---------------------------------------------------------------------------------- */

/* Of a step that prices share, the first that passes it: the version in force, whatever asked. */
static const struct price *first_price(const struct work *work, const struct step *step, instant at)
{
    const struct catalog *catalog = work->catalog;
    const struct price *found = &catalog->prices[catalog->node_price[step->node]];
    const struct price *end = catalog->prices + catalog->price_count, *next = found + 1;
    for (; next < end && price_is_version(next, found); next++) {
        if (next->from <= at && price_step_of(next, step->node)) {
            found = next;
        }
    }
    return found;
}

/* The SKU that a price's own wallet is of, whatever came to it first: a charge of a shared step,
 * say, which has none. */
static uint32_t sold_of(const struct charge *like)
{
    const struct price *price = like->price;
    return like->sku == NONE && price->skus && price->sku_count == 1 ? price->skus[0] : like->sku;
}

/* The fee for what comes into a wallet, so many times: a charge of its own, beside those of a price
 * or behind those that the term takes, under the contract in force then. */
enum status wallet_buy(struct work *work, const struct wallet *wallet, const struct bucket *bucket,
                       const struct text *grant, instant at, struct dec count, struct dec cost)
{
    const struct step *step = wallet->step;
    const struct charge *like = &wallet->like;
    struct period always = {INSTANT_MIN, INSTANT_MAX}, cut = work->pricing->cut;
    struct charge fee = *like;
    if (work->term) {
        fee = term_charge(work, step, bucket->account, like->contract, always, at + 1, at);
    } else if (step->scope != SCOPE_CONTRACT &&
               !turn_end_is_of_contract(work, step, like->price, like->contract)) {
        fee.contract = work_contract(work, bucket->account, at);
    }
    fee.kind = CHARGE_FEE;
    fee.has_amount = fee.has_rate = true;
    fee.account = bucket->account;
    if (!work->term && turn_end_is_pooled(step)) {
        fee.price = first_price(work, step, at);
    }
    fee.sku = work->term || turn_end_is_pooled(step) ? NONE
              : step->shared == NONE                 ? sold_of(like)
                                                     : like->sku;
    fee.series = fee.row = fee.tier = fee.of = NONE;
    fee.order = CHARGE_OF_NO_ROW;
    fee.merged = NULL;
    fee.event = NULL;
    fee.unit = TEXT("");
    fee.at = at;
    fee.span = cut;
    fee.step = step;
    fee.grant = grant;
    fee.events = 0;
    fee.quantity = count;
    fee.rate = cost;
    TRY(dec_multiply_round(cost, count, DEC_SCALE, ROUND_HALF_EVEN, &fee.amount, work->err));
    fee.net = fee.list = fee.amount;
    fee.next_step = fee.price->step_count;
    if (dec_is_zero(fee.amount)) {
        return OK;
    }
    uint32_t index = work_add_charge(work, &fee);
    work_trace_step(work, index, bucket,
                    (struct trace){.step = step,
                                   .before = DEC_ZERO,
                                   .after = count,
                                   .f_after = fee.amount,
                                   .limit = cost,
                                   .grant = grant,
                                   .tier = NONE});
    return OK;
}

static bool has_price(struct work *work, const struct price *price, uint32_t account, instant at,
                      const struct contract **contract, int *level);

/* Whether the step has the grant for an account at a time. */
static bool has_grant(const struct work *work, const struct step *step, struct text id,
                      uint32_t account, instant at)
{
    for (uint32_t i = 0; i < step->credit.grant_count; i++) {
        const struct grant *grant = &step->credit.grants[i];
        if (text_equal(grant->id, id) && is_granted(work, grant, account) && at >= grant->from &&
            at < grant->to) {
            return true;
        }
    }
    return false;
}

/* Whether an account has the term, or a price with the step and the grant, and under the wallet's
 * contract. */
static bool is_held(struct work *work, const struct wallet *wallet, struct text grant,
                    uint32_t account, instant at)
{
    const struct catalog *catalog = work->catalog;
    const struct step *step = wallet->step;
    const struct contract *contract = NULL;
    bool holds = false;
    if (work->term) {
        contract = accounts_contract(work->pricing->accounts, catalog, account, at);
        holds = term_holds(work, account, at);
    }
    for (uint32_t p = 0; !work->term && !holds && p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        bool has = false;
        for (uint32_t i = 0; i < price->step_count && price->skus; i++) {
            has =
                has || (price->steps[i].node == step->node && price->steps[i].kind == STEP_CREDIT &&
                        has_grant(work, &price->steps[i], grant, account, at) &&
                        is_its_wallet(work, wallet, price, &price->steps[i]));
        }
        struct arena_mark mark = arena_mark(work->arena);
        holds = has && has_price(work, price, account, at, &contract, &(int){0});
        arena_rewind(work->arena, mark);
    }
    return holds && (step->scope != SCOPE_CONTRACT || contract == wallet->like.contract);
}

/* When the payer first has a wallet to fill with a grant in a time; its end: never.  An account may
 * be another's, a contract, a plan or a version be over or not have begun, for all of those who
 * share it. */
static instant first_held(struct work *work, const struct wallet *wallet, struct text grant,
                          struct period span)
{
    const struct pricing *pricing = work->pricing;
    const struct accounts *accounts = pricing->accounts;
    const enum scope scope = wallet->step->scope;
    const bool is_shared = scope == SCOPE_ORGANIZATION || scope == SCOPE_CONTRACT;
    const struct member_spans members =
        pricing_members(pricing, is_shared ? NONE : work->buckets[wallet->overage].account);
    instant first = span.to;
    for (uint32_t i = 0; i < members.count && first > span.from; i++) {
        const struct member_span *member = &members.items[i];
        instant since = accounts->items[member->account].since, next;
        struct period in = period_intersect(member->span, span);
        for (instant at = since > in.from ? since : in.from; at < in.to && at < first; at = next) {
            next = work_edge_after(work, member->account, at);
            first = is_held(work, wallet, grant, member->account, at) ? at : first;
        }
    }
    return first;
}

/* While a grant that came is there. */
static struct period time_there(const struct grant *grant, instant came)
{
    struct period there = {came, grant->to};
    if (grant->recurs) {
        instant turn = clock_turn(&grant->every, came == INSTANT_MIN ? 0 : came).to;
        there.to = turn < there.to ? turn : there.to;
    }
    return there;
}

/* True of what nobody had as long as it was there, who would have bought it: nothing of it rolls
 * over. */
static bool is_nobodys(struct work *work, const struct wallet *wallet, const struct grant *grant,
                       instant came)
{
    if (!grant->has_cost || !grant->has_rollover) {
        return false;
    }
    struct period there = time_there(grant, came);
    return first_held(work, wallet, grant->id, there) >= there.to;
}

/* A grant is bought as it comes, or while it is there as soon as somebody has the wallet: whichever
 * bill that falls into, and by the version that is in force then. */
static enum status buy_grant(struct work *work, const struct wallet *wallet,
                             struct grant_state *state, instant came)
{
    const struct grant *grant = wallet_grant(wallet, state);
    const struct price *price = wallet->price;
    struct period cut = work->pricing->cut, there = time_there(grant, came);
    if (!grant->has_cost || came >= cut.to) {
        return OK;
    }
    if (there.to <= cut.from) {
        return OK;
    }
    instant at = first_held(work, wallet, grant->id, there);
    bool is_its_own = work->term || wallet->step->shared != NONE ||
                      period_has((struct period){price->from, price->to}, at);
    if (at >= there.to || !period_has(cut, at) || !is_its_own || at <= state->bought) {
        return OK;
    }
    state->bought = at;
    return wallet_buy(work, wallet, &work->buckets[state->bucket], &grant->id, at, dec_from_int(1),
                      grant->cost);
}

/* When what is there now of a grant came. */
static instant came_last(const struct grant *grant, instant now)
{
    instant turn = grant->recurs ? clock_turn(&grant->every, now).from : grant->from;
    return turn > grant->from ? turn : grant->from;
}

/* What came in another bill, or in the time of another version, when nobody had the wallet; what is
 * there since an instant by the version before came no earlier, whatever this one says. */
static enum status buy_late(struct work *work, const struct wallet *wallet,
                            struct grant_state *state, instant there_since)
{
    const struct grant *grant = wallet_grant(wallet, state);
    if (!grant->has_cost || !state->has_begun || state->has_ended || state->is_gone) {
        return OK;
    }
    instant came = came_last(grant, state->now);
    return buy_grant(work, wallet, state, came > there_since ? came : there_since);
}

static enum status happen(struct work *work, const struct wallet *wallet, struct grant_state *state,
                          enum moment event, instant at)
{
    const struct grant *grant = wallet_grant(wallet, state);
    const bool is_gone = event != ENDS && is_nobodys(work, wallet, grant, at);
    const struct dec amount = is_gone ? DEC_ZERO : grant->amount;
    struct dec *balance = &work->buckets[state->bucket].x, had = DEC_ZERO, kept;
    switch (event) {
    case ENDS:
        state->has_ended = true;
        *balance = DEC_ZERO;
        return OK;
    case BEGINS:
        state->is_gone = false;
        state->has_begun = true;
        *balance = amount;
        break;
    case RECURS:
        state->is_gone = false;
        kept = rolled_over(grant, *balance);
        had = dec_min(*balance, kept);
        TRY(dec_add(amount, kept, balance, work->err));
        break;
    case RESETS:
    case NOTHING:
        return OK;
    }
    return at > wallet->now ? repay(work, wallet, state, had) : OK;
}

/* From when on it matters what comes into a wallet: what does before the bill is neither taken nor
 * bought in it, but repays a debt that was there then. */
static instant matters_from(const struct work *work, const struct wallet *wallet, instant until)
{
    instant cut = work->pricing->cut.from, from = until < cut ? until : cut;
    bool is_in_debt = !dec_is_zero(work->buckets[wallet->overage].x);
    return is_in_debt && wallet->now < from ? wallet->now : from;
}

/* All that happens up to an instant: ends, resets, turns, beginnings, of equal ones in the order in
 * which grants are used. */
enum status wallet_advance(struct work *work, struct wallet *wallet, instant until)
{
    const struct step_credit *body = &wallet->step->credit;
    for (;;) {
        instant first = INSTANT_MAX;
        enum moment event = NOTHING;
        uint32_t which = NONE;
        for (uint32_t i = 0; i < body->reset_count; i++) {
            if (body->resets[i] > wallet->now && body->resets[i] < first) {
                first = body->resets[i];
                event = RESETS;
            }
        }
        for (uint32_t i = 0; i < wallet->held; i++) {
            instant at;
            enum moment next =
                wallet_next(wallet_grant(wallet, &wallet->grants[i]), &wallet->grants[i],
                            matters_from(work, wallet, until), &at);
            if (next != NOTHING && (at < first || (at == first && next < event))) {
                first = at;
                event = next;
                which = i;
            }
        }
        if (event == NOTHING || first > until) {
            break;
        }
        if (event == RESETS) {
            TRY(reset(work, wallet));
            wallet->now = first;
        } else {
            struct grant_state *state = &wallet->grants[which];
            TRY(happen(work, wallet, state, event, first));
            if (event == BEGINS || event == RECURS) {
                TRY(buy_grant(work, wallet, state, first));
            }
            state->now = state->now > first ? state->now : first;
        }
    }
    wallet->now = wallet->now > until ? wallet->now : until;
    return OK;
}

/* What a version has given up to now comes in with it, and repays a debt once, if it does not come
 * anew as the version begins. */
static enum status advance_new(struct work *work, struct wallet *wallet, const bool *is_new)
{
    TRY(wallet_advance(work, wallet, wallet->now));
    for (uint32_t i = 0; i < wallet->held; i++) {
        const struct grant_state *state = &wallet->grants[i];
        instant next;
        if (is_new[i] && state->has_begun && !state->has_ended) {
            (void)wallet_next(wallet_grant(wallet, state), state, wallet->now, &next);
            TRY(next > wallet->now + 1 ? repay(work, wallet, state, DEC_ZERO) : OK);
        }
    }
    return OK;
}

static enum status take_version(struct work *work, struct wallet *wallet, const struct step *step,
                                const struct charge *charge)
{
    const struct step_credit *body = &step->credit;
    if (charge->price->from > wallet->now) {
        TRY(wallet_advance(work, wallet, charge->price->from - 1));
    } else if (charge->price->from < wallet->price->from && charge->at > wallet->now) {
        TRY(wallet_advance(work, wallet,
                           charge->at)); /* it comes again, for what it owes as a turn ends */
    }
    const struct grant_state *old = wallet->grants;
    const uint32_t old_count = wallet->grant_count;
    const uint32_t account = work->buckets[wallet->overage].account;
    struct grant_state *grants;
    uint32_t held, count;
    TRY(find_grants(work, step, charge, account, old_count, &grants, &held));
    bool *is_new = arena_alloc(work->arena, held + 1u);
    instant *since = arena_alloc(work->arena, (held + 1u) * sizeof *since);
    for (uint32_t i = 0; i < held; i++) {
        since[i] = INSTANT_MIN;
        is_new[i] = !work->buckets[grants[i].bucket].is_opened;
        if (!is_new[i] && grants[i].now < wallet->now) {
            grants[i].now = wallet->now; /* in the time of versions without it nothing came */
            grants[i].has_begun = body->grants[grants[i].place].from <= wallet->now;
        }
    }
    count = held;
    for (uint32_t o = 0; o < old_count; o++) {
        uint32_t i = 0;
        while (i < held && grants[i].bucket != old[o].bucket) {
            i++;
        }
        if (i == held) { /* a version behind may have it again */
            grants[count++] = old[o];
            continue;
        }
        const struct grant *grant = &body->grants[grants[i].place];
        is_new[i] = !old[o].has_begun;
        grants[i].bought = old[o].bought;
        if (is_new[i]) { /* whatever one before says of later */
            grants[i].now = INSTANT_MIN;
            grants[i].has_begun = grants[i].has_ended = false;
            continue;
        }
        if (o < wallet->held) { /* those behind are of versions before that one */
            since[i] = came_last(wallet_grant(wallet, &old[o]), old[o].now);
        }
        grants[i].now = old[o].now > wallet->now ? old[o].now : wallet->now;
        grants[i].has_begun = old[o].has_begun && grant->from <= wallet->now;
        grants[i].has_ended = old[o].has_ended && grant->to <= wallet->now;
        grants[i].is_gone = grants[i].has_begun && (old[o].has_ended || old[o].is_gone);
    }
    wallet->grants = grants;
    wallet->held = held;
    wallet->grant_count = count;
    wallet->step = step;
    wallet->price = wallet->like.price = charge->price;
    if (body->has_top_up) {
        TRY(wallet_bucket(work, step, charge, WALLET_TOP_UP, &wallet->top_up));
    }
    for (uint32_t i = 0; i < held; i++) {
        TRY(buy_late(work, wallet, &grants[i], since[i]));
    }
    return advance_new(work, wallet, is_new);
}

/* Versions between that of the wallet and an instant, whether or not a charge comes in their time:
 * what they give is there, also when a bill ends before one does; what somebody has of what they
 * sell is bought, and what one has sold ends with it. */
static enum status pass_versions(struct work *work, struct wallet *wallet, instant until)
{
    const struct catalog *catalog = work->catalog;
    const struct price *end = catalog->prices + catalog->price_count, *first = wallet->price;
    if (!wallet->is_of_price) {
        return OK;
    }
    for (const struct price *at = first + 1; at < end && price_is_version(at, first); at++) {
        const struct step *step = price_step_of(at, wallet->step->node);
        if (!step || at->from <= wallet->price->from || at->from >= until ||
            !is_its_wallet(work, wallet, at, step)) {
            continue;
        }
        struct charge like = wallet->like;
        like.price = at;
        TRY(take_version(work, wallet, step, &like));
    }
    return OK;
}

/* Another version of the price may have other grants.  Those that have the name of one before go on
 * with what is left of it, as from bill to bill; what happened before the version is by the one
 * before. */
enum status wallet_follow(struct work *work, struct wallet *wallet, const struct step *step,
                          const struct charge *charge)
{
    instant until = charge->price->from;
    if (charge->row == NONE && charge->at > until) {
        until =
            charge->at + 1; /* what a version owes as a turn ends is later than the next begins */
    } else if (wallet->step == step) {
        return OK;
    }
    TRY(pass_versions(work, wallet, until));
    return wallet->step == step ? OK : take_version(work, wallet, step, charge);
}

enum status credit_finish(struct work *work, uint32_t first)
{
    instant last = work->pricing->cut.to - 1;
    for (uint32_t i = first; i < work->wallet_count; i++) {
        struct wallet *wallet = work->wallets[i];
        TRY(pass_versions(work, wallet, work->pricing->cut.to));
        const struct step_credit *body = &wallet->step->credit;
        TRY(wallet_advance(work, wallet, last));
        work->buckets[wallet->overage].events = dec_from_int(last);
        for (uint32_t g = 0; g < wallet->grant_count; g++) {
            const struct grant_state *state = &wallet->grants[g];
            /* Of versions before, what has begun: one behind may have it again. */
            if (g < wallet->held || state->has_begun) {
                work->buckets[state->bucket].events = dec_from_int(last);
            }
        }
        if (body->has_top_up) {
            work->buckets[wallet->top_up].events = dec_from_int(last);
        }
    }
    return OK;
}

enum status credit_open(struct work *work, const struct step *step, const struct charge *like)
{
    struct wallet *wallet;
    return wallet_is_with_payer(work, step, like->account) ? wallet_find(work, step, like, &wallet)
                                                           : OK;
}

/* ---- who has a price with grants that are bought --------------------------------------------- */

const struct price *wallet_price(struct work *work, const struct price *price, uint32_t sku,
                                 uint32_t account, instant at, const struct contract **contract,
                                 int *level)
{
    const struct accounts *accounts = work->pricing->accounts;
    const struct account *owner = &accounts->items[account];
    if (at < owner->since) {
        return NULL;
    }
    const struct price_set *overrides =
        owner->override == NONE ? NULL : &accounts->overrides[owner->override].prices;
    *contract = accounts_contract(accounts, work->catalog, account, at);
    struct text *values =
        arena_calloc(work->arena, work->catalog->dimension_count + 1u, sizeof *values);
    for (uint32_t i = 0; i < work->catalog->dimension_count; i++) {
        values[i] = TEXT("");
    }
    for (uint32_t i = 0; i < price->selector_count; i++) {
        const struct selector *selector = &price->selectors[i];
        if (selector->key.kind == BY_DIMENSION && selector->value_count > 0) {
            values[selector->key.index] = selector->values[0];
        }
    }
    struct dimension_values dimensions = {NULL, values};
    return catalog_price(work->catalog, overrides, *contract, owner->plan, sku, &dimensions, at,
                         level);
}

static bool has_price(struct work *work, const struct price *price, uint32_t account, instant at,
                      const struct contract **contract, int *level)
{
    if (price->has_fixed && fixed_is_paid(work, price, account, at, contract, level)) {
        return true;
    }
    return wallet_price(work, price, price->skus[0], account, at, contract, level) == price;
}

static enum status open_price(struct work *work, const struct price *price, const struct step *step,
                              const struct member_span *member)
{
    const struct accounts *accounts = work->pricing->accounts;
    struct period cut = work->pricing->cut, span = period_intersect(member->span, cut);
    instant since = accounts->items[member->account].since, next;
    if (step->scope == SCOPE_ACCOUNT && accounts_is_bare(accounts, member->account)) {
        return OK; /* no account of the view */
    }
    for (instant at = since > span.from ? since : span.from; at < span.to; at = next) {
        const struct contract *contract;
        int level;
        next = work_edge_after(work, member->account, at);
        struct arena_mark mark = arena_mark(work->arena);
        bool has = has_price(work, price, member->account, at, &contract, &level);
        arena_rewind(work->arena, mark);
        if (!has) {
            continue;
        }
        struct charge like = {.level = (int8_t)level,
                              .account = member->account,
                              .sku = price->skus[0],
                              .series = NONE,
                              .row = NONE,
                              .order = CHARGE_OF_NO_ROW,
                              .tier = NONE,
                              .of = NONE,
                              .at = at,
                              .span = cut,
                              .price = price,
                              .contract = contract,
                              .unit = TEXT("")};
        TRY(credit_open(work, step, &like));
    }
    return OK;
}

enum status credit_open_prices(struct work *work)
{
    const struct catalog *catalog = work->catalog;
    for (uint32_t p = 0; catalog->has_sales && p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        for (uint32_t i = 0; i < price->step_count && price->skus; i++) {
            const struct step *step = &price->steps[i];
            if (step->kind != STEP_CREDIT || !sells(catalog, price, step)) {
                continue;
            }
            for (uint32_t m = 0; m < work->pricing->member_count; m++) {
                enum status status = open_price(work, price, step, &work->pricing->members[m]);
                if (status != OK) {
                    return work_fail(work, status, price, step, work->pricing->members[m].account);
                }
            }
        }
    }
    return OK;
}
