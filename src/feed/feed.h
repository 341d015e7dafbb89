/* feed.h - input files as blocks of whole lines, for any number of threads.
 *
 *     files, folders, pipes --feed_open--> feed --feed_next, each thread--> block, block, ... end
 *                                            |                              + findings
 *     lines of each block --feed_count_lines-+--> feed_line_number, feed_reread, when all is read
 *
 * Each line of each file comes once, whole, in one block; which thread gets it and in what order is
 * chance.  Files are plain, gzip or zstd (concatenated members and skippable frames too), told by
 * their first bytes, not by their name.  A plain file is read by many threads at once; a compressed
 * file or a pipe by one thread at a time, several of them at once. What comes through a pipe is
 * spooled to a temporary file, so that its bytes can be read again.
 *
 * A segment (decode/segment.h) is told by its first bytes too, whatever its name is and its format
 * was said to be.  Its blocks come as they are, whole, and lines are events. It is a plain file.
 *
 * Promise: blocks, their offsets, indexes and findings depend on the files alone, not on threads or
 * time; memory depends on the number of threads and files, not on their size or on the length of a
 * line.
 *
 * A file that cannot be read on (disk, permission) is an error; a file whose bytes are bad is a
 * finding, what came well before is delivered, and the other files go on.
 */
#ifndef FARTHING_FEED_FEED_H
#define FARTHING_FEED_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/env.h"
#include "base/error.h"
#include "base/text.h"
#include "decode/event.h"

enum feed_format { FEED_BY_NAME, FEED_NDJSON, FEED_CSV, FEED_SEGMENT, FEED_PARQUET };

struct feed_options {
    int threads;                     /* feed_next is called with 0..threads-1 */
    enum feed_format format;         /* BY_NAME: .csv (before .gz, .zst) is CSV, all else NDJSON */
    const enum feed_format *formats; /* of each path, instead; NULL: format is that of all */
    size_t block_bytes;              /* 0: 256 KiB; at most line_max_bytes */
    size_t line_max_bytes;           /* 0: LINE_MAX_BYTES; of a line without its newline */
    bool takes_parquet;              /* files of it are listed, and not read; else ERR_INPUT */
    const char *temporary_folder;    /* for pipes; NULL: the environment's */
};

enum { FEED_HEAD_BYTES = 4096 };

/* What is wrong with a file's bytes. */
struct feed_finding {
    enum refusal refusal; /* LINE_LIMIT, ENCODING, DECOMP_LIMIT, SEGMENT; NONE: a warning, nothing
                             was lost for sure */
    uint32_t file_index;
    uint32_t block_index; /* for feed_line_number, with FEED_LINE_LAST */
    uint64_t offset;      /* in the uncompressed file: of the first byte that is not delivered */
    struct text head;     /* the first FEED_HEAD_BYTES at most of what is not delivered */
    const char *reason;   /* "gzip: the stream is cut short" */
};

struct feed_block {
    const char *bytes; /* NULL: the end, there are no more */
    size_t size;       /* 0 in a block that only has findings */
    uint32_t file_index;
    uint32_t block_index; /* in the file, in order of offset */
    uint64_t offset;      /* of bytes[0] in the uncompressed file */
    bool is_first_of_file;
    enum feed_format format;
    uint64_t first_event; /* of a segment: how many events of the file are before the block's */
    struct text header;   /* of a CSV file: its first line, which the first block has too; lives
                             until feed_close */
    const struct feed_finding *findings;
    uint32_t finding_count;
};

/* bytes[size] is a newline, and so many bytes after the last may be read. */
enum { FEED_PADDING_BYTES = 64 };

/* The line after the last that was counted in its block. */
#define FEED_LINE_LAST UINT64_MAX

struct feed;

/* Lists folders (recursively, names in order of bytes, hidden ones and those of dead letters
 * skipped) and looks at every file, so that a missing one is known before anything is read.  The
 * same file given twice is read once.  "-" is standard input. ERR_NOT_FOUND; ERR_INPUT "PATH ..."
 * for a device or a socket; ERR_LIMIT. The arena keeps the list of files; buffers are of
 * env->memory. paths must live as long as the feed. */
enum status feed_open(struct env *env, struct arena *arena, const char *const *paths, size_t count,
                      const struct feed_options *options, struct feed **feed, struct error *err);
/* NULL is fine.  Before the arena is rewound. */
void feed_close(struct feed *feed);

/* The next block for this thread, valid until the thread's next call.  Fails for all threads once
 * it has failed for one: ERR_IO, ERR_NOT_FOUND (a file has gone), ERR_LIMIT, ERR_INPUT (a header of
 * CSV that is longer than a line may be, a segment through a pipe). */
enum status feed_next(struct feed *feed, int thread_index, struct feed_block *block,
                      struct error *err);

uint32_t feed_file_count(const struct feed *feed);
const char *feed_file_path(const struct feed *feed, uint32_t file_index);
/* Which of the paths it was found under, the first of them. */
size_t feed_file_source(const struct feed *feed, uint32_t file_index);
/* NDJSON, CSV, SEGMENT or PARQUET. */
enum feed_format feed_file_format(const struct feed *feed, uint32_t file_index);

/* Bytes on disk of all files but pipes, and how many of them have been read: for a progress bar,
 * from any thread. */
uint64_t feed_bytes_total(const struct feed *feed);
uint64_t feed_bytes_read(const struct feed *feed);
/* A guess at what these files would be as plain lines: segments and packed files hold the same in
 * an eighth or less. */
uint64_t feed_bytes_plain(const struct feed *feed);

/* How many lines (blank ones too, the last one with or without a newline) the block has; once a
 * block, by any thread. */
void feed_count_lines(struct feed *feed, uint32_t file_index, uint32_t block_index, uint32_t lines);

/* ---- when all blocks have been read, from one thread ---- */

/* 1 for the first line of the file.  line_in_block counts from 0. */
uint64_t feed_line_number(struct feed *feed, uint32_t file_index, uint32_t block_index,
                          uint64_t line_in_block);

/* Reads from offset (of the uncompressed file) to the end of the line, without the newline, and
 * size_max bytes at most. Ask in ascending order of (file, offset): a compressed file is
 * decompressed again, once for all that ascends. ERR_INPUT when the file has changed since it was
 * read. */
enum status feed_reread(struct feed *feed, uint32_t file_index, uint64_t offset, char *buffer,
                        size_t size_max, size_t *size, struct error *err);
/* The block of a segment that has an event, and how many events are before it; valid until the next
 * call.  ERR_INPUT as feed_reread. */
enum status feed_reread_event(struct feed *feed, uint32_t file_index, uint64_t event,
                              struct text *block, uint64_t *first_event, struct error *err);

#endif
