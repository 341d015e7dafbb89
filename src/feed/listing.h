/* listing.h - the files that paths stand for. */
#ifndef FARTHING_FEED_LISTING_H
#define FARTHING_FEED_LISTING_H

#include "base/arena.h"
#include "feed/feed.h"
#include "feed/stream.h"

struct listed_file {
    char *path;
    struct file_info info; /* when it was listed */
    enum feed_format format;
    enum packing packing; /* UNKNOWN for a pipe */
    bool is_pipe;
    size_t source; /* the path it was found under */
};

/* Folders recursively, names in order of bytes, hidden ones skipped; the same file once.  The
 * formats are those of the options.  Errors as those of feed_open. */
enum status list_files(struct env *env, struct arena *arena, const char *const *paths, size_t count,
                       const struct feed_options *options, struct listed_file **files,
                       size_t *file_count, struct error *err);

#endif
