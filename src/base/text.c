/* text.c - see text.h.  UTF-8 is read by one function, which both the check and the JSON writer
 * use: it takes the longest run of bytes that could still have become a character, so a damaged
 * text gets one U+FFFD per damage, as the Unicode standard recommends (chapter 3, "maximal
 * subpart").
 */
#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/digits.h"

int text_compare(struct text a, struct text b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

struct text text_copy(struct arena *arena, struct text text)
{
    return text_join(arena, text, (struct text){"", 0});
}

struct text text_join(struct arena *arena, struct text a, struct text b)
{
    char *at = arena_alloc(arena, a.size + b.size + 1);
    if (a.size) {
        memcpy(at, a.at, a.size);
    }
    if (b.size) {
        memcpy(at + a.size, b.at, b.size);
    }
    at[a.size + b.size] = '\0';
    return (struct text){at, a.size + b.size};
}

struct text text_format(struct arena *arena, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    assert(length >= 0);
    size_t size = (size_t)length;
    char *at = arena_alloc(arena, size + 1);
    if (size < sizeof small) {
        memcpy(at, small, size + 1);
    } else {
        vsnprintf(at, size + 1, format, again);
    }
    va_end(again);
    return (struct text){at, size};
}

/* ---- UTF-8 --------------------------------------------------------------------------------- */

static size_t count_ascii(const unsigned char *at, size_t size)
{
    size_t count = 0;
    for (uint64_t eight; count + 8 <= size; count += 8) {
        memcpy(&eight, at + count, 8);
        if (eight & 0x8080'8080'8080'8080u) {
            break;
        }
    }
    while (count < size && at[count] < 0x80) {
        count++;
    }
    return count;
}

/* The bytes of the character at a byte that is not ASCII, or of the damage there (at least 1). */
static size_t read_character(const unsigned char *at, size_t size, bool *valid)
{
    unsigned char lead = at[0];
    unsigned char low = 0x80, high = 0xBF; /* of the second byte */
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    *valid = false;
    if (lead < 0xC2 || lead > 0xF4) {
        return 1;
    }
    switch (lead) {
    case 0xE0: /* below: overlong */
        low = 0xA0;
        break;
    case 0xED: /* above: surrogates */
        high = 0x9F;
        break;
    case 0xF0: /* below: overlong */
        low = 0x90;
        break;
    case 0xF4: /* above: beyond U+10FFFF */
        high = 0x8F;
        break;
    default:
        break;
    }
    size_t count = 1;
    while (count < length && count < size && at[count] >= low && at[count] <= high) {
        low = 0x80;
        high = 0xBF;
        count++;
    }
    *valid = count == length;
    return count;
}

bool text_is_utf8(struct text text)
{
    const unsigned char *bytes = (const unsigned char *)text.at;
    for (size_t i = 0; i < text.size;) {
        if (bytes[i] < 0x80) {
            i += count_ascii(bytes + i, text.size - i);
            continue;
        }
        bool valid;
        i += read_character(bytes + i, text.size - i, &valid);
        if (!valid) {
            return false;
        }
    }
    return true;
}

/* ---- buffer -------------------------------------------------------------------------------- */

void buffer_init(struct buffer *buffer, struct arena *arena, size_t capacity)
{
    *buffer = (struct buffer){.arena = arena, .capacity = capacity};
    buffer->at = arena_alloc(arena, capacity);
}

void buffer_grow(struct buffer *buffer, size_t size)
{
    size_t need;
    if (__builtin_add_overflow(buffer->size, size, &need)) {
        need = SIZE_MAX; /* the arena answers */
    }
    size_t twice = buffer->capacity > SIZE_MAX / 2 ? SIZE_MAX : buffer->capacity * 2;
    size_t capacity = need > twice ? need : twice;
    buffer->at = arena_grow(buffer->arena, buffer->at, buffer->size, capacity, 1);
    buffer->capacity = capacity;
}

void buffer_add_u64(struct buffer *buffer, uint64_t value)
{
    enum { DIGITS_MAX = 20 };
    char *at = buffer_reserve(buffer, DIGITS_MAX + DIGITS_WORD);
    buffer->size += (size_t)(digits_put(at, value) - at);
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = buffer->capacity - buffer->size;
    int length = vsnprintf(buffer->at + buffer->size, room, format, args);
    va_end(args);
    assert(length >= 0);
    size_t size = (size_t)length;
    if (size >= room) {
        vsnprintf(buffer_reserve(buffer, size + 1), size + 1, format, again);
    }
    va_end(again);
    buffer->size += size;
}

static void add_escape(struct buffer *buffer, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    if (c >= 0x20) {
        buffer_add(buffer, (char[]){'\\', (char)c}, 2);
    } else if (letters[c]) {
        buffer_add(buffer, (char[]){'\\', letters[c]}, 2);
    } else {
        buffer_add(buffer, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    }
}

/* How many bytes JSON takes as they are, at the least, eight at a time: printable ASCII without
 * quote and backslash. */
static size_t count_plain(struct text text)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones * 0x80;
    size_t i = 0;
    for (; text.size < 8 && i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x80) {
            return i;
        }
    }
    while (i + 8 <= text.size) {
        uint64_t word = text_word(text.at + i);
        uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
        if ((word | (word - ones * 0x20) | (quote - ones) | (slash - ones)) & highs) {
            return i;
        }
        /* The last word overlaps the one before it. */
        i += 8;
        if (i < text.size && text.size < i + 8) {
            i = text.size - 8;
        }
    }
    return i;
}

void buffer_add_json(struct buffer *buffer, struct text text)
{
    const unsigned char *bytes = (const unsigned char *)text.at;
    size_t plain_size = count_plain(text);
    char *to = buffer_reserve(buffer, text.size + 2);
    *to = '"';
    if (plain_size == text.size && text.size > 0) {
        memcpy(to + 1, text.at, text.size);
        to[text.size + 1] = '"';
        buffer->size += text.size + 2;
        return;
    }
    buffer->size++;
    size_t from = 0; /* of the bytes that go out as they are */
    for (size_t i = plain_size; i < text.size;) {
        unsigned char c = bytes[i];
        bool plain = c >= 0x20 && c != '"' && c != '\\';
        size_t count = 1;
        if (c >= 0x80) {
            count = read_character(bytes + i, text.size - i, &plain);
        }
        if (!plain) {
            if (i > from) {
                buffer_add(buffer, bytes + from, i - from);
            }
            if (c >= 0x80) {
                buffer_add(buffer, "\xEF\xBF\xBD", 3);
            } else {
                add_escape(buffer, c);
            }
            from = i + count;
        }
        i += count;
    }
    if (text.size > from) {
        buffer_add(buffer, bytes + from, text.size - from);
    }
    buffer_add_char(buffer, '"');
}

/* The characters below 128 that a text of separators has, as bits. */
struct ascii_set {
    uint64_t bits[2];
};

static inline bool ascii_has(const struct ascii_set *set, unsigned char c)
{
    return c < 128 && (set->bits[c >> 6] >> (c & 63) & 1);
}

void buffer_add_encoded(struct buffer *buffer, struct text text, const char *separators)
{
    static const char HEX[] = "0123456789ABCDEF";
    struct ascii_set coded = {{UINT64_C(1) << '%' | UINT32_MAX, UINT64_C(1) << (0x7F & 63)}};
    for (const char *c = separators; *c; c++) {
        assert((unsigned char)*c < 128 && *c != '-' && !(*c >= '0' && *c <= '9'));
        coded.bits[(unsigned char)*c >> 6] |= UINT64_C(1) << (*c & 63);
    }
    /* What nothing separates, and most names consist of. */
    static const bool USUAL[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true};
    size_t plain = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (!USUAL[c] && ascii_has(&coded, c)) {
            const char code[] = {'%', HEX[c >> 4], HEX[c & 15]};
            buffer_add(buffer, text.at + plain, i - plain);
            buffer_add(buffer, code, sizeof code);
            plain = i + 1;
        }
    }
    buffer_add(buffer, text.at + plain, text.size - plain);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool text_decode(struct text encoded, char *out, struct text *decoded)
{
    size_t size = 0;
    for (size_t i = 0; i < encoded.size; i++) {
        char c = encoded.at[i];
        if (c == '%') {
            int high = i + 2 < encoded.size ? hex_value(encoded.at[i + 1]) : -1;
            int low = high >= 0 ? hex_value(encoded.at[i + 2]) : -1;
            if (low < 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[size++] = c;
    }
    *decoded = (struct text){out, size};
    return true;
}
