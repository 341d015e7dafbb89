/* price.c - prices, and who has them: plans, contracts, and the accounts that stand in the YAML.
 *
 * All prices, of every level, go into one array sorted by (level, name, from), so a level's own
 * prices are a range, and versions of a price stand together.  A plan or contract names prices of
 * the catalog or writes its own.
 */
#include "catalog/load.h"

#include <stdlib.h>

#include "base/nofloat.h"

/* ---- a price ---- */

static int compare_texts(const void *a, const void *b)
{
    const struct text *left = a, *right = b;
    return text_compare(*left, *right);
}

static int compare_indices(const void *a, const void *b)
{
    const uint32_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void read_skus(struct loader *loader, const struct yaml_node *node, struct price *price)
{
    bool is_list = node->kind == YAML_LIST;
    uint32_t count = is_list ? node->count : 1;
    if (!is_list && !want_kind(loader, node, YAML_TEXT)) {
        return;
    }
    if (!is_list && text_equal(node->text, TEXT("*"))) {
        return;
    }
    if (count == 0) {
        COMPLAIN(loader, node, "MISSING_KEY", TEXT("a name, a list of names or '*'"),
                 "the list of SKUs is empty");
    }
    uint32_t *skus = arena_calloc(loader->arena, count + 1u, sizeof *skus);
    for (uint32_t i = 0; i < count; i++) {
        const struct yaml_node *item = is_list ? &node->items[i] : node;
        if (item->kind != YAML_TEXT) {
            want_kind(loader, item, YAML_TEXT);
            continue;
        }
        uint32_t sku = map_find(&loader->catalog->sku_by_name, item->text);
        if (sku == MAP_NONE) { /* no name: a complaint says so */
            continue;
        }
        for (uint32_t k = 0; k < price->sku_count; k++) {
            if (skus[k] == sku) {
                COMPLAIN(loader, item, "DUPLICATE_NAME", NO_HINT, "%.*s stands twice",
                         TEXT_ARG(item->text));
                sku = MAP_NONE;
                break;
            }
        }
        if (sku != MAP_NONE) {
            skus[price->sku_count++] = sku;
        }
    }
    qsort(skus, price->sku_count, sizeof *skus, compare_indices);
    price->skus = skus;
}

/* An attribute that is a number is compared as one: 4.0 is 4. */
static struct text selector_value(struct loader *loader, struct by_key key, struct text value)
{
    struct dec number;
    if (key.kind != BY_ATTRIBUTE || loader->attribute_types[key.index] != EXPR_NUMBER ||
        dec_parse(value, &number) != NUMBER_OK) {
        return value;
    }
    char *out = arena_alloc(loader->arena, DEC_FORMAT_MAX);
    return (struct text){out, (size_t)dec_format(number, out)};
}

static void read_selector(struct loader *loader, const struct yaml_node *node,
                          struct selector *selector)
{
    bool is_list = node->kind == YAML_LIST;
    uint32_t count = is_list ? node->count : 1;
    if (count == 0) {
        COMPLAIN(loader, node, "MISSING_KEY", NO_HINT, "the list of values is empty");
    }
    struct text *values = arena_calloc(loader->arena, count, sizeof *values);
    for (uint32_t i = 0; i < count; i++) {
        const struct yaml_node *item = is_list ? &node->items[i] : node;
        if (want_kind(loader, item, YAML_TEXT)) {
            values[selector->value_count++] = selector_value(loader, selector->key, item->text);
        }
    }
    if (selector->value_count > 0) {
        qsort(values, selector->value_count, sizeof *values, compare_texts);
    }
    for (uint32_t i = 1; i < selector->value_count; i++) {
        if (text_equal(values[i], values[i - 1])) {
            COMPLAIN(loader, node, "DUPLICATE_NAME", NO_HINT, "%.*s stands twice",
                     TEXT_ARG(values[i]));
            break;
        }
    }
    selector->values = values;
}

static void read_selectors(struct loader *loader, const struct yaml_node *node, struct price *price)
{
    if (node->kind == YAML_TEXT) {
        COMPLAIN(loader, node, "WRONG_TYPE", TEXT("where: {region: eu}, or {region: [eu, us]}"),
                 "a price is selected by values of dimensions, not by an expression");
        return;
    }
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    if (node->count > TABLE_KEYS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "at most %d dimensions select a price",
                 TABLE_KEYS_MAX);
        return;
    }
    struct selector *selectors = arena_calloc(loader->arena, node->count, sizeof *selectors);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        struct selector *selector = &selectors[price->selector_count];
        struct yaml_node name = *item; /* the key, read as a text */
        name.kind = YAML_TEXT;
        name.text = item->key;
        name.line = item->key_line;
        name.column = item->key_column;
        if (!read_by_key(loader, &name, &selector->key)) {
            continue;
        }
        if (selector->key.kind != BY_DIMENSION && selector->key.kind != BY_ATTRIBUTE) {
            COMPLAIN(loader, &name, "BAD_VALUE", TEXT("use the key sku, or a shared step's where"),
                     "a price is selected by dimensions and attributes, not by %.*s",
                     TEXT_ARG(item->key));
            continue;
        }
        read_selector(loader, item, selector);
        price->selector_count++;
    }
    price->selectors = selectors;
}

/* storage, or storage[region=eu], or * . */
static struct text default_name(struct loader *loader, const struct price *price)
{
    const struct catalog *catalog = loader->catalog;
    struct buffer out;
    buffer_init(&out, loader->arena, 64);
    buffer_add_text(&out, price->skus == NULL     ? TEXT("*")
                          : price->sku_count == 0 ? TEXT("?")
                                                  : catalog->skus[price->skus[0]].name);
    if (price->sku_count > 1) {
        buffer_format(&out, "+%u", price->sku_count - 1);
    }
    for (uint32_t i = 0; i < price->selector_count; i++) {
        const struct selector *selector = &price->selectors[i];
        struct text name = by_key_name(catalog, selector->key);
        buffer_format(&out, "%s%.*s=", i == 0 ? "[" : ",", TEXT_ARG(name));
        for (uint32_t v = 0; v < selector->value_count; v++) {
            buffer_format(&out, "%s%.*s", v == 0 ? "" : "|", TEXT_ARG(selector->values[v]));
        }
    }
    if (price->selector_count > 0) {
        buffer_add_char(&out, ']');
    }
    return buffer_text(&out);
}

/* A print of what the price says, whatever the order of its keys, but for its name and dates. */
static void hash_content(struct loader *loader, const struct yaml_node *node, struct price *price)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        if (price->steps[i].on_change_restart) {
            return;
        }
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        if (text_equal(item->key, TEXT("from")) || text_equal(item->key, TEXT("to")) ||
            text_equal(item->key, TEXT("name")) || text_equal(item->key, TEXT("public")) ||
            (item->kind == YAML_MAP && item->count == 0)) {
            continue;
        }
        struct buffer content;
        buffer_init(&content, loader->arena, 256);
        buffer_add_json(&content, item->key);
        yaml_write_canonical(item, loader->arena, &content);
        struct text text = buffer_text(&content);
        price->content = hash_add(price->content, hash_print(text.at, text.size));
    }
    price->has_content = true;
}

/* What is read from here on is in it; without one, in what is around. */
static void read_own_currency(struct loader *loader, const struct yaml_node *node,
                              const struct currency **currency)
{
    const struct yaml_node *member = yaml_member(node, "currency");
    if (member != NULL && read_currency(loader, member, &loader->currency)) {
        loader->catalog->has_currencies = true;
    }
    *currency = loader->currency;
}

static void read_price(struct loader *loader, const struct yaml_node *node, uint32_t level)
{
    static const char *const keys[] = {"sku",   "name",  "where",      "from",   "to",       "list",
                                       "grain", "steps", "components", "public", "currency", NULL};
    static const char *const grains[] = {"month", "hour", "event", NULL};
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "a price", keys);
    loader->drafts = grow_array(loader, loader->drafts, loader->draft_count,
                                &loader->draft_capacity, sizeof *loader->drafts);
    struct draft *draft = &loader->drafts[loader->draft_count++];
    *draft = (struct draft){.level = level, .is_public = level == 0};
    struct price *price = &draft->price;
    price->place = yaml_place(node);
    const struct yaml_node *member = want_member(loader, node, "sku");
    if (member != NULL) {
        read_skus(loader, member, price);
    }
    member = yaml_member(node, "where");
    if (member != NULL) {
        read_selectors(loader, member, price);
    }
    price->name = default_name(loader, price);
    member = yaml_member(node, "name");
    if (member != NULL) {
        read_name(loader, member, &price->name);
    }
    read_dates(loader, node, &price->from, &price->to);
    member = yaml_member(node, "list");
    if (member != NULL) {
        price->has_list = read_dec(loader, member, &price->list);
    }
    int grain = GRAIN_MONTH;
    member = yaml_member(node, "grain");
    if (member != NULL) {
        read_choice(loader, member, grains, &grain);
    }
    price->grain = (enum grain)grain;
    member = yaml_member(node, "public");
    if (member != NULL) {
        if (level != 0) {
            complain(loader->complaints, yaml_key_place(member), "UNKNOWN_KEY", NO_HINT,
                     "a price that stands in a plan or contract is its own: it has no key public");
        }
        read_bool(loader, member, &draft->is_public);
    }
    const struct currency *of_level = loader->currency;
    read_own_currency(loader, node, &price->currency);
    const struct yaml_node *components = yaml_member(node, "components");
    member = components ? yaml_member(node, "steps") : want_member(loader, node, "steps");
    if (components != NULL && price->has_list) {
        complain(loader->complaints, yaml_key_place(yaml_member(node, "list")), "CHOOSE_ONE",
                 NO_HINT, "a list rate is of one list of steps, and here are components");
    }
    if (components != NULL || member != NULL) {
        load_steps(loader, member, components, price);
    }
    loader->currency = of_level;
    bool is_dated = price->from != INSTANT_MIN || price->to != INSTANT_MAX;
    if (is_dated || loader->has_contracts) { /* else nothing takes its place */
        hash_content(loader, node, price);
    }
}

/* The `prices:` of a plan or contract. */
static void read_level(struct loader *loader, const struct yaml_node *owner, uint32_t level)
{
    const struct yaml_node *node = yaml_member(owner, "prices");
    if (node == NULL || !want_kind(loader, node, YAML_LIST)) {
        return;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        if (item->kind != YAML_TEXT) {
            read_price(loader, item, level);
            continue;
        }
        loader->named = grow_array(loader, loader->named, loader->named_count,
                                   &loader->named_capacity, sizeof *loader->named);
        loader->named[loader->named_count++] = (struct named_price){level, item};
    }
}

/* ---- plans and contracts ---- */

static void read_plan(struct loader *loader, const struct yaml_node *node, struct plan *plan,
                      uint32_t level)
{
    static const char *const keys[] = {"prices", "terms", "currency", NULL};
    plan->name = node->key;
    plan->place = yaml_key_place(node);
    if (want_kind(loader, node, YAML_MAP)) {
        check_keys(loader, node, "a plan", keys);
        read_own_currency(loader, node, &plan->terms.currency);
        load_terms(loader, yaml_member(node, "terms"), &plan->terms);
        read_level(loader, node, level);
        loader->currency = loader->catalog->currency;
    }
}

static void read_parameters(struct loader *loader, const struct yaml_node *node,
                            struct contract *contract)
{
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    struct parameter *parameters = arena_calloc(loader->arena, node->count, sizeof *parameters);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        uint32_t name = map_find(&loader->parameter_by_name, item->key);
        struct parameter *parameter = &parameters[contract->parameter_count];
        if (name != MAP_NONE && read_value(loader, item, &parameter->value)) {
            parameter->name = name;
            contract->parameter_count++;
        }
    }
    contract->parameters = parameters;
}

static void read_contract_billing(struct loader *loader, const struct yaml_node *node,
                                  struct contract *contract)
{
    bool at_account = false;
    load_billing(loader, node, &contract->billing, &contract->billing_at_start, &at_account,
                 &contract->thresholds);
    load_late_periods(loader, node, false);
    contract->has_billing = true;
    loader->catalog->has_contract_billing = true;
    if (at_account) {
        COMPLAIN(loader, node, "BAD_VALUE", TEXT("anchor: contract, calendar or a date"),
                 "a contract's bills cannot begin with the account");
    }
}

static void read_accounts_of(struct loader *loader, const struct yaml_node *node,
                             struct contract *contract)
{
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count == 0) {
        COMPLAIN(loader, node, "MISSING_KEY", TEXT("accounts: [globex, initech]"),
                 "the list of accounts is empty");
    }
    struct text *accounts = arena_calloc(loader->arena, node->count + 1u, sizeof *accounts);
    for (uint32_t i = 0; i < node->count; i++) {
        contract->account_count +=
            read_name(loader, &node->items[i], &accounts[contract->account_count]);
    }
    if (contract->account_count > 0) {
        qsort(accounts, contract->account_count, sizeof *accounts, compare_texts);
    }
    for (uint32_t i = 1; i < contract->account_count; i++) {
        if (text_equal(accounts[i], accounts[i - 1])) {
            COMPLAIN(loader, node, "DUPLICATE_NAME", NO_HINT, "%.*s stands twice",
                     TEXT_ARG(accounts[i]));
        }
    }
    contract->accounts = accounts;
}

/* Who sells to whom, and what.  A group of accounts that pays together needs no name besides its
 * contract's. */
static void read_parties(struct loader *loader, const struct yaml_node *node,
                         struct contract *contract)
{
    const struct yaml_node *accounts = yaml_member(node, "accounts");
    const struct yaml_node *seller = yaml_member(node, "seller");
    const struct yaml_node *buyer = yaml_member(node, "buyer");
    if (buyer == NULL) {
        buyer = accounts != NULL ? yaml_member(node, "id") : NULL;
        buyer = buyer == NULL ? want_member(loader, node, "buyer") : buyer;
    }
    if (buyer != NULL) {
        read_name(loader, buyer, &contract->buyer);
    }
    contract->seller = TEXT("");
    if (seller != NULL) {
        read_name(loader, seller, &contract->seller);
        if (contract->buyer.size > 0 && text_equal(contract->seller, contract->buyer)) {
            COMPLAIN(loader, seller, "BAD_VALUE", NO_HINT, "%.*s sells to itself",
                     TEXT_ARG(contract->buyer));
        }
    }
    if (accounts != NULL) {
        read_accounts_of(loader, accounts, contract);
    }
    const struct yaml_node *source = yaml_member(node, "source");
    const struct yaml_node *billing = yaml_member(node, "billing");
    if (source != NULL && billing != NULL) {
        COMPLAIN(loader, billing, "CHOOSE_ONE", TEXT("leave billing out"),
                 "what is priced by the charges of another contract is billed when they are");
    }
    if (source != NULL && read_name(loader, source, &contract->source_id)) {
        contract->source_place = yaml_place(source);
    }
    bool is_view = accounts != NULL || source != NULL;
    loader->catalog->view_count += is_view;
    loader->catalog->has_sellers = loader->catalog->has_sellers || is_view || seller != NULL;
    contract->view = is_view ? 0 : NONE; /* numbered when all are sorted */
}

/* What a contract with a source charges for charges that no price of its own takes: what they cost.
 */
static void add_cost(struct loader *loader, const struct contract *contract, uint32_t level)
{
    for (uint32_t i = 0; i < loader->draft_count; i++) {
        const struct draft *draft = &loader->drafts[i];
        if (draft->level == level && text_equal(draft->price.name, TEXT("cost"))) {
            complain(loader->complaints, draft->price.place, "DUPLICATE_NAME",
                     TEXT("give it another name:"),
                     "charges that no price takes have a price named cost");
        }
    }
    loader->drafts = grow_array(loader, loader->drafts, loader->draft_count,
                                &loader->draft_capacity, sizeof *loader->drafts);
    struct step *step = arena_calloc(loader->arena, 1, sizeof *step);
    struct rate_case *rate = arena_calloc(loader->arena, 1, sizeof *rate);
    rate->rate.value = dec_from_int(1);
    *step = (struct step){.kind = STEP_RATE,
                          .name = TEXT("rate"),
                          .shared = NONE,
                          .scope = SCOPE_ACCOUNT,
                          .clock = CLOCK_PERIOD,
                          .place = contract->place,
                          .rate = {.cases = rate, .case_count = 1}};
    loader->drafts[loader->draft_count++] = (struct draft){.level = level,
                                                           .is_cost = true,
                                                           .price = {.name = TEXT("cost"),
                                                                     .from = INSTANT_MIN,
                                                                     .to = INSTANT_MAX,
                                                                     .grain = GRAIN_MONTH,
                                                                     .steps = step,
                                                                     .step_count = 1,
                                                                     .place = contract->place}};
}

static void read_contract(struct loader *loader, const struct yaml_node *node,
                          struct contract *contract, uint32_t level)
{
    static const char *const keys[] = {"id",          "seller",
                                       "buyer",       "accounts",
                                       "source",      "from",
                                       "to",          "plan",
                                       "prices",      "terms",
                                       "billing",     "parameters",
                                       "currency",    "settlement_currency",
                                       "commitments", "rounding",
                                       NULL};
    contract->place = yaml_place(node);
    contract->plan = contract->source = contract->view = contract->cost = NONE;
    contract->to = INSTANT_MAX;
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "a contract", keys);
    read_parties(loader, node, contract);
    read_dates(loader, node, &contract->from, &contract->to);
    const struct yaml_node *member;
    member = yaml_member(node, "id");
    contract->id = contract->buyer;
    if (member != NULL) {
        read_name(loader, member, &contract->id);
    } else if (contract->from != INSTANT_MIN) {
        struct civil from = zone_civil(loader->zone, contract->from);
        contract->id = text_format(loader->arena, "%.*s@%04d-%02d-%02d", TEXT_ARG(contract->buyer),
                                   from.year, from.month, from.day);
    }
    member = yaml_member(node, "plan");
    if (member != NULL) {
        contract->plan = find_name(loader, member, &loader->plan_by_name, loader->plan_names,
                                   loader->catalog->plan_count, "plan");
    }
    member = yaml_member(node, "parameters");
    if (member != NULL) {
        read_parameters(loader, member, contract);
    }
    member = yaml_member(node, "billing");
    if (member != NULL) {
        read_contract_billing(loader, member, contract);
    }
    member = yaml_member(node, "commitments");
    if (member != NULL && want_kind(loader, member, YAML_LIST)) {
        loader->commitments = grow_array(loader, loader->commitments, loader->commitment_count,
                                         &loader->commitment_capacity, sizeof *loader->commitments);
        loader->commitments[loader->commitment_count++] =
            (struct contract_commitments){member, contract->place, contract->buyer};
    }
    read_own_currency(loader, node, &contract->terms.currency);
    if (yaml_member(node, "currency") != NULL) {
        contract->currency = loader->currency;
        loader->catalog->has_contract_currencies = true;
    }
    member = yaml_member(node, "settlement_currency");
    if (member != NULL && read_currency(loader, member, &contract->settlement)) {
        loader->catalog->has_currencies = true;
    }
    member = yaml_member(node, "rounding");
    if (member != NULL) {
        struct line_rounding *rounding = arena_calloc(loader->arena, 1, sizeof *rounding);
        *rounding = loader->catalog->rounding;
        read_line_rounding(loader, member, rounding);
        contract->rounding = rounding;
    }
    load_terms(loader, yaml_member(node, "terms"), &contract->terms);
    read_level(loader, node, level);
    if (yaml_member(node, "source") != NULL) {
        add_cost(loader, contract, level);
    }
    loader->currency = loader->catalog->currency;
}

/* ---- all prices, sorted; the sets of each level ---- */

static int compare_drafts(const void *a, const void *b)
{
    const struct draft *left = a, *right = b;
    if (left->level != right->level) {
        return left->level < right->level ? -1 : 1;
    }
    int order = text_compare(left->price.name, right->price.name);
    if (order == 0 && left->price.from != right->price.from) {
        order = left->price.from < right->price.from ? -1 : 1;
    }
    if (order == 0) {
        order = text_compare(left->price.place.file, right->price.place.file);
    }
    if (order == 0 && left->price.place.line != right->price.place.line) {
        order = left->price.place.line < right->price.place.line ? -1 : 1;
    }
    if (order == 0) {
        order = (left->price.place.column > right->price.place.column) -
                (left->price.place.column < right->price.place.column);
    }
    return order;
}

/* Versions of the catalog's price of that name: [*from, *to). */
static bool find_versions(const struct loader *loader, struct text name, uint32_t *from,
                          uint32_t *to)
{
    uint32_t low = 0, high = loader->draft_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct draft *draft = &loader->drafts[middle];
        if (draft->level == 0 && text_compare(draft->price.name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *from = *to = low;
    while (*to < loader->draft_count && loader->drafts[*to].level == 0 &&
           text_equal(loader->drafts[*to].price.name, name)) {
        (*to)++;
    }
    return *from < *to;
}

static void complain_of_price_name(struct loader *loader, const struct yaml_node *node)
{
    struct text *names = arena_calloc(loader->arena, loader->draft_count, sizeof *names);
    uint32_t count = 0;
    for (uint32_t i = 0; i < loader->draft_count && loader->drafts[i].level == 0; i++) {
        if (count == 0 || !text_equal(names[count - 1], loader->drafts[i].price.name)) {
            names[count++] = loader->drafts[i].price.name;
        }
    }
    COMPLAIN(loader, node, "UNKNOWN_NAME", hint_nearest(loader->arena, node->text, names, count),
             "the catalog has no price %.*s", TEXT_ARG(node->text));
}

/* named is sorted by level, since plans and contracts were read in order. */
static struct price_set make_set(struct loader *loader, uint32_t level, uint32_t *draft_at,
                                 uint32_t *named_at)
{
    uint32_t own_first = *draft_at;
    while (*draft_at < loader->draft_count && loader->drafts[*draft_at].level == level) {
        (*draft_at)++;
    }
    uint32_t capacity = *draft_at - own_first, count = 0;
    uint32_t *prices = arena_calloc(loader->arena, capacity, sizeof *prices);
    for (uint32_t i = own_first; i < *draft_at; i++) {
        if ((level != 0 || loader->drafts[i].is_public) && !loader->drafts[i].is_cost) {
            prices[count++] = i;
        }
    }
    for (; *named_at < loader->named_count && loader->named[*named_at].level == level;
         (*named_at)++) {
        const struct yaml_node *node = loader->named[*named_at].node;
        uint32_t from, to;
        if (!find_versions(loader, node->text, &from, &to)) {
            complain_of_price_name(loader, node);
        }
        for (uint32_t i = from; i < to; i++) {
            prices = grow_array(loader, prices, count, &capacity, sizeof *prices);
            prices[count++] = i;
        }
    }
    /* Indices of the catalog's prices are below those of all levels: sorted, they are in (level,
     * name, from) order. */
    if (count > 0) {
        qsort(prices, count, sizeof *prices, compare_indices);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || prices[kept - 1] != prices[i]) {
            prices[kept++] = prices[i];
        }
    }
    return (struct price_set){.base = loader->catalog->prices, .prices = prices, .count = kept};
}

static int compare_contracts(const void *a, const void *b)
{
    const struct contract *left = a, *right = b;
    int order = text_compare(left->buyer, right->buyer);
    if (order == 0 && left->from != right->from) {
        order = left->from < right->from ? -1 : 1;
    }
    return order != 0 ? order : text_compare(left->id, right->id);
}

/* All prices, sorted, so that versions are neighbours; each is that of the draft at its place. */
static struct price *take_drafts(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    if (loader->draft_count > 0) {
        qsort(loader->drafts, loader->draft_count, sizeof *loader->drafts, compare_drafts);
    }
    struct price *prices = arena_calloc(loader->arena, loader->draft_count, sizeof *prices);
    catalog->component_most = 1;
    for (uint32_t i = 0; i < loader->draft_count; i++) {
        prices[i] = loader->drafts[i].price;
        prices[i].owner = loader->drafts[i].level;
        if (prices[i].component_count > catalog->component_most) {
            catalog->component_most = prices[i].component_count;
        }
    }
    catalog->prices = prices;
    catalog->price_count = loader->draft_count;
    return prices;
}

/* What prices of contracts with a source are of, and what their sources' charges cost else. */
static void link_costs(const struct loader *loader, uint32_t plan_count, struct price *prices,
                       struct contract *contracts)
{
    for (uint32_t i = 0; i < loader->draft_count; i++) {
        const struct draft *draft = &loader->drafts[i];
        struct contract *contract =
            draft->level > plan_count ? &contracts[draft->level - 1 - plan_count] : NULL;
        prices[i].takes_money = contract && contract->source_id.size > 0;
        if (draft->is_cost) {
            contract->cost = i;
        }
    }
}

/* What the names of nodes begin with, by level: contracts are not sorted yet. */
static void name_levels(struct loader *loader, const struct plan *plans, uint32_t plan_count,
                        const struct contract *contracts, uint32_t contract_count)
{
    struct text *names =
        arena_calloc(loader->arena, 1u + plan_count + contract_count, sizeof *names);
    for (uint32_t i = 0; i < plan_count; i++) {
        names[1 + i] = text_format(loader->arena, "@plan/%.*s/", TEXT_ARG(plans[i].name));
    }
    for (uint32_t i = 0; i < contract_count; i++) {
        names[1 + plan_count + i] =
            text_format(loader->arena, "@contract/%.*s/", TEXT_ARG(contracts[i].id));
    }
    loader->level_names = names;
}

void load_prices(struct loader *loader, struct section prices, struct section plans,
                 struct section contracts)
{
    struct catalog *catalog = loader->catalog;
    loader->has_contracts = contracts.count > 0;
    for (uint32_t i = 0; i < prices.count; i++) {
        read_price(loader, prices.items[i], 0);
    }
    struct plan *plan_array = arena_calloc(loader->arena, plans.count, sizeof *plan_array);
    for (uint32_t i = 0; i < plans.count; i++) {
        read_plan(loader, plans.items[i], &plan_array[i], 1 + i);
    }
    struct contract *contract_array =
        arena_calloc(loader->arena, contracts.count, sizeof *contract_array);
    for (uint32_t i = 0; i < contracts.count; i++) {
        read_contract(loader, contracts.items[i], &contract_array[i], 1 + plans.count + i);
    }

    struct price *price_array = take_drafts(loader);
    uint32_t draft_at = 0, named_at = 0;
    catalog->public_prices = make_set(loader, 0, &draft_at, &named_at);
    for (uint32_t i = 0; i < plans.count; i++) {
        plan_array[i].prices = make_set(loader, 1 + i, &draft_at, &named_at);
    }
    for (uint32_t i = 0; i < contracts.count; i++) {
        contract_array[i].prices = make_set(loader, 1 + plans.count + i, &draft_at, &named_at);
    }
    link_costs(loader, plans.count, price_array, contract_array);
    name_levels(loader, plan_array, plans.count, contract_array, contracts.count);
    if (contracts.count > 0) {
        qsort(contract_array, contracts.count, sizeof *contract_array, compare_contracts);
    }
    for (uint32_t i = 0, view = 0; i < contracts.count; i++) {
        contract_array[i].view = contract_array[i].view == NONE ? NONE : view++;
    }
    catalog->plans = plan_array;
    catalog->contracts = contract_array;
    catalog->contract_count = contracts.count;
}

/* ---- accounts ---- */

static void read_membership(struct loader *loader, const struct yaml_node *node,
                            struct account_membership *membership)
{
    static const char *const keys[] = {"organization", "from", "to", NULL};
    *membership = (struct account_membership){.from = INSTANT_MIN, .to = INSTANT_MAX};
    if (node->kind == YAML_TEXT) {
        read_name(loader, node, &membership->organization);
    } else if (want_kind(loader, node, YAML_MAP)) {
        check_keys(loader, node, "a membership", keys);
        const struct yaml_node *name = want_member(loader, node, "organization");
        if (name != NULL) {
            read_name(loader, name, &membership->organization);
        }
        read_dates(loader, node, &membership->from, &membership->to);
    }
}

static void read_memberships(struct loader *loader, const struct yaml_node *node,
                             struct account_record *record)
{
    bool is_list = node->kind == YAML_LIST;
    uint32_t count = is_list ? node->count : 1;
    struct account_membership *memberships =
        arena_calloc(loader->arena, count, sizeof *memberships);
    for (uint32_t i = 0; i < count; i++) {
        read_membership(loader, is_list ? &node->items[i] : node, &memberships[i]);
    }
    record->memberships = memberships;
    record->membership_count = count;
}

static void add_children(struct loader *loader, const struct yaml_node *node, struct text parent)
{
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        struct account_membership *membership = arena_alloc(loader->arena, sizeof *membership);
        *membership = (struct account_membership){parent, INSTANT_MIN, INSTANT_MAX};
        struct account_record record = {
            .place = yaml_place(&node->items[i]),
            .is_implied = true,
            .since = INSTANT_MIN,
            .memberships = membership,
            .membership_count = 1,
        };
        if (read_name(loader, &node->items[i], &record.id) && parent.size > 0 &&
            loader->accounts != NULL) {
            accounts_add(loader->accounts, &record);
        }
    }
}

/* {country: DE, vat: DE123}, for a time */
static void read_customer(struct loader *loader, const struct yaml_node *node, struct text id)
{
    struct map *by_id = &loader->catalog->customer_by_id;
    loader->customers = grow_array(loader, loader->customers, loader->customer_count,
                                   &loader->customer_capacity, sizeof *loader->customers);
    struct customer *customer = &loader->customers[loader->customer_count];
    struct parameter *values = arena_calloc(loader->arena, node->count, sizeof *values);
    *customer = (struct customer){.id = id, .values = values, .next = NONE};
    read_dates(loader, node, &customer->from, &customer->to);
    for (uint32_t i = 0; i < node->count; i++) {
        uint32_t name = map_find(&loader->customer_by_name, node->items[i].key);
        struct parameter *value = &values[customer->value_count];
        if (name != MAP_NONE && !is_setting_date(&node->items[i]) &&
            read_value(loader, &node->items[i], &value->value)) {
            value->name = name;
            customer->value_count++;
        }
    }
    if (id.size == 0) {
        return;
    }
    uint32_t at = map_put(by_id, id, loader->customer_count);
    uint32_t *last = &at;
    for (; at < loader->customer_count; last = &loader->customers[at].next, at = *last) {
        const struct customer *other = &loader->customers[at];
        if (other->from < customer->to && customer->from < other->to) {
            COMPLAIN(loader, node, "SETTING_OVERLAP", TEXT("from: and to: say when each holds"),
                     "two records of taxes of %.*s hold at once", TEXT_ARG(id));
        }
        if (other->next == NONE) {
            loader->customers[at].next = loader->customer_count;
            break;
        }
    }
    loader->customer_count++;
}

/* tax: {country: DE}, or a list of such with dates. */
static void read_customers(struct loader *loader, const struct yaml_node *node, struct text id)
{
    bool is_list = node->kind == YAML_LIST;
    for (uint32_t i = 0; i < (is_list ? node->count : 1); i++) {
        const struct yaml_node *item = is_list ? &node->items[i] : node;
        if (want_kind(loader, item, YAML_MAP)) {
            read_customer(loader, item, id);
        }
    }
}

const char *const sharing_names[] = {"all", "none", "group", NULL};

/* none, {mode: none} or {group: name}, for a time */
static void read_one_sharing(struct loader *loader, const struct yaml_node *node, struct text id)
{
    static const char *const keys[] = {"mode", "group", "from", "to", NULL};
    struct map *by_id = &loader->catalog->sharing_by_id;
    struct account_sharing sharing = {.id = id, .group = TEXT(""), .next = NONE};
    sharing.from = INSTANT_MIN;
    sharing.to = INSTANT_MAX;
    const struct yaml_node *mode = node, *group = NULL;
    if (node->kind != YAML_TEXT) {
        if (!want_kind(loader, node, YAML_MAP)) {
            return;
        }
        check_keys(loader, node, "sharing", keys);
        read_dates(loader, node, &sharing.from, &sharing.to);
        mode = yaml_member(node, "mode");
        group = yaml_member(node, "group");
    }
    int choice = 0;
    if (mode != NULL && read_choice(loader, mode, sharing_names, &choice)) {
        sharing.mode = (enum sharing_mode)choice;
    }
    if (group != NULL) {
        read_name(loader, group, &sharing.group);
    }
    if (sharing.mode == SHARING_NONE && group != NULL) {
        COMPLAIN(loader, group, "CHOOSE_ONE", NO_HINT,
                 "an account that shares with nobody is in no group");
    }
    if (sharing.mode == SHARING_GROUP && group == NULL) {
        COMPLAIN(loader, mode, "MISSING_KEY", TEXT("sharing: {mode: group, group: dev}"),
                 "an account that shares with its group alone is in one");
    }
    if (id.size == 0) {
        return;
    }
    loader->sharings = grow_array(loader, loader->sharings, loader->sharing_count,
                                  &loader->sharing_capacity, sizeof *loader->sharings);
    loader->sharings[loader->sharing_count] = sharing;
    uint32_t at = map_put(by_id, id, loader->sharing_count);
    for (; at < loader->sharing_count; at = loader->sharings[at].next) {
        struct account_sharing *other = &loader->sharings[at];
        if (other->from < sharing.to && sharing.from < other->to) {
            COMPLAIN(loader, node, "SETTING_OVERLAP", TEXT("from: and to: say when each holds"),
                     "two records of sharing of %.*s hold at once", TEXT_ARG(id));
        }
        if (other->next == NONE) {
            other->next = loader->sharing_count;
            break;
        }
    }
    loader->sharing_count++;
}

/* sharing: {group: dev}, or a list of such with dates. */
static void read_sharing(struct loader *loader, const struct yaml_node *node, struct text id)
{
    bool is_list = node->kind == YAML_LIST;
    for (uint32_t i = 0; i < (is_list ? node->count : 1); i++) {
        read_one_sharing(loader, is_list ? &node->items[i] : node, id);
    }
}

static void read_account(struct loader *loader, const struct yaml_node *node)
{
    static const char *const keys[] = {
        "id",       "children", "member_of",           "plan",    "zone", "since",
        "currency", "tax",      "settlement_currency", "sharing", NULL};
    struct account_record record = {.place = yaml_place(node), .since = INSTANT_MIN};
    uint32_t errors = loader->complaints->errors;
    if (node->kind == YAML_TEXT) {
        COMPLAIN(loader, node, "WRONG_TYPE",
                 text_format(loader->arena, "{id: %.*s}", TEXT_ARG(node->text)),
                 "an account: a mapping is wanted here, and this is a text");
        return;
    }
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "an account", keys);
    const struct yaml_node *member = want_member(loader, node, "id");
    if (member != NULL) {
        read_name(loader, member, &record.id);
    }
    member = yaml_member(node, "plan");
    if (member != NULL && find_name(loader, member, &loader->plan_by_name, loader->plan_names,
                                    loader->catalog->plan_count, "plan") != NONE) {
        record.plan = member->text;
    }
    member = yaml_member(node, "zone");
    const struct zone *zone;
    if (member != NULL && read_zone(loader, member, &zone)) {
        record.zone = member->text;
    }
    member = yaml_member(node, "since");
    if (member != NULL) {
        read_instant(loader, member, &record.since);
    }
    member = yaml_member(node, "currency");
    if (member != NULL) {
        read_currency(loader, member, &record.currency);
    }
    member = yaml_member(node, "settlement_currency");
    if (member != NULL) {
        read_currency(loader, member, &record.settlement);
    }
    member = yaml_member(node, "tax");
    if (member != NULL) {
        read_customers(loader, member, record.id);
    }
    member = yaml_member(node, "sharing");
    if (member != NULL) {
        read_sharing(loader, member, record.id);
    }
    member = yaml_member(node, "member_of");
    if (member != NULL) {
        read_memberships(loader, member, &record);
    }
    if (loader->accounts != NULL && loader->complaints->errors == errors) {
        accounts_add(loader->accounts, &record);
    }
    member = yaml_member(node, "children");
    if (member != NULL) {
        add_children(loader, member, record.id);
    }
}

void load_accounts(struct loader *loader, struct section accounts)
{
    map_init(&loader->catalog->customer_by_id, loader->arena, 8);
    map_init(&loader->catalog->sharing_by_id, loader->arena, 8);
    for (uint32_t i = 0; i < accounts.count; i++) {
        read_account(loader, accounts.items[i]);
    }
    loader->catalog->customers = loader->customers;
    loader->catalog->customer_count = loader->customer_count;
    loader->catalog->sharings = loader->sharings;
    loader->catalog->sharing_count = loader->sharing_count;
}
