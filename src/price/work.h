/* work.h - the state of pricing one payer; private to this room.
 *
 * Charges live in one array and are named by index, since the array moves when it grows.
 */
#ifndef FARTHING_PRICE_WORK_H
#define FARTHING_PRICE_WORK_H

#include "base/sort.h"
#include "price/close.h"
#include "price/curve.h"
#include "price/keys.h"
#include "price/price.h"

/* The order of charges of no row: after all rows of their node, by price.c's own order. */
#define CHARGE_OF_NO_ROW 0xFFFFFFFFu

/* What tells buckets apart within a run. */
struct bucket_key {
    uint32_t node, account, sku;
    uint32_t contract; /* its index + 1; 0: none, or the scope is not one */
    bool is_whole;     /* what is computed of it as a whole has no part in order */
    enum scope scope;  /* of the version, as are its unit and clock: another has its own buckets */
    struct text unit;
    struct period turn; /* on the clock of rows, what tells the row */
    instant version;
    struct text parts; /* resource and by values, each after its size; mostly empty */
};

/* A bucket: one value of (node, scope, by, turn). */
struct bucket {
    uint64_t hash;
    struct bucket_key key;
    const struct step *step;     /* whose numbers `values` holds: the version met last */
    const struct step *keyed_by; /* whose scope and keys it has: the version that opened it */
    const struct price *price;
    const struct contract *contract;
    uint32_t account; /* of the scope: the account itself, the payer, or a contract's buyer */
    uint32_t sku;     /* of a private step; NONE */
    struct text resource;
    const struct text *by; /* values of keyed_by->by */
    uint32_t by_count;
    struct period turn;
    struct dec x, y; /* accumulated, emitted */
    struct dec high; /* the greatest x so far: flats paid once; of a bound, what it took back */
    struct dec events;
    const struct dec *samples; /* of a percentile, so far, ascending */
    uint32_t sample_count;
    struct dec opening_x;             /* what x was when the bill's period began */
    const void *values;               /* evaluated numbers of step */
    uint32_t last_charge;             /* index of the last charge that entered it, NONE */
    uint32_t first_entry, last_entry; /* of steps over charges, whose node runs once */
    bool is_touched;                  /* by this bill */
    bool is_opened;                   /* goes on from the opening */
    bool is_past;                     /* a later turn has what was left of it */
    bool is_bought;                   /* it is prepaid, and its fee is there */
    bool is_told;                     /* whether that falls into this bill */
    bool y_is_f;                      /* y is the F(x) of values: it need not be computed again */
};

/* One charge at a node and the bucket it is in. */
struct entry {
    uint32_t charge, bucket;
    uint32_t next;            /* entry of its bucket, NONE; of steps over charges */
    const struct step *step;  /* of its own version */
    bool is_first;            /* of its bucket in this bill */
    bool gives, takes;        /* of what is allocated */
    struct dec before, after; /* x of this bill's part */
};

/* What became of a state that the opening carries. */
struct opening_note {
    bool is_used; /* a bucket goes on from it */
    struct dec emitted;
};

/* An opening state that is settled in this bill unless a charge enters its bucket. */
struct due {
    uint32_t node, opening, account, sku;
    struct text resource; /* with that scope */
    instant at;
    const struct step *step; /* of the version that settles it */
    const struct price *price;
    const struct contract *contract;
};

/* Whose list of terms runs: a plan's, a contract's, or the catalog's. */
struct term {
    const struct price *list;
    enum price_level level;
    uint32_t plan;                   /* of LEVEL_PLAN */
    const struct contract *contract; /* of LEVEL_CONTRACT; NULL */
};

struct work {
    struct arena *arena;
    const struct pricing *pricing;
    const struct catalog *catalog;
    const struct usage_row *rows;
    struct error *err;
    const struct currency *currency; /* of the bill */
    struct dec *left; /* of each row: quantity that is not yet on a charge or exclusion */

    struct charge *charges;
    uint32_t charge_count, charge_capacity;
    /* Charges that wait for a node: (node << 32 | order, sequence << 32 | index of the charge).
     * Those that wait when nodes begin to run are a sorted queue; what they pass on, a heap. */
    struct sort_key *queue;
    uint32_t queue_at, queue_count, queue_capacity;
    struct sort_key *heap;
    uint32_t heap_count, heap_capacity;
    uint64_t sequence; /* of charges that have waited so far */
    bool is_running;
    const struct step *asking; /* the step that runs: whose numbers may ask for usage */
    uint32_t orders_of_row;    /* ranks that a row takes: 1, or of its components */
    bool is_lone;              /* the charge that runs is the only one that comes to its node */

    struct bucket *buckets;
    uint32_t bucket_count, bucket_capacity;
    uint32_t *bucket_slots;
    uint32_t bucket_mask;
    struct bucket lone;         /* see bucket_find_lone */
    instant opening_from;       /* the first turn in pricing->opening */
    struct opening_note *notes; /* of pricing->opening */
    struct due *due;            /* sorted by node */
    uint32_t due_at, due_count;

    bool is_by_line;    /* lines are rounded, and not their total alone */
    struct keys pieces; /* curves of what has no bucket: piece.c */
    struct piece_curve *piece_curves;
    uint32_t piece_curve_capacity;

    struct exclusions excluded;
    struct trace *traces;
    uint32_t trace_count, trace_capacity;

    const struct term *term;   /* whose step runs; NULL: a price's */
    const struct period *paid; /* when the payer pays for anybody; NULL: not asked yet */
    uint32_t paid_count;
    struct entry *entries; /* of the step over charges that runs */
    struct dec *gross;     /* what charges came to before all terms; of those that were there */
    uint32_t gross_count;
    struct dec tax_rate;                         /* of the charge that is taxed */
    const struct step *rate_step, *rate_step_of; /* of a tax on the whole: that of one rate */
    struct text grant;                           /* whose bucket is looked for */
    struct wallet **wallets;
    uint32_t wallet_count, wallet_capacity;
    struct lenders *lenders; /* of the term that ran last */

    struct commitments *commitments;     /* of the payer; NULL: it has none */
    const struct commitment *commitment; /* that an expression is asked of */
    bool is_filter;                      /* over commitments alone: what is empty is not there */
    struct dec savings, list_rate;       /* of the row that it may cover */

    struct expr_value *slots; /* made when the first expression is met */
    const void *turn_of;      /* cache of turn_find: the clock it is of */
    struct period turn;
    struct { /* of the row before, which may share it */
        uint32_t account;
        instant at;
        const struct contract *contract;
    } last_row;
};

/* ---- bucket.c ---- */

/* The turn of the step's clock that holds at. */
struct period turn_find(struct work *work, const struct step *step, const struct contract *contract,
                        uint32_t account, instant at);
static inline struct period charge_turn(struct work *work, const struct step *step,
                                        const struct charge *charge)
{
    return turn_find(work, step, charge->contract, charge->account, charge->at);
}
/* The bucket that a charge enters at a step; made, with what the opening carries, when it is not
 * there. Index, since buckets move. */
enum status bucket_find(struct work *work, const struct step *step, const struct charge *charge,
                        uint32_t *bucket);
/* Whether a charge would enter that bucket at a step. */
bool bucket_is_of(struct work *work, uint32_t bucket, const struct step *step,
                  const struct charge *charge);
/* What has accumulated in the bucket that a charge would enter; nothing where there is none. */
struct dec bucket_peek(struct work *work, const struct step *step, const struct charge *charge);
/* The state of the bucket that a charge would enter in another turn, from this bill or from the
 * opening, which is then used up; false when there is none. */
bool bucket_find_past(struct work *work, const struct step *step, const struct charge *charge,
                      struct period turn, struct dec *x, struct dec *high, struct dec *events);
/* A bucket that one charge enters, that began empty and ends with the bill, is not looked for, by
 * anyone and ever: work->lone, emptied for this one.  False when it may be another. */
bool bucket_find_lone(struct work *work, const struct step *step, const struct charge *charge);
/* Whether it is so: for one that needs no bucket then. */
bool bucket_is_lone(struct work *work, const struct step *step, const struct charge *charge);
/* The name of a bucket, for openings and explanations, in the arena. */
struct text bucket_name(struct work *work, const struct bucket *bucket);
/* The part of a name that begins at *at, decoded; *at is then behind it. */
struct text bucket_name_part(struct arena *arena, struct text name, size_t *at);
/* The part of a name with that label ("contract="), without it; empty and false when it has none.
 */
bool bucket_name_label(struct arena *arena, struct text name, struct text label,
                       struct text *value);
/* True when a bucket of that name may be one of that version of a step, by its scope and keys. */
bool bucket_name_fits(struct arena *arena, struct text name, const struct catalog *catalog,
                      const struct step *step);
/* The keys of a charge on a bucket's scope: its resource, and what its by values say of dimensions;
 * NULL when it has none.  by may be NULL.  The second reads them from the bucket's name. */
enum { STEP_BY_MAX = 9 }; /* the keys that are written, and one */
const struct bucket_keys *bucket_keys(const struct work *work, const struct step *step,
                                      struct text resource, const struct text *by);
const struct bucket_keys *bucket_keys_of_name(const struct work *work, struct text name);
/* What a turn of a commitment has in closings, and what the opening says of it, which is then used
 * up; NULL. */
struct text bucket_commitment_name(struct work *work, uint32_t account, instant turn,
                                   struct text id);
const struct bucket_state *bucket_opening(struct work *work, struct text name, instant turn_to);
/* Buckets that live on at the period's end, and opening states that nothing touched, sorted by key.
 */
enum status bucket_closing(struct work *work, struct priced *priced);

/* ---- values.c ---- */

/* The values of by keys and dimensions. */
struct text charge_dimension(const struct work *work, const struct charge *charge, uint32_t name);
struct text charge_key_value(struct work *work, const struct charge *charge, struct by_key key);
/* An expression over a charge. */
enum status charge_eval(struct work *work, const struct expr *expr, const struct charge *charge,
                        struct period turn, struct expr_value *value);
enum status charge_where(struct work *work, const struct step *step, const struct charge *charge,
                         bool *takes);
/* What the charge adds to what a step accumulates: the step's measure, or fallback, its quantity or
 * net. */
enum status charge_measure(struct work *work, const struct step *step, const struct charge *charge,
                           struct dec fallback, struct dec *measure);
/* The units of a charge, to steps and expressions.  What a tier owes on a bucket's scope tells, on
 * its line, those of rows that have their own. */
static inline struct dec charge_units(const struct charge *charge)
{
    bool is_told = charge->row == NONE && charge->step && charge->step->kind == STEP_TIER;
    return is_told ? DEC_ZERO : charge->quantity;
}
enum status number_value(struct work *work, const struct number *number,
                         const struct charge *charge, struct period turn, struct dec *value);
/* The same of a rate or a percentage alone, which has no bucket: tables with dates are asked at the
 * row's or the charge's own time. */
enum status number_alone(struct work *work, const struct number *number,
                         const struct charge *charge, struct period turn, struct dec *value);
/* What an expression comes to is held to what is asked of a plain number as the catalog loads. */
enum status number_not_negative(struct work *work, const char *what, struct dec value);

/* The value of a name for a charge, and an expression that may ask what nobody knows, such as a
 * table without a row for it: then *value is EXPR_ERROR, and nothing else is wrong. */
struct expr_value charge_slot(struct work *work, uint32_t slot, const struct charge *charge,
                              struct period turn);
enum status charge_try(struct work *work, const struct expr *expr, const struct charge *charge,
                       struct period turn, struct expr_value *value);

/* ---- piece.c ---- */

/* So much at a rate for so many units: a row's quantity, or per cent of what a charge comes to. */
struct piece {
    struct dec quantity, rate, per;
    int per_digits; /* per is 10 to this power; -1: it is no such power */
};
/* What it comes to; *is_held: to the last digit, 18 of them hold it. */
enum status piece_alone(const struct piece *piece, bool *is_held, struct dec *amount,
                        struct error *err);
/* What it comes to where they do not: a piece of a curve, whose values are rounded once.  The curve
 * is that of a line, which `like` stands on, or, where it is the total that is rounded or nothing,
 * of an account, a SKU and a version of a price. */
enum status piece_of_curve(struct work *work, const struct step *step, const struct charge *like,
                           const struct piece *piece, struct dec *amount);

/* ---- order.c ---- */

/* Values of sort keys in the order that these declare; equal: 0. */
int order_compare(const struct order_key *keys, uint32_t count, const struct expr_value *a,
                  const struct expr_value *b);

/* Where a charge stands among the targets of a credit, by its kind, SKU or step; 0 of another step.
 */
uint32_t order_target(const struct work *work, const struct step *step,
                      const struct charge *charge);
/* Puts what a credit takes in the order of what it comes to: by the sums of its groups, from the
 * outermost on, then by the charge, the largest first.  Sums are of one wallet: `wallets` says
 * whose each entry is. */
enum status order_largest(struct work *work, const struct step *step, struct entry *entries,
                          const uint32_t *wallets, uint32_t count);
/* Charges in the order that their step declares, or the term; they come in the total order. */
enum status order_charges(struct work *work, const struct step *term, uint32_t *charges,
                          uint32_t count);
/* Puts charges, some of no row and so behind all rows, in the order of time where what one leaves
 * depends on it: of a wallet's by their times, of a step that leaves something for its next turn by
 * their turns. */
void order_in_time(struct work *work, struct entry *entries, uint32_t count);

/* ---- price.c ---- */

uint32_t work_add_charge(struct work *work, const struct charge *charge);
/* The row added last, of a price with components: every one has it; the first of them takes its
 * quantity. */
void work_start_components(struct work *work, const struct price *price);
/* The charge waits for its next step, or is done. */
void work_push(struct work *work, uint32_t charge);
/* Its step is behind it: on to the next. */
void work_pass_on(struct work *work, uint32_t charge);
void work_trace(struct work *work, const struct trace *trace);
/* The trace of a step's work on a charge: row, account and price are the charge's, name and turn
 * the bucket's (NULL: none). */
void work_trace_step(struct work *work, uint32_t charge, const struct bucket *bucket,
                     struct trace trace);
/* Of its work on a bucket as a whole. */
void work_trace_bucket(struct work *work, const struct bucket *bucket, struct trace trace);
void work_exclude(struct work *work, uint32_t account, enum exclusion reason, uint32_t meter,
                  const struct total *total);
uint32_t work_meter_of(const struct work *work, const struct charge *charge);
/* The quantity leaves for a charge or an exclusion; what is left of a row in the end must be
 * nothing. */
enum status work_take_of_row(struct work *work, const struct charge *charge, struct dec quantity);
/* Adds where it happened to work->err and returns its status. */
enum status work_fail(struct work *work, enum status status, const struct price *price,
                      const struct step *step, uint32_t account);
/* The same of a charge.  What has no SKU has nothing that expressions ask of one, so it is said
 * whose charge it is. */
enum status work_fail_on(struct work *work, enum status status, const struct price *price,
                         const struct step *step, uint32_t index);

/* ---- tally.c ---- */

/* Counts a row for those who ask for it; the second, of a price that has no step for it. */
enum status tally_run(struct work *work, uint32_t charge);
enum status tally_start(struct work *work, const struct charge *charge);
/* What the step that asks is told: the total in its own scope and turn. */
struct dec tally_value(struct work *work, uint32_t of, const struct charge *charge);
/* The same of what was charged before the term, which has counted it. */
struct dec tally_charges(struct work *work, uint32_t of, const struct charge *charge);
/* Counts what is left of a charge for the term that runs, which sees it so. */
enum status tally_count_charge(struct work *work, const struct step *term,
                               const struct charge *charge);

/* ---- step_usage.c: each runs one charge ---- */

/* True of an allowance that leaves something for its next turn. */
bool step_rolls_over(const struct step *step);
/* What a quantity becomes in a step that each row meets alone. */
enum status step_convert_alone(struct work *work, const struct step *step,
                               const struct charge *charge, struct dec *quantity);
enum status step_convert_run(struct work *work, const struct step *step, uint32_t charge);
enum status step_allowance_run(struct work *work, const struct step *step, uint32_t charge);
/* One that is given pro rata, to all rows of its node: the version of a bucket's last row says how
 * much is free. */
enum status step_allowance_share(struct work *work, struct entry *entries, uint32_t count);
/* What is above a limit: max(0, x - limit). */
enum status step_above(struct dec x, struct dec limit, struct dec *value, struct error *err);

/* ---- prorate.c ---- */

/* The account that a step's scope is: which of those who share it has the first charge changes no
 * limit. */
uint32_t step_scope_account(const struct work *work, const struct step *step,
                            const struct charge *charge);
/* A limit, by the part of the turn in which its bucket's account and price hold, or its term; the
 * contract, too, when the bucket is the contract's own. */
enum status step_prorated(struct work *work, const struct step *step, struct proration how,
                          const struct charge *charge, struct period turn, struct dec *value);
/* A limit of a version that begins its buckets anew: by the part of the turn that the version has
 * (doc/pricing.md, Versions). */
enum status step_restarted(struct work *work, const struct step *step, const struct charge *charge,
                           struct period turn, struct dec *limit);

/* ---- step_aggregate.c ---- */

/* All rows of the node at once, in their order. */
enum status step_aggregate_run(struct work *work, struct entry *entries, uint32_t count);

/* ---- commitment.c ---- */

/* What most turns of a commitment say alike: a thousand reservations by the hour have 744,000. */
struct commitment_terms {
    struct dec capacity, cost;
    struct dec before; /* used in bills before */
};
/* A turn of a commitment: how much it covers, what is left of it, and what the turn costs.  Used +
 * left = capacity. */
struct commitment_turn {
    bool is_known, is_active;
    bool has_begun;                       /* in a bill before, which has told what it leaves */
    const struct commitment_terms *terms; /* of one that is active */
    struct dec used, left;
};
/* The turns of a clock that a bill touches. */
struct turn_list {
    const struct step *clock;
    struct period *items;
    uint32_t count;
};
/* A commitment of the payer, while its account is the payer's. */
struct held_commitment {
    const struct commitment *commitment;
    const struct offering *offering;
    uint32_t account;
    struct period term, member;
    const struct turn_list *list;
    struct commitment_turn *turns; /* of the list */
    /* The last two that were met: of an upfront fee, turns have two that differ in the last digit.
     */
    const struct commitment_terms *terms[2];
    struct dec units; /* that rows took, in this bill */
};
struct commitments {
    struct held_commitment *items;
    uint32_t count;
    const struct turn_list **lists;
    uint32_t list_count;
    struct effective { /* what a charge costs effectively */
        uint32_t charge, held;
        struct dec value;
    } * effective;
    uint32_t effective_count, effective_capacity;
};
/* Those of the payer that the bill touches. */
void commitments_find(struct work *work);
/* The turns of a clock that some commitment has; NULL. */
const struct turn_list *commitments_list(const struct work *work, const struct step *clock);
/* The place of a turn in the list of a clock; NONE when there is none. */
uint32_t commitments_turn(const struct turn_list *list, instant at);
/* A turn of a commitment, with its numbers. */
enum status commitments_open(struct work *work, struct held_commitment *held, uint32_t turn,
                             struct commitment_turn **out);
/* Units are used: *effective gets what they cost of the turn. */
enum status commitments_use(struct work *work, struct commitment_turn *turn, struct dec units,
                            struct dec *effective);
void commitments_set_effective(struct work *work, const struct held_commitment *held,
                               uint32_t charge, struct dec value);
/* All of it closes: see close.h. */
enum status commitments_close(struct work *work);
/* Fees that fall due in the bill, and what nobody used. */
enum status commitments_charge(struct work *work);
enum status commitments_effective(struct work *work, struct priced *priced);
/* How many turns go on behind the bill, and what was used in them. */
uint32_t commitments_closing(struct work *work, struct bucket_state *states);
enum status commitment_fail(struct work *work, enum status status,
                            const struct commitment *commitment);

/* ---- step_cover.c ---- */

/* All rows of the node at once, in their order. */
enum status step_cover_run(struct work *work, const uint32_t *charges, uint32_t count);

/* ---- step_percent.c ---- */

enum status step_percent_run(struct work *work, const struct step *step, uint32_t charge);
enum status step_formula_run(struct work *work, const struct step *step, uint32_t charge);

/* ---- step_rate.c ---- */

/* What a row costs that 18 digits do not hold, a piece of the curve of its line. */
enum status step_rate_piece(struct work *work, const struct step *step, const struct charge *charge,
                            const struct piece *piece, struct dec *amount);
/* Makes a charge of a row, whose list amount is its price's list rate or the amount itself. */
enum status step_rate_charge(struct work *work, const struct step *step, uint32_t charge,
                             struct dec rate, struct dec amount);
enum status step_rate_run(struct work *work, const struct step *step, uint32_t charge);
/* What a charge would come to at the list rate of its price, behind the step that it is at; false
 * when the price has none. */
enum status step_list(struct work *work, const struct charge *charge, bool *has_list,
                      struct dec *list);
/* What a unit of it costs at that rate, or at the one that it is charged at, its first where there
 * are tiers, whatever its public one is. */
enum status step_list_rate(struct work *work, const struct charge *charge, bool is_own,
                           bool *has_rate, struct dec *rate);
/* Whether the list rate of a price, and its own too, is the same at all times. */
bool step_list_is_steady(const struct price *price, uint32_t step, bool and_own);
enum status step_graduated_run(struct work *work, const struct step *step, uint32_t charge);
/* True of tiers whose total is known when all rows are. */
bool step_is_whole(const struct step *step);
/* All charges of the node at once. */
enum status step_whole_run(struct work *work, struct entry *entries, uint32_t count);
/* The numbers of tiers for a bucket. */
enum status step_tier_numbers(struct work *work, const struct step *step,
                              const struct step_tier *body, const struct charge *charge,
                              struct period turn, const struct tier_values **values);
/* F of what a bucket has accumulated. */
enum status step_whole_value(struct work *work, const struct step *step,
                             const struct charge *charge, struct bucket *bucket, uint32_t *tier,
                             struct dec *y);

/* ---- charge_curve.c ---- */

/* True of a step that is settled when all charges of its bucket are known. */
bool step_settles(const struct step *step);
/* True of one that owes something as its turn ends, whether or not a charge came in the bill. */
bool step_waits(const struct step *step);

/* ---- step_charge.c ---- */

/* All charges that come to a step over charges, in their order: what it adds are charges of its
 * own. */
enum status step_charge_run(struct work *work, struct entry *entries, uint32_t count);
/* What a discount with these numbers saves on a charge, whose base is that, in a bucket that has
 * come to so much before it; less than nothing of a markup. */
struct charge_values;
enum status step_charge_saving(struct work *work, const struct step *step, uint32_t index,
                               const struct charge_values *values, struct dec before,
                               struct dec base, struct dec *saving);
/* True of a charge whose bucket as a whole comes to something, or will as its turn ends. */
bool step_charge_takes_whole(const struct work *work, const struct entry *entry);
/* What a step takes of a charge, which it sees as `asks`: its net, what it came to before all
 * terms, or the step's own measure. */
enum status step_base(struct work *work, const struct step *step, uint32_t charge,
                      const struct charge *asks, struct dec *base);
/* Makes of `charge`, one on a bucket's scope, what a step that is settled owes in that state of the
 * bucket, by numbers that are those of `asking`.  f is what x comes to by the step's curve. */
enum status step_charge_due(struct work *work, const struct step *step,
                            const struct bucket_state *state, const struct charge *asking,
                            struct charge *charge, struct dec *f);
/* Of a trace: what a step that settles a bucket came to before, or what x it is held against. */
enum status step_charge_f_before(const struct step *step, const struct bucket_state *state,
                                 struct dec *f, struct error *err);
/* What a commit's turn before left beyond its promise, as far as it counts in this one. */
enum status step_commit_rolled(struct work *work, const struct step *step,
                               const struct charge *charge, struct period turn, struct dec *rolled);

/* What any such step does with a charge.  It sees it under the contract that is in force, which its
 * own keys need not name (a fee of the catalog); *copy is room for that. */
const struct charge *step_charge_seen(const struct work *work, uint32_t charge,
                                      struct charge *copy);
/* Its bucket, with the step's numbers; x moves on by `in`. */
enum status step_charge_enter(struct work *work, struct entry *entry, struct dec in);
/* Adjusts it: a charge of its own, which names it, unless it is of nothing. */
enum status step_charge_adjust(struct work *work, const struct step *step, uint32_t charge,
                               enum charge_kind kind, struct dec amount);
/* What an expression says of it; *truth stays when there is none. */
enum status charge_is_true(struct work *work, const struct step *step, const struct expr *expr,
                           const struct charge *charge, bool *truth);

/* What a grant pays of a charge: an adjustment, which moves its net. */
enum status step_pay_charge(struct work *work, const struct step *step, uint32_t charge,
                            const struct text *grant, struct dec part);
/* Reckons what rolled over into the bucket of a charge, before anything else enters it. */
enum status step_commit_enter(struct work *work, const struct step *step,
                              const struct charge *charge, bool *is_bought);
/* What a prepaid commit comes to in the turn of a bucket, of which `like` is a charge. */
enum status step_commit_promise(struct work *work, const struct step *step,
                                const struct charge *like, struct period turn, struct dec *promise);

/* ---- step_allocate.c ---- */

/* A charge enters with its weight, by which it has a share of what others, or itself, give away. */
enum status step_allocate_enter(struct work *work, struct entry *entry);
/* Shares what is given in a bucket, when all have. */
enum status step_allocate_settle(struct work *work, uint32_t bucket);

/* ---- wallet.c ---- */

/* Makes the wallet of a charge on its scope, so that what comes into it is bought. */
enum status credit_open(struct work *work, const struct step *step, const struct charge *like);
/* The same of all accounts that have prices with grants that are bought. */
enum status credit_open_prices(struct work *work);
/* Tells the history of wallets to the end of the bill: from the first-th on that was made. */
enum status credit_finish(struct work *work, uint32_t first);

/* ---- step_credit.c ---- */

/* Whose grants a charge meets: with `share: own_first` over a whole period, all charges meet their
 * accounts' own before any meets those of others. */
enum credit_pass { CREDIT_ALL, CREDIT_OWN };
/* Grants pay what is left of a charge, which they see as `asks`; of a row, its units. */
enum status step_credit_run(struct work *work, const struct step *step, uint32_t charge,
                            const struct charge *asks, enum credit_pass pass);
enum status step_credit_units(struct work *work, const struct step *step, uint32_t charge);
/* True of the kinds that a credit pays. */
bool credit_is_meant(const struct step_credit *body, enum charge_kind kind);
/* Makes of the charges that a credit takes those in the order of its targets, or from the largest
 * on: each with the taxes on it behind it when these are paid too; all of them twice, for the
 * grants of each account first, where accounts share over a period. */
enum status credit_entries(struct work *work, struct entry **entries, uint32_t *count);

/* ---- currency.c ---- */

/* Amounts of prices in another currency than the bill's become amounts in that; once, when all
 * prices have run and no term has. */
enum status currency_convert(struct work *work);
/* Those of a step that says no digits: of the currency that it works in. */
static inline int step_digits(const struct work *work, int digits, const struct price *price)
{
    return digits != DIGITS_OF_CURRENCY ? digits
           : work->term                 ? work->currency->digits
           : price->takes_money         ? work->pricing->source_currency->digits
                                        : price_currency(work->catalog, price)->digits;
}

/* ---- terms.c ---- */

/* All terms of the payer over all its charges. */
enum status terms_run(struct work *work);

/* ---- term_bases.c ---- */

/* The total order of charges that adjust nothing. */
int charge_compare(const struct work *work, uint32_t a, uint32_t b);

/* ---- term_time.c ---- */

/* The contract of an account while it was this payer's, at an instant or last before it. */
static inline const struct contract *work_contract(const struct work *work, uint32_t account,
                                                   instant at)
{
    return accounts_contract_under(work->pricing->accounts, work->catalog, account,
                                   work->pricing->payer, at);
}
/* The contract by which a term is computed that is due then for an account: the one in force,
 * unless that has no such term; else that of its last charge.  Of a contract's own, always that. */
const struct contract *term_contract_due(const struct work *work, const struct step *step,
                                         uint32_t account, const struct contract *last,
                                         instant due);
/* The contract in force for a charge, as terms see it. */
const struct contract *term_contract(const struct work *work, const struct charge *charge);
/* The plan of an account under a contract; NULL: under none. */
uint32_t term_plan_of(const struct work *work, uint32_t account, const struct contract *contract);
bool term_is_in_force(const struct work *work, const struct term *term, uint32_t account,
                      instant at);
/* From the first instant of a span in which the term is in force for the account, under that
 * contract (NULL: none) if `own` points to one, to the last; empty at its end: never. */
struct period term_in_force(const struct work *work, const struct term *term,
                            const struct contract *const *own, uint32_t account,
                            struct period span);
/* Whether the term that runs applies to an account at an instant. */
bool term_holds(const struct work *work, uint32_t account, instant at);
/* When what waits in a bucket of the term that runs is due. */
instant term_due(struct work *work, const struct step *step, const struct contract *contract,
                 uint32_t account, struct period turn);
/* A charge of the term on a bucket's scope. */
struct charge term_charge(const struct work *work, const struct step *step, uint32_t account,
                          const struct contract *contract, struct period turn, instant due,
                          instant row_at);

/* ---- turn_end.c ---- */

/* When what waits for the end of a bucket's turn is due: as the turn ends, or before that the
 * contract or plan of a contract to which the bucket belongs. */
instant turn_end_due(const struct work *work, const struct step *step, const struct price *price,
                     const struct contract *contract, uint32_t account, struct period turn);
/* True of a private step of a plan's price. */
bool turn_end_is_of_plan(const struct work *work, const struct step *step);
/* A step where the rows of several prices meet in one bucket; on the clock of rows, none do. */
bool turn_end_is_pooled(const struct step *step);
/* True of a private step of the contract's own price. */
bool turn_end_is_of_contract(const struct work *work, const struct step *step,
                             const struct price *price, const struct contract *contract);
/* The step that settles a bucket then, and its price: of the version in force as it is due, else of
 * the last that was; for a shared step, of the first price that passes it. */
const struct step *turn_end_step(const struct work *work, const struct step *step, instant due,
                                 const struct price **price);
/* A charge on a bucket's scope, of no row: of the last instant of its turn that is in this bill.
 * The step is behind it; like is a charge of the bucket. */
struct charge turn_end_charge(const struct work *work, const struct bucket *bucket,
                              const struct step *step, const struct price *price, instant due,
                              const struct charge *like);
/* Opening states that are due in this bill are settled node by node, when all charges have passed
 * the node: those that nothing entered. */
void turn_end_prepare(struct work *work);
uint32_t turn_end_node(const struct work *work); /* the next; NONE */
enum status turn_end_settle(struct work *work, uint32_t node);

/* ---- source.c ---- */

/* Of a view by source: its rows are what the source charges. */
enum status source_start(struct work *work);

/* ---- fixed.c ---- */

/* When next it may change which prices and terms an account has: as a version, a contract or a
 * membership does, or a price of its own, which hides those behind it while it is in force. */
instant work_edge_after(const struct work *work, uint32_t account, instant at);
/* Emits the charges of all fixed prices of the payer's accounts that fall due in the cut. */
enum status fixed_emit(struct work *work);
/* What a part of a turn is measured against: all of that as its clock counts it, also where billing
 * changes inside of it; a first part-turn, if so said, one turn counted back from its end. */
struct period fixed_measure(bool stub_back, const struct clock *clock, struct period part,
                            instant turn_from, struct period whole);
/* Whether an account pays a fixed price at an instant: then under which contract, on which level.
 */
bool fixed_is_paid(const struct work *work, const struct price *price, uint32_t account, instant at,
                   const struct contract **contract, int *level);

#endif
