/* kept.h - bytes that wait for the end of a run: dead letters, records in conflict, the text of
 * views by source.
 *
 *     a thread: pieces one behind the other --> buffer --full--> temporary file of its own
 *     at the end: the pieces of all threads, in the order of what they are of
 *
 * A stream is written by its worker alone, and read when all workers are done.  The buffer and the
 * list of pieces are in the worker's arena; the file has no name, and is closed with the run.
 */
#ifndef FARTHING_ENGINE_KEPT_H
#define FARTHING_ENGINE_KEPT_H

#include "base/env.h"

struct run;
struct worker;

struct kept_piece {
    uint32_t of, part;     /* who keeps says what: of letters a file and its block */
    uint32_t stream;       /* of which thread */
    uint64_t offset, size; /* in its stream */
};
struct kept_stream {
    struct file *file; /* NULL until a buffer was full */
    char *buffer;      /* what comes behind the written bytes */
    size_t used;
    uint64_t written;
    struct kept_piece *pieces;
    uint32_t piece_count, piece_capacity;
};

/* Where the next byte goes. */
static inline uint64_t kept_end(const struct kept_stream *stream)
{
    return stream->written + stream->used;
}

/* Takes the buffer, as the first bytes do otherwise: where these come with payers, whose memory is
 * counted. */
void kept_prepare(struct worker *worker, struct kept_stream *stream);
/* A new piece at the end, empty: what is added counts once its size says so. */
struct kept_piece *kept_begin(struct worker *worker, struct kept_stream *stream, uint32_t of,
                              uint32_t part);
/* False when they cannot be written, and the worker has failed. */
bool kept_add(struct worker *worker, struct kept_stream *stream, const void *bytes, size_t size);
/* Bytes of a stream, from its file or from the buffer; ERR_IO. */
enum status kept_read(struct run *run, const struct kept_stream *stream, uint64_t offset, char *to,
                      size_t size);

#endif
