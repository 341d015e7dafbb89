/* zone.h - private to calendar.c and zone.c: what a zone is (calendar.c says how it is looked up
 * in), and what both read texts with.
 */
#ifndef FARTHING_BASE_ZONE_H
#define FARTHING_BASE_ZONE_H

#include "base/calendar.h"

/* The seconds at and beyond which an instant is the least or the greatest one. */
#define SECOND_MIN (-INT64_C(9223372037))
#define SECOND_MAX INT64_C(9223372036)

enum {
    SECONDS_PER_HOUR = 3600,
    SECONDS_PER_DAY = 86400,
    YEAR_MIN = 1677, /* of the least instant */
    YEAR_MAX = 2262, /* of the greatest */
};

struct zone {
    struct text name;
    const int64_t *starts;
    const int64_t *shown;
    const int32_t *offsets;
    uint32_t count;
};

static inline int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static inline int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

static inline bool is_leap(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* ---- reading what was written -------------------------------------------------------------- */

struct cursor {
    const char *at, *end;
};

static inline struct cursor start_cursor(struct text text)
{
    return (struct cursor){text.at, text.size > 0 ? text.at + text.size : text.at};
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool at_digit(const struct cursor *cursor)
{
    return cursor->at < cursor->end && is_digit(*cursor->at);
}

static inline bool read_char(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c) {
        return false;
    }
    cursor->at++;
    return true;
}

static inline bool read_sign(struct cursor *cursor, int32_t *sign)
{
    *sign = read_char(cursor, '-') ? -1 : 1;
    return *sign < 0 || read_char(cursor, '+');
}

/* Exactly count digits, of a value from min to max. */
static inline bool read_fixed(struct cursor *cursor, int count, int32_t min, int32_t max,
                              int32_t *value)
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

#endif
