/* arena.h - memory by lifetime: everything of a run comes from its arena and goes in one call.
 *
 *     arena_init -> arena_alloc ... arena_mark -> arena_alloc ... arena_rewind -> ... arena_release
 *
 * Promise: an allocation never returns NULL.  When the arena's limit (or the machine's memory)
 * is reached it jumps to the arena's one recovery point, which the owner of the run has set
 * with ARENA_RECOVER; so nobody checks an allocation and nobody frees.  Price of this: code between
 * recovery point and allocation must hold no file, lock or other arena across an allocation, or set
 * a recovery point of its own (arena_run_out).
 * Blocks are kept after a rewind, since the first touch of fresh memory is ten times dearer
 * than the second.  What is of ARENA_LARGE_BYTES or more has a block of its own, which grows
 * without a copy where the memory can do that, and goes as it is rewound.  An arena belongs to one
 * thread at a time.  In a build with the address sanitizer, who reads what was rewound, or what has
 * grown where it was before, is stopped.
 */
#ifndef FARTHING_BASE_ARENA_H
#define FARTHING_BASE_ARENA_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena_block;
struct arena_large;

enum { ARENA_LARGE_BYTES = 1024 * 1024 };

/* Where an arena gets its blocks.  allocate returns NULL when there is no memory.  The
 * engine hands one down that counts bytes against the limit of the whole run. */
struct memory {
    void *(*allocate)(struct memory *memory, size_t size_bytes);
    void (*release)(struct memory *memory, void *block, size_t size_bytes);
    /* The block with another size, both of ARENA_LARGE_BYTES or more, and maybe in another place;
     * NULL when there is no memory: then it is as it was.  A memory that cannot do that has NULL
     * here: such blocks are copied. */
    void *(*resize)(struct memory *memory, void *block, size_t old_bytes, size_t new_bytes);
};

struct arena {
    struct memory *memory;       /* NULL: malloc and free */
    struct arena_block *first;   /* list of blocks, in order of use */
    struct arena_block *current; /* the block in use; those behind it are spare */
    size_t used_bytes;           /* of the current block */
    struct arena_large *large;   /* large ones, the latest first */
    uint64_t large_number;       /* of the latest one that was made */
    size_t held_bytes;           /* of all blocks, spare and large ones included */
    size_t limit_bytes;          /* 0: none but the memory's own */
    size_t block_max_bytes;      /* of a block that holds several things; 0: 64 MiB */
    size_t charged_bytes;        /* for what is allocated, but large: see arena_charge */
    size_t large_bytes;          /* the same for what is large */
    size_t charge_max_bytes;     /* beyond it is the same as memory that ran out */
    jmp_buf *recover;            /* NULL: no recovery point, running out is a bug */
};

struct arena_mark {
    struct arena_block *block;
    size_t used_bytes, charged_bytes;
    uint64_t large_number;
};
#define ARENA_EMPTY ((struct arena_mark){.block = NULL}) /* the mark before its first block */

void arena_init(struct arena *arena, struct memory *memory, size_t limit_bytes);
void arena_release(struct arena *arena);

/* Aligned to 16 bytes.  Not zeroed.  size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size_bytes)
    __attribute__((returns_nonnull, alloc_size(2)));
/* Zeroed array; a product that overflows is the same as memory that ran out. */
void *arena_calloc(struct arena *arena, size_t count, size_t size_bytes)
    __attribute__((returns_nonnull));
/* Grows an array of old_count items of size_bytes (all that was allocated for it) to new_count of
 * them.  It stays where it is when it was allocated last; else, unless it is large, the old array
 * is kept until the arena is rewound (doubling makes that at most the size of the new one).  In
 * each case the old array must not be used any more. */
void *arena_grow(struct arena *arena, void *array, size_t old_count, size_t new_count,
                 size_t size_bytes) __attribute__((returns_nonnull));
/* An array with room for one more: itself, or one of twice the capacity; of a large one an eighth
 * more, since it grows without a copy.  One of more than ARENA_ITEMS_MAX items is the same as
 * memory that ran out, so that 32 bits hold an index, the number of items and one more. */
enum { ARENA_ITEMS_MAX = UINT32_MAX - 1 };
void *arena_room(struct arena *arena, void *array, uint32_t count, uint32_t *capacity,
                 size_t size_bytes);
/* An array of capacity items of which count are used, without the others where it is large; NULL
 * for none. */
void *arena_fit(struct arena *arena, void *array, size_t capacity, size_t count, size_t size_bytes);
/* An array that is not used any more: gives back its memory where it is large.  NULL is fine. */
void arena_drop(struct arena *arena, void *array);

/* How much of an arena is in use depends on what comes behind what, and on blocks that are there
 * from before.  What an allocation is charged with is a function of its size alone: of the same
 * allocations, in any order, in any arena, the sum is the same, and what an empty arena takes for
 * them is the sum at most, CHARGE_SLACK_SHARE of what is not large of it, and a block.  An array
 * that grows is charged as if it moved each time, a large one with what it grows by.  Charges go
 * back with arena_rewind. */
enum { CHARGE_SLACK_SHARE = 16, CHARGE_WHOLE_BYTES = 4096 };
/* For what is in no arena. */
void arena_charge(struct arena *arena, size_t bytes);
/* Takes back what was charged since the sum was that: for what is there by chance, and is little.
 */
static inline void arena_uncharge(struct arena *arena, size_t charged_bytes)
{
    arena->charged_bytes = charged_bytes;
}
/* What all that was allocated takes at most, but for a block. */
static inline size_t arena_charged_bytes(const struct arena *arena)
{
    return arena->charged_bytes + arena->charged_bytes / CHARGE_SLACK_SHARE + arena->large_bytes;
}
static inline bool arena_is_overcharged(const struct arena *arena)
{
    return arena_charged_bytes(arena) > arena->charge_max_bytes;
}

/* What an allocation does when there is no memory: for one who has caught that at a recovery point
 * of his own, to let go of a file, and hands it on to the outer one. */
_Noreturn void arena_run_out(struct arena *arena);

struct arena_mark arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);
/* Gives back the blocks behind the one in use. */
void arena_trim(struct arena *arena);

/* True on the second return, when memory has run out:
 *     jmp_buf recover;
 *     if (ARENA_RECOVER(&arena, recover)) { return fail(err, ERR_LIMIT, ...); } */
#define ARENA_RECOVER(arena, buffer) ((arena)->recover = &(buffer), setjmp(buffer) != 0)

#endif
