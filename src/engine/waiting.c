/* waiting.c - payers that have had no bill yet, and the levels that wait for their first one.
 *
 *     first run, no turn of the payer begins in it --closing--> "waits", and levels as it ends
 *     next run --opening--> these go on, with what changes them until the first turn begins
 *
 * A level is told by the bill before, in its closing.  Of a payer whose turn had begun before all
 * that is billed there is none: the run tells what it knows in its place.  That the payer waits is
 * told too, since changes before its first turn are of no run's bill, and each run has its own.
 */
#include "engine/load.h"
#include "engine/opening.h"
#include "engine/payer.h"
#include "engine/samples.h"
#include "engine/waiting.h"
#include "render/render.h"

bool run_waits(const struct run *run, uint32_t payer)
{
    return run->waits && run->waits[payer];
}

bool run_holds(const struct run *run, uint32_t payer)
{
    return run_waits(run, payer) && run->cut_first[payer] == run->cut_first[payer + 1];
}

/* When the turn begins that is of one run, with all that it lasts; of the calendar's each part is
 * of its own. */
static instant turn_from(const struct run *run, uint32_t payer, instant at)
{
    const struct billing_of of = run_billing(run, payer);
    const instant from = billing_turn(&of, at).from;
    return billing_at(&of, from).is_custom ? from : at;
}

bool run_was_billed(const struct run *run, uint32_t payer, instant at)
{
    return run->has_cuts && !run_waits(run, payer) && turn_from(run, payer, at) < run->period.from;
}

bool run_tells_level(const struct run *run, uint32_t account, instant at)
{
    const uint32_t payer = accounts_payer(run->accounts, account, at);
    return turn_from(run, payer, at) >= run->period.to ||
           (run_holds(run, payer) && at >= run->period.to);
}

void waiting_add(struct run *run, uint32_t payer)
{
    if (!run->waits) {
        run->waits = arena_calloc(&run->arena, run->accounts->count + 1, sizeof *run->waits);
    }
    run->waits[payer] = run->has_cuts;
}

/* Whether it pays for itself at some time from the period on. */
static bool pays_at_all(const struct run *run, uint32_t payer)
{
    for (instant at = run->period.from, next; at < INSTANT_MAX; at = next) {
        if (accounts_payer(run->accounts, payer, at) == payer) {
            return true;
        }
        (void)accounts_edge(run->accounts, run->catalog, payer, at, &next);
    }
    return false;
}

void waiting_find(struct run *run)
{
    bool has_levels = false;
    for (uint32_t i = 0; i < run->catalog->meter_count; i++) {
        const struct meter *meter = &run->catalog->meters[i];
        has_levels |= meter->aggregate == AGGREGATE_TIME_WEIGHTED && meter->carry;
    }
    if (!has_levels || !run->has_cuts || run->opening_digest.size > 0) {
        return;
    }
    for (uint32_t i = 0; i < run->accounts->count; i++) {
        if (run->cut_first[i] == run->cut_first[i + 1] && payer_is_settled(run, i) &&
            pays_at_all(run, i)) {
            waiting_add(run, i);
        }
    }
}

enum status waiting_close(struct worker *worker, uint32_t payer, const struct records *records,
                          struct texts *texts, struct error *err)
{
    const struct run *run = worker->run;
    struct arena *arena = &worker->scratch;
    const struct period end = {run->period.to, run->period.to};
    struct book book;
    struct pricing pricing;
    struct samples samples;
    struct meter_state *states;
    book_init(&book, arena, 0);
    run_pricing(run, arena, payer, end, &pricing);
    for (uint32_t i = payer_first_carried(run, payer);
         i < run->carried.count && run->carried.items[i].payer == payer; i++) {
        const struct carried *carried = &run->carried.items[i];
        if (carried_is_level(run, carried) && carried->state.told < end.to) {
            book_carry(&book, &carried->state, 0, true, true, &run->series);
        }
    }
    struct book_view view = {.series = &run->series,
                             .catalog = run->catalog,
                             .accounts = run->accounts,
                             .payer = payer,
                             .base = run->period.from,
                             .cut = end};
    TRY(samples_read(worker, records, &view, true, &book, &samples, err));
    for (uint32_t i = 0; i < book.level_count; i++) {
        struct level *level = &book.levels[i];
        level->is_with = accounts_is_paid_by(run->accounts, run->catalog, level->state.account,
                                             payer, run_last_second(run));
        level->state.told = end.to;
    }
    const uint32_t count = book_states(arena, &book, &view, end.to, false, &states);
    const struct priced nothing = {0};
    render_closing_waits(&texts->closing, run->catalog, run->accounts, payer, end.to);
    render_closing(&texts->closing, &pricing, &nothing, states, count);
    return OK;
}
