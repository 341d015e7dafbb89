/* error.h - how a call says that it could not finish.
 *
 * Three kinds of trouble, three mechanisms.  A bug stops the process (assert, never compiled
 * out).  A call that cannot finish returns a status, one for each different reaction of the
 * caller, with the cause as one line of text.  A record that is refused is none of these: it
 * is a finding, kept as data, and the run goes on.
 */
#ifndef FARTHING_BASE_ERROR_H
#define FARTHING_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/* The order is the order of exit codes and of doc/exit_codes.md; append only. */
/* clang-format off */
enum [[nodiscard]] status {
    OK = 0,
    ERR_INPUT,      /* the input is wrong: the user must change it */
    ERR_NOT_FOUND,  /* a named thing does not exist */
    ERR_CONFLICT,   /* two inputs contradict each other */
    ERR_LIMIT,      /* a stated limit (memory, size, count) was reached */
    ERR_OVERFLOW,   /* a number left its range: an error, never a wrap */
    ERR_IO,         /* the outside failed: disk, pipe, permission */
    ERR_CORRUPT,    /* data that we wrote is not as we wrote it */
};
/* clang-format on */

struct error {
    enum status status;
    char message[512]; /* one line whatever was in it, factual, names the place */
    char hint[256];    /* what would be right; may be empty */
};

/* Fills *err (when not NULL) and returns status, so that failing is one statement. */
enum status fail(struct error *err, enum status status, const char *format, ...)
    __attribute__((cold, format(printf, 3, 4)));

/* Adds the hint to *err (when not NULL); returns err->status. */
enum status fail_hint(struct error *err, const char *format, ...)
    __attribute__((cold, format(printf, 2, 3)));

/* Fills *err (when not NULL): the limit of so many bytes (0: not known) is reached `during`, a
 * clause behind a space, or "".  The hint is to allow twice as much, since how much would do only a
 * run that has it can tell, and what comes behind that.  Returns ERR_LIMIT. */
enum status fail_memory(struct error *err, size_t limit_bytes, const char *during,
                        const char *hint) __attribute__((cold));

/* As fail() with ERR_LIMIT, of a place ("a path", "gzip"): the memory limit is reached there. */
enum status fail_memory_at(struct error *err, const char *format, ...)
    __attribute__((cold, format(printf, 2, 3)));

/* As vsnprintf, for a line that a person reads: what came in from outside may break no line, be cut
 * in no character, and neither hide nor turn around what stands behind it (Trojan Source,
 * CVE-2021-42574); what would is a question mark. */
void message_format(char *message, size_t size_bytes, const char *format, va_list arguments);
/* Bytes of the character that a text begins with, when it is one of those; else 0. */
size_t message_hidden_bytes(const char *text);

#define TRY(call)                        \
    do {                                 \
        enum status try_status = (call); \
        if (__builtin_expect(try_status != OK, 0)) { \
            return try_status;           \
        }                                \
    } while (0)

#endif
