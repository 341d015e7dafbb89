/* read.c - texts of a catalog as what their places want; see load.h.  Each place that wants
 * something else than it finds says so here, so the wording is the same everywhere.
 */
#include "catalog/load.h"

#include "base/nofloat.h"

void *grow_array(struct loader *loader, void *array, uint32_t count, uint32_t *capacity,
                 size_t item_size)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity == 0 ? 8 : *capacity * 2;
    return arena_grow(loader->arena, array, count, *capacity, item_size);
}

bool want_kind(struct loader *loader, const struct yaml_node *node, enum yaml_kind kind)
{
    if (node->kind == kind) {
        return true;
    }
    bool has_key = node->key_line != 0;
    struct text name = has_key ? node->key : TEXT("an entry");
    struct text hint = NO_HINT;
    if (has_key && kind == YAML_LIST && node->kind != YAML_NONE) {
        hint = text_format(loader->arena, "in brackets: %.*s: [%s]", TEXT_ARG(name),
                           node->kind == YAML_MAP ? "{...}" : "...");
    }
    complain(loader->complaints, yaml_place(node), "WRONG_TYPE", hint,
             "%.*s: %s is wanted here, and this is %s", TEXT_ARG(name), yaml_kind_phrase(kind),
             yaml_kind_phrase(node->kind));
    return false;
}

const struct yaml_node *want_member(struct loader *loader, const struct yaml_node *map,
                                    const char *key)
{
    const struct yaml_node *member = yaml_member(map, key);
    if (member == NULL) {
        complain(loader->complaints, yaml_key_place(map), "MISSING_KEY", NO_HINT,
                 "the key %s is missing", key);
    }
    return member;
}

bool is_listed(struct text word, const char *const *list)
{
    for (; list != NULL && *list != NULL; list++) {
        if (text_equal(word, text_of(*list))) {
            return true;
        }
    }
    return false;
}

/* The lists of names in the tables of this room are short. */
static size_t list_texts(const char *const *list, struct text *texts, size_t max)
{
    size_t count = 0;
    for (; list != NULL && *list != NULL && count < max; list++) {
        texts[count++] = text_of(*list);
    }
    return count;
}

enum { LIST_MAX = 48 };

struct text hint_rest(struct text key)
{
    size_t digits = 0;
    while (digits < key.size && key.at[digits] >= '0' && key.at[digits] <= '9') {
        digits++;
    }
    if (key.size > 0 && digits == key.size) {
        return TEXT("a number has a point, and nothing between its thousands: 0.10, 1000");
    }
    return memchr(key.at, ')', key.size)
               ? TEXT("in { } an expression with a comma stands in quotes: 'min(data.a, data.b)'")
               : TEXT("");
}

void check_keys(struct loader *loader, const struct yaml_node *map, const char *what,
                const char *const *known)
{
    for (uint32_t i = 0; map->kind == YAML_MAP && i < map->count; i++) {
        const struct yaml_node *item = &map->items[i];
        if (is_listed(item->key, known)) {
            continue;
        }
        struct text names[LIST_MAX];
        size_t count = list_texts(known, names, LIST_MAX);
        struct text rest = hint_rest(item->key);
        complain(loader->complaints, yaml_key_place(item), "UNKNOWN_KEY",
                 rest.size > 0 ? rest : hint_choice(loader->arena, item->key, names, count),
                 "%s has no key %.*s", what, TEXT_ARG(item->key));
    }
}

bool check_name(struct loader *loader, struct place place, struct text name)
{
    const char *wrong = NULL;
    if (name.size == 0) {
        wrong = "a name is empty";
    } else if (name.size > NAME_MAX_BYTES) {
        wrong = "a name has more than 255 bytes";
    } else if (name.at[0] == '@') {
        wrong = "a name begins with @, which is kept for our own";
    }
    for (size_t i = 0; i < name.size && wrong == NULL; i++) {
        if ((unsigned char)name.at[i] < 0x20 || name.at[i] == 0x7F) {
            wrong = "a name has a control character";
        }
    }
    if (wrong != NULL) {
        complain(loader->complaints, place, "BAD_NAME", NO_HINT, "%s", wrong);
    }
    return wrong == NULL;
}

bool read_name(struct loader *loader, const struct yaml_node *node, struct text *name)
{
    if (!want_kind(loader, node, YAML_TEXT) || !check_name(loader, yaml_place(node), node->text)) {
        return false;
    }
    *name = node->text;
    return true;
}

bool read_bool(struct loader *loader, const struct yaml_node *node, bool *value)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    *value = text_equal(node->text, TEXT("true"));
    if (!*value && !text_equal(node->text, TEXT("false"))) {
        COMPLAIN(loader, node, "BAD_VALUE", TEXT("true or false; yes, no, on and off are texts"),
                 "'%.*s' is neither true nor false", TEXT_ARG(node->text));
        return false;
    }
    return true;
}

bool read_choice(struct loader *loader, const struct yaml_node *node, const char *const *names,
                 int *choice)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    struct text texts[LIST_MAX];
    size_t count = list_texts(names, texts, LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        if (text_equal(node->text, texts[i])) {
            *choice = (int)i;
            return true;
        }
    }
    COMPLAIN(loader, node, "BAD_VALUE", hint_choice(loader->arena, node->text, texts, count),
             "'%.*s' is nothing that can stand here", TEXT_ARG(node->text));
    return false;
}

bool read_rounding_mode(struct loader *loader, const struct yaml_node *node, enum rounding *mode)
{
    const char *names[ROUND_MODES + 1] = {0};
    for (int i = 0; i < ROUND_MODES; i++) {
        names[i] = rounding_name((enum rounding)i);
    }
    int choice;
    if (!read_choice(loader, node, names, &choice)) {
        return false;
    }
    *mode = (enum rounding)choice;
    return true;
}

bool read_dec(struct loader *loader, const struct yaml_node *node, struct dec *value)
{
    struct number number = {0};
    struct expr_context context = {.kind = NAMES_NONE};
    if (!read_number(loader, node, &context, &number)) {
        return false;
    }
    *value = number.value;
    return true;
}

bool read_int(struct loader *loader, const struct yaml_node *node, int min, int max, int *value)
{
    struct dec number;
    if (!read_dec(loader, node, &number)) {
        return false;
    }
    if (number.scale != 0 || number.mantissa < min || number.mantissa > max) {
        COMPLAIN(loader, node, "NUM_RANGE", NO_HINT, "a whole number from %d to %d is wanted", min,
                 max);
        return false;
    }
    *value = (int)number.mantissa;
    return true;
}

/* ---- time ---- */

bool find_zone(struct loader *loader, struct text name, const struct zone **zone)
{
    *zone = NULL;
    if (text_equal(name, TEXT("UTC"))) {
        return true;
    }
    uint32_t known = map_find(&loader->zone_by_name, name);
    if (known != MAP_NONE) {
        *zone = loader->zones[known];
        return true;
    }
    const struct zone_source *source = loader->input->zones;
    struct text bytes;
    struct error err;
    name = text_copy(loader->arena, name);
    if (source == NULL || !source->find(source->context, name, &bytes) ||
        zone_parse(loader->arena, name, bytes, zone, &err) != OK) {
        return false;
    }
    loader->zones = grow_array(loader, loader->zones, loader->zone_count, &loader->zone_capacity,
                               sizeof *loader->zones);
    loader->zones[loader->zone_count] = *zone;
    map_put(&loader->zone_by_name, name, loader->zone_count++);
    return true;
}

bool read_zone(struct loader *loader, const struct yaml_node *node, const struct zone **zone)
{
    struct text name;
    if (!read_name(loader, node, &name)) {
        return false;
    }
    if (!find_zone(loader, name, zone)) {
        COMPLAIN(loader, node, "ZONE", TEXT("a name of the tz database, such as Europe/Berlin"),
                 "there is no time zone %.*s", TEXT_ARG(name));
        return false;
    }
    return true;
}

/* A time without a designator is one of the catalog's zone, as a date is. */
static enum time_fault parse_instant(struct loader *loader, struct text text, instant *at)
{
    enum time_fault fault = time_parse_date(text, loader->zone, at);
    if (fault == TIME_ZONE) {
        fault = time_parse(text_join(loader->arena, text, TEXT("Z")), at);
        if (fault == TIME_OK && loader->zone != NULL) {
            *at = zone_instant(loader->zone, zone_civil(NULL, *at));
        }
    }
    return fault;
}

bool read_instant(struct loader *loader, const struct yaml_node *node, instant *at)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    enum time_fault fault = parse_instant(loader, node->text, at);
    if (fault != TIME_OK) {
        COMPLAIN(loader, node, time_fault_name(fault),
                 fault == TIME_RANGE ? TEXT("from 1970-01-01 to 2261-12-31; leave it out when open")
                                     : TEXT("such as 2026-10-01 or 2026-10-01T12:00:00Z"),
                 fault == TIME_RANGE ? "'%.*s' is beyond the years we know"
                                     : "'%.*s' is no date or time",
                 TEXT_ARG(node->text));
        return false;
    }
    if (*at % NS_PER_SECOND != 0) {
        COMPLAIN(loader, node, "TIME_FRACTION", TEXT("rows of usage begin at whole seconds"),
                 "'%.*s' is inside a second", TEXT_ARG(node->text));
        return false;
    }
    return true;
}

void read_dates(struct loader *loader, const struct yaml_node *map, instant *from, instant *to)
{
    *from = INSTANT_MIN;
    *to = INSTANT_MAX;
    const struct yaml_node *from_node = yaml_member(map, "from");
    const struct yaml_node *to_node = yaml_member(map, "to");
    bool from_good = from_node == NULL || read_instant(loader, from_node, from);
    bool to_good = to_node == NULL || read_instant(loader, to_node, to);
    if (from_good && to_good && *from >= *to) {
        COMPLAIN(loader, to_node != NULL ? to_node : from_node, "PERIOD_EMPTY",
                 TEXT("`to` is the first instant that is no more in it"), "%s",
                 *from == *to ? "it is empty: it ends when it begins" : "it ends before it begins");
        *to = *from + 1; /* so that nothing is said about what it would overlap */
    }
}

/* ---- names and values ---- */

uint32_t find_name(struct loader *loader, const struct yaml_node *node, const struct map *by_name,
                   const struct text *names, uint32_t count, const char *what)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return NONE;
    }
    uint32_t index = map_find(by_name, node->text);
    if (index == MAP_NONE) {
        COMPLAIN(loader, node, "UNKNOWN_NAME",
                 count > 0 ? hint_choice(loader->arena, node->text, names, count)
                           : TEXT("the catalog has none"),
                 "there is no %s %.*s", what, TEXT_ARG(node->text));
        return NONE;
    }
    return index;
}

bool read_value(struct loader *loader, const struct yaml_node *node, struct expr_value *value)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    struct dec number;
    if (node->is_plain && text_equal(node->text, TEXT("true"))) {
        *value = expr_bool(true);
    } else if (node->is_plain && text_equal(node->text, TEXT("false"))) {
        *value = expr_bool(false);
    } else if (node->is_plain && memchr(node->text.at, 'e', node->text.size) == NULL &&
               memchr(node->text.at, 'E', node->text.size) == NULL &&
               dec_parse(node->text, &number) == NUMBER_OK) {
        *value = expr_number(number);
    } else {
        *value = expr_text(node->text);
    }
    return true;
}
