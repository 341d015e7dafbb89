/* step_credit.c - credits: charges, or units before the rating step, take what is left of grants.
 *
 * Whose wallets a charge meets, in which order, what of each it takes, and what is refilled for it;
 * what a wallet has at an instant is its own (wallet.h).
 */
#include "price/wallet.h"

#include "base/nofloat.h"

/* ---- taking ---------------------------------------------------------------------------------- */

/* Units or money that a charge wants of wallets, and how a part of it is given. */
struct wish {
    const struct step *step;
    const struct charge *asks; /* as its own wallet sees it */
    uint32_t index;            /* of the charge */
    struct dec left;
    enum status (*give)(struct work *work, const struct wish *wish, const struct text *grant,
                        struct dec part);
};

static enum status fits(struct work *work, const struct grant *grant, const struct charge *charge,
                        bool *does)
{
    *does = true;
    if (grant->where) {
        struct expr_value value;
        struct period turn = {charge->at, charge->at};
        TRY(charge_eval(work, grant->where, charge, turn, &value));
        *does = value.truth;
    }
    return OK;
}

/* From one bucket of a wallet. */
static enum status take_bucket(struct work *work, struct wish *wish, uint32_t at,
                               const struct text *name, struct dec whole)
{
    struct bucket *bucket = &work->buckets[at];
    struct dec before = bucket->x, part = dec_min(before, wish->left);
    if (dec_sign(part) <= 0) {
        return OK;
    }
    TRY(dec_subtract(before, part, &bucket->x, work->err));
    TRY(dec_subtract(wish->left, part, &wish->left, work->err));
    work_trace_step(work, wish->index, bucket,
                    (struct trace){.step = wish->step,
                                   .before = before,
                                   .after = bucket->x,
                                   .f_after = part,
                                   .limit = whole,
                                   .grant = name,
                                   .tier = NONE});
    return wish->give(work, wish, name, part);
}

/* The name of a grant on the line of another account: whose it is, and which. */
static const struct text *lent_name(struct work *work, const struct wallet *wallet,
                                    const struct grant *grant, struct grant_state *state)
{
    if (state->lent.size == 0) {
        const struct bucket *bucket = &work->buckets[wallet->overage];
        struct text owner = work->pricing->accounts->items[bucket->account].id;
        state->lent = text_format(work->arena, "%.*s/%.*s", TEXT_ARG(owner), TEXT_ARG(grant->id));
    }
    return &state->lent;
}

static enum status take_grant(struct work *work, struct wish *wish, const struct wallet *wallet,
                              struct grant_state *state, bool is_own)
{
    const struct grant *grant = &wish->step->credit.grants[state->place];
    bool does = false;
    if (dec_sign(wish->left) > 0 && dec_sign(work->buckets[state->bucket].x) > 0) {
        TRY(fits(work, grant, wish->asks, &does));
    }
    return does ? take_bucket(work, wish, state->bucket,
                              is_own ? &grant->id : lent_name(work, wallet, grant, state),
                              grant->amount)
                : OK;
}

/* What a wallet has of the grant in a place; NULL: it is another account's. */
static struct grant_state *find_held(const struct wallet *wallet, uint32_t place)
{
    uint32_t low = 0, high = wallet->held;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (wallet->grants[middle].place < place) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_held = low < wallet->held && wallet->grants[low].place == place;
    return is_held ? &wallet->grants[low] : NULL;
}

/* The wallet of another account at the time of the charge: of a term that is in force for it, or of
 * a price that it has. */
static enum status find_other(struct work *work, const struct wish *wish, uint32_t account,
                              struct wallet **found)
{
    const struct pricing *pricing = work->pricing;
    struct charge other = *wish->asks;
    *found = NULL;
    other.account = account;
    if (work->term) {
        if (!term_holds(work, account, other.at)) {
            return OK;
        }
        other.contract = accounts_contract(pricing->accounts, work->catalog, account, other.at);
    } else {
        const struct account *owner = &pricing->accounts->items[account];
        const struct price *price = NULL;
        if (other.series != NONE) {
            const struct series *series = charge_series(pricing, &other);
            struct dimension_values dimensions = {&work->catalog->meters[series->meter],
                                                  series->dimensions};
            other.contract = accounts_contract(pricing->accounts, work->catalog, account, other.at);
            price = catalog_price(
                work->catalog,
                owner->override == NONE ? NULL
                                        : &pricing->accounts->overrides[owner->override].prices,
                other.contract, owner->plan, other.sku, &dimensions, other.at, NULL);
        } else { /* a fee or a fixed amount: whoever has the price for its usage */
            uint32_t sku = other.price->skus ? other.price->skus[0] : other.sku;
            price = sku == NONE ? NULL
                                : wallet_price(work, other.price, sku, account, other.at,
                                               &other.contract, &(int){0});
        }
        bool has = false;
        for (uint32_t i = 0; price && i < price->step_count; i++) {
            has = has || price->steps[i].node == wish->step->node;
        }
        if (!has || other.at < owner->since) {
            return OK;
        }
        other.price = price;
    }
    TRY(wallet_find(work, wish->step, &other, found));
    TRY(wallet_follow(work, *found, wish->step, &other));
    return wallet_advance(work, *found, other.at);
}

/* Which members of the payer may have something left in the wallet of a term: charges do not ask
 * those again that have nothing until something comes. */
struct lenders {
    const struct step *step;
    uint32_t *next; /* behind a member, from the head at member_count on; NONE: the last */
    bool *is_left_out;
    /* Of each grant that is one account's, the first and the end of its spans in pricing->members;
     * where grants are asked one by one. */
    struct {
        uint32_t from, to;
    } * members;
    instant wake; /* when the first of those that were left out may have something */
};

/* When the payer has an account of an id. */
static struct member_spans members_of(const struct work *work, struct text id)
{
    const struct pricing *pricing = work->pricing;
    const uint32_t view = accounts_view(pricing->accounts, pricing->payer);
    uint32_t account = accounts_find(pricing->accounts, view, id);
    return account == MAP_NONE ? (struct member_spans){pricing->members, 0}
                               : pricing_members(pricing, account);
}

static void place_lenders(struct work *work, const struct step_credit *body,
                          struct lenders *lenders)
{
    lenders->members = arena_calloc(work->arena, body->grant_count + 1, sizeof *lenders->members);
    for (uint32_t i = body->common_count; i < body->grant_count; i++) {
        const uint32_t place = body->places[i];
        struct member_spans spans = members_of(work, body->grants[place].account);
        lenders->members[place].from = (uint32_t)(spans.items - work->pricing->members);
        lenders->members[place].to = lenders->members[place].from + spans.count;
    }
}

/* Everyone, where an account has one wallet of the step, whatever asks for it. */
static void find_lenders(struct work *work, const struct step *step, instant at,
                         struct lenders **found)
{
    const uint32_t count = work->pricing->member_count;
    struct lenders *lenders = work->lenders;
    bool is_known = lenders && lenders->step == step;
    if (!is_known) {
        lenders = arena_calloc(work->arena, 1, sizeof *lenders);
        lenders->next = arena_alloc(work->arena, (count + 1) * sizeof *lenders->next);
        lenders->is_left_out = arena_alloc(work->arena, count + 1);
        lenders->step = step;
        if (step->credit.share == SHARE_ALL) {
            place_lenders(work, &step->credit, lenders);
        }
        work->lenders = lenders;
    }
    if (!is_known || at >= lenders->wake) {
        for (uint32_t m = 0; m <= count; m++) {
            lenders->next[m] = m + 1 < count ? m + 1 : NONE;
        }
        lenders->next[count] = count > 0 ? 0 : NONE;
        memset(lenders->is_left_out, 0, count + 1);
        lenders->wake = INSTANT_MAX;
    }
    *found = lenders;
}

/* True of a wallet that has nothing until something happens to it; *at gets when. */
static bool is_spent(const struct work *work, const struct wallet *wallet, instant *at)
{
    const struct step_credit *body = &wallet->step->credit;
    *at = INSTANT_MAX;
    for (uint32_t i = 0; i < body->reset_count; i++) {
        if (body->resets[i] > wallet->now && body->resets[i] < *at) {
            *at = body->resets[i];
        }
    }
    bool is_spent = true;
    for (uint32_t i = 0; i < wallet->held; i++) {
        const struct grant_state *state = &wallet->grants[i];
        instant next;
        (void)wallet_next(wallet_grant(wallet, state), state, INSTANT_MIN, &next);
        *at = next < *at ? next : *at;
        is_spent = is_spent && dec_sign(work->buckets[state->bucket].x) <= 0;
    }
    return is_spent;
}

/* From the wallet of one of them, if its account is the payer's then: `of` is the place of a grant,
 * NONE: all that there are. */
static enum status take_of_other(struct work *work, struct wish *wish,
                                 const struct member_span *member, uint32_t of,
                                 struct wallet **found)
{
    const bool goes_along = credit_goes_along(wish->step);
    *found = NULL;
    if (member->account == wish->asks->account ||
        !period_has(member->span, goes_along ? wallet_turn_start(work) : wish->asks->at)) {
        return OK;
    }
    TRY(find_other(work, wish, member->account, found));
    const struct wallet *wallet = *found;
    if (wallet && of != NONE) {
        struct grant_state *held = find_held(wallet, of);
        return held ? take_grant(work, wish, wallet, held, false) : OK;
    }
    for (uint32_t i = 0; wallet && i < wallet->held; i++) {
        TRY(take_grant(work, wish, wallet, &wallet->grants[i], false));
    }
    return OK;
}

static bool has_lenders(const struct work *work, const struct step *step)
{
    return work->term && step->scope == SCOPE_ACCOUNT && step->by_count == 1;
}

/* A grant that is one account's: nobody else has any of it. */
static enum status take_of_owner(struct work *work, struct wish *wish, uint32_t of)
{
    const struct pricing *pricing = work->pricing;
    struct lenders *lenders = NULL;
    uint32_t from, to;
    if (has_lenders(work, wish->step)) {
        find_lenders(work, wish->step, wish->asks->at, &lenders);
        from = lenders->members[of].from;
        to = lenders->members[of].to;
    } else {
        struct member_spans spans = members_of(work, wish->step->credit.grants[of].account);
        from = (uint32_t)(spans.items - pricing->members);
        to = from + spans.count;
    }
    for (uint32_t m = from; m < to; m++) {
        struct wallet *wallet;
        if (!lenders || !lenders->is_left_out[m]) {
            TRY(take_of_other(work, wish, &pricing->members[m], of, &wallet));
        }
    }
    return OK;
}

/* The other accounts of the payer at that time, in the order of their ids: `of` is the place of the
 * grant, NONE: all of them, account by account. */
static enum status take_of_others(struct work *work, struct wish *wish, uint32_t of)
{
    const struct pricing *pricing = work->pricing;
    const struct step *step = wish->step;
    const bool has_one = has_lenders(work, step);
    struct lenders *lenders = NULL;
    if (has_one) {
        find_lenders(work, step, wish->asks->at, &lenders);
    }
    uint32_t before = pricing->member_count, m = has_one ? lenders->next[before] : 0, next;
    for (; m < pricing->member_count && dec_sign(wish->left) > 0; m = next) {
        next = has_one ? lenders->next[m] : m + 1;
        struct wallet *wallet;
        TRY(take_of_other(work, wish, &pricing->members[m], of, &wallet));
        instant wake;
        if (has_one && wallet && is_spent(work, wallet, &wake)) {
            lenders->next[before] = next;
            lenders->is_left_out[m] = true;
            lenders->wake = wake < lenders->wake ? wake : lenders->wake;
        } else {
            before = m;
        }
    }
    return OK;
}

/* Grant by grant, of each the account's own and then the others'.  The first asks all of them, so
 * that all have a wallet then; of those behind it that are one account's, that account alone. */
static enum status take_of_all(struct work *work, struct wish *wish, const struct wallet *own)
{
    const struct step_credit *body = &wish->step->credit;
    bool is_first = true;
    for (uint32_t i = 0, at = 0; i < body->grant_count && dec_sign(wish->left) > 0; i++) {
        if (own && at < own->held && own->grants[at].place == i) {
            TRY(take_grant(work, wish, own, &own->grants[at++], true));
        }
        if (dec_sign(wish->left) > 0) {
            bool is_one = !is_first && body->grants[i].account.size > 0;
            TRY(is_one ? take_of_owner(work, wish, i) : take_of_others(work, wish, i));
            is_first = false;
        }
    }
    return OK;
}

/* Refills the wallet as soon as less than the threshold is left of what is for all charges. */
static enum status top_up(struct work *work, const struct wish *wish, struct wallet *wallet)
{
    const struct step_credit *body = &wish->step->credit;
    struct dec balance = work->buckets[wallet->top_up].x, lacks, count, more;
    for (uint32_t i = 0; i < wallet->held; i++) {
        const struct grant_state *state = &wallet->grants[i];
        if (!wallet_grant(wallet, state)->where) {
            TRY(dec_add(balance, work->buckets[state->bucket].x, &balance, work->err));
        }
    }
    TRY(dec_subtract(balance, wish->left, &balance, work->err));
    TRY(dec_subtract(body->below, balance, &lacks, work->err));
    if (dec_sign(lacks) <= 0) {
        return OK;
    }
    TRY(dec_divide(lacks, body->top_up, 0, ROUND_CEILING, &count, work->err));
    TRY(dec_multiply_round(count, body->top_up, DEC_SCALE, ROUND_HALF_EVEN, &more, work->err));
    struct dec *left = &work->buckets[wallet->top_up].x;
    TRY(dec_add(*left, more, left, work->err));
    return wallet_buy(work, wallet, &work->buckets[wallet->top_up], &WALLET_TOP_UP, wish->asks->at,
                      count, body->top_up_cost);
}

static enum status take(struct work *work, struct wish *wish, enum credit_pass pass)
{
    const struct step_credit *body = &wish->step->credit;
    const bool is_shared = body->share != SHARE_NONE && pass != CREDIT_OWN;
    struct wallet *wallet;
    const bool has_own = wallet_is_with_payer(work, wish->step, wish->asks->account);
    if (dec_sign(wish->left) <= 0) {
        return OK;
    }
    if (has_own) {
        TRY(wallet_find(work, wish->step, wish->asks, &wallet));
        TRY(wallet_follow(work, wallet, wish->step, wish->asks));
        TRY(wallet_advance(work, wallet, wish->asks->at));
    }
    if (is_shared && body->share == SHARE_ALL) {
        TRY(take_of_all(work, wish, has_own ? wallet : NULL));
    } else {
        for (uint32_t i = 0; has_own && i < wallet->held; i++) {
            TRY(take_grant(work, wish, wallet, &wallet->grants[i], true));
        }
        TRY(is_shared ? take_of_others(work, wish, NONE) : OK);
    }
    if (pass == CREDIT_OWN || !has_own) {
        return OK;
    }
    if (body->has_top_up) {
        TRY(top_up(work, wish, wallet)); /* before it is taken from: a row is once on a line */
        TRY(take_bucket(work, wish, wallet->top_up, &WALLET_TOP_UP, body->top_up));
    }
    if (dec_sign(wish->left) > 0 && body->carries_overage) {
        struct bucket *bucket = &work->buckets[wallet->overage];
        struct dec before = bucket->x;
        TRY(dec_add(before, wish->left, &bucket->x, work->err));
        work_trace_step(work, wish->index, bucket,
                        (struct trace){.step = wish->step,
                                       .before = before,
                                       .after = bucket->x,
                                       .f_after = wish->left,
                                       .grant = &WALLET_OVERAGE,
                                       .tier = NONE});
        TRY(wish->give(work, wish, &WALLET_OVERAGE, wish->left));
    }
    return OK;
}

static enum status give_money(struct work *work, const struct wish *wish, const struct text *grant,
                              struct dec part)
{
    return step_pay_charge(work, wish->step, wish->index, grant, part);
}

enum status step_credit_run(struct work *work, const struct step *step, uint32_t index,
                            const struct charge *asks, enum credit_pass pass)
{
    struct charge copy = *asks;
    struct wish wish = {step, &copy, index, work->charges[index].net, give_money};
    return take(work, &wish, pass);
}

/* Units: the covered part is a charge of rate 0. */
static enum status give_units(struct work *work, const struct wish *wish, const struct text *grant,
                              struct dec part)
{
    struct charge covered = work->charges[wish->index];
    TRY(work_take_of_row(work, &covered, part));
    covered.kind = CHARGE_CREDIT;
    covered.quantity = part;
    covered.rate = covered.amount = covered.net = covered.list = DEC_ZERO;
    covered.has_amount = covered.has_rate = true;
    covered.step = wish->step;
    covered.grant = grant;
    struct charge *left = &work->charges[wish->index];
    TRY(dec_subtract(left->quantity, part, &left->quantity, work->err));
    if (dec_is_zero(left->quantity)) {
        left->events = 0;
    } else {
        covered.events = 0; /* they are with what is left, or with the last part */
    }
    uint32_t made = work_add_charge(work, &covered);
    work_pass_on(work, made);
    return OK;
}

enum status step_credit_units(struct work *work, const struct step *step, uint32_t index)
{
    struct charge asks = work->charges[index];
    bool had = !dec_is_zero(asks.quantity);
    struct wish wish = {step, &asks, index, asks.quantity, give_units};
    TRY(take(work, &wish, CREDIT_ALL));
    struct charge *left = &work->charges[index];
    if (had && dec_is_zero(left->quantity)) {
        left->next_step = left->price->step_count; /* nothing of it goes on */
        return OK;
    }
    work_pass_on(work, index);
    return OK;
}

/* ---- which charges, in which order ----------------------------------------------------------- */

bool credit_is_meant(const struct step_credit *body, enum charge_kind kind)
{
    const char *name = charge_kind_name(kind);
    for (int i = 0; body->kinds != 0 && credit_kinds[i] != NULL; i++) {
        if (strcmp(credit_kinds[i], name) == 0) {
            return (body->kinds >> i & 1) != 0;
        }
    }
    return body->kinds == 0;
}

static bool pays_tax(const struct step_credit *body)
{
    bool pays = false;
    for (int i = 0; credit_kinds[i] != NULL; i++) {
        pays = pays || ((body->kinds >> i & 1) && strcmp(credit_kinds[i], "tax") == 0);
    }
    return pays;
}

enum status credit_entries(struct work *work, struct entry **of_step, uint32_t *count)
{
    struct entry *entries = *of_step;
    const struct step *step = entries[0].step;
    const struct step_credit *body = &step->credit;
    if (body->is_largest_first) { /* where wallets are shared, of all charges that meet them */
        uint32_t *wallets = arena_calloc(work->arena, *count + 1, sizeof *wallets);
        for (uint32_t i = 0; i < *count && body->share == SHARE_NONE; i++) {
            const struct charge *charge = &work->charges[entries[i].charge];
            wallets[i] = NONE; /* its wallet is another payer's: nothing is opened, nothing taken */
            if (wallet_is_with_payer(work, entries[i].step, charge->account)) {
                TRY(wallet_bucket(work, entries[i].step, charge, WALLET_OVERAGE, &wallets[i]));
            }
        }
        TRY(order_largest(work, step, entries, wallets, *count));
    }
    uint32_t *taxes = NULL, *next = NULL; /* of each charge, the first and the ones behind */
    uint32_t tax_count = 0, made = 0;
    if (pays_tax(body)) {
        taxes = arena_alloc(work->arena, (work->charge_count + 1) * sizeof *taxes);
        next = arena_alloc(work->arena, (work->charge_count + 1) * sizeof *next);
        memset(taxes, 0xFF, work->charge_count * sizeof *taxes);
        for (uint32_t i = work->charge_count; i-- > 0;) {
            const struct charge *charge = &work->charges[i];
            if (charge->kind == CHARGE_TAX) {
                next[i] = taxes[charge->of];
                taxes[charge->of] = i;
                tax_count++;
            }
        }
    }
    const uint32_t passes = body->is_of_period && body->share == SHARE_OWN_FIRST ? 2 : 1;
    const uint32_t most = passes * (*count + tax_count) + 1;
    struct entry *out = arena_alloc(work->arena, most * sizeof *out);
    for (uint32_t target = 0; target <= body->target_count; target++) {
        for (uint32_t i = 0; i < *count; i++) {
            uint32_t base = entries[i].charge;
            if (order_target(work, step, &work->charges[base]) != target) {
                continue;
            }
            out[made++] = entries[i];
            for (uint32_t tax = taxes ? taxes[base] : NONE; tax != NONE; tax = next[tax]) {
                out[made++] = (struct entry){.charge = tax, .step = entries[i].step};
            }
        }
    }
    if (passes > 1) {
        memcpy(out + made, out, made * sizeof *out);
        for (uint32_t i = 0; i < made; i++) {
            out[i].is_first = true;
        }
        made *= 2;
    }
    *count = made;
    *of_step = out;
    return OK;
}
