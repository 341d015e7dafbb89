/* event.c - see event.h.  The names and hints of refusals are one table; so the manual can be
 * checked against it.
 */
#include "decode/event.h"

#include "base/bytes.h"
#include "base/hash_inline.h"

#include <assert.h>
#include <string.h>

struct reason {
    const char *name;
    const char *hint;
};

static const struct reason REASONS[REFUSALS] = {
    [REFUSE_NONE] = {"NONE", ""},
    [REFUSE_ENCODING] = {"ENCODING", "UTF-8 without a byte order mark, in an undamaged stream"},
    [REFUSE_DECOMP_LIMIT] = {"DECOMP_LIMIT", "a stream that is compressed less extremely"},
    [REFUSE_SEGMENT] = {"SEGMENT", "a segment as farthing import wrote it, whole; write it again"},
    [REFUSE_LINE_LIMIT] = {"LINE_LIMIT", "at most 1,048,576 bytes a line"},
    [REFUSE_UTF8] = {"UTF8", "valid UTF-8; an escaped surrogate is followed by its pair"},
    [REFUSE_JSON_DEPTH] = {"JSON_DEPTH", "objects and arrays nested at most 32 deep"},
    [REFUSE_JSON_SYNTAX] = {"JSON_SYNTAX", "one JSON object (RFC 8259) or array of objects a line; "
                                           "one object in a column data of CSV"},
    [REFUSE_CSV_ROW] = {"CSV_ROW",
                        "as many fields as the header, quoted as in RFC 4180, in one line"},
    [REFUSE_JSON_DUP_KEY] = {"JSON_DUP_KEY", "each name once in an object"},
    [REFUSE_FIELD_COUNT] = {"FIELD_COUNT", "at most 256 values in data and 256 attributes"},
    [REFUSE_BATCH_LIMIT] = {"BATCH_LIMIT", "at most 10,000 events in a batch"},
    [REFUSE_CTRL_CHAR] = {"CTRL_CHAR", "no control character in an attribute, no U+0000 anywhere"},
    [REFUSE_NUM_LENGTH] = {"NUM_LENGTH", "at most 64 characters a number"},
    [REFUSE_NUM_SYNTAX] = {"NUM_SYNTAX", "a JSON number, such as -12.50 or 1e3"},
    [REFUSE_NUM_RANGE] = {"NUM_RANGE", "at most 38 significant digits"},
    [REFUSE_NUM_SCALE] = {"NUM_SCALE", "at most 18 digits after the point"},
    [REFUSE_FIELD_MISSING] = {"FIELD_MISSING",
                              "specversion, id, source, type, subject and time; a withdrawal has "
                              "data.source and data.id and needs no subject"},
    [REFUSE_FIELD_TYPE] = {"FIELD_TYPE",
                           "attributes are texts, specversion is \"1.0\", data is an object"},
    [REFUSE_FIELD_LEN] = {"FIELD_LEN", "1 to 255 bytes in id, source, type and subject"},
    [REFUSE_TIME_SYNTAX] = {"TIME_SYNTAX",
                            "RFC 3339, such as 2026-10-01T00:00:00.5Z, or seconds since 1970"},
    [REFUSE_TIME_ZONE] = {"TIME_ZONE", "Z or an offset such as +02:00 at the end of the time"},
    [REFUSE_TIME_RANGE] = {"TIME_RANGE",
                           "a time from 1970 to 2261; as a number in seconds, not milliseconds"},
};

const char *refusal_name(enum refusal refusal)
{
    assert(refusal < REFUSALS);
    return REASONS[refusal].name;
}

const char *refusal_hint(enum refusal refusal)
{
    assert(refusal < REFUSALS);
    return REASONS[refusal].hint;
}

uint64_t member_path(uint64_t parent, struct text key)
{
    return hash_print64(key.at, key.size, parent);
}

uint64_t member_item_path(uint64_t parent, uint32_t index)
{
    const uint32_t ordered = bytes_order32(index);
    return hash_print64(&ordered, sizeof ordered, ~parent);
}

/* Rotated: the two may change places. */
uint64_t event_key_source(const struct hash_secret *secret, struct text source)
{
    uint64_t hash = hash_secret64_inline(secret, source.at, source.size);
    return hash << 32 | hash >> 32;
}

uint64_t event_key_id(const struct hash_secret *secret, uint64_t of_source, struct text id)
{
    return of_source + hash_secret64_inline(secret, id.at, id.size);
}

uint64_t event_key(const struct hash_secret *secret, struct text source, struct text id)
{
    return event_key_id(secret, event_key_source(secret, source), id);
}
