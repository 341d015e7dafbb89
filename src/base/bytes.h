/* bytes.h - numbers in bytes, the lowest first on any machine.
 *
 * What is hashed, written or told apart by eight bytes at once must not depend on how a machine
 * lays its numbers out: ids and fingerprints are the same everywhere (ARCHITECTURE.md, invariant
 * 1).
 */
#ifndef FARTHING_BASE_BYTES_H
#define FARTHING_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

/* A number that a plain copy puts into memory lowest byte first; and the other way round. */
static inline uint64_t bytes_order64(uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(value);
#else
    return value;
#endif
}

static inline uint32_t bytes_order32(uint32_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap32(value);
#else
    return value;
#endif
}

/* Eight bytes; the first is the lowest. */
static inline uint64_t bytes_load64(const void *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return bytes_order64(word);
}

/* Four. */
static inline uint32_t bytes_load32(const void *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return bytes_order32(word);
}

static inline void bytes_store64(void *to, uint64_t value)
{
    value = bytes_order64(value);
    memcpy(to, &value, sizeof value);
}

static inline void bytes_store32(void *to, uint32_t value)
{
    value = bytes_order32(value);
    memcpy(to, &value, sizeof value);
}

#endif
