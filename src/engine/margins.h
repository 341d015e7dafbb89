/* margins.h - what contracts come to, and what is left to who stands between.  Private to this
 * room.
 */
#ifndef FARTHING_ENGINE_MARGINS_H
#define FARTHING_ENGINE_MARGINS_H

#include "engine/run.h"

/* Room that a thread needs, where contracts have sellers. */
void margins_prepare(struct worker *worker);
/* Adds the lines of a bill to their contracts. */
void margins_count(struct worker *worker, const struct bill *bill);
/* Into the summary, with the seller's name or the provider's. */
void margins_sum(struct run *run, struct farthing_summary *summary);
/* As members of a JSON object; nothing where there are no sellers. */
void margins_render(struct buffer *out, const struct farthing_summary *summary);
/* Takes what the summary says into another arena. */
void margins_copy(struct arena *arena, struct farthing_summary *summary);

#endif
