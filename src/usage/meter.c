/* meter.c - what a meter makes of an event.
 *
 * Most meters read plain members: their place is known when the catalog loads, and they are
 * found by the hash of their path.  Only meters with real expressions fill slots and evaluate, and
 * of the slots only those that their expressions read: filling takes longer than evaluating.
 *
 * meter_apply is the whole of it.  What comes again is remembered, and comes to the same sooner:
 * what a type's only meter reads (struct known_type), which SKU a name is (struct known_sku), and
 * all but the value of what has one tuple of a segment's block (struct plain_tuple).
 */
#include "usage/usage.h"

#include <assert.h>

static const char *const EXCLUSION_NAMES[EXCLUSIONS] = {
    [EXCLUDE_NONE] = "NONE",
    [EXCLUDE_WITHDRAWN] = "WITHDRAWN",
    [EXCLUDE_NO_METER] = "NO_METER",
    [EXCLUDE_NO_ACCOUNT] = "NO_ACCOUNT",
    [EXCLUDE_OUT_OF_PERIOD] = "OUT_OF_PERIOD",
    [EXCLUDE_LATE] = "LATE",
    [EXCLUDE_FIELD_MISSING] = "FIELD_MISSING",
    [EXCLUDE_FIELD_TYPE] = "FIELD_TYPE",
    [EXCLUDE_EXPRESSION] = "EXPRESSION",
    [EXCLUDE_NEGATIVE] = "NEGATIVE",
    [EXCLUDE_UNKNOWN_SKU] = "UNKNOWN_SKU",
    [EXCLUDE_UNPRICED] = "UNPRICED",
    [EXCLUDE_FREE] = "FREE",
};

const char *exclusion_name(enum exclusion exclusion)
{
    assert((unsigned)exclusion < EXCLUSIONS);
    return EXCLUSION_NAMES[exclusion];
}

/* ---- the plan: event type -> meters ---------------------------------------------------------- */

struct meter_plan {
    struct map by_type;
    const uint32_t *meters; /* grouped by type */
    const uint32_t *first;  /* of each type, one more at the end */
};

struct meter_plan *meter_plan_new(struct arena *arena, const struct catalog *catalog)
{
    struct meter_plan *plan = arena_calloc(arena, 1, sizeof *plan);
    map_init(&plan->by_type, arena, catalog->meter_count);
    uint32_t type_count = 0;
    uint32_t *type_of = arena_calloc(arena, catalog->meter_count + 1, sizeof *type_of);
    for (uint32_t m = 0; m < catalog->meter_count; m++) {
        type_of[m] = map_put(&plan->by_type, catalog->meters[m].event_type, type_count);
        type_count += type_of[m] == type_count;
    }
    uint32_t *first = arena_calloc(arena, type_count + 1, sizeof *first);
    uint32_t *meters = arena_calloc(arena, catalog->meter_count + 1, sizeof *meters);
    uint32_t at = 0;
    for (uint32_t type = 0; type < type_count; type++) {
        first[type] = at;
        for (uint32_t m = 0; m < catalog->meter_count; m++) {
            if (type_of[m] == type) {
                meters[at++] = m;
            }
        }
    }
    first[type_count] = at;
    plan->first = first;
    plan->meters = meters;
    return plan;
}

static const uint32_t *meters_of(const struct meter_plan *plan, uint32_t index, uint32_t *count)
{
    if (index == MAP_NONE) {
        *count = 0;
        return NULL;
    }
    *count = plan->first[index + 1] - plan->first[index];
    return plan->meters + plan->first[index];
}

const uint32_t *meter_plan_find(const struct meter_plan *plan, struct text type, uint32_t *count)
{
    return meters_of(plan, map_find(&plan->by_type, type), count);
}

/* ---- applying a meter ------------------------------------------------------------------------ */

/* The slots that the expressions of a meter read; none when all it wants is plain members. */
struct needs {
    const uint32_t *slots;
    uint32_t count;
};

/* Types and SKUs that come again are found by the hash that they have already, and one comparison.
 * Each stands at its hash or up to PROBES - 1 places behind; where all are taken, the newest has
 * the first.  Only what the catalog knows gets in. */
enum { PROBES = 4, KNOWN_BITS_MAX = 13, TYPE_BYTES = 64, SKU_BYTES = 40 };

/* Of a name: its bytes, or where it has no room for them the catalog's. */
static inline struct text known_text(const void *name, size_t room, size_t size)
{
    return (struct text){size <= room ? name : *(const char *const *)name, size};
}

/* A type, and what its meter reads: all in one place, since each step to another one is waited for.
 */
struct known_type {
    _Alignas(64) uint64_t print;
    uint64_t value_path, sku_path;
    const uint32_t *meters; /* that take it */
    uint32_t count;
    uint32_t meter;  /* when it is one */
    uint32_t sku;    /* constant; NONE: the text at sku_path */
    uint32_t number; /* of a constant SKU, as its own */
    enum grain grain;
    bool is_plain; /* see struct plain_measure */
    bool has_expr; /* a filter or a value that is one */
    bool has_value, is_from_text, may_be_negative;
    uint8_t value_at, sku_at; /* where in the last event they were */
    uint8_t size;             /* 0: no type */
    union {
        char bytes[TYPE_BYTES];
        const char *of_catalog; /* a longer one */
    };
};
static_assert(ATTRIBUTE_MAX_BYTES <= UINT8_MAX);

/* A SKU as a meter finds it. */
struct known_sku {
    _Alignas(64) uint64_t print;
    uint32_t meter, sku;
    uint32_t number; /* see struct plain_measure */
    uint32_t size;   /* 0: no SKU */
    union {
        char bytes[SKU_BYTES];
        const char *of_catalog;
    };
};

struct meter_scratch {
    struct arena *arena;
    struct arena_mark mark; /* what the last event's texts took is given back */
    struct expr_value *slots;
    struct expr_env env;
    const struct catalog *catalog;
    instant at;                /* of the event */
    const struct needs *needs; /* of each meter */
    struct known_type *types;
    struct known_sku *skus;
    int type_bits, sku_bits; /* of a hash, that say where it stands */
};

static void mark_slots(const struct expr *expr, bool *is_read)
{
    size_t count;
    const uint32_t *slots = expr_slots(expr, &count);
    for (size_t i = 0; i < count; i++) {
        is_read[slots[i]] = true;
    }
}

static struct needs find_needs(struct arena *arena, const struct meter *meter)
{
    uint32_t room = NAME_MEMBER + meter->member_count;
    bool *is_read = arena_calloc(arena, room, sizeof *is_read);
    if (meter->where) {
        mark_slots(meter->where, is_read);
    }
    if (meter->value && meter->value_member == NONE) {
        mark_slots(meter->value, is_read);
    }
    if (meter->sku_expr && meter->sku_member == NONE) {
        mark_slots(meter->sku_expr, is_read);
    }
    if (meter->resource && meter->resource_member == NONE) {
        mark_slots(meter->resource, is_read);
    }
    if (meter->spread_from && meter->spread_to) {
        mark_slots(meter->spread_from, is_read);
        mark_slots(meter->spread_to, is_read);
    }
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        if (meter->dimensions[i].member == NONE) {
            mark_slots(meter->dimensions[i].value, is_read);
        }
    }
    uint32_t *slots = arena_calloc(arena, room, sizeof *slots);
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < room; slot++) {
        if (is_read[slot]) {
            slots[count++] = slot;
        }
    }
    return (struct needs){slots, count};
}

static enum status call(void *context, uint32_t slot, const struct expr_value *args,
                        size_t arg_count, struct arena *arena, struct expr_value *out,
                        struct error *err)
{
    const struct meter_scratch *scratch = context;
    return catalog_call(scratch->catalog, slot, args, arg_count, scratch->at, arena, out, err);
}

/* A quarter full at most, but for catalogs with thousands. */
static int known_bits(uint32_t count)
{
    int bits = 4;
    while (bits < KNOWN_BITS_MAX && count * 4u > 1u << bits) {
        bits++;
    }
    return bits;
}

/* Of this many places and those behind the last one, all empty, each at a cache line's begin. */
static void *new_known(struct arena *arena, size_t count, size_t size)
{
    enum { LINE_BYTES = 64 };
    uintptr_t at = (uintptr_t)arena_calloc(arena, (count + PROBES) * size + LINE_BYTES, 1);
    return (void *)((at + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES);
}

struct meter_scratch *meter_scratch_new(struct arena *arena, const struct catalog *catalog)
{
    uint32_t members_max = 0;
    struct needs *needs = arena_calloc(arena, catalog->meter_count + 1, sizeof *needs);
    for (uint32_t m = 0; m < catalog->meter_count; m++) {
        uint32_t count = catalog->meters[m].member_count;
        members_max = count > members_max ? count : members_max;
        needs[m] = find_needs(arena, &catalog->meters[m]);
    }
    struct meter_scratch *scratch = arena_calloc(arena, 1, sizeof *scratch);
    scratch->slots = arena_calloc(arena, NAME_MEMBER + members_max, sizeof *scratch->slots);
    scratch->env = (struct expr_env){.slots = scratch->slots, .context = scratch, .call = call};
    scratch->catalog = catalog;
    scratch->needs = needs;
    scratch->type_bits = known_bits(catalog->meter_count);
    scratch->sku_bits = known_bits(catalog->sku_count);
    scratch->types = new_known(arena, (size_t)1 << scratch->type_bits, sizeof *scratch->types);
    scratch->skus = new_known(arena, (size_t)1 << scratch->sku_bits, sizeof *scratch->skus);
    scratch->arena = arena;
    scratch->mark = arena_mark(arena);
    return scratch;
}

/* What a type's meter reads, when it is plain. */
static void plan_plain(const struct catalog *catalog, struct known_type *known)
{
    if (known->count != 1) {
        return;
    }
    const struct meter *meter = &catalog->meters[known->meters[0]];
    known->meter = known->meters[0];
    known->is_plain = !meter->resource && !meter->spread_from && meter->dimension_count == 0 &&
                      !meter_keeps_key(meter) && (!meter->sku_expr || meter->sku_member != NONE);
    if (!known->is_plain) {
        return;
    }
    known->grain = meter->grain;
    known->has_expr = meter->where || (meter->value && meter->value_member == NONE);
    known->has_value = meter->value && meter->value_member != NONE;
    known->value_path = known->has_value ? meter->members[meter->value_member] : 0;
    known->is_from_text = meter->value_from_text;
    known->may_be_negative = meter->negative;
    known->sku = meter->sku_expr ? NONE : meter->sku;
    known->number = NONE;
    known->sku_path = meter->sku_expr ? meter->members[meter->sku_member] : 0;
}

__attribute__((cold, noinline)) static struct known_type *learn_type(struct meter_scratch *scratch,
                                                                     const struct event *event,
                                                                     const uint32_t *meters,
                                                                     uint32_t count)
{
    struct text type = event->type;
    uint64_t print = event->type_print;
    struct known_type *home = &scratch->types[print >> (64 - scratch->type_bits)], *known = home;
    while (known < home + PROBES && known->size > 0) {
        known++;
    }
    known = known < home + PROBES ? known : home;
    *known = (struct known_type){
        .print = print, .meters = meters, .count = count, .size = (uint8_t)type.size};
    if (type.size <= TYPE_BYTES) {
        memcpy(known->bytes, type.at, type.size);
    } else {
        known->of_catalog = scratch->catalog->meters[meters[0]].event_type.at;
    }
    plan_plain(scratch->catalog, known);
    return known;
}

__attribute__((cold, noinline)) static struct known_sku *
learn_sku(struct meter_scratch *scratch, uint32_t meter, uint64_t print, struct text name)
{
    uint32_t sku = print == 0 ? MAP_NONE : map_find(&scratch->catalog->sku_by_name, name);
    if (sku == MAP_NONE || name.size == 0) {
        return NULL;
    }
    struct known_sku *home = &scratch->skus[print >> (64 - scratch->sku_bits)], *known = home;
    while (known < home + PROBES && known->size > 0) {
        known++;
    }
    known = known < home + PROBES ? known : home;
    *known = (struct known_sku){
        .print = print, .meter = meter, .sku = sku, .number = NONE, .size = (uint32_t)name.size};
    if (name.size <= SKU_BYTES) {
        memcpy(known->bytes, name.at, name.size);
    } else {
        known->of_catalog = scratch->catalog->skus[sku].name.at;
    }
    return known;
}

/* print: what the member that it is adds to the event's, or 0.  NULL: the map is to be asked. */
static inline struct known_sku *find_sku(struct meter_scratch *scratch, uint32_t meter,
                                         uint64_t print, struct text name)
{
    struct known_sku *known = &scratch->skus[print >> (64 - scratch->sku_bits)];
    for (int i = 0; i < PROBES && known->size > 0; i++, known++) {
        if (known->print == print && known->meter == meter &&
            text_equal(known_text(known->bytes, SKU_BYTES, known->size), name)) {
            return known;
        }
    }
    return learn_sku(scratch, meter, print, name);
}

/* The same of a type that did not come before; NULL where it is not kept. */
__attribute__((noinline)) static struct known_type *
find_new_type(const struct meter_plan *plan, struct meter_scratch *scratch,
              const struct event *event, const uint32_t **meters, uint32_t *count)
{
    *meters = meter_plan_find(plan, event->type, count);
    bool is_learned = event->type_print != 0 && *count > 0;
    return is_learned ? learn_type(scratch, event, *meters, *count) : NULL;
}

/* The type of an event, and the meters that take it. */
static inline struct known_type *find_type(const struct meter_plan *plan,
                                           struct meter_scratch *scratch, const struct event *event,
                                           const uint32_t **meters, uint32_t *count)
{
    const uint64_t print = event->type_print;
    const struct text type = event->type;
    struct known_type *known = &scratch->types[print >> (64 - scratch->type_bits)];
    for (int i = 0; i < PROBES && known->size > 0; i++, known++) {
        if (known->print == print &&
            text_equal(known_text(known->bytes, TYPE_BYTES, known->size), type)) {
            *meters = known->meters;
            *count = known->count;
            return known;
        }
    }
    return find_new_type(plan, scratch, event, meters, count);
}

const uint32_t *meter_find(const struct meter_plan *plan, struct meter_scratch *scratch,
                           const struct event *event, uint32_t *count)
{
    const uint32_t *meters;
    (void)find_type(plan, scratch, event, &meters, count);
    return meters;
}

/* As event_member; where: its place in the event before, which mostly is its place in this one. */
static inline const struct member *member_near(const struct event *event, uint64_t path,
                                               uint8_t *where)
{
    if (*where < event->member_count && event->members[*where].path == path) {
        return &event->members[*where];
    }
    const struct member *member = event_member(event, path);
    *where = member ? (uint8_t)(member - event->members) : 0;
    return member;
}

/* Written where it is read: a value that is copied right after waits for its parts to be stored. */
static inline void set_value_at(const struct event *event, uint64_t path, struct expr_value *out)
{
    const struct member *member = event_member(event, path);
    if (!member) {
        out->type = event_holds(event, path) ? EXPR_OTHER : EXPR_MISSING;
        return;
    }
    switch (member->kind) {
    case MEMBER_TEXT:
        out->type = EXPR_TEXT;
        out->text = member->text;
        return;
    case MEMBER_NUMBER:
        out->type = EXPR_NUMBER;
        out->number = member->number;
        return;
    case MEMBER_BOOL:
        out->type = EXPR_BOOL;
        out->truth = member->truth;
        return;
    case MEMBER_NULL:
        out->type = EXPR_NULL;
        return;
    case MEMBER_EMPTY_OBJECT:
    case MEMBER_EMPTY_ARRAY:
        break;
    }
    out->type = EXPR_OTHER;
}

static struct expr_value value_at(const struct event *event, uint64_t path)
{
    struct expr_value value;
    set_value_at(event, path, &value);
    return value;
}

static void set_text(struct expr_value *out, struct text text)
{
    out->type = EXPR_TEXT;
    out->text = text;
}

static void fill_slots(const struct meter *meter, const struct needs *needs,
                       const struct event *event, struct expr_value *slots)
{
    for (uint32_t i = 0; i < needs->count; i++) {
        uint32_t slot = needs->slots[i];
        if (slot >= NAME_MEMBER) {
            set_value_at(event, meter->members[slot - NAME_MEMBER], &slots[slot]);
            continue;
        }
        switch ((enum meter_slot)slot) {
        case NAME_TYPE:
            set_text(&slots[slot], event->type);
            break;
        case NAME_SOURCE:
            set_text(&slots[slot], event->source);
            break;
        case NAME_ID:
            set_text(&slots[slot], event->id);
            break;
        case NAME_SUBJECT:
            set_text(&slots[slot], event->subject);
            break;
        case NAME_EVENT_TIME:
            slots[slot].type = EXPR_TIME;
            slots[slot].time = event->at;
            break;
        case NAME_MEMBER:
            break;
        }
    }
}

static enum exclusion exclusion_of_fault(const struct expr_value *failed)
{
    switch ((enum expr_fault)failed->failure.fault) {
    case EXPR_FAULT_MISSING:
        return EXCLUDE_FIELD_MISSING;
    case EXPR_FAULT_TYPE:
        return EXCLUDE_FIELD_TYPE;
    default:
        return EXCLUDE_EXPRESSION;
    }
}

/* Text of a value for a key: dimension, resource, SKU. Missing and null are empty; objects and
 * arrays have none. */
static struct text key_text(struct expr_value value, struct arena *arena)
{
    if (value.type == EXPR_TEXT) {
        return value.text;
    }
    if (value.type == EXPR_MISSING || value.type == EXPR_NULL || value.type == EXPR_OTHER) {
        return TEXT("");
    }
    if (value.type == EXPR_NUMBER) {
        char *out = arena_alloc(arena, DEC_FORMAT_MAX);
        int size = dec_format(value.number, out);
        return (struct text){out, (size_t)size};
    }
    if (value.type == EXPR_BOOL) {
        return value.truth ? TEXT("true") : TEXT("false");
    }
    struct buffer buffer;
    buffer_init(&buffer, arena, 64);
    expr_value_format(&value, &buffer);
    return buffer_text(&buffer);
}

/* Of several faults of an event the first in order of precedence counts. */
static void note_fault(enum exclusion *fault, enum exclusion found)
{
    if (found != EXCLUDE_NONE && (*fault == EXCLUDE_NONE || found < *fault)) {
        *fault = found;
    }
}

/* A key that is one plain member, or an expression; fault is set when the expression fails. A
 * missing member is empty text, as dimensions have it (doc/catalog.md). */
static struct text read_key(const struct meter *meter, const struct event *event, uint32_t member,
                            const struct expr *expr, struct meter_scratch *scratch,
                            enum exclusion *fault)
{
    if (member != NONE) {
        const struct member *found = event_member(event, meter->members[member]);
        if (found && found->kind == MEMBER_TEXT) {
            return found->text;
        }
        struct expr_value value = value_at(event, meter->members[member]);
        if (value.type == EXPR_OTHER) {
            note_fault(fault, EXCLUDE_FIELD_TYPE);
        }
        return key_text(value, scratch->arena);
    }
    struct expr_value value;
    if (expr_eval(expr, &scratch->env, scratch->arena, &value, NULL) != OK) {
        note_fault(fault, exclusion_of_fault(&value));
        return TEXT("");
    }
    return key_text(value, scratch->arena);
}

static enum exclusion read_value(const struct meter *meter, const struct event *event,
                                 struct meter_scratch *scratch, struct dec *out)
{
    if (!meter->value) {
        *out = dec_from_int(1);
        return EXCLUDE_NONE;
    }
    if (meter->value_member != NONE) {
        const struct member *member = event_member(event, meter->members[meter->value_member]);
        if (member && member->kind == MEMBER_NUMBER) {
            *out = member->number;
            return EXCLUDE_NONE;
        }
        if (member && member->kind == MEMBER_TEXT && meter->value_from_text) {
            return dec_parse(member->text, out) == NUMBER_OK ? EXCLUDE_NONE : EXCLUDE_FIELD_TYPE;
        }
        enum expr_type type = value_at(event, meter->members[meter->value_member]).type;
        return type == EXPR_MISSING || type == EXPR_NULL ? EXCLUDE_FIELD_MISSING
                                                         : EXCLUDE_FIELD_TYPE;
    }
    struct expr_value value;
    if (expr_eval(meter->value, &scratch->env, scratch->arena, &value, NULL) != OK) {
        return exclusion_of_fault(&value);
    }
    if (value.type != EXPR_NUMBER) {
        return EXCLUDE_FIELD_TYPE;
    }
    /* A state holds 18 digits after the point: a product beyond that is quantized here, once; but
     * usage never becomes none. */
    if (value.number.scale > DEC_SCALE && dec_sign(value.number) != 0 &&
        (dec_round(value.number, DEC_SCALE, ROUND_HALF_EVEN, &value.number, NULL) != OK ||
         dec_is_zero(value.number))) {
        return EXCLUDE_EXPRESSION;
    }
    out->mantissa = value.number.mantissa;
    out->scale = value.number.scale;
    return EXCLUDE_NONE;
}

static enum exclusion read_instant(const struct expr *expr, struct meter_scratch *scratch,
                                   instant *at)
{
    struct expr_value value;
    if (expr_eval(expr, &scratch->env, scratch->arena, &value, NULL) != OK) {
        return exclusion_of_fault(&value);
    }
    if (value.type == EXPR_MISSING || value.type == EXPR_NULL) {
        return EXCLUDE_FIELD_MISSING;
    }
    return value.type == EXPR_TEXT && time_parse(value.text, at) == TIME_OK ? EXCLUDE_NONE
                                                                            : EXCLUDE_FIELD_TYPE;
}

static enum exclusion read_spread(const struct meter *meter, struct meter_scratch *scratch,
                                  struct period *span)
{
    enum exclusion fault = read_instant(meter->spread_from, scratch, &span->from);
    note_fault(&fault, read_instant(meter->spread_to, scratch, &span->to));
    bool is_bad = fault == EXCLUDE_NONE &&
                  (span->to < span->from || span->to - span->from > meter->spread_max_ns);
    return is_bad ? EXCLUDE_EXPRESSION : fault;
}

/* What a unique meter counts: 1, under a key. */
static enum exclusion read_unique(const struct meter *meter, const struct event *event,
                                  struct meter_scratch *scratch, struct text *key)
{
    enum { KEY_MAX_BYTES = 2 * ATTRIBUTE_MAX_BYTES }; /* the room that a source and an id have */
    struct expr_value value;
    if (meter->value_member != NONE) {
        value = value_at(event, meter->members[meter->value_member]);
    } else {
        if (expr_eval(meter->value, &scratch->env, scratch->arena, &value, NULL) != OK) {
            return exclusion_of_fault(&value);
        }
    }
    if (value.type == EXPR_MISSING || value.type == EXPR_NULL) {
        return EXCLUDE_FIELD_MISSING;
    }
    *key = key_text(value, scratch->arena);
    if (value.type == EXPR_OTHER || key->size > KEY_MAX_BYTES) {
        *key = TEXT("");
        return EXCLUDE_FIELD_TYPE;
    }
    return EXCLUDE_NONE;
}

/* What the filter says; *fault is set when it says neither, and then the event counts as matched.
 */
static bool passes_filter(const struct meter *meter, struct meter_scratch *scratch,
                          enum exclusion *fault)
{
    struct expr_value says;
    if (expr_eval(meter->where, &scratch->env, scratch->arena, &says, NULL) != OK) {
        *fault = exclusion_of_fault(&says);
    } else if (says.type != EXPR_BOOL) {
        *fault = EXCLUDE_FIELD_TYPE;
    } else {
        return says.truth;
    }
    return true;
}

/* The filter and the value, where one of them is an expression: what meter_apply does about them.
 */
__attribute__((noinline)) static enum plain_taken take_expressions(struct meter_scratch *scratch,
                                                                   const struct known_type *known,
                                                                   const struct event *event,
                                                                   struct dec *value)
{
    const struct meter *meter = &scratch->catalog->meters[known->meter];
    arena_rewind(scratch->arena, scratch->mark);
    scratch->at = event->at;
    fill_slots(meter, &scratch->needs[known->meter], event, scratch->slots);
    enum exclusion fault = EXCLUDE_NONE;
    if (meter->where && !passes_filter(meter, scratch, &fault)) {
        return PLAIN_LEFT;
    }
    if (fault == EXCLUDE_NONE && !known->has_value) {
        fault = read_value(meter, event, scratch, value);
    }
    return fault == EXCLUDE_NONE ? PLAIN_MEASURED : PLAIN_NOT;
}

/* Keeps what an event with a tuple was measured by, where all others with it are measured by the
 * same: no expression decides, and the SKU's name is the tuple's own. */
static void learn_tuple(struct plain_tuple *tuple, const struct known_type *known,
                        const struct event *event, const struct member *name,
                        const struct plain_measure *found)
{
    if (known->has_expr || (name && !name->is_of_tuple)) {
        return;
    }
    const struct member *value = known->has_value ? event_member(event, known->value_path) : NULL;
    *tuple = (struct plain_tuple){.meter = found->meter,
                                  .sku = found->sku,
                                  .number = *found->number,
                                  .grain = found->grain,
                                  .is_known = true,
                                  .is_from_text = known->is_from_text,
                                  .may_be_negative = known->may_be_negative,
                                  .value_at = value ? (uint16_t)(value - event->members)
                                                    : (uint16_t)MEMBERS_MAX};
}

/* The same as meter_take_plain, of an event with a tuple that is known, and a value that is a
 * number already; else false. */
static inline bool take_tuple(struct plain_tuple *tuple, const struct event *event,
                              struct plain_measure *out)
{
    if (!tuple->is_known) {
        return false;
    }
    if (tuple->value_at < MEMBERS_MAX) {
        const struct member *member = &event->members[tuple->value_at];
        bool is_number =
            member->kind == MEMBER_NUMBER || (tuple->is_from_text && member->has_number);
        if (!is_number || (member->number.mantissa < 0 && !tuple->may_be_negative)) {
            return false;
        }
        out->value = member->number;
    } else {
        out->value = dec_from_int(1);
    }
    out->meter = tuple->meter;
    out->sku = tuple->sku;
    out->grain = tuple->grain;
    out->number = &tuple->number;
    return true;
}

enum plain_taken meter_take_plain(const struct meter_plan *plan, struct meter_scratch *scratch,
                                  const struct event *event, struct plain_tuple *tuple,
                                  struct plain_measure *out)
{
    if (tuple && take_tuple(tuple, event, out)) {
        return PLAIN_MEASURED;
    }
    struct known_type *known = find_type(plan, scratch, event, &out->meters, &out->meter_count);
    if (!known || !known->is_plain) {
        return PLAIN_NOT;
    }
    struct dec *value = &out->value; /* set in place: a copy waits for what it is of */
    if (known->has_expr) {
        enum plain_taken taken = take_expressions(scratch, known, event, value);
        if (taken != PLAIN_MEASURED) {
            return taken;
        }
    }
    if (known->has_value) {
        const struct member *member = member_near(event, known->value_path, &known->value_at);
        if (!member) {
            return PLAIN_NOT;
        }
        if (member->kind == MEMBER_NUMBER) {
            *value = member->number;
        } else if (member->kind != MEMBER_TEXT || !known->is_from_text ||
                   dec_parse(member->text, value) != NUMBER_OK) {
            return PLAIN_NOT;
        }
    } else if (!known->has_expr) {
        *value = dec_from_int(1);
    }
    if (value->mantissa < 0 && !known->may_be_negative) {
        return PLAIN_NOT;
    }
    out->meter = known->meter;
    out->grain = known->grain;
    const struct member *name = NULL;
    if (known->sku != NONE) {
        out->sku = known->sku;
        out->number = &known->number;
    } else {
        name = member_near(event, known->sku_path, &known->sku_at);
        struct known_sku *sku = name && name->kind == MEMBER_TEXT
                                    ? find_sku(scratch, known->meter, name->print, name->text)
                                    : NULL;
        if (!sku) {
            return PLAIN_NOT;
        }
        out->sku = sku->sku;
        out->number = &sku->number;
    }
    if (tuple && !tuple->is_known) {
        learn_tuple(tuple, known, event, name, out);
    }
    return PLAIN_MEASURED;
}

void meter_apply(const struct catalog *catalog, const struct meter *meter,
                 const struct event *event, struct meter_scratch *scratch, struct measure *out)
{
    arena_rewind(scratch->arena, scratch->mark);
    out->exclusion = EXCLUDE_NONE;
    out->matched = true;
    out->dimension_count = meter->dimension_count;
    out->resource = TEXT("");
    out->sku = meter->sku;
    out->value = DEC_ZERO;
    out->key = TEXT("");

    scratch->at = event->at;
    fill_slots(meter, &scratch->needs[meter - catalog->meters], event, scratch->slots);
    if (meter->where) {
        out->matched = passes_filter(meter, scratch, &out->exclusion);
        if (!out->matched || out->exclusion != EXCLUDE_NONE) {
            return;
        }
    }

    enum exclusion fault;
    if (meter->aggregate == AGGREGATE_UNIQUE) {
        out->value = dec_from_int(1);
        fault = read_unique(meter, event, scratch, &out->key);
    } else {
        fault = read_value(meter, event, scratch, &out->value);
    }
    if (meter->spread_from) {
        note_fault(&fault, read_spread(meter, scratch, &out->spread));
    }
    if (!meter->negative && dec_sign(out->value) < 0) {
        note_fault(&fault, EXCLUDE_NEGATIVE);
    }
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        const struct meter_dimension *dimension = &meter->dimensions[i];
        out->dimensions[i] =
            read_key(meter, event, dimension->member, dimension->value, scratch, &fault);
    }
    if (meter->resource) {
        out->resource =
            read_key(meter, event, meter->resource_member, meter->resource, scratch, &fault);
    }
    if (meter->sku_expr) {
        enum exclusion of_key = EXCLUDE_NONE;
        struct text name =
            read_key(meter, event, meter->sku_member, meter->sku_expr, scratch, &of_key);
        const struct member *member = meter->sku_member == NONE
                                          ? NULL
                                          : event_member(event, meter->members[meter->sku_member]);
        uint64_t print = member && member->kind == MEMBER_TEXT ? member->print : 0;
        const struct known_sku *known =
            find_sku(scratch, (uint32_t)(meter - catalog->meters), print, name);
        out->sku = known ? known->sku : map_find(&catalog->sku_by_name, name);
        if (out->sku == MAP_NONE && of_key == EXCLUDE_NONE) {
            of_key = name.size == 0 ? EXCLUDE_FIELD_MISSING : EXCLUDE_UNKNOWN_SKU;
            out->unknown_sku = name;
        }
        note_fault(&fault, of_key);
    }
    out->exclusion = fault;
}
