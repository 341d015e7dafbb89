/* cut_value.c - values of a month that a change cuts in two.
 *
 * A maximum of a month inside which its price or contract changes is two maximums, and both are
 * charged: said in the manual (doc/pricing.md, versions), and seldom what was meant.  So it is a
 * warning.  What parts add up to the whole (a sum, a level over time) is none of this, nor what a
 * step makes one value of again.
 */
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

/* The first charge of a row; NULL: it has no price. */
static const struct charge *charge_of(const struct priced *priced, uint32_t row)
{
    for (uint32_t i = 0; i < priced->charge_count; i++) {
        if (priced->charges[i].row == row) {
            return &priced->charges[i];
        }
    }
    return NULL;
}

/* The row whose value this one would go on with, were it not cut; NULL. */
static const struct usage_row *find_before(const struct book *book, const struct usage_row *row,
                                           instant at)
{
    for (const struct usage_row *before = row; before > book->rows;) {
        before--;
        if (before->account == row->account && before->series == row->series) {
            return before->to == at ? before : NULL;
        }
    }
    return NULL;
}

void cut_values_note(struct worker *worker, const struct book *book, const struct pricing *pricing,
                     const struct priced *priced)
{
    for (uint32_t i = 0; i < book->row_count; i++) {
        const struct usage_row *row = &book->rows[i];
        const instant at = row_at(row, pricing->base);
        if (at <= pricing->cut.from) {
            continue;
        }
        const struct meter *meter =
            &pricing->catalog->meters[series_at(pricing->series, row->series)->meter];
        if (!meter_is_one_value(meter) ||
            (meter->has_clock && clock_turn(&meter->clock, at).from == at)) {
            continue;
        }
        const struct usage_row *cut = find_before(book, row, at);
        const struct charge *before = cut ? charge_of(priced, (uint32_t)(cut - book->rows)) : NULL;
        const struct charge *after = before ? charge_of(priced, i) : NULL;
        if (!after || (before->price == after->price && before->contract == after->contract) ||
            has_aggregate(before->price) || has_aggregate(after->price)) {
            continue;
        }
        if (worker->cut_value_count++ == 0 || pricing->payer < worker->cut_value.payer) {
            worker->cut_value =
                (struct cut_value){.payer = pricing->payer,
                                   .account = row->account,
                                   .meter = meter,
                                   .price = after->price,
                                   .is_contract = before->contract != after->contract,
                                   .at = at};
        }
    }
}

void warn_of_cut_values(struct run *run)
{
    const struct cut_value *first = NULL;
    uint64_t count = 0;
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        if (worker->cut_value_count > 0 && (!first || worker->cut_value.payer < first->payer)) {
            first = &worker->cut_value;
        }
        count += worker->cut_value_count;
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
    struct text others = count == 1 ? TEXT("")
                                    : text_format(&run->arena, " (and %llu more)",
                                                  (unsigned long long)(count - 1));
    run_warn(run,
             "%.*s changes at %s, inside a turn: meter %.*s has one value for %.*s of what is "
             "before that and one of what is after, and both are charged%.*s",
             TEXT_ARG(what), at, TEXT_ARG(first->meter->name), TEXT_ARG(account), TEXT_ARG(others));
}
