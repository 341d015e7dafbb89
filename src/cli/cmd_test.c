/* cmd_test.c - farthing test: pricing cases, each billed by the whole program. */
#include <stdlib.h>

#include "cli/cli.h"

static const struct option OPTIONS[] = {COMMON_OPTIONS, {"verbose", no_argument, NULL, 'v'}, {0}};

static int test(struct common *common, const struct path_list *files, bool verbose)
{
    struct farthing *farthing = new_engine(common);
    struct farthing_tests tests;
    enum farthing_status status =
        farthing_test(farthing, paths_of(files), verbose,
                      common->json ? FARTHING_JSON : FARTHING_TABLE, write_stdout, NULL, &tests);
    int code = finish_stdout(0);
    if (code == 0) {
        bool is_done = status == FARTHING_OK || status == FARTHING_PARTIAL;
        code = is_done ? (int)status : report_failure(farthing, status);
    }
    farthing_free(farthing);
    return code;
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct path_list files = {0};
    bool verbose = false;
    int code = read_options(&cmd_test, argc, argv, OPTIONS, take_flag, &verbose, &common);
    if (code != GO_ON) {
        return code;
    }
    for (int i = optind; i < argc; i++) {
        add_path(&files, argv[i]);
    }
    code = files.count == 0 ? usage_failure(&cmd_test, "no file of cases given")
                            : test(&common, &files, verbose);
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
            "Exit codes: 0 no case failed; 1 there is no such file, or no case in any; 2 the\n"
            "command line is wrong; 3 some cases failed; 4 disk.\n\n"
            "examples:\n"
            "  farthing test storage.yaml --verbose\n"
            "  farthing test test/pricing\n",
};
