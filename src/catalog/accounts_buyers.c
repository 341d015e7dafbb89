/* accounts_buyers.c - buyers of contracts as accounts, and which of them nobody else knows.
 *
 * A contract makes an account of its buyer.  Where records say who the accounts are, a buyer that
 * none of them names may be one that is misspelt, and would be billed all the same.  The buyer of a
 * view, and who sells in another contract, is a party of its own.
 */
#include "base/nearest.h"
#include "catalog/accounts_stage.h"

#include "base/nofloat.h"

static void find_parties(const struct catalog *catalog, struct arena *arena, struct map *parties)
{
    map_init(parties, arena, 16);
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct contract *contract = &catalog->contracts[i];
        if (contract->seller.size > 0) {
            (void)map_put(parties, contract->seller, i);
        }
        if (contract->view != NONE) {
            (void)map_put(parties, contract->buyer, i);
        }
    }
}

static bool has_accounts(const struct accounts_builder *builder)
{
    for (uint32_t i = 0; i < builder->accounts.count; i++) {
        const struct staged_account *account = account_at(builder, i);
        if (account->flags & ACCOUNT_KNOWN) {
            return true;
        }
    }
    return false;
}

void finish_add_buyers(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    const bool has_any = has_accounts(builder);
    struct map parties;
    find_parties(catalog, builder->stage, &parties);
    struct unknown_buyer *unknown =
        arena_alloc(builder->arena, (catalog->contract_count + 1u) * sizeof *unknown);
    uint32_t count = 0;
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct contract *contract = &catalog->contracts[i];
        struct where where = where_pack(builder, contract->place);
        uint32_t staged = ids_add(builder, contract->buyer, ACCOUNT_KNOWN, where);
        const struct staged_account *account = account_at(builder, staged);
        bool is_again = count > 0 && unknown[count - 1].account == staged; /* sorted by buyer */
        if (has_any && !is_again && !(account->flags & ACCOUNT_RECORDED) &&
            map_find(&parties, contract->buyer) == MAP_NONE) {
            unknown[count++] = (struct unknown_buyer){staged, i};
        }
        for (uint32_t k = 0; k < contract->account_count; k++) {
            (void)ids_add(builder, contract->accounts[k], ACCOUNT_KNOWN, where);
        }
    }
    finish->accounts->unknown_buyers = unknown;
    finish->accounts->unknown_buyer_count = count;
}

void finish_buyers(struct finish *finish)
{
    const struct accounts *accounts = finish->accounts;
    struct unknown_buyer *unknown = (struct unknown_buyer *)accounts->unknown_buyers; /* ours */
    for (uint32_t i = 0; i < accounts->unknown_buyer_count; i++) {
        unknown[i].account = finish->rank[unknown[i].account]; /* both are sorted by id */
    }
}

struct text accounts_buyer_meant(const struct accounts *accounts, uint32_t buyer)
{
    struct text word = accounts->items[accounts->unknown_buyers[buyer].account].id;
    struct text best[2] = {{"", 0}, {"", 0}};
    uint32_t next = 0; /* of the unknown ones */
    for (uint32_t i = 0; i < accounts->own_count; i++) {
        struct text id = accounts->items[i].id;
        size_t more = id.size > word.size ? id.size - word.size : word.size - id.size;
        if (next < accounts->unknown_buyer_count && accounts->unknown_buyers[next].account == i) {
            next++;
        } else if (more <= 1 + word.size / 3) {
            best[1] = id;
            best[0] = best[0].size > 0 ? text_nearest(word, best, 2) : text_nearest(word, &id, 1);
        }
    }
    return best[0];
}
