/* check.c - see compile.h.  Types the tree while it is lowered, node by node, and reads names.
 *
 * exists() and all() are no loops: their bodies are lowered once for each element, with the
 * variable standing for it, which is why a list must be written out.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/nearest.h"
#include "expr/compile.h"

#include "base/nofloat.h"

enum { WORK_MAX = 65'536 };

/* ---- failures ------------------------------------------------------------------------------- */

enum status fail_type(struct compiler *c, size_t offset, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return expr_fail(c->err, offset, ERR_INPUT, "%s", message);
}

void set_hint(struct compiler *c, const char *format, ...)
{
    if (c->err) {
        va_list args;
        va_start(args, format);
        vsnprintf(c->err->error.hint, sizeof c->err->error.hint, format, args);
        va_end(args);
    }
}

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

enum status lower_has(struct compiler *c, const struct node *node, enum op op, uint32_t temp,
                      struct operand *out)
{
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
    struct code code = {.op = (uint8_t)op, .to = (uint16_t)temp, .a = a.at, .offset = node->offset};
    return emit(c, code, 1, EXPR_BOOL, out);
}

/* ---- operators ------------------------------------------------------------------------------ */

/* True when the operand is known to be true or false now. */
static bool is_known(const struct compiler *c, struct operand operand, bool *truth)
{
    const struct expr_value *value = constant_of(c, operand);
    *truth = value && value->type == EXPR_BOOL && value->truth;
    return value && value->type == EXPR_BOOL;
}

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
    if (!value || value->type != EXPR_TEXT || !find_name(c, node, &name)) {
        return OK;
    }
    if (!name.choices) {
        if (c->scope->compared) {
            c->scope->compared(c->scope->context, name.slot, value->text, other->offset);
        }
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

enum status lower_value(struct compiler *c, uint16_t index, uint32_t temp, enum expr_type wanted,
                        const char *who, struct operand *out)
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
        (void)fail_type(c, node->offset, "'%s' cannot take %s and %s", op_name(node->op),
                        expr_type_phrase(a.type), expr_type_phrase(b.type));
        if ((node->op == OP_EQUAL || node->op == OP_UNEQUAL) &&
            ((a.type == EXPR_TEXT && b.type == EXPR_BOOL) ||
             (a.type == EXPR_BOOL && b.type == EXPR_TEXT))) {
            set_hint(c, "a dimension is a text: \"true\", \"false\"");
        }
        return ERR_INPUT;
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

/* ---- exists() and all() --------------------------------------------------------------------- */

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
enum status lower_macro(struct compiler *c, const struct node *node, enum op op, uint32_t temp,
                        struct operand *out)
{
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

/* ---- any node ------------------------------------------------------------------------------- */

enum status lower(struct compiler *c, uint16_t index, uint32_t temp, struct operand *out)
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
    make_expr(&c, result.type, expr);
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
        make_expr(&c, result.type, expr);
    }
    *out = expr;
    return OK;
}

/* ---- asking ---------------------------------------------------------------------------------
 */

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

const struct zone *const *expr_zones(const struct expr *expr, size_t *count)
{
    *count = expr->zone_count;
    return expr->zones;
}
