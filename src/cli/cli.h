/* cli.h - the command line: a client of farthing.h like any other.
 *
 * There are 3 things to do to add a command: write src/cli/cmd_NAME.c with its function and its
 * help, declare it here, and add it to the table in main.c.  Then write doc/NAME.md, whose examples
 * are run by the tests.
 */
#ifndef FARTHING_CLI_CLI_H
#define FARTHING_CLI_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "farthing.h"

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
    const char *help;
};

extern const struct command cmd_bill, cmd_check, cmd_correct, cmd_diff, cmd_explain, cmd_export,
    cmd_generate, cmd_import, cmd_show, cmd_test;

/* Options that every command has; values of getopt_long. */
enum { OPT_HELP = 256, OPT_THREADS, OPT_MEMORY, OPT_TMP, OPT_JSON, OPT_QUIET, OPT_FIRST_OWN };
#define COMMON_OPTIONS                                                                        \
    {"help", no_argument, NULL, OPT_HELP}, {"threads", required_argument, NULL, OPT_THREADS}, \
        {"memory", required_argument, NULL, OPT_MEMORY},                                      \
        {"tmp", required_argument, NULL, OPT_TMP}, {"json", no_argument, NULL, OPT_JSON},     \
    {                                                                                         \
        "quiet", no_argument, NULL, OPT_QUIET                                                 \
    }

struct common {
    struct farthing_config config;
    bool json, quiet;
};

enum { GO_ON = -1 }; /* instead of an exit code */

/* Reads all options: common ones into *common, the others one by one to take, which returns GO_ON
 * or the exit code of a bad value.  One whose val is a letter may be given as that letter, too.
 * Returns GO_ON, with optind at the first argument, or an exit code to leave with: help was
 * printed, or a usage failure told. */
int read_options(const struct command *command, int argc, char **argv, const struct option *options,
                 int (*take)(int option, void *own), void *own, struct common *common);
/* The take of a command whose one option of its own sets a bool. */
int take_flag(int option, void *flag);

/* One line with names in it, which may be anybody's: nothing in it hides or turns around what
 * stands beside it (base/error.h). */
void print_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Names on standard error who was not billed and why, or the first of them, and where all are. */
void print_failed(const char *period, const char *colon, const struct farthing_summary *summary,
                  const char *out);

/* Whether a total comes to nothing: of bills that are all in other currencies, it is not told. */
bool is_nothing(const char *total);

/* A list of paths that grows by one at each --option. */
struct path_list {
    const char **items;
    size_t count;
};
void add_path(struct path_list *list, const char *path);
struct farthing_paths paths_of(const struct path_list *list);

/* What a bill is made of, as bill and explain are told. */
struct inputs {
    struct path_list catalog, accounts, events, billed;
    struct farthing_bill bill; /* its paths after inputs_bill */
};
enum {
    OPT_CATALOG = OPT_FIRST_OWN,
    OPT_ACCOUNTS,
    OPT_EVENTS,
    OPT_PERIOD,
    OPT_OPENING,
    OPT_FORMAT,
    OPT_FIRST_NO_INPUT
};
#define INPUT_OPTIONS                                        \
    {"catalog", required_argument, NULL, OPT_CATALOG},       \
        {"accounts", required_argument, NULL, OPT_ACCOUNTS}, \
        {"events", required_argument, NULL, OPT_EVENTS},     \
        {"period", required_argument, NULL, OPT_PERIOD},     \
        {"opening", required_argument, NULL, OPT_OPENING},   \
    {                                                        \
        "format", required_argument, NULL, OPT_FORMAT        \
    }
/* Takes the value of an option that may stand once; GO_ON, or the exit code. */
int take_once(const struct command *command, const char *option, const char **value);
/* Takes one of them; GO_ON, or the exit code of a bad value. */
int take_input(const struct command *command, int option, struct inputs *inputs);
const struct farthing_bill *inputs_bill(struct inputs *inputs);
void inputs_free(struct inputs *inputs);

/* An engine with progress on a terminal. Ends the program when there is no memory. */
struct farthing *new_engine(const struct common *common);
/* Prints message and hint of the last call on standard error; returns the exit code. */
int report_failure(struct farthing *farthing, enum farthing_status status);
int usage_failure(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A number or a size that is out of its range, as text; returns the exit code. */
int range_failure(const struct command *command, const char *option, const char *range);

/* Digits, with an optional k, M, G (thousands) or KiB, MiB, GiB; false when it is no size. */
bool parse_size(const char *text, uint64_t *size);
bool parse_number(const char *text, uint64_t *number);

void print_json_text(FILE *out, const char *text);
/* Tells what import or export has done or why it failed, frees the engine, and returns the exit
 * code. out NULL: the events went to standard output, which has nothing else then. */
int finish_converted(const struct common *common, struct farthing *farthing,
                     enum farthing_status status, const struct farthing_converted *converted,
                     const char *out);
/* "1,234,567". */
const char *group_digits(uint64_t number, char out[32]);
int write_stdout(void *context, const char *bytes, size_t size);
bool stdout_has_failed(void); /* write_stdout could not */
/* Ends the line of the progress bar, if there is one. */
void end_progress(void);
/* Standard output could not be written: exit code 4, and a word on why unless its reader left. */
int finish_stdout(int code);
/* Of a call that wrote to standard output: tells why that or the call itself failed, or was not all
 * that it should be, frees the engine, and returns the exit code. */
int finish_written(struct farthing *farthing, enum farthing_status status);

#endif
