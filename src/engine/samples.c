/* samples.c - see samples.h. */
#include "engine/samples.h"

#include "render/render.h"

/* Into the memory of the partition's records, which has room for them (SAMPLE_UNIT_BYTES): what a
 * payer may take does not depend on whether they are in a file. */
static enum status find_samples(struct worker *worker, const struct records *records,
                                const struct book_view *view, bool is_first,
                                struct samples *samples, struct error *err)
{
    const struct run *run = worker->run;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            samples->items = arena_alloc(&worker->shelf, samples->count * sizeof *samples->items);
        }
        samples->count = 0;
        struct cursor cursor = cursor_at(records, err);
        for (const struct record *at; (at = cursor_next(&cursor));) {
            if (record_is_sample(at, &run->series, run->catalog) &&
                record_is_of_cut(run, view->payer, at, view->cut, is_first)) {
                if (pass == 1) {
                    samples->items[samples->count] = at;
                }
                samples->count++;
            }
        }
        TRY(cursor.status);
    }
    struct record_order order = {&run->series, run->catalog, false};
    records_sort(&worker->shelf, samples->items, samples->count, &order);
    return OK;
}

enum status samples_read(struct worker *worker, const struct records *records,
                         const struct book_view *view, bool is_first, struct book *book,
                         struct samples *samples, struct error *err)
{
    *samples = (struct samples){.records = records};
    const struct run *run = worker->run;
    if (!records->sorted) {
        TRY(find_samples(worker, records, view, is_first, samples, err));
    }
    struct cursor cursor = cursor_at(records, err);
    for (const struct record *at; records->sorted && (at = cursor_next(&cursor));) {
        if (record_is_sample(at, &run->series, run->catalog) &&
            record_is_of_cut(run, view->payer, at, view->cut, is_first)) {
            TRY(book_sample(book, view, at, cursor_place(&cursor, at), err));
        }
    }
    TRY(cursor.status);
    for (uint32_t i = 0; i < samples->count; i++) {
        TRY(book_sample(book, view, samples->items[i], i, err));
    }
    return book_samples_end(book, view, err);
}

/* ---- samples that the next bill needs -------------------------------------------------------- */

/* Writes the samples of a row to the closing, equal ones as one, some on a line. */
struct sample_line {
    struct worker *worker;
    struct texts *texts;
    const struct pricing *pricing;
    struct text payer;
    const struct usage_row *row;
    bool is_unique;
    struct buffer *last_key; /* the sample that is not written yet */
    struct dec last;
    uint64_t last_count, written; /* of it; of samples on the line */
};

static enum status write_last_sample(struct sample_line *line)
{
    enum { SAMPLES_A_LINE = 1000 };
    struct buffer *out = &line->texts->closing;
    if (line->last_count == 0) {
        return OK;
    }
    if (line->written == SAMPLES_A_LINE) {
        render_samples_end(out);
        line->written = 0;
        TRY(texts_write_when_full(line->worker, line->texts));
    }
    if (line->written++ == 0) {
        render_samples_begin(out, line->pricing, line->row);
    }
    if (line->is_unique) {
        render_sample_key(out, buffer_text(line->last_key));
    } else {
        render_sample_value(out, line->last, line->last_count);
    }
    line->last_count = 0;
    return OK;
}

static enum status write_sample(struct sample_line *line, const struct record *record)
{
    bool is_same = line->last_count > 0 &&
                   (line->is_unique ? text_equal(buffer_text(line->last_key), record_key(record))
                                    : dec_equal(line->last, record_value(record)));
    if (!is_same) {
        TRY(write_last_sample(line));
        line->last = record_value(record);
        if (line->is_unique) {
            line->last_key->size = 0;
            buffer_add_text(line->last_key, record_key(record));
        }
    }
    line->last_count += record_count(record);
    return OK;
}

static bool is_of_row(const struct record *record, const struct usage_row *row)
{
    return record->account == row->account && record->series == row->series &&
           record->slot_s == row->slot_s && record->form != RECORD_TOTAL;
}

static enum status write_samples(struct sample_line *line, const struct samples *samples,
                                 uint64_t place, struct error *err)
{
    if (!samples->records->sorted) {
        for (uint64_t i = place; i < samples->count && is_of_row(samples->items[i], line->row);
             i++) {
            TRY(write_sample(line, samples->items[i]));
        }
    } else {
        struct cursor cursor = cursor_from(samples->records, place, err);
        for (const struct record *at; (at = cursor_next(&cursor)) && is_of_row(at, line->row);) {
            TRY(write_sample(line, at));
        }
        TRY(cursor.status);
    }
    TRY(write_last_sample(line));
    if (line->written > 0) {
        render_samples_end(&line->texts->closing);
    }
    return texts_write_when_full(line->worker, line->texts);
}

static enum status write_average(const struct pricing *pricing, const struct usage_row *row,
                                 const struct usage_value *value, struct buffer *out,
                                 struct error *err)
{
    struct wide wide = row->total.sum;
    struct dec sum;
    uint64_t count = row->total.count;
    if (value) {
        wide_add(&wide, &value->carried_sum);
        count += value->carried_count;
    }
    TRY(wide_read(&wide, &sum, err));
    render_average_state(out, pricing, row, count, sum);
    return OK;
}

bool samples_go_on(const struct book *book, const struct book_view *view, instant turn_to)
{
    for (uint32_t i = 0; i < book->row_count; i++) {
        if (book_row_is_cut(book, view, turn_to, i)) {
            return true;
        }
    }
    return false;
}

enum status samples_close(struct worker *worker, const struct samples *samples,
                          const struct pricing *pricing, const struct book *book,
                          const struct book_view *view, instant turn_to, struct buffer *key,
                          struct texts *texts, struct error *err)
{
    for (uint32_t i = 0; i < book->row_count; i++) {
        if (!book_row_is_cut(book, view, turn_to, i)) {
            continue;
        }
        const struct usage_row *row = &book->rows[i];
        const struct usage_value *value = row->value == NONE ? NULL : &book->values[row->value];
        uint32_t meter = series_at(pricing->series, row->series)->meter;
        enum aggregate aggregate = pricing->catalog->meters[meter].aggregate;
        if (aggregate == AGGREGATE_AVERAGE) {
            TRY(write_average(pricing, row, value, &texts->closing, err));
            TRY(texts_write_when_full(worker, texts));
            continue;
        }
        struct sample_line line = {.worker = worker,
                                   .texts = texts,
                                   .pricing = pricing,
                                   .row = row,
                                   .is_unique = aggregate == AGGREGATE_UNIQUE,
                                   .last_key = key};
        TRY(write_samples(&line, samples, value->place, err));
    }
    return OK;
}
