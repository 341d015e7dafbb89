/* views.c - contracts that price what others price too: which contract a source is, and what cannot
 * be: a circle of sources, the same accounts twice with one seller.
 */
#include "catalog/load.h"

#include "base/nofloat.h"

static uint32_t find_source(struct loader *loader, const struct contract *contract)
{
    const struct catalog *catalog = loader->catalog;
    uint32_t found = map_find(&catalog->contract_by_id, contract->source_id);
    if (found != MAP_NONE) {
        return found;
    }
    struct text *ids = arena_calloc(loader->arena, catalog->contract_count, sizeof *ids);
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        ids[i] = catalog->contracts[i].id;
    }
    complain(loader->complaints, contract->source_place, "UNKNOWN_NAME",
             hint_nearest(loader->arena, contract->source_id, ids, catalog->contract_count),
             "there is no contract %.*s", TEXT_ARG(contract->source_id));
    return NONE;
}

/* A circle of sources, told once: by its contract that comes first. */
static bool has_circle(struct loader *loader, uint32_t index)
{
    const struct catalog *catalog = loader->catalog;
    uint32_t at = catalog->contracts[index].source, least = index;
    for (uint32_t i = 0; at != NONE && at != index && i < catalog->contract_count; i++) {
        least = at < least ? at : least;
        at = catalog->contracts[at].source;
    }
    if (at == index && least == index) {
        const struct contract *contract = &catalog->contracts[index];
        complain(loader->complaints, contract->source_place, "CYCLE",
                 TEXT("let one of them price usage: leave its source out"),
                 "the contract %.*s has itself as its source", TEXT_ARG(contract->id));
    }
    return at == index;
}

static bool overlap(const struct contract *a, const struct contract *b)
{
    return a->from < b->to && b->from < a->to;
}

/* An account that both price; none: empty. */
static struct text common_account(const struct contract *a, const struct contract *b)
{
    if (a->source != NONE && (a->account_count == 0 || b->account_count == 0)) {
        return a->buyer; /* all that the source charges, twice */
    }
    bool a_is_own = a->account_count == 0, b_is_own = b->account_count == 0;
    const struct text *left = a_is_own ? &a->buyer : a->accounts;
    const struct text *right = b_is_own ? &b->buyer : b->accounts;
    uint32_t left_count = a_is_own ? 1 : a->account_count;
    uint32_t right_count = b_is_own ? 1 : b->account_count;
    for (uint32_t i = 0, k = 0; i < left_count && k < right_count;) {
        int order = text_compare(left[i], right[k]);
        if (order == 0) {
            return left[i];
        }
        i += order < 0;
        k += order > 0;
    }
    return TEXT("");
}

static void check_pair(struct loader *loader, const struct contract *a, const struct contract *b)
{
    bool is_same = a->source == b->source && text_equal(a->seller, b->seller);
    bool are_views = a->view != NONE && b->view != NONE;
    if (!is_same || a->id.size == 0 || b->id.size == 0 || !overlap(a, b) ||
        (!are_views && a->seller.size == 0)) {
        return; /* what has no seller may price for itself what a view prices for another */
    }
    struct text account = common_account(a, b);
    if (account.size == 0) {
        return;
    }
    char from[TIME_FORMAT_MAX] = "always";
    instant at = a->from > b->from ? a->from : b->from;
    if (at != INSTANT_MIN) {
        time_format_short(at, from);
    }
    bool is_whole = a->source != NONE && (a->account_count == 0 || b->account_count == 0);
    complain(loader->complaints, b->place, "CONTRACT_OVERLAP",
             is_whole ? TEXT("list the accounts of each, or end one where the other begins")
                      : TEXT("take it out of one of them, or end one where the other begins"),
             "the contracts %.*s and %.*s of one seller both have %s%.*s (%s)", TEXT_ARG(a->id),
             TEXT_ARG(b->id), is_whole ? "charges of " : "",
             TEXT_ARG(is_whole ? a->source_id : account), from);
}

static void check_source(struct loader *loader, const struct contract *contract)
{
    const struct contract *source = &loader->catalog->contracts[contract->source];
    if (!overlap(contract, source)) {
        complain(loader->complaints, contract->source_place, "PERIOD_EMPTY",
                 TEXT("let the two hold at one time"),
                 "the contract %.*s and its source %.*s never hold at once", TEXT_ARG(contract->id),
                 TEXT_ARG(source->id));
    }
    if (source->seller.size > 0 && contract->seller.size > 0 &&
        !text_equal(source->buyer, contract->seller)) {
        complain_softly(loader->complaints, contract->source_place, "SELLER_DIFFERS",
                        text_format(loader->arena, "seller: %.*s", TEXT_ARG(source->buyer)),
                        "%.*s sells on what %.*s buys", TEXT_ARG(contract->seller),
                        TEXT_ARG(source->buyer));
    }
}

static void collect_source_edges(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    size_t most = 2 * ((size_t)catalog->view_count + catalog->price_count);
    instant *edges = arena_calloc(loader->arena, most + 1, sizeof *edges);
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct contract *contract = &catalog->contracts[i];
        for (uint32_t p = 0; contract->source != NONE && p <= contract->prices.count; p++) {
            const struct price *price = p < contract->prices.count
                                            ? &contract->prices.base[contract->prices.prices[p]]
                                            : NULL;
            instant from = price ? price->from : contract->from;
            instant to = price ? price->to : contract->to;
            if (from != INSTANT_MIN) {
                edges[catalog->source_edge_count++] = from;
            }
            if (to != INSTANT_MAX) {
                edges[catalog->source_edge_count++] = to;
            }
        }
    }
    catalog->source_edges = edges;
}

void check_views(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    struct contract *contracts = (struct contract *)catalog->contracts; /* of this loader */
    if (catalog->view_count == 0) {
        return;
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        if (contracts[i].source_id.size > 0) {
            contracts[i].source = find_source(loader, &contracts[i]);
        }
    }
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        if (contracts[i].source != NONE && !has_circle(loader, i)) {
            check_source(loader, &contracts[i]);
        }
        for (uint32_t k = 0; k < i; k++) {
            if (contracts[k].view != NONE || contracts[i].view != NONE) {
                check_pair(loader, &contracts[k], &contracts[i]);
            }
        }
    }
    collect_source_edges(loader);
}
