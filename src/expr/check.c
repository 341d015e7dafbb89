/* check.c - see code.h.  Types the tree, folds constants, and writes the code, in one walk.
 *
 * lower() turns a node into an operand: a constant, a slot, or a temp into which the code written
 * so far has put its value. It is told the first temp that is free and uses no other below it, so
 * temps are a stack that the code never has to manage.
 *
 * An instruction whose operands are all constant is run at once and taken back out of the code; if
 * it fails it stays, since
 * && and || may absorb the failure.
 *
 * exists() and all() are no loops: their bodies are lowered once for each element, with the
 * variable standing for it, which is why a list must be written out.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/nearest.h"
#include "expr/code.h"
#include "expr/regex.h"

#include "base/nofloat.h"

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

enum { WORK_MAX = 65'536 };

/* ---- growing -------------------------------------------------------------------------------- */

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

static const struct node *node_at(const struct compiler *c, uint16_t index)
{
    assert(index < c->tree.count);
    return &c->tree.nodes[index];
}

static enum status fail_size(struct compiler *c, size_t offset)
{
    return expr_fail(c->err, offset, ERR_LIMIT, "the expression is too complex");
}

static enum status fail_type(struct compiler *c, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status fail_type(struct compiler *c, size_t offset, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return expr_fail(c->err, offset, ERR_INPUT, "%s", message);
}

static void set_hint(struct compiler *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void set_hint(struct compiler *c, const char *format, ...)
{
    if (c->err) {
        va_list args;
        va_start(args, format);
        vsnprintf(c->err->error.hint, sizeof c->err->error.hint, format, args);
        va_end(args);
    }
}

/* ---- operands and code ---------------------------------------------------------------------- */

static struct operand operand_of(enum operand_kind kind, uint32_t index, enum expr_type type)
{
    return (struct operand){(uint16_t)((uint32_t)kind << OPERAND_SHIFT | index), type};
}

static bool is_constant(struct operand operand)
{
    return operand.at >> OPERAND_SHIFT == OPERAND_CONSTANT;
}

static bool is_temp(struct operand operand, uint32_t temp)
{
    return operand.at == operand_of(OPERAND_TEMP, temp, EXPR_DYNAMIC).at;
}

static const struct expr_value *constant_of(const struct compiler *c, struct operand operand)
{
    return is_constant(operand) ? &c->constants[operand.at & OPERAND_MASK] : NULL;
}

static enum status add_constant(struct compiler *c, const struct expr_value *value, size_t offset,
                                struct operand *out)
{
    struct expr_value copy = *value; /* which may be one of them */
    if (c->constant_count > OPERAND_MASK) {
        return fail_size(c, offset);
    }
    GROW(c, constants, constant);
    c->constants[c->constant_count] = copy;
    *out = operand_of(OPERAND_CONSTANT, c->constant_count++, copy.type);
    return OK;
}

static enum status add_code(struct compiler *c, struct code code, uint32_t cost)
{
    c->cost += cost;
    if (c->code_count == CODE_MAX || code.to >= TEMPS_MAX || c->cost > EXPR_COST_MAX) {
        return fail_size(c, code.offset);
    }
    GROW(c, code, code);
    c->code[c->code_count++] = code;
    if (code.to >= c->temp_count) {
        c->temp_count = code.to + 1u;
    }
    return OK;
}

static bool is_computed(uint16_t operand)
{
    return operand >> OPERAND_SHIFT == OPERAND_TEMP;
}

static bool is_test(const struct code *code)
{
    return !is_computed(code->a) && !is_computed(code->b) &&
           ((code->op >= OP_EQUAL && code->op <= OP_GREATER_EQUAL) || code->op == OP_HAS ||
            code->op == OP_IN_CONSTANTS);
}

/* Tests of names and constants, joined by && alone or by || alone; or one of + - * and / on two
 * numbers: what eval.c has short ways for. */
static enum shape shape_of(const struct compiler *c)
{
    const struct code *code = c->code;
    if (c->name_count == 0 || c->code_count < 2) {
        return SHAPE_ANY;
    }
    if (code->op >= OP_ADD && code->op <= OP_DIVIDE) {
        bool is_checked = code[1].op == OP_CHECK && code[1].more == EXPR_NUMBER;
        return code[is_checked ? 2 : 1].op == OP_RETURN ? SHAPE_SUM : SHAPE_ANY;
    }
    int skip = OP_RETURN;
    for (; code->op != OP_RETURN; code++) {
        if (code->op == OP_SKIP_FALSE || code->op == OP_SKIP_TRUE) {
            if (!is_computed(code->a) || (skip != OP_RETURN && skip != code->op)) {
                return SHAPE_ANY;
            }
            skip = code->op;
        } else if (code->op == (skip == OP_SKIP_FALSE ? OP_AND : OP_OR)) {
            if (!is_computed(code->a) || !is_computed(code->b)) {
                return SHAPE_ANY;
            }
        } else if (!is_test(code)) {
            return SHAPE_ANY;
        }
    }
    return is_computed(code->a) ? SHAPE_TESTS : SHAPE_ANY;
}

static void view_code(const struct compiler *c, struct expr *expr)
{
    *expr = (struct expr){.code = c->code,
                          .constants = c->constants,
                          .code_count = (uint16_t)c->code_count,
                          .temp_count = (uint16_t)c->temp_count,
                          .shape = shape_of(c),
                          .cost = c->cost,
                          .zones = c->zones,
                          .patterns = c->patterns,
                          .names = c->names,
                          .name_count = c->name_count,
                          .calls = c->calls,
                          .call_count = c->call_count,
                          .tree = c->tree};
}

static enum status emit(struct compiler *c, struct code code, uint32_t cost, enum expr_type type,
                        struct operand *out)
{
    TRY(add_code(c, code, cost));
    *out = operand_of(OPERAND_TEMP, code.to, type);
    return OK;
}

/* Runs the last instruction, whose operands are constant, and takes it back if that went well. */
static enum status fold(struct compiler *c, struct operand *out)
{
    struct code code = c->code[c->code_count - 1];
    struct code alone[] = {code,
                           {.op = OP_RETURN,
                            .a = operand_of(OPERAND_TEMP, 0, EXPR_DYNAMIC).at,
                            .offset = code.offset}};
    alone[0].to = 0;
    struct expr expr;
    view_code(c, &expr);
    expr.code = alone;
    expr.temp_count = 1;
    struct expr_value value;
    expr_run(&expr, NULL, c->arena, &value);
    if (value.type == EXPR_ERROR) {
        return OK;
    }
    c->code_count--;
    enum expr_type type = out->type; /* what is known by types alone stays all that is known */
    TRY(add_constant(c, &value, code.offset, out));
    out->type = type;
    return OK;
}

/* An operation without effect but its result, of one or two operands. */
static enum status emit_pure(struct compiler *c, struct code code, struct operand a,
                             struct operand b, uint32_t cost, enum expr_type type,
                             struct operand *out)
{
    code.a = a.at;
    code.b = b.at;
    TRY(emit(c, code, cost, type, out));
    if (is_constant(a) && is_constant(b)) {
        return fold(c, out);
    }
    return OK;
}

/* Stands for the operand that an operation of one operand does not have. */
static const struct operand no_operand = {OPERAND_CONSTANT << OPERAND_SHIFT, EXPR_NULL};

static enum status move_to(struct compiler *c, uint32_t temp, size_t offset,
                           struct operand *operand)
{
    if (is_temp(*operand, temp)) {
        return OK;
    }
    struct code code = {
        .op = OP_MOVE, .to = (uint16_t)temp, .a = operand->at, .offset = (uint16_t)offset};
    return emit(c, code, 1, operand->type, operand);
}

/* The next free temp when an operand has been lowered at temp. */
static uint32_t temp_after(struct operand operand, uint32_t temp)
{
    return is_temp(operand, temp) ? temp + 1 : temp;
}

/* True when the operand is known to be true or false now. */
static bool is_known(const struct compiler *c, struct operand operand, bool *truth)
{
    const struct expr_value *value = constant_of(c, operand);
    *truth = value && value->type == EXPR_BOOL && value->truth;
    return value && value->type == EXPR_BOOL;
}

static enum status lower(struct compiler *c, uint16_t index, uint32_t temp, struct operand *out);

/* ---- types ---------------------------------------------------------------------------------- */

const char *expr_type_phrase(enum expr_type type)
{
    static const char *const phrases[] = {
        [EXPR_MISSING] = "a missing value",
        [EXPR_NULL] = "null",
        [EXPR_BOOL] = "true or false",
        [EXPR_NUMBER] = "a number",
        [EXPR_TEXT] = "a text",
        [EXPR_TIME] = "a time",
        [EXPR_DURATION] = "a duration",
        [EXPR_OTHER] = "a list or an object",
        [EXPR_ERROR] = "an error",
        [EXPR_DYNAMIC] = "a value of an event",
    };
    return phrases[type];
}

const char *expr_type_name(enum expr_type type)
{
    static const char *const names[] = {
        [EXPR_MISSING] = "missing",   [EXPR_NULL] = "null",   [EXPR_BOOL] = "bool",
        [EXPR_NUMBER] = "number",     [EXPR_TEXT] = "text",   [EXPR_TIME] = "time",
        [EXPR_DURATION] = "duration", [EXPR_OTHER] = "other", [EXPR_ERROR] = "error",
        [EXPR_DYNAMIC] = "dynamic",
    };
    return names[type];
}

static bool may_be(enum expr_type is, enum expr_type wanted)
{
    return is == wanted || is == EXPR_DYNAMIC;
}

static bool may_be_equal(enum expr_type a, enum expr_type b)
{
    return a == b || a == EXPR_DYNAMIC || b == EXPR_DYNAMIC || a == EXPR_NULL || b == EXPR_NULL;
}

static bool is_ordered(enum expr_type type)
{
    return type != EXPR_NULL;
}

struct typing {
    uint8_t op;
    uint8_t left, right, result;
};

/* What + and - do.  With a dynamic side, the result is what all lines that fit agree in. */
static const struct typing sums[] = {
    {OP_ADD, EXPR_NUMBER, EXPR_NUMBER, EXPR_NUMBER},
    {OP_ADD, EXPR_TEXT, EXPR_TEXT, EXPR_TEXT},
    {OP_ADD, EXPR_TIME, EXPR_DURATION, EXPR_TIME},
    {OP_ADD, EXPR_DURATION, EXPR_TIME, EXPR_TIME},
    {OP_ADD, EXPR_DURATION, EXPR_DURATION, EXPR_DURATION},
    {OP_SUBTRACT, EXPR_NUMBER, EXPR_NUMBER, EXPR_NUMBER},
    {OP_SUBTRACT, EXPR_TIME, EXPR_DURATION, EXPR_TIME},
    {OP_SUBTRACT, EXPR_TIME, EXPR_TIME, EXPR_DURATION},
    {OP_SUBTRACT, EXPR_DURATION, EXPR_DURATION, EXPR_DURATION},
};

/* EXPR_MISSING: there is no such sum. */
static enum expr_type type_sum(enum op op, enum expr_type left, enum expr_type right)
{
    enum expr_type result = EXPR_MISSING;
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        if (sums[i].op != op || !may_be(left, sums[i].left) || !may_be(right, sums[i].right)) {
            continue;
        }
        bool is_first = result == EXPR_MISSING;
        result = is_first || result == (enum expr_type)sums[i].result
                     ? (enum expr_type)sums[i].result
                     : EXPR_DYNAMIC;
    }
    return result;
}

/* Of a binary operator that is neither && nor ||; EXPR_MISSING when it cannot take these. */
static enum expr_type type_binary(enum op op, enum expr_type left, enum expr_type right)
{
    switch (op) {
    case OP_EQUAL:
    case OP_UNEQUAL:
        return may_be_equal(left, right) ? EXPR_BOOL : EXPR_MISSING;
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL: {
        bool is_same = left == right || left == EXPR_DYNAMIC || right == EXPR_DYNAMIC;
        return is_same && is_ordered(left) && is_ordered(right) ? EXPR_BOOL : EXPR_MISSING;
    }
    case OP_ADD:
    case OP_SUBTRACT:
        return type_sum(op, left, right);
    default:
        return may_be(left, EXPR_NUMBER) && may_be(right, EXPR_NUMBER) ? EXPR_NUMBER : EXPR_MISSING;
    }
}

/* ---- names ---------------------------------------------------------------------------------- */

static enum status fail_name(struct compiler *c, const struct node *node)
{
    (void)expr_fail(c->err, node->offset, ERR_NOT_FOUND, "there is no name '%.*s' here",
                    TEXT_ARG(node->text));
    struct text nearest = text_nearest(node->text, c->scope->names, c->scope->name_count);
    if (nearest.size > 0) {
        set_hint(c, "did you mean %.*s?", TEXT_ARG(nearest));
    }
    return ERR_NOT_FOUND;
}

static void note_name(struct compiler *c, uint32_t slot, const struct node *node)
{
    for (uint32_t i = 0; i < c->name_count; i++) {
        if (c->names[i].slot == slot) {
            return;
        }
    }
    GROW(c, names, name);
    c->names[c->name_count++] = (struct name_use){
        .slot = slot, .offset = node->offset, .path = text_copy(c->arena, node->text)};
}

static const struct variable *find_variable(const struct compiler *c, const struct node *node)
{
    for (const struct variable *v = c->variables; v; v = v->outer) {
        bool is_member = node->text.size > v->name.size &&
                         memcmp(node->text.at, v->name.at, v->name.size) == 0 &&
                         (node->text.at[v->name.size] == '.' || node->text.at[v->name.size] == '[');
        if (text_equal(v->name, node->text) || is_member) {
            return v;
        }
    }
    return NULL;
}

static enum status lower_name(struct compiler *c, const struct node *node, struct operand *out)
{
    const struct variable *variable = find_variable(c, node);
    if (variable && !node->is_plain) {
        return fail_type(c, node->offset, "'%.*s' has no members", TEXT_ARG(variable->name));
    }
    if (variable) {
        *out = variable->value;
        return OK;
    }
    struct expr_name name = {.type = EXPR_DYNAMIC};
    if (!c->scope->resolve || !c->scope->resolve(c->scope->context, node->text, &name)) {
        return fail_name(c, node);
    }
    if (name.constant) {
        assert(name.constant->type >= EXPR_NULL && name.constant->type <= EXPR_DURATION);
        return add_constant(c, name.constant, node->offset, out);
    }
    assert(name.slot < EXPR_SLOTS_MAX);
    assert(name.type >= EXPR_NULL && name.type != EXPR_OTHER && name.type != EXPR_ERROR);
    note_name(c, name.slot, node);
    *out = operand_of(OPERAND_SLOT, name.slot, name.type);
    return OK;
}

/* ---- operators ------------------------------------------------------------------------------ */

/* What the scope says of a name; false of anything else, and of a variable. */
static bool find_name(const struct compiler *c, const struct node *node, struct expr_name *name)
{
    *name = (struct expr_name){.type = EXPR_DYNAMIC};
    return node->kind == NODE_NAME && !find_variable(c, node) && c->scope->resolve &&
           c->scope->resolve(c->scope->context, node->text, name);
}

/* A name that is one of a few texts is compared with one of these, or it would never be equal. */
static enum status check_choice(struct compiler *c, const struct node *node,
                                const struct node *other, struct operand operand)
{
    enum { CHOICES_MAX = 32 };
    struct text choices[CHOICES_MAX];
    size_t count = 0;
    struct expr_name name;
    const struct expr_value *value = constant_of(c, operand);
    if (!value || value->type != EXPR_TEXT || !find_name(c, node, &name) || !name.choices) {
        return OK;
    }
    for (; name.choices[count]; count++) {
        assert(count < CHOICES_MAX);
        choices[count] = text_of(name.choices[count]);
        if (text_equal(choices[count], value->text)) {
            return OK;
        }
    }
    (void)fail_type(c, other->offset, "'%.*s' is never \"%.*s\"", TEXT_ARG(node->text),
                    TEXT_ARG(value->text));
    struct text nearest = text_nearest(value->text, choices, count);
    if (nearest.size > 0) {
        set_hint(c, "did you mean \"%.*s\"?", TEXT_ARG(nearest));
        return ERR_INPUT;
    }
    struct buffer list;
    buffer_init(&list, c->arena, 256);
    for (size_t i = 0; i < count; i++) {
        buffer_add_text(&list, i == 0 ? TEXT("one of ") : TEXT(", "));
        buffer_add_text(&list, choices[i]);
    }
    set_hint(c, "%.*s", TEXT_ARG(buffer_text(&list)));
    return ERR_INPUT;
}

static enum status fail_list(struct compiler *c, const struct node *node)
{
    (void)fail_type(c, node->offset, "a list has no place here");
    set_hint(c,
             "lists are for: x in [...], [...].exists(x, ...), [...].all(x, ...) and size([...])");
    return ERR_INPUT;
}

/* True of a name whose text stands for the number that it holds, beside a number or where one is
 * wanted. */
static bool is_untyped(const struct compiler *c, const struct node *node)
{
    struct expr_name name;
    return find_name(c, node, &name) && name.is_untyped && !name.constant;
}

/* The number that the operand, such a name, holds. */
static enum status emit_held(struct compiler *c, const struct node *node, uint32_t temp,
                             struct operand *operand)
{
    struct code code = {.op = OP_HELD, .to = (uint16_t)temp, .offset = node->offset};
    return emit_pure(c, code, *operand, no_operand, 2, EXPR_NUMBER, operand);
}

static enum status lower_value(struct compiler *c, uint16_t index, uint32_t temp,
                               enum expr_type wanted, const char *who, struct operand *out)
{
    TRY(lower(c, index, temp, out));
    if (wanted == EXPR_NUMBER && out->type == EXPR_TEXT && !c->scope->is_strict &&
        is_untyped(c, node_at(c, index))) {
        return emit_held(c, node_at(c, index), temp, out);
    }
    if (!may_be(out->type, wanted)) {
        return fail_type(c, node_at(c, index)->offset, "%s takes %s, not %s", who,
                         expr_type_phrase(wanted), expr_type_phrase(out->type));
    }
    return OK;
}

static enum status lower_unary(struct compiler *c, const struct node *node, uint32_t temp,
                               struct operand *out)
{
    struct operand a;
    TRY(lower(c, node->first, temp, &a));
    bool is_not = node->op == OP_NOT;
    enum expr_type result = a.type;
    if (is_not ? !may_be(a.type, EXPR_BOOL)
               : !may_be(a.type, EXPR_NUMBER) && a.type != EXPR_DURATION) {
        return fail_type(c, node->offset, "'%s' takes %s, not %s", op_name(node->op),
                         is_not ? "true or false" : "a number", expr_type_phrase(a.type));
    }
    struct code code = {.op = node->op, .to = (uint16_t)temp, .offset = node->offset};
    return emit_pure(c, code, a, no_operand, 1, is_not ? EXPR_BOOL : result, out);
}

/* && and ||: the right side is skipped when the left side decides. */
static enum status lower_logic(struct compiler *c, enum op op, const struct node *node,
                               uint32_t temp, struct operand a, uint32_t skip, struct operand b,
                               struct operand *out)
{
    struct code code = {
        .op = (uint8_t)op, .to = (uint16_t)temp, .a = a.at, .b = b.at, .offset = node->offset};
    TRY(emit(c, code, 1, EXPR_BOOL, out));
    c->code[skip].more = (uint16_t)c->code_count;
    return OK;
}

static enum status emit_skip(struct compiler *c, enum op op, const struct node *node, uint32_t temp,
                             struct operand a, uint32_t *skip)
{
    *skip = c->code_count;
    return add_code(c,
                    (struct code){.op = op == OP_OR ? OP_SKIP_TRUE : OP_SKIP_FALSE,
                                  .to = (uint16_t)temp,
                                  .a = a.at,
                                  .offset = node->offset},
                    1);
}

static enum status lower_and_or(struct compiler *c, const struct node *node, uint32_t temp,
                                struct operand *out)
{
    const char *name = node->op == OP_OR ? "'||'" : "'&&'";
    uint16_t left = node->first, right = node_at(c, left)->next;
    struct operand a, b;
    TRY(lower_value(c, left, temp, EXPR_BOOL, name, &a));
    bool truth, known = is_known(c, a, &truth), decides = known && truth == (node->op == OP_OR);
    uint32_t start = c->code_count, cost = c->cost, skip = 0;
    if (!known) {
        TRY(emit_skip(c, node->op, node, temp, a, &skip));
    }
    TRY(lower_value(c, right, temp_after(a, temp), EXPR_BOOL, name, &b));
    if (decides) {
        c->code_count = start; /* it was lowered for its types only */
        c->cost = cost;
        *out = a;
        out->type = EXPR_BOOL;
        return OK;
    }
    if (known && b.type == EXPR_BOOL) {
        *out = b;
        return OK;
    }
    if (known) {
        struct code check = {.op = OP_CHECK,
                             .more = EXPR_BOOL,
                             .to = (uint16_t)temp,
                             .a = b.at,
                             .offset = node->offset};
        return emit(c, check, 1, EXPR_BOOL, out);
    }
    return lower_logic(c, node->op, node, temp, a, skip, b, out);
}

/* "in" a list of constants is one instruction over constants that lie together. */
static enum status emit_in_constants(struct compiler *c, const struct node *node, uint32_t temp,
                                     struct operand a, const struct expr_value *values,
                                     uint32_t count, struct operand *out)
{
    struct operand first = no_operand, next;
    for (uint32_t i = 0; i < count; i++) {
        TRY(add_constant(c, &values[i], node->offset, &next));
        first = i == 0 ? next : first;
    }
    struct code code = {.op = OP_IN_CONSTANTS,
                        .more = (uint16_t)count,
                        .to = (uint16_t)temp,
                        .offset = node->offset};
    return emit_pure(c, code, a, first, 1 + count / 4, EXPR_BOOL, out);
}

/* "in" a list with computed elements compares with each: one that fails, fails the whole, as in
 * CEL. */
static enum status lower_in_each(struct compiler *c, const struct node *node,
                                 const struct node *list, uint32_t temp, struct operand a,
                                 struct operand *out)
{
    TRY(move_to(c, temp, node->offset, &a));
    uint32_t result = temp + 1, next = temp + 2;
    uint16_t child = list->first;
    for (int i = 0; i < list->child_count; i++, child = node_at(c, child)->next) {
        struct operand element, equal;
        TRY(lower(c, child, next, &element));
        struct code code = {.op = OP_EQUAL,
                            .to = (uint16_t)(i == 0 ? result : next),
                            .a = a.at,
                            .b = element.at,
                            .offset = node->offset};
        TRY(emit(c, code, 1, EXPR_BOOL, &equal));
        if (i > 0) {
            code = (struct code){.op = OP_EITHER,
                                 .to = (uint16_t)result,
                                 .a = operand_of(OPERAND_TEMP, result, EXPR_BOOL).at,
                                 .b = equal.at,
                                 .offset = node->offset};
            TRY(emit(c, code, 1, EXPR_BOOL, &equal));
        }
    }
    *out = operand_of(OPERAND_TEMP, result, EXPR_BOOL);
    return move_to(c, temp, node->offset, out);
}

static enum status lower_in(struct compiler *c, const struct node *node, uint32_t temp,
                            struct operand *out)
{
    uint16_t left = node->first;
    const struct node *list = node_at(c, node_at(c, left)->next);
    struct operand a;
    TRY(lower(c, left, temp, &a));
    if (list->kind != NODE_LIST) {
        (void)fail_type(c, list->offset, "'in' takes a list that is written out");
        set_hint(c, "like: x in [\"a\", \"b\"]");
        return ERR_INPUT;
    }
    /* Elements are lowered to see their types and whether all are constant; if so, that was all. */
    struct expr_value *values = arena_alloc(c->arena, (list->child_count + 1u) * sizeof *values);
    uint32_t start = c->code_count, cost = c->cost, constant_count = 0;
    uint16_t child = list->first;
    bool is_held = false; /* in a list of numbers */
    for (int i = 0; i < list->child_count; i++, child = node_at(c, child)->next) {
        struct operand element;
        TRY(lower(c, child, temp_after(a, temp), &element));
        if (i == 0 && a.type == EXPR_TEXT && element.type == EXPR_NUMBER &&
            is_untyped(c, node_at(c, left))) {
            is_held = true;
            a.type = EXPR_NUMBER;
        }
        if (!may_be_equal(a.type, element.type)) {
            return fail_type(c, node_at(c, child)->offset, "%s is never equal to %s",
                             expr_type_phrase(a.type), expr_type_phrase(element.type));
        }
        TRY(check_choice(c, node_at(c, left), node_at(c, child), element));
        const struct expr_value *value = constant_of(c, element);
        if (value) {
            values[constant_count++] = *value;
        }
    }
    c->code_count = start;
    c->cost = cost;
    if (is_held) {
        TRY(emit_held(c, node_at(c, left), temp, &a));
    }
    if (constant_count == list->child_count) {
        return emit_in_constants(c, node, temp, a, values, constant_count, out);
    }
    return lower_in_each(c, node, list, temp, a, out);
}

static bool is_zero_literal(const struct node *node)
{
    return node->kind == NODE_LITERAL && node->value->type == EXPR_NUMBER &&
           dec_is_zero(node->value->number);
}

/* Names in arithmetic that are texts for want of a type are the numbers that they hold; two that
 * are added are joined. */
static enum status hold_terms(struct compiler *c, const struct node *node, uint32_t temp,
                              struct operand *a, struct operand *b)
{
    const struct node *left = node_at(c, node->first), *right = node_at(c, left->next);
    bool holds = node->op != OP_ADD;
    bool holds_a = a->type == EXPR_TEXT && (holds || b->type == EXPR_NUMBER) &&
                   (b->type == EXPR_NUMBER || b->type == EXPR_TEXT) && is_untyped(c, left);
    bool holds_b = b->type == EXPR_TEXT && (holds || a->type == EXPR_NUMBER) &&
                   (a->type == EXPR_NUMBER || a->type == EXPR_TEXT) && is_untyped(c, right);
    if (holds_a) {
        TRY(emit_held(c, left, temp_after(*b, temp), a));
    }
    return holds_b ? emit_held(c, right, temp_after(*a, temp), b) : OK;
}

static enum status lower_binary(struct compiler *c, const struct node *node, uint32_t temp,
                                struct operand *out)
{
    if (node->op == OP_AND || node->op == OP_OR) {
        return lower_and_or(c, node, temp, out);
    }
    if (node->op == OP_IN) {
        return lower_in(c, node, temp, out);
    }
    uint16_t left = node->first, right = node_at(c, left)->next;
    struct operand a, b;
    TRY(lower(c, left, temp, &a));
    TRY(lower(c, right, temp_after(a, temp), &b));
    bool is_comparison = node->op >= OP_EQUAL && node->op <= OP_GREATER_EQUAL, is_held = false;
    if (is_comparison && a.type == EXPR_TEXT && b.type == EXPR_NUMBER &&
        is_untyped(c, node_at(c, left))) {
        is_held = true;
        TRY(emit_held(c, node_at(c, left), temp_after(b, temp), &a));
    } else if (is_comparison && a.type == EXPR_NUMBER && b.type == EXPR_TEXT &&
               is_untyped(c, node_at(c, right))) {
        is_held = true;
        TRY(emit_held(c, node_at(c, right), temp_after(a, temp), &b));
    } else if (!is_comparison && !c->scope->is_strict) {
        TRY(hold_terms(c, node, temp, &a, &b));
    }
    enum expr_type type = type_binary(node->op, a.type, b.type);
    if (type == EXPR_MISSING) {
        return fail_type(c, node->offset, "'%s' cannot take %s and %s", op_name(node->op),
                         expr_type_phrase(a.type), expr_type_phrase(b.type));
    }
    if (node->op == OP_EQUAL || node->op == OP_UNEQUAL) {
        TRY(check_choice(c, node_at(c, left), node_at(c, right), b));
        TRY(check_choice(c, node_at(c, right), node_at(c, left), a));
    }
    if ((node->op == OP_DIVIDE || node->op == OP_REMAINDER) && is_zero_literal(node_at(c, right))) {
        return fail_type(c, node_at(c, right)->offset, "division by zero");
    }
    struct code code = {
        .op = node->op, .to = (uint16_t)temp, .more = is_held, .offset = node->offset};
    return emit_pure(c, code, a, b, type == EXPR_TEXT ? 4 : 1, type, out);
}

static enum status join_types(struct compiler *c, const struct node *node, struct operand a,
                              struct operand b, enum expr_type *type)
{
    if (a.type == b.type) {
        *type = a.type;
    } else if (may_be_equal(a.type, b.type)) {
        *type = EXPR_DYNAMIC; /* one is dynamic or null */
    } else {
        return fail_type(c, node->offset, "the two values of '?:' are %s and %s",
                         expr_type_phrase(a.type), expr_type_phrase(b.type));
    }
    return OK;
}

/* A condition known at load leaves one branch; the other is lowered for its types only, so that
 * types never depend on values. */
static enum status lower_known_choice(struct compiler *c, const struct node *node, bool truth,
                                      uint32_t temp, struct operand *out)
{
    uint16_t yes = node_at(c, node->first)->next, no = node_at(c, yes)->next;
    struct operand dropped;
    uint32_t start = c->code_count, cost = c->cost;
    TRY(lower(c, truth ? no : yes, temp, &dropped));
    c->code_count = start;
    c->cost = cost;
    TRY(lower(c, truth ? yes : no, temp, out));
    return join_types(c, node, truth ? *out : dropped, truth ? dropped : *out, &out->type);
}

static enum status lower_choice(struct compiler *c, const struct node *node, uint32_t temp,
                                struct operand *out)
{
    uint16_t yes = node_at(c, node->first)->next, no = node_at(c, yes)->next;
    struct operand condition, a, b;
    TRY(lower_value(c, node->first, temp, EXPR_BOOL, "'?:'", &condition));
    bool truth;
    if (is_known(c, condition, &truth)) {
        return lower_known_choice(c, node, truth, temp, out);
    }
    uint32_t choose = c->code_count;
    TRY(add_code(
        c,
        (struct code){
            .op = OP_CHOOSE, .to = (uint16_t)temp, .a = condition.at, .offset = node->offset},
        1));
    TRY(lower(c, yes, temp, &a));
    TRY(move_to(c, temp, node_at(c, yes)->offset, &a));
    uint32_t jump = c->code_count;
    TRY(add_code(c, (struct code){.op = OP_JUMP, .offset = node->offset}, 1));
    c->code[choose].more = (uint16_t)c->code_count;
    TRY(lower(c, no, temp, &b));
    TRY(move_to(c, temp, node_at(c, no)->offset, &b));
    c->code[jump].more = (uint16_t)c->code_count;
    enum expr_type type = EXPR_DYNAMIC;
    TRY(join_types(c, node, a, b, &type));
    *out = operand_of(OPERAND_TEMP, temp, type);
    return OK;
}

/* ---- built-in functions --------------------------------------------------------------------- */

/* Functions that take up to two values of fixed types; the others have a function of their own
 * below. */
static const struct builtin {
    const char *name;
    uint8_t op;
    uint8_t arg_count;
    uint8_t first, second, result;
} builtins[] = {
    {"startsWith", OP_STARTS_WITH, 2, EXPR_TEXT, EXPR_TEXT, EXPR_BOOL},
    {"endsWith", OP_ENDS_WITH, 2, EXPR_TEXT, EXPR_TEXT, EXPR_BOOL},
    {"contains", OP_CONTAINS, 2, EXPR_TEXT, EXPR_TEXT, EXPR_BOOL},
    {"lower", OP_LOWER, 1, EXPR_TEXT, 0, EXPR_TEXT},
    {"upper", OP_UPPER, 1, EXPR_TEXT, 0, EXPR_TEXT},
    {"abs", OP_ABS, 1, EXPR_NUMBER, 0, EXPR_NUMBER},
    {"ceil", OP_CEIL, 1, EXPR_NUMBER, 0, EXPR_NUMBER},
    {"floor", OP_FLOOR, 1, EXPR_NUMBER, 0, EXPR_NUMBER},
    {"round_up", OP_ROUND_UP, 2, EXPR_NUMBER, EXPR_NUMBER, EXPR_NUMBER},
};

static enum status lower_builtin(struct compiler *c, const struct node *node,
                                 const struct builtin *builtin, uint32_t temp, struct operand *out)
{
    char who[32];
    snprintf(who, sizeof who, "%s()", builtin->name);
    if (node->child_count != builtin->arg_count) {
        return fail_type(c, node->offset, "%s takes %d value%s, not %d", who, builtin->arg_count,
                         builtin->arg_count == 1 ? "" : "s", node->child_count);
    }
    struct operand a, b = no_operand;
    TRY(lower_value(c, node->first, temp, builtin->first, who, &a));
    if (builtin->arg_count == 2) {
        TRY(lower_value(c, node_at(c, node->first)->next, temp_after(a, temp), builtin->second, who,
                        &b));
    }
    struct code code = {.op = builtin->op, .to = (uint16_t)temp, .offset = node->offset};
    return emit_pure(c, code, a, b, builtin->first == EXPR_TEXT ? 4 : 1, builtin->result, out);
}

static enum status check_arg_count(struct compiler *c, const struct node *node, int min, int max)
{
    int count = node->child_count;
    if (min <= count && count <= max) {
        return OK;
    }
    if (min == max) {
        return fail_type(c, node->offset, "%.*s() takes %d value%s, not %d", TEXT_ARG(node->text),
                         min, min == 1 ? "" : "s", count);
    }
    return fail_type(c, node->offset, "%.*s() takes %d to %d values, not %d", TEXT_ARG(node->text),
                     min, max, count);
}

/* The value of an argument that must be known at load. */
static enum status lower_constant(struct compiler *c, uint16_t index, uint32_t temp,
                                  enum expr_type wanted, const char *what,
                                  const struct expr_value **value)
{
    struct operand operand;
    uint32_t start = c->code_count, cost = c->cost;
    TRY(lower(c, index, temp, &operand));
    c->code_count = start;
    c->cost = cost;
    *value = constant_of(c, operand);
    if (!*value || (*value)->type != wanted) {
        return fail_type(c, node_at(c, index)->offset, "%s", what);
    }
    return OK;
}

static enum status lower_has(struct compiler *c, const struct node *node, uint32_t temp,
                             struct operand *out)
{
    TRY(check_arg_count(c, node, 1, 1));
    const struct node *name = node_at(c, node->first);
    if (name->kind != NODE_NAME || (find_variable(c, name) && name->is_plain)) {
        return fail_type(c, name->offset, "has() takes a name");
    }
    struct operand a;
    TRY(lower_name(c, name, &a));
    if (is_constant(a)) {
        struct expr_value yes = expr_bool(true);
        return add_constant(c, &yes, node->offset, out);
    }
    struct code code = {.op = OP_HAS, .to = (uint16_t)temp, .a = a.at, .offset = node->offset};
    return emit(c, code, 1, EXPR_BOOL, out);
}

static enum status lower_size(struct compiler *c, const struct node *node, uint32_t temp,
                              struct operand *out)
{
    TRY(check_arg_count(c, node, 1, 1));
    const struct node *list = node_at(c, node->first);
    struct operand a;
    if (list->kind != NODE_LIST) {
        TRY(lower_value(c, node->first, temp, EXPR_TEXT, "size()", &a));
        struct code code = {.op = OP_SIZE, .to = (uint16_t)temp, .offset = node->offset};
        return emit_pure(c, code, a, no_operand, 4, EXPR_NUMBER, out);
    }
    /* The elements count, and a failed one fails the list; the number is known. */
    struct expr_value count = expr_number(dec_from_int(list->child_count));
    TRY(add_constant(c, &count, node->offset, out));
    uint16_t child = list->first;
    for (int i = 0; i < list->child_count; i++, child = node_at(c, child)->next) {
        struct operand element;
        uint32_t next = temp_after(*out, temp);
        TRY(lower(c, child, next, &element));
        if (!is_constant(element)) {
            struct code code = {.op = OP_GUARD,
                                .to = (uint16_t)temp,
                                .more = true,
                                .a = out->at,
                                .b = element.at,
                                .offset = node->offset};
            TRY(emit(c, code, 1, EXPR_NUMBER, out));
        }
    }
    return OK;
}

static enum status lower_matches(struct compiler *c, const struct node *node, uint32_t temp,
                                 struct operand *out)
{
    TRY(check_arg_count(c, node, 2, 2));
    struct operand a;
    TRY(lower_value(c, node->first, temp, EXPR_TEXT, "matches()", &a));
    uint16_t second = node_at(c, node->first)->next;
    const struct expr_value *pattern;
    TRY(lower_constant(c, second, temp_after(a, temp), EXPR_TEXT,
                       "matches() takes a pattern that is written out", &pattern));
    const struct regex *regex;
    struct error error = {.status = OK};
    size_t offset;
    enum status status = regex_compile(c->arena, pattern->text, &regex, &offset, &error);
    if (status != OK) {
        (void)expr_fail(c->err, node_at(c, second)->offset, status, "%s (byte %zu of the pattern)",
                        error.message, offset);
        return status;
    }
    GROW(c, patterns, pattern);
    c->patterns[c->pattern_count] = regex;
    struct code code = {.op = OP_MATCHES,
                        .to = (uint16_t)temp,
                        .more = (uint16_t)c->pattern_count++,
                        .offset = node->offset};
    return emit_pure(c, code, a, no_operand, 4 + regex_size(regex), EXPR_BOOL, out);
}

static enum status lower_extreme(struct compiler *c, const struct node *node, enum op op,
                                 uint32_t temp, struct operand *out)
{
    const char *who = op == OP_MIN ? "min()" : "max()";
    TRY(check_arg_count(c, node, 2, EXPR_ARGS_MAX));
    TRY(lower_value(c, node->first, temp, EXPR_NUMBER, who, out));
    uint16_t child = node->first;
    for (int i = 1; i < node->child_count; i++) {
        child = node_at(c, child)->next;
        struct operand b;
        TRY(lower_value(c, child, temp_after(*out, temp), EXPR_NUMBER, who, &b));
        struct code code = {.op = (uint8_t)op, .to = (uint16_t)temp, .offset = node->offset};
        TRY(emit_pure(c, code, *out, b, 1, EXPR_NUMBER, out));
    }
    return OK;
}

/* round(x), round(x, digits), round(x, digits, mode). */
static enum status lower_round(struct compiler *c, const struct node *node, uint32_t temp,
                               struct operand *out)
{
    TRY(check_arg_count(c, node, 1, 3));
    struct operand a;
    TRY(lower_value(c, node->first, temp, EXPR_NUMBER, "round()", &a));
    int64_t digits = 0;
    enum rounding mode = ROUND_HALF_UP;
    uint16_t second = node_at(c, node->first)->next;
    if (second != NODE_NONE) {
        const char *what = "round() takes a number of digits from 0 to 18 that is written out";
        const struct expr_value *value;
        TRY(lower_constant(c, second, temp_after(a, temp), EXPR_NUMBER, what, &value));
        if (value->number.scale != 0 || value->number.mantissa < 0 ||
            value->number.mantissa > DEC_SCALE) {
            return fail_type(c, node_at(c, second)->offset, "%s", what);
        }
        digits = (int64_t)value->number.mantissa;
        uint16_t third = node_at(c, second)->next;
        if (third != NODE_NONE) {
            TRY(lower_constant(c, third, temp_after(a, temp), EXPR_TEXT,
                               "round() takes a mode that is written out", &value));
            if (!rounding_parse(value->text, &mode)) {
                (void)fail_type(c, node_at(c, third)->offset, "there is no such mode of rounding");
                set_hint(c, "modes are half_up half_even half_down up down ceiling floor");
                return ERR_INPUT;
            }
        }
    }
    struct code code = {.op = OP_ROUND,
                        .to = (uint16_t)temp,
                        .more = (uint16_t)((uint32_t)digits | (uint32_t)mode << 8),
                        .offset = node->offset};
    return emit_pure(c, code, a, no_operand, 1, EXPR_NUMBER, out);
}

/* time.hour(), time.hour("Europe/Berlin"), and weekday and date. */
static enum status lower_civil(struct compiler *c, const struct node *node, enum op op,
                               uint32_t temp, struct operand *out)
{
    TRY(check_arg_count(c, node, 1, 2));
    struct operand a;
    TRY(lower(c, node->first, temp, &a));
    if (!may_be(a.type, EXPR_TIME)) {
        (void)fail_type(c, node_at(c, node->first)->offset, "%s() takes a time, not %s",
                        op_name(op), expr_type_phrase(a.type));
        if (a.type == EXPR_TEXT) {
            set_hint(c, "timestamp(text) makes a text a time");
        }
        return ERR_INPUT;
    }
    const struct zone *zone = c->scope->zone_default;
    uint16_t second = node_at(c, node->first)->next;
    if (second != NODE_NONE) {
        const struct expr_value *name;
        TRY(lower_constant(c, second, temp_after(a, temp), EXPR_TEXT,
                           "the zone is a text that is written out", &name));
        if (text_equal(name->text, TEXT("UTC"))) {
            zone = NULL;
        } else if (!c->scope->zone || !c->scope->zone(c->scope->context, name->text, &zone)) {
            (void)expr_fail(c->err, node_at(c, second)->offset, ERR_NOT_FOUND,
                            "there is no zone '%.*s'", TEXT_ARG(name->text));
            set_hint(c, "a name such as Europe/Berlin, or UTC");
            return ERR_NOT_FOUND;
        }
    }
    GROW(c, zones, zone);
    c->zones[c->zone_count] = zone;
    struct code code = {.op = (uint8_t)op,
                        .to = (uint16_t)temp,
                        .more = (uint16_t)c->zone_count++,
                        .offset = node->offset};
    return emit_pure(c, code, a, no_operand, 8, op == OP_DATE ? EXPR_TEXT : EXPR_NUMBER, out);
}

/* timestamp, duration, number, string: from a text, or from what it is already; string from nearly
 * all. */
static enum status lower_conversion(struct compiler *c, const struct node *node, enum op op,
                                    uint32_t temp, struct operand *out)
{
    enum expr_type result = op == OP_TIMESTAMP  ? EXPR_TIME
                            : op == OP_DURATION ? EXPR_DURATION
                            : op == OP_NUMBER   ? EXPR_NUMBER
                                                : EXPR_TEXT;
    TRY(check_arg_count(c, node, 1, 1));
    struct operand a;
    TRY(lower(c, node->first, temp, &a));
    bool is_taken =
        op == OP_STRING ? a.type != EXPR_NULL : may_be(a.type, EXPR_TEXT) || a.type == result;
    if (!is_taken) {
        return fail_type(c, node_at(c, node->first)->offset, "%s() takes %s, not %s", op_name(op),
                         op == OP_STRING ? "a value" : "a text", expr_type_phrase(a.type));
    }
    struct code code = {.op = (uint8_t)op, .to = (uint16_t)temp, .offset = node->offset};
    return emit_pure(c, code, a, no_operand, 4, result, out);
}

/* seconds(duration), seconds(from, to). */
static enum status lower_seconds(struct compiler *c, const struct node *node, uint32_t temp,
                                 struct operand *out)
{
    TRY(check_arg_count(c, node, 1, 2));
    struct operand a, b = no_operand;
    bool is_between = node->child_count == 2;
    TRY(lower(c, node->first, temp, &a));
    if (is_between) {
        TRY(lower(c, node_at(c, node->first)->next, temp_after(a, temp), &b));
    }
    for (int i = 0; i < node->child_count; i++) {
        enum expr_type type = i == 0 ? a.type : b.type;
        bool is_fit =
            is_between ? may_be(type, EXPR_TIME) || type == EXPR_TEXT : may_be(type, EXPR_DURATION);
        if (!is_fit) {
            uint16_t arg = i == 0 ? node->first : node_at(c, node->first)->next;
            return fail_type(c, node_at(c, arg)->offset, "seconds() takes %s, not %s",
                             is_between ? "two times" : "a duration", expr_type_phrase(type));
        }
    }
    struct code code = {.op = is_between ? OP_SECONDS_BETWEEN : OP_SECONDS,
                        .to = (uint16_t)temp,
                        .offset = node->offset};
    return emit_pure(c, code, a, b, is_between ? 4 : 1, EXPR_NUMBER, out);
}

/* Over no elements the body decides nothing, but it must be right. */
static enum status lower_empty_macro(struct compiler *c, const struct node *node, enum op op,
                                     uint16_t body, const struct variable *variable, uint32_t temp,
                                     struct operand *out)
{
    uint32_t start = c->code_count, cost = c->cost;
    c->variables = variable;
    TRY(lower_value(c, body, temp + 1, EXPR_BOOL, op == OP_OR ? "exists()" : "all()", out));
    c->variables = variable->outer;
    c->code_count = start;
    c->cost = cost;
    struct expr_value value = expr_bool(op == OP_AND);
    return add_constant(c, &value, node->offset, out);
}

/* [a, b].exists(x, body) is (body with a for x) || (body with b for x); all() is the same with &&.
 * Elements that are computed are computed once, before the bodies, and a failed one fails the
 * whole. */
static enum status lower_macro(struct compiler *c, const struct node *node, enum op op,
                               uint32_t temp, struct operand *out)
{
    TRY(check_arg_count(c, node, 3, 3));
    const struct node *list = node_at(c, node->first);
    const struct node *name = node_at(c, list->next);
    uint16_t body = name->next;
    if (list->kind != NODE_LIST) {
        return fail_type(c, list->offset, "%.*s() takes a list that is written out",
                         TEXT_ARG(node->text));
    }
    if (name->kind != NODE_NAME || !name->is_plain) {
        return fail_type(c, name->offset, "%.*s() takes the name of a variable here",
                         TEXT_ARG(node->text));
    }
    struct operand *elements = arena_alloc(c->arena, (list->child_count + 1u) * sizeof *elements);
    uint16_t child = list->first;
    uint32_t next = temp + 1; /* temp is the result's, which the elements must outlive */
    for (int i = 0; i < list->child_count; i++, child = node_at(c, child)->next) {
        TRY(lower(c, child, next, &elements[i]));
        if (!is_constant(elements[i])) {
            TRY(move_to(c, next, node->offset, &elements[i]));
            next++;
        }
    }
    struct variable variable = {.name = name->text, .outer = c->variables};
    if (list->child_count == 0) {
        variable.value = operand_of(OPERAND_TEMP, temp, EXPR_DYNAMIC);
        return lower_empty_macro(c, node, op, body, &variable, temp, out);
    }
    for (int i = 0; i < list->child_count; i++) {
        struct operand b;
        uint32_t skip = 0;
        if (i > 0) {
            TRY(emit_skip(c, op, node, temp, *out, &skip));
        }
        variable.value = elements[i];
        c->variables = &variable;
        TRY(lower_value(c, body, next, EXPR_BOOL, op == OP_OR ? "exists()" : "all()", &b));
        c->variables = variable.outer;
        if (i > 0) {
            TRY(lower_logic(c, op, node, temp, *out, skip, b, out));
        } else if (b.type == EXPR_BOOL) {
            *out = b;
            TRY(move_to(c, temp, node->offset, out));
        } else {
            struct code check = {.op = OP_CHECK,
                                 .more = EXPR_BOOL,
                                 .to = (uint16_t)temp,
                                 .a = b.at,
                                 .offset = node->offset};
            TRY(emit(c, check, 1, EXPR_BOOL, out));
        }
    }
    for (int i = list->child_count - 1; i >= 0; i--) {
        if (!is_constant(elements[i])) {
            struct code code = {.op = OP_GUARD,
                                .to = (uint16_t)temp,
                                .a = out->at,
                                .b = elements[i].at,
                                .offset = node->offset};
            TRY(emit(c, code, 1, EXPR_BOOL, out));
        }
    }
    return OK;
}

/* ---- calls ---------------------------------------------------------------------------------- */

static const char *const function_names[] = {
    "has",    "exists", "all",        "size",     "matches",   "min",      "max",
    "round",  "hour",   "weekday",    "date",     "timestamp", "duration", "seconds",
    "number", "string", "startsWith", "endsWith", "contains",  "lower",    "upper",
    "abs",    "ceil",   "floor",      "round_up",
};

static enum status fail_function(struct compiler *c, const struct node *node)
{
    enum { BUILTIN_COUNT = sizeof function_names / sizeof function_names[0] };
    (void)expr_fail(c->err, node->offset, ERR_NOT_FOUND, "there is no function '%.*s' here",
                    TEXT_ARG(node->text));
    size_t count = c->scope->function_count + BUILTIN_COUNT;
    struct text *names = arena_alloc(c->arena, count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] =
            i < BUILTIN_COUNT ? text_of(function_names[i]) : c->scope->functions[i - BUILTIN_COUNT];
    }
    static const char *const others[][2] = {
        {"int", "number"},         {"uint", "number"},      {"double", "number"},
        {"text", "string"},        {"getHours", "hour"},    {"getDayOfWeek", "weekday"},
        {"lowerAscii", "lower"},   {"upperAscii", "upper"}, {"starts_with", "startsWith"},
        {"ends_with", "endsWith"}, {"len", "size"},         {"length", "size"},
        {"ceiling", "ceil"},       {"roundUp", "round_up"}, {"now", "time"},
    };
    struct text nearest = text_nearest(node->text, names, count);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (text_equal(node->text, text_of(others[i][0]))) {
            nearest = text_of(others[i][1]);
        }
    }
    if (nearest.size > 0) {
        set_hint(c, "did you mean %.*s?", TEXT_ARG(nearest));
    }
    return ERR_NOT_FOUND;
}

static void note_call(struct compiler *c, uint32_t slot, uint32_t arg_count)
{
    GROW(c, calls, call);
    c->calls[c->call_count++] = (struct call_use){.slot = slot, .arg_count = arg_count};
}

/* A function of the scope: its arguments in temps that follow each other. */
static enum status lower_call(struct compiler *c, const struct node *node, uint32_t temp,
                              struct operand *out)
{
    enum expr_type types[EXPR_ARGS_MAX];
    struct expr_value values[EXPR_ARGS_MAX];
    const struct expr_value *constants[EXPR_ARGS_MAX];
    uint16_t args[EXPR_ARGS_MAX], child = node->first;
    if (!c->scope->call) {
        return fail_function(c, node);
    }
    TRY(check_arg_count(c, node, 0, EXPR_ARGS_MAX));
    for (uint32_t i = 0; i < node->child_count; i++, child = node_at(c, child)->next) {
        struct operand arg;
        args[i] = child;
        TRY(lower(c, child, temp + i, &arg));
        constants[i] = constant_of(c, arg);
        if (constants[i]) {
            values[i] = *constants[i]; /* the array it is in may grow */
            constants[i] = &values[i];
        }
        types[i] = arg.type;
        TRY(move_to(c, temp + i, node_at(c, child)->offset, &arg));
    }
    struct expr_call call = {
        .name = node->text, .arg_count = node->child_count, .types = types, .constants = constants};
    struct expr_function function = {.type = EXPR_DYNAMIC, .fault_arg = -1};
    struct error error = {.status = OK};
    enum status status = c->scope->call(c->scope->context, &call, &function, &error);
    if (status == ERR_NOT_FOUND && error.message[0] == '\0') {
        return fail_function(c, node);
    }
    if (status != OK) {
        bool has_arg = function.fault_arg >= 0 && function.fault_arg < node->child_count;
        size_t offset = has_arg ? node_at(c, args[function.fault_arg])->offset : node->offset;
        (void)expr_fail(c->err, offset, status, "%s", error.message);
        set_hint(c, "%s", error.hint);
        return status;
    }
    assert(function.type >= EXPR_NULL && function.type != EXPR_OTHER &&
           function.type != EXPR_ERROR);
    struct code code = {.op = OP_CALL,
                        .to = (uint16_t)temp,
                        .a = operand_of(OPERAND_TEMP, temp, EXPR_DYNAMIC).at,
                        .more = (uint16_t)c->call_count,
                        .offset = node->offset};
    note_call(c, function.slot, node->child_count);
    return emit(c, code, function.cost ? function.cost : 16, function.type, out);
}

/* Not inlined: chains of operators recurse through lower(), whose frame should be small; calls nest
 * no deeper than brackets. */
static __attribute__((noinline)) enum status
lower_function(struct compiler *c, const struct node *node, uint32_t temp, struct operand *out)
{
    static const struct {
        const char *name;
        enum op op;
        enum status (*lower)(struct compiler *c, const struct node *node, enum op op, uint32_t temp,
                             struct operand *out);
    } special[] = {
        {"exists", OP_OR, lower_macro},
        {"all", OP_AND, lower_macro},
        {"min", OP_MIN, lower_extreme},
        {"max", OP_MAX, lower_extreme},
        {"hour", OP_HOUR, lower_civil},
        {"weekday", OP_WEEKDAY, lower_civil},
        {"date", OP_DATE, lower_civil},
        {"timestamp", OP_TIMESTAMP, lower_conversion},
        {"duration", OP_DURATION, lower_conversion},
        {"number", OP_NUMBER, lower_conversion},
        {"string", OP_STRING, lower_conversion},
    };
    static const struct {
        const char *name;
        enum status (*lower)(struct compiler *c, const struct node *node, uint32_t temp,
                             struct operand *out);
    } plain[] = {{"has", lower_has},
                 {"size", lower_size},
                 {"matches", lower_matches},
                 {"round", lower_round},
                 {"seconds", lower_seconds}};
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++) {
        if (text_equal(node->text, text_of(builtins[i].name))) {
            return lower_builtin(c, node, &builtins[i], temp, out);
        }
    }
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        if (text_equal(node->text, text_of(special[i].name))) {
            return special[i].lower(c, node, special[i].op, temp, out);
        }
    }
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (text_equal(node->text, text_of(plain[i].name))) {
            return plain[i].lower(c, node, temp, out);
        }
    }
    return lower_call(c, node, temp, out);
}

static enum status lower(struct compiler *c, uint16_t index, uint32_t temp, struct operand *out)
{
    const struct node *node = node_at(c, index);
    if (++c->work > WORK_MAX) {
        return fail_size(c, node->offset);
    }
    switch ((enum node_kind)node->kind) {
    case NODE_LITERAL:
        return add_constant(c, node->value, node->offset, out);
    case NODE_NAME:
        return lower_name(c, node, out);
    case NODE_UNARY:
        return lower_unary(c, node, temp, out);
    case NODE_BINARY:
        return lower_binary(c, node, temp, out);
    case NODE_CHOICE:
        return lower_choice(c, node, temp, out);
    case NODE_LIST:
        return fail_list(c, node);
    case NODE_CALL:
        return lower_function(c, node, temp, out);
    }
    return fail_list(c, node);
}

/* ---- compiling ------------------------------------------------------------------------------ */

static int compare_slots(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Sorts, and keeps one of each. */
static size_t make_set(uint32_t *slots, size_t count)
{
    size_t kept = 0;
    qsort(slots, count, sizeof *slots, compare_slots);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || slots[i] != slots[kept - 1]) {
            slots[kept++] = slots[i];
        }
    }
    return kept;
}

static void list_uses(struct compiler *c, struct expr *expr)
{
    uint32_t *slots = arena_alloc(c->arena, (c->name_count + c->call_count) * sizeof *slots);
    uint32_t *calls = slots + c->name_count;
    for (uint32_t i = 0; i < c->name_count; i++) {
        slots[i] = c->names[i].slot;
    }
    for (uint32_t i = 0; i < c->call_count; i++) {
        calls[i] = c->calls[i].slot;
    }
    expr->slots = slots;
    expr->slot_count = make_set(slots, c->name_count);
    expr->call_slots = calls;
    expr->call_slot_count = make_set(calls, c->call_count);
}

/* Gives the result the wanted type, or finds that it cannot have it. */
static enum status finish(struct compiler *c, enum expr_type wanted, struct operand *result)
{
    const struct node *root = node_at(c, c->tree.root);
    if (is_constant(*result)) {
        result->type =
            constant_of(c, *result)->type; /* which a choice has called dynamic, perhaps */
    }
    if (wanted != EXPR_DYNAMIC && !may_be(result->type, wanted)) {
        return fail_type(c, root->offset, "%s is wanted here, not %s", expr_type_phrase(wanted),
                         expr_type_phrase(result->type));
    }
    if (wanted != EXPR_DYNAMIC && result->type == EXPR_DYNAMIC) {
        struct code code = {
            .op = OP_CHECK, .more = (uint16_t)wanted, .a = result->at, .offset = root->offset};
        TRY(emit(c, code, 1, wanted, result));
    }
    return add_code(c, (struct code){.op = OP_RETURN, .a = result->at, .offset = root->offset}, 1);
}

static const struct dec_divisor *make_divisor(struct arena *arena, const struct expr *expr)
{
    const struct code *code = expr->code;
    if (expr->shape != SHAPE_SUM || code->op != OP_DIVIDE ||
        code->b >> OPERAND_SHIFT != OPERAND_CONSTANT) {
        return NULL;
    }
    const struct expr_value *value = &expr->constants[code->b & OPERAND_MASK];
    if (value->type != EXPR_NUMBER || dec_is_zero(value->number)) {
        return NULL;
    }
    struct dec_divisor *divisor = arena_alloc(arena, sizeof *divisor);
    dec_divisor_init(divisor, value->number);
    return divisor;
}

enum status expr_compile(struct arena *arena, struct text source, const struct expr_scope *scope,
                         enum expr_type wanted, const struct expr **out, struct expr_error *err)
{
    struct compiler c = {.arena = arena, .scope = scope, .err = err};
    struct expr_value null = {.type = EXPR_NULL};
    struct operand result;
    *out = NULL;
    TRY(expr_parse(arena, source, &c.tree, err));
    TRY(add_constant(&c, &null, 0, &result)); /* what no_operand points to */
    TRY(lower(&c, c.tree.root, 0, &result));
    TRY(finish(&c, wanted, &result));
    struct expr *expr = arena_alloc(arena, sizeof *expr);
    view_code(&c, expr);
    expr->type = result.type;
    list_uses(&c, expr);
    bool has_inputs = c.name_count > 0 || c.call_count > 0;
    if (!has_inputs && !is_constant(result)) {
        struct expr_value value;
        expr_run(expr, NULL, arena, &value);
        if (value.type == EXPR_ERROR) {
            struct error error;
            expr_describe(expr, &value, &error);
            return expr_fail(err, value.failure.offset, value.failure.status, "%s", error.message);
        }
        /* Some part fails, and && or || absorbs it. */
        c.code_count = 0;
        TRY(add_constant(&c, &value, 0, &result));
        TRY(finish(&c, wanted, &result));
        view_code(&c, expr);
        expr->type = result.type;
        list_uses(&c, expr);
    }
    expr->divisor = make_divisor(arena, expr);
    *out = expr;
    return OK;
}

/* ---- asking --------------------------------------------------------------------------------- */

enum expr_type expr_result_type(const struct expr *expr)
{
    return expr->type;
}
uint32_t expr_cost(const struct expr *expr)
{
    return expr->cost;
}

bool expr_is_constant(const struct expr *expr, struct expr_value *value)
{
    struct operand result = {expr->code[0].a, expr->type};
    if (expr->code_count != 1 || !is_constant(result)) {
        return false;
    }
    if (value) {
        *value = expr->constants[result.at & OPERAND_MASK];
    }
    return true;
}

bool expr_uses(const struct expr *expr, uint32_t slot)
{
    for (size_t i = 0; i < expr->slot_count; i++) {
        if (expr->slots[i] == slot) {
            return true;
        }
    }
    return false;
}

const uint32_t *expr_slots(const struct expr *expr, size_t *count)
{
    *count = expr->slot_count;
    return expr->slots;
}

const uint32_t *expr_calls(const struct expr *expr, size_t *count)
{
    *count = expr->call_slot_count;
    return expr->call_slots;
}
