/* record.h - what the readers of decode/ share; of no interest outside.
 *
 *     json_general --+
 *     json_fast -----+--> struct event, record_print
 *     csv -----------+
 *
 * A reader that can meet anything fills a struct draft, notes in a finding what it sees, and lets
 * record_judge decide, so that JSON and CSV refuse for the same reasons in the same order.
 */
#ifndef FARTHING_DECODE_RECORD_H
#define FARTHING_DECODE_RECORD_H

#include "base/arena.h"
#include "decode/decode.h"
#include "decode/event.h"

enum {
    FAST_MAX_BYTES = 16 * 1024,                 /* a longer line goes the general way */
    PRINT_MAX_BYTES = 4 * (ATTRIBUTE_MAX_BYTES + 1) + 8,
};

struct decoder {
    struct arena *arena;
    struct arena_mark empty; /* of the arena, when nothing is decoded */
    struct member members[MEMBERS_MAX];
    /* Where each member stands in its record (general JSON, CSV), and which column or constant it is from (CSV). */
    size_t offsets[MEMBERS_MAX];
    uint32_t targets[MEMBERS_MAX];
    unsigned char print_bytes[PRINT_MAX_BYTES];
    uint16_t marks[FAST_MAX_BYTES + 64]; /* positions of quotes or separators */
};

/* ---- findings ------------------------------------------------------------------------------ */

/* Keeps the first reason in order of enum refusal, and the first place of that reason.
 * what and shown (either may be empty) become "what: shown". */
void finding_note(struct finding *finding, enum refusal refusal, size_t offset, const char *what,
                  struct text shown);

enum refusal refusal_of_number(enum number_fault fault);

/* Offset of the first byte that is no valid UTF-8; size when all is valid. */
size_t utf8_fault(struct text text);
bool has_control(struct text text);

/* ---- judgement ----------------------------------------------------------------------------- */

enum attribute {
    ATTRIBUTE_SPECVERSION,
    ATTRIBUTE_ID,
    ATTRIBUTE_SOURCE,
    ATTRIBUTE_TYPE,
    ATTRIBUTE_SUBJECT,
    ATTRIBUTE_TIME,
    ATTRIBUTES,
    ATTRIBUTE_NONE = ATTRIBUTES
};
extern const char *const ATTRIBUTE_NAMES[ATTRIBUTES];
enum attribute attribute_find(struct text name);

enum field_state { FIELD_ABSENT, FIELD_TEXT, FIELD_NUMBER, FIELD_OTHER };
struct field {
    enum field_state state;
    struct text text; /* of a text or number */
    size_t offset;
};

struct draft {
    struct field attributes[ATTRIBUTES];
    uint32_t member_count; /* all that data has, though only MEMBERS_MAX are kept */
};

/* Notes what is wrong with the attributes; when the finding is empty then, fills the event and
 * returns true.  The draft's members are the decoder's. */
bool record_judge(struct decoder *decoder, const struct draft *draft, struct finding *finding,
                  struct event *event);

/* Notes a member of data; its value is given by the caller in the returned slot, NULL when there are too many. */
struct member *draft_add(struct decoder *decoder, struct draft *draft, uint64_t path,
                         size_t offset);

/* The fingerprint of the content: a hash of the attributes plus one of each member. */
struct hash128 record_print(struct decoder *decoder, const struct event *event);

/* ---- scanning ------------------------------------------------------------------------------ */

/* What a line contains besides what it is scanned for. */
enum scan_flags {
    SCAN_ESCAPE = 1,  /* the escape character */
    SCAN_CONTROL = 2, /* U+0000..U+001F, U+007F */
    SCAN_HIGH = 4,    /* bytes from 0x80 on */
};
/* Positions of mark in text (64 to FAST_MAX_BYTES bytes) go to marks, followed by two positions of
 * the end; returns how many. */
size_t scan_marks(struct text text, char mark, char escape, uint16_t *marks,
                  unsigned *flags);

/* Reads the number that text begins with when it has at most 18 digits and no exponent, and returns its size; 0
 * when it is another one, or none.  What follows it is for the caller to judge. */
size_t scan_plain_number(struct text text, struct dec *number);
/* As dec_parse and time_parse, and as fast as the usual shapes allow. */
enum number_fault scan_number(struct text text, struct dec *number);
enum time_fault scan_time(struct text text, instant *at);

/* ---- sorting ------------------------------------------------------------------------------- */

/* By key, in place, without recursion, in n log n whatever the keys are. */
struct entry {
    struct text key;
    const void *value;
};
void entries_sort(struct entry *entries, size_t count);

/* ---- JSON ---------------------------------------------------------------------------------- */

struct text text_trim(struct text text); /* of JSON's blanks */

/* False when the fast scanner does not take the record; nothing is said about why. */
bool json_fast_read(struct decoder *decoder, struct text record, struct event *event);
/* False when the record is refused.  *data is the value of `data`, a yyjson_val, or NULL. */
bool json_general_read(struct decoder *decoder, struct text record, struct finding *finding,
                       struct event *event, const void **data);

/* ---- CSV ----------------------------------------------------------------------------------- */

/* Where a field goes. */
struct csv_target {
    enum attribute attribute; /* ATTRIBUTE_NONE: data, or nowhere */
    bool is_data, is_number;
    uint64_t path;            /* of data */
    struct text name;         /* "id", "data.x" */
    struct text value;        /* of a constant */
};
struct csv_header {
    char separator;
    uint32_t column_count, constant_count;
    const struct csv_target *targets; /* columns in order, then constants */
    /* The targets in data, sorted: key is the path with zero bytes between its names, value the target. */
    const struct entry *sorted;
    uint32_t sorted_count;
};
bool csv_read(struct decoder *decoder, const struct csv_header *header, struct text row,
              struct finding *finding, struct event *event);

#endif
