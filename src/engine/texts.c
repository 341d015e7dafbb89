/* texts.c - see texts.h. */
#include "engine/texts.h"

#include "engine/gate.h"
#include "engine/room.h"
#include "feed/output.h"

/* In a block: its bytes follow. */
struct held_piece {
    uint32_t kind, size; /* enum text_kind; of the bytes */
};

static size_t texts_size(struct texts *texts)
{
    size_t size = 0;
    for (enum text_kind i = 0; i < TEXTS; i++) {
        size += texts_buffer(texts, i)->size;
    }
    return size;
}

void texts_drop_held(struct worker *worker)
{
    struct memory *memory = &worker->run->env->memory;
    while (worker->settle.held.first) {
        struct held_block *block = worker->settle.held.first;
        worker->settle.held.first = block->next;
        memory->release(memory, block, sizeof *block);
    }
    worker->settle.held.last = NULL;
    worker->settle.held.count = 0;
}

static void hold(struct held_block *block, enum text_kind kind, const char *bytes, size_t size)
{
    struct held_piece piece = {kind, (uint32_t)size};
    memcpy(block->bytes + block->used, &piece, sizeof piece);
    memcpy(block->bytes + block->used + sizeof piece, bytes, size);
    block->used += sizeof piece + size;
}

/* Puts the texts away; false when there is no room, and then they are as they were. */
static bool hold_texts(struct worker *worker, struct texts *texts)
{
    struct memory *memory = &worker->run->env->memory;
    const size_t most = sizeof((struct held_block *)0)->bytes;
    size_t need = texts_size(texts) + TEXTS * sizeof(struct held_piece);
    struct held_block *block = worker->settle.held.last;
    if (!block || need > most - block->used) {
        if (need > most || worker->settle.held.count == texts->held_max) {
            return false;
        }
        block = memory->allocate(memory, sizeof *block);
        if (!block) {
            return false;
        }
        block->next = NULL;
        block->used = 0;
        *(worker->settle.held.last ? &worker->settle.held.last->next : &worker->settle.held.first) =
            block;
        worker->settle.held.last = block;
        worker->settle.held.count++;
    }
    for (enum text_kind i = 0; i < TEXTS; i++) {
        struct buffer *buffer = texts_buffer(texts, i);
        if (buffer->size > 0) {
            hold(block, i, buffer->at, buffer->size);
            buffer->size = 0;
        }
    }
    return true;
}

/* ---- the file -------------------------------------------------------------------------------- */

static enum status put_bytes(struct worker *worker, const void *bytes, size_t size,
                             struct error *err)
{
    struct env *env = worker->run->env;
    TRY(env->file_write_at(env, worker->settle.held.aside, bytes, size,
                           worker->settle.held.aside_bytes, err));
    worker->settle.held.aside_bytes += size;
    return OK;
}

void texts_clear(struct worker *worker, struct texts *texts)
{
    static char nothing[1];
    room_clear(&worker->output);
    for (enum text_kind i = 0; i < TEXTS; i++) {
        *texts_buffer(texts, i) = (struct buffer){.arena = &worker->output, .at = nothing};
    }
}

enum status texts_put_aside(struct worker *worker, struct error *err)
{
    enum { PIECE_BYTES = 1024 * 1024 * 1024 };
    struct run *run = worker->run;
    struct texts *texts = worker->settle.texts;
    if (!worker->settle.held.aside) {
        TRY(run->env->file_temporary(run->env, run->config->temporary_folder,
                                     &worker->settle.held.aside, err));
    }
    for (struct held_block *block = worker->settle.held.first; block; block = block->next) {
        TRY(put_bytes(worker, block->bytes, block->used, err));
    }
    texts_drop_held(worker);
    for (enum text_kind i = 0; i < TEXTS; i++) {
        struct buffer *buffer = texts_buffer(texts, i);
        for (size_t at = 0; at < buffer->size;) {
            size_t left = buffer->size - at;
            struct held_piece piece = {i, (uint32_t)(left < PIECE_BYTES ? left : PIECE_BYTES)};
            TRY(put_bytes(worker, &piece, sizeof piece, err));
            TRY(put_bytes(worker, buffer->at + at, piece.size, err));
            at += piece.size;
        }
    }
    texts_clear(worker, texts);
    return OK;
}

static enum status get_bytes(struct worker *worker, uint64_t at, void *bytes, size_t size)
{
    struct env *env = worker->run->env;
    size_t got;
    TRY(env->file_read_at(env, worker->settle.held.aside, bytes, size, at, &got, &worker->err));
    return got == size
               ? OK
               : fail(&worker->err, ERR_IO, "a temporary file is shorter than it was written");
}

/* ---- writing --------------------------------------------------------------------------------- */

enum status texts_take_turn(struct worker *worker, struct texts *texts)
{
    if (texts->has_turn) {
        return OK;
    }
    bool was_busy = worker->settle.is_busy;
    gate_leave(worker);
    enum status status = output_turn_take(worker->run->output, texts->partition, &worker->err);
    texts->has_turn = status == OK;
    if (was_busy) {
        gate_enter(worker);
    }
    return status;
}

static enum status append_text(struct worker *worker, enum text_kind kind, const char *bytes,
                               size_t size)
{
    const struct run *run = worker->run;
    struct output_file *files[TEXTS] = {run->files.bills, run->files.lines, run->files.usage,
                                        run->files.closing, run->files.exclusions};
    return output_append(files[kind], bytes, size, &worker->err);
}

static enum status write_aside(struct worker *worker)
{
    char room[16 * 1024];
    for (uint64_t at = 0; at < worker->settle.held.aside_bytes;) {
        struct held_piece piece;
        TRY(get_bytes(worker, at, &piece, sizeof piece));
        at += sizeof piece;
        for (size_t left = piece.size; left > 0;) {
            size_t part = left < sizeof room ? left : sizeof room;
            TRY(get_bytes(worker, at, room, part));
            TRY(append_text(worker, piece.kind, room, part));
            at += part;
            left -= part;
        }
    }
    worker->settle.held.aside_bytes = 0;
    return OK;
}

enum status texts_write(struct worker *worker, struct texts *texts)
{
    TRY(texts_take_turn(worker, texts));
    texts->write_count++;
    TRY(write_aside(worker));
    for (struct held_block *block = worker->settle.held.first; block; block = block->next) {
        struct held_piece piece;
        for (size_t at = 0; at < block->used; at += sizeof piece + piece.size) {
            memcpy(&piece, block->bytes + at, sizeof piece);
            TRY(append_text(worker, piece.kind, block->bytes + at + sizeof piece, piece.size));
        }
    }
    texts_drop_held(worker);
    for (enum text_kind i = 0; i < TEXTS; i++) {
        struct buffer *buffer = texts_buffer(texts, i);
        TRY(append_text(worker, i, buffer->at, buffer->size));
        buffer->size = 0;
    }
    return OK;
}

enum status texts_write_when_full(struct worker *worker, struct texts *texts)
{
    enum { FULL_BYTES = 1024 * 1024 };
    bool is_turn = texts->has_turn || output_turn_is(worker->run->output, texts->partition);
    return texts_size(texts) < FULL_BYTES || !is_turn ? OK : texts_write(worker, texts);
}

enum status texts_pass_on_when_full(struct worker *worker, struct texts *texts)
{
    enum { FULL_BYTES = 256 * 1024 };
    if (texts_size(texts) < FULL_BYTES) {
        return OK;
    }
    bool is_turn = texts->has_turn || output_turn_is(worker->run->output, texts->partition);
    return !is_turn && hold_texts(worker, texts) ? OK : texts_write(worker, texts);
}
