/* tally.c - usage("sku"): rows counted for steps that ask how much of something was used. */
#include "price/work.h"

#include "base/nofloat.h"

static bool is_of(const struct work *work, const struct tally *tally, const struct charge *charge)
{
    return tally->sku != NONE ? charge->sku == tally->sku
                              : work_meter_of(work, charge) == tally->meter;
}

static enum status add(struct work *work, const struct tally *tally, const struct charge *charge)
{
    uint32_t at;
    TRY(bucket_find(work, &tally->step, charge, &at));
    struct bucket *bucket = &work->buckets[at];
    bucket->step = &tally->step; /* which outlives the price's */
    return dec_add(bucket->x, charge->quantity, &bucket->x, work->err);
}

enum status tally_start(struct work *work, const struct charge *charge)
{
    const struct catalog *catalog = work->catalog;
    for (uint32_t i = 0; i < catalog->tally_count; i++) {
        if (is_of(work, &catalog->tallies[i], charge)) {
            TRY(add(work, &catalog->tallies[i], charge));
        }
    }
    return OK;
}

enum status tally_run(struct work *work, uint32_t index)
{
    TRY(tally_start(work, &work->charges[index]));
    work_pass_on(work, index);
    return OK;
}

struct dec tally_value(struct work *work, uint32_t of, const struct charge *charge)
{
    const struct catalog *catalog = work->catalog;
    const struct step *asking = work->asking;
    for (uint32_t i = 0; i < catalog->tally_count; i++) {
        const struct tally *tally = &catalog->tallies[i];
        const struct step *step = &tally->step;
        if (tally->of == of && text_equal(tally->asker, catalog->node_names[asking->node]) &&
            step_has_same_turns(step, asking)) {
            return bucket_peek(work, step, charge);
        }
    }
    return DEC_ZERO;
}

/* ---- charges ----------------------------------------------------------------------------------
 */

static bool is_charged(const struct work *work, const struct charge_tally *tally,
                       const struct charge *charge)
{
    const struct sku *sku = charge->sku == NONE ? NULL : &work->catalog->skus[charge->sku];
    return (sku && charge->sku == tally->sku) ||
           (sku && sku->product != NONE && sku->product == tally->product) ||
           (charge->step && text_equal(charge->step->name, tally->name));
}

static bool is_asker(const struct work *work, const struct charge_tally *tally,
                     const struct step *step)
{
    return text_equal(tally->asker, work->catalog->node_names[step->node]);
}

enum status tally_count_charge(struct work *work, const struct step *term,
                               const struct charge *charge)
{
    const struct catalog *catalog = work->catalog;
    for (uint32_t i = 0; i < catalog->charge_tally_count; i++) {
        const struct charge_tally *tally = &catalog->charge_tallies[i];
        if (is_asker(work, tally, term) && is_charged(work, tally, charge)) {
            uint32_t at;
            TRY(bucket_find(work, &tally->step, charge, &at));
            TRY(dec_add(work->buckets[at].x, charge->net, &work->buckets[at].x, work->err));
        }
    }
    return OK;
}

struct dec tally_charges(struct work *work, uint32_t of, const struct charge *charge)
{
    const struct catalog *catalog = work->catalog;
    for (uint32_t i = 0; i < catalog->charge_tally_count; i++) {
        const struct charge_tally *tally = &catalog->charge_tallies[i];
        if (tally->of == of && is_asker(work, tally, work->asking)) {
            return bucket_peek(work, &tally->step, charge);
        }
    }
    return DEC_ZERO;
}
