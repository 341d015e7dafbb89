/* farthing.h - usage events to exact bills, as a C library.
 *
 *     struct farthing *f = farthing_new(NULL);
 *     const char *catalog = "catalog.yaml";
 *     struct farthing_bill bill = {.catalog = {&catalog, 1}, ...};
 *     struct farthing_summary summary;
 *     if (farthing_bill(f, &bill, &summary) != FARTHING_OK)
 *         fprintf(stderr, "%s\n", farthing_message(f));
 *     farthing_free(f);
 *
 * This is all of the public interface; the command line is an ordinary client of it.  C99 and C++
 * clean.  A struct farthing is used by one thread at a time; it starts threads of its own.  Strings
 * are UTF-8 and end with a zero. Strings given out belong to the struct farthing and live until its
 * next call.  A pointer that a call needs and that is NULL, one to where its results go too, is
 * FARTHING_USAGE, and the message says which.
 *
 * Promise: the files a bill run writes are a function of the catalog, the accounts, the set of
 * accepted events, the opening state, what was billed before and the time zones: the same bytes for
 * any order, duplication, splitting, number of threads, locale or time of day.
 */
#ifndef FARTHING_H
#define FARTHING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
/* Only what is declared here is a name that a program which links the library can meet. */
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

#define FARTHING_VERSION "0.1.0"
/* The version of the rules that bills name: another where the same input would give another bill.
 */
#define FARTHING_RULES "1"

/* Also the exit codes of the command line; append only. */
enum farthing_status {
    FARTHING_OK = 0,
    FARTHING_INPUT = 1,   /* catalog, accounts or a value is wrong: nothing was written */
    FARTHING_USAGE = 2,   /* the call itself is wrong */
    FARTHING_PARTIAL = 3, /* done, but some payers could not be billed, or some cases failed */
    FARTHING_IO = 4,      /* disk, pipe, permission */
    FARTHING_LIMIT = 5,   /* memory or another limit */
    FARTHING_INTERNAL = 6 /* data was not conserved, or a file of ours is damaged */
};

struct farthing; /* one engine */

/* Writes size bytes somewhere; anything but 0 stops the call with FARTHING_IO. */
typedef int farthing_write(void *context, const char *bytes, size_t size);

/* Called a few times a second from one thread, between 0 and total (0: not known). */
typedef void farthing_progress(void *context, const char *phase, uint64_t done, uint64_t total);

struct farthing_config {
    int threads;                  /* 0: as many as there are processors */
    size_t memory_bytes;          /* 0: 1 GiB; the rest goes to temporary files */
    const char *temporary_folder; /* NULL: TMPDIR or /tmp */
    const char *zone_folder;      /* NULL: /usr/share/zoneinfo */
    farthing_progress *progress;  /* may be NULL */
    void *progress_context;
};

/* config may be NULL; its texts are not copied.  NULL when there is no memory. */
struct farthing *farthing_new(const struct farthing_config *config);
void farthing_free(struct farthing *farthing);

/* What went wrong in the last call, one line without a newline; never NULL. */
const char *farthing_message(const struct farthing *farthing);
/* What would be right; empty when there is nothing to say. */
const char *farthing_hint(const struct farthing *farthing);

struct farthing_paths {
    const char *const *items;
    size_t count;
};

enum farthing_format { FARTHING_BY_NAME, FARTHING_NDJSON, FARTHING_CSV };

/* Inputs that commands share. */
struct farthing_bill {
    struct farthing_paths catalog; /* YAML files and folders of them */
    /* CSV or NDJSON: accounts, memberships, overrides, commitments, settings; told by their
     * columns. */
    struct farthing_paths accounts;
    struct farthing_paths events; /* files, folders, "-" */
    enum farthing_format format;  /* of the events */
    /* "2026-10", a day "2026-10-05", a week "2026-W40", "2026-Q4", "2026", or "FROM/TO". */
    const char *period;
    const char *out; /* folder; must be empty or not exist unless replace is set */
    /* closing.ndjson of the period before. "none": nothing was billed before; NULL is taken for
     * that, with a warning where a turn of a step has begun before the period. */
    const char *opening;
    struct farthing_paths billed; /* folders of bills already issued: the bill is the difference */
    int replace;
};

struct farthing_count { /* a reason or product, and how many or how much */
    const char *name;
    uint64_t count;
    const char *amount; /* decimal, or NULL */
};

struct farthing_money { /* what bills in one currency came to */
    const char *currency;
    const char *total;                     /* NULL: it has more than 38 digits */
    const struct farthing_count *products; /* amount by product, by name */
    size_t product_count;
};

/* What the lines of a contract come to: before tax, and the tax on it. */
struct farthing_sale {
    const char *contract, *seller, *buyer;
    const char *source; /* the contract whose charges it prices; NULL: usage */
    const char *currency, *amount, *tax;
};
/* Of a seller: what it receives by its contracts, what it pays as a buyer in others, before tax,
 * and the difference; in each currency. */
struct farthing_margin {
    const char *party, *currency, *received, *paid, *margin;
};
struct farthing_summary {
    uint64_t lines_read;
    uint64_t events_accepted, events_duplicate, events_conflict, events_refused, withdrawals;
    uint64_t events_billed;               /* (event, meter) pairs on usage rows */
    const struct farthing_count *refused; /* by reason */
    size_t refused_count;
    const struct farthing_count *excluded; /* by reason, WITHDRAWN first */
    size_t excluded_count;
    const char *const *no_account; /* of NO_ACCOUNT: the first subjects, three at most */
    size_t no_account_count;
    const char *const *unknown_sku; /* of UNKNOWN_SKU: the first names, 255 bytes of each */
    size_t unknown_sku_count;
    const struct farthing_count *products; /* amount by product, by name */
    size_t product_count;
    uint64_t bills, bill_lines, usage_rows;
    const char *currency;                /* the catalog's; products and total are of bills in it */
    const char *total;                   /* NULL: it has more than 38 digits */
    const struct farthing_money *others; /* of bills in others, by code */
    size_t other_count;
    const char *fingerprint; /* of the accepted events */
    /* Where contracts have sellers: what each comes to, and what parties keep of it. */
    const struct farthing_sale *sales; /* by contract */
    size_t sale_count;
    const struct farthing_margin *margins; /* by seller */
    size_t margin_count;
    /* Payers not billed, of a view "payer (contract)"; amount holds the reason. */
    const struct farthing_count *failed;
    size_t failed_count;
    const struct farthing_count *warnings; /* name holds the text */
    size_t warning_count;
    uint64_t bytes_read;
    int64_t load_ns, read_ns, accept_ns, bill_ns, total_ns; /* how long each part took */
    /* What each part took of the processors, all threads of the process together. */
    int64_t load_cpu_ns, read_cpu_ns, accept_cpu_ns, bill_cpu_ns;
    size_t memory_peak_bytes, dedup_peak_bytes; /* in all; what finding duplicates took of it */
};

/* Bills a period.  FARTHING_PARTIAL: files are written, summary->failed says for whom not. */
enum farthing_status farthing_bill(struct farthing *farthing, const struct farthing_bill *bill,
                                   struct farthing_summary *summary);

/* Closed periods restated: what is known now, less what was billed.  The events that were billed
 * are read again from where the folders' run.json says they are. */
struct farthing_correct {
    struct farthing_paths closed;   /* output folders of one or more periods, corrections too */
    struct farthing_paths events;   /* late events and withdrawals; may be empty */
    enum farthing_format format;    /* of these */
    struct farthing_paths catalog;  /* another than the periods were billed with; empty: theirs */
    struct farthing_paths accounts; /* the same */
    struct farthing_paths moved; /* "OLD=NEW": files whose path began with OLD begin with NEW now;
                                    "FOLDER:OLD=NEW": those that the run of a closed folder read */
    const char *out;             /* folder; with several periods it has a folder for each */
    int replace;
};
struct farthing_correction {
    const char *period;
    const char *closed;  /* the last folder of the period before */
    const char *out;     /* NULL: nothing has changed, nothing was written */
    const char *cleared; /* a folder of which an earlier run's files are removed, since nothing has
                            changed; NULL */
    struct farthing_summary summary;
};
struct farthing_corrections {
    const struct farthing_correction *items; /* in order of time */
    size_t count, written;
    uint64_t late_records, failed; /* failed: payers that could not be billed */
    /* Of the late events; listed in a folder that is written, or was. */
    uint64_t late_refused, late_conflicts;
    /* Of the late events: of a time for which `late_periods` bills none any more. */
    uint64_t too_late;
    /* Of the late events: of times that lie in none of the periods, so that they are on no bill of
     * these; the first and the last such time. */
    uint64_t late_outside;
    const char *outside_first, *outside_last;
};
/* Corrects periods in order, each with the closing of the one before. FARTHING_PARTIAL as
 * farthing_bill. */
enum farthing_status farthing_correct(struct farthing *farthing,
                                      const struct farthing_correct *options,
                                      struct farthing_corrections *corrections);

/* A complaint about a catalog or a record. */
struct farthing_complaint {
    const char *file;
    unsigned line, column; /* from 1; 0: the whole file */
    const char *code, *message, *hint;
    const char *source; /* the line itself when it is about a place inside an expression; else "" */
    int is_warning;
};
struct farthing_check {
    const struct farthing_complaint *complaints;
    size_t complaint_count, error_count;
    const char *digest; /* of a catalog that loads */
    unsigned meters, skus, prices, plans, contracts;
    uint64_t accounts, organizations, overrides, commitments, settings;
};
/* Loads catalog and accounts (may be empty) and tells all that is wrong. FARTHING_INPUT when there
 * are errors. */
enum farthing_status farthing_check(struct farthing *farthing, struct farthing_paths catalog,
                                    struct farthing_paths accounts, struct farthing_check *check);

enum farthing_form { FARTHING_TABLE, FARTHING_JSON, FARTHING_CSV_SAFE };

/* Compares two output folders: which amounts moved, and by how much of it because of usage, of the
 * price version, of a step. A folder of corrections stands for the bills that it corrects, too. */
enum farthing_status farthing_diff(struct farthing *farthing, const char *a, const char *b,
                                   enum farthing_form form, int is_terminal, farthing_write *write,
                                   void *context);

/* Shows bills of an output folder. name: a bill's id or a payer's; NULL: a list of all bills.
 * CSV_SAFE is for spreadsheets: texts that could be taken for formulas get an apostrophe. */
enum farthing_status farthing_show(struct farthing *farthing, const char *out, const char *name,
                                   enum farthing_form form, int is_terminal, farthing_write *write,
                                   void *context);

/* Explains a line (32 digits, or the beginning of them) of an output folder.  Members of inputs
 * that are empty are taken from the folder's run.json; events are read only when given. */
enum farthing_status farthing_explain(struct farthing *farthing, const char *out, const char *line,
                                      const struct farthing_bill *inputs, enum farthing_form form,
                                      farthing_write *write, void *context);

struct farthing_tests {
    uint64_t passed, failed;
};
/* Runs pricing cases (YAML, JSON, or one JSON a line); writes a line for each that does not pass,
 * or for all when verbose. */
enum farthing_status farthing_test(struct farthing *farthing, struct farthing_paths files,
                                   int verbose, enum farthing_form form, farthing_write *write,
                                   void *context, struct farthing_tests *tests);

/* Events to segments (doc/segment.md): `farthing bill` and whatever else reads events reads these.
 */
struct farthing_import {
    /* NDJSON, CSV (plain, gzip, zstd), Parquet, segments; files, folders, "-". */
    struct farthing_paths events;
    enum farthing_format format;
    struct farthing_paths catalog;  /* for its `csv:`; may be empty */
    struct farthing_paths accounts; /* that the catalog names; may be empty */
    const char *out;                /* folder */
    int replace;
};
enum farthing_export_form { FARTHING_TO_NDJSON, FARTHING_TO_CSV, FARTHING_TO_PARQUET };
struct farthing_export {
    struct farthing_paths events; /* as for import */
    enum farthing_format format;
    struct farthing_paths catalog, accounts;
    const char *out; /* a file */
    enum farthing_export_form form;
    int replace;
    farthing_write *write; /* NDJSON and CSV go there when out is NULL */
    void *context;
};
struct farthing_converted {
    uint64_t events, withdrawals, refused;
    const struct farthing_count *reasons; /* of what was refused */
    size_t reason_count;
    const char *letters;                   /* the file that lists it; NULL: nothing was refused */
    const struct farthing_count *warnings; /* name holds the text */
    size_t warning_count;
    uint64_t bytes_read, bytes_written, files, blocks;
    int64_t total_ns;
    size_t memory_peak_bytes;
};
enum farthing_status farthing_import(struct farthing *farthing,
                                     const struct farthing_import *options,
                                     struct farthing_converted *converted);
enum farthing_status farthing_export(struct farthing *farthing,
                                     const struct farthing_export *options,
                                     struct farthing_converted *converted);

/* A sample month of a made-up cloud, for trying out and measuring: accounts.csv, memberships.csv,
 * overrides.csv and usage.ndjson, which fit the catalog in examples/demo/catalog. */
struct farthing_generate {
    const char *out;    /* folder */
    const char *period; /* as of a bill, in UTC; NULL: 2026-10 */
    uint64_t seed;      /* 0: 1.  The same options make the same bytes */
    uint64_t events;    /* lines of usage; 0: 1,000,000 */
    uint64_t accounts;  /* without organizations, at most 100,000,000; 0: 10,000 */
    int compress;       /* usage.ndjson.zst */
    int replace;
};
/* FARTHING_INPUT for sizes and a period that make no month. */
enum farthing_status farthing_generate(struct farthing *farthing,
                                       const struct farthing_generate *options);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
