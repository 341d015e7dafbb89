/* ingest.c - blocks of lines to events, and what is none to dead letters. */
#include "engine/ingest.h"

#include <assert.h>

#include "decode/segment.h"
#include "engine/letter.h"
#include "engine/restatement.h"

static_assert((int)DECODE_PADDING_BYTES <= (int)FEED_PADDING_BYTES);

/* ---- dead letters ---------------------------------------------------------------------------- */

__attribute__((cold)) static void add_letter(struct worker *worker, enum refusal refusal,
                                             uint64_t line_in_block, uint64_t offset,
                                             struct text record, const char *detail)
{
    struct kept_stream *stream = &worker->read.letters;
    uint32_t bytes_size = record.size > FEED_HEAD_BYTES ? FEED_HEAD_BYTES : (uint32_t)record.size;
    struct letter letter = {.line_in_block = line_in_block,
                            .offset = offset,
                            .size = record.size,
                            .refusal = refusal,
                            .detail_size = (uint32_t)strlen(detail),
                            .bytes_size = bytes_size,
                            .digest = hash_digest(record)};
    struct kept_piece *last =
        stream->piece_count > 0 ? &stream->pieces[stream->piece_count - 1] : NULL;
    if (!last || last->of != worker->read.block.file_index ||
        last->part != worker->read.block.block_index) {
        last = kept_begin(worker, stream, worker->read.block.file_index,
                          worker->read.block.block_index);
    }
    if (kept_add(worker, stream, &letter, sizeof letter) &&
        kept_add(worker, stream, detail, letter.detail_size) &&
        kept_add(worker, stream, record.at, bytes_size)) {
        last->size += sizeof letter + letter.detail_size + bytes_size;
    }
    uint64_t print;
    memcpy(&print, &letter.digest, sizeof print);
    worker->read.block_refused.count++;
    worker->read.block_refused.print += print;
    worker->read.refused[refusal]++;
}

static void take_finding(void *context, const struct finding *finding)
{
    struct worker *worker = context;
    add_letter(worker, finding->refusal, worker->read.line_in_block,
               worker->read.line_offset + finding->offset, finding->record, finding->detail);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static enum status open_csv(struct worker *worker)
{
    struct run *run = worker->run;
    if (worker->read.csv_header && worker->read.csv_file == worker->read.block.file_index) {
        return OK;
    }
    struct error inner;
    worker->read.csv_header = NULL;
    arena_rewind(&worker->read.header_arena, (struct arena_mark){0});
    enum status status = csv_header_read(&worker->read.header_arena, worker->read.block.header,
                                         run->csv_mapping, &worker->read.csv_header, &inner);
    if (status != OK) {
        (void)fail(&worker->err, status, "%s:1: %s",
                   feed_file_path(run->feed, worker->read.block.file_index), inner.message);
        return fail_hint(&worker->err, "%s", inner.hint);
    }
    worker->read.csv_file = worker->read.block.file_index;
    struct env *env = run->env;
    env->lock_take(env, run->lock);
    run->file_headers[worker->read.block.file_index] = worker->read.block.header;
    env->lock_give(env, run->lock);
    return OK;
}

/* What a file has in it, however it is cut, packed or ordered: for who reads it again. */
static void count_file_events(struct worker *worker)
{
    struct run *run = worker->run;
    struct event_count *events = &run->file_events[worker->read.block.file_index];
    struct event_count *refused = &run->file_refused[worker->read.block.file_index];
    run->env->lock_take(run->env, run->lock);
    events->count += worker->read.block_events.count;
    events->print += worker->read.block_events.print;
    refused->count += worker->read.block_refused.count;
    refused->print += worker->read.block_refused.print;
    if (run->restatement) {
        run->restatement->too_late += worker->read.block_too_late;
        outside_add(&run->restatement->outside, &worker->read.block_outside);
    }
    run->env->lock_give(run->env, run->lock);
    worker->read.block_events = worker->read.block_refused = (struct event_count){0};
    worker->read.block_too_late = 0;
    worker->read.block_outside = (struct outside){0};
}

/* Of a block of a segment: what takes the place of lines is events. */
static void read_segment(struct worker *worker)
{
    const struct feed_block *block = &worker->read.block;
    const struct text bytes = {block->bytes, block->size};
    const struct event *event;
    const char *fault;
    if (!worker->read.segments) {
        worker->read.segments = segment_reader_new(&worker->read.segment_arena);
    }
    uint32_t count = 0;
    if (segment_open(worker->read.segments, bytes, &fault)) {
        worker->read.line_offset = block->first_event;
        ingest_segment(worker);
        for (; (event = segment_next(worker->read.segments, &fault)); count++) {
            ingest_event(worker, event, count, (struct text){0});
        }
    }
    if (fault) {
        add_letter(worker, REFUSE_SEGMENT, count, block->offset, bytes, fault);
    }
    worker->read.lines_read += count;
}

static void read_lines(struct worker *worker)
{
    const struct feed_block *block = &worker->read.block;
    const struct csv_header *header = block->format == FEED_CSV ? worker->read.csv_header : NULL;
    struct sink sink = {.context = worker, .event = ingest_event, .refused = take_finding};
    uint64_t line = 0;
    for (size_t at = 0; at < block->size; line++) {
        worker->read.line_in_block = line;
        worker->read.line_offset = block->offset + at;
        struct text rest = {block->bytes + at, block->size - at};
        bool is_first = block->is_first_of_file && line == 0;
        at += header ? decode_csv_next(worker->read.decoder, header, rest, is_first, &sink)
                     : decode_json_next(worker->read.decoder, rest, is_first, &sink);
    }
    worker->read.lines_read += line;
    feed_count_lines(worker->run->feed, block->file_index, block->block_index, (uint32_t)line);
}

/* The rest of the file is billed all the same, so that who bills is told. */
static void note_damage(struct worker *worker, struct damage *damage,
                        const struct feed_finding *finding)
{
    bool is_first = damage->count++ == 0 || finding->file_index < damage->file ||
                    (finding->file_index == damage->file && finding->offset < damage->offset);
    if (is_first) {
        damage->file = finding->file_index;
        damage->offset = finding->offset;
        damage->reason = text_format(&worker->arena, "%s", finding->reason).at;
    }
}

static enum status read_block(struct worker *worker)
{
    const struct feed_block *block = &worker->read.block;
    const struct run *run = worker->run;
    worker->read.late_max =
        restatement_is_new(run, block->file_index) ? INSTANT_MAX : run->late_max;
    if (block->format == FEED_CSV && block->size > 0) {
        TRY(open_csv(worker));
    }
    if (block->format != FEED_SEGMENT) {
        read_lines(worker);
    } else if (block->size > 0) {
        read_segment(worker);
    }
    ingest_drain(worker);
    for (uint32_t i = 0; i < block->finding_count; i++) {
        const struct feed_finding *finding = &block->findings[i];
        if (finding->refusal == REFUSE_NONE) {
            note_damage(worker, &worker->read.change, finding);
        } else {
            if (finding->refusal == REFUSE_ENCODING) {
                note_damage(worker, &worker->read.damage, finding);
            }
            add_letter(worker, finding->refusal, FEED_LINE_LAST, finding->offset, finding->head,
                       finding->reason);
        }
    }
    count_file_events(worker);
    return OK;
}

static enum status read_blocks(struct worker *worker)
{
    struct run *run = worker->run;
    TRY(spool_writer_new(run->arrivals, &worker->read.arrivals, &worker->err));
    TRY(spool_writer_new(run->records, &worker->read.records, &worker->err));
    worker->read.totals =
        arena_calloc(&worker->arena, run->catalog->meter_count + 1, sizeof *worker->read.totals);
    worker->read.decoder = decoder_new(&worker->read.decoder_arena);
    worker->read.meter_scratch = meter_scratch_new(&worker->read.meter_arena, run->catalog);
    ingest_prepare(worker);
    for (;;) {
        TRY(feed_next(run->feed, worker->index, &worker->read.block, &worker->err));
        if (!worker->read.block.bytes) {
            return OK;
        }
        TRY(read_block(worker));
        if (run_is_stopped(run)) {
            return OK;
        }
        run_progress(run, worker->index, "reading events", feed_bytes_read(run->feed),
                     feed_bytes_total(run->feed));
    }
}

static void flush_spool(struct worker *worker, struct spool_writer **writer)
{
    if (*writer) {
        struct error err;
        enum status status = spool_flush(*writer, &err);
        if (status != OK && !worker->failed) {
            worker->err = err;
            worker_fail(worker, status);
        }
        *writer = NULL;
    }
}

static void read_work(void *argument, int index)
{
    struct run *run = argument;
    struct worker *worker = &run->workers[index];
    jmp_buf recover;
    if (ARENA_RECOVER(&worker->arena, recover)) {
        worker_fail(worker, fail_memory(&worker->err, run->env->memory_asked_bytes,
                                        " while events are read",
                                        ": accounts, resources and dimension values are kept in "
                                        "memory"));
    } else {
        worker->read.decoder_arena.recover = worker->read.meter_arena.recover = &recover;
        worker->read.segment_arena.recover = worker->read.header_arena.recover = &recover;
        worker->read.block_arena.recover = &recover;
        enum status status = read_blocks(worker);
        if (status != OK) {
            const struct feed_block *block =
                &worker->read.block; /* without bytes: the feed failed */
            worker->failed_at =
                block->bytes ? (uint64_t)block->file_index << 32 | block->block_index : UINT64_MAX;
            worker_fail(worker, status);
        }
    }
    flush_spool(worker, &worker->read.arrivals);
    flush_spool(worker, &worker->read.records);
    arena_release(&worker->read.segment_arena); /* a block takes what billing needs */
    arena_release(&worker->read.block_arena); /* so much less would be left than payers are told */
    worker->read.segments = NULL;
}

enum status run_read(struct run *run)
{
    account_finder_init(&run->finder, &run->finder_arena, run->accounts, &run->secret);
    const size_t files = feed_file_count(run->feed) + 1;
    run->file_headers = arena_calloc(&run->arena, files, sizeof *run->file_headers);
    run->file_events = arena_calloc(&run->arena, files, sizeof *run->file_events);
    run->file_refused = arena_calloc(&run->arena, files, sizeof *run->file_refused);
    enum status status = run_threads(run, read_work);
    arena_release(&run->finder_arena); /* payers are told of more room than is left beside it */
    return status;
}
