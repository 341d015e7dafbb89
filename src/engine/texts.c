/* texts.c - see texts.h. */
#include "engine/texts.h"

#include "engine/gate.h"

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
    while (worker->held_first) {
        struct held_block *block = worker->held_first;
        worker->held_first = block->next;
        memory->release(memory, block, sizeof *block);
    }
    worker->held_last = NULL;
    worker->held_count = 0;
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
    struct held_block *block = worker->held_last;
    if (!block || need > most - block->used) {
        if (need > most || worker->held_count == texts->held_max) {
            return false;
        }
        block = memory->allocate(memory, sizeof *block);
        if (!block) {
            return false;
        }
        block->next = NULL;
        block->used = 0;
        *(worker->held_last ? &worker->held_last->next : &worker->held_first) = block;
        worker->held_last = block;
        worker->held_count++;
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

enum status texts_take_turn(struct worker *worker, struct texts *texts)
{
    if (texts->has_turn) {
        return OK;
    }
    bool was_busy = worker->is_busy;
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
    struct output_file *files[TEXTS] = {run->bills, run->lines, run->usage, run->closing,
                                        run->exclusions};
    return output_append(files[kind], bytes, size, &worker->err);
}

enum status texts_write(struct worker *worker, struct texts *texts)
{
    TRY(texts_take_turn(worker, texts));
    texts->write_count++;
    for (struct held_block *block = worker->held_first; block; block = block->next) {
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
    return texts_size(texts) < FULL_BYTES ? OK : texts_write(worker, texts);
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
