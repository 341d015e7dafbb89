/* term_bases.c - see term_bases.h. */
#include <stdlib.h>

#include "price/term_bases.h"

#include "base/nofloat.h"

/* ---- the total order ------------------------------------------------------------------------- */

static struct text sku_name(const struct work *work, const struct charge *charge)
{
    return charge->sku == NONE ? TEXT("") : work->catalog->skus[charge->sku].name;
}

/* Dimension values in name order, those that lack empty: as rows are in order (usage/series.c). */
static int compare_dimensions(const struct work *work, const struct charge *a,
                              const struct charge *b)
{
    int order = 0;
    for (uint32_t name = 0; order == 0 && name < work->catalog->dimension_count; name++) {
        order = text_compare(charge_dimension(work, a, name), charge_dimension(work, b, name));
    }
    return order;
}

/* Of what a row has become: what commitments paid for, what grants of units did, the rest. */
static int part_rank(const struct charge *part)
{
    return part->kind == CHARGE_COVERED ? 0 : part->kind == CHARGE_CREDIT ? 1 : 2;
}

/* What a row has become, as it was taken: of its covered parts the last one may have the row's own
 * place. */
static int compare_parts(const struct work *work, uint32_t a, uint32_t b)
{
    const struct charge *x = &work->charges[a], *y = &work->charges[b];
    int order = part_rank(x) - part_rank(y);
    if (order == 0 && x->kind == CHARGE_COVERED) {
        order = (x->events > 0) - (y->events > 0);
    }
    return order ? order : (a > b) - (a < b);
}

/* Rows have their order, which is that of their keys.  Of what has none, and of rows that were made
 * one, whose account may be another than the first row's, the keys say where among them it stands:
 * instant, account, resource and dimensions if its bucket has them, SKU; behind a row with all the
 * same, by what made it. */
int charge_compare(const struct work *work, uint32_t a, uint32_t b)
{
    const struct charge *x = &work->charges[a], *y = &work->charges[b];
    int order = 0;
    if (x->row != NONE && y->row != NONE && !x->merged && !y->merged) {
        order = (x->order > y->order) - (x->order < y->order);
        return order ? order : compare_parts(work, a, b);
    }
    order = (x->at > y->at) - (x->at < y->at);
    order = order ? order : (x->account > y->account) - (x->account < y->account);
    struct by_key resource = {BY_RESOURCE, NONE};
    struct text left = charge_key_value((struct work *)work, x, resource);
    struct text right = charge_key_value((struct work *)work, y, resource);
    order = order ? order : text_compare(left, right);
    order = order ? order : text_compare(sku_name(work, x), sku_name(work, y));
    order = order ? order : compare_dimensions(work, x, y);
    order = order ? order : (x->row == NONE) - (y->row == NONE);
    if (!order && x->row != NONE) {
        order = (x->order > y->order) - (x->order < y->order);
    }
    if (order || x->row != NONE) {
        return order ? order : compare_parts(work, a, b);
    }
    order = (x->step->node > y->step->node) - (x->step->node < y->step->node);
    order = order ? order : text_compare(x->price->name, y->price->name);
    order = order ? order : (x->price->from > y->price->from) - (x->price->from < y->price->from);
    order = order ? order
                  : text_compare(x->contract ? x->contract->id : TEXT(""),
                                 y->contract ? y->contract->id : TEXT(""));
    order = order ? order
                  : text_compare(x->grant ? *x->grant : TEXT(""), y->grant ? *y->grant : TEXT(""));
    order = order ? order : (x->tier > y->tier) - (x->tier < y->tier);
    order = order ? order : (x->span.from > y->span.from) - (x->span.from < y->span.from);
    order = order ? order : dec_compare(x->amount, y->amount);
    return order ? order : (a > b) - (a < b);
}

/* Merge sort: the comparison needs the work. */
static void sort_listed(const struct work *work, struct listed *items, struct listed *room,
                        uint32_t count)
{
    if (count < 2) {
        return;
    }
    uint32_t half = count / 2;
    sort_listed(work, items, room, half);
    sort_listed(work, items + half, room, count - half);
    if (charge_compare(work, items[half - 1].charge, items[half].charge) <= 0) {
        return;
    }
    memcpy(room, items, half * sizeof *items);
    for (uint32_t a = 0, b = half, to = 0; a < half;) {
        bool is_right = b < count && charge_compare(work, items[b].charge, room[a].charge) < 0;
        items[to++] = is_right ? items[b++] : room[a++];
    }
}

/* ---- owners ---------------------------------------------------------------------------------- */

static uint32_t contract_index(const struct catalog *catalog, const struct contract *contract)
{
    return (uint32_t)(contract - catalog->contracts);
}

/* The plan and the contract that have terms; NONE: that one has none. */
struct owned {
    uint32_t by[OWNER_KINDS];
};

static struct owned owned_by(const struct catalog *catalog, uint32_t plan,
                             const struct contract *contract)
{
    struct owned owned = {{NONE, NONE}};
    if (plan != NONE && catalog->plans[plan].terms.step_count > 0) {
        owned.by[OWNER_PLAN] = plan;
    }
    if (contract && contract->terms.step_count > 0) {
        owned.by[OWNER_CONTRACT] = contract_index(catalog, contract);
    }
    return owned;
}

static struct owner make_owner(uint32_t index)
{
    return (struct owner){index, NONE, NONE, NONE, NONE};
}

static void add_owner(struct work *work, struct owners *owners, uint32_t index)
{
    if (owners->count > 0 && owners->items[owners->count - 1].index == index) {
        return;
    }
    owners->items = arena_room(work->arena, owners->items, owners->count, &owners->capacity,
                               sizeof *owners->items);
    owners->items[owners->count++] = make_owner(index);
}

static int compare_owners(const void *a, const void *b)
{
    const struct owner *left = a, *right = b;
    return (left->index > right->index) - (left->index < right->index);
}

uint32_t owners_find(const struct owners *owners, uint32_t index)
{
    return sort_first(owners->items, owners->count, sizeof *owners->items,
                      offsetof(struct owner, index), index);
}

/* NULL: it is none of them. */
static struct owner *find_owner(const struct owners *owners, uint32_t index)
{
    uint32_t at = owners_find(owners, index);
    return at < owners->count && owners->items[at].index == index ? &owners->items[at] : NULL;
}

static void chain_stay(struct owners *owners, struct owner *owner, uint32_t stay)
{
    if (owner->last_stay == NONE) {
        owner->first_stay = stay;
    } else {
        owners->stays[owner->last_stay].next = stay;
    }
    owner->last_stay = stay;
}

static void finish_owners(struct owners *owners)
{
    uint32_t kept = 0;
    if (owners->count > 1) {
        qsort(owners->items, owners->count, sizeof *owners->items, compare_owners);
    }
    for (uint32_t i = 0; i < owners->count; i++) {
        if (kept == 0 || owners->items[kept - 1].index != owners->items[i].index) {
            owners->items[kept++] = owners->items[i];
        }
    }
    owners->count = kept;
    for (uint32_t i = 0; i < owners->stay_count; i++) {
        struct owner *owner = find_owner(owners, owners->stays[i].owner);
        if (owner) {
            chain_stay(owners, owner, i);
        }
    }
}

/* One that nothing had when the terms began. */
static struct owner *insert_owner(struct work *work, struct owners *owners, uint32_t index)
{
    uint32_t at = owners_find(owners, index);
    owners->items = arena_room(work->arena, owners->items, owners->count, &owners->capacity,
                               sizeof *owners->items);
    struct owner *owner = &owners->items[at];
    memmove(owner + 1, owner, (owners->count - at) * sizeof *owner);
    *owner = make_owner(index);
    owners->count++;
    for (uint32_t i = 0; i < owners->stay_count; i++) {
        if (owners->stays[i].owner == index) {
            chain_stay(owners, owner, i);
        }
    }
    return owner;
}

/* ---- whom terms may be for ------------------------------------------------------------------- */

static void add_stay(struct work *work, struct owners *owners, uint32_t index, uint32_t member)
{
    const struct stay *last = owners->stay_count ? &owners->stays[owners->stay_count - 1] : NULL;
    if (last && last->owner == index && last->member == member) {
        return;
    }
    owners->stays = arena_room(work->arena, owners->stays, owners->stay_count,
                               &owners->stay_capacity, sizeof *owners->stays);
    owners->stays[owners->stay_count++] = (struct stay){index, member, NONE};
}

/* True where a term waits for the end of a turn that is not over as the bill begins, of those that
 * an instant is in; what is in another currency stays there. */
static bool is_awaited(struct work *work, const struct price *list, const struct contract *contract,
                       uint32_t account, instant at)
{
    bool found = false;
    if (price_currency(work->catalog, list) != work->currency) {
        return false;
    }
    for (uint32_t i = 0; i < list->step_count && !found; i++) {
        const struct step *step = &list->steps[i];
        found = step_waits(step) &&
                turn_find(work, step, contract, account, at).to > work->pricing->cut.from;
    }
    return found;
}

/* A stretch of a member.  One that ended before the turn began, at `last`, counts where turns go on
 * that it was in. */
static void add_stretch(struct bases *bases, uint32_t member, instant at, bool is_before)
{
    struct work *work = bases->work;
    const struct catalog *catalog = work->catalog;
    uint32_t account = work->pricing->members[member].account;
    const struct contract *contract =
        accounts_contract(work->pricing->accounts, catalog, account, at);
    const struct owned owned = owned_by(catalog, term_plan_of(work, account, contract), contract);
    for (int kind = 0; kind < OWNER_KINDS; kind++) {
        struct owners *owners = &bases->owners[kind];
        if (owned.by[kind] == NONE) {
            continue;
        }
        const struct price *terms =
            kind == OWNER_PLAN ? &catalog->plans[owned.by[kind]].terms : &contract->terms;
        bool is_over = kind == OWNER_CONTRACT && contract->to <= work->pricing->cut.from;
        add_stay(work, owners, owned.by[kind], member);
        if (!is_before || (!is_over && is_awaited(work, terms, contract, account, at))) {
            add_owner(work, owners, owned.by[kind]);
        }
    }
}

/* Who had terms that wait earlier in a turn that is not over yet owes what it leaves. */
static void add_members(struct bases *bases)
{
    struct work *work = bases->work;
    const struct pricing *pricing = work->pricing;
    struct period known = {pricing_turn(pricing, pricing->cut.from).from, pricing->cut.to};
    if (pricing->opening_count > 0 && work->opening_from < known.from) {
        known.from = work->opening_from;
    }
    for (uint32_t i = 0; i < pricing->member_count; i++) {
        const struct member_span *member = &pricing->members[i];
        instant end = member->span.to < known.to ? member->span.to : known.to;
        for (instant at = member->span.from, next; at < end; at = next) {
            (void)accounts_edge(pricing->accounts, work->catalog, member->account, at, &next);
            bool is_before = next <= known.from;
            add_stretch(bases, i, is_before ? next - 1 : at, is_before);
        }
    }
}

/* ---- bases ----------------------------------------------------------------------------------- */

/* What an allowance took is no charge to terms: whether it is on a line changes no amount. */
static bool is_base(const struct charge *charge)
{
    return charge->of == NONE && charge->has_amount && !charge->emitted_free;
}

/* Adds the charges from `first` on that adjust nothing. */
static void collect(struct bases *bases, uint32_t first)
{
    struct work *work = bases->work;
    uint32_t more = 0;
    for (uint32_t i = first; i < work->charge_count; i++) {
        more += is_base(&work->charges[i]);
    }
    if (bases->count + more > bases->capacity) {
        uint32_t capacity = bases->count + more + (bases->count + more) / 4 + 16;
        bases->items =
            arena_grow(work->arena, bases->items, bases->count, capacity, sizeof *bases->items);
        bases->capacity = capacity;
    }
    for (uint32_t i = first; i < work->charge_count; i++) {
        const struct charge *charge = &work->charges[i];
        if (!is_base(charge)) {
            continue;
        }
        const struct base *last = bases->count > 0 ? &bases->items[bases->count - 1] : NULL;
        const struct charge *like = last ? &work->charges[last->charge] : NULL;
        struct base base = {.charge = i, .next = {NONE, NONE}};
        if (like && like->account == charge->account && like->at == charge->at &&
            like->contract == charge->contract &&
            (like->step == charge->step || (like->row != NONE && charge->row != NONE))) {
            base.contract = last->contract;
            base.plan = last->plan;
        } else {
            base.contract = term_contract(work, charge);
            base.plan = term_plan_of(work, charge->account, base.contract);
        }
        bases->items[bases->count++] = base;
    }
}

/* Enters a base with its owners; those that are not there are made, or have no terms. */
static void chain(struct bases *bases, uint32_t index, bool makes_owners)
{
    struct work *work = bases->work;
    const struct owned owned =
        owned_by(work->catalog, bases->items[index].plan, bases->items[index].contract);
    for (int kind = 0; kind < OWNER_KINDS; kind++) {
        if (owned.by[kind] == NONE) {
            continue;
        }
        struct owner *owner = find_owner(&bases->owners[kind], owned.by[kind]);
        if (!owner && makes_owners) {
            owner = insert_owner(work, &bases->owners[kind], owned.by[kind]);
        }
        if (!owner) {
            continue;
        }
        if (owner->last_base == NONE) {
            owner->first_base = index;
        } else {
            bases->items[owner->last_base].next[kind] = index;
        }
        owner->last_base = index;
    }
}

void bases_begin(struct bases *bases, struct work *work)
{
    *bases = (struct bases){.work = work};
    collect(bases, 0);
    for (uint32_t i = 0; i < bases->count; i++) {
        const struct base *base = &bases->items[i];
        const struct owned owned = owned_by(work->catalog, base->plan, base->contract);
        for (int kind = 0; kind < OWNER_KINDS; kind++) {
            if (owned.by[kind] != NONE) {
                add_owner(work, &bases->owners[kind], owned.by[kind]);
            }
        }
    }
    if (work->catalog->has_waiting_terms) {
        add_members(bases);
    }
    for (int kind = 0; kind < OWNER_KINDS; kind++) {
        finish_owners(&bases->owners[kind]);
    }
    for (uint32_t i = 0; i < bases->count; i++) {
        chain(bases, i, false);
    }
}

static bool term_applies(const struct term *term, const struct base *base)
{
    return term->level == LEVEL_CATALOG ||
           (term->level == LEVEL_PLAN ? base->plan == term->plan
                                      : base->contract == term->contract);
}

static enum owner_kind kind_of(const struct term *term)
{
    return term->level == LEVEL_PLAN ? OWNER_PLAN : OWNER_CONTRACT;
}

/* NULL: of the catalog's terms, or of an owner that has nothing here. */
static const struct owner *owner_of(const struct bases *bases, const struct term *term)
{
    if (term->level == LEVEL_CATALOG) {
        return NULL;
    }
    uint32_t index = term->level == LEVEL_PLAN
                         ? term->plan
                         : contract_index(bases->work->catalog, term->contract);
    return find_owner(&bases->owners[kind_of(term)], index);
}

uint32_t bases_first(const struct bases *bases, const struct term *term)
{
    if (term->level == LEVEL_CATALOG) {
        return bases->count > 0 ? 0 : NONE;
    }
    const struct owner *owner = owner_of(bases, term);
    return owner ? owner->first_base : NONE;
}

uint32_t bases_next(const struct bases *bases, const struct term *term, uint32_t index)
{
    if (term->level == LEVEL_CATALOG) {
        return index + 1 < bases->count ? index + 1 : NONE;
    }
    return bases->items[index].next[kind_of(term)];
}

/* ---- of the term at hand --------------------------------------------------------------------- */

static void list_base(struct bases *bases, uint32_t index)
{
    bases->list = arena_room(bases->work->arena, bases->list, bases->list_count,
                             &bases->list_capacity, sizeof *bases->list);
    bases->list[bases->list_count++] = (struct listed){bases->items[index].charge, index};
}

static void sort_list(struct bases *bases)
{
    struct work *work = bases->work;
    struct arena_mark mark = arena_mark(work->arena);
    struct listed *room = arena_alloc(work->arena, bases->list_count * sizeof *room);
    sort_listed(work, bases->list, room, bases->list_count);
    arena_rewind(work->arena, mark);
}

static void list_member(struct bases *bases, uint32_t member)
{
    const uint32_t *last =
        bases->member_count > 0 ? &bases->members[bases->member_count - 1] : NULL;
    if (last && *last == member) {
        return;
    }
    bases->members = arena_room(bases->work->arena, bases->members, bases->member_count,
                                &bases->member_capacity, sizeof *bases->members);
    bases->members[bases->member_count++] = member;
}

static void list_members(struct bases *bases, const struct term *term)
{
    const struct owner *owner = owner_of(bases, term);
    const struct owners *owners = &bases->owners[kind_of(term)];
    bases->member_count = 0;
    for (uint32_t i = owner ? owner->first_stay : NONE; i != NONE; i = owners->stays[i].next) {
        list_member(bases, owners->stays[i].member);
    }
    if (term->level == LEVEL_CATALOG && bases->work->catalog->has_waiting_terms) {
        for (uint32_t i = 0; i < bases->work->pricing->member_count; i++) {
            list_member(bases, i);
        }
    }
}

void bases_open(struct bases *bases, const struct term *term)
{
    bases->list_count = 0;
    for (uint32_t i = bases_first(bases, term); i != NONE; i = bases_next(bases, term, i)) {
        list_base(bases, i);
    }
    sort_list(bases);
    list_members(bases, term);
}

void bases_add(struct bases *bases, const struct term *term, uint32_t first)
{
    uint32_t before = bases->count, listed = bases->list_count;
    collect(bases, first);
    for (uint32_t i = before; i < bases->count; i++) {
        chain(bases, i, term->level == LEVEL_PLAN);
        if (term_applies(term, &bases->items[i])) {
            list_base(bases, i);
        }
    }
    if (bases->list_count > listed) {
        sort_list(bases);
    }
}
