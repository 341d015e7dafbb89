/* terms.c - lists of steps over charges: of plans, of contracts, of the catalog.
 *
 * A list has the form of a price without a name or SKU, so that what takes steps of prices takes
 * terms as well.  Each term is a node of its own, behind all nodes of prices; what it accumulates
 * is named by its owner and its name.
 */
#include "catalog/step.h"

#include "base/nofloat.h"

static bool waits(const struct step *step)
{
    switch (step->kind) {
    case STEP_BOUND:
        return step->bound.has_min;
    case STEP_COMMIT:
        return step->commit.has_shortfall || step->commit.is_prepaid;
    case STEP_CREDIT:
        return step->credit.is_sold || step->credit.share != SHARE_NONE;
    case STEP_FEE:
        return step->adjust.has_min || step->adjust.settle_at_end;
    case STEP_DISCOUNT:
    case STEP_MARKUP:
        return step->adjust.settle_at_end;
    default:
        return false;
    }
}

/* What means nothing in a list that has no versions and edits no charge. */
static void check_term(struct loader *loader, const struct yaml_node *item, struct step *step)
{
    const struct yaml_node *body = &item->items[0];
    const struct yaml_node *on_change = yaml_member(body, "on_change");
    const struct yaml_node *show = yaml_member(body, "show");
    if (!step_kind_takes_charges(step->kind)) {
        complain(loader->complaints, step->place, "STEP_ORDER",
                 TEXT("put it into a price; terms: bound, round, discount, markup, fee, tax, "
                      "commit, credit, allocate"),
                 "%s works on usage, and terms take charges", step_kind_name(step->kind));
    }
    if (on_change != NULL) {
        complain(loader->complaints, yaml_key_place(on_change), "CHOOSE_ONE", NO_HINT,
                 "terms have no versions: what accumulates goes on as long as their owner");
    }
    if (step->kind == STEP_ROUND) {
        if (show != NULL && !step->round.show) {
            complain(loader->complaints, yaml_key_place(show), "CHOOSE_ONE", NO_HINT,
                     "a term shows what it does: it edits no charge");
        }
        step->round.show = true;
    }
}

void load_terms(struct loader *loader, const struct yaml_node *node, struct price *terms)
{
    terms->name = TEXT("");
    terms->from = INSTANT_MIN;
    terms->to = INSTANT_MAX;
    terms->is_terms = true;
    if (node == NULL || !want_kind(loader, node, YAML_LIST)) {
        return;
    }
    terms->place = yaml_key_place(node);
    if (node->count > STEPS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "at most %d terms", STEPS_MAX);
        return;
    }
    struct step *steps = arena_calloc(loader->arena, node->count, sizeof *steps);
    terms->steps = steps;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        struct step *step = &steps[terms->step_count];
        bool is_use = item->kind == YAML_MAP && item->count == 1 &&
                      text_equal(item->items[0].key, TEXT("use"));
        if (!(is_use ? read_use(loader, &item->items[0], step)
                     : read_step(loader, item, true, step))) {
            continue;
        }
        check_term(loader, item, step);
        for (uint32_t k = 0; k < terms->step_count; k++) {
            if (text_equal(steps[k].name, step->name)) {
                complain(loader->complaints, step->place, "DUPLICATE_NAME",
                         TEXT("give one of them a name: of its own"),
                         "a term named %.*s stands on line %u already", TEXT_ARG(step->name),
                         steps[k].place.line);
            }
        }
        step->shared = loader->catalog->shared_count; /* it pools SKUs as shared steps do */
        loader->catalog->has_terms = true;
        loader->catalog->has_waiting_terms = loader->catalog->has_waiting_terms || waits(step);
        terms->step_count++;
    }
}

uint32_t terms_count(const struct catalog *catalog)
{
    uint32_t count = catalog->terms.step_count;
    for (uint32_t i = 0; i < catalog->plan_count && catalog->plans != NULL; i++) {
        count += catalog->plans[i].terms.step_count;
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        count += catalog->contracts[i].terms.step_count;
    }
    return count;
}

struct text term_node_name(struct loader *loader, struct text owner, const struct step *step)
{
    return text_format(loader->arena, "%.*s@terms/%.*s", TEXT_ARG(owner), TEXT_ARG(step->name));
}

void terms_each(struct loader *loader,
                void (*take)(struct loader *loader, const struct price *terms, struct text owner,
                             uint32_t stage))
{
    const struct catalog *catalog = loader->catalog;
    for (uint32_t i = 0; i < catalog->plan_count && catalog->plans != NULL; i++) {
        const struct plan *plan = &catalog->plans[i];
        take(loader, &plan->terms, text_format(loader->arena, "@plan/%.*s/", TEXT_ARG(plan->name)),
             TERMS_OF_PLAN);
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct contract *contract = &catalog->contracts[i];
        take(loader, &contract->terms,
             text_format(loader->arena, "@contract/%.*s/", TEXT_ARG(contract->id)),
             TERMS_OF_CONTRACT);
    }
    take(loader, &catalog->terms, TEXT(""), TERMS_OF_CATALOG);
}

static void number(struct loader *loader, const struct price *terms, struct text owner,
                   uint32_t stage)
{
    (void)stage;
    struct step *steps = (struct step *)terms->steps; /* of this loader */
    for (uint32_t i = 0; i < terms->step_count; i++) {
        loader->term_names[loader->term_next] = term_node_name(loader, owner, &steps[i]);
        steps[i].node = loader->term_next++;
    }
}

void terms_number(struct loader *loader, struct text *names, uint32_t next)
{
    loader->term_names = names;
    loader->term_next = next;
    terms_each(loader, number);
}

static void visit(const struct price *terms,
                  void (*take)(void *context, const struct step *step, bool of_contract),
                  bool of_contract, void *context)
{
    for (uint32_t i = 0; i < terms->step_count; i++) {
        take(context, &terms->steps[i], of_contract);
    }
}

void terms_visit(const struct catalog *catalog,
                 void (*take)(void *context, const struct step *step, bool of_contract),
                 void *context)
{
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        visit(&catalog->plans[i].terms, take, true, context);
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        visit(&catalog->contracts[i].terms, take, true, context);
    }
    visit(&catalog->terms, take, false, context);
}

/* The SKUs that fees are sold as: names that prices and meters need not mention. */
void terms_visit_skus(const struct yaml_node *steps,
                      void (*take)(void *context, const struct yaml_node *sku), void *context)
{
    for (uint32_t i = 0; steps != NULL && steps->kind == YAML_LIST && i < steps->count; i++) {
        const struct yaml_node *fee = yaml_member(&steps->items[i], "fee");
        const struct yaml_node *sku = fee == NULL ? NULL : yaml_member(fee, "sku");
        if (sku != NULL && sku->kind == YAML_TEXT) {
            take(context, sku);
        }
    }
}
