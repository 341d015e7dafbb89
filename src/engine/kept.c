/* kept.c - see kept.h. */
#include "engine/kept.h"

#include "engine/run.h"

enum { BUFFER_BYTES = 256 * 1024 };

void kept_prepare(struct worker *worker, struct kept_stream *stream)
{
    if (!stream->buffer) {
        stream->buffer = arena_alloc(&worker->arena, BUFFER_BYTES);
    }
}

struct kept_piece *kept_begin(struct worker *worker, struct kept_stream *stream, uint32_t of,
                              uint32_t part)
{
    stream->pieces = arena_room(&worker->arena, stream->pieces, stream->piece_count,
                                &stream->piece_capacity, sizeof *stream->pieces);
    struct kept_piece *piece = &stream->pieces[stream->piece_count++];
    *piece = (struct kept_piece){
        .of = of, .part = part, .stream = (uint32_t)worker->index, .offset = kept_end(stream)};
    return piece;
}

static bool write_out(struct worker *worker, struct kept_stream *stream)
{
    struct env *env = worker->run->env;
    enum status status = OK;
    if (!stream->file) {
        status = env->file_temporary(env, worker->run->config->temporary_folder, &stream->file,
                                     &worker->err);
    }
    if (status == OK) {
        status = env->file_write_at(env, stream->file, stream->buffer, stream->used,
                                    stream->written, &worker->err);
    }
    if (status != OK) {
        worker_fail(worker, status);
        return false;
    }
    stream->written += stream->used;
    stream->used = 0;
    return true;
}

bool kept_add(struct worker *worker, struct kept_stream *stream, const void *bytes, size_t size)
{
    kept_prepare(worker, stream);
    for (const char *at = bytes; size > 0;) {
        if (stream->used == BUFFER_BYTES && !write_out(worker, stream)) {
            return false;
        }
        size_t room = BUFFER_BYTES - stream->used;
        size_t part = size < room ? size : room;
        memcpy(stream->buffer + stream->used, at, part);
        stream->used += part;
        at += part;
        size -= part;
    }
    return true;
}

enum status kept_read(struct run *run, const struct kept_stream *stream, uint64_t offset, char *to,
                      size_t size)
{
    size_t from_file = 0;
    if (offset < stream->written) {
        from_file = stream->written - offset < size ? (size_t)(stream->written - offset) : size;
        size_t got;
        TRY(run->env->file_read_at(run->env, stream->file, to, from_file, offset, &got, run->err));
        if (got != from_file) {
            return fail(run->err, ERR_IO, "a temporary file is shorter than it was written");
        }
    }
    if (from_file < size) {
        memcpy(to + from_file, stream->buffer + (offset + from_file - stream->written),
               size - from_file);
    }
    return OK;
}
