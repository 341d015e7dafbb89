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

/* Narrows the slot to the time around at in which memberships and contracts of the account do not
 * change. */
static void narrow_to_account(const struct accounts *accounts, const struct catalog *catalog,
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
    narrow_to_account(accounts, catalog, account, at, &slot);
    *next = slot.to;
    return slot.from;
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
