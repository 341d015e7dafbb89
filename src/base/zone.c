/* zone.c - the bytes of a TZif file as the table of a zone; see calendar.c for what it is.
 *
 *     transitions of the file, then its footer's rule, year by year --> starts, offsets, shown
 *
 * A file is read as RFC 8536 has it, and refused for what is wrong with it: it may come from
 * anywhere.
 */
#include "base/zone.h"

#include <assert.h>

#include "base/nofloat.h"

#define SECOND_LOW (INT64_MIN / 4)                   /* below any second and any wall clock time */
enum { OFFSET_MAX_SECONDS = 26 * SECONDS_PER_HOUR }; /* RFC 8536, 3.2: less than 26 hours */

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

/* ---- the zone ------------------------------------------------------------------------------ */

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
