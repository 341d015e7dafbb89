/* sourced.h - views by source: priced where their source is, written when all else is.  Private to
 * this room and those above.
 *
 *     a payer's cut --price--> charges --sourced_price--> charges of the views that stand on them,
 *                                              |          and of those that stand on these
 *                                              +--> text, kept in a file of the thread
 *     all partitions are written --sourced_write--> behind them, by the ids of their contracts
 *
 * So files are in one order, whatever thread made what: who is billed for usage, then who is billed
 * for charges.
 */
#ifndef FARTHING_ENGINE_SOURCED_H
#define FARTHING_ENGINE_SOURCED_H

#include "engine/payer.h"

/* A view that stands on the payer at hand, from cut to cut. */
struct sourced {
    uint32_t view;
    bool has_failed, fails_now; /* before this cut; in it */
    struct error err;
    struct handover handover, next;
    /* Of the cut, in scratch memory: */
    struct pricing pricing;
    struct priced priced;
    struct turn_to_end whole; /* when the source has one */
    struct bill bill;
    struct buffer texts[TEXTS];
};
struct sourced_views {
    struct sourced *items;
    uint32_t count, cut; /* how many cuts were kept */
};

/* Which views stand on which payers; after the accounts. */
void sourced_find(struct run *run);
/* Whether a payer without usage is settled for views that stand on it. */
bool sourced_wait(const struct run *run, uint32_t payer);

/* Room that a thread needs. */
void sourced_prepare(struct worker *worker);
struct sourced_views sourced_open(struct worker *worker, uint32_t payer);
/* The base charges of the source that are the view's, in its accounts: what pricing goes on from.
 */
void sourced_gather(const struct run *run, struct arena *arena, const struct pricing *from,
                    const struct priced *priced, struct pricing *pricing);
/* What a cut of their payer came to. */
struct source_cut {
    const struct pricing *pricing;
    const struct priced *priced;
    const struct usage_row *rows;
    uint32_t row_count;
    const struct bill *bill;         /* the payer's own */
    const struct turn_to_end *whole; /* what its turn would come to; NULL: it ends with the cut */
    bool is_first, is_last;          /* of the payer's in this run */
};
/* Prices and bills them for a cut of their payer, of the same parts of a turn; one that cannot be
 * billed is noted there, and the others go on. */
enum status sourced_price(struct worker *worker, struct sourced_views *views,
                          const struct source_cut *cut, struct text inputs, struct error *err);
/* Counts the bills and puts their text away; takes no memory of the cut. */
enum status sourced_keep(struct worker *worker, struct sourced_views *views);
/* The cut is behind them: notes who has failed. */
void sourced_next(struct worker *worker, struct sourced_views *views);
/* The last cut is, or the payer has failed: those that are not billed say so in their closings. */
void sourced_close(struct worker *worker, struct sourced_views *views, struct period span,
                   bool payer_failed);
/* Takes back what was issued to a view for a time that is not billed now; behind the last cut. */
enum status sourced_take_back(struct worker *worker, struct sourced_views *views, uint32_t index,
                              struct period period, struct text inputs, struct error *err);
/* A payer without a cut: what was carried in is carried on. */
void sourced_pass(struct worker *worker, struct sourced_views *views);

enum status sourced_write(struct run *run);

#endif
