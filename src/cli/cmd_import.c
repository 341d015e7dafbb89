/* cmd_import.c - farthing import: events to segments. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { OPT_OUT = OPT_FIRST_NO_INPUT, OPT_FORCE };

static const struct option OPTIONS[] = {
    COMMON_OPTIONS,
    {"events", required_argument, NULL, OPT_EVENTS},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"catalog", required_argument, NULL, OPT_CATALOG},
    {"accounts", required_argument, NULL, OPT_ACCOUNTS},
    {"out", required_argument, NULL, OPT_OUT},
    {"force", no_argument, NULL, OPT_FORCE},
    {0},
};

static int take(int option, void *own)
{
    struct inputs *inputs = own;
    switch (option) {
    case OPT_OUT:
        return take_once(&cmd_import, "--out", &inputs->bill.out);
    case OPT_FORCE:
        inputs->bill.replace = 1;
        return GO_ON;
    default:
        return take_input(&cmd_import, option, inputs);
    }
}

static void print_converted(const struct farthing_converted *c, const char *out)
{
    char digits[32], more[32];
    printf("  %-39s %15s\n", "events", group_digits(c->events, digits));
    if (c->withdrawals > 0) {
        printf("  %-39s %15s\n", "withdrawals among them", group_digits(c->withdrawals, digits));
    }
    printf("  %-39s %15s\n", "refused", group_digits(c->refused, digits));
    for (size_t i = 0; i < c->reason_count; i++) {
        printf("  %-16s %-22s %15s\n", "", c->reasons[i].name,
               group_digits(c->reasons[i].count, digits));
    }
    uint64_t events = c->events > 0 ? c->events : 1;
    uint64_t tenths = c->bytes_written * 10 / events;
    printf("  %-39s %15s\n", "bytes", group_digits(c->bytes_written, digits));
    if (c->events > 0) {
        printf("  %-37s %15s.%llu\n", "bytes an event", group_digits(tenths / 10, more),
               (unsigned long long)(tenths % 10));
    }
    printf("written to %s\n", out);
    if (c->letters) {
        printf("refused records are in %s\n", c->letters);
    }
}

static void print_converted_json(const struct farthing_converted *c, const char *out)
{
    printf("{\"events\":%llu,\"withdrawals\":%llu,\"refused\":%llu,\"refused_by_reason\":{",
           (unsigned long long)c->events, (unsigned long long)c->withdrawals,
           (unsigned long long)c->refused);
    for (size_t i = 0; i < c->reason_count; i++) {
        printf("%s\"%s\":%llu", i > 0 ? "," : "", c->reasons[i].name,
               (unsigned long long)c->reasons[i].count);
    }
    printf("},\"files\":%llu,\"bytes\":%llu,\"bytes_read\":%llu,\"out\":",
           (unsigned long long)c->files, (unsigned long long)c->bytes_written,
           (unsigned long long)c->bytes_read);
    print_json_text(stdout, out);
    fputs(",\"dead_letters\":", stdout);
    if (c->letters) {
        print_json_text(stdout, c->letters);
    } else {
        fputs("null", stdout);
    }
    fputs(",\"warnings\":[", stdout);
    for (size_t i = 0; i < c->warning_count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        print_json_text(stdout, c->warnings[i].name);
    }
    printf("],\"seconds\":%.6f,\"memory_peak_bytes\":%zu}\n", (double)c->total_ns / 1e9,
           c->memory_peak_bytes);
}

int finish_converted(const struct common *common, struct farthing *farthing,
                     enum farthing_status status, const struct farthing_converted *converted,
                     const char *out)
{
    int code = (int)status;
    if (status != FARTHING_OK && !out && stdout_has_failed()) {
        end_progress();
        code = finish_stdout(code); /* which knows why, and when to say nothing */
    } else if (status != FARTHING_OK) {
        code = report_failure(farthing, status);
    } else {
        end_progress();
        for (size_t i = 0; i < converted->warning_count; i++) {
            fprintf(stderr, "warning: %s\n", converted->warnings[i].name);
        }
        if (!out) { /* standard output is taken */
            if (converted->refused > 0) {
                char digits[32];
                fprintf(stderr, "warning: %s record%s refused\n",
                        group_digits(converted->refused, digits),
                        converted->refused == 1 ? " was" : "s were");
            }
        } else if (common->json) {
            print_converted_json(converted, out);
        } else if (!common->quiet) {
            print_converted(converted, out);
        }
        code = finish_stdout(code);
    }
    farthing_free(farthing);
    return code;
}

static int run_import(const struct common *common, const struct farthing_import *import)
{
    struct farthing *farthing = new_engine(common);
    struct farthing_converted converted;
    enum farthing_status status = farthing_import(farthing, import, &converted);
    return finish_converted(common, farthing, status, &converted, import->out);
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct inputs inputs = {0};
    int code = read_options(&cmd_import, argc, argv, OPTIONS, take, &inputs, &common);
    if (code == GO_ON) {
        const struct farthing_bill *given = inputs_bill(&inputs);
        const struct farthing_import import = {.events = given->events,
                                               .format = given->format,
                                               .catalog = given->catalog,
                                               .accounts = given->accounts,
                                               .out = given->out,
                                               .replace = given->replace};
        const bool has_no_catalog = import.accounts.count > 0 && import.catalog.count == 0;
        const char *missing = import.events.count == 0 ? "--events"
                              : !import.out            ? "--out"
                              : has_no_catalog         ? "--catalog, which names the --accounts,"
                                                       : NULL;
        code = optind < argc ? usage_failure(&cmd_import,
                                             "'%s' is not an option: files are given with --events",
                                             argv[optind])
               : missing     ? usage_failure(&cmd_import, "%s is missing", missing)
                             : run_import(&common, &import);
    }
    inputs_free(&inputs);
    return code;
}

const struct command cmd_import = {
    .name = "import",
    .summary = "store events as segments: small, checked, quick to read again",
    .run = run,
    .help =
        "import --events PATH --out FOLDER [options]\n\n"
        "Writes the events of files as segments, in a tenth of the room. All commands that read\n"
        "events read segments; a bill from segments is the bill from the files. Records that are\n"
        "refused go to dead_letters.ndjson in the folder, with place and reason.\n\n"
        "  --events PATH     files or folders of CloudEvents (NDJSON or CSV; plain, gzip, zstd),\n"
        "                    of segments, or of Parquet (with DuckDB's library); - for standard\n"
        "                    input (repeatable)\n"
        "  --out FOLDER      where the segments go: events-00001.segment, ...\n"
        "  --catalog PATH    whose `csv:` says how rows are read (repeatable)\n"
        "  --accounts FILE   accounts that the catalog names (repeatable)\n"
        "  --format FORMAT   ndjson or csv, when the names of the events do not say it\n"
        "  --force           replace segments of an earlier run in the folder\n"
        "  --threads N       two at most, more for Parquet; default: one a processor\n"
        "  --memory SIZE     default 1GiB\n"
        "  --tmp FOLDER      for temporary files; default $TMPDIR or /tmp\n"
        "  --json            print what was done as JSON\n"
        "  --quiet           print nothing but warnings and errors\n\n"
        "Exit codes: 0 done; 1 a file or a value is wrong, nothing was written; 2 the command\n"
        "line is wrong; 4 disk or pipe; 5 the memory or another limit; 6 internal.\n\n"
        "examples:\n"
        "  farthing import --events usage/ --out segments/\n"
        "  farthing import --events usage.csv.gz --catalog catalog/ --out segments/\n"
        "  farthing bill --catalog catalog/ --events segments/ --period 2026-10 --out out/\n",
};
