/* waiting.h - payers that have had no bill yet, and levels that wait for their first one.  Private
 * to this room.
 */
#ifndef FARTHING_ENGINE_WAITING_H
#define FARTHING_ENGINE_WAITING_H

#include "engine/opening.h"
#include "engine/run.h"

/* Whether the payer has had no bill in the runs before, so that none has told its levels.  Says the
 * opening; without one, those that have no turn in the run, if levels are carried at all. */
bool run_waits(const struct run *run, uint32_t payer);
/* And has none in this run. */
bool run_holds(const struct run *run, uint32_t payer);
/* Who pays for an account then may hold its levels. */
static inline instant run_last_second(const struct run *run)
{
    return run->period.to - NS_PER_SECOND;
}
/* Whether the payer was billed by a run before for a time of this one or of a later one. */
bool run_was_billed(const struct run *run, uint32_t payer, instant at);
/* Whether who pays for the account then is billed for it by a later run than this one. */
bool run_tells_level(const struct run *run, uint32_t account, instant at);
/* As the opening says. */
void waiting_add(struct run *run, uint32_t payer);
/* Who waits, when there is no opening. */
void waiting_find(struct run *run);
static inline bool carried_is_level(const struct run *run, const struct carried *carried)
{
    const uint32_t meter = series_at(&run->series, carried->state.series)->meter;
    return run->catalog->meters[meter].aggregate == AGGREGATE_TIME_WEIGHTED;
}

#endif
