/* case_known.c - whether there is what a case expects nothing of.
 *
 * A name that no line has comes to 0, and so would one that is misspelt: an expectation of 0 is
 * worth something when there is a thing of that name.
 */
#include "cases/cases.h"

static bool knows_account(const struct case_run *run, struct text key)
{
    return accounts_find(run->loaded.accounts, NONE, key) != MAP_NONE;
}

static bool knows_sku(const struct case_run *run, struct text key)
{
    return map_find(&run->loaded.catalog->sku_by_name, key) != MAP_NONE ||
           name_list_find(&run->skus, key) != NONE;
}

static bool knows_product(const struct case_run *run, struct text key)
{
    const struct catalog *catalog = run->loaded.catalog;
    bool is_known = false;
    for (uint32_t i = 0; i < catalog->product_count && !is_known; i++) {
        is_known = text_equal(catalog->products[i].name, key);
    }
    return is_known;
}

static bool knows_kind(const struct case_run *, struct text key)
{
    bool is_known = false;
    for (int kind = 0; kind < CHARGE_KINDS && !is_known; kind++) {
        is_known = text_equal(key, text_of(charge_kind_name((enum charge_kind)kind)));
    }
    return is_known;
}

static bool knows_contract(const struct case_run *run, struct text key)
{
    return map_find(&run->loaded.catalog->contract_by_id, key) != MAP_NONE;
}

static bool knows_commitment(const struct case_run *run, struct text key)
{
    const struct catalog *catalog = run->loaded.catalog;
    bool is_known = false;
    for (uint32_t i = 0; i < catalog->commitment_count && !is_known; i++) {
        is_known = text_equal(catalog->commitments[i].id, key);
    }
    return is_known;
}

/* Events may name any resource. */
static bool knows_resource(const struct case_run *run, struct text key)
{
    return run->has_events || name_list_find(&run->resources, key) != NONE;
}

static bool has_grant(const struct step *step, struct text key)
{
    bool has = false;
    if (step->kind == STEP_CREDIT) {
        has = (step->credit.has_top_up && text_equal(key, TEXT("top_up"))) ||
              (step->credit.carries_overage && text_equal(key, TEXT("overage")));
        for (uint32_t i = 0; i < step->credit.grant_count && !has; i++) {
            has = text_equal(step->credit.grants[i].id, key);
        }
    }
    return has;
}

static bool has_name(const struct step *step, struct text key)
{
    return text_equal(step->name, key);
}

static bool lists(const struct price *price, bool (*has)(const struct step *, struct text),
                  struct text key)
{
    bool found = false;
    for (uint32_t i = 0; i < price->step_count && !found; i++) {
        found = has(&price->steps[i], key);
    }
    return found;
}

/* Whether a step of the catalog's prices or terms has it. */
static bool knows_step_that(const struct case_run *run,
                            bool (*has)(const struct step *, struct text), struct text key)
{
    const struct catalog *catalog = run->loaded.catalog;
    bool found = lists(&catalog->terms, has, key);
    for (uint32_t i = 0; i < catalog->price_count && !found; i++) {
        found = lists(&catalog->prices[i], has, key);
    }
    for (uint32_t i = 0; i < catalog->plan_count && !found; i++) {
        found = lists(&catalog->plans[i].terms, has, key);
    }
    for (uint32_t i = 0; i < catalog->contract_count && !found; i++) {
        found = lists(&catalog->contracts[i].terms, has, key);
    }
    return found;
}

static bool knows_grant(const struct case_run *run, struct text key)
{
    return knows_step_that(run, has_grant, key);
}

static bool knows_step(const struct case_run *run, struct text key)
{
    return knows_step_that(run, has_name, key) || text_equal(key, TEXT("recurring")) ||
           text_equal(key, TEXT("upfront")) || text_equal(key, TEXT("rounding"));
}

static bool knows_tier(const struct case_run *, struct text key)
{
    struct dec number;
    return dec_parse(key, &number) == NUMBER_OK && number.scale == 0 && dec_sign(number) >= 0;
}

static bool knows_time(const struct case_run *run, struct text key)
{
    struct period period;
    instant at;
    return period_parse(key, run->zone, &period) == TIME_OK || case_time(key, &at);
}

static bool knows_bearer(const struct case_run *run, struct text key)
{
    return knows_account(run, key) || knows_sku(run, key) || knows_resource(run, key);
}

static bool knows_cost(const struct case_run *run, struct text key)
{
    return knows_bearer(run, key) || knows_commitment(run, key) || text_equal(key, TEXT("all"));
}

/* SKU, kind, and with points between: account, SKU and kind. */
static bool knows_quantity(const struct case_run *run, struct text key)
{
    bool is_known = knows_sku(run, key) || knows_kind(run, key);
    for (size_t end = key.size; end > 0 && !is_known; end--) {
        struct text kind = {key.at + end, key.size - end}, rest = {key.at, end - 1};
        if (key.at[end - 1] != '.' || !knows_kind(run, kind)) {
            continue;
        }
        is_known = knows_sku(run, rest) || knows_account(run, rest);
        for (size_t at = 1; at < rest.size && !is_known; at++) {
            is_known = rest.at[at] == '.' && knows_account(run, (struct text){rest.at, at}) &&
                       knows_sku(run, (struct text){rest.at + at + 1, rest.size - at - 1});
        }
    }
    return is_known;
}

/* A line of a single event has its id and source in front of its dimensions. */
static bool knows_dimension(const struct case_run *run, struct text key)
{
    return case_has_dimension(run, key) || text_equal(key, TEXT("@id")) ||
           text_equal(key, TEXT("@source"));
}

bool case_knows(const struct case_run *run, struct text what, struct text key)
{
    static const struct {
        const char *what;
        bool (*knows)(const struct case_run *, struct text);
    } KNOWN[] = {
        {"by_account", knows_account},   {"by_payer", knows_account},
        {"by_sku", knows_sku},           {"by_product", knows_product},
        {"by_step", knows_step},         {"by_kind", knows_kind},
        {"by_resource", knows_resource}, {"by_contract", knows_contract},
        {"by_tier", knows_tier},         {"by_period", knows_time},
        {"by_dim", knows_dimension},     {"net", knows_bearer},
        {"quantity", knows_quantity},    {"unused", knows_commitment},
        {"effective", knows_cost},       {"balance", knows_grant},
        {"pending", knows_kind},
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        if (text_equal(what, text_of(KNOWN[i].what))) {
            return key.size == 0 || KNOWN[i].knows(run, key);
        }
    }
    return true;
}
