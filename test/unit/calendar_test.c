/* calendar_test.c - instants, dates, zones and clocks against independent answers.
 *
 * Times: test/table/time.tbl, and the C library's timegm over every day there is.  Zones:
 * Python's zoneinfo (test/oracle/zones.py), and a scan over all segments for zones that no
 * government would think of.  Clocks: a calendar that counts one day or month at a time.
 *
 * FARTHING_LONG=1 asks the oracle more and walks every zone with every anchor;
 * FARTHING_SEED=n repeats a run.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Before cmocka, which has a macro of the name fail. */
#include "base/calendar.h"

#include <cmocka.h>

#include "table.h"

#ifndef FARTHING_SOURCE_DIR
#define FARTHING_SOURCE_DIR "."
#endif

static uint64_t seed = 20261001;
static bool is_long;
static struct arena arena;

/* splitmix64 */
static uint64_t random_next(void)
{
    static uint64_t state;
    static bool seeded;
    if (!seeded) {
        state = seed;
        seeded = true;
    }
    uint64_t z = (state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* In [from, to). */
static int64_t random_between(int64_t from, int64_t to)
{
    return from + (int64_t)(random_next() % (uint64_t)(to - from));
}

static const char *format_instant(instant at)
{
    static char buffers[4][TIME_FORMAT_MAX];
    static int next;
    char *buffer = buffers[next++ % 4];
    time_format(at, buffer);
    return buffer;
}

/* ---- TZif bytes of our own ------------------------------------------------------------------ */

struct bytes {
    unsigned char *at;
    size_t size;
};

static void put(struct bytes *bytes, uint64_t value, int size)
{
    for (int i = size; i-- > 0;) {
        bytes->at[bytes->size++] = (unsigned char)(value >> (8 * i));
    }
}

/* count transitions, each to a type of its own; type 0 is before them. */
static struct text make_tzif(const int64_t *times, const int32_t *offsets, uint32_t count,
                             struct text footer)
{
    struct bytes bytes = {arena_alloc(&arena, 1024 + (size_t)count * 32 + footer.size), 0};
    for (int pass = 0; pass < 2; pass++) {
        uint32_t time_count = pass == 0 ? 0 : count;
        memcpy(bytes.at + bytes.size, "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
        bytes.size += 20;
        const uint32_t counts[6] = {0, 0, 0, time_count, time_count + 1, 4};
        for (int i = 0; i < 6; i++) {
            put(&bytes, counts[i], 4);
        }
        for (uint32_t i = 0; i < time_count; i++) {
            put(&bytes, (uint64_t)times[i], 8);
        }
        for (uint32_t i = 0; i < time_count; i++) {
            put(&bytes, i + 1, 1);
        }
        for (uint32_t i = 0; i < time_count + 1; i++) {
            put(&bytes, (uint32_t)offsets[i], 4);
            put(&bytes, 0, 2);
        }
        put(&bytes, 0x4C4D5400, 4);
    }
    put(&bytes, '\n', 1);
    memcpy(bytes.at + bytes.size, footer.at, footer.size);
    bytes.size += footer.size;
    put(&bytes, '\n', 1);
    return (struct text){(const char *)bytes.at, bytes.size};
}

/* A zone of a TZ string alone; NULL when it is refused. */
static const struct zone *make_zone(struct text footer)
{
    struct error err;
    const struct zone *zone;
    struct text bytes = make_tzif(NULL, (int32_t[]){0}, 0, footer);
    return zone_parse(&arena, footer, bytes, &zone, &err) == OK ? zone : NULL;
}

/* ---- dates --------------------------------------------------------------------------------- */

static const int8_t lengths[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

static int naive_length(int32_t year, int32_t month)
{
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month] + (month == 2 && leap ? 1 : 0);
}

static void naive_next_day(struct civil *civil)
{
    if (++civil->day > naive_length(civil->year, civil->month)) {
        civil->day = 1;
        if (++civil->month > 12) {
            civil->month = 1;
            civil->year++;
        }
    }
}

static void dates_count_one_by_one(void **state)
{
    (void)state;
    struct civil civil = {.year = -1200, .month = 1, .day = 1};
    int64_t days = civil_to_days(-1200, 1, 1);
    int weekday = civil_weekday(days);
    long count = 0;
    for (; civil.year < 4000; naive_next_day(&civil), days++, count++) {
        assert_int_equal(civil_to_days(civil.year, civil.month, civil.day), days);
        struct civil back = civil_from_days(days);
        assert_memory_equal(&back, &civil, sizeof back);
        assert_int_equal(civil_days_in_month(civil.year, civil.month),
                         naive_length(civil.year, civil.month));
        assert_int_equal(civil_weekday(days), weekday);
        weekday = weekday % 7 + 1;
    }
    assert_int_equal(civil_to_days(1970, 1, 1), 0);
    assert_int_equal(civil_weekday(0), 4); /* a Thursday */
    const int32_t years[] = {INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX - 1, INT32_MAX};
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        for (int32_t month = 1; month <= 12; month++) {
            struct civil back = civil_from_days(civil_to_days(years[i], month, 28));
            assert_int_equal(back.year, years[i]);
            assert_int_equal(back.month, month);
            assert_int_equal(back.day, 28);
        }
    }
    print_message("dates: %ld days from -1200 to 3999, each there and back\n", count);
}

/* ---- times: the table ---------------------------------------------------------------------- */

static enum time_fault run_row(struct text kind, const struct zone *zone, struct text input,
                               struct period *got)
{
    if (text_equal(kind, TEXT("time"))) {
        return time_parse(input, &got->from);
    }
    if (text_equal(kind, TEXT("epoch"))) {
        return time_parse_epoch(input, &got->from);
    }
    if (text_equal(kind, TEXT("date"))) {
        return time_parse_date(input, zone, &got->from);
    }
    if (text_equal(kind, TEXT("period"))) {
        return period_parse(input, zone, got);
    }
    /* "wall": the instant of a civil time without a zone of its own. */
    struct civil civil = {0};
    char string[64] = {0};
    memcpy(string, input.at, input.size < 63 ? input.size : 63);
    if (!text_equal(kind, TEXT("wall")) ||
        sscanf(string, "%d-%d-%dT%d:%d:%d", &civil.year, &civil.month, &civil.day, &civil.hour,
               &civil.minute, &civil.second) != 6) {
        fail_msg("no such row: %.*s %s", TEXT_ARG(kind), string);
    }
    got->from = zone_instant(zone, civil);
    return TIME_OK;
}

static void check_row(const struct table_row *row, int counts[4])
{
    const instant untouched = -77;
    struct text zone_text = row->fields[1], input = row->fields[2];
    const struct zone *zone = zone_text.size > 0 ? make_zone(zone_text) : NULL;
    if (zone_text.size > 0 && !zone) {
        fail_msg("time.tbl:%d: zone %.*s is refused", row->line, TEXT_ARG(zone_text));
    }
    /* A block of exactly its size, so that AddressSanitizer sees a read past the end. */
    char *exact = malloc(input.size > 0 ? input.size : 1);
    assert_non_null(exact);
    memcpy(exact, input.at, input.size);
    struct period got = {untouched, untouched};
    enum time_fault fault = run_row(row->fields[0], zone, (struct text){exact, input.size}, &got);
    free(exact);
    counts[fault]++;

    struct period expected = {untouched, untouched};
    enum time_fault expected_fault = TIME_OK;
    for (int i = TIME_SYNTAX; i <= TIME_RANGE; i++) {
        if (text_equal(row->fields[3], text_of(time_fault_name((enum time_fault)i)))) {
            expected_fault = (enum time_fault)i;
        }
    }
    if (expected_fault == TIME_OK) {
        char numbers[64];
        snprintf(numbers, sizeof numbers, "%.*s %.*s", TEXT_ARG(row->fields[3]),
                 TEXT_ARG(row->fields[4]));
        assert_true(sscanf(numbers, "%" SCNd64 " %" SCNd64, &expected.from, &expected.to) >= 1);
    }
    if (fault != expected_fault || got.from != expected.from || got.to != expected.to) {
        fail_msg("time.tbl:%d: \"%.*s\" is %s %" PRId64 " %" PRId64, row->line, TEXT_ARG(input),
                 time_fault_name(fault), got.from, got.to);
    }
}

static void times_follow_the_table(void **state)
{
    (void)state;
    struct table table = table_read("time");
    int counts[4] = {0};
    for (size_t i = 0; i < table.row_count; i++) {
        check_row(&table.rows[i], counts);
    }
    table_free(&table);
    print_message("time.tbl: %d accepted, %d TIME_SYNTAX, %d TIME_ZONE, %d TIME_RANGE\n",
                  counts[TIME_OK], counts[TIME_SYNTAX], counts[TIME_ZONE], counts[TIME_RANGE]);
}

static void empty_text_is_no_time(void **state)
{
    (void)state;
    instant at;
    struct period period;
    struct text empty = {NULL, 0};
    assert_int_equal(time_parse(empty, &at), TIME_SYNTAX);
    assert_int_equal(time_parse_epoch(empty, &at), TIME_SYNTAX);
    assert_int_equal(time_parse_date(empty, NULL, &at), TIME_SYNTAX);
    assert_int_equal(period_parse(empty, NULL, &period), TIME_SYNTAX);
}

/* ---- times: the fixed shape ----------------------------------------------------------------- */

/* Every day there is, at a random time of day, by the C library; in three shapes, of which the
 * last is read by the general reader. */
static void times_agree_with_timegm(void **state)
{
    (void)state;
    int count = 0;
    for (time_t day = 0; day < INSTANT_MAX / NS_PER_DAY; day++) {
        time_t second = day * 86400 + random_between(0, 86400);
        int millisecond = (int)random_between(0, 1000);
        struct tm tm;
        assert_non_null(gmtime_r(&second, &tm));
        assert_true(timegm(&tm) == second);
        char head[20], text[48];
        assert_int_equal(strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &tm), 19);
        instant at;
        snprintf(text, sizeof text, "%sZ", head);
        assert_int_equal(time_parse(text_of(text), &at), TIME_OK);
        assert_int_equal(at, second * NS_PER_SECOND);
        snprintf(text, sizeof text, "%s.%03dZ", head, millisecond);
        assert_int_equal(time_parse(text_of(text), &at), TIME_OK);
        assert_int_equal(at, second * NS_PER_SECOND + millisecond * INT64_C(1000000));
        snprintf(text, sizeof text, "%s.%03d000000+00:00", head, millisecond);
        instant general;
        assert_int_equal(time_parse(text_of(text), &general), TIME_OK);
        assert_int_equal(general, at);
        count++;
    }
    print_message("times: %d days in three shapes equal timegm (seed %" PRIu64 ")\n", count, seed);
}

/* What the fixed shape may be, character by character: the fast reader must accept exactly what
 * the general reader does, which a last digit or an offset makes sure is the one asked. */
static void fixed_shape_is_strict(void **state)
{
    (void)state;
    const char *const bases[] = {"2026-10-01T00:00:00.509Z", "2024-02-29T23:59:59.999Z",
                                 "1970-01-01T00:00:00Z", "2261-12-31T23:59:59Z",
                                 "2100-02-28T19:00:00Z"};
    int accepted = 0, refused = 0;
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        size_t size = strlen(bases[i]);
        for (size_t at = 0; at + 1 < size; at++) {
            for (int c = 0; c < 256; c++) {
                char text[32], longer[40];
                memcpy(text, bases[i], size + 1);
                text[at] = (char)c;
                memcpy(longer, text, size - 1);
                memcpy(longer + size - 1, "-00:00", 7);
                instant fast = -1, general = -1;
                enum time_fault fault = time_parse((struct text){text, size}, &fast);
                assert_int_equal(fault, time_parse((struct text){longer, size + 5}, &general));
                assert_int_equal(fast, general);
                accepted += fault == TIME_OK;
                refused += fault != TIME_OK;
            }
        }
        for (int c = 0; c < 256; c++) {
            char text[32];
            instant at;
            memcpy(text, bases[i], size);
            text[size - 1] = (char)c;
            assert_int_equal(time_parse((struct text){text, size}, &at) == TIME_OK,
                             c == 'Z' || c == 'z');
        }
    }
    print_message("times: each character replaced by each byte: %d accepted, %d refused alike\n",
                  accepted, refused);
}

static void times_round_trip(void **state)
{
    (void)state;
    const int64_t units[] = {1, 1000, 1000000, 1000000000, NS_PER_HOUR, NS_PER_DAY};
    const int fractions[] = {30, 27, 24, 20, 20, 20};
    for (int i = 0; i < 600000; i++) {
        int unit = i % 6;
        instant at = random_between(0, INSTANT_MAX / units[unit]) * units[unit];
        char text[TIME_FORMAT_MAX];
        int length = time_format(at, text);
        assert_true(length <= fractions[unit]);
        assert_int_equal(strlen(text), length);
        instant back;
        assert_int_equal(time_parse(text_of(text), &back), TIME_OK);
        assert_int_equal(back, at);
        length = time_format_short(at, text);
        assert_true((length == 10) == (at % NS_PER_DAY == 0));
        assert_int_equal(time_parse_date(text_of(text), NULL, &back), TIME_OK);
        assert_int_equal(back, at);
    }
    assert_string_equal(format_instant(INT64_MAX), "2262-04-11T23:47:16.854775807Z");
    assert_string_equal(format_instant(INT64_MIN), "1677-09-21T00:12:43.145224192Z");
    assert_string_equal(format_instant(-1), "1969-12-31T23:59:59.999999999Z");
    assert_string_equal(format_instant(INSTANT_MAX), "2262-01-01T00:00:00Z");
}

/* ---- periods ------------------------------------------------------------------------------- */

static void periods_are_half_open(void **state)
{
    (void)state;
    struct period october;
    assert_int_equal(period_parse(TEXT("2026-10"), NULL, &october), TIME_OK);
    assert_true(period_has(october, october.from));
    assert_false(period_has(october, october.from - 1));
    assert_true(period_has(october, october.to - 1));
    assert_false(period_has(october, october.to));
    struct period november;
    assert_int_equal(period_parse(TEXT("2026-11"), NULL, &november), TIME_OK);
    assert_int_equal(november.from, october.to);

    struct period none = period_intersect(october, november);
    assert_int_equal(none.from, none.to);
    struct period far = period_intersect(november, (struct period){0, 5});
    assert_int_equal(far.from, far.to);
    struct period part = period_intersect(october, (struct period){0, october.from + 5});
    assert_int_equal(part.from, october.from);
    assert_int_equal(part.to, october.from + 5);
}

/* ---- zones: the oracle --------------------------------------------------------------------- */

static FILE *open_oracle(void)
{
    if (access("/usr/bin/python3", X_OK) != 0 || access("/usr/share/zoneinfo/UTC", R_OK) != 0) {
        print_message("zones: SKIPPED, needs /usr/bin/python3 and /usr/share/zoneinfo (tzdata)\n");
        return NULL;
    }
    char command[4096];
    snprintf(command, sizeof command, "/usr/bin/python3 '%s/test/oracle/zones.py' %" PRIu64 " %d",
             FARTHING_SOURCE_DIR, seed, is_long ? 200 : 10);
    FILE *oracle = popen(command, "r");
    assert_non_null(oracle);
    return oracle;
}

static struct text decode_hex(const char *hex)
{
    size_t size = strspn(hex, "0123456789abcdef") / 2;
    char *bytes = arena_alloc(&arena, size);
    for (size_t i = 0; i < size; i++) {
        unsigned value;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (char)value;
    }
    return (struct text){bytes, size};
}

static const struct zone *read_oracle_zone(const char *line)
{
    char name[128];
    int length;
    assert_int_equal(sscanf(line, "z %127s %n", name, &length), 1);
    struct error err;
    const struct zone *zone;
    if (zone_parse(&arena, text_of(name), decode_hex(line + length), &zone, &err) != OK) {
        fail_msg("%s", err.message);
    }
    assert_true(text_equal(zone_name(zone), text_of(name)));
    return zone;
}

static void zones_agree_with_zoneinfo(void **state)
{
    (void)state;
    FILE *oracle = open_oracle();
    if (!oracle) {
        skip();
    }
    static char line[64 * 1024];
    const struct zone *zone = NULL;
    long zones = 0, offsets = 0, civils = 0;
    while (fgets(line, sizeof line, oracle)) {
        int64_t second;
        int32_t offset;
        struct civil civil = {0};
        if (line[0] == 'z') {
            zone = read_oracle_zone(line);
            zones++;
        } else if (sscanf(line, "t %" SCNd64 " %d", &second, &offset) == 2) {
            instant at = second * NS_PER_SECOND;
            if (zone_offset_seconds(zone, at) != offset ||
                zone_offset_seconds(zone, at + NS_PER_SECOND - 1) != offset) {
                fail_msg("%.*s at %s: offset %d, not %d", TEXT_ARG(zone_name(zone)),
                         format_instant(at), zone_offset_seconds(zone, at), offset);
            }
            struct civil wall = zone_civil(zone, at);
            struct civil utc = zone_civil(NULL, at + offset * NS_PER_SECOND);
            assert_memory_equal(&wall, &utc, sizeof wall);
            offsets++;
        } else if (sscanf(line, "c %d %d %d %d %d %d %" SCNd64, &civil.year, &civil.month,
                          &civil.day, &civil.hour, &civil.minute, &civil.second, &second) == 7) {
            instant at = zone_instant(zone, civil);
            if (at != second * NS_PER_SECOND) {
                fail_msg("%.*s: %s is %s, not %s", TEXT_ARG(zone_name(zone)), line,
                         format_instant(at), format_instant(second * NS_PER_SECOND));
            }
            civils++;
        } else {
            fail_msg("the oracle says: %s", line);
        }
    }
    assert_int_equal(pclose(oracle), 0);
    assert_true(zones > 300 && offsets > 10000 && civils > 10000);
    print_message("zones: %ld zone files and rules, %ld offsets, %ld civil times equal to Python's "
                  "zoneinfo (seed %" PRIu64 ")\n",
                  zones, offsets, civils, seed);
}

/* ---- zones: rules and files by hand --------------------------------------------------------- */

static void footers_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "UTC0",
        "<+03>-3",
        "<A-1>+0",
        "XXX24",
        "XXX-24:59:59",
        "XXX-24YYY,M3.2.0,M11.1.0",
        "EST5EDT,M3.2.0/2:00:00,M11.1.0/+2",
        "EST05EDT,J1/0,J365/167:59:59",
        "EST5EDT,0/-167,365",
        "EST5EDT4,M12.5.6,M1.1.0",
    };
    static const char *const bad[] = {
        "UTC",
        "UT0",
        "<+3>-3",
        "<+03-3",
        "+03-3",
        "UTC25",
        "UTC1:60",
        "UTC1:0",
        "UTC1:00:60",
        "UTC1:00:00:00",
        "UTC--1",
        "UTC0 ",
        " UTC0",
        "EST5EDT", /* a rule that is not there */
        "EST5EDT,M3.2.0",
        "EST5EDT,M3.2.0,",
        "EST5EDT,M3.2.0,M11.1.0,",
        "EST5EDT,M0.2.0,M11.1.0",
        "EST5EDT,M13.2.0,M11.1.0",
        "EST5EDT,M3.0.0,M11.1.0",
        "EST5EDT,M3.6.0,M11.1.0",
        "EST5EDT,M3.2.7,M11.1.0",
        "EST5EDT,M3.2,M11.1.0",
        "EST5EDT,J0,J365",
        "EST5EDT,J1,J366",
        "EST5EDT,0,366",
        "EST5EDT,M3.2.0/168,M11.1.0",
        "EST5EDT,M3.2.0/,M11.1.0",
        "EST5EDT25,M3.2.0,M11.1.0",
        "EST5EDT,M3.2.0/2:0,M11.1.0",
        "EST5EDT,M3.2.0,M11.1.0\n",
        "EST99999999995",
    };
    int count = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++, count++) {
        if (!make_zone(text_of(good[i]))) {
            fail_msg("\"%s\" is refused", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++, count++) {
        if (make_zone(text_of(bad[i]))) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }
    print_message("zones: %d TZ strings taken or refused as they should\n", count);
    assert_int_equal(zone_offset_seconds(make_zone(TEXT("XXX-24:59:59")), 0), 89999);
    assert_int_equal(zone_offset_seconds(make_zone(TEXT("XXX24")), 0), -86400);
}

static void files_are_checked(void **state)
{
    (void)state;
    const int64_t times[] = {-100, 0, 100};
    const int32_t offsets[] = {0, 3600, -3600, 7200};
    struct error err;
    const struct zone *zone;
    struct text good = make_tzif(times, offsets, 3, TEXT("XXX-2"));
    assert_int_equal(zone_parse(&arena, TEXT("good"), good, &zone, &err), OK);
    assert_int_equal(zone_offset_seconds(zone, -101 * NS_PER_SECOND), 0);
    assert_int_equal(zone_offset_seconds(zone, -100 * NS_PER_SECOND), 3600);
    assert_int_equal(zone_offset_seconds(zone, -1), 3600);
    assert_int_equal(zone_offset_seconds(zone, 0), -3600);
    assert_int_equal(zone_offset_seconds(zone, 100 * NS_PER_SECOND), 7200);
    assert_true(text_equal(zone_name(NULL), TEXT("UTC")));

    /* The second header begins at byte 54, after 44 and the one type and four letters of the first.
     */
    enum { SECOND = 54, TIMES = SECOND + 44, TYPES_OF_TIMES = TIMES + 24, TYPES = TIMES + 27 };
    static const struct {
        size_t at;
        unsigned char byte;
        const char *words;
    } changes[] = {
        {0, 't', "not a TZif file"},
        {4, 0, "version 1"},
        {4, '1', "version 1"},
        {32, 1, "ends early"},
        {SECOND, 'X', "ends early"},
        {SECOND + 31, 1, "ends early"},
        {SECOND + 43, 0, "counts"},
        {SECOND + 23, 1, "counts"},
        {TIMES + 23, 0, "transition 2"},
        {TYPES_OF_TIMES, 4, "transition 0"},
        {TYPES, 1, "type 0"},
        {TYPES + 4, 2, "type 0"},
        {TYPES + 5, 4, "type 0"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct text bytes = text_copy(&arena, good);
        ((unsigned char *)(uintptr_t)bytes.at)[changes[i].at] = changes[i].byte;
        assert_int_equal(zone_parse(&arena, TEXT("bad"), bytes, &zone, &err), ERR_INPUT);
        if (!strstr(err.message, changes[i].words)) {
            fail_msg("byte %zu: %s", changes[i].at, err.message);
        }
    }
    struct text longer = text_join(&arena, good, TEXT("x"));
    assert_int_equal(zone_parse(&arena, TEXT("bad"), longer, &zone, &err), ERR_INPUT);
    assert_int_equal(zone_parse(&arena, TEXT("bad"), TEXT(""), &zone, NULL), ERR_INPUT);
}

/* Leap seconds are not a part of an instant. */
static void right_zones_are_refused(void **state)
{
    (void)state;
    struct text good = make_tzif(NULL, (int32_t[]){0}, 0, TEXT("UTC0"));
    char *bytes = arena_alloc(&arena, good.size + 12);
    enum { SECOND = 54, DATA_END = SECOND + 44 + 6 + 4 };
    memcpy(bytes, good.at, DATA_END);
    memset(bytes + DATA_END, 0, 12);
    memcpy(bytes + DATA_END + 12, good.at + DATA_END, good.size - DATA_END);
    bytes[SECOND + 31] = 1;
    struct error err;
    const struct zone *zone;
    assert_int_equal(
        zone_parse(&arena, TEXT("right/UTC"), (struct text){bytes, good.size + 12}, &zone, &err),
        ERR_INPUT);
    assert_non_null(strstr(err.message, "leap seconds"));
}

/* Changes a few seconds to hours apart, offsets of up to a day: what is skipped by one change is
 * repeated by another. The instant of a civil time is found by a scan over all segments. */
static void wild_zones_keep_order(void **state)
{
    (void)state;
    enum { COUNT_MAX = 12 };
    long civils = 0;
    struct arena_mark mark = arena_mark(&arena);
    for (int round = 0; round < 3000; round++) {
        int64_t times[COUNT_MAX];
        int32_t offsets[COUNT_MAX + 1];
        uint32_t count = (uint32_t)random_between(0, COUNT_MAX + 1);
        int64_t spread = round % 3 == 0 ? 10 : round % 3 == 1 ? 7200 : 200000;
        int64_t width = round % 2 == 0 ? 20 : 90000;
        int64_t at = 1000000;
        for (uint32_t i = 0; i <= count; i++) {
            offsets[i] = (int32_t)random_between(-width, width);
            if (i < count) {
                times[i] = at += random_between(1, spread);
            }
        }
        struct error err;
        const struct zone *zone;
        struct text bytes = make_tzif(times, offsets, count, TEXT(""));
        assert_int_equal(zone_parse(&arena, TEXT("wild"), bytes, &zone, &err), OK);

        instant last = INT64_MIN;
        int64_t wall = 1000000 - 200000;
        for (int i = 0; i < 200; i++, civils++) {
            wall += random_between(1, i % 2 ? 3 : 2 * (at - 1000000 + 400000) / 200);
            int64_t expected = INT64_MAX;
            for (uint32_t j = 0; j <= count && expected == INT64_MAX; j++) {
                int64_t from = j == 0 ? -1000000000 : times[j - 1];
                int64_t candidate = wall - offsets[j] > from ? wall - offsets[j] : from;
                if (j == count || candidate < times[j]) {
                    expected = candidate;
                }
            }
            struct civil civil = zone_civil(NULL, wall * NS_PER_SECOND);
            instant got = zone_instant(zone, civil);
            assert_int_equal(got, expected * NS_PER_SECOND);
            assert_true(got >= last);
            civil.nanosecond = 999999999;
            last = zone_instant(zone, civil);
            assert_true(last >= got && last < got + NS_PER_SECOND);
        }
        arena_rewind(&arena, mark);
    }
    print_message("zones: %ld civil times of 3000 wild zones are in order (seed %" PRIu64 ")\n",
                  civils, seed);
}

/* ---- zones: bytes that are wrong ------------------------------------------------------------ */

static struct text read_zone_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        return (struct text){NULL, 0};
    }
    char *bytes = arena_alloc(&arena, 65536);
    size_t size = fread(bytes, 1, 65536, file);
    fclose(file);
    return (struct text){bytes, size};
}

static void use_zone(const struct zone *zone)
{
    static const instant ats[] = {
        INT64_MIN, -1, 0, INT64_C(1790812800509000000), INSTANT_MAX, INT64_MAX - NS_PER_SECOND};
    for (size_t i = 0; i < sizeof ats / sizeof *ats; i++) {
        int32_t offset = zone_offset_seconds(zone, ats[i]);
        assert_true(offset > -26 * 3600 && offset < 26 * 3600);
        assert_true(zone_instant(zone, zone_civil(zone, ats[i])) <= ats[i]);
        for (int every = EVERY_HOUR; every < EVERY_ALWAYS; every++) {
            struct clock clock = clock_calendar((enum clock_every)every, zone);
            struct period turn = clock_turn(&clock, ats[i]);
            assert_true(period_has(turn, ats[i]));
        }
    }
}

static void broken_files_are_harmless(void **state)
{
    (void)state;
    static const char *const names[] = {"Europe/Berlin", "America/New_York", "Africa/Casablanca"};
    long truncated = 0, flipped = 0, taken = 0;
    struct arena_mark start = arena_mark(&arena);
    for (size_t i = 0; i < 4; i++) {
        struct text bytes = i < 3 ? read_zone_file(names[i])
                                  : make_tzif((int64_t[]){0, 9}, (int32_t[]){1, 2, 3}, 2,
                                              TEXT("<-03>3<-02>,J59/-2,M10.5.0/25:30"));
        if (bytes.size == 0) {
            print_message("zones: SKIPPED %s, no tzdata\n", names[i]);
            continue;
        }
        struct error err;
        const struct zone *zone;
        assert_int_equal(zone_parse(&arena, TEXT("whole"), bytes, &zone, &err), OK);
        struct arena_mark mark = arena_mark(&arena);
        for (size_t size = 0; size < bytes.size; size++, truncated++) {
            char *exact = malloc(size > 0 ? size : 1);
            memcpy(exact, bytes.at, size);
            struct text part = {exact, size};
            assert_int_equal(zone_parse(&arena, TEXT("part"), part, &zone, &err), ERR_INPUT);
            free(exact);
            arena_rewind(&arena, mark);
        }
        char *exact = malloc(bytes.size);
        for (int j = 0; j < 10000; j++, flipped++) {
            memcpy(exact, bytes.at, bytes.size);
            /* Headers and footers decide most: half of the flips are there. */
            int64_t size = (int64_t)bytes.size;
            for (int64_t flips = random_between(1, 4); flips > 0; flips--) {
                int64_t at = random_between(0, 4) > 1 ? random_between(0, size)
                             : random_between(0, 2)   ? random_between(0, 44)
                                                      : random_between(size - 30, size);
                exact[at] = (char)(exact[at] ^ (1 << random_between(0, 8)));
            }
            struct text changed = {exact, bytes.size};
            enum status status = zone_parse(&arena, TEXT("flipped"), changed, &zone, &err);
            assert_true(status == OK || status == ERR_INPUT);
            if (status == OK) {
                use_zone(zone);
                taken++;
            }
            arena_rewind(&arena, mark);
        }
        free(exact);
    }
    arena_rewind(&arena, start);
    print_message("zones: %ld truncated files refused; %ld files with flipped bits, %ld of them "
                  "zones that work (seed %" PRIu64 ")\n",
                  truncated, flipped, taken, seed);
}

/* ---- clocks: one by one -------------------------------------------------------------------- */

static void check_turns(enum clock_every every, int32_t count, const char *anchor,
                        const struct zone *zone, const char *const *starts)
{
    instant at;
    assert_int_equal(time_parse_date(text_of(anchor), zone, &at), TIME_OK);
    struct clock clock = clock_anchored(every, count, at, zone);
    for (; starts[1]; starts++) {
        struct period expected;
        assert_int_equal(time_parse(text_of(starts[0]), &expected.from), TIME_OK);
        assert_int_equal(time_parse(text_of(starts[1]), &expected.to), TIME_OK);
        const instant ats[] = {expected.from, expected.from + 1, expected.to - 1};
        for (int i = 0; i < 3; i++) {
            struct period turn = clock_turn(&clock, ats[i]);
            if (turn.from != expected.from || turn.to != expected.to) {
                fail_msg("%s, at %s: %s to %s, not %s to %s", anchor, format_instant(ats[i]),
                         format_instant(turn.from), format_instant(turn.to), starts[0], starts[1]);
            }
        }
    }
}

static void clocks_turn_as_written(void **state)
{
    (void)state;
    const struct zone *berlin = make_zone(TEXT("CET-1CEST,M3.5.0,M10.5.0/3"));
    const struct zone *lord_howe = make_zone(TEXT("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"));
    /* The 31st: the last day of short months, and back. */
    check_turns(EVERY_MONTH, 1, "2026-01-31", NULL,
                (const char *[]){"2025-11-30T00:00:00Z", "2025-12-31T00:00:00Z",
                                 "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z",
                                 "2026-03-31T00:00:00Z", "2026-04-30T00:00:00Z",
                                 "2026-05-31T00:00:00Z", NULL});
    check_turns(EVERY_QUARTER, 1, "2027-11-30", NULL,
                (const char *[]){"2027-08-30T00:00:00Z", "2027-11-30T00:00:00Z",
                                 "2028-02-29T00:00:00Z", "2028-05-30T00:00:00Z", NULL});
    check_turns(EVERY_YEAR, 1, "2024-02-29T02:30:00Z", NULL,
                (const char *[]){"2023-02-28T02:30:00Z", "2024-02-29T02:30:00Z",
                                 "2025-02-28T02:30:00Z", "2026-02-28T02:30:00Z",
                                 "2027-02-28T02:30:00Z", "2028-02-29T02:30:00Z", NULL});
    check_turns(EVERY_MONTH, 5, "2026-01-31", NULL,
                (const char *[]){"2025-08-31T00:00:00Z", "2026-01-31T00:00:00Z",
                                 "2026-06-30T00:00:00Z", "2026-11-30T00:00:00Z",
                                 "2027-04-30T00:00:00Z", NULL});
    /* 02:30 is skipped on 29 March 2026 and repeated on 25 October in Berlin. */
    check_turns(EVERY_DAY, 1, "2026-01-01T01:30:00Z", berlin,
                (const char *[]){"2026-03-27T01:30:00Z", "2026-03-28T01:30:00Z",
                                 "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", NULL});
    check_turns(EVERY_DAY, 1, "2026-01-01T01:30:00Z", berlin,
                (const char *[]){"2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z",
                                 "2026-10-26T01:30:00Z", NULL});
    check_turns(EVERY_WEEK, 2, "2026-03-23", berlin,
                (const char *[]){"2026-03-08T23:00:00Z", "2026-03-22T23:00:00Z",
                                 "2026-04-05T22:00:00Z", NULL});
    /* Hours are of elapsed time, from the very instant, also in an hour that is repeated. */
    check_turns(EVERY_HOUR, 6, "2026-04-04T15:15:00Z", lord_howe,
                (const char *[]){"2026-04-04T09:15:00Z", "2026-04-04T15:15:00Z",
                                 "2026-04-04T21:15:00Z", NULL});

    struct clock always = clock_calendar(EVERY_ALWAYS, berlin);
    struct period all = clock_turn(&always, 0);
    assert_int_equal(all.from, INSTANT_MIN);
    assert_int_equal(all.to, INSTANT_MAX);
    struct clock week = clock_calendar(EVERY_WEEK, NULL);
    assert_string_equal(format_instant(clock_turn(&week, 0).from), "1969-12-29T00:00:00Z");
    struct clock long_count = {
        EVERY_YEAR, INT32_MAX, {.year = 2000, .month = 2, .day = 29}, berlin};
    struct period eon = clock_turn(&long_count, INSTANT_MAX - 1);
    assert_string_equal(format_instant(eon.from), "2000-02-28T23:00:00Z");
    assert_int_equal(eon.to, INT64_MAX);
    assert_int_equal(clock_turn(&long_count, 0).from, INT64_MIN);

    for (int i = EVERY_HOUR; i <= EVERY_ALWAYS; i++) {
        enum clock_every every;
        assert_true(clock_every_parse(text_of(clock_every_name((enum clock_every)i)), &every));
        assert_int_equal(every, i);
    }
    enum clock_every every;
    assert_false(clock_every_parse(TEXT("months"), &every));
    assert_false(clock_every_parse(TEXT(""), &every));
}

/* ---- clocks: tiling ------------------------------------------------------------------------ */

/* The next start by a calendar that counts: wanted is the anchor's day, which short months lack. */
static void naive_next_start(struct civil *civil, enum clock_every every, int32_t wanted)
{
    if (every == EVERY_DAY || every == EVERY_WEEK) {
        for (int i = every == EVERY_DAY ? 1 : 7; i > 0; i--) {
            naive_next_day(civil);
        }
        return;
    }
    for (int i = every == EVERY_MONTH ? 1 : every == EVERY_QUARTER ? 3 : 12; i > 0; i--) {
        if (++civil->month > 12) {
            civil->month = 1;
            civil->year++;
        }
    }
    int length = naive_length(civil->year, civil->month);
    civil->day = wanted < length ? wanted : length;
}

struct tally {
    long pairs, turns, empty, gaps;
};

/* Walks the chain of turns over [from, to): each begins where the one before ends and is found
 * from both of its ends, and each start is the instant of the naive calendar's. */
static void walk_turns(const struct clock *clock, instant from, instant to, struct tally *tally)
{
    struct civil civil = clock->anchor;
    struct period turn = clock_turn(clock, from);
    bool counted = clock->every != EVERY_HOUR;
    tally->gaps += !period_has(turn, from);
    /* The anchor lies before from. */
    while (counted && zone_instant(clock->zone, civil) < turn.from) {
        naive_next_start(&civil, clock->every, clock->anchor.day);
    }
    while (turn.from < to) {
        bool right = turn.from < turn.to;
        if (counted) {
            right = right && turn.from == zone_instant(clock->zone, civil);
            naive_next_start(&civil, clock->every, clock->anchor.day);
            while (zone_instant(clock->zone, civil) == turn.from) {
                naive_next_start(&civil, clock->every, clock->anchor.day);
                tally->empty++;
            }
        } else {
            right = right && turn.to - turn.from == NS_PER_HOUR;
        }
        const instant inside[] = {turn.from, turn.from + 1, turn.to - 1};
        for (int i = 0; i < 3; i++) {
            struct period same = clock_turn(clock, inside[i]);
            right = right && same.from == turn.from && same.to == turn.to;
        }
        struct period next = clock_turn(clock, turn.to);
        right = right && next.from == turn.to;
        if (!right) {
            print_message("%.*s every %s from %d-%02d-%02d %02d:%02d: gap at %s\n",
                          TEXT_ARG(zone_name(clock->zone)), clock_every_name(clock->every),
                          clock->anchor.year, clock->anchor.month, clock->anchor.day,
                          clock->anchor.hour, clock->anchor.minute, format_instant(turn.from));
            tally->gaps++;
            return;
        }
        turn = next;
        tally->turns++;
    }
    tally->pairs++;
}

/* All zones of tzdata's list that differ, else a few rules. */
static size_t load_zones(const struct zone **zones, size_t count_max)
{
    static const char *const rules[] = {"UTC0", "EST5EDT,M3.2.0,M11.1.0",
                                        "CET-1CEST,M3.5.0,M10.5.0/3",
                                        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"};
    size_t count = 0;
    FILE *list = fopen("/usr/share/zoneinfo/tzdata.zi", "r");
    if (!list) {
        print_message("clocks: SKIPPED the zones of tzdata, it is not there\n");
        for (; count < sizeof rules / sizeof *rules; count++) {
            zones[count] = make_zone(text_of(rules[count]));
        }
        return count;
    }
    char line[512], name[128];
    while (fgets(line, sizeof line, list) && count < count_max) {
        if (sscanf(line, "Z %127s", name) == 1 || sscanf(line, "L %*s %127s", name) == 1) {
            struct text bytes = read_zone_file(name);
            struct error err;
            if (bytes.size > 0) {
                assert_int_equal(zone_parse(&arena, text_of(name), bytes, &zones[count], &err), OK);
                count++;
            }
        }
    }
    fclose(list);
    return count;
}

/* Anchor number 0..30 is that day of January 1988, 31 is 29 February; then the same at 02:30. */
enum { ANCHORS = 64 };

static void walk_pair(const struct zone *zone, int anchor, enum clock_every every,
                      struct tally *tally)
{
    int day = anchor % 32;
    struct clock clock = {
        .every = every,
        .count = 1,
        .anchor = {.year = 1988,
                   .month = day == 31 ? 2 : 1,
                   .day = day == 31 ? 29 : day + 1,
                   .hour = anchor >= 32 ? 2 : 0,
                   .minute = anchor >= 32 ? 30 : 0},
        .zone = zone,
    };
    struct period years;
    assert_int_equal(period_parse(TEXT("1990-01-01/2100-01-01"), NULL, &years), TIME_OK);
    if (every == EVERY_HOUR) {
        /* Hours know no civil time but the anchor's: a few of them, chosen anew each time. */
        years.from += random_between(0, 109 * 365) * NS_PER_DAY;
        years.to = years.from + (is_long ? 90 : 30) * NS_PER_DAY;
    }
    walk_turns(&clock, years.from, years.to, tally);
}

static void turns_tile_time(void **state)
{
    (void)state;
    enum { ZONES_MAX = 1024, SAMPLE = 1500 };
    static const struct zone *zones[ZONES_MAX];
    size_t count = load_zones(zones, ZONES_MAX);
    struct tally tally = {0};
    if (is_long) {
        for (size_t i = 0; i < count * ANCHORS; i++) {
            /* Of days and weeks the anchors differ only in their time and their weekday. */
            size_t day = i % 32;
            for (int every = EVERY_HOUR; every < EVERY_ALWAYS; every++) {
                if ((every == EVERY_DAY && day > 0) || (every == EVERY_WEEK && day > 6)) {
                    continue;
                }
                walk_pair(zones[i / ANCHORS], (int)(i % ANCHORS), (enum clock_every)every, &tally);
            }
        }
    } else {
        /* Days are dear and alike: a few zones; the others by turns. */
        for (int i = 0; i < SAMPLE; i++) {
            const struct zone *zone = zones[random_between(0, (int64_t)count)];
            int anchor = (int)random_between(0, ANCHORS);
            int every = i % 60 == 0 ? EVERY_DAY : i % 6 == 1 ? EVERY_HOUR : 0;
            if (every == 0) {
                every = i % 12 == 2 ? EVERY_WEEK : EVERY_MONTH + i % 3;
            }
            walk_pair(zone, anchor, (enum clock_every)every, &tally);
        }
        for (size_t i = 0; i < count; i++) { /* it had no 30 December 2011 */
            if (text_equal(zone_name(zones[i]), TEXT("Pacific/Apia"))) {
                walk_pair(zones[i], 0, EVERY_DAY, &tally);
                assert_int_equal(tally.empty, 1);
            }
        }
    }
    print_message("clocks: %ld zone-anchor pairs of %zu zones, %ld turns 1990-2100 tile, %ld turns "
                  "empty (days a zone skipped), %ld gaps (seed %" PRIu64 ")\n",
                  tally.pairs, count, tally.turns, tally.empty, tally.gaps, seed);
    assert_int_equal(tally.gaps, 0);
}

/* -------------------------------------------------------------------------------------------- */

int main(void)
{
    const char *given = getenv("FARTHING_SEED");
    seed = given ? strtoull(given, NULL, 10) : seed;
    const char *wanted = getenv("FARTHING_LONG");
    is_long = wanted && strcmp(wanted, "1") == 0;
    arena_init(&arena, NULL, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_count_one_by_one),    cmocka_unit_test(times_follow_the_table),
        cmocka_unit_test(empty_text_is_no_time),     cmocka_unit_test(times_agree_with_timegm),
        cmocka_unit_test(fixed_shape_is_strict),     cmocka_unit_test(times_round_trip),
        cmocka_unit_test(periods_are_half_open),     cmocka_unit_test(zones_agree_with_zoneinfo),
        cmocka_unit_test(footers_are_checked),       cmocka_unit_test(files_are_checked),
        cmocka_unit_test(right_zones_are_refused),   cmocka_unit_test(wild_zones_keep_order),
        cmocka_unit_test(broken_files_are_harmless), cmocka_unit_test(clocks_turn_as_written),
        cmocka_unit_test(turns_tile_time),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
