/* accounts.h - who uses and who pays: accounts, dated memberships, overrides of prices; a million
 * of them.
 *
 *     accounts.csv, memberships.csv, overrides.csv (or .ndjson), YAML --> struct accounts
 *
 * Records are streamed: the loader is given bytes and keeps only what it needs, in arrays by index.
 * An account's index is the rank of its id by bytes, so that order by index is order by id.
 *
 * An organization is an account that has members; the root of a tree is the payer.  Membership has
 * dates; an account is in at most one organization at a time, and trees have no cycles and at most
 * 32 levels.  A membership without dates gives way to dated ones of the same organization; what
 * remains of one organization and touches or overlaps is one membership.  An account that is only
 * named (as a member, an organization or the buyer of a contract) exists too; overrides are for
 * accounts that exist.  The same record twice is one record.
 */
#ifndef FARTHING_CATALOG_ACCOUNTS_H
#define FARTHING_CATALOG_ACCOUNTS_H

#include "catalog/catalog.h"

struct membership { /* sorted by (account, from) */
    uint32_t account;
    uint32_t organization;
    instant from, to;
};

struct override { /* prices of one account, in (SKU, from) order; sorted by account */
    uint32_t account;
    struct price_set prices; /* into accounts->prices, which equal overrides share */
};

/* What a contract with accounts or a source prices: accounts of its own, with the ids of those that
 * records name, in a tree whose root is the buyer while the contract holds. */
struct view {
    uint32_t contract;     /* in catalog->contracts */
    uint32_t source;       /* the view that is its source; NONE: none, or a contract that is none */
    uint32_t buyer;        /* the account that pays */
    uint32_t first, count; /* its accounts, in order of ids, the buyer among them */
    bool buyer_is_bare;    /* it has no usage of its own */
};

/* What a record says of an account, for a time. */
enum {
    SETTING_UNASKED = 0xFFFFFFF0u, /* of taxes, which no expression names: there is one */
    SETTING_SHARING,               /* from here on names of no customer */
    SETTING_GROUP
};
struct setting { /* by account */
    uint32_t account;
    uint32_t name; /* in catalog->customer_names, or one of those above */
    instant from, to;
    struct expr_value value;
};

/* A commitment, and the account that has it. */
struct held {
    uint32_t account;
    const struct commitment *commitment;
};

struct account {
    struct text id;
    uint32_t membership_first, membership_count;
    uint32_t override;                       /* in overrides, or NONE */
    uint32_t contract_first, contract_count; /* in accounts->contract_of, by (from) */
    uint32_t plan;                           /* in catalog->plans, or NONE: the default plan */
    const struct zone *zone;                 /* NULL: UTC */
    instant since; /* start of the account; INSTANT_MIN when not given: anchor of anniversaries */
    uint8_t currency, settlement; /* of its bills: currency_number; 0: not said */
};

/* A buyer that no record names, though records name accounts; and its first contract. */
struct unknown_buyer {
    uint32_t account, contract;
};

struct accounts {
    struct account *items; /* own_count of records, sorted by id; nobody; those of views, in turn */
    uint32_t count;
    uint32_t own_count;
    uint32_t nobody; /* pays while views alone price an account; NONE: there are no views */
    const struct view *views; /* by contract->view */
    uint32_t view_count;
    /* Of each account from own_count on: the record's account, and the view, NONE of nobody. */
    const uint32_t *own_of, *view_of;
    /* Of each record's account: those of views of its usage, copies[copy_first[i] ..
     * copy_first[i + 1]); NULL: there are none. */
    const uint32_t *copies, *copy_first;
    /* Of each record's account: it is named as the buyer in a view alone, and no customer of the
     * provider itself: it pays no fees.  NULL: none is. */
    const bool *is_only_buyer;
    const struct unknown_buyer *unknown_buyers; /* by account; none is the buyer of a view */
    uint32_t unknown_buyer_count;
    const struct membership *memberships;
    uint32_t membership_count;
    const struct override *overrides;
    uint32_t override_count;
    const struct price *prices; /* of all overrides */
    uint32_t price_count;
    const uint32_t *contract_of;
    const struct setting *settings;
    uint32_t setting_count;
    bool has_odd_settings; /* some of a customer change inside an hour, in the catalog too */
    const struct held *commitments; /* sorted by (account, id) */
    uint32_t commitment_count;
    bool has_currencies;  /* some account says one */
    struct digest digest; /* of the records, whatever their order and format */
    /* Nodes of overrides are numbered from here on (they follow the catalog's): one a SKU for those
     * of scope account or resource, whose buckets the account tells apart; else one an account and
     * SKU.  Versions share it.  Steps with equal tiers and node are one object in memory. */
    uint32_t node_first;
    uint32_t node_count;
};

enum record_kind {
    RECORD_ACCOUNT,
    RECORD_MEMBERSHIP,
    RECORD_OVERRIDE,
    RECORD_SETTING,
    RECORD_COMMITMENT,
    RECORD_KINDS
};

/* clang-format off */
/* Columns (CSV header) or members (NDJSON); unknown ones are errors:
 *   account     id, organization (a membership without dates, if from and to are empty), from, to
 *               (of that membership), plan, zone, since, currency, settlement_currency
 *   membership  account, organization, from, to
 *   override    account, sku, from, to, up_to, rate, flat, scope
 *               one row a tier, in any order; the row without up_to is the open tier; a single row
 *               without up_to is a rate
 *   setting     account, setting ("tax.country", "sharing", "sharing.group"), value, from, to
 *   commitment  id, offering, account, from, to, count, amount, recurring, upfront, attributes
 *               ("family=m5;region=eu": what expressions ask as commitment.family)
 * `org` stands for organization, `price` for rate.  Which kind a file is, its columns say: `sku`
 * override, else `setting` setting, else `offering` commitment, else `id` account, else
 * `organization` membership; in NDJSON each line says it.
 * Dates are dates (UTC midnight) or instants. */
/* clang-format on */
/* The accounts will be of `arena`; what is needed until accounts_finish has returned is of `stage`,
 * which has the recovery point of arena and may be the same.  zones NULL: UTC only. */
struct accounts_builder *accounts_builder_new(struct arena *arena, struct arena *stage,
                                              const struct zone_source *zones);

/* Feeds the next bytes of a file, cut anywhere; last: the file ends.  Complaints name file and
 * line, and keep the file's name, which lasts as long as they do; at most 100 are kept, the number
 * goes on. */
void accounts_feed(struct accounts_builder *builder, struct text file, struct text bytes, bool last,
                   struct complaints *complaints);

/* An account that stands in the catalog's YAML; the catalog loader calls this for each.  Texts live
 * as long as the arena.  A child of `children: [..]` comes as a record of its own with is_implied,
 * which adds memberships to the account but declares nothing.  What is wrong with a record is told
 * by accounts_finish; that ids are ids (not empty, at most 255 bytes, no control characters) and
 * from < to is the caller's to see to. */
struct account_membership {
    struct text organization;
    instant from, to;
};
struct account_record {
    struct place place;
    struct text id;
    bool is_implied;
    struct text plan;                             /* empty: none */
    struct text zone;                             /* empty: UTC */
    instant since;                                /* INSTANT_MIN when not given */
    const struct currency *currency, *settlement; /* NULL: not said */
    const struct account_membership *memberships;
    uint32_t membership_count;
};
void accounts_add(struct accounts_builder *builder, const struct account_record *record);

/* Sorts, links memberships, contracts, plans and overrides, checks; once, when all is fed.  The
 * catalog is needed for SKUs, plans and contracts.  ERR_INPUT when there are errors in complaints,
 * those of accounts_feed included; *accounts is NULL then. */
enum status accounts_finish(struct accounts_builder *builder, const struct catalog *catalog,
                            struct accounts **accounts, struct complaints *complaints,
                            struct error *err);

/* The first setting of an account, or where it would be. */
uint32_t accounts_first_setting(const struct accounts *accounts, uint32_t account);
/* What records and the catalog say of a customer at an instant, under a name of the catalog's: of
 * the account, or where they say nothing of it then, of the payer.  EXPR_MISSING: nothing. */
struct expr_value accounts_customer(const struct accounts *accounts, const struct catalog *catalog,
                                    uint32_t account, uint32_t payer, uint32_t name, instant at);
/* With whom an account of the records shares its commitments at an instant, on the payer's bill:
 * what it says then, else the payer. *group gets its group, empty: none. */
enum sharing_mode accounts_sharing(const struct accounts *accounts, const struct catalog *catalog,
                                   uint32_t account, uint32_t payer, instant at,
                                   struct text *group);
/* The organization's root at an instant: the payer; the account itself when it is in none. */
uint32_t accounts_payer(const struct accounts *accounts, uint32_t account, instant at);
/* The contract of the account at an instant: its own, else that of the nearest organization above;
 * NULL when none. */
const struct contract *accounts_contract(const struct accounts *accounts,
                                         const struct catalog *catalog, uint32_t account,
                                         instant at);
/* The same at the last instant, from `at` back, at which the payer pays for the account: of what
 * comes to a bill when the account has left.  NULL also when it never did. */
const struct contract *accounts_contract_under(const struct accounts *accounts,
                                               const struct catalog *catalog, uint32_t account,
                                               uint32_t payer, instant at);
/* The organization it is in at an instant, or NONE. */
uint32_t accounts_above(const struct accounts *accounts, uint32_t account, instant at);
/* Narrows slot, which holds at, to the time in which all above the account stays the same. */
void accounts_narrow(const struct accounts *accounts, uint32_t account, instant at,
                     struct period *slot);
/* The account of an id in a view, or, with NONE, of the records; MAP_NONE when there is none. */
uint32_t accounts_find(const struct accounts *accounts, uint32_t view, struct text id);
/* The account that a contract is with; it exists, since being named as a buyer makes it. */
static inline uint32_t accounts_buyer(const struct accounts *accounts,
                                      const struct contract *contract)
{
    return contract->view == NONE ? accounts_find(accounts, NONE, contract->buyer)
                                  : accounts->views[contract->view].buyer;
}
/* The account that one of the unknown buyers may be meant to be; empty when none is near.  It looks
 * at all accounts. */
struct text accounts_buyer_meant(const struct accounts *accounts, uint32_t buyer);
/* False of what is billed to nobody: nobody itself, and an account of a view while its contract
 * does not hold for it. */
bool accounts_is_billed(const struct accounts *accounts, const struct catalog *catalog,
                        uint32_t payer, instant at);
/* False of who has no bill at any time: nobody, and accounts of a view that are not its buyer. */
bool accounts_has_bills(const struct accounts *accounts, uint32_t payer);
/* The view whose account it is; NONE: of no view. */
static inline uint32_t accounts_view(const struct accounts *accounts, uint32_t account)
{
    return account < accounts->own_count ? NONE : accounts->view_of[account - accounts->own_count];
}
/* True when the payer is billed for the account then. */
bool accounts_is_paid_by(const struct accounts *accounts, const struct catalog *catalog,
                         uint32_t account, uint32_t payer, instant at);
/* True where events of the account are counted: who pays for it otherwise, or, when that is nobody,
 * the first view; the others price them too. Of no account (NONE) too. */
bool accounts_counts(const struct accounts *accounts, const struct catalog *catalog,
                     uint32_t account, instant at);
/* True of a record's account whose usage views have; of no account it is not. */
static inline bool accounts_has_copies(const struct accounts *accounts, uint32_t account)
{
    return accounts->copy_first && account != NONE &&
           accounts->copy_first[account] < accounts->copy_first[account + 1];
}
/* The account that records name by its id. */
static inline uint32_t accounts_own(const struct accounts *accounts, uint32_t account)
{
    return account < accounts->own_count ? account
                                         : accounts->own_of[account - accounts->own_count];
}
/* True of an account that a view has as a buyer, its own or its source's, and not for usage. */
bool accounts_is_bare(const struct accounts *accounts, uint32_t account);
/* Narrows slot, which holds at, to the time around it in which memberships and contracts of the
 * account do not change. */
void accounts_narrow_to_contract(const struct accounts *accounts, const struct catalog *catalog,
                                 uint32_t account, instant at, struct period *slot);
/* The largest edge <= at of catalog and account: membership and contract dates of the account and
 * of all above it.  *next gets the smallest edge > at (INSTANT_MAX when none).  Slots are cut
 * there. */
instant accounts_edge(const struct accounts *accounts, const struct catalog *catalog,
                      uint32_t account, instant at, instant *next);

#endif
