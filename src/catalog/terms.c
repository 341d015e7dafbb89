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
        return step->credit.is_sold || step->credit.share != SHARE_NONE || credit_goes_along(step);
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
                break;
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

/* ---- an allocate before what it should share --------------------------------------------------
 */

/* The kind of charge that a step may add on a scope; NULL: none. */
static const char *kind_made(const struct step *step)
{
    switch (step->kind) {
    case STEP_FIXED:
    case STEP_FEE:
        return "fee";
    case STEP_BOUND:
        return step->bound.has_min ? "minimum" : NULL;
    case STEP_COMMIT:
        return step->commit.is_prepaid ? "fee" : step->commit.has_shortfall ? "shortfall" : NULL;
    case STEP_CREDIT:
        return step->credit.is_sold ? "fee" : NULL;
    default:
        return NULL;
    }
}

/* A list up to a step, looked through for a kind of charge or the name of a step. */
static bool makes(const struct price *list, uint32_t end, const char *kind, struct text name)
{
    for (uint32_t i = 0; i < end; i++) {
        const char *made = kind_made(&list->steps[i]);
        if ((kind && made && strcmp(made, kind) == 0) || text_equal(list->steps[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Terms of the contracts come behind those of all plans, so that they may be before the catalog's.
 */
static bool is_made_before(const struct catalog *catalog, const struct price *terms, uint32_t end,
                           uint32_t stage, const char *kind, struct text name)
{
    bool found = makes(terms, end, kind, name);
    for (uint32_t i = 0; i < catalog->price_count && !found; i++) {
        found = makes(&catalog->prices[i], catalog->prices[i].step_count, kind, name);
    }
    for (uint32_t i = 0; i < catalog->plan_count && !found && stage > TERMS_OF_PLAN; i++) {
        found = makes(&catalog->plans[i].terms, catalog->plans[i].terms.step_count, kind, name);
    }
    for (uint32_t i = 0; i < catalog->contract_count && !found && stage > TERMS_OF_CONTRACT; i++) {
        const struct price *list = &catalog->contracts[i].terms;
        found = makes(list, list->step_count, kind, name);
    }
    return found;
}

/* Whether an expression has the text in it. */
static bool says(struct text expression, struct text word)
{
    for (size_t i = 0; word.size > 0 && i + word.size + 2 <= expression.size; i++) {
        const char *at = expression.at + i;
        if (at[0] == '"' && at[word.size + 1] == '"' && memcmp(at + 1, word.at, word.size) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_sold_by_price(const struct catalog *catalog, uint32_t sku)
{
    for (uint32_t i = 0; i < catalog->price_count; i++) {
        if (!catalog->prices[i].skus || price_has_sku(&catalog->prices[i], sku)) {
            return true;
        }
    }
    return false;
}

struct sharing {
    struct loader *loader;
    const struct price *terms;
    uint32_t at, stage;
    struct text where; /* which charges it shares */
};

/* Of terms that run after it: what they add, it does not see. */
static void warn_of_later(const struct sharing *sharing, const struct price *list, uint32_t first)
{
    const struct catalog *catalog = sharing->loader->catalog;
    for (uint32_t i = first; i < list->step_count; i++) {
        const struct step *step = &list->steps[i];
        const char *kind = kind_made(step);
        uint32_t sku = step->kind == STEP_FEE ? step->adjust.sku : NONE;
        struct text none = TEXT(""), word = none;
        if (!kind) {
            continue;
        }
        if (says(sharing->where, step->name) &&
            !is_made_before(catalog, sharing->terms, sharing->at, sharing->stage, NULL,
                            step->name)) {
            word = step->name;
        } else if (sku != NONE && says(sharing->where, catalog->skus[sku].name) &&
                   !is_sold_by_price(catalog, sku)) {
            word = catalog->skus[sku].name;
        } else if (says(sharing->where, text_of(kind)) &&
                   !is_made_before(catalog, sharing->terms, sharing->at, sharing->stage, kind,
                                   none)) {
            word = text_of(kind);
        }
        if (word.size > 0) {
            const struct step *own = &sharing->terms->steps[sharing->at];
            complain_softly(sharing->loader->complaints, own->place, "TERM_ORDER",
                            TEXT("put it behind that term"),
                            "%.*s shares what is \"%.*s\", and %.*s, which makes such charges, "
                            "runs after it (line %u)",
                            TEXT_ARG(own->name), TEXT_ARG(word), TEXT_ARG(step->name),
                            step->place.line);
            return;
        }
    }
}

static void look_at_sharing(struct loader *loader, const struct price *terms, struct text owner,
                            uint32_t stage)
{
    (void)owner;
    const struct catalog *catalog = loader->catalog;
    for (uint32_t i = 0; i < terms->step_count; i++) {
        const struct step *step = &terms->steps[i];
        if (step->kind != STEP_ALLOCATE || !step->where) {
            continue;
        }
        struct buffer where;
        buffer_init(&where, loader->arena, 64);
        expr_format(step->where, NULL, &where);
        struct sharing sharing = {loader, terms, i, stage, buffer_text(&where)};
        uint32_t before = loader->complaints->count;
        warn_of_later(&sharing, terms, i + 1);
        for (uint32_t c = 0; c < catalog->contract_count && stage == TERMS_OF_PLAN &&
                             loader->complaints->count == before;
             c++) {
            warn_of_later(&sharing, &catalog->contracts[c].terms, 0);
        }
        if (stage != TERMS_OF_CATALOG && loader->complaints->count == before) {
            warn_of_later(&sharing, &catalog->terms, 0);
        }
    }
}

void terms_warn(struct loader *loader)
{
    if (loader->complaints->errors == 0) {
        terms_each(loader, look_at_sharing);
    }
}
