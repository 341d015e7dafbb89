/* sort_test.c - sort_keys gives what qsort gives, of any order and count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/sort.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static int compare_keys(const void *a_key, const void *b_key)
{
    const struct sort_key *a = a_key, *b = b_key;
    if (a->high != b->high) {
        return a->high < b->high ? -1 : 1;
    }
    return a->low < b->low ? -1 : a->low > b->low;
}

enum { COUNT_MAX = 20'000 };
static struct sort_key keys[COUNT_MAX], wanted[COUNT_MAX];

static void check_sort(struct arena *arena, uint32_t count)
{
    memcpy(wanted, keys, count * sizeof *keys);
    qsort(wanted, count, sizeof *wanted, compare_keys);
    bool is_moved = memcmp(wanted, keys, count * sizeof *keys) != 0;
    struct arena_mark mark = arena_mark(arena);
    bool tells_moved = sort_keys(arena, keys, count);
    struct arena_mark after = arena_mark(arena);
    assert_ptr_equal(mark.block, after.block);
    assert_int_equal(mark.used_bytes, after.used_bytes);
    assert_memory_equal(keys, wanted, count * sizeof *keys);
    assert_int_equal(tells_moved, is_moved);
    assert_false(sort_keys(arena, keys, count));
}

/* How keys may look: what is random of them, and what they end in. */
static void fill_keys(uint64_t *state, uint32_t count, unsigned kind)
{
    const uint64_t few = 1 + next_random(state) % 7;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t random = next_random(state), other = next_random(state);
        switch (kind) {
        case 0: /* one slot, some series, and their index: rows of usage */
            keys[i] = (struct sort_key){few << 40 | few, random % 512 << 32 | i};
            break;
        case 1: /* slots of an hour, accounts, series */
            keys[i] = (struct sort_key){random % 744 * 3600 << 32 | other % few,
                                        other / few % 900 << 32 | i};
            break;
        case 2: /* equal but for the index, which descends */
            keys[i] = (struct sort_key){few, count - i};
            break;
        case 3: /* any numbers */
            keys[i] = (struct sort_key){random << 33 ^ other, other << 35 ^ random};
            break;
        case 4: /* few numbers, many equal */
            keys[i] = (struct sort_key){random % few, other % few};
            break;
        case 5: /* two runs */
            keys[i] = (struct sort_key){i < count / few ? 2 * i : i, i};
            break;
        case 6: /* the highest and the lowest bits alone */
            keys[i] = (struct sort_key){random % 2 << 63 | other % 2, random / 2 % 2 << 63 | i};
            break;
        default: /* in order but for the last */
            keys[i] = (struct sort_key){i + 1 == count ? 0 : i, i};
            break;
        }
    }
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
    static const uint32_t large[] = {1000, 4095, 4096, 4097, 8191, 8192, 8193, 8195, COUNT_MAX};
    for (unsigned kind = 0; kind < 8; kind++) {
        for (uint32_t count = 0; count <= 300; count++) {
            fill_keys(&random, count, kind);
            check_sort(&arena, count);
        }
        for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
            fill_keys(&random, large[i], kind);
            check_sort(&arena, large[i]);
        }
    }
    arena_release(&arena);
}

static void test_tells_change(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct sort_key three[] = {{1, 1}, {1, 2}, {0, 3}};
    assert_false(sort_keys(&arena, three, 0));
    assert_false(sort_keys(&arena, three, 2));
    assert_true(sort_keys(&arena, three, 3));
    assert_int_equal(three[0].low, 3);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_order),
                                       cmocka_unit_test(test_tells_change)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
