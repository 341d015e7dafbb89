/* names.c - what an expression may name, and where.
 *
 * A bare name is a fixed one, else a dimension, else an attribute of SKUs; `dims.x`, `attributes.x`
 * and `contract.x` say which; `customer.tax.x` is what the account's record says.  Of `unit`,
 * `price` and `list` a dimension goes before the fixed name.  Where a name exists but not at this
 * place (a charge's amount before there are charges), the complaint is the same as for one that
 * does not exist, and the hint lists what there is.
 */
#include "base/nearest.h"
#include "catalog/load.h"

#include "base/nofloat.h"

struct fixed_name {
    const char *name;
    uint8_t from; /* the narrowest scope that has it */
    bool of_turn;
    enum expr_type type;
    uint32_t slot;
};

static const struct fixed_name fixed_names[] = {
    {"period.hours", NAMES_BUCKET, false, EXPR_NUMBER, NAME_PERIOD_HOURS},
    {"period.days", NAMES_BUCKET, false, EXPR_NUMBER, NAME_PERIOD_DAYS},
    {"period.seconds", NAMES_BUCKET, false, EXPR_NUMBER, NAME_PERIOD_SECONDS},
    {"period.start", NAMES_BUCKET, false, EXPR_TIME, NAME_PERIOD_START},
    {"turn.hours", NAMES_BUCKET, true, EXPR_NUMBER, NAME_TURN_HOURS},
    {"turn.days", NAMES_BUCKET, true, EXPR_NUMBER, NAME_TURN_DAYS},
    {"turn.seconds", NAMES_BUCKET, true, EXPR_NUMBER, NAME_TURN_SECONDS},
    {"turn.start", NAMES_BUCKET, true, EXPR_TIME, NAME_TURN_START},
    {"quantity", NAMES_ROW, false, EXPR_NUMBER, NAME_QUANTITY},
    {"events", NAMES_ROW, false, EXPR_NUMBER, NAME_EVENTS},
    {"unit", NAMES_ROW, false, EXPR_TEXT, NAME_UNIT},
    {"sku", NAMES_ROW, false, EXPR_TEXT, NAME_SKU},
    {"product", NAMES_ROW, false, EXPR_TEXT, NAME_PRODUCT},
    {"account", NAMES_ROW, false, EXPR_TEXT, NAME_ACCOUNT},
    {"resource", NAMES_ROW, false, EXPR_TEXT, NAME_RESOURCE},
    {"time", NAMES_ROW, false, EXPR_TIME, NAME_TIME},
    {"amount", NAMES_CHARGE, false, EXPR_NUMBER, NAME_AMOUNT},
    {"net", NAMES_CHARGE, false, EXPR_NUMBER, NAME_NET},
    {"rate", NAMES_CHARGE, false, EXPR_NUMBER, NAME_RATE},
    {"kind", NAMES_CHARGE, false, EXPR_TEXT, NAME_KIND},
    {"step", NAMES_CHARGE, false, EXPR_TEXT, NAME_STEP},
    {"price", NAMES_CHARGE, false, EXPR_TEXT, NAME_PRICE},
    {"list", NAMES_CHARGE, false, EXPR_NUMBER, NAME_LIST},
};
enum { FIXED_NAME_COUNT = sizeof fixed_names / sizeof fixed_names[0] };

static const struct fixed_name meter_names[] = {
    {"type", NAMES_METER, false, EXPR_TEXT, NAME_TYPE},
    {"source", NAMES_METER, false, EXPR_TEXT, NAME_SOURCE},
    {"id", NAMES_METER, false, EXPR_TEXT, NAME_ID},
    {"subject", NAMES_METER, false, EXPR_TEXT, NAME_SUBJECT},
    {"time", NAMES_METER, false, EXPR_TIME, NAME_EVENT_TIME},
};
enum { METER_NAME_COUNT = sizeof meter_names / sizeof meter_names[0] };

/* What a charge in reach of an expression may be: all kinds but unused, which has no amount. */
static const char *const charge_kinds[] = {
    "usage",     "fee",     "covered",    "negation", "discount", "markup",   "minimum",   "cap",
    "shortfall", "overage", "commitment", "credit",   "tax",      "rounding", "allocated", NULL};

bool is_row_name(struct text name)
{
    for (size_t i = 0; i < FIXED_NAME_COUNT; i++) {
        if (fixed_names[i].from <= NAMES_ROW && text_equal(name, text_of(fixed_names[i].name))) {
            return true;
        }
    }
    return false;
}

struct resolver {
    struct loader *loader;
    const struct expr_context *context;
    const char *limit;   /* of names, that one would be beyond; NULL */
    struct text no_such; /* the first that a product or a SKU is compared with and that is none */
    uint32_t no_such_slot, no_such_offset;
};

/* If path is prefix.rest: the rest, without brackets and quotes when it is one key in brackets. */
static bool take_prefix(struct arena *arena, struct text path, const char *prefix,
                        struct text *rest)
{
    size_t size = strlen(prefix);
    if (path.size < size + 2 || memcmp(path.at, prefix, size) != 0) {
        return false;
    }
    *rest = (struct text){path.at + size, path.size - size};
    if (rest->at[0] == '.') {
        *rest = (struct text){rest->at + 1, rest->size - 1};
        return true;
    }
    if (rest->at[0] != '[' || rest->size < 4 || rest->at[rest->size - 1] != ']') {
        return false;
    }
    /* A JSON string; the few escapes that it may hold. */
    struct buffer out;
    buffer_init(&out, arena, rest->size);
    for (size_t i = 2; i + 2 < rest->size; i++) {
        char c = rest->at[i];
        if (c == '"') {
            return false; /* more than one key */
        }
        if (c == '\\') {
            c = rest->at[++i];
            static const char escapes[] = "n\nt\tr\rb\bf\f";
            const char *escape = strchr("ntrbf", c);
            if (c != '\0' && escape != NULL) {
                c = escapes[2 * (escape - "ntrbf") + 1];
            }
        }
        buffer_add_char(&out, c);
    }
    *rest = buffer_text(&out);
    return true;
}

/* The hash of data.a.b["c"], as decode makes it (member_path; a test holds the two together). */
static uint64_t hash_member(struct arena *arena, struct text path)
{
    uint64_t hash = 0;
    size_t at = strlen("data");
    while (at < path.size) {
        size_t end = at + 1;
        bool quoted = path.at[at] == '[';
        bool in_text = false;
        while (end < path.size) {
            char c = path.at[end];
            if (quoted && in_text && c == '\\') {
                end++;
            } else if (quoted && c == '"') {
                in_text = !in_text;
            } else if (quoted ? !in_text && c == ']' : c == '.' || c == '[') {
                break;
            }
            end++;
        }
        end += quoted && end < path.size;
        struct text key;
        if (!take_prefix(arena, (struct text){path.at + at, end - at}, "", &key)) {
            key = (struct text){path.at + at, end - at};
        }
        hash = hash_print64(key.at, key.size, hash);
        at = end;
    }
    return hash;
}

static bool resolve_member(struct resolver *resolver, struct text path, struct expr_name *out)
{
    struct member_list *members = resolver->context->members;
    if (path.size < 6 || memcmp(path.at, "data", 4) != 0 ||
        (path.at[4] != '.' && path.at[4] != '[')) {
        return false;
    }
    uint32_t index = 0;
    while (index < members->count && !text_equal(members->names[index], path)) {
        index++;
    }
    if (index == MEMBERS_USED_MAX) {
        resolver->limit = "expressions of a meter use at most 250 members of data";
        return false;
    }
    if (index == members->count) {
        struct arena *arena = resolver->loader->arena;
        if (index == 0) {
            members->names = arena_calloc(arena, MEMBERS_USED_MAX, sizeof *members->names);
            members->paths = arena_calloc(arena, MEMBERS_USED_MAX, sizeof *members->paths);
        }
        members->names[index] = text_copy(arena, path);
        members->paths[index] = hash_member(arena, path);
        members->count++;
    }
    *out = (struct expr_name){EXPR_DYNAMIC, NAME_MEMBER + index, NULL, false, NULL};
    return true;
}

static bool resolve_in(const struct map *by_name, struct text name, uint32_t base,
                       const enum expr_type *types, struct expr_name *out)
{
    uint32_t index = map_find(by_name, name);
    if (index == MAP_NONE) {
        return false;
    }
    *out = (struct expr_name){types == NULL ? EXPR_TEXT : types[index], base + index, NULL, false,
                              NULL};
    return true;
}

static bool resolve_dimension(const struct resolver *resolver, struct text name,
                              struct expr_name *out)
{
    bool has_numbers = resolver->context->has_numbers;
    uint32_t base = has_numbers ? NAME_NUMBER : NAME_DIMENSION;
    if (!resolve_in(&resolver->loader->dimension_by_name, name, base, NULL, out)) {
        return false;
    }
    out->type = has_numbers ? EXPR_NUMBER : EXPR_TEXT;
    out->is_untyped = !has_numbers;
    return true;
}

/* Of an attribute that is text, the number is what it holds. */
static bool resolve_attribute(const struct resolver *resolver, struct text name,
                              struct expr_name *out)
{
    const struct loader *loader = resolver->loader;
    if (!resolve_in(&loader->attribute_by_name, name, NAME_ATTRIBUTE, loader->attribute_types,
                    out)) {
        return false;
    }
    if (resolver->context->has_numbers && out->type != EXPR_NUMBER) {
        out->slot += NAME_ATTRIBUTE_NUMBER - NAME_ATTRIBUTE;
        out->type = EXPR_NUMBER;
    }
    return true;
}

/* Of words that usage is often told apart by: where somebody has a dimension called so, it is what
 * is meant. */
static bool is_dimension_instead(const struct loader *loader, struct text name)
{
    static const char *const words[] = {"unit", "price", "list", NULL};
    return is_listed(name, words) && map_find(&loader->dimension_by_name, name) != MAP_NONE;
}

/* What an account's record says.  Where none of the catalog says any, the records will: then a name
 * is one because an expression uses it. */
static bool resolve_customer(struct loader *loader, struct text name, struct expr_name *out)
{
    struct catalog *catalog = loader->catalog;
    const uint32_t count = catalog->customer_name_count;
    if (loader->takes_customer_names && name.size > 0 &&
        map_find(&loader->customer_by_name, name) == MAP_NONE) {
        if (count == NAME_SAVINGS - NAME_CUSTOMER) {
            return false;
        }
        uint32_t capacity = loader->customer_name_capacity;
        struct text *names = grow_array(loader, (struct text *)catalog->customer_names, count,
                                        &capacity, sizeof *names);
        catalog->customer_names = names;
        loader->customer_types =
            grow_array(loader, loader->customer_types, count, &loader->customer_name_capacity,
                       sizeof *loader->customer_types);
        names[count] = text_copy(loader->arena, name);
        loader->customer_types[count] = EXPR_DYNAMIC;
        (void)map_put(&loader->customer_by_name, names[count], count);
        catalog->customer_name_count++;
    }
    return resolve_in(&loader->customer_by_name, name, NAME_CUSTOMER, loader->customer_types, out);
}

/* What a commitment says of itself: records may say anything, so a name is one because an
 * expression uses it. */
static bool resolve_commitment(struct resolver *resolver, struct text name, struct expr_name *out)
{
    bool is_text = text_equal(name, TEXT("id")) || text_equal(name, TEXT("account"));
    bool is_time = text_equal(name, TEXT("from")) || text_equal(name, TEXT("to"));
    uint32_t index = NONE;
    if (name.size > 0) {
        index = commitment_name(resolver->loader, name);
        resolver->limit = index == NONE ? "expressions ask at most 97 things of commitments" : NULL;
    }
    *out = (struct expr_name){is_text   ? EXPR_TEXT
                              : is_time ? EXPR_TIME
                                        : EXPR_DYNAMIC,
                              NAME_COMMITMENT + index, NULL, false, NULL};
    return index != NONE;
}

static bool resolve(void *context, struct text path, struct expr_name *out)
{
    struct resolver *resolver = context;
    struct loader *loader = resolver->loader;
    enum scope_kind kind = resolver->context->kind;
    bool is_meter = kind == NAMES_METER;
    const struct fixed_name *names = is_meter ? meter_names : fixed_names;
    struct text rest;
    if ((resolver->context->has_commitment || resolver->context->is_commitment) &&
        take_prefix(loader->arena, path, "commitment", &rest)) {
        return resolve_commitment(resolver, rest, out);
    }
    if (resolver->context->is_commitment) {
        return resolve_commitment(resolver, path, out);
    }
    for (size_t i = 0; i < (is_meter ? (size_t)METER_NAME_COUNT : FIXED_NAME_COUNT); i++) {
        if (names[i].from <= kind && (!names[i].of_turn || resolver->context->has_turn) &&
            text_equal(path, text_of(names[i].name)) && !is_dimension_instead(loader, path)) {
            *out = (struct expr_name){names[i].type, names[i].slot, NULL, false,
                                      names[i].slot == NAME_KIND ? charge_kinds : NULL};
            return true;
        }
    }
    if (is_meter) {
        return resolve_member(resolver, path, out);
    }
    if (kind >= NAMES_BUCKET && take_prefix(loader->arena, path, "contract", &rest)) {
        return resolve_in(&loader->parameter_by_name, rest, NAME_PARAMETER, loader->parameter_types,
                          out);
    }
    if (kind >= NAMES_BUCKET && take_prefix(loader->arena, path, "customer.tax", &rest)) {
        return resolve_customer(loader, rest, out);
    }
    if (kind < NAMES_ROW) {
        return false;
    }
    for (uint32_t i = 0; i < resolver->context->result_count; i++) {
        if (text_equal(path, resolver->context->results[i])) {
            *out = (struct expr_name){EXPR_NUMBER, NAME_RESULT + i, NULL, false, NULL};
            return true;
        }
    }
    if (resolver->context->has_savings &&
        (text_equal(path, TEXT("savings")) || text_equal(path, TEXT("list")) ||
         text_equal(path, TEXT("rate")))) {
        uint32_t slot = path.at[0] == 's'   ? NAME_SAVINGS
                        : path.at[0] == 'l' ? NAME_LIST_RATE
                                            : NAME_RATE;
        *out = (struct expr_name){EXPR_NUMBER, slot, NULL, false, NULL};
        return true;
    }
    if (take_prefix(loader->arena, path, "dims", &rest)) {
        return resolve_dimension(resolver, rest, out);
    }
    if (take_prefix(loader->arena, path, "attributes", &rest)) {
        return resolve_attribute(resolver, rest, out);
    }
    return resolve_dimension(resolver, path, out) || resolve_attribute(resolver, path, out);
}

/* The name that an argument must be: a text that is known when the expression loads. */
static const struct text *name_argument(const struct expr_call *called)
{
    return called->arg_count > 0 && called->constants[0] != NULL &&
                   called->constants[0]->type == EXPR_TEXT
               ? &called->constants[0]->text
               : NULL;
}

/* in_calendar("peak"): whether the time of the row, or the event, is in it. */
static enum status call_calendar(struct resolver *resolver, const struct expr_call *called,
                                 struct expr_function *out, struct error *err)
{
    struct loader *loader = resolver->loader;
    const struct text *name = name_argument(called);
    enum scope_kind kind = resolver->context->kind;
    if (kind != NAMES_ROW && kind != NAMES_CHARGE && kind != NAMES_METER) {
        return fail(err, ERR_INPUT, "in_calendar asks for the time of a row, and here is none");
    }
    if (name == NULL || called->arg_count != 1) {
        return fail(err, ERR_INPUT, "in_calendar wants the name of a calendar, in quotes");
    }
    out->fault_arg = 0;
    uint32_t index = map_find(&loader->calendar_by_name, *name);
    if (index == MAP_NONE) {
        (void)fail(err, ERR_INPUT, "there is no calendar %.*s", TEXT_ARG(*name));
        struct text hint = loader->catalog->calendar_count == 0
                               ? NO_HINT
                               : hint_choice(loader->arena, *name, loader->calendar_names,
                                             loader->catalog->calendar_count);
        return hint.size == 0 ? ERR_INPUT : fail_hint(err, "%.*s", TEXT_ARG(hint));
    }
    *out = (struct expr_function){.type = EXPR_BOOL, .slot = CALL_CALENDAR + index, .fault_arg = 0};
    return OK;
}

/* lookup("rates", key, ...), series("spot", key, ...). */
static enum status call_table(struct resolver *resolver, const struct expr_call *called,
                              struct expr_function *out, struct error *err)
{
    struct loader *loader = resolver->loader;
    bool is_series = text_equal(called->name, TEXT("series"));
    const char *what = is_series ? "series" : "table";
    const struct text *name = name_argument(called);
    if (resolver->context->kind < NAMES_BUCKET) {
        return fail(err, ERR_INPUT, "%.*s is for the steps of prices and for meters",
                    TEXT_ARG(called->name));
    }
    if (name == NULL) {
        return fail(err, ERR_INPUT, "%.*s wants the name of a %s, in quotes, then its keys",
                    TEXT_ARG(called->name), what);
    }
    out->fault_arg = 0;
    uint32_t index = map_find(is_series ? &loader->series_by_name : &loader->table_by_name, *name);
    if (index == MAP_NONE) {
        (void)fail(err, ERR_INPUT, "there is no %s %.*s", what, TEXT_ARG(*name));
        uint32_t count = is_series ? loader->series.count : loader->tables.count;
        const struct text *names = is_series ? loader->series_names : loader->table_names;
        struct text hint = count == 0 ? NO_HINT : hint_choice(loader->arena, *name, names, count);
        return hint.size == 0 ? ERR_INPUT : fail_hint(err, "%.*s", TEXT_ARG(hint));
    }
    index += is_series ? loader->tables.count : 0;
    if (called->arg_count - 1 != loader->rate_tables[index].key_count) {
        return fail(err, ERR_INPUT, "the %s %.*s has %u keys, and here are %zu", what,
                    TEXT_ARG(*name), loader->rate_tables[index].key_count, called->arg_count - 1);
    }
    for (size_t i = 1; i < called->arg_count; i++) {
        enum expr_type type = called->types[i];
        if (type != EXPR_TEXT && type != EXPR_NUMBER && type != EXPR_BOOL && type != EXPR_DYNAMIC) {
            out->fault_arg = (int)i;
            return fail(err, ERR_INPUT, "a key is a text, a number or a truth, and this is %s",
                        expr_type_phrase(type));
        }
    }
    *out = (struct expr_function){.type = EXPR_NUMBER, .slot = CALL_LOOKUP + index, .fault_arg = 0};
    return OK;
}

/* usage("sku or meter"): its total in the scope and turn of the step that asks. */
static enum status call_usage(struct resolver *resolver, const struct expr_call *called,
                              struct expr_function *out, struct error *err)
{
    struct loader *loader = resolver->loader;
    const struct catalog *catalog = loader->catalog;
    const struct text *name = name_argument(called);
    if (!resolver->context->has_usage) {
        (void)fail(err, ERR_INPUT, "usage is for the steps that rows come to");
        return fail_hint(err, "what events count has a meter, and a price with a rate");
    }
    if (name == NULL || called->arg_count != 1) {
        return fail(err, ERR_INPUT, "usage wants the name of a SKU or a meter, in quotes");
    }
    out->fault_arg = 0;
    struct usage_name usage = {text_copy(loader->arena, *name),
                               map_find(&catalog->sku_by_name, *name), NONE};
    if (usage.sku == MAP_NONE) {
        usage.sku = NONE;
        usage.meter = map_find(&loader->meter_by_name, *name);
        if (usage.meter == MAP_NONE) {
            return fail(err, ERR_INPUT, "there is no SKU and no meter %.*s", TEXT_ARG(*name));
        }
    }
    uint32_t index = 0;
    while (index < loader->usage_count && !text_equal(loader->usages[index].name, *name)) {
        index++;
    }
    if (index == CALL_CHARGES - CALL_USAGE) {
        return fail(err, ERR_LIMIT, "usage is asked of too many things");
    }
    if (index == loader->usage_count) {
        loader->usages = grow_array(loader, loader->usages, loader->usage_count,
                                    &loader->usage_capacity, sizeof *loader->usages);
        loader->usages[loader->usage_count++] = usage;
    }
    *out = (struct expr_function){.type = EXPR_NUMBER, .slot = CALL_USAGE + index, .fault_arg = 0};
    return OK;
}

/* charges("product or step"): the net so far, in the scope and turn of the term that asks.  That
 * there is such a product or step is checked when all are read. */
static enum status call_charges(struct resolver *resolver, const struct expr_call *called,
                                struct expr_function *out, struct error *err)
{
    struct loader *loader = resolver->loader;
    const struct text *name = name_argument(called);
    if (!resolver->context->has_charges) {
        return fail(err, ERR_INPUT, "charges is for terms, which see what others have charged");
    }
    if (name == NULL || called->arg_count != 1) {
        return fail(err, ERR_INPUT, "charges wants the name of a product, SKU or step, in quotes");
    }
    uint32_t index = 0;
    while (index < loader->charge_name_count && !text_equal(loader->charge_names[index], *name)) {
        index++;
    }
    if (index == EXPR_SLOTS_MAX - CALL_CHARGES) {
        out->fault_arg = 0;
        return fail(err, ERR_LIMIT, "charges is asked of too many things");
    }
    if (index == loader->charge_name_count) {
        loader->charge_names =
            grow_array(loader, loader->charge_names, loader->charge_name_count,
                       &loader->charge_name_capacity, sizeof *loader->charge_names);
        loader->charge_names[loader->charge_name_count++] = text_copy(loader->arena, *name);
    }
    *out =
        (struct expr_function){.type = EXPR_NUMBER, .slot = CALL_CHARGES + index, .fault_arg = 0};
    return OK;
}

static enum status call(void *context, const struct expr_call *called, struct expr_function *out,
                        struct error *err)
{
    struct resolver *resolver = context;
    if (text_equal(called->name, TEXT("in_calendar"))) {
        return call_calendar(resolver, called, out, err);
    }
    if (text_equal(called->name, TEXT("lookup")) || text_equal(called->name, TEXT("series"))) {
        return call_table(resolver, called, out, err);
    }
    if (text_equal(called->name, TEXT("usage"))) {
        return call_usage(resolver, called, out, err);
    }
    if (text_equal(called->name, TEXT("charges"))) {
        return call_charges(resolver, called, out, err);
    }
    err->message[0] = '\0';
    return ERR_NOT_FOUND;
}

static bool resolve_zone(void *context, struct text name, const struct zone **zone)
{
    struct resolver *resolver = context;
    return find_zone(resolver->loader, name, zone);
}

/* Names for "did you mean". */
static struct text *list_names(struct resolver *resolver, size_t *count)
{
    struct loader *loader = resolver->loader;
    const struct catalog *catalog = loader->catalog;
    enum scope_kind kind = resolver->context->kind;
    size_t room = FIXED_NAME_COUNT + METER_NAME_COUNT + catalog->dimension_count +
                  catalog->attribute_count + catalog->parameter_count +
                  catalog->customer_name_count;
    struct text *names = arena_calloc(loader->arena, room, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < METER_NAME_COUNT && kind == NAMES_METER; i++) {
        names[n++] = text_of(meter_names[i].name);
    }
    for (size_t i = 0; i < FIXED_NAME_COUNT && kind != NAMES_METER; i++) {
        if (fixed_names[i].from <= kind &&
            (!fixed_names[i].of_turn || resolver->context->has_turn)) {
            names[n++] = text_of(fixed_names[i].name);
        }
    }
    for (uint32_t i = 0; i < catalog->parameter_count && kind != NAMES_METER && kind != NAMES_NONE;
         i++) {
        names[n++] = text_join(loader->arena, TEXT("contract."), catalog->parameters[i]);
    }
    if (kind == NAMES_ROW || kind == NAMES_CHARGE) {
        for (uint32_t i = 0; i < catalog->dimension_count; i++) {
            names[n++] = catalog->dimensions[i];
        }
        for (uint32_t i = 0; i < catalog->attribute_count; i++) {
            names[n++] = catalog->attributes[i];
        }
        for (uint32_t i = 0; i < catalog->customer_name_count; i++) {
            names[n++] =
                text_join(loader->arena, TEXT("customer.tax."), catalog->customer_names[i]);
        }
    }
    *count = n;
    return names;
}

/* The name that begins at a byte of an expression, with what is asked of it. */
static struct text name_at(struct text text, size_t offset)
{
    size_t end = offset;
    while (end < text.size && (text.at[end] == '_' || text.at[end] == '.' ||
                               (text.at[end] >= '0' && text.at[end] <= '9') ||
                               ((text.at[end] | 0x20) >= 'a' && (text.at[end] | 0x20) <= 'z'))) {
        end++;
    }
    return (struct text){text.at + offset, end - offset};
}

/* In a meter, for a name that is none of the event's own. */
static struct text hint_data(struct arena *arena, struct text name)
{
    const struct text root = TEXT("data");
    const char *dot = memchr(name.at, '.', name.size);
    size_t size = dot ? (size_t)(dot - name.at) : name.size;
    if (dot && text_nearest((struct text){name.at, size}, &root, 1).size > 0) {
        return text_format(arena, "did you mean data%.*s?", (int)(name.size - size), dot);
    }
    return text_format(arena, "what an event says is in its data: data.%.*s", TEXT_ARG(name));
}

/* For a name that is none of its place, and near to none. */
static struct text hint_names(struct arena *arena, const struct expr_context *context,
                              struct text name)
{
    const struct text parameter = TEXT("contract.");
    switch (context->kind) {
    case NAMES_BUCKET:
        if (context->has_commitment) {
            return TEXT("what a commitment says is commitment.x, such as commitment.count");
        }
        if (text_starts_with(name, parameter)) {
            return text_format(arena, "no contract has it among its parameters: {%.*s: ...}",
                               (int)(name.size - parameter.size), name.at + parameter.size);
        }
        if (text_starts_with(name, TEXT("turn.")) && !context->has_turn) {
            return TEXT("a step on the clock row or always has no turns: period.x is the bill's");
        }
        return TEXT("a number may name period, turn, contract.x and customer.tax.x; a row's "
                    "values: rate's from and cases");
    case NAMES_ROW:
        return TEXT("known of a row: quantity, sku, product, account, resource, time, a dimension "
                    "of the meter, attributes.x of the SKU, customer.tax.x of the account");
    case NAMES_CHARGE:
        return TEXT("known of a charge: kind, step, price, amount, net, list, sku, product, "
                    "account, time, a dimension of the meter, attributes.x of the SKU, "
                    "customer.tax.x of the account");
    case NAMES_METER:
        return hint_data(arena, name);
    default:
        return TEXT("");
    }
}

static bool is_known_product(const struct catalog *catalog, struct text name)
{
    for (uint32_t i = 0; i < catalog->product_count; i++) {
        if (text_equal(catalog->products[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void see_compared(void *context, uint32_t slot, struct text value, uint32_t offset)
{
    struct resolver *resolver = context;
    const struct catalog *catalog = resolver->loader->catalog;
    if ((slot != NAME_PRODUCT && slot != NAME_SKU) || value.size == 0 ||
        resolver->no_such.size > 0 || resolver->context->kind == NAMES_METER) {
        return;
    }
    if (slot == NAME_SKU ? map_find(&catalog->sku_by_name, value) != MAP_NONE
                         : is_known_product(catalog, value)) {
        return;
    }
    resolver->no_such = value;
    resolver->no_such_slot = slot;
    resolver->no_such_offset = offset;
}

static void warn_of_no_such(const struct resolver *resolver, const struct yaml_node *node)
{
    struct loader *loader = resolver->loader;
    const struct catalog *catalog = loader->catalog;
    bool is_sku = resolver->no_such_slot == NAME_SKU;
    uint32_t count = is_sku ? catalog->sku_count : catalog->product_count;
    struct text *names = arena_alloc(loader->arena, (count + 1u) * sizeof *names);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = is_sku ? catalog->skus[i].name : catalog->products[i].name;
    }
    complain_softly(loader->complaints, yaml_place_in(node, resolver->no_such_offset),
                    is_sku ? "NO_SKU" : "NO_PRODUCT",
                    hint_nearest(loader->arena, resolver->no_such, names, count),
                    "there is no %s %.*s: nothing is equal to it", is_sku ? "SKU" : "product",
                    TEXT_ARG(resolver->no_such));
}

static struct expr_scope scope_of(struct resolver *resolver)
{
    return (struct expr_scope){
        .context = resolver,
        .resolve = resolve,
        .call = call,
        .zone = resolve_zone,
        .compared = see_compared,
        .zone_default = resolver->loader->zone,
    };
}

bool read_expr_text(struct loader *loader, const struct yaml_node *node, struct text text,
                    const struct expr_context *context, enum expr_type wanted,
                    const struct expr **expr)
{
    struct resolver resolver = {.loader = loader, .context = context};
    struct expr_scope scope = scope_of(&resolver);
    struct expr_error err = {0};
    enum status status = expr_compile(loader->arena, text, &scope, wanted, expr, &err);
    if (status == OK) {
        if (resolver.no_such.size > 0) {
            warn_of_no_such(&resolver, node);
        }
        return true;
    }
    if (status ==
        ERR_NOT_FOUND) { /* once more for the hint: the names are listed only when one is wrong */
        scope.names = list_names(&resolver, &scope.name_count);
        const struct expr *unused;
        status = expr_compile(loader->arena, text, &scope, wanted, &unused, &err);
    }
    const char *code = "EXPRESSION";
    if (resolver.limit || status == ERR_LIMIT) {
        code = "EXPRESSION_LIMIT";
    } else if (status == ERR_NOT_FOUND) {
        code = "EXPRESSION_NAME";
    }
    struct text hint = text_of(err.error.hint);
    if (resolver.limit) {
        hint = text_of(resolver.limit);
    } else if (status == ERR_NOT_FOUND && context->kind == NAMES_NONE) {
        code = "NOT_CONSTANT";
        hint = TEXT("a plain number: no names are known here");
    } else if (status == ERR_NOT_FOUND && hint.size == 0) {
        hint = hint_names(loader->arena, context, name_at(text, err.offset));
    }
    complain(loader->complaints, yaml_place_in(node, err.offset), code, hint, "%s",
             err.error.message);
    return false;
}

/* True when it can be compiled; without a complaint when it cannot. */
static bool compiles(struct loader *loader, struct text text, const struct expr_context *context)
{
    struct resolver resolver = {.loader = loader, .context = context};
    struct expr_scope scope = scope_of(&resolver);
    scope.is_strict = true;
    const struct expr *unused;
    struct expr_error err = {0};
    return expr_compile(loader->arena, text, &scope, EXPR_NUMBER, &unused, &err) == OK;
}

bool read_row_number(struct loader *loader, const struct yaml_node *node,
                     const struct expr_context *context, const struct expr **expr)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    struct expr_context numbers = *context;
    numbers.has_numbers = true;
    bool as_text = compiles(loader, node->text, context);
    bool as_number = !as_text && compiles(loader, node->text, &numbers);
    return read_expr_text(loader, node, node->text, as_number ? &numbers : context, EXPR_NUMBER,
                          expr);
}

bool read_expr(struct loader *loader, const struct yaml_node *node,
               const struct expr_context *context, enum expr_type wanted, const struct expr **expr)
{
    return want_kind(loader, node, YAML_TEXT) &&
           read_expr_text(loader, node, node->text, context, wanted, expr);
}

/* ---- numbers ---- */

/* True when the text was meant as a number, well or badly written, and not as an expression. */
static bool is_meant_as_number(struct text text)
{
    static const char *const words[] = {"NaN",       "nan",       ".nan",  ".NaN",
                                        "inf",       ".inf",      "-.inf", "Infinity",
                                        "-Infinity", "+Infinity", "-inf"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (text_equal(text, text_of(words[i]))) {
            return true;
        }
    }
    instant date; /* which would be a difference: 2026-01-01 is 2024 */
    if (text.size == sizeof "2026-01-01" - 1 && time_parse_date(text, NULL, &date) == TIME_OK) {
        return true;
    }
    size_t at = text.size > 0 && (text.at[0] == '-' || text.at[0] == '+');
    if (at == text.size || !((text.at[at] >= '0' && text.at[at] <= '9') || text.at[at] == '.')) {
        return text.size > 0 && text.at[0] == '+';
    }
    for (; at < text.size; at++) {
        char c = text.at[at];
        bool after_exponent = (c == '+' || c == '-') && (text.at[at - 1] | 0x20) == 'e';
        if (!after_exponent && c != '.' && c != ',' && c != '_' && !(c >= '0' && c <= '9') &&
            !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
            return false;
        }
    }
    return true;
}

bool read_plain_number(struct loader *loader, const struct yaml_node *node, struct dec *value)
{
    struct text text = node->text;
    enum number_fault fault = dec_parse(text, value);
    if (fault == NUMBER_OK &&
        (memchr(text.at, 'e', text.size) || memchr(text.at, 'E', text.size))) {
        COMPLAIN(loader, node, "NUM_EXPONENT", TEXT("write the digits out: 1000, 0.001"),
                 "%.*s has an exponent", TEXT_ARG(text));
        return false;
    }
    if (fault == NUMBER_OK) {
        return true;
    }
    static const struct text hints[] = {
        [NUMBER_LENGTH] = {"at most 64 characters", 21},
        [NUMBER_SYNTAX] = {"a number as in JSON: 1000, -2.5, 0.023", 38},
        [NUMBER_RANGE] = {"at most 38 significant digits", 29},
        [NUMBER_SCALE] = {"at most 18 digits after the point", 33},
    };
    COMPLAIN(loader, node, number_fault_name(fault), hints[fault], "'%.*s' is no number we take",
             (int)(text.size < 64 ? text.size : 64), text.at);
    return false;
}

bool read_number(struct loader *loader, const struct yaml_node *node,
                 const struct expr_context *context, struct number *number)
{
    *number = (struct number){0};
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    if (is_meant_as_number(node->text)) {
        return read_plain_number(loader, node, &number->value);
    }
    const struct expr *expr;
    if (!read_expr(loader, node, context, EXPR_NUMBER, &expr)) {
        return false;
    }
    struct expr_value value;
    if (expr_is_constant(expr, &value)) {
        number->value = value.number;
        if (value.number.scale > DEC_SCALE) { /* as one that is evaluated later; never overflows */
            (void)dec_round(value.number, DEC_SCALE, ROUND_HALF_EVEN, &number->value, NULL);
        }
    } else {
        number->expr = expr;
    }
    return true;
}

/* ---- keys that split ---- */

static const struct {
    const char *name;
    enum by_kind kind;
} by_names[] = {
    {"sku", BY_SKU},           {"product", BY_PRODUCT}, {"account", BY_ACCOUNT},
    {"resource", BY_RESOURCE}, {"unit", BY_UNIT},
};

bool find_by_key(struct loader *loader, struct text name, struct by_key *key)
{
    for (size_t i = 0; i < sizeof by_names / sizeof by_names[0]; i++) {
        if (text_equal(name, text_of(by_names[i].name)) && !is_dimension_instead(loader, name)) {
            *key = (struct by_key){by_names[i].kind, NONE};
            return true;
        }
    }
    struct text rest = name;
    bool only_attribute = take_prefix(loader->arena, name, "attributes", &rest);
    bool only_dimension = take_prefix(loader->arena, name, "dims", &rest);
    uint32_t index = only_attribute ? MAP_NONE : map_find(&loader->dimension_by_name, rest);
    if (index != MAP_NONE) {
        *key = (struct by_key){BY_DIMENSION, index};
        return true;
    }
    index = only_dimension ? MAP_NONE : map_find(&loader->attribute_by_name, rest);
    *key = (struct by_key){BY_ATTRIBUTE, index};
    return index != MAP_NONE;
}

bool read_by_key(struct loader *loader, const struct yaml_node *node, struct by_key *key)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    if (find_by_key(loader, node->text, key)) {
        return true;
    }
    const struct catalog *catalog = loader->catalog;
    uint32_t fixed = sizeof by_names / sizeof by_names[0];
    uint32_t count = fixed + catalog->dimension_count + catalog->attribute_count;
    struct text *names = arena_calloc(loader->arena, count, sizeof *names);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = i < fixed ? text_of(by_names[i].name)
                   : i - fixed < catalog->dimension_count
                       ? catalog->dimensions[i - fixed]
                       : catalog->attributes[i - fixed - catalog->dimension_count];
    }
    COMPLAIN(loader, node, "UNKNOWN_NAME", hint_choice(loader->arena, node->text, names, count),
             "no meter has a dimension and no SKU an attribute %.*s", TEXT_ARG(node->text));
    return false;
}

bool read_by_keys(struct loader *loader, const struct yaml_node *node, struct by_key *keys,
                  uint32_t max, uint32_t *count)
{
    *count = 0;
    if (!want_kind(loader, node, YAML_LIST)) {
        return false;
    }
    if (node->count > max) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "at most %u keys", max);
        return false;
    }
    bool good = true;
    for (uint32_t i = 0; i < node->count; i++) {
        struct by_key key;
        if (!read_by_key(loader, &node->items[i], &key)) {
            good = false;
            continue;
        }
        for (uint32_t k = 0; k < *count; k++) {
            if (keys[k].kind == key.kind && keys[k].index == key.index) {
                COMPLAIN(loader, &node->items[i], "DUPLICATE_NAME", NO_HINT, "%.*s stands twice",
                         TEXT_ARG(node->items[i].text));
                good = false;
            }
        }
        keys[(*count)++] = key;
    }
    return good;
}

struct text by_key_name(const struct catalog *catalog, struct by_key key)
{
    switch (key.kind) {
    case BY_TAX_RATE:
        return TEXT("rate");
    case BY_GRANT:
        return TEXT("grant");
    case BY_DIMENSION:
        return catalog->dimensions[key.index];
    case BY_ATTRIBUTE:
        return catalog->attributes[key.index];
    default:
        for (size_t i = 0; i < sizeof by_names / sizeof by_names[0]; i++) {
            if (by_names[i].kind == key.kind) {
                return text_of(by_names[i].name);
            }
        }
        return TEXT("?");
    }
}
