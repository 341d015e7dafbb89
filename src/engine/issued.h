/* issued.h - bills issued before, to which a run is the difference.  Private to this room and
 * those above.
 */
#ifndef FARTHING_ENGINE_ISSUED_H
#define FARTHING_ENGINE_ISSUED_H

#include "base/calendar.h"
#include "base/error.h"
#include "bill/bill.h"

struct run;

/* A line of a bill issued before. */
struct issued_line {
    uint32_t payer;
    struct period period; /* of its bill */
    struct line line;
};

/* Events that are known of a bill's time, as the bill shows them: on its usage rows, and on no line
 * for a reason.  Those outside the period are of another bill. */
struct known_events {
    uint64_t on_rows, excluded;
};
static inline uint64_t known_count(struct known_events known)
{
    return known.on_rows + known.excluded;
}

/* A payer of whom fewer events are known now than were when it was billed before. */
struct fewer {
    uint32_t payer;
    struct known_events now, then;
};

/* A bill issued before, of a time that is billed here. */
struct issued_bill {
    uint32_t payer;
    bool is_correction;
    bool same_accounts; /* as now: who pays for whom has not changed */
    instant cut;        /* when the cut begins that it is of */
    struct known_events events;
};

/* What --billed names. */
struct issued_folder {
    const char *path;
    char print[33], bills_print[33]; /* of its lines.csv, its bills.ndjson */
    uint32_t bills, matched;
    struct known_events events; /* to the bills that matched */
};

/* The bills of --billed; warns of what looks as if something was not given. */
enum status load_issued(struct run *run);
/* Their lines alone. */
enum status load_issued_lines(struct run *run);
/* Where the lines issued to a payer begin in run->issued.lines; if there are any, issued_next says
 * so: end is behind those of the payer and of one period that begin at first. */
uint32_t issued_first(const struct run *run, uint32_t payer);
bool issued_next(const struct run *run, uint32_t payer, uint32_t first, uint32_t *end);
/* The most events that were known when this cut was billed before; 0: it was not, or who pays for
 * whom has changed since. */
struct known_events issued_events(const struct run *run, uint32_t payer, instant cut);
/* The most that were known to the bills of one run, whoever pays now. */
struct known_events issued_events_total(const struct run *run);

/* Holds a file of an output folder against the folder's run.json, and gives its print.  A folder
 * without one is no whole output. */
enum status check_written(struct run *run, const char *folder, const char *name, struct text bytes,
                          char print[33]);

#endif
