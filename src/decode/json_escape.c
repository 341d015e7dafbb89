/* json_escape.c - what is escaped in a text of JSON (RFC 8259, section 7). */
#include <string.h>

#include "decode/record.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

int32_t json_escape_value(struct text text, size_t at)
{
    if (text.size < 6 || at > text.size - 6 || text.at[at] != '\\' || text.at[at + 1] != 'u') {
        return -1;
    }
    int32_t value = 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        int digit = hex_digit(text.at[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

bool json_is_pair(int32_t high, int32_t low)
{
    return high >= 0xD800 && high < 0xDC00 && low >= 0xDC00 && low < 0xE000;
}

/* Of a character that is none of half a pair. */
static char *put_utf8(char *to, int32_t value)
{
    const uint32_t c = (uint32_t)value;
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3; /* bytes that follow the first */
    static const unsigned char FIRST[] = {0, 0xC0, 0xE0, 0xF0};
    *to++ = (char)(FIRST[more] | c >> 6 * more);
    for (int i = more - 1; i >= 0; i--) {
        *to++ = (char)(0x80 | (c >> 6 * i & 0x3F));
    }
    return to;
}

/* The character that raw[*at], a backslash, begins, and *at behind it; -1 when there is none, or it
 * is U+0000. */
static int32_t read_escaped(struct text raw, size_t *at)
{
    static const char ESCAPES[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    if (*at + 1 >= raw.size) {
        return -1;
    }
    const char *found = memchr(ESCAPES, raw.at[*at + 1], sizeof ESCAPES - 1);
    if (found) {
        *at += 2;
        return MEANT[found - ESCAPES];
    }
    int32_t value = json_escape_value(raw, *at), low = json_escape_value(raw, *at + 6);
    *at += 6;
    if (json_is_pair(value, low)) {
        *at += 6;
        return 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    }
    bool is_half = value >= 0xD800 && value < 0xE000;
    return value <= 0 || is_half ? -1 : value;
}

bool json_unescape(struct arena *arena, struct text raw, struct text *text)
{
    char *to = arena_alloc(arena, raw.size), *first = to;
    for (size_t at = 0; at < raw.size;) {
        if (raw.at[at] != '\\') {
            *to++ = raw.at[at++];
            continue;
        }
        int32_t c = read_escaped(raw, &at);
        if (c < 0) {
            return false;
        }
        to = put_utf8(to, c);
    }
    *text = (struct text){first, (size_t)(to - first)};
    return true;
}
