/* cover.c - commitments: what they cover (`commitments:` of the catalog), the step that does it,
 * and those that contracts have.
 *
 * An offering says what all its commitments have in common; what each says of itself, expressions
 * ask by name: commitment.count.  Which names there are is known when all expressions are read, so
 * commitments are read last.  The clock of an offering is that of the covers that name it, since
 * what is left of a turn must be left in one turn.
 */
#include "catalog/step.h"

#include <stdlib.h>

#include "base/nofloat.h"

enum { COMMITMENT_NAMES_MAX = NAME_RESULT - NAME_COMMITMENT };

void load_commitment_names(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    map_init(&loader->commitment_by_name, loader->arena, 8);
    catalog->recurring_name = commitment_name(loader, TEXT("recurring"));
    catalog->upfront_name = commitment_name(loader, TEXT("upfront"));
    catalog->count_name = commitment_name(loader, TEXT("count"));
}

uint32_t commitment_name(struct loader *loader, struct text name)
{
    struct catalog *catalog = loader->catalog;
    uint32_t index = map_find(&loader->commitment_by_name, name);
    if (index != MAP_NONE) {
        return index;
    }
    index = catalog->commitment_name_count;
    if (index == COMMITMENT_NAMES_MAX) {
        return NONE;
    }
    struct text *names = grow_array(loader, (struct text *)catalog->commitment_names, index,
                                    &loader->commitment_name_capacity, sizeof *names);
    names[index] = text_copy(loader->arena, name);
    (void)map_put(&loader->commitment_by_name, names[index], index);
    catalog->commitment_names = names;
    return catalog->commitment_name_count++;
}

/* ---- the step ---- */

static uint32_t find_offering(struct loader *loader, const struct yaml_node *node)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return NONE;
    }
    return find_name(loader, node, &loader->offering_by_name, loader->offering_names,
                     loader->offerings.count, "offering");
}

/* All covers of an offering share what is left of a turn. */
static void note_cover(struct work *work, const struct yaml_node *node, uint32_t offering)
{
    const struct step **first = &work->loader->offering_covers[offering];
    if (*first == NULL) {
        struct step *kept = arena_alloc(work->loader->arena, sizeof *kept);
        *kept = *work->step;
        *first = kept;
    } else if (!step_has_same_clock(*first, work->step)) {
        COMPLAIN(work->loader, node, "CLOCK_DIFFERS",
                 TEXT("give all covers of an offering one clock, or put two offerings"),
                 "another cover of %.*s, on line %u, has another clock", TEXT_ARG(node->text),
                 (*first)->place.line);
    }
}

/* Units have no rate, so a row saves all that it costs, and an order by that is none. */
static void check_savings(struct loader *loader, const struct yaml_node *order, uint32_t offering,
                          const struct cover_pass *pass)
{
    const struct yaml_node *unit = yaml_member(loader->offerings.items[offering], "unit");
    bool is_amount =
        unit != NULL && unit->kind == YAML_TEXT && text_equal(unit->text, TEXT("amount"));
    for (uint32_t i = 0; i < pass->order_count && !is_amount; i++) {
        size_t count = 0;
        const struct expr *expr = pass->order[i].expr; /* NULL of one that is wrong */
        const uint32_t *slots = expr ? expr_slots(expr, &count) : NULL;
        for (size_t k = 0; k < count; k++) {
            if (slots[k] == NAME_SAVINGS) {
                COMPLAIN(loader, order, "CHOOSE_ONE", TEXT("order: [-list] is the dearest first"),
                         "savings are of commitments of money");
                return;
            }
        }
    }
}

static void read_pass(struct work *work, const struct yaml_node *node, struct cover_pass *pass)
{
    static const char *const keys[] = {"offering", "commitments", "for",   "where",
                                       "order",    "rank",        "whole", NULL};
    static const char *const whose[] = {"own", "group", "shared", NULL};
    struct loader *loader = work->loader;
    static const struct offering none;
    pass->offering = &none;
    pass->place = yaml_place(node);
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "a pass", keys);
    const struct yaml_node *member = want_member(loader, node, "offering");
    uint32_t offering = member == NULL ? NONE : find_offering(loader, member);
    if (offering != NONE) {
        pass->offering = &loader->catalog->offerings[offering];
        note_cover(work, member, offering);
    }
    struct expr_context of_commitment = {.kind = NAMES_BUCKET, .is_commitment = true};
    struct expr_context of_row = work->rows;
    of_row.has_usage = of_row.has_charges = false;
    of_row.has_commitment = of_row.has_savings = true;
    member = yaml_member(node, "commitments");
    if (member != NULL) {
        read_expr(loader, member, &of_commitment, EXPR_BOOL, &pass->commitments);
    }
    member = want_member(loader, node, "for");
    int choice = COVER_OWN;
    if (member != NULL && read_choice(loader, member, whose, &choice)) {
        pass->whose = (enum cover_for)choice;
    }
    member = yaml_member(node, "where");
    if (member != NULL) {
        struct expr_context where = work->rows;
        where.has_usage = false;
        read_expr(loader, member, &where, EXPR_BOOL, &pass->where);
    }
    member = yaml_member(node, "order");
    if (member != NULL) {
        read_order_keys(loader, member, &of_row, &pass->order, &pass->order_count);
        if (offering != NONE) {
            check_savings(loader, member, offering, pass);
        }
    }
    member = yaml_member(node, "rank");
    if (member != NULL) {
        read_order_keys(loader, member, &of_commitment, &pass->rank, &pass->rank_count);
    }
    member = yaml_member(node, "whole");
    if (member != NULL) {
        read_bool(loader, member, &pass->whole);
    }
}

void read_cover(struct work *work)
{
    static const char *const lines[] = {"covered", "negation", NULL};
    static const char *const late[] = {"anew", "frozen", NULL};
    struct loader *loader = work->loader;
    struct step_cover *cover = &work->step->cover;
    enum step_clock clock = work->step->clock;
    if (clock != CLOCK_RULE && clock != CLOCK_PERIOD) {
        COMPLAIN(
            loader, key(work, "clock"), "BAD_VALUE",
            TEXT("hour, day, week, month, period, or one of clocks: with a date as its anchor"),
            "a cover has the same turns for all accounts");
    }
    if (work->step->settings_at == SETTINGS_AT_ROW) {
        COMPLAIN(loader, key(work, "settings_at"), "BAD_VALUE",
                 TEXT("turn_start, turn_end or invoice, of the bill's turn"),
                 "who shares is looked up once for a bill");
    }
    cover->shows_negation = read_option(work, "lines", lines, 0) == 1;
    cover->is_frozen = read_option(work, "late", late, 0) == 1;
    loader->catalog->has_frozen = loader->catalog->has_frozen || cover->is_frozen;
    const struct yaml_node *node = own_key(work, "passes");
    if (node == NULL) {
        complain(loader->complaints, work->step->place, "MISSING_KEY",
                 TEXT("passes: [{offering: reserved, for: own}]"), "cover has no passes");
        return;
    }
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count == 0 || node->count > STEPS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "a cover has 1 to %d passes", STEPS_MAX);
        return;
    }
    struct cover_pass *passes = arena_calloc(loader->arena, node->count, sizeof *passes);
    for (uint32_t i = 0; i < node->count; i++) {
        read_pass(work, &node->items[i], &passes[i]);
    }
    cover->passes = passes;
    cover->pass_count = node->count;
}

bool cover_lines_are_fine(const struct step *step, enum grain grain)
{
    bool is_long = step->clock == CLOCK_PERIOD || step->rule.every >= EVERY_MONTH;
    return grain != GRAIN_MONTH || is_long;
}

/* What stays as it was billed is read off the lines of bills. */
void check_frozen_covers(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    for (uint32_t p = 0; p < catalog->price_count && catalog->has_frozen; p++) {
        const struct price *price = &catalog->prices[p];
        for (uint32_t i = 0; i < price->step_count; i++) {
            const struct step *step = &price->steps[i];
            if (step->kind == STEP_COVER && step->cover.is_frozen &&
                !cover_lines_are_fine(step, price->grain)) {
                complain(loader->complaints, price->place, "FROZEN_GRAIN", TEXT("grain: hour"),
                         "the cover %.*s is frozen, and lines by the month do not say which turns "
                         "were covered",
                         TEXT_ARG(step->name));
            }
        }
    }
}

/* ---- offerings ---- */

static bool read_cost(struct loader *loader, const struct yaml_node *map, const char *name,
                      const struct expr_context *context, struct number *number)
{
    const struct yaml_node *node = yaml_member(map, name);
    if (node == NULL || !read_number(loader, node, context, number)) {
        return false;
    }
    if (number->expr == NULL && dec_sign(number->value) < 0) {
        COMPLAIN(loader, node, "NEGATIVE", NO_HINT, "%s must not be negative", name);
    }
    return true;
}

/* A row that takes nothing of a commitment would be covered without end. */
static void check_rate(struct loader *loader, const struct yaml_node *node, struct dec number,
                       bool is_percent)
{
    if (is_percent && dec_compare(number, dec_from_int(100)) >= 0) {
        COMPLAIN(loader, node, "BAD_VALUE", TEXT("percent: 28 is 28 % off the list rate"),
                 "nothing is left of the list rate");
    } else if (!is_percent && dec_sign(number) <= 0) {
        COMPLAIN(loader, node, "NOT_POSITIVE", NO_HINT, "rate must be greater than zero");
    }
}

/* What each row takes of a commitment. */
static void read_takes(struct loader *loader, const struct yaml_node *node,
                       struct offering *offering)
{
    struct expr_context context = {.kind = NAMES_ROW, .has_turn = true, .has_commitment = true};
    const struct yaml_node *eligible = yaml_member(node, "eligible");
    const struct yaml_node *weight = yaml_member(node, "weight");
    const struct yaml_node *rate = yaml_member(node, "rate");
    const struct yaml_node *percent = yaml_member(node, "percent");
    struct dec number;
    if (eligible != NULL) {
        read_expr(loader, eligible, &context, EXPR_BOOL, &offering->eligible);
    }
    if (weight != NULL && offering->is_amount) {
        COMPLAIN(loader, weight, "CHOOSE_ONE", TEXT("leave weight out"),
                 "of money a row takes its rate: weight is for unit: quantity");
    } else if (weight != NULL && read_row_number(loader, weight, &context, &offering->weight) &&
               dec_parse(weight->text, &number) == NUMBER_OK && dec_sign(number) <= 0) {
        COMPLAIN(loader, weight, "NOT_POSITIVE", NO_HINT, "weight must be greater than zero");
    }
    if ((rate != NULL || percent != NULL) && !offering->is_amount) {
        COMPLAIN(loader, rate != NULL ? rate : percent, "CHOOSE_ONE", TEXT("unit: amount"),
                 "rates are for commitments of money");
    } else if (rate != NULL && percent != NULL) {
        COMPLAIN(loader, percent, "CHOOSE_ONE", NO_HINT, "rate or percent, not both");
    } else if (rate != NULL || percent != NULL) {
        const struct yaml_node *of = rate != NULL ? rate : percent;
        offering->is_percent = rate == NULL;
        if (read_row_number(loader, of, &context, &offering->rate) &&
            dec_parse(of->text, &number) == NUMBER_OK) {
            check_rate(loader, of, number, offering->is_percent);
        }
    } else if (offering->is_amount) {
        complain(loader->complaints, offering->place, "MISSING_KEY",
                 TEXT("rate: 'lookup(\"rates\", sku)', or percent: 28 off the list rate"),
                 "money is committed at rates, and none is given");
    }
}

/* Whether a row whose own rate is lower than the offering's takes that. */
static void read_best(struct loader *loader, const struct yaml_node *node,
                      struct offering *offering)
{
    static const char *const whose[] = {"buyer", NULL};
    const struct yaml_node *best = yaml_member(node, "best");
    int choice = 0;
    if (best == NULL || !read_choice(loader, best, whose, &choice)) {
        return;
    }
    offering->takes_better = true;
    if (!offering->is_amount) {
        COMPLAIN(loader, best, "CHOOSE_ONE", TEXT("unit: amount"),
                 "the better of two rates is for commitments of money");
    }
}

/* Fees and the unused part are named after steps that no row meets. */
static void make_steps(struct loader *loader, const struct yaml_node *node, uint32_t index,
                       struct offering *offering)
{
    static const char *const names[FEE_STEPS] = {"recurring", "upfront", "unused"};
    struct step clock = {.clock = CLOCK_RULE, .rule = clock_calendar(EVERY_HOUR, loader->zone)};
    const struct step *cover = loader->offering_covers[index];
    const struct yaml_node *member = yaml_member(node, "clock");
    if (cover != NULL) {
        clock.clock = cover->clock;
        clock.rule = cover->rule;
    }
    if (member != NULL) {
        struct step own = clock;
        read_step_clock(loader, member, &own);
        if (own.clock != CLOCK_RULE && own.clock != CLOCK_PERIOD) {
            COMPLAIN(loader, member, "BAD_VALUE", TEXT("hour, day, month, period"),
                     "an offering has the same turns for all accounts");
        } else if (cover != NULL && !step_has_same_clock(cover, &own)) {
            COMPLAIN(loader, member, "CLOCK_DIFFERS", TEXT("leave clock out here"),
                     "the cover of it on line %u has another clock", cover->place.line);
        } else {
            clock = own;
        }
    }
    for (int i = 0; i < FEE_STEPS; i++) {
        offering->steps[i] = (struct step){.kind = STEP_COVER,
                                           .name = text_of(names[i]),
                                           .shared = NONE,
                                           .clock = clock.clock,
                                           .rule = clock.rule,
                                           .place = offering->place};
    }
    offering->fees = (struct price){.name = offering->name,
                                    .from = INSTANT_MIN,
                                    .to = INSTANT_MAX,
                                    .grain = GRAIN_MONTH,
                                    .steps = offering->steps,
                                    .step_count = FEE_STEPS,
                                    .place = offering->place};
}

static void load_offering(struct loader *loader, const struct yaml_node *node, uint32_t index,
                          struct offering *offering)
{
    static const char *const keys[] = {"unit",    "clock", "capacity", "eligible",
                                       "weight",  "rate",  "percent",  "recurring",
                                       "upfront", "best",  NULL};
    static const char *const units[] = {"quantity", "amount", NULL};
    offering->name = node->key;
    offering->place = yaml_key_place(node);
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    (void)check_name(loader, offering->place, offering->name);
    check_keys(loader, node, "an offering", keys);
    struct expr_context context = {.kind = NAMES_BUCKET, .has_turn = true, .has_commitment = true};
    int unit = 0;
    if (yaml_member(node, "unit") != NULL) {
        read_choice(loader, yaml_member(node, "unit"), units, &unit);
    }
    offering->is_amount = unit == 1;
    offering->has_capacity = read_cost(loader, node, "capacity", &context, &offering->capacity);
    offering->has_recurring = read_cost(loader, node, "recurring", &context, &offering->recurring);
    offering->has_upfront = read_cost(loader, node, "upfront", &context, &offering->upfront);
    if (loader->offering_covers[index] != NULL && yaml_member(node, "capacity") == NULL) {
        complain(loader->complaints, offering->place, "MISSING_KEY",
                 TEXT("capacity: commitment.count"),
                 "a cover names %.*s, and it does not say how much it covers in a turn",
                 TEXT_ARG(offering->name));
    }
    read_takes(loader, node, offering);
    read_best(loader, node, offering);
    make_steps(loader, node, index, offering);
}

void load_offerings(struct loader *loader)
{
    struct offering *offerings = (struct offering *)loader->catalog->offerings; /* this loader's */
    for (uint32_t i = 0; i < loader->offerings.count; i++) {
        load_offering(loader, loader->offerings.items[i], i, &offerings[i]);
    }
}

/* ---- commitments ---- */

/* Numbers that stand in quotes are numbers where only numbers are meant. */
static bool is_number_name(struct text name)
{
    static const char *const names[] = {"count", "amount", "recurring", "upfront"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (text_equal(name, text_of(names[i]))) {
            return true;
        }
    }
    return false;
}

static void read_attribute(struct loader *loader, const struct yaml_node *node,
                           struct expr_value *values)
{
    struct expr_value value;
    struct dec number;
    if (!want_kind(loader, node, YAML_TEXT)) {
        return;
    }
    if (is_number_name(node->key)) {
        if (!read_plain_number(loader, node, &number)) {
            return;
        }
        if (dec_sign(number) < 0) {
            COMPLAIN(loader, node, "NEGATIVE", NO_HINT, "%.*s must not be negative",
                     TEXT_ARG(node->key));
        }
        value = expr_number(number);
    } else if (!read_value(loader, node, &value)) {
        return;
    }
    uint32_t name = map_find(&loader->commitment_by_name, node->key);
    if (value.type == EXPR_TEXT && dec_parse(value.text, &number) == NUMBER_OK) {
        value = expr_number(number); /* in quotes or not, as in records */
    }
    if (name != MAP_NONE) {
        values[name] = value;
    }
}

static bool is_fixed_key(struct text key)
{
    return text_equal(key, TEXT("id")) || text_equal(key, TEXT("offering")) ||
           text_equal(key, TEXT("account")) || text_equal(key, TEXT("from")) ||
           text_equal(key, TEXT("to"));
}

static bool read_commitment(struct loader *loader, const struct yaml_node *node, struct text buyer,
                            struct commitment *commitment)
{
    const struct catalog *catalog = loader->catalog;
    commitment->place = yaml_place(node);
    if (!want_kind(loader, node, YAML_MAP)) {
        return false;
    }
    const struct yaml_node *id = want_member(loader, node, "id");
    const struct yaml_node *offering = want_member(loader, node, "offering");
    const struct yaml_node *account = yaml_member(node, "account");
    commitment->account = buyer;
    read_dates(loader, node, &commitment->from, &commitment->to);
    commitment->offering = offering == NULL ? NONE : find_offering(loader, offering);
    if (commitment->offering == NONE || id == NULL || !read_name(loader, id, &commitment->id) ||
        (account != NULL && !read_name(loader, account, &commitment->account))) {
        return false;
    }
    struct expr_value *values =
        arena_calloc(loader->arena, catalog->commitment_name_count, sizeof *values);
    for (uint32_t i = 0; i < node->count; i++) {
        if (!is_fixed_key(node->items[i].key)) {
            read_attribute(loader, &node->items[i], values);
        }
    }
    commitment_fill(catalog, commitment, values);
    return true;
}

void commitment_fill(const struct catalog *catalog, struct commitment *commitment,
                     struct expr_value *values)
{
    for (uint32_t i = 0; i < catalog->commitment_name_count; i++) {
        struct text name = catalog->commitment_names[i];
        if (text_equal(name, TEXT("id"))) {
            values[i] = expr_text(commitment->id);
        } else if (text_equal(name, TEXT("account"))) {
            values[i] = expr_text(commitment->account);
        } else if (text_equal(name, TEXT("from"))) {
            values[i] = expr_time(commitment->from);
        } else if (text_equal(name, TEXT("to"))) {
            values[i] = expr_time(commitment->to);
        }
    }
    commitment->values = values;
}

static uint32_t view_of(const struct catalog *catalog, const struct place *place)
{
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct contract *contract = &catalog->contracts[i];
        if (contract->place.line == place->line && contract->place.column == place->column &&
            text_equal(contract->place.file, place->file)) {
            return contract->view;
        }
    }
    return NONE;
}

void load_commitments(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    uint32_t count = 0;
    for (uint32_t i = 0; i < loader->commitment_count; i++) {
        count += loader->commitments[i].node->count;
    }
    struct commitment *commitments = arena_calloc(loader->arena, count, sizeof *commitments);
    for (uint32_t i = 0; i < loader->commitment_count; i++) {
        const struct contract_commitments *of = &loader->commitments[i];
        for (uint32_t k = 0; k < of->node->count; k++) {
            struct commitment *commitment = &commitments[catalog->commitment_count];
            commitment->view = view_of(catalog, &of->contract);
            catalog->commitment_count +=
                read_commitment(loader, &of->node->items[k], of->buyer, commitment);
        }
    }
    catalog->commitments = commitments;
}
