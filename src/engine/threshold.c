/* threshold.c - bills inside a turn: as what its charges come to reaches an amount.
 *
 *     charges of the time that is billed, in order --sum--> hours at whose end a threshold
 *                                                           is reached
 *                                                            |
 *                       the time is billed in parts, each a split of the turn
 *
 * A bill may be cut anywhere inside a turn, and its parts add up to it (doc/catalog.md, billing).
 * So a threshold is nothing but a cut that is found by pricing the whole first.  What the turn has
 * come to goes on in the closing, so that the bills of a turn may be made in several runs.
 *
 * Where parts were billed before, they are the parts: a correction makes no bills of its own.
 */
#include "engine/payer.h"

#include <stdlib.h>

static const struct text NODE = {"@billing", 8};

const struct thresholds *payer_thresholds(const struct run *run, uint32_t payer, instant at)
{
    const struct billing_of own_billing = {run->catalog, run->accounts, payer};
    const struct billing billing = billing_at(&own_billing, billing_turn(&own_billing, at).from);
    const struct thresholds *own = billing.contract ? &billing.contract->thresholds : NULL;
    bool has_own = own && (own->count > 0 || own->has_recurring);
    own = has_own ? own : &run->catalog->thresholds;
    return own->count > 0 || own->has_recurring ? own : NULL;
}

static struct text state_key(struct arena *arena, const struct pricing *pricing, struct period turn)
{
    struct buffer key;
    buffer_init(&key, arena, 64);
    buffer_add_text(&key, NODE);
    buffer_add_char(&key, '|');
    buffer_add_encoded(&key, pricing->accounts->items[pricing->payer].id, "|");
    buffer_add_char(&key, '|');
    char *to = buffer_reserve(&key, TIME_FORMAT_MAX);
    key.size += (size_t)time_format(turn.from, to);
    return buffer_text(&key);
}

/* What the turn had come to before. */
static struct dec sum_before(struct text key, const struct pricing *pricing)
{
    for (uint32_t i = 0; i < pricing->opening_count; i++) {
        if (text_equal(pricing->opening[i].key, key)) {
            return pricing->opening[i].x;
        }
    }
    return DEC_ZERO;
}

static int compare_states(const void *a, const void *b)
{
    return bucket_state_compare(a, b);
}

enum status threshold_close(struct arena *arena, const struct pricing *pricing,
                            struct priced *priced, struct error *err)
{
    const struct period turn = pricing->turn;
    if (turn.to <= pricing->cut.to) {
        return OK;
    }
    struct bucket_state state = {.key = state_key(arena, pricing, turn), .turn = turn};
    state.y = state.events = state.high = DEC_ZERO;
    state.x = sum_before(state.key, pricing);
    for (uint32_t i = 0; i < priced->charge_count; i++) {
        if (charge_is_billed(&priced->charges[i])) {
            TRY(dec_add(state.x, priced->charges[i].amount, &state.x, err));
        }
    }
    uint32_t at = 0;
    while (at < priced->closing_count && !text_equal(priced->closing[at].key, state.key)) {
        at++;
    }
    if (at == priced->closing_count) {
        priced->closing = arena_grow(arena, priced->closing, at, at + 1, sizeof *priced->closing);
        priced->closing_count++;
    }
    priced->closing[at] = state;
    qsort(priced->closing, priced->closing_count, sizeof *priced->closing, compare_states);
    return OK;
}

/* ---- the parts ------------------------------------------------------------------------------- */

/* The least threshold above a sum; false when there is none. */
static enum status find_next(const struct thresholds *thresholds, struct dec sum, bool *has,
                             struct dec *next, struct error *err)
{
    struct dec last = DEC_ZERO, times;
    *has = true;
    for (uint32_t i = 0; i < thresholds->count; i++) {
        last = *next = thresholds->items[i];
        if (dec_compare(last, sum) > 0) {
            return OK;
        }
    }
    *has = thresholds->has_recurring;
    if (!*has) {
        return OK;
    }
    TRY(dec_subtract(sum, last, &times, err));
    TRY(dec_divide(dec_max(times, DEC_ZERO), thresholds->recurring, 0, ROUND_FLOOR, &times, err));
    TRY(dec_add(times, dec_from_int(1), &times, err));
    TRY(dec_multiply_round(times, thresholds->recurring, DEC_SCALE, ROUND_HALF_EVEN, next, err));
    return dec_add(*next, last, next, err);
}

/* What is known of at the end of an hour. */
struct step_up {
    instant at;
    struct dec amount;
};

static int compare_steps(const void *a_item, const void *b_item)
{
    const struct step_up *a = a_item, *b = b_item;
    return (a->at > b->at) - (a->at < b->at);
}

static instant hour_end(instant at)
{
    return (at + NS_PER_HOUR - 1) / NS_PER_HOUR * NS_PER_HOUR;
}

enum status threshold_cuts(struct arena *arena, const struct thresholds *thresholds,
                           const struct pricing *pricing, const struct priced *priced,
                           instant *cuts, uint32_t *count, struct error *err)
{
    struct period cut = pricing->cut;
    struct step_up *steps = arena_alloc(arena, (priced->charge_count + 1) * sizeof *steps);
    uint32_t step_count = 0;
    for (uint32_t i = 0; i < priced->charge_count; i++) {
        const struct charge *charge = &priced->charges[i];
        if (charge_is_billed(charge)) {
            instant at = charge->row == NONE ? charge->at + 1 : charge->span.to;
            steps[step_count++] = (struct step_up){hour_end(at), charge->amount};
        }
    }
    if (step_count > 1) {
        qsort(steps, step_count, sizeof *steps, compare_steps);
    }
    struct dec next,
        sum = sum_before(state_key(arena, pricing, pricing_turn(pricing, cut.from)), pricing);
    bool has;
    TRY(find_next(thresholds, sum, &has, &next, err));
    *count = 0;
    for (uint32_t i = 0; i < step_count && has; i++) {
        TRY(dec_add(sum, steps[i].amount, &sum, err));
        bool is_hour = i + 1 == step_count || steps[i + 1].at != steps[i].at;
        if (is_hour && steps[i].at < cut.to && dec_compare(sum, next) >= 0) {
            cuts[(*count)++] = steps[i].at;
            TRY(find_next(thresholds, sum, &has, &next, err));
        }
    }
    return OK;
}
