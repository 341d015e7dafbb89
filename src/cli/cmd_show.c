/* cmd_show.c - farthing show: the bills of an output folder, or one of them. */
#include <unistd.h>

#include "cli/cli.h"

enum { OPT_CSV = OPT_FIRST_OWN };

static const struct option OPTIONS[] = {COMMON_OPTIONS, {"csv", no_argument, NULL, OPT_CSV}, {0}};

static int run(int argc, char **argv)
{
    struct common common = {0};
    bool csv = false;
    int code = read_options(&cmd_show, argc, argv, OPTIONS, take_flag, &csv, &common);
    if (code != GO_ON) {
        return code;
    }
    if (optind >= argc) {
        return usage_failure(&cmd_show, "no output folder given");
    }
    if (optind + 2 < argc) {
        return usage_failure(&cmd_show, "'%s' is one too many", argv[optind + 2]);
    }
    if (csv && common.json) {
        return usage_failure(&cmd_show, "--csv and --json exclude each other");
    }
    enum farthing_form form = csv           ? FARTHING_CSV_SAFE
                              : common.json ? FARTHING_JSON
                                            : FARTHING_TABLE;
    struct farthing *farthing = new_engine(&common);
    enum farthing_status status =
        farthing_show(farthing, argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL, form,
                      isatty(STDOUT_FILENO), write_stdout, NULL);
    return finish_written(farthing, status);
}

const struct command cmd_show = {
    .name = "show",
    .summary = "show bills of an output folder",
    .run = run,
    .help =
        "show FOLDER [BILL | PAYER] [--json | --csv]\n\n"
        "Lists the bills in the output folder of a bill run, or shows one: by its id, or by its "
        "payer.\n"
        "The last column of a bill, LINE, is what `farthing explain` takes.\n\n"
        "  --json   the list, or the bill with its lines, as one JSON object\n"
        "  --csv    for spreadsheets: texts that could be taken for formulas get an apostrophe\n"
        "           before them (lines.csv in the folder is for programs)\n\n"
        "Exit codes: 0 shown; 1 no such folder, bill or payer, or the payer has several bills;\n"
        "2 the command line is wrong; 4 the output cannot be written; 6 the files of the folder do "
        "not\nagree.\n\n"
        "examples:\n"
        "  farthing show out/\n"
        "  farthing show out/ globex\n"
        "  farthing show out/ acme/globex/2026-10-01/2026-11-01 --json\n",
};
