/* event.h - one usage event as decoded, and why a record is refused.
 *
 *     bytes --decode--> struct event | refusal
 *
 * A record is refused for its bytes and for fixed limits alone, never for what a catalog says
 * (doc/events.md).  Each refused record has exactly one reason: the first of enum refusal that
 * holds.
 *
 * Content of an event is source, id, subject, type, time as an instant, and data in canonical form:
 * members in any order, numbers by value, text by bytes.  Two records with one key (provider,
 * source, id) and equal content are duplicates, else they are in conflict.  Other attributes (trace
 * ids, extensions, datacontenttype) are not content.
 */
#ifndef FARTHING_DECODE_EVENT_H
#define FARTHING_DECODE_EVENT_H

#include <stdint.h>

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/hash.h"
#include "base/text.h"

/* In order of precedence; the names (refusal_name) are the codes of dead letters and of the manual.
 */
enum refusal {
    REFUSE_NONE = 0,
    REFUSE_ENCODING,     /* BOM, UTF-16; a damaged, truncated or over-wide compressed stream */
    REFUSE_DECOMP_LIMIT, /* decompresses beyond the ratio or size allowed */
    REFUSE_SEGMENT,      /* a block of a segment that is damaged, cut off or of another version */
    REFUSE_LINE_LIMIT,   /* a line of more than LINE_MAX_BYTES */
    REFUSE_UTF8,         /* invalid UTF-8, a lone surrogate escape */
    REFUSE_JSON_DEPTH,   /* nested deeper than 32 */
    REFUSE_JSON_SYNTAX,
    REFUSE_CSV_ROW, /* quotes, a zero byte, or not as many fields as the header */
    REFUSE_JSON_DUP_KEY,
    REFUSE_FIELD_COUNT, /* more than MEMBERS_MAX scalars in data, or attributes */
    REFUSE_BATCH_LIMIT, /* more than BATCH_MAX events in a batch */
    REFUSE_CTRL_CHAR,   /* U+0000..U+001F or U+007F in an attribute, U+0000 anywhere */
    REFUSE_NUM_LENGTH,  /* this and the next three: of any number of the record */
    REFUSE_NUM_SYNTAX,
    REFUSE_NUM_RANGE,
    REFUSE_NUM_SCALE,
    REFUSE_FIELD_MISSING, /* specversion, id, source, type, subject or time */
    REFUSE_FIELD_TYPE, /* an attribute that is no text; data that is no object; specversion not 1.0
                        */
    REFUSE_FIELD_LEN,  /* empty, or more than 255 bytes */
    REFUSE_TIME_SYNTAX,
    REFUSE_TIME_ZONE,
    REFUSE_TIME_RANGE,
    REFUSALS
};
const char *refusal_name(enum refusal refusal); /* "JSON_DUP_KEY" */
const char *refusal_hint(enum refusal refusal); /* what would be right, one line */

enum {
    LINE_MAX_BYTES = 1024 * 1024,
    ATTRIBUTE_MAX_BYTES = 255, /* source, id, type, subject */
    MEMBERS_MAX = 256,         /* scalars of data */
    BATCH_MAX = 10000,
    JSON_DEPTH_MAX = 32,
};

enum member_kind {
    MEMBER_TEXT,
    MEMBER_NUMBER,
    MEMBER_BOOL,
    MEMBER_NULL,
    MEMBER_EMPTY_OBJECT,
    MEMBER_EMPTY_ARRAY,
};

/* A scalar somewhere in data.  Its path is known by a hash that its parents' keys go into, so that
 * a meter finds it without comparing text; these two are the one way to make it. */
struct member {
    uint64_t path;
    enum member_kind kind;
    bool truth; /* of MEMBER_BOOL */
    /* Of an event with a tuple_number, elsewhere not set: the value is the same in all that have
     * this number; the text is a number, and `number` what it comes to. */
    bool is_of_tuple, has_number;
    uint64_t print;    /* what it adds to the event's; 0 when that was not kept */
    struct text text;  /* unescaped, of MEMBER_TEXT */
    struct dec number; /* of MEMBER_NUMBER, or where has_number */
};

/* The path of key below parent, and of an array's item; PATH_DATA is data itself.  An item has the
 * path of no key, whatever that is called. */
#define PATH_DATA UINT64_C(0)
uint64_t member_path(uint64_t parent, struct text key);
uint64_t member_item_path(uint64_t parent, uint32_t index);

enum event_kind { EVENT_USAGE, EVENT_WITHDRAWAL };

/* A withdrawal is a record of type "farthing.withdrawal" whose data has source and id (texts, as an
 * event's) of the event it takes back.  It needs no subject. */
#define WITHDRAWAL_TYPE "farthing.withdrawal"

struct event {
    enum event_kind kind;
    struct text source, id, type, subject;
    instant at;
    struct member *members;
    uint32_t member_count;
    const uint64_t *holders; /* paths of the objects and arrays in data that are not empty */
    uint32_t holder_count;
    struct text target_source, target_id; /* of a withdrawal */
    uint64_t print;                       /* fixed-key fingerprint of the content: a sum */
    uint64_t type_print; /* the type's part of it, or 0: a hash for who looks types up */
    /* Of an event of a segment: which text of its block, from 1 on; else 0. */
    uint32_t source_number, subject_number;
    /* And what it has in common with others of its block: type, source, the paths of its members in
     * their order, and the values of some. */
    uint32_t tuple_number;
};

/* NULL when data has no scalar at that path. */
static inline const struct member *event_member(const struct event *event, uint64_t path)
{
    for (uint32_t i = 0; i < event->member_count; i++) {
        if (event->members[i].path == path) {
            return &event->members[i];
        }
    }
    return NULL;
}

/* True when at that path is an object or an array with something in it: no member, but not missing.
 */
static inline bool event_holds(const struct event *event, uint64_t path)
{
    for (uint32_t i = 0; i < event->holder_count; i++) {
        if (event->holders[i] == path) {
            return true;
        }
    }
    return false;
}

/* The keyed hash of source and id, each by itself, so that texts that are equal only when they are
 * put together differ. */
uint64_t event_key(const struct hash_secret *secret, struct text source, struct text id);
/* The same in two steps, of the source first. */
uint64_t event_key_source(const struct hash_secret *secret, struct text source);
uint64_t event_key_id(const struct hash_secret *secret, uint64_t of_source, struct text id);

#endif
