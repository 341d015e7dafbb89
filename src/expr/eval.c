/* eval.c - see code.h.  Runs the code of an expression.
 *
 * Each instruction looks at the types its operands have now; the types that were checked at load
 * decide what is refused early, never what is trusted.  The way through an instruction that does
 * not fail has no call but the operation itself; everything about failing is behind refuse().
 */
#include <assert.h>
#include <stdio.h>

#include "expr/code.h"
#include "expr/regex.h"

#include "base/nofloat.h"

/* ---- failures ------------------------------------------------------------------------------- */

static void set_failure(struct expr_value *out, enum expr_fault fault, const struct code *code,
                        const char *detail)
{
    *out = (struct expr_value){
        .type = EXPR_ERROR,
        .failure = {.fault = (uint8_t)fault,
                    .op = code->op,
                    .offset = code->offset,
                    .status = fault == EXPR_FAULT_RANGE ? ERR_OVERFLOW : ERR_INPUT,
                    .detail = detail}};
}

/* The name an operand is read from, or NULL. */
static const struct name_use *find_name(const struct expr *expr, uint16_t operand)
{
    if (operand >> OPERAND_SHIFT != OPERAND_SLOT) {
        return NULL;
    }
    for (size_t i = 0; i < expr->name_count; i++) {
        if (expr->names[i].slot == (operand & OPERAND_MASK)) {
            return &expr->names[i];
        }
    }
    return NULL;
}

/* An operand that is an error, or missing, is what the operation fails with. */
static bool pass_failure(const struct expr *expr, const struct code *code, uint16_t operand,
                         const struct expr_value *value, struct expr_value *out)
{
    if (value->type != EXPR_ERROR && value->type != EXPR_MISSING) {
        return false;
    }
    const struct name_use *name = find_name(expr, operand);
    if (value->type == EXPR_MISSING) {
        const char *path = name ? name->path.at : "a value"; /* paths end with a zero byte */
        set_failure(out, EXPR_FAULT_MISSING, code, path);
    } else {
        *out = *value;
    }
    if (name) {
        out->failure.offset = name->offset;
    }
    return true;
}

/* Why an operation of two operands cannot be done, the first reason first. */
__attribute__((cold, noinline)) static void refuse(const struct expr *expr, const struct code *code,
                                                   const struct expr_value *a,
                                                   const struct expr_value *b,
                                                   struct expr_value *out)
{
    uint8_t left = (uint8_t)a->type, right = b ? (uint8_t)b->type : EXPR_DYNAMIC;
    if (pass_failure(expr, code, code->a, a, out) ||
        (b && pass_failure(expr, code, code->b, b, out))) {
        return;
    }
    set_failure(out, EXPR_FAULT_TYPE, code, NULL);
    out->failure.left = left;
    out->failure.right = right;
}

__attribute__((cold, noinline)) static void
refuse_number(const struct code *code, enum status status, struct expr_value *out)
{
    if (status == ERR_OVERFLOW) {
        set_failure(out, EXPR_FAULT_RANGE, code, "the number is out of range");
    } else {
        set_failure(out, EXPR_FAULT_ZERO, code,
                    code->op == OP_ROUND_UP ? "the step of round_up() is not positive"
                                            : "division by zero");
    }
}

void expr_describe(const struct expr *expr, const struct expr_value *failed, struct error *err)
{
    const struct expr_failure *f = &failed->failure;
    const char *name = op_name(f->op);
    bool is_function = op_level(f->op) == 0;
    (void)expr;
    if (f->fault == EXPR_FAULT_MISSING) {
        (void)fail(err, f->status, "%s is missing", f->detail);
        (void)fail_hint(err, "has(%s) tells whether it is there", f->detail);
    } else if (f->detail) {
        (void)fail(err, f->status, "%s", f->detail);
    } else if (f->fault == EXPR_FAULT_VALUE) {
        (void)fail(err, f->status, "%s cannot be read", name);
    } else if (f->op == OP_CHECK) {
        (void)fail(err, f->status, "the result is %s", expr_type_phrase(f->left));
    } else if (f->op == OP_CHOOSE) {
        (void)fail(err, f->status, "a condition is true or false, not %s",
                   expr_type_phrase(f->left));
    } else if (f->right == EXPR_DYNAMIC) {
        (void)fail(err, f->status, is_function ? "%s() cannot take %s" : "'%s' cannot take %s",
                   name, expr_type_phrase(f->left));
    } else {
        (void)fail(err, f->status,
                   is_function ? "%s() cannot take %s and %s" : "'%s' cannot take %s and %s", name,
                   expr_type_phrase(f->left), expr_type_phrase(f->right));
    }
}

const char *expr_fault_name(enum expr_fault fault)
{
    static const char *const names[] = {
        [EXPR_FAULT_MISSING] = "EXPR_MISSING", [EXPR_FAULT_TYPE] = "EXPR_TYPE",
        [EXPR_FAULT_ZERO] = "EXPR_ZERO",       [EXPR_FAULT_RANGE] = "EXPR_RANGE",
        [EXPR_FAULT_VALUE] = "EXPR_VALUE",     [EXPR_FAULT_CALL] = "EXPR_CALL",
    };
    return names[fault];
}

/* Values are written and copied by their parts: a copy of the whole, padding too, right after a
 * part was stored, waits until the processor has put both together, which takes longer than the
 * rest of an instruction. */
static inline void set_bool(struct expr_value *out, bool truth)
{
    out->type = EXPR_BOOL;
    out->truth = truth;
}

static inline void set_number(struct expr_value *out, struct dec number)
{
    out->type = EXPR_NUMBER;
    out->number.mantissa = number.mantissa;
    out->number.scale = number.scale;
}

static inline void copy_value(struct expr_value *out, const struct expr_value *value)
{
    out->type = value->type;
    switch (value->type) {
    case EXPR_BOOL:
        out->truth = value->truth;
        break;
    case EXPR_NUMBER:
        out->number.mantissa = value->number.mantissa;
        out->number.scale = value->number.scale;
        break;
    case EXPR_TEXT:
        out->text = value->text;
        break;
    case EXPR_TIME:
        out->time = value->time;
        break;
    case EXPR_DURATION:
        out->duration_ns = value->duration_ns;
        break;
    case EXPR_ERROR:
        out->failure = value->failure;
        break;
    case EXPR_MISSING:
    case EXPR_NULL:
    case EXPR_OTHER:
    case EXPR_DYNAMIC:
        break;
    }
}

/* ---- comparing ------------------------------------------------------------------------------ */

static inline bool is_equal(const struct expr_value *a, const struct expr_value *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case EXPR_MISSING:
    case EXPR_NULL:
        return true;
    case EXPR_BOOL:
        return a->truth == b->truth;
    case EXPR_NUMBER:
        return dec_equal(a->number, b->number);
    case EXPR_TEXT:
        return text_equal(a->text, b->text);
    case EXPR_TIME:
        return a->time == b->time;
    case EXPR_DURATION:
        return a->duration_ns == b->duration_ns;
    case EXPR_OTHER:
    case EXPR_ERROR:
    case EXPR_DYNAMIC:
        break;
    }
    return false;
}

bool expr_value_equal(const struct expr_value *a, const struct expr_value *b)
{
    return is_equal(a, b);
}

static inline bool has_failed(const struct expr_value *value)
{
    return value->type == EXPR_ERROR || value->type == EXPR_MISSING;
}

/* CEL compares values of different types too: they are not equal. Two lists or objects are beyond
 * us. */
static inline bool can_equal(const struct expr_value *a, const struct expr_value *b)
{
    return !has_failed(a) && !has_failed(b) && (a->type != EXPR_OTHER || b->type != EXPR_OTHER);
}

static inline bool compare(const struct expr_value *a, const struct expr_value *b, int *order)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case EXPR_NUMBER:
        if (a->number.scale == b->number.scale) {
            i128 left = a->number.mantissa, right = b->number.mantissa;
            *order = (left > right) - (left < right);
        } else {
            *order = dec_compare(a->number, b->number);
        }
        return true;
    case EXPR_TEXT:
        *order = text_compare(a->text, b->text);
        return true;
    case EXPR_BOOL:
        *order = a->truth - b->truth;
        return true;
    case EXPR_TIME:
        *order = (a->time > b->time) - (a->time < b->time);
        return true;
    case EXPR_DURATION:
        *order = (a->duration_ns > b->duration_ns) - (a->duration_ns < b->duration_ns);
        return true;
    case EXPR_MISSING:
    case EXPR_NULL:
    case EXPR_OTHER:
    case EXPR_ERROR:
    case EXPR_DYNAMIC:
        break;
    }
    return false;
}

static bool holds(enum op op, int order)
{
    switch (op) {
    case OP_LESS:
        return order < 0;
    case OP_LESS_EQUAL:
        return order <= 0;
    case OP_GREATER:
        return order > 0;
    default:
        return order >= 0;
    }
}

/* ---- arithmetic ----------------------------------------------------------------------------- */

static void compute_number(const struct code *code, struct dec a, struct dec b,
                           struct expr_value *out)
{
    struct dec result;
    enum status status;
    switch (code->op) {
    case OP_ADD:
        status = dec_add(a, b, &result, NULL);
        break;
    case OP_SUBTRACT:
        status = dec_subtract(a, b, &result, NULL);
        break;
    case OP_MULTIPLY:
        status = dec_multiply(a, b, &result, NULL);
        break;
    case OP_DIVIDE:
        status = dec_divide(a, b, DEC_SCALE, ROUND_HALF_EVEN, &result, NULL);
        break;
    case OP_REMAINDER:
        status = dec_remainder(a, b, &result, NULL);
        break;
    case OP_MIN:
        result = dec_min(a, b);
        status = OK;
        break;
    case OP_MAX:
        result = dec_max(a, b);
        status = OK;
        break;
    default:
        status = dec_round_to(a, b, ROUND_UP, &result, NULL);
        break;
    }
    if (status != OK) {
        refuse_number(code, status, out);
        return;
    }
    set_number(out, result);
}

static void join_texts(const struct code *code, struct text a, struct text b, struct arena *scratch,
                       struct expr_value *out)
{
    if (a.size + b.size > EXPR_TEXT_MAX_BYTES) {
        set_failure(out, EXPR_FAULT_RANGE, code, "the joined text is too long");
        out->failure.status = ERR_LIMIT;
        return;
    }
    *out = expr_text(text_join(scratch, a, b));
}

static void set_time(const struct code *code, bool is_over, int64_t time, struct expr_value *out)
{
    if (is_over || time < INSTANT_MIN || time > INSTANT_MAX) {
        set_failure(out, EXPR_FAULT_RANGE, code, "the time is out of range");
    } else {
        *out = expr_time(time);
    }
}

static void set_duration(const struct code *code, bool is_over, int64_t duration_ns,
                         struct expr_value *out)
{
    if (is_over) {
        set_failure(out, EXPR_FAULT_RANGE, code, "the duration is out of range");
    } else {
        *out = (struct expr_value){.type = EXPR_DURATION, .duration_ns = duration_ns};
    }
}

static void subtract_durations(const struct code *code, int64_t a, int64_t b,
                               struct expr_value *out)
{
    int64_t result;
    bool is_over = __builtin_sub_overflow(a, b, &result);
    set_duration(code, is_over, result, out);
}

/* + and - of times and durations; false when the types have none. */
static bool shift_time(const struct code *code, const struct expr_value *a,
                       const struct expr_value *b, struct expr_value *out)
{
    bool is_over;
    int64_t result;
    if (a->type == EXPR_DURATION && b->type == EXPR_DURATION) {
        if (code->op == OP_SUBTRACT) {
            subtract_durations(code, a->duration_ns, b->duration_ns, out);
        } else {
            is_over = __builtin_add_overflow(a->duration_ns, b->duration_ns, &result);
            set_duration(code, is_over, result, out);
        }
    } else if (a->type == EXPR_TIME && b->type == EXPR_DURATION) {
        is_over = code->op == OP_ADD ? __builtin_add_overflow(a->time, b->duration_ns, &result)
                                     : __builtin_sub_overflow(a->time, b->duration_ns, &result);
        set_time(code, is_over, result, out);
    } else if (a->type == EXPR_DURATION && b->type == EXPR_TIME && code->op == OP_ADD) {
        is_over = __builtin_add_overflow(a->duration_ns, b->time, &result);
        set_time(code, is_over, result, out);
    } else if (a->type == EXPR_TIME && b->type == EXPR_TIME && code->op == OP_SUBTRACT) {
        subtract_durations(code, a->time, b->time, out);
    } else {
        return false;
    }
    return true;
}

static void round_number(const struct code *code, struct dec value, struct expr_value *out)
{
    static const enum rounding modes[] = {[OP_CEIL - OP_CEIL] = ROUND_CEILING,
                                          [OP_FLOOR - OP_CEIL] = ROUND_FLOOR};
    int digits = code->op == OP_ROUND ? code->more & 0xFF : 0;
    enum rounding mode =
        code->op == OP_ROUND ? (enum rounding)(code->more >> 8) : modes[code->op - OP_CEIL];
    enum status status = dec_round(value, digits, mode, &value, NULL);
    if (status != OK) {
        refuse_number(code, status, out);
        return;
    }
    set_number(out, value);
}

/* ---- texts ---------------------------------------------------------------------------------- */

static bool test_text(const struct code *code, struct text a, struct text b)
{
    if (b.size > a.size) {
        return false;
    }
    switch (code->op) {
    case OP_STARTS_WITH:
        return text_equal((struct text){a.at, b.size}, b);
    case OP_ENDS_WITH:
        return text_equal((struct text){a.at + a.size - b.size, b.size}, b);
    default:
        return b.size == 0 || memmem(a.at, a.size, b.at, b.size) != NULL;
    }
}

static int64_t count_characters(struct text text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += ((unsigned char)text.at[i] & 0xC0) != 0x80;
    }
    return count;
}

static struct text change_case(struct text text, char first, struct arena *scratch)
{
    struct text copy = text_copy(scratch, text);
    char *at = (char *)(uintptr_t)copy.at;
    for (size_t i = 0; i < copy.size; i++) {
        if ((unsigned char)(at[i] - first) < 26) {
            at[i] = (char)(at[i] ^ 0x20);
        }
    }
    return copy;
}

/* ---- times and conversions ------------------------------------------------------------------- */

/* CEL's form, "1h30m", exact to the nanosecond. */
static bool parse_duration(struct text text, int64_t *duration_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"h", NS_PER_HOUR}, {"ms", 1'000'000},         {"us", 1'000},
                 {"ns", 1},          {"m", 60 * NS_PER_SECOND}, {"s", NS_PER_SECOND}};
    struct dec total = DEC_ZERO;
    size_t at = 0;
    bool is_negative = text.size > 0 && text.at[0] == '-';
    at += is_negative || (text.size > 0 && text.at[0] == '+');
    if (at == text.size) {
        return false;
    }
    if (text.size - at == 1 && text.at[at] == '0') {
        *duration_ns = 0;
        return true;
    }
    while (at < text.size) {
        struct text number = {text.at + at, 0};
        while (at < text.size &&
               ((text.at[at] >= '0' && text.at[at] <= '9') || text.at[at] == '.')) {
            at++;
            number.size++;
        }
        while (number.size > 1 && number.at[0] == '0' && number.at[1] != '.') {
            number.at++;
            number.size--;
        }
        struct dec part;
        size_t unit = 0;
        for (; unit < sizeof units / sizeof units[0]; unit++) {
            size_t size = strlen(units[unit].name);
            if (text.size - at >= size && memcmp(text.at + at, units[unit].name, size) == 0) {
                at += size;
                break;
            }
        }
        if (unit == sizeof units / sizeof units[0] || dec_parse(number, &part) != NUMBER_OK ||
            dec_multiply(part, dec_from_int(units[unit].ns), &part, NULL) != OK ||
            dec_add(total, part, &total, NULL) != OK) {
            return false;
        }
    }
    if (total.scale != 0 || total.mantissa > INT64_MAX) {
        return false;
    }
    *duration_ns = is_negative ? -(int64_t)total.mantissa : (int64_t)total.mantissa;
    return true;
}

struct dec duration_seconds(int64_t duration_ns)
{
    struct dec seconds;
    enum status status = dec_make(duration_ns, 9, &seconds, NULL);
    assert(status == OK);
    return seconds;
}

static void read_civil(const struct expr *expr, const struct code *code, instant time,
                       struct arena *scratch, struct expr_value *out)
{
    struct civil civil = zone_civil(expr->zones[code->more], time);
    if (code->op == OP_HOUR) {
        *out = expr_number(dec_from_int(civil.hour));
    } else if (code->op == OP_WEEKDAY) {
        int64_t days = civil_to_days(civil.year, civil.month, civil.day);
        *out = expr_number(dec_from_int(civil_weekday(days)));
    } else {
        *out =
            expr_text(text_format(scratch, "%04d-%02d-%02d", civil.year, civil.month, civil.day));
    }
}

/* A time, or a text that is one: JSON has no times. */
static bool read_time(const struct expr_value *value, instant *time)
{
    if (value->type == EXPR_TIME) {
        *time = value->time;
        return true;
    }
    return value->type == EXPR_TEXT && time_parse(value->text, time) == TIME_OK;
}

static bool is_time_or_text(const struct expr_value *value)
{
    return value->type == EXPR_TIME || value->type == EXPR_TEXT;
}

static void subtract_times(const struct code *code, const struct expr_value *from,
                           const struct expr_value *to, struct expr_value *out)
{
    instant start, end;
    if (!read_time(from, &start) || !read_time(to, &end)) {
        set_failure(out, EXPR_FAULT_VALUE, code,
                    "the text is not a time like 2026-10-01T00:00:00Z");
        return;
    }
    *out = expr_number(duration_seconds(end - start)); /* instants are not negative: no overflow */
}

static void convert_text(const struct code *code, struct text text, struct expr_value *out)
{
    struct expr_value value;
    bool is_read;
    const char *wrong;
    if (code->op == OP_TIMESTAMP) {
        value.type = EXPR_TIME;
        is_read = time_parse(text, &value.time) == TIME_OK;
        wrong = "the text is not a time like 2026-10-01T00:00:00Z";
    } else if (code->op == OP_DURATION) {
        value.type = EXPR_DURATION;
        is_read = parse_duration(text, &value.duration_ns);
        wrong = "the text is not a duration like 1h30m";
    } else {
        value.type = EXPR_NUMBER;
        is_read = dec_parse(text, &value.number) == NUMBER_OK;
        wrong = "the text is not a number";
    }
    if (!is_read) {
        set_failure(out, EXPR_FAULT_VALUE, code, wrong);
        return;
    }
    *out = value;
}

static bool print_value(const struct expr_value *value, struct arena *scratch,
                        struct expr_value *out)
{
    static_assert((int)DEC_FORMAT_MAX > (int)TIME_FORMAT_MAX, "");
    char text[DEC_FORMAT_MAX];
    int size;
    switch (value->type) {
    case EXPR_TEXT:
        *out = *value;
        return true;
    case EXPR_BOOL:
        *out = expr_text(value->truth ? TEXT("true") : TEXT("false"));
        return true;
    case EXPR_NUMBER:
        size = dec_format(value->number, text);
        break;
    case EXPR_TIME:
        size = time_format(value->time, text);
        break;
    case EXPR_DURATION:
        size = dec_format(duration_seconds(value->duration_ns), text);
        text[size++] = 's';
        break;
    default:
        return false;
    }
    *out = expr_text(text_copy(scratch, (struct text){text, (size_t)size}));
    return true;
}

/* ---- calls ---------------------------------------------------------------------------------- */

__attribute__((noinline)) static void call(const struct expr *expr, const struct expr_env *env,
                                           const struct code *code, const struct expr_value *args,
                                           struct arena *scratch, struct expr_value *out)
{
    const struct call_use *use = &expr->calls[code->more];
    for (size_t i = 0; i < use->arg_count; i++) {
        if (args[i].type == EXPR_ERROR) {
            *out = args[i];
            return;
        }
    }
    assert(env && env->call);
    struct error err = {.status = OK};
    struct expr_value result = {.type = EXPR_ERROR};
    enum status status =
        env->call(env->context, use->slot, args, use->arg_count, scratch, &result, &err);
    if (status != OK) {
        set_failure(out, EXPR_FAULT_CALL, code, text_copy(scratch, text_of(err.message)).at);
        out->failure.status = status;
        return;
    }
    assert(result.type >= EXPR_NULL && result.type <= EXPR_OTHER);
    *out = result;
}

/* ---- running -------------------------------------------------------------------------------- */

static inline void run(const struct expr *expr, const struct expr_env *env, struct arena *scratch,
                       struct expr_value *temps, struct expr_value *out)
{
    const struct expr_value *bases[] = {expr->constants, env ? env->slots : NULL, temps};
    const struct code *code = expr->code;
    for (;; code++) {
        const struct expr_value *a = bases[code->a >> OPERAND_SHIFT] + (code->a & OPERAND_MASK);
        const struct expr_value *b = bases[code->b >> OPERAND_SHIFT] + (code->b & OPERAND_MASK);
        struct expr_value *to = &temps[code->to];
        int order;
        switch ((enum op)code->op) {
        case OP_EQUAL:
        case OP_UNEQUAL:
            if (!can_equal(a, b)) {
                refuse(expr, code, a, b, to);
            } else {
                set_bool(to, is_equal(a, b) == (code->op == OP_EQUAL));
            }
            break;
        case OP_LESS:
        case OP_LESS_EQUAL:
        case OP_GREATER:
        case OP_GREATER_EQUAL:
            if (compare(a, b, &order)) {
                set_bool(to, holds(code->op, order));
            } else if (code->more && (a->type == EXPR_NULL || b->type == EXPR_NULL)) {
                set_bool(to, false);
            } else {
                refuse(expr, code, a, b, to);
            }
            break;
        case OP_HELD: {
            struct dec held;
            if (a->type != EXPR_TEXT) {
                refuse(expr, code, a, NULL, to);
            } else if (dec_parse(a->text, &held) == NUMBER_OK) {
                *to = expr_number(held);
            } else {
                *to = (struct expr_value){.type = EXPR_NULL};
            }
            break;
        }
        case OP_IN_CONSTANTS:
            if (has_failed(a)) {
                refuse(expr, code, a, NULL, to);
            } else {
                bool is_in = false;
                for (int i = 0; i < code->more && !is_in; i++) {
                    is_in = is_equal(a, &b[i]);
                }
                set_bool(to, is_in);
            }
            break;
        case OP_ADD:
        case OP_SUBTRACT:
            if (a->type == EXPR_NUMBER && b->type == EXPR_NUMBER) {
                compute_number(code, a->number, b->number, to);
            } else if (a->type == EXPR_TEXT && b->type == EXPR_TEXT && code->op == OP_ADD) {
                join_texts(code, a->text, b->text, scratch, to);
            } else if (!shift_time(code, a, b, to)) {
                refuse(expr, code, a, b, to);
            }
            break;
        case OP_MULTIPLY:
        case OP_DIVIDE:
        case OP_REMAINDER:
        case OP_MIN:
        case OP_MAX:
        case OP_ROUND_UP:
            if (a->type == EXPR_NUMBER && b->type == EXPR_NUMBER) {
                compute_number(code, a->number, b->number, to);
            } else {
                refuse(expr, code, a, b, to);
            }
            break;
        case OP_NEGATE:
            if (a->type == EXPR_NUMBER) {
                set_number(to, dec_negate(a->number));
            } else if (a->type == EXPR_DURATION) {
                subtract_durations(code, 0, a->duration_ns, to);
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_ABS:
            if (a->type == EXPR_NUMBER) {
                set_number(to, dec_abs(a->number));
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_CEIL:
        case OP_FLOOR:
        case OP_ROUND:
            if (a->type == EXPR_NUMBER) {
                round_number(code, a->number, to);
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_NOT:
            if (a->type == EXPR_BOOL) {
                set_bool(to, !a->truth);
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_OR:
        case OP_AND: {
            /* The side that decides wins over a failure of the other. */
            bool decides = code->op == OP_OR;
            if (b->type == EXPR_BOOL && b->truth == decides) {
                set_bool(to, decides);
            } else if (a->type == EXPR_BOOL && b->type == EXPR_BOOL) {
                set_bool(to, !decides);
            } else if (a->type == EXPR_BOOL && !has_failed(b)) {
                refuse(expr, code, b, NULL, to);
            } else {
                refuse(expr, code, a, b, to);
            }
            break;
        }
        case OP_SKIP_TRUE:
        case OP_SKIP_FALSE:
            if (a->type == EXPR_BOOL && a->truth == (code->op == OP_SKIP_TRUE)) {
                set_bool(to, a->truth);
                code = expr->code + code->more - 1;
            }
            break;
        case OP_CHOOSE:
            if (a->type == EXPR_BOOL) {
                if (!a->truth) {
                    code = expr->code + code->more - 1;
                }
            } else {
                refuse(expr, code, a, NULL, to);
                code = expr->code + code->more - 2;
            }
            break;
        case OP_JUMP:
            code = expr->code + code->more - 1;
            break;
        case OP_EITHER:
            if (a->type == EXPR_BOOL && b->type == EXPR_BOOL) {
                set_bool(to, a->truth || b->truth);
            } else {
                refuse(expr, code, a, b, to);
            }
            break;
        case OP_GUARD:
            if (has_failed(b) && !(code->more && has_failed(a))) {
                (void)pass_failure(expr, code, code->b, b, to);
            } else if (to != a) {
                copy_value(to, a);
            }
            break;
        case OP_MOVE:
            if (has_failed(a)) {
                (void)pass_failure(expr, code, code->a, a, to);
            } else {
                copy_value(to, a);
            }
            break;
        case OP_HAS:
            set_bool(to, a->type != EXPR_MISSING);
            break;
        case OP_SIZE:
            if (a->type == EXPR_TEXT) {
                set_number(to, dec_from_int(count_characters(a->text)));
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_STARTS_WITH:
        case OP_ENDS_WITH:
        case OP_CONTAINS:
            if (a->type == EXPR_TEXT && b->type == EXPR_TEXT) {
                set_bool(to, test_text(code, a->text, b->text));
            } else {
                refuse(expr, code, a, b, to);
            }
            break;
        case OP_MATCHES:
            if (a->type == EXPR_TEXT) {
                set_bool(to, regex_search(expr->patterns[code->more], a->text, scratch));
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_LOWER:
        case OP_UPPER:
            if (a->type == EXPR_TEXT) {
                *to = expr_text(change_case(a->text, code->op == OP_LOWER ? 'A' : 'a', scratch));
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_HOUR:
        case OP_WEEKDAY:
        case OP_DATE:
            if (a->type == EXPR_TIME) {
                read_civil(expr, code, a->time, scratch, to);
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_TIMESTAMP:
        case OP_DURATION:
        case OP_NUMBER:
            if (a->type == EXPR_TEXT) {
                convert_text(code, a->text, to);
            } else if (a->type == (code->op == OP_TIMESTAMP  ? EXPR_TIME
                                   : code->op == OP_DURATION ? EXPR_DURATION
                                                             : EXPR_NUMBER)) {
                copy_value(to, a);
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_SECONDS:
            if (a->type == EXPR_DURATION) {
                set_number(to, duration_seconds(a->duration_ns));
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_SECONDS_BETWEEN:
            if (is_time_or_text(a) && is_time_or_text(b)) {
                subtract_times(code, a, b, to);
            } else {
                refuse(expr, code, a, b, to);
            }
            break;
        case OP_STRING:
            if (!print_value(a, scratch, to)) {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_CALL:
            call(expr, env, code, a, scratch, to);
            break;
        case OP_CHECK:
            if (a->type == code->more) {
                copy_value(to, a);
            } else {
                refuse(expr, code, a, NULL, to);
            }
            break;
        case OP_IN:
            assert(code->op != OP_IN);
            break; /* check.c replaces it */
        case OP_RETURN:
            if (has_failed(a)) {
                (void)pass_failure(expr, code, code->a, a, out);
            } else {
                copy_value(out, a);
            }
            return;
        }
    }
}

static __attribute__((noinline)) void run_large(const struct expr *expr, const struct expr_env *env,
                                                struct arena *scratch, struct expr_value *out)
{
    struct expr_value temps[TEMPS_MAX];
    run(expr, env, scratch, temps, out);
}

void expr_run(const struct expr *expr, const struct expr_env *env, struct arena *scratch,
              struct expr_value *out)
{
    if (expr->temp_count > TEMPS_SMALL) {
        run_large(expr, env, scratch, out);
        return;
    }
    struct expr_value temps[TEMPS_SMALL];
    run(expr, env, scratch, temps, out);
}

/* ---- the short ways ---------------------------------------------------------------------------
 */

/* Most filters are tests of names and constants, most values one operation on them.  These run
 * without the loop of run() as long as nothing fails and all types are the usual ones; when a short
 * way gives up, run() begins anew and says what comes of it. */

static inline const struct expr_value *find_operand(const struct expr *expr,
                                                    const struct expr_env *env, uint16_t operand)
{
    const struct expr_value *base =
        operand >> OPERAND_SHIFT == OPERAND_CONSTANT ? expr->constants : env->slots;
    return base + (operand & OPERAND_MASK);
}

static inline bool run_test(const struct expr *expr, const struct expr_env *env,
                            const struct code *code, bool *truth)
{
    const struct expr_value *a = find_operand(expr, env, code->a);
    const struct expr_value *b = find_operand(expr, env, code->b);
    int order;
    if (code->op == OP_HAS) {
        *truth = a->type != EXPR_MISSING;
        return true;
    }
    if (a->type != EXPR_NUMBER && a->type != EXPR_TEXT) {
        return false;
    }
    if (code->op == OP_IN_CONSTANTS) {
        *truth = false;
        for (int i = 0; i < code->more && !*truth; i++) {
            *truth = is_equal(a, &b[i]);
        }
        return true;
    }
    if (a->type != b->type) {
        return false;
    }
    if (code->op <= OP_UNEQUAL) {
        bool is_same =
            a->type == EXPR_TEXT ? text_equal(a->text, b->text) : dec_equal(a->number, b->number);
        *truth = is_same == (code->op == OP_EQUAL);
    } else {
        (void)compare(a, b, &order);
        *truth = holds(code->op, order);
    }
    return true;
}

static inline bool run_tests(const struct expr *expr, const struct expr_env *env,
                             struct expr_value *out)
{
    bool truth = false;
    for (const struct code *code = expr->code;; code++) {
        switch (code->op) {
        case OP_SKIP_TRUE:
        case OP_SKIP_FALSE:
            if (truth == (code->op == OP_SKIP_TRUE)) {
                set_bool(out, truth);
                return true;
            }
            break;
        case OP_AND:
        case OP_OR:
            break; /* what the last test says */
        case OP_RETURN:
            set_bool(out, truth);
            return true;
        default:
            if (!run_test(expr, env, code, &truth)) {
                return false;
            }
        }
    }
}

static inline bool run_sum(const struct expr *expr, const struct expr_env *env,
                           struct expr_value *out)
{
    const struct code *code = expr->code;
    const struct expr_value *a = find_operand(expr, env, code->a);
    const struct expr_value *b = find_operand(expr, env, code->b);
    struct dec result;
    enum status status;
    if (a->type != EXPR_NUMBER || b->type != EXPR_NUMBER) {
        return false;
    }
    switch (code->op) {
    case OP_ADD:
        status = dec_add(a->number, b->number, &result, NULL);
        break;
    case OP_SUBTRACT:
        status = dec_subtract(a->number, b->number, &result, NULL);
        break;
    case OP_MULTIPLY:
        status = dec_multiply(a->number, b->number, &result, NULL);
        break;
    case OP_DIVIDE:
        status = expr->divisor
                     ? dec_divide_by(a->number, expr->divisor, &result, NULL)
                     : dec_divide(a->number, b->number, DEC_SCALE, ROUND_HALF_EVEN, &result, NULL);
        break;
    default:
        return false;
    }
    if (status != OK) {
        return false;
    }
    set_number(out, result);
    return true;
}

enum status expr_eval(const struct expr *expr, const struct expr_env *env, struct arena *scratch,
                      struct expr_value *out, struct error *err)
{
    if ((expr->shape == SHAPE_TESTS && run_tests(expr, env, out)) ||
        (expr->shape == SHAPE_SUM && run_sum(expr, env, out))) {
        return OK;
    }
    expr_run(expr, env, scratch, out);
    if (__builtin_expect(out->type == EXPR_ERROR, false)) {
        if (err) {
            expr_describe(expr, out, err);
        }
        return out->failure.status;
    }
    return OK;
}
