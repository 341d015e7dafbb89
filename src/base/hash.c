/* hash.c - see hash.h. */
#include "base/hash.h"

#include "base/bytes.h"
#include "base/hash_inline.h"

/* The one-shot calls of OpenSSL 3 look an algorithm up, allocate and can fail; the older three are
 * a plain computation, which is what a pure room needs. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#ifdef __x86_64__
/* Of what is long, the library's own: it takes the widest vectors that the machine has. */
XXH128_hash_t XXH3_128bits_dispatch(const void *input, size_t len);
#endif

_Static_assert(sizeof(struct hash_secret) >= XXH3_SECRET_SIZE_MIN, "XXH3 refuses shorter secrets");

static struct hash128 hash_of(XXH128_hash_t hash)
{
    return (struct hash128){.low = hash.low64, .high = hash.high64};
}

struct hash128 hash_secret128(const struct hash_secret *secret, const void *bytes, size_t size)
{
    return hash_of(XXH3_128bits_withSecret(bytes, size, secret->bytes, sizeof secret->bytes));
}

uint64_t hash_secret64(const struct hash_secret *secret, const void *bytes, size_t size)
{
    return XXH3_64bits_withSecret(bytes, size, secret->bytes, sizeof secret->bytes);
}

struct hash128 hash_print(const void *bytes, size_t size)
{
    return hash_of(XXH3_128bits(bytes, size));
}

uint64_t hash_print64(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}

struct digest hash_digest(struct text text)
{
    struct digest digest;
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, text.at, text.size);
    SHA256_Final(digest.bytes, &context);
    return digest;
}

static const char HEX[] = "0123456789abcdef";

void digest_format(const struct digest *digest, char out[65])
{
    for (int i = 0; i < 32; i++) {
        out[2 * i] = HEX[digest->bytes[i] >> 4];
        out[2 * i + 1] = HEX[digest->bytes[i] & 15];
    }
    out[64] = '\0';
}

void hash64_format(uint64_t hash, char out[17])
{
    for (int i = 0; i < 16; i++) {
        out[i] = HEX[hash >> (60 - 4 * i) & 15];
    }
    out[16] = '\0';
}

void hash128_format(struct hash128 hash, char out[33])
{
    hash64_format(hash.high, out);
    hash64_format(hash.low, out + 16);
}

struct hash128 hash_block(struct hash128 state, const void *bytes, size_t size)
{
#ifdef __x86_64__
    struct hash128 block = hash_of(XXH3_128bits_dispatch(bytes, size));
#else
    struct hash128 block = hash_print(bytes, size);
#endif
    uint64_t both[4] = {bytes_order64(state.low), bytes_order64(state.high),
                        bytes_order64(block.low), bytes_order64(block.high)};
    return hash_print(both, sizeof both);
}

struct hash128 hash_blocks(const void *bytes, size_t size)
{
    struct hash128 state = {0, 0};
    const unsigned char *at = bytes;
    while (size > 0) {
        size_t part = size < HASH_BLOCK_BYTES ? size : HASH_BLOCK_BYTES;
        state = hash_block(state, at, part);
        at += part;
        size -= part;
    }
    return state;
}
