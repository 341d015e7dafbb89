/* segment_test.c - events through segments and back: the same canonical bytes, fingerprint,
 * members; damaged blocks are refused, whatever is damaged, and what a block with a right hash says
 * is an event as a decoder would give it.
 *
 * FARTHING_SEED chooses events and damage, FARTHING_CASES how many worlds there are.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/outcome.h"
#include "decode/segment_form.h"

#include <cmocka.h> /* last: it has a macro named fail */

static struct arena own, other, writing, reading, scratch;
static struct decoder *decoder, *names;
static struct segment_writer *writer;
static struct segment_reader *reader;

static int set_up(void **)
{
    struct arena *arenas[] = {&own, &other, &writing, &reading, &scratch};
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) {
        arena_init(arenas[i], NULL, 0);
    }
    decoder = decoder_new(&own);
    names = decoder_new(&other);
    writer = segment_writer_new(&writing);
    reader = segment_reader_new(&reading);
    return 0;
}

static int tear_down(void **)
{
    arena_release(&own);
    arena_release(&other);
    arena_release(&writing);
    arena_release(&reading);
    arena_release(&scratch);
    return 0;
}

/* ---- a world: lines, and what they must come back as ---------------------------------------- */

enum { EVENTS_MAX = 10000 };

struct world {
    const struct csv_header *header;
    uint32_t count, refused;
    struct text canonical[EVENTS_MAX];
    uint64_t prints[EVENTS_MAX];
    struct event events[EVENTS_MAX]; /* members by value; texts are those of the line, gone */
};

static struct world world;

static void take_event(void *, const struct event *event, size_t, struct text record)
{
    struct error err;
    struct buffer canonical;
    buffer_init(&canonical, &scratch, record.size + 64);
    assert_true(world.count < EVENTS_MAX);
    assert_int_equal(decode_canonical(names, record, world.header, &canonical, &err), OK);
    uint32_t at = world.count++;
    world.canonical[at] = buffer_text(&canonical);
    world.prints[at] = event->print;
    world.events[at] = *event;
    uint64_t *paths = arena_alloc(&scratch, (event->member_count + 1) * sizeof *paths);
    for (uint32_t i = 0; i < event->member_count; i++) {
        paths[i] = event->members[i].path;
    }
    world.events[at].holders =
        paths; /* of the members; those of holders are in the canonical form */
    assert_int_equal(segment_add(writer, event, record, world.header, names, &err), OK);
}

static void take_finding(void *, const struct finding *)
{
    world.refused++;
}

static const struct sink SINK = {NULL, take_event, take_finding};

static void begin_world(const struct csv_header *header)
{
    arena_rewind(&scratch, (struct arena_mark){0});
    world.header = header;
    world.count = world.refused = 0;
}

static bool has_path(const struct event *event, const uint64_t *paths, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!event_member(event, paths[i])) {
            return false;
        }
    }
    return event->member_count == count;
}

/* A block as a file has it, with bytes behind it. */
static struct text pad(struct text block)
{
    char *copy = arena_alloc(&scratch, block.size + SEGMENT_PADDING_BYTES);
    memcpy(copy, block.at, block.size);
    memset(copy + block.size, 0xA5, SEGMENT_PADDING_BYTES);
    return (struct text){copy, block.size};
}

static struct text check_world(void)
{
    const char *fault;
    assert_int_equal(segment_count(writer), world.count);
    struct text block = pad(segment_finish(writer, 77));
    assert_int_equal(segment_count(writer), 0);
    struct segment_header header;
    assert_true(segment_header_read(block.at, &header, &fault));
    assert_int_equal(header.event_count, world.count);
    assert_int_equal(header.events_before, 77);
    assert_int_equal(header.kind, SEGMENT_EVENTS);
    assert_int_equal(header.body_bytes + SEGMENT_HEADER_BYTES, block.size);
    if (!segment_open(reader, block, &fault)) {
        fail_msg("%s", fault);
    }
    for (uint32_t i = 0; i < world.count; i++) {
        const struct event *event = segment_next(reader, &fault);
        if (!event) {
            fail_msg("event %u: %s", i, fault ? fault : "the end");
        }
        struct buffer canonical;
        buffer_init(&canonical, &scratch, 256);
        segment_canonical(reader, &canonical);
        struct text got = buffer_text(&canonical);
        if (!text_equal(got, world.canonical[i])) {
            fail_msg("event %u:\n  was %.*s\n  is  %.*s", i, TEXT_ARG(world.canonical[i]),
                     TEXT_ARG(got));
        }
        assert_int_equal(segment_position(reader), i + 1);
        assert_true(event->print == world.prints[i]);
        assert_int_equal(event->at, world.events[i].at);
        assert_true(event->at >= header.from && event->at <= header.last);
        assert_int_equal(event->kind, world.events[i].kind);
        assert_int_equal(event->holder_count > 0, world.events[i].holder_count > 0);
        assert_true(has_path(event, world.events[i].holders, world.events[i].member_count));
        assert_int_equal(event->target_id.size, world.events[i].target_id.size);
    }
    assert_null(segment_next(reader, &fault));
    assert_null(fault);
    return block;
}

/* ---- by hand -------------------------------------------------------------------------------- */

#define HEAD \
    "{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"s\",\"type\":\"t\",\"subject\":\"a\","
#define AT(time, data) HEAD "\"time\":" time ",\"data\":" data "}"
#define DATA(data)     AT("\"2026-10-01T00:00:00Z\"", data)

static const char *const ODD[] = {
    DATA("{}"),
    HEAD "\"time\":\"2026-10-01T00:00:00Z\"}",
    HEAD "\"time\":\"2026-10-01T00:00:00Z\",\"data_base64\":\"AAEC\"}",
    HEAD "\"time\":\"2026-10-01T00:00:00Z\",\"datacontenttype\":\"x/"
         "y\",\"traceid\":{\"a\":[1]},\"data\":{\"a\":1}}",
    DATA("{\"a\":1}"),
    DATA("{\"a\":\"1\"}"),
    DATA("{\"b\":2,\"a\":1}"),
    DATA("{\"a\":1,\"b\":2}"),
    DATA("{\"a\":null,\"b\":true,\"c\":false,\"d\":{},\"e\":[]}"),
    DATA("{\"a\":{\"b\":{\"c\":[1,[2,{\"d\":3}],{}]}},\"\":0}"),
    DATA("{\"[0]\":1,\"a\":[1]}"),
    DATA("{\"a\\u0009\\n\\\"\\\\b\":\"\\u0001\\t\\u00e9\\ud83d\\ude00/\\/\"}"),
    DATA("{\"q\":12345678901234567890123456789012345678}"),
    DATA("{\"q\":-12345678901234567890.123456789012345678}"),
    DATA("{\"q\":99999999999999999999999999999999999999}"),
    DATA("{\"q\":1e37}"),
    DATA("{\"q\":-1e-18}"),
    DATA("{\"q\":9223372036854775807}"),
    DATA("{\"q\":-9223372036854775808}"),
    DATA("{\"q\":9223372036854775808}"),
    DATA("{\"q\":0.0}"),
    DATA("{\"q\":-0}"),
    DATA("{\"q\":\"0\"}"),
    DATA("{\"q\":\"-0\"}"),
    DATA("{\"q\":\"0.50\"}"),
    DATA("{\"q\":\"00.5\"}"),
    DATA("{\"q\":\".5\"}"),
    DATA("{\"q\":\"5.\"}"),
    DATA("{\"q\":\"1e3\"}"),
    DATA("{\"q\":\"-12.500\"}"),
    DATA("{\"q\":\"123456789012345678\"}"),
    DATA("{\"q\":\"0.000000000000000001\"}"),
    DATA("{\"q\":\"\"}"),
    AT("\"1970-01-01T00:00:00Z\"", "{}"),
    AT("\"2261-12-31T23:59:59.999999999Z\"", "{}"),
    AT("\"2026-10-01T02:30:00.000000001+05:45\"", "{}"),
    AT("1780586634.1", "{}"),
    "{\"specversion\":\"1.0\",\"id\":\"w\",\"source\":\"s\",\"type\":\"farthing.withdrawal\","
    "\"time\":"
    "\"2026-10-01T00:00:00Z\",\"data\":{\"source\":\"s\",\"id\":\"e\",\"why\":[1]}}",
    "{\"specversion\":\"1.0\",\"id\":\"w\",\"source\":\"s\",\"type\":\"farthing.withdrawal\","
    "\"subject\":\"x\",\"time\":"
    "\"2026-10-01T00:00:00Z\",\"data\":{\"source\":\"s\",\"id\":\"e\"}}",
    "{\"specversion\":\"1.0\",\"id\":\"\xC3\xA9\xE2\x82\xAC\",\"source\":\"//\xF0\x9F\x92\xA1/"
    "abc\",\"type\":\"t\","
    "\"subject\":\"0a1b2c\",\"time\":\"2026-10-01T00:00:00Z\",\"data\":{\"\xC3\xA9\":\"\xC3\xA9\"}"
    "}",
};

static void odd_events_come_back(void **)
{
    begin_world(NULL);
    enum { COUNT = sizeof ODD / sizeof *ODD };
    for (size_t i = 0; i < COUNT; i++) { /* each in a block of its own, then all in one */
        decode_json_line(decoder, text_of(ODD[i]), false, &SINK);
        if (world.count != 1) {
            fail_msg("refused: %s", ODD[i]);
        }
        check_world();
        begin_world(NULL);
    }
    for (int copies = 0; copies < 40; copies++) {
        for (size_t i = 0; i < COUNT; i++) {
            decode_json_line(decoder, text_of(ODD[i]), false, &SINK);
        }
    }
    assert_int_equal(world.count, 40 * COUNT);
    struct text first = check_world();
    char *kept = malloc(first.size);
    memcpy(kept, first.at, first.size);
    size_t size = first.size;
    begin_world(NULL);
    for (int copies = 0; copies < 40; copies++) {
        for (size_t i = 0; i < COUNT; i++) {
            decode_json_line(decoder, text_of(ODD[i]), false, &SINK);
        }
    }
    struct text second = check_world();
    assert_int_equal(second.size, size);
    assert_memory_equal(second.at, kept, size);
    free(kept);
}

static void rows_come_back(void **)
{
    struct error err;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    const struct csv_column columns[] = {{TEXT("quantity"), TEXT("data.quantity"), true},
                                         {TEXT("size"), TEXT("data.vm.size"), false}};
    const struct csv_mapping mapping = {',', columns, 2, NULL, 0};
    const struct csv_header *header;
    assert_int_equal(
        csv_header_read(&arena, TEXT("id,source,type,subject,time,quantity,size,data.vm.os,note"),
                        &mapping, &header, &err),
        OK);
    begin_world(header);
    static const char *const ROWS[] = {
        "1,s,t,a,2026-10-01T00:00:00Z,1.50,large,linux,\"a \"\"b\"\", c\"",
        "2,s,t,a,2026-10-01T00:00:00Z,,,,",
        "3,s,t,b,2026-10-01T00:00:00+02:00,12345678901234567890.5,,bsd,1.50",
    };
    for (size_t i = 0; i < 3; i++) {
        decode_csv_row(decoder, header, text_of(ROWS[i]), &SINK);
    }
    assert_int_equal(world.count, 3);
    check_world();
    arena_release(&arena);
}

/* ---- by chance ------------------------------------------------------------------------------ */

static uint64_t state;

static uint64_t chance(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545F4914F6CDD1D);
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)((chance() >> 32) * limit >> 32);
}

static void add_text(struct buffer *out, uint32_t kind)
{
    static const char *const WORDS[] = {"us-east-1",         "eu",        "large", "\\u0000",
                                        "\xC3\xA9t\xC3\xA9", "\\\"q\\\"", "",      "x",
                                        "\\ud83d\\ude00"};
    buffer_add_char(out, '"');
    switch (kind) {
    case 0:
        buffer_format(out, "%08x-%04x", (unsigned)chance(), (unsigned)chance() & 0xFFFF);
        break;
    case 1:
        buffer_format(out, "evt-%u", below(1u << (1 + below(31))));
        break;
    case 2:
        buffer_format(out, "%u.%02u", below(100000), below(100));
        break;
    case 3:
        buffer_format(out, "%012u", below(400000));
        break;
    case 4:
        for (uint32_t i = below(40); i > 0; i--) {
            buffer_add_char(out, "#$%&'()*+,-./:;<=>?@GXYZghz"[below(27)]);
        }
        buffer_add_char(out, 'z');
        break;
    default: {
        const char *word = WORDS[below(9)];
        buffer_add_text(
            out, text_of(word[0] == '\\' && word[1] == 'u' && word[2] == '0' ? "nul" : word));
    }
    }
    buffer_add_char(out, '"');
}

static void add_value(struct buffer *out, int depth, uint32_t kind)
{
    switch (kind % 12) {
    case 0:
        buffer_format(out, "%u", below(1u << below(31)));
        break;
    case 1:
        buffer_format(out, "-%u.%u", below(1000000), below(1000000));
        break;
    case 2:
        buffer_format(out, "%u%018" PRIu64 "%012u", 1 + below(9), chance() % 1000000000000000000u,
                      below(1000000000));
        break;
    case 3:
        buffer_add_text(out, below(2) ? TEXT("true") : TEXT("false"));
        break;
    case 4:
        buffer_add_text(out, below(2) ? TEXT("null") : below(2) ? TEXT("{}") : TEXT("[]"));
        break;
    case 5:
        if (depth < 4) {
            buffer_add_char(out, '{');
            for (uint32_t i = 0, count = below(3); i <= count; i++) {
                buffer_format(out, "%s\"%c%s\":", i ? "," : "", 'a' + (int)i,
                              below(9) ? "" : "\\n");
                add_value(out, depth + 1, below(12));
            }
            buffer_add_char(out, '}');
            break;
        }
        /* fall through */
    case 6:
        if (depth < 4) {
            buffer_add_char(out, '[');
            for (uint32_t i = 0, count = below(4); i <= count; i++) {
                buffer_add_text(out, i ? TEXT(",") : TEXT(""));
                add_value(out, depth + 1, below(12));
            }
            buffer_add_char(out, ']');
            break;
        }
        /* fall through */
    default:
        add_text(out, kind % 6);
        break;
    }
}

/* A producer has its names and kinds, and now and then does something else. */
struct producer {
    uint32_t id_kind, member_count, kinds[6], shuffle, unit;
};

static void add_line(struct buffer *out, const struct producer *producer)
{
    static const char *const TIMES[] = {"2026-10-%02uT%02u:%02u:00Z",
                                        "2026-10-%02uT%02u:%02u:00.125Z",
                                        "2026-10-%02uT%02u:%02u:00.000000001+03:30"};
    bool is_withdrawal = below(40) == 0;
    buffer_add_text(out, TEXT("{\"specversion\":\"1.0\",\"id\":"));
    size_t start = out->size;
    do {
        out->size = start;
        add_text(out, producer->id_kind);
    } while (out->size == start + 2);
    buffer_format(out, ",\"source\":\"//s/%u\",\"type\":\"%s\",\"subject\":\"%u\",\"time\":\"",
                  below(1 + producer->shuffle * 5), is_withdrawal ? WITHDRAWAL_TYPE : "vm",
                  below(50));
    buffer_format(out, TIMES[producer->unit], 1 + below(30), below(24), below(60));
    buffer_add_text(out, TEXT("\",\"data\":{"));
    if (is_withdrawal) {
        buffer_format(out, "\"id\":\"%u\",\"source\":\"//s/0\"", below(100));
    }
    bool is_turned = below(8) < producer->shuffle;
    for (uint32_t i = 0; i < producer->member_count; i++) {
        uint32_t m = is_turned ? producer->member_count - 1 - i : i;
        buffer_format(out, "%s\"m%u\":", i > 0 || is_withdrawal ? "," : "", m);
        add_value(out, 0, below(30) == 0 ? below(12) : producer->kinds[m]);
    }
    buffer_add_text(out, TEXT("}}"));
}

static void make_world(void)
{
    begin_world(NULL);
    struct producer producers[3];
    uint32_t producer_count = 1 + below(3), count = 1 + below(below(4) ? 100 : 3000);
    for (uint32_t p = 0; p < producer_count; p++) {
        struct producer *producer = &producers[p];
        *producer = (struct producer){
            .id_kind = below(6), .member_count = below(7), .shuffle = below(3), .unit = below(3)};
        for (int i = 0; i < 6; i++) {
            producer->kinds[i] = below(12);
        }
    }
    struct buffer line;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    buffer_init(&line, &arena, 1024);
    for (uint32_t i = 0; i < count; i++) {
        line.size = 0;
        add_line(&line, &producers[below(producer_count)]);
        uint32_t before = world.count;
        decode_json_line(decoder, buffer_text(&line), false, &SINK);
        if (world.count == before) {
            fail_msg("refused: %.*s", TEXT_ARG(buffer_text(&line)));
        }
    }
    arena_release(&arena);
}

static uint64_t read_option(const char *name, uint64_t usual)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : usual;
}

static void worlds_come_back(void **)
{
    uint64_t seed = read_option("FARTHING_SEED", 1), cases = read_option("FARTHING_CASES", 60);
    for (uint64_t i = 0; i < cases; i++) {
        state = (seed + i) * UINT64_C(0x9E3779B97F4A7C15) | 1;
        print_message("seed %" PRIu64 "\r", seed + i);
        make_world();
        (void)check_world();
    }
}

/* ---- damage --------------------------------------------------------------------------------- */

/* Every event of a block that opens is one that a decoder gives, with the same fingerprint. */
static uint32_t check_read(struct text block)
{
    const char *fault;
    const struct event *event;
    uint32_t count = 0;
    if (!segment_open(reader, block, &fault)) {
        assert_non_null(fault);
        return 0;
    }
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct buffer canonical;
    buffer_init(&canonical, &arena, 4096);
    struct arena_mark mark = arena_mark(&arena);
    for (; (event = segment_next(reader, &fault)); count++) {
        canonical.size = 0;
        segment_canonical(reader, &canonical);
        struct text line = buffer_text(&canonical);
        if (line.size > LINE_MAX_BYTES) {
            continue;
        }
        struct outcome outcome;
        struct sink sink = outcome_start(&outcome, &arena, line);
        decode_json_general(decoder, line, false, &sink);
        if (outcome.event_count != 1 || outcome.prints[0] != event->print) {
            fail_msg("%s: %.*s",
                     outcome.event_count ? "another print" : refusal_name(outcome.last_refusal),
                     TEXT_ARG(line));
        }
        if (canonical.capacity <= 4096) {
            arena_rewind(&arena, mark);
        }
    }
    arena_release(&arena);
    return count;
}

static void reseal(char *block, size_t size)
{
    struct segment_header header = {.kind = SEGMENT_EVENTS,
                                    .event_count = (uint32_t)read_le(block + 12, 4),
                                    .body_bytes = (uint32_t)(size - SEGMENT_HEADER_BYTES),
                                    .from = 0,
                                    .last = INSTANT_MAX};
    segment_seal(header, block);
}

static void damage_is_refused(void **)
{
    uint64_t seed = read_option("FARTHING_SEED", 1), cases = read_option("FARTHING_CASES", 60);
    uint32_t read = 0, opened = 0;
    for (uint64_t i = 0; i < cases; i++) {
        state = (seed + i) * UINT64_C(0xD6E8FEB86659FD93) | 1;
        make_world();
        struct text block = pad(segment_finish(writer, 0));
        char *bytes = malloc(block.size + SEGMENT_PADDING_BYTES);
        for (int turn = 0; turn < 60; turn++) {
            memcpy(bytes, block.at, block.size + SEGMENT_PADDING_BYTES);
            size_t size = block.size;
            uint32_t flips = 1 + below(below(3) ? 2 : 20);
            for (uint32_t k = 0; k < flips; k++) {
                /* Half of them in the streams that say most, at the start. */
                size_t reach = below(2) && size > 300 ? 300 : size - 64;
                size_t at = 64 + below((uint32_t)reach);
                const int byte = below(4) == 0 ? (int)below(256) : bytes[at] ^ 1 << below(8);
                bytes[at] = (char)byte;
            }
            size = below(10) == 0 ? 64 + below((uint32_t)(size - 63)) : size;
            const char *fault;
            bool is_same = size == block.size && memcmp(bytes, block.at, size) == 0;
            if (!is_same) {
                assert_false(segment_open(reader, (struct text){bytes, size}, &fault));
                assert_non_null(fault);
            }
            if (below(20) == 0) {
                write_le(bytes + 12, 1 + below(world.count + 9), 4);
            }
            reseal(bytes, size);
            uint32_t got = check_read((struct text){bytes, size});
            read += got;
            opened += got > 0;
        }
        free(bytes);
    }
    print_message("%u damaged blocks opened, %u events read\n", opened, read);
    assert_true(opened > 0);
}

/* A body that is written by hand: streams as they are. */
static void add_raw(struct buffer *body, struct text stream)
{
    char head[STREAM_HEAD_BYTES];
    write_le(head, stream.size, 4);
    write_le(head + 4, stream.size, 4);
    buffer_add(body, head, sizeof head);
    buffer_add_text(body, stream);
}

/* What is wrong with a block of so many events, whose hash is right. */
static const char *fault_of(uint32_t events, struct text sizes, struct text texts, struct text plan)
{
    struct buffer block;
    buffer_init(&block, &scratch, SEGMENT_HEADER_BYTES + sizes.size + texts.size + plan.size + 128);
    block.size = SEGMENT_HEADER_BYTES;
    add_raw(&block, sizes);
    add_raw(&block, texts);
    add_raw(&block, plan);
    memset(block.at, 0, SEGMENT_HEADER_BYTES);
    write_le(block.at + 12, events, 4);
    reseal(block.at, block.size);
    const char *fault = NULL;
    assert_false(segment_open(reader, pad(buffer_text(&block)), &fault));
    return fault;
}

/* A few packed bytes could say that there are millions of texts or of values: no more are believed
 * than events can have.  One event has a source, a type, a shape and 256 values. */
static void claims_are_bounded(void **)
{
    enum { TEXTS_OF_ONE = 3 + MEMBERS_MAX, SHAPES = 2200 };
    static const char zeros[TEXTS_OF_ONE + 1];
    for (uint32_t more = 0; more < 2; more++) {
        struct buffer plan;
        buffer_init(&plan, &scratch, 64);
        add_varint(&plan, TEXTS_OF_ONE + more);
        const char *fault =
            fault_of(1, (struct text){zeros, TEXTS_OF_ONE + more}, TEXT(""), buffer_text(&plan));
        assert_string_equal(fault, more ? "segment: the dictionary is cut"
                                        : "segment: a time that cannot be");
    }
    struct buffer json, sizes, plan;
    buffer_init(&json, &scratch, 4096);
    buffer_init(&sizes, &scratch, 8);
    buffer_init(&plan, &scratch, SHAPES * (MEMBERS_MAX + 8));
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        buffer_format(&json, "%c\"m%03u\":0", i == 0 ? '{' : ',', i);
    }
    buffer_add_char(&json, '}');
    add_varint(&sizes, json.size);
    const uint32_t head[] = {1, 0, 0, 1, SHAPES};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        add_varint(&plan, head[i]);
    }
    for (uint32_t s = 0; s < SHAPES; s++) {
        add_varint(&plan, 0);
        add_varint(&plan, MEMBERS_MAX);
        for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
            add_varint(&plan, WORD_IN_TUPLE);
        }
    }
    assert_string_equal(
        fault_of(SHAPES, buffer_text(&sizes), buffer_text(&json), buffer_text(&plan)),
        "segment: the shapes have too many values");
    arena_rewind(&scratch, (struct arena_mark){0});
}

/* Nor more patterns than there are texts: one event has a subject, an id and 256 values, and here
 * its subject 255 and its id the rest. */
static void patterns_are_bounded(void **)
{
    enum { OF_SUBJECT = PATTERN_REST, OF_ID = 2 + MEMBERS_MAX - OF_SUBJECT };
    static const char plan[] = {2, 9, 0, 1, 1, 0, 0, 1, 0, 1, 1};
    const char of_subject[2 + OF_SUBJECT] = {(char)0xFF, 1}; /* 255, each of no bytes */
    const struct text none = TEXT(""), one = {"", 1};
    for (char more = 0; more < 2; more++) {
        const char of_id[] = {(char)(OF_ID + more), 0, 0, 0, 0};
        const struct text streams[] = {TEXT("\2\1"),
                                       TEXT("{}s"),
                                       {plan, sizeof plan},
                                       none,
                                       none,
                                       one,
                                       one, /* codes and times */
                                       {of_subject, sizeof of_subject},
                                       one,
                                       none,
                                       none,
                                       {of_id, sizeof of_id},
                                       one,
                                       none,
                                       none};
        struct buffer block;
        buffer_init(&block, &scratch, 4096);
        block.size = SEGMENT_HEADER_BYTES;
        memset(block.at, 0, SEGMENT_HEADER_BYTES);
        write_le(block.at + 12, 1, 4);
        for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
            add_raw(&block, streams[i]);
        }
        reseal(block.at, block.size);
        const char *fault = NULL;
        assert_int_equal(segment_open(reader, pad(buffer_text(&block)), &fault), !more);
        if (more) {
            assert_string_equal(fault, "segment: the columns have too many patterns");
        }
    }
    arena_rewind(&scratch, (struct arena_mark){0});
}

static void headers_are_checked(void **)
{
    char block[SEGMENT_HEADER_BYTES];
    struct segment_header header;
    const char *fault;
    segment_end(12, block);
    assert_true(segment_is_magic(block, 8));
    assert_false(segment_is_magic(block, 7));
    assert_true(segment_header_read(block, &header, &fault));
    assert_int_equal(header.kind, SEGMENT_END);
    assert_int_equal(header.events_before, 12);
    assert_false(segment_open(reader, (struct text){block, sizeof block}, &fault));
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 4;
        assert_false(segment_header_read(block, &header, &fault));
        block[i] ^= 4;
    }
    segment_end(SEGMENT_FILE_EVENTS_MAX, block);
    assert_true(segment_header_read(block, &header, &fault));
    segment_end(SEGMENT_FILE_EVENTS_MAX + 1, block);
    assert_false(segment_header_read(block, &header, &fault));
    assert_string_equal(fault, "segment: a block's header says what none can");
    segment_end(12, block);
    write_le(block + 8, 2, 2);
    write_le(block + 56, hash_print64(block, 56, SEGMENT_HASH_HEADER), 8);
    assert_false(segment_header_read(block, &header, &fault));
    assert_string_equal(fault, "segment: a block of another version");
}

/* A block is full before it is too large for a reader. */
static void blocks_are_bounded(void **)
{
    begin_world(NULL);
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct buffer line;
    buffer_init(&line, &arena, 1024 * 1024);
    uint32_t count = 0;
    while (count == 0 || !segment_is_full(writer)) {
        line.size = 0;
        buffer_format(&line,
                      "{\"specversion\":\"1.0\",\"id\":\"%u\",\"source\":\"s\",\"type\":\"t\","
                      "\"subject\":\"a\","
                      "\"time\":\"2026-10-01T00:00:00Z\",\"data\":{\"x%u\":\"",
                      count, count);
        while (line.size < 600000) {
            buffer_format(&line, "%u,\\u0007", (unsigned)(chance() >> 40));
        }
        buffer_add_text(&line, TEXT("\"}}"));
        arena_rewind(&scratch, (struct arena_mark){0});
        decode_json_line(decoder, buffer_text(&line), false, &SINK);
        count++;
    }
    assert_in_range(count, 10, 100);
    struct text block = pad(segment_finish(writer, 0));
    assert_int_equal(check_read(block), count);
    arena_release(&arena);
}

/* Which texts are new decides where a block ends, however they are kept until then: the sum of all
 * ids and texts of data, and once more of each text that is new. */
static void blocks_end_by_what_is_new(void **)
{
    enum { NOTE_BYTES = 5000, SUBJECTS = 700, MAX_BYTES = 16 * 1024 * 1024 };
    begin_world(NULL);
    struct arena arena;
    arena_init(&arena, NULL, 0);
    char note[NOTE_BYTES + 1];
    memset(note, 'n', NOTE_BYTES);
    note[NOTE_BYTES] = '\0';
    struct buffer line;
    buffer_init(&line, &arena, 2 * NOTE_BYTES);
    size_t bytes = 0;
    for (uint32_t i = 0; bytes < MAX_BYTES; i++) {
        assert_int_equal(segment_count(writer), i);
        assert_false(segment_is_full(writer));
        struct text id = text_format(&arena, "%u", i);
        struct text subject = text_format(&arena, "account %u", i % SUBJECTS);
        struct text quantity = text_format(&arena, "-1000000%u.50", i / 2);
        line.size = 0;
        buffer_format(&line,
                      "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"s\",\"type\":\"t\","
                      "\"subject\":\"%s\",\"time\":\"2026-10-01T00:00:00Z\","
                      "\"data\":{\"n\":\"%s\",\"q\":\"%s\"}}",
                      id.at, subject.at, note, quantity.at);
        decode_json_line(decoder, buffer_text(&line), false, &SINK);
        assert_int_equal(world.count, i + 1);
        bytes += id.size + NOTE_BYTES + quantity.size;
        bytes += i < SUBJECTS ? subject.size : 0;
        bytes += i % 2 == 0 ? quantity.size : 0;
        if (i == 0) { /* source, type, note, the shape and what it was read from */
            bytes += 2 + NOTE_BYTES + TEXT("{\"n\":0,\"q\":0}").size + world.canonical[0].size;
        }
    }
    assert_true(segment_is_full(writer));
    check_world();
    arena_release(&arena);
}

/* An event with as many values as there may be, and as many sources as there are events of another
 * shape: what a tuple of the one takes is not taken for each of the others. */
static void shapes_of_a_block_differ(void **)
{
    begin_world(NULL);
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct buffer line;
    buffer_init(&line, &arena, 8192);
    buffer_add_text(&line, TEXT(HEAD "\"time\":\"2026-10-01T00:00:00Z\",\"data\":"));
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        buffer_format(&line, "%c\"m%u\":\"x\"", i == 0 ? '{' : ',', i);
    }
    buffer_add_text(&line, TEXT("}}"));
    decode_json_line(decoder, buffer_text(&line), false, &SINK);
    for (uint32_t i = 1; i < EVENTS_MAX; i++) {
        line.size = 0;
        buffer_format(&line,
                      "{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"vm/%u\",\"type\":\"t\","
                      "\"subject\":\"a\",\"time\":\"2026-10-01T00:00:00Z\",\"data\":{\"n\":%u}}",
                      i, i);
        decode_json_line(decoder, buffer_text(&line), false, &SINK);
    }
    assert_int_equal(world.count, EVENTS_MAX);
    check_world();
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_events_come_back),     cmocka_unit_test(rows_come_back),
        cmocka_unit_test(worlds_come_back),         cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(claims_are_bounded),       cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(blocks_are_bounded),       cmocka_unit_test(blocks_end_by_what_is_new),
        cmocka_unit_test(shapes_of_a_block_differ), cmocka_unit_test(patterns_are_bounded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
