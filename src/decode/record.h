/* record.h - what the readers of decode/ share; of no interest outside.
 *
 *     json_general --+
 *     json_template -+
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
    SCAN_MIN_BYTES = 64, /* what is shorter or longer goes the general way */
    SCAN_MAX_BYTES = 16 * 1024,
    MEMBERS_FAST_MAX = 64, /* and holders: their paths are compared each with each */
    HOLDERS_MAX = MEMBERS_MAX * JSON_DEPTH_MAX, /* each holds a member, at most so deep */
};

/* A name of up to eight bytes in the object at parent, and its path. */
struct known_name {
    uint64_t word; /* its bytes, the first one lowest */
    size_t size;
    uint64_t parent, path;
};

/* ---- shapes that came before (json_template.c) --------------------------------------------- */

enum {
    TEMPLATES = 32,
    TEMPLATE_VALUES_MAX = 40,
    TEMPLATE_MEMBERS_MAX = 24,
    TEMPLATE_HOLDERS_MAX = 16,
    TEMPLATE_LITERAL_BYTES = 32, /* longer ones are cut */
};

/* What comes behind a literal; of texts with their last quote. */
enum template_kind {
    TEMPLATE_ATTRIBUTE, /* the rest of a text */
    TEMPLATE_MEMBER,    /* a text with its quotes, or a number */
    TEMPLATE_IGNORED,   /* the rest of a text */
    TEMPLATE_TIME,      /* the rest of a text */
    TEMPLATE_EPOCH,     /* the time, as a number */
    TEMPLATE_LITERAL,   /* another literal */
    TEMPLATE_END,       /* of the record */
};

struct template_value {
    uint8_t kind, index; /* of the attribute or member */
    uint8_t size;        /* of the literal */
    uint8_t same;        /* so many texts in a row had one size, or more */
    uint8_t changes;     /* of the size, while it is not steady */
    uint32_t usual;      /* the size of the last one */
    uint32_t mask;       /* the literal's bytes */
    /* Where in the decoder a text, what it adds to the fingerprint, and a member go. */
    uint32_t text_offset, print_offset, member_offset;
    uint64_t seed; /* of the hash of a text, for the fingerprint */
    uint64_t path; /* of a member */
    _Alignas(16) char literal[TEMPLATE_LITERAL_BYTES];
};

struct template {
    uint32_t value_count, member_count, word_count, holder_count;
    struct template_value values[TEMPLATE_VALUES_MAX];
    uint8_t words[TEMPLATE_MEMBERS_MAX];         /* members that are true, false, null or empty */
    struct member members[TEMPLATE_MEMBERS_MAX]; /* their paths; words in full */
    uint64_t holders[TEMPLATE_HOLDERS_MAX];
    uint64_t print; /* of the words */
};

struct templates {
    uint32_t count, last;                /* last: the one that matched last */
    uint32_t missed;                     /* records that had to be read in full */
    uint8_t alike[TEMPLATES][TEMPLATES]; /* so many values of two are the same, from the first on */
    struct template items[TEMPLATES];
};

/* ---- attributes ------------------------------------------------------------------------------ */

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

/* What a fast reader has found. */
struct attributes {
    struct text texts[ATTRIBUTES];
    uint64_t prints[ATTRIBUTES]; /* what each adds to the fingerprint, but version and time */
    uint64_t print;              /* of all that is content but the time */
};

/* How many bytes the machine looks at at once: bit by bit, 32, 64. */
enum scan_width { SCAN_NARROW, SCAN_MIDDLE, SCAN_WIDE };

/* The hour of the last time that was read: the next one is mostly in it. */
struct hour {
    uint64_t words[2]; /* its characters, "2026-10-01T07:" */
    instant at;
};

struct decoder {
    struct arena *arena;
    struct arena_mark empty; /* of the arena, when nothing is decoded */
    bool has_texts;          /* of a template: some that had escapes lie in the arena */
    enum scan_width width;
    struct hour hour;
    struct member members[MEMBERS_MAX];
    uint64_t holders[HOLDERS_MAX]; /* see struct event; a path may be there twice */
    uint32_t holder_count;         /* of this record, so far: 0 when a reader begins */
    /* Where each member stands in its record (general JSON, CSV), and which column or constant it
     * is from (CSV). */
    size_t offsets[MEMBERS_MAX];
    uint32_t targets[MEMBERS_MAX];
    /* Of the last record that json_fast has read, in the order of names. */
    struct known_name names[MEMBERS_FAST_MAX];
    uint64_t marks[SCAN_MAX_BYTES / 64 + 3]; /* of scan_marks: quotes or separators */
    struct templates templates;
    /* Of a record that has a known shape: */
    struct event event; /* what is the same in all was set when the decoder was made */
    struct text time;   /* unless that of the event is set; else no text */
    uint64_t other_print; /* of an attribute whose own is not asked for */
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

/* The same for a fast reader, which has seen to control characters and the version: when each
 * attribute is in order, fills the event from what it found and the decoder's members and returns
 * true.  False says that record_judge is to be asked. */
bool record_finish(struct decoder *decoder, const struct attributes *attributes,
                   uint32_t member_count, struct event *event);

/* The same where the event is filled, but for what its time adds to the print; and of the text of a
 * time, which decides as well. */
bool record_finish_event(struct event *event);
bool record_find_time(struct decoder *decoder, struct text text, instant *at);

/* Works out the fingerprint of what was found. */
void record_print_all(struct decoder *decoder, struct attributes *attributes,
                      uint32_t member_count);

/* Of the record that ends at end, or with the line where that is NULL: when it has a shape that
 * came before, with no escapes in names and no control characters, fills the decoder's event as
 * record_finish_event wants it, with its members and holders, and returns its size without what
 * ends the line; else 0.  The version is right.  A newline comes, and DECODE_PADDING_BYTES behind
 * it may be read. */
size_t template_read(struct decoder *decoder, const char *record, const char *end);
/* Sets what is the same in all events. */
void template_init(struct decoder *decoder);
/* Keeps the shape of a record that json_fast has read in full; the same may be read behind it. */
void template_learn(struct decoder *decoder, struct text record, uint32_t member_count);

/* Notes a member of data; its value is given by the caller in the returned slot, NULL when there
 * are too many. */
struct member *draft_add(struct decoder *decoder, struct draft *draft, uint64_t path,
                         size_t offset);

/* Notes an object or array of data that has something in it. What is beyond the room is in a record
 * with too many members. */
static inline void note_holder(struct decoder *decoder, uint64_t path)
{
    if (decoder->holder_count < HOLDERS_MAX) {
        decoder->holders[decoder->holder_count++] = path;
    }
}

/* The fingerprint of the content: the sum of a hash of each attribute and each member. */
uint64_t record_print(const struct event *event);
/* What an attribute, the time and a member add to it. */
uint64_t record_print_attribute(enum attribute attribute, struct text text);
uint64_t record_print_time(instant at);
uint64_t record_print_member(const struct member *member);

/* The hash of a text is of another seed at each place, so that equal bytes of another kind or at
 * another path are told apart. */
static inline uint64_t record_member_seed(uint64_t path, enum member_kind kind)
{
    return path + ((uint64_t)kind + 1) * UINT64_C(0x9E3779B97F4A7C15);
}
/* An attribute's, as a member's path is one. */
static inline uint64_t record_attribute_seed(enum attribute attribute)
{
    return (uint64_t)attribute * UINT64_C(0xD6E8FEB86659FD93);
}

/* The same byte eight times. */
#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* ---- scanning ------------------------------------------------------------------------------ */

/* What a line contains besides what it is scanned for. */
enum scan_flags {
    SCAN_ESCAPE = 1,  /* the escape character */
    SCAN_CONTROL = 2, /* U+0000..U+001F, U+007F */
    SCAN_HIGH = 4,    /* bytes from 0x80 on */
};
/* Bit i of word k is set where text[64 k + i] is mark.  A word of ones follows, beyond the text.
 * Returns the flags. */
unsigned scan_marks(struct text text, char mark, char escape, uint64_t *words);
/* The same on any machine: scan_marks takes it where the processor has nothing wider. */
unsigned scan_marks_narrow(struct text text, char mark, char escape, uint64_t *words);

/* The same of a line that ends at a newline, which need not have SCAN_MIN_BYTES; *size is its size,
 * SCAN_MAX_BYTES or a little more when it has more bytes.  Bytes behind the newline are read, fewer
 * than DECODE_PADDING_BYTES, and count for nothing. */
unsigned scan_line(enum scan_width width, const char *at, char mark, char escape, uint64_t *words,
                   size_t *size);
/* The widest one that the machine has, and no wider than that. */
enum scan_width scan_width_of(enum scan_width width);

/* Goes over the marks in order; each is an offset, and at least the text's size when there is none
 * left. */
struct marks {
    const uint64_t *word;
    uint64_t bits;
    size_t base;
};
static inline struct marks marks_start(const uint64_t *words)
{
    return (struct marks){words, words[0], 0};
}
static inline size_t marks_next(struct marks *marks)
{
    while (marks->bits == 0) {
        marks->bits = *++marks->word;
        marks->base += 64;
    }
    size_t at = marks->base + (size_t)__builtin_ctzll(marks->bits);
    marks->bits &= marks->bits - 1;
    return at;
}

/* Reads the number that text begins with when it has at most 18 digits and no exponent, and returns
 * its size; 0 when it is another one, or none.  What follows it is for the caller to judge. */
size_t scan_plain_number(struct text text, struct dec *number);
/* As dec_parse and time_parse, and as fast as the usual shapes allow.  around is what text may lie
 * in and be read ahead in, such as its row. */
enum number_fault scan_number(struct text text, struct text around, struct dec *number);
enum time_fault scan_time(struct text text, instant *at);
/* The same, sooner for a time in the same hour as the last one. */
enum time_fault scan_time_near(struct hour *hour, struct text text, instant *at);
/* The size of the time that begins at first and ends at a quote, when it is in that hour and of a
 * usual form; else 0.  25 bytes may be read. */
size_t scan_time_ahead(const struct hour *hour, const char *first, instant *at);

/* ---- sorting ------------------------------------------------------------------------------- */

/* By key, in place, without recursion, in n log n whatever the keys are. */
struct entry {
    struct text key;
    const void *value;
};
void entries_sort(struct entry *entries, size_t count);

/* ---- JSON ---------------------------------------------------------------------------------- */

/* The value of the escape \u and its four digits at text[at], or -1; and whether two of them are
 * one character. */
int32_t json_escape_value(struct text text, size_t at);
bool json_is_pair(int32_t high, int32_t low);
/* What lies between two quotes, without its escapes.  False: half a pair, U+0000, or no escape. */
bool json_unescape(struct arena *arena, struct text raw, struct text *text);

/* False when the fast scanner does not take the record; nothing is said about why. */
bool json_fast_read(struct decoder *decoder, struct text record, struct event *event);
/* The same of data alone, valid UTF-8, with what it takes to have SCAN_MIN_BYTES as blanks behind
 * it: the members, which are counted, and holders of the decoder. */
bool json_fast_data(struct decoder *decoder, struct text field, uint32_t *member_count);
/* False when the record is refused.  *data is the value of `data`, a yyjson_val, or NULL. */
bool json_general_read(struct decoder *decoder, struct text record, struct finding *finding,
                       struct event *event, const void **data);

/* A field that holds the data of a record, an object, by itself: its values become the draft's
 * members, as if the record had them.  Offsets are from the field's start.  *data is the
 * yyjson_val.  False when something was noted. */
bool json_data_read(struct decoder *decoder, struct text field, struct draft *draft,
                    struct finding *finding, const void **data);

/* ---- CSV ----------------------------------------------------------------------------------- */

/* Where a field goes. */
struct csv_target {
    enum attribute attribute; /* ATTRIBUTE_NONE: data, or nowhere */
    bool is_json;             /* all of data, as JSON */
    bool is_data, is_number;  /* one value of data */
    uint64_t path;            /* of data */
    uint64_t seed;            /* of the hash of a text that goes there */
    const uint64_t *holders;  /* paths of the objects it is in: data.x of data.x.y */
    uint32_t holder_count;
    struct text name;  /* "id", "data.x" */
    struct text value; /* of a constant */
};
struct csv_header {
    char separator;
    uint32_t column_count, constant_count;
    const struct csv_target *targets; /* columns in order, then constants */
    /* The targets in data, sorted: key is the path with zero bytes between its names, value the
     * target. */
    const struct entry *sorted;
    uint32_t sorted_count;
};
/* As json_general_read; *data is NULL when the members are from columns of their own. */
bool csv_read(struct decoder *decoder, const struct csv_header *header, struct text row,
              struct finding *finding, struct event *event, const void **data);

#endif
