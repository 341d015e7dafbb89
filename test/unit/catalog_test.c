/* catalog_test.c - loading a catalog: what it becomes, what is refused and where, and that it ends.
 *
 * test/table/catalog holds catalogs, one a file or a folder of files, and beside each NAME.expect:
 * all complaints word for word, one a line, hints indented; an empty file means that it loads
 * without any.  FARTHING_REWRITE=1 writes them anew; read the difference before you commit it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "catalog/accounts.h"
#include "decode/event.h"
#include "price/price.h"
#include "catalogs.h"

#include <cmocka.h>

enum { FILES_MAX = 8 };

/* ---- the table: every complaint, at its place ---- */

enum { CODES_MAX = 128 };
static char codes_seen[CODES_MAX][24];
static int codes_seen_count;

static void note_codes(const struct loaded *loaded)
{
    for (uint32_t i = 0; i < loaded->complaints.count; i++) {
        const char *code = loaded->complaints.items[i].code;
        int k = 0;
        while (k < codes_seen_count && strcmp(codes_seen[k], code) != 0) {
            k++;
        }
        if (k == codes_seen_count) {
            assert_true(k < CODES_MAX);
            snprintf(codes_seen[codes_seen_count++], 24, "%s", code);
        }
    }
}

static int is_catalog(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && (dot == NULL || strcmp(dot, ".expect") != 0);
}

static int is_part(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return is_catalog(entry) && dot != NULL && (dot[1] == 'y' || strcmp(dot, ".json") == 0);
}

static struct loaded load_entry(struct arena *arena, const char *name)
{
    char path[512];
    struct stat about;
    struct catalog_file files[FILES_MAX];
    uint32_t count = 0;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    assert_int_equal(stat(path, &about), 0);
    if (!S_ISDIR(about.st_mode)) {
        files[count++] =
            (struct catalog_file){text_copy(arena, text_of(name)), read_file(arena, path)};
        return load_files(arena, files, count);
    }
    struct dirent **inner;
    int found = scandir(path, &inner, is_part, alphasort);
    for (int i = 0; i < found; i++) {
        char file[1024];
        snprintf(file, sizeof file, "%s/%s", path, inner[i]->d_name);
        assert_true(count < FILES_MAX);
        files[count++] = (struct catalog_file){text_format(arena, "%s/%s", name, inner[i]->d_name),
                                               read_file(arena, file)};
        free(inner[i]);
    }
    free(inner);
    return load_files(arena, files, count);
}

static void test_table(void **state)
{
    (void)state;
    struct dirent **names;
    int count = scandir(FOLDER, &names, is_catalog, alphasort), wrong = 0, complaint_count = 0;
    assert_true(count > 20);
    for (int i = 0; i < count; i++) {
        struct arena_mark mark = arena_mark(&test_arena);
        struct loaded loaded = load_entry(&test_arena, names[i]->d_name);
        struct buffer out;
        buffer_init(&out, &test_arena, 4096);
        print_complaints(&loaded, &out);
        note_codes(&loaded);
        complaint_count += (int)loaded.complaints.count;
        assert_true((loaded.status == OK) == (loaded.complaints.errors == 0));
        assert_true((loaded.catalog != NULL) == (loaded.status == OK));
        char path[512];
        char *dot = strrchr(names[i]->d_name, '.');
        snprintf(path, sizeof path, FOLDER "/%.*s.expect",
                 dot == NULL ? 255 : (int)(dot - names[i]->d_name), names[i]->d_name);
        if (getenv("FARTHING_REWRITE") != NULL) {
            FILE *file = fopen(path, "wb");
            assert_non_null(file);
            fwrite(out.at, 1, out.size, file);
            fclose(file);
        }
        struct text expected = read_file(&test_arena, path);
        if (expected.at == NULL || !text_equal(expected, buffer_text(&out))) {
            print_message("%s is not as %s says; now:\n%.*s\n", names[i]->d_name, path,
                          TEXT_ARG(buffer_text(&out)));
            wrong++;
        }
        arena_rewind(&test_arena, mark);
        free(names[i]);
    }
    free(names);
    print_message("%d catalogs, %d complaints, %d codes\n", count, complaint_count,
                  codes_seen_count);
    assert_int_equal(wrong, 0);
}

/* ---- limits ---- */

static struct text repeat(struct arena *arena, const char *head, const char *format, int count,
                          const char *tail)
{
    struct buffer out;
    buffer_init(&out, arena, 65536);
    buffer_add_text(&out, text_of(head));
    for (int i = 0; i < count; i++) {
        char item[128];
        int size = snprintf(item, sizeof item, "%s", format);
        char *mark = strchr(item, '#');
        if (mark != NULL) {
            size = snprintf(item, sizeof item, "%.*s%d%s", (int)(mark - item), format, i + 1,
                            format + (mark - item) + 1);
        }
        buffer_add(&out, item, (size_t)size);
    }
    buffer_add_text(&out, text_of(tail));
    return buffer_text(&out);
}

static void assert_code(struct text yaml, const char *code)
{
    struct loaded loaded = load_text(&test_arena, yaml);
    const struct complaint *first = first_error(&loaded);
    note_codes(&loaded);
    if (code == NULL) {
        assert_loads(&loaded);
    } else if (first == NULL) {
        fail_msg("%s was wanted, and it loads", code);
    } else {
        assert_string_equal(first->code, code);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct arena *a = &test_arena;
    assert_code(repeat(a, "catalog: a\n", "#\n", 1024 * 1024, ""), "FILE_SIZE");
    const char *step_head = HEAD "steps:\n", *step = "  s#: {round: 2}\n";
    const char *price = "prices: [{sku: a, steps: [{rate: 1}]}]\n";
    assert_code(repeat(a, step_head, step, 5000, price), NULL);
    assert_code(repeat(a, step_head, step, 5001, price), "YAML_KEYS");
    assert_code(repeat(a, HEAD "csv: ", "[", 31, ""), "YAML_SYNTAX");
    assert_code(repeat(a, HEAD "csv: ", "[", 32, ""), "YAML_DEPTH");
    assert_code(repeat(a, HEAD "csv: ", "[", 900'000, ""), "YAML_DEPTH");
    assert_code(repeat(a, HEAD "csv:", " - ", 300'000, ""), "YAML_SYNTAX");
    assert_code(repeat(a, HEAD "csv: [", "1,", 260'000, "]"), "YAML_NODES");
    const char *tier_head = HEAD "prices: [{sku: a, steps: [{tier: [";
    assert_code(repeat(a, tier_head, "{up_to: #, rate: 1},", 999, "{rate: 1}]}]}]"), NULL);
    assert_code(repeat(a, tier_head, "{up_to: #, rate: 1},", 1000, "{rate: 1}]}]}]"), "TIER_COUNT");
    assert_code(repeat(a, tier_head, "{up_to: #, rate: 1},", 40'000, "{rate: 1}]}]}]"),
                "TIER_COUNT");
    assert_code(repeat(a, tier_head, "{up_to: #, rate: 1},", 1'000'000, "{rate: 1}]}]}]"),
                "FILE_SIZE");
    assert_code(
        repeat(a, HEAD "prices: [{sku: a, steps: [", "{round: {digits: 2, name: r#}},", 101, "]}]"),
        "LIMIT");
    assert_code(repeat(a, HEAD "prices: [{sku: a, name: ", "x", 255, ", steps: [{rate: 1}]}]"),
                NULL);
    assert_code(repeat(a, HEAD "prices: [{sku: a, name: ", "x", 256, ", steps: [{rate: 1}]}]"),
                "BAD_NAME");
    assert_code(repeat(a, HEAD "prices: [{sku: a, steps: [{rate: '1", "+1", 3000, "'}]}]"),
                "EXPRESSION_LIMIT");
    /* A list that is too long is never as good as none: it would reset nothing, or by no order. */
    const char *credit = HEAD "prices: [{sku: a, steps: [{rate: 1}]}]\nterms: [{credit: {grants: "
                              "[{id: g, amount: 5}], ";
    const char *resets = text_format(a, "%sresets: [", credit).at;
    assert_code(repeat(a, resets, "2026-01-01T00:00:00Z,", 1000, "]}}]"), NULL);
    assert_code(repeat(a, resets, "2026-01-01T00:00:00Z,", 1001, "]}}]"), "LIMIT");
    const char *order = text_format(a, "%sorder: [", credit).at;
    assert_code(repeat(a, order, "to,", 8, "]}}]"), NULL);
    assert_code(repeat(a, order, "to,", 9, "]}}]"), "LIMIT");
    /* What expressions ask of commitments leaves room for what is always asked: see catalog.h. */
    const char *offering = HEAD "prices: [{sku: a, steps: [{rate: 1}]}]\n"
                                "commitments: {o: {capacity: 1, eligible: '";
    assert_code(repeat(a, offering, "commitment.a# == 1 || ", 97, "true'}}"), NULL);
    assert_code(repeat(a, offering, "commitment.a# == 1 || ", 98, "true'}}"), "EXPRESSION_LIMIT");
    /* Each kind of names has numbers of its own: one more would be taken for another kind's. */
    const char *calendars = HEAD "calendars:\n", *one = "  c#: {hours: ['mon 07:00-20:00']}\n";
    assert_code(repeat(a, calendars, one, 1000, price), NULL);
    assert_code(repeat(a, calendars, one, 1001, price), "LIMIT");
    const char *taxed = HEAD "prices: [{sku: a, steps: [{rate: 1}]}]\naccounts: [{id: x, tax: {";
    assert_code(repeat(a, taxed, "t#: 1, ", 800, "}}]"), NULL);
    assert_code(repeat(a, taxed, "t#: 1, ", 801, "}}]"), "LIMIT");
    const char *holder = HEAD "meters: {a: {dimensions: {";
    const char *rest = text_format(a, "}}}\n%s", price).at;
    assert_code(repeat(a, holder, "d#: data.d#, ", 1001, rest), "LIMIT");
    /* Prices of one SKU that time does not tell apart: refused before the pairs are too many. */
    assert_code(repeat(a, HEAD "meters: {a: {dimensions: {d: data.d}}}\nprices:\n",
                       "- {sku: a, where: {d: v#}, steps: [{rate: 1}]}\n", 9'000, ""),
                "LIMIT");
    assert_code(repeat(a, HEAD "meters: {a: {dimensions: {d: data.d}}}\nprices:\n",
                       "- {sku: a, where: {d: v#}, steps: [{rate: 1}]}\n", 5'000, ""),
                NULL);
    enum { PARTS = 14, OF_A_PART = 4'682 }; /* 65,548 meters, 13 more than there may be */
    struct catalog_file parts[PARTS];
    for (int i = 0; i < PARTS; i++) {
        const char *meter = text_format(a, " %c#: {value: data.n}\n", 'a' + i).at;
        const char *head = i == 0 ? HEAD "meters:\n" : "meters:\n";
        parts[i].name = text_format(a, "%d.yaml", i);
        parts[i].bytes = repeat(a, head, meter, OF_A_PART - (i == 0 ? 13 : 0), "");
    }
    struct loaded most = load_files(a, parts, PARTS);
    assert_loads(&most);
    parts[0].bytes = repeat(a, HEAD "meters:\n", " a#: {value: data.n}\n", OF_A_PART - 12, "");
    most = load_files(a, parts, PARTS);
    assert_non_null(first_error(&most));
    assert_string_equal(first_error(&most)->message, "more than 65535 meters");
    /* Complaints are kept up to a number, and counted beyond. */
    struct loaded loaded = load_text(a, repeat(a, HEAD "prices:\n", "- {sku: a#}\n", 20'000, ""));
    assert_int_equal(loaded.complaints.count, 1000);
    assert_int_equal(loaded.complaints.errors, 20'000);
}

/* ---- a good catalog, field by field ---- */

static const struct price *price_named(const struct catalog *catalog, const char *name)
{
    for (uint32_t i = 0; i < catalog->price_count; i++) {
        if (text_equal(catalog->prices[i].name, text_of(name))) {
            return &catalog->prices[i];
        }
    }
    fail_msg("no price %s", name);
    return NULL;
}

static void assert_dec(struct dec value, const char *expected)
{
    char out[DEC_FORMAT_MAX];
    dec_format(value, out);
    assert_string_equal(out, expected);
}

static void check_head(const struct catalog *catalog)
{
    ASSERT_TEXT(catalog->name, "acme-cloud");
    assert_string_equal(catalog->currency->code, "USD");
    assert_int_equal(catalog->currency->digits, 2);
    assert_int_equal(catalog->rounding.digits, 2);
    assert_false(catalog->rounding.exact);
    ASSERT_TEXT(zone_name(catalog->billing.zone), "Europe/Berlin");
    assert_int_equal(catalog->billing.every, EVERY_MONTH);
    assert_int_equal(catalog->plan_count, 2);
    ASSERT_TEXT(catalog->plans[catalog->default_plan].name, "basic");
    assert_int_equal(catalog->dimension_count, 4); /* kind model region size */
    ASSERT_TEXT(catalog->dimensions[2], "region");
    assert_int_equal(catalog->attribute_count, 3); /* factor family size */
    assert_int_equal(catalog->sku_count, 6);
    const struct sku *large = &catalog->skus[sku_index(catalog, "vm.large")];
    ASSERT_TEXT(catalog->products[large->product].title, "Compute");
    ASSERT_TEXT(large->unit, "hour");
    assert_int_equal(large->attribute_count, 3);
    assert_int_equal(large->attributes[0].value.type, EXPR_NUMBER);
    assert_dec(large->attributes[0].value.number, "4");
    ASSERT_TEXT(large->attributes[2].value.text, "large");
    assert_true(catalog->has_csv);
    assert_int_equal(catalog->csv.count, 5);
    assert_int_equal(catalog->csv.constant_count, 2);
    assert_true(catalog->csv.is_number[3]);
}

static void check_meters(const struct catalog *catalog)
{
    assert_int_equal(catalog->meter_count, 4); /* bytes calls tokens vm_hours */
    const struct meter *bytes = &catalog->meters[0], *calls = &catalog->meters[1];
    const struct meter *vm = &catalog->meters[3];
    assert_int_equal(bytes->sku, sku_index(catalog, "storage.standard"));
    assert_int_equal(bytes->value_member, 0);
    assert_true(bytes->value_from_text);
    assert_int_equal(bytes->members[0], member_path(PATH_DATA, TEXT("bytes")));
    assert_int_equal(bytes->dimensions[0].member, 1);
    assert_int_equal(calls->aggregate, AGGREGATE_COUNT);
    assert_null(calls->value);
    assert_int_equal(calls->sku, sku_index(catalog, "calls"));
    ASSERT_TEXT(vm->event_type, "com.acme.vm.usage");
    assert_int_equal(vm->aggregate, AGGREGATE_SUM);
    assert_int_equal(vm->value_member, NONE);
    assert_non_null(vm->where);
    assert_int_equal(vm->sku, NONE);
    assert_non_null(vm->sku_expr);
    assert_int_equal(vm->sku_member, NONE);
    assert_true(vm->resource_member != NONE);
    ASSERT_TEXT(vm->member_names[vm->resource_member], "data.instance");
    assert_int_equal(vm->dimension_count, 2);
    ASSERT_TEXT(catalog->dimensions[vm->dimensions[0].name], "region");
}

static void check_prices(const struct catalog *catalog)
{
    assert_int_equal(catalog->price_count, 8);
    const struct price *storage = price_named(catalog, "storage.standard");
    assert_int_equal(storage->step_count, 3);
    /* Midnight of 1 January in Berlin. */
    instant from;
    assert_int_equal(time_parse(TEXT("2025-12-31T23:00:00Z"), &from), TIME_OK);
    assert_int_equal(storage->from, from);
    assert_int_equal(storage->to, INSTANT_MAX);
    const struct step *convert = &storage->steps[0], *tier = &storage->steps[2];
    assert_int_equal(convert->kind, STEP_CONVERT);
    assert_int_equal(convert->clock, CLOCK_ROW);
    assert_non_null(convert->convert.divide.expr);
    assert_dec(convert->convert.multiply.value, "1");
    ASSERT_TEXT(convert->convert.to, "GB-month");
    assert_dec(storage->steps[1].allowance.quantity.value, "5");
    assert_int_equal(tier->scope, SCOPE_ORGANIZATION);
    assert_int_equal(tier->clock, CLOCK_PERIOD);
    assert_int_equal(tier->tier.tier_count, 3);
    assert_dec(tier->tier.tiers[1].up_to, "512000");
    assert_dec(tier->tier.tiers[2].rate.value, "0.021");
    assert_true(tier->tier.tiers[2].open);

    const struct price *eu = price_named(catalog, "vm-eu"),
                       *both = price_named(catalog, "vm.large+1");
    assert_int_equal(both->sku_count, 2);
    assert_int_equal(eu->steps[0].shared, both->steps[0].shared);
    assert_int_equal(eu->steps[0].node, both->steps[0].node);
    ASSERT_TEXT(catalog->shared[eu->steps[0].shared].name, "free-hours");
    assert_int_equal(eu->steps[0].by[0].kind, BY_DIMENSION);
    assert_int_equal(eu->selectors[0].value_count, 2);
    assert_int_equal(eu->steps[1].rate.case_count, 2);
    assert_int_equal(eu->steps[2].clock, CLOCK_RULE);
    assert_int_equal(eu->steps[2].rule.every, EVERY_DAY);
    assert_int_equal(eu->steps[2].attribute, ATTRIBUTE_NONE);

    const struct step *rate = &price_named(catalog, "tokens")->steps[0];
    assert_dec(rate->rate.per, "1000000");
    struct text key[2] = {TEXT("gpt-x"), TEXT("out")};
    assert_dec(*rate_table_find(rate->rate.table, key, 0), "12");
    key[0] = TEXT("tiny");
    assert_null(rate_table_find(rate->rate.table, key, 0));

    const struct price *seats = price_named(catalog, "seats-pro");
    assert_true(seats->is_fixed);
    assert_int_equal(seats->steps[0].fixed.when, FIXED_IN_ADVANCE);
    assert_int_equal(seats->steps[0].fixed.proration.rule, PRORATE_DAY);
    assert_true(expr_uses(seats->steps[0].fixed.quantity.expr, NAME_PARAMETER));
    for (uint32_t i = 0; i < catalog->public_prices.count; i++) {
        assert_true(&catalog->prices[catalog->public_prices.prices[i]] != seats);
    }
    assert_int_equal(catalog->plans[1].prices.count, 2); /* pro: seats-pro and its own */
    assert_int_equal(catalog->contract_count, 1);
    ASSERT_TEXT(catalog->contracts[0].id, "globex@2026-01-01");
    assert_dec(catalog->contracts[0].parameters[0].value.number, "12");
}

static void test_full(void **state)
{
    (void)state;
    struct loaded loaded = load_entry(&test_arena, "full.yaml");
    assert_loads(&loaded);
    check_head(loaded.catalog);
    check_meters(loaded.catalog);
    check_prices(loaded.catalog);
    /* Every price passes its nodes in ascending order. */
    for (uint32_t p = 0; p < loaded.catalog->price_count; p++) {
        const struct price *price = &loaded.catalog->prices[p];
        for (uint32_t i = 1; i < price->step_count; i++) {
            assert_true(price->steps[i - 1].node < price->steps[i].node);
        }
    }
}

/* Paths of members as decode makes them, whatever their spelling. */
static void test_members(void **state)
{
    (void)state;
    struct loaded loaded =
        load_string(&test_arena, HEAD
                    "meters:\n"
                    "  m: {value: 'data.a.b + data[\"x-y\"] + data.a[\"q\\\"z\"].c + data.a.b'}\n"
                    "prices: [{sku: m, steps: [{rate: 1}]}]\n");
    assert_loads(&loaded);
    const struct meter *meter = &loaded.catalog->meters[0];
    assert_int_equal(meter->member_count, 3);
    uint64_t a = member_path(PATH_DATA, TEXT("a"));
    assert_int_equal(meter->members[0], member_path(a, TEXT("b")));
    assert_int_equal(meter->members[1], member_path(PATH_DATA, TEXT("x-y")));
    assert_int_equal(meter->members[2], member_path(member_path(a, TEXT("q\"z")), TEXT("c")));
}

static void test_defaults(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        bool at_zero;
        enum past_last past_last;
        int digits;
        enum rounding mode;
        enum round_at at;
        int line_digits;
    } rows[] = {
        {"none", false, PAST_REFUSED, 18, ROUND_HALF_EVEN, ROUND_AT_ROW, 10},
        {"lago", true, PAST_REFUSED, 5, ROUND_UP, ROUND_AT_ROW, 10},
        {"openmeter", true, PAST_REFUSED, 18, ROUND_HALF_EVEN, ROUND_AT_BUCKET, 10},
        {"killbill", false, PAST_LAST, 9, ROUND_HALF_UP, ROUND_AT_ROW, 10},
        {"stripe", true, PAST_REFUSED, 18, ROUND_HALF_EVEN, ROUND_AT_ROW, DIGITS_OF_CURRENCY},
        {"flexprice", false, PAST_REFUSED, 18, ROUND_HALF_EVEN, ROUND_AT_ROW, 10},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text yaml = text_format(
            &test_arena,
            HEAD "profile: %s\nprices: [{sku: a, steps: [{tier: [{rate: 1}]}, {bound: {min: 1}}, "
                 "{round: 2}]}]\n",
            rows[i].profile);
        struct loaded loaded = load_text(&test_arena, yaml);
        assert_loads(&loaded);
        const struct step *steps = loaded.catalog->prices[0].steps;
        assert_int_equal(steps[0].tier.at_zero_charge, rows[i].at_zero);
        assert_int_equal(steps[0].tier.past_last, rows[i].past_last);
        assert_int_equal(steps[1].bound.proration.digits, rows[i].digits);
        assert_int_equal(steps[1].bound.proration.mode, rows[i].mode);
        assert_int_equal(steps[2].round.at, rows[i].at);
        assert_int_equal(loaded.catalog->rounding.digits, rows[i].line_digits);
    }
}

/* A pricing case: amounts stay exact, head and currency may be absent, rows bring dimensions. */
static void test_case_input(void **state)
{
    (void)state;
    struct catalog_file file = {
        TEXT("case"),
        TEXT("{\"prices\": [{\"sku\": \"x\", \"steps\": [{\"rate\": {\"from\": \"cents\"}}]}]}")};
    struct text dimensions[] = {TEXT("cents")};
    struct catalog_input input = {.files = &file,
                                  .file_count = 1,
                                  .exact_rounding_default = true,
                                  .dimensions = dimensions,
                                  .dimension_count = 1};
    struct loaded loaded = {0};
    loaded.status =
        catalog_load(&test_arena, &input, NULL, &loaded.catalog, &loaded.complaints, &loaded.err);
    assert_loads(&loaded);
    assert_true(loaded.catalog->rounding.exact);
    const struct expr *from = loaded.catalog->prices[0].steps[0].rate.from;
    static struct expr_value slots[NAME_NUMBER + 1]; /* a dimension as the number that it holds */
    slots[NAME_NUMBER] = expr_number((struct dec){25, 1});
    struct expr_env env = {.slots = slots};
    struct expr_value value;
    assert_int_equal(expr_eval(from, &env, &test_arena, &value, NULL), OK);
    assert_dec(value.number, "2.5");
}

/* Rows of files say the same as rows of the catalog, but that their bytes belong to the digest. */
static void test_table_files(void **state)
{
    (void)state;
    static const char yaml[] =
        HEAD "meters: {t: {value: data.n, dimensions: {model: data.model}}}\n"
             "tables: {rates: {keys: [model], file: rates.csv}}\n"
             "prices: [{sku: t, steps: [{rate: {table: rates}}]}]\n";
    static const char *const files[] = {
        "model,value,from,to\na,1,,2026-07-01\na,2,2026-08-01,2026-09-01\na,3,2026-09-01,\nb,4,,\n",
        "to,from,value,model\n,,4,b\n,2026-09-01,3,a\n2026-07-01,,1,a\n2026-09-01,2026-08-01,2,a\n",
        "{\"model\":\"a\",\"value\":1,\"to\":\"2026-07-01\"}\n{\"model\":\"b\",\"value\":4}\n"
        "{\"model\":\"a\",\"value\":3.0,\"from\":\"2026-09-01\"}\n"
        "{\"model\":\"a\",\"value\":\"2\",\"from\":\"2026-08-01\",\"to\":\"2026-09-01\"}\n",
    };
    static const struct {
        const char *key, *at, *rate, *from, *to; /* NULL: none; open */
    } rows[] = {
        {"a", "2026-06-30", "1", NULL, "2026-07-01"},
        {"a", "2026-07-01", NULL, "2026-07-01", "2026-08-01"},
        {"a", "2026-07-31", NULL, "2026-07-01", "2026-08-01"},
        {"a", "2026-08-01", "2", "2026-08-01", "2026-09-01"},
        {"a", "2026-09-01", "3", "2026-09-01", NULL},
        {"b", "2026-09-01", "4", NULL, NULL},
        {"c", "2026-09-01", NULL, NULL, NULL},
    };
    struct digest digests[3];
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        table_bytes = files[f];
        table_size = strlen(files[f]);
        struct loaded loaded = load_string(&test_arena, yaml);
        assert_loads(&loaded);
        digests[f] = loaded.catalog->digest;
        const struct rate_table *table = &loaded.catalog->tables[0];
        assert_int_equal(table->edge_count, 3);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            instant at, from = INSTANT_MIN, to = INSTANT_MAX;
            struct text key = text_of(rows[i].key);
            assert_int_equal(time_parse_date(text_of(rows[i].at), NULL, &at), TIME_OK);
            const struct dec *rate = rate_table_find(table, &key, at);
            assert_true((rate != NULL) == (rows[i].rate != NULL));
            if (rate != NULL) {
                assert_dec(*rate, rows[i].rate);
            }
            if (rows[i].from != NULL) {
                assert_int_equal(time_parse_date(text_of(rows[i].from), NULL, &from), TIME_OK);
            }
            if (rows[i].to != NULL) {
                assert_int_equal(time_parse_date(text_of(rows[i].to), NULL, &to), TIME_OK);
            }
            struct period span = rate_table_span(table, &key, at);
            assert_true(span.from == from && span.to == to);
        }
    }
    assert_memory_not_equal(&digests[0], &digests[1], sizeof digests[0]);
    assert_memory_not_equal(&digests[0], &digests[2], sizeof digests[0]);
    table_bytes = NULL;
}

/* Too many rows, too many bytes, a line that is too long. */
static void test_table_file_limits(void **state)
{
    (void)state;
    static const char yaml[] = HEAD "tables: {rates: {keys: [sku], file: rates.csv}}\n"
                                    "prices: [{sku: t, steps: [{rate: {table: rates}}]}]\n";
    static const struct {
        const char *code;
        size_t rows, row_size;
    } limits[] = {
        {NULL, 20'000, 12},
        {"LIMIT", 1'000'001, 12},
        {"FILE_SIZE", 300'000, 56},
        {"LINE_LIMIT", 1, 66'000},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct arena_mark mark = arena_mark(&test_arena);
        size_t row_size = limits[i].row_size;
        char *bytes = arena_alloc(&test_arena, 10 + limits[i].rows * row_size + 1), *at = bytes;
        at += sprintf(at, "sku,value\n");
        for (size_t r = 0; r < limits[i].rows; r++, at += row_size) {
            (void)snprintf(at, row_size + 1, "%-*zu,1\n", (int)row_size - 3, r);
        }
        table_bytes = bytes;
        table_size = (size_t)(at - bytes);
        assert_code(text_of(yaml), limits[i].code);
        table_bytes = NULL;
        arena_rewind(&test_arena, mark);
    }
}

/* Accounts of the YAML arrive where those of files do. */
static void test_accounts(void **state)
{
    (void)state;
    struct catalog_file file = {TEXT("full.yaml"), read_file(&test_arena, FOLDER "/full.yaml")};
    struct zone_source zones = {&test_arena, machine_zone};
    struct catalog_input input = {.files = &file, .file_count = 1, .zones = &zones};
    struct accounts_builder *builder = accounts_builder_new(&test_arena, &test_arena, input.zones);
    struct loaded loaded = {0};
    loaded.status = catalog_load(&test_arena, &input, builder, &loaded.catalog, &loaded.complaints,
                                 &loaded.err);
    assert_loads(&loaded);
    struct accounts *accounts;
    assert_int_equal(
        accounts_finish(builder, loaded.catalog, &accounts, &loaded.complaints, &loaded.err), OK);
    assert_int_equal(accounts->count, 3); /* globex, globex-eu, globex-us: the last only a child */
    ASSERT_TEXT(accounts->items[2].id, "globex-us");
    instant at;
    assert_int_equal(time_parse_date(TEXT("2026-03-11"), NULL, &at), TIME_OK);
    assert_int_equal(accounts_payer(accounts, 2, at), 0);
    const struct contract *contract = accounts_contract(accounts, loaded.catalog, 2, at);
    assert_non_null(contract);
    ASSERT_TEXT(contract->buyer, "globex");
}

/* Texts in every style of YAML. */
static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *text;
    } rows[] = {
        {"plain", "plain"},
        {"plain with blanks", "plain with blanks"},
        {"folded\n  over lines", "folded over lines"},
        {"'single'", "single"},
        {"''''", "'"},
        {"''''''''", "'''"},
        {"'it''s'", "it's"},
        {"'a ''''quoted'''' word'", "a ''quoted'' word"},
        {"'two  \n   lines'", "two lines"},
        {"'a ''\n   b'", "a ' b"},
        {"' blanks '", " blanks "},
        {"'e\xC3\xA9'", "e\xC3\xA9"},
        {"\"double\"", "double"},
        {"\"q\\\"q\"", "q\"q"},
        {"\"\\u00e9\\x41\"", "\xC3\xA9"
                             "A"},
        {"\"a\\\n   b\"", "ab"},
        {"\"two \n lines\"", "two lines"},
        {">-\n    folded\n    text", "folded text"},
        {"|-\n    kept", "kept"},
        {"yes", "yes"},
        {"0o17", "0o17"},
        {"1e3", "1e3"},
        {"2026-10-01", "2026-10-01"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct loaded loaded = load_text(
            &test_arena, text_format(&test_arena, "catalog: %s\ncurrency: USD\n", rows[i].yaml));
        assert_loads(&loaded);
        if (!text_equal(loaded.catalog->name, text_of(rows[i].text))) {
            fail_msg("%s became %.*s", rows[i].yaml, TEXT_ARG(loaded.catalog->name));
        }
    }
    /* Quotes within quotes, any number of them. */
    for (int n = 1; n < 120; n++) {
        struct loaded loaded = load_text(
            &test_arena, repeat(&test_arena, "currency: USD\ncatalog: '", "''", n, "'\n"));
        assert_loads(&loaded);
        assert_int_equal(loaded.catalog->name.size, n);
    }
}

/* ---- digest ---- */

static void digest_of(const char *yaml, const char *more, char out[65])
{
    struct catalog_file files[2] = {{TEXT("a.yaml"), text_of(yaml)},
                                    {TEXT("b.yaml"), text_of(more == NULL ? "" : more)}};
    struct loaded loaded = load_files(&test_arena, files, more == NULL ? 1 : 2);
    assert_loads(&loaded);
    digest_format(&loaded.catalog->digest, out);
}

/* What `kind` may be held against is what charges are, but for what has no amount. */
static void test_kinds(void **state)
{
    (void)state;
    for (int kind = 0; kind < CHARGE_KINDS; kind++) {
        struct text yaml =
            text_format(&test_arena,
                        "catalog: acme\ncurrency: USD\nproducts: {p: {skus: {x: {}}}}\n"
                        "prices: [{sku: x, steps: [{rate: 1}]}]\n"
                        "terms: [{discount: {percent: 5, where: 'kind == \"%s\"'}}]\n",
                        charge_kind_name((enum charge_kind)kind));
        struct loaded loaded = load_text(&test_arena, yaml);
        assert_int_equal(loaded.complaints.errors, kind == CHARGE_UNUSED);
    }
}

static void test_digest(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {HEAD "steps: {r: {round: 2}}\n"
              "prices: [{sku: a, steps: [{rate: 0.10}, use: r]}, {sku: b, name: n, steps: [{rate: "
              "1}]}]\n",
         NULL},
        /* layout, comments, order of keys and of prices, quotes of texts */
        {"# a comment\nprices:\n  - name: 'n' # here too\n    sku: b\n    steps:\n    - rate: 1\n"
         "  - steps: [{rate: 0.10}, {use: r}]\n    sku: \"a\"\nsteps:\n  r: {round: 2}\n"
         "currency: USD\ncatalog: a\n",
         NULL},
        /* JSON */
        {"{\"catalog\":\"a\",\"currency\":\"USD\",\"steps\":{\"r\":{\"round\":2}},\"prices\":["
         "{\"sku\":\"b\",\"name\":\"n\",\"steps\":[{\"rate\":1}]},"
         "{\"sku\":\"a\",\"steps\":[{\"rate\":0.10},{\"use\":\"r\"}]}]}",
         NULL},
        /* two files, in either order */
        {HEAD "prices: [{sku: b, name: n, steps: [{rate: 1}]}]\n",
         "steps: {r: {round: 2}}\nprices: [{sku: a, steps: [{rate: 0.10}, use: r]}]\n"},
        {"steps: {r: {round: 2}}\nprices: [{sku: a, steps: [{rate: 0.10}, use: r]}]\n",
         HEAD "prices: [{sku: b, name: n, steps: [{rate: 1}]}]\n"},
        /* accounts are records, with a digest of their own */
        {HEAD "steps: {r: {round: 2}}\naccounts: [{id: x}]\n"
              "prices: [{sku: a, steps: [{rate: 0.10}, use: r]}, {sku: b, name: n, steps: [{rate: "
              "1}]}]\n",
         NULL},
    };
    static const char *const others[] = {
        HEAD "steps: {r: {round: 2}}\n"
             "prices: [{sku: a, steps: [{rate: 0.11}, use: r]}, {sku: b, name: n, steps: [{rate: "
             "1}]}]\n",
        HEAD "steps: {r: {round: 3}}\n"
             "prices: [{sku: a, steps: [{rate: 0.10}, use: r]}, {sku: b, name: n, steps: [{rate: "
             "1}]}]\n",
        HEAD "steps: {r: {round: 2}}\nprofile: lago\n"
             "prices: [{sku: a, steps: [{rate: 0.10}, use: r]}, {sku: b, name: n, steps: [{rate: "
             "1}]}]\n",
        "catalog: b\ncurrency: USD\nsteps: {r: {round: 2}}\n"
        "prices: [{sku: a, steps: [{rate: 0.10}, use: r]}, {sku: b, name: n, steps: [{rate: "
        "1}]}]\n",
        "catalog: a\ncurrency: EUR\nsteps: {r: {round: 2}}\n"
        "prices: [{sku: a, steps: [{rate: 0.10}, use: r]}, {sku: b, name: n, steps: [{rate: "
        "1}]}]\n",
        HEAD "steps: {r: {round: 2}}\n"
             "prices: [{sku: a, steps: [{rate: 0.10}, use: r]}]\n",
    };
    char first[65], digest[65];
    digest_of(same[0][0], same[0][1], first);
    for (size_t i = 1; i < sizeof same / sizeof same[0]; i++) {
        digest_of(same[i][0], same[i][1], digest);
        assert_string_equal(first, digest);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        digest_of(others[i], NULL, digest);
        assert_string_not_equal(first, digest);
    }
}

/* ---- planted mistakes: a good catalog, changed in one place ---- */

static const struct planted {
    const char *from, *to, *code;
} planted[] = {
    {"currency: USD", "currency: XTS", "CURRENCY"},
    {"currency: USD", "curency: USD", "MISSING_KEY"},
    {"digits: 2, mode", "digits: 20, mode", "NUM_RANGE"},
    {"mode: half_up", "mode: half", "BAD_VALUE"},
    {"zone: Europe/Berlin", "zone: Berlin", "ZONE"},
    {"default_plan: basic", "default_plan: basics", "UNKNOWN_NAME"},
    {"when: time", "when: thyme", "BAD_VALUE"},
    {"number: true", "number: yes", "BAD_VALUE"},
    {"unit: GB-month}", "unit: TB-month}", "UNIT_MISMATCH"},
    {"unit: byte-hour", "unit: [byte]", "WRONG_TYPE"},
    {"where: data.state ==", "where: data.state", "EXPRESSION"},
    {"value: data.seconds / 3600", "value: seconds / 3600", "EXPRESSION_NAME"},
    {"value: data.seconds / 3600", "value: data.seconds / 0", "EXPRESSION"},
    {"aggregate: sum", "aggregate: percentile", "MISSING_KEY"},
    {"aggregate: sum", "aggregate: count", "CHOOSE_ONE"},
    {"'\"vm.\" + data.size'", "'\"vm.\" + size'", "EXPRESSION_NAME"},
    {"sku: storage.standard, unit", "sku: storage.standart, unit", "UNKNOWN_NAME"},
    {"every: quarter", "every: quartal", "BAD_VALUE"},
    {"keys: [model, kind]", "keys: [model]", "TABLE_ROW"},
    {"[gpt-x, out, 12]", "[gpt-x, in, 12]", "TABLE_ROW"},
    {"\"0.1\"", "0,1", "TABLE_ROW"},
    {"quantity: 750", "quantity: -750", "NEGATIVE"},
    {"by: [region]", "by: [regions]", "UNKNOWN_NAME"},
    {"{up_to: 100, rate: 0.1}", "{up_to: 100, rate: 1e-1}", "NUM_EXPONENT"},
    {"{up_to: 100, rate: 0.1}", "{up_to: 100, rate: 2026-01-01}", "NUM_SYNTAX"},
    {"from: 2026-01-01\n", "from: 2026-02-30\n", "TIME_SYNTAX"},
    {"divide: 1073741824 *", "divid: 1073741824 *", "UNKNOWN_KEY"},
    {"1073741824 * period.hours", "1073741824 * periods.hours", "EXPRESSION_NAME"},
    {"to: GB-month}", "to: GB}", "UNIT_MISMATCH"},
    {"quantity: 5,", "quantity: 5, quantity: 5,", "DUPLICATE_KEY"},
    {"{up_to: 512000", "{up_to: 512", "TIER_ORDER"},
    {"{up_to: 512000", "{from: 51201, up_to: 512000", "TIER_GAP"},
    {"{up_to: 512000", "{from: 51100, up_to: 512000", "TIER_OVERLAP"},
    {"{rate: 0.021}]", "{up_to: 9999999, rate: 0.021}]", "TIER_OPEN"},
    {"use: pooled, {round: 2}", "{round: 2}, use: pooled", "STEP_ORDER"},
    {"use: pooled, {round: 2}", "{round: 2}", "STEP_ORDER"},
    {"use: pooled, {round: 2}", "use: pooled, {rate: 1}", "RATING_TWICE"},
    {"use: pooled, {round: 2}", "use: poled, {round: 2}", "UNKNOWN_NAME"},
    {"use: pooled, {round: 2}", "use: pooled, {cover: {clock: hour}}", "MISSING_KEY"},
    {"use: pooled, {round: 2}", "use: pooled, {rounds: 2}", "UNKNOWN_STEP"},
    {"[use: free-hours, use: pooled", "[use: pooled, use: free-hours", "STEP_ORDER"},
    {"name: vm-eu", "name: vm.large+1", "PRICE_OVERLAP"},
    {"where: {region: [eu-1, eu-2]}", "where: {regin: [eu-1, eu-2]}", "UNKNOWN_NAME"},
    {"where: {region: [eu-1, eu-2]}", "", "PRICE_AMBIGUOUS"},
    {"factor > 2 &&", "factor > \"2\" &&", "EXPRESSION"},
    {"{rate: 0.1}]}\n", "{where: 'true', rate: 0.1}]}\n", "CASE_OPEN"},
    {"min: 1.00, max: 500", "min: 501.00, max: 500", "BOUND_ORDER"},
    {"min: 1.00, max: 500", "min: 1.001, max: 500", "AMOUNT_SCALE"},
    {"min: 1.00, max: 500", "minn: 1", "UNKNOWN_KEY"},
    {"clock: day", "clock: daily", "UNKNOWN_NAME"},
    {"table: token_rates", "table: rates", "UNKNOWN_NAME"},
    {"per: 1000000", "per: 0", "NOT_POSITIVE"},
    {"per: 1000000", "per: period.hours", "NOT_CONSTANT"},
    {"allowance: 1000", "allowance: -1000", "NEGATIVE"},
    {"contract.seats", "contract.seat", "EXPRESSION_NAME"},
    {"prorate: day", "prorate: daily", "BAD_VALUE"},
    {"[seats-pro, ", "[seats-pros, ", "UNKNOWN_NAME"},
    {"plan: pro, parameters", "plan: prod, parameters", "UNKNOWN_NAME"},
    {"to: 2029-01-01", "to: 2025-01-01", "PERIOD_EMPTY"},
    {"to: 2029-01-01", "to: 2028-01-01T00:00:00.5Z", "TIME_FRACTION"},
    {"buyer: globex", "buyers: globex", "MISSING_KEY"},
    {"{buyer: globex, ", "{seller: globex, buyer: globex, ", "BAD_VALUE"},
    {"{buyer: globex, ", "{accounts: [], buyer: globex, ", "MISSING_KEY"},
    {"{buyer: globex, ", "{accounts: [a, b, a], buyer: globex, ", "DUPLICATE_NAME"},
    {"{buyer: globex, ", "{source: cloud, buyer: globex, ", "UNKNOWN_NAME"},
    {"{buyer: globex, ", "{id: v, source: v, buyer: globex, ", "CYCLE"},
    {"{buyer: globex, ", "{rounding: {digits: 19}, buyer: globex, ", "NUM_RANGE"},
    {"from: 2026-03-10", "from: 10.03.2026", "TIME_SYNTAX"},
    {"sku: tokens,", "sku: tokens, where: {region: eu},", "DIMENSION_MISSING"},
    {"catalog: acme-cloud", "catalog: &a acme-cloud", "YAML_ANCHOR"},
    {"catalog: acme-cloud", "catalog: !!str acme-cloud", "YAML_TAG"},
};

static void test_planted(void **state)
{
    (void)state;
    struct text good = read_file(&test_arena, FOLDER "/full.yaml");
    assert_non_null(good.at);
    for (size_t i = 0; i < sizeof planted / sizeof planted[0]; i++) {
        const struct planted *p = &planted[i];
        const char *at = memmem(good.at, good.size, p->from, strlen(p->from));
        if (at == NULL) {
            fail_msg("full.yaml has no '%s'", p->from);
        }
        struct buffer out;
        buffer_init(&out, &test_arena, good.size + 64);
        buffer_add(&out, good.at, (size_t)(at - good.at));
        buffer_add_text(&out, text_of(p->to));
        size_t rest = (size_t)(at - good.at) + strlen(p->from);
        buffer_add(&out, good.at + rest, good.size - rest);
        struct loaded loaded = load_text(&test_arena, buffer_text(&out));
        bool found = false;
        for (uint32_t k = 0; k < loaded.complaints.count; k++) {
            const struct complaint *c = &loaded.complaints.items[k];
            found = found || (strcmp(c->code, p->code) == 0 && !c->is_warning);
        }
        if (!found || loaded.status != ERR_INPUT || loaded.catalog != NULL) {
            struct buffer said;
            buffer_init(&said, &test_arena, 1024);
            print_complaints(&loaded, &said);
            fail_msg("'%s' -> '%s' must give %s, and gives\n%.*s", p->from, p->to, p->code,
                     TEXT_ARG(buffer_text(&said)));
        }
    }
    print_message("%zu planted mistakes caught\n", sizeof planted / sizeof planted[0]);
}

/* ---- damage: whatever is left of a catalog, loading ends, and complaints stay inside the file
 * ---- */

static void check_places(const struct loaded *loaded, struct text yaml)
{
    uint32_t lines = 1;
    for (size_t i = 0; i < yaml.size; i++) {
        lines += yaml.at[i] == '\n';
    }
    for (uint32_t i = 0; i < loaded->complaints.count; i++) {
        const struct complaint *c = &loaded->complaints.items[i];
        assert_in_range(c->place.line, 1, lines + 1);
        assert_true(c->place.column >= 1 && c->place.column <= yaml.size + 1);
        assert_true(c->message[0] != '\0');
        assert_null(strchr(c->message, '\n'));
        assert_true(text_is_utf8(text_of(c->message)) && text_is_utf8(text_of(c->hint)));
    }
}

static void test_damage(void **state)
{
    (void)state;
    uint64_t seed = 20'261'125;
    const char *given = getenv("FARTHING_SEED");
    if (given != NULL) {
        seed = strtoull(given, NULL, 10) | 1;
    }
    print_message("FARTHING_SEED=%llu\n", (unsigned long long)seed);
    struct text good = read_file(&test_arena, FOLDER "/full.yaml");
    int loads = 0, count = 3000;
    for (int i = 0; i < count; i++) {
        struct arena_mark mark = arena_mark(&test_arena);
        char *bytes = arena_alloc(&test_arena, good.size);
        memcpy(bytes, good.at, good.size);
        size_t size = good.size, at = next_random(&seed) % size;
        size_t span = next_random(&seed) % 40 + 1;
        span = at + span > size ? size - at : span;
        switch (next_random(&seed) % 4) {
        case 0: /* a piece is missing */
            memmove(bytes + at, bytes + at + span, size - at - span);
            size -= span;
            break;
        case 1: /* a piece of another place */
            memmove(bytes + at, good.at + next_random(&seed) % (size - span), span);
            break;
        case 2: /* one character of the syntax */
            bytes[at] = "{}[]:,#&*!|>'\"%@-? \n\t0"[next_random(&seed) % 22];
            break;
        default: /* any byte */
            bytes[at] = (char)next_random(&seed);
        }
        struct loaded loaded = load_text(&test_arena, (struct text){bytes, size});
        assert_true(loaded.status == OK || loaded.status == ERR_INPUT);
        assert_true((loaded.status == OK) == (loaded.complaints.errors == 0));
        check_places(&loaded, (struct text){bytes, size});
        loads += loaded.status == OK;
        arena_rewind(&test_arena, mark);
    }
    print_message("%d damaged catalogs, %d still load\n", count, loads);
    assert_in_range(loads, 1, count / 2);
}

/* Memory runs out at any place, also while the parser is open: the whole load fails, and nothing is
 * lost (ASan sees a leak). */
static void test_memory(void **state)
{
    (void)state;
    struct text good = read_file(&test_arena, FOLDER "/full.yaml");
    bool loaded_once = false;
    for (size_t limit = 1 << 12; !loaded_once; limit += limit / 8) {
        struct arena arena;
        arena_init(&arena, NULL, limit);
        jmp_buf recover;
        if (!ARENA_RECOVER(&arena, recover)) {
            struct loaded loaded = load_text(&arena, good);
            assert_int_equal(loaded.status, OK);
            loaded_once = true;
        } else {
            assert_true(arena.recover == &recover);
        }
        arena_release(&arena);
        assert_true(limit < 1 << 26);
    }
}

/* ---- the manual and the schema ---- */

/* Every code that the tests above have seen is in doc/catalog.md, and every code there has been
 * seen. */
static void test_codes(void **state)
{
    (void)state;
    struct text page = read_file(&test_arena, FARTHING_SOURCE_DIR "/doc/catalog.md");
    assert_non_null(page.at);
    for (int i = 0; i < codes_seen_count; i++) {
        struct text row = text_format(&test_arena, "\n| `%s` |", codes_seen[i]);
        if (memmem(page.at, page.size, row.at, row.size) == NULL) {
            fail_msg("doc/catalog.md does not list %s", codes_seen[i]);
        }
    }
    int listed = 0;
    const char *table = memmem(page.at, page.size, "## Complaints", 13);
    assert_non_null(table);
    for (const char *at = table; (at = strstr(at, "\n| `")) != NULL;) {
        at += 4;
        size_t size = strcspn(at, "`");
        bool seen = false;
        for (int i = 0; i < codes_seen_count; i++) {
            seen = seen || (strlen(codes_seen[i]) == size && memcmp(codes_seen[i], at, size) == 0);
        }
        if (!seen) {
            fail_msg("no test has seen the complaint %.*s", (int)size, at);
        }
        listed++;
    }
    print_message("%d codes, all listed, all seen\n", listed);
    assert_true(listed > 50);
}

/* What the manual shows loads, with a head where a page leaves it out. */
static void test_pages(void **state)
{
    (void)state;
    static const char *const patterns[] = {"catalog.md", "pricing.md", "pricing/*.md"};
    glob_t pages = {0};
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
        struct text pattern = text_format(&test_arena, FARTHING_SOURCE_DIR "/doc/%s", patterns[p]);
        assert_int_equal(glob(pattern.at, p == 0 ? 0 : GLOB_APPEND, NULL, &pages), 0);
    }
    int blocks = 0;
    for (size_t p = 0; p < pages.gl_pathc; p++) {
        struct text page = read_file(&test_arena, pages.gl_pathv[p]);
        assert_non_null(page.at);
        const char *end = page.at + page.size;
        for (const char *at = page.at;
             (at = memmem(at, (size_t)(end - at), "\n```yaml\n", 9)) != NULL;) {
            at += 9;
            const char *close = memmem(at, (size_t)(end - at), "\n```\n", 5);
            assert_non_null(close);
            struct text block = {at, (size_t)(close - at) + 1};
            if (memcmp(block.at, "catalog:", 8) != 0) {
                block = text_join(&test_arena, TEXT(HEAD), block);
            }
            struct loaded loaded = load_text(&test_arena, block);
            if (loaded.status != OK) {
                fail_msg("%s: %s\n%.*s", pages.gl_pathv[p], loaded.err.message, TEXT_ARG(block));
            }
            blocks++;
            at = close;
        }
    }
    globfree(&pages);
    print_message("%d blocks of the manual load\n", blocks);
    assert_true(blocks >= 12);
}

static void test_schema(void **state)
{
    (void)state;
    int ended = system("python3 " FARTHING_SOURCE_DIR
                       "/test/oracle/catalog_schema.py " FARTHING_SOURCE_DIR);
    assert_true(WIFEXITED(ended));
    if (WEXITSTATUS(ended) == 77) {
        print_message("SKIPPED: python3-jsonschema or python3-yaml is not installed\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(ended), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_table, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_limits, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_full, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_members, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_defaults, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_case_input, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_table_files, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_table_file_limits, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_accounts, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_texts, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_kinds, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_digest, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_planted, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_damage, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_memory, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_codes, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_pages, catalogs_start, catalogs_stop),
        cmocka_unit_test_setup_teardown(test_schema, catalogs_start, catalogs_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
