/* strangers.h - names that are nothing, the first of them, for warnings.  Private to this room.
 */
#ifndef FARTHING_ENGINE_STRANGERS_H
#define FARTHING_ENGINE_STRANGERS_H

#include "base/hash.h"
#include "base/text.h"

/* A name of nothing, and where it came first, as in an arrival: a subject that is no account, which
 * is read again there, or a SKU that nothing is, with the beginning of its name. */
enum { STRANGERS_MOST = 3, STRANGER_NAME_BYTES = 256 };
struct stranger {
    struct hash128 hash;
    uint64_t position;
    char name[STRANGER_NAME_BYTES];
};
struct strangers {
    struct stranger items[STRANGERS_MOST]; /* by position */
    uint32_t count;
};

/* Keeps the first places of so many names: which these are depends on no order.  Of those of all
 * workers, too. */
void strangers_note(struct strangers *known, struct hash128 hash, uint64_t position,
                    struct text name);
void strangers_merge(struct strangers *all, const struct strangers *more);

#endif
