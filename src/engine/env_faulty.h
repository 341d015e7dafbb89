/* env_faulty.h - an environment for tests: another one, with faults on demand and a clock that
 * stands.
 *
 *     n = 1, 2, 3 ...: env_faulty_plan(env, n-th call of a kind fails) -> run -> a clean error
 *     until env_faulty_has_struck() says that the run made fewer calls than n
 *
 * Open files and the inner environment's memory in use say whether the run left anything behind.
 */
#ifndef FARTHING_ENGINE_ENV_FAULTY_H
#define FARTHING_ENGINE_ENV_FAULTY_H

#include "base/env.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_STAT,  /* file_stat, file_stat_open, folder_list, folder_create */
    FAULT_OPEN,  /* file_open, file_create, file_temporary */
    FAULT_READ,  /* file_read, file_read_at */
    FAULT_WRITE, /* file_write, file_write_at */
    FAULT_SYNC,
    FAULT_CLOSE, /* the file is closed all the same */
    FAULT_RENAME,
    FAULT_REMOVE,
    FAULT_ALLOCATE, /* memory, lock_new */
    FAULT_THREAD,   /* threads_run starts none */
    FAULT_KINDS
};

struct fault_plan {
    enum fault_kind kind;
    uint64_t nth;          /* the first call that fails, from 1 */
    bool is_sticky;        /* and all after it */
    const char *cause;     /* NULL: one that fits the kind; e.g. "Broken pipe" */
    size_t read_max_bytes; /* file_read gives no more at a time, as a pipe would; 0: any */
};

/* inner outlives it.  NULL when there is no memory. */
struct env *env_faulty_new(struct env *inner);
void env_faulty_free(struct env *env);

/* Starts counting anew. plan NULL: no faults. */
void env_faulty_plan(struct env *env, const struct fault_plan *plan);
bool env_faulty_has_struck(struct env *env);
/* Calls of a kind since the plan was set. */
uint64_t env_faulty_calls(struct env *env, enum fault_kind kind);
size_t env_faulty_open_files(struct env *env);

/* From now on both clocks start at now, and go on by step_ns at each call. */
void env_faulty_clock(struct env *env, instant now, int64_t step_ns);

#endif
