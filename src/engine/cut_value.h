/* cut_value.h - values that a change cuts in two, for a warning.  Private to this room.
 */
#ifndef FARTHING_ENGINE_CUT_VALUE_H
#define FARTHING_ENGINE_CUT_VALUE_H

#include "catalog/catalog.h"

struct run;

/* A value that a change of its price, or of the contract, has cut in two (cut_value.c). */
struct cut_value {
    uint32_t payer, account;
    const struct meter *meter;
    const struct price *price; /* of the second part */
    bool is_contract;          /* it is the contract that changes */
    instant at;
};
struct cut_values {
    uint64_t count;
    struct cut_value first; /* of the first payer that has one, in the order of its rows */
};

/* Warns of values that a change cut in two. */
void warn_of_cut_values(struct run *run);

#endif
