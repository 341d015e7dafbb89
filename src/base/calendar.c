/* calendar.c - see calendar.h.
 *
 * Dates.  A year that begins in March has its leap day at its end, so the days before a month are
 * a straight line with integer steps, and a date becomes a number of days without a table.
 *
 * Zones.  A zone is one table over every instant there is (1677 to 2262): the transitions of the
 * file, then the rule of its footer written out year by year, with changes left out that do not
 * move the wall clock.  So a look-up is one binary search, and there is no second mechanism for
 * the years after a file's end.
 *
 *     segment i     [starts[i], starts[i + 1]) has offsets[i]
 *     shown[i]      the wall clock has passed everything below this before starts[i]
 *
 * The instant of a civil time is the first at which the wall clock reads that or later:
 *
 *     min { t : t + offset(t) >= civil }
 *
 * For a time that is repeated this is the first of the two, for one that is skipped it is the
 * change, and it can only grow with civil, whatever bytes a zone was made of.  The running
 * maximum in shown[] makes it a binary search too.
 *
 * Clocks.  The start of turn k is a function of k that never falls; a turn is [start(k),
 * start(k + 1)) for the last k with start(k) <= at.  So turns tile by their form; where a zone
 * skips a whole day, the turn of that day is empty and holds nothing.
 */
#include "base/calendar.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"

#include "base/nofloat.h"

/* The seconds at and beyond which an instant is the least or the greatest one. */
#define SECOND_MIN (-INT64_C(9223372037))
#define SECOND_MAX INT64_C(9223372036)
#define SECOND_LOW (INT64_MIN / 4) /* below any second and any wall clock time */

enum {
    SECONDS_PER_HOUR = 3600,
    SECONDS_PER_DAY = 86400,
    OFFSET_MAX_SECONDS = 26 * SECONDS_PER_HOUR, /* RFC 8536, section 3.2: less than 26 hours */
    YEAR_MIN = 1677,                            /* of the least instant */
    YEAR_MAX = 2262,                            /* of the greatest */
};

struct zone {
    struct text name;
    const int64_t *starts;
    const int64_t *shown;
    const int32_t *offsets;
    uint32_t count;
};

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t floor_modulo(int64_t a, int64_t b)
{
    return a % b + (a % b < 0 ? b : 0);
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

static instant make_instant(int64_t seconds, int32_t nanosecond)
{
    if (seconds >= SECOND_MAX) {
        return INT64_MAX;
    }
    return seconds <= SECOND_MIN ? INT64_MIN : seconds * NS_PER_SECOND + nanosecond;
}

static int compare_instants(const void *a, const void *b)
{
    const instant *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

void instants_sort(instant *items, size_t count)
{
    if (count > 1) { /* there may be no items at all */
        qsort(items, count, sizeof *items, compare_instants);
    }
}

struct period period_intersect(struct period a, struct period b)
{
    struct period both = {a.from > b.from ? a.from : b.from, a.to < b.to ? a.to : b.to};
    if (both.to < both.from) {
        both.to = both.from;
    }
    return both;
}

/* ---- dates --------------------------------------------------------------------------------- */

/* Whole cycles of 400 years, added so that any year of 32 bits is counted from a positive one. */
enum { CYCLES = 5368710 };
#define CYCLE_YEARS UINT64_C(400)
#define CYCLE_DAYS  UINT64_C(146097)
enum { DAYS_TO_1970 = 719468 }; /* from 1 March of the year 0 */
/* The first and the last day that have a year of 32 bits. */
#define DAYS_MIN (-INT64_C(784353015833))
#define DAYS_MAX INT64_C(784351576776)

int64_t civil_to_days(int32_t year, int32_t month, int32_t day)
{
    assert(month >= 1 && month <= 12);
    bool before_march = month <= 2;
    uint64_t y = (uint64_t)((int64_t)year - before_march) + CYCLES * CYCLE_YEARS;
    uint64_t m = (uint64_t)month + (before_march ? 12 : 0);
    uint64_t century = y / 100;
    uint64_t days = 1461 * y / 4 - century + century / 4 + (979 * m - 2919) / 32;
    return (int64_t)(days - CYCLES * CYCLE_DAYS) + day - 1 - DAYS_TO_1970;
}

struct civil civil_from_days(int64_t days)
{
    assert(days >= DAYS_MIN && days <= DAYS_MAX);
    uint64_t n = (uint64_t)(days + DAYS_TO_1970) + CYCLES * CYCLE_DAYS;
    uint64_t cycle = n / CYCLE_DAYS;
    uint64_t in_cycle = n % CYCLE_DAYS;
    uint64_t in_cycle_year =
        (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
    uint64_t in_year = in_cycle - (365 * in_cycle_year + in_cycle_year / 4 - in_cycle_year / 100);
    uint64_t from_march = (5 * in_year + 2) / 153;
    bool before_march = from_march >= 10;
    int64_t year = (int64_t)(cycle * CYCLE_YEARS + in_cycle_year - CYCLES * CYCLE_YEARS);
    return (struct civil){
        .year = (int32_t)(year + before_march),
        .month = (int32_t)(before_march ? from_march - 9 : from_march + 3),
        .day = (int32_t)(in_year - (153 * from_march + 2) / 5 + 1),
    };
}

static bool is_leap(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static const uint8_t month_days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

int civil_days_in_month(int32_t year, int32_t month)
{
    assert(month >= 1 && month <= 12);
    return month_days[month] + (month == 2 && is_leap(year));
}

int civil_weekday(int64_t days)
{
    int64_t from_monday = (days + 3) % 7; /* 1970-01-01 was a Thursday */
    return (int)(from_monday < 0 ? from_monday + 8 : from_monday + 1);
}

/* ---- reading times ------------------------------------------------------------------------- */

const char *time_fault_name(enum time_fault fault)
{
    switch (fault) {
    case TIME_OK:
        return "TIME_OK";
    case TIME_SYNTAX:
        return "TIME_SYNTAX";
    case TIME_ZONE:
        return "TIME_ZONE";
    case TIME_RANGE:
        return "TIME_RANGE";
    }
    assert(false && "no such fault");
    return "";
}

struct cursor {
    const char *at, *end;
};

static struct cursor start_cursor(struct text text)
{
    return (struct cursor){text.at, text.size > 0 ? text.at + text.size : text.at};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool at_digit(const struct cursor *cursor)
{
    return cursor->at < cursor->end && is_digit(*cursor->at);
}

static bool read_char(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c) {
        return false;
    }
    cursor->at++;
    return true;
}

static bool read_sign(struct cursor *cursor, int32_t *sign)
{
    *sign = read_char(cursor, '-') ? -1 : 1;
    return *sign < 0 || read_char(cursor, '+');
}

/* Exactly count digits, of a value from min to max. */
static bool read_fixed(struct cursor *cursor, int count, int32_t min, int32_t max, int32_t *value)
{
    if (cursor->end - cursor->at < count) {
        return false;
    }
    *value = 0;
    for (int i = 0; i < count; i++) {
        if (!is_digit(cursor->at[i])) {
            return false;
        }
        *value = *value * 10 + (cursor->at[i] - '0');
    }
    cursor->at += count;
    return *value >= min && *value <= max;
}

/* A year beyond four digits is read as one of the same length in the years 8000 to 8399: out of
 * range, but with its own February, so that what is wrong with the rest is still found. */
static bool read_year(struct cursor *cursor, int32_t *year)
{
    const char *from = cursor->at;
    int32_t in_cycle = 0;
    for (; at_digit(cursor); cursor->at++) {
        in_cycle = (in_cycle * 10 + (*cursor->at - '0')) % 400;
    }
    ptrdiff_t count = cursor->at - from;
    if (count > 4) {
        *year = 8000 + in_cycle;
        return *from != '0';
    }
    cursor->at = from;
    return read_fixed(cursor, 4, 0, 9999, year);
}

static bool read_date(struct cursor *cursor, struct civil *civil)
{
    return read_year(cursor, &civil->year) && read_char(cursor, '-') &&
           read_fixed(cursor, 2, 1, 12, &civil->month) && read_char(cursor, '-') &&
           read_fixed(cursor, 2, 1, civil_days_in_month(civil->year, civil->month), &civil->day);
}

/* Digits after the point: nine that count, then zeros. */
static bool read_fraction(struct cursor *cursor, int32_t *nanosecond)
{
    int32_t weight = 100000000;
    *nanosecond = 0;
    if (!at_digit(cursor)) {
        return false;
    }
    for (; at_digit(cursor); cursor->at++) {
        int32_t digit = *cursor->at - '0';
        if (weight == 0 && digit != 0) {
            return false;
        }
        *nanosecond += digit * weight;
        weight /= 10;
    }
    return true;
}

static bool read_time_of_day(struct cursor *cursor, struct civil *civil)
{
    if (!read_fixed(cursor, 2, 0, 24, &civil->hour) || !read_char(cursor, ':') ||
        !read_fixed(cursor, 2, 0, 59, &civil->minute) || !read_char(cursor, ':') ||
        !read_fixed(cursor, 2, 0, 60, &civil->second)) {
        return false;
    }
    civil->nanosecond = 0;
    if (read_char(cursor, '.') && !read_fraction(cursor, &civil->nanosecond)) {
        return false;
    }
    if (civil->hour == 24) {
        return civil->minute == 0 && civil->second == 0 && civil->nanosecond == 0;
    }
    if (civil->second == 60) {
        civil->nanosecond = 0;
    }
    return true;
}

static int64_t civil_seconds(const struct civil *civil)
{
    return civil_to_days(civil->year, civil->month, civil->day) * SECONDS_PER_DAY +
           civil->hour * SECONDS_PER_HOUR + civil->minute * 60 + civil->second;
}

/* The instant of a time that is not yet known to be in range (saturated when far out). */
static enum time_fault read_rfc3339(struct text text, instant *at)
{
    struct cursor cursor = start_cursor(text);
    struct civil civil;
    if (!read_date(&cursor, &civil) ||
        !(read_char(&cursor, 'T') || read_char(&cursor, 't') || read_char(&cursor, ' ')) ||
        !read_time_of_day(&cursor, &civil)) {
        return TIME_SYNTAX;
    }
    if (cursor.at == cursor.end) {
        return TIME_ZONE;
    }
    int32_t offset = 0;
    if (!read_char(&cursor, 'Z') && !read_char(&cursor, 'z')) {
        int32_t sign, hours, minutes;
        if (!read_sign(&cursor, &sign) || !read_fixed(&cursor, 2, 0, 23, &hours) ||
            !read_char(&cursor, ':') || !read_fixed(&cursor, 2, 0, 59, &minutes)) {
            return TIME_SYNTAX;
        }
        offset = sign * (hours * SECONDS_PER_HOUR + minutes * 60);
    }
    if (cursor.at != cursor.end) {
        return TIME_SYNTAX;
    }
    *at = make_instant(civil_seconds(&civil) - offset, civil.nanosecond);
    return TIME_OK;
}

static enum time_fault check_range(instant at)
{
    return at < INSTANT_MIN || at >= INSTANT_MAX ? TIME_RANGE : TIME_OK;
}

static __attribute__((noinline)) enum time_fault parse_any_shape(struct text text, instant *at)
{
    instant read;
    enum time_fault fault = read_rfc3339(text, &read);
    fault = fault ? fault : check_range(read);
    if (!fault) {
        *at = read;
    }
    return fault;
}

/* A shape is eight characters with '0' for any digit.  Taking it from a word by exclusive or leaves
 * the digits' values, and zeros where a separator was as it should be.  Adding limit (0x76 for a
 * digit, 0x7F for a separator) sets the top bit of each byte that is more than 9 or more than 0; a
 * byte that has the top bit already is caught by itself. */
struct shape {
    uint64_t characters, limit;
};
static const struct shape date_shape = {UINT64_C(0x2D30302D30303030), /* 0000-00- */
                                        UINT64_C(0x7F76767F76767676)};
static const struct shape day_time_shape = {UINT64_C(0x30303A3030543030), /* 00T00:00 */
                                            UINT64_C(0x76767F76767F7676)};
static const struct shape second_shape = {UINT64_C(0x5A3030302E30303A), /* :00.000Z */
                                          UINT64_C(0x7F7676767F76767F)};

/* Has a top bit where the digits do not fit the shape. */
static inline uint64_t find_misfit(uint64_t digits, struct shape shape)
{
    return ((digits + shape.limit) | digits) & UINT64_C(0x8080808080808080);
}

/* The two digits at byte i, from all neighbours joined at once: 10 x first + second. */
static inline uint64_t join_pairs(uint64_t digits)
{
    return digits * 10 + (digits >> 8);
}
static inline uint32_t pick_byte(uint64_t word, int i)
{
    return (uint32_t)(word >> (8 * i)) & 0xFF;
}

static const uint16_t days_before_month[13] = {0,   0,   31,  59,  90,  120, 151,
                                               181, 212, 243, 273, 304, 334};

/* The shapes that nearly all events have, "2026-10-01T00:00:00Z" and "2026-10-01T00:00:00.509Z", by
 * whole words; whatever is not plainly right goes to the general reader, which also names what is
 * wrong. */
enum time_fault time_parse(struct text text, instant *at)
{
    uint64_t second;
    if (text.size == 24) {
        second = bytes_load64(text.at + 16);
    } else if (text.size == 20) {
        /* ":00Z", with zeros for the fraction put in. */
        uint64_t tail = bytes_load64(text.at + 12) >> 32;
        second = (tail & 0xFFFFFF) | UINT64_C(0x303030) << 32 | '.' << 24 | (tail >> 24) << 56;
    } else {
        return parse_any_shape(text, at);
    }
    uint64_t date = bytes_load64(text.at) ^ date_shape.characters;
    uint64_t day_time = bytes_load64(text.at + 8) ^ day_time_shape.characters;
    second ^= second_shape.characters;
    if (find_misfit(date, date_shape) | find_misfit(day_time, day_time_shape) |
        find_misfit(second, second_shape)) {
        return parse_any_shape(text, at);
    }
    uint64_t date_pairs = join_pairs(date);
    uint64_t day_time_pairs = join_pairs(day_time);
    uint64_t second_pairs = join_pairs(second);
    uint32_t year = pick_byte(date_pairs, 0) * 100 + pick_byte(date_pairs, 2);
    uint32_t month = pick_byte(date_pairs, 5);
    uint32_t day = pick_byte(day_time_pairs, 0);
    uint32_t hour = pick_byte(day_time_pairs, 3);
    uint32_t minute = pick_byte(day_time_pairs, 6);
    uint32_t seconds = pick_byte(second_pairs, 1);
    uint32_t milliseconds = pick_byte(second_pairs, 4) * 10 + pick_byte(second, 6);

    /* Between 1970 and 2261 only 2100 and 2200 break the rule of four. */
    if ((year - 1970 > 2261 - 1970) | (month - 1 > 11) | (hour > 23) | (minute > 59) |
        (seconds > 59)) {
        return parse_any_shape(text, at);
    }
    bool leap = (year & 3) == 0 && year != 2100 && year != 2200;
    if (day - 1 >= (uint32_t)month_days[month] + (month == 2 && leap)) {
        return TIME_SYNTAX;
    }
    uint32_t days = (year - 1970) * 365 + ((year - 1969) >> 2) - (year > 2100) - (year > 2200) +
                    days_before_month[month] + (month > 2 && leap) + day - 1;
    uint32_t in_day = hour * SECONDS_PER_HOUR + minute * 60 + seconds;
    *at = (instant)(((uint64_t)days * SECONDS_PER_DAY + in_day) * (uint64_t)NS_PER_SECOND +
                    milliseconds * UINT64_C(1000000));
    return TIME_OK;
}

/* The digits of a JSON number: where they are, and the power of ten of the first. */
struct digits {
    const char *from, *to;
    int64_t power;
    bool negative;
};

static bool read_json_number(struct text text, struct digits *digits)
{
    enum { EXPONENT_MAX = 1000000000 }; /* beyond, it is only far */
    struct cursor cursor = start_cursor(text);
    digits->negative = read_char(&cursor, '-');
    digits->from = cursor.at;
    if (!at_digit(&cursor)) {
        return false;
    }
    bool leading_zero = *cursor.at == '0';
    while (at_digit(&cursor)) {
        cursor.at++;
    }
    digits->power = cursor.at - digits->from - 1;
    if (leading_zero && digits->power > 0) {
        return false;
    }
    if (read_char(&cursor, '.')) {
        if (!at_digit(&cursor)) {
            return false;
        }
        while (at_digit(&cursor)) {
            cursor.at++;
        }
    }
    digits->to = cursor.at;
    if (read_char(&cursor, 'e') || read_char(&cursor, 'E')) {
        int64_t exponent = 0;
        int32_t sign;
        (void)read_sign(&cursor, &sign);
        if (!at_digit(&cursor)) {
            return false;
        }
        for (; at_digit(&cursor); cursor.at++) {
            exponent = clamp(exponent * 10 + (*cursor.at - '0'), 0, EXPONENT_MAX);
        }
        digits->power += sign * exponent;
    }
    return cursor.at == cursor.end;
}

enum time_fault time_parse_epoch(struct text text, instant *at)
{
    struct digits digits;
    if (!read_json_number(text, &digits)) {
        return TIME_SYNTAX;
    }
    uint64_t sum = 0;
    bool far = false;
    int64_t power = digits.power + 9; /* of ten, in ns: of the digit at c */
    for (const char *c = digits.from; c < digits.to; c++) {
        if (*c == '.') {
            continue;
        }
        if (power < 0 && *c != '0') {
            return TIME_SYNTAX;
        }
        if (power >= 0 && !far) {
            far = __builtin_mul_overflow(sum, 10, &sum) ||
                  __builtin_add_overflow(sum, (uint64_t)(*c - '0'), &sum);
        }
        power--;
    }
    for (; power >= 0 && sum > 0 && !far; power--) {
        far = __builtin_mul_overflow(sum, 10, &sum);
    }
    if (far || sum >= (uint64_t)INSTANT_MAX || (digits.negative && sum > 0)) {
        return TIME_RANGE;
    }
    *at = (instant)sum;
    return TIME_OK;
}

/* A date or a time, not yet known to be in range. */
static enum time_fault read_date_or_time(struct text text, const struct zone *zone, instant *at)
{
    struct cursor cursor = start_cursor(text);
    struct civil civil = {0};
    if (read_date(&cursor, &civil) && cursor.at == cursor.end) {
        *at = zone_instant(zone, civil);
        return TIME_OK;
    }
    return read_rfc3339(text, at);
}

enum time_fault time_parse_date(struct text text, const struct zone *zone, instant *at)
{
    instant read;
    enum time_fault fault = read_date_or_time(text, zone, &read);
    fault = fault ? fault : check_range(read);
    if (!fault) {
        *at = read;
    }
    return fault;
}

static enum time_fault read_from_to(struct text from, struct text to, const struct zone *zone,
                                    struct period *period)
{
    enum time_fault from_fault = read_date_or_time(from, zone, &period->from);
    enum time_fault to_fault = read_date_or_time(to, zone, &period->to);
    if (from_fault && to_fault) {
        return from_fault < to_fault ? from_fault : to_fault;
    }
    if (from_fault || to_fault) {
        return from_fault ? from_fault : to_fault;
    }
    return period->from < period->to || period->to == INT64_MAX ? TIME_OK : TIME_SYNTAX;
}

static int64_t find_first_week(int32_t year)
{
    int64_t fourth = civil_to_days(year, 1, 4); /* ISO 8601: always in week 1 */
    return fourth - (civil_weekday(fourth) - 1);
}

/* The days of "2026", "2026-10", "2026-10-05", "2026-W40", "2026-Q4". */
static bool read_calendar_period(struct text text, int64_t *from, int64_t *to)
{
    struct cursor cursor = start_cursor(text);
    int32_t year, month, day, quarter, week;
    if (!read_year(&cursor, &year)) {
        return false;
    }
    if (cursor.at == cursor.end) {
        *from = civil_to_days(year, 1, 1);
        *to = civil_to_days(year + 1, 1, 1);
        return true;
    }
    if (!read_char(&cursor, '-')) {
        return false;
    }
    if (read_char(&cursor, 'Q')) {
        if (!read_fixed(&cursor, 1, 1, 4, &quarter)) {
            return false;
        }
        *from = civil_to_days(year, quarter * 3 - 2, 1);
        *to = civil_to_days(year + quarter / 4, quarter * 3 % 12 + 1, 1);
    } else if (read_char(&cursor, 'W')) {
        if (!read_fixed(&cursor, 2, 1, 53, &week)) {
            return false;
        }
        *from = find_first_week(year) + (week - 1) * 7;
        *to = *from + 7;
        if (*from >= find_first_week(year + 1)) {
            return false;
        }
    } else {
        if (!read_fixed(&cursor, 2, 1, 12, &month)) {
            return false;
        }
        *from = civil_to_days(year, month, 1);
        *to = *from + civil_days_in_month(year, month);
        if (read_char(&cursor, '-')) {
            if (!read_fixed(&cursor, 2, 1, civil_days_in_month(year, month), &day)) {
                return false;
            }
            *from += day - 1;
            *to = *from + 1;
        }
    }
    return cursor.at == cursor.end;
}

enum time_fault period_parse(struct text text, const struct zone *zone, struct period *period)
{
    struct period read;
    const char *slash = text.size ? memchr(text.at, '/', text.size) : NULL;
    if (slash) {
        size_t size = (size_t)(slash - text.at);
        enum time_fault fault =
            read_from_to((struct text){text.at, size},
                         (struct text){slash + 1, text.size - size - 1}, zone, &read);
        if (fault) {
            return fault;
        }
    } else {
        int64_t from, to;
        if (!read_calendar_period(text, &from, &to)) {
            return TIME_SYNTAX;
        }
        read.from = zone_instant(zone, civil_from_days(from));
        read.to = zone_instant(zone, civil_from_days(to));
    }
    if (read.from < INSTANT_MIN || read.to > INSTANT_MAX) {
        return TIME_RANGE;
    }
    *period = read;
    return TIME_OK;
}

/* ---- writing times ------------------------------------------------------------------------- */

static inline char *write_digits(char *out, int32_t value, int count)
{
    for (int i = count; i-- > 0; value /= 10) {
        out[i] = (char)('0' + value % 10);
    }
    return out + count;
}

/* 0 to 99, without a loop: most of a time is of these. */
static inline char *write_two(char *out, uint32_t value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
    return out + 2;
}

static inline char *write_date(char *out, const struct civil *civil)
{
    out = write_two(out, (uint32_t)civil->year / 100);
    out = write_two(out, (uint32_t)civil->year % 100);
    *out++ = '-';
    out = write_two(out, (uint32_t)civil->month);
    *out++ = '-';
    return write_two(out, (uint32_t)civil->day);
}

int time_format(instant at, char out[TIME_FORMAT_MAX])
{
    struct civil civil = zone_civil(NULL, at);
    char *to = write_date(out, &civil);
    *to++ = 'T';
    to = write_two(to, (uint32_t)civil.hour);
    *to++ = ':';
    to = write_two(to, (uint32_t)civil.minute);
    *to++ = ':';
    to = write_two(to, (uint32_t)civil.second);
    if (civil.nanosecond != 0) {
        *to++ = '.';
        if (civil.nanosecond % 1000000 == 0) {
            to = write_digits(to, civil.nanosecond / 1000000, 3);
        } else if (civil.nanosecond % 1000 == 0) {
            to = write_digits(to, civil.nanosecond / 1000, 6);
        } else {
            to = write_digits(to, civil.nanosecond, 9);
        }
    }
    *to++ = 'Z';
    *to = '\0';
    return (int)(to - out);
}

int time_format_short(instant at, char out[TIME_FORMAT_MAX])
{
    if (at % NS_PER_DAY != 0) {
        return time_format(at, out);
    }
    struct civil civil = civil_from_days(at / NS_PER_DAY);
    char *to = write_date(out, &civil);
    *to = '\0';
    return (int)(to - out);
}

/* ---- the table of a zone ------------------------------------------------------------------- */

struct table {
    int64_t *starts;
    int32_t *offsets;
    uint32_t count; /* at least 1: the first segment has no start */
};

/* The wall clock is offset from the second at on.  Changes come in the order of time; of two at the
 * same second the later one holds. */
static void add_change(struct table *table, int64_t at, int32_t offset)
{
    uint32_t last = table->count - 1;
    if (at > SECOND_MAX) {
        return;
    }
    if (at <= SECOND_MIN) {
        assert(last == 0);
        table->offsets[0] = offset;
        return;
    }
    assert(last == 0 || at >= table->starts[last]);
    if (last > 0 && at == table->starts[last]) {
        table->count = last--;
    }
    if (table->offsets[last] != offset) {
        table->starts[last + 1] = at;
        table->offsets[last + 1] = offset;
        table->count = last + 2;
    }
}

/* ---- a footer: POSIX TZ with RFC 8536's extensions ----------------------------------------- */

/* A day of each year, and seconds from its start (less than zero and more than a day as well). */
struct rule_day {
    enum { RULE_JULIAN, RULE_ORDINAL, RULE_WEEKDAY } kind;
    int32_t month, week;
    int32_t day; /* Jn: 1..365, never 29 February; n: 0..365; Mm.w.d: 0 Sunday..6 */
    int32_t seconds;
};

struct rule {
    int32_t standard, daylight; /* offsets */
    bool has_daylight;
    struct rule_day start, end; /* of daylight time */
};

/* Up to three digits. */
static bool read_number(struct cursor *cursor, int32_t max, int32_t *value)
{
    *value = 0;
    int count = 0;
    for (; at_digit(cursor) && count < 3; count++) {
        *value = *value * 10 + (*cursor->at++ - '0');
    }
    return count > 0 && *value <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool read_signed_time(struct cursor *cursor, int32_t hours_max, int32_t *seconds)
{
    int32_t sign, hours, minute = 0, second = 0;
    (void)read_sign(cursor, &sign);
    if (!read_number(cursor, hours_max, &hours)) {
        return false;
    }
    if (read_char(cursor, ':')) {
        if (!read_fixed(cursor, 2, 0, 59, &minute)) {
            return false;
        }
        if (read_char(cursor, ':') && !read_fixed(cursor, 2, 0, 59, &second)) {
            return false;
        }
    }
    *seconds = sign * (hours * SECONDS_PER_HOUR + minute * 60 + second);
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Three letters or more, or <+03>. */
static bool read_abbreviation(struct cursor *cursor)
{
    bool quoted = read_char(cursor, '<');
    int count = 0;
    for (; cursor->at < cursor->end; cursor->at++, count++) {
        char c = *cursor->at;
        if (!is_letter(c) && !(quoted && (is_digit(c) || c == '+' || c == '-'))) {
            break;
        }
    }
    return count >= 3 && (!quoted || read_char(cursor, '>'));
}

static bool read_rule_day(struct cursor *cursor, struct rule_day *day)
{
    enum { DEFAULT_SECONDS = 2 * SECONDS_PER_HOUR, HOURS_MAX = 167 };
    *day = (struct rule_day){.seconds = DEFAULT_SECONDS};
    if (!read_char(cursor, ',')) {
        return false;
    }
    if (read_char(cursor, 'M')) {
        day->kind = RULE_WEEKDAY;
        if (!read_number(cursor, 12, &day->month) || day->month < 1 || !read_char(cursor, '.') ||
            !read_number(cursor, 5, &day->week) || day->week < 1 || !read_char(cursor, '.') ||
            !read_number(cursor, 6, &day->day)) {
            return false;
        }
    } else {
        day->kind = read_char(cursor, 'J') ? RULE_JULIAN : RULE_ORDINAL;
        if (!read_number(cursor, 365, &day->day) || (day->kind == RULE_JULIAN && day->day < 1)) {
            return false;
        }
    }
    return !read_char(cursor, '/') || read_signed_time(cursor, HOURS_MAX, &day->seconds);
}

static bool read_rule(struct text text, struct rule *rule)
{
    enum { OFFSET_HOURS_MAX = 24 };
    struct cursor cursor = start_cursor(text);
    int32_t west;
    *rule = (struct rule){0};
    if (!read_abbreviation(&cursor) || !read_signed_time(&cursor, OFFSET_HOURS_MAX, &west)) {
        return false;
    }
    rule->standard = -west;
    if (cursor.at == cursor.end) {
        return true;
    }
    rule->has_daylight = true;
    rule->daylight = rule->standard + SECONDS_PER_HOUR;
    if (!read_abbreviation(&cursor)) {
        return false;
    }
    if (cursor.at < cursor.end && *cursor.at != ',') {
        if (!read_signed_time(&cursor, OFFSET_HOURS_MAX, &west)) {
            return false;
        }
        rule->daylight = -west;
    }
    return read_rule_day(&cursor, &rule->start) && read_rule_day(&cursor, &rule->end) &&
           cursor.at == cursor.end;
}

/* The second of the rule's day in year, by a wall clock that is offset. */
static int64_t find_rule_second(const struct rule_day *rule, int32_t year, int32_t offset)
{
    int64_t days = 0;
    switch (rule->kind) {
    case RULE_JULIAN:
        days = civil_to_days(year, 1, 1) + rule->day - 1 + (rule->day >= 60 && is_leap(year));
        break;
    case RULE_ORDINAL:
        days = civil_to_days(year, 1, 1) + rule->day;
        break;
    case RULE_WEEKDAY: {
        int64_t first = civil_to_days(year, rule->month, 1);
        int64_t next = first + civil_days_in_month(year, rule->month);
        days = first + (rule->day - civil_weekday(first) + 7) % 7 + (rule->week - 1) * 7;
        days -= days >= next ? 7 : 0;
        break;
    }
    }
    return days * SECONDS_PER_DAY + rule->seconds - offset;
}

/* The first year whose stretches of daylight time may matter from a second on. */
static int32_t first_rule_year(int64_t from)
{
    int64_t second = clamp(from, SECOND_MIN, SECOND_MAX);
    return civil_from_days(floor_divide(second, SECONDS_PER_DAY)).year - 2;
}

/* Room that add_rule needs at most. */
static size_t count_rule_changes(int64_t from)
{
    return (size_t)(YEAR_MAX + 2 - first_rule_year(from)) * 2;
}

static void add_daylight(struct table *table, const struct rule *rule, int64_t from, int64_t start,
                         int64_t end)
{
    if (start >= end) {
        return;
    }
    if (start > from) {
        add_change(table, start, rule->daylight);
    }
    if (end > from) {
        add_change(table, end, rule->standard);
    }
}

/* The changes of the rule after a second.  Stretches of daylight time that touch or overlap
 * (daylight time all year is written so) are joined. */
static void add_rule(struct table *table, const struct rule *rule, int64_t from)
{
    if (!rule->has_daylight) {
        return;
    }
    int64_t start = 0, end = 0; /* the stretch that may still grow; empty */
    for (int32_t year = first_rule_year(from); year <= YEAR_MAX + 1; year++) {
        int64_t next_start = find_rule_second(&rule->start, year, rule->standard);
        int64_t next_end = find_rule_second(&rule->end, year, rule->daylight);
        if (next_end < next_start) {
            next_end = find_rule_second(&rule->end, year + 1, rule->daylight);
        }
        if (start < end && next_start <= end) {
            end = next_end > end ? next_end : end;
            continue;
        }
        add_daylight(table, rule, from, start, end);
        start = next_start;
        end = next_end;
    }
    add_daylight(table, rule, from, start, end);
}

/* ---- TZif, RFC 8536, section 3 ---------------------------------------------------------------
 *
 *     header 44 bytes, data with times of 4 bytes   (version 1's, skipped)
 *     header 44 bytes, data with times of 8 bytes:
 *         transition times (8), transition types (1), local time types (6), abbreviations (1),
 *         leap seconds (12), standard/wall (1), UT/local (1)
 *     newline, TZ string, newline
 */

struct reader {
    const unsigned char *bytes;
    size_t size, at;
};

struct header {
    unsigned char version;
    uint32_t isut_count, isstd_count, leap_count, time_count, type_count, char_count;
};

/* The next size bytes, or NULL. */
static const unsigned char *take(struct reader *reader, uint64_t size)
{
    if (size > reader->size - reader->at) {
        return NULL;
    }
    const unsigned char *taken = reader->bytes + reader->at;
    reader->at += (size_t)size;
    return taken;
}

static uint32_t load_be32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t load_be64(const unsigned char *at)
{
    return (int64_t)((uint64_t)load_be32(at) << 32 | load_be32(at + 4));
}

static bool read_header(struct reader *reader, struct header *header)
{
    const unsigned char *at = take(reader, 44);
    if (!at || memcmp(at, "TZif", 4) != 0) {
        return false;
    }
    *header = (struct header){
        .version = at[4],
        .isut_count = load_be32(at + 20),
        .isstd_count = load_be32(at + 24),
        .leap_count = load_be32(at + 28),
        .time_count = load_be32(at + 32),
        .type_count = load_be32(at + 36),
        .char_count = load_be32(at + 40),
    };
    return true;
}

/* Six counts of 32 bits times at most 12: far from 64 bits. */
static uint64_t data_size(const struct header *header, uint64_t time_size)
{
    return header->time_count * (time_size + 1) + header->type_count * UINT64_C(6) +
           header->char_count + header->leap_count * (time_size + 4) + header->isstd_count +
           (uint64_t)header->isut_count;
}

/* Points into the file's bytes. */
struct tzif {
    uint32_t time_count, type_count;
    const unsigned char *times, *time_types, *types;
    struct text footer;
};

static enum status read_types(struct text name, const struct header *header,
                              const unsigned char *types, struct error *err)
{
    for (uint32_t i = 0; i < header->type_count; i++) {
        const unsigned char *type = types + (size_t)i * 6;
        int64_t offset = (int32_t)load_be32(type);
        if (offset <= -OFFSET_MAX_SECONDS || offset >= OFFSET_MAX_SECONDS || type[4] > 1 ||
            type[5] >= header->char_count) {
            return fail(err, ERR_INPUT, "zone %.*s: local time type %u is not valid",
                        TEXT_ARG(name), i);
        }
    }
    return OK;
}

static enum status check_times(struct text name, const struct tzif *tzif, struct error *err)
{
    for (uint32_t i = 0; i < tzif->time_count; i++) {
        const unsigned char *time = tzif->times + (size_t)i * 8;
        if (tzif->time_types[i] >= tzif->type_count ||
            (i > 0 && load_be64(time) <= load_be64(time - 8))) {
            return fail(err, ERR_INPUT, "zone %.*s: transition %u is not valid", TEXT_ARG(name), i);
        }
    }
    return OK;
}

static enum status read_footer(struct text name, struct reader *reader, struct text *footer,
                               struct error *err)
{
    struct text rest = {(const char *)reader->bytes + reader->at, reader->size - reader->at};
    if (rest.size < 2 || rest.at[0] != '\n' ||
        memchr(rest.at + 1, '\n', rest.size - 1) != rest.at + rest.size - 1) {
        return fail(err, ERR_INPUT, "zone %.*s: the footer is not one line at the file's end",
                    TEXT_ARG(name));
    }
    *footer = (struct text){rest.at + 1, rest.size - 2};
    return OK;
}

static enum status read_tzif(struct text name, struct text bytes, struct tzif *tzif,
                             struct error *err)
{
    struct reader reader = {(const unsigned char *)bytes.at, bytes.size, 0};
    struct header header;
    if (!read_header(&reader, &header)) {
        return fail(err, ERR_INPUT, "zone %.*s: not a TZif file", TEXT_ARG(name));
    }
    if (header.version < '2') {
        return fail(err, ERR_INPUT, "zone %.*s: TZif of version 1, which ends in 2037",
                    TEXT_ARG(name));
    }
    if (!take(&reader, data_size(&header, 4)) || !read_header(&reader, &header) ||
        data_size(&header, 8) > reader.size - reader.at) {
        return fail(err, ERR_INPUT, "zone %.*s: the file ends early, at byte %zu", TEXT_ARG(name),
                    bytes.size);
    }
    if (header.leap_count > 0) {
        return fail(err, ERR_INPUT,
                    "zone %.*s: the file counts leap seconds, as those of the folder right/ do",
                    TEXT_ARG(name));
    }
    if (header.type_count == 0 || header.type_count > 256 || header.char_count == 0 ||
        (header.isut_count != 0 && header.isut_count != header.type_count) ||
        (header.isstd_count != 0 && header.isstd_count != header.type_count)) {
        return fail(err, ERR_INPUT, "zone %.*s: the counts in the header are not valid",
                    TEXT_ARG(name));
    }
    *tzif = (struct tzif){.time_count = header.time_count, .type_count = header.type_count};
    tzif->times = take(&reader, header.time_count * UINT64_C(8));
    tzif->time_types = take(&reader, header.time_count);
    tzif->types = take(&reader, header.type_count * UINT64_C(6));
    (void)take(&reader, (uint64_t)header.char_count + header.isstd_count + header.isut_count);
    TRY(read_types(name, &header, tzif->types, err));
    TRY(check_times(name, tzif, err));
    return read_footer(name, &reader, &tzif->footer, err);
}

static int32_t type_offset(const struct tzif *tzif, uint32_t type)
{
    return (int32_t)load_be32(tzif->types + (size_t)type * 6);
}

/* ---- zones --------------------------------------------------------------------------------- */

enum status zone_parse(struct arena *arena, struct text name, struct text bytes,
                       const struct zone **zone, struct error *err)
{
    struct tzif tzif = {0};
    struct rule rule;
    TRY(read_tzif(name, bytes, &tzif, err));
    bool has_rule = tzif.footer.size > 0;
    if (has_rule && !read_rule(tzif.footer, &rule)) {
        return fail(err, ERR_INPUT, "zone %.*s: the footer \"%.*s\" is no TZ string",
                    TEXT_ARG(name), tzif.footer.size > 64 ? 64 : (int)tzif.footer.size,
                    tzif.footer.at);
    }
    /* Type 0 before the first transition, the footer's rule after the last one.  The last one's
     * type holds until the rule's next change: the file should agree with its footer there, and
     * where one does not (a known bug of zic), this is what was meant. */
    int64_t ruled_from = SECOND_LOW;
    if (tzif.time_count > 0) {
        ruled_from = load_be64(tzif.times + (size_t)(tzif.time_count - 1) * 8);
    }
    size_t capacity = 1 + (size_t)tzif.time_count + (has_rule ? count_rule_changes(ruled_from) : 0);
    int64_t *shown = arena_calloc(arena, capacity, sizeof *shown);
    struct table table = {
        .starts = arena_calloc(arena, capacity, sizeof *table.starts),
        .offsets = arena_calloc(arena, capacity, sizeof *table.offsets),
        .count = 1,
    };
    table.starts[0] = SECOND_LOW;
    table.offsets[0] = has_rule && tzif.time_count == 0 ? rule.standard : type_offset(&tzif, 0);
    for (uint32_t i = 0; i < tzif.time_count; i++) {
        add_change(&table, load_be64(tzif.times + (size_t)i * 8),
                   type_offset(&tzif, tzif.time_types[i]));
    }
    if (has_rule) {
        add_rule(&table, &rule, ruled_from);
    }
    assert(table.count <= capacity);

    shown[0] = SECOND_LOW;
    for (uint32_t i = 1; i < table.count; i++) {
        int64_t reads = table.starts[i] + table.offsets[i - 1];
        shown[i] = reads > shown[i - 1] ? reads : shown[i - 1];
    }
    struct zone *made = arena_alloc(arena, sizeof *made);
    *made = (struct zone){text_copy(arena, name), table.starts, shown, table.offsets, table.count};
    *zone = made;
    return OK;
}

struct text zone_name(const struct zone *zone)
{
    return zone ? zone->name : TEXT("UTC");
}

/* The last i with bounds[i] <= value; bounds[0] always is. */
static uint32_t find_last(const int64_t *bounds, uint32_t count, int64_t value)
{
    const int64_t *from = bounds;
    while (count > 1) {
        uint32_t half = count / 2;
        from += from[half] <= value ? half : 0;
        count -= half;
    }
    return (uint32_t)(from - bounds);
}

static int32_t find_offset(const struct zone *zone, int64_t second)
{
    return zone ? zone->offsets[find_last(zone->starts, zone->count, second)] : 0;
}

int32_t zone_offset_seconds(const struct zone *zone, instant at)
{
    return find_offset(zone, floor_divide(at, NS_PER_SECOND));
}

struct civil zone_civil(const struct zone *zone, instant at)
{
    int64_t second = floor_divide(at, NS_PER_SECOND);
    int64_t local = second + find_offset(zone, second);
    int64_t days = floor_divide(local, SECONDS_PER_DAY);
    int32_t in_day = (int32_t)(local - days * SECONDS_PER_DAY);
    struct civil civil = civil_from_days(days);
    civil.hour = in_day / SECONDS_PER_HOUR;
    civil.minute = in_day / 60 % 60;
    civil.second = in_day % 60;
    civil.nanosecond = (int32_t)floor_modulo(at, NS_PER_SECOND);
    return civil;
}

/* The first instant at which the wall clock reads local seconds and nanosecond, or later. */
static instant find_instant(const struct zone *zone, int64_t local, int32_t nanosecond)
{
    if (!zone) {
        return make_instant(local, nanosecond);
    }
    uint32_t i = find_last(zone->shown, zone->count, local);
    int64_t second = local - zone->offsets[i];
    return second < zone->starts[i] ? make_instant(zone->starts[i], 0)
                                    : make_instant(second, nanosecond);
}

instant zone_instant(const struct zone *zone, struct civil civil)
{
    return find_instant(zone, civil_seconds(&civil), civil.nanosecond);
}

/* ---- clocks -------------------------------------------------------------------------------- */

static const char *const every_names[] = {
    [EVERY_HOUR] = "hour",     [EVERY_DAY] = "day",         [EVERY_WEEK] = "week",
    [EVERY_MONTH] = "month",   [EVERY_QUARTER] = "quarter", [EVERY_YEAR] = "year",
    [EVERY_ALWAYS] = "always",
};

bool clock_every_parse(struct text name, enum clock_every *every)
{
    for (int i = EVERY_HOUR; i <= EVERY_ALWAYS; i++) {
        if (text_equal(name, text_of(every_names[i]))) {
            *every = (enum clock_every)i;
            return true;
        }
    }
    return false;
}

const char *clock_every_name(enum clock_every every)
{
    assert(every >= EVERY_HOUR && every <= EVERY_ALWAYS);
    return every_names[every];
}

struct clock clock_calendar(enum clock_every every, const struct zone *zone)
{
    return (struct clock){
        .every = every,
        .count = 1,
        .anchor = {.year = 1970, .month = 1, .day = every == EVERY_WEEK ? 5 : 1},
        .zone = zone,
    };
}

struct clock clock_anchored(enum clock_every every, int32_t count, instant anchor,
                            const struct zone *zone)
{
    /* Hours are of elapsed time, and a civil time that is repeated names the first of two instants:
     * UTC names the anchor itself. */
    const struct zone *named = every == EVERY_HOUR ? NULL : zone;
    return (struct clock){
        .every = every, .count = count, .anchor = zone_civil(named, anchor), .zone = named};
}

static int32_t count_months(enum clock_every every)
{
    return every == EVERY_YEAR ? 12 : every == EVERY_QUARTER ? 3 : 1;
}

static int64_t month_number(int32_t year, int32_t month)
{
    return (int64_t)year * 12 + month - 1;
}

/* A unit is an hour, a day or a month; a turn has units of them. */
struct turns {
    const struct clock *clock;
    int64_t units;
    int64_t anchor; /* the anchor's second, day or month */
};

static struct turns make_turns(const struct clock *clock)
{
    const struct civil *anchor = &clock->anchor;
    assert(clock->count > 0 && anchor->month >= 1 && anchor->month <= 12 && anchor->day >= 1 &&
           anchor->day <= 31);
    struct turns turns = {.clock = clock, .units = clock->count};
    if (clock->every >= EVERY_MONTH) {
        turns.units *= count_months(clock->every);
        turns.anchor = month_number(anchor->year, anchor->month);
    } else {
        int last = civil_days_in_month(anchor->year, anchor->month);
        turns.units *= clock->every == EVERY_WEEK ? 7 : 1;
        turns.anchor =
            civil_to_days(anchor->year, anchor->month, anchor->day < last ? anchor->day : last);
    }
    return turns;
}

/* Never falls with k: months and days follow each other, and find_instant keeps order. */
static instant start_turn(const struct turns *turns, int64_t k)
{
    const struct civil *anchor = &turns->clock->anchor;
    int64_t at = turns->anchor + k * turns->units;
    int64_t days = at;
    if (turns->clock->every >= EVERY_MONTH) {
        /* Years out of any instant's reach saturate, so that they fit a civil date. */
        int64_t month = clamp(at, month_number(YEAR_MIN - 400, 1), month_number(YEAR_MAX + 400, 1));
        int32_t year = (int32_t)(month / 12);
        int32_t in_year = (int32_t)(month % 12) + 1;
        int last = civil_days_in_month(year, in_year);
        days = civil_to_days(year, in_year, anchor->day < last ? anchor->day : last);
    }
    int64_t local = days * SECONDS_PER_DAY + anchor->hour * SECONDS_PER_HOUR + anchor->minute * 60 +
                    anchor->second;
    return find_instant(turns->clock->zone, local, anchor->nanosecond);
}

static struct period turn_hours(const struct clock *clock, instant at)
{
    assert(clock->count > 0);
    __int128 anchor = zone_instant(clock->zone, clock->anchor);
    __int128 length = (__int128)clock->count * NS_PER_HOUR;
    __int128 into = (at - anchor) % length;
    __int128 from = at - (into < 0 ? into + length : into);
    __int128 to = from + length;
    return (struct period){from < INT64_MIN ? INT64_MIN : (instant)from,
                           to > INT64_MAX ? INT64_MAX : (instant)to};
}

struct period clock_turn(const struct clock *clock, instant at)
{
    assert(at < INT64_MAX);
    if (clock->every == EVERY_ALWAYS) {
        return (struct period){INSTANT_MIN, INSTANT_MAX};
    }
    if (clock->every == EVERY_HOUR) {
        return turn_hours(clock, at);
    }
    struct turns turns = make_turns(clock);
    int64_t second = floor_divide(at, NS_PER_SECOND);
    int64_t day = floor_divide(second + find_offset(clock->zone, second), SECONDS_PER_DAY);
    int64_t unit = day;
    if (clock->every >= EVERY_MONTH) {
        struct civil civil = civil_from_days(day);
        unit = month_number(civil.year, civil.month);
    }
    /* A guess by the wall clock; the day's time, short months and changes move it by a few. */
    int64_t k = floor_divide(unit - turns.anchor, turns.units);
    struct period turn = {start_turn(&turns, k), start_turn(&turns, k + 1)};
    while (turn.from > at) {
        turn = (struct period){start_turn(&turns, --k), turn.from};
    }
    while (turn.to <= at) {
        turn = (struct period){turn.to, start_turn(&turns, ++k + 1)};
    }
    return turn;
}
