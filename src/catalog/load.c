/* load.c - catalog_load: from files to a catalog, in an order in which each part finds the names of
 * those before it.
 *
 *     trees -> sections (all files together) -> names (SKUs, dimensions, attributes, parameters)
 *           -> zone, currency, rounding -> products, tables, clocks, meters -> shared steps
 *           -> prices, plans, contracts, accounts -> nodes, checks, indices
 *
 * Nothing depends on the order of files: sections are sorted, by name or by content.
 */
#include "catalog/load.h"

#include <stdlib.h>

#include "base/money.h"

#include "base/nofloat.h"

static const char *const top_keys[] = {
    "catalog", "currency",   "rounding",    "profile",  "billing",   "default_plan",
    "csv",     "products",   "meters",      "clocks",   "tables",    "steps",
    "prices",  "plans",      "contracts",   "accounts", "calendars", "series",
    "terms",   "currencies", "commitments", NULL};

/* ---- sections ---- */

static int compare_nodes(const void *a, const void *b)
{
    const struct yaml_node *const *left = a, *const *right = b;
    return text_compare((*left)->key, (*right)->key);
}

/* All entries of a top-level list over all files. */
static struct section collect_list(struct loader *loader, const char *key)
{
    struct section section = {0};
    uint32_t capacity = 0;
    for (uint32_t r = 0; r < loader->root_count; r++) {
        const struct yaml_node *node = yaml_member(loader->roots[r], key);
        if (node == NULL || node->kind == YAML_NONE || !want_kind(loader, node, YAML_LIST)) {
            continue;
        }
        for (uint32_t i = 0; i < node->count; i++) {
            section.items =
                grow_array(loader, section.items, section.count, &capacity, sizeof *section.items);
            section.items[section.count++] = &node->items[i];
        }
    }
    return section;
}

struct section collect_mapping(struct loader *loader, const char *key)
{
    struct section section = {0};
    uint32_t capacity = 0;
    struct map seen;
    map_init(&seen, loader->arena, 64);
    for (uint32_t r = 0; r < loader->root_count; r++) {
        const struct yaml_node *node = yaml_member(loader->roots[r], key);
        if (node == NULL || node->kind == YAML_NONE || !want_kind(loader, node, YAML_MAP)) {
            continue;
        }
        for (uint32_t i = 0; i < node->count; i++) {
            const struct yaml_node *item = &node->items[i];
            uint32_t first = map_put(&seen, item->key, section.count);
            if (first != section.count) {
                const struct yaml_node *other = section.items[first];
                if (other->file != item->file) { /* in one file, the reader has said so */
                    complain(loader->complaints, yaml_key_place(item), "DUPLICATE_NAME",
                             text_format(loader->arena, "the other is in %.*s on line %u",
                                         TEXT_ARG(other->file->name), other->key_line),
                             "%.*s stands twice under %s", TEXT_ARG(item->key), key);
                }
                continue;
            }
            check_name(loader, yaml_key_place(item), item->key);
            section.items =
                grow_array(loader, section.items, section.count, &capacity, sizeof *section.items);
            section.items[section.count++] = item;
        }
    }
    if (section.count > 0) {
        qsort(section.items, section.count, sizeof *section.items, compare_nodes);
    }
    return section;
}

/* A key that stands once in all files. */
static const struct yaml_node *collect_single(struct loader *loader, const char *key)
{
    const struct yaml_node *first = NULL;
    for (uint32_t r = 0; r < loader->root_count; r++) {
        const struct yaml_node *node = yaml_member(loader->roots[r], key);
        if (node == NULL) {
            continue;
        }
        if (first != NULL) {
            complain(loader->complaints, yaml_key_place(node), "DUPLICATE_NAME",
                     text_format(loader->arena, "the other is in %.*s on line %u",
                                 TEXT_ARG(first->file->name), first->key_line),
                     "%s stands in two files", key);
            continue;
        }
        first = node;
    }
    return first;
}

static void index_names(struct loader *loader, struct section section, struct map *by_name,
                        struct text **names)
{
    map_init(by_name, loader->arena, section.count);
    struct text *texts = arena_calloc(loader->arena, section.count, sizeof *texts);
    for (uint32_t i = 0; i < section.count; i++) {
        texts[i] = section.items[i]->key;
        map_put(by_name, texts[i], i);
    }
    if (names != NULL) {
        *names = texts;
    }
}

/* ---- names ---- */

void name_set_init(struct name_set *set, struct loader *loader)
{
    *set = (struct name_set){.loader = loader};
    map_init(&set->map, loader->arena, 64);
}

void name_set_add(struct name_set *set, struct text name)
{
    if (map_put(&set->map, name, set->count) == set->count) {
        set->items =
            grow_array(set->loader, set->items, set->count, &set->capacity, sizeof *set->items);
        set->items[set->count++] = name;
    }
}

static int compare_texts(const void *a, const void *b)
{
    const struct text *left = a, *right = b;
    return text_compare(*left, *right);
}

void name_set_sort(struct name_set *set)
{
    if (set->count > 0) {
        qsort(set->items, set->count, sizeof *set->items, compare_texts);
    }
}

/* Sorted, with a map to the positions. */
static void name_set_finish(struct name_set *set, struct map *by_name, const struct text **names,
                            uint32_t *count)
{
    name_set_sort(set);
    map_init(by_name, set->loader->arena, set->count);
    for (uint32_t i = 0; i < set->count; i++) {
        map_put(by_name, set->items[i], i);
    }
    *names = set->items;
    *count = set->count;
}

static void add_keys(struct name_set *set, const struct yaml_node *map)
{
    for (uint32_t i = 0; map != NULL && map->kind == YAML_MAP && i < map->count; i++) {
        if (check_name(set->loader, yaml_key_place(&map->items[i]), map->items[i].key)) {
            name_set_add(set, map->items[i].key);
        }
    }
}

/* Types of the values that a name has in several mappings; of two, it is known when it runs. */
static void note_types(struct loader *loader, const struct yaml_node *map,
                       const struct map *by_name, enum expr_type *types)
{
    for (uint32_t i = 0; map != NULL && map->kind == YAML_MAP && i < map->count; i++) {
        uint32_t index = map_find(by_name, map->items[i].key);
        struct expr_value value;
        if (index != MAP_NONE && map->items[i].kind == YAML_TEXT &&
            read_value(loader, &map->items[i], &value)) {
            bool first = types[index] == EXPR_MISSING;
            types[index] = first || types[index] == value.type ? value.type : EXPR_DYNAMIC;
        }
    }
}

/* Expressions tell names apart by numbers, of which each kind of names has so many. */
static void limit_names(struct loader *loader, struct section section, uint32_t count,
                        uint32_t most, const char *what)
{
    if (count > most) {
        const struct yaml_node *first = section.count > 0 ? section.items[0] : loader->roots[0];
        complain(loader->complaints, yaml_key_place(first), "LIMIT", NO_HINT, "more than %u %s",
                 most, what);
    }
}

struct sections {
    struct section products, meters, calendars, prices, plans, contracts, steps, accounts;
};

static void collect_dimensions(struct loader *loader, struct section meters)
{
    struct name_set set;
    name_set_init(&set, loader);
    for (uint32_t i = 0; i < meters.count; i++) {
        add_keys(&set, yaml_member(meters.items[i], "dimensions"));
    }
    for (uint32_t i = 0; i < loader->input->dimension_count; i++) {
        name_set_add(&set, loader->input->dimensions[i]);
    }
    name_set_finish(&set, &loader->dimension_by_name, &loader->catalog->dimensions,
                    &loader->catalog->dimension_count);
    limit_names(loader, meters, loader->catalog->dimension_count, NAME_ATTRIBUTE - NAME_DIMENSION,
                "dimensions");
}

/* The attributes of SKUs or the parameters of contracts; items[i] holds them under key, or in the
 * members of its skus. */
static void collect_values(struct loader *loader, struct section section, bool in_skus,
                           const char *key, struct map *by_name, const struct text **names,
                           uint32_t *count, enum expr_type **types)
{
    struct name_set set;
    name_set_init(&set, loader);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < section.count; i++) {
            const struct yaml_node *holder = section.items[i];
            const struct yaml_node *skus = in_skus ? yaml_member(holder, "skus") : NULL;
            uint32_t inner = !in_skus                                 ? 1
                             : skus != NULL && skus->kind == YAML_MAP ? skus->count
                                                                      : 0;
            for (uint32_t k = 0; k < inner; k++) {
                const struct yaml_node *map = yaml_member(in_skus ? &skus->items[k] : holder, key);
                bool is_list = map != NULL && map->kind == YAML_LIST; /* with dates */
                for (uint32_t m = 0; m < (is_list ? map->count : 1); m++) {
                    const struct yaml_node *one = is_list ? &map->items[m] : map;
                    if (pass == 0) {
                        add_keys(&set, one);
                    } else {
                        note_types(loader, one, by_name, *types);
                    }
                }
            }
        }
        if (pass == 0) {
            name_set_finish(&set, by_name, names, count);
            *types = arena_calloc(loader->arena, *count, sizeof **types);
        }
    }
}

static void complain_of_sku(struct loader *loader, const struct yaml_node *node,
                            const struct name_set *set, uint32_t declared_count)
{
    struct text hint = hint_nearest(loader->arena, node->text, set->items, declared_count);
    COMPLAIN(loader, node, "UNKNOWN_NAME",
             hint.size > 0 ? hint : TEXT("add it to the skus of a product, or name one with sku:"),
             "no product has the SKU %.*s", TEXT_ARG(node->text));
}

/* A name that a price or meter mentions: with products, it must be one of theirs. */
static void add_sku(struct name_set *set, const struct map *declared, const struct yaml_node *node,
                    struct text name)
{
    struct loader *loader = set->loader;
    if (node->kind != YAML_TEXT || text_equal(name, TEXT("*"))) {
        return;
    }
    if (loader->has_products && map_find(declared, name) == MAP_NONE) {
        complain_of_sku(loader, node, set, declared->count);
    }
    if (check_name(loader, yaml_place(node), name)) {
        name_set_add(set, name);
    }
}

static void add_price_skus(struct name_set *set, const struct map *declared,
                           const struct yaml_node *price)
{
    const struct yaml_node *sku = yaml_member(price, "sku");
    for (uint32_t i = 0; sku != NULL && sku->kind == YAML_LIST && i < sku->count; i++) {
        add_sku(set, declared, &sku->items[i], sku->items[i].text);
    }
    if (sku != NULL && sku->kind == YAML_TEXT) {
        add_sku(set, declared, sku, sku->text);
    }
}

struct sku_names {
    struct name_set *set;
    const struct map *declared;
};

static void add_fee_sku(void *context, const struct yaml_node *sku)
{
    struct sku_names *names = context;
    add_sku(names->set, names->declared, sku, sku->text);
}

/* What fees are sold as, in a list of prices, and in terms. */
static void add_fee_skus(struct name_set *set, const struct map *declared,
                         const struct yaml_node *prices, const struct yaml_node *terms)
{
    struct sku_names names = {set, declared};
    for (uint32_t i = 0; prices != NULL && prices->kind == YAML_LIST && i < prices->count; i++) {
        terms_visit_skus(yaml_member(&prices->items[i], "steps"), add_fee_sku, &names);
    }
    terms_visit_skus(terms, add_fee_sku, &names);
}

bool sku_is_name(struct text text)
{
    static const char *const names[] = {"type", "source", "id", "subject"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (text_equal(text, text_of(names[i]))) {
            return false;
        }
    }
    if (text.size >= 5 && memcmp(text.at, "data", 4) == 0 &&
        (text.at[4] == '.' || text.at[4] == '[')) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        bool letter = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') ||
                      (unsigned char)c >= 0x80;
        if (!letter && c != '.' && c != '-' && c != '_' && c != '/' && c != ':') {
            return false;
        }
    }
    return text.size > 0;
}

static void collect_skus(struct loader *loader, const struct sections *all)
{
    struct name_set set;
    name_set_init(&set, loader);
    for (uint32_t i = 0; i < all->products.count; i++) {
        add_keys(&set, yaml_member(all->products.items[i], "skus"));
    }
    /* The first names of set.items, in the order they came, are the declared ones. */
    struct map declared;
    map_init(&declared, loader->arena, set.count);
    for (uint32_t i = 0; i < set.count; i++) {
        map_put(&declared, set.items[i], i);
    }
    for (uint32_t i = 0; i < all->meters.count; i++) {
        const struct yaml_node *sku = yaml_member(all->meters.items[i], "sku");
        if (sku == NULL) { /* the meter's name is */
            struct yaml_node name = *all->meters.items[i];
            name.kind = YAML_TEXT;
            name.text = name.key;
            name.line = name.key_line;
            name.column = name.key_column;
            add_sku(&set, &declared, &name, name.key);
        } else if (sku->kind == YAML_TEXT && sku_is_name(sku->text)) {
            add_sku(&set, &declared, sku, sku->text);
        }
    }
    for (uint32_t i = 0; i < all->prices.count; i++) {
        add_price_skus(&set, &declared, all->prices.items[i]);
    }
    for (uint32_t i = 0; i < all->plans.count + all->contracts.count; i++) {
        const struct yaml_node *owner =
            i < all->plans.count ? all->plans.items[i] : all->contracts.items[i - all->plans.count];
        const struct yaml_node *prices = yaml_member(owner, "prices");
        for (uint32_t k = 0; prices != NULL && prices->kind == YAML_LIST && k < prices->count;
             k++) {
            add_price_skus(&set, &declared, &prices->items[k]);
        }
        add_fee_skus(&set, &declared, prices, yaml_member(owner, "terms"));
    }
    for (uint32_t r = 0; r < loader->root_count; r++) {
        const struct yaml_node *root = loader->roots[r];
        add_fee_skus(&set, &declared, yaml_member(root, "prices"), yaml_member(root, "terms"));
    }
    const struct text *names;
    struct catalog *catalog = loader->catalog;
    name_set_finish(&set, &catalog->sku_by_name, &names, &catalog->sku_count);
    struct sku *skus = arena_calloc(loader->arena, catalog->sku_count, sizeof *skus);
    for (uint32_t i = 0; i < catalog->sku_count; i++) {
        skus[i] = (struct sku){.name = names[i], .product = NONE};
    }
    catalog->skus = skus;
}

/* ---- small sections ---- */

static void load_head(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    bool lenient = loader->input->exact_rounding_default;
    struct place start = {loader->root_count > 0 ? loader->roots[0]->file->name : TEXT("catalog"),
                          1, 1};
    const struct yaml_node *node = collect_single(loader, "catalog");
    catalog->name = TEXT("catalog");
    if (node != NULL) {
        read_name(loader, node, &catalog->name);
    } else if (!lenient && loader->root_count > 0) {
        complain(loader->complaints, start, "MISSING_KEY", TEXT("catalog: acme-cloud"),
                 "no file says the catalog's name");
    }
    node = collect_single(loader, "currency");
    catalog->currency = currency_find(TEXT("USD"));
    if (node != NULL) {
        read_currency(loader, node, &catalog->currency);
    } else if (!lenient && loader->root_count > 0) {
        complain(loader->complaints, start, "MISSING_KEY", TEXT("currency: USD"),
                 "no file says the catalog's currency");
    }
    loader->currency = catalog->currency;
    load_profile(loader, collect_single(loader, "profile"));
    node = collect_single(loader, "billing");
    catalog->billing = clock_calendar(EVERY_MONTH, NULL);
    if (node != NULL) {
        bool at_contract = false;
        if (yaml_member(node, "zone") != NULL) { /* first: the anchor's date is in it */
            const struct yaml_node *zone = yaml_member(node, "zone");
            if (zone->kind == YAML_TEXT) {
                find_zone(loader, zone->text, &loader->zone);
            }
        }
        load_billing(loader, node, &catalog->billing, &at_contract, &catalog->billing_at_account,
                     &catalog->thresholds);
        load_late_periods(loader, node, true);
        if (at_contract) {
            COMPLAIN(loader, yaml_member(node, "anchor"), "BAD_VALUE",
                     TEXT("calendar, subscription or a date"),
                     "the catalog's bills cannot begin with a contract; a contract's own can");
        }
    }
}

bool digits_are_currency(const struct yaml_node *node)
{
    return node->kind == YAML_TEXT && text_equal(node->text, TEXT("currency"));
}

/* Each NULL: it stays as it is. */
static void read_rounding_keys(struct loader *loader, const struct yaml_node *digits,
                               const struct yaml_node *mode, const struct yaml_node *at,
                               struct line_rounding *rounding)
{
    static const char *const ats[] = {"line", "total", NULL};
    if (digits != NULL && digits_are_currency(digits)) {
        rounding->digits = DIGITS_OF_CURRENCY;
    } else if (digits != NULL && digits->kind == YAML_TEXT && digits->text.size > 0 &&
               (digits->text.at[0] < '-' || digits->text.at[0] > '9')) { /* no number of any form */
        COMPLAIN(loader, digits, "BAD_VALUE", TEXT("a whole number from 0 to 18, or currency"),
                 "'%.*s' is no number of digits", TEXT_ARG(digits->text));
    } else if (digits != NULL) {
        read_int(loader, digits, 0, DEC_SCALE, &rounding->digits);
    }
    if (mode != NULL) {
        read_rounding_mode(loader, mode, &rounding->mode);
    }
    int choice = 0;
    if (at != NULL && read_choice(loader, at, ats, &choice)) {
        rounding->at_total = choice == 1;
    }
}

void read_line_rounding(struct loader *loader, const struct yaml_node *node,
                        struct line_rounding *rounding)
{
    static const char *const keys[] = {"digits", "mode", "at", NULL};
    if (node->kind == YAML_TEXT && text_equal(node->text, TEXT("exact"))) {
        rounding->exact = true;
    } else if (want_kind(loader, node, YAML_MAP)) {
        check_keys(loader, node, "rounding", keys);
        rounding->exact = false;
        read_rounding_keys(loader, yaml_member(node, "digits"), yaml_member(node, "mode"),
                           yaml_member(node, "at"), rounding);
    }
}

static void load_rounding(struct loader *loader)
{
    struct line_rounding *rounding = &loader->catalog->rounding;
    const struct yaml_node *node = collect_single(loader, "rounding");
    const struct yaml_node *digits = profile_option(loader, "rounding", "digits");
    const struct yaml_node *mode = profile_option(loader, "rounding", "mode");
    const struct yaml_node *at = profile_option(loader, "rounding", "at");
    bool is_of_profile = digits != NULL || mode != NULL || at != NULL;
    *rounding =
        (struct line_rounding){.exact = loader->input->exact_rounding_default && !is_of_profile,
                               .digits = 10,
                               .mode = ROUND_HALF_UP};
    read_rounding_keys(loader, digits, mode, at, rounding);
    if (node != NULL) {
        read_line_rounding(loader, node, rounding);
    }
}

struct ranked_sku {
    struct text product, name;
    uint32_t index;
};

static int compare_ranked_skus(const void *a_ranked, const void *b_ranked)
{
    const struct ranked_sku *a = a_ranked, *b = b_ranked;
    int order = text_compare(a->product, b->product);
    return order ? order : text_compare(a->name, b->name);
}

static void rank_skus(struct arena *arena, const struct product *products, struct sku *skus,
                      uint32_t count)
{
    struct arena_mark mark = arena_mark(arena);
    struct ranked_sku *order = arena_alloc(arena, (count + 1u) * sizeof *order);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t product = skus[i].product;
        order[i] = (struct ranked_sku){product == NONE ? TEXT("") : products[product].name,
                                       skus[i].name, i};
    }
    if (count > 0) {
        qsort(order, count, sizeof *order, compare_ranked_skus);
    }
    for (uint32_t i = 0; i < count; i++) {
        skus[order[i].index].rank = i;
    }
    arena_rewind(arena, mark);
}

static void read_attributes(struct loader *loader, const struct yaml_node *node, struct sku *sku)
{
    if (!want_kind(loader, node, YAML_MAP)) {
        return;
    }
    struct attribute *values = arena_calloc(loader->arena, node->count, sizeof *values);
    for (uint32_t i = 0; i < node->count; i++) {
        uint32_t name = map_find(&loader->attribute_by_name, node->items[i].key);
        struct expr_value value;
        if (name == MAP_NONE || !read_value(loader, &node->items[i], &value)) {
            continue;
        }
        uint32_t at = sku->attribute_count++;
        for (; at > 0 && values[at - 1].name > name; at--) { /* sorted by index */
            values[at] = values[at - 1];
        }
        values[at] = (struct attribute){name, value};
    }
    sku->attributes = values;
}

static void read_sku(struct loader *loader, const struct yaml_node *node, struct sku *sku)
{
    static const char *const keys[] = {"unit", "attributes", NULL};
    if (node->kind == YAML_NONE || !want_kind(loader, node, YAML_MAP)) {
        return;
    }
    check_keys(loader, node, "a SKU", keys);
    if (yaml_member(node, "unit") != NULL) {
        read_name(loader, yaml_member(node, "unit"), &sku->unit);
    }
    if (yaml_member(node, "attributes") != NULL) {
        read_attributes(loader, yaml_member(node, "attributes"), sku);
    }
}

/* The SKUs of one of the products; those with names are in skus already (collect_skus). */
static void read_skus(struct loader *loader, const struct yaml_node *list,
                      const struct product *products, uint32_t product, struct sku *skus)
{
    if (!want_kind(loader, list, YAML_MAP)) {
        return;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        const struct yaml_node *item = &list->items[i];
        uint32_t index = map_find(&loader->catalog->sku_by_name, item->key);
        if (index == MAP_NONE) { /* no name */
            continue;
        }
        struct sku *sku = &skus[index];
        if (sku->product != NONE) {
            complain(loader->complaints, yaml_key_place(item), "DUPLICATE_NAME", NO_HINT,
                     "the SKU %.*s is of the product %.*s already", TEXT_ARG(item->key),
                     TEXT_ARG(products[sku->product].name));
            continue;
        }
        sku->product = product;
        sku->place = yaml_key_place(item);
        read_sku(loader, item, sku);
    }
}

static void load_products(struct loader *loader, struct section section)
{
    static const char *const keys[] = {"title", "skus", NULL};
    struct catalog *catalog = loader->catalog;
    struct product *products = arena_calloc(loader->arena, section.count, sizeof *products);
    struct sku *skus = arena_calloc(loader->arena, catalog->sku_count, sizeof *skus);
    if (catalog->sku_count > 0) {
        memcpy(skus, catalog->skus, catalog->sku_count * sizeof *skus);
    }
    for (uint32_t i = 0; i < section.count; i++) {
        const struct yaml_node *node = section.items[i];
        products[i] = (struct product){node->key, node->key};
        if (text_equal(node->key, TEXT("(rounding)")) ||
            text_equal(node->key, TEXT("(no product)"))) { /* engine/report.c */
            complain(loader->complaints, yaml_key_place(node), "BAD_NAME", NO_HINT,
                     "a product is called %.*s, as summaries call what is of none",
                     TEXT_ARG(node->key));
        }
        if (!want_kind(loader, node, YAML_MAP)) {
            continue;
        }
        check_keys(loader, node, "a product", keys);
        if (yaml_member(node, "title") != NULL) {
            read_name(loader, yaml_member(node, "title"), &products[i].title);
        }
        if (yaml_member(node, "skus") != NULL) {
            read_skus(loader, yaml_member(node, "skus"), products, i, skus);
        }
    }
    rank_skus(loader->arena, products, skus, catalog->sku_count);
    catalog->products = products;
    catalog->product_count = section.count;
    catalog->skus = skus;
}

/* ---- all of it ---- */

static int compare_files(const void *a, const void *b)
{
    const struct catalog_file *const *left = a, *const *right = b;
    return text_compare((*left)->name, (*right)->name);
}

/* A file that is named as a profile, by the catalog or by another profile, is none of the
 * catalog's, though it may lie among them. */
static void drop_profile(struct loader *loader, const struct yaml_node *named)
{
    if (named == NULL || !profile_is_file(named)) {
        return;
    }
    struct text path = profile_path(loader, named);
    for (uint32_t i = 0; i < loader->root_count; i++) {
        const struct yaml_node *root = loader->roots[i];
        if (text_equal(root->file->name, path)) {
            memmove(&loader->roots[i], &loader->roots[i + 1],
                    (loader->root_count - i - 1) * sizeof *loader->roots);
            loader->root_count--;
            drop_profile(loader, yaml_member(root, "like"));
            return;
        }
    }
}

static void drop_profiles(struct loader *loader)
{
    const struct yaml_node **named =
        arena_calloc(loader->arena, loader->root_count + 1, sizeof *named);
    uint32_t count = loader->root_count;
    for (uint32_t i = 0; i < count; i++) {
        named[i] = yaml_member(loader->roots[i], "profile");
        named[i] = named[i] != NULL && named[i]->kind == YAML_MAP ? yaml_member(named[i], "like")
                                                                  : named[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        drop_profile(loader, named[i]);
    }
}

/* False when a file cannot be read at all: names that it may hold would be missed for no reason. */
static bool read_files(struct loader *loader)
{
    bool readable = true;
    const struct catalog_input *input = loader->input;
    loader->roots = arena_calloc(loader->arena, input->file_count, sizeof *loader->roots);
    const struct catalog_file **files =
        arena_calloc(loader->arena, input->file_count, sizeof *files);
    for (uint32_t i = 0; i < input->file_count; i++) {
        files[i] = &input->files[i];
    }
    if (input->file_count > 0) {
        qsort(files, input->file_count, sizeof *files, compare_files);
    }
    for (uint32_t i = 0; i < input->file_count; i++) {
        struct yaml_file *file = arena_alloc(loader->arena, sizeof *file);
        *file = (struct yaml_file){.name = files[i]->name, .bytes = files[i]->bytes};
        uint32_t errors = loader->complaints->errors;
        struct yaml_node *root = yaml_read(loader->arena, file, loader->complaints);
        readable = readable && (root != NULL || loader->complaints->errors == errors);
        if (root != NULL && root->kind == YAML_TEXT) { /* of a table, perhaps */
            complain(
                loader->complaints, yaml_place(root), "WRONG_TYPE",
                TEXT("a catalog is keys and values (catalog: acme); accounts, and other records "
                     "in CSV, are given with --accounts"),
                "a mapping is wanted here, and this is a text");
            continue;
        }
        if (root == NULL || root->kind == YAML_NONE || !want_kind(loader, root, YAML_MAP)) {
            continue;
        }
        loader->roots[loader->root_count++] = root;
    }
    drop_profiles(loader);
    for (uint32_t i = 0; i < loader->root_count; i++) {
        check_keys(loader, loader->roots[i], "a catalog", top_keys);
    }
    if (readable && loader->root_count == 0 && loader->complaints->errors == 0) {
        struct place place = {input->file_count > 0 ? files[0]->name : TEXT("catalog"), 1, 1};
        complain(loader->complaints, place, "EMPTY", TEXT("at least catalog, currency and prices"),
                 "there is nothing in the catalog");
        return false;
    }
    return readable;
}

static struct sections collect_sections(struct loader *loader)
{
    struct sections all = {
        .products = collect_mapping(loader, "products"),
        .meters = collect_mapping(loader, "meters"),
        .prices = collect_list(loader, "prices"),
        .plans = collect_mapping(loader, "plans"),
        .contracts = collect_list(loader, "contracts"),
        .steps = collect_mapping(loader, "steps"),
        .accounts = collect_list(loader, "accounts"),
    };
    loader->offerings = collect_mapping(loader, "commitments");
    loader->clocks = collect_mapping(loader, "clocks");
    loader->tables = collect_mapping(loader, "tables");
    all.calendars = collect_mapping(loader, "calendars");
    loader->series = collect_mapping(loader, "series");
    loader->has_products = all.products.count > 0;
    return all;
}

/* Names that others may say, before anything that says one is read; and what has one by its number.
 */
static void index_sections(struct loader *loader, struct sections all)
{
    struct catalog *catalog = loader->catalog;
    index_names(loader, all.meters, &loader->meter_by_name, NULL);
    index_names(loader, all.calendars, &loader->calendar_by_name, &loader->calendar_names);
    index_names(loader, loader->clocks, &loader->clock_by_name, NULL);
    index_names(loader, loader->tables, &loader->table_by_name, &loader->table_names);
    index_names(loader, loader->series, &loader->series_by_name, &loader->series_names);
    index_names(loader, all.plans, &loader->plan_by_name, &loader->plan_names);
    index_names(loader, loader->offerings, &loader->offering_by_name, &loader->offering_names);
    load_commitment_names(loader);
    catalog->offerings =
        arena_calloc(loader->arena, loader->offerings.count, sizeof *catalog->offerings);
    catalog->offering_count = loader->offerings.count;
    loader->offering_covers =
        arena_calloc(loader->arena, loader->offerings.count, sizeof *loader->offering_covers);
    index_names(loader, all.steps, &loader->shared_by_name, &loader->shared_names);
    loader->shared_used = arena_calloc(loader->arena, all.steps.count, sizeof(bool));
    loader->shared_broken = arena_calloc(loader->arena, all.steps.count, sizeof(bool));
    catalog->plan_count = all.plans.count;
    catalog->default_plan = NONE;
}

/* Names of keys that are declared where values are given: expressions know them by their number. */
static void collect_names(struct loader *loader, struct sections all)
{
    struct catalog *catalog = loader->catalog;
    collect_dimensions(loader, all.meters);
    collect_values(loader, all.products, true, "attributes", &loader->attribute_by_name,
                   &catalog->attributes, &catalog->attribute_count, &loader->attribute_types);
    limit_names(loader, all.products, catalog->attribute_count, NAME_PARAMETER - NAME_ATTRIBUTE,
                "names of attributes");
    collect_values(loader, all.contracts, false, "parameters", &loader->parameter_by_name,
                   &catalog->parameters, &catalog->parameter_count, &loader->parameter_types);
    limit_names(loader, all.contracts, catalog->parameter_count, NAME_NUMBER - NAME_PARAMETER,
                "names of parameters");
    collect_values(loader, all.accounts, false, "tax", &loader->customer_by_name,
                   &catalog->customer_names, &catalog->customer_name_count,
                   &loader->customer_types);
    limit_names(loader, all.accounts, catalog->customer_name_count, NAME_SAVINGS - NAME_CUSTOMER,
                "names of tax");
    limit_names(loader, all.meters, all.meters.count, METERS_MAX, "meters");
    limit_names(loader, all.calendars, all.calendars.count, CALL_LOOKUP - CALL_CALENDAR,
                "calendars");
    limit_names(loader, loader->tables, loader->tables.count + loader->series.count,
                CALL_USAGE - CALL_LOOKUP, "tables and series");
    loader->takes_customer_names = catalog->customer_name_count == 0;
    collect_skus(loader, &all);
}

static void load_sections(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    load_head(loader);
    load_rounding(loader);
    struct sections all = collect_sections(loader);
    index_sections(loader, all);
    collect_names(loader, all);
    load_products(loader, all.products);
    load_calendars(loader, all.calendars);
    load_tables(loader);
    load_conversion(loader, collect_single(loader, "currencies"));
    load_clocks(loader);
    load_meters(loader, all.meters);
    load_csv(loader, collect_single(loader, "csv"));
    load_shared_steps(loader, all.steps);
    load_prices(loader, all.prices, all.plans, all.contracts);
    load_terms(loader, collect_single(loader, "terms"), &catalog->terms);
    check_groups(loader);
    load_offerings(loader);
    check_frozen_covers(loader);
    load_commitments(loader);
    const struct yaml_node *plan = collect_single(loader, "default_plan");
    if (plan != NULL) {
        catalog->default_plan = find_name(loader, plan, &loader->plan_by_name, loader->plan_names,
                                          catalog->plan_count, "plan");
    }
    load_accounts(loader, all.accounts);
    catalog->customer_types = loader->customer_types;
}

enum status catalog_load(struct arena *arena, const struct catalog_input *input,
                         struct accounts_builder *accounts, const struct catalog **catalog,
                         struct complaints *complaints, struct error *err)
{
    struct loader loader = {
        .arena = arena,
        .input = input,
        .accounts = accounts,
        .complaints = complaints,
        .catalog = arena_calloc(arena, 1, sizeof(struct catalog)),
    };
    *catalog = NULL;
    complaints->arena = arena;
    map_init(&loader.zone_by_name, arena, 8);
    if (read_files(&loader)) {
        load_sections(&loader);
        make_tallies(&loader);
        if (number_nodes(&loader)) {
            check_nodes(&loader);
        }
        check_currencies(&loader);
        check_catalog(&loader);
        check_thresholds(&loader);
    }
    complaints_sort(complaints);
    if (complaints->errors > 0) {
        const struct complaint *first = complaints->items;
        while (first->is_warning && first + 1 < complaints->items + complaints->count) {
            first++;
        }
        enum status status =
            fail(err, ERR_INPUT, "the catalog has %u error%s; the first is in %s: %s: %s",
                 complaints->errors, complaints->errors == 1 ? "" : "s",
                 place_text(loader.arena, first->place), first->code, first->message);
        return first->hint[0] == '\0' ? status : fail_hint(err, "%s", first->hint);
    }
    collect_slots(&loader);
    compute_digest(&loader);
    *catalog = loader.catalog;
    return OK;
}
