/* cmd_correct.c - farthing correct: closed periods restated, as a difference. */
#include <stdlib.h>

#include "cli/cli.h"

enum { OPT_CLOSED = OPT_FIRST_NO_INPUT, OPT_MOVED, OPT_OUT, OPT_FORCE };

static const struct option OPTIONS[] = {
    COMMON_OPTIONS,
    {"closed", required_argument, NULL, OPT_CLOSED},
    {"events", required_argument, NULL, OPT_EVENTS},
    {"catalog", required_argument, NULL, OPT_CATALOG},
    {"accounts", required_argument, NULL, OPT_ACCOUNTS},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"moved", required_argument, NULL, OPT_MOVED},
    {"out", required_argument, NULL, OPT_OUT},
    {"force", no_argument, NULL, OPT_FORCE},
    {0},
};

struct asked {
    struct inputs inputs;
    struct path_list closed, moved;
    const char *out;
    int replace;
};

static int take(int option, void *own)
{
    struct asked *asked = own;
    switch (option) {
    case OPT_CLOSED:
        add_path(&asked->closed, optarg);
        return GO_ON;
    case OPT_MOVED:
        add_path(&asked->moved, optarg);
        return GO_ON;
    case OPT_OUT:
        return take_once(&cmd_correct, "--out", &asked->out);
    case OPT_FORCE:
        asked->replace = 1;
        return GO_ON;
    default:
        return take_input(&cmd_correct, option, &asked->inputs);
    }
}

/* What is told of a period whether it is quiet or not; of several, which. */
static void print_told(const struct farthing_correction *item, bool is_of_several)
{
    const struct farthing_summary *s = &item->summary;
    const char *period = is_of_several ? item->period : "", *colon = is_of_several ? ": " : "";
    for (size_t w = 0; w < s->warning_count; w++) {
        fprintf(stderr, "warning: %s%s%s\n", period, colon, s->warnings[w].name);
    }
    print_failed(period, colon, s, item->out);
}

/* A folder that was forgotten looks as if there were nothing to correct. */
static void print_outside(const struct farthing_corrections *corrections)
{
    char digits[32];
    uint64_t count = corrections->late_outside;
    bool is_one = count == 1;
    if (count > 0) {
        fprintf(stderr,
                "warning: %s late record%s of no period that is named (%s%s%s): name the closed "
                "folders of that time too, or give %s to the bill of it\n",
                group_digits(count, digits), is_one ? " is" : "s are", corrections->outside_first,
                is_one ? "" : " to ", is_one ? "" : corrections->outside_last,
                is_one ? "it" : "them");
    }
}

/* Late records that are not billed, and where they are listed. */
static void print_refused(const struct farthing_corrections *corrections, uint64_t count,
                          const char *how, const char *file)
{
    char digits[32];
    const char *out = NULL;
    for (size_t i = 0; i < corrections->count && !out; i++) {
        out = corrections->items[i].out;
    }
    if (count > 0) {
        printf("  %-22s %s %s: %s%s%s\n", "late records", group_digits(count, digits), how,
               out ? out : "listed in a closed folder", out ? "/" : "", out ? file : "");
    }
}

static void print_corrections(const struct farthing_corrections *corrections)
{
    char digits[32];
    for (size_t i = 0; i < corrections->count; i++) {
        const struct farthing_correction *item = &corrections->items[i];
        const struct farthing_summary *s = &item->summary;
        if (!item->out) {
            printf("  %-22s nothing to correct%s%s\n", item->period,
                   item->cleared ? "; removed what an earlier run wrote in " : "",
                   item->cleared ? item->cleared : "");
            continue;
        }
        printf("  %-22s %6s bill%s %8s", item->period, group_digits(s->bills, digits),
               s->bills == 1 ? ", " : "s,", "");
        printf("%s line%s ", group_digits(s->bill_lines, digits), s->bill_lines == 1 ? ", " : "s,");
        bool has_own = s->other_count == 0 || !is_nothing(s->total);
        if (has_own) {
            printf("%12s %s", s->total ? s->total : "?", s->currency);
        }
        for (size_t k = 0; k < s->other_count; k++) {
            printf(k > 0 || has_own ? ", %s %s" : "%12s %s",
                   s->others[k].total ? s->others[k].total : "?", s->others[k].currency);
        }
        printf("  in %s\n", item->out);
    }
    print_refused(corrections, corrections->late_refused, "refused", "dead_letters.ndjson");
    print_refused(corrections, corrections->late_conflicts, "in conflict", "conflicts.ndjson");
    if (corrections->too_late > 0) {
        printf("  %-22s %s too late: older than late_periods of the catalog's billing bills; "
               "LATE in exclusions.csv\n",
               "late records", group_digits(corrections->too_late, digits));
    }
    if (corrections->written == 0) {
        printf("nothing has changed, and nothing was written\n");
    }
}

static void print_json(const struct farthing_corrections *corrections)
{
    printf("{\"late_records\":%llu,\"written\":%zu,\"late_refused\":%llu,\"late_conflicts\":%llu,"
           "\"too_late\":%llu,\"late_outside\":%llu,",
           (unsigned long long)corrections->late_records, corrections->written,
           (unsigned long long)corrections->late_refused,
           (unsigned long long)corrections->late_conflicts,
           (unsigned long long)corrections->too_late,
           (unsigned long long)corrections->late_outside);
    if (corrections->late_outside > 0) {
        printf("\"outside_first\":\"%s\",\"outside_last\":\"%s\",", corrections->outside_first,
               corrections->outside_last);
    }
    printf("\"corrections\":[");
    for (size_t i = 0; i < corrections->count; i++) {
        const struct farthing_correction *item = &corrections->items[i];
        const struct farthing_summary *s = &item->summary;
        printf("%s{\"period\":", i > 0 ? "," : "");
        print_json_text(stdout, item->period);
        fputs(",\"closed\":", stdout);
        print_json_text(stdout, item->closed);
        fputs(",\"out\":", stdout);
        if (item->out) {
            print_json_text(stdout, item->out);
        } else {
            fputs("null", stdout);
        }
        if (item->cleared) {
            fputs(",\"cleared\":", stdout);
            print_json_text(stdout, item->cleared);
        }
        for (size_t k = 0; k < s->other_count; k++) {
            const struct farthing_money *other = &s->others[k];
            const char *of_total = other->total ? "\"" : "";
            printf("%s\"%s\":%s%s%s%s", k == 0 ? ",\"other_currencies\":{" : ",", other->currency,
                   of_total, other->total ? other->total : "null", of_total,
                   k + 1 < s->other_count ? "" : "}");
        }
        const char *quote = s->total ? "\"" : "";
        printf(",\"bills\":%llu,\"bill_lines\":%llu,\"total\":%s%s%s,\"currency\":\"%s\","
               "\"accepted\":%llu,\"duplicates\":%llu,\"conflicts\":%llu,\"refused\":%llu,"
               "\"withdrawals\":%llu,\"warnings\":[",
               (unsigned long long)s->bills, (unsigned long long)s->bill_lines, quote,
               s->total ? s->total : "null", quote, s->currency,
               (unsigned long long)s->events_accepted, (unsigned long long)s->events_duplicate,
               (unsigned long long)s->events_conflict, (unsigned long long)s->events_refused,
               (unsigned long long)s->withdrawals);
        for (size_t w = 0; w < s->warning_count; w++) {
            fputs(w > 0 ? "," : "", stdout);
            print_json_text(stdout, s->warnings[w].name);
        }
        printf("],\"failed\":{");
        for (size_t f = 0; f < s->failed_count; f++) {
            fputs(f > 0 ? "," : "", stdout);
            print_json_text(stdout, s->failed[f].name);
            fputc(':', stdout);
            print_json_text(stdout, s->failed[f].amount);
        }
        fputs("}}", stdout);
    }
    fputs("]}\n", stdout);
}

static int run_correct(const struct common *common, const struct farthing_correct *correct)
{
    struct farthing *farthing = new_engine(common);
    struct farthing_corrections corrections;
    enum farthing_status status = farthing_correct(farthing, correct, &corrections);
    int code = (int)status;
    if (status != FARTHING_OK && status != FARTHING_PARTIAL) {
        code = report_failure(farthing, status);
        for (size_t i = 0; i < corrections.count; i++) {
            if (corrections.items[i].out) {
                fprintf(stderr, "written: %s\n", corrections.items[i].out);
            }
        }
    } else {
        end_progress();
        for (size_t i = 0; i < corrections.count; i++) {
            print_told(&corrections.items[i], corrections.count > 1);
        }
        print_outside(&corrections);
        if (common->json) {
            print_json(&corrections);
        } else if (!common->quiet) {
            print_corrections(&corrections);
        }
        code = finish_stdout(code);
    }
    farthing_free(farthing);
    return code;
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct asked asked = {0};
    int code = read_options(&cmd_correct, argc, argv, OPTIONS, take, &asked, &common);
    if (code == GO_ON) {
        const struct farthing_bill *bill = inputs_bill(&asked.inputs);
        struct farthing_correct correct = {.closed = paths_of(&asked.closed),
                                           .events = bill->events,
                                           .format = bill->format,
                                           .catalog = bill->catalog,
                                           .accounts = bill->accounts,
                                           .moved = paths_of(&asked.moved),
                                           .out = asked.out,
                                           .replace = asked.replace};
        const char *missing = correct.closed.count == 0 ? "--closed"
                              : !correct.out            ? "--out"
                                                        : NULL;
        code = optind < argc
                   ? usage_failure(&cmd_correct,
                                   "'%s' is not an option: files are given with --closed, --events",
                                   argv[optind])
               : missing ? usage_failure(&cmd_correct, "%s is missing", missing)
                         : run_correct(&common, &correct);
    }
    free(asked.closed.items);
    free(asked.moved.items);
    inputs_free(&asked.inputs);
    return code;
}

const struct command cmd_correct = {
    .name = "correct",
    .summary = "restate closed periods: late events, withdrawals, another catalog",
    .run = run,
    .help =
        "correct --closed FOLDER [--events PATH] [--catalog PATH] --out FOLDER [options]\n\n"
        "Bills closed periods again with what is known now, and writes the difference, line by\n"
        "line, with the dates of the closed period. The events that were billed are read again\n"
        "from where they were; what was accepted stays accepted. Nothing is written when nothing\n"
        "has changed.\n\n"
        "  --closed FOLDER   what `farthing bill` or `farthing correct` wrote (repeatable): all\n"
        "                    bills of a period, in the order they were made; several periods are\n"
        "                    corrected in order, each with the closing of the one before\n"
        "  --events PATH     late events and withdrawals (repeatable)\n"
        "  --catalog PATH    another catalog than the periods were billed with (repeatable)\n"
        "  --accounts FILE   other accounts (repeatable)\n"
        "  --moved OLD=NEW   files whose path began with OLD lie at NEW now (repeatable);\n"
        "                    FOLDER:OLD=NEW: those of one closed folder\n"
        "  --out FOLDER      where the correction goes; with several periods it has a folder for\n"
        "                    each\n"
        "  --format FORMAT   ndjson or csv, when the names of the late events do not say it\n"
        "  --force           replace files of an earlier run in the output folder\n"
        "  --threads N       default: as many as there are processors\n"
        "  --memory SIZE     default 1GiB; what does not fit goes to temporary files\n"
        "  --tmp FOLDER      for temporary files; default $TMPDIR or /tmp\n"
        "  --json            print what was corrected as JSON\n"
        "  --quiet           print no summary and no progress; warnings are told\n\n"
        "Exit codes: 0 done, or nothing to correct; 1 a folder, a file or a value is wrong; 2 the\n"
        "command line is wrong; 3 some payers could not be billed, the others are written; 4 disk\n"
        "or pipe; 5 the memory or another limit; 6 internal.\n\n"
        "examples:\n"
        "  farthing correct --closed out/ --events late.ndjson --out late/\n"
        "  farthing correct --closed out/ --closed late/ --catalog right.yaml --out right/\n"
        "  farthing correct --closed 2026-10/ --closed 2026-11/ --events late.ndjson --out late/\n",
};
