/* calendar.h - instants, civil dates, zones, and clocks whose turns tile time.
 *
 *     text --time_parse--> instant --zone--> civil --clock--> period [from, to)
 *
 * An instant is nanoseconds since 1970-01-01T00:00:00Z without leap seconds; a period is half-open.
 * A zone is parsed from the bytes of a TZif file (RFC 8536, version 2 and later, with its POSIX
 * TZ footer for years after the table), so nothing here opens a file or has a "local" zone.
 *
 * Promise: the turns of a clock tile time.  Each instant lies in exactly one turn, the end of a
 * turn is the start of the next, in every zone, for every anchor (29 February, the 31st, a
 * wall-clock time that a DST change skips or repeats).
 */
#ifndef FARTHING_BASE_CALENDAR_H
#define FARTHING_BASE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

typedef int64_t instant; /* ns; accepted input is [1970-01-01, 2262-01-01) */

#define INSTANT_MIN   ((instant)0)
#define INSTANT_MAX   ((instant)9214646400000000000) /* 2262-01-01T00:00:00Z: "no end" */
#define NS_PER_SECOND INT64_C(1000000000)
#define NS_PER_HOUR   (INT64_C(3600) * NS_PER_SECOND)
#define NS_PER_DAY    (INT64_C(24) * NS_PER_HOUR)

struct period {
    instant from, to;
};

static inline bool period_has(struct period period, instant at)
{
    return period.from <= at && at < period.to;
}
static inline bool period_equal(struct period a, struct period b)
{
    return a.from == b.from && a.to == b.to;
}
/* The common part; from == to when there is none. */
struct period period_intersect(struct period a, struct period b);
/* Ascending, in place. */
void instants_sort(instant *items, size_t count);

/* A date and time of day in the proleptic Gregorian calendar, of no zone. */
struct civil {
    int32_t year;
    int32_t month, day; /* 1..12, 1..31 */
    int32_t hour, minute, second;
    int32_t nanosecond;
};

int64_t civil_to_days(int32_t year, int32_t month, int32_t day); /* since 1970-01-01 */
struct civil civil_from_days(int64_t days);
int civil_days_in_month(int32_t year, int32_t month);
int civil_weekday(int64_t days); /* ISO: 1 Monday .. 7 Sunday */

/* ---- text ---------------------------------------------------------------------------------- */

/* In order of precedence.  A text with a fault leaves the result as it was. */
enum time_fault {
    TIME_OK = 0,
    TIME_SYNTAX, /* not RFC 3339, or no such date: month 13, 30 February, 24:00:01 */
    TIME_ZONE,   /* no zone designator */
    TIME_RANGE,  /* before 1970 or from 2262 on */
};
const char *time_fault_name(enum time_fault fault); /* "TIME_SYNTAX" ... */

/* RFC 3339 with a zone designator: 2026-10-01T00:00:00.509Z, ...+02:00; lower-case t and z and a
 * blank for T are accepted, as RFC 3339 allows; up to nine digits of fraction, more only when they
 * are zeros (else TIME_SYNTAX).  A leap second hh:mm:60 is the next second's start (with any
 * fraction).  24:00:00 is the next day's start. */
enum time_fault time_parse(struct text text, instant *at);
/* Seconds since 1970 as a decimal text, to the nanosecond: "1780586634.1". TIME_SYNTAX, TIME_RANGE.
 */
enum time_fault time_parse_epoch(struct text text, instant *at);
/* "2026-10-01" or a full RFC 3339 time: a date is the start of that day in zone (UTC when NULL). */
struct zone;
enum time_fault time_parse_date(struct text text, const struct zone *zone, instant *at);
/* "2026-10", "2026-10-05", "2026", "2026-W40", "2026-Q4", or "FROM/TO" of two dates or times: in
 * zone (UTC when NULL). FROM must be before TO (else TIME_SYNTAX); an end may be INSTANT_MAX. */
enum time_fault period_parse(struct text text, const struct zone *zone, struct period *period);

/* What time_format or time_format_short has written: of our own files, where a turn may end with
 * INSTANT_MAX or behind it. */
bool time_read(struct text text, instant *at);

enum { TIME_FORMAT_MAX = 36 };
/* UTC, with as many digits of fraction as are needed: 0, 3, 6 or 9; "2026-10-01T00:00:00Z". Returns
 * the length. */
int time_format(instant at, char out[TIME_FORMAT_MAX]);
/* "2026-10-01" when at is a UTC midnight, else as time_format. */
int time_format_short(instant at, char out[TIME_FORMAT_MAX]);

/* ---- zones --------------------------------------------------------------------------------- */

/* Reads a TZif file's bytes; the zone points into the arena, not into bytes.  ERR_INPUT when they
 * are no valid TZif of version 2 or later, or count leap seconds (the files of tzdata's "right").
 * name is kept ("Europe/Berlin"). */
enum status zone_parse(struct arena *arena, struct text name, struct text bytes,
                       const struct zone **zone, struct error *err);
struct text zone_name(const struct zone *zone); /* "UTC" when NULL */

/* Seconds east of UTC in force at an instant; NULL is UTC. */
int32_t zone_offset_seconds(const struct zone *zone, instant at);
struct civil zone_civil(const struct zone *zone, instant at);
/* The instant of a civil time.  Repeated: the first of the two.  Skipped by a change: the instant
 * of the change. (Each civil time has one instant, and order is kept, which is what makes turns
 * tile.)  Beyond 64 bits: INT64_MIN, INT64_MAX. */
instant zone_instant(const struct zone *zone, struct civil civil);

/* ---- clocks -------------------------------------------------------------------------------- */

enum clock_every {
    EVERY_HOUR,
    EVERY_DAY,
    EVERY_WEEK,
    EVERY_MONTH,
    EVERY_QUARTER,
    EVERY_YEAR,
    EVERY_ALWAYS, /* one turn: all time */
};
bool clock_every_parse(struct text name, enum clock_every *every);
const char *clock_every_name(enum clock_every every);

/* Turns start at anchor + k x count units of civil time in zone; a day that a month lacks is the
 * month's last (31st: 30 April; 29 February: 28 February), counted from the anchor each time, so it
 * returns to the 31st.  Hours are of elapsed time from the anchor (3600 s each); days and longer
 * are of civil time. */
struct clock {
    enum clock_every every;
    int32_t count;           /* 1: every month; 3: every third */
    struct civil anchor;     /* calendar: 1970-01-01 (a Monday anchor for weeks: 1970-01-05) */
    const struct zone *zone; /* NULL: UTC */
};
/* The calendar's own: midnight, Monday, the 1st, January. */
struct clock clock_calendar(enum clock_every every, const struct zone *zone);
/* Anchored at an instant, e.g. the start of a contract, at its civil time in zone; hours at the
 * very instant, by UTC, since a civil time that is repeated would name the first of two. */
struct clock clock_anchored(enum clock_every every, int32_t count, instant anchor,
                            const struct zone *zone);
/* Anchored at the start of something that may have none: then it is the clock itself. */
static inline struct clock clock_since(struct clock clock, instant start)
{
    return start == INSTANT_MIN ? clock
                                : clock_anchored(clock.every, clock.count, start, clock.zone);
}
/* The one turn that holds at (below INT64_MAX).  An end beyond 64 bits is INT64_MAX; always is
 * [INSTANT_MIN, INSTANT_MAX). */
struct period clock_turn(const struct clock *clock, instant at);

#endif
