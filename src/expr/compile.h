/* compile.h - private to src/expr: how nodes become code.
 *
 *     check.c       lower()            the walk: names, operators, types
 *     functions.c   lower_function()   functions of the language and of the scope
 *     emit.c        emit() ...         operands, instructions, folded constants
 *
 * Lowering turns a node into an operand: a constant, a slot, or a temp into which the code written
 * so far has put its value.  It is told the first temp that is free and uses no other below it, so
 * temps are a stack that the code never has to manage.
 *
 * Everything fails as expr_compile does: ERR_INPUT for types, ERR_NOT_FOUND for names, ERR_LIMIT
 * for what is too large; its place and message are in the compiler's err.  Memory is the arena's.
 */
#ifndef FARTHING_EXPR_COMPILE_H
#define FARTHING_EXPR_COMPILE_H

#include <assert.h>

#include "expr/code.h"

struct operand {
    uint16_t at; /* kind and index */
    enum expr_type type;
};

/* A variable of exists() or all(), innermost first. */
struct variable {
    struct text name;
    struct operand value;
    const struct variable *outer;
};

struct compiler {
    struct arena *arena;
    const struct expr_scope *scope;
    struct expr_error *err;
    struct tree tree;
    const struct variable *variables;

    struct code *code;
    struct expr_value *constants;
    const struct zone **zones;
    const struct regex **patterns;
    struct name_use *names;
    struct call_use *calls;
    uint32_t code_count, code_capacity;
    uint32_t constant_count, constant_capacity;
    uint32_t zone_count, zone_capacity;
    uint32_t pattern_count, pattern_capacity;
    uint32_t name_count, name_capacity;
    uint32_t call_count, call_capacity;
    uint32_t temp_count;
    uint32_t cost;
    uint32_t work; /* nodes lowered, those of repeated and dropped parts too: bounds the time to
                      compile */
};

/* Room for one more item of an array that grows by doubling. */
#define GROW(c, array, name)                                                             \
    do {                                                                                 \
        if ((c)->name##_count == (c)->name##_capacity) {                                 \
            uint32_t capacity = (c)->name##_capacity ? 2 * (c)->name##_capacity : 4;     \
            (c)->array = arena_grow((c)->arena, (c)->array, (c)->name##_count, capacity, \
                                    sizeof *(c)->array);                                 \
            (c)->name##_capacity = capacity;                                             \
        }                                                                                \
    } while (0)

static inline const struct node *node_at(const struct compiler *c, uint16_t index)
{
    assert(index < c->tree.count);
    return &c->tree.nodes[index];
}

/* ---- emit.c --------------------------------------------------------------------------------- */

/* Stands for the operand that an operation of one operand does not have: the first constant, which
 * is null. */
static const struct operand no_operand = {OPERAND_CONSTANT << OPERAND_SHIFT, EXPR_NULL};

static inline struct operand operand_of(enum operand_kind kind, uint32_t index, enum expr_type type)
{
    return (struct operand){(uint16_t)((uint32_t)kind << OPERAND_SHIFT | index), type};
}

static inline bool is_constant(struct operand operand)
{
    return operand.at >> OPERAND_SHIFT == OPERAND_CONSTANT;
}

/* NULL: it is computed.  The next constant that is added may move it. */
static inline const struct expr_value *constant_of(const struct compiler *c, struct operand operand)
{
    return is_constant(operand) ? &c->constants[operand.at & OPERAND_MASK] : NULL;
}

static inline bool is_temp(struct operand operand, uint32_t temp)
{
    return operand.at == operand_of(OPERAND_TEMP, temp, EXPR_DYNAMIC).at;
}

/* The next free temp when an operand has been lowered at temp. */
static inline uint32_t temp_after(struct operand operand, uint32_t temp)
{
    return is_temp(operand, temp) ? temp + 1 : temp;
}

/* Of the compiler's err; returns ERR_LIMIT. */
enum status fail_size(struct compiler *c, size_t offset);
enum status add_constant(struct compiler *c, const struct expr_value *value, size_t offset,
                         struct operand *out);
/* An instruction; whoever takes it back sets code_count and cost to what they were. */
enum status add_code(struct compiler *c, struct code code, uint32_t cost);
/* The same, with the temp that it writes as the operand. */
enum status emit(struct compiler *c, struct code code, uint32_t cost, enum expr_type type,
                 struct operand *out);
/* An operation without effect but its result, of one or two operands.  With constants it is run at
 * once and taken back out of the code; if it fails it stays, since && and || may absorb the
 * failure. */
enum status emit_pure(struct compiler *c, struct code code, struct operand a, struct operand b,
                      uint32_t cost, enum expr_type type, struct operand *out);
/* Makes the temp what holds the operand. */
enum status move_to(struct compiler *c, uint32_t temp, size_t offset, struct operand *operand);
/* All that was written, which ends with OP_RETURN, as an expression; it shares the arrays. */
void make_expr(struct compiler *c, enum expr_type type, struct expr *expr);

/* ---- check.c -------------------------------------------------------------------------------- */

/* Returns ERR_INPUT. */
enum status fail_type(struct compiler *c, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Of the failure before. */
void set_hint(struct compiler *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A dynamic value may be all. */
static inline bool may_be(enum expr_type is, enum expr_type wanted)
{
    return is == wanted || is == EXPR_DYNAMIC;
}

enum status lower(struct compiler *c, uint16_t index, uint32_t temp, struct operand *out);
/* The same where a type is wanted; who wants it is for the message. */
enum status lower_value(struct compiler *c, uint16_t index, uint32_t temp, enum expr_type wanted,
                        const char *who, struct operand *out);
/* The functions whose arguments are no values: has() takes a name, exists() and all() a variable
 * and an expression over it.  They come with as many arguments as they take. */
enum status lower_has(struct compiler *c, const struct node *node, enum op op, uint32_t temp,
                      struct operand *out);
enum status lower_macro(struct compiler *c, const struct node *node, enum op op, uint32_t temp,
                        struct operand *out);

/* ---- functions.c ---------------------------------------------------------------------------- */

/* A call; ERR_NOT_FOUND when neither the language nor the scope has the function. */
enum status lower_function(struct compiler *c, const struct node *node, uint32_t temp,
                           struct operand *out);

#endif
