/* letter.h - a dead letter as a line of JSON: what was refused, where, why, what would be right. */
#ifndef FARTHING_ENGINE_LETTER_H
#define FARTHING_ENGINE_LETTER_H

#include "base/hash.h"
#include "decode/event.h"

struct dead_letter {
    const char *path;
    uint64_t line, offset;
    enum refusal refusal;
    struct text detail;
    struct text bytes; /* the first of the record */
    uint64_t size;     /* of all of it */
    struct digest digest;
};

/* A dead letter in its stream: this head, then detail and the first bytes of the record. */
struct letter {
    uint64_t line_in_block, offset, size;
    uint32_t refusal, detail_size, bytes_size, pad;
    struct digest digest;
};

void letter_render(struct buffer *out, const struct dead_letter *letter);

#endif
