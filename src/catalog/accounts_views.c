/* accounts_views.c - accounts as views have them; see accounts.h.
 *
 * A view has an account for each one whose usage, or whose charges, its contract prices, and one
 * for its buyer, with the ids of those that records name.  The listed ones are members of the buyer
 * while the contract holds; those below them are members of each other as records say.  So who
 * pays, whose contract is in force, and where slots are cut is found as for any account.
 *
 * Then an account that some view has, and that no contract of its own or of what is above it
 * prices, belongs to nobody while that is so: the view alone bills it.
 */
#include "catalog/accounts_stage.h"

#include "base/nofloat.h"

/* A list that grows. */
struct list {
    uint32_t *items;
    uint32_t count, capacity;
};

struct build {
    struct finish *finish;
    struct accounts *accounts;
    const struct catalog *catalog;
    struct arena *arena;
    struct view *views;
    bool *is_built;
    /* Members of each record's account: memberships, by organization. */
    uint32_t *below, *below_first;
    uint32_t *seen; /* of each record's account: the view that has met it last, plus one */
    /* What is made: */
    struct account *items;
    uint32_t count, capacity;
    uint32_t *own_of, *view_of;
    struct membership *memberships;
    uint32_t membership_count, membership_capacity;
};

static void push(struct build *build, struct list *list, uint32_t item)
{
    list->items =
        arena_room(build->arena, list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = item;
}

static void index_members(struct build *build)
{
    const struct accounts *accounts = build->accounts;
    uint32_t *first = arena_calloc(build->arena, accounts->own_count + 2u, sizeof *first);
    build->below = arena_alloc(build->arena, (accounts->membership_count + 1u) * sizeof(uint32_t));
    for (uint32_t i = 0; i < accounts->membership_count; i++) {
        first[accounts->memberships[i].organization + 2]++;
    }
    for (uint32_t i = 0; i < accounts->own_count; i++) {
        first[i + 2] += first[i + 1];
    }
    for (uint32_t i = 0; i < accounts->membership_count; i++) {
        build->below[first[accounts->memberships[i].organization + 1]++] = i;
    }
    build->below_first = first;
}

/* The account and all that are below it at any time. */
static void add_tree(struct build *build, uint32_t mark, uint32_t account, struct list *list)
{
    uint32_t at = list->count;
    if (build->seen[account] == mark) {
        return;
    }
    build->seen[account] = mark;
    push(build, list, account);
    for (; at < list->count; at++) {
        uint32_t above = list->items[at];
        for (uint32_t i = build->below_first[above]; i < build->below_first[above + 1]; i++) {
            uint32_t member = build->accounts->memberships[build->below[i]].account;
            if (build->seen[member] != mark) {
                build->seen[member] = mark;
                push(build, list, member);
            }
        }
    }
}

static int compare_accounts(const void *context, uint32_t a, uint32_t b)
{
    (void)context;
    return (a > b) - (a < b);
}

static void add_membership(struct build *build, uint32_t account, uint32_t organization,
                           instant from, instant to)
{
    struct membership *last =
        build->membership_count > 0 ? &build->memberships[build->membership_count - 1] : NULL;
    if (last && last->account == account && last->organization == organization &&
        last->to == from) {
        last->to = to;
        return;
    }
    build->memberships = arena_room(build->arena, build->memberships, build->membership_count,
                                    &build->membership_capacity, sizeof *build->memberships);
    build->memberships[build->membership_count++] =
        (struct membership){account, organization, from, to};
}

static uint32_t add_account(struct build *build, uint32_t own, uint32_t view)
{
    if (build->count == build->capacity) {
        uint32_t more = build->capacity ? build->capacity * 2 : 64;
        build->items =
            arena_grow(build->arena, build->items, build->count, more, sizeof *build->items);
        build->own_of =
            arena_grow(build->arena, build->own_of, build->count, more, sizeof *build->own_of);
        build->view_of =
            arena_grow(build->arena, build->view_of, build->count, more, sizeof *build->view_of);
        build->capacity = more;
    }
    const struct account *like = own == NONE ? NULL : &build->accounts->items[own];
    build->items[build->count] = (struct account){.id = like ? like->id : TEXT(""),
                                                  .currency = like ? like->currency : 0,
                                                  .settlement = like ? like->settlement : 0,
                                                  .override = NONE,
                                                  .plan = NONE,
                                                  .zone = like ? like->zone : NULL,
                                                  .since = like ? like->since : INSTANT_MIN};
    build->own_of[build->count] = own;
    build->view_of[build->count] = view;
    return build->accounts->own_count + build->count++;
}

/* The view's account of a record's; NONE when it has none. */
static uint32_t find_in(const struct build *build, const struct view *view, uint32_t own)
{
    uint32_t low = view->first, end = view->first + view->count, high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (build->own_of[middle - build->accounts->own_count] < own) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end && build->own_of[low - build->accounts->own_count] == own ? low : NONE;
}

static uint32_t own_account(const struct build *build, struct text id)
{
    uint32_t index = accounts_find(build->accounts, NONE, id);
    assert(index != MAP_NONE);
    return index;
}

static bool has(const struct list *list, uint32_t item)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i] == item) {
            return true;
        }
    }
    return false;
}

/* Whether a record's account is one of the listed or, at some time, below one of them. */
static bool is_below(const struct build *build, uint32_t own, const struct list *listed)
{
    const struct account *item = &build->accounts->items[own];
    bool is_one = has(listed, own);
    for (uint32_t i = 0; i < item->membership_count && !is_one; i++) {
        is_one = is_below(
            build, build->accounts->memberships[item->membership_first + i].organization, listed);
    }
    return is_one;
}

/* Whose usage or charges the view has, and which of them are members of its buyer themselves. */
static void choose_accounts(struct build *build, const struct contract *contract,
                            const struct view *source, struct list *tops, struct list *all)
{
    uint32_t mark = contract->view + 1;
    for (uint32_t i = 0; i < contract->account_count; i++) {
        push(build, tops, own_account(build, contract->accounts[i]));
    }
    if (contract->account_count == 0 && !source) {
        push(build, tops, own_account(build, build->catalog->contracts[contract->source].buyer));
    }
    if (!source) {
        for (uint32_t i = 0; i < tops->count; i++) {
            add_tree(build, mark, tops->items[i], all);
        }
        return;
    }
    /* What is listed of a view's accounts, and what is below it there. */
    for (uint32_t i = 0; i < tops->count; i++) {
        if (find_in(build, source, tops->items[i]) == NONE) {
            COMPLAIN(build->finish->builder, contract->place, "UNKNOWN_NAME",
                     "list accounts that the source has, or leave the list out",
                     "the contract \"%.*s\" has \"%.*s\", and its source \"%.*s\" does not",
                     SHOWN(contract->id), SHOWN(build->accounts->items[tops->items[i]].id),
                     SHOWN(contract->source_id));
        }
    }
    for (uint32_t i = 0; i < source->count; i++) {
        uint32_t account = source->first + i;
        uint32_t own = build->own_of[account - build->accounts->own_count];
        if (contract->account_count == 0 || is_below(build, own, tops)) {
            push(build, all, own);
        }
        if (contract->account_count == 0 && account == source->buyer) {
            push(build, tops, own);
        }
    }
}

/* Members of each other as in the source's tree, or as records say. */
static void add_members(struct build *build, const struct view *view, const struct view *source,
                        uint32_t account, uint32_t own)
{
    uint32_t own_count = build->accounts->own_count;
    if (!source) {
        const struct account *record = &build->accounts->items[own];
        for (uint32_t i = 0; i < record->membership_count; i++) {
            const struct membership *membership =
                &build->accounts->memberships[record->membership_first + i];
            uint32_t above = find_in(build, view, membership->organization);
            if (above != NONE) {
                add_membership(build, account, above, membership->from, membership->to);
            }
        }
        return;
    }
    uint32_t there = find_in(build, source, own);
    const struct account item = build->items[there - own_count];
    for (uint32_t i = 0; i < item.membership_count; i++) {
        const struct membership membership = build->memberships[item.membership_first + i];
        uint32_t above = find_in(build, view, build->own_of[membership.organization - own_count]);
        if (above != NONE) {
            add_membership(build, account, above, membership.from, membership.to);
        }
    }
}

static void build_view(struct build *build, const struct contract *contract)
{
    struct view *view = &build->views[contract->view];
    if (build->is_built[contract->view]) {
        return;
    }
    build->is_built[contract->view] = true;
    const struct contract *above =
        contract->source == NONE ? NULL : &build->catalog->contracts[contract->source];
    if (above && above->view != NONE) {
        build_view(build, above);
    }
    struct list tops = {0}, all = {0};
    *view = (struct view){.contract = (uint32_t)(contract - build->catalog->contracts),
                          .source = above ? above->view : NONE};
    const struct view *source = view->source == NONE ? NULL : &build->views[view->source];
    choose_accounts(build, contract, source, &tops, &all);
    uint32_t buyer = own_account(build, contract->buyer);
    view->buyer_is_bare = !has(&all, buyer);
    if (view->buyer_is_bare) {
        push(build, &all, buyer);
    }
    indices_sort(all.items, all.count, compare_accounts, NULL);
    indices_sort(tops.items, tops.count, compare_accounts, NULL);
    view->first = build->accounts->own_count + build->count;
    view->count = all.count;
    for (uint32_t i = 0; i < all.count; i++) {
        uint32_t account = add_account(build, all.items[i], contract->view);
        view->buyer = all.items[i] == buyer ? account : view->buyer;
    }
    for (uint32_t i = 0, top = 0; i < all.count; i++) {
        uint32_t account = view->first + i, own = all.items[i];
        uint32_t first = build->membership_count;
        while (top < tops.count && tops.items[top] < own) {
            top++;
        }
        if (account != view->buyer && top < tops.count && tops.items[top] == own) {
            add_membership(build, account, view->buyer, contract->from, contract->to);
        } else if (account != view->buyer) {
            add_members(build, view, source, account, own);
        }
        struct account *item = &build->items[account - build->accounts->own_count];
        item->membership_first = first;
        item->membership_count = build->membership_count - first;
    }
}

/* ---- who bills an account ----------------------------------------------------------------------
 */

/* True while a view bills the record's account alone. *slot, which holds at, is narrowed to the
 * time in which that is the same. */
static bool is_taken(const struct accounts *accounts, const struct catalog *catalog, uint32_t own,
                     instant at, struct period *slot)
{
    bool has_contract = accounts_contract(accounts, catalog, own, at) != NULL, is_held = false;
    accounts_narrow_to_contract(accounts, catalog, own, at, slot);
    for (uint32_t i = accounts->copy_first[own]; i < accounts->copy_first[own + 1]; i++) {
        uint32_t account = accounts->copies[i];
        const struct view *view = &accounts->views[accounts_view(accounts, account)];
        const struct contract *contract = &catalog->contracts[view->contract];
        struct period parts[] = {{INSTANT_MIN, contract->from},
                                 {contract->from, contract->to},
                                 {contract->to, INSTANT_MAX}};
        for (int k = 0; k < 3; k++) {
            if (parts[k].from <= at && at < parts[k].to) {
                *slot = period_intersect(*slot, parts[k]);
            }
        }
        accounts_narrow_to_contract(accounts, catalog, account, at, slot);
        is_held = is_held ||
                  accounts_is_billed(accounts, catalog, accounts_payer(accounts, account, at), at);
    }
    return is_held && !has_contract;
}

/* The memberships of a record's account anew. */
static void take_account(struct build *build, const struct accounts *old, uint32_t own)
{
    const struct catalog *catalog = build->catalog;
    for (instant at = INSTANT_MIN; at < INSTANT_MAX;) {
        struct period slot = {INSTANT_MIN, INSTANT_MAX};
        uint32_t above = accounts_above(old, own, at);
        if (is_taken(old, catalog, own, at, &slot)) {
            above = old->nobody;
        } else if (above != NONE && old->copy_first[above] < old->copy_first[above + 1] &&
                   is_taken(old, catalog, above, at, &slot)) {
            above = NONE; /* it has a contract, and those above it have none */
        }
        if (above != NONE) {
            add_membership(build, own, above, slot.from > at ? slot.from : at, slot.to);
        }
        at = slot.to;
    }
}

/* Memberships of records' accounts, some of them given to nobody, then those of views. */
static void take_accounts(struct build *build)
{
    struct accounts *accounts = build->accounts;
    const struct accounts old = *accounts;
    struct membership *made = build->memberships;
    uint32_t count = build->membership_count, own_count = accounts->own_count;
    struct account *items =
        arena_alloc(build->arena, (size_t)accounts->count * sizeof *accounts->items);
    memcpy(items, accounts->items, (size_t)accounts->count * sizeof *items);
    build->memberships = NULL;
    build->membership_count = build->membership_capacity = 0;
    for (uint32_t own = 0; own < own_count; own++) {
        uint32_t first = build->membership_count;
        const struct account *item = &old.items[own];
        if (old.copy_first[own] < old.copy_first[own + 1]) {
            take_account(build, &old, own);
        } else {
            for (uint32_t i = 0; i < item->membership_count; i++) {
                const struct membership *membership = &old.memberships[item->membership_first + i];
                add_membership(build, own, membership->organization, membership->from,
                               membership->to);
            }
        }
        items[own].membership_first = first;
        items[own].membership_count = build->membership_count - first;
    }
    uint32_t shift = build->membership_count;
    for (uint32_t i = 0; i < count; i++) {
        add_membership(build, made[i].account, made[i].organization, made[i].from, made[i].to);
    }
    for (uint32_t i = own_count; i < accounts->count; i++) {
        items[i].membership_first = build->items[i - own_count].membership_first + shift;
    }
    accounts->items = items;
    accounts->memberships = build->memberships;
    accounts->membership_count = build->membership_count;
}

static void index_copies(struct build *build)
{
    struct accounts *accounts = build->accounts;
    const struct catalog *catalog = build->catalog;
    uint32_t *first = arena_calloc(build->arena, accounts->own_count + 2u, sizeof *first);
    uint32_t *copies = arena_alloc(build->arena, (build->count + 1u) * sizeof *copies);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t v = 0; v < accounts->view_count; v++) {
            const struct view *view = &accounts->views[v];
            bool has_usage = catalog->contracts[view->contract].source == NONE;
            for (uint32_t i = view->first; has_usage && i < view->first + view->count; i++) {
                uint32_t own = accounts->own_of[i - accounts->own_count];
                if (accounts_is_bare(accounts, i)) {
                    continue;
                }
                if (pass == 0) {
                    first[own + 2]++;
                } else {
                    copies[first[own + 1]++] = i;
                }
            }
        }
        for (uint32_t i = 0; pass == 0 && i < accounts->own_count; i++) {
            first[i + 2] += first[i + 1];
        }
    }
    accounts->copies = copies;
    accounts->copy_first = first;
}

static int compare_contracts(const void *context, uint32_t a, uint32_t b)
{
    const struct catalog *catalog = context;
    const struct contract *x = &catalog->contracts[a], *y = &catalog->contracts[b];
    int order = (x->source != NONE) - (y->source != NONE);
    return order ? order : text_compare(x->id, y->id);
}

/* Whom no record and no contract of their own names. */
static void find_only_buyers(struct build *build)
{
    const struct finish *finish = build->finish;
    struct accounts *accounts = build->accounts;
    bool *is_only = arena_calloc(build->arena, accounts->own_count + 1u, sizeof *is_only);
    for (uint32_t v = 0; v < accounts->view_count; v++) {
        is_only[accounts->own_of[accounts->views[v].buyer - accounts->own_count]] = true;
    }
    for (uint32_t i = 0; i < finish->builder->accounts.count; i++) {
        uint32_t own = finish->rank[i];
        const struct account *account = &accounts->items[own];
        is_only[own] = is_only[own] &&
                       !(account_at(finish->builder, i)->flags & ACCOUNT_RECORDED) &&
                       account->membership_count == 0 && account->contract_count == 0 &&
                       build->below_first[own] == build->below_first[own + 1] &&
                       accounts->copy_first[own] == accounts->copy_first[own + 1];
    }
    accounts->is_only_buyer = is_only;
}

/* Those of usage in the order of their contracts' ids: so are their bills. */
static void build_views(struct build *build)
{
    const struct catalog *catalog = build->catalog;
    uint32_t *order = arena_alloc(build->arena, catalog->view_count * sizeof *order), ordered = 0;
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        if (catalog->contracts[i].view != NONE) {
            order[ordered++] = i;
        }
    }
    indices_sort(order, ordered, compare_contracts, catalog);
    for (uint32_t i = 0; i < ordered; i++) {
        build_view(build, &catalog->contracts[order[i]]);
    }
}

/* Puts the accounts of views and their memberships behind those that records name. */
static struct account *append_accounts(const struct build *build)
{
    struct accounts *accounts = build->accounts;
    const uint32_t own_count = accounts->own_count;
    const size_t own_bytes = (size_t)own_count * sizeof *accounts->items;
    struct account *items =
        arena_alloc(build->arena, own_bytes + (size_t)build->count * sizeof *items);
    memcpy(items, accounts->items, own_bytes);
    memcpy(items + own_count, build->items, (size_t)build->count * sizeof *items);
    struct membership *memberships = arena_alloc(
        build->arena,
        ((size_t)accounts->membership_count + build->membership_count + 1) * sizeof *memberships);
    memcpy(memberships, accounts->memberships,
           (size_t)accounts->membership_count * sizeof *memberships);
    if (build->membership_count > 0) {
        memcpy(memberships + accounts->membership_count, build->memberships,
               (size_t)build->membership_count * sizeof *memberships);
    }
    for (uint32_t i = own_count; i < own_count + build->count; i++) {
        items[i].membership_first += accounts->membership_count;
    }
    accounts->items = items;
    accounts->memberships = memberships;
    accounts->count = own_count + build->count;
    return items;
}

/* The buyer of a view has its contract alone. */
static void give_contracts(const struct build *build, struct account *items)
{
    const struct accounts *accounts = build->accounts;
    uint32_t contracts = 0;
    for (uint32_t i = 0; i < accounts->own_count; i++) {
        contracts += items[i].contract_count;
    }
    uint32_t *contract_of = (uint32_t *)accounts->contract_of; /* room for all contracts */
    for (uint32_t v = 0; v < build->catalog->view_count; v++) {
        struct account *buyer = &items[build->views[v].buyer];
        buyer->contract_first = contracts;
        buyer->contract_count = 1;
        contract_of[contracts++] = build->views[v].contract;
    }
}

void finish_views(struct finish *finish)
{
    struct accounts *accounts = finish->accounts;
    const struct catalog *catalog = finish->catalog;
    accounts->own_count = accounts->count;
    accounts->nobody = NONE;
    if (catalog->view_count == 0 || finish->builder->complaints->errors > 0) {
        return;
    }
    struct build build = {.finish = finish,
                          .accounts = accounts,
                          .catalog = catalog,
                          .arena = finish->builder->arena};
    build.views = arena_calloc(build.arena, catalog->view_count, sizeof *build.views);
    build.is_built = arena_calloc(build.arena, catalog->view_count, sizeof *build.is_built);
    build.seen = arena_calloc(build.arena, accounts->own_count + 1u, sizeof *build.seen);
    index_members(&build);
    accounts->nobody = add_account(&build, NONE, NONE);
    build_views(&build);
    give_contracts(&build, append_accounts(&build));
    accounts->views = build.views;
    accounts->view_count = catalog->view_count;
    accounts->own_of = build.own_of;
    accounts->view_of = build.view_of;
    index_copies(&build);
    find_only_buyers(&build);
    take_accounts(&build);
}
