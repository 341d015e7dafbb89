/* texts.h - the text of a partition's bills on its way to the files.  Private to this room.
 *
 * Partitions are written one behind the other, so that the files are sorted whatever thread made
 * which part.  A partition's text is handed over as it fills when it is its turn.  Until then what
 * bills it makes is held in blocks, so that a thread need not wait for the others; one that has no
 * more memory for that does, and keeps its turn.  When another thread needs all memory, what was
 * made so far goes to a temporary file.
 */
#ifndef FARTHING_ENGINE_TEXTS_H
#define FARTHING_ENGINE_TEXTS_H

#include "engine/run.h"

enum text_kind { TEXT_BILLS, TEXT_LINES, TEXT_USAGE, TEXT_CLOSING, TEXT_EXCLUSIONS, TEXTS };
struct texts {
    struct buffer bills, lines, usage, closing, exclusions;
    uint32_t partition;
    bool has_turn;
    uint64_t write_count;
    uint32_t held_max; /* blocks */
};

/* Pieces of text, in the order in which they were made. */
struct held_block {
    struct held_block *next;
    size_t used;
    char bytes[1024 * 1024 - 2 * sizeof(void *)];
};

static inline struct buffer *texts_buffer(struct texts *texts, enum text_kind kind)
{
    switch (kind) {
    case TEXT_BILLS:
        return &texts->bills;
    case TEXT_LINES:
        return &texts->lines;
    case TEXT_USAGE:
        return &texts->usage;
    case TEXT_CLOSING:
        return &texts->closing;
    case TEXT_EXCLUSIONS:
    case TEXTS:
        break;
    }
    return &texts->exclusions;
}
/* Waits, outside the gate. */
enum status texts_take_turn(struct worker *worker, struct texts *texts);
/* All there is, what is held first; waits for the turn. */
enum status texts_write(struct worker *worker, struct texts *texts);
/* In the middle of a bill, of which nothing can be put away that would be made again: when it is
 * the turn. */
enum status texts_write_when_full(struct worker *worker, struct texts *texts);
/* Behind a bill. */
enum status texts_pass_on_when_full(struct worker *worker, struct texts *texts);
void texts_drop_held(struct worker *worker);
/* Writes all there is of the texts that a worker is at to its file; for any thread, while the
 * worker is outside the gate.  Their memory is given back. */
enum status texts_put_aside(struct worker *worker, struct error *err);
/* Gives back what buffers that are empty have. */
void texts_clear(struct worker *worker, struct texts *texts);

#endif
