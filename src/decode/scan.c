/* scan.c - the loops under the fast readers: where the marks are, numbers and times of the usual shape.
 *
 * Marks are found in blocks of 64 bytes, each giving one word of bits; the last block overlaps the one before it, so
 * nothing is read beyond the text.  A wider vector unit only needs another mark_block.
 */
#include <assert.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "decode/record.h"

enum { BLOCK_BYTES = 64 };

#ifdef __SSE2__

/* What was seen so far, byte for byte; asked once at the end. */
struct seen {
    __m128i escape, control, high;
};

static inline uint64_t mark_quarter(struct seen *seen, const char *bytes, __m128i mark,
                                    __m128i escape)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i delete = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    seen->escape = _mm_or_si128(seen->escape, _mm_cmpeq_epi8(x, escape));
    seen->control = _mm_or_si128(seen->control, _mm_or_si128(low, delete));
    seen->high = _mm_or_si128(seen->high, x);
    return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, mark));
}

static inline uint64_t mark_block(struct seen *seen, const char *bytes, char mark, char escape)
{
    __m128i marks = _mm_set1_epi8(mark);
    __m128i escapes = _mm_set1_epi8(escape);
    return mark_quarter(seen, bytes, marks, escapes) |
           mark_quarter(seen, bytes + 16, marks, escapes) << 16 |
           mark_quarter(seen, bytes + 32, marks, escapes) << 32 |
           mark_quarter(seen, bytes + 48, marks, escapes) << 48;
}

static inline unsigned seen_flags(const struct seen *seen)
{
    return (_mm_movemask_epi8(seen->escape) ? SCAN_ESCAPE : 0u) |
           (_mm_movemask_epi8(seen->control) ? SCAN_CONTROL : 0u) |
           (_mm_movemask_epi8(seen->high) ? SCAN_HIGH : 0u);
}

static inline struct seen seen_nothing(void)
{
    __m128i zero = _mm_setzero_si128();
    return (struct seen){zero, zero, zero};
}

#else

struct seen {
    unsigned flags;
};

static inline uint64_t mark_block(struct seen *seen, const char *bytes, char mark, char escape)
{
    uint64_t marks = 0;
    for (int i = 0; i < BLOCK_BYTES; i++) {
        unsigned char c = (unsigned char)bytes[i];
        marks |= (uint64_t)(bytes[i] == mark) << i;
        seen->flags |= (bytes[i] == escape ? SCAN_ESCAPE : 0u) |
                       (c < 0x20 || c == 0x7f ? SCAN_CONTROL : 0u) |
                       (c >= 0x80 ? SCAN_HIGH : 0u);
    }
    return marks;
}

static inline unsigned seen_flags(const struct seen *seen)
{
    return seen->flags;
}

static inline struct seen seen_nothing(void)
{
    return (struct seen){0};
}

#endif

/* Writes more positions than there are marks, which costs less than a branch for each; what is
 * beyond is overwritten by the next block. */
static inline size_t put_marks(uint16_t *marks, size_t count, uint64_t bits, size_t base)
{
    size_t total = count + (size_t)__builtin_popcountll(bits);
    for (size_t i = count; i < total;) {
        for (int k = 0; k < 8; k++, i++) {
            marks[i] = (uint16_t)(base + (bits ? (size_t)__builtin_ctzll(bits) : 0));
            bits &= bits - 1;
        }
    }
    return total;
}

size_t scan_marks(struct text text, char mark, char escape, uint16_t *marks, unsigned *flags)
{
    assert(text.size >= BLOCK_BYTES && text.size <= FAST_MAX_BYTES);
    struct seen seen = seen_nothing();
    size_t count = 0;
    size_t base = 0;
    for (; base + BLOCK_BYTES <= text.size; base += BLOCK_BYTES) {
        count = put_marks(marks, count, mark_block(&seen, text.at + base, mark, escape), base);
    }
    size_t rest = text.size - base;
    if (rest > 0) {
        uint64_t bits = mark_block(&seen, text.at + text.size - BLOCK_BYTES, mark, escape);
        count = put_marks(marks, count, bits >> (BLOCK_BYTES - rest), base);
    }
    marks[count] = marks[count + 1] = (uint16_t)text.size;
    *flags = seen_flags(&seen);
    return count;
}

/* ---- numbers ------------------------------------------------------------------------------- */

enum { DIGITS_MAX = 18 }; /* fit into 64 bits */

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

size_t scan_plain_number(struct text text, struct dec *number)
{
    const char *at = text.at;
    const char *end = at + text.size;
    bool is_negative = at < end && *at == '-';
    at += is_negative;
    const char *first = at;
    uint64_t value = 0;
    while (at < end && is_digit(*at)) {
        value = value * 10 + (uint64_t)(*at++ - '0');
    }
    size_t digits = (size_t)(at - first);
    if (digits == 0 || (digits > 1 && *first == '0')) {
        return 0;
    }
    int32_t scale = 0;
    if (at < end && *at == '.') {
        const char *point = at++;
        while (at < end && is_digit(*at)) {
            value = value * 10 + (uint64_t)(*at++ - '0');
        }
        scale = (int32_t)(at - point) - 1;
        if (scale == 0) {
            return 0;
        }
        digits += (size_t)scale;
    }
    if (digits > DIGITS_MAX || (at < end && (*at | 0x20) == 'e')) {
        return 0;
    }
    while (scale > 0 && value % 10 == 0) {
        value /= 10;
        scale--;
    }
    int64_t mantissa = is_negative ? -(int64_t)value : (int64_t)value;
    *number = (struct dec){mantissa, scale};
    return (size_t)(at - text.at);
}

enum number_fault scan_number(struct text text, struct dec *number)
{
    if (text.size > 0 && scan_plain_number(text, number) == text.size) {
        return NUMBER_OK;
    }
    return dec_parse(text, number);
}

/* ---- times --------------------------------------------------------------------------------- */

/* The value of two digits; what is no digit shows in *bad. */
static inline int two_digits(const char *at, unsigned *bad)
{
    unsigned high = (unsigned char)at[0] - (unsigned)'0';
    unsigned low = (unsigned char)at[1] - (unsigned)'0';
    *bad |= (high > 9) | (low > 9);
    return (int)(high * 10 + low);
}

/* 2026-10-01T00:00:00Z, or with three digits of fraction: what most producers write. */
static bool read_usual_time(struct text text, instant *at)
{
    const char *c = text.at;
    bool has_fraction = text.size == 24;
    if ((!has_fraction && text.size != 20) || c[text.size - 1] != 'Z') {
        return false;
    }
    unsigned bad = (c[4] != '-') | (c[7] != '-') | (c[10] != 'T') | (c[13] != ':') |
                   (c[16] != ':');
    int year = two_digits(c, &bad) * 100 + two_digits(c + 2, &bad);
    int month = two_digits(c + 5, &bad);
    int day = two_digits(c + 8, &bad);
    int hour = two_digits(c + 11, &bad);
    int minute = two_digits(c + 14, &bad);
    int second = two_digits(c + 17, &bad);
    int milli = 0;
    if (has_fraction) {
        unsigned digit = (unsigned char)c[20] - (unsigned)'0';
        bad |= (c[19] != '.') | (digit > 9);
        milli = (int)digit * 100 + two_digits(c + 21, &bad);
    }
    /* Days 29 to 31 and the rest of the calendar's corners are left to time_parse. */
    bad |= (year < 1970) | (year > 2261) | (month < 1) | (month > 12) | (day < 1) | (hour > 23) |
           (minute > 59) | (second > 59);
    if (bad || (day > 28 && day > civil_days_in_month(year, month))) {
        return false;
    }
    int64_t seconds = civil_to_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *at = seconds * NS_PER_SECOND + (int64_t)milli * 1'000'000;
    return true;
}

enum time_fault scan_time(struct text text, instant *at)
{
    return read_usual_time(text, at) ? TIME_OK : time_parse(text, at);
}
