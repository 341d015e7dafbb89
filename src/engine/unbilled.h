/* unbilled.h - payers whom the run before did not bill, and whom that keeps from being billed now.
 * Private to this room.
 */
#ifndef FARTHING_ENGINE_UNBILLED_H
#define FARTHING_ENGINE_UNBILLED_H

#include "base/calendar.h"
#include "base/error.h"
#include "base/text.h"

struct run;

/* A payer whom the run before did not bill, as the opening says. */
struct unbilled {
    uint32_t payer;
    struct period span; /* for which it was to be billed */
    struct text raw;    /* its line */
};

void unbilled_add(struct run *run, struct unbilled unbilled);
/* Whom they keep from being billed; after the last was added. */
void unbilled_spread(struct run *run);
const struct unbilled *unbilled_find(const struct run *run, uint32_t payer);
/* ERR_CONFLICT: it cannot be billed. */
enum status unbilled_check(const struct run *run, uint32_t payer, struct error *err);

#endif
