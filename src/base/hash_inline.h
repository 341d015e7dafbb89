/* hash_inline.h - hash_print64 without a call, for loops in which the call costs a part of it.  All
 * else includes hash.h.
 */
#ifndef FARTHING_BASE_HASH_INLINE_H
#define FARTHING_BASE_HASH_INLINE_H

#include "base/hash.h"

/* Compiled in here: most of what is hashed has less than 32 bytes, where a call into the library
 * costs as much as the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

static inline __attribute__((always_inline)) uint64_t
hash_print64_inline(const void *bytes, size_t size, uint64_t seed)
{
    enum { SHORT_MAX = 16, MIDDLE_MAX = 128 }; /* the library's */
    return size <= SHORT_MAX ? XXH3_len_0to16_64b(bytes, size, XXH3_kSecret, seed)
           : size <= MIDDLE_MAX
               ? XXH3_len_17to128_64b(bytes, size, XXH3_kSecret, sizeof XXH3_kSecret, seed)
               : hash_print64(bytes, size, seed);
}

#endif
