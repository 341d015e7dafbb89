/* text.h - bytes with a length; not ended by a zero, never owned.
 *
 * A text points into memory that somebody else keeps: an arena, a file's bytes, a literal.
 * Order is by bytes; there is no locale anywhere.
 */
#ifndef FARTHING_BASE_TEXT_H
#define FARTHING_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

struct text {
    const char *at;
    size_t size;
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})
/* For "%.*s". */
#define TEXT_ARG(text) (int)(text).size, (text).at

static inline struct text text_of(const char *string)
{
    return (struct text){string, strlen(string)};
}

static inline uint64_t text_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Of a size that is no 8 to 64. */
static inline bool text_equal_other(const char *a, const char *b, size_t size)
{
    if (size < 4 || size > 64) {
        return size == 0 || memcmp(a, b, size) == 0;
    }
    uint32_t first[2], last[2];
    memcpy(&first[0], a, 4);
    memcpy(&first[1], b, 4);
    memcpy(&last[0], a + size - 4, 4);
    memcpy(&last[1], b + size - 4, 4);
    return ((first[0] ^ first[1]) | (last[0] ^ last[1])) == 0;
}

/* Keys are short: words that overlap at the end cost less than a call, and less than vectors, which
 * the compiler is kept from. */
static inline bool text_equal(struct text a, struct text b)
{
    if (a.size != b.size) {
        return false;
    }
    if (a.size < 8 || a.size > 64) {
        return text_equal_other(a.at, b.at, a.size);
    }
    size_t last = a.size - 8;
    uint64_t differ = text_word(a.at + last) ^ text_word(b.at + last);
    for (size_t i = 0; i < last; i += 8) {
        differ |= text_word(a.at + i) ^ text_word(b.at + i);
        __asm__("" : "+r"(differ));
    }
    return differ == 0;
}

static inline bool text_starts_with(struct text text, struct text start)
{
    return text.size >= start.size && memcmp(text.at, start.at, start.size) == 0;
}

/* Negative, zero, positive: by bytes, a prefix before what it is a prefix of. */
int text_compare(struct text a, struct text b);

/* A copy in the arena, with a zero byte after it that does not count. */
struct text text_copy(struct arena *arena, struct text text);

/* The concatenation, in the arena. */
struct text text_join(struct arena *arena, struct text a, struct text b);

/* Undoes buffer_add_encoded.  out has room for as many bytes as encoded; *decoded points there.
 * False when a percent sign begins no code. */
bool text_decode(struct text encoded, char *out, struct text *decoded);

/* A printf into the arena. */
struct text text_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True when the bytes are valid UTF-8: no overlong form, no surrogate, nothing above U+10FFFF. */
bool text_is_utf8(struct text text);

/* A growing buffer of bytes, in an arena.  Appending never fails. */
struct buffer {
    struct arena *arena;
    char *at;
    size_t size;
    size_t capacity;
};

void buffer_init(struct buffer *buffer, struct arena *arena, size_t capacity);
/* More room than there is: at least for size more bytes. */
void buffer_grow(struct buffer *buffer, size_t size);

/* Room for size more bytes; returns where they go.  The caller adds to buffer->size. */
static inline char *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (size > buffer->capacity - buffer->size) {
        buffer_grow(buffer, size);
    }
    return buffer->at + buffer->size;
}

static inline void buffer_add(struct buffer *buffer, const void *bytes, size_t size)
{
    char *to = buffer_reserve(buffer, size);
    if (size > 0) {
        memcpy(to, bytes, size);
    }
    buffer->size += size;
}

static inline void buffer_add_text(struct buffer *buffer, struct text text)
{
    buffer_add(buffer, text.at, text.size);
}

static inline void buffer_add_char(struct buffer *buffer, char c)
{
    *buffer_reserve(buffer, 1) = c;
    buffer->size++;
}

void buffer_add_u64(struct buffer *buffer, uint64_t value);
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; control characters, quote and backslash escaped; bytes that
 * are no UTF-8 become U+FFFD. */
void buffer_add_json(struct buffer *buffer, struct text text);
/* Percent-encoded: what separates, the percent sign and control characters, so that names that are
 * put together can be told apart again. */
void buffer_add_encoded(struct buffer *buffer, struct text text, const char *separators);

static inline struct text buffer_text(const struct buffer *buffer)
{
    return (struct text){buffer->at, buffer->size};
}

#endif
