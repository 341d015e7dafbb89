/* tally.c - usage("sku"): a number that depends on how much of another SKU was used.
 *
 * What is asked for is the converted quantity in the same scope and turn.  So each price that may
 * sell what is asked for gets a step behind its last convert, which adds rows up in buckets with
 * the scope and clock of the step that asks; and that step's node comes after all of them.  The
 * rest (order, turns, what is carried from bill to bill) is what buckets do anyway.
 */
#include "catalog/load.h"

#include "base/nofloat.h"

struct asking {
    struct loader *loader;
    const struct step *step;
    struct text node;
    bool is_term;
    const struct price *terms; /* its list, and when that runs */
    uint32_t stage;
};

bool step_has_same_clock(const struct step *a, const struct step *b)
{
    return a->clock == b->clock && a->rule.every == b->rule.every &&
           a->rule.count == b->rule.count && a->rule.zone == b->rule.zone &&
           memcmp(&a->rule.anchor, &b->rule.anchor, sizeof a->rule.anchor) == 0;
}

bool step_has_same_turns(const struct step *a, const struct step *b)
{
    return a->scope == b->scope && step_has_same_clock(a, b);
}

static void add_tally(struct asking *asking, uint32_t of)
{
    struct loader *loader = asking->loader;
    struct catalog *catalog = loader->catalog;
    uint32_t same = 0;
    for (uint32_t i = 0; i < catalog->tally_count; i++) {
        const struct tally *tally = &catalog->tallies[i];
        if (tally->of != of || !text_equal(tally->asker, asking->node)) {
            continue;
        }
        if (step_has_same_turns(&tally->step, asking->step)) {
            return;
        }
        same++; /* versions of a price that count over other turns */
    }
    struct tally *tallies =
        grow_array(loader, (struct tally *)catalog->tallies, catalog->tally_count,
                   &loader->tally_capacity, sizeof *tallies);
    catalog->tallies = tallies;
    struct text name = text_format(loader->arena, "%.*s/usage(%.*s)", TEXT_ARG(asking->node),
                                   TEXT_ARG(loader->usages[of].name));
    if (same > 0) {
        name = text_format(loader->arena, "%.*s%u", TEXT_ARG(name), same + 1);
    }
    tallies[catalog->tally_count] = (struct tally){
        .of = of,
        .sku = loader->usages[of].sku,
        .meter = loader->usages[of].meter,
        .asker = asking->node,
        .of_term = asking->is_term,
        .slot_clock = NONE,
        .step = {.kind = STEP_TALLY,
                 .name = name,
                 .shared = catalog->shared_count, /* it pools SKUs as shared steps do */
                 .scope = asking->step->scope,
                 .clock = asking->step->clock,
                 .rule = asking->step->rule,
                 .place = asking->step->place},
    };
    catalog->tally_count++;
}

/* ---- charges("x") -----------------------------------------------------------------------------
 */

static bool has_step(const struct price *list, uint32_t count, struct text name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (text_equal(list->steps[i].name, name)) {
            return true;
        }
    }
    return false;
}

static uint32_t find_product(const struct catalog *catalog, struct text name)
{
    for (uint32_t i = 0; i < catalog->product_count; i++) {
        if (text_equal(catalog->products[i].name, name)) {
            return i;
        }
    }
    return NONE;
}

/* A step of a price, or a term that runs before the one that asks; with later, one that does not.
 */
static bool is_step(const struct asking *asking, struct text name, bool later)
{
    const struct catalog *catalog = asking->loader->catalog;
    uint32_t place = (uint32_t)(asking->step - asking->terms->steps), stage = asking->stage;
    bool found = !later && has_step(asking->terms, place, name);
    found = found || (later && has_step(asking->terms, asking->terms->step_count, name));
    for (uint32_t i = 0; i < catalog->price_count && !found; i++) {
        found = has_step(&catalog->prices[i], catalog->prices[i].step_count, name);
    }
    for (uint32_t i = 0; i < catalog->plan_count && (later || stage > TERMS_OF_PLAN); i++) {
        const struct price *terms = &catalog->plans[i].terms;
        found = found || has_step(terms, terms->step_count, name);
    }
    for (uint32_t i = 0; i < catalog->contract_count && (later || stage > TERMS_OF_CONTRACT); i++) {
        const struct price *terms = &catalog->contracts[i].terms;
        found = found || has_step(terms, terms->step_count, name);
    }
    return found || (later && has_step(&catalog->terms, catalog->terms.step_count, name));
}

static void check_charges(const struct asking *asking, struct text name, bool is_thing)
{
    struct loader *loader = asking->loader;
    if (asking->step->clock == CLOCK_ROW) {
        complain(loader->complaints, asking->step->place, "STEP_CLOCK",
                 TEXT("clock: period, or month, year ..."),
                 "charges(\"%.*s\") is a sum of a turn, and a row has none", TEXT_ARG(name));
    } else if (is_thing || is_step(asking, name, false)) {
        return;
    } else if (is_step(asking, name, true)) {
        complain(loader->complaints, asking->step->place, "STEP_ORDER",
                 TEXT("put the term that asks behind the one that it asks for"),
                 "charges(\"%.*s\") asks for a term that does not run before it", TEXT_ARG(name));
    } else {
        complain(loader->complaints, asking->step->place, "UNKNOWN_NAME", NO_HINT,
                 "charges(\"%.*s\"): there is no product, SKU or step of that name",
                 TEXT_ARG(name));
    }
}

static void add_charge_tally(struct asking *asking, uint32_t of)
{
    struct loader *loader = asking->loader;
    struct catalog *catalog = loader->catalog;
    struct text name = loader->charge_names[of];
    for (uint32_t i = 0; i < catalog->charge_tally_count; i++) {
        const struct charge_tally *tally = &catalog->charge_tallies[i];
        if (tally->of == of && text_equal(tally->asker, asking->node)) {
            return;
        }
    }
    uint32_t sku = map_find(&catalog->sku_by_name, name);
    sku = sku == MAP_NONE ? NONE : sku;
    uint32_t product = find_product(catalog, name);
    check_charges(asking, name, sku != NONE || product != NONE);
    struct charge_tally *tallies =
        grow_array(loader, (struct charge_tally *)catalog->charge_tallies,
                   catalog->charge_tally_count, &loader->charge_tally_capacity, sizeof *tallies);
    catalog->charge_tallies = tallies;
    tallies[catalog->charge_tally_count++] = (struct charge_tally){
        .of = of,
        .product = product,
        .sku = sku,
        .name = name,
        .asker = asking->node,
        .step = {.kind = STEP_TALLY,
                 .name = text_format(loader->arena, "%.*s/charges(%.*s)", TEXT_ARG(asking->node),
                                     TEXT_ARG(name)),
                 .shared = catalog->shared_count, /* it pools SKUs as shared steps do */
                 .scope = asking->step->scope,
                 .clock = asking->step->clock,
                 .rule = asking->step->rule,
                 .place = asking->step->place},
    };
}

static void note_calls(void *context, const struct expr *expr)
{
    size_t count = 0;
    const uint32_t *calls = expr == NULL ? NULL : expr_calls(expr, &count);
    for (size_t i = 0; i < count; i++) {
        if (calls[i] >= CALL_CHARGES) {
            add_charge_tally(context, calls[i] - CALL_CHARGES);
        } else if (calls[i] >= CALL_USAGE) {
            add_tally(context, calls[i] - CALL_USAGE);
        }
    }
}

static void note_usage(void *context, const struct expr *expr)
{
    size_t count = 0;
    const uint32_t *calls = expr == NULL ? NULL : expr_calls(expr, &count);
    for (size_t i = 0; i < count; i++) {
        *(bool *)context = *(bool *)context || (calls[i] >= CALL_USAGE && calls[i] < CALL_CHARGES);
    }
}

bool step_asks_usage(const struct step *step)
{
    bool asks = false;
    step_visit(step, note_usage, &asks);
    return asks;
}

static void look_at_terms(struct loader *loader, const struct price *terms, struct text owner,
                          uint32_t stage)
{
    for (uint32_t i = 0; i < terms->step_count; i++) {
        const struct step *step = &terms->steps[i];
        struct asking asking = {.loader = loader,
                                .step = step,
                                .node = term_node_name(loader, owner, step),
                                .is_term = true,
                                .terms = terms,
                                .stage = stage};
        step_visit(step, note_calls, &asking);
    }
}

struct text step_node_name(struct loader *loader, uint32_t price, const struct step *step)
{
    if (step->shared != NONE) {
        return step->name;
    }
    return text_format(loader->arena, "%.*s%.*s/%.*s",
                       TEXT_ARG(loader->level_names[loader->drafts[price].level]),
                       TEXT_ARG(loader->catalog->prices[price].name), TEXT_ARG(step->name));
}

bool tally_fits(const struct tally *tally, const struct price *price)
{
    return tally->sku == NONE || price->skus == NULL || price_has_sku(price, tally->sku);
}

/* Puts a step that counts behind the last convert of a price.  Its node is of this version alone,
 * since another may have its converts elsewhere. */
static void insert_tally(struct loader *loader, uint32_t index)
{
    const struct catalog *catalog = loader->catalog;
    struct price *price = (struct price *)&catalog->prices[index]; /* of this loader */
    bool fits = false;
    uint32_t place = 0, count = 0;
    for (uint32_t t = 0; t < catalog->tally_count; t++) {
        fits = fits || tally_fits(&catalog->tallies[t], price);
    }
    if (price->is_fixed || price->takes_money || !fits) {
        return;
    }
    uint32_t end = price->step_count,
             into = 0; /* of several components, into the first with rows */
    if (price->component_count > 0) {
        while (price->components[into].is_fixed) {
            into++;
        }
        place = price->components[into].first;
        end = place + price->components[into].count;
    }
    for (uint32_t i = place; i < end; i++) {
        place = price->steps[i].kind == STEP_CONVERT ? i + 1 : place;
    }
    struct step *steps = arena_calloc(loader->arena, price->step_count + 1, sizeof *steps);
    for (uint32_t i = 0; i <= price->step_count; i++) {
        if (i == place) {
            steps[count++] = (struct step){.kind = STEP_TALLY,
                                           .name = text_format(loader->arena, "/%u", index),
                                           .shared = catalog->shared_count,
                                           .clock = CLOCK_ROW,
                                           .place = price->place};
        }
        if (i < price->step_count) {
            steps[count++] = price->steps[i];
        }
    }
    price->steps = steps;
    price->step_count = count;
    struct component *components = (struct component *)price->components; /* of this loader */
    for (uint32_t i = into; i < price->component_count; i++) {
        components[i].count += i == into;
        components[i].first += i > into;
    }
    link_components(price);
}

void make_tallies(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    if (loader->usage_count == 0 && loader->charge_name_count == 0) {
        return;
    }
    terms_each(loader, look_at_terms);
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        for (uint32_t i = 0; i < catalog->prices[p].step_count; i++) {
            const struct step *step = &catalog->prices[p].steps[i];
            struct asking asking = {
                .loader = loader, .step = step, .node = step_node_name(loader, p, step)};
            step_visit(step, note_calls, &asking);
        }
    }
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        insert_tally(loader, p);
    }
}
