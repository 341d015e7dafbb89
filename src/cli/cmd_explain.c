/* cmd_explain.c - farthing explain: why a line of a bill is what it is, down to its events. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { OPT_CATALOG = OPT_FIRST_OWN, OPT_ACCOUNTS, OPT_EVENTS, OPT_OPENING, OPT_PERIOD, OPT_FORMAT };

static const struct option OPTIONS[] = {COMMON_OPTIONS,
                                        {"catalog", required_argument, NULL, OPT_CATALOG},
                                        {"accounts", required_argument, NULL, OPT_ACCOUNTS},
                                        {"events", required_argument, NULL, OPT_EVENTS},
                                        {"opening", required_argument, NULL, OPT_OPENING},
                                        {"period", required_argument, NULL, OPT_PERIOD},
                                        {"format", required_argument, NULL, OPT_FORMAT},
                                        {0}};

static int explain(const struct common *common, const char *folder, const char *line,
                   const struct farthing_bill *inputs)
{
    struct farthing *farthing = new_engine(common);
    enum farthing_status status =
        farthing_explain(farthing, folder, line, inputs,
                         common->json ? FARTHING_JSON : FARTHING_TABLE, write_stdout, NULL);
    int code = finish_stdout(0);
    if (status != FARTHING_OK) {
        code = report_failure(farthing, status);
    }
    farthing_free(farthing);
    return code;
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct farthing_bill inputs = {0};
    struct path_list catalog = {0}, accounts = {0}, events = {0};
    for (int option; (option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1;) {
        int taken = take_common(&cmd_explain, option == 'h' ? OPT_HELP : option, &common);
        if (taken > 0) {
            return taken - 1;
        }
        switch (option) {
        case OPT_CATALOG:
            add_path(&catalog, optarg);
            break;
        case OPT_ACCOUNTS:
            add_path(&accounts, optarg);
            break;
        case OPT_EVENTS:
            add_path(&events, optarg);
            break;
        case OPT_OPENING:
            inputs.opening = optarg;
            break;
        case OPT_PERIOD:
            inputs.period = optarg;
            break;
        case OPT_FORMAT:
            if (strcmp(optarg, "csv") != 0 && strcmp(optarg, "ndjson") != 0) {
                return usage_failure(&cmd_explain, "--format takes ndjson or csv, not '%s'",
                                     optarg);
            }
            inputs.format = strcmp(optarg, "csv") == 0 ? FARTHING_CSV : FARTHING_NDJSON;
            break;
        default:
            break;
        }
    }
    inputs.catalog = paths_of(&catalog);
    inputs.accounts = paths_of(&accounts);
    inputs.events = paths_of(&events);
    int code;
    if (optind + 2 > argc) {
        code = usage_failure(&cmd_explain, "give an output folder and a line");
    } else if (optind + 2 < argc) {
        code = usage_failure(&cmd_explain, "'%s' is one too many", argv[optind + 2]);
    } else {
        code = explain(&common, argv[optind], argv[optind + 1], &inputs);
    }
    free(catalog.items);
    free(accounts.items);
    free(events.items);
    return code;
}

const struct command cmd_explain = {
    .name = "explain",
    .summary = "explain a line of a bill",
    .run = run,
    .help =
        "explain FOLDER LINE [options]\n\n"
        "Tells why a line of a bill is what it is: its price and where that was found, what each\n"
        "step did, and the usage rows behind it. LINE is the line's id or the beginning of it, as\n"
        "`farthing show` prints it. The payer is priced again, and must come out the same.\n\n"
        "  --events PATH     the events of the run: lists the very ones that are on the line, and\n"
        "                    whether they add up (repeatable)\n"
        "  --catalog PATH    \\\n"
        "  --accounts FILE    } what the run was given; default: what run.json in the folder\n"
        "  --opening FILE     } names. They must have the digests that the bill names.\n"
        "  --period PERIOD   /\n"
        "  --format FORMAT   ndjson or csv, when the names of the events do not say it\n"
        "  --json            one JSON object\n\n"
        "Exit codes: 0 explained; 1 no such line, or other inputs than the bill's; 3 explained, "
        "but\n"
        "the events given do not add up; 6 the line does not come out the same.\n\n"
        "examples:\n"
        "  farthing explain out/ 1ec7a2a1\n"
        "  farthing explain out/ 1ec7a2a1 --events usage.ndjson.zst\n",
};
