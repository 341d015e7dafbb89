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
#include "base/zone.h"

#include "base/nofloat.h"

static int64_t floor_modulo(int64_t a, int64_t b)
{
    return a % b + (a % b < 0 ? b : 0);
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

bool time_read(struct text text, instant *at)
{
    instant read;
    bool is_good = read_date_or_time(text, NULL, &read) == TIME_OK;
    *at = is_good ? read : *at;
    return is_good;
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

/* ---- zones --------------------------------------------------------------------------------- */

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
