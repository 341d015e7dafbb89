/* nearest.h - what was meant by a word that nobody knows. */
#ifndef FARTHING_BASE_NEAREST_H
#define FARTHING_BASE_NEAREST_H

#include "base/text.h"

/* The candidate that the fewest edits make of word (a byte inserted, deleted, replaced, or
 * exchanged with its neighbour), the first of several; an empty text when more than a third of word
 * would have to be wrong.  Words and candidates of more than 64 bytes are near to nothing. */
struct text text_nearest(struct text word, const struct text *candidates, size_t count);

#endif
