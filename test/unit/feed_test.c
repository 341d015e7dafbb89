/* feed_test.c - every line once, whole, with its place; faults as findings; nothing left behind.
 *
 * The oracle is a naive reader: the uncompressed content is in memory and split byte by byte.
 * FEED_SEED=n repeats one seed of the random test.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "engine/env_faulty.h"
#include "engine/env_posix.h"
#include "decode/segment.h"
#include "feed/feed.h"
#include "feed/places.h"

#include <cmocka.h> /* last: it defines fail() */

/* ---- chance ---- */

static uint64_t chance_state;

static uint64_t chance(void)
{
    uint64_t z = chance_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t chance_below(size_t limit)
{
    return (size_t)(chance() % limit);
}

/* ---- bytes ---- */

struct bytes {
    char *at;
    size_t size, capacity;
};

static void add(struct bytes *bytes, const void *more, size_t size)
{
    if (bytes->size + size > bytes->capacity) {
        bytes->capacity = 2 * (bytes->size + size);
        bytes->at = realloc(bytes->at, bytes->capacity);
        assert_non_null(bytes->at);
    }
    if (size > 0) {
        memcpy(bytes->at + bytes->size, more, size);
    }
    bytes->size += size;
}

static void add_gzip(struct bytes *out, const char *at, size_t size, int level)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, level, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    stream.next_in = (unsigned char *)(uintptr_t)at;
    stream.avail_in = (unsigned)size;
    int result;
    do {
        unsigned char buffer[4096];
        stream.next_out = buffer;
        stream.avail_out = sizeof buffer;
        result = deflate(&stream, Z_FINISH);
        add(out, buffer, sizeof buffer - stream.avail_out);
    } while (result != Z_STREAM_END);
    deflateEnd(&stream);
}

static void add_zstd(struct bytes *out, const char *at, size_t size, int window_log)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (window_log > 0) {
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    }
    ZSTD_inBuffer from = {at, size, 0};
    size_t result;
    do {
        char buffer[4096];
        ZSTD_outBuffer to = {buffer, sizeof buffer, 0};
        /* A flush first, so that the size is not known and the frame has a window. */
        result = ZSTD_compressStream2(
            context, &to, &from, from.pos < size && window_log > 0 ? ZSTD_e_flush : ZSTD_e_end);
        assert_false(ZSTD_isError(result));
        add(out, buffer, to.pos);
        if (result == 0 && window_log > 0) {
            ZSTD_outBuffer last = {buffer, sizeof buffer, 0};
            result = ZSTD_compressStream2(context, &last, &from, ZSTD_e_end);
            add(out, buffer, last.pos);
        }
    } while (result != 0);
    ZSTD_freeCCtx(context);
}

enum pack { PACK_PLAIN, PACK_GZIP, PACK_ZSTD, PACKS };

/* In members and frames cut anywhere, with skippable frames between. */
static struct bytes pack(const struct bytes *content, enum pack how)
{
    struct bytes out = {0};
    size_t at = 0;
    do {
        size_t left = content->size - at;
        size_t part = chance_below(3) == 0 ? left : chance_below(left + 1);
        if (how == PACK_GZIP) {
            add_gzip(&out, content->at + at, part, (int)chance_below(10));
        } else if (how == PACK_ZSTD) {
            if (chance_below(3) == 0) {
                add(&out, "\x53\x2a\x4d\x18\x05\0\0\0hello", 13);
            }
            add_zstd(&out, content->at + at, part, 0);
        } else {
            part = left;
            add(&out, content->at + at, part);
        }
        at += part;
    } while (at < content->size);
    return out;
}

/* ---- files ---- */

static char folder[256];

static const char *path_of(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const char *at, size_t size)
{
    (void)unlink(path); /* some file systems write a file that is truncated out at once */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(size == 0 || fwrite(at, 1, size, file) == size);
    assert_int_equal(fclose(file), 0);
}

static int make_folder(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/feed_test.XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[512];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Writes bytes into a pipe; ends early when the reader is gone. */
struct pipe_writer {
    struct bytes bytes;
    int read_end, write_end;
    pthread_t thread;
    char path[32];
};

static void *write_pipe(void *context)
{
    struct pipe_writer *writer = context;
    size_t at = 0;
    while (at < writer->bytes.size) {
        ssize_t count = write(writer->write_end, writer->bytes.at + at, writer->bytes.size - at);
        if (count < 0) {
            break;
        }
        at += (size_t)count;
    }
    close(writer->write_end);
    return NULL;
}

static void start_pipe(struct pipe_writer *writer, struct bytes bytes)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    writer->bytes = bytes;
    writer->read_end = ends[0];
    writer->write_end = ends[1];
    (void)snprintf(writer->path, sizeof writer->path, "/dev/fd/%d", ends[0]);
    assert_int_equal(pthread_create(&writer->thread, NULL, write_pipe, writer), 0);
}

static void end_pipe(struct pipe_writer *writer)
{
    close(writer->read_end);
    pthread_join(writer->thread, NULL);
}

/* ---- the oracle, and what a run brought ---- */

struct line {
    uint64_t offset;
    size_t size;
    atomic_int seen;
    uint32_t block_index;
    uint64_t line_in_block;
};

struct expected {
    struct bytes content;
    struct line *lines;
    size_t line_count;
    atomic_int other_findings; /* not LINE_LIMIT */
    enum refusal refusal;
    uint64_t fault_offset;
    char reason[96];
    bool wants_header;
};

static void split(struct expected *expected)
{
    size_t start = 0;
    size_t capacity = 0;
    for (size_t i = 0; i <= expected->content.size; i++) {
        bool is_end = i == expected->content.size;
        if (is_end ? i > start : expected->content.at[i] == '\n') {
            if (expected->line_count == capacity) {
                capacity = 2 * capacity + 64;
                expected->lines = realloc(expected->lines, capacity * sizeof *expected->lines);
                assert_non_null(expected->lines);
            }
            expected->lines[expected->line_count++] =
                (struct line){.offset = start, .size = i - start};
            start = i + 1;
        }
    }
}

static struct line *line_at(struct expected *expected, uint64_t offset)
{
    size_t from = 0;
    size_t to = expected->line_count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (expected->lines[middle].offset < offset) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from < expected->line_count && expected->lines[from].offset == offset
               ? &expected->lines[from]
               : NULL;
}

enum { FILES_MAX = 4, THREADS_MAX = 7 };

struct run {
    struct env *env;
    struct feed *feed;
    size_t line_max;
    struct expected files[FILES_MAX];
    atomic_int wrong; /* cmocka's asserts are not for other threads */
    enum status statuses[THREADS_MAX];
    struct error errors[THREADS_MAX];
    bool is_quiet; /* lines will differ, and the test looks at what did */
};

#define EXPECT(run, condition)                                                    \
    do {                                                                          \
        if (!(condition)) {                                                       \
            (run)->wrong++;                                                       \
            if (!(run)->is_quiet) {                                               \
                (void)fprintf(stderr, "line %d: not %s\n", __LINE__, #condition); \
            }                                                                     \
        }                                                                         \
    } while (0)

static void take_findings(struct run *run, const struct feed_block *block)
{
    for (uint32_t i = 0; i < block->finding_count; i++) {
        const struct feed_finding *finding = &block->findings[i];
        struct expected *file = &run->files[finding->file_index];
        EXPECT(run, finding->file_index == block->file_index);
        EXPECT(run, finding->block_index == block->block_index);
        if (finding->refusal != REFUSE_LINE_LIMIT) {
            file->other_findings++;
            file->refusal = finding->refusal;
            file->fault_offset = finding->offset;
            (void)snprintf(file->reason, sizeof file->reason, "%s", finding->reason);
            continue;
        }
        struct line *line = line_at(file, finding->offset);
        EXPECT(run, line);
        if (line) {
            size_t head = line->size < FEED_HEAD_BYTES ? line->size : FEED_HEAD_BYTES;
            EXPECT(run, line->size > run->line_max);
            EXPECT(run, finding->head.size <= head && finding->head.size > 0);
            EXPECT(run, finding->head.size == head || finding->head.size > run->line_max);
            EXPECT(run, memcmp(finding->head.at, file->content.at + line->offset,
                               finding->head.size) == 0);
            line->seen++;
            line->block_index = finding->block_index;
            line->line_in_block = FEED_LINE_LAST;
        }
    }
}

static void take_block(struct run *run, const struct feed_block *block)
{
    struct expected *file = &run->files[block->file_index];
    EXPECT(run, block->bytes[block->size] == '\n');
    EXPECT(run, block->is_first_of_file == (block->offset == 0));
    if (file->wants_header && block->size > 0) {
        struct text first = {file->content.at, file->lines[0].size};
        EXPECT(run, text_equal(block->header, first));
    }
    size_t at = 0;
    uint32_t lines = 0;
    while (at < block->size) {
        const char *newline = memchr(block->bytes + at, '\n', block->size - at);
        size_t size = newline ? (size_t)(newline - block->bytes) - at : block->size - at;
        struct line *line = line_at(file, block->offset + at);
        EXPECT(run, line && line->size == size && line->size <= run->line_max);
        EXPECT(run, newline || block->offset + block->size == file->content.size);
        if (line && line->size == size) {
            EXPECT(run, memcmp(block->bytes + at, file->content.at + line->offset, size) == 0);
            line->seen++;
            line->block_index = block->block_index;
            line->line_in_block = lines;
        }
        lines++;
        at += size + 1;
    }
    feed_count_lines(run->feed, block->file_index, block->block_index, lines);
    take_findings(run, block);
}

static void work(void *argument, int index)
{
    struct run *run = argument;
    for (;;) {
        struct feed_block block;
        run->statuses[index] = feed_next(run->feed, index, &block, &run->errors[index]);
        if (run->statuses[index] != OK || !block.bytes) {
            return;
        }
        take_block(run, &block);
    }
}

/* The status of the whole, and whether something was left behind. */
static enum status run_feed(struct run *run, struct env *env, const char *const *paths,
                            size_t count, const struct feed_options *options, bool with_reread,
                            struct error *err)
{
    run->env = env;
    run->line_max = options->line_max_bytes ? options->line_max_bytes : LINE_MAX_BYTES;
    /* static: it must live through a longjmp */
    static struct arena arena;
    arena_init(&arena, &env->memory, 0);
    jmp_buf recover;
    run->feed = NULL;
    enum status status;
    if (ARENA_RECOVER(&arena, recover)) {
        arena_release(&arena);
        (void)snprintf(err->message, sizeof err->message, "the arena ran out");
        return ERR_LIMIT;
    }
    status = feed_open(env, &arena, paths, count, options, &run->feed, err);
    if (status != OK) {
        arena_release(&arena);
        return status;
    }
    status = env->threads_run(env, options->threads, work, run, err);
    for (int i = 0; i < options->threads && status == OK; i++) {
        status = run->statuses[i];
        *err = status != OK ? run->errors[i] : *err;
    }
    static char buffer[LINE_MAX_BYTES + 1];
    for (uint32_t f = 0; f < count && status == OK && with_reread; f++) {
        struct expected *file = &run->files[f];
        for (size_t i = 0; i < file->line_count && status == OK; i++) {
            struct line *line = &file->lines[i];
            EXPECT(run,
                   feed_line_number(run->feed, f, line->block_index, line->line_in_block) == i + 1);
            if (line->size > run->line_max || i % 3 == 1) {
                continue;
            }
            /* From within the line too, as for an item of a batch; and the same again. */
            for (size_t skip = 0; skip <= line->size && skip < 4 && status == OK; skip += 2) {
                size_t size;
                status = feed_reread(run->feed, f, line->offset + skip, buffer, sizeof buffer,
                                     &size, err);
                EXPECT(run, status != OK || (size == line->size - skip &&
                                             memcmp(buffer, file->content.at + line->offset + skip,
                                                    size) == 0));
            }
        }
    }
    feed_close(run->feed);
    arena_release(&arena);
    return status;
}

static void free_run(struct run *run)
{
    for (int i = 0; i < FILES_MAX; i++) {
        free(run->files[i].content.at);
        free(run->files[i].lines);
    }
}

static void check_all_seen(struct run *run, uint64_t seed)
{
    for (int f = 0; f < FILES_MAX; f++) {
        for (size_t i = 0; i < run->files[f].line_count; i++) {
            if (run->files[f].lines[i].seen != 1) {
                (void)fprintf(stderr, "seed %llu: file %d, line %zu of %zu bytes came %d times\n",
                              (unsigned long long)seed, f, i + 1, run->files[f].lines[i].size,
                              run->files[f].lines[i].seen);
                run->wrong++;
            }
        }
        run->wrong += run->files[f].other_findings;
    }
    if (run->wrong > 0) {
        fail_msg("seed %llu", (unsigned long long)seed);
    }
}

/* ---- random files ---- */

static size_t chance_line_size(size_t block_bytes, size_t line_max)
{
    switch (chance_below(8)) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return block_bytes > 2 ? block_bytes - 2 + chance_below(5) : chance_below(4);
    case 3:
        return line_max > 2 ? line_max - 2 + chance_below(5) : chance_below(4);
    case 4:
        return chance_below(3) == 0 ? chance_below(5 * line_max) : chance_below(line_max + 1);
    default:
        return chance_below(block_bytes < 300 ? block_bytes + 1 : 300);
    }
}

/* first_max: of the first line, which is a header that fits. */
static struct bytes make_content(size_t block_bytes, size_t line_max, size_t first_max)
{
    struct bytes content = {0};
    size_t count = chance_below(block_bytes > 1000 ? 12 : 60);
    for (size_t i = 0; i < count; i++) {
        size_t size = chance_line_size(block_bytes, line_max);
        size = i == 0 && size > first_max ? first_max : size;
        for (size_t k = 0; k < size; k++) {
            char c = (char)('a' + chance_below(26));
            add(&content, &c, 1);
        }
        if (i + 1 < count || chance_below(2) == 0) {
            bool is_crlf = chance_below(4) == 0;
            add(&content, is_crlf ? "\r\n" : "\n", is_crlf ? 2 : 1);
        }
    }
    return content;
}

static void run_seed(uint64_t seed)
{
    static const size_t blocks[] = {1, 2, 7, 64, 100, 1000, 4096, 70000};
    chance_state = seed;
    struct env *posix = env_posix_new(0);
    struct env *env = env_faulty_new(posix);
    size_t block_bytes = blocks[chance_below(sizeof blocks / sizeof *blocks)];
    size_t read_most = block_bytes < 200 ? 200 : block_bytes;
    struct fault_plan plan = {.read_max_bytes =
                                  chance_below(2) == 0 ? 0 : 1 + chance_below(read_most)};
    env_faulty_plan(env, &plan);
    size_t line_max = block_bytes + chance_below(3) * chance_below(2 * block_bytes);
    struct feed_options options = {
        .threads = 1 + (int)chance_below(THREADS_MAX),
        .block_bytes = block_bytes,
        .line_max_bytes = line_max,
        .format = chance_below(2) == 0 ? FEED_CSV : FEED_NDJSON,
        .temporary_folder = folder,
    };
    struct run run = {0};
    struct pipe_writer pipes[FILES_MAX];
    bool is_pipe[FILES_MAX];
    const char *paths[FILES_MAX];
    for (int f = 0; f < FILES_MAX; f++) {
        char name[32];
        (void)snprintf(name, sizeof name, "random.%d", f);
        size_t first_max = options.format == FEED_CSV ? line_max - 1 : SIZE_MAX; /* and a \r */
        run.files[f].content = make_content(block_bytes, line_max, first_max);
        split(&run.files[f]);
        run.files[f].wants_header = options.format == FEED_CSV && run.files[f].line_count > 0;
        struct bytes packed = pack(&run.files[f].content, (enum pack)chance_below(PACKS));
        is_pipe[f] = chance_below(3) == 0;
        if (is_pipe[f]) {
            start_pipe(&pipes[f], packed);
            paths[f] = pipes[f].path;
        } else {
            paths[f] = path_of(name);
            write_file(paths[f], packed.at, packed.size);
            free(packed.at);
        }
    }
    struct error err = {0};
    enum status status = run_feed(&run, env, paths, FILES_MAX, &options, true, &err);
    for (int f = 0; f < FILES_MAX; f++) {
        if (is_pipe[f]) {
            end_pipe(&pipes[f]);
            free(pipes[f].bytes.at);
        }
    }
    if (status != OK) {
        fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
    }
    check_all_seen(&run, seed);
    free_run(&run);
    assert_int_equal(env_faulty_open_files(env), 0);
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_faulty_free(env);
    env_posix_free(posix);
}

static void test_every_line_comes_once(void **state)
{
    (void)state;
    const char *one = getenv("FEED_SEED");
    if (one) {
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 600; seed++) {
        run_seed(seed);
    }
}

/* Lines that end just where a read ends: sizes of reads are 8 KiB past the block, then 64 KiB. */
static void test_lines_that_end_with_a_read(void **state)
{
    (void)state;
    static const size_t blocks[] = {1, 2, 8192, 65536};
    for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
        for (size_t k = 0; k < 10; k++) {
            size_t line_max = 8192 - 2 + k % 5 + (k >= 5 ? 65536 : 0);
            line_max = line_max < blocks[b] ? blocks[b] : line_max;
            for (size_t size = line_max - 2; size <= line_max + 2; size++) {
                for (size_t before = 0; before < 3; before++) {
                    struct run run = {0};
                    struct bytes *content = &run.files[0].content;
                    char *line = malloc(size);
                    memset(line, 'x', size);
                    add(content, "\n\n", before);
                    add(content, line, size);
                    add(content, "\nlast", 5);
                    free(line);
                    split(&run.files[0]);
                    const char *path = path_of("ends");
                    write_file(path, content->at, content->size);
                    struct env *env = env_posix_new(0);
                    struct feed_options options = {
                        .threads = 1, .block_bytes = blocks[b], .line_max_bytes = line_max};
                    struct error err = {0};
                    assert_int_equal(run_feed(&run, env, &path, 1, &options, true, &err), OK);
                    check_all_seen(&run, line_max);
                    env_posix_free(env);
                    free_run(&run);
                }
            }
        }
    }
}

/* ---- faults of streams ---- */

static struct bytes make_lines(size_t count)
{
    struct bytes content = {0};
    for (size_t i = 0; i < count; i++) {
        char line[64];
        int size =
            snprintf(line, sizeof line, "{\"id\":\"e%zu\",\"data\":{\"n\":%zu}}\n", i, i * i);
        add(&content, line, (size_t)size);
    }
    return content;
}

/* Runs one file; returns how many of its first lines came, without a gap. */
static size_t run_one(struct run *run, const char *path, const struct bytes *content, int threads)
{
    *run = (struct run){.is_quiet = run->is_quiet};
    add(&run->files[0].content, content->at, content->size);
    split(&run->files[0]);
    struct env *env = env_posix_new(0);
    struct feed_options options = {.threads = threads, .block_bytes = 256, .line_max_bytes = 4096};
    struct error err = {0};
    enum status status = run_feed(run, env, &path, 1, &options, false, &err);
    if (status != OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
    size_t count = 0;
    while (count < run->files[0].line_count && run->files[0].lines[count].seen == 1) {
        count++;
    }
    for (size_t i = count; i < run->files[0].line_count; i++) {
        assert_int_equal(run->files[0].lines[i].seen, 0);
    }
    return count;
}

static void test_truncated_at_each_byte(void **state)
{
    (void)state;
    chance_state = 7;
    struct bytes content = make_lines(40);
    for (enum pack how = PACK_GZIP; how <= PACK_ZSTD; how++) {
        struct bytes packed = {0};
        size_t half = content.size / 2;
        void (*put)(struct bytes *, const char *, size_t, int) =
            how == PACK_GZIP ? add_gzip : add_zstd;
        int option = how == PACK_GZIP ? 6 : 0;
        put(&packed, content.at, half, option);
        size_t border = packed.size;
        put(&packed, content.at + half, content.size - half, option);
        const char *path = path_of(how == PACK_GZIP ? "cut.gz" : "cut.zst");
        size_t magic = how == PACK_GZIP ? 2 : 4;
        size_t most = 0;
        for (size_t n = 0; n <= packed.size; n++) {
            if (n > 0 && n < magic) {
                continue; /* no magic: a plain file with one strange line, for decode to refuse */
            }
            write_file(path, packed.at, n);
            struct run run = {.is_quiet = n == border};
            size_t came = run_one(&run, path, &content, 1 + (int)(n % 3));
            struct expected *file = &run.files[0];
            bool is_whole = n == packed.size;
            if (n == border) {
                /* Whole as a stream; its last line is cut and comes as a line, since nothing tells.
                 */
                assert_int_equal(file->other_findings, 0);
            } else if (is_whole) {
                assert_int_equal(run.wrong, 0);
                assert_int_equal(came, file->line_count);
                assert_int_equal(file->other_findings, 0);
            } else {
                assert_int_equal(run.wrong, 0);
                assert_int_equal(file->other_findings, 1);
                assert_int_equal(file->refusal, REFUSE_ENCODING);
                assert_non_null(strstr(file->reason, "cut short"));
                assert_int_equal(file->fault_offset,
                                 came < file->line_count ? file->lines[came].offset : content.size);
                assert_true(came >= most || n < border + magic);
                most = came > most ? came : most;
            }
            free_run(&run);
        }
        assert_true(most > 15);
        free(packed.at);
    }
    free(content.at);
}

/* Any one damaged byte: never a crash, and when not all came as it was, a finding says so. */
static void test_damaged_at_each_byte(void **state)
{
    (void)state;
    struct bytes content = make_lines(40);
    for (enum pack how = PACK_GZIP; how <= PACK_ZSTD; how++) {
        struct bytes packed = {0};
        if (how == PACK_GZIP) {
            add_gzip(&packed, content.at, content.size, 6);
        } else {
            add_zstd(&packed, content.at, content.size, 0);
        }
        const char *path = path_of("damaged");
        for (size_t n = 4; n < packed.size; n++) {
            packed.at[n] = (char)(packed.at[n] ^ (1 << n % 8));
            write_file(path, packed.at, packed.size);
            packed.at[n] = (char)(packed.at[n] ^ (1 << n % 8));
            struct run run = {.is_quiet = true};
            struct env *env = env_posix_new(0);
            struct feed_options options = {
                .threads = 2, .block_bytes = 256, .line_max_bytes = 4096};
            add(&run.files[0].content, content.at, content.size);
            split(&run.files[0]);
            struct error err = {0};
            enum status status = run_feed(&run, env, &path, 1, &options, false, &err);
            assert_int_equal(status, OK);
            assert_int_equal(env->memory_used_bytes(env), 0);
            bool is_whole = run.wrong == 0;
            for (size_t i = 0; i < run.files[0].line_count; i++) {
                is_whole = is_whole && run.files[0].lines[i].seen == 1;
            }
            if (!is_whole && run.files[0].other_findings == 0) {
                fail_msg("packing %d: byte %zu damaged without a finding", (int)how, n);
            }
            env_posix_free(env);
            free_run(&run);
        }
        free(packed.at);
    }
    free(content.at);
}

static void expect_fault(const char *name, const struct bytes *packed, const struct bytes *content,
                         size_t lines, enum refusal refusal, const char *reason)
{
    const char *path = path_of(name);
    write_file(path, packed->at, packed->size);
    struct run run = {0};
    size_t came = run_one(&run, path, content, 2);
    assert_int_equal(run.wrong, 0);
    assert_int_equal(came, lines);
    assert_int_equal(run.files[0].other_findings, 1);
    assert_int_equal(run.files[0].refusal, refusal);
    if (!strstr(run.files[0].reason, reason)) {
        fail_msg("%s: \"%s\" is not \"%s\"", name, run.files[0].reason, reason);
    }
    free_run(&run);
}

static void test_faults_of_streams(void **state)
{
    (void)state;
    struct bytes content = make_lines(40);
    struct bytes packed = {0};
    add_gzip(&packed, content.at, content.size, 6);
    add(&packed, "garbage", 7);
    expect_fault("trailing.gz", &packed, &content, 40, REFUSE_ENCODING, "other bytes follow");
    packed.size = 0;
    add_zstd(&packed, content.at, content.size, 0);
    add(&packed, "xy", 2);
    expect_fault("trailing.zst", &packed, &content, 40, REFUSE_ENCODING, "other bytes follow");
    /* A skippable frame that promises more than there is. */
    packed.size = 0;
    add_zstd(&packed, content.at, content.size, 0);
    add(&packed, "\x50\x2a\x4d\x18\xff\0\0\0hello", 13);
    expect_fault("skip.zst", &packed, &content, 40, REFUSE_ENCODING, "cut short");
    packed.size = 0;
    add_zstd(&packed, content.at, content.size, 24);
    expect_fault("wide.zst", &packed, &content, 0, REFUSE_ENCODING, "8 MiB");
    /* The widest window that can be asked for: 2^41 bytes and more. */
    packed.size = 0;
    add(&packed, "\x28\xb5\x2f\xfd\x00\xff\x01\0\0", 9);
    expect_fault("widest.zst", &packed, &content, 0, REFUSE_ENCODING, "8 MiB");
    /* 16 MiB for two bytes, which the library alone would let pass. */
    packed.size = 0;
    add(&packed, "\x28\xb5\x2f\xfd\x80\x70\2\0\0\0\x11\0\0x\n", 15);
    expect_fault("small.zst", &packed, &content, 0, REFUSE_ENCODING, "8 MiB");
    packed.size = 0;
    add(&packed, "\x1f\x8b\x07", 3);
    expect_fault("method.gz", &packed, &content, 0, REFUSE_ENCODING, "");

    /* 8 MiB is allowed. */
    packed.size = 0;
    add_zstd(&packed, content.at, content.size, 23);
    const char *path = path_of("allowed.zst");
    write_file(path, packed.at, packed.size);
    struct run run = {0};
    assert_int_equal(run_one(&run, path, &content, 1), 40);
    assert_int_equal(run.files[0].other_findings + run.wrong, 0);
    free_run(&run);

    /* Compressed twice: unpacked once; the rest is for decode to refuse. */
    struct bytes twice = {0};
    packed.size = 0;
    add_gzip(&packed, content.at, content.size, 6);
    add_gzip(&twice, packed.at, packed.size, 6);
    path = path_of("twice.gz");
    write_file(path, twice.at, twice.size);
    (void)run_one(&run, path, &packed, 1);
    assert_int_equal(run.files[0].other_findings + run.wrong, 0);
    free_run(&run);
    free(twice.at);
    free(packed.at);
    free(content.at);
}

/* ---- endless lines and bombs, in constant memory ---- */

struct tally {
    struct feed *feed;
    atomic_uint_least64_t lines, bytes, long_lines, limits, others;
};

static void tally_work(void *argument, int index)
{
    struct tally *tally = argument;
    struct feed_block block;
    struct error err;
    while (feed_next(tally->feed, index, &block, &err) == OK && block.bytes) {
        uint64_t lines = 0;
        for (size_t i = 0; i < block.size; i++) {
            lines += block.bytes[i] == '\n';
        }
        tally->lines += lines;
        tally->bytes += block.size;
        for (uint32_t i = 0; i < block.finding_count; i++) {
            enum refusal refusal = block.findings[i].refusal;
            tally->long_lines += refusal == REFUSE_LINE_LIMIT;
            tally->limits += refusal == REFUSE_DECOMP_LIMIT;
            tally->others += refusal != REFUSE_DECOMP_LIMIT && refusal != REFUSE_LINE_LIMIT;
        }
    }
}

static size_t tally_file(struct tally *tally, const char *path, int threads)
{
    *tally = (struct tally){0};
    struct env *env = env_posix_new(0);
    struct arena arena;
    arena_init(&arena, &env->memory, 0);
    struct feed_options options = {.threads = threads};
    struct error err;
    assert_int_equal(feed_open(env, &arena, &path, 1, &options, &tally->feed, &err), OK);
    assert_int_equal(env->threads_run(env, threads, tally_work, tally, &err), OK);
    feed_close(tally->feed);
    arena_release(&arena);
    assert_int_equal(env->memory_used_bytes(env), 0);
    size_t peak = env_posix_memory_peak_bytes(env);
    env_posix_free(env);
    return peak;
}

static void write_long_line(const char *path, size_t line_bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    static char chunk[1024 * 1024];
    memset(chunk, 'x', sizeof chunk);
    (void)fputs("before\n", file);
    for (size_t done = 0; done < line_bytes; done += sizeof chunk) {
        assert_int_equal(fwrite(chunk, 1, sizeof chunk, file), sizeof chunk);
    }
    (void)fputs("\nafter\nlast\n", file);
    assert_int_equal(fclose(file), 0);
}

static void test_a_long_line_takes_no_memory(void **state)
{
    (void)state;
    const char *path = path_of("long");
    const char *big = getenv("FEED_LONG_LINE_MIB");
    size_t mib = big ? strtoul(big, NULL, 10) : 80;
    write_long_line(path, mib * 1024 * 1024);
    for (int threads = 1; threads <= 3; threads++) {
        struct tally tally;
        size_t peak = tally_file(&tally, path, threads);
        assert_int_equal(tally.lines, 3);
        assert_int_equal(tally.bytes, 7 + 6 + 5);
        assert_int_equal(tally.long_lines, 1);
        assert_int_equal(tally.limits + tally.others, 0);
        assert_true(peak < (size_t)threads * 3 * 1024 * 1024 + 512 * 1024);
    }
    assert_int_equal(unlink(path), 0);
}

/* filler repeated to 128 MiB, compressed as much as it goes. */
static void write_bomb(const char *path, enum pack how, char filler)
{
    struct bytes packed = {0};
    size_t size = (size_t)128 * 1024 * 1024;
    char *at = malloc(size);
    assert_non_null(at);
    memset(at, filler, size);
    if (how == PACK_GZIP) {
        add_gzip(&packed, at, size, 9);
    } else {
        add_zstd(&packed, at, size, 0);
    }
    free(at);
    write_file(path, packed.at, packed.size);
    free(packed.at);
}

static void test_a_bomb_is_defused(void **state)
{
    (void)state;
    for (enum pack how = PACK_GZIP; how <= PACK_ZSTD; how++) {
        const char *path = path_of("bomb");
        struct tally tally;
        write_bomb(path, how, 'x');
        size_t peak = tally_file(&tally, path, 2);
        assert_int_equal(tally.limits, 1);
        assert_int_equal(tally.long_lines, 1);
        assert_int_equal(tally.lines + tally.others, 0);
        assert_true(peak < (size_t)32 * 1024 * 1024);
        write_bomb(path, how, '\n');
        (void)tally_file(&tally, path, 2);
        assert_int_equal(tally.limits, 1);
        assert_int_equal(tally.long_lines + tally.others, 0);
        assert_true(tally.lines >= 64 * 1024 * 1024 && tally.lines < 66 * 1024 * 1024);
    }
}

/* ---- which files ---- */

static void expect_open(const char *const *paths, size_t count, enum status status,
                        const char *what)
{
    struct env *env = env_posix_new(0);
    struct arena arena;
    arena_init(&arena, &env->memory, 0);
    struct feed_options options = {.threads = 1};
    struct feed *feed = NULL;
    struct error err = {0};
    assert_int_equal(feed_open(env, &arena, paths, count, &options, &feed, &err), status);
    char found[1024] = "";
    if (status == OK) {
        for (uint32_t i = 0; i < feed_file_count(feed); i++) {
            const char *path = feed_file_path(feed, i);
            size_t size = strlen(found);
            (void)snprintf(found + size, sizeof found - size, "%s%s", i > 0 ? " " : "",
                           strncmp(path, folder, strlen(folder)) == 0 ? path + strlen(folder) + 1
                                                                      : path);
        }
        assert_string_equal(found, what);
    } else if (!strstr(err.message, what)) {
        fail_msg("\"%s\" does not have \"%s\"", err.message, what);
    }
    feed_close(feed);
    arena_release(&arena);
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
}

static void test_which_files(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("in"), 0777), 0);
    assert_int_equal(mkdir(path_of("in/b"), 0777), 0);
    assert_int_equal(mkdir(path_of("in/empty"), 0777), 0);
    write_file(path_of("in/c.ndjson"), "x\n", 2);
    write_file(path_of("in/B.csv"), "x\n", 2);
    write_file(path_of("in/b/2"), "x\n", 2);
    write_file(path_of("in/b/10"), "x\n", 2);
    write_file(path_of("in/.hidden"), "x\n", 2);
    char in[512], loop[512], named[512];
    (void)snprintf(in, sizeof in, "%s/in", folder);
    (void)snprintf(loop, sizeof loop, "%s/in/b/loop", folder);
    (void)snprintf(named, sizeof named, "%s/in/.hidden", folder);
    assert_int_equal(symlink(in, loop), 0);
    assert_int_equal(link(path_of("in/c.ndjson"), path_of("in/d.ndjson")), 0);
    const char *all[] = {in};
    expect_open(all, 1, OK, "in/B.csv in/b/10 in/b/2 in/c.ndjson");
    const char *again[] = {path_of("in/b/2"), named, path_of("in/b/../b/2"), in};
    expect_open(again, 4, OK, "in/b/2 in/.hidden in/B.csv in/b/10 in/c.ndjson");
    const char *missing[] = {in, path_of("in/nothing")};
    expect_open(missing, 2, ERR_NOT_FOUND, "in/nothing");
    const char *device[] = {"/dev/zero"};
    expect_open(device, 1, ERR_INPUT, "/dev/zero is a device");
    assert_int_equal(mkfifo(path_of("in/fifo"), 0666), 0);
    expect_open(all, 1, ERR_INPUT, "in/fifo is a pipe in a folder");
    assert_int_equal(unlink(path_of("in/fifo")), 0);
    assert_int_equal(symlink("/dev/null", path_of("in/null")), 0);
    expect_open(all, 1, ERR_INPUT, "in/null is a device");
    assert_int_equal(unlink(path_of("in/null")), 0);
}

static void test_format_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum feed_format option, format;
    } rows[] = {
        {"a.csv", FEED_BY_NAME, FEED_CSV},     {"a.csv.gz", FEED_BY_NAME, FEED_CSV},
        {"a.csv.zst", FEED_BY_NAME, FEED_CSV}, {"a.ndjson", FEED_BY_NAME, FEED_NDJSON},
        {"csv", FEED_BY_NAME, FEED_NDJSON},    {"a.csv.bak", FEED_BY_NAME, FEED_NDJSON},
        {"a.csv", FEED_NDJSON, FEED_NDJSON},   {"a.jsonl", FEED_CSV, FEED_CSV},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *path = path_of(rows[i].name);
        write_file(path, "id,time\r\n1,2\r\n", 14);
        struct env *env = env_posix_new(0);
        struct arena arena;
        arena_init(&arena, &env->memory, 0);
        struct feed_options options = {.threads = 1, .format = rows[i].option};
        struct feed *feed;
        struct feed_block block;
        struct error err;
        assert_int_equal(feed_open(env, &arena, &path, 1, &options, &feed, &err), OK);
        assert_int_equal(feed_bytes_total(feed), 14);
        assert_int_equal(feed_next(feed, 0, &block, &err), OK);
        assert_int_equal(block.format, rows[i].format);
        assert_int_equal(block.size, 14);
        assert_int_equal(block.header.size, rows[i].format == FEED_CSV ? 8 : 0);
        assert_int_equal(feed_bytes_read(feed), 14);
        assert_int_equal(feed_next(feed, 0, &block, &err), OK);
        assert_null(block.bytes);
        feed_close(feed);
        arena_release(&arena);
        env_posix_free(env);
    }
}

static void test_standard_input(void **state)
{
    (void)state;
    int kept = dup(STDIN_FILENO);
    struct bytes content = make_lines(3);
    /* A file, of which a shell has read the first line already. */
    const char *path = path_of("stdin");
    write_file(path, "read before\n", 12);
    int descriptor = open(path, O_RDWR | O_APPEND);
    assert_int_equal(write(descriptor, content.at, content.size), (ssize_t)content.size);
    assert_int_equal(lseek(descriptor, 12, SEEK_SET), 12);
    assert_int_equal(dup2(descriptor, STDIN_FILENO), STDIN_FILENO);
    close(descriptor);
    struct run run = {0};
    assert_int_equal(run_one(&run, "-", &content, 2), 3);
    assert_int_equal(run.wrong + run.files[0].other_findings, 0);
    free_run(&run);
    struct pipe_writer writer;
    start_pipe(&writer, content);
    assert_int_equal(dup2(writer.read_end, STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(run_one(&run, "-", &content, 2), 3);
    assert_int_equal(run.wrong + run.files[0].other_findings, 0);
    free_run(&run);
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    close(kept);
    end_pipe(&writer);
    free(content.at);
}

static void test_a_file_that_changes(void **state)
{
    (void)state;
    for (enum pack how = PACK_PLAIN; how <= PACK_ZSTD; how++) {
        struct bytes content = make_lines(30);
        struct bytes packed = pack(&content, how);
        const char *path = path_of("changes");
        write_file(path, packed.at, packed.size);
        struct env *env = env_posix_new(0);
        struct arena arena;
        arena_init(&arena, &env->memory, 0);
        struct feed_options options = {.threads = 1, .block_bytes = 128, .line_max_bytes = 1024};
        struct feed *feed;
        struct feed_block block;
        struct error err;
        char line[1024];
        size_t size;
        assert_int_equal(feed_open(env, &arena, &path, 1, &options, &feed, &err), OK);
        assert_int_equal(feed_next(feed, 0, &block, &err), OK);
        FILE *file = fopen(path, "ab");
        add_gzip(&packed, "more\n", 5, 1);
        (void)fputs("\x50\x2a\x4d\x18", file);
        (void)fclose(file);
        uint32_t warnings = 0;
        while (feed_next(feed, 0, &block, &err) == OK && block.bytes) {
            for (uint32_t i = 0; i < block.finding_count; i++) {
                warnings += block.findings[i].refusal == REFUSE_NONE &&
                            strstr(block.findings[i].reason, "changed") != NULL;
            }
        }
        assert_int_equal(warnings, 1);
        assert_int_equal(feed_reread(feed, 0, 0, line, sizeof line, &size, &err), ERR_INPUT);
        assert_non_null(strstr(err.message, "changed"));
        feed_close(feed);
        arena_release(&arena);
        assert_int_equal(env->memory_used_bytes(env), 0);
        env_posix_free(env);
        free(content.at);
        free(packed.at);
    }
}

/* Same size, other time: it was rewritten in place. */
static void test_a_file_that_is_rewritten(void **state)
{
    (void)state;
    const char *path = path_of("rewritten");
    write_file(path, "one\ntwo\n", 8);
    struct env *env = env_posix_new(0);
    struct arena arena;
    arena_init(&arena, &env->memory, 0);
    struct feed_options options = {.threads = 1};
    struct feed *feed;
    struct feed_block block;
    struct error err;
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(feed_open(env, &arena, &path, 1, &options, &feed, &err), OK);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(feed_next(feed, 0, &block, &err), OK);
    assert_int_equal(block.size, 8);
    assert_int_equal(block.finding_count, 1);
    assert_int_equal(block.findings[0].refusal, REFUSE_NONE);
    feed_close(feed);
    arena_release(&arena);
    env_posix_free(env);
}

/* A line that is just being written is not taken for a whole one. */
static void test_a_file_that_grows(void **state)
{
    (void)state;
    const char *path = path_of("grows");
    write_file(path, "one\ntw", 6);
    struct env *env = env_posix_new(0);
    struct arena arena;
    arena_init(&arena, &env->memory, 0);
    struct feed_options options = {.threads = 1, .block_bytes = 2, .line_max_bytes = 1024};
    struct feed *feed;
    struct feed_block block;
    struct error err;
    assert_int_equal(feed_open(env, &arena, &path, 1, &options, &feed, &err), OK);
    assert_int_equal(feed_next(feed, 0, &block, &err), OK);
    assert_int_equal(block.size, 4);
    FILE *file = fopen(path, "ab");
    (void)fputs("o\n", file);
    (void)fclose(file);
    assert_int_equal(feed_next(feed, 0, &block, &err), OK);
    assert_int_equal(block.size, 0);
    assert_int_equal(block.finding_count, 2);
    assert_int_equal(block.findings[0].refusal, REFUSE_ENCODING);
    assert_int_equal(block.findings[0].offset, 4);
    assert_memory_equal(block.findings[0].head.at, "tw", 2);
    assert_int_equal(block.findings[1].refusal, REFUSE_NONE);
    feed_count_lines(feed, 0, 0, 1);
    assert_int_equal(feed_line_number(feed, 0, block.block_index, FEED_LINE_LAST), 2);
    feed_close(feed);
    arena_release(&arena);
    env_posix_free(env);
}

/* A file that shrinks below what its size said ends early, with a warning. */
static void test_a_file_that_shrinks(void **state)
{
    (void)state;
    struct bytes content = make_lines(200);
    const char *path = path_of("shrinks");
    write_file(path, content.at, content.size);
    struct env *env = env_posix_new(0);
    struct arena arena;
    arena_init(&arena, &env->memory, 0);
    struct feed_options options = {.threads = 1, .block_bytes = 128, .line_max_bytes = 1024};
    struct feed *feed;
    struct feed_block block;
    struct error err;
    assert_int_equal(feed_open(env, &arena, &path, 1, &options, &feed, &err), OK);
    assert_int_equal(feed_next(feed, 0, &block, &err), OK);
    assert_int_equal(truncate(path, 1000), 0);
    uint64_t bytes = block.size;
    uint32_t findings = 0;
    while (feed_next(feed, 0, &block, &err) == OK && block.bytes) {
        bytes += block.size;
        findings += block.finding_count;
    }
    /* All but the line that was cut; a warning, and a finding with what is left of that line. */
    while (bytes < 1000 && content.at[bytes] != '\n') {
        bytes++;
    }
    assert_true(bytes >= 1000);
    assert_int_equal(findings, 2);
    feed_close(feed);
    arena_release(&arena);
    env_posix_free(env);
    free(content.at);
}

/* Files of segments one behind another, each of which says that it has as many events as one can:
 * from that on where all of them are more than the places of events have numbers for, their blocks
 * are damaged, and what they say moves no event that comes behind. */
static void test_segments_that_say_too_much(void **state)
{
    (void)state;
    enum { FILES = 300, FIT = (1 << 8) - 1 };
    struct bytes content = {0};
    for (int i = 0; i < FILES; i++) {
        char block[SEGMENT_HEADER_BYTES];
        segment_end(SEGMENT_FILE_EVENTS_MAX, block);
        add(&content, block, sizeof block);
    }
    const char *path = path_of("segments");
    write_file(path, content.at, content.size);
    struct env *env = env_posix_new(0);
    struct arena arena;
    arena_init(&arena, &env->memory, 0);
    struct feed_options options = {.threads = 1};
    struct feed *feed;
    struct feed_block block;
    struct error err;
    uint32_t missing = 0, too_many = 0;
    assert_int_equal(feed_open(env, &arena, &path, 1, &options, &feed, &err), OK);
    while (feed_next(feed, 0, &block, &err) == OK && block.bytes) {
        for (uint32_t i = 0; i < block.finding_count; i++) {
            const char *reason = block.findings[i].reason;
            missing += strcmp(reason, "segment: blocks are missing before this one") == 0;
            too_many += strcmp(reason, "segment: the file has more events than one can have") == 0;
            assert_true(block.first_event < PLACES_EVENTS_MAX);
        }
    }
    assert_int_equal(missing, FIT);
    assert_int_equal(too_many, FILES - FIT);
    feed_close(feed);
    arena_release(&arena);
    env_posix_free(env);
    free(content.at);
}

/* ---- faults of the environment ---- */

/* Any call of any kind fails once, or from then on: a clean error, nothing left open or allocated.
 */
static void test_fault_sweep(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = {FAULT_STAT,  FAULT_OPEN,     FAULT_READ,  FAULT_WRITE,
                                            FAULT_CLOSE, FAULT_ALLOCATE, FAULT_THREAD};
    uint64_t runs = 0;
    struct env *posix = env_posix_new(0);
    struct env *env = env_faulty_new(posix);
    struct bytes content = make_lines(100);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int sticky = 0; sticky < 2; sticky++) {
            bool has_struck = true;
            for (uint64_t n = 1; has_struck; n++) {
                chance_state = n;
                struct run run = {0};
                const char *paths[FILES_MAX];
                char names[FILES_MAX][512];
                struct pipe_writer writer;
                for (int f = 0; f < FILES_MAX; f++) {
                    (void)snprintf(names[f], sizeof names[f], "%s/sweep.%d", folder, f);
                    paths[f] = names[f];
                    add(&run.files[f].content, content.at, content.size);
                    split(&run.files[f]);
                    struct bytes packed = pack(&content, f < 3 ? (enum pack)f : PACK_ZSTD);
                    if (f == 3) {
                        start_pipe(&writer, packed);
                        paths[f] = writer.path;
                    } else {
                        write_file(paths[f], packed.at, packed.size);
                        free(packed.at);
                    }
                }
                struct fault_plan plan = {.kind = kinds[k], .nth = n, .is_sticky = sticky};
                env_faulty_plan(env, &plan);
                struct feed_options options = {.threads = 2,
                                               .block_bytes = 512,
                                               .line_max_bytes = 2048,
                                               .format = FEED_CSV,
                                               .temporary_folder = folder};
                struct error err = {0};
                enum status status = run_feed(&run, env, paths, FILES_MAX, &options, true, &err);
                has_struck = env_faulty_has_struck(env);
                end_pipe(&writer);
                free(writer.bytes.at);
                /* An arena that finds no room for a large block asks once for a small one. */
                bool may_go_on = kinds[k] == FAULT_CLOSE ||
                                 (kinds[k] == FAULT_ALLOCATE && !sticky && status == OK);
                if (has_struck && !may_go_on) {
                    assert_true(status == ERR_IO || status == ERR_LIMIT);
                    assert_true(err.message[0] != '\0');
                } else {
                    assert_true(status == OK || kinds[k] == FAULT_CLOSE);
                }
                if (status == OK) {
                    check_all_seen(&run, n);
                }
                assert_int_equal(run.wrong, 0);
                assert_int_equal(env_faulty_open_files(env), 0);
                assert_int_equal(env->memory_used_bytes(env), 0);
                free_run(&run);
                runs++;
            }
        }
    }
    print_message("fault sweep: %llu runs\n", (unsigned long long)runs);
    free(content.at);
    env_faulty_free(env);
    env_posix_free(posix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_comes_once),
        cmocka_unit_test(test_lines_that_end_with_a_read),
        cmocka_unit_test(test_truncated_at_each_byte),
        cmocka_unit_test(test_damaged_at_each_byte),
        cmocka_unit_test(test_faults_of_streams),
        cmocka_unit_test(test_a_long_line_takes_no_memory),
        cmocka_unit_test(test_a_bomb_is_defused),
        cmocka_unit_test(test_which_files),
        cmocka_unit_test(test_format_by_name),
        cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_a_file_that_changes),
        cmocka_unit_test(test_a_file_that_is_rewritten),
        cmocka_unit_test(test_a_file_that_grows),
        cmocka_unit_test(test_a_file_that_shrinks),
        cmocka_unit_test(test_segments_that_say_too_much),
        cmocka_unit_test(test_fault_sweep),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
