/* table.h - tables for people: texts in columns, numbers under their points, names that cannot lie.
 *
 *     rows --table_measure--> widths        first pass over the rows
 *     rows --table_row------> pieces of text --write--> ...        second pass, table_end
 *
 * Two passes over the same rows, so that a table of any length takes the memory of a few hundred
 * rows and every piece has the same columns.  libsmartcols sets the text.
 *
 * Names come from strangers: whatever would hide, reorder or look like something else in a terminal
 * is shown as \u{202e}, a byte that is no UTF-8 as \xff, a backslash as \\.  So two names that
 * differ by their bytes differ on the screen.
 */
#ifndef FARTHING_RENDER_TABLE_H
#define FARTHING_RENDER_TABLE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

/* Where text goes; anything but 0 is an error. */
struct sink_text {
    int (*write)(void *context, const char *bytes, size_t size);
    void *context;
};
/* ERR_IO when the writer says so. */
enum status sink_write(const struct sink_text *sink, struct text text, struct error *err);

/* The text as a terminal may show it. */
void add_shown(struct buffer *out, struct text text);
/* How many columns of a terminal it takes; of what add_shown has made. */
int shown_width(struct text text);

/* A CSV field for a spreadsheet: a text that could be taken for a formula gets an apostrophe before
 * it (and quotes). For texts only: a negative number is none. */
void add_csv_safe(struct buffer *out, struct text text);

enum { TABLE_COLUMNS_MAX = 16 };

enum column_kind {
    COLUMN_TEXT,
    COLUMN_RIGHT,  /* counts */
    COLUMN_DECIMAL /* to the right, points under points */
};
struct table_column {
    const char *title;
    enum column_kind kind;
    bool is_spare;  /* left out first where the window is narrow */
    bool is_hidden; /* set it between the passes: a column that is empty in every row, say */
    int width;      /* measured */
    int fraction;   /* characters from the point on */
};

struct table {
    struct arena *arena; /* rewound at each piece */
    const struct sink_text *sink;
    bool is_terminal; /* bold heads, lines that fit the window where they can */
    bool is_ascii;    /* there is no locale to measure other letters in */
    bool is_fitted;
    struct table_column columns[TABLE_COLUMNS_MAX];
    int column_count;
    bool has_headings;
    void *piece; /* of libsmartcols */
    int piece_rows;
};

void table_init(struct table *table, struct arena *arena, const struct sink_text *sink,
                bool is_terminal);
void table_add_column(struct table *table, const char *title, enum column_kind kind);
/* cells[column_count]; empty ones do not make a column wider than its title. */
void table_measure(struct table *table, const struct text *cells);
/* No column that was empty in all rows that were measured. */
void table_hide_empty(struct table *table);
/* Begins a table of these columns, after they were measured; is_titled: with its headings. */
void table_begin(struct table *table, bool is_titled);
enum status table_row(struct table *table, const struct text *cells, struct error *err);
enum status table_end(struct table *table, struct error *err);
/* Frees what an error left behind. */
void table_drop(struct table *table);

#endif
