/* places.h - where the blocks of a segment file lie (decode/segment.h), and what is none. */
#ifndef FARTHING_FEED_PLACES_H
#define FARTHING_FEED_PLACES_H

#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/error.h"

/* The events of a file are numbered below this: with the file, a number has 64 bits. */
#define PLACES_EVENTS_MAX (UINT64_C(1) << 48)

struct place {
    uint64_t offset, first; /* first: how many events of the file are before it */
    uint32_t size, events;
    const char *fault; /* NULL: a whole block of events */
};

struct places {
    struct place *items;
    size_t count, capacity;
};

/* Reads the headers, not the bodies.  What lies between blocks, or should, is a place with a fault;
 * whatever it is, the next block is found.  ERR_IO; ERR_LIMIT: no memory. */
enum status places_read(struct env *env, const char *path, struct file *file, uint64_t size_bytes,
                        struct places *places, struct error *err);
/* Zeroed is fine. */
void places_release(struct env *env, struct places *places);
/* The one that has an event; NULL. */
const struct place *places_find(const struct places *places, uint64_t event);

#endif
