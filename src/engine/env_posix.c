/* env_posix.c - see env_posix.h.
 *
 * Threads: all are started before the first works, so that a start that fails ends in "none has
 * run", never in a run with a worker missing.
 */
#include "engine/env_posix.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/blocks.h"

enum { IO_MAX_BYTES = 1 << 30 };

struct env_posix {
    struct env env; /* first, so that one is the other */
    struct blocks blocks;
};

struct file {
    int descriptor;
    bool is_regular, is_standard;
    bool is_direct;      /* writes pass the page cache by; see file_write */
    uint64_t base_bytes; /* where standard input stood: a shell may have read from it before */
    char path[];
};

struct lock {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

/* ---- errors ---- */

static const char LOOK[] = "look at it"; /* what is done first with whatever is given */

static enum status fail_path(struct error *err, const char *what, const char *path, int number)
{
    enum status status = number == ENOENT || number == ENOTDIR                      ? ERR_NOT_FOUND
                         : number == EEXIST                                         ? ERR_CONFLICT
                         : number == EMFILE || number == ENFILE || number == ENOMEM ? ERR_LIMIT
                                                                                    : ERR_IO;
    const char *cause = strerrordesc_np(number);
    if (number == ENOENT && what == LOOK) {
        (void)fail(err, status, "%s: no such file or folder", path);
    } else {
        (void)fail(err, status, "%s: cannot %s: %s", path, what, cause ? cause : "unknown error");
    }
    if (number == EMFILE) {
        (void)fail_hint(err, "a process may have more files open: `ulimit -n`");
    }
    return status;
}

/* ---- memory ---- */

static struct env_posix *posix_of_memory(struct memory *memory)
{
    return (struct env_posix *)(void *)((char *)memory - offsetof(struct env, memory));
}

static struct env_posix *posix_of_tables(struct memory *tables)
{
    return (struct env_posix *)(void *)((char *)tables - offsetof(struct env, tables));
}

static void *allocate(struct memory *memory, size_t size_bytes)
{
    return blocks_take(&posix_of_memory(memory)->blocks, size_bytes, false);
}

static void release(struct memory *memory, void *block, size_t size_bytes)
{
    blocks_give(&posix_of_memory(memory)->blocks, block, size_bytes, false);
}

static void *resize(struct memory *memory, void *block, size_t old_bytes, size_t new_bytes)
{
    return blocks_resize(&posix_of_memory(memory)->blocks, block, old_bytes, new_bytes);
}

static void *allocate_table(struct memory *tables, size_t size_bytes)
{
    return blocks_take(&posix_of_tables(tables)->blocks, size_bytes, true);
}

static void release_table(struct memory *tables, void *block, size_t size_bytes)
{
    blocks_give(&posix_of_tables(tables)->blocks, block, size_bytes, true);
}

static size_t memory_used_bytes(struct env *env)
{
    return atomic_load(&((struct env_posix *)env)->blocks.used_bytes);
}

/* ---- files ---- */

static void info_of_stat(const struct stat *stat, struct file_info *info)
{
    mode_t mode = stat->st_mode;
    *info = (struct file_info){
        .kind = S_ISREG(mode)                    ? FILE_REGULAR
                : S_ISDIR(mode)                  ? FILE_FOLDER
                : S_ISFIFO(mode)                 ? FILE_PIPE
                : S_ISCHR(mode) || S_ISBLK(mode) ? FILE_DEVICE
                                                 : FILE_OTHER,
        .size_bytes = S_ISREG(mode) ? (uint64_t)stat->st_size : 0,
        .device = (uint64_t)stat->st_dev,
        .inode = (uint64_t)stat->st_ino,
        .modified_ns = (int64_t)stat->st_mtim.tv_sec * NS_PER_SECOND + stat->st_mtim.tv_nsec,
    };
}

static uint64_t standard_input_base(void)
{
    off_t base = lseek(STDIN_FILENO, 0, SEEK_CUR);
    return base > 0 ? (uint64_t)base : 0;
}

static void subtract_base(struct file_info *info, uint64_t base_bytes)
{
    if (info->kind == FILE_REGULAR) {
        info->size_bytes = info->size_bytes > base_bytes ? info->size_bytes - base_bytes : 0;
    }
}

static enum status file_stat(struct env *, const char *path, struct file_info *info,
                             struct error *err)
{
    struct stat stat_of;
    bool is_standard = strcmp(path, "-") == 0;
    if ((is_standard ? fstat(STDIN_FILENO, &stat_of) : stat(path, &stat_of)) != 0) {
        return fail_path(err, LOOK, path, errno);
    }
    info_of_stat(&stat_of, info);
    if (is_standard) {
        subtract_base(info, standard_input_base());
    }
    return OK;
}

static enum status file_stat_open(struct env *, struct file *file, struct file_info *info,
                                  struct error *err)
{
    struct stat stat_of;
    if (fstat(file->descriptor, &stat_of) != 0) {
        return fail_path(err, LOOK, file->path, errno);
    }
    info_of_stat(&stat_of, info);
    subtract_base(info, file->base_bytes);
    return OK;
}

/* Takes the descriptor over, closing it on failure. */
static enum status make_file(int descriptor, const char *path, struct file **file,
                             struct error *err)
{
    size_t size = strlen(path) + 1;
    struct file *made = malloc(sizeof *made + size);
    struct stat stat_of;
    if (!made || fstat(descriptor, &stat_of) != 0) {
        int number = made ? errno : ENOMEM;
        free(made);
        if (descriptor != STDIN_FILENO) {
            close(descriptor);
        }
        return fail_path(err, "open it", path, number);
    }
    *made = (struct file){
        .descriptor = descriptor,
        .is_regular = S_ISREG(stat_of.st_mode),
        .is_standard = descriptor == STDIN_FILENO,
    };
    memcpy(made->path, path, size);
    *file = made;
    return OK;
}

static int open_patiently(const char *path, int flags, mode_t mode)
{
    int descriptor;
    do {
        descriptor = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
    } while (descriptor < 0 && errno == EINTR);
    /* A process may have been started without standard input; a file of ours must not become it. */
    if (descriptor == STDIN_FILENO) {
        descriptor = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        int number = errno;
        close(STDIN_FILENO);
        errno = number;
    }
    return descriptor;
}

static enum status file_open(struct env *, const char *path, struct file **file, struct error *err)
{
    if (strcmp(path, "-") == 0) {
        TRY(make_file(STDIN_FILENO, path, file, err));
        (*file)->base_bytes = (*file)->is_regular ? standard_input_base() : 0;
        return OK;
    }
    int descriptor = open_patiently(path, O_RDONLY, 0);
    if (descriptor < 0) {
        return fail_path(err, "open it", path, errno);
    }
    TRY(make_file(descriptor, path, file, err));
    if ((*file)->is_regular) {
        (void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return OK;
}

enum { DIRECT_BYTES = 4096 }; /* what address, size and offset of a direct write are multiples of */

static bool set_direct(int descriptor, bool direct)
{
    int flags = fcntl(descriptor, F_GETFL);
    return flags >= 0 &&
           fcntl(descriptor, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

static enum status file_create(struct env *, const char *path, bool exclusive, struct file **file,
                               struct error *err)
{
    /* Not for reading too: a pipe would count us among its readers and never break. */
    int descriptor =
        open_patiently(path, O_WRONLY | O_CREAT | (exclusive ? O_EXCL : O_TRUNC), 0666);
    if (descriptor < 0) {
        return fail_path(err, "create it", path, errno);
    }
    if (exclusive) {
        /* Goes with the process, however that ends; where files cannot be locked nothing is lost
         * but file_is_held. */
        (void)flock(descriptor, LOCK_EX | LOCK_NB);
    }
    TRY(make_file(descriptor, path, file, err));
    /* Not when opening: a file system that has no O_DIRECT would refuse a file that it has made by
     * then. */
    (*file)->is_direct = (*file)->is_regular && set_direct(descriptor, true);
    return OK;
}

static bool file_is_held(struct env *, const char *path)
{
    int descriptor = open_patiently(path, O_RDONLY | O_NONBLOCK, 0);
    if (descriptor < 0) {
        return false;
    }
    bool is_held = flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(descriptor);
    return is_held;
}

struct folder_hold {
    int descriptor;
};

static bool folder_hold(struct env *, const char *path, bool waits, struct folder_hold **hold)
{
    *hold = NULL;
    int descriptor = open_patiently(path, O_RDONLY | O_DIRECTORY, 0);
    if (descriptor < 0) {
        return true;
    }
    /* Who has it gives it back soon; but somebody may have locked the folder for as long as this
     * process runs: `flock out farthing ...`. */
    enum { TRIES = 500, WAIT_NS = 10 * 1000 * 1000 };
    const struct timespec wait = {0, WAIT_NS};
    int failed = flock(descriptor, LOCK_EX | LOCK_NB);
    for (int i = 0; failed != 0 && errno == EWOULDBLOCK && waits && i < TRIES; i++) {
        (void)nanosleep(&wait, NULL);
        failed = flock(descriptor, LOCK_EX | LOCK_NB);
    }
    bool is_taken = failed != 0 && errno == EWOULDBLOCK;
    struct folder_hold *made = failed == 0 ? malloc(sizeof *made) : NULL;
    if (!made) {
        close(descriptor);
        return !is_taken;
    }
    made->descriptor = descriptor;
    *hold = made;
    return true;
}

static void folder_let_go(struct env *, struct folder_hold *hold)
{
    if (hold) {
        close(hold->descriptor);
        free(hold);
    }
}

static void fill_random(void *bytes, size_t size)
{
    unsigned char *at = bytes;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        assert((got > 0 || errno == EINTR) && "the kernel has no random bytes");
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

const char *env_posix_temporary_folder(const char *named)
{
    const char *folder = named && *named ? named : getenv("TMPDIR");
    return folder && *folder ? folder : "/tmp";
}

static enum status file_temporary(struct env *, const char *named, struct file **file,
                                  struct error *err)
{
    const char *folder = env_posix_temporary_folder(named);
    int descriptor = open_patiently(folder, O_TMPFILE | O_RDWR | O_EXCL, 0600);
    if (descriptor < 0 && (errno == EISDIR || errno == EOPNOTSUPP || errno == EINVAL)) {
        /* Some file systems have no files without a name: it loses its name at once. */
        char path[4096];
        uint64_t chance;
        fill_random(&chance, sizeof chance);
        int size =
            snprintf(path, sizeof path, "%s/.farthing-%016llx", folder, (unsigned long long)chance);
        if (size < 0 || (size_t)size >= sizeof path) {
            return fail_path(err, "create a temporary file in it", folder, ENAMETOOLONG);
        }
        descriptor = open_patiently(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (descriptor >= 0) {
            (void)unlink(path);
        }
    }
    if (descriptor < 0) {
        enum status status = fail_path(err, "create a temporary file in it", folder, errno);
        if (status != ERR_LIMIT) {
            (void)fail_hint(err, "give another folder with --tmp, or with TMPDIR");
        }
        return status;
    }
    return make_file(descriptor, folder, file, err);
}

static enum status file_read(struct env *, struct file *file, void *bytes, size_t size, size_t *got,
                             struct error *err)
{
    for (;;) {
        ssize_t count = read(file->descriptor, bytes, size < IO_MAX_BYTES ? size : IO_MAX_BYTES);
        if (count >= 0) {
            *got = (size_t)count;
            return OK;
        }
        if (errno != EINTR) {
            return fail_path(err, "read it", file->path, errno);
        }
    }
}

static enum status file_read_at(struct env *, struct file *file, void *bytes, size_t size,
                                uint64_t offset, size_t *got, struct error *err)
{
    char *at = bytes;
    uint64_t position = file->base_bytes + offset;
    *got = 0;
    while (size > 0) {
        ssize_t count =
            pread(file->descriptor, at, size < IO_MAX_BYTES ? size : IO_MAX_BYTES, (off_t)position);
        if (count == 0) {
            return OK;
        }
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            return fail_path(err, "read it", file->path, errno);
        }
        at += count;
        size -= (size_t)count;
        position += (uint64_t)count;
        *got += (size_t)count;
    }
    return OK;
}

/* Writing to a pipe whose reader is gone raises SIGPIPE, which must not end the program that the
 * library lives in: it is held back in this thread and taken away. */
static ssize_t write_quietly(int descriptor, const void *bytes, size_t size)
{
    sigset_t pipe_set, old_set, pending;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old_set);
    ssize_t count = write(descriptor, bytes, size);
    int number = errno;
    if (count < 0 && number == EPIPE && !was_pending) {
        struct timespec none = {0};
        while (sigtimedwait(&pipe_set, NULL, &none) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &old_set, NULL);
    errno = number;
    return count;
}

static enum status file_write(struct env *, struct file *file, const void *bytes, size_t size,
                              struct error *err)
{
    const char *at = bytes;
    while (size > 0) {
        size_t part = size < IO_MAX_BYTES ? size : IO_MAX_BYTES;
        /* Gigabytes of bills are written once and not read again soon: copying them into the page
         * cache and out of it costs more than making them.  What is no multiple of a block, mostly
         * the end, goes the usual way. */
        if (file->is_direct && ((uintptr_t)at | part) % DIRECT_BYTES != 0) {
            file->is_direct = false;
            (void)set_direct(file->descriptor, false);
        }
        ssize_t count = file->is_regular ? write(file->descriptor, at, part)
                                         : write_quietly(file->descriptor, at, part);
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno == EINVAL && file->is_direct) {
                file->is_direct = false;
                (void)set_direct(file->descriptor, false);
                continue;
            }
            return fail_path(err, "write to it", file->path, errno);
        }
        at += count;
        size -= (size_t)count;
    }
    return OK;
}

static enum status file_write_at(struct env *, struct file *file, const void *bytes, size_t size,
                                 uint64_t offset, struct error *err)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t count =
            pwrite(file->descriptor, at, size < IO_MAX_BYTES ? size : IO_MAX_BYTES, (off_t)offset);
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            return fail_path(err, "write to it", file->path, errno);
        }
        at += count;
        size -= (size_t)count;
        offset += (uint64_t)count;
    }
    return OK;
}

static enum status file_sync(struct env *, struct file *file, struct error *err)
{
    while (fsync(file->descriptor) != 0) {
        if (errno == EINVAL || errno == EROFS) {
            return OK; /* a pipe: there is no disk below it */
        }
        if (errno != EINTR) {
            return fail_path(err, "sync it", file->path, errno);
        }
    }
    return OK;
}

static enum status file_close(struct env *, struct file *file, struct error *err)
{
    enum status status = OK;
    /* After EINTR the descriptor is closed already. */
    if (!file->is_standard && close(file->descriptor) != 0 && errno != EINTR) {
        status = fail_path(err, "close it", file->path, errno);
    }
    free(file);
    return status;
}

static enum status file_rename(struct env *, const char *from, const char *to, struct error *err)
{
    return rename(from, to) == 0 ? OK : fail_path(err, "rename a file to it", to, errno);
}

static enum status file_remove(struct env *, const char *path, struct error *err)
{
    return remove(path) == 0 ? OK : fail_path(err, "remove it", path, errno);
}

static bool is_folder(const char *path)
{
    struct stat stat_of;
    return stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
}

static enum status folder_create(struct env *, const char *path, struct error *err)
{
    char prefix[4096];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof prefix) {
        return fail_path(err, "create the folder", path, size == 0 ? ENOENT : ENAMETOOLONG);
    }
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(prefix, path, i);
        prefix[i] = '\0';
        if (mkdir(prefix, 0777) == 0) {
            continue;
        }
        int number = errno;
        if (is_folder(prefix)) {
            continue;
        }
        enum status status = fail_path(err, "create the folder", prefix, number);
        if (number == EEXIST) {
            (void)fail_hint(err, "what is there is no folder: give another name");
        }
        return status;
    }
    return OK;
}

struct name_list {
    char **names;
    size_t count, capacity;
};

static void free_names(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
}

static bool add_name(struct name_list *list, const char *name)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        char **names = realloc(list->names, capacity * sizeof *names);
        if (!names) {
            return false;
        }
        list->names = names;
        list->capacity = capacity;
    }
    list->names[list->count] = strdup(name);
    return list->names[list->count] && ++list->count;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status read_folder(const char *path, struct name_list *list, struct error *err)
{
    DIR *folder = opendir(path);
    if (!folder) {
        return fail_path(err, "list the folder", path, errno);
    }
    enum status status = OK;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno != 0) {
                status = fail_path(err, "list the folder", path, errno);
            }
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (!add_name(list, entry->d_name)) {
            status = fail_path(err, "list the folder", path, ENOMEM);
            break;
        }
    }
    closedir(folder);
    return status;
}

/* False when the arena runs out, which must not pass by the list, since that is not the arena's. */
static bool copy_names(struct arena *arena, const struct name_list *list, struct text **names)
{
    jmp_buf *outer = arena->recover;
    jmp_buf recover;
    if (ARENA_RECOVER(arena, recover)) {
        arena->recover = outer;
        return false;
    }
    struct text *copies = arena_calloc(arena, list->count, sizeof *copies);
    for (size_t i = 0; i < list->count; i++) {
        size_t size = strlen(list->names[i]);
        char *copy = arena_alloc(arena, size + 1);
        memcpy(copy, list->names[i], size + 1);
        copies[i] = (struct text){copy, size};
    }
    arena->recover = outer;
    *names = copies;
    return true;
}

static enum status folder_list(struct env *, const char *path, struct arena *arena,
                               struct text **names, size_t *count, struct error *err)
{
    struct name_list list = {0};
    enum status status = read_folder(path, &list, err);
    if (status == OK) {
        if (list.count > 1) {
            qsort(list.names, list.count, sizeof *list.names, compare_names);
        }
        *count = list.count;
        if (!copy_names(arena, &list, names)) {
            status = fail_path(err, "list the folder", path, ENOMEM);
        }
    }
    free_names(&list);
    return status;
}

/* ---- clocks, chance ---- */

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static instant clock_now(struct env *)
{
    return read_clock(CLOCK_REALTIME);
}

static int64_t clock_mono_ns(struct env *)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t clock_cpu_ns(struct env *)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static void random_bytes(struct env *, void *bytes, size_t size)
{
    fill_random(bytes, size);
}

/* ---- threads and locks ---- */

struct crew {
    void (*work)(void *argument, int index);
    void *argument;
    struct lock gate;
    enum { GATE_SHUT, GATE_OPEN, GATE_OFF } state;
};

struct worker {
    struct crew *crew;
    int index;
    pthread_t thread;
};

static void *run_worker(void *context)
{
    struct worker *worker = context;
    struct crew *crew = worker->crew;
    pthread_mutex_lock(&crew->gate.mutex);
    while (crew->state == GATE_SHUT) {
        pthread_cond_wait(&crew->gate.wake, &crew->gate.mutex);
    }
    bool is_on = crew->state == GATE_OPEN;
    pthread_mutex_unlock(&crew->gate.mutex);
    if (is_on) {
        crew->work(crew->argument, worker->index);
    }
    return NULL;
}

static enum status threads_run(struct env *, int count, void (*work)(void *argument, int index),
                               void *argument, struct error *err)
{
    if (count < 1) {
        return OK;
    }
    struct worker *workers = calloc((size_t)count, sizeof *workers);
    if (!workers) {
        return fail(err, ERR_LIMIT, "cannot start %d threads: no memory", count);
    }
    struct crew crew = {.work = work, .argument = argument, .state = GATE_SHUT};
    pthread_mutex_init(&crew.gate.mutex, NULL);
    pthread_cond_init(&crew.gate.wake, NULL);
    int started = 1; /* the first worker is the caller's own thread */
    int number = 0;
    while (started < count && number == 0) {
        workers[started] = (struct worker){.crew = &crew, .index = started};
        number = pthread_create(&workers[started].thread, NULL, run_worker, &workers[started]);
        started += number == 0;
    }
    pthread_mutex_lock(&crew.gate.mutex);
    crew.state = number == 0 ? GATE_OPEN : GATE_OFF;
    pthread_cond_broadcast(&crew.gate.wake);
    pthread_mutex_unlock(&crew.gate.mutex);
    if (number == 0) {
        work(argument, 0);
    }
    for (int i = 1; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    pthread_cond_destroy(&crew.gate.wake);
    pthread_mutex_destroy(&crew.gate.mutex);
    free(workers);
    if (number != 0) {
        const char *cause = strerrordesc_np(number);
        (void)fail(err, ERR_LIMIT, "cannot start %d threads: number %d: %s", count, started,
                   cause ? cause : "unknown error");
        (void)fail_hint(err, "use fewer with --threads, or allow the process more");
        return ERR_LIMIT;
    }
    return OK;
}

static int processors(struct env *)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    if (count < 1) {
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    return count > 0 ? count : 1;
}

static struct lock *lock_new(struct env *)
{
    struct lock *lock = malloc(sizeof *lock);
    if (lock) {
        pthread_mutex_init(&lock->mutex, NULL);
        pthread_cond_init(&lock->wake, NULL);
    }
    return lock;
}

static void lock_free(struct env *, struct lock *lock)
{
    if (lock) {
        pthread_cond_destroy(&lock->wake);
        pthread_mutex_destroy(&lock->mutex);
        free(lock);
    }
}

static void lock_take(struct env *, struct lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

static void lock_give(struct env *, struct lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}

static void lock_wait(struct env *, struct lock *lock)
{
    pthread_cond_wait(&lock->wake, &lock->mutex);
}

static void lock_wake_all(struct env *, struct lock *lock)
{
    pthread_cond_broadcast(&lock->wake);
}

/* ---- the environment ---- */

struct env *env_posix_new(size_t memory_limit_bytes)
{
    struct env_posix *posix = calloc(1, sizeof *posix);
    if (!posix) {
        return NULL;
    }
    blocks_init(&posix->blocks, memory_limit_bytes);
    posix->env = (struct env){
        .context = posix,
        .file_stat = file_stat,
        .file_stat_open = file_stat_open,
        .file_open = file_open,
        .file_create = file_create,
        .file_is_held = file_is_held,
        .folder_hold = folder_hold,
        .folder_let_go = folder_let_go,
        .file_temporary = file_temporary,
        .file_read = file_read,
        .file_read_at = file_read_at,
        .file_write = file_write,
        .file_write_at = file_write_at,
        .file_sync = file_sync,
        .file_close = file_close,
        .file_rename = file_rename,
        .file_remove = file_remove,
        .folder_create = folder_create,
        .folder_list = folder_list,
        .clock_now = clock_now,
        .clock_mono_ns = clock_mono_ns,
        .clock_cpu_ns = clock_cpu_ns,
        .random_bytes = random_bytes,
        .threads_run = threads_run,
        .processors = processors,
        .lock_new = lock_new,
        .lock_free = lock_free,
        .lock_take = lock_take,
        .lock_give = lock_give,
        .lock_wait = lock_wait,
        .lock_wake_all = lock_wake_all,
        .memory = {.allocate = allocate, .release = release, .resize = resize},
        .tables = {.allocate = allocate_table, .release = release_table},
        .memory_limit_bytes = memory_limit_bytes,
        .memory_used_bytes = memory_used_bytes,
    };
    return &posix->env;
}

void env_posix_free(struct env *env)
{
    struct env_posix *posix = (struct env_posix *)env;
    if (posix) {
        blocks_release(&posix->blocks);
        free(posix);
    }
}

size_t env_posix_memory_peak_bytes(struct env *env)
{
    return atomic_load(&((struct env_posix *)env)->blocks.peak_bytes);
}
