/* cmd_generate.c - farthing generate: a sample month for the demo catalog. */
#include "cli/cli.h"

enum { OPT_OUT = OPT_FIRST_NO_INPUT, OPT_SEED, OPT_COMPRESS, OPT_FORCE };

static const struct option OPTIONS[] = {
    COMMON_OPTIONS,
    {"out", required_argument, NULL, OPT_OUT},
    {"period", required_argument, NULL, OPT_PERIOD},
    {"seed", required_argument, NULL, OPT_SEED},
    {"events", required_argument, NULL, OPT_EVENTS},
    {"accounts", required_argument, NULL, OPT_ACCOUNTS},
    {"compress", no_argument, NULL, OPT_COMPRESS},
    {"force", no_argument, NULL, OPT_FORCE},
    {0},
};

static int take(int option, void *own)
{
    struct farthing_generate *generate = own;
    switch (option) {
    case OPT_OUT:
        generate->out = optarg;
        break;
    case OPT_PERIOD:
        generate->period = optarg;
        break;
    case OPT_SEED:
        if (!parse_number(optarg, &generate->seed)) {
            return range_failure(&cmd_generate, "--seed",
                                 "a number from 0 to 18446744073709551615");
        }
        break;
    case OPT_EVENTS:
        if (!parse_size(optarg, &generate->events) || generate->events == 0) {
            return range_failure(&cmd_generate, "--events",
                                 "a number of at least 1, such as 500 or 100k");
        }
        break;
    case OPT_ACCOUNTS:
        if (!parse_size(optarg, &generate->accounts) || generate->accounts == 0 ||
            generate->accounts > 100'000'000) {
            return range_failure(&cmd_generate, "--accounts",
                                 "a number from 1 to 100000000, such as 500 or 10k");
        }
        break;
    case OPT_COMPRESS:
        generate->compress = 1;
        break;
    case OPT_FORCE:
        generate->replace = 1;
        break;
    default:
        break;
    }
    return GO_ON;
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct farthing_generate generate = {0};
    int code = read_options(&cmd_generate, argc, argv, OPTIONS, take, &generate, &common);
    if (code != GO_ON) {
        return code;
    }
    if (!generate.out || optind < argc) {
        return usage_failure(&cmd_generate,
                             generate.out ? "too many arguments" : "--out is missing");
    }
    struct farthing *farthing = new_engine(&common);
    enum farthing_status status = farthing_generate(farthing, &generate);
    if (status != FARTHING_OK) {
        code = report_failure(farthing, status);
    } else {
        end_progress();
        if (common.json) {
            printf("{\"out\":");
            print_json_text(stdout, generate.out);
            printf(",\"files\":[\"accounts.csv\",\"memberships.csv\",\"overrides.csv\","
                   "\"usage.ndjson%s\"]}\n",
                   generate.compress ? ".zst" : "");
        } else if (!common.quiet) {
            printf("written to %s: accounts.csv, memberships.csv, overrides.csv, usage.ndjson%s\n",
                   generate.out, generate.compress ? ".zst" : "");
        }
        code = finish_stdout(0);
    }
    farthing_free(farthing);
    return code;
}

const struct command cmd_generate = {
    .name = "generate",
    .summary = "make a sample month of usage",
    .run = run,
    .help =
        "generate --out FOLDER [options]\n\n"
        "Writes accounts.csv, memberships.csv, overrides.csv and usage.ndjson for the catalog in\n"
        "examples/demo/catalog. The same options give the same bytes, on every machine.\n\n"
        "  --out FOLDER      where the files go\n"
        "  --events N        lines of usage (default 1M; k, M, G stand for thousands)\n"
        "  --accounts N      default 10k\n"
        "  --period PERIOD   default 2026-10\n"
        "  --seed N          default 1\n"
        "  --compress        usage.ndjson.zst\n"
        "  --force           replace files of an earlier run\n"
        "  --json            print what was written as JSON\n"
        "  --quiet           print nothing but errors\n\n"
        "Exit codes: 0 done; 1 a value is wrong; 2 the command line is wrong; 4 disk; 5 a "
        "limit.\n\n"
        "example:\n  farthing generate --out sample --events 100k --accounts 1k\n",
};
