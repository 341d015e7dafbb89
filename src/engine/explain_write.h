/* explain_write.h - the two forms of an explanation.  Private to this room. */
#ifndef FARTHING_ENGINE_EXPLAIN_WRITE_H
#define FARTHING_ENGINE_EXPLAIN_WRITE_H

#include "engine/explain.h"

enum status explain_write_text(struct explain *x);
enum status explain_write_json(struct explain *x);
/* The slot of a usage row. */
struct period explain_slot(const struct explain *x, const struct usage_row *row);
/* Where a step was written; of an override, which is a record, where its price was. */
const struct place *explain_place(const struct explain *x, const struct step *step);

#endif
