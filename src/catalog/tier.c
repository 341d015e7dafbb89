/* tier.c - what is known of tiers before there is a bucket: most are constants, and most of those
 * have rates and nothing else.
 */
#include "catalog/catalog.h"

#include "base/nofloat.h"

static bool is_constant(const struct step_tier *body)
{
    bool is = true;
    for (uint32_t i = 0; i < body->tier_count; i++) {
        const struct tier *tier = &body->tiers[i];
        is = is && !tier->limit && !tier->rate.expr && !tier->flat.expr;
    }
    return is;
}

static void add_digits(struct dec value, int *digits)
{
    *digits = value.scale > *digits ? value.scale : *digits;
}

void tier_resolve(struct arena *arena, struct step_tier *body)
{
    if (!is_constant(body)) {
        return;
    }
    struct tier_values *values = arena_calloc(arena, body->tier_count, sizeof *values);
    body->values = values;
    body->is_plain = body->tier_count > 0 && body->tiers[body->tier_count - 1].open;
    struct dec from = DEC_ZERO;
    bool from_is_in = false;
    for (uint32_t i = 0; i < body->tier_count; i++) {
        const struct tier *tier = &body->tiers[i];
        values[i] =
            (struct tier_values){.from = from,
                                 .from_is_in = from_is_in,
                                 .up_to = tier->open ? tier->up_to : dec_max(tier->up_to, from),
                                 .open = tier->open,
                                 .rate = tier->rate.value,
                                 .flat = tier->flat.value,
                                 .tier = tier};
        bool is_empty = !tier->open && dec_compare(tier->up_to, from) <= 0;
        body->is_plain = body->is_plain && !is_empty && dec_is_zero(tier->flat.value) &&
                         !tier->is_percent && !tier->has_package;
        add_digits(values[i].up_to, &body->limit_digits);
        add_digits(values[i].rate, &body->rate_digits);
        from = values[i].up_to;
        from_is_in = tier->below;
    }
}
