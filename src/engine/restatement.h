/* restatement.h - a run that bills a closed period once more (correct.c says what it is), held to
 * that.  Private to this room.
 */
#ifndef FARTHING_ENGINE_RESTATEMENT_H
#define FARTHING_ENGINE_RESTATEMENT_H

#include <yyjson.h>

#include "decode/event.h"
#include "engine/run.h"
#include "farthing.h"

/* A file that was read when the period was closed. */
struct known_file {
    const char *path;
    const char *recorded; /* its path then */
    bool is_csv;
    uint32_t round;          /* of a key's records the earliest round's stay accepted */
    struct event_count read; /* records in it, when it was billed */
    instant late_before;     /* it came too late for times before; INSTANT_MIN: for none */
    const char *folder;      /* that says so */
};
/* A payer that could not be billed. */
struct failure {
    struct text payer, contract; /* of a view: its contract */
    struct text message;
    bool is_torn; /* and something of it was billed or taken back in the same run */
};
struct restatement {
    const struct period *periods; /* all that the correction restates, in order */
    size_t period_count;
    struct period period; /* the one at hand, as it was billed */
    const struct known_file *known; /* the first of the events' paths */
    size_t known_count;
    uint32_t round;      /* of the events that are new */
    instant late_before; /* what is new and of a time before is not billed; INSTANT_MIN: all is */
    /* Digests of the closed run's inputs; empty: another one was given. */
    struct text catalog, accounts;
    /* The state that the period is in: of the last of its closed folders. */
    const char *folder;
    struct text usage_print, closing_print;
    yyjson_val *excluded; /* by reason */
    bool tells; /* it is written for what is refused alone, so that it is listed somewhere */
    /* The period before and the one behind are corrected with it; some behind that is not. */
    bool has_before, has_behind, has_later;
    const char *warning; /* of how the period goes on from the one before; NULL */
    /* Who is not billed, since another period of the correction could not be. */
    const struct failure *held;
    uint32_t held_count;
    /* Results, in the run's arena: who could not be billed, but for those; and whose bills lie in
     * other turns now. */
    struct failure *failures, *shifted;
    uint32_t failure_count, shifted_count;
    bool is_torn;     /* one of both is torn: nothing was written */
    bool is_written;  /* something has changed */
    bool was_cleared; /* nothing has, and what an earlier run had written there is gone */
    uint64_t late_records, late_refused, late_conflicts;
    uint64_t too_late;      /* new records of a time for which late usage is not billed any more */
    struct outside outside; /* others, of no period that is corrected */
    bool has_untold;        /* some of these two are listed in no closed folder */
};

/* ---- restatement.c; OK where nothing is restated ---- */

/* Catalog and accounts are those of the closed run, where no others were given. */
enum status restatement_check_inputs(struct run *run);
/* The period is the time that was billed: another zone would make another time of it. */
enum status restatement_check_period(const struct run *run);
/* The files that were billed have the records that they had. */
enum status restatement_check_events(struct run *run);
/* Before when a file is not billed, as it came too late; INSTANT_MIN: it did not. */
instant restatement_late_before(const struct run *run, uint32_t file);
/* No event of this instant or later comes too late; INSTANT_MIN: none does. */
instant restatement_late_max(const struct run *run);
/* It is of late events. */
bool restatement_is_new(const struct run *run, uint32_t file);
/* Whether a period that is corrected has the event on a bill, by its time.  A turn of a payer's own
 * clock is of the period in which it begins. */
bool restatement_has(const struct run *run, const struct event *event);
/* Adds more to what is there. */
void outside_add(struct outside *to, const struct outside *more);
/* Whom it says to hold, once accounts are known; and its warning. */
void restatement_hold(struct run *run);
/* Tells who failed and whose bills lie in other turns now; true when one of them has only some of
 * its bills in what the run would write. */
bool restatement_is_torn(struct run *run);
/* There is a difference, or the state that the next period begins with is another one. */
bool restatement_has_changed(struct run *run, const struct farthing_summary *summary);

/* In which round of a closed period's bills the events of a file came; all in one where none is
 * closed. */
static inline uint32_t run_round(const struct run *run, uint32_t file)
{
    const struct restatement *restatement = run->restatement;
    size_t source = feed_file_source(run->feed, file);
    return !restatement                        ? 0
           : source < restatement->known_count ? restatement->known[source].round
                                               : restatement->round;
}

/* taken_back.c: ERR_INPUT when a turn of a payer whose bills lie in other turns now reaches into
 * a period that is not corrected with this one; a warning when it may. */
enum status taken_back_check(struct run *run);

/* As farthing_run_bill, for a closed period: the events of known files must be as they were, and
 * nothing is written when nothing has changed. */
enum status farthing_run_restatement(struct env *env, const struct farthing_config *config,
                                     const struct farthing_bill *options,
                                     struct restatement *restatement, struct arena *arena,
                                     struct farthing_summary *summary,
                                     struct complaints *complaints, struct error *err);

#endif
