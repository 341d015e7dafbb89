/* step_cover.c - cover: commitments pay for rows, turn by turn, pass by pass.
 *
 * For each turn, for each pass, for each commitment in its rank, for each eligible row in the order
 * of the pass: the commitment takes what it can, and the rest of the row goes on.
 *
 * Idea: nobody looks for the rows of a commitment.  Commitments that would take the same rows
 * (equal in all that the offering's expressions ask of them) are a class, and rows that are equal
 * in all that these ask of rows are a kind: an expression is evaluated once for a kind and a class.
 * In each turn a row goes to the list of each group that may take it, which is a class and, of
 * passes that are not shared, an account; a list is sorted once, by ranks that are numbers already,
 * and all commitments of the group go down the same list, behind what is covered.  So a turn costs
 * as much as its rows, their eligible classes and its commitments, and no product of these.
 *
 * Where an expression depends on more than a row's keys (its quantity, its time) each row is a kind
 * of its own, and kinds are forgotten with the turn.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/sort.h"
#include "price/line_key.h"
#include "price/work.h"

#include "base/nofloat.h"

/* ---- numbers by key -------------------------------------------------------------------------- */

/* A table of 128-bit keys, which are hashes of what they stand for, to numbers from 0. */
struct keys {
    struct hash128 *keys;
    uint32_t *slots; /* index in keys; NONE: free */
    uint32_t count, capacity, mask;
};

static uint32_t keys_find(const struct keys *keys, struct hash128 key)
{
    if (!keys->slots) {
        return NONE;
    }
    for (uint32_t at = (uint32_t)key.low & keys->mask; keys->slots[at] != NONE;
         at = (at + 1) & keys->mask) {
        const struct hash128 *other = &keys->keys[keys->slots[at]];
        if (other->low == key.low && other->high == key.high) {
            return keys->slots[at];
        }
    }
    return NONE;
}

static void keys_place(struct keys *keys, uint32_t index)
{
    uint32_t at = (uint32_t)keys->keys[index].low & keys->mask;
    while (keys->slots[at] != NONE) {
        at = (at + 1) & keys->mask;
    }
    keys->slots[at] = index;
}

/* *is_new: it was not there. */
static uint32_t keys_add(struct arena *arena, struct keys *keys, struct hash128 key, bool *is_new)
{
    uint32_t found = keys_find(keys, key);
    *is_new = found == NONE;
    if (found != NONE) {
        return found;
    }
    if (keys->count == keys->capacity) {
        uint32_t more = keys->capacity ? keys->capacity * 2 : 64;
        keys->keys = arena_grow(arena, keys->keys, keys->count, more, sizeof *keys->keys);
        keys->capacity = more;
        keys->mask = 4 * more - 1;
        keys->slots = arena_alloc(arena, 4u * more * sizeof *keys->slots);
        memset(keys->slots, 0xFF, 4u * more * sizeof *keys->slots);
        for (uint32_t i = 0; i < keys->count; i++) {
            keys_place(keys, i);
        }
    }
    keys->keys[keys->count] = key;
    keys_place(keys, keys->count);
    return keys->count++;
}

static void keys_clear(struct keys *keys)
{
    keys->count = 0;
    if (keys->slots) {
        memset(keys->slots, 0xFF, (keys->mask + 1u) * sizeof *keys->slots);
    }
}

/* ---- the step in numbers --------------------------------------------------------------------- */

/* What a class takes of a kind. */
struct match {
    uint32_t class;
    struct dec weight;
    struct dec savings, list_rate;
};
struct match_range {
    uint32_t first, count;
};
/* An offering that the step covers with. */
struct cover_offering {
    const struct offering *offering;
    uint32_t *class_of; /* of each commitment of the payer; NONE: of another offering */
    const struct commitment **classes; /* the first of each */
    uint32_t class_count;
    const uint32_t *row_slots; /* what its expressions ask of rows */
    uint32_t row_slot_count;
    bool by_kind; /* a signature is a kind */
    struct keys signatures;
    uint32_t *signature_of; /* of each kind */
    uint32_t signature_capacity;
    struct match_range *ranges; /* of each signature */
    uint32_t range_capacity;
    struct match *matches;
    uint32_t match_count, match_capacity;
};

struct item {
    uint32_t row, match;
};
/* Rows that the commitments of a class, and of an account, may take. */
struct group {
    struct item *items;
    uint32_t count, capacity, at;
    bool is_open, is_sorted;
};
struct claim { /* a commitment in a pass */
    uint32_t held, group;
};
struct cover_pass_state {
    const struct cover_pass *pass;
    struct cover_offering *offering;
    struct claim *claims; /* in their rank */
    uint32_t claim_count;
    struct keys group_keys; /* (class, owner) */
    struct group *groups;
    uint64_t *owners; /* of each kind, of passes that are not own */
    uint32_t owner_capacity;
    bool sorts_matches; /* its order is of a row and a class, else of a row alone */
    uint32_t *ranks;    /* of matches or kinds; NULL: rows are in their order */
    /* Used again in each turn, where a turn has kinds of its own: */
    struct ranked *items;
    struct expr_value *values;
    uint32_t rank_capacity;
};

/* What was covered of a row when it was billed: a list for each row and turn. */
struct past {
    const struct text *grant;
    struct dec left;
    uint32_t next;
};
struct pasts {
    struct keys rows; /* (row, turn) */
    uint32_t *first;  /* of each */
    struct past *items;
    uint32_t count;
};

struct row {
    uint32_t charge, kind;
    uint32_t past; /* the first of its list; NONE */
};
struct cover {
    struct work *work;
    const struct step *step;
    struct row *rows; /* of the turn, in their order */
    uint32_t row_count;
    uint32_t turn; /* in the list */
    struct period time;
    struct cover_offering *offerings;
    uint32_t offering_count;
    struct cover_pass_state *passes;
    bool is_steady; /* kinds are the same in all turns */
    struct keys kinds;
    uint32_t *first_of; /* a charge of each kind */
    uint32_t first_capacity;
    struct sort_key *sort;
    uint32_t sort_capacity;
    struct pasts pasts; /* of a frozen cover */
    bool is_again;      /* what was billed is covered again, and nothing else */
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
        if (text_equal(*pasts->items[i].grant, before->grant)) {
            return dec_add(pasts->items[i].left, before->quantity, &pasts->items[i].left,
                           cover->work->err);
        }
    }
    pasts->items[pasts->count] =
        (struct past){&before->grant, before->quantity, pasts->first[list]};
    pasts->first[list] = pasts->count++;
    return OK;
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
        struct period turn = turn_find(work, cover->step, NULL, pricing->payer, before->at);
        bool is_new;
        uint32_t list =
            keys_add(work->arena, &pasts->rows, past_key(before->row, turn.from), &is_new);
        pasts->first[list] = is_new ? NONE : pasts->first[list];
        TRY(add_past(cover, list, before));
    }
    return OK;
}

static uint32_t find_past(const struct cover *cover, uint32_t index)
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
        line_resource(work->arena, work->pricing, charge), cover->step->name);
    arena_rewind(work->arena, mark);
    uint32_t list = keys_find(&cover->pasts.rows, past_key(row, cover->time.from));
    return list == NONE ? NONE : cover->pasts.first[list];
}

/* What is left of that for a commitment; NULL: none. */
static struct dec *past_left(const struct cover *cover, const struct row *row,
                             const struct held_commitment *held)
{
    for (uint32_t i = row->past; i != NONE; i = cover->pasts.items[i].next) {
        struct past *past = &cover->pasts.items[i];
        if (text_equal(*past->grant, held->commitment->id)) {
            return dec_sign(past->left) > 0 ? &past->left : NULL;
        }
    }
    return NULL;
}

/* ---- what expressions depend on -------------------------------------------------------------- */

/* What an expression asks that no kind has: the quantity of a row, its time. */
static bool is_steady_expr(const struct work *work, const struct expr *expr)
{
    size_t count = 0;
    const uint32_t *slots = expr ? expr_slots(expr, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        bool is_key =
            slots[i] == NAME_UNIT || slots[i] == NAME_SKU || slots[i] == NAME_PRODUCT ||
            slots[i] == NAME_ACCOUNT || slots[i] == NAME_RESOURCE || slots[i] == NAME_RATE ||
            (slots[i] >= NAME_DIMENSION && slots[i] < NAME_CUSTOMER) || slots[i] >= NAME_SAVINGS;
        if (!is_key) {
            return false;
        }
    }
    const uint32_t *calls = expr ? expr_calls(expr, &count) : NULL;
    for (size_t i = 0; expr && i < count; i++) {
        bool is_table = calls[i] >= CALL_LOOKUP && calls[i] < CALL_USAGE;
        if (!is_table || work->catalog->tables[calls[i] - CALL_LOOKUP].edge_count > 0) {
            return false;
        }
    }
    return true;
}

static bool asks_of_class(const struct expr *expr)
{
    size_t count = 0;
    const uint32_t *slots = expr ? expr_slots(expr, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (slots[i] >= NAME_SAVINGS || slots[i] == NAME_RATE) {
            return true;
        }
    }
    return false;
}

static bool is_steady_pass(const struct work *work, const struct cover_pass *pass)
{
    const struct offering *offering = pass->offering;
    bool is_steady = is_steady_expr(work, offering->eligible) &&
                     is_steady_expr(work, offering->weight) &&
                     is_steady_expr(work, offering->rate) && is_steady_expr(work, pass->where);
    for (uint32_t i = 0; i < pass->order_count; i++) {
        is_steady = is_steady && is_steady_expr(work, pass->order[i].expr);
    }
    return is_steady;
}

/* ---- classes --------------------------------------------------------------------------------- */

/* The slots of an offering's expressions in [from, to), each once. */
static uint32_t *collect_slots(struct work *work, const struct offering *offering, bool of_rows,
                               uint32_t *out_count)
{
    const struct expr *exprs[] = {offering->eligible, offering->weight, offering->rate};
    uint32_t total = 0, kept = 0;
    size_t count;
    for (size_t i = 0; i < sizeof exprs / sizeof *exprs; i++) {
        if (exprs[i]) {
            (void)expr_slots(exprs[i], &count);
            total += (uint32_t)count;
        }
    }
    uint32_t *out = arena_alloc(work->arena, (total + 1u) * sizeof *out);
    for (size_t i = 0; i < sizeof exprs / sizeof *exprs; i++) {
        const uint32_t *slots = exprs[i] ? expr_slots(exprs[i], &count) : NULL;
        for (size_t k = 0; slots && k < count; k++) {
            bool is_there = (slots[k] < NAME_COMMITMENT) != of_rows;
            for (uint32_t n = 0; n < kept && !is_there; n++) {
                is_there = out[n] == slots[k];
            }
            if (!is_there) {
                out[kept++] = slots[k];
            }
        }
    }
    *out_count = kept;
    return out;
}

static void add_value(struct buffer *key, const struct expr_value *value)
{
    size_t at = key->size;
    uint32_t size = 0;
    buffer_add(key, (const char *)&size, sizeof size);
    buffer_add_char(key, (char)value->type);
    if (value->type != EXPR_MISSING && value->type != EXPR_ERROR) {
        expr_value_format(value, key);
    }
    size = (uint32_t)(key->size - at);
    memcpy(key->at + at, &size, sizeof size);
}

static void find_classes(struct cover *cover, struct cover_offering *of)
{
    struct work *work = cover->work;
    const struct commitments *all = work->commitments;
    uint32_t slot_count;
    const uint32_t *slots = collect_slots(work, of->offering, false, &slot_count);
    of->class_of = arena_alloc(work->arena, (all->count + 1u) * sizeof *of->class_of);
    of->classes = arena_alloc(work->arena, (all->count + 1u) * sizeof(const struct commitment *));
    struct keys keys = {0};
    struct buffer key;
    buffer_init(&key, work->arena, 256);
    for (uint32_t i = 0; i < all->count; i++) {
        of->class_of[i] = NONE;
        if (all->items[i].offering != of->offering) {
            continue;
        }
        key.size = 0;
        for (uint32_t s = 0; s < slot_count; s++) {
            add_value(&key, &all->items[i].commitment->values[slots[s] - NAME_COMMITMENT]);
        }
        bool is_new;
        of->class_of[i] = keys_add(work->arena, &keys, hash_print(key.at, key.size), &is_new);
        if (is_new) {
            of->classes[of->class_count++] = all->items[i].commitment;
        }
    }
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static uint32_t find_kind(struct cover *cover, uint32_t index)
{
    const struct charge *charge = &cover->work->charges[index];
    uint64_t parts[8] = {charge->account,
                         (uint64_t)charge->sku << 32 | charge->series,
                         (uint64_t)(uintptr_t)charge->price,
                         (uint64_t)(uintptr_t)charge->contract,
                         (uint64_t)(uintptr_t)charge->merged,
                         (uint64_t)(uintptr_t)charge->unit.at,
                         (uint64_t)charge->next_step,
                         cover->is_steady ? UINT64_MAX : index};
    bool is_new;
    uint32_t kind = keys_add(cover->work->arena, &cover->kinds,
                             hash_print((const char *)parts, sizeof parts), &is_new);
    if (is_new) {
        if (kind == cover->first_capacity) {
            uint32_t more = kind ? kind * 2 : 64;
            cover->first_of = arena_grow(cover->work->arena, cover->first_of, kind, more,
                                         sizeof *cover->first_of);
            cover->first_capacity = more;
        }
        cover->first_of[kind] = index;
    }
    return kind;
}

/* The rate that a row would have without the commitment, per unit of what is covered: the public
 * one, or its own. */
static enum status find_list_rate(struct cover *cover, const struct charge *row, bool is_own,
                                  bool *has_list, struct dec *rate)
{
    struct charge behind = *row;
    if (cover->is_steady) { /* of all rows of the kind */
        behind.quantity = dec_from_int(1);
    }
    behind.next_step = price_step_after(row->price, row->next_step);
    return step_list_rate(cover->work, &behind, is_own, has_list, rate);
}

static enum status fail_weight(struct work *work, const char *what, struct dec weight)
{
    char text[DEC_FORMAT_MAX];
    (void)dec_format(weight, text);
    return fail(work->err, ERR_INPUT, "%s must be greater than zero, and is %s", what, text);
}

/* What a unit of the row takes of the class; *is_eligible false: nothing can be. */
static enum status find_match(struct cover *cover, const struct cover_offering *of,
                              const struct charge *row, struct match *match, bool *is_eligible)
{
    struct work *work = cover->work;
    const struct offering *offering = of->offering;
    struct expr_value value;
    work->commitment = of->classes[match->class];
    *is_eligible = true;
    if (offering->eligible) {
        TRY(charge_eval(work, offering->eligible, row, cover->time, &value));
        *is_eligible = value.truth;
    }
    if (!*is_eligible) {
        return OK;
    }
    match->weight = dec_from_int(1);
    if (!offering->is_amount) {
        if (offering->weight) {
            TRY(charge_eval(work, offering->weight, row, cover->time, &value));
            match->weight = value.number;
        }
        return dec_sign(match->weight) > 0 ? OK : fail_weight(work, "weight", match->weight);
    }
    bool has_list;
    TRY(find_list_rate(cover, row, false, &has_list, &match->list_rate));
    work->list_rate = match->list_rate;
    TRY(charge_try(work, offering->rate, row, cover->time, &value));
    *is_eligible = value.type == EXPR_NUMBER && has_list && dec_sign(match->list_rate) > 0;
    if (!*is_eligible) {
        return OK;
    }
    match->weight = value.number;
    if (offering->is_percent) {
        struct dec part;
        TRY(dec_subtract(dec_from_int(100), value.number, &part, work->err));
        TRY(dec_multiply_divide(match->list_rate, part, dec_from_int(100), DEC_SCALE,
                                ROUND_HALF_EVEN, &match->weight, work->err));
    }
    if (dec_sign(match->weight) <= 0) {
        return fail_weight(work, "rate", match->weight);
    }
    if (offering->takes_better) {
        struct dec own;
        TRY(find_list_rate(cover, row, true, &has_list, &own));
        match->weight = has_list ? dec_min(match->weight, own) : match->weight;
        *is_eligible = dec_sign(match->weight) > 0; /* else it is free */
        if (!*is_eligible) {
            return OK;
        }
    }
    TRY(dec_divide(match->weight, match->list_rate, DEC_SCALE, ROUND_HALF_EVEN, &match->savings,
                   work->err));
    return dec_subtract(dec_from_int(1), match->savings, &match->savings, work->err);
}

static enum status find_matches(struct cover *cover, struct cover_offering *of,
                                const struct charge *row, struct match_range *range)
{
    struct work *work = cover->work;
    range->first = of->match_count;
    for (uint32_t class = 0; class < of->class_count; class ++) {
        struct match match = {.class = class};
        bool is_eligible;
        match.savings = match.list_rate = DEC_ZERO;
        enum status status = find_match(cover, of, row, &match, &is_eligible);
        if (status != OK) {
            status = commitment_fail(work, status, of->classes[class]);
            return work_fail(work, status, row->price, cover->step, row->account);
        }
        if (!is_eligible) {
            continue;
        }
        if (of->match_count == of->match_capacity) {
            uint32_t more = of->match_capacity ? of->match_capacity * 2 : 64;
            of->matches =
                arena_grow(work->arena, of->matches, of->match_count, more, sizeof *of->matches);
            of->match_capacity = more;
        }
        of->matches[of->match_count++] = match;
    }
    range->count = of->match_count - range->first;
    return OK;
}

/* What rows of one signature look like to the offering. */
static struct hash128 make_signature(struct cover *cover, const struct cover_offering *of,
                                     uint32_t kind, const struct charge *row, struct buffer *key)
{
    key->size = 0;
    if (of->by_kind) {
        buffer_add(key, (const char *)&kind, sizeof kind);
    }
    for (uint32_t i = 0; i < of->row_slot_count && !of->by_kind; i++) {
        struct expr_value value = charge_slot(cover->work, of->row_slots[i], row, cover->time);
        add_value(key, &value);
    }
    return hash_print(key->at, key->size);
}

/* The signatures of kinds that have none yet. */
static enum status find_signatures(struct cover *cover, struct cover_offering *of, uint32_t from)
{
    struct work *work = cover->work;
    if (of->signature_capacity < cover->kinds.count) {
        uint32_t more = cover->first_capacity;
        of->signature_of =
            arena_grow(work->arena, of->signature_of, from, more, sizeof *of->signature_of);
        of->signature_capacity = more;
    }
    struct buffer key;
    buffer_init(&key, work->arena, 256);
    for (uint32_t kind = from; kind < cover->kinds.count; kind++) {
        const struct charge row = work->charges[cover->first_of[kind]];
        bool is_new;
        uint32_t signature = keys_add(work->arena, &of->signatures,
                                      make_signature(cover, of, kind, &row, &key), &is_new);
        of->signature_of[kind] = signature;
        if (!is_new) {
            continue;
        }
        if (signature == of->range_capacity) {
            uint32_t more = signature ? signature * 2 : 64;
            of->ranges = arena_grow(work->arena, of->ranges, signature, more, sizeof *of->ranges);
            of->range_capacity = more;
        }
        TRY(find_matches(cover, of, &row, &of->ranges[signature]));
    }
    return OK;
}

/* ---- ranks ----------------------------------------------------------------------------------- */

struct ranked {
    const struct order_key *keys;
    uint32_t key_count, index;
    struct expr_value *values;
};

static int compare_ranked(const void *a_item, const void *b_item)
{
    const struct ranked *a = a_item, *b = b_item;
    int order = order_compare(a->keys, a->key_count, a->values, b->values);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

static void make_room_for_ranks(struct arena *arena, struct cover_pass_state *state, uint32_t count,
                                uint32_t key_count)
{
    if (!state->ranks || state->rank_capacity < count) {
        uint32_t more = count + count / 4 + 1;
        state->ranks = arena_alloc(arena, more * sizeof *state->ranks);
        state->items = arena_alloc(arena, more * sizeof *state->items);
        state->values = arena_alloc(arena, (size_t)more * key_count * sizeof *state->values);
        state->rank_capacity = more;
    }
}

/* Equal values have equal ranks. */
static void set_ranks(struct cover_pass_state *state, uint32_t count)
{
    struct ranked *items = state->items;
    if (count > 1) {
        qsort(items, count, sizeof *items, compare_ranked);
    }
    uint32_t rank = 0;
    for (uint32_t i = 0; i < count; i++) {
        rank += i > 0 && order_compare(items[i].keys, items[i].key_count, items[i - 1].values,
                                       items[i].values) != 0;
        state->ranks[items[i].index] = rank;
    }
}

enum { SAVINGS_KEYS = 2 };

static enum status rank_value(struct cover *cover, const struct cover_pass_state *state,
                              const struct charge *row, const struct match *match,
                              struct ranked *item)
{
    struct work *work = cover->work;
    const struct cover_pass *pass = state->pass;
    static const struct order_key by_savings[SAVINGS_KEYS] = {{NULL, true}, {NULL, false}};
    item->keys = pass->order_count > 0 ? pass->order : by_savings;
    item->key_count = pass->order_count > 0 ? pass->order_count : SAVINGS_KEYS;
    item->values = &state->values[(size_t)item->index * item->key_count];
    struct charge asks = *row;
    if (match) {
        work->commitment = state->offering->classes[match->class];
        work->savings = match->savings;
        work->list_rate = match->list_rate;
        asks.rate = match->weight;
    }
    if (pass->order_count == 0) {
        item->values[0] = expr_number(match->savings);
        item->values[1] = expr_number(match->weight);
        return OK;
    }
    for (uint32_t i = 0; i < pass->order_count; i++) {
        enum status status =
            charge_eval(work, pass->order[i].expr, &asks, cover->time, &item->values[i]);
        if (status != OK) {
            return work_fail(work, status, row->price, cover->step, row->account);
        }
    }
    return OK;
}

/* Ranks of all kinds, or of all matches of a kind, by the order of a pass. */
static enum status rank_pass(struct cover *cover, struct cover_pass_state *state)
{
    struct work *work = cover->work;
    const struct cover_offering *of = state->offering;
    if (state->pass->order_count == 0 && !of->offering->is_amount) {
        return OK;
    }
    uint32_t count = state->sorts_matches ? of->match_count : cover->kinds.count;
    make_room_for_ranks(work->arena, state, count,
                        state->pass->order_count > 0 ? state->pass->order_count : SAVINGS_KEYS);
    for (uint32_t kind = 0; kind < cover->kinds.count; kind++) {
        const struct charge *row = &work->charges[cover->first_of[kind]];
        struct match_range range = {kind, 1};
        if (state->sorts_matches) {
            range = of->ranges[of->signature_of[kind]];
        }
        for (uint32_t i = range.first; i < range.first + range.count; i++) {
            state->items[i].index = i;
            TRY(rank_value(cover, state, row, state->sorts_matches ? &of->matches[i] : NULL,
                           &state->items[i]));
        }
    }
    set_ranks(state, count);
    return OK;
}

/* ---- making ready ---------------------------------------------------------------------------- */

static struct hash128 group_key(uint32_t class, uint64_t owner)
{
    uint64_t parts[2] = {class, owner};
    return hash_print((const char *)parts, sizeof parts);
}

/* When it is looked up who shares. */
static instant sharing_instant(const struct cover *cover)
{
    const struct pricing *pricing = cover->work->pricing;
    struct period turn = pricing_turn(pricing, pricing->cut.from);
    return cover->step->settings_at == SETTINGS_AT_INVOICE      ? pricing->cut.to
           : cover->step->settings_at == SETTINGS_AT_TURN_START ? turn.from
                                                                : turn.to - 1;
}

/* What tells a pass whose rows a commitment may take; NOBODY: none. */
static const uint64_t NOBODY = UINT64_MAX;
static uint64_t owner_of(const struct cover *cover, const struct cover_pass *pass, uint32_t account)
{
    const struct accounts *accounts = cover->work->pricing->accounts;
    struct text group;
    if (pass->whose == COVER_OWN) {
        return account;
    }
    enum sharing_mode mode =
        accounts_sharing(accounts, cover->work->catalog, accounts_own(accounts, account),
                         sharing_instant(cover), &group);
    if (mode == SHARING_NONE || (mode == SHARING_GROUP && pass->whose == COVER_SHARED)) {
        return NOBODY;
    }
    if (pass->whose == COVER_SHARED) {
        return 0;
    }
    return group.size == 0 ? NOBODY : hash_print(group.at, group.size).low >> 1;
}

struct ranked_claim {
    const struct order_key *keys;
    uint32_t key_count;
    struct expr_value *values;
    const struct held_commitment *held;
    struct claim claim;
};

static int compare_claims(const void *a_item, const void *b_item)
{
    const struct ranked_claim *a = a_item, *b = b_item;
    int order = a->key_count > 0 ? order_compare(a->keys, a->key_count, a->values, b->values) : 0;
    const struct commitment *x = a->held->commitment, *y = b->held->commitment;
    order = order ? order : (x->from > y->from) - (x->from < y->from);
    order = order ? order : text_compare(x->id, y->id);
    return order ? order
                 : (a->held->member.from > b->held->member.from) -
                       (a->held->member.from < b->held->member.from);
}

/* The commitments that a pass uses, in their rank, and the groups they make. */
static enum status find_claims(struct cover *cover, struct cover_pass_state *state)
{
    struct work *work = cover->work;
    const struct commitments *all = work->commitments;
    const struct cover_pass *pass = state->pass;
    struct ranked_claim *claims = arena_alloc(work->arena, (all->count + 1u) * sizeof *claims);
    work->is_filter = true;
    struct charge nobody = {.account = work->pricing->payer, .sku = NONE, .series = NONE};
    uint32_t count = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct held_commitment *held = &all->items[i];
        if (held->offering != pass->offering) {
            continue;
        }
        uint64_t owner = owner_of(cover, pass, held->account);
        if (owner == NOBODY) {
            continue;
        }
        work->commitment = held->commitment;
        struct expr_value value = expr_bool(true);
        if (pass->commitments) {
            enum status status = charge_eval(work, pass->commitments, &nobody, cover->time, &value);
            if (status != OK) {
                return commitment_fail(work, status, held->commitment);
            }
        }
        if (!value.truth) {
            continue;
        }
        struct ranked_claim *claim = &claims[count++];
        *claim = (struct ranked_claim){
            .keys = pass->rank, .key_count = pass->rank_count, .held = held, .claim.held = i};
        claim->values = arena_alloc(work->arena, (pass->rank_count + 1u) * sizeof *claim->values);
        for (uint32_t k = 0; k < pass->rank_count; k++) {
            enum status status =
                charge_eval(work, pass->rank[k].expr, &nobody, cover->time, &claim->values[k]);
            if (status != OK) {
                return commitment_fail(work, status, held->commitment);
            }
        }
        bool is_new;
        claim->claim.group = keys_add(work->arena, &state->group_keys,
                                      group_key(state->offering->class_of[i], owner), &is_new);
    }
    work->is_filter = false;
    if (count > 1) {
        qsort(claims, count, sizeof *claims, compare_claims);
    }
    state->claims = arena_alloc(work->arena, (count + 1u) * sizeof *state->claims);
    for (uint32_t i = 0; i < count; i++) {
        state->claims[i] = claims[i].claim;
    }
    state->claim_count = count;
    state->groups = arena_calloc(work->arena, state->group_keys.count + 1u, sizeof *state->groups);
    return OK;
}

/* Passes, their offerings, and what these depend on. */
static enum status make_ready(struct cover *cover, bool is_steady)
{
    struct work *work = cover->work;
    const struct step_cover *body = &cover->step->cover;
    cover->passes = arena_calloc(work->arena, body->pass_count, sizeof *cover->passes);
    cover->offerings = arena_calloc(work->arena, body->pass_count, sizeof *cover->offerings);
    cover->is_steady = is_steady;
    for (uint32_t i = 0; i < body->pass_count; i++) {
        struct cover_pass_state *state = &cover->passes[i];
        state->pass = &body->passes[i];
        cover->is_steady = cover->is_steady && is_steady_pass(work, state->pass);
        const struct offering *offering = state->pass->offering;
        uint32_t at = 0;
        while (at < cover->offering_count && cover->offerings[at].offering != offering) {
            at++;
        }
        struct cover_offering *of = &cover->offerings[at];
        if (at == cover->offering_count) {
            cover->offering_count++;
            of->offering = offering;
            of->by_kind = offering->is_amount;
            of->row_slots = collect_slots(work, offering, true, &of->row_slot_count);
            find_classes(cover, of);
        }
        state->offering = of;
        state->sorts_matches = offering->is_amount;
        for (uint32_t k = 0; k < state->pass->order_count; k++) {
            state->sorts_matches =
                state->sorts_matches || asks_of_class(state->pass->order[k].expr);
        }
        of->by_kind = of->by_kind || state->sorts_matches;
    }
    for (uint32_t i = 0; i < body->pass_count; i++) {
        TRY(find_claims(cover, &cover->passes[i]));
    }
    return OK;
}

static void find_owners(struct cover *cover, struct cover_pass_state *state)
{
    const struct work *work = cover->work;
    uint32_t last = NONE;
    if (state->pass->whose == COVER_OWN) {
        return;
    }
    if (state->owner_capacity < cover->kinds.count) {
        state->owner_capacity = cover->first_capacity;
        state->owners = arena_alloc(work->arena, state->owner_capacity * sizeof *state->owners);
    }
    for (uint32_t kind = 0; kind < cover->kinds.count; kind++) {
        uint32_t account = work->charges[cover->first_of[kind]].account;
        state->owners[kind] =
            account == last ? state->owners[kind - 1] : owner_of(cover, state->pass, account);
        last = account;
    }
}

/* Kinds, what is eligible of them, and their ranks. */
static enum status classify(struct cover *cover, uint32_t known)
{
    for (uint32_t i = 0; i < cover->offering_count; i++) {
        TRY(find_signatures(cover, &cover->offerings[i], known));
    }
    for (uint32_t i = 0; i < cover->step->cover.pass_count; i++) {
        find_owners(cover, &cover->passes[i]);
        TRY(rank_pass(cover, &cover->passes[i]));
    }
    return OK;
}

static void forget(struct cover *cover)
{
    keys_clear(&cover->kinds);
    for (uint32_t i = 0; i < cover->offering_count; i++) {
        keys_clear(&cover->offerings[i].signatures);
        cover->offerings[i].match_count = 0;
    }
}

/* ---- covering -------------------------------------------------------------------------------- */

/* The part of a row becomes a charge that the commitment pays. */
static enum status cover_part(struct cover *cover, struct row *row, struct held_commitment *held,
                              struct dec quantity, struct dec units, struct dec effective,
                              struct dec capacity)
{
    struct work *work = cover->work;
    struct charge *charge = &work->charges[row->charge];
    const struct step *step = &charge->price->steps[charge->next_step];
    struct charge part = *charge;
    bool is_all = dec_equal(quantity, charge->quantity), has_list;
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
        TRY(dec_subtract(charge->quantity, quantity, &charge->quantity, work->err));
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
                                   .turn = cover->time,
                                   .grant = part.grant,
                                   .tier = NONE});
    if (step->cover.shows_negation && !dec_is_zero(part.amount)) {
        struct charge negation = part;
        negation.kind = CHARGE_NEGATION;
        negation.of = index;
        negation.list = negation.net = negation.rate = DEC_ZERO;
        negation.quantity = dec_negate(part.quantity);
        negation.amount = dec_negate(part.amount);
        negation.has_rate = false;
        negation.events = 0;
        negation.next_step = negation.price->step_count;
        work->charges[index].net = DEC_ZERO;
        commitments_set_effective(work, held, work_add_charge(work, &negation), DEC_ZERO);
    }
    work_pass_on(work, index);
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
 * its units lack a little. */
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
    struct dec quantity = work->charges[row->charge].quantity, need, effective;
    struct dec *past = cover->is_again ? past_left(cover, row, held) : NULL;
    if (cover->is_again && !past) {
        return OK;
    }
    quantity = past ? dec_min(quantity, *past) : quantity;
    TRY(dec_multiply_round(quantity, match->weight, DEC_SCALE, ROUND_HALF_EVEN, &need, work->err));
    if (dec_compare(need, turn->left) > 0) {
        bool fits = false;
        if (pass->whole && !past) {
            TRY(fits_whole(need, turn->left, &fits, work->err));
        } else {
            TRY(dec_divide(turn->left, match->weight, DEC_SCALE, ROUND_HALF_EVEN, &quantity,
                           work->err));
            quantity = dec_min(quantity, past ? *past : work->charges[row->charge].quantity);
            quantity = dec_min(quantity, work->charges[row->charge].quantity);
            fits = dec_sign(quantity) > 0;
        }
        if (!fits) {
            return OK;
        }
        need = turn->left;
    } else if (past) {
        TRY(take_rest(match->weight, turn->left, &need, work->err));
    }
    if (past) {
        TRY(dec_subtract(*past, quantity, past, work->err));
    }
    struct dec capacity = turn->capacity, slack = DEC_ZERO;
    if (pass->whole) {
        TRY(whole_slack(need, &slack, work->err));
    }
    TRY(close_part(quantity, match->weight, need, slack, work->err));
    TRY(commitments_use(work, turn, need, &effective));
    return cover_part(cover, row, held, quantity, need, effective, capacity);
}

static bool is_left(const struct cover *cover, uint32_t row)
{
    uint32_t charge = cover->rows[row].charge;
    return charge != NONE && dec_sign(cover->work->charges[charge].quantity) > 0;
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
            enum status status = charge_eval(work, pass->where, charge, cover->time, &value);
            if (status != OK) {
                return work_fail(work, status, charge->price, cover->step, charge->account);
            }
            if (!value.truth) {
                continue;
            }
        }
        const uint64_t owner =
            pass->whose == COVER_OWN ? charge->account : state->owners[cover->rows[i].kind];
        for (uint32_t m = range.first; m < range.first + range.count && owner != NOBODY; m++) {
            uint32_t at = keys_find(&state->group_keys, group_key(of->matches[m].class, owner));
            if (at == NONE || !state->groups[at].is_open) {
                continue;
            }
            struct group *group = &state->groups[at];
            if (group->count == group->capacity) {
                uint32_t more = group->capacity ? group->capacity * 2 : 16;
                group->items =
                    arena_grow(work->arena, group->items, group->count, more, sizeof *group->items);
                group->capacity = more;
            }
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
            TRY(run_pass(cover, &cover->passes[i]));
        }
    }
    for (uint32_t i = 0; i < cover->row_count; i++) {
        if (cover->rows[i].charge != NONE) {
            work_pass_on(work, cover->rows[i].charge);
        }
    }
    return OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The list rates of all prices are the same at all times, where they are asked for. */
static bool are_lists_steady(const struct work *work, const struct step *step,
                             const uint32_t *charges, uint32_t count)
{
    bool asks = false, asks_own = false;
    for (uint32_t i = 0; i < step->cover.pass_count; i++) {
        asks = asks || step->cover.passes[i].offering->is_amount;
        asks_own = asks_own || step->cover.passes[i].offering->takes_better;
    }
    const struct price *last = NULL;
    for (uint32_t i = 0; i < count && asks; i++) {
        const struct charge *charge = &work->charges[charges[i]];
        if (charge->price != last) {
            last = charge->price;
            if (!step_list_is_steady(last, price_step_after(last, charge->next_step), asks_own)) {
                return false;
            }
        }
    }
    return true;
}

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
    struct cover cover = {.work = work, .step = step};
    enum status status = make_ready(&cover, are_lists_steady(work, step, charges, count));
    if (status != OK) {
        return work_fail(work, status, price, step, account);
    }
    TRY(find_pasts(&cover));
    cover.rows = arena_alloc(work->arena, count * sizeof *cover.rows);
    cover.time = charge_turn(work, step, &work->charges[charges[0]]);
    if (cover.is_steady) {
        for (uint32_t i = 0; i < count; i++) {
            (void)find_kind(&cover, charges[i]);
        }
        TRY(classify(&cover, 0));
    }
    const struct turn_list *list = commitments_list(work, step);
    for (uint32_t i = 0; i < count;) {
        cover.time = charge_turn(work, step, &work->charges[charges[i]]);
        cover.row_count = 0;
        if (!cover.is_steady) {
            forget(&cover);
        }
        for (; i < count && period_has(cover.time, work->charges[charges[i]].at); i++) {
            cover.rows[cover.row_count++] = (struct row){charges[i], find_kind(&cover, charges[i]),
                                                         find_past(&cover, charges[i])};
        }
        if (!cover.is_steady) {
            TRY(classify(&cover, 0));
        }
        cover.turn = list ? commitments_turn(list, cover.time.from) : NONE;
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
