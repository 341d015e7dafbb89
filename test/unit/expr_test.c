/* expr_test.c - the expression language: a table of cases, the limits, and 20,000 random
 * expressions against an evaluator of its own in Python (test/oracle/expr.py), a million with
 * FARTHING_LONG=1.
 *
 * FARTHING_SEED chooses the random expressions; a failure prints the seed, the expression and its
 * names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expr/expr.h"

#include "table.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* ---- the scope of the tests ------------------------------------------------------------------ */

static const struct {
    const char *name;
    enum expr_type type;
    const char *value; /* when a row binds none */
} names[] = {
    {"quantity", EXPR_NUMBER, "7200"},
    {"rate", EXPR_NUMBER, "0.25"},
    {"sku", EXPR_TEXT, "\"vm.large\""},
    {"region", EXPR_TEXT, "\"eu-1\""},
    {"flag", EXPR_BOOL, "true"},
    {"closed", EXPR_BOOL, "false"},
    {"time", EXPR_TIME, "timestamp(\"2026-07-01T22:30:00Z\")"},
    {"start", EXPR_TIME, "timestamp(\"2026-07-01T00:00:00Z\")"},
    {"length", EXPR_DURATION, "duration(\"90s\")"},
    {"data.a", EXPR_DYNAMIC, "missing"},
    {"data.b", EXPR_DYNAMIC, "missing"},
    {"data.c.d", EXPR_DYNAMIC, "missing"},
    {"data[\"x-y\"]", EXPR_DYNAMIC, "5"},
    {"attributes.factor", EXPR_NUMBER, "4"},
    {"customer.tax.country", EXPR_TEXT, "\"DE\""},
};

enum {
    NAME_COUNT = sizeof names / sizeof names[0],
    CALL_LOOKUP = 10,
    CALL_PEAK,
    CALL_USAGE,
    CALL_SPOT
};

static const struct expr_value ten = {.type = EXPR_NUMBER, .number = {10, 0}};

static bool resolve(void *context, struct text path, struct expr_name *out)
{
    (void)context;
    if (text_equal(path, TEXT("ten"))) {
        out->constant = &ten;
        return true;
    }
    for (uint32_t i = 0; i < NAME_COUNT; i++) {
        if (text_equal(path, text_of(names[i].name))) {
            out->type = names[i].type;
            out->slot = i;
            return true;
        }
    }
    return false;
}

/* lookup("vat", country) is a number, lookup("sp", a, b) whatever it is; in_calendar("peak");
 * usage(text); spot(). */
static enum status resolve_call(void *context, const struct expr_call *call,
                                struct expr_function *out, struct error *err)
{
    (void)context;
    const struct expr_value *first = call->arg_count > 0 ? call->constants[0] : NULL;
    if (text_equal(call->name, TEXT("lookup"))) {
        out->fault_arg = 0;
        if (!first || first->type != EXPR_TEXT) {
            return (fail)(err, ERR_INPUT, "the table's name must be written out");
        }
        bool is_vat = text_equal(first->text, TEXT("vat"));
        if (!is_vat && !text_equal(first->text, TEXT("sp"))) {
            (void)(fail)(err, ERR_NOT_FOUND, "there is no table '%.*s'", TEXT_ARG(first->text));
            return fail_hint(err, "tables are vat and sp");
        }
        out->fault_arg = -1;
        if (call->arg_count != (is_vat ? 2 : 3)) {
            return (fail)(err, ERR_INPUT, "the table has other keys");
        }
        out->type = is_vat ? EXPR_NUMBER : EXPR_DYNAMIC;
        out->slot = CALL_LOOKUP;
        return OK;
    }
    if (text_equal(call->name, TEXT("in_calendar")) && call->arg_count == 1) {
        out->type = EXPR_BOOL;
        out->slot = CALL_PEAK;
        return OK;
    }
    if (text_equal(call->name, TEXT("usage")) && call->arg_count == 1) {
        if (call->types[0] != EXPR_TEXT) {
            out->fault_arg = 0;
            return (fail)(err, ERR_INPUT, "usage() takes a text");
        }
        out->type = EXPR_NUMBER;
        out->slot = CALL_USAGE;
        out->cost = 100;
        return OK;
    }
    if (text_equal(call->name, TEXT("spot")) && call->arg_count == 0) {
        out->type = EXPR_DYNAMIC;
        out->slot = CALL_SPOT;
        return OK;
    }
    return ERR_NOT_FOUND;
}

static enum status answer_call(void *context, uint32_t slot, const struct expr_value *args,
                               size_t arg_count, struct arena *scratch, struct expr_value *out,
                               struct error *err)
{
    (void)context;
    for (size_t i = 0; i < arg_count; i++) {
        assert_true(args[i].type >= EXPR_NULL && args[i].type <= EXPR_OTHER);
    }
    switch (slot) {
    case CALL_LOOKUP:
        if (arg_count == 2 && args[1].type == EXPR_TEXT && text_equal(args[1].text, TEXT("DE"))) {
            *out = expr_number(dec_from_int(19));
            return OK;
        }
        if (arg_count == 3) {
            *out = args[1].type == EXPR_TEXT
                       ? expr_text(text_join(scratch, args[1].text, TEXT("!")))
                       : args[1];
            return OK;
        }
        return (fail)(err, ERR_NOT_FOUND, "the table 'vat' has no such row");
    case CALL_PEAK:
        *out = expr_bool(text_equal(args[0].text, TEXT("peak")));
        return OK;
    case CALL_USAGE:
        *out = expr_number(dec_from_int((int64_t)args[0].text.size));
        return OK;
    default:
        *out = expr_number(dec_from_int(42));
        return OK;
    }
}

/* The zone of a POSIX rule needs no file: an empty table and a footer. */
static const struct zone *berlin;

static bool resolve_zone(void *context, struct text name, const struct zone **zone)
{
    (void)context;
    *zone = berlin;
    return text_equal(name, TEXT("Europe/Berlin"));
}

static struct expr_scope test_scope(void)
{
    static struct text hints[NAME_COUNT];
    static const struct text functions[] = {{"lookup", 6}, {"in_calendar", 11}, {"usage", 5}};
    for (size_t i = 0; i < NAME_COUNT; i++) {
        hints[i] = text_of(names[i].name);
    }
    return (struct expr_scope){.resolve = resolve,
                               .call = resolve_call,
                               .zone = resolve_zone,
                               .names = hints,
                               .name_count = NAME_COUNT,
                               .functions = functions,
                               .function_count = 3};
}

static struct arena arena;
static jmp_buf recovery;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 0);
    /* A version 2 file: an empty version 1 block, then one with a type and no changes, then the
     * footer. */
    static const char header[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" /* 20 bytes */
                                 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4"
                                 "\0\0\16\20\0\0"
                                 "CET";
    static const char footer[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
    char bytes[256];
    size_t block = sizeof header, size = 0;
    memcpy(bytes, header, block);
    memcpy(bytes + block, header, block);
    size = 2 * block;
    memcpy(bytes + size, footer, sizeof footer - 1);
    size += sizeof footer - 1;
    struct error err;
    enum status status =
        zone_parse(&arena, TEXT("Europe/Berlin"), (struct text){bytes, size}, &berlin, &err);
    if (status != OK) {
        fprintf(stderr, "%s\n", err.message);
    }
    assert_int_equal(status, OK);
    if (ARENA_RECOVER(&arena, recovery)) {
        abort();
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static enum status compile(const char *source, enum expr_type wanted, const struct expr **expr,
                           struct expr_error *err)
{
    struct expr_scope scope = test_scope();
    return expr_compile(&arena, text_of(source), &scope, wanted, expr, err);
}

/* ---- bindings and results ---------------------------------------------------------------------
 */

static struct expr_value read_value(struct text text)
{
    static const struct expr_scope empty;
    struct expr_value value = {.type = EXPR_MISSING};
    if (text_equal(text, TEXT("missing"))) {
        return value;
    }
    if (text_equal(text, TEXT("other"))) {
        return (struct expr_value){.type = EXPR_OTHER};
    }
    if (text_equal(text, TEXT("broken"))) {
        return (struct expr_value){.type = EXPR_ERROR,
                                   .failure = {.fault = EXPR_FAULT_VALUE,
                                               .status = ERR_INPUT,
                                               .detail = "the number has too many digits"}};
    }
    const struct expr *expr;
    struct expr_error err;
    if (expr_compile(&arena, text, &empty, EXPR_DYNAMIC, &expr, &err) != OK ||
        !expr_is_constant(expr, &value)) {
        fail_msg("not a value: %.*s", TEXT_ARG(text));
    }
    return value;
}

/* "name=value; name=value" */
static void bind(struct text bindings, struct expr_value slots[NAME_COUNT])
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        slots[i] = read_value(
            text_of(names[i].name[0] == 'd' && bindings.size > 0 ? "missing" : names[i].value));
    }
    const char *at = bindings.at, *end = bindings.at + bindings.size;
    while (at < end) {
        const char *equals = memchr(at, '=', (size_t)(end - at));
        const char *semicolon = memchr(at, ';', (size_t)(end - at));
        assert_non_null(equals);
        const char *stop = semicolon ? semicolon : end;
        struct expr_name name = {.slot = 0};
        assert_true(resolve(NULL, (struct text){at, (size_t)(equals - at)}, &name));
        slots[name.slot] = read_value((struct text){equals + 1, (size_t)(stop - equals - 1)});
        at = stop;
        while (at < end && (*at == ';' || *at == ' ')) {
            at++;
        }
    }
}

static struct text format_value(const struct expr_value *value)
{
    struct buffer out;
    buffer_init(&out, &arena, 64);
    if (value->type == EXPR_OTHER) {
        return TEXT("other");
    }
    expr_value_format(value, &out);
    return buffer_text(&out);
}

struct outcome {
    struct text text;       /* the value, "run OFFSET FAULT" or "load OFFSET" */
    struct text short_text; /* without the offset */
    struct text message, hint;
};

static struct outcome run(struct text source, const struct expr_value *slots)
{
    struct expr_scope scope = test_scope();
    struct expr_error err;
    const struct expr *expr;
    enum status status = expr_compile(&arena, source, &scope, EXPR_DYNAMIC, &expr, &err);
    if (status != OK) {
        assert_int_equal(status, err.error.status);
        assert_true(err.offset <= source.size);
        return (struct outcome){text_format(&arena, "load %zu", err.offset), TEXT("load"),
                                text_copy(&arena, text_of(err.error.message)),
                                text_copy(&arena, text_of(err.error.hint))};
    }
    struct expr_env env = {.slots = slots, .call = answer_call};
    struct expr_value value;
    struct error error;
    status = expr_eval(expr, &env, &arena, &value, &error);
    if (status == OK) {
        return (struct outcome){format_value(&value), format_value(&value), TEXT(""), TEXT("")};
    }
    assert_int_equal(value.type, EXPR_ERROR);
    assert_int_equal(status, error.status);
    assert_true(value.failure.offset < source.size);
    const char *fault = expr_fault_name(value.failure.fault);
    return (struct outcome){text_format(&arena, "run %u %s", value.failure.offset, fault),
                            text_format(&arena, "run %s", fault),
                            text_copy(&arena, text_of(error.message)),
                            text_copy(&arena, text_of(error.hint))};
}

/* The written form of an expression means the same, and is written the same again. */
static void check_format(struct text source, const struct expr_value *slots)
{
    struct expr_scope scope = test_scope();
    struct expr_error err;
    const struct expr *expr, *again;
    struct buffer first, second;
    if (expr_compile(&arena, source, &scope, EXPR_DYNAMIC, &expr, &err) != OK) {
        return;
    }
    buffer_init(&first, &arena, 64);
    buffer_init(&second, &arena, 64);
    expr_format(expr, NULL, &first);
    if (first.size > EXPR_SOURCE_MAX_BYTES) {
        return;
    }
    if (expr_compile(&arena, buffer_text(&first), &scope, EXPR_DYNAMIC, &again, &err) != OK) {
        fail_msg("'%.*s' is written '%.*s', which is refused: %s", TEXT_ARG(source),
                 TEXT_ARG(buffer_text(&first)), err.error.message);
    }
    expr_format(again, NULL, &second);
    struct text before = run(source, slots).short_text;
    struct text after = run(buffer_text(&first), slots).short_text;
    if (!text_equal(buffer_text(&first), buffer_text(&second)) || !text_equal(before, after)) {
        fail_msg("'%.*s' is written '%.*s', then '%.*s': %.*s, %.*s", TEXT_ARG(source),
                 TEXT_ARG(buffer_text(&first)), TEXT_ARG(buffer_text(&second)), TEXT_ARG(before),
                 TEXT_ARG(after));
    }
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static void table_holds(void **state)
{
    (void)state;
    struct table table = table_read("expr");
    int failures = 0;
    assert_true(table.row_count >= 400);
    for (size_t i = 0; i < table.row_count; i++) {
        const struct table_row *row = &table.rows[i];
        struct arena_mark mark = arena_mark(&arena);
        struct expr_value slots[NAME_COUNT];
        bind(row->fields[1], slots);
        struct outcome outcome = run(row->fields[0], slots);
        bool is_same = text_equal(outcome.text, row->fields[2]);
        bool has_message = row->fields[3].size == 0 || text_equal(outcome.message, row->fields[3]);
        bool has_hint = row->fields[4].size == 0 || text_equal(outcome.hint, row->fields[4]);
        if (!is_same || !has_message || !has_hint) {
            fprintf(stderr,
                    "test/table/expr.tbl:%d: %.*s: is %.*s | %.*s | %.*s, not %.*s | %.*s | %.*s\n",
                    row->line, TEXT_ARG(row->fields[0]), TEXT_ARG(outcome.text),
                    TEXT_ARG(outcome.message), TEXT_ARG(outcome.hint), TEXT_ARG(row->fields[2]),
                    TEXT_ARG(row->fields[3]), TEXT_ARG(row->fields[4]));
            failures++;
        }
        check_format(row->fields[0], slots);
        arena_rewind(&arena, mark);
    }
    table_free(&table);
    assert_int_equal(failures, 0);
}

/* ---- the page for users -----------------------------------------------------------------------
 */

/* Each line of doc/expressions.md of the form "expression  // = value". */
static void page_is_true(void **state)
{
    (void)state;
    FILE *page = fopen(FARTHING_SOURCE_DIR "/doc/expressions.md", "r");
    assert_non_null(page);
    char line[1024];
    int checked = 0;
    struct expr_value slots[NAME_COUNT];
    bind(TEXT(""), slots);
    while (fgets(line, sizeof line, page)) {
        char *mark = strstr(line, "// = ");
        if (!mark) {
            continue;
        }
        struct text source = {line, (size_t)(mark - line)};
        struct text value = {mark + 5, strcspn(mark + 5, "\n")};
        struct outcome outcome = run(source, slots);
        if (!text_equal(outcome.text, value)) {
            fail_msg("doc/expressions.md: %.*s is %.*s (%.*s)", TEXT_ARG(source),
                     TEXT_ARG(outcome.text), TEXT_ARG(outcome.message));
        }
        checked++;
    }
    fclose(page);
    assert_true(checked >= 40);
}

/* ---- random expressions ------------------------------------------------------------------------
 */

static void oracle_agrees(void **state)
{
    (void)state;
    const char *seed_text = getenv("FARTHING_SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 20261001;
    int count = getenv("FARTHING_LONG") ? 1000000 : 20000;
    char command[4096];
    snprintf(command, sizeof command, "/usr/bin/python3 '%s/test/oracle/expr.py' %" PRIu64 " %d",
             FARTHING_SOURCE_DIR, seed, count);
    FILE *oracle = popen(command, "r");
    assert_non_null(oracle);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int checked = 0, values = 0, failures = 0;
    while ((length = getline(&line, &capacity, oracle)) > 0) {
        line[--length] = '\0';
        char *bindings = strchr(line, '\t'), *result = strrchr(line, '\t');
        assert_true(bindings && result > bindings);
        struct text source = {line, (size_t)(bindings - line)};
        struct text bound = {bindings + 1, (size_t)(result - bindings - 1)};
        struct arena_mark mark = arena_mark(&arena);
        struct expr_value slots[NAME_COUNT];
        bind(bound, slots);
        struct outcome outcome = run(source, slots);
        if (!text_equal(outcome.short_text, text_of(result + 1))) {
            fprintf(stderr, "seed %" PRIu64 ": %s\n    is %.*s (%.*s)\n", seed, line,
                    TEXT_ARG(outcome.text), TEXT_ARG(outcome.message));
            failures++;
        }
        check_format(source, slots);
        arena_rewind(&arena, mark);
        checked++;
        values += strncmp(result + 1, "load", 4) != 0 && strncmp(result + 1, "run", 3) != 0;
        if (failures == 20) {
            break;
        }
    }
    free(line);
    pclose(oracle);
    printf("expr_test: %d random expressions, %d with a value, seed %" PRIu64 "\n", checked, values,
           seed);
    assert_int_equal(failures, 0);
    assert_int_equal(checked, count);
    assert_true(values > count / 4);
}

/* ---- limits ------------------------------------------------------------------------------------
 */

/* open x count, core, close x count */
static const char *nest(const char *open, int count, const char *core, const char *close)
{
    struct buffer out;
    buffer_init(&out, &arena, 64);
    for (int i = 0; i < count; i++) {
        buffer_add_text(&out, text_of(open));
    }
    buffer_add_text(&out, text_of(core));
    for (int i = 0; i < count; i++) {
        buffer_add_text(&out, text_of(close));
    }
    buffer_add_char(&out, '\0');
    return out.at;
}

static void assert_compiles(const char *source)
{
    const struct expr *expr;
    struct expr_error err;
    if (compile(source, EXPR_DYNAMIC, &expr, &err) != OK) {
        fail_msg("%.80s: byte %zu: %s", source, err.offset, err.error.message);
    }
}

static void assert_refused(const char *source, enum status status, size_t offset)
{
    const struct expr *expr;
    struct expr_error err;
    assert_int_equal(compile(source, EXPR_DYNAMIC, &expr, &err), status);
    assert_null(expr);
    if (err.offset != offset) {
        fail_msg("%.80s: byte %zu, not %zu: %s", source, err.offset, offset, err.error.message);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    /* Bytes: blanks count. */
    assert_compiles(nest(" ", EXPR_SOURCE_MAX_BYTES - 1, "1", ""));
    assert_refused(nest(" ", EXPR_SOURCE_MAX_BYTES, "1", ""), ERR_LIMIT, EXPR_SOURCE_MAX_BYTES);
    /* Nesting, by each kind of bracket. */
    assert_compiles(nest("(", 32, "1", ")"));
    assert_refused(nest("(", 33, "1", ")"), ERR_LIMIT, 33);
    assert_compiles(nest("abs(", 32, "1", ")"));
    assert_refused(nest("abs(", 33, "1", ")"), ERR_LIMIT, 132);
    assert_refused(nest("[", 33, "1", "]"), ERR_LIMIT, 33);
    assert_refused(nest("(", 2000, "", ""), ERR_LIMIT, 33);
    assert_refused(nest("!(", 2000, "", ""), ERR_LIMIT, 66);
    assert_refused(nest("true?(", 600, "", ""), ERR_LIMIT, 198);
    /* Long chains without brackets are no nesting; 512 nodes are the limit. */
    assert_compiles(nest("1+", 255, "1", ""));
    assert_refused(nest("1+", 256, "1", ""), ERR_LIMIT, 511);
    assert_compiles(nest("flag?1:", 170, "1", ""));
    assert_refused(nest("flag?1:", 171, "1", ""), ERR_LIMIT, 1194);
    assert_compiles(nest("flag||", 255, "flag", ""));
    assert_compiles(nest("-", 4000, "1", ""));
    assert_compiles(nest("!", 4000, "true", ""));
    /* Parts of a name. */
    const char *path = nest("a.", 15, "a", "");
    assert_refused(path, ERR_NOT_FOUND, 0);
    assert_refused(nest("a.", 16, "a", ""), ERR_LIMIT, 32);
    /* Values of a call. */
    assert_compiles(nest("max(1", 1, nest(",1", 15, "", ""), ")"));
    assert_refused(nest("max(1", 1, nest(",1", 16, "", ""), ")"), ERR_INPUT, 0);
    /* What a small text grows into: nested exists over lists, and lists in lists. */
    assert_refused(nest("[1,2,3,4].exists(x, quantity == x || ", 12, "true", ")"), ERR_LIMIT, 417);
    const char *deep = nest("quantity in [rate, flag && ", 10, "closed", " ? 1 : 2]");
    const struct expr *expr;
    struct expr_error err;
    (void)compile(deep, EXPR_DYNAMIC, &expr, &err); /* only to end soon */
    const char *dropped = nest("[1,2].exists(x, false && ", 25, "true", ")");
    assert_int_equal(compile(dropped, EXPR_DYNAMIC, &expr, &err), ERR_LIMIT);
    /* Arguments of nested calls all wait at once. */
    assert_compiles(nest("lookup(\"sp\", quantity, ", 32, "1", ")"));
    /* Patterns. */
    assert_compiles("sku.matches(\"a{1000}\")");
    assert_refused("sku.matches(\"a{1001}\")", ERR_LIMIT, 12);
    assert_refused("sku.matches(\"(a{1000}){1000}\")", ERR_LIMIT, 12);
    assert_compiles("sku.matches(\"((((){1000}){1000}){1000}){1000}\")");
    assert_refused(nest("sku.matches(\"", 1, nest("(", 33, "a", ")"), "\")"), ERR_LIMIT, 12);
    assert_compiles(nest("sku.matches(\"", 1, nest("(", 32, "a", ")"), "\")"));
}

static void joined_text_has_limit(void **state)
{
    (void)state;
    char *big = arena_alloc(&arena, EXPR_TEXT_MAX_BYTES);
    memset(big, 'x', EXPR_TEXT_MAX_BYTES);
    struct expr_value slots[NAME_COUNT], value;
    bind(TEXT(""), slots);
    slots[2] = expr_text((struct text){big, EXPR_TEXT_MAX_BYTES - 1});
    const struct expr *expr;
    struct expr_error err;
    struct error error;
    struct expr_env env = {.slots = slots};
    assert_int_equal(compile("size(sku + \"y\")", EXPR_NUMBER, &expr, &err), OK);
    assert_int_equal(expr_eval(expr, &env, &arena, &value, &error), OK);
    assert_int_equal(compile("size(sku + \"yz\")", EXPR_NUMBER, &expr, &err), OK);
    assert_int_equal(expr_eval(expr, &env, &arena, &value, &error), ERR_LIMIT);
    assert_int_equal(value.failure.fault, EXPR_FAULT_RANGE);
}

/* (a+)+$ against aaaa...b takes time with the length, not with a power of it. */
static void patterns_are_linear(void **state)
{
    (void)state;
    const char *patterns[] = {"(a+)+$",     "^(a|a)*$",       "(a|aa)+$",
                              "(.*a){20}b", "(a?){50}a{50}$", "^(((a*)*)*)*$"};
    char text[5000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!';
    struct expr_value slots[NAME_COUNT], value;
    bind(TEXT(""), slots);
    slots[2] = expr_text((struct text){text, sizeof text});
    struct expr_env env = {.slots = slots};
    clock_t before = clock();
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        const struct expr *expr;
        struct expr_error err;
        assert_int_equal(compile(text_format(&arena, "sku.matches(r\"%s\")", patterns[i]).at,
                                 EXPR_BOOL, &expr, &err),
                         OK);
        assert_int_equal(expr_eval(expr, &env, &arena, &value, NULL), OK);
        assert_false(value.truth);
    }
    assert_true(clock() - before < 10 * CLOCKS_PER_SEC);
}

/* ---- the interface -----------------------------------------------------------------------------
 */

static void wanted_type_is_kept(void **state)
{
    (void)state;
    const struct expr *expr;
    struct expr_error err;
    struct expr_value slots[NAME_COUNT], value;
    struct error error;
    bind(TEXT("data.a=\"x\"; data.b=3"), slots);
    struct expr_env env = {.slots = slots, .call = answer_call};
    assert_int_equal(compile("quantity + 1", EXPR_BOOL, &expr, &err), ERR_INPUT);
    assert_int_equal(err.offset, 9);
    assert_string_equal(err.error.message, "true or false is wanted here, not a number");
    assert_int_equal(compile("data.b", EXPR_NUMBER, &expr, &err), OK);
    assert_int_equal(expr_result_type(expr), EXPR_NUMBER);
    assert_int_equal(expr_eval(expr, &env, &arena, &value, &error), OK);
    assert_int_equal(compile("data.a", EXPR_NUMBER, &expr, &err), OK);
    assert_int_equal(expr_eval(expr, &env, &arena, &value, &error), ERR_INPUT);
    assert_int_equal(value.failure.fault, EXPR_FAULT_TYPE);
    assert_string_equal(error.message, "the result is a text");
    assert_int_equal(compile("flag ? data.a : 1", EXPR_NUMBER, &expr, &err), OK);
    assert_int_equal(expr_eval(expr, &env, &arena, &value, NULL), ERR_INPUT);
    assert_int_equal(compile("data.a", EXPR_DYNAMIC, &expr, &err), OK);
    assert_int_equal(expr_result_type(expr), EXPR_DYNAMIC);
    assert_int_equal(compile("null", EXPR_NUMBER, &expr, &err), ERR_INPUT);
    assert_int_equal(compile("[1].exists(x, x > 0)", EXPR_BOOL, &expr, &err), OK);
    assert_true(expr_is_constant(expr, &value) && value.truth);
    /* err may be NULL, and a constant needs no env. */
    assert_int_equal(compile("1 +", EXPR_NUMBER, &expr, NULL), ERR_INPUT);
    assert_int_equal(compile("1 + 2", EXPR_NUMBER, &expr, NULL), OK);
    assert_int_equal(expr_eval(expr, NULL, &arena, &value, NULL), OK);
    assert_true(dec_equal(value.number, dec_from_int(3)));
}

static void uses_are_listed(void **state)
{
    (void)state;
    const struct expr *expr;
    struct expr_error err;
    size_t count;
    assert_int_equal(
        compile("rate * quantity + rate * usage(sku) - usage(\"x\") + lookup(\"vat\", region)",
                EXPR_NUMBER, &expr, &err),
        OK);
    const uint32_t *slots = expr_slots(expr, &count);
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(slots[i], i);
        assert_true(expr_uses(expr, i));
    }
    assert_false(expr_uses(expr, 4));
    const uint32_t *calls = expr_calls(expr, &count);
    assert_int_equal(count, 2);
    assert_int_equal(calls[0], CALL_LOOKUP);
    assert_int_equal(calls[1], CALL_USAGE);
    assert_true(expr_cost(expr) > 216 && expr_cost(expr) < 240);
    assert_false(expr_is_constant(expr, NULL));
    struct expr_value value;
    assert_int_equal(compile("2 * ten + size(\"ab\")", EXPR_NUMBER, &expr, &err), OK);
    assert_true(expr_is_constant(expr, &value));
    assert_true(dec_equal(value.number, dec_from_int(22)));
    expr_slots(expr, &count);
    assert_int_equal(count, 0);
    assert_true(expr_cost(expr) > 0);
}

static void values_are_explained(void **state)
{
    (void)state;
    const struct expr *expr;
    struct expr_error err;
    struct expr_value slots[NAME_COUNT];
    bind(TEXT("data.a=missing; sku=\"vm\\\"x\""), slots);
    struct expr_env env = {.slots = slots};
    struct buffer out;
    buffer_init(&out, &arena, 64);
    assert_int_equal(
        compile("sku==\"a\"?(quantity/3600):has(data.a)?0:ten*(1+rate)", EXPR_NUMBER, &expr, &err),
        OK);
    expr_format(expr, &env, &out);
    struct text text = buffer_text(&out);
    const char *wanted =
        "sku{\"vm\\\"x\"} == \"a\" ? quantity{7200} / 3600 : has(data.a{missing}) ? 0 : "
        "ten * (1 + rate{0.25})";
    assert_true(text_equal(text, text_of(wanted)));
}

/* False: the memory was too little, and the arena has jumped out. */
static bool compile_within(size_t limit_bytes)
{
    static const char source[] =
        "sku in [\"a\", region] && data.a + 1 > rate && sku.matches(\"a{20}\") || "
        "[1, 2].all(x, x < quantity) || lookup(\"sp\", sku, \"y\") == data.b";
    struct arena small;
    arena_init(&small, NULL, limit_bytes);
    jmp_buf out_of_memory;
    if (ARENA_RECOVER(&small, out_of_memory)) {
        arena_release(&small);
        return false;
    }
    struct expr_scope scope = test_scope();
    const struct expr *expr;
    struct expr_error err;
    assert_int_equal(expr_compile(&small, TEXT(source), &scope, EXPR_BOOL, &expr, &err), OK);
    arena_release(&small);
    return true;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    size_t limit_bytes = 1;
    while (!compile_within(limit_bytes)) {
        limit_bytes += 97;
    }
    assert_true(limit_bytes > 1000 && limit_bytes < 64 * 1024);
}

static void comparison_is_quick(void **state)
{
    (void)state;
    static const char *const sources[] = {"sku == \"vm.large\"", "quantity > 100",
                                          "sku == \"vm.large\" && quantity > 100",
                                          "quantity / 3600", "quantity * rate + 1"};
    struct expr_value slots[NAME_COUNT], value;
    bind(TEXT(""), slots);
    struct expr_env env = {.slots = slots};
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        const struct expr *expr;
        struct expr_error err;
        enum { ROUNDS = 2000000 };
        assert_int_equal(compile(sources[i], EXPR_DYNAMIC, &expr, &err), OK);
        struct timespec from, to;
        size_t held = arena.held_bytes, used = arena.used_bytes;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (int round = 0; round < ROUNDS; round++) {
            assert_int_equal(expr_eval(expr, &env, &arena, &value, NULL), OK);
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        assert_int_equal(arena.held_bytes, held); /* nothing was allocated */
        assert_int_equal(arena.used_bytes, used);
        int64_t ns = (to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
        printf("expr_test: %" PRId64 " ns for %s\n", ns / ROUNDS, sources[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_holds),         cmocka_unit_test(page_is_true),
        cmocka_unit_test(limits_hold),         cmocka_unit_test(joined_text_has_limit),
        cmocka_unit_test(patterns_are_linear), cmocka_unit_test(wanted_type_is_kept),
        cmocka_unit_test(uses_are_listed),     cmocka_unit_test(values_are_explained),
        cmocka_unit_test(memory_may_run_out),  cmocka_unit_test(comparison_is_quick),
        cmocka_unit_test(oracle_agrees),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
