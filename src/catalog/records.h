/* records.h - lines of CSV or NDJSON as rows of named texts, from bytes that are cut anywhere.
 *
 *     bytes --records_feed--> row(values by name) | fault(line, column, code, message)
 *
 * CSV is RFC 4180 but for newlines inside quotes, so that a damaged row ends at its line; the first
 * line names the columns.  An NDJSON line is one flat object whose members are texts, numbers or
 * null (as if absent), and true or false where the reader is told to take them. A file is NDJSON
 * when the first byte that is no blank is an opening brace. Names that are not in the vocabulary,
 * or twice in a line, are faults; the row is dropped, and the next one is read.  A reader may be
 * told to pass over names that are not.
 */
#ifndef FARTHING_CATALOG_RECORDS_H
#define FARTHING_CATALOG_RECORDS_H

#include "base/arena.h"
#include "base/text.h"

enum { RECORD_LINE_MAX_BYTES = 64 * 1024, RECORD_FIELDS_MAX = 24 };
enum { RECORD_OTHERS = RECORD_FIELDS_MAX }; /* the place of what is passed over */

struct record_row {
    uint32_t line;    /* from 1 */
    uint32_t present; /* bits by index of the vocabulary: in the header, or in the object */
    uint32_t numbers; /* members that are JSON numbers */
    struct text values[RECORD_FIELDS_MAX + 1]; /* empty when absent; live until the call returns */
    uint32_t columns[RECORD_FIELDS_MAX + 1];   /* byte in the line, from 1 */
};

struct record_sink {
    void *context;
    /* The header of a CSV file; false: the file is of no use, its rows are skipped.  NDJSON has
     * none. */
    bool (*header)(void *context, uint32_t present);
    void (*row)(void *context, const struct record_row *row);
    void (*fault)(void *context, uint32_t line, uint32_t column, const char *code,
                  const char *message, const char *hint);
};

struct record_reader;

/* names: at most RECORD_FIELDS_MAX, the first of equal ones counts.  aliases[i] is a second name of
 * names[i], or empty; aliases may be NULL. */
struct record_reader *records_new(struct arena *arena, const struct text *names,
                                  const struct text *aliases, uint32_t name_count,
                                  bool passes_others);
/* Lets the names of these bits be JSON truths, which are the texts true and false. */
void records_take_truths(struct record_reader *reader, uint32_t names);
/* One file after the other; last ends a file and makes the reader ready for the next. */
void records_feed(struct record_reader *reader, struct text bytes, bool last,
                  const struct record_sink *sink);

#endif
