/* cmd_bill.c - farthing bill: a month of events to bills, and a summary of what became of every
 * event. */
#include <string.h>

#include "cli/cli.h"

static void print_counts(const char *title, const struct farthing_count *counts, size_t count)
{
    char digits[32];
    for (size_t i = 0; i < count; i++) {
        printf("  %-16s %-22s %15s\n", i == 0 ? title : "", counts[i].name,
               group_digits(counts[i].count, digits));
    }
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static void print_number(const char *name, uint64_t number)
{
    char digits[32];
    printf("  %-39s %15s\n", name, group_digits(number, digits));
}

static int wider(int width, const char *text)
{
    int size = (int)strlen(text);
    return size > width ? size : width;
}

/* What contracts come to before tax, and what sellers keep of it. */
static void print_sales(const struct farthing_summary *s)
{
    int contract = 8, amount = 8, party = 6, received = 8, paid = 4, margin = 6;
    for (size_t i = 0; i < s->sale_count; i++) {
        contract = wider(contract, s->sales[i].contract);
        amount = wider(amount, s->sales[i].amount);
    }
    for (size_t i = 0; i < s->margin_count; i++) {
        party = wider(party, s->margins[i].party);
        received = wider(received, s->margins[i].received);
        paid = wider(paid, s->margins[i].paid);
        margin = wider(margin, s->margins[i].margin);
    }
    enum { SALES_MAX = 20 };
    for (size_t i = 0; i < s->sale_count && i < SALES_MAX; i++) {
        const struct farthing_sale *sale = &s->sales[i];
        print_line(stdout, "  %-8s %-*s %*s %s  %s to %s%s%s", i == 0 ? "contract" : "", contract,
                   sale->contract, amount, sale->amount, sale->currency, sale->seller, sale->buyer,
                   sale->source ? ", by source " : "", sale->source ? sale->source : "");
    }
    if (s->sale_count > SALES_MAX) {
        printf("           and %zu more: see summary.json\n", s->sale_count - SALES_MAX);
    }
    for (size_t i = 0; i < s->margin_count && i < SALES_MAX; i++) {
        const struct farthing_margin *item = &s->margins[i];
        print_line(stdout, "  %-8s %-*s %*s %s  receives %*s, pays %*s", i == 0 ? "margin" : "",
                   party, item->party, margin, item->margin, item->currency, received,
                   item->received, paid, item->paid);
    }
    if (s->margin_count > SALES_MAX) {
        printf("           and %zu more: see summary.json\n", s->margin_count - SALES_MAX);
    }
}

static void print_json_member(const char *before, const char *name, const char *text)
{
    printf("%s\"%s\":", before, name);
    print_json_text(stdout, text);
}

static void print_json_sales(const struct farthing_summary *s)
{
    if (s->sale_count == 0) {
        return;
    }
    printf(",\"contracts\":[");
    for (size_t i = 0; i < s->sale_count; i++) {
        const struct farthing_sale *sale = &s->sales[i];
        print_json_member(i > 0 ? ",{" : "{", "contract", sale->contract);
        print_json_member(",", "seller", sale->seller);
        print_json_member(",", "buyer", sale->buyer);
        if (sale->source) {
            print_json_member(",", "source", sale->source);
        }
        print_json_member(",", "currency", sale->currency);
        print_json_member(",", "amount", sale->amount);
        print_json_member(",", "tax", sale->tax);
        fputc('}', stdout);
    }
    printf("],\"margins\":[");
    for (size_t i = 0; i < s->margin_count; i++) {
        const struct farthing_margin *item = &s->margins[i];
        print_json_member(i > 0 ? ",{" : "{", "party", item->party);
        print_json_member(",", "currency", item->currency);
        print_json_member(",", "received", item->received);
        print_json_member(",", "paid", item->paid);
        print_json_member(",", "margin", item->margin);
        fputc('}', stdout);
    }
    fputc(']', stdout);
}

static void print_listed(const char *what, uint64_t count, const char *out, const char *file)
{
    size_t size = strlen(out);
    while (size > 1 && out[size - 1] == '/') {
        size--;
    }
    if (count > 0) {
        printf("%s are in %.*s/%s\n", what, (int)size, out, file);
    }
}

/* Names come from events and may have anything in them: as JSON. */
static void print_names(const char *title, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("%*s%s", i == 0 ? 19 : 0, "", i == 0 ? title : ", ");
        print_json_text(stdout, names[i]);
    }
    fputs(count > 0 ? "\n" : "", stdout);
}

static void print_summary(const struct farthing_bill *bill, const struct farthing_summary *s)
{
    print_number("events accepted", s->events_accepted);
    print_number("duplicates", s->events_duplicate);
    print_number("conflicts", s->events_conflict);
    if (s->withdrawals > 0) {
        print_number("withdrawals", s->withdrawals);
    }
    print_number("refused", s->events_refused);
    print_counts("", s->refused, s->refused_count);
    print_number("billed (event and meter)", s->events_billed);
    print_counts("excluded", s->excluded, s->excluded_count);
    print_names("no account: ", s->no_account, s->no_account_count);
    print_names("unknown SKU: ", s->unknown_sku, s->unknown_sku_count);
    print_number("usage rows", s->usage_rows);
    print_number("bills", s->bills);
    print_number("lines", s->bill_lines);
    for (size_t i = 0; i < s->product_count; i++) {
        print_line(stdout, "  %-16s %-16s %21s %s", i == 0 ? "amount" : "", s->products[i].name,
                   s->products[i].amount, s->currency);
    }
    if (s->failed_count > 0) {
        char digits[32];
        printf("  %-33s %21s payer%s\n", "not billed", group_digits(s->failed_count, digits),
               s->failed_count == 1 ? "" : "s");
    }
    if (s->other_count == 0 || !is_nothing(s->total)) {
        printf("  %-33s %21s %s\n", "total", s->total ? s->total : "too large", s->currency);
    }
    for (size_t k = 0; k < s->other_count; k++) {
        const struct farthing_money *other = &s->others[k];
        for (size_t i = 0; i < other->product_count; i++) {
            print_line(stdout, "  %-16s %-16s %21s %s", i == 0 ? "amount" : "",
                       other->products[i].name, other->products[i].amount, other->currency);
        }
        printf("  %-33s %21s %s\n", "total", other->total ? other->total : "too large",
               other->currency);
    }
    print_sales(s);
    double all = seconds(s->total_ns);
    uint64_t events = s->events_accepted + s->events_duplicate + s->events_conflict;
    char rate[32];
    printf("%.2f s: %.2f loading, %.2f reading, %.2f accepting, %.2f billing; %s events a second; "
           "%zu MiB at most\n",
           all, seconds(s->load_ns), seconds(s->read_ns), seconds(s->accept_ns),
           seconds(s->bill_ns),
           group_digits((uint64_t)((double)events / (all > 0 ? all : 1)), rate),
           s->memory_peak_bytes >> 20);
    printf("written to %s\n", bill->out);
    print_listed("refused records", s->events_refused, bill->out, "dead_letters.ndjson");
    print_listed("conflicts", s->events_conflict, bill->out, "conflicts.ndjson");
}

static void print_json_counts(const char *name, const struct farthing_count *counts, size_t count,
                              bool amount)
{
    printf(",\"%s\":{", name);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        print_json_text(stdout, counts[i].name);
        fputc(':', stdout);
        if (amount) {
            print_json_text(stdout, counts[i].amount);
        } else {
            printf("%llu", (unsigned long long)counts[i].count);
        }
    }
    fputc('}', stdout);
}

static void print_json_names(const char *member, const char *const *names, size_t count)
{
    if (count == 0) {
        return;
    }
    printf(",\"%s\":[", member);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        print_json_text(stdout, names[i]);
    }
    fputc(']', stdout);
}

static void print_json(const struct farthing_bill *bill, const struct farthing_summary *s)
{
    printf("{\"accepted\":%llu,\"duplicates\":%llu,\"conflicts\":%llu,\"refused\":%llu,"
           "\"withdrawals\":%llu,\"billed\":%llu,\"usage_rows\":%llu,\"bills\":%llu,"
           "\"bill_lines\":%llu",
           (unsigned long long)s->events_accepted, (unsigned long long)s->events_duplicate,
           (unsigned long long)s->events_conflict, (unsigned long long)s->events_refused,
           (unsigned long long)s->withdrawals, (unsigned long long)s->events_billed,
           (unsigned long long)s->usage_rows, (unsigned long long)s->bills,
           (unsigned long long)s->bill_lines);
    print_json_counts("refused_by_reason", s->refused, s->refused_count, false);
    print_json_counts("excluded_by_reason", s->excluded, s->excluded_count, false);
    print_json_names("no_account", s->no_account, s->no_account_count);
    print_json_names("unknown_sku", s->unknown_sku, s->unknown_sku_count);
    print_json_counts("amount_by_product", s->products, s->product_count, true);
    print_json_sales(s);
    print_json_counts("failed", s->failed, s->failed_count, true);
    printf(",\"warnings\":[");
    for (size_t i = 0; i < s->warning_count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        print_json_text(stdout, s->warnings[i].name);
    }
    fputc(']', stdout);
    for (size_t i = 0; i < s->other_count; i++) {
        const struct farthing_money *other = &s->others[i];
        const char *of_total = other->total ? "\"" : "";
        printf("%s\"%s\":{\"total\":%s%s%s", i == 0 ? ",\"other_currencies\":{" : ",",
               other->currency, of_total, other->total ? other->total : "null", of_total);
        print_json_counts("amount_by_product", other->products, other->product_count, true);
        fputs(i + 1 < s->other_count ? "}" : "}}", stdout);
    }
    const char *quote = s->total ? "\"" : "";
    printf(",\"currency\":\"%s\",\"total\":%s%s%s,\"fingerprint\":\"%s\",\"out\":", s->currency,
           quote, s->total ? s->total : "null", quote, s->fingerprint);
    print_json_text(stdout, bill->out);
    printf(",\"seconds\":{\"load\":%.6f,\"read\":%.6f,\"accept\":%.6f,\"bill\":%.6f,"
           "\"total\":%.6f},\"cpu_seconds\":{\"load\":%.6f,\"read\":%.6f,\"accept\":%.6f,"
           "\"bill\":%.6f},\"memory_peak_bytes\":%zu,\"dedup_peak_bytes\":%zu}\n",
           seconds(s->load_ns), seconds(s->read_ns), seconds(s->accept_ns), seconds(s->bill_ns),
           seconds(s->total_ns), seconds(s->load_cpu_ns), seconds(s->read_cpu_ns),
           seconds(s->accept_cpu_ns), seconds(s->bill_cpu_ns), s->memory_peak_bytes,
           s->dedup_peak_bytes);
}

enum { OPT_OUT = OPT_FIRST_NO_INPUT, OPT_BILLED, OPT_FORCE };

static const struct option OPTIONS[] = {
    COMMON_OPTIONS,
    INPUT_OPTIONS,
    {"out", required_argument, NULL, OPT_OUT},
    {"billed", required_argument, NULL, OPT_BILLED},
    {"force", no_argument, NULL, OPT_FORCE},
    {0},
};

static int run_bill(const struct common *common, const struct farthing_bill *bill)
{
    struct farthing *farthing = new_engine(common);
    struct farthing_summary summary;
    enum farthing_status status = farthing_bill(farthing, bill, &summary);
    int code = (int)status;
    if (status != FARTHING_OK && status != FARTHING_PARTIAL) {
        code = report_failure(farthing, status);
    } else {
        end_progress();
        for (size_t i = 0; i < summary.warning_count; i++) {
            print_line(stderr, "warning: %s", summary.warnings[i].name);
        }
        print_failed("", "", &summary, bill->out);
        if (common->json) {
            print_json(bill, &summary);
        } else if (!common->quiet) {
            print_summary(bill, &summary);
        }
        code = finish_stdout(code);
    }
    farthing_free(farthing);
    return code;
}

static int take(int option, void *own)
{
    struct inputs *inputs = own;
    switch (option) {
    case OPT_OUT:
        return take_once(&cmd_bill, "--out", &inputs->bill.out);
    case OPT_BILLED:
        add_path(&inputs->billed, optarg);
        return GO_ON;
    case OPT_FORCE:
        inputs->bill.replace = 1;
        return GO_ON;
    default:
        return take_input(&cmd_bill, option, inputs);
    }
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct inputs inputs = {0};
    int code = read_options(&cmd_bill, argc, argv, OPTIONS, take, &inputs, &common);
    if (code == GO_ON) {
        const struct farthing_bill *bill = inputs_bill(&inputs);
        const char *missing = bill->catalog.count == 0  ? "--catalog"
                              : bill->events.count == 0 ? "--events"
                              : !bill->period           ? "--period"
                              : !bill->out              ? "--out"
                                                        : NULL;
        code =
            optind < argc
                ? usage_failure(
                      &cmd_bill,
                      "'%s' is not an option: files are given with --catalog, --accounts, --events",
                      argv[optind])
            : missing ? usage_failure(&cmd_bill, "%s is missing", missing)
                      : run_bill(&common, bill);
    }
    inputs_free(&inputs);
    return code;
}

const struct command cmd_bill = {
    .name = "bill",
    .summary = "turn a period's events into bills",
    .run = run,
    .help =
        "bill --catalog PATH --events PATH --period PERIOD --out FOLDER [options]\n\n"
        "Reads a catalog, accounts and events, and writes every payer's bill.\n\n"
        "  --catalog PATH    YAML files, or folders of them (repeatable)\n"
        "  --accounts FILE   CSV or NDJSON of accounts, memberships, overrides, commitments or\n"
        "                    settings (repeatable)\n"
        "  --events PATH     files or folders of CloudEvents (NDJSON or CSV; plain, gzip, zstd), "
        "or\n"
        "                    of segments; - for standard input (repeatable)\n"
        "  --period PERIOD   2026-10, 2026-10-05, 2026-W40, 2026-Q4, 2026, or FROM/TO\n"
        "  --out FOLDER      where the files go: bills.ndjson lines.csv usage.csv closing.ndjson\n"
        "                    exclusions.csv conflicts.ndjson dead_letters.ndjson summary.json "
        "run.json\n"
        "  --opening FILE    closing.ndjson of the period before; none: there was none before\n"
        "  --billed FOLDER   bills issued before: the bill is the difference (repeatable)\n"
        "  --format FORMAT   ndjson or csv, when the names of the events do not say it\n"
        "  --force           replace files of an earlier run in the output folder\n"
        "  --threads N       default: as many as there are processors\n"
        "  --memory SIZE     default 1GiB; what does not fit goes to temporary files\n"
        "  --tmp FOLDER      for temporary files; default $TMPDIR or /tmp\n"
        "  --json            print the summary as JSON\n"
        "  --quiet           print no summary and no progress; warnings are told\n\n"
        "Exit codes: 0 done; 1 catalog, accounts or a value is wrong, nothing was written; 2 the\n"
        "command line is wrong; 3 some payers could not be billed, the others are written; 4 disk\n"
        "or pipe; 5 the memory or another limit; 6 internal, nothing was written.\n\n"
        "examples:\n"
        "  farthing bill --catalog catalog/ --accounts accounts.csv \\\n"
        "      --events usage.ndjson.zst --period 2026-10 --out out/\n"
        "  zcat usage/*.gz | farthing bill --catalog catalog/ --events - --period 2026-10 --out "
        "o\n",
};
