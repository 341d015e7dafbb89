/* case_write.c - a case as what the program reads: a catalog file in JSON, and CloudEvents.
 *
 * Rows of usage belong to one meter that the catalog of the case is given; its dimensions are all
 * that rows name. Names of dimensions may be anything, so events call them d0, d1, ...
 */
#include <stdlib.h>

#include "cases/cases.h"

#define METER           "farthing.case"
#define USAGE_TYPE      "farthing.case.usage"
#define BUYER_DEFAULT   "buyer"
#define PRODUCT_DEFAULT "case"

void name_list_add(struct arena *arena, struct name_list *list, struct text name)
{
    if (name_list_find(list, name) != NONE) {
        return;
    }
    list->items = arena_room(arena, list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = name;
}

uint32_t name_list_find(const struct name_list *list, struct text name)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (text_equal(list->items[i], name)) {
            return i;
        }
    }
    return NONE;
}

/* ---- times --------------------------------------------------------------------------------- */

bool case_time(struct text text, instant *at)
{
    char full[64];
    if (text.size >= sizeof full - 8) {
        return false;
    }
    memcpy(full, text.at, text.size);
    size_t size = text.size;
    bool has_zone = size > 0 && (full[size - 1] == 'Z' || full[size - 1] == 'z' ||
                                 (size > 16 && (full[size - 6] == '+' || full[size - 6] == '-')));
    if (has_zone) {
        return time_parse(text, at) == TIME_OK;
    }
    /* 2026-10-01, 2026-10-01T12, 2026-10-01T12:30, 2026-10-01T12:30:15 */
    static const char end[] = "0000-00-00T00:00:00";
    if (size != 10 && size != 13 && size != 16 && size < 19) {
        return false;
    }
    if (size < 19) {
        memcpy(full + size, end + size, 19 - size);
        size = 19;
    }
    full[size++] = 'Z';
    return time_parse((struct text){full, size}, at) == TIME_OK;
}

bool case_period(const struct case_run *run, const struct yaml_node *node, struct period *period)
{
    if (!node) {
        return period_parse(run->month_default, run->zone, period) == TIME_OK;
    }
    if (node->kind == YAML_TEXT) {
        return period_parse(node->text, run->zone, period) == TIME_OK;
    }
    const struct yaml_node *from = yaml_member(node, "from"), *to = yaml_member(node, "to");
    return node->count == 2 && from && to && from->kind == YAML_TEXT && to->kind == YAML_TEXT &&
           case_time(from->text, &period->from) && case_time(to->text, &period->to) &&
           period->from < period->to;
}

/* ---- catalog ------------------------------------------------------------------------------- */

static const struct yaml_node *find_section(const struct case_run *run, const char *key)
{
    for (uint32_t i = 0; i < run->section_count; i++) {
        if (text_equal(run->sections[i].key, text_of(key))) {
            return run->sections[i].node;
        }
    }
    return NULL;
}

bool case_has_dimension(const struct case_run *run, struct text name)
{
    const struct yaml_node *meters = find_section(run, "meters");
    const struct catalog *catalog = run->loaded.catalog; /* of a folder, too */
    bool has = name_list_find(&run->dimensions, name) != NONE;
    for (uint32_t i = 0; meters && i < meters->count && !has; i++) {
        const struct yaml_node *dimensions = yaml_member(&meters->items[i], "dimensions");
        for (uint32_t d = 0; dimensions && d < dimensions->count && !has; d++) {
            has = text_equal(dimensions->items[d].key, name);
        }
    }
    for (uint32_t d = 0; catalog && d < catalog->dimension_count && !has; d++) {
        has = text_equal(catalog->dimensions[d], name);
    }
    return has;
}

static void write_key(struct buffer *out, struct text key)
{
    buffer_add_json(out, key);
    buffer_add_char(out, ':');
}

/* Begins an entry of an object or list that is being written. */
static void separate(struct buffer *out)
{
    char last = out->size > 0 ? out->at[out->size - 1] : '{';
    if (last != '{' && last != '[') {
        buffer_add_char(out, ',');
    }
}

static void write_members(struct case_run *run, struct buffer *out, const struct yaml_node *map)
{
    for (uint32_t i = 0; map && i < map->count; i++) {
        separate(out);
        write_key(out, map->items[i].key);
        yaml_write_canonical(&map->items[i], run->arena, out);
    }
}

static void write_meters(struct case_run *run, struct buffer *out)
{
    const struct yaml_node *meters = find_section(run, "meters");
    separate(out);
    buffer_add_text(out, TEXT("\"meters\":{"));
    write_members(run, out, meters && meters->kind == YAML_MAP ? meters : NULL);
    if (run->skus.count > 0 || run->dimensions.count > 0) {
        separate(out);
        buffer_add_text(out, TEXT("\"" METER "\":{\"event\":\"" USAGE_TYPE
                                  "\",\"value\":\"data.quantity\",\"sku\":\"data.sku\","
                                  "\"resource\":\"data.resource\",\"grain\":\"hour\","
                                  "\"negative\":true,\"dimensions\":{"));
        for (uint32_t i = 0; i < run->dimensions.count; i++) {
            separate(out);
            write_key(out, run->dimensions.items[i]);
            buffer_format(out, "\"data.d%u\"", i);
        }
        buffer_add_text(out, TEXT("}}"));
    }
    buffer_add_char(out, '}');
}

static void add_skus_of(struct case_run *run, struct name_list *named,
                        const struct yaml_node *prices)
{
    for (uint32_t i = 0; prices && prices->kind == YAML_LIST && i < prices->count; i++) {
        const struct yaml_node *sku = yaml_member(&prices->items[i], "sku");
        for (uint32_t s = 0; sku && sku->kind == YAML_LIST && s < sku->count; s++) {
            name_list_add(run->arena, named, sku->items[s].text);
        }
        if (sku && sku->kind == YAML_TEXT && !text_equal(sku->text, TEXT("*"))) {
            name_list_add(run->arena, named, sku->text);
        }
    }
}

/* What the fees of a list of terms are sold as. */
static void add_skus_of_fees(struct case_run *run, struct name_list *named,
                             const struct yaml_node *terms)
{
    for (uint32_t i = 0; terms && terms->kind == YAML_LIST && i < terms->count; i++) {
        const struct yaml_node *fee = yaml_member(&terms->items[i], "fee");
        const struct yaml_node *sku = fee ? yaml_member(fee, "sku") : NULL;
        if (sku && sku->kind == YAML_TEXT) {
            name_list_add(run->arena, named, sku->text);
        }
    }
}

static void add_skus_named(struct case_run *run, struct name_list *named)
{
    const struct yaml_node *owners[] = {find_section(run, "plans"), find_section(run, "contracts")};
    add_skus_of(run, named, find_section(run, "prices"));
    add_skus_of_fees(run, named, find_section(run, "terms"));
    for (size_t o = 0; o < sizeof owners / sizeof *owners; o++) {
        for (uint32_t i = 0; owners[o] && i < owners[o]->count; i++) {
            add_skus_of(run, named, yaml_member(&owners[o]->items[i], "prices"));
            add_skus_of_fees(run, named, yaml_member(&owners[o]->items[i], "terms"));
        }
    }
}

static bool is_missing(const struct case_run *run, const struct name_list *sold, struct text sku)
{
    return name_list_find(sold, sku) == NONE && name_list_find(&run->skus, sku) == NONE;
}

/* A SKU exists when a product, a price or a meter names it.  What only rows name needs a product;
 * and once there are products, every SKU has to be one of theirs. */
static void write_products(struct case_run *run, struct buffer *out)
{
    const struct yaml_node *products = find_section(run, "products");
    struct name_list named = {0}, sold = {0};
    add_skus_named(run, &named);
    for (uint32_t p = 0; products && p < products->count; p++) {
        const struct yaml_node *skus = yaml_member(&products->items[p], "skus");
        for (uint32_t s = 0; skus && skus->kind == YAML_MAP && s < skus->count; s++) {
            name_list_add(run->arena, &sold, skus->items[s].key);
        }
    }
    bool needs_more = false, says_product = false;
    for (uint32_t i = 0; i < run->skus.count; i++) {
        struct text sku = run->skus.items[i];
        says_product = says_product || run->sku_products.items[i].size > 0;
        needs_more = needs_more ||
                     (name_list_find(&named, sku) == NONE && name_list_find(&sold, sku) == NONE);
    }
    if (!products && !needs_more && !says_product) {
        return;
    }
    separate(out);
    buffer_add_text(out, TEXT("\"products\":{"));
    write_members(run, out, products);
    struct name_list keys = {0};
    for (uint32_t i = 0; i < run->skus.count; i++) {
        if (name_list_find(&sold, run->skus.items[i]) == NONE) {
            struct text product = run->sku_products.items[i];
            name_list_add(run->arena, &keys, product.size > 0 ? product : TEXT(PRODUCT_DEFAULT));
        }
    }
    for (uint32_t i = 0; i < named.count; i++) {
        if (!products || is_missing(run, &sold, named.items[i])) {
            name_list_add(run->arena, &keys, TEXT(PRODUCT_DEFAULT));
        }
    }
    for (uint32_t k = 0; k < keys.count; k++) {
        separate(out);
        write_key(out, keys.items[k]);
        buffer_add_text(out, TEXT("{\"skus\":{"));
        bool is_default = text_equal(keys.items[k], TEXT(PRODUCT_DEFAULT));
        for (uint32_t i = 0; i < run->skus.count; i++) {
            struct text product = run->sku_products.items[i];
            bool is_here = product.size > 0 ? text_equal(product, keys.items[k]) : is_default;
            if (is_here && name_list_find(&sold, run->skus.items[i]) == NONE) {
                separate(out);
                write_key(out, run->skus.items[i]);
                buffer_add_text(out, TEXT("{}"));
            }
        }
        for (uint32_t i = 0; is_default && i < named.count; i++) {
            if (is_missing(run, &sold, named.items[i])) {
                separate(out);
                write_key(out, named.items[i]);
                buffer_add_text(out, TEXT("{}"));
            }
        }
        buffer_add_text(out, TEXT("}}"));
    }
    buffer_add_char(out, '}');
}

/* Lines are by resource when their price says `grain: hour`; what a price computes is the same. */
static void write_price(struct case_run *run, struct buffer *out, const struct yaml_node *price)
{
    separate(out);
    if (price->kind != YAML_MAP) {
        yaml_write_canonical(price, run->arena, out);
        return;
    }
    buffer_add_char(out, '{');
    write_members(run, out, price);
    if (run->needs_resources && !yaml_member(price, "grain")) {
        separate(out);
        buffer_add_text(out, TEXT("\"grain\":\"hour\""));
    }
    buffer_add_char(out, '}');
}

/* What a subscription pays for as long as it lasts: fixed amounts, and bounds that are prorated. */
static bool is_fixed_price(const struct yaml_node *price)
{
    const struct yaml_node *steps = yaml_member(price, "steps");
    const struct yaml_node *components = yaml_member(price, "components");
    for (uint32_t i = 0; components && i < components->count; i++) {
        const struct yaml_node *list = &components->items[i];
        if (list->count > 0 && yaml_member(&list->items[0], "fixed")) {
            return true;
        }
    }
    if (steps && steps->count > 0 && yaml_member(&steps->items[0], "fixed")) {
        return true;
    }
    for (uint32_t i = 0; steps && i < steps->count; i++) {
        if (yaml_member(yaml_member(&steps->items[i], "bound"), "prorate")) {
            return true;
        }
    }
    return false;
}

/* A contract that does not say who pays, and is none of several accounts or of charges. */
static bool is_nameless(const struct yaml_node *contract)
{
    return !yaml_member(contract, "buyer") && !yaml_member(contract, "accounts") &&
           !yaml_member(contract, "source");
}

/* A contract that says neither who nor at what price is a subscription: the catalog's fixed prices
 * are paid while it lasts, by its buyer, and the catalog's terms are its own. */
static bool is_subscription(const struct yaml_node *contract)
{
    return is_nameless(contract) && !yaml_member(contract, "prices") &&
           !yaml_member(contract, "plan") && !yaml_member(contract, "terms");
}

static bool has_subscription(const struct yaml_node *contracts)
{
    for (uint32_t i = 0; contracts && i < contracts->count; i++) {
        if (is_subscription(&contracts->items[i])) {
            return true;
        }
    }
    return false;
}

static void write_prices(struct case_run *run, struct buffer *out)
{
    const struct yaml_node *prices = find_section(run, "prices");
    bool is_subscribed = has_subscription(find_section(run, "contracts"));
    if (!prices) {
        return;
    }
    separate(out);
    buffer_add_text(out, TEXT("\"prices\":"));
    if (prices->kind != YAML_LIST) {
        yaml_write_canonical(prices, run->arena, out);
        return;
    }
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < prices->count; i++) {
        if (!is_subscribed || !is_fixed_price(&prices->items[i])) {
            write_price(run, out, &prices->items[i]);
        }
    }
    buffer_add_char(out, ']');
}

static void write_fixed_prices(struct case_run *run, struct buffer *out)
{
    const struct yaml_node *prices = find_section(run, "prices");
    buffer_add_text(out, TEXT("\"prices\":["));
    for (uint32_t i = 0; prices && prices->kind == YAML_LIST && i < prices->count; i++) {
        if (is_fixed_price(&prices->items[i])) {
            write_price(run, out, &prices->items[i]);
        }
    }
    buffer_add_char(out, ']');
}

static bool is_child(const struct yaml_node *accounts, struct text id)
{
    for (uint32_t i = 0; accounts && i < accounts->count; i++) {
        const struct yaml_node *children = yaml_member(&accounts->items[i], "children");
        const struct yaml_node *own = yaml_member(&accounts->items[i], "id");
        for (uint32_t c = 0; children && c < children->count; c++) {
            if (text_equal(children->items[c].text, id)) {
                return true;
            }
        }
        if (own && text_equal(own->text, id) && yaml_member(&accounts->items[i], "member_of")) {
            return true;
        }
    }
    return false;
}

/* The accounts nobody stands above: those that pay. */
static void find_payers(struct case_run *run, const struct yaml_node *accounts,
                        struct name_list *payers)
{
    for (uint32_t i = 0; accounts && accounts->kind == YAML_LIST && i < accounts->count; i++) {
        const struct yaml_node *id = yaml_member(&accounts->items[i], "id");
        if (id && !is_child(accounts, id->text)) {
            name_list_add(run->arena, payers, id->text);
        }
    }
    for (uint32_t i = 0; i < run->accounts.count; i++) {
        if (!is_child(accounts, run->accounts.items[i])) {
            name_list_add(run->arena, payers, run->accounts.items[i]);
        }
    }
}

/* What is charged once falls due when an account begins, which in a case is with its first bill. */
static void write_account(struct case_run *run, struct buffer *out, struct text id,
                          const struct yaml_node *account)
{
    separate(out);
    buffer_add_char(out, '{');
    if (account) {
        write_members(run, out, account);
    } else {
        buffer_add_text(out, TEXT("\"id\":"));
        buffer_add_json(out, id);
    }
    struct period first;
    if (run->charges_once && !yaml_member(account, "since") && run->moment_count > 0 &&
        case_period(run, run->moments[0].bill, &first)) {
        char since[TIME_FORMAT_MAX];
        (void)time_format(first.from, since);
        buffer_format(out, ",\"since\":\"%s\"", since);
    }
    buffer_add_char(out, '}');
}

/* Dates of cases may be written shorter than those of catalogs. */
static void write_contract_members(struct case_run *run, struct buffer *out,
                                   const struct yaml_node *contract)
{
    for (uint32_t i = 0; i < contract->count; i++) {
        const struct yaml_node *item = &contract->items[i];
        bool is_date = text_equal(item->key, TEXT("from")) || text_equal(item->key, TEXT("to"));
        instant at;
        separate(out);
        write_key(out, item->key);
        if (is_date && item->kind == YAML_TEXT && item->text.size > 10 &&
            case_time(item->text, &at)) {
            char time[TIME_FORMAT_MAX];
            (void)time_format(at, time);
            buffer_format(out, "\"%s\"", time);
        } else {
            yaml_write_canonical(item, run->arena, out);
        }
    }
}

/* buyer: of those that name none. */
static void write_contracts(struct case_run *run, struct buffer *out,
                            const struct yaml_node *contracts, struct text buyer)
{
    separate(out);
    buffer_add_text(out, TEXT("\"contracts\":["));
    for (uint32_t i = 0; i < contracts->count; i++) {
        separate(out);
        buffer_add_char(out, '{');
        write_contract_members(run, out, &contracts->items[i]);
        if (is_nameless(&contracts->items[i])) {
            separate(out);
            buffer_add_text(out, TEXT("\"buyer\":"));
            buffer_add_json(out, buyer);
        }
        if (is_subscription(&contracts->items[i])) {
            separate(out);
            write_fixed_prices(run, out);
            const struct yaml_node *terms = find_section(run, "terms");
            if (terms) {
                buffer_add_text(out, TEXT(",\"terms\":"));
                yaml_write_canonical(terms, run->arena, out);
            }
        }
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

/* needs_buyer: with an organization of all payers. */
static void write_accounts(struct case_run *run, struct buffer *out,
                           const struct yaml_node *accounts, const struct name_list *payers,
                           bool needs_buyer)
{
    struct name_list listed = {0};
    separate(out);
    buffer_add_text(out, TEXT("\"accounts\":["));
    for (uint32_t i = 0; accounts && i < accounts->count; i++) {
        const struct yaml_node *id = yaml_member(&accounts->items[i], "id");
        const struct yaml_node *children = yaml_member(&accounts->items[i], "children");
        if (id) {
            name_list_add(run->arena, &listed, id->text);
        }
        for (uint32_t c = 0; children && c < children->count; c++) {
            name_list_add(run->arena, &listed, children->items[c].text);
        }
        write_account(run, out, id ? id->text : TEXT(""), &accounts->items[i]);
    }
    for (uint32_t i = 0; i < run->accounts.count; i++) {
        if (name_list_find(&listed, run->accounts.items[i]) == NONE) {
            write_account(run, out, run->accounts.items[i], NULL);
        }
    }
    if (needs_buyer) {
        separate(out);
        buffer_add_text(out, TEXT("{\"id\":\"" BUYER_DEFAULT "\",\"children\":["));
        for (uint32_t i = 0; i < payers->count; i++) {
            separate(out);
            buffer_add_json(out, payers->items[i]);
        }
        buffer_add_text(out, TEXT("]}"));
    }
    buffer_add_char(out, ']');
}

/* A contract without a buyer is with whoever pays; when several do, with an organization of them
 * all. */
static void write_parties(struct case_run *run, struct buffer *out)
{
    const struct yaml_node *accounts = find_section(run, "accounts");
    const struct yaml_node *contracts = find_section(run, "contracts");
    struct name_list payers = {0};
    find_payers(run, accounts, &payers);
    bool has_nameless = false;
    for (uint32_t i = 0; contracts && i < contracts->count; i++) {
        has_nameless = has_nameless || is_nameless(&contracts->items[i]);
    }
    bool needs_buyer = has_nameless && payers.count > 1;
    write_accounts(run, out, accounts, &payers, needs_buyer);
    if (contracts) {
        write_contracts(run, out, contracts,
                        needs_buyer         ? TEXT(BUYER_DEFAULT)
                        : payers.count == 1 ? payers.items[0]
                                            : run->account_default);
    }
}

void case_write_catalog(struct case_run *run, struct buffer *out)
{
    static const char *const merged[] = {"meters", "products", "prices", "accounts", "contracts"};
    buffer_add_char(out, '{');
    for (uint32_t i = 0; i < run->section_count; i++) {
        bool is_merged = false;
        for (size_t m = 0; m < sizeof merged / sizeof *merged; m++) {
            is_merged = is_merged || text_equal(run->sections[i].key, text_of(merged[m]));
        }
        is_merged = is_merged || (text_equal(run->sections[i].key, TEXT("terms")) &&
                                  has_subscription(find_section(run, "contracts")));
        if (!is_merged) {
            separate(out);
            write_key(out, run->sections[i].key);
            yaml_write_canonical(run->sections[i].node, run->arena, out);
        }
    }
    write_meters(run, out);
    if (run->catalog_path.size == 0) {
        write_products(run, out);
    }
    write_prices(run, out);
    write_parties(run, out);
    buffer_add_text(out, TEXT("}\n"));
}

/* ---- events -------------------------------------------------------------------------------- */

static struct text member_text(const struct yaml_node *row, const char *key)
{
    const struct yaml_node *node = yaml_member(row, key);
    return node && node->kind == YAML_TEXT ? node->text : TEXT("");
}

static bool row_time(struct case_run *run, const struct moment *moment, const struct yaml_node *row,
                     char out[TIME_FORMAT_MAX])
{
    instant at;
    struct period period;
    const struct yaml_node *node = yaml_member(row, "time");
    if (node) {
        if (node->kind != YAML_TEXT || !case_time(node->text, &at)) {
            case_finding(run, "line %u: no time: %.*s", node->line, TEXT_ARG(node->text));
            return false;
        }
    } else if (case_period(run, moment->bill, &period)) {
        struct text account = member_text(row, "account");
        struct period turn;
        at = period.from;
        if ((!moment->bill || moment->bill->kind == YAML_TEXT) &&
            case_own_turn(run, account.size > 0 ? account : run->account_default, at, &turn) &&
            turn.from < at && turn.to < period.to) {
            at = turn.to; /* the turn before is not of this bill */
        }
    } else {
        return false; /* the bill's own complaint comes later */
    }
    (void)time_format(at, out);
    return true;
}

static void begin_event(struct case_run *run, const struct yaml_node *row, struct text type,
                        const char *time, uint32_t copy)
{
    struct buffer *out = &run->events;
    struct text id = member_text(row, "id"), account = member_text(row, "account");
    /* A source of their own for those without an id, so that no given one can be theirs. */
    bool is_named = id.size > 0;
    struct text name = is_named ? id : text_format(run->arena, "%u", run->event_count);
    buffer_add_text(out, TEXT("{\"specversion\":\"1.0\",\"source\":"));
    buffer_add_text(out, is_named ? TEXT("\"case\"") : TEXT("\"case row\""));
    buffer_add_text(out, TEXT(",\"id\":"));
    buffer_add_json(out,
                    copy > 0 ? text_format(run->arena, "%.*s/%u", TEXT_ARG(name), copy) : name);
    buffer_add_text(out, TEXT(",\"type\":"));
    buffer_add_json(out, type);
    buffer_add_text(out, TEXT(",\"subject\":"));
    buffer_add_json(out, account.size > 0 ? account : run->account_default);
    buffer_format(out, ",\"time\":\"%s\",\"data\":{", time);
    run->event_count++;
}

/* A row that stands for n events is n of them, of which the first has the quantity. */
static void add_row(struct case_run *run, const struct moment *moment, const struct yaml_node *row)
{
    enum { EVENTS_MAX = 100'000 };
    char time[TIME_FORMAT_MAX];
    struct dec quantity = dec_from_int(1), events = dec_from_int(1);
    const struct yaml_node *node = yaml_member(row, "quantity");
    if (!row_time(run, moment, row, time)) {
        return;
    }
    if (node && (node->kind != YAML_TEXT || dec_parse(node->text, &quantity) != NUMBER_OK)) {
        case_finding(run, "line %u: no quantity: %.*s", node->line, TEXT_ARG(node->text));
        return;
    }
    node = yaml_member(row, "events");
    if (node && (node->kind != YAML_TEXT || dec_parse(node->text, &events) != NUMBER_OK ||
                 events.scale != 0 || events.mantissa < 1 || events.mantissa > EVENTS_MAX)) {
        case_finding(run, "line %u: events: a number from 1 to 100000 is expected", node->line);
        return;
    }
    char number[DEC_FORMAT_MAX];
    for (uint32_t copy = 0; copy < (uint32_t)events.mantissa; copy++) {
        struct buffer *out = &run->events;
        begin_event(run, row, TEXT(USAGE_TYPE), time, copy);
        (void)dec_format(copy == 0 ? quantity : DEC_ZERO, number);
        buffer_format(out, "\"quantity\":%s,\"sku\":", number);
        buffer_add_json(out, member_text(row, "sku"));
        buffer_add_text(out, TEXT(",\"resource\":"));
        buffer_add_json(out, member_text(row, "resource"));
        const struct yaml_node *dims = yaml_member(row, "dims");
        for (uint32_t d = 0; d < run->dimensions.count; d++) {
            struct text value = TEXT("");
            for (uint32_t i = 0; dims && i < dims->count; i++) {
                if (text_equal(dims->items[i].key, run->dimensions.items[d])) {
                    value = dims->items[i].text;
                }
            }
            buffer_format(out, ",\"d%u\":", d);
            buffer_add_json(out, value);
        }
        buffer_add_text(out, TEXT("}}\n"));
    }
}

/* Whether a meter of the case takes the member as a number. */
static bool is_value(const struct case_run *run, struct text key)
{
    const struct yaml_node *meters = find_section(run, "meters");
    struct text path = text_join(run->arena, TEXT("data."), key);
    for (uint32_t i = 0; meters && i < meters->count; i++) {
        const struct yaml_node *meter = &meters->items[i];
        if (text_equal(member_text(meter, "value"), path) &&
            !text_equal(member_text(meter, "aggregate"), TEXT("unique"))) {
            return true;
        }
    }
    return false;
}

/* In a case numbers may be quoted, and times are UTC when they say no zone. */
static void write_member(struct case_run *run, const struct yaml_node *node)
{
    struct buffer *out = &run->events;
    char time[TIME_FORMAT_MAX];
    struct dec number;
    instant at;
    bool is_text = node->kind == YAML_TEXT;
    if (is_text && dec_parse(node->text, &number) == NUMBER_OK && is_value(run, node->key)) {
        buffer_add_text(out, node->text);
    } else if (is_text && node->text.size > 10 && memchr(node->text.at, 'T', node->text.size) &&
               time_parse(node->text, &at) != TIME_OK && case_time(node->text, &at)) {
        buffer_add_json(out, (struct text){time, (size_t)time_format(at, time)});
    } else {
        yaml_write_canonical(node, run->arena, out);
    }
}

static void add_event(struct case_run *run, const struct yaml_node *row, struct text type,
                      const char *time, uint32_t copy)
{
    static const char *const taken[] = {"time", "id", "account", "meter", "type"};
    struct buffer *out = &run->events;
    begin_event(run, row, type, time, copy);
    for (uint32_t i = 0; i < row->count; i++) {
        bool is_taken = false;
        for (size_t t = 0; t < sizeof taken / sizeof *taken; t++) {
            is_taken = is_taken || text_equal(row->items[i].key, text_of(taken[t]));
        }
        if (!is_taken) {
            separate(out);
            write_key(out, row->items[i].key);
            write_member(run, &row->items[i]);
        }
    }
    buffer_add_text(out, TEXT("}}\n"));
}

/* An event without `meter` or `type` is for every meter of the case. */
static void add_event_row(struct case_run *run, const struct moment *moment,
                          const struct yaml_node *row)
{
    char time[TIME_FORMAT_MAX];
    if (!row_time(run, moment, row, time)) {
        return;
    }
    struct text wanted = member_text(row, "meter"), type = member_text(row, "type");
    const struct yaml_node *meters = find_section(run, "meters");
    struct name_list types = {0};
    if (type.size > 0) {
        name_list_add(run->arena, &types, type);
    }
    for (uint32_t i = 0; type.size == 0 && meters && i < meters->count; i++) {
        const struct yaml_node *meter = &meters->items[i];
        struct text event = member_text(meter, "event");
        if (wanted.size == 0 || text_equal(meter->key, wanted)) {
            name_list_add(run->arena, &types, event.size > 0 ? event : meter->key);
        }
    }
    const struct catalog *catalog = run->loaded.catalog; /* of a folder, too */
    for (uint32_t i = 0; types.count == 0 && wanted.size > 0 && i < catalog->meter_count; i++) {
        if (text_equal(catalog->meters[i].name, wanted)) {
            name_list_add(run->arena, &types, catalog->meters[i].event_type);
        }
    }
    for (uint32_t i = 0; i < types.count; i++) {
        add_event(run, row, types.items[i], time, i);
    }
    if (types.count == 0 && wanted.size > 0) {
        case_finding(run, "line %u: an event of the meter %.*s, which the catalog does not have",
                     row->line, TEXT_ARG(wanted));
    } else if (types.count == 0) {
        case_finding(run,
                     "line %u: an event for which the case has no meter; say its meter or type",
                     row->line);
    }
}

/* A row that comes too late is not among what is known. */
static bool is_too_late(struct case_run *run, const struct yaml_node *row)
{
    const struct yaml_node *time = yaml_member(row, "time");
    instant at;
    bool is_late =
        time && time->kind == YAML_TEXT && case_time(time->text, &at) && at < run->late_before;
    run->too_late += is_late;
    return is_late;
}

void case_add_events(struct case_run *run, const struct moment *moment)
{
    const struct yaml_node *usage = yaml_member(moment->node, "usage");
    const struct yaml_node *events = yaml_member(moment->node, "events");
    for (uint32_t i = 0; usage && i < usage->count; i++) {
        if (!is_too_late(run, &usage->items[i])) {
            add_row(run, moment, &usage->items[i]);
        }
    }
    for (uint32_t i = 0; events && i < events->count; i++) {
        if (!is_too_late(run, &events->items[i])) {
            add_event_row(run, moment, &events->items[i]);
        }
    }
}
