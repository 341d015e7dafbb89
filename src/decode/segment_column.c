/* segment_column.c - texts to patterns and hexadecimal digits.
 *
 *     fe89082c-d51d -> pattern 00000000-0000 (each 0 a zero byte), digits fe89082cd51d
 *
 * Nearly every id of a producer has the pattern of the one before, so a text is first compared with
 * that, 16 bytes at a time.  Which bytes are digits is then known: they are brought together in
 * pieces of up to eight, as the pattern's list says, and packed eight at a time.
 */
#include "decode/segment_column.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/map.h"
#include "decode/event.h"
#include "decode/segment_form.h"

/* ---- the pool ------------------------------------------------------------------------------ */

enum { POOL_CHUNK_BYTES = 256 * 1024 };

void column_pool_init(struct column_pool *pool, struct arena *arena)
{
    *pool = (struct column_pool){.arena = arena};
}

struct text column_pool_copy(struct column_pool *pool, struct text text)
{
    if (pool->left < text.size + COLUMN_PADDING_BYTES) {
        size_t size = text.size + COLUMN_PADDING_BYTES;
        size = size < POOL_CHUNK_BYTES ? POOL_CHUNK_BYTES : size;
        pool->at = arena_alloc(pool->arena, size);
        pool->left = size;
    }
    struct text copy = {pool->at, text.size};
    if (text.size > 0) {
        memcpy(pool->at, text.at, text.size);
    }
    pool->at += text.size;
    pool->left -= text.size;
    return copy;
}

/* ---- patterns ------------------------------------------------------------------------------ */

enum {
    PATTERNS_SEEN_MAX = 4096,
    PATTERN_USES_MIN = 3,
    PIECE_BYTES = 8,
    VECTOR_BYTES = 16,
    PATTERN_ROOM_BYTES = ATTRIBUTE_MAX_BYTES + VECTOR_BYTES, /* patterns are read and written so */
    DIGITS_ROOM_BYTES = ATTRIBUTE_MAX_BYTES + 2 * PIECE_BYTES,
};

typedef uint8_t bytes16 __attribute__((vector_size(VECTOR_BYTES)));
typedef uint64_t words2 __attribute__((vector_size(VECTOR_BYTES)));

/* Digits that stand together: from here in the text, to there among its digits. */
struct piece {
    uint8_t from, to;
};

struct pattern {
    struct text bytes; /* in PATTERN_ROOM_BYTES */
    const struct piece *pieces;
    uint32_t piece_count, digit_count;
    uint32_t use_count, number;
};

struct patterns {
    struct map map;
    struct pattern *items;
    uint32_t count;
};

static inline bytes16 load16(const void *at)
{
    bytes16 bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

/* With a zero byte in place of each hexadecimal digit. */
static inline bytes16 without_digits(bytes16 bytes)
{
    bytes16 is_digit = (bytes16)((bytes - '0') <= 9);
    bytes16 is_letter = (bytes16)((bytes - 'a') <= 5);
    return bytes & ~(is_digit | is_letter);
}

/* Of the first bytes, no more than 16. */
static inline bytes16 mask_of(size_t count)
{
    static const uint8_t MASKS[2 * VECTOR_BYTES] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                    255, 255, 255, 255, 255, 255, 255, 255};
    return load16(MASKS + VECTOR_BYTES - count);
}

static inline bool fits(const struct pattern *pattern, struct text text)
{
    if (pattern->bytes.size != text.size) {
        return false;
    }
    bytes16 differ = {0};
    size_t at = 0;
    for (; at + VECTOR_BYTES <= text.size; at += VECTOR_BYTES) {
        differ |= without_digits(load16(text.at + at)) ^ load16(pattern->bytes.at + at);
    }
    differ |= (without_digits(load16(text.at + at)) ^ load16(pattern->bytes.at + at)) &
              mask_of(text.size - at);
    words2 words = (words2)differ;
    return (words[0] | words[1]) == 0;
}

static struct text pattern_of(struct text text, char out[PATTERN_ROOM_BYTES])
{
    for (size_t at = 0; at < text.size; at += VECTOR_BYTES) {
        bytes16 bytes = without_digits(load16(text.at + at));
        memcpy(out + at, &bytes, sizeof bytes);
    }
    return (struct text){out, text.size};
}

static void list_pieces(struct arena *arena, struct pattern *pattern)
{
    struct piece pieces[ATTRIBUTE_MAX_BYTES];
    uint32_t count = 0, digits = 0;
    size_t size = 0; /* of the piece that is open */
    for (size_t i = 0; i < pattern->bytes.size; i++) {
        if (pattern->bytes.at[i] != '\0') {
            size = 0;
            continue;
        }
        if (size == 0 || size == PIECE_BYTES) {
            pieces[count++] = (struct piece){(uint8_t)i, (uint8_t)digits};
            size = 0;
        }
        size++;
        digits++;
    }
    struct piece *kept = arena_alloc(arena, count * sizeof *kept);
    if (count > 0) {
        memcpy(kept, pieces, count * sizeof *kept);
    }
    pattern->pieces = kept;
    pattern->piece_count = count;
    pattern->digit_count = digits;
}

static uint32_t find_pattern(struct patterns *patterns, struct text text)
{
    char bytes[PATTERN_ROOM_BYTES];
    if (text.size > ATTRIBUTE_MAX_BYTES) {
        return MAP_NONE;
    }
    struct arena *arena = patterns->map.arena;
    struct text key = pattern_of(text, bytes);
    if (patterns->count == PATTERNS_SEEN_MAX) {
        return map_find(&patterns->map, key);
    }
    struct map_slot *slot = map_take(&patterns->map, key);
    if (slot->value == MAP_NONE) {
        char *copy = arena_alloc(arena, text.size + VECTOR_BYTES);
        memset(copy + text.size, 0, VECTOR_BYTES);
        if (text.size > 0) {
            memcpy(copy, bytes, text.size);
        }
        struct pattern *pattern = &patterns->items[patterns->count];
        *pattern = (struct pattern){.bytes = {copy, text.size}};
        list_pieces(arena, pattern);
        slot->key = pattern->bytes;
        slot->value = patterns->count++;
    }
    return slot->value;
}

/* ---- digits -------------------------------------------------------------------------------- */

/* Eight hexadecimal digits to four bytes, the first digit the high half of the first. */
static inline uint32_t pack_digits(uint64_t digits)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t halves = (digits & 15 * each) + 9 * (digits >> 6 & each);
    uint64_t bytes = (halves << 4 | halves >> 8) & UINT64_C(0x00FF00FF00FF00FF);
    bytes = (bytes | bytes >> 8) & UINT64_C(0x0000FFFF0000FFFF);
    return (uint32_t)(bytes | bytes >> 16);
}

static inline void add_digits(struct buffer *out, const struct pattern *pattern, struct text text)
{
    /* A piece is copied as eight bytes; the next one covers what was too much. */
    char digits[DIGITS_ROOM_BYTES];
    for (uint32_t i = 0; i < pattern->piece_count; i++) {
        struct piece piece = pattern->pieces[i];
        memcpy(digits + piece.to, text.at + piece.from, PIECE_BYTES);
    }
    memset(digits + pattern->digit_count, '0', PIECE_BYTES);
    char *to = buffer_reserve(out, DIGITS_ROOM_BYTES);
    for (uint32_t i = 0; i < pattern->digit_count; i += PIECE_BYTES) {
        uint32_t packed = bytes_order32(pack_digits(bytes_load64(digits + i)));
        memcpy(to + i / 2, &packed, sizeof packed);
    }
    out->size += (pattern->digit_count + 1) / 2;
}

/* ---- the column ---------------------------------------------------------------------------- */

static void find_patterns(struct patterns *patterns, const struct text *texts, uint32_t count,
                          uint32_t *of)
{
    uint32_t last = MAP_NONE;
    for (uint32_t i = 0; i < count; i++) {
        if (last == MAP_NONE || !fits(&patterns->items[last], texts[i])) {
            of[i] = find_pattern(patterns, texts[i]);
            if (of[i] == MAP_NONE) {
                continue;
            }
            last = of[i];
        }
        of[i] = last;
        patterns->items[last].use_count++;
    }
}

/* The patterns that are worth it, and their numbers. */
static void add_patterns(struct patterns *patterns, bool is_one, struct buffer *out)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < patterns->count; i++) {
        bool is_kept =
            used < PATTERN_REST && (is_one || patterns->items[i].use_count >= PATTERN_USES_MIN);
        patterns->items[i].number = is_kept ? used++ : PATTERN_REST;
    }
    add_varint(out, used);
    for (uint32_t i = 0; i < patterns->count; i++) {
        if (patterns->items[i].number != PATTERN_REST) {
            add_varint(out, patterns->items[i].bytes.size);
            buffer_add_text(out, patterns->items[i].bytes);
        }
    }
}

struct text_column text_column_make(struct arena *arena, const struct text *texts, uint32_t count)
{
    struct patterns patterns = {.items =
                                    arena_alloc(arena, PATTERNS_SEEN_MAX * sizeof *patterns.items)};
    map_init(&patterns.map, arena, 64);
    uint32_t *of = arena_alloc(arena, count * sizeof *of);
    find_patterns(&patterns, texts, count, of);
    bool is_one = count > 0 && of[0] != MAP_NONE && patterns.items[of[0]].use_count == count;
    struct buffer names, choice, digits, rest;
    buffer_init(&names, arena, 1024);
    buffer_init(&choice, arena, is_one ? 16 : count);
    buffer_init(&digits, arena, count * 16ul + DIGITS_ROOM_BYTES);
    buffer_init(&rest, arena, 1024);
    add_patterns(&patterns, is_one, &names);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = of[i] == MAP_NONE ? PATTERN_REST : patterns.items[of[i]].number;
        if (!is_one) {
            buffer_add_char(&choice, (char)number);
        }
        if (number == PATTERN_REST) {
            add_varint(&rest, texts[i].size);
            buffer_add_text(&rest, texts[i]);
        } else {
            add_digits(&digits, &patterns.items[of[i]], texts[i]);
        }
    }
    return (struct text_column){buffer_text(&names), buffer_text(&choice), buffer_text(&digits),
                                buffer_text(&rest)};
}
