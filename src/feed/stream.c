/* stream.c - see stream.h. */
#define ZSTD_STATIC_LINKING_ONLY
#include "feed/stream.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    RAW_BYTES = 128 * 1024, /* of a compressed file or a pipe */
    WINDOW_LOG_MAX = 23,    /* RFC 9659: 8 MiB */
    RATIO_MAX = 1000,
};
static const uint64_t ratio_free_bytes = UINT64_C(64) * 1024 * 1024;

enum status feed_allocate(struct env *env, const char *path, size_t size_bytes, void **memory,
                          struct error *err)
{
    *memory = env->memory.allocate(&env->memory, size_bytes);
    return *memory ? OK : fail_memory_at(err, "%s", path);
}

void feed_release(struct env *env, void *memory, size_t size_bytes)
{
    if (memory) {
        env->memory.release(&env->memory, memory, size_bytes);
    }
}

/* For libraries that free without a size: it is kept in front. */
enum { SIZE_ROOM = 16 };

static void *take_sized(void *context, size_t size_bytes)
{
    struct env *env = context;
    char *memory = env->memory.allocate(&env->memory, size_bytes + SIZE_ROOM);
    if (!memory) {
        return NULL;
    }
    memcpy(memory, &size_bytes, sizeof size_bytes);
    return memory + SIZE_ROOM;
}

static void give_sized(void *context, void *memory)
{
    struct env *env = context;
    if (memory) {
        char *start = (char *)memory - SIZE_ROOM;
        size_t size_bytes;
        memcpy(&size_bytes, start, sizeof size_bytes);
        env->memory.release(&env->memory, start, size_bytes + SIZE_ROOM);
    }
}

static void *take_items(void *context, unsigned count, unsigned size_bytes)
{
    return take_sized(context, (size_t)count * size_bytes);
}

enum packing stream_packing(const unsigned char *bytes, size_t size)
{
    if (size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
        return PACKED_GZIP;
    }
    if (size >= 4 && ((memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0) ||
                      ((bytes[0] & 0xf0) == 0x50 && memcmp(bytes + 1, "\x2a\x4d\x18", 3) == 0))) {
        return PACKED_ZSTD;
    }
    return PACKED_NONE;
}

void stream_close(struct stream *stream)
{
    if (!stream) {
        return;
    }
    struct env *env = stream->env;
    if (stream->gzip) {
        inflateEnd(stream->gzip);
        feed_release(env, stream->gzip, sizeof *stream->gzip);
    }
    ZSTD_freeDCtx(stream->zstd);
    feed_release(env, stream->raw, RAW_BYTES);
    feed_release(env, stream, sizeof *stream);
}

static enum status fill_raw(struct stream *stream, struct error *err)
{
    struct env *env = stream->env;
    memmove(stream->raw, stream->raw + stream->raw_at, stream->raw_size - stream->raw_at);
    stream->raw_size -= stream->raw_at;
    stream->raw_at = 0;
    while (stream->raw_size < RAW_BYTES && !stream->raw_end) {
        char *to = stream->raw + stream->raw_size;
        size_t room = RAW_BYTES - stream->raw_size;
        size_t got = 0;
        if (stream->spool) {
            TRY(env->file_read(env, stream->file, to, room, &got, err));
            TRY(env->file_write_at(env, stream->spool, to, got, stream->raw_offset, err));
        } else {
            TRY(env->file_read_at(env, stream->file, to, room, stream->raw_offset, &got, err));
        }
        stream->raw_end = got == 0;
        stream->raw_size += got;
        stream->raw_offset += got;
    }
    return OK;
}

enum status stream_open(struct env *env, const char *path, struct file *file, struct file *spool,
                        enum packing packing, struct stream **stream, struct error *err)
{
    void *memory;
    TRY(feed_allocate(env, path, sizeof **stream, &memory, err));
    struct stream *made = memory;
    *made = (struct stream){
        .env = env, .file = file, .spool = spool, .packing = packing, .is_between = true};
    *stream = made; /* so that the caller closes it when anything below fails */
    TRY(feed_allocate(env, path, RAW_BYTES, &memory, err));
    made->raw = memory;
    TRY(fill_raw(made, err));
    if (made->packing == PACKED_UNKNOWN) {
        made->packing = stream_packing((unsigned char *)made->raw, made->raw_size);
    }
    bool is_ready = true;
    if (made->packing == PACKED_GZIP) {
        TRY(feed_allocate(env, path, sizeof *made->gzip, &memory, err));
        made->gzip = memory;
        *made->gzip = (z_stream){.zalloc = take_items, .zfree = give_sized, .opaque = env};
        is_ready = inflateInit2(made->gzip, 16 + MAX_WBITS) == Z_OK;
    } else if (made->packing == PACKED_ZSTD) {
        made->zstd = ZSTD_createDCtx_advanced(
            (ZSTD_customMem){.customAlloc = take_sized, .customFree = give_sized, .opaque = env});
        is_ready =
            made->zstd &&
            !ZSTD_isError(ZSTD_DCtx_setParameter(made->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX));
    }
    return is_ready ? OK : fail_memory_at(err, "%s", path);
}

static void end_with_fault(struct stream *stream, enum refusal fault, const char *what,
                           const char *detail)
{
    stream->is_end = true;
    stream->fault = fault;
    (void)snprintf(stream->reason, sizeof stream->reason, "%s: %s%s%s",
                   stream->packing == PACKED_GZIP ? "gzip" : "zstd", what, *detail ? ": " : "",
                   detail);
}

static size_t raw_left(const struct stream *stream)
{
    return stream->raw_size - stream->raw_at;
}

/* At the start of a gzip member or a zstd frame: is it one? Ends the stream when it is none. */
static enum status check_start(struct stream *stream, struct error *err)
{
    if (raw_left(stream) < 6) {
        TRY(fill_raw(stream, err));
    }
    const unsigned char *at = (const unsigned char *)stream->raw + stream->raw_at;
    size_t left = raw_left(stream);
    bool is_first = stream->raw_offset == left;
    if (left == 0 && !is_first) {
        stream->is_end = true;
    } else if (left < (stream->packing == PACKED_GZIP ? 2 : 4)) {
        bool is_cut =
            left == 0 || (stream->packing == PACKED_GZIP ? at[0] == 0x1f
                                                         : at[0] == 0x28 || (at[0] & 0xf0) == 0x50);
        end_with_fault(stream, REFUSE_ENCODING,
                       is_cut ? "the stream is cut short" : "other bytes follow the stream", "");
    } else if (stream_packing(at, left) != stream->packing) {
        end_with_fault(stream, REFUSE_ENCODING, "other bytes follow the stream", "");
    } else if (stream->packing == PACKED_ZSTD && at[0] == 0x28 && left >= 6 && !(at[4] & 0x20)) {
        /* The library would let a wide window pass when the content is small. */
        unsigned exponent = 10U + (at[5] >> 3);
        if (exponent > WINDOW_LOG_MAX || (exponent == WINDOW_LOG_MAX && (at[5] & 7) != 0)) {
            end_with_fault(stream, REFUSE_ENCODING, "a window of more than 8 MiB", "");
        }
    }
    stream->is_between = false;
    return OK;
}

static enum status inflate_some(struct stream *stream, char *out, size_t size, size_t *got,
                                struct error *err)
{
    z_stream *gzip = stream->gzip;
    gzip->next_in = (unsigned char *)stream->raw + stream->raw_at;
    gzip->avail_in = (unsigned)raw_left(stream);
    gzip->next_out = (unsigned char *)out;
    gzip->avail_out = (unsigned)size;
    int result = inflate(gzip, Z_NO_FLUSH);
    stream->raw_at = stream->raw_size - gzip->avail_in;
    *got = size - gzip->avail_out;
    if (result == Z_STREAM_END) {
        stream->is_between = true;
        inflateReset(gzip);
    } else if (result == Z_MEM_ERROR) {
        return fail_memory_at(err, "gzip");
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        end_with_fault(stream, REFUSE_ENCODING, "damaged, so what it gave may be altered",
                       gzip->msg ? gzip->msg : "");
    }
    return OK;
}

static enum status unzstd_some(struct stream *stream, char *out, size_t size, size_t *got,
                               struct error *err)
{
    ZSTD_inBuffer from = {stream->raw + stream->raw_at, raw_left(stream), 0};
    ZSTD_outBuffer to = {out, size, 0};
    size_t result = ZSTD_decompressStream(stream->zstd, &to, &from);
    stream->raw_at += from.pos;
    *got = to.pos;
    if (result == 0) {
        stream->is_between = true;
    } else if (ZSTD_isError(result)) {
        ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
        if (code == ZSTD_error_memory_allocation) {
            return fail_memory_at(err, "zstd");
        }
        bool is_wide = code == ZSTD_error_frameParameter_windowTooLarge;
        end_with_fault(stream, REFUSE_ENCODING,
                       is_wide ? "a window of more than 8 MiB"
                               : "damaged, so what it gave may be altered",
                       is_wide ? "" : ZSTD_getErrorString(code));
    }
    return OK;
}

enum status stream_read(struct stream *stream, char *out, size_t size, size_t *got,
                        struct error *err)
{
    *got = 0;
    while (*got == 0 && !stream->is_end) {
        if (raw_left(stream) == 0 && !stream->raw_end) {
            TRY(fill_raw(stream, err));
        }
        if (stream->packing == PACKED_NONE) {
            size_t left = raw_left(stream);
            *got = left < size ? left : size;
            memcpy(out, stream->raw + stream->raw_at, *got);
            stream->raw_at += *got;
            stream->is_end = *got == 0;
            continue;
        }
        if (stream->is_between) {
            TRY(check_start(stream, err));
            continue;
        }
        size_t raw_before = raw_left(stream);
        TRY((stream->packing == PACKED_GZIP ? inflate_some : unzstd_some)(stream, out, size, got,
                                                                          err));
        if (*got == 0 && raw_before == 0 && stream->raw_end && !stream->is_end &&
            !stream->is_between) {
            end_with_fault(stream, REFUSE_ENCODING, "the stream is cut short", "");
        }
        stream->out_bytes += *got;
        uint64_t in_bytes = stream->raw_offset - raw_left(stream);
        if (stream->out_bytes > ratio_free_bytes && stream->out_bytes / RATIO_MAX > in_bytes) {
            end_with_fault(stream, REFUSE_DECOMP_LIMIT, "more than 1000 times its compressed size",
                           "");
        }
    }
    return OK;
}
