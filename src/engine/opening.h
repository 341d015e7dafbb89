/* opening.h - what a run begins with: the closing of the one before.  Private to this room.
 */
#ifndef FARTHING_ENGINE_OPENING_H
#define FARTHING_ENGINE_OPENING_H

#include "price/price.h"
#include "usage/usage.h"

struct run;

/* A meter state that came with the opening. */
struct carried {
    uint32_t payer; /* as the period begins */
    struct meter_state state;
    struct text raw;  /* its line */
    bool is_copy;     /* for another payer */
    bool is_gone;     /* of a view that is not there any more, or has not the account: of nobody */
    bool is_lent;     /* a level inside its own bill: of nobody, for those who begin then */
    bool has_samples; /* not the state, but the line says: see carry_samples */
};

/* Of the names of buckets in closings: 2 since they say which keys their values are of. */
enum { CLOSING_FORM = 2 };

struct opening_bucket {
    uint32_t payer;
    bool is_moved; /* it was another payer's */
    struct bucket_state state;
    struct text raw; /* its line */
};

/* The states of --opening; without one, warns.  Periods, cuts and members are known.  ERR_INPUT: it
 * is not the closing of the period just before, whole and of this version; ERR_CORRUPT: it was
 * edited. */
enum status load_opening(struct run *run);
/* Samples that came with it, into the spool of records. */
enum status carry_samples(struct run *run);

/* unopened.c: warns when the run begins inside a turn of a step that accumulates, or has meters
 * that carry. */
void warn_of_no_opening(struct run *run);
/* Warns when the opening, sorted, has states of turns that go on which are of no step or SKU of the
 * catalog. */
void warn_of_no_step(struct run *run);

#endif
