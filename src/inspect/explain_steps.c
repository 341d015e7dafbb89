/* explain_steps.c - what stands behind the line: its rows, what each step did for it, where its
 * price was. */
#include "inspect/explain.h"

/* Marks of charges. */
enum { OWN = 1, BASE = 2 };

/* Which charges are the line's; of an adjustment also the one that it adjusts. */
uint8_t *explain_marks(struct explain *x)
{
    struct arena *arena = &x->scratch;
    uint8_t *marks = arena_calloc(&x->run->arena, x->priced.charge_count + 1, 1);
    for (uint32_t i = 0; i < x->priced.charge_count && x->has_present; i++) {
        const struct charge *charge = &x->priced.charges[i];
        struct arena_mark mark = arena_mark(arena);
        if (line_has_charge(arena, &x->pricing, &x->present, charge)) {
            marks[i] |= OWN;
            if (charge->of != NONE) {
                marks[charge->of] |= BASE;
            }
            x->charge = x->charge ? x->charge : charge;
        }
        arena_rewind(arena, mark);
    }
    return marks;
}

/* Those that an aggregate made one, or the one. */
const uint32_t *explain_rows_of(const struct charge *charge, uint32_t *count)
{
    *count = charge->merged ? charge->merged->row_count : 1;
    return charge->merged ? charge->merged->rows : &charge->row;
}

static enum status collect_rows(struct explain *x, const uint8_t *marks)
{
    struct arena *arena = &x->run->arena;
    uint32_t *place = arena_alloc(arena, (x->usage_count + 1) * sizeof *place);
    memset(place, 0xFF, (x->usage_count + 1) * sizeof *place);
    for (uint32_t i = 0; i < x->priced.charge_count; i++) {
        const struct charge *charge = &x->priced.charges[i];
        if (!(marks[i] & OWN) || charge->row == NONE) {
            continue;
        }
        uint32_t count;
        const uint32_t *rows = explain_rows_of(charge, &count);
        for (uint32_t k = 0; k < count; k++) {
            x->row_count += place[rows[k]] == NONE;
            place[rows[k]] = 0;
        }
    }
    x->rows = arena_calloc(arena, x->row_count + 1, sizeof *x->rows);
    uint32_t count = 0;
    for (uint32_t row = 0; row < x->usage_count; row++) {
        if (place[row] != NONE) {
            place[row] = count;
            x->rows[count++].row = row;
        }
    }
    for (uint32_t i = 0; i < x->priced.charge_count && x->row_count > 0; i++) {
        const struct charge *charge = &x->priced.charges[i];
        struct explained_row *row =
            charge->row == NONE || place[charge->row] == NONE ? NULL : &x->rows[place[charge->row]];
        struct dec *taken = row ? &row->taken : &x->beside_taken;
        struct dec *amount = row ? &row->amount : &x->beside_amount;
        if (marks[i] & OWN) {
            TRY(dec_add(*taken, charge->quantity, taken, x->err));
            TRY(dec_add(*amount, charge->amount, amount, x->err));
        }
    }
    return OK;
}

/* ---- what the steps did --------------------------------------------------------------------- */

/* True of what is the same step in another version of the price, too: what a bucket comes to is
 * settled by the one that is in force as its turn ends. */
static bool is_same_step(const struct step *a, const struct step *b)
{
    return a == b || (step_adjusts(a) && a->kind == b->kind && a->node == b->node);
}

/* Where a step stands in the line's price; beyond all when it is none of its. */
static uint32_t step_place(const struct price *price, const struct step *step)
{
    uint32_t at = 0;
    while (at < price->step_count && !is_same_step(&price->steps[at], step)) {
        at++;
    }
    return at;
}

/* The component that has the step at a place; none of a price with one list, or of what is behind
 * all. */
static uint32_t component_of(const struct price *price, uint32_t place)
{
    for (uint32_t i = 0; i < price->component_count; i++) {
        const struct component *component = &price->components[i];
        if (place >= component->first && place - component->first < component->count) {
            return i;
        }
    }
    return NONE;
}

/* False of a step of another component than that whose charge is on the line. */
static bool is_of_component(const struct explain *x, uint32_t place)
{
    const struct charge *charge = x->charge;
    const struct price *price = charge->price;
    const struct step *step =
        charge->of == NONE ? charge->step : x->priced.charges[charge->of].step;
    uint32_t its = component_of(price, place), own = component_of(price, step_place(price, step));
    return its == own || its == NONE || own == NONE;
}

/* True of one that is on the line, and was made of the bucket as a whole. */
static bool is_made_of(const struct explain *x, uint32_t index, const struct trace *trace,
                       const uint8_t *marks)
{
    const struct charge *charge = &x->priced.charges[index];
    if (trace->made_from < trace->made_to || trace->step->kind == STEP_TIER) {
        return (marks[index] & OWN) && index >= trace->made_from && index < trace->made_to;
    }
    bool is_then = charge->at == trace->turn.from || period_has(trace->turn, charge->at);
    return (marks[index] & OWN) && charge->row == NONE && charge->step == trace->step &&
           charge->account == trace->account && is_then; /* the turn of a row is an instant */
}

static bool is_of_bucket(const struct explain *x, const struct trace *trace, const uint8_t *marks)
{
    for (uint32_t i = 0; i < x->priced.charge_count; i++) {
        if (is_made_of(x, i, trace, marks)) {
            return true;
        }
    }
    return false;
}

/* Of a minimum or a fee, what the line has of it: where each tier has a line, or an earlier bill of
 * the turn had its part, that is not all of it. */
static enum status add_own(struct explain *x, struct explained_step *into,
                           const struct trace *trace, const uint8_t *marks)
{
    enum step_kind kind = trace->step->kind;
    bool is_owed = kind == STEP_BOUND || kind == STEP_FEE || kind == STEP_COMMIT;
    if (!is_owed || !is_of_bucket(x, trace, marks)) {
        return OK;
    }
    into->out = DEC_ZERO;
    for (uint32_t i = 0; i < x->priced.charge_count; i++) {
        const struct charge *charge = &x->priced.charges[i];
        if (is_made_of(x, i, trace, marks)) {
            struct dec amount = charge->converted ? charge->converted->amount : charge->amount;
            TRY(dec_add(into->out, amount, &into->out, x->err));
        }
    }
    return OK;
}

static bool is_term(const struct explain *x, const struct step *step)
{
    return step_kind_takes_charges(step->kind) && step->shared == x->pricing.catalog->shared_count;
}

/* What of the usage, or of a source's charges, is on the line: by index of the row, or by rank. */
struct on_line {
    bool *is_on;
    uint32_t count;
    bool of_source; /* a row may have several charges of it, on several lines; a fee has none */
};

static struct on_line find_on_line(const struct explain *x, const uint8_t *marks)
{
    struct on_line on = {.of_source = x->charge->price->takes_money, .count = x->usage_count};
    for (uint32_t i = 0; on.of_source && i < x->priced.charge_count; i++) {
        uint32_t order = x->priced.charges[i].order;
        on.count = order != NONE && order >= on.count ? order + 1 : on.count;
    }
    on.is_on = arena_calloc(&x->run->arena, on.count + 1u, sizeof *on.is_on);
    for (uint32_t i = 0; !on.of_source && i < x->row_count; i++) {
        on.is_on[x->rows[i].row] = true;
    }
    for (uint32_t i = 0; on.of_source && i < x->priced.charge_count; i++) {
        if (marks[i] != 0 && x->priced.charges[i].order < on.count) {
            on.is_on[x->priced.charges[i].order] = true;
        }
    }
    return on;
}

/* Before a charge has its amount it is known by what it came from: it may be cut into several. */
static bool is_of_rows(const struct explain *x, const struct trace *trace, const struct on_line *on)
{
    uint32_t at = on->of_source ? x->priced.charges[trace->charge].order : trace->row;
    return at < on->count && on->is_on[at];
}

/* Whether what a trace tells of a charge was done for the line. */
static bool is_of_line(const struct explain *x, const struct trace *trace, const uint8_t *marks,
                       const struct on_line *on)
{
    const struct price *price = x->charge->price;
    uint32_t place = step_place(price, trace->step);
    if (trace->grant && x->charge->grant && trace->step == x->charge->step &&
        !text_equal(*trace->grant, *x->charge->grant)) {
        return false; /* another grant's line */
    }
    if (trace->step->kind == STEP_COMMIT && trace->step == x->charge->step &&
        x->charge->of != NONE && !trace->grant != !x->charge->grant) {
        return false; /* what was prepaid pays, or what exceeds it is dear */
    }
    if (is_term(x, trace->step)) { /* of an adjustment, those up to the one that made it */
        return trace->charge != NONE && marks[trace->charge] != 0 &&
               (x->charge->of == NONE || trace->step->node <= x->charge->step->node);
    }
    if (trace->charge == NONE || trace->price != price || place == price->step_count ||
        !is_of_component(x, place)) {
        return false;
    }
    /* What came after the line was made is another line's, but for steps that change the amount. */
    bool is_later = place > step_place(price, x->charge->step);
    bool is_on_line = is_of_rows(x, trace, on);
    switch (trace->step->kind) {
    case STEP_CONVERT:
    case STEP_AGGREGATE:
    case STEP_ALLOWANCE:
    case STEP_RATE:
    case STEP_PERCENT:
    case STEP_FORMULA:
        return !is_later && is_on_line;
    case STEP_COVER:
        return trace->row == NONE ? marks[trace->charge] != 0 : !is_later && is_on_line;
    case STEP_TIER: /* what is free behind the last tier is of that tier, on a line of its own */
        return !is_later && is_on_line &&
               (x->line.tier == 0 || trace->tier == (uint32_t)x->line.tier - 1) &&
               (x->charge->of != NONE || !x->charge->has_rate || !trace->has_rate ||
                dec_equal(trace->limit, x->charge->rate));
    case STEP_CREDIT:
        if (trace->step->credit.is_units && trace->row != NONE) {
            return !is_later && is_on_line;
        }
        return marks[trace->charge] != 0 && !(x->charge->emitted_free && is_later);
    case STEP_FIXED:
    case STEP_BOUND:
    case STEP_ROUND:
    case STEP_DISCOUNT:
    case STEP_MARKUP:
    case STEP_FEE:
    case STEP_TAX:
    case STEP_COMMIT:
    case STEP_ALLOCATE:
        return marks[trace->charge] != 0 && !(x->charge->emitted_free && is_later);
    case STEP_TALLY:
        break;
    }
    return false;
}

/* Whether it tells of a bucket as a whole whose total, or minimum, is on the line. */
static bool is_whole_of_line(const struct explain *x, const struct trace *trace,
                             const uint8_t *marks)
{
    bool is_minimum = x->charge->kind == CHARGE_MINIMUM;
    bool is_own = step_kind_takes_charges(trace->step->kind) && trace->step == x->charge->step;
    if (trace->charge != NONE ||
        (!is_own && (step_kind_takes_charges(trace->step->kind) || is_minimum))) {
        return false;
    }
    for (uint32_t i = 0; i < x->step_count; i++) {
        if (x->steps[i].step->node == trace->step->node && !x->steps[i].is_whole &&
            text_equal(x->steps[i].bucket, trace->bucket)) {
            return true;
        }
    }
    return is_of_bucket(x, trace, marks);
}

/* True of one whose F is in units, with which its amount goes at what they cost. */
static bool is_of_units(const struct step *step)
{
    return (step_adjusts(step) && step->adjust.worth == WORTH_QUANTITY) ||
           (step->kind == STEP_COMMIT && step->commit.is_quantity);
}

static enum status add_trace(struct explain *x, struct explained_step *into,
                             const struct trace *trace)
{
    struct dec in, out;
    if (!dec_is_zero(trace->lost)) {
        struct dec *from = is_of_units(trace->step) ? &into->worth : &into->out;
        TRY(dec_add(into->lost, trace->lost, &into->lost, x->err));
        return dec_subtract(*from, trace->lost, from, x->err);
    }
    TRY(dec_subtract(trace->after, trace->before, &in, x->err));
    TRY(dec_subtract(trace->f_after, trace->f_before, &out, x->err));
    TRY(dec_add(into->in, in, &into->in, x->err));
    TRY(dec_add(into->out, out, &into->out, x->err));
    TRY(dec_add(into->worth, trace->worth, &into->worth, x->err));
    if (trace->is_more) { /* its share of what the bucket came to: nothing was known before */
        into->f_before = into->is_shared ? into->f_before : trace->f_before;
        into->is_shared = true;
        into->step = trace->step;
    }
    into->has_worth = trace->charge != NONE && is_of_units(trace->step);
    if (into->count == 0) {
        into->before = trace->before;
        into->f_before = trace->f_before;
    } else if (into->step->kind == STEP_RATE) {
        into->has_other_rates |=
            !dec_equal(into->limit, trace->limit) || into->row_place != trace->row_place;
    }
    into->count += !trace->is_more;
    into->has_pieces |= trace->is_piece;
    into->after = trace->after;
    into->f_after = trace->f_after;
    return OK;
}

/* The entry of a trace's step and bucket, made when there is none. */
static struct explained_step *find_step(struct explain *x, struct map *places,
                                        const struct trace *trace, uint32_t *capacity)
{
    struct arena *arena = &x->run->arena;
    const struct step *step = trace->step;
    bool pays = step->kind == STEP_COMMIT && trace->grant; /* beside what exceeds it */
    struct text key = text_format(
        arena, "%p %u %d%d%.*s", step_adjusts(step) ? NULL : (const void *)step,
        step_adjusts(step) ? step->node : 0, trace->charge == NONE, pays, TEXT_ARG(trace->bucket));
    uint32_t place = map_put(places, key, x->step_count);
    if (place == x->step_count) {
        x->steps = arena_room(arena, x->steps, x->step_count, capacity, sizeof *x->steps);
        x->steps[x->step_count++] = (struct explained_step){.step = trace->step,
                                                            .bucket = trace->bucket,
                                                            .turn = trace->turn,
                                                            .is_whole = trace->charge == NONE,
                                                            .limit = trace->limit,
                                                            .tier = trace->tier,
                                                            .curve = trace->curve,
                                                            .grant = trace->grant,
                                                            .formula = trace->formula,
                                                            .row_place = trace->row_place,
                                                            .tier_from = trace->tier_from,
                                                            .tier_to = trace->tier_to};
    }
    return &x->steps[place];
}

bool explain_is_reverse(const struct explain *x, const struct step *step)
{
    return step->kind == STEP_TAX && x->charge->step == step && x->charge->kind == CHARGE_TAX &&
           step->tax.reverse_charge && dec_is_zero(x->charge->rate);
}

/* What made a charge of its own (a fee, a minimum) goes before what took that charge. */
static void put_maker_first(struct explain *x)
{
    for (uint32_t i = 1; i < x->step_count && x->charge->of == NONE; i++) {
        struct explained_step maker = x->steps[i];
        if (maker.is_whole && maker.step == x->charge->step &&
            step_kind_takes_charges(maker.step->kind)) {
            memmove(x->steps + 1, x->steps, i * sizeof *x->steps);
            x->steps[0] = maker;
            return;
        }
    }
}

/* Traces of the line, one entry a step and bucket, in the order they were met; then buckets as a
 * whole, but for the one that made the charge. */
static enum status collect_steps(struct explain *x, const uint8_t *marks)
{
    struct arena *arena = &x->run->arena;
    struct on_line on = find_on_line(x, marks);
    struct map places;
    map_init(&places, arena, 64);
    uint32_t capacity = 0;
    for (uint32_t i = 0; i < x->priced.trace_count; i++) {
        const struct trace *trace = &x->priced.traces[i];
        if (is_of_line(x, trace, marks, &on)) {
            TRY(add_trace(x, find_step(x, &places, trace, &capacity), trace));
        }
    }
    for (uint32_t i = 0; i < x->priced.trace_count; i++) {
        const struct trace *trace = &x->priced.traces[i];
        if (is_whole_of_line(x, trace, marks)) {
            struct explained_step *step = find_step(x, &places, trace, &capacity);
            TRY(add_trace(x, step, trace));
            TRY(add_own(x, step, trace, marks));
        }
    }
    put_maker_first(x);
    for (uint32_t i = 0; i < x->step_count; i++) {
        if (explain_is_reverse(x, x->steps[i].step)) {
            x->steps[i].out = DEC_ZERO; /* what it takes out of an amount is on a line of its own */
        }
    }
    return OK;
}

static bool is_on(struct explain *x, uint32_t line, const struct charge *charge)
{
    struct arena_mark mark = arena_mark(&x->scratch);
    bool is = line_has_charge(&x->scratch, &x->pricing, &x->bill.lines[line], charge);
    arena_rewind(&x->scratch, mark);
    return is;
}

/* Adds the line that the charge is on; false when there is no room for another. */
static bool tell_line(struct explain *x, struct told_lines *told, const struct charge *charge)
{
    for (uint32_t i = 0; i < told->count; i++) { /* most charges are on those that are known */
        if (is_on(x, told->lines[i], charge)) {
            return true;
        }
    }
    uint32_t at = 0;
    while (at < x->bill.line_count && !is_on(x, at, charge)) {
        at++;
    }
    if (at == x->bill.line_count || hash_equal(x->bill.lines[at].id, x->line.id)) {
        return true;
    }
    if (told->count == LINES_TOLD_MAX) {
        told->has_more = true;
        return false;
    }
    told->lines[told->count] = at;
    told->ids[told->count++] = x->bill.lines[at].id;
    return true;
}

/* The lines that the line's charges adjust: a cap names what it takes from. */
static void find_adjusted(struct explain *x, const uint8_t *marks)
{
    for (uint32_t i = 0; i < x->priced.charge_count; i++) {
        uint32_t of = x->priced.charges[i].of;
        if ((marks[i] & OWN) && of != NONE && !tell_line(x, &x->adjusted, &x->priced.charges[of])) {
            return;
        }
    }
}

/* The lines whose amounts came to a bucket of a minimum or a fee. */
static void find_held_of(struct explain *x, struct explained_step *whole)
{
    whole->held_against.has_more = x->held_against.has_more;
    for (uint32_t i = 0; i < x->priced.trace_count; i++) {
        const struct trace *trace = &x->priced.traces[i];
        if (trace->charge == NONE || trace->step->node != whole->step->node ||
            !text_equal(trace->bucket, whole->bucket)) {
            continue;
        }
        const struct charge *charge = &x->priced.charges[trace->charge];
        (void)tell_line(x, &x->held_against, charge);
        if (!tell_line(x, &whole->held_against, charge)) {
            return;
        }
    }
}

/* A line may be of several buckets, such as a minimum of each product. */
static void find_held_against(struct explain *x)
{
    for (uint32_t i = 0; i < x->step_count; i++) {
        if (x->steps[i].is_whole && step_kind_takes_charges(x->steps[i].step->kind)) {
            find_held_of(x, &x->steps[i]);
        }
    }
}

/* ---- where the price was found -------------------------------------------------------------- */

static void add_day(struct buffer *out, instant at)
{
    char *to = buffer_reserve(out, TIME_FORMAT_MAX);
    out->size += (size_t)time_format_short(at, to);
}

static bool names_sku(const struct price *price, uint32_t sku)
{
    for (uint32_t i = 0; i < price->sku_count; i++) {
        if (price->skus[i] == sku) {
            return true;
        }
    }
    return price->skus == NULL;
}

/* Why a set of prices has none for the SKU at that time: the first that comes near says it. */
static void add_why(const struct explain *x, struct buffer *out, const struct price_set *set,
                    uint32_t sku, instant at)
{
    const struct price *dated = NULL, *other = NULL;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct price *price = &set->base[set->prices[i]];
        if (price->is_fixed || !names_sku(price, sku)) {
            continue;
        }
        if (at < price->from || at >= price->to) {
            dated = dated ? dated : price;
        } else {
            other = other ? other : price;
        }
    }
    struct text name = sku == NONE ? TEXT("") : x->run->catalog->skus[sku].name;
    const struct price *near = other ? other : dated;
    if (!near) {
        buffer_add_text(out, TEXT("no price of SKU "));
        add_shown(out, name);
        return;
    }
    buffer_add_text(out, TEXT("price "));
    add_shown(out, near->name);
    if (other) {
        buffer_add_text(out, TEXT(" is for other values of its `where`"));
        return;
    }
    buffer_add_text(out, TEXT(" is in force "));
    if (near->from > INSTANT_MIN) {
        buffer_add_text(out, TEXT("from "));
        add_day(out, near->from);
    }
    if (near->to < INSTANT_MAX) {
        buffer_add_text(out, near->from > INSTANT_MIN ? TEXT(" to ") : TEXT("to "));
        add_day(out, near->to);
    }
}

static struct buffer begin_level(struct explain *x, const char *level)
{
    struct buffer out;
    buffer_init(&out, &x->run->arena, 128);
    x->levels[x->level_count].level = level;
    return out;
}

static void end_level(struct explain *x, struct buffer *out)
{
    x->levels[x->level_count++].why = buffer_text(out);
}

/* The levels narrower than the price's, and why it was not found there (catalog_price's order). */
static void tell_levels(struct explain *x)
{
    const struct charge *charge = x->charge;
    const struct catalog *catalog = x->run->catalog;
    const struct accounts *accounts = x->run->accounts;
    if (!charge || charge->series == NONE || charge->level >= LEVEL_TERMS) {
        return; /* fixed prices have a rule of their own, terms have an order */
    }
    const struct account *account = &accounts->items[charge->account];
    struct buffer out;
    if (charge->level > LEVEL_OVERRIDE) {
        out = begin_level(x, "override");
        buffer_add_text(&out, TEXT("account "));
        add_shown(&out, account->id);
        if (account->override == NONE) {
            buffer_add_text(&out, TEXT(" has no overrides"));
        } else {
            buffer_add_text(&out, TEXT("'s overrides: "));
            add_why(x, &out, &accounts->overrides[account->override].prices, charge->sku,
                    charge->at);
        }
        end_level(x, &out);
    }
    if (charge->level > LEVEL_CONTRACT) {
        out = begin_level(x, "contract");
        if (!charge->contract) {
            buffer_add_text(&out, TEXT("none is in force for account "));
            add_shown(&out, account->id);
            buffer_add_text(&out, TEXT(" at "));
            add_day(&out, charge->at);
        } else {
            add_shown(&out, charge->contract->id);
            buffer_add_text(&out, TEXT(": "));
            add_why(x, &out, &charge->contract->prices, charge->sku, charge->at);
        }
        end_level(x, &out);
    }
    uint32_t plan = catalog_plan_of(catalog, charge->contract, account->plan);
    if (charge->level > LEVEL_PLAN) {
        out = begin_level(x, "plan");
        if (plan == NONE) {
            buffer_add_text(&out, TEXT("account "));
            add_shown(&out, account->id);
            buffer_add_text(&out, TEXT(" has none"));
        } else {
            add_shown(&out, catalog->plans[plan].name);
            buffer_add_text(&out, TEXT(": "));
            add_why(x, &out, &catalog->plans[plan].prices, charge->sku, charge->at);
        }
        end_level(x, &out);
    }
}

/* ---- all of it ------------------------------------------------------------------------------ */

enum status explain_steps(struct explain *x)
{
    const uint8_t *marks = explain_marks(x);
    if (x->charge) {
        TRY(collect_rows(x, marks));
        TRY(collect_steps(x, marks));
        find_adjusted(x, marks);
        if (x->charge->kind == CHARGE_MINIMUM ||
            (x->charge->row == NONE && step_kind_takes_charges(x->charge->step->kind))) {
            find_held_against(x);
        }
        tell_levels(x);
    }
    return OK;
}
