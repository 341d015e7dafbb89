/* gate.c - see gate.h. */
#include "engine/gate.h"

void gate_enter(struct worker *worker)
{
    struct run *run = worker->run;
    run->env->lock_take(run->env, run->gate);
    while (run->is_alone) {
        run->env->lock_wait(run->env, run->gate);
    }
    run->busy_count++;
    worker->is_busy = true;
    run->env->lock_give(run->env, run->gate);
}

void gate_leave(struct worker *worker)
{
    struct run *run = worker->run;
    if (worker->is_busy) {
        run->env->lock_take(run->env, run->gate);
        run->busy_count--;
        worker->is_busy = false;
        run->env->lock_wake_all(run->env, run->gate);
        run->env->lock_give(run->env, run->gate);
    }
}

void gate_yield(struct worker *worker, size_t partition_bytes)
{
    struct run *run = worker->run;
    bool is_wanted = __atomic_load_n(&run->is_alone, __ATOMIC_RELAXED);
    size_t much = partition_bytes + run->memory_bytes / 4 / (size_t)run->threads;
    if (is_wanted || worker->scratch.held_bytes > much) {
        arena_trim(&worker->scratch);
    }
    if (is_wanted) {
        gate_leave(worker);
        gate_enter(worker);
    }
}

void gate_begin_alone(struct worker *worker)
{
    struct run *run = worker->run;
    gate_leave(worker);
    run->env->lock_take(run->env, run->gate);
    while (run->is_alone) {
        run->env->lock_wait(run->env, run->gate);
    }
    __atomic_store_n(&run->is_alone, true, __ATOMIC_RELAXED);
    worker->is_alone = true;
    while (run->busy_count > 0) {
        run->env->lock_wait(run->env, run->gate);
    }
    run->env->lock_give(run->env, run->gate);
}

void gate_end_alone(struct worker *worker)
{
    struct run *run = worker->run;
    if (worker->is_alone) {
        run->env->lock_take(run->env, run->gate);
        __atomic_store_n(&run->is_alone, false, __ATOMIC_RELAXED);
        worker->is_alone = false;
        run->env->lock_wake_all(run->env, run->gate);
        run->env->lock_give(run->env, run->gate);
    }
}
