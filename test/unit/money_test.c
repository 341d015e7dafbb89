/* money_test.c - currencies, against ISO 4217's list when the shared data is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/money.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void currencies_are_found(void **)
{
    static const struct currency known[] = {
        {"USD", 2}, {"EUR", 2}, {"GBP", 2}, {"CHF", 2}, {"INR", 2}, {"CNY", 2}, {"BRL", 2},
        {"JPY", 0}, {"KRW", 0}, {"CLP", 0}, {"ISK", 0}, {"VND", 0}, {"XOF", 0}, {"UYI", 0},
        {"KWD", 3}, {"BHD", 3}, {"OMR", 3}, {"TND", 3}, {"JOD", 3}, {"IQD", 3}, {"LYD", 3},
        {"CLF", 4}, {"UYW", 4}, {"AED", 2}, {"ZWG", 2},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct currency *currency = currency_find(text_of(known[i].code));
        assert_non_null(currency);
        assert_string_equal(currency->code, known[i].code);
        assert_int_equal(currency->digits, known[i].digits);
    }
}

static void others_are_not(void **)
{
    static const char *const unknown[] = {"XXX", "XTS", "XAU", "XDR", "XBA",  "ABC", "usd",
                                          "Usd", "",    "U",   "US",  "USDX", "DEM", "HRK",
                                          "ANG", "BTC", "AAA", "ZZZ", " USD", "USD "};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        if (currency_find(text_of(unknown[i]))) {
            printf("  %s was found\n", unknown[i]);
        }
        assert_null(currency_find(text_of(unknown[i])));
    }
    assert_null(currency_find((struct text){"USD", 4})); /* with a zero byte */
    assert_null(currency_find((struct text){NULL, 0}));
}

static void the_table_is_sorted(void **)
{
    size_t count;
    const struct currency *table = currency_table(&count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strlen(table[i].code), 3);
        assert_true(table[i].digits >= 0 && table[i].digits <= 4 && table[i].digits != 1);
        assert_true(i == 0 || strcmp(table[i - 1].code, table[i].code) < 0);
        assert_ptr_equal(currency_find(text_of(table[i].code)), &table[i]);
    }
}

/* The last five fields of a row hold no quote and no comma: currency names with commas are quoted,
 * but stand before them. */
static bool read_row(char *line, char **code, char **minor, char **withdrawn)
{
    line[strcspn(line, "\r\n")] = '\0';
    char *last[4];
    for (int i = 3; i >= 0; i--) {
        last[i] = strrchr(line, ',');
        if (!last[i]) {
            return false;
        }
        *last[i]++ = '\0';
    }
    *code = last[0];
    *minor = last[2];
    *withdrawn = last[3];
    return true;
}

static void the_table_is_that_of_iso_4217(void **)
{
    const char *folder = getenv("FARTHING_SHARED");
    char path[4096];
    snprintf(path, sizeof path, "%s/data/tax_currency/iso4217_codes.csv",
             folder ? folder : "../shared");
    FILE *file = fopen(path, "r");
    if (!file) {
        printf("  SKIPPED: %s is not there (FARTHING_SHARED names the folder)\n", path);
        skip();
    }
    size_t count;
    const struct currency *table = currency_table(&count);
    bool *seen = calloc(count, sizeof *seen);
    assert_non_null(seen);
    char *line = NULL;
    size_t capacity = 0;
    int rows = 0, mismatches = 0;
    while (getline(&line, &capacity, file) >= 0) {
        char *code, *minor, *withdrawn;
        if (!read_row(line, &code, &minor, &withdrawn) || strlen(code) != 3 || *withdrawn) {
            continue;
        }
        rows++;
        const struct currency *currency = currency_find(text_of(code));
        bool has_minor = minor[0] >= '0' && minor[0] <= '9';
        if (has_minor != (currency != NULL) || (currency && currency->digits != atoi(minor))) {
            printf("  MISMATCH %s: the list has %s\n", code, minor);
            mismatches++;
        }
        if (currency) {
            seen[currency - table] = true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!seen[i]) {
            printf("  MISMATCH %s is not active in the list\n", table[i].code);
            mismatches++;
        }
    }
    free(line);
    free(seen);
    fclose(file);
    printf("  ISO 4217: %d rows, %zu currencies, %d mismatches\n", rows, count, mismatches);
    assert_true(rows > 200);
    assert_int_equal(mismatches, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(currencies_are_found),
        cmocka_unit_test(others_are_not),
        cmocka_unit_test(the_table_is_sorted),
        cmocka_unit_test(the_table_is_that_of_iso_4217),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
