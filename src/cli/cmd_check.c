/* cmd_check.c - farthing check: all that is wrong with a catalog and its accounts, at once. */
#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "cli/cli.h"

static int is_character(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

/* How far a terminal goes on with the character: ideographs take two cells, accents that are put
 * onto what stands before them none. */
static int count_cells(const char *character)
{
    wchar_t wide;
    mbstate_t state = {0};
    size_t size = mbrtowc(&wide, character, strlen(character), &state);
    int cells = size == 0 || size > 4 ? 1 : wcwidth(wide);
    return cells < 0 ? 1 : cells;
}

/* The line, or what of it is around the column, and a caret below the character that is meant. */
static void print_source(const char *source, unsigned column)
{
    enum { BEFORE = 70, SHOWN = 100 };
    unsigned first = column > BEFORE ? column - BEFORE : 1, at = 0;
    printf("    ");
    for (const char *byte = source; *byte; byte++) {
        at += (unsigned)is_character(*byte);
        if (at >= first && at < first + SHOWN) {
            putchar(*byte);
        }
    }
    printf("\n    ");
    locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = unicode ? uselocale(unicode) : (locale_t)0;
    at = 0;
    for (const char *byte = source; *byte && at + 1 < column; byte++) {
        at += (unsigned)is_character(*byte);
        if (is_character(*byte) && at >= first && *byte == '\t') {
            putchar('\t');
        } else if (is_character(*byte) && at >= first) {
            printf("%*s", count_cells(byte), "");
        }
    }
    if (unicode) {
        (void)uselocale(before);
        freelocale(unicode);
    }
    printf("^\n");
}

static void print_complaint(const struct farthing_complaint *item)
{
    printf("%s", item->file);
    if (item->line > 0) {
        printf(":%u", item->line);
    }
    if (item->column > 0) {
        printf(":%u", item->column);
    }
    printf(": %s%s: %s\n", item->is_warning ? "warning: " : "", item->code, item->message);
    if (item->source[0]) {
        print_source(item->source, item->column);
    }
    if (item->hint[0]) {
        printf("  hint: %s\n", item->hint);
    }
}

static void print_json(const struct farthing_check *check)
{
    printf("{\"errors\":%zu,\"complaints\":[", check->error_count);
    for (size_t i = 0; i < check->complaint_count; i++) {
        const struct farthing_complaint *item = &check->complaints[i];
        printf("%s{\"file\":", i > 0 ? "," : "");
        print_json_text(stdout, item->file);
        printf(",\"line\":%u,\"column\":%u,\"severity\":\"%s\",\"code\":", item->line, item->column,
               item->is_warning ? "warning" : "error");
        print_json_text(stdout, item->code);
        printf(",\"message\":");
        print_json_text(stdout, item->message);
        printf(",\"hint\":");
        print_json_text(stdout, item->hint);
        printf("}");
    }
    printf("],\"digest\":\"%s\"}\n", check->digest);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void print_table(const struct farthing_check *check)
{
    for (size_t i = 0; i < check->complaint_count; i++) {
        print_complaint(&check->complaints[i]);
    }
    if (check->error_count > 0) {
        printf("%zu error%s\n", check->error_count, check->error_count == 1 ? "" : "s");
        return;
    }
    printf("ok: %u meter%s, %u SKU%s, %u price%s, %u plan%s, %u contract%s; ", check->meters,
           plural(check->meters), check->skus, plural(check->skus), check->prices,
           plural(check->prices), check->plans, plural(check->plans), check->contracts,
           plural(check->contracts));
    printf("%llu account%s, %llu organization%s, %llu with overrides",
           (unsigned long long)check->accounts, plural(check->accounts),
           (unsigned long long)check->organizations, plural(check->organizations),
           (unsigned long long)check->overrides);
    if (check->commitments > 0) {
        printf(", %llu commitment%s", (unsigned long long)check->commitments,
               plural(check->commitments));
    }
    if (check->settings > 0) {
        printf(", %llu setting%s", (unsigned long long)check->settings, plural(check->settings));
    }
    printf("\ncatalog %s\n", check->digest);
}

static const struct option OPTIONS[] = {COMMON_OPTIONS,
                                        {"catalog", required_argument, NULL, OPT_CATALOG},
                                        {"accounts", required_argument, NULL, OPT_ACCOUNTS},
                                        {0}};

static int take(int option, void *own)
{
    return take_input(&cmd_check, option, own);
}

static int check(const struct common *common, const struct farthing_bill *inputs)
{
    struct farthing *farthing = new_engine(common);
    struct farthing_check check;
    enum farthing_status status =
        farthing_check(farthing, inputs->catalog, inputs->accounts, &check);
    int code = (int)status;
    if (status != FARTHING_OK && check.error_count == 0) {
        code = report_failure(farthing, status);
    } else {
        if (common->json) {
            print_json(&check);
        } else {
            print_table(&check);
        }
        code = finish_stdout(code);
    }
    farthing_free(farthing);
    return code;
}

static int run(int argc, char **argv)
{
    struct common common = {0};
    struct inputs inputs = {0};
    int code = read_options(&cmd_check, argc, argv, OPTIONS, take, &inputs, &common);
    if (code == GO_ON) {
        for (int i = optind; i < argc; i++) {
            add_path(&inputs.catalog, argv[i]);
        }
        code = inputs.catalog.count == 0 ? usage_failure(&cmd_check, "no catalog given")
                                         : check(&common, inputs_bill(&inputs));
    }
    inputs_free(&inputs);
    return code;
}

const struct command cmd_check = {
    .name = "check",
    .summary = "tell all that is wrong with a catalog",
    .run = run,
    .help =
        "check CATALOG... [--accounts FILE]... [--json]\n\n"
        "Loads YAML files or folders of them, and records of accounts, and tells every error with\n"
        "its file, line, column, and what would be right.\n\n"
        "  --catalog PATH    the same as CATALOG, as other commands have it (repeatable)\n"
        "  --accounts FILE   CSV or NDJSON of accounts, memberships, overrides, commitments or\n"
        "                    settings (repeatable)\n"
        "  --json            print the findings as JSON\n\n"
        "Exit codes: 0 it loads (there may be warnings); 1 it does not; 2 the command line is "
        "wrong;\n4 a file cannot be read; 5 a limit.\n\n"
        "example:\n  farthing check catalog/ --accounts accounts.csv\n",
};
