/* diff_terms.h - why the amounts of terms moved.  Private to this room.
 *
 * What a term adds moves because what it is on has moved, which has reasons of its own, or because
 * the term is another one.  diff.c tells the reasons of what prices charge; diff_terms tells those
 * of terms from them, and of terms on terms.
 *
 * Promise: the reasons of an item add up to the difference of its amounts, to the last digit.
 */
#ifndef FARTHING_INSPECT_DIFF_TERMS_H
#define FARTHING_INSPECT_DIFF_TERMS_H

#include "bill/bill.h"

enum { SIDE_A, SIDE_B, SIDES };

struct reasons {
    struct wide usage, price, step, term, currency, bills;
    struct text terms; /* which terms changed: "contract m: discount, catalog: vat"; empty */
};

/* All lines of one row of the comparison. */
struct diff_item {
    const struct line *line; /* the first of them */
    size_t line_count;
    struct text bill, contract;
    bool is_on[SIDES];
    bool has_one_rate; /* all of them have a rate, which is the same */
    bool is_told;      /* the reasons are found; of terms: by diff_terms */
    struct wide amount[SIDES], exact[SIDES];
    struct reasons reasons;
};

/* The items of one payer, in the order of bills, currencies, accounts, products, SKUs, dimensions,
 * resources. */
struct diff_terms {
    struct arena *arena; /* names of terms lie here, and what is needed meanwhile */
    struct error *err;
    struct text payer;
    bool is_same_catalog; /* and accounts: no term is another one */
    bool is_same_usage;
    struct diff_item *items;
    size_t count;
};

/* Whether a line is of a term, or of a step of a price over charges that has a row of its own. */
bool diff_is_term(const struct line *line);
/* Which list of terms has made the line, in their order: 0, none: a price; 1, a plan's; 2, a
 * contract's; 3, the catalog's. */
int diff_list(const struct line *line);
/* "contract m: discount", "price calls: discount" of a step. */
struct text diff_term_name(struct arena *arena, const struct diff_item *item);
/* Finds the reasons of the items that are not told, which are those of terms. ERR_OVERFLOW. */
enum status diff_terms(const struct diff_terms *terms);

#endif
