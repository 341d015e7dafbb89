/* functions.c - see compile.h.  What can be called: a function of the language is a row of
 * builtins, any other is asked of the scope.  Whoever adds one adds its row, its op (code.h), what
 * that does (eval.c) and its row in doc/expressions.md.
 */
#include <stdio.h>

#include "base/nearest.h"
#include "expr/compile.h"
#include "expr/regex.h"

#include "base/nofloat.h"

/* ---- arguments ------------------------------------------------------------------------------ */

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

/* ---- functions of the language --------------------------------------------------------------- */

static enum status lower_size(struct compiler *c, const struct node *node, enum op, uint32_t temp,
                              struct operand *out)
{
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

static enum status lower_matches(struct compiler *c, const struct node *node, enum op,
                                 uint32_t temp, struct operand *out)
{
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
static enum status lower_round(struct compiler *c, const struct node *node, enum op, uint32_t temp,
                               struct operand *out)
{
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
static enum status lower_seconds(struct compiler *c, const struct node *node, enum op,
                                 uint32_t temp, struct operand *out)
{
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

/* A function of the language.  Its arguments are counted before lower is called; without one it
 * takes values of fixed types. */
struct builtin {
    const char *name;
    enum op op;
    int arg_min, arg_max;
    enum status (*lower)(struct compiler *c, const struct node *node, enum op op, uint32_t temp,
                         struct operand *out);
    enum expr_type first, second, result;
};

static const struct builtin builtins[] = {
    {"has", OP_HAS, 1, 1, .lower = lower_has},
    {"exists", OP_OR, 3, 3, .lower = lower_macro},
    {"all", OP_AND, 3, 3, .lower = lower_macro},
    {"size", OP_SIZE, 1, 1, .lower = lower_size},
    {"matches", OP_MATCHES, 2, 2, .lower = lower_matches},
    {"min", OP_MIN, 2, EXPR_ARGS_MAX, .lower = lower_extreme},
    {"max", OP_MAX, 2, EXPR_ARGS_MAX, .lower = lower_extreme},
    {"round", OP_ROUND, 1, 3, .lower = lower_round},
    {"hour", OP_HOUR, 1, 2, .lower = lower_civil},
    {"weekday", OP_WEEKDAY, 1, 2, .lower = lower_civil},
    {"date", OP_DATE, 1, 2, .lower = lower_civil},
    {"timestamp", OP_TIMESTAMP, 1, 1, .lower = lower_conversion},
    {"duration", OP_DURATION, 1, 1, .lower = lower_conversion},
    {"seconds", OP_SECONDS, 1, 2, .lower = lower_seconds},
    {"number", OP_NUMBER, 1, 1, .lower = lower_conversion},
    {"string", OP_STRING, 1, 1, .lower = lower_conversion},
    {"startsWith", OP_STARTS_WITH, 2, 2, NULL, EXPR_TEXT, EXPR_TEXT, EXPR_BOOL},
    {"endsWith", OP_ENDS_WITH, 2, 2, NULL, EXPR_TEXT, EXPR_TEXT, EXPR_BOOL},
    {"contains", OP_CONTAINS, 2, 2, NULL, EXPR_TEXT, EXPR_TEXT, EXPR_BOOL},
    {"lower", OP_LOWER, 1, 1, NULL, EXPR_TEXT, .result = EXPR_TEXT},
    {"upper", OP_UPPER, 1, 1, NULL, EXPR_TEXT, .result = EXPR_TEXT},
    {"abs", OP_ABS, 1, 1, NULL, EXPR_NUMBER, .result = EXPR_NUMBER},
    {"ceil", OP_CEIL, 1, 1, NULL, EXPR_NUMBER, .result = EXPR_NUMBER},
    {"floor", OP_FLOOR, 1, 1, NULL, EXPR_NUMBER, .result = EXPR_NUMBER},
    {"round_up", OP_ROUND_UP, 2, 2, NULL, EXPR_NUMBER, EXPR_NUMBER, EXPR_NUMBER},
};
enum { BUILTIN_COUNT = sizeof builtins / sizeof builtins[0] };

static enum status lower_typed(struct compiler *c, const struct node *node,
                               const struct builtin *builtin, uint32_t temp, struct operand *out)
{
    char who[32];
    snprintf(who, sizeof who, "%s()", builtin->name);
    struct operand a, b = no_operand;
    TRY(lower_value(c, node->first, temp, builtin->first, who, &a));
    if (builtin->arg_max == 2) {
        TRY(lower_value(c, node_at(c, node->first)->next, temp_after(a, temp), builtin->second, who,
                        &b));
    }
    struct code code = {.op = (uint8_t)builtin->op, .to = (uint16_t)temp, .offset = node->offset};
    return emit_pure(c, code, a, b, builtin->first == EXPR_TEXT ? 4 : 1, builtin->result, out);
}

/* ---- functions of the scope ------------------------------------------------------------------ */

static enum status fail_function(struct compiler *c, const struct node *node)
{
    (void)expr_fail(c->err, node->offset, ERR_NOT_FOUND, "there is no function '%.*s' here",
                    TEXT_ARG(node->text));
    size_t count = c->scope->function_count + BUILTIN_COUNT;
    struct text *names = arena_alloc(c->arena, count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] =
            i < BUILTIN_COUNT ? text_of(builtins[i].name) : c->scope->functions[i - BUILTIN_COUNT];
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

/* ---- any call ------------------------------------------------------------------------------- */

/* Not inlined: chains of operators recurse through lower(), whose frame should be small; calls nest
 * no deeper than brackets. */
__attribute__((noinline)) enum status lower_function(struct compiler *c, const struct node *node,
                                                     uint32_t temp, struct operand *out)
{
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        const struct builtin *builtin = &builtins[i];
        if (text_equal(node->text, text_of(builtin->name))) {
            TRY(check_arg_count(c, node, builtin->arg_min, builtin->arg_max));
            return builtin->lower ? builtin->lower(c, node, builtin->op, temp, out)
                                  : lower_typed(c, node, builtin, temp, out);
        }
    }
    return lower_call(c, node, temp, out);
}
