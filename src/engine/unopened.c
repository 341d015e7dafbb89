/* unopened.c - what looks as if a run had not been given what it goes on from.
 *
 * A step whose turn began before the bill goes on from what was used since then, and a meter that
 * carries goes on from its last value.  Without --opening both begin from nothing, and nobody could
 * tell from the bill: a quarter's cheaper tiers are just not reached.  That the run is the very
 * first one cannot be proved, so it is a warning, which `--opening none` answers.  And what an
 * opening says of a step that the catalog calls otherwise now is found by nothing.
 */
#include "engine/load.h"
#include "engine/opening.h"
#include "engine/run.h"

/* Where to look: the moment a bill begins, and whose it is. */
struct beginning {
    instant at;
    instant turn_from; /* of the turn of billing that holds it */
    uint32_t payer;    /* NONE: of everybody */
    instant since;     /* when that one began */
};

struct unopened {
    const struct price *price;
    const struct step *step; /* the first that was found */
    instant since;
    uint32_t count;
};

/* True of a step whose bucket is more than one row or one line: what comes later depends on what
 * came before. */
static bool accumulates(const struct step *step)
{
    switch (step->kind) {
    case STEP_CONVERT:
    case STEP_AGGREGATE:
    case STEP_COVER:
    case STEP_ALLOWANCE:
    case STEP_TIER:
    case STEP_BOUND:
    case STEP_DISCOUNT:
    case STEP_MARKUP:
    case STEP_FEE:
    case STEP_COMMIT:
    case STEP_CREDIT:
        return step->clock != CLOCK_ROW;
    case STEP_ROUND:
        return step->round.at == ROUND_AT_BUCKET && step->clock != CLOCK_ROW;
    case STEP_TAX:
        return step->tax.at != TAX_AT_LINE && step->clock != CLOCK_ROW;
    case STEP_RATE:
    case STEP_PERCENT:
    case STEP_FORMULA:
    case STEP_FIXED:
    case STEP_ALLOCATE: /* bill by bill */
    case STEP_TALLY:
        break;
    }
    return false;
}

static instant turn_start(const struct step *step, const struct contract *contract,
                          const struct beginning *beginning)
{
    struct clock clock = step->rule;
    if (step->clock == CLOCK_ALWAYS) {
        return INSTANT_MIN;
    }
    if (step->clock == CLOCK_PERIOD) {
        return beginning->turn_from;
    }
    if (step->clock == CLOCK_ACCOUNT) {
        clock = clock_since(clock, beginning->since);
    } else if (step->clock == CLOCK_CONTRACT && contract) {
        clock = clock_since(clock, contract->from);
    }
    return clock_turn(&clock, beginning->at).from;
}

/* When the first version of the price began: before that, nothing can have gone into its buckets.
 * base: where the prices begin that it is one of, the catalog's or those of overrides. */
static instant price_start(const struct price *base, const struct price *price,
                           const struct step *step)
{
    const struct price *first = price;
    while (!step->on_change_restart && first > base && price_is_version(first - 1, price)) {
        first--;
    }
    return first->from;
}

/* A step whose turn began then, before the bill does. */
static void note_step(struct unopened *unopened, const struct price *price, const struct step *step,
                      instant since)
{
    if (unopened->count++ == 0) {
        unopened->price = price;
        unopened->step = step;
        unopened->since = since;
    }
}

static void look_at_price(const struct run *run, const struct price *base,
                          const struct price *price, const struct contract *contract,
                          const struct beginning *beginning, struct unopened *unopened)
{
    if (price->from >= run->period.to || price->to <= beginning->at) {
        return;
    }
    for (uint32_t i = 0; i < price->step_count; i++) {
        const struct step *step = &price->steps[i];
        if (!accumulates(step) || price_start(base, price, step) >= beginning->at) {
            continue;
        }
        instant start = turn_start(step, contract, beginning);
        if (start < beginning->at) {
            note_step(unopened, price, step, start);
        }
    }
}

/* Terms begin with their contract, or with the account: the others are looked at by the caller. */
static void look_at_terms(const struct run *run, const struct price *terms,
                          const struct contract *contract, const struct beginning *beginning,
                          struct unopened *unopened)
{
    for (uint32_t i = 0; i < terms->step_count; i++) {
        const struct step *step = &terms->steps[i];
        instant start = accumulates(step) ? turn_start(step, contract, beginning) : INSTANT_MAX;
        if (start < beginning->at && terms->from < run->period.to) {
            note_step(unopened, terms, step, start);
        }
    }
}

static void look_at_prices(const struct run *run, const struct price_set *set,
                           const struct contract *contract, const struct beginning *beginning,
                           struct unopened *unopened)
{
    for (uint32_t i = 0; i < set->count; i++) {
        look_at_price(run, set->base, &set->base[set->prices[i]], contract, beginning, unopened);
    }
}

/* The contract that anchors clocks of the catalog's prices: of several the first, since one is
 * enough for a warning. */
static const struct contract *any_contract(const struct run *run, const struct beginning *beginning)
{
    if (beginning->payer != NONE) {
        return accounts_contract(run->accounts, run->catalog, beginning->payer, beginning->at);
    }
    for (uint32_t i = 0; i < run->catalog->contract_count; i++) {
        const struct contract *contract = &run->catalog->contracts[i];
        if (contract->from < beginning->at && contract->to > beginning->at) {
            return contract;
        }
    }
    return NULL;
}

static void look_at_contract(const struct run *run, const struct contract *contract,
                             const struct beginning *beginning, struct unopened *unopened)
{
    if (contract->from < beginning->at && contract->to > beginning->at) {
        look_at_prices(run, &contract->prices, contract, beginning, unopened);
        look_at_terms(run, &contract->terms, contract, beginning, unopened);
    }
}

/* index: of accounts->overrides; NONE. */
static void look_at_override(const struct run *run, uint32_t index,
                             const struct beginning *beginning, struct unopened *unopened)
{
    const struct override *override = index == NONE ? NULL : &run->accounts->overrides[index];
    if (!override || run->accounts->items[override->account].since >= beginning->at) {
        return;
    }
    for (uint32_t i = 0; i < override->prices.count; i++) {
        const struct price *price = &override->prices.base[override->prices.prices[i]];
        if (price->from < beginning->at) {
            look_at_price(run, override->prices.base, price, NULL, beginning, unopened);
        }
    }
}

static void look(const struct run *run, const struct beginning *beginning,
                 struct unopened *unopened)
{
    const struct catalog *catalog = run->catalog;
    const struct contract *anchor = any_contract(run, beginning);
    look_at_prices(run, &catalog->public_prices, anchor, beginning, unopened);
    look_at_terms(run, &catalog->terms, anchor, beginning, unopened);
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        look_at_prices(run, &catalog->plans[i].prices, anchor, beginning, unopened);
        look_at_terms(run, &catalog->plans[i].terms, anchor, beginning, unopened);
    }
    if (beginning->payer != NONE) { /* its own alone: of all there may be as many as of payers */
        if (anchor) {
            look_at_contract(run, anchor, beginning, unopened);
        }
        look_at_override(run, run->accounts->items[beginning->payer].override, beginning, unopened);
        return;
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        look_at_contract(run, &catalog->contracts[i], beginning, unopened);
    }
    for (uint32_t i = 0; i < run->accounts->override_count; i++) {
        look_at_override(run, i, beginning, unopened);
    }
}

static void tell(struct run *run, const struct unopened *unopened)
{
    static const char ADVICE[] =
        "give the closing.ndjson of the period before with --opening, or --opening none when "
        "nothing was billed before";
    const struct step *step = unopened->step;
    char from[TIME_FORMAT_MAX];
    const char *since = "since the beginning";
    if (unopened->since > INSTANT_MIN) {
        (void)time_format_short(unopened->since, from);
        since = text_format(&run->arena, "since %s", from).at;
    }
    run_warn(run,
             "%.*s:%u: %s %.*s%s%.*s%s goes on with what was used %s, before this "
             "period, and begins at nothing without --opening: %s",
             TEXT_ARG(step->place.file), step->place.line,
             unopened->price->is_terms ? "term" : "step", TEXT_ARG(step->name),
             unopened->price->is_terms ? "" : " of price ", TEXT_ARG(unopened->price->name),
             unopened->count > 1 ? " (and others)" : "", since, ADVICE);
}

static void tell_of_meters(struct run *run)
{
    const struct meter *first = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->catalog->meter_count; i++) {
        const struct meter *meter = &run->catalog->meters[i];
        first = first || !meter->carry ? first : meter;
        count += meter->carry;
    }
    if (first) {
        run_warn(run,
                 "%.*s:%u: meter %.*s%s goes on with its last value of the period before, and "
                 "has none without --opening: give the closing.ndjson of that period with "
                 "--opening, or --opening none when nothing was billed before",
                 TEXT_ARG(first->place.file), first->place.line, TEXT_ARG(first->name),
                 count > 1 ? " (and others)" : "");
    }
}

void warn_of_no_opening(struct run *run)
{
    struct unopened unopened = {0};
    const instant from = run->period.from;
    bool is_old = false; /* some account may have been there before */
    for (uint32_t i = 0; i < run->accounts->count && unopened.count == 0; i++) {
        struct beginning beginning = {.at = from,
                                      .turn_from = clock_turn(&run->catalog->billing, from).from,
                                      .payer = NONE,
                                      .since = INSTANT_MIN};
        bool bills = true;
        if (run->has_cuts) {
            bills = run->cut_first[i] < run->cut_first[i + 1];
            beginning.payer = i;
            beginning.since = run->accounts->items[i].since;
            beginning.at = bills ? run->cuts[run->cut_first[i]].from : from;
            const struct billing_of billing = run_billing(run, i);
            beginning.turn_from = billing_turn(&billing, beginning.at).from;
        }
        if (!bills || run->accounts->items[i].since >= beginning.at) {
            continue;
        }
        is_old = true;
        look(run, &beginning, &unopened);
        if (!run->has_cuts) {
            break;
        }
    }
    if (unopened.count > 0) {
        tell(run, &unopened);
    } else if (is_old) {
        tell_of_meters(run);
    }
}

/* ---- states of no step ----------------------------------------------------------------------- */

/* A part of a state's name, decoded, from *at on; behind it then. */
static struct text name_part(struct arena *arena, struct text key, size_t *at)
{
    const char *bar = memchr(key.at + *at, '|', key.size - *at);
    const size_t end = bar ? (size_t)(bar - key.at) : key.size;
    const struct text encoded = {key.at + *at, end - *at};
    struct text part = TEXT("");
    (void)text_decode(encoded, arena_alloc(arena, encoded.size + 1), &part);
    *at = end + (bar != NULL);
    return part;
}

/* Whether the SKU that a state's name says, or leaves out as its price has its name, is gone. */
static bool is_of_no_sku(struct run *run, struct text key, struct text node)
{
    static const struct text LABEL = {"sku=", 4};
    const struct map *skus = &run->catalog->sku_by_name;
    for (size_t at = 0; at < key.size;) {
        const struct text part = name_part(&run->arena, key, &at);
        if (text_starts_with(part, LABEL)) {
            const struct text sku = {part.at + LABEL.size, part.size - LABEL.size};
            return sku.size > 0 && map_find(skus, sku) == MAP_NONE;
        }
    }
    bool has_price = false, is_there = false; /* a step that is shared has none */
    for (size_t i = 1; i < node.size && node.at[0] != '@'; i++) {
        if (node.at[i] == '/') { /* of which one ends the name of the price */
            has_price = true;
            is_there = is_there || map_find(skus, (struct text){node.at, i}) != MAP_NONE;
        }
    }
    return has_price && !is_there;
}

/* What a turn that goes on has come to at a step, of which the catalog knows nothing: where that
 * only has another name, it begins at nothing, and tiers and minimums come out otherwise. */
static bool is_of_no_step(struct run *run, const struct bucket_state *state, struct text node)
{
    const bool is_ours = text_equal(node, TEXT("@commitment")) ||
                         text_equal(node, TEXT("@billing")) ||
                         text_starts_with(node, TEXT("@override/"));    /* records, no catalog */
    const bool counts = node.size > 0 && node.at[node.size - 1] == ')'; /* what expressions ask */
    const bool is_empty = dec_is_zero(state->x) && dec_is_zero(state->y) &&
                          dec_is_zero(state->events) && state->sample_count == 0;
    return !is_ours && !counts && !is_empty && state->turn.to > run->period.from &&
           (map_find(&run->catalog->node_by_name, node) == MAP_NONE ||
            is_of_no_sku(run, state->key, node));
}

void warn_of_no_step(struct run *run)
{
    const struct opening_bucket *first = NULL;
    struct text first_name = TEXT("");
    uint64_t count = 0;
    for (uint32_t i = 0; i < run->opening_count; i++) {
        const struct arena_mark mark = arena_mark(&run->arena);
        size_t at = 0;
        const struct text name = name_part(&run->arena, run->opening[i].state.key, &at);
        const bool is_one = is_of_no_step(run, &run->opening[i].state, name);
        if (is_one && count++ == 0) {
            first = &run->opening[i];
            first_name = name; /* stays */
        } else {
            arena_rewind(&run->arena, mark);
        }
    }
    if (!first || run->is_case) {
        return;
    }
    struct text others =
        count == 1 ? TEXT("")
                   : text_format(&run->arena, " (and %llu more)", (unsigned long long)(count - 1));
    run_warn(run,
             "%s: %.*s of %.*s%.*s has come to something in a turn that goes on, and no step of "
             "this catalog, or no SKU, is called so: what has another name begins that turn at "
             "nothing. Where a price, a SKU, a term or a step was renamed, give it back the name "
             "that it had until the turn is over",
             run->options->opening, TEXT_ARG(first_name),
             TEXT_ARG(run->accounts->items[first->payer].id), TEXT_ARG(others));
}
