/* conflict.h - two records of one key with different content.  Private to this room.
 */
#ifndef FARTHING_ENGINE_CONFLICT_H
#define FARTHING_ENGINE_CONFLICT_H

#include "base/hash.h"
#include "base/text.h"

struct conflict {
    struct text source, id;
    uint64_t accepted, refused; /* positions */
    struct hash128 print;       /* of the refused record's bytes */
    uint64_t offset, size;      /* of these in the first worker's stream `conflicts` */
};

#endif
