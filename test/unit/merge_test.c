/* merge_test.c - the merge law: whatever order records come in, and however they are split into
 * sorted runs that are merged, every aggregation gives one quantity.
 *
 *     random records --shuffled, split, each part sorted, merged--> book --> quantities
 *     the same records --------------------------------------------> plain loops over int64
 *
 * Records that are sorted by way of files come to the same as in memory.
 *
 * The expected values come from loops over whole numbers, by the definition of each aggregation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "engine/env_posix.h"
#include "engine/sorted.h"
#include "usage/usage.h"

#include <cmocka.h> /* last: it defines fail() */

enum {
    METERS = AGGREGATE_PERCENTILE + 1,
    RECORDS_MAX = 400,
    TAIL_UNITS = 2,
    DAY_S = 86400,
    ROUNDS = 400,
};

struct sample {
    struct record record;
    union {
        struct record units[TAIL_UNITS];
        struct {
            instant at;
            uint16_t source_size, id_size;
            char texts[8];
        } tail; /* a struct record_tail */
    };
};

struct world {
    struct arena arena;
    struct meter meters[METERS];
    struct sku sku;
    uint32_t edges[2];
    struct catalog catalog;
    struct series_table series;
    struct sample samples[RECORDS_MAX];
    uint32_t count;
};

static void make_samples(struct world *world)
{
    for (uint32_t i = 0; i < world->count; i++) {
        struct sample *sample = &world->samples[i];
        sample->record = (struct record){.print = draw(),
                                         .series = draw_below(METERS),
                                         .mantissa = (int64_t)draw_below(50) - 10,
                                         .flags = RECORD_FIRST | RECORD_TAIL,
                                         .tail_units = TAIL_UNITS};
        sample->tail.at = (instant)draw_below(DAY_S) * NS_PER_SECOND;
        sample->tail.source_size = 1;
        sample->tail.id_size = 4;
        char *texts = sample->tail.texts;
        if (sample->record.series == AGGREGATE_UNIQUE) {
            sample->tail.id_size = 0;
            texts[0] = (char)('a' + draw_below(26));
        } else {
            texts[0] = (char)('a' + draw_below(3));
            memcpy(texts + 1, &i, sizeof i);
        }
    }
}

/* One meter of each aggregation, all of one account and one day. */
static void make_world(struct world *world, uint64_t seed)
{
    state = seed;
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, NULL, 0);
    for (uint32_t i = 0; i < METERS; i++) {
        world->meters[i] = (struct meter){.name = TEXT("m"),
                                          .aggregate = (enum aggregate)i,
                                          .grain = GRAIN_MONTH,
                                          .states_level = draw_below(2),
                                          .percentile = dec_from_int(1 + draw_below(100))};
    }
    world->sku.name = TEXT("s");
    world->catalog = (struct catalog){.meters = world->meters,
                                      .meter_count = METERS,
                                      .skus = &world->sku,
                                      .sku_count = 1,
                                      .sku_edge_first = world->edges};
    series_table_init(&world->series, &world->arena, &world->catalog);
    for (uint32_t i = 0; i < METERS; i++) {
        uint64_t hash = series_hash(i, 0, TEXT(""), NULL, 0);
        assert_int_equal(series_add(&world->series, hash, i, 0, TEXT(""), NULL, 0), i);
    }
    series_rank(&world->series);
    world->count = 1 + draw_below(RECORDS_MAX - 1);
    make_samples(world);
}

/* ---- what is expected ------------------------------------------------------------------------ */

static int compare_whole(const void *a_item, const void *b_item)
{
    const int64_t *a = a_item, *b = b_item;
    return (*a > *b) - (*a < *b);
}

static int compare_samples(const void *a_item, const void *b_item)
{
    const struct sample *a = *(const struct sample *const *)a_item;
    const struct sample *b = *(const struct sample *const *)b_item;
    if (a->tail.at != b->tail.at) {
        return a->tail.at < b->tail.at ? -1 : 1;
    }
    return memcmp(a->tail.texts, b->tail.texts, 5);
}

/* False when no record is of the meter. */
static bool expect(const struct world *world, uint32_t meter, struct dec *out)
{
    int64_t values[RECORDS_MAX], sum = 0, level = 0, integral = 0, at = 0;
    const struct sample *sorted[RECORDS_MAX];
    bool has_letter[26] = {false};
    uint32_t count = 0, letters = 0;
    for (uint32_t i = 0; i < world->count; i++) {
        const struct sample *sample = &world->samples[i];
        if (sample->record.series == meter) {
            sum += sample->record.mantissa;
            sorted[count] = sample;
            values[count++] = sample->record.mantissa;
            has_letter[(sample->tail.texts[0] - 'a') % 26] = true;
        }
    }
    if (count == 0) {
        return false;
    }
    qsort(values, count, sizeof *values, compare_whole);
    qsort(sorted, count, sizeof *sorted, compare_samples);
    const struct meter *of = &world->meters[meter];
    switch (of->aggregate) {
    case AGGREGATE_COUNT:
        *out = dec_from_int(count);
        return true;
    case AGGREGATE_SUM:
        *out = dec_from_int(sum);
        return true;
    case AGGREGATE_MAX:
        *out = dec_from_int(values[count - 1]);
        return true;
    case AGGREGATE_MIN:
        *out = dec_from_int(values[0]);
        return true;
    case AGGREGATE_LATEST:
        *out = dec_from_int(sorted[count - 1]->record.mantissa);
        return true;
    case AGGREGATE_AVERAGE:
        assert_int_equal(dec_divide(dec_from_int(sum), dec_from_int(count), DEC_SCALE,
                                    ROUND_HALF_EVEN, out, NULL),
                         OK);
        return true;
    case AGGREGATE_UNIQUE:
        for (uint32_t i = 0; i < 26; i++) {
            letters += has_letter[i];
        }
        *out = dec_from_int(letters);
        return true;
    case AGGREGATE_PERCENTILE:
        /* Drop the share above, take the highest that is left. */
        *out = dec_from_int(
            values[count - 1 - (100 - (uint64_t)of->percentile.mantissa) * count / 100]);
        if (of->percentile.scale != 0) {
            fail_msg("whole percentiles only");
        }
        return true;
    case AGGREGATE_TIME_WEIGHTED:
        for (uint32_t i = 0; i < count; i++) {
            int64_t now = sorted[i]->tail.at / NS_PER_SECOND;
            integral += level * (now - at);
            at = now;
            level = (of->states_level ? 0 : level) + sorted[i]->record.mantissa;
        }
        *out = dec_from_int(integral + level * (DAY_S - at));
        return true;
    }
    return false;
}

/* ---- what the book says ---------------------------------------------------------------------- */

static void shuffle(const struct record **records, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = draw_below(i);
        const struct record *swapped = records[i - 1];
        records[i - 1] = records[other];
        records[other] = swapped;
    }
}

/* Sorted parts of random sizes, merged two by two in random order. */
static void merge_parts(struct world *world, const struct record **records, uint32_t count)
{
    struct record_order order = {&world->series, &world->catalog, false};
    if (count < 2) {
        return;
    }
    uint32_t half = 1 + draw_below(count - 1);
    if (draw_below(3) == 0) {
        records_sort(&world->arena, records, count, &order);
        return;
    }
    merge_parts(world, records, half);
    merge_parts(world, records + half, count - half);
    const struct record *merged[RECORDS_MAX];
    for (uint32_t to = 0, a = 0, b = half; to < count; to++) {
        bool takes_b = a == half || (b < count && record_compare(records[b], records[a],
                                                                 order.series, order.catalog) < 0);
        merged[to] = takes_b ? records[b++] : records[a++];
    }
    memcpy(records, merged, count * sizeof *records);
}

static void check_book(struct world *world)
{
    struct account account = {.id = TEXT("a"), .override = NONE};
    struct accounts accounts = {.items = &account, .count = 1};
    struct period cut = {0, (instant)DAY_S * NS_PER_SECOND};
    struct book_view view = {
        .series = &world->series, .catalog = &world->catalog, .accounts = &accounts, .cut = cut};
    const struct record *records[RECORDS_MAX];
    uint32_t samples = 0;
    for (uint32_t i = 0; i < world->count; i++) {
        records[i] = &world->samples[i].record;
    }
    shuffle(records, world->count);
    struct book book;
    book_init(&book, &world->arena, 0);
    for (uint32_t i = 0; i < world->count; i++) {
        book_fold(&book, records[i], &world->series, &world->catalog);
    }
    for (uint32_t i = 0; i < world->count; i++) {
        if (record_is_sample(records[i], &world->series, &world->catalog)) {
            records[samples++] = records[i];
        }
    }
    merge_parts(world, records, samples);
    struct error err;
    for (uint32_t i = 0; i < samples; i++) {
        assert_int_equal(book_sample(&book, &view, records[i], 0, &err), OK);
    }
    assert_int_equal(book_samples_end(&book, &view, &err), OK);
    assert_int_equal(book_close(&book, &view, &err), OK);
    uint32_t found = 0;
    for (uint32_t meter = 0; meter < METERS; meter++) {
        struct dec expected;
        if (!expect(world, meter, &expected)) {
            continue;
        }
        for (uint32_t i = 0; i < book.row_count; i++) {
            if (book.rows[i].series == meter) {
                found++;
                if (!dec_equal(book.rows[i].quantity, expected)) {
                    char a[DEC_FORMAT_MAX], b[DEC_FORMAT_MAX];
                    dec_format(book.rows[i].quantity, a);
                    dec_format(expected, b);
                    fail_msg("aggregate %u: %s, expected %s", meter, a, b);
                }
            }
        }
    }
    assert_int_equal(found, book.row_count);
}

static void test_any_order_and_split(void **context)
{
    (void)context;
    static struct world world;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        make_world(&world, seed);
        for (int again = 0; again < 5; again++) {
            check_book(&world);
        }
        arena_release(&world.arena);
    }
}

/* ---- on disk --------------------------------------------------------------------------------- */

static uint32_t one_group(const void *context, const struct record *record)
{
    (void)context;
    return 1 + (record->mantissa > 1000); /* none is; and nothing is in the first */
}

/* More records than some levels of runs hold, by way of files: what the book says of the same
 * records in memory, whose law the test above holds; totals, too. */
static void check_sorted(struct world *world, struct env *env, uint32_t copies)
{
    enum { COPIES_MAX = 400 };
    assert_in_range(copies, 1, COPIES_MAX);
    struct account account = {.id = TEXT("a"), .override = NONE};
    struct accounts accounts = {.items = &account, .count = 1};
    struct period cut = {0, (instant)DAY_S * NS_PER_SECOND};
    struct book_view view = {
        .series = &world->series, .catalog = &world->catalog, .accounts = &accounts, .cut = cut};
    struct record_order order = {&world->series, &world->catalog, false};
    struct arena *arena = &world->arena;
    struct sorted *sorted;
    struct error err;
    uint32_t count = world->count * copies, used = 0;
    struct sample *made = arena_alloc(arena, count * sizeof *made);
    const struct record **records = arena_alloc(arena, count * sizeof *records);
    struct book books[2];
    struct arena folded; /* a merge gives back what its arena has had since sorted_new */
    arena_init(&folded, NULL, 0);
    sorted_new(env, arena, NULL, 0, 3, &order, one_group, NULL, &sorted);
    book_init(&books[0], &folded, 0);
    book_init(&books[1], &folded, 0);
    for (uint32_t i = 0; i < count; i++) {
        made[i] = world->samples[draw_below(world->count)];
        made[i].record.print = draw();
        made[i].tail.at = (instant)draw_below(copies < 20 ? 500 : DAY_S) * NS_PER_SECOND;
        memcpy(made[i].tail.texts + 1, &i, sizeof i);
        book_fold(&books[0], &made[i].record, order.series, order.catalog);
        assert_int_equal(sorted_add(sorted, &made[i].record, &err), OK);
        if (record_is_sample(&made[i].record, order.series, order.catalog)) {
            records[used++] = &made[i].record;
        }
    }
    assert_int_equal(sorted_merge(sorted, &err), OK);
    records_sort(arena, records, used, &order);
    for (uint32_t i = 0; i < used; i++) {
        assert_int_equal(book_sample(&books[0], &view, records[i], 0, &err), OK);
    }
    for (uint32_t pass = 0; pass < 6; pass++) { /* over each group, twice */
        uint64_t at, end;
        sorted_group(sorted, pass % 3, &at, &end);
        assert_true(pass % 3 == 1 || at == end);
        for (const struct record *record = NULL, *last = NULL; record < last || at < end;) {
            if (record == last) {
                assert_int_equal(sorted_read(sorted, &at, end, &record, &last, &err), OK);
            }
            if (pass < 3) {
                book_fold(&books[1], record, order.series, order.catalog);
            } else if (record_is_sample(record, order.series, order.catalog)) {
                assert_int_equal(book_sample(&books[1], &view, record, 0, &err), OK);
            }
            record += 1 + record->tail_units;
        }
    }
    sorted_free(sorted);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(book_samples_end(&books[i], &view, &err), OK);
        assert_int_equal(book_close(&books[i], &view, &err), OK);
    }
    assert_int_equal(books[0].row_count, books[1].row_count);
    for (uint32_t i = 0; i < books[0].row_count; i++) {
        const struct usage_row *a = &books[0].rows[i], *b = &books[1].rows[i];
        assert_int_equal(a->series, b->series);
        char x[DEC_FORMAT_MAX], y[DEC_FORMAT_MAX];
        dec_format(a->quantity, x);
        dec_format(b->quantity, y);
        if (!dec_equal(a->quantity, b->quantity)) {
            fail_msg("aggregate %u: %s in memory, %s by way of files", a->series, x, y);
        }
        assert_true(total_equal(&a->total, &b->total));
    }
    arena_release(&folded);
}

static void test_by_way_of_files(void **context)
{
    (void)context;
    static struct world world;
    static const uint32_t copies[] = {1, 3, 15, 60, 400};
    struct env *env = env_posix_new(0);
    for (uint32_t i = 0; i < 5; i++) {
        make_world(&world, 1000 + i);
        world.count = world.count < 200 ? 200 : world.count;
        make_samples(&world);
        check_sorted(&world, env, copies[i]);
        arena_release(&world.arena);
    }
    env_posix_free(env);
}

/* Two changes of a half at one instant are a change of 1, and not of 1.0. */
static void test_joined_is_canonical(void **context)
{
    (void)context;
    static struct world world;
    make_world(&world, 1);
    world.meters[AGGREGATE_TIME_WEIGHTED].states_level = false;
    for (uint32_t i = 0; i < 2; i++) {
        world.samples[i].record = (struct record){.series = AGGREGATE_TIME_WEIGHTED,
                                                  .form = RECORD_SAMPLE,
                                                  .print = 1,
                                                  .mantissa = 5,
                                                  .scale = 1,
                                                  .flags = RECORD_TAIL,
                                                  .tail_units = TAIL_UNITS};
        world.samples[i].tail.at = NS_PER_SECOND;
    }
    struct record *second = &world.samples[1].record;
    assert_int_equal(record_join(&world.samples[0].record, second, &world.series, &world.catalog),
                     RECORDS_TAKEN);
    assert_int_equal(second->mantissa, 1);
    assert_int_equal(second->scale, 0);
    arena_release(&world.arena);
}

/* Behind the last chunk of series memory has run out, and nothing is written there. */
static void test_more_series_than_chunks_hold(void **context)
{
    (void)context;
    static struct world world; /* static: read after a longjmp */
    make_world(&world, 1);
    world.series.count = (uint32_t)((UINT64_C(1) << SERIES_CHUNKS) - 1) * SERIES_FIRST;
    jmp_buf recover;
    if (ARENA_RECOVER(&world.arena, recover)) {
        arena_release(&world.arena);
        return;
    }
    (void)series_add(&world.series, 1, 0, 0, TEXT("r"), NULL, 0);
    fail_msg("a series has a place behind the last one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order_and_split),
        cmocka_unit_test(test_by_way_of_files),
        cmocka_unit_test(test_joined_is_canonical),
        cmocka_unit_test(test_more_series_than_chunks_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
