/* cover_match.c - see cover_match.h.
 *
 * An expression is evaluated once for a kind and a class.  Where the rows of a kind look alike to
 * an offering (all that its expressions ask of rows is equal) they have one signature, and kinds of
 * one signature share their matches.
 *
 * Where an expression depends on more than a row's keys (its quantity, its time) each row is a kind
 * of its own, and kinds are forgotten with the turn.
 */
#include "price/cover_match.h"

#include <stdlib.h>

#include "base/nofloat.h"

/* ---- what expressions depend on ------------------------------------------------------------ */

/* Whether what an expression calls says the same at all times: a table without dates. */
static bool has_steady_calls(const struct work *work, const struct expr *expr)
{
    size_t count = 0;
    const uint32_t *calls = expr ? expr_calls(expr, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        bool is_table = calls[i] >= CALL_LOOKUP && calls[i] < CALL_USAGE;
        if (!is_table || work->catalog->tables[calls[i] - CALL_LOOKUP].edge_count > 0) {
            return false;
        }
    }
    return true;
}

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
    return has_steady_calls(work, expr);
}

static bool asks_for_list(const struct cover_pass *pass)
{
    for (uint32_t i = 0; i < pass->order_count; i++) {
        size_t count = 0;
        const uint32_t *slots = expr_slots(pass->order[i].expr, &count);
        for (size_t k = 0; k < count; k++) {
            if (slots[k] == NAME_LIST_RATE) {
                return true;
            }
        }
    }
    return false;
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

/* The list rates of all prices are the same at all times, where they are asked for. */
static bool are_lists_steady(const struct work *work, const struct step *step,
                             const uint32_t *charges, uint32_t count)
{
    bool asks = false, asks_own = false;
    for (uint32_t i = 0; i < step->cover.pass_count; i++) {
        asks = asks || step->cover.passes[i].offering->is_amount ||
               asks_for_list(&step->cover.passes[i]);
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

/* ---- classes --------------------------------------------------------------------------------- */

struct slots {
    uint32_t *items; /* each once */
    uint32_t count, capacity;
};

static void add_slots(struct work *work, const struct expr *expr, bool of_rows, struct slots *slots)
{
    size_t count = 0;
    const uint32_t *asked = expr ? expr_slots(expr, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        bool is_there = (asked[i] < NAME_COMMITMENT) != of_rows;
        for (uint32_t n = 0; n < slots->count && !is_there; n++) {
            is_there = slots->items[n] == asked[i];
        }
        if (is_there) {
            continue;
        }
        slots->items = arena_room(work->arena, slots->items, slots->count, &slots->capacity,
                                  sizeof *slots->items);
        slots->items[slots->count++] = asked[i];
    }
}

/* What an offering's expressions ask of rows, or of commitments. */
static struct slots collect_slots(struct work *work, const struct offering *offering, bool of_rows)
{
    struct slots slots = {0};
    add_slots(work, offering->eligible, of_rows, &slots);
    add_slots(work, offering->weight, of_rows, &slots);
    add_slots(work, offering->rate, of_rows, &slots);
    return slots;
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

static void find_classes(struct matching *m, struct cover_offering *of)
{
    struct work *work = m->work;
    const struct commitments *all = work->commitments;
    struct slots slots = collect_slots(work, of->offering, false);
    for (uint32_t i = 0; i < m->step->cover.pass_count; i++) { /* an order may ask of them too */
        const struct cover_pass *pass = &m->step->cover.passes[i];
        for (uint32_t k = 0; k < pass->order_count && pass->offering == of->offering; k++) {
            add_slots(work, pass->order[k].expr, false, &slots);
        }
    }
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
        for (uint32_t s = 0; s < slots.count; s++) {
            add_value(&key, &all->items[i].commitment->values[slots.items[s] - NAME_COMMITMENT]);
        }
        bool is_new;
        of->class_of[i] = keys_add(work->arena, &keys, hash_print(key.at, key.size), &is_new);
        if (is_new) {
            of->classes[of->class_count++] = all->items[i].commitment;
        }
    }
}

/* ---- kinds ----------------------------------------------------------------------------------- */

uint32_t matching_kind(struct matching *m, uint32_t index)
{
    const struct charge *charge = &m->work->charges[index];
    uint64_t parts[8] = {charge->account,
                         (uint64_t)charge->sku << 32 | charge->series,
                         (uint64_t)(uintptr_t)charge->price,
                         (uint64_t)(uintptr_t)charge->contract,
                         (uint64_t)(uintptr_t)charge->merged,
                         (uint64_t)(uintptr_t)charge->unit.at,
                         (uint64_t)charge->next_step,
                         m->is_steady ? UINT64_MAX : index};
    bool is_new;
    uint32_t kind =
        keys_add(m->work->arena, &m->kinds, hash_print((const char *)parts, sizeof parts), &is_new);
    if (is_new) {
        if (kind == m->first_capacity) {
            uint32_t more = kind ? kind * 2 : 64;
            m->first_of = arena_grow(m->work->arena, m->first_of, kind, more, sizeof *m->first_of);
            m->first_capacity = more;
        }
        m->first_of[kind] = index;
    }
    return kind;
}

/* The rate that a row would have without the commitment, per unit of what is covered: the public
 * one, or its own. */
static enum status find_list_rate(struct matching *m, const struct charge *row, bool is_own,
                                  bool *has_list, struct dec *rate)
{
    struct charge behind = *row;
    if (m->is_steady) { /* of all rows of the kind */
        behind.quantity = dec_from_int(1);
    }
    behind.next_step = price_step_after(row->price, row->next_step);
    return step_list_rate(m->work, &behind, is_own, has_list, rate);
}

static enum status fail_weight(struct work *work, const char *what, struct dec weight)
{
    char text[DEC_FORMAT_MAX];
    (void)dec_format(weight, text);
    return fail(work->err, ERR_INPUT, "%s must be greater than zero, and is %s", what, text);
}

/* What a unit of the row takes of the class; *is_eligible false: nothing can be. */
static enum status find_match(struct matching *m, const struct cover_offering *of,
                              const struct charge *row, struct match *match, bool *is_eligible)
{
    struct work *work = m->work;
    const struct offering *offering = of->offering;
    struct expr_value value;
    work->commitment = of->classes[match->class];
    *is_eligible = true;
    if (offering->eligible) {
        TRY(charge_eval(work, offering->eligible, row, m->time, &value));
        *is_eligible = value.truth;
    }
    if (!*is_eligible) {
        return OK;
    }
    match->weight = dec_from_int(1);
    bool has_list;
    if (!offering->is_amount) {
        if (of->asks_for_list) {
            TRY(find_list_rate(m, row, false, &has_list, &match->list_rate));
        }
        if (offering->weight) {
            TRY(charge_eval(work, offering->weight, row, m->time, &value));
            match->weight = value.number;
        }
        return dec_sign(match->weight) > 0 ? OK : fail_weight(work, "weight", match->weight);
    }
    TRY(find_list_rate(m, row, false, &has_list, &match->list_rate));
    work->list_rate = match->list_rate;
    TRY(charge_try(work, offering->rate, row, m->time, &value));
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
        TRY(find_list_rate(m, row, true, &has_list, &own));
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

static enum status find_matches(struct matching *m, struct cover_offering *of,
                                const struct charge *row, struct match_range *range)
{
    struct work *work = m->work;
    range->first = of->match_count;
    for (uint32_t class = 0; class < of->class_count; class ++) {
        struct match match = {.class = class};
        bool is_eligible;
        match.savings = match.list_rate = DEC_ZERO;
        enum status status = find_match(m, of, row, &match, &is_eligible);
        if (status != OK) {
            status = commitment_fail(work, status, of->classes[class]);
            return work_fail(work, status, row->price, m->step, row->account);
        }
        if (!is_eligible) {
            continue;
        }
        of->matches = arena_room(work->arena, of->matches, of->match_count, &of->match_capacity,
                                 sizeof *of->matches);
        of->matches[of->match_count++] = match;
    }
    range->count = of->match_count - range->first;
    return OK;
}

/* What rows of one signature look like to the offering. */
static struct hash128 make_signature(struct matching *m, const struct cover_offering *of,
                                     uint32_t kind, const struct charge *row, struct buffer *key)
{
    key->size = 0;
    if (of->by_kind) {
        buffer_add(key, (const char *)&kind, sizeof kind);
    }
    for (uint32_t i = 0; i < of->row_slot_count && !of->by_kind; i++) {
        struct expr_value value = charge_slot(m->work, of->row_slots[i], row, m->time);
        add_value(key, &value);
    }
    return hash_print(key->at, key->size);
}

/* The signature of each kind. */
static enum status find_signatures(struct matching *m, struct cover_offering *of)
{
    struct work *work = m->work;
    if (of->signature_capacity < m->kinds.count) {
        uint32_t more = m->first_capacity;
        of->signature_of =
            arena_grow(work->arena, of->signature_of, 0, more, sizeof *of->signature_of);
        of->signature_capacity = more;
    }
    struct buffer key;
    buffer_init(&key, work->arena, 256);
    for (uint32_t kind = 0; kind < m->kinds.count; kind++) {
        const struct charge row = work->charges[m->first_of[kind]];
        bool is_new;
        uint32_t signature = keys_add(work->arena, &of->signatures,
                                      make_signature(m, of, kind, &row, &key), &is_new);
        of->signature_of[kind] = signature;
        if (!is_new) {
            continue;
        }
        if (signature == of->range_capacity) {
            uint32_t more = signature ? signature * 2 : 64;
            of->ranges = arena_grow(work->arena, of->ranges, signature, more, sizeof *of->ranges);
            of->range_capacity = more;
        }
        TRY(find_matches(m, of, &row, &of->ranges[signature]));
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

static enum status rank_value(struct matching *m, const struct cover_pass_state *state,
                              const struct charge *row, const struct match *match,
                              struct ranked *item)
{
    struct work *work = m->work;
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
            charge_eval(work, pass->order[i].expr, &asks, m->time, &item->values[i]);
        if (status != OK) {
            return work_fail(work, status, row->price, m->step, row->account);
        }
    }
    return OK;
}

/* Ranks of all kinds, or of all matches of a kind, by the order of a pass. */
static enum status rank_pass(struct matching *m, struct cover_pass_state *state)
{
    struct work *work = m->work;
    const struct cover_offering *of = state->offering;
    if (state->pass->order_count == 0 && !of->offering->is_amount) {
        return OK;
    }
    uint32_t count = state->sorts_matches ? of->match_count : m->kinds.count;
    make_room_for_ranks(work->arena, state, count,
                        state->pass->order_count > 0 ? state->pass->order_count : SAVINGS_KEYS);
    for (uint32_t kind = 0; kind < m->kinds.count; kind++) {
        const struct charge *row = &work->charges[m->first_of[kind]];
        struct match_range range = {kind, 1};
        if (state->sorts_matches) {
            range = of->ranges[of->signature_of[kind]];
        }
        for (uint32_t i = range.first; i < range.first + range.count; i++) {
            state->items[i].index = i;
            TRY(rank_value(m, state, row, state->sorts_matches ? &of->matches[i] : NULL,
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
static instant sharing_instant(const struct matching *m)
{
    const struct pricing *pricing = m->work->pricing;
    struct period turn = pricing_turn(pricing, pricing->cut.from);
    return m->step->settings_at == SETTINGS_AT_INVOICE      ? pricing->cut.to
           : m->step->settings_at == SETTINGS_AT_TURN_START ? turn.from
                                                            : turn.to - 1;
}

/* What tells a pass whose rows a commitment may take; NOBODY: none. */
static const uint64_t NOBODY = UINT64_MAX;
static uint64_t owner_of(const struct matching *m, const struct cover_pass *pass, uint32_t account)
{
    const struct accounts *accounts = m->work->pricing->accounts;
    struct text group;
    if (pass->whose == COVER_OWN) {
        return account;
    }
    const uint32_t payer = accounts_own(accounts, m->work->pricing->payer);
    enum sharing_mode mode =
        accounts_sharing(accounts, m->work->catalog, accounts_own(accounts, account), payer,
                         sharing_instant(m), &group);
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
static enum status find_claims(struct matching *m, struct cover_pass_state *state)
{
    struct work *work = m->work;
    const struct commitments *all = work->commitments;
    const struct cover_pass *pass = state->pass;
    struct ranked_claim *claims = arena_alloc(work->arena, (all->count + 1u) * sizeof *claims);
    work->is_filter = true;
    struct charge nobody = {.account = work->pricing->payer,
                            .sku = NONE,
                            .series = NONE,
                            .at = pricing_turn(work->pricing, work->pricing->cut.from).from};
    uint32_t count = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct held_commitment *held = &all->items[i];
        if (held->offering != pass->offering) {
            continue;
        }
        uint64_t owner = owner_of(m, pass, held->account);
        if (owner == NOBODY) {
            continue;
        }
        work->commitment = held->commitment;
        struct expr_value value = expr_bool(true);
        if (pass->commitments) {
            enum status status = charge_eval(work, pass->commitments, &nobody, m->time, &value);
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
                charge_eval(work, pass->rank[k].expr, &nobody, m->time, &claim->values[k]);
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

enum status matching_start(struct matching *m, const uint32_t *charges, uint32_t count)
{
    struct work *work = m->work;
    const struct step_cover *body = &m->step->cover;
    m->passes = arena_calloc(work->arena, body->pass_count, sizeof *m->passes);
    m->offerings = arena_calloc(work->arena, body->pass_count, sizeof *m->offerings);
    m->is_steady = are_lists_steady(work, m->step, charges, count);
    for (uint32_t i = 0; i < body->pass_count; i++) {
        struct cover_pass_state *state = &m->passes[i];
        state->pass = &body->passes[i];
        m->is_steady = m->is_steady && is_steady_pass(work, state->pass);
        const struct offering *offering = state->pass->offering;
        uint32_t at = 0;
        while (at < m->offering_count && m->offerings[at].offering != offering) {
            at++;
        }
        struct cover_offering *of = &m->offerings[at];
        if (at == m->offering_count) {
            m->offering_count++;
            of->offering = offering;
            of->by_kind = offering->is_amount || !has_steady_calls(work, offering->eligible) ||
                          !has_steady_calls(work, offering->weight);
            const struct slots slots = collect_slots(work, offering, true);
            of->row_slots = slots.items;
            of->row_slot_count = slots.count;
            find_classes(m, of);
        }
        state->offering = of;
        state->sorts_matches = offering->is_amount;
        for (uint32_t k = 0; k < state->pass->order_count; k++) {
            state->sorts_matches =
                state->sorts_matches || asks_of_class(state->pass->order[k].expr);
        }
        of->by_kind = of->by_kind || state->sorts_matches;
        of->asks_for_list = of->asks_for_list || asks_for_list(state->pass);
    }
    for (uint32_t i = 0; i < body->pass_count; i++) {
        TRY(find_claims(m, &m->passes[i]));
    }
    return OK;
}

uint32_t pass_group(const struct cover_pass_state *state, uint32_t class, uint32_t account,
                    uint32_t kind)
{
    uint64_t owner = state->pass->whose == COVER_OWN ? account : state->owners[kind];
    return owner == NOBODY ? NONE : keys_find(&state->group_keys, group_key(class, owner));
}

static void find_owners(struct matching *m, struct cover_pass_state *state)
{
    const struct work *work = m->work;
    uint32_t last = NONE;
    if (state->pass->whose == COVER_OWN) {
        return;
    }
    if (state->owner_capacity < m->kinds.count) {
        state->owner_capacity = m->first_capacity;
        state->owners = arena_alloc(work->arena, state->owner_capacity * sizeof *state->owners);
    }
    for (uint32_t kind = 0; kind < m->kinds.count; kind++) {
        uint32_t account = work->charges[m->first_of[kind]].account;
        state->owners[kind] =
            account == last ? state->owners[kind - 1] : owner_of(m, state->pass, account);
        last = account;
    }
}

enum status matching_find(struct matching *m)
{
    for (uint32_t i = 0; i < m->offering_count; i++) {
        TRY(find_signatures(m, &m->offerings[i]));
    }
    for (uint32_t i = 0; i < m->step->cover.pass_count; i++) {
        find_owners(m, &m->passes[i]);
        TRY(rank_pass(m, &m->passes[i]));
    }
    return OK;
}

void matching_forget(struct matching *m)
{
    keys_clear(&m->kinds);
    for (uint32_t i = 0; i < m->offering_count; i++) {
        keys_clear(&m->offerings[i].signatures);
        m->offerings[i].match_count = 0;
    }
}
