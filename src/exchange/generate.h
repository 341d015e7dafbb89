/* generate.h - a sample month: accounts, memberships, overrides and usage of a made-up cloud.
 *
 *     seed, sizes, shares --generate_run--> folder: accounts.csv, memberships.csv, overrides.csv,
 *                                                   usage.ndjson or .ndjson.zst
 *
 * It fits the catalog in examples/demo/catalog.  The bytes depend on the options alone: no clock,
 * no machine, no floating point; event i is a function of the seed and i, each question about it
 * has a stream of its own, and asking one more changes no other. (With compress the bytes are those
 * of the zstd that is linked; what they decompress to is the same.)
 *
 * A real month is not clean, and neither is this one: late events, duplicates, conflicts,
 * withdrawals, lines that are no events, accounts, types and SKUs that nobody knows.
 */
#ifndef FARTHING_EXCHANGE_GENERATE_H
#define FARTHING_EXCHANGE_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/calendar.h"
#include "base/env.h"
#include "base/error.h"

enum { GENERATE_PPM = 1'000'000 }; /* shares are parts per million of all lines */

struct generate_options {
    uint64_t seed;
    uint64_t events;   /* lines of usage, all kinds */
    uint32_t accounts; /* that are no organizations; at least 1 */
    const char *folder;
    struct period period;
    bool compress;          /* usage.ndjson.zst */
    bool replace;           /* files of an earlier run */
    uint32_t late_ppm;      /* up to three days behind; one in 20 of them before the period */
    uint32_t duplicate_ppm; /* an earlier event again, sometimes in other words */
    uint32_t conflict_ppm;  /* an earlier event's id with another quantity */
    uint32_t withdrawn_ppm; /* takes an earlier event back */
    uint32_t bad_ppm;       /* lines that are refused, each for one of a dozen reasons */
    uint32_t unknown_ppm;   /* account, type or SKU nobody knows; a negative or missing quantity */
};

/* Seed 1, a million events, 10,000 accounts, October 2026; 2 % late, 1 % duplicates, 0.1 %
 * conflicts, 0.05 % withdrawn, 0.02 % bad, 0.1 % unknown; no folder. */
struct generate_options generate_defaults(void);

struct generate_summary {
    uint64_t accounts, organizations; /* rows of accounts.csv */
    uint64_t memberships, overrides;  /* rows of their files */
    uint64_t lines;                   /* of usage */
    uint64_t late, duplicates, conflicts, withdrawals, bad, unknown;
    uint64_t size_bytes; /* of usage, before compression */
};

/* Writes all files or none.  ERR_INPUT for options that make no month, ERR_CONFLICT when the folder
 * has files and replace is not set, ERR_IO. summary may be NULL. */
enum status generate_run(struct env *env, const struct generate_options *options,
                         struct generate_summary *summary, struct error *err);

#endif
