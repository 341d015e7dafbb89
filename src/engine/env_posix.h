/* env_posix.h - the real environment: POSIX files, clocks, random bytes, threads, counted memory.
 *
 * The one that a program uses.  Everything a run holds goes through it, so that its memory can be
 * limited and a test can stand in for any part (env_faulty.h).
 */
#ifndef FARTHING_ENGINE_ENV_POSIX_H
#define FARTHING_ENGINE_ENV_POSIX_H

#include "base/env.h"

/* memory_limit_bytes 0: none.  NULL when there is no memory for it. */
struct env *env_posix_new(size_t memory_limit_bytes);
/* Everything taken from it must have been given back. */
void env_posix_free(struct env *env);

/* Where temporary files go: the folder that was named, else $TMPDIR, else /tmp; an empty name is
 * none. */
const char *env_posix_temporary_folder(const char *named);

/* The most memory that was in use at one time. */
size_t env_posix_memory_peak_bytes(struct env *env);

#endif
