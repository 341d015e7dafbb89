/* price.c - rows through steps.
 *
 * Charges wait by (node, order): the least node runs next, over all charges that wait there, in
 * the total order of their rows.  A step passes them on to their next node, which is greater, so
 * each node runs once.  This is all there is to shared steps: prices that use one wait at the same
 * node.  Most charges meet one step and wait once: they are sorted at once, and only what a step
 * passes on goes through a heap.
 */
#include "price/price.h"

#include <assert.h>
#include <stdlib.h>

#include "price/work.h"

#include "base/nofloat.h"

#define NAME(literal)                  \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

struct text charge_kind_text(enum charge_kind kind)
{
    static const struct text NAMES[CHARGE_KINDS] = {
        [CHARGE_USAGE] = NAME("usage"),           [CHARGE_FEE] = NAME("fee"),
        [CHARGE_MINIMUM] = NAME("minimum"),       [CHARGE_CAP] = NAME("cap"),
        [CHARGE_ROUNDING] = NAME("rounding"),     [CHARGE_DISCOUNT] = NAME("discount"),
        [CHARGE_MARKUP] = NAME("markup"),         [CHARGE_TAX] = NAME("tax"),
        [CHARGE_NEGATION] = NAME("negation"),     [CHARGE_OVERAGE] = NAME("overage"),
        [CHARGE_SHORTFALL] = NAME("shortfall"),   [CHARGE_CREDIT] = NAME("credit"),
        [CHARGE_ALLOCATED] = NAME("allocated"),   [CHARGE_COVERED] = NAME("covered"),
        [CHARGE_COMMITMENT] = NAME("commitment"), [CHARGE_UNUSED] = NAME("unused"),
    };
    assert((unsigned)kind < CHARGE_KINDS);
    return NAMES[kind];
}

const char *charge_kind_name(enum charge_kind kind)
{
    return charge_kind_text(kind).at;
}

struct text price_level_text(int level)
{
    static const struct text NAMES[LEVELS] = {
        NAME("override"),       NAME("contract"),   NAME("plan"),         NAME("catalog"),
        NAME("contract terms"), NAME("plan terms"), NAME("catalog terms")};
    assert(level >= 0 && level < LEVELS);
    return NAMES[level];
}

const char *price_level_name(int level)
{
    return price_level_text(level).at;
}

/* ---- waiting charges ------------------------------------------------------------------------- */

static void heap_push(struct work *work, struct sort_key item)
{
    work->heap = arena_room(work->arena, work->heap, work->heap_count, &work->heap_capacity,
                            sizeof *work->heap);
    uint32_t at = work->heap_count++;
    while (at > 0 && sort_is_before(&item, &work->heap[(at - 1) / 2])) {
        work->heap[at] = work->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    work->heap[at] = item;
}

static struct sort_key heap_pop(struct work *work)
{
    struct sort_key top = work->heap[0];
    struct sort_key last = work->heap[--work->heap_count];
    uint32_t at = 0, count = work->heap_count;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && sort_is_before(&work->heap[child + 1], &work->heap[child])) {
            child++;
        }
        if (!sort_is_before(&work->heap[child], &last)) {
            break;
        }
        work->heap[at] = work->heap[child];
        at = child;
    }
    work->heap[at] = last;
    return top;
}

static void queue_push(struct work *work, struct sort_key item)
{
    if (work->queue_count == work->queue_capacity) {
        work->queue = arena_room(work->arena, work->queue, work->queue_count, &work->queue_capacity,
                                 sizeof *work->queue);
    }
    work->queue[work->queue_count++] = item;
}

/* The charge that runs next; NULL when none waits. */
static const struct sort_key *first_waiting(const struct work *work)
{
    const struct sort_key *queued =
        work->queue_at < work->queue_count ? &work->queue[work->queue_at] : NULL;
    const struct sort_key *passed = work->heap_count > 0 ? &work->heap[0] : NULL;
    return !passed || (queued && sort_is_before(queued, passed)) ? queued : passed;
}

static void take_first(struct work *work, const struct sort_key *first)
{
    if (work->heap_count > 0 && first == &work->heap[0]) {
        (void)heap_pop(work);
    } else {
        work->queue_at++;
    }
}

/* ---- charges --------------------------------------------------------------------------------- */

uint32_t work_add_charge(struct work *work, const struct charge *charge)
{
    if (work->charge_count == work->charge_capacity) {
        struct charge copy = *charge; /* it may lie in the array that moves */
        copy.converted = NULL;
        copy.number = work->charge_count;
        work->charges = arena_room(work->arena, work->charges, work->charge_count,
                                   &work->charge_capacity, sizeof *work->charges);
        work->charges[work->charge_count] = copy;
        return work->charge_count++;
    }
    work->charges[work->charge_count] = *charge;
    work->charges[work->charge_count].converted = NULL;
    work->charges[work->charge_count].number = work->charge_count;
    return work->charge_count++;
}

void work_push(struct work *work, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    if (charge->next_step < charge->price->step_count) {
        uint32_t node = charge->price->steps[charge->next_step].node;
        struct sort_key item = {(uint64_t)node << 32 | charge->order,
                                work->sequence++ << 32 | index};
        if (work->is_running) {
            heap_push(work, item);
        } else {
            queue_push(work, item);
        }
    }
}

void work_pass_on(struct work *work, uint32_t index)
{
    struct charge *charge = &work->charges[index];
    charge->next_step = price_step_after(charge->price, charge->next_step);
    work_push(work, index);
}

static bool is_traced(const struct work *work, uint32_t row)
{
    const struct pricing *pricing = work->pricing;
    return pricing->trace && (row == NONE || !pricing->trace_rows || pricing->trace_rows[row]);
}

void work_trace(struct work *work, const struct trace *trace)
{
    if (!is_traced(work, trace->row)) {
        return;
    }
    work->traces = arena_room(work->arena, work->traces, work->trace_count, &work->trace_capacity,
                              sizeof *work->traces);
    work->traces[work->trace_count++] = *trace;
}

void work_trace_bucket(struct work *work, const struct bucket *bucket, struct trace trace)
{
    if (work->pricing->trace) {
        trace.row = trace.charge = NONE;
        trace.account = bucket->account;
        trace.price = bucket->price;
        trace.bucket = bucket_name(work, bucket);
        trace.turn = bucket->turn;
        work_trace(work, &trace);
    }
}

void work_trace_step(struct work *work, uint32_t index, const struct bucket *bucket,
                     struct trace trace)
{
    const struct charge *charge = &work->charges[index];
    if (is_traced(work, charge->row)) {
        trace.row = charge->row;
        trace.charge = index;
        trace.account = charge->account;
        trace.price = charge->price;
        if (bucket) {
            trace.bucket = bucket_name(work, bucket);
            trace.turn = bucket->turn;
        }
        work_trace(work, &trace);
    }
}

enum status work_fail(struct work *work, enum status status, const struct price *price,
                      const struct step *step, uint32_t account)
{
    if (work->err) {
        struct error inner = *work->err;
        const char *form = price->is_terms ? "%.*sterm %.*s, account %.*s: %s"
                                           : "price %.*s, step %.*s, account %.*s: %s";
        (void)fail(work->err, status, form, TEXT_ARG(price->name), TEXT_ARG(step->name),
                   TEXT_ARG(work->pricing->accounts->items[account].id), inner.message);
        memcpy(work->err->hint, inner.hint, sizeof inner.hint);
    }
    return status;
}

enum status work_fail_on(struct work *work, enum status status, const struct price *price,
                         const struct step *step, uint32_t index)
{
    const struct charge *charge = &work->charges[index];
    if (work->err && charge->sku == NONE && charge->step) {
        struct error inner = *work->err;
        (void)fail(work->err, status, "what %.*s charges, which has no SKU: %s",
                   TEXT_ARG(charge->step->name), inner.message);
        memcpy(work->err->hint, inner.hint, sizeof inner.hint);
    }
    return work_fail(work, status, price, step, charge->account);
}

void work_exclude(struct work *work, uint32_t account, enum exclusion reason, uint32_t meter,
                  const struct total *total)
{
    total_add(exclusions_find(&work->excluded, work->arena, account, reason, meter), total);
}

uint32_t work_meter_of(const struct work *work, const struct charge *charge)
{
    return charge->series == NONE ? NONE : charge_series(work->pricing, charge)->meter;
}

/* The quantity leaves for a charge or an exclusion; what is left of a row in the end must be
 * nothing. */
enum status work_take_of_row(struct work *work, const struct charge *charge, struct dec quantity)
{
    if (charge->row == NONE || charge->is_copy) {
        return OK;
    }
    struct dec *left = &work->left[charge->row];
    if (dec_equal(*left, quantity)) {
        *left = DEC_ZERO;
        return OK;
    }
    return dec_subtract(*left, quantity, left, work->err);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* Credits before the rating step take units. */
static bool takes_charges(const struct step *step)
{
    return step_kind_takes_charges(step->kind) &&
           !(step->kind == STEP_CREDIT && step->credit.is_units);
}

/* False when the step lets the charge pass untouched. */
static enum status step_takes(struct work *work, const struct step *step, uint32_t index,
                              bool *takes)
{
    const struct charge *charge = &work->charges[index];
    *takes = takes_charges(step) == charge->has_amount;
    if (!*takes || !step->where) {
        return OK;
    }
    return charge_where(work, step, charge, takes);
}

static enum status run_step(struct work *work, const struct step *step, uint32_t index)
{
    switch (step->kind) {
    case STEP_CONVERT:
        return step_convert_run(work, step, index);
    case STEP_ALLOWANCE:
        return step_allowance_run(work, step, index);
    case STEP_RATE:
        return step_rate_run(work, step, index);
    case STEP_PERCENT:
        return step_percent_run(work, step, index);
    case STEP_FORMULA:
        return step_formula_run(work, step, index);
    case STEP_TIER:
        return step_graduated_run(work, step, index);
    case STEP_TALLY:
        return tally_run(work, index);
    case STEP_CREDIT:
        return step_credit_units(work, step, index);
    case STEP_AGGREGATE: /* these wait for all that comes to their node */
    case STEP_COVER:
    case STEP_BOUND:
    case STEP_ROUND:
    case STEP_DISCOUNT:
    case STEP_MARKUP:
    case STEP_FEE:
    case STEP_TAX:
    case STEP_COMMIT:
    case STEP_ALLOCATE:
    case STEP_FIXED:
        break;
    }
    assert(0 && "a row waits at a step that takes no rows");
    return ERR_CORRUPT;
}

/* ---- charges of no row ---- */

/* Charges of no row (fees, and those on a bucket's scope) that wait at a node.  They come there
 * after all rows, in the order in which other steps happened to make them: they are sorted. */
struct scope_charge {
    const struct charge *charge;
    struct text account, sku, contract;
    uint32_t index;
};
struct scope_charges {
    struct scope_charge *items;
    uint32_t at, count;
};

/* By instant, account, SKU, price, version, contract, step, tier and amount: what is still equal
 * then is equal in all that later steps make of it. */
static int compare_scope_charges(const void *a_item, const void *b_item)
{
    const struct scope_charge *a = a_item, *b = b_item;
    const struct charge *x = a->charge, *y = b->charge;
    int order = (x->at > y->at) - (x->at < y->at);
    order = order ? order : text_compare(a->account, b->account);
    order = order ? order : text_compare(a->sku, b->sku);
    order = order ? order : text_compare(x->price->name, y->price->name);
    order = order ? order : (x->price->from > y->price->from) - (x->price->from < y->price->from);
    order = order ? order : text_compare(a->contract, b->contract);
    order = order ? order : text_compare(x->step->name, y->step->name);
    order = order ? order : (x->tier > y->tier) - (x->tier < y->tier);
    order = order ? order : dec_compare(x->amount, y->amount);
    order = order ? order : dec_compare(x->net, y->net);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

static void gather_scope_charges(struct work *work, uint32_t node, struct scope_charges *scope)
{
    uint32_t capacity = 0;
    for (const struct sort_key *first;
         (first = first_waiting(work)) != NULL && first->high >> 32 == node;) {
        scope->items =
            arena_room(work->arena, scope->items, scope->count, &capacity, sizeof *scope->items);
        uint32_t index = (uint32_t)first->low;
        const struct charge *charge = &work->charges[index];
        scope->items[scope->count++] = (struct scope_charge){
            .charge = charge,
            .account = work->pricing->accounts->items[charge->account].id,
            .sku = charge->sku == NONE ? TEXT("") : work->catalog->skus[charge->sku].name,
            .contract = charge->contract ? charge->contract->id : TEXT(""),
            .index = index};
        take_first(work, first);
    }
    if (scope->count > 1) {
        qsort(scope->items, scope->count, sizeof *scope->items, compare_scope_charges);
    }
}

static bool waits_at(const struct work *work, uint32_t node)
{
    const struct sort_key *first = first_waiting(work);
    return first && first->high >> 32 == node;
}

/* The next charge that waits at the node; false when there is none. */
static bool next_charge(struct work *work, uint32_t node, struct scope_charges *scope,
                        uint32_t *index)
{
    const struct sort_key *first = first_waiting(work);
    if (scope->count == 0 && first && first->high >> 32 == node) {
        if ((uint32_t)first->high != CHARGE_OF_NO_ROW) {
            *index = (uint32_t)first->low;
            take_first(work, first);
            return true;
        }
        gather_scope_charges(work, node, scope);
    }
    if (scope->at == scope->count) {
        return false;
    }
    *index = scope->items[scope->at++].index;
    return true;
}

/* Charges that wait for all others of their node. */
struct entries {
    struct entry *items;
    uint32_t count, capacity;
};

static void add_entry(struct work *work, struct entries *entries, uint32_t index,
                      const struct step *step)
{
    entries->items = arena_room(work->arena, entries->items, entries->count, &entries->capacity,
                                sizeof *entries->items);
    entries->items[entries->count++] = (struct entry){.charge = index, .step = step};
}

/* Rows that wait so at a cover, which may be all of a month: no more is kept of them. */
struct indices {
    uint32_t *items;
    uint32_t count, capacity;
};

static void add_index(struct work *work, struct indices *indices, uint32_t index)
{
    indices->items = arena_room(work->arena, indices->items, indices->count, &indices->capacity,
                                sizeof *indices->items);
    indices->items[indices->count++] = index;
}

/* Charges that a step takes in an order of its own. */
struct line_up {
    uint32_t *items;
    uint32_t at, count;
    bool is_ordered;
};

/* Charges go on from a step over charges as they came, whichever of them it took, and in whatever
 * order: that is this step's alone.  From a step that takes rows, the others go on at once. */
static void go_on(struct work *work, const struct step *step, uint32_t index,
                  struct indices *arrived)
{
    if (takes_charges(step)) {
        add_index(work, arrived, index);
    } else {
        work_pass_on(work, index);
    }
}

static bool has_order(const struct step *step)
{
    return step->order_count > 0 || (step->kind == STEP_CREDIT && step->credit.target_count > 0);
}

/* Those that the node's step takes, sorted; the others pass.  Nothing is done when it takes them
 * in the total order. */
static enum status line_up(struct work *work, uint32_t node, struct scope_charges *scope,
                           struct line_up *ordered, struct indices *arrived)
{
    const struct charge *first = &work->charges[(uint32_t)first_waiting(work)->low];
    uint32_t capacity = 0, index;
    ordered->is_ordered = has_order(&first->price->steps[first->next_step]);
    if (!ordered->is_ordered) {
        return OK;
    }
    while (next_charge(work, node, scope, &index)) {
        const struct charge *charge = &work->charges[index];
        const struct step *step = &charge->price->steps[charge->next_step];
        work->asking = step;
        bool takes;
        enum status status = step_takes(work, step, index, &takes);
        if (status != OK) {
            return work_fail(work, status, charge->price, step, charge->account);
        }
        if (!takes || takes_charges(step)) {
            go_on(work, step, index, arrived);
        }
        if (!takes) {
            continue;
        }
        ordered->items = arena_room(work->arena, ordered->items, ordered->count, &capacity,
                                    sizeof *ordered->items);
        ordered->items[ordered->count++] = index;
    }
    return order_charges(work, NULL, ordered->items, ordered->count);
}

/* The charge that the node runs next. */
static bool next_in_line(struct work *work, uint32_t node, struct scope_charges *scope,
                         struct line_up *ordered, uint32_t *index)
{
    if (!ordered->is_ordered) {
        return next_charge(work, node, scope, index);
    }
    if (ordered->at == ordered->count) {
        return false;
    }
    *index = ordered->items[ordered->at++];
    return true;
}

/* True of a usage step that runs when all rows of its node are there. */
static bool gathers_rows(const struct step *step)
{
    return step->kind == STEP_AGGREGATE ||
           (step->kind == STEP_ALLOWANCE && step->attribute == ATTRIBUTE_PRO_RATA);
}

static enum status run_gathered(struct work *work, struct entries *rows)
{
    const struct entry *first = &rows->items[0];
    if (first->step->kind == STEP_AGGREGATE) {
        return step_aggregate_run(work, rows->items, rows->count);
    }
    const struct step *step = first->step;
    const struct price *price = work->charges[first->charge].price;
    uint32_t account = work->charges[first->charge].account;
    enum status status = step_allowance_share(work, rows->items, rows->count);
    return status == OK ? OK : work_fail(work, status, price, step, account);
}

/* True when the charge that waits first waits alone at its node, and the step there takes rows one
 * by one: so do most charges wait. */
static bool is_alone(const struct work *work, const struct sort_key *first)
{
    const uint64_t node = first->high >> 32;
    const bool is_passed = work->heap_count > 0 && first == &work->heap[0];
    const uint32_t queue_next = work->queue_at + !is_passed;
    if ((uint32_t)first->high == CHARGE_OF_NO_ROW ||
        (queue_next < work->queue_count && work->queue[queue_next].high >> 32 == node)) {
        return false;
    }
    /* In the heap, what is next is on top, or one of the two below. */
    for (uint32_t i = is_passed; i < work->heap_count && i <= 2 * is_passed; i++) {
        if (work->heap[i].high >> 32 == node) {
            return false;
        }
    }
    const struct charge *charge = &work->charges[(uint32_t)first->low];
    const struct step *step = &charge->price->steps[charge->next_step];
    return !has_order(step) && !takes_charges(step) && !step_is_whole(step) &&
           !gathers_rows(step) && step->kind != STEP_COVER;
}

/* Runs a node over the charge that waits there alone. */
static enum status run_alone(struct work *work, const struct sort_key *first)
{
    const uint32_t index = (uint32_t)first->low;
    const struct charge *charge = &work->charges[index];
    const struct price *price = charge->price;
    const struct step *step = &price->steps[charge->next_step];
    const uint32_t account = charge->account;
    take_first(work, first);
    work->is_lone = true;
    work->asking = step;
    bool takes;
    enum status status = step_takes(work, step, index, &takes);
    if (status == OK && takes) {
        status = run_step(work, step, index);
    } else if (status == OK) {
        work_pass_on(work, index);
    }
    return status == OK ? OK : work_fail(work, status, price, step, account);
}

/* Runs one node over all charges that wait there. */
static enum status run_node(struct work *work, uint32_t node)
{
    struct scope_charges scope = {0};
    struct entries waiting = {0}, rows = {0}, charges = {0};
    struct line_up ordered = {0};
    struct indices covered = {0}, arrived = {0};
    uint32_t index;
    bool is_first = true;
    TRY(line_up(work, node, &scope, &ordered, &arrived));
    while (next_in_line(work, node, &scope, &ordered, &index)) {
        work->is_lone =
            is_first && !ordered.is_ordered && scope.at == scope.count && !waits_at(work, node);
        is_first = false;
        const struct price *price = work->charges[index].price;
        const struct step *step = &price->steps[work->charges[index].next_step];
        uint32_t account = work->charges[index].account;
        work->asking = step;
        bool takes;
        enum status status = step_takes(work, step, index, &takes);
        if (status == OK && !ordered.is_ordered && (!takes || takes_charges(step))) {
            go_on(work, step, index, &arrived);
        }
        if (status == OK && !takes) {
            continue;
        }
        if (status == OK && step_is_whole(step)) {
            add_entry(work, &waiting, index, step);
        } else if (status == OK && takes_charges(step)) {
            add_entry(work, &charges, index, step);
        } else if (status == OK && gathers_rows(step)) {
            add_entry(work, &rows, index, step);
        } else if (status == OK && step->kind == STEP_COVER) {
            add_index(work, &covered, index);
        } else if (status == OK) {
            status = run_step(work, step, index);
        }
        if (status != OK) {
            return work_fail(work, status, price, step, account);
        }
    }
    if (rows.count > 0) {
        TRY(run_gathered(work, &rows));
    }
    if (covered.count > 0) {
        TRY(step_cover_run(work, covered.items, covered.count));
    }
    if (charges.count > 0) {
        struct entry *items = charges.items;
        uint32_t count = charges.count;
        if (items[0].step->kind == STEP_CREDIT) {
            TRY(credit_entries(work, &items, &count));
        }
        TRY(step_charge_run(work, items, count));
    }
    for (uint32_t i = 0; i < arrived.count; i++) {
        work_pass_on(work, arrived.items[i]);
    }
    if (waiting.count == 0) {
        return OK;
    }
    const struct charge *first = &work->charges[waiting.items[0].charge];
    const struct price *price = first->price;
    uint32_t account = first->account;
    enum status status = step_whole_run(work, waiting.items, waiting.count);
    return status == OK ? OK : work_fail(work, status, price, waiting.items[0].step, account);
}

static enum status run_nodes(struct work *work)
{
    (void)sort_keys(work->arena, work->queue, work->queue_count);
    work->is_running = true;
    for (;;) {
        const struct sort_key *first = first_waiting(work);
        uint32_t node = first ? (uint32_t)(first->high >> 32) : NONE, due = turn_end_node(work);
        if (node == NONE && due == NONE) {
            break;
        }
        if (node <= due) {
            TRY(is_alone(work, first) ? run_alone(work, first) : run_node(work, node));
        }
        if (due <= node) {
            TRY(turn_end_settle(work, due));
        }
    }
    work->is_running = false;
    work->queue_at = work->queue_count = 0;
    return OK;
}

/* ---- rows to charges ------------------------------------------------------------------------- */

/* By series, and in each row of it by plan, so that accounts of several plans do not drive out each
 * other's prices. */
enum { MEMORY_SERIES = 1 << 10, MEMORY_PLANS_MOST = 8 };
struct price_memory {
    uint32_t plan_mask;
    struct met_price {
        const struct price *price; /* NULL: empty */
        const struct step *steps;  /* its first */
        const void *values;        /* of that one's tiers; NULL */
        uint32_t series, plan;
        int level;
        struct period valid; /* while no price of the catalog changes */
    } met[];
};

static uint32_t plans_of(const struct catalog *catalog)
{
    uint32_t plans = 1;
    while (plans < MEMORY_PLANS_MOST && plans < catalog->plan_count + 1) {
        plans *= 2;
    }
    return plans;
}

size_t price_memory_bytes(const struct catalog *catalog)
{
    return sizeof(struct price_memory) +
           MEMORY_SERIES * plans_of(catalog) * sizeof(struct met_price);
}

struct price_memory *price_memory_new(struct arena *arena, const struct catalog *catalog)
{
    struct price_memory *memory = arena_calloc(arena, 1, price_memory_bytes(catalog));
    memory->plan_mask = plans_of(catalog) - 1;
    return memory;
}

static struct met_price *met_of(struct price_memory *memory, uint32_t series, uint32_t plan)
{
    static_assert(NONE + 1u == 0); /* no plan is the first */
    uint32_t row = series % MEMORY_SERIES * (memory->plan_mask + 1);
    return &memory->met[row + ((plan + 1u) & memory->plan_mask)];
}

void price_memory_ask(const struct price_memory *memory, uint32_t series, uint32_t plan)
{
    __builtin_prefetch(met_of((struct price_memory *)memory, series, plan));
}

void price_memory_ask_price(const struct price_memory *memory, uint32_t series, uint32_t plan)
{
    const struct met_price *met = met_of((struct price_memory *)memory, series, plan);
    if (met->price && met->series == series && met->plan == plan) {
        const char *name = (const char *)&met->steps->name;
        __builtin_prefetch(met->price);
        __builtin_prefetch((const char *)met->price + 64);
        __builtin_prefetch(met->steps);
        __builtin_prefetch((const char *)met->steps + 64);
        __builtin_prefetch((const char *)met->steps + 128);
        __builtin_prefetch(name);
        if (met->values) {
            __builtin_prefetch(met->values);
            __builtin_prefetch((const char *)met->values + 64);
        }
    }
}

/* The price in force for a row, and where it was found. */
static const struct price *find_price(struct work *work, const struct usage_row *row,
                                      const struct series *series, const struct contract *contract,
                                      instant at, int *level)
{
    const struct pricing *pricing = work->pricing;
    const struct account *account = &pricing->accounts->items[row->account];
    const struct price_set *overrides =
        account->override == NONE ? NULL : &pricing->accounts->overrides[account->override].prices;
    /* Of prices of a contract or an override alone nothing is remembered: few have them. */
    struct met_price *met = pricing->memory && !contract && !overrides
                                ? met_of(pricing->memory, row->series, account->plan)
                                : NULL;
    if (met && met->price && met->series == row->series && met->plan == account->plan &&
        period_has(met->valid, at)) {
        *level = met->level;
        return met->price;
    }
    struct dimension_values dimensions = {&work->catalog->meters[series->meter],
                                          series->dimensions};
    const struct price *price = catalog_price(work->catalog, overrides, contract, account->plan,
                                              series->sku, &dimensions, at, level);
    if (met && price) {
        const struct step *first = price->steps;
        bool is_tier = price->step_count > 0 && first->kind == STEP_TIER;
        *met = (struct met_price){.price = price,
                                  .steps = first,
                                  .values = is_tier ? (const void *)first->tier.values : NULL,
                                  .series = row->series,
                                  .plan = account->plan,
                                  .level = *level,
                                  .valid = {catalog_edge_before(work->catalog, at),
                                            catalog_edge_after(work->catalog, at)}};
    }
    return price;
}

void work_start_components(struct work *work, const struct price *price)
{
    uint32_t index = work->charge_count - 1;
    bool is_copy = false;
    for (uint32_t i = 0; i < price->component_count; i++) {
        const struct component *component = &price->components[i];
        if (component->is_fixed) {
            continue;
        }
        struct charge charge = work->charges[index];
        charge.next_step = component->first;
        charge.is_copy = is_copy;
        charge.order += i; /* a row's charges stand in the order of the components */
        if (is_copy) {
            (void)work_add_charge(work, &charge);
        } else {
            work->charges[index].next_step = component->first;
        }
        is_copy = true;
    }
}

static enum status start_row(struct work *work, uint32_t index)
{
    const struct pricing *pricing = work->pricing;
    const struct usage_row *row = &work->rows[index];
    const struct series *series = series_at(pricing->series, row->series);
    const struct meter *meter = &work->catalog->meters[series->meter];
    instant at = row_at(row, pricing->base);
    if (work->last_row.account != row->account || work->last_row.at != at) {
        work->last_row.account = row->account;
        work->last_row.at = at;
        work->last_row.contract =
            accounts_contract(pricing->accounts, work->catalog, row->account, at);
    }
    const struct contract *contract = work->last_row.contract;
    instant slot = pricing->base + (instant)row->slot_s * NS_PER_SECOND;
    int level = LEVEL_CATALOG;
    const struct price *price = find_price(work, row, series, contract, at, &level);
    if (!price) {
        work_exclude(work, row->account, EXCLUDE_UNPRICED, series->meter, &row->total);
        return OK;
    }
    work->left[index] = row->quantity;
    if (work->charge_count == work->charge_capacity) { /* components have taken the room */
        struct charge none = {.of = NONE};
        (void)work_add_charge(work, &none);
        work->charge_count--;
    }
    work->charges[work->charge_count] =
        (struct charge){.kind = CHARGE_USAGE,
                        .level = (int8_t)level,
                        .account = row->account,
                        .sku = series->sku,
                        .series = row->series,
                        .row = index,
                        .order = index * work->orders_of_row,
                        .tier = NONE,
                        .of = NONE,
                        .at = at,
                        .span = {slot, row->to},
                        .price = price,
                        .contract = contract,
                        .event = price->grain == GRAIN_EVENT ? row->event : NULL,
                        .unit = meter->unit,
                        .events = row->total.count,
                        .quantity = row->quantity};
    work->charge_count++;
    if (level == LEVEL_OVERRIDE && work->catalog->tally_count > 0) {
        TRY(tally_start(work, &work->charges[work->charge_count - 1])); /* its price has no tally */
    }
    if (price->component_count > 0) {
        work_start_components(work, price);
    }
    __builtin_prefetch(price->steps);
    __builtin_prefetch((const char *)price->steps + 64);
    __builtin_prefetch(&work->catalog->skus[series->sku]); /* for the bill */
    return OK;
}

/* Rows name prices all over a large catalog, and what is read next of each is seldom in a cache:
 * the steps are fetched while other rows find their prices, tiers while other rows queue up. */
static void push_rows(struct work *work)
{
    for (uint32_t i = 0; i < work->charge_count; i++) {
        const struct price *price = work->charges[i].price;
        if (price->step_count > 0 && price->steps[0].kind == STEP_TIER) {
            const struct step_tier *body = &price->steps[0].tier;
            const char *first =
                body->values ? (const void *)body->values : (const void *)body->tiers;
            __builtin_prefetch(first);
            __builtin_prefetch(first + 64);
            __builtin_prefetch(first + 128);
        }
        work_push(work, i);
    }
}

struct member_spans pricing_members(const struct pricing *pricing, uint32_t account)
{
    const struct member_span *members = pricing->members;
    if (account == NONE) {
        return (struct member_spans){members, pricing->member_count};
    }
    const uint32_t first = sort_first(members, pricing->member_count, sizeof *members,
                                      offsetof(struct member_span, account), account);
    uint32_t end = first;
    while (end < pricing->member_count && members[end].account == account) {
        end++;
    }
    return (struct member_spans){members + first, end - first};
}

struct period pricing_turn(const struct pricing *pricing, instant at)
{
    return period_has(pricing->turn, at) ? pricing->turn : billing_turn(&pricing->billing, at);
}

static enum status fail_count(const struct work *work)
{
    const struct pricing *pricing = work->pricing;
    return fail(work->err, ERR_LIMIT, "payer %.*s: more rows of usage than can be told apart",
                TEXT_ARG(pricing->accounts->items[pricing->payer].id));
}

enum status price_payer(struct arena *arena, const struct pricing *pricing,
                        const struct usage_row *rows, uint32_t row_count, struct priced *priced,
                        struct error *err)
{
    struct work work = {
        .arena = arena, .pricing = pricing, .catalog = pricing->catalog, .rows = rows, .err = err};
    struct bill_money money;
    TRY(pricing_money(pricing, &money, err));
    work.currency = money.currency;
    work.is_by_line = rounding_is_of_lines(money.rounding);
    work.orders_of_row = pricing->catalog->component_most;
    if (((uint64_t)row_count + pricing->source_count) * work.orders_of_row >= CHARGE_OF_NO_ROW) {
        return fail_count(&work);
    }
    work.left = arena_calloc(arena, row_count + 1, sizeof *work.left);
    if (pricing->opening_count > 0) {
        work.notes = arena_calloc(arena, pricing->opening_count, sizeof *work.notes);
        work.opening_from = INSTANT_MAX;
        for (uint32_t i = 0; i < pricing->opening_count; i++) {
            instant from = pricing->opening[i].turn.from;
            bool is_first = from > INSTANT_MIN && from < work.opening_from;
            work.opening_from = is_first ? from : work.opening_from;
        }
    }
    /* Most rows become one charge, and of a common payer's some meet the end of a tier, or of a
     * commitment: room for them at once, so that little is copied. */
    enum { ENDS_MOST = 256 };
    const uint32_t ends = row_count / 2 < ENDS_MOST ? row_count / 2 : ENDS_MOST;
    work.queue_capacity = row_count + 16;
    work.charge_capacity = work.queue_capacity + ends;
    work.charges = arena_alloc(arena, work.charge_capacity * sizeof *work.charges);
    work.queue = arena_alloc(arena, work.queue_capacity * sizeof *work.queue);
    work.last_row.account = NONE;
    enum { ASK_AHEAD = 8 };
    for (uint32_t i = 0; i < row_count && !pricing->source_charges; i++) {
        if (pricing->memory && i + 2 * ASK_AHEAD < row_count) {
            const uint32_t plan = pricing->accounts->items[rows[i].account].plan; /* mostly */
            price_memory_ask(pricing->memory, rows[i + 2 * ASK_AHEAD].series, plan);
            price_memory_ask_price(pricing->memory, rows[i + ASK_AHEAD].series, plan);
        }
        TRY(start_row(&work, i));
    }
    if (pricing->source_charges) {
        TRY(source_start(&work));
    }
    push_rows(&work);
    commitments_find(&work);
    TRY(fixed_emit(&work));
    TRY(credit_open_prices(&work));
    turn_end_prepare(&work);
    TRY(run_nodes(&work));
    TRY(commitments_charge(&work));
    TRY(commitments_close(&work));
    TRY(credit_finish(&work, 0)); /* of prices: terms see what is bought */
    TRY(currency_convert(&work));
    TRY(terms_run(&work));
    if (work.sequence > UINT32_MAX) { /* its numbers came twice */
        return fail_count(&work);
    }
    for (uint32_t i = 0; i < row_count; i++) {
        if (!dec_is_zero(work.left[i])) {
            return fail(err, ERR_CORRUPT,
                        "account %.*s: the lines of a usage row do not add up to its quantity",
                        TEXT_ARG(pricing->accounts->items[rows[i].account].id));
        }
    }
    exclusions_sort(&work.excluded);
    *priced = (struct priced){.money = money,
                              .charges = work.charges,
                              .charge_count = work.charge_count,
                              .excluded = work.excluded.items,
                              .excluded_count = work.excluded.count,
                              .traces = work.traces,
                              .trace_count = work.trace_count};
    TRY(commitments_effective(&work, priced));
    return bucket_closing(&work, priced);
}
