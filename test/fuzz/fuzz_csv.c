/* fuzz_csv.c - a header and rows: a row quoted field by field means what it means without quotes,
 * and what is accepted has a canonical form that is a JSON event of the same fingerprint.
 *
 * The first line of the input is the header.  A column named quantity is a number.
 */
#include <stdint.h>
#include <stdlib.h>

#include "outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void stop(const char *what)
{
    fprintf(stderr, "fuzz_csv: %s\n", what);
    abort();
}

static struct text next_line(const char **at, const char *end)
{
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    struct text line = {*at, (size_t)((newline ? newline : end) - *at)};
    *at = newline ? newline + 1 : end;
    return line;
}

/* The same row with every field in quotes. */
static struct text quote_fields(struct arena *arena, struct text row, char separator)
{
    struct buffer out;
    buffer_init(&out, arena, row.size + 64);
    buffer_add_char(&out, '"');
    for (size_t i = 0; i < row.size; i++) {
        if (row.at[i] == separator) {
            buffer_add_char(&out, '"');
            buffer_add_char(&out, separator);
            buffer_add_char(&out, '"');
        } else {
            buffer_add_char(&out, row.at[i]);
        }
    }
    buffer_add_char(&out, '"');
    return buffer_text(&out);
}

static void check_row(struct decoder *decoder, struct arena *arena, const struct csv_header *header,
                      struct text row, char separator)
{
    struct outcome outcome;
    struct sink sink = outcome_start(&outcome, arena, row);
    decode_csv_row(decoder, header, row, &sink);
    if (outcome.event_count + outcome.refused_count > 1) {
        stop("a row gives more than one record");
    }
    if (!outcome_compare_next(decoder, arena, header, row, false, &outcome)) {
        stop("a row among others is another one");
    }
    if (outcome.event_count == 1) {
        struct text canonical;
        const char *fault =
            outcome_check_canonical(decoder, arena, &outcome, 0, header, &canonical);
        if (fault) {
            stop(fault);
        }
    }
    bool has_return = row.size > 0 && row.at[row.size - 1] == '\r';
    if (row.size == 0 || has_return || memchr(row.at, '"', row.size) ||
        row.size > LINE_MAX_BYTES / 4) {
        return;
    }
    struct text quoted = quote_fields(arena, row, separator);
    struct outcome other;
    sink = outcome_start(&other, arena, quoted);
    decode_csv_row(decoder, header, quoted, &sink);
    if (other.event_count != outcome.event_count || other.last_refusal != outcome.last_refusal) {
        stop("quotes change what a row is");
    }
    if (other.event_count == 1 && other.prints[0] != outcome.prints[0]) {
        stop("quotes change the print");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    static const char SEPARATORS[] = {',', ';', '\t'};
    static const struct csv_column QUANTITY = {{"quantity", 8}, {"data.quantity", 13}, true};
    static const struct csv_constant SOURCE = {{"source", 6}, {"billing-export", 14}};
    for (int form = 0; form < 12; form++) {
        struct arena own, scratch;
        arena_init(&own, NULL, 0);
        arena_init(&scratch, NULL, 0);
        struct decoder *decoder = decoder_new(&own);
        const char *at = (const char *)data;
        const char *end = at + size_bytes;
        char separator = SEPARATORS[form % 3];
        const struct csv_mapping mapping = {.separator = separator,
                                            .columns = &QUANTITY,
                                            .column_count = form / 3 % 2 == 1,
                                            .constants = &SOURCE,
                                            .constant_count = form / 6 == 1};
        const struct csv_header *header;
        struct error err;
        struct text line = size_bytes ? next_line(&at, end) : (struct text){"", 0};
        if (csv_header_read(&scratch, line, form == 0 ? NULL : &mapping, &header, &err) == OK) {
            while (at < end) {
                check_row(decoder, &scratch, header, next_line(&at, end), separator);
            }
        }
        arena_release(&scratch);
        arena_release(&own);
    }
    return 0;
}
