/* select_test.c - which price a row has, held against the rule written out; and where time is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalogs.h"
#include "price/price.h"

#include <cmocka.h>

/* ---- selection, against a rule written out here ---- */

struct made {      /* a price as the generator meant it */
    int level;     /* 1 contract, 2 plan, 3 catalog */
    int sku;       /* -1: `*` */
    int values[2]; /* of two dimensions; -1: any */
    int from, to;  /* days */
    char name[16];
};
enum { SKUS = 4, VALUES = 3, DAYS = 40, MADE_MAX = 60 };

static bool may_meet(const struct made *a, const struct made *b)
{
    int count_a = (a->values[0] >= 0) + (a->values[1] >= 0);
    int count_b = (b->values[0] >= 0) + (b->values[1] >= 0);
    if (a->level != b->level || a->sku != b->sku || count_a != count_b || a->to <= b->from ||
        b->to <= a->from) {
        return false;
    }
    for (int d = 0; d < 2; d++) {
        if (a->values[d] >= 0 && b->values[d] >= 0 && a->values[d] != b->values[d]) {
            return false;
        }
    }
    return true;
}

static void write_made(struct buffer *out, const struct made *made, int count, int level,
                       const char *indent)
{
    for (int i = 0; i < count; i++) {
        const struct made *m = &made[i];
        if (m->level != level) {
            continue;
        }
        buffer_format(out, "%s- {name: %s, sku: ", indent, m->name);
        if (m->sku < 0) {
            buffer_add_text(out, TEXT("'*'"));
        } else {
            buffer_format(out, "s%d", m->sku);
        }
        buffer_format(out, ", from: 2026-%02d-%02d, to: 2026-%02d-%02d, where: {", 1 + m->from / 28,
                      1 + m->from % 28, 1 + m->to / 28, 1 + m->to % 28);
        for (int d = 0, n = 0; d < 2; d++) {
            if (m->values[d] >= 0) {
                buffer_format(out, "%sd%d: v%d", n++ == 0 ? "" : ", ", d, m->values[d]);
            }
        }
        buffer_add_text(out, TEXT("}, steps: [{rate: 1}]}\n"));
    }
}

/* Level before level, named before `*`, more values before fewer. */
static const struct made *choose(const struct made *made, int count, int sku, const int *values,
                                 int day)
{
    const struct made *best = NULL;
    int best_score = -1;
    for (int i = 0; i < count; i++) {
        const struct made *m = &made[i];
        bool matches = (m->sku < 0 || m->sku == sku) && m->from <= day && day < m->to;
        int score = (3 - m->level) * 100 + (m->sku >= 0) * 10;
        for (int d = 0; d < 2; d++) {
            matches = matches && (m->values[d] < 0 || m->values[d] == values[d]);
            score += m->values[d] >= 0;
        }
        if (matches && score > best_score) {
            best = m;
            best_score = score;
        }
    }
    return best;
}

/* Each price stands once for each SKU that it names, and nothing else does. */
static void check_index(const struct catalog *catalog, const struct price_set *set)
{
    uint32_t found = 0;
    for (uint32_t sku = 0; sku <= catalog->sku_count; sku++) {
        bool is_any = sku == catalog->sku_count;
        struct price_range range = price_set_find(set, is_any ? NONE : sku);
        uint32_t expected = 0;
        for (uint32_t i = 0; i < set->count; i++) {
            const struct price *price = &set->base[set->prices[i]];
            expected +=
                is_any ? price->skus == NULL : price->skus != NULL && price_has_sku(price, sku);
        }
        assert_int_equal(range.count, expected);
        for (uint32_t i = 0; i < range.count; i++) {
            const struct price *price = &set->base[range.prices[i]];
            assert_true(is_any ? price->skus == NULL
                               : price->skus != NULL && price_has_sku(price, sku));
            assert_true(i == 0 ||
                        price->selector_count <= set->base[range.prices[i - 1]].selector_count);
        }
        found += range.count;
    }
    assert_int_equal(set->by_sku_count, found);
}

/* Of each SKU the dates of all prices that may be its own, but for those of contracts, ascending.
 */
static void check_sku_edges(const struct catalog *catalog)
{
    instant *dates = malloc((2 * (size_t)catalog->price_count + 1) * sizeof *dates);
    assert_non_null(dates);
    for (uint32_t sku = 0; sku < catalog->sku_count; sku++) {
        uint32_t first = catalog->sku_edge_first[sku], count = 0;
        for (uint32_t p = 0; p < catalog->price_count; p++) {
            const struct price *price = &catalog->prices[p];
            if (price->owner > catalog->plan_count || !price_has_sku(price, sku)) {
                continue;
            }
            if (price->from != INSTANT_MIN) {
                dates[count++] = price->from;
            }
            if (price->to != INSTANT_MAX) {
                dates[count++] = price->to;
            }
        }
        instants_sort(dates, count);
        assert_int_equal(first + count, catalog->sku_edge_first[sku + 1]);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(catalog->sku_edges[first + i] == dates[i]);
        }
    }
    free(dates);
}

static void test_selection(void **state)
{
    (void)state;
    uint64_t seed = 77;
    int asked = 0, found = 0, ambiguous = 0;
    for (int round = 0; round < 200; round++) {
        struct arena_mark mark = arena_mark(&test_arena);
        struct made made[MADE_MAX];
        int wanted = (int)(next_random(&seed) % MADE_MAX) + 1, count = 0;
        bool meets = false;
        for (int i = 0; i < wanted; i++) {
            struct made m = {.level = (int)(next_random(&seed) % 3) + 1,
                             .sku = (int)(next_random(&seed) % (SKUS + 1)) - 1};
            m.from = (int)(next_random(&seed) % DAYS);
            m.to = m.from + 1 + (int)(next_random(&seed) % DAYS);
            for (int d = 0; d < 2; d++) {
                m.values[d] = (int)(next_random(&seed) % (VALUES + 2)) - 2;
                m.values[d] = m.values[d] < 0 ? -1 : m.values[d];
            }
            snprintf(m.name, sizeof m.name, "p%d", i);
            bool clash = false;
            for (int k = 0; k < count; k++) {
                clash = clash || may_meet(&m, &made[k]);
            }
            if (clash && round % 4 != 0) { /* one round in four keeps them: it must not load */
                continue;
            }
            meets = meets || clash;
            made[count++] = m;
        }
        struct buffer out;
        buffer_init(&out, &test_arena, 8192);
        buffer_format(
            &out,
            HEAD "meters: {m: {sku: '\"s\" + data.n', dimensions: {d0: data.d0, d1: data.d1}}}\n"
                 "prices:\n- {sku: [s0, s1, s2, s3], name: never, from: 2027-01-01, steps: [{rate: "
                 "1}]}\n");
        write_made(&out, made, count, 3, "");
        buffer_format(&out, "plans:\n  p:\n    prices:\n");
        write_made(&out, made, count, 2, "    ");
        buffer_format(&out, "contracts:\n- buyer: b\n  plan: p\n  prices:\n");
        write_made(&out, made, count, 1, "  ");
        struct text yaml = buffer_text(&out);
        /* An empty list is written as nothing at all, which no place wants. */
        const char *plan_empty = memmem(yaml.at, yaml.size, "prices:\ncontracts", 17);
        bool contract_empty = memcmp(yaml.at + yaml.size - 8, "prices:\n", 8) == 0;
        if (plan_empty != NULL || contract_empty) {
            arena_rewind(&test_arena, mark);
            continue;
        }
        struct loaded loaded = load_text(&test_arena, yaml);
        if (meets) {
            assert_int_equal(loaded.status, ERR_INPUT);
            assert_string_equal(first_error(&loaded)->code, "PRICE_AMBIGUOUS");
            ambiguous++;
            arena_rewind(&test_arena, mark);
            continue;
        }
        assert_loads(&loaded);
        check_index(loaded.catalog, &loaded.catalog->public_prices);
        check_index(loaded.catalog, &loaded.catalog->plans[0].prices);
        check_index(loaded.catalog, &loaded.catalog->contracts[0].prices);
        check_sku_edges(loaded.catalog);
        for (int q = 0; q < 300; q++) {
            int sku = (int)(next_random(&seed) % SKUS),
                day = (int)(next_random(&seed) % (2 * DAYS));
            int values[2] = {(int)(next_random(&seed) % (VALUES + 1)),
                             (int)(next_random(&seed) % (VALUES + 1))};
            char date[16], texts[2][4], name[4];
            snprintf(date, sizeof date, "2026-%02d-%02d", 1 + day / 28, 1 + day % 28);
            snprintf(name, sizeof name, "s%d", sku);
            struct text dims[2];
            for (int d = 0; d < 2; d++) {
                snprintf(texts[d], sizeof texts[d], "v%d", values[d]);
                dims[d] = text_of(texts[d]);
            }
            instant at;
            assert_int_equal(time_parse_date(text_of(date), NULL, &at), TIME_OK);
            int level = 0;
            struct dimension_values of = {NULL, dims};
            const struct price *price =
                catalog_price(loaded.catalog, NULL, &loaded.catalog->contracts[0], NONE,
                              sku_index(loaded.catalog, name), &of, at, &level);
            const struct made *expected = choose(made, count, sku, values, day);
            assert_true((price == NULL) == (expected == NULL));
            if (price != NULL) {
                ASSERT_TEXT(price->name, expected->name);
                assert_int_equal(level, expected->level);
                found++;
            }
            asked++;
        }
        arena_rewind(&test_arena, mark);
    }
    print_message("%d rows asked, %d have a price, %d ambiguous catalogs refused\n", asked, found,
                  ambiguous);
    assert_true(asked > 20'000 && found > asked / 4 && ambiguous > 20);
}

/* A clock of each step that counts for another one, and that of the steps themselves, which is one
 * for all; prices that count for several have the same ones. */
static void test_slot_clocks(void **state)
{
    (void)state;
    struct loaded loaded =
        load_string(&test_arena, HEAD
                    "meters: {m: {sku: data.sku}}\n"
                    "prices:\n"
                    "- {sku: a, steps: [{rate: 1}]}\n"
                    "- {sku: b, steps: [{allowance: {quantity: 'usage(\"m\") / 2', clock: month}}, "
                    "{rate: 1}]}\n"
                    "- {sku: c, steps: [{allowance: {quantity: 'usage(\"m\") / 3', clock: month}}, "
                    "{rate: 1}]}\n"
                    "- {sku: d, steps: [{allowance: {quantity: 'usage(\"m\") / 4', clock: day}}, "
                    "{rate: 1}]}\n");
    assert_loads(&loaded);
    const struct catalog *catalog = loaded.catalog;
    assert_int_equal(catalog->tally_count, 3);
    assert_int_equal(catalog->slot_clock_count, 3 + 2); /* month, day */
    for (uint32_t i = 0; i < catalog->slot_clock_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const struct slot_clock *a = &catalog->slot_clocks[i], *b = &catalog->slot_clocks[k];
            assert_true(a->tally != b->tally || a->clock.every != b->clock.every);
        }
    }
    assert_int_equal(catalog->prices[0].clock_count, 3);
    for (uint32_t p = 1; p < catalog->price_count; p++) {
        assert_int_equal(catalog->prices[p].clock_count, 3 + 1);
    }
}

/* A stretch is as long as nothing changes, and no longer: held against minute by minute. */
static void test_stretches(void **state)
{
    (void)state;
    struct loaded loaded = load_string(
        &test_arena,
        HEAD "prices: [{sku: a, steps: [{rate: 1}]}]\n"
             "calendars:\n"
             "  peak: {zone: Europe/Berlin, hours: ['mon-fri 07:00-20:00'], except: [2026-03-30]}\n"
             "  night: {zone: Europe/Berlin, hours: ['22:00-02:30', 'sun 02:45-03:15']}\n"
             "  always: {zone: Asia/Kolkata, hours: ['00:00-24:00']}\n");
    assert_loads(&loaded);
    const struct catalog *catalog = loaded.catalog;
    const instant minute = 60 * NS_PER_SECOND;
    instant start;
    assert_int_equal(time_parse_date(TEXT("2026-03-20"), NULL, &start), TIME_OK);
    uint64_t seed = 18;
    for (int round = 0; round < 600; round++) {
        const struct calendar *calendar = &catalog->calendars[round % 3];
        instant from = start + (instant)(next_random(&seed) % (10 * 24 * 60)) * minute;
        instant to = from + (1 + (instant)(next_random(&seed) % (10 * 24 * 60))) * minute;
        instant at = from + (instant)(next_random(&seed) % (uint64_t)(to - from));
        struct period found = calendar_stretch(calendar, at, (struct period){from, to});
        bool holds = calendar_has(calendar, at);
        instant first = at - at % minute, end = first + minute;
        while (first > from && calendar_has(calendar, first - minute) == holds) {
            first -= minute;
        }
        while (end < to && calendar_has(calendar, end) == holds) {
            end += minute;
        }
        assert_true(found.from == first && found.to == end);
    }
}

static void test_edges(void **state)
{
    (void)state;
    struct loaded loaded = load_string(
        &test_arena, HEAD "prices:\n- {sku: a, to: 2026-02-01, steps: [{rate: 1}]}\n"
                          "- {sku: a, from: 2026-02-01, to: 2026-03-01, steps: [{rate: 1}]}\n"
                          "- {sku: b, from: 2026-02-15T12:30:00Z, steps: [{rate: 1}]}\n");
    assert_loads(&loaded);
    const struct catalog *catalog = loaded.catalog;
    assert_int_equal(catalog->edge_count, 3);
    instant february, noon, march;
    assert_int_equal(time_parse_date(TEXT("2026-02-01"), NULL, &february), TIME_OK);
    assert_int_equal(time_parse_date(TEXT("2026-02-15T12:30:00Z"), NULL, &noon), TIME_OK);
    assert_int_equal(time_parse_date(TEXT("2026-03-01"), NULL, &march), TIME_OK);
    assert_int_equal(catalog_edge_before(catalog, february - 1), INSTANT_MIN);
    assert_int_equal(catalog_edge_after(catalog, february - 1), february);
    assert_int_equal(catalog_edge_before(catalog, february), february);
    assert_int_equal(catalog_edge_after(catalog, february), noon);
    assert_int_equal(catalog_edge_before(catalog, march - 1), noon);
    assert_int_equal(catalog_edge_after(catalog, march), INSTANT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_selection, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_slot_clocks, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_stretches, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_edges, catalogs_start, catalogs_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
