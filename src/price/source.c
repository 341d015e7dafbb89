/* source.c - a view by source: the charges of another contract as rows, in the total order.
 *
 * A row's quantity is what is left of its charge before tax, in the currency; it keeps the keys and
 * the kind of the charge, so that terms can tell a fee from usage.  Its price is the contract's
 * own, else its plan's, else its cost.  That all of what a source charged for a usage row comes to
 * charges here is checked as for quantities.
 */
#include "price/work.h"

#include "base/nofloat.h"

/* Merge sort: the comparison needs the work. */
static void sort(const struct work *work, uint32_t *items, uint32_t *room, uint32_t count)
{
    if (count < 2) {
        return;
    }
    uint32_t half = count / 2;
    sort(work, items, room, half);
    sort(work, items + half, room, count - half);
    memcpy(room, items, half * sizeof *items);
    for (uint32_t a = 0, b = half, to = 0; a < half;) {
        bool is_right = b < count && charge_compare(work, items[b], room[a]) < 0;
        items[to++] = is_right ? items[b++] : room[a++];
    }
}

static enum status start(struct work *work, const struct contract *contract,
                         const struct text *no_dimensions, uint32_t order, struct charge *charge)
{
    const struct pricing *pricing = work->pricing;
    const struct catalog *catalog = work->catalog;
    int level = LEVEL_CONTRACT;
    const struct price *price = &catalog->prices[contract->cost];
    if (charge->sku != NONE) {
        bool has_series = charge->merged || charge->series != NONE;
        const struct series *series = has_series ? charge_series(pricing, charge) : NULL;
        struct dimension_values dimensions = {NULL, no_dimensions};
        if (series) {
            dimensions =
                (struct dimension_values){&catalog->meters[series->meter], series->dimensions};
        }
        price = catalog_price(catalog, NULL, contract, NONE, charge->sku, &dimensions, charge->at,
                              &level);
    }
    struct dec quantity = charge->net;
    if (charge->row != NONE) {
        TRY(dec_add(work->left[charge->row], quantity, &work->left[charge->row], work->err));
    }
    *charge = (struct charge){.kind = charge->kind,
                              .level = (int8_t)level,
                              .account = charge->account,
                              .sku = charge->sku,
                              .series = charge->series,
                              .row = charge->row,
                              .order = order,
                              .tier = NONE,
                              .of = NONE,
                              .at = charge->at,
                              .span = charge->span,
                              .price = price,
                              .contract = contract,
                              .merged = charge->merged,
                              .keys = charge->keys,
                              .event = price->grain == GRAIN_EVENT ? charge->event : NULL,
                              .unit = text_of(work->pricing->source_currency->code),
                              .events = charge->is_copy ? 0 : charge->events,
                              .quantity = quantity};
    return OK;
}

enum status source_start(struct work *work)
{
    const struct pricing *pricing = work->pricing;
    const struct accounts *accounts = pricing->accounts;
    uint32_t count = pricing->source_count, view = accounts_view(accounts, pricing->payer);
    const struct contract *contract = &work->catalog->contracts[accounts->views[view].contract];
    struct text *no_dimensions =
        arena_calloc(work->arena, work->catalog->dimension_count + 1u, sizeof *no_dimensions);
    uint32_t *order = arena_alloc(work->arena, (count + 1u) * sizeof *order);
    uint32_t *room = arena_alloc(work->arena, (count + 1u) * sizeof *room);
    for (uint32_t i = 0; i < count; i++) {
        order[i] = work_add_charge(work, &pricing->source_charges[i]);
    }
    sort(work, order, room, count);
    struct charge *sorted = arena_alloc(work->arena, (count + 1u) * sizeof *sorted);
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = work->charges[order[i]];
        TRY(start(work, contract, no_dimensions, i * work->orders_of_row, &sorted[i]));
    }
    work->charge_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        (void)work_add_charge(work, &sorted[i]);
        if (sorted[i].price->component_count > 0) {
            work_start_components(work, sorted[i].price);
        }
    }
    return OK;
}
