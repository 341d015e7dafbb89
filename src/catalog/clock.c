/* clock.c - clocks: of bills, of steps, and those that the catalog names. */
#include "catalog/load.h"

#include "base/nofloat.h"

/* "month", "10 days", "3 months". */
bool read_every(struct loader *loader, const struct yaml_node *node, enum clock_every *every,
                int32_t *count)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    struct text unit = node->text;
    int32_t number = 0;
    size_t at = 0;
    for (; at < unit.size && at < 6 && unit.at[at] >= '0' && unit.at[at] <= '9'; at++) {
        number = number * 10 + (unit.at[at] - '0');
    }
    if (at > 0 && at < unit.size && unit.at[at] == ' ') {
        unit = (struct text){unit.at + at + 1, unit.size - at - 1};
        if (unit.size > 1 && unit.at[unit.size - 1] == 's') {
            unit.size--;
        }
    } else {
        number = at == 0 ? 1 : 0;
    }
    *count = number;
    if (number >= 1 && number <= 10'000 && clock_every_parse(unit, every) &&
        *every != EVERY_ALWAYS) {
        return true;
    }
    COMPLAIN(loader, node, "BAD_VALUE",
             TEXT("hour, day, week, month, quarter or year, or a number of them: 10 days"),
             "'%.*s' is no length of time", TEXT_ARG(node->text));
    return false;
}

/* thresholds: [200, 500], recurring: 1000. */
static void read_thresholds(struct loader *loader, const struct yaml_node *node,
                            struct thresholds *thresholds)
{
    const struct yaml_node *list = yaml_member(node, "thresholds");
    const struct yaml_node *recurring = yaml_member(node, "recurring");
    if (list != NULL && want_kind(loader, list, YAML_LIST)) {
        struct dec *items = arena_calloc(loader->arena, list->count, sizeof *items);
        for (uint32_t i = 0; i < list->count; i++) {
            struct dec least = i > 0 ? items[i - 1] : DEC_ZERO;
            if (read_dec(loader, &list->items[i], &items[i]) && dec_compare(items[i], least) <= 0) {
                COMPLAIN(loader, &list->items[i], "BOUND_ORDER", TEXT("thresholds: [200, 500]"),
                         "thresholds are above nothing, and each above the one before");
            }
        }
        thresholds->items = items;
        thresholds->count = list->count;
    }
    if (recurring != NULL && read_dec(loader, recurring, &thresholds->recurring)) {
        thresholds->has_recurring = dec_sign(thresholds->recurring) > 0;
        if (!thresholds->has_recurring) {
            COMPLAIN(loader, recurring, "NOT_POSITIVE", NO_HINT,
                     "recurring must be greater than zero");
        }
    }
    loader->catalog->has_thresholds |= thresholds->count > 0 || thresholds->has_recurring;
}

void load_late_periods(struct loader *loader, const struct yaml_node *node, bool of_catalog)
{
    enum { MOST = 10'000 };
    const struct yaml_node *late = yaml_member(node, "late_periods");
    struct dec number;
    if (late == NULL || !read_dec(loader, late, &number)) {
        return;
    }
    if (!of_catalog) {
        COMPLAIN(loader, late, "CHOOSE_ONE", TEXT("late_periods in the catalog's billing"),
                 "how long late usage is billed is the same for all contracts");
    } else if (number.scale != 0 || dec_sign(number) < 0 ||
               dec_compare(number, dec_from_int(MOST)) > 0) {
        COMPLAIN(loader, late, "NUM_RANGE", TEXT("late_periods: 2"),
                 "late_periods is a whole number from 0 to %d", (int)MOST);
    } else {
        loader->catalog->has_late_periods = true;
        loader->catalog->late_periods = (uint32_t)number.mantissa;
    }
}

void check_thresholds(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    for (uint32_t i = 0; i < catalog->meter_count && catalog->has_thresholds; i++) {
        const struct meter *meter = &catalog->meters[i];
        if (meter->grain == GRAIN_MONTH || meter->carry || aggregate_is_sampled(meter->aggregate)) {
            complain(loader->complaints, meter->place, "STEP_CLOCK",
                     TEXT("grain: hour, of a count, sum, max, min, average or latest"),
                     "billing has thresholds, which bill inside a period, and the meter %.*s keeps "
                     "more than hours of it",
                     TEXT_ARG(meter->name));
        }
    }
}

void load_billing(struct loader *loader, const struct yaml_node *node, struct clock *billing,
                  bool *at_contract, bool *at_account, struct thresholds *thresholds)
{
    static const char *const keys[] = {"every",     "anchor",       "zone", "thresholds",
                                       "recurring", "late_periods", NULL};
    enum clock_every every = EVERY_MONTH;
    int32_t count = 1;
    const struct zone *zone = loader->zone;
    const struct yaml_node *member = node;
    if (node->kind != YAML_TEXT) {
        if (!want_kind(loader, node, YAML_MAP)) {
            return;
        }
        check_keys(loader, node, "billing", keys);
        read_thresholds(loader, node, thresholds);
        member = yaml_member(node, "every");
    }
    if (member != NULL) {
        read_every(loader, member, &every, &count);
    }
    if (yaml_member(node, "zone") != NULL) {
        read_zone(loader, yaml_member(node, "zone"), &zone);
    }
    *billing = clock_calendar(every, zone);
    billing->count = count;
    const struct yaml_node *anchor = yaml_member(node, "anchor");
    if (anchor == NULL || !want_kind(loader, anchor, YAML_TEXT) ||
        text_equal(anchor->text, TEXT("calendar"))) {
        return;
    }
    *at_account = text_equal(anchor->text, TEXT("subscription"));
    *at_contract = text_equal(anchor->text, TEXT("contract"));
    instant at;
    if (!*at_account && !*at_contract && read_instant(loader, anchor, &at)) {
        *billing = clock_anchored(every, count, at, zone);
    }
}

/* ---- of steps ---- */

static const char *const clock_names[] = {"row",           "period", "hour",    "day",
                                          "week",          "month",  "quarter", "year",
                                          "contract_year", "always", NULL};
enum { CLOCK_NAMES = 10 };

/* A clock of the catalog's `clocks:`, as the clock of a step. */
static struct own_clock read_own_clock(struct loader *loader, const struct yaml_node *node)
{
    static const char *const keys[] = {"every", "anchor", "zone", NULL};
    struct own_clock own = {CLOCK_PERIOD, clock_calendar(EVERY_MONTH, NULL)};
    if (!want_kind(loader, node, YAML_MAP)) {
        return own;
    }
    check_keys(loader, node, "a clock", keys);
    const struct zone *zone = loader->zone;
    const struct yaml_node *every_node = want_member(loader, node, "every");
    const struct yaml_node *anchor = yaml_member(node, "anchor");
    enum clock_every every;
    int32_t count;
    if (yaml_member(node, "zone") != NULL) {
        read_zone(loader, yaml_member(node, "zone"), &zone);
    }
    if (every_node == NULL || !read_every(loader, every_node, &every, &count)) {
        return own;
    }
    own = (struct own_clock){CLOCK_RULE, clock_calendar(every, zone)};
    own.rule.count = count;
    instant at;
    if (anchor == NULL || !want_kind(loader, anchor, YAML_TEXT) ||
        text_equal(anchor->text, TEXT("calendar"))) {
        return own;
    }
    if (text_equal(anchor->text, TEXT("contract"))) {
        own.clock = CLOCK_CONTRACT;
    } else if (text_equal(anchor->text, TEXT("subscription"))) {
        own.clock = CLOCK_ACCOUNT;
    } else if (read_instant(loader, anchor, &at)) {
        own.rule = clock_anchored(every, count, at, zone);
    }
    return own;
}

void load_clocks(struct loader *loader)
{
    loader->own_clocks =
        arena_calloc(loader->arena, loader->clocks.count, sizeof *loader->own_clocks);
    for (uint32_t i = 0; i < loader->clocks.count; i++) {
        loader->own_clocks[i] = read_own_clock(loader, loader->clocks.items[i]);
    }
}

void read_step_clock(struct loader *loader, const struct yaml_node *node, struct step *step)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return;
    }
    struct text name = node->text;
    enum clock_every every;
    uint32_t index = map_find(&loader->clock_by_name, name);
    if (index != MAP_NONE) { /* also one that is called as one of the language's */
        step->clock = loader->own_clocks[index].clock;
        step->rule = loader->own_clocks[index].rule;
    } else if (text_equal(name, TEXT("row"))) {
        step->clock = CLOCK_ROW;
    } else if (text_equal(name, TEXT("period"))) {
        step->clock = CLOCK_PERIOD;
    } else if (text_equal(name, TEXT("always"))) {
        step->clock = CLOCK_ALWAYS;
    } else if (text_equal(name, TEXT("contract_year"))) {
        step->clock = CLOCK_CONTRACT;
        step->rule = clock_calendar(EVERY_YEAR, loader->zone);
    } else if (clock_every_parse(name, &every)) {
        step->clock = CLOCK_RULE;
        step->rule = clock_calendar(every, loader->zone);
    } else {
        uint32_t count = CLOCK_NAMES + loader->clocks.count;
        struct text *names = arena_calloc(loader->arena, count, sizeof *names);
        for (uint32_t i = 0; i < count; i++) {
            names[i] = i < CLOCK_NAMES ? text_of(clock_names[i])
                                       : loader->clocks.items[i - CLOCK_NAMES]->key;
        }
        COMPLAIN(loader, node, "UNKNOWN_NAME", hint_choice(loader->arena, name, names, count),
                 "there is no clock %.*s", TEXT_ARG(name));
    }
}
