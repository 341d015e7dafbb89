/* payer.c - see payer.h.  A payer's memory is rewound before the next, and a payer that cannot be
 * billed is reported while the others go on.
 */
#include "engine/payer.h"

#include <assert.h>
#include <inttypes.h>

#include "engine/cut_value.h"
#include "engine/gate.h"
#include "engine/issued.h"
#include "engine/load.h"
#include "engine/margins.h"
#include "engine/samples.h"
#include "engine/sourced.h"
#include "engine/unbilled.h"
#include "engine/waiting.h"
#include "engine/wallets.h"
#include "feed/output.h"
#include "render/render.h"

/* ---- what a payer is priced and billed with -------------------------------------------------- */

void run_pricing(const struct run *run, struct arena *arena, uint32_t payer, struct period cut,
                 struct pricing *pricing)
{
    *pricing = (struct pricing){.catalog = run->catalog,
                                .accounts = run->accounts,
                                .series = &run->series,
                                .base = run->period.from,
                                .payer = payer,
                                .cut = cut,
                                .billing = run_billing(run, payer)};
    pricing->zone = run->has_cuts ? billing_at(&pricing->billing, cut.from).clock.zone
                                  : run->catalog->billing.zone;
    if (cut.from == run->period.from && cut.to == run->period.to) {
        pricing->cut_edges = run->period_edges;
    }
    /* Without cuts all payers have the catalog's clock, and a period in one turn of it. */
    pricing->turn = !run->has_cuts && period_has(run->turn, cut.to - 1)
                        ? run->turn
                        : billing_turn(&pricing->billing, cut.to - 1);
    if (run->members) {
        pricing->members = run->members + run->member_first[payer];
        pricing->member_count = run->member_first[payer + 1] - run->member_first[payer];
    }
    payer_find_opening(run, payer, arena, pricing);
}

struct book_view payer_view(const struct run *run, const struct pricing *pricing)
{
    const struct catalog *catalog = run->catalog;
    bool is_steady = !run->has_cuts && catalog->slot_clock_count == 0 &&
                     !catalog->has_meter_clocks && catalog->source_edge_count == 0;
    return (struct book_view){
        .series = pricing->series,
        .catalog = catalog,
        .accounts = pricing->accounts,
        .payer = pricing->payer,
        .base = pricing->base,
        .cut = pricing->cut,
        .lends_at = run->has_cuts && pricing->cut.to > run->period.to ? run->period.to : 0,
        .steady = is_steady ? run->steady_payer : NULL};
}

bool payer_has_issued(const struct run *run, uint32_t payer)
{
    uint32_t end;
    return issued_next(run, payer, issued_first(run, payer), &end);
}

/* What was billed to the payer for this time: whole bills inside the cut.  One that reaches beyond
 * it cannot be told apart line by line.  Where bills of other times are taken back, the bill of the
 * cut alone. */
enum status payer_find_issued(const struct run *run, struct arena *arena, uint32_t payer,
                              struct period cut, struct issued *issued, struct error *err)
{
    uint32_t low = issued_first(run, payer), end = low, count = 0;
    while (end < run->issued.line_count && run->issued.lines[end].payer == payer) {
        end++;
    }
    struct line *lines = arena_alloc(arena, (end - low + 1) * sizeof *lines);
    for (uint32_t i = low; i < end; i++) {
        struct period period = run->issued.lines[i].period;
        bool is_inside = cut.from <= period.from && period.to <= cut.to;
        if (run->takes_back ? period_equal(cut, period) : is_inside) {
            lines[count++] = run->issued.lines[i].line;
        } else if (!run->takes_back && period.from < cut.to && cut.from < period.to) {
            (void)fail(err, ERR_CONFLICT,
                       "a bill issued before reaches beyond the period that is billed");
            return fail_hint(err, "bill a period that holds the bills given with --billed");
        }
    }
    *issued = (struct issued){lines, count};
    return OK;
}

/* ---- bills, counted -------------------------------------------------------------------------- */

/* The product of a line; the product count: none has that name.  Where one was found before is
 * looked at first, by where the name lies. */
static uint32_t find_product(struct worker *worker, struct text name)
{
    const struct catalog *catalog = worker->run->catalog;
    uint64_t place = (uint64_t)(uintptr_t)name.at * UINT64_C(0x9E3779B97F4A7C15);
    uint32_t *known = &worker->settle.products[place >> (64 - PRODUCTS_KNOWN_BITS)];
    if (name.size == 0) {
        return catalog->product_count;
    }
    if (*known < catalog->product_count && text_equal(catalog->products[*known].name, name)) {
        return *known;
    }
    uint32_t product = 0;
    while (product < catalog->product_count && !text_equal(catalog->products[product].name, name)) {
        product++;
    }
    *known = product;
    return product;
}

struct money_sums *money_sums_of(struct worker *worker, const struct currency *currency)
{
    for (uint32_t i = 0; i < worker->settle.sums.count; i++) {
        if (worker->settle.sums.items[i].currency == currency) {
            return &worker->settle.sums.items[i];
        }
    }
    worker->settle.sums.items =
        arena_room(&worker->arena, worker->settle.sums.items, worker->settle.sums.count,
                   &worker->settle.sums.capacity, sizeof *worker->settle.sums.items);
    struct money_sums *made = &worker->settle.sums.items[worker->settle.sums.count++];
    *made = (struct money_sums){.currency = currency};
    made->products = arena_calloc(&worker->arena, worker->run->catalog->product_count + 2,
                                  sizeof *made->products);
    return made;
}

static void count_bill(struct worker *worker, const struct bill *bill, const struct usage_row *rows,
                       uint32_t row_count)
{
    const struct catalog *catalog = worker->run->catalog;
    struct money_sums *sums = money_sums_of(worker, currency_find(bill->currency));
    struct text product = TEXT(""); /* of the line before */
    struct dec_sum *amount = &sums->products[catalog->product_count];
    for (uint32_t i = 0; i < bill->line_count; i++) {
        const struct line *line = &bill->lines[i];
        bool is_rounding = line_is_rounding(line);
        if (is_rounding) {
            product = TEXT("");
            amount = &sums->products[catalog->product_count + 1];
        } else if (product.at != line->product.at || product.size != line->product.size ||
                   product.size == 0) {
            product = line->product;
            amount = &sums->products[find_product(worker, product)];
        }
        worker->settle.is_amount_lost |= dec_sum_add(amount, line->amount, NULL) != OK;
    }
    worker->settle.is_amount_lost |= dec_sum_add(&sums->total, bill->total, NULL) != OK;
    if (worker->settle.contracts.of) {
        margins_count(worker, bill);
    }
    worker->settle.bills += bill->line_count > 0; /* exclusions alone make no bill */
    worker->settle.bill_lines += bill->line_count;
    worker->settle.usage_rows += row_count;
    const struct run *run = worker->run;
    const bool has_views = run->accounts->view_count > 0;
    for (uint32_t i = 0; i < row_count; i++) {
        instant at = run->period.from + (instant)rows[i].slot_s * NS_PER_SECOND;
        if (!has_views || accounts_counts(run->accounts, catalog, rows[i].account, at)) {
            worker->settle.events_billed += rows[i].total.count;
        }
    }
    for (uint32_t i = 0; i < bill->excluded_count; i++) {
        if (!accounts_counts(run->accounts, catalog, bill->excluded[i].account,
                             bill->period.from)) {
            continue;
        }
        worker->settle.excluded[bill->excluded[i].reason] += bill->excluded[i].total.count;
        if (bill->excluded[i].reason == EXCLUDE_UNPRICED) {
            worker->settle.events_billed -= bill->excluded[i].total.count; /* its row has no line */
        }
    }
}

/* A buyer that no record names is no member of anything: what it uses is on its own bill. */
static void note_usage(const struct run *run, uint32_t payer)
{
    const struct unknown_buyer *unknown = run->accounts->unknown_buyers;
    uint32_t first = 0, end = run->accounts->unknown_buyer_count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (unknown[middle].account < payer) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    if (first < run->accounts->unknown_buyer_count && unknown[first].account == payer) {
        run->buyer_uses[first] = true; /* of no other thread: each payer is one's */
    }
}

void payer_count_taxes(struct worker *worker, const struct priced *priced)
{
    struct run *run = worker->run;
    run->env->lock_take(run->env, run->lock);
    for (uint32_t i = 0; i < priced->charge_count; i++) {
        const struct charge *charge = &priced->charges[i];
        if (charge->kind == CHARGE_TAX && charge_is_billed(charge)) {
            struct dec_sum *sum = &run->taxes->of[priced->charges[charge->of].kind];
            run->taxes->is_lost |= dec_sum_add(sum, charge->amount, NULL) != OK;
        }
    }
    run->env->lock_give(run->env, run->lock);
}

/* Withdrawn and other excluded events are known; one of a row that no price matches is on the row.
 */
static void count_known(const struct bill *bill, struct known_events *now)
{
    now->on_rows += bill->event_count;
    for (uint32_t i = 0; i < bill->excluded_count; i++) {
        enum exclusion reason = bill->excluded[i].reason;
        bool counts =
            reason != EXCLUDE_UNPRICED && reason != EXCLUDE_FREE && reason != EXCLUDE_OUT_OF_PERIOD;
        now->excluded += counts ? bill->excluded[i].total.count : 0;
    }
}

static void compare_issued_events(struct worker *worker, uint32_t payer, instant from,
                                  struct known_events now)
{
    if (worker->run->issued.line_count == 0) {
        return;
    }
    struct known_events then = issued_events(worker->run, payer, from);
    worker->settle.events_known.on_rows += now.on_rows;
    worker->settle.events_known.excluded += now.excluded;
    if (known_count(now) >= known_count(then)) {
        return;
    }
    if (worker->settle.fewer_count == 0 || payer < worker->settle.fewer.payer) {
        worker->settle.fewer = (struct fewer){payer, now, then};
    }
    worker->settle.fewer_count++;
}

void payer_count_bill(struct worker *worker, const struct bill *bill)
{
    count_bill(worker, bill, NULL, 0);
}

void payer_fail(struct worker *worker, uint32_t payer, const struct error *err, bool is_torn)
{
    if (!accounts_has_bills(worker->run->accounts, payer)) {
        return; /* it keeps states for others, and has no bill that is missing */
    }
    worker->settle.failures.items =
        arena_room(&worker->arena, worker->settle.failures.items, worker->settle.failures.count,
                   &worker->settle.failures.capacity, sizeof *worker->settle.failures.items);
    worker->settle.failures.items[worker->settle.failures.count++] =
        (struct failed_payer){.index = payer,
                              .payer = worker->run->accounts->items[payer].id,
                              .message = text_copy(&worker->arena, text_of(err->message)),
                              .is_torn = is_torn};
}

/* ---- asking memory --------------------------------------------------------------------------- */

void payer_ask(const struct worker *worker, uint32_t payer, const struct records *records,
               enum ask ask)
{
    enum { RECORDS_MOST = 32 };
    const struct run *run = worker->run;
    const uint32_t plan = run->accounts->items[payer].plan; /* that of its accounts, mostly */
    const struct record *record = records->at;
    for (int i = 0; i < RECORDS_MOST && record < records->end; i++, record = record_next(record)) {
        if ((record->flags & RECORD_EXCLUDED) || record->account == NONE) {
            continue;
        }
        if (ask == ASK_SERIES) {
            __builtin_prefetch(series_at(&run->series, record->series));
            __builtin_prefetch(&run->accounts->items[record->account]);
            __builtin_prefetch(&run->steady_payer[record->account]);
            price_memory_ask(worker->settle.prices, record->series, plan);
            writer_ask(worker->settle.writer, record->series);
        } else {
            const struct series *series = series_at(&run->series, record->series);
            __builtin_prefetch(&run->catalog->skus[series->sku]);
            __builtin_prefetch(&run->catalog->meters[series->meter].grain);
            __builtin_prefetch(&run->catalog->meters[series->meter].unit);
            price_memory_ask_price(worker->settle.prices, record->series, plan);
        }
    }
}

/* ---- a cut: its rows, its parts -------------------------------------------------------------- */

/* What settle_cut works on. */
struct job {
    uint32_t payer;
    struct records records;
    struct text inputs;
    struct texts *texts;
    struct handover handover;
    struct sourced_views *sourced;
    bool rehearses;  /* the cut is priced for what it hands over, and nothing is written */
    bool divides;    /* the cut is to be divided, and not to be billed */
    bool takes_back; /* nor that: what was issued for it goes, of the view at hand or the payer */
    uint32_t view;   /* of sourced; NONE */
    bool needs_turn; /* it takes much memory, and must not wait for its turn with that */
    /* The parts of the cut: one, unless thresholds divide it. */
    const struct period *parts;
    uint32_t part_count, part; /* the one at hand */
    struct known_events known; /* of the parts so far */
};

/* The rows of a cut, and what was carried into it. */
static enum status fold_cut(struct worker *worker, const struct job *job, struct period cut,
                            bool is_first, struct book *book, struct pricing *pricing,
                            struct error *err)
{
    const struct run *run = worker->run;
    struct arena *arena = &worker->scratch;
    const struct records *records = &job->records;
    book_init(book, arena, records->unit_count);
    struct cursor cursor = cursor_at(records, err);
    const bool divides = run_divides(run);
    for (const struct record *at; (at = cursor_next(&cursor));) {
        if (!divides || record_is_of_cut(run, job->payer, at, cut, is_first)) {
            book_fold(book, at, &run->series, run->catalog);
        }
    }
    TRY(cursor.status);
    run_pricing(run, arena, job->payer, cut, pricing);
    pricing->memory = worker->settle.prices;
    bool begins_turn = pricing->turn.from == cut.from;
    TRY(payer_carry_in(run, job->payer, cut, is_first ? NULL : &job->handover, begins_turn, book,
                       err));
    if (!is_first) {
        pricing->opening = job->handover.buckets;
        pricing->opening_count = job->handover.bucket_count;
    }
    return wallets_hand_on(run, arena, cut, pricing, err);
}

/* Where bills that were issued for a part of the cut begin and end, also those that have come to
 * nothing since.  Those of other turns, which are taken back, are no parts: the first part begins
 * as the cut does, and parts do not overlap. */
static uint32_t issued_cuts(const struct run *run, uint32_t payer, struct period cut,
                            struct arena *arena, instant **cuts)
{
    uint32_t first = issued_first(run, payer), count = 0, bills = 0;
    instant reached = INSTANT_MIN; /* by the bills before */
    bool is_divided = !run->takes_back;
    for (uint32_t at = first, end; issued_next(run, payer, at, &end); at = end) {
        bills++;
        const struct period period = run->issued.lines[at].period;
        is_divided |= period.from == cut.from && period.to <= cut.to;
    }
    *cuts = arena_alloc(arena, (2 * bills + 1) * sizeof **cuts);
    for (uint32_t at = first, end; is_divided && issued_next(run, payer, at, &end); at = end) {
        uint32_t behind;
        struct period period = run->issued.lines[at].period;
        bool overlaps = reached > period.from || (issued_next(run, payer, end, &behind) &&
                                                  run->issued.lines[end].period.from < period.to);
        reached = period.to > reached ? period.to : reached;
        if (cut.from <= period.from && period.to <= cut.to &&
            (!overlaps || taken_back_stands(run, arena, at, end))) {
            (*cuts)[count++] = period.from;
            (*cuts)[count++] = period.to;
        }
    }
    return count;
}

/* A threshold is of the currency that the whole cut is billed in: where a contract with another one
 * begins or ends inside, a part would be in what nobody has compared. */
static enum status hold_currency(struct worker *worker, const struct job *job,
                                 const struct bill_money *whole, struct error *err)
{
    for (uint32_t i = 0; i < job->part_count; i++) {
        struct pricing pricing;
        struct bill_money part;
        run_pricing(worker->run, &worker->scratch, job->payer, job->parts[i], &pricing);
        TRY(pricing_money(&pricing, &part, err));
        if (part.currency != whole->currency) {
            char from[TIME_FORMAT_MAX];
            int size = time_format_short(job->parts[i].from, from);
            (void)fail(err, ERR_INPUT,
                       "its turn is billed in %s, and thresholds divide it: the bill from %.*s on "
                       "would be in %s",
                       whole->currency->code, size, from, part.currency->code);
            return fail_hint(err, "say the same currency for the account and its contract, or "
                                  "let the contract begin with a turn");
        }
    }
    return OK;
}

/* Divides a cut at thresholds, or as it was billed; the parts are handed on. */
static enum status divide_cut(struct worker *worker, struct job *job, struct period cut,
                              bool is_first, struct error *err)
{
    const struct run *run = worker->run;
    struct arena *arena = &worker->scratch;
    const struct thresholds *thresholds = payer_thresholds(run, job->payer, cut.from);
    instant *cuts = NULL;
    uint32_t count = thresholds ? issued_cuts(run, job->payer, cut, arena, &cuts) : 0;
    const bool is_found = thresholds && count == 0;
    struct priced priced;
    if (is_found) {
        struct book book;
        struct pricing pricing;
        TRY(fold_cut(worker, job, cut, is_first, &book, &pricing, err));
        struct book_view view = payer_view(run, &pricing);
        TRY(book_close(&book, &view, err));
        TRY(price_payer(arena, &pricing, book.rows, book.row_count, &priced, err));
        cuts = arena_alloc(arena, (priced.charge_count + 1) * sizeof *cuts);
        TRY(threshold_cuts(arena, thresholds, &pricing, &priced, cuts, &count, err));
    }
    instants_sort(cuts, count);
    struct period *parts = arena_alloc(&worker->handed, (count + 1) * sizeof *parts);
    uint32_t made = 0;
    instant from = cut.from;
    for (uint32_t i = 0; i < count; i++) {
        if (cuts[i] > from && cuts[i] < cut.to) {
            parts[made++] = (struct period){from, cuts[i]};
            from = cuts[i];
        }
    }
    parts[made++] = (struct period){from, cut.to};
    job->parts = parts;
    job->part_count = made;
    return is_found && made > 1 ? hold_currency(worker, job, &priced.money, err) : OK;
}

/* What was known when the cut was billed is known of all its parts. */
static void tell_known(struct worker *worker, struct job *job, const struct bill *bill)
{
    count_known(bill, &job->known);
    if (job->part + 1 == job->part_count) {
        compare_issued_events(worker, job->payer, job->parts[0].from, job->known);
        job->known = (struct known_events){0};
    }
}

/* A bill that takes much of the memory and waits for its turn to be written keeps it from those it
 * waits for: such a payer waits before, and begins again.  What a row takes until its bill is
 * written is a guess. */
static enum status wait_when_heavy(struct worker *worker, struct job *job, uint32_t row_count)
{
    enum { ROW_BILL_BYTES = 2048, HEAVY_SHARE = 8 };
    const struct run *run = worker->run;
    const size_t most_bytes = run->memory_bytes / HEAVY_SHARE / (size_t)run->threads;
    if (row_count <= most_bytes / ROW_BILL_BYTES || job->texts->has_turn) {
        return OK;
    }
    if (!output_turn_is(run->output, job->texts->partition)) {
        job->needs_turn = true;
        arena_run_out(&worker->scratch);
    }
    return texts_take_turn(worker, job->texts);
}

/* ---- a cut: its bill and its text ------------------------------------------------------------ */

/* So many lines or rows between two looks at whether the text is to be written, and room for them
 * and what may be there: once a part of a bill is written, memory must not run out. */
enum { RENDER_AT_ONCE = 512, RENDER_ROOM_BYTES = 2 * 1024 * 1024 };

/* What is written as a whole. */
static size_t whole_text_bytes(const struct texts *texts)
{
    return texts->bills.size + texts->closing.size + texts->exclusions.size;
}

/* Text is in buffers that hold others' too, and double: it is charged as if they were empty.
 * rows: of lines and usage, NONE: more than are rendered at once. */
static void charge_texts(struct arena *arena, size_t whole_bytes, uint32_t rows)
{
    enum { DOUBLING = 4, ROW_BYTES = 1024 };
    arena_charge(arena, DOUBLING * whole_bytes);
    arena_charge(arena, rows == NONE ? 2 * RENDER_ROOM_BYTES : (size_t)rows * ROW_BYTES);
}

static enum status write_lines(struct worker *worker, struct texts *texts, const struct bill *bill)
{
    for (uint32_t i = 0; i < bill->line_count; i += RENDER_AT_ONCE) {
        uint32_t left = bill->line_count - i;
        render_lines_csv(worker->settle.writer, &texts->lines, bill, i,
                         left < RENDER_AT_ONCE ? left : RENDER_AT_ONCE);
        TRY(texts_write_when_full(worker, texts));
    }
    return OK;
}

/* A cut of a payer on its way from records to text. */
struct settling {
    struct period cut;
    bool is_first, is_last; /* of the payer's cuts */
    struct book book;
    struct book_view view;
    struct samples samples;
    struct pricing pricing;
    struct priced priced;
    struct cut_values cut_values;
    struct bill bill;
};

/* From its records to the bill. */
static enum status bill_cut(struct worker *worker, struct job *job, struct settling *s,
                            struct error *err)
{
    struct run *run = worker->run;
    struct arena *arena = &worker->scratch;
    struct book *book = &s->book;
    TRY(fold_cut(worker, job, s->cut, s->is_first, book, &s->pricing, err));
    if (!job->rehearses) {
        TRY(wait_when_heavy(worker, job, book->row_count));
    }
    if (!worker->settle.is_booked && !job->rehearses) {
        book_totals(book, &run->series, worker->settle.booked_totals, run->catalog->meter_count);
        worker->settle.is_booked = true;
    }
    s->view = payer_view(run, &s->pricing);
    s->samples = (struct samples){.records = &job->records};
    if (run->has_samples) {
        TRY(samples_read(worker, &job->records, &s->view, s->is_first, book, &s->samples, err));
    }
    TRY(book_close(book, &s->view, err));
    struct issued issued = {NULL, 0};
    if (run->issued.line_count > 0) {
        TRY(payer_find_issued(run, arena, job->payer, s->cut, &issued, err));
    }
    if (run->catalog->has_frozen) {
        s->pricing.covered = bill_covered(arena, &issued, &s->pricing.covered_count);
    }
    TRY(price_payer(arena, &s->pricing, book->rows, book->row_count, &s->priced, err));
    if (run->catalog->has_thresholds) {
        TRY(threshold_close(arena, &s->pricing, &s->priced, err));
    }
    s->cut_values = (struct cut_values){.count = 0};
    if (run->catalog->has_one_value_meters) {
        cut_values_find(arena, book, &s->pricing, &s->priced, &s->cut_values);
    }
    return bill_make(arena, &s->pricing, book->rows, book->row_count, book->excluded.items,
                     book->excluded.count, &s->priced, &issued, &s->bill, err);
}

/* What ends a turn of billing that the cut is but a part of; and the bills of views by source. */
static enum status bill_beyond(struct worker *worker, struct job *job, struct settling *s,
                               struct error *err)
{
    const struct run *run = worker->run;
    const struct book *book = &s->book;
    bool is_unfinished = s->pricing.turn.to > s->cut.to;
    struct turn_to_end whole;
    bool has_whole = is_unfinished && job->part + 1 == job->part_count && run->has_pending;
    if (has_whole) {
        TRY(pending_find(&worker->scratch, &s->pricing, book->rows, book->row_count, &s->priced,
                         &whole, &s->bill, err));
    }
    if (!s->is_last) {
        payer_hand_over(worker, &s->pricing, &s->priced, &s->book, &job->handover);
    }
    const struct source_cut cut = {.pricing = &s->pricing,
                                   .priced = &s->priced,
                                   .rows = book->rows,
                                   .row_count = book->row_count,
                                   .bill = &s->bill,
                                   .whole = has_whole ? &whole : NULL,
                                   .is_first = s->is_first,
                                   .is_last = s->is_last};
    return sourced_price(worker, job->sourced, &cut, job->inputs, err);
}

static bool is_nothing(const struct settling *s)
{
    return s->bill.line_count == 0 && s->bill.excluded_count == 0 && s->bill.row_count == 0 &&
           s->priced.closing_count == 0 && s->book.kept.count == 0 && s->book.left.count == 0;
}

static enum status write_usage(struct worker *worker, struct texts *texts, const struct settling *s,
                               struct text payer)
{
    const struct book *book = &s->book;
    for (uint32_t i = 0; i < book->row_count; i += RENDER_AT_ONCE) {
        uint32_t left = book->row_count - i;
        render_usage_csv(worker->settle.writer, &texts->usage, &s->pricing, payer, book->rows + i,
                         left < RENDER_AT_ONCE ? left : RENDER_AT_ONCE);
        TRY(texts_write_when_full(worker, texts));
    }
    return OK;
}

/* text_bytes: what there was as a whole before anything of the cut. */
static enum status write_cut(struct worker *worker, const struct job *job, struct settling *s,
                             size_t text_bytes, struct error *err)
{
    const struct run *run = worker->run;
    struct arena *arena = &worker->scratch;
    struct texts *texts = job->texts;
    const struct bill *bill = &s->bill;
    const struct text payer = run->accounts->items[job->payer].id;
    if (s->is_last) {
        struct meter_state *states;
        uint32_t state_count = payer_close_states(run, arena, &s->pricing, &s->book, &states);
        render_closing(&texts->closing, &s->pricing, &s->priced, states, state_count);
    }
    struct buffer key = {0};
    const instant turn_to = s->pricing.turn.to;
    bool samples_stay = s->is_last && samples_go_on(&s->book, &s->view, turn_to);
    if (samples_stay) {
        arena_charge(arena, RENDER_ROOM_BYTES);
        buffer_init(&key, arena, 2 * ATTRIBUTE_MAX_BYTES);
        (void)buffer_reserve(&texts->closing, RENDER_ROOM_BYTES);
    }
    render_exclusions_csv(&texts->exclusions, run->catalog, run->accounts, payer, bill->contract,
                          bill->excluded, bill->excluded_count);
    if (bill->line_count > 0) {
        render_bill_json(worker->settle.writer, &texts->bills, run->catalog, run->accounts, bill,
                         job->inputs);
    }
    bool is_long = bill->line_count > RENDER_AT_ONCE || s->book.row_count > RENDER_AT_ONCE;
    charge_texts(arena, whole_text_bytes(texts) - text_bytes,
                 is_long ? NONE : bill->line_count + s->book.row_count);
    if (is_long) {
        (void)buffer_reserve(&texts->lines, RENDER_ROOM_BYTES);
        (void)buffer_reserve(&texts->usage, RENDER_ROOM_BYTES);
    }
    TRY(write_lines(worker, texts, bill));
    TRY(write_usage(worker, texts, s, payer));
    if (samples_stay) {
        TRY(samples_close(worker, &s->samples, &s->pricing, &s->book, &s->view, turn_to, &key,
                          texts, err));
    }
    return OK;
}

/* Folds, prices and bills one payer for one cut; nothing is written when it fails. */
static enum status settle_cut(struct worker *worker, struct job *job, struct period cut,
                              bool is_first, bool is_last, struct error *err)
{
    const size_t text_bytes = whole_text_bytes(job->texts);
    struct settling s;
    s.cut = cut;
    s.is_first = is_first;
    s.is_last = is_last;
    TRY(bill_cut(worker, job, &s, err));
    if (job->rehearses) {
        payer_hand_over(worker, &s.pricing, &s.priced, &s.book, &job->handover);
        return OK;
    }
    if (worker->run->taxes) {
        payer_count_taxes(worker, &s.priced);
    }
    if (job->part_count > 1) {
        s.bill.parts = job->parts;
        s.bill.part_count = job->part + 1;
    }
    TRY(bill_beyond(worker, job, &s, err));
    if (is_last) {
        payer_pass_levels(worker->run, job->payer, &job->texts->closing);
    }
    if (is_nothing(&s)) {
        tell_known(worker, job, &s.bill);
        return sourced_keep(worker, job->sourced);
    }
    TRY(write_cut(worker, job, &s, text_bytes, err));
    /* Nothing takes memory from here on. */
    cut_values_count(worker, &s.cut_values);
    tell_known(worker, job, &s.bill);
    count_bill(worker, &s.bill, s.book.rows, s.book.row_count);
    if (s.book.row_count > 0) {
        note_usage(worker->run, job->payer);
    }
    return sourced_keep(worker, job->sourced);
}

/* Takes a bill back that was issued for a time that is not billed now. */
static enum status take_back(struct worker *worker, struct job *job, struct period period,
                             struct error *err)
{
    const struct run *run = worker->run;
    struct arena *arena = &worker->scratch;
    struct texts *texts = job->texts;
    if (job->view != NONE) {
        return sourced_take_back(worker, job->sourced, job->view, period, job->inputs, err);
    }
    struct bill bill;
    TRY(taken_back_make(run, arena, job->payer, period, &bill, err));
    TRY(wait_when_heavy(worker, job, bill.line_count));
    const size_t text_bytes = whole_text_bytes(texts);
    render_bill_json(worker->settle.writer, &texts->bills, run->catalog, run->accounts, &bill,
                     job->inputs);
    const bool is_long = bill.line_count > RENDER_AT_ONCE;
    charge_texts(arena, whole_text_bytes(texts) - text_bytes, is_long ? NONE : bill.line_count);
    if (is_long) {
        (void)buffer_reserve(&texts->lines, RENDER_ROOM_BYTES);
    }
    TRY(write_lines(worker, texts, &bill));
    payer_count_bill(worker, &bill);
    return OK;
}

/* ---- who is billed, and who is not ----------------------------------------------------------- */

bool payer_is_settled(const struct run *run, uint32_t payer)
{
    const struct accounts *accounts = run->accounts;
    uint32_t view = accounts_view(accounts, payer);
    return view == NONE
               ? accounts->view_count == 0 || payer != accounts->nobody
               : accounts->views[view].buyer == payer &&
                     run->catalog->contracts[accounts->views[view].contract].source == NONE;
}

bool payer_pays(const struct run *run, uint32_t account)
{
    for (instant at = run->period.from, next; at < run->cuts_end; at = next) {
        if (accounts_payer(run->accounts, account, at) == account) {
            return true;
        }
        (void)accounts_edge(run->accounts, run->catalog, account, at, &next);
    }
    return false;
}

void payer_settle_excluded(struct worker *worker, struct text payer, struct text contract,
                           struct records records, struct texts *texts)
{
    const struct run *run = worker->run;
    struct book book;
    book_init(&book, &worker->scratch, 0);
    struct cursor cursor = cursor_at(&records, &worker->err);
    for (const struct record *at; (at = cursor_next(&cursor));) {
        book_fold(&book, at, &run->series, run->catalog);
    }
    if (cursor.status != OK) {
        worker_fail(worker, cursor.status);
        return;
    }
    book_totals(&book, &run->series, worker->settle.booked_totals, run->catalog->meter_count);
    struct book_view view = {.series = &run->series,
                             .catalog = run->catalog,
                             .accounts = run->accounts,
                             .payer = NONE,
                             .base = run->period.from,
                             .cut = run->period};
    enum status status = book_close(&book, &view, &worker->err);
    assert(status == OK); /* it has no rows */
    (void)status;
    for (uint32_t i = 0; i < book.excluded.count; i++) {
        worker->settle.excluded[book.excluded.items[i].reason] +=
            book.excluded.items[i].total.count;
    }
    render_exclusions_csv(&texts->exclusions, run->catalog, run->accounts, payer, contract,
                          book.excluded.items, book.excluded.count);
}

/* ---- attempts: where memory lacks, and what fails -------------------------------------------- */

/* A cut failed, and those behind it depend on it: their events are counted, so that conservation
 * holds, and not billed. */
static void leave_cuts(struct worker *worker, uint32_t payer, struct period failed, bool is_first,
                       struct records records)
{
    const struct run *run = worker->run;
    struct cursor cursor = cursor_at(&records, &worker->err);
    for (const struct record *record; (record = cursor_next(&cursor));) {
        struct period cut;
        instant at = record_instant(run, record);
        bool is_failed = record_is_of_cut(run, payer, record, failed, is_first);
        bool is_behind = !is_failed && run_cut(run, payer, at, &cut) && at >= failed.to;
        if (is_behind || (is_failed && !worker->settle.is_booked)) {
            total_count(&worker->settle.booked_totals[meter_of_record(run, record)], record);
        }
    }
    if (cursor.status != OK) {
        worker_fail(worker, cursor.status);
    }
}

enum found { FOUND_ROOM, FOUND_NONE, FOUND_NO_TURN, FOUND_LIMIT };

static void set_recover(struct worker *worker, jmp_buf *recover)
{
    worker->scratch.recover = worker->output.recover = recover;
    worker->shelf.recover = worker->handed.recover = recover;
}

/* settle_cut, divide_cut or take_back.  *found: memory; else all is as before: no memory, or no
 * turn of the output for one that needs much; or it is more than a payer may take, whoever else
 * takes what. */
static enum status try_cut(struct worker *worker, struct job *job, struct period cut, bool is_first,
                           bool is_last, enum found *found, struct error *err)
{
    size_t sizes[TEXTS];
    for (enum text_kind i = 0; i < TEXTS; i++) {
        sizes[i] = texts_buffer(job->texts, i)->size;
    }
    const uint64_t write_count = job->texts->write_count;
    const struct handover handover = job->handover;
    const struct arena_mark shelf_mark = arena_mark(&worker->shelf);
    jmp_buf here, *outer = worker->scratch.recover;
    enum status status;
    assert(!worker->scratch.current);
    job->needs_turn = false;
    *found = FOUND_ROOM;
    worker->settle.is_trying = true;
    if (setjmp(here) == 0) {
        set_recover(worker, &here);
        worker->scratch.charge_max_bytes = worker->run->room.payer_bytes;
        status = job->divides      ? divide_cut(worker, job, cut, is_first, err)
                 : job->takes_back ? take_back(worker, job, cut, err)
                                   : settle_cut(worker, job, cut, is_first, is_last, err);
    } else if (job->texts->write_count == write_count) {
        for (enum text_kind i = 0; i < TEXTS; i++) {
            texts_buffer(job->texts, i)->size = sizes[i];
        }
        job->handover = handover;
        status = ERR_LIMIT;
        *found = job->needs_turn                          ? FOUND_NO_TURN
                 : arena_is_overcharged(&worker->scratch) ? FOUND_LIMIT
                                                          : FOUND_NONE;
    } else {
        /* A part of the bill is written already. */
        set_recover(worker, outer);
        arena_run_out(&worker->scratch);
    }
    set_recover(worker, outer);
    worker->settle.is_trying = false;
    worker->scratch.charge_max_bytes = SIZE_MAX;
    arena_rewind(&worker->scratch, ARENA_EMPTY);
    arena_rewind(&worker->shelf, shelf_mark);
    if (*found != FOUND_ROOM) {
        arena_trim(&worker->scratch);
    }
    return status;
}

/* A payer that finds less memory than it may take is tried again when all of that is there. */
static enum status settle_with_room(struct worker *worker, struct job *job, struct period cut,
                                    bool is_first, bool is_last, struct error *err)
{
    const struct run *run = worker->run;
    enum found found;
    enum status status = try_cut(worker, job, cut, is_first, is_last, &found, err);
    if (found == FOUND_NO_TURN) {
        TRY(texts_take_turn(worker, job->texts));
        status = try_cut(worker, job, cut, is_first, is_last, &found, err);
    }
    if (found == FOUND_NONE) {
        TRY(texts_take_turn(worker, job->texts));
        TRY(gate_begin_alone(worker));
        found = FOUND_ROOM;
        status = texts_write(worker, job->texts);
        if (status == OK) {
            texts_clear(worker, job->texts);
            status = try_cut(worker, job, cut, is_first, is_last, &found, err);
        }
        gate_end_alone(worker);
        gate_enter(worker);
    }
    if (found == FOUND_ROOM && status == OK) {
        return texts_pass_on_when_full(worker, job->texts);
    }
    if (found != FOUND_ROOM) {
        struct total total = {0};
        struct cursor cursor = cursor_at(&job->records, err);
        for (const struct record *at; (at = cursor_next(&cursor));) {
            total_count(&total, at);
        }
        TRY(cursor.status);
        (void)fail(err, ERR_LIMIT,
                   "its usage of %" PRIu64 " events does not fit into what is left of %zu MiB: "
                   "allow more with --memory",
                   total.count, run->env->memory_asked_bytes >> 20);
    }
    return status;
}

/* ---- all cuts of a payer --------------------------------------------------------------------- */

/* What was billed now, of a run that takes back what was issued for other times. */
struct billed {
    struct period *items;
    uint32_t count, capacity;
};

static void add_billed(struct worker *worker, struct billed *billed, struct period part)
{
    if (!worker->run->takes_back) {
        return;
    }
    billed->items = arena_room(&worker->handed, billed->items, billed->count, &billed->capacity,
                               sizeof *billed->items);
    billed->items[billed->count++] = part;
}

/* Text is made last, and what can fail then is the output: that ends the run, and the worker has
 * failed. */
static bool ends_run(struct worker *worker, enum status status, const struct error *err)
{
    if (status != ERR_CORRUPT && status != ERR_IO && worker->err.status == OK) {
        return false;
    }
    worker->err = worker->err.status != OK ? worker->err : *err;
    worker_fail(worker, worker->err.status);
    return true;
}

/* False when the output has failed, and with it the worker. */
static bool take_back_all(struct worker *worker, struct job *job, uint32_t payer,
                          const struct billed *billed)
{
    struct period *periods;
    struct error err = {0};
    uint32_t count = taken_back_find(worker->run, &worker->handed, payer, billed->items,
                                     billed->count, &periods);
    enum status status = count > 0 ? unbilled_check(worker->run, payer, &err) : OK;
    bool is_torn = billed->count > 0;
    for (uint32_t i = 0; i < count && status == OK; i++) {
        status = settle_with_room(worker, job, periods[i], false, false, &err);
        is_torn |= status == OK;
    }
    if (ends_run(worker, status, &err)) {
        return false;
    }
    if (status != OK) {
        payer_fail(worker, payer, &err, is_torn);
    }
    return true;
}

/* The payer's bills of other times, and those of views that stand on it.  Of one that
 * cannot be billed nothing is written in the end, here or for other periods (correct.c). */
static bool take_back_bills(struct worker *worker, struct job *job, const struct billed *billed)
{
    const struct run *run = worker->run;
    job->takes_back = true;
    job->view = NONE;
    bool is_good = take_back_all(worker, job, job->payer, billed);
    for (uint32_t i = 0; i < job->sourced->count && is_good; i++) {
        const struct sourced *item = &job->sourced->items[i];
        job->view = i;
        is_good = item->has_failed ||
                  take_back_all(worker, job, run->accounts->views[item->view].buyer, billed);
    }
    return is_good;
}

/* Of a payer without a cut in the run: what waits for it is passed on.  False when the worker has
 * failed. */
static bool pass_on(struct worker *worker, const struct job *job)
{
    const struct run *run = worker->run;
    const uint32_t payer = job->payer;
    payer_pass_opening(run, payer, &job->texts->closing);
    payer_settle_excluded(worker, run->accounts->items[payer].id,
                          bill_contract(run->catalog, run->accounts, payer), job->records,
                          job->texts);
    sourced_pass(worker, job->sourced);
    arena_rewind(&worker->scratch, ARENA_EMPTY);
    if (run_holds(run, payer) &&
        waiting_close(worker, payer, &job->records, job->texts, &worker->err) != OK) {
        worker_fail(worker, worker->err.status);
        return false;
    }
    arena_rewind(&worker->scratch, ARENA_EMPTY);
    return true;
}

/* Bills a cut in its parts.  *part gets the one that was tried last, or the cut. */
static enum status settle_parts(struct worker *worker, struct job *job, const struct period *cut,
                                bool is_first, bool is_last, struct billed *billed,
                                struct period *part, struct error *err)
{
    *part = *cut;
    worker->settle.is_booked = false;
    TRY(unbilled_check(worker->run, job->payer, err));
    job->parts = cut;
    job->part_count = 1;
    job->part = 0;
    if (worker->run->catalog->has_thresholds) {
        job->divides = true;
        TRY(settle_with_room(worker, job, *cut, is_first, false, err));
        job->divides = false;
    }
    for (; job->part < job->part_count; job->part++) {
        *part = job->parts[job->part];
        worker->settle.is_booked = false;
        TRY(settle_with_room(worker, job, *part, is_first && job->part == 0,
                             is_last && job->part + 1 == job->part_count, err));
        sourced_next(worker, job->sourced);
        add_billed(worker, billed, *part);
    }
    return OK;
}

/* The payer could not be billed for a part of a cut: nor is it for what is behind that. */
static void leave_unbilled(struct worker *worker, struct job *job, struct period part,
                           bool is_first, instant end, bool is_torn, const struct error *err)
{
    const struct run *run = worker->run;
    payer_fail(worker, job->payer, err, is_torn);
    leave_cuts(worker, job->payer, part, is_first, job->records);
    struct period failed = {part.from, end}; /* before, it was billed */
    render_closing_failed(&job->texts->closing, run->catalog, run->accounts, job->payer, failed);
    sourced_close(worker, job->sourced, failed, true);
}

void payer_settle(struct worker *worker, uint32_t payer, struct records records, struct text inputs,
                  struct texts *texts)
{
    const struct run *run = worker->run;
    struct period whole = run->period;
    const struct period *cuts = &whole;
    uint32_t cut_count = 1;
    if (run->has_cuts) {
        cuts = run->cuts + run->cut_first[payer];
        cut_count = run->cut_first[payer + 1] - run->cut_first[payer];
    }
    struct sourced_views sourced = sourced_open(worker, payer);
    struct billed billed = {0};
    struct job job = {
        .payer = payer, .records = records, .inputs = inputs, .texts = texts, .sourced = &sourced};
    if (cut_count == 0 && !pass_on(worker, &job)) {
        return;
    }
    for (uint32_t i = 0; i < cut_count; i++) {
        struct error err;
        err.status = OK; /* its texts are long, and seldom needed */
        err.message[0] = err.hint[0] = '\0';
        struct period part;
        enum status status =
            settle_parts(worker, &job, &cuts[i], i == 0, i + 1 == cut_count, &billed, &part, &err);
        if (status != OK) {
            if (!ends_run(worker, status, &err)) {
                leave_unbilled(worker, &job, part, i == 0 && job.part == 0, cuts[cut_count - 1].to,
                               billed.count > 0, &err);
            }
            return;
        }
    }
    if (run->takes_back && run->issued.line_count > 0 && !take_back_bills(worker, &job, &billed)) {
        return;
    }
    if (cut_count > 0) {
        sourced_close(worker, &sourced, (struct period){cuts[0].from, cuts[cut_count - 1].to},
                      false);
    }
}

/* ---- wallets, turn by turn ------------------------------------------------------------------- */

/* Of each payer between which accounts move: its records, and what its cuts hand over. */
struct rehearsal {
    struct worker *worker;
    struct arena *arena;
    uint32_t *index; /* by payer: in payers, of those */
    struct rehearsed {
        struct job job;
        struct period cut;
    } * payers;
    struct sorted *sorted; /* their records */
    struct texts texts;
    bool is_out; /* of memory */
};

static uint32_t rehearsal_group(const void *context, const struct record *record)
{
    const struct rehearsal *rehearsal = context;
    return rehearsal->index[record_payer(rehearsal->worker->run, record)];
}

static enum status rehearse(struct rehearsal *rehearsal, struct job *job, struct period cut,
                            bool is_first, struct error *err)
{
    enum found found;
    enum status status = try_cut(rehearsal->worker, job, cut, is_first, false, &found, err);
    if (found == FOUND_NONE) { /* not the payer's fault: nothing goes on */
        rehearsal->is_out = true;
        return fail(err, ERR_IO, "no memory");
    }
    return found == FOUND_ROOM ? status : fail(err, ERR_LIMIT, "it does not fit");
}

static enum status rehearse_cut(void *context, uint32_t payer, struct period cut, bool is_first,
                                struct handover *left, struct error *err)
{
    struct rehearsal *rehearsal = context;
    struct worker *worker = rehearsal->worker;
    struct rehearsed *of = &rehearsal->payers[rehearsal->index[payer]];
    struct job *job = &of->job;
    of->cut = cut;
    TRY(unbilled_check(worker->run, payer, err));
    job->parts = &of->cut;
    job->part_count = 1;
    job->part = 0;
    job->divides = worker->run->catalog->has_thresholds;
    if (job->divides) {
        TRY(rehearse(rehearsal, job, cut, is_first, err));
    }
    job->divides = false;
    for (; job->part < job->part_count; job->part++) {
        TRY(rehearse(rehearsal, job, job->parts[job->part], is_first && job->part == 0, err));
    }
    *left = job->handover;
    return OK;
}

/* Into a file, as they may be any number. */
static enum status sort_records(struct run *run, struct rehearsal *rehearsal, uint32_t count,
                                struct error *err)
{
    enum { ROOM_SHARE = 16, ROOM_MOST_BYTES = 32 * 1024 * 1024 };
    struct worker *worker = rehearsal->worker;
    size_t room_bytes = run->memory_bytes / ROOM_SHARE;
    room_bytes = room_bytes < ROOM_MOST_BYTES ? room_bytes : ROOM_MOST_BYTES;
    worker->settle.order = (struct record_order){&run->series, run->catalog, !run->has_samples};
    sorted_new(run->env, rehearsal->arena, run->config->temporary_folder, room_bytes, count,
               &worker->settle.order, rehearsal_group, rehearsal, &rehearsal->sorted);
    for (uint32_t p = 0; p < run->book_partitions; p++) {
        const uint32_t end = partition_first_payer(run, p + 1);
        bool is_needed = false;
        for (uint32_t i = partition_first_payer(run, p); i < end && !is_needed; i++) {
            is_needed = run->moves.is_party[i];
        }
        if (is_needed) {
            TRY(partition_copy(worker, p, run->moves.is_party, rehearsal->sorted));
        }
    }
    return sorted_merge(rehearsal->sorted, err);
}

static enum status rehearse_all(struct run *run, struct rehearsal *rehearsal, struct error *err)
{
    const uint32_t payers = run->accounts->count;
    uint32_t count = 0;
    rehearsal->index = arena_calloc(rehearsal->arena, payers + 1u, sizeof *rehearsal->index);
    for (uint32_t i = 0; i < payers; i++) {
        rehearsal->index[i] = count;
        count += run->moves.is_party[i];
    }
    rehearsal->payers = arena_calloc(rehearsal->arena, count + 1u, sizeof *rehearsal->payers);
    TRY(sort_records(run, rehearsal, count, err));
    for (uint32_t i = 0; i < payers; i++) {
        if (!run->moves.is_party[i]) {
            continue;
        }
        struct job *job = &rehearsal->payers[rehearsal->index[i]].job;
        *job =
            (struct job){.payer = i, .texts = &rehearsal->texts, .rehearses = true, .view = NONE};
        job->records.sorted = rehearsal->sorted;
        job->records.unit_count = sorted_units(rehearsal->sorted, rehearsal->index[i]);
        sorted_group(rehearsal->sorted, rehearsal->index[i], &job->records.first,
                     &job->records.stop);
    }
    return wallets_rehearse(run, INSTANT_MAX, rehearse_cut, rehearsal, err);
}

/* The one recovery point: what it needs after running out is behind a pointer. */
static enum status rehearse_guarded(struct run *run, struct rehearsal *rehearsal)
{
    struct worker *worker = rehearsal->worker;
    jmp_buf recover;
    if (ARENA_RECOVER(rehearsal->arena, recover)) {
        return ERR_LIMIT;
    }
    set_recover(worker, &recover);
    return rehearse_all(run, rehearsal, &worker->err);
}

enum status payers_rehearse(struct run *run)
{
    if (!run->moves.is_party) {
        return OK;
    }
    struct worker *worker = &run->workers[0];
    struct arena arena;
    struct rehearsal rehearsal = {.worker = worker, .arena = &arena};
    arena_init(&arena, &run->env->memory, 0);
    enum status status = rehearse_guarded(run, &rehearsal);
    sorted_free(rehearsal.sorted);
    arena_release(&arena);
    arena_rewind(&worker->scratch, ARENA_EMPTY);
    arena_rewind(&worker->handed, ARENA_EMPTY);
    if (status == ERR_LIMIT || rehearsal.is_out) {
        return fail_memory(run->err, run->env->memory_asked_bytes,
                           " while credits or gauges are followed that go along with accounts from "
                           "payer to payer",
                           ", or bill turn by turn, each with the closing of the one before as "
                           "--opening");
    }
    if (status != OK) {
        *run->err = worker->err;
    }
    return status;
}
