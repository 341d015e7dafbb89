/* price.c - rows through steps.
 *
 * Charges wait in a heap by (node, order): the least node runs next, over all charges that wait
 * there, in the total order of their rows.  A step passes them on to their next node, which is
 * greater, so each node runs once.  This is all there is to shared steps: prices that use one
 * wait at the same node.
 */
#include "price/price.h"

#include <assert.h>
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

static const char *const KIND_NAMES[CHARGE_KINDS] = {
    [CHARGE_USAGE] = "usage",     [CHARGE_FEE] = "fee",           [CHARGE_MINIMUM] = "minimum",
    [CHARGE_CAP] = "cap",         [CHARGE_ROUNDING] = "rounding",
};

const char *charge_kind_name(enum charge_kind kind)
{
    assert((unsigned)kind < CHARGE_KINDS);
    return KIND_NAMES[kind];
}

const char *price_level_name(int level)
{
    static const char *const NAMES[] = {"override", "contract", "plan", "catalog"};
    assert(level >= 0 && level < 4);
    return NAMES[level];
}

/* ---- the heap of waiting charges ---------------------------------------------------------------- */

static bool is_before(const struct waiting *a, const struct waiting *b)
{
    return a->place != b->place ? a->place < b->place : a->sequence < b->sequence;
}

static void heap_push(struct work *work, struct waiting item)
{
    if (work->heap_count == work->heap_capacity) {
        uint32_t capacity = work->heap_capacity ? work->heap_capacity * 2 : 64;
        work->heap =
            arena_grow(work->arena, work->heap, work->heap_count, capacity, sizeof *work->heap);
        work->heap_capacity = capacity;
    }
    uint32_t at = work->heap_count++;
    while (at > 0 && is_before(&item, &work->heap[(at - 1) / 2])) {
        work->heap[at] = work->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    work->heap[at] = item;
}

static struct waiting heap_pop(struct work *work)
{
    struct waiting top = work->heap[0];
    struct waiting last = work->heap[--work->heap_count];
    uint32_t at = 0, count = work->heap_count;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && is_before(&work->heap[child + 1], &work->heap[child])) {
            child++;
        }
        if (!is_before(&work->heap[child], &last)) {
            break;
        }
        work->heap[at] = work->heap[child];
        at = child;
    }
    work->heap[at] = last;
    return top;
}

/* ---- charges ------------------------------------------------------------------------------------ */

uint32_t work_add_charge(struct work *work, const struct charge *charge)
{
    if (work->charge_count == work->charge_capacity) {
        uint32_t capacity = work->charge_capacity ? work->charge_capacity * 2 : 64;
        struct charge copy = *charge; /* it may lie in the array that moves */
        work->charges = arena_grow(work->arena, work->charges, work->charge_count, capacity,
                                   sizeof *work->charges);
        work->charge_capacity = capacity;
        work->charges[work->charge_count] = copy;
        return work->charge_count++;
    }
    work->charges[work->charge_count] = *charge;
    return work->charge_count++;
}

void work_push(struct work *work, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    if (charge->next_step < charge->price->step_count) {
        uint32_t node = charge->price->steps[charge->next_step].node;
        heap_push(work, (struct waiting){(uint64_t)node << 32 | charge->order,
                                         (uint64_t)work->sequence++ << 32 | index});
    }
}

static void pass_on(struct work *work, uint32_t index)
{
    work->charges[index].next_step++;
    work_push(work, index);
}

void work_trace(struct work *work, const struct trace *trace)
{
    if (!work->pricing->trace) {
        return;
    }
    if (work->trace_count == work->trace_capacity) {
        uint32_t capacity = work->trace_capacity ? work->trace_capacity * 2 : 64;
        work->traces = arena_grow(work->arena, work->traces, work->trace_count, capacity,
                                  sizeof *work->traces);
        work->trace_capacity = capacity;
    }
    work->traces[work->trace_count++] = *trace;
}

static void trace_step(struct work *work, const struct charge *charge, const struct step *step,
                       const struct bucket *bucket, struct dec before, struct dec after,
                       struct dec f_before, struct dec f_after, uint32_t tier)
{
    if (work->pricing->trace) {
        struct trace trace = {.row = charge->row,
                              .account = charge->account,
                              .price = charge->price,
                              .step = step,
                              .bucket = bucket ? bucket_name(work, bucket) : TEXT(""),
                              .before = before,
                              .after = after,
                              .f_before = f_before,
                              .f_after = f_after,
                              .tier = tier};
        work_trace(work, &trace);
    }
}

enum status work_fail(struct work *work, enum status status, const struct price *price,
                      const struct step *step, uint32_t account)
{
    if (work->err) {
        struct error inner = *work->err;
        (void)fail(work->err, status, "price %.*s, step %.*s, account %.*s: %s",
                   TEXT_ARG(price->name), TEXT_ARG(step->name),
                   TEXT_ARG(work->pricing->accounts->items[account].id), inner.message);
        memcpy(work->err->hint, inner.hint, sizeof inner.hint);
    }
    return status;
}

static void exclude(struct work *work, uint32_t account, enum exclusion reason, uint32_t meter,
                    const struct total *total)
{
    for (uint32_t i = 0; i < work->excluded_count; i++) {
        struct excluded *item = &work->excluded[i];
        if (item->account == account && item->reason == reason && item->meter == meter) {
            total_add(&item->total, total);
            return;
        }
    }
    if (work->excluded_count == work->excluded_capacity) {
        uint32_t capacity = work->excluded_capacity ? work->excluded_capacity * 2 : 8;
        work->excluded = arena_grow(work->arena, work->excluded, work->excluded_count, capacity,
                                    sizeof *work->excluded);
        work->excluded_capacity = capacity;
    }
    struct excluded *item = &work->excluded[work->excluded_count++];
    *item = (struct excluded){.account = account, .reason = reason, .meter = meter};
    total_add(&item->total, total);
}

static uint32_t meter_of(const struct work *work, const struct charge *charge)
{
    return charge->series == NONE ? NONE : series_at(work->pricing->series, charge->series)->meter;
}

/* The quantity leaves for a charge or an exclusion; what is left of a row in the end must be nothing. */
static enum status take_of_row(struct work *work, const struct charge *charge, struct dec quantity)
{
    if (charge->row == NONE) {
        return OK;
    }
    struct dec *left = &work->left[charge->row];
    return dec_subtract(*left, quantity, left, work->err);
}

/* ---- usage steps --------------------------------------------------------------------------------- */

static enum status convert_numbers(struct work *work, const struct step *step,
                                   const struct charge *charge, struct period turn,
                                   struct convert_values *values)
{
    TRY(number_value(work, &step->convert.multiply, charge, turn, &values->multiply));
    TRY(number_value(work, &step->convert.divide, charge, turn, &values->divide));
    values->minimum = DEC_ZERO;
    if (step->convert.has_minimum) {
        TRY(number_value(work, &step->convert.minimum, charge, turn, &values->minimum));
    }
    return OK;
}

static enum status run_convert(struct work *work, const struct step *step, uint32_t index)
{
    struct charge *charge = &work->charges[index];
    struct period turn = turn_find(work, step, charge->contract, charge->at);
    struct dec in = charge->quantity;
    if (step->convert.quantity) {
        struct expr_value value;
        TRY(charge_eval(work, step->convert.quantity, charge, turn, &value));
        in = value.number;
        if (in.scale > DEC_SCALE) {
            TRY(dec_round(in, DEC_SCALE, ROUND_HALF_EVEN, &in, work->err));
        }
    }
    struct dec out, f_before = DEC_ZERO, f_after, before = DEC_ZERO, after = in;
    struct convert_values values;
    const struct bucket *traced = NULL;
    if (step->clock == CLOCK_ROW) {
        TRY(convert_numbers(work, step, charge, turn, &values));
        TRY(curve_convert(&step->convert, &values, in, &f_after, work->err));
        out = f_after;
    } else {
        uint32_t at;
        TRY(bucket_find(work, step, charge, &at));
        struct bucket *bucket = &work->buckets[at];
        TRY(convert_numbers(work, step, charge, turn, &values));
        before = bucket->x;
        TRY(dec_add(before, in, &after, work->err));
        TRY(curve_convert(&step->convert, &values, before, &f_before, work->err));
        TRY(curve_convert(&step->convert, &values, after, &f_after, work->err));
        TRY(dec_subtract(f_after, f_before, &out, work->err));
        bucket->x = after;
        bucket->y = f_after;
        traced = bucket;
    }
    trace_step(work, charge, step, traced, before, after, f_before, f_after, NONE);
    struct dec change;
    TRY(dec_subtract(charge->quantity, out, &change, work->err));
    TRY(take_of_row(work, charge, change));
    charge->quantity = out;
    if (step->convert.to.size > 0) {
        charge->unit = step->convert.to;
    }
    pass_on(work, index);
    return OK;
}

/* What an allowance leaves of x units: A(x) = max(0, x - limit). */
static enum status above(struct dec x, struct dec limit, struct dec *value, struct error *err)
{
    if (dec_compare(x, limit) <= 0) {
        *value = DEC_ZERO;
        return OK;
    }
    return dec_subtract(x, limit, value, err);
}

struct allowance_values {
    struct dec quantity, events;
};

/* The time a charge's price and contract are in force: what a proration is measured against. */
static struct period active_period(const struct work *work, const struct charge *charge)
{
    struct period active = {charge->price->from, charge->price->to};
    if (charge->contract) {
        active = period_intersect(active,
                                  (struct period){charge->contract->from, charge->contract->to});
    }
    instant since = work->pricing->accounts->items[charge->account].since;
    if (since > active.from) {
        active.from = since;
    }
    return active;
}

static enum status prorated(struct work *work, enum prorate prorate, int digits,
                            enum rounding mode, const struct charge *charge, struct period turn,
                            struct dec *value)
{
    if (prorate == PRORATE_NONE) {
        return OK;
    }
    struct period active = period_intersect(active_period(work, charge), turn);
    struct dec factor;
    TRY(prorate_factor(prorate, digits, mode, active, turn, work->pricing->billing.zone, &factor,
                       work->err));
    return dec_multiply_round(*value, factor, DEC_SCALE, ROUND_HALF_EVEN, value, work->err);
}

static enum status allowance_numbers(struct work *work, const struct step *step,
                                     const struct charge *charge, struct period turn,
                                     struct allowance_values *values)
{
    const struct step_allowance *allowance = &step->allowance;
    *values = (struct allowance_values){DEC_ZERO, DEC_ZERO};
    if (allowance->has_quantity) {
        TRY(number_value(work, &allowance->quantity, charge, turn, &values->quantity));
        TRY(prorated(work, allowance->prorate, allowance->digits, allowance->mode, charge, turn,
                     &values->quantity));
    }
    if (allowance->has_events) {
        TRY(number_value(work, &allowance->events, charge, turn, &values->events));
        TRY(prorated(work, allowance->prorate, allowance->digits, allowance->mode, charge, turn,
                     &values->events));
    }
    return OK;
}

/* The free part of a row: what both its allowed units and its allowed events permit. */
static enum status free_part(struct work *work, const struct step *step,
                             const struct bucket *bucket, const struct allowance_values *values,
                             const struct charge *charge, struct dec *part)
{
    *part = charge->quantity;
    if (step->allowance.has_quantity) {
        struct dec after, over_before, over_after, over;
        TRY(dec_add(bucket->x, charge->quantity, &after, work->err));
        TRY(above(bucket->x, values->quantity, &over_before, work->err));
        TRY(above(after, values->quantity, &over_after, work->err));
        TRY(dec_subtract(over_after, over_before, &over, work->err));
        TRY(dec_subtract(charge->quantity, over, part, work->err));
    }
    if (step->allowance.has_events && charge->events > 0) {
        struct dec all = dec_from_int((int64_t)charge->events), left, by_events;
        TRY(dec_subtract(values->events, bucket->events, &left, work->err));
        left = dec_max(DEC_ZERO, dec_min(left, all));
        TRY(dec_multiply_divide(charge->quantity, left, all, DEC_SCALE, ROUND_HALF_EVEN,
                                &by_events, work->err));
        if (dec_compare(dec_abs(by_events), dec_abs(*part)) < 0) {
            *part = by_events;
        }
    }
    return OK;
}

static enum status emit_free(struct work *work, const struct step *step, uint32_t index,
                             struct dec part)
{
    struct charge *charge = &work->charges[index];
    TRY(take_of_row(work, charge, part));
    if (!step->allowance.emit_free) {
        struct total total = {0};
        wide_add_dec(&total.sum, part);
        exclude(work, charge->account, EXCLUDE_FREE, meter_of(work, charge), &total);
        return OK;
    }
    struct charge emitted = *charge;
    emitted.quantity = part;
    emitted.rate = emitted.amount = emitted.net = DEC_ZERO;
    emitted.has_amount = emitted.has_rate = emitted.emitted_free = true;
    emitted.step = step;
    pass_on(work, work_add_charge(work, &emitted));
    return OK;
}

static enum status run_allowance(struct work *work, const struct step *step, uint32_t index)
{
    uint32_t at;
    TRY(bucket_find(work, step, &work->charges[index], &at));
    struct bucket *bucket = &work->buckets[at];
    const struct charge *charge = &work->charges[index];
    if (!bucket->values || bucket->step != step) {
        struct allowance_values *values = arena_alloc(work->arena, sizeof *values);
        TRY(allowance_numbers(work, step, charge, bucket->turn, values));
        bucket = &work->buckets[at];
        bucket->values = values;
        bucket->step = step;
    }
    struct dec part, rest, before = bucket->x;
    TRY(free_part(work, step, bucket, bucket->values, charge, &part));
    TRY(dec_subtract(charge->quantity, part, &rest, work->err));
    TRY(dec_add(bucket->x, charge->quantity, &bucket->x, work->err));
    TRY(dec_add(bucket->y, rest, &bucket->y, work->err));
    TRY(dec_add(bucket->events, dec_from_int((int64_t)charge->events), &bucket->events,
                work->err));
    trace_step(work, charge, step, bucket, before, bucket->x, DEC_ZERO, rest, NONE);
    if (dec_is_zero(part)) {
        pass_on(work, index);
        return OK;
    }
    TRY(emit_free(work, step, index, part));
    struct charge *left = &work->charges[index];
    left->quantity = rest;
    if (dec_is_zero(rest)) {
        left->next_step = left->price->step_count; /* nothing of it goes on */
        return OK;
    }
    pass_on(work, index);
    return OK;
}

/* ---- rating steps -------------------------------------------------------------------------------- */

/* Makes a charge of a row. */
static enum status rate_charge(struct work *work, const struct step *step, uint32_t index,
                               struct dec rate, struct dec amount, struct dec list, uint32_t tier)
{
    struct charge *charge = &work->charges[index];
    charge->has_amount = charge->has_rate = true;
    charge->rate = rate;
    charge->amount = charge->net = amount;
    charge->list = list;
    charge->tier = tier;
    charge->step = step;
    TRY(take_of_row(work, charge, charge->quantity));
    pass_on(work, index);
    return OK;
}

static enum status find_rate(struct work *work, const struct step *step,
                             const struct charge *charge, struct period turn, bool *found,
                             struct dec *rate, struct dec *flat)
{
    const struct step_rate *body = &step->rate;
    *found = true;
    *flat = DEC_ZERO;
    if (body->table) {
        struct text key[8];
        for (uint32_t i = 0; i < body->table->key_count; i++) {
            key[i] = charge_key_value(work, charge, body->table->keys[i]);
        }
        const struct dec *entry = rate_table_find(body->table, key);
        *found = entry != NULL;
        if (entry) {
            *rate = *entry;
        }
        return OK;
    }
    if (body->from) {
        struct expr_value value;
        TRY(charge_eval(work, body->from, charge, turn, &value));
        *rate = value.number;
        return OK;
    }
    for (uint32_t i = 0; i < body->case_count; i++) {
        const struct rate_case *item = &body->cases[i];
        if (item->where) {
            struct expr_value value;
            TRY(charge_eval(work, item->where, charge, turn, &value));
            if (!value.truth) {
                continue;
            }
        }
        TRY(number_value(work, &item->rate, charge, turn, rate));
        return number_value(work, &item->flat, charge, turn, flat);
    }
    *found = false;
    return OK;
}

/* quantity x rate / per, quantized once. */
static enum status rate_amount(const struct step_rate *body, struct dec quantity, struct dec rate,
                               struct dec *amount, struct error *err)
{
    if (body->has_per) {
        return dec_multiply_divide(quantity, rate, body->per, DEC_SCALE, ROUND_HALF_EVEN, amount,
                                   err);
    }
    return dec_multiply_round(quantity, rate, DEC_SCALE, ROUND_HALF_EVEN, amount, err);
}

static enum status exclude_unpriced(struct work *work, uint32_t index)
{
    struct charge *charge = &work->charges[index];
    struct total total = {0};
    wide_add_dec(&total.sum, charge->quantity);
    total.count = charge->events;
    exclude(work, charge->account, EXCLUDE_UNPRICED, meter_of(work, charge), &total);
    TRY(take_of_row(work, charge, charge->quantity));
    charge->next_step = charge->price->step_count;
    return OK;
}

static enum status run_rate(struct work *work, const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    struct period turn = turn_find(work, step, charge->contract, charge->at);
    bool found;
    struct dec rate = DEC_ZERO, flat = DEC_ZERO, amount, list;
    TRY(find_rate(work, step, charge, turn, &found, &rate, &flat));
    if (!found) {
        return exclude_unpriced(work, index);
    }
    TRY(rate_amount(&step->rate, charge->quantity, rate, &amount, work->err));
    TRY(dec_add(amount, flat, &amount, work->err));
    list = amount;
    if (charge->price->has_list) {
        TRY(rate_amount(&step->rate, charge->quantity, charge->price->list, &list, work->err));
    }
    trace_step(work, charge, step, NULL, DEC_ZERO, charge->quantity, DEC_ZERO, amount, NONE);
    return rate_charge(work, step, index, rate, amount, list, NONE);
}

/* Tiers with numbers evaluated, where each begins. */
static enum status tier_numbers(struct work *work, const struct step *step,
                                const struct charge *charge, struct period turn,
                                struct tier_values **out)
{
    const struct step_tier *body = &step->tier;
    struct tier_values *tiers = arena_calloc(work->arena, body->tier_count, sizeof *tiers);
    struct dec from = DEC_ZERO;
    bool from_is_in = false;
    for (uint32_t i = 0; i < body->tier_count; i++) {
        const struct tier *tier = &body->tiers[i];
        tiers[i] = (struct tier_values){.from = from,
                                        .from_is_in = from_is_in,
                                        .up_to = tier->up_to,
                                        .open = tier->open,
                                        .tier = tier};
        TRY(number_value(work, &tier->rate, charge, turn, &tiers[i].rate));
        TRY(number_value(work, &tier->flat, charge, turn, &tiers[i].flat));
        from = tier->up_to;
        from_is_in = tier->below;
    }
    *out = tiers;
    return OK;
}

static enum status tier_bucket(struct work *work, const struct step *step, uint32_t index,
                               uint32_t *at)
{
    TRY(bucket_find(work, step, &work->charges[index], at));
    struct bucket *bucket = &work->buckets[*at];
    if (!bucket->values || bucket->step != step) {
        struct tier_values *values;
        TRY(tier_numbers(work, step, &work->charges[index], bucket->turn, &values));
        bucket = &work->buckets[*at];
        bucket->values = values;
        bucket->step = step;
    }
    return OK;
}

static enum status list_amount(const struct price *price, const struct tier_values *first,
                               struct dec quantity, struct dec *list, struct error *err)
{
    struct dec rate = price->has_list ? price->list : first->rate;
    if (!price->has_list && first->tier->is_percent) {
        TRY(dec_multiply(rate, (struct dec){1, 2}, &rate, err));
    }
    if (!price->has_list && first->tier->has_package) {
        return dec_multiply_divide(quantity, rate, first->tier->package, DEC_SCALE,
                                   ROUND_HALF_EVEN, list, err);
    }
    return dec_multiply_round(quantity, rate, DEC_SCALE, ROUND_HALF_EVEN, list, err);
}

/* Where the next tier boundary strictly between x and end lies; false when there is none. */
static bool next_boundary(const struct tier_values *tiers, uint32_t count, struct dec x,
                          struct dec end, struct dec *boundary)
{
    for (uint32_t i = 0; i + 1 < count; i++) {
        if (dec_compare(tiers[i].up_to, x) > 0 && dec_compare(tiers[i].up_to, end) < 0) {
            *boundary = tiers[i].up_to;
            return true;
        }
    }
    return false;
}

/* One graduated row: as many charges as it crosses tiers. A row that takes back (negative) walks down the same curve. */
static enum status run_graduated(struct work *work, const struct step *step, uint32_t index)
{
    uint32_t at;
    TRY(tier_bucket(work, step, index, &at));
    struct bucket *bucket = &work->buckets[at];
    const struct tier_values *tiers = bucket->values;
    const struct step_tier *body = &step->tier;
    struct charge whole = work->charges[index];

    struct dec x = bucket->x, target, f;
    TRY(dec_add(x, whole.quantity, &target, work->err));
    bool is_return = dec_sign(whole.quantity) < 0;
    struct dec high = bucket->high;
    bool is_first = bucket->last_charge == NONE && dec_is_zero(bucket->x);
    if (is_first && body->at_zero_charge) {
        f = DEC_ZERO; /* the first tier's flat is still to pay */
    } else {
        TRY(curve_graduated(body, tiers, x, high, &f, work->err));
    }
    bucket->last_charge = index;
    bool is_last_part = false;
    for (uint32_t part = 0; !is_last_part; part++) {
        struct dec low = is_return ? target : x, top = is_return ? x : target, boundary, end;
        if (is_return) {
            /* The greatest boundary between: walk up from the target to the last. */
            bool any = false;
            struct dec from = low;
            while (next_boundary(tiers, body->tier_count, from, top, &boundary)) {
                from = boundary;
                any = true;
            }
            end = any ? from : target;
            is_last_part = !any;
        } else {
            is_last_part = !next_boundary(tiers, body->tier_count, low, top, &boundary);
            end = is_last_part ? target : boundary;
        }
        struct dec quantity, f_end, amount, list, new_high = dec_max(high, end);
        TRY(dec_subtract(end, x, &quantity, work->err));
        TRY(curve_graduated(body, tiers, end, new_high, &f_end, work->err));
        TRY(dec_subtract(f_end, f, &amount, work->err));
        TRY(list_amount(whole.price, &tiers[0], quantity, &list, work->err));
        uint32_t tier = curve_tier_of(tiers, body->tier_count, is_return ? x : end);
        trace_step(work, &whole, step, bucket, x, end, f, f_end, tier);

        uint32_t piece = index;
        if (part > 0) {
            struct charge copy = whole;
            copy.events = 0; /* the row's events stay with its first part */
            piece = work_add_charge(work, &copy);
        }
        work->charges[piece].quantity = quantity;
        struct dec rate = tiers[tier].rate;
        if (!tiers[tier].open && body->past_last == PAST_FREE &&
            dec_compare(is_return ? x : end, tiers[tier].up_to) > 0) {
            rate = DEC_ZERO;
        }
        TRY(rate_charge(work, step, piece, rate, amount, list, tier));
        x = end;
        f = f_end;
        high = new_high;
    }
    bucket = &work->buckets[at];
    bucket->x = target;
    bucket->y = f;
    bucket->high = high;
    return OK;
}

/* ---- whole-bucket steps -------------------------------------------------------------------------- */

/* One charge at a node and the bucket it is in. */
struct entry {
    uint32_t charge, bucket;
    struct dec before, after; /* x of this bill's part */
};

/* A charge on a bucket's scope, of no row. */
static struct charge scope_charge(const struct work *work, const struct bucket *bucket,
                                  const struct step *step, const struct charge *like)
{
    struct charge charge = {.kind = CHARGE_USAGE,
                            .account = bucket->account,
                            .sku = like->sku,
                            .series = NONE,
                            .row = NONE,
                            .order = like->order,
                            .tier = NONE,
                            .of = NONE,
                            .level = like->level,
                            .at = like->at,
                            .span = period_intersect(bucket->turn, work->pricing->cut),
                            .price = like->price,
                            .step = step,
                            .contract = like->contract,
                            .unit = like->unit,
                            .next_step = like->next_step,
                            .has_amount = true};
    return charge;
}

/* Y of the whole bucket, given to its rows: along the chord (pro rata), along the curve, or as one charge. */
static enum status attribute_entry(struct work *work, const struct step *step,
                                   const struct entry *entry, struct dec total, struct dec sum,
                                   struct dec *amount)
{
    const struct bucket *bucket = &work->buckets[entry->bucket];
    struct dec low = DEC_ZERO, high = DEC_ZERO;
    uint32_t tier;
    if (step->attribute == ATTRIBUTE_NONE) {
        *amount = DEC_ZERO;
        return OK;
    }
    if (step->attribute == ATTRIBUTE_IN_ORDER) {
        struct dec from, to;
        TRY(dec_add(bucket->opening_x, entry->before, &from, work->err));
        TRY(dec_add(bucket->opening_x, entry->after, &to, work->err));
        if (entry->before.mantissa != 0 || dec_sign(bucket->opening_x) != 0) {
            TRY(curve_volume(&step->tier, bucket->values, from, &tier, &low, work->err));
        }
        TRY(curve_volume(&step->tier, bucket->values, to, &tier, &high, work->err));
        return dec_subtract(high, low, amount, work->err);
    }
    TRY(dec_multiply_divide(total, entry->before, sum, DEC_SCALE, ROUND_HALF_EVEN, &low,
                            work->err));
    TRY(dec_multiply_divide(total, entry->after, sum, DEC_SCALE, ROUND_HALF_EVEN, &high,
                            work->err));
    return dec_subtract(high, low, amount, work->err);
}

/* Volume: the version in force at the turn's end sets the curve (the last row's; language.md, 10.6). */
static enum status run_volume(struct work *work, const struct step *step, struct entry *entries,
                              uint32_t count)
{
    /* x of each bucket and the place of each row in it. */
    for (uint32_t i = 0; i < count; i++) {
        const struct charge *charge = &work->charges[entries[i].charge];
        const struct step *own = &charge->price->steps[charge->next_step];
        TRY(tier_bucket(work, own, entries[i].charge, &entries[i].bucket));
        struct bucket *bucket = &work->buckets[entries[i].bucket];
        TRY(dec_subtract(bucket->x, bucket->opening_x, &entries[i].before, work->err));
        TRY(dec_add(bucket->x, charge->quantity, &bucket->x, work->err));
        TRY(dec_subtract(bucket->x, bucket->opening_x, &entries[i].after, work->err));
        bucket->last_charge = entries[i].charge;
    }
    uint32_t count_before = work->bucket_count;
    struct dec *totals = arena_calloc(work->arena, count_before + 1, sizeof *totals);
    struct dec *sums = arena_calloc(work->arena, count_before + 1, sizeof *sums);
    uint32_t *tiers = arena_calloc(work->arena, count_before + 1, sizeof *tiers);
    for (uint32_t i = 0; i < count; i++) {
        struct bucket *bucket = &work->buckets[entries[i].bucket];
        if (bucket->last_charge != entries[i].charge) {
            continue; /* once a bucket, at its last row */
        }
        const struct step *own = bucket->step;
        uint32_t b = entries[i].bucket;
        struct dec y;
        bool waits = own->tier.settle_at_end && bucket->turn.to > work->pricing->cut.to;
        TRY(curve_volume(&own->tier, bucket->values, bucket->x, &tiers[b], &y, work->err));
        if (waits) {
            y = bucket->y;
        }
        TRY(dec_subtract(y, bucket->y, &totals[b], work->err));
        TRY(dec_subtract(bucket->x, bucket->opening_x, &sums[b], work->err));
        trace_step(work, &work->charges[entries[i].charge], own, bucket, bucket->opening_x,
                   bucket->x, bucket->y, y, tiers[b]);
        bucket->y = y;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[i];
        const struct bucket *bucket = &work->buckets[entry->bucket];
        const struct step *own = bucket->step;
        struct dec total = totals[entry->bucket], sum = sums[entry->bucket], amount, list;
        const struct tier_values *values = bucket->values;
        uint32_t tier = tiers[entry->bucket];
        bool is_last = bucket->last_charge == entry->charge;
        bool on_scope = own->attribute == ATTRIBUTE_NONE ||
                        (own->attribute == ATTRIBUTE_PRO_RATA && dec_is_zero(sum));
        if (on_scope) {
            amount = DEC_ZERO;
        } else {
            TRY(attribute_entry(work, own, entry, total, sum, &amount));
        }
        const struct charge *charge = &work->charges[entry->charge];
        TRY(list_amount(charge->price, &values[0], charge->quantity, &list, work->err));
        struct charge like = *charge;
        TRY(rate_charge(work, own, entry->charge, values[tier].rate, amount, list, tier));
        if (on_scope && is_last && !dec_is_zero(total)) {
            struct charge extra = scope_charge(work, bucket, own, &like);
            extra.amount = extra.net = extra.list = total;
            extra.tier = tier;
            pass_on(work, work_add_charge(work, &extra));
        }
    }
    (void)step;
    return OK;
}

/* ---- charge steps -------------------------------------------------------------------------------- */

/* An adjustment of a charge: a charge of its own, which names it. */
static enum status adjust(struct work *work, const struct step *step, uint32_t index,
                          enum charge_kind kind, struct dec amount)
{
    if (dec_is_zero(amount)) {
        return OK;
    }
    struct charge adjustment = work->charges[index];
    adjustment.kind = kind;
    adjustment.of = index;
    adjustment.step = step;
    adjustment.quantity = adjustment.rate = adjustment.list = adjustment.net = DEC_ZERO;
    adjustment.amount = amount;
    adjustment.has_rate = false;
    adjustment.events = 0;
    adjustment.tier = NONE;
    adjustment.next_step = adjustment.price->step_count;
    TRY(dec_add(work->charges[index].net, amount, &work->charges[index].net, work->err));
    (void)work_add_charge(work, &adjustment);
    return OK;
}

struct bound_values {
    struct dec min, max;
};

static enum status bound_numbers(struct work *work, const struct step *step,
                                 const struct charge *charge, struct period turn,
                                 struct bound_values *values)
{
    const struct step_bound *body = &step->bound;
    *values = (struct bound_values){DEC_ZERO, DEC_ZERO};
    if (body->has_min) {
        TRY(number_value(work, &body->min, charge, turn, &values->min));
        TRY(prorated(work, body->prorate, body->digits, body->mode, charge, turn, &values->min));
    }
    if (body->has_max) {
        TRY(number_value(work, &body->max, charge, turn, &values->max));
        TRY(prorated(work, body->prorate, body->digits, body->mode, charge, turn, &values->max));
    }
    return OK;
}

/* The maximum, in order: what a charge adds beyond it is taken back. */
static enum status run_bound(struct work *work, const struct step *step, uint32_t index)
{
    uint32_t at;
    TRY(bucket_find(work, step, &work->charges[index], &at));
    struct bucket *bucket = &work->buckets[at];
    const struct charge *charge = &work->charges[index];
    if (!bucket->values || bucket->step != step) {
        struct bound_values *values = arena_alloc(work->arena, sizeof *values);
        TRY(bound_numbers(work, step, charge, bucket->turn, values));
        bucket = &work->buckets[at];
        bucket->values = values;
        bucket->step = step;
    }
    const struct bound_values *values = bucket->values;
    struct dec before = bucket->x, after, over = DEC_ZERO;
    TRY(dec_add(before, charge->net, &after, work->err));
    if (step->bound.has_max) {
        struct dec over_before, over_after;
        TRY(above(before, values->max, &over_before, work->err));
        TRY(above(after, values->max, &over_after, work->err));
        TRY(dec_subtract(over_before, over_after, &over, work->err));
    }
    bucket->x = after;
    bucket->last_charge = index;
    bucket->price = charge->price;
    trace_step(work, charge, step, bucket, before, after, DEC_ZERO, over, NONE);
    TRY(adjust(work, step, index, CHARGE_CAP, over));
    pass_on(work, index);
    return OK;
}

/* The minimum, when the turn ends with this bill: what lacks is a charge on the scope, or shared pro rata. */
static enum status settle_minimum(struct work *work, const struct step *step, uint32_t at,
                                  const struct entry *entries, uint32_t count)
{
    struct bucket *bucket = &work->buckets[at];
    const struct bound_values *values = bucket->values;
    if (!step->bound.has_min || bucket->turn.to > work->pricing->cut.to ||
        dec_compare(bucket->x, values->min) >= 0) {
        return OK;
    }
    struct dec lack, sum = DEC_ZERO;
    TRY(dec_subtract(values->min, bucket->x, &lack, work->err));
    const struct charge *last = &work->charges[bucket->last_charge];
    if (step->attribute == ATTRIBUTE_PRO_RATA) {
        for (uint32_t i = 0; i < count; i++) {
            if (entries[i].bucket == at) {
                TRY(dec_add(sum, work->charges[entries[i].charge].net, &sum, work->err));
            }
        }
    }
    if (dec_is_zero(sum)) {
        struct charge charge = scope_charge(work, bucket, step, last);
        charge.kind = CHARGE_MINIMUM;
        charge.amount = charge.net = charge.list = lack;
        charge.unit = TEXT("");
        pass_on(work, work_add_charge(work, &charge));
        return OK;
    }
    struct dec x = DEC_ZERO, low = DEC_ZERO;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].bucket != at) {
            continue;
        }
        struct dec high, part;
        TRY(dec_add(x, work->charges[entries[i].charge].net, &x, work->err));
        TRY(dec_multiply_divide(lack, x, sum, DEC_SCALE, ROUND_HALF_EVEN, &high, work->err));
        TRY(dec_subtract(high, low, &part, work->err));
        TRY(adjust(work, step, entries[i].charge, CHARGE_MINIMUM, part));
        low = high;
    }
    return OK;
}

static enum status round_small(const struct step_round *body, struct dec value,
                               struct dec *rounded, struct error *err)
{
    TRY(dec_round(value, body->digits, body->mode, rounded, err));
    if (body->small_up && dec_sign(value) > 0 && dec_is_zero(*rounded)) {
        *rounded = (struct dec){1, body->digits};
    }
    return OK;
}

static enum status run_round(struct work *work, const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    struct dec before = DEC_ZERO, after = charge->net, r_before = DEC_ZERO, r_after, change;
    const struct bucket *traced = NULL;
    if (step->round.at != ROUND_AT_ROW) {
        uint32_t at;
        TRY(bucket_find(work, step, charge, &at));
        struct bucket *bucket = &work->buckets[at];
        charge = &work->charges[index];
        before = bucket->x;
        TRY(dec_add(before, charge->net, &after, work->err));
        TRY(round_small(&step->round, before, &r_before, work->err));
        bucket->x = after;
        traced = bucket;
    }
    TRY(round_small(&step->round, after, &r_after, work->err));
    trace_step(work, charge, step, traced, before, after, r_before, r_after, NONE);
    TRY(dec_subtract(r_after, r_before, &change, work->err));
    TRY(dec_subtract(change, charge->net, &change, work->err));
    if (step->round.show) {
        TRY(adjust(work, step, index, CHARGE_ROUNDING, change));
    } else {
        struct charge *rounded = &work->charges[index];
        TRY(dec_add(rounded->amount, change, &rounded->amount, work->err));
        TRY(dec_add(rounded->net, change, &rounded->net, work->err));
    }
    pass_on(work, index);
    return OK;
}

/* ---- minimums that nothing touched ---------------------------------------------------------------- */

/* The account of a bucket's name, or NONE: the text between its first two separators, which names encode. */
static uint32_t account_of_name(const struct work *work, struct text name)
{
    const char *first = memchr(name.at, '|', name.size);
    if (!first) {
        return NONE;
    }
    size_t at = (size_t)(first - name.at) + 1;
    const char *second = memchr(name.at + at, '|', name.size - at);
    if (!second) {
        return NONE;
    }
    char decoded[256];
    size_t size = 0;
    for (const char *c = name.at + at; c < second && size < sizeof decoded; c++) {
        unsigned byte = (unsigned char)*c;
        if (byte == '%' && second - c > 2) {
            unsigned high = (unsigned char)c[1], low = (unsigned char)c[2];
            high = high <= '9' ? high - '0' : high - 'A' + 10;
            low = low <= '9' ? low - '0' : low - 'A' + 10;
            byte = high << 4 | low;
            c += 2;
        }
        decoded[size++] = (char)byte;
    }
    return map_find(&work->pricing->accounts->by_id, (struct text){decoded, size});
}

/* The step with a minimum whose bucket has that name, in the version in force at the turn's end. */
static const struct step *minimum_of_name(const struct work *work, struct text name, instant last,
                                          const struct price **price)
{
    const char *bar = memchr(name.at, '|', name.size);
    struct text node = {name.at, bar ? (size_t)(bar - name.at) : 0};
    for (uint32_t p = 0; p < work->catalog->price_count; p++) {
        const struct price *candidate = &work->catalog->prices[p];
        if (candidate->from > last || candidate->to <= last) {
            continue;
        }
        for (uint32_t i = 0; i < candidate->step_count; i++) {
            const struct step *step = &candidate->steps[i];
            if (step->kind == STEP_BOUND && step->bound.has_min &&
                step->node < work->catalog->node_count &&
                text_equal(work->catalog->node_names[step->node], node)) {
                *price = candidate;
                return step;
            }
        }
    }
    return NULL;
}

static bool is_touched(struct work *work, struct text name)
{
    for (uint32_t i = 0; i < work->bucket_count; i++) {
        if (work->buckets[i].step->kind == STEP_BOUND &&
            text_equal(bucket_name(work, &work->buckets[i]), name)) {
            return true;
        }
    }
    return false;
}

/* A minimum whose turn ends with this bill falls due also when nothing was used in it: its bucket came with the opening. */
static enum status settle_untouched(struct work *work)
{
    const struct pricing *pricing = work->pricing;
    for (uint32_t i = 0; i < pricing->opening_count; i++) {
        const struct bucket_state *state = &pricing->opening[i];
        instant last = state->turn.to - 1;
        const struct price *price;
        if (state->turn.to > pricing->cut.to || state->turn.to <= pricing->cut.from) {
            continue;
        }
        const struct step *step = minimum_of_name(work, state->key, last, &price);
        uint32_t account = step ? account_of_name(work, state->key) : NONE;
        if (!step || account == MAP_NONE || is_touched(work, state->key)) {
            continue;
        }
        struct charge charge = {.kind = CHARGE_MINIMUM,
                                .has_amount = true,
                                .level = LEVEL_CATALOG,
                                .account = account,
                                .sku = price->sku_count == 1 ? price->skus[0] : NONE,
                                .series = NONE,
                                .row = NONE,
                                .order = 0xFFFFFFFFu,
                                .tier = NONE,
                                .of = NONE,
                                .at = last,
                                .span = period_intersect(state->turn, pricing->cut),
                                .price = price,
                                .step = step,
                                .contract = accounts_contract(pricing->accounts, work->catalog,
                                                              account, last),
                                .unit = TEXT(""),
                                .next_step = (uint32_t)(step - price->steps) + 1};
        struct bound_values values;
        TRY(bound_numbers(work, step, &charge, state->turn, &values));
        if (dec_compare(state->x, values.min) < 0) {
            TRY(dec_subtract(values.min, state->x, &charge.amount, work->err));
            charge.net = charge.list = charge.amount;
            work_push(work, work_add_charge(work, &charge));
        }
    }
    return OK;
}

/* ---- nodes --------------------------------------------------------------------------------------- */

static bool is_charge_step(const struct step *step)
{
    return step->kind == STEP_BOUND || step->kind == STEP_ROUND;
}

/* False when the step lets the charge pass untouched. */
static enum status step_takes(struct work *work, const struct step *step, uint32_t index,
                              bool *takes)
{
    const struct charge *charge = &work->charges[index];
    *takes = is_charge_step(step) == charge->has_amount;
    if (!*takes) {
        return OK;
    }
    return charge_where(work, step, charge, takes);
}

static enum status run_step(struct work *work, const struct step *step, uint32_t index)
{
    switch (step->kind) {
    case STEP_CONVERT:
        return run_convert(work, step, index);
    case STEP_ALLOWANCE:
        return run_allowance(work, step, index);
    case STEP_RATE:
        return run_rate(work, step, index);
    case STEP_TIER:
        return run_graduated(work, step, index);
    case STEP_BOUND:
        return run_bound(work, step, index);
    case STEP_ROUND:
        return run_round(work, step, index);
    case STEP_FIXED:
    case STEP_KINDS:
        break;
    }
    assert(!"a row waits at a step that takes no rows");
    return ERR_CORRUPT;
}

static bool is_whole(const struct step *step)
{
    return step->kind == STEP_TIER && step->tier.mode == TIER_VOLUME;
}

static bool settles(const struct step *step)
{
    return step->kind == STEP_BOUND && step->bound.has_min;
}

/* Runs one node over all charges that wait there. */
static enum status run_node(struct work *work, uint32_t node)
{
    struct entry *entries = NULL;
    uint32_t count = 0, capacity = 0;
    while (work->heap_count > 0 && work->heap[0].place >> 32 == node) {
        uint32_t index = (uint32_t)heap_pop(work).sequence;
        const struct price *price = work->charges[index].price;
        const struct step *step = &price->steps[work->charges[index].next_step];
        uint32_t account = work->charges[index].account;
        bool takes;
        enum status status = step_takes(work, step, index, &takes);
        if (status == OK && !takes) {
            pass_on(work, index);
            continue;
        }
        if (status == OK && (is_whole(step) || settles(step))) {
            if (count == capacity) {
                uint32_t more = capacity ? capacity * 2 : 16;
                entries = arena_grow(work->arena, entries, count, more, sizeof *entries);
                capacity = more;
            }
            entries[count++] = (struct entry){.charge = index};
        } else if (status == OK) {
            status = run_step(work, step, index);
        }
        if (status != OK) {
            return work_fail(work, status, price, step, account);
        }
    }
    if (count == 0) {
        return OK;
    }
    const struct charge *first = &work->charges[entries[0].charge];
    const struct price *price = first->price;
    const struct step *step = &price->steps[first->next_step];
    uint32_t account = first->account;
    enum status status = OK;
    if (is_whole(step)) {
        status = run_volume(work, step, entries, count);
        return status == OK ? OK : work_fail(work, status, price, step, account);
    }
    for (uint32_t i = 0; i < count && status == OK; i++) {
        const struct charge *charge = &work->charges[entries[i].charge];
        const struct step *own = &charge->price->steps[charge->next_step];
        status = bucket_find(work, own, charge, &entries[i].bucket);
        if (status == OK) {
            status = run_bound(work, own, entries[i].charge);
        }
    }
    for (uint32_t i = 0; i < count && status == OK; i++) {
        const struct bucket *bucket = &work->buckets[entries[i].bucket];
        if (bucket->last_charge == entries[i].charge) {
            status = settle_minimum(work, bucket->step, entries[i].bucket, entries, count);
        }
    }
    return status == OK ? OK : work_fail(work, status, price, step, account);
}

static enum status run_nodes(struct work *work)
{
    while (work->heap_count > 0) {
        TRY(run_node(work, (uint32_t)(work->heap[0].place >> 32)));
    }
    return OK;
}

/* ---- rows to charges ----------------------------------------------------------------------------- */

static enum status start_row(struct work *work, uint32_t index)
{
    const struct pricing *pricing = work->pricing;
    const struct usage_row *row = &work->rows[index];
    const struct series *series = series_at(pricing->series, row->series);
    const struct account *account = &pricing->accounts->items[row->account];
    instant at = pricing->base + (instant)row->slot_s * NS_PER_SECOND;
    struct charge charge = {.kind = CHARGE_USAGE,
                            .account = row->account,
                            .sku = series->sku,
                            .series = row->series,
                            .row = index,
                            .order = index,
                            .tier = NONE,
                            .of = NONE,
                            .at = at,
                            .unit = work->catalog->meters[series->meter].unit,
                            .events = row->total.count,
                            .quantity = row->quantity};
    const struct price_set *overrides =
        account->override == NONE ? NULL
                                  : &pricing->accounts->overrides[account->override].prices;
    charge.contract = accounts_contract(pricing->accounts, work->catalog, row->account, at);
    struct arena_mark mark = arena_mark(work->arena);
    struct text *dims = arena_alloc(work->arena, (work->catalog->dimension_count + 1) *
                                                     sizeof *dims);
    for (uint32_t i = 0; i < work->catalog->dimension_count; i++) {
        dims[i] = charge_dimension(work, &charge, i);
    }
    int level = LEVEL_CATALOG;
    charge.price = catalog_price(work->catalog, overrides, charge.contract, account->plan,
                                 series->sku, dims, at, &level);
    arena_rewind(work->arena, mark);
    charge.level = (int8_t)level;
    if (!charge.price) {
        exclude(work, row->account, EXCLUDE_UNPRICED, series->meter, &row->total);
        return OK;
    }
    enum grain grain = work->catalog->meters[series->meter].grain;
    charge.span = (struct period){at, slot_end(work->catalog, pricing->accounts, row->account,
                                               grain, pricing->cut, at)};
    work->left[index] = row->quantity;
    work_push(work, work_add_charge(work, &charge));
    return OK;
}

static int compare_excluded(const void *a_item, const void *b_item)
{
    const struct excluded *a = a_item, *b = b_item;
    if (a->account != b->account) {
        return a->account < b->account ? -1 : 1;
    }
    if (a->reason != b->reason) {
        return a->reason < b->reason ? -1 : 1;
    }
    return a->meter < b->meter ? -1 : a->meter > b->meter;
}

enum status price_payer(struct arena *arena, const struct pricing *pricing,
                        const struct usage_row *rows, uint32_t row_count, struct priced *priced,
                        struct error *err)
{
    struct work work = {.arena = arena,
                        .pricing = pricing,
                        .catalog = pricing->catalog,
                        .rows = rows,
                        .err = err};
    work.left = arena_calloc(arena, row_count + 1, sizeof *work.left);
    /* Most rows become one charge: room for them at once, so that little is copied. */
    work.charge_capacity = work.heap_capacity = row_count + 16;
    work.charges = arena_alloc(arena, work.charge_capacity * sizeof *work.charges);
    work.heap = arena_alloc(arena, work.heap_capacity * sizeof *work.heap);
    for (uint32_t i = 0; i < row_count; i++) {
        TRY(start_row(&work, i));
    }
    TRY(fixed_emit(&work));
    TRY(run_nodes(&work));
    TRY(settle_untouched(&work));
    TRY(run_nodes(&work));
    for (uint32_t i = 0; i < row_count; i++) {
        if (!dec_is_zero(work.left[i])) {
            return fail(err, ERR_CORRUPT,
                        "account %.*s: the lines of a usage row do not add up to its quantity",
                        TEXT_ARG(pricing->accounts->items[rows[i].account].id));
        }
    }
    *priced = (struct priced){.charges = work.charges,
                              .charge_count = work.charge_count,
                              .excluded = work.excluded,
                              .excluded_count = work.excluded_count,
                              .traces = work.traces,
                              .trace_count = work.trace_count};
    if (priced->excluded_count > 1) {
        qsort(priced->excluded, priced->excluded_count, sizeof *priced->excluded,
              compare_excluded);
    }
    bucket_closing(&work, priced);
    return OK;
}
