/* handle.h - what a struct farthing is, for the files that implement farthing.h. */
#ifndef FARTHING_ENGINE_HANDLE_H
#define FARTHING_ENGINE_HANDLE_H

#include "base/arena.h"
#include "base/env.h"
#include "base/error.h"
#include "catalog/catalog.h"
#include "farthing.h"

struct farthing {
    struct farthing_config config;
    struct env *env;
    struct arena arena; /* of the last call's results */
    struct error err;
};

/* Forgets the last call. */
void handle_clear(struct farthing *farthing);
enum farthing_status handle_status(struct farthing *farthing, enum status status);
enum farthing_status handle_no_memory(struct farthing *farthing);
/* Whether what a call needs is not there, of which the message tells that it was not given. */
bool handle_lacks(struct farthing *farthing, const char *what, bool is_there);
/* Whether one of the paths is NULL, of which the message tells that no such thing was given. */
bool handle_lacks_path(struct farthing *farthing, const char *what,
                       const struct farthing_paths *paths);
/* The message of the call: the first complaint that is no warning stands for all. */
void handle_complaints(struct farthing *farthing, const struct complaints *complaints);
/* One warning as a line. */
const char *complaint_text(struct arena *arena, const struct complaint *complaint);

#endif
