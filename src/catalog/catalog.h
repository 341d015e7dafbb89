/* catalog.h - what is sold and to whom: meters, products, prices, plans, contracts, accounts.
 *
 *     YAML of a folder --catalog_load----> struct catalog    checked, typed, immutable, named by
 *                                                            its digest
 *     CSV, NDJSON -------accounts_feed---> struct accounts   a million in seconds
 *
 * Everything a bill may depend on is resolved when it loads: names to indices, dates to
 * instants, numbers to decimals, expressions to code.  Nothing here is looked up by text while
 * usage is priced.  A catalog that loaded has a price curve for every quantity it can meet.
 *
 * Indices are positions in the arrays below; they follow the order of the text of the names or of
 * the files, and never reach an id: ids are made of names.  All memory belongs to the arena handed
 * to the loader.
 */
#ifndef FARTHING_CATALOG_CATALOG_H
#define FARTHING_CATALOG_CATALOG_H

#include "base/arena.h"
#include "base/calendar.h"
#include "base/decimal.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/money.h"
#include "base/text.h"
#include "expr/expr.h"

enum { NONE = 0xFFFFFFFFu }; /* no index */

/* Where a thing was written, for errors and for explain. */
struct place {
    struct text file;
    uint32_t line, column; /* from 1 */
};

/* A number of a step: a constant, or an expression evaluated once per bucket. */
struct number {
    struct dec value;
    const struct expr *expr; /* NULL: the constant */
};

/* ---- names that expressions may use ---------------------------------------------------------- */

/* Slots of expressions over a row or a charge (where, rate cases, convert's quantity ...).  A
 * dimension d is the slot NAME_DIMENSION + its index in catalog->dimensions, an attribute of the
 * SKU NAME_ATTRIBUTE + its index in catalog->attributes, a contract parameter NAME_PARAMETER + its
 * index in catalog->parameters.  NAME_NUMBER + a dimension's index is the number that it holds,
 * NAME_ATTRIBUTE_NUMBER the same of an attribute that is a text,
 * NAME_RESULT + i the formula's own result i.  A bare name is looked up in this order: fixed name,
 * dimension, attribute.  `attributes.x`, `dims.x`, `contract.x` say which. */
enum name_slot {
    NAME_QUANTITY,
    NAME_EVENTS,
    NAME_UNIT,
    NAME_SKU,
    NAME_PRODUCT,
    NAME_ACCOUNT,
    NAME_RESOURCE,
    NAME_TIME,
    NAME_AMOUNT,
    NAME_NET,
    NAME_RATE,
    NAME_KIND,
    NAME_STEP,
    NAME_PRICE,
    NAME_LIST,         /* what it comes to at the list rate */
    NAME_PERIOD_HOURS, /* of the bill's period */
    NAME_PERIOD_DAYS,
    NAME_PERIOD_SECONDS,
    NAME_PERIOD_START,
    NAME_TURN_HOURS, /* of the step's clock */
    NAME_TURN_DAYS,
    NAME_TURN_SECONDS,
    NAME_TURN_START,
    NAME_DIMENSION = 1000,
    NAME_ATTRIBUTE = 2000,
    NAME_PARAMETER = 3000,
    NAME_NUMBER = 4000,
    NAME_ATTRIBUTE_NUMBER = 5000,
    NAME_CUSTOMER = 6000,   /* + its index in catalog->customer_names */
    NAME_SAVINGS = 6800,    /* of a row that a commitment may cover: the part that it saves */
    NAME_LIST_RATE,         /* and the rate that it would have without */
    NAME_COMMITMENT = 6900, /* + its index in catalog->commitment_names */
    NAME_RESULT = 7000,
};
enum { RESULTS_MAX = 32 }; /* of a formula */

/* Functions that expressions over a row may call, by the number of the thing they name. */
enum call_slot {
    CALL_CALENDAR = 0,    /* in_calendar: + its index in catalog->calendars */
    CALL_LOOKUP = 1000,   /* lookup and series: + its index in catalog->tables */
    CALL_USAGE = 9000,    /* usage: + what of, the same for all calls that name it */
    CALL_CHARGES = 12000, /* charges: the same */
};

/* Slots of a meter's expressions: `data.x.y` is NAME_MEMBER + its index in meter->members; `type`,
 * `source`, `id`, `subject`, `time`. */
enum meter_slot { NAME_TYPE, NAME_SOURCE, NAME_ID, NAME_SUBJECT, NAME_EVENT_TIME, NAME_MEMBER };

/* ---- products -------------------------------------------------------------------------------- */

struct attribute { /* of a SKU; sorted by index */
    uint32_t name; /* in catalog->attributes */
    struct expr_value value;
};

struct sku {
    struct text name;
    uint32_t product; /* NONE: sold under no product */
    struct text unit; /* empty: any */
    const struct attribute *attributes;
    uint32_t attribute_count;
    uint32_t rank; /* in the order of (product's name, name), those of no product first */
    struct place place;
};

struct product {
    struct text name;  /* the key */
    struct text title; /* for people; the key when absent */
};

/* ---- meters ---------------------------------------------------------------------------------- */

/* Meters that take one type of event; one that keeps an event's source and id counts as nine.  What
 * they make of an event goes through memory as one piece. */
enum { EVENT_METERS_MAX = 768, EVENT_METER_WITH_KEY = 9 };
enum { METERS_MAX = 65'535 }; /* a record that is excluded has two bytes for its meter or none */

enum aggregate {
    AGGREGATE_COUNT,
    AGGREGATE_SUM,
    AGGREGATE_MAX,
    AGGREGATE_LATEST,
    AGGREGATE_MIN,
    AGGREGATE_AVERAGE,
    AGGREGATE_UNIQUE,        /* how many different values */
    AGGREGATE_TIME_WEIGHTED, /* level x seconds */
    AGGREGATE_PERCENTILE,    /* the least sample that so many percent do not exceed */
};
/* What one number cannot hold: the samples are kept, and read in an order of their own. */
static inline bool aggregate_is_sampled(enum aggregate aggregate)
{
    return aggregate >= AGGREGATE_UNIQUE;
}
/* One of the samples is the value. */
static inline bool aggregate_picks(enum aggregate aggregate)
{
    return aggregate == AGGREGATE_MAX || aggregate == AGGREGATE_MIN ||
           aggregate == AGGREGATE_LATEST;
}
/* How fine a meter's rows are. */
enum grain {
    GRAIN_MONTH, /* one from edge to edge of the period */
    GRAIN_HOUR,
    GRAIN_EVENT, /* one for each event */
};

struct meter_dimension {
    uint32_t name; /* in catalog->dimensions */
    const struct expr *value;
    uint32_t member; /* index in members when value is one plain member, else NONE */
};

/* What every event reads stands first: with a hundred meters it is to stay in the first cache. */
struct meter {
    enum aggregate aggregate;
    enum grain grain;      /* default hour */
    bool has_clock;        /* one value for each turn of this clock; the grain is month
                              then */
    bool negative;         /* negative values allowed; default false: exclusion NEGATIVE */
    bool value_from_text;  /* number(...): a text may stand for the number */
    bool carry;            /* picked values and levels go into the next period */
    bool states_level;     /* time_weighted: an event states the level, instead of its
                              change */
    uint32_t value_member; /* fast form: value is members[i], or number(members[i]); else
                              NONE */
    uint32_t sku;          /* constant SKU; NONE when sku_expr says it */
    uint32_t sku_member;   /* fast form of sku_expr: a plain member */
    uint32_t resource_member;
    uint32_t dimension_count;
    uint32_t member_count;
    const uint64_t *members;  /* member_path of each data.x used; see decode/event.h */
    const struct expr *value; /* NULL: 1 (count) */
    const struct expr *sku_expr;
    const struct expr *where;                   /* NULL: all */
    const struct expr *resource;                /* NULL: none */
    const struct expr *spread_from, *spread_to; /* NULL: an event is of one instant */
    const struct meter_dimension *dimensions;   /* in name order */
    int64_t spread_max_ns;                      /* a longer event is excluded */
    struct clock clock;
    struct dec percentile; /* in (0, 100] */
    const struct text *member_names;
    struct text unit;
    struct text name;
    struct text event_type;
    struct place place;
};

/* Has it one value where events of several hours were, which two parts do not add up to? */
static inline bool meter_is_one_value(const struct meter *meter)
{
    return meter->grain == GRAIN_MONTH && meter->aggregate != AGGREGATE_COUNT &&
           meter->aggregate != AGGREGATE_SUM && meter->aggregate != AGGREGATE_TIME_WEIGHTED;
}
/* Whether records of the meter tell which event they are of. */
static inline bool meter_keeps_key(const struct meter *meter)
{
    return meter->aggregate == AGGREGATE_LATEST || meter->aggregate == AGGREGATE_TIME_WEIGHTED ||
           meter->aggregate == AGGREGATE_UNIQUE || meter->grain == GRAIN_EVENT;
}

/* ---- steps ----------------------------------------------------------------------------------- */

enum step_kind {
    STEP_CONVERT,
    STEP_AGGREGATE,
    STEP_COVER,
    STEP_ALLOWANCE,
    STEP_RATE,
    STEP_PERCENT,
    STEP_FORMULA,
    STEP_TIER,
    STEP_FIXED,
    STEP_BOUND, /* charge steps from here on: they take charges, in prices and as terms */
    STEP_ROUND,
    STEP_DISCOUNT,
    STEP_MARKUP,
    STEP_FEE,
    STEP_TAX,
    STEP_COMMIT,
    STEP_CREDIT, /* of charges; before the rating step, of units */
    STEP_ALLOCATE,
    STEP_KINDS,
    STEP_TALLY = STEP_KINDS /* nobody writes it: see struct tally */
};
const char *step_kind_name(enum step_kind kind);
static inline bool step_kind_takes_charges(enum step_kind kind)
{
    return kind >= STEP_BOUND && kind < STEP_KINDS;
}

enum scope { SCOPE_RESOURCE, SCOPE_ACCOUNT, SCOPE_ORGANIZATION, SCOPE_CONTRACT };
struct text scope_text(enum scope scope); /* "resource" */

/* What a step's clock is. */
enum step_clock {
    CLOCK_ROW,      /* each row alone */
    CLOCK_PERIOD,   /* the bill's */
    CLOCK_RULE,     /* a clock of its own: step->rule */
    CLOCK_CONTRACT, /* step->rule.every and .count, anchored at the contract's start */
    CLOCK_ACCOUNT,  /* the same, at the start of the account that the step's scope is */
    CLOCK_ALWAYS,
};

enum attribution { ATTRIBUTE_IN_ORDER, ATTRIBUTE_PRO_RATA, ATTRIBUTE_NONE };
enum prorate {
    PRORATE_NONE,
    PRORATE_DAY,
    PRORATE_DAY_INCLUSIVE,
    PRORATE_SECOND,
    PRORATE_30_DAY,
    PRORATE_AS_FIXED, /* as the fixed amount of its price; in no catalog that has been loaded */
};
struct proration {
    enum prorate rule;
    int digits; /* of the part of a turn; default 18: it is exact, and what it makes quantized */
    enum rounding mode;
};

/* What a bucket is split by, besides scope and clock. */
enum by_kind {
    BY_SKU,
    BY_PRODUCT,
    BY_DIMENSION,
    BY_ATTRIBUTE,
    BY_ACCOUNT,
    BY_RESOURCE,
    BY_UNIT,
    BY_TAX_RATE, /* nobody writes it: a tax accumulates rate by rate */
    BY_GRANT,    /* nor this: a grant is used up by itself */
};
struct by_key {
    enum by_kind kind;
    uint32_t index; /* of the dimension or attribute */
};
struct catalog;
struct text by_key_name(const struct catalog *catalog, struct by_key key);

/* Quantities up to a limit are rounded up to multiples of size. */
struct increment {
    bool open; /* the last one: there is no limit */
    struct dec up_to;
    struct dec size;
};

struct step_convert {
    const struct expr *quantity; /* or NULL: multiply and divide */
    struct number multiply, divide;
    struct text to; /* unit; empty: unchanged */
    bool has_minimum;
    struct number minimum;
    const struct increment *increments; /* steps of `increment:`; a single one is open */
    uint32_t increment_count;
    bool has_round;
    int round_digits;
    enum rounding round_mode;
};

/* Rows into fewer rows: one for each bucket. */
enum function {
    FUNCTION_SUM,
    FUNCTION_MAX,
    FUNCTION_MIN,
    FUNCTION_AVERAGE,
    FUNCTION_LAST,
    FUNCTION_COUNT,
    FUNCTION_PERCENTILE,
    FUNCTIONS
};
const char *function_name(enum function function);
enum percentile_method {
    PERCENTILE_DROP_TOP,    /* without the greatest floor((100 - p)% of n): the greatest left */
    PERCENTILE_NEAREST_RANK /* the ceil(p% of n)-th */
};
struct step_aggregate {
    enum function function;
    struct dec percentile; /* above 0, up to 100 */
    enum percentile_method method;
    bool has_samples; /* average, percentile: of so many; those that lack are zero */
    struct number samples;
};

struct step_allowance {
    bool has_quantity, has_events;
    struct number quantity, events;
    struct proration proration;
    bool emit_free; /* the free part becomes a charge of rate 0 */
    bool has_rollover, has_rollover_most;
    struct dec rollover_part, rollover_most; /* of what is left, and how much of it at most */
};

/* One alternative of a rate; where NULL: always. */
struct rate_case {
    const struct expr *where;
    struct number rate, flat; /* flat: for each row */
};
/* A table of rates by dimension or attribute values, or a series of points in time: sorted by key
 * values (bytes), then by the instant from which a row holds, looked up by bisection. */
struct rate_table {
    struct by_key keys[8];
    uint32_t key_count;
    const struct text *values; /* row-major: row_count x key_count */
    const instant *from, *to;  /* INSTANT_MIN: always did; INSTANT_MAX: until the next begins */
    const struct dec *rates;
    const struct place *places; /* of each row */
    uint32_t row_count;
    bool is_series;
    struct text name;
    const instant *edges; /* of all rows, sorted, each once: where something may change */
    uint32_t edge_count;
};
struct step_rate {
    const struct rate_case *cases; /* the last is open */
    uint32_t case_count;
    const struct rate_table *table; /* instead of cases; no entry: exclusion UNPRICED */
    const struct expr *from;        /* instead of cases: the row says its rate */
    bool has_per;
    struct dec per; /* divides the quantity */
    int per_digits; /* it is 10 to this power, 0 without one; -1: it is no such power */
};

/* A percentage of each row's quantity, and an amount for each event. */
struct step_percent {
    struct number rate; /* 2.9: per cent */
    bool has_fixed, has_min, has_max;
    struct number fixed, min, max;
};

/* An amount that an expression says; its results are named parts of it, each over those before. */
struct step_formula {
    const struct expr *amount;
    const struct text *names;
    const struct expr *const *results;
    uint32_t result_count;
};

enum tier_mode { TIER_GRADUATED, TIER_VOLUME };
struct tier {
    bool open;  /* the last one */
    bool below; /* limit belongs to the next tier */
    struct dec up_to;
    const struct expr *limit; /* instead of up_to, evaluated once per bucket; NULL: up_to */
    struct number rate, flat;
    bool is_percent; /* rate is a percentage of the measure */
    bool has_package;
    struct dec package;
};
enum past_last { PAST_REFUSED, PAST_LAST, PAST_FREE };
/* A tier with its numbers evaluated, and where it begins. */
struct tier_values {
    struct dec from, up_to; /* (from, up_to], or [from, up_to) after a tier with `below` */
    bool open, from_is_in;
    struct dec rate, flat;
    const struct tier *tier;
};
struct step_tier {
    enum tier_mode mode;
    const struct tier *tiers;
    uint32_t tier_count;
    bool at_zero_charge; /* the first tier's flat without usage */
    enum past_last past_last;
    enum rounding package_round; /* up (default), down, half_up ("nearest") */
    bool settle_at_end;
    const struct expr *position; /* of a row: what finds its tier; NULL: its quantity */
    /* Set by tier_resolve: */
    const struct tier_values *values; /* NULL: a number is computed once per bucket */
    bool is_plain; /* nothing but rates: F of what lies in a tier is rate x quantity, and goes on */
    int limit_digits, rate_digits; /* after the point, at most; of plain tiers */
};

/* An amount that is due at an instant. */
struct installment {
    instant at;
    struct number amount;
};
enum fixed_when { FIXED_IN_ARREARS, FIXED_IN_ADVANCE, FIXED_ONCE };
struct step_fixed {
    struct number amount, quantity;
    enum fixed_when when;
    struct proration proration;
    bool stub_back; /* a first part-turn is measured against one turn counted back from its end */
    const struct installment *installments; /* in the order of time; instead of all but quantity */
    uint32_t installment_count;
    bool asks_contract; /* amount or quantity depends on the contract in force */
};

struct step_bound {
    bool has_min, has_max;
    bool settle_now; /* a minimum is billed as the turn goes, and corrected by the next bill */
    struct number min, max;
    struct proration proration;
};

/* By what a step sorts its rows before it takes them; the total order completes it. */
struct order_key {
    const struct expr *expr; /* over the row or charge */
    bool descends;
};

enum round_at { ROUND_AT_ROW, ROUND_AT_LINE, ROUND_AT_BUCKET };
struct step_round {
    int digits;
    enum rounding mode;
    enum round_at at;
    bool show;
    bool small_up;
};

/* What a discount, a markup or a fee comes to: one of these. */
enum worth { WORTH_PERCENT, WORTH_AMOUNT, WORTH_QUANTITY, WORTH_TIERS };
struct step_adjust {
    enum worth worth;
    struct number number;  /* the percentage, the amount, the units; not of tiers */
    struct step_tier tier; /* of percentages, by what has accumulated */
    bool is_gross;         /* base: gross: amounts before any term */
    bool has_limit;
    struct number limit;  /* of what one turn takes off or adds */
    uint32_t limit_turns; /* the first turns of its contract or account; 0: all */
    uint32_t group;       /* exclusive: index in catalog->groups, NONE */
    bool settle_at_end;
    struct proration proration; /* of an amount, a limit, a minimum */
    bool prorate_as_fixed;      /* by the time in which the fixed amount that it is on is paid */
    bool stub_back;             /* of that one: see step_fixed */
    /* Of a fee: */
    uint32_t sku; /* what it is sold as; NONE */
    bool has_min, has_max;
    struct number min, max;
};

/* What a buyer promised to spend, or to use, in a turn. */
struct step_commit {
    bool is_quantity;
    struct number promise;
    struct number overage; /* the factor on what exceeds it; 1 */
    bool has_shortfall;    /* what lacks is charged as the turn ends */
    bool is_prepaid;       /* paid as the turn begins, and then used up: what lacks is gone */
    bool has_rollover;
    struct dec rollover; /* the part of what exceeds, or of what is left of what was prepaid, that
                            counts in the next turn */
    struct proration proration;
};

/* Something that is used up: money or units. */
struct grant {
    struct text id;
    struct dec amount, priority, width;
    struct dec cost; /* the fee each time it is granted, when has_cost */
    bool has_cost;
    instant from, to;
    bool recurs; /* it is whole again as a turn of `every` begins */
    struct clock every;
    bool has_rollover, has_most; /* what is left then stays, at least and at most so much */
    struct dec least, most;
    const struct expr *where; /* NULL: for all */
    struct text account;      /* in whose wallet alone it is; empty: in each */
};
enum credit_share {
    SHARE_NONE,
    SHARE_OWN_FIRST, /* the account's own grants, then those of the payer's others */
    SHARE_ALL,       /* each grant: the account's own, then those of the others */
};
/* By what charges are summed where the largest are paid first. */
enum credit_sum { SUM_ACCOUNT, SUM_PRODUCT, SUM_SKU, SUM_KEYS };
struct step_credit {
    const struct grant *grants; /* in the order in which they are used */
    uint32_t grant_count;
    /* Their places: of those in every wallet, then of those that are one account's, by its id; each
     * ascending. */
    const uint32_t *places;
    uint32_t common_count;
    bool is_units;
    bool carries_overage; /* what is beyond all grants is taken from what comes */
    bool is_of_period;    /* all charges of the period, in the order of targets */
    const struct text *targets;
    uint32_t target_count;
    bool is_largest_first; /* among those of one target, by these sums, then by the charge: */
    enum credit_sum largest[SUM_KEYS];
    uint32_t largest_count;
    uint64_t kinds; /* of charges, bits of their names in credit_kinds; 0: all but tax */
    const instant *resets;
    uint32_t reset_count;
    bool keeps_overage;
    bool is_sold; /* some grant has a cost */
    enum credit_share share;
    bool has_top_up, has_top_up_cost;
    struct dec below, top_up, top_up_cost; /* so much comes when less than `below` is left */
};
/* The kinds that `kinds:` may name; ends with NULL. */
extern const char *const credit_kinds[];

enum tax_at { TAX_AT_LINE, TAX_AT_RATE, TAX_AT_TOTAL };
struct step_tax {
    const struct expr *percent; /* over the charge */
    struct dec plain;           /* when percent is NULL */
    bool is_inclusive;
    enum tax_at at; /* what is rounded */
    bool has_round;
    int digits;
    enum rounding mode;
    const struct expr *exempt, *reverse_charge; /* NULL: never */
};

/* Charges that `where` takes are shared among those that `to` takes, by weight. */
struct step_allocate {
    const struct expr *to;     /* NULL: all */
    const struct expr *weight; /* over a charge of those; NULL: its quantity */
    bool keeps_idle; /* of what is shared, the part stays that weights lack to its quantities */
    bool has_digits; /* shares are rounded to these, by largest remainder */
    int digits;
};

/* Whose rows a pass of a cover takes, by the account of the commitment. */
enum cover_for { COVER_OWN, COVER_GROUP, COVER_SHARED };
struct cover_pass {
    const struct offering *offering;
    const struct expr *commitments; /* which of them, over their attributes; NULL: all */
    enum cover_for whose;
    const struct expr *where;      /* which rows; NULL: all */
    const struct order_key *order; /* of rows; none: [-savings, rate] of amounts, else their own */
    uint32_t order_count;
    const struct order_key *rank; /* of commitments; none: [from, id] */
    uint32_t rank_count;
    bool whole; /* a row is covered whole or not at all */
    struct place place;
};
struct step_cover {
    const struct cover_pass *passes;
    uint32_t pass_count;
    bool shows_negation; /* covered charges cost what they would, and are taken back */
    bool is_frozen;      /* what was billed stays as it was: see struct covered_before */
    bool asks_contract;  /* of a shared one, which an override may pass: its own, as of a price */
    const uint32_t *clocks; /* of a shared one: its own, in catalog->slot_clocks */
    uint32_t clock_count;
};

/* At which instant something that has dates is read. */
enum settings_at {
    SETTINGS_AT_ROW,
    SETTINGS_AT_TURN_START, /* of the step's clock; of currencies, of the bill's */
    SETTINGS_AT_TURN_END,   /* its last instant */
    SETTINGS_AT_INVOICE,    /* the end of what is billed: the first instant that is no more in it */
};

/* What every row that meets the step reads stands first, what a message or a rare step reads last:
 * steps of a large catalog are seldom in a cache. */
struct step {
    enum step_kind kind;
    uint32_t node;            /* where it accumulates: see struct catalog */
    const struct expr *where; /* NULL: all */
    uint32_t skip;            /* behind it, so many steps of the price are passed over: those of
                                 other components */
    enum scope scope;
    uint32_t by_count, order_count; /* the same in all versions that share the node */
    enum step_clock clock;
    enum attribution attribute;
    enum settings_at settings_at;
    bool on_change_restart;
    bool has_money;             /* it says an amount of money: the currency matters */
    const struct expr *measure; /* of a row or charge, what accumulates; NULL: quantity, net */
    union {
        struct step_convert convert;
        struct step_aggregate aggregate;
        struct step_cover cover;
        struct step_allowance allowance;
        struct step_rate rate;
        struct step_percent percent;
        struct step_formula formula;
        struct step_tier tier;
        struct step_fixed fixed;
        struct step_bound bound;
        struct step_round round;
        struct step_adjust adjust;
        struct step_tax tax;
        struct step_commit commit;
        struct step_credit credit;
        struct step_allocate allocate;
    };
    struct text unit; /* of a step that adds up a quantity: what its version has it in, by the
                         converts before it, else the SKU's; empty: any */
    const struct by_key *by;       /* by_count of them */
    const struct order_key *order; /* order_count */
    struct clock rule;             /* of CLOCK_RULE, CLOCK_CONTRACT, CLOCK_ACCOUNT */
    struct text name;              /* default: the primitive's name */
    uint32_t shared;               /* index in catalog->shared when it is one (`use:`), else NONE */
    struct place place;
};
/* Whose body is `adjust`. */
static inline bool step_adjusts(const struct step *step)
{
    return step->kind == STEP_DISCOUNT || step->kind == STEP_MARKUP || step->kind == STEP_FEE;
}

/* A plain percentage is of each charge alone: what comes before it changes nothing. */
static inline bool step_is_alone(const struct step *step)
{
    return (step->kind == STEP_DISCOUNT || step->kind == STEP_MARKUP) &&
           step->adjust.worth == WORTH_PERCENT && !step->adjust.has_limit &&
           step->attribute == ATTRIBUTE_IN_ORDER;
}

/* Some of a credit's grants, by their places in it, ascending. */
struct grant_places {
    const uint32_t *items;
    uint32_t count;
};
/* Those that an account alone has, by its id. */
struct grant_places credit_places(const struct step_credit *credit, struct text account);

/* True of a credit whose wallets are with the payer that has their accounts as its turn begins. */
static inline bool credit_goes_along(const struct step *step)
{
    return step->settings_at == SETTINGS_AT_TURN_START && step->scope == SCOPE_ACCOUNT;
}

/* What usage("x") in a step asks for: rows of x are added up in buckets of the scope and clock of
 * the step that asks, by a step in the prices that sell x. */
struct tally {
    uint32_t of;         /* the call's slot, less CALL_USAGE */
    uint32_t sku, meter; /* one of them; the other is NONE */
    struct text asker;   /* node of the step that asks */
    bool of_term;        /* that one is a term, and comes behind all prices */
    uint32_t slot_clock; /* in catalog->slot_clocks; NONE: it has none */
    struct step step;
};

/* What charges("x") in a term asks for: the net so far of a product, of a SKU, or of what a step
 * made, in buckets of the scope and clock of the term. */
struct charge_tally {
    uint32_t of;           /* the call's slot, less CALL_CHARGES */
    uint32_t product, sku; /* those of that name; NONE */
    struct text name;      /* of steps */
    struct text asker;     /* node of the term that asks */
    struct step step;
};

/* True when the two have one scope and one clock. */
bool step_has_same_turns(const struct step *a, const struct step *b);
bool step_has_same_clock(const struct step *a, const struct step *b);
/* Whether lines of a grain tell the turns of a cover apart. */
bool cover_lines_are_fine(const struct step *step, enum grain grain);

/* ---- prices ---------------------------------------------------------------------------------- */

struct selector { /* dimension in values */
    struct by_key key;
    const struct text *values; /* sorted */
    uint32_t value_count;
};

/* One of several lists of steps of a price, each of which has all rows of it. */
struct component {
    struct text name;
    uint32_t first, count; /* in the price's steps */
    bool is_fixed;         /* takes no usage */
};

enum { OWNER_OVERRIDE = 1 << 30 }; /* owner of a price: this, and the index of the override */

/* A version of a price. Prices with equal name are versions of one price and do not overlap in
 * time. */
struct price {
    struct text name; /* default: "vm", "*", "vm+2" of a list of three, each with its selectors:
                         "vm[region=eu]" */
    instant from, to; /* INSTANT_MIN, INSTANT_MAX when open */
    const struct step *steps; /* of components, one after the other, then those behind all */
    uint32_t step_count;
    uint32_t component_count; /* 0: steps are one list */
    enum grain grain;         /* of its lines: month (default) or hour */
    bool has_list;
    bool is_fixed;    /* fixed steps only: takes no usage */
    bool has_fixed;   /* some step is fixed */
    bool is_terms;    /* no price but terms, whose steps take the charges of all prices */
    bool takes_money; /* of a contract with a source: its quantity is what the source charges */
    const struct currency *currency; /* of its amounts; NULL: the catalog's */
    struct dec list;
    const uint32_t *skus; /* sorted; NULL: every SKU (`*`) */
    uint32_t sku_count;
    uint32_t selector_count;
    const struct selector *selectors; /* `where:`; most selectors win */
    const struct component *components;
    /* What it says, but for its name and dates: equal of versions that differ in nothing.  Of a
     * price that nobody compares, and of one that restarts its buckets with each version, there is
     * none. */
    bool has_content;
    bool asks_contract; /* what it makes of usage depends on the contract in force */
    struct hash128 content;
    const uint32_t *clocks; /* of its steps, in catalog->slot_clocks */
    uint32_t clock_count;
    uint32_t owner; /* equal for all prices of the catalog, of a plan, of a contract, of an override
                       (OWNER_OVERRIDE): versions are neighbours of one owner and name */
    struct place place;
};
bool price_has_sku(const struct price *price, uint32_t sku);
/* The step behind one of its list; step_count behind the last. */
static inline uint32_t price_step_after(const struct price *price, uint32_t step)
{
    return step + 1 + price->steps[step].skip;
}

/* The step of a price that has the node; NULL. */
static inline const struct step *price_step_of(const struct price *price, uint32_t node)
{
    for (uint32_t i = 0; i < price->step_count; i++) {
        if (price->steps[i].node == node) {
            return &price->steps[i];
        }
    }
    return NULL;
}

static inline bool price_is_version(const struct price *a, const struct price *b)
{
    return a->owner == b->owner && text_equal(a->name, b->name);
}

/* What commitments of one kind cover in each turn of a clock, and what they cost. */
enum { FEE_RECURRING, FEE_UPFRONT, FEE_UNUSED, FEE_STEPS };
struct offering {
    struct text name;
    struct place place;
    bool is_amount; /* its capacity is money at its own rates; else units */
    bool has_capacity, has_recurring, has_upfront;
    struct number capacity, recurring, upfront; /* over the commitment and the turn */
    /* Over the commitment and the row: */
    const struct expr *eligible; /* NULL: every row */
    const struct expr *weight;   /* units that one unit of a row takes; NULL: 1 */
    const struct expr *rate;     /* of amounts: what a unit of a row takes */
    bool is_percent;             /* it is per cent off the list rate */
    bool takes_better;           /* or the row's own rate, where that is lower */
    struct step steps[FEE_STEPS];
    struct price fees; /* what the charges of commitments name: those steps; their clock is the
                          offering's */
};

/* What a buyer has promised to pay for. */
struct commitment {
    struct text id;
    uint32_t offering;
    struct text account;
    uint32_t view; /* whose contract it stands in; NONE: of none */
    instant from, to;
    const struct expr_value *values; /* of catalog->commitment_names; MISSING: not said */
    struct place place;
};

/* A set of prices of one level (catalog, plan, contract or account), with the index that finds a
 * row's price. */
struct price_set {
    const struct price
        *base; /* what the indices count in: catalog->prices, or accounts->prices of an override */
    const uint32_t *prices; /* indices in base, in (name, from) order */
    uint32_t count;
    /* The same for each SKU of a price once, in the order of SKUs, then those of `*`; of one SKU
     * more selectors first, then as they begin. */
    uint32_t by_sku_count;
    const uint32_t *by_sku; /* indices in base */
    const uint32_t *skus;   /* of each of these; NONE: `*`.  NULL: of overrides, each of one SKU */
};
struct price_range {
    const uint32_t *prices; /* indices in base */
    uint32_t count;
};
/* Those that name a SKU, or, with NONE, those of every SKU; more selectors first, then as they
 * begin. */
struct price_range price_set_find(const struct price_set *set, uint32_t sku);
/* Of those without selectors, which are from place `first` on, the first that begins behind an
 * instant. */
uint32_t price_range_begun(const struct price_set *set, struct price_range range, uint32_t first,
                           instant at);
bool price_set_has(const struct price_set *set, const struct price *price);

/* Terms are steps over charges, in the order written: a plan's, then a contract's, then the
 * catalog's.  They stand in the form of a price, without a name, of no SKU; step_count 0: none. */

struct plan {
    struct text name;
    struct price_set prices;
    struct price terms;
    struct place place;
};

struct parameter { /* of a contract */
    uint32_t name; /* in catalog->parameters */
    struct expr_value value;
};

/* When a payer is billed inside a turn of its billing clock: as what the turn's charges come to
 * reaches a threshold, and, behind the last, each `recurring` more. */
struct thresholds {
    const struct dec *items; /* ascending */
    uint32_t count;
    bool has_recurring;
    struct dec recurring;
};

/* For digits: those of the minor unit of the currency that an amount is in. */
enum { DIGITS_OF_CURRENCY = -1 };
/* How a bill's lines and total are rounded. */
struct line_rounding {
    bool exact;         /* no rounding at all */
    int digits;         /* of a line; default 10; DIGITS_OF_CURRENCY */
    enum rounding mode; /* default half_up */
    bool at_total;      /* round the total, lines by largest remainder */
};
static inline bool rounding_is_of_lines(const struct line_rounding *rounding)
{
    return !rounding->exact && !rounding->at_total;
}

/* What one buyer agreed to.  A contract with accounts or a source is a view: it prices what others
 * price too, for its buyer alone. */
struct contract {
    struct text id;    /* default: its buyer, with the first day if it has one: globex@2026-01-01 */
    struct text buyer; /* an account's id */
    struct text seller; /* empty: the provider */
    instant from, to;
    const struct text *accounts; /* whose usage it prices, sorted; none: the buyer's */
    uint32_t account_count;
    struct text source_id;
    struct place source_place;
    uint32_t source; /* the contract whose charges it prices, in catalog->contracts; NONE: usage */
    uint32_t view;   /* its number among the views, in the order of contracts; NONE: it is none */
    uint32_t cost;   /* of a source: the price of charges that no other takes, in catalog->prices */
    uint32_t plan;   /* NONE */
    struct price_set prices;
    struct price terms;
    bool has_billing;
    struct clock billing;
    bool billing_at_start;                        /* anchored at the contract's start */
    const struct currency *currency, *settlement; /* of its buyer's bills; NULL: not said */
    const struct line_rounding *rounding;         /* of its buyer's bills; NULL: the catalog's */
    struct thresholds thresholds;
    const struct parameter *parameters;
    uint32_t parameter_count;
    struct place place;
};

/* What an account that stands in the catalog says of itself, in a time: names are
 * catalog->customer_names. */
struct customer {
    struct text id;
    instant from, to;
    const struct parameter *values;
    uint32_t value_count;
    uint32_t next; /* of the same account, in catalog->customers; NONE */
};

/* With whom an account shares what it has committed to; in the order of their names. */
enum sharing_mode { SHARING_ALL, SHARING_NONE, SHARING_GROUP };
extern const char *const sharing_names[]; /* ends with NULL */

/* What an account that stands in the catalog says of it, in a time. */
struct account_sharing {
    struct text id;
    instant from, to;
    enum sharing_mode mode;
    struct text group; /* empty: none */
    uint32_t next;     /* of the same account, in catalog->sharings; NONE */
};

/* How amounts in the currency of a price become amounts of a bill in another one. */
struct conversion {
    const struct rate_table *rates; /* by (currency of the price, of the bill); NULL: none */
    enum settings_at at;
    int digits; /* of a converted amount; default 18 */
    enum rounding mode;
};

/* The hours of a week that a price tells apart, in local time; minutes of the day, [from, to). */
struct day_hours {
    int16_t *from, *to;
    uint32_t count;
};
struct calendar {
    struct text name;
    const struct zone *zone;
    struct day_hours days[7]; /* Monday first */
    const int64_t *except;    /* days since 1970 on which it never holds; sorted */
    uint32_t except_count;
};
bool calendar_has(const struct calendar *calendar, instant at);
/* The longest time around at, within a period that has it, in which that is the same. */
struct period calendar_stretch(const struct calendar *calendar, instant at, struct period within);

/* What cuts slots, a clock mostly: always those of a meter with grain month; those of an hour only
 * when it may change inside one (a zone with an offset of half an hour, an anchor that is no whole
 * hour). */
struct slot_clock {
    struct clock clock;
    const struct tally
        *tally;       /* it cuts the usage that this counts alone; NULL: all of the price */
    bool of_contract; /* anchored at the contract's start */
    bool of_account;  /* at that of the account that the scope is */
    enum scope scope;
    bool hour_aligned;
    const struct calendar *calendar;  /* instead of a clock; NULL */
    const struct rate_table *table;   /* one with dates; NULL */
    const struct step_credit *credit; /* one whose grants pay what is of their time; NULL */
    const bool *of_customer;          /* of each of its names, whether it is asked; NULL */
    bool any_key;                     /* its keys are known to nobody before the row is priced */
    bool of_exchange;                 /* the table has rates of exchange */
    bool is_resold; /* and what is charged is another contract's source, in whatever currency */
};

struct csv_columns { /* the catalog's `csv:`; same shape as decode's csv_mapping, which is built
                        from it */
    char separator;
    const struct text *columns, *targets;
    const bool *is_number;
    uint32_t count;
    const struct text *constant_targets, *constant_values;
    uint32_t constant_count;
};

/* Hands over its values, with those that every commitment has. */
void commitment_fill(const struct catalog *catalog, struct commitment *commitment,
                     struct expr_value *values);

struct catalog {
    struct text name;                /* also the provider */
    const struct currency *currency; /* of prices, accounts and contracts that say none */
    struct conversion conversion;
    bool has_currencies;          /* some price, plan or contract says one */
    bool has_contract_currencies; /* some contract does */
    struct line_rounding rounding;
    struct clock billing;      /* the bill's clock; calendar month, UTC, by default */
    bool billing_at_account;   /* anchor: subscription, the account's own start */
    bool has_contract_billing; /* some contract has a billing of its own (billing.h) */
    struct thresholds thresholds;
    bool has_thresholds;   /* of the catalog or of a contract */
    bool has_late_periods; /* usage that comes late is billed so many turns of billing back */
    uint32_t late_periods;
    struct digest digest; /* SHA-256 of the canonical content: comments, order of files and of
                             mapping keys do not matter */

    const struct text
        *dimensions; /* names, sorted; all that meters declare, and those only cases use */
    uint32_t dimension_count;
    const struct text *attributes;
    uint32_t attribute_count;
    const struct text *parameters;
    uint32_t parameter_count;

    const struct text *customer_names; /* what accounts say under `tax:`: customer.tax.country */
    uint32_t customer_name_count;
    const enum expr_type *customer_types; /* of each; DYNAMIC: as each record has it */
    const struct customer *customers;
    uint32_t customer_count;
    struct map customer_by_id; /* the first of each account */
    const struct account_sharing *sharings;
    uint32_t sharing_count;
    struct map sharing_by_id; /* the first of each account */

    const struct offering *offerings; /* under `commitments:`, sorted by name */
    uint32_t offering_count;
    bool has_frozen;                     /* some cover is */
    const struct text *commitment_names; /* that expressions ask of commitments */
    uint32_t commitment_name_count;
    uint32_t recurring_name, upfront_name, count_name; /* in these */
    const struct commitment *commitments; /* that stand in contracts; see accounts->commitments */
    uint32_t commitment_count;

    const struct product *products;
    uint32_t product_count;
    const struct sku
        *skus; /* sorted by name; every name that products, meters (constants) or prices mention */
    uint32_t sku_count;
    struct map sku_by_name;
    const struct meter *meters; /* sorted by name */
    uint32_t meter_count;
    bool has_meter_clocks;     /* some meter has one of its own */
    bool has_one_value_meters; /* some meter_is_one_value */

    const struct step *shared; /* under `steps:` */
    uint32_t shared_count;
    const struct tally *tallies;
    uint32_t tally_count;
    const struct charge_tally *charge_tallies;
    uint32_t charge_tally_count;
    const struct calendar *calendars; /* sorted by name */
    uint32_t calendar_count;
    const struct rate_table *tables; /* tables by name, then series by name */
    uint32_t table_count;
    uint32_t component_most;    /* of any price; at least 1 */
    const struct price *prices; /* all, of every level; sorted by (name, from) within a level */
    uint32_t price_count;
    struct price_set public_prices; /* the catalog's own */
    const struct plan *plans;
    uint32_t plan_count;
    uint32_t default_plan;            /* NONE */
    const struct contract *contracts; /* sorted by (buyer, from, id) */
    struct map contract_by_id;
    uint32_t contract_count;
    uint32_t view_count;
    bool has_sellers; /* some contract names one, or is a view */
    struct price terms;
    bool has_terms;         /* of the catalog, or of any plan or contract */
    bool has_waiting_terms; /* some owe for a turn, used or not */
    bool has_sales;         /* some credit of a price has grants that are bought, or shared */
    bool has_shared_limits; /* some limit that accounts share is prorated */
    uint32_t group_count;   /* of `exclusive:` */
    uint64_t best_groups;   /* those of which the best applies */

    /* Nodes: where rows meet.  A private step's node is made of its level (contract or plan), price
     * name and step name, so that versions of a price share it; a shared step has one node.
     * Numbered so that every price passes its nodes in ascending order (a cycle does not load). */
    uint32_t node_count;
    const struct text *node_names; /* "storage/tier", "free-hours": part of bucket ids */
    struct map node_by_name;
    const uint32_t *node_price; /* of each node: the first price that passes it, or NONE */
    /* Of each node, whether accounts take along to another payer what is left in it. */
    bool *node_moves, has_moves;
    const struct step **node_rolls; /* and the step of a price or a term that rolls over; or NULL */

    const instant *edges; /* effective dates of prices, sorted: no row may hold one inside */
    uint32_t edge_count;
    /* The same of each SKU alone: those of the catalog's and the plans' prices that it may meet, in
     * sku_edges[sku_edge_first[sku] .. sku_edge_first[sku + 1]), ascending. */
    const instant *sku_edges;
    const uint32_t *sku_edge_first;
    /* Dates of contracts with a source and of their prices, at which all rows are cut. */
    const instant *source_edges;
    uint32_t source_edge_count;
    /* Clocks of steps whose turns may begin inside a row, where rows must be cut as well. */
    const struct slot_clock *slot_clocks;
    uint32_t slot_clock_count;
    bool has_odd_clocks; /* some may turn inside an hour */
    bool has_csv;
    struct csv_columns csv;
};

/* One thing that is wrong. */
struct complaint {
    struct place place;
    char code[24]; /* "UNKNOWN_KEY", "TIER_GAP", "UNIT_MISMATCH" ...; listed in doc/catalog.md */
    char message[320];
    char hint[256];
    bool is_warning;
    struct text source; /* of an expression: the line it is on, for a caret; else empty */
};
struct complaints {
    struct arena *arena;
    struct complaint *items; /* in order of file, line, column */
    uint32_t count, errors;
};

/* A file of the catalog, read by the engine. */
struct catalog_file {
    struct text name; /* relative to the folder */
    struct text bytes;
};

/* Gives a zone's TZif bytes by name; false when there is none. */
struct zone_source {
    void *context;
    bool (*find)(void *context, struct text name, struct text *bytes);
};

/* Gives the bytes of a file that a table names; false with a reason of a few words when there are
 * none. */
struct table_source {
    void *context;
    bool (*find)(void *context, struct text path, struct text *bytes, struct text *reason);
};

struct catalog_input {
    const struct catalog_file *files;
    uint32_t file_count;
    const struct zone_source *zones;   /* NULL: UTC only */
    const struct table_source *tables; /* NULL: no table has a file */
    const struct text
        *dimensions; /* that rows may have besides those of meters: pricing cases give rows */
    uint32_t dimension_count;
    bool exact_rounding_default; /* pricing cases: without `rounding:` amounts stay exact */
};

/* All complaints at once; *catalog is NULL when there are errors. ERR_INPUT then. Accounts and
 * contracts that stand in the YAML are handed out in *accounts when it is not NULL (see
 * accounts.h). */
struct accounts_builder;
enum status catalog_load(struct arena *arena, const struct catalog_input *input,
                         struct accounts_builder *accounts, const struct catalog **catalog,
                         struct complaints *complaints, struct error *err);

/* The dimensions of a row: values[i] is that of the meter's dimension i, or, without a meter, of
 * catalog->dimensions[i] (empty text when absent). */
struct dimension_values {
    const struct meter *meter;
    const struct text *values;
};

/* The currency of what a price or a term says. */
static inline const struct currency *price_currency(const struct catalog *catalog,
                                                    const struct price *price)
{
    return price->currency ? price->currency : catalog->currency;
}

/* The price of a row, which is never a fixed one (is_fixed): overrides of its account, else the
 * contract's prices, else its plan's, else the catalog's; of a contract with a source its own
 * prices, else its plan's, else its cost.  In each, a named SKU before `*`, more selectors before
 * fewer; the version whose [from, to) holds at.  NULL: unpriced.  overrides and contract may be
 * NULL.  plan is the account's own (account->plan) or NONE; a contract's plan goes before it, the
 * catalog's default plan after it.  level gets where it was found (for explain; may be NULL): 0
 * account override, 1 contract, 2 plan, 3 catalog. */
const struct price *catalog_price(const struct catalog *catalog, const struct price_set *overrides,
                                  const struct contract *contract, uint32_t plan, uint32_t sku,
                                  const struct dimension_values *dimensions, instant at,
                                  int *level);

/* The plan in force: the contract's, else plan (the account's own), else the catalog's default;
 * NONE when there is none.  A contract with a source has its own alone. */
uint32_t catalog_plan_of(const struct catalog *catalog, const struct contract *contract,
                         uint32_t plan);

/* The rate at key values (row-major, as in table->values), by bisection: of the last row that holds
 * at an instant; NULL when the table has none. */
const struct dec *rate_table_find(const struct rate_table *table, const struct text *key,
                                  instant at);
/* The longest time around at in which that is the same; key NULL: of all keys. */
struct period rate_table_span(const struct rate_table *table, const struct text *key, instant at);

/* in_calendar, lookup and series, by their call_slot, at an instant: the functions that expressions
 * over rows and events have. */
enum status catalog_call(const struct catalog *catalog, uint32_t slot,
                         const struct expr_value *args, size_t arg_count, instant at,
                         struct arena *scratch, struct expr_value *out, struct error *err);

/* Decides what can be decided of tiers before there is a bucket: once they are read. */
void tier_resolve(struct arena *arena, struct step_tier *body);

/* The smallest edge > at among the catalog's; INSTANT_MAX when none. And the largest <= at,
 * INSTANT_MIN when none. */
instant catalog_edge_after(const struct catalog *catalog, instant at);
instant catalog_edge_before(const struct catalog *catalog, instant at);

#endif
