/* env_faulty.c - see env_faulty.h.  Each operation asks strikes() first and hands on to the inner
 * environment. */
#include "engine/env_faulty.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct env_faulty {
    struct env env; /* first, so that one is the other */
    struct env *inner;
    struct fault_plan plan;
    atomic_uint_least64_t calls[FAULT_KINDS];
    atomic_bool has_struck;
    atomic_size_t open_files;
    atomic_bool clock_is_fake;
    atomic_int_least64_t now, step_ns;
};

struct file {
    struct file *inner;
    char path[];
};

static struct env_faulty *faulty_of(struct env *env)
{
    return (struct env_faulty *)env;
}

static struct env *inner_of(struct env *env)
{
    return faulty_of(env)->inner;
}

static bool strikes(struct env *env, enum fault_kind kind)
{
    struct env_faulty *faulty = faulty_of(env);
    uint64_t call = atomic_fetch_add(&faulty->calls[kind], 1) + 1;
    const struct fault_plan *plan = &faulty->plan;
    bool is_hit = plan->kind == kind && plan->nth > 0 &&
                  (call == plan->nth || (plan->is_sticky && call > plan->nth));
    if (is_hit) {
        atomic_store(&faulty->has_struck, true);
    }
    return is_hit;
}

static enum status fail_planned(struct env *env, const char *path, struct error *err)
{
    static const struct {
        enum status status;
        const char *cause;
    } defaults[FAULT_KINDS] = {
        [FAULT_STAT] = {ERR_IO, "Permission denied"},
        [FAULT_OPEN] = {ERR_LIMIT, "Too many open files"},
        [FAULT_READ] = {ERR_IO, "Input/output error"},
        [FAULT_WRITE] = {ERR_IO, "No space left on device"},
        [FAULT_SYNC] = {ERR_IO, "Input/output error"},
        [FAULT_CLOSE] = {ERR_IO, "Disk quota exceeded"},
        [FAULT_RENAME] = {ERR_IO, "Input/output error"},
        [FAULT_REMOVE] = {ERR_IO, "Read-only file system"},
        [FAULT_THREAD] = {ERR_LIMIT, "Resource temporarily unavailable"},
    };
    const struct fault_plan *plan = &faulty_of(env)->plan;
    return fail(err, defaults[plan->kind].status, "%s: planned fault: %s", path,
                plan->cause ? plan->cause : defaults[plan->kind].cause);
}

/* ---- files ---- */

static enum status file_stat(struct env *env, const char *path, struct file_info *info,
                             struct error *err)
{
    return strikes(env, FAULT_STAT) ? fail_planned(env, path, err)
                                    : inner_of(env)->file_stat(inner_of(env), path, info, err);
}

static enum status file_stat_open(struct env *env, struct file *file, struct file_info *info,
                                  struct error *err)
{
    return strikes(env, FAULT_STAT)
               ? fail_planned(env, file->path, err)
               : inner_of(env)->file_stat_open(inner_of(env), file->inner, info, err);
}

/* A file that will hold the inner one. */
static enum status make_file(const char *path, struct file **file, struct error *err)
{
    size_t size = strlen(path) + 1;
    struct file *made = malloc(sizeof *made + size);
    if (!made) {
        return fail(err, ERR_LIMIT, "%s: no memory", path);
    }
    memcpy(made->path, path, size);
    *file = made;
    return OK;
}

static enum status keep_file(struct env *env, enum status status, struct file *made,
                             struct file **file)
{
    if (status != OK) {
        free(made);
        return status;
    }
    atomic_fetch_add(&faulty_of(env)->open_files, 1);
    *file = made;
    return OK;
}

static enum status file_open(struct env *env, const char *path, struct file **file,
                             struct error *err)
{
    if (strikes(env, FAULT_OPEN)) {
        return fail_planned(env, path, err);
    }
    struct file *made = NULL;
    TRY(make_file(path, &made, err));
    enum status status = inner_of(env)->file_open(inner_of(env), path, &made->inner, err);
    return keep_file(env, status, made, file);
}

static enum status file_create(struct env *env, const char *path, bool exclusive,
                               struct file **file, struct error *err)
{
    if (strikes(env, FAULT_OPEN)) {
        return fail_planned(env, path, err);
    }
    struct file *made = NULL;
    TRY(make_file(path, &made, err));
    enum status status =
        inner_of(env)->file_create(inner_of(env), path, exclusive, &made->inner, err);
    return keep_file(env, status, made, file);
}

static enum status file_temporary(struct env *env, const char *folder, struct file **file,
                                  struct error *err)
{
    const char *path = folder ? folder : "temporary file";
    if (strikes(env, FAULT_OPEN)) {
        return fail_planned(env, path, err);
    }
    struct file *made = NULL;
    TRY(make_file(path, &made, err));
    enum status status = inner_of(env)->file_temporary(inner_of(env), folder, &made->inner, err);
    return keep_file(env, status, made, file);
}

static enum status file_read(struct env *env, struct file *file, void *bytes, size_t size,
                             size_t *got, struct error *err)
{
    if (strikes(env, FAULT_READ)) {
        return fail_planned(env, file->path, err);
    }
    size_t most = faulty_of(env)->plan.read_max_bytes;
    return inner_of(env)->file_read(inner_of(env), file->inner, bytes,
                                    most > 0 && most < size ? most : size, got, err);
}

static enum status file_read_at(struct env *env, struct file *file, void *bytes, size_t size,
                                uint64_t offset, size_t *got, struct error *err)
{
    return strikes(env, FAULT_READ) ? fail_planned(env, file->path, err)
                                    : inner_of(env)->file_read_at(inner_of(env), file->inner, bytes,
                                                                  size, offset, got, err);
}

static enum status file_write(struct env *env, struct file *file, const void *bytes, size_t size,
                              struct error *err)
{
    if (strikes(env, FAULT_WRITE)) {
        /* A full disk takes the first part. */
        (void)inner_of(env)->file_write(inner_of(env), file->inner, bytes, size / 2, NULL);
        return fail_planned(env, file->path, err);
    }
    return inner_of(env)->file_write(inner_of(env), file->inner, bytes, size, err);
}

static enum status file_write_at(struct env *env, struct file *file, const void *bytes, size_t size,
                                 uint64_t offset, struct error *err)
{
    return strikes(env, FAULT_WRITE)
               ? fail_planned(env, file->path, err)
               : inner_of(env)->file_write_at(inner_of(env), file->inner, bytes, size, offset, err);
}

static enum status file_sync(struct env *env, struct file *file, struct error *err)
{
    return strikes(env, FAULT_SYNC) ? fail_planned(env, file->path, err)
                                    : inner_of(env)->file_sync(inner_of(env), file->inner, err);
}

static enum status file_close(struct env *env, struct file *file, struct error *err)
{
    enum status status = inner_of(env)->file_close(inner_of(env), file->inner, err);
    if (strikes(env, FAULT_CLOSE)) {
        status = fail_planned(env, file->path, err);
    }
    atomic_fetch_sub(&faulty_of(env)->open_files, 1);
    free(file);
    return status;
}

static bool file_is_held(struct env *env, const char *path)
{
    return inner_of(env)->file_is_held(inner_of(env), path);
}

static bool folder_hold(struct env *env, const char *path, bool waits, struct folder_hold **hold)
{
    return inner_of(env)->folder_hold(inner_of(env), path, waits, hold);
}

static void folder_let_go(struct env *env, struct folder_hold *hold)
{
    inner_of(env)->folder_let_go(inner_of(env), hold);
}

static enum status file_rename(struct env *env, const char *from, const char *to, struct error *err)
{
    return strikes(env, FAULT_RENAME) ? fail_planned(env, to, err)
                                      : inner_of(env)->file_rename(inner_of(env), from, to, err);
}

static enum status file_remove(struct env *env, const char *path, struct error *err)
{
    return strikes(env, FAULT_REMOVE) ? fail_planned(env, path, err)
                                      : inner_of(env)->file_remove(inner_of(env), path, err);
}

static enum status folder_create(struct env *env, const char *path, struct error *err)
{
    return strikes(env, FAULT_STAT) ? fail_planned(env, path, err)
                                    : inner_of(env)->folder_create(inner_of(env), path, err);
}

static enum status folder_list(struct env *env, const char *path, struct arena *arena,
                               struct text **names, size_t *count, struct error *err)
{
    return strikes(env, FAULT_STAT)
               ? fail_planned(env, path, err)
               : inner_of(env)->folder_list(inner_of(env), path, arena, names, count, err);
}

/* ---- clocks, chance ---- */

static instant clock_now(struct env *env)
{
    struct env_faulty *faulty = faulty_of(env);
    return atomic_load(&faulty->clock_is_fake) ? atomic_fetch_add(&faulty->now, faulty->step_ns)
                                               : faulty->inner->clock_now(faulty->inner);
}

static int64_t clock_cpu_ns(struct env *env)
{
    struct env_faulty *faulty = faulty_of(env);
    return faulty->inner->clock_cpu_ns(faulty->inner);
}

static int64_t clock_mono_ns(struct env *env)
{
    struct env_faulty *faulty = faulty_of(env);
    return atomic_load(&faulty->clock_is_fake) ? atomic_fetch_add(&faulty->now, faulty->step_ns)
                                               : faulty->inner->clock_mono_ns(faulty->inner);
}

static void random_bytes(struct env *env, void *bytes, size_t size)
{
    inner_of(env)->random_bytes(inner_of(env), bytes, size);
}

/* ---- threads ---- */

static enum status threads_run(struct env *env, int count, void (*work)(void *argument, int index),
                               void *argument, struct error *err)
{
    return strikes(env, FAULT_THREAD)
               ? fail_planned(env, "threads", err)
               : inner_of(env)->threads_run(inner_of(env), count, work, argument, err);
}

static int processors(struct env *env)
{
    return inner_of(env)->processors(inner_of(env));
}

static struct lock *lock_new(struct env *env)
{
    return strikes(env, FAULT_ALLOCATE) ? NULL : inner_of(env)->lock_new(inner_of(env));
}

static void lock_free(struct env *env, struct lock *lock)
{
    inner_of(env)->lock_free(inner_of(env), lock);
}

static void lock_take(struct env *env, struct lock *lock)
{
    inner_of(env)->lock_take(inner_of(env), lock);
}

static void lock_give(struct env *env, struct lock *lock)
{
    inner_of(env)->lock_give(inner_of(env), lock);
}

static void lock_wait(struct env *env, struct lock *lock)
{
    inner_of(env)->lock_wait(inner_of(env), lock);
}

static void lock_wake_all(struct env *env, struct lock *lock)
{
    inner_of(env)->lock_wake_all(inner_of(env), lock);
}

/* ---- memory ---- */

static struct env *env_of_memory(struct memory *memory)
{
    return (struct env *)(void *)((char *)memory - offsetof(struct env, memory));
}

static void *pass_on(struct env *env, struct memory *inner, size_t size_bytes)
{
    return strikes(env, FAULT_ALLOCATE) ? NULL : inner->allocate(inner, size_bytes);
}

static void *allocate(struct memory *memory, size_t size_bytes)
{
    struct env *env = env_of_memory(memory);
    return pass_on(env, &inner_of(env)->memory, size_bytes);
}

static void release(struct memory *memory, void *block, size_t size_bytes)
{
    struct memory *inner = &inner_of(env_of_memory(memory))->memory;
    inner->release(inner, block, size_bytes);
}

static void *resize(struct memory *memory, void *block, size_t old_bytes, size_t new_bytes)
{
    struct env *env = env_of_memory(memory);
    struct memory *inner = &inner_of(env)->memory;
    bool fails = new_bytes > old_bytes && strikes(env, FAULT_ALLOCATE);
    return fails ? NULL : inner->resize(inner, block, old_bytes, new_bytes);
}

static struct env *env_of_tables(struct memory *tables)
{
    return (struct env *)(void *)((char *)tables - offsetof(struct env, tables));
}

static void *allocate_table(struct memory *tables, size_t size_bytes)
{
    struct env *env = env_of_tables(tables);
    return pass_on(env, &inner_of(env)->tables, size_bytes);
}

static void release_table(struct memory *tables, void *block, size_t size_bytes)
{
    struct memory *inner = &inner_of(env_of_tables(tables))->tables;
    inner->release(inner, block, size_bytes);
}

static size_t memory_used_bytes(struct env *env)
{
    return inner_of(env)->memory_used_bytes(inner_of(env));
}

/* ---- the environment ---- */

struct env *env_faulty_new(struct env *inner)
{
    struct env_faulty *faulty = calloc(1, sizeof *faulty);
    if (!faulty) {
        return NULL;
    }
    faulty->inner = inner;
    faulty->env = (struct env){
        .context = faulty,
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
        .memory_limit_bytes = inner->memory_limit_bytes,
        .memory_asked_bytes = inner->memory_asked_bytes,
        .memory_used_bytes = memory_used_bytes,
    };
    return &faulty->env;
}

void env_faulty_free(struct env *env)
{
    free(env);
}

void env_faulty_plan(struct env *env, const struct fault_plan *plan)
{
    struct env_faulty *faulty = faulty_of(env);
    faulty->plan = plan ? *plan : (struct fault_plan){.kind = FAULT_NONE};
    for (int i = 0; i < FAULT_KINDS; i++) {
        atomic_store(&faulty->calls[i], 0);
    }
    atomic_store(&faulty->has_struck, false);
}

bool env_faulty_has_struck(struct env *env)
{
    return atomic_load(&faulty_of(env)->has_struck);
}

uint64_t env_faulty_calls(struct env *env, enum fault_kind kind)
{
    return atomic_load(&faulty_of(env)->calls[kind]);
}

size_t env_faulty_open_files(struct env *env)
{
    return atomic_load(&faulty_of(env)->open_files);
}

void env_faulty_clock(struct env *env, instant now, int64_t step_ns)
{
    struct env_faulty *faulty = faulty_of(env);
    atomic_store(&faulty->now, now);
    atomic_store(&faulty->step_ns, step_ns);
    atomic_store(&faulty->clock_is_fake, true);
}
