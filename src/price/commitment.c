/* commitment.c - what a payer has committed itself to: turn by turn how much is left of it, and
 * what it costs.
 *
 * Idea: a turn of a commitment is a small account of units.  Covers use them (step_cover.c); what
 * nobody used is told at the end, so that used + unused = capacity by construction; that and all
 * else that must close is checked (close.h).  What a turn costs, its recurring fee and the part of
 * the upfront fee that its time is of the term, is shared among the units by the chord of the
 * curve: E(x) = cost x / capacity, quantized once, so that what is effective of all units and of
 * the unused part is the cost to the last digit.
 */
#include <assert.h>

#include "price/work.h"

#include "base/nofloat.h"

enum status commitment_fail(struct work *work, enum status status,
                            const struct commitment *commitment)
{
    static const char begin[] = "commitment ";
    bool is_said = work->err && strncmp(work->err->message, begin, sizeof begin - 1) == 0;
    if (work->err && !is_said) {
        struct error inner = *work->err;
        (void)fail(work->err, status, "commitment %.*s of offering %.*s: %s",
                   TEXT_ARG(commitment->id),
                   TEXT_ARG(work->catalog->offerings[commitment->offering].name), inner.message);
        memcpy(work->err->hint, inner.hint, sizeof inner.hint);
    }
    return status;
}

/* ---- which ones ------------------------------------------------------------------------------ */

const struct turn_list *commitments_list(const struct work *work, const struct step *clock)
{
    const struct commitments *all = work->commitments;
    for (uint32_t i = 0; i < all->list_count; i++) {
        if (step_has_same_clock(all->lists[i]->clock, clock)) {
            return all->lists[i];
        }
    }
    return NULL;
}

static const struct turn_list *make_list(struct work *work, const struct step *clock)
{
    struct commitments *all = work->commitments;
    const struct turn_list *found = commitments_list(work, clock);
    if (found) {
        return found;
    }
    const struct period cut = work->pricing->cut;
    struct turn_list *list = arena_alloc(work->arena, sizeof *list);
    *list = (struct turn_list){.clock = clock};
    uint32_t capacity = 0;
    for (instant at = cut.from; at < cut.to;) {
        list->items =
            arena_room(work->arena, list->items, list->count, &capacity, sizeof *list->items);
        list->items[list->count] = turn_find(work, clock, NULL, work->pricing->payer, at);
        at = list->items[list->count++].to;
    }
    const struct turn_list **lists =
        arena_alloc(work->arena, (all->list_count + 1) * sizeof(const struct turn_list *));
    if (all->list_count > 0) {
        memcpy(lists, all->lists, all->list_count * sizeof(const struct turn_list *));
    }
    lists[all->list_count++] = list;
    all->lists = lists;
    return list;
}

uint32_t commitments_turn(const struct turn_list *list, instant at)
{
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->items[middle].to <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < list->count && period_has(list->items[low], at) ? low : NONE;
}

/* The first of an account in the accounts' list. */
static uint32_t find_first(const struct accounts *accounts, uint32_t account)
{
    return sort_first(accounts->commitments, accounts->commitment_count,
                      sizeof *accounts->commitments, offsetof(struct held, account), account);
}

/* Whether it may have a turn in the bill, or be paid in it: of a turn that has begun it is also
 * when its account has left since. */
static bool is_of_bill(struct work *work, const struct member_span *member,
                       const struct commitment *commitment)
{
    const struct period cut = work->pricing->cut, span = member->span;
    const struct period term = {commitment->from, commitment->to};
    const struct period part = period_intersect(period_intersect(term, span), cut);
    if (part.from < part.to) {
        return true;
    }
    if (span.to > cut.from || term.to <= cut.from) {
        return false;
    }
    const struct step *clock = &work->catalog->offerings[commitment->offering].steps[FEE_RECURRING];
    const struct period turn = turn_find(work, clock, NULL, work->pricing->payer, cut.from);
    return period_has(span, turn.from > term.from ? turn.from : term.from);
}

static void add(struct work *work, const struct member_span *member,
                const struct commitment *commitment, uint32_t *capacity)
{
    if (!is_of_bill(work, member, commitment)) {
        return;
    }
    if (!work->commitments) {
        work->commitments = arena_calloc(work->arena, 1, sizeof *work->commitments);
    }
    struct commitments *all = work->commitments;
    all->items = arena_room(work->arena, all->items, all->count, capacity, sizeof *all->items);
    const struct offering *offering = &work->catalog->offerings[commitment->offering];
    const struct turn_list *list = make_list(work, &offering->steps[FEE_RECURRING]);
    all->items[all->count++] = (struct held_commitment){.commitment = commitment,
                                                        .offering = offering,
                                                        .account = member->account,
                                                        .term = {commitment->from, commitment->to},
                                                        .member = member->span,
                                                        .list = list};
}

/* At once: they are the largest part by far. */
static void make_turns(struct work *work)
{
    struct commitments *all = work->commitments;
    size_t count = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        count += all->items[i].list->count;
    }
    struct commitment_turn *turns = arena_calloc(work->arena, count + 1, sizeof *turns);
    for (uint32_t i = 0; i < all->count; i++) {
        all->items[i].turns = turns;
        turns += all->items[i].list->count;
    }
}

void commitments_find(struct work *work)
{
    const struct accounts *accounts = work->pricing->accounts;
    uint32_t capacity = 0;
    if (accounts->commitment_count == 0 || work->pricing->source_charges) {
        return;
    }
    for (uint32_t i = 0; i < work->pricing->member_count; i++) {
        const struct member_span *member = &work->pricing->members[i];
        uint32_t at = find_first(accounts, member->account);
        for (; at < accounts->commitment_count &&
               accounts->commitments[at].account == member->account;
             at++) {
            add(work, member, accounts->commitments[at].commitment, &capacity);
        }
    }
    if (work->commitments) {
        make_turns(work);
    }
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* A charge that is of the commitment and of no row. */
static struct charge charge_of(const struct work *work, const struct held_commitment *held,
                               int step, instant at)
{
    const struct offering *offering = held->offering;
    return (struct charge){
        .kind = CHARGE_COMMITMENT,
        .has_amount = true,
        .level = LEVEL_CATALOG,
        .account = held->account,
        .sku = NONE,
        .series = NONE,
        .row = NONE,
        .order = CHARGE_OF_NO_ROW,
        .tier = NONE,
        .next_step = FEE_STEPS,
        .of = NONE,
        .at = at,
        .price = &offering->fees,
        .step = &offering->steps[step],
        .contract = accounts_contract(work->pricing->accounts, work->catalog, held->account, at),
        .grant = &held->commitment->id,
        .unit = TEXT("")};
}

static enum status number(struct work *work, const struct held_commitment *held, const char *what,
                          const struct number *number, const struct charge *like,
                          struct period turn, struct dec *value)
{
    const struct step *asking = work->asking;
    work->commitment = held->commitment;
    work->asking = like->step;
    enum status status = number_value(work, number, like, turn, value);
    work->asking = asking; /* the cover goes on to ask of its rows */
    TRY(status);
    if (dec_sign(*value) < 0) {
        return fail(work->err, ERR_INPUT, "%s must not be negative", what);
    }
    return OK;
}

static struct dec count_of(const struct work *work, const struct held_commitment *held)
{
    const struct expr_value *count = &held->commitment->values[work->catalog->count_name];
    bool has_count = count->type == EXPR_NUMBER && dec_sign(count->number) > 0;
    return has_count ? count->number : dec_from_int(1);
}

/* What its record says for one of its count, else its offering for all. */
static enum status cost(struct work *work, const struct held_commitment *held, int step,
                        const struct charge *like, struct period turn, struct dec *value)
{
    bool is_upfront = step == FEE_UPFRONT;
    const struct offering *offering = held->offering;
    uint32_t name = is_upfront ? work->catalog->upfront_name : work->catalog->recurring_name;
    const struct expr_value *own = &held->commitment->values[name];
    *value = DEC_ZERO;
    if (own->type == EXPR_NUMBER) {
        return dec_multiply_round(own->number, count_of(work, held), DEC_SCALE, ROUND_HALF_EVEN,
                                  value, work->err);
    }
    if (is_upfront ? offering->has_upfront : offering->has_recurring) {
        return number(work, held, is_upfront ? "upfront" : "recurring",
                      is_upfront ? &offering->upfront : &offering->recurring, like, turn, value);
    }
    return OK;
}

static enum status upfront_cost(struct work *work, const struct held_commitment *held,
                                struct dec *value)
{
    *value = DEC_ZERO;
    if (held->term.from == INSTANT_MIN) {
        return OK;
    }
    struct charge like = charge_of(work, held, FEE_UPFRONT, held->term.from);
    struct period turn = turn_find(work, like.step, NULL, held->account, like.at);
    return cost(work, held, FEE_UPFRONT, &like, turn, value);
}

/* Of an upfront fee, what is of the time up to an instant. */
static enum status spent(const struct held_commitment *held, struct dec upfront, instant at,
                         struct dec *value, struct error *err)
{
    struct period term = held->term;
    instant end = at < term.from ? term.from : at > term.to ? term.to : at;
    return dec_multiply_divide(upfront, dec_from_int(end - term.from),
                               dec_from_int(term.to - term.from), DEC_SCALE, ROUND_HALF_EVEN, value,
                               err);
}

/* What bills before have used of a turn that has begun. */
static struct dec used_before(struct work *work, const struct held_commitment *held,
                              struct period time)
{
    const struct bucket_state *state =
        work->pricing->opening_count == 0
            ? NULL
            : bucket_opening(
                  work,
                  bucket_commitment_name(work, held->account, time.from, held->commitment->id),
                  time.to);
    return state ? state->x : DEC_ZERO;
}

/* What a turn costs: its fee, and what is of its time of that which was paid upfront. */
static enum status turn_cost(struct work *work, const struct held_commitment *held,
                             const struct charge *like, struct period time, struct dec *value)
{
    TRY(cost(work, held, FEE_RECURRING, like, time, value));
    if (held->term.from == INSTANT_MIN || held->term.to == INSTANT_MAX) {
        return OK;
    }
    struct dec upfront, before, after;
    TRY(upfront_cost(work, held, &upfront));
    TRY(spent(held, upfront, time.from, &before, work->err));
    TRY(spent(held, upfront, time.to, &after, work->err));
    TRY(dec_subtract(after, before, &after, work->err));
    return dec_add(*value, after, value, work->err);
}

static bool is_same_terms(const struct commitment_terms *a, const struct commitment_terms *b)
{
    return a && dec_equal(a->capacity, b->capacity) && dec_equal(a->cost, b->cost) &&
           dec_equal(a->before, b->before);
}

static const struct commitment_terms *keep_terms(struct work *work, struct held_commitment *held,
                                                 const struct commitment_terms *terms)
{
    for (size_t i = 0; i < sizeof held->terms / sizeof *held->terms; i++) {
        if (is_same_terms(held->terms[i], terms)) {
            return held->terms[i];
        }
    }
    struct commitment_terms *kept = arena_alloc(work->arena, sizeof *kept);
    *kept = *terms;
    held->terms[1] = held->terms[0];
    held->terms[0] = kept;
    return kept;
}

static enum status fill(struct work *work, struct held_commitment *held, uint32_t index,
                        struct commitment_turn *turn)
{
    const struct period time = held->list->items[index];
    instant begin = time.from > held->term.from ? time.from : held->term.from;
    *turn = (struct commitment_turn){.is_known = true};
    turn->is_active =
        time.to > held->term.from && time.from < held->term.to && period_has(held->member, begin);
    if (!turn->is_active) {
        return OK;
    }
    struct commitment_terms terms = {0};
    struct charge like = charge_of(work, held, FEE_RECURRING, begin);
    if (held->offering->has_capacity) {
        TRY(number(work, held, "capacity", &held->offering->capacity, &like, time,
                   &terms.capacity));
        const instant from = work->pricing->cut.from;
        turn->has_begun = time.from < from && held->term.from < from;
        if (turn->has_begun) { /* the capacity may be less than it was */
            terms.before = dec_min(used_before(work, held, time), terms.capacity);
        }
        turn->used = terms.before;
        TRY(dec_subtract(terms.capacity, turn->used, &turn->left, work->err));
    }
    TRY(turn_cost(work, held, &like, time, &terms.cost));
    turn->terms = keep_terms(work, held, &terms);
    return OK;
}

enum status commitments_open(struct work *work, struct held_commitment *held, uint32_t index,
                             struct commitment_turn **out)
{
    *out = &held->turns[index];
    if ((*out)->is_known) {
        return OK;
    }
    enum status status = fill(work, held, index, *out);
    return status == OK ? OK : commitment_fail(work, status, held->commitment);
}

/* E(x): what x units of a turn cost. */
static enum status effective(const struct commitment_turn *turn, struct dec x, struct dec *value,
                             struct error *err)
{
    if (dec_is_zero(turn->terms->cost) || dec_is_zero(turn->terms->capacity)) {
        *value = DEC_ZERO;
        return OK;
    }
    return dec_multiply_divide(turn->terms->cost, x, turn->terms->capacity, DEC_SCALE,
                               ROUND_HALF_EVEN, value, err);
}

enum status commitments_use(struct work *work, struct commitment_turn *turn, struct dec units,
                            struct dec *value)
{
    struct dec before, after;
    TRY(effective(turn, turn->used, &before, work->err));
    TRY(dec_add(turn->used, units, &turn->used, work->err));
    TRY(dec_subtract(turn->left, units, &turn->left, work->err));
    TRY(effective(turn, turn->used, &after, work->err));
    return dec_subtract(after, before, value, work->err);
}

void commitments_set_effective(struct work *work, const struct held_commitment *held,
                               uint32_t charge, struct dec value)
{
    struct commitments *all = work->commitments;
    all->effective = arena_room(work->arena, all->effective, all->effective_count,
                                &all->effective_capacity, sizeof *all->effective);
    all->effective[all->effective_count++] =
        (struct effective){charge, (uint32_t)(held - all->items), value};
}

/* ---- charges --------------------------------------------------------------------------------- */

static bool has_rates_by_time(const struct catalog *catalog)
{
    return catalog->conversion.rates && catalog->conversion.at == SETTINGS_AT_ROW;
}

/* The rate of exchange of a turn by its row in the table, where each turn has that of its time; so
 * turns of two rates stand on two lines. */
static enum status find_rate(struct work *work, struct dec cost, instant begin,
                             const struct place **rate)
{
    const struct catalog *catalog = work->catalog;
    struct used_rate used = {.place = NULL};
    if (has_rates_by_time(catalog) && work->currency != catalog->currency && !dec_is_zero(cost)) {
        TRY(pricing_rate(work->pricing, catalog->currency, work->currency, begin, &used,
                         work->err));
    }
    *rate = used.place;
    return OK;
}

/* Neighbouring turns with one fee stand on one line.  They are one charge too, unless there are
 * terms, or rates of exchange of a view by source, which see each at its time, or thresholds, which
 * fees reach one by one. */
static bool is_charged_by_turn(const struct catalog *catalog)
{
    return catalog->has_terms || catalog->has_thresholds || has_rates_by_time(catalog);
}

struct run {
    struct charge charge;
    struct dec fee;
    const struct place *rate;
    uint32_t first, turns; /* in the list */
};

static enum status add_fee(struct work *work, const struct held_commitment *held,
                           const struct run *run, instant at, uint32_t turns)
{
    struct charge charge = run->charge;
    struct dec number = count_of(work, held), back;
    charge.at = at;
    TRY(dec_multiply(run->fee, dec_from_int(turns), &charge.amount, work->err));
    TRY(dec_multiply(number, dec_from_int(turns), &charge.quantity, work->err));
    TRY(dec_divide(run->fee, number, DEC_SCALE, ROUND_HALF_EVEN, &charge.rate, work->err));
    charge.has_rate =
        dec_multiply(charge.rate, number, &back, NULL) == OK && dec_compare(back, run->fee) == 0;
    charge.rate = charge.has_rate ? charge.rate : DEC_ZERO;
    charge.net = charge.list = charge.amount;
    uint32_t index = work_add_charge(work, &charge);
    if (held->offering->has_capacity) { /* what is covered and what is unused cost it */
        commitments_set_effective(work, held, index, DEC_ZERO);
    }
    work_trace_step(work, index, NULL,
                    (struct trace){.step = charge.step,
                                   .after = charge.quantity,
                                   .f_after = charge.amount,
                                   .limit = run->fee,
                                   .turn = charge.span,
                                   .grant = charge.grant,
                                   .tier = NONE});
    return OK;
}

static enum status end_run(struct work *work, const struct held_commitment *held, struct run *run)
{
    const struct catalog *catalog = work->catalog;
    uint32_t turns = dec_is_zero(run->fee) ? 0 : run->turns;
    run->turns = 0;
    if (turns == 0 || !is_charged_by_turn(catalog)) {
        return turns == 0 ? OK : add_fee(work, held, run, run->charge.at, turns);
    }
    for (uint32_t i = 0; i < turns; i++) {
        instant at = i == 0 ? run->charge.at : held->list->items[run->first + i].from;
        TRY(add_fee(work, held, run, at, 1));
    }
    return OK;
}

static enum status charge_recurring(struct work *work, struct held_commitment *held)
{
    const struct period cut = work->pricing->cut;
    struct run run = {.turns = 0};
    for (uint32_t i = 0; i < held->list->count; i++) {
        const struct period time = held->list->items[i];
        instant begin = time.from > held->term.from ? time.from : held->term.from;
        bool is_due = time.to > held->term.from && time.from < held->term.to &&
                      period_has(held->member, begin) && period_has(cut, begin);
        struct dec fee = DEC_ZERO;
        struct charge charge = charge_of(work, held, FEE_RECURRING, begin);
        if (is_due) {
            TRY(cost(work, held, FEE_RECURRING, &charge, time, &fee));
        }
        const struct place *rate;
        TRY(find_rate(work, fee, begin, &rate));
        bool goes_on = is_due && run.turns > 0 && dec_equal(fee, run.fee) && rate == run.rate &&
                       charge.contract == run.charge.contract && run.charge.span.to == begin;
        if (!goes_on) {
            TRY(end_run(work, held, &run));
            run.charge = charge;
            run.charge.span.from = begin;
            run.fee = fee;
            run.rate = rate;
            run.first = i;
        }
        run.charge.span.to = time.to < held->term.to ? time.to : held->term.to;
        run.turns += is_due;
    }
    return end_run(work, held, &run);
}

static enum status charge_upfront(struct work *work, const struct held_commitment *held)
{
    instant at = held->term.from;
    if (at == INSTANT_MIN || !period_has(work->pricing->cut, at) || !period_has(held->member, at)) {
        return OK;
    }
    struct run run = {.charge = charge_of(work, held, FEE_UPFRONT, at), .turns = 1};
    TRY(upfront_cost(work, held, &run.fee));
    run.charge.span = period_intersect(held->term, work->pricing->cut);
    return end_run(work, held, &run);
}

/* What is left of turns, which is a charge of no amount. */
struct unused {
    struct charge charge; /* `at` is INSTANT_MIN where there is none */
    struct dec units, value;
    const struct place *rate;
};

static enum status end_unused(struct work *work, const struct held_commitment *held,
                              struct unused *unused)
{
    struct charge charge = unused->charge;
    struct dec units = unused->units, value = unused->value;
    *unused = (struct unused){{.at = INSTANT_MIN}, DEC_ZERO, DEC_ZERO, NULL};
    if (charge.at == INSTANT_MIN || (dec_is_zero(units) && dec_is_zero(value))) {
        return OK;
    }
    charge.kind = CHARGE_UNUSED;
    charge.has_amount = false; /* terms see nothing of it */
    charge.quantity = units;
    charge.amount = charge.net = charge.list = DEC_ZERO;
    uint32_t index = work_add_charge(work, &charge);
    commitments_set_effective(work, held, index, value);
    work_trace_step(work, index, NULL,
                    (struct trace){.step = charge.step,
                                   .after = units,
                                   .limit = value,
                                   .turn = charge.span,
                                   .grant = charge.grant,
                                   .tier = NONE});
    return OK;
}

/* All turns are one charge, or those of one rate of exchange. */
static enum status charge_unused(struct work *work, struct held_commitment *held)
{
    struct unused unused = {{.at = INSTANT_MIN}, DEC_ZERO, DEC_ZERO, NULL};
    if (!held->offering->has_capacity) {
        return OK;
    }
    for (uint32_t i = 0; i < held->list->count; i++) {
        struct commitment_turn *turn;
        struct dec used;
        TRY(commitments_open(work, held, i, &turn));
        if (!turn->is_active) {
            continue;
        }
        struct dec rest = turn->left;
        TRY(effective(turn, turn->used, &used, work->err));
        if (turn->has_begun) { /* its bill has told all that was left then */
            struct dec before;
            TRY(effective(turn, turn->terms->before, &before, work->err));
            TRY(dec_subtract(before, used, &used, work->err));
            TRY(dec_subtract(turn->terms->before, turn->used, &rest, work->err));
        } else {
            TRY(dec_subtract(turn->terms->cost, used, &used, work->err));
        }
        instant begin = held->list->items[i].from;
        begin = begin > held->term.from ? begin : held->term.from;
        const struct place *rate;
        TRY(find_rate(work, turn->terms->cost, begin, &rate));
        if (rate != unused.rate) {
            TRY(end_unused(work, held, &unused));
            unused.rate = rate;
        }
        TRY(dec_add(unused.units, rest, &unused.units, work->err));
        TRY(dec_add(unused.value, used, &unused.value, work->err));
        if (unused.charge.at == INSTANT_MIN) {
            unused.charge = charge_of(work, held, FEE_UNUSED, begin);
            unused.charge.span.from = begin;
        }
        instant end = held->list->items[i].to;
        unused.charge.span.to = end < held->term.to ? end : held->term.to;
    }
    return end_unused(work, held, &unused);
}

enum status commitments_charge(struct work *work)
{
    for (uint32_t i = 0; work->commitments && i < work->commitments->count; i++) {
        struct held_commitment *held = &work->commitments->items[i];
        enum status status = charge_recurring(work, held);
        status = status == OK ? charge_upfront(work, held) : status;
        status = status == OK ? charge_unused(work, held) : status;
        if (status != OK) {
            return commitment_fail(work, status, held->commitment);
        }
    }
    return OK;
}

/* ---- what closes ----------------------------------------------------------------------------- */

/* What the turns of a commitment say. */
static enum status add_turns(struct work *work, const struct held_commitment *held,
                             struct balance *balance)
{
    struct period time = {INSTANT_MAX, INSTANT_MIN}; /* of the turns that begin in the bill */
    for (uint32_t i = 0; i < held->list->count; i++) {
        const struct commitment_turn *turn = &held->turns[i];
        struct dec used, left = turn->left;
        if (!turn->is_active) {
            continue;
        }
        TRY(close_turn(turn->terms->capacity, turn->used, turn->left, work->err));
        TRY(dec_subtract(turn->used, turn->terms->before, &used, work->err));
        TRY(dec_add(balance->used, used, &balance->used, work->err));
        if (turn->has_begun) {
            left = dec_negate(used);
        } else {
            TRY(dec_add(balance->cost, turn->terms->cost, &balance->cost, work->err));
            time.from = time.from == INSTANT_MAX ? held->list->items[i].from : time.from;
            time.to = held->list->items[i].to;
        }
        TRY(dec_add(balance->left, left, &balance->left, work->err));
    }
    if (time.from < time.to && held->term.from > INSTANT_MIN && held->term.to < INSTANT_MAX) {
        struct dec upfront, before, after;
        TRY(upfront_cost(work, held, &upfront));
        TRY(spent(held, upfront, time.from, &before, work->err));
        TRY(spent(held, upfront, time.to, &after, work->err));
        TRY(dec_subtract(after, before, &balance->spread, work->err));
    }
    return OK;
}

/* What its charges say. */
static enum status add_charge(const struct work *work, const struct effective *effective,
                              struct balance *balance)
{
    const struct charge *charge = &work->charges[effective->charge];
    TRY(close_charge(work->charges, work->charge_count, effective->charge, effective->value,
                     work->err));
    TRY(dec_add(balance->effective, effective->value, &balance->effective, work->err));
    struct dec *sum = charge->kind == CHARGE_UNUSED                        ? &balance->unused
                      : charge->step == &charge->price->steps[FEE_UPFRONT] ? &balance->upfront
                                                                           : &balance->recurring;
    if (charge->kind != CHARGE_UNUSED && charge->kind != CHARGE_COMMITMENT) {
        return OK;
    }
    return dec_add(*sum, charge->kind == CHARGE_UNUSED ? charge->quantity : charge->amount, sum,
                   work->err);
}

static bool has_whole_term(const struct work *work, const struct held_commitment *held)
{
    struct period part =
        period_intersect(held->term, period_intersect(held->member, work->pricing->cut));
    return part.from == held->term.from && part.to == held->term.to;
}

enum status commitments_close(struct work *work)
{
    const struct commitments *all = work->commitments;
    if (!all || all->effective_count == 0) {
        return OK;
    }
    struct balance *balances = arena_calloc(work->arena, all->count, sizeof *balances);
    bool has_negation = false;
    for (uint32_t i = 0; i < all->effective_count; i++) {
        const struct effective *effective = &all->effective[i];
        enum status status = add_charge(work, effective, &balances[effective->held]);
        if (status != OK) {
            return commitment_fail(work, status, all->items[effective->held].commitment);
        }
        has_negation = has_negation || work->charges[effective->charge].step->cover.shows_negation;
    }
    for (uint32_t i = 0; i < all->count; i++) {
        const struct held_commitment *held = &all->items[i];
        if (!held->offering->has_capacity) {
            continue;
        }
        balances[i].units = held->units;
        balances[i].is_whole = has_whole_term(work, held);
        enum status status = add_turns(work, held, &balances[i]);
        status = status == OK ? close_balance(&balances[i], work->err) : status;
        if (status != OK) {
            return commitment_fail(work, status, held->commitment);
        }
    }
    return has_negation ? close_negations(work->arena, work->charges, work->charge_count, work->err)
                        : OK;
}

/* Into the bill's currency: what commitments cost is in the catalog's. */
static enum status convert(struct work *work, const struct charge *charge, struct dec *value)
{
    struct used_rate rate;
    if (work->currency == work->catalog->currency || dec_is_zero(*value)) {
        return OK;
    }
    TRY(pricing_rate(work->pricing, work->catalog->currency, work->currency, charge->at, &rate,
                     work->err));
    return dec_multiply_round(*value, rate.rate, DEC_SCALE, ROUND_HALF_EVEN, value, work->err);
}

enum status commitments_effective(struct work *work, struct priced *priced)
{
    const struct commitments *all = work->commitments;
    if (!all || all->effective_count == 0) {
        return OK;
    }
    uint32_t *of = arena_alloc(work->arena, (work->charge_count + 1) * sizeof *of);
    struct dec *values = arena_alloc(work->arena, all->effective_count * sizeof *values);
    memset(of, 0xFF, work->charge_count * sizeof *of);
    for (uint32_t i = 0; i < all->effective_count; i++) {
        struct charge *charge = &work->charges[all->effective[i].charge];
        charge->has_amount = true; /* of what is unused too, now that terms are behind it */
        of[all->effective[i].charge] = i;
        values[i] = all->effective[i].value;
        TRY(convert(work, charge, &values[i]));
    }
    priced->effective_of = of;
    priced->effective = values;
    return OK;
}

uint32_t commitments_closing(struct work *work, struct bucket_state *states)
{
    uint32_t count = 0;
    for (uint32_t i = 0; work->commitments && i < work->commitments->count; i++) {
        const struct held_commitment *held = &work->commitments->items[i];
        for (uint32_t k = held->list->count; k > 0; k--) { /* the last ones alone go on */
            const struct period time = held->list->items[k - 1];
            const struct commitment_turn *turn = &held->turns[k - 1];
            if (time.to <= work->pricing->cut.to) {
                break;
            }
            if (!turn->is_known || !turn->is_active || dec_is_zero(turn->used)) {
                continue;
            }
            if (states) {
                states[count] =
                    (struct bucket_state){.key = bucket_commitment_name(
                                              work, held->account, time.from, held->commitment->id),
                                          .turn = time,
                                          .x = turn->used,
                                          .y = turn->used,
                                          .events = DEC_ZERO,
                                          .high = DEC_ZERO};
            }
            count++;
        }
    }
    return count;
}
