/* cases.h - pricing cases: what farthing_test reads, runs and compares.  Private to this room.
 *
 *     file --cases.c--> trees --case_run.c--> catalog, events, whole bill runs --> lines
 *                                                   expectations --case_expect.c--> findings
 *
 * A case holds no rating code: its rows become events, and the program bills them as it bills any.
 * The form of cases is described for users in doc/test.md.
 */
#ifndef FARTHING_CASES_CASES_H
#define FARTHING_CASES_CASES_H

#include "catalog/yaml.h"
#include "engine/load.h"
#include "engine/run.h"

/* A line of a bill of the case. */
struct case_line {
    struct line line;
    struct text payer;
    uint32_t moment;     /* which of the story's bills brought it */
    instant period_from; /* of the bill it is on; of the time that thresholds divide */
    instant bill_to;
    bool is_interim; /* of a bill before the one that the moment tells of */
};

/* What the taxes of a run came to, by the kind of what they are on. */
struct case_taxes {
    uint32_t moment;
    struct period period;
    struct dec of[CHARGE_KINDS];
};

/* What is left of a grant. */
struct case_balance {
    struct text grant;
    struct dec amount;
};

/* What is expected of a case, or happens before that: one entry of its story. */
struct moment {
    const struct yaml_node *node;
    const struct yaml_node *bill; /* its own or the next; NULL: the default */
    bool has_bill;
};

/* A top-level key of the catalog as it is known by now. */
struct case_section {
    struct text key;
    const struct yaml_node *node;
};

struct name_list {
    struct text *items;
    uint32_t count, capacity;
};

struct case_run {
    struct env *env;
    const struct farthing_config *config;
    struct arena *arena;
    struct text folder;    /* temporary, of this case */
    struct text directory; /* of the case's file, for catalogs by name */
    const struct yaml_node *node;

    struct moment *moments;
    uint32_t moment_count;

    struct text catalog_path; /* empty: inline */
    struct case_section *sections;
    uint32_t section_count, section_capacity;
    struct name_list accounts, skus, dimensions, resources; /* that rows name */
    struct map row_by_id;                                   /* id of a row of usage -> index of: */
    struct name_list rows_with_id;                          /* what the first of each id says */
    struct name_list sku_products;                          /* beside skus; empty when not said */
    bool needs_resources;                                   /* lines by resource are asked for */
    bool has_events;                                        /* of meters, beside rows of usage */
    bool charges_once;                                      /* a price is `fixed: {when: once}` */
    struct text account_default;                            /* of rows that name none */
    struct text month_default;                              /* of bills that say none: "2026-10" */
    bool has_first_time;                                    /* of the usage; then: */
    instant first_time;
    struct text first_account;

    struct buffer events;
    uint32_t event_count;
    struct period *periods; /* billed so far; none lies in another */
    uint32_t period_count, period_capacity;
    const char **folders; /* of all runs so far */
    uint32_t folder_count, folder_capacity;

    struct case_line *lines;
    uint32_t line_count, line_capacity;
    struct case_taxes *taxes; /* of all runs so far, as they were known then */
    uint32_t tax_count, tax_capacity;
    uint32_t excluded[EXCLUSIONS]; /* of the last moment */
    instant late_before;           /* of the moment's bill: rows of a time before come too late */
    uint32_t too_late;
    const struct yaml_node *failing; /* payers that are expected not to be billed; NULL: none */
    struct name_list failed;         /* those of the last moment that were so */
    struct case_balance *balances;   /* of grants, as the last bill left them */
    uint32_t balance_count, balance_capacity;
    struct case_balance *waiting; /* what is pending of the last bill, by kind */
    uint32_t waiting_count, waiting_capacity;
    struct loaded loaded;    /* as it is known now */
    const struct zone *zone; /* of the catalog's billing */

    struct buffer findings; /* a line each, of what failed */
    uint32_t finding_count;
};

void case_finding(struct case_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void name_list_add(struct arena *arena, struct name_list *list, struct text name);
uint32_t name_list_find(const struct name_list *list, struct text name); /* or NONE */

/* Runs the case and leaves findings, and the folder, which it makes, with its runs in it: the
 * caller removes that. An error is of the machine (disk, memory), never of the case. */
enum status case_run(struct case_run *run, struct error *err);

/* A time with or without zone, minutes or hours; UTC when it names no zone. */
bool case_time(struct text text, instant *at);
/* "2026-10", or {from, to}; NULL is the month of the case's usage. */
bool case_period(const struct case_run *run, const struct yaml_node *node, struct period *period);

/* The turn of the account's bills that holds an instant; false: they follow the catalog's calendar.
 */
bool case_own_turn(const struct case_run *run, struct text account, instant at,
                   struct period *turn);

/* Writes the catalog file of a case as it is known now, and adds the events of a moment's rows. */
void case_write_catalog(struct case_run *run, struct buffer *out);
void case_add_events(struct case_run *run, const struct moment *moment);
/* Whether rows of the case, or meters of its catalog as it is known by now, have the dimension. */
bool case_has_dimension(const struct case_run *run, struct text name);

/* Whether anything is called so: a name that no line has comes to 0 too when it is misspelt. */
bool case_knows(const struct case_run *run, struct text what, struct text key);

/* Compares one moment's expectations with the lines so far. */
void case_compare(struct case_run *run, uint32_t moment, const struct yaml_node *expect);
/* An `error:` among them, or NULL. */
const struct yaml_node *case_expected_error(const struct yaml_node *expect);

#endif
