/* price.h - usage to charges: a pure function over all books of one payer.
 *
 *     usage rows, in total order --> price in force --> steps, node by node --> charges
 *                                                          |
 *                                      buckets: (node, scope, by, turn) -> (x, y)
 *
 * A row without an amount is usage; its rating step gives it an amount and makes it a charge.  A
 * step with a memory is a curve F over what has accumulated in a bucket, and a row is charged the
 * difference it makes, F(x before + in) - F(x before); F is quantized once, at 18 digits half-even,
 * so the differences telescope and pieces add up to the whole to the last digit
 * (doc/pricing.md, The idea).
 *
 * Steps meet in nodes: versions of one price share theirs, and a step under the catalog's
 * `steps:` has one for all prices that use it.  Nodes run in ascending order; each takes its rows
 * in the total order (slot, account, resource, SKU, dimension values).
 *
 * Then terms run: steps over the charges of all prices, in the order written; they edit no charge
 * but add named ones, so that the sum before and their charges are the sum after (2.6).
 *
 * Nothing here reads anything but its arguments: no clock, no file, no global.
 */
#ifndef FARTHING_PRICE_PRICE_H
#define FARTHING_PRICE_PRICE_H

#include "base/arena.h"
#include "catalog/billing.h"
#include "catalog/catalog.h"
#include "usage/usage.h"

enum charge_kind {
    CHARGE_USAGE,
    CHARGE_FEE,     /* of a fixed step */
    CHARGE_MINIMUM, /* what lacked to a minimum */
    CHARGE_CAP,     /* takes back what is over a maximum */
    CHARGE_ROUNDING,
    CHARGE_DISCOUNT,
    CHARGE_MARKUP,
    CHARGE_TAX,        /* of the charge it names, and no part of that one's net */
    CHARGE_OVERAGE,    /* what exceeds a commit, at its factor */
    CHARGE_SHORTFALL,  /* what lacks to a commit */
    CHARGE_CREDIT,     /* what a grant paid, or units that it covered */
    CHARGE_NEGATION,   /* takes the tax out of an amount that includes it */
    CHARGE_ALLOCATED,  /* what it gives to others, or has of them */
    CHARGE_COVERED,    /* usage that a commitment pays for */
    CHARGE_COMMITMENT, /* what a commitment costs */
    CHARGE_UNUSED,     /* what nobody used of a commitment: no amount, but units and their cost */
    CHARGE_KINDS
};
const char *charge_kind_name(enum charge_kind kind); /* "usage" */
struct text charge_kind_text(enum charge_kind kind);

/* Where a price was found, or whose term made the charge. */
enum price_level {
    LEVEL_OVERRIDE,
    LEVEL_CONTRACT,
    LEVEL_PLAN,
    LEVEL_CATALOG,
    LEVEL_TERMS, /* of a contract, of a plan, of the catalog */
    LEVELS = LEVEL_TERMS + 3
};
const char *price_level_name(int level);
struct text price_level_text(int level);
static inline enum price_level level_of_terms(enum price_level owner)
{
    return owner - LEVEL_CONTRACT + LEVEL_TERMS;
}

/* Rows that an aggregate made one: its keys, those in which they differ being empty, and which they
 * were. */
struct merged {
    struct series series;
    uint64_t print; /* sum of their fingerprints */
    const uint32_t *rows;
    uint32_t row_count;
};

/* The keys of a bucket that tell it from others of its scope, as one charge on it has them. */
struct bucket_keys {
    struct text resource;       /* empty: none */
    const uint32_t *dimensions; /* in catalog->dimensions, ascending */
    const struct text *values;
    uint32_t count;
};

/* A rate by which amounts became those of the bill's currency; one object for all that it was used
 * for. */
struct used_rate {
    const struct currency *from, *to;
    struct dec rate;           /* so many of `to` is one of `from` */
    instant at;                /* since when the rate is that; INSTANT_MIN: it has no date */
    instant asked;             /* the instant at which it was asked for */
    const struct place *place; /* of its row */
};

/* What a charge was in the currency of its price. */
struct converted {
    const struct used_rate *rate;
    struct dec amount;
};

/* An amount with its quantity, price and reason, before rounding; while has_amount is false, a row
 * on its way. */
struct charge {
    enum charge_kind kind;
    bool has_amount, has_rate;
    bool emitted_free; /* the part an allowance took; see charge_is_billed */
    bool is_copy;      /* of a row that another component of the price has too */
    int8_t level;      /* enum price_level: of the price, or of the term that made it */
    uint32_t account;
    uint32_t sku;       /* NONE: a charge on a scope */
    uint32_t series;    /* NONE when it stems from no row */
    uint32_t row;       /* index of the usage row, of the first that were merged; NONE */
    uint32_t order;     /* rank in the total order of rows */
    uint32_t tier;      /* index of the tier that rated it, NONE */
    uint32_t next_step; /* private to pricing */
    uint32_t of;        /* index of the charge it adjusts, NONE */
    uint32_t number;    /* its own index */
    instant at;         /* start of its slot, or of its turn */
    struct period span; /* the time it is for */
    const struct price *price;
    const struct step *step;           /* the step that made it a charge */
    const struct contract *contract;   /* NULL */
    const struct merged *merged;       /* NULL: of one row */
    const struct event_name *event;    /* of a price with `grain: event`, and of one row; NULL */
    const struct bucket_keys *keys;    /* of a charge of no row; NULL */
    const struct converted *converted; /* NULL: its price is in the bill's currency */
    const struct text *grant; /* that pays, or that is bought; of a commitment, its id; NULL */
    struct text unit;
    uint64_t events;
    struct dec quantity, rate;
    struct dec amount;
    struct dec net;  /* amount and all adjustments that name it, but for tax */
    struct dec list; /* amount at the list rate */
};

static inline const struct used_rate *charge_rate_used(const struct charge *charge)
{
    return charge->converted ? charge->converted->rate : NULL;
}

/* False of a row that is on no line: an allowance took it whole and emits none, or it is unpriced.
 */
static inline bool charge_is_billed(const struct charge *charge)
{
    return charge->has_amount && !(charge->emitted_free && !charge->step->allowance.emit_free);
}

/* A live bucket at the end of the bill's period, or one carried in: x has accumulated, y was
 * emitted. */
struct bucket_state {
    struct text key; /* "storage/tier|globex|2026-01-01T00:00:00Z|eu-west-1": made of names, never
                        of indices */
    struct period turn;
    struct dec x, y, events, high;
    const struct dec *samples; /* what a percentile is of, so far, ascending */
    uint32_t sample_count;
};

/* The order of states: by name, and those of one name, whose turns begin at one instant, by when
 * these end. */
static inline int bucket_state_compare(const struct bucket_state *a, const struct bucket_state *b)
{
    int order = text_compare(a->key, b->key);
    return order ? order : (a->turn.to > b->turn.to) - (a->turn.to < b->turn.to);
}

/* One step's work on one charge or bucket, for explain. Recorded only when asked for. */
struct trace {
    uint32_t row;                /* usage row, NONE */
    uint32_t charge;             /* the one it worked on or made; NONE: the bucket as a whole */
    uint32_t made_from, made_to; /* of a bucket as a whole: the charges that were made of it */
    uint32_t account;
    const struct price *price;
    const struct step *step;
    struct text bucket;           /* key; empty: the row alone */
    struct period turn;           /* of the bucket; of a fixed amount: what its part is a part of */
    struct dec before, after;     /* x */
    struct dec f_before, f_after; /* F(x), quantized at 18 digits */
    struct dec worth;             /* where F is of units: what they come to */
    struct dec lost;              /* of F: what a discount does not take, as nothing is left */
    bool is_more;                 /* what another trace of the charge does not tell yet */
    struct dec limit; /* what is free, the maximum or minimum; of a fixed amount: the factor */
    bool has_rate;    /* it is the rate of the part */
    bool is_piece;    /* of a curve that it has with others: see piece_of_curve (work.h) */
    uint32_t tier;
    struct dec tier_from, tier_to; /* its limits, when there is a tier; to 0: open */
    const struct step *curve;      /* whose tiers they are; NULL: of step itself */
    const struct text *grant;      /* that was used; NULL */
    struct text formula;           /* with its values; empty */
    const struct place *row_place; /* of the row of a table that has the rate; NULL */
};

/* An account of the payer, while it is one. */
struct member_span {
    uint32_t account;
    struct period span;
};

/* So much of a row was covered when it was billed, by the commitment that is called so; of several
 * bills, several. */
struct covered_before {
    struct hash128 row; /* line_covered_row */
    struct period span; /* of its line */
    struct text grant;
    struct dec quantity;
};

/* Which prices rows of a series met: of one thread, one catalog and one table of series.  All over
 * a large catalog lies what pricing reads, and to wait for it takes longer than to price: who knows
 * early which rows come asks for it, first for what is remembered of their series and their
 * accounts' plan, then for what that names. */
struct price_memory;
size_t price_memory_bytes(const struct catalog *catalog); /* what one takes */
struct price_memory *price_memory_new(struct arena *arena, const struct catalog *catalog);
void price_memory_ask(const struct price_memory *memory, uint32_t series, uint32_t plan);
void price_memory_ask_price(const struct price_memory *memory, uint32_t series, uint32_t plan);

struct pricing {
    const struct catalog *catalog;
    const struct accounts *accounts;
    const struct series_table *series;
    instant base; /* slot_s of rows counts from here */
    uint32_t payer;
    struct period cut;                 /* what is billed; inside or equal to turns of billing */
    struct text cut_edges;             /* its bill_edges, when they are known; empty */
    struct billing_of billing;         /* the payer's */
    const struct zone *zone;           /* of the billing with which the cut begins */
    struct period turn;                /* of billing: the one that the cut ends in */
    const struct member_span *members; /* sorted by (account, from) */
    uint32_t member_count;
    const struct bucket_state *opening; /* of this payer, sorted by key */
    uint32_t opening_count;
    /* Of a view by source: base charges of the source that are the view's, in its accounts; their
     * amount is what is left of each before tax.  Then rows are those that the source priced. */
    const struct charge *source_charges; /* NULL: rows are priced */
    uint32_t source_count;
    const struct currency *source_currency; /* in which they are */
    /* Of bills before, for covers that are frozen. */
    const struct covered_before *covered; /* NULL */
    uint32_t covered_count;
    struct price_memory *memory; /* NULL: none */
    bool trace;
    const bool *trace_rows; /* only what is done to these, or to no row; NULL: all */
};

/* The turn of the payer's billing that holds the instant. */
struct period pricing_turn(const struct pricing *pricing, instant at);
/* The spans of one account among the payer's members; account NONE: all of them. */
struct member_spans {
    const struct member_span *items;
    uint32_t count;
};
struct member_spans pricing_members(const struct pricing *pricing, uint32_t account);

/* What a payer's bill is in: what its contract says, else its account, else the catalog. */
struct bill_money {
    const struct currency *currency;
    const struct currency *settlement; /* in which its total is said too; NULL */
    const struct line_rounding *rounding;
};

struct priced {
    struct bill_money money;
    /* What charges of commitments cost effectively: effective[effective_of[charge]]; NONE, and
     * without any NULL: their amount. */
    const uint32_t *effective_of;
    const struct dec *effective;
    struct charge *charges; /* base charges and their adjustments, in no stated order */
    uint32_t charge_count;
    struct excluded *excluded; /* UNPRICED and FREE, by (account, meter) */
    uint32_t excluded_count;
    struct bucket_state *closing; /* buckets alive at cut.to, sorted by key */
    uint32_t closing_count;
    struct trace *traces;
    uint32_t trace_count;
};

/* What a charge costs effectively; NULL: its amount. */
static inline const struct dec *priced_effective(const struct priced *priced, uint32_t charge)
{
    return priced->effective_of && priced->effective_of[charge] != NONE
               ? &priced->effective[priced->effective_of[charge]]
               : NULL;
}

/* The keys of a charge that stems from rows. */
static inline const struct series *charge_series(const struct pricing *pricing,
                                                 const struct charge *charge)
{
    return charge->merged ? &charge->merged->series : series_at(pricing->series, charge->series);
}

/* ERR_INPUT when contracts of the payer, in the time that is billed, are in several currencies. */
enum status pricing_money(const struct pricing *pricing, struct bill_money *money,
                          struct error *err);
/* The rate by which amounts that are of an instant get into another currency. ERR_INPUT, with the
 * pair and the date, when the catalog has none. */
enum status pricing_rate(const struct pricing *pricing, const struct currency *from,
                         const struct currency *to, instant at, struct used_rate *used,
                         struct error *err);

/* Prices rows[0..row_count), which are in the total order. All memory is of the arena.
 * ERR_OVERFLOW, and ERR_INPUT when an expression of a step fails, name price, step and account;
 * ERR_CORRUPT when quantity was not conserved (a bug). */
enum status price_payer(struct arena *arena, const struct pricing *pricing,
                        const struct usage_row *rows, uint32_t row_count, struct priced *priced,
                        struct error *err);

#endif
