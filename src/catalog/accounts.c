/* accounts.c - see accounts.h.
 *
 *     feed: rows --> staged records, names interned to numbers (small, in chunks that never move)
 *
 *     finish: ids ranked --> accounts --> memberships, trees, contracts --> overrides --> digest
 *
 * Staged records are a few dozen bytes each and final arrays are made once, at their size, because
 * a million of them share 300 MB.  For the same reason nothing big is left lying: a table of ids
 * that was outgrown becomes room for ids, the last one room for finish, and the ranking is sorted
 * in the array that takes the accounts.
 *
 * What a record is about is not known before the last file ended, so all checks that compare
 * records are made in finish, over sorted records: that is what makes the result independent of
 * their order.
 */
#include "catalog/accounts.h"

#include <assert.h>

#include "catalog/complain.h"
#include "catalog/records.h"

#include "base/nofloat.h"

enum {
    COMPLAINTS_KEPT = 100,
    ID_MAX_BYTES = 255,
    LEVELS_MAX = 32, /* of a tree */
    FILES_MAX = 65'535,
    ZONES_MAX = 65'535,
};

enum field {
    FIELD_ID,
    FIELD_ACCOUNT,
    FIELD_ORGANIZATION,
    FIELD_FROM,
    FIELD_TO,
    FIELD_PLAN,
    FIELD_ZONE,
    FIELD_SINCE,
    FIELD_SKU,
    FIELD_UP_TO,
    FIELD_RATE,
    FIELD_FLAT,
    FIELD_SCOPE,
    FIELDS
};
_Static_assert((int)FIELDS <= (int)RECORD_FIELDS_MAX, "a row has a place for every field");

static const struct text FIELD_NAMES[FIELDS] = {
    {"id", 2},   {"account", 7}, {"organization", 12}, {"from", 4}, {"to", 2},
    {"plan", 4}, {"zone", 4},    {"since", 5},         {"sku", 3},  {"up_to", 5},
    {"rate", 4}, {"flat", 4},    {"scope", 5},
};
static const struct text FIELD_ALIASES[FIELDS] = {
    [FIELD_ORGANIZATION] = {"org", 3}, [FIELD_RATE] = {"price", 5}};

#define BIT(field) (1u << (field))
static const uint32_t KIND_FIELDS[RECORD_KINDS] = {
    [RECORD_ACCOUNT] = BIT(FIELD_ID) | BIT(FIELD_ORGANIZATION) | BIT(FIELD_FROM) | BIT(FIELD_TO) |
                       BIT(FIELD_PLAN) | BIT(FIELD_ZONE) | BIT(FIELD_SINCE),
    [RECORD_MEMBERSHIP] =
        BIT(FIELD_ACCOUNT) | BIT(FIELD_ORGANIZATION) | BIT(FIELD_FROM) | BIT(FIELD_TO),
    [RECORD_OVERRIDE] = BIT(FIELD_ACCOUNT) | BIT(FIELD_SKU) | BIT(FIELD_FROM) | BIT(FIELD_TO) |
                        BIT(FIELD_UP_TO) | BIT(FIELD_RATE) | BIT(FIELD_FLAT) | BIT(FIELD_SCOPE),
};
static const char *const KIND_NAMES[RECORD_KINDS] = {"accounts", "memberships", "overrides"};

/* ---- staged records ------------------------------------------------------------------------ */

struct where { /* a place in 8 bytes; line 0: none */
    uint32_t line;
    uint16_t file, column;
};

enum {
    ACCOUNT_KNOWN = 1,    /* something other than an override names it */
    ACCOUNT_DECLARED = 2, /* by a record of its own */
    ACCOUNT_RECORDED = 4, /* by any record; else only a contract names it */
};

struct staged_account {
    const unsigned char *id; /* its length in one byte, then its bytes */
    instant since;
    struct where where;
    uint32_t plan; /* in builder->plans, or NONE */
    uint16_t zone; /* in builder->zones plus one; 0: none */
    uint8_t flags;
};

struct staged_membership {
    uint32_t account, organization;
    instant from, to;
    struct where where;
};

struct staged_override {
    uint32_t account, sku; /* sku in builder->skus */
    instant from, to;
    uint32_t up_to; /* in builder->decimals, or NONE: open */
    uint32_t rate, flat;
    enum scope scope;
    struct where where;
};

struct staged_conflict {
    uint32_t account;
    struct where where;
};

/* An array that grows without moving or wasting what it has. */
enum { CHUNK_SHIFT = 10, CHUNK_ITEMS = 1 << CHUNK_SHIFT };
struct chunks {
    char **chunks;
    uint32_t count, capacity; /* of items; of chunks */
    size_t item_bytes;
};

/* Texts by number, in the order they came. */
struct names {
    struct map map;
    struct chunks items; /* struct name */
};
struct name {
    struct text text;
    struct where where; /* of its first use */
};

struct id_slot {
    uint32_t tag;     /* low half of the hash */
    uint32_t account; /* NONE: empty */
};

struct accounts_builder {
    struct arena *arena;
    const struct zone_source *zone_source;
    struct record_reader *reader;
    struct complaints *complaints;
    uint32_t complaints_kept;

    uint16_t file; /* of the rows being read, in files */
    enum record_kind file_kind;
    bool is_csv;

    struct id_slot *slots;
    uint32_t slot_mask;
    uint64_t seed;
    unsigned char *pool; /* room for ids */
    size_t pool_left;
    unsigned char *spare; /* room for finish: the table of slots, when no more ids come */
    size_t spare_left;

    struct chunks accounts, memberships, overrides, conflicts;
    struct names files, plans, zones, skus, decimals;
};

static void *chunks_at(const struct chunks *chunks, uint32_t index)
{
    return chunks->chunks[index >> CHUNK_SHIFT] + (index & (CHUNK_ITEMS - 1)) * chunks->item_bytes;
}

static void *chunks_add(struct chunks *chunks, struct arena *arena)
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

static struct staged_account *account_at(const struct accounts_builder *builder, uint32_t index)
{
    return chunks_at(&builder->accounts, index);
}

static struct text id_text(const struct staged_account *account)
{
    return (struct text){(const char *)account->id + 1, account->id[0]};
}

static void init_names(struct names *names, struct arena *arena)
{
    map_init(&names->map, arena, 8);
    names->items = (struct chunks){.item_bytes = sizeof(struct name)};
}

static const struct name *name_at(const struct names *names, uint32_t index)
{
    return chunks_at(&names->items, index);
}

static uint32_t add_name(struct accounts_builder *builder, struct names *names, struct text text,
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

enum { DECIMAL_BYTES = 20 };

/* Rates and limits repeat a lot; as numbers they also compare by number. */
static uint32_t add_decimal(struct accounts_builder *builder, struct dec value)
{
    char bytes[DECIMAL_BYTES];
    memcpy(bytes, &value.mantissa, 16);
    memcpy(bytes + 16, &value.scale, 4);
    return add_name(builder, &builder->decimals, (struct text){bytes, sizeof bytes},
                    (struct where){0});
}

static struct dec decimal_at(const struct accounts_builder *builder, uint32_t index)
{
    struct dec value = DEC_ZERO;
    const char *bytes = name_at(&builder->decimals, index)->text.at;
    memcpy(&value.mantissa, bytes, 16);
    memcpy(&value.scale, bytes + 16, 4);
    return value;
}

/* ---- ids ----------------------------------------------------------------------------------- */

static void take_slots(struct accounts_builder *builder, uint32_t slot_count)
{
    struct id_slot *old = builder->slots;
    uint32_t old_count = old ? builder->slot_mask + 1 : 0;
    builder->slots = arena_alloc(builder->arena, (size_t)slot_count * sizeof *builder->slots);
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
static void spare_slots(struct accounts_builder *builder)
{
    builder->spare = (unsigned char *)builder->slots;
    builder->spare_left = ((size_t)builder->slot_mask + 1) * sizeof *builder->slots;
    builder->slots = NULL;
}

/* Indices that finish needs, where the slots were while there is room. */
static uint32_t *take_indices(struct accounts_builder *builder, uint32_t count)
{
    size_t size = ((size_t)count + 1) * sizeof(uint32_t);
    if (builder->spare_left < size) {
        return arena_alloc(builder->arena, size);
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
        builder->pool = arena_alloc(builder->arena, POOL_BYTES);
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
static uint32_t add_id(struct accounts_builder *builder, struct text id, unsigned flags,
                       struct where where)
{
    assert(id.size > 0 && id.size <= ID_MAX_BYTES);
    uint32_t tag = (uint32_t)hash_print64(id.at, id.size, builder->seed);
    uint32_t at = tag & builder->slot_mask;
    for (; builder->slots[at].account != NONE; at = (at + 1) & builder->slot_mask) {
        if (builder->slots[at].tag == tag) {
            struct staged_account *account = account_at(builder, builder->slots[at].account);
            if (text_equal(id_text(account), id)) {
                account->flags |= (uint8_t)flags;
                return builder->slots[at].account;
            }
        }
    }
    struct staged_account *account = chunks_add(&builder->accounts, builder->arena);
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
    return builder->accounts.count - 1;
}

struct accounts_builder *accounts_builder_new(struct arena *arena,
                                              const struct catalog_input *zones)
{
    struct accounts_builder *builder = arena_calloc(arena, 1, sizeof *builder);
    builder->arena = arena;
    builder->zone_source = zones ? zones->zones : NULL;
    builder->reader = records_new(arena, FIELD_NAMES, FIELD_ALIASES, FIELDS);
    /* Where memory lies decides how long a search takes, and nothing else. */
    const void *place = builder;
    builder->seed = hash_print64(&place, sizeof place, 0);
    take_slots(builder, 1024);
    builder->accounts.item_bytes = sizeof(struct staged_account);
    builder->memberships.item_bytes = sizeof(struct staged_membership);
    builder->overrides.item_bytes = sizeof(struct staged_override);
    builder->conflicts.item_bytes = sizeof(struct staged_conflict);
    init_names(&builder->files, arena);
    init_names(&builder->plans, arena);
    init_names(&builder->zones, arena);
    init_names(&builder->skus, arena);
    init_names(&builder->decimals, arena);
    return builder;
}

/* ---- complaints ---------------------------------------------------------------------------- */

static struct where pack_place(struct accounts_builder *builder, struct place place)
{
    uint32_t file = add_name(builder, &builder->files, place.file, (struct where){0});
    return (struct where){.line = place.line,
                          .file = file < FILES_MAX ? (uint16_t)file : FILES_MAX,
                          .column =
                              place.column < UINT16_MAX ? (uint16_t)place.column : UINT16_MAX};
}

static struct place unpack_place(const struct accounts_builder *builder, struct where where)
{
    struct place place = {{"", 0}, where.line, where.column};
    if (where.line > 0 && where.file < builder->files.items.count) {
        place.file = name_at(&builder->files, where.file)->text;
    }
    return place;
}

/* Beyond the number that is kept a complaint counts all the same. */
#define COMPLAIN(builder, place, code, hint, ...)                                         \
    do {                                                                                  \
        if ((builder)->complaints_kept < COMPLAINTS_KEPT) {                               \
            (builder)->complaints_kept++;                                                 \
            complain((builder)->complaints, (place), (code), text_of(hint), __VA_ARGS__); \
        } else {                                                                          \
            (builder)->complaints->errors++;                                              \
        }                                                                                 \
    } while (0)

/* A value for a message: what a record says goes no further than 64 bytes. */
#define SHOWN(text) (int)((text).size < 64 ? (text).size : 64), (text).at

/* ---- rows ---------------------------------------------------------------------------------- */

struct row {
    struct accounts_builder *builder;
    const struct record_row *record;
    bool is_good;
};

static struct place place_of(const struct row *row, enum field field)
{
    return (struct place){name_at(&row->builder->files, row->builder->file)->text,
                          row->record->line, row->record->columns[field]};
}

static struct where where_of(const struct row *row)
{
    return (struct where){row->record->line, row->builder->file, 1};
}

static bool has_controls(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte < 0x20 || byte == 0x7F) {
            return true;
        }
    }
    return false;
}

/* A name of something: an id, a SKU, a plan, a zone. */
static struct text take_name(struct row *row, enum field field, bool is_needed)
{
    struct text value = row->record->values[field];
    const char *name = FIELD_NAMES[field].at;
    if (row->record->numbers >> field & 1) {
        COMPLAIN(row->builder, place_of(row, field), "FIELD_TYPE", "put it into quotes",
                 "'%s' is a number, not a text", name);
        row->is_good = false;
    } else if (value.size == 0 && is_needed) {
        COMPLAIN(row->builder, place_of(row, field), "FIELD_MISSING", "", "'%s' is missing", name);
        row->is_good = false;
    } else if (value.size > ID_MAX_BYTES) {
        COMPLAIN(row->builder, place_of(row, field), "FIELD_LEN", "", "'%s' has more than %d bytes",
                 name, ID_MAX_BYTES);
        row->is_good = false;
    } else if (has_controls(value)) {
        COMPLAIN(row->builder, place_of(row, field), "CTRL_CHAR", "",
                 "'%s' has a control character", name);
        row->is_good = false;
    }
    return value;
}

static instant take_date(struct row *row, enum field field, instant missing)
{
    struct text value = row->record->values[field];
    instant at = missing;
    enum time_fault fault = TIME_OK;
    if (row->record->numbers >> field & 1) {
        fault = TIME_SYNTAX;
    } else if (value.size > 0) {
        fault = time_parse_date(value, NULL, &at);
    }
    if (fault != TIME_OK) {
        COMPLAIN(row->builder, place_of(row, field), time_fault_name(fault),
                 "a date such as 2026-10-01, or a time such as 2026-10-01T12:00:00Z",
                 "'%s' is no date: \"%.*s\"", FIELD_NAMES[field].at, SHOWN(value));
        row->is_good = false;
        return missing;
    }
    if (at % NS_PER_SECOND != 0) {
        COMPLAIN(row->builder, place_of(row, field), "TIME_FRACTION",
                 "rows of usage begin at whole seconds", "'%s' is inside a second: \"%.*s\"",
                 FIELD_NAMES[field].at, SHOWN(value));
        row->is_good = false;
        return missing;
    }
    return at;
}

static struct period take_period(struct row *row)
{
    struct period period = {take_date(row, FIELD_FROM, INSTANT_MIN),
                            take_date(row, FIELD_TO, INSTANT_MAX)};
    if (row->is_good && period.from >= period.to) {
        COMPLAIN(row->builder, place_of(row, FIELD_FROM), "DATE_ORDER",
                 "a period is from the first day on and ends before 'to'",
                 "'from' is not before 'to'");
        row->is_good = false;
    }
    return period;
}

/* A number that is not negative; false when the field is empty. */
static bool take_number(struct row *row, enum field field, struct dec *value)
{
    struct text text = row->record->values[field];
    *value = DEC_ZERO;
    if (text.size == 0) {
        return false;
    }
    enum number_fault fault = dec_parse(text, value);
    if (fault != NUMBER_OK) {
        COMPLAIN(row->builder, place_of(row, field), number_fault_name(fault),
                 "digits with a point at most, 38 in all and 18 behind it",
                 "'%s' is no number: \"%.*s\"", FIELD_NAMES[field].at, SHOWN(text));
        row->is_good = false;
        *value = DEC_ZERO;
    } else if (dec_sign(*value) < 0) {
        COMPLAIN(row->builder, place_of(row, field), "NUM_NEGATIVE", "", "'%s' is negative",
                 FIELD_NAMES[field].at);
        row->is_good = false;
    }
    return true;
}

static enum scope take_scope(struct row *row)
{
    static const struct text names[] = {[SCOPE_RESOURCE] = {"resource", 8},
                                        [SCOPE_ACCOUNT] = {"account", 7},
                                        [SCOPE_ORGANIZATION] = {"organization", 12},
                                        [SCOPE_CONTRACT] = {"contract", 8}};
    struct text value = row->record->values[FIELD_SCOPE];
    if (value.size == 0) {
        return SCOPE_ACCOUNT;
    }
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (text_equal(names[i], value)) {
            return (enum scope)i;
        }
    }
    COMPLAIN(row->builder, place_of(row, FIELD_SCOPE), "UNKNOWN_SCOPE",
             "account (the default), resource, organization or contract", "unknown scope \"%.*s\"",
             SHOWN(value));
    row->is_good = false;
    return SCOPE_ACCOUNT;
}

static void add_membership(struct accounts_builder *builder, uint32_t account,
                           struct text organization, struct period period, struct where where)
{
    uint32_t above = add_id(builder, organization, ACCOUNT_KNOWN | ACCOUNT_RECORDED, where);
    struct staged_membership *membership = chunks_add(&builder->memberships, builder->arena);
    *membership = (struct staged_membership){account, above, period.from, period.to, where};
}

static void declare_account(struct accounts_builder *builder, uint32_t index, struct text plan,
                            struct text zone, instant since, struct where where)
{
    struct staged_account *account = account_at(builder, index);
    uint32_t plan_index = plan.size ? add_name(builder, &builder->plans, plan, where) : NONE;
    uint32_t zone_index = 0;
    if (zone.size && !text_equal(zone, TEXT("UTC"))) {
        zone_index = add_name(builder, &builder->zones, zone, where) + 1;
        if (zone_index > ZONES_MAX) { /* then most are no zones, and finish says so */
            zone_index = ZONES_MAX;
        }
    }
    if (!(account->flags & ACCOUNT_DECLARED)) {
        account->flags |= ACCOUNT_DECLARED;
        account->plan = plan_index;
        account->zone = (uint16_t)zone_index;
        account->since = since;
        account->where = where;
    } else if (account->plan != plan_index || account->zone != zone_index ||
               account->since != since) {
        struct staged_conflict *conflict = chunks_add(&builder->conflicts, builder->arena);
        *conflict = (struct staged_conflict){index, where};
    }
}

static void take_account(struct row *row)
{
    struct accounts_builder *builder = row->builder;
    struct text id = take_name(row, FIELD_ID, true);
    struct text organization = take_name(row, FIELD_ORGANIZATION, false);
    struct text plan = take_name(row, FIELD_PLAN, false);
    struct text zone = take_name(row, FIELD_ZONE, false);
    struct period period = take_period(row);
    instant since = take_date(row, FIELD_SINCE, INSTANT_MIN);
    if (organization.size == 0 &&
        (row->record->values[FIELD_FROM].size || row->record->values[FIELD_TO].size)) {
        COMPLAIN(builder, place_of(row, FIELD_FROM), "FIELD_MISSING",
                 "from and to are those of the membership; the account's own start is 'since'",
                 "'organization' is missing where there are dates");
        row->is_good = false;
    }
    if (!row->is_good) {
        return;
    }
    struct where where = where_of(row);
    uint32_t account = add_id(builder, id, ACCOUNT_KNOWN | ACCOUNT_RECORDED, where);
    declare_account(builder, account, plan, zone, since, where);
    if (organization.size) {
        add_membership(builder, account, organization, period, where);
    }
}

static void take_membership(struct row *row)
{
    struct text id = take_name(row, FIELD_ACCOUNT, true);
    struct text organization = take_name(row, FIELD_ORGANIZATION, true);
    struct period period = take_period(row);
    if (row->is_good) {
        struct where where = where_of(row);
        uint32_t account = add_id(row->builder, id, ACCOUNT_KNOWN | ACCOUNT_RECORDED, where);
        add_membership(row->builder, account, organization, period, where);
    }
}

static void take_override(struct row *row)
{
    struct accounts_builder *builder = row->builder;
    struct text id = take_name(row, FIELD_ACCOUNT, true);
    struct text sku = take_name(row, FIELD_SKU, true);
    struct period period = take_period(row);
    struct dec up_to, rate, flat;
    bool is_closed = take_number(row, FIELD_UP_TO, &up_to);
    bool has_rate = take_number(row, FIELD_RATE, &rate);
    bool has_flat = take_number(row, FIELD_FLAT, &flat);
    enum scope scope = take_scope(row);
    if (row->is_good && !has_rate && !has_flat) {
        COMPLAIN(builder, place_of(row, FIELD_RATE), "FIELD_MISSING",
                 "a price that is free says rate 0", "neither 'rate' nor 'flat' is there");
        row->is_good = false;
    }
    if (row->is_good && is_closed && dec_sign(up_to) == 0) {
        COMPLAIN(builder, place_of(row, FIELD_UP_TO), "TIER_EMPTY", "",
                 "a tier that ends at 0 holds nothing");
        row->is_good = false;
    }
    if (!row->is_good) {
        return;
    }
    struct where where = where_of(row);
    uint32_t account = add_id(builder, id, ACCOUNT_RECORDED, where);
    struct staged_override *override = chunks_add(&builder->overrides, builder->arena);
    *override = (struct staged_override){
        .account = account,
        .sku = add_name(builder, &builder->skus, sku, where),
        .from = period.from,
        .to = period.to,
        .up_to = is_closed ? add_decimal(builder, up_to) : NONE,
        .rate = add_decimal(builder, rate),
        .flat = add_decimal(builder, flat),
        .scope = scope,
        .where = where,
    };
}

/* What the columns say; RECORD_KINDS after a complaint. */
static enum record_kind find_kind(struct accounts_builder *builder, uint32_t present,
                                  struct place place)
{
    enum record_kind kind = present & BIT(FIELD_SKU)            ? RECORD_OVERRIDE
                            : present & BIT(FIELD_ID)           ? RECORD_ACCOUNT
                            : present & BIT(FIELD_ORGANIZATION) ? RECORD_MEMBERSHIP
                                                                : RECORD_KINDS;
    if (kind == RECORD_KINDS) {
        COMPLAIN(builder, place, "UNKNOWN_KIND",
                 "accounts have 'id', memberships 'account' and 'organization', overrides "
                 "'account' and 'sku'",
                 "neither accounts nor memberships nor overrides");
        return kind;
    }
    for (uint32_t i = 0; i < FIELDS; i++) {
        if (present & ~KIND_FIELDS[kind] & BIT(i)) {
            COMPLAIN(builder, place, "UNKNOWN_COLUMN", "", "%s have no column '%s'",
                     KIND_NAMES[kind], FIELD_NAMES[i].at);
            return RECORD_KINDS;
        }
    }
    return kind;
}

static bool take_header(void *context, uint32_t present)
{
    struct accounts_builder *builder = context;
    struct place place = {name_at(&builder->files, builder->file)->text, 1, 1};
    builder->is_csv = true;
    builder->file_kind = find_kind(builder, present, place);
    return builder->file_kind != RECORD_KINDS;
}

static void take_row(void *context, const struct record_row *record)
{
    struct row row = {context, record, true};
    struct accounts_builder *builder = context;
    enum record_kind kind = builder->is_csv
                                ? builder->file_kind
                                : find_kind(builder, record->present, place_of(&row, FIELD_ID));
    switch (kind) {
    case RECORD_ACCOUNT:
        take_account(&row);
        break;
    case RECORD_MEMBERSHIP:
        take_membership(&row);
        break;
    case RECORD_OVERRIDE:
        take_override(&row);
        break;
    case RECORD_KINDS:
        break;
    }
}

static void take_fault(void *context, uint32_t line, uint32_t column, const char *code,
                       const char *message, const char *hint)
{
    struct accounts_builder *builder = context;
    struct place place = {name_at(&builder->files, builder->file)->text, line, column};
    COMPLAIN(builder, place, code, hint, "%s", message);
}

void accounts_feed(struct accounts_builder *builder, struct text file, struct text bytes, bool last,
                   struct complaints *complaints)
{
    static const struct record_sink calls = {NULL, take_header, take_row, take_fault};
    struct record_sink sink = calls;
    sink.context = builder;
    builder->complaints = complaints;
    uint32_t index = add_name(builder, &builder->files, file, (struct where){0});
    builder->file = index < FILES_MAX ? (uint16_t)index : FILES_MAX;
    records_feed(builder->reader, bytes, last, &sink);
    if (last) {
        builder->is_csv = false;
    }
}

void accounts_add(struct accounts_builder *builder, const struct account_record *record)
{
    struct where where = pack_place(builder, record->place);
    uint32_t account = add_id(builder, record->id, ACCOUNT_KNOWN | ACCOUNT_RECORDED, where);
    if (!record->is_implied) {
        declare_account(builder, account, record->plan, record->zone, record->since, where);
    }
    for (uint32_t i = 0; i < record->membership_count; i++) {
        const struct account_membership *membership = &record->memberships[i];
        assert(membership->from < membership->to);
        add_membership(builder, account, membership->organization,
                       (struct period){membership->from, membership->to}, where);
    }
}

/* ---- sorting ------------------------------------------------------------------------------- */

struct keyed { /* sorted by key */
    uint64_t key;
    uint32_t index;
};

/* Least digit first, 11 bits a time; digits that all keys share cost one look.  spare has room for
 * count.  Returns where the sorted ones are: in items or in spare. */
static struct keyed *sort_keyed(struct keyed *items, struct keyed *spare, uint32_t count)
{
    enum { BITS = 11, BUCKETS = 1 << BITS };
    for (uint32_t shift = 0; shift < 64; shift += BITS) {
        uint32_t starts[BUCKETS] = {0};
        for (uint32_t i = 0; i < count; i++) {
            starts[items[i].key >> shift & (BUCKETS - 1)]++;
        }
        if (starts[items[0].key >> shift & (BUCKETS - 1)] == count) {
            continue;
        }
        uint32_t sum = 0;
        for (uint32_t i = 0; i < BUCKETS; i++) {
            uint32_t size = starts[i];
            starts[i] = sum;
            sum += size;
        }
        for (uint32_t i = 0; i < count; i++) {
            spare[starts[items[i].key >> shift & (BUCKETS - 1)]++] = items[i];
        }
        struct keyed *sorted = spare;
        spare = items;
        items = sorted;
    }
    return items;
}

typedef int compare_indices(const void *context, uint32_t a, uint32_t b);

static void sink_down(uint32_t *items, uint32_t at, uint32_t count, compare_indices *compare,
                      const void *context)
{
    uint32_t moving = items[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare(context, items[child], items[child + 1]) < 0) {
            child++;
        }
        if (compare(context, moving, items[child]) >= 0) {
            break;
        }
        items[at] = items[child];
    }
    items[at] = moving;
}

/* A heap: in place, and n log n whatever the input. Not stable, so compare must be total. */
static void sort_indices(uint32_t *items, uint32_t count, compare_indices *compare,
                         const void *context)
{
    for (uint32_t i = count / 2; i-- > 0;) {
        sink_down(items, i, count, compare, context);
    }
    for (uint32_t last = count; last-- > 1;) {
        uint32_t greatest = items[0];
        items[0] = items[last];
        items[last] = greatest;
        sink_down(items, 0, last, compare, context);
    }
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static uint64_t read_eight(struct text text, size_t offset)
{
    uint64_t key = 0;
    for (size_t i = 0; i < 8; i++) {
        key = key << 8 | (offset + i < text.size ? (unsigned char)text.at[offset + i] : 0);
    }
    return key;
}

static int compare_ids(const void *context, uint32_t a, uint32_t b)
{
    const struct accounts_builder *builder = context;
    return text_compare(id_text(account_at(builder, a)), id_text(account_at(builder, b)));
}

static size_t common_size(struct text a, struct text b)
{
    size_t size = a.size < b.size ? a.size : b.size, i = 0;
    while (i < size && a.at[i] == b.at[i]) {
        i++;
    }
    return i;
}

/* Sorts a group of ids that are equal before offset by their next eight bytes, and groups within it
 * likewise.  Ids have no zero byte, so padding with zeros keeps a prefix before what it is a prefix
 * of; depth is at most 255 / 8. */
static void sort_ids(const struct accounts_builder *builder, uint32_t *order, uint32_t count,
                     size_t offset, struct keyed *keyed, struct keyed *spare)
{
    if (count < 64) {
        sort_indices(order, count, compare_ids, builder);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        keyed[i] =
            (struct keyed){read_eight(id_text(account_at(builder, order[i])), offset), order[i]};
    }
    struct keyed *sorted = sort_keyed(keyed, spare, count);
    for (uint32_t i = 0; i < count; i++) {
        order[i] = sorted[i].index;
    }
    /* keyed and spare are used again by the groups, each in its own part of them. */
    for (uint32_t first = 0, next; first < count; first = next) {
        for (next = first + 1; next < count && sorted[next].key == sorted[first].key; next++) {
        }
        if (next - first > 1) {
            sort_ids(builder, order + first, next - first, offset + 8, keyed + first,
                     spare + first);
        }
    }
}

/* ---- finish: accounts ---------------------------------------------------------------------- */

struct finish {
    struct accounts_builder *builder;
    const struct catalog *catalog;
    struct accounts *accounts;
    uint32_t *rank;             /* of staged accounts */
    uint32_t *membership_where; /* staged membership of each final one */
    uint32_t *plans;            /* of names: in catalog->plans */
    const struct zone **zones;  /* of names */
    uint32_t *skus;             /* of names: in catalog->skus */
    struct hash128 sum;         /* of canonical records */
    uint64_t record_count;
};

static void resolve_plans(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    uint32_t count = builder->plans.items.count;
    finish->plans = arena_alloc(builder->arena, (count + 1) * sizeof *finish->plans);
    struct text *names = arena_alloc(builder->arena, (catalog->plan_count + 1) * sizeof *names);
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        names[i] = catalog->plans[i].name;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct name *name = name_at(&builder->plans, i);
        finish->plans[i] = NONE;
        for (uint32_t k = 0; k < catalog->plan_count; k++) {
            if (text_equal(names[k], name->text)) {
                finish->plans[i] = k;
            }
        }
        if (finish->plans[i] == NONE) {
            COMPLAIN(builder, unpack_place(builder, name->where), "UNKNOWN_PLAN",
                     hint_nearest(builder->arena, name->text, names, catalog->plan_count).at,
                     "the catalog has no plan \"%.*s\"", SHOWN(name->text));
        }
    }
}

static void resolve_zones(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    uint32_t count = builder->zones.items.count;
    finish->zones = arena_calloc(builder->arena, count + 1, sizeof *finish->zones);
    for (uint32_t i = 0; i < count; i++) {
        const struct name *name = name_at(&builder->zones, i);
        const struct zone_source *source = builder->zone_source;
        struct text bytes;
        struct error error = {.message = "there is no such zone"};
        bool found = source && source->find(source->context, name->text, &bytes) &&
                     zone_parse(builder->arena, name->text, bytes, &finish->zones[i], &error) == OK;
        if (!found) {
            COMPLAIN(builder, unpack_place(builder, name->where), "UNKNOWN_ZONE",
                     "a name such as Europe/Berlin", "unknown zone \"%.*s\": %.200s",
                     SHOWN(name->text), error.message);
        }
    }
}

static void resolve_skus(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    uint32_t count = builder->skus.items.count;
    struct text *names = NULL;
    finish->skus = arena_alloc(builder->arena, (count + 1) * sizeof *finish->skus);
    for (uint32_t i = 0; i < count; i++) {
        const struct name *name = name_at(&builder->skus, i);
        uint32_t found = map_find(&catalog->sku_by_name, name->text);
        finish->skus[i] = found == MAP_NONE ? NONE : found;
        if (found != MAP_NONE) {
            continue;
        }
        if (!names) {
            names = arena_alloc(builder->arena, (catalog->sku_count + 1) * sizeof *names);
            for (uint32_t k = 0; k < catalog->sku_count; k++) {
                names[k] = catalog->skus[k].name;
            }
        }
        COMPLAIN(builder, unpack_place(builder, name->where), "UNKNOWN_SKU",
                 hint_nearest(builder->arena, name->text, names, catalog->sku_count).at,
                 "the catalog has no SKU \"%.*s\"", SHOWN(name->text));
    }
}

/* The buyer of a contract exists, whether or not a record names it. */
static void add_buyers(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    for (uint32_t i = 0; i < finish->catalog->contract_count; i++) {
        const struct contract *contract = &finish->catalog->contracts[i];
        add_id(builder, contract->buyer, ACCOUNT_KNOWN, pack_place(builder, contract->place));
    }
}

static void rank_accounts(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    struct accounts *accounts = finish->accounts;
    uint32_t count = builder->accounts.count;
    accounts->count = count;
    spare_slots(builder);
    finish->rank = take_indices(builder, count);
    uint32_t *order = take_indices(builder, count);
    /* The accounts come when all is sorted; until then their room is that of the keys. */
    _Static_assert(sizeof(struct account) >= 2 * sizeof(struct keyed), "keys fit, and their copy");
    accounts->items = arena_alloc(builder->arena, ((size_t)count + 1) * sizeof *accounts->items);
    struct keyed *keyed = (struct keyed *)(void *)accounts->items;
    struct keyed *spare = keyed + count;
    size_t common = count ? account_at(builder, 0)->id[0] : 0;
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
        struct text prefix = {(const char *)account_at(builder, 0)->id + 1, common};
        common = common_size(prefix, id_text(account_at(builder, i)));
    }
    sort_ids(builder, order, count, common, keyed, spare);

    map_init(&accounts->by_id, builder->arena, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_account *staged = account_at(builder, order[i]);
        finish->rank[order[i]] = i;
        accounts->items[i] = (struct account){
            .id = id_text(staged),
            .override = NONE,
            .plan = staged->plan == NONE ? NONE : finish->plans[staged->plan],
            .zone = staged->zone ? finish->zones[staged->zone - 1] : NULL,
            .since = staged->since,
        };
        map_put(&accounts->by_id, accounts->items[i].id, i);
    }
}

static void report_conflicts(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    for (uint32_t i = 0; i < builder->conflicts.count; i++) {
        const struct staged_conflict *conflict = chunks_at(&builder->conflicts, i);
        const struct staged_account *account = account_at(builder, conflict->account);
        struct place first = unpack_place(builder, account->where);
        COMPLAIN(builder, unpack_place(builder, conflict->where), "DUPLICATE_ACCOUNT",
                 "an account has one plan, zone and start",
                 "account \"%.*s\" is declared otherwise at %.*s:%u", SHOWN(id_text(account)),
                 SHOWN(first.file), first.line);
    }
}

/* ---- finish: memberships ------------------------------------------------------------------- */

static const struct staged_membership *membership_at(const struct accounts_builder *builder,
                                                     uint32_t index)
{
    return chunks_at(&builder->memberships, index);
}

static int compare_where(struct where a, struct where b)
{
    int order = compare_numbers(a.file, b.file);
    order = order ? order : compare_numbers(a.line, b.line);
    return order ? order : compare_numbers(a.column, b.column);
}

/* By organization, then time: those of one organization stand together. */
static int compare_by_organization(const void *context, uint32_t a, uint32_t b)
{
    const struct staged_membership *x = membership_at(context, a), *y = membership_at(context, b);
    int order = compare_numbers(x->organization, y->organization);
    order = order ? order : (x->from > y->from) - (x->from < y->from);
    order = order ? order : (x->to > y->to) - (x->to < y->to);
    return order ? order : compare_where(x->where, y->where);
}

struct merged { /* a membership on its way, with the record that began it */
    struct membership membership;
    uint32_t staged;
};

static int compare_merged(const struct merged *a, const struct merged *b)
{
    int order =
        (a->membership.from > b->membership.from) - (a->membership.from < b->membership.from);
    return order ? order : compare_numbers(a->membership.organization, b->membership.organization);
}

static int compare_by_time(const void *context, uint32_t a, uint32_t b)
{
    const struct merged *merged = context;
    return compare_merged(&merged[a], &merged[b]);
}

static bool is_undated(const struct staged_membership *membership)
{
    return membership->from == INSTANT_MIN && membership->to == INSTANT_MAX;
}

/* Merges the memberships of one account: items, by organization.  Returns how many there are. */
static uint32_t merge_memberships(const struct finish *finish, const uint32_t *items,
                                  uint32_t count, struct merged *merged)
{
    const struct accounts_builder *builder = finish->builder;
    uint32_t merged_count = 0;
    for (uint32_t first = 0, next; first < count; first = next) {
        uint32_t organization = membership_at(builder, items[first])->organization;
        bool has_dated = false;
        for (next = first; next < count; next++) {
            const struct staged_membership *staged = membership_at(builder, items[next]);
            if (staged->organization != organization) {
                break;
            }
            has_dated = has_dated || !is_undated(staged);
        }
        struct membership *open = NULL;
        for (uint32_t i = first; i < next; i++) {
            const struct staged_membership *staged = membership_at(builder, items[i]);
            if (has_dated && is_undated(staged)) {
                continue;
            }
            if (open && staged->from <= open->to) {
                open->to = staged->to > open->to ? staged->to : open->to;
                continue;
            }
            merged[merged_count] =
                (struct merged){{finish->rank[staged->account], finish->rank[organization],
                                 staged->from, staged->to},
                                items[i]};
            open = &merged[merged_count++].membership;
        }
    }
    return merged_count;
}

static void check_overlap(const struct finish *finish, const struct merged *a,
                          const struct merged *b)
{
    if (b->membership.from >= a->membership.to) {
        return;
    }
    const struct account *items = finish->accounts->items;
    char since[TIME_FORMAT_MAX];
    time_format_short(b->membership.from, since);
    COMPLAIN(finish->builder,
             unpack_place(finish->builder, membership_at(finish->builder, b->staged)->where),
             "MEMBERSHIP_OVERLAP", "end the first where the second begins",
             "account \"%.*s\" is in \"%.*s\" and \"%.*s\" at one time (%s)",
             SHOWN(items[a->membership.account].id), SHOWN(items[a->membership.organization].id),
             SHOWN(items[b->membership.organization].id), since);
}

static void link_memberships(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    struct accounts *accounts = finish->accounts;
    uint32_t count = builder->memberships.count;
    struct membership *memberships =
        arena_alloc(builder->arena, ((size_t)count + 1) * sizeof *memberships);
    uint32_t *staged = take_indices(builder, count);
    for (uint32_t i = 0; i < count; i++) {
        accounts->items[finish->rank[membership_at(builder, i)->account]].membership_count++;
    }
    uint32_t sum = 0, most = 0;
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct account *account = &accounts->items[i];
        account->membership_first = sum;
        sum += account->membership_count;
        most = account->membership_count > most ? account->membership_count : most;
        account->membership_count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct account *account =
            &accounts->items[finish->rank[membership_at(builder, i)->account]];
        staged[account->membership_first + account->membership_count++] = i;
    }

    struct merged *merged = arena_alloc(builder->arena, ((size_t)most + 1) * sizeof *merged);
    uint32_t *order = arena_alloc(builder->arena, ((size_t)most + 1) * sizeof *order);
    uint32_t used = 0;
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct account *account = &accounts->items[i];
        uint32_t *items = staged + account->membership_first;
        sort_indices(items, account->membership_count, compare_by_organization, builder);
        uint32_t merged_count = merge_memberships(finish, items, account->membership_count, merged);
        for (uint32_t k = 0; k < merged_count; k++) {
            order[k] = k;
        }
        sort_indices(order, merged_count, compare_by_time, merged);
        account->membership_first = used;
        account->membership_count = merged_count;
        const struct merged *longest = NULL; /* of those before, the one that ends last */
        for (uint32_t k = 0; k < merged_count; k++) {
            const struct merged *one = &merged[order[k]];
            if (longest) {
                check_overlap(finish, longest, one);
            }
            if (!longest || one->membership.to > longest->membership.to) {
                longest = one;
            }
            staged[used] = one->staged; /* its own place was read already */
            memberships[used++] = one->membership;
        }
    }
    accounts->memberships = memberships;
    accounts->membership_count = used;
    finish->membership_where = staged;
}

/* ---- finish: trees ------------------------------------------------------------------------- */

struct climb {
    struct finish *finish;
    uint32_t path[LEVELS_MAX]; /* from the account that is looked at upwards */
    bool has_complained;
};

static void report_cycle(struct climb *climb, uint32_t depth, instant from)
{
    struct finish *finish = climb->finish;
    const struct account *items = finish->accounts->items;
    uint32_t start = climb->path[0];
    for (uint32_t i = 1; i < depth; i++) {
        if (climb->path[i] < start) {
            return; /* told once, by the first of the circle */
        }
    }
    char since[TIME_FORMAT_MAX];
    time_format_short(from, since);
    uint32_t staged = finish->membership_where[items[start].membership_first];
    COMPLAIN(finish->builder,
             unpack_place(finish->builder, membership_at(finish->builder, staged)->where), "CYCLE",
             "an organization is in none of those that are in it",
             "account \"%.*s\" is above itself (%s, %u levels)", SHOWN(items[start].id), since,
             depth);
    climb->has_complained = true;
}

/* Goes up from path[depth - 1] for the time in period.  The memberships of an account do not
 * overlap, so the parts of the period never do either, and the work is bounded by their number and
 * LEVELS_MAX. */
static void climb_up(struct climb *climb, uint32_t depth, struct period period)
{
    struct finish *finish = climb->finish;
    const struct account *account = &finish->accounts->items[climb->path[depth - 1]];
    for (uint32_t i = 0; i < account->membership_count && !climb->has_complained; i++) {
        const struct membership *membership =
            &finish->accounts->memberships[account->membership_first + i];
        struct period part =
            period_intersect(period, (struct period){membership->from, membership->to});
        if (part.from >= part.to) {
            continue;
        }
        if (membership->organization == climb->path[0]) {
            report_cycle(climb, depth, part.from);
            continue;
        }
        bool is_elsewhere = false; /* a circle that another account tells of */
        for (uint32_t k = 1; k < depth; k++) {
            is_elsewhere = is_elsewhere || climb->path[k] == membership->organization;
        }
        if (is_elsewhere) {
            continue;
        }
        /* Members of the one looked at come below it. */
        if (depth == LEVELS_MAX - 1) {
            uint32_t staged = finish->membership_where[account->membership_first + i];
            COMPLAIN(finish->builder,
                     unpack_place(finish->builder, membership_at(finish->builder, staged)->where),
                     "TREE_DEPTH", "", "a tree of more than %d levels", LEVELS_MAX);
            climb->has_complained = true;
            continue;
        }
        climb->path[depth] = membership->organization;
        climb_up(climb, depth + 1, part);
    }
}

static void check_trees(struct finish *finish)
{
    struct accounts *accounts = finish->accounts;
    unsigned char *has_members =
        arena_calloc(finish->builder->arena, (size_t)accounts->count + 1, 1);
    for (uint32_t i = 0; i < accounts->membership_count; i++) {
        has_members[accounts->memberships[i].organization] = 1;
    }
    for (uint32_t i = 0; i < accounts->count; i++) {
        if (has_members[i] && accounts->items[i].membership_count > 0) {
            struct climb climb = {.finish = finish, .path = {i}};
            climb_up(&climb, 1, (struct period){INSTANT_MIN, INSTANT_MAX});
        }
    }
}

/* ---- finish: contracts --------------------------------------------------------------------- */

static void link_contracts(struct finish *finish)
{
    const struct catalog *catalog = finish->catalog;
    struct accounts *accounts = finish->accounts;
    struct arena *arena = finish->builder->arena;
    uint32_t *contract_of = arena_alloc(arena, (catalog->contract_count + 1) * sizeof *contract_of);
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct contract *contract = &catalog->contracts[i];
        uint32_t index = map_find(&accounts->by_id, contract->buyer);
        assert(index != MAP_NONE);
        struct account *account = &accounts->items[index];
        if (account->contract_count == 0) {
            account->contract_first = i;
        } else {
            const struct contract *before = contract - 1;
            assert(text_equal(before->buyer, contract->buyer) && before->from <= contract->from);
            if (before->to > contract->from) {
                COMPLAIN(finish->builder, contract->place, "CONTRACT_OVERLAP",
                         "end the first where the second begins",
                         "\"%.*s\" has the contracts \"%.*s\" and \"%.*s\" at one time",
                         SHOWN(contract->buyer), SHOWN(before->id), SHOWN(contract->id));
            }
        }
        account->contract_count++;
        contract_of[i] = i;
    }
    accounts->contract_of = contract_of;
}

/* ---- finish: overrides --------------------------------------------------------------------- */

static const struct staged_override *override_at(const struct accounts_builder *builder,
                                                 uint32_t index)
{
    return chunks_at(&builder->overrides, index);
}

static int compare_tiers(const void *context, uint32_t a, uint32_t b)
{
    const struct accounts_builder *builder = context;
    const struct staged_override *x = override_at(builder, a), *y = override_at(builder, b);
    int order = (x->from > y->from) - (x->from < y->from);
    order = order ? order : (x->to > y->to) - (x->to < y->to);
    if (order == 0 && x->up_to != y->up_to) {
        order = x->up_to == NONE ? 1
                : y->up_to == NONE
                    ? -1
                    : dec_compare(decimal_at(builder, x->up_to), decimal_at(builder, y->up_to));
    }
    order = order ? order : compare_where(x->where, y->where);
    return order ? order : compare_numbers(a, b);
}

/* Rows of the override file in their final order: by account, SKU, from, to, up_to. */
struct override_rows {
    const uint32_t *items; /* staged overrides */
    uint32_t count;
};

static struct override_rows sort_overrides(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    uint32_t staged_count = builder->overrides.count, count = 0;
    uint32_t *items = arena_alloc(builder->arena, ((size_t)staged_count + 1) * sizeof *items);
    for (uint32_t i = 0; i < staged_count; i++) {
        const struct staged_override *staged = override_at(builder, i);
        const struct staged_account *account = account_at(builder, staged->account);
        if (!(account->flags & ACCOUNT_KNOWN)) {
            COMPLAIN(builder, unpack_place(builder, staged->where), "UNKNOWN_ACCOUNT",
                     "accounts are declared in accounts.csv or named by memberships",
                     "there is no account \"%.*s\"", SHOWN(id_text(account)));
        } else if (finish->skus[staged->sku] != NONE) {
            items[count++] = i;
        }
    }
    /* Complaints may be in the same arena, so none are made from here to the rewind. */
    struct arena_mark mark = arena_mark(builder->arena);
    struct keyed *keyed = arena_alloc(builder->arena, ((size_t)count + 1) * sizeof *keyed);
    struct keyed *spare = arena_alloc(builder->arena, ((size_t)count + 1) * sizeof *spare);
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_override *staged = override_at(builder, items[i]);
        keyed[i] = (struct keyed){
            (uint64_t)finish->rank[staged->account] << 32 | finish->skus[staged->sku], items[i]};
    }
    const struct keyed *sorted = count ? sort_keyed(keyed, spare, count) : keyed;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = sorted[i].index;
    }
    for (uint32_t first = 0, next; first < count; first = next) {
        for (next = first + 1; next < count && sorted[next].key == sorted[first].key; next++) {
        }
        sort_indices(items + first, next - first, compare_tiers, builder);
    }
    arena_rewind(builder->arena, mark);
    return (struct override_rows){items, count};
}

static bool is_same_sku(const struct staged_override *a, const struct staged_override *b)
{
    return a->account == b->account && a->sku == b->sku;
}

static bool is_same_price(const struct staged_override *a, const struct staged_override *b)
{
    return is_same_sku(a, b) && a->from == b->from && a->to == b->to;
}

static bool is_same_tier(const struct staged_override *a, const struct staged_override *b)
{
    return a->up_to == b->up_to && a->rate == b->rate && a->flat == b->flat && a->scope == b->scope;
}

/* Drops rows that are there twice; false when the rows are no price. */
static bool check_tiers(struct finish *finish, const uint32_t *rows, uint32_t count, uint32_t *kept,
                        uint32_t *kept_count)
{
    struct accounts_builder *builder = finish->builder;
    const struct staged_override *last = NULL;
    *kept_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_override *row = override_at(builder, rows[i]);
        if (last && is_same_tier(last, row)) {
            continue;
        }
        struct text id = id_text(account_at(builder, row->account));
        struct text sku = name_at(&builder->skus, row->sku)->text;
        if (last && last->up_to == row->up_to) {
            COMPLAIN(builder, unpack_place(builder, row->where), "TIER_OVERLAP",
                     row->up_to == NONE ? "one tier is open; the others say up_to"
                                        : "one row a tier",
                     "two tiers of \"%.*s\" for \"%.*s\" end at the same quantity", SHOWN(sku),
                     SHOWN(id));
            return false;
        }
        if (last && last->scope != row->scope) {
            COMPLAIN(builder, unpack_place(builder, row->where), "SCOPE_CONFLICT", "",
                     "the tiers of \"%.*s\" for \"%.*s\" have different scopes", SHOWN(sku),
                     SHOWN(id));
            return false;
        }
        kept[(*kept_count)++] = rows[i];
        last = row;
    }
    if (last->up_to != NONE) {
        COMPLAIN(builder, unpack_place(builder, last->where), "TIER_GAP",
                 "add a row with an empty up_to",
                 "the tiers of \"%.*s\" for \"%.*s\" leave what is above the last one unpriced",
                 SHOWN(name_at(&builder->skus, last->sku)->text),
                 SHOWN(id_text(account_at(builder, last->account))));
        return false;
    }
    return true;
}

/* Steps of overrides are few against their number (a discount of 10 % is one set of tiers for all
 * that have it), and they are fat: those with equal tiers and an equal node are one. */
struct curves {
    struct map by_content;
    struct chunks steps; /* const struct step * */
    uint32_t *key;       /* scratch: node, scope, tiers */
    uint32_t *node_of_sku;
    uint32_t node_count;
};

static const struct step *make_step(struct finish *finish, const uint32_t *rows, uint32_t count,
                                    uint32_t node)
{
    struct accounts_builder *builder = finish->builder;
    struct arena *arena = builder->arena;
    struct step *step = arena_calloc(arena, 1, sizeof *step);
    *step = (struct step){
        .kind = count == 1 ? STEP_RATE : STEP_TIER,
        .name = count == 1 ? TEXT("rate") : TEXT("tier"),
        .shared = NONE,
        .node = node,
        .scope = override_at(builder, rows[0])->scope,
        .clock = count == 1 ? CLOCK_ROW : CLOCK_PERIOD,
        .attribute = ATTRIBUTE_IN_ORDER,
    };
    if (count == 1) {
        const struct staged_override *row = override_at(builder, rows[0]);
        struct rate_case *open = arena_calloc(arena, 1, sizeof *open);
        open->rate.value = decimal_at(builder, row->rate);
        open->flat.value = decimal_at(builder, row->flat);
        step->rate = (struct step_rate){.cases = open, .case_count = 1};
        return step;
    }
    struct tier *tiers = arena_calloc(arena, count, sizeof *tiers);
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_override *row = override_at(builder, rows[i]);
        tiers[i].open = row->up_to == NONE;
        if (!tiers[i].open) {
            tiers[i].up_to = decimal_at(builder, row->up_to);
        }
        tiers[i].rate.value = decimal_at(builder, row->rate);
        tiers[i].flat.value = decimal_at(builder, row->flat);
    }
    step->tier = (struct step_tier){.mode = TIER_GRADUATED,
                                    .tiers = tiers,
                                    .tier_count = count,
                                    .past_last = PAST_REFUSED,
                                    .package_round = ROUND_UP};
    return step;
}

static const struct step *find_step(struct finish *finish, struct curves *curves,
                                    const uint32_t *rows, uint32_t count, uint32_t node)
{
    struct accounts_builder *builder = finish->builder;
    uint32_t size = 0;
    curves->key[size++] = node;
    curves->key[size++] = (uint32_t)override_at(builder, rows[0])->scope;
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_override *row = override_at(builder, rows[i]);
        curves->key[size++] = row->up_to;
        curves->key[size++] = row->rate;
        curves->key[size++] = row->flat;
    }
    struct text key = {(const char *)curves->key, size * sizeof *curves->key};
    uint32_t found = map_find(&curves->by_content, key);
    if (found == MAP_NONE) {
        const struct step **step = chunks_add(&curves->steps, builder->arena);
        *step = make_step(finish, rows, count, node);
        found =
            map_put(&curves->by_content, text_copy(builder->arena, key), curves->steps.count - 1);
    }
    return *(const struct step **)chunks_at(&curves->steps, found);
}

/* A private step's node is its level's, price's and step's: versions of a price share it.  Buckets
 * of scope account are told apart by their account, so there all accounts share one node a SKU. */
static uint32_t find_node(const struct finish *finish, struct curves *curves,
                          const struct staged_override *row, const struct staged_override *before,
                          uint32_t node_before)
{
    uint32_t node_first = finish->catalog->node_count;
    if (row->scope == SCOPE_ACCOUNT || row->scope == SCOPE_RESOURCE) {
        uint32_t *node = &curves->node_of_sku[finish->skus[row->sku]];
        if (*node == NONE) {
            *node = node_first + curves->node_count++;
        }
        return *node;
    }
    if (before && is_same_sku(before, row) && before->scope == row->scope) {
        return node_before;
    }
    return node_first + curves->node_count++;
}

static void hash_override(struct finish *finish, const struct staged_override *row);

static void link_overrides(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    struct accounts *accounts = finish->accounts;
    struct arena *arena = builder->arena;
    const struct catalog *catalog = finish->catalog;
    struct override_rows rows = sort_overrides(finish);
    accounts->node_first = catalog->node_count;
    if (rows.count == 0) {
        return;
    }

    uint32_t price_count = 0, override_count = 0, longest = 0;
    for (uint32_t first = 0, next; first < rows.count; first = next) {
        const struct staged_override *row = override_at(builder, rows.items[first]);
        for (next = first + 1;
             next < rows.count && is_same_price(row, override_at(builder, rows.items[next]));
             next++) {
        }
        longest = next - first > longest ? next - first : longest;
        price_count++;
        override_count +=
            first == 0 || override_at(builder, rows.items[first - 1])->account != row->account;
    }
    struct price *prices = arena_calloc(arena, price_count, sizeof *prices);
    struct override *overrides = arena_calloc(arena, override_count, sizeof *overrides);
    uint32_t *indices = arena_alloc(arena, price_count * sizeof *indices);
    uint32_t *skus = arena_alloc(arena, (catalog->sku_count + 1) * sizeof *skus);
    uint32_t *kept = arena_alloc(arena, longest * sizeof *kept);
    struct curves curves = {.steps = {.item_bytes = sizeof(struct step *)}};
    curves.key = arena_alloc(arena, (3 * (size_t)longest + 2) * sizeof *curves.key);
    curves.node_of_sku = arena_alloc(arena, (catalog->sku_count + 1) * sizeof *skus);
    map_init(&curves.by_content, arena, 64);
    for (uint32_t i = 0; i < catalog->sku_count; i++) {
        skus[i] = i;
        curves.node_of_sku[i] = NONE;
    }

    uint32_t used = 0, override_used = 0, node = NONE;
    const struct staged_override *before = NULL; /* of the price before */
    instant end = INSTANT_MIN;                   /* of those of the SKU so far */
    for (uint32_t first = 0, next; first < rows.count; first = next) {
        const struct staged_override *row = override_at(builder, rows.items[first]);
        for (next = first + 1;
             next < rows.count && is_same_price(row, override_at(builder, rows.items[next]));
             next++) {
        }
        uint32_t kept_count;
        bool is_price = check_tiers(finish, rows.items + first, next - first, kept, &kept_count);
        if (before && is_same_sku(before, row) && row->from < end) {
            COMPLAIN(builder, unpack_place(builder, row->where), "PRICE_OVERLAP",
                     "end the first where the second begins",
                     "two prices of \"%.*s\" for \"%.*s\" at one time",
                     SHOWN(name_at(&builder->skus, row->sku)->text),
                     SHOWN(id_text(account_at(builder, row->account))));
            is_price = false;
        }
        end = before && is_same_sku(before, row) && end > row->to ? end : row->to;
        if (is_price) {
            uint32_t sku = finish->skus[row->sku];
            uint32_t account = finish->rank[row->account];
            node = find_node(finish, &curves, row, before, node);
            indices[used] = used;
            prices[used] = (struct price){
                .name = catalog->skus[sku].name,
                .skus = &skus[sku],
                .sku_count = 1,
                .from = row->from,
                .to = row->to,
                .grain = GRAIN_MONTH,
                .steps = find_step(finish, &curves, kept, kept_count, node),
                .step_count = 1,
                .place = unpack_place(builder, row->where),
            };
            if (accounts->items[account].override == NONE) {
                accounts->items[account].override = override_used;
                overrides[override_used++] =
                    (struct override){account, {.base = prices, .prices = &indices[used]}};
            }
            overrides[accounts->items[account].override].prices.count++;
            used++;
            for (uint32_t i = 0; i < kept_count; i++) {
                hash_override(finish, override_at(builder, kept[i]));
            }
        }
        before = row;
    }
    accounts->prices = prices;
    accounts->price_count = used;
    accounts->overrides = overrides;
    accounts->override_count = override_used;
    accounts->node_count = curves.node_count;
}

/* ---- finish: digest ------------------------------------------------------------------------ */

/* A canonical record: its kind, then texts with a zero behind each, instants and numbers with a
 * fixed size, least byte first. */
struct canonical {
    size_t size;
    char bytes[4 * (ID_MAX_BYTES + 1) + 160];
};

static void put_text(struct canonical *record, struct text text)
{
    assert(text.size <= ID_MAX_BYTES);
    if (text.size > 0) {
        memcpy(record->bytes + record->size, text.at, text.size);
    }
    record->size += text.size;
    record->bytes[record->size++] = '\0';
}

static void put_number(struct canonical *record, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        record->bytes[record->size++] = (char)(number >> (8 * i) & 0xFF);
    }
}

static void put_decimal(struct canonical *record, struct dec value)
{
    put_number(record, (uint64_t)value.mantissa);
    put_number(record, (uint64_t)((u128)value.mantissa >> 64));
    put_number(record, (uint64_t)value.scale);
}

static void add_record(struct finish *finish, const struct canonical *record)
{
    finish->sum = hash_add(finish->sum, hash_print(record->bytes, record->size));
    finish->record_count++;
}

static void hash_override(struct finish *finish, const struct staged_override *row)
{
    const struct accounts_builder *builder = finish->builder;
    struct canonical record = {.size = 0};
    record.bytes[record.size++] = 'o';
    put_text(&record, id_text(account_at(builder, row->account)));
    put_text(&record, name_at(&builder->skus, row->sku)->text);
    put_number(&record, (uint64_t)row->from);
    put_number(&record, (uint64_t)row->to);
    put_number(&record, row->up_to == NONE);
    put_decimal(&record, row->up_to == NONE ? DEC_ZERO : decimal_at(builder, row->up_to));
    put_decimal(&record, decimal_at(builder, row->rate));
    put_decimal(&record, decimal_at(builder, row->flat));
    put_number(&record, (uint64_t)row->scope);
    add_record(finish, &record);
}

static void hash_accounts(struct finish *finish)
{
    const struct accounts_builder *builder = finish->builder;
    for (uint32_t i = 0; i < builder->accounts.count; i++) {
        const struct staged_account *account = account_at(builder, i);
        if (!(account->flags & ACCOUNT_RECORDED)) {
            continue;
        }
        struct canonical record = {.size = 0};
        record.bytes[record.size++] = 'a';
        put_text(&record, id_text(account));
        put_text(&record, account->plan == NONE ? (struct text){"", 0}
                                                : name_at(&builder->plans, account->plan)->text);
        put_text(&record, account->zone == 0 ? (struct text){"", 0}
                                             : name_at(&builder->zones, account->zone - 1u)->text);
        put_number(&record, (uint64_t)account->since);
        add_record(finish, &record);
    }
    const struct accounts *accounts = finish->accounts;
    for (uint32_t i = 0; i < accounts->membership_count; i++) {
        const struct membership *membership = &accounts->memberships[i];
        struct canonical record = {.size = 0};
        record.bytes[record.size++] = 'm';
        put_text(&record, accounts->items[membership->account].id);
        put_text(&record, accounts->items[membership->organization].id);
        put_number(&record, (uint64_t)membership->from);
        put_number(&record, (uint64_t)membership->to);
        add_record(finish, &record);
    }
}

static struct digest make_digest(const struct finish *finish)
{
    struct canonical record = {.size = 0};
    put_text(&record, TEXT("farthing accounts 1"));
    put_number(&record, finish->record_count);
    put_number(&record, finish->sum.low);
    put_number(&record, finish->sum.high);
    return hash_digest((struct text){record.bytes, record.size});
}

enum status accounts_finish(struct accounts_builder *builder, const struct catalog *catalog,
                            struct accounts **accounts, struct complaints *complaints,
                            struct error *err)
{
    struct finish finish = {.builder = builder, .catalog = catalog};
    builder->complaints = complaints;
    finish.accounts = arena_calloc(builder->arena, 1, sizeof *finish.accounts);
    *accounts = NULL;
    resolve_plans(&finish);
    resolve_zones(&finish);
    resolve_skus(&finish);
    add_buyers(&finish);
    rank_accounts(&finish);
    report_conflicts(&finish);
    link_memberships(&finish);
    check_trees(&finish);
    link_contracts(&finish);
    link_overrides(&finish);
    hash_accounts(&finish);
    finish.accounts->digest = make_digest(&finish);

    complaints_sort(complaints);
    if (complaints->errors > 0) {
        uint32_t first = 0;
        while (first + 1 < complaints->count && complaints->items[first].is_warning) {
            first++;
        }
        const struct complaint *complaint = &complaints->items[first];
        return fail(err, ERR_INPUT, "%.*s:%u:%u: %s (%u complaint%s)",
                    TEXT_ARG(complaint->place.file), complaint->place.line, complaint->place.column,
                    complaint->message, complaints->errors, complaints->errors == 1 ? "" : "s");
    }
    *accounts = finish.accounts;
    return OK;
}

/* ---- questions ----------------------------------------------------------------------------- */

/* The membership in force, NULL when there is none.  *slot is narrowed to the time around at
 * without a change. */
static const struct membership *find_membership(const struct accounts *accounts,
                                                const struct account *account, instant at,
                                                struct period *slot)
{
    const struct membership *items = accounts->memberships + account->membership_first;
    uint32_t low = 0, high = account->membership_count; /* the first that starts after at */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (items[middle].from <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct membership *before = low > 0 ? &items[low - 1] : NULL;
    bool is_in = before && at < before->to;
    if (before) {
        *slot = period_intersect(*slot, is_in ? (struct period){before->from, before->to}
                                              : (struct period){before->to, INSTANT_MAX});
    }
    if (low < account->membership_count && items[low].from < slot->to) {
        slot->to = items[low].from;
    }
    return is_in ? before : NULL;
}

static const struct contract *find_contract(const struct accounts *accounts,
                                            const struct catalog *catalog,
                                            const struct account *account, instant at,
                                            struct period *slot)
{
    const uint32_t *items = accounts->contract_of + account->contract_first;
    uint32_t low = 0, high = account->contract_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (catalog->contracts[items[middle]].from <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct contract *before = low > 0 ? &catalog->contracts[items[low - 1]] : NULL;
    bool is_in = before && at < before->to;
    if (before) {
        *slot = period_intersect(*slot, is_in ? (struct period){before->from, before->to}
                                              : (struct period){before->to, INSTANT_MAX});
    }
    if (low < account->contract_count && catalog->contracts[items[low]].from < slot->to) {
        slot->to = catalog->contracts[items[low]].from;
    }
    return is_in ? before : NULL;
}

uint32_t accounts_payer(const struct accounts *accounts, uint32_t account, instant at)
{
    for (;;) {
        struct period slot = {INSTANT_MIN, INSTANT_MAX};
        const struct membership *membership =
            find_membership(accounts, &accounts->items[account], at, &slot);
        if (!membership) {
            return account;
        }
        account = membership->organization;
    }
}

const struct contract *accounts_contract(const struct accounts *accounts,
                                         const struct catalog *catalog, uint32_t account,
                                         instant at)
{
    for (;;) {
        struct period slot = {INSTANT_MIN, INSTANT_MAX};
        const struct account *item = &accounts->items[account];
        const struct contract *contract = find_contract(accounts, catalog, item, at, &slot);
        if (contract) {
            return contract;
        }
        const struct membership *membership = find_membership(accounts, item, at, &slot);
        if (!membership) {
            return NULL;
        }
        account = membership->organization;
    }
}

/* Narrows the slot to the time around at in which memberships and contracts of the account do not
 * change. */
static void narrow_to_account(const struct accounts *accounts, const struct catalog *catalog,
                              uint32_t account, instant at, struct period *slot)
{
    for (;;) {
        const struct account *item = &accounts->items[account];
        find_contract(accounts, catalog, item, at, slot);
        const struct membership *membership = find_membership(accounts, item, at, slot);
        if (!membership) {
            return;
        }
        account = membership->organization;
    }
}

instant accounts_edge(const struct accounts *accounts, const struct catalog *catalog,
                      uint32_t account, instant at, instant *next)
{
    struct period slot = {catalog_edge_before(catalog, at), catalog_edge_after(catalog, at)};
    narrow_to_account(accounts, catalog, account, at, &slot);
    *next = slot.to;
    return slot.from;
}

uint32_t accounts_above(const struct accounts *accounts, uint32_t account, instant at)
{
    struct period slot = {INSTANT_MIN, INSTANT_MAX};
    const struct membership *membership =
        find_membership(accounts, &accounts->items[account], at, &slot);
    return membership ? membership->organization : NONE;
}

void accounts_narrow(const struct accounts *accounts, uint32_t account, instant at,
                     struct period *slot)
{
    for (const struct membership *membership;
         (membership = find_membership(accounts, &accounts->items[account], at, slot)) != NULL;) {
        account = membership->organization;
    }
}
