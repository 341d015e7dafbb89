/* conversion.c - currencies: what prices are in, and how their amounts get into that of a bill.
 *
 * Rates stand in one of the catalog's tables or series, by the currency that a price is in and the
 * one that a bill is in: so they have dates, and may stand in a file beside the catalog.
 */
#include "catalog/load.h"

#include "base/nofloat.h"

bool read_currency(struct loader *loader, const struct yaml_node *node,
                   const struct currency **currency)
{
    if (!want_kind(loader, node, YAML_TEXT)) {
        return false;
    }
    const struct currency *found = currency_find(node->text);
    if (found == NULL) {
        COMPLAIN(loader, node, "CURRENCY", hint_currency(loader->arena, node->text),
                 "nothing can be billed in %.*s", TEXT_ARG(node->text));
        return false;
    }
    *currency = found;
    return true;
}

/* Of each row: two currencies that differ, and how many of the second one of the first is. */
static void check_rates(struct loader *loader, const struct rate_table *table)
{
    for (uint32_t i = 0; i < table->row_count; i++) {
        const struct text *key = &table->values[(size_t)i * table->key_count];
        for (uint32_t k = 0; k < table->key_count; k++) {
            if (currency_find(key[k]) == NULL) {
                complain(loader->complaints, table->places[i], "CURRENCY",
                         TEXT("codes of ISO 4217 with a minor unit: USD, EUR, JPY"),
                         "a rate is from one currency into another, and %.*s is none",
                         TEXT_ARG(key[k]));
            }
        }
        if (text_equal(key[0], key[1])) {
            complain(loader->complaints, table->places[i], "BAD_VALUE", NO_HINT,
                     "%.*s needs no rate into itself", TEXT_ARG(key[0]));
        }
        if (dec_sign(table->rates[i]) <= 0) {
            complain(loader->complaints, table->places[i], "NOT_POSITIVE", NO_HINT,
                     "a rate must be greater than zero");
        }
    }
}

/* The table or series of that name; NULL with a complaint. */
static const struct rate_table *find_rates(struct loader *loader, const struct yaml_node *node)
{
    uint32_t index = map_find(&loader->table_by_name, node->text);
    if (index == MAP_NONE) {
        index = map_find(&loader->series_by_name, node->text);
        index = index == MAP_NONE ? NONE : loader->tables.count + index;
    }
    if (index == NONE) {
        index = find_name(loader, node, &loader->table_by_name, loader->table_names,
                          loader->tables.count, "table");
    }
    return index == NONE ? NULL : &loader->rate_tables[index];
}

/* What the catalog says, else its profile. */
static const struct yaml_node *conversion_option(const struct loader *loader,
                                                 const struct yaml_node *node, const char *name)
{
    const struct yaml_node *own = yaml_member(node, name);
    return own != NULL ? own : profile_option(loader, "currencies", name);
}

void load_conversion(struct loader *loader, const struct yaml_node *node)
{
    static const char *const keys[] = {"rates", "settings_at", "digits", "mode", NULL};
    static const char *const ats[] = {"row", "turn_start", "turn_end", "invoice", NULL};
    struct conversion *conversion = &loader->catalog->conversion;
    *conversion = (struct conversion){
        .at = SETTINGS_AT_TURN_END, .digits = DEC_SCALE, .mode = ROUND_HALF_EVEN};
    if (node == NULL || !want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "currencies", keys);
    const struct yaml_node *rates = want_member(loader, node, "rates");
    if (rates != NULL && want_kind(loader, rates, YAML_TEXT)) {
        const struct rate_table *table = find_rates(loader, rates);
        if (table != NULL && table->key_count != 2) {
            COMPLAIN(loader, rates, "BAD_VALUE",
                     TEXT("keys: [currency, into], and the rate says how many of the second one of "
                          "the first is"),
                     "rates of currencies have two keys, and the table %.*s has %u",
                     TEXT_ARG(table->name), table->key_count);
        } else if (table != NULL) {
            check_rates(loader, table);
            conversion->rates = table;
        }
    }
    const struct yaml_node *member = conversion_option(loader, node, "settings_at");
    int at = SETTINGS_AT_TURN_END;
    if (member != NULL && read_choice(loader, member, ats, &at)) {
        conversion->at = (enum settings_at)at;
    }
    member = conversion_option(loader, node, "digits");
    if (member != NULL) {
        read_int(loader, member, 0, DEC_SCALE, &conversion->digits);
        conversion->mode = ROUND_HALF_UP;
    }
    member = conversion_option(loader, node, "mode");
    if (member != NULL) {
        read_rounding_mode(loader, member, &conversion->mode);
    }
}

/* True of a step in which amounts of two currencies would meet; versions of a price may change what
 * they are in where nothing accumulates. */
static bool mixes_money(const struct step *step)
{
    switch (step->kind) {
    case STEP_CONVERT:
    case STEP_AGGREGATE:
    case STEP_COVER:
    case STEP_ALLOWANCE:
    case STEP_FIXED:
        return false;
    case STEP_RATE:
    case STEP_PERCENT:
    case STEP_FORMULA:
        return step->shared != NONE;
    case STEP_CREDIT:
        return !step->credit.is_units;
    default:
        return step->kind < STEP_KINDS;
    }
}

static bool sells(const struct price_set *set, uint32_t sku)
{
    bool found = false;
    for (uint32_t i = 0; i < set->count && !found; i++) {
        const struct price *price = &set->base[set->prices[i]];
        found = !price->skus || (sku != NONE && price_has_sku(price, sku));
    }
    return found;
}

/* A price that a contract has in another currency than it is billed in, of those that give way to
 * no price of a narrower level; NULL. */
static const struct price *foreign_price(const struct catalog *catalog,
                                         const struct contract *contract)
{
    const struct price_set none = {0};
    const struct price_set *levels[] = {
        &contract->prices,
        contract->plan == NONE ? &none : &catalog->plans[contract->plan].prices,
        &catalog->public_prices,
    };
    for (size_t level = 0; level < sizeof levels / sizeof levels[0]; level++) {
        for (uint32_t i = 0; i < levels[level]->count; i++) {
            const struct price *price = &levels[level]->base[levels[level]->prices[i]];
            uint32_t sku = price->sku_count > 0 ? price->skus[0] : NONE;
            bool gives_way = false;
            for (size_t narrower = 0; narrower < level; narrower++) {
                gives_way |= sells(levels[narrower], sku);
            }
            if (!gives_way && price_currency(catalog, price) != contract->currency) {
                return price;
            }
        }
    }
    return NULL;
}

/* No bill of it could be made, and that is known before there is usage. */
static void warn_of_rates(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    for (uint32_t i = 0; i < catalog->contract_count && !catalog->conversion.rates; i++) {
        const struct contract *contract = &catalog->contracts[i];
        if (!contract->currency || contract->source != NONE) {
            continue;
        }
        const struct price *price = foreign_price(catalog, contract);
        if (price) {
            complain_softly(loader->complaints, contract->place, "CURRENCY_RATE",
                            TEXT("currencies: {rates: TABLE}, or prices of its own"),
                            "%.*s is billed in %s, the price %.*s is in %s, and nothing says at "
                            "what rate",
                            TEXT_ARG(contract->id), contract->currency->code, TEXT_ARG(price->name),
                            price_currency(catalog, price)->code);
        }
    }
}

void check_currencies(struct loader *loader)
{
    const struct catalog *catalog = loader->catalog;
    if (loader->complaints->errors == 0) { /* rates may be what could not be read */
        warn_of_rates(loader);
    }
    for (uint32_t p = 0; p < catalog->price_count && catalog->has_currencies; p++) {
        const struct price *price = &catalog->prices[p];
        for (uint32_t s = 0; s < price->step_count; s++) {
            const struct step *step = &price->steps[s];
            uint32_t first =
                step->node < catalog->node_count ? catalog->node_price[step->node] : NONE;
            if (first == NONE || !mixes_money(step) ||
                price_currency(catalog, &catalog->prices[first]) ==
                    price_currency(catalog, price)) {
                continue;
            }
            complain(loader->complaints, step->shared != NONE ? step->place : price->place,
                     "CURRENCY_MIX",
                     step->shared != NONE ? TEXT("a step of its own for each currency")
                                          : TEXT("give the price in the other currency a name: of "
                                                 "its own"),
                     "the step %.*s would accumulate amounts in %s and in %s", TEXT_ARG(step->name),
                     price_currency(catalog, &catalog->prices[first])->code,
                     price_currency(catalog, price)->code);
            break;
        }
    }
}
