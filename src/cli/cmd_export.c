/* cmd_export.c - farthing export: events of any form to NDJSON, CSV or Parquet. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { OPT_OUT = OPT_FIRST_NO_INPUT, OPT_TO, OPT_FORCE };

static const struct option OPTIONS[] = {
    COMMON_OPTIONS,
    {"events", required_argument, NULL, OPT_EVENTS},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"catalog", required_argument, NULL, OPT_CATALOG},
    {"accounts", required_argument, NULL, OPT_ACCOUNTS},
    {"out", required_argument, NULL, OPT_OUT},
    {"to", required_argument, NULL, OPT_TO},
    {"force", no_argument, NULL, OPT_FORCE},
    {0},
};

struct asked {
    struct inputs inputs;
    const char *to;
};

static int take(int option, void *own)
{
    struct asked *asked = own;
    switch (option) {
    case OPT_OUT:
        return take_once(&cmd_export, "--out", &asked->inputs.bill.out);
    case OPT_TO:
        return take_once(&cmd_export, "--to", &asked->to);
    case OPT_FORCE:
        asked->inputs.bill.replace = 1;
        return GO_ON;
    default:
        return take_input(&cmd_export, option, &asked->inputs);
    }
}

/* The form that is asked for, or that the file's name says; false when neither does. */
static bool find_form(const char *to, const char *out, enum farthing_export_form *form)
{
    static const struct {
        const char *name;
        enum farthing_export_form form;
    } FORMS[] = {
        {"ndjson", FARTHING_TO_NDJSON}, {"csv", FARTHING_TO_CSV}, {"parquet", FARTHING_TO_PARQUET}};
    const char *dot = strrchr(out, '.');
    const char *name = to ? to : dot ? dot + 1 : strcmp(out, "-") == 0 ? "ndjson" : "";
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        if (strcmp(name, FORMS[i].name) == 0) {
            *form = FORMS[i].form;
            return true;
        }
    }
    return false;
}

static int run_export(const struct common *common, const struct farthing_export *export)
{
    struct farthing *farthing = new_engine(common);
    struct farthing_converted converted;
    enum farthing_status status = farthing_export(farthing, export, &converted);
    return finish_converted(common, farthing, status, &converted, export->out);
}

static int start(const struct common *common, struct asked *asked)
{
    const struct farthing_bill *given = inputs_bill(&asked->inputs);
    struct farthing_export export = {.events = given->events,
                                     .format = given->format,
                                     .catalog = given->catalog,
                                     .accounts = given->accounts,
                                     .out = given->out,
                                     .replace = given->replace,
                                     .write = write_stdout};
    const bool has_no_catalog = export.accounts.count > 0 && export.catalog.count == 0;
    const char *missing = export.events.count == 0 ? "--events"
                          : !export.out            ? "--out"
                          : has_no_catalog         ? "--catalog, which names the --accounts,"
                                                   : NULL;
    if (missing) {
        return usage_failure(&cmd_export, "%s is missing", missing);
    }
    if (!find_form(asked->to, export.out, &export.form)) {
        return asked->to ? usage_failure(&cmd_export, "--to takes ndjson, csv or parquet, not '%s'",
                                         asked->to)
                         : usage_failure(&cmd_export,
                                         "the name %s tells no form: give --to ndjson, csv or "
                                         "parquet",
                                         export.out);
    }
    if (strcmp(export.out, "-") == 0) {
        export.out = NULL;
        if (export.form == FARTHING_TO_PARQUET) {
            return usage_failure(&cmd_export, "Parquet needs a file, not standard output");
        }
        if (common->json) {
            return usage_failure(&cmd_export, "--json and --out - exclude each other: the events "
                                              "are all that goes to standard output");
        }
    }
    return run_export(common, &export);
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct asked asked = {0};
    int code = read_options(&cmd_export, argc, argv, OPTIONS, take, &asked, &common);
    if (code == GO_ON) {
        code = optind < argc ? usage_failure(&cmd_export,
                                             "'%s' is not an option: files are given with --events",
                                             argv[optind])
                             : start(&common, &asked);
    }
    inputs_free(&asked.inputs);
    return code;
}

const struct command cmd_export = {
    .name = "export",
    .summary = "write stored events as NDJSON, CSV or Parquet",
    .run = run,
    .help =
        "export --events PATH --out FILE [options]\n\n"
        "Writes the events of segments (or of any file that can be read) in their order: as "
        "NDJSON,\n"
        "each in its canonical form; or as CSV or Parquet with the columns id, source, type,\n"
        "subject, time and data, which is JSON. Records that are refused, and blocks of segments\n"
        "that are damaged, are listed in FILE.dead_letters.ndjson.\n\n"
        "  --events PATH     segments, or whatever `farthing import` takes (repeatable)\n"
        "  --out FILE        where the events go; - for standard output\n"
        "  --to FORM         ndjson, csv or parquet, when the file's name does not say it\n"
        "  --catalog PATH    whose `csv:` says how rows are read (repeatable)\n"
        "  --accounts FILE   accounts that the catalog names (repeatable)\n"
        "  --format FORMAT   ndjson or csv, when the names of the events do not say it\n"
        "  --force           replace the file, and its dead letters\n"
        "  --threads N       for Parquet; default: as many as there are processors\n"
        "  --memory SIZE     default 1GiB\n"
        "  --tmp FOLDER      for temporary files; default $TMPDIR or /tmp\n"
        "  --json            print what was done as JSON\n"
        "  --quiet           print nothing but warnings and errors\n\n"
        "Exit codes: 0 done; 1 a file or a value is wrong, nothing was written; 2 the command\n"
        "line is wrong; 4 disk or pipe; 5 the memory or another limit; 6 internal.\n\n"
        "examples:\n"
        "  farthing export --events segments/ --out usage.ndjson\n"
        "  farthing export --events segments/ --out - | head\n"
        "  farthing export --events segments/ --out usage.parquet\n",
};
