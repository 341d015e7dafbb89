/* load_test.c - files that a run reads before the first event are closed again, whatever happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/env_faulty.h"
#include "engine/env_posix.h"
#include "engine/load.h"
#include "engine/run.h"

#include <cmocka.h> /* last: it defines fail() */

enum { ACCOUNTS = 5000 };

static char base[256], accounts_path[300], catalog_path[300];

static int make_files(void **state)
{
    (void)state;
    const char *root = getenv("TMPDIR");
    (void)snprintf(base, sizeof base, "%s/load_test.XXXXXX", root ? root : "/tmp");
    if (!mkdtemp(base)) {
        return 1;
    }
    (void)snprintf(accounts_path, sizeof accounts_path, "%s/accounts.csv", base);
    (void)snprintf(catalog_path, sizeof catalog_path, "%s/catalog.yaml", base);
    FILE *file = fopen(accounts_path, "w");
    assert_non_null(file);
    (void)fputs("id,plan\n", file);
    for (int i = 0; i < ACCOUNTS; i++) {
        (void)fprintf(file, "an-account-whose-name-takes-some-memory-%d,\n", i);
    }
    assert_int_equal(fclose(file), 0);
    file = fopen(catalog_path, "w");
    assert_non_null(file);
    (void)fputs("catalog: test\ncurrency: USD\n", file);
    assert_int_equal(fclose(file), 0);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    (void)unlink(accounts_path);
    (void)unlink(catalog_path);
    return rmdir(base);
}

/* Memory runs out at the first, second, third ... allocation of an arena block: no file stays open,
 * and the owner of the arena is told at his recovery point. */
static void sweep(enum status (*load)(struct env *env, struct arena *arena))
{
    struct env *inner = env_posix_new(0);
    struct env *env = env_faulty_new(inner);
    int ran_out = 0;
    for (uint64_t nth = 1;; nth++) {
        struct fault_plan plan = {.kind = FAULT_ALLOCATE, .nth = nth, .is_sticky = true};
        env_faulty_plan(env, &plan);
        struct arena arena;
        arena_init(&arena, &env->memory, 0);
        jmp_buf recover;
        volatile bool is_out = false;
        if (ARENA_RECOVER(&arena, recover)) {
            is_out = true;
        } else {
            assert_int_equal(load(env, &arena), OK);
            assert_ptr_equal(arena.recover, &recover);
        }
        assert_int_equal(env_faulty_open_files(env), 0);
        ran_out += is_out;
        arena_release(&arena);
        if (!is_out) {
            break;
        }
    }
    assert_true(ran_out > 0);
    print_message("memory ran out at %d places\n", ran_out);
    env_faulty_free(env);
    env_posix_free(inner);
}

static enum status load_one(struct env *env, struct arena *arena)
{
    struct text bytes;
    struct error err;
    return load_bytes(env, arena, accounts_path, UINT64_C(1) << 40, &bytes, &err);
}

static enum status load_all(struct env *env, struct arena *arena)
{
    const char *catalog = catalog_path, *accounts = accounts_path;
    struct complaints complaints;
    struct loaded loaded = {0};
    struct error err;
    const struct load_inputs inputs = {.catalog = {&catalog, 1}, .accounts = {&accounts, 1}};
    TRY(load_catalog(env, arena, &inputs, &complaints, &loaded, &err));
    assert_int_equal(loaded.accounts->count, ACCOUNTS);
    return OK;
}

static void test_whole_file(void **state)
{
    (void)state;
    sweep(load_one);
}

static void test_catalog_and_accounts(void **state)
{
    (void)state;
    sweep(load_all);
}

static void test_limit(void **state)
{
    (void)state;
    struct env *inner = env_posix_new(0);
    struct env *env = env_faulty_new(inner);
    struct arena arena;
    jmp_buf recover;
    arena_init(&arena, NULL, 0);
    if (ARENA_RECOVER(&arena, recover)) {
        fail_msg("no memory");
    }
    struct text bytes;
    struct error err;
    assert_int_equal(load_bytes(env, &arena, catalog_path, 27, &bytes, &err), ERR_LIMIT);
    assert_int_equal(load_bytes(env, &arena, catalog_path, 28, &bytes, &err), OK);
    assert_int_equal((int)bytes.size, 28);
    assert_int_equal(load_bytes(env, &arena, base, 28, &bytes, NULL), ERR_INPUT);
    assert_int_equal(env_faulty_open_files(env), 0);
    arena_release(&arena);
    env_faulty_free(env);
    env_posix_free(inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole_file),
                                       cmocka_unit_test(test_catalog_and_accounts),
                                       cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
