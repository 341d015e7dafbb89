/* diff.c - two sets of bills side by side: what moved, and why.
 *
 *     set A: lines.csv of bills and corrections, usage.csv --+
 *     set B: the same ---------------------------------------+--payer by payer--> items --> moved
 *
 * An item is what an account has of a SKU on a bill: all its lines of usage, whatever tier and
 * price version they are of, since a unit that goes from one tier to another is on two lines.  Its
 * units are followed from the lines they left to those they came to:
 *
 *     same step and tier, another version or rate   price version
 *     another step or tier, same version            step
 *     both are others                               price version
 *     came from nowhere, or went there              usage, as far as usage.csv has changed; a new
 *                                                   version's, when it is of the same events
 *     the rest                                      step: others of a pool, flat amounts
 *     the bill is of a provider or time that the other set has not   other bill
 *
 * Where both sets are of one catalog and the same accounts no price is another one: units that went
 * from one version to another were used at another time, which is usage.  What is no usage (fees,
 * minimums, caps, roundings) moves by its price version, else by its step; what a term has made, by
 * what it is on, or because it is another one: diff_terms.c.
 *
 * Units that are part of a line's change take its amount along a chord, and the last reason takes
 * what is left: so the parts of an item add up to its difference, to the last digit.
 */
#include <stdlib.h>

#include "engine/handle.h"
#include "inspect/diff_sets.h"
#include "inspect/diff_sums.h"
#include "inspect/diff_tell.h"

/* Lines of one id, or several of one tier, class or item, on both sides. */
struct change {
    struct wide quantity, amount; /* B less A */
};

/* A bill of one of the sets, of the payer at hand. */
struct bill_time {
    struct period period;
    int side;
};

struct diff {
    struct arena *arena;  /* for the whole call */
    struct arena scratch; /* of a payer */
    struct error *err;
    struct sets sets;
    struct telling telling; /* what has moved */
    uint32_t moved_capacity;
    struct bill_time *times; /* of the bills of the payer at hand */
    size_t time_count;
    struct diff_item *items; /* of that payer */
    size_t item_count;
    bool has_two_currencies; /* that payer, in bills of one time */
    bool is_same_catalog;    /* and accounts: no price is another one */
};

/* ---- order ----------------------------------------------------------------------------------- */

static bool is_usage(const struct line *line)
{
    return text_equal(line->kind, TEXT("usage"));
}

static int compare_items(const struct piece *a, const struct piece *b)
{
    const struct line *x = &a->line, *y = &b->line;
    int order = text_compare(a->bill, b->bill);
    order = order ? order : text_compare(x->currency, y->currency);
    order = order ? order : text_compare(x->account, y->account);
    order = order ? order : text_compare(x->product, y->product);
    order = order ? order : text_compare(x->sku, y->sku);
    order = order ? order : text_compare(x->dimensions, y->dimensions);
    order = order ? order : text_compare(x->resource, y->resource);
    order = order ? order : (int)is_usage(y) - (int)is_usage(x);
    order = order ? order : text_compare(x->kind, y->kind);
    if (order || is_usage(x)) {
        return order;
    }
    order = text_compare(x->step, y->step);
    return order ? order : diff_list(x) - diff_list(y);
}

static int compare_places(const struct line *x, const struct line *y)
{
    int order = text_compare(x->step, y->step);
    order = order ? order : text_compare(x->grant, y->grant);
    return order ? order : (x->tier > y->tier) - (x->tier < y->tier);
}

/* Of one rate between currencies. */
static int compare_conversions(const struct line *x, const struct line *y)
{
    const struct line_conversion *a = x->conversion, *b = y->conversion;
    if (!a || !b) {
        return (a != NULL) - (b != NULL);
    }
    int order = text_compare(a->currency, b->currency);
    order = order ? order : dec_compare(a->rate, b->rate);
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

/* Of one version of one price. */
static int compare_versions(const struct line *x, const struct line *y)
{
    int order = text_compare(x->contract, y->contract);
    order = order ? order : text_compare(x->price, y->price);
    return order ? order : (x->version > y->version) - (x->version < y->version);
}

static int compare_pieces(const void *a_item, const void *b_item)
{
    const struct piece *a = a_item, *b = b_item;
    int order = compare_items(a, b);
    order = order ? order : compare_places(&a->line, &b->line);
    order = order ? order : compare_versions(&a->line, &b->line);
    order = order ? order : compare_conversions(&a->line, &b->line);
    order = order ? order : memcmp(&a->line.id, &b->line.id, sizeof a->line.id);
    return order ? order : a->side - b->side;
}

/* ---- reasons --------------------------------------------------------------------------------- */

/* The amount of some of the units: along the chord, and all of it for all of them. */
static enum status take_part(struct diff *d, const struct change *all, struct wide units,
                             struct change *part)
{
    part->quantity = units;
    if (wide_equal(&units, &all->quantity)) {
        part->amount = all->amount;
        return OK;
    }
    if (sum_is_zero(units)) {
        part->amount = (struct wide){{0}};
        return OK;
    }
    return sum_multiply_divide(d->err, all->amount, units, all->quantity, &part->amount);
}

/* Units that came to some lines and left others: as many of both as there are of the fewer. Takes
 * them from both and adds what their way has made to *reason. */
static enum status match(struct diff *d, struct change *came, struct change *left,
                         struct wide units, struct wide *reason)
{
    struct change in, out;
    TRY(take_part(d, came, units, &in));
    TRY(take_part(d, left, sum_negative(units), &out));
    *reason = sum_plus(*reason, sum_plus(in.amount, out.amount));
    struct change *rest[] = {came, left};
    const struct change *taken[] = {&in, &out};
    for (int i = 0; i < 2; i++) {
        rest[i]->quantity = sum_minus(rest[i]->quantity, taken[i]->quantity);
        rest[i]->amount = sum_minus(rest[i]->amount, taken[i]->amount);
    }
    return OK;
}

static struct wide fewer(const struct change *came, const struct change *left)
{
    struct wide gone = sum_negative(left->quantity);
    return sum_sign(sum_minus(came->quantity, gone)) <= 0 ? came->quantity : gone;
}

/* What came and left on one version in one place, or of more. */
struct flow {
    const struct line *line;
    struct change came, left;
};

static void add_flow(struct flow *to, const struct change *change)
{
    struct change *side = sum_sign(change->quantity) > 0 ? &to->came : &to->left;
    side->quantity = sum_plus(side->quantity, change->quantity);
    side->amount = sum_plus(side->amount, change->amount);
}

/* Each line's change of the item, as flows by place and version; amounts that moved without units
 * are the step's. */
static enum status find_flows(struct diff *d, const struct piece *pieces, size_t count,
                              struct flow *flows, size_t *flow_count, struct reasons *reasons)
{
    *flow_count = 0;
    for (size_t i = 0; i < count;) {
        const struct line *line = &pieces[i].line;
        struct change change = {0};
        for (; i < count && memcmp(&pieces[i].line.id, &line->id, sizeof line->id) == 0; i++) {
            const struct line *at = &pieces[i].line;
            bool is_b = pieces[i].side == SIDE_B;
            TRY((is_b ? sum_add : sum_take)(d->err, &change.quantity, at->quantity));
            TRY((is_b ? sum_add : sum_take)(d->err, &change.amount, at->amount));
        }
        if (sum_is_zero(change.quantity)) {
            reasons->step = sum_plus(reasons->step, change.amount);
            continue;
        }
        struct flow *last = *flow_count > 0 ? &flows[*flow_count - 1] : NULL;
        bool is_same = last && compare_places(last->line, line) == 0 &&
                       compare_versions(last->line, line) == 0 &&
                       compare_conversions(last->line, line) == 0;
        if (!is_same) {
            last = &flows[(*flow_count)++];
            *last = (struct flow){.line = line};
        }
        add_flow(last, &change);
    }
    return OK;
}

/* Units that went from some flows to others for which is_way holds. */
static enum status match_flows(struct diff *d, struct flow *flows, size_t count,
                               bool (*is_way)(const struct line *from, const struct line *to),
                               struct wide *reason)
{
    for (size_t to = 0; to < count; to++) {
        for (size_t from = 0; from < count && sum_sign(flows[to].came.quantity) > 0; from++) {
            struct change *came = &flows[to].came, *left = &flows[from].left;
            if (sum_sign(left->quantity) < 0 && is_way(flows[from].line, flows[to].line)) {
                TRY(match(d, came, left, fewer(came, left), reason));
            }
        }
    }
    return OK;
}

/* Converted by another rate, and by that alone. */
static bool is_other_conversion(const struct line *from, const struct line *to)
{
    return compare_places(from, to) == 0 && compare_versions(from, to) == 0 &&
           compare_conversions(from, to) != 0;
}

static bool is_same_place(const struct line *from, const struct line *to)
{
    return compare_places(from, to) == 0;
}

static bool is_same_version(const struct line *from, const struct line *to)
{
    return compare_versions(from, to) == 0;
}

static bool is_any(const struct line *from, const struct line *to)
{
    (void)from;
    (void)to;
    return true;
}

/* Some version is on one side only, and both sides have lines. */
static bool has_other_version(struct diff *d, const struct piece *pieces, size_t count)
{
    struct versions {
        const struct line *line;
        bool is_on[SIDES];
    } *versions = arena_alloc(&d->scratch, (count + 1) * sizeof *versions);
    size_t version_count = 0, at;
    bool is_on[SIDES] = {false, false};
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &pieces[i].line;
        for (at = 0; at < version_count && compare_versions(versions[at].line, line) != 0; at++) {
        }
        if (at == version_count) {
            versions[version_count++] = (struct versions){.line = line};
        }
        versions[at].is_on[pieces[i].side] = is_on[pieces[i].side] = true;
    }
    bool is_other = false;
    for (at = 0; at < version_count; at++) {
        is_other |= versions[at].is_on[SIDE_A] != versions[at].is_on[SIDE_B];
    }
    return is_other && is_on[SIDE_A] && is_on[SIDE_B];
}

static bool is_one_unit(const struct piece *pieces, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (!text_equal(pieces[i].line.unit, pieces[0].line.unit)) {
            return false;
        }
    }
    return true;
}

static int compare_series(struct text account, struct text sku, struct text dimensions,
                          const struct usage_text *usage)
{
    int order = text_compare(account, usage->account);
    order = order ? order : text_compare(sku, usage->sku);
    return order ? order : text_compare(dimensions, usage->dimensions);
}

static int compare_used(const void *a_item, const void *b_item)
{
    const struct usage_text *a = &((const struct used *)a_item)->usage;
    const struct usage_text *b = &((const struct used *)b_item)->usage;
    int order = compare_series(a->account, a->sku, a->dimensions, b);
    return order ? order : text_compare(a->resource, b->resource);
}

/* Takes the event off that a line is of, and that stands in front of its dimensions; empty where
 * there is none. */
static struct text take_event(struct text *dimensions)
{
    struct text start = TEXT("@id="), event = {dimensions->at, 0};
    if (!text_starts_with(*dimensions, start)) {
        return event;
    }
    for (int parts = 0; event.size < dimensions->size; event.size++) {
        parts += dimensions->at[event.size] == ';';
        if (parts == 2) {
            break;
        }
    }
    size_t rest = event.size + (event.size < dimensions->size);
    *dimensions = (struct text){dimensions->at + rest, dimensions->size - rest};
    return event;
}

/* What was used of the item on either side. */
struct item_usage {
    struct wide quantity[SIDES];
    uint64_t events[SIDES], print[SIDES];
};

/* A maximum that a new version cuts is two, and more, of the very events that one was of. */
static bool is_of_same_events(const struct item_usage *used)
{
    return used->events[SIDE_A] > 0 && used->events[SIDE_A] == used->events[SIDE_B] &&
           used->print[SIDE_A] == used->print[SIDE_B];
}

/* A line names a resource where its price is by the hour,
 * and an event where it is by the event. */
static enum status sum_usage(struct diff *d, const struct piece *item, struct item_usage *used)
{
    const struct line *line = &item->line;
    *used = (struct item_usage){0};
    struct text dimensions = line->dimensions, event = take_event(&dimensions);
    size_t low = 0, high = d->sets.used_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct usage_text *usage = &d->sets.used[middle].usage;
        int order = compare_series(line->account, line->sku, dimensions, usage);
        order = order ? order : text_compare(line->resource, usage->resource);
        if (order > 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < d->sets.used_count; low++) {
        const struct usage_text *usage = &d->sets.used[low].usage;
        if (compare_series(line->account, line->sku, dimensions, usage) != 0 ||
            (line->resource.size > 0 && !text_equal(line->resource, usage->resource))) {
            break;
        }
        bool is_its =
            event.size == 0 ||
            (usage->is_event && text_equal(event, bill_event(&d->scratch, &usage->event)));
        if (is_its && usage->slot.from >= item->period.from && usage->slot.from < item->period.to) {
            int side = d->sets.used[low].side;
            TRY(sum_add(d->err, &used->quantity[side], usage->quantity));
            used->events[side] += usage->total.count;
            used->print[side] += usage->total.print;
        }
    }
    return OK;
}

/* Units that came or went and met none of the other kind: as many as usage has changed by are its
 * own; where its unit may be another than the line's, all of them. */
static enum status share_rest(struct diff *d, const struct moved *moved,
                              const struct item_usage *used, bool is_other,
                              const struct change *rest, struct reasons *reasons)
{
    const struct wide *a = &used->quantity[SIDE_A], *b = &used->quantity[SIDE_B];
    struct wide more = sum_minus(*b, *a), units = {{0}};
    int sign = sum_sign(more);
    if (sign * sum_sign(rest->quantity) > 0 && !(is_other && is_of_same_events(used))) {
        bool is_alike =
            wide_equal(a, &moved->quantity[SIDE_A]) || wide_equal(b, &moved->quantity[SIDE_B]);
        bool is_less = sum_sign(sum_minus(rest->quantity, more)) * sign > 0;
        units = is_alike && is_less ? more : rest->quantity;
    }
    struct change own;
    TRY(take_part(d, rest, units, &own));
    reasons->usage = sum_plus(reasons->usage, own.amount);
    struct wide *others = is_other ? &reasons->price : &reasons->step;
    *others = sum_plus(*others, sum_minus(rest->amount, own.amount));
    return OK;
}

static enum status explain_usage(struct diff *d, const struct piece *pieces, size_t count,
                                 const struct moved *moved, struct reasons *reasons)
{
    struct item_usage used;
    TRY(sum_usage(d, pieces, &used));
    bool is_other = !d->is_same_catalog && has_other_version(d, pieces, count);
    struct wide *by_version = d->is_same_catalog ? &reasons->usage : &reasons->price;
    if (!is_one_unit(pieces, count)) { /* they cannot be followed */
        const struct wide *quantity = used.quantity;
        struct change whole = {quantity[SIDE_A], moved->amount[SIDE_A]}, own = {0};
        if (!sum_is_zero(quantity[SIDE_A])) {
            TRY(take_part(d, &whole, sum_minus(quantity[SIDE_B], quantity[SIDE_A]), &own));
        }
        *reasons = (struct reasons){.usage = own.amount};
        if (!d->is_same_catalog) {
            reasons->price = sum_minus(moved->difference, own.amount);
        }
        return OK;
    }
    struct flow *flows = arena_alloc(&d->scratch, (count + 1) * sizeof *flows);
    size_t flow_count;
    TRY(find_flows(d, pieces, count, flows, &flow_count, reasons));
    TRY(match_flows(d, flows, flow_count, is_other_conversion,
                    d->is_same_catalog ? &reasons->usage : &reasons->currency));
    TRY(match_flows(d, flows, flow_count, is_same_place, by_version));
    TRY(match_flows(d, flows, flow_count, is_same_version, &reasons->step));
    TRY(match_flows(d, flows, flow_count, is_any, by_version));
    struct flow rest = {0};
    for (size_t i = 0; i < flow_count; i++) {
        add_flow(&rest, &flows[i].came);
        add_flow(&rest, &flows[i].left);
    }
    TRY(share_rest(d, moved, &used, is_other, &rest.came, reasons));
    return share_rest(d, moved, &used, is_other, &rest.left, reasons);
}

/* Another line of the bill is in another currency. */
static bool is_in_other_currency(const struct diff *d, const struct piece *piece)
{
    for (size_t i = 0; i < d->sets.piece_count && d->has_two_currencies; i++) {
        if (text_equal(d->sets.pieces[i].bill, piece->bill) &&
            !text_equal(d->sets.pieces[i].line.currency, piece->line.currency)) {
            return true;
        }
    }
    return false;
}

/* The bill is none that the other set could have: of another provider, in another currency, of a
 * payer whom or a time that the other run did not bill, or cut in another way.  What differs then
 * is which bills there are. */
static bool is_other_bill(const struct diff *d, const struct piece *piece)
{
    if (is_in_other_currency(d, piece)) {
        return true;
    }
    int side = piece->side;
    int other = side == SIDE_A ? SIDE_B : SIDE_A;
    if (!text_equal(d->sets.provider[SIDE_A], d->sets.provider[SIDE_B])) {
        return true;
    }
    struct period bill = piece->period, all = d->sets.period[other];
    for (size_t i = 0; i < d->time_count; i++) {
        const struct period *at = &d->times[i].period;
        if (d->times[i].side == other && at->from < bill.to && bill.from < at->to) {
            return at->from != bill.from || at->to != bill.to;
        }
    }
    if (d->sets.is_failed[other]) {
        return true;
    }
    bool is_same_run = d->sets.period[side].from == all.from && d->sets.period[side].to == all.to;
    return !is_same_run && (bill.from < all.from || all.to < bill.to);
}

static bool has_other_rate(const struct piece *pieces, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct line *a = &pieces[0].line, *b = &pieces[i].line;
        if (a->has_rate != b->has_rate || (a->has_rate && !dec_equal(a->rate, b->rate))) {
            return true;
        }
    }
    return false;
}

static bool has_other_conversion(const struct piece *pieces, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (compare_conversions(&pieces[0].line, &pieces[i].line) != 0) {
            return true;
        }
    }
    return false;
}

static void keep_moved(struct diff *d, const struct moved *moved)
{
    d->telling.moved = arena_room(d->arena, d->telling.moved, d->telling.count, &d->moved_capacity,
                                  sizeof *d->telling.moved);
    struct moved *kept = &d->telling.moved[d->telling.count++];
    *kept = *moved;
    struct text *texts[] = {&kept->bill,       &kept->account,  &kept->product, &kept->sku,
                            &kept->dimensions, &kept->resource, &kept->kind,    &kept->step,
                            &kept->unit,       &kept->currency};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = text_copy(d->arena, *texts[i]);
    }
}

/* What became of an item, and why, but for what terms have made. */
static enum status explain_item(struct diff *d, struct text payer, const struct piece *pieces,
                                struct diff_item *item)
{
    const struct line *line = item->line;
    size_t count = item->line_count;
    struct moved *moved = &(struct moved){.payer = payer,
                                          .bill = pieces[0].bill,
                                          .account = line->account,
                                          .product = line->product,
                                          .sku = line->sku,
                                          .dimensions = line->dimensions,
                                          .resource = line->resource,
                                          .kind = line->kind,
                                          .step = line->step,
                                          .unit = line->unit,
                                          .currency = line->currency,
                                          .period = pieces[0].period,
                                          .reasons.terms = TEXT(""),
                                          .item = (size_t)(item - d->items)};
    for (size_t i = 0; i < count; i++) {
        const struct line *at = &pieces[i].line;
        int side = pieces[i].side;
        TRY(sum_add(d->err, &moved->quantity[side], at->quantity));
        TRY(sum_add(d->err, &item->amount[side], at->amount));
        TRY(sum_add(d->err, &item->exact[side], at->exact));
        item->is_on[side] = true;
        item->contract = side == SIDE_B || !item->is_on[SIDE_B] ? at->contract : item->contract;
    }
    item->has_one_rate = line->has_rate && !has_other_rate(pieces, count);
    memcpy(moved->amount, item->amount, sizeof moved->amount);
    moved->difference = sum_minus(item->amount[SIDE_B], item->amount[SIDE_A]);
    struct reasons *reasons = &item->reasons;
    if (sum_is_zero(moved->difference)) { /* of a term two reasons may make up for each other */
        item->is_told = d->is_same_catalog || !diff_is_term(line);
        return OK;
    }
    keep_moved(d, moved);
    if (is_other_bill(d, &pieces[0])) {
        reasons->bills = moved->difference;
    } else if (is_usage(line)) {
        TRY(explain_usage(d, pieces, count, moved, reasons));
    } else if (diff_is_term(line)) {
        item->is_told = false;
        return OK;
    } else if (!d->is_same_catalog &&
               (has_other_version(d, pieces, count) || has_other_rate(pieces, count))) {
        reasons->price = moved->difference;
    } else if (!d->is_same_catalog && has_other_conversion(pieces, count)) {
        reasons->currency = moved->difference;
    }
    reasons->step =
        sum_minus(sum_minus(sum_minus(moved->difference, reasons->bills), reasons->currency),
                  sum_plus(reasons->usage, reasons->price));
    return OK;
}

/* Of one payer, by what was counted in all. */
static bool is_same_usage(const struct diff *d)
{
    uint64_t counts[SIDES] = {0}, prints[SIDES] = {0};
    for (size_t i = 0; i < d->sets.used_count; i++) {
        counts[d->sets.used[i].side] += d->sets.used[i].usage.total.count;
        prints[d->sets.used[i].side] += d->sets.used[i].usage.total.print;
    }
    return counts[SIDE_A] == counts[SIDE_B] && prints[SIDE_A] == prints[SIDE_B];
}

/* ---- payer by payer -------------------------------------------------------------------------- */

/* Pieces are in the order of bills, then of sides only within a line.  A bill that has been taken
 * back is none. */
static enum status list_times(struct diff *d)
{
    d->times = arena_alloc(&d->scratch, (SIDES * d->sets.piece_count + 1) * sizeof *d->times);
    d->time_count = 0;
    for (size_t first = 0; first < d->sets.piece_count;) {
        struct wide amounts[SIDES] = {0}, quantities[SIDES] = {0};
        uint64_t events[SIDES] = {0};
        size_t at = first;
        for (; at < d->sets.piece_count &&
               text_equal(d->sets.pieces[at].bill, d->sets.pieces[first].bill);
             at++) {
            const struct piece *piece = &d->sets.pieces[at];
            TRY(sum_add(d->err, &amounts[piece->side], piece->line.amount));
            TRY(sum_add(d->err, &quantities[piece->side], piece->line.quantity));
            events[piece->side] += piece->line.events;
        }
        for (int side = 0; side < SIDES; side++) {
            if (!sum_is_zero(amounts[side]) || !sum_is_zero(quantities[side]) || events[side]) {
                d->times[d->time_count++] = (struct bill_time){d->sets.pieces[first].period, side};
            }
        }
        first = at;
    }
    return OK;
}

static void list_items(struct diff *d)
{
    d->item_count = d->sets.piece_count > 0;
    for (size_t i = 1; i < d->sets.piece_count; i++) {
        d->item_count += compare_items(&d->sets.pieces[i - 1], &d->sets.pieces[i]) != 0;
    }
    d->items = arena_alloc(&d->scratch, (d->item_count + 1) * sizeof *d->items);
    for (size_t first = 0, end, i = 0; i < d->item_count; first = end, i++) {
        for (end = first + 1; end < d->sets.piece_count &&
                              compare_items(&d->sets.pieces[first], &d->sets.pieces[end]) == 0;
             end++) {
        }
        d->items[i] = (struct diff_item){.line = &d->sets.pieces[first].line,
                                         .bill = d->sets.pieces[first].bill,
                                         .line_count = end - first,
                                         .is_told = true,
                                         .reasons.terms = TEXT("")};
    }
}

static enum status compare_payer_bills(struct diff *d, struct text payer)
{
    if (d->sets.used_count > 1) {
        qsort(d->sets.used, d->sets.used_count, sizeof *d->sets.used, compare_used);
    }
    if (d->sets.piece_count > 1) {
        qsort(d->sets.pieces, d->sets.piece_count, sizeof *d->sets.pieces, compare_pieces);
    }
    TRY(list_times(d));
    d->has_two_currencies = false;
    for (size_t i = 1; i < d->sets.piece_count; i++) {
        d->has_two_currencies |=
            !text_equal(d->sets.pieces[i].line.currency, d->sets.pieces[0].line.currency);
    }
    size_t moved_first = d->telling.count;
    list_items(d);
    for (size_t first = 0, i = 0; i < d->item_count; first += d->items[i++].line_count) {
        TRY(explain_item(d, payer, &d->sets.pieces[first], &d->items[i]));
    }
    TRY(diff_terms(&(struct diff_terms){.arena = &d->scratch,
                                        .err = d->err,
                                        .payer = payer,
                                        .is_same_catalog = d->is_same_catalog,
                                        .is_same_usage = is_same_usage(d),
                                        .items = d->items,
                                        .count = d->item_count}));
    for (size_t i = moved_first; i < d->telling.count; i++) {
        const struct diff_item *item = &d->items[d->telling.moved[i].item];
        struct reasons *reasons = &d->telling.moved[i].reasons;
        *reasons = item->reasons;
        d->telling.moved[i].made_by =
            diff_is_term(item->line) ? diff_term_name(d->arena, item) : TEXT("");
        reasons->terms = text_copy(d->arena, reasons->terms);
    }
    return OK;
}

static enum status compare_all(struct diff *d)
{
    struct arena_mark mark = arena_mark(&d->scratch);
    for (struct text payer;;) {
        TRY(sets_next(&d->sets, &payer));
        if (!payer.at) {
            return OK;
        }
        TRY(compare_payer_bills(d, payer));
        arena_rewind(&d->scratch, mark);
    }
}

/* ---- the call -------------------------------------------------------------------------------- */

static enum status diff_all(struct diff *d, const char *a, const char *b)
{
    TRY(sets_open(&d->sets, a, b));
    d->is_same_catalog =
        sets_share_digest(&d->sets, "catalog") && sets_share_digest(&d->sets, "accounts");
    TRY(compare_all(d));
    d->telling.currency = d->sets.currency[SIDE_A];
    return diff_tell(&d->telling);
}

/* The one recovery point: what it needs after running out is behind a pointer. */
static enum status diff_guarded(struct diff *d, const char *a, const char *b)
{
    jmp_buf recover;
    if (ARENA_RECOVER(d->arena, recover)) {
        return fail_memory(d->err, d->sets.env->memory_asked_bytes, "",
                           ": what moved is kept in memory, and the lines and usage of one payer "
                           "at a time");
    }
    d->scratch.recover = &recover;
    return diff_all(d, a, b);
}

enum farthing_status farthing_diff(struct farthing *farthing, const char *a, const char *b,
                                   enum farthing_form form, int is_terminal, farthing_write *write,
                                   void *context)
{
    handle_clear(farthing);
    if (!a || !b) {
        (void)fail(&farthing->err, ERR_INPUT, "two output folders are compared");
        return FARTHING_USAGE;
    }
    if (handle_lacks(farthing, "write", write != NULL)) {
        return FARTHING_USAGE;
    }
    struct diff d = {.arena = &farthing->arena,
                     .err = &farthing->err,
                     .sets = {.env = farthing->env,
                              .arena = &farthing->arena,
                              .scratch = &d.scratch,
                              .err = &farthing->err},
                     .telling = {.arena = &farthing->arena,
                                 .scratch = &d.scratch,
                                 .err = &farthing->err,
                                 .form = form,
                                 .is_terminal = is_terminal != 0 && form == FARTHING_TABLE,
                                 .sink = {write, context}}};
    arena_init(&d.scratch, &farthing->env->memory, 0);
    enum status status = diff_guarded(&d, a, b);
    table_drop(&d.telling.table);
    sets_close(&d.sets);
    arena_release(&d.scratch);
    farthing->arena.recover = NULL;
    return handle_status(farthing, status);
}
