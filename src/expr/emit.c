/* emit.c - see compile.h.  Writes code, folds what is constant, and makes the expression of it. */
#include <stdlib.h>

#include "expr/compile.h"

#include "base/nofloat.h"

/* ---- operands and instructions -------------------------------------------------------------- */

enum status fail_size(struct compiler *c, size_t offset)
{
    return expr_fail(c->err, offset, ERR_LIMIT, "the expression is too complex");
}

enum status add_constant(struct compiler *c, const struct expr_value *value, size_t offset,
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

enum status add_code(struct compiler *c, struct code code, uint32_t cost)
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

enum status emit(struct compiler *c, struct code code, uint32_t cost, enum expr_type type,
                 struct operand *out)
{
    TRY(add_code(c, code, cost));
    *out = operand_of(OPERAND_TEMP, code.to, type);
    return OK;
}

enum status move_to(struct compiler *c, uint32_t temp, size_t offset, struct operand *operand)
{
    if (is_temp(*operand, temp)) {
        return OK;
    }
    struct code code = {
        .op = OP_MOVE, .to = (uint16_t)temp, .a = operand->at, .offset = (uint16_t)offset};
    return emit(c, code, 1, operand->type, operand);
}

/* ---- folding -------------------------------------------------------------------------------- */

/* What is written so far; SHAPE_ANY, which is right of any code. */
static void view_code(const struct compiler *c, struct expr *expr)
{
    *expr = (struct expr){.code = c->code,
                          .constants = c->constants,
                          .code_count = (uint16_t)c->code_count,
                          .temp_count = (uint16_t)c->temp_count,
                          .cost = c->cost,
                          .zones = c->zones,
                          .zone_count = c->zone_count,
                          .patterns = c->patterns,
                          .names = c->names,
                          .name_count = c->name_count,
                          .calls = c->calls,
                          .call_count = c->call_count,
                          .tree = c->tree};
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

enum status emit_pure(struct compiler *c, struct code code, struct operand a, struct operand b,
                      uint32_t cost, enum expr_type type, struct operand *out)
{
    code.a = a.at;
    code.b = b.at;
    TRY(emit(c, code, cost, type, out));
    if (is_constant(a) && is_constant(b)) {
        return fold(c, out);
    }
    return OK;
}

/* ---- the expression ------------------------------------------------------------------------- */

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

void make_expr(struct compiler *c, enum expr_type type, struct expr *expr)
{
    view_code(c, expr);
    expr->type = type;
    expr->shape = shape_of(c);
    list_uses(c, expr);
    expr->divisor = make_divisor(c->arena, expr);
}
