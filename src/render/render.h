/* render.h - bills as text: the files that `farthing bill` writes and reads again.
 *
 *     struct bill --render_bill_json--> a line of bills.ndjson     head, sections, proof, digests
 *                 --render_lines_csv--> rows of lines.csv           every line
 *     rows        --render_usage_csv--> rows of usage.csv           what explain reads
 *     priced      --render_closing-----> lines of closing.ndjson    state for the next period
 *     row of lines.csv --parse_line---> struct line                 for show, explain, --billed
 *
 * The formats are described for users in doc/output.md.  They are for machines: no locale, times in
 * UTC, decimals in full.
 */
#ifndef FARTHING_RENDER_RENDER_H
#define FARTHING_RENDER_RENDER_H

#include "bill/bill.h"

/* What a bill names of its inputs. */
struct inputs {
    struct text catalog_digest, accounts_digest, zones_digest, opening_digest;
    struct text rules; /* version of the rules of this program */
};
/* The object that bills say them with: once for all bills. */
struct text render_inputs(struct arena *arena, const struct inputs *inputs);

/* What bills, lines and rows repeat, remembered from bill to bill; of one thread, and of one
 * catalog with its accounts and series.  room_bytes: what it may take, more or less. */
struct writer;
struct writer *writer_new(struct arena *arena, size_t room_bytes);

/* Asks memory for what is remembered of rows of a series, some time before they are rendered. */
void writer_ask(const struct writer *writer, uint32_t series);

void render_bill_json(struct writer *writer, struct buffer *out, const struct catalog *catalog,
                      const struct accounts *accounts, const struct bill *bill,
                      struct text inputs); /* of render_inputs */

extern const char LINES_HEADER[]; /* with its newline */
/* Lines [first, first + count) of the bill. */
void render_lines_csv(struct writer *writer, struct buffer *out, const struct bill *bill,
                      uint32_t first, uint32_t count);
/* A row of lines.csv without its newline; texts point into row or the arena. *bill gets the first
 * column. ERR_INPUT. */
enum status parse_line(struct arena *arena, struct text row, struct line *line, struct text *bill,
                       struct error *err);

/* Usage and exclusions have one more column where there are views: the contract of the payer when
 * it is a view's.  Headers end with their newline; VIEWS_HEADER goes before that. */
#define VIEWS_HEADER ",contract"

extern const char USAGE_HEADER[];
void render_usage_csv(struct writer *writer, struct buffer *out, const struct pricing *pricing,
                      struct text payer, const struct usage_row *rows, uint32_t count);

/* A row of usage.csv, with its names; resource and dimensions as bill_encode and
 * bill_dimensions write them. */
struct usage_text {
    struct text payer, account, meter, sku, resource, dimensions;
    struct text contract; /* of a view; empty */
    struct period slot;
    struct dec quantity;
    struct total total; /* but for bound, which no file has */
    bool is_event;      /* a row of one event: */
    struct event_name event;
};
/* Without its newline; has_views: it has the column of VIEWS_HEADER. Texts point into row or the
 * arena. ERR_INPUT. */
enum status parse_usage(struct arena *arena, struct text row, bool has_views,
                        struct usage_text *usage, struct error *err);
/* The row that it was, its series in the table. base: what slot_s counts from. ERR_NOT_FOUND when
 * catalog or accounts lack what it names. */
enum status usage_row_make(struct arena *arena, const struct usage_text *usage,
                           const struct catalog *catalog, const struct accounts *accounts,
                           instant base, struct series_table *series, struct usage_row *row,
                           struct error *err);

extern const char EXCLUSIONS_HEADER[];
void render_exclusions_csv(struct buffer *out, const struct catalog *catalog,
                           const struct accounts *accounts, struct text payer, struct text contract,
                           const struct excluded *excluded, uint32_t count);

/* Bucket states, then the meter states that go on (book_states). */
void render_closing(struct buffer *out, const struct pricing *pricing, const struct priced *priced,
                    const struct meter_state *states, uint32_t state_count);
/* Before the levels of a payer that has had no bill yet. */
void render_closing_waits(struct buffer *out, const struct catalog *catalog,
                          const struct accounts *accounts, uint32_t payer, instant at);
/* In place of the states of a payer that could not be billed. */
void render_closing_failed(struct buffer *out, const struct catalog *catalog,
                           const struct accounts *accounts, uint32_t payer, struct period failed);

/* The state of an average, or of samples, whose slot the bill has cut: an average's, or a line of
 * samples, each one added in order between begin and end. */
void render_average_state(struct buffer *out, const struct pricing *pricing,
                          const struct usage_row *row, uint64_t count, struct dec sum);
void render_samples_begin(struct buffer *out, const struct pricing *pricing,
                          const struct usage_row *row);
void render_sample_key(struct buffer *out, struct text key);
void render_sample_value(struct buffer *out, struct dec value, uint64_t count);
void render_samples_end(struct buffer *out);

/* A CSV field: quoted when it must be. */
void add_csv_text(struct buffer *out, struct text text);
void add_decimal(struct buffer *out, struct dec value);
void add_time(struct buffer *out, instant at);
void add_print(struct buffer *out, uint64_t print);
/* Members of a JSON object: a comma where one stands before. */
static inline void add_json_key(struct buffer *out, const char *key)
{
    size_t size = strlen(key);
    char *at = buffer_reserve(out, size + 4);
    if (out->size > 0 && at[-1] != '{') {
        *at++ = ',';
    }
    *at++ = '"';
    memcpy(at, key, size);
    memcpy(at + size, "\":", 2);
    out->size = (size_t)(at + size + 2 - out->at);
}
static inline void add_json_text(struct buffer *out, const char *key, struct text value)
{
    add_json_key(out, key);
    buffer_add_json(out, value);
}

static inline void add_json_decimal(struct buffer *out, const char *key, struct dec value)
{
    add_json_key(out, key);
    buffer_add_char(out, '"');
    add_decimal(out, value);
    buffer_add_char(out, '"');
}

static inline void add_json_count(struct buffer *out, const char *key, uint64_t value)
{
    add_json_key(out, key);
    buffer_add_u64(out, value);
}

static inline void add_json_time(struct buffer *out, const char *key, instant at)
{
    add_json_key(out, key);
    buffer_add_char(out, '"');
    char *to = buffer_reserve(out, TIME_FORMAT_MAX);
    out->size += (size_t)time_format(at, to);
    buffer_add_char(out, '"');
}

static inline void add_json_print(struct buffer *out, const char *key, uint64_t print)
{
    add_json_key(out, key);
    buffer_add_char(out, '"');
    add_print(out, print);
    buffer_add_char(out, '"');
}

/* Splits a CSV row; unquoted fields point into it. Returns the number of fields, or max + 1 when
 * there are more, or -1 when quotes are wrong. */
int split_csv(struct arena *arena, struct text row, struct text *fields, int max);

#endif
