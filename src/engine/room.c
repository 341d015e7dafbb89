/* room.c - see room.h. */
#include "engine/room.h"

#include <stddef.h>

#include "engine/samples.h"

enum {
    THREADS_MAX = 64,
    MEMORY_A_THREAD_BYTES = 22 * 1024 * 1024,
};

/* A thread needs its block of input, its partitions and its text: few threads in little memory. */
int room_threads(size_t memory_bytes)
{
    size_t count = memory_bytes / MEMORY_A_THREAD_BYTES;
    return count < 1 ? 1 : count < THREADS_MAX ? (int)count : THREADS_MAX;
}

/* ---- arenas ---------------------------------------------------------------------------------- */

static struct worker *worker_of(struct memory *memory)
{
    return (struct worker *)(void *)((char *)memory - offsetof(struct worker, memory));
}

/* Whether a worker may take so much more. */
static bool may_take(const struct worker *worker, size_t size_bytes)
{
    const struct run *run = worker->run;
    struct env *env = run->env;
    bool is_counted_on =
        !worker->settle.is_trying || worker->settle.is_alone || env->memory_limit_bytes == 0;
    return is_counted_on ||
           env->memory_used_bytes(env) + size_bytes <= run->memory_bytes - run->room.spare_bytes;
}

static void *allocate(struct memory *memory, size_t size_bytes)
{
    const struct worker *worker = worker_of(memory);
    struct env *env = worker->run->env;
    return may_take(worker, size_bytes) ? env->memory.allocate(&env->memory, size_bytes) : NULL;
}

static void release(struct memory *memory, void *block, size_t size_bytes)
{
    struct env *env = worker_of(memory)->run->env;
    env->memory.release(&env->memory, block, size_bytes);
}

static void *resize(struct memory *memory, void *block, size_t old_bytes, size_t new_bytes)
{
    const struct worker *worker = worker_of(memory);
    struct env *env = worker->run->env;
    if (new_bytes > old_bytes && !may_take(worker, new_bytes - old_bytes)) {
        return NULL;
    }
    return env->memory.resize(&env->memory, block, old_bytes, new_bytes);
}

void room_init(struct worker *worker, struct arena *arena, size_t block_bytes)
{
    worker->memory = (struct memory){.allocate = allocate, .release = release, .resize = resize};
    arena_init(arena, &worker->memory, 0);
    arena->block_max_bytes = block_bytes;
}

void room_clear(struct arena *arena)
{
    arena_rewind(arena, ARENA_EMPTY);
    arena_trim(arena);
}

/* ---- division -------------------------------------------------------------------------------- */

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

void room_count_loaded(struct run *run)
{
    run->room.loaded_bytes = run->room.outer_bytes + run->arena.held_bytes;
}

void room_count_set_up(struct run *run)
{
    enum { FILE_BYTES = 512, TABLE_ROUNDING_BYTES = 2 * 1024 * 1024 };
    run->room.loaded_bytes += run->table_arena.held_bytes + TABLE_ROUNDING_BYTES +
                              feed_file_count(run->feed) * FILE_BYTES;
    run->room.set_up_charged_bytes = arena_charged_bytes(&run->arena);
}

size_t room_record_unit_bytes(const struct run *run)
{
    return sizeof(struct record) + (run->has_samples ? SAMPLE_UNIT_BYTES : 0);
}

static size_t records_all_bytes(const struct run *run)
{
    uint64_t units = 0;
    for (uint32_t p = 0; p < run->book_partitions; p++) {
        units += spool_units(run->records, p);
    }
    return units * room_record_unit_bytes(run);
}

enum status room_divide(struct run *run, size_t opened_bytes)
{
    enum {
        /* Of the memory, and of what is not loaded of it no more than that. */
        RECORDS_SHARE = 8,
        RECORDS_LEFT_SHARE = 4,
        WRITERS_SHARE = 64,
        SPARE_SHARE = 64,
        LEFT_SHARE = 16,
        THREADS_LEFT_SHARE = 4,
        THREAD_BYTES = 5 * 1024 * 1024 / 4, /* of a thread: tables, what it reads a file with;
                                               what it remembers of prices comes to it */
        TEXT_BYTES = 256 * 1024,            /* empty buffers of it */
        LEAST_BYTES = 512 * 1024
    };
    const size_t memory = run->memory_bytes;
    size_t loaded = run->room.loaded_bytes + opened_bytes +
                    arena_charged_bytes(&run->series_arena) + run->series_arena.block_max_bytes +
                    arena_charged_bytes(&run->arena) - run->room.set_up_charged_bytes +
                    run->arena.block_max_bytes;
    size_t left = memory > loaded ? memory - loaded : 0;
    run->room.records_bytes = least_of(least_of(memory / RECORDS_SHARE, left / RECORDS_LEFT_SHARE),
                                       records_all_bytes(run));
    run->room.writers_bytes = least_of(memory / WRITERS_SHARE, left / LEFT_SHARE);
    run->room.spare_bytes = least_of(memory / SPARE_SHARE, left / LEFT_SHARE);
    size_t threads =
        (size_t)room_threads(memory) * (THREAD_BYTES + price_memory_bytes(run->catalog));
    size_t taken = run->room.records_bytes + run->room.writers_bytes + run->room.spare_bytes +
                   least_of(threads, left / THREADS_LEFT_SHARE) + TEXT_BYTES +
                   run->workers[0].scratch.block_max_bytes;
    if (left < taken + LEAST_BYTES) {
        return fail_memory(run->err, run->env->memory_asked_bytes, " while bills are made", "");
    }
    run->room.payer_bytes = left - taken;
    return OK;
}
