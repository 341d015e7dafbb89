/* step_rate.c - rating steps: rate and tier, quantity to amount.
 *
 * A graduated tier rates rows as they come; a volume tier knows its amount when it has seen all
 * rows of the bucket, and gives it to them along the chord of the curve, along the curve, or as one
 * charge.
 */
#include <assert.h>

#include "price/work.h"

#include "base/nofloat.h"

/* What a line tells of how a charge was made. */
static void tell_rate(struct charge *charge, const struct step *step, struct dec rate)
{
    charge->has_rate = true;
    charge->rate = rate;
    charge->tier = NONE;
    charge->step = step;
}

enum status step_rate_piece(struct work *work, const struct step *step, const struct charge *charge,
                            const struct piece *piece, struct dec *amount)
{
    struct charge like = *charge;
    tell_rate(&like, step, piece->rate);
    return piece_of_curve(work, step, &like, piece, amount);
}

/* Makes a charge of a row. */
static enum status rate_charge(struct work *work, const struct step *step, uint32_t index,
                               struct dec rate, struct dec amount, struct dec list, uint32_t tier)
{
    struct charge *charge = &work->charges[index];
    tell_rate(charge, step, rate);
    charge->has_amount = true;
    charge->amount = charge->net = amount;
    charge->list = list;
    charge->tier = tier;
    TRY(work_take_of_row(work, charge, charge->quantity));
    work_pass_on(work, index);
    return OK;
}

enum status step_rate_charge(struct work *work, const struct step *step, uint32_t index,
                             struct dec rate, struct dec amount)
{
    const struct charge *charge = &work->charges[index];
    struct dec list = amount;
    if (charge->price->has_list) {
        TRY(dec_multiply_round(charge->quantity, charge->price->list, DEC_SCALE, ROUND_HALF_EVEN,
                               &list, work->err));
    }
    return rate_charge(work, step, index, rate, amount, list, NONE);
}

/* Whether the row has only later pieces of events that are spread: what an event pays once, its
 * first piece has paid. */
static bool goes_on(const struct work *work, const struct charge *charge)
{
    if (charge->row == NONE || work->rows[charge->row].total.count > 0) {
        return false;
    }
    uint32_t meter = series_at(work->pricing->series, charge->series)->meter;
    return work->catalog->meters[meter].spread_from != NULL;
}

static enum status find_rate(struct work *work, const struct step *step,
                             const struct charge *charge, struct period turn, bool *found,
                             struct dec *rate, struct dec *flat, const struct place **place)
{
    const struct step_rate *body = &step->rate;
    *found = true;
    *place = NULL;
    *flat = DEC_ZERO;
    if (body->table) {
        struct text key[8];
        for (uint32_t i = 0; i < body->table->key_count; i++) {
            key[i] = charge_key_value(work, charge, body->table->keys[i]);
        }
        const struct dec *entry = rate_table_find(body->table, key, charge->at);
        *found = entry != NULL;
        if (entry) {
            *rate = *entry;
            *place = &body->table->places[entry - body->table->rates];
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
        TRY(number_alone(work, &item->rate, charge, turn, rate));
        return goes_on(work, charge) ? OK : number_alone(work, &item->flat, charge, turn, flat);
    }
    *found = false;
    return OK;
}

/* quantity x rate at 18 digits: most products need no rounding. */
static enum status multiply(struct dec quantity, struct dec rate, struct dec *amount,
                            struct error *err)
{
    if (quantity.scale + rate.scale <= DEC_SCALE) {
        return dec_multiply(quantity, rate, amount, err);
    }
    return dec_multiply_round(quantity, rate, DEC_SCALE, ROUND_HALF_EVEN, amount, err);
}

/* quantity x rate / per, quantized once. */
static enum status rate_amount(const struct step_rate *body, struct dec quantity, struct dec rate,
                               struct dec *amount, struct error *err)
{
    if (body->has_per) {
        return dec_multiply_divide(quantity, rate, body->per, DEC_SCALE, ROUND_HALF_EVEN, amount,
                                   err);
    }
    return multiply(quantity, rate, amount, err);
}

static enum status exclude_unpriced(struct work *work, uint32_t index)
{
    struct charge *charge = &work->charges[index];
    struct total total = {0};
    wide_add_dec(&total.sum, charge->quantity);
    total.count = charge->events;
    if (!charge->is_copy) { /* another component tells what is on no line */
        work_exclude(work, charge->account, EXCLUDE_UNPRICED, work_meter_of(work, charge), &total);
    }
    TRY(work_take_of_row(work, charge, charge->quantity));
    charge->next_step = charge->price->step_count;
    return OK;
}

/* What a row costs, but for its flat. */
static enum status rate_row(struct work *work, const struct step *step, const struct charge *charge,
                            struct dec rate, bool *is_held, struct dec *amount)
{
    const struct step_rate *body = &step->rate;
    const struct piece piece = {.quantity = charge->quantity,
                                .rate = rate,
                                .per = body->has_per ? body->per : dec_from_int(1),
                                .per_digits = body->per_digits};
    TRY(piece_alone(&piece, is_held, amount, work->err));
    return *is_held ? OK : step_rate_piece(work, step, charge, &piece, amount);
}

enum status step_rate_run(struct work *work, const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    struct period turn = charge_turn(work, step, charge);
    bool found, is_held;
    struct dec rate = DEC_ZERO, flat = DEC_ZERO, amount, list;
    const struct place *place;
    TRY(find_rate(work, step, charge, turn, &found, &rate, &flat, &place));
    if (!found) {
        return exclude_unpriced(work, index);
    }
    TRY(rate_row(work, step, charge, rate, &is_held, &amount));
    TRY(dec_add(amount, flat, &amount, work->err));
    list = amount;
    if (charge->price->has_list) {
        TRY(rate_amount(&step->rate, charge->quantity, charge->price->list, &list, work->err));
    }
    if (work->pricing->trace) {
        work_trace_step(work, index, NULL,
                        (struct trace){.step = step,
                                       .after = charge->quantity,
                                       .f_after = amount,
                                       .limit = rate,
                                       .has_rate = true,
                                       .is_piece = !is_held,
                                       .tier = NONE,
                                       .row_place = place});
    }
    return rate_charge(work, step, index, rate, amount, list, NONE);
}

/* Tiers with numbers evaluated, where each begins. */
enum status step_tier_numbers(struct work *work, const struct step *step,
                              const struct step_tier *body, const struct charge *charge,
                              struct period turn, const struct tier_values **out)
{
    if (body->values && !step->on_change_restart) {
        *out = body->values;
        return OK;
    }
    struct tier_values *tiers = arena_alloc(work->arena, body->tier_count * sizeof *tiers);
    struct dec from = DEC_ZERO;
    bool from_is_in = false;
    for (uint32_t i = 0; i < body->tier_count; i++) {
        const struct tier *tier = &body->tiers[i];
        tiers[i] = (struct tier_values){.from = from,
                                        .from_is_in = from_is_in,
                                        .up_to = tier->up_to,
                                        .open = tier->open,
                                        .rate = tier->rate.value,
                                        .flat = tier->flat.value,
                                        .tier = tier};
        bool is_empty = false;
        if (!tier->open) {
            if (tier->limit) {
                struct number limit = {tier->up_to, tier->limit};
                TRY(number_value(work, &limit, charge, turn, &tiers[i].up_to));
            }
            if (step->on_change_restart) {
                TRY(step_restarted(work, step, charge, turn, &tiers[i].up_to));
            }
            /* One that is computed may lie below the one before it, or on it: then its tier is
             * empty, unless it holds that very quantity. */
            int order = dec_compare(tiers[i].up_to, from);
            bool goes_on = i + 1 == body->tier_count && body->past_last == PAST_LAST;
            is_empty =
                i > 0 && !goes_on && (order < 0 || (order == 0 && (!from_is_in || tier->below)));
            tiers[i].up_to = order < 0 ? from : tiers[i].up_to;
        }
        if (tier->rate.expr) {
            TRY(number_value(work, &tier->rate, charge, turn, &tiers[i].rate));
        }
        if (tier->flat.expr) {
            TRY(number_value(work, &tier->flat, charge, turn, &tiers[i].flat));
        }
        if (is_empty) { /* nothing enters it */
            tiers[i].flat = DEC_ZERO;
            continue;
        }
        from = tiers[i].up_to;
        from_is_in = tier->below;
    }
    *out = tiers;
    return OK;
}

static enum status tier_numbers(struct work *work, const struct step *step,
                                const struct charge *charge, struct period turn,
                                const struct tier_values **out)
{
    return step_tier_numbers(work, step, &step->tier, charge, turn, out);
}

/* The bucket has the numbers of the step. */
static enum status set_numbers(struct work *work, const struct step *step, uint32_t index,
                               struct bucket *bucket)
{
    if (!bucket->values || bucket->step != step) {
        const struct tier_values *values;
        TRY(tier_numbers(work, step, &work->charges[index], bucket->turn, &values));
        bucket->values = values;
        bucket->step = step;
        bucket->y_is_f = false;
    }
    return OK;
}

static enum status tier_bucket(struct work *work, const struct step *step, uint32_t index,
                               uint32_t *at)
{
    TRY(bucket_find(work, step, &work->charges[index], at));
    return set_numbers(work, step, index, &work->buckets[*at]);
}

static enum status list_amount(const struct price *price, const struct tier_values *first,
                               struct dec quantity, struct dec *list, struct error *err)
{
    struct dec rate = price->has_list ? price->list : first->rate;
    if (!price->has_list && first->tier->is_percent) {
        TRY(dec_multiply(rate, (struct dec){1, 2}, &rate, err));
    }
    if (!price->has_list && first->tier->has_package) {
        return dec_multiply_divide(quantity, rate, first->tier->package, DEC_SCALE, ROUND_HALF_EVEN,
                                   list, err);
    }
    return multiply(quantity, rate, list, err);
}

/* Most buckets of a bill begin empty: sums with zero need no arithmetic. */
static enum status add(struct dec a, struct dec b, struct dec *sum, struct error *err)
{
    if (dec_is_zero(a)) {
        *sum = b;
        return OK;
    }
    return dec_add(a, b, sum, err);
}

static enum status subtract(struct dec a, struct dec b, struct dec *difference, struct error *err)
{
    if (dec_is_zero(b)) {
        *difference = a;
        return OK;
    }
    return dec_subtract(a, b, difference, err);
}

/* A part of a row, from x to end, both in one tier; or one that only reaches `end` and owes the
 * flat of the tier that begins there. */
struct part {
    struct dec x, end, f, f_end;
    struct dec quantity, amount, list;
    uint32_t tier;
};

static enum status charge_part(struct work *work, const struct step *step, uint32_t index,
                               const struct bucket *bucket, const struct part *part)
{
    const struct tier_values *tiers = bucket->values, *tier = &tiers[part->tier];
    struct dec rate = tier->rate;
    work->charges[index].quantity = part->quantity;
    if (!tier->open && step->tier.past_last == PAST_FREE &&
        dec_compare(dec_max(part->x, part->end), tier->up_to) > 0) {
        rate = DEC_ZERO;
    }
    if (work->pricing->trace) {
        work_trace_step(work, index, bucket,
                        (struct trace){.step = step,
                                       .before = part->x,
                                       .after = part->end,
                                       .f_before = part->f,
                                       .f_after = part->f_end,
                                       .limit = rate,
                                       .has_rate = true,
                                       .tier = part->tier,
                                       .tier_from = tier->from,
                                       .tier_to = tier->up_to});
    }
    return rate_charge(work, step, index, rate, part->amount, part->list, part->tier);
}

static struct dec raise_high(struct dec high, struct dec x)
{
    return dec_is_zero(high) && dec_sign(x) >= 0 ? x : dec_max(high, x);
}

/* True when the row goes up through plain tiers, where each part costs its quantity x the rate of
 * its tier, to the last digit: then F is a sum of such products and need not be computed anew. */
static bool is_climb(const struct step_tier *body, const struct bucket *bucket, struct dec quantity,
                     struct dec target)
{
    int digits = body->limit_digits;
    digits = bucket->x.scale > digits ? bucket->x.scale : digits;
    digits = target.scale > digits ? target.scale : digits;
    return body->is_plain && bucket->values == body->values &&
           digits + body->rate_digits <= DEC_SCALE && dec_sign(quantity) > 0 &&
           dec_sign(bucket->x) >= 0 && (bucket->y_is_f || dec_is_zero(bucket->x));
}

static enum status climb(struct work *work, const struct step *step, uint32_t index,
                         struct bucket *bucket, struct dec target)
{
    const struct step_tier *body = &step->tier;
    const struct tier_values *tiers = body->values;
    struct part part; /* what is not set here, each turn of the loop sets */
    part.x = bucket->x;
    part.f = bucket->y_is_f ? bucket->y : DEC_ZERO;
    part.tier = dec_is_zero(part.x) ? 0 : curve_tier_above(tiers, body->tier_count, part.x);
    struct charge whole; /* the row as it came, once it is cut into parts */
    const bool has_list = work->charges[index].price->has_list;
    uint32_t piece = index;
    for (bool is_more = true; is_more; part.tier++) {
        const struct tier_values *tier = &tiers[part.tier];
        is_more = !tier->open && dec_compare(tier->up_to, target) < 0;
        part.end = is_more ? tier->up_to : target;
        TRY(subtract(part.end, part.x, &part.quantity, work->err));
        TRY(dec_multiply(part.quantity, tier->rate, &part.amount, work->err));
        TRY(add(part.f, part.amount, &part.f_end, work->err));
        part.list = part.amount;
        if (part.tier > 0 || has_list) {
            TRY(list_amount(work->charges[index].price, &tiers[0], part.quantity, &part.list,
                            work->err));
        }
        if (is_more && piece == index) {
            whole = work->charges[index];
            whole.events = 0; /* the row's events stay with its first part */
        }
        TRY(charge_part(work, step, piece, bucket, &part));
        if (is_more) {
            piece = work_add_charge(work, &whole);
        }
        part.x = part.end;
        part.f = part.f_end;
    }
    bucket->last_charge = index;
    bucket->x = target;
    bucket->y = part.f;
    bucket->y_is_f = true;
    bucket->high = raise_high(bucket->high, target);
    return OK;
}

/* How far a row on its way from x to target gets in one tier; false when it gets there. */
static bool find_end(const struct step_tier *body, const struct tier_values *tiers, struct dec x,
                     struct dec target, struct dec *end)
{
    /* A last tier that goes on has no end: what goes beyond its limit stays in it, uncut. */
    uint32_t count = body->tier_count - (body->past_last == PAST_LAST);
    if (dec_compare(x, target) <= 0) {
        bool any = curve_boundary(tiers, count, x, target, end);
        *end = any ? *end : target;
        return any;
    }
    /* Down: the greatest limit between, so up from the target to the last. */
    struct dec from = target;
    bool any = false;
    while (curve_boundary(tiers, count, from, x, end)) {
        from = *end;
        any = true;
    }
    *end = from;
    return any;
}

/* Up or down any curve: a row that takes back (negative) walks down the same one.  Of a row that
 * measures something else than its quantity, a part has its share of the quantity: up to each limit
 * quantity x measured / measure, of which the differences are taken. */
static enum status walk(struct work *work, const struct step *step, uint32_t index,
                        struct bucket *bucket, struct dec target)
{
    const struct tier_values *tiers = bucket->values;
    const struct step_tier *body = &step->tier;
    struct charge whole; /* the row as it came, once it is cut into parts */

    const struct dec start = bucket->x, quantity = work->charges[index].quantity;
    struct dec x = start, high = bucket->high, f, used = DEC_ZERO, measure, measured;
    TRY(subtract(target, start, &measure, work->err));
    /* What was carried in from a bill before may have paid at zero. */
    bool is_first = bucket->last_charge == NONE && dec_is_zero(bucket->x) && dec_is_zero(bucket->y);
    if (bucket->y_is_f) {
        f = bucket->y;
    } else if (is_first && body->at_zero_charge) {
        f = DEC_ZERO; /* the first tier's flat is still to pay */
    } else {
        TRY(curve_graduated(body, tiers, x, high, &f, work->err));
    }
    bucket->last_charge = index;
    bool is_more = true;
    for (uint32_t count = 0; is_more; count++) {
        struct part part = {.x = x, .f = f};
        is_more = find_end(body, tiers, x, target, &part.end);
        struct dec end = part.end;
        part.tier = curve_tier_above(tiers, body->tier_count, dec_min(x, end));
        if (dec_equal(x, end)) {
            part.tier = curve_tier_of(tiers, body->tier_count, end);
        }
        /* A tier that begins with the end itself (`below`) is reached, and its flat owed, but it is
         * not this part that pays it. */
        struct dec new_high = raise_high(high, end);
        bool is_begun = dec_compare(end, high) > 0 && dec_compare(end, x) > 0 &&
                        curve_tier_of(tiers, body->tier_count, end) != part.tier;
        if (is_begun) {
            TRY(curve_graduated_before(body, tiers, end, &part.f_end, work->err));
            struct dec f_reached;
            TRY(curve_graduated(body, tiers, end, new_high, &f_reached, work->err));
            is_more = is_more || !dec_equal(f_reached, part.f_end);
        } else {
            TRY(curve_graduated(body, tiers, end, new_high, &part.f_end, work->err));
        }
        uint32_t piece = index;
        if (count > 0) {
            piece = work_add_charge(work, &whole);
        } else if (is_more) {
            whole = work->charges[index];
            whole.events = 0; /* the row's events stay with its first part */
        }
        TRY(subtract(part.end, part.x, &measured, work->err));
        part.quantity = measured;
        if (step->measure) {
            struct dec to = quantity, gone;
            if (is_more && !dec_equal(end, target)) {
                TRY(subtract(end, start, &gone, work->err));
                TRY(dec_multiply_divide(quantity, gone, measure, DEC_SCALE, ROUND_HALF_EVEN, &to,
                                        work->err));
            }
            TRY(subtract(to, used, &part.quantity, work->err));
            used = to;
        }
        TRY(subtract(part.f_end, part.f, &part.amount, work->err));
        TRY(list_amount(work->charges[piece].price, &tiers[0], measured, &part.list, work->err));
        TRY(charge_part(work, step, piece, bucket, &part));
        x = end;
        f = part.f_end;
        high = new_high;
    }
    bucket->x = target;
    bucket->y = f;
    bucket->high = high;
    bucket->y_is_f = true;
    return OK;
}

/* What finds the tier of a row. */
static enum status row_position(struct work *work, const struct step *step,
                                const struct charge *charge, struct dec *position)
{
    struct expr_value value;
    struct period turn = charge_turn(work, step, charge);
    TRY(charge_eval(work, step->tier.position, charge, turn, &value));
    *position = value.number;
    if (position->scale > DEC_SCALE) {
        return dec_round(*position, DEC_SCALE, ROUND_HALF_EVEN, position, work->err);
    }
    return OK;
}

/* How many tiers a bucket has entered, the first of which may be due at zero. */
static uint32_t count_entered(const struct step_tier *body, const struct tier_values *tiers,
                              struct dec high)
{
    return dec_sign(high) > 0 ? curve_tier_of(tiers, body->tier_count, high) + 1
                              : body->at_zero_charge;
}

/* A row that walks over the positions. */
struct stroll {
    struct part part;
    struct charge whole; /* the row as it came */
    uint32_t index;      /* the charge that its next part takes; NONE: one of its own */
    uint32_t paid;       /* tiers whose flats are paid */
};

/* A part of the row in one tier, with the flats of the tiers that it is the first to enter. */
static enum status stroll_part(struct work *work, const struct step *step, struct bucket *bucket,
                               struct stroll *stroll)
{
    const struct step_tier *body = &step->tier;
    const struct tier_values *tiers = bucket->values;
    struct part *part = &stroll->part;
    const struct tier_values *tier = &tiers[part->tier];
    bool is_past = !tier->open && body->past_last == PAST_FREE &&
                   dec_compare(dec_max(part->x, part->end), tier->up_to) > 0;
    TRY(multiply(part->quantity, is_past ? DEC_ZERO : tier->rate, &part->amount, work->err));
    bucket->high = raise_high(bucket->high, part->end);
    uint32_t entered = count_entered(body, tiers, bucket->high);
    for (; stroll->paid < entered && stroll->paid <= part->tier; stroll->paid++) {
        TRY(dec_add(part->amount, tiers[stroll->paid].flat, &part->amount, work->err));
    }
    TRY(dec_add(part->f, part->amount, &part->f_end, work->err));
    uint32_t piece = stroll->index == NONE ? work_add_charge(work, &stroll->whole) : stroll->index;
    stroll->index = NONE;
    TRY(list_amount(work->charges[piece].price, &tiers[0], part->quantity, &part->list, work->err));
    TRY(charge_part(work, step, piece, bucket, part));
    part->x = part->end;
    part->f = part->f_end;
    return OK;
}

/* A row of p positions and q units pays each tier's rate for its share of the units: up to the n-th
 * position q x n / p, of which the differences are taken. */
static enum status walk_positions(struct work *work, const struct step *step, uint32_t index,
                                  struct bucket *bucket)
{
    const struct step_tier *body = &step->tier;
    const struct tier_values *tiers = bucket->values;
    struct stroll stroll = {.whole = work->charges[index], .index = index};
    struct part *part = &stroll.part;
    struct dec quantity = stroll.whole.quantity, positions, start = bucket->x, target;
    TRY(row_position(work, step, &stroll.whole, &positions));
    TRY(dec_add(start, positions, &target, work->err));
    part->x = start;
    part->f = bucket->y;
    stroll.whole.events = 0; /* the row's events stay with its first part */
    bool is_first = bucket->last_charge == NONE && dec_is_zero(bucket->x) &&
                    dec_is_zero(bucket->high) && dec_is_zero(bucket->y);
    stroll.paid = is_first ? 0 : count_entered(body, tiers, bucket->high);
    struct dec used = DEC_ZERO;
    for (bool is_more = true; is_more;) {
        is_more = find_end(body, tiers, part->x, target, &part->end);
        part->tier = dec_equal(part->x, part->end)
                         ? curve_tier_of(tiers, body->tier_count, part->end)
                         : curve_tier_above(tiers, body->tier_count, dec_min(part->x, part->end));
        struct dec to = quantity, gone;
        if (is_more) {
            TRY(dec_subtract(part->end, start, &gone, work->err));
            TRY(dec_multiply_divide(quantity, gone, positions, DEC_SCALE, ROUND_HALF_EVEN, &to,
                                    work->err));
        }
        TRY(dec_subtract(to, used, &part->quantity, work->err));
        TRY(stroll_part(work, step, bucket, &stroll));
        used = to;
    }
    /* A tier that begins with the target itself (`below`) is entered by nothing of the row. */
    while (stroll.paid < count_entered(body, tiers, bucket->high)) {
        if (dec_is_zero(tiers[stroll.paid].flat)) {
            stroll.paid++;
            continue;
        }
        part->tier = stroll.paid;
        part->end = target;
        part->quantity = DEC_ZERO;
        TRY(stroll_part(work, step, bucket, &stroll));
    }
    bucket->last_charge = index;
    bucket->x = target;
    bucket->y = part->f;
    return OK;
}

/* True when the row, if nobody comes before it, ends in the first of plain tiers: then it is a
 * rate.
 */
static bool is_in_first(const struct step *step, const struct charge *charge)
{
    const struct step_tier *body = &step->tier;
    const struct tier_values *first = body->values;
    if (!body->is_plain || !first || step->on_change_restart || step->measure || body->position ||
        charge->price->has_list) {
        return false;
    }
    struct dec quantity = charge->quantity;
    int digits = quantity.scale > body->limit_digits ? quantity.scale : body->limit_digits;
    return digits + body->rate_digits <= DEC_SCALE && dec_sign(quantity) > 0 &&
           (first->open || dec_compare(quantity, first->up_to) <= 0);
}

/* One graduated row: as many charges as it crosses tiers. */
enum status step_graduated_run(struct work *work, const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    if (is_in_first(step, charge) && bucket_is_lone(work, step, charge)) {
        struct dec rate = step->tier.values->rate, amount;
        TRY(dec_multiply(charge->quantity, rate, &amount, work->err));
        return rate_charge(work, step, index, rate, amount, amount, 0);
    }
    struct bucket *bucket;
    if (bucket_find_lone(work, step, &work->charges[index])) {
        bucket = &work->lone;
    } else {
        uint32_t at;
        TRY(bucket_find(work, step, &work->charges[index], &at));
        bucket = &work->buckets[at];
    }
    TRY(set_numbers(work, step, index, bucket));
    if (step->tier.position) {
        return walk_positions(work, step, index, bucket);
    }
    struct dec quantity = work->charges[index].quantity, target, measure;
    TRY(charge_measure(work, step, &work->charges[index], quantity, &measure));
    TRY(add(bucket->x, measure, &target, work->err));
    return !step->measure && is_climb(&step->tier, bucket, quantity, target)
               ? climb(work, step, index, bucket, target)
               : walk(work, step, index, bucket, target);
}

/* ---- whole-bucket steps ---------------------------------------------------------------------- */

/* Y = F(x) of the whole bucket, and the tier that x lies in; a graduated amount has no one tier. */
static enum status whole_curve(struct work *work, const struct step_tier *body,
                               struct bucket *bucket, uint32_t *tier, struct dec *y)
{
    if (body->mode == TIER_VOLUME) {
        struct dec position = body->position ? bucket->high : bucket->x;
        return curve_volume(body, bucket->values, bucket->x, position, tier, y, work->err);
    }
    *tier = NONE;
    bucket->high = dec_max(bucket->high, bucket->x);
    return curve_graduated(body, bucket->values, bucket->x, bucket->high, y, work->err);
}

/* Y of the whole bucket, given to its rows: along the chord (pro rata), along the curve, or as one
 * charge. */
static enum status attribute_entry(struct work *work, const struct step *step,
                                   const struct entry *entry, struct dec total, struct dec sum,
                                   struct dec *before, struct dec *after)
{
    const struct bucket *bucket = &work->buckets[entry->bucket];
    uint32_t tier;
    *before = *after = DEC_ZERO;
    if (step->attribute == ATTRIBUTE_NONE) {
        return OK;
    }
    if (step->attribute == ATTRIBUTE_IN_ORDER) {
        struct dec from, to;
        TRY(dec_add(bucket->opening_x, entry->before, &from, work->err));
        TRY(dec_add(bucket->opening_x, entry->after, &to, work->err));
        /* The first row pays what none owes too (`at_zero: charge`); those behind it do not. */
        if (!entry->is_first || dec_sign(bucket->opening_x) != 0) {
            TRY(curve_volume(&step->tier, bucket->values, from, from, &tier, before, work->err));
        }
        return curve_volume(&step->tier, bucket->values, to, to, &tier, after, work->err);
    }
    TRY(dec_multiply_divide(total, entry->before, sum, DEC_SCALE, ROUND_HALF_EVEN, before,
                            work->err));
    return dec_multiply_divide(total, entry->after, sum, DEC_SCALE, ROUND_HALF_EVEN, after,
                               work->err);
}

/* What no row of this bill stands for: along the curve, what earlier bills left unbilled. */
static enum status find_rest(struct work *work, const struct bucket *bucket, struct dec y,
                             struct dec total, struct dec *rest)
{
    const struct step *step = bucket->step;
    *rest = DEC_ZERO;
    if (step->attribute != ATTRIBUTE_IN_ORDER || dec_is_zero(bucket->opening_x)) {
        return OK;
    }
    uint32_t tier;
    struct dec before, rows;
    TRY(curve_volume(&step->tier, bucket->values, bucket->opening_x, bucket->opening_x, &tier,
                     &before, work->err));
    TRY(dec_subtract(y, before, &rows, work->err));
    return dec_subtract(total, rows, rest, work->err);
}

bool step_is_whole(const struct step *step)
{
    return step->kind == STEP_TIER &&
           (step->tier.mode == TIER_VOLUME || step->attribute != ATTRIBUTE_IN_ORDER);
}

enum status step_whole_value(struct work *work, const struct step *step,
                             const struct charge *charge, struct bucket *bucket, uint32_t *tier,
                             struct dec *y)
{
    const struct tier_values *values;
    TRY(tier_numbers(work, step, charge, bucket->turn, &values));
    bucket->values = values;
    return whole_curve(work, &step->tier, bucket, tier, y);
}

/* What a bucket that is computed as a whole comes to. */
struct whole {
    struct dec total; /* on this bill */
    struct dec sum;   /* of what its rows measure */
    struct dec rest;  /* of the total, on no row */
    uint32_t tier;    /* that of all of it; NONE */
    uint32_t trace;   /* what is told of it, when that is asked for */
    bool waits;       /* for the end of its turn */
};

/* Takes the rows into their buckets: the place of each in what this bill brings to its own. */
static enum status place_rows(struct work *work, struct entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct charge *charge = &work->charges[entries[i].charge];
        const struct step *own = &charge->price->steps[charge->next_step];
        work->asking = own;
        TRY(tier_bucket(work, own, entries[i].charge, &entries[i].bucket));
        struct bucket *bucket = &work->buckets[entries[i].bucket];
        struct dec measure;
        TRY(charge_measure(work, own, charge, charge->quantity, &measure));
        TRY(dec_subtract(bucket->x, bucket->opening_x, &entries[i].before, work->err));
        TRY(dec_add(bucket->x, measure, &bucket->x, work->err));
        if (own->tier.position) {
            struct dec position;
            TRY(row_position(work, own, charge, &position));
            TRY(dec_add(bucket->high, position, &bucket->high, work->err));
        }
        TRY(dec_subtract(bucket->x, bucket->opening_x, &entries[i].after, work->err));
        entries[i].is_first = bucket->last_charge == NONE;
        bucket->last_charge = entries[i].charge;
    }
    return OK;
}

/* Its numbers; of none the first's. */
static const struct tier_values *tier_of(const struct bucket *bucket, const struct whole *whole)
{
    const struct tier_values *values = bucket->values;
    return &values[whole->tier == NONE ? 0 : whole->tier];
}

/* The version in force at the turn's end sets the curve (doc/pricing.md, Versions). */
static enum status total_bucket(struct work *work, struct bucket *bucket, struct whole *whole)
{
    const struct charge *last = &work->charges[bucket->last_charge];
    const struct price *price = last->price;
    instant due =
        turn_end_due(work, bucket->step, price, last->contract, bucket->account, bucket->turn);
    const struct step *own = turn_end_step(work, bucket->step, due, &price);
    work->asking = own;
    if (own != bucket->step) {
        const struct tier_values *values;
        TRY(tier_numbers(work, own, last, bucket->turn, &values));
        bucket->values = values;
        bucket->step = own;
    }
    struct dec y;
    TRY(whole_curve(work, &own->tier, bucket, &whole->tier, &y));
    whole->waits = own->tier.settle_at_end && due > work->pricing->cut.to;
    if (whole->waits) {
        y = bucket->y;
    }
    TRY(dec_subtract(y, bucket->y, &whole->total, work->err));
    TRY(dec_subtract(bucket->x, bucket->opening_x, &whole->sum, work->err));
    TRY(find_rest(work, bucket, y, whole->total, &whole->rest));
    const struct tier_values *tier = tier_of(bucket, whole);
    whole->trace = work->trace_count;
    work_trace_bucket(work, bucket,
                      (struct trace){.step = own,
                                     .before = bucket->opening_x,
                                     .after = bucket->x,
                                     .f_before = bucket->y,
                                     .f_after = y,
                                     .tier = whole->tier,
                                     .tier_from = tier->from,
                                     .tier_to = tier->up_to});
    bucket->y = y;
    return OK;
}

/* What is on no row is a charge of its own, on the bucket's scope; where it is all of the total, so
 * is what that would cost at the list rate. */
static enum status charge_rest(struct work *work, const struct bucket *bucket,
                               const struct whole *whole, const struct charge *like,
                               struct dec rest, bool is_all)
{
    const struct step *own = bucket->step;
    const struct price *price = like->price;
    instant due = turn_end_due(work, own, price, like->contract, bucket->account, bucket->turn);
    (void)turn_end_step(work, own, due, &price);
    struct charge extra = turn_end_charge(work, bucket, own, price, due, like);
    struct dec quantity;
    TRY(subtract(bucket->x, bucket->opening_x, &quantity, work->err));
    extra.amount = extra.net = rest;
    extra.list = DEC_ZERO;
    if (is_all) { /* of the rows of this bill: those of others have theirs */
        TRY(list_amount(price, bucket->values, quantity, &extra.list, work->err));
    }
    extra.tier = whole->tier;
    extra.has_rate = whole->tier != NONE;
    if (extra.has_rate) { /* what it is so much of: of the turn, or of the bill */
        extra.rate = tier_of(bucket, whole)->rate;
        extra.quantity = own->tier.settle_at_end ? bucket->x : quantity;
    }
    const uint32_t index = work_add_charge(work, &extra);
    if (whole->trace < work->trace_count) { /* is told */
        work->traces[whole->trace].made_from = index;
        work->traces[whole->trace].made_to = index + 1;
    }
    work_push(work, index);
    return OK;
}

/* Gives a row its part of the total; what is left of that goes with the last one. */
static enum status charge_row(struct work *work, const struct entry *entry,
                              const struct whole *whole)
{
    const struct bucket *bucket = &work->buckets[entry->bucket];
    const struct step *own = bucket->step;
    const struct charge like = work->charges[entry->charge];
    const struct step *version = &like.price->steps[like.next_step];
    const uint32_t tier = whole->tier;
    const struct tier_values *values = tier_of(bucket, whole);
    bool on_scope = whole->waits || own->attribute == ATTRIBUTE_NONE ||
                    (own->attribute == ATTRIBUTE_PRO_RATA && dec_is_zero(whole->sum));
    struct dec before = DEC_ZERO, after = DEC_ZERO, amount, measured, list;
    if (!on_scope) {
        TRY(attribute_entry(work, own, entry, whole->total, whole->sum, &before, &after));
    }
    TRY(dec_subtract(after, before, &amount, work->err));
    if (!on_scope || whole->waits) {
        work_trace_step(work, entry->charge, bucket,
                        (struct trace){.step = version,
                                       .curve = own,
                                       .before = entry->before,
                                       .after = entry->after,
                                       .f_before = before,
                                       .f_after = after,
                                       .tier = tier,
                                       .tier_from = values->from,
                                       .tier_to = values->up_to});
    }
    struct dec rest = on_scope ? whole->total : whole->rest;
    TRY(subtract(entry->after, entry->before, &measured, work->err));
    if (on_scope && !dec_is_zero(rest)) {
        measured = DEC_ZERO; /* at the list rate, too, it is the total that is charged */
    }
    TRY(list_amount(like.price, bucket->values, measured, &list, work->err));
    TRY(rate_charge(work, version, entry->charge, tier == NONE ? DEC_ZERO : values->rate, amount,
                    list, tier));
    work->charges[entry->charge].has_rate = tier != NONE && !on_scope;
    if (bucket->last_charge == entry->charge && !dec_is_zero(rest)) {
        TRY(charge_rest(work, bucket, whole, &like, rest, on_scope));
    }
    return OK;
}

/* Volume, and graduated that is not in order: what all rows of a bucket come to, then what of that
 * is each one's. */
enum status step_whole_run(struct work *work, struct entry *entries, uint32_t count)
{
    TRY(place_rows(work, entries, count));
    struct whole *wholes = arena_calloc(work->arena, work->bucket_count + 1, sizeof *wholes);
    for (uint32_t i = 0; i < count; i++) {
        struct bucket *bucket = &work->buckets[entries[i].bucket];
        if (bucket->last_charge == entries[i].charge) { /* once a bucket, at its last row */
            TRY(total_bucket(work, bucket, &wholes[entries[i].bucket]));
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        TRY(charge_row(work, &entries[i], &wholes[entries[i].bucket]));
    }
    return OK;
}

/* ---- the list rate --------------------------------------------------------------------------- */

/* The first step behind one at which amounts are made; NULL. */
static const struct step *find_rating(const struct price *price, uint32_t from)
{
    for (uint32_t i = from; i < price->step_count; i = price_step_after(price, i)) {
        enum step_kind kind = price->steps[i].kind;
        if (kind >= STEP_RATE && kind <= STEP_TIER) {
            return &price->steps[i];
        }
    }
    return NULL;
}

/* A row's quantity is converted by factors alone from a step on. */
static bool converts_by_factors(const struct price *price, uint32_t step)
{
    for (uint32_t i = step; i < price->step_count; i = price_step_after(price, i)) {
        const struct step *one = &price->steps[i];
        if (one->kind == STEP_CONVERT &&
            (one->convert.quantity || one->convert.multiply.expr || one->convert.divide.expr ||
             one->convert.has_minimum || one->convert.increment_count > 0 ||
             one->convert.has_round)) {
            return false;
        }
    }
    return true;
}

bool step_list_is_steady(const struct price *price, uint32_t step, bool and_own)
{
    const bool has_list = price->has_list && !and_own;
    const struct step *rating = find_rating(price, step);
    if (!rating || !converts_by_factors(price, step)) {
        return false;
    }
    if (rating->kind == STEP_TIER) {
        return has_list || rating->tier.values;
    }
    const struct step_rate *body = &rating->rate;
    return rating->kind == STEP_RATE &&
           (has_list || (body->case_count == 1 && !body->cases[0].where &&
                         !body->cases[0].rate.expr && !body->table && !body->from));
}

/* What so much costs at the list rate of a charge, whose own quantity is what expressions ask. */
static enum status list_behind(struct work *work, const struct charge *charge, struct dec quantity,
                               bool *has_list, struct dec *list)
{
    const struct price *price = charge->price;
    struct charge at = *charge;
    *has_list = false;
    *list = DEC_ZERO;
    for (uint32_t i = charge->next_step; i < price->step_count; i = price_step_after(price, i)) {
        const struct step *step = &price->steps[i];
        work->asking = step; /* looks settings up when it says */
        if (step->kind == STEP_CONVERT) {
            struct charge of = at;
            of.quantity = quantity;
            TRY(step_convert_alone(work, step, &of, &quantity));
            TRY(step_convert_alone(work, step, &at, &at.quantity));
            continue;
        }
        struct period turn = charge_turn(work, step, &at);
        if (step->kind == STEP_TIER) {
            const struct tier_values *tiers;
            TRY(tier_numbers(work, step, &at, turn, &tiers));
            *has_list = true;
            return list_amount(price, tiers, quantity, list, work->err);
        }
        if (step->kind == STEP_RATE) {
            struct dec rate = price->list, flat;
            const struct place *place;
            *has_list = price->has_list;
            if (!*has_list) {
                TRY(find_rate(work, step, &at, turn, has_list, &rate, &flat, &place));
            }
            return *has_list ? rate_amount(&step->rate, quantity, rate, list, work->err) : OK;
        }
        if (price->has_list && (step->kind == STEP_PERCENT || step->kind == STEP_FORMULA)) {
            *has_list = true;
            return multiply(quantity, price->list, list, work->err);
        }
        if (step->kind == STEP_PERCENT) {
            struct dec rate;
            TRY(number_alone(work, &step->percent.rate, &at, turn, &rate));
            *has_list = true;
            return dec_multiply_divide(quantity, rate, dec_from_int(100), DEC_SCALE,
                                       ROUND_HALF_EVEN, list, work->err);
        }
        if (step->kind == STEP_FORMULA) {
            return OK;
        }
    }
    return OK;
}

static enum status list_of(struct work *work, const struct charge *charge, struct dec quantity,
                           bool *has_list, struct dec *list)
{
    const struct step *asking = work->asking;
    enum status status = list_behind(work, charge, quantity, has_list, list);
    work->asking = asking;
    return status;
}

enum status step_list(struct work *work, const struct charge *charge, bool *has_list,
                      struct dec *list)
{
    return list_of(work, charge, charge->quantity, has_list, list);
}

enum status step_list_rate(struct work *work, const struct charge *charge, bool is_own,
                           bool *has_rate, struct dec *rate)
{
    struct price price;
    struct charge copy = *charge;
    if (is_own) {
        price = *charge->price;
        price.has_list = false;
        copy.price = &price;
    }
    if (converts_by_factors(copy.price, copy.next_step)) { /* of a small row it would be rounded */
        return list_of(work, &copy, dec_from_int(1), has_rate, rate);
    }
    TRY(list_of(work, &copy, copy.quantity, has_rate, rate));
    return dec_is_zero(copy.quantity)
               ? OK
               : dec_divide(*rate, copy.quantity, DEC_SCALE, ROUND_HALF_EVEN, rate, work->err);
}
