/* diff_sets.h - two sets of bills, read payer by payer.  Private to this room.
 *
 * A set is what a folder's run made: its lines.csv and usage.csv and, of corrections, the lines of
 * the bills that they correct, from the folders that run.json names.
 */
#ifndef FARTHING_INSPECT_DIFF_SETS_H
#define FARTHING_INSPECT_DIFF_SETS_H

#include "base/map.h"
#include "engine/folder.h"
#include "inspect/diff_terms.h"
#include "render/render.h"

/* A line of one of the sets. */
struct piece {
    struct line line;
    struct text bill;
    struct period period;
    int side;
};

struct used {
    struct usage_text usage;
    int side;
};

struct sets {
    struct env *env;
    struct arena *arena;   /* for the whole call */
    struct arena *scratch; /* of a payer */
    struct error *err;
    struct source **sources;
    uint32_t source_count, source_capacity;
    const char *paths[SIDES];
    yyjson_val *digests[SIDES];
    struct text provider[SIDES], currency[SIDES]; /* of each set */
    struct period period[SIDES];
    struct map failed[SIDES]; /* who could not be billed, by its name in the summary */
    /* Of the payer at hand, as they come, in the scratch arena: */
    struct piece *pieces;
    uint32_t piece_count, piece_capacity;
    struct used *used;
    uint32_t used_count, used_capacity;
    bool is_failed[SIDES]; /* its run could not bill it */
};

/* env, arenas and err are set.  ERR_CORRUPT, ERR_INPUT: a folder is no whole output, or not as a
 * run left it; the two are in different currencies. */
enum status sets_open(struct sets *sets, const char *a, const char *b);
/* The rows of the next payer of either set; payer->at NULL: that was the last. */
enum status sets_next(struct sets *sets, struct text *payer);
/* Whether both were made with the same of these: "catalog", "accounts". */
bool sets_share_digest(const struct sets *sets, const char *name);
/* Whatever was opened, also when that failed. */
void sets_close(struct sets *sets);

#endif
