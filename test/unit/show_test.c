/* show_test.c - rows of usage.csv read back, names that cannot lie, fields that start no formula,
 * tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "render/render.h"
#include "render/table.h"

#include <cmocka.h> /* last: it has a macro named fail */

static struct arena arena;
static jmp_buf recover;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 0);
    if (ARENA_RECOVER(&arena, recover)) {
        return 1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static void assert_text(struct text actual, const char *expected)
{
    char *copy = strndup(actual.at, actual.size);
    assert_string_equal(copy, expected);
    free(copy);
}

/* ---- usage.csv ------------------------------------------------------------------------------ */

#define ROW(resource, dimensions, quantity, events, sum) \
    "payer,account,meter,sku," resource "," dimensions   \
    ",2026-10-02T01:00:00Z,2026-10-03," quantity "," events "," sum ",0123456789abcdef,,,"

static enum status parse(const char *row, struct usage_text *usage)
{
    struct error err = {0};
    enum status status = parse_usage(&arena, text_of(row), false, usage, &err);
    assert_int_equal(status == OK, err.message[0] == '\0');
    return status;
}

static void test_usage_row(void **state)
{
    (void)state;
    struct usage_text usage;
    assert_int_equal(
        parse(ROW("\"a,\"\"b\"\"\nc\"", "region=eu;size=x", "1.5", "7", "-12.25"), &usage), OK);
    assert_text(usage.payer, "payer");
    assert_text(usage.account, "account");
    assert_text(usage.meter, "meter");
    assert_text(usage.sku, "sku");
    assert_text(usage.resource, "a,\"b\"\nc");
    assert_text(usage.dimensions, "region=eu;size=x");
    assert_true(usage.slot.from == INT64_C(1790902800) * NS_PER_SECOND);
    assert_true(usage.slot.to == INT64_C(1790985600) * NS_PER_SECOND);
    assert_true(dec_equal(usage.quantity, (struct dec){15, 1}));
    assert_int_equal(usage.total.count, 7);
    assert_true(usage.total.print == UINT64_C(0x0123456789abcdef));
}

static void test_usage_faults(void **state)
{
    (void)state;
    static const char *const ROWS[] = {
        "",
        "payer,account",
        ROW("", "", "1", "7", "1") ",more",
        ROW("\"open", "", "1", "7", "1"),
        ROW("", "", "", "7", "1"),
        ROW("", "", "x", "7", "1"),
        ROW("", "", "1", "", "1"),
        ROW("", "", "1", "-7", "1"),
        ROW("", "", "1", "7.5", "1"),
        ROW("", "", "1", "7", ""),
        ROW("", "", "1", "7", "-"),
        ROW("", "", "1", "7", "1."),
        ROW("", "", "1", "7", ".5"),
        ROW("", "", "1", "7", "1.2.3"),
        ROW("", "", "1", "7", "1e3"),
        ROW("", "", "1", "7", "0.1234567890123456789"),
        "p,a,m,s,,,2026-10-02,2026-10-03,1,1,1,0123456789ABCDEF00000000000000ff,,,",
        "p,a,m,s,,,2026-13-02,2026-10-03,1,1,1,0123456789abcdef,,,",
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct usage_text usage;
        assert_int_equal(parse(ROWS[i], &usage), ERR_INPUT);
    }
}

/* Sums are wider than decimals: what wide_format wrote is read as the same sum. */
static void test_usage_sums(void **state)
{
    (void)state;
    uint64_t seed = 20261001;
    for (int round = 0; round < 2000; round++) {
        struct wide sum = {{0}};
        unsigned terms = (unsigned)(round % 5 + 1);
        for (unsigned i = 0; i < terms; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            i128 mantissa = (i128)(int64_t)seed * ((int64_t)(seed >> 7) % 1000000007);
            wide_add_dec(&sum, (struct dec){mantissa, (int)(seed >> 33) % 19});
        }
        char text[96];
        int size = wide_format(&sum, text);
        struct usage_text usage;
        struct text row = text_format(&arena,
                                      "p,a,m,s,,,2026-10-02,2026-10-03,1,1,%.*s,"
                                      "0123456789abcdef,,,",
                                      size, text);
        assert_int_equal(parse(row.at, &usage), OK);
        assert_true(wide_equal(&usage.total.sum, &sum));
    }
    /* 4,000,000 x 10^37, which no decimal holds. */
    struct wide sum = {{0}};
    for (int i = 0; i < 4; i++) {
        struct wide part = {{0}};
        i128 huge = 1;
        for (int j = 0; j < 37; j++) {
            huge *= 10;
        }
        wide_add_dec(&part, (struct dec){huge, 0});
        for (int j = 0; j < 20; j++) {
            struct wide half = part;
            wide_add(&part, &half);
        }
        wide_add(&sum, &part);
    }
    char text[96];
    int size = wide_format(&sum, text);
    struct usage_text usage;
    assert_string_equal(text, "41943040000000000000000000000000000000000000");
    struct text row =
        text_format(&arena, "p,a,m,s,,,2026-10-02,2026-10-03,1,1,%.*s,%016d,,,", size, text, 0);
    assert_int_equal(parse(row.at, &usage), OK);
    assert_true(wide_equal(&usage.total.sum, &sum));
}

/* ---- names ---------------------------------------------------------------------------------- */

static void test_shown(void **state)
{
    (void)state;
    static const struct {
        const char *name, *shown;
        int width;
    } ROWS[] = {
        {"", "", 0},
        {"globex", "globex", 6},
        {"m\u00fcller", "m\u00fcller", 6},
        {"\u6771\u4eac", "\u6771\u4eac", 4}, /* wide characters take two columns */
        {"a\u202eb", "a\\u{202e}b", 10},     /* right to left from here on */
        {"a\u200bb", "a\\u{200b}b", 10},     /* no width */
        {"\ufeffa", "\\u{feff}a", 9},        /* byte order mark */
        {"e\u0301", "e\\u{301}", 8},         /* looks like \u00e9 */
        {"a\nb\tc\x1b[31m", "a\\u{a}b\\u{9}c\\u{1b}[31m", 23},
        {"a\x7f", "a\\u{7f}", 7},
        {"a\xc2\x85", "a\\u{85}", 7},         /* next line, a control */
        {"a\u00a0b", "a\\u{a0}b", 8},         /* looks like a blank */
        {"a\\u{202e}b", "a\\\\u{202e}b", 11}, /* what is written is not what is meant */
        {"\xff", "\\xff", 4},                 /* no UTF-8 */
        {"a\xc3", "a\\xc3", 5},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80", 12}, /* a surrogate */
        {"\U000e0041", "\\u{e0041}", 9},         /* a tag */
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct buffer out;
        buffer_init(&out, &arena, 16);
        add_shown(&out, text_of(ROWS[i].name));
        assert_text(buffer_text(&out), ROWS[i].shown);
        assert_int_equal(shown_width(buffer_text(&out)), ROWS[i].width);
    }
}

static void test_formulas(void **state)
{
    (void)state;
    static const struct {
        const char *name, *field;
    } ROWS[] = {
        {"", ""},
        {"globex", "globex"},
        {"a=b", "a=b"},
        {"a,b", "\"a,b\""},
        {"=cmd|'/C calc'!A0", "\"'=cmd|'/C calc'!A0\""},
        {"+1", "\"'+1\""},
        {"-1", "\"'-1\""},
        {"@x", "\"'@x\""},
        {"\tx", "\"'\tx\""},
        {"\rx", "\"'\rx\""},
        {"=\"a\"", "\"'=\"\"a\"\"\""},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct buffer out;
        buffer_init(&out, &arena, 16);
        add_csv_safe(&out, text_of(ROWS[i].name));
        assert_text(buffer_text(&out), ROWS[i].field);
    }
}

/* ---- tables --------------------------------------------------------------------------------- */

static int take_bytes(void *context, const char *bytes, size_t size)
{
    buffer_add(context, bytes, size);
    return 0;
}

static int take_nothing(void *context, const char *bytes, size_t size)
{
    (void)context;
    (void)bytes;
    (void)size;
    return 1;
}

static const char *const CELLS[][3] = {
    {"a", "1.5", "x"}, {"long name", "-12", "y"}, {"", "", "z"}, {"b", "0.125", ""}};

static enum status fill_table(struct table *table, int rows, struct error *err)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < rows; i++) {
            struct text cells[3];
            for (int c = 0; c < 3; c++) {
                cells[c] = text_of(CELLS[i % 4][c]);
            }
            if (pass == 0) {
                table_measure(table, cells);
            } else {
                TRY(table_row(table, cells, err));
            }
        }
        table_begin(table, true);
    }
    return table_end(table, err);
}

static void test_table(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &arena, 1 << 20); /* the table's arena must not be what the writer grows */
    struct sink_text sink = {take_bytes, &out};
    struct arena own;
    arena_init(&own, NULL, 0);
    struct table table;
    table_init(&table, &own, &sink, false);
    table_add_column(&table, "NAME", COLUMN_TEXT);
    table_add_column(&table, "AMOUNT", COLUMN_DECIMAL);
    table_add_column(&table, "WHAT", COLUMN_TEXT);
    struct error err = {0};
    assert_int_equal(fill_table(&table, 4, &err), OK);
    assert_text(buffer_text(&out), "NAME       AMOUNT WHAT\n"
                                   "a           1.5   x\n"
                                   "long name -12     y\n"
                                   "                  z\n"
                                   "b           0.125\n");
    arena_release(&own);
}

/* Many rows go out in pieces, under one heading, each with the same columns. */
static void test_pieces(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &arena, 1 << 20);
    struct sink_text sink = {take_bytes, &out};
    struct arena own;
    arena_init(&own, NULL, 0);
    struct table table;
    table_init(&table, &own, &sink, false);
    table_add_column(&table, "NAME", COLUMN_TEXT);
    table_add_column(&table, "AMOUNT", COLUMN_DECIMAL);
    table_add_column(&table, "WHAT", COLUMN_TEXT);
    struct error err = {0};
    assert_int_equal(fill_table(&table, 1001, &err), OK);
    int lines = 0, headings = 0;
    for (size_t i = 0; i < out.size; i++) {
        lines += out.at[i] == '\n';
        headings += out.at[i] == 'N' && out.size - i > 4 && memcmp(out.at + i, "NAME", 4) == 0;
    }
    assert_int_equal(lines, 1002);
    assert_int_equal(headings, 1);
    assert_true(own.held_bytes < 256 * 1024);
    /* What cannot be written is an error, and leaves nothing behind. */
    sink.write = take_nothing;
    table.sink = &sink;
    assert_int_equal(fill_table(&table, 300, &err), ERR_IO);
    table_drop(&table);
    arena_release(&own);
}

/* Writes one row of a wide table as a terminal of so many columns gets it, without its colors. */
static void write_wide(struct buffer *out, const char *columns, bool is_terminal)
{
    static const char *const ROW[] = {"premium-support-of-the-north-east;region=eu", "support",
                                      "-1234567890.123456789", "0f254629"};
    struct buffer colored;
    buffer_init(&colored, &arena, 4096);
    struct sink_text sink = {take_bytes, &colored};
    struct arena own;
    arena_init(&own, NULL, 0);
    struct table table;
    table_init(&table, &own, &sink, is_terminal);
    table_add_column(&table, "SKU", COLUMN_TEXT);
    table_add_column(&table, "PRODUCT", COLUMN_TEXT);
    table_add_column(&table, "AMOUNT", COLUMN_DECIMAL);
    table_add_column(&table, "LINE", COLUMN_TEXT);
    table.columns[1].is_spare = true;
    struct text cells[4];
    for (int c = 0; c < 4; c++) {
        cells[c] = text_of(ROW[c]);
    }
    struct error err = {0};
    setenv("COLUMNS", columns, 1);
    table_measure(&table, cells);
    table_begin(&table, true);
    assert_int_equal(table_row(&table, cells, &err), OK);
    assert_int_equal(table_end(&table, &err), OK);
    unsetenv("COLUMNS");
    arena_release(&own);
    for (size_t i = 0; i < colored.size; i++) {
        while (i < colored.size && colored.at[i] == '\033') {
            const char *end = memchr(colored.at + i, 'm', colored.size - i);
            assert_non_null(end);
            i = (size_t)(end - colored.at) + 1;
        }
        if (i < colored.size) {
            buffer_add_char(out, colored.at[i]);
        }
    }
}

/* In a narrow window what is spare goes, and a long name goes on below: it can still be read and
 * copied in whole.  A number is never cut, and what is no terminal has no window. */
static void test_window(void **state)
{
    (void)state;
    if (isatty(STDOUT_FILENO)) {
        skip(); /* that one's width would be taken */
    }
    static const char WHOLE[] =
        "SKU                                         PRODUCT                AMOUNT LINE\n"
        "premium-support-of-the-north-east;region=eu support -1234567890.123456789 0f254629\n";
    static const struct {
        const char *columns;
        bool is_terminal;
        const char *expected;
    } ROWS[] = {
        {"50", false, WHOLE},
        {"100", true, WHOLE},
        {"75", true,
         "SKU                                                        AMOUNT LINE\n"
         "premium-support-of-the-north-east;region=eu -1234567890.123456789 0f254629\n"},
        {"68", true,
         "SKU                                                  AMOUNT LINE\n"
         "premium-support-of-the-north-east;    -1234567890.123456789 0f254629\n"
         "region=eu\n"},
        {"20", true,
         "SKU                             AMOUNT LINE\n"
         "premium-support- -1234567890.123456789 0f254629\n"
         "of-the-north-eas\n"
         "t;region=eu\n"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct buffer out;
        buffer_init(&out, &arena, 4096);
        write_wide(&out, ROWS[i].columns, ROWS[i].is_terminal);
        assert_text(buffer_text(&out), ROWS[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage_row),  cmocka_unit_test(test_usage_faults),
        cmocka_unit_test(test_usage_sums), cmocka_unit_test(test_shown),
        cmocka_unit_test(test_formulas),   cmocka_unit_test(test_table),
        cmocka_unit_test(test_pieces),     cmocka_unit_test(test_window)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
