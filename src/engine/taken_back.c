/* taken_back.c - bills that were issued for times in which nothing is billed now.
 *
 *     folders of a closed period --> lines by (payer, period of their bill)
 *                                      of a period that is billed now:  the difference   (payer.c)
 *                                      of another one:                  all of it goes   (here)
 *
 * The turns of a payer's bills are others when a contract's own billing is learned of late.  A bill
 * of a turn that is none any more is taken back as what it was: under its id, for its time, line by
 * line; the new turns are billed as if they had been known from the start.  So the bills under one
 * id always add up to what is billed for its time, or to nothing, in whatever order corrections
 * come.
 *
 * All periods together are right, since each of them then has the turns that are its own.  One
 * alone is not when a turn reaches from it into another: its time would be on two bills, or on
 * none.  For the same reason a payer that cannot be billed for one of them is billed for none
 * (hold_torn, correct.c).
 */
#include <stdlib.h>

#include "engine/issued.h"
#include "engine/load.h"
#include "engine/payer.h"
#include "engine/restatement.h"

static int compare_ids(const void *a_item, const void *b_item)
{
    const struct line *const *a = a_item, *const *b = b_item;
    return hash_compare((*a)->id, (*b)->id);
}

/* Whether lines of one id add up to something, be it events alone. */
static bool is_something(const struct line *const *lines, uint32_t count)
{
    struct dec quantity = DEC_ZERO, exact = DEC_ZERO, amount = DEC_ZERO, list = DEC_ZERO;
    uint64_t events = 0, print = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (dec_add(quantity, lines[i]->quantity, &quantity, NULL) != OK ||
            dec_add(exact, lines[i]->exact, &exact, NULL) != OK ||
            dec_add(amount, lines[i]->amount, &amount, NULL) != OK ||
            dec_add(list, lines[i]->list, &list, NULL) != OK) {
            return true;
        }
        events += lines[i]->events;
        print += lines[i]->print;
    }
    return !dec_is_zero(quantity) || !dec_is_zero(exact) || !dec_is_zero(amount) ||
           !dec_is_zero(list) || events != 0 || print != 0;
}

bool taken_back_stands(const struct run *run, struct arena *arena, uint32_t first, uint32_t end)
{
    struct arena_mark mark = arena_mark(arena);
    const uint32_t count = end - first;
    const struct line **lines = arena_alloc(arena, count * sizeof *lines);
    for (uint32_t i = 0; i < count; i++) {
        lines[i] = &run->issued.lines[first + i].line;
    }
    qsort(lines, count, sizeof *lines, compare_ids);
    bool stands = false;
    for (uint32_t i = 0, next; i < count && !stands; i = next) {
        for (next = i + 1; next < count && hash_equal(lines[next]->id, lines[i]->id);) {
            next++;
        }
        stands = is_something(lines + i, next - i);
    }
    arena_rewind(arena, mark);
    return stands;
}

static bool is_among(struct period period, const struct period *periods, uint32_t count)
{
    bool is_one = false;
    for (uint32_t i = 0; i < count && !is_one; i++) {
        is_one = period_equal(periods[i], period);
    }
    return is_one;
}

uint32_t taken_back_find(const struct run *run, struct arena *arena, uint32_t payer,
                         const struct period *billed, uint32_t billed_count,
                         struct period **periods)
{
    const uint32_t first = issued_first(run, payer);
    uint32_t bills = 0, count = 0;
    for (uint32_t at = first, end; issued_next(run, payer, at, &end); at = end) {
        bills++;
    }
    *periods = bills > 0 ? arena_alloc(arena, bills * sizeof **periods) : NULL;
    for (uint32_t at = first, end; issued_next(run, payer, at, &end); at = end) {
        struct period period = run->issued.lines[at].period;
        if (!is_among(period, billed, billed_count) && taken_back_stands(run, arena, at, end)) {
            (*periods)[count++] = period;
        }
    }
    return count;
}

enum status taken_back_make(const struct run *run, struct arena *arena, uint32_t payer,
                            struct period period, struct bill *bill, struct error *err)
{
    struct issued issued;
    struct pricing pricing;
    struct priced nothing = {0};
    TRY(payer_find_issued(run, arena, payer, period, &issued, err));
    run_pricing(run, arena, payer, period, &pricing);
    pricing.member_count = 0; /* whose contracts may be in another currency now */
    TRY(pricing_money(&pricing, &nothing.money, err));
    return bill_make(arena, &pricing, NULL, 0, NULL, 0, &nothing, &issued, bill, err);
}

/* ---- whether all periods are there ----------------------------------------------------------- */

/* Of what was issued to a payer for this period and still stands: from when to when it is, and the
 * first of the bills that are of no cut now. */
struct standing {
    struct period whole, first_other;
    bool has_other;
};

static bool is_of_cut(const struct run *run, struct period period, const struct period *cuts,
                      uint32_t cut_count)
{
    const bool has_parts = run->catalog->has_thresholds;
    bool is_one = false;
    for (uint32_t i = 0; i < cut_count && !is_one; i++) {
        bool is_inside = cuts[i].from <= period.from && period.to <= cuts[i].to;
        is_one = period_equal(cuts[i], period) || (has_parts && is_inside);
    }
    return is_one;
}

/* Whether a bill is of no cut: nearly all are, and need no look at their lines. */
static bool has_others(const struct run *run, uint32_t payer, uint32_t first,
                       const struct period *cuts, uint32_t cut_count)
{
    bool has = false;
    for (uint32_t at = first, end; !has && issued_next(run, payer, at, &end); at = end) {
        has = !is_of_cut(run, run->issued.lines[at].period, cuts, cut_count);
    }
    return has;
}

static struct standing find_standing(struct run *run, uint32_t payer, uint32_t first,
                                     const struct period *cuts, uint32_t cut_count)
{
    struct arena *arena = &run->workers[0].scratch;
    struct standing standing = {.whole = {INSTANT_MAX, INSTANT_MIN}};
    for (uint32_t at = first, end; issued_next(run, payer, at, &end); at = end) {
        struct period period = run->issued.lines[at].period;
        if (!taken_back_stands(run, arena, at, end)) {
            continue;
        }
        standing.whole.from = period.from < standing.whole.from ? period.from : standing.whole.from;
        standing.whole.to = period.to > standing.whole.to ? period.to : standing.whole.to;
        if (!standing.has_other && !is_of_cut(run, period, cuts, cut_count)) {
            standing.has_other = true;
            standing.first_other = period;
        }
    }
    return standing;
}

/* from: when the turn begins that has a part of that time now. */
static enum status fail_before(const struct run *run, uint32_t payer, struct period issued,
                               instant from)
{
    char texts[3][TIME_FORMAT_MAX];
    (void)time_format_short(issued.from, texts[0]);
    (void)time_format_short(issued.to, texts[1]);
    (void)time_format_short(from, texts[2]);
    (void)fail(run->err, ERR_INPUT,
               "%.*s was billed for %s to %s, and its bills lie in other turns now: one begins %s, "
               "before this period",
               TEXT_ARG(run->accounts->items[payer].id), texts[0], texts[1], texts[2]);
    const char *opening = run->options->opening;
    if (opening && strcmp(opening, "none") != 0) {
        return fail_hint(run->err, "name the closed folders of all periods from %s on, too",
                         texts[2]);
    }
    char to[TIME_FORMAT_MAX]; /* it may be the first period of all */
    (void)time_format_short(run->period.from, to);
    return fail_hint(run->err,
                     "name the closed folders of all periods from %s on, too; where nothing was "
                     "billed before, bill that time first, as it was known then: farthing bill "
                     "--period %s/%s --opening none",
                     texts[2], texts[2], to);
}

/* from: when its bills begin now, before those that were issued. */
static enum status fail_between(const struct run *run, uint32_t payer, struct period issued,
                                instant from)
{
    char texts[2][TIME_FORMAT_MAX];
    (void)time_format_short(issued.from, texts[0]);
    (void)time_format_short(from, texts[1]);
    (void)fail(run->err, ERR_INPUT,
               "%.*s was billed from %s on, and its bills lie in other turns now, that begin %s: "
               "the time between may be on a bill of the period before",
               TEXT_ARG(run->accounts->items[payer].id), texts[0], texts[1]);
    return fail_hint(run->err, "name the closed folders of the period before, too");
}

static enum status fail_behind(const struct run *run, uint32_t payer, instant to)
{
    char text[TIME_FORMAT_MAX];
    (void)time_format_short(to, text);
    (void)fail(run->err, ERR_INPUT,
               "%.*s: its bills lie in other turns now, up to %s, which is behind this period",
               TEXT_ARG(run->accounts->items[payer].id), text);
    return fail_hint(run->err, "name the closed folders of all periods up to then, too");
}

/* Whose bills reach beyond the last period, and up to when. */
struct beyond {
    uint32_t payer, count;
    instant to;
};

static enum status check_payer(struct run *run, uint32_t payer, uint32_t first,
                               struct beyond *beyond)
{
    const struct restatement *restatement = run->restatement;
    const struct period *cuts = &run->period;
    uint32_t cut_count = 1;
    if (run->has_cuts) {
        cuts = run->cuts + run->cut_first[payer];
        cut_count = run->cut_first[payer + 1] - run->cut_first[payer];
    }
    if (!has_others(run, payer, first, cuts, cut_count)) {
        return OK;
    }
    const struct standing standing = find_standing(run, payer, first, cuts, cut_count);
    if (!standing.has_other) {
        return OK;
    }
    if (!run->is_shifted) {
        run->is_shifted =
            arena_calloc(&run->arena, run->accounts->count + 1u, sizeof *run->is_shifted);
    }
    run->is_shifted[payer] = true;
    const struct billing_of billing = run_billing(run, payer);
    const struct period turn = billing_turn(&billing, run->period.from);
    const instant from = cut_count > 0 ? cuts[0].from : turn.to;
    const instant to = cut_count > 0 ? cuts[cut_count - 1].to : turn.to;
    const char *opening = run->options->opening;
    if (!restatement->has_before && standing.whole.from < from) {
        return fail_before(run, payer, standing.first_other, turn.from);
    }
    if (!restatement->has_before && standing.whole.from > from &&
        standing.first_other.from == standing.whole.from &&
        !(opening && strcmp(opening, "none") == 0)) {
        return fail_between(run, payer, standing.first_other, from);
    }
    const instant last = to > standing.whole.to ? to : standing.whole.to;
    if (!restatement->has_behind && to != standing.whole.to && last > run->period.to) {
        if (restatement->has_later) {
            return fail_behind(run, payer, last);
        }
        beyond->payer = beyond->count++ == 0 ? payer : beyond->payer;
        beyond->to = last > beyond->to ? last : beyond->to;
    }
    return OK;
}

enum status taken_back_check(struct run *run)
{
    struct beyond beyond = {.to = INSTANT_MIN};
    if (!run->restatement) {
        return OK;
    }
    run->workers[0].scratch.recover = &run->recover;
    for (uint32_t at = 0, end; at < run->issued.line_count; at = end) {
        const uint32_t payer = run->issued.lines[at].payer;
        TRY(check_payer(run, payer, at, &beyond));
        for (end = at + 1; end < run->issued.line_count && run->issued.lines[end].payer == payer;) {
            end++;
        }
    }
    if (beyond.count > 0) {
        char to[TIME_FORMAT_MAX], others[48] = "";
        (void)time_format_short(beyond.to, to);
        if (beyond.count > 1) {
            (void)snprintf(others, sizeof others, " (and %u others)", beyond.count - 1);
        }
        run_warn(run,
                 "%.*s%s: bills lie in other turns now, up to %s: where a period behind this one "
                 "is closed, name its folders too, or some time is on two bills or on none",
                 TEXT_ARG(run->accounts->items[beyond.payer].id), others, to);
    }
    return OK;
}
