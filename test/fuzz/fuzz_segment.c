/* fuzz_segment.c - a block of a segment whose hashes are right and whose body is anything: it is
 * refused by name, or its events are those that a decoder gives of their canonical form.
 *
 * The input is a block; its header is made anew, but for the count of events.
 */
#include <stdint.h>
#include <stdlib.h>

#include "decode/segment_form.h"
#include "outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void stop(const char *what)
{
    fprintf(stderr, "fuzz_segment: %s\n", what);
    abort();
}

static void check_event(const struct segment_reader *reader, const struct event *event,
                        struct decoder *decoder, struct arena *arena)
{
    struct buffer canonical;
    buffer_init(&canonical, arena, 4096);
    segment_canonical(reader, &canonical);
    struct text line = buffer_text(&canonical);
    if (line.size > LINE_MAX_BYTES) {
        return;
    }
    struct outcome outcome;
    struct sink sink = outcome_start(&outcome, arena, line);
    decode_json_general(decoder, line, false, &sink);
    if (outcome.event_count != 1 || outcome.prints[0] != event->print) {
        stop("the canonical form of an event is not that event");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    if (size_bytes < SEGMENT_HEADER_BYTES || size_bytes > 1 << 20) {
        return 0;
    }
    char *block = malloc(size_bytes + SEGMENT_PADDING_BYTES);
    memcpy(block, data, size_bytes);
    memset(block + size_bytes, 0xA5, SEGMENT_PADDING_BYTES);
    uint32_t count = (uint32_t)read_le(block + 12, 4) % SEGMENT_EVENTS_MAX;
    segment_seal((struct segment_header){.kind = SEGMENT_EVENTS,
                                         .event_count = count > 0 ? count : 1,
                                         .body_bytes = (uint32_t)size_bytes - SEGMENT_HEADER_BYTES},
                 block);
    struct arena own, other, scratch;
    arena_init(&own, NULL, 0);
    arena_init(&other, NULL, 0);
    arena_init(&scratch, NULL, 0);
    struct segment_reader *reader = segment_reader_new(&own);
    struct decoder *decoder = decoder_new(&other);
    const char *fault;
    const struct event *event;
    if (segment_open(reader, (struct text){block, size_bytes}, &fault)) {
        for (uint32_t i = 0; (event = segment_next(reader, &fault)); i++) {
            if (i < 64) { /* the rest is read all the same */
                check_event(reader, event, decoder, &scratch);
                arena_rewind(&scratch, (struct arena_mark){0});
            }
        }
    } else if (!fault) {
        stop("a block is refused without a reason");
    }
    arena_release(&own);
    arena_release(&other);
    arena_release(&scratch);
    free(block);
    return 0;
}
