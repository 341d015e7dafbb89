/* finder.h - from an event's subject to its account, for hundreds of millions of events.
 *
 * The map of accounts costs three cache misses in a row: slot, account, text.  Here a slot is 16
 * bytes and tells all: it holds a keyed hash of the id instead of the id, 96 bits beyond those that
 * give the place.  Of 10^12 subjects that no account has, looked up among 10^8 accounts, one is
 * taken for an account with a chance of 10^-9.
 */
#ifndef FARTHING_CATALOG_FINDER_H
#define FARTHING_CATALOG_FINDER_H

#include "base/arena.h"
#include "base/hash.h"
#include "catalog/accounts.h"

struct finder_slot {
    uint64_t low;
    uint32_t middle;
    uint32_t account; /* NONE: free */
};

struct account_finder {
    const struct hash_secret *secret;
    struct finder_slot *slots;
    uint32_t slot_count;
};

/* secret lives as long as the finder.  Memory: 21 bytes an account. */
void account_finder_init(struct account_finder *finder, struct arena *arena,
                         const struct accounts *accounts, const struct hash_secret *secret);

/* A search in steps, so that others go on while memory is fetched: hash, prefetch, find. */
static inline struct hash128 account_hash(const struct account_finder *finder, struct text id)
{
    return hash_secret128(finder->secret, id.at, id.size);
}

static inline uint32_t account_place(const struct account_finder *finder, struct hash128 hash)
{
    return (uint32_t)((hash.high >> 32) * finder->slot_count >> 32);
}

/* Always inlined: gcc takes a function that only fetches for one that does nothing. */
__attribute__((always_inline)) static inline void
account_prefetch(const struct account_finder *finder, struct hash128 hash)
{
    __builtin_prefetch(&finder->slots[account_place(finder, hash)]);
}

/* The account, or NONE. */
static inline uint32_t account_find(const struct account_finder *finder, struct hash128 hash)
{
    for (uint32_t at = account_place(finder, hash);;) {
        const struct finder_slot *slot = &finder->slots[at];
        if (slot->account == NONE ||
            (slot->low == hash.low && slot->middle == (uint32_t)hash.high)) {
            return slot->account;
        }
        at = at + 1 == finder->slot_count ? 0 : at + 1;
    }
}

#endif
