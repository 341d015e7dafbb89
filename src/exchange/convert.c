/* convert.c - events from any form to segments, and to other forms: farthing import and export.
 *
 *     feed -> decoder -> accepted: writer of segments, or a canonical line -> output
 *                     -> refused: dead letters
 *
 * Nothing is billed and nothing is left out: duplicates and conflicts are for who bills.  One
 * thread reads, so that events stay in their order.  Of an import a second one packs and writes the
 * block before, meanwhile; what it writes is the same.  Memory holds one block of each kind, or two
 * of an import, whatever the number of events.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/segment.h"
#include "engine/env_posix.h"
#include "engine/handle.h"
#include "engine/letter.h"
#include "engine/load.h"
#include "engine/run.h"
#include "exchange/parquet.h"
#include "feed/output.h"

enum { FILE_MAX_BYTES = 1 << 30, NAME_BYTES = 32 };
#define LETTERS_NAME "dead_letters.ndjson"

/* An import's two threads: a block that is full is packed while the next one is filled. */
struct packing {
    struct lock *lock;           /* of all here, and of the output; NULL: one thread does both */
    struct segment_writer *full; /* being packed, or waits to be; NULL: there is none */
    struct arena *full_arena;
    struct segment_writer *idle;
    struct arena *idle_arena;
    bool is_ended; /* no block will come any more */
    enum status status;
    struct error err;
};

struct converter {
    struct farthing *farthing;
    struct env *env;
    struct error *err;
    struct arena arena;        /* of the whole call */
    struct arena scratch;      /* of an event */
    struct arena header_arena; /* of the header of the file at hand: files may be many */
    struct arena decoder_arena, names_arena, reader_arena, parquet_arena;
    struct arena writer_arenas[2], *writer_arena;
    struct decoder *decoder, *names; /* names: takes apart what the first one has read */
    struct segment_writer *writer;   /* of import, in writer_arena */
    struct packing packing;
    struct segment_reader *reader;
    struct feed *feed;
    struct parquet *parquet; /* NULL: not needed so far */
    struct feed_block block;
    const struct csv_mapping *mapping;
    const struct csv_header *header; /* of the file at hand; NULL: JSON */
    uint32_t header_file;
    struct output *output, *letters_output;
    struct output_file *file, *letters;
    const char *folder, *name, *letters_name; /* of the output; name of export's file */
    enum status status;                       /* of the first failure within a sink */
    /* Where the record at hand stands. */
    const char *path;
    uint32_t file_index;
    uint64_t line, line_offset;
    /* Export. */
    const struct farthing_export *exporting; /* NULL: import */
    struct file *rows;                       /* of Parquet: the CSV that is made first */
    struct buffer out;
    const char *rows_path, *parquet_path;
    uint64_t file_events, refused[REFUSALS];
    const char *changed_path; /* of the first file that changed while it was read */
    uint32_t changed_count;
    struct farthing_converted *converted;
};

static enum status lack_memory(const struct converter *c, struct error *err)
{
    return fail_memory(err, c->env->memory_asked_bytes, "",
                       c->exporting ? "" : ": an import holds a block of events, most in 128MiB");
}

/* ---- the output of two threads --------------------------------------------------------------- */

/* Of an import one thread writes segments and the other one dead letters. */
static void take_output(struct converter *c)
{
    if (c->packing.lock) {
        c->env->lock_take(c->env, c->packing.lock);
    }
}

static void give_output(struct converter *c)
{
    if (c->packing.lock) {
        c->env->lock_give(c->env, c->packing.lock);
    }
}

/* ---- what is refused ------------------------------------------------------------------------- */

static enum status append_letter(struct converter *c, struct text letter)
{
    if (!c->letters_output) {
        c->letters_output = c->output;
    }
    if (!c->letters) {
        TRY(output_file_open(c->letters_output, c->letters_name, &c->letters, c->err));
    }
    return output_append_text(c->letters, letter, c->err);
}

static void add_letter(struct converter *c, enum refusal refusal, uint64_t line, uint64_t offset,
                       struct text record, const char *detail)
{
    c->converted->refused++;
    c->refused[refusal]++;
    if (c->status != OK || !c->letters_name) {
        return;
    }
    struct dead_letter letter = {.path = c->path,
                                 .line = line,
                                 .offset = offset,
                                 .refusal = refusal,
                                 .detail = text_of(detail),
                                 .bytes = record,
                                 .size = record.size,
                                 .digest = hash_digest(record)};
    if (letter.bytes.size > FEED_HEAD_BYTES) {
        letter.bytes.size = FEED_HEAD_BYTES;
    }
    struct arena_mark mark = arena_mark(&c->scratch);
    struct buffer out;
    buffer_init(&out, &c->scratch, 1024);
    letter_render(&out, &letter);
    take_output(c);
    c->status = append_letter(c, buffer_text(&out));
    give_output(c);
    arena_rewind(&c->scratch, mark);
}

static void take_finding(void *context, const struct finding *finding)
{
    struct converter *c = context;
    add_letter(c, finding->refusal, c->line, c->line_offset + finding->offset, finding->record,
               finding->detail);
}

/* ---- to segments ----------------------------------------------------------------------------- */

static enum status end_segment(struct converter *c, struct error *err)
{
    char block[SEGMENT_HEADER_BYTES];
    segment_end(c->file_events, block);
    c->converted->bytes_written += sizeof block;
    c->file_events = 0;
    struct output_file *file = c->file;
    c->file = NULL;
    TRY(output_append(file, block, sizeof block, err));
    return output_file_end(file, err); /* they may be many */
}

static enum status append_block(struct converter *c, struct text block, uint32_t count,
                                struct error *err)
{
    if (!c->file) {
        char name[NAME_BYTES];
        (void)snprintf(name, sizeof name, "events-%05llu.segment",
                       (unsigned long long)c->converted->files + 1);
        TRY(output_file_open(c->output, name, &c->file, err));
        c->converted->files++;
    }
    c->file_events += count;
    c->converted->blocks++;
    c->converted->bytes_written += block.size;
    TRY(output_append_text(c->file, block, err));
    return output_file_size(c->file) >= FILE_MAX_BYTES ? end_segment(c, err) : OK;
}

static enum status pack(struct converter *c, struct segment_writer *writer, struct error *err)
{
    uint32_t count = segment_count(writer);
    struct text block = segment_finish(writer, c->file_events);
    take_output(c);
    enum status status = append_block(c, block, count, err);
    give_output(c);
    return status;
}

/* Packs the block, or leaves it to the thread that does, and goes on with another one. */
static enum status flush_segment(struct converter *c)
{
    struct packing *packing = &c->packing;
    if (segment_count(c->writer) == 0) {
        return OK;
    }
    if (!packing->lock) {
        return pack(c, c->writer, c->err);
    }
    c->env->lock_take(c->env, packing->lock);
    while (packing->full) {
        c->env->lock_wait(c->env, packing->lock);
    }
    enum status status = packing->status;
    if (status == OK) {
        packing->full = c->writer;
        packing->full_arena = c->writer_arena;
        c->writer = packing->idle;
        c->writer_arena = packing->idle_arena;
        c->env->lock_wake_all(c->env, packing->lock);
    }
    c->env->lock_give(c->env, packing->lock);
    return status;
}

/* The thread that packs, until there is no more to come. */
static void pack_all(struct converter *c)
{
    struct packing *packing = &c->packing;
    struct env *env = c->env;
    env->lock_take(env, packing->lock);
    for (;;) {
        while (!packing->full && !packing->is_ended) {
            env->lock_wait(env, packing->lock);
        }
        if (!packing->full) {
            break;
        }
        env->lock_give(env, packing->lock);
        jmp_buf recover, *outer = packing->full_arena->recover;
        enum status status;
        if (setjmp(recover) != 0) {
            status = lack_memory(c, &packing->err);
        } else {
            packing->full_arena->recover = &recover;
            status = pack(c, packing->full, &packing->err);
        }
        env->lock_take(env, packing->lock);
        packing->full_arena->recover = outer;
        packing->status = status;
        packing->idle = packing->full;
        packing->idle_arena = packing->full_arena;
        packing->full = NULL;
        env->lock_wake_all(env, packing->lock);
    }
    env->lock_give(env, packing->lock);
}

static void count_event(struct converter *c, const struct event *event)
{
    c->converted->events++;
    c->converted->withdrawals += event->kind == EVENT_WITHDRAWAL;
}

static enum status store_event(struct converter *c, const struct event *event, struct text record)
{
    count_event(c, event);
    TRY(segment_add(c->writer, event, record, c->header, c->names, c->err));
    return segment_is_full(c->writer) ? flush_segment(c) : OK;
}

/* ---- to other forms -------------------------------------------------------------------------- */

enum { OUT_BYTES = 256 * 1024 };

static enum status flush_out(struct converter *c)
{
    struct text text = buffer_text(&c->out);
    c->converted->bytes_written += text.size;
    c->out.size = 0;
    if (text.size == 0) {
        return OK;
    }
    if (c->rows) {
        return c->env->file_write(c->env, c->rows, text.at, text.size, c->err);
    }
    if (c->file) {
        return output_append_text(c->file, text, c->err);
    }
    const struct farthing_export *to = c->exporting;
    if (to->write(to->context, text.at, text.size) != 0) {
        (void)fail(c->err, ERR_IO, "standard output: cannot write to it");
        return fail_hint(c->err, "its reader has gone, or the disk is full");
    }
    return OK;
}

static void add_field(struct buffer *out, struct text field)
{
    bool is_plain = true;
    for (size_t i = 0; i < field.size && is_plain; i++) {
        is_plain = field.at[i] != '"' && field.at[i] != ',' && field.at[i] != '\r';
    }
    if (is_plain) {
        buffer_add_text(out, field);
        return;
    }
    buffer_add_char(out, '"');
    for (size_t i = 0; i < field.size; i++) {
        if (field.at[i] == '"') {
            buffer_add_char(out, '"');
        }
        buffer_add_char(out, field.at[i]);
    }
    buffer_add_char(out, '"');
}

/* `data` of a canonical form: between its first member's name and its second. */
static struct text data_of(struct text canonical)
{
    static const char HEAD[] = "{\"data\":", ID[] = ",\"id\":";
    const size_t from = sizeof HEAD - 1;
    size_t end = from;
    bool is_whole = json_value_end(canonical, &end);
    assert(is_whole && end + sizeof ID <= canonical.size + 1);
    return (struct text){canonical.at + from, end - from};
}

static void add_row(struct converter *c, const struct event *event, struct text canonical)
{
    char time[TIME_FORMAT_MAX];
    struct buffer *out = &c->out;
    const struct text fields[] = {event->id, event->source, event->type, event->subject};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        add_field(out, fields[i]);
        buffer_add_char(out, ',');
    }
    if (c->exporting->form == FARTHING_TO_PARQUET) {
        buffer_add_u64(out, (uint64_t)event->at);
    } else {
        buffer_add(out, time, (size_t)time_format(event->at, time));
    }
    buffer_add_char(out, ',');
    add_field(out, data_of(canonical));
    buffer_add_char(out, '\n');
}

/* Canonical JSON may be longer than the record it is of: what is escaped there need not be in CSV.
 * Then it has no line that could be read again. */
static void refuse_long(struct converter *c, struct text canonical, size_t line_bytes)
{
    char detail[64];
    (void)snprintf(detail, sizeof detail, "its line would have %zu bytes", line_bytes);
    add_letter(c, REFUSE_LINE_LIMIT, c->line, c->line_offset, canonical, detail);
}

/* record: of a segment it has no place, and its reader gives the canonical form. */
static enum status export_event(struct converter *c, const struct event *event, struct text record)
{
    const size_t before = c->out.size;
    struct arena_mark mark = arena_mark(&c->scratch);
    struct buffer canonical;
    buffer_init(&canonical, &c->scratch, record.size + 1024);
    if (record.at) {
        TRY(decode_canonical(c->names, record, c->header, &canonical, c->err));
    } else {
        segment_canonical(c->reader, &canonical);
    }
    if (c->exporting->form == FARTHING_TO_NDJSON) {
        buffer_add_text(&c->out, buffer_text(&canonical));
        buffer_add_char(&c->out, '\n');
    } else {
        add_row(c, event, buffer_text(&canonical));
    }
    size_t line_bytes =
        c->exporting->form == FARTHING_TO_PARQUET ? canonical.size : c->out.size - before - 1;
    if (line_bytes > LINE_MAX_BYTES) {
        c->out.size = before;
        refuse_long(c, buffer_text(&canonical), line_bytes);
    } else {
        count_event(c, event);
    }
    arena_rewind(&c->scratch, mark);
    TRY(c->status);
    return c->out.size >= OUT_BYTES ? flush_out(c) : OK;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void take_event(void *context, const struct event *event, size_t record_offset,
                       struct text record)
{
    struct converter *c = context;
    (void)record_offset;
    if (c->status != OK) {
        return;
    }
    c->status = c->exporting ? export_event(c, event, record) : store_event(c, event, record);
}

static enum status read_header(struct converter *c)
{
    if (c->block.format != FEED_CSV) {
        c->header = NULL;
        return OK;
    }
    if (c->header && c->header_file == c->block.file_index) {
        return OK;
    }
    struct error inner;
    c->header = NULL;
    arena_rewind(&c->header_arena, (struct arena_mark){0});
    enum status status =
        csv_header_read(&c->header_arena, c->block.header, c->mapping, &c->header, &inner);
    c->header_file = c->block.file_index;
    if (status != OK) {
        (void)fail(c->err, status, "%s:1: %s", c->path, inner.message);
        return fail_hint(c->err, "%s", inner.hint);
    }
    return OK;
}

static void read_lines(struct converter *c)
{
    const struct feed_block *block = &c->block;
    const struct sink sink = {c, take_event, take_finding};
    for (size_t at = 0; at < block->size && c->status == OK;) {
        struct text rest = {block->bytes + at, block->size - at};
        bool is_first = block->is_first_of_file && at == 0;
        c->line++;
        c->line_offset = block->offset + at;
        at += c->header ? decode_csv_next(c->decoder, c->header, rest, is_first, &sink)
                        : decode_json_next(c->decoder, rest, is_first, &sink);
    }
}

static void read_segment(struct converter *c)
{
    const struct feed_block *block = &c->block;
    const struct text bytes = {block->bytes, block->size};
    const struct event *event;
    const char *fault;
    uint64_t count = 0;
    if (segment_open(c->reader, bytes, &fault)) {
        c->line_offset = block->offset;
        for (; c->status == OK && (event = segment_next(c->reader, &fault)); count++) {
            c->line = block->first_event + count + 1;
            struct text record = {0};
            struct arena_mark mark = arena_mark(&c->scratch);
            if (!c->exporting) { /* a writer takes events apart by their records */
                struct buffer canonical;
                buffer_init(&canonical, &c->scratch, 1024);
                segment_canonical(c->reader, &canonical);
                record = buffer_text(&canonical);
            }
            take_event(c, event, 0, record);
            arena_rewind(&c->scratch, mark);
        }
    }
    if (fault && c->status == OK) {
        add_letter(c, REFUSE_SEGMENT, block->first_event + count + 1, block->offset, bytes, fault);
    }
}

static enum status read_block(struct converter *c)
{
    const struct feed_block *block = &c->block;
    if (block->file_index != c->file_index) {
        c->file_index = block->file_index;
        c->line = 0;
    }
    c->path = feed_file_path(c->feed, block->file_index);
    if (block->size > 0) {
        TRY(read_header(c));
        if (block->format == FEED_SEGMENT) {
            read_segment(c);
        } else {
            read_lines(c);
        }
    }
    for (uint32_t i = 0; i < block->finding_count && c->status == OK; i++) {
        const struct feed_finding *finding = &block->findings[i];
        if (finding->refusal == REFUSE_NONE) {
            c->changed_path = c->changed_count++ == 0 ? c->path : c->changed_path;
            continue;
        }
        uint64_t line = block->format == FEED_SEGMENT ? block->first_event + 1 : ++c->line;
        add_letter(c, finding->refusal, line, finding->offset, finding->head, finding->reason);
    }
    if (block->format != FEED_SEGMENT) {
        feed_count_lines(c->feed, block->file_index, block->block_index, 0);
    }
    return c->status;
}

static enum status take_parquet_row(void *context, struct text line, struct error *err)
{
    struct converter *c = context;
    const struct sink sink = {c, take_event, take_finding};
    (void)err; /* the same */
    c->line++;
    c->line_offset = 0;
    decode_json_line(c->decoder, line, false, &sink);
    return c->status;
}

static int threads_of(const struct converter *c)
{
    int threads = c->farthing->config.threads;
    return threads > 0 ? threads : c->env->processors(c->env);
}

static enum status start_parquet(struct converter *c)
{
    size_t limit = c->env->memory_limit_bytes ? c->env->memory_limit_bytes : (size_t)1 << 30;
    return parquet_open(&c->parquet_arena, threads_of(c), limit / 2, &c->parquet, c->err);
}

static void stop_parquet(struct converter *c)
{
    parquet_close(c->parquet);
    c->parquet = NULL;
}

static enum status read_parquet_files(struct converter *c)
{
    for (uint32_t f = 0; f < feed_file_count(c->feed); f++) {
        if (feed_file_format(c->feed, f) != FEED_PARQUET) {
            continue;
        }
        if (!c->parquet) {
            TRY(start_parquet(c));
        }
        c->path = feed_file_path(c->feed, f);
        c->line = 0;
        c->header = NULL;
        TRY(parquet_read(c->parquet, c->path, take_parquet_row, c, c->err));
    }
    stop_parquet(c);
    return OK;
}

static void tell_progress(struct converter *c)
{
    const struct farthing_config *config = &c->farthing->config;
    if (config->progress) {
        config->progress(config->progress_context, c->exporting ? "exporting" : "importing",
                         feed_bytes_read(c->feed), feed_bytes_total(c->feed));
    }
}

static enum status read_all(struct converter *c)
{
    int64_t told_ns = c->env->clock_mono_ns(c->env);
    c->file_index = UINT32_MAX;
    for (;;) {
        TRY(feed_next(c->feed, 0, &c->block, c->err));
        if (!c->block.bytes) {
            break;
        }
        TRY(read_block(c));
        int64_t now_ns = c->env->clock_mono_ns(c->env);
        if (now_ns - told_ns > NS_PER_SECOND / 4) {
            told_ns = now_ns;
            tell_progress(c);
        }
    }
    c->converted->bytes_read = feed_bytes_total(c->feed);
    return read_parquet_files(c);
}

static enum status open_feed(struct converter *c, struct farthing_paths events,
                             enum farthing_format format, struct farthing_paths catalog,
                             struct farthing_paths accounts)
{
    if (catalog.count > 0) {
        struct complaints complaints = {0};
        struct loaded loaded = {0};
        const struct load_inputs inputs = {.zone_folder = c->farthing->config.zone_folder,
                                           .catalog = catalog,
                                           .accounts = accounts};
        enum status status = load_catalog(c->env, &c->arena, &inputs, &complaints, &loaded, c->err);
        if (complaints.errors > 0) {
            handle_complaints(c->farthing, &complaints);
        }
        TRY(status);
        c->mapping = csv_mapping_new(&c->arena, loaded.catalog);
    }
    const struct feed_options options = {.threads = 1,
                                         .format = format == FARTHING_CSV      ? FEED_CSV
                                                   : format == FARTHING_NDJSON ? FEED_NDJSON
                                                                               : FEED_BY_NAME,
                                         .takes_parquet = true,
                                         .temporary_folder = c->farthing->config.temporary_folder};
    TRY(feed_open(c->env, &c->arena, events.items, events.count, &options, &c->feed, c->err));
    c->decoder = decoder_new(&c->decoder_arena);
    c->names = decoder_new(&c->names_arena);
    c->reader = segment_reader_new(&c->reader_arena);
    return OK;
}

static void list_reasons(struct converter *c)
{
    struct farthing_count *reasons = arena_calloc(&c->farthing->arena, REFUSALS, sizeof *reasons);
    for (int i = 0; i < REFUSALS; i++) {
        if (c->refused[i] > 0) {
            reasons[c->converted->reason_count++] = (struct farthing_count){
                .name = refusal_name((enum refusal)i), .count = c->refused[i]};
        }
    }
    c->converted->reasons = reasons;
}

static void list_warnings(struct converter *c)
{
    if (c->changed_count > 0) {
        struct arena *arena = &c->farthing->arena;
        struct farthing_count *warning = arena_calloc(arena, 1, sizeof *warning);
        warning->name = change_format(arena, c->changed_path, c->changed_count);
        c->converted->warnings = warning;
        c->converted->warning_count = 1;
    }
}

/* Gives the files their names.  What is told of them is made before: behind that nothing fails. */
static enum status commit(struct converter *c)
{
    list_reasons(c);
    list_warnings(c);
    if (!c->output) {
        return OK;
    }
    const char *letters = NULL;
    if (c->letters) {
        letters = text_format(&c->farthing->arena, "%s/%s", c->folder, c->letters_name).at;
    }
    struct output *output = c->output;
    c->output = c->letters_output = NULL;
    TRY(output_commit(output, c->err));
    c->converted->letters = letters;
    return OK;
}

/* ---- import ---------------------------------------------------------------------------------- */

/* What an earlier run had more of. */
static bool is_outdated_segment(const void *context, struct text name)
{
    const struct converter *c = context;
    bool is_segment = name.size == 20 && memcmp(name.at, "events-", 7) == 0 &&
                      memcmp(name.at + 12, ".segment", 8) == 0;
    return is_segment ? strtoull(name.at + 7, NULL, 10) > c->converted->files
                      : text_equal(name, TEXT(LETTERS_NAME)) && !c->letters;
}

/* All that runs out of memory on the thread at hand goes on there. */
static void set_recover(struct converter *c, jmp_buf *recover)
{
    struct arena *arenas[] = {&c->arena,          &c->scratch,      &c->decoder_arena,
                              &c->names_arena,    &c->reader_arena, &c->parquet_arena,
                              &c->header_arena,   c->writer_arenas, c->writer_arenas + 1,
                              &c->farthing->arena};
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) {
        arenas[i]->recover = recover;
    }
}

static enum status fill_segments(struct converter *c)
{
    TRY(read_all(c));
    return flush_segment(c);
}

/* The reading thread, and the one that packs. */
static void import_work(void *argument, int index)
{
    struct converter *c = argument;
    struct packing *packing = &c->packing;
    if (index == 1) {
        pack_all(c);
        return;
    }
    jmp_buf recover, *outer = c->arena.recover;
    enum status status;
    if (setjmp(recover) != 0) {
        status = lack_memory(c, c->err);
    } else {
        set_recover(c, &recover);
        status = fill_segments(c);
    }
    c->env->lock_take(c->env, packing->lock);
    c->status = status;
    packing->is_ended = true;
    c->env->lock_wake_all(c->env, packing->lock);
    while (packing->full) { /* its arena is not to be touched before */
        c->env->lock_wait(c->env, packing->lock);
    }
    c->env->lock_give(c->env, packing->lock);
    set_recover(c, outer);
}

static enum status fill_and_pack(struct converter *c)
{
    /* Two of the greatest blocks, each of whose events has names of its own, take 610 MiB, packed.
     * With less there is one at a time: an import must not fail for its threads.  It is what
     * farthing_new leaves of 768 MiB. */
    enum { PACKING_MIN_BYTES = 720 * 1024 * 1024 };
    struct packing *packing = &c->packing;
    struct env *env = c->env;
    c->writer_arena = &c->writer_arenas[0];
    c->writer = segment_writer_new(c->writer_arena);
    bool is_small = env->memory_limit_bytes > 0 && env->memory_limit_bytes < PACKING_MIN_BYTES;
    if (threads_of(c) == 1 || is_small) {
        return fill_segments(c);
    }
    packing->idle_arena = &c->writer_arenas[1];
    packing->idle = segment_writer_new(packing->idle_arena);
    packing->lock = env->lock_new(env);
    if (!packing->lock) {
        return fill_segments(c);
    }
    struct error ignored;
    bool has_started = env->threads_run(env, 2, import_work, c, &ignored) == OK;
    env->lock_free(env, packing->lock);
    packing->lock = NULL;
    if (!has_started) { /* work was called for no thread */
        return fill_segments(c);
    }
    if (packing->status != OK) {
        *c->err = packing->err;
        return packing->status;
    }
    return c->status;
}

static enum status import_all(struct converter *c, const struct farthing_import *options)
{
    TRY(open_feed(c, options->events, options->format, options->catalog, options->accounts));
    const struct output_options output_options = {
        .replace = options->replace != 0, .is_outdated = is_outdated_segment, .context = c};
    TRY(output_open(c->env, options->out, &output_options, &c->output, c->err));
    c->folder = options->out;
    c->letters_name = LETTERS_NAME;
    TRY(fill_and_pack(c));
    if (c->file) {
        TRY(end_segment(c, c->err));
    }
    return commit(c);
}

/* ---- export ---------------------------------------------------------------------------------- */

static const char *temporary_path(struct converter *c, const char *ending)
{
    uint64_t number;
    const char *folder = env_posix_temporary_folder(c->farthing->config.temporary_folder);
    c->env->random_bytes(c->env, &number, sizeof number);
    return text_format(&c->arena, "%s/farthing-%016llx.%s", folder, (unsigned long long)number,
                       ending)
        .at;
}

static const char *letters_path(struct converter *c, const struct farthing_export *options)
{
    return text_format(&c->farthing->arena, "%s." LETTERS_NAME, options->out).at;
}

/* Whether a file can have this name.  Only files are replaced: no device, and no pipe. */
static enum status check_place(struct converter *c, const char *path, bool replace)
{
    struct file_info info;
    struct error ignored;
    if (c->env->file_stat(c->env, path, &info, &ignored) != OK) {
        return OK;
    }
    if (!replace) {
        (void)fail(c->err, ERR_CONFLICT, "%s is there already", path);
        return fail_hint(c->err, "give another name, or --force to replace it");
    }
    if (info.kind != FILE_REGULAR && info.kind != FILE_FOLDER) { /* a folder is told of later */
        (void)fail(c->err, ERR_CONFLICT, "%s is no file, and is not replaced by one", path);
        return fail_hint(c->err, "NDJSON and CSV go to standard output with --out -");
    }
    return OK;
}

/* What an earlier run has refused is no part of this file. */
static bool is_outdated_list(const void *context, struct text name)
{
    const struct converter *c = context;
    return !c->letters && text_equal(name, text_of(c->letters_name));
}

/* The folder and name of export's file; replacing only that, and what lists what it lacks. */
static enum status open_export(struct converter *c, const struct farthing_export *options)
{
    const char *slash = strrchr(options->out, '/');
    c->name = slash ? slash + 1 : options->out;
    struct text folder =
        slash == options->out
            ? TEXT("/")
            : (struct text){options->out, slash ? (size_t)(slash - options->out) : 0};
    c->folder = slash ? text_copy(&c->arena, folder).at : ".";
    c->letters_name = text_format(&c->arena, "%s." LETTERS_NAME, c->name).at;
    TRY(check_place(c, options->out, options->replace != 0));
    TRY(check_place(c, letters_path(c, options), options->replace != 0));
    const struct output_options how = {.replace = options->replace != 0,
                                       .beside = true,
                                       .is_outdated = is_outdated_list,
                                       .context = c};
    TRY(output_open(c->env, c->folder, &how, &c->output, c->err));
    return output_file_open(c->output, c->name, &c->file, c->err);
}

/* The rows, which are in a temporary file, to Parquet, and that to the output. */
static enum status finish_parquet(struct converter *c)
{
    struct file *rows = c->rows;
    c->rows = NULL;
    TRY(c->env->file_close(c->env, rows, c->err));
    TRY(start_parquet(c));
    TRY(parquet_write(c->parquet, c->rows_path, c->parquet_path, c->err));
    stop_parquet(c);
    enum status status = OK;
    struct file *made;
    TRY(c->env->file_open(c->env, c->parquet_path, &made, c->err));
    char *bytes = arena_alloc(&c->arena, OUT_BYTES);
    size_t got = 1;
    c->converted->bytes_written = 0;
    while (status == OK && got > 0) {
        status = c->env->file_read(c->env, made, bytes, OUT_BYTES, &got, c->err);
        if (status == OK && got > 0) {
            c->converted->bytes_written += got;
            status = output_append(c->file, bytes, got, c->err);
        }
    }
    (void)c->env->file_close(c->env, made, NULL);
    return status;
}

static enum status export_all(struct converter *c, const struct farthing_export *options)
{
    TRY(open_feed(c, options->events, options->format, options->catalog, options->accounts));
    buffer_init(&c->out, &c->arena, OUT_BYTES + 8192);
    if (options->out) {
        TRY(open_export(c, options));
    }
    if (options->form == FARTHING_TO_PARQUET) {
        TRY(start_parquet(c)); /* is it there at all? */
        stop_parquet(c);
        c->rows_path = temporary_path(c, "csv");
        c->parquet_path = temporary_path(c, "parquet");
        TRY(c->env->file_create(c->env, c->rows_path, true, &c->rows, c->err));
    }
    if (options->form != FARTHING_TO_NDJSON) {
        buffer_add_text(&c->out, TEXT("id,source,type,subject,time,data\n"));
    }
    TRY(read_all(c));
    TRY(flush_out(c));
    if (options->form == FARTHING_TO_PARQUET) {
        TRY(finish_parquet(c));
    }
    c->converted->files = c->output ? 1 : 0;
    return commit(c);
}

/* ---- both ------------------------------------------------------------------------------------ */

static enum farthing_status convert(struct farthing *farthing, const struct farthing_import *import,
                                    const struct farthing_export *export,
                                    struct farthing_converted *converted)
{
    struct env *env = farthing->env;
    struct converter *c = env->memory.allocate(&env->memory, sizeof *c);
    if (!c) {
        return handle_no_memory(farthing);
    }
    int64_t start_ns = env->clock_mono_ns(env);
    *c = (struct converter){.farthing = farthing,
                            .env = env,
                            .err = &farthing->err,
                            .exporting = export,
                            .converted = converted};
    struct arena *arenas[] = {&c->arena,        &c->scratch,      &c->decoder_arena,
                              &c->names_arena,  &c->reader_arena, &c->parquet_arena,
                              &c->header_arena, c->writer_arenas, c->writer_arenas + 1};
    jmp_buf recover;
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) {
        arena_init(arenas[i], &env->memory, 0);
    }
    set_recover(c, &recover);
    enum status status;
    if (setjmp(recover) != 0) {
        status = lack_memory(c, &farthing->err);
    } else {
        status = import ? import_all(c, import) : export_all(c, export);
    }
    farthing->arena.recover = NULL;
    struct error ignored;
    stop_parquet(c);
    output_abort(c->output);
    if (c->rows) {
        (void)env->file_close(env, c->rows, &ignored);
    }
    if (c->rows_path) {
        (void)env->file_remove(env, c->rows_path, &ignored);
        (void)env->file_remove(env, c->parquet_path, &ignored);
    }
    feed_close(c->feed);
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) {
        arena_release(arenas[i]);
    }
    env->memory.release(&env->memory, c, sizeof *c);
    converted->total_ns = env->clock_mono_ns(env) - start_ns;
    converted->memory_peak_bytes = env_posix_memory_peak_bytes(env);
    return handle_status(farthing, status);
}

static bool lacks_path(struct farthing *farthing, const struct farthing_paths *events,
                       const struct farthing_paths *catalog, const struct farthing_paths *accounts)
{
    return handle_lacks_path(farthing, "events", events) ||
           handle_lacks_path(farthing, "catalog", catalog) ||
           handle_lacks_path(farthing, "accounts", accounts);
}

enum farthing_status farthing_import(struct farthing *farthing,
                                     const struct farthing_import *options,
                                     struct farthing_converted *converted)
{
    handle_clear(farthing);
    if (handle_lacks(farthing, "options", options != NULL) ||
        handle_lacks(farthing, "converted", converted != NULL)) {
        return FARTHING_USAGE;
    }
    *converted = (struct farthing_converted){0};
    if (options->events.count == 0 || !options->out) {
        (void)fail(&farthing->err, ERR_INPUT, "no %s given", options->out ? "events" : "out");
        return FARTHING_USAGE;
    }
    if (lacks_path(farthing, &options->events, &options->catalog, &options->accounts)) {
        return FARTHING_USAGE;
    }
    return convert(farthing, options, NULL, converted);
}

enum farthing_status farthing_export(struct farthing *farthing,
                                     const struct farthing_export *options,
                                     struct farthing_converted *converted)
{
    handle_clear(farthing);
    if (handle_lacks(farthing, "options", options != NULL) ||
        handle_lacks(farthing, "converted", converted != NULL)) {
        return FARTHING_USAGE;
    }
    *converted = (struct farthing_converted){0};
    bool has_out = options->out || (options->write && options->form != FARTHING_TO_PARQUET);
    if (options->events.count == 0 || !has_out) {
        (void)fail(&farthing->err, ERR_INPUT, "no %s given", has_out ? "events" : "out");
        return FARTHING_USAGE;
    }
    if (lacks_path(farthing, &options->events, &options->catalog, &options->accounts)) {
        return FARTHING_USAGE;
    }
    return convert(farthing, NULL, options, converted);
}
