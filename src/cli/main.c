/* main.c - the table of commands and what they share. */
#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/cli.h"

static const struct command *const COMMANDS[] = {&cmd_bill, &cmd_correct, &cmd_diff,   &cmd_check,
                                                 &cmd_show, &cmd_explain, &cmd_import, &cmd_export,
                                                 &cmd_test, &cmd_generate};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof *COMMANDS };

static void print_usage(FILE *out)
{
    fprintf(out,
            "farthing %s: usage events to bills that are exact to the last digit\n\n"
            "usage: farthing COMMAND [options]\n\ncommands:\n",
            FARTHING_VERSION);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        fprintf(out, "  %-10s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
    }
    fprintf(out, "\n`farthing COMMAND --help` shows options and examples. Exit codes: 0 done, "
                 "1 wrong input,\n2 wrong command line, 3 partly done, 4 disk or pipe, 5 limit "
                 "reached, 6 internal.\n\n"
                 "examples:\n"
                 "  farthing bill --catalog catalog/ --accounts accounts.csv \\\n"
                 "      --events usage.ndjson --period 2026-10 --out out/\n"
                 "  farthing show out/\n");
}

/* ---- what was meant -------------------------------------------------------------------------- */

static int fail_command(const char *word)
{
    struct text names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++) {
        names[i] = text_of(COMMANDS[i]->name);
    }
    struct text nearest = text_nearest(text_of(word), names, COMMAND_COUNT);
    fprintf(stderr, "farthing: no command '%s'\nhint: ", word);
    if (nearest.size > 0) {
        fprintf(stderr, "did you mean %.*s? ", TEXT_ARG(nearest));
    }
    fprintf(stderr, "`farthing --help` lists the commands\n");
    return FARTHING_USAGE;
}

/* Getopt has told what is wrong with the word; a value may stand behind its name. */
static int fail_option(const struct command *command, const char *word,
                       const struct option *options)
{
    enum { OPTIONS_MAX = 64 };
    struct text names[OPTIONS_MAX], name = {word, strcspn(word, "=")}, nearest = {"", 0};
    size_t count = 0;
    for (; options->name; options++) {
        assert(count < OPTIONS_MAX);
        names[count++] = text_of(options->name);
    }
    if (strncmp(word, "--", 2) == 0) {
        name = (struct text){name.at + 2, name.size - 2};
        nearest = text_nearest(name, names, count);
    }
    fprintf(stderr, "hint: ");
    if (nearest.size > 0 && !text_equal(nearest, name)) {
        fprintf(stderr, "did you mean --%.*s? ", TEXT_ARG(nearest));
    }
    fprintf(stderr, "see `farthing %s --help`\n", command->name);
    return FARTHING_USAGE;
}

/* ---- shared by the commands ------------------------------------------------------------------ */

bool parse_number(const char *text, uint64_t *number)
{
    if (*text < '0' || *text > '9') {
        return false;
    }
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *number = value;
    return errno == 0 && *end == '\0';
}

bool parse_size(const char *text, uint64_t *size)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } UNITS[] = {{"", 1},           {"k", 1000},       {"M", 1000000},    {"G", 1000000000},
                 {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}, {"B", 1}};
    if (*text < '0' || *text > '9') {
        return false;
    }
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    for (size_t i = 0; errno == 0 && i < sizeof UNITS / sizeof *UNITS; i++) {
        if (strcmp(end, UNITS[i].name) == 0) {
            return !__builtin_mul_overflow(value, UNITS[i].factor, size);
        }
    }
    return false;
}

int usage_failure(const struct command *command, const char *format, ...)
{
    fprintf(stderr, "farthing %s: ", command->name);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nhint: see `farthing %s --help`\n", command->name);
    return FARTHING_USAGE;
}

int range_failure(const struct command *command, const char *option, const char *range)
{
    return usage_failure(command, "%s takes %s, not '%s'", option, range, optarg);
}

static bool can_write_into(const char *folder)
{
    struct stat info;
    return stat(folder, &info) == 0 && S_ISDIR(info.st_mode) && access(folder, W_OK | X_OK) == 0;
}

/* GO_ON, or an exit code. */
static int take_common(const struct command *command, int option, struct common *common)
{
    uint64_t number;
    switch (option) {
    case OPT_HELP:
        printf("usage: farthing %s", command->help);
        return finish_stdout(0);
    case OPT_THREADS:
        if (!parse_number(optarg, &number) || number == 0 || number > 64) {
            return range_failure(command, "--threads", "a number from 1 to 64");
        }
        common->config.threads = (int)number;
        break;
    case OPT_MEMORY:
        if (!parse_size(optarg, &number) || number < 16u << 20) {
            return range_failure(command, "--memory", "a size of at least 16MiB such as 512MiB");
        }
        common->config.memory_bytes = number;
        break;
    case OPT_TMP:
        if (!can_write_into(optarg)) {
            return range_failure(command, "--tmp", "a folder that can be written to");
        }
        common->config.temporary_folder = optarg;
        break;
    case OPT_JSON:
        common->json = true;
        break;
    case OPT_QUIET:
        common->quiet = true;
        break;
    default:
        break;
    }
    return GO_ON;
}

int take_flag(int option, void *flag)
{
    (void)option;
    *(bool *)flag = true;
    return GO_ON;
}

static const char *name_of(const struct option *options, int value)
{
    while (options->name && options->val != value) {
        options++;
    }
    return options->name;
}

/* Nothing has an empty name here: more often than not a variable of the shell was not set. */
static int fail_empty(const struct command *command, const char *option)
{
    return usage_failure(command, "%s%s is empty: is a variable of the shell not set?",
                         option ? "the value of --" : "an argument", option ? option : "");
}

int read_options(const struct command *command, int argc, char **argv, const struct option *options,
                 int (*take)(int option, void *own), void *own, struct common *common)
{
    char letters[16] = "h";
    size_t count = 1;
    for (const struct option *option = options; option->name; option++) {
        if (option->val < OPT_HELP) {
            assert(count + 1 < sizeof letters);
            letters[count++] = (char)option->val;
        }
    }
    for (int option; (option = getopt_long(argc, argv, letters, options, NULL)) != -1;) {
        if (option == '?') {
            return fail_option(command, argv[optind - 1], options);
        }
        if (optarg && *optarg == '\0') {
            return fail_empty(command, name_of(options, option));
        }
        option = option == 'h' ? OPT_HELP : option;
        bool is_common = option >= OPT_HELP && option < OPT_FIRST_OWN;
        int code = is_common ? take_common(command, option, common) : take(option, own);
        if (code != GO_ON) {
            return code;
        }
    }
    for (int i = optind; i < argc; i++) {
        if (*argv[i] == '\0') {
            return fail_empty(command, NULL);
        }
    }
    return GO_ON;
}

int take_once(const struct command *command, const char *option, const char **value)
{
    if (*value) {
        return usage_failure(command, "%s is given twice: %s, %s", option, *value, optarg);
    }
    *value = optarg;
    return GO_ON;
}

int take_input(const struct command *command, int option, struct inputs *inputs)
{
    switch (option) {
    case OPT_CATALOG:
        add_path(&inputs->catalog, optarg);
        break;
    case OPT_ACCOUNTS:
        add_path(&inputs->accounts, optarg);
        break;
    case OPT_EVENTS:
        add_path(&inputs->events, optarg);
        break;
    case OPT_PERIOD:
        return take_once(command, "--period", &inputs->bill.period);
    case OPT_OPENING:
        return take_once(command, "--opening", &inputs->bill.opening);
    case OPT_FORMAT:
        if (strcmp(optarg, "csv") != 0 && strcmp(optarg, "ndjson") != 0) {
            return usage_failure(command, "--format takes ndjson or csv, not '%s'", optarg);
        }
        inputs->bill.format = strcmp(optarg, "csv") == 0 ? FARTHING_CSV : FARTHING_NDJSON;
        break;
    default:
        break;
    }
    return GO_ON;
}

const struct farthing_bill *inputs_bill(struct inputs *inputs)
{
    inputs->bill.catalog = paths_of(&inputs->catalog);
    inputs->bill.accounts = paths_of(&inputs->accounts);
    inputs->bill.events = paths_of(&inputs->events);
    inputs->bill.billed = paths_of(&inputs->billed);
    return &inputs->bill;
}

void inputs_free(struct inputs *inputs)
{
    free(inputs->catalog.items);
    free(inputs->accounts.items);
    free(inputs->events.items);
    free(inputs->billed.items);
}

void add_path(struct path_list *list, const char *path)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items) {
        fprintf(stderr, "farthing: no memory\n");
        exit(FARTHING_LIMIT);
    }
    list->items = items;
    list->items[list->count++] = path;
}

struct farthing_paths paths_of(const struct path_list *list)
{
    return (struct farthing_paths){list->items, list->count};
}

/* A bar on a terminal, redrawn in place; nothing anywhere else. */
static bool progress_shown;

static void show_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)context;
    enum { WIDTH = 30 };
    unsigned filled = total > 0 ? (unsigned)((done > total ? total : done) * WIDTH / total) : 0;
    char bar[WIDTH + 1];
    memset(bar, ' ', WIDTH);
    memset(bar, '#', filled);
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r%-18s [%s] %3u%%", phase, bar, filled * 100 / WIDTH);
    fflush(stderr);
    progress_shown = true;
}

void end_progress(void)
{
    if (progress_shown) {
        fprintf(stderr, "\r\033[K");
        progress_shown = false;
    }
}

struct farthing *new_engine(const struct common *common)
{
    struct farthing_config config = common->config;
    if (!common->quiet && isatty(STDERR_FILENO)) {
        config.progress = show_progress;
    }
    struct farthing *farthing = farthing_new(&config);
    if (!farthing) {
        fprintf(stderr, "farthing: no memory\n");
        exit(FARTHING_LIMIT);
    }
    return farthing;
}

int report_failure(struct farthing *farthing, enum farthing_status status)
{
    end_progress();
    fprintf(stderr, "farthing: %s\n", farthing_message(farthing));
    if (farthing_hint(farthing)[0]) {
        fprintf(stderr, "hint: %s\n", farthing_hint(farthing));
    }
    return (int)status;
}

/* Bytes of the UTF-8 character there; 0: it is none. */
static size_t character_size(const unsigned char *at)
{
    const unsigned char first = at[0];
    size_t size = first < 0x80                    ? 1
                  : first >= 0xC2 && first < 0xE0 ? 2
                  : first >= 0xE0 && first < 0xF0 ? 3
                  : first >= 0xF0 && first < 0xF5 ? 4
                                                  : 0;
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool is_none = (first == 0xE0 && at[1] < 0xA0) || (first == 0xED && at[1] >= 0xA0) ||
                   (first == 0xF0 && at[1] < 0x90) || (first == 0xF4 && at[1] >= 0x90);
    return is_none ? 0 : size;
}

/* A path may have any bytes; JSON has only UTF-8, and U+FFFD for what is none. */
void print_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    size_t size;
    for (const unsigned char *at = (const unsigned char *)text; *at; at += size > 0 ? size : 1) {
        size = character_size(at);
        if (*at == '"' || *at == '\\') {
            fprintf(out, "\\%c", *at);
        } else if (*at < 0x20) {
            fprintf(out, "\\u%04x", *at);
        } else if (size == 0) {
            fputs("\\ufffd", out);
        } else if (size > 1 &&
                   message_hidden_bytes((const char *)at) > 0) { /* two or three bytes */
            unsigned point = size == 2
                                 ? (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu)
                                 : (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
            fprintf(out, "\\u%04x", point);
        } else {
            fwrite(at, 1, size, out);
        }
    }
    fputc('"', out);
}

void print_line(FILE *out, const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    message_format(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(out, "%s\n", line);
}

void print_failed(const char *period, const char *colon, const struct farthing_summary *summary,
                  const char *out)
{
    enum { SHOWN_MAX = 10 };
    size_t count = summary->failed_count;
    size_t shown = count <= SHOWN_MAX + 1 ? count : SHOWN_MAX; /* one more needs no line more */
    for (size_t i = 0; i < shown; i++) {
        print_line(stderr, "not billed: %s%s%s: %s", period, colon, summary->failed[i].name,
                   summary->failed[i].amount);
    }
    if (shown < count) {
        char digits[32];
        fprintf(stderr, "... and %s more%s%s\n", group_digits(count - shown, digits),
                out ? ": summary.json in " : "", out ? out : "");
    }
}

bool is_nothing(const char *total)
{
    return total && total[strspn(total, "0.")] == '\0';
}

const char *group_digits(uint64_t number, char out[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    int to = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            out[to++] = ',';
        }
        out[to++] = digits[i];
    }
    out[to] = '\0';
    return out;
}

static int stdout_errno; /* of the write that failed */

int write_stdout(void *context, const char *bytes, size_t size)
{
    (void)context;
    if (fwrite(bytes, 1, size, stdout) == size) {
        return 0;
    }
    stdout_errno = errno;
    return 1;
}

bool stdout_has_failed(void)
{
    return stdout_errno != 0;
}

int finish_stdout(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        int cause = stdout_errno ? stdout_errno : errno;
        if (cause != EPIPE) { /* whoever read it has seen enough: `| head` */
            fprintf(stderr, "farthing: standard output: %s\n", strerror(cause));
        }
        return FARTHING_IO;
    }
    return code;
}

int finish_written(struct farthing *farthing, enum farthing_status status)
{
    int code = finish_stdout(0);
    if (status != FARTHING_OK && code == 0) {
        code = report_failure(farthing, status);
    }
    farthing_free(farthing);
    return code;
}

/* What is freed in one phase of a run is used in the next, and the first touch of a page costs ten
 * times what using it again does: the allocator keeps it, and takes more in large steps, from one
 * heap.  Near the limit of a run it is asked back (engine/env_posix.c).  A program that uses the
 * library decides that for itself. */
static void keep_memory(void)
{
    enum { KEEP_BYTES = 1 << 30, STEP_BYTES = 16 << 20, MAPPED_MIN_BYTES = 4 << 20 };
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    (void)mallopt(M_TOP_PAD, STEP_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_MIN_BYTES);
}

int main(int argc, char **argv)
{
    keep_memory();
    /* A reader that left and a file size limit are errors of a write, not deaths. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        print_usage(stderr);
        return FARTHING_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        if (argc == 2) {
            print_usage(stdout);
            return finish_stdout(0);
        }
        argv[1] = argv[2];
        argv[2] = (char *)(uintptr_t) "--help";
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("farthing %s, rules %s\n", FARTHING_VERSION, FARTHING_RULES);
        return finish_stdout(0);
    }
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], COMMANDS[i]->name) == 0) {
            /* getopt begins its messages with argv[0]. */
            static char name[32];
            (void)snprintf(name, sizeof name, "farthing %s", COMMANDS[i]->name);
            argv[1] = name;
            return COMMANDS[i]->run(argc - 1, argv + 1);
        }
    }
    return fail_command(argv[1]);
}
