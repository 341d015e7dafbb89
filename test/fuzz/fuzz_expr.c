/* fuzz_expr.c - any bytes as an expression.
 *
 * The first letter of a name is its type (n number, t text, b bool, w time, l duration, else
 * dynamic), its length chooses the value; any function is known. What compiles must stay within the
 * limits, evaluate twice to the same, and mean the same when it is written out and read again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "expr/expr.h"

enum { VALUES = 8 };

static const enum expr_type letters[256] = {
    ['n'] = EXPR_NUMBER, ['t'] = EXPR_TEXT,     ['b'] = EXPR_BOOL,
    ['w'] = EXPR_TIME,   ['l'] = EXPR_DURATION,
};

static const struct expr_value *values(void)
{
    static struct expr_value slots[6 * VALUES];
    for (int i = 0; i < VALUES; i++) {
        slots[i] = expr_number((struct dec){i * 7 - 10, 0});
        slots[VALUES + i] = expr_text((struct text){"aab.large", (size_t)i});
        slots[2 * VALUES + i] = expr_bool(i % 2);
        slots[3 * VALUES + i] = expr_time(i * NS_PER_DAY * 31 + i);
        slots[4 * VALUES + i] =
            (struct expr_value){.type = EXPR_DURATION, .duration_ns = i * NS_PER_HOUR - 5};
    }
    struct expr_value *dynamic = &slots[5 * VALUES];
    dynamic[0] = (struct expr_value){.type = EXPR_MISSING};
    dynamic[1] = (struct expr_value){.type = EXPR_NULL};
    dynamic[2] = (struct expr_value){.type = EXPR_OTHER};
    dynamic[3] = (struct expr_value){.type = EXPR_ERROR,
                                     .failure = {.fault = EXPR_FAULT_VALUE, .status = ERR_INPUT}};
    dynamic[4] = slots[3];
    dynamic[5] = slots[VALUES + 3];
    dynamic[6] = slots[2 * VALUES + 1];
    dynamic[7] = slots[3 * VALUES];
    return slots;
}

static bool resolve(void *context, struct text path, struct expr_name *out)
{
    static const uint32_t groups[] = {
        [EXPR_NUMBER] = 0, [EXPR_TEXT] = 1, [EXPR_BOOL] = 2, [EXPR_TIME] = 3, [EXPR_DURATION] = 4};
    (void)context;
    enum expr_type type = letters[(unsigned char)path.at[0]];
    out->type = type ? type : EXPR_DYNAMIC;
    out->slot = (uint32_t)((type ? groups[type] : 5) * VALUES + path.size % VALUES);
    return path.at[0] != 'x'; /* variables of exists() are often called so */
}

static enum status resolve_call(void *context, const struct expr_call *call,
                                struct expr_function *out, struct error *err)
{
    (void)context;
    out->slot = (uint32_t)call->name.size;
    out->type = call->name.size % 2 ? EXPR_NUMBER : EXPR_DYNAMIC;
    return call->arg_count < 9 ? OK : fail(err, ERR_INPUT, "too many");
}

static enum status answer_call(void *context, uint32_t slot, const struct expr_value *args,
                               size_t arg_count, struct arena *scratch, struct expr_value *out,
                               struct error *err)
{
    (void)context;
    (void)scratch;
    if (slot == 4) {
        return fail(err, ERR_NOT_FOUND, "no such key");
    }
    *out = slot % 2 || arg_count == 0 ? expr_number((struct dec){(int)slot, 0}) : args[0];
    return OK;
}

static bool is_same(const struct expr_value *a, const struct expr_value *b)
{
    return a->type == b->type && (a->type == EXPR_OTHER || expr_value_equal(a, b) ||
                                  (a->type == EXPR_ERROR && a->failure.fault == b->failure.fault));
}

static void check(struct arena *arena, struct text source, enum expr_type wanted)
{
    static const struct text hints[] = {{"quantity", 8}, {"data.seconds", 12}};
    struct expr_scope scope = {
        .resolve = resolve, .call = resolve_call, .names = hints, .name_count = 2};
    struct expr_env env = {.slots = values(), .call = answer_call};
    const struct expr *expr, *again;
    struct expr_error err;
    struct expr_value first, second;
    struct error error;
    if (expr_compile(arena, source, &scope, wanted, &expr, &err) != OK) {
        assert(err.offset <= source.size && err.error.message[0] != '\0');
        assert(err.error.status == ERR_INPUT || err.error.status == ERR_NOT_FOUND ||
               err.error.status == ERR_LIMIT || err.error.status == ERR_OVERFLOW);
        return;
    }
    assert(source.size <= EXPR_SOURCE_MAX_BYTES && expr_cost(expr) <= EXPR_COST_MAX);
    enum status status = expr_eval(expr, &env, arena, &first, &error);
    assert(status == (first.type == EXPR_ERROR ? first.failure.status : OK));
    assert(status != OK || wanted == EXPR_DYNAMIC || first.type == wanted);
    assert(status == OK || (error.message[0] != '\0' && first.failure.offset < source.size));
    assert(!expr_is_constant(expr, &second) || is_same(&first, &second));
    (void)!expr_eval(expr, &env, arena, &second, NULL);
    assert(is_same(&first, &second));
    struct buffer written, rewritten;
    buffer_init(&written, arena, 64);
    buffer_init(&rewritten, arena, 64);
    expr_format(expr, &env, &rewritten);
    rewritten.size = 0;
    expr_format(expr, NULL, &written);
    if (written.size > EXPR_SOURCE_MAX_BYTES) {
        return; /* escapes and blanks have made it longer */
    }
    if (expr_compile(arena, buffer_text(&written), &scope, wanted, &again, &err) != OK) {
        abort();
    }
    expr_format(again, NULL, &rewritten);
    assert(text_equal(buffer_text(&written), buffer_text(&rewritten)));
    (void)!expr_eval(again, &env, arena, &second, NULL);
    assert(is_same(&first, &second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    jmp_buf recover;
    arena_init(&arena, NULL, 64 * 1024 * 1024);
    if (ARENA_RECOVER(&arena, recover)) {
        abort(); /* the limits keep an expression far below this */
    }
    static const enum expr_type wanted[] = {EXPR_DYNAMIC, EXPR_NUMBER, EXPR_BOOL, EXPR_TEXT};
    if (size > 0) {
        check(&arena, (struct text){(const char *)data + 1, size - 1}, wanted[data[0] % 4]);
    }
    arena_release(&arena);
    return 0;
}
