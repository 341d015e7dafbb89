/* order.c - the order in which a step takes its rows, when it declares one; and what a credit that
 * pays the largest first does.
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
    instant turn; /* of a step that leaves something for the next; else all the same */
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
    if (a->turn != b->turn) {
        return a->turn < b->turn ? -1 : 1;
    }
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
        items[i] = (struct ordered){step->order,
                                    values,
                                    step->order_count,
                                    target,
                                    i,
                                    charges[i],
                                    step_rolls_over(step) ? turn.from : 0};
    }
    if (count > 1) {
        qsort(items, count, sizeof *items, compare_ordered);
    }
    for (uint32_t i = 0; i < count; i++) {
        charges[i] = items[i].charge;
    }
    return OK;
}

/* ---- in time ----------------------------------------------------------------------------------
 */

struct timed {
    instant at;
    uint32_t place;
    struct entry entry;
};

static int compare_timed(const void *a_item, const void *b_item)
{
    const struct timed *a = a_item, *b = b_item;
    if (a->at != b->at) {
        return a->at < b->at ? -1 : 1;
    }
    return (a->place > b->place) - (a->place < b->place);
}

void order_in_time(struct work *work, struct entry *entries, uint32_t count)
{
    const struct step *step = count > 1 ? entries[0].step : NULL;
    const bool is_wallet = step && step->kind == STEP_CREDIT && !step->credit.is_of_period;
    bool rolls = false, is_sorted = true;
    for (uint32_t i = 0; step && i < count; i++) {
        rolls = rolls || step_rolls_over(entries[i].step);
    }
    if (!is_wallet && !rolls) {
        return;
    }
    struct arena_mark mark = arena_mark(work->arena);
    struct timed *items = arena_alloc(work->arena, count * sizeof *items);
    for (uint32_t i = 0; i < count; i++) {
        struct charge copy;
        const struct charge *charge = step_charge_seen(work, entries[i].charge, &copy);
        instant at = is_wallet ? charge->at : charge_turn(work, entries[i].step, charge).from;
        items[i] = (struct timed){at, i, entries[i]};
        is_sorted = is_sorted && (i == 0 || items[i - 1].at <= at);
    }
    if (!is_sorted) {
        qsort(items, count, sizeof *items, compare_timed);
    }
    for (uint32_t i = 0; i < count && !is_sorted; i++) {
        entries[i] = items[i].entry;
    }
    arena_rewind(work->arena, mark);
}

/* ---- the largest first ----------------------------------------------------------------------- */

/* A group is all charges of one value of the first keys. */
struct group_key {
    uint64_t outer; /* the group that it is in, or the wallet */
    uint64_t value;
};
#define OF_WALLET (UINT64_C(1) << 32) /* above the numbers of groups */
struct group {
    struct group_key key;
    struct dec sum;
    uint32_t place; /* of its first charge */
};
struct large {
    const struct group *groups[SUM_KEYS];
    uint32_t group_count;
    struct dec net;
    uint32_t place;
    struct entry entry;
};

static int compare_large(const void *a_item, const void *b_item)
{
    const struct large *a = a_item, *b = b_item;
    for (uint32_t i = 0; i < a->group_count; i++) {
        const struct group *left = a->groups[i], *right = b->groups[i];
        if (left != right) {
            int order = dec_compare(right->sum, left->sum);
            return order ? order : left->place < right->place ? -1 : 1;
        }
    }
    int order = dec_compare(b->net, a->net);
    return order ? order : (a->place > b->place) - (a->place < b->place);
}

static uint32_t group_value(const struct work *work, const struct charge *charge,
                            enum credit_sum sum)
{
    return sum == SUM_ACCOUNT    ? charge->account
           : sum == SUM_SKU      ? charge->sku
           : charge->sku == NONE ? NONE
                                 : work->catalog->skus[charge->sku].product;
}

enum status order_largest(struct work *work, const struct step *step, struct entry *entries,
                          const uint32_t *wallets, uint32_t count)
{
    const struct step_credit *body = &step->credit;
    struct large *items = arena_calloc(work->arena, count + 1, sizeof *items);
    struct group *groups =
        arena_calloc(work->arena, (size_t)count * body->largest_count + 1, sizeof *groups);
    uint32_t group_count = 0;
    struct map map;
    map_init(&map, work->arena, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct charge *charge = &work->charges[entries[i].charge];
        struct large *item = &items[i];
        *item = (struct large){.group_count = body->largest_count,
                               .net = charge->net,
                               .place = i,
                               .entry = entries[i]};
        uint64_t outer = wallets[i] + OF_WALLET;
        for (uint32_t k = 0; k < body->largest_count; k++) {
            struct group *group = &groups[group_count];
            group->key = (struct group_key){outer, group_value(work, charge, body->largest[k])};
            group->place = i;
            struct text key = {(const char *)&group->key, sizeof group->key};
            uint32_t at = map_put(&map, key, group_count);
            group_count += at == group_count;
            group = &groups[at];
            if (credit_is_meant(&entries[i].step->credit, charge->kind)) {
                TRY(dec_add(group->sum, charge->net, &group->sum, work->err));
            }
            outer = at;
            item->groups[k] = group;
        }
    }
    if (count > 1) {
        qsort(items, count, sizeof *items, compare_large);
    }
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = items[i].entry;
    }
    return OK;
}
