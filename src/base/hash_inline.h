/* hash_inline.h - hash_print64 and hash_secret64 without a call, for loops in which the call costs
 * a part of it.  All else includes hash.h.
 */
#ifndef FARTHING_BASE_HASH_INLINE_H
#define FARTHING_BASE_HASH_INLINE_H

#include "base/hash.h"

/* Compiled in here: most of what is hashed has less than 32 bytes, where a call into the library
 * costs as much as the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { HASH_SHORT_MAX = 16, HASH_MIDDLE_MAX = 128 }; /* the library's */

static inline __attribute__((always_inline)) uint64_t
hash_print64_inline(const void *bytes, size_t size, uint64_t seed)
{
    return size <= HASH_SHORT_MAX ? XXH3_len_0to16_64b(bytes, size, XXH3_kSecret, seed)
           : size <= HASH_MIDDLE_MAX
               ? XXH3_len_17to128_64b(bytes, size, XXH3_kSecret, sizeof XXH3_kSecret, seed)
               : hash_print64(bytes, size, seed);
}

static inline __attribute__((always_inline)) uint64_t
hash_secret64_inline(const struct hash_secret *secret, const void *bytes, size_t size)
{
    return size <= HASH_SHORT_MAX ? XXH3_len_0to16_64b(bytes, size, secret->bytes, 0)
           : size <= HASH_MIDDLE_MAX
               ? XXH3_len_17to128_64b(bytes, size, secret->bytes, sizeof secret->bytes, 0)
               : hash_secret64(secret, bytes, size);
}

#endif
