/* load.h - private to the catalog's loader: what its files share.
 *
 *     files --yaml.c--> trees --load.c--> names, tables, clocks
 *                               clock.c    clocks of bills and steps
 *                               hours.c    calendars
 *                               csv_columns.c  columns of events
 *                               table.c    tables of rates
 *                               conversion.c  currencies
 *                               profile.c  defaults of options
 *                               meter.c    meters
 *                               steps.c    lists of steps; step.c reads one, by step_usage.c,
 *                                          step_charge.c, credit.c; tier.c tiers
 *                               terms.c    lists of those over charges
 *                               tally.c    usage("sku"): steps that count for others
 *                               price.c    prices, plans, contracts, accounts
 *                               cover.c    what commitments cover; those that contracts have
 *                               nodes.c    where rows meet: steps in one order
 *                               check.c    what only the whole shows: ambiguity, units
 *                               slots.c    where prices cut usage into slots
 *                               views.c    contracts that price what others price too
 *                               digest.c   the version
 *                               select.c   the indices that find a price
 *     names.c: what an expression may say, and where; read.c: texts to numbers, dates and choices
 *
 * Loading never stops at an error: a thing that is wrong leaves a complaint and a harmless
 * stand-in, and the next thing is read.  A stand-in reaches nobody, since a catalog with errors is
 * not handed out.
 */
#ifndef FARTHING_CATALOG_LOAD_H
#define FARTHING_CATALOG_LOAD_H

#include "catalog/accounts.h"
#include "catalog/complain.h"
#include "catalog/yaml.h"

enum {
    NAME_MAX_BYTES = 255,
    TIERS_MAX = 1000,
    STEPS_MAX = 100, /* of a price */
    TABLE_KEYS_MAX = 8,
    GROUPS_MAX = 64, /* exclusive groups: bits */
    ORDER_KEYS_MAX = 8,
    TABLE_FILE_MAX_BYTES = 16 * 1024 * 1024,
    TABLE_ROWS_MAX = 1'000'000, /* of a file */
    MEMBERS_USED_MAX = 250,     /* members of data that one meter's expressions use */
};

/* A profile that is part of the program: a file of src/catalog/profiles. */
struct profile_file {
    const char *name;
    const unsigned char *bytes;
    size_t size;
};
extern const struct profile_file profile_files[]; /* "none" first */
extern const size_t profile_file_count;
enum { PROFILES_MAX = 8, PROFILES_KNOWN_MAX = 16 };

/* A top-level list or mapping of all files: its parts in order of files. */
struct section {
    const struct yaml_node **items;
    uint32_t count;
};

/* One of the catalog's `clocks:`. */
struct own_clock {
    enum step_clock clock;
    struct clock rule;
};

/* A price as read, before all are sorted. */
struct draft {
    struct price price;
    uint32_t level; /* 0: the catalog's; 1 + plan; 1 + plans + contract */
    bool is_public;
    bool is_cost;   /* a contract's, of what its source charges and no price of its own takes */
    uint32_t index; /* in catalog->prices, when sorted */
};

/* Something whose usage a number asks for. */
struct usage_name {
    struct text name;
    uint32_t sku, meter; /* one of them; the other is NONE */
};

struct loader {
    struct arena *arena;
    const struct catalog_input *input;
    struct accounts_builder *accounts;
    struct complaints *complaints;
    struct catalog *catalog;
    const struct yaml_node *profiles[PROFILES_MAX]; /* defaults of options; the first goes before */
    struct text profile_paths[PROFILES_MAX]; /* of those that are files: each stands on the next */
    uint32_t profile_count, profile_path_count, profiles_read;
    const struct currency *currency; /* of what is being read */
    const struct zone *zone;         /* of dates and calendar clocks: billing.zone */
    bool has_contracts;
    const struct yaml_node **roots;
    uint32_t root_count;

    struct map dimension_by_name, attribute_by_name, parameter_by_name;
    enum expr_type *attribute_types, *parameter_types, *customer_types;
    struct map customer_by_name;
    struct customer *customers;
    uint32_t customer_count, customer_capacity;
    uint32_t customer_name_capacity;
    struct account_sharing *sharings;
    uint32_t sharing_count, sharing_capacity;
    bool takes_customer_names; /* no account of the catalog says any: expressions name them */
    struct map shared_by_name, table_by_name, clock_by_name, calendar_by_name, plan_by_name,
        zone_by_name;
    struct map series_by_name, meter_by_name;
    struct map offering_by_name, commitment_by_name;
    struct section offerings;
    struct text *offering_names;
    const struct step **offering_covers; /* the first cover that names each; NULL */
    struct contract_commitments *commitments;
    uint32_t commitment_count, commitment_capacity, commitment_name_capacity;
    struct map group_by_name; /* of `exclusive:`; made when the first is met */
    const struct yaml_node *group_others[GROUPS_MAX]; /* members that are no percentages */
    struct usage_name *usages;
    uint32_t usage_count, usage_capacity, tally_capacity;
    struct text *charge_names; /* that charges() asks for */
    uint32_t charge_name_count, charge_name_capacity, charge_tally_capacity;
    struct section tables, series, clocks;
    struct own_clock *own_clocks;
    struct rate_table *rate_tables; /* of tables, then of series */
    struct text *table_key_unknown; /* the first that is no dimension or attribute, so that a rate
                                       must say which to use; empty: none */
    struct digest *table_digests;   /* of the file that each is read from */
    bool *table_has_file;
    struct text *shared_names, *series_names, *table_names, *plan_names, *calendar_names;
    bool *shared_used, *shared_broken;
    struct text *term_names; /* while they are numbered */
    uint32_t term_next;
    struct text *level_names; /* "", "@plan/pro/", "@contract/id/": begins the names of nodes */
    const struct zone **zones;
    uint32_t zone_count, zone_capacity;
    bool has_products;

    struct draft *drafts;
    uint32_t draft_count, draft_capacity;
    /* Per plan and contract: prices named rather than written there. */
    struct named_price *named;
    uint32_t named_count, named_capacity;
};

/* The `commitments:` of a contract, which is known by its place when contracts are sorted. */
struct contract_commitments {
    const struct yaml_node *node;
    struct place contract;
    struct text buyer;
};

struct named_price {
    uint32_t level;
    const struct yaml_node *node;
};

/* ---- read.c: a node as what its place wants; false with a complaint ---- */

#define COMPLAIN(loader, node, code, hint, ...) \
    complain((loader)->complaints, yaml_place(node), code, hint, __VA_ARGS__)
#define NO_HINT ((struct text){"", 0})

bool want_kind(struct loader *loader, const struct yaml_node *node, enum yaml_kind kind);
/* A key that a mapping must have, or NULL with a complaint. */
const struct yaml_node *want_member(struct loader *loader, const struct yaml_node *map,
                                    const char *key);
/* In {value: min(data.a, data.b)} the comma ends the value, and the rest is a key; in {rate: 0,10}
 * too.  What to say of such a key; empty of others. */
struct text hint_rest(struct text key);
/* The list ends with NULL. */
bool is_listed(struct text word, const char *const *list);
/* Complains about keys that are not known. */
void check_keys(struct loader *loader, const struct yaml_node *map, const char *what,
                const char *const *known);
bool read_name(struct loader *loader, const struct yaml_node *node, struct text *name);
/* The text of a name that a key is: at most 255 bytes, no control characters, not empty, no @ in
 * front. */
bool check_name(struct loader *loader, struct place place, struct text name);
bool read_bool(struct loader *loader, const struct yaml_node *node, bool *value);
/* names end with NULL; *choice gets the index. */
bool read_choice(struct loader *loader, const struct yaml_node *node, const char *const *names,
                 int *choice);
bool read_rounding_mode(struct loader *loader, const struct yaml_node *node, enum rounding *mode);
/* Into *rounding, which has what holds where the node says nothing. */
void read_line_rounding(struct loader *loader, const struct yaml_node *node,
                        struct line_rounding *rounding);
bool read_int(struct loader *loader, const struct yaml_node *node, int min, int max, int *value);
/* A number, and no expression. */
bool read_plain_number(struct loader *loader, const struct yaml_node *node, struct dec *value);
/* A plain number; an expression without names will do. */
bool read_dec(struct loader *loader, const struct yaml_node *node, struct dec *value);
/* A date (a day's start in the catalog's zone) or a time. */
bool read_instant(struct loader *loader, const struct yaml_node *node, instant *at);
/* from and to of a mapping; both may be absent. */
void read_dates(struct loader *loader, const struct yaml_node *map, instant *from, instant *to);
/* False when there is none; NULL is UTC. */
bool find_zone(struct loader *loader, struct text name, const struct zone **zone);
bool read_zone(struct loader *loader, const struct yaml_node *node, const struct zone **zone);
/* A code of ISO 4217. */
bool read_currency(struct loader *loader, const struct yaml_node *node,
                   const struct currency **currency);
/* Index of a text in a map of names, or NONE with a complaint that names the nearest. */
uint32_t find_name(struct loader *loader, const struct yaml_node *node, const struct map *by_name,
                   const struct text *names, uint32_t count, const char *what);
/* from and to among what an account says for a time. */
static inline bool is_setting_date(const struct yaml_node *item)
{
    return text_equal(item->key, TEXT("from")) || text_equal(item->key, TEXT("to"));
}
/* A scalar as a value: bare numbers and truths are such, all else is a text. */
bool read_value(struct loader *loader, const struct yaml_node *node, struct expr_value *value);
void *grow_array(struct loader *loader, void *array, uint32_t count, uint32_t *capacity,
                 size_t item_size);

/* ---- names.c: expressions ---- */

enum scope_kind {
    NAMES_NONE,   /* constants only */
    NAMES_BUCKET, /* period, turn, contract: numbers of a step */
    NAMES_ROW,    /* and a row's */
    NAMES_CHARGE, /* and a charge's */
    NAMES_METER,  /* an event's */
};
/* Members of data that a meter's expressions use, collected while they compile. */
struct member_list {
    struct text *names; /* as in the expression: data.x.y */
    uint64_t *paths;
    uint32_t count;
};
struct expr_context {
    enum scope_kind kind;
    bool has_turn;               /* turn.* may be used: the step has a clock with turns */
    struct member_list *members; /* of NAMES_METER */
    bool has_usage;              /* usage() may be asked: of steps that wait for rows */
    bool has_charges;            /* charges() may be: of terms */
    bool has_numbers;            /* a dimension stands for the number that it holds */
    bool has_commitment;         /* commitment.x may be named */
    bool is_commitment;         /* and a bare name is one of its attributes, too; nothing else is */
    bool has_savings;           /* savings, rate and list of a row that a commitment may cover */
    const struct text *results; /* of a formula, those before */
    uint32_t result_count;
};

bool read_expr(struct loader *loader, const struct yaml_node *node,
               const struct expr_context *context, enum expr_type wanted, const struct expr **expr);
/* The same for a text made of the node's; places are those of the node. */
bool read_expr_text(struct loader *loader, const struct yaml_node *node, struct text text,
                    const struct expr_context *context, enum expr_type wanted,
                    const struct expr **expr);
/* A number that rows say: an expression over the row.  A dimension that stands alone is the number
 * it holds, and so is each where the expression cannot take a text. */
bool read_row_number(struct loader *loader, const struct yaml_node *node,
                     const struct expr_context *context, const struct expr **expr);
/* A number of a step: plain, or an expression over bucket names. */
bool read_number(struct loader *loader, const struct yaml_node *node,
                 const struct expr_context *context, struct number *number);
/* `sku`, `region`, `dims.region`, `attributes.size` ... */
bool find_by_key(struct loader *loader, struct text name, struct by_key *key);
/* Of an expression over a row, whatever else is called so: quantity, sku ... */
bool is_row_name(struct text name);
bool read_by_key(struct loader *loader, const struct yaml_node *node, struct by_key *key);
/* A list of such keys, each once. */
bool read_by_keys(struct loader *loader, const struct yaml_node *node, struct by_key *keys,
                  uint32_t max, uint32_t *count);

/* ---- sets of names ---- */

struct name_set {
    struct loader *loader;
    struct map map;
    struct text *items;
    uint32_t count, capacity;
};
void name_set_init(struct name_set *set, struct loader *loader);
/* The first of equal ones stays, in the order in which they come. */
void name_set_add(struct name_set *set, struct text name);
void name_set_sort(struct name_set *set);

/* ---- sections ---- */

/* All entries of a top-level mapping over all files, each name once, sorted by name. */
struct section collect_mapping(struct loader *loader, const char *key);

void load_clocks(struct loader *loader);
/* csv_columns.c: node may be NULL */
void load_csv(struct loader *loader, const struct yaml_node *node);
/* views.c: contracts with accounts or a source; finds the sources. */
void check_views(struct loader *loader);

/* clock.c: the `clock:` of a step; the rule of bills, of the catalog or of a contract. */
void read_step_clock(struct loader *loader, const struct yaml_node *node, struct step *step);
/* "month", "10 days", "3 months". */
bool read_every(struct loader *loader, const struct yaml_node *node, enum clock_every *every,
                int32_t *count);
void load_billing(struct loader *loader, const struct yaml_node *node, struct clock *billing,
                  bool *at_contract, bool *at_account, struct thresholds *thresholds);
/* late_periods: of the catalog alone. */
void load_late_periods(struct loader *loader, const struct yaml_node *node, bool of_catalog);
/* What bills inside a period cannot be made of: meters that keep one row for longer than an hour.
 */
void check_thresholds(struct loader *loader);
/* True when a meter's `sku:` is a name and no expression. */
bool sku_is_name(struct text text);
void load_calendars(struct loader *loader, struct section section);
/* profile.c: defaults of options; node may be NULL */
void load_profile(struct loader *loader, const struct yaml_node *node);
/* What the profile says under a section's name; NULL: nothing. */
const struct yaml_node *profile_option(const struct loader *loader, const char *section,
                                       const char *name);
/* True of a name that is a file's, and where that file is. */
bool profile_is_file(const struct yaml_node *node);
struct text profile_path(struct loader *loader, const struct yaml_node *node);
/* `digits: currency` */
bool digits_are_currency(const struct yaml_node *node);

void load_tables(struct loader *loader);
/* table.c: a file beside the one that names it; whether its name stays in that one's folder. */
struct text path_beside(struct loader *loader, const struct yaml_node *node);
bool path_is_inside(struct text path, const struct yaml_node *node);
/* conversion.c: how amounts get from one currency into another; node may be NULL */
void load_conversion(struct loader *loader, const struct yaml_node *node);
/* conversion.c: once all prices are read, what rows of several currencies cannot share */
void check_currencies(struct loader *loader);
void load_meters(struct loader *loader, struct section meters);
void load_shared_steps(struct loader *loader, struct section steps);
/* Reads the steps of a price: a list, or components, a mapping of names to lists, and charge steps
 * behind them. NULL for what it has not. */
void load_steps(struct loader *loader, const struct yaml_node *steps,
                const struct yaml_node *components, struct price *price);
/* Sets what the steps of a price with components pass over. */
void link_components(struct price *price);
/* Hands over every expression of the step, NULL for those that it lacks. */
void step_visit(const struct step *step, void (*visit)(void *context, const struct expr *expr),
                void *context);
/* The same, of those alone that are evaluated for each row. */
void step_visit_rows(const struct step *step, void (*visit)(void *context, const struct expr *expr),
                     void *context);
/* Those, and the numbers of a rate or a percentage alone, which have no bucket: what they ask of
 * the customer, and of tables with dates, is asked for each row. */
void step_visit_alone(const struct step *step,
                      void (*visit)(void *context, const struct expr *expr), void *context);
/* Whether its numbers ask for usage("x"). */
bool step_asks_usage(const struct step *step);
/* Whether its numbers and filters ask for contract.x. */
bool step_asks_parameters(const struct step *step);
/* True when a number of a step that takes usage, or what it accumulates in, depends on the contract
 * in force; a prorated limit does in a contract's own price. */
bool step_asks_contract(const struct step *step, bool of_contract);
void load_prices(struct loader *loader, struct section prices, struct section plans,
                 struct section contracts);
void load_accounts(struct loader *loader, struct section accounts);

/* cover.c: names that are always asked of commitments, before all expressions; offerings, when all
 * steps are read, and the commitments of contracts. */
void load_commitment_names(struct loader *loader);
void load_offerings(struct loader *loader);
void check_frozen_covers(struct loader *loader);
void load_commitments(struct loader *loader);
/* The index of a name that expressions ask of commitments; NONE beyond the limit. */
uint32_t commitment_name(struct loader *loader, struct text name);

/* terms.c: the list under `terms:`; node may be NULL */
void load_terms(struct loader *loader, const struct yaml_node *node, struct price *terms);
uint32_t terms_count(const struct catalog *catalog);
/* Numbers their nodes from next on, and names them. */
void terms_number(struct loader *loader, struct text *names, uint32_t next);
struct text term_node_name(struct loader *loader, struct text owner, const struct step *step);
/* Hands over every list of terms with what the names of its nodes begin with: those of plans, of
 * contracts, of the catalog, as they run. */
enum { TERMS_OF_PLAN, TERMS_OF_CONTRACT, TERMS_OF_CATALOG }; /* the order in which they run */
void terms_each(struct loader *loader,
                void (*take)(struct loader *loader, const struct price *terms, struct text owner,
                             uint32_t stage));
/* Warns of an allocate that is written before what it should share. */
void terms_warn(struct loader *loader);
void terms_visit(const struct catalog *catalog,
                 void (*take)(void *context, const struct step *step, bool of_contract),
                 void *context);
/* The SKUs that fees in a list of steps are sold as. */
void terms_visit_skus(const struct yaml_node *steps,
                      void (*take)(void *context, const struct yaml_node *sku), void *context);

/* step_charge.c: once all terms are read */
void check_groups(struct loader *loader);

/* tally.c */
void make_tallies(struct loader *loader);
bool tally_fits(const struct tally *tally, const struct price *price);
/* The name of the node in which the rows of a step meet. */
struct text step_node_name(struct loader *loader, uint32_t price, const struct step *step);

/* nodes.c: once all steps are read; false, with a complaint, where steps wait for each other. */
bool number_nodes(struct loader *loader);

/* check.c: of steps whose nodes have numbers, and of all else */
void check_nodes(struct loader *loader);
void check_catalog(struct loader *loader);

/* slots.c, digest.c: of a catalog without errors */
void collect_slots(struct loader *loader);
void compute_digest(struct loader *loader);

/* select.c: fills by_sku. */
void price_set_index(struct arena *arena, struct price_set *set);

#endif
