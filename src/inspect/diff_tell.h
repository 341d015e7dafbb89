/* diff_tell.h - what has moved between two sets of bills, as a table, CSV or JSON.  Private to
 * this room.
 *
 * A row for each item that has moved, in the order in which they come; then, for each currency,
 * what they come to.
 */
#ifndef FARTHING_INSPECT_DIFF_TELL_H
#define FARTHING_INSPECT_DIFF_TELL_H

#include "farthing.h"
#include "inspect/diff_terms.h"
#include "render/table.h"

struct moved {
    struct text payer, bill, account, product, sku, dimensions, resource, kind, step, unit,
        currency;
    struct period period;
    struct wide quantity[SIDES], amount[SIDES];
    struct wide difference;
    struct reasons reasons;
    struct text made_by; /* the term that its lines are of; empty */
    size_t item;         /* of its payer */
};

/* What is told, how, and where to. */
struct telling {
    struct arena *arena, *scratch; /* which loses what lies in it now and then */
    struct error *err;
    struct moved *moved;
    uint32_t count;
    struct text currency; /* of sums, when nothing has moved */
    enum farthing_form form;
    struct sink_text sink;
    struct table table; /* dropped by whoever made this, also when the memory runs out */
    bool is_terminal;
};

/* ERR_IO: nobody takes it. */
enum status diff_tell(struct telling *telling);

#endif
