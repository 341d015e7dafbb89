/* table.c - see table.h.
 *
 * libsmartcols measures texts in the locale of the thread; it gets C.UTF-8 while it is called, so
 * that the locale of the process changes nothing.
 */
#include "render/table.h"

#include <assert.h>
#include <libsmartcols/libsmartcols.h>
#include <locale.h>
#include <stdlib.h>
#include <wchar.h>

#include "render/render.h"

enum { PIECE_ROWS = 256, CELL_SHOWN_MAX = 4096, TEXT_WIDTH_MIN = 16 };

enum status sink_write(const struct sink_text *sink, struct text text, struct error *err)
{
    if (text.size > 0 && sink->write(sink->context, text.at, text.size) != 0) {
        return fail(err, ERR_IO, "the output could not be written");
    }
    return OK;
}

/* ---- names that cannot lie ------------------------------------------------------------------ */

/* The code point at the start of a text that is UTF-8, and its size; size 0 when it is none. */
static uint32_t read_point(struct text text, size_t *size)
{
    unsigned char first = (unsigned char)text.at[0];
    size_t want = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    *size = want;
    if (want > text.size || !text_is_utf8((struct text){text.at, want})) {
        *size = 0;
        return first;
    }
    uint32_t point = want == 1 ? first : first & (0x7Fu >> want);
    for (size_t i = 1; i < want; i++) {
        point = point << 6 | ((unsigned char)text.at[i] & 0x3F);
    }
    return point;
}

/* Controls; what has no width or turns the direction of writing; marks that make an e and an acute
 * out of what looks like one letter; spaces that look like others. */
static bool is_hidden(uint32_t point)
{
    static const uint32_t RANGES[][2] = {
        {0x00, 0x1F},       {0x7F, 0xA0},     {0xAD, 0xAD},       {0x0300, 0x036F},
        {0x061C, 0x061C},   {0x115F, 0x1160}, {0x17B4, 0x17B5},   {0x180B, 0x180F},
        {0x2000, 0x200F},   {0x2028, 0x202F}, {0x205F, 0x206F},   {0x3000, 0x3000},
        {0x3164, 0x3164},   {0xE000, 0xF8FF}, {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},
        {0xFFA0, 0xFFA0},   {0xFFF0, 0xFFFF}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},
        {0xE0000, 0x10FFFF}};
    for (size_t i = 0; i < sizeof RANGES / sizeof *RANGES; i++) {
        if (point >= RANGES[i][0] && point <= RANGES[i][1]) {
            return true;
        }
    }
    return false;
}

static bool is_plain(char c)
{
    return c >= ' ' && c <= '~' && c != '\\';
}

/* Nobody sees a blank at an end of a name. */
static bool is_at_end(struct text text, size_t at)
{
    return text.at[at] == ' ' && (at == 0 || at + 1 == text.size);
}

static void add_shown_in(struct buffer *out, struct text text, bool is_ascii)
{
    for (size_t at = 0, plain = 0; at < text.size; at += plain, plain = 0) {
        while (at + plain < text.size && is_plain(text.at[at + plain]) &&
               !is_at_end(text, at + plain)) {
            plain++;
        }
        if (plain > 0) {
            buffer_add(out, text.at + at, plain);
            continue;
        }
        size_t size;
        uint32_t point = read_point((struct text){text.at + at, text.size - at}, &size);
        if (size == 0) {
            buffer_format(out, "\\x%02x", point);
            size = 1;
        } else if (is_hidden(point) || point == ' ' || (is_ascii && point > '~')) {
            buffer_format(out, "\\u{%x}", point);
        } else if (point == '\\') {
            buffer_add_text(out, TEXT("\\\\"));
        } else {
            buffer_add(out, text.at + at, size);
        }
        plain = size;
    }
}

void add_shown(struct buffer *out, struct text text)
{
    add_shown_in(out, text, false);
}

/* The thread's locale while libsmartcols and wcwidth are at work; none on a system that was
 * stripped of it. */
static locale_t take_utf8(locale_t *before)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    *before = utf8 ? uselocale(utf8) : (locale_t)0;
    return utf8;
}

static void give_utf8(locale_t utf8, locale_t before)
{
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
}

int shown_width(struct text text)
{
    int width = 0;
    bool is_ascii = true;
    for (size_t i = 0; i < text.size; i++) {
        is_ascii &= (unsigned char)text.at[i] < 0x80;
    }
    if (is_ascii) {
        return (int)text.size;
    }
    locale_t before, utf8 = take_utf8(&before);
    for (size_t at = 0; at < text.size;) {
        size_t size;
        uint32_t point = read_point((struct text){text.at + at, text.size - at}, &size);
        int cells = size > 0 && utf8 ? wcwidth((wchar_t)point) : 1;
        width += cells > 0 ? cells : 0;
        at += size > 0 ? size : 1;
    }
    give_utf8(utf8, before);
    return width;
}

void add_csv_safe(struct buffer *out, struct text text)
{
    char first = text.size > 0 ? text.at[0] : 'x';
    if (first != '=' && first != '+' && first != '-' && first != '@' && first != '\t' &&
        first != '\r') {
        add_csv_text(out, text);
        return;
    }
    buffer_add_text(out, TEXT("\"'"));
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == '"') {
            buffer_add_char(out, '"');
        }
        buffer_add_char(out, text.at[i]);
    }
    buffer_add_char(out, '"');
}

/* ---- tables --------------------------------------------------------------------------------- */

void table_init(struct table *table, struct arena *arena, const struct sink_text *sink,
                bool is_terminal)
{
    locale_t before, utf8 = take_utf8(&before);
    *table =
        (struct table){.arena = arena, .sink = sink, .is_terminal = is_terminal, .is_ascii = !utf8};
    give_utf8(utf8, before);
}

void table_add_column(struct table *table, const char *title, enum column_kind kind)
{
    assert(table->column_count < TABLE_COLUMNS_MAX);
    table->columns[table->column_count++] = (struct table_column){.title = title, .kind = kind};
}

/* libsmartcols does not come to an end with what the locale cannot read: then letters are shown by
 * their code points too. */
static struct text shown(struct table *table, struct text cell)
{
    struct buffer out;
    buffer_init(&out, table->arena, cell.size + 8);
    if (cell.size > CELL_SHOWN_MAX) {
        add_shown_in(&out, (struct text){cell.at, CELL_SHOWN_MAX}, table->is_ascii);
        buffer_add_text(&out, TEXT("..."));
    } else {
        add_shown_in(&out, cell, table->is_ascii);
    }
    buffer_add_char(&out, '\0');
    return (struct text){out.at, out.size - 1};
}

/* Characters from the point on. */
static int fraction_of(struct text number)
{
    const char *point = number.size > 0 ? memchr(number.at, '.', number.size) : NULL;
    return point ? (int)(number.at + number.size - point) : 0;
}

void table_measure(struct table *table, const struct text *cells)
{
    struct arena_mark mark = arena_mark(table->arena);
    for (int i = 0; i < table->column_count; i++) {
        struct table_column *column = &table->columns[i];
        struct text cell = shown(table, cells[i]);
        int width = shown_width(cell);
        if (column->kind == COLUMN_DECIMAL && cell.size > 0) {
            /* The width is that of what stands before the points, until the rows are known. */
            int fraction = fraction_of(cell);
            column->fraction = fraction > column->fraction ? fraction : column->fraction;
            width -= fraction;
        }
        column->width = width > column->width ? width : column->width;
    }
    arena_rewind(table->arena, mark);
}

void table_hide_empty(struct table *table)
{
    for (int i = 0; i < table->column_count; i++) {
        table->columns[i].is_hidden |= table->columns[i].width == 0;
    }
}

/* The characters of a column; of a hidden one none. */
static int full_width(const struct table_column *column)
{
    int width = column->width + (column->kind == COLUMN_DECIMAL ? column->fraction : 0);
    int title = (int)strlen(column->title);
    return column->is_hidden ? 0 : width > title ? width : title;
}

static int line_width(const struct table *table)
{
    int width = 0;
    for (int i = 0; i < table->column_count; i++) {
        width += full_width(&table->columns[i]) + !table->columns[i].is_hidden;
    }
    return width - 1;
}

/* Spare columns go, then texts are broken, the widest first; numbers never are. */
static void fit_window(struct table *table, int window)
{
    for (int i = 0; i < table->column_count && line_width(table) > window; i++) {
        table->columns[i].is_hidden |= table->columns[i].is_spare;
    }
    while (line_width(table) > window) {
        struct table_column *widest = NULL;
        for (int i = 0; i < table->column_count; i++) {
            struct table_column *column = &table->columns[i];
            if (column->kind == COLUMN_TEXT && !column->is_hidden &&
                column->width > TEXT_WIDTH_MIN && (!widest || column->width > widest->width)) {
                widest = column;
            }
        }
        if (!widest) {
            return;
        }
        widest->width--;
    }
}

void table_begin(struct table *table, bool is_titled)
{
    table->has_headings = is_titled;
    if (table->is_terminal && !table->is_fitted) {
        struct libscols_table *piece = scols_new_table();
        size_t window = piece ? scols_table_get_termwidth(piece) : 0;
        if (window > 0) {
            fit_window(table, (int)window);
        }
        scols_unref_table(piece);
        table->is_fitted = true;
    }
}

static struct libscols_table *open_piece(struct table *table)
{
    struct libscols_table *piece = scols_new_table();
    if (!piece) {
        return NULL;
    }
    scols_table_enable_noencoding(piece, 1); /* add_shown has done it */
    scols_table_enable_noheadings(piece, !table->has_headings);
    scols_table_enable_colors(piece, table->is_terminal);
    scols_table_set_termforce(piece, SCOLS_TERMFORCE_NEVER); /* cells have their widths */
    for (int i = 0; i < table->column_count; i++) {
        const struct table_column *column = &table->columns[i];
        if (column->is_hidden) {
            continue;
        }
        struct libscols_column *made = scols_table_new_column(
            piece, column->title, 0, column->kind != COLUMN_TEXT ? SCOLS_FL_RIGHT : 0);
        if (!made) {
            scols_unref_table(piece);
            return NULL;
        }
        if (table->is_terminal) {
            (void)scols_cell_set_color(scols_column_get_header(made), "bold");
        }
    }
    return piece;
}

static enum status no_memory(struct error *err)
{
    return fail(err, ERR_LIMIT, "no memory for a table");
}

/* Each line without the blanks at its end. */
static enum status write_lines(const struct sink_text *sink, struct text text, struct error *err)
{
    while (text.size > 0) {
        const char *newline = memchr(text.at, '\n', text.size);
        size_t size = newline ? (size_t)(newline - text.at) : text.size, used = size;
        while (used > 0 && text.at[used - 1] == ' ') {
            used--;
        }
        TRY(sink_write(sink, (struct text){text.at, used}, err));
        TRY(sink_write(sink, TEXT("\n"), err));
        size += newline != NULL;
        text = (struct text){text.at + size, text.size - size};
    }
    return OK;
}

/* A piece goes out; the next has no headings. */
static enum status flush_piece(struct table *table, struct error *err)
{
    if (!table->piece) {
        return OK;
    }
    locale_t before, utf8 = take_utf8(&before);
    char *string = NULL;
    int failed = scols_print_table_to_string(table->piece, &string);
    give_utf8(utf8, before);
    table_drop(table);
    table->has_headings = false;
    if (failed || !string) {
        free(string);
        return no_memory(err);
    }
    enum status status = write_lines(table->sink, text_of(string), err);
    free(string);
    return status;
}

/* Takes the first width characters off the text; breaks it behind a blank or a separator when there
 * is one. */
static struct text take_width(struct text *rest, int width)
{
    size_t size = 0, good = 0;
    for (int used = 0; size < rest->size;) {
        size_t step = 1;
        while (size + step < rest->size && ((unsigned char)rest->at[size + step] & 0xC0) == 0x80) {
            step++;
        }
        int cells = shown_width((struct text){rest->at + size, step});
        if (size > 0 && used + cells > width) {
            size = good > 0 ? good : size;
            break;
        }
        used += cells;
        size += step;
        char last = rest->at[size - 1];
        good = last == ' ' || last == ';' || last == ',' || last == '.' ? size : good;
    }
    struct text taken = {rest->at, size};
    *rest = (struct text){rest->at + size, rest->size - size};
    return taken;
}

/* The text in a cell of the column's width, with blanks around it: so that all pieces are alike,
 * and points stand under points.  Nothing stands behind a text that ends the line. */
static const char *pad_cell(struct table *table, const struct table_column *column,
                            struct text text, bool is_last)
{
    int width = shown_width(text), full = full_width(column);
    int after = column->kind == COLUMN_DECIMAL && text.size > 0
                    ? column->fraction - fraction_of(text)
                : column->kind == COLUMN_TEXT ? full - width
                                              : 0;
    int before = column->kind == COLUMN_TEXT ? 0 : full - width - after;
    after = is_last && column->kind == COLUMN_TEXT ? 0 : after;
    return text_format(table->arena, "%*s%.*s%*s", before > 0 ? before : 0, "", TEXT_ARG(text),
                       after > 0 ? after : 0, "")
        .at;
}

static int last_visible(const struct table *table)
{
    int last = table->column_count - 1;
    while (last > 0 && table->columns[last].is_hidden) {
        last--;
    }
    return last;
}

/* One line of the window: what of each cell fits; *is_done when nothing is left. */
static bool add_line(struct table *table, struct text *rests, bool *is_done)
{
    struct libscols_line *line = scols_table_new_line(table->piece, NULL);
    bool failed = !line;
    size_t at = 0; /* hidden columns are none of the piece's */
    int last = last_visible(table);
    *is_done = true;
    for (int i = 0; i < table->column_count && !failed; i++) {
        const struct table_column *column = &table->columns[i];
        if (!column->is_hidden) {
            struct text text =
                column->kind == COLUMN_TEXT ? take_width(&rests[i], full_width(column)) : rests[i];
            rests[i] = column->kind == COLUMN_TEXT ? rests[i] : TEXT("");
            *is_done &= rests[i].size == 0;
            failed = scols_line_set_data(line, at++, pad_cell(table, column, text, i == last)) != 0;
        }
    }
    return !failed;
}

enum status table_row(struct table *table, const struct text *cells, struct error *err)
{
    struct arena_mark mark = arena_mark(table->arena);
    struct text rests[TABLE_COLUMNS_MAX];
    for (int i = 0; i < table->column_count; i++) {
        rests[i] = shown(table, cells[i]);
    }
    if (!table->piece) {
        table->piece = open_piece(table);
    }
    bool is_done = false, failed = !table->piece;
    while (!is_done && !failed) {
        failed = !add_line(table, rests, &is_done);
    }
    arena_rewind(table->arena, mark);
    if (failed) {
        table_drop(table);
        return no_memory(err);
    }
    return ++table->piece_rows == PIECE_ROWS ? flush_piece(table, err) : OK;
}

enum status table_end(struct table *table, struct error *err)
{
    return flush_piece(table, err);
}

void table_drop(struct table *table)
{
    if (table->piece) {
        scols_unref_table(table->piece);
        table->piece = NULL;
    }
    table->piece_rows = 0;
}
