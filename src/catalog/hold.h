/* hold.h - which price and contract hold for rows of usage at an instant, and until when.
 *
 *     (account, SKU, meter, dimension values), instant --> price, contract; period without a change
 *
 * A row of usage is cut where something changes for it, and nowhere else: the maximum of a month
 * that is cut in two is billed twice.  What changes is who the account belongs to, which price the
 * row has, or its contract when the price asks about it.  Dates that leave all of this as it was
 * change nothing: those of other SKUs' prices, of a contract that does not price the row, of a
 * version that says what the one before it says.
 */
#ifndef FARTHING_CATALOG_HOLD_H
#define FARTHING_CATALOG_HOLD_H

#include "catalog/accounts.h"
#include "catalog/catalog.h"

/* What rows have in common. */
struct usage_kind {
    uint32_t account, sku;
    const struct meter *meter;
    const struct text *dimensions; /* values, in the meter's order */
};

/* Narrows slot, which holds at, to the time around at without a change. */
void hold_narrow(const struct accounts *accounts, const struct catalog *catalog,
                 const struct usage_kind *kind, instant at, struct period *slot);

/* Narrows it to one turn of each clock that the price's steps have and, but for a meter that makes
 * one value of it, the terms that it may meet.  With hours_only the slot lies in an hour already,
 * and clocks that turn with the hour are passed over. */
void hold_narrow_to_turns(const struct accounts *accounts, const struct catalog *catalog,
                          const struct usage_kind *kind, bool hours_only, instant at,
                          struct period *slot);

#endif
