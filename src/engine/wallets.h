/* wallets.h - credits, and greatest and least values, that go along with their accounts within a
 * run of several turns.  Private to this room and those above.
 *
 * What is left of such a wallet belongs to whoever pays for its account as a turn begins.  From run
 * to run closing and opening hand it over.  Within a run the payer that has it next may be settled
 * before, or by another thread; so those between which accounts move are priced once before all
 * bills, turn by turn, and what each of them gets from another as a turn begins is kept:
 *
 *     wallets_find --> run->moves.is_party: who may hand something on
 *     wallets_rehearse: their turns in the order of time --price--> closings --> run->moves
 *     wallets_hand_on: what a turn begins with, less what has gone to others, and what came
 *     wallets_gauges: the same of a meter with `carry` that is a max or a min
 */
#ifndef FARTHING_ENGINE_WALLETS_H
#define FARTHING_ENGINE_WALLETS_H

#include "engine/payer.h"
#include "engine/run.h"

/* Once cuts are made.  Warns of payers whose turns do not begin together. */
void wallets_find(struct run *run);

/* Who goes on with a state of a payer's closing: some accounts take theirs along to who pays for
 * them as a turn begins, which may have been before. */
uint32_t wallets_heir(const struct run *run, struct arena *arena, uint32_t payer, struct text key,
                      instant at);

/* Sets the opening of a cut to what it begins with; as it is where nothing moves.  Memory is of the
 * arena.  ERR_CONFLICT: who had one of its wallets could not be billed. */
enum status wallets_hand_on(const struct run *run, struct arena *arena, struct period cut,
                            struct pricing *pricing, struct error *err);

/* Gauges of a `max` or `min` that carries go along in the same way.  Who goes on with the state of
 * one that a cut of a payer has left, as state->told: the payer itself, or another of this run. */
uint32_t wallets_gauge_heir(const struct run *run, uint32_t payer, const struct meter_state *state);
/* What has come to a cut.  ERR_CONFLICT as wallets_hand_on. */
enum status wallets_gauges(const struct run *run, struct arena *arena, uint32_t payer,
                           struct period cut, const struct meter_state ***states, uint32_t *count,
                           struct error *err);

/* Prices a payer for a cut that begins with what wallets_hand_on and wallets_gauges say and what
 * its cut before has left; what `left` has stays until the payer's next.  ERR_CORRUPT, ERR_IO:
 * nothing goes on; another error: it cannot be billed for this and what is behind. */
typedef enum status wallets_price(void *context, uint32_t payer, struct period cut, bool is_first,
                                  struct handover *left, struct error *err);
/* Finds what is moved: of all cuts that begin before an instant. */
enum status wallets_rehearse(struct run *run, instant before, wallets_price *price, void *context,
                             struct error *err);

#endif
