/* expr.c - what a filter or value by expression costs an event: the time that metering takes with
 * it, less what the same meter takes when it reads plain members.  Each has a catalog of its own,
 * whose only meter it is, and an event goes the way that it goes in a run (measure_plain,
 * measure_simple in engine/ingest_event.c).
 *
 * Events are decoded once, few enough to stay in the first cache as one that was just decoded is,
 * and metered again and again; CPU time of the thread, the least of several rounds, since a busy
 * machine only ever adds.  Prints a line for each expression: nanoseconds, a tab, what it is; or
 * the status 1 when one of them is above the limit of the first argument (0: none).
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "catalog/catalog.h"
#include "decode/decode.h"
#include "usage/usage.h"

enum { EVENTS = 64, PASSES = 6400, ROUNDS = 15 };

struct subject {
    const char *what, *lines; /* of a meter, in YAML */
};

/* The first is what the others are compared with. */
static const struct subject subjects[] = {
    {"plain: value: data.seconds", "value: data.seconds"},
    {"where: data.state == \"running\"",
     "value: data.seconds\n    where: data.state == \"running\""},
    {"where: data.seconds > 10", "value: data.seconds\n    where: data.seconds > 10"},
    {"where: has(data.size) && data.state != \"stopped\"",
     "value: data.seconds\n    where: has(data.size) && data.state != \"stopped\""},
    {"where: data.size in [\"small\", \"large\", \"huge\"]",
     "value: data.seconds\n    where: data.size in [\"small\", \"large\", \"huge\"]"},
    {"value: data.seconds / 3600", "value: data.seconds / 3600"},
    {"value: data.gb * 0.5", "value: data.gb * 0.5"},
    {"value: data.seconds + data.gb", "value: data.seconds + data.gb"},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static int64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void stop(const char *why)
{
    fprintf(stderr, "expr: %s\n", why);
    exit(2);
}

static const struct catalog *load(struct arena *arena, const struct subject *subject)
{
    struct text yaml = text_format(arena,
                                   "catalog: bench\ncurrency: USD\n"
                                   "meters:\n  m:\n    event: usage\n    %s\n    sku: vm\n"
                                   "prices: [{sku: vm, steps: [rate: 1]}]\n",
                                   subject->lines);
    struct catalog_file file = {TEXT("bench.yaml"), yaml};
    struct catalog_input input = {.files = &file, .file_count = 1};
    struct complaints complaints = {.arena = arena};
    const struct catalog *catalog;
    struct error err;
    if (catalog_load(arena, &input, NULL, &catalog, &complaints, &err) != OK) {
        stop(complaints.count > 0 ? complaints.items[0].message : err.message);
    }
    return catalog;
}

/* ---- events ---------------------------------------------------------------------------------- */

struct keeping {
    struct arena *arena;
    struct event events[EVENTS];
    uint32_t count;
};

/* The decoder takes its memory back with each line; the line itself stays. */
static void keep(void *context, const struct event *event, size_t, struct text)
{
    struct keeping *keeping = context;
    struct event *kept = &keeping->events[keeping->count++];
    *kept = *event;
    kept->members = arena_alloc(keeping->arena, event->member_count * sizeof *event->members);
    memcpy(kept->members, event->members, event->member_count * sizeof *event->members);
}

static void refuse(void *, const struct finding *finding)
{
    stop(finding->detail);
}

static void make_events(struct arena *arena, struct arena *decoding, struct keeping *keeping)
{
    static const char *const sizes[] = {"small", "medium", "large", "xlarge"};
    struct decoder *decoder = decoder_new(decoding);
    struct sink sink = {keeping, keep, refuse};
    uint64_t draw = 1;
    for (uint32_t i = 0; i < EVENTS; i++) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        uint32_t n = (uint32_t)(draw >> 33);
        struct text line = text_format(
            arena,
            "{\"specversion\":\"1.0\",\"id\":\"e%u\",\"source\":\"bench\",\"type\":\"usage\","
            "\"subject\":\"a%u\",\"time\":\"2026-10-%02uT%02u:00:00Z\",\"data\":{\"size\":\"%s\","
            "\"seconds\":%u,\"gb\":%u.%03u,\"state\":\"running\"}}",
            i, n % 1000, n % 28 + 1, n % 24, sizes[n % 4], 11 + n % 86400, n % 100, n % 1000);
        decode_json_line(decoder, line, false, &sink);
    }
    if (keeping->count != EVENTS) {
        stop("events are missing");
    }
}

/* ---- measuring ------------------------------------------------------------------------------- */

struct metering {
    const struct catalog *catalog;
    const struct meter_plan *plan;
    struct meter_scratch *scratch;
};

static struct metering prepare(struct arena *arena, struct arena *scratch,
                               const struct subject *subject)
{
    const struct catalog *catalog = load(arena, subject);
    arena_init(scratch, NULL, (size_t)1 << 30);
    return (struct metering){catalog, meter_plan_new(arena, catalog),
                             meter_scratch_new(scratch, catalog)};
}

/* False when the event is excluded. */
static bool meter_one(const struct metering *metering, const struct event *event)
{
    struct plain_measure plain;
    if (meter_take_plain(metering->plan, metering->scratch, event, NULL, &plain) != PLAIN_NOT) {
        return true;
    }
    struct measure measure;
    meter_apply(metering->catalog, &metering->catalog->meters[plain.meters[0]], event,
                metering->scratch, &measure);
    return measure.exclusion == EXCLUDE_NONE;
}

/* Nanoseconds for PASSES x EVENTS. */
static int64_t meter_all(const struct metering *metering, const struct keeping *keeping)
{
    int64_t from = thread_ns();
    for (int pass = 0; pass < PASSES; pass++) {
        for (uint32_t i = 0; i < EVENTS; i++) {
            if (!meter_one(metering, &keeping->events[i])) {
                stop("an event is excluded");
            }
        }
    }
    return thread_ns() - from;
}

int main(int count, char **arguments)
{
    int64_t limit = count > 1 ? strtol(arguments[1], NULL, 10) : 0;
    struct arena arena, decoding, scratches[SUBJECTS];
    arena_init(&arena, NULL, (size_t)1 << 30);
    arena_init(&decoding, NULL, (size_t)1 << 30);
    struct keeping *keeping = arena_calloc(&arena, 1, sizeof *keeping);
    keeping->arena = &arena;
    make_events(&arena, &decoding, keeping);
    struct metering metering[SUBJECTS];
    for (int i = 0; i < SUBJECTS; i++) {
        metering[i] = prepare(&arena, &scratches[i], &subjects[i]);
    }

    int64_t least[SUBJECTS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SUBJECTS; i++) {
            int64_t ns = meter_all(&metering[i], keeping);
            least[i] = round == 0 || ns < least[i] ? ns : least[i];
        }
    }
    bool is_over = false;
    for (int i = 0; i < SUBJECTS; i++) {
        int64_t tenths = (least[i] - (i > 0 ? least[0] : 0)) * 10 / (PASSES * EVENTS);
        printf("%lld.%lld\t%s\n", (long long)tenths / 10, (long long)tenths % 10, subjects[i].what);
        is_over |= i > 0 && limit > 0 && tenths >= 10 * limit;
    }
    return is_over ? 1 : 0;
}
