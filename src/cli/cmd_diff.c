/* cmd_diff.c - farthing diff: two sets of bills, what moved and why. */
#include <unistd.h>

#include "cli/cli.h"

enum { OPT_CSV = OPT_FIRST_OWN };

static const struct option OPTIONS[] = {COMMON_OPTIONS, {"csv", no_argument, NULL, OPT_CSV}, {0}};

static int run(int argc, char **argv)
{
    struct common common = {0};
    bool csv = false;
    int code = read_options(&cmd_diff, argc, argv, OPTIONS, take_flag, &csv, &common);
    if (code != GO_ON) {
        return code;
    }
    if (optind + 2 > argc) {
        return usage_failure(&cmd_diff, "two output folders are compared");
    }
    if (optind + 2 < argc) {
        return usage_failure(&cmd_diff, "'%s' is one too many", argv[optind + 2]);
    }
    if (csv && common.json) {
        return usage_failure(&cmd_diff, "--csv and --json exclude each other");
    }
    enum farthing_form form = csv           ? FARTHING_CSV_SAFE
                              : common.json ? FARTHING_JSON
                                            : FARTHING_TABLE;
    struct farthing *farthing = new_engine(&common);
    enum farthing_status status = farthing_diff(farthing, argv[optind], argv[optind + 1], form,
                                                isatty(STDOUT_FILENO), write_stdout, NULL);
    return finish_written(farthing, status);
}

const struct command cmd_diff = {
    .name = "diff",
    .summary = "compare two sets of bills, and say why each amount moved",
    .run = run,
    .help =
        "diff FOLDER FOLDER [--json | --csv] [--memory SIZE]\n\n"
        "Compares the bills of two output folders, and says of each amount that moved by how "
        "much:\n"
        "because usage changed, because another price version is in force, or because a step (a\n"
        "tier, an allowance, a minimum, a rounding) did; or because only one of the folders has\n"
        "bills of that provider and time. The reasons add up to the difference.\n"
        "A folder of corrections stands for the bills that it corrects, too.\n\n"
        "  --json            all that moved and the sums, as one JSON object\n"
        "  --csv             for spreadsheets: texts that could be taken for formulas get an\n"
        "                    apostrophe before them\n"
        "  --memory SIZE     default 1GiB; what moved and one payer at a time must fit\n\n"
        "Exit codes: 0 compared, whether something moved or not; 1 no such folder, a folder that\n"
        "is corrected is not there, or two currencies; 2 the command line is wrong; 4 the output\n"
        "cannot be written; 5 the memory limit; 6 the files of a folder do not agree.\n\n"
        "examples:\n"
        "  farthing diff out/ late/\n"
        "  farthing diff estimate/ final/ --csv >moved.csv\n",
};
