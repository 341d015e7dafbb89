/* currency.c - what a bill is in, and how amounts of prices in another currency get there.
 *
 * The charges of one line are a curve F(x) = rate x x, rounded as the catalog's `currencies:` say,
 * over what has accumulated on that line: so a line's amount is its amount in the currency of the
 * price times its rate, rounded once, and its charges add up to it.
 *
 * Adjustments that prices made are converted like the charges they are of; what is left of a charge
 * is summed anew.
 */
#include "price/keys.h"
#include "price/line_key.h"
#include "price/work.h"

#include "base/nofloat.h"

/* ---- what the bill is in --------------------------------------------------------------------- */

static enum status fail_contract(const struct contract *contract, const struct currency *currency,
                                 struct text payer, struct error *err)
{
    (void)fail(err, ERR_INPUT, "contract %.*s is in %s, and the bill of %.*s in %s",
               TEXT_ARG(contract->id), contract->currency->code, TEXT_ARG(payer), currency->code);
    return fail_hint(err,
                     "a bill has one currency: say the same for the account, or bill up to the "
                     "date of the change and from there");
}

/* The contracts that an account has of its own in a time, one by one. */
static const struct contract *next_contract(const struct pricing *pricing, uint32_t account,
                                            struct period span, uint32_t *at)
{
    const struct account *item = &pricing->accounts->items[account];
    while (*at < item->contract_count) {
        uint32_t index = pricing->accounts->contract_of[item->contract_first + (*at)++];
        const struct contract *contract = &pricing->catalog->contracts[index];
        if (contract->from < span.to && span.from < contract->to) {
            return contract;
        }
    }
    return NULL;
}

enum status pricing_money(const struct pricing *pricing, struct bill_money *money,
                          struct error *err)
{
    const struct account *payer = &pricing->accounts->items[pricing->payer];
    const struct currency *said = currency_of_number(payer->currency);
    const struct contract *contract;
    *money = (struct bill_money){.currency = said ? said : pricing->catalog->currency,
                                 .settlement = currency_of_number(payer->settlement),
                                 .rounding = &pricing->catalog->rounding};
    bool is_of_contract = false;
    for (uint32_t at = 0;
         (contract = next_contract(pricing, pricing->payer, pricing->cut, &at)) != NULL;) {
        if (contract->currency && !is_of_contract) {
            money->currency = contract->currency;
            is_of_contract = true;
        }
        money->settlement = contract->settlement ? contract->settlement : money->settlement;
        money->rounding = contract->rounding ? contract->rounding : money->rounding;
    }
    if (!pricing->catalog->has_currencies) {
        return OK;
    }
    for (uint32_t i = 0; i < pricing->member_count; i++) {
        const struct member_span *member = &pricing->members[i];
        struct period span = period_intersect(member->span, pricing->cut);
        for (uint32_t at = 0;
             (contract = next_contract(pricing, member->account, span, &at)) != NULL;) {
            if (contract->currency && contract->currency != money->currency) {
                return fail_contract(contract, money->currency, payer->id, err);
            }
        }
    }
    return OK;
}

/* ---- rates ----------------------------------------------------------------------------------- */

static enum status fail_rate(const struct pricing *pricing, const struct used_rate *used,
                             struct error *err)
{
    static const char *const instants[] = {"row", "turn_start", "turn_end", "invoice"};
    const struct conversion *conversion = &pricing->catalog->conversion;
    if (!conversion->rates) {
        return fail(err, ERR_INPUT,
                    "there is no rate from %s into %s: the catalog has no rates, as by currencies: "
                    "{rates: fx} and a table fx",
                    used->from->code, used->to->code);
    }
    struct civil day = zone_civil(pricing->zone, used->asked);
    return fail(err, ERR_INPUT,
                "there is no rate from %s into %s on %04d-%02d-%02d (settings_at: %s) in %.*s: it "
                "needs a row of these two that holds then",
                used->from->code, used->to->code, day.year, day.month, day.day,
                instants[conversion->at], TEXT_ARG(conversion->rates->name));
}

enum status pricing_rate(const struct pricing *pricing, const struct currency *from,
                         const struct currency *to, instant at, struct used_rate *used,
                         struct error *err)
{
    const struct conversion *conversion = &pricing->catalog->conversion;
    const struct rate_table *table = conversion->rates;
    struct period turn = pricing_turn(pricing, pricing->cut.from);
    *used = (struct used_rate){.from = from, .to = to, .asked = at};
    switch (conversion->at) {
    case SETTINGS_AT_ROW:
        break;
    case SETTINGS_AT_TURN_START:
        used->asked = turn.from;
        break;
    case SETTINGS_AT_TURN_END:
        used->asked = turn.to - 1;
        break;
    case SETTINGS_AT_INVOICE:
        used->asked = pricing->cut.to;
        break;
    }
    const struct text key[] = {text_of(from->code), text_of(to->code)};
    const struct dec *rate = table ? rate_table_find(table, key, used->asked) : NULL;
    if (!rate) {
        return fail_rate(pricing, used, err);
    }
    used->rate = *rate;
    used->at = table->from[rate - table->rates];
    used->place = &table->places[rate - table->rates];
    return OK;
}

/* ---- amounts --------------------------------------------------------------------------------- */

/* What one line has accumulated. */
struct line_sum {
    struct dec x, f, list, f_list;
};

/* Charges that are equal by line_key_equal, and their line: several of them may be on one. */
struct sum {
    uint32_t first; /* of the charges */
    uint32_t line;
    const struct used_rate *rate;
};

struct sums {
    struct sum *items; /* by hash; rate NULL: free */
    uint32_t mask;
    struct keys keys; /* of lines */
    struct line_sum *lines;
    uint32_t line_capacity;
};

struct rates {
    const struct used_rate **items;
    uint32_t count, capacity;
};

/* The rate for a charge, one object for all that have it. */
static enum status find_rate(struct work *work, struct rates *rates, const struct charge *charge,
                             const struct currency *from, const struct used_rate **found)
{
    struct used_rate used;
    enum status status =
        pricing_rate(work->pricing, from, work->currency, charge->at, &used, work->err);
    if (status != OK) {
        return work_fail(work, status, charge->price, charge->step, charge->account);
    }
    for (uint32_t i = rates->count; i > 0; i--) { /* rows come in the order of time */
        if (rates->items[i - 1]->place == used.place) {
            *found = rates->items[i - 1];
            return OK;
        }
    }
    rates->items =
        arena_room(work->arena, rates->items, rates->count, &rates->capacity, sizeof *rates->items);
    struct used_rate *kept = arena_alloc(work->arena, sizeof *kept);
    *kept = used;
    *found = rates->items[rates->count++] = kept;
    return OK;
}

/* The line of a charge that gets that rate. */
static uint32_t find_line(const struct work *work, struct sums *sums, const struct charge *charge,
                          const struct used_rate *rate)
{
    struct arena_mark mark = arena_mark(work->arena);
    struct buffer key;
    buffer_init(&key, work->arena, 256);
    line_key_add(work->arena, work->pricing, charge, &key);
    buffer_add(&key, (const char *)&rate, sizeof rate);
    struct hash128 print = hash_print(key.at, key.size);
    arena_rewind(work->arena, mark);
    bool is_new;
    uint32_t line = keys_add(work->arena, &sums->keys, print, &is_new);
    if (line >= sums->line_capacity) {
        uint32_t more = sums->line_capacity ? sums->line_capacity * 2 : 64;
        sums->lines = arena_grow(work->arena, sums->lines, line, more, sizeof *sums->lines);
        sums->line_capacity = more;
    }
    if (is_new) {
        sums->lines[line] = (struct line_sum){DEC_ZERO, DEC_ZERO, DEC_ZERO, DEC_ZERO};
    }
    return line;
}

static struct line_sum *find_sum(const struct work *work, struct sums *sums, uint32_t index,
                                 const struct used_rate *rate)
{
    const struct charge *charge = &work->charges[index];
    uint64_t hash = line_key_hash(work->pricing, charge) ^ (uint64_t)(uintptr_t)rate >> 4;
    uint32_t at = (uint32_t)hash & sums->mask;
    while (sums->items[at].rate &&
           (sums->items[at].rate != rate ||
            !line_key_equal(work->pricing, &work->charges[sums->items[at].first], charge))) {
        at = (at + 1) & sums->mask;
    }
    struct sum *sum = &sums->items[at];
    if (!sum->rate) {
        *sum = (struct sum){index, find_line(work, sums, charge, rate), rate};
    }
    return &sums->lines[sum->line];
}

/* out = F(x + in) - F(x). */
static enum status move(const struct conversion *conversion, enum rounding mode, struct dec rate,
                        struct dec in, struct dec *x, struct dec *f, struct dec *out,
                        struct error *err)
{
    struct dec after;
    TRY(dec_add(*x, in, x, err));
    TRY(dec_multiply_round(*x, rate, conversion->digits, mode, &after, err));
    TRY(dec_subtract(after, *f, out, err));
    *f = after;
    return OK;
}

static enum status convert(struct work *work, struct sums *sums, uint32_t index,
                           const struct used_rate *rate, struct converted *converted)
{
    const struct conversion *conversion = &work->catalog->conversion;
    struct charge *charge = &work->charges[index];
    struct line_sum *sum = find_sum(work, sums, index, rate);
    *converted = (struct converted){.rate = rate, .amount = charge->amount};
    /* What takes a charge back is as much of the other currency as that one. */
    enum rounding mode =
        charge->kind == CHARGE_NEGATION ? rounding_mirrored(conversion->mode) : conversion->mode;
    enum status status = move(conversion, mode, rate->rate, charge->amount, &sum->x, &sum->f,
                              &charge->amount, work->err);
    if (status == OK) {
        status = move(conversion, mode, rate->rate, charge->list, &sum->list, &sum->f_list,
                      &charge->list, work->err);
    }
    return status == OK ? OK
                        : work_fail(work, status, charge->price, charge->step, charge->account);
}

/* What is left of each charge, from the amounts of all. */
static enum status sum_nets(struct work *work)
{
    for (uint32_t i = 0; i < work->charge_count; i++) {
        struct charge *charge = &work->charges[i];
        bool is_own = charge->of == NONE || charge->kind == CHARGE_TAX;
        charge->net = is_own ? charge->amount : DEC_ZERO;
    }
    for (uint32_t i = 0; i < work->charge_count; i++) {
        const struct charge *charge = &work->charges[i];
        if (charge->of != NONE && charge->kind != CHARGE_TAX) {
            struct dec *net = &work->charges[charge->of].net;
            TRY(dec_add(*net, charge->amount, net, work->err));
        }
    }
    return OK;
}

enum status currency_convert(struct work *work)
{
    const struct catalog *catalog = work->catalog;
    if (!catalog->has_currencies && work->currency == catalog->currency) {
        return OK;
    }
    uint32_t count = work->charge_count;
    struct converted **made = arena_calloc(work->arena, count + 1, sizeof(struct converted *));
    struct rates rates = {0};
    struct sums sums = {.mask = 15};
    while (sums.mask / 2 < count && sums.mask < UINT32_MAX) {
        sums.mask = sums.mask * 2 + 1;
    }
    sums.items = arena_calloc(work->arena, (size_t)sums.mask + 1, sizeof *sums.items);
    bool is_any = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct charge *charge = &work->charges[i];
        if (!charge->has_amount) { /* a row that went on as another, or is on no line */
            continue;
        }
        /* What a source charges is in its bill's currency, whatever a price makes of it. */
        bool is_of_source = charge->price->takes_money && charge->step->kind != STEP_FIXED;
        const struct currency *from =
            is_of_source ? work->pricing->source_currency : price_currency(catalog, charge->price);
        if (from == work->currency) {
            continue;
        }
        const struct used_rate *rate = NULL;
        TRY(find_rate(work, &rates, charge, from, &rate));
        made[i] = arena_alloc(work->arena, sizeof **made);
        TRY(convert(work, &sums, i, rate, made[i]));
        is_any = true;
    }
    for (uint32_t i = 0; i < count && is_any; i++) {
        work->charges[i].converted = made[i];
    }
    return is_any ? sum_nets(work) : OK;
}
