/* regex.h - private to src/expr: does a text match a pattern, in time linear in the text.
 *
 * The common part of RE2's syntax:
 *
 *     x . [a-z] [^a-z] [[:alpha:]] \d \w \s \D \W \S      one character
 *     xy x|y (x) (?:x) (?P<name>x) (?i-sm:x) (?i)         composition, flags i m s (U is accepted)
 *     x* x+ x? x{n} x{n,} x{n,m} and lazy x*? ...         repetition; n and m up to 1000
 *     ^ $ \A \z \b \B                                     places
 *     \n \t \f \r \v \a \012 \x7F \x{10FFFF} \Q...\E      escapes
 *
 * Like RE2 it has no backreferences and no look-around; unlike RE2 it has no \p{..} and no \C, and
 * i ignores case in ASCII only. Characters are code points; a byte that is no UTF-8 is one
 * character that only . and negated classes match.
 */
#ifndef FARTHING_EXPR_REGEX_H
#define FARTHING_EXPR_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

enum { REGEX_REPEAT_MAX = 1000, REGEX_DEPTH_MAX = 32, REGEX_PROGRAM_MAX = 8192 };

struct regex;

/* The pattern is valid UTF-8.  ERR_INPUT or ERR_LIMIT, with the byte of the pattern in *offset. */
enum status regex_compile(struct arena *arena, struct text pattern, const struct regex **out,
                          size_t *offset, struct error *err);
/* How many instructions it has: the work for each character of a text is at most this. */
uint32_t regex_size(const struct regex *regex);
/* Does some part of text match?  Scratch is given back. */
bool regex_search(const struct regex *regex, struct text text, struct arena *scratch);

#endif
