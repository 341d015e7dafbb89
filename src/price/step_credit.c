/* step_credit.c - credits: grants that are used up.
 *
 * A wallet is one scope's grants of a step, in the order in which they are used.  Its balance is a
 * fold over its history: grants begin, recur and end, resets come, and charges (or units, before
 * the rating step) take what they need, all in the order of time.  Each grant has a bucket that
 * lives as long as the wallet: x is what is left of it, `events` the instant up to which its
 * history is told, so that bill follows bill.  A bucket called "overage" holds what was taken
 * beyond all grants, where that is carried: what comes in repays it first.
 */
#include <assert.h>
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

static const char OVERAGE[] = "overage";

struct grant_state {
    uint32_t bucket;
    instant now; /* its history is told up to here */
    bool has_begun, has_ended;
};

struct wallet {
    const struct step *step;
    instant now;
    uint32_t overage;           /* bucket; NONE: not carried */
    struct grant_state *grants; /* of step->credit.grants, in their order */
};

static instant state_now(const struct bucket *bucket)
{
    struct dec value = bucket->events;
    return bucket->is_opened && value.scale == 0 ? (instant)value.mantissa : INSTANT_MIN;
}

static enum status find_grant_bucket(struct work *work, const struct step *step,
                                     const struct charge *charge, struct text id, uint32_t *bucket)
{
    work->grant = id;
    return bucket_find(work, step, charge, bucket);
}

/* The wallet that a charge comes to: found by the bucket of its overage, which every wallet has. */
static enum status find_wallet(struct work *work, const struct step *step,
                               const struct charge *charge, struct wallet **found)
{
    const struct step_credit *body = &step->credit;
    uint32_t at;
    TRY(find_grant_bucket(work, step, charge, text_of(OVERAGE), &at));
    if (work->buckets[at].values) {
        *found = (struct wallet *)work->buckets[at].values;
        (*found)->step = step;
        return OK;
    }
    struct wallet *wallet = arena_calloc(work->arena, 1, sizeof *wallet);
    wallet->step = step;
    wallet->overage = at;
    wallet->now = state_now(&work->buckets[at]);
    wallet->grants = arena_calloc(work->arena, body->grant_count + 1, sizeof *wallet->grants);
    work->buckets[at].values = wallet;
    for (uint32_t i = 0; i < body->grant_count; i++) {
        const struct grant *grant = &body->grants[i];
        struct grant_state *state = &wallet->grants[i];
        TRY(find_grant_bucket(work, step, charge, grant->id, &state->bucket));
        state->now = state_now(&work->buckets[state->bucket]);
        state->has_begun = work->buckets[state->bucket].is_opened && grant->from <= state->now;
        state->has_ended = work->buckets[state->bucket].is_opened && grant->to <= state->now;
    }
    if (work->wallet_count == work->wallet_capacity) {
        uint32_t more = work->wallet_capacity ? work->wallet_capacity * 2 : 8;
        work->wallets =
            arena_grow(work->arena, work->wallets, work->wallet_count, more, sizeof *work->wallets);
        work->wallet_capacity = more;
    }
    work->wallets[work->wallet_count++] = wallet;
    *found = wallet;
    return OK;
}

/* ---- history --------------------------------------------------------------------------------- */

/* What happens to a wallet, in the order in which it does at one instant. */
enum moment { ENDS, RESETS, RECURS, BEGINS, NOTHING };

/* When a grant recurs next: as a turn of its clock begins while it lives. */
static instant next_turn(const struct grant *grant, const struct grant_state *state)
{
    instant from = state->now > grant->from ? state->now : grant->from;
    if (from == INSTANT_MIN) { /* it always did: what is before time does not matter */
        from = 0;
    }
    instant at = clock_turn(&grant->every, from).to;
    return at < grant->to ? at : INSTANT_MAX;
}

static enum moment next_of_grant(const struct grant *grant, const struct grant_state *state,
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
        instant turn = next_turn(grant, state);
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

static enum status repay(struct work *work, const struct wallet *wallet)
{
    const struct step_credit *body = &wallet->step->credit;
    struct dec *debt = &work->buckets[wallet->overage].x;
    for (uint32_t i = 0; i < body->grant_count && !dec_is_zero(*debt); i++) {
        struct dec *balance = &work->buckets[wallet->grants[i].bucket].x;
        struct dec part = dec_min(*debt, *balance);
        TRY(dec_subtract(*balance, part, balance, work->err));
        TRY(dec_subtract(*debt, part, debt, work->err));
    }
    return OK;
}

static enum status reset(struct work *work, struct wallet *wallet)
{
    const struct step_credit *body = &wallet->step->credit;
    for (uint32_t i = 0; i < body->grant_count; i++) {
        const struct grant_state *state = &wallet->grants[i];
        if (state->has_begun && !state->has_ended) {
            struct dec *balance = &work->buckets[state->bucket].x;
            *balance = rolled_over(&body->grants[i], *balance);
        }
    }
    if (!body->keeps_overage) {
        work->buckets[wallet->overage].x = DEC_ZERO;
    }
    return OK;
}

static enum status happen(struct work *work, const struct grant *grant, struct grant_state *state,
                          enum moment event)
{
    struct dec *balance = &work->buckets[state->bucket].x;
    switch (event) {
    case ENDS:
        state->has_ended = true;
        *balance = DEC_ZERO;
        break;
    case BEGINS:
        state->has_begun = true;
        *balance = grant->amount;
        break;
    case RECURS:
        return dec_add(grant->amount, rolled_over(grant, *balance), balance, work->err);
    case RESETS:
    case NOTHING:
        break;
    }
    return OK;
}

/* All that happens up to an instant: ends, resets, turns, beginnings, of equal ones in the order in
 * which grants are used. */
static enum status advance(struct work *work, struct wallet *wallet, instant until)
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
        for (uint32_t i = 0; i < body->grant_count; i++) {
            instant at;
            enum moment next = next_of_grant(&body->grants[i], &wallet->grants[i], &at);
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
            TRY(happen(work, &body->grants[which], state, event));
            state->now = state->now > first ? state->now : first;
        }
        TRY(repay(work, wallet));
    }
    wallet->now = wallet->now > until ? wallet->now : until;
    return OK;
}

enum status credit_finish(struct work *work)
{
    instant last = work->pricing->cut.to - 1;
    for (uint32_t i = 0; i < work->wallet_count; i++) {
        struct wallet *wallet = work->wallets[i];
        const struct step_credit *body = &wallet->step->credit;
        TRY(advance(work, wallet, last));
        work->buckets[wallet->overage].events = dec_from_int(last);
        for (uint32_t g = 0; g < body->grant_count; g++) {
            work->buckets[wallet->grants[g].bucket].events = dec_from_int(last);
        }
    }
    return OK;
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* One part of what is taken: from a grant, or beyond all of them. */
typedef enum status take_part(struct work *work, const struct step *step, uint32_t index,
                              struct dec part);

static enum status fits(struct work *work, const struct grant *grant, const struct charge *charge,
                        bool *does)
{
    *does = true;
    if (grant->where) {
        struct expr_value value;
        struct period turn = {charge->at, charge->at};
        TRY(charge_eval(work, grant->where, charge, turn, &value));
        *does = value.truth;
    }
    return OK;
}

static enum status take(struct work *work, const struct step *step, const struct charge *asks,
                        uint32_t index, struct dec wanted, take_part *give)
{
    const struct step_credit *body = &step->credit;
    struct wallet *wallet;
    TRY(find_wallet(work, step, asks, &wallet));
    TRY(advance(work, wallet, asks->at));
    for (uint32_t i = 0; i < body->grant_count && dec_sign(wanted) > 0; i++) {
        struct bucket *bucket = &work->buckets[wallet->grants[i].bucket];
        struct dec before = bucket->x, part = dec_min(before, wanted);
        bool does = false;
        if (dec_sign(part) > 0) {
            TRY(fits(work, &body->grants[i], asks, &does));
        }
        if (!does) {
            continue;
        }
        bucket = &work->buckets[wallet->grants[i].bucket];
        TRY(dec_subtract(before, part, &bucket->x, work->err));
        TRY(dec_subtract(wanted, part, &wanted, work->err));
        work_trace_step(work, index, bucket,
                        (struct trace){.step = step,
                                       .before = before,
                                       .after = bucket->x,
                                       .f_after = part,
                                       .limit = body->grants[i].amount,
                                       .tier = NONE});
        TRY(give(work, step, index, part));
    }
    if (dec_sign(wanted) > 0 && body->carries_overage) {
        struct bucket *bucket = &work->buckets[wallet->overage];
        TRY(dec_add(bucket->x, wanted, &bucket->x, work->err));
        TRY(give(work, step, index, wanted));
    }
    return OK;
}

static enum status give_money(struct work *work, const struct step *step, uint32_t index,
                              struct dec part)
{
    return step_adjust_charge(work, step, index, CHARGE_CREDIT, dec_negate(part));
}

enum status step_credit_run(struct work *work, const struct step *step, uint32_t index,
                            const struct charge *asks)
{
    struct charge copy = *asks;
    return take(work, step, &copy, index, work->charges[index].net, give_money);
}

/* Units: the covered part is a charge of rate 0. */
static enum status give_units(struct work *work, const struct step *step, uint32_t index,
                              struct dec part)
{
    struct charge covered = work->charges[index];
    TRY(work_take_of_row(work, &covered, part));
    covered.kind = CHARGE_CREDIT;
    covered.quantity = part;
    covered.rate = covered.amount = covered.net = covered.list = DEC_ZERO;
    covered.has_amount = covered.has_rate = true;
    covered.step = step;
    struct charge *left = &work->charges[index];
    TRY(dec_subtract(left->quantity, part, &left->quantity, work->err));
    left->events = 0; /* they are with the first part */
    uint32_t made = work_add_charge(work, &covered);
    work_pass_on(work, made);
    return OK;
}

enum status step_credit_units(struct work *work, const struct step *step, uint32_t index)
{
    struct charge asks = work->charges[index];
    bool had = !dec_is_zero(asks.quantity);
    TRY(take(work, step, &asks, index, asks.quantity, give_units));
    struct charge *left = &work->charges[index];
    if (had && dec_is_zero(left->quantity)) {
        left->next_step = left->price->step_count; /* nothing of it goes on */
        return OK;
    }
    work_pass_on(work, index);
    return OK;
}
