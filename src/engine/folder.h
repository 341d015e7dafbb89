/* folder.h - an output folder read back: rows of its files one at a time, in memory that does not
 * grow with them.  Private to this room and those above.
 *
 *     folder_open --> folder_read(lines.csv) --reader_next--> row, row, ... end
 *                                            --reader_seek--> the same rows again
 *
 * A folder holds at most one open reader of each file; folder_close closes what is open, also after
 * memory ran out in the middle.
 */
#ifndef FARTHING_ENGINE_FOLDER_H
#define FARTHING_ENGINE_FOLDER_H

#include <yyjson.h>

#include "base/env.h"
#include "render/render.h"

struct reader {
    struct env *env;
    struct arena *arena;
    struct file *file; /* NULL: not open */
    const char *path;
    bool is_csv;    /* a newline inside quotes ends no row */
    bool has_views; /* rows have one more column: VIEWS_HEADER */
    char *buffer;
    size_t capacity, begin, end;
    uint64_t offset; /* of the byte after buffer[end) in the file */
};

/* The next row without its newline, valid until the next call; at NULL: the end. *offset (may be
 * NULL) gets where the row begins. ERR_CORRUPT when the file is cut short. */
enum status reader_next(struct reader *reader, struct text *row, uint64_t *offset,
                        struct error *err);
void reader_seek(struct reader *reader, uint64_t offset);

enum { FOLDER_READERS = 4 };
struct folder {
    struct env *env;
    struct arena *arena; /* for as long as the folder is open */
    const char *path;
    struct reader readers[FOLDER_READERS];
};

/* The output folders that lie in a folder, as a correction of several periods has them, with a text
 * between them; empty when there are none, and the first few of many. */
struct text folder_periods(struct env *env, struct arena *arena, const char *path,
                           const char *between);

/* ERR_INPUT when it is no output folder. Opens nothing that stays open. */
enum status folder_open(struct env *env, struct arena *arena, const char *path,
                        struct folder *folder, struct error *err);
void folder_close(struct folder *folder);
/* Opens a file of the folder; header (may be NULL) is its first line, which is checked and skipped.
 */
enum status folder_read(struct folder *folder, const char *name, const char *header,
                        struct reader **reader, struct error *err);
void reader_close(struct reader *reader);
/* run.json names each file of events: a million of them. */
enum { RUN_FILE_MAX_BYTES = 256 * 1024 * 1024 };
/* Of the others, which a run reads as a whole where it goes on from them: as far as memory goes. */
#define OUTPUT_FILE_MAX_BYTES (UINT64_C(1) << 40)
/* The object in run.json or summary.json of an output folder, in the arena; NULL when it fails.
 * ERR_INPUT when the file is not there, which tells that the folder is not whole, ERR_CORRUPT when
 * it is no object, ERR_NOT_FOUND when there is no folder. */
enum status folder_json(struct env *env, struct arena *arena, const char *folder, const char *name,
                        yyjson_val **root, struct error *err);
/* The end of run.json: a hash of what stands before it, which tells that it was not edited.  One
 * that was written without such an end is whole. */
void folder_end_run(struct buffer *run);
bool folder_run_is_whole(struct text json);
/* What the folder's run says of itself, as folder_json. */
enum status folder_run(struct folder *folder, yyjson_val **run, struct error *err);
/* Whether the file is as the folder's run wrote it, by its run.json; else ERR_CORRUPT.  All of it
 * is read, at the pace of memory or the disk. */
enum status folder_check(struct folder *folder, yyjson_val *run, const char *name,
                         struct error *err);

/* What stands at the head of a bill: a line of bills.ndjson. */
struct bill_head {
    struct text json; /* the whole line */
    struct text bill, kind, provider, payer, currency, total, exact;
    struct text contract, source, seller; /* of a view; empty */
    struct period period;
    uint64_t line_count;
    yyjson_val *proof, *inputs, *sections; /* objects and a list; in the arena of head_parse */
    yyjson_val *settlement;                /* NULL: none */
    yyjson_val *pending;                   /* what its turn will still charge; NULL: nothing */
    yyjson_val *parts; /* ends of the bills of its time, up to its own; NULL: it is not divided */
};
/* All memory is of the arena. ERR_CORRUPT. */
enum status head_parse(struct arena *arena, struct text json, struct bill_head *head,
                       struct error *err);
/* The head of a bill by its id; ERR_NOT_FOUND. */
enum status folder_find_head(struct folder *folder, struct text bill, struct bill_head *head,
                             struct error *err);
/* Where the rows of the bill begin in lines.csv; its reader stands there. ERR_NOT_FOUND. */
enum status folder_find_lines(struct folder *folder, struct text bill, struct reader **lines,
                              uint64_t *offset, struct error *err);

/* A document whose memory is of the arena; NULL when it is no JSON. */
yyjson_doc *arena_read_json(struct arena *arena, struct text json);
/* A text of an object; empty when there is none. */
struct text json_text(yyjson_val *object, const char *key);

#endif
