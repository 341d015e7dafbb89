/* output.h - output files, written whole or not at all.
 *
 *     output_open --> output_file_open, output_append ...
 *                       --> output_commit: all have their names, on disk
 *                       --> output_abort:  none has
 *
 * Files are written under hidden temporary names in their folder and renamed at the end, all or
 * none.  Of two runs that end at once in one folder, each gives its names alone.  Threads append in
 * an order that is known beforehand by taking turns:
 *
 *     make the bytes of partition p
 *     output_turn_take(output, p); output_append ...; output_turn_give(output)
 *
 * A thread whose turn has not come waits, so at most one partition a thread is held in memory.
 */
#ifndef FARTHING_FEED_OUTPUT_H
#define FARTHING_FEED_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"

enum { OUTPUT_BUFFER_LEAST_BYTES = 1024 * 1024 };

struct output_options {
    size_t buffer_bytes; /* what is written of a file at once, whole blocks of HASH_BLOCK_BYTES;
                            less than the least: that */
    bool replace;        /* files of an earlier run may be there, and are replaced at the commit */
    bool beside;         /* other files may be there, and stay */
    /* Which other files of the folder go with those that are replaced: what an earlier run has
     * written besides, and would be taken for a part of this one.  NULL: none. */
    bool (*is_outdated)(const void *context, struct text name);
    const void *context;
};

struct output;
struct output_file;

/* Makes the folder, and those above it, when it is not there.  ERR_CONFLICT when it has files and
 * neither replace nor beside is set (hidden ones do not count). The output owns all its memory,
 * from env->memory. */
enum status output_open(struct env *env, const char *folder, const struct output_options *options,
                        struct output **output, struct error *err);

/* ERR_INPUT "PATH ..." when name is not a plain name: empty, hidden, with a slash or a control
 * character; ERR_CONFLICT when it is given twice. The file belongs to the output.  From one thread,
 * before others append. */
enum status output_file_open(struct output *output, const char *name, struct output_file **file,
                             struct error *err);

/* ERR_IO names the path.  After the first failure the file takes no more, and the output cannot be
 * committed. One thread at a time for a file. */
enum status output_append(struct output_file *file, const void *bytes, size_t size,
                          struct error *err);
static inline enum status output_append_text(struct output_file *file, struct text text,
                                             struct error *err)
{
    return output_append(file, text.at, text.size, err);
}
/* No more is appended to the file: what it holds is written, its buffers are given back, and files
 * that have ended before it are closed.  Of an output that is not shared. */
enum status output_file_end(struct output_file *file, struct error *err);
/* What was appended so far: the offset of what comes next. */
uint64_t output_file_size(const struct output_file *file);

/* hash_blocks of all that was appended, so that a reader can tell whether the file is as it was
 * written. */
struct hash128 output_file_print(const struct output_file *file);

/* ---- writing behind those who append ----
 *
 *     output_share(output, n), then on n threads: output_append ...; output_leave(output)
 *                         and on some others: output_write_behind(output)
 *
 * A disk does several writes in the time of one, and while it does, bills can be made.  Without
 * output_share the thread that appends writes.  After the last output_leave all whole buffers are
 * written when the others return; a failure of theirs is what later calls fail with. */
void output_share(struct output *output, int appenders);
void output_leave(struct output *output);
void output_write_behind(struct output *output);
/* While it is lean the thread that appends writes, and the buffers that the others need are given
 * back; waits until what is in them is written. */
void output_be_lean(struct output *output, bool is_lean);

/* ---- turns ---- */

/* Waits until turns 0..turn-1 have been given.  Each turn is taken once, and threads begin
 * partitions in ascending order, else they wait for ever.  Fails with the first failure of any
 * thread. */
enum status output_turn_take(struct output *output, uint64_t turn, struct error *err);
bool output_turn_is(struct output *output, uint64_t turn); /* taking it would not wait */
void output_turn_give(struct output *output);
/* For a thread that cannot make its partition: wakes those that wait for it; cause (not NULL) is
 * what they return. */
void output_fail(struct output *output, const struct error *cause);

/* ---- the end; output and its files are gone after either ---- */

/* Fails whole: nothing of this run stays, not even a folder that it has made, and what it was to
 * replace is as it was. */
enum status output_commit(struct output *output, struct error *err);
/* NULL is fine. */
void output_abort(struct output *output);
/* Nothing of this run is to be there, nor of an earlier one: like output_abort, and with replace
 * set the files that a commit would have replaced are removed, the one opened last first.
 * *was_there: there were some.  ERR_IO names the path. */
enum status output_clear(struct output *output, bool *was_there, struct error *err);

#endif
