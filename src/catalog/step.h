/* step.h - private to the catalog's loader: a step that is being read.
 *
 * step.c reads what all steps have, step_usage.c those that take usage, step_charge.c and credit.c
 * those that take charges; steps.c lists of them in prices, terms.c terms.
 */
#ifndef FARTHING_CATALOG_STEP_H
#define FARTHING_CATALOG_STEP_H

#include "catalog/load.h"

struct work {
    struct loader *loader;
    const struct yaml_node *body; /* the mapping of its keys, or the value of a short form */
    struct step *step;
    bool is_term;
    struct expr_context bucket, rows; /* what its numbers and its filters may name */
};

/* What the step says under a key. */
static inline const struct yaml_node *own_key(const struct work *work, const char *name)
{
    return yaml_member(work->body, name);
}
/* The same, or else what the profile says of steps of this kind. */
static inline const struct yaml_node *key(const struct work *work, const char *name)
{
    const struct yaml_node *own = own_key(work, name);
    return own != NULL || work->loader->profile_count == 0
               ? own
               : profile_option(work->loader, step_kind_name(work->step->kind), name);
}

enum sign { ANY, NOT_NEGATIVE, POSITIVE };

/* Complains of a key that the step itself says, and that can have no effect. */
void refuse_key(struct work *work, const char *name, const char *why);
/* Expressions are checked when they are evaluated. */
void check_sign(struct work *work, const struct yaml_node *node, const char *name,
                const struct number *number, enum sign wanted);
void read_step_number(struct work *work, const char *name, enum sign wanted, struct number *number);
/* Amounts are money: no more digits than the currency has. */
void check_amount(struct work *work, const char *name, const struct number *number);
void check_money(struct loader *loader, const struct yaml_node *node, const char *name,
                 const struct number *number);
void read_flag(struct work *work, const char *name, bool *value);
/* A list of sort keys, or one. */
void read_order_keys(struct loader *loader, const struct yaml_node *node,
                     const struct expr_context *context, const struct order_key **keys,
                     uint32_t *count);
/* Gives fallback when the key is absent or wrong. */
int read_option(struct work *work, const char *name, const char *const *names, int fallback);
/* `settle: now | at_end`. */
bool read_settles_at_end(struct work *work, bool fallback);
void read_proration(struct work *work, struct proration *proration);
/* `round: 2`, or {digits, mode}. */
void read_round_part(struct work *work, const struct yaml_node *node, int *digits,
                     enum rounding *mode);
void read_tiers(struct work *work, const struct yaml_node *node, struct step_tier *tier);

/* step_usage.c */
void read_convert(struct work *work);
void read_aggregate(struct work *work);
void read_allowance(struct work *work);
void read_cover(struct work *work); /* cover.c */
void read_rate(struct work *work);
void read_percent(struct work *work);
void read_formula(struct work *work);
void read_tier(struct work *work);
void read_fixed(struct work *work);

/* step_charge.c */
void read_bound(struct work *work);
void read_round(struct work *work);
void read_discount(struct work *work); /* and markup */
void read_fee(struct work *work);
void read_tax(struct work *work);
void read_commit(struct work *work);
void read_allocate(struct work *work);

/* credit.c */
void read_credit(struct work *work);

/* {primitive: body}, and {use: name}; false with a complaint when it is no step. */
bool read_step(struct loader *loader, const struct yaml_node *node, bool is_term,
               struct step *step);
bool read_use(struct loader *loader, const struct yaml_node *node, struct step *step);

#endif
