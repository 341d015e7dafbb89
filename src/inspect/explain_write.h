/* explain_write.h - the two forms of an explanation, which share words.  Private to this room. */
#ifndef FARTHING_INSPECT_EXPLAIN_WRITE_H
#define FARTHING_INSPECT_EXPLAIN_WRITE_H

#include "inspect/explain.h"

enum status explain_write_text(struct explain *x);
/* The slot of a usage row. */
struct period explain_slot(const struct explain *x, const struct usage_row *row);
/* Where a step was written; of an override, which is a record, where its price was. */
const struct place *explain_place(const struct explain *x, const struct step *step);

/* Whether a part of a line that has usage rows stems from none. */
bool explain_has_beside(const struct explain *x);

/* The grant of the catalog that a step of a credit is about; NULL: what fills the wallet up, or
 * what it owes. */
const struct grant *explain_grant(const struct explained_step *done);
/* "month", "3 months" */
void say_every(struct buffer *out, const struct clock *clock);

/* explain_text_step.c: one of x->steps, numbered from 1, as the text has it. */
void explain_write_step(const struct explain *x, struct buffer *out, uint32_t number,
                        const struct explained_step *done);

/* explain_text.c: its words, which the steps use too. */

/* "the beginning" and "no end" where time is open. */
void say_instant(struct buffer *out, instant at);
void say_period(struct buffer *out, struct period period);
/* file:line */
void say_place(struct buffer *out, const struct place *place);
/* "1 row", "2 rows" */
void say_count(struct buffer *out, uint64_t count, const char *word);

#endif
