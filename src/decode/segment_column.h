/* segment_column.h - a column of text of a segment (segment.h), as its writer makes it; of no
 * interest to others.
 */
#ifndef FARTHING_DECODE_SEGMENT_COLUMN_H
#define FARTHING_DECODE_SEGMENT_COLUMN_H

#include "base/arena.h"
#include "base/text.h"

enum { COLUMN_PADDING_BYTES = 16 }; /* that may be read behind each text of a column */

/* Where texts are kept one behind the other, with the padding. */
struct column_pool {
    struct arena *arena;
    char *at;
    size_t left;
};
void column_pool_init(struct column_pool *pool, struct arena *arena);
struct text column_pool_copy(struct column_pool *pool, struct text text);

struct text_column {
    struct text patterns, choice, digits, rest;
};
/* In the arena. */
struct text_column text_column_make(struct arena *arena, const struct text *texts, uint32_t count);

#endif
