/* arena_test.c - blocks of an arena: which are used again, and how large they are. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "draw.h"

/* Counts what it gives, and the largest block. */
struct counted {
    struct memory memory;
    size_t held_bytes, largest_bytes;
    int block_count, resize_count;
};

static void *allocate(struct memory *memory, size_t size_bytes)
{
    struct counted *counted = (struct counted *)(void *)memory;
    counted->held_bytes += size_bytes;
    counted->block_count++;
    if (size_bytes > counted->largest_bytes) {
        counted->largest_bytes = size_bytes;
    }
    return malloc(size_bytes);
}

static void release(struct memory *memory, void *block, size_t size_bytes)
{
    struct counted *counted = (struct counted *)(void *)memory;
    counted->held_bytes -= size_bytes;
    free(block);
}

static void *resize(struct memory *memory, void *block, size_t old_bytes, size_t new_bytes)
{
    struct counted *counted = (struct counted *)(void *)memory;
    counted->held_bytes += new_bytes - old_bytes;
    counted->resize_count++;
    return realloc(block, new_bytes);
}

static struct counted counted_new(void)
{
    return (struct counted){.memory = {.allocate = allocate, .release = release, .resize = resize}};
}

/* Three arrays of different sizes, again and again: after a while in the same blocks, whatever
 * their order. */
static void uses_blocks_again_in_any_order(void **)
{
    static const size_t orders[][3] = {{3, 1, 2}, {1, 2, 3}, {2, 3, 1}, {3, 2, 1}, {1, 3, 2}};
    enum { STEP = ARENA_LARGE_BYTES / 4 };
    struct counted counted = counted_new();
    struct arena arena;
    arena_init(&arena, &counted.memory, 0);
    arena.block_max_bytes = STEP / 4;
    (void)arena_alloc(&arena, 100);
    struct arena_mark mark = arena_mark(&arena);
    int blocks = 0;
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
            for (size_t k = 0; k < 3; k++) {
                size_t size = orders[i][k] * STEP;
                memset(arena_alloc(&arena, size), (int)k, size);
            }
            arena_rewind(&arena, mark);
        }
        blocks = round == 0 ? counted.block_count : blocks;
    }
    assert_in_range(blocks, 3, 8);
    assert_int_equal(counted.block_count, blocks);
    arena_trim(&arena);
    assert_true(counted.held_bytes <= 64 * 1024 + STEP);
    arena_release(&arena);
    assert_int_equal(counted.held_bytes, 0);
}

static void keeps_to_the_size_of_blocks(void **)
{
    struct counted counted = counted_new();
    struct arena arena;
    arena_init(&arena, &counted.memory, 0);
    arena.block_max_bytes = 256 * 1024;
    for (int i = 0; i < 10'000; i++) {
        memset(arena_alloc(&arena, 1000), i & 0xFF, 1000);
    }
    assert_true(counted.largest_bytes <= 256 * 1024);
    arena_release(&arena);
    /* It stays with the arena. */
    counted.largest_bytes = 0;
    for (int i = 0; i < 10'000; i++) {
        memset(arena_alloc(&arena, 1000), i & 0xFF, 1000);
    }
    assert_true(counted.largest_bytes <= 256 * 1024);
    assert_true(counted.held_bytes < 11'000'000);
    arena_release(&arena);
}

/* What stands before a mark stays, however blocks behind it are moved. */
static void rewinds_to_marks(void **)
{
    struct counted counted = counted_new();
    struct arena arena;
    arena_init(&arena, &counted.memory, 0);
    unsigned char *first = arena_alloc(&arena, 70'000);
    memset(first, 1, 70'000);
    struct arena_mark outer = arena_mark(&arena);
    for (size_t round = 1; round < 40; round++) {
        unsigned char *second = arena_alloc(&arena, round * 9'973 % 200'000);
        memset(second, 2, round * 9'973 % 200'000);
        struct arena_mark inner = arena_mark(&arena);
        for (size_t i = 1; i < 5; i++) {
            size_t size = round * i * 31'337 % 500'000;
            memset(arena_alloc(&arena, size), 3, size);
        }
        arena_rewind(&arena, inner);
        size_t size = round * 77'777 % 300'000;
        memset(arena_alloc(&arena, size), 4, size);
        for (size_t i = 0; i < round * 9'973 % 200'000; i++) {
            assert_int_equal(second[i], 2);
        }
        arena_rewind(&arena, outer);
    }
    for (size_t i = 0; i < 70'000; i++) {
        assert_int_equal(first[i], 1);
    }
    arena_release(&arena);
    assert_int_equal(counted.held_bytes, 0);
}

/* Allocations of all sizes in some order, the arrays among them growing: charged with the same in
 * any order, and with no less than the blocks of an empty arena come to. */
static void charges_the_same_in_any_order(void **)
{
    enum { COUNT = 1000, SEEDS = 24, BLOCK = 128 * 1024 };
    static size_t sizes[COUNT];
    for (state = 1; state <= SEEDS; state++) {
        uint64_t seed = state;
        size_t charged = 0;
        for (size_t i = 0; i < COUNT; i++) {
            sizes[i] = draw_below(2u << draw_below(12 + (uint32_t)seed % 8));
        }
        for (int order = 0; order < 4; order++) {
            struct counted counted = counted_new();
            struct arena arena;
            arena_init(&arena, &counted.memory, 0);
            arena.block_max_bytes = BLOCK;
            for (size_t i = 0; i < COUNT; i++) {
                size_t other = i + draw_below((uint32_t)(COUNT - i)), size = sizes[other];
                sizes[other] = sizes[i];
                sizes[i] = size;
                void *at =
                    size % 2 ? arena_alloc(&arena, size)
                             : arena_grow(&arena, arena_alloc(&arena, size / 4), size / 4, size, 1);
                memset(at, 1, size);
            }
            charged = order == 0 ? arena_charged_bytes(&arena) : charged;
            if (arena_charged_bytes(&arena) != charged || counted.held_bytes > charged + BLOCK) {
                fail_msg("seed %llu: charged %zu and %zu, %zu held", (unsigned long long)seed,
                         charged, arena_charged_bytes(&arena), counted.held_bytes);
            }
            arena_release(&arena);
        }
        state = seed;
    }
}

/* Large arrays among others: they grow where they are, however many come in between, and their
 * memory goes as they are rewound, fitted or dropped; in a memory that can resize, and without. */
static void grows_large_ones_alone(void **)
{
    enum { LARGE = ARENA_LARGE_BYTES, COUNT = 3 * LARGE, LITTLE = 64 * 1024 + 4096 };
    for (int can_resize = 0; can_resize < 2; can_resize++) {
        struct counted counted = counted_new();
        counted.memory.resize = can_resize ? resize : NULL;
        struct arena arena;
        arena_init(&arena, &counted.memory, 0);
        uint32_t capacity = LARGE, count = 0;
        unsigned char *array = arena_alloc(&arena, capacity);
        struct arena_mark mark = arena_mark(&arena);
        for (; count < COUNT; count++) {
            if (count % (LARGE / 2) == 0) {
                memset(arena_alloc(&arena, 1000), 0xFF, 1000);
                memset(arena_alloc(&arena, LARGE), 0xFF, LARGE);
            }
            array = arena_room(&arena, array, count, &capacity, 1);
            array[count] = (unsigned char)(count * 2654435761u >> 24);
        }
        assert_true(capacity <= COUNT + COUNT / 8);
        assert_int_equal(counted.resize_count > 0, can_resize);
        /* What came behind the mark goes; what has grown since stays, with its charge. */
        arena_rewind(&arena, mark);
        assert_true(counted.held_bytes <= capacity + LARGE / 16 + LITTLE);
        assert_true(arena_charged_bytes(&arena) >= capacity);
        array = arena_fit(&arena, array, capacity, COUNT, 1);
        for (uint32_t i = 0; i < COUNT; i++) {
            assert_int_equal(array[i], (unsigned char)(i * 2654435761u >> 24));
        }
        assert_true(counted.held_bytes <= COUNT + LARGE / 16 + LITTLE);
        /* One that is dropped leaves the ones beside it. */
        unsigned char *second = arena_alloc(&arena, LARGE);
        memset(second, 2, LARGE);
        mark = arena_mark(&arena);
        (void)arena_alloc(&arena, LARGE);
        arena_drop(&arena, array);
        arena_drop(&arena, NULL);
        arena_rewind(&arena, mark);
        assert_int_equal(second[LARGE - 1], 2);
        assert_true(counted.held_bytes <= LARGE + LARGE / 16 + LITTLE);
        assert_true(arena_charged_bytes(&arena) <= counted.held_bytes);
        arena_release(&arena);
        assert_int_equal(counted.held_bytes, 0);
    }
}

/* Beyond what may be charged memory has run out, and a rewind gives charges back. */
static void runs_out_of_what_may_be_charged(void **)
{
    static struct arena arena; /* static: read after a longjmp */
    jmp_buf recover;
    arena_init(&arena, NULL, 0);
    struct arena_mark mark = arena_mark(&arena);
    arena.charge_max_bytes = 10'000 + 10'000 / CHARGE_SLACK_SHARE;
    if (ARENA_RECOVER(&arena, recover)) {
        assert_true(arena_is_overcharged(&arena));
        arena_rewind(&arena, mark);
        assert_false(arena_is_overcharged(&arena));
        assert_int_equal(arena.charged_bytes, 0);
        arena_release(&arena);
        return;
    }
    for (int i = 0; i < 10; i++) {
        (void)arena_alloc(&arena, 992);
    }
    arena_charge(&arena, 80);
    assert_int_equal(arena.charged_bytes, 10'000);
    (void)arena_alloc(&arena, 1);
    fail_msg("more was given than may be charged");
}

/* An array of ARENA_ITEMS_MAX items has no room for one more, whatever memory there is. */
static void runs_out_of_items(void **)
{
    static struct arena arena; /* static: read after a longjmp */
    jmp_buf recover;
    unsigned char none[1];
    uint32_t capacity = ARENA_ITEMS_MAX;
    arena_init(&arena, NULL, 0);
    assert_ptr_equal(arena_room(&arena, none, ARENA_ITEMS_MAX - 1, &capacity, 1), none);
    assert_int_equal(capacity, ARENA_ITEMS_MAX);
    if (ARENA_RECOVER(&arena, recover)) {
        arena_release(&arena);
        return;
    }
    (void)arena_room(&arena, none, ARENA_ITEMS_MAX, &capacity, 1);
    fail_msg("there is room for more items than have numbers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uses_blocks_again_in_any_order),
        cmocka_unit_test(keeps_to_the_size_of_blocks),
        cmocka_unit_test(rewinds_to_marks),
        cmocka_unit_test(charges_the_same_in_any_order),
        cmocka_unit_test(grows_large_ones_alone),
        cmocka_unit_test(runs_out_of_what_may_be_charged),
        cmocka_unit_test(runs_out_of_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
