/* margins.c - see margins.h.  A margin is the difference of two sums, so that over a chain margins
 * add up to the difference of its ends: what each seller receives its buyer pays.
 */
#include "engine/margins.h"

void margins_prepare(struct worker *worker)
{
    const struct catalog *catalog = worker->run->catalog;
    if (catalog->has_sellers) {
        size_t bytes = (catalog->contract_count + 1u) * sizeof *worker->contract_sum_of;
        worker->contract_sum_of = arena_alloc(&worker->arena, bytes);
        memset(worker->contract_sum_of, 0xFF, bytes);
    }
}

static struct contract_sum *find_sum(struct worker *worker, uint32_t contract,
                                     const struct currency *currency)
{
    uint32_t *first = &worker->contract_sum_of[contract];
    for (uint32_t at = *first; at != NONE; at = worker->contract_sums[at].next) {
        if (worker->contract_sums[at].currency == currency) {
            return &worker->contract_sums[at];
        }
    }
    if (worker->contract_sum_count == worker->contract_sum_capacity) {
        uint32_t more = worker->contract_sum_capacity ? worker->contract_sum_capacity * 2 : 16;
        worker->contract_sums =
            arena_grow(&worker->arena, worker->contract_sums, worker->contract_sum_count, more,
                       sizeof *worker->contract_sums);
        worker->contract_sum_capacity = more;
    }
    struct contract_sum *made = &worker->contract_sums[worker->contract_sum_count];
    *made = (struct contract_sum){.contract = contract, .next = *first, .currency = currency};
    *first = worker->contract_sum_count++;
    return made;
}

/* The line that rounds a bill is the contract's when all of the bill is. */
void margins_count(struct worker *worker, const struct bill *bill)
{
    const struct catalog *catalog = worker->run->catalog;
    const struct currency *currency = currency_find(bill->currency);
    struct text last = TEXT("");
    uint32_t contract = NONE, first = NONE;
    bool is_one = true;
    for (uint32_t i = 0; i < bill->line_count; i++) {
        const struct line *line = &bill->lines[i];
        bool is_rounding = line_is_rounding(line);
        if (line->contract.size > 0 && !text_equal(line->contract, last)) {
            last = line->contract;
            uint32_t found = map_find(&catalog->contract_by_id, last);
            contract = found == MAP_NONE ? catalog->contract_count : found;
        }
        uint32_t at = line->contract.size > 0 ? contract : catalog->contract_count;
        if (is_rounding && line->contract.size == 0) {
            at = is_one && first != NONE ? first : catalog->contract_count;
        } else {
            first = first == NONE ? at : first;
            is_one = is_one && first == at;
        }
        struct contract_sum *sum = find_sum(worker, at, currency);
        bool is_tax = text_equal(line->kind, TEXT("tax"));
        worker->is_amount_lost |=
            dec_sum_add(is_tax ? &sum->tax : &sum->amount, line->amount, NULL) != OK;
    }
}

static const char *format(struct arena *arena, struct dec value)
{
    char *out = arena_alloc(arena, DEC_FORMAT_MAX);
    (void)dec_format(value, out);
    return out;
}

/* A seller, and its sums in a currency. */
struct party {
    struct text name;
    const struct currency *currency;
    struct dec received, paid;
};
struct parties {
    struct party *items;
    uint32_t count;
    struct map by_key; /* of currency and name */
};

static struct party *find_party(struct arena *arena, struct parties *parties, struct text name,
                                const struct currency *currency, bool adds)
{
    struct text key = text_format(arena, "%s %.*s", currency->code, TEXT_ARG(name));
    uint32_t found =
        adds ? map_put(&parties->by_key, key, parties->count) : map_find(&parties->by_key, key);
    if (found == MAP_NONE) {
        return NULL;
    }
    if (found == parties->count) {
        parties->items[parties->count++] = (struct party){.name = name, .currency = currency};
    }
    return &parties->items[found];
}

/* What all threads have counted of a contract, in the order of currencies' codes; at least nothing
 * in the catalog's. */
static uint32_t sum_contract(const struct run *run, uint32_t contract, struct contract_sum *sums,
                             bool *is_lost)
{
    uint32_t count = 0;
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        uint32_t at = worker->contract_sum_of ? worker->contract_sum_of[contract] : NONE;
        for (; at != NONE; at = worker->contract_sums[at].next) {
            const struct contract_sum *from = &worker->contract_sums[at];
            uint32_t to = 0;
            while (to < count && sums[to].currency < from->currency) {
                to++; /* the table of currencies is sorted */
            }
            if (to == count || sums[to].currency != from->currency) {
                memmove(&sums[to + 1], &sums[to], (count++ - to) * sizeof *sums);
                sums[to] = (struct contract_sum){.currency = from->currency};
            }
            *is_lost |= dec_sum_merge(&sums[to].amount, &from->amount, NULL) != OK ||
                        dec_sum_merge(&sums[to].tax, &from->tax, NULL) != OK;
        }
    }
    if (count == 0) {
        sums[count++] = (struct contract_sum){.currency = run->catalog->currency};
    }
    return count;
}

void margins_sum(struct run *run, struct farthing_summary *summary)
{
    const struct catalog *catalog = run->catalog;
    struct arena *arena = &run->arena;
    if (!catalog->has_sellers) {
        return;
    }
    size_t currencies;
    (void)currency_table(&currencies);
    uint32_t most = catalog->contract_count;
    for (int i = 0; i < run->threads; i++) {
        most += run->workers[i].contract_sum_count;
    }
    struct contract_sum *sums = arena_calloc(arena, currencies + 1, sizeof *sums);
    struct farthing_sale *sales = arena_calloc(arena, most + 1u, sizeof *sales);
    struct dec *amounts = arena_calloc(arena, most + 1u, sizeof *amounts);
    uint32_t *contract_of = arena_calloc(arena, most + 1u, sizeof *contract_of);
    struct parties parties = {.items = arena_calloc(arena, 2 * most + 1u, sizeof *parties.items)};
    map_init(&parties.by_key, arena, most);
    size_t count = 0;
    bool is_lost = false;
    for (uint32_t c = 0; c < catalog->contract_count; c++) {
        const struct contract *contract = &catalog->contracts[c];
        struct text seller = contract->seller.size > 0 ? contract->seller : catalog->name;
        uint32_t sum_count = sum_contract(run, c, sums, &is_lost);
        for (uint32_t i = 0; i < sum_count; i++) {
            struct dec tax = DEC_ZERO;
            is_lost = is_lost || dec_sum_read(&sums[i].amount, &amounts[count], NULL) != OK ||
                      dec_sum_read(&sums[i].tax, &tax, NULL) != OK;
            if (is_lost) {
                return; /* the summary has no amounts then, and says so */
            }
            struct text source = contract->source_id;
            contract_of[count] = c;
            sales[count] = (struct farthing_sale){
                .contract = text_copy(arena, contract->id).at,
                .seller = text_copy(arena, seller).at,
                .buyer = text_copy(arena, contract->buyer).at,
                .source = source.size > 0 ? text_copy(arena, source).at : NULL,
                .currency = sums[i].currency->code,
                .amount = format(arena, amounts[count]),
                .tax = format(arena, tax)};
            count++;
            (void)find_party(arena, &parties, seller, sums[i].currency, true);
        }
    }
    struct map sellers;
    map_init(&sellers, arena, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        (void)map_put(&sellers, text_of(sales[i].seller), (uint32_t)i);
    }
    for (size_t i = 0; i < count;
         i++) { /* a seller may pay in a currency that it sells nothing in */
        struct text buyer = catalog->contracts[contract_of[i]].buyer;
        if (map_find(&sellers, buyer) != MAP_NONE) {
            (void)find_party(arena, &parties, buyer, currency_find(text_of(sales[i].currency)),
                             true);
        }
    }
    struct farthing_margin *margins = arena_calloc(arena, parties.count + 1u, sizeof *margins);
    for (size_t i = 0; i < count; i++) {
        const struct contract *contract = &catalog->contracts[contract_of[i]];
        const struct currency *currency = currency_find(text_of(sales[i].currency));
        struct text seller = contract->seller.size > 0 ? contract->seller : catalog->name;
        struct party *receives = find_party(arena, &parties, seller, currency, true);
        struct party *pays = find_party(arena, &parties, contract->buyer, currency, false);
        is_lost |= dec_add(receives->received, amounts[i], &receives->received, NULL) != OK;
        is_lost |= pays && dec_add(pays->paid, amounts[i], &pays->paid, NULL) != OK;
    }
    for (uint32_t i = 0; i < parties.count && !is_lost; i++) {
        const struct party *party = &parties.items[i];
        struct dec margin;
        is_lost |= dec_subtract(party->received, party->paid, &margin, NULL) != OK;
        margins[i] = (struct farthing_margin){.party = text_copy(arena, party->name).at,
                                              .currency = party->currency->code,
                                              .received = format(arena, party->received),
                                              .paid = format(arena, party->paid),
                                              .margin = format(arena, margin)};
    }
    if (!is_lost) {
        summary->sales = sales;
        summary->sale_count = count;
        summary->margins = margins;
        summary->margin_count = parties.count;
    }
}

void margins_render(struct buffer *out, const struct farthing_summary *summary)
{
    if (summary->sale_count == 0) {
        return;
    }
    buffer_add_text(out, TEXT(",\"contracts\":["));
    for (size_t i = 0; i < summary->sale_count; i++) {
        const struct farthing_sale *sale = &summary->sales[i];
        buffer_add_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        add_json_text(out, "contract", text_of(sale->contract));
        add_json_text(out, "seller", text_of(sale->seller));
        add_json_text(out, "buyer", text_of(sale->buyer));
        if (sale->source) {
            add_json_text(out, "source", text_of(sale->source));
        }
        add_json_text(out, "currency", text_of(sale->currency));
        add_json_text(out, "amount", text_of(sale->amount));
        add_json_text(out, "tax", text_of(sale->tax));
        buffer_add_char(out, '}');
    }
    buffer_add_text(out, TEXT("],\"margins\":["));
    for (size_t i = 0; i < summary->margin_count; i++) {
        const struct farthing_margin *margin = &summary->margins[i];
        buffer_add_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        add_json_text(out, "party", text_of(margin->party));
        add_json_text(out, "currency", text_of(margin->currency));
        add_json_text(out, "received", text_of(margin->received));
        add_json_text(out, "paid", text_of(margin->paid));
        add_json_text(out, "margin", text_of(margin->margin));
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

static const char *copy(struct arena *arena, const char *text)
{
    return text ? text_copy(arena, text_of(text)).at : NULL;
}

void margins_copy(struct arena *arena, struct farthing_summary *summary)
{
    struct farthing_sale *sales = arena_calloc(arena, summary->sale_count + 1u, sizeof *sales);
    struct farthing_margin *margins =
        arena_calloc(arena, summary->margin_count + 1u, sizeof *margins);
    for (size_t i = 0; i < summary->sale_count; i++) {
        const struct farthing_sale *sale = &summary->sales[i];
        sales[i] = (struct farthing_sale){copy(arena, sale->contract), copy(arena, sale->seller),
                                          copy(arena, sale->buyer),    copy(arena, sale->source),
                                          copy(arena, sale->currency), copy(arena, sale->amount),
                                          copy(arena, sale->tax)};
    }
    for (size_t i = 0; i < summary->margin_count; i++) {
        const struct farthing_margin *margin = &summary->margins[i];
        margins[i] = (struct farthing_margin){
            copy(arena, margin->party), copy(arena, margin->currency),
            copy(arena, margin->received), copy(arena, margin->paid), copy(arena, margin->margin)};
    }
    summary->sales = sales;
    summary->margins = margins;
}
