/* accounts_stage.c - see accounts_stage.h: chunks, names, ids and places. */
#include "catalog/accounts_stage.h"

#include "base/nofloat.h"

void *chunks_add(struct chunks *chunks, struct arena *arena)
{
    assert(chunks->count < NONE - 1);
    uint32_t chunk = chunks->count >> CHUNK_SHIFT;
    if ((chunks->count & (CHUNK_ITEMS - 1)) == 0) {
        if (chunk == chunks->capacity) {
            uint32_t capacity = chunk ? chunk * 2 : 16;
            chunks->chunks =
                arena_grow(arena, chunks->chunks, chunk, capacity, sizeof *chunks->chunks);
            chunks->capacity = capacity;
        }
        chunks->chunks[chunk] = arena_alloc(arena, CHUNK_ITEMS * chunks->item_bytes);
    }
    return chunks_at(chunks, chunks->count++);
}

static void init_names(struct names *names, struct arena *arena)
{
    map_init(&names->map, arena, 8);
    names->items = (struct chunks){.item_bytes = sizeof(struct name)};
}

uint32_t names_add(struct accounts_builder *builder, struct names *names, struct text text,
                   struct where where)
{
    uint32_t found = map_find(&names->map, text);
    if (found != MAP_NONE) {
        return found;
    }
    struct name *name = chunks_add(&names->items, builder->arena);
    *name = (struct name){text_copy(builder->arena, text), where};
    return map_put(&names->map, name->text, names->items.count - 1);
}

/* ---- decimals ------------------------------------------------------------------------------ */

static uint32_t decimal_place(const struct accounts_builder *builder, struct dec value)
{
    uint64_t words[3] = {(uint64_t)value.mantissa, (uint64_t)((u128)value.mantissa >> 64),
                         (uint64_t)value.scale};
    return (uint32_t)hash_print64(words, sizeof words, builder->seed) & builder->decimals.mask;
}

/* The slot of a value, or the empty one where it would be. */
static uint32_t *decimal_slot(const struct accounts_builder *builder, struct dec value)
{
    const struct decimals *decimals = &builder->decimals;
    for (uint32_t at = decimal_place(builder, value);; at = (at + 1) & decimals->mask) {
        uint32_t *slot = &decimals->slots[at];
        const struct dec *known = *slot == NONE ? NULL : chunks_at(&decimals->items, *slot);
        if (!known || (known->mantissa == value.mantissa && known->scale == value.scale)) {
            return slot;
        }
    }
}

static void take_decimal_slots(struct accounts_builder *builder, uint32_t slot_count)
{
    struct decimals *decimals = &builder->decimals;
    decimals->slots = arena_alloc(builder->stage, slot_count * sizeof *decimals->slots);
    decimals->mask = slot_count - 1;
    memset(decimals->slots, 0xFF, slot_count * sizeof *decimals->slots);
    for (uint32_t i = 0; i < decimals->items.count; i++) {
        *decimal_slot(builder, decimals_at(builder, i)) = i;
    }
}

uint32_t decimals_add(struct accounts_builder *builder, struct dec value)
{
    struct decimals *decimals = &builder->decimals;
    uint32_t *slot = decimal_slot(builder, value);
    if (*slot != NONE) {
        return *slot;
    }
    struct dec *item = chunks_add(&decimals->items, builder->stage);
    *item = value;
    *slot = decimals->items.count - 1;
    if (decimals->items.count > decimals->mask / 2) {
        assert(decimals->mask < UINT32_C(1) << 30);
        take_decimal_slots(builder, (decimals->mask + 1) * 2);
    }
    return decimals->items.count - 1;
}

struct dec decimals_at(const struct accounts_builder *builder, uint32_t index)
{
    return *(const struct dec *)chunks_at(&builder->decimals.items, index);
}

/* ---- ids ----------------------------------------------------------------------------------- */

static void take_slots(struct accounts_builder *builder, uint32_t slot_count)
{
    struct id_slot *old = builder->slots;
    uint32_t old_count = old ? builder->slot_mask + 1 : 0;
    builder->slots = arena_alloc(builder->stage, (size_t)slot_count * sizeof *builder->slots);
    builder->slot_mask = slot_count - 1;
    for (uint32_t i = 0; i < slot_count; i++) {
        builder->slots[i].account = NONE;
    }
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i].account != NONE) {
            uint32_t at = old[i].tag & builder->slot_mask;
            while (builder->slots[at].account != NONE) {
                at = (at + 1) & builder->slot_mask;
            }
            builder->slots[at] = old[i];
        }
    }
    /* New ids of 10 bytes and more use up all of it before the next table comes. */
    if (builder->pool_left < old_count * sizeof *old) {
        builder->pool = (unsigned char *)old;
        builder->pool_left = old_count * sizeof *old;
    }
}

/* No id is added from here on. */
void ids_end(struct accounts_builder *builder)
{
    builder->spare = (unsigned char *)builder->slots;
    builder->spare_left = ((size_t)builder->slot_mask + 1) * sizeof *builder->slots;
    builder->slots = NULL;
}

/* Indices that finish needs, where the slots were while there is room. */
uint32_t *indices_take(struct accounts_builder *builder, uint32_t count)
{
    size_t size = ((size_t)count + 1) * sizeof(uint32_t);
    if (builder->spare_left < size) {
        return arena_alloc(builder->stage, size);
    }
    uint32_t *indices = (uint32_t *)(void *)builder->spare;
    builder->spare += size;
    builder->spare_left -= size;
    return indices;
}

static const unsigned char *keep_id(struct accounts_builder *builder, struct text id)
{
    enum { POOL_BYTES = 64 * 1024 };
    if (builder->pool_left < id.size + 1) {
        builder->pool = arena_alloc(builder->stage, POOL_BYTES);
        builder->pool_left = POOL_BYTES;
    }
    unsigned char *at = builder->pool;
    at[0] = (unsigned char)id.size;
    memcpy(at + 1, id.at, id.size);
    builder->pool += id.size + 1;
    builder->pool_left -= id.size + 1;
    return at;
}

/* The account of an id, made when it is new. */
uint32_t ids_add(struct accounts_builder *builder, struct text id, unsigned flags,
                 struct where where)
{
    assert(id.size > 0 && id.size <= ID_MAX_BYTES);
    if (builder->last_account != NONE) {
        struct staged_account *last = account_at(builder, builder->last_account);
        if (text_equal(id_text(last), id)) {
            last->flags |= (uint8_t)flags;
            return builder->last_account;
        }
    }
    uint32_t tag = (uint32_t)hash_print64(id.at, id.size, builder->seed);
    uint32_t at = tag & builder->slot_mask;
    for (; builder->slots[at].account != NONE; at = (at + 1) & builder->slot_mask) {
        if (builder->slots[at].tag == tag) {
            struct staged_account *account = account_at(builder, builder->slots[at].account);
            if (text_equal(id_text(account), id)) {
                account->flags |= (uint8_t)flags;
                return builder->last_account = builder->slots[at].account;
            }
        }
    }
    struct staged_account *account = chunks_add(&builder->accounts, builder->stage);
    *account = (struct staged_account){.id = keep_id(builder, id),
                                       .since = INSTANT_MIN,
                                       .where = where,
                                       .plan = NONE,
                                       .flags = (uint8_t)flags};
    builder->slots[at] = (struct id_slot){tag, builder->accounts.count - 1};
    if (builder->accounts.count > builder->slot_mask / 4 * 3) {
        assert(builder->slot_mask < UINT32_C(1) << 30);
        take_slots(builder, (builder->slot_mask + 1) * 2);
    }
    return builder->last_account = builder->accounts.count - 1;
}

/* ---- complaints ---------------------------------------------------------------------------- */

struct where where_pack(struct accounts_builder *builder, struct place place)
{
    uint32_t file = names_add(builder, &builder->files, place.file, (struct where){0});
    return (struct where){.line = place.line,
                          .file = file < FILES_MAX ? (uint16_t)file : FILES_MAX,
                          .column =
                              place.column < UINT16_MAX ? (uint16_t)place.column : UINT16_MAX};
}

struct place where_unpack(const struct accounts_builder *builder, struct where where)
{
    struct place place = {{"", 0}, where.line, where.column};
    if (where.line > 0 && where.file < builder->files.items.count) {
        place.file = name_at(&builder->files, where.file)->text;
    }
    return place;
}

void stage_init(struct accounts_builder *builder, struct arena *arena, struct arena *stage)
{
    builder->arena = arena;
    builder->stage = stage;
    stage->recover = arena->recover;
    builder->last_account = builder->last_sku = NONE;
    /* Where memory lies decides how long a search takes, and nothing else. */
    const void *place = builder;
    builder->seed = hash_print64(&place, sizeof place, 0);
    take_slots(builder, 1024);
    builder->decimals.items.item_bytes = sizeof(struct dec);
    take_decimal_slots(builder, 1024);
    builder->accounts.item_bytes = sizeof(struct staged_account);
    builder->memberships.item_bytes = sizeof(struct staged_membership);
    builder->overrides.item_bytes = sizeof(struct staged_override);
    builder->conflicts.item_bytes = sizeof(struct staged_conflict);
    builder->settings.item_bytes = sizeof(struct staged_setting);
    builder->commitments.item_bytes = sizeof(struct staged_commitment);
    init_names(&builder->commitment_ids, arena);
    init_names(&builder->offerings, arena);
    init_names(&builder->files, arena);
    init_names(&builder->plans, arena);
    init_names(&builder->zones, arena);
    init_names(&builder->skus, arena);
    init_names(&builder->setting_names, arena);
    init_names(&builder->values, arena);
}
