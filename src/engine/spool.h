/* spool.h - units of a fixed size, sorted into partitions, in memory as far as the limit allows and
 * on disk beyond.
 *
 *     writer (one a thread): spool_add(partition, units) ... spool_flush
 *     then, partition by partition: spool_load -> chunks -> spool_unload, or chunk by chunk
 *
 * The order of units within a partition is chance; what is made of them must not depend on it.
 */
#ifndef FARTHING_ENGINE_SPOOL_H
#define FARTHING_ENGINE_SPOOL_H

#include <assert.h>

#include "base/env.h"
#include "base/error.h"

enum { SPOOL_PARTITIONS_MAX = 128, SPOOL_CHUNK_BYTES = 48 * 1024 };

struct spool;

/* The chunk of a partition that a writer fills. */
struct spool_open {
    unsigned char *at, *end; /* of what is free; NULL: there is none yet */
};
/* Its members are the spool's own. */
struct spool_writer {
    struct spool *spool;
    struct error err;
    bool failed;
    size_t unit_bytes;
    struct spool_open open[SPOOL_PARTITIONS_MAX];
};

/* What the chunks of all spools of a run may take.  Chunks give way to the rest: one is kept while
 * all chunks and what else is in use fit in limit_bytes.  All members but limit_bytes are the
 * spools' own. */
struct spool_budget {
    size_t limit_bytes;
    size_t kept_bytes; /* atomic */
};

/* What the chunks of some of these spools hold in memory, and no more than what is larger of
 * least_bytes and a byte for each unit; of a unit that was dropped no more. */
struct spool_bound {
    size_t least_bytes;
    uint64_t units; /* atomic, as these: */
    size_t held_bytes, peak_bytes;
};

/* Chunks beyond the budget go to a temporary file in folder, and their memory is used again.
 * unit_bytes divides SPOOL_CHUNK_BYTES. */
enum status spool_new(struct env *env, uint32_t partitions, size_t unit_bytes,
                      struct spool_budget *budget, const char *folder, struct spool **spool,
                      struct error *err);
/* Before the first writer. */
void spool_bind(struct spool *spool, struct spool_bound *bound);
void spool_free(struct spool *spool); /* NULL is fine */

enum status spool_writer_new(struct spool *spool, struct spool_writer **writer, struct error *err);
/* The same as spool_add, where the open chunk has no room. */
void *spool_add_chunk(struct spool_writer *writer, uint32_t partition, uint32_t units);
/* Room for so many adjacent units in a partition, to be filled before the next call. NULL: an
 * error, kept in the writer and told by spool_flush. */
static inline void *spool_add(struct spool_writer *writer, uint32_t partition, uint32_t units)
{
    assert(partition < SPOOL_PARTITIONS_MAX);
    struct spool_open *open = &writer->open[partition];
    size_t size = units * writer->unit_bytes;
    if ((size_t)(open->end - open->at) < size) {
        return spool_add_chunk(writer, partition, units);
    }
    unsigned char *at = open->at;
    open->at += size;
    /* The partition's next unit comes many units later, by then to a line of the cache that is
     * there: a store that waits for its line holds up all that come after it. */
    __builtin_prefetch(open->at + writer->unit_bytes, 1);
    return at;
}
/* Hands over what is not full and frees the writer. */
enum status spool_flush(struct spool_writer *writer, struct error *err);
/* Frees the writer, and what is in it is lost: of a run that has failed.  NULL is fine. */
void spool_abandon(struct spool_writer *writer);

struct spool_chunk {
    void *units;    /* the caller's until spool_unload */
    uint32_t count; /* of units */
};
struct spool_partition {
    struct spool_chunk *chunks;
    uint32_t chunk_count;
    uint64_t unit_count;
};
/* Reads what is on disk. Memory is the spool's, and goes with spool_unload (and the partition with
 * it) or with spool_free; until then, and after an error, a partition may be loaded again. Several
 * threads may load different partitions. */
enum status spool_load(struct spool *spool, uint32_t partition, struct spool_partition *loaded,
                       struct error *err);
void spool_unload(struct spool *spool, uint32_t partition, struct spool_partition *loaded);

/* The chunks of a partition one by one, when all of them together may be too many.  What is on disk
 * is read into room, of SPOOL_CHUNK_BYTES; the others lie where they are until they are dropped,
 * and are not read again then.  Not for one that is loaded. */
uint32_t spool_chunk_count(const struct spool *spool, uint32_t partition);
enum status spool_read(struct spool *spool, uint32_t partition, uint32_t index, void *room,
                       struct spool_chunk *chunk, struct error *err);
void spool_drop(struct spool *spool, uint32_t partition, uint32_t index);

/* Writes all chunks that are in memory to the file, when nobody uses the spool: what was loaded is
 * no longer. */
enum status spool_put_out(struct spool *spool, struct error *err);

uint64_t spool_units(const struct spool *spool, uint32_t partition);

#endif
