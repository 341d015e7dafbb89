/* room.h - how memory is divided while bills are made.  Private to this room.
 *
 *     |<------------------------------ the limit ------------------------------>|
 *     | what was loaded, series, files | records, threads, ... |     a payer     |
 *
 * Which payers are billed must not depend on threads and timing, and neither must what a payer may
 * take.  So that is charged (base/arena.h), not measured, and is what the limit leaves beside what
 * is a function of the input and a fixed share for all threads there may be.  One that finds less
 * is tried again while no other thread holds anything but that share (gate.h).
 */
#ifndef FARTHING_ENGINE_ROOM_H
#define FARTHING_ENGINE_ROOM_H

#include "engine/run.h"

/* So many threads run at most, whatever is asked for. */
int room_threads(size_t memory_bytes);

/* The worker's arenas for bills; those that are not counted on leave some memory free, so that
 * what must not fail does not. */
void room_init(struct worker *worker, struct arena *arena, size_t block_bytes);
/* Gives back all that an arena has; its recovery point stays. */
void room_clear(struct arena *arena);

/* Notes what the run holds whatever its threads are: when all is loaded, and when all is set up for
 * reading. */
void room_count_loaded(struct run *run);
void room_count_set_up(struct run *run);
/* When all series are known: sets what a payer may take, and the shares (run.h).  opened_bytes: of
 * the output.  ERR_LIMIT: nothing is left. */
enum status room_divide(struct run *run, size_t opened_bytes);
/* What a record takes of the share of records, for each of its units. */
size_t room_record_unit_bytes(const struct run *run);

#endif
