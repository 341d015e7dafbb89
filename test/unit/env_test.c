/* env_test.c - the real environment keeps its contract, and the faulty one its plan. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/env_faulty.h"
#include "engine/env_posix.h"

#include <cmocka.h> /* last: it defines fail() */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

static const size_t mib = 1024 * 1024;
static char base[256];

static const char *path_of(const char *name)
{
    static char paths[16][512];
    static int next;
    char *path = paths[next++ % 16];
    (void)snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static int make_base(void **state)
{
    (void)state;
    const char *root = getenv("TMPDIR");
    (void)snprintf(base, sizeof base, "%s/env_test.XXXXXX", root ? root : "/tmp");
    return mkdtemp(base) ? 0 : 1;
}

static int remove_base(void **state)
{
    (void)state;
    char command[600];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    return system(command);
}

/* ---- memory ---- */

static void test_memory_has_a_limit(void **state)
{
    (void)state;
    struct env *env = env_posix_new(20 * mib);
    struct memory *memory = &env->memory;
    assert_null(memory->allocate(memory, 21 * mib));
    assert_null(memory->allocate(memory, SIZE_MAX));
    assert_null(memory->allocate(memory, SIZE_MAX / 2));
    void *small = memory->allocate(memory, 100);
    void *large = memory->allocate(memory, 16 * mib);
    assert_non_null(small);
    assert_non_null(large);
    assert_int_equal(env->memory_used_bytes(env), 16 * mib + 100);
    assert_null(memory->allocate(memory, 4 * mib));
    memory->release(memory, large, 16 * mib);
    assert_int_equal(env->memory_used_bytes(env), 100);
    /* The block that is kept for later must make room for blocks of other sizes. */
    void *parts[4];
    for (int i = 0; i < 4; i++) {
        parts[i] = memory->allocate(memory, 4 * mib);
        assert_non_null(parts[i]);
    }
    assert_null(memory->allocate(memory, 4 * mib));
    for (int i = 0; i < 4; i++) {
        memset(parts[i], i, 4 * mib);
        memory->release(memory, parts[i], 4 * mib);
    }
    memory->release(memory, small, 100);
    memory->release(memory, NULL, 5);
    assert_int_equal(env->memory_used_bytes(env), 0);
    assert_in_range(env_posix_memory_peak_bytes(env), 16 * mib, 20 * mib);
    env_posix_free(env);
}

static void test_large_blocks_are_reused(void **state)
{
    (void)state;
    if (IS_SANITIZED) {
        skip();
    }
    struct env *env = env_posix_new(0);
    struct memory *memory = &env->memory;
    unsigned char *block = memory->allocate(memory, 8 * mib + 32);
    assert_non_null(block);
    memset(block, 7, 8 * mib + 32);
    memory->release(memory, block, 8 * mib + 32);
    unsigned char *again = memory->allocate(memory, 8 * mib + 64);
    assert_ptr_equal(again, block);
    assert_int_equal(again[5 * mib], 7); /* the very pages, not fresh ones */
    /* What is let go of a block is used for smaller ones, and what touches is one again. */
    memset(again, 7, 8 * mib);
    again = memory->resize(memory, again, 8 * mib + 64, 2 * mib);
    assert_ptr_equal(again, block);
    unsigned char *third = memory->allocate(memory, 3 * mib);
    assert_true(third > block && third < block + 8 * mib);
    assert_int_equal(third[2 * mib], 7);
    memory->release(memory, third, 3 * mib);
    memory->release(memory, again, 2 * mib);
    assert_int_equal(env->memory_used_bytes(env), 0);
    again = memory->allocate(memory, 8 * mib + 32);
    assert_ptr_equal(again, block);
    /* It grows with what it holds, maybe in another place. */
    again = memory->resize(memory, again, 8 * mib + 32, 40 * mib);
    assert_non_null(again);
    assert_int_equal(again[6 * mib], 7);
    again[40 * mib - 1] = 1;
    memory->release(memory, again, 40 * mib);
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
}

/* Random sizes, and other ones for the same block, from several threads: the count ends at nothing,
 * blocks do not overlap. */
struct stress {
    struct env *env;
    atomic_int wrong;
};

static void stress_memory(void *argument, int index)
{
    struct stress *stress = argument;
    struct memory *memory = &stress->env->memory;
    uint64_t state = (uint64_t)index + 1;
    struct {
        unsigned char *at;
        size_t size;
    } held[16] = {0};
    for (int i = 0; i < 3000; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t at = (size_t)(state >> 33) % 16;
        if (held[at].at) {
            size_t last = held[at].size - 1;
            stress->wrong += held[at].at[0] != (unsigned char)(index + 1) ||
                             held[at].at[last] != (unsigned char)(index + 1);
            size_t size = mib + (size_t)(state >> 40) % (3 * mib);
            if (held[at].size >= mib && (state >> 59) % 4 != 0) {
                unsigned char *resized = memory->resize(memory, held[at].at, held[at].size, size);
                if (resized) { /* else it is as it was */
                    held[at].at = resized;
                    held[at].size = size;
                    stress->wrong += resized[0] != (unsigned char)(index + 1);
                    resized[size - 1] = (unsigned char)(index + 1);
                }
                continue;
            }
            memory->release(memory, held[at].at, held[at].size);
            held[at].at = NULL;
            continue;
        }
        size_t size = 1 + (size_t)(state >> 40) % ((state >> 60) < 4 ? 3 * mib : 2000);
        held[at].at = memory->allocate(memory, size);
        held[at].size = size;
        if (held[at].at) {
            held[at].at[0] = held[at].at[size - 1] = (unsigned char)(index + 1);
        }
    }
    for (size_t i = 0; i < 16; i++) {
        memory->release(memory, held[i].at, held[i].size);
    }
}

static void test_memory_of_many_threads(void **state)
{
    (void)state;
    for (size_t limit = 0; limit <= 24 * mib; limit += 8 * mib) {
        struct stress stress = {.env = env_posix_new(limit)};
        struct error err;
        assert_int_equal(stress.env->threads_run(stress.env, 5, stress_memory, &stress, &err), OK);
        assert_int_equal(stress.wrong, 0);
        assert_int_equal(stress.env->memory_used_bytes(stress.env), 0);
        assert_true(limit == 0 || env_posix_memory_peak_bytes(stress.env) <= limit);
        env_posix_free(stress.env);
    }
}

static void test_arenas_meet_the_limit(void **state)
{
    (void)state;
    struct env *env = env_posix_new(4 * mib);
    static struct arena arena; /* static: read after a longjmp */
    static size_t taken;
    jmp_buf recover;
    arena_init(&arena, &env->memory, 0);
    if (!ARENA_RECOVER(&arena, recover)) {
        for (;;) {
            memset(arena_alloc(&arena, 10000), 1, 10000);
            taken += 10000;
        }
    }
    assert_in_range(taken, mib, 4 * mib);
    arena_release(&arena);
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
}

/* ---- files ---- */

static void test_files(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    struct error err;
    struct file *file;
    char buffer[32];
    size_t got;
    const char *path = path_of("file");
    assert_int_equal(env->file_create(env, path, true, &file, &err), OK);
    assert_int_equal(env->file_write(env, file, "hello world", 11, &err), OK);
    assert_int_equal(env->file_write_at(env, file, "W", 1, 6, &err), OK);
    assert_int_equal(env->file_sync(env, file, &err), OK);
    assert_int_equal(env->file_close(env, file, &err), OK);
    assert_int_equal(env->file_open(env, path, &file, &err), OK);
    assert_int_equal(env->file_read_at(env, file, buffer, sizeof buffer, 6, &got, &err), OK);
    assert_int_equal(got, 5);
    assert_memory_equal(buffer, "World", 5);
    assert_int_equal(env->file_read_at(env, file, buffer, sizeof buffer, 11, &got, &err), OK);
    assert_int_equal(got, 0);
    struct file_info info, by_path;
    assert_int_equal(env->file_stat_open(env, file, &info, &err), OK);
    assert_int_equal(info.kind, FILE_REGULAR);
    assert_int_equal(info.size_bytes, 11);
    assert_int_equal(env->file_close(env, file, &err), OK);
    assert_int_equal(env->file_stat(env, path, &by_path, &err), OK);
    assert_int_equal(info.inode, by_path.inode);
    assert_int_equal(info.device, by_path.device);
    assert_int_equal(info.modified_ns, by_path.modified_ns);

    assert_int_equal(env->file_create(env, path, true, &file, &err), ERR_CONFLICT);
    assert_int_equal(env->file_open(env, path_of("none"), &file, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/none: cannot open it: No such file or directory"));
    assert_int_equal(env->file_open(env, path_of("line\nbreak"), &file, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/line?break:"));
    assert_int_equal(env->file_open(env, path_of("file/below"), &file, &err), ERR_NOT_FOUND);
    assert_int_equal(env->file_open(env, path_of("none"), &file, NULL), ERR_NOT_FOUND);

    assert_int_equal(env->file_rename(env, path, path_of("moved"), &err), OK);
    assert_int_equal(env->file_stat(env, path, &info, &err), ERR_NOT_FOUND);
    assert_int_equal(env->file_create(env, path_of("moved"), false, &file, &err), OK);
    assert_int_equal(env->file_stat_open(env, file, &info, &err), OK);
    assert_int_equal(info.size_bytes, 0);
    assert_int_equal(env->file_close(env, file, &err), OK);
    assert_int_equal(env->file_remove(env, path_of("moved"), &err), OK);
    assert_int_equal(env->file_remove(env, path_of("moved"), &err), ERR_NOT_FOUND);
    assert_int_equal(env->file_rename(env, path_of("none"), path, &err), ERR_NOT_FOUND);

    assert_int_equal(env->file_stat(env, "/dev/null", &info, &err), OK);
    assert_int_equal(info.kind, FILE_DEVICE);
    assert_int_equal(mkfifo(path_of("fifo"), 0666), 0);
    assert_int_equal(env->file_stat(env, path_of("fifo"), &info, &err), OK);
    assert_int_equal(info.kind, FILE_PIPE);
    assert_int_equal(env->file_open(env, base, &file, &err), OK);
    assert_int_equal(env->file_sync(env, file, &err), OK);
    assert_int_equal(env->file_read(env, file, buffer, 1, &got, &err), ERR_IO);
    assert_int_equal(env->file_close(env, file, &err), OK);
    env_posix_free(env);
}

static void test_temporary_files(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    struct error err;
    struct file *file;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    const char *folder = path_of("temporary");
    assert_int_equal(env->folder_create(env, folder, &err), OK);
    assert_int_equal(env->file_temporary(env, folder, &file, &err), OK);
    assert_int_equal(env->file_write_at(env, file, "abc", 3, 0, &err), OK);
    struct text *names;
    size_t count = 1;
    assert_int_equal(env->folder_list(env, folder, &arena, &names, &count, &err), OK);
    assert_int_equal(count, 0);
    char buffer[4];
    size_t got;
    assert_int_equal(env->file_read_at(env, file, buffer, 4, 0, &got, &err), OK);
    assert_int_equal(got, 3);
    assert_int_equal(env->file_close(env, file, &err), OK);
    assert_int_equal(env->file_temporary(env, path_of("nowhere"), &file, &err), ERR_NOT_FOUND);
    assert_int_equal(env->file_temporary(env, NULL, &file, &err), OK);
    assert_int_equal(env->file_close(env, file, &err), OK);
    arena_release(&arena);
    env_posix_free(env);
}

static void test_temporary_folder(void **)
{
    const char *was = getenv("TMPDIR");
    char *kept = was ? strdup(was) : NULL;
    assert_int_equal(setenv("TMPDIR", "/of/user", 1), 0);
    assert_string_equal(env_posix_temporary_folder("/named"), "/named");
    assert_string_equal(env_posix_temporary_folder(NULL), "/of/user");
    assert_string_equal(env_posix_temporary_folder(""), "/of/user");
    assert_int_equal(setenv("TMPDIR", "", 1), 0);
    assert_string_equal(env_posix_temporary_folder(NULL), "/tmp");
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_string_equal(env_posix_temporary_folder(NULL), "/tmp");
    if (kept) {
        assert_int_equal(setenv("TMPDIR", kept, 1), 0);
        free(kept);
    }
}

static void test_folders(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    struct error err;
    struct file *file;
    static struct arena arena;
    arena_init(&arena, NULL, 0);
    const char *folder = path_of("one/two///three/");
    assert_int_equal(env->folder_create(env, folder, &err), OK);
    assert_int_equal(env->folder_create(env, folder, &err), OK);
    assert_int_equal(env->folder_create(env, "", &err), ERR_NOT_FOUND);
    static const char *const made[] = {"b", "a", "B", "\xc3\xa4", "a.b", "ab", ".a", "a-b"};
    static const char *const sorted[] = {".a", "B", "a", "a-b", "a.b", "ab", "b", "\xc3\xa4"};
    for (int i = 0; i < 8; i++) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s%s", folder, made[i]);
        assert_int_equal(env->file_create(env, path, true, &file, &err), OK);
        assert_int_equal(env->file_close(env, file, &err), OK);
    }
    struct text *names;
    size_t count;
    assert_int_equal(env->folder_list(env, folder, &arena, &names, &count, &err), OK);
    assert_int_equal(count, 8);
    for (int i = 0; i < 8; i++) {
        assert_string_equal(names[i].at, sorted[i]);
    }
    char path[600];
    (void)snprintf(path, sizeof path, "%sa", folder);
    assert_int_equal(env->folder_create(env, path, &err), ERR_CONFLICT);
    assert_int_equal(env->folder_list(env, path, &arena, &names, &count, &err), ERR_NOT_FOUND);
    arena_release(&arena);

    /* An arena that runs out ends in an error, with its own recovery point still in place. */
    struct env *tight = env_posix_new(100);
    jmp_buf recover;
    arena_init(&arena, &tight->memory, 0);
    if (ARENA_RECOVER(&arena, recover)) {
        fail_msg("jumped past the list");
    }
    assert_int_equal(env->folder_list(env, folder, &arena, &names, &count, &err), ERR_LIMIT);
    assert_ptr_equal(arena.recover, &recover);
    arena_release(&arena);
    env_posix_free(tight);
    env_posix_free(env);
}

static void test_a_broken_pipe_is_an_error(void **state)
{
    (void)state;
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    struct env *env = env_posix_new(0);
    struct error err;
    struct file *file;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char path[32];
    (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    assert_int_equal(env->file_create(env, path, false, &file, &err), OK);
    assert_int_equal(env->file_write(env, file, "x", 1, &err), OK);
    close(ends[0]);
    assert_int_equal(env->file_write(env, file, "x", 1, &err), ERR_IO);
    assert_non_null(strstr(err.message, "Broken pipe"));
    assert_int_equal(env->file_close(env, file, &err), OK);
    close(ends[1]);
    env_posix_free(env);
}

/* A process without standard input: a file that is opened must not become it. */
static void test_no_standard_input(void **state)
{
    (void)state;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct env *env = env_posix_new(0);
        struct file *file;
        struct file_info info;
        close(STDIN_FILENO);
        bool is_good = env->file_open(env, base, &file, NULL) == OK &&
                       env->file_stat(env, "-", &info, NULL) == ERR_IO &&
                       env->file_close(env, file, NULL) == OK;
        env_posix_free(env);
        _exit(is_good ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
}

/* ---- clocks, chance, threads ---- */

static void test_clocks_and_chance(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    time_t before = time(NULL); /* which may lag behind by a tick */
    instant now = env->clock_now(env);
    assert_in_range(now / NS_PER_SECOND, before, time(NULL) + 1);
    int64_t first = env->clock_mono_ns(env);
    assert_true(env->clock_mono_ns(env) >= first);
    uint64_t a[100] = {0};
    uint64_t b[100] = {0};
    env->random_bytes(env, a, sizeof a);
    env->random_bytes(env, b, sizeof b);
    for (int i = 0; i < 100; i++) {
        assert_true(a[i] != b[i]);
    }
    assert_true(env->processors(env) >= 1);
    struct env *faulty = env_faulty_new(env);
    assert_true(faulty->clock_now(faulty) >= INT64_C(1500000000) * NS_PER_SECOND);
    env_faulty_clock(faulty, 1000, 5);
    assert_int_equal(faulty->clock_now(faulty), 1000);
    assert_int_equal(faulty->clock_mono_ns(faulty), 1005);
    env_faulty_clock(faulty, 7, 0);
    assert_int_equal(faulty->clock_now(faulty), 7);
    assert_int_equal(faulty->clock_now(faulty), 7);
    env_faulty_free(faulty);
    env_posix_free(env);
}

struct meeting {
    struct env *env;
    struct lock *lock;
    int count, here;
    int calls[64];
};

/* Waits for all the others: each index has a thread of its own. */
static void meet(void *argument, int index)
{
    struct meeting *meeting = argument;
    struct env *env = meeting->env;
    env->lock_take(env, meeting->lock);
    meeting->calls[index]++;
    meeting->here++;
    env->lock_wake_all(env, meeting->lock);
    while (meeting->here < meeting->count) {
        env->lock_wait(env, meeting->lock);
    }
    env->lock_give(env, meeting->lock);
}

static void test_threads_run_at_once(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    for (int count = 0; count <= 33; count += 11) {
        struct meeting meeting = {.env = env, .lock = env->lock_new(env), .count = count};
        struct error err;
        assert_non_null(meeting.lock);
        assert_int_equal(env->threads_run(env, count, meet, &meeting, &err), OK);
        assert_int_equal(meeting.here, count);
        for (int i = 0; i < 64; i++) {
            assert_int_equal(meeting.calls[i], i < count);
        }
        env->lock_free(env, meeting.lock);
    }
    env->lock_free(env, NULL);
    env_posix_free(env);
}

static void count_call(void *argument, int index)
{
    (void)index;
    (*(atomic_int *)argument)++;
}

/* In a process that has too little room for so many stacks: none has run. */
static void test_threads_that_cannot_start(void **state)
{
    (void)state;
    if (IS_SANITIZED) {
        skip();
    }
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct env *env = env_posix_new(0);
        struct rlimit limit = {512 * mib, 512 * mib};
        atomic_int calls = 0;
        struct error err = {0};
        bool is_good = setrlimit(RLIMIT_AS, &limit) == 0 &&
                       env->threads_run(env, 1000, count_call, &calls, &err) == ERR_LIMIT &&
                       calls == 0 && strstr(err.message, "cannot start 1000 threads") &&
                       env->threads_run(env, 2, count_call, &calls, &err) == OK && calls == 2;
        env_posix_free(env);
        _exit(is_good ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
}

/* ---- faults ---- */

static void test_faults_strike_as_planned(void **state)
{
    (void)state;
    struct env *posix = env_posix_new(0);
    struct env *env = env_faulty_new(posix);
    struct memory *memory = &env->memory;
    struct error err;
    for (int sticky = 0; sticky < 2; sticky++) {
        struct fault_plan plan = {.kind = FAULT_ALLOCATE, .nth = 3, .is_sticky = sticky};
        env_faulty_plan(env, &plan);
        for (int i = 1; i <= 5; i++) {
            void *block = memory->allocate(memory, 10);
            assert_int_equal(block == NULL, i == 3 || (sticky && i > 3));
            assert_int_equal(env_faulty_has_struck(env), i >= 3);
            memory->release(memory, block, 10);
        }
        assert_int_equal(env_faulty_calls(env, FAULT_ALLOCATE), 5);
    }
    struct fault_plan write = {.kind = FAULT_WRITE, .nth = 2, .cause = "Broken pipe"};
    env_faulty_plan(env, &write);
    struct file *file;
    const char *path = path_of("faulty");
    assert_int_equal(env->file_create(env, path, false, &file, &err), OK);
    assert_int_equal(env_faulty_open_files(env), 1);
    assert_int_equal(env->file_write(env, file, "abcd", 4, &err), OK);
    assert_int_equal(env->file_write(env, file, "efgh", 4, &err), ERR_IO);
    assert_non_null(strstr(err.message, "faulty: planned fault: Broken pipe"));
    struct file_info info;
    assert_int_equal(env->file_stat_open(env, file, &info, &err), OK);
    assert_int_equal(info.size_bytes, 6); /* half of what failed, as on a full disk */
    assert_int_equal(env->file_close(env, file, &err), OK);
    struct fault_plan shorts = {.read_max_bytes = 2};
    env_faulty_plan(env, &shorts);
    char buffer[8];
    size_t got;
    assert_int_equal(env->file_open(env, path, &file, &err), OK);
    assert_int_equal(env->file_read(env, file, buffer, 8, &got, &err), OK);
    assert_int_equal(got, 2);
    struct fault_plan closes = {.kind = FAULT_CLOSE, .nth = 1};
    env_faulty_plan(env, &closes);
    assert_int_equal(env->file_close(env, file, &err), ERR_IO);
    assert_int_equal(env_faulty_open_files(env), 0);
    struct fault_plan threads = {.kind = FAULT_THREAD, .nth = 1};
    env_faulty_plan(env, &threads);
    atomic_int calls = 0;
    assert_int_equal(env->threads_run(env, 2, count_call, &calls, &err), ERR_LIMIT);
    assert_int_equal(calls, 0);
    env_faulty_free(env);
    env_posix_free(posix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_has_a_limit),
        cmocka_unit_test(test_large_blocks_are_reused),
        cmocka_unit_test(test_memory_of_many_threads),
        cmocka_unit_test(test_arenas_meet_the_limit),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_temporary_files),
        cmocka_unit_test(test_temporary_folder),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_a_broken_pipe_is_an_error),
        cmocka_unit_test(test_no_standard_input),
        cmocka_unit_test(test_clocks_and_chance),
        cmocka_unit_test(test_threads_run_at_once),
        cmocka_unit_test(test_threads_that_cannot_start),
        cmocka_unit_test(test_faults_strike_as_planned),
    };
    return cmocka_run_group_tests(tests, make_base, remove_base);
}
