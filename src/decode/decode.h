/* decode.h - bytes to events.
 *
 *     line of NDJSON (an event, or an array of events) --+
 *                                                        +--> sink(event) / sink(refusal), in order
 *     row of CSV + the mapping of its header ------------+
 *
 * A fast scanner takes the shapes that producers write: no escapes, flat data, a depth of two.
 * Whatever it does not take, and every refusal, goes to the general path on yyjson, which is the
 * authority: what the fast path accepts the general one accepts, with an equal event (fuzz_json
 * shows it).
 * Texts of an event point into the line or into the decoder's buffers and live until the next call.
 */
#ifndef FARTHING_DECODE_DECODE_H
#define FARTHING_DECODE_DECODE_H

#include "base/arena.h"
#include "decode/event.h"

/* Why and where a record was refused. offset is from the start of the line. */
struct finding {
    enum refusal refusal;
    size_t offset;
    struct text record; /* the bytes of the record: the line, or the batch's item */
    char detail[96];    /* e.g. the member's name; at most 64 bytes of input, printable ASCII */
};

struct sink {
    void *context;
    /* record_offset: of the event's first byte from the start of the line. */
    void (*event)(void *context, const struct event *event, size_t record_offset,
                  struct text record);
    void (*refused)(void *context, const struct finding *finding);
};

struct decoder; /* one a thread */

/* In the arena, which is the decoder's alone from now on: each call rewinds it to where it was
 * after decoder_new, so nothing else may be allocated there.  Usual records need no allocation at
 * all. */
struct decoder *decoder_new(struct arena *arena);

/* One line without its newline (a carriage return before it is dropped).  A blank line gives
 * nothing. first_of_file: where a byte order mark would stand.
 *
 * A line that begins with a bracket is a batch, each item of it a record of its own; items are told
 * apart by brackets and strings, so one that is no JSON is refused alone.  The whole line is
 * refused when its items cannot be told apart, when there are none (JSON_SYNTAX) or too many
 * (BATCH_LIMIT). */
void decode_json_line(struct decoder *decoder, struct text line, bool first_of_file,
                      const struct sink *sink);
/* The next line of those in rest, which is not empty, as decode_json_line of it; lines of shapes
 * that come again are sooner read so.  Returns its size with its newline.  A newline is where rest
 * ends, and DECODE_PADDING_BYTES from there may be read. */
enum { DECODE_PADDING_BYTES = 64 };
size_t decode_json_next(struct decoder *decoder, struct text rest, bool first_of_file,
                        const struct sink *sink);
/* Reads from now on rows of CSV as on a machine with no wider vectors (0: none, 1: 32 bytes), for
 * tests. */
void decoder_narrow(struct decoder *decoder, int width);
/* The general path alone, for the differential fuzzer. */
void decode_json_general(struct decoder *decoder, struct text line, bool first_of_file,
                         const struct sink *sink);

/* Where the value of JSON that begins at *at is over, behind its closing bracket, or, of another
 * value, before what ends it: *at is set.  False when the text ends inside of it.  It is walked,
 * not judged: what is in it may be no JSON. */
bool json_value_end(struct text text, size_t *at);

/* ---- CSV: RFC 4180 but for newlines inside quotes, so that a damaged row ends at its line ---- */

/* Which column goes where.  Declared in the catalog (csv:) or the default: columns named id,
 * source, type, subject, time are attributes, `specversion` is ignored, `data` is all of data as a
 * JSON object, any other column `x` or `data.x` is the text data.x; "number" columns must be
 * numbers; an empty field is a missing member.  In a row with JSON other columns of data are not
 * read. */
struct csv_column {
    struct text column; /* as in the header */
    /* "id", "source", "type", "subject", "time", "data", "data.x", "" to ignore. */
    struct text target;
    bool is_number;
};
struct csv_constant { /* for files that lack an attribute: source: "billing-export" */
    struct text target, value;
};
struct csv_mapping {
    char separator; /* ',' default; ';' and tab allowed */
    const struct csv_column *columns;
    uint32_t column_count;
    const struct csv_constant *constants;
    uint32_t constant_count;
};

struct csv_header; /* a mapping matched with one file's header */
/* A column that the mapping does not declare goes where it goes without a mapping; a dot in a
 * target of data makes an object (data.a.b).  The mapping may be NULL; it and the line may go after
 * the call.  ERR_INPUT names a declared column that the header lacks, a duplicate column or target,
 * an attribute that nothing gives (subject may be absent), a byte order mark ... */
enum status csv_header_read(struct arena *arena, struct text line,
                            const struct csv_mapping *mapping, const struct csv_header **header,
                            struct error *err);
/* A row alone, by the way that takes all of them. */
void decode_csv_row(struct decoder *decoder, const struct csv_header *header, struct text line,
                    const struct sink *sink);
/* As decode_json_next: usual rows are sooner read so.  The first line of a file is its header, and
 * gone over. */
size_t decode_csv_next(struct decoder *decoder, const struct csv_header *header, struct text rest,
                       bool first_of_file, const struct sink *sink);

/* ---- canonical form ---- */

/* Appends the canonical bytes of an event to out (in another arena than the decoder's): RFC
 * 8785-like JSON of {data, id, source, specversion, subject, time, type}, members sorted by bytes,
 * numbers in plain decimal notation, time in UTC.  With its constant specversion it is a record
 * itself, whose canonical form it is.  Of the records of one key in a set of files, the one with
 * the smallest canonical bytes is accepted.  record is what the sink was given; header is NULL for
 * JSON.  ERR_INPUT when it cannot be decoded (it was before: the file changed). */
enum status decode_canonical(struct decoder *decoder, struct text record,
                             const struct csv_header *header, struct buffer *out,
                             struct error *err);

#endif
