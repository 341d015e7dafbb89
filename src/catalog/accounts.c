/* accounts.c - what is asked of accounts: see accounts.h.  They are loaded by accounts_rows.c and
 * accounts_finish.c (accounts_stage.h says how).
 */
#include "catalog/accounts.h"

#include "base/nofloat.h"

/* The membership in force, NULL when there is none.  *slot is narrowed to the time around at
 * without a change. */
static const struct membership *find_membership(const struct accounts *accounts,
                                                const struct account *account, instant at,
                                                struct period *slot)
{
    if (account->membership_count == 0) {
        return NULL;
    }
    const struct membership *items = accounts->memberships + account->membership_first;
    uint32_t low = 0, high = account->membership_count; /* the first that starts after at */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (items[middle].from <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct membership *before = low > 0 ? &items[low - 1] : NULL;
    bool is_in = before && at < before->to;
    if (before) {
        *slot = period_intersect(*slot, is_in ? (struct period){before->from, before->to}
                                              : (struct period){before->to, INSTANT_MAX});
    }
    if (low < account->membership_count && items[low].from < slot->to) {
        slot->to = items[low].from;
    }
    return is_in ? before : NULL;
}

static const struct contract *find_contract(const struct accounts *accounts,
                                            const struct catalog *catalog,
                                            const struct account *account, instant at,
                                            struct period *slot)
{
    if (account->contract_count == 0) {
        return NULL;
    }
    const uint32_t *items = accounts->contract_of + account->contract_first;
    uint32_t low = 0, high = account->contract_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (catalog->contracts[items[middle]].from <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct contract *before = low > 0 ? &catalog->contracts[items[low - 1]] : NULL;
    bool is_in = before && at < before->to;
    if (before) {
        *slot = period_intersect(*slot, is_in ? (struct period){before->from, before->to}
                                              : (struct period){before->to, INSTANT_MAX});
    }
    if (low < account->contract_count && catalog->contracts[items[low]].from < slot->to) {
        slot->to = catalog->contracts[items[low]].from;
    }
    return is_in ? before : NULL;
}

uint32_t accounts_payer(const struct accounts *accounts, uint32_t account, instant at)
{
    for (;;) {
        struct period slot = {INSTANT_MIN, INSTANT_MAX};
        const struct membership *membership =
            find_membership(accounts, &accounts->items[account], at, &slot);
        if (!membership) {
            return account;
        }
        account = membership->organization;
    }
}

const struct contract *accounts_contract(const struct accounts *accounts,
                                         const struct catalog *catalog, uint32_t account,
                                         instant at)
{
    for (;;) {
        struct period slot = {INSTANT_MIN, INSTANT_MAX};
        const struct account *item = &accounts->items[account];
        const struct contract *contract = find_contract(accounts, catalog, item, at, &slot);
        if (contract) {
            return contract;
        }
        const struct membership *membership = find_membership(accounts, item, at, &slot);
        if (!membership) {
            return NULL;
        }
        account = membership->organization;
    }
}

const struct contract *accounts_contract_under(const struct accounts *accounts,
                                               const struct catalog *catalog, uint32_t account,
                                               uint32_t payer, instant at)
{
    while (accounts_payer(accounts, account, at) != payer) {
        instant next, from = accounts_edge(accounts, catalog, account, at, &next);
        if (from <= INSTANT_MIN) {
            return NULL;
        }
        at = from - 1;
    }
    return accounts_contract(accounts, catalog, account, at);
}

void accounts_narrow_to_contract(const struct accounts *accounts, const struct catalog *catalog,
                                 uint32_t account, instant at, struct period *slot)
{
    for (;;) {
        const struct account *item = &accounts->items[account];
        find_contract(accounts, catalog, item, at, slot);
        const struct membership *membership = find_membership(accounts, item, at, slot);
        if (!membership) {
            return;
        }
        account = membership->organization;
    }
}

instant accounts_edge(const struct accounts *accounts, const struct catalog *catalog,
                      uint32_t account, instant at, instant *next)
{
    struct period slot = {catalog_edge_before(catalog, at), catalog_edge_after(catalog, at)};
    accounts_narrow_to_contract(accounts, catalog, account, at, &slot);
    *next = slot.to;
    return slot.from;
}

uint32_t accounts_find(const struct accounts *accounts, uint32_t view, struct text id)
{
    uint32_t low = 0, end = accounts->own_count;
    if (view != NONE) {
        low = accounts->views[view].first;
        end = low + accounts->views[view].count;
    }
    uint32_t high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (text_compare(accounts->items[middle].id, id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end && text_equal(accounts->items[low].id, id) ? low : MAP_NONE;
}

bool accounts_is_bare(const struct accounts *accounts, uint32_t account)
{
    uint32_t view = accounts_view(accounts, account);
    while (view != NONE && accounts->views[view].buyer != account) {
        view = accounts->views[view].source;
        account = view == NONE ? NONE : accounts_find(accounts, view, accounts->items[account].id);
        view = account == MAP_NONE ? NONE : view;
    }
    return view != NONE && accounts->views[view].buyer_is_bare;
}

bool accounts_has_bills(const struct accounts *accounts, uint32_t payer)
{
    const uint32_t view = accounts_view(accounts, payer);
    return view == NONE ? payer != accounts->nobody : accounts->views[view].buyer == payer;
}

bool accounts_is_billed(const struct accounts *accounts, const struct catalog *catalog,
                        uint32_t payer, instant at)
{
    const uint32_t view = accounts_view(accounts, payer);
    const struct contract *contract =
        view == NONE ? NULL : &catalog->contracts[accounts->views[view].contract];
    return accounts_has_bills(accounts, payer) &&
           (!contract || (contract->from <= at && at < contract->to));
}

bool accounts_is_paid_by(const struct accounts *accounts, const struct catalog *catalog,
                         uint32_t account, uint32_t payer, instant at)
{
    return accounts_payer(accounts, account, at) == payer &&
           (accounts->view_count == 0 || accounts_is_billed(accounts, catalog, payer, at));
}

bool accounts_counts(const struct accounts *accounts, const struct catalog *catalog,
                     uint32_t account, instant at)
{
    if (account == NONE || accounts_view(accounts, account) == NONE) {
        return true;
    }
    uint32_t own = accounts->own_of[account - accounts->own_count];
    if (accounts_payer(accounts, own, at) != accounts->nobody) {
        return false;
    }
    for (uint32_t i = accounts->copy_first[own]; i < accounts->copy_first[own + 1]; i++) {
        uint32_t copy = accounts->copies[i];
        if (accounts_is_billed(accounts, catalog, accounts_payer(accounts, copy, at), at)) {
            return copy == account;
        }
    }
    return false;
}

uint32_t accounts_above(const struct accounts *accounts, uint32_t account, instant at)
{
    struct period slot = {INSTANT_MIN, INSTANT_MAX};
    const struct membership *membership =
        find_membership(accounts, &accounts->items[account], at, &slot);
    return membership ? membership->organization : NONE;
}

void accounts_narrow(const struct accounts *accounts, uint32_t account, instant at,
                     struct period *slot)
{
    for (const struct membership *membership;
         (membership = find_membership(accounts, &accounts->items[account], at, slot)) != NULL;) {
        account = membership->organization;
    }
}
