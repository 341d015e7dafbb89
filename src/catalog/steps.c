/* steps.c - lists of steps: of a price, of its components, and those that prices share.
 *
 * What a step alone can say is checked where it is read; here is what a list decides: the order
 * of its steps, their names, of what a credit is, and how components lie behind each other.
 */
#include "catalog/step.h"

#include <stdlib.h>

#include "base/nofloat.h"

/* The kinds in the order in which a price may have them. */
static int stage(const struct step *step)
{
    enum step_kind kind = step->kind;
    if (kind == STEP_CREDIT && step->credit.is_units) {
        return 0;
    }
    return kind <= STEP_ALLOWANCE ? 0 : kind <= STEP_FIXED ? 1 : 2;
}

/* What is bought must be bought once, by someone who is known though nothing is used yet. */
static void check_sale(struct loader *loader, const struct price *price, const struct step *step)
{
    struct catalog *catalog = loader->catalog;
    catalog->has_sales =
        catalog->has_sales || step->credit.is_sold || step->credit.share != SHARE_NONE;
    if (step->credit.is_sold) {
        if (price->skus == NULL || (price->sku_count > 1 && step->shared == NONE)) {
            complain(loader->complaints, step->place, "CHOOSE_ONE",
                     TEXT("put the credit under steps: and use it in prices that name their SKUs"),
                     "each SKU of a price has a wallet of its own, and what is bought is bought "
                     "once");
        }
    }
    if (step->credit.is_units && step->credit.has_top_up && !step->credit.has_top_up_cost) {
        complain(loader->complaints, step->place, "MISSING_KEY",
                 TEXT("top_up: {below: 100, amount: 500, cost: 45}"),
                 "what refills a wallet of units has a cost");
    }
    if (step->credit.is_units && step->credit.is_largest_first) {
        complain(loader->complaints, step->place, "STEP_ORDER",
                 TEXT("a credit behind the rating step, or targets"),
                 "which charge is the largest is known behind the rating step");
    }
}

/* Credits before the rating step are of units. */
static void find_units(struct step *steps, uint32_t count)
{
    uint32_t at = 0;
    while (at < count && stage(&steps[at]) != 1) {
        at++;
    }
    for (uint32_t i = 0; i < at && at < count; i++) {
        if (steps[i].kind == STEP_CREDIT) {
            steps[i].credit.is_units = true;
        }
    }
}

/* What is bought is bought before there is usage. */
static void check_sales(struct loader *loader, const struct price *price)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        const struct step *step = &price->steps[i];
        if (step->kind == STEP_CREDIT) {
            check_sale(loader, price, step);
        } else if (step->kind == STEP_COMMIT && step->commit.is_prepaid) {
            complain(loader->complaints, step->place, "STEP_ORDER",
                     TEXT("terms: [{commit: {amount: 500, prepaid: true, where: sku == ...}}]"),
                     "a prepaid commit is a term: it is paid for before there is usage");
        }
    }
}

/* Usage steps, one rating step, charge steps. */
static void check_order(struct loader *loader, const struct yaml_node *node,
                        const struct step *steps, uint32_t count)
{
    const struct step *rating = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        const char *name = step_kind_name(step->kind);
        if (stage(step) == 1) {
            if (rating != NULL) {
                complain(loader->complaints, step->place, "RATING_TWICE",
                         TEXT("a price of its own for what is charged besides"),
                         "%s is a second rating step: %s on line %u has made the amounts", name,
                         step_kind_name(rating->kind), rating->place.line);
            }
            if (step->kind == STEP_FIXED && i > 0 && rating == NULL) {
                complain(loader->complaints, step->place, "STEP_ORDER", NO_HINT,
                         "a fixed amount takes no usage: no step can stand before it");
            }
            rating = rating == NULL ? step : rating;
        } else if (stage(step) == 0 && rating != NULL) {
            complain(loader->complaints, step->place, "STEP_ORDER",
                     text_format(loader->arena, "put it before %s", step_kind_name(rating->kind)),
                     "%s works on quantities, and %s on line %u has made amounts of them", name,
                     step_kind_name(rating->kind), rating->place.line);
        } else if (stage(step) == 2 && rating == NULL) {
            complain(loader->complaints, step->place, "STEP_ORDER",
                     TEXT("put it after rate, tier or fixed"),
                     "%s works on amounts, and no step before it makes any", name);
        }
    }
    if (rating == NULL) {
        complain(loader->complaints, yaml_key_place(node), "RATING_MISSING",
                 TEXT("add a rate, a tier or a fixed amount"),
                 "no step makes an amount of the usage");
    }
}

static bool is_prorated_alike(const struct step *a, const struct step *b)
{
    return a->fixed.proration.rule == b->fixed.proration.rule &&
           a->fixed.proration.digits == b->fixed.proration.digits &&
           a->fixed.proration.mode == b->fixed.proration.mode &&
           a->fixed.stub_back == b->fixed.stub_back && step_has_same_turns(a, b);
}

/* `prorate: true` of a discount is what the fixed amount says that it is on: that of the price, in
 * a component that of this; behind several, all of them say the same. */
static void link_prorated(struct loader *loader, struct step *steps, uint32_t count, uint32_t first,
                          uint32_t end)
{
    const struct step *fixed = NULL;
    bool is_one = true;
    for (uint32_t i = 0; i < count; i++) {
        if (steps[i].kind == STEP_FIXED) {
            is_one = is_one && (!fixed || is_prorated_alike(fixed, &steps[i]));
            fixed = fixed ? fixed : &steps[i];
        }
    }
    for (uint32_t i = first; i < end; i++) {
        struct step *step = &steps[i];
        if (!step_adjusts(step) || step->adjust.proration.rule != PRORATE_AS_FIXED) {
            continue;
        }
        if (fixed == NULL || !is_one || !step_has_same_turns(step, fixed)) {
            complain(loader->complaints, step->place, "BAD_VALUE",
                     TEXT("day, second ... by the time in which the step holds"),
                     "prorate: true is of a price with a fixed amount, over its scope and clock");
            continue;
        }
        step->adjust.proration = fixed->fixed.proration;
        step->adjust.prorate_as_fixed = true;
        step->adjust.stub_back = fixed->fixed.stub_back;
    }
}

/* Behind components stand charge steps alone. */
static void check_behind(struct loader *loader, const struct step *steps, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (stage(&steps[i]) != 2) {
            complain(loader->complaints, steps[i].place, "STEP_ORDER",
                     TEXT("put it into a component"),
                     "%s stands behind components, which have made amounts of all usage",
                     step_kind_name(steps[i].kind));
        }
    }
}

/* Reads a list of steps behind those that the price has; false when not all could be read. */
static bool read_steps(struct loader *loader, const struct yaml_node *node, struct price *price,
                       uint32_t *capacity)
{
    if (!want_kind(loader, node, YAML_LIST)) {
        return false;
    }
    if (node->count > STEPS_MAX - price->step_count) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "a price has at most %d steps", STEPS_MAX);
        return false;
    }
    bool is_complete = true;
    struct step *steps = (struct step *)price->steps; /* of this loader */
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        steps = grow_array(loader, steps, price->step_count, capacity, sizeof *steps);
        price->steps = steps;
        struct step *step = &steps[price->step_count];
        bool is_use = item->kind == YAML_MAP && item->count == 1 &&
                      text_equal(item->items[0].key, TEXT("use"));
        if (!(is_use ? read_use(loader, &item->items[0], step)
                     : read_step(loader, item, false, step))) {
            is_complete = false;
            continue;
        }
        price->step_count++;
    }
    return is_complete;
}

static void check_names(struct loader *loader, const struct price *price)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        const struct step *step = &price->steps[i];
        for (uint32_t k = 0; k < i; k++) {
            const struct step *before = &price->steps[k];
            if (text_equal(before->name, step->name) && before->shared == step->shared) {
                complain(loader->complaints, step->place, "DUPLICATE_NAME",
                         TEXT("give one of them a name: of its own"),
                         "a step named %.*s stands on line %u already", TEXT_ARG(step->name),
                         before->place.line);
            }
        }
    }
}

/* What a component's steps are called: that which makes its amounts as the component, the others
 * behind its name, unless they have one of their own. */
static void name_steps(struct loader *loader, const struct component *component,
                       struct price *price)
{
    struct step *steps = (struct step *)price->steps; /* of this loader */
    for (uint32_t i = component->first; i < price->step_count; i++) {
        bool has_name = steps[i].shared != NONE ||
                        !text_equal(steps[i].name, text_of(step_kind_name(steps[i].kind)));
        if (!has_name) {
            steps[i].name = stage(&steps[i]) == 1
                                ? component->name
                                : text_format(loader->arena, "%.*s/%.*s", TEXT_ARG(component->name),
                                              TEXT_ARG(steps[i].name));
        }
    }
}

static int compare_components(const void *a, const void *b)
{
    const struct yaml_node *const *left = a, *const *right = b;
    return text_compare((*left)->key, (*right)->key);
}

/* By their names, since a mapping has no order. */
static void read_components(struct loader *loader, const struct yaml_node *node,
                            struct price *price, uint32_t *capacity)
{
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    if (node->count == 0) {
        complain(loader->complaints, yaml_key_place(node), "MISSING_KEY",
                 TEXT("components: {energy: [{rate: 0.30}], standing: [{fixed: 9}]}"),
                 "there is no component");
        return;
    }
    struct component *components = arena_calloc(loader->arena, node->count, sizeof *components);
    price->components = components;
    price->component_count = node->count;
    price->is_fixed = true;
    const struct yaml_node **items = arena_calloc(loader->arena, node->count, sizeof *items);
    for (uint32_t i = 0; i < node->count; i++) {
        items[i] = &node->items[i];
    }
    qsort(items, node->count, sizeof *items, compare_components);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = items[i];
        struct component *component = &components[i];
        *component = (struct component){.name = item->key, .first = price->step_count};
        if (!check_name(loader, yaml_key_place(item), item->key)) {
            continue;
        }
        if (memchr(item->key.at, '/', item->key.size) != NULL) {
            complain(loader->complaints, yaml_key_place(item), "BAD_NAME", NO_HINT,
                     "a component's name has a slash");
        }
        bool is_complete = read_steps(loader, item, price, capacity);
        struct step *steps = (struct step *)price->steps; /* of this loader */
        component->count = price->step_count - component->first;
        find_units(steps + component->first, component->count);
        if (is_complete) { /* else what the others lack is not known */
            check_order(loader, item, steps + component->first, component->count);
        }
        link_prorated(loader, steps + component->first, component->count, 0, component->count);
        name_steps(loader, component, price);
        component->is_fixed = component->count > 0 && steps[component->first].kind == STEP_FIXED;
        price->is_fixed = price->is_fixed && component->is_fixed;
    }
}

void link_components(struct price *price)
{
    struct step *steps = (struct step *)price->steps; /* of this loader */
    uint32_t behind = 0;
    for (uint32_t i = 0; i < price->component_count; i++) {
        behind += price->components[i].count;
    }
    for (uint32_t i = 0; i < price->component_count; i++) {
        const struct component *component = &price->components[i];
        uint32_t end = component->first + component->count;
        for (uint32_t k = component->first; k < end; k++) {
            steps[k].skip = k + 1 == end ? behind - end : 0;
        }
    }
}

void load_steps(struct loader *loader, const struct yaml_node *node,
                const struct yaml_node *components, struct price *price)
{
    uint32_t capacity = 0, errors = loader->complaints->errors;
    if (components != NULL) {
        read_components(loader, components, price, &capacity);
    }
    uint32_t first = price->step_count;
    bool is_complete = node != NULL && read_steps(loader, node, price, &capacity);
    struct step *steps = (struct step *)price->steps; /* of this loader */
    if (components == NULL) {
        find_units(steps, price->step_count);
        price->is_fixed = price->step_count > 0 && steps[0].kind == STEP_FIXED;
    } else if (is_complete) {
        check_behind(loader, steps + first, price->step_count - first);
    }
    check_names(loader, price);
    check_sales(loader, price);
    link_prorated(loader, steps, price->step_count, first, price->step_count);
    /* With a step that could not be read, what the others lack is not known. */
    if (components == NULL && is_complete) {
        check_order(loader, node, steps, price->step_count);
    }
    if (loader->complaints->errors == errors) {
        link_components(price);
    }
    for (uint32_t i = 0; i < price->step_count; i++) {
        if (steps[i].kind == STEP_FIXED) {
            price->has_fixed = true;
            steps[i].fixed.asks_contract = step_asks_parameters(&steps[i]);
        }
    }
}

void load_shared_steps(struct loader *loader, struct section steps)
{
    struct step *shared = arena_calloc(loader->arena, steps.count, sizeof *shared);
    loader->catalog->shared = shared;
    for (uint32_t i = 0; i < steps.count; i++) {
        const struct yaml_node *node = steps.items[i];
        if (memchr(node->key.at, '/', node->key.size) != NULL) {
            complain(loader->complaints, yaml_key_place(node), "BAD_NAME", NO_HINT,
                     "a step's name has a slash");
        }
        if (!read_step(loader, node, false, &shared[i])) {
            shared[i] = (struct step){.kind = STEP_RATE};
            loader->shared_broken[i] = true;
        }
        shared[i].name = node->key;
        shared[i].shared = i;
        shared[i].place = yaml_key_place(node);
        link_prorated(loader, &shared[i], 1, 0, 1);
    }
    loader->catalog->shared_count = steps.count;
}
