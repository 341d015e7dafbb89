/* fuzz_records.c - files of records, as bytes.
 *
 * A byte 0x1E ends one file and begins the next.  Three readings must agree: whole files; the same
 * bytes cut into pieces whose size the first byte says; and the files the other way round, since
 * order is no content.  What loads must also hold together: ids ascend, memberships do not overlap,
 * everybody has a payer.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "catalog/accounts.h"

enum { FILES = 8 };

struct input {
    struct text files[FILES];
    size_t count;
    size_t step;
};

static struct input split(const uint8_t *data, size_t size)
{
    struct input input = {.step = size ? 1 + data[0] % 32u : 1};
    const char *at = (const char *)data + (size ? 1 : 0);
    size_t left = size ? size - 1 : 0;
    for (input.count = 0; input.count < FILES;) {
        const char *end = left ? memchr(at, 0x1E, left) : NULL;
        bool is_last = !end || input.count == FILES - 1;
        size_t part = is_last ? left : (size_t)(end - at);
        input.files[input.count++] = (struct text){part ? at : "", part};
        if (is_last) {
            break;
        }
        at += part + 1;
        left -= part + 1;
    }
    return input;
}

static struct catalog make_catalog(struct arena *arena)
{
    static const struct sku skus[] = {{.name = {"a", 1}}, {.name = {"compute", 7}}};
    static const struct plan plans[] = {{.name = {"pro", 3}}};
    static const struct contract contracts[] = {
        {.id = {"c", 1}, .buyer = {"a", 1}, .from = 1, .to = 2 * NS_PER_DAY}};
    struct catalog catalog = {.skus = skus,
                              .sku_count = 2,
                              .plans = plans,
                              .plan_count = 1,
                              .contracts = contracts,
                              .contract_count = 1,
                              .default_plan = NONE};
    map_init(&catalog.sku_by_name, arena, 2);
    map_put(&catalog.sku_by_name, skus[0].name, 0);
    map_put(&catalog.sku_by_name, skus[1].name, 1);
    return catalog;
}

/* NULL when there are complaints; *errors is their number. */
static struct accounts *load(struct arena *arena, const struct catalog *catalog,
                             const struct input *input, bool is_cut, bool is_reversed,
                             uint32_t *errors)
{
    struct complaints complaints = {.arena = arena};
    struct accounts_builder *builder = accounts_builder_new(arena, arena, NULL);
    for (size_t i = 0; i < input->count; i++) {
        size_t index = is_reversed ? input->count - 1 - i : i;
        struct text left = input->files[index];
        const struct text name = {&"01234567"[index], 1}; /* complaints keep it */
        while (is_cut && left.size > input->step) {
            accounts_feed(builder, name, (struct text){left.at, input->step}, false, &complaints);
            left = (struct text){left.at + input->step, left.size - input->step};
        }
        accounts_feed(builder, name, left, true, &complaints);
    }
    struct accounts *accounts;
    struct error error;
    enum status status = accounts_finish(builder, catalog, &accounts, &complaints, &error);
    assert((status == OK) == (complaints.errors == 0) && (status == OK) == (accounts != NULL));
    *errors = complaints.errors;
    return accounts;
}

static void check(const struct accounts *accounts, const struct catalog *catalog)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct account *account = &accounts->items[i];
        assert(i == 0 || text_compare(accounts->items[i - 1].id, account->id) < 0);
        assert(accounts_find(accounts, NONE, account->id) == i);
        const struct membership *memberships = accounts->memberships + account->membership_first;
        for (uint32_t k = 0; k < account->membership_count; k++) {
            assert(memberships[k].account == i && memberships[k].from < memberships[k].to);
            assert(k == 0 || memberships[k - 1].to <= memberships[k].from);
            assert(accounts_payer(accounts, i, memberships[k].from) != i);
        }
        instant next, edge = accounts_edge(accounts, catalog, i, NS_PER_DAY, &next);
        assert(edge <= NS_PER_DAY && NS_PER_DAY < next);
        accounts_contract(accounts, catalog, i, NS_PER_DAY);
    }
    for (uint32_t i = 0; i < accounts->price_count; i++) {
        assert(accounts->prices[i].from < accounts->prices[i].to);
        assert(accounts->prices[i].steps->node - accounts->node_first < accounts->node_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct catalog catalog = make_catalog(&arena);
    struct input input = split(data, size);
    uint32_t errors, errors_again;
    struct accounts *whole = load(&arena, &catalog, &input, false, false, &errors);
    struct accounts *cut = load(&arena, &catalog, &input, true, false, &errors_again);
    assert(errors == errors_again);
    struct accounts *reversed = load(&arena, &catalog, &input, false, true, &errors_again);
    assert((errors == 0) == (errors_again == 0));
    if (whole) {
        check(whole, &catalog);
        assert(memcmp(&whole->digest, &cut->digest, sizeof whole->digest) == 0);
        assert(memcmp(&whole->digest, &reversed->digest, sizeof whole->digest) == 0);
    }
    arena_release(&arena);
    return 0;
}
