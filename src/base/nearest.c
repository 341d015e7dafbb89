/* nearest.c - see nearest.h.  Three rows of the table of distances are all that is kept of it. */
#include "base/nearest.h"

enum { NEAREST_MAX_BYTES = 64 };

/* Edits (insert, delete, replace, exchange of neighbours) that make a into b. */
static size_t edit_distance(struct text a, struct text b)
{
    size_t rows[3][NEAREST_MAX_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.size; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t replaced = last[j - 1] + (a.at[i - 1] != b.at[j - 1]);
            size_t deleted = last[j] + 1, inserted = row[j - 1] + 1;
            size_t best = replaced < deleted ? replaced : deleted;
            best = best < inserted ? best : inserted;
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1] &&
                before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            row[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.size];
}

struct text text_nearest(struct text word, const struct text *candidates, size_t count)
{
    struct text nearest = {"", 0};
    if (word.size > NEAREST_MAX_BYTES) {
        return nearest;
    }
    size_t best = 1 + (word.size + 1) / 3; /* a third of the word may be wrong */
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].size <= NEAREST_MAX_BYTES) {
            size_t distance = edit_distance(word, candidates[i]);
            if (distance < best) {
                best = distance;
                nearest = candidates[i];
            }
        }
    }
    return nearest;
}
