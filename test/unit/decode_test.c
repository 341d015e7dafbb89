/* decode_test.c - bytes to events: tables of lines (decode.tbl, json.tbl) and rows (csv.tbl), the
 * seeded mutation of usual records, and the promises of the header that no table can show.
 *
 * Each line of JSON is read by both paths, which must say the same.  FARTHING_SEED chooses the
 * mutations, FARTHING_CASES how many there are.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/outcome.h"
#include "decode/record.h"
#include "table.h"

#include <cmocka.h> /* last: it has a macro named fail */

static struct arena own, scratch;
static struct decoder *decoder;

static int set_up(void **)
{
    arena_init(&own, NULL, 0);
    arena_init(&scratch, NULL, 0);
    decoder = decoder_new(&own);
    return 0;
}

static int tear_down(void **)
{
    arena_release(&own);
    arena_release(&scratch);
    return 0;
}

static void forget(void)
{
    arena_rewind(&scratch, (struct arena_mark){0});
}

/* ---- macros of the tables ------------------------------------------------------------------ */

static const char *const ATTRIBUTE_TEXTS[][2] = {
    {"specversion", "\"1.0\""}, {"id", "\"e\""},      {"source", "\"s\""},
    {"type", "\"t\""},          {"subject", "\"a\""}, {"time", "\"2026-10-01T00:00:00Z\""}};

static const char CANONICAL_REST[] =
    ",\"id\":\"e\",\"source\":\"s\",\"specversion\":\"1.0\",\"subject\":\"a\","
    "\"time\":\"2026-10-01T00:00:00Z\",\"type\":\"t\"}";

static bool starts(struct text text, size_t at, const char *word)
{
    size_t size = strlen(word);
    return text.size - at >= size && memcmp(text.at + at, word, size) == 0;
}

/* All attributes but one. */
static void add_attributes(struct buffer *out, const char *less)
{
    bool is_first = true;
    for (size_t i = 0; i < 6; i++) {
        if (strcmp(less, ATTRIBUTE_TEXTS[i][0]) != 0) {
            buffer_format(out, "%s\"%s\":%s", is_first ? "" : ",", ATTRIBUTE_TEXTS[i][0],
                          ATTRIBUTE_TEXTS[i][1]);
            is_first = false;
        }
    }
}

static struct text expand(struct text text)
{
    struct buffer out;
    buffer_init(&out, &scratch, text.size + 256);
    for (size_t at = 0; at < text.size;) {
        size_t before = at;
        if (starts(text, at, "$A")) {
            add_attributes(&out, "");
            at += 2;
        } else if (starts(text, at, "$H")) {
            buffer_add_text(&out, TEXT("id,source,type,subject,time"));
            at += 2;
        } else if (starts(text, at, "$R")) {
            buffer_add_text(&out, TEXT("e,s,t,a,2026-10-01T00:00:00Z"));
            at += 2;
        } else if (starts(text, at, "$-")) {
            for (size_t i = 0; i < 6; i++) {
                if (starts(text, at + 2, ATTRIBUTE_TEXTS[i][0])) {
                    add_attributes(&out, ATTRIBUTE_TEXTS[i][0]);
                    at += 2 + strlen(ATTRIBUTE_TEXTS[i][0]);
                    break;
                }
            }
        }
        if (at == before) {
            buffer_add_char(&out, text.at[at++]);
        }
    }
    return buffer_text(&out);
}

/* ---- tables -------------------------------------------------------------------------------- */

/* What a line gave, in the words of the tables. */
struct say {
    struct buffer out;
    const char *line;
    size_t result_count, event_count;
    const struct csv_header *header;
};

static void say_separator(struct say *say)
{
    if (say->result_count++ > 0) {
        buffer_add_text(&say->out, TEXT(" ;; "));
    }
}

static void say_event(void *context, const struct event *, size_t, struct text record)
{
    struct say *say = context;
    say_separator(say);
    say->event_count++;
    if (say->event_count > 100) {
        return;
    }
    /* The call is within the sink's own: a decoder has one record at a time. */
    struct arena mine;
    arena_init(&mine, NULL, 0);
    struct decoder *other = decoder_new(&mine);
    struct buffer form;
    struct error err;
    buffer_init(&form, &scratch, 256);
    assert_int_equal(decode_canonical(other, record, say->header, &form, &err), OK);
    struct text text = buffer_text(&form);
    size_t rest = sizeof CANONICAL_REST - 1;
    if (text.size > rest + 8 && memcmp(text.at + text.size - rest, CANONICAL_REST, rest) == 0) {
        buffer_format(&say->out, "data ");
        buffer_add(&say->out, text.at + 8, text.size - rest - 8);
    } else {
        buffer_format(&say->out, "is ");
        buffer_add_text(&say->out, text);
    }
    arena_release(&mine);
}

static void say_refused(void *context, const struct finding *finding)
{
    struct say *say = context;
    say_separator(say);
    buffer_format(&say->out, "%s %zu", refusal_name(finding->refusal), finding->offset);
}

static struct sink start_saying(struct say *say, struct text line)
{
    *say = (struct say){.line = line.at};
    buffer_init(&say->out, &scratch, 256);
    return (struct sink){say, say_event, say_refused};
}

static int failures;

static void expect(const char *table, int line, const struct say *say, struct text expected)
{
    struct text got = say->result_count ? buffer_text(&say->out) : TEXT("nothing");
    char counted[64];
    const char *unit =
        expected.size > 6 && memcmp(expected.at + expected.size - 6, "events", 6) == 0 ? "events"
                                                                                       : "results";
    snprintf(counted, sizeof counted, "%zu %s",
             unit[0] == 'e' ? say->event_count : say->result_count, unit);
    if (text_equal(got, expected) || text_equal(text_of(counted), expected)) {
        return;
    }
    failures++;
    fprintf(stderr, "%s.tbl:%d: expected %.200s\n", table, line, text_copy(&scratch, expected).at);
    fprintf(stderr, "%*s got %.200s (%s)\n", (int)strlen(table) + 8, "",
            text_copy(&scratch, got).at, counted);
}

static void check_json(const char *table, int number, struct text line, struct text expected)
{
    struct say say;
    struct sink sink = start_saying(&say, line);
    decode_json_line(decoder, line, true, &sink);
    expect(table, number, &say, expected);
    struct outcome outcome;
    if (!outcome_compare_json(decoder, &scratch, line, true, &outcome)) {
        failures++;
        fprintf(stderr, "%s.tbl:%d: fast and general differ\n", table, number);
    }
    for (size_t i = 0; i < outcome.event_count && i < OUTCOME_RECORDS_MAX; i++) {
        struct text canonical;
        const char *fault =
            outcome_check_canonical(decoder, &scratch, &outcome, i, NULL, &canonical);
        if (fault) {
            failures++;
            fprintf(stderr, "%s.tbl:%d: %s\n", table, number, fault);
        }
    }
    forget();
}

static void test_lines(void **)
{
    struct table table = table_read("decode");
    failures = 0;
    for (size_t i = 0; i < table.row_count; i++) {
        struct table_row *row = &table.rows[i];
        check_json("decode", row->line, expand(row->fields[0]), row->fields[1]);
    }
    print_message("decode.tbl: %zu rows\n", table.row_count);
    table_free(&table);
    assert_int_equal(failures, 0);
}

static void test_values(void **)
{
    struct table table = table_read("json");
    failures = 0;
    for (size_t i = 0; i < table.row_count; i++) {
        struct table_row *row = &table.rows[i];
        struct text value = row->fields[0];
        struct buffer line, expected;
        buffer_init(&line, &scratch, 512);
        buffer_init(&expected, &scratch, 512);
        buffer_add_char(&line, '{');
        add_attributes(&line, "");
        buffer_add_text(&line, TEXT(",\"data\":{\"v\":"));
        buffer_add_text(&line, value);
        buffer_add_text(&line, TEXT("}}"));
        if (text_equal(row->fields[1], TEXT("accept"))) {
            buffer_add_text(&expected, TEXT("data {\"v\":"));
            buffer_add_text(&expected, row->field_count > 2 ? row->fields[2] : value);
            buffer_add_char(&expected, '}');
            check_json("json", row->line, buffer_text(&line), buffer_text(&expected));
            continue;
        }
        struct outcome outcome;
        bool is_same = outcome_compare_json(decoder, &scratch, buffer_text(&line), true, &outcome);
        if (!is_same || outcome.refused_count != 1 ||
            !text_equal(text_of(refusal_name(outcome.last_refusal)), row->fields[2])) {
            failures++;
            fprintf(stderr, "json.tbl:%d: expected %.40s, got %s\n", row->line,
                    text_copy(&scratch, row->fields[2]).at, refusal_name(outcome.last_refusal));
        }
        forget();
    }
    print_message("json.tbl: %zu rows\n", table.row_count);
    table_free(&table);
    assert_int_equal(failures, 0);
}

/* "sep=; a=data.a# source:=s" to a mapping. */
static struct csv_mapping read_mapping(struct text options)
{
    struct csv_column *columns = arena_calloc(&scratch, 8, sizeof *columns);
    struct csv_constant *constants = arena_calloc(&scratch, 8, sizeof *constants);
    struct csv_mapping mapping = {.separator = ',', .columns = columns, .constants = constants};
    for (size_t at = 0; at < options.size;) {
        size_t end = at;
        while (end < options.size && options.at[end] != ' ') {
            end++;
        }
        struct text word = {options.at + at, end - at};
        const char *equals = memchr(word.at, '=', word.size);
        assert_non_null(equals);
        struct text left = {word.at, (size_t)(equals - word.at)};
        struct text right = {equals + 1, word.size - left.size - 1};
        if (text_equal(left, TEXT("sep"))) {
            mapping.separator = text_equal(right, TEXT("tab")) ? '\t' : right.at[0];
        } else if (left.at[left.size - 1] == ':') {
            left.size--;
            constants[mapping.constant_count++] = (struct csv_constant){left, right};
        } else {
            bool is_number = right.size && right.at[right.size - 1] == '#';
            right.size -= is_number;
            columns[mapping.column_count++] = (struct csv_column){left, right, is_number};
        }
        at = end + 1;
    }
    return mapping;
}

static bool contains(struct text text, struct text part)
{
    return memmem(text.at, text.size, part.at, part.size) != NULL;
}

static void check_csv(const struct table_row *row)
{
    struct csv_mapping mapping = read_mapping(row->fields[0]);
    struct text header_line = expand(row->fields[1]);
    struct text line = expand(row->fields[2]);
    struct text expected = row->fields[3];
    const struct csv_header *header;
    struct error err = {0};
    bool is_default = row->fields[0].size == 0;
    enum status status =
        csv_header_read(&scratch, header_line, is_default ? NULL : &mapping, &header, &err);
    if (expected.size > 7 && memcmp(expected.at, "header ", 7) == 0) {
        struct text part = {expected.at + 7, expected.size - 7};
        if (status != ERR_INPUT || !contains(text_of(err.message), part)) {
            failures++;
            fprintf(stderr, "csv.tbl:%d: got %d, %s\n", row->line, (int)status, err.message);
        }
        return;
    }
    if (status != OK) {
        failures++;
        fprintf(stderr, "csv.tbl:%d: %s\n", row->line, err.message);
        return;
    }
    struct say say;
    struct sink sink = start_saying(&say, line);
    say.header = header;
    decode_csv_row(decoder, header, line, &sink);
    expect("csv", row->line, &say, expected);
    struct outcome outcome;
    sink = outcome_start(&outcome, &scratch, line);
    decode_csv_row(decoder, header, line, &sink);
    if (outcome.event_count == 1) {
        struct text canonical;
        const char *fault =
            outcome_check_canonical(decoder, &scratch, &outcome, 0, header, &canonical);
        if (fault) {
            failures++;
            fprintf(stderr, "csv.tbl:%d: %s\n", row->line, fault);
        }
    }
    if (!outcome_compare_next(decoder, &scratch, header, line, false, &outcome)) {
        failures++;
        fprintf(stderr, "csv.tbl:%d: among others it is another row\n", row->line);
    }
}

static void test_rows(void **)
{
    struct table table = table_read("csv");
    failures = 0;
    for (size_t i = 0; i < table.row_count; i++) {
        check_csv(&table.rows[i]);
        forget();
    }
    print_message("csv.tbl: %zu rows\n", table.row_count);
    table_free(&table);
    assert_int_equal(failures, 0);
}

/* ---- scanning ------------------------------------------------------------------------------ */

/* What scan_marks says byte by byte. */
static unsigned scan_slowly(struct text text, char mark, char escape, uint64_t *words)
{
    unsigned flags = 0;
    memset(words, 0, (text.size + 63) / 64 * sizeof *words);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        words[i / 64] |= (uint64_t)(text.at[i] == mark) << i % 64;
        flags |= text.at[i] == escape ? SCAN_ESCAPE : 0u;
        flags |= (c < 0x20 || c == 0x7f ? SCAN_CONTROL : 0u) | (c >= 0x80 ? SCAN_HIGH : 0u);
    }
    words[(text.size + 63) / 64] = UINT64_MAX;
    return flags;
}

static void test_scan(void **)
{
    enum { SIZE_MAX_BYTES = 700, WORDS = SIZE_MAX_BYTES / 64 + 2 };
    uint64_t state = 7;
    for (int round = 0; round < 20'000; round++) {
        char bytes[SIZE_MAX_BYTES];
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        bool is_dense = round % 16 == 0;
        size_t size = SCAN_MIN_BYTES + (size_t)(state >> 33) % (SIZE_MAX_BYTES - SCAN_MIN_BYTES);
        for (size_t i = 0; i < size; i++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
            bytes[i] = (state >> 60) == 0 || (is_dense && state >> 63)
                           ? '"'
                           : (char)(' ' + 1 + (state >> 40) % 90);
            bytes[i] = bytes[i] == '\\' ? 'x' : bytes[i];
        }
        if (round % 3 == 1) {
            static const char ODD[] = {'\\', '\0', '\x1f', '\x7f', '\x80', '\xff', '\x7e', ' '};
            bytes[(state >> 20) % size] = ODD[(state >> 50) % sizeof ODD];
        }
        struct text text = {bytes, size};
        uint64_t slow[WORDS], narrow[WORDS], any[WORDS + 1];
        unsigned flags = scan_slowly(text, '"', '\\', slow);
        assert_int_equal(scan_marks_narrow(text, '"', '\\', narrow), flags);
        assert_int_equal(scan_marks(text, '"', '\\', any), flags);
        size_t used = ((size + 63) / 64 + 1) * sizeof *slow;
        assert_memory_equal(narrow, slow, used);
        assert_memory_equal(any, slow, used);
        char line[SIZE_MAX_BYTES + 1 + DECODE_PADDING_BYTES];
        memcpy(line, bytes, size);
        memset(line + size, '\n', sizeof line - size);
        for (enum scan_width width = SCAN_NARROW; width <= scan_width_of(SCAN_WIDE); width++) {
            size_t line_size;
            bool is_cut = memchr(bytes, '\n', size) != NULL;
            unsigned line_flags = scan_line(width, line, '"', '\\', any, &line_size);
            if (!is_cut) {
                assert_int_equal(line_size, size);
                assert_int_equal(line_flags, flags);
                assert_memory_equal(any, slow, (size + 63) / 64 * sizeof *slow);
            }
        }
        const size_t short_size = 1 + (size_t)(state >> 33) % (SCAN_MIN_BYTES - 1);
        line[short_size] = '\n';
        flags = scan_slowly((struct text){line, short_size}, '"', '\\', slow);
        for (enum scan_width width = SCAN_NARROW; width <= scan_width_of(SCAN_WIDE); width++) {
            size_t line_size;
            assert_int_equal(scan_line(width, line, '"', '\\', any, &line_size), flags);
            assert_int_equal(line_size, short_size);
            assert_memory_equal(any, slow, 2 * sizeof *slow);
        }
    }
}

/* The same as the parser of all times says, near the time before or not. */
static void check_time(const char *bytes, size_t size, struct hour *hour)
{
    const struct text text = {bytes, size};
    instant expected = -1, found = -1, near = -1;
    enum time_fault fault = time_parse(text, &expected);
    bool is_equal = scan_time(text, &found) == fault && found == expected &&
                    scan_time_near(hour, text, &near) == fault && near == expected;
    if (!is_equal) {
        fail_msg("%.*s is another time", TEXT_ARG(text));
    }
}

/* Usual times, with each byte at each place, and two that are changed at once. */
static void test_times(void **)
{
    static const char *const TIMES[] = {"2026-10-01T07:59:09.123Z", "2026-10-01T07:59:09Z",
                                        "2028-02-29T23:00:50.990Z", "1970-01-01T00:00:00Z"};
    for (size_t t = 0; t < sizeof TIMES / sizeof *TIMES; t++) {
        const size_t size = strlen(TIMES[t]);
        struct hour hour = {{0, 0}, 0};
        char bytes[32 + 1];
        (void)snprintf(bytes, sizeof bytes, "%s", TIMES[t]);
        for (size_t i = 0; i < size; i++) {
            for (int c = 0; c <= UINT8_MAX; c++) {
                bytes[i] = (char)c;
                check_time(bytes, size, &hour);
                for (size_t k = 0; k < i; k++) {
                    bytes[k] = "0123456789:Z\xFF"[(c + (int)k) % 13];
                    check_time(bytes, size, &hour);
                    bytes[k] = TIMES[t][k];
                }
                bytes[i] = TIMES[t][i];
                check_time(bytes, size, &hour);
            }
        }
    }
}

/* ---- promises ------------------------------------------------------------------------------ */

static uint64_t print_of(const char *line)
{
    struct outcome outcome;
    assert_true(outcome_compare_json(decoder, &scratch, text_of(line), false, &outcome));
    assert_int_equal(outcome.event_count, 1);
    return outcome.prints[0];
}

#define RECORD(data)                                                                           \
    "{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"s\",\"type\":\"t\",\"subject\":\"a\"," \
    "\"time\":\"2026-10-01T00:00:00Z\",\"data\":" data "}"

#define OTHER_ORDER                                                                             \
    "{\"data\":{\"a\":1,\"b\":\"x\"},\"time\":\"2026-10-01T02:00:00+02:00\",\"subject\":\"a\"," \
    "\"type\":\"t\",\"source\":\"s\",\"id\":\"e\",\"specversion\":\"1.0\",\"trace\":\"z\"}"

static void test_print(void **)
{
    uint64_t print = print_of(RECORD("{\"a\":1,\"b\":\"x\"}"));
    static const char *const SAME[] = {
        RECORD("{\"b\":\"x\",\"a\":1}"),
        RECORD("{\"a\":1.0,\"b\":\"x\"}"),
        RECORD("{\"a\":1e0,\"b\":\"\\u0078\"}"),
        OTHER_ORDER,
    };
    static const char *const OTHER[] = {
        RECORD("{\"a\":1}"),
        RECORD("{\"a\":2,\"b\":\"x\"}"),
        RECORD("{\"a\":10,\"b\":\"x\"}"),
        RECORD("{\"a\":-1,\"b\":\"x\"}"),
        RECORD("{\"a\":\"1\",\"b\":\"x\"}"),
        RECORD("{\"a\":true,\"b\":\"x\"}"),
        RECORD("{\"a\":\"x\",\"b\":1}"),
        RECORD("{\"a\":1,\"c\":\"x\"}"),
        RECORD("{\"a\":1,\"b\":\"x\",\"c\":null}"),
        RECORD("{\"a\":1,\"b\":\"x\",\"c\":{}}"),
        RECORD("{\"a\":1,\"b\":\"x\",\"c\":[]}"),
        RECORD("{\"a\":1,\"b\":\"x\",\"c\":\"\"}"),
        RECORD("{\"a\":1,\"b\":\"x\",\"c\":false}"),
        RECORD("{\"a\":{\"b\":\"x\"}}"),
        RECORD("{\"a\":18446744073709551617,\"b\":\"x\"}"),
    };
    size_t same_count = sizeof SAME / sizeof *SAME;
    size_t other_count = sizeof OTHER / sizeof *OTHER;
    for (size_t i = 0; i < same_count; i++) {
        assert_true(print_of(SAME[i]) == print);
    }
    for (size_t i = 0; i < other_count; i++) {
        assert_true(print_of(OTHER[i]) != print);
        for (size_t j = 0; j < i; j++) {
            assert_true(print_of(OTHER[i]) != print_of(OTHER[j]));
        }
    }
    forget();
}

/* The same event from JSON and from CSV. */
static void test_print_of_csv(void **)
{
    uint64_t print = print_of(RECORD("{\"quantity\":12.5,\"sku\":\"x\",\"a\":{\"b\":\"y\"}}"));
    const struct csv_column quantity = {TEXT("quantity"), TEXT("data.quantity"), true};
    const struct csv_mapping mapping = {.separator = ',', .columns = &quantity, .column_count = 1};
    const struct csv_header *header;
    assert_int_equal(csv_header_read(&scratch, TEXT("sku,quantity,time,id,source,type,subject,a.b"),
                                     &mapping, &header, NULL),
                     OK);
    static const char *const ROWS[] = {
        "x,12.5,2026-10-01T00:00:00Z,e,s,t,a,y",
        "x,12.50,2026-10-01T00:00:00.000Z,\"e\",s,t,a,\"y\"",
        "x,125e-1,2026-10-01T00:00:00.0000000000000000000000000000Z,e,s,t,a,y",
    };
    for (size_t i = 0; i < 3; i++) {
        struct outcome outcome;
        struct sink sink = outcome_start(&outcome, &scratch, text_of(ROWS[i]));
        decode_csv_row(decoder, header, text_of(ROWS[i]), &sink);
        assert_int_equal(outcome.event_count, 1);
        assert_true(outcome.prints[0] == print);
    }
    forget();
}

static void find_members(void *context, const struct event *event, size_t, struct text)
{
    const struct member *a = event_member(event, member_path(PATH_DATA, TEXT("a")));
    uint64_t b = member_path(PATH_DATA, TEXT("b"));
    uint64_t item = member_item_path(b, 1);
    const struct member *c = event_member(event, member_path(item, TEXT("c")));
    assert_true(a && a->kind == MEMBER_NUMBER && a->number.mantissa == 15 && a->number.scale == 1);
    assert_true(c && c->kind == MEMBER_TEXT && text_equal(c->text, TEXT("x")));
    assert_null(event_member(event, member_path(PATH_DATA, TEXT("c"))));
    assert_null(event_member(event, b));
    assert_null(event_member(event, member_path(member_path(b, TEXT("[1]")), TEXT("c"))));
    ++*(int *)context;
}

static void test_paths(void **)
{
    int found = 0;
    struct sink sink = {&found, find_members, outcome_refused};
    decode_json_line(decoder, TEXT(RECORD("{\"a\":1.5,\"b\":[0,{\"c\":\"x\"}]}")), false, &sink);
    assert_int_equal(found, 1);
}

static void test_keys(void **)
{
    struct hash_secret secret, other;
    for (size_t i = 0; i < sizeof secret; i++) { /* equal bytes would cancel each other out */
        secret.bytes[i] = (unsigned char)(i * 7);
        other.bytes[i] = (unsigned char)(i * 11 + 1);
    }
    uint64_t key = event_key(&secret, TEXT("ab"), TEXT("c"));
    assert_int_equal(key, event_key(&secret, TEXT("ab"), TEXT("c")));
    assert_int_not_equal(key, event_key(&secret, TEXT("a"), TEXT("bc")));
    assert_int_not_equal(key, event_key(&secret, TEXT("c"), TEXT("ab")));
    assert_int_not_equal(key, event_key(&other, TEXT("ab"), TEXT("c")));
}

static void test_names(void **)
{
    for (enum refusal i = REFUSE_NONE + 1; i < REFUSALS; i++) {
        assert_true(strlen(refusal_name(i)) > 3 && strlen(refusal_hint(i)) > 10);
        for (enum refusal j = REFUSE_NONE; j < i; j++) {
            assert_string_not_equal(refusal_name(i), refusal_name(j));
        }
    }
}

static void count_refusal(void *context, const struct finding *finding)
{
    struct finding *kept = context;
    *kept = *finding;
}

static void refuse_event(void *, const struct event *, size_t, struct text)
{
    fail_msg("an event");
}

/* Never more than 64 bytes of input, and those printable; a backslash of the input is one. */
static void test_detail(void **)
{
    char line[600] = "{\"data\":{\"";
    size_t size = strlen(line);
    memset(line + size, 'k', 300);
    size += 300;
    size += (size_t)snprintf(line + size, sizeof line - size, "\":1,\"a\":\"\\u0000\x1b\"}}");
    struct finding finding = {0};
    struct sink sink = {&finding, refuse_event, count_refusal};
    struct text name = {line + 10, 300};
    decode_json_line(decoder, (struct text){line, size}, false, &sink);
    assert_int_equal(finding.refusal, REFUSE_JSON_SYNTAX);
    char twice[800];
    int twice_size =
        snprintf(twice, sizeof twice, "{\"%.*s\":1,\"%.*s\":2}", TEXT_ARG(name), TEXT_ARG(name));
    decode_json_line(decoder, (struct text){twice, (size_t)twice_size}, false, &sink);
    assert_int_equal(finding.refusal, REFUSE_JSON_DUP_KEY);
    assert_int_equal(strlen(finding.detail), 64);
    decode_json_line(decoder, TEXT("{\"\\u0007\\n\\u001b[2J\":1,\"\\u0007\\n\\u001b[2J\":2}"),
                     false, &sink);
    assert_string_equal(finding.detail, "\\x07\\x0a\\x1b[2J");
    decode_json_line(decoder, TEXT("{\"C:\\\\tmp\":1,\"C:\\\\tmp\":2}"), false, &sink);
    assert_string_equal(finding.detail, "C:\\tmp");
    decode_json_line(decoder, TEXT("{\"id\":\"\\ud800\"}"), false, &sink);
    assert_string_equal(finding.detail, "lone surrogate: \\ud800");
}

/* A record of 256 KB of names: sorted, not compared each with each. */
static void test_many_names(void **)
{
    struct buffer line;
    buffer_init(&line, &scratch, 1 << 20);
    buffer_add_text(&line, TEXT("{\"x\":{"));
    for (int i = 0; i < 60'000; i++) {
        buffer_format(&line, "%s\"n%d\":0", i ? "," : "", i);
    }
    buffer_add_text(&line, TEXT(",\"n59999\":0}}"));
    struct outcome outcome;
    assert_true(outcome_compare_json(decoder, &scratch, buffer_text(&line), false, &outcome));
    assert_int_equal(outcome.last_refusal, REFUSE_JSON_DUP_KEY);
    forget();
}

/* Only where the file begins is a byte order mark one; later it is no JSON. */
static void test_byte_order_mark(void **)
{
    static const char LINE[] = "\xEF\xBB\xBF" RECORD("{}");
    struct outcome outcome;
    assert_true(outcome_compare_json(decoder, &scratch, TEXT(LINE), true, &outcome));
    assert_int_equal(outcome.last_refusal, REFUSE_ENCODING);
    assert_true(outcome_compare_json(decoder, &scratch, TEXT(LINE), false, &outcome));
    assert_int_equal(outcome.last_refusal, REFUSE_JSON_SYNTAX);
    forget();
}

static void test_changed_record(void **)
{
    struct buffer out;
    buffer_init(&out, &scratch, 64);
    struct error err;
    assert_int_equal(decode_canonical(decoder, TEXT("{\"id\":1}"), NULL, &out, &err), ERR_INPUT);
    forget();
}

/* Decoding needs no memory of its own for usual records, and what others need is given back. */
static void test_memory(void **)
{
    struct outcome outcome;
    struct text usual = TEXT(RECORD("{\"quantity\":1.5,\"region\":\"eu-west-1\"}"));
    struct text nested = TEXT(RECORD("{\"a\":{\"b\":[1,2,3]}}"));
    for (int i = 0; i < 10; i++) {
        assert_true(outcome_compare_json(decoder, &scratch, nested, false, &outcome));
    }
    size_t held = own.held_bytes;
    for (int i = 0; i < 10'000; i++) {
        assert_true(
            outcome_compare_json(decoder, &scratch, i % 2 ? usual : nested, false, &outcome));
        forget();
    }
    assert_int_equal(own.held_bytes, held);
}

/* ---- the manual ---------------------------------------------------------------------------- */

/* The attributes that a line of the manual leaves out ("…"): all whose names it does not have. */
static struct text complete(struct text line)
{
    static const char DOTS[] = "\xE2\x80\xA6";
    const char *dots = memmem(line.at, line.size, DOTS, 3);
    struct buffer out;
    buffer_init(&out, &scratch, 512);
    if (!dots) {
        return line;
    }
    buffer_add(&out, line.at, (size_t)(dots - line.at));
    bool is_first = true;
    for (size_t i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "\"%s\":", ATTRIBUTE_TEXTS[i][0]);
        if (!memmem(line.at, line.size, name, strlen(name))) {
            buffer_format(&out, "%s%s%s", is_first ? "" : ",", name, ATTRIBUTE_TEXTS[i][1]);
            is_first = false;
        }
    }
    buffer_add(&out, dots + 3, line.size - (size_t)(dots - line.at) - 3);
    return buffer_text(&out);
}

/* doc/events.md has every code, in order, with its hint, and an example in JSON is refused for that
 * reason. */
static void test_manual(void **)
{
    FILE *file = fopen("doc/events.md", "r");
    assert_non_null(file);
    char *line = NULL;
    size_t capacity = 0;
    int next = REFUSE_NONE + 1;
    int examples = 0;
    while (getline(&line, &capacity, file) > 0 && next < REFUSALS) {
        const char *name = refusal_name((enum refusal)next);
        char start[64];
        snprintf(start, sizeof start, "| `%s` |", name);
        if (strncmp(line, start, strlen(start)) != 0) {
            continue;
        }
        assert_non_null(strstr(line, refusal_hint((enum refusal)next)));
        const char *example = line + strlen(start) + 1;
        const char *end = strchr(example + 1, '`');
        if (example[0] == '`' && example[1] == '{' && end) {
            struct text text = complete((struct text){example + 1, (size_t)(end - example) - 1});
            struct outcome outcome;
            assert_true(outcome_compare_json(decoder, &scratch, text, false, &outcome));
            assert_string_equal(refusal_name(outcome.last_refusal), name);
            examples++;
            forget();
        }
        next++;
    }
    free(line);
    fclose(file);
    print_message("doc/events.md: %d codes, %d examples\n", next - 1, examples);
    assert_int_equal(next, REFUSALS);
    assert_true(examples >= 14);
}

/* ---- mutations ----------------------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t next_random(void)
{
    uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static size_t below(size_t limit)
{
    return (size_t)(next_random() % limit);
}

static const char *pick(const char *const *from, size_t count)
{
    return from[below(count)];
}

/* A number as producers write them, and as they should not. */
static void add_random_number(struct buffer *out)
{
    /* clang-format off */
    static const char *const ODD[] = {
        "0", "-0", "00", "1e2", "1E-3", "0.0", "NaN", "1.", ".5", "1e19", "-1.5e-18",
        "123456789012345678", "12345678.12345678901", "999999999999999999999", "1e400",
        "0.0000000000000000001", "12345678", "123456789.5", "+1"};
    /* clang-format on */
    if (below(4) == 0) {
        buffer_add_text(out, text_of(pick(ODD, sizeof ODD / sizeof *ODD)));
        return;
    }
    if (below(8) == 0) {
        buffer_add_char(out, '-');
    }
    buffer_add_u64(out, next_random() >> (20 + below(44)));
    size_t digits = below(12);
    if (digits > 0) {
        buffer_add_char(out, '.');
    }
    for (; digits > 0; digits--) {
        buffer_add_char(out, (char)('0' + below(10)));
    }
}

static void add_random_time(struct buffer *out)
{
    static const char *const ENDS[] = {"Z",      "Z",           "Z", ".509Z", ".000Z", ".5Z",
                                       "+02:00", ".123456789Z", "",  "z",     "-00:00"};
    buffer_format(out, "%04zu-%02zu-%02zuT%02zu:%02zu:%02zu", 1968 + below(300), below(14),
                  below(33), below(26), below(62), below(62));
    buffer_add_text(out, text_of(pick(ENDS, sizeof ENDS / sizeof *ENDS)));
}

static const char *const KEYS[] = {"quantity", "region", "sku", "a", "data_base64", ""};

/* What a name of data says, nested as deep as that. */
static void add_random_value(struct buffer *out, size_t depth, const char *colon, const char *comma)
{
    static const char *const TEXTS[] = {
        "eu-west-1", "x",    "",     "é",      "a b",        "\\u0041",      "\\n",
        "\\\"\\\\",  "\\/é", "a\\\"b", "\\ud800", "\\u00e9\\\\", "\\ud83d\\ude00", "\\u0000"};
    static const char *const WORDS[] = {"true", "false", "null", "{}", "[]", "{ }", "[ ]"};
    const size_t kind = below(8);
    if (kind == 0) {
        buffer_add_text(out, text_of(pick(WORDS, 7)));
    } else if (kind < 4) {
        add_random_number(out);
    } else if (kind < 7 || depth == 0) {
        buffer_format(out, "\"%s\"", pick(TEXTS, sizeof TEXTS / sizeof *TEXTS));
    } else {
        const bool is_array = below(2);
        const size_t count = 1 + below(3);
        buffer_add_char(out, is_array ? '[' : '{');
        for (size_t i = 0; i < count; i++) {
            buffer_add_text(out, text_of(i ? comma : ""));
            if (!is_array) {
                buffer_format(out, "\"%s%s", below(16) ? KEYS[i] : pick(KEYS, 6), colon);
            }
            add_random_value(out, depth - 1, colon, comma);
        }
        buffer_add_char(out, is_array ? ']' : '}');
    }
}

/* Like the generator's: attributes in some order, blanks after colons or not, few members. */
static void add_random_record(struct buffer *out)
{
    const char *colon = below(3) ? "\":" : "\": ";
    const char *comma = below(4) ? "," : ", ";
    size_t start = below(7);
    bool is_usual = below(3) > 0;
    buffer_add_char(out, '{');
    for (size_t i = 0; i < 7; i++) {
        size_t field = is_usual ? i : (start + i * 3) % 7;
        if (!is_usual && below(20) == 0) {
            field = below(7);
        }
        buffer_add_text(out, text_of(i ? comma : ""));
        if (field < 5) {
            static const char *const ESCAPED[] = {"\"\\/a\"", "\"\\u007f\"", "\"\\\"\"", "\"\\n\""};
            buffer_format(out, "\"%s%s%s", ATTRIBUTE_TEXTS[field][0], colon,
                          below(16) ? ATTRIBUTE_TEXTS[field][1] : pick(ESCAPED, 4));
        } else if (field == 5 && below(6) == 0) {
            static const char *const EPOCHS[] = {"1790000000", "1790000000.25", "01790000000", "1.79e9",
                                                 "-1", "1790000000000", "1790000000.1234567891", "0"};
            buffer_format(out, "\"time%s%s", colon, pick(EPOCHS, 8));
        } else if (field == 5) {
            buffer_format(out, "\"time%s\"", colon);
            if (below(5)) {
                buffer_add_text(out, TEXT("2026-10-01T00:00:00.509Z"));
            } else {
                add_random_time(out);
            }
            buffer_add_char(out, '"');
        } else {
            buffer_format(out, "\"data%s{", colon);
            size_t count = below(5);
            for (size_t k = 0; k < count; k++) {
                buffer_format(out, "%s\"%s%s", k ? comma : "",
                              is_usual ? KEYS[k] : pick(KEYS, 6), colon);
                add_random_value(out, below(4) ? 3 : 12, colon, comma);
            }
            buffer_add_char(out, '}');
        }
    }
    buffer_add_char(out, '}');
}

static void add_random_batch(struct buffer *out)
{
    const size_t count = 1 + below(3);
    buffer_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        buffer_add_text(out, i == 0 ? TEXT("") : below(2) ? TEXT(",") : TEXT(" , "));
        add_random_record(out);
    }
    buffer_add_char(out, ']');
}

/* A few bytes changed, lost, doubled or put in. */
static void mutate(struct buffer *line)
{
    static const char SPECIAL[] = "\"\\{}[]:,.eE+-0123456789 \t\x7f\x80\xc3\xa9\x00n";
    for (size_t times = below(3); times > 0 && line->size > 1; times--) {
        size_t at = below(line->size);
        char c = below(4) ? SPECIAL[below(sizeof SPECIAL - 1)] : (char)below(256);
        switch (below(5)) {
        case 0:
            line->at[at] = c;
            break;
        case 1:
            line->at[at] = (char)(line->at[at] ^ (1 << below(8)));
            break;
        case 2:
            memmove(line->at + at, line->at + at + 1, line->size - at - 1);
            line->size--;
            break;
        case 3:
            buffer_reserve(line, 1);
            memmove(line->at + at + 1, line->at + at, line->size - at);
            line->at[at] = c;
            line->size++;
            break;
        default: {
            size_t size = 1 + below(line->size - at < 20 ? line->size - at : 20);
            buffer_reserve(line, size);
            memmove(line->at + at + size, line->at + at, line->size - at);
            line->size += size;
        }
        }
    }
}

static void take_event(void *, const struct event *, size_t, struct text)
{
}

static void take_refused(void *, const struct finding *)
{
}

/* The record's shape has come before, alone or with others, as the mutated one is read. */
static void learn_shape(const struct buffer *record)
{
    char *copy = arena_calloc(&scratch, record->size + 1 + DECODE_PADDING_BYTES, 1);
    memcpy(copy, record->at, record->size);
    copy[record->size] = '\n';
    struct sink sink = {NULL, take_event, take_refused};
    decoder->templates.missed = 0;
    if (below(8) == 0) {
        decoder->templates = (struct templates){.count = 0};
    }
    (void)decode_json_next(decoder, (struct text){copy, record->size}, false, &sink);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_mutations(void **)
{
    uint64_t seed = setting("FARTHING_SEED", 1);
    uint64_t count = setting("FARTHING_CASES", 200'000);
    size_t accepted = 0, refused = 0, taken_fast = 0;
    size_t reasons[REFUSALS] = {0};
    for (uint64_t i = 0; i < count; i++) {
        random_state = seed * 1'000'003 + i;
        struct buffer line;
        buffer_init(&line, &scratch, 1024);
        if (below(8) > 0) {
            add_random_record(&line);
            learn_shape(&line);
        } else {
            add_random_batch(&line);
        }
        mutate(&line);
        /* A block of its own size, so that AddressSanitizer sees a read past the end. */
        char *exact = malloc(line.size);
        assert_non_null(exact);
        memcpy(exact, line.at, line.size);
        struct text text = {exact, line.size};
        struct outcome outcome;
        const char *fault = NULL;
        if (!outcome_compare_json(decoder, &scratch, text, false, &outcome)) {
            fault = "fast and general differ";
        }
        struct text canonical;
        for (size_t k = 0; !fault && k < outcome.event_count && k < OUTCOME_RECORDS_MAX; k++) {
            fault = outcome_check_canonical(decoder, &scratch, &outcome, k, NULL, &canonical);
        }
        if (fault) {
            fail_msg("%s: FARTHING_SEED=%" PRIu64 ", case %" PRIu64 ": %.*s", fault, seed, i,
                     TEXT_ARG(text));
        }
        struct event event;
        taken_fast += json_fast_read(decoder, text, &event);
        accepted += outcome.event_count;
        refused += outcome.refused_count;
        reasons[outcome.last_refusal] += outcome.refused_count > 0;
        free(exact);
        forget();
    }
    print_message("%" PRIu64 " mutated records, seed %" PRIu64
                  ": %zu accepted (%zu of them by the fast path), %zu refused\n",
                  count, seed, accepted, taken_fast, refused);
    for (enum refusal i = REFUSE_NONE + 1; i < REFUSALS; i++) {
        if (reasons[i]) {
            print_message("  %-14s %zu\n", refusal_name(i), reasons[i]);
        }
    }
    /* Neither side may be a corner of the sample. */
    if (count >= 10'000) {
        assert_true(accepted > count / 10 && refused > count / 10 && taken_fast > count / 20);
    }
}

/* A field with what must be quoted in it, or with quotes where they are not allowed. */
static void add_random_field(struct buffer *out)
{
    static const char *const FIELDS[] = {
        "",     "x",      "eu-west-1", "\"x\"", "\"a, b\"", "\"a \"\"b\"\" c\"", "\"\"", "\"\"\"\"", "a\"b", "\"a\"b",
        "\",\"", "\"a\"\",\"\"b\"", "é", "1.5",     "\"1.5\"",  "\"\"\"a\"\"\""};
    buffer_add_text(out, text_of(pick(FIELDS, sizeof FIELDS / sizeof *FIELDS)));
}

/* Data as a column of JSON; mostly with its quotes doubled. */
static void add_random_json_field(struct buffer *out)
{
    struct buffer json;
    buffer_init(&json, &scratch, 256);
    buffer_add_char(&json, '{');
    for (size_t i = 0, count = below(4); i < count; i++) {
        buffer_format(&json, "%s\"%s\":", i ? "," : "", KEYS[i]);
        add_random_value(&json, 2, "\":", ",");
    }
    buffer_add_char(&json, '}');
    buffer_add_char(out, '"');
    const bool is_doubled = below(8) > 0;
    for (size_t i = 0; i < json.size; i++) {
        buffer_add_char(out, json.at[i]);
        if (json.at[i] == '"' && is_doubled) {
            buffer_add_char(out, '"');
        }
    }
    buffer_add_char(out, '"');
}

/* Rows that are mostly in order: what reads usual ones and what takes all say the same. */
static void test_changed_rows(void **)
{
    static const char *const HEADERS[] = {"id,source,type,subject,time,quantity,region",
                                          "id,source,type,subject,time,data,note",
                                          "id,source,type,subject,time,data.a,data.b.c",
                                          "id\tsource\ttype\tsubject\ttime\tnote\tregion"};
    enum { TABS = 3 };
    const struct csv_mapping tabs = {.separator = '\t'};
    uint64_t seed = setting("FARTHING_SEED", 1);
    uint64_t count = setting("FARTHING_CASES", 100'000);
    size_t accepted = 0, refused = 0;
    for (uint64_t i = 0; i < count; i++) {
        random_state = seed * 1'000'033 + i;
        const size_t kind = below(4);
        const struct csv_header *header;
        struct error err;
        assert_int_equal(csv_header_read(&scratch, text_of(HEADERS[kind]),
                                         kind == TABS ? &tabs : NULL, &header, &err), OK);
        struct buffer line;
        buffer_init(&line, &scratch, 1024);
        buffer_add_text(&line, text_of(below(4) ? "e,\"s\",t,a," : "\"e\"\"1\",s,t,\"a\","));
        buffer_add_text(&line, text_of(below(8) ? "2026-10-01T00:00:00Z," : "\"1790000000\","));
        if (kind == 1) {
            add_random_json_field(&line);
        } else {
            add_random_field(&line);
        }
        buffer_add_char(&line, ',');
        if (kind != 1 || below(4) == 0) {
            add_random_field(&line);
        }
        buffer_add_text(&line, text_of(below(8) ? "" : "\r"));
        for (size_t k = 0; kind == TABS && k < line.size; k++) {
            line.at[k] = line.at[k] == ',' ? '\t' : line.at[k];
        }
        mutate(&line);
        struct text row = buffer_text(&line);
        struct outcome outcome;
        struct sink sink = outcome_start(&outcome, &scratch, row);
        if (row.size == 0 || memchr(row.at, '\n', row.size)) {
            forget();
            continue;
        }
        decode_csv_row(decoder, header, row, &sink);
        if (!outcome_compare_next(decoder, &scratch, header, row, false, &outcome)) {
            fail_msg("among others it is another row: FARTHING_SEED=%" PRIu64 ", case %" PRIu64
                     ": %.*s", seed, i, TEXT_ARG(row));
        }
        accepted += outcome.event_count;
        refused += outcome.refused_count;
        forget();
    }
    print_message("%zu changed rows accepted, %zu refused\n", accepted, refused);
    assert_true(count < 10'000 || (accepted > count / 5 && refused > count / 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),          cmocka_unit_test(test_values),
        cmocka_unit_test(test_rows),           cmocka_unit_test(test_print),
        cmocka_unit_test(test_scan),           cmocka_unit_test(test_print_of_csv),
        cmocka_unit_test(test_paths),          cmocka_unit_test(test_keys),
        cmocka_unit_test(test_names),          cmocka_unit_test(test_detail),
        cmocka_unit_test(test_many_names),     cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_changed_record), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_manual),         cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_changed_rows),   cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
