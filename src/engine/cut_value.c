/* cut_value.c - values of a month that a change cuts in two.
 *
 * A maximum of a month inside which its price or contract changes is two maximums, and both are
 * charged: said in the manual (doc/pricing.md, versions), and seldom what was meant.  So it is a
 * warning.  What parts add up to the whole (a sum, a level over time) is none of this, nor what a
 * step makes one value of again.
 */
#include <stdlib.h>

#include "engine/cut_value.h"
#include "engine/payer.h"
#include "engine/run.h"

static bool has_aggregate(const struct price *price)
{
    bool has = false;
    for (uint32_t i = 0; i < price->step_count; i++) {
        has |= price->steps[i].kind == STEP_AGGREGATE;
    }
    return has;
}

/* Whether the row is of a meter that makes one value, and begins inside a turn of that. */
static bool begins_inside(const struct pricing *pricing, const struct usage_row *row)
{
    const instant at = row_at(row, pricing->base);
    if (at <= pricing->cut.from) {
        return false;
    }
    const struct meter *meter =
        &pricing->catalog->meters[series_at(pricing->series, row->series)->meter];
    return meter_is_one_value(meter) &&
           !(meter->has_clock && clock_turn(&meter->clock, at).from == at);
}

/* Rows by account and series, each in order of time, as the rows of a book are. */
static int compare_rows(const void *a_item, const void *b_item)
{
    const struct usage_row *a = *(const struct usage_row *const *)a_item;
    const struct usage_row *b = *(const struct usage_row *const *)b_item;
    if (a->account != b->account) {
        return a->account < b->account ? -1 : 1;
    }
    if (a->series != b->series) {
        return a->series < b->series ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

void cut_values_find(struct arena *arena, const struct book *book, const struct pricing *pricing,
                     const struct priced *priced, struct cut_values *found)
{
    *found = (struct cut_values){.count = 0};
    uint32_t inside = 0;
    while (inside < book->row_count && !begins_inside(pricing, &book->rows[inside])) {
        inside++;
    }
    if (inside == book->row_count) {
        return; /* as nearly always */
    }
    const struct usage_row **rows = arena_alloc(arena, book->row_count * sizeof *rows),
                           *first = NULL;
    const struct charge **of = arena_calloc(arena, book->row_count, sizeof *of); /* the first */
    for (uint32_t i = 0; i < book->row_count; i++) {
        rows[i] = &book->rows[i];
    }
    for (uint32_t i = priced->charge_count; i-- > 0;) {
        const struct charge *charge = &priced->charges[i];
        if (charge->row != NONE) {
            of[charge->row] = charge;
        }
    }
    qsort(rows, book->row_count, sizeof *rows, compare_rows);
    for (uint32_t i = 1; i < book->row_count; i++) {
        const struct usage_row *before = rows[i - 1], *row = rows[i];
        const struct charge *old = of[before - book->rows], *new = of[row - book->rows];
        const instant at = row_at(row, pricing->base);
        bool is_cut = before->account == row->account && before->series == row->series &&
                      before->to == at && begins_inside(pricing, row);
        if (!is_cut || !old || !new ||
            (old->price == new->price && old->contract == new->contract) ||
            has_aggregate(old->price) || has_aggregate(new->price)) {
            continue;
        }
        found->count++;
        if (!first || row < first) {
            const struct series *series = series_at(pricing->series, row->series);
            first = row;
            found->first = (struct cut_value){.payer = pricing->payer,
                                              .account = row->account,
                                              .meter = &pricing->catalog->meters[series->meter],
                                              .price = new->price,
                                              .is_contract = old->contract != new->contract,
                                              .at = at};
        }
    }
}

void cut_values_count(struct worker *worker, const struct cut_values *found)
{
    bool is_first =
        found->count > 0 && (worker->settle.cut_values.count == 0 ||
                             found->first.payer < worker->settle.cut_values.first.payer);
    worker->settle.cut_values.first = is_first ? found->first : worker->settle.cut_values.first;
    worker->settle.cut_values.count += found->count;
}

void warn_of_cut_values(struct run *run)
{
    const struct cut_value *first = NULL;
    uint64_t count = 0;
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        if (worker->settle.cut_values.count > 0 &&
            (!first || worker->settle.cut_values.first.payer < first->payer)) {
            first = &worker->settle.cut_values.first;
        }
        count += worker->settle.cut_values.count;
    }
    if (!first || run->is_case) {
        return;
    }
    struct text account = run->accounts->items[first->account].id;
    char at[TIME_FORMAT_MAX];
    (void)time_format_short(first->at, at);
    struct text what =
        first->is_contract
            ? text_format(&run->arena, "the contract of %.*s", TEXT_ARG(account))
            : text_format(&run->arena, "%.*s:%u: price %.*s", TEXT_ARG(first->price->place.file),
                          first->price->place.line, TEXT_ARG(first->price->name));
    struct text others =
        count == 1 ? TEXT("")
                   : text_format(&run->arena, " (and %llu more)", (unsigned long long)(count - 1));
    run_warn(run,
             "%.*s changes at %s, inside a turn: meter %.*s has one value for %.*s of what is "
             "before that and one of what is after, and both are charged%.*s",
             TEXT_ARG(what), at, TEXT_ARG(first->meter->name), TEXT_ARG(account), TEXT_ARG(others));
}
