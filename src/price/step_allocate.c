/* step_allocate.c - allocate: what some charges come to is shared among others, by weights.
 *
 * In order, each charge enters with its weight.  When the last of a bucket has, what those that
 * give come to is taken from them and given to those that take: in whole units by the greatest
 * remainders, or exactly, along the chord over the weights.  What is given is what is taken.
 */
#include <assert.h>
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

enum status step_allocate_enter(struct work *work, struct entry *entry)
{
    const struct step *step = entry->step;
    struct charge copy;
    const struct charge *charge = step_charge_seen(work, entry->charge, &copy);
    struct dec weight = DEC_ZERO;
    entry->gives = entry->takes = true;
    TRY(charge_is_true(work, step, step->where, charge, &entry->gives));
    TRY(charge_is_true(work, step, step->allocate.to, charge, &entry->takes));
    if (entry->takes) {
        weight = charge_units(charge);
    }
    if (entry->takes && step->allocate.weight) {
        struct expr_value value;
        struct period turn = charge_turn(work, step, charge);
        TRY(charge_eval(work, step->allocate.weight, charge, turn, &value));
        weight = value.number;
    }
    if (dec_sign(weight) < 0) {
        char text[DEC_FORMAT_MAX];
        (void)dec_format(weight, text);
        (void)fail(work->err, ERR_INPUT, "a weight of %s is negative", text);
        return fail_hint(work->err, "weight: max(0, ...), or a where that leaves it out");
    }
    return step_charge_enter(work, entry, weight);
}

struct share {
    uint32_t entry;
    struct dec given, amount, remainder;
};

/* The greater remainder first, of equal ones the first in order. */
static int compare_remainders(const void *a_item, const void *b_item)
{
    const struct share *a = a_item, *b = b_item;
    int order = dec_compare(dec_abs(b->remainder), dec_abs(a->remainder));
    return order ? order : (a->entry > b->entry) - (a->entry < b->entry);
}

static int compare_entries(const void *a_item, const void *b_item)
{
    const struct share *a = a_item, *b = b_item;
    return (a->entry > b->entry) - (a->entry < b->entry);
}

/* Shares of whole units, that come to the total: down, then one more for the greatest remainders.
 */
static enum status round_shares(struct work *work, const struct step *step, struct share *shares,
                                uint32_t count, struct dec total, struct dec weights)
{
    const struct entry *entries = work->entries;
    const int digits = step->allocate.digits;
    struct dec left = total, exact;
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[shares[i].entry];
        struct dec weight;
        TRY(dec_subtract(entry->after, entry->before, &weight, work->err));
        TRY(dec_multiply_divide(total, weight, weights, digits, ROUND_DOWN, &shares[i].amount,
                                work->err));
        TRY(dec_multiply_divide(total, weight, weights, DEC_SCALE, ROUND_HALF_EVEN, &exact,
                                work->err));
        TRY(dec_subtract(exact, shares[i].amount, &shares[i].remainder, work->err));
        TRY(dec_subtract(left, shares[i].amount, &left, work->err));
    }
    struct dec unit = {dec_sign(total) < 0 ? -1 : 1, digits};
    qsort(shares, count, sizeof *shares, compare_remainders);
    for (uint32_t i = 0; i < count && !dec_is_zero(left); i++) {
        TRY(dec_add(shares[i].amount, unit, &shares[i].amount, work->err));
        TRY(dec_subtract(left, unit, &left, work->err));
    }
    assert(dec_is_zero(left));
    qsort(shares, count, sizeof *shares, compare_entries);
    return OK;
}

/* Along the chord over the weights, so that shares add up. */
static enum status exact_shares(struct work *work, struct share *shares, uint32_t count,
                                struct dec total, struct dec weights)
{
    struct dec low = DEC_ZERO;
    for (uint32_t i = 0; i < count; i++) {
        struct dec high;
        TRY(dec_multiply_divide(total, work->entries[shares[i].entry].after, weights, DEC_SCALE,
                                ROUND_HALF_EVEN, &high, work->err));
        TRY(dec_subtract(high, low, &shares[i].amount, work->err));
        low = high;
    }
    return OK;
}

/* What each gives: all it comes to, or, where some stays, its part along the chord. */
static enum status find_given(struct work *work, struct share *shares, uint32_t count,
                              struct dec total, struct dec all)
{
    struct dec sum = DEC_ZERO, low = DEC_ZERO;
    const bool is_all = dec_equal(total, all);
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *entry = &work->entries[shares[i].entry];
        struct dec net = work->charges[entry->charge].net, high;
        shares[i].given = entry->gives && is_all ? net : DEC_ZERO;
        if (!entry->gives || is_all) {
            continue;
        }
        TRY(dec_add(sum, net, &sum, work->err));
        TRY(dec_multiply_divide(total, sum, all, DEC_SCALE, ROUND_HALF_EVEN, &high, work->err));
        TRY(dec_subtract(high, low, &shares[i].given, work->err));
        low = high;
    }
    return OK;
}

/* What is shared is what is given and what is taken. */
static enum status check_shares(const struct work *work, const struct share *shares, uint32_t count,
                                struct dec total)
{
    struct dec given = DEC_ZERO, taken = DEC_ZERO;
    for (uint32_t i = 0; i < count; i++) {
        TRY(dec_add(given, shares[i].given, &given, work->err));
        TRY(dec_add(taken, shares[i].amount, &taken, work->err));
    }
    return close_shares(total, given, taken, work->err);
}

enum status step_allocate_settle(struct work *work, uint32_t at)
{
    const struct bucket *bucket = &work->buckets[at];
    const struct step *step = bucket->step;
    const struct step_allocate *body = &step->allocate;
    const struct entry *entries = work->entries;
    struct dec weights = bucket->x, all = DEC_ZERO, capacity = DEC_ZERO;
    uint32_t count = 0;
    for (uint32_t i = bucket->first_entry; i != NONE; i = entries[i].next) {
        const struct charge *charge = &work->charges[entries[i].charge];
        count++;
        if (entries[i].gives) {
            TRY(dec_add(all, charge->net, &all, work->err));
            TRY(dec_add(capacity, charge_units(charge), &capacity, work->err));
        }
    }
    struct dec total = all;
    if (dec_is_zero(weights)) { /* nobody takes it */
        return OK;
    }
    if (body->keeps_idle && dec_compare(weights, capacity) < 0) {
        TRY(dec_multiply_divide(all, weights, capacity, DEC_SCALE, ROUND_HALF_EVEN, &total,
                                work->err));
    }
    if (body->has_digits) { /* what is less than a unit stays where it is */
        TRY(dec_round(total, body->digits, ROUND_DOWN, &total, work->err));
    }
    struct share *shares = arena_calloc(work->arena, count, sizeof *shares);
    count = 0;
    for (uint32_t i = bucket->first_entry; i != NONE; i = entries[i].next) {
        shares[count++].entry = i;
    }
    TRY(find_given(work, shares, count, total, all));
    TRY(body->has_digits ? round_shares(work, step, shares, count, total, weights)
                         : exact_shares(work, shares, count, total, weights));
    work_trace_bucket(
        work, bucket,
        (struct trace){
            .step = step, .after = weights, .f_after = total, .limit = all, .tier = NONE});
    TRY(check_shares(work, shares, count, total));
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[shares[i].entry];
        struct dec change;
        TRY(dec_subtract(shares[i].amount, shares[i].given, &change, work->err));
        TRY(step_charge_adjust(work, step, entry->charge, CHARGE_ALLOCATED, change));
        work_trace_step(work, entry->charge, &work->buckets[at],
                        (struct trace){.step = step,
                                       .before = entry->before,
                                       .after = entry->after,
                                       .f_after = change,
                                       .limit = shares[i].given,
                                       .tier = NONE});
    }
    return OK;
}
