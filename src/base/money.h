/* money.h - currencies: the digits of their minor unit.
 *
 * A table of facts: the active codes of ISO 4217 that have a minor unit (0, 2, 3 or 4 digits).
 * Codes without one (gold, units of account, XXX "none", XTS "test") are not found, since nothing
 * can be billed in them; neither are withdrawn ones.
 */
#ifndef FARTHING_BASE_MONEY_H
#define FARTHING_BASE_MONEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

struct currency {
    char code[4]; /* "USD", with a zero */
    int digits;   /* of the minor unit: JPY 0, USD 2, KWD 3, CLF 4 */
};

/* By its three upper-case letters; NULL when there is none. */
const struct currency *currency_find(struct text code);

/* Its place in the table, from 1; and back: NULL of 0. */
uint8_t currency_number(const struct currency *currency);
const struct currency *currency_of_number(uint8_t number);

/* The whole table, sorted by code. */
const struct currency *currency_table(size_t *count);

#endif
