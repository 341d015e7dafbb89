/* record.c - see record.h.  Here is what makes a record an event, whatever it was written in. */
#include "decode/record.h"

#include "base/bytes.h"
#include "base/hash_inline.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- findings ------------------------------------------------------------------------------ */

enum { SHOWN_MAX_BYTES = 64 };

/* Adds text to detail, what is not printable ASCII as \xNN; no more than 64 bytes of it.  A
 * backslash stays one: much of what is shown is JSON, and has its own escapes (\ud800). */
static void show(char *detail, size_t size_bytes, struct text text)
{
    size_t at = strlen(detail);
    for (size_t i = 0; i < text.size && i < SHOWN_MAX_BYTES && at + 5 < size_bytes; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= 0x20 && c < 0x7f) {
            detail[at++] = (char)c;
        } else {
            static const char HEX[] = "0123456789abcdef";
            detail[at++] = '\\';
            detail[at++] = 'x';
            detail[at++] = HEX[c >> 4];
            detail[at++] = HEX[c & 15];
        }
    }
    detail[at] = '\0';
}

void finding_note(struct finding *finding, enum refusal refusal, size_t offset, const char *what,
                  struct text shown)
{
    assert(refusal > REFUSE_NONE && refusal < REFUSALS);
    if (finding->refusal != REFUSE_NONE &&
        (refusal > finding->refusal ||
         (refusal == finding->refusal && offset >= finding->offset))) {
        return;
    }
    finding->refusal = refusal;
    finding->offset = offset;
    finding->detail[0] = '\0';
    show(finding->detail, sizeof finding->detail, text_of(what));
    if (what[0] && shown.size) {
        show(finding->detail, sizeof finding->detail, TEXT(": "));
    }
    show(finding->detail, sizeof finding->detail, shown);
}

enum refusal refusal_of_number(enum number_fault fault)
{
    switch (fault) {
    case NUMBER_OK:
        return REFUSE_NONE;
    case NUMBER_LENGTH:
        return REFUSE_NUM_LENGTH;
    case NUMBER_SYNTAX:
        return REFUSE_NUM_SYNTAX;
    case NUMBER_RANGE:
        return REFUSE_NUM_RANGE;
    case NUMBER_SCALE:
        return REFUSE_NUM_SCALE;
    }
    assert(false && "a fault of numbers");
    return REFUSE_NUM_SYNTAX;
}

static enum refusal refusal_of_time(enum time_fault fault)
{
    switch (fault) {
    case TIME_OK:
        return REFUSE_NONE;
    case TIME_SYNTAX:
        return REFUSE_TIME_SYNTAX;
    case TIME_ZONE:
        return REFUSE_TIME_ZONE;
    case TIME_RANGE:
        return REFUSE_TIME_RANGE;
    }
    assert(false && "a fault of times");
    return REFUSE_TIME_SYNTAX;
}

size_t utf8_fault(struct text text)
{
    if (text_is_utf8(text)) {
        return text.size;
    }
    /* A prefix is valid, or it ends within a character that a longer prefix completes (at most 4
     * bytes); the fault is where no completion helps. */
    size_t start = 0;
    while (start < text.size) {
        size_t size = 1;
        while (size <= 4 && size <= text.size - start &&
               !text_is_utf8((struct text){text.at + start, size})) {
            size++;
        }
        if (size > 4 || size > text.size - start) {
            break;
        }
        start += size;
    }
    return start;
}

bool has_control(struct text text)
{
    bool found = false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        found |= c < 0x20 || c == 0x7f;
    }
    return found;
}

/* ---- judgement ----------------------------------------------------------------------------- */

const char *const ATTRIBUTE_NAMES[ATTRIBUTES] = {"specversion", "id",      "source",
                                                 "type",        "subject", "time"};

enum attribute attribute_find(struct text name)
{
    for (enum attribute i = 0; i < ATTRIBUTES; i++) {
        if (text_equal(name, text_of(ATTRIBUTE_NAMES[i]))) {
            return i;
        }
    }
    return ATTRIBUTE_NONE;
}

struct member *draft_add(struct decoder *decoder, struct draft *draft, uint64_t path, size_t offset)
{
    uint32_t index = draft->member_count++;
    if (index >= MEMBERS_MAX) {
        return NULL;
    }
    decoder->offsets[index] = offset;
    decoder->members[index] = (struct member){.path = path};
    return &decoder->members[index];
}

static void judge_length(struct finding *finding, struct text text, size_t offset, const char *name)
{
    if (text.size == 0 || text.size > ATTRIBUTE_MAX_BYTES) {
        finding_note(finding, REFUSE_FIELD_LEN, offset, name, (struct text){0});
    }
}

static void judge_attribute(struct finding *finding, const struct field *field,
                            enum attribute attribute, bool is_required)
{
    const char *name = ATTRIBUTE_NAMES[attribute];
    bool is_time = attribute == ATTRIBUTE_TIME;
    if (field->state == FIELD_ABSENT) {
        if (is_required) {
            finding_note(finding, REFUSE_FIELD_MISSING, 0, name, (struct text){0});
        }
        return;
    }
    if (field->state != FIELD_TEXT) {
        if (!is_time || field->state != FIELD_NUMBER) {
            finding_note(finding, REFUSE_FIELD_TYPE, field->offset, name, (struct text){0});
        }
        return;
    }
    if (has_control(field->text)) {
        finding_note(finding, REFUSE_CTRL_CHAR, field->offset, name, field->text);
    }
    if (attribute == ATTRIBUTE_SPECVERSION) {
        if (!text_equal(field->text, TEXT("1.0"))) {
            finding_note(finding, REFUSE_FIELD_TYPE, field->offset, name, field->text);
        }
    } else if (!is_time) {
        judge_length(finding, field->text, field->offset, name);
    }
}

/* The text that a withdrawal's data has at key: an attribute of the event that it takes back. */
static struct text judge_target(const struct decoder *decoder, const struct event *event,
                                struct finding *finding, struct text key, const char *name)
{
    const struct member *member = event_member(event, member_path(PATH_DATA, key));
    if (!member || member->kind == MEMBER_NULL) {
        finding_note(finding, REFUSE_FIELD_MISSING, 0, name, (struct text){0});
        return (struct text){0};
    }
    size_t offset = decoder->offsets[member - decoder->members];
    if (member->kind != MEMBER_TEXT) {
        finding_note(finding, REFUSE_FIELD_TYPE, offset, name, (struct text){0});
        return (struct text){0};
    }
    if (has_control(member->text)) {
        finding_note(finding, REFUSE_CTRL_CHAR, offset, name, member->text);
    }
    judge_length(finding, member->text, offset, name);
    return member->text;
}

static void judge_time(struct finding *finding, const struct field *field, instant *at)
{
    enum time_fault fault = field->state == FIELD_TEXT ? scan_time(field->text, at) : TIME_SYNTAX;
    if (fault == TIME_SYNTAX) {
        fault = time_parse_epoch(field->text, at);
    }
    if (fault != TIME_OK) {
        finding_note(finding, refusal_of_time(fault), field->offset, "time", field->text);
    }
}

bool record_judge(struct decoder *decoder, const struct draft *draft, struct finding *finding,
                  struct event *event)
{
    const struct field *attributes = draft->attributes;
    const struct field *type = &attributes[ATTRIBUTE_TYPE];
    bool is_withdrawal = type->state == FIELD_TEXT && text_equal(type->text, TEXT(WITHDRAWAL_TYPE));
    *event = (struct event){
        .kind = is_withdrawal ? EVENT_WITHDRAWAL : EVENT_USAGE,
        .source = attributes[ATTRIBUTE_SOURCE].text,
        .id = attributes[ATTRIBUTE_ID].text,
        .type = type->text,
        .subject = attributes[ATTRIBUTE_SUBJECT].text,
        .members = decoder->members,
        .member_count = draft->member_count < MEMBERS_MAX ? draft->member_count : MEMBERS_MAX,
        .holders = decoder->holders,
        .holder_count = decoder->holder_count,
    };
    if (draft->member_count > MEMBERS_MAX) {
        finding_note(finding, REFUSE_FIELD_COUNT, 0, "values in data", (struct text){0});
    }
    for (enum attribute i = 0; i < ATTRIBUTES; i++) {
        judge_attribute(finding, &attributes[i], i, i != ATTRIBUTE_SUBJECT || !is_withdrawal);
    }
    const struct field *time = &attributes[ATTRIBUTE_TIME];
    if (time->state == FIELD_TEXT || time->state == FIELD_NUMBER) {
        judge_time(finding, time, &event->at);
    }
    if (is_withdrawal) {
        event->target_source = judge_target(decoder, event, finding, TEXT("source"), "data.source");
        event->target_id = judge_target(decoder, event, finding, TEXT("id"), "data.id");
    }
    if (finding->refusal != REFUSE_NONE) {
        return false;
    }
    event->print = record_print(event);
    return true;
}

static inline bool is_attribute(struct text text)
{
    return text.size - 1 < ATTRIBUTE_MAX_BYTES;
}

/* As judge_time, where no reason is asked for. */
bool record_find_time(struct decoder *decoder, struct text text, instant *at)
{
    enum time_fault fault = scan_time_near(&decoder->hour, text, at);
    return fault == TIME_OK || (fault == TIME_SYNTAX && time_parse_epoch(text, at) == TIME_OK);
}

bool record_finish_event(struct event *event)
{
    const struct text type = event->type;
    if (!is_attribute(event->id) || !is_attribute(event->source) || !is_attribute(type) ||
        !is_attribute(event->subject) ||
        (type.size == sizeof WITHDRAWAL_TYPE - 1 &&
         memcmp(type.at, WITHDRAWAL_TYPE, sizeof WITHDRAWAL_TYPE - 1) == 0)) {
        return false;
    }
    event->print += record_print_time(event->at);
    return true;
}

bool record_finish(struct decoder *decoder, const struct attributes *attributes,
                   uint32_t member_count, struct event *event)
{
    const struct text *texts = attributes->texts;
    event->kind = EVENT_USAGE;
    event->source = texts[ATTRIBUTE_SOURCE];
    event->id = texts[ATTRIBUTE_ID];
    event->type = texts[ATTRIBUTE_TYPE];
    event->subject = texts[ATTRIBUTE_SUBJECT];
    event->type_print = attributes->prints[ATTRIBUTE_TYPE];
    event->source_number = event->subject_number = event->tuple_number = 0;
    event->members = decoder->members;
    event->member_count = member_count;
    event->holders = decoder->holders;
    event->holder_count = decoder->holder_count;
    event->target_source = event->target_id = (struct text){0};
    event->print = attributes->print;
    return record_find_time(decoder, texts[ATTRIBUTE_TIME], &event->at) &&
           record_finish_event(event);
}

/* ---- fingerprint --------------------------------------------------------------------------- */

/* Of a value at its place. */
static inline uint64_t print_member(const struct member *member)
{
    uint64_t seed = record_member_seed(member->path, member->kind);
    unsigned char bytes[17];
    switch (member->kind) {
    case MEMBER_TEXT:
        return hash_print64_inline(member->text.at, member->text.size, seed);
    case MEMBER_NUMBER:
        /* Nearly all mantissas have 64 bits; the size tells the two forms apart. */
        bytes[0] = (unsigned char)member->number.scale;
        bytes_store64(bytes + 1, (uint64_t)member->number.mantissa);
        if (member->number.mantissa == (int64_t)member->number.mantissa) {
            return hash_print64_inline(bytes, 9, seed);
        }
        bytes_store64(bytes + 9, (uint64_t)((u128)member->number.mantissa >> 64));
        return hash_print64_inline(bytes, sizeof bytes, seed);
    case MEMBER_BOOL:
        bytes[0] = member->truth;
        return hash_print64_inline(bytes, 1, seed);
    case MEMBER_NULL:
    case MEMBER_EMPTY_OBJECT:
    case MEMBER_EMPTY_ARRAY:
        break;
    }
    return hash_print64_inline("", 0, seed);
}

static inline uint64_t print_attribute(enum attribute attribute, struct text text)
{
    return hash_print64_inline(text.at, text.size, record_attribute_seed(attribute));
}

void record_print_all(struct decoder *decoder, struct attributes *attributes, uint32_t member_count)
{
    static const enum attribute content[] = {ATTRIBUTE_SOURCE, ATTRIBUTE_ID, ATTRIBUTE_TYPE,
                                             ATTRIBUTE_SUBJECT};
    uint64_t print = 0;
    for (size_t i = 0; i < sizeof content / sizeof *content; i++) {
        attributes->prints[content[i]] = print_attribute(content[i], attributes->texts[content[i]]);
        print += attributes->prints[content[i]];
    }
    for (uint32_t i = 0; i < member_count; i++) {
        decoder->members[i].print = print_member(&decoder->members[i]);
        print += decoder->members[i].print;
    }
    attributes->print = print;
}

/* A sum, so that no order is needed and no hash waits for another. */
uint64_t record_print(const struct event *event)
{
    unsigned char time[8];
    bytes_store64(time, (uint64_t)event->at);
    uint64_t print =
        print_attribute(ATTRIBUTE_SOURCE, event->source) +
        print_attribute(ATTRIBUTE_ID, event->id) + print_attribute(ATTRIBUTE_TYPE, event->type) +
        print_attribute(ATTRIBUTE_SUBJECT, event->subject) +
        print_attribute(ATTRIBUTE_TIME, (struct text){(const char *)time, sizeof time});
    for (uint32_t i = 0; i < event->member_count; i++) {
        print += print_member(&event->members[i]);
    }
    return print;
}

uint64_t record_print_attribute(enum attribute attribute, struct text text)
{
    return print_attribute(attribute, text);
}

uint64_t record_print_time(instant at)
{
    unsigned char time[8];
    bytes_store64(time, (uint64_t)at);
    return print_attribute(ATTRIBUTE_TIME, (struct text){(const char *)time, sizeof time});
}

uint64_t record_print_member(const struct member *member)
{
    return print_member(member);
}

/* ---- sorting ------------------------------------------------------------------------------- */

static void sift_down(struct entry *entries, size_t at, size_t count)
{
    struct entry moved = entries[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && text_compare(entries[child].key, entries[child + 1].key) < 0) {
            child++;
        }
        if (text_compare(moved.key, entries[child].key) >= 0) {
            break;
        }
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = moved;
}

void entries_sort(struct entry *entries, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sift_down(entries, i, count);
    }
    for (size_t last = count; last-- > 1;) {
        struct entry largest = entries[0];
        entries[0] = entries[last];
        entries[last] = largest;
        sift_down(entries, 0, last);
    }
}
