/* carry.c - what a payer's bills begin with, and what they leave to the next.
 *
 *     --opening--> first cut --handover--> next cut ... last cut --closing-->
 *
 * Buckets go on as they are.  Meter states go on with their accounts, which may be another payer's
 * by then: a level goes into the cut in which it is told, and so its line may pass through several
 * runs; a gauge stands in the closing of whom its account was with last as a turn began.  A payer
 * without a cut in the run passes all of it on.
 */
#include "base/sort.h"
#include "engine/opening.h"
#include "engine/payer.h"
#include "engine/unbilled.h"
#include "engine/waiting.h"
#include "engine/wallets.h"

/* ---- into a cut ---- */

static uint32_t first_opening(const struct run *run, uint32_t payer)
{
    return sort_first(run->opening, run->opening_count, sizeof *run->opening,
                      offsetof(struct opening_bucket, payer), payer);
}

uint32_t payer_first_carried(const struct run *run, uint32_t payer)
{
    return sort_first(run->carried.items, run->carried.count, sizeof *run->carried.items,
                      offsetof(struct carried, payer), payer);
}

void payer_find_opening(const struct run *run, uint32_t payer, struct arena *arena,
                        struct pricing *pricing)
{
    uint32_t low = first_opening(run, payer), end = low;
    while (end < run->opening_count && run->opening[end].payer == payer) {
        end++;
    }
    if (end == low) {
        return;
    }
    struct bucket_state *states = arena_alloc(arena, (end - low) * sizeof *states);
    for (uint32_t i = low; i < end; i++) {
        states[i - low] = run->opening[i].state;
    }
    pricing->opening = states;
    pricing->opening_count = end - low;
}

/* A state of an account that is another payer's now is kept for the next bill; so is one that was
 * told to another payer when this turn had begun, whose turns begin at other times. */
static void carry_state(const struct run *run, const struct meter_state *state, uint32_t payer,
                        struct period cut, bool begins_turn, struct book *book)
{
    uint32_t slot_s = (uint32_t)((cut.from - run->period.from) / NS_PER_SECOND);
    const struct series *series = series_at(&run->series, state->series);
    bool is_of_then =
        run->catalog->meters[series->meter].aggregate == AGGREGATE_LATEST && state->at >= cut.from;
    bool is_paid = !is_of_then && accounts_is_paid_by(run->accounts, run->catalog, state->account,
                                                      payer, cut.from);
    book_carry(book, state, slot_s, is_paid, begins_turn, &run->series);
}

/* Meter states that came with the opening, of accounts that this payer pays for: into the payer's
 * first cut.  A level goes into the one that it is told in. */
static void carry_opening(const struct run *run, uint32_t payer, struct period cut, bool is_first,
                          bool begins_turn, struct book *book)
{
    for (uint32_t i = payer_first_carried(run, payer);
         i < run->carried.count && run->carried.items[i].payer == payer; i++) {
        const struct carried *carried = &run->carried.items[i];
        bool takes = is_first;
        if (carried_is_level(run, carried)) {
            takes = carried->state.told < cut.to && (is_first || carried->state.told >= cut.from);
        }
        if (!carried->has_samples && takes) {
            carry_state(run, &carried->state, payer, cut, begins_turn, book);
        }
    }
}

enum status payer_carry_in(const struct run *run, uint32_t payer, struct period cut,
                           const struct handover *before, bool begins_turn, struct book *book,
                           struct error *err)
{
    const struct meter_state **came;
    uint32_t came_count;
    TRY(wallets_gauges(run, book->arena, payer, cut, &came, &came_count, err));
    carry_opening(run, payer, cut, !before, begins_turn, book);
    for (uint32_t i = 0; before && i < before->meter_count; i++) {
        if (wallets_gauge_heir(run, payer, &before->meters[i]) == payer) {
            carry_state(run, &before->meters[i], payer, cut, begins_turn, book);
        }
    }
    for (uint32_t i = 0; i < came_count; i++) {
        carry_state(run, came[i], payer, cut, begins_turn, book);
    }
    return OK;
}

/* ---- from cut to cut ---- */

/* Into memory of its own, since scratch memory goes between cuts. */
void payer_hand_over(struct worker *worker, const struct pricing *pricing,
                     const struct priced *priced, const struct book *book,
                     struct handover *handover)
{
    struct arena *arena = &worker->handed;
    handover->buckets = arena_calloc(arena, priced->closing_count + 1, sizeof *handover->buckets);
    handover->bucket_count = priced->closing_count;
    for (uint32_t i = 0; i < priced->closing_count; i++) {
        handover->buckets[i] = priced->closing[i];
        handover->buckets[i].key = text_copy(arena, priced->closing[i].key);
        uint32_t samples = priced->closing[i].sample_count;
        if (samples > 0) {
            struct dec *copies = arena_alloc(arena, samples * sizeof *copies);
            memcpy(copies, priced->closing[i].samples, samples * sizeof *copies);
            handover->buckets[i].samples = copies;
        }
    }
    struct meter_state *states;
    uint32_t count = 0;
    if (book) {
        struct book_view view = payer_view(worker->run, pricing);
        count = book_states(&worker->scratch, book, &view, pricing->turn.to, true, &states);
    }
    handover->meters = arena_calloc(arena, count + 1, sizeof *handover->meters);
    handover->meter_count = count;
    for (uint32_t i = 0; i < count; i++) {
        handover->meters[i] = states[i];
        handover->meters[i].source = text_copy(arena, states[i].source);
        handover->meters[i].id = text_copy(arena, states[i].id);
    }
}

/* ---- to the next run ---- */

void payer_pass_levels(const struct run *run, uint32_t payer, struct buffer *closing)
{
    for (uint32_t i = payer_first_carried(run, payer);
         i < run->carried.count && run->carried.items[i].payer == payer; i++) {
        const struct carried *carried = &run->carried.items[i];
        if (carried_is_level(run, carried) && !carried->is_copy &&
            run_tells_level(run, carried->state.account, carried->state.told)) {
            buffer_add_text(closing, carried->raw);
            buffer_add_char(closing, '\n');
        }
    }
}

/* When the last of the payer's turns in this run began as which it had the account, if that was
 * behind an instant; else that instant. */
static instant last_had(const struct run *run, uint32_t account, uint32_t payer, instant at)
{
    for (uint32_t i = run->cut_first[payer]; i < run->cut_first[payer + 1]; i++) {
        const instant from = run->cuts[i].from;
        if (from > at && accounts_payer(run->accounts, account, from) == payer) {
            at = from;
        }
    }
    return at;
}

/* A gauge stands in the closing of whom its account was with last as a turn began. */
static bool is_told_elsewhere(const struct run *run, const struct meter_state *state,
                              uint32_t payer)
{
    const struct series *series = series_at(&run->series, state->series);
    if (!run->has_cuts || run->catalog->meters[series->meter].aggregate != AGGREGATE_LATEST) {
        return false;
    }
    const instant own = last_had(run, state->account, payer, state->at);
    bool is_elsewhere = false;
    uint32_t other;
    for (instant at = run->period.from, from = at;
         !is_elsewhere && payers_next(run, state->account, &at, &other); from = at) {
        is_elsewhere = accounts_is_billed(run->accounts, run->catalog, other, from) &&
                       last_had(run, state->account, other, own) > own;
    }
    return is_elsewhere;
}

/* As the run ends: a level goes on where its account is.  Of one that has left, the bill that it
 * went to is told by the events, unless that is of a later run.  That it is nothing is told only
 * where the next run may know what it was within this bill's time. */
uint32_t payer_close_states(const struct run *run, struct arena *arena,
                            const struct pricing *pricing, struct book *book,
                            struct meter_state **states)
{
    struct book_view view = payer_view(run, pricing);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < book->left.count; i++) {
        const struct meter_state *left = &book->left.items[i];
        bool is_needless = dec_is_zero(left->value) && left->told <= run->period.to;
        if (!is_needless && run_tells_level(run, left->account, left->told)) {
            book->left.items[kept++] = *left;
        }
    }
    book->left.count = kept;
    kept = 0;
    for (uint32_t i = 0; i < book->kept.count; i++) {
        const struct meter_state *state = &book->kept.items[i];
        if (!is_told_elsewhere(run, state, pricing->payer)) {
            book->kept.items[kept++] = *state;
        }
    }
    book->kept.count = kept;
    return book_states(arena, book, &view, pricing->turn.to, false, states);
}

void payer_pass_opening(const struct run *run, uint32_t payer, struct buffer *closing)
{
    for (uint32_t i = first_opening(run, payer);
         i < run->opening_count && run->opening[i].payer == payer; i++) {
        buffer_add_text(closing, run->opening[i].raw);
        buffer_add_char(closing, '\n');
    }
    const struct unbilled *unbilled = unbilled_find(run, payer);
    if (unbilled) {
        buffer_add_text(closing, unbilled->raw);
        buffer_add_char(closing, '\n');
    }
    for (uint32_t i = payer_first_carried(run, payer);
         i < run->carried.count && run->carried.items[i].payer == payer; i++) {
        if (!run->carried.items[i].is_copy && !carried_is_level(run, &run->carried.items[i])) {
            buffer_add_text(closing, run->carried.items[i].raw);
            buffer_add_char(closing, '\n');
        }
    }
    payer_pass_levels(run, payer, closing);
}

bool payer_has_opening(const struct run *run, uint32_t payer)
{
    if (run->unbilled.by && run->unbilled.by[payer] != NONE) {
        return true;
    }
    if (run->moves.is_party && run->moves.first[payer] != NONE) {
        return true;
    }
    uint32_t at = first_opening(run, payer), carried = payer_first_carried(run, payer);
    return (at < run->opening_count && run->opening[at].payer == payer) ||
           (carried < run->carried.count && run->carried.items[carried].payer == payer);
}
