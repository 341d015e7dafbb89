/* outcome.h - everything that decoding said, as bytes that can be compared.
 *
 * For the differential tests: two ways to decode a line agree when their outcomes are equal bytes.
 * Records are kept as well, so that each accepted one can be decoded again.
 */
#ifndef FARTHING_TEST_OUTCOME_H
#define FARTHING_TEST_OUTCOME_H

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "decode/decode.h"

enum { OUTCOME_RECORDS_MAX = 64 };

struct outcome {
    struct buffer bytes;
    size_t event_count, refused_count;
    const char *line;
    enum refusal last_refusal;
    size_t last_offset;
    struct text records[OUTCOME_RECORDS_MAX]; /* of the first events */
    uint64_t prints[OUTCOME_RECORDS_MAX];
};

static inline void outcome_add(struct outcome *outcome, const void *bytes, size_t size)
{
    buffer_add(&outcome->bytes, &size, sizeof size);
    buffer_add(&outcome->bytes, bytes, size);
}

static inline void outcome_text(struct outcome *outcome, struct text text)
{
    outcome_add(outcome, text.at, text.size);
}

static inline void outcome_number(struct outcome *outcome, uint64_t number)
{
    outcome_add(outcome, &number, sizeof number);
}

static inline void outcome_event(void *context, const struct event *event, size_t record_offset,
                                 struct text record)
{
    struct outcome *outcome = context;
    assert(record.at == outcome->line + record_offset);
    if (outcome->event_count < OUTCOME_RECORDS_MAX) {
        outcome->records[outcome->event_count] = record;
        outcome->prints[outcome->event_count] = event->print;
    }
    outcome->event_count++;
    outcome_number(outcome, 1);
    outcome_number(outcome, record_offset);
    outcome_number(outcome, record.size);
    outcome_number(outcome, event->kind);
    outcome_text(outcome, event->source);
    outcome_text(outcome, event->id);
    outcome_text(outcome, event->type);
    outcome_text(outcome, event->subject);
    outcome_number(outcome, (uint64_t)event->at);
    outcome_text(outcome, event->target_source);
    outcome_text(outcome, event->target_id);
    outcome_number(outcome, event->print);
    for (uint32_t i = 0; i < event->member_count; i++) {
        const struct member *member = &event->members[i];
        outcome_number(outcome, member->path);
        outcome_number(outcome, member->kind);
        switch (member->kind) { /* what is of another kind is anything */
        case MEMBER_TEXT:
            outcome_text(outcome, member->text);
            break;
        case MEMBER_NUMBER:
            outcome_number(outcome, (uint64_t)member->number.mantissa);
            outcome_number(outcome, (uint64_t)(member->number.mantissa >> 64));
            outcome_number(outcome, (uint64_t)member->number.scale);
            break;
        case MEMBER_BOOL:
            outcome_number(outcome, member->truth);
            break;
        case MEMBER_NULL:
        case MEMBER_EMPTY_OBJECT:
        case MEMBER_EMPTY_ARRAY:
            break;
        }
    }
    for (uint32_t i = 0; i < event->holder_count; i++) {
        outcome_number(outcome, event->holders[i]);
    }
}

static inline void outcome_refused(void *context, const struct finding *finding)
{
    struct outcome *outcome = context;
    assert(finding->refusal > REFUSE_NONE && finding->refusal < REFUSALS);
    assert(strlen(finding->detail) < sizeof finding->detail);
    size_t start = (size_t)(finding->record.at - outcome->line);
    assert(finding->offset >= start && finding->offset <= start + finding->record.size);
    outcome->refused_count++;
    outcome->last_refusal = finding->refusal;
    outcome->last_offset = finding->offset;
    outcome_number(outcome, 2);
    outcome_number(outcome, finding->refusal);
    outcome_number(outcome, finding->offset);
    outcome_number(outcome, start);
    outcome_number(outcome, finding->record.size);
    outcome_add(outcome, finding->detail, strlen(finding->detail));
}

/* Starts anew, for what is said of line. */
static inline struct sink outcome_start(struct outcome *outcome, struct arena *arena,
                                        struct text line)
{
    memset(outcome, 0, sizeof *outcome);
    buffer_init(&outcome->bytes, arena, 4096);
    outcome->line = line.at;
    return (struct sink){outcome, outcome_event, outcome_refused};
}

/* The line as one of several, on machines with and without wide vectors; twice, so that its shape
 * has come before.  False when anything else is said of it.  header: of CSV. */
static inline bool outcome_compare_next(struct decoder *decoder, struct arena *arena,
                                        const struct csv_header *header, struct text line,
                                        bool first_of_file, const struct outcome *outcome)
{
    char *copy = arena_calloc(arena, line.size + 1 + DECODE_PADDING_BYTES, 1);
    memcpy(copy, line.at, line.size);
    copy[line.size] = '\n';
    const struct text rest = {copy, line.size};
    bool is_equal = true;
    for (int round = 0; rest.size > 0 && round < 6; round++) {
        struct outcome next;
        struct sink sink = outcome_start(&next, arena, rest);
        decoder_narrow(decoder, round / 2);
        size_t size = header ? decode_csv_next(decoder, header, rest, first_of_file, &sink)
                             : decode_json_next(decoder, rest, first_of_file, &sink);
        is_equal = is_equal && size == line.size + 1 &&
                   text_equal(buffer_text(&next.bytes), buffer_text(&outcome->bytes));
    }
    return is_equal;
}

/* All ways to read a line of JSON; false when they differ. *outcome is of the general one. */
static inline bool outcome_compare_json(struct decoder *decoder, struct arena *arena,
                                        struct text line, bool first_of_file,
                                        struct outcome *outcome)
{
    struct outcome fast;
    struct sink sink = outcome_start(&fast, arena, line);
    decode_json_line(decoder, line, first_of_file, &sink);
    sink = outcome_start(outcome, arena, line);
    decode_json_general(decoder, line, first_of_file, &sink);
    return text_equal(buffer_text(&fast.bytes), buffer_text(&outcome->bytes)) &&
           (memchr(line.at, '\n', line.size) ||
            outcome_compare_next(decoder, arena, NULL, line, first_of_file, outcome));
}

/* The canonical form of the event's record is a record of the same content, and its own canonical
 * form. NULL, or what is wrong.  *canonical is the form. */
static inline const char *outcome_check_canonical(struct decoder *decoder, struct arena *arena,
                                                  const struct outcome *outcome, size_t event,
                                                  const struct csv_header *header,
                                                  struct text *canonical)
{
    struct error err;
    struct buffer first, second;
    buffer_init(&first, arena, 4096);
    buffer_init(&second, arena, 4096);
    if (decode_canonical(decoder, outcome->records[event], header, &first, &err) != OK) {
        return "an accepted record has no canonical form";
    }
    *canonical = buffer_text(&first);
    struct outcome again;
    if (!outcome_compare_json(decoder, arena, *canonical, false, &again)) {
        return "of the canonical form, fast and general differ";
    }
    if (again.event_count != 1 || again.refused_count != 0) {
        return "the canonical form is refused";
    }
    if (again.prints[0] != outcome->prints[event]) {
        return "the canonical form has another print";
    }
    if (decode_canonical(decoder, again.records[0], NULL, &second, &err) != OK ||
        !text_equal(buffer_text(&second), *canonical)) {
        return "the canonical form of the canonical form is another one";
    }
    return NULL;
}

#endif
