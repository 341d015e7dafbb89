/* meter.c - meters: which events, which quantity, sold as what.
 *
 * An expression that is one plain member of data (most are) is also given as the index of that
 * member, so that the event path need not evaluate it.  Whether it is one is seen from its
 * canonical form.
 */
#include "catalog/load.h"

#include <stdlib.h>

#include "base/nofloat.h"

static const char *const meter_keys[] = {
    "event", "where", "value",    "aggregate", "dimensions", "sku",    "unit",  "resource",
    "grain", "carry", "negative", "input",     "percentile", "spread", "clock", NULL};

struct meter_work {
    struct loader *loader;
    const struct yaml_node *node;
    struct meter *meter;
    struct member_list members;
    struct expr_context context;
};

static bool read_meter_expr(struct meter_work *work, const struct yaml_node *node,
                            enum expr_type wanted, const struct expr **expr)
{
    return read_expr(work->loader, node, &work->context, wanted, expr);
}

/* The member that the expression is, with or without number(); NONE when it is more than that. */
static uint32_t plain_member(struct meter_work *work, const struct expr *expr, bool *from_text)
{
    struct buffer form;
    buffer_init(&form, work->loader->arena, 64);
    expr_format(expr, NULL, &form);
    struct text text = buffer_text(&form);
    struct text call = TEXT("number(");
    *from_text = text.size > call.size + 1 && memcmp(text.at, call.at, call.size) == 0 &&
                 text.at[text.size - 1] == ')';
    if (*from_text) {
        text = (struct text){text.at + call.size, text.size - call.size - 1};
    }
    for (uint32_t i = 0; i < work->members.count; i++) {
        if (text_equal(text, work->members.names[i])) {
            return i;
        }
    }
    return NONE;
}

static void read_value_key(struct meter_work *work)
{
    struct loader *loader = work->loader;
    struct meter *meter = work->meter;
    static const char *const aggregates[] = {"count",      "sum",     "max",    "latest",
                                             "min",        "average", "unique", "time_weighted",
                                             "percentile", NULL};
    const struct yaml_node *value = yaml_member(work->node, "value");
    const struct yaml_node *aggregate = yaml_member(work->node, "aggregate");
    int choice = value == NULL ? AGGREGATE_COUNT : AGGREGATE_SUM;
    if (aggregate != NULL) {
        read_choice(loader, aggregate, aggregates, &choice);
    }
    meter->aggregate = (enum aggregate)choice;
    meter->value_member = NONE;
    if (value == NULL) {
        if (meter->aggregate != AGGREGATE_COUNT) {
            complain(loader->complaints, yaml_key_place(work->node), "MISSING_KEY",
                     TEXT("value: data.quantity"), "%s of what? the key value is missing",
                     aggregates[choice]);
        }
        return;
    }
    if (meter->aggregate == AGGREGATE_COUNT) {
        complain(loader->complaints, yaml_key_place(value), "CHOOSE_ONE",
                 TEXT("aggregate: sum, or no value"), "a count counts events: it has no value");
    }
    bool is_key = meter->aggregate == AGGREGATE_UNIQUE;
    if (read_meter_expr(work, value, is_key ? EXPR_TEXT : EXPR_NUMBER, &meter->value)) {
        meter->value_member = plain_member(work, meter->value, &meter->value_from_text);
        meter->value_from_text = meter->value_from_text && meter->value_member != NONE;
    }
}

/* Keys that only one aggregation has. */
static void read_aggregate_keys(struct meter_work *work)
{
    struct loader *loader = work->loader;
    struct meter *meter = work->meter;
    static const char *const inputs[] = {"delta", "level", NULL};
    const struct yaml_node *input = yaml_member(work->node, "input");
    const struct yaml_node *percentile = yaml_member(work->node, "percentile");
    if (input != NULL && meter->aggregate != AGGREGATE_TIME_WEIGHTED) {
        COMPLAIN(loader, input, "BAD_VALUE", TEXT("aggregate: time_weighted"),
                 "only time_weighted has an input: delta or level");
    } else if (input != NULL) {
        int choice = 0;
        read_choice(loader, input, inputs, &choice);
        meter->states_level = choice == 1;
    }
    if (meter->aggregate == AGGREGATE_PERCENTILE && percentile == NULL) {
        complain(loader->complaints, yaml_key_place(work->node), "MISSING_KEY",
                 TEXT("percentile: 95"), "which percentile? the key percentile is missing");
    } else if (percentile != NULL && meter->aggregate != AGGREGATE_PERCENTILE) {
        COMPLAIN(loader, percentile, "BAD_VALUE", TEXT("aggregate: percentile"),
                 "only the aggregation percentile has one");
    } else if (percentile != NULL && read_dec(loader, percentile, &meter->percentile) &&
               (dec_sign(meter->percentile) <= 0 ||
                dec_compare(meter->percentile, dec_from_int(100)) > 0)) {
        COMPLAIN(loader, percentile, "BAD_VALUE", TEXT("percentile: 95"),
                 "a percentile is more than 0 and at most 100");
    }
}

static void read_spread(struct meter_work *work)
{
    struct loader *loader = work->loader;
    struct meter *meter = work->meter;
    static const char *const keys[] = {"from", "to", NULL};
    const struct yaml_node *node = yaml_member(work->node, "spread");
    if (node == NULL || !want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "a spread", keys);
    const struct yaml_node *from = yaml_member(node, "from"), *to = yaml_member(node, "to");
    if (from == NULL || to == NULL) {
        complain(loader->complaints, yaml_key_place(node), "MISSING_KEY",
                 TEXT("spread: {from: data.start, to: data.end}"),
                 "when does it begin and end? a spread has from and to");
        return;
    }
    if (meter->aggregate != AGGREGATE_SUM || meter->grain == GRAIN_EVENT) {
        COMPLAIN(loader, node, "BAD_VALUE", TEXT("aggregate: sum, grain: hour or month"),
                 "only a sum by hour or month can be spread");
    }
    (void)read_meter_expr(work, from, EXPR_TEXT, &meter->spread_from);
    (void)read_meter_expr(work, to, EXPR_TEXT, &meter->spread_to);
}

static void read_sku(struct meter_work *work)
{
    struct loader *loader = work->loader;
    struct meter *meter = work->meter;
    const struct yaml_node *node = yaml_member(work->node, "sku");
    const struct map *by_name = &loader->catalog->sku_by_name;
    meter->sku = meter->sku_member = NONE;
    if (node == NULL) {
        meter->sku = map_find(by_name, meter->name);
        return;
    }
    if (!want_kind(loader, node, YAML_TEXT)) {
        return;
    }
    if (sku_is_name(node->text)) {
        meter->sku = map_find(by_name, node->text);
        return;
    }
    bool from_text;
    struct expr_value value;
    if (!read_meter_expr(work, node, EXPR_TEXT, &meter->sku_expr)) {
        return;
    }
    if (!expr_is_constant(meter->sku_expr, &value)) {
        meter->sku_member = plain_member(work, meter->sku_expr, &from_text);
        return;
    }
    meter->sku = map_find(by_name, value.text);
    meter->sku_expr = NULL;
    if (meter->sku == MAP_NONE) {
        struct text *names = arena_calloc(loader->arena, loader->catalog->sku_count, sizeof *names);
        for (uint32_t i = 0; i < loader->catalog->sku_count; i++) {
            names[i] = loader->catalog->skus[i].name;
        }
        COMPLAIN(loader, node, "UNKNOWN_NAME",
                 hint_nearest(loader->arena, value.text, names, loader->catalog->sku_count),
                 "nothing sells the SKU %.*s", TEXT_ARG(value.text));
    }
}

static int compare_dimensions(const void *a, const void *b)
{
    const struct meter_dimension *left = a, *right = b;
    return (left->name > right->name) - (left->name < right->name);
}

static void read_dimensions(struct meter_work *work)
{
    struct loader *loader = work->loader;
    const struct yaml_node *node = yaml_member(work->node, "dimensions");
    if (node == NULL || !want_kind(loader, node, YAML_MAP)) {
        return;
    }
    struct meter_dimension *dimensions =
        arena_calloc(loader->arena, node->count, sizeof *dimensions);
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        struct meter_dimension *dimension = &dimensions[count];
        dimension->name = map_find(&loader->dimension_by_name, node->items[i].key);
        bool from_text;
        if (dimension->name != MAP_NONE &&
            read_meter_expr(work, &node->items[i], EXPR_TEXT, &dimension->value)) {
            dimension->member = plain_member(work, dimension->value, &from_text);
            dimension->member = from_text ? NONE : dimension->member;
            count++;
        }
    }
    if (count > 0) {
        qsort(dimensions, count, sizeof *dimensions, compare_dimensions);
    }
    work->meter->dimensions = dimensions;
    work->meter->dimension_count = count;
}

/* For how long one value is gathered, when it is neither the hour nor the period. */
static void read_clock(struct meter_work *work)
{
    struct loader *loader = work->loader;
    struct meter *meter = work->meter;
    const struct yaml_node *node = yaml_member(work->node, "clock");
    struct step like = {.clock = CLOCK_PERIOD};
    if (node == NULL) {
        return;
    }
    if (yaml_member(work->node, "grain") != NULL) {
        complain(loader->complaints, yaml_key_place(node), "CHOOSE_ONE", NO_HINT,
                 "a meter has a grain, or a clock by whose turns its values are gathered");
        return;
    }
    read_step_clock(loader, node, &like);
    meter->grain = GRAIN_MONTH;
    meter->has_clock = like.clock == CLOCK_RULE;
    meter->clock = like.rule;
    const struct clock *billing = &loader->catalog->billing;
    bool is_longer = meter->has_clock && billing->count == 1 && like.rule.every > billing->every;
    if (is_longer || (!meter->has_clock && like.clock != CLOCK_PERIOD)) {
        COMPLAIN(loader, node, "STEP_CLOCK", TEXT("hour, day, week, month ... up to the bill's"),
                 is_longer ? "a value is gathered for no longer than a bill"
                           : "a meter's clock goes by time alone");
    }
    loader->catalog->has_meter_clocks |= meter->has_clock;
}

static void read_meter(struct loader *loader, const struct yaml_node *node, struct meter *meter)
{
    static const char *const grains[] = {"month", "hour", "event", NULL};
    struct meter_work work = {.loader = loader, .node = node, .meter = meter};
    work.context = (struct expr_context){.kind = NAMES_METER, .members = &work.members};
    *meter = (struct meter){
        .name = node->key,
        .event_type = node->key,
        .place = yaml_key_place(node),
        .resource_member = NONE,
        .value_member = NONE,
        .sku = NONE,
        .sku_member = NONE,
    };
    struct yaml_node empty = *node;
    if (node->kind == YAML_NONE) {
        empty.kind = YAML_MAP;
        empty.count = 0;
        work.node = &empty;
    } else if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, work.node, "a meter", meter_keys);
    const struct yaml_node *member = yaml_member(work.node, "event");
    if (member != NULL) {
        read_name(loader, member, &meter->event_type);
    }
    int grain = GRAIN_HOUR;
    member = yaml_member(work.node, "grain");
    if (member != NULL) {
        read_choice(loader, member, grains, &grain);
    }
    meter->grain = (enum grain)grain;
    const struct yaml_node *grain_node = member;
    read_clock(&work);
    member = yaml_member(work.node, "unit");
    if (member != NULL) {
        read_name(loader, member, &meter->unit);
    }
    member = yaml_member(work.node, "where");
    if (member != NULL) {
        read_meter_expr(&work, member, EXPR_BOOL, &meter->where);
    }
    read_value_key(&work);
    if (meter->grain == GRAIN_EVENT && meter->aggregate != AGGREGATE_SUM &&
        meter->aggregate != AGGREGATE_COUNT) {
        COMPLAIN(loader, grain_node, "BAD_VALUE", TEXT("aggregate: sum, or grain: hour"),
                 "with a row for each event there is nothing to compare");
    }
    member = yaml_member(work.node, "carry");
    meter->carry = meter->aggregate == AGGREGATE_TIME_WEIGHTED; /* a level stays until it changes */
    if (member != NULL && read_bool(loader, member, &meter->carry) && meter->carry &&
        !aggregate_picks(meter->aggregate) && meter->aggregate != AGGREGATE_TIME_WEIGHTED) {
        COMPLAIN(loader, member, "BAD_VALUE", TEXT("aggregate: latest, max, min or time_weighted"),
                 "only a gauge has a value to carry into the next period");
    }
    read_aggregate_keys(&work);
    read_spread(&work);
    /* A level falls as it rises, by changes. */
    meter->negative = meter->aggregate == AGGREGATE_TIME_WEIGHTED && !meter->states_level;
    member = yaml_member(work.node, "negative");
    if (member != NULL) {
        read_bool(loader, member, &meter->negative);
    }
    read_sku(&work);
    member = yaml_member(work.node, "resource");
    bool from_text;
    if (member != NULL && read_meter_expr(&work, member, EXPR_TEXT, &meter->resource)) {
        meter->resource_member = plain_member(&work, meter->resource, &from_text);
    }
    read_dimensions(&work);
    meter->members = work.members.paths;
    meter->member_names = work.members.names;
    meter->member_count = work.members.count;
}

/* The pieces of an event must lie in one place, so how long it may last is a fact of the catalog:
 * were pieces counted instead, it would depend on the period that is billed. */
enum { SPREAD_HOURS_MAX = 744 }; /* by all meters of a type together; 31 days */

static void limit_spread(struct section meters, struct meter *array)
{
    for (uint32_t i = 0; i < meters.count; i++) {
        uint32_t spreading = 0;
        for (uint32_t k = 0; k < meters.count && array[i].spread_from; k++) {
            spreading +=
                array[k].spread_from && text_equal(array[k].event_type, array[i].event_type);
        }
        array[i].spread_max_ns = array[i].grain == GRAIN_HOUR && spreading > 0
                                     ? NS_PER_HOUR * (SPREAD_HOURS_MAX / spreading)
                                     : INT64_MAX;
    }
}

static void check_event_meters(struct loader *loader, struct section meters,
                               const struct meter *array)
{
    struct map by_type;
    map_init(&by_type, loader->arena, meters.count);
    uint32_t *weights = arena_calloc(loader->arena, meters.count, sizeof *weights);
    for (uint32_t i = 0; i < meters.count; i++) {
        uint32_t type = map_put(&by_type, array[i].event_type, i);
        uint32_t before = weights[type];
        weights[type] += meter_keeps_key(&array[i]) ? EVENT_METER_WITH_KEY : 1;
        if (before <= EVENT_METERS_MAX && weights[type] > EVENT_METERS_MAX) {
            COMPLAIN(loader, meters.items[i], "LIMIT",
                     TEXT("one meter with dimensions, or a sku made from the event"),
                     "more than %d meters take events of type %.*s (one with latest or grain event "
                     "counts as %d)",
                     EVENT_METERS_MAX, TEXT_ARG(array[i].event_type), EVENT_METER_WITH_KEY);
        }
    }
}

void load_meters(struct loader *loader, struct section meters)
{
    struct meter *array = arena_calloc(loader->arena, meters.count, sizeof *array);
    for (uint32_t i = 0; i < meters.count; i++) {
        read_meter(loader, meters.items[i], &array[i]);
        loader->catalog->has_one_value_meters |= meter_is_one_value(&array[i]);
    }
    check_event_meters(loader, meters, array);
    limit_spread(meters, array);
    loader->catalog->meters = array;
    loader->catalog->meter_count = meters.count;
}
