/* accounts_stage.h - private to the loader of accounts: records on their way, before all are known.
 *
 *     accounts_rows.c   rows --> staged records, names interned to numbers (small, in chunks that
 *                       never move)
 *     accounts_stage.c  what holds them: chunks, names, ids, places
 *     accounts_finish.c ids ranked --> accounts --> memberships, trees, contracts --> digest
 *     accounts_buyers.c buyers of contracts
 *     accounts_views.c  accounts as views have them
 *     accounts_override.c, accounts_setting.c, accounts_commitment.c  what records say of them
 *     accounts.c        what is asked of them afterwards
 *
 * Staged records are a few dozen bytes each and final arrays are made once, at their size, because
 * a million of them share 300 MB.  For the same reason they have an arena of their own, which is
 * given back when all is finished, and nothing big is left lying before: a table of ids
 * that was outgrown becomes room for ids, the last one room for finish, and the ranking is sorted
 * in the array that takes the accounts.
 *
 * What a record is about is not known before the last file ended, so all checks that compare
 * records are made in finish, over sorted records: that is what makes the result independent of
 * their order.
 */
#ifndef FARTHING_CATALOG_ACCOUNTS_STAGE_H
#define FARTHING_CATALOG_ACCOUNTS_STAGE_H

#include <assert.h>

#include "catalog/accounts.h"
#include "catalog/complain.h"
#include "catalog/records.h"

enum {
    COMPLAINTS_KEPT = 100,
    ID_MAX_BYTES = 255,
    LEVELS_MAX = 32, /* of a tree */
    FILES_MAX = 65'535,
    ZONES_MAX = 65'535,
};

struct where { /* a place in 8 bytes; line 0: none */
    uint32_t line;
    uint16_t file, column;
};

enum {
    ACCOUNT_KNOWN = 1,    /* something other than an override or a setting names it */
    ACCOUNT_DECLARED = 2, /* by a record of its own */
    ACCOUNT_RECORDED = 4, /* by any record; else only a contract names it */
};

struct staged_account {
    const unsigned char *id; /* its length in one byte, then its bytes */
    instant since;
    struct where where;
    uint32_t plan; /* in builder->plans, or NONE */
    uint16_t zone; /* in builder->zones plus one; 0: none */
    uint8_t flags;
    uint8_t currency, settlement; /* currency_number */
};

struct staged_membership {
    uint32_t account, organization;
    instant from, to;
    struct where where;
};

struct staged_override {
    uint32_t account, sku; /* sku in builder->skus */
    instant from, to;
    uint32_t up_to; /* in builder->decimals, or NONE: open */
    uint32_t rate, flat;
    enum scope scope;
    uint32_t cover; /* shared covers before it, in builder->values; NONE */
    struct where where;
};

struct staged_setting {
    uint32_t account, name, value; /* in builder->settings, builder->values */
    instant from, to;
    struct where where;
};

enum { STAGED_COUNT, STAGED_AMOUNT, STAGED_RECURRING, STAGED_UPFRONT, STAGED_NUMBERS };
struct staged_commitment {
    uint32_t id, offering; /* in builder->commitment_ids, builder->offerings */
    uint32_t account;
    uint32_t numbers[STAGED_NUMBERS]; /* in builder->decimals, or NONE */
    uint32_t attributes;              /* in builder->values */
    instant from, to;
    struct where where;
};

struct staged_conflict {
    uint32_t account;
    struct where where;
};

/* An array that grows without moving or wasting what it has. */
enum { CHUNK_SHIFT = 10, CHUNK_ITEMS = 1 << CHUNK_SHIFT };
struct chunks {
    char **chunks;
    uint32_t count, capacity; /* of items; of chunks */
    size_t item_bytes;
};

/* Texts by number, in the order they came. */
struct names {
    struct map map;
    struct chunks items; /* struct name */
};
struct name {
    struct text text;
    struct where where; /* of its first use */
};

struct id_slot {
    uint32_t tag;     /* low half of the hash */
    uint32_t account; /* NONE: empty */
};

/* Decimals by number, in the order they came: a million rows have a few thousand of them, which
 * stay in the cache. */
struct decimals {
    struct chunks items; /* struct dec */
    uint32_t *slots;     /* numbers, NONE: empty */
    uint32_t mask;
};

struct accounts_builder {
    struct arena *arena; /* of what stays */
    struct arena *stage; /* of what goes when all is finished */
    const struct zone_source *zone_source;
    struct record_reader *reader;
    struct complaints *complaints;
    uint32_t complaints_kept;

    struct where first_day; /* that is written without a time; line 0: there is none */
    char first_day_text[16];

    uint16_t file; /* of the rows being read, in files */
    enum record_kind file_kind;
    bool is_csv, has_any; /* a header, a row or a fault */

    struct id_slot *slots;
    uint32_t slot_mask;
    uint64_t seed;
    unsigned char *pool; /* room for ids */
    size_t pool_left;
    unsigned char *spare; /* room for finish: the table of slots, when no more ids come */
    size_t spare_left;

    struct chunks accounts, memberships, overrides, conflicts, settings, commitments;
    struct names commitment_ids, offerings;
    struct names files, plans, zones, skus, setting_names, values;
    struct decimals decimals;
    uint32_t last_account, last_sku; /* of the row before: rows of one price follow each other */
};

static inline void *chunks_at(const struct chunks *chunks, uint32_t index)
{
    return chunks->chunks[index >> CHUNK_SHIFT] + (index & (CHUNK_ITEMS - 1)) * chunks->item_bytes;
}

static inline struct staged_account *account_at(const struct accounts_builder *builder,
                                                uint32_t index)
{
    return chunks_at(&builder->accounts, index);
}

static inline struct text id_text(const struct staged_account *account)
{
    return (struct text){(const char *)account->id + 1, account->id[0]};
}

static inline const struct name *name_at(const struct names *names, uint32_t index)
{
    return chunks_at(&names->items, index);
}

static inline int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static inline int compare_where(struct where a, struct where b)
{
    int order = compare_numbers(a.file, b.file);
    order = order ? order : compare_numbers(a.line, b.line);
    return order ? order : compare_numbers(a.column, b.column);
}

/* ---- accounts_stage.c ---- */

void stage_init(struct accounts_builder *builder, struct arena *arena, struct arena *stage);
void *chunks_add(struct chunks *chunks, struct arena *arena);
/* The number of a text, which is kept with the place of its first use. */
uint32_t names_add(struct accounts_builder *builder, struct names *names, struct text text,
                   struct where where);
uint32_t decimals_add(struct accounts_builder *builder, struct dec value);
struct dec decimals_at(const struct accounts_builder *builder, uint32_t index);
/* The account of an id, made when it is new. */
uint32_t ids_add(struct accounts_builder *builder, struct text id, unsigned flags,
                 struct where where);
/* No id is added from here on. */
void ids_end(struct accounts_builder *builder);
/* Indices that finish needs, where the ids' slots were while there is room. */
uint32_t *indices_take(struct accounts_builder *builder, uint32_t count);
struct where where_pack(struct accounts_builder *builder, struct place place);
struct place where_unpack(const struct accounts_builder *builder, struct where where);

/* Beyond the number that is kept a complaint counts all the same. */
#define COMPLAIN(builder, place, code, hint, ...)                                         \
    do {                                                                                  \
        if ((builder)->complaints_kept < COMPLAINTS_KEPT) {                               \
            (builder)->complaints_kept++;                                                 \
            complain((builder)->complaints, (place), (code), text_of(hint), __VA_ARGS__); \
        } else {                                                                          \
            (builder)->complaints->errors++;                                              \
        }                                                                                 \
    } while (0)

/* A value for a message: what a record says goes no further than 64 bytes. */
#define SHOWN(text) (int)((text).size < 64 ? (text).size : 64), (text).at

/* ---- accounts_finish.c, accounts_override.c, accounts_setting.c ---- */

struct finish {
    struct accounts_builder *builder;
    const struct catalog *catalog;
    struct accounts *accounts;
    uint32_t *rank;             /* of staged accounts */
    uint32_t *membership_where; /* staged membership of each final one */
    uint32_t *plans;            /* of names: in catalog->plans */
    const struct zone **zones;  /* of names */
    uint32_t *skus;             /* of names: in catalog->skus */
    struct hash128 sum;         /* of canonical records */
    uint64_t record_count;
    const struct staged_commitment **commitments;
    uint32_t commitment_count;
};

struct keyed { /* sorted by key */
    uint64_t key;
    uint32_t index;
};
/* Least digit first, 11 bits a time; digits that all keys share cost one look.  spare has room for
 * count.  Returns where the sorted ones are: in items or in spare. */
struct keyed *keyed_sort(struct keyed *items, struct keyed *spare, uint32_t count);

typedef int compare_indices(const void *context, uint32_t a, uint32_t b);
/* A heap: in place, and n log n whatever the input. Not stable, so compare must be total. */
void indices_sort(uint32_t *items, uint32_t count, compare_indices *compare, const void *context);
/* The prices of overrides; what counts of their rows goes into the digest. */
void finish_overrides(struct finish *finish);
/* accounts_buyers.c: the buyer of a contract and its accounts exist, whether or not records name
 * them; before accounts are ranked, and behind that. */
void finish_add_buyers(struct finish *finish);
void finish_buyers(struct finish *finish);
/* accounts_views.c: the accounts of views, and who pays while views alone price an account. */
void finish_views(struct finish *finish);
void finish_hash_override(struct finish *finish, const struct staged_override *row);
/* What records say of accounts, with dates. */
void finish_settings(struct finish *finish);
/* accounts_commitment.c: those of the catalog and of records, by account. */
void finish_commitments(struct finish *finish);
/* The next of "name=value;name=value", decoded, from *at on; false when it is none. */
bool attribute_next(struct arena *arena, struct text text, size_t *at, struct text *name,
                    struct text *value);
/* Those of records, by id, each once. */
uint32_t finish_staged_commitments(struct finish *finish, const struct staged_commitment ***rows);
/* Whether more than an override or a setting names the account; a complaint when not. */
bool finish_is_known(struct finish *finish, uint32_t account, struct where where);
void finish_hash_setting(struct finish *finish, const struct staged_setting *row);

#endif
