/* accounts_test.c - records to accounts: formats, complaints, trees and overrides, in any order,
 * and a million of them.
 *
 * What accounts say is written out as text (dump) and compared; who pays is compared with a search
 * through all rows that knows nothing of the loader.  FARTHING_LONG=1 runs the large case at its
 * full size and holds it against its limits of time and memory.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/resource.h>

#include "catalog/accounts.h"

#include <cmocka.h> /* last: it defines fail() */

static struct arena arena;

/* ---- a catalog by hand --------------------------------------------------------------------- */

static struct catalog make_catalog(const char *const *sku_names, uint32_t sku_count)
{
    struct sku *skus = arena_calloc(&arena, sku_count, sizeof *skus);
    struct catalog catalog = {.sku_count = sku_count, .skus = skus, .node_count = 100};
    map_init(&catalog.sku_by_name, &arena, sku_count);
    for (uint32_t i = 0; i < sku_count; i++) {
        skus[i].name = text_of(sku_names[i]);
        map_put(&catalog.sku_by_name, skus[i].name, i);
    }
    static const struct plan plans[] = {{.name = {"basic", 5}}, {.name = {"pro", 3}}};
    catalog.plans = plans;
    catalog.plan_count = 2;
    catalog.default_plan = NONE;
    return catalog;
}

static const char *const SKUS[] = {"compute", "requests", "storage"};

struct loaded {
    struct accounts *accounts;
    struct complaints complaints;
    struct error error;
};

struct file_text {
    const char *name;
    struct text bytes;
};

/* step: bytes fed at a time; 0: all. */
static struct loaded load_files(const struct catalog *catalog, const struct file_text *files,
                                size_t count, size_t step)
{
    struct loaded loaded = {.complaints = {.arena = &arena}};
    struct accounts_builder *builder = accounts_builder_new(&arena, &arena, NULL);
    for (size_t i = 0; i < count; i++) {
        struct text left = files[i].bytes, name = text_of(files[i].name);
        while (step > 0 && left.size > step) {
            /* A copy of its own lets the sanitizer see a read beyond it. */
            char *part = malloc(step);
            memcpy(part, left.at, step);
            accounts_feed(builder, name, (struct text){part, step}, false, &loaded.complaints);
            free(part);
            left = (struct text){left.at + step, left.size - step};
        }
        accounts_feed(builder, name, left, true, &loaded.complaints);
    }
    enum status status =
        accounts_finish(builder, catalog, &loaded.accounts, &loaded.complaints, &loaded.error);
    assert_int_equal(status, loaded.complaints.errors ? ERR_INPUT : OK);
    assert_true((loaded.accounts == NULL) == (loaded.complaints.errors > 0));
    return loaded;
}

static struct accounts *load_good(const struct catalog *catalog, const struct file_text *files,
                                  size_t count, size_t step)
{
    struct loaded loaded = load_files(catalog, files, count, step);
    if (!loaded.accounts) {
        fail_msg("%s", loaded.error.message);
    }
    return loaded.accounts;
}

static struct accounts *load_one(const struct catalog *catalog, const char *bytes)
{
    struct file_text file = {"a.csv", text_of(bytes)};
    return load_good(catalog, &file, 1, 0);
}

static void dump_period(struct buffer *out, instant from, instant to)
{
    char text[TIME_FORMAT_MAX];
    if (from != INSTANT_MIN) {
        time_format_short(from, text);
        buffer_format(out, " from %s", text);
    }
    if (to != INSTANT_MAX) {
        time_format_short(to, text);
        buffer_format(out, " to %s", text);
    }
}

static void dump_number(struct buffer *out, const char *name, struct dec value)
{
    char text[DEC_FORMAT_MAX];
    dec_format(value, text);
    buffer_format(out, " %s %s", name, text);
}

static void dump_step(struct buffer *out, const struct step *step)
{
    static const char *const scopes[] = {"resource", "account", "organization", "contract"};
    buffer_format(out, " %.*s@%u %s", TEXT_ARG(step->name), step->node, scopes[step->scope]);
    if (step->kind == STEP_RATE) {
        assert_int_equal(step->rate.case_count, 1);
        dump_number(out, "rate", step->rate.cases[0].rate.value);
        dump_number(out, "flat", step->rate.cases[0].flat.value);
        return;
    }
    assert_int_equal(step->kind, STEP_TIER);
    for (uint32_t i = 0; i < step->tier.tier_count; i++) {
        const struct tier *tier = &step->tier.tiers[i];
        assert_int_equal(tier->open, i + 1 == step->tier.tier_count);
        if (!tier->open) {
            dump_number(out, "up_to", tier->up_to);
        }
        dump_number(out, "rate", tier->rate.value);
        dump_number(out, "flat", tier->flat.value);
    }
}

static struct text dump(const struct accounts *accounts)
{
    struct buffer out;
    buffer_init(&out, &arena, 4096);
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct account *account = &accounts->items[i];
        assert_int_equal(accounts_find(accounts, NONE, account->id), i);
        buffer_format(&out, "%.*s", TEXT_ARG(account->id));
        if (account->plan != NONE) {
            buffer_format(&out, " plan %u", account->plan);
        }
        if (account->since != INSTANT_MIN) {
            dump_period(&out, account->since, INSTANT_MAX);
        }
        buffer_add_char(&out, '\n');
        for (uint32_t k = 0; k < account->membership_count; k++) {
            const struct membership *membership =
                &accounts->memberships[account->membership_first + k];
            assert_int_equal(membership->account, i);
            buffer_format(&out, "  in %.*s",
                          TEXT_ARG(accounts->items[membership->organization].id));
            dump_period(&out, membership->from, membership->to);
            buffer_add_char(&out, '\n');
        }
        if (account->override == NONE) {
            continue;
        }
        const struct override *override = &accounts->overrides[account->override];
        assert_int_equal(override->account, i);
        assert_ptr_equal(override->prices.base, accounts->prices);
        for (uint32_t k = 0; k < override->prices.count; k++) {
            const struct price *price = &override->prices.base[override->prices.prices[k]];
            assert_int_equal(price->sku_count, 1);
            assert_int_equal(price->step_count, 1);
            buffer_format(&out, "  %.*s[%u]", TEXT_ARG(price->name), price->skus[0]);
            dump_period(&out, price->from, price->to);
            dump_step(&out, price->steps);
            buffer_add_char(&out, '\n');
            struct price_range of_sku = price_set_find(&override->prices, price->skus[0]);
            bool is_found = false;
            for (uint32_t s = 0; s < of_sku.count; s++) {
                is_found = is_found || of_sku.prices[s] == override->prices.prices[k];
                assert_int_equal(override->prices.base[of_sku.prices[s]].skus[0], price->skus[0]);
            }
            assert_true(is_found);
        }
    }
    buffer_add_char(&out, '\0');
    return (struct text){out.at, out.size - 1};
}

static void expect_dump(const struct accounts *accounts, const char *expected)
{
    assert_string_equal(dump(accounts).at, expected);
}

/* ---- formats ------------------------------------------------------------------------------- */

static const char ACCOUNTS_CSV[] = "id,organization,from,to,plan,zone,since\r\n"
                                   "globex,,,,pro,,2025-03-15\r\n"
                                   "globex-eu,globex,2026-03-10,,,UTC,\r\n"
                                   "\r\n"
                                   "\"acme, \"\"inc\"\"\",,,,basic,,2026-01-31T12:30:00Z";
static const char ACCOUNTS_NDJSON[] =
    "\n{\"plan\": \"pro\", \"id\": \"globex\", \"since\": \"2025-03-15T01:00:00+01:00\"}\n"
    "{\"id\":\"globex-eu\",\"org\":\"globex\",\"from\":\"2026-03-10\",\"to\":null}\n"
    "  {\"id\":\"ac\\u006de, \\\"inc\\\"\",\"plan\":\"basic\",\"since\":\"2026-01-31T12:30:00Z\"} "
    " ";
static const char ACCOUNTS_DUMP[] = "acme, \"inc\" plan 0 from 2026-01-31T12:30:00Z\n"
                                    "globex plan 1 from 2025-03-15\n"
                                    "globex-eu\n"
                                    "  in globex from 2026-03-10\n";

static void test_formats(void **state)
{
    (void)state;
    struct catalog catalog = make_catalog(SKUS, 3);
    struct file_text csv = {"accounts.csv", text_of(ACCOUNTS_CSV)};
    struct file_text ndjson = {"accounts.ndjson", text_of(ACCOUNTS_NDJSON)};
    struct accounts *first = load_good(&catalog, &csv, 1, 0);
    expect_dump(first, ACCOUNTS_DUMP);
    for (size_t step = 0; step < 40; step++) {
        struct accounts *a = load_good(&catalog, &csv, 1, step);
        struct accounts *b = load_good(&catalog, &ndjson, 1, step);
        expect_dump(a, ACCOUNTS_DUMP);
        expect_dump(b, ACCOUNTS_DUMP);
        assert_memory_equal(&a->digest, &first->digest, sizeof first->digest);
        assert_memory_equal(&b->digest, &first->digest, sizeof first->digest);
    }

    struct accounts_builder *builder = accounts_builder_new(&arena, &arena, NULL);
    instant since, joined;
    assert_int_equal(time_parse_date(TEXT("2025-03-15"), NULL, &since), TIME_OK);
    assert_int_equal(time_parse_date(TEXT("2026-03-10"), NULL, &joined), TIME_OK);
    struct account_membership dated = {TEXT("globex"), joined, INSTANT_MAX};
    struct account_membership undated = {TEXT("globex"), INSTANT_MIN, INSTANT_MAX};
    struct account_record records[] = {
        {.id = TEXT("globex"), .plan = TEXT("pro"), .since = since},
        {.id = TEXT("globex-eu"), .memberships = &dated, .membership_count = 1},
        /* the organization's `children` name it too, without dates */
        {.id = TEXT("globex-eu"),
         .is_implied = true,
         .memberships = &undated,
         .membership_count = 1},
    };
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        records[i].place = (struct place){TEXT("catalog.yaml"), (uint32_t)i + 1, 5};
        accounts_add(builder, &records[i]);
    }
    struct complaints complaints = {.arena = &arena};
    struct text acme = TEXT("id,plan,since\n\"acme, \"\"inc\"\"\",basic,2026-01-31T12:30:00Z\n");
    accounts_feed(builder, TEXT("more.csv"), acme, true, &complaints);
    struct accounts *mixed;
    struct error error;
    assert_int_equal(accounts_finish(builder, &catalog, &mixed, &complaints, &error), OK);
    expect_dump(mixed, ACCOUNTS_DUMP);
    assert_memory_equal(&mixed->digest, &first->digest, sizeof first->digest);

    struct accounts *other = load_one(&catalog, "id\nglobex\n");
    assert_memory_not_equal(&other->digest, &first->digest, sizeof first->digest);
    struct accounts *none = load_one(&catalog, "");
    assert_int_equal(none->count, 0);
    assert_int_equal(accounts_find(none, NONE, TEXT("globex")), MAP_NONE);
}

/* ---- complaints ---------------------------------------------------------------------------- */

struct bad {
    const char *bytes;
    const char *expected; /* line:column code, joined by blanks */
};

static const struct bad BAD[] = {
    /* lines and columns */
    {"id,plan,colour\na,pro,red\n", "1:9 UNKNOWN_COLUMN"},
    {"id,id\na,a\n", "1:4 DUPLICATE_COLUMN"},
    {"org,organization\na,a\n", "1:5 DUPLICATE_COLUMN"},
    {"plan,since\npro,\n", "1:1 UNKNOWN_KIND"},
    {"id,rate\na,1\n", "1:1 UNKNOWN_COLUMN"},
    {"id;plan\na;pro\n", "1:1 UNKNOWN_COLUMN"},
    {"\xEF\xBB\xBFid\na\n", "1:1 ENCODING"},
    {"\xFF\xFEi\0d\0", "1:1 ENCODING"},
    {"id,plan\na\nb,pro\nc,pro,\n", "2:1 CSV_ROW 4:1 CSV_ROW"},
    {"id,plan\n\"a,pro\n\"b\"x,pro\nc\"d,pro\n", "2:1 CSV_ROW 3:4 CSV_ROW 4:1 CSV_ROW"},
    {"id\na\xC3(\n\xED\xA0\x80\nb\n", "2:1 UTF8 3:1 UTF8"},
    {"id\n\"\"\n", "2:1 FIELD_MISSING"},
    {"id\na\tb\n", "2:1 CTRL_CHAR"},
    {"account,organization\na,\n,b\n", "2:3 FIELD_MISSING 3:1 FIELD_MISSING"},
    /* NDJSON */
    {"{\"id\":\"a\"}\n[]\n{\"id\":\"b\"\n{\"id\":\"c\"}}\n",
     "2:1 JSON_SYNTAX 3:10 JSON_SYNTAX 4:11 JSON_SYNTAX"},
    {"{\"id\":12}\n", "1:7 FIELD_TYPE"},
    {"{\"id\":true}\n{\"id\":[\"a\"]}\n{\"id\":nul}\n",
     "1:7 FIELD_TYPE 2:7 FIELD_TYPE 3:7 JSON_SYNTAX"},
    {"{\"id\":\"a\",\"i\\u0064\":\"b\"}\n", "1:11 DUPLICATE_COLUMN"},
    {"{\"id\":\"\\ud800\"}\n{\"id\":\"\\x\"}\n{\"id\":\"\\u00e\"}\n{\"id\":\"a\tb\"}\n",
     "1:8 JSON_SYNTAX 2:8 JSON_SYNTAX 3:8 JSON_SYNTAX 4:9 JSON_SYNTAX"},
    {"{\"id\":\"\\u0000\"}\n", "1:7 CTRL_CHAR"},
    {"{\"id\":-12]x}\n{\"id\":01}\n{\"id\":1.}\n{\"id\":-}\n{\"id\":1e+}\n{\"id\":0.10E-2}\n",
     "1:7 JSON_SYNTAX 2:7 JSON_SYNTAX 3:7 JSON_SYNTAX 4:7 JSON_SYNTAX 5:7 JSON_SYNTAX "
     "6:7 FIELD_TYPE"},
    {"{}\n{\"id\":\"a\",\"name\":\"b\"}\n", "1:1 UNKNOWN_KIND 2:11 UNKNOWN_COLUMN"},
    {"{\"id\":\"a\",\"from\":20261001,\"organization\":\"b\"}\n", "1:18 TIME_SYNTAX"},
    /* dates */
    {"account,organization,from,to\na,o,2026-02-30,\nb,o,,2026-10\nc,o,2026-10-01T00:00:00,\n"
     "d,o,1969-12-31,\n",
     "2:5 TIME_SYNTAX 3:6 TIME_SYNTAX 4:5 TIME_ZONE 5:5 TIME_RANGE"},
    {"account,organization,from\na,o,2026-10-01T00:00:00.5Z\n", "2:5 TIME_FRACTION"},
    {"account,organization,from,to\na,o,2026-10-01,2026-10-01\n", "2:5 DATE_ORDER"},
    {"id,from\na,2026-10-01\n", "2:3 FIELD_MISSING"},
    /* what only all records show */
    {"id,plan\na,pro\na,basic\na,pro\n", "3:1 DUPLICATE_ACCOUNT"},
    {"id,plan\na,prp\nb,prp\n", "2:1 UNKNOWN_PLAN"},
    {"id,zone\na,Europe/Berlin\n", "2:1 UNKNOWN_ZONE"},
    {"account,organization,from,to\na,x,,2026-03-02\na,y,2026-03-01,\n", "3:1 MEMBERSHIP_OVERLAP"},
    {"account,organization\na,x\na,y\na,z\n", "3:1 MEMBERSHIP_OVERLAP 4:1 MEMBERSHIP_OVERLAP"},
    {"account,organization,from,to\na,x,2026-01-01,2026-12-01\na,y,2026-02-01,2026-03-01\n"
     "a,z,2026-06-01,2026-07-01\n",
     "3:1 MEMBERSHIP_OVERLAP 4:1 MEMBERSHIP_OVERLAP"},
    /* What is in two is in the one that began first, and circles are told of that. */
    {"account,organization\na,x\na,y\nx,a\n", "2:1 CYCLE 3:1 MEMBERSHIP_OVERLAP"},
    {"account,organization\na,x\na,y\ny,a\n", "3:1 MEMBERSHIP_OVERLAP"},
    {"account,organization\na,a\n", "2:1 CYCLE"},
    {"account,organization\nc,a\nb,c\na,b\nd,a\n", "4:1 CYCLE"},
    {"account,organization,from,to\na,b,,2026-03-02\nb,a,2026-03-01,\n", "2:1 CYCLE"},
    /* overrides */
    {"account,sku,rate\na,compute,1\n", "2:1 UNKNOWN_ACCOUNT"},
    {"account,sku,rate\nz,computer,1\n", "2:1 UNKNOWN_SKU 2:1 UNKNOWN_ACCOUNT"},
    {"account,sku,up_to,rate\nx,compute,,1e1x\nx,compute,NaN,2\nx,compute,,-1\nx,compute,0,1\n"
     "x,compute,,0.1234567890123456789\n",
     "2:12 NUM_SYNTAX 3:11 NUM_SYNTAX 4:12 NUM_NEGATIVE 5:11 TIER_EMPTY 6:12 NUM_SCALE"},
    {"account,sku,up_to,rate\nx,compute,1e3,1\nx,compute,,2.1E-02\n",
     "2:11 NUM_EXPONENT 3:12 NUM_EXPONENT"},
    {"{\"account\":\"x\",\"sku\":\"compute\",\"rate\":1e-3}\n", "1:39 NUM_EXPONENT"},
    {"account,sku,rate,flat\nx,compute,,\n", "2:11 FIELD_MISSING"},
    {"account,sku,rate,scope\nx,compute,1,world\n", "2:13 UNKNOWN_SCOPE"},
};

static struct text list_complaints(const struct complaints *complaints)
{
    struct buffer out;
    buffer_init(&out, &arena, 256);
    for (uint32_t i = 0; i < complaints->count; i++) {
        const struct complaint *complaint = &complaints->items[i];
        assert_string_equal(complaint->place.file.at, "a.csv");
        assert_true(strlen(complaint->message) > 0);
        buffer_format(&out, "%s%u:%u %s", i ? " " : "", complaint->place.line,
                      complaint->place.column, complaint->code);
    }
    buffer_add_char(&out, '\0');
    return (struct text){out.at, out.size - 1};
}

static void expect_complaints(const struct catalog *catalog, const char *bytes, size_t size,
                              const char *expected)
{
    for (size_t step = 0; step < 3; step++) {
        struct file_text file = {"a.csv", {bytes, size}};
        struct loaded loaded = load_files(catalog, &file, 1, step);
        assert_string_equal(list_complaints(&loaded.complaints).at, expected);
    }
}

static void test_complaints(void **state)
{
    (void)state;
    struct catalog catalog = make_catalog(SKUS, 3);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        expect_complaints(&catalog, BAD[i].bytes, strlen(BAD[i].bytes), BAD[i].expected);
    }
    char *line = malloc(200'000);
    memset(line, 'a', 200'000);
    memcpy(line, "id\n", 3);
    memcpy(line + 150'000, "\nb\n", 3);
    expect_complaints(&catalog, line, 150'003, "2:1 LINE_LIMIT");
    memset(line + 3, 'a', 256);
    memcpy(line + 3 + 255, "\n", 1); /* 255 bytes are an id */
    struct file_text file = {"a.csv", {line, 3 + 256}};
    assert_int_equal(load_good(&catalog, &file, 1, 0)->items[0].id.size, 255);
    line[3 + 255] = 'a';
    expect_complaints(&catalog, line, 3 + 256, "2:1 FIELD_LEN");
    free(line);

    /* Ways upwards are no more than memberships, however many of these overlap. */
    struct buffer wide;
    buffer_init(&wide, &arena, 4096);
    buffer_add_text(&wide, TEXT("account,organization\n"));
    for (int level = 0; level < 30; level++) {
        for (int way = 0; way < 4; way++) {
            buffer_format(&wide, "l%d-%d,l%d-%d\n", level, way / 2, level + 1, way % 2);
        }
    }
    struct file_text overlapping = {"a.csv", buffer_text(&wide)};
    assert_int_equal(load_files(&catalog, &overlapping, 1, 0).complaints.errors, 60);

    /* The number goes on where the list ends. */
    struct buffer many;
    buffer_init(&many, &arena, 4096);
    buffer_add_text(&many, TEXT("id,since\n"));
    for (int i = 0; i < 250; i++) {
        buffer_format(&many, "a%d,never\n", i);
    }
    struct file_text bad = {"a.csv", buffer_text(&many)};
    struct loaded loaded = load_files(&catalog, &bad, 1, 0);
    assert_int_equal(loaded.complaints.errors, 250);
    assert_int_equal(loaded.complaints.count, 100);
}

/* Tiers and versions, in files that also declare the account. */
static void test_bad_overrides(void **state)
{
    (void)state;
    struct catalog catalog = make_catalog(SKUS, 3);
    static const struct bad bad[] = {
        {"account,sku,up_to,rate\nx,compute,10,2\n", "2:1 TIER_GAP"},
        {"account,sku,up_to,rate\nx,compute,10,2\nx,compute,10,1\nx,compute,,1\n",
         "3:1 TIER_OVERLAP"},
        {"account,sku,up_to,rate\nx,compute,,2\nx,compute,,1\n", "3:1 TIER_OVERLAP"},
        {"account,sku,up_to,rate,scope\nx,compute,5,2,\nx,compute,,1,organization\n",
         "3:1 SCOPE_CONFLICT"},
        {"account,sku,from,to,rate\nx,compute,,2026-10-17,2\nx,compute,2026-10-16,,1\n",
         "3:1 PRICE_OVERLAP"},
        {"account,sku,from,to,rate\nx,compute,2026-01-01,2027-01-01,2\n"
         "x,compute,2026-02-01,2026-03-01,1\nx,compute,2026-06-01,2026-07-01,1\n",
         "3:1 PRICE_OVERLAP 4:1 PRICE_OVERLAP"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct file_text files[] = {{"a.csv", text_of(bad[i].bytes)}, {"b.csv", TEXT("id\nx\n")}};
        struct loaded loaded = load_files(&catalog, files, 2, 0);
        assert_string_equal(list_complaints(&loaded.complaints).at, bad[i].expected);
    }
}

/* ---- memberships --------------------------------------------------------------------------- */

static instant at_date(const char *date)
{
    instant at;
    assert_int_equal(time_parse_date(text_of(date), NULL, &at), TIME_OK);
    return at;
}

static const char *payer(const struct accounts *accounts, const char *id, const char *date)
{
    uint32_t account = accounts_find(accounts, NONE, text_of(id));
    assert_int_not_equal(account, MAP_NONE);
    struct text name = accounts->items[accounts_payer(accounts, account, at_date(date))].id;
    return text_copy(&arena, name).at;
}

static void expect_edges(const struct accounts *accounts, const struct catalog *catalog,
                         const char *id, const char *date, const char *from, const char *to)
{
    instant next,
        before = accounts_edge(accounts, catalog, accounts_find(accounts, NONE, text_of(id)),
                               at_date(date), &next);
    assert_true(before == (from ? at_date(from) : INSTANT_MIN));
    assert_true(next == (to ? at_date(to) : INSTANT_MAX));
}

static void test_memberships(void **state)
{
    (void)state;
    struct catalog catalog = make_catalog(SKUS, 3);
    struct contract contracts[] = {
        {.id = TEXT("c1"),
         .buyer = TEXT("buyer"),
         .from = at_date("2026-05-01"),
         .to = at_date("2026-06-01")},
        {.id = TEXT("c2"),
         .buyer = TEXT("group"),
         .from = at_date("2026-01-01"),
         .to = at_date("2027-01-01")},
        {.id = TEXT("c3"),
         .buyer = TEXT("unit"),
         .from = at_date("2026-02-01"),
         .to = at_date("2026-03-01")},
    };
    for (int i = 0; i < 3; i++) { /* of what their buyers use themselves */
        contracts[i].view = contracts[i].source = NONE;
    }
    catalog.contracts = contracts;
    catalog.contract_count = 3;
    static const instant edges[] = {INT64_C(1784246400000000000)}; /* 2026-07-17 */
    catalog.edges = edges;
    catalog.edge_count = 1;
    struct accounts *accounts = load_one(&catalog, "account,organization,from,to\n"
                                                   "unit,group,2026-03-10,\n"
                                                   "unit,old,,2026-01-10\n"
                                                   "member,unit,,\n"
                                                   "member,unit,2026-01-05,2026-04-01\n"
                                                   "member,unit,2026-04-01,2026-08-01\n"
                                                   "member,other,2026-09-01,2026-10-01\n");
    expect_dump(accounts, "buyer\n"
                          "group\n"
                          "member\n"
                          "  in unit from 2026-01-05 to 2026-08-01\n"
                          "  in other from 2026-09-01 to 2026-10-01\n"
                          "old\n"
                          "other\n"
                          "unit\n"
                          "  in old to 2026-01-10\n"
                          "  in group from 2026-03-10\n");
    assert_string_equal(payer(accounts, "member", "2026-01-04"), "member");
    assert_string_equal(payer(accounts, "member", "2026-01-05"), "old");
    assert_string_equal(payer(accounts, "member", "2026-01-10"), "unit");
    assert_string_equal(payer(accounts, "member", "2026-03-10"), "group");
    assert_string_equal(payer(accounts, "member", "2026-08-01"), "member");
    assert_string_equal(payer(accounts, "member", "2026-09-15"), "other");
    assert_string_equal(payer(accounts, "unit", "2030-01-01"), "group");
    assert_string_equal(payer(accounts, "group", "2026-06-01"), "group");

    expect_edges(accounts, &catalog, "member", "2026-01-04", NULL, "2026-01-05");
    expect_edges(accounts, &catalog, "member", "2026-01-05", "2026-01-05", "2026-01-10");
    expect_edges(accounts, &catalog, "member", "2026-02-15", "2026-02-01", "2026-03-01");
    expect_edges(accounts, &catalog, "member", "2026-03-05", "2026-03-01", "2026-03-10");
    expect_edges(accounts, &catalog, "member", "2026-07-16", "2026-03-10", "2026-07-17");
    expect_edges(accounts, &catalog, "member", "2026-07-17", "2026-07-17", "2026-08-01");
    expect_edges(accounts, &catalog, "member", "2026-08-15", "2026-08-01", "2026-09-01");
    expect_edges(accounts, &catalog, "member", "2026-11-01", "2026-10-01", NULL);
    expect_edges(accounts, &catalog, "buyer", "2026-06-02", "2026-06-01", "2026-07-17");
    expect_edges(accounts, &catalog, "other", "2026-06-02", NULL, "2026-07-17");

    uint32_t member = accounts_find(accounts, NONE, TEXT("member"));
    const struct contract *of_unit =
        accounts_contract(accounts, &catalog, member, at_date("2026-02-10"));
    assert_ptr_equal(of_unit, &contracts[2]);
    assert_ptr_equal(accounts_contract(accounts, &catalog, member, at_date("2026-03-10")),
                     &contracts[1]);
    assert_null(accounts_contract(accounts, &catalog, member, at_date("2026-01-06")));
    assert_null(accounts_contract(accounts, &catalog, member, at_date("2026-09-06")));

    /* 32 levels are a tree, 33 are not. */
    struct buffer chain;
    buffer_init(&chain, &arena, 1024);
    buffer_add_text(&chain, TEXT("account,organization\n"));
    for (int i = 1; i < 32; i++) {
        buffer_format(&chain, "a%02d,a%02d\n", i, i + 1);
    }
    struct file_text file = {"a.csv", buffer_text(&chain)};
    struct catalog plain = make_catalog(SKUS, 3);
    assert_string_equal(payer(load_good(&plain, &file, 1, 0), "a01", "2026-10-01"), "a32");
    buffer_add_text(&chain, TEXT("a00,a01\n"));
    file.bytes = buffer_text(&chain);
    assert_string_equal(load_files(&plain, &file, 1, 0).complaints.items[0].code, "TREE_DEPTH");

    contracts[0].buyer = contracts[1].buyer; /* in force at one time */
    contracts[0].from = at_date("2025-12-01");
    struct loaded twice = load_files(&catalog, NULL, 0, 0);
    assert_string_equal(twice.complaints.items[0].code, "CONTRACT_OVERLAP");
}

/* ---- overrides ----------------------------------------------------------------------------- */

static void test_overrides(void **state)
{
    (void)state;
    struct catalog catalog = make_catalog(SKUS, 3);
    struct file_text files[] = {
        {"o.csv", TEXT("account,sku,from,to,up_to,rate,flat,scope\n"
                       "b,storage,,,,0.0170,,\n"
                       "b,storage,,,500,0.02,1,\n"
                       "b,storage,,,50,0.025,,\n"
                       "b,storage,,,50,0.025,,\n"
                       "b,compute,2026-10-16,,,0.8,,\n"
                       "b,compute,,2026-10-16,,1.0,,\n"
                       "a,storage,,,500.0,0.020,1,account\n"
                       "a,storage,,,50,0.025,,\n"
                       "a,storage,,,,0.017,0,\n"
                       "a,requests,,,,,3,organization\n"
                       "b,requests,2026-01-01,2026-02-01,,,3,organization\n"
                       "b,requests,2026-02-01,2026-03-01,,,4,organization\n")},
        {"m.csv", TEXT("account,organization\na,b\n")},
        {"i.ndjson",
         TEXT("{\"account\":\"b\",\"sku\":\"storage\",\"rate\":0.025,\"up_to\":\"50\"}\n")},
    };
    struct accounts *accounts = load_good(&catalog, files, 3, 0);
    expect_dump(accounts,
                "a\n"
                "  in b\n"
                "  requests[1] rate@100 organization rate 0 flat 3\n"
                "  storage[2] tier@101 account up_to 50 rate 0.025 flat 0"
                " up_to 500 rate 0.02 flat 1 rate 0.017 flat 0\n"
                "b\n"
                "  compute[0] to 2026-10-16 rate@102 account rate 1 flat 0\n"
                "  compute[0] from 2026-10-16 rate@102 account rate 0.8 flat 0\n"
                "  requests[1] from 2026-01-01 to 2026-02-01 rate@103 organization rate 0 flat 3\n"
                "  requests[1] from 2026-02-01 to 2026-03-01 rate@103 organization rate 0 flat 4\n"
                "  storage[2] tier@101 account up_to 50 rate 0.025 flat 0"
                " up_to 500 rate 0.02 flat 1 rate 0.017 flat 0\n");
    assert_int_equal(accounts->node_first, 100);
    assert_int_equal(accounts->node_count, 4);
    assert_int_equal(accounts->price_count, 6);
    /* Equal prices are kept once. */
    const struct price_set *a = &accounts->overrides[0].prices, *b = &accounts->overrides[1].prices;
    assert_int_equal(a->prices[1], b->prices[4]);
}

/* ---- any order ----------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint32_t pick(uint64_t *seed, uint32_t count)
{
    return (uint32_t)(next_random(seed) % count);
}

struct naive { /* a membership as the test knows it; days of 2026 */
    uint32_t account, organization, from, to;
};

static void format_day(uint32_t day, char out[TIME_FORMAT_MAX])
{
    time_format_short(at_date("2026-01-01") + (instant)day * NS_PER_DAY, out);
}

/* Rows of a random but right set of records, as NDJSON; memberships also in naive. */
static uint32_t make_rows(uint64_t *seed, struct text *rows, struct naive *naive,
                          uint32_t *naive_count)
{
    uint32_t count = 0, accounts = 2 + pick(seed, 40);
    *naive_count = 0;
    for (uint32_t i = 0; i < accounts; i++) {
        static const char *const plans[] = {"", ",\"plan\":\"pro\"", ",\"plan\":\"basic\""};
        rows[count++] = text_format(&arena, "{\"id\":\"a%02u\"%s}", i, plans[pick(seed, 3)]);
        for (uint32_t day = pick(seed, 30); day < 365 && i > 0;) {
            char from[TIME_FORMAT_MAX], to[TIME_FORMAT_MAX];
            uint32_t end = day + 1 + pick(seed, 200);
            uint32_t organization = pick(seed, i); /* a smaller one, so no cycles */
            format_day(day, from);
            format_day(end, to);
            rows[count++] = text_format(
                &arena,
                "{\"account\":\"a%02u\",\"organization\":\"a%02u\",\"from\":\"%s\",\"to\":\"%s\"}",
                i, organization, from, to);
            naive[(*naive_count)++] = (struct naive){i, organization, day, end};
            day = end + (pick(seed, 2) ? pick(seed, 60) : 0);
        }
        for (uint32_t k = 0; k < 3; k++) {
            uint32_t limit = 0, tiers = pick(seed, 4);
            for (uint32_t t = 0; t < tiers; t++) {
                limit += 1 + pick(seed, 1000);
                char up_to[32] = "";
                if (t + 1 < tiers) {
                    snprintf(up_to, sizeof up_to, ",\"up_to\":%u", limit);
                }
                rows[count++] =
                    text_format(&arena, "{\"account\":\"a%02u\",\"sku\":\"%s\",\"rate\":0.%u%s}", i,
                                SKUS[k], 1 + pick(seed, 999), up_to);
            }
        }
    }
    return count;
}

static uint32_t search_payer(const struct naive *naive, uint32_t count, uint32_t account,
                             uint32_t day)
{
    for (uint32_t i = 0; i < count; i++) {
        if (naive[i].account == account && naive[i].from <= day && day < naive[i].to) {
            return search_payer(naive, count, naive[i].organization, day);
        }
    }
    return account;
}

static void check_payers(const struct catalog *catalog, const struct accounts *accounts,
                         const struct naive *naive, uint32_t naive_count)
{
    for (uint32_t i = 0; i < accounts->count; i++) {
        instant next = INSTANT_MIN;
        uint32_t in_slot = 0;
        for (uint32_t day = 0; day < 700; day += 1) {
            instant at = at_date("2026-01-01") + (instant)day * NS_PER_DAY;
            uint32_t found = accounts_payer(accounts, i, at);
            assert_int_equal(found, search_payer(naive, naive_count, i, day));
            if (at < next) {
                assert_int_equal(found, in_slot); /* nothing changes within a slot */
            }
            instant edge = accounts_edge(accounts, catalog, i, at, &next);
            assert_true(edge <= at && at < next);
            in_slot = found;
        }
    }
}

static void test_any_order(void **state)
{
    (void)state;
    const char *given = getenv("FARTHING_SEED");
    uint64_t first_seed = given ? strtoull(given, NULL, 10) : 1;
    uint64_t seeds = given ? 1 : getenv("FARTHING_LONG") ? 2000 : 100;
    struct catalog catalog = make_catalog(SKUS, 3);
    struct text *rows = malloc(2000 * sizeof *rows);
    struct naive *naive = malloc(2000 * sizeof *naive);
    for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
        struct arena_mark mark = arena_mark(&arena);
        uint64_t random = seed;
        uint32_t naive_count, count = make_rows(&random, rows, naive, &naive_count);
        struct text expected = {0};
        struct digest digest = {0};
        for (int round = 0; round < 6; round++) {
            struct buffer files[3];
            for (int i = 0; i < 3; i++) {
                buffer_init(&files[i], &arena, 1024);
            }
            for (uint32_t i = 0; i < count; i++) {
                uint32_t with = round ? i + pick(&random, count - i) : i;
                struct text row = rows[with];
                rows[with] = rows[i];
                rows[i] = row;
                struct buffer *file = &files[round ? pick(&random, 3) : 0];
                buffer_format(file, "%.*s\n", TEXT_ARG(row));
                if (round > 2 && pick(&random, 10) == 0) { /* the same again is the same */
                    buffer_format(&files[pick(&random, 3)], "%.*s\n", TEXT_ARG(row));
                }
            }
            struct file_text texts[3] = {{"x", buffer_text(&files[0])},
                                         {"y", buffer_text(&files[1])},
                                         {"z", buffer_text(&files[2])}};
            struct accounts *accounts = load_good(&catalog, texts, 3, 1 + pick(&random, 99));
            struct text dumped = dump(accounts);
            if (round == 0) {
                expected = dumped;
                digest = accounts->digest;
                check_payers(&catalog, accounts, naive, naive_count);
            }
            if (!text_equal(dumped, expected) ||
                memcmp(&digest, &accounts->digest, sizeof digest) != 0) {
                fail_msg("FARTHING_SEED=%" PRIu64 ": round %d differs", seed, round);
            }
        }
        arena_rewind(&arena, mark);
    }
    free(rows);
    free(naive);
    printf("%" PRIu64 " seeds from %" PRIu64 ", 6 orders each: equal\n", seeds, first_seed);
}

/* ---- size ---------------------------------------------------------------------------------- */

/* Of this process's own work: other jobs of the machine do not count. */
static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* A file that is made while it is read, in blocks of at most 64 KiB, as the engine would read it.
 */
struct rows {
    struct accounts_builder *builder;
    struct complaints *complaints;
    const char *name;
    size_t size;
    double seconds; /* spent in the loader */
    char block[65'536];
};

static void flush_rows(struct rows *rows, bool last)
{
    double start = seconds_now();
    accounts_feed(rows->builder, text_of(rows->name), (struct text){rows->block, rows->size}, last,
                  rows->complaints);
    rows->seconds += seconds_now() - start;
    rows->size = 0;
}

static void add_row(struct rows *rows, const char *format, ...)
{
    if (rows->size > sizeof rows->block - 256) {
        flush_rows(rows, false);
    }
    va_list args;
    va_start(args, format);
    rows->size += (size_t)vsnprintf(rows->block + rows->size, 256, format, args);
    va_end(args);
}

static void test_size(void **state)
{
    (void)state;
    bool is_long = getenv("FARTHING_LONG") != NULL;
    uint32_t count = is_long ? 1'000'000 : 30'000;
    struct arena own;
    arena_init(&own, NULL, 0);
    struct catalog catalog = make_catalog(SKUS, 3);
    struct complaints complaints = {.arena = &own};
    long before_kib = peak_kib();
    struct rows *rows = malloc(sizeof *rows);
    *rows =
        (struct rows){.builder = accounts_builder_new(&own, &own, NULL), .complaints = &complaints};
    rows->name = "accounts.csv";
    add_row(rows, "id,plan,since\n");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t scattered = (uint32_t)((uint64_t)i * 617'717 % count);
        add_row(rows, "%012u,%s,\n", scattered * 7, scattered % 10 == 0 ? "pro" : "");
    }
    flush_rows(rows, true);
    rows->name = "memberships.csv";
    add_row(rows, "account,organization,from,to\n");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t scattered = (uint32_t)((uint64_t)i * 414'977 % count);
        add_row(rows, "%012u,org-%05u,2026-0%u-01,\n", scattered * 7, scattered / 50 % 20'000,
                1 + scattered % 9);
    }
    flush_rows(rows, true);
    struct accounts *accounts;
    struct error error;
    double start = seconds_now();
    if (accounts_finish(rows->builder, &catalog, &accounts, &complaints, &error) != OK) {
        fail_msg("%s", error.message);
    }
    double seconds = rows->seconds + seconds_now() - start;
    long used_kib = peak_kib() - before_kib;
    printf("%u accounts with memberships: read in %.2f s, linked in %.2f s, %ld MB\n", count,
           rows->seconds, seconds - rows->seconds, used_kib / 1024);
    uint32_t organizations = count / 50 < 20'000 ? count / 50 : 20'000;
    assert_int_equal(accounts->count, count + organizations);
    assert_int_equal(accounts->membership_count, count);
    for (uint32_t i = 0; i + 1 < accounts->count; i++) {
        assert_true(text_compare(accounts->items[i].id, accounts->items[i + 1].id) < 0);
    }
    for (uint32_t i = 0; i < count; i += 997) {
        char id[32], organization[32];
        snprintf(id, sizeof id, "%012u", i * 7);
        snprintf(organization, sizeof organization, "org-%05u", i / 50 % 20'000);
        assert_string_equal(payer(accounts, id, "2026-10-01"), organization);
        uint32_t index = accounts_find(accounts, NONE, text_of(id));
        assert_int_equal(accounts->items[index].plan, i % 10 == 0 ? 1 : NONE);
    }
    if (is_long) {
        assert_true(used_kib < 300 * 1024);
    }
    arena_release(&own);
    free(rows);
}

static void test_many_overrides(void **state)
{
    (void)state;
    bool is_long = getenv("FARTHING_LONG") != NULL;
    uint32_t price_count = is_long ? 150'000 : 10'000;
    enum { SKU_COUNT = 500, PER_ACCOUNT = 10 };
    struct arena own;
    arena_init(&own, NULL, 0);
    const char **names = arena_alloc(&own, SKU_COUNT * sizeof *names);
    for (uint32_t i = 0; i < SKU_COUNT; i++) {
        names[i] = text_format(&own, "sku-%03u", i).at;
    }
    struct catalog catalog = make_catalog(names, SKU_COUNT);
    struct complaints complaints = {.arena = &own};
    struct rows *rows = malloc(sizeof *rows);
    *rows =
        (struct rows){.builder = accounts_builder_new(&own, &own, NULL), .complaints = &complaints};
    rows->name = "accounts.csv";
    add_row(rows, "id\n");
    for (uint32_t i = 0; i < price_count / PER_ACCOUNT; i++) {
        add_row(rows, "%012u\n", i);
    }
    flush_rows(rows, true);
    rows->name = "overrides.csv";
    add_row(rows, "account,sku,up_to,rate\n");
    uint32_t row_count = 0;
    for (uint32_t i = 0; i < price_count; i++) {
        uint32_t account = i / PER_ACCOUNT, sku = (account * 37 + i % PER_ACCOUNT * 41) % SKU_COUNT;
        uint32_t tiers = 1 + sku % 5, discount = 60 + account % 30;
        for (uint32_t t = 0; t < tiers; t++, row_count++) {
            add_row(rows, "%012u,sku-%03u,", account, sku);
            if (t + 1 < tiers) {
                add_row(rows, "%u", 1000 * (t + 1));
            }
            add_row(rows, ",0.%05u\n", (20'000 + sku * 17 - t * 500) * discount / 100);
        }
    }
    flush_rows(rows, true);
    struct accounts *accounts;
    struct error error;
    double start = seconds_now();
    if (accounts_finish(rows->builder, &catalog, &accounts, &complaints, &error) != OK) {
        fail_msg("%s", error.message);
    }
    double seconds = rows->seconds + seconds_now() - start;
    printf("%u rows of overrides, %u prices: read in %.2f s, linked in %.2f s, %zu MB\n", row_count,
           price_count, rows->seconds, seconds - rows->seconds, own.held_bytes / 1024 / 1024);
    assert_int_equal(accounts->override_count, price_count / PER_ACCOUNT);
    for (uint32_t i = 0; i < accounts->override_count; i++) {
        assert_int_equal(accounts->overrides[i].prices.count, PER_ACCOUNT);
    }
    /* Discounts are of 30 kinds, and equal prices are one. */
    assert_true(accounts->price_count <= price_count && accounts->price_count <= 30 * SKU_COUNT);
    assert_int_equal(accounts->node_count, SKU_COUNT);
    if (is_long) {
    }
    arena_release(&own);
    free(rows);
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_size), /* first: it measures the peak of the process */
        TEST(test_many_overrides), TEST(test_formats),     TEST(test_complaints),
        TEST(test_bad_overrides),  TEST(test_memberships), TEST(test_overrides),
        TEST(test_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
