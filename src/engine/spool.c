/* spool.c - see spool.h.  A partition is a list of chunks; a full chunk stays in memory or is
 * written out and its memory used again, so a run's memory does not grow with its events. */
#include "engine/spool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
    void *memory;    /* NULL: on disk */
    uint64_t offset; /* there */
    uint32_t count;  /* of units */
    bool is_counted; /* in the budget, being kept */
};

struct chunk_list {
    struct chunk *items;
    uint32_t count, capacity;
    uint64_t units;
    struct spool_chunk *loaded; /* count of them; NULL: not loaded */
};

struct spool {
    struct env *env;
    struct lock *lock;
    uint32_t partitions;
    size_t unit_bytes;
    struct spool_budget *budget;
    struct spool_bound *bound; /* NULL: none */
    const char *folder;
    struct file *file;
    uint64_t file_size;
    void **spare; /* chunks to use again */
    uint32_t spare_count, spare_capacity;
    uint32_t writer_count; /* that are not flushed yet; atomic */
    struct chunk_list *lists;
};

static void *take_memory(struct env *env, size_t size)
{
    return env->memory.allocate(&env->memory, size);
}

static void give_memory(struct env *env, void *memory, size_t size)
{
    if (memory) {
        env->memory.release(&env->memory, memory, size);
    }
}

static void *take_chunk(struct spool *spool)
{
    void *chunk = take_memory(spool->env, SPOOL_CHUNK_BYTES);
    struct spool_bound *bound = spool->bound;
    if (chunk && bound) {
        size_t held = __atomic_add_fetch(&bound->held_bytes, SPOOL_CHUNK_BYTES, __ATOMIC_RELAXED);
        size_t peak = __atomic_load_n(&bound->peak_bytes, __ATOMIC_RELAXED);
        while (held > peak && !__atomic_compare_exchange_n(&bound->peak_bytes, &peak, held, true,
                                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
    }
    return chunk;
}

static void give_chunk(struct spool *spool, void *chunk)
{
    give_memory(spool->env, chunk, SPOOL_CHUNK_BYTES);
    if (chunk && spool->bound) {
        __atomic_fetch_sub(&spool->bound->held_bytes, SPOOL_CHUNK_BYTES, __ATOMIC_RELAXED);
    }
}

static enum status no_memory(const struct env *env, struct error *err)
{
    return fail_memory(err, env->memory_asked_bytes, "", ", or use fewer threads");
}

/* ---- spools ---------------------------------------------------------------------------------- */

enum status spool_new(struct env *env, uint32_t partitions, size_t unit_bytes,
                      struct spool_budget *budget, const char *folder, struct spool **out,
                      struct error *err)
{
    assert(partitions > 0 && partitions <= SPOOL_PARTITIONS_MAX);
    assert(SPOOL_CHUNK_BYTES % unit_bytes == 0);
    struct spool *spool = take_memory(env, sizeof *spool);
    if (!spool) {
        return no_memory(env, err);
    }
    *spool = (struct spool){.env = env,
                            .partitions = partitions,
                            .unit_bytes = unit_bytes,
                            .budget = budget,
                            .folder = folder};
    spool->lock = env->lock_new(env);
    spool->lists = take_memory(env, partitions * sizeof *spool->lists);
    if (!spool->lock || !spool->lists) {
        if (spool->lock) {
            env->lock_free(env, spool->lock);
        }
        give_memory(env, spool->lists, partitions * sizeof *spool->lists);
        give_memory(env, spool, sizeof *spool);
        return no_memory(env, err);
    }
    memset(spool->lists, 0, partitions * sizeof *spool->lists);
    *out = spool;
    return OK;
}

void spool_bind(struct spool *spool, struct spool_bound *bound)
{
    spool->bound = bound;
}

static void drop_chunk(struct spool *spool, struct chunk *chunk);

static void drop_spare(struct spool *spool)
{
    while (spool->spare_count > 0) {
        give_chunk(spool, spool->spare[--spool->spare_count]);
    }
}

void spool_free(struct spool *spool)
{
    if (!spool) {
        return;
    }
    struct env *env = spool->env;
    for (uint32_t p = 0; p < spool->partitions; p++) {
        struct chunk_list *list = &spool->lists[p];
        for (uint32_t i = 0; i < list->count; i++) {
            drop_chunk(spool, &list->items[i]);
        }
        give_memory(env, list->loaded, list->count * sizeof *list->loaded);
        give_memory(env, list->items, list->capacity * sizeof *list->items);
    }
    drop_spare(spool);
    give_memory(env, spool->spare, spool->spare_capacity * sizeof *spool->spare);
    give_memory(env, spool->lists, spool->partitions * sizeof *spool->lists);
    if (spool->file) {
        struct error ignored;
        enum status status = env->file_close(env, spool->file, &ignored);
        (void)status; /* a temporary file without a name: nothing of it is kept */
    }
    env->lock_free(env, spool->lock);
    give_memory(env, spool, sizeof *spool);
}

/* ---- writing --------------------------------------------------------------------------------- */

enum status spool_writer_new(struct spool *spool, struct spool_writer **out, struct error *err)
{
    struct spool_writer *writer = take_memory(spool->env, sizeof *writer);
    if (!writer) {
        return no_memory(spool->env, err);
    }
    memset(writer, 0, sizeof *writer);
    writer->spool = spool;
    writer->unit_bytes = spool->unit_bytes;
    __atomic_fetch_add(&spool->writer_count, 1, __ATOMIC_RELAXED);
    *out = writer;
    return OK;
}

/* Grows an array that lives in the environment's memory. */
static bool grow_array(struct env *env, void **items, uint32_t *capacity, size_t size)
{
    uint32_t more = *capacity ? *capacity * 2 : 8;
    void *grown = take_memory(env, more * size);
    if (!grown) {
        return false;
    }
    if (*items) {
        memcpy(grown, *items, *capacity * size);
        give_memory(env, *items, *capacity * size);
    }
    *items = grown;
    *capacity = more;
    return true;
}

/* With the lock: enters a chunk into the list of its partition. */
static bool enter_chunk(struct spool *spool, uint32_t partition, struct chunk chunk)
{
    struct chunk_list *list = &spool->lists[partition];
    void *items = list->items;
    if (list->count == list->capacity &&
        !grow_array(spool->env, &items, &list->capacity, sizeof *list->items)) {
        return false;
    }
    list->items = items;
    list->items[list->count++] = chunk;
    list->units += chunk.count;
    if (spool->bound) {
        __atomic_fetch_add(&spool->bound->units, chunk.count, __ATOMIC_RELAXED);
    }
    return true;
}

/* Counts a chunk as kept when there is room. */
static bool keep_chunk(struct spool *spool)
{
    struct spool_budget *budget = spool->budget;
    if (spool->bound) {
        const struct spool_bound *bound = spool->bound;
        uint64_t units = __atomic_load_n(&bound->units, __ATOMIC_RELAXED);
        uint64_t most = units > bound->least_bytes ? units : bound->least_bytes;
        if (__atomic_load_n(&bound->held_bytes, __ATOMIC_RELAXED) > most) {
            return false;
        }
    }
    size_t kept = __atomic_load_n(&budget->kept_bytes, __ATOMIC_RELAXED);
    size_t used = spool->env->memory_used_bytes(spool->env);
    size_t rest = used > kept ? used - kept : 0;
    if (kept + rest > budget->limit_bytes) {
        return false;
    }
    __atomic_fetch_add(&budget->kept_bytes, SPOOL_CHUNK_BYTES, __ATOMIC_RELAXED);
    return true;
}

/* Memory of a chunk that was kept or read back goes. */
static void drop_chunk(struct spool *spool, struct chunk *chunk)
{
    if (chunk->memory) {
        give_chunk(spool, chunk->memory);
        chunk->memory = NULL;
        if (chunk->is_counted) {
            __atomic_fetch_sub(&spool->budget->kept_bytes, SPOOL_CHUNK_BYTES, __ATOMIC_RELAXED);
        }
    }
}

/* A full (or last) chunk: kept when the budget allows, else written to the file and its memory
 * given back as spare. */
static enum status seal_chunk(struct spool_writer *writer, uint32_t partition)
{
    struct spool *spool = writer->spool;
    struct env *env = spool->env;
    struct spool_open *open = &writer->open[partition];
    unsigned char *memory = open->end - SPOOL_CHUNK_BYTES;
    struct chunk chunk = {.memory = memory,
                          .count = (uint32_t)((size_t)(open->at - memory) / spool->unit_bytes)};
    *open = (struct spool_open){NULL, NULL};
    if (chunk.count == 0) {
        give_chunk(spool, memory);
        return OK;
    }
    env->lock_take(env, spool->lock);
    bool keep = chunk.is_counted = keep_chunk(spool);
    enum status status = OK;
    if (!keep) {
        if (!spool->file) {
            status = env->file_temporary(env, spool->folder, &spool->file, &writer->err);
        }
        chunk.memory = NULL;
        chunk.offset = spool->file_size;
        spool->file_size += (uint64_t)chunk.count * spool->unit_bytes;
    }
    if (status == OK && !enter_chunk(spool, partition, chunk)) {
        status = no_memory(spool->env, &writer->err);
        keep = false;
    }
    env->lock_give(env, spool->lock);
    if (keep) {
        return status;
    }
    if (status == OK) {
        status =
            env->file_write_at(env, spool->file, memory, (size_t)chunk.count * spool->unit_bytes,
                               chunk.offset, &writer->err);
    }
    env->lock_take(env, spool->lock);
    void *spare = spool->spare;
    if (spool->spare_count < spool->spare_capacity ||
        grow_array(env, &spare, &spool->spare_capacity, sizeof *spool->spare)) {
        spool->spare = spare;
        spool->spare[spool->spare_count++] = memory;
        memory = NULL;
    }
    env->lock_give(env, spool->lock);
    give_chunk(spool, memory);
    return status;
}

static void *open_chunk(struct spool *spool)
{
    struct env *env = spool->env;
    void *memory = NULL;
    env->lock_take(env, spool->lock);
    if (spool->spare_count > 0) {
        memory = spool->spare[--spool->spare_count];
    }
    env->lock_give(env, spool->lock);
    return memory ? memory : take_chunk(spool);
}

void *spool_add_chunk(struct spool_writer *writer, uint32_t partition, uint32_t units)
{
    struct spool *spool = writer->spool;
    struct spool_open *open = &writer->open[partition];
    assert(partition < spool->partitions && units <= SPOOL_CHUNK_BYTES / spool->unit_bytes);
    if (writer->failed) {
        return NULL;
    }
    if (open->end && seal_chunk(writer, partition) != OK) {
        writer->failed = true;
        return NULL;
    }
    unsigned char *memory = open_chunk(spool);
    if (!memory) {
        writer->failed = true;
        enum status status = no_memory(spool->env, &writer->err);
        (void)status;
        return NULL;
    }
    *open = (struct spool_open){memory, memory + SPOOL_CHUNK_BYTES};
    return spool_add(writer, partition, units);
}

enum status spool_flush(struct spool_writer *writer, struct error *err)
{
    struct spool *spool = writer->spool;
    struct env *env = spool->env;
    for (uint32_t p = 0; p < spool->partitions; p++) {
        unsigned char *end = writer->open[p].end;
        if (end && writer->failed) {
            give_chunk(spool, end - SPOOL_CHUNK_BYTES);
        } else if (end && seal_chunk(writer, p) != OK) {
            writer->failed = true;
        }
    }
    enum status status = writer->failed ? writer->err.status : OK;
    if (writer->failed && err) {
        *err = writer->err;
    }
    give_memory(env, writer, sizeof *writer);
    env->lock_take(env, spool->lock);
    if (__atomic_sub_fetch(&spool->writer_count, 1, __ATOMIC_RELAXED) == 0) {
        drop_spare(spool);
    }
    env->lock_give(env, spool->lock);
    return status;
}

void spool_abandon(struct spool_writer *writer)
{
    if (writer) {
        writer->failed = true;
        enum status status = spool_flush(writer, NULL);
        (void)status; /* of what had failed before */
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

uint32_t spool_chunk_count(const struct spool *spool, uint32_t partition)
{
    return spool->lists[partition].count;
}

enum status spool_read(struct spool *spool, uint32_t partition, uint32_t index, void *room,
                       struct spool_chunk *chunk, struct error *err)
{
    struct chunk_list *list = &spool->lists[partition];
    assert(index < list->count);
    const struct chunk *found = &list->items[index];
    *chunk = (struct spool_chunk){found->memory ? found->memory : room, found->count};
    if (found->memory) {
        return OK;
    }
    size_t got, size = (size_t)found->count * spool->unit_bytes;
    TRY(spool->env->file_read_at(spool->env, spool->file, room, size, found->offset, &got, err));
    return got == size ? OK : fail(err, ERR_IO, "a temporary file is shorter than it was written");
}

void spool_drop(struct spool *spool, uint32_t partition, uint32_t index)
{
    struct chunk_list *list = &spool->lists[partition];
    assert(index < list->count);
    drop_chunk(spool, &list->items[index]);
    if (spool->bound) {
        __atomic_fetch_sub(&spool->bound->units, list->items[index].count, __ATOMIC_RELAXED);
    }
}

enum status spool_load(struct spool *spool, uint32_t partition, struct spool_partition *loaded,
                       struct error *err)
{
    struct env *env = spool->env;
    struct chunk_list *list = &spool->lists[partition];
    *loaded = (struct spool_partition){.chunk_count = list->count, .unit_count = list->units};
    if (list->count == 0) {
        return OK;
    }
    if (!list->loaded) {
        list->loaded = take_memory(env, list->count * sizeof *list->loaded);
    }
    if (!list->loaded) {
        return no_memory(spool->env, err);
    }
    loaded->chunks = list->loaded;
    for (uint32_t i = 0; i < list->count; i++) {
        struct chunk *chunk = &list->items[i];
        if (!chunk->memory) {
            void *room = take_chunk(spool);
            if (!room) {
                return no_memory(spool->env, err);
            }
            enum status status = spool_read(spool, partition, i, room, &loaded->chunks[i], err);
            if (status != OK) {
                give_chunk(spool, room);
                return status;
            }
            chunk->memory = room;
        }
        loaded->chunks[i] = (struct spool_chunk){chunk->memory, chunk->count};
    }
    return OK;
}

void spool_unload(struct spool *spool, uint32_t partition, struct spool_partition *loaded)
{
    struct chunk_list *list = &spool->lists[partition];
    give_memory(spool->env, list->loaded, list->count * sizeof *list->loaded);
    for (uint32_t i = 0; i < list->count; i++) {
        drop_chunk(spool, &list->items[i]);
    }
    if (spool->bound) {
        __atomic_fetch_sub(&spool->bound->units, list->units, __ATOMIC_RELAXED);
    }
    list->loaded = NULL;
    list->count = 0;
    *loaded = (struct spool_partition){0};
}

static enum status put_out_chunk(struct spool *spool, struct chunk *chunk, struct error *err)
{
    struct env *env = spool->env;
    if (chunk->is_counted) {
        if (!spool->file) {
            TRY(env->file_temporary(env, spool->folder, &spool->file, err));
        }
        size_t size = (size_t)chunk->count * spool->unit_bytes;
        TRY(env->file_write_at(env, spool->file, chunk->memory, size, spool->file_size, err));
        chunk->offset = spool->file_size;
        spool->file_size += size;
    }
    drop_chunk(spool, chunk);
    chunk->is_counted = false;
    return OK;
}

enum status spool_put_out(struct spool *spool, struct error *err)
{
    for (uint32_t p = 0; p < spool->partitions; p++) {
        struct chunk_list *list = &spool->lists[p];
        for (uint32_t i = 0; i < list->count; i++) {
            if (list->items[i].memory) {
                TRY(put_out_chunk(spool, &list->items[i], err));
            }
        }
    }
    return OK;
}

uint64_t spool_units(const struct spool *spool, uint32_t partition)
{
    return spool->lists[partition].units;
}
