/* payer.h - one payer's records to its bills: fold, price, bill, render.  Private to this room. */
#ifndef FARTHING_ENGINE_PAYER_H
#define FARTHING_ENGINE_PAYER_H

#include "engine/partition.h"
#include "engine/run.h"
#include "engine/texts.h"

/* What a payer's cut hands to its next one within the run, when its own clock has several turns
 * that begin in the period: what closing.ndjson hands to the next period. */
struct handover {
    struct bucket_state *buckets;
    uint32_t bucket_count;
    struct meter_state *meters;
    uint32_t meter_count;
};

/* Asks memory for what settling a payer will read: first for what its records name, then, a payer
 * later, for what that does. */
enum ask { ASK_SERIES, ASK_PRICES, ASKS };
void payer_ask(const struct worker *worker, uint32_t payer, const struct records *records,
               enum ask ask);
/* Bills the payer for each of its cuts of the period.  One that cannot be billed is noted in the
 * worker, its events counted; what ends the run fails the worker. */
void payer_settle(struct worker *worker, uint32_t payer, struct records records, struct text inputs,
                  struct texts *texts);
/* Exclusions alone: of events that no account has (payer empty, listed first), or of a payer whose
 * bills have no turn that begins in the period. */
void payer_settle_excluded(struct worker *worker, struct text payer, struct text contract,
                           struct records records, struct texts *texts);

/* Before all bills: finds what payers get from others as turns begin (wallets.h). */
enum status payers_rehearse(struct run *run);

/* What books of the payer are closed and told by. */
struct book_view payer_view(const struct run *run, const struct pricing *pricing);

/* ---- carry.c ---- */

/* The buckets that came with the opening for the payer. */
void payer_find_opening(const struct run *run, uint32_t payer, struct arena *arena,
                        struct pricing *pricing);
/* The first meter state that came with it for the payer, in run->carried. */
uint32_t payer_first_carried(const struct run *run, uint32_t payer);
/* Whether something waits for the payer that the run before, or who failed in it, has left. */
bool payer_has_opening(const struct run *run, uint32_t payer);
/* Meter states into the book of a cut: those of the opening that go there, what the cut before has
 * handed over (NULL: it is the first), and what has come from other payers.  ERR_CONFLICT: one of
 * these could not be billed. */
enum status payer_carry_in(const struct run *run, uint32_t payer, struct period cut,
                           const struct handover *before, bool begins_turn, struct book *book,
                           struct error *err);
/* What a cut leaves to the next, into memory of its own; book NULL: without meters. */
void payer_hand_over(struct worker *worker, const struct pricing *pricing,
                     const struct priced *priced, const struct book *book,
                     struct handover *handover);
/* Meter states that the last cut leaves to the next run; what the book has otherwise is dropped. */
uint32_t payer_close_states(const struct run *run, struct arena *arena,
                            const struct pricing *pricing, struct book *book,
                            struct meter_state **states);
/* Levels of the opening that a later run tells, to the closing. */
void payer_pass_levels(const struct run *run, uint32_t payer, struct buffer *closing);
/* Of a payer without a cut in the run: all of the opening, to the closing. */
void payer_pass_opening(const struct run *run, uint32_t payer, struct buffer *closing);

/* ---- threshold.c ---- */

/* When the payer is billed inside the turn that holds the instant; NULL: never. */
const struct thresholds *payer_thresholds(const struct run *run, uint32_t payer, instant at);
/* Where a cut that was priced as a whole is divided, ascending; room for as many as it has
 * charges. */
enum status threshold_cuts(struct arena *arena, const struct thresholds *thresholds,
                           const struct pricing *pricing, const struct priced *priced,
                           instant *cuts, uint32_t *count, struct error *err);
/* Adds to the closing what a turn that goes on has come to. */
enum status threshold_close(struct arena *arena, const struct pricing *pricing,
                            struct priced *priced, struct error *err);

/* Of a pricing case: counts the taxes by the kind of what they are on. */
void payer_count_taxes(struct worker *worker, const struct priced *priced);

/* ---- cut_value.c ---- */

/* The values of a payer's bill that a change inside a turn has cut in two. */
void cut_values_find(struct arena *arena, const struct book *book, const struct pricing *pricing,
                     const struct priced *priced, struct cut_values *found);
/* Of a bill that is written; takes no memory. */
void cut_values_count(struct worker *worker, const struct cut_values *found);

/* ---- waiting.c ---- */

/* Of a payer that holds levels (run_holds): says so in the closing, and tells them. */
enum status waiting_close(struct worker *worker, uint32_t payer, const struct records *records,
                          struct texts *texts, struct error *err);

/* ---- taken_back.c ---- */

/* The periods of bills issued to the payer that are none of those billed now, and of which
 * something stands; ascending, in the arena. */
uint32_t taken_back_find(const struct run *run, struct arena *arena, uint32_t payer,
                         const struct period *billed, uint32_t billed_count,
                         struct period **periods);
/* The correction that leaves nothing of what was issued to the payer for the period.  All memory is
 * of the arena.  ERR_OVERFLOW; ERR_INPUT when it cannot be said in the currency it is settled in.
 */
enum status taken_back_make(const struct run *run, struct arena *arena, uint32_t payer,
                            struct period period, struct bill *bill, struct error *err);
/* Whether the lines issued from first up to end have not come to nothing by corrections. */
bool taken_back_stands(const struct run *run, struct arena *arena, uint32_t first, uint32_t end);

/* ---- pending.c ---- */

/* A payer priced as if its turn ended with what is known. */
struct turn_to_end {
    struct pricing pricing;
    struct priced priced;
};
/* Sets what is pending of a bill that ends inside a turn of billing; all memory is of the arena. */
enum status pending_find(struct arena *arena, const struct pricing *pricing,
                         const struct usage_row *rows, uint32_t row_count, const struct priced *now,
                         struct turn_to_end *whole, struct bill *bill, struct error *err);
/* The same of a view by source, whose pricing in `whole` goes on from what its source would charge:
 * all that this changes is pending. */
enum status pending_find_sourced(struct arena *arena, const struct pricing *pricing,
                                 const struct usage_row *rows, uint32_t row_count,
                                 const struct priced *now, struct turn_to_end *whole,
                                 struct bill *bill, struct error *err);

/* False of nobody, of accounts of views that are not their buyers, and of the buyers of views by
 * source, which are settled with their sources. */
bool payer_is_settled(const struct run *run, uint32_t payer);
/* Whether there is something to settle without a record: it pays at some time of the period ... */
bool payer_pays(const struct run *run, uint32_t account);
/* ... pays no more, or not yet, and has what waits for it (payer_has_opening), since turns may be
 * left to settle; or pays for nobody any more, and has what was billed to it taken back. */
bool payer_has_issued(const struct run *run, uint32_t payer);

/* For views by source (sourced.h), of which each has a payer: */
enum status payer_find_issued(const struct run *run, struct arena *arena, uint32_t payer,
                              struct period cut, struct issued *issued, struct error *err);
void payer_count_bill(struct worker *worker, const struct bill *bill);
/* is_torn: a part of its bills is among the texts already. */
void payer_fail(struct worker *worker, uint32_t payer, const struct error *err, bool is_torn);

#endif
