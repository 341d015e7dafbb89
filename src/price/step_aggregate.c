/* step_aggregate.c - aggregate: the rows of a bucket become one.
 *
 * What a function makes of the rows is known when all of them are there, so the node waits for
 * them.  One row goes on: the bucket's first, with the value, and without the keys in which the
 * rows differ.  A bucket that goes on from an earlier bill gives what its value has changed since
 * (doc/pricing/aggregate.md).
 */
#include <assert.h>
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

static int compare_quantities(const void *a, const void *b)
{
    return dec_compare(*(const struct dec *)a, *(const struct dec *)b);
}

/* The place of the percentile among n samples in ascending order, from 0. */
static enum status percentile_place(const struct step_aggregate *body, int64_t n, int64_t *place,
                                    struct error *err)
{
    struct dec share = body->percentile, exact, whole;
    bool drops = body->method == PERCENTILE_DROP_TOP;
    if (drops) {
        TRY(dec_subtract(dec_from_int(100), share, &share, err));
    }
    TRY(dec_multiply(share, dec_from_int(n), &exact, err));
    TRY(dec_multiply(exact, (struct dec){1, 2}, &exact, err)); /* a hundredth */
    TRY(dec_round(exact, 0, drops ? ROUND_FLOOR : ROUND_CEILING, &whole, err));
    int64_t count = (int64_t)whole.mantissa;
    assert(whole.scale == 0 && count >= 0 && count <= n);
    *place = drops ? n - 1 - (count < n ? count : n - 1) : count - 1;
    return OK;
}

/* Samples that lack are zero. */
static enum status find_percentile(struct work *work, const struct step_aggregate *body,
                                   const struct dec *values, uint32_t count, struct dec samples,
                                   struct dec *value)
{
    int64_t n = count, zeros = 0, place;
    if (body->has_samples && dec_compare(samples, dec_from_int(n)) > 0) {
        TRY(dec_round(samples, 0, ROUND_CEILING, &samples, work->err));
        n = (int64_t)samples.mantissa;
        zeros = n - count;
    }
    TRY(percentile_place(body, n, &place, work->err));
    int64_t below = 0; /* values under zero come before the zeros */
    while (below < count && dec_sign(values[below]) < 0) {
        below++;
    }
    *value = place < below           ? values[place]
             : place < below + zeros ? DEC_ZERO
                                     : values[place - zeros];
    return OK;
}

/* One more row; x is what the function keeps of those before, of which there are `count`. */
static enum status take(const struct step_aggregate *body, struct dec quantity, struct dec count,
                        struct dec *x, struct error *err)
{
    bool is_first = dec_is_zero(count);
    switch (body->function) {
    case FUNCTION_SUM:
    case FUNCTION_AVERAGE:
        return dec_add(*x, quantity, x, err);
    case FUNCTION_MAX:
        *x = is_first ? quantity : dec_max(*x, quantity);
        return OK;
    case FUNCTION_MIN:
        *x = is_first ? quantity : dec_min(*x, quantity);
        return OK;
    case FUNCTION_LAST:
        *x = quantity;
        return OK;
    case FUNCTION_COUNT:
        return dec_add(*x, dec_from_int(1), x, err);
    case FUNCTION_PERCENTILE:
    case FUNCTIONS:
        break;
    }
    return OK;
}

/* The samples that an average or a percentile is of. */
static enum status read_samples(struct work *work, const struct step *step,
                                const struct charge *charge, struct period turn,
                                struct dec *samples)
{
    *samples = DEC_ZERO;
    if (!step->aggregate.has_samples) {
        return OK;
    }
    TRY(number_value(work, &step->aggregate.samples, charge, turn, samples));
    if (dec_sign(*samples) <= 0 || dec_compare(*samples, dec_from_int(INT32_MAX)) > 0) {
        return fail(work->err, ERR_INPUT, "samples must be a number from 1 to %d", INT32_MAX);
    }
    return OK;
}

/* The rows of one bucket, in order. */
struct group {
    uint32_t bucket;
    const uint32_t *charges;
    struct dec *values; /* what is aggregated of each */
    uint32_t count;
};

/* Those that the bucket has seen in this bill, with those of bills before. */
static void take_samples(struct work *work, const struct group *group)
{
    struct bucket *bucket = &work->buckets[group->bucket];
    uint32_t count = bucket->sample_count + group->count;
    struct dec *samples = arena_alloc(work->arena, count * sizeof *samples);
    if (bucket->sample_count > 0) {
        memcpy(samples, bucket->samples, bucket->sample_count * sizeof *samples);
    }
    for (uint32_t i = 0; i < group->count; i++) {
        samples[bucket->sample_count + i] = group->values[i];
    }
    qsort(samples, count, sizeof *samples, compare_quantities);
    bucket->samples = samples;
    bucket->sample_count = count;
}

/* What the function makes of all that the bucket has seen. */
static enum status find_value(struct work *work, const struct step *step, const struct group *group,
                              struct dec *value)
{
    const struct bucket *bucket = &work->buckets[group->bucket];
    const struct step_aggregate *body = &step->aggregate;
    struct dec samples;
    TRY(read_samples(work, step, &work->charges[group->charges[0]], bucket->turn, &samples));
    if (body->function == FUNCTION_AVERAGE) {
        struct dec n = dec_max(bucket->events, samples);
        return dec_divide(bucket->x, n, DEC_SCALE, ROUND_HALF_EVEN, value, work->err);
    }
    if (body->function != FUNCTION_PERCENTILE) {
        *value = bucket->x;
        return OK;
    }
    take_samples(work, group);
    return find_percentile(work, body, bucket->samples, bucket->sample_count, samples, value);
}

/* The first that stems from a row, NULL: of a view by source, all may be fees. */
static const struct charge *first_of_row(const struct work *work, const struct group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        const struct charge *charge = &work->charges[group->charges[i]];
        if (charge->series != NONE) {
            return charge;
        }
    }
    return NULL;
}

/* Adds the rows that a charge is of. Parts of one row are neighbours; one that was merged before
 * stands for several, and a fee of a source for none. */
static uint32_t *merge_rows(struct work *work, struct merged *merged, uint32_t *rows,
                            const struct charge *charge, uint32_t more)
{
    const uint32_t *of = charge->merged ? charge->merged->rows : &charge->row;
    uint32_t count = charge->merged ? charge->merged->row_count : charge->row != NONE;
    if (charge->merged) {
        rows = arena_grow(work->arena, rows, merged->row_count, merged->row_count + count + more,
                          sizeof *rows);
    }
    for (uint32_t k = 0; k < count; k++) {
        if (merged->row_count == 0 || rows[merged->row_count - 1] != of[k]) {
            rows[merged->row_count++] = of[k];
            merged->print += work->rows[of[k]].total.print;
        }
    }
    return rows;
}

/* What all agree in, of the dimensions of those `count` names, where values begin as those of the
 * first; and the resource. */
static struct text keep_agreed(struct work *work, const struct group *group, const uint32_t *names,
                               uint32_t count, struct text *values)
{
    struct by_key by_resource = {BY_RESOURCE, NONE};
    struct text resource = charge_key_value(work, &work->charges[group->charges[0]], by_resource);
    for (uint32_t i = 0; i < group->count; i++) {
        const struct charge *charge = &work->charges[group->charges[i]];
        for (uint32_t d = 0; d < count; d++) {
            struct text value = charge_dimension(work, charge, names[d]);
            values[d] = i == 0 || text_equal(value, values[d]) ? value : TEXT("");
        }
        if (!text_equal(charge_key_value(work, charge, by_resource), resource)) {
            resource = TEXT("");
        }
    }
    return resource;
}

/* The row that goes on has the keys in which all agree: as those of a row when one of them is, else
 * as those of a fee. */
static void merge_keys(struct work *work, const struct group *group, struct charge *row)
{
    const struct charge *like = first_of_row(work, group);
    const struct series *series = like ? charge_series(work->pricing, like) : NULL;
    const struct meter *meter = series ? &work->catalog->meters[series->meter] : NULL;
    uint32_t count = meter ? meter->dimension_count : row->keys ? row->keys->count : 0;
    uint32_t *names = arena_alloc(work->arena, (count + 1) * sizeof *names);
    for (uint32_t d = 0; d < count; d++) {
        names[d] = meter ? meter->dimensions[d].name : row->keys->dimensions[d];
    }
    struct text *values = arena_calloc(work->arena, count + 1, sizeof *values);
    struct text resource = keep_agreed(work, group, names, count, values);
    row->event = NULL;
    if (!series) {
        struct bucket_keys *keys = arena_alloc(work->arena, sizeof *keys);
        *keys = (struct bucket_keys){resource, names, values, count};
        row->keys = keys;
        return;
    }
    struct merged *merged = arena_alloc(work->arena, sizeof *merged);
    uint32_t *rows = arena_alloc(work->arena, group->count * sizeof *rows);
    *merged = (struct merged){.series = *series, .rows = rows};
    merged->series.dimensions = values;
    merged->series.resource = resource;
    for (uint32_t i = 0; i < group->count; i++) {
        const struct charge *charge = &work->charges[group->charges[i]];
        rows = merge_rows(work, merged, rows, charge, group->count);
        merged->rows = rows;
    }
    row->merged = merged;
    row->series = like->series;
    row->row = like->row;
    row->keys = NULL;
}

/* What else the row has of all of them. */
static void merge_rest(struct work *work, const struct group *group, struct charge *row)
{
    for (uint32_t i = 0; i < group->count; i++) {
        const struct charge *charge = &work->charges[group->charges[i]];
        if (charge->account != row->account) {
            row->account = work->buckets[group->bucket].account;
        }
        if (!text_equal(charge->unit, row->unit)) {
            row->unit = TEXT("");
        }
        if (i > 0) {
            row->events += charge->events;
        }
        row->span.from = charge->span.from < row->span.from ? charge->span.from : row->span.from;
        row->span.to = charge->span.to > row->span.to ? charge->span.to : row->span.to;
    }
}

static enum status settle_group(struct work *work, struct group *group)
{
    const struct charge *first = &work->charges[group->charges[0]];
    const struct step *step = &first->price->steps[first->next_step];
    struct bucket *bucket = &work->buckets[group->bucket];
    struct dec x_before = bucket->x, before = bucket->y, value, change;
    group->values = arena_alloc(work->arena, group->count * sizeof *group->values);
    for (uint32_t i = 0; i < group->count; i++) {
        const struct charge *charge = &work->charges[group->charges[i]];
        TRY(charge_measure(work, step, charge, charge->quantity, &group->values[i]));
        TRY(take(&step->aggregate, group->values[i], bucket->events, &bucket->x, work->err));
        TRY(dec_add(bucket->events, dec_from_int(1), &bucket->events, work->err));
        TRY(work_take_of_row(work, charge, charge->quantity));
    }
    TRY(find_value(work, step, group, &value));
    TRY(dec_subtract(value, before, &change, work->err));
    bucket->y = value;
    struct charge row = *first;
    merge_keys(work, group, &row);
    merge_rest(work, group, &row);
    row.quantity = change;
    struct dec back;
    TRY(dec_subtract(DEC_ZERO, change, &back, work->err));
    TRY(work_take_of_row(work, &row, back)); /* what its charges will take */
    for (uint32_t i = 0; i < group->count; i++) {
        struct charge *charge = &work->charges[group->charges[i]];
        struct dec after = x_before;
        TRY(dec_add(x_before, group->values[i], &after, work->err));
        work_trace_step(work, group->charges[i], bucket,
                        (struct trace){.step = step,
                                       .before = x_before,
                                       .after = after,
                                       .f_before = before,
                                       .f_after = i + 1 == group->count ? value : before,
                                       .tier = NONE});
        x_before = after;
        charge->next_step = charge->price->step_count; /* nothing of it goes on */
    }
    work_pass_on(work, work_add_charge(work, &row));
    return OK;
}

enum status step_aggregate_run(struct work *work, struct entry *entries, uint32_t count)
{
    uint32_t *next = arena_alloc(work->arena, count * sizeof *next);
    for (uint32_t i = 0; i < count; i++) {
        const struct charge *charge = &work->charges[entries[i].charge];
        const struct step *own = &charge->price->steps[charge->next_step];
        TRY(bucket_find(work, own, charge, &entries[i].bucket));
        next[i] = NONE;
    }
    /* The entries of each bucket, chained in their order. */
    uint32_t *last = arena_alloc(work->arena, (work->bucket_count + 1) * sizeof *last);
    uint32_t *sizes = arena_calloc(work->arena, work->bucket_count + 1, sizeof *sizes);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bucket = entries[i].bucket;
        entries[i].is_first = sizes[bucket]++ == 0;
        if (!entries[i].is_first) {
            next[last[bucket]] = i;
        }
        last[bucket] = i;
    }
    uint32_t *charges = arena_alloc(work->arena, count * sizeof *charges);
    for (uint32_t i = 0; i < count; i++) {
        if (!entries[i].is_first) {
            continue;
        }
        struct group group = {.bucket = entries[i].bucket, .charges = charges};
        for (uint32_t at = i; at != NONE; at = next[at]) {
            charges[group.count++] = entries[at].charge;
        }
        const struct charge *first = &work->charges[charges[0]];
        const struct price *price = first->price;
        const struct step *step = &price->steps[first->next_step];
        uint32_t account = first->account;
        enum status status = settle_group(work, &group);
        if (status != OK) {
            return work_fail(work, status, price, step, account);
        }
    }
    return OK;
}
