/* accounts_override.c - prices of one account: rows of overrides to prices, their steps and nodes.
 */
#include "catalog/accounts_stage.h"

#include "base/nofloat.h"

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
                    : dec_compare(decimals_at(builder, x->up_to), decimals_at(builder, y->up_to));
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
    uint32_t *items = arena_alloc(builder->stage, ((size_t)staged_count + 1) * sizeof *items);
    for (uint32_t i = 0; i < staged_count; i++) {
        const struct staged_override *staged = override_at(builder, i);
        if (finish_is_known(finish, staged->account, staged->where) &&
            finish->skus[staged->sku] != NONE) {
            items[count++] = i;
        }
    }
    /* Complaints may be in the same arena, so none are made from here to the rewind. */
    struct arena_mark mark = arena_mark(builder->stage);
    struct keyed *keyed = arena_alloc(builder->stage, ((size_t)count + 1) * sizeof *keyed);
    struct keyed *spare = arena_alloc(builder->stage, ((size_t)count + 1) * sizeof *spare);
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_override *staged = override_at(builder, items[i]);
        keyed[i] = (struct keyed){
            (uint64_t)finish->rank[staged->account] << 32 | finish->skus[staged->sku], items[i]};
    }
    const struct keyed *sorted = count ? keyed_sort(keyed, spare, count) : keyed;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = sorted[i].index;
    }
    for (uint32_t first = 0, next; first < count; first = next) {
        for (next = first + 1; next < count && sorted[next].key == sorted[first].key; next++) {
        }
        indices_sort(items + first, next - first, compare_tiers, builder);
    }
    arena_rewind(builder->stage, mark);
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
    return a->up_to == b->up_to && a->rate == b->rate && a->flat == b->flat &&
           a->scope == b->scope && a->cover == b->cover;
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
            COMPLAIN(builder, where_unpack(builder, row->where), "TIER_OVERLAP",
                     row->up_to == NONE ? "one tier is open; the others say up_to"
                                        : "one row a tier",
                     "two tiers of \"%.*s\" for \"%.*s\" end at the same quantity", SHOWN(sku),
                     SHOWN(id));
            return false;
        }
        if (last && last->scope != row->scope) {
            COMPLAIN(builder, where_unpack(builder, row->where), "SCOPE_CONFLICT", "",
                     "the tiers of \"%.*s\" for \"%.*s\" have different scopes", SHOWN(sku),
                     SHOWN(id));
            return false;
        }
        if (last && last->cover != row->cover) {
            COMPLAIN(builder, where_unpack(builder, row->where), "COVER_CONFLICT", "",
                     "the tiers of \"%.*s\" for \"%.*s\" have different covers", SHOWN(sku),
                     SHOWN(id));
            return false;
        }
        kept[(*kept_count)++] = rows[i];
        last = row;
    }
    if (last->up_to != NONE) {
        COMPLAIN(builder, where_unpack(builder, last->where), "TIER_GAP",
                 "add a row with an empty up_to",
                 "the tiers of \"%.*s\" for \"%.*s\" leave what is above the last one unpriced",
                 SHOWN(name_at(&builder->skus, last->sku)->text),
                 SHOWN(id_text(account_at(builder, last->account))));
        return false;
    }
    return true;
}

/* Shared covers that rows pass before an override's rate. */
struct covers {
    const struct step **steps;
    uint32_t count;
    uint32_t *clocks; /* in catalog->slot_clocks */
    uint32_t clock_count;
    bool asks_contract;
    bool is_read, is_good;
};

/* Rows are cut where the cover's own turns begin, and where what it asks changes. */
static void add_clocks(struct arena *arena, const struct step *step, struct covers *covers)
{
    const struct step_cover *cover = &step->cover;
    uint32_t count = covers->clock_count;
    uint32_t *clocks = arena_alloc(arena, (count + cover->clock_count + 1u) * sizeof *clocks);
    if (count > 0) {
        memcpy(clocks, covers->clocks, count * sizeof *clocks);
    }
    for (uint32_t i = 0; i < cover->clock_count; i++) {
        clocks[count++] = cover->clocks[i];
    }
    covers->clocks = clocks;
    covers->clock_count = count;
    covers->asks_contract = covers->asks_contract || cover->asks_contract;
}

static const struct step *find_cover(const struct catalog *catalog, struct text name)
{
    for (uint32_t i = 0; i < catalog->shared_count; i++) {
        const struct step *step = &catalog->shared[i];
        if (step->kind == STEP_COVER && text_equal(step->name, name)) {
            return catalog->node_price[step->node] == NONE ? NULL : step; /* no price uses it */
        }
    }
    return NULL;
}

/* "reservations;plans": in the order in which prices pass them. */
static void read_covers(struct finish *finish, const struct staged_override *row,
                        struct covers *covers)
{
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    struct text text = name_at(&builder->values, row->cover)->text;
    covers->is_read = true;
    covers->steps =
        arena_alloc(builder->arena, (catalog->shared_count + 1u) * sizeof(const struct step *));
    for (size_t at = 0; at <= text.size;) {
        const char *end = memchr(text.at + at, ';', text.size - at);
        size_t size = end ? (size_t)(end - text.at) - at : text.size - at;
        struct text name = {text.at + at, size};
        const struct step *step = find_cover(catalog, name);
        at += size + 1;
        if (!step) {
            COMPLAIN(builder, where_unpack(builder, row->where), "UNKNOWN_COVER",
                     "a cover under steps: of the catalog that some price uses; several by ;",
                     "there is no shared cover \"%.*s\"", SHOWN(name));
            return;
        }
        if (step->cover.is_frozen && !cover_lines_are_fine(step, GRAIN_MONTH)) {
            COMPLAIN(builder, where_unpack(builder, row->where), "FROZEN_GRAIN",
                     "a price of a contract of its own, with grain: hour",
                     "the cover \"%.*s\" is frozen, and lines of this price are by the month",
                     SHOWN(name));
            return;
        }
        if (covers->count > 0 && covers->steps[covers->count - 1]->node >= step->node) {
            COMPLAIN(builder, where_unpack(builder, row->where), "COVER_ORDER",
                     "each once, in the order in which prices of the catalog use them",
                     "\"%.*s\" comes before \"%.*s\"", SHOWN(name),
                     SHOWN(covers->steps[covers->count - 1]->name));
            return;
        }
        covers->steps[covers->count++] = step;
        add_clocks(builder->arena, step, covers);
    }
    covers->is_good = true;
}

/* Those of a row; NULL when it names what is not there. */
static const struct covers *covers_of(struct finish *finish, struct covers *all,
                                      const struct staged_override *row)
{
    static const struct covers none;
    if (row->cover == NONE) {
        return &none;
    }
    struct covers *covers = &all[row->cover];
    if (!covers->is_read) {
        read_covers(finish, row, covers);
    }
    return covers->is_good ? covers : NULL;
}

/* Steps of overrides are few against their number (a discount of 10 % is one set of tiers for all
 * that have it), and they are fat: those with equal tiers and an equal node are one.  So are the
 * prices that have them always, which no version follows. */
struct curve {
    const struct step *steps;
    uint32_t price; /* that has them always; NONE: there was none yet */
};
struct curves {
    struct map by_content;
    struct chunks items; /* struct curve */
    uint32_t *key;       /* scratch: node, scope, covers, tiers */
    uint32_t *node_of_sku;
    uint32_t node_count;
};

/* Its covers, and what makes amounts of what they leave. */
static const struct step *make_steps(struct finish *finish, const struct covers *covers,
                                     const uint32_t *rows, uint32_t count, uint32_t node)
{
    struct accounts_builder *builder = finish->builder;
    struct arena *arena = builder->arena;
    struct step *steps = arena_calloc(arena, covers->count + 1u, sizeof *steps);
    for (uint32_t i = 0; i < covers->count; i++) {
        steps[i] = *covers->steps[i];
    }
    struct step *step = &steps[covers->count];
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
        open->rate.value = decimals_at(builder, row->rate);
        open->flat.value = decimals_at(builder, row->flat);
        step->rate = (struct step_rate){.cases = open, .case_count = 1};
        return steps;
    }
    struct tier *tiers = arena_calloc(arena, count, sizeof *tiers);
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_override *row = override_at(builder, rows[i]);
        tiers[i].open = row->up_to == NONE;
        if (!tiers[i].open) {
            tiers[i].up_to = decimals_at(builder, row->up_to);
        }
        tiers[i].rate.value = decimals_at(builder, row->rate);
        tiers[i].flat.value = decimals_at(builder, row->flat);
    }
    step->tier = (struct step_tier){.mode = TIER_GRADUATED,
                                    .tiers = tiers,
                                    .tier_count = count,
                                    .past_last = PAST_REFUSED,
                                    .package_round = ROUND_CEILING};
    tier_resolve(arena, &step->tier);
    return steps;
}

static struct curve *find_curve(struct finish *finish, struct curves *curves,
                                const struct covers *covers, const uint32_t *rows, uint32_t count,
                                uint32_t node)
{
    struct accounts_builder *builder = finish->builder;
    uint32_t size = 0;
    curves->key[size++] = node;
    curves->key[size++] = (uint32_t)override_at(builder, rows[0])->scope;
    curves->key[size++] = override_at(builder, rows[0])->cover;
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_override *row = override_at(builder, rows[i]);
        curves->key[size++] = row->up_to;
        curves->key[size++] = row->rate;
        curves->key[size++] = row->flat;
    }
    struct text key = {(const char *)curves->key, size * sizeof *curves->key};
    uint32_t found = map_find(&curves->by_content, key);
    if (found == MAP_NONE) {
        struct curve *curve = chunks_add(&curves->items, builder->stage);
        *curve = (struct curve){make_steps(finish, covers, rows, count, node), NONE};
        found =
            map_put(&curves->by_content, text_copy(builder->stage, key), curves->items.count - 1);
    }
    return chunks_at(&curves->items, found);
}

static bool is_of_account(const struct staged_override *row)
{
    return row->scope == SCOPE_ACCOUNT || row->scope == SCOPE_RESOURCE;
}

/* A private step's node is its level's, price's and step's: versions of a price share it.  Buckets
 * of scope account are told apart by their account, so there all accounts share one node a SKU. */
static uint32_t find_node(const struct finish *finish, struct curves *curves,
                          const struct staged_override *row, const struct staged_override *before,
                          uint32_t node_before)
{
    uint32_t node_first = finish->catalog->node_count;
    if (is_of_account(row)) {
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

/* What is made of the rows. */
struct making {
    struct price *prices; /* on the stage until their number is known */
    uint32_t price_count, price_capacity;
    struct override *overrides; /* one for each account that has some */
    uint32_t override_count;
    uint32_t *indices; /* of prices, in the order of the rows */
    uint32_t index_count;
    uint32_t *skus; /* each by its number, for prices to point at */
    struct curves curves;
    struct covers *covers; /* by their value */
};

/* The row behind those that are tiers of one price with the first. */
static uint32_t price_end(const struct accounts_builder *builder, const struct override_rows *rows,
                          uint32_t first)
{
    const struct staged_override *row = override_at(builder, rows->items[first]);
    uint32_t end = first + 1;
    while (end < rows->count && is_same_price(row, override_at(builder, rows->items[end]))) {
        end++;
    }
    return end;
}

/* Makes room; the most tiers that a price has. */
static uint32_t prepare(const struct finish *finish, const struct override_rows *rows,
                        struct making *making)
{
    const struct accounts_builder *builder = finish->builder;
    struct arena *arena = builder->arena, *stage = builder->stage;
    const uint32_t sku_count = finish->catalog->sku_count;
    uint32_t price_count = 0, override_count = 0, longest = 0, account = NONE;
    for (uint32_t first = 0, next; first < rows->count; first = next) {
        const struct staged_override *row = override_at(builder, rows->items[first]);
        next = price_end(builder, rows, first);
        longest = next - first > longest ? next - first : longest;
        price_count++;
        override_count += row->account != account;
        account = row->account;
    }
    *making = (struct making){.curves = {.items = {.item_bytes = sizeof(struct curve)}}};
    making->overrides = arena_calloc(arena, override_count, sizeof *making->overrides);
    making->indices = arena_alloc(arena, price_count * sizeof *making->indices);
    making->skus = arena_alloc(arena, (sku_count + 1) * sizeof *making->skus);
    making->covers = arena_calloc(stage, builder->values.items.count + 1u, sizeof *making->covers);
    struct curves *curves = &making->curves;
    curves->key = arena_alloc(stage, (3 * (size_t)longest + 3) * sizeof *curves->key);
    curves->node_of_sku = arena_alloc(stage, (sku_count + 1) * sizeof *curves->node_of_sku);
    map_init(&curves->by_content, stage, 64);
    for (uint32_t i = 0; i < sku_count; i++) {
        making->skus[i] = i;
        curves->node_of_sku[i] = NONE;
    }
    return longest;
}

/* The account's override; rows come by account, so its prices are one behind the other. */
static uint32_t find_override(struct finish *finish, struct making *making, uint32_t account)
{
    uint32_t *override = &finish->accounts->items[account].override;
    if (*override == NONE) {
        const uint32_t *own = &making->indices[making->index_count]; /* by SKU already */
        *override = making->override_count++;
        making->overrides[*override] = (struct override){account, {.prices = own, .by_sku = own}};
    }
    return *override;
}

static uint32_t make_price(const struct finish *finish, struct making *making,
                           const struct staged_override *row, const struct covers *covers,
                           const struct step *steps, uint32_t override)
{
    const struct accounts_builder *builder = finish->builder;
    const uint32_t sku = finish->skus[row->sku];
    if (making->price_count == making->price_capacity) {
        making->price_capacity = making->price_count ? making->price_count * 2 : 1024;
        making->prices = arena_grow(builder->stage, making->prices, making->price_count,
                                    making->price_capacity, sizeof *making->prices);
    }
    making->prices[making->price_count] = (struct price){
        .name = finish->catalog->skus[sku].name,
        .skus = &making->skus[sku],
        .sku_count = 1,
        .from = row->from,
        .to = row->to,
        .grain = GRAIN_MONTH,
        .steps = steps,
        .step_count = covers->count + 1,
        .asks_contract = covers->asks_contract,
        .clocks = covers->clocks,
        .clock_count = covers->clock_count,
        .owner = OWNER_OVERRIDE + override,
        .place = where_unpack(builder, row->where),
    };
    return making->price_count++;
}

/* A price of rows that are right: tiers are in their order. */
static void add_price(struct finish *finish, struct making *making,
                      const struct staged_override *row, const struct covers *covers,
                      const uint32_t *tiers, uint32_t tier_count, uint32_t node)
{
    uint32_t override = find_override(finish, making, finish->rank[row->account]);
    struct curve *curve = find_curve(finish, &making->curves, covers, tiers, tier_count, node);
    bool is_shared = row->from == INSTANT_MIN && row->to == INSTANT_MAX && is_of_account(row);
    uint32_t price = is_shared ? curve->price : NONE;
    if (price == NONE) {
        price = make_price(finish, making, row, covers, curve->steps, override);
        curve->price = is_shared ? price : curve->price;
    }
    making->indices[making->index_count++] = price;
    making->overrides[override].prices.count++;
    for (uint32_t i = 0; i < tier_count; i++) {
        finish_hash_override(finish, override_at(finish->builder, tiers[i]));
    }
}

static void complain_of_overlap(const struct finish *finish, const struct staged_override *row)
{
    struct accounts_builder *builder = finish->builder;
    COMPLAIN(builder, where_unpack(builder, row->where), "PRICE_OVERLAP",
             "end the first where the second begins",
             "two prices of \"%.*s\" for \"%.*s\" at one time",
             SHOWN(name_at(&builder->skus, row->sku)->text),
             SHOWN(id_text(account_at(builder, row->account))));
}

void finish_overrides(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    struct accounts *accounts = finish->accounts;
    struct override_rows rows = sort_overrides(finish);
    accounts->node_first = finish->catalog->node_count;
    if (rows.count == 0) {
        return;
    }
    struct making making;
    const uint32_t longest = prepare(finish, &rows, &making);
    uint32_t *tiers = arena_alloc(builder->stage, longest * sizeof *tiers), node = NONE;
    const struct staged_override *before = NULL; /* of the price before */
    instant end = INSTANT_MIN;                   /* of those of the SKU so far */
    for (uint32_t first = 0, next; first < rows.count; first = next) {
        const struct staged_override *row = override_at(builder, rows.items[first]);
        next = price_end(builder, &rows, first);
        uint32_t tier_count;
        bool is_price = check_tiers(finish, rows.items + first, next - first, tiers, &tier_count);
        bool goes_on = before && is_same_sku(before, row);
        if (goes_on && row->from < end) {
            complain_of_overlap(finish, row);
            is_price = false;
        }
        end = goes_on && end > row->to ? end : row->to;
        const struct covers *covers = covers_of(finish, making.covers, row);
        if (is_price && covers) {
            node = find_node(finish, &making.curves, row, before, node);
            add_price(finish, &making, row, covers, tiers, tier_count, node);
        }
        before = row;
    }
    struct price *all = arena_alloc(builder->arena, (making.price_count + 1u) * sizeof *all);
    if (making.price_count > 0) {
        memcpy(all, making.prices, making.price_count * sizeof *all);
    }
    for (uint32_t i = 0; i < making.override_count; i++) {
        making.overrides[i].prices.base = all;
        making.overrides[i].prices.by_sku_count = making.overrides[i].prices.count;
    }
    accounts->prices = all;
    accounts->price_count = making.price_count;
    accounts->overrides = making.overrides;
    accounts->override_count = making.override_count;
    accounts->node_count = making.curves.node_count;
}
