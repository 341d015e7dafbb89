/* billing.h - by which clock a payer is billed, over time.
 *
 * It is the catalog's (doc/catalog.md, billing), or that of a contract of the payer's that has a
 * `billing` of its own, while the contract is in force; of several, the first.  Where one takes the
 * place of another inside a turn, that turn ends there and a new one begins: a bill before, a bill
 * behind, and no instant on two bills or on none.  Where both say the same turn, such as a contract
 * that is renewed on its anniversary or bills by the calendar as the catalog does, it goes on.
 *
 * Nothing here depends on the period of a run: all runs cut a payer's time alike.
 */
#ifndef FARTHING_CATALOG_BILLING_H
#define FARTHING_CATALOG_BILLING_H

#include "catalog/accounts.h"

struct billing {
    const struct contract *contract; /* whose billing it is; NULL: the catalog's */
    struct clock clock;
    struct period span; /* in which it is that */
    /* A clock of the payer's own: a run has the turns that begin in its period, whole.  Of the
     * calendar's turns it has the parts that lie in the period. */
    bool is_custom;
};

/* Whose billing a payer has: its own, or, of a view by source, that of its source's payer.  Lent:
 * catalog and accounts outlive it. */
struct billing_of {
    const struct catalog *catalog;
    const struct accounts *accounts;
    uint32_t payer;
};

struct billing_of billing_of(const struct catalog *catalog, const struct accounts *accounts,
                             uint32_t payer, instant at);
struct billing billing_at(const struct billing_of *of, instant at);
/* The turn that holds the instant, as it is billed.  What a part of one is measured against is the
 * turn as its clock counts it: clock_turn of the clock at its start. */
struct period billing_turn(const struct billing_of *of, instant at);
/* True when every payer has the catalog's clock and that is the calendar's. */
bool billing_is_calendar(const struct catalog *catalog);

#endif
