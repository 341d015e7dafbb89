/* output_test.c - whole or not at all, whatever fails and whoever writes; turns keep the order. */
#include <setjmp.h>
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
#include <unistd.h>

#include "engine/env_faulty.h"
#include "engine/env_posix.h"
#include "feed/output.h"

#include <cmocka.h> /* last: it defines fail() */

static char base[256];

static int make_base(void **state)
{
    (void)state;
    const char *root = getenv("TMPDIR");
    (void)snprintf(base, sizeof base, "%s/output_test.XXXXXX", root ? root : "/tmp");
    return mkdtemp(base) ? 0 : 1;
}

static void remove_all(const char *path)
{
    char command[600];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static int remove_base(void **state)
{
    (void)state;
    remove_all(base);
    return 0;
}

/* What the folder has, hidden files too: "name=content name=content", content cut at 20 bytes. */
static const char *look(struct env *env, const char *folder)
{
    static char all[2048];
    all[0] = '\0';
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct text *names;
    size_t count = 0;
    struct error err;
    if (env->folder_list(env, folder, &arena, &names, &count, &err) != OK) {
        return "no folder";
    }
    for (size_t i = 0; i < count; i++) {
        char path[512];
        char content[21] = "";
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i].at);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        content[fread(content, 1, 20, file)] = '\0';
        (void)fclose(file);
        size_t size = strlen(all);
        (void)snprintf(all + size, sizeof all - size, "%s%s=%s", i > 0 ? " " : "", names[i].at,
                       content);
    }
    arena_release(&arena);
    return all;
}

static void write_file(const char *folder, const char *name, const char *content)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    (void)fputs(content, file);
    (void)fclose(file);
}

/* Two files, the first larger than a buffer when is_large; committed, or aborted at the first
 * error. */
static enum status write_two(struct env *env, const char *folder, bool replace, bool is_large,
                             struct error *err)
{
    static char large[3 * 1024 * 1024];
    memset(large, 'x', sizeof large);
    struct output *output;
    struct output_file *a, *b;
    struct output_options options = {.replace = replace};
    TRY(output_open(env, folder, &options, &output, err));
    enum status status = output_file_open(output, "a", &a, err);
    status = status != OK ? status : output_file_open(output, "b", &b, err);
    status = status != OK ? status : output_append_text(a, TEXT("new "), err);
    status = status != OK ? status : output_append_text(b, TEXT("new"), err);
    for (size_t size = 0; is_large && size < sizeof large && status == OK;) {
        size_t part = size == 0 ? 2 * 1024 * 1024 : 700 * 1000;
        part = part < sizeof large - size ? part : sizeof large - size;
        status = output_append(a, large + size, part, err);
        size += part;
    }
    status = status != OK ? status : output_append_text(a, TEXT("end"), err);
    if (status != OK) {
        output_abort(output);
        return status;
    }
    assert_int_equal(output_file_size(a), (is_large ? sizeof large : 0) + 7);
    return output_commit(output, err);
}

static void test_commit_and_abort(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/deep/er", base);
    struct error err;
    assert_int_equal(write_two(env, folder, false, false, &err), OK);
    assert_string_equal(look(env, folder), "a=new end b=new");

    struct output *output;
    struct output_file *file;
    struct output_options options = {.replace = true};
    assert_int_equal(output_open(env, folder, &options, &output, &err), OK);
    assert_int_equal(output_file_open(output, "a", &file, &err), OK);
    assert_int_equal(output_append_text(file, TEXT("lost"), &err), OK);
    output_abort(output);
    assert_string_equal(look(env, folder), "a=new end b=new");
    output_abort(NULL);
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
}

static void test_files_of_an_earlier_run(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/earlier", base);
    struct error err;
    assert_int_equal(mkdir(folder, 0777), 0);
    write_file(folder, ".hidden", "kept");
    assert_int_equal(write_two(env, folder, false, false, &err), OK);
    write_file(folder, "b", "old");
    write_file(folder, "other", "kept");
    assert_int_equal(write_two(env, folder, false, false, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "not empty"));
    assert_non_null(strstr(err.hint, "--force"));
    assert_int_equal(write_two(env, folder, true, false, &err), OK);
    assert_string_equal(look(env, folder), ".hidden=kept a=new end b=new other=kept");
    /* A file where the folder should be. */
    char path[520];
    (void)snprintf(path, sizeof path, "%s/other", folder);
    assert_int_equal(write_two(env, path, true, false, &err), ERR_CONFLICT);
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
}

/* Without --force nothing is overwritten, not even what comes while the run works. */
/* Nothing of this run, nor of an earlier one; what others have written stays. */
static void test_clear(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/clear", base);
    struct error err;
    for (int files = 1; files <= 2; files++) {
        struct output *output;
        struct output_file *file;
        bool was_there = true;
        assert_int_equal(write_two(env, folder, true, false, &err), OK);
        write_file(folder, "other", "kept");
        struct output_options options = {.replace = true};
        assert_int_equal(output_open(env, folder, &options, &output, &err), OK);
        assert_int_equal(output_file_open(output, "a", &file, &err), OK);
        assert_int_equal(output_append_text(file, TEXT("lost"), &err), OK);
        if (files == 2) {
            assert_int_equal(output_file_open(output, "b", &file, &err), OK);
        }
        assert_int_equal(output_clear(output, &was_there, &err), OK);
        assert_true(was_there);
        assert_string_equal(look(env, folder), files == 2 ? "other=kept" : "b=new other=kept");
    }
    struct output *output;
    struct output_file *file;
    struct output_options options = {.replace = true};
    bool was_there = true;
    assert_int_equal(output_open(env, folder, &options, &output, &err), OK);
    assert_int_equal(output_file_open(output, "a", &file, &err), OK);
    assert_int_equal(output_clear(output, &was_there, &err), OK);
    assert_false(was_there);
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
}

static void test_somebody_else_writes(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/race", base);
    struct error err;
    struct output *output;
    struct output_file *file;
    struct output_options options = {.replace = false};
    assert_int_equal(output_open(env, folder, &options, &output, &err), OK);
    assert_int_equal(output_file_open(output, "a", &file, &err), OK);
    assert_int_equal(output_file_open(output, "b", &file, &err), OK);
    write_file(folder, "b", "theirs");
    assert_int_equal(output_commit(output, &err), ERR_CONFLICT);
    assert_string_equal(look(env, folder), "b=theirs");
    env_posix_free(env);
}

/* A killed run's hidden files go with the next run into the folder: those that are named as ours,
 * and not those of a run that still writes. */
static void test_leftovers(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/leftovers", base);
    struct error err;
    struct output *living;
    struct output_file *file;
    struct output_options options = {.replace = false};
    assert_int_equal(output_open(env, folder, &options, &living, &err), OK);
    assert_int_equal(output_file_open(living, "held", &file, &err), OK);
    static const char *const ours[] = {".a.0123456789abcdef.new", ".lines.csv.fedcba9876543210.new",
                                       ".zz.0000000000000000.new"};
    static const char *const theirs[] = {
        ".a.0123456789abcdeg.new",  ".a.0123456789ABCDEF.new", ".a.new",
        ".a.00123456789abcdef.new", "..0123456789abcdef.new",  ".b.0123456789abcdef.news"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        write_file(folder, ours[i], "left");
    }
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
        write_file(folder, theirs[i], "kept");
    }
    write_file(folder, ".a.0123456789abcdef.old", "aside");
    assert_int_equal(write_two(env, folder, true, false, &err), OK);
    const char *seen = look(env, folder);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        assert_null(strstr(seen, ours[i]));
    }
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
        assert_non_null(strstr(seen, theirs[i]));
    }
    assert_null(strstr(seen, "aside"));
    assert_non_null(strstr(seen, ".held."));
    assert_int_equal(output_commit(living, &err), OK);
    assert_null(strstr(look(env, folder), ".held."));
    assert_non_null(strstr(look(env, folder), "held="));
    env_posix_free(env);
}

/* What a run has made of eight files that have its mark: 0, or 1 when it could not. */
static int mark_all(const char *folder, bool replace, const char *mark)
{
    struct env *env = env_posix_new(0);
    struct error err;
    struct output *output;
    const struct output_options options = {.replace = replace};
    enum status status = output_open(env, folder, &options, &output, &err);
    if (status == OK) {
        for (char name[2] = "a"; name[0] <= 'h' && status == OK; name[0]++) {
            struct output_file *file;
            status = output_file_open(output, name, &file, &err);
            status = status != OK ? status : output_append_text(file, text_of(mark), &err);
        }
        if (status == OK) {
            status = output_commit(output, &err);
        } else {
            output_abort(output);
        }
    }
    env_posix_free(env);
    return status != OK;
}

/* Two runs that end at once: the files of one are there, and none of the other's. */
static void test_two_at_once(void **state)
{
    (void)state;
    static const char *const whole[] = {"a=0 b=0 c=0 d=0 e=0 f=0 g=0 h=0",
                                        "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1"};
    enum { ROUNDS = 100 };
    struct env *env = env_posix_new(0);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/both", base);
    for (int round = 0; round < ROUNDS; round++) {
        bool replace = round % 2 != 0;
        if (!replace) {
            remove_all(folder);
        }
        pid_t children[2];
        for (int i = 0; i < 2; i++) {
            children[i] = fork();
            assert_true(children[i] >= 0);
            if (children[i] == 0) {
                _exit(mark_all(folder, replace, i == 0 ? "0" : "1"));
            }
        }
        int ends[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(waitpid(children[i], &ends[i], 0), children[i]);
            assert_true(WIFEXITED(ends[i]));
        }
        const char *seen = look(env, folder);
        if (replace) {
            assert_int_equal(WEXITSTATUS(ends[0]) + WEXITSTATUS(ends[1]), 0);
            assert_true(strcmp(seen, whole[0]) == 0 || strcmp(seen, whole[1]) == 0);
        } else {
            assert_int_equal(WEXITSTATUS(ends[0]) + WEXITSTATUS(ends[1]), 1);
            assert_string_equal(seen, whole[WEXITSTATUS(ends[0]) == 0 ? 0 : 1]);
        }
    }
    env_posix_free(env);
}

static bool is_of_letters(const void *context, struct text name)
{
    return name.size == 1 && strchr(context, name.at[0]) != NULL;
}

/* What an earlier run has written besides goes with what is replaced, or comes back with it. */
static void test_outdated(void **state)
{
    (void)state;
    struct env *posix = env_posix_new(0), *env = env_faulty_new(posix);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/outdated", base);
    const struct output_options options = {
        .replace = true, .is_outdated = is_of_letters, .context = "xy"};
    for (uint64_t nth = 1; nth <= 5; nth++) { /* renames: x, y, a aside, a; the fifth is none */
        remove_all(folder);
        assert_int_equal(mkdir(folder, 0777), 0);
        write_file(folder, "a", "old");
        write_file(folder, "x", "old");
        write_file(folder, "y", "old");
        write_file(folder, "z", "old");
        struct output *output;
        struct output_file *file;
        struct error err;
        assert_int_equal(output_open(env, folder, &options, &output, &err), OK);
        assert_int_equal(output_file_open(output, "a", &file, &err), OK);
        const struct fault_plan plan = {.kind = FAULT_RENAME, .nth = nth};
        env_faulty_plan(env, &plan);
        enum status status = output_commit(output, &err);
        env_faulty_plan(env, NULL);
        assert_int_equal(status, nth < 5 ? ERR_IO : OK);
        assert_string_equal(look(env, folder), nth < 5 ? "a=old x=old y=old z=old" : "a= z=old");
    }
    env_faulty_free(env);
    env_posix_free(posix);
}

/* Another run looks the folder over each time that this one syncs, names or closes a file. */
static enum status (*real_sync)(struct env *, struct file *, struct error *);
static enum status (*real_rename)(struct env *, const char *, const char *, struct error *);
static char crowded[512];
static unsigned visits;

static void visit(void)
{
    static bool is_visiting;
    if (!is_visiting) {
        is_visiting = true;
        struct env *env = env_posix_new(0);
        struct output *output;
        struct error err;
        const struct output_options options = {.replace = true};
        assert_int_equal(output_open(env, crowded, &options, &output, &err), OK);
        output_abort(output);
        env_posix_free(env);
        is_visiting = false;
        visits++;
    }
}

static enum status sync_slowly(struct env *env, struct file *file, struct error *err)
{
    visit();
    return real_sync(env, file, err);
}

static enum status rename_slowly(struct env *env, const char *from, const char *to,
                                 struct error *err)
{
    visit();
    return real_rename(env, from, to, err);
}

/* What a run has written and not yet named is no left-over to another one. */
static void test_a_slow_commit(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    struct error err;
    (void)snprintf(crowded, sizeof crowded, "%s/crowded", base);
    real_sync = env->file_sync;
    real_rename = env->file_rename;
    env->file_sync = sync_slowly;
    env->file_rename = rename_slowly;
    visits = 0;
    assert_int_equal(write_two(env, crowded, true, false, &err), OK);
    assert_true(visits >= 4);
    assert_string_equal(look(env, crowded), "a=new end b=new");
    env_posix_free(env);
}

/* A folder that was not there is a name in the one above it, which is synced too, and so on. */
static void test_new_folders_are_synced(void **state)
{
    (void)state;
    struct env *posix = env_posix_new(0);
    struct env *env = env_faulty_new(posix);
    struct error err;
    char folder[512];
    uint64_t syncs[2];
    for (int turn = 0; turn < 2; turn++) {
        (void)snprintf(folder, sizeof folder, "%s/new/of//two%s", base, turn ? "" : "/");
        env_faulty_plan(env, &(struct fault_plan){.kind = FAULT_NONE});
        assert_int_equal(write_two(env, folder, true, false, &err), OK);
        syncs[turn] = env_faulty_calls(env, FAULT_SYNC);
    }
    assert_int_equal(syncs[0], 2 + 1 + 3);
    assert_int_equal(syncs[1], 2 + 1);
    (void)snprintf(folder, sizeof folder, "%s/unsynced/x", base);
    env_faulty_plan(env, &(struct fault_plan){.kind = FAULT_SYNC, .nth = 2 + 1 + 2});
    assert_int_equal(write_two(env, folder, true, false, &err), ERR_IO);
    assert_string_equal(look(posix, folder), "no folder");
    env_faulty_free(env);
    env_posix_free(posix);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ".",    "..",   "../x", "/etc/x",
                                      "a/b", "a/..", "x\ny", ".x",   "a\x7f"};
    struct env *env = env_posix_new(0);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/names", base);
    struct error err;
    struct output *output;
    struct output_file *file;
    struct output_options options = {.replace = false};
    assert_int_equal(output_open(env, folder, &options, &output, &err), OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(output_file_open(output, bad[i], &file, &err), ERR_INPUT);
        assert_non_null(strstr(err.message, ": an output file cannot have this name"));
        assert_null(strchr(err.message, '\n'));
        assert_non_null(strstr(err.hint, "at most 200 bytes"));
    }
    char longest[300];
    memset(longest, 'n', sizeof longest);
    longest[299] = '\0';
    assert_int_equal(output_file_open(output, longest, &file, &err), ERR_INPUT);
    longest[200] = '\0';
    assert_int_equal(output_file_open(output, longest, &file, &err), OK);
    assert_int_equal(output_file_open(output, "same", &file, &err), OK);
    assert_int_equal(output_file_open(output, "same", &file, &err), ERR_CONFLICT);
    output_abort(output);
    assert_string_equal(look(env, folder), "no folder");
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
}

/* The n-th call of each kind fails, once or from then on: the folder is as it was before the run,
 * or as it is after it, never between. */
static void test_fault_sweep(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = {FAULT_STAT,   FAULT_OPEN,     FAULT_WRITE, FAULT_SYNC,
                                            FAULT_RENAME, FAULT_ALLOCATE, FAULT_CLOSE};
    struct env *posix = env_posix_new(0);
    struct env *env = env_faulty_new(posix);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/sweep", base);
    unsigned runs = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int replace = 0; replace < 2; replace++) {
            bool has_struck = true;
            for (uint64_t n = 1; has_struck; n++, runs++) {
                remove_all(folder);
                assert_int_equal(mkdir(folder, 0777), 0);
                if (replace) {
                    write_file(folder, "a", "old");
                    write_file(folder, "b", "old");
                }
                /* One-shot only: with sticky renames an undone rename fails too. */
                struct fault_plan plan = {
                    .kind = kinds[k], .nth = n, .is_sticky = kinds[k] != FAULT_RENAME};
                env_faulty_plan(env, &plan);
                struct error err = {0};
                enum status status = write_two(env, folder, replace, true, &err);
                has_struck = env_faulty_has_struck(env);
                env_faulty_plan(env, NULL);
                if (status == OK) {
                    assert_false(has_struck);
                    assert_string_equal(look(env, folder), "a=new xxxxxxxxxxxxxxxx b=new");
                } else {
                    assert_true(has_struck);
                    assert_true(status == ERR_IO || status == ERR_LIMIT);
                    assert_non_null(strstr(err.message, folder));
                    assert_string_equal(look(env, folder), replace ? "a=old b=old" : "");
                }
                assert_int_equal(env_faulty_open_files(env), 0);
                assert_int_equal(env->memory_used_bytes(env), 0);
            }
        }
    }
    print_message("fault sweep: %u runs\n", runs);
    env_faulty_free(env);
    env_posix_free(posix);
}

static void test_causes_name_the_path(void **state)
{
    (void)state;
    static const char *const causes[] = {"No space left on device", "Input/output error",
                                         "Broken pipe"};
    struct env *posix = env_posix_new(0);
    struct env *env = env_faulty_new(posix);
    char folder[512];
    char path[520];
    (void)snprintf(folder, sizeof folder, "%s/causes", base);
    (void)snprintf(path, sizeof path, "%s/a: ", folder);
    for (size_t i = 0; i < 3; i++) {
        struct fault_plan plan = {.kind = FAULT_WRITE, .nth = 1, .cause = causes[i]};
        env_faulty_plan(env, &plan);
        struct error err;
        assert_int_equal(write_two(env, folder, false, true, &err), ERR_IO);
        assert_int_equal(strncmp(err.message, path, strlen(path)), 0);
        assert_non_null(strstr(err.message, causes[i]));
    }
    env_faulty_free(env);
    env_posix_free(posix);
}

/* A disk that is full for real, where there is one. */
static void test_a_full_disk(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    struct file *file;
    struct error err;
    if (env->file_create(env, "/dev/full", false, &file, &err) != OK) {
        print_message("no /dev/full here: skipped\n");
        env_posix_free(env);
        skip();
    }
    assert_int_equal(env->file_write(env, file, "x", 1, &err), ERR_IO);
    assert_string_equal(err.message, "/dev/full: cannot write to it: No space left on device");
    assert_int_equal(env->file_close(env, file, &err), OK);
    env_posix_free(env);
}

/* ---- turns ---- */

enum { PARTITIONS = 2000 };

struct relay {
    struct env *env;
    struct output *output;
    struct output_file *file;
    atomic_uint_least64_t next;
    uint64_t fails_at; /* partition whose thread gives up; PARTITIONS: none */
    atomic_int failures;
    atomic_int in_turn, wrong;
};

static void run_relay(void *argument, int index)
{
    (void)index;
    struct relay *relay = argument;
    for (;;) {
        uint64_t partition = relay->next++;
        if (partition >= PARTITIONS) {
            return;
        }
        char line[64];
        int size = snprintf(line, sizeof line, "%llu\n", (unsigned long long)partition);
        volatile uint64_t spin = partition * UINT64_C(0x9e3779b97f4a7c15) >> 50;
        while (spin > 0) { /* so that threads overtake each other */
            spin--;
        }
        struct error err = {.status = ERR_LIMIT, .message = "gave up"};
        if (partition == relay->fails_at) {
            output_fail(relay->output, &err);
            relay->failures++;
            return;
        }
        if (output_turn_take(relay->output, partition, &err) != OK) {
            relay->wrong += strcmp(err.message, "gave up") != 0;
            relay->failures++;
            return;
        }
        relay->wrong += relay->in_turn++ != 0;
        relay->wrong += output_append(relay->file, line, (size_t)size, &err) != OK;
        relay->in_turn--;
        output_turn_give(relay->output);
    }
}

static void test_turns(void **state)
{
    (void)state;
    struct env *env = env_posix_new(0);
    char expected[PARTITIONS * 6];
    size_t expected_size = 0;
    for (int i = 0; i < PARTITIONS; i++) {
        expected_size += (size_t)snprintf(expected + expected_size, 7, "%d\n", i);
    }
    for (int threads = 1; threads <= 7; threads++) {
        for (int round = 0; round < 3; round++) {
            char folder[512];
            (void)snprintf(folder, sizeof folder, "%s/turns.%d.%d", base, threads, round);
            struct relay relay = {.env = env,
                                  .fails_at = round == 0   ? PARTITIONS
                                              : round == 1 ? 0
                                                           : 700};
            struct output_options options = {.replace = false};
            struct error err;
            assert_int_equal(output_open(env, folder, &options, &relay.output, &err), OK);
            assert_int_equal(output_file_open(relay.output, "o", &relay.file, &err), OK);
            assert_int_equal(env->threads_run(env, threads, run_relay, &relay, &err), OK);
            assert_int_equal(relay.wrong, 0);
            enum status status = output_commit(relay.output, &err);
            if (round > 0) {
                assert_int_equal(relay.failures, threads);
                assert_int_equal(status, ERR_LIMIT);
                assert_string_equal(err.message, "gave up");
                assert_string_equal(look(env, folder), "no folder");
                continue;
            }
            assert_int_equal(status, OK);
            char path[520];
            static char found[sizeof expected + 1];
            (void)snprintf(path, sizeof path, "%s/o", folder);
            FILE *file = fopen(path, "rb");
            assert_non_null(file);
            assert_int_equal(fread(found, 1, sizeof found, file), expected_size);
            (void)fclose(file);
            assert_memory_equal(found, expected, expected_size);
        }
    }
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_posix_free(env);
}

/* ---- writing behind ---- */

/* What files are written by: the least, and more blocks of it. */
static const size_t BUFFERS[] = {0, OUTPUT_BUFFER_LEAST_BYTES + HASH_BLOCK_BYTES,
                                 2 * OUTPUT_BUFFER_LEAST_BYTES};

enum { BEHIND_FILES = 3, BEHIND_WRITERS = 2, BEHIND_BYTES = 5 * 1024 * 1024 + 77 };

struct behind {
    struct output *output;
    struct output_file *files[BEHIND_FILES];
    struct error failures[BEHIND_FILES];
};

static char behind_byte(int file, size_t at)
{
    return (char)(at * 31 + (at >> 12) + (size_t)file * 7);
}

static void run_behind(void *argument, int index)
{
    struct behind *behind = argument;
    if (index >= BEHIND_FILES) {
        output_write_behind(behind->output);
        return;
    }
    char part[70 * 1000];
    enum status status = OK;
    for (size_t at = 0; at < BEHIND_BYTES && status == OK;) {
        size_t size = sizeof part < BEHIND_BYTES - at ? sizeof part : BEHIND_BYTES - at;
        for (size_t i = 0; i < size; i++) {
            part[i] = behind_byte(index, at + i);
        }
        status = output_append(behind->files[index], part, size, &behind->failures[index]);
        at += size;
    }
    if (status != OK) {
        output_fail(behind->output, &behind->failures[index]);
    }
    output_leave(behind->output);
}

/* A file for each of three threads that append, and two that write. */
static enum status write_behind(struct env *env, const char *folder, size_t buffer_bytes,
                                struct error *err)
{
    struct behind behind = {0};
    struct output_options options = {.buffer_bytes = buffer_bytes, .replace = false};
    TRY(output_open(env, folder, &options, &behind.output, err));
    enum status status = OK;
    for (int i = 0; i < BEHIND_FILES && status == OK; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        status = output_file_open(behind.output, name, &behind.files[i], err);
    }
    if (status != OK) {
        output_abort(behind.output);
        return status;
    }
    output_share(behind.output, BEHIND_FILES);
    assert_int_equal(env->threads_run(env, BEHIND_FILES + BEHIND_WRITERS, run_behind, &behind, err),
                     OK);
    return output_commit(behind.output, err);
}

static void check_behind(const char *folder)
{
    static char found[BEHIND_BYTES + 1];
    for (int i = 0; i < BEHIND_FILES; i++) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%c", folder, 'a' + i);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        assert_int_equal(fread(found, 1, sizeof found, file), BEHIND_BYTES);
        (void)fclose(file);
        for (size_t at = 0; at < BEHIND_BYTES; at++) {
            assert_int_equal(found[at], behind_byte(i, at));
        }
    }
}

/* Each write and allocation fails once: a write that fails is what the commit fails with; who finds
 * no room for another buffer writes by himself. */
static void test_write_behind(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = {FAULT_WRITE, FAULT_ALLOCATE};
    struct env *posix = env_posix_new(0);
    struct env *env = env_faulty_new(posix);
    char folder[512];
    (void)snprintf(folder, sizeof folder, "%s/behind", base);
    struct error err;
    for (size_t i = 0; i < sizeof BUFFERS / sizeof *BUFFERS; i++) {
        remove_all(folder);
        assert_int_equal(write_behind(env, folder, BUFFERS[i], &err), OK);
        check_behind(folder);
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        bool has_struck = true;
        for (uint64_t n = 1; has_struck; n++) {
            remove_all(folder);
            struct fault_plan plan = {.kind = kinds[k], .nth = n};
            env_faulty_plan(env, &plan);
            err = (struct error){0};
            enum status status = write_behind(env, folder, 0, &err);
            has_struck = env_faulty_has_struck(env);
            env_faulty_plan(env, NULL);
            if (status == OK) {
                assert_true(!has_struck || kinds[k] == FAULT_ALLOCATE);
                check_behind(folder);
            } else {
                assert_true(has_struck);
                assert_non_null(strstr(err.message, folder));
                assert_string_equal(look(env, folder), "no folder");
            }
            assert_int_equal(env_faulty_open_files(env), 0);
            assert_int_equal(env->memory_used_bytes(env), 0);
        }
    }
    env_faulty_free(env);
    env_posix_free(posix);
}

/* What a reader takes of the file's bytes is what the writer took as they went by, at any size. */
static void test_print(void **state)
{
    (void)state;
    enum { MOST = 3 * 1024 * 1024 };
    char folder[300];
    (void)snprintf(folder, sizeof folder, "%s/print", base);
    struct env *env = env_posix_new(0);
    char *bytes = malloc(MOST);
    assert_non_null(bytes);
    for (size_t i = 0; i < MOST; i++) {
        bytes[i] = (char)(i * 2654435761u >> 13);
    }
    static const size_t sizes[] = {0,
                                   1,
                                   HASH_BLOCK_BYTES - 1,
                                   HASH_BLOCK_BYTES,
                                   HASH_BLOCK_BYTES + 1,
                                   2 * HASH_BLOCK_BYTES + 7,
                                   4 * HASH_BLOCK_BYTES,
                                   5 * HASH_BLOCK_BYTES + 3,
                                   7 * HASH_BLOCK_BYTES,
                                   MOST};
    enum {
        SIZES = sizeof sizes / sizeof *sizes,
        RUNS = SIZES * (sizeof BUFFERS / sizeof *BUFFERS)
    };
    for (size_t run = 0; run < RUNS; run++) {
        const size_t i = run % SIZES;
        struct output_options options = {.buffer_bytes = BUFFERS[run / SIZES], .replace = true};
        struct output *output;
        struct output_file *file;
        struct error err;
        assert_int_equal(output_open(env, folder, &options, &output, &err), OK);
        assert_int_equal(output_file_open(output, "file", &file, &err), OK);
        for (size_t at = 0; at < sizes[i]; at += 100'001) {
            size_t rest = sizes[i] - at;
            assert_int_equal(output_append(file, bytes + at, rest < 100'001 ? rest : 100'001, &err),
                             OK);
        }
        struct hash128 written = output_file_print(file), read = hash_blocks(bytes, sizes[i]);
        assert_memory_equal(&written, &read, sizeof read);
        assert_int_equal(output_commit(output, &err), OK);
    }
    free(bytes);
    env_posix_free(env);
}

/* Files that have ended take no buffers and no descriptors: of any number there is room for one at
 * a time.  That one says that those before it are no left-overs. */
static void test_files_that_end(void **state)
{
    (void)state;
    enum { FILES = 40, MEMORY_BYTES = 4 * 1024 * 1024, DESCRIPTORS = 16 };
    struct rlimit many;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &many), 0);
    const struct rlimit few = {DESCRIPTORS, many.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct env *env = env_posix_new(MEMORY_BYTES);
    char folder[300];
    struct error err;
    struct output *output;
    const struct output_options options = {0};
    (void)snprintf(folder, sizeof folder, "%s/ended", base);
    assert_int_equal(output_open(env, folder, &options, &output, &err), OK);
    struct hash128 print = {0};
    for (int i = 0; i < FILES; i++) {
        char name[16];
        struct output_file *file;
        (void)snprintf(name, sizeof name, "f%02d", i);
        assert_int_equal(output_file_open(output, name, &file, &err), OK);
        assert_int_equal(output_append_text(file, TEXT("content"), &err), OK);
        print = output_file_print(file);
        assert_int_equal(output_file_end(file, &err), OK);
        assert_int_equal(output_file_size(file), 7);
        assert_true(hash_equal(output_file_print(file), print));
    }
    (void)snprintf(crowded, sizeof crowded, "%s", folder);
    visit();
    assert_int_equal(output_commit(output, &err), OK);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
    char path[320], content[8] = "";
    (void)snprintf(path, sizeof path, "%s/f%02d", folder, FILES - 1);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(content, 1, sizeof content, file), 7);
    (void)fclose(file);
    assert_string_equal(content, "content");
    env_posix_free(env);
    remove_all(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit_and_abort),
        cmocka_unit_test(test_files_of_an_earlier_run),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_somebody_else_writes),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_outdated),
        cmocka_unit_test(test_a_slow_commit),
        cmocka_unit_test(test_new_folders_are_synced),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_fault_sweep),
        cmocka_unit_test(test_causes_name_the_path),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_write_behind),
        cmocka_unit_test(test_files_that_end),
        cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, make_base, remove_base);
}
