/* bill.h - charges to lines: rounded once, summed to the last digit, with their proof.
 *
 *     charges --group by line key--> lines --round--> sections by account --> total
 *                                      |
 *             lines issued before -----+--> the bill is the difference, line by line
 *
 * A bill is what is known now, less what was billed already.  First bill, estimate, correction
 * and credit note are this one computation; with nothing issued before it is the whole.
 *
 * Lines hold texts and no indices, so that a line that was read from a file is as good as one that
 * was made: show, explain and the next difference use the same struct.
 *
 * Promise: the amounts of a bill's lines add up to its total, to the last digit.
 */
#ifndef FARTHING_BILL_BILL_H
#define FARTHING_BILL_BILL_H

#include "price/price.h"

/* Of a line whose price is in another currency than its bill. */
struct line_conversion {
    struct text currency; /* of the price, which the line's rate is in */
    struct dec rate;      /* so many of the bill's currency is one of the price's */
    instant at;           /* since when it is that; INSTANT_MIN: it has no date */
    struct dec amount;    /* in the currency of the price; x rate: the line's exact amount */
};

struct line {
    struct hash128 id; /* made of the key: equal in every run */
    /* The key, besides provider and payer: */
    struct text account, sku, dimensions,
        resource; /* dimensions: "region=eu-west-1;size=large", in name order; both encoded */
    struct text contract, price, step, kind, unit;
    struct text grant; /* that pays, or that is bought; empty */
    int32_t tier;      /* from 1; 0: none */
    instant from, to;  /* the time it is for */
    instant version;   /* from when its price version is in force */
    bool has_rate;
    const struct dec *effective; /* what it costs effectively; NULL: its amount */
    struct dec rate;
    struct line_conversion *conversion; /* NULL: none; its amount is no part of the key */
    /* What it says: */
    struct text product, level;
    struct text currency; /* of a line that was read; its bill's else */
    struct dec quantity;
    struct dec exact; /* before rounding */
    struct dec amount;
    struct dec list; /* at the list rate, exact */
    uint64_t events;
    uint64_t print; /* sum of the fingerprints of its usage rows' events */
};

struct section {
    struct text account;
    uint32_t line_count;
    struct dec amount;
};

/* What an unfinished turn would still charge if it ended now; on no line. */
struct pending_charge {
    struct text account, sku, price, step, kind, contract;
    instant due;
    struct dec amount;
};

enum bill_kind { BILL_FIRST, BILL_CORRECTION };

struct bill {
    struct text id; /* "provider/payer/2026-10-01/2026-11-01": see bill_id */
    enum bill_kind kind;
    struct text provider, payer, currency;
    struct text contract, source, seller; /* of a view; empty: whatever the payer has */
    int minor_digits;
    const struct line_rounding *rounding;
    bool has_settlement; /* its total is said in another currency too */
    struct used_rate settled;
    struct dec settlement; /* rounded to that one's minor unit */
    struct period period;
    const struct period *parts; /* of a time that thresholds divide, up to the bill's; NULL: none */
    uint32_t part_count;
    const struct pending_charge *pending; /* of a part of a turn; sorted by account, due */
    uint32_t pending_count;
    struct line *lines; /* sorted by account, SKU, price, ...; the rounding line last */
    uint32_t line_count, line_capacity;
    struct section *sections;
    uint32_t section_count;
    struct dec_sum exact; /* of the lines' exact amounts; it may have more than 38 digits */
    struct dec total;
    /* proof */
    uint32_t row_count;
    uint64_t event_count;
    uint64_t print;
    const struct excluded *excluded; /* of the book, then of pricing; sorted */
    uint32_t excluded_count;
};

static inline struct dec line_effective(const struct line *line)
{
    return line->effective ? *line->effective : line->amount;
}

/* Lines issued for one payer and period before: of one or several bills. */
struct issued {
    const struct line *lines; /* in any order; lines with equal ids are summed */
    uint32_t count;
};

/* What they say was covered: for covers that stay as they were billed. */
const struct covered_before *bill_covered(struct arena *arena, const struct issued *issued,
                                          uint32_t *count);

/* Makes the bill of one payer. All memory is of the arena. ERR_OVERFLOW when an amount leaves its
 * range. */
enum status bill_make(struct arena *arena, const struct pricing *pricing,
                      const struct usage_row *rows, uint32_t row_count,
                      const struct excluded *excluded, uint32_t excluded_count,
                      const struct priced *priced, const struct issued *issued, struct bill *bill,
                      struct error *err);

/* To how many digits its lines are rounded. */
int bill_digits(const struct bill *bill);
/* How a line is rounded where lines are rounded by mode.  One of kind `negation` is rounded to
 * minus what the line that it takes back is, so that both together are nothing: a ceiling by itself
 * would leave a unit of them. */
enum rounding line_mode(const struct line *line, enum rounding mode);

/* Whether it is no price's: it makes the lines of a bill add up to a total in the minor unit. */
bool line_is_rounding(const struct line *line);

/* What bill_make holds of every bill that has commitments: ids are each line's own (LINE_IDS),
 * covered lines and what takes them back come to nothing by commitment (LINE_NEGATION), lines and
 * sections to the total (LINE_TOTAL).  ERR_CORRUPT with the rule's name. */
enum status bill_close(struct arena *arena, const struct bill *bill, struct error *err);

/* Whose a bill is and for when.  A view has bills of its own: of its contract, and of its source
 * when it is one of charges; else these are empty. */
struct bill_name {
    struct text provider, payer, contract, source;
    struct period period;
    struct text edges; /* how that stands in an id, when it is known; empty */
};
/* "2026-10-01/2026-11-01". */
struct text bill_edges(struct arena *arena, struct period period);
/* "provider/payer/from/to", "provider/payer/contract/from/to",
 * "provider/payer/contract/source/from/to" with names percent-encoded; and what such a text says,
 * false when it is none. */
struct text bill_id(struct arena *arena, const struct bill_name *name);
bool bill_id_read(struct arena *arena, struct text id, struct bill_name *name);

/* The contract whose bills a payer has when it is a view's; empty. */
struct text bill_contract(const struct catalog *catalog, const struct accounts *accounts,
                          uint32_t payer);

/* Control characters and percent signs percent-encoded: as a resource stands on a line, which is
 * one line of a file.  The text itself when it has none. */
struct text bill_encode(struct arena *arena, struct text text);

/* "name=value;name=value" of the dimensions that have a value, in name order; names and values
 * percent-encode what separates. */
struct text bill_dimensions(struct arena *arena, const struct catalog *catalog,
                            const struct series *series);

/* The event that a line of `grain: event` is of, as it stands in front of its dimensions:
 * "@id=e5;@source=/net", names that no dimension has. */
struct text bill_event(struct arena *arena, const struct event_name *event);

/* True when the charge is on the line: for explain. */
bool line_has_charge(struct arena *arena, const struct pricing *pricing, const struct line *line,
                     const struct charge *charge);

#endif
