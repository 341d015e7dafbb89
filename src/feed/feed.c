/* feed.c - see feed.h.
 *
 * One lock guards who reads what; it is never held over a read.  A thread claims either a block of
 * a plain file, or a stream (a compressed file, a pipe) for the time that its next block takes to
 * decompress; it takes the first file that has something unclaimed, so the files come nearly in
 * order and few are open.
 *
 * Plain file: block k has the lines that START in [k*B, (k+1)*B).  Its reader starts one byte
 * early, skips to the first newline, and reads on past its end until the last line is whole, so no
 * thread waits for a neighbour and each byte is read once, but for the few that a line crosses
 * over.  Since B is at most the longest line allowed, only the line that crosses the end can be too
 * long, and a block in the middle of an endless line is simply empty: this is what makes a line of
 * a gigabyte cost no memory.
 *
 * Stream: blocks are cut at the last newline, the rest is carried to the next block.  A line that
 * is too long makes a block of its own, without bytes; what follows is skipped to the next newline.
 * Both kinds of block add the line they do not deliver to the line count.
 *
 * A stream that ends in a fault does not deliver its last, cut line: "...,12" may have been
 * "...,123".  Nor does a file that grows or shrinks while it is read.
 */
#include "feed/feed.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "decode/segment.h"
#include "feed/listing.h"
#include "feed/places.h"
#include "feed/stream.h"

enum {
    BLOCK_BYTES = 256 * 1024, /* what is read is parsed while it lies in the cache */
    READ_ON_BYTES = 8 * 1024, /* read past a block's end at once: its last line mostly ends there */
    LEAD_ROOM_BYTES = 64,
    STEP_BYTES = 64 * 1024,
    FINDINGS_MAX = 3, /* of a block: a long line, a fault, a change */
};

/* A stream, and what was left of it when a block was cut. */
struct cutter {
    struct stream *stream; /* NULL: none is open */
    char *carry;
    size_t carry_capacity, carry_size;
    uint64_t carry_offset;
    uint32_t next_block;
};

enum progress { INPUT_NEW, INPUT_OPEN, INPUT_DONE };

struct input {
    struct listed_file found; /* a pipe's packing is known once it is open */
    /* Under the feed's lock: */
    enum progress progress;
    bool is_busy; /* being opened, or the stream is in a thread's hands */
    int readers;  /* threads that read a block of the plain file */
    uint64_t next_block, block_count;
    uint64_t *lines; /* by block; when is_summed: of all blocks before it */
    size_t line_capacity;
    uint64_t line_total;
    bool is_summed;
    /* Written while it is busy, read only afterwards: */
    struct file *file, *spool;
    struct cutter cutter;
    uint64_t size_bytes;
    char *header;
    size_t header_size;
    struct places places; /* of a segment: its blocks */
};

/* One thread's. */
struct slot {
    char *buffer;
    struct feed_finding findings[FINDINGS_MAX];
    uint32_t finding_count;
    char heads[FINDINGS_MAX][FEED_HEAD_BYTES];
    char reasons[FINDINGS_MAX][REASON_BYTES];
    char *segment; /* room for a block of a segment, when there was one */
    size_t segment_capacity;
};

/* Where the last feed_reread was. */
struct reread {
    struct input *input; /* NULL: nothing is open */
    struct file *file;   /* NULL: the input's spool */
    struct stream *stream;
    char *window;
    size_t window_size;
    uint64_t window_offset;
    const struct place *place; /* of a segment: its block is in room */
    char *room;
    size_t room_capacity;
};

struct feed {
    struct env *env;
    struct feed_options options;
    size_t buffer_bytes, window_bytes;
    struct input *inputs;
    uint32_t input_count;
    struct slot *slots;
    struct lock *lock;
    uint32_t first_open; /* all inputs before it are done */
    bool has_failed;
    struct error failure;
    uint64_t bytes_total;
    _Atomic(uint64_t) bytes_read;
    struct reread reread;
};

enum status feed_open(struct env *env, struct arena *arena, const char *const *paths, size_t count,
                      const struct feed_options *options, struct feed **feed, struct error *err)
{
    struct feed_options settled = *options;
    settled.line_max_bytes = settled.line_max_bytes > 0 ? settled.line_max_bytes : LINE_MAX_BYTES;
    settled.block_bytes = settled.block_bytes > 0 ? settled.block_bytes : BLOCK_BYTES;
    if (settled.block_bytes > settled.line_max_bytes) {
        settled.block_bytes = settled.line_max_bytes;
    }
    settled.threads = settled.threads > 0 ? settled.threads : 1;

    /* Until the lock is made nothing is held, so the arena may run out anywhere. */
    struct listed_file *files;
    size_t file_count;
    TRY(list_files(env, arena, paths, count, &settled, &files, &file_count, err));
    if (file_count >= UINT32_MAX) {
        return fail(err, ERR_LIMIT, "too many files");
    }
    struct feed *made = arena_calloc(arena, 1, sizeof *made);
    made->env = env;
    made->options = settled;
    made->buffer_bytes = LEAD_ROOM_BYTES + settled.block_bytes + settled.line_max_bytes + 1 +
                         READ_ON_BYTES + FEED_PADDING_BYTES;
    made->window_bytes = settled.line_max_bytes + 1 + 2 * STEP_BYTES;
    made->inputs = arena_calloc(arena, file_count, sizeof *made->inputs);
    made->input_count = (uint32_t)file_count;
    made->slots = arena_calloc(arena, (size_t)settled.threads, sizeof *made->slots);
    for (uint32_t i = 0; i < made->input_count; i++) {
        made->inputs[i].found = files[i];
        made->inputs[i].progress = files[i].format == FEED_PARQUET ? INPUT_DONE : INPUT_NEW;
        made->bytes_total += files[i].info.size_bytes;
    }

    enum status status = OK;
    made->lock = env->lock_new(env);
    if (!made->lock) {
        status = fail(err, ERR_LIMIT, "no memory for a lock");
    }
    for (int i = 0; i < settled.threads && status == OK; i++) {
        void *memory;
        status = feed_allocate(env, "reading", made->buffer_bytes, &memory, err);
        made->slots[i].buffer = memory;
    }
    if (status != OK) {
        feed_close(made);
        return status;
    }
    *feed = made;
    return OK;
}

static void close_quietly(struct env *env, struct file **file)
{
    if (*file) {
        (void)env->file_close(env, *file, NULL); /* it was only read, or is thrown away */
        *file = NULL;
    }
}

static void close_cutter(struct env *env, struct cutter *cutter)
{
    stream_close(cutter->stream);
    feed_release(env, cutter->carry, cutter->carry_capacity);
    cutter->stream = NULL;
    cutter->carry = NULL;
}

static void close_reread(struct feed *feed)
{
    struct reread *reread = &feed->reread;
    stream_close(reread->stream);
    close_quietly(feed->env, &reread->file);
    feed_release(feed->env, reread->window, feed->window_bytes);
    feed_release(feed->env, reread->room, reread->room_capacity);
    *reread = (struct reread){0};
}

void feed_close(struct feed *feed)
{
    if (!feed) {
        return;
    }
    struct env *env = feed->env;
    close_reread(feed);
    for (uint32_t i = 0; i < feed->input_count; i++) {
        struct input *input = &feed->inputs[i];
        close_cutter(env, &input->cutter);
        close_quietly(env, &input->file);
        close_quietly(env, &input->spool);
        feed_release(env, input->lines, input->line_capacity * sizeof *input->lines);
        feed_release(env, input->header, input->header_size);
        places_release(env, &input->places);
    }
    for (int i = 0; i < feed->options.threads; i++) {
        feed_release(env, feed->slots[i].segment, feed->slots[i].segment_capacity);
        feed_release(env, feed->slots[i].buffer, feed->buffer_bytes);
    }
    env->lock_free(env, feed->lock);
    feed->input_count = 0;
}

/* ---- findings ---- */

static void add_finding(struct slot *slot, struct feed_finding finding, const char *reason)
{
    assert(slot->finding_count < FINDINGS_MAX);
    uint32_t at = slot->finding_count++;
    size_t size = finding.head.size < FEED_HEAD_BYTES ? finding.head.size : FEED_HEAD_BYTES;
    if (size > 0) {
        memcpy(slot->heads[at], finding.head.at, size);
    }
    finding.head = (struct text){slot->heads[at], size};
    (void)snprintf(slot->reasons[at], REASON_BYTES, "%s", reason);
    finding.reason = slot->reasons[at];
    slot->findings[at] = finding;
}

static void add_long_line(struct feed *feed, struct slot *slot, uint32_t file_index,
                          uint64_t block_index, uint64_t offset, struct text head)
{
    char reason[REASON_BYTES];
    (void)snprintf(reason, sizeof reason, "the line has more than %zu bytes",
                   feed->options.line_max_bytes);
    add_finding(slot,
                (struct feed_finding){.refusal = REFUSE_LINE_LIMIT,
                                      .file_index = file_index,
                                      .block_index = (uint32_t)block_index,
                                      .offset = offset,
                                      .head = head},
                reason);
}

static bool is_changed(const struct input *input, const struct file_info *now)
{
    const struct file_info *then = &input->found.info;
    return now->size_bytes != then->size_bytes || now->modified_ns != then->modified_ns ||
           now->inode != then->inode || now->device != then->device;
}

/* After the last read of a file that is not a pipe. */
static enum status check_change(struct feed *feed, struct slot *slot, uint32_t file_index,
                                uint64_t block_index, uint64_t offset, struct file *file,
                                struct error *err)
{
    struct file_info now;
    TRY(feed->env->file_stat_open(feed->env, file, &now, err));
    if (is_changed(&feed->inputs[file_index], &now)) {
        add_finding(slot,
                    (struct feed_finding){.refusal = REFUSE_NONE,
                                          .file_index = file_index,
                                          .block_index = (uint32_t)block_index,
                                          .offset = offset},
                    "the file changed while it was read");
    }
    return OK;
}

/* ---- plain files ---- */

static char *find_newline(char *at, size_t size)
{
    return size > 0 ? memchr(at, '\n', size) : NULL;
}

/* The position after the last newline in bytes[from, to), else from. */
static size_t last_line_start(const char *bytes, size_t from, size_t to)
{
    const char *newline = to > from ? memrchr(bytes + from, '\n', to - from) : NULL;
    return newline ? (size_t)(newline - bytes) + 1 : from;
}

struct bytes_read {
    char *bytes;
    uint64_t offset; /* of bytes[0] */
    size_t size;
    bool is_end;   /* of the file */
    bool is_short; /* the file ends before the size it had */
};

static enum status read_more(struct feed *feed, const struct input *input, struct bytes_read *into,
                             size_t want, struct error *err)
{
    uint64_t at = into->offset + into->size;
    uint64_t left = input->size_bytes > at ? input->size_bytes - at : 0;
    size_t room = feed->buffer_bytes - LEAD_ROOM_BYTES - FEED_PADDING_BYTES - into->size;
    want = want < room ? want : room;
    want = want < left ? want : (size_t)left;
    size_t got = 0;
    TRY(feed->env->file_read_at(feed->env, input->file, into->bytes + into->size, want, at, &got,
                                err));
    into->size += got;
    into->is_short = got < want;
    into->is_end = into->is_short || want == left;
    return OK;
}

/* The file's last line has no newline: did somebody cut it short, or is he just writing it? */
static enum status check_last_line(struct feed *feed, const struct input *input,
                                   const struct bytes_read *read, bool *is_cut, struct error *err)
{
    char beyond;
    size_t got;
    TRY(feed->env->file_read_at(feed->env, input->file, &beyond, 1, input->size_bytes, &got, err));
    *is_cut = read->is_short || got > 0;
    return OK;
}

/* The lines that start in the block, as (*bytes)[0, *size). */
static enum status read_block(struct feed *feed, struct slot *slot, uint32_t file_index,
                              uint64_t block_index, char **bytes, size_t *size, uint64_t *offset,
                              struct error *err)
{
    const struct input *input = &feed->inputs[file_index];
    size_t block_bytes = feed->options.block_bytes;
    size_t line_max = feed->options.line_max_bytes;
    size_t lead = block_index > 0; /* is the byte before the block a newline? */
    /* The kernel copies twice as fast when both sides have the same alignment. */
    struct bytes_read read = {.bytes = slot->buffer + (lead > 0 ? LEAD_ROOM_BYTES - 1 : 0),
                              .offset = block_index * block_bytes - lead};
    *bytes = read.bytes;
    *size = 0;
    *offset = read.offset;
    TRY(read_more(feed, input, &read, lead + block_bytes + READ_ON_BYTES, err));
    size_t own = lead + block_bytes < read.size ? lead + block_bytes : read.size;
    size_t start = 0;
    if (lead > 0) {
        char *newline = own > 0 ? find_newline(read.bytes, own - 1) : NULL;
        start = newline ? (size_t)(newline - read.bytes) + 1 : own;
    }
    if (start >= own) {
        return OK;
    }
    size_t searched = own - 1;
    char *newline;
    for (;;) {
        newline = find_newline(read.bytes + searched, read.size - searched);
        searched = read.size;
        if (newline || read.is_end || read.size - own >= line_max) {
            break;
        }
        TRY(read_more(feed, input, &read, STEP_BYTES, err));
    }
    size_t end = newline ? (size_t)(newline - read.bytes) + 1 : read.size;
    if (end - start > line_max) {
        size_t last = last_line_start(read.bytes, start, own - 1);
        struct text line = {read.bytes + last, end - last - (newline != NULL)};
        if (line.size > line_max) {
            add_long_line(feed, slot, file_index, block_index, read.offset + last, line);
            end = last;
        }
    }
    if (!newline && read.is_end && slot->finding_count == 0) {
        bool is_cut;
        TRY(check_last_line(feed, input, &read, &is_cut, err));
        size_t last = last_line_start(read.bytes, start, end);
        if (is_cut && last < end) {
            add_finding(slot,
                        (struct feed_finding){.refusal = REFUSE_ENCODING,
                                              .file_index = file_index,
                                              .block_index = (uint32_t)block_index,
                                              .offset = read.offset + last,
                                              .head = {read.bytes + last, end - last}},
                        "the file changed while it was read: its last line is cut");
            end = last;
        }
    }
    *bytes = read.bytes + start;
    *size = end - start;
    *offset = read.offset + start;
    return OK;
}

/* No line behind it can be read. */
static enum status fail_long_header(const struct feed *feed, const struct input *input,
                                    struct error *err)
{
    (void)fail(err, ERR_INPUT, "%s:1: the header has more than %zu bytes", input->found.path,
               feed->options.line_max_bytes);
    return fail_hint(err, "the first line of CSV names its columns; lines end with a newline");
}

static enum status read_header(struct feed *feed, struct slot *slot, struct input *input,
                               struct error *err)
{
    struct bytes_read read = {.bytes = slot->buffer};
    char *newline = NULL;
    while (!newline && !read.is_end && read.size <= feed->options.line_max_bytes) {
        size_t searched = read.size;
        TRY(read_more(feed, input, &read, STEP_BYTES, err));
        newline = find_newline(read.bytes + searched, read.size - searched);
    }
    size_t size = newline ? (size_t)(newline - read.bytes) : read.size;
    if (size > feed->options.line_max_bytes) {
        return fail_long_header(feed, input, err);
    }
    if (size == 0) {
        return OK;
    }
    void *memory;
    TRY(feed_allocate(feed->env, input->found.path, size, &memory, err));
    input->header = memcpy(memory, read.bytes, size);
    input->header_size = size;
    return OK;
}

/* ---- streams as blocks ---- */

static enum status keep_header(struct feed *feed, struct input *input, char *bytes, size_t size,
                               struct error *err)
{
    char *newline = find_newline(bytes, size);
    size = newline ? (size_t)(newline - bytes) : size;
    if (size == 0) {
        return OK;
    }
    void *memory;
    TRY(feed_allocate(feed->env, input->found.path, size, &memory, err));
    input->header = memcpy(memory, bytes, size);
    input->header_size = size;
    return OK;
}

static void carry_over(struct cutter *cutter, const char *bytes, size_t size, uint64_t offset)
{
    assert(size <= cutter->carry_capacity);
    if (size > 0) {
        memcpy(cutter->carry, bytes, size);
    }
    cutter->carry_size = size;
    cutter->carry_offset = offset;
}

/* Throws the rest of a long line away; what follows its newline is carried over. */
static enum status skip_line(struct cutter *cutter, char *scratch, size_t scratch_size,
                             uint64_t offset, struct error *err)
{
    for (;;) {
        size_t got;
        TRY(stream_read(cutter->stream, scratch, scratch_size, &got, err));
        char *newline = find_newline(scratch, got);
        if (newline || got == 0) {
            size_t skipped = newline ? (size_t)(newline - scratch) + 1 : 0;
            carry_over(cutter, scratch + skipped, got - skipped, offset + skipped);
            return OK;
        }
        offset += got;
    }
}

/* The next block of the stream, as slot->buffer[0, *size); *missing is 1 when a line after it is
 * not delivered.  Nothing at all is the end. */
static enum status cut_block(struct feed *feed, struct slot *slot, uint32_t file_index,
                             size_t *size, uint64_t *offset, uint64_t *missing, struct error *err)
{
    struct cutter *cutter = &feed->inputs[file_index].cutter;
    const struct stream *stream = cutter->stream;
    size_t block_bytes = feed->options.block_bytes;
    size_t line_max = feed->options.line_max_bytes;
    char *bytes = slot->buffer;
    size_t have = cutter->carry_size;
    size_t cut = 0; /* after the last newline */
    if (have > 0) {
        memcpy(bytes, cutter->carry, have);
    }
    *offset = cutter->carry_offset;
    *missing = 0;
    *size = 0;
    bool has_ended = false;
    while (!has_ended && (have < block_bytes || (cut == 0 && have <= line_max))) {
        size_t step = STEP_BYTES < block_bytes ? STEP_BYTES : block_bytes;
        size_t want = have < block_bytes ? block_bytes - have : line_max + 1 - have;
        want = have >= block_bytes && want > step ? step : want;
        size_t got;
        TRY(stream_read(cutter->stream, bytes + have, want, &got, err));
        has_ended = got == 0;
        have += got;
        if (has_ended || have >= block_bytes) {
            cut = last_line_start(bytes, 0, have);
        }
    }
    assert(!has_ended || have <= line_max);
    if (has_ended && stream->fault == REFUSE_NONE) {
        *size = have;
        carry_over(cutter, NULL, 0, *offset + have);
    } else if (cut > 0 || has_ended) {
        *size = cut;
        carry_over(cutter, bytes + cut, has_ended ? 0 : have - cut, *offset + cut);
    } else {
        add_long_line(feed, slot, file_index, cutter->next_block, *offset,
                      (struct text){bytes, have});
        *missing = 1;
        TRY(skip_line(cutter, bytes, cutter->carry_capacity, *offset + have, err));
    }
    if (has_ended && stream->fault != REFUSE_NONE) {
        add_finding(slot,
                    (struct feed_finding){.refusal = stream->fault,
                                          .file_index = file_index,
                                          .block_index = cutter->next_block,
                                          .offset = *offset + cut,
                                          .head = {bytes + cut, have - cut}},
                    stream->reason);
        *missing = 1;
    }
    return OK;
}

/* ---- claims ---- */

enum claim_kind { CLAIM_NONE, CLAIM_OPEN, CLAIM_BLOCK, CLAIM_STREAM };

struct claim {
    enum claim_kind kind;
    uint32_t file_index;
    uint64_t block_index;
};

static enum status fail_feed(struct feed *feed, enum status status, const struct error *cause)
{
    feed->env->lock_take(feed->env, feed->lock);
    if (!feed->has_failed) {
        feed->has_failed = true;
        feed->failure = *cause;
        feed->failure.status = status;
    }
    feed->env->lock_wake_all(feed->env, feed->lock);
    feed->env->lock_give(feed->env, feed->lock);
    return status;
}

/* Under the lock.  False when nothing can be claimed now; *may_come then says whether to wait. */
static bool find_claim(struct feed *feed, struct claim *claim, bool *may_come)
{
    *may_come = false;
    for (uint32_t i = feed->first_open; i < feed->input_count; i++) {
        struct input *input = &feed->inputs[i];
        if (input->progress == INPUT_DONE) {
            feed->first_open += i == feed->first_open;
            continue;
        }
        if (input->is_busy) {
            *may_come = true;
            continue;
        }
        bool is_plain = !input->cutter.stream && input->progress == INPUT_OPEN;
        if (is_plain && input->next_block == input->block_count) {
            continue; /* others are reading its last blocks */
        }
        *claim = (struct claim){.file_index = i};
        if (is_plain) {
            claim->kind = CLAIM_BLOCK;
            claim->block_index = input->next_block++;
            input->readers++;
        } else {
            claim->kind = input->progress == INPUT_NEW ? CLAIM_OPEN : CLAIM_STREAM;
            input->is_busy = true;
        }
        return true;
    }
    return false;
}

static enum status claim_next(struct feed *feed, struct claim *claim, struct error *err)
{
    struct env *env = feed->env;
    *claim = (struct claim){.kind = CLAIM_NONE};
    enum status status = OK;
    env->lock_take(env, feed->lock);
    for (;;) {
        bool may_come;
        if (feed->has_failed) {
            if (err) {
                *err = feed->failure;
            }
            status = feed->failure.status;
            break;
        }
        if (find_claim(feed, claim, &may_come) || !may_come) {
            break;
        }
        env->lock_wait(env, feed->lock);
    }
    env->lock_give(env, feed->lock);
    return status;
}

static void put_back(struct feed *feed, struct input *input, bool is_done)
{
    struct env *env = feed->env;
    env->lock_take(env, feed->lock);
    input->is_busy = false;
    input->progress = is_done ? INPUT_DONE : INPUT_OPEN;
    env->lock_wake_all(env, feed->lock);
    env->lock_give(env, feed->lock);
}

/* Room for the line count of one more block.  The old counts move under the lock, since others
 * count. */
static enum status reserve_lines(struct feed *feed, struct input *input, uint64_t block_count,
                                 struct error *err)
{
    struct env *env = feed->env;
    if (block_count <= input->line_capacity) {
        return OK;
    }
    if (block_count >= UINT32_MAX) {
        return fail(err, ERR_LIMIT, "%s: too many blocks", input->found.path);
    }
    size_t capacity = input->line_capacity > 0 ? 2 * input->line_capacity : 64;
    capacity = capacity > block_count ? capacity : (size_t)block_count;
    void *memory;
    TRY(feed_allocate(env, input->found.path, capacity * sizeof(uint64_t), &memory, err));
    memset(memory, 0, capacity * sizeof(uint64_t));
    env->lock_take(env, feed->lock);
    uint64_t *old = input->lines;
    size_t old_capacity = input->line_capacity;
    if (old) {
        memcpy(memory, old, old_capacity * sizeof *old);
    }
    input->lines = memory;
    input->line_capacity = capacity;
    env->lock_give(env, feed->lock);
    feed_release(env, old, old_capacity * sizeof *old);
    return OK;
}

/* The input is this thread's alone until it is put back. */
static enum status open_input(struct feed *feed, struct slot *slot, uint32_t file_index,
                              struct error *err)
{
    struct env *env = feed->env;
    struct input *input = &feed->inputs[file_index];
    TRY(env->file_open(env, input->found.path, &input->file, err));
    if (input->found.is_pipe) {
        TRY(env->file_temporary(env, feed->options.temporary_folder, &input->spool, err));
    } else {
        struct file_info now;
        TRY(env->file_stat_open(env, input->file, &now, err));
        input->size_bytes = now.size_bytes;
    }
    if (input->found.is_pipe || input->found.packing != PACKED_NONE) {
        struct cutter *cutter = &input->cutter;
        TRY(stream_open(env, input->found.path, input->file, input->spool, input->found.packing,
                        &cutter->stream, err));
        input->found.packing = cutter->stream->packing; /* a pipe's is known by now */
        void *memory;
        TRY(feed_allocate(env, input->found.path, feed->options.block_bytes, &memory, err));
        cutter->carry = memory;
        cutter->carry_capacity = feed->options.block_bytes;
        return OK;
    }
    if (input->found.format == FEED_SEGMENT) {
        TRY(places_read(env, input->found.path, input->file, input->size_bytes, &input->places,
                        err));
        input->block_count = input->places.count;
        return OK;
    }
    size_t block_bytes = feed->options.block_bytes;
    input->block_count = input->size_bytes / block_bytes + (input->size_bytes % block_bytes > 0);
    TRY(reserve_lines(feed, input, input->block_count, err));
    return input->found.format == FEED_CSV ? read_header(feed, slot, input, err) : OK;
}

static void fill_block(const struct feed *feed, struct slot *slot, const struct claim *claim,
                       char *bytes, size_t size, uint64_t offset, struct feed_block *block)
{
    const struct input *input = &feed->inputs[claim->file_index];
    bytes[size] = '\n';
    *block = (struct feed_block){
        .bytes = bytes,
        .size = size,
        .file_index = claim->file_index,
        .block_index = (uint32_t)claim->block_index,
        .offset = offset,
        .is_first_of_file = offset == 0,
        .format = input->found.format,
        .header = {input->header, input->header_size},
        .findings = slot->findings,
        .finding_count = slot->finding_count,
    };
}

/* Room for a block and what may be read behind it. */
static enum status grow_room(struct feed *feed, const char *path, size_t size_bytes, char **room,
                             size_t *capacity, struct error *err)
{
    size_t need = size_bytes + SEGMENT_PADDING_BYTES;
    if (*capacity >= need) {
        return OK;
    }
    void *memory;
    feed_release(feed->env, *room, *capacity);
    *room = NULL;
    *capacity = 0;
    TRY(feed_allocate(feed->env, path, need + need / 4, &memory, err));
    *room = memory;
    *capacity = need + need / 4;
    return OK;
}

static enum status read_segment(struct feed *feed, struct slot *slot, const struct claim *claim,
                                struct feed_block *block, struct error *err)
{
    struct env *env = feed->env;
    const struct input *input = &feed->inputs[claim->file_index];
    const struct place *place = &input->places.items[claim->block_index];
    const char *fault = place->fault;
    size_t size = !fault                          ? place->size
                  : place->size < FEED_HEAD_BYTES ? place->size
                                                  : FEED_HEAD_BYTES;
    size_t got = 0;
    TRY(grow_room(feed, input->found.path, size, &slot->segment, &slot->segment_capacity, err));
    TRY(env->file_read_at(env, input->file, slot->segment, size, place->offset, &got, err));
    fault = !fault && got < size ? "segment: a block is cut" : fault;
    if (fault) {
        add_finding(slot,
                    (struct feed_finding){.refusal = REFUSE_SEGMENT,
                                          .file_index = claim->file_index,
                                          .block_index = (uint32_t)claim->block_index,
                                          .offset = place->offset,
                                          .head = {slot->segment, got}},
                    fault);
    }
    *block = (struct feed_block){.bytes = slot->segment,
                                 .size = fault ? 0 : size,
                                 .file_index = claim->file_index,
                                 .block_index = (uint32_t)claim->block_index,
                                 .offset = place->offset,
                                 .first_event = place->first,
                                 .is_first_of_file = claim->block_index == 0,
                                 .format = FEED_SEGMENT};
    atomic_fetch_add(&feed->bytes_read, place->size);
    return OK;
}

static enum status next_of_file(struct feed *feed, struct slot *slot, const struct claim *claim,
                                struct feed_block *block, struct error *err)
{
    struct env *env = feed->env;
    struct input *input = &feed->inputs[claim->file_index];
    char *bytes = NULL;
    size_t size = 0;
    uint64_t offset = 0;
    bool is_segment = input->found.format == FEED_SEGMENT;
    if (is_segment) {
        TRY(read_segment(feed, slot, claim, block, err));
    } else {
        TRY(read_block(feed, slot, claim->file_index, claim->block_index, &bytes, &size, &offset,
                       err));
        uint64_t start = claim->block_index * feed->options.block_bytes;
        uint64_t left = input->size_bytes - start;
        atomic_fetch_add(&feed->bytes_read,
                         left < feed->options.block_bytes ? left : feed->options.block_bytes);
    }

    env->lock_take(env, feed->lock);
    if (!is_segment) {
        input->lines[claim->block_index] += slot->finding_count; /* the line not delivered */
    }
    input->readers--;
    bool is_last = input->readers == 0 && input->next_block == input->block_count;
    struct file *file = input->file;
    if (is_last) {
        input->progress = INPUT_DONE;
        input->file = NULL;
    }
    env->lock_give(env, feed->lock);
    if (is_last) {
        enum status status = check_change(feed, slot, claim->file_index, claim->block_index,
                                          input->size_bytes, file, err);
        close_quietly(env, &file);
        TRY(status);
    }
    if (is_segment) {
        block->findings = slot->findings;
        block->finding_count = slot->finding_count;
    } else {
        fill_block(feed, slot, claim, bytes, size, offset, block);
    }
    return OK;
}

/* What is read by its places, and has none in a stream. */
static enum status check_magic(const struct input *input, struct text head, struct error *err)
{
    const char *through = input->found.is_pipe ? "a pipe" : "another compression";
    if (segment_is_magic(head.at, head.size)) {
        (void)fail(err, ERR_INPUT, "%s: a segment comes through %s", input->found.path, through);
        return fail_hint(err, "segments are read from files, as farthing import wrote them");
    }
    if (head.size >= 4 && memcmp(head.at, "PAR1", 4) == 0) {
        (void)fail(err, ERR_INPUT, "%s: a Parquet file comes through %s", input->found.path,
                   through);
        return fail_hint(err, "Parquet is read from files, by farthing import");
    }
    return OK;
}

static enum status next_of_stream(struct feed *feed, struct slot *slot, struct claim *claim,
                                  struct feed_block *block, struct error *err)
{
    struct env *env = feed->env;
    struct input *input = &feed->inputs[claim->file_index];
    struct cutter *cutter = &input->cutter;
    const struct stream *stream = cutter->stream;
    size_t size;
    uint64_t offset, missing;
    uint64_t raw_before = cutter->next_block == 0 ? 0 : stream->raw_offset;
    TRY(reserve_lines(feed, input, (uint64_t)cutter->next_block + 1, err));
    TRY(cut_block(feed, slot, claim->file_index, &size, &offset, &missing, err));
    claim->block_index = cutter->next_block;
    if (cutter->next_block == 0) {
        TRY(check_magic(input, (struct text){slot->buffer, size}, err));
        TRY(check_magic(input, slot->finding_count > 0 ? slot->findings[0].head : TEXT(""), err));
    }
    if (!input->found.is_pipe) {
        atomic_fetch_add(&feed->bytes_read, stream->raw_offset - raw_before);
    }
    if (input->found.format == FEED_CSV && cutter->next_block == 0) {
        const struct feed_finding *first = slot->finding_count > 0 ? slot->findings : NULL;
        if (first && first->refusal == REFUSE_LINE_LIMIT && first->offset == 0) {
            return fail_long_header(feed, input, err);
        }
        TRY(keep_header(feed, input, slot->buffer, size, err));
    }
    env->lock_take(env, feed->lock);
    input->lines[cutter->next_block] += missing;
    env->lock_give(env, feed->lock);
    cutter->next_block++;
    bool is_done = stream->is_end && cutter->carry_size == 0 &&
                   (stream->fault == REFUSE_NONE || slot->finding_count > 0);
    if (is_done && stream->fault != REFUSE_NONE) {
        /* A long line may have been skipped up to the fault, which is then yet to be told. */
        is_done = slot->findings[slot->finding_count - 1].refusal == stream->fault;
    }
    if (is_done) {
        if (!input->found.is_pipe) {
            TRY(check_change(feed, slot, claim->file_index, claim->block_index, offset + size,
                             input->file, err));
        }
        close_cutter(env, cutter);
        close_quietly(env, &input->file);
    }
    fill_block(feed, slot, claim, slot->buffer, size, offset, block);
    put_back(feed, input, is_done);
    return OK;
}

static enum status follow_claim(struct feed *feed, struct slot *slot, struct claim *claim,
                                struct feed_block *block, struct error *err)
{
    struct input *input = &feed->inputs[claim->file_index];
    if (claim->kind == CLAIM_OPEN) {
        TRY(open_input(feed, slot, claim->file_index, err));
        if (!input->cutter.stream) {
            bool is_empty = input->block_count == 0;
            if (is_empty) {
                close_quietly(feed->env, &input->file);
            }
            put_back(feed, input, is_empty);
            return OK;
        }
        claim->kind = CLAIM_STREAM;
    }
    return claim->kind == CLAIM_STREAM ? next_of_stream(feed, slot, claim, block, err)
                                       : next_of_file(feed, slot, claim, block, err);
}

enum status feed_next(struct feed *feed, int thread_index, struct feed_block *block,
                      struct error *err)
{
    assert(thread_index >= 0 && thread_index < feed->options.threads);
    struct slot *slot = &feed->slots[thread_index];
    for (;;) {
        struct claim claim;
        struct error cause = {0};
        *block = (struct feed_block){0};
        slot->finding_count = 0;
        TRY(claim_next(feed, &claim, err));
        if (claim.kind == CLAIM_NONE) {
            feed_release(feed->env, slot->segment, slot->segment_capacity);
            slot->segment = NULL;
            slot->segment_capacity = 0;
            return OK;
        }
        enum status status = follow_claim(feed, slot, &claim, block, &cause);
        if (status != OK) {
            if (err) {
                *err = cause;
            }
            *block = (struct feed_block){0};
            return fail_feed(feed, status, &cause);
        }
        if (block->size > 0 || block->finding_count > 0) {
            return OK;
        }
    }
}

uint32_t feed_file_count(const struct feed *feed)
{
    return feed->input_count;
}

const char *feed_file_path(const struct feed *feed, uint32_t file_index)
{
    assert(file_index < feed->input_count);
    return feed->inputs[file_index].found.path;
}

size_t feed_file_source(const struct feed *feed, uint32_t file_index)
{
    assert(file_index < feed->input_count);
    return feed->inputs[file_index].found.source;
}

enum feed_format feed_file_format(const struct feed *feed, uint32_t file_index)
{
    assert(file_index < feed->input_count);
    return feed->inputs[file_index].found.format;
}

uint64_t feed_bytes_total(const struct feed *feed)
{
    return feed->bytes_total;
}

uint64_t feed_bytes_plain(const struct feed *feed)
{
    enum { PACKED_SHARE = 8 };
    uint64_t sum = 0;
    for (uint32_t i = 0; i < feed->input_count; i++) {
        const struct listed_file *found = &feed->inputs[i].found;
        bool is_packed = found->format == FEED_SEGMENT || found->packing != PACKED_NONE;
        sum += found->info.size_bytes * (is_packed ? PACKED_SHARE : 1);
    }
    return sum;
}

uint64_t feed_bytes_read(const struct feed *feed)
{
    return atomic_load(&feed->bytes_read);
}

/* ---- line numbers ---- */

void feed_count_lines(struct feed *feed, uint32_t file_index, uint32_t block_index, uint32_t lines)
{
    assert(file_index < feed->input_count);
    struct input *input = &feed->inputs[file_index];
    if (input->found.format == FEED_SEGMENT) {
        return; /* its headers tell */
    }
    feed->env->lock_take(feed->env, feed->lock);
    assert(block_index < input->line_capacity && !input->is_summed);
    input->lines[block_index] += lines;
    feed->env->lock_give(feed->env, feed->lock);
}

uint64_t feed_line_number(struct feed *feed, uint32_t file_index, uint32_t block_index,
                          uint64_t line_in_block)
{
    assert(file_index < feed->input_count);
    struct input *input = &feed->inputs[file_index];
    if (input->found.format == FEED_SEGMENT) {
        assert(block_index < input->places.count);
        return input->places.items[block_index].first + 1 +
               (line_in_block != FEED_LINE_LAST ? line_in_block : 0);
    }
    assert(block_index < input->line_capacity);
    if (!input->is_summed) {
        uint64_t before = 0;
        for (size_t i = 0; i < input->line_capacity; i++) {
            uint64_t lines = input->lines[i];
            input->lines[i] = before;
            before += lines;
        }
        input->line_total = before;
        input->is_summed = true;
    }
    if (line_in_block != FEED_LINE_LAST) {
        return input->lines[block_index] + line_in_block + 1;
    }
    return block_index + 1 < input->line_capacity ? input->lines[block_index + 1]
                                                  : input->line_total;
}

/* ---- reading again ---- */

static enum status fail_changed(const struct input *input, struct error *err)
{
    return fail(err, ERR_INPUT, "%s: the file changed after it was read", input->found.path);
}

static enum status open_reread(struct feed *feed, struct input *input, struct error *err)
{
    struct env *env = feed->env;
    struct reread *reread = &feed->reread;
    close_reread(feed);
    reread->input = input;
    if (!input->spool) {
        struct file_info now;
        TRY(env->file_open(env, input->found.path, &reread->file, err));
        TRY(env->file_stat_open(env, reread->file, &now, err));
        if (is_changed(input, &now)) {
            return fail_changed(input, err);
        }
    }
    if (input->found.packing != PACKED_NONE) {
        void *memory;
        TRY(feed_allocate(env, input->found.path, feed->window_bytes, &memory, err));
        reread->window = memory;
        TRY(stream_open(env, input->found.path, input->spool ? input->spool : reread->file, NULL,
                        input->found.packing, &reread->stream, err));
    }
    return OK;
}

static enum status reread_plain(struct feed *feed, const struct input *input, uint64_t offset,
                                char *buffer, size_t size_max, size_t *size, struct error *err)
{
    struct env *env = feed->env;
    struct file *file = input->spool ? input->spool : feed->reread.file;
    size_t have = 0;
    char *newline = NULL;
    size_t step = 4096;
    while (!newline && have < size_max) {
        size_t want = size_max - have < step ? size_max - have : step;
        size_t got;
        TRY(env->file_read_at(env, file, buffer + have, want, offset + have, &got, err));
        newline = find_newline(buffer + have, got);
        have += got;
        if (got < want) {
            break;
        }
        step = STEP_BYTES;
    }
    *size = newline ? (size_t)(newline - buffer) : have;
    return OK;
}

/* The window holds bytes [window_offset, + window_size) of the stream and slides forward. */
static enum status reread_stream(struct feed *feed, uint64_t offset, char *buffer, size_t size_max,
                                 size_t *size, struct error *err)
{
    struct reread *reread = &feed->reread;
    for (;;) {
        uint64_t window_end = reread->window_offset + reread->window_size;
        size_t have = 0;
        char *from = reread->window;
        if (offset < window_end) {
            size_t skip = (size_t)(offset - reread->window_offset);
            from += skip;
            have = reread->window_size - skip;
            char *newline = find_newline(from, have < size_max ? have : size_max);
            if (newline || have >= size_max || reread->stream->is_end) {
                *size = newline ? (size_t)(newline - from) : have < size_max ? have : size_max;
                memcpy(buffer, from, *size);
                return OK;
            }
        }
        if (feed->window_bytes - reread->window_size < STEP_BYTES) {
            memmove(reread->window, from, have);
            reread->window_offset = have > 0 ? offset : window_end;
            reread->window_size = have;
        }
        size_t got;
        TRY(stream_read(reread->stream, reread->window + reread->window_size, STEP_BYTES, &got,
                        err));
        reread->window_size += got;
        if (got == 0 && offset >= window_end) {
            *size = 0;
            return OK;
        }
    }
}

enum status feed_reread(struct feed *feed, uint32_t file_index, uint64_t offset, char *buffer,
                        size_t size_max, size_t *size, struct error *err)
{
    assert(file_index < feed->input_count);
    struct input *input = &feed->inputs[file_index];
    size_max = size_max <= feed->options.line_max_bytes ? size_max : feed->options.line_max_bytes;
    struct reread *reread = &feed->reread;
    bool is_open = reread->input == input && (!reread->stream || offset >= reread->window_offset);
    *size = 0;
    if (!is_open) {
        enum status status = open_reread(feed, input, err);
        if (status != OK) {
            close_reread(feed);
            return status;
        }
    }
    return input->found.packing == PACKED_NONE
               ? reread_plain(feed, input, offset, buffer, size_max, size, err)
               : reread_stream(feed, offset, buffer, size_max, size, err);
}

enum status feed_reread_event(struct feed *feed, uint32_t file_index, uint64_t event,
                              struct text *block, uint64_t *first_event, struct error *err)
{
    assert(file_index < feed->input_count);
    struct input *input = &feed->inputs[file_index];
    struct reread *reread = &feed->reread;
    const struct place *place = places_find(&input->places, event);
    assert(place);
    if (reread->input != input) {
        enum status status = open_reread(feed, input, err);
        if (status != OK) {
            close_reread(feed);
            return status;
        }
    }
    if (reread->place != place) {
        size_t got = 0;
        reread->place = NULL;
        TRY(grow_room(feed, input->found.path, place->size, &reread->room, &reread->room_capacity,
                      err));
        TRY(feed->env->file_read_at(feed->env, reread->file, reread->room, place->size,
                                    place->offset, &got, err));
        if (got < place->size) {
            return fail_changed(input, err);
        }
        reread->place = place;
    }
    *block = (struct text){reread->room, place->size};
    *first_event = place->first;
    return OK;
}
