/* hours.c - calendars: the hours of a week that a price tells apart, in local time.
 *
 * Membership is decided by the local date and time alone.  Rows must not cross a moment where it
 * changes: those are found from local day to local day, in which the offset of the zone is mostly
 * one; where it is not, the change of clocks is found first.
 */
#include "catalog/load.h"

#include <stdlib.h>

#include "base/nofloat.h"

enum { MINUTES_OF_DAY = 1440, SECONDS_OF_DAY = 86'400, HOURS_MAX = 100, EXCEPT_MAX = 1000 };

/* ---- membership ---- */

static int compare_days(const void *a, const void *b)
{
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static bool holds_local(const struct calendar *calendar, int64_t local_s)
{
    int64_t day = local_s / SECONDS_OF_DAY - (local_s % SECONDS_OF_DAY < 0);
    if (calendar->except_count > 0 &&
        bsearch(&day, calendar->except, calendar->except_count, sizeof day, compare_days) != NULL) {
        return false;
    }
    int32_t minute = (int32_t)((local_s - day * SECONDS_OF_DAY) / 60);
    const struct day_hours *hours = &calendar->days[civil_weekday(day) - 1];
    for (uint32_t i = 0; i < hours->count; i++) {
        if (minute >= hours->from[i] && minute < hours->to[i]) {
            return true;
        }
    }
    return false;
}

static int64_t local_seconds(const struct calendar *calendar, instant at)
{
    int64_t second = at / NS_PER_SECOND - (at % NS_PER_SECOND < 0);
    return second + zone_offset_seconds(calendar->zone, at);
}

bool calendar_has(const struct calendar *calendar, instant at)
{
    return holds_local(calendar, local_seconds(calendar, at));
}

/* ---- where it changes ---- */

/* The first second in (at, end] from which the zone's offset is no longer that of at; end when it
 * stays. */
static instant offset_change(const struct zone *zone, instant at, instant end)
{
    int32_t offset = zone_offset_seconds(zone, at);
    if (zone_offset_seconds(zone, end - 1) == offset) {
        return end;
    }
    instant low = at, high = end; /* low has the offset, high - 1 has another */
    while (high - low > NS_PER_SECOND) {
        instant middle = low + (high - low) / 2;
        if (zone_offset_seconds(zone, middle) == offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high - high % NS_PER_SECOND; /* changes of clocks are at whole seconds */
}

/* The first instant in (at, end) where membership is not that of at; end when there is none. */
static instant next_change(const struct calendar *calendar, instant at, instant end)
{
    bool holds = calendar_has(calendar, at);
    while (at < end) {
        int64_t local = local_seconds(calendar, at);
        int64_t of_day = (local % SECONDS_OF_DAY + SECONDS_OF_DAY) % SECONDS_OF_DAY;
        instant second = at - (at % NS_PER_SECOND + NS_PER_SECOND) % NS_PER_SECOND;
        instant stop = second + (SECONDS_OF_DAY - of_day) * NS_PER_SECOND;
        stop = offset_change(calendar->zone, at, stop < end ? stop : end);
        const struct day_hours *hours =
            &calendar->days[civil_weekday((local - of_day) / SECONDS_OF_DAY) - 1];
        instant found = stop;
        for (uint32_t i = 0; i < 2 * hours->count; i++) {
            int64_t edge = (i % 2 == 0 ? hours->from[i / 2] : hours->to[i / 2]) * INT64_C(60);
            instant candidate = second + (edge - of_day) * NS_PER_SECOND;
            if (edge > of_day && candidate < found && calendar_has(calendar, candidate) != holds) {
                found = candidate;
            }
        }
        if (found < end && calendar_has(calendar, found) != holds) {
            return found;
        }
        at = stop;
    }
    return end;
}

/* Since when, from begin on, membership has been what it is at an instant.  Changes are only found
 * forwards, so it goes back day by day. */
static instant last_change(const struct calendar *calendar, instant at, instant begin)
{
    bool holds = calendar_has(calendar, at);
    while (at > begin) {
        instant from = at - begin > NS_PER_DAY ? at - NS_PER_DAY : begin, next;
        while ((next = next_change(calendar, from, at)) < at) {
            from = next;
        }
        if (calendar_has(calendar, from) != holds) {
            break;
        }
        at = from;
    }
    return at;
}

struct period calendar_stretch(const struct calendar *calendar, instant at, struct period within)
{
    return (struct period){last_change(calendar, at, within.from),
                           next_change(calendar, at, within.to)};
}

/* ---- reading ---- */

static const char *const weekdays[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL};

static bool take_weekday(struct text text, size_t *at, int *day)
{
    for (int i = 0; i < 7; i++) {
        if (text.size - *at >= 3 && memcmp(text.at + *at, weekdays[i], 3) == 0) {
            *at += 3;
            *day = i;
            return true;
        }
    }
    return false;
}

static bool take_char(struct text text, size_t *at, char c)
{
    bool is_there = *at < text.size && text.at[*at] == c;
    *at += is_there;
    return is_there;
}

/* 07:00, up to 24:00. */
static bool take_minute(struct text text, size_t *at, int *minute)
{
    int digits[4];
    for (int i = 0; i < 4; i++) {
        if ((i == 2 && !take_char(text, at, ':')) || *at >= text.size || text.at[*at] < '0' ||
            text.at[*at] > '9') {
            return false;
        }
        digits[i] = text.at[(*at)++] - '0';
    }
    int hour = digits[0] * 10 + digits[1], rest = digits[2] * 10 + digits[3];
    *minute = hour * 60 + rest;
    return rest < 60 && *minute <= MINUTES_OF_DAY;
}

/* "mon-fri,sun 07:00-20:00": days default to all; hours that end at or before they begin go on into
 * the next day. */
static bool parse_hours(struct text text, bool days[7], int *from, int *to)
{
    size_t at = 0;
    int first, last;
    memset(days, 0, 7 * sizeof *days);
    if (!take_weekday(text, &at, &first)) {
        memset(days, 1, 7 * sizeof *days);
    } else {
        for (;;) {
            last = first;
            if (take_char(text, &at, '-') && !take_weekday(text, &at, &last)) {
                return false;
            }
            for (int day = first;; day = (day + 1) % 7) {
                days[day] = true;
                if (day == last) {
                    break;
                }
            }
            if (!take_char(text, &at, ',')) {
                break;
            }
            if (!take_weekday(text, &at, &first)) {
                return false;
            }
        }
        if (!take_char(text, &at, ' ')) {
            return false;
        }
    }
    return take_minute(text, &at, from) && take_char(text, &at, '-') &&
           take_minute(text, &at, to) && at == text.size && *from < MINUTES_OF_DAY;
}

static void add_hours(struct loader *loader, struct day_hours *hours, int from, int to)
{
    if (from >= to) {
        return;
    }
    if (hours->from == NULL) {
        hours->from = arena_calloc(loader->arena, 2 * HOURS_MAX, sizeof *hours->from);
        hours->to = arena_calloc(loader->arena, 2 * HOURS_MAX, sizeof *hours->to);
    }
    hours->from[hours->count] = (int16_t)from;
    hours->to[hours->count++] = (int16_t)to;
}

static void read_hours(struct loader *loader, const struct yaml_node *node,
                       struct calendar *calendar)
{
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count == 0 || node->count > HOURS_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "1 to %d hours are wanted", HOURS_MAX);
        return;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = &node->items[i];
        bool days[7];
        int from, to;
        if (!want_kind(loader, item, YAML_TEXT)) {
            continue;
        }
        if (!parse_hours(item->text, days, &from, &to)) {
            COMPLAIN(loader, item, "BAD_VALUE", TEXT("\"mon-fri 07:00-20:00\", \"22:00-06:00\""),
                     "'%.*s' is no days and hours", TEXT_ARG(item->text));
            continue;
        }
        for (int day = 0; day < 7; day++) {
            if (days[day] && to > from) {
                add_hours(loader, &calendar->days[day], from, to);
            } else if (days[day]) {
                add_hours(loader, &calendar->days[day], from, MINUTES_OF_DAY);
                add_hours(loader, &calendar->days[(day + 1) % 7], 0, to);
            }
        }
    }
}

static void read_except(struct loader *loader, const struct yaml_node *node,
                        struct calendar *calendar)
{
    if (!want_kind(loader, node, YAML_LIST)) {
        return;
    }
    if (node->count > EXCEPT_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "at most %d dates", EXCEPT_MAX);
        return;
    }
    int64_t *days = arena_calloc(loader->arena, node->count + 1, sizeof *days);
    for (uint32_t i = 0; i < node->count; i++) {
        enum { DATE_BYTES = 10 };
        const struct yaml_node *item = &node->items[i];
        instant at;
        if (item->kind != YAML_TEXT || item->text.size != DATE_BYTES ||
            time_parse_date(item->text, NULL, &at) != TIME_OK) {
            COMPLAIN(loader, item, "TIME_SYNTAX", TEXT("2026-12-25"), "a date is wanted here");
            continue;
        }
        days[calendar->except_count++] = at / NS_PER_DAY;
    }
    if (calendar->except_count > 0) {
        qsort(days, calendar->except_count, sizeof *days, compare_days);
    }
    calendar->except = days;
}

void load_calendars(struct loader *loader, struct section section)
{
    static const char *const keys[] = {"zone", "hours", "except", NULL};
    struct calendar *calendars = arena_calloc(loader->arena, section.count + 1, sizeof *calendars);
    loader->catalog->calendars = calendars;
    loader->catalog->calendar_count = section.count;
    for (uint32_t i = 0; i < section.count; i++) {
        const struct yaml_node *node = section.items[i];
        struct calendar *calendar = &calendars[i];
        calendar->name = node->key;
        calendar->zone = loader->zone;
        if (!want_kind(loader, node, YAML_MAP)) {
            continue;
        }
        check_keys(loader, node, "a calendar", keys);
        if (yaml_member(node, "zone") != NULL) {
            read_zone(loader, yaml_member(node, "zone"), &calendar->zone);
        }
        if (want_member(loader, node, "hours") != NULL) {
            read_hours(loader, yaml_member(node, "hours"), calendar);
        }
        if (yaml_member(node, "except") != NULL) {
            read_except(loader, yaml_member(node, "except"), calendar);
        }
    }
}
