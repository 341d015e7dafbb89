/* fuzz_zone.c - bytes as a zone.
 *
 * Whatever bytes are taken for a zone, the promises of calendar.h hold in it: offsets are less than
 * 26 hours, a civil time's instant is the first that shows it or a later one, order is kept, and
 * turns tile.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/calendar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static bool civil_is_before(struct civil a, struct civil b)
{
    const int32_t pairs[][2] = {{a.year, b.year},
                                {a.month, b.month},
                                {a.day, b.day},
                                {a.hour, b.hour},
                                {a.minute, b.minute},
                                {a.second, b.second},
                                {a.nanosecond, b.nanosecond}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i][0] != pairs[i][1]) {
            return pairs[i][0] < pairs[i][1];
        }
    }
    return false;
}

static void check_instant(const struct zone *zone, instant at)
{
    int32_t offset = zone_offset_seconds(zone, at);
    assert(offset > -26 * 3600 && offset < 26 * 3600);
    struct civil civil = zone_civil(zone, at);
    instant first = zone_instant(zone, civil);
    assert(first <= at);
    assert(!civil_is_before(zone_civil(zone, first), civil));
    assert(civil_is_before(zone_civil(zone, first - 1), civil));
    struct civil later = civil;
    later.nanosecond = 999999999;
    later.second = 59;
    assert(zone_instant(zone, later) >= first);
}

static void check_turns(const struct zone *zone, instant at, uint8_t choice)
{
    struct clock clock = {
        .every = (enum clock_every)(choice % EVERY_ALWAYS),
        .count = 1 + choice % 5,
        .anchor = {.year = 1960 + choice % 100,
                   .month = 1 + choice % 12,
                   .day = 1 + choice % 31,
                   .hour = choice % 24,
                   .minute = choice % 60},
        .zone = zone,
    };
    struct period turn = clock_turn(&clock, at);
    assert(period_has(turn, at));
    if (turn.to == INT64_MAX) {
        return; /* beyond the last instant */
    }
    struct period next = clock_turn(&clock, turn.to);
    struct period last = clock_turn(&clock, turn.from - 1);
    struct period same = clock_turn(&clock, turn.to - 1);
    assert(next.from == turn.to && last.to == turn.from);
    assert(same.from == turn.from && same.to == turn.to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct arena arena;
    struct error err;
    const struct zone *zone;
    arena_init(&arena, NULL, 0);
    struct text bytes = {(const char *)data, size_bytes};
    enum status status = zone_parse(&arena, TEXT("fuzz"), bytes, &zone, &err);
    assert(status == OK || (status == ERR_INPUT && err.message[0] != '\0'));
    if (status == OK) {
        static const instant ats[] = {0, INT64_C(1774746000000000000), INT64_C(1792890000000000001),
                                      INT64_C(4102444800000000000), INSTANT_MAX - 1};
        for (size_t i = 0; i < sizeof ats / sizeof *ats; i++) {
            check_instant(zone, ats[i]);
            check_turns(zone, ats[i], (uint8_t)(data[size_bytes - 2] + data[size_bytes / 2] + i));
        }
        /* Around each change that a year's days show. */
        for (instant at = 0; at < 366 * NS_PER_DAY; at += NS_PER_DAY) {
            check_instant(zone, INT64_C(1767225600) * NS_PER_SECOND + at);
        }
    }
    arena_release(&arena);
    return 0;
}
