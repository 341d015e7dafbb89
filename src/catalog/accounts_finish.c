/* accounts_finish.c - staged records to accounts, when all are fed; see accounts_stage.h. */
#include "catalog/accounts_stage.h"

#include "base/nofloat.h"

/* ---- sorting ------------------------------------------------------------------------------- */

struct keyed *keyed_sort(struct keyed *items, struct keyed *spare, uint32_t count)
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

void indices_sort(uint32_t *items, uint32_t count, compare_indices *compare, const void *context)
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
        indices_sort(order, count, compare_ids, builder);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        keyed[i] =
            (struct keyed){read_eight(id_text(account_at(builder, order[i])), offset), order[i]};
    }
    struct keyed *sorted = keyed_sort(keyed, spare, count);
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
            COMPLAIN(builder, where_unpack(builder, name->where), "UNKNOWN_PLAN",
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
            COMPLAIN(builder, where_unpack(builder, name->where), "UNKNOWN_ZONE",
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
        COMPLAIN(builder, where_unpack(builder, name->where), "UNKNOWN_SKU",
                 hint_nearest(builder->arena, name->text, names, catalog->sku_count).at,
                 "the catalog has no SKU \"%.*s\"", SHOWN(name->text));
    }
}

static void rank_accounts(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    struct accounts *accounts = finish->accounts;
    uint32_t count = builder->accounts.count;
    accounts->count = accounts->own_count = count;
    ids_end(builder);
    finish->rank = indices_take(builder, count);
    uint32_t *order = indices_take(builder, count);
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

    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += account_at(builder, i)->id[0];
    }
    char *ids = arena_alloc(builder->arena, bytes);
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_account *staged = account_at(builder, order[i]);
        finish->rank[order[i]] = i;
        accounts->items[i] = (struct account){
            .id = {ids, staged->id[0]},
            .override = NONE,
            .plan = staged->plan == NONE ? NONE : finish->plans[staged->plan],
            .zone = staged->zone ? finish->zones[staged->zone - 1] : NULL,
            .since = staged->since,
            .currency = staged->currency,
            .settlement = staged->settlement,
        };
        accounts->has_currencies =
            accounts->has_currencies || staged->currency > 0 || staged->settlement > 0;
        memcpy(ids, staged->id + 1, staged->id[0]);
        ids += staged->id[0];
    }
}

static void report_conflicts(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    for (uint32_t i = 0; i < builder->conflicts.count; i++) {
        const struct staged_conflict *conflict = chunks_at(&builder->conflicts, i);
        const struct staged_account *account = account_at(builder, conflict->account);
        struct place first = where_unpack(builder, account->where);
        COMPLAIN(builder, where_unpack(builder, conflict->where), "DUPLICATE_ACCOUNT",
                 "an account has one plan, zone, start and currency; another plan from a day on "
                 "is a contract: {buyer: acme, from: 2026-10-16, plan: team}",
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

static void report_overlap(const struct finish *finish, const struct merged *a,
                           const struct merged *b)
{
    const struct account *items = finish->accounts->items;
    char since[TIME_FORMAT_MAX];
    time_format_short(b->membership.from, since);
    COMPLAIN(finish->builder,
             where_unpack(finish->builder, membership_at(finish->builder, b->staged)->where),
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
    uint32_t *staged = indices_take(builder, count);
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

    struct merged *merged = arena_alloc(builder->stage, ((size_t)most + 1) * sizeof *merged);
    uint32_t *order = arena_alloc(builder->stage, ((size_t)most + 1) * sizeof *order);
    uint32_t used = 0;
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct account *account = &accounts->items[i];
        uint32_t *items = staged + account->membership_first;
        indices_sort(items, account->membership_count, compare_by_organization, builder);
        uint32_t merged_count = merge_memberships(finish, items, account->membership_count, merged);
        for (uint32_t k = 0; k < merged_count; k++) {
            order[k] = k;
        }
        indices_sort(order, merged_count, compare_by_time, merged);
        account->membership_first = used;
        const struct merged *longest = NULL; /* of those before, the one that ends last */
        for (uint32_t k = 0; k < merged_count; k++) {
            const struct merged *one = &merged[order[k]];
            struct membership kept = one->membership;
            if (longest && kept.from < longest->membership.to) {
                report_overlap(finish, longest, one);
                kept.from = longest->membership.to; /* what follows may count on one at a time */
            }
            if (!longest || one->membership.to > longest->membership.to) {
                longest = one;
            }
            if (kept.from < kept.to) {
                staged[used] = one->staged; /* its own place was read already */
                memberships[used++] = kept;
            }
        }
        account->membership_count = used - account->membership_first;
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
             where_unpack(finish->builder, membership_at(finish->builder, staged)->where), "CYCLE",
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
                     where_unpack(finish->builder, membership_at(finish->builder, staged)->where),
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
        arena_calloc(finish->builder->stage, (size_t)accounts->count + 1, 1);
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
    uint32_t used = 0;
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct contract *contract = &catalog->contracts[i];
        if (contract->view != NONE) {
            continue; /* accounts_views.c gives it a buyer of its own */
        }
        uint32_t index = accounts_find(accounts, NONE, contract->buyer);
        assert(index != MAP_NONE);
        struct account *account = &accounts->items[index];
        if (account->contract_count == 0) {
            account->contract_first = used;
        } else {
            const struct contract *before = &catalog->contracts[contract_of[used - 1]];
            assert(text_equal(before->buyer, contract->buyer) && before->from <= contract->from);
            if (before->to > contract->from) {
                COMPLAIN(finish->builder, contract->place, "CONTRACT_OVERLAP",
                         "end the first where the second begins",
                         "\"%.*s\" has the contracts \"%.*s\" and \"%.*s\" at one time",
                         SHOWN(contract->buyer), SHOWN(before->id), SHOWN(contract->id));
            }
        }
        account->contract_count++;
        contract_of[used++] = i;
    }
    accounts->contract_of = contract_of;
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

bool finish_is_known(struct finish *finish, uint32_t account, struct where where)
{
    struct accounts_builder *builder = finish->builder;
    const struct staged_account *found = account_at(builder, account);
    if (found->flags & ACCOUNT_KNOWN) {
        return true;
    }
    COMPLAIN(builder, where_unpack(builder, where), "UNKNOWN_ACCOUNT",
             "accounts are declared in accounts.csv or named by memberships",
             "there is no account \"%.*s\"", SHOWN(id_text(found)));
    return false;
}

void finish_hash_override(struct finish *finish, const struct staged_override *row)
{
    const struct accounts_builder *builder = finish->builder;
    struct canonical record = {.size = 0};
    record.bytes[record.size++] = 'o';
    put_text(&record, id_text(account_at(builder, row->account)));
    put_text(&record, name_at(&builder->skus, row->sku)->text);
    put_number(&record, (uint64_t)row->from);
    put_number(&record, (uint64_t)row->to);
    put_number(&record, row->up_to == NONE);
    put_decimal(&record, row->up_to == NONE ? DEC_ZERO : decimals_at(builder, row->up_to));
    put_decimal(&record, decimals_at(builder, row->rate));
    put_decimal(&record, decimals_at(builder, row->flat));
    put_number(&record, (uint64_t)row->scope);
    if (row->cover != NONE) {
        put_text(&record, name_at(&builder->values, row->cover)->text);
    }
    add_record(finish, &record);
}

void finish_hash_setting(struct finish *finish, const struct staged_setting *row)
{
    const struct accounts_builder *builder = finish->builder;
    struct canonical record = {.size = 0};
    record.bytes[record.size++] = 's';
    put_text(&record, id_text(account_at(builder, row->account)));
    put_text(&record, name_at(&builder->setting_names, row->name)->text);
    put_text(&record, name_at(&builder->values, row->value)->text);
    put_number(&record, (uint64_t)row->from);
    put_number(&record, (uint64_t)row->to);
    add_record(finish, &record);
}

static void hash_commitment(struct finish *finish, const struct staged_commitment *row)
{
    const struct accounts_builder *builder = finish->builder;
    struct canonical record = {.size = 0};
    record.bytes[record.size++] = 'c';
    put_text(&record, name_at(&builder->commitment_ids, row->id)->text);
    put_text(&record, name_at(&builder->offerings, row->offering)->text);
    put_text(&record, id_text(account_at(builder, row->account)));
    /* Attributes may be long. */
    struct text attributes = name_at(&builder->values, row->attributes)->text;
    struct hash128 print = hash_print(attributes.at, attributes.size);
    put_number(&record, print.low);
    put_number(&record, print.high);
    for (int i = 0; i < STAGED_NUMBERS; i++) {
        put_number(&record, row->numbers[i] != NONE);
        put_decimal(&record,
                    row->numbers[i] == NONE ? DEC_ZERO : decimals_at(builder, row->numbers[i]));
    }
    put_number(&record, (uint64_t)row->from);
    put_number(&record, (uint64_t)row->to);
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
        if (account->currency > 0 || account->settlement > 0) {
            const struct currency *of_bill = currency_of_number(account->currency);
            const struct currency *settlement = currency_of_number(account->settlement);
            put_text(&record, of_bill ? text_of(of_bill->code) : TEXT(""));
            put_text(&record, settlement ? text_of(settlement->code) : TEXT(""));
        }
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

static void hash_commitments(struct finish *finish)
{
    const struct staged_commitment **rows;
    uint32_t count = finish_staged_commitments(finish, &rows);
    for (uint32_t i = 0; i < count; i++) {
        (void)finish_is_known(finish, rows[i]->account, rows[i]->where);
        hash_commitment(finish, rows[i]);
    }
}

/* Days of records begin in UTC, whatever the zone of bills: days of the catalog and the period do
 * not, and 1 October is two hours late for a bill of Berlin. */
static void warn_of_days(const struct finish *finish)
{
    const struct accounts_builder *builder = finish->builder;
    struct text zone = zone_name(finish->catalog->billing.zone);
    if (builder->first_day.line > 0 && !text_equal(zone, TEXT("UTC"))) {
        complain_softly(builder->complaints, where_unpack(builder, builder->first_day), "DAY_UTC",
                        TEXT("write times with an offset, such as 2026-10-01T00:00:00+02:00"),
                        "%s begins at midnight UTC, and bills are of days in %.*s; so does every "
                        "day of such files",
                        builder->first_day_text, TEXT_ARG(zone));
    }
}

enum status accounts_finish(struct accounts_builder *builder, const struct catalog *catalog,
                            struct accounts **accounts, struct complaints *complaints,
                            struct error *err)
{
    struct finish finish = {.builder = builder, .catalog = catalog};
    builder->complaints = complaints;
    builder->stage->recover = builder->arena->recover;
    finish.accounts = arena_calloc(builder->arena, 1, sizeof *finish.accounts);
    *accounts = NULL;
    resolve_plans(&finish);
    resolve_zones(&finish);
    resolve_skus(&finish);
    finish_add_buyers(&finish);
    rank_accounts(&finish);
    finish_buyers(&finish);
    report_conflicts(&finish);
    link_memberships(&finish);
    check_trees(&finish);
    link_contracts(&finish);
    finish_overrides(&finish);
    finish_settings(&finish);
    hash_commitments(&finish);
    hash_accounts(&finish);
    finish.accounts->digest = make_digest(&finish);
    finish_views(&finish);
    finish_commitments(&finish);

    warn_of_days(&finish);
    complaints_sort(complaints);
    if (complaints->errors > 0) {
        uint32_t first = 0;
        while (first + 1 < complaints->count && complaints->items[first].is_warning) {
            first++;
        }
        const struct complaint *complaint = &complaints->items[first];
        return fail(err, ERR_INPUT, "%s: %s (%u complaint%s)",
                    place_text(builder->stage, complaint->place), complaint->message,
                    complaints->errors, complaints->errors == 1 ? "" : "s");
    }
    *accounts = finish.accounts;
    return OK;
}
