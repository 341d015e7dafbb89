/* blocks.c - see blocks.h.
 *
 * Large blocks come from mmap and are kept when they are released, since the first touch of a page
 * costs ten times what using it again does.  A block is the first part of the kept one that fits
 * best; kept ones that touch are one.  Blocks are whole pages and a release says how many, so they
 * need no header.  Kept ones count against the limit as long as they are kept, and are unmapped
 * when the limit would else refuse an allocation.  Small blocks are malloc's, which keeps what is
 * freed between blocks in use: that is asked back when it and what is used come near the limit,
 * which is one of the process.  Under a sanitizer every block is malloc's, so that it sees
 * overflows and leaks.
 */
#include "engine/blocks.h"

#include <assert.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define LARGE_MIN_BYTES SIZE_MAX
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LARGE_MIN_BYTES SIZE_MAX
#endif
#endif
#ifndef LARGE_MIN_BYTES
#define LARGE_MIN_BYTES ((size_t)1024 * 1024)
#endif

#define LARGE_PAGE_BYTES ((size_t)2 * 1024 * 1024)
#define PAGE_BYTES       ((size_t)64 * 1024) /* the largest page of any machine */

/* Released pages, in their own first bytes; a list in the order of their addresses. */
struct spare {
    struct spare *next;
    size_t size_bytes;
};

void blocks_init(struct blocks *blocks, size_t limit_bytes)
{
    *blocks = (struct blocks){.limit_bytes = limit_bytes};
    pthread_mutex_init(&blocks->lock, NULL);
}

static size_t whole_pages(size_t size_bytes)
{
    return (size_bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/* No large pages are asked for here: clearing two megabytes at once, often for a part of them,
 * empties the cache, and costs more than the walks it saves. */
static void *map_large(size_t size_bytes)
{
    void *at = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Whole large pages, at an address that is a multiple of one. */
static void *map_tables(size_t size_bytes)
{
    char *room = mmap(NULL, size_bytes + LARGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) {
        return NULL;
    }
    size_t before = -(uintptr_t)room & (LARGE_PAGE_BYTES - 1);
    if (before > 0) {
        munmap(room, before);
    }
    munmap(room + before + size_bytes, LARGE_PAGE_BYTES - before);
    (void)madvise(room + before, size_bytes, MADV_HUGEPAGE); /* a wish: there may be none */
    return room + before;
}

/* Puts what is left of a spare block behind its first bytes in its place. */
static void cut_spare(struct spare **link, size_t size_bytes)
{
    struct spare *cut = *link;
    if (cut->size_bytes == size_bytes) {
        *link = cut->next;
        return;
    }
    struct spare *rest = (void *)((char *)cut + size_bytes);
    *rest = (struct spare){.next = cut->next, .size_bytes = cut->size_bytes - size_bytes};
    *link = rest;
}

static void *take_spare(struct blocks *blocks, size_t size_bytes)
{
    pthread_mutex_lock(&blocks->lock);
    struct spare **best = NULL;
    for (struct spare **link = &blocks->spare; *link; link = &(*link)->next) {
        if ((*link)->size_bytes >= size_bytes &&
            (!best || (*link)->size_bytes < (*best)->size_bytes)) {
            best = link;
        }
    }
    struct spare *found = best ? *best : NULL;
    if (found) {
        cut_spare(best, size_bytes);
        atomic_fetch_sub(&blocks->spare_bytes, size_bytes);
    }
    pthread_mutex_unlock(&blocks->lock);
    return found;
}

/* One with the next, if that begins where it ends. */
static void join_spare(struct spare *spare)
{
    struct spare *next = spare->next;
    if (next && (char *)spare + spare->size_bytes == (char *)next) {
        spare->size_bytes += next->size_bytes;
        spare->next = next->next;
    }
}

static void keep_spare(struct blocks *blocks, void *block, size_t size_bytes)
{
    struct spare *spare = block, *before = NULL;
    pthread_mutex_lock(&blocks->lock);
    struct spare **link = &blocks->spare;
    while (*link && (uintptr_t)*link < (uintptr_t)spare) {
        before = *link;
        link = &before->next;
    }
    *spare = (struct spare){.next = *link, .size_bytes = size_bytes};
    *link = spare;
    join_spare(spare);
    if (before) {
        join_spare(before);
    }
    atomic_fetch_add(&blocks->spare_bytes, size_bytes);
    pthread_mutex_unlock(&blocks->lock);
}

/* Unmaps kept blocks until at most keep_bytes are kept. */
static void drop_spare(struct blocks *blocks, size_t keep_bytes)
{
    pthread_mutex_lock(&blocks->lock);
    while (blocks->spare && atomic_load(&blocks->spare_bytes) > keep_bytes) {
        struct spare *spare = blocks->spare;
        blocks->spare = spare->next;
        atomic_fetch_sub(&blocks->spare_bytes, spare->size_bytes);
        munmap(spare, spare->size_bytes);
    }
    pthread_mutex_unlock(&blocks->lock);
}

/* A small block of the size was freed, or made, maybe of what was freed before. */
static void count_loose(struct blocks *blocks, size_t size_bytes, bool is_freed)
{
    size_t loose = atomic_load(&blocks->loose_bytes), now;
    do {
        now = is_freed ? loose + size_bytes : loose > size_bytes ? loose - size_bytes : 0;
    } while (!atomic_compare_exchange_weak(&blocks->loose_bytes, &loose, now));
}

/* Keeps what the process holds, more or less, within the limit. */
static void stay_within(struct blocks *blocks, size_t limit)
{
    size_t used = atomic_load(&blocks->used_bytes);
    size_t loose = atomic_load(&blocks->loose_bytes);
    if (loose > limit / 64 &&
        used + atomic_load(&blocks->spare_bytes) + loose > limit - limit / 8) {
        atomic_store(&blocks->loose_bytes, 0);
        (void)malloc_trim(0);
    }
    if (used + atomic_load(&blocks->spare_bytes) > limit) {
        drop_spare(blocks, used < limit ? limit - used : 0);
    }
}

/* Counts size_bytes as used; false when that is beyond the limit. */
static bool count_memory(struct blocks *blocks, size_t size_bytes)
{
    size_t limit = blocks->limit_bytes;
    size_t used = atomic_fetch_add(&blocks->used_bytes, size_bytes) + size_bytes;
    if (limit > 0 && used > limit) {
        atomic_fetch_sub(&blocks->used_bytes, size_bytes);
        return false;
    }
    size_t peak = atomic_load(&blocks->peak_bytes);
    while (used > peak && !atomic_compare_exchange_weak(&blocks->peak_bytes, &peak, used)) {
    }
    return true;
}

/* Where a block comes from is a function of its size and of what it is for. */
enum block_kind { BLOCK_SMALL, BLOCK_LARGE, BLOCK_TABLE };

static enum block_kind kind_of(size_t size_bytes, bool is_table)
{
    if (size_bytes < LARGE_MIN_BYTES) {
        return BLOCK_SMALL;
    }
    return is_table && size_bytes >= LARGE_PAGE_BYTES ? BLOCK_TABLE : BLOCK_LARGE;
}

static size_t count_bytes(enum block_kind kind, size_t size_bytes)
{
    switch (kind) {
    case BLOCK_SMALL:
        return size_bytes;
    case BLOCK_LARGE:
        return whole_pages(size_bytes);
    case BLOCK_TABLE:
        break;
    }
    return (size_bytes + LARGE_PAGE_BYTES - 1) & ~(LARGE_PAGE_BYTES - 1);
}

static void *make_block(enum block_kind kind, size_t counted)
{
    switch (kind) {
    case BLOCK_SMALL:
        return malloc(counted > 0 ? counted : 1);
    case BLOCK_LARGE:
        return map_large(counted);
    case BLOCK_TABLE:
        break;
    }
    return map_tables(counted);
}

void *blocks_take(struct blocks *blocks, size_t size_bytes, bool is_table)
{
    if (size_bytes > SIZE_MAX / 4) {
        return NULL;
    }
    enum block_kind kind = kind_of(size_bytes, is_table);
    size_t counted = count_bytes(kind, size_bytes);
    if (!count_memory(blocks, counted)) {
        return NULL;
    }
    void *block = kind == BLOCK_LARGE ? take_spare(blocks, counted) : NULL;
    if (blocks->limit_bytes > 0) {
        stay_within(blocks, blocks->limit_bytes);
    }
    if (!block) {
        block = make_block(kind, counted);
    }
    if (!block && atomic_load(&blocks->spare_bytes) > 0) {
        drop_spare(blocks, 0);
        block = make_block(kind, counted);
    }
    if (!block) {
        atomic_fetch_sub(&blocks->used_bytes, counted);
    } else if (kind == BLOCK_SMALL) {
        count_loose(blocks, size_bytes, false);
    }
    return block;
}

void blocks_give(struct blocks *blocks, void *block, size_t size_bytes, bool is_table)
{
    if (!block) {
        return;
    }
    enum block_kind kind = kind_of(size_bytes, is_table);
    size_t counted = count_bytes(kind, size_bytes);
    if (kind == BLOCK_SMALL) {
        free(block);
        count_loose(blocks, size_bytes, true);
    } else if (kind == BLOCK_LARGE) {
        keep_spare(blocks, block, counted);
    } else {
        munmap(block, counted);
    }
    size_t used = atomic_fetch_sub(&blocks->used_bytes, counted);
    assert(used >= counted && "released more memory than was allocated");
}

static void *grow_large(void *block, size_t old_bytes, size_t new_bytes)
{
    void *grown = mremap(block, old_bytes, new_bytes, MREMAP_MAYMOVE);
    if (grown != MAP_FAILED) {
        return grown;
    }
    grown = map_large(new_bytes); /* pages that came to lie together need not be one mapping */
    if (grown) {
        memcpy(grown, block, old_bytes);
        munmap(block, old_bytes);
    }
    return grown;
}

/* Large blocks stay large ones; where there are none, small ones. */
void *blocks_resize(struct blocks *blocks, void *block, size_t old_bytes, size_t new_bytes)
{
    enum block_kind kind = kind_of(new_bytes, false);
    assert(kind == kind_of(old_bytes, false));
    size_t old = count_bytes(kind, old_bytes), new = count_bytes(kind, new_bytes);
    if (new > old && !count_memory(blocks, new - old)) {
        return NULL;
    }
    if (new > old && blocks->limit_bytes > 0) {
        stay_within(blocks, blocks->limit_bytes);
    }
    void *resized = block;
    if (kind == BLOCK_SMALL) {
        resized = realloc(block, new);
    } else if (new > old) {
        resized = grow_large(block, old, new);
    } else if (new < old) {
        keep_spare(blocks, (char *)block + new, old - new);
    }
    if (new < old) {
        atomic_fetch_sub(&blocks->used_bytes, old - new);
    } else if (!resized) {
        atomic_fetch_sub(&blocks->used_bytes, new - old);
    }
    return resized;
}

void blocks_release(struct blocks *blocks)
{
    drop_spare(blocks, 0);
    pthread_mutex_destroy(&blocks->lock);
}
