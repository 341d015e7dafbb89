/* finder.c - see finder.h. */
#include "catalog/finder.h"

#include "base/nofloat.h"

void account_finder_init(struct account_finder *finder, struct arena *arena,
                         const struct accounts *accounts, const struct hash_secret *secret)
{
    *finder = (struct account_finder){
        .secret = secret, .slot_count = accounts->own_count + accounts->own_count / 3 + 8};
    finder->slots = arena_alloc(arena, finder->slot_count * sizeof *finder->slots);
    for (uint32_t i = 0; i < finder->slot_count; i++) {
        finder->slots[i].account = NONE;
    }
    enum { AHEAD = 16 };
    struct hash128 ahead[AHEAD];
    for (uint32_t i = 0; i < accounts->own_count + AHEAD; i++) {
        if (i >= AHEAD) {
            struct hash128 hash = ahead[i % AHEAD];
            uint32_t at = account_place(finder, hash);
            while (finder->slots[at].account != NONE) {
                at = at + 1 == finder->slot_count ? 0 : at + 1;
            }
            finder->slots[at] = (struct finder_slot){hash.low, (uint32_t)hash.high, i - AHEAD};
        }
        if (i < accounts->own_count) {
            ahead[i % AHEAD] = account_hash(finder, accounts->items[i].id);
            account_prefetch(finder, ahead[i % AHEAD]);
        }
    }
}
