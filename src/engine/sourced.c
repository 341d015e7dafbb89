/* sourced.c - see sourced.h. */
#include "engine/sourced.h"
#include "engine/unbilled.h"
#include "feed/output.h"
#include "render/render.h"

#include <stdlib.h>

static const struct contract *contract_of(const struct run *run, uint32_t view)
{
    return &run->catalog->contracts[run->accounts->views[view].contract];
}

/* ---- who stands on whom ---------------------------------------------------------------------- */

/* How many sources are below it, and the contract of usage that is the last. */
static uint32_t find_root(const struct run *run, const struct contract *contract,
                          const struct contract **root)
{
    uint32_t depth = 0;
    for (; contract->source != NONE; depth++) {
        contract = &run->catalog->contracts[contract->source];
    }
    *root = contract;
    return depth;
}

struct standing {
    uint32_t payer, depth, view;
    struct text id;
};

static int compare_standing(const void *a_item, const void *b_item)
{
    const struct standing *a = a_item, *b = b_item;
    if (a->payer != b->payer) {
        return a->payer < b->payer ? -1 : 1;
    }
    if (a->depth != b->depth) {
        return a->depth < b->depth ? -1 : 1;
    }
    return text_compare(a->id, b->id);
}

void sourced_find(struct run *run)
{
    const struct accounts *accounts = run->accounts;
    struct standing *items = arena_calloc(&run->arena, accounts->view_count + 1u, sizeof *items);
    uint32_t *roots = arena_calloc(&run->arena, accounts->view_count + 1u, sizeof *roots);
    uint32_t count = 0;
    run->sourced.is_split =
        arena_calloc(&run->arena, accounts->view_count + 1u, sizeof *run->sourced.is_split);
    for (uint32_t v = 0; v < accounts->view_count; v++) {
        const struct contract *contract = contract_of(run, v), *root;
        if (contract->source == NONE) {
            continue;
        }
        uint32_t depth = find_root(run, contract, &root);
        uint32_t payer = accounts_buyer(accounts, root);
        if (root->view == NONE) {
            run->sourced.is_split[v] = payers_are_several(run, payer);
            payer = accounts_payer(accounts, payer, run->period.from);
        }
        roots[v] = payer;
        items[count++] = (struct standing){payer, depth, v, contract->id};
    }
    if (count == 0) {
        return;
    }
    qsort(items, count, sizeof *items, compare_standing);
    uint32_t *first = arena_calloc(&run->arena, accounts->count + 2u, sizeof *first);
    uint32_t *views = arena_calloc(&run->arena, count + 1u, sizeof *views);
    for (uint32_t i = 0; i < count; i++) {
        first[items[i].payer + 1]++;
        views[i] = items[i].view;
    }
    for (uint32_t i = 0; i < accounts->count; i++) {
        first[i + 1] += first[i];
    }
    run->sourced.views = views;
    run->sourced.first = first;
    run->sourced.root = roots;
}

bool sourced_wait(const struct run *run, uint32_t payer)
{
    if (!run->sourced.views) {
        return false;
    }
    for (uint32_t i = run->sourced.first[payer]; i < run->sourced.first[payer + 1]; i++) {
        uint32_t buyer = run->accounts->views[run->sourced.views[i]].buyer;
        if (payer_has_opening(run, buyer) || payer_has_issued(run, buyer)) {
            return true;
        }
    }
    return false;
}

/* ---- a cut ----------------------------------------------------------------------------------- */

void sourced_prepare(struct worker *worker)
{
    if (worker->run->sourced.views) {
        kept_prepare(worker, &worker->settle.sourced);
    }
}

struct sourced_views sourced_open(struct worker *worker, uint32_t payer)
{
    const struct run *run = worker->run;
    struct sourced_views views = {0};
    if (!run->sourced.views || run->sourced.first[payer] == run->sourced.first[payer + 1]) {
        return views;
    }
    views.count = run->sourced.first[payer + 1] - run->sourced.first[payer];
    views.items = arena_calloc(&worker->handed, views.count, sizeof *views.items);
    for (uint32_t i = 0; i < views.count; i++) {
        views.items[i].view = run->sourced.views[run->sourced.first[payer] + i];
    }
    return views;
}

void sourced_gather(const struct run *run, struct arena *arena, const struct pricing *from,
                    const struct priced *priced, struct pricing *pricing)
{
    const struct accounts *accounts = run->accounts;
    uint32_t view = accounts_view(accounts, pricing->payer);
    const struct contract *contract = contract_of(run, view);
    const struct contract *source = &run->catalog->contracts[contract->source];
    struct charge *charges = arena_alloc(arena, (priced->charge_count + 1u) * sizeof *charges);
    uint32_t count = 0, last = NONE, account = NONE;
    for (uint32_t i = 0; i < priced->charge_count; i++) {
        const struct charge *charge = &priced->charges[i];
        if (charge->of != NONE || !charge_is_billed(charge) || charge->kind == CHARGE_TAX) {
            continue;
        }
        if (source->view == NONE) { /* its payer may have charges of other contracts */
            const struct contract *in_force =
                charge->contract
                    ? charge->contract
                    : accounts_contract(from->accounts, from->catalog, charge->account, charge->at);
            if (in_force != source) {
                continue;
            }
        }
        if (charge->account != last) {
            last = charge->account;
            account = accounts_find(accounts, view, accounts->items[last].id);
        }
        if (account == MAP_NONE || charge->at < contract->from || charge->at >= contract->to) {
            continue;
        }
        charges[count] = *charge;
        charges[count++].account = account;
    }
    pricing->source_charges = charges;
    pricing->source_count = count;
    pricing->source_currency = priced->money.currency;
}

static void render_bill(struct worker *worker, struct sourced *item, struct text inputs)
{
    const struct run *run = worker->run;
    for (enum text_kind i = 0; i < TEXTS; i++) {
        buffer_init(&item->texts[i], &worker->scratch, 1024);
    }
    if (item->bill.line_count > 0) {
        render_bill_json(worker->settle.writer, &item->texts[TEXT_BILLS], run->catalog,
                         run->accounts, &item->bill, inputs);
        render_lines_csv(worker->settle.writer, &item->texts[TEXT_LINES], &item->bill, 0,
                         item->bill.line_count);
    }
}

static void render(struct worker *worker, struct sourced *item, bool is_last, struct text inputs)
{
    const struct run *run = worker->run;
    struct text payer = run->accounts->items[item->pricing.payer].id;
    render_bill(worker, item, inputs);
    if (is_last) {
        render_closing(&item->texts[TEXT_CLOSING], &item->pricing, &item->priced, NULL, 0);
    }
    render_exclusions_csv(&item->texts[TEXT_EXCLUSIONS], run->catalog, run->accounts, payer,
                          item->bill.contract, item->bill.excluded, item->bill.excluded_count);
}

/* on: the view that is its source; NULL: that is the payer. */
static enum status price_one(struct worker *worker, struct sourced *item, const struct sourced *on,
                             const struct source_cut *cut)
{
    struct run *run = worker->run;
    const struct pricing *pricing = on ? &on->pricing : cut->pricing;
    const struct priced *priced = on ? &on->priced : cut->priced;
    const struct turn_to_end *whole = cut->whole && on ? &on->whole : cut->whole;
    const struct usage_row *rows = cut->rows;
    const uint32_t row_count = cut->row_count;
    struct arena *arena = &worker->scratch;
    struct error *err = &item->err;
    uint32_t payer = run->accounts->views[item->view].buyer;
    if (run->sourced.is_split[item->view]) {
        return fail(err, ERR_CONFLICT, "who pays for its source %.*s changes within the period",
                    TEXT_ARG(contract_of(run, item->view)->source_id));
    }
    if (on && on->fails_now) {
        return fail(err, ERR_CONFLICT, "its source %.*s could not be billed",
                    TEXT_ARG(contract_of(run, item->view)->source_id));
    }
    TRY(unbilled_check(run, payer, err));
    run_pricing(run, arena, payer, pricing->cut, &item->pricing);
    if (!cut->is_first) {
        item->pricing.opening = item->handover.buckets;
        item->pricing.opening_count = item->handover.bucket_count;
    }
    sourced_gather(run, arena, pricing, priced, &item->pricing);
    TRY(price_payer(arena, &item->pricing, rows, row_count, &item->priced, err));
    struct issued issued = {NULL, 0};
    if (run->issued.line_count > 0) {
        TRY(payer_find_issued(run, arena, payer, pricing->cut, &issued, err));
    }
    TRY(bill_make(arena, &item->pricing, rows, row_count, NULL, 0, &item->priced, &issued,
                  &item->bill, err));
    if (run->taxes) {
        payer_count_taxes(worker, &item->priced);
    }
    if (whole) {
        item->whole.pricing = item->pricing;
        item->whole.pricing.cut.to = whole->pricing.cut.to;
        sourced_gather(run, arena, &whole->pricing, &whole->priced, &item->whole.pricing);
        TRY(pending_find_sourced(arena, &item->pricing, rows, row_count, &item->priced,
                                 &item->whole, &item->bill, err));
    }
    if (!cut->is_last) {
        payer_hand_over(worker, &item->pricing, &item->priced, NULL, &item->next);
    }
    return OK;
}

enum status sourced_price(struct worker *worker, struct sourced_views *views,
                          const struct source_cut *cut, struct text inputs, struct error *err)
{
    const struct accounts *accounts = worker->run->accounts;
    for (uint32_t i = 0; i < views->count; i++) {
        struct sourced *item = &views->items[i];
        item->fails_now = item->has_failed;
        if (item->has_failed) {
            continue;
        }
        const struct sourced *on = NULL;
        for (uint32_t k = 0; k < i; k++) {
            on = views->items[k].view == accounts->views[item->view].source ? &views->items[k] : on;
        }
        item->err = (struct error){0};
        enum status status = price_one(worker, item, on, cut);
        if (status == ERR_CORRUPT || status == ERR_IO) {
            *err = item->err;
            return status;
        }
        item->fails_now = status != OK;
        if (status == OK) {
            item->bill.parts = cut->bill->parts;
            item->bill.part_count = cut->bill->part_count;
            render(worker, item, cut->is_last, inputs);
        }
    }
    return OK;
}

/* ---- text, until all else is written --------------------------------------------------------- */

static bool keep_text(struct worker *worker, const struct sourced_views *views, uint32_t view,
                      enum text_kind kind, struct text text)
{
    struct kept_stream *stream = &worker->settle.sourced;
    if (text.size == 0) {
        return true;
    }
    kept_begin(worker, stream, view, views->cut * TEXTS + kind)->size = text.size;
    return kept_add(worker, stream, text.at, text.size);
}

static enum status keep_bill(struct worker *worker, const struct sourced_views *views,
                             const struct sourced *item)
{
    payer_count_bill(worker, &item->bill);
    for (enum text_kind kind = 0; kind < TEXTS; kind++) {
        if (!keep_text(worker, views, item->view, kind, buffer_text(&item->texts[kind]))) {
            return worker->err.status;
        }
    }
    return OK;
}

enum status sourced_keep(struct worker *worker, struct sourced_views *views)
{
    for (uint32_t i = 0; i < views->count; i++) {
        if (!views->items[i].fails_now) {
            TRY(keep_bill(worker, views, &views->items[i]));
        }
    }
    return OK;
}

enum status sourced_take_back(struct worker *worker, struct sourced_views *views, uint32_t index,
                              struct period period, struct text inputs, struct error *err)
{
    const struct run *run = worker->run;
    struct sourced *item = &views->items[index];
    TRY(taken_back_make(run, &worker->scratch, run->accounts->views[item->view].buyer, period,
                        &item->bill, err));
    render_bill(worker, item, inputs);
    TRY(keep_bill(worker, views, item));
    views->cut++;
    return OK;
}

void sourced_next(struct worker *worker, struct sourced_views *views)
{
    for (uint32_t i = 0; i < views->count; i++) {
        struct sourced *item = &views->items[i];
        if (item->fails_now && !item->has_failed) {
            payer_fail(worker, worker->run->accounts->views[item->view].buyer, &item->err,
                       views->cut > 0);
        }
        item->has_failed = item->fails_now;
        item->handover = item->next;
    }
    views->cut++;
}

void sourced_close(struct worker *worker, struct sourced_views *views, struct period span,
                   bool payer_failed)
{
    const struct run *run = worker->run;
    for (uint32_t i = 0; i < views->count; i++) {
        struct sourced *item = &views->items[i];
        uint32_t payer = run->accounts->views[item->view].buyer;
        if (payer_failed && !item->has_failed) {
            struct error err = {0};
            (void)fail(&err, ERR_CONFLICT, "who pays for its source could not be billed");
            payer_fail(worker, payer, &err, views->cut > 0);
        }
        if (payer_failed || item->has_failed) {
            struct buffer closing;
            buffer_init(&closing, &worker->output, 256);
            render_closing_failed(&closing, run->catalog, run->accounts, payer, span);
            (void)keep_text(worker, views, item->view, TEXT_CLOSING, buffer_text(&closing));
        }
    }
}

void sourced_pass(struct worker *worker, struct sourced_views *views)
{
    for (uint32_t i = 0; i < views->count; i++) {
        struct buffer closing;
        buffer_init(&closing, &worker->output, 256);
        payer_pass_opening(worker->run, worker->run->accounts->views[views->items[i].view].buyer,
                           &closing);
        (void)keep_text(worker, views, views->items[i].view, TEXT_CLOSING, buffer_text(&closing));
    }
}

/* In the order of the files, of contracts' ids, of cuts. */
struct kept_view {
    struct kept_piece piece;
    struct text id;
};

static int compare_kept(const void *a_item, const void *b_item)
{
    const struct kept_view *a = a_item, *b = b_item;
    uint32_t x = a->piece.part % TEXTS, y = b->piece.part % TEXTS;
    if (x != y) {
        return x < y ? -1 : 1;
    }
    int order = text_compare(a->id, b->id);
    return order ? order : (a->piece.part > b->piece.part) - (a->piece.part < b->piece.part);
}

static enum status write_kept(struct run *run, const struct kept_piece *kept, char *room,
                              size_t room_size)
{
    struct output_file *files[TEXTS] = {run->files.bills, run->files.lines, run->files.usage,
                                        run->files.closing, run->files.exclusions};
    const struct kept_stream *stream = &run->workers[kept->stream].settle.sourced;
    for (uint64_t at = 0; at < kept->size; at += room_size) {
        size_t size = kept->size - at < room_size ? (size_t)(kept->size - at) : room_size;
        TRY(kept_read(run, stream, kept->offset + at, room, size));
        TRY(output_append(files[kept->part % TEXTS], room, size, run->err));
    }
    return OK;
}

enum status sourced_write(struct run *run)
{
    enum { ROOM_BYTES = 64 * 1024 };
    uint32_t count = 0;
    for (int i = 0; i < run->threads; i++) {
        count += run->workers[i].settle.sourced.piece_count;
    }
    if (count == 0) {
        return OK;
    }
    struct kept_view *kept = arena_calloc(&run->arena, count, sizeof *kept);
    char *room = arena_alloc(&run->arena, ROOM_BYTES);
    count = 0;
    for (int i = 0; i < run->threads; i++) {
        const struct kept_stream *stream = &run->workers[i].settle.sourced;
        for (uint32_t p = 0; p < stream->piece_count; p++) {
            const struct kept_piece *piece = &stream->pieces[p];
            kept[count++] = (struct kept_view){*piece, contract_of(run, piece->of)->id};
        }
    }
    qsort(kept, count, sizeof *kept, compare_kept);
    for (uint32_t i = 0; i < count; i++) {
        TRY(write_kept(run, &kept[i].piece, room, ROOM_BYTES));
    }
    return OK;
}
