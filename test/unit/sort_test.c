/* sort_test.c - sort_keys gives what a plain selection gives, of any order and count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sort.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* The same by taking the least again and again. */
static void select_least(struct sort_key *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = i + 1; k < count; k++) {
            if (keys[k].high < keys[i].high ||
                (keys[k].high == keys[i].high && keys[k].low < keys[i].low)) {
                struct sort_key least = keys[k];
                keys[k] = keys[i];
                keys[i] = least;
            }
        }
    }
}

static void check_sort(struct arena *arena, uint64_t *state, uint32_t count, uint64_t span)
{
    enum { COUNT_MAX = 200 };
    struct sort_key keys[COUNT_MAX], wanted[COUNT_MAX];
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = (struct sort_key){next_random(state) % span, next_random(state) % span << 32 | i};
        wanted[i] = keys[i];
    }
    select_least(wanted, count);
    struct arena_mark mark = arena_mark(arena);
    (void)sort_keys(arena, keys, count);
    struct arena_mark after = arena_mark(arena);
    assert_ptr_equal(mark.block, after.block);
    assert_int_equal(mark.used_bytes, after.used_bytes);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(keys[i].high, wanted[i].high);
        assert_int_equal(keys[i].low, wanted[i].low);
    }
    assert_false(sort_keys(arena, keys, count));
}

static void test_any_order(void **state)
{
    (void)state;
    const uint64_t seed = 20261101;
    print_message("seed %llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    (void)arena_alloc(&arena, 1);
    for (uint32_t count = 0; count < 200; count++) {
        check_sort(&arena, &random, count, 3);
        check_sort(&arena, &random, count, UINT64_C(1) << 31);
    }
    arena_release(&arena);
}

static void test_tells_change(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct sort_key keys[] = {{1, 1}, {1, 2}, {0, 3}};
    assert_false(sort_keys(&arena, keys, 0));
    assert_false(sort_keys(&arena, keys, 2));
    assert_true(sort_keys(&arena, keys, 3));
    assert_int_equal(keys[0].low, 3);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_order),
                                       cmocka_unit_test(test_tells_change)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
