/* proof_test.c - conservation: what was read is what the books hold, and any other difference is
 * seen.
 *
 *     random records --total_count--> totals --------------------+-- equal, meter by meter
 *            |                                                   |
 *            +--(one mutation)--> book_fold --> book_totals -----+
 *
 * Without a mutation the totals of the records and of the book are equal.  A thousand seeded
 * mutations (an event lost, doubled, moved to another row or exclusion, two exchanged, a quantity
 * changed) are planted between the two; each must be caught.  FARTHING_CASES=N plants as many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "usage/usage.h"

#include <cmocka.h> /* last: it defines fail() */

enum {
    METERS = 5,
    SERIES = 15,
    ACCOUNTS = 5,
    SLOTS = 6,
    EVENTS_MAX = 120,
    TAIL_UNITS = 2, /* a tail of 35 bytes */
    UNITS_MAX = EVENTS_MAX * 3 * (1 + TAIL_UNITS),
};

/* ---- a world of one catalog, twelve series ------------------------------------------------------
 */

struct world {
    struct arena arena;
    struct meter meters[METERS];
    struct sku skus[SERIES];
    struct catalog catalog;
    struct series_table series;
    struct record records[UNITS_MAX];
    uint32_t starts[UNITS_MAX]; /* units of records, tails included */
    uint32_t record_count, unit_count;
    struct total read[METERS + 1];
};

static void make_catalog(struct world *world)
{
    static const char *const names[METERS] = {"calls", "gauge", "orders", "peak", "volume"};
    static const enum aggregate aggregates[METERS] = {AGGREGATE_COUNT, AGGREGATE_LATEST,
                                                      AGGREGATE_SUM, AGGREGATE_MAX, AGGREGATE_SUM};
    for (uint32_t i = 0; i < METERS; i++) {
        world->meters[i] = (struct meter){.name = text_of(names[i]),
                                          .aggregate = aggregates[i],
                                          .grain = i == 2 ? GRAIN_EVENT : GRAIN_HOUR,
                                          .sku = i};
    }
    static const char *const skus[SERIES] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                             "i", "j", "k", "l", "m", "n", "o"};
    for (uint32_t i = 0; i < SERIES; i++) {
        world->skus[i].name = text_of(skus[i]);
    }
    world->catalog = (struct catalog){
        .meters = world->meters, .meter_count = METERS, .skus = world->skus, .sku_count = SERIES};
    series_table_init(&world->series, &world->arena, &world->catalog);
    for (uint32_t i = 0; i < SERIES; i++) {
        uint32_t meter = i % METERS;
        uint64_t hash = series_hash(meter, i, TEXT("r"), NULL, 0);
        assert_int_equal(series_add(&world->series, hash, meter, i, TEXT("r"), NULL, 0), i);
    }
    series_rank(&world->series);
}

/* One event: a record for each of one to three meters. */
static void add_event(struct world *world, uint32_t number)
{
    uint64_t print = hash_print64(&number, sizeof number, state);
    uint32_t count = 1 + draw_below(3);
    for (uint32_t i = 0; i < count; i++) {
        world->starts[world->record_count++] = world->unit_count;
        struct record *record = &world->records[world->unit_count++];
        uint32_t series = draw_below(SERIES / METERS) * METERS + (number + i) % METERS;
        const struct meter *meter = &world->meters[series % METERS];
        enum aggregate aggregate = meter->aggregate;
        *record =
            (struct record){.print = print,
                            .account = draw_below(ACCOUNTS),
                            .series = series,
                            .slot_s = draw_below(SLOTS) * 3600u,
                            .flags = i == 0 ? RECORD_FIRST : 0,
                            .scale = (uint8_t)draw_below(7),
                            .mantissa = aggregate == AGGREGATE_COUNT ? 1 : 1 + draw_below(9999)};
        if (draw_below(8) == 0) {
            uint32_t reason = EXCLUDE_OUT_OF_PERIOD + draw_below(3);
            record->flags |= RECORD_EXCLUDED;
            record->series = reason << 16 | series % METERS;
            record->slot_s = 0;
        } else if (meter_keeps_key(meter) || draw_below(10) == 0) {
            i128 mantissa = ((i128)draw() << 20) + 1;
            memset(record + 1, 0, TAIL_UNITS * sizeof *record);
            record->flags |= RECORD_TAIL | (draw_below(2) ? RECORD_WIDE : 0);
            if (record->flags & RECORD_WIDE) {
                memcpy(record + 1, &mantissa, sizeof mantissa);
            }
            struct record_tail *tail = record_tail(record);
            tail->at = (instant)draw_below(9999);
            tail->source_size = 1;
            tail->id_size = 2;
            memcpy(tail->texts, "s12", 3);
            record->tail_units = TAIL_UNITS;
            world->unit_count += TAIL_UNITS;
        }
        total_count(&world->read[series % METERS], record);
    }
}

static void make_world(struct world *world, uint64_t seed)
{
    state = seed;
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, NULL, 0);
    make_catalog(world);
    uint32_t count = 2 + draw_below(EVENTS_MAX - 2);
    for (uint32_t i = 0; i < count; i++) {
        add_event(world, i);
    }
}

/* ---- mutations
 * ----------------------------------------------------------------------------------- */

enum mutation {
    LOST,
    DOUBLED,
    ACCOUNT,
    ROW,
    SLOT,
    EXCLUDED,
    SWAPPED,
    QUANTITY,
    SCALE,
    PRINT,
    MUTATIONS
};
static const char *const mutation_names[MUTATIONS] = {"lost",
                                                      "doubled",
                                                      "moved to another account",
                                                      "moved to another series",
                                                      "moved to another slot",
                                                      "moved to an exclusion",
                                                      "exchanged",
                                                      "quantity changed",
                                                      "scale changed",
                                                      "content changed"};

static struct record *record_at(struct world *world, uint32_t index)
{
    return &world->records[world->starts[index]];
}

/* False when the mutation would change nothing. */
static bool mutate(struct world *world, enum mutation mutation, struct record *record)
{
    i128 *wide = (i128 *)(void *)(record + 1);
    bool excluded = (record->flags & RECORD_EXCLUDED) != 0;
    switch (mutation) {
    case ACCOUNT:
        record->account = (record->account + 1 + draw_below(ACCOUNTS - 1)) % ACCOUNTS;
        return true;
    case ROW: /* of the same meter, or the exclusion's other reason */
        record->series =
            excluded ? record->series + (1u << 16) : (record->series + METERS) % SERIES;
        return true;
    case SLOT:
        record->slot_s += 3600;
        return !excluded;
    case EXCLUDED:
        record->series = (uint32_t)EXCLUDE_NEGATIVE << 16 | record->series % METERS;
        record->flags |= RECORD_EXCLUDED;
        return !excluded;
    case QUANTITY:
        if (record->flags & RECORD_WIDE) {
            *wide += draw_below(2) ? 1 : -1;
        } else {
            record->mantissa += draw_below(2) ? 1 : -1;
        }
        return true;
    case SCALE:
        record->scale++;
        return true;
    case PRINT:
        record->print ^= UINT64_C(1) << draw_below(64);
        return true;
    case SWAPPED: { /* two events take each other's rows: counts, sums and fingerprints of the meter
                       stay */
        struct record *other = record_at(world, draw_below(world->record_count));
        bool same = record->account == other->account && record->series == other->series &&
                    record->slot_s == other->slot_s;
        if (same || record->print == other->print ||
            ((record->flags ^ other->flags) & RECORD_EXCLUDED)) {
            return false;
        }
        uint32_t account = record->account, series = record->series, slot_s = record->slot_s;
        record->account = other->account, record->series = other->series;
        record->slot_s = other->slot_s;
        other->account = account, other->series = series, other->slot_s = slot_s;
        return true;
    }
    default:
        return true;
    }
}

/* Folds all deltas, in an order of its own; lost and doubled say which is left out or taken twice.
 */
static bool book_agrees(struct world *world, uint32_t lost, uint32_t doubled)
{
    struct book book;
    book_init(&book, &world->arena, 4);
    uint32_t start = draw_below(world->record_count);
    for (uint32_t i = 0; i < world->record_count; i++) {
        uint32_t index = (start + i) % world->record_count;
        for (uint32_t times = index == lost ? 0 : index == doubled ? 2 : 1; times > 0; times--) {
            book_fold(&book, record_at(world, index), &world->series, &world->catalog);
        }
    }
    struct total booked[METERS + 1] = {0};
    book_totals(&book, &world->series, booked, METERS);
    bool equal = true;
    for (uint32_t i = 0; i <= METERS; i++) {
        equal = equal && total_equal(&booked[i], &world->read[i]);
    }
    return equal;
}

static struct world world;

static void conserves_what_was_accepted(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        make_world(&world, seed);
        if (!book_agrees(&world, NONE, NONE)) {
            fail_msg("seed %llu: nothing was planted, and the totals differ",
                     (unsigned long long)seed);
        }
        arena_release(&world.arena);
    }
}

static void catches_every_mutation(void **unused)
{
    (void)unused;
    const char *cases = getenv("FARTHING_CASES");
    long wanted = cases ? strtol(cases, NULL, 10) / 100 : 0;
    wanted = wanted < 1000 ? 1000 : wanted > 100'000 ? 100'000 : wanted;
    long planted[MUTATIONS] = {0}, caught[MUTATIONS] = {0}, sum = 0, seen = 0;
    for (uint64_t seed = 1; sum < wanted; seed++) {
        make_world(&world, seed);
        enum mutation mutation = (enum mutation)(seed % MUTATIONS);
        uint32_t at = draw_below(world.record_count);
        if (mutate(&world, mutation, record_at(&world, at))) {
            bool agrees =
                book_agrees(&world, mutation == LOST ? at : NONE, mutation == DOUBLED ? at : NONE);
            planted[mutation]++;
            caught[mutation] += !agrees;
            if (agrees) {
                print_error("seed %llu: %s, and nobody saw it\n", (unsigned long long)seed,
                            mutation_names[mutation]);
            }
            sum++;
            seen += !agrees;
        }
        arena_release(&world.arena);
    }
    for (int i = 0; i < MUTATIONS; i++) {
        print_message("  %-26s %ld of %ld\n", mutation_names[i], caught[i], planted[i]);
    }
    print_message("planted mutations caught: %ld of %ld\n", seen, sum);
    assert_int_equal(seen, sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conserves_what_was_accepted),
        cmocka_unit_test(catches_every_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
