/* cmd_explain.c - farthing explain: why a line of a bill is what it is, down to its events. */
#include "cli/cli.h"

static const struct option OPTIONS[] = {COMMON_OPTIONS, INPUT_OPTIONS, {0}};

static int explain(const struct common *common, const char *folder, const char *line,
                   const struct farthing_bill *inputs)
{
    struct farthing *farthing = new_engine(common);
    enum farthing_status status =
        farthing_explain(farthing, folder, line, inputs,
                         common->json ? FARTHING_JSON : FARTHING_TABLE, write_stdout, NULL);
    return finish_written(farthing, status);
}

static int take(int option, void *own)
{
    return take_input(&cmd_explain, option, own);
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct inputs inputs = {0};
    int code = read_options(&cmd_explain, argc, argv, OPTIONS, take, &inputs, &common);
    if (code == GO_ON) {
        code = optind + 2 > argc ? usage_failure(&cmd_explain, "give an output folder and a line")
               : optind + 2 < argc
                   ? usage_failure(&cmd_explain, "'%s' is one too many", argv[optind + 2])
                   : explain(&common, argv[optind], argv[optind + 1], inputs_bill(&inputs));
    }
    inputs_free(&inputs);
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
        "  --memory SIZE     default 1GiB; the usage of the payer must fit\n"
        "  --json            one JSON object\n\n"
        "Exit codes: 0 explained; 1 no such line, or other inputs than the bill's; 2 the command "
        "line\n"
        "is wrong; 3 explained, but the events given do not add up; 4 the output cannot be\n"
        "written; 5 the memory limit; 6 the line does not come out the same.\n\n"
        "examples:\n"
        "  farthing explain out/ 1ec7a2a1\n"
        "  farthing explain out/ 1ec7a2a1 --events usage.ndjson.zst\n",
};
