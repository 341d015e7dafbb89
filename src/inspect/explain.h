/* explain.h - all that is known about one line of a bill.  Private to this room.
 *
 *     lines.csv, bills.ndjson, run.json --find--> line, bill, inputs
 *     usage.csv --price_again--> rows --price_payer, bill_make--> the line again, and the traces
 *                                                                 of its steps
 *     events    --explain_events--> the very events of its rows
 *     explain_write: the same as text or JSON
 *
 * Nothing is believed: catalog and accounts must have the digests that the bill names, the line
 * must come out with the same amounts, and events must add up to the rows' counts and fingerprints.
 */
#ifndef FARTHING_INSPECT_EXPLAIN_H
#define FARTHING_INSPECT_EXPLAIN_H

#include "engine/folder.h"
#include "engine/handle.h"
#include "engine/run.h"
#include "render/table.h"

/* Other lines of the bill that are told of, each once, in the order in which they are met. */
enum { LINES_TOLD_MAX = 10 };
struct told_lines {
    struct hash128 ids[LINES_TOLD_MAX];
    uint32_t lines[LINES_TOLD_MAX]; /* in the bill */
    uint32_t count;
    bool has_more;
};

/* What one step did for the line in one bucket. */
struct explained_step {
    const struct step *step;
    struct text bucket; /* empty: each row alone */
    struct period turn;
    bool is_whole;                /* the bucket as a whole, with what other lines brought */
    bool is_shared;               /* what is told of F is a share of the bucket's */
    bool has_pieces;              /* without a bucket: some are pieces of one curve */
    uint64_t count;               /* of rows or charges */
    struct dec before, after;     /* position at the first, behind the last */
    struct dec f_before, f_after; /* F there */
    struct dec in, out;           /* what the line's own brought, and what it made of it */
    struct dec lost;              /* what it would have made more */
    struct dec limit;
    uint32_t tier;            /* NONE */
    const struct step *curve; /* NULL: step's own */
    struct dec tier_from, tier_to;
    const struct text *grant;      /* of a credit; NULL */
    struct text formula;           /* with the values of the first row */
    const struct place *row_place; /* of a table, for the first row; NULL */
    bool has_other_rates;          /* among the rows: than the first one's */
    struct told_lines held_against; /* of a bucket as a whole: what came to it */
    bool has_worth;
    struct dec worth; /* of units off, or beyond a promise: what they come to */
};

/* A usage row and what the line takes of it. */
struct explained_row {
    uint32_t row;
    struct dec taken;   /* in the line's unit */
    struct dec amount;  /* exact */
    struct total found; /* of events read */
};

struct explained_event {
    struct hash128 key, bytes;
    uint64_t print;
    struct text source, id;
    instant at;
    struct dec value;
    uint32_t row;  /* in rows */
    bool is_piece; /* of a spread event, not the first: counts for none */
    bool is_late;  /* it came when its time was billed no more */
    uint32_t file, block;
    uint64_t line_in_block, offset, line;
};

/* Why a level narrower than the price's had none. */
struct explained_level {
    const char *level;
    struct text why;
};

struct explain {
    struct farthing *farthing;
    struct error *err;
    struct run *run;             /* of its parts what loading sets */
    struct farthing_bill inputs; /* given, or of run.json */
    enum farthing_form form;
    struct folder folder;
    struct arena scratch;
    struct sink_text sink;
    struct table table;

    /* explain.c: find */
    struct line line; /* as it stands on the bill */
    yyjson_val *read; /* the files of the run, in run.json; NULL */
    struct bill_head head;
    bool is_correction;
    struct farthing_paths billed; /* what the run had as --billed */

    /* explain.c: price_again */
    uint32_t *chain; /* payers: whose usage is priced first, the bill's last; see find_chain */
    uint32_t chain_count;
    struct usage_row *usage;
    uint32_t usage_count;
    struct pricing pricing;
    struct priced priced;
    struct bill bill;
    bool is_taken_back;          /* with all of its bill, since its time is in other turns now */
    bool has_present;            /* false: nothing of it is charged now */
    struct line present;         /* as it is known now */
    struct line issued;          /* of a correction: amounts billed before */
    const struct charge *charge; /* the first on the line; NULL */
    struct explained_level levels[4];
    int level_count;
    struct explained_step *steps;
    uint32_t step_count;
    struct explained_row *rows;
    uint32_t row_count;
    bool has_other_accounts; /* among the rows: than the line's */
    /* What of the line stems from no row, where some of it does: a discount on a minimum, too. */
    struct dec beside_taken, beside_amount;
    struct told_lines adjusted;     /* that it takes from or adds to */
    struct told_lines held_against; /* of a minimum or a fee: what came to its buckets */

    /* explain_events */
    bool has_events;
    bool adds_up;
    struct explained_event *events;
    uint64_t event_count;
    struct explained_event *late; /* that would be on these rows, but were excluded as LATE */
    uint64_t late_count;
    const char *stranger; /* a file that the run has not read; NULL */
    struct arena decoder_arena, meter_arena, segment_arena;
};

/* Rows, steps and levels of the line, of what was priced. */
enum status explain_steps(struct explain *x);
/* The usage rows that a charge of rows stems from. */
const uint32_t *explain_rows_of(const struct charge *charge, uint32_t *count);
/* Of each charge of x->priced: 1 on the line, 2 adjusted by one on it. Sets x->charge. */
uint8_t *explain_marks(struct explain *x);
/* Whether the line is one of nothing, of that tax, which the buyer owes. */
bool explain_is_reverse(const struct explain *x, const struct step *step);
enum status explain_events(struct explain *x);
enum status explain_write(struct explain *x, enum farthing_form form);

#endif
