/* gate.c - see gate.h. */
#include "engine/gate.h"

#include <assert.h>

#include "engine/room.h"
#include "engine/texts.h"
#include "feed/output.h"

void gate_enter(struct worker *worker)
{
    struct run *run = worker->run;
    run->env->lock_take(run->env, run->gate.lock);
    while (run->gate.is_alone) {
        run->env->lock_wait(run->env, run->gate.lock);
    }
    run->gate.busy_count++;
    worker->settle.is_busy = true;
    run->env->lock_give(run->env, run->gate.lock);
}

void gate_leave(struct worker *worker)
{
    struct run *run = worker->run;
    if (worker->settle.is_busy) {
        run->env->lock_take(run->env, run->gate.lock);
        run->gate.busy_count--;
        worker->settle.is_busy = false;
        run->env->lock_wake_all(run->env, run->gate.lock);
        run->env->lock_give(run->env, run->gate.lock);
    }
}

void gate_yield(struct worker *worker)
{
    struct run *run = worker->run;
    bool is_wanted = __atomic_load_n(&run->gate.is_alone, __ATOMIC_RELAXED);
    size_t much = run->memory_bytes / 4 / (size_t)run->threads;
    if (is_wanted || worker->scratch.held_bytes > much) {
        arena_trim(&worker->scratch);
        arena_trim(&worker->handed);
    }
    if (is_wanted) {
        gate_leave(worker);
        gate_enter(worker);
    }
}

/* The others are outside: nobody else uses what they have. */
static enum status put_aside(struct worker *worker)
{
    struct run *run = worker->run;
    for (int i = 0; i < run->threads; i++) {
        struct worker *other = &run->workers[i];
        if (other->settle.texts) {
            TRY(texts_put_aside(other, &worker->err));
        }
        if (other->settle.texts || other == worker) {
            assert(!other->scratch.current);
            room_clear(&other->scratch);
        }
    }
    TRY(spool_put_out(run->records, &worker->err));
    TRY(spool_put_out(run->verdicts, &worker->err));
    output_be_lean(run->output, true);
    return OK;
}

enum status gate_begin_alone(struct worker *worker)
{
    struct run *run = worker->run;
    gate_leave(worker);
    run->env->lock_take(run->env, run->gate.lock);
    while (run->gate.is_alone) {
        run->env->lock_wait(run->env, run->gate.lock);
    }
    __atomic_store_n(&run->gate.is_alone, true, __ATOMIC_RELAXED);
    worker->settle.is_alone = true;
    while (run->gate.busy_count > 0) {
        run->env->lock_wait(run->env, run->gate.lock);
    }
    run->env->lock_give(run->env, run->gate.lock);
    enum status status = put_aside(worker);
    if (status != OK) {
        gate_end_alone(worker);
        gate_enter(worker);
    }
    return status;
}

void gate_end_alone(struct worker *worker)
{
    struct run *run = worker->run;
    if (worker->settle.is_alone) {
        output_be_lean(run->output, false);
        run->env->lock_take(run->env, run->gate.lock);
        __atomic_store_n(&run->gate.is_alone, false, __ATOMIC_RELAXED);
        worker->settle.is_alone = false;
        run->env->lock_wake_all(run->env, run->gate.lock);
        run->env->lock_give(run->env, run->gate.lock);
    }
}
