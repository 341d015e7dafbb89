/* case_expect.c - what a case expects of a bill, against the bill's lines.
 *
 * An expectation is a sum over the lines that its key selects; what is not named is not looked at.
 * Numbers are compared exactly, as decimals or as fractions, or after rounding both sides.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cases/cases.h"

enum { EXACTLY = -1 };

void case_finding(struct case_run *run, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    message_format(text, sizeof text, format, args);
    va_end(args);
    if (!run->findings.arena) {
        buffer_init(&run->findings, run->arena, 256);
    }
    buffer_add_text(&run->findings, text_of(text));
    buffer_add_char(&run->findings, '\n');
    run->finding_count++;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* a/b; b is 1 for a plain decimal. */
static bool read_fraction(struct text text, struct dec *a, struct dec *b)
{
    *b = dec_from_int(1);
    const char *slash = text.size > 0 ? memchr(text.at, '/', text.size) : NULL;
    if (!slash) {
        return dec_parse(text, a) == NUMBER_OK;
    }
    size_t size = (size_t)(slash - text.at);
    return dec_parse((struct text){text.at, size}, a) == NUMBER_OK &&
           dec_parse((struct text){slash + 1, text.size - size - 1}, b) == NUMBER_OK &&
           dec_sign(*b) > 0;
}

/* False also when the expectation is no number. */
static bool is_equal(struct dec came, struct text expected, int rounded)
{
    struct dec a, b, left, right;
    if (!read_fraction(expected, &a, &b)) {
        return false;
    }
    if (rounded == EXACTLY) {
        return dec_multiply(came, b, &left, NULL) == OK && dec_equal(left, a);
    }
    return dec_round(came, rounded, ROUND_HALF_UP, &left, NULL) == OK &&
           dec_divide(a, b, rounded, ROUND_HALF_UP, &right, NULL) == OK && dec_equal(left, right);
}

/* False when it is another number, or none is expected; then that is told. */
static bool check_number(struct case_run *run, struct dec came, const struct yaml_node *node,
                         int rounded, const char *what, struct text key)
{
    if (node->kind != YAML_TEXT) {
        case_finding(run, "%s%s%.*s: a number is expected here", what, key.size > 0 ? " " : "",
                     TEXT_ARG(key));
        return false;
    }
    if (is_equal(came, node->text, rounded)) {
        return true;
    }
    char text[DEC_FORMAT_MAX];
    (void)dec_format(came, text);
    case_finding(run, "%s%s%.*s: expected %.*s, came %s", what, key.size > 0 ? " " : "",
                 TEXT_ARG(key), TEXT_ARG(node->text), text);
    return false;
}

/* ---- which lines a key selects ------------------------------------------------------------- */

/* Lines have names and values of dimensions, and resources, with what would separate encoded. */
static bool means(const struct case_run *run, struct text encoded, struct text plain)
{
    if (!encoded.size || !memchr(encoded.at, '%', encoded.size)) {
        return text_equal(encoded, plain);
    }
    struct arena_mark mark = arena_mark(run->arena);
    struct text decoded;
    bool is_same = text_decode(encoded, arena_alloc(run->arena, encoded.size), &decoded) &&
                   text_equal(decoded, plain);
    arena_rewind(run->arena, mark);
    return is_same;
}

/* True when the dimensions "a=1;b=2" of a line hold name=value; a value that is empty is not
 * written there. */
static bool has_dimension(const struct case_run *run, struct text dimensions, struct text name,
                          struct text value)
{
    bool is_named = false;
    for (size_t at = 0; at < dimensions.size;) {
        const char *end = memchr(dimensions.at + at, ';', dimensions.size - at);
        size_t size = end ? (size_t)(end - dimensions.at) - at : dimensions.size - at;
        struct text part = {dimensions.at + at, size};
        const char *equals = memchr(part.at, '=', part.size);
        if (equals && means(run, (struct text){part.at, (size_t)(equals - part.at)}, name)) {
            is_named = true;
            size_t from = (size_t)(equals - part.at) + 1;
            if (means(run, (struct text){part.at + from, part.size - from}, value)) {
                return true;
            }
        }
        at += size + 1;
    }
    return !is_named && value.size == 0;
}

static bool is_tier(const struct line *line, struct text key)
{
    struct dec number;
    return dec_parse(key, &number) == NUMBER_OK && dec_equal(number, dec_from_int(line->tier - 1));
}

static bool is_of_time(const struct case_run *run, const struct case_line *item, struct text key)
{
    struct period period;
    instant at;
    if (period_parse(key, run->zone, &period) == TIME_OK) {
        return period_has(period, item->line.from);
    }
    return case_time(key, &at) && at == item->period_from;
}

/* The names, with points between them: `quantity: {x.kind: n}` and the like find what they name by
 * more than one field. */
static bool is_joined(struct text key, const struct text *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_last = i + 1 == count;
        if (key.size < names[i].size + !is_last ||
            memcmp(key.at, names[i].at, names[i].size) != 0 ||
            (!is_last && key.at[names[i].size] != '.')) {
            return false;
        }
        key.at += names[i].size + !is_last;
        key.size -= names[i].size + !is_last;
    }
    return key.size == 0;
}

static bool is_quantity_of(const struct line *line, struct text key)
{
    if (text_equal(line->sku, key) && line->sku.size > 0) {
        return text_equal(line->kind, TEXT("usage"));
    }
    const struct text names[] = {line->account, line->sku, line->kind};
    const struct text of_account[] = {line->account, line->kind};
    return is_joined(key, names, 3) || is_joined(key, names + 1, 2) ||
           is_joined(key, of_account, 2) || text_equal(line->kind, key);
}

static bool is_net_of(const struct line *line, struct text key);

/* `effective: {commitment: n}` is of what it covers; of an account, a SKU, a resource it is of all
 * lines. */
static bool is_effective_of(const struct line *line, struct text key)
{
    return text_equal(key, TEXT("all")) || is_net_of(line, key) ||
           (text_equal(line->kind, TEXT("covered")) && text_equal(line->grant, key));
}

static bool is_net_of(const struct line *line, struct text key)
{
    return text_equal(line->account, key) || text_equal(line->sku, key) ||
           text_equal(line->resource, key);
}

enum { NAMES_TOLD_MAX_BYTES = 200 };

/* True of a line of the bill that the moment tells of. */
static bool is_of_bill(const struct case_line *item, uint32_t moment)
{
    return item->moment == moment && !item->is_interim;
}

enum selector_kind {
    SELECT_FIELD,
    SELECT_PAYER,
    SELECT_TIER,
    SELECT_TIME,
    SELECT_QUANTITY,
    SELECT_EFFECTIVE,
    SELECT_UNUSED,
    SELECT_NET
};

static bool is_selected(const struct case_run *run, const struct case_line *item,
                        enum selector_kind kind, struct text field, struct text key)
{
    switch (kind) {
    case SELECT_FIELD:
        return text_equal(field, key);
    case SELECT_PAYER:
        return text_equal(item->payer, key);
    case SELECT_TIER:
        return is_tier(&item->line, key);
    case SELECT_TIME:
        return is_of_time(run, item, key);
    case SELECT_QUANTITY:
        return is_quantity_of(&item->line, key);
    case SELECT_EFFECTIVE:
        return is_effective_of(&item->line, key);
    case SELECT_UNUSED:
        return text_equal(item->line.kind, TEXT("unused")) && text_equal(item->line.grant, key);
    case SELECT_NET:
        break;
    }
    return is_net_of(&item->line, key);
}

static void add_to(struct case_run *run, struct dec *sum, struct dec value)
{
    if (dec_add(*sum, value, sum, NULL) != OK) {
        case_finding(run, "a sum of amounts has more than 38 digits");
    }
}

/* ---- expectations -------------------------------------------------------------------------- */

struct comparison {
    const char *key;
    enum selector_kind kind;
    size_t field; /* offset in struct line of the text compared */
    bool is_quantity;
};
#define FIELD(name) offsetof(struct line, name)
static const struct comparison COMPARISONS[] = {
    {"by_account", SELECT_FIELD, FIELD(account), false},
    {"by_payer", SELECT_PAYER, 0, false},
    {"by_sku", SELECT_FIELD, FIELD(sku), false},
    {"by_product", SELECT_FIELD, FIELD(product), false},
    {"by_step", SELECT_FIELD, FIELD(step), false},
    {"by_kind", SELECT_FIELD, FIELD(kind), false},
    {"by_resource", SELECT_FIELD, FIELD(resource), false},
    {"by_contract", SELECT_FIELD, FIELD(contract), false},
    {"by_tier", SELECT_TIER, 0, false},
    {"by_period", SELECT_TIME, 0, false},
    {"net", SELECT_NET, 0, false},
    {"quantity", SELECT_QUANTITY, 0, true},
    {"unused", SELECT_UNUSED, 0, true},
    {"effective", SELECT_EFFECTIVE, 0, false},
};

static struct text line_field(const struct line *line, size_t offset)
{
    return *(const struct text *)(const void *)((const char *)line + offset);
}

/* What a key that no line has could have been. */
static void tell_names(struct case_run *run, uint32_t moment, const struct comparison *comparison)
{
    struct name_list names = {NULL, 0, 0};
    struct buffer told;
    buffer_init(&told, run->arena, 128);
    for (uint32_t l = 0; l < run->line_count && told.size < NAMES_TOLD_MAX_BYTES; l++) {
        struct text name = line_field(&run->lines[l].line, comparison->field);
        if (is_of_bill(&run->lines[l], moment) && name.size > 0 &&
            name_list_find(&names, name) == NONE) {
            name_list_add(run->arena, &names, name);
            buffer_format(&told, "%s%.*s", told.size > 0 ? ", " : "", TEXT_ARG(name));
        }
    }
    if (told.size > 0) {
        case_finding(run, "(%s has: %.*s)", comparison->key, TEXT_ARG(buffer_text(&told)));
    }
}

/* Whether any line of the story is of that name, so that it is no mistake. */
static bool was_selected(const struct case_run *run, const struct comparison *comparison,
                         struct text key)
{
    bool was = false;
    for (uint32_t l = 0; l < run->line_count && !was; l++) {
        const struct case_line *item = &run->lines[l];
        was = is_selected(run, item, comparison->kind, line_field(&item->line, comparison->field),
                          key);
    }
    return was;
}

/* What is expected to be 0 of a name that there is not. */
static void check_known_name(struct case_run *run, struct text what, struct text key)
{
    if (!case_knows(run, what, key)) {
        case_finding(run, "%.*s %.*s: 0 is expected, and nothing is called so", TEXT_ARG(what),
                     TEXT_ARG(key));
    }
}

static void compare_groups(struct case_run *run, uint32_t moment, const struct yaml_node *node,
                           const struct comparison *comparison, int rounded)
{
    for (uint32_t i = 0; i < node->count; i++) {
        struct text key = node->items[i].key;
        struct dec sum = DEC_ZERO;
        bool is_any = false;
        for (uint32_t l = 0; l < run->line_count; l++) {
            const struct case_line *item = &run->lines[l];
            if (is_of_bill(item, moment) &&
                is_selected(run, item, comparison->kind, line_field(&item->line, comparison->field),
                            key)) {
                is_any = true;
                add_to(run, &sum,
                       comparison->is_quantity                ? item->line.quantity
                       : comparison->kind == SELECT_EFFECTIVE ? line_effective(&item->line)
                                                              : item->line.amount);
            }
        }
        bool is_right = check_number(run, sum, &node->items[i], rounded, comparison->key, key);
        if (!is_right && !is_any && comparison->kind == SELECT_FIELD) {
            tell_names(run, moment, comparison);
        } else if (is_right && !is_any && !was_selected(run, comparison, key)) {
            check_known_name(run, node->key, key);
        }
    }
}

/* {region: {eu: 1, us: 2}} */
static void compare_dimensions(struct case_run *run, uint32_t moment, const struct yaml_node *node,
                               int rounded)
{
    for (uint32_t d = 0; d < node->count; d++) {
        const struct yaml_node *values = &node->items[d];
        if (values->kind != YAML_MAP || values->count == 0) {
            case_finding(run, "by_dim: write {dimension: {value: amount}}");
            return;
        }
        if (!case_knows(run, node->key, values->key)) {
            case_finding(run, "by_dim: there is no dimension '%.*s'", TEXT_ARG(values->key));
        }
        for (uint32_t v = 0; v < values->count; v++) {
            struct text value = values->items[v].key;
            struct dec sum = DEC_ZERO;
            for (uint32_t l = 0; l < run->line_count; l++) {
                const struct case_line *item = &run->lines[l];
                if (is_of_bill(item, moment) &&
                    has_dimension(run, item->line.dimensions, values->key, value)) {
                    add_to(run, &sum, item->line.amount);
                }
            }
            (void)check_number(run, sum, &values->items[v], rounded, "by_dim", value);
        }
    }
}

/* ---- lines --------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    size_t field;
} LINE_KEYS[] = {
    {"account", FIELD(account)},   {"sku", FIELD(sku)},           {"product", FIELD(product)},
    {"resource", FIELD(resource)}, {"kind", FIELD(kind)},         {"step", FIELD(step)},
    {"price", FIELD(price)},       {"contract", FIELD(contract)}, {"unit", FIELD(unit)},
    {"level", FIELD(level)},       {"grant", FIELD(grant)},       {"currency", FIELD(currency)}};
enum { LINE_KEY_COUNT = sizeof LINE_KEYS / sizeof *LINE_KEYS };

static bool is_compared(struct text key)
{
    return text_equal(key, TEXT("amount")) || text_equal(key, TEXT("quantity")) ||
           text_equal(key, TEXT("net")) || text_equal(key, TEXT("list")) ||
           text_equal(key, TEXT("exact")) || text_equal(key, TEXT("events")) ||
           text_equal(key, TEXT("price_amount")) || text_equal(key, TEXT("effective"));
}

static bool has_key(const struct case_run *run, const struct case_line *item,
                    const struct yaml_node *wanted)
{
    const struct line *line = &item->line;
    for (size_t i = 0; i < LINE_KEY_COUNT; i++) {
        if (text_equal(wanted->key, text_of(LINE_KEYS[i].key))) {
            return text_equal(line_field(line, LINE_KEYS[i].field), wanted->text);
        }
    }
    instant at;
    if (text_equal(wanted->key, TEXT("price_currency"))) {
        return line->conversion && text_equal(line->conversion->currency, wanted->text);
    }
    if (text_equal(wanted->key, TEXT("conversion"))) {
        return line->conversion && is_equal(line->conversion->rate, wanted->text, EXACTLY);
    }
    if (text_equal(wanted->key, TEXT("conversion_date"))) {
        return line->conversion && case_time(wanted->text, &at) && at == line->conversion->at;
    }
    if (text_equal(wanted->key, TEXT("rate"))) { /* of what a commitment costs: which fee it is */
        bool is_fee = text_equal(line->kind, TEXT("commitment"));
        return (line->has_rate && is_equal(line->rate, wanted->text, EXACTLY)) ||
               (is_fee && text_equal(line->step, wanted->text));
    }
    if (text_equal(wanted->key, TEXT("payer"))) {
        return text_equal(item->payer, wanted->text);
    }
    if (text_equal(wanted->key, TEXT("tier"))) {
        return is_tier(line, wanted->text);
    }
    if (text_equal(wanted->key, TEXT("from"))) {
        return case_time(wanted->text, &at) && at == line->from;
    }
    if (text_equal(wanted->key, TEXT("to"))) {
        return case_time(wanted->text, &at) && at == line->to;
    }
    if (text_equal(wanted->key, TEXT("version"))) {
        return case_time(wanted->text, &at) && at == line->version;
    }
    if (text_equal(wanted->key, TEXT("period"))) {
        return is_of_time(run, item, wanted->text);
    }
    return case_has_dimension(run, wanted->key) &&
           has_dimension(run, line->dimensions, wanted->key, wanted->text);
}

static bool is_known_key(const struct case_run *run, struct text key)
{
    static const char *const others[] = {"rate",       "tier",           "from",   "to",
                                         "payer",      "version",        "period", "price_currency",
                                         "conversion", "conversion_date"};
    for (size_t i = 0; i < LINE_KEY_COUNT; i++) {
        if (text_equal(key, text_of(LINE_KEYS[i].key))) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (text_equal(key, text_of(others[i]))) {
            return true;
        }
    }
    return case_has_dimension(run, key);
}

static bool matches(const struct case_run *run, const struct case_line *item,
                    const struct yaml_node *wanted)
{
    for (uint32_t i = 0; i < wanted->count; i++) {
        if (!is_compared(wanted->items[i].key) && !has_key(run, item, &wanted->items[i])) {
            return false;
        }
    }
    return true;
}

static struct dec compared_value(const struct line *line, struct text key)
{
    return text_equal(key, TEXT("quantity"))    ? line->quantity
           : text_equal(key, TEXT("list"))      ? line->list
           : text_equal(key, TEXT("exact"))     ? line->exact
           : text_equal(key, TEXT("events"))    ? dec_from_int((int64_t)line->events)
           : text_equal(key, TEXT("effective")) ? line_effective(line)
           : text_equal(key, TEXT("price_amount"))
               ? (line->conversion ? line->conversion->amount : line->exact)
               : line->amount;
}

static struct text describe(struct case_run *run, const struct yaml_node *wanted)
{
    struct buffer out;
    buffer_init(&out, run->arena, 128);
    buffer_add_text(&out, TEXT("line"));
    for (uint32_t i = 0; i < wanted->count; i++) {
        if (!is_compared(wanted->items[i].key)) {
            buffer_format(&out, " %.*s=%.*s", TEXT_ARG(wanted->items[i].key),
                          TEXT_ARG(wanted->items[i].text));
        }
    }
    buffer_add_char(&out, '\0');
    return (struct text){out.at, out.size - 1};
}

/* Of no line zero is right, when there could be one. */
static void check_choice(struct case_run *run, const struct yaml_node *wanted, const char *name)
{
    for (uint32_t i = 0; i < wanted->count; i++) {
        const struct yaml_node *item = &wanted->items[i];
        static const char *const times[] = {"from", "to", "version", "conversion_date"};
        bool is_known = case_knows(
            run, text_format(run->arena, "by_%.*s", TEXT_ARG(item->key)), item->text);
        instant at;
        for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
            is_known = is_known && (!text_equal(item->key, text_of(times[t])) ||
                                    case_time(item->text, &at));
        }
        if (!is_known) {
            case_finding(run, "%s: 0 is expected, and no %.*s is called '%.*s'", name,
                         TEXT_ARG(item->key), TEXT_ARG(item->text));
        }
    }
}

/* What adjusts a charge is another line, of another kind and step. */
static bool asks_net_of_kind(const struct yaml_node *wanted)
{
    return yaml_member(wanted, "net") &&
           (yaml_member(wanted, "kind") || yaml_member(wanted, "step") ||
            yaml_member(wanted, "grant") || yaml_member(wanted, "rate"));
}

static void compare_line(struct case_run *run, uint32_t moment, const struct yaml_node *wanted,
                         int rounded)
{
    if (wanted->kind != YAML_MAP) {
        case_finding(run, "lines: a list of mappings is expected here");
        return;
    }
    if (wanted->count == 0) {
        case_finding(run, "lines: nothing is said of a line");
        return;
    }
    struct text name = describe(run, wanted);
    bool is_known = true;
    for (uint32_t i = 0; i < wanted->count; i++) {
        const struct yaml_node *item = &wanted->items[i];
        if (item->kind != YAML_TEXT) {
            case_finding(run, "%s: %.*s has to be a text or a number", name.at,
                         TEXT_ARG(item->key));
            return;
        }
        if (!is_compared(item->key) && !is_known_key(run, item->key)) {
            case_finding(run, "%s: lines have no key '%.*s'", name.at, TEXT_ARG(item->key));
            is_known = false;
        }
    }
    if (asks_net_of_kind(wanted)) {
        case_finding(run,
                     "%s: a net is of a charge with what adjusts it, which are lines of several "
                     "kinds, steps and rates: choose them by something else",
                     name.at);
        return;
    }
    uint32_t count = 0;
    for (uint32_t l = 0; l < run->line_count; l++) {
        count += is_of_bill(&run->lines[l], moment) && matches(run, &run->lines[l], wanted);
    }
    bool asks_zero = true;
    for (uint32_t i = 0; is_known && i < wanted->count; i++) {
        const struct yaml_node *item = &wanted->items[i];
        if (!is_compared(item->key)) {
            continue;
        }
        asks_zero = asks_zero && is_equal(DEC_ZERO, item->text, EXACTLY);
        struct dec sum = DEC_ZERO;
        for (uint32_t l = 0; l < run->line_count; l++) {
            if (is_of_bill(&run->lines[l], moment) && matches(run, &run->lines[l], wanted)) {
                add_to(run, &sum, compared_value(&run->lines[l].line, item->key));
            }
        }
        if (count > 0) {
            check_number(run, sum, item, rounded, name.at, item->key);
        }
    }
    bool asks_number = false;
    for (uint32_t i = 0; i < wanted->count; i++) {
        asks_number = asks_number || is_compared(wanted->items[i].key);
    }
    /* A line of nothing is not written; expecting zero of it is right. */
    if (is_known && count == 0 && !(asks_number && asks_zero)) {
        case_finding(run, "%s: there is none", name.at);
    } else if (is_known && count == 0) {
        check_choice(run, wanted, name.at);
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

static struct dec sum_amounts(struct case_run *run, uint32_t first, uint32_t last)
{
    struct dec sum = DEC_ZERO;
    for (uint32_t l = 0; l < run->line_count; l++) {
        if (run->lines[l].moment >= first && run->lines[l].moment <= last) {
            add_to(run, &sum, run->lines[l].line.amount);
        }
    }
    return sum;
}

static struct dec sum_without_tax(struct case_run *run, uint32_t moment)
{
    struct dec sum = DEC_ZERO;
    for (uint32_t l = 0; l < run->line_count; l++) {
        const struct case_line *item = &run->lines[l];
        if (is_of_bill(item, moment) && !text_equal(item->line.kind, TEXT("tax"))) {
            add_to(run, &sum, item->line.amount);
        }
    }
    return sum;
}

/* What a contract charges, without tax. */
static struct dec sum_of_contract(struct case_run *run, uint32_t moment, struct text contract,
                                  bool *is_known)
{
    struct dec sum = DEC_ZERO;
    *is_known = map_find(&run->loaded.catalog->contract_by_id, contract) != MAP_NONE;
    for (uint32_t l = 0; l < run->line_count; l++) {
        const struct case_line *item = &run->lines[l];
        if (is_of_bill(item, moment) && text_equal(item->line.contract, contract) &&
            !text_equal(item->line.kind, TEXT("tax"))) {
            add_to(run, &sum, item->line.amount);
        }
    }
    return sum;
}

/* What bills inside the turn came to: in the order in which thresholds were reached. */
static void compare_interim(struct case_run *run, uint32_t moment, const struct yaml_node *node,
                            int rounded)
{
    instant after = INSTANT_MIN;
    uint32_t count = 0;
    for (;; count++) {
        instant next = INSTANT_MAX;
        struct dec sum = DEC_ZERO;
        for (uint32_t l = 0; l < run->line_count; l++) {
            const struct case_line *item = &run->lines[l];
            bool is_next = item->moment == moment && item->is_interim && item->bill_to > after;
            next = is_next && item->bill_to < next ? item->bill_to : next;
        }
        for (uint32_t l = 0; l < run->line_count; l++) {
            const struct case_line *item = &run->lines[l];
            if (item->moment == moment && item->is_interim && item->bill_to == next) {
                add_to(run, &sum, item->line.amount);
            }
        }
        if (next == INSTANT_MAX) {
            break;
        }
        if (count < node->count) {
            check_number(run, sum, &node->items[count], rounded, "interim", TEXT(""));
        }
        after = next;
    }
    if (count != node->count) {
        case_finding(run, "interim: expected %u bills, came %u", node->count, count);
    }
}

static struct dec sum_interim(struct case_run *run, uint32_t moment)
{
    struct dec sum = DEC_ZERO;
    for (uint32_t l = 0; l < run->line_count; l++) {
        if (run->lines[l].moment == moment && run->lines[l].is_interim) {
            add_to(run, &sum, run->lines[l].line.amount);
        }
    }
    return sum;
}

/* {resale - cloud: 48}; more contracts are added or taken off likewise. */
static void compare_margins(struct case_run *run, uint32_t moment, const struct yaml_node *node,
                            int rounded)
{
    for (uint32_t i = 0; i < node->count; i++) {
        struct text key = node->items[i].key;
        struct dec sum = DEC_ZERO;
        bool takes_off = false;
        for (size_t at = 0; at < key.size;) {
            size_t end = at;
            while (end < key.size &&
                   !(end + 3 <= key.size && key.at[end] == ' ' && key.at[end + 2] == ' ' &&
                     (key.at[end + 1] == '-' || key.at[end + 1] == '+'))) {
                end++;
            }
            struct text contract = {key.at + at, end - at};
            bool is_known;
            struct dec amount = sum_of_contract(run, moment, contract, &is_known);
            if (!is_known) {
                case_finding(run, "margin: there is no contract '%.*s'", TEXT_ARG(contract));
            }
            add_to(run, &sum, takes_off ? dec_negate(amount) : amount);
            takes_off = end < key.size && key.at[end + 1] == '-';
            at = end < key.size ? end + 3 : end;
        }
        check_number(run, sum, &node->items[i], rounded, "margin", key);
    }
}

/* Of grants, or of what is pending. */
static void compare_balances(struct case_run *run, const struct yaml_node *node,
                             const struct case_balance *balances, uint32_t count, int rounded,
                             const char *what)
{
    bool is_balance = text_equal(node->key, TEXT("balance"));
    for (uint32_t i = 0; i < node->count; i++) {
        struct text key = node->items[i].key;
        struct dec sum = DEC_ZERO;
        bool is_any = false;
        for (uint32_t b = 0; b < count; b++) {
            if (text_equal(balances[b].grant, key)) {
                is_any = true;
                add_to(run, &sum, balances[b].amount);
            }
        }
        if (!is_any && is_balance && case_knows(run, node->key, key)) {
            case_finding(run,
                         "balance %.*s: no bill has come to a wallet with it, so that none says "
                         "what is left",
                         TEXT_ARG(key));
        } else if (check_number(run, sum, &node->items[i], rounded, what, key) && !is_any) {
            check_known_name(run, node->key, key);
        }
    }
}

static bool is_within(struct period inner, struct period outer)
{
    return inner.from >= outer.from && inner.to <= outer.to;
}

/* A bill is a difference: what its period's taxes were when they were billed last is taken off. */
static struct dec tax_of(struct case_run *run, uint32_t moment, int kind)
{
    struct dec sum = DEC_ZERO;
    for (uint32_t i = 0; i < run->tax_count; i++) {
        const struct case_taxes *now = &run->taxes[i];
        if (now->moment != moment) {
            continue;
        }
        add_to(run, &sum, now->of[kind]);
        for (uint32_t k = 0; k < i; k++) {
            const struct case_taxes *past = &run->taxes[k];
            bool is_last = is_within(past->period, now->period);
            for (uint32_t m = k + 1; m < i && is_last; m++) {
                is_last = !is_within(past->period, run->taxes[m].period) ||
                          !is_within(run->taxes[m].period, now->period);
            }
            if (is_last) {
                add_to(run, &sum, dec_negate(past->of[kind]));
            }
        }
    }
    return sum;
}

static void compare_taxes(struct case_run *run, uint32_t moment, const struct yaml_node *node,
                          int rounded)
{
    for (uint32_t i = 0; i < node->count; i++) {
        int kind = 0;
        while (kind < CHARGE_KINDS &&
               !text_equal(node->items[i].key, text_of(charge_kind_name((enum charge_kind)kind)))) {
            kind++;
        }
        if (kind == CHARGE_KINDS) {
            case_finding(run, "by_tax_of: no kind of charge is called '%.*s'",
                         TEXT_ARG(node->items[i].key));
            continue;
        }
        check_number(run, tax_of(run, moment, kind), &node->items[i], rounded, "by_tax_of",
                     node->items[i].key);
    }
}

static void compare_excluded(struct case_run *run, const struct yaml_node *node)
{
    for (uint32_t i = 0; i < node->count; i++) {
        struct text key = node->items[i].key;
        /* A case leaves out what comes too late before it is an event. */
        bool is_late = text_equal(key, text_of(exclusion_name(EXCLUDE_LATE))), is_known = is_late;
        if (is_late) {
            check_number(run, dec_from_int(run->too_late), &node->items[i], EXACTLY, "excluded",
                         key);
        }
        for (int reason = 0; reason < EXCLUSIONS && !is_late; reason++) {
            if (text_equal(key, text_of(exclusion_name((enum exclusion)reason)))) {
                is_known = true;
                check_number(run, dec_from_int(run->excluded[reason]), &node->items[i], EXACTLY,
                             "excluded", key);
            }
        }
        if (!is_known) {
            case_finding(run, "excluded: no reason is called '%.*s'", TEXT_ARG(key));
        }
    }
}

static void compare_failed(struct case_run *run, const struct yaml_node *node)
{
    for (uint32_t i = 0; i < node->count; i++) {
        if (name_list_find(&run->failed, node->items[i].key) == NONE) {
            case_finding(run, "failed: payer %.*s was billed", TEXT_ARG(node->items[i].key));
        }
    }
}

static int read_rounded(struct case_run *run, const struct yaml_node *expect)
{
    const struct yaml_node *node = yaml_member(expect, "rounded");
    struct dec digits;
    if (!node) {
        return EXACTLY;
    }
    if (node->kind != YAML_TEXT || dec_parse(node->text, &digits) != NUMBER_OK ||
        digits.scale != 0 || digits.mantissa < 0 || digits.mantissa > DEC_SCALE) {
        case_finding(run, "rounded: digits from 0 to 18 are expected here");
        return EXACTLY;
    }
    return (int)digits.mantissa;
}

/* How each is written. */
static const struct {
    const char *key;
    enum yaml_kind kind;
} EXPECTATIONS[] = {
    {"total", YAML_TEXT},     {"charges", YAML_TEXT},   {"net_of_tax", YAML_TEXT},
    {"already", YAML_TEXT},   {"rounded", YAML_TEXT},   {"error", YAML_TEXT},
    {"interim", YAML_LIST},   {"lines", YAML_LIST},     {"by_account", YAML_MAP},
    {"by_payer", YAML_MAP},   {"by_sku", YAML_MAP},     {"by_product", YAML_MAP},
    {"by_step", YAML_MAP},    {"by_kind", YAML_MAP},    {"by_resource", YAML_MAP},
    {"by_contract", YAML_MAP}, {"by_tier", YAML_MAP},   {"by_period", YAML_MAP},
    {"by_dim", YAML_MAP},     {"by_tax_of", YAML_MAP},  {"net", YAML_MAP},
    {"quantity", YAML_MAP},   {"unused", YAML_MAP},     {"effective", YAML_MAP},
    {"margin", YAML_MAP},     {"balance", YAML_MAP},    {"pending", YAML_MAP},
    {"excluded", YAML_MAP},   {"failed", YAML_MAP}};

/* A mapping or list that is something else would agree with whatever comes. */
static bool check_shape(struct case_run *run, const struct yaml_node *node)
{
    static const char *const names[] = {
        [YAML_TEXT] = "number", [YAML_LIST] = "list", [YAML_MAP] = "mapping"};
    size_t i = 0, count = sizeof EXPECTATIONS / sizeof *EXPECTATIONS;
    while (i < count && !text_equal(node->key, text_of(EXPECTATIONS[i].key))) {
        i++;
    }
    if (i == count) {
        case_finding(run, "expect: there is no '%.*s'", TEXT_ARG(node->key));
        return false;
    }
    enum yaml_kind kind = EXPECTATIONS[i].kind;
    if (node->kind != kind) {
        bool is_error = text_equal(node->key, TEXT("error"));
        case_finding(run, "%s: a %s is expected here", EXPECTATIONS[i].key,
                     is_error ? "text" : names[kind]);
        return false;
    }
    return true;
}

/* An empty mapping says nothing, nor how numbers are compared; of the bills inside a turn `[]` says
 * that there is none. */
static bool says_something(const struct yaml_node *node)
{
    bool is_empty = (node->kind == YAML_MAP || node->kind == YAML_LIST) && node->count == 0;
    return text_equal(node->key, TEXT("interim")) ||
           (!is_empty && !text_equal(node->key, TEXT("rounded")));
}

static void compare_one(struct case_run *run, uint32_t moment, const struct yaml_node *node,
                        int rounded)
{
    if (!check_shape(run, node)) {
        return;
    }
    for (size_t i = 0; i < sizeof COMPARISONS / sizeof *COMPARISONS; i++) {
        if (text_equal(node->key, text_of(COMPARISONS[i].key))) {
            compare_groups(run, moment, node, &COMPARISONS[i], rounded);
            return;
        }
    }
    if (text_equal(node->key, TEXT("total"))) {
        struct dec interim = sum_interim(run, moment), sum = sum_amounts(run, moment, moment);
        if (dec_subtract(sum, interim, &sum, NULL) != OK) {
            case_finding(run, "a sum of amounts has more than 38 digits");
        }
        check_number(run, sum, node, rounded, "total", TEXT(""));
    } else if (text_equal(node->key, TEXT("interim"))) {
        compare_interim(run, moment, node, rounded);
    } else if (text_equal(node->key, TEXT("already"))) {
        check_number(run, sum_interim(run, moment), node, rounded, "already", TEXT(""));
    } else if (text_equal(node->key, TEXT("net_of_tax"))) {
        check_number(run, sum_without_tax(run, moment), node, rounded, "net_of_tax", TEXT(""));
    } else if (text_equal(node->key, TEXT("charges"))) {
        check_number(run, sum_amounts(run, 0, moment), node, rounded, "charges", TEXT(""));
    } else if (text_equal(node->key, TEXT("by_dim"))) {
        compare_dimensions(run, moment, node, rounded);
    } else if (text_equal(node->key, TEXT("by_tax_of"))) {
        compare_taxes(run, moment, node, rounded);
    } else if (text_equal(node->key, TEXT("margin"))) {
        compare_margins(run, moment, node, rounded);
    } else if (text_equal(node->key, TEXT("balance"))) {
        compare_balances(run, node, run->balances, run->balance_count, rounded, "balance");
    } else if (text_equal(node->key, TEXT("pending"))) {
        compare_balances(run, node, run->waiting, run->waiting_count, rounded, "pending");
    } else if (text_equal(node->key, TEXT("excluded"))) {
        compare_excluded(run, node);
    } else if (text_equal(node->key, TEXT("failed"))) {
        compare_failed(run, node);
    } else if (text_equal(node->key, TEXT("lines"))) {
        for (uint32_t i = 0; i < node->count; i++) {
            compare_line(run, moment, &node->items[i], rounded);
        }
    } else if (text_equal(node->key, TEXT("error"))) {
        case_finding(run, "error: expected '%.*s', but it was billed", TEXT_ARG(node->text));
    }
}

void case_compare(struct case_run *run, uint32_t moment, const struct yaml_node *expect)
{
    if (expect->kind != YAML_MAP) {
        if (expect->kind != YAML_NONE) {
            case_finding(run, "expect: a mapping is expected here");
        }
        return;
    }
    int rounded = read_rounded(run, expect);
    bool is_any = expect->count == 0;
    for (uint32_t i = 0; i < expect->count; i++) {
        is_any = is_any || says_something(&expect->items[i]);
        compare_one(run, moment, &expect->items[i], rounded);
    }
    if (!is_any) {
        case_finding(run, "expect: what stands here says nothing");
    }
}

const struct yaml_node *case_expected_error(const struct yaml_node *expect)
{
    return yaml_member(expect, "error");
}
