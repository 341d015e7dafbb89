/* expr.h - the expression language of catalogs: CEL's syntax over one number type, the exact
 * decimal.
 *
 *     text --expr_compile(scope)--> struct expr --expr_eval(env)--> value
 *             at load: names become slots,             on the way of events and rows:
 *             types are checked, constants folded      no allocation but for joined texts
 *
 * The language is described for its users in doc/expressions.md.  What it promises here:
 *
 *   - Every name is resolved and every operation is typed when the expression loads.  Only a name
 *     of type EXPR_DYNAMIC (a member of an event's data) waits: what is done with it is checked
 *     when it runs.
 *   - An evaluation ends: there are no loops, and expr_cost is known before.
 *   - It depends on the expression, the slots and what env->call answers, and on nothing else.
 *   - It fails or gives a value, never a stand-in: a missing member, a wrong type, a zero divisor,
 *     a number out of range and a text that is no number are evaluation errors.  As in CEL, && and
 *     || absorb an error of one side when the other side decides, ?: evaluates one branch, and
 *     has(x) is the test for a missing x.
 *
 * A compiled expression lives in the arena it was compiled in, and so do the paths and texts it
 * holds; it does not point into the source.  It is never written after that, so threads share it.
 */
#ifndef FARTHING_EXPR_EXPR_H
#define FARTHING_EXPR_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/calendar.h"
#include "base/decimal.h"
#include "base/error.h"
#include "base/text.h"

/* ERR_LIMIT beyond; all are checked when the expression loads. */
enum {
    EXPR_SOURCE_MAX_BYTES = 4096,
    EXPR_DEPTH_MAX = 32,      /* brackets within brackets */
    EXPR_NODES_MAX = 512,     /* names, literals, operators and calls */
    EXPR_PATH_PARTS_MAX = 16, /* of a dotted name */
    EXPR_ARGS_MAX = 16,       /* of a call */
    EXPR_SLOTS_MAX = 16'384,  /* slot numbers are below it */
    EXPR_COST_MAX = 65'536,
    EXPR_TEXT_MAX_BYTES = 65'536, /* of a text that + has joined: an evaluation error beyond */
};

/* ---- values -------------------------------------------------------------------------------- */

/* MISSING is zero, so zeroed slots are all missing. */
enum expr_type {
    EXPR_MISSING, /* in a slot only: the member is not there; has() is false, any use is an error */
    EXPR_NULL,    /* JSON's null: equal to null and to nothing else */
    EXPR_BOOL,
    EXPR_NUMBER,
    EXPR_TEXT,
    EXPR_TIME,
    EXPR_DURATION,
    EXPR_OTHER, /* in a slot only: a list or an object of an event; has() is true, any use but == is
                   an error */
    EXPR_ERROR, /* a failed evaluation; in a slot: the member cannot be read, any use fails like
                   this */
    EXPR_DYNAMIC, /* of a name or an expression, never of a value: known when it runs */
};
/* For messages: "a number", "a text", ... */
const char *expr_type_phrase(enum expr_type type);

/* Why an evaluation failed; the reason an exclusion names. */
enum expr_fault {
    EXPR_FAULT_MISSING, /* a name that has no value */
    EXPR_FAULT_TYPE,    /* an operation that the values' types do not have */
    EXPR_FAULT_ZERO,    /* a division by zero, or a step that is not positive */
    EXPR_FAULT_RANGE,   /* a number, time or text beyond its range */
    EXPR_FAULT_VALUE, /* a text that is no number, time or duration; a member that cannot be read */
    EXPR_FAULT_CALL,  /* a function of the scope failed: no such key, no price */
};
const char *expr_fault_name(enum expr_fault fault); /* "EXPR_MISSING", "EXPR_TYPE", ... */

struct expr_failure {
    uint8_t fault;       /* enum expr_fault */
    uint8_t op;          /* private */
    uint8_t left, right; /* private */
    uint32_t offset;     /* of the operator, function or name, in bytes of the source */
    enum status status;
    const char *detail; /* what happened, without the place; NULL: expr_eval words it */
};

struct expr_value {
    enum expr_type type;
    union {
        bool truth;
        struct dec number; /* canonical */
        struct text text;
        instant time;
        int64_t duration_ns;
        struct expr_failure failure;
    };
};

static inline struct expr_value expr_bool(bool truth)
{
    return (struct expr_value){.type = EXPR_BOOL, .truth = truth};
}
static inline struct expr_value expr_number(struct dec number)
{
    return (struct expr_value){.type = EXPR_NUMBER, .number = number};
}
static inline struct expr_value expr_text(struct text text)
{
    return (struct expr_value){.type = EXPR_TEXT, .text = text};
}
static inline struct expr_value expr_time(instant time)
{
    return (struct expr_value){.type = EXPR_TIME, .time = time};
}

/* Same type and same value; numbers by value, texts by bytes. Values of a failure or OTHER are
 * never equal. */
bool expr_value_equal(const struct expr_value *a, const struct expr_value *b);
/* As a literal of the language: 1.5, "text", true, null, timestamp("2026-10-01T00:00:00Z"),
 * duration("90s"). */
void expr_value_format(const struct expr_value *value, struct buffer *out);

/* ---- scope: what an expression may name ------------------------------------------------------ */

struct expr_name {
    enum expr_type type; /* BOOL NUMBER TEXT TIME DURATION or DYNAMIC */
    uint32_t slot;       /* index into env->slots */
    const struct expr_value
        *constant;   /* not NULL: the name stands for this value, and slot is not used */
    bool is_untyped; /* of a TEXT: compared with a number it is the number that it holds */
    const char *const *choices; /* of a TEXT, NULL-terminated: all that it can be; NULL: anything */
};

/* A call of a function that is not built in. */
struct expr_call {
    struct text name;
    size_t arg_count;
    const enum expr_type *types; /* of each argument */
    const struct expr_value *const
        *constants; /* of each argument: its value, or NULL when known later only */
};

struct expr_function {
    enum expr_type type; /* of the result; DYNAMIC: checked when it runs */
    uint32_t slot; /* what env->call is told: the scope's own number for this call or this table */
    uint32_t cost; /* 0: 16, that of a table look-up */
    int fault_arg; /* when refused: the argument the error is about, -1 (as given) for the call
                      itself */
};

struct expr_scope {
    void *context;

    /* The path is canonical: parts joined by a point, "data.usage.seconds"; a part written in
     * brackets that is no identifier stays in brackets: data["x-y"].  False: no such name. */
    bool (*resolve)(void *context, struct text path, struct expr_name *out);

    /* lookup, series, in_calendar, usage, charges and the like; NULL: none.  OK; or ERR_NOT_FOUND
     * with the message left empty: no such function (the error then names the nearest one); or any
     * status with a message and perhaps a hint: these arguments will not do. */
    enum status (*call)(void *context, const struct expr_call *call, struct expr_function *out,
                        struct error *err);

    /* The zone named in time.hour("Europe/Berlin"); *zone is NULL for UTC.  NULL or false: no such
     * zone. */
    bool (*zone)(void *context, struct text name, const struct zone **zone);
    const struct zone *zone_default; /* when none is named; NULL is UTC */

    /* Is told that the name of a slot is compared with a text, which stands at that byte; NULL. */
    void (*compared)(void *context, uint32_t slot, struct text value, uint32_t offset);

    /* Only to say which name was meant when one is unknown. */
    const struct text *names;
    size_t name_count;
    const struct text *functions;
    size_t function_count;
    bool is_strict; /* names that are untyped are held beside numbers in comparisons alone */
};

/* ---- compiling ------------------------------------------------------------------------------ */

struct expr;

/* The message names no place: offset is the byte of the source (0-based; the source's size for its
 * end) that it is about. */
struct expr_error {
    size_t offset;
    struct error error;
};

/* wanted is the type the place needs, or EXPR_DYNAMIC for any.  A result that is dynamic where a
 * type is wanted is checked when it runs.  Errors: ERR_INPUT (syntax, types), ERR_NOT_FOUND (a
 * name, function or zone), ERR_LIMIT. A constant expression that fails, fails here. */
enum status expr_compile(struct arena *arena, struct text source, const struct expr_scope *scope,
                         enum expr_type wanted, const struct expr **out, struct expr_error *err);

enum expr_type expr_result_type(const struct expr *expr); /* DYNAMIC only when DYNAMIC was wanted */
bool expr_is_constant(const struct expr *expr, struct expr_value *value); /* value may be NULL */
bool expr_uses(const struct expr *expr, uint32_t slot);
/* The slots it may read and the function slots it may call, ascending, each once. */
const uint32_t *expr_slots(const struct expr *expr, size_t *count);
const uint32_t *expr_calls(const struct expr *expr, size_t *count);
/* The zones in whose time it asks for an hour, a weekday or a date; NULL: UTC. */
const struct zone *const *expr_zones(const struct expr *expr, size_t *count);
/* An upper bound of the work of one evaluation: about 1 for each operation, more for searches,
 * matches and calls. */
uint32_t expr_cost(const struct expr *expr);

/* ---- evaluating ----------------------------------------------------------------------------- */

struct expr_env {
    const struct expr_value *slots; /* by slot number; those in expr_slots must be set */
    void *context;
    /* A function of the scope; args are never MISSING or ERROR.  A text it returns must live as
     * long as scratch.  NULL when the scope has no functions. */
    enum status (*call)(void *context, uint32_t slot, const struct expr_value *args,
                        size_t arg_count, struct arena *scratch, struct expr_value *out,
                        struct error *err);
};

/* OK, and *out is a value of the wanted type; its text points into a slot, the expression or
 * scratch.  Else *out is EXPR_ERROR with the fault and its offset, and *err (when not NULL) says it
 * in words: ERR_OVERFLOW for numbers out of range, the call's own status when a call failed, else
 * ERR_INPUT.  env may be NULL for a constant; scratch is used for joined and changed texts and for
 * matching only. */
enum status expr_eval(const struct expr *expr, const struct expr_env *env, struct arena *scratch,
                      struct expr_value *out, struct error *err);

/* Writes the parsed form, with no more brackets than it needs; compiled again, it is the same
 * expression.  With env each name is followed by its value in braces, for explanations:
 * quantity{7200} / 3600. */
void expr_format(const struct expr *expr, const struct expr_env *env, struct buffer *out);

#endif
