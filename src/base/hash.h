/* hash.h - hashes, each with the promise it makes.
 *
 *     hash_secret64    keyed, 64 bits: identity of events; a tenant cannot aim at it
 *     hash_secret128   keyed, 128 bits: identity of accounts
 *     hash_print       fixed key, 128 bits: ids, the same on every machine
 *     hash_print64     fixed key, 64 bits: fingerprints, the same on every machine
 *     hash_digest      SHA-256: what a bill names (catalog, zones, inputs)
 *
 * XXH3 (xxHash 0.8, stable output since 0.8.0) for all but the last, which is OpenSSL.
 */
#ifndef FARTHING_BASE_HASH_H
#define FARTHING_BASE_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct hash128 {
    uint64_t low, high;
};

/* 192 random bytes; the same for all hashes that are compared with each other. */
struct hash_secret {
    unsigned char bytes[192];
};

struct hash128 hash_secret128(const struct hash_secret *secret, const void *bytes, size_t size);
uint64_t hash_secret64(const struct hash_secret *secret, const void *bytes, size_t size);
struct hash128 hash_print(const void *bytes, size_t size);
/* Another hash for each seed: of values that mean something else where they stand elsewhere.
 * The fingerprint of a set is the sum of its members' modulo 2^64: no order, no grouping. */
uint64_t hash_print64(const void *bytes, size_t size, uint64_t seed);

/* A hash of bytes that come in blocks, for telling whether a file is as it was written: the state
 * starts at zero and takes each whole block of HASH_BLOCK_BYTES in, and the rest at the end. */
enum { HASH_BLOCK_BYTES = 256 * 1024 };
struct hash128 hash_block(struct hash128 state, const void *bytes, size_t size);
struct hash128 hash_blocks(const void *bytes, size_t size); /* of all at once */

struct digest {
    unsigned char bytes[32];
};
struct digest hash_digest(struct text text);
/* 64 lower-case hexadecimal digits and a zero. */
void digest_format(const struct digest *digest, char out[65]);
/* 32 lower-case hexadecimal digits (high first) and a zero. */
void hash128_format(struct hash128 hash, char out[33]);
/* 16 of them. */
void hash64_format(uint64_t hash, char out[17]);

/* Order-free sum of hashes, modulo 2^128: adding is commutative and associative. */
static inline struct hash128 hash_add(struct hash128 a, struct hash128 b)
{
    unsigned __int128 sum =
        (((unsigned __int128)a.high << 64) | a.low) + (((unsigned __int128)b.high << 64) | b.low);
    return (struct hash128){(uint64_t)sum, (uint64_t)(sum >> 64)};
}

static inline bool hash_equal(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}
static inline int hash_compare(struct hash128 a, struct hash128 b)
{
    return a.high != b.high ? (a.high < b.high ? -1 : 1) : (a.low > b.low) - (a.low < b.low);
}

#endif
