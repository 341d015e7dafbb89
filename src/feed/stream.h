/* stream.h - a file that is read from its start to its end, decompressed.
 *
 * Plain, gzip (concatenated members) and zstd (concatenated and skippable frames), told by the
 * first bytes.  Limits against bombs: a window of 8 MiB (RFC 9659), a thousand times the compressed
 * size once 64 MiB have come out.  Bytes that are bad end the stream with a fault and a reason;
 * what came before them is good.
 */
#ifndef FARTHING_FEED_STREAM_H
#define FARTHING_FEED_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "base/error.h"
#include "decode/event.h"

enum packing { PACKED_UNKNOWN, PACKED_NONE, PACKED_GZIP, PACKED_ZSTD };

enum { REASON_BYTES = 96 };

struct stream {
    struct env *env;
    struct file *file;
    struct file *spool; /* file is a pipe: what is read goes here */
    enum packing packing;
    char *raw;
    size_t raw_at, raw_size;
    uint64_t raw_offset; /* of the next read, or write to the spool */
    bool raw_end;
    struct z_stream_s *gzip; /* NULL until it is needed */
    struct ZSTD_DCtx_s *zstd;
    bool is_between; /* frames or members */
    uint64_t out_bytes;
    bool is_end;
    enum refusal fault; /* why is_end is too early; REFUSE_NONE */
    char reason[REASON_BYTES];
};

/* What the first bytes of a file (4 are enough) say. */
enum packing stream_packing(const unsigned char *bytes, size_t size);

/* The file and the spool (NULL: none) stay the caller's.  PACKED_UNKNOWN: found out by reading.
 * When it fails, *stream may be there all the same, to be closed.  ERR_IO; ERR_LIMIT: no memory. */
enum status stream_open(struct env *env, const char *path, struct file *file, struct file *spool,
                        enum packing packing, struct stream **stream, struct error *err);
/* Up to size bytes; *got is 0 only at the end, be it the right one or a fault. */
enum status stream_read(struct stream *stream, char *out, size_t size, size_t *got,
                        struct error *err);
/* NULL is fine. */
void stream_close(struct stream *stream);

/* Memory of the environment; when there is none, ERR_LIMIT names the path. */
enum status feed_allocate(struct env *env, const char *path, size_t size_bytes, void **memory,
                          struct error *err);
/* NULL is fine. */
void feed_release(struct env *env, void *memory, size_t size_bytes);

#endif
