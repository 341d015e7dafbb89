/* scan.c - the loops under the fast readers: where the marks are, numbers and times of the usual
 * shape.
 *
 * Marks are found in blocks of 64 bytes, each giving one word of bits; the last block overlaps the
 * one before it, so nothing is read beyond the text.
 */
#include <assert.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base/bytes.h"
#include "base/digits.h"
#include "decode/record.h"

enum { BLOCK_BYTES = 64 };

#ifdef __SSE2__

/* What was seen so far: the extremes tell whether a control character or anything beyond ASCII was
 * there, at two operations a block. */
struct seen {
    __m128i escape, lowest, highest;
};

static inline uint64_t mark_quarter(struct seen *seen, const char *bytes, __m128i mark,
                                    __m128i escape)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    seen->escape = _mm_or_si128(seen->escape, _mm_cmpeq_epi8(x, escape));
    seen->lowest = _mm_min_epu8(seen->lowest, x);
    seen->highest = _mm_max_epu8(seen->highest, x);
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

static inline struct seen seen_nothing(void)
{
    return (struct seen){_mm_setzero_si128(), _mm_set1_epi8(' '), _mm_set1_epi8(' ')};
}

static inline bool seen_escape(const struct seen *seen)
{
    return _mm_movemask_epi8(seen->escape) != 0;
}

/* Nothing but what ASCII prints. */
static inline bool seen_plain(const struct seen *seen)
{
    __m128i low = _mm_cmpeq_epi8(seen->lowest, _mm_set1_epi8(' '));
    __m128i high =
        _mm_cmpeq_epi8(_mm_max_epu8(seen->highest, _mm_set1_epi8(0x7e)), _mm_set1_epi8(0x7e));
    return _mm_movemask_epi8(_mm_and_si128(low, high)) == 0xFFFF;
}

#else

struct seen {
    bool is_escape, is_other;
};

static inline uint64_t mark_block(struct seen *seen, const char *bytes, char mark, char escape)
{
    uint64_t marks = 0;
    for (int i = 0; i < BLOCK_BYTES; i++) {
        marks |= (uint64_t)(bytes[i] == mark) << i;
        seen->is_escape |= bytes[i] == escape;
        seen->is_other |= (unsigned char)(bytes[i] - 0x20) > 0x5e;
    }
    return marks;
}

static inline struct seen seen_nothing(void)
{
    return (struct seen){false, false};
}

static inline bool seen_escape(const struct seen *seen)
{
    return seen->is_escape;
}

static inline bool seen_plain(const struct seen *seen)
{
    return !seen->is_other;
}

#endif

static unsigned name_flags(struct text text)
{
    unsigned flags = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        flags |= (c < 0x20 || c == 0x7f ? SCAN_CONTROL : 0u) | (c >= 0x80 ? SCAN_HIGH : 0u);
    }
    return flags;
}

unsigned scan_marks_narrow(struct text text, char mark, char escape, uint64_t *words)
{
    assert(text.size >= SCAN_MIN_BYTES && text.size <= SCAN_MAX_BYTES);
    struct seen seen = seen_nothing();
    const char *at = text.at;
    size_t rest = text.size;
    for (; rest >= BLOCK_BYTES; rest -= BLOCK_BYTES, at += BLOCK_BYTES) {
        *words++ = mark_block(&seen, at, mark, escape);
    }
    if (rest > 0) {
        uint64_t bits = mark_block(&seen, at + rest - BLOCK_BYTES, mark, escape);
        *words++ = bits >> (BLOCK_BYTES - rest);
    }
    *words = UINT64_MAX; /* so that there is always a next mark, beyond the text */
    return (seen_escape(&seen) ? SCAN_ESCAPE : 0u) | (seen_plain(&seen) ? 0u : name_flags(text));
}

#ifdef __x86_64__

/* As above, 32 bytes at once. */
__attribute__((target("avx2"))) static unsigned scan_marks_wide(struct text text, char mark,
                                                                char escape, uint64_t *words)
{
    const __m256i marks = _mm256_set1_epi8(mark), escapes = _mm256_set1_epi8(escape);
    const __m256i lowest = _mm256_set1_epi8(' '), highest = _mm256_set1_epi8(0x7e);
    __m256i escaped = _mm256_setzero_si256(), low = lowest, high = highest;
    for (size_t at = 0; at < text.size; at += BLOCK_BYTES) {
        size_t rest = text.size - at, back = rest < BLOCK_BYTES ? BLOCK_BYTES - rest : 0;
        const __m256i *block = (const void *)(text.at + at - back);
        __m256i x = _mm256_loadu_si256(block), y = _mm256_loadu_si256(block + 1);
        escaped = _mm256_or_si256(
            escaped, _mm256_or_si256(_mm256_cmpeq_epi8(x, escapes), _mm256_cmpeq_epi8(y, escapes)));
        low = _mm256_min_epu8(low, _mm256_min_epu8(x, y));
        high = _mm256_max_epu8(high, _mm256_max_epu8(x, y));
        uint64_t first = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, marks));
        uint64_t second = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(y, marks));
        *words++ = (first | second << 32) >> back;
    }
    *words = UINT64_MAX;
    bool is_plain = _mm256_movemask_epi8(_mm256_and_si256(_mm256_cmpeq_epi8(low, lowest),
                                                          _mm256_cmpeq_epi8(high, highest))) == -1;
    return (_mm256_movemask_epi8(escaped) != 0 ? SCAN_ESCAPE : 0u) |
           (is_plain ? 0u : name_flags(text));
}

unsigned scan_marks(struct text text, char mark, char escape, uint64_t *words)
{
    assert(text.size >= SCAN_MIN_BYTES && text.size <= SCAN_MAX_BYTES);
    return (__builtin_cpu_supports("avx2") ? scan_marks_wide : scan_marks_narrow)(text, mark,
                                                                                  escape, words);
}

#else

unsigned scan_marks(struct text text, char mark, char escape, uint64_t *words)
{
    return scan_marks_narrow(text, mark, escape, words);
}

#endif

/* ---- lines ----------------------------------------------------------------------------------- */

static unsigned scan_line_narrow(const char *at, char mark, char escape, uint64_t *words,
                                 size_t *size)
{
    const char *end = memchr(at, '\n', SCAN_MAX_BYTES);
    *size = end ? (size_t)(end - at) : (size_t)SCAN_MAX_BYTES;
    const struct text line = {at, *size};
    if (line.size >= SCAN_MIN_BYTES) {
        return scan_marks_narrow(line, mark, escape, words);
    }
    char block[SCAN_MIN_BYTES];
    memset(block, ' ', sizeof block);
    memcpy(block, at, line.size);
    return scan_marks_narrow((struct text){block, sizeof block}, mark, escape, words);
}

#ifdef __x86_64__

/* The bits below the lowest one that is set. */
static inline uint64_t below_lowest(uint64_t bits)
{
    return ~bits & (bits - 1);
}

/* As above, 32 bytes at once. What is behind the newline counts as blanks. */
__attribute__((target("avx2,bmi"))) static unsigned
scan_line_middle(const char *at, char mark, char escape, uint64_t *words, size_t *size)
{
    enum { AT_ONCE = 32 };
    static const char KEPT[2 * AT_ONCE] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                                          "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                                          "\xff\xff\xff\xff\xff\xff";
    const __m256i marks = _mm256_set1_epi8(mark), escapes = _mm256_set1_epi8(escape);
    const __m256i newlines = _mm256_set1_epi8('\n');
    const __m256i lowest = _mm256_set1_epi8(' '), highest = _mm256_set1_epi8(0x7e);
    __m256i escaped = _mm256_setzero_si256(), low = lowest, high = highest;
    uint64_t word = 0;
    for (size_t base = 0;; base += AT_ONCE) {
        __m256i x = _mm256_loadu_si256((const void *)(at + base));
        uint32_t ends = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, newlines));
        if (ends) {
            const char *kept = KEPT + AT_ONCE - __builtin_ctz(ends);
            x = _mm256_blendv_epi8(lowest, x, _mm256_loadu_si256((const void *)kept));
        }
        uint64_t found = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, marks));
        escaped = _mm256_or_si256(escaped, _mm256_cmpeq_epi8(x, escapes));
        low = _mm256_min_epu8(low, x);
        high = _mm256_max_epu8(high, x);
        word |= found << base % BLOCK_BYTES;
        if (base % BLOCK_BYTES != 0 || ends) {
            *words++ = word;
            word = 0;
        }
        if (ends || base == SCAN_MAX_BYTES) {
            *words = UINT64_MAX;
            *size = base + (ends ? (size_t)__builtin_ctz(ends) : 0);
            break;
        }
    }
    bool is_plain = _mm256_movemask_epi8(_mm256_and_si256(_mm256_cmpeq_epi8(low, lowest),
                                                          _mm256_cmpeq_epi8(high, highest))) == -1;
    return (_mm256_movemask_epi8(escaped) != 0 ? SCAN_ESCAPE : 0u) |
           (is_plain ? 0u : name_flags((struct text){at, *size}));
}

/* As above, 64 bytes. */
__attribute__((target("avx512f,avx512bw,bmi"))) static unsigned
scan_line_wide(const char *at, char mark, char escape, uint64_t *words, size_t *size)
{
    const __m512i marks = _mm512_set1_epi8(mark), escapes = _mm512_set1_epi8(escape);
    const __m512i newlines = _mm512_set1_epi8('\n');
    const __m512i lowest = _mm512_set1_epi8(' '), highest = _mm512_set1_epi8(0x7e);
    __mmask64 escaped = 0;
    __m512i low = lowest, high = highest;
    for (size_t base = 0;; base += BLOCK_BYTES) {
        __m512i x = _mm512_loadu_si512(at + base);
        uint64_t ends = _mm512_cmpeq_epi8_mask(x, newlines);
        if (ends) {
            x = _mm512_mask_mov_epi8(lowest, below_lowest(ends), x);
        }
        *words++ = _mm512_cmpeq_epi8_mask(x, marks);
        escaped |= _mm512_cmpeq_epi8_mask(x, escapes);
        low = _mm512_min_epu8(low, x);
        high = _mm512_max_epu8(high, x);
        if (ends || base == SCAN_MAX_BYTES) {
            *words = UINT64_MAX;
            *size = base + (ends ? (size_t)__builtin_ctzll(ends) : 0);
            break;
        }
    }
    bool is_plain =
        (_mm512_cmpneq_epi8_mask(low, lowest) | _mm512_cmpneq_epi8_mask(high, highest)) == 0;
    return (escaped != 0 ? SCAN_ESCAPE : 0u) |
           (is_plain ? 0u : name_flags((struct text){at, *size}));
}

unsigned scan_line(enum scan_width width, const char *at, char mark, char escape, uint64_t *words,
                   size_t *size)
{
    return (width == SCAN_WIDE     ? scan_line_wide
            : width == SCAN_MIDDLE ? scan_line_middle
                                   : scan_line_narrow)(at, mark, escape, words, size);
}

enum scan_width scan_width_of(enum scan_width width)
{
    bool is_middle = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
    bool is_wide =
        is_middle && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    enum scan_width widest = is_wide ? SCAN_WIDE : is_middle ? SCAN_MIDDLE : SCAN_NARROW;
    return width < widest ? width : widest;
}

#else

unsigned scan_line(enum scan_width, const char *at, char mark, char escape, uint64_t *words,
                   size_t *size)
{
    return scan_line_narrow(at, mark, escape, words, size);
}

enum scan_width scan_width_of(enum scan_width)
{
    return SCAN_NARROW;
}

#endif

/* ---- numbers ------------------------------------------------------------------------------- */

enum { DIGITS_MAX = 18 }; /* fit into 64 bits */

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* Digit by digit: near the end of a text, and where there are no vectors. */
static size_t read_number_slowly(struct text text, struct dec *number)
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
    *number = (struct dec){is_negative ? -(int64_t)value : (int64_t)value, scale};
    return (size_t)(at - text.at);
}

#ifdef __SSE2__

enum {
    NUMBER_WINDOW_BYTES = 33, /* a sign, and two vectors */
    EIGHT = 8,
    FRACTION_MAX = 10, /* digits: with eight before them, a value fits 64 bits */
};

static inline uint32_t find_digits(const char *at)
{
    __m128i zeros = _mm_set1_epi8('0');
    __m128i nine = _mm_set1_epi8(9);
    __m128i a = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), zeros);
    __m128i b = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)(at + 16)), zeros);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(a, nine), a)) |
           (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(b, nine), b)) << 16;
}

/* The number that the first count (0 to 8) characters at at are. */
static inline uint64_t read_digits(const char *at, unsigned count)
{
    uint64_t digits = bytes_load64(at) - EACH_BYTE('0');
    return count ? digits_join(digits << 8 * (EIGHT - count)) : 0;
}

/* At most 8 digits before the point and 10 after it; else what is slower decides. */
size_t scan_plain_number(struct text text, struct dec *number)
{
    if (text.size < NUMBER_WINDOW_BYTES) {
        return read_number_slowly(text, number);
    }
    bool is_negative = text.at[0] == '-';
    const char *at = text.at + is_negative;
    uint32_t others = ~find_digits(at) | UINT32_C(1) << 31;
    unsigned whole = (unsigned)__builtin_ctz(others);
    if (whole - 1 >= EIGHT || (at[0] == '0' && whole > 1)) {
        return read_number_slowly(text, number);
    }
    uint64_t value = read_digits(at, whole);
    at += whole;
    unsigned scale = 0;
    if (*at == '.') {
        at++;
        scale = (unsigned)__builtin_ctz(others >> (whole + 1));
        if (scale - 1 >= FRACTION_MAX) {
            return read_number_slowly(text, number);
        }
        unsigned first = scale < EIGHT ? scale : EIGHT;
        uint64_t fraction = read_digits(at, first);
        if (scale > EIGHT) {
            fraction = fraction * POWER64[scale - EIGHT] + read_digits(at + EIGHT, scale - EIGHT);
        }
        value = value * POWER64[scale] + fraction;
        at += scale;
        while (scale > 0 && value % 10 == 0) {
            value /= 10;
            scale--;
        }
    }
    if ((*at | 0x20) == 'e') {
        return 0;
    }
    *number = (struct dec){is_negative ? -(int64_t)value : (int64_t)value, (int32_t)scale};
    return (size_t)(at - text.at);
}

#else

size_t scan_plain_number(struct text text, struct dec *number)
{
    return read_number_slowly(text, number);
}

#endif

enum number_fault scan_number(struct text text, struct text around, struct dec *number)
{
    uintptr_t start = (uintptr_t)text.at - (uintptr_t)around.at;
    struct text rest = text;
    if (start < around.size) {
        rest.size = around.size - start; /* what follows may be looked at */
    }
    if (text.size > 0 && scan_plain_number(rest, number) == text.size) {
        return NUMBER_OK;
    }
    return dec_parse(text, number);
}

/* ---- times --------------------------------------------------------------------------------- */

/* Eight characters that must be as in a form, in which a digit is the highest that may stand there:
 * the digits' values come out in their places.  Else one of the bytes in bad gets its highest bit:
 * what is added to a byte leaves that bit alone as long as the digit is no higher. */
static inline uint64_t match_form(const char *at, const char *form, uint64_t *bad)
{
    uint64_t shape = 0, highest = 0;
    for (int i = 0; i < 8; i++) {
        const bool is_digit = form[i] >= '0' && form[i] <= '9';
        shape |= (uint64_t)(is_digit ? '0' : form[i]) << 8 * i;
        highest |= (uint64_t)(is_digit ? form[i] - '0' : 0) << 8 * i;
    }
    uint64_t digits = bytes_load64(at) ^ shape;
    *bad |= digits | (digits + (EACH_BYTE(0x7F) - highest));
    return digits;
}

static inline bool is_any_bad(uint64_t bad)
{
    return (bad & EACH_BYTE(0x80)) != 0;
}

/* The number of the two digits at a place: each byte becomes ten times itself and the next. */
static inline uint64_t pair_up(uint64_t digits)
{
    return digits * 10 + (digits >> 8);
}

static inline int byte_of(uint64_t word, int index)
{
    return (int)(word >> 8 * index & 0xFF);
}

/* How far a time of 20 or 24 characters is in its hour. */
static inline int64_t read_in_hour(struct text text, uint64_t *bad)
{
    uint64_t clock;
    int milli = 0;
    if (text.size == 24) {
        clock = pair_up(match_form(text.at + 12, "9:59:59.", bad));
        uint64_t rest = match_form(text.at + 16, ":59.999Z", bad);
        milli = byte_of(rest, 4) * 100 + byte_of(pair_up(rest), 5);
    } else {
        clock = pair_up(match_form(text.at + 12, "9:59:59Z", bad));
    }
    const int second = byte_of(clock, 2) * 60 + byte_of(clock, 5);
    return (int64_t)(second * 1000 + milli) * 1'000'000;
}

/* 2026-10-01T00:00:00Z, or with three digits of fraction: what most producers write. */
static inline bool read_usual_time(struct text text, instant *at)
{
    if (text.size != 24 && text.size != 20) {
        return false;
    }
    uint64_t bad = 0;
    uint64_t date = pair_up(match_form(text.at, "9999-19-", &bad));
    uint64_t clock = pair_up(match_form(text.at + 6, "9-39T29:", &bad));
    const int64_t in_hour = read_in_hour(text, &bad);
    int year = byte_of(date, 0) * 100 + byte_of(date, 2);
    int month = byte_of(date, 5);
    int day = byte_of(clock, 2);
    int hour = byte_of(clock, 5);
    /* The corners of the calendar are left to time_parse. */
    if (is_any_bad(bad) || year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 ||
        hour > 23 || (day > 28 && day > civil_days_in_month(year, month))) {
        return false;
    }
    int64_t hours = civil_to_days(year, month, day) * 24 + hour;
    *at = hours * NS_PER_HOUR + in_hour;
    return true;
}

enum time_fault scan_time(struct text text, instant *at)
{
    return read_usual_time(text, at) ? TIME_OK : time_parse(text, at);
}

/* The hour's characters are the first fourteen, "2026-10-01T07:"; the words overlap. */
enum { HOUR_BYTES = 14, HOUR_SECOND_WORD = HOUR_BYTES - 8 };

static inline bool is_in_hour(const struct hour *hour, struct text text)
{
    return hour->words[0] == bytes_load64(text.at) &&
           hour->words[1] == bytes_load64(text.at + HOUR_SECOND_WORD);
}

/* Of a time in another hour, or of another form. */
__attribute__((noinline)) static enum time_fault scan_time_far(struct hour *hour, struct text text,
                                                               instant *at)
{
    if (!read_usual_time(text, at)) {
        return time_parse(text, at);
    }
    hour->words[0] = bytes_load64(text.at);
    hour->words[1] = bytes_load64(text.at + HOUR_SECOND_WORD);
    hour->at = *at - *at % NS_PER_HOUR;
    return TIME_OK;
}

/* Of a text of 20 or 24 characters; false when it is in another hour, or no time. */
static inline bool read_near_time(const struct hour *hour, struct text text, instant *at)
{
    if (!is_in_hour(hour, text)) {
        return false;
    }
    uint64_t bad = 0;
    const int64_t in_hour = read_in_hour(text, &bad);
    if (is_any_bad(bad)) {
        return false;
    }
    *at = hour->at + in_hour;
    return true;
}

enum time_fault scan_time_near(struct hour *hour, struct text text, instant *at)
{
    return (text.size == 24 || text.size == 20) && read_near_time(hour, text, at)
               ? TIME_OK
               : scan_time_far(hour, text, at);
}

size_t scan_time_ahead(const struct hour *hour, const char *first, instant *at)
{
    const struct text text = {first, first[24] == '"' ? 24 : 20};
    return first[text.size] == '"' && read_near_time(hour, text, at) ? text.size : 0;
}
