/* gate.h - threads that take memory, and one that needs all of it.  Private to this room.
 *
 * A thread is inside while it holds memory for bills.  One that finds none asks to be alone: the
 * others leave between two payers, having given back what they do not need, and wait.
 */
#ifndef FARTHING_ENGINE_GATE_H
#define FARTHING_ENGINE_GATE_H

#include "engine/run.h"

void gate_enter(struct worker *worker);
void gate_leave(struct worker *worker); /* fine for one that is not inside */
/* Between payers: what one has taken goes back when others wait for memory, and when it was much
 * beyond what the partition itself holds. */
void gate_yield(struct worker *worker, size_t partition_bytes);

/* Until gate_end_alone no other thread is inside; nor is this one afterwards.  One that waits for
 * its turn of the output is not inside, so that the turn must be taken before. */
void gate_begin_alone(struct worker *worker);
void gate_end_alone(struct worker *worker); /* fine for one that is not alone */

#endif
