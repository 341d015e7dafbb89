/* step_cover.c - cover: commitments pay for rows, turn by turn, pass by pass.
 *
 * For each turn, for each pass, for each commitment in its rank, for each eligible row in the order
 * of the pass: the commitment takes what it can, and the rest of the row goes on.
 *
 * Idea: nobody looks for the rows of a commitment.  Who may take what is known by numbers already
 * (cover_match.h).  In each turn a row goes to the list of each group that may take it; a list is
 * sorted once, by ranks, and all commitments of the group go down the same list, behind what is
 * covered.  So a turn costs as much as its rows, their eligible classes and its commitments, and no
 * product of these.
 */
#include "base/sort.h"
#include "price/cover_match.h"
#include "price/line_key.h"

#include "base/nofloat.h"

/* What was covered of a row when it was billed: a list for each row and turn. */
struct past {
    const struct text *grant;
    struct period span; /* of the line that says it: of an hour, or of all of a bill */
    struct dec left;
    uint32_t next;
};
struct pasts {
    struct keys rows; /* (row, turn) */
    uint32_t *first;  /* of each */
    struct past *items;
    uint32_t count;
    struct keys ids;  /* of commitments that are there */
    uint32_t *held;   /* the last of each in their list */
    uint32_t *before; /* of each in that list, the one before it with its id; NONE */
};

struct row {
    uint32_t charge, kind;
    uint32_t past;   /* the first of its list; NONE */
    struct dec kept; /* what frozen covers behind this one have billed of it */
    uint32_t part;   /* the first of its list; NONE */
};
/* What a commitment covers of a row in the turn: of a frozen cover what was billed and what comes
 * to it, which the next bill knows as one. */
struct part {
    uint32_t held, row, effective; /* indices */
    struct dec quantity, units, capacity;
    struct dec weight; /* 0: of a row that is covered whole, whose units are nearly that */
    uint32_t next;     /* of the row; NONE */
};
struct cover {
    struct work *work;
    const struct step *step;
    struct matching matching;
    struct row *rows; /* of the turn, in their order */
    uint32_t row_count;
    uint32_t turn; /* in the list */
    struct sort_key *sort;
    uint32_t sort_capacity;
    struct pasts pasts; /* of a frozen cover */
    bool is_again;      /* what was billed is covered again, and nothing else */
    struct part *parts; /* of a frozen cover, in the turn */
    uint32_t part_count, part_capacity;
};

/* ---- what was billed ------------------------------------------------------------------------- */

static struct hash128 past_key(struct hash128 row, instant turn)
{
    uint64_t parts[3] = {row.low, row.high, (uint64_t)turn};
    return hash_print((const char *)parts, sizeof parts);
}

/* Bills of one time are summed. */
static enum status add_past(struct cover *cover, uint32_t list, const struct covered_before *before)
{
    struct pasts *pasts = &cover->pasts;
    for (uint32_t i = pasts->first[list]; i != NONE; i = pasts->items[i].next) {
        if (text_equal(*pasts->items[i].grant, before->grant) &&
            period_equal(pasts->items[i].span, before->span)) {
            return dec_add(pasts->items[i].left, before->quantity, &pasts->items[i].left,
                           cover->work->err);
        }
    }
    pasts->items[pasts->count] =
        (struct past){&before->grant, before->span, before->quantity, pasts->first[list]};
    pasts->first[list] = pasts->count++;
    return OK;
}

/* Commitments by what bills call them: an account that comes back to its payer has them twice. */
static void find_held(struct cover *cover)
{
    struct arena *arena = cover->work->arena;
    const struct commitments *all = cover->work->commitments;
    struct pasts *pasts = &cover->pasts;
    pasts->held = arena_alloc(arena, all->count * sizeof *pasts->held);
    pasts->before = arena_alloc(arena, all->count * sizeof *pasts->before);
    for (uint32_t i = 0; i < all->count; i++) {
        struct text id = all->items[i].commitment->id;
        bool is_new;
        uint32_t at = keys_add(arena, &pasts->ids, hash_print(id.at, id.size), &is_new);
        pasts->before[i] = is_new ? NONE : pasts->held[at];
        pasts->held[at] = i;
    }
}

static enum status find_pasts(struct cover *cover)
{
    struct work *work = cover->work;
    const struct pricing *pricing = work->pricing;
    struct pasts *pasts = &cover->pasts;
    if (!cover->step->cover.is_frozen || pricing->covered_count == 0) {
        return OK;
    }
    pasts->items = arena_alloc(work->arena, pricing->covered_count * sizeof *pasts->items);
    pasts->first = arena_alloc(work->arena, pricing->covered_count * sizeof *pasts->first);
    for (uint32_t i = 0; i < pricing->covered_count; i++) {
        const struct covered_before *before = &pricing->covered[i];
        struct period turn = turn_find(work, cover->step, NULL, pricing->payer, before->span.from);
        bool is_new;
        uint32_t list =
            keys_add(work->arena, &pasts->rows, past_key(before->row, turn.from), &is_new);
        pasts->first[list] = is_new ? NONE : pasts->first[list];
        TRY(add_past(cover, list, before));
    }
    find_held(cover);
    return OK;
}

/* What a cover of that name has billed of a row. */
static uint32_t find_past(const struct cover *cover, uint32_t index, struct text step)
{
    struct work *work = cover->work;
    const struct charge *charge = &work->charges[index];
    if (cover->pasts.count == 0) {
        return NONE;
    }
    struct arena_mark mark = arena_mark(work->arena);
    struct hash128 row = line_covered_row(
        work->arena, work->pricing->accounts->items[charge->account].id,
        work->catalog->skus[charge->sku].name, line_dimensions(work->arena, work->pricing, charge),
        line_resource(work->arena, work->pricing, charge), step);
    arena_rewind(work->arena, mark);
    uint32_t list = keys_find(&cover->pasts.rows, past_key(row, cover->matching.time.from));
    return list == NONE ? NONE : cover->pasts.first[list];
}

/* Whether a line is of the row: in a turn of a day each hour may have one. */
static bool is_of_row(const struct past *past, const struct charge *charge)
{
    const struct period slot = charge->span;
    return past->span.from == slot.from || (past->span.from < slot.to && slot.from < past->span.to);
}

/* The commitment that bills call so pays for rows of that time. */
static enum status is_held(struct cover *cover, struct text id, instant at, bool *is)
{
    struct work *work = cover->work;
    const struct pasts *pasts = &cover->pasts;
    uint32_t first = keys_find(&pasts->ids, hash_print(id.at, id.size));
    *is = false;
    for (uint32_t i = first == NONE ? NONE : pasts->held[first]; i != NONE && !*is;
         i = pasts->before[i]) {
        struct held_commitment *held = &work->commitments->items[i];
        uint32_t turn = commitments_turn(held->list, at);
        if (turn != NONE && period_has(held->term, at)) {
            struct commitment_turn *open;
            TRY(commitments_open(work, held, turn, &open));
            *is = open->is_active;
        }
    }
    return OK;
}

/* What is billed as covered by frozen covers behind this one stays theirs: units that come free
 * here are for what nobody has covered.  What a convert or an aggregate makes is other units, and
 * of what is left here an allowance or a credit would have more than it had. */
static enum status find_kept(struct cover *cover, uint32_t index, struct dec *kept)
{
    struct work *work = cover->work;
    const struct charge *charge = &work->charges[index];
    const struct price *price = charge->price;
    *kept = DEC_ZERO;
    uint32_t i = price_step_after(price, charge->next_step);
    for (; cover->pasts.count > 0 && i < price->step_count; i = price_step_after(price, i)) {
        const struct step *step = &price->steps[i];
        if (step->kind == STEP_CONVERT || step->kind == STEP_AGGREGATE ||
            step->kind == STEP_ALLOWANCE || step->kind == STEP_CREDIT) {
            break;
        }
        if (step->kind != STEP_COVER || !step->cover.is_frozen) {
            continue;
        }
        uint32_t past = find_past(cover, index, step->name);
        for (; past != NONE; past = cover->pasts.items[past].next) {
            const struct past *item = &cover->pasts.items[past];
            bool is = false;
            if (is_of_row(item, charge)) {
                TRY(is_held(cover, *item->grant, charge->at, &is));
            }
            if (is) {
                TRY(dec_add(*kept, item->left, kept, work->err));
            }
        }
    }
    return OK;
}

/* What is left of that for a commitment; NULL: none. */
static struct dec *past_left(const struct cover *cover, const struct row *row,
                             const struct held_commitment *held)
{
    const struct charge *charge = &cover->work->charges[row->charge];
    for (uint32_t i = row->past; i != NONE; i = cover->pasts.items[i].next) {
        struct past *past = &cover->pasts.items[i];
        if (is_of_row(past, charge) && text_equal(*past->grant, held->commitment->id) &&
            dec_sign(past->left) > 0) {
            return &past->left;
        }
    }
    return NULL;
}

/* ---- covering -------------------------------------------------------------------------------- */

/* The part of a row becomes a charge that the commitment pays. */
static enum status cover_part(struct cover *cover, struct row *row, struct held_commitment *held,
                              bool is_all, struct dec quantity, struct dec units,
                              struct dec effective, struct dec capacity)
{
    struct work *work = cover->work;
    struct charge *charge = &work->charges[row->charge];
    const struct step *step = &charge->price->steps[charge->next_step];
    struct charge part = *charge;
    bool has_list;
    part.quantity = quantity;
    struct charge behind = part;
    behind.next_step = price_step_after(part.price, part.next_step);
    TRY(step_list(work, &behind, &has_list, &part.list));
    TRY(work_take_of_row(work, charge, quantity));
    part.kind = CHARGE_COVERED;
    part.has_amount = true;
    part.has_rate = !step->cover.shows_negation;
    part.rate = DEC_ZERO;
    part.step = step;
    part.grant = &held->commitment->id;
    part.amount = part.net = step->cover.shows_negation ? part.list : DEC_ZERO;
    if (step->cover.shows_negation && has_list && !dec_is_zero(quantity)) {
        struct dec back;
        TRY(dec_divide(part.list, quantity, DEC_SCALE, ROUND_HALF_EVEN, &part.rate, work->err));
        part.has_rate = dec_multiply(part.rate, quantity, &back, NULL) == OK &&
                        dec_compare(back, part.list) == 0;
        part.rate = part.has_rate ? part.rate : DEC_ZERO;
    }
    uint32_t index = row->charge;
    if (is_all) {
        *charge = part;
        row->charge = NONE;
    } else {
        part.events = 0; /* they are with what is left, or with the last part */
        index = work_add_charge(work, &part);
    }
    TRY(dec_add(held->units, units, &held->units, work->err));
    commitments_set_effective(work, held, index, effective);
    work_trace_step(work, index, NULL,
                    (struct trace){.step = step,
                                   .after = quantity,
                                   .f_after = units,
                                   .limit = capacity,
                                   .bucket = *part.grant, /* each has its own entry */
                                   .turn = cover->matching.time,
                                   .grant = part.grant,
                                   .tier = NONE});
    if (step->cover.shows_negation && !dec_is_zero(part.amount)) {
        struct charge negation = part;
        negation.kind = CHARGE_NEGATION;
        negation.of = index;
        negation.list = negation.net = DEC_ZERO; /* its rate, as its line is that one's */
        negation.quantity = dec_negate(part.quantity);
        negation.amount = dec_negate(part.amount);
        negation.events = 0;
        negation.next_step = negation.price->step_count;
        work->charges[index].net = DEC_ZERO;
        commitments_set_effective(work, held, work_add_charge(work, &negation), DEC_ZERO);
    }
    work_pass_on(work, index);
    return OK;
}

/* Of a frozen cover parts become charges when all that the commitment takes of the row is known. In
 * the row's list they are in the order of commitments, whenever they were taken: the events of a
 * row that is covered whole are with the last one, in the next bill, too. */
static enum status add_part(struct cover *cover, struct row *row,
                            const struct held_commitment *held, struct dec weight,
                            struct dec quantity, struct dec units, struct dec capacity)
{
    struct work *work = cover->work;
    uint32_t index = (uint32_t)(held - work->commitments->items), *last = &row->part;
    for (; *last != NONE && cover->parts[*last].held <= index; last = &cover->parts[*last].next) {
        struct part *part = &cover->parts[*last];
        if (part->held == index) {
            TRY(dec_add(part->quantity, quantity, &part->quantity, work->err));
            return dec_add(part->units, units, &part->units, work->err);
        }
    }
    const uint32_t next = *last;
    *last = cover->part_count; /* before parts move */
    cover->parts = arena_room(work->arena, cover->parts, cover->part_count, &cover->part_capacity,
                              sizeof *cover->parts);
    cover->parts[cover->part_count++] = (struct part){.held = index,
                                                      .row = (uint32_t)(row - cover->rows),
                                                      .quantity = quantity,
                                                      .units = units,
                                                      .capacity = capacity,
                                                      .weight = weight,
                                                      .next = next};
    return OK;
}

/* Weights such as 1 / quantity are not exact: a whole row fits when what lacks is less than its
 * 10^15th part. */
static enum status whole_slack(struct dec need, struct dec *slack, struct error *err)
{
    return dec_multiply_round(need, (struct dec){1, 15}, DEC_SCALE, ROUND_CEILING, slack, err);
}

static enum status fits_whole(struct dec need, struct dec left, bool *fits, struct error *err)
{
    struct dec slack;
    *fits = dec_compare(left, need) >= 0;
    if (*fits) {
        return OK;
    }
    TRY(whole_slack(need, &slack, err));
    TRY(dec_add(left, slack, &slack, err));
    *fits = dec_compare(slack, need) >= 0;
    return OK;
}

/* A part that was the last of its turn when it was billed is so again: its quantity is rounded, so
 * its units lack a little.  What is so little is for nobody else: the next bill would not know. */
static enum status take_rest(struct dec weight, struct dec left, struct dec *need,
                             struct error *err)
{
    struct dec rest, unit = {1, DEC_SCALE}, most;
    TRY(dec_subtract(left, *need, &rest, err));
    TRY(dec_multiply_round(unit, weight, DEC_SCALE, ROUND_CEILING, &most, err));
    *need = dec_compare(rest, most) <= 0 ? left : *need;
    return OK;
}

/* A commitment takes what it can of a row; again: what it took when it was billed. */
static enum status take(struct cover *cover, const struct cover_pass *pass, struct row *row,
                        const struct match *match, struct held_commitment *held,
                        struct commitment_turn *turn)
{
    struct work *work = cover->work;
    struct dec quantity = work->charges[row->charge].quantity, most, need, effective;
    struct dec slack = DEC_ZERO;
    struct dec *past = cover->is_again ? past_left(cover, row, held) : NULL;
    if (cover->is_again && !past) {
        return OK;
    }
    if (past) {
        quantity = dec_min(quantity, *past);
    } else {
        TRY(dec_subtract(quantity, row->kept, &quantity, work->err));
    }
    most = quantity;
    TRY(dec_multiply_round(quantity, match->weight, DEC_SCALE, ROUND_HALF_EVEN, &need, work->err));
    if (pass->whole || past) {
        TRY(whole_slack(need, &slack, work->err));
    }
    if (dec_compare(need, turn->left) > 0) {
        bool fits = false;
        if (pass->whole || past) { /* of what was billed another part may have been the last */
            TRY(fits_whole(need, turn->left, &fits, work->err));
        }
        if (!fits && (!pass->whole || past)) {
            TRY(dec_divide(turn->left, match->weight, DEC_SCALE, ROUND_HALF_EVEN, &quantity,
                           work->err));
            quantity = dec_min(quantity, most);
            fits = dec_sign(quantity) > 0;
        }
        if (!fits) {
            return OK;
        }
        need = turn->left;
    } else if (past || cover->step->cover.is_frozen) {
        TRY(take_rest(match->weight, turn->left, &need, work->err));
    }
    if (past) {
        TRY(dec_subtract(*past, quantity, past, work->err));
    }
    struct dec capacity = turn->terms->capacity;
    TRY(close_part(quantity, match->weight, need, slack, work->err));
    TRY(commitments_use(work, turn, need, &effective));
    struct charge *charge = &work->charges[row->charge];
    bool is_all = dec_equal(quantity, charge->quantity);
    if (!is_all || cover->step->cover.is_frozen) {
        TRY(dec_subtract(charge->quantity, quantity, &charge->quantity, work->err));
    }
    return cover->step->cover.is_frozen
               ? add_part(cover, row, held, pass->whole ? DEC_ZERO : match->weight, quantity, need,
                          capacity)
               : cover_part(cover, row, held, is_all, quantity, need, effective, capacity);
}

static bool is_left(const struct cover *cover, uint32_t row)
{
    uint32_t charge = cover->rows[row].charge;
    return charge != NONE && dec_compare(cover->work->charges[charge].quantity,
                                         cover->is_again ? DEC_ZERO : cover->rows[row].kept) > 0;
}

/* The rows that are left go to the groups that may take them. */
static enum status hand_out(struct cover *cover, struct cover_pass_state *state)
{
    struct work *work = cover->work;
    const struct cover_pass *pass = state->pass;
    const struct cover_offering *of = state->offering;
    for (uint32_t i = 0; i < cover->row_count; i++) {
        if (!is_left(cover, i)) {
            continue;
        }
        const struct charge *charge = &work->charges[cover->rows[i].charge];
        const struct match_range range = of->ranges[of->signature_of[cover->rows[i].kind]];
        if (range.count > 0 && pass->where) {
            struct expr_value value;
            enum status status =
                charge_eval(work, pass->where, charge, cover->matching.time, &value);
            if (status != OK) {
                return work_fail(work, status, charge->price, cover->step, charge->account);
            }
            if (!value.truth) {
                continue;
            }
        }
        for (uint32_t m = range.first; m < range.first + range.count; m++) {
            uint32_t at =
                pass_group(state, of->matches[m].class, charge->account, cover->rows[i].kind);
            if (at == NONE || !state->groups[at].is_open) {
                continue;
            }
            struct group *group = &state->groups[at];
            group->items = arena_room(work->arena, group->items, group->count, &group->capacity,
                                      sizeof *group->items);
            group->items[group->count++] = (struct item){i, m};
        }
    }
    return OK;
}

static void sort_group(struct cover *cover, const struct cover_pass_state *state,
                       struct group *group)
{
    struct arena *arena = cover->work->arena;
    group->is_sorted = true;
    if (!state->ranks || group->count < 2) {
        return;
    }
    if (cover->sort_capacity < group->count) {
        cover->sort = arena_alloc(arena, 2u * group->count * sizeof *cover->sort);
        cover->sort_capacity = 2u * group->count;
    }
    for (uint32_t i = 0; i < group->count; i++) {
        const struct item *item = &group->items[i];
        uint32_t of = state->sorts_matches ? item->match : cover->rows[item->row].kind;
        cover->sort[i] =
            (struct sort_key){state->ranks[of], (uint64_t)item->row << 32 | item->match};
    }
    (void)sort_keys(arena, cover->sort, group->count);
    for (uint32_t i = 0; i < group->count; i++) {
        group->items[i] =
            (struct item){(uint32_t)(cover->sort[i].low >> 32), (uint32_t)cover->sort[i].low};
    }
}

static enum status use(struct cover *cover, const struct cover_pass_state *state,
                       struct held_commitment *held, struct commitment_turn *turn,
                       struct group *group)
{
    if (!group->is_sorted) {
        sort_group(cover, state, group);
    }
    while (group->at < group->count && !is_left(cover, group->items[group->at].row)) {
        group->at++;
    }
    for (uint32_t i = group->at; i < group->count && dec_sign(turn->left) > 0; i++) {
        const struct item *item = &group->items[i];
        if (!is_left(cover, item->row) ||
            (cover->is_again && cover->rows[item->row].past == NONE)) {
            continue;
        }
        struct row *row = &cover->rows[item->row];
        const struct charge *charge = &cover->work->charges[row->charge];
        if (!period_has(held->term, charge->at)) { /* its turn begins before the term */
            continue;
        }
        const struct price *price = charge->price;
        uint32_t account = charge->account;
        enum status status =
            take(cover, state->pass, row, &state->offering->matches[item->match], held, turn);
        if (status != OK) {
            status = commitment_fail(cover->work, status, held->commitment);
            return work_fail(cover->work, status, price, cover->step, account);
        }
    }
    return OK;
}

static enum status run_pass(struct cover *cover, struct cover_pass_state *state)
{
    struct work *work = cover->work;
    bool is_any = false;
    for (uint32_t i = 0; i < state->group_keys.count; i++) {
        state->groups[i].count = state->groups[i].at = 0;
        state->groups[i].is_open = state->groups[i].is_sorted = false;
    }
    for (uint32_t i = 0; i < state->claim_count; i++) {
        struct held_commitment *held = &work->commitments->items[state->claims[i].held];
        struct commitment_turn *turn;
        TRY(commitments_open(work, held, cover->turn, &turn));
        if (turn->is_active && dec_sign(turn->left) > 0) {
            state->groups[state->claims[i].group].is_open = is_any = true;
        }
    }
    if (!is_any) {
        return OK;
    }
    work->asking = cover->step;
    TRY(hand_out(cover, state));
    for (uint32_t i = 0; i < state->claim_count; i++) {
        struct held_commitment *held = &work->commitments->items[state->claims[i].held];
        struct commitment_turn *turn = &held->turns[cover->turn];
        struct group *group = &state->groups[state->claims[i].group];
        if (turn->is_active && group->count > 0 && dec_sign(turn->left) > 0) {
            TRY(use(cover, state, held, turn, group));
        }
    }
    return OK;
}

/* Of parts in the order of rows, those of one commitment from i to end: what is used of the turn is
 * the same, and what lacks to it in the last digits is the last one's, whoever was covered last. */
static enum status share_units(struct cover *cover, const struct sort_key *order, uint32_t i,
                               uint32_t end)
{
    struct error *err = cover->work->err;
    struct dec rest = DEC_ZERO, units;
    for (uint32_t k = i; k < end; k++) {
        const struct part *part = &cover->parts[order[k].low];
        if (dec_is_zero(part->weight)) {
            return OK;
        }
        TRY(dec_add(rest, part->units, &rest, err));
    }
    for (uint32_t k = i; k + 1 < end; k++) {
        struct part *part = &cover->parts[order[k].low];
        TRY(dec_multiply_round(part->quantity, part->weight, DEC_SCALE, ROUND_HALF_EVEN, &units,
                               err));
        part->units = units;
        TRY(dec_subtract(rest, units, &rest, err));
    }
    cover->parts[order[end - 1].low].units = rest;
    return OK;
}

/* The parts of a row become charges. */
static enum status make_parts(struct cover *cover, struct row *row)
{
    struct work *work = cover->work;
    for (uint32_t i = row->part; i != NONE; i = cover->parts[i].next) {
        struct part *part = &cover->parts[i];
        struct held_commitment *held = &work->commitments->items[part->held];
        const struct charge *charge = &work->charges[row->charge];
        const struct price *price = charge->price;
        uint32_t account = charge->account;
        part->effective = work->commitments->effective_count;
        enum status status =
            cover_part(cover, row, held, part->next == NONE && dec_is_zero(charge->quantity),
                       part->quantity, part->units, DEC_ZERO, part->capacity);
        if (status != OK) {
            status = commitment_fail(work, status, held->commitment);
            return work_fail(work, status, price, cover->step, account);
        }
    }
    return OK;
}

/* What a turn costs is shared along the parts of one commitment, in the order of rows. */
static enum status share_cost(struct cover *cover, const struct sort_key *order, uint32_t i,
                              uint32_t end)
{
    struct work *work = cover->work;
    struct commitments *all = work->commitments;
    uint32_t held = cover->parts[order[i].low].held;
    struct commitment_turn *turn = &all->items[held].turns[cover->turn];
    for (uint32_t k = i; k < end; k++) {
        const struct part *part = &cover->parts[order[k].low];
        TRY(dec_subtract(turn->used, part->units, &turn->used, work->err));
        TRY(dec_add(turn->left, part->units, &turn->left, work->err));
    }
    for (uint32_t k = i; k < end; k++) {
        const struct part *part = &cover->parts[order[k].low];
        TRY(commitments_use(work, turn, part->units, &all->effective[part->effective].value));
    }
    return OK;
}

static uint32_t end_of_held(const struct cover *cover, const struct sort_key *order, uint32_t i)
{
    uint32_t held = cover->parts[order[i].low].held;
    while (i < cover->part_count && cover->parts[order[i].low].held == held) {
        i++;
    }
    return i;
}

/* Of a frozen cover.  Rows that are covered later stand among those that were before, when it runs
 * the next time: so nothing of what a turn comes to depends on when they were covered. */
static enum status finish_parts(struct cover *cover)
{
    struct arena *arena = cover->work->arena;
    uint32_t count = cover->part_count;
    struct sort_key *order = arena_alloc(arena, (count + 1u) * sizeof *order);
    for (uint32_t i = 0; i < count; i++) {
        const struct part *part = &cover->parts[i];
        order[i] = (struct sort_key){(uint64_t)part->held << 32 | part->row, i};
    }
    (void)sort_keys(arena, order, count);
    for (uint32_t i = 0, end; i < count; i = end) {
        end = end_of_held(cover, order, i);
        TRY(share_units(cover, order, i, end));
    }
    for (uint32_t i = 0; i < cover->row_count; i++) {
        TRY(make_parts(cover, &cover->rows[i]));
    }
    for (uint32_t i = 0, end; i < count; i = end) {
        end = end_of_held(cover, order, i);
        TRY(share_cost(cover, order, i, end));
    }
    cover->part_count = 0;
    return OK;
}

/* What was billed first, where it stays so; then all that is left, by what is left. */
static enum status run_turn(struct cover *cover)
{
    struct work *work = cover->work;
    bool has_past = false;
    for (uint32_t i = 0; i < cover->row_count && cover->pasts.count > 0; i++) {
        has_past = has_past || cover->rows[i].past != NONE;
    }
    for (int again = has_past ? 1 : 0; again >= 0; again--) {
        cover->is_again = again == 1;
        for (uint32_t i = 0; i < cover->step->cover.pass_count; i++) {
            TRY(run_pass(cover, &cover->matching.passes[i]));
        }
    }
    if (cover->part_count > 0) {
        TRY(finish_parts(cover));
    }
    for (uint32_t i = 0; i < cover->row_count; i++) {
        if (cover->rows[i].charge != NONE) {
            work_pass_on(work, cover->rows[i].charge);
        }
    }
    return OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

enum status step_cover_run(struct work *work, const uint32_t *charges, uint32_t count)
{
    const struct charge *first = &work->charges[charges[0]];
    const struct price *price = first->price;
    const struct step *step = &price->steps[first->next_step];
    uint32_t account = first->account;
    if (!work->commitments) {
        for (uint32_t i = 0; i < count; i++) {
            work_pass_on(work, charges[i]);
        }
        return OK;
    }
    struct cover cover = {.work = work, .step = step, .matching = {.work = work, .step = step}};
    struct matching *matching = &cover.matching;
    enum status status = matching_start(matching, charges, count);
    if (status != OK) {
        return work_fail(work, status, price, step, account);
    }
    TRY(find_pasts(&cover));
    cover.rows = arena_alloc(work->arena, count * sizeof *cover.rows);
    matching->time = charge_turn(work, step, &work->charges[charges[0]]);
    if (matching->is_steady) {
        for (uint32_t i = 0; i < count; i++) {
            (void)matching_kind(matching, charges[i]);
        }
        TRY(matching_find(matching));
    }
    const struct turn_list *list = commitments_list(work, step);
    for (uint32_t i = 0; i < count;) {
        matching->time = charge_turn(work, step, &work->charges[charges[i]]);
        cover.row_count = 0;
        if (!matching->is_steady) {
            matching_forget(matching);
        }
        for (; i < count && period_has(matching->time, work->charges[charges[i]].at); i++) {
            struct row *row = &cover.rows[cover.row_count++];
            *row = (struct row){.charge = charges[i],
                                .kind = matching_kind(matching, charges[i]),
                                .past = find_past(&cover, charges[i], step->name),
                                .part = NONE};
            TRY(find_kept(&cover, charges[i], &row->kept));
        }
        if (!matching->is_steady) {
            TRY(matching_find(matching));
        }
        cover.turn = list ? commitments_turn(list, matching->time.from) : NONE;
        if (list && cover.turn == NONE) { /* it begins before the bill */
            cover.turn = commitments_turn(list, work->pricing->cut.from);
        }
        if (cover.turn == NONE) {
            for (uint32_t k = 0; k < cover.row_count; k++) {
                work_pass_on(work, cover.rows[k].charge);
            }
            continue;
        }
        TRY(run_turn(&cover));
    }
    return OK;
}
