/* term_bases.h - the charges that terms take, and whose terms take them.  Private to this room.
 *
 * A payer may pay for ten thousand accounts with a contract each, so the terms of one plan or
 * contract must not look at what all others have: each owner has its bases chained, and the members
 * that it may have to settle something for.
 */
#ifndef FARTHING_PRICE_TERM_BASES_H
#define FARTHING_PRICE_TERM_BASES_H

#include "price/work.h"

enum owner_kind { OWNER_PLAN, OWNER_CONTRACT, OWNER_KINDS };

/* A charge that adjusts nothing, and whose terms apply to it. */
struct base {
    uint32_t charge, plan;
    const struct contract *contract;
    uint64_t groups;            /* those of which a term has taken it */
    uint32_t *winners;          /* of each group whose best applies: the node; NULL: none yet */
    uint32_t next[OWNER_KINDS]; /* of the same owner; NONE: the last */
};

/* A plan or contract with terms. */
struct owner {
    uint32_t index;                 /* in the catalog */
    uint32_t first_base, last_base; /* NONE: none */
    uint32_t first_stay, last_stay;
};

/* A member for whom the terms of an owner are in force for some time, or were. */
struct stay {
    uint32_t owner, member; /* by index, the member's in pricing->members */
    uint32_t next;          /* of the owner; NONE: the last */
};

/* Each once, ascending. */
struct owners {
    struct owner *items;
    uint32_t count, capacity;
    struct stay *stays; /* where some terms wait for the end of a turn */
    uint32_t stay_count, stay_capacity;
};

/* A base of the term at hand. */
struct listed {
    uint32_t charge, base;
};

struct bases {
    struct work *work;
    struct base *items; /* as they came */
    uint32_t count, capacity;
    struct owners owners[OWNER_KINDS];
    /* Of the term at hand: its bases in the total order, and whom it may be for, ascending. */
    struct listed *list;
    uint32_t list_count, list_capacity;
    uint32_t *members;
    uint32_t member_count, member_capacity;
};

/* All charges that there are, and the owners of their terms, and of what waits for a turn's end. */
void bases_begin(struct bases *bases, struct work *work);
/* Makes a term the one at hand. */
void bases_open(struct bases *bases, const struct term *term);
/* Adds the charges from `first` on, which the term at hand has made.  What a plan's terms make may
 * be the first that another owner has. */
void bases_add(struct bases *bases, const struct term *term, uint32_t first);

/* The bases of any term, in no stated order; NONE: there is none more. */
uint32_t bases_first(const struct bases *bases, const struct term *term);
uint32_t bases_next(const struct bases *bases, const struct term *term, uint32_t index);
/* Where an owner is, or the first behind it. */
uint32_t owners_find(const struct owners *owners, uint32_t index);

#endif
