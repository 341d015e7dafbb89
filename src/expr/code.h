/* code.h - private to src/expr: the tree an expression is parsed into, and the code that runs.
 *
 *     text --parse.c--> nodes --check.c--> code --eval.c--> value
 *
 * compile.h has how check.c, functions.c and emit.c share the second arrow.
 *
 * Nodes are kept after compiling, for expr_format only.
 *
 * Code is three-address code over three arrays of values, so that a comparison of a slot with a
 * literal is one instruction that copies nothing:
 *
 *     operand = kind << 14 | index      constants[], slots[] (the caller's), temps[] (on the stack)
 *
 * An error is a value like any other: an instruction with a failed operand has that failure as its
 * result, so absorbing one in && and || is choosing the other operand.
 */
#ifndef FARTHING_EXPR_CODE_H
#define FARTHING_EXPR_CODE_H

#include "expr/expr.h"

struct regex;

/* ---- nodes ---------------------------------------------------------------------------------- */

enum op {
    /* Operators of the syntax, in the order of the table in parse.c. */
    OP_OR,
    OP_AND,
    OP_EQUAL,
    OP_UNEQUAL,
    OP_LESS, /* these four with more: null is neither less nor greater */
    OP_LESS_EQUAL,
    OP_GREATER,
    OP_GREATER_EQUAL,
    OP_IN,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_REMAINDER,
    OP_NOT,
    OP_NEGATE,
    /* Functions. */
    OP_HAS,
    OP_SIZE,
    OP_STARTS_WITH,
    OP_ENDS_WITH,
    OP_CONTAINS,
    OP_MATCHES, /* more: index of the pattern */
    OP_LOWER,
    OP_UPPER,
    OP_MIN,
    OP_MAX,
    OP_ABS,
    OP_CEIL,
    OP_FLOOR,
    OP_ROUND, /* more: digits | mode << 8 */
    OP_ROUND_UP,
    OP_HOUR, /* more: index of the zone */
    OP_WEEKDAY,
    OP_DATE,
    OP_TIMESTAMP,
    OP_DURATION,
    OP_SECONDS,
    OP_SECONDS_BETWEEN,
    OP_NUMBER,
    OP_STRING,
    OP_CALL, /* a: the first argument's temp, more: index of the call */
    /* What only the code has. */
    OP_MOVE,
    OP_IN_CONSTANTS, /* b: the first constant, more: how many */
    OP_EITHER,       /* a or b, an error wins: "in" over elements that are computed */
    OP_GUARD, /* a, but b's error when it has failed (a's, if more and a has too): for elements of a
                 list */
    OP_JUMP,  /* more: where to */
    OP_SKIP_TRUE, /* if a is true: the result is a, jump */
    OP_SKIP_FALSE,
    OP_CHOOSE, /* a true: go on; false: jump; else the result is a failure, and the OP_JUMP before
                  more is next */
    OP_CHECK,  /* a, if its type is more */
    OP_HELD, /* the number that the text a holds; null, which no number equals, if it holds none */
    OP_RETURN,
};

enum node_kind {
    NODE_LITERAL, /* value */
    NODE_NAME,    /* text: the path */
    NODE_UNARY,   /* op, 1 child */
    NODE_BINARY,  /* op, 2 children */
    NODE_CHOICE,  /* 3 children */
    NODE_LIST,    /* children */
    NODE_CALL,    /* text: the function; children; is_method: the first stood before the point */
};

enum { NODE_NONE = 0xFFFF };

struct node {
    uint8_t kind;
    uint8_t op;
    bool is_method;
    bool is_plain; /* NODE_NAME: one identifier, so it may be a variable of exists() or all() */
    uint16_t offset;
    uint16_t first; /* child */
    uint16_t next;  /* sibling */
    uint16_t child_count;
    union {
        struct text text;
        const struct expr_value *value;
    };
};

struct tree {
    struct node *nodes;
    uint16_t count;
    uint16_t root;
};

/* "+", "&&", "in", ...; or the function's name. */
const char *op_name(enum op op);
int op_level(enum op op); /* 1 for || up to 5 for *; 6 for the unary ones */

/* Sets *err and returns its status. */
enum status expr_fail(struct expr_error *err, size_t offset, enum status status, const char *format,
                      ...) __attribute__((format(printf, 4, 5)));

enum status expr_parse(struct arena *arena, struct text source, struct tree *tree,
                       struct expr_error *err);

/* ---- code ----------------------------------------------------------------------------------- */

enum operand_kind { OPERAND_CONSTANT, OPERAND_SLOT, OPERAND_TEMP };

enum {
    OPERAND_SHIFT = 14,
    OPERAND_MASK = (1 << OPERAND_SHIFT) - 1,
    TEMPS_SMALL = 16,
    TEMPS_MAX = 256,
    CODE_MAX = 8192,
};

struct code {
    uint8_t op;
    uint16_t to; /* a temp */
    uint16_t a, b;
    uint16_t more;
    uint16_t offset;
};

/* A name that is read from a slot, and where it stands first. */
struct name_use {
    uint32_t slot;
    uint32_t offset;
    struct text path;
};

struct call_use {
    uint32_t slot;
    uint32_t arg_count;
};

/* What all of the code is, where there is a shorter way to run it. */
enum shape {
    SHAPE_ANY,
    SHAPE_SUM,   /* + - * or /, of names and constants */
    SHAPE_TESTS, /* comparisons, "in" and has() of names and constants, joined by && or by || */
};

struct expr {
    const struct code *code;
    const struct expr_value *constants; /* at least one */
    uint16_t code_count;
    uint16_t temp_count;
    enum shape shape;
    const struct dec_divisor *divisor; /* of SHAPE_SUM that divides by a constant; else NULL */
    uint32_t cost;
    enum expr_type type;
    const struct zone **zones;
    size_t zone_count;
    const struct regex **patterns;
    const struct name_use *names;
    const struct call_use *calls;
    size_t name_count, call_count;
    const uint32_t *slots, *call_slots;
    size_t slot_count, call_slot_count;
    struct tree tree;
};

/* Runs the code; the result is a value or EXPR_ERROR. emit.c uses it to fold constants. */
void expr_run(const struct expr *expr, const struct expr_env *env, struct arena *scratch,
              struct expr_value *out);
/* The failure's message, without its place. */
void expr_describe(const struct expr *expr, const struct expr_value *failed, struct error *err);

/* The code point at at[0], and its size in bytes; -1, of 1 byte, when the bytes are no UTF-8. */
static inline int32_t utf8_decode(const char *at, const char *end, int *size_bytes)
{
    const unsigned char *byte = (const unsigned char *)at;
    *size_bytes = 1;
    if (byte[0] < 0x80) {
        return byte[0];
    }
    int size = byte[0] >= 0xF0 ? 4 : byte[0] >= 0xE0 ? 3 : 2;
    if (byte[0] < 0xC2 || byte[0] > 0xF4 || end - at < size) {
        return -1;
    }
    int32_t point = byte[0] & (0xFF >> (size + 1));
    for (int i = 1; i < size; i++) {
        if ((byte[i] & 0xC0) != 0x80) {
            return -1;
        }
        point = point << 6 | (byte[i] & 0x3F);
    }
    bool is_overlong = (size == 3 && point < 0x800) || (size == 4 && point < 0x10000);
    if (is_overlong || (point >= 0xD800 && point <= 0xDFFF) || point > 0x10FFFF) {
        return -1;
    }
    *size_bytes = size;
    return point;
}

struct dec duration_seconds(int64_t duration_ns);

#endif
