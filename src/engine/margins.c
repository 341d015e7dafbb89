/* margins.c - see margins.h.  A margin is the difference of two sums, so that over a chain margins
 * add up to the difference of its ends: what each seller receives its buyer pays.
 */
#include "engine/margins.h"

#include "render/render.h"

/* What the lines of a contract come to in a currency: before tax, and the tax. */
struct contract_sum {
    uint32_t contract, next; /* of the contract, in another currency; NONE */
    const struct currency *currency;
    struct dec_sum amount, tax;
};

void margins_prepare(struct worker *worker)
{
    const struct catalog *catalog = worker->run->catalog;
    if (catalog->has_sellers) {
        size_t bytes = (catalog->contract_count + 1u) * sizeof *worker->settle.contracts.of;
        worker->settle.contracts.of = arena_alloc(&worker->arena, bytes);
        memset(worker->settle.contracts.of, 0xFF, bytes);
    }
}

static struct contract_sum *find_sum(struct worker *worker, uint32_t contract,
                                     const struct currency *currency)
{
    uint32_t *first = &worker->settle.contracts.of[contract];
    for (uint32_t at = *first; at != NONE; at = worker->settle.contracts.sums[at].next) {
        if (worker->settle.contracts.sums[at].currency == currency) {
            return &worker->settle.contracts.sums[at];
        }
    }
    worker->settle.contracts.sums =
        arena_room(&worker->arena, worker->settle.contracts.sums, worker->settle.contracts.count,
                   &worker->settle.contracts.capacity, sizeof *worker->settle.contracts.sums);
    struct contract_sum *made = &worker->settle.contracts.sums[worker->settle.contracts.count];
    *made = (struct contract_sum){.contract = contract, .next = *first, .currency = currency};
    *first = worker->settle.contracts.count++;
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
        worker->settle.is_amount_lost |=
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
        uint32_t at = worker->settle.contracts.of ? worker->settle.contracts.of[contract] : NONE;
        for (; at != NONE; at = worker->settle.contracts.sums[at].next) {
            const struct contract_sum *from = &worker->settle.contracts.sums[at];
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

/* What is sold, by contract, and what it comes to for sellers and buyers. */
struct sales {
    struct arena *arena;
    const struct catalog *catalog;
    struct farthing_sale *items;
    struct dec *amounts;   /* of each */
    uint32_t *contract_of; /* in catalog->contracts */
    size_t count;
    struct parties parties;
    bool is_lost; /* an amount has left its range */
};

static struct text seller_of(const struct catalog *catalog, const struct contract *contract)
{
    return contract->seller.size > 0 ? contract->seller : catalog->name;
}

static void add_sale(struct sales *sales, uint32_t index, const struct contract_sum *sum)
{
    const struct contract *contract = &sales->catalog->contracts[index];
    const struct text seller = seller_of(sales->catalog, contract), source = contract->source_id;
    struct arena *arena = sales->arena;
    struct dec *amount = &sales->amounts[sales->count], tax = DEC_ZERO;
    sales->is_lost = sales->is_lost || dec_sum_read(&sum->amount, amount, NULL) != OK ||
                     dec_sum_read(&sum->tax, &tax, NULL) != OK;
    if (sales->is_lost) {
        return;
    }
    sales->contract_of[sales->count] = index;
    sales->items[sales->count++] =
        (struct farthing_sale){.contract = text_copy(arena, contract->id).at,
                               .seller = text_copy(arena, seller).at,
                               .buyer = text_copy(arena, contract->buyer).at,
                               .source = source.size > 0 ? text_copy(arena, source).at : NULL,
                               .currency = sum->currency->code,
                               .amount = format(arena, *amount),
                               .tax = format(arena, tax)};
    (void)find_party(arena, &sales->parties, seller, sum->currency, true);
}

static void find_sales(const struct run *run, struct sales *sales)
{
    const struct catalog *catalog = run->catalog;
    struct arena *arena = sales->arena;
    size_t currencies;
    (void)currency_table(&currencies);
    uint32_t most = catalog->contract_count;
    for (int i = 0; i < run->threads; i++) {
        most += run->workers[i].settle.contracts.count;
    }
    struct contract_sum *sums = arena_calloc(arena, currencies + 1, sizeof *sums);
    sales->items = arena_calloc(arena, most + 1u, sizeof *sales->items);
    sales->amounts = arena_calloc(arena, most + 1u, sizeof *sales->amounts);
    sales->contract_of = arena_calloc(arena, most + 1u, sizeof *sales->contract_of);
    sales->parties.items = arena_calloc(arena, 2 * most + 1u, sizeof *sales->parties.items);
    map_init(&sales->parties.by_key, arena, most);
    for (uint32_t c = 0; c < catalog->contract_count && !sales->is_lost; c++) {
        uint32_t sum_count = sum_contract(run, c, sums, &sales->is_lost);
        for (uint32_t i = 0; i < sum_count; i++) {
            add_sale(sales, c, &sums[i]);
        }
    }
}

/* A seller may pay in a currency that it sells nothing in. */
static void add_paying_sellers(struct sales *sales)
{
    struct map sellers;
    map_init(&sellers, sales->arena, (uint32_t)sales->count);
    for (size_t i = 0; i < sales->count; i++) {
        (void)map_put(&sellers, text_of(sales->items[i].seller), (uint32_t)i);
    }
    for (size_t i = 0; i < sales->count; i++) {
        struct text buyer = sales->catalog->contracts[sales->contract_of[i]].buyer;
        if (map_find(&sellers, buyer) != MAP_NONE) {
            (void)find_party(sales->arena, &sales->parties, buyer,
                             currency_find(text_of(sales->items[i].currency)), true);
        }
    }
}

static void sum_parties(struct sales *sales)
{
    for (size_t i = 0; i < sales->count; i++) {
        const struct contract *contract = &sales->catalog->contracts[sales->contract_of[i]];
        const struct currency *currency = currency_find(text_of(sales->items[i].currency));
        const struct dec amount = sales->amounts[i];
        struct party *receives = find_party(sales->arena, &sales->parties,
                                            seller_of(sales->catalog, contract), currency, true);
        struct party *pays =
            find_party(sales->arena, &sales->parties, contract->buyer, currency, false);
        sales->is_lost |= dec_add(receives->received, amount, &receives->received, NULL) != OK;
        sales->is_lost |= pays && dec_add(pays->paid, amount, &pays->paid, NULL) != OK;
    }
}

static struct farthing_margin *make_margins(struct sales *sales)
{
    const struct parties *parties = &sales->parties;
    struct farthing_margin *margins =
        arena_calloc(sales->arena, parties->count + 1u, sizeof *margins);
    for (uint32_t i = 0; i < parties->count; i++) {
        const struct party *party = &parties->items[i];
        struct dec margin;
        if (dec_subtract(party->received, party->paid, &margin, NULL) != OK) {
            sales->is_lost = true;
            break;
        }
        margins[i] = (struct farthing_margin){.party = text_copy(sales->arena, party->name).at,
                                              .currency = party->currency->code,
                                              .received = format(sales->arena, party->received),
                                              .paid = format(sales->arena, party->paid),
                                              .margin = format(sales->arena, margin)};
    }
    return margins;
}

void margins_sum(struct run *run, struct farthing_summary *summary)
{
    struct sales sales = {.arena = &run->arena, .catalog = run->catalog};
    if (!run->catalog->has_sellers) {
        return;
    }
    find_sales(run, &sales);
    if (sales.is_lost) {
        return; /* the summary has no amounts then, and says so */
    }
    add_paying_sellers(&sales);
    sum_parties(&sales);
    struct farthing_margin *margins = sales.is_lost ? NULL : make_margins(&sales);
    if (!sales.is_lost) {
        summary->sales = sales.items;
        summary->sale_count = sales.count;
        summary->margins = margins;
        summary->margin_count = sales.parties.count;
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
