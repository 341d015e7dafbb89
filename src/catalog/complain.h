/* complain.h - what is wrong with a catalog, collected; nothing stops at the first.
 *
 * A complaint says where (file, line, column), which rule (code), what is wrong, and what would be
 * right. The codes are listed for users in doc/catalog.md; a test holds the two together.
 */
#ifndef FARTHING_CATALOG_COMPLAIN_H
#define FARTHING_CATALOG_COMPLAIN_H

#include "catalog/catalog.h"

enum { COMPLAINTS_MAX = 1000 }; /* kept; the numbers go on */

/* Adds an error.  hint may be empty. */
void complain(struct complaints *complaints, struct place place, const char *code, struct text hint,
              const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Adds a warning: the catalog loads. */
void complain_softly(struct complaints *complaints, struct place place, const char *code,
                     struct text hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* "file:line:column", without what is not known of them. */
const char *place_text(struct arena *arena, struct place place);

/* In order of file, line, column; those of one place as they came. */
void complaints_sort(struct complaints *complaints);

/* What was meant by a word, as it is written: what other systems call otherwise, or the nearest of
 * the candidates; empty when there is none. */
struct text word_meant(struct text word, const struct text *candidates, size_t count);
/* "did you mean x?" when one of candidates is near to word, else empty. */
struct text hint_nearest(struct arena *arena, struct text word, const struct text *candidates,
                         size_t count);
/* "one of a, b, c", with the nearest first when there is one; as many as a hint has room for. */
struct text hint_choice(struct arena *arena, struct text word, const struct text *candidates,
                        size_t count);
/* Of a code that is no currency: the same in capital letters, when that is one. */
struct text hint_currency(struct arena *arena, struct text code);

#endif
