/* meter_test.c - the short way from an event to its meter, compared with the long one, for drawn
 * events of catalogs with few and with very many SKUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/load.h"
#include "decode/decode.h"
#include "draw.h"
#include "decode/segment.h"
#include "usage/usage.h"

#include <cmocka.h> /* last: it defines fail() */

/* Of each shape several, so that types are many. */
static const char *const SHAPES[] = {
    "{value: data.q, sku: data.sku}",
    "{value: number(data.q), sku: data.sku}",
    "{value: number(data.q), sku: data.sku, negative: true, grain: month}",
    "{value: number(data.q), sku: sku-1}",
    "{sku: data.sku}",
    "{value: number(data.q), sku: data.sku, where: data.q != \"7\"}",
    "{value: number(data.q), sku: data.sku, dimensions: {region: data.region}}",
    "{value: data.q, sku: data.sku, aggregate: unique}",
    "{value: number(data.q) * 2, sku: data.sku}",
    "{value: number(data.q) / 3, sku: data.sku, where: data.region == \"eu\", negative: true}",
    "{sku: sku-1, where: has(data.region) && data.q > 7}",
    "{value: number(data.q) * 0.0000000000000001, sku: data.sku}",
};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof *SHAPES, TYPES = 20 * SHAPE_COUNT };

/* Some are longer than what a name has room for where it is known; that of 1 is in SHAPES. */
static void put_sku(char *out, size_t size, uint32_t number)
{
    (void)snprintf(out, size, "sku-%0*u", number % 2 ? 1 : 1 + (int)(number % 60), number);
}

static const struct catalog *load(struct arena *arena, uint32_t sku_count)
{
    struct buffer out;
    buffer_init(&out, arena, 4096);
    buffer_add_text(&out, TEXT("catalog: test\ncurrency: USD\nmeters:\n"));
    for (int i = 0; i < TYPES; i++) {
        buffer_add_text(
            &out, text_format(arena, "  type.%0*d: %s\n", 3 + i % 60, i, SHAPES[i % SHAPE_COUNT]));
    }
    buffer_add_text(&out, TEXT("prices:\n"));
    for (uint32_t i = 0; i < sku_count; i++) {
        char sku[128];
        put_sku(sku, sizeof sku, i);
        buffer_add_text(&out, text_format(arena, "  - {sku: %s, steps: [rate: 1]}\n", sku));
    }
    struct catalog_file file = {TEXT("test.yaml"), buffer_text(&out)};
    struct catalog_input input = {.files = &file, .file_count = 1};
    struct complaints complaints = {.arena = arena};
    const struct catalog *catalog = NULL;
    struct error err = {0};
    if (catalog_load(arena, &input, NULL, &catalog, &complaints, &err) != OK) {
        print_error("%u: %s\n", complaints.count > 0 ? complaints.items[0].place.line : 0,
                    complaints.count > 0 ? complaints.items[0].message : err.message);
        fail();
    }
    return catalog;
}

enum { BLOCK_EVENTS = 50'000 };

struct both {
    const struct catalog *catalog;
    struct meter_plan *plan;
    struct meter_scratch *scratch;
    struct segment_writer *segments;
    struct decoder *again;
    uint64_t plain, left, whole, tuples;
};

/* What a caller keeps of a meter and a SKU is of no other. */
static uint32_t number_of(const struct plain_measure *plain)
{
    return plain->meter * 100'000 + plain->sku;
}

/* By the text that the event has, whatever was met before. */
static void check_sku(const struct both *both, const struct meter *meter, const struct event *event,
                      uint32_t sku)
{
    struct text name = both->catalog->skus[sku].name, wanted = TEXT("sku-1");
    if (meter->sku_expr) {
        const struct member *member = event_member(event, member_path(PATH_DATA, TEXT("sku")));
        assert_true(member && member->kind == MEMBER_TEXT);
        wanted = member->text;
    }
    assert_true(text_equal(name, wanted));
}

static void check_measure(struct both *both, const struct event *event, struct plain_tuple *tuple)
{
    uint32_t count, known_count;
    const uint32_t *meters = meter_find(both->plan, both->scratch, event, &count);
    const uint32_t *known = meter_plan_find(both->plan, event->type, &known_count);
    assert_int_equal(count, known_count);
    assert_true(count == 0 || meters == known);
    struct plain_measure plain;
    enum plain_taken taken = meter_take_plain(both->plan, both->scratch, event, tuple, &plain);
    bool is_plain = taken == PLAIN_MEASURED;
    both->tuples += is_plain && tuple && plain.number == &tuple->number;
    both->plain += is_plain;
    both->left += taken == PLAIN_LEFT;
    both->whole += taken == PLAIN_NOT;
    for (uint32_t i = 0; i < count; i++) {
        struct measure measure;
        const struct meter *meter = &both->catalog->meters[meters[i]];
        meter_apply(both->catalog, meter, event, both->scratch, &measure);
        assert_true(taken == PLAIN_NOT || measure.matched == is_plain);
        if (measure.matched && measure.exclusion == EXCLUDE_NONE) {
            check_sku(both, meter, event, measure.sku);
        }
    }
    if (!is_plain) {
        return;
    }
    assert_int_equal(count, 1);
    assert_int_equal(plain.meter, meters[0]);
    const struct meter *meter = &both->catalog->meters[meters[0]];
    assert_int_equal(plain.grain, meter->grain);
    struct measure measure;
    meter_apply(both->catalog, meter, event, both->scratch, &measure);
    assert_true(measure.matched);
    assert_int_equal(measure.exclusion, EXCLUDE_NONE);
    assert_int_equal(measure.sku, plain.sku);
    assert_int_equal(measure.dimension_count, 0);
    assert_int_equal(measure.resource.size, 0);
    assert_true(measure.value.mantissa == plain.value.mantissa);
    assert_int_equal(measure.value.scale, plain.value.scale);
    assert_true(*plain.number == NONE || *plain.number == number_of(&plain));
    *plain.number = number_of(&plain);
}

/* The events of a block once more, by what is known of their tuples. */
static void check_block(struct both *both)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct text block = segment_finish(both->segments, 0);
    char *bytes = arena_calloc(&arena, block.size + SEGMENT_PADDING_BYTES, 1);
    memcpy(bytes, block.at, block.size);
    struct arena reading;
    arena_init(&reading, NULL, 0);
    struct segment_reader *reader = segment_reader_new(&reading);
    const char *fault;
    assert_true(segment_open(reader, (struct text){bytes, block.size}, &fault));
    struct plain_tuple *tuples =
        arena_calloc(&arena, segment_tuple_count(reader) + 1u, sizeof *tuples);
    for (const struct event *event; (event = segment_next(reader, &fault)) != NULL;) {
        assert_in_range(event->tuple_number, 1, segment_tuple_count(reader));
        check_measure(both, event, &tuples[event->tuple_number]);
    }
    assert_null(fault);
    arena_release(&reading);
    arena_release(&arena);
}

static void check_event(void *context, const struct event *event, size_t, struct text record)
{
    struct both *both = context;
    check_measure(both, event, NULL);
    struct error err;
    assert_int_equal(segment_add(both->segments, event, record, NULL, both->again, &err), OK);
    if (segment_count(both->segments) == BLOCK_EVENTS) {
        check_block(both);
    }
}

static void refuse(void *, const struct finding *finding)
{
    print_error("%s\n", finding->detail);
    fail();
}

static void draw_value(char *out, size_t size)
{
    static const char *const VALUES[] = {"7",
                                         "\"7\"",
                                         "-3.25",
                                         "\"-3.25\"",
                                         "null",
                                         "true",
                                         "\"seven\"",
                                         "{}",
                                         "\"\"",
                                         "12.500",
                                         "0",
                                         "\"1e3\"",
                                         "\"0\"",
                                         "\"-0\"",
                                         "99999999999999999999",
                                         "[1]",
                                         "\"99999999999999999999.5\""};
    enum { VALUE_COUNT = sizeof VALUES / sizeof *VALUES };
    if (draw_below(2)) {
        (void)snprintf(out, size, "%s", VALUES[draw_below(VALUE_COUNT)]);
    } else {
        const char *quote = draw_below(2) ? "\"" : "";
        (void)snprintf(out, size, "%s%u.%09u%s", quote, draw_below(100000), draw_below(1000000000),
                       quote);
    }
}

static void check_events(struct both *both, struct arena *decoding, uint32_t sku_count)
{
    struct decoder *decoder = decoder_new(decoding);
    struct sink sink = {both, check_event, refuse};
    for (int i = 0; i < 200'000; i++) {
        char line[1024], value[64], sku[128], type[128];
        draw_value(value, sizeof value);
        uint32_t kind = draw_below(16), number = (uint32_t)draw_below(TYPES + 2);
        if (kind == 0) {
            draw_value(sku, sizeof sku);
        } else { /* some are no SKU's */
            put_sku(sku + 1, sizeof sku - 2, draw_below(sku_count + 2));
            sku[0] = '"';
            strcat(sku, "\"");
        }
        (void)snprintf(type, sizeof type, "type.%0*u", 3 + (int)(number % 60), number);
        const char *members[] = {"\"region\":\"eu\",", "", "\"other\":1,\"flag\":true,"};
        int size = snprintf(line, sizeof line,
                            "{\"specversion\":\"1.0\",\"id\":\"%d\",\"source\":\"s\",\"type\":"
                            "\"%s\",\"subject\":\"a\",\"time\":\"2026-10-01T00:00:00Z\",\"data\":{"
                            "%s\"q\":%s,\"sku\":%s}}\n",
                            i, type, members[draw_below(3)], value, sku);
        struct text rest = {line, (size_t)size - 1};
        memset(line + size, 0, DECODE_PADDING_BYTES);
        (void)decode_json_next(decoder, rest, false, &sink);
    }
}

static void check(uint32_t sku_count)
{
    struct arena arena, decoding, metering, segments;
    arena_init(&arena, NULL, 0);
    arena_init(&segments, NULL, 0);
    arena_init(&decoding, NULL, 0);
    arena_init(&metering, NULL, 0);
    struct both both = {.catalog = load(&arena, sku_count)};
    both.plan = meter_plan_new(&arena, both.catalog);
    both.scratch = meter_scratch_new(&metering, both.catalog);
    both.segments = segment_writer_new(&segments);
    both.again = decoder_new(&arena);
    check_events(&both, &decoding, sku_count);
    print_message(
        "%u SKUs: %llu events the short way, %llu of them by their tuple, %llu left by it, "
        "%llu the long one\n",
        sku_count, (unsigned long long)both.plain, (unsigned long long)both.tuples,
        (unsigned long long)both.left, (unsigned long long)both.whole);
    assert_true(both.plain > 100'000 && both.left > 10'000 && both.whole > 40'000);
    assert_true(both.tuples > 1'000);
    arena_release(&segments);
    arena_release(&arena);
    arena_release(&decoding);
    arena_release(&metering);
}

static void test_few(void **)
{
    state = 1;
    check(5);
}

/* More than places for what was met: the newest take those of others. */
static void test_many(void **)
{
    state = 2;
    check(20'000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
