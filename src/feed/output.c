/* output.c - see output.h.
 *
 * Commit: all files are flushed and synced under their temporary names; only then the renames
 * begin, which need no room on disk and nearly never fail.  A file to be replaced is set aside
 * first under a hidden name of its own, so that a rename that does fail can be undone; the
 * set-aside files are removed when all has worked.  While names are given the folder is held: of
 * two runs that end at once the files of one are there, and not some of each.  Files are closed
 * when they have their names: an open one is held, and so another run takes no file of the same run
 * for a left-over.  Last the folder itself is synced, and those above it as far up as this run has
 * made them.  A process that dies between two renames leaves some files new and hidden ones behind:
 * files are renamed in the order they were opened, so the one opened last says that all are there.
 * The next run into the folder removes the hidden ones.
 *
 * Bytes go through one buffer a file.  Where others write, a full one changes places with a spare
 * one: filling -> full (a writer takes it) -> spare.  A file has one full buffer at most, so its
 * bytes leave in order.
 */
#include "feed/output.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT_BYTES = 4096, NAME_MAX_BYTES = 200 };
static_assert(OUTPUT_BUFFER_LEAST_BYTES % HASH_BLOCK_BYTES == 0);
enum { FOLDER_MAX_BYTES = 4096 }; /* no system takes longer paths */

enum stage { STAGE_WRITTEN, STAGE_ASIDE, STAGE_RENAMED };

/* output->buffer_bytes, aligned for direct writes, in memory that is a little larger. */
struct block {
    char *at; /* NULL: there is none */
    char *memory;
};

struct output_file {
    struct output *output;
    struct output_file *next;
    struct file *file; /* NULL: closed */
    bool has_ended;
    bool is_named;
    bool has_aside;
    enum status status; /* of the first failure */
    uint64_t size_bytes;
    size_t held_bytes;    /* in the buffer */
    struct hash128 print; /* of whole blocks: of HASH_BLOCK_BYTES */
    size_t path_bytes;
    char *path, *temporary_path, *aside_path; /* one block, path_bytes each */
    struct block filling; /* what is appended goes here */
    /* Under the lock, where others write: */
    struct block spare, full; /* full: waits to be written, or is */
    bool is_taken;            /* full is in a writer's hands */
};

/* A file of an earlier run that goes, set aside until the others have their names. */
struct outdated {
    struct outdated *next;
    const char *path, *aside_path;
};

struct output {
    struct env *env;
    struct output_options options;
    size_t buffer_bytes;
    struct lock *lock;
    struct output_file *files; /* in the order they were opened */
    struct arena arena;        /* of the names */
    struct text *names;        /* that were in the folder before */
    size_t name_count;
    struct outdated *outdated;
    /* Under the lock: */
    uint64_t turn;
    bool has_failed;
    struct error failure;
    int appenders;         /* threads that append while others write; 0: who appends writes */
    bool is_lean;          /* so it is now, and no memory is taken */
    char tag[17];          /* tells the temporary names of this run from others' */
    bool is_kept;          /* the folder, by another process, for long */
    uint32_t made_folders; /* so many of the folder and those above it were not there */
    size_t folder_bytes;
    char folder[];
};

static void *take_memory(struct env *env, size_t size_bytes)
{
    return env->memory.allocate(&env->memory, size_bytes);
}

static void give_memory(struct env *env, void *memory, size_t size_bytes)
{
    if (memory) {
        env->memory.release(&env->memory, memory, size_bytes);
    }
}

static bool take_block(const struct output *output, struct block *block)
{
    block->memory = take_memory(output->env, output->buffer_bytes + ALIGNMENT_BYTES);
    uintptr_t misfit = (uintptr_t)block->memory % ALIGNMENT_BYTES;
    block->at = block->memory ? block->memory + (misfit ? ALIGNMENT_BYTES - misfit : 0) : NULL;
    return block->memory;
}

static void release_block(const struct output *output, struct block *block)
{
    give_memory(output->env, block->memory, output->buffer_bytes + ALIGNMENT_BYTES);
    *block = (struct block){NULL, NULL};
}

enum { TAG_DIGITS = 16 };

/* ".NAME.0123456789abcdef.new": as a run of ours names what it writes (output_file_open). */
static bool is_leftover(struct text name, struct text ending)
{
    size_t end = 1 + TAG_DIGITS + ending.size;
    if (name.size < 2 + end || name.at[0] != '.' || name.at[name.size - end] != '.' ||
        memcmp(name.at + name.size - ending.size, ending.at, ending.size) != 0) {
        return false;
    }
    size_t digits = 0;
    while (digits < TAG_DIGITS &&
           strchr("0123456789abcdef", name.at[name.size - end + 1 + digits])) {
        digits++;
    }
    return digits == TAG_DIGITS;
}

static struct text tag_of(struct text name, struct text ending)
{
    return (struct text){name.at + name.size - ending.size - TAG_DIGITS, TAG_DIGITS};
}

static bool path_of(const struct output *output, struct text name, char path[FOLDER_MAX_BYTES])
{
    int size = snprintf(path, FOLDER_MAX_BYTES, "%s/%.*s", output->folder, TEXT_ARG(name));
    return size > 0 && size < FOLDER_MAX_BYTES;
}

/* Whether the run that wrote under this tag is still there: it has one of its files open. */
static bool is_alive(const struct output *output, struct text tag, struct text ending)
{
    char path[FOLDER_MAX_BYTES];
    for (size_t i = 0; i < output->name_count; i++) {
        struct text name = output->names[i];
        if (is_leftover(name, ending) && text_equal(tag_of(name, ending), tag) &&
            path_of(output, name, path) && output->env->file_is_held(output->env, path)) {
            return true;
        }
    }
    return false;
}

/* What a run that was killed has left; not what one that still runs is writing.  That it cannot be
 * removed is no reason to bill nothing. */
static void remove_leftovers(const struct output *output, struct text ending)
{
    char path[FOLDER_MAX_BYTES];
    struct text tag = {"", 0};
    bool lives = false;
    for (size_t i = 0; i < output->name_count; i++) {
        struct text name = output->names[i];
        if (!is_leftover(name, ending)) {
            continue;
        }
        if (!text_equal(tag_of(name, ending), tag)) { /* mostly all are of one run */
            tag = tag_of(name, ending);
            lives = is_alive(output, tag, ending);
        }
        if (!lives && path_of(output, name, path)) {
            (void)output->env->file_remove(output->env, path, NULL);
        }
    }
}

/* NULL too when another process keeps it: that is waited for once. */
static struct folder_hold *hold_folder(struct output *output)
{
    struct env *env = output->env;
    struct folder_hold *hold = NULL;
    output->is_kept |= !output->is_kept && !env->folder_hold(env, output->folder, true, &hold);
    return hold;
}

/* Refuses a folder with files that are not to be replaced, and clears what killed runs have left.
 * What they had set aside may be all there is of earlier bills: that waits until there are new
 * ones. */
static enum status look_over(struct output *output, struct error *err)
{
    struct env *env = output->env;
    const char *folder = output->folder;
    jmp_buf recover;
    if (ARENA_RECOVER(&output->arena, recover)) {
        return fail_memory_at(err, "%s", folder);
    }
    TRY(env->folder_list(env, folder, &output->arena, &output->names, &output->name_count, err));
    bool is_welcome = output->options.replace || output->options.beside;
    for (size_t i = 0; i < output->name_count && !is_welcome; i++) {
        struct text name = output->names[i];
        if (name.at[0] != '.') {
            (void)fail(err, ERR_CONFLICT, "%s: the output folder is not empty: it has %.*s", folder,
                       name.size < 100 ? (int)name.size : 100, name.at);
            return fail_hint(err, "give another folder, or --force to replace its files");
        }
    }
    struct folder_hold *hold;
    if (env->folder_hold(env, folder, false, &hold)) { /* else a run gives its names: it lives */
        remove_leftovers(output, TEXT(".new"));
        env->folder_let_go(env, hold);
    }
    return OK;
}

/* Cuts off the last name, of a path that has no slash behind it: "a/b" is in "a", that in ".". */
static void cut_name(char *path)
{
    size_t size = strlen(path);
    while (size > 0 && path[size - 1] != '/') {
        size--;
    }
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    memcpy(path, size > 0 ? path : ".", size > 0 ? size : 1);
    path[size > 0 ? size : 1] = '\0';
}

static void copy_folder(const char *folder, char path[FOLDER_MAX_BYTES])
{
    size_t size = strlen(folder);
    size = size < FOLDER_MAX_BYTES ? size : FOLDER_MAX_BYTES - 1;
    while (size > 1 && folder[size - 1] == '/') {
        size--;
    }
    memcpy(path, folder, size);
    path[size] = '\0';
}

/* How many of the folder and those above it are to be made. */
static uint32_t count_missing(struct env *env, const char *folder)
{
    char path[FOLDER_MAX_BYTES];
    struct file_info info;
    uint32_t count = 0;
    for (copy_folder(folder, path);
         strcmp(path, ".") != 0 && env->file_stat(env, path, &info, NULL) == ERR_NOT_FOUND;
         cut_name(path)) {
        count++;
    }
    return count;
}

/* Those that this run has made go, where nothing is in them. */
static void remove_folders(struct env *env, const char *folder, uint32_t made_folders)
{
    char path[FOLDER_MAX_BYTES];
    struct file_info info;
    copy_folder(folder, path);
    for (uint32_t i = 0; i < made_folders; i++) {
        if (env->file_stat(env, path, &info, NULL) == OK &&
            (info.kind != FILE_FOLDER || env->file_remove(env, path, NULL) != OK)) {
            return;
        }
        cut_name(path);
    }
}

enum status output_open(struct env *env, const char *folder, const struct output_options *options,
                        struct output **output, struct error *err)
{
    assert(options->buffer_bytes % HASH_BLOCK_BYTES == 0);
    uint32_t missing = count_missing(env, folder);
    enum status status = env->folder_create(env, folder, err);
    if (status != OK) {
        remove_folders(env, folder, missing);
        return status;
    }
    size_t folder_bytes = strlen(folder) + 1;
    struct output *made = take_memory(env, sizeof *made + folder_bytes);
    if (!made) {
        remove_folders(env, folder, missing);
        return fail_memory_at(err, "%s", folder);
    }
    *made = (struct output){.env = env,
                            .options = *options,
                            .buffer_bytes = options->buffer_bytes > OUTPUT_BUFFER_LEAST_BYTES
                                                ? options->buffer_bytes
                                                : OUTPUT_BUFFER_LEAST_BYTES,
                            .lock = env->lock_new(env),
                            .made_folders = missing,
                            .folder_bytes = folder_bytes};
    memcpy(made->folder, folder, folder_bytes);
    uint64_t chance;
    env->random_bytes(env, &chance, sizeof chance);
    (void)snprintf(made->tag, sizeof made->tag, "%016llx", (unsigned long long)chance);
    arena_init(&made->arena, &env->memory, 0);
    status = made->lock ? look_over(made, err)
                        : fail(err, ERR_LIMIT, "%s: no memory for a lock", folder);
    if (status != OK) {
        output_abort(made);
        return status;
    }
    *output = made;
    return OK;
}

static enum status check_name(const struct output *output, const char *name, struct error *err)
{
    size_t size = strlen(name);
    bool is_plain = size > 0 && size <= NAME_MAX_BYTES && name[0] != '.';
    for (size_t i = 0; i < size; i++) {
        is_plain = is_plain && name[i] != '/' && (unsigned char)name[i] >= 0x20 && name[i] != 0x7f;
    }
    if (!is_plain) {
        (void)fail(err, ERR_INPUT, "%s: an output file cannot have this name", name);
        (void)fail_hint(err, "a name of at most %d bytes that does not begin with a dot and has no "
                             "control characters",
                        NAME_MAX_BYTES);
        return ERR_INPUT;
    }
    for (const struct output_file *file = output->files; file; file = file->next) {
        if (strcmp(file->path + output->folder_bytes, name) == 0) {
            return fail(err, ERR_CONFLICT, "%s: the output file is opened twice", file->path);
        }
    }
    return OK;
}

static void free_file(struct output_file *file)
{
    const struct output *output = file->output;
    struct env *env = output->env;
    give_memory(env, file->path, 3 * file->path_bytes);
    release_block(output, &file->filling);
    release_block(output, &file->spare);
    release_block(output, &file->full);
    give_memory(env, file, sizeof *file);
}

enum status output_file_open(struct output *output, const char *name, struct output_file **file,
                             struct error *err)
{
    TRY(check_name(output, name, err));
    struct env *env = output->env;
    struct output_file *made = take_memory(env, sizeof *made);
    if (!made) {
        return fail_memory_at(err, "%s/%s", output->folder, name);
    }
    *made = (struct output_file){.output = output,
                                 .path_bytes = output->folder_bytes + strlen(name) + 64};
    made->path = take_memory(env, 3 * made->path_bytes);
    if (!made->path || !take_block(output, &made->filling)) {
        free_file(made);
        return fail_memory_at(err, "%s/%s", output->folder, name);
    }
    made->temporary_path = made->path + made->path_bytes;
    made->aside_path = made->temporary_path + made->path_bytes;
    (void)snprintf(made->path, made->path_bytes, "%s/%s", output->folder, name);
    (void)snprintf(made->temporary_path, made->path_bytes, "%s/.%s.%s.new", output->folder, name,
                   output->tag);
    (void)snprintf(made->aside_path, made->path_bytes, "%s/.%s.%s.old", output->folder, name,
                   output->tag);
    /* that nobody takes it for a left-over before it is held itself */
    struct folder_hold *hold = hold_folder(output);
    enum status status = env->file_create(env, made->temporary_path, true, &made->file, err);
    env->folder_let_go(env, hold);
    if (status != OK) {
        free_file(made);
        return status;
    }
    struct output_file **link = &output->files;
    while (*link) {
        link = &(*link)->next;
    }
    *link = made;
    *file = made;
    return OK;
}

/* The message names the path that the user knows. */
static struct error fail_output(struct output_file *file, enum status status, const char *what,
                                const struct error *cause)
{
    struct error failure;
    (void)fail(&failure, status, "%s: cannot %s it: %s", file->path, what, cause->message);
    output_fail(file->output, &failure);
    return failure;
}

static enum status fail_file(struct output_file *file, enum status status, const char *what,
                             const struct error *cause, struct error *err)
{
    file->status = status;
    struct error failure = fail_output(file, status, what, cause);
    if (err) {
        *err = failure;
    }
    return status;
}

static enum status write_out(struct output_file *file, const void *bytes, size_t size,
                             struct error *err)
{
    struct error cause = {0};
    struct env *env = file->output->env;
    enum status status = size > 0 ? env->file_write(env, file->file, bytes, size, &cause) : OK;
    return status == OK ? OK : fail_file(file, status, "write", &cause, err);
}

static enum status flush(struct output_file *file, struct error *err)
{
    size_t held = file->held_bytes;
    file->print = output_file_print(file);
    file->held_bytes = 0;
    return write_out(file, file->filling.at, held, err);
}

static enum status return_failure(const struct output *output, struct error *err)
{
    if (err) {
        *err = output->failure;
    }
    return output->failure.status;
}

/* A whole buffer: it is left to those who write, once they have done with the one before, and
 * another one is filled. */
static enum status pass_on(struct output_file *file, struct error *err)
{
    struct output *output = file->output;
    struct env *env = output->env;
    file->held_bytes = 0;
    env->lock_take(env, output->lock);
    while (file->full.at && !output->has_failed) {
        env->lock_wait(env, output->lock);
    }
    enum status status = output->has_failed ? return_failure(output, err) : OK;
    bool is_passed_on = status == OK && output->appenders > 0 && !output->is_lean &&
                        (file->spare.at || take_block(output, &file->spare));
    if (is_passed_on) {
        file->full = file->filling;
        file->filling = file->spare;
        file->spare = (struct block){NULL, NULL};
        env->lock_wake_all(env, output->lock);
    }
    env->lock_give(env, output->lock);
    /* Where there is nobody to pass it on to, or no room, nobody else writes to the file now. */
    return status == OK && !is_passed_on
               ? write_out(file, file->filling.at, output->buffer_bytes, err)
               : status;
}

void output_share(struct output *output, int appenders)
{
    output->appenders = appenders;
}

void output_leave(struct output *output)
{
    struct env *env = output->env;
    env->lock_take(env, output->lock);
    assert(output->appenders > 0);
    output->appenders--;
    env->lock_wake_all(env, output->lock);
    env->lock_give(env, output->lock);
}

void output_be_lean(struct output *output, bool is_lean)
{
    struct env *env = output->env;
    env->lock_take(env, output->lock);
    output->is_lean = is_lean;
    for (struct output_file *file = output->files; file && is_lean; file = file->next) {
        while (file->full.at && !output->has_failed) {
            env->lock_wait(env, output->lock);
        }
        release_block(output, &file->spare);
    }
    env->lock_give(env, output->lock);
}

/* One that has a full buffer which nobody writes; NULL: none. */
static struct output_file *next_full(const struct output *output)
{
    struct output_file *file = output->files;
    while (file && (!file->full.at || file->is_taken)) {
        file = file->next;
    }
    return file;
}

void output_write_behind(struct output *output)
{
    struct env *env = output->env;
    env->lock_take(env, output->lock);
    for (;;) {
        struct output_file *file = next_full(output);
        if (output->has_failed || (!file && output->appenders == 0)) {
            break;
        }
        if (!file) {
            env->lock_wait(env, output->lock);
            continue;
        }
        file->is_taken = true;
        const char *bytes = file->full.at;
        env->lock_give(env, output->lock);
        struct error cause = {0};
        if (env->file_write(env, file->file, bytes, output->buffer_bytes, &cause) != OK) {
            (void)fail_output(file, cause.status, "write", &cause);
        }
        env->lock_take(env, output->lock);
        file->spare = file->full;
        file->full = (struct block){NULL, NULL};
        file->is_taken = false;
        env->lock_wake_all(env, output->lock);
    }
    env->lock_give(env, output->lock);
}

enum status output_append(struct output_file *file, const void *bytes, size_t size,
                          struct error *err)
{
    if (file->status != OK) {
        return fail(err, file->status, "%s: writing to it has failed before", file->path);
    }
    /* Always through the buffer, and always whole buffers: such writes need not pass the page cache
     * (env_posix.c). */
    const char *at = bytes;
    while (size > 0) {
        size_t room = HASH_BLOCK_BYTES - file->held_bytes % HASH_BLOCK_BYTES;
        size_t part = size < room ? size : room;
        memcpy(file->filling.at + file->held_bytes, at, part);
        file->held_bytes += part;
        file->size_bytes += part;
        at += part;
        size -= part;
        if (part == room) { /* hashed while it lies in the cache */
            const char *block = file->filling.at + file->held_bytes - HASH_BLOCK_BYTES;
            file->print = hash_block(file->print, block, HASH_BLOCK_BYTES);
        }
        if (file->held_bytes == file->output->buffer_bytes) {
            TRY(pass_on(file, err));
        }
    }
    return OK;
}

uint64_t output_file_size(const struct output_file *file)
{
    return file->size_bytes;
}

struct hash128 output_file_print(const struct output_file *file)
{
    const size_t rest = file->held_bytes % HASH_BLOCK_BYTES;
    return rest == 0
               ? file->print
               : hash_block(file->print, file->filling.at + file->held_bytes - rest, rest);
}

/* ---- turns ---- */

enum status output_turn_take(struct output *output, uint64_t turn, struct error *err)
{
    struct env *env = output->env;
    env->lock_take(env, output->lock);
    while (output->turn != turn && !output->has_failed) {
        assert(output->turn < turn && "a turn was taken twice");
        env->lock_wait(env, output->lock);
    }
    enum status status = output->has_failed ? return_failure(output, err) : OK;
    env->lock_give(env, output->lock);
    return status;
}

bool output_turn_is(struct output *output, uint64_t turn)
{
    struct env *env = output->env;
    env->lock_take(env, output->lock);
    bool is_now = output->turn == turn || output->has_failed;
    env->lock_give(env, output->lock);
    return is_now;
}

void output_turn_give(struct output *output)
{
    struct env *env = output->env;
    env->lock_take(env, output->lock);
    output->turn++;
    env->lock_wake_all(env, output->lock);
    env->lock_give(env, output->lock);
}

void output_fail(struct output *output, const struct error *cause)
{
    struct env *env = output->env;
    assert(cause->status != OK);
    env->lock_take(env, output->lock);
    if (!output->has_failed) {
        output->has_failed = true;
        output->failure = *cause;
    }
    env->lock_wake_all(env, output->lock);
    env->lock_give(env, output->lock);
}

/* ---- the end ---- */

static void free_output(struct output *output)
{
    struct env *env = output->env;
    while (output->files) {
        struct output_file *file = output->files;
        output->files = file->next;
        free_file(file);
    }
    arena_release(&output->arena);
    env->lock_free(env, output->lock);
    give_memory(env, output, sizeof *output + output->folder_bytes);
}

void output_abort(struct output *output)
{
    if (!output) {
        return;
    }
    struct env *env = output->env;
    for (struct output_file *file = output->files; file; file = file->next) {
        if (file->file) {
            (void)env->file_close(env, file->file, NULL); /* it is thrown away */
        }
        (void)env->file_remove(env, file->is_named ? file->path : file->temporary_path, NULL);
        if (file->has_aside) {
            (void)env->file_rename(env, file->aside_path, file->path, NULL);
        }
    }
    for (struct outdated *outdated = output->outdated; outdated; outdated = outdated->next) {
        (void)env->file_rename(env, outdated->aside_path, outdated->path, NULL);
    }
    remove_folders(env, output->folder, output->made_folders);
    free_output(output);
}

static enum status remove_earlier(struct output *output, struct output_file *file, bool *was_there,
                                  struct error *err)
{
    if (!file) {
        return OK;
    }
    TRY(remove_earlier(output, file->next, was_there, err));
    struct file_info info;
    struct error cause = {0};
    enum status status = output->env->file_stat(output->env, file->path, &info, &cause);
    if (status == ERR_NOT_FOUND || (status == OK && info.kind == FILE_FOLDER)) {
        return OK;
    }
    *was_there = true;
    status = output->env->file_remove(output->env, file->path, &cause);
    return status == OK ? OK
                        : fail(err, status, "%s: cannot remove it: %s", file->path, cause.message);
}

enum status output_clear(struct output *output, bool *was_there, struct error *err)
{
    *was_there = false;
    struct env *env = output->env;
    struct folder_hold *hold = hold_folder(output);
    enum status status =
        output->options.replace ? remove_earlier(output, output->files, was_there, err) : OK;
    output_abort(output);
    env->folder_let_go(env, hold);
    return status;
}

static enum status finish_file(struct output_file *file, struct error *err)
{
    struct env *env = file->output->env;
    struct error cause = {0};
    TRY(flush(file, err));
    enum status status = env->file_sync(env, file->file, &cause);
    return status == OK ? OK : fail_file(file, status, "sync", &cause, err);
}

static enum status close_file(struct output_file *file, struct error *err)
{
    struct env *env = file->output->env;
    struct error cause = {0};
    struct file *closing = file->file;
    file->file = NULL;
    enum status status = env->file_close(env, closing, &cause);
    return status == OK ? OK : fail_file(file, status, "close", &cause, err);
}

/* The file that has ended last stays open: it gets its name after those before it, and until then
 * tells others that they are no left-overs. */
enum status output_file_end(struct output_file *file, struct error *err)
{
    assert(file->output->appenders == 0 && !file->full.at);
    TRY(flush(file, err));
    release_block(file->output, &file->filling);
    release_block(file->output, &file->spare);
    file->has_ended = true;
    for (struct output_file *before = file->output->files; before != file; before = before->next) {
        if (before->has_ended && before->file) {
            TRY(finish_file(before, err));
            TRY(close_file(before, err));
        }
    }
    return OK;
}

static enum status name_file(struct output_file *file, struct error *err)
{
    struct env *env = file->output->env;
    struct file_info info;
    struct error cause = {0};
    enum status status = env->file_stat(env, file->path, &info, &cause);
    if (status == OK) {
        if (info.kind == FILE_FOLDER) {
            return fail(err, ERR_CONFLICT, "%s: a folder is where the output file goes",
                        file->path);
        }
        if (!file->output->options.replace) {
            return fail(err, ERR_CONFLICT, "%s: somebody else has made it meanwhile", file->path);
        }
        status = env->file_rename(env, file->path, file->aside_path, &cause);
        file->has_aside = status == OK;
    } else if (status == ERR_NOT_FOUND) {
        status = OK;
    }
    if (status == OK) {
        status = env->file_rename(env, file->temporary_path, file->path, &cause);
    }
    if (status != OK) {
        return fail_file(file, status, "name", &cause, err);
    }
    file->is_named = true;
    return OK;
}

static enum status sync_folder(struct env *env, struct file *folder, struct error *err)
{
    enum status status = env->file_sync(env, folder, err);
    enum status close_status = env->file_close(env, folder, status == OK ? err : NULL);
    return status != OK ? status : close_status;
}

/* The folder, which has the names of the files, and each that has the name of one this run made. */
static enum status sync_folders(struct output *output, struct error *err)
{
    struct env *env = output->env;
    char path[FOLDER_MAX_BYTES];
    struct file *folder;
    TRY(env->file_open(env, output->folder, &folder, err));
    TRY(sync_folder(env, folder, err));
    copy_folder(output->folder, path);
    for (uint32_t i = 0; i < output->made_folders; i++) {
        cut_name(path);
        /* One may have let us make a folder in it, and yet not let us open it. */
        if (env->file_open(env, path, &folder, NULL) == OK) {
            TRY(sync_folder(env, folder, err));
        }
    }
    return OK;
}

static enum status set_aside(struct output *output, struct text name, struct error *err)
{
    struct env *env = output->env;
    struct error cause = {0};
    struct outdated *outdated = arena_alloc(&output->arena, sizeof *outdated);
    *outdated = (struct outdated){
        .next = output->outdated,
        .path = text_format(&output->arena, "%s/%.*s", output->folder, TEXT_ARG(name)).at,
        .aside_path = text_format(&output->arena, "%s/.%.*s.%s.old", output->folder, TEXT_ARG(name),
                                  output->tag)
                          .at};
    enum status status = env->file_rename(env, outdated->path, outdated->aside_path, &cause);
    if (status != OK) {
        return fail(err, status, "%s: cannot remove it: %s", outdated->path, cause.message);
    }
    output->outdated = outdated;
    return OK;
}

/* Looked for now, since another run may have made some while this one was running. */
static enum status set_outdated_aside(struct output *output, struct error *err)
{
    struct text *names;
    size_t count;
    jmp_buf recover;
    if (ARENA_RECOVER(&output->arena, recover)) {
        return fail_memory_at(err, "%s", output->folder);
    }
    TRY(output->env->folder_list(output->env, output->folder, &output->arena, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (output->options.is_outdated(output->options.context, names[i])) {
            TRY(set_aside(output, names[i], err));
        }
    }
    return OK;
}

/* In a folder in which no other run gives names meanwhile. */
static enum status name_files(struct output *output, struct error *err)
{
    if (output->options.replace && output->options.is_outdated) {
        TRY(set_outdated_aside(output, err));
    }
    for (struct output_file *file = output->files; file; file = file->next) {
        TRY(name_file(file, err));
    }
    for (struct output_file *file = output->files; file; file = file->next) {
        if (file->file) {
            TRY(close_file(file, err));
        }
    }
    return sync_folders(output, err);
}

/* They are hidden, and the output is whole. */
static void remove_asides(const struct output *output)
{
    struct env *env = output->env;
    for (struct output_file *file = output->files; file; file = file->next) {
        if (file->has_aside) {
            (void)env->file_remove(env, file->aside_path, NULL);
        }
    }
    for (struct outdated *outdated = output->outdated; outdated; outdated = outdated->next) {
        (void)env->file_remove(env, outdated->aside_path, NULL);
    }
    remove_leftovers(output, TEXT(".old"));
}

static enum status finish_files(struct output *output, struct error *err)
{
    if (output->has_failed) {
        return return_failure(output, err);
    }
    for (struct output_file *file = output->files; file; file = file->next) {
        if (file->file) {
            TRY(finish_file(file, err));
        }
    }
    return OK;
}

enum status output_commit(struct output *output, struct error *err)
{
    struct env *env = output->env;
    enum status status = finish_files(output, err);
    if (status != OK) {
        output_abort(output);
        return status;
    }
    struct folder_hold *hold = hold_folder(output);
    status = name_files(output, err);
    if (status == OK) {
        remove_asides(output);
        free_output(output);
    } else {
        output_abort(output);
    }
    env->folder_let_go(env, hold);
    return status;
}
