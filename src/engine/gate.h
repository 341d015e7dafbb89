/* gate.h - threads that take memory, and one that needs all of it.  Private to this room.
 *
 * A thread is inside while it makes bills.  One that finds no memory asks to be alone: the others
 * leave between two payers and wait.  Who is outside holds records and text, no more: what it has
 * of text may be put aside in a file meanwhile, and what is left of it is little (room.h).
 */
#ifndef FARTHING_ENGINE_GATE_H
#define FARTHING_ENGINE_GATE_H

#include "engine/run.h"

void gate_enter(struct worker *worker);
void gate_leave(struct worker *worker); /* fine for one that is not inside */
/* Between payers: what one has taken goes back when others wait for memory, and when it was much.
 */
void gate_yield(struct worker *worker);

/* Until gate_end_alone no other thread is inside, and what they and the spools have in memory is in
 * files; nor is this one inside afterwards.  Its scratch memory is empty.  Who waits for the turn
 * of the output is outside, so that the turn must be taken before.  An error in a file: it is
 * inside again, like others. */
enum status gate_begin_alone(struct worker *worker);
void gate_end_alone(struct worker *worker); /* fine for one that is not alone */

#endif
