/* wallets.c - see wallets.h. */
#include "engine/load.h"
#include "engine/wallets.h"

#include <stdlib.h>

/* A wallet's bucket that is handed to a payer as a cut of another one ends. */
struct moved_state {
    uint32_t next; /* of the payer's; NONE */
    uint32_t from; /* whose it was */
    instant at;
    bool is_lost; /* and could not be billed: what is left is not known */
    struct bucket_state state;
};

/* A gauge's state that is handed to a payer as a cut of another one ends. */
struct moved_gauge {
    uint32_t next; /* of the payer's; NONE */
    uint32_t from; /* whose it was */
    instant at;
    bool is_lost; /* and could not be billed */
    struct meter_state state;
};

/* ---- whose wallets move ---------------------------------------------------------------------- */

/* Whether the payer has an account as one of its turns of this run begins. */
static bool begins_with(const struct run *run, uint32_t payer, uint32_t account)
{
    const struct billing_of billing = run_billing(run, payer);
    bool begins = false;
    for (uint32_t i = run->cut_first[payer]; i < run->cut_first[payer + 1]; i++) {
        instant from = billing_turn(&billing, run->cuts[i].from).from;
        begins = begins || accounts_payer(run->accounts, account, from) == payer;
    }
    return begins;
}

static bool begin_together(const struct run *run, uint32_t a, uint32_t b)
{
    uint32_t first = run->cut_first[a], other = run->cut_first[b];
    uint32_t count = run->cut_first[a + 1] - first;
    bool are_same = count == run->cut_first[b + 1] - other;
    for (uint32_t i = 0; are_same && i < count; i++) {
        are_same = run->cuts[first + i].from == run->cuts[other + i].from;
    }
    return are_same;
}

static void warn_of_turns(struct run *run, uint32_t account, uint32_t a, uint32_t b)
{
    const struct account *items = run->accounts->items;
    run_warn(run,
             "account %.*s is with %.*s and with %.*s as turns of this run begin, which do not "
             "begin together: a credit that goes along with it (settings_at: turn_start) waits for "
             "the next turn, and may be there for both",
             TEXT_ARG(items[account].id), TEXT_ARG(items[a].id), TEXT_ARG(items[b].id));
}

static void open_moves(struct run *run)
{
    const struct accounts *accounts = run->accounts;
    if (!run->moves.is_party) {
        run->moves.is_party =
            arena_calloc(&run->arena, accounts->count + 1u, sizeof *run->moves.is_party);
        run->moves.is_wallet_party =
            arena_calloc(&run->arena, accounts->count + 1u, sizeof *run->moves.is_wallet_party);
        run->moves.accounts =
            arena_calloc(&run->arena, accounts->own_count + 1u, sizeof *run->moves.accounts);
    }
}

static void add_move(struct run *run, uint32_t a, uint32_t b)
{
    open_moves(run);
    run->moves.is_party[a] = run->moves.is_party[b] = true;
    run->moves.is_wallet_party[a] = run->moves.is_wallet_party[b] = true;
}

/* A greatest or least value that goes on from turn to turn. */
static bool goes_on(const struct meter *meter)
{
    return meter->carry && (meter->aggregate == AGGREGATE_MAX || meter->aggregate == AGGREGATE_MIN);
}

static bool has_gauges(const struct run *run)
{
    bool has = false;
    for (uint32_t i = 0; i < run->catalog->meter_count && !has; i++) {
        has = goes_on(&run->catalog->meters[i]);
    }
    return has;
}

/* The accounts of views that are a record's, one by one, and then itself. */
static uint32_t alike_count(const struct accounts *accounts, uint32_t own)
{
    return 1 + (accounts_has_copies(accounts, own)
                    ? accounts->copy_first[own + 1] - accounts->copy_first[own]
                    : 0);
}

static uint32_t alike_at(const struct accounts *accounts, uint32_t own, uint32_t index)
{
    return index + 1 < alike_count(accounts, own)
               ? accounts->copies[accounts->copy_first[own] + index]
               : own;
}

/* All that pay for an account of several payers may hand its gauges on, and so may all views of it.
 */
static void find_gauges(struct run *run)
{
    const struct accounts *accounts = run->accounts;
    const bool can_move = has_gauges(run);
    for (uint32_t a = 0; can_move && a < accounts->own_count; a++) {
        const uint32_t alike = alike_count(accounts, a);
        uint32_t payer;
        if (alike == 1 && !payers_are_several(run, a)) {
            continue;
        }
        open_moves(run);
        for (uint32_t i = 0; i < alike; i++) {
            const uint32_t account = alike_at(accounts, a, i);
            for (instant at = run->period.from; payers_next(run, account, &at, &payer);) {
                run->moves.is_party[payer] |= run->cut_first[payer] < run->cut_first[payer + 1];
            }
        }
    }
}

void wallets_find(struct run *run)
{
    const struct accounts *accounts = run->accounts;
    if (!run->has_cuts) {
        return;
    }
    find_gauges(run);
    if (!run->catalog->has_moves) {
        return;
    }
    bool has_warned = false;
    for (uint32_t a = 0; a < accounts->own_count; a++) {
        uint32_t first = NONE, payer;
        bool is_mover = false;
        if (!payers_are_several(run, a)) {
            continue;
        }
        for (instant at = run->period.from; payers_next(run, a, &at, &payer);) {
            if (payer == first || !begins_with(run, payer, a)) {
                continue;
            }
            if (first == NONE) {
                first = payer;
                continue;
            }
            add_move(run, first, payer);
            is_mover = true;
            if (!has_warned && !begin_together(run, first, payer)) {
                warn_of_turns(run, a, first, payer);
                has_warned = true;
            }
        }
        if (is_mover) {
            run->moves.accounts[run->moves.account_count++] = a;
        }
    }
}

/* A part of a state's name: up to a bar. */
static struct text name_part(struct arena *arena, struct text key, size_t *at)
{
    const char *first = key.at + *at;
    const char *bar = memchr(first, '|', key.size - *at);
    struct text encoded = {first, bar ? (size_t)(bar - first) : key.size - *at}, part = TEXT("");
    (void)text_decode(encoded, arena_alloc(arena, encoded.size + 1), &part);
    *at += encoded.size + (bar != NULL);
    return part;
}

uint32_t wallets_heir(const struct run *run, struct arena *arena, uint32_t payer, struct text key,
                      instant at)
{
    const struct catalog *catalog = run->catalog;
    size_t place = 0;
    if (payer == MAP_NONE || !catalog->has_moves || accounts_view(run->accounts, payer) != NONE) {
        return payer;
    }
    uint32_t node = map_find(&catalog->node_by_name, name_part(arena, key, &place));
    if (node == MAP_NONE || !catalog->node_moves[node]) {
        return payer;
    }
    uint32_t account = accounts_find(run->accounts, NONE, name_part(arena, key, &place));
    if (account == MAP_NONE) {
        return payer;
    }
    const struct billing_of billing = run_billing(run, payer);
    uint32_t heir = accounts_payer(run->accounts, account, billing_turn(&billing, at).from);
    /* While views alone price the account its wallet waits where it was. */
    return heir == run->accounts->nobody ? payer : heir;
}

/* ---- what a cut begins with ------------------------------------------------------------------ */

static int compare_keys(const void *a_item, const void *b_item)
{
    return bucket_state_compare(a_item, b_item);
}

static bool has_state(const struct bucket_state *states, uint32_t count,
                      const struct bucket_state *wanted)
{
    return count > 0 && bsearch(wanted, states, count, sizeof *states, compare_keys);
}

static enum status fail_lost(const struct run *run, uint32_t from, instant at, struct error *err)
{
    char to[TIME_FORMAT_MAX];
    (void)time_format_short(at, to);
    return fail(err, ERR_CONFLICT,
                "it has accounts of %.*s, which was not billed for the time before %s, so what "
                "these go on with is not known: correct that first",
                TEXT_ARG(run->accounts->items[from].id), to);
}

enum status wallets_hand_on(const struct run *run, struct arena *arena, struct period cut,
                            struct pricing *pricing, struct error *err)
{
    const uint32_t payer = pricing->payer;
    if (!run->moves.is_party || !run->moves.is_wallet_party[payer]) {
        return OK;
    }
    uint32_t index = run->cut_first[payer];
    const uint32_t first = index, end = run->cut_first[payer + 1];
    while (index < end && run->cuts[index].from != cut.from) {
        index++;
    }
    if (index == end) {
        return OK; /* a part of a cut that is not its first */
    }
    uint32_t count = 0, came = 0;
    for (uint32_t at = run->moves.first[payer]; at != NONE; at = run->moves.states[at].next) {
        came++;
    }
    struct bucket_state *states =
        arena_alloc(arena, (pricing->opening_count + came + 1u) * sizeof *states);
    for (uint32_t i = 0; i < pricing->opening_count; i++) {
        const struct bucket_state *state = &pricing->opening[i];
        uint32_t heir =
            index == first ? payer : wallets_heir(run, arena, payer, state->key, cut.from);
        if (heir == payer || !run->moves.is_wallet_party[heir]) {
            states[count++] = *state;
        }
    }
    const uint32_t kept = count;
    const instant after = index > first ? run->cuts[index - 1].from : INSTANT_MIN;
    for (uint32_t at = run->moves.first[payer]; at != NONE; at = run->moves.states[at].next) {
        const struct moved_state *moved = &run->moves.states[at];
        /* What comes later is in the closing of the last cut. */
        bool is_now = moved->at > after && (moved->at <= cut.from || index + 1 == end);
        if (is_now && moved->is_lost) {
            return fail_lost(run, moved->from, moved->at, err);
        }
        if (is_now && !has_state(states, kept, &moved->state)) {
            states[count++] = moved->state;
        }
    }
    if (count > 1) {
        qsort(states, count, sizeof *states, compare_keys);
    }
    pricing->opening = states;
    pricing->opening_count = count;
    return OK;
}

/* ---- gauges ---------------------------------------------------------------------------------- */

/* The first cut of a payer that begins at an instant or behind it; NONE. */
static uint32_t cut_from(const struct run *run, uint32_t payer, instant at)
{
    uint32_t index = run->cut_first[payer];
    const uint32_t end = run->cut_first[payer + 1];
    while (index < end && run->cuts[index].from < at) {
        index++;
    }
    return index < end ? index : NONE;
}

/* Who has an account from an instant on and begins a cut of this run with it; else the payer. */
static uint32_t account_heir(const struct run *run, uint32_t payer, uint32_t account, instant at)
{
    const struct accounts *accounts = run->accounts;
    const uint32_t heir = accounts_payer(accounts, account, at);
    const uint32_t cut =
        heir == payer || !run->moves.is_party[heir] ? NONE : cut_from(run, heir, at);
    bool takes = cut != NONE &&
                 accounts_is_paid_by(accounts, run->catalog, account, heir, run->cuts[cut].from);
    return takes ? heir : payer;
}

uint32_t wallets_gauge_heir(const struct run *run, uint32_t payer, const struct meter_state *state)
{
    const struct series *series = series_at(&run->series, state->series);
    if (!run->moves.is_party || !run->moves.is_party[payer] ||
        !goes_on(&run->catalog->meters[series->meter])) {
        return payer;
    }
    return account_heir(run, payer, state->account, state->told);
}

enum status wallets_gauges(const struct run *run, struct arena *arena, uint32_t payer,
                           struct period cut, const struct meter_state ***states, uint32_t *count,
                           struct error *err)
{
    uint32_t capacity = 0;
    *states = NULL;
    *count = 0;
    uint32_t at =
        run->moves.is_party && run->moves.is_party[payer] ? run->moves.gauge_first[payer] : NONE;
    for (; at != NONE; at = run->moves.gauges[at].next) {
        const struct moved_gauge *gauge = &run->moves.gauges[at];
        const uint32_t its = cut_from(run, payer, gauge->at);
        if (its == NONE || run->cuts[its].from != cut.from) {
            continue;
        }
        if (gauge->is_lost) {
            return fail_lost(run, gauge->from, gauge->at, err);
        }
        *states = arena_room(arena, *states, *count, &capacity, sizeof **states);
        (*states)[(*count)++] = &gauge->state;
    }
    return OK;
}

/* ---- turn by turn ---------------------------------------------------------------------------- */

struct turn {
    uint32_t payer;
    struct period cut;
    bool is_first, is_last;
};

static int compare_turns(const void *a_item, const void *b_item)
{
    const struct turn *a = a_item, *b = b_item;
    if (a->cut.from != b->cut.from) {
        return a->cut.from < b->cut.from ? -1 : 1;
    }
    return a->payer < b->payer ? -1 : a->payer > b->payer;
}

static struct turn *list_turns(struct run *run, instant before, uint32_t *count)
{
    const uint32_t payers = run->accounts->count;
    uint32_t most = 0;
    for (uint32_t p = 0; p < payers; p++) {
        most += run->moves.is_party[p] ? run->cut_first[p + 1] - run->cut_first[p] : 0;
    }
    struct turn *turns = arena_calloc(&run->arena, most + 1u, sizeof *turns);
    *count = 0;
    for (uint32_t p = 0; p < payers; p++) {
        const uint32_t first = run->cut_first[p], end = run->cut_first[p + 1];
        /* Nobody goes on with the last one within the run. */
        for (uint32_t i = first; run->moves.is_party[p] && i + 1 < end; i++) {
            if (run->cuts[i].from < before) {
                turns[(*count)++] =
                    (struct turn){.payer = p, .cut = run->cuts[i], .is_first = i == first};
            }
        }
    }
    qsort(turns, *count, sizeof *turns, compare_turns);
    return turns;
}

static void add_moved(struct run *run, uint32_t payer, struct moved_state moved)
{
    run->moves.states = arena_room(&run->arena, run->moves.states, run->moves.state_count,
                                   &run->moves.state_capacity, sizeof *run->moves.states);
    moved.next = run->moves.first[payer];
    run->moves.first[payer] = run->moves.state_count;
    run->moves.states[run->moves.state_count++] = moved;
}

static void add_moved_gauge(struct run *run, uint32_t payer, struct moved_gauge moved)
{
    run->moves.gauges = arena_room(&run->arena, run->moves.gauges, run->moves.gauge_count,
                                   &run->moves.gauge_capacity, sizeof *run->moves.gauges);
    moved.next = run->moves.gauge_first[payer];
    run->moves.gauge_first[payer] = run->moves.gauge_count;
    run->moves.gauges[run->moves.gauge_count++] = moved;
}

/* To whoever goes on with its account, and to all others who price that usage, as from run to run
 * (lend_states, opening.c). */
static void hand_gauges_over(struct run *run, const struct turn *turn, const struct handover *left)
{
    const struct accounts *accounts = run->accounts;
    for (uint32_t i = 0; i < left->meter_count; i++) {
        struct meter_state state = left->meters[i];
        const uint32_t of = state.account, own = accounts_own(accounts, of);
        if (!goes_on(&run->catalog->meters[series_at(&run->series, state.series)->meter])) {
            continue;
        }
        state.source = text_copy(&run->arena, state.source);
        state.id = text_copy(&run->arena, state.id);
        for (uint32_t k = 0; k < alike_count(accounts, own); k++) {
            struct meter_state handed = state;
            handed.account = alike_at(accounts, own, k);
            handed.is_open = state.is_open && handed.account == of; /* its slot is not lent */
            const uint32_t heir = account_heir(run, turn->payer, handed.account, state.told);
            if (heir != turn->payer) {
                add_moved_gauge(
                    run, heir,
                    (struct moved_gauge){.from = turn->payer, .at = turn->cut.to, .state = handed});
            }
        }
    }
}

static void hand_over(struct run *run, const struct turn *turn, const struct handover *left)
{
    const struct bucket_state *closing = left->buckets;
    for (uint32_t i = 0; i < left->bucket_count; i++) {
        struct arena_mark mark = arena_mark(&run->arena);
        uint32_t heir = wallets_heir(run, &run->arena, turn->payer, closing[i].key, turn->cut.to);
        arena_rewind(&run->arena, mark);
        if (heir != turn->payer && run->moves.is_wallet_party[heir]) {
            struct bucket_state state = closing[i];
            state.key = text_copy(&run->arena, state.key);
            state.samples = NULL; /* a wallet has none */
            state.sample_count = 0;
            add_moved(
                run, heir,
                (struct moved_state){.from = turn->payer, .at = turn->cut.to, .state = state});
        }
    }
}

static bool has_in(const struct run *run, const struct turn *turn, uint32_t account)
{
    uint32_t payer;
    bool has = false;
    for (instant at = turn->cut.from;
         !has && at < turn->cut.to && payers_next(run, account, &at, &payer);) {
        has = payer == turn->payer;
    }
    return has;
}

/* Who gets an account that a payer had which could not be billed knows nothing of its gauges. */
static void lose_gauges(struct run *run, const struct turn *turn)
{
    const bool can_lose = has_gauges(run);
    for (uint32_t a = 0; can_lose && a < run->accounts->own_count; a++) {
        if (!payers_are_several(run, a) || !has_in(run, turn, a)) {
            continue;
        }
        const uint32_t heir = account_heir(run, turn->payer, a, turn->cut.to);
        if (heir != turn->payer) {
            add_moved_gauge(
                run, heir,
                (struct moved_gauge){.from = turn->payer, .at = turn->cut.to, .is_lost = true});
        }
    }
}

/* Whether who is billed for an account as a turn ends tells what it comes to. */
static bool is_told(const struct run *run, const struct turn *turn, const bool *has_failed,
                    uint32_t account)
{
    const uint32_t payer = accounts_payer(run->accounts, account, turn->cut.to - 1);
    return !has_failed[payer] &&
           accounts_is_paid_by(run->accounts, run->catalog, account, payer, turn->cut.to - 1);
}

/* Where nobody else was billed for an account, those that price its usage from then on know nothing
 * of its gauges either: as from run to run (unbilled.c). */
static void lose_lent(struct run *run, const struct turn *turn, const bool *has_failed)
{
    const struct accounts *accounts = run->accounts;
    const bool can_lose = has_gauges(run);
    for (uint32_t a = 0; can_lose && a < accounts->own_count; a++) {
        const uint32_t alike = alike_count(accounts, a);
        bool had = false, knows = alike == 1;
        for (uint32_t i = 0; i < alike && !knows; i++) {
            const uint32_t account = alike_at(accounts, a, i);
            had = had || has_in(run, turn, account);
            knows = is_told(run, turn, has_failed, account);
        }
        for (uint32_t i = 0; i < alike && had && !knows; i++) {
            const uint32_t heir =
                account_heir(run, turn->payer, alike_at(accounts, a, i), turn->cut.to);
            if (heir != turn->payer) {
                add_moved_gauge(
                    run, heir,
                    (struct moved_gauge){.from = turn->payer, .at = turn->cut.to, .is_lost = true});
            }
        }
    }
}

/* Who gets an account's wallet of a payer that could not be billed knows nothing of it. */
static void lose(struct run *run, const struct turn *turn)
{
    const struct accounts *accounts = run->accounts;
    const struct billing_of billing = run_billing(run, turn->payer);
    const instant from = billing_turn(&billing, turn->cut.from).from;
    const instant to = billing_turn(&billing, turn->cut.to).from;
    for (uint32_t i = 0; i < run->moves.account_count; i++) {
        uint32_t account = run->moves.accounts[i], heir = accounts_payer(accounts, account, to);
        if (accounts_payer(accounts, account, from) == turn->payer && heir != turn->payer &&
            run->moves.is_wallet_party[heir]) {
            add_moved(run, heir,
                      (struct moved_state){.from = turn->payer,
                                           .at = turn->cut.to,
                                           .is_lost = true,
                                           .state.key = TEXT("")});
        }
    }
}

enum status wallets_rehearse(struct run *run, instant before, wallets_price *price, void *context,
                             struct error *err)
{
    const uint32_t payers = run->accounts->count;
    uint32_t count;
    const struct turn *turns = list_turns(run, before, &count);
    bool *has_failed = arena_calloc(&run->arena, payers + 1u, sizeof *has_failed);
    run->moves.first = arena_alloc(&run->arena, (payers + 1u) * sizeof *run->moves.first);
    memset(run->moves.first, 0xFF, (payers + 1u) * sizeof *run->moves.first);
    run->moves.gauge_first = arena_alloc(&run->arena, (payers + 1u) * sizeof *run->moves.first);
    memset(run->moves.gauge_first, 0xFF, (payers + 1u) * sizeof *run->moves.first);
    for (uint32_t i = 0; i < count; i++) {
        const struct turn *turn = &turns[i];
        struct handover left = {0};
        if (!has_failed[turn->payer]) {
            struct error cause = {0};
            enum status status =
                price(context, turn->payer, turn->cut, turn->is_first, &left, &cause);
            if (status == ERR_CORRUPT || status == ERR_IO) {
                *err = cause;
                return status;
            }
            has_failed[turn->payer] = status != OK;
        }
        if (has_failed[turn->payer]) {
            lose(run, turn);
            lose_gauges(run, turn);
            lose_lent(run, turn, has_failed);
        } else {
            hand_over(run, turn, &left);
            hand_gauges_over(run, turn, &left);
        }
    }
    return OK;
}
