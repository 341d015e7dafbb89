/* accounts_commitment.c - the commitments of accounts: those that stand in the catalog's contracts.
 */
#include "catalog/accounts_stage.h"

#include <stdlib.h>

#include "base/nofloat.h"

static int compare_ids(const void *a_item, const void *b_item)
{
    const struct held *a = a_item, *b = b_item;
    int order = text_compare(a->commitment->id, b->commitment->id);
    order = order ? order : compare_numbers(a->commitment->view, b->commitment->view);
    order = order ? order : text_compare(a->commitment->place.file, b->commitment->place.file);
    order = order ? order : compare_numbers(a->commitment->place.line, b->commitment->place.line);
    return order ? order
                 : compare_numbers(a->commitment->place.column, b->commitment->place.column);
}

static int compare_held(const void *a_item, const void *b_item)
{
    const struct held *a = a_item, *b = b_item;
    int order = compare_numbers(a->account, b->account);
    return order ? order : text_compare(a->commitment->id, b->commitment->id);
}

void finish_commitments(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    struct accounts *accounts = finish->accounts;
    uint32_t count = catalog->commitment_count;
    if (count == 0) {
        return;
    }
    struct held *items = arena_alloc(builder->arena, count * sizeof *items);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct commitment *commitment = &catalog->commitments[i];
        uint32_t account = accounts_find(accounts, commitment->view, commitment->account);
        if (account == MAP_NONE) {
            COMPLAIN(builder, commitment->place, "UNKNOWN_ACCOUNT",
                     commitment->view == NONE ? "name an account of the records or the catalog"
                                              : "a view's commitments are of its own accounts",
                     "commitment %.*s is of account %.*s, which is not there",
                     SHOWN(commitment->id), SHOWN(commitment->account));
            continue;
        }
        items[kept++] = (struct held){account, commitment};
    }
    qsort(items, kept, sizeof *items, compare_ids);
    for (uint32_t i = 1; i < kept; i++) {
        const struct commitment *a = items[i - 1].commitment, *b = items[i].commitment;
        if (text_equal(a->id, b->id) && a->view == b->view) {
            COMPLAIN(builder, b->place, "DUPLICATE_NAME", "give each an id of its own",
                     "commitment %.*s stands at %.*s:%u too", SHOWN(b->id), SHOWN(a->place.file),
                     a->place.line);
        }
    }
    qsort(items, kept, sizeof *items, compare_held);
    accounts->commitments = items;
    accounts->commitment_count = kept;
}
