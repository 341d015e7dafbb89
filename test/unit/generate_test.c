/* generate_test.c - the sample month: the same bytes from the same seed, and all that it claims is
 * in it.
 *
 * The month is read back with the decoder and held against the demo catalog, so the lists of
 * generate.c and tool/demo_catalog.py cannot drift apart.
 */
#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "catalog/accounts.h"
#include "decode/decode.h"
#include "engine/env_posix.h"
#include "exchange/generate.h"

#include <cmocka.h> /* last: it defines fail() */

static struct env *env;
static struct arena arena;
static char folder[256];

static struct text read_file(const char *directory, const char *name)
{
    struct text path = text_format(&arena, "%s/%s", directory, name);
    FILE *file = fopen(path.at, "rb");
    if (!file) {
        fail_msg("%s: cannot open", path.at);
    }
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = arena_alloc(&arena, size + 64);
    memset(bytes + size, 0, 64);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
    return (struct text){bytes, size};
}

static struct generate_options small_options(void)
{
    struct generate_options options = generate_defaults();
    options.events = 20'000;
    options.accounts = 500;
    options.folder = folder;
    options.replace = true;
    return options;
}

static struct generate_summary run(const struct generate_options *options)
{
    struct generate_summary summary;
    struct error error;
    if (generate_run(env, options, &summary, &error) != OK) {
        fail_msg("%s", error.message);
    }
    return summary;
}

/* ---- the same bytes ---- */

static void test_same_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"accounts.csv", "memberships.csv", "overrides.csv",
                                        "usage.ndjson"};
    struct generate_options options = small_options();
    run(&options);
    struct text first[4];
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        first[i] = read_file(folder, names[i]);
        sum = hash_print64(first[i].at, first[i].size, sum);
    }
    run(&options);
    for (int i = 0; i < 4; i++) {
        assert_true(text_equal(first[i], read_file(folder, names[i])));
    }
    /* On any machine.  Whoever changes what is generated changes this number. */
    assert_int_equal(sum, UINT64_C(0x879e6d9c0a601aef));

    options.seed = 2;
    run(&options);
    assert_false(text_equal(first[3], read_file(folder, names[3])));

    options.seed = 1;
    options.compress = true;
    run(&options);
    struct text packed = read_file(folder, "usage.ndjson.zst");
    char *bytes = arena_alloc(&arena, first[3].size);
    size_t size = ZSTD_decompress(bytes, first[3].size, packed.at, packed.size);
    assert_false(ZSTD_isError(size));
    assert_true(text_equal(first[3], (struct text){bytes, size}));
    assert_true(packed.size * 3 < size);
}

/* ---- what is in it ---- */

struct seen {
    const struct catalog *catalog;
    const struct accounts *accounts;
    struct map keys; /* source and id */
    struct arena *arena;
    const uint64_t **prints; /* of each key: of its first event */
    uint64_t events, withdrawals, again, other, outside, no_account, no_sku, no_type;
    uint64_t refused, by_refusal[REFUSALS];
    uint32_t sku_count;
    unsigned char *is_sold;
};

static bool has_meter(const struct catalog *catalog, struct text type)
{
    for (uint32_t i = 0; i < catalog->meter_count; i++) {
        if (text_equal(catalog->meters[i].event_type, type)) {
            return true;
        }
    }
    return false;
}

static void take_event(void *context, const struct event *event, size_t offset, struct text record)
{
    (void)offset;
    (void)record;
    struct seen *seen = context;
    if (event->kind == EVENT_WITHDRAWAL) {
        seen->withdrawals++;
        struct text key = text_format(seen->arena, "%.*s %.*s", TEXT_ARG(event->target_source),
                                      TEXT_ARG(event->target_id));
        assert_int_not_equal(map_find(&seen->keys, key), MAP_NONE);
        return;
    }
    struct text key =
        text_format(seen->arena, "%.*s %.*s", TEXT_ARG(event->source), TEXT_ARG(event->id));
    uint32_t index = map_put(&seen->keys, key, (uint32_t)seen->events);
    if (index != seen->events) {
        bool same = *seen->prints[index] == event->print;
        seen->again += same;
        seen->other += !same;
        return;
    }
    uint64_t *print = arena_alloc(seen->arena, sizeof *print);
    *print = event->print;
    seen->prints[seen->events++] = print;
    struct period october = generate_defaults().period;
    seen->outside += !period_has(october, event->at);
    seen->no_account += accounts_find(seen->accounts, NONE, event->subject) == MAP_NONE;
    seen->no_type += !has_meter(seen->catalog, event->type);
    const struct member *sku = event_member(event, member_path(PATH_DATA, TEXT("sku")));
    assert_non_null(sku);
    uint32_t sold = map_find(&seen->catalog->sku_by_name, sku->text);
    if (sold == MAP_NONE) {
        seen->no_sku++;
    } else {
        seen->sku_count += !seen->is_sold[sold];
        seen->is_sold[sold] = 1;
    }
}

static void take_refused(void *context, const struct finding *finding)
{
    struct seen *seen = context;
    seen->refused++;
    seen->by_refusal[finding->refusal]++;
}

static const struct catalog *load_demo(struct accounts **accounts)
{
    static const char demo[] = FARTHING_SOURCE_DIR "/examples/demo/catalog";
    struct dirent **entries;
    int count = scandir(demo, &entries, NULL, alphasort);
    assert_true(count > 2);
    struct catalog_file *files = arena_calloc(&arena, (size_t)count, sizeof *files);
    uint32_t file_count = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            struct text name = text_copy(&arena, text_of(entries[i]->d_name));
            files[file_count++] = (struct catalog_file){name, read_file(demo, name.at)};
        }
        free(entries[i]);
    }
    free(entries);
    struct catalog_input input = {.files = files, .file_count = file_count};
    struct complaints complaints = {.arena = &arena};
    struct accounts_builder *builder = accounts_builder_new(&arena, &arena, input.zones);
    const struct catalog *catalog;
    struct error error;
    if (catalog_load(&arena, &input, builder, &catalog, &complaints, &error) != OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(complaints.count, 0); /* no warnings either */
    static const char *const names[] = {"accounts.csv", "memberships.csv", "overrides.csv"};
    for (int i = 0; i < 3; i++) {
        accounts_feed(builder, text_of(names[i]), read_file(folder, names[i]), true, &complaints);
    }
    if (accounts_finish(builder, catalog, accounts, &complaints, &error) != OK) {
        fail_msg("%s", error.message);
    }
    return catalog;
}

static void test_content(void **state)
{
    (void)state;
    struct generate_options options = small_options();
    options.events = 200'000;
    options.accounts = 3000;
    options.bad_ppm = 2000; /* enough for each kind */
    struct generate_summary summary = run(&options);
    struct accounts *accounts;
    const struct catalog *catalog = load_demo(&accounts);
    assert_int_equal(catalog->product_count, 30);
    assert_in_range(catalog->sku_count, 480, 520);
    assert_int_equal(accounts->count, summary.accounts + summary.organizations);
    assert_true(accounts->price_count > 100 && summary.memberships > 100);
    for (uint32_t i = 0; i < catalog->contract_count; i++) { /* buyers are there */
        assert_int_not_equal(accounts_find(accounts, NONE, catalog->contracts[i].buyer), MAP_NONE);
    }

    struct text usage = read_file(folder, "usage.ndjson");
    assert_int_equal(usage.size, summary.size_bytes);
    struct seen seen = {.catalog = catalog, .accounts = accounts, .arena = &arena};
    seen.prints = arena_alloc(&arena, options.events * sizeof *seen.prints);
    seen.is_sold = arena_calloc(&arena, catalog->sku_count, 1);
    map_init(&seen.keys, &arena, (uint32_t)options.events);
    struct sink sink = {&seen, take_event, take_refused};
    struct arena scratch;
    arena_init(&scratch, NULL, 0);
    struct decoder *decoder = decoder_new(&scratch);
    uint64_t lines = 0;
    for (size_t offset = 0; offset < usage.size; lines++) {
        const char *at = usage.at + offset;
        const char *newline = memchr(at, '\n', usage.size - offset);
        size_t size = newline ? (size_t)(newline - at) : usage.size - offset;
        assert_true(size < 1024);
        decode_json_line(decoder, (struct text){at, size}, offset == 0, &sink);
        offset += size + 1;
    }
    arena_release(&scratch);

    printf("%" PRIu64 " lines: %" PRIu64 " events, %" PRIu64 " duplicates, %" PRIu64
           " conflicts, %" PRIu64 " withdrawals, %" PRIu64 " refused; %" PRIu64 " outside, %" PRIu64
           " without account, %" PRIu64 " without meter, %" PRIu64 " without SKU; %u SKUs used\n",
           lines, seen.events, seen.again, seen.other, seen.withdrawals, seen.refused, seen.outside,
           seen.no_account, seen.no_type, seen.no_sku, seen.sku_count);
    assert_int_equal(lines, options.events);
    assert_int_equal(summary.lines, options.events);
    assert_int_equal(seen.refused, summary.bad);
    assert_int_equal(seen.again, summary.duplicates);
    assert_int_equal(seen.other, summary.conflicts);
    assert_int_equal(seen.withdrawals, summary.withdrawals);
    assert_int_equal(seen.events + seen.again + seen.other + seen.withdrawals + seen.refused,
                     lines);
    /* Shares: within a fifth of what was asked for. */
    assert_in_range(summary.duplicates, 1600, 2400);
    assert_in_range(summary.late, 3200, 4800);
    assert_in_range(summary.conflicts, 160, 240);
    assert_in_range(summary.unknown, 160, 240);
    assert_true(seen.outside > 100 && seen.no_account > 20 && seen.no_type > 10 &&
                seen.no_sku > 10);
    assert_true(seen.no_account + seen.no_type + seen.no_sku <= summary.unknown);
    assert_true(seen.sku_count > 450);
    static const enum refusal reasons[] = {
        REFUSE_NUM_RANGE, REFUSE_NUM_SCALE, REFUSE_JSON_SYNTAX,   REFUSE_JSON_DUP_KEY,
        REFUSE_FIELD_LEN, REFUSE_UTF8,      REFUSE_FIELD_MISSING, REFUSE_TIME_ZONE,
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (seen.by_refusal[reasons[i]] == 0) {
            fail_msg("no line is refused as %s", refusal_name(reasons[i]));
        }
    }
}

/* ---- options ---- */

static void expect_refused(struct generate_options options, enum status status)
{
    struct error error;
    assert_int_equal(generate_run(env, &options, NULL, &error), status);
}

static void test_options(void **state)
{
    (void)state;
    struct generate_options options = small_options();
    options.events = 0;
    options.accounts = 1;
    struct generate_summary summary = run(&options);
    assert_int_equal(summary.lines, 0);
    assert_int_equal(read_file(folder, "usage.ndjson").size, 0);
    options.replace = false;
    expect_refused(options, ERR_CONFLICT);
    options = small_options();
    options.accounts = 0;
    expect_refused(options, ERR_INPUT);
    options = small_options();
    options.duplicate_ppm = GENERATE_PPM;
    expect_refused(options, ERR_INPUT);
    options = small_options();
    options.period.to = options.period.from;
    expect_refused(options, ERR_INPUT);
    /* All lines are duplicates: then none is, since nothing came before. */
    options = small_options();
    options.events = 500;
    options.conflict_ppm = options.withdrawn_ppm = options.bad_ppm = options.unknown_ppm = 0;
    options.duplicate_ppm = GENERATE_PPM;
    assert_int_equal(run(&options).duplicates, 0);
}

static int set_up(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.200s/generate_test.XXXXXX", base ? base : "/tmp");
    arena_init(&arena, NULL, 0);
    env = env_posix_new(0);
    return env && mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"accounts.csv", "memberships.csv", "overrides.csv",
                                        "usage.ndjson", "usage.ndjson.zst"};
    for (int i = 0; i < 5; i++) {
        unlink(text_format(&arena, "%s/%s", folder, names[i]).at);
    }
    rmdir(folder);
    arena_release(&arena);
    env_posix_free(env);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_content, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_options, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
