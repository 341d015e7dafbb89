/* arena.c - see arena.h.  A list of blocks that doubles in size, and beside it one of large things;
 * a mark is a block, an offset, and the number of the latest large one. */
#include "base/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN_BYTES = 64 * 1024, BLOCK_MAX_BYTES = 64 * 1024 * 1024, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size_bytes; /* of data */
    _Alignas(ALIGNMENT) unsigned char data[];
};

/* A thing with a block of its own.  It keeps its place in the list as it grows. */
struct arena_large {
    struct arena_large *older;
    uint64_t number;   /* ascending; a mark has the latest */
    size_t size_bytes; /* with this head */
    _Alignas(ALIGNMENT) unsigned char data[];
};

/* What sizes of large ones are multiples of: a page of any machine. */
enum { LARGE_ROUNDING_BYTES = 64 * 1024 };

/* ---- what may not be read ------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>

static void forbid(const void *at, size_t size_bytes)
{
    ASAN_POISON_MEMORY_REGION(at, size_bytes);
}

static void permit(const void *at, size_t size_bytes)
{
    ASAN_UNPOISON_MEMORY_REGION(at, size_bytes);
}
#else
static void forbid(const void *, size_t)
{
}

static void permit(const void *, size_t)
{
}
#endif

/* ---- blocks ---------------------------------------------------------------------------------- */

void arena_init(struct arena *arena, struct memory *memory, size_t limit_bytes)
{
    *arena =
        (struct arena){.memory = memory, .limit_bytes = limit_bytes, .charge_max_bytes = SIZE_MAX};
}

static void give(struct arena *arena, void *block, size_t size_bytes)
{
    arena->held_bytes -= size_bytes;
    permit(block, size_bytes);
    if (arena->memory) {
        arena->memory->release(arena->memory, block, size_bytes);
    } else {
        free(block);
    }
}

static void release_blocks(struct arena *arena, struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        give(arena, block, sizeof *block + block->size_bytes);
        block = next;
    }
}

/* Takes it out of the list. */
static void release_large(struct arena *arena, struct arena_large **link)
{
    struct arena_large *large = *link;
    *link = large->older;
    arena->large_bytes -= large->size_bytes;
    give(arena, large, large->size_bytes);
}

void arena_release(struct arena *arena)
{
    release_blocks(arena, arena->first);
    while (arena->large) {
        release_large(arena, &arena->large);
    }
    *arena = (struct arena){.memory = arena->memory,
                            .limit_bytes = arena->limit_bytes,
                            .block_max_bytes = arena->block_max_bytes,
                            .charge_max_bytes = SIZE_MAX};
}

void arena_trim(struct arena *arena)
{
    struct arena_block **link = arena->current ? &arena->current->next : &arena->first;
    struct arena_block *spare = *link;
    *link = NULL;
    release_blocks(arena, spare);
}

_Noreturn void arena_run_out(struct arena *arena)
{
    assert(arena->recover && "memory ran out and no recovery point is set");
    longjmp(*arena->recover, 1);
}

static bool is_within_limit(const struct arena *arena, size_t more_bytes)
{
    return arena->limit_bytes == 0 || (more_bytes <= arena->limit_bytes &&
                                       arena->held_bytes <= arena->limit_bytes - more_bytes);
}

/* NULL when there is no memory. */
static void *take(struct arena *arena, size_t size_bytes)
{
    if (!is_within_limit(arena, size_bytes)) {
        return NULL;
    }
    void *block =
        arena->memory ? arena->memory->allocate(arena->memory, size_bytes) : malloc(size_bytes);
    arena->held_bytes += block ? size_bytes : 0;
    return block;
}

static struct arena_block *make_block(struct arena *arena, size_t size_bytes)
{
    size_t total = sizeof(struct arena_block) + size_bytes;
    struct arena_block *block = total < size_bytes ? NULL : take(arena, total);
    if (block) {
        block->size_bytes = size_bytes;
    }
    return block;
}

/* The first spare block with so much room, from *link on. */
static bool find_spare(struct arena_block ***link, size_t size_bytes)
{
    struct arena_block **at = *link;
    while (*at && (*at)->size_bytes < size_bytes) {
        at = &(*at)->next;
    }
    *link = at;
    return *at != NULL;
}

/* Makes a block with room for size bytes the current one: the first spare one that fits, else a new
 * one put before the spare ones. */
__attribute__((cold, noinline)) static void advance(struct arena *arena, size_t size_bytes)
{
    struct arena_block **place = arena->current ? &arena->current->next : &arena->first;
    struct arena_block *next = *place, **link = place;
    if (next && next->size_bytes < size_bytes && find_spare(&link, size_bytes)) {
        /* It comes before the others: marks are of blocks that are in use. */
        struct arena_block *found = *link;
        *link = found->next;
        found->next = next;
        *place = next = found;
    } else if (!next || next->size_bytes < size_bytes) {
        size_t want = arena->current ? arena->current->size_bytes * 2 : BLOCK_MIN_BYTES;
        size_t most = arena->block_max_bytes ? arena->block_max_bytes : BLOCK_MAX_BYTES;
        want = want > most ? most : want;
        want -= sizeof(struct arena_block); /* whole pages, with it */
        if (arena->limit_bytes && want > arena->limit_bytes / 8) {
            want = arena->limit_bytes / 8;
        }
        struct arena_block *block = make_block(arena, want > size_bytes ? want : size_bytes);
        if (!block && want > size_bytes) {
            block = make_block(arena, size_bytes);
        }
        if (!block) {
            arena_run_out(arena);
        }
        block->next = next;
        *place = next = block;
    }
    arena->current = next;
    arena->used_bytes = 0;
}

void arena_charge(struct arena *arena, size_t bytes)
{
    arena->charged_bytes += bytes;
    if (__builtin_expect(arena_is_overcharged(arena), 0)) {
        arena_run_out(arena);
    }
}

/* At the end of a block less is left than what does not fit there, and no more than a block.  One
 * of its own is rounded up by who makes it. */
static inline void charge_block(struct arena *arena, size_t need)
{
    enum { ROUNDING_SHARE = 8 };
    size_t charge = need;
    if (need >= CHARGE_WHOLE_BYTES) {
        size_t most = arena->block_max_bytes ? arena->block_max_bytes : BLOCK_MAX_BYTES;
        charge += need / ROUNDING_SHARE + (need < most ? need : most);
    }
    arena_charge(arena, charge);
}

/* ---- large ones ---- */

static size_t large_size(size_t size_bytes)
{
    size_t total = sizeof(struct arena_large) + size_bytes;
    return (total + LARGE_ROUNDING_BYTES - 1) & ~(size_t)(LARGE_ROUNDING_BYTES - 1);
}

/* What is too much is charged as what is small is: it goes back with a rewind. */
static void charge_large(struct arena *arena, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes > old_bytes) {
        arena_charge(arena, new_bytes - old_bytes);
        arena->charged_bytes -= new_bytes - old_bytes;
    }
    arena->large_bytes += new_bytes - old_bytes;
}

__attribute__((cold, noinline)) static void *alloc_large(struct arena *arena, size_t size_bytes)
{
    size_t total = large_size(size_bytes);
    charge_large(arena, 0, total);
    struct arena_large *large = take(arena, total);
    if (!large) {
        arena->large_bytes -= total;
        arena_run_out(arena);
    }
    *large = (struct arena_large){
        .older = arena->large, .number = ++arena->large_number, .size_bytes = total};
    arena->large = large;
    return large->data;
}

/* Where the list has an array; NULL when it is not large. */
static struct arena_large **find_large(struct arena *arena, const void *array)
{
    struct arena_large **link = &arena->large;
    while (*link && (const void *)(*link)->data != array) {
        link = &(*link)->older;
    }
    return *link ? link : NULL;
}

/* NULL when there is no memory. */
static void *resize(struct arena *arena, void *block, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes > old_bytes && !is_within_limit(arena, new_bytes - old_bytes)) {
        return NULL;
    }
    struct memory *memory = arena->memory;
    if (memory && !memory->resize) {
        void *copy = memory->allocate(memory, new_bytes);
        if (copy) {
            memcpy(copy, block, old_bytes < new_bytes ? old_bytes : new_bytes);
            memory->release(memory, block, old_bytes);
        }
        return copy;
    }
    return memory ? memory->resize(memory, block, old_bytes, new_bytes) : realloc(block, new_bytes);
}

static void *resize_large(struct arena *arena, struct arena_large **link, size_t size_bytes)
{
    size_t old = (*link)->size_bytes, total = large_size(size_bytes);
    if (total == old) {
        return (*link)->data;
    }
    charge_large(arena, old, total);
    struct arena_large *large = resize(arena, *link, old, total);
    if (!large) {
        arena->large_bytes -= total - old;
        arena_run_out(arena);
    }
    large->size_bytes = total;
    arena->held_bytes += total - old;
    *link = large;
    return large->data;
}

/* ---- allocations ---- */

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 2) {
        arena_run_out(arena);
    }
    if (size_bytes >= ARENA_LARGE_BYTES) {
        return alloc_large(arena, size_bytes);
    }
    size_t need = (size_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    charge_block(arena, need);
    if (!arena->current || need > arena->current->size_bytes - arena->used_bytes) {
        advance(arena, need);
    }
    void *memory = arena->current->data + arena->used_bytes;
    arena->used_bytes += need;
    permit(memory, need);
    return memory;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, size_bytes, &total)) {
        arena_run_out(arena);
    }
    return memset(arena_alloc(arena, total), 0, total);
}

void *arena_grow(struct arena *arena, void *array, size_t old_count, size_t new_count,
                 size_t size_bytes)
{
    assert(new_count >= old_count);
    size_t total;
    if (__builtin_mul_overflow(new_count, size_bytes, &total)) {
        arena_run_out(arena);
    }
    if (array && old_count >= ARENA_LARGE_BYTES / size_bytes) {
        struct arena_large **large = find_large(arena, array);
        if (large && total < SIZE_MAX / 2) {
            return resize_large(arena, large, total);
        }
    }
    /* The last thing that was allocated grows where it is, if its block has room. */
    size_t old = (old_count * size_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    size_t need = (total + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct arena_block *block = arena->current;
    if (array && block && old_count > 0 && total < ARENA_LARGE_BYTES && old <= arena->used_bytes &&
        (unsigned char *)array == block->data + (arena->used_bytes - old) &&
        need - old <= block->size_bytes - arena->used_bytes) {
        charge_block(arena, need);
        arena->used_bytes += need - old;
        permit(array, need);
        return array;
    }
    void *grown = arena_alloc(arena, total);
    if (old_count > 0) {
        memcpy(grown, array, old_count * size_bytes);
        forbid(array, old_count * size_bytes);
    }
    return grown;
}

void *arena_room(struct arena *arena, void *array, uint32_t count, uint32_t *capacity,
                 size_t size_bytes)
{
    enum { FIRST = 16 };
    if (count < *capacity) {
        return array;
    }
    if (count >= ARENA_ITEMS_MAX) {
        arena_run_out(arena);
    }
    uint32_t more = (size_t)count * size_bytes < ARENA_LARGE_BYTES ? count : count / 8;
    more = more < ARENA_ITEMS_MAX - count ? more : ARENA_ITEMS_MAX - count;
    *capacity = *capacity ? *capacity + more : FIRST;
    return arena_grow(arena, array, count, *capacity, size_bytes);
}

void *arena_fit(struct arena *arena, void *array, size_t capacity, size_t count, size_t size_bytes)
{
    if (count < capacity && count * size_bytes >= ARENA_LARGE_BYTES) {
        struct arena_large **large = find_large(arena, array);
        return large ? resize_large(arena, large, count * size_bytes) : array;
    }
    return array;
}

void arena_drop(struct arena *arena, void *array)
{
    struct arena_large **large = array ? find_large(arena, array) : NULL;
    if (large) {
        release_large(arena, large);
    }
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){.block = arena->current,
                               .used_bytes = arena->used_bytes,
                               .charged_bytes = arena->charged_bytes,
                               .large_number = arena->large_number};
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    struct arena_block *block = mark.block ? mark.block : arena->first;
    for (size_t used = mark.block ? mark.used_bytes : 0; arena->current && block; used = 0) {
        forbid(block->data + used, block->size_bytes - used);
        block = block == arena->current ? NULL : block->next;
    }
    arena->current = mark.block;
    arena->used_bytes = mark.block ? mark.used_bytes : 0;
    arena->charged_bytes = mark.charged_bytes;
    while (arena->large && arena->large->number > mark.large_number) {
        release_large(arena, &arena->large);
    }
}
