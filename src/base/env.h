/* env.h - everything that is not a function of its inputs reaches the engine through this struct.
 *
 *     files, folders | clocks | random bytes | threads and locks | memory
 *
 * The real one is env_posix (engine/env_posix.c); a test hands in one that fails the n-th write,
 * stops the clock, or runs threads in another order.  Base holds the shape only: nothing here does
 * anything. All calls are safe from any thread; a struct file may be read with
 * file_read_at from several.
 */
#ifndef FARTHING_BASE_ENV_H
#define FARTHING_BASE_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/calendar.h"
#include "base/error.h"
#include "base/text.h"

struct file; /* of the env that opened it */
struct lock; /* mutex with one condition */
struct folder_hold;

enum file_kind { FILE_REGULAR, FILE_FOLDER, FILE_PIPE, FILE_DEVICE, FILE_OTHER };

struct file_info {
    enum file_kind kind;
    uint64_t size_bytes;    /* of a regular file */
    uint64_t device, inode; /* identity: the same file given twice is read once */
    int64_t modified_ns;    /* with size_bytes: has it changed while it was read? */
};

struct env {
    void *context; /* of the implementation */

    /* ---- files: ERR_NOT_FOUND, ERR_IO; messages name the path ---- */
    enum status (*file_stat)(struct env *, const char *path, struct file_info *, struct error *);
    /* The same of an open file, whatever its path names by now. */
    enum status (*file_stat_open)(struct env *, struct file *, struct file_info *, struct error *);
    /* "-" is standard input.  A folder can be opened too, for file_sync after a rename. */
    enum status (*file_open)(struct env *, const char *path, struct file **, struct error *);
    /* For writing only.  Creates or truncates; fails with ERR_CONFLICT when exclusive and the file
     * exists. */
    enum status (*file_create)(struct env *, const char *path, bool exclusive, struct file **,
                               struct error *);
    /* Some process that still runs has made this file as an exclusive one and not closed it yet. */
    bool (*file_is_held)(struct env *, const char *path);
    /* Of all who ask so, one at a time has a folder: false when another one has it, at once or
     * after some seconds of waiting.  *hold is given to folder_let_go; where folders cannot be
     * locked it is NULL, and nobody waits. */
    bool (*folder_hold)(struct env *, const char *path, bool waits, struct folder_hold **hold);
    void (*folder_let_go)(struct env *, struct folder_hold *);
    /* A file without a name in folder (NULL: where temporary files go), gone when closed. */
    enum status (*file_temporary)(struct env *, const char *folder, struct file **, struct error *);
    /* *got is 0 at the end only; interrupted reads are gone on with. */
    enum status (*file_read)(struct env *, struct file *, void *bytes, size_t size, size_t *got,
                             struct error *);
    /* *got is less than size at the end only. */
    enum status (*file_read_at)(struct env *, struct file *, void *bytes, size_t size,
                                uint64_t offset, size_t *got, struct error *);
    /* All of size or an error; short writes are gone on with. */
    enum status (*file_write)(struct env *, struct file *, const void *bytes, size_t size,
                              struct error *);
    enum status (*file_write_at)(struct env *, struct file *, const void *bytes, size_t size,
                                 uint64_t offset, struct error *);
    /* Bytes on disk before it returns. */
    enum status (*file_sync)(struct env *, struct file *, struct error *);
    /* Close of a written file reports what the kernel could not write. */
    enum status (*file_close)(struct env *, struct file *, struct error *);
    enum status (*file_rename)(struct env *, const char *from, const char *to, struct error *);
    /* A file, or a folder that is empty. */
    enum status (*file_remove)(struct env *, const char *path, struct error *);
    /* Makes the folder and its parents; an existing folder is fine. */
    enum status (*folder_create)(struct env *, const char *path, struct error *);
    /* Names of the entries, sorted by bytes, in the arena. */
    enum status (*folder_list)(struct env *, const char *path, struct arena *, struct text **names,
                               size_t *count, struct error *);

    /* ---- clocks: never used from base to bill ---- */
    instant (*clock_now)(struct env *);     /* wall clock, UTC */
    int64_t (*clock_mono_ns)(struct env *); /* for durations */
    int64_t (*clock_cpu_ns)(struct env *);  /* that the process has had, all its threads */

    void (*random_bytes)(struct env *, void *bytes, size_t size);

    /* ---- threads: runs work(argument, 0..count-1), each on a thread of its own, and waits for
     * all. ERR_LIMIT when they cannot all be started: then work was called for none of them. ----
     */
    enum status (*threads_run)(struct env *, int count, void (*work)(void *argument, int index),
                               void *argument, struct error *);
    int (*processors)(struct env *);
    struct lock *(*lock_new)(struct env *); /* NULL when there is no memory */
    void (*lock_free)(struct env *, struct lock *);
    void (*lock_take)(struct env *, struct lock *);
    void (*lock_give)(struct env *, struct lock *);
    /* Gives the lock, waits for a wake (or spuriously), takes it again. */
    void (*lock_wait)(struct env *, struct lock *);
    void (*lock_wake_all)(struct env *, struct lock *);

    /* ---- memory: counted against limit_bytes; allocate gives NULL beyond ---- */
    struct memory memory;
    /* The same, in large pages where the machine has them: for what lives as long as a run and is
     * read at random, where finding the page costs as much as the memory behind it. */
    struct memory tables;
    size_t memory_limit_bytes; /* 0: none; of both */
    size_t memory_asked_bytes; /* what it was made of, as who asked calls it; 0: not known */
    size_t (*memory_used_bytes)(struct env *);
};

#endif
