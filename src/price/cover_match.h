/* cover_match.h - which rows a commitment may take, and in which order.  Private to step_cover.c.
 *
 *     commitments  equal in all that the offering's expressions ask of them: a class --+
 *     rows         equal in all that these ask of rows: a kind ------------------------+--> matches
 *
 *     class and, of passes that are not shared, an account --> group: those who go down one list
 *
 * The offering's expressions are evaluated once for a kind and a class; a pass then asks by numbers
 * alone.  Which commitments, in which rank: doc/pricing/cover.md.
 *
 * Everything lies in the work's arena.  Errors name the commitment or the row.
 */
#ifndef FARTHING_PRICE_COVER_MATCH_H
#define FARTHING_PRICE_COVER_MATCH_H

#include "price/keys.h"
#include "price/work.h"

/* What a class takes of a kind. */
struct match {
    uint32_t class;
    struct dec weight;
    struct dec savings, list_rate;
};
struct match_range {
    uint32_t first, count;
};
/* An offering that the step covers with. */
struct cover_offering {
    const struct offering *offering;
    uint32_t *class_of; /* of each commitment of the payer; NONE: of another offering */
    const struct commitment **classes; /* the first of each */
    uint32_t class_count;
    const uint32_t *row_slots; /* what its expressions ask of rows */
    uint32_t row_slot_count;
    bool by_kind; /* a signature is a kind */
    bool asks_for_list; /* an order does */
    struct keys signatures;
    uint32_t *signature_of; /* of each kind */
    uint32_t signature_capacity;
    struct match_range *ranges; /* of each signature */
    uint32_t range_capacity;
    struct match *matches;
    uint32_t match_count, match_capacity;
};

struct item {
    uint32_t row, match;
};
/* Rows that the commitments of a class, and of an account, may take. */
struct group {
    struct item *items;
    uint32_t count, capacity, at;
    bool is_open, is_sorted;
};
/* A commitment in a pass. */
struct claim {
    uint32_t held, group;
};
struct cover_pass_state {
    const struct cover_pass *pass;
    struct cover_offering *offering;
    struct claim *claims; /* in their rank */
    uint32_t claim_count;
    struct keys group_keys; /* (class, owner) */
    struct group *groups;
    uint64_t *owners; /* of each kind, of passes that are not own */
    uint32_t owner_capacity;
    bool sorts_matches; /* its order is of a row and a class, else of a row alone */
    uint32_t *ranks;    /* of matches or kinds; NULL: rows are in their order */
    /* Used again in each turn, where a turn has kinds of its own: */
    struct ranked *items;
    struct expr_value *values;
    uint32_t rank_capacity;
};

/* Of one run of a cover. */
struct matching {
    struct work *work;
    const struct step *step;
    struct period time; /* the turn at hand */
    struct cover_offering *offerings;
    uint32_t offering_count;
    struct cover_pass_state *passes;
    bool is_steady; /* kinds are the same in all turns */
    struct keys kinds;
    uint32_t *first_of; /* a charge of each kind */
    uint32_t first_capacity;
};

/* The passes of the step over these charges, with their claims; work and step are set. */
enum status matching_start(struct matching *m, const uint32_t *charges, uint32_t count);
/* The kind of a charge that is a row. */
uint32_t matching_kind(struct matching *m, uint32_t charge);
/* The matches of all kinds, and their ranks in each pass: once when they are steady, else in each
 * turn, whose rows matching_kind has seen. */
enum status matching_find(struct matching *m);
/* Kinds and their matches, before another turn. */
void matching_forget(struct matching *m);
/* The group of a pass that may take rows of an account, which are of a kind, by matches of a class;
 * NONE: nobody may. */
uint32_t pass_group(const struct cover_pass_state *state, uint32_t class, uint32_t account,
                    uint32_t kind);

#endif
