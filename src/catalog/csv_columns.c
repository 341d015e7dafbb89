/* csv_columns.c - the catalog's `csv:`, which says what the columns of events in CSV are
 * (doc/events.md).
 */
#include "catalog/load.h"

#include "base/nofloat.h"

static bool check_target(struct loader *loader, const struct yaml_node *node, struct text target)
{
    static const char *const KNOWN[] = {"id",   "source", "type",  "subject",
                                        "time", "data",   "data.x"};
    enum { KNOWN_COUNT = sizeof KNOWN / sizeof *KNOWN };
    struct text names[KNOWN_COUNT];
    for (int i = 0; i < KNOWN_COUNT; i++) {
        names[i] = text_of(KNOWN[i]);
        if (text_equal(target, names[i])) {
            return true;
        }
    }
    if (target.size == 0 || (target.size > 5 && memcmp(target.at, "data.", 5) == 0)) {
        return true;
    }
    COMPLAIN(loader, node, "BAD_VALUE", hint_choice(loader->arena, target, names, KNOWN_COUNT),
             "an event has no %.*s", TEXT_ARG(target));
    return false;
}

/* Numbers and constants are one value of data each. */
static void check_one_value(struct loader *loader, const struct yaml_node *node, struct text target,
                            const char *what)
{
    if (text_equal(target, TEXT("data"))) {
        COMPLAIN(loader, node, "BAD_VALUE", TEXT("data.x"), "data is an object, as JSON, and no %s",
                 what);
    }
}

static void load_csv_columns(struct loader *loader, const struct yaml_node *node,
                             struct csv_columns *csv, struct name_set *targets)
{
    static const char *const keys[] = {"to", "number", NULL};
    struct text *columns = arena_calloc(loader->arena, node->count, sizeof *columns);
    struct text *to = arena_calloc(loader->arena, node->count, sizeof *to);
    bool *is_number = arena_calloc(loader->arena, node->count, sizeof *is_number);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        const struct yaml_node *target = item;
        columns[i] = item->key;
        if (item->kind == YAML_MAP) {
            check_keys(loader, item, "a column", keys);
            target = want_member(loader, item, "to");
            if (yaml_member(item, "number") != NULL) {
                read_bool(loader, yaml_member(item, "number"), &is_number[i]);
            }
        }
        if (target == NULL || !want_kind(loader, target, YAML_TEXT) ||
            !check_target(loader, target, target->text)) {
            continue;
        }
        if (is_number[i]) {
            check_one_value(loader, target, target->text, "number");
        }
        to[i] = target->text;
        uint32_t before = targets->count;
        if (to[i].size > 0) {
            name_set_add(targets, to[i]);
            if (targets->count == before) {
                COMPLAIN(loader, target, "DUPLICATE_NAME", NO_HINT,
                         "two columns or constants give %.*s", TEXT_ARG(to[i]));
            }
        }
    }
    csv->columns = columns;
    csv->targets = to;
    csv->is_number = is_number;
    csv->count = node->count;
}

void load_csv(struct loader *loader, const struct yaml_node *node)
{
    static const char *const keys[] = {"separator", "columns", "constants", NULL};
    struct csv_columns *csv = &loader->catalog->csv;
    csv->separator = ',';
    if (node == NULL || !want_kind(loader, node, YAML_MAP)) {
        return;
    }
    loader->catalog->has_csv = true;
    check_keys(loader, node, "csv", keys);
    struct name_set targets;
    name_set_init(&targets, loader);
    const struct yaml_node *separator = yaml_member(node, "separator");
    if (separator != NULL && want_kind(loader, separator, YAML_TEXT)) {
        const char *found =
            separator->text.size == 1 ? memchr(",;\t", separator->text.at[0], 3) : NULL;
        if (found == NULL) {
            COMPLAIN(loader, separator, "BAD_VALUE", TEXT("',' or ';' or \"\\t\""),
                     "fields are separated by a comma, a semicolon or a tab");
        } else {
            csv->separator = *found;
        }
    }
    const struct yaml_node *columns = yaml_member(node, "columns");
    if (columns != NULL && want_kind(loader, columns, YAML_MAP)) {
        load_csv_columns(loader, columns, csv, &targets);
    }
    const struct yaml_node *constants = yaml_member(node, "constants");
    if (constants == NULL || !want_kind(loader, constants, YAML_MAP)) {
        return;
    }
    struct text *names = arena_calloc(loader->arena, constants->count, sizeof *names);
    struct text *values = arena_calloc(loader->arena, constants->count, sizeof *values);
    for (uint32_t i = 0; i < constants->count; i++) {
        const struct yaml_node *item = &constants->items[i];
        if (!want_kind(loader, item, YAML_TEXT) || !check_target(loader, item, item->key)) {
            continue;
        }
        check_one_value(loader, item, item->key, "constant");
        uint32_t before = targets.count;
        name_set_add(&targets, item->key);
        if (targets.count == before) {
            complain(loader->complaints, yaml_key_place(item), "DUPLICATE_NAME", NO_HINT,
                     "two columns or constants give %.*s", TEXT_ARG(item->key));
        }
        names[csv->constant_count] = item->key;
        values[csv->constant_count++] = item->text;
    }
    csv->constant_targets = names;
    csv->constant_values = values;
}
