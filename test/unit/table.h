/* table.h - reads test/table/<name>.tbl: one case in a line, fields between bars.
 *
 *     # what these rows show
 *     1e3            | NUM_OK     | 1000
 *     " 1"           | NUM_SYNTAX |              quotes keep blanks; "" is the empty text
 *     \xED\xA0\x80   | bad        |              any byte by its value; \t \n \r \\ \" \|
 *     \(9*1000000)   | NUM_LENGTH |              a text many times over
 *
 * Blank lines and lines that start with # are skipped.  A file that is missing or badly written
 * ends the program: a table that is not read tests nothing.
 */
#ifndef FARTHING_TEST_TABLE_H
#define FARTHING_TEST_TABLE_H

#include <stddef.h>

#include "base/text.h"

enum { TABLE_FIELDS_MAX = 16 };

struct table_row {
    int line;        /* counts from 1 */
    int field_count; /* fields behind these are empty */
    struct text fields[TABLE_FIELDS_MAX];
};

struct table {
    size_t row_count;
    struct table_row *rows;
};

struct table table_read(const char *name);
void table_free(struct table *table);

#endif
