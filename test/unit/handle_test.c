/* handle_test.c - calls that are wrong in themselves are told so: FARTHING_USAGE, and what is
 * missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "farthing.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const char *const quickstart = "examples/quickstart/catalog.yaml";
static const char *const none[] = {"examples/quickstart/catalog.yaml", NULL};

static int drop(void *context, const char *bytes, size_t size)
{
    (void)context;
    (void)bytes;
    (void)size;
    return 0;
}

static int set_up(void **state)
{
    *state = farthing_new(NULL);
    return *state == NULL;
}

static int tear_down(void **state)
{
    farthing_free(*state);
    return 0;
}

static void assert_usage(struct farthing *farthing, enum farthing_status status,
                         const char *message)
{
    assert_int_equal(status, FARTHING_USAGE);
    assert_string_equal(farthing_message(farthing), message);
}

static void test_paths_that_are_none(void **state)
{
    struct farthing *farthing = *state;
    const struct farthing_paths one = {&quickstart, 1}, lacks = {none, 2}, nowhere = {NULL, 1};
    struct farthing_summary summary;
    struct farthing_bill bill = {
        .catalog = one, .events = lacks, .period = "2026-10", .out = "/nowhere"};
    assert_usage(farthing, farthing_bill(farthing, &bill, &summary),
                 "no events given: path 2 of 2 is NULL");
    bill.events = one;
    bill.accounts = nowhere;
    assert_usage(farthing, farthing_bill(farthing, &bill, &summary),
                 "no accounts given: path 1 of 1 is NULL");
    bill.accounts.count = 0;
    bill.billed = lacks;
    assert_usage(farthing, farthing_bill(farthing, &bill, &summary),
                 "no billed given: path 2 of 2 is NULL");
    struct farthing_check check;
    assert_usage(farthing, farthing_check(farthing, lacks, (struct farthing_paths){0}, &check),
                 "no catalog given: path 2 of 2 is NULL");
    assert_string_equal(check.digest, "");
    const struct farthing_correct correct = {.closed = one, .moved = lacks, .out = "/nowhere"};
    struct farthing_corrections corrections;
    assert_usage(farthing, farthing_correct(farthing, &correct, &corrections),
                 "no moved given: path 2 of 2 is NULL");
    const struct farthing_import import = {.events = lacks, .out = "/nowhere"};
    struct farthing_converted converted;
    assert_usage(farthing, farthing_import(farthing, &import, &converted),
                 "no events given: path 2 of 2 is NULL");
    const struct farthing_export export = {.events = one, .catalog = lacks, .write = drop};
    assert_usage(farthing, farthing_export(farthing, &export, &converted),
                 "no catalog given: path 2 of 2 is NULL");
    const struct farthing_bill inputs = {.events = lacks};
    assert_usage(farthing,
                 farthing_explain(farthing, "/nowhere", "aa", &inputs, FARTHING_TABLE, drop, NULL),
                 "no events given: path 2 of 2 is NULL");
    struct farthing_tests tests;
    assert_usage(farthing, farthing_test(farthing, lacks, 0, FARTHING_TABLE, drop, NULL, &tests),
                 "no file of cases given: path 2 of 2 is NULL");
}

/* An empty name is no payer's, though no bill but a view's has a contract. */
static void test_name_that_is_empty(void **state)
{
    struct farthing *farthing = *state;
    assert_usage(farthing, farthing_show(farthing, "/nowhere", "", FARTHING_TABLE, 0, drop, NULL),
                 "the name of the bill or payer is empty");
}

/* What a call reads, and where its results go. */
static void test_pointers_that_are_none(void **state)
{
    struct farthing *farthing = *state;
    const struct farthing_paths one = {&quickstart, 1}, empty = {0};
    const struct farthing_bill bill = {
        .catalog = one, .events = one, .period = "2026-10", .out = "/nowhere"};
    const struct farthing_correct correct = {.closed = one, .out = "/nowhere"};
    const struct farthing_import import = {.events = one, .out = "/nowhere"};
    const struct farthing_export export = {.events = one, .write = drop};
    struct farthing_summary summary;
    struct farthing_corrections corrections;
    struct farthing_converted converted;
    struct farthing_tests tests;
    assert_usage(farthing, farthing_bill(farthing, NULL, &summary), "no bill given");
    assert_usage(farthing, farthing_bill(farthing, &bill, NULL), "no summary given");
    assert_usage(farthing, farthing_check(farthing, one, empty, NULL), "no check given");
    assert_usage(farthing, farthing_correct(farthing, NULL, &corrections), "no options given");
    assert_usage(farthing, farthing_correct(farthing, &correct, NULL), "no corrections given");
    assert_usage(farthing, farthing_import(farthing, NULL, &converted), "no options given");
    assert_usage(farthing, farthing_import(farthing, &import, NULL), "no converted given");
    assert_usage(farthing, farthing_export(farthing, NULL, &converted), "no options given");
    assert_usage(farthing, farthing_export(farthing, &export, NULL), "no converted given");
    assert_usage(farthing, farthing_generate(farthing, NULL), "no options given");
    assert_usage(farthing,
                 farthing_diff(farthing, "/nowhere", "/nowhere", FARTHING_JSON, 0, NULL, NULL),
                 "no write given");
    assert_usage(farthing, farthing_show(farthing, "/nowhere", NULL, FARTHING_JSON, 0, NULL, NULL),
                 "no write given");
    assert_usage(farthing,
                 farthing_explain(farthing, "/nowhere", "aa", NULL, FARTHING_TABLE, drop, NULL),
                 "no inputs given");
    assert_usage(farthing,
                 farthing_explain(farthing, "/nowhere", "aa", &bill, FARTHING_TABLE, NULL, NULL),
                 "no write given");
    assert_usage(farthing, farthing_test(farthing, one, 0, FARTHING_TABLE, NULL, NULL, &tests),
                 "no write given");
    assert_usage(farthing, farthing_test(farthing, one, 0, FARTHING_TABLE, drop, NULL, NULL),
                 "no tests given");
}

/* A number of accounts whose last 32 bits are few is too many all the same. */
static void test_accounts_beyond_32_bits(void **state)
{
    struct farthing *farthing = *state;
    struct farthing_generate generate = {
        .out = "/nowhere", .events = 1, .accounts = (UINT64_C(1) << 32) + 1};
    assert_int_equal(farthing_generate(farthing, &generate), FARTHING_INPUT);
    assert_string_equal(farthing_message(farthing), "accounts: 1 to 100,000,000 are wanted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pointers_that_are_none),
        cmocka_unit_test(test_paths_that_are_none),
        cmocka_unit_test(test_name_that_is_empty),
        cmocka_unit_test(test_accounts_beyond_32_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
