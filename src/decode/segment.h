/* segment.h - events in Farthing's own form: small, checked, quick to read again.
 *
 *     events --segment_add--> writer --segment_finish--> block (text)
 *     block --segment_open--> reader --segment_next--> event, event, ... end or fault
 *
 * A segment file is a row of blocks, each of which stands on its own, and an end block; files may
 * be put one behind another.  A block has the content of its events (event.h) and nothing else of
 * their records, in the order in which they were added.  What is read has the same canonical bytes
 * and the same fingerprint as what was written.
 *
 * ---- the format, version 1; little-endian, sizes in bytes --------------------------------------
 *
 * A block is a header of 64 bytes and a body:
 *
 *      0  8  magic: 89 46 53 45 47 0D 0A 1A
 *      8  2  version: 1
 *     10  2  kind: 1 events, 2 end
 *     12  4  count of events (end: 0)
 *     16  8  events of this file, since its start or the last end block: before this block; with
 *            those of the block at most 2^40
 *     24  4  size of the body (end: 0)
 *     28  4  0
 *     32  8  hash of the body: XXH3-64, seed 1
 *     40  8  least time, 48  8  greatest time: ns since 1970 (end: 0)
 *     56  8  hash of the 56 bytes before: XXH3-64, seed 2
 *
 * The body is a row of streams, each a u32 (size here), a u32 (size unpacked) and its bytes: as
 * they are when the two are equal, else a zstd frame.  Numbers in streams are varints (7 bits a
 * byte, the least first, the high bit when more follow) unless it says otherwise.  In order:
 *
 *     sizes     of the texts of the dictionary
 *     texts     their bytes
 *     plan      count of texts; unit of times (0 ns, 3 us, 6 ms, 9 s); first time, in units;
 *               count of subjects;
 *               count of shapes, and for each: the text of its data, its count of values, and for
 *               each value its coding (enum segment_coding) and, for BY_CODE and WORD_BY_CODE, its
 *               width in bits;
 *               count of tuples; the shape of each, the source of each, the type of each (texts),
 *               then for each the codes of those values of its shape that are IN_TUPLE
 *     tuples    of each event, w bits each (w: the least that holds count - 1), the first lowest
 *     subjects  of each event, the same
 *     sizes of times  2 bits an event: 1, 2, 4, 8 bytes
 *     times     less that of the event before, zigzag (2x, -2x-1)
 *     names of subjects, ids: two columns of text
 *     for each value of each shape that is not in tuples, over the events of that shape, a column
 *
 * The data of a shape is canonical JSON in which each value (text, number, true, false, null, {},
 * []) is a 0.  A column of codes is one stream of w bits each.  A column of numbers is two: a byte
 * each, 10 x digits after the point + size (0..8, or 9 for 16 bytes), and the mantissas, zigzag; an
 * event of data.quantity "12.50" as text is one in a column of decimals: 1250 and 2.  A column of
 * text is four streams:
 *
 *     patterns  count, then the size and bytes of each: a zero byte stands for a hexadecimal digit
 *     choice    a byte a text: its pattern, or 255; empty when there is one pattern for all
 *     digits    two a byte, the first high, each text beginning a new byte
 *     rest      size and bytes of each text of 255
 */
#ifndef FARTHING_DECODE_SEGMENT_H
#define FARTHING_DECODE_SEGMENT_H

#include "base/arena.h"
#include "decode/decode.h"
#include "decode/event.h"

enum {
    SEGMENT_VERSION = 1,
    SEGMENT_HEADER_BYTES = 64,
    SEGMENT_EVENTS_MAX = 128 * 1024,
    SEGMENT_BODY_MAX_BYTES = 48 * 1024 * 1024, /* of a body, and of its streams unpacked */
    /* A block is full when it has so many values, or bytes of texts. */
    SEGMENT_VALUES_MAX = 512 * 1024,
    SEGMENT_TEXTS_MAX_BYTES = 16 * 1024 * 1024,
    SEGMENT_PADDING_BYTES = 64, /* that may be read behind a block */
};

/* Since the start of a file or its last end block: more than a GiB of blocks can have. */
#define SEGMENT_FILE_EVENTS_MAX (UINT64_C(1) << 40)

enum segment_kind { SEGMENT_EVENTS = 1, SEGMENT_END = 2 };

struct segment_header {
    enum segment_kind kind;
    uint32_t event_count, body_bytes;
    uint64_t events_before;
    uint64_t body_hash;
    instant from, last;
};

/* Whether bytes begin as a block does (8 are enough). */
bool segment_is_magic(const void *bytes, size_t size);
/* Of SEGMENT_HEADER_BYTES; false, with *fault set, when they are no header of this version. */
bool segment_header_read(const void *bytes, struct segment_header *header, const char **fault);

/* ---- writing -------------------------------------------------------------------------------- */

struct segment_writer; /* one a thread */

/* In the arena, which is the writer's alone from now on. */
struct segment_writer *segment_writer_new(struct arena *arena);
/* An event as a decoder has given it, with its record and the header of its file (NULL: JSON).  The
 * decoder is another one than that whose sink is at work.  ERR_INPUT as decode_canonical. */
enum status segment_add(struct segment_writer *writer, const struct event *event,
                        struct text record, const struct csv_header *header,
                        struct decoder *decoder, struct error *err);
uint32_t segment_count(const struct segment_writer *writer);
/* No more may be added before segment_finish. */
bool segment_is_full(const struct segment_writer *writer);
/* The block of what was added (at least one event); valid until the next segment_add. */
struct text segment_finish(struct segment_writer *writer, uint64_t events_before);
/* The block that ends a file of so many events. */
void segment_end(uint64_t events, char block[SEGMENT_HEADER_BYTES]);

/* ---- reading -------------------------------------------------------------------------------- */

struct segment_reader; /* one a thread */

/* In the arena, which is the reader's alone from now on. */
struct segment_reader *segment_reader_new(struct arena *arena);
/* A whole block of events, which must stay, with SEGMENT_PADDING_BYTES behind it.  False, with
 * *fault set, when it is damaged. */
bool segment_open(struct segment_reader *reader, struct text block, const char **fault);
/* The next event, which is the reader's and lives until the next call.  NULL at the end, or with
 * *fault set (else NULL) when the rest cannot be read: never of a block that a writer has made. */
const struct event *segment_next(struct segment_reader *reader, const char **fault);
/* How many have been read of the block. */
uint32_t segment_position(const struct segment_reader *reader);
/* Numbers of sources, subjects and tuples (struct event) of the open block are at most so many. */
uint32_t segment_source_count(const struct segment_reader *reader);
uint32_t segment_subject_count(const struct segment_reader *reader);
uint32_t segment_tuple_count(const struct segment_reader *reader);
/* Appends the canonical bytes (decode_canonical) of the event that was read last. */
void segment_canonical(const struct segment_reader *reader, struct buffer *out);

#endif
