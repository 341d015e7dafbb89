/* wallet.h - what a wallet has, when, and what is bought for it.  Private to this room.
 *
 * A wallet is one scope's grants of a step, in the order in which they are used.  Its balance is a
 * fold over its history: grants begin, recur and end, resets come, and charges (or units, before
 * the rating step) take what they need (step_credit.c), all in the order of time.  Each grant has a
 * bucket that lives as long as the wallet: x is what is left of it, `events` the instant up to
 * which its history is told, so that bill follows bill.  A bucket called "overage" holds what was
 * taken beyond all grants, where that is carried: what comes in repays it first.  Another called
 * "top_up" is refilled, for a fee, as soon as a charge leaves less than a threshold: the wallet is
 * a curve over what is taken, so that charges may come in parts.
 *
 * A grant that is bought is a fee as it is granted, owed whether or not anything is used: so the
 * wallets of all who could have one are opened before charges come (credit_open).
 */
#ifndef FARTHING_PRICE_WALLET_H
#define FARTHING_PRICE_WALLET_H

#include "price/work.h"

/* The names of its buckets beside those of grants. */
extern const struct text WALLET_OVERAGE, WALLET_TOP_UP;

struct grant_state {
    uint32_t place; /* in step->credit.grants */
    uint32_t bucket;
    instant now;    /* its history is told up to here */
    instant bought; /* last; a version may come again, with a charge that it makes as a turn ends */
    bool has_begun, has_ended;
    bool is_gone;     /* it lives on, but has ended in a version before: nothing of it is here */
    struct text lent; /* its name for other accounts; made when one uses it */
};

struct wallet {
    const struct step *step;
    const struct price *price; /* whose step it is: the version of now */
    struct charge like;        /* the charge by which it was found */
    instant now;
    bool is_of_price;         /* and not of a term, which has no versions */
    uint32_t overage, top_up; /* buckets; what is not carried or refilled stays empty */
    /* Those of step->credit.grants that are in it, in their order: `held`; then those of versions
     * before. */
    struct grant_state *grants;
    uint32_t held, grant_count;
};

/* The grant that one of the `held` is. */
static inline const struct grant *wallet_grant(const struct wallet *wallet,
                                               const struct grant_state *state)
{
    return &wallet->step->credit.grants[state->place];
}

/* The turn of the bill. */
instant wallet_turn_start(const struct work *work);
/* True where an account's wallet of the step is this payer's: of some steps, who had the account as
 * the turn began. */
bool wallet_is_with_payer(const struct work *work, const struct step *step, uint32_t account);

/* The wallet that a charge comes to; made by the first. */
enum status wallet_find(struct work *work, const struct step *step, const struct charge *charge,
                        struct wallet **found);
/* The bucket of what a wallet calls `id`, for a charge. */
enum status wallet_bucket(struct work *work, const struct step *step, const struct charge *charge,
                          struct text id, uint32_t *bucket);
/* Makes it the wallet of the version whose step a charge comes to. */
enum status wallet_follow(struct work *work, struct wallet *wallet, const struct step *step,
                          const struct charge *charge);
/* Tells its history up to an instant. */
enum status wallet_advance(struct work *work, struct wallet *wallet, instant until);

/* What happens to a wallet, in the order in which it does at one instant. */
enum moment { ENDS, RESETS, RECURS, BEGINS, NOTHING };

/* What happens next to a grant, and when.  Of a grant where nothing rolls over, turns that end
 * before `matters` are passed over. */
enum moment wallet_next(const struct grant *grant, const struct grant_state *state, instant matters,
                        instant *at);
/* The fee for what comes into a bucket of the wallet, so many times. */
enum status wallet_buy(struct work *work, const struct wallet *wallet, const struct bucket *bucket,
                       const struct text *grant, instant at, struct dec count, struct dec cost);
/* The price that an account's rows of a SKU have at an instant, of the values that a price wants,
 * and by which contract; NULL: none. */
const struct price *wallet_price(struct work *work, const struct price *price, uint32_t sku,
                                 uint32_t account, instant at, const struct contract **contract,
                                 int *level);

#endif
