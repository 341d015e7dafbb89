/* close.c - see close.h.  Each rule is one comparison of two numbers that came different ways. */
#include "price/close.h"

#include "base/nofloat.h"

static const char *const names[CLOSE_RULES] = {
    [CLOSE_CAPACITY] = "CAPACITY",   [CLOSE_WEIGHT] = "WEIGHT",     [CLOSE_UNITS] = "UNITS",
    [CLOSE_UNUSED] = "UNUSED",       [CLOSE_COVERED] = "COVERED",   [CLOSE_NEGATION] = "NEGATION",
    [CLOSE_RATE] = "RATE",           [CLOSE_PURCHASE] = "PURCHASE", [CLOSE_EFFECTIVE] = "EFFECTIVE",
    [CLOSE_AMORTIZED] = "AMORTIZED", [CLOSE_LIFE] = "LIFE",         [CLOSE_SHARES] = "SHARES",
};

static enum status fail_rule(enum close_rule rule, const char *what, struct dec is, struct dec want,
                             struct error *err)
{
    char found[DEC_FORMAT_MAX], wanted[DEC_FORMAT_MAX];
    (void)dec_format(is, found);
    (void)dec_format(want, wanted);
    return fail(err, ERR_CORRUPT, "%s does not close: %s is %s, and should be %s", names[rule],
                what, found, wanted);
}

static enum status want_equal(enum close_rule rule, const char *what, struct dec is,
                              struct dec want, struct error *err)
{
    return dec_equal(is, want) ? OK : fail_rule(rule, what, is, want, err);
}

enum status close_turn(struct dec capacity, struct dec used, struct dec left, struct error *err)
{
    struct dec all;
    TRY(dec_add(used, left, &all, err));
    TRY(want_equal(CLOSE_CAPACITY, "what is used and left of a turn", all, capacity, err));
    if (dec_sign(used) < 0 || dec_sign(left) < 0) {
        return fail_rule(CLOSE_CAPACITY, "the lesser of used and left", dec_min(used, left),
                         DEC_ZERO, err);
    }
    return OK;
}

enum status close_part(struct dec quantity, struct dec weight, struct dec units, struct dec slack,
                       struct error *err)
{
    struct dec exact, off, most;
    const struct dec unit = {1, DEC_SCALE};
    TRY(dec_multiply_round(quantity, weight, DEC_SCALE, ROUND_HALF_EVEN, &exact, err));
    if (dec_equal(exact, units)) {
        return OK;
    }
    TRY(dec_subtract(exact, units, &off, err));
    TRY(dec_multiply_round(unit, weight, DEC_SCALE, ROUND_CEILING, &most, err));
    TRY(dec_add(most, unit, &most, err));
    most = dec_max(most, slack);
    return dec_compare(dec_abs(off), most) <= 0
               ? OK
               : fail_rule(CLOSE_WEIGHT, "what a part took", units, exact, err);
}

/* A charge takes back what another one is, with its keys. */
static bool is_of(const struct charge *negation, const struct charge *covered)
{
    return covered->kind == CHARGE_COVERED && negation->grant == covered->grant &&
           negation->at == covered->at && negation->account == covered->account &&
           negation->sku == covered->sku && negation->series == covered->series &&
           negation->row == covered->row && negation->price == covered->price;
}

static enum status close_negation(const struct charge *charges, uint32_t count,
                                  const struct charge *negation, struct error *err)
{
    if (negation->of >= count || !is_of(negation, &charges[negation->of])) {
        return fail(err, ERR_CORRUPT, "%s does not close: it is of no covered part",
                    names[CLOSE_NEGATION]);
    }
    const struct charge *covered = &charges[negation->of];
    TRY(want_equal(CLOSE_NEGATION, "what takes a covered part back", negation->amount,
                   dec_negate(covered->amount), err));
    return want_equal(CLOSE_NEGATION, "its quantity", negation->quantity,
                      dec_negate(covered->quantity), err);
}

static enum status close_rate(const struct charge *charge, struct error *err)
{
    struct dec amount;
    if (!charge->has_rate) {
        return OK;
    }
    TRY(dec_multiply(charge->rate, charge->quantity, &amount, err));
    return want_equal(CLOSE_RATE, "an amount", charge->amount, amount, err);
}

enum status close_charge(const struct charge *charges, uint32_t count, uint32_t index,
                         struct dec effective, struct error *err)
{
    const struct charge *charge = &charges[index];
    switch (charge->kind) {
    case CHARGE_COVERED:
        if (!charge->step->cover.shows_negation) {
            TRY(want_equal(CLOSE_COVERED, "the amount of a covered part", charge->amount, DEC_ZERO,
                           err));
        }
        return close_rate(charge, err);
    case CHARGE_COMMITMENT:
        TRY(want_equal(CLOSE_PURCHASE, "the effective cost of a fee", effective, DEC_ZERO, err));
        return close_rate(charge, err);
    case CHARGE_NEGATION:
        return close_negation(charges, count, charge, err);
    default:
        return OK;
    }
}

enum status close_negations(struct arena *arena, const struct charge *charges, uint32_t count,
                            struct error *err)
{
    struct arena_mark mark = arena_mark(arena);
    bool *is_taken_back = arena_calloc(arena, count + 1u, sizeof *is_taken_back);
    enum status status = OK;
    for (uint32_t i = 0; i < count && status == OK; i++) {
        bool is_one = charges[i].kind == CHARGE_NEGATION && charges[i].of < count &&
                      charges[i].step->kind == STEP_COVER; /* not of a tax */
        if (is_one && is_taken_back[charges[i].of]) {
            status = fail(err, ERR_CORRUPT, "%s does not close: a covered part is taken back twice",
                          names[CLOSE_NEGATION]);
        } else if (is_one) {
            is_taken_back[charges[i].of] = true;
        }
    }
    for (uint32_t i = 0; i < count && status == OK; i++) {
        if (charges[i].kind == CHARGE_COVERED && !dec_is_zero(charges[i].amount) &&
            !is_taken_back[i]) {
            status = fail_rule(CLOSE_NEGATION, "a covered part that nothing takes back",
                               charges[i].amount, DEC_ZERO, err);
        }
    }
    arena_rewind(arena, mark);
    return status;
}

enum status close_balance(const struct balance *balance, struct error *err)
{
    struct dec paid, whole;
    TRY(want_equal(CLOSE_UNITS, "the units of what is covered", balance->units, balance->used,
                   err));
    TRY(want_equal(CLOSE_UNUSED, "what is told as unused", balance->unused, balance->left, err));
    TRY(want_equal(CLOSE_EFFECTIVE, "the effective cost of what is covered and unused",
                   balance->effective, balance->cost, err));
    TRY(dec_add(balance->recurring, balance->spread, &paid, err));
    TRY(want_equal(CLOSE_AMORTIZED, "the cost of its turns", balance->cost, paid, err));
    TRY(dec_add(balance->recurring, balance->upfront, &whole, err));
    return balance->is_whole ? want_equal(CLOSE_LIFE, "its effective cost over its term",
                                          balance->effective, whole, err)
                             : OK;
}

enum status close_shares(struct dec total, struct dec given, struct dec taken, struct error *err)
{
    TRY(want_equal(CLOSE_SHARES, "what is given", given, total, err));
    return want_equal(CLOSE_SHARES, "what is taken", taken, total, err);
}
