/* fuzz_json.c - lines of JSON: the fast path and the general one say the same, and what is accepted
 * has a canonical form that is itself accepted, unchanged.
 */
#include <stdint.h>
#include <stdlib.h>

#include "outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void stop(const char *what)
{
    fprintf(stderr, "fuzz_json: %s\n", what);
    abort();
}

static void check_line(struct decoder *decoder, struct arena *arena, struct text line,
                       bool first_of_file)
{
    struct outcome outcome;
    if (!outcome_compare_json(decoder, arena, line, first_of_file, &outcome)) {
        stop("fast and general differ");
    }
    for (size_t i = 0; i < outcome.event_count && i < OUTCOME_RECORDS_MAX; i++) {
        struct text canonical;
        const char *fault =
            outcome_check_canonical(decoder, arena, &outcome, i, NULL, &canonical);
        if (fault) {
            stop(fault);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct arena own, scratch;
    arena_init(&own, NULL, 0);
    arena_init(&scratch, NULL, 0);
    struct decoder *decoder = decoder_new(&own);
    const char *at = (const char *)data;
    const char *end = at + size_bytes;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        struct text line = {at, (size_t)((newline ? newline : end) - at)};
        check_line(decoder, &scratch, line, (const uint8_t *)at == data);
        at = newline ? newline + 1 : end;
    }
    arena_release(&scratch);
    arena_release(&own);
    return 0;
}
