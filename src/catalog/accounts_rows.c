/* accounts_rows.c - rows of files to staged records; see accounts_stage.h. */
#include "catalog/accounts_stage.h"

#include <stdlib.h>

#include "base/nofloat.h"

enum field {
    FIELD_ID,
    FIELD_ACCOUNT,
    FIELD_ORGANIZATION,
    FIELD_FROM,
    FIELD_TO,
    FIELD_PLAN,
    FIELD_ZONE,
    FIELD_SINCE,
    FIELD_CURRENCY,
    FIELD_SETTLEMENT,
    FIELD_SKU,
    FIELD_UP_TO,
    FIELD_RATE,
    FIELD_FLAT,
    FIELD_SCOPE,
    FIELD_SETTING,
    FIELD_VALUE,
    FIELD_OFFERING,
    FIELD_COUNT,
    FIELD_AMOUNT,
    FIELD_RECURRING,
    FIELD_UPFRONT,
    FIELD_ATTRIBUTES,
    FIELD_COVER,
    FIELDS
};
_Static_assert((int)FIELDS <= (int)RECORD_FIELDS_MAX, "a row has a place for every field");

static const struct text FIELD_NAMES[FIELDS] = {
    {"id", 2},
    {"account", 7},
    {"organization", 12},
    {"from", 4},
    {"to", 2},
    {"plan", 4},
    {"zone", 4},
    {"since", 5},
    {"currency", 8},
    {"settlement_currency", 19},
    {"sku", 3},
    {"up_to", 5},
    {"rate", 4},
    {"flat", 4},
    {"scope", 5},
    {"setting", 7},
    {"value", 5},
    {"offering", 8},
    {"count", 5},
    {"amount", 6},
    {"recurring", 9},
    {"upfront", 7},
    {"attributes", 10},
    {"cover", 5},
};
static const struct text FIELD_ALIASES[FIELDS] = {
    [FIELD_ORGANIZATION] = {"org", 3}, [FIELD_RATE] = {"price", 5}};

#define BIT(field) (1u << (field))
static const uint32_t KIND_FIELDS[RECORD_KINDS] = {
    [RECORD_ACCOUNT] = BIT(FIELD_ID) | BIT(FIELD_ORGANIZATION) | BIT(FIELD_FROM) | BIT(FIELD_TO) |
                       BIT(FIELD_PLAN) | BIT(FIELD_ZONE) | BIT(FIELD_SINCE) | BIT(FIELD_CURRENCY) |
                       BIT(FIELD_SETTLEMENT),
    [RECORD_MEMBERSHIP] =
        BIT(FIELD_ACCOUNT) | BIT(FIELD_ORGANIZATION) | BIT(FIELD_FROM) | BIT(FIELD_TO),
    [RECORD_OVERRIDE] = BIT(FIELD_ACCOUNT) | BIT(FIELD_SKU) | BIT(FIELD_FROM) | BIT(FIELD_TO) |
                        BIT(FIELD_UP_TO) | BIT(FIELD_RATE) | BIT(FIELD_FLAT) | BIT(FIELD_SCOPE) |
                        BIT(FIELD_COVER),
    [RECORD_SETTING] = BIT(FIELD_ACCOUNT) | BIT(FIELD_SETTING) | BIT(FIELD_VALUE) |
                       BIT(FIELD_FROM) | BIT(FIELD_TO),
    [RECORD_COMMITMENT] = BIT(FIELD_ID) | BIT(FIELD_OFFERING) | BIT(FIELD_ACCOUNT) |
                          BIT(FIELD_FROM) | BIT(FIELD_TO) | BIT(FIELD_COUNT) | BIT(FIELD_AMOUNT) |
                          BIT(FIELD_RECURRING) | BIT(FIELD_UPFRONT) | BIT(FIELD_ATTRIBUTES),
};
static const char *const KIND_NAMES[RECORD_KINDS] = {"accounts", "memberships", "overrides",
                                                     "settings", "commitments"};

struct accounts_builder *accounts_builder_new(struct arena *arena, struct arena *stage,
                                              const struct zone_source *zones)
{
    struct accounts_builder *builder = arena_calloc(arena, 1, sizeof *builder);
    builder->zone_source = zones;
    builder->reader = records_new(arena, FIELD_NAMES, FIELD_ALIASES, FIELDS, false);
    records_take_truths(builder->reader, BIT(FIELD_VALUE));
    stage_init(builder, arena, stage);
    return builder;
}

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

/* The first day that is written without a time, for a warning when bills have days of a zone. */
static void note_day(struct row *row, enum field field)
{
    struct accounts_builder *builder = row->builder;
    struct text value = row->record->values[field];
    if (builder->first_day.line > 0 || value.size == 0 ||
        value.size >= sizeof builder->first_day_text || memchr(value.at, 'T', value.size) ||
        memchr(value.at, 't', value.size) || memchr(value.at, ' ', value.size)) {
        return;
    }
    builder->first_day = where_pack(builder, place_of(row, field));
    memcpy(builder->first_day_text, value.at, value.size);
    builder->first_day_text[value.size] = 0;
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
                 fault == TIME_RANGE
                     ? "from 1970-01-01 to 2261-12-31; empty when open"
                     : "a date such as 2026-10-01, or a time such as 2026-10-01T12:00:00Z",
                 fault == TIME_RANGE ? "'%s' is beyond the years we know: \"%.*s\""
                                     : "'%s' is no date: \"%.*s\"",
                 FIELD_NAMES[field].at, SHOWN(value));
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
    note_day(row, field);
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

/* A number that is not negative; false when the field is empty.  One with an exponent is refused as
 * in catalogs: a spreadsheet may have rounded it. */
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
    } else if (memchr(text.at, 'e', text.size) || memchr(text.at, 'E', text.size)) {
        COMPLAIN(row->builder, place_of(row, field), "NUM_EXPONENT",
                 "write the digits out: 1000, 0.001", "'%s' has an exponent: \"%.*s\"",
                 FIELD_NAMES[field].at, SHOWN(text));
        row->is_good = false;
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
    uint32_t above = ids_add(builder, organization, ACCOUNT_KNOWN | ACCOUNT_RECORDED, where);
    struct staged_membership *membership = chunks_add(&builder->memberships, builder->stage);
    *membership = (struct staged_membership){account, above, period.from, period.to, where};
}

/* A code of ISO 4217; NULL when there is none, or after a complaint. */
static const struct currency *take_currency(struct row *row, enum field field)
{
    struct text code = take_name(row, field, false);
    const struct currency *currency = code.size ? currency_find(code) : NULL;
    if (code.size && !currency) {
        COMPLAIN(row->builder, place_of(row, field), "CURRENCY",
                 hint_currency(row->builder->arena, code).at, "nothing can be billed in \"%.*s\"",
                 SHOWN(code));
        row->is_good = false;
    }
    return currency;
}

static void declare_account(struct accounts_builder *builder, uint32_t index, struct text plan,
                            struct text zone, instant since, const struct currency *of_bill,
                            const struct currency *of_settlement, struct where where)
{
    uint8_t currency = currency_number(of_bill), settlement = currency_number(of_settlement);
    struct staged_account *account = account_at(builder, index);
    uint32_t plan_index = plan.size ? names_add(builder, &builder->plans, plan, where) : NONE;
    uint32_t zone_index = 0;
    if (zone.size && !text_equal(zone, TEXT("UTC"))) {
        zone_index = names_add(builder, &builder->zones, zone, where) + 1;
        if (zone_index > ZONES_MAX) { /* then most are no zones, and finish says so */
            zone_index = ZONES_MAX;
        }
    }
    if (!(account->flags & ACCOUNT_DECLARED)) {
        account->flags |= ACCOUNT_DECLARED;
        account->plan = plan_index;
        account->zone = (uint16_t)zone_index;
        account->since = since;
        account->currency = currency;
        account->settlement = settlement;
        account->where = where;
    } else if (account->plan != plan_index || account->zone != zone_index ||
               account->since != since || account->currency != currency ||
               account->settlement != settlement) {
        struct staged_conflict *conflict = chunks_add(&builder->conflicts, builder->stage);
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
    const struct currency *currency = take_currency(row, FIELD_CURRENCY);
    const struct currency *settlement = take_currency(row, FIELD_SETTLEMENT);
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
    uint32_t account = ids_add(builder, id, ACCOUNT_KNOWN | ACCOUNT_RECORDED, where);
    declare_account(builder, account, plan, zone, since, currency, settlement, where);
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
        uint32_t account = ids_add(row->builder, id, ACCOUNT_KNOWN | ACCOUNT_RECORDED, where);
        add_membership(row->builder, account, organization, period, where);
    }
}

static uint32_t sku_add(struct accounts_builder *builder, struct text sku, struct where where)
{
    if (builder->last_sku == NONE ||
        !text_equal(name_at(&builder->skus, builder->last_sku)->text, sku)) {
        builder->last_sku = names_add(builder, &builder->skus, sku, where);
    }
    return builder->last_sku;
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
    struct text cover = take_name(row, FIELD_COVER, false);
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
    uint32_t account = ids_add(builder, id, ACCOUNT_RECORDED, where);
    struct staged_override *override = chunks_add(&builder->overrides, builder->stage);
    *override = (struct staged_override){
        .account = account,
        .sku = sku_add(builder, sku, where),
        .from = period.from,
        .to = period.to,
        .up_to = is_closed ? decimals_add(builder, up_to) : NONE,
        .rate = decimals_add(builder, rate),
        .flat = decimals_add(builder, flat),
        .scope = scope,
        .cover = cover.size ? names_add(builder, &builder->values, cover, where) : NONE,
        .where = where,
    };
}

/* What is asked of the customer: tax.country, for a time.  An empty value says that there is none
 * then. */
static void take_setting(struct row *row)
{
    struct accounts_builder *builder = row->builder;
    static const char prefix[] = "tax.";
    size_t prefix_size = sizeof prefix - 1;
    struct text id = take_name(row, FIELD_ACCOUNT, true);
    struct text name = take_name(row, FIELD_SETTING, true);
    struct text value = row->record->values[FIELD_VALUE];
    struct period period = take_period(row);
    if (row->is_good && (value.size > ID_MAX_BYTES || has_controls(value))) {
        COMPLAIN(builder, place_of(row, FIELD_VALUE),
                 value.size > ID_MAX_BYTES ? "FIELD_LEN" : "CTRL_CHAR", "",
                 "'value' has more than %d bytes, or a control character", ID_MAX_BYTES);
        row->is_good = false;
    }
    if (text_equal(name, TEXT("sharing")) || text_equal(name, TEXT("sharing.group"))) {
        prefix_size = 0; /* no tax is called so: it would have its own prefix */
        bool is_mode = false;
        for (int i = 0; sharing_names[i] != NULL; i++) {
            is_mode = is_mode || text_equal(value, text_of(sharing_names[i]));
        }
        if (row->is_good && name.size == 7 && !is_mode) {
            COMPLAIN(builder, place_of(row, FIELD_VALUE), "BAD_VALUE",
                     "all, none, or group: with its group alone", "\"%.*s\" is no way of sharing",
                     SHOWN(value));
            row->is_good = false;
        }
    }
    if (row->is_good && prefix_size > 0 &&
        (name.size <= prefix_size || memcmp(name.at, prefix, prefix_size) != 0)) {
        COMPLAIN(builder, place_of(row, FIELD_SETTING), "UNKNOWN_SETTING",
                 "such as tax.country, which expressions name as customer.tax.country",
                 "\"%.*s\" is no setting: they begin with tax., or are sharing and sharing.group",
                 SHOWN(name));
        row->is_good = false;
    }
    if (!row->is_good) {
        return;
    }
    struct where where = where_of(row);
    struct staged_setting *setting = chunks_add(&builder->settings, builder->stage);
    *setting = (struct staged_setting){
        .account = ids_add(builder, id, ACCOUNT_RECORDED, where),
        .name = names_add(builder, &builder->setting_names,
                          prefix_size > 0
                              ? (struct text){name.at + prefix_size, name.size - prefix_size}
                          : name.size == 7 ? TEXT("\x01sharing")
                                           : TEXT("\x01group"),
                          where),
        .value = names_add(builder, &builder->values, value, where),
        .from = period.from,
        .to = period.to,
        .where = where,
    };
}

static int compare_names(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

static bool has_column(struct text name)
{
    static const enum field columns[] = {FIELD_ID,     FIELD_OFFERING,  FIELD_ACCOUNT,
                                         FIELD_FROM,   FIELD_TO,        FIELD_COUNT,
                                         FIELD_AMOUNT, FIELD_RECURRING, FIELD_UPFRONT};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (text_equal(name, FIELD_NAMES[columns[i]])) {
            return true;
        }
    }
    return false;
}

/* "family=m5;region=eu", as dimensions stand in lines; false with a complaint.  Of two values of
 * one name neither is the right one. */
static bool check_attributes(struct row *row, struct text text)
{
    struct arena *arena = row->builder->arena;
    struct arena_mark mark = arena_mark(arena);
    struct text *names = arena_alloc(arena, (text.size / 2 + 1) * sizeof *names), value;
    size_t count = 0;
    for (size_t at = 0; at < text.size; count++) {
        if (!attribute_next(arena, text, &at, &names[count], &value) || names[count].size == 0) {
            COMPLAIN(
                row->builder, place_of(row, FIELD_ATTRIBUTES), "BAD_VALUE",
                "family=m5;region=eu-west-1, with ; = and % percent-encoded in names and values",
                "'attributes' are no names with values: \"%.*s\"", SHOWN(text));
            return row->is_good = false;
        }
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (has_column(names[i]) || (i > 0 && text_equal(names[i], names[i - 1]))) {
            COMPLAIN(row->builder, place_of(row, FIELD_ATTRIBUTES), "BAD_VALUE",
                     "each name once, and none that has a column of its own",
                     "'attributes' have a second value of '%.*s'", SHOWN(names[i]));
            return row->is_good = false;
        }
    }
    arena_rewind(arena, mark);
    return true;
}

bool attribute_next(struct arena *arena, struct text text, size_t *at, struct text *name,
                    struct text *value)
{
    const char *start = text.at + *at, *end = memchr(start, ';', text.size - *at);
    size_t size = end ? (size_t)(end - start) : text.size - *at;
    const char *equals = memchr(start, '=', size);
    *at += size + (end != NULL);
    if (!equals) {
        return false;
    }
    struct text left = {start, (size_t)(equals - start)};
    struct text right = {equals + 1, size - left.size - 1};
    return text_decode(left, arena_alloc(arena, left.size + 1), name) &&
           text_decode(right, arena_alloc(arena, right.size + 1), value);
}

/* What an account has committed itself to. */
static void take_commitment(struct row *row)
{
    struct accounts_builder *builder = row->builder;
    static const enum field numbers[STAGED_NUMBERS] = {FIELD_COUNT, FIELD_AMOUNT, FIELD_RECURRING,
                                                       FIELD_UPFRONT};
    struct text id = take_name(row, FIELD_ID, true);
    struct text offering = take_name(row, FIELD_OFFERING, true);
    struct text account = take_name(row, FIELD_ACCOUNT, true);
    struct text attributes = row->record->values[FIELD_ATTRIBUTES];
    struct period period = take_period(row);
    struct staged_commitment staged = {.from = period.from, .to = period.to};
    for (int i = 0; i < STAGED_NUMBERS; i++) {
        struct dec value;
        staged.numbers[i] =
            take_number(row, numbers[i], &value) ? decimals_add(builder, value) : NONE;
    }
    if (row->is_good && has_controls(attributes)) {
        COMPLAIN(builder, place_of(row, FIELD_ATTRIBUTES), "CTRL_CHAR", "",
                 "'attributes' has a control character");
        row->is_good = false;
    }
    if (!row->is_good || !check_attributes(row, attributes)) {
        return;
    }
    staged.where = where_of(row);
    staged.id = names_add(builder, &builder->commitment_ids, id, staged.where);
    staged.offering = names_add(builder, &builder->offerings, offering, staged.where);
    staged.account = ids_add(builder, account, ACCOUNT_RECORDED, staged.where);
    staged.attributes = names_add(builder, &builder->values, attributes, staged.where);
    *(struct staged_commitment *)chunks_add(&builder->commitments, builder->stage) = staged;
}

/* What the columns say; RECORD_KINDS after a complaint. */
static enum record_kind find_kind(struct accounts_builder *builder, uint32_t present,
                                  struct place place)
{
    enum record_kind kind = present & BIT(FIELD_SKU)            ? RECORD_OVERRIDE
                            : present & BIT(FIELD_SETTING)      ? RECORD_SETTING
                            : present & BIT(FIELD_OFFERING)     ? RECORD_COMMITMENT
                            : present & BIT(FIELD_ID)           ? RECORD_ACCOUNT
                            : present & BIT(FIELD_ORGANIZATION) ? RECORD_MEMBERSHIP
                                                                : RECORD_KINDS;
    if (kind == RECORD_KINDS) {
        COMPLAIN(builder, place, "UNKNOWN_KIND",
                 "accounts have 'id', memberships 'account' and 'organization', overrides "
                 "'account' and 'sku', settings 'account' and 'setting', commitments 'offering'",
                 "neither accounts nor memberships nor overrides nor settings nor commitments");
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
    builder->is_csv = builder->has_any = true;
    builder->file_kind = find_kind(builder, present, place);
    return builder->file_kind != RECORD_KINDS;
}

static void take_row(void *context, const struct record_row *record)
{
    struct row row = {context, record, true};
    struct accounts_builder *builder = context;
    builder->has_any = true;
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
    case RECORD_SETTING:
        take_setting(&row);
        break;
    case RECORD_COMMITMENT:
        take_commitment(&row);
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
    builder->has_any = true;
    COMPLAIN(builder, place, code, hint, "%s", message);
}

void accounts_feed(struct accounts_builder *builder, struct text file, struct text bytes, bool last,
                   struct complaints *complaints)
{
    static const struct record_sink calls = {NULL, take_header, take_row, take_fault};
    struct record_sink sink = calls;
    sink.context = builder;
    builder->complaints = complaints;
    builder->stage->recover = builder->arena->recover;
    uint32_t index = names_add(builder, &builder->files, file, (struct where){0});
    builder->file = index < FILES_MAX ? (uint16_t)index : FILES_MAX;
    records_feed(builder->reader, bytes, last, &sink);
    if (last) {
        if (!builder->has_any) {
            complain_softly(complaints, (struct place){.file = file}, "FILE_EMPTY",
                            TEXT("was it written to the end?  A file of no rows has a header"),
                            "there are no accounts in it, and no header");
        }
        builder->is_csv = builder->has_any = false;
    }
}

void accounts_add(struct accounts_builder *builder, const struct account_record *record)
{
    builder->stage->recover = builder->arena->recover;
    struct where where = where_pack(builder, record->place);
    uint32_t account = ids_add(builder, record->id, ACCOUNT_KNOWN | ACCOUNT_RECORDED, where);
    if (!record->is_implied) {
        declare_account(builder, account, record->plan, record->zone, record->since,
                        record->currency, record->settlement, where);
    }
    for (uint32_t i = 0; i < record->membership_count; i++) {
        const struct account_membership *membership = &record->memberships[i];
        assert(membership->from < membership->to);
        add_membership(builder, account, membership->organization,
                       (struct period){membership->from, membership->to}, where);
    }
}
