/* cmd_test.c - farthing test: pricing cases, each billed by the whole program. */
#include <stdlib.h>

#include "cli/cli.h"

enum { OPT_VERBOSE = OPT_FIRST_OWN };

static const struct option OPTIONS[] = {
    COMMON_OPTIONS, {"verbose", no_argument, NULL, OPT_VERBOSE}, {0}};

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct path_list files = {0};
    bool verbose = false;
    for (int option; (option = getopt_long(argc, argv, "hv", OPTIONS, NULL)) != -1;) {
        int taken = take_common(&cmd_test, option == 'h' ? OPT_HELP : option, &common);
        if (taken > 0) {
            return taken - 1;
        }
        verbose = verbose || option == OPT_VERBOSE || option == 'v';
    }
    for (int i = optind; i < argc; i++) {
        add_path(&files, argv[i]);
    }
    if (files.count == 0) {
        return usage_failure(&cmd_test, "no file of cases given");
    }
    if (!common.config.temporary_folder) {
        common.config.temporary_folder = getenv("TMPDIR");
    }
    struct farthing *farthing = new_engine(&common);
    struct farthing_tests tests;
    enum farthing_status status =
        farthing_test(farthing, paths_of(&files), verbose,
                      common.json ? FARTHING_JSON : FARTHING_TABLE, write_stdout, NULL, &tests);
    int code = (int)status;
    if (status != FARTHING_OK && status != FARTHING_PARTIAL) {
        code = report_failure(farthing, status);
    }
    code = finish_stdout(code);
    farthing_free(farthing);
    free(files.items);
    return code;
}

const struct command cmd_test = {
    .name = "test",
    .summary = "run pricing cases: usage, a catalog, and what it has to cost",
    .run = run,
    .help = "test FILE... [--verbose] [--json]\n\n"
            "Runs pricing cases of YAML or JSON files, or folders of them, through the whole\n"
            "program and compares its bills with what the cases expect. A line for each case\n"
            "that fails, and a summary.\n\n"
            "  -v, --verbose     a line for every case\n"
            "  --json            one JSON object a line\n\n"
            "Exit codes: 0 no case failed (some may ask for what is not there yet); 3 some did.\n\n"
            "example:\n  farthing test test/pricing\n",
};
