/* blocks.h - the memory of a process, counted and limited, in blocks of a size that their owner
 * knows. Private to env_posix.c, which gives it to the rest.
 */
#ifndef FARTHING_ENGINE_BLOCKS_H
#define FARTHING_ENGINE_BLOCKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct blocks {
    size_t limit_bytes; /* 0: none */
    atomic_size_t used_bytes, peak_bytes;
    pthread_mutex_t lock; /* of the kept ones */
    struct spare *spare;
    atomic_size_t spare_bytes;
    atomic_size_t loose_bytes; /* at most so much of what was freed is malloc's */
};

void blocks_init(struct blocks *blocks, size_t limit_bytes);
/* NULL when there is no memory, or that would be beyond the limit.  A table is read here and there,
 * and gets large pages where there are some. */
void *blocks_take(struct blocks *blocks, size_t size_bytes, bool is_table);
void blocks_give(struct blocks *blocks, void *block, size_t size_bytes, bool is_table);
/* Of a block that is no table, and stays large or small.  NULL: it is as it was. */
void *blocks_resize(struct blocks *blocks, void *block, size_t old_bytes, size_t new_bytes);
/* What is kept; all blocks must have been given back. */
void blocks_release(struct blocks *blocks);

#endif
