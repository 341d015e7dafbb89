/* bucket.c - where rows accumulate, and what is carried from bill to bill.
 *
 * The key of a bucket within a run is made of indices, and of texts only for resources and by
 * values. Its name, which goes into closings and explanations, is made of texts, so that it is the
 * same in every run and with every version of the catalog that keeps the names.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "price/line_key.h"
#include "price/work.h"

#include "base/nofloat.h"

static const uint32_t FREE = 0xFFFFFFFFu;

static uint32_t scope_account(const struct work *work, const struct step *step,
                              const struct contract *contract, uint32_t account);

struct period turn_find(struct work *work, const struct step *step, const struct contract *contract,
                        uint32_t account, instant at)
{
    struct clock anchored;
    const struct clock *clock = &step->rule;
    const void *owner = &step->rule;
    switch (step->clock) {
    case CLOCK_ROW:
        return (struct period){at, at};
    case CLOCK_ALWAYS:
        return (struct period){INSTANT_MIN, INSTANT_MAX};
    case CLOCK_PERIOD:
        return pricing_turn(work->pricing, at);
    case CLOCK_RULE:
        break;
    case CLOCK_CONTRACT:
        if (contract) {
            anchored = clock_since(step->rule, contract->from);
            clock = &anchored;
            owner = contract;
        }
        break;
    case CLOCK_ACCOUNT:
        account = scope_account(work, step, contract, account);
        anchored = clock_since(step->rule, work->pricing->accounts->items[account].since);
        clock = &anchored;
        break;
    }
    const bool is_anchored = step->clock == CLOCK_CONTRACT || step->clock == CLOCK_ACCOUNT;
    if (!is_anchored && work->turn_of == owner && period_has(work->turn, at)) {
        return work->turn;
    }
    work->turn_of = is_anchored ? NULL : owner;
    work->turn = clock_turn(clock, at);
    return work->turn;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint32_t scope_account(const struct work *work, const struct step *step,
                              const struct contract *contract, uint32_t account)
{
    switch (step->scope) {
    case SCOPE_RESOURCE:
    case SCOPE_ACCOUNT:
        return account;
    case SCOPE_CONTRACT:
        return contract ? accounts_buyer(work->pricing->accounts, contract) : work->pricing->payer;
    case SCOPE_ORGANIZATION:
        break;
    }
    return work->pricing->payer;
}

/* A private step sees the rows of one SKU, also in a price for many; a shared one pools them.  What
 * a shared step in front of it charges has none: where the price is for one, it is of that. */
static uint32_t sku_of(const struct step *step, const struct charge *charge)
{
    const struct price *price = charge->price;
    bool is_of_price = charge->sku == NONE && price && price->skus && price->sku_count == 1;
    return step->shared != NONE ? NONE : is_of_price ? price->skus[0] : charge->sku;
}

static void add_part(struct buffer *key, struct text part)
{
    uint32_t size = (uint32_t)part.size;
    buffer_add(key, &size, sizeof size);
    buffer_add_text(key, part);
}

/* A version that is computed of the whole bucket shares none with one in order: what either has
 * emitted is not of the other's curve. */
static bool is_whole(const struct step *step)
{
    return step->kind == STEP_TIER
               ? step_is_whole(step)
               : (step->kind == STEP_DISCOUNT || step->kind == STEP_MARKUP) && step_settles(step);
}

/* A version that restarts has buckets of its own. */
static instant restart_of(const struct step *step, const struct charge *charge)
{
    return step->on_change_restart ? charge->price->from : 0;
}

static struct bucket *add_bucket(struct work *work)
{
    if (work->bucket_count == work->bucket_capacity) {
        uint32_t capacity = work->bucket_capacity ? work->bucket_capacity * 2 : 16;
        work->buckets = arena_grow(work->arena, work->buckets, work->bucket_count, capacity,
                                   sizeof *work->buckets);
        work->bucket_capacity = capacity;
        size_t slot_count = (size_t)capacity * 4;
        work->bucket_slots = arena_alloc(work->arena, slot_count * sizeof *work->bucket_slots);
        memset(work->bucket_slots, 0xFF, slot_count * sizeof *work->bucket_slots);
        work->bucket_mask = (uint32_t)(slot_count - 1);
        for (uint32_t i = 0; i < work->bucket_count; i++) {
            uint32_t at = (uint32_t)work->buckets[i].hash & work->bucket_mask;
            while (work->bucket_slots[at] != FREE) {
                at = (at + 1) & work->bucket_mask;
            }
            work->bucket_slots[at] = i;
        }
    }
    return &work->buckets[work->bucket_count++];
}

/* Turns of several clocks may begin at one instant, and their buckets then have one name. */
static const struct bucket_state *find_opening(const struct pricing *pricing, struct text key,
                                               instant turn_to)
{
    const struct bucket_state wanted = {.key = key, .turn.to = turn_to};
    uint32_t low = 0, high = pricing->opening_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = bucket_state_compare(&pricing->opening[middle], &wanted);
        if (order == 0) {
            return &pricing->opening[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* Which by values and resource a bucket has. */
static void copy_parts(struct work *work, const struct step *step, const struct charge *charge,
                       struct bucket *bucket)
{
    if (step->by_count > 0) {
        struct text *by = arena_calloc(work->arena, step->by_count, sizeof *by);
        for (uint32_t i = 0; i < step->by_count; i++) {
            by[i] = charge_key_value(work, charge, step->by[i]);
        }
        bucket->by = by;
        bucket->by_count = step->by_count;
    }
    if (step->scope == SCOPE_RESOURCE) {
        bucket->resource = charge_key_value(work, charge, (struct by_key){BY_RESOURCE, 0});
    }
}

/* True of what is rounded at the line: its bucket is what becomes one line, and ends with the bill.
 */
static bool is_of_line(const struct step *step)
{
    return (step->kind == STEP_ROUND && step->round.at == ROUND_AT_LINE) ||
           (step->kind == STEP_TAX && step->tax.at == TAX_AT_LINE);
}

/* True of a bucket that ends with the bill, whatever its turn: what it shares is what the bill has.
 */
static bool is_of_bill(const struct step *step)
{
    return is_of_line(step) || step->kind == STEP_ALLOCATE;
}

static struct text make_parts(struct work *work, const struct step *step,
                              const struct charge *charge)
{
    struct buffer parts;
    buffer_init(&parts, work->arena, 256);
    if (is_of_line(step)) {
        line_key_add(work->arena, work->pricing, charge, &parts);
    }
    if (step->scope == SCOPE_RESOURCE) {
        add_part(&parts, charge_key_value(work, charge, (struct by_key){BY_RESOURCE, 0}));
    }
    for (uint32_t i = 0; i < step->by_count; i++) { /* versions may differ in their keys */
        buffer_add(&parts, &step->by[i], sizeof step->by[i]);
        add_part(&parts, charge_key_value(work, charge, step->by[i]));
    }
    return buffer_text(&parts);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static uint64_t hash_key(const struct bucket_key *key)
{
    uint64_t hash = mix(0, (uint64_t)key->node << 32 | key->account);
    hash = mix(hash, (uint64_t)key->sku << 32 | key->contract);
    hash = mix(hash, (uint64_t)key->turn.from);
    hash = mix(hash, (uint64_t)key->version);
    return key->parts.size > 0 ? hash_print64(key->parts.at, key->parts.size, hash) : hash;
}

static bool equal_keys(const struct bucket_key *a, const struct bucket_key *b)
{
    return a->node == b->node && a->account == b->account && a->sku == b->sku &&
           a->contract == b->contract && a->turn.from == b->turn.from && a->turn.to == b->turn.to &&
           a->version == b->version && a->scope == b->scope && a->is_whole == b->is_whole &&
           text_equal(a->unit, b->unit) && text_equal(a->parts, b->parts);
}

/* On the clock of rows each is alone, in all components together, and so are one that was made of
 * several and each charge of no row. */
static struct period turn_of_row(const struct work *work, const struct charge *charge)
{
    const instant others = CHARGE_OF_NO_ROW;
    instant own = charge->order == CHARGE_OF_NO_ROW ? others + charge->number
                  : charge->merged                  ? 3 * others + charge->order
                                                    : charge->order / work->orders_of_row;
    return (struct period){own, own};
}

static struct bucket_key make_key(struct work *work, const struct step *step,
                                  const struct charge *charge, struct period turn)
{
    bool by_contract = step->scope == SCOPE_CONTRACT && charge->contract;
    struct bucket_key key = {
        .node = step->node,
        .account = scope_account(work, step, charge->contract, charge->account),
        .sku = sku_of(step, charge),
        .contract = by_contract ? (uint32_t)(charge->contract - work->catalog->contracts) + 1 : 0,
        .is_whole = is_whole(step),
        .scope = step->scope,
        .unit = step->unit,
        .turn = step->clock == CLOCK_ROW ? turn_of_row(work, charge) : turn,
        .version = restart_of(step, charge),
        .parts = TEXT("")};
    if (step->scope == SCOPE_RESOURCE || step->by_count > 0 || is_of_line(step)) {
        key.parts = make_parts(work, step, charge);
    }
    return key;
}

/* Index of the bucket; FREE when there is none. */
static uint32_t look_for(const struct work *work, const struct bucket_key *key, uint64_t hash)
{
    if (!work->bucket_slots) {
        return FREE;
    }
    for (uint32_t at = (uint32_t)hash & work->bucket_mask; work->bucket_slots[at] != FREE;
         at = (at + 1) & work->bucket_mask) {
        const struct bucket *bucket = &work->buckets[work->bucket_slots[at]];
        if (bucket->hash == hash && equal_keys(&bucket->key, key)) {
            return work->bucket_slots[at];
        }
    }
    return FREE;
}

static struct bucket new_bucket(const struct step *step, const struct charge *charge,
                                const struct bucket_key *key, uint64_t hash, struct period turn)
{
    return (struct bucket){.hash = hash,
                           .key = *key,
                           .step = step,
                           .keyed_by = step,
                           .price = charge->price,
                           .contract = charge->contract,
                           .account = key->account,
                           .sku = key->sku,
                           .turn = turn,
                           .last_charge = NONE};
}

bool bucket_is_of(struct work *work, uint32_t bucket, const struct step *step,
                  const struct charge *charge)
{
    struct arena_mark mark = arena_mark(work->arena);
    struct bucket_key key = make_key(work, step, charge, charge_turn(work, step, charge));
    bool is = equal_keys(&work->buckets[bucket].key, &key);
    arena_rewind(work->arena, mark);
    return is;
}

struct dec bucket_peek(struct work *work, const struct step *step, const struct charge *charge)
{
    struct arena_mark mark = arena_mark(work->arena);
    struct period turn = charge_turn(work, step, charge);
    struct bucket_key key = make_key(work, step, charge, turn);
    uint64_t hash = hash_key(&key);
    uint32_t found = look_for(work, &key, hash);
    struct dec x = DEC_ZERO;
    if (found != FREE) {
        x = work->buckets[found].x;
    } else if (work->pricing->opening_count > 0 && step->clock != CLOCK_ROW) {
        struct bucket bucket = new_bucket(step, charge, &key, hash, turn);
        copy_parts(work, step, charge, &bucket);
        const struct bucket_state *state =
            find_opening(work->pricing, bucket_name(work, &bucket), turn.to);
        x = state ? state->x : DEC_ZERO;
    }
    arena_rewind(work->arena, mark);
    return x;
}

bool bucket_find_past(struct work *work, const struct step *step, const struct charge *charge,
                      struct period turn, struct dec *x, struct dec *high, struct dec *events)
{
    struct arena_mark mark = arena_mark(work->arena);
    struct bucket_key key = make_key(work, step, charge, turn);
    uint64_t hash = hash_key(&key);
    uint32_t found = look_for(work, &key, hash);
    bool is_there = found != FREE;
    if (is_there) {
        *x = work->buckets[found].x;
        *high = work->buckets[found].high;
        if (events) {
            *events = work->buckets[found].events;
        }
        work->buckets[found].is_past = true;
    } else if (turn.from >= work->opening_from && work->pricing->opening_count > 0) {
        struct bucket bucket = new_bucket(step, charge, &key, hash, turn);
        copy_parts(work, step, charge, &bucket);
        const struct bucket_state *state =
            find_opening(work->pricing, bucket_name(work, &bucket), turn.to);
        is_there = state != NULL;
        if (is_there) {
            work->notes[state - work->pricing->opening].is_used = true;
            *x = state->x;
            *high = state->high;
            if (events) {
                *events = state->events;
            }
        }
    }
    arena_rewind(work->arena, mark);
    return is_there;
}

enum status bucket_find(struct work *work, const struct step *step, const struct charge *charge,
                        uint32_t *found)
{
    struct period turn = charge_turn(work, step, charge);
    struct arena_mark mark = arena_mark(work->arena);
    struct bucket_key key = make_key(work, step, charge, turn);
    uint64_t hash = hash_key(&key);
    *found = look_for(work, &key, hash);
    if (*found != FREE) {
        arena_rewind(work->arena, mark);
        return OK;
    }
    struct bucket *bucket = add_bucket(work);
    *bucket = new_bucket(step, charge, &key, hash, turn);
    copy_parts(work, step, charge, bucket);
    *found = work->bucket_count - 1;
    uint32_t at = (uint32_t)hash & work->bucket_mask;
    while (work->bucket_slots[at] != FREE) {
        at = (at + 1) & work->bucket_mask;
    }
    work->bucket_slots[at] = *found;
    if (work->pricing->opening_count > 0 && step->clock != CLOCK_ROW && !is_of_bill(step)) {
        const struct bucket_state *state =
            find_opening(work->pricing, bucket_name(work, bucket), turn.to);
        if (state) {
            work->notes[state - work->pricing->opening].is_used = true;
            bucket->is_opened = true;
            bucket->x = bucket->opening_x = state->x;
            bucket->y = state->y;
            bucket->events = state->events;
            bucket->high = state->high;
            bucket->samples = state->samples;
            bucket->sample_count = state->sample_count;
        }
    }
    return OK;
}

bool bucket_is_lone(struct work *work, const struct step *step, const struct charge *charge)
{
    if (!work->is_lone || work->pricing->opening_count > 0 || work->pricing->trace) {
        return false;
    }
    return step->clock == CLOCK_ROW ||
           charge_turn(work, step, charge).to <= work->pricing->cut.to;
}

bool bucket_find_lone(struct work *work, const struct step *step, const struct charge *charge)
{
    if (!bucket_is_lone(work, step, charge)) {
        return false;
    }
    struct bucket *lone = &work->lone;
    lone->step = lone->keyed_by = step;
    lone->turn = charge_turn(work, step, charge);
    lone->values = NULL;
    lone->last_charge = NONE;
    lone->x = lone->y = lone->high = DEC_ZERO;
    lone->y_is_f = false;
    return true;
}

/* ---- names -----------------------------------------------------------------------------------
 *
 * Node, account and turn, then what has a label, so that a name says of which version's scope and
 * keys its bucket is: contract=, override=, scope=, unit=, whole, version=, resource=, sku=, and
 * key:value.  A scope and a unit are said where they are not those of the first version: so a later
 * one that changes them leaves the names of what there was.
 */

enum { NAME_LABELS = 3 }; /* parts before them */

static void add_name(struct buffer *out, struct text text)
{
    buffer_add_encoded(out, text, "|");
}

static struct text node_name(const struct work *work, const struct bucket *bucket)
{
    uint32_t node = bucket->step->node;
    if (node < work->catalog->node_count) {
        return work->catalog->node_names[node];
    }
    return text_format(work->arena, "@override/%.*s/%.*s", TEXT_ARG(bucket->price->name),
                       TEXT_ARG(bucket->step->name));
}

/* The step of the first version of a price; NULL: of an override or a term, which has none. */
static const struct step *first_version(const struct catalog *catalog, const struct step *step)
{
    uint32_t node = step->node;
    uint32_t price = node < catalog->node_count ? catalog->node_price[node] : NONE;
    return price == NONE || step->shared != NONE ? NULL
                                                 : price_step_of(&catalog->prices[price], node);
}

/* What tells the buckets of a version from those of the first: empty when nothing does. */
static struct text scope_label(const struct catalog *catalog, const struct step *step)
{
    const struct step *first = first_version(catalog, step);
    return first && first->scope != step->scope ? scope_text(step->scope) : TEXT("");
}

static struct text unit_label(const struct catalog *catalog, const struct step *step)
{
    const struct step *first = first_version(catalog, step);
    bool differs = first && !text_equal(first->unit, step->unit);
    return !differs ? TEXT("") : step->unit.size > 0 ? step->unit : TEXT("any");
}

struct text bucket_name(struct work *work, const struct bucket *bucket)
{
    const struct step *step = bucket->keyed_by;
    struct buffer out;
    buffer_init(&out, work->arena, 128);
    add_name(&out, node_name(work, bucket));
    buffer_add_char(&out, '|');
    add_name(&out, work->pricing->accounts->items[bucket->account].id);
    buffer_add_char(&out, '|');
    char time[TIME_FORMAT_MAX];
    int size = time_format(bucket->turn.from, time);
    buffer_add(&out, time, (size_t)size);
    if (step->scope == SCOPE_CONTRACT && bucket->contract) {
        buffer_add_text(&out, TEXT("|contract="));
        add_name(&out, bucket->contract->id);
    }
    if (bucket->step->node >= work->catalog->node_count && step->scope != SCOPE_ACCOUNT &&
        step->scope != SCOPE_RESOURCE) { /* else its account is in the name already */
        const struct accounts *accounts = work->pricing->accounts;
        uint32_t override = bucket->price->owner - OWNER_OVERRIDE;
        buffer_add_text(&out, TEXT("|override="));
        add_name(&out, accounts->items[accounts->overrides[override].account].id);
    }
    struct text scope = scope_label(work->catalog, step), unit = unit_label(work->catalog, step);
    if (scope.size > 0) {
        buffer_add_text(&out, TEXT("|scope="));
        add_name(&out, scope);
    }
    if (unit.size > 0) {
        buffer_add_text(&out, TEXT("|unit="));
        add_name(&out, unit);
    }
    if (is_whole(step)) {
        buffer_add_text(&out, TEXT("|whole"));
    }
    if (step->on_change_restart) {
        size = time_format(bucket->price->from, time);
        buffer_add_text(&out, TEXT("|version="));
        buffer_add(&out, time, (size_t)size);
    }
    if (step->scope == SCOPE_RESOURCE) {
        buffer_add_text(&out, TEXT("|resource="));
        add_name(&out, bucket->resource);
    }
    if (step->shared ==
        NONE) { /* mostly the price has its name; some charges on scopes have none */
        struct text sku = bucket->sku == NONE ? TEXT("") : work->catalog->skus[bucket->sku].name;
        if (!text_equal(sku, bucket->price->name)) {
            buffer_add_text(&out, TEXT("|sku="));
            add_name(&out, sku);
        }
    }
    for (uint32_t i = 0; i < bucket->by_count; i++) {
        buffer_add_text(&out, step->by[i].kind == BY_ATTRIBUTE ? TEXT("|attributes.") : TEXT("|"));
        add_name(&out, by_key_name(work->catalog, step->by[i]));
        buffer_add_char(&out, ':');
        add_name(&out, bucket->by[i]);
    }
    return buffer_text(&out);
}

struct text bucket_name_part(struct arena *arena, struct text name, size_t *at)
{
    size_t end = *at;
    while (end < name.size && name.at[end] != '|') {
        end++;
    }
    struct text encoded = {name.at + *at, end - *at}, part = TEXT("");
    (void)text_decode(encoded, arena_alloc(arena, encoded.size + 1), &part);
    *at = end + 1;
    return part;
}

bool bucket_name_label(struct arena *arena, struct text name, struct text label, struct text *value)
{
    uint32_t count = 0;
    for (size_t at = 0; at < name.size; count++) {
        struct text part = bucket_name_part(arena, name, &at);
        if (count >= NAME_LABELS && part.size >= label.size &&
            memcmp(part.at, label.at, label.size) == 0) {
            *value = (struct text){part.at + label.size, part.size - label.size};
            return true;
        }
    }
    *value = TEXT("");
    return false;
}

/* Whether a name has that label with that value; with an empty one, whether it has none. */
static bool has_label(struct arena *arena, struct text name, struct text label, struct text wanted)
{
    struct text value;
    bool is_there = bucket_name_label(arena, name, label, &value);
    return is_there == (wanted.size > 0) && text_equal(value, wanted);
}

bool bucket_name_fits(struct arena *arena, struct text name, const struct catalog *catalog,
                      const struct step *step)
{
    uint32_t labelled = 0, count = 0;
    struct text value;
    for (size_t at = 0; at < name.size; count++) {
        struct text part = bucket_name_part(arena, name, &at);
        const char *colon = memchr(part.at, ':', part.size);
        const char *equals = memchr(part.at, '=', part.size);
        labelled += count >= NAME_LABELS && colon && (!equals || colon < equals);
    }
    if (labelled != step->by_count ||
        (bucket_name_label(arena, name, TEXT("whole"), &value) && value.size == 0) !=
            is_whole(step) ||
        bucket_name_label(arena, name, TEXT("resource="), &value) !=
            (step->scope == SCOPE_RESOURCE) ||
        (bucket_name_label(arena, name, TEXT("contract="), &value) &&
         step->scope != SCOPE_CONTRACT) ||
        !has_label(arena, name, TEXT("scope="), scope_label(catalog, step)) ||
        !has_label(arena, name, TEXT("unit="), unit_label(catalog, step))) {
        return false;
    }
    for (uint32_t i = 0; i < step->by_count; i++) {
        struct text key = by_key_name(catalog, step->by[i]);
        struct text label = text_format(
            arena, "%s%.*s:", step->by[i].kind == BY_ATTRIBUTE ? "attributes." : "", TEXT_ARG(key));
        if (!bucket_name_label(arena, name, label, &value)) {
            return false;
        }
    }
    return true;
}

struct text bucket_commitment_name(struct work *work, uint32_t account, instant turn,
                                   struct text id)
{
    struct buffer out;
    char time[TIME_FORMAT_MAX];
    buffer_init(&out, work->arena, 96);
    buffer_add_text(&out, TEXT("@commitment|")); /* no node is called so: it would have a slash */
    add_name(&out, work->pricing->accounts->items[account].id);
    buffer_add_char(&out, '|');
    int size = time_format(turn, time);
    buffer_add(&out, time, (size_t)size);
    buffer_add_char(&out, '|');
    add_name(&out, id);
    return buffer_text(&out);
}

const struct bucket_state *bucket_opening(struct work *work, struct text name, instant turn_to)
{
    const struct bucket_state *state = find_opening(work->pricing, name, turn_to);
    if (state) {
        work->notes[state - work->pricing->opening].is_used = true;
    }
    return state;
}

/* ---- the keys of a charge on its scope --------------------------------------------------------
 */

/* Values of dimensions, put in their order, and a resource. */
struct key_list {
    uint32_t dimensions[STEP_BY_MAX], count;
    struct text values[STEP_BY_MAX], resource;
};

static void add_key(struct key_list *list, uint32_t dimension, struct text value)
{
    if (value.size == 0 || list->count == STEP_BY_MAX) {
        return;
    }
    uint32_t at = list->count++;
    for (; at > 0 && list->dimensions[at - 1] > dimension; at--) {
        list->dimensions[at] = list->dimensions[at - 1];
        list->values[at] = list->values[at - 1];
    }
    list->dimensions[at] = dimension;
    list->values[at] = value;
}

static const struct bucket_keys *keep_keys(const struct work *work, const struct key_list *list)
{
    if (list->count == 0 && list->resource.size == 0) {
        return NULL;
    }
    struct bucket_keys *keys = arena_alloc(work->arena, sizeof *keys);
    uint32_t *names = arena_alloc(work->arena, (list->count + 1) * sizeof *names);
    struct text *values = arena_alloc(work->arena, (list->count + 1) * sizeof *values);
    memcpy(names, list->dimensions, list->count * sizeof *names);
    memcpy(values, list->values, list->count * sizeof *values);
    *keys = (struct bucket_keys){list->resource, names, values, list->count};
    return keys;
}

const struct bucket_keys *bucket_keys(const struct work *work, const struct step *step,
                                      struct text resource, const struct text *by)
{
    struct key_list list = {.resource = resource};
    for (uint32_t i = 0; by && i < step->by_count; i++) {
        if (step->by[i].kind == BY_RESOURCE) {
            list.resource = by[i];
        } else if (step->by[i].kind == BY_DIMENSION) {
            add_key(&list, step->by[i].index, by[i]);
        }
    }
    return keep_keys(work, &list);
}

static uint32_t find_dimension(const struct catalog *catalog, struct text name)
{
    for (uint32_t i = 0; i < catalog->dimension_count; i++) {
        if (text_equal(catalog->dimensions[i], name)) {
            return i;
        }
    }
    return NONE;
}

const struct bucket_keys *bucket_keys_of_name(const struct work *work, struct text name)
{
    struct key_list list = {.resource = TEXT("")};
    if (!bucket_name_label(work->arena, name, TEXT("resource="), &list.resource)) {
        (void)bucket_name_label(work->arena, name, TEXT("resource:"), &list.resource);
    }
    uint32_t count = 0;
    for (size_t at = 0; at < name.size; count++) {
        struct text part = bucket_name_part(work->arena, name, &at);
        const char *colon = count < NAME_LABELS ? NULL : memchr(part.at, ':', part.size);
        if (!colon) {
            continue;
        }
        struct text key = {part.at, (size_t)(colon - part.at)};
        uint32_t dimension = find_dimension(work->catalog, key);
        if (dimension != NONE) {
            add_key(&list, dimension, (struct text){colon + 1, part.size - key.size - 1});
        }
    }
    return keep_keys(work, &list);
}

/* ---- closing --------------------------------------------------------------------------------- */

static int compare_states(const void *a, const void *b)
{
    return bucket_state_compare(a, b);
}

/* True of a state whose step leaves something for the turns behind it: an allowance until there is
 * usage again, a commitment for the next turn alone (two turns' length reaches to the end of it).
 */
static bool state_rolls_over(const struct work *work, const struct bucket_state *state)
{
    const struct catalog *catalog = work->catalog;
    const char *end = memchr(state->key.at, '|', state->key.size);
    struct text encoded = {state->key.at, end ? (size_t)(end - state->key.at) : 0}, name;
    if (!text_decode(encoded, arena_alloc(work->arena, encoded.size + 1), &name)) {
        return false;
    }
    uint32_t node = map_find(&catalog->node_by_name, name);
    const struct step *step = node == MAP_NONE ? NULL : catalog->node_rolls[node];
    return step && (step->kind == STEP_ALLOWANCE || (work->pricing->cut.to - state->turn.to) / 2 <
                                                        state->turn.to - state->turn.from);
}

enum status bucket_closing(struct work *work, struct priced *priced)
{
    const struct pricing *pricing = work->pricing;
    instant end = pricing->cut.to;
    uint32_t most = work->bucket_count + pricing->opening_count + commitments_closing(work, NULL);
    struct bucket_state *states = arena_calloc(work->arena, most + 1, sizeof *states);
    uint32_t count = commitments_closing(work, states);
    for (uint32_t i = 0; i < work->bucket_count; i++) {
        const struct bucket *bucket = &work->buckets[i];
        bool goes_on = bucket->turn.to > end || (step_rolls_over(bucket->step) && !bucket->is_past);
        if (bucket->step->clock != CLOCK_ROW && goes_on && !is_of_bill(bucket->step)) {
            states[count++] = (struct bucket_state){.key = bucket_name(work, bucket),
                                                    .turn = bucket->turn,
                                                    .x = bucket->x,
                                                    .y = bucket->y,
                                                    .events = bucket->events,
                                                    .high = bucket->high,
                                                    .samples = bucket->samples,
                                                    .sample_count = bucket->sample_count};
        }
    }
    for (uint32_t i = 0; i < pricing->opening_count; i++) {
        if (!work->notes[i].is_used &&
            (pricing->opening[i].turn.to > end || state_rolls_over(work, &pricing->opening[i]))) {
            struct bucket_state *state = &states[count++];
            *state = pricing->opening[i];
            TRY(dec_add(state->y, work->notes[i].emitted, &state->y, work->err));
        }
    }
    if (count > 1) {
        qsort(states, count, sizeof *states, compare_states);
    }
    priced->closing = states;
    priced->closing_count = count;
    return OK;
}
