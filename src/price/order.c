/* order.c - the order in which a step takes its rows, when it declares one.
 *
 * Each charge's keys are evaluated once, before the step has touched any of them; what ties is in
 * the total order, in which the charges came.  Values of different types are in the order of the
 * types.
 */
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

struct ordered {
    const struct order_key *keys;
    const struct expr_value *values; /* of each key */
    uint32_t key_count;
    uint32_t target, place, charge;
};

static int compare_values(const struct expr_value *a, const struct expr_value *b)
{
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    switch (a->type) {
    case EXPR_BOOL:
        return a->truth - b->truth;
    case EXPR_NUMBER:
        return dec_compare(a->number, b->number);
    case EXPR_TEXT:
        return text_compare(a->text, b->text);
    case EXPR_TIME:
        return (a->time > b->time) - (a->time < b->time);
    case EXPR_DURATION:
        return (a->duration_ns > b->duration_ns) - (a->duration_ns < b->duration_ns);
    default:
        return 0;
    }
}

int order_compare(const struct order_key *keys, uint32_t count, const struct expr_value *a,
                  const struct expr_value *b)
{
    for (uint32_t i = 0; i < count; i++) {
        int order = compare_values(&a[i], &b[i]);
        if (order != 0) {
            return keys[i].descends ? -order : order;
        }
    }
    return 0;
}

static int compare_ordered(const void *a_item, const void *b_item)
{
    const struct ordered *a = a_item, *b = b_item;
    if (a->target != b->target) {
        return a->target < b->target ? -1 : 1;
    }
    int order = order_compare(a->keys, a->key_count, a->values, b->values);
    return order ? order : (a->place > b->place) - (a->place < b->place);
}

uint32_t order_target(const struct work *work, const struct step *step, const struct charge *charge)
{
    uint32_t count = step->kind == STEP_CREDIT ? step->credit.target_count : 0, at = 0;
    for (; at < count; at++) {
        struct text target = step->credit.targets[at];
        if (text_equal(target, text_of(charge_kind_name(charge->kind))) ||
            (charge->sku != NONE && text_equal(target, work->catalog->skus[charge->sku].name)) ||
            (charge->step && text_equal(target, charge->step->name))) {
            break;
        }
    }
    return at;
}

enum status order_charges(struct work *work, const struct step *term, uint32_t *charges,
                          uint32_t count)
{
    struct ordered *items = arena_alloc(work->arena, (count + 1) * sizeof *items);
    for (uint32_t i = 0; i < count; i++) {
        const struct charge *charge = &work->charges[charges[i]];
        const struct step *step = term ? term : &charge->price->steps[charge->next_step];
        struct expr_value *values = arena_alloc(work->arena, step->order_count * sizeof *values);
        struct period turn = charge_turn(work, step, charge);
        for (uint32_t k = 0; k < step->order_count; k++) {
            enum status status = charge_eval(work, step->order[k].expr, charge, turn, &values[k]);
            if (status != OK) {
                return work_fail(work, status, charge->price, step, charge->account);
            }
        }
        uint32_t target = order_target(work, step, charge);
        items[i] = (struct ordered){step->order, values, step->order_count, target, i, charges[i]};
    }
    if (count > 1) {
        qsort(items, count, sizeof *items, compare_ordered);
    }
    for (uint32_t i = 0; i < count; i++) {
        charges[i] = items[i].charge;
    }
    return OK;
}
