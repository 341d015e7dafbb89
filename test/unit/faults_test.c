/* faults_test.c - a whole bill run, a correction, and an import, in which the n-th call of a kind
 * fails: a clean end each time, and output whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/env_faulty.h"
#include "engine/env_posix.h"
#include "engine/handle.h"
#include "engine/run.h"

#include <cmocka.h> /* last: it defines fail() */

static char base[256];

static const char *path_of(const char *name)
{
    static char paths[8][300];
    static int next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static void write_file(const char *name, const char *content)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_files(void **state)
{
    (void)state;
    const char *root = getenv("TMPDIR");
    (void)snprintf(base, sizeof base, "%s/faults_test.XXXXXX", root ? root : "/tmp");
    if (!mkdtemp(base)) {
        return 1;
    }
    write_file("catalog.yaml",
               "catalog: shop\ncurrency: USD\n"
               "csv: {columns: {n: {to: data.n, number: true}}, constants: {source: s, type: c}}\n"
               "meters: {c: {value: data.n}}\n"
               "tables: {factors: {keys: [sku], file: factors.csv}}\n"
               "prices:\n"
               "  - sku: c\n"
               "    steps: [{convert: {quantity: 'quantity * lookup(\"factors\", sku)'}},\n"
               "            {tier: [{up_to: 10, rate: 2}, {rate: 1}]}]\n");
    write_file("factors.csv", "sku,value\nc,1\n");
    write_file("accounts.csv", "id,organization\na,\nb,org\nc,org\n");
    write_file("usage.csv", "id,subject,time,n\n"
                            "1,a,2026-10-05T00:00:00Z,4\n"
                            "2,b,2026-10-06T00:00:00Z,6\n"
                            "2,b,2026-10-06T00:00:00Z,6\n"
                            "3,c,2026-10-07T00:00:00Z,9\n"
                            "4,c,2026-10-07T00:00:00Z,x\n"
                            "5,nobody,2026-10-07T00:00:00Z,1\n");
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", base);
    return system(command);
}

/* The lines of a file of the output; -1: there is none. */
static int count_lines(const char *name)
{
    FILE *file = fopen(path_of(name), "r");
    if (!file) {
        return -1;
    }
    int lines = 0;
    for (int c; (c = fgetc(file)) != EOF;) {
        lines += c == '\n';
    }
    (void)fclose(file);
    return lines;
}

static const char *temporary_folder; /* NULL: where temporary files go */

static enum status bill_events(struct env *env, int threads, const char *const *events,
                               size_t count, struct farthing_summary *summary, struct error *err)
{
    const char *catalog = path_of("catalog.yaml"), *accounts = path_of("accounts.csv");
    struct farthing_config config = {.threads = threads, .temporary_folder = temporary_folder};
    struct farthing_bill options = {.catalog = {&catalog, 1},
                                    .accounts = {&accounts, 1},
                                    .events = {events, count},
                                    .period = "2026-10",
                                    .out = path_of("out")};
    struct complaints complaints = {0};
    struct arena arena;
    arena_init(&arena, &env->memory, 0);
    enum status status =
        farthing_run_bill(env, &config, &options, &arena, summary, &complaints, err);
    arena_release(&arena);
    return status;
}

static enum status bill(struct env *env, int threads, struct farthing_summary *summary,
                        struct error *err)
{
    const char *events = path_of("usage.csv");
    return bill_events(env, threads, &events, 1, summary, err);
}

/* a: 4 x 2 = 8; org: 15 = 10 x 2 + 5 x 1 = 25, or less when a payer found no memory. */
static void sweep(enum fault_kind kind, bool is_sticky, int threads)
{
    struct env *inner = env_posix_new(0);
    struct env *env = env_faulty_new(inner);
    unsigned runs = 0, whole = 0, partial = 0;
    for (uint64_t nth = 1;; nth++) {
        char command[300];
        (void)snprintf(command, sizeof command, "rm -rf '%s'", path_of("out"));
        assert_int_equal(system(command), 0);
        struct fault_plan plan = {.kind = kind, .nth = nth, .is_sticky = is_sticky};
        env_faulty_plan(env, &plan);
        struct farthing_summary summary;
        struct error err = {0};
        enum status status = bill(env, threads, &summary, &err);
        bool has_struck = env_faulty_has_struck(env);
        env_faulty_plan(env, NULL);
        assert_int_equal(env_faulty_open_files(env), 0);
        if (env->memory_used_bytes(env) != 0) {
            fail_msg("call %llu: %zu bytes are left: %s", (unsigned long long)nth,
                     env->memory_used_bytes(env), err.message);
        }
        int bills = count_lines("out/bills.ndjson");
        if (status == OK) {
            assert_int_equal(bills, 2 - (int)summary.failed_count);
            assert_true(has_struck || summary.failed_count == 0);
            assert_int_equal(count_lines("out/run.json"), 1);
            whole += summary.failed_count == 0;
            partial += summary.failed_count > 0;
        } else {
            assert_true(has_struck);
            assert_true(status == ERR_LIMIT || status == ERR_IO ||
                        (temporary_folder && status == ERR_NOT_FOUND));
            assert_true(err.message[0] != '\0');
            assert_int_equal(bills, -1);
        }
        runs++;
        if (!has_struck) {
            break;
        }
    }
    print_message("kind %d%s, %d threads: %u runs, %u whole, %u in part\n", (int)kind,
                  is_sticky ? " from then on" : "", threads, runs, whole, partial);
    assert_true(whole > 0);
    env_faulty_free(env);
    env_posix_free(inner);
}

static void test_no_memory(void **state)
{
    (void)state;
    sweep(FAULT_ALLOCATE, true, 1);
    sweep(FAULT_ALLOCATE, false, 1);
    sweep(FAULT_ALLOCATE, true, 2);
    sweep(FAULT_ALLOCATE, false, 2);
}

/* A payer that finds no memory is tried again when what others hold is in files: which cannot be.
 */
static void test_no_memory_and_no_place_for_files(void **state)
{
    (void)state;
    char nowhere[300];
    (void)snprintf(nowhere, sizeof nowhere, "%s", path_of("nowhere"));
    temporary_folder = nowhere;
    sweep(FAULT_ALLOCATE, false, 1);
    sweep(FAULT_ALLOCATE, false, 2);
    temporary_folder = NULL;
}

static void test_files(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = {FAULT_OPEN, FAULT_READ,   FAULT_WRITE,
                                            FAULT_SYNC, FAULT_RENAME, FAULT_CLOSE};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        sweep(kinds[k], false, 1);
    }
}

/* More events than the memory has room for, and no room for them on the disk: the run ends soon,
 * not when all of them are read. */
static void test_no_room_for_temporary_files(void **state)
{
    (void)state;
    enum { EVENTS = 500 * 1000, MEMORY_BYTES = 24 * 1024 * 1024 };
    FILE *file = fopen(path_of("many.csv"), "w");
    assert_non_null(file);
    (void)fputs("id,subject,time,n\n", file);
    for (int i = 0; i < EVENTS; i++) {
        (void)fprintf(file, "%d,a,2026-10-05T00:00:00Z,1\n", i);
    }
    const uint64_t blocks = (uint64_t)ftell(file) / (256 * 1024);
    assert_int_equal(fclose(file), 0);
    char events[300], command[300];
    (void)snprintf(events, sizeof events, "%s", path_of("many.csv"));
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path_of("out"));
    assert_int_equal(system(command), 0);
    const char *paths[] = {events};
    struct env *inner = env_posix_new(MEMORY_BYTES);
    struct env *env = env_faulty_new(inner);
    const struct fault_plan plan = {.kind = FAULT_WRITE, .nth = 1, .is_sticky = true};
    env_faulty_plan(env, &plan);
    struct farthing_summary summary;
    struct error err = {0};
    assert_int_equal(bill_events(env, 1, paths, 1, &summary, &err), ERR_IO);
    const uint64_t reads = env_faulty_calls(env, FAULT_READ);
    print_message("%llu reads of %llu blocks\n", (unsigned long long)reads,
                  (unsigned long long)blocks);
    assert_true(reads < blocks * 2 / 3);
    assert_int_equal(env_faulty_open_files(env), 0);
    assert_int_equal(env->memory_used_bytes(env), 0);
    env_faulty_free(env);
    env_posix_free(inner);
}

/* Two files that cannot be read: it is the first of them that is told, whoever was quicker. */
static void test_the_first_error_is_told(void **state)
{
    (void)state;
    write_file("bad1.csv", "a,b\n1,2\n");
    write_file("bad2.csv", "id,id\n1,2\n");
    char first[300], second[300];
    (void)snprintf(first, sizeof first, "%s", path_of("bad1.csv"));
    (void)snprintf(second, sizeof second, "%s", path_of("bad2.csv"));
    for (int turn = 0; turn < 60; turn++) {
        const char *events[] = {turn % 2 ? second : first, turn % 2 ? first : second};
        struct env *env = env_posix_new(0);
        struct farthing_summary summary;
        struct error err = {0};
        assert_int_equal(bill_events(env, 3, events, 2, &summary, &err), ERR_INPUT);
        assert_non_null(strstr(err.message, turn % 2 ? "bad2.csv" : "bad1.csv"));
        env_posix_free(env);
    }
}

/* Two periods that are closed, of which the first has changed: what is written of each is whole. */
static void sweep_correction(enum fault_kind kind, bool is_sticky)
{
    struct env *inner = env_posix_new(0);
    struct env *env = env_faulty_new(inner);
    char late[300], a[300], b[300], out[300], command[400];
    (void)snprintf(late, sizeof late, "%s", path_of("late.csv"));
    (void)snprintf(a, sizeof a, "%s", path_of("closed10"));
    (void)snprintf(b, sizeof b, "%s", path_of("closed11"));
    (void)snprintf(out, sizeof out, "%s", path_of("late"));
    const char *closed[] = {a, b}, *events = late;
    struct farthing_correct options = {.closed = {closed, 2}, .events = {&events, 1}, .out = out};
    unsigned runs = 0, whole = 0;
    for (uint64_t nth = 1;; nth++) {
        (void)snprintf(command, sizeof command, "rm -rf '%s'", out);
        assert_int_equal(system(command), 0);
        struct farthing farthing = {.config = {.threads = 1}, .env = env};
        arena_init(&farthing.arena, &env->memory, 0);
        struct farthing_corrections corrections;
        struct fault_plan plan = {.kind = kind, .nth = nth, .is_sticky = is_sticky};
        env_faulty_plan(env, &plan);
        enum farthing_status status = farthing_correct(&farthing, &options, &corrections);
        bool has_struck = env_faulty_has_struck(env);
        uint64_t failed = corrections.failed;
        env_faulty_plan(env, NULL);
        arena_release(&farthing.arena);
        assert_int_equal(env_faulty_open_files(env), 0);
        if (env->memory_used_bytes(env) != 0) {
            fail_msg("call %llu: %zu bytes are left: %s", (unsigned long long)nth,
                     env->memory_used_bytes(env), farthing.err.message);
        }
        int bills = count_lines("late/2026-10/bills.ndjson");
        int next = count_lines("late/2026-11/bills.ndjson");
        if (status == FARTHING_OK) {
            assert_int_equal(bills, 1);
            assert_int_equal(next, -1); /* nothing has changed */
            assert_int_equal(count_lines("late/2026-10/run.json"), 1);
            whole++;
        } else {
            assert_true(has_struck);
            if (status == FARTHING_PARTIAL) {
                assert_true(failed > 0);
            } else { /* a file of a folder that cannot be opened is told as not being there */
                assert_true(status == FARTHING_LIMIT || status == FARTHING_IO ||
                            status == FARTHING_INPUT || status == FARTHING_INTERNAL);
            }
            assert_true(farthing.err.message[0] != '\0');
            assert_true(bills == -1 || count_lines("late/2026-10/run.json") == 1);
            assert_true(next == -1 || count_lines("late/2026-11/run.json") == 1);
        }
        runs++;
        if (!has_struck) {
            break;
        }
    }
    print_message("correction, kind %d%s: %u runs, %u whole\n", (int)kind,
                  is_sticky ? " from then on" : "", runs, whole);
    assert_true(whole > 0);
    env_faulty_free(env);
    env_posix_free(inner);
}

static void close_period(const char *period, const char *out)
{
    struct env *env = env_posix_new(0);
    const char *catalog = path_of("catalog.yaml"), *accounts = path_of("accounts.csv");
    const char *events = path_of("usage.csv");
    struct farthing_config config = {.threads = 1};
    struct farthing_bill options = {.catalog = {&catalog, 1},
                                    .accounts = {&accounts, 1},
                                    .events = {&events, 1},
                                    .period = period,
                                    .out = out};
    struct complaints complaints = {0};
    struct farthing_summary summary;
    struct error err = {0};
    struct arena arena;
    arena_init(&arena, &env->memory, 0);
    assert_int_equal(farthing_run_bill(env, &config, &options, &arena, &summary, &complaints, &err),
                     OK);
    arena_release(&arena);
    env_posix_free(env);
}

static void test_correction(void **state)
{
    (void)state;
    write_file("late.csv", "id,subject,time,n\n6,a,2026-10-09T00:00:00Z,4\n");
    close_period("2026-10", path_of("closed10"));
    close_period("2026-11", path_of("closed11"));
    sweep_correction(FAULT_ALLOCATE, true);
    sweep_correction(FAULT_ALLOCATE, false);
    static const enum fault_kind kinds[] = {FAULT_OPEN, FAULT_READ,   FAULT_WRITE,
                                            FAULT_SYNC, FAULT_RENAME, FAULT_CLOSE};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        sweep_correction(kinds[k], false);
    }
}

/* Events whose texts fill two blocks, of which the second thread packs one while the first one
 * reads on, and a line that is refused behind each. */
enum { BLOCKS = 2, BLOCK_EVENTS = 18, TEXT_BYTES = 950 * 1000 };

static void write_large_events(void)
{
    static char text[TEXT_BYTES];
    memset(text, 'x', sizeof text - 1);
    FILE *file = fopen(path_of("large.ndjson"), "w");
    assert_non_null(file);
    for (int i = 0; i < BLOCKS * BLOCK_EVENTS; i++) {
        (void)fprintf(file,
                      "{\"specversion\":\"1.0\",\"source\":\"s\",\"id\":\"%d\",\"type\":\"t\","
                      "\"subject\":\"a\",\"time\":\"2026-10-05T00:00:00Z\",\"data\":{\"x\":\"%s\"}}\n",
                      i, text);
        (void)fputs(i % BLOCK_EVENTS == BLOCK_EVENTS - 1 ? "no event\n" : "", file);
    }
    assert_int_equal(fclose(file), 0);
}

static void sweep_import(enum fault_kind kind, bool is_sticky)
{
    struct env *inner = env_posix_new(0);
    struct env *env = env_faulty_new(inner);
    char large[300], out[300], command[400];
    (void)snprintf(large, sizeof large, "%s", path_of("large.ndjson"));
    (void)snprintf(out, sizeof out, "%s", path_of("segments"));
    (void)snprintf(command, sizeof command, "rm -rf '%s'", out);
    const char *events = large;
    const struct farthing_import options = {.events = {&events, 1}, .out = out};
    unsigned runs = 0, whole = 0;
    for (uint64_t nth = 1;; nth++) {
        assert_int_equal(system(command), 0);
        struct farthing farthing = {.config = {.threads = 2}, .env = env};
        arena_init(&farthing.arena, &env->memory, 0);
        struct farthing_converted converted;
        struct fault_plan plan = {.kind = kind, .nth = nth, .is_sticky = is_sticky};
        env_faulty_plan(env, &plan);
        enum farthing_status status = farthing_import(&farthing, &options, &converted);
        bool has_struck = env_faulty_has_struck(env);
        env_faulty_plan(env, NULL);
        arena_release(&farthing.arena);
        assert_int_equal(env_faulty_open_files(env), 0);
        assert_int_equal(env->memory_used_bytes(env), 0);
        if (status == FARTHING_OK) {
            assert_int_equal(converted.events, BLOCKS * BLOCK_EVENTS);
            assert_int_equal(converted.refused, BLOCKS);
            assert_int_equal(count_lines("segments/dead_letters.ndjson"), BLOCKS);
            assert_true(count_lines("segments/events-00001.segment") >= 0);
            whole++;
        } else {
            assert_true(has_struck);
            assert_true(status == FARTHING_LIMIT || status == FARTHING_IO);
            assert_true(farthing.err.message[0] != '\0');
            assert_int_equal(count_lines("segments/dead_letters.ndjson"), -1);
            assert_int_equal(count_lines("segments/events-00001.segment"), -1);
        }
        runs++;
        if (!has_struck) {
            break;
        }
    }
    print_message("import, kind %d%s: %u runs, %u whole\n", (int)kind,
                  is_sticky ? " from then on" : "", runs, whole);
    assert_true(whole > 0);
    env_faulty_free(env);
    env_posix_free(inner);
}

/* Whichever of its two threads the failure meets; one that cannot be started is not needed. */
static void test_import(void **state)
{
    (void)state;
    write_large_events();
    sweep_import(FAULT_ALLOCATE, true);
    sweep_import(FAULT_ALLOCATE, false);
    static const enum fault_kind kinds[] = {FAULT_OPEN,   FAULT_WRITE, FAULT_SYNC,
                                            FAULT_RENAME, FAULT_CLOSE, FAULT_THREAD};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        sweep_import(kinds[k], false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_memory),
                                       cmocka_unit_test(test_no_memory_and_no_place_for_files),
                                       cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_no_room_for_temporary_files),
                                       cmocka_unit_test(test_the_first_error_is_told),
                                       cmocka_unit_test(test_correction),
                                       cmocka_unit_test(test_import)};
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
