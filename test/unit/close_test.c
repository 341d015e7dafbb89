/* close_test.c - what commitments cover, leave and cost closes, and each rule that is broken is
 * named.
 *
 * The whole set: a commitment of 10 units a turn, whose turn costs 5.  Rows of weight 2 take 3 x 2
 * and 1 x 2 units; 2 are left.  Effectively 3, 1 and 1.  One covered part is shown at list, 3 x
 * 0.7, and taken back.  Then one number at a time is changed by a little.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bill/bill.h"
#include "price/close.h"

#include <cmocka.h> /* last: it defines fail() */

static struct dec number(const char *text)
{
    struct dec value;
    assert_int_equal(dec_parse(text_of(text), &value), NUMBER_OK);
    return value;
}

static void expect_rule(enum status status, const struct error *err, const char *rule)
{
    if (rule == NULL) {
        assert_int_equal(status, OK);
        return;
    }
    assert_int_equal(status, ERR_CORRUPT);
    if (strstr(err->message, rule) == NULL) {
        fail_msg("wanted %s, and it says: %s", rule, err->message);
    }
}

static void turns_close(void **state)
{
    (void)state;
    static const struct {
        const char *capacity, *used, *left, *rule;
    } cases[] = {
        {"10", "8", "2", NULL},         {"0", "0", "0", NULL},
        {"10", "8", "1", "CAPACITY"},   {"10", "8", "2.000000000000000001", "CAPACITY"},
        {"10", "11", "-1", "CAPACITY"}, {"10", "-1", "11", "CAPACITY"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {.status = OK};
        enum status status = close_turn(number(cases[i].capacity), number(cases[i].used),
                                        number(cases[i].left), &err);
        expect_rule(status, &err, cases[i].rule);
    }
}

static void parts_take_their_weight(void **state)
{
    (void)state;
    static const struct {
        const char *quantity, *weight, *units, *slack, *rule;
    } cases[] = {
        {"3", "2", "6", "0", NULL},
        {"0.333333333333333333", "3", "1", "0", NULL}, /* 1 / 3, cut behind 18 digits */
        {"0.333333333333333333", "3", "1.000000000000000005", "0", "WEIGHT"},
        {"3", "2", "5", "0", "WEIGHT"},
        {"3", "2", "6.00000000000000001", "0", "WEIGHT"},
        {"3", "2", "5.999999999999995", "0.000000000000006", NULL}, /* a whole row that fits */
        {"3", "2", "5.99999999999", "0.000000000000006", "WEIGHT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {.status = OK};
        enum status status = close_part(number(cases[i].quantity), number(cases[i].weight),
                                        number(cases[i].units), number(cases[i].slack), &err);
        expect_rule(status, &err, cases[i].rule);
    }
}

enum { PART, SHOWN, TAKEN_BACK, FEE, CHARGES };

struct set {
    struct step cover, shown;
    struct price price;
    struct text grant;
    struct charge charges[CHARGES];
    struct dec effective[CHARGES];
};

static void make_set(struct set *set)
{
    memset(set, 0, sizeof *set);
    set->cover.kind = set->shown.kind = STEP_COVER;
    set->shown.cover.shows_negation = true;
    set->grant = text_of("r1");
    for (int i = 0; i < CHARGES; i++) {
        set->charges[i] = (struct charge){.kind = CHARGE_COVERED,
                                          .has_amount = true,
                                          .of = NONE,
                                          .step = i == PART ? &set->cover : &set->shown,
                                          .price = &set->price,
                                          .grant = &set->grant};
    }
    set->charges[PART].quantity = number("1");
    set->charges[PART].has_rate = true;
    set->charges[SHOWN].quantity = number("3");
    set->charges[SHOWN].has_rate = true;
    set->charges[SHOWN].rate = number("0.7");
    set->charges[SHOWN].amount = number("2.1");
    set->charges[TAKEN_BACK].kind = CHARGE_NEGATION;
    set->charges[TAKEN_BACK].of = SHOWN;
    set->charges[TAKEN_BACK].quantity = number("-3");
    set->charges[TAKEN_BACK].amount = number("-2.1");
    set->charges[FEE].kind = CHARGE_COMMITMENT;
    set->charges[FEE].quantity = number("2");
    set->charges[FEE].has_rate = true;
    set->charges[FEE].rate = number("2.5");
    set->charges[FEE].amount = number("5");
    set->effective[PART] = number("1");
    set->effective[SHOWN] = number("3");
}

static enum status close_set(const struct set *set, struct error *err)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    enum status status = OK;
    for (uint32_t i = 0; i < CHARGES && status == OK; i++) {
        status = close_charge(set->charges, CHARGES, i, set->effective[i], err);
    }
    if (status == OK) {
        status = close_negations(&arena, set->charges, CHARGES, err);
    }
    arena_release(&arena);
    return status;
}

enum change {
    NOTHING,
    PART_COSTS,
    SHOWN_COSTS_MORE,
    RATE_IS_OTHER,
    NEGATION_IS_LESS,
    NEGATION_OF_FEWER,
    NEGATION_ELSEWHERE,
    NEGATION_AT_ANOTHER_TIME,
    NEGATION_OF_ANOTHER,
    NEGATION_OF_NOTHING,
    NEGATION_IS_LACKING,
    NEGATION_TWICE,
    FEE_COSTS_EFFECTIVELY,
    FEE_IS_OTHER,
    CHANGES
};
static const char *const rules_of_changes[CHANGES] = {
    [PART_COSTS] = "COVERED",
    [SHOWN_COSTS_MORE] = "RATE",
    [RATE_IS_OTHER] = "RATE",
    [NEGATION_IS_LESS] = "NEGATION",
    [NEGATION_OF_FEWER] = "NEGATION",
    [NEGATION_ELSEWHERE] = "NEGATION",
    [NEGATION_AT_ANOTHER_TIME] = "NEGATION",
    [NEGATION_OF_ANOTHER] = "NEGATION",
    [NEGATION_OF_NOTHING] = "NEGATION",
    [NEGATION_IS_LACKING] = "NEGATION",
    [NEGATION_TWICE] = "NEGATION",
    [FEE_COSTS_EFFECTIVELY] = "PURCHASE",
    [FEE_IS_OTHER] = "RATE",
};

static void change_set(struct set *set, enum change change)
{
    struct charge *back = &set->charges[TAKEN_BACK];
    static const struct text other = {"r2", 2};
    switch (change) {
    case PART_COSTS:
        set->charges[PART].amount = number("0.01");
        break;
    case SHOWN_COSTS_MORE:
        set->charges[SHOWN].amount = number("2.100000000000000001");
        break;
    case RATE_IS_OTHER:
        set->charges[SHOWN].rate = number("0.8");
        break;
    case NEGATION_IS_LESS:
        back->amount = number("-2.099999999999999999");
        break;
    case NEGATION_OF_FEWER:
        back->quantity = number("-2");
        break;
    case NEGATION_ELSEWHERE:
        back->account = 1;
        break;
    case NEGATION_AT_ANOTHER_TIME:
        back->at = NS_PER_HOUR;
        break;
    case NEGATION_OF_ANOTHER:
        back->grant = &other;
        break;
    case NEGATION_OF_NOTHING:
        back->of = NONE;
        break;
    case NEGATION_IS_LACKING:
        *back = set->charges[FEE];
        break;
    case NEGATION_TWICE:
        set->charges[FEE] = *back;
        break;
    case FEE_COSTS_EFFECTIVELY:
        set->effective[FEE] = number("5");
        break;
    case FEE_IS_OTHER:
        set->charges[FEE].amount = number("5.5");
        break;
    case NOTHING:
    case CHANGES:
        break;
    }
}

static void charges_close(void **state)
{
    (void)state;
    for (int change = NOTHING; change < CHANGES; change++) {
        struct set set;
        struct error err = {.status = OK};
        make_set(&set);
        change_set(&set, (enum change)change);
        expect_rule(close_set(&set, &err), &err, rules_of_changes[change]);
    }
}

static void balances_close(void **state)
{
    (void)state;
    /* Of the year of 365, one day is in the bill: 1 of the upfront fee, and 4 recur. */
    const struct balance whole = {.used = number("8"),
                                  .left = number("2"),
                                  .cost = number("5"),
                                  .spread = number("1"),
                                  .units = number("8"),
                                  .unused = number("2"),
                                  .effective = number("5"),
                                  .recurring = number("4"),
                                  .upfront = number("365")};
    struct error err = {.status = OK};
    expect_rule(close_balance(&whole, &err), &err, NULL);
    struct balance all = whole;
    all.upfront = number("1");
    all.is_whole = true;
    expect_rule(close_balance(&all, &err), &err, NULL);
    all.upfront = number("1.5");
    expect_rule(close_balance(&all, &err), &err, "LIFE");
    static const char little[] = "0.000000000000000001";
    const struct {
        size_t offset;
        const char *rule;
    } numbers[] = {
        {offsetof(struct balance, used), "UNITS"},
        {offsetof(struct balance, units), "UNITS"},
        {offsetof(struct balance, left), "UNUSED"},
        {offsetof(struct balance, unused), "UNUSED"},
        {offsetof(struct balance, cost), "EFFECTIVE"},
        {offsetof(struct balance, effective), "EFFECTIVE"},
        {offsetof(struct balance, spread), "AMORTIZED"},
        {offsetof(struct balance, recurring), "AMORTIZED"},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct balance changed = whole;
        struct dec *value = (struct dec *)((char *)&changed + numbers[i].offset);
        assert_int_equal(dec_add(*value, number(little), value, NULL), OK);
        expect_rule(close_balance(&changed, &err), &err, numbers[i].rule);
    }
}

static void shares_close(void **state)
{
    (void)state;
    struct error err = {.status = OK};
    struct dec total = number("100"), less = number("99.99");
    expect_rule(close_shares(total, total, total, &err), &err, NULL);
    expect_rule(close_shares(total, less, total, &err), &err, "SHARES");
    expect_rule(close_shares(total, total, less, &err), &err, "SHARES");
}

static struct line make_line(const char *kind, const char *amount, uint64_t id)
{
    return (struct line){.id = {.low = id},
                         .account = text_of("a"),
                         .kind = text_of(kind),
                         .grant = text_of("r1"),
                         .exact = number(amount),
                         .amount = number(amount)};
}

static void lines_close(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct line lines[] = {make_line("covered", "2.1", 1), make_line("negation", "-2.1", 2),
                           make_line("commitment", "5", 3)};
    struct section section = {.account = text_of("a"), .line_count = 3, .amount = number("5")};
    struct bill bill = {.id = text_of("p/a"),
                        .lines = lines,
                        .line_count = 3,
                        .sections = &section,
                        .section_count = 1,
                        .total = number("5")};
    struct error err = {.status = OK};
    expect_rule(bill_close(&arena, &bill, &err), &err, NULL);
    lines[1].id = lines[0].id;
    expect_rule(bill_close(&arena, &bill, &err), &err, "LINE_IDS");
    lines[1].id.low = 2;
    lines[1].grant = text_of("r2");
    expect_rule(bill_close(&arena, &bill, &err), &err, "LINE_NEGATION");
    lines[1].grant = text_of("r1");
    lines[2].amount = number("6");
    expect_rule(bill_close(&arena, &bill, &err), &err, "LINE_TOTAL");
    lines[2].amount = number("5");
    bill.total = number("5.01");
    expect_rule(bill_close(&arena, &bill, &err), &err, "LINE_TOTAL");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_close),   cmocka_unit_test(parts_take_their_weight),
        cmocka_unit_test(charges_close), cmocka_unit_test(balances_close),
        cmocka_unit_test(shares_close),  cmocka_unit_test(lines_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
