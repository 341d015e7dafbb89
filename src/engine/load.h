/* load.h - what is there before events are read: catalog, accounts, periods, state.  Private to
 * this room and those above.
 */
#ifndef FARTHING_ENGINE_LOAD_H
#define FARTHING_ENGINE_LOAD_H

#include "base/env.h"
#include "catalog/catalog.h"
#include "decode/decode.h"
#include "farthing.h"

struct run;

/* Reads whole files into the arena. */
enum status load_bytes(struct env *env, struct arena *arena, const char *path, uint64_t size_max,
                       struct text *bytes, struct error *err);
/* Catalog and accounts; complaints are in *complaints whatever the result. */
struct load_inputs {
    const char *zone_folder; /* NULL: /usr/share/zoneinfo */
    struct farthing_paths catalog, accounts;
    bool is_exact; /* of a pricing case: without `rounding:` amounts stay exact, name and currency
                      may be left out */
};
struct loaded {
    const struct catalog *catalog;
    struct accounts *accounts;
    struct text zones_digest;
};
enum status load_catalog(struct env *env, struct arena *arena, const struct load_inputs *inputs,
                         struct complaints *complaints, struct loaded *loaded, struct error *err);
/* How the catalog's `csv:` reads rows; NULL: it has none. */
const struct csv_mapping *csv_mapping_new(struct arena *arena, const struct catalog *catalog);
/* Zones by name from the folder, which remembers what was used: a bill names its digest. */
struct zone_source *zone_source_new(struct env *env, struct arena *arena, const char *folder);
/* Period, cuts, members, opening, issued. */
enum status load_state(struct run *run);
/* From when on late usage is billed in the turn that has an instant; INSTANT_MIN: always. */
instant late_before(const struct catalog *catalog, instant at);
/* Whose billing a payer has, all through the run. */
struct billing_of run_billing(const struct run *run, uint32_t payer);
/* The cut of the payer that holds an instant; false when none does. */
bool run_cut(const struct run *run, uint32_t payer, instant at, struct period *cut);

/* pending.c: whether some step may charge at a turn's end what it does not before. */
bool pending_is_possible(const struct catalog *catalog);

#endif
