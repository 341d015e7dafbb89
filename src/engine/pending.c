/* pending.c - what an unfinished turn will still charge: minimums, shortfalls, fees in arrears.
 *
 * Steps that wait for the end of their turn are on no bill before it.  A bill of a part of a turn
 * of billing tells them all the same: the same rows are priced once more as if the turn ended with
 * them, and what that charges beyond the bill is pending (doc/bill.md, Estimates).  It is on no
 * line.
 */
#include "engine/load.h"
#include "engine/payer.h"

#include <stdlib.h>

/* True of a price or term that charges in the end of a turn what it does not before. */
static bool waits(const struct step *step)
{
    switch (step->kind) {
    case STEP_FIXED:
        return step->fixed.when == FIXED_IN_ARREARS;
    case STEP_BOUND:
        return step->bound.has_min;
    case STEP_COMMIT:
        return step->commit.has_shortfall;
    case STEP_TIER:
        return step->tier.settle_at_end;
    case STEP_DISCOUNT:
    case STEP_MARKUP:
    case STEP_FEE:
        return step->adjust.has_min || step->adjust.settle_at_end;
    default:
        return false;
    }
}

bool pending_is_possible(const struct catalog *catalog)
{
    bool has = catalog->has_waiting_terms;
    for (uint32_t p = 0; p < catalog->price_count && !has; p++) {
        for (uint32_t i = 0; i < catalog->prices[p].step_count && !has; i++) {
            has = waits(&catalog->prices[p].steps[i]);
        }
    }
    return has;
}

/* True of what is charged as time goes, whatever waits for the end: it is on the bill of its time.
 */
static bool comes_with_time(const struct charge *charge)
{
    const struct step *step = charge->step;
    return charge->kind == CHARGE_COMMITMENT ||
           (step->kind == STEP_FIXED && step->fixed.when != FIXED_IN_ARREARS) ||
           (charge->kind == CHARGE_FEE && (step->kind == STEP_CREDIT || step->kind == STEP_COMMIT));
}

static const struct charge *base_of(const struct priced *priced, const struct charge *charge)
{
    return charge->of == NONE ? charge : &priced->charges[charge->of];
}

/* Where an amount is told: with those of its account, SKU, price, step, kind and contract. */
static uint32_t place_of(struct arena *arena, struct map *places, const struct pending_charge *item,
                         uint32_t otherwise)
{
    struct arena_mark mark = arena_mark(arena);
    struct text key =
        text_format(arena, "%.*s\n%.*s\n%.*s\n%.*s\n%.*s\n%.*s", TEXT_ARG(item->account),
                    TEXT_ARG(item->sku), TEXT_ARG(item->price), TEXT_ARG(item->step),
                    TEXT_ARG(item->kind), TEXT_ARG(item->contract));
    uint32_t found = map_find(places, key);
    if (found != MAP_NONE) {
        arena_rewind(arena, mark);
        return found;
    }
    return map_put(places, key, otherwise);
}

/* Adds what the charges that wait come to, all of them of a view by source, or takes it off. */
static enum status collect(struct arena *arena, struct map *places, const struct pricing *pricing,
                           const struct priced *priced, bool takes, struct bill *bill,
                           struct error *err)
{
    struct pending_charge *items = (struct pending_charge *)(uintptr_t)bill->pending;
    for (uint32_t i = 0; i < priced->charge_count; i++) {
        const struct charge *charge = &priced->charges[i];
        const struct charge *base = base_of(priced, charge);
        if (!charge_is_billed(charge) || (!pricing->source_charges && comes_with_time(base))) {
            continue;
        }
        struct pending_charge item = {
            .account = pricing->accounts->items[charge->account].id,
            .sku = charge->sku == NONE ? TEXT("") : pricing->catalog->skus[charge->sku].name,
            .price = charge->price->name,
            .step = charge->step->name,
            .kind = text_of(charge_kind_name(charge->kind)),
            .contract = charge->contract ? charge->contract->id : TEXT(""),
            .due = INSTANT_MIN};
        item.amount = DEC_ZERO;
        uint32_t at = place_of(arena, places, &item, bill->pending_count);
        if (at == bill->pending_count) {
            items[bill->pending_count++] = item;
        }
        instant due = base->row == NONE ? base->at + 1 : pricing->cut.to;
        items[at].due = !takes && due > items[at].due ? due : items[at].due;
        TRY((takes ? dec_subtract : dec_add)(items[at].amount, charge->amount, &items[at].amount,
                                             err));
    }
    return OK;
}

static int compare_pending(const void *a_item, const void *b_item)
{
    const struct pending_charge *a = a_item, *b = b_item;
    int order = text_compare(a->account, b->account);
    order = order ? order : (a->due > b->due) - (a->due < b->due);
    order = order ? order : text_compare(a->sku, b->sku);
    order = order ? order : text_compare(a->price, b->price);
    order = order ? order : text_compare(a->step, b->step);
    order = order ? order : text_compare(a->kind, b->kind);
    return order ? order : text_compare(a->contract, b->contract);
}

enum status pending_find(struct arena *arena, const struct pricing *pricing,
                         const struct usage_row *rows, uint32_t row_count, const struct priced *now,
                         struct turn_to_end *whole, struct bill *bill, struct error *err)
{
    whole->pricing = *pricing;
    whole->pricing.cut.to = pricing->turn.to;
    return pending_find_sourced(arena, pricing, rows, row_count, now, whole, bill, err);
}

enum status pending_find_sourced(struct arena *arena, const struct pricing *pricing,
                                 const struct usage_row *rows, uint32_t row_count,
                                 const struct priced *now, struct turn_to_end *whole,
                                 struct bill *bill, struct error *err)
{
    TRY(price_payer(arena, &whole->pricing, rows, row_count, &whole->priced, err));
    struct pending_charge *items =
        arena_alloc(arena, (whole->priced.charge_count + now->charge_count + 1) * sizeof *items);
    bill->pending = items;
    struct map places;
    map_init(&places, arena, 16);
    TRY(collect(arena, &places, &whole->pricing, &whole->priced, false, bill, err));
    TRY(collect(arena, &places, pricing, now, true, bill, err));
    uint32_t kept = 0;
    for (uint32_t i = 0; i < bill->pending_count; i++) {
        if (!dec_is_zero(items[i].amount)) {
            items[kept++] = items[i];
        }
    }
    bill->pending_count = kept;
    if (kept > 1) {
        qsort(items, kept, sizeof *items, compare_pending);
    }
    return OK;
}
