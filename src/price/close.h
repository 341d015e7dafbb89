/* close.h - whether what commitments cover, leave and cost closes.
 *
 *     turns of commitments:  capacity = used + left,  cost ---+
 *                                                             +-- equal, or a rule's name
 *     charges of the bill:   covered, negation, unused, fees -+
 *
 * Every bill of a payer that has commitments is held against these rules before any term sees it
 * (doc/pricing/cover.md, What closes, says which are held where).  All is exact: what rounds,
 * rounds along a curve whose pieces add up.  A rule that does not hold is a bug or damage of ours,
 * and the payer is not billed: ERR_CORRUPT, with the rule's name.
 */
#ifndef FARTHING_PRICE_CLOSE_H
#define FARTHING_PRICE_CLOSE_H

#include "price/price.h"

enum close_rule {
    CLOSE_CAPACITY,  /* used + left = capacity, and neither is below nothing */
    CLOSE_WEIGHT,    /* a part's units = its quantity x the row's weight */
    CLOSE_UNITS,     /* the units of all parts = what is used of all turns */
    CLOSE_UNUSED,    /* the unused quantity = what is left of all turns */
    CLOSE_COVERED,   /* a covered part costs nothing but what a negation takes back */
    CLOSE_NEGATION,  /* a covered part and its negation = 0: one for each, with its keys */
    CLOSE_RATE,      /* rate x quantity = amount, of parts and fees that tell a rate */
    CLOSE_PURCHASE,  /* fees are effectively nothing: what is covered and unused has them */
    CLOSE_EFFECTIVE, /* covered and unused, effectively, = the cost of the turns */
    CLOSE_AMORTIZED, /* the cost of the turns = recurring fees + the upfront fee's part by time */
    CLOSE_LIFE,      /* over a whole term: covered and unused, effectively, = what was paid */
    CLOSE_SHARES,    /* of what is allocated: given = taken = the shared total */
    CLOSE_RULES
};

/* A turn of a commitment. */
enum status close_turn(struct dec capacity, struct dec used, struct dec left, struct error *err);

/* What a row's part took.  Units and quantity are of 18 digits, so they agree to one unit of the
 * last place of each; rows that are covered whole also fit when no more than slack lacks. */
enum status close_part(struct dec quantity, struct dec weight, struct dec units, struct dec slack,
                       struct error *err);

/* One charge that has an effective cost; charges[0..count) are all of the payer. */
enum status close_charge(const struct charge *charges, uint32_t count, uint32_t index,
                         struct dec effective, struct error *err);

/* All negations of the payer: for each covered part that costs something there is one. */
enum status close_negations(struct arena *arena, const struct charge *charges, uint32_t count,
                            struct error *err);

/* A commitment in one bill. */
struct balance {
    struct dec used,
        left;             /* by its turns; of a turn that another bill began, less what that told */
    struct dec cost;      /* by its turns that begin in the bill */
    struct dec spread;    /* of the upfront fee, the part of these turns' time */
    struct dec units;     /* by covered parts */
    struct dec unused;    /* by the unused charge */
    struct dec effective; /* by both */
    struct dec recurring, upfront; /* by fees */
    bool is_whole;                 /* the bill has its whole term */
};
enum status close_balance(const struct balance *balance, struct error *err);

/* What is shared, what is given of it, and what is taken. */
enum status close_shares(struct dec total, struct dec given, struct dec taken, struct error *err);

#endif
