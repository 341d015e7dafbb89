/* generate.c - see generate.h.
 *
 * The products are a table: what their events are called, what they count, and the names of their
 * SKUs as the product of two lists.  tool/demo_catalog.py has the same lists and writes the SKUs of
 * the demo catalog from them; test/unit/generate_test.c holds the two together.
 *
 * Accounts are drawn log-uniformly (as many events from the first ten as from the next ninety),
 * which is what Zipf's law comes to and needs only shifts.
 */
#include "exchange/generate.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include "engine/handle.h"
#include "feed/output.h"

/* ---- random numbers ------------------------------------------------------------------------ */

/* What is asked about an event or account: each has its own stream. */
enum question {
    ASK_ID = 1,
    ASK_ID_TAIL,
    ASK_ACCOUNT,
    ASK_SKU,
    ASK_SKU_OF_ACCOUNT,
    ASK_REGION,
    ASK_RESOURCE,
    ASK_QUANTITY,
    ASK_TIME,
    ASK_LATE,
    ASK_TROUBLE,
    ASK_WHICH,
    ASK_FORM,
    ASK_ORGANIZATION,
    ASK_MEMBERSHIP,
    ASK_PLAN,
    ASK_SINCE,
    ASK_OVERRIDE,
};

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* splitmix64 at any place of the question's stream. */
static uint64_t ask(uint64_t seed, enum question question, uint64_t index)
{
    const uint64_t golden = UINT64_C(0x9E3779B97F4A7C15);
    return mix(mix(seed + golden * (uint64_t)question) + golden * (index + 1));
}

/* A number below count from the high bits of a random one. */
static uint64_t below(uint64_t random, uint64_t count)
{
    return (uint64_t)((unsigned __int128)random * count >> 64);
}

/* 2^low to 2^high, each doubling as likely as the next. */
static uint64_t log_uniform(uint64_t random, unsigned low, unsigned high)
{
    unsigned bits = low + (unsigned)(random & 0xFFFF) % (high - low);
    return (UINT64_C(1) << bits) + (mix(random) & ((UINT64_C(1) << bits) - 1));
}

/* ---- products ------------------------------------------------------------------------------ */

enum measure {
    MEASURE_SECONDS,
    MEASURE_HOURS,
    MEASURE_BYTES,
    MEASURE_BYTE_HOURS,
    MEASURE_REQUESTS,
    MEASURE_TOKENS,
    MEASURE_FEW,        /* messages, images */
    MEASURE_GIB,        /* a gauge of size */
    MEASURE_KEYS,       /* a gauge of number */
    MEASURE_GB_SECONDS, /* and requests, in one event */
};

struct sample_product {
    const char *name; /* events are of type demo.<name> */
    const char *member;
    enum measure measure;
    unsigned weight;            /* of its events */
    const char *prefix, *a, *b; /* SKUs: prefix.a.b for all words of a and b */
};

#define SIZES "small medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge"

static const struct sample_product PRODUCTS[] = {
    {"compute", "seconds", MEASURE_SECONDS, 180, "vm", "b1 b2 g1 g2 g3 c1 c2 c3 m1 m2",
     "nano micro small medium large xlarge 2xlarge 4xlarge 8xlarge 16xlarge"},
    {"compute", "seconds", MEASURE_SECONDS, 6, "vm", "a1",
     "xlarge 2xlarge 4xlarge 8xlarge 16xlarge 24xlarge"},
    {"disks", "gib", MEASURE_GIB, 50, "disk", "standard balanced ssd extreme", "zonal regional"},
    {"object-storage", "byte_hours", MEASURE_BYTE_HOURS, 90, "storage",
     "standard infrequent archive deep intelligent express", ""},
    {"storage-requests", "requests", MEASURE_REQUESTS, 110, "requests",
     "put get list copy select lifecycle restore delete", ""},
    {"transfer", "bytes", MEASURE_BYTES, 100, "transfer",
     "internet region zone accelerated private peering satellite nat", ""},
    {"functions", "gb_seconds", MEASURE_GB_SECONDS, 90, "fn", "compute", "x86 arm"},
    {"databases", "hours", MEASURE_HOURS, 40, "db", "postgres mysql maria oracle sqlserver",
     SIZES " 32xlarge 48xlarge"},
    {"database-storage", "byte_hours", MEASURE_BYTE_HOURS, 20, "dbstore",
     "ssd magnetic iops backup", "single multi"},
    {"nosql", "units", MEASURE_REQUESTS, 50, "nosql", "read write stream restore",
     "standard infrequent"},
    {"models", "tokens", MEASURE_TOKENS, 70, "llm",
     "aria-1 aria-2 aria-mini bolt-7b bolt-70b coral-s coral-m coral-l delta ember",
     "input cached output"},
    {"models", "tokens", MEASURE_TOKENS, 8, "llm", "embed-s embed-l", "input"},
    {"media", "items", MEASURE_FEW, 12, "media",
     "image-std image-hd tts stt video-sd video-hd ocr translate moderate upscale",
     "standard priority"},
    {"queue", "requests", MEASURE_REQUESTS, 30, "queue",
     "standard fifo delay dead-letter topic filter", ""},
    {"streams", "hours", MEASURE_HOURS, 10, "stream", "provisioned on-demand extended fanout",
     "standard compact"},
    {"cdn", "bytes", MEASURE_BYTES, 40, "cdn", "na eu asia sa oceania me africa in jp cn", ""},
    {"dns", "queries", MEASURE_REQUESTS, 15, "dns", "standard latency geo health", ""},
    {"load-balancers", "hours", MEASURE_HOURS, 15, "lb", "http tcp gateway classic internal global",
     ""},
    {"network", "hours", MEASURE_HOURS, 15, "net", "ip vpn gateway endpoint firewall mirror", ""},
    {"keys", "keys", MEASURE_KEYS, 6, "kms", "symmetric rsa ecc hsm", ""},
    {"secrets", "secrets", MEASURE_KEYS, 6, "secret", "standard rotated replica", ""},
    {"monitoring", "bytes", MEASURE_BYTES, 30, "mon",
     "metrics logs traces alarms dashboards canaries events queries archive insights", ""},
    {"kubernetes", "hours", MEASURE_HOURS, 8, "k8s", "cluster autopilot extended edge", ""},
    {"containers", "seconds", MEASURE_SECONDS, 25, "ct", "vcpu memory", "x86 arm windows spot"},
    {"cache", "hours", MEASURE_HOURS, 15, "cache", "m1 r1 t1 s1", SIZES},
    {"search", "hours", MEASURE_HOURS, 10, "search", "data master warm",
     SIZES " 32xlarge 48xlarge"},
    {"warehouse", "hours", MEASURE_HOURS, 8, "wh", "dense balanced compute", SIZES},
    {"pipelines", "hours", MEASURE_HOURS, 10, "etl", "spark python stream crawl quality catalog",
     "standard flex"},
    {"backup", "byte_hours", MEASURE_BYTE_HOURS, 10, "backup", "disk db file archive", "warm cold"},
    {"registry", "byte_hours", MEASURE_BYTE_HOURS, 5, "registry", "private public scan cross", ""},
    {"messages", "messages", MEASURE_FEW, 20, "msg", "sms",
     "at au br ca ch cn de es fr gb in it jp mx nl pl se sg us za"},
    {"messages", "messages", MEASURE_FEW, 10, "msg", "email push voice", "standard dedicated"},
};
enum {
    PRODUCT_COUNT = sizeof PRODUCTS / sizeof *PRODUCTS,
    SKUS_MAX = 600,
    SKU_NAME_BYTES = 40,
};

static const char *const REGIONS[] = {"us-east", "us-west", "eu-west", "eu-central", "ap-south"};
enum { REGION_COUNT = sizeof REGIONS / sizeof *REGIONS };

struct sku_name {
    char text[SKU_NAME_BYTES];
    uint16_t size;
    uint16_t product;
};

struct generator {
    struct generate_options options;
    struct generate_summary summary;
    struct sku_name skus[SKUS_MAX];
    uint32_t sku_count;
    uint32_t first_sku[PRODUCT_COUNT + 1]; /* SKUs of a product: [first, next first) */
    unsigned weight_sum;
    uint32_t organization_count, group_count;
    instant stamp_day; /* of stamp */
    char stamp[16];    /* "2026-10-05T" */
};

/* The next word of a list; an empty list is one empty word. */
static struct text next_word(const char **list)
{
    size_t size = strcspn(*list, " ");
    struct text word = {*list, size};
    *list += size + ((*list)[size] == ' ');
    return word;
}

static void list_skus(struct generator *generator)
{
    for (uint32_t i = 0; i < PRODUCT_COUNT; i++) {
        const struct sample_product *product = &PRODUCTS[i];
        generator->first_sku[i] = generator->sku_count;
        generator->weight_sum += product->weight;
        for (const char *a = product->a; *a;) {
            struct text word_a = next_word(&a);
            const char *b = product->b;
            do {
                struct text word_b = next_word(&b);
                assert(generator->sku_count < SKUS_MAX);
                struct sku_name *sku = &generator->skus[generator->sku_count++];
                int size = snprintf(sku->text, SKU_NAME_BYTES, "%s.%.*s%s%.*s", product->prefix,
                                    TEXT_ARG(word_a), word_b.size ? "." : "", TEXT_ARG(word_b));
                assert(size < SKU_NAME_BYTES);
                sku->size = (uint16_t)size;
                sku->product = (uint16_t)i;
            } while (*b);
        }
    }
    generator->first_sku[PRODUCT_COUNT] = generator->sku_count;
}

/* Any SKU, by the weight of its product; one without regard to accounts. */
static uint32_t pick_sku(const struct generator *generator, uint64_t random)
{
    unsigned weight = (unsigned)below(random, generator->weight_sum);
    uint32_t product = 0;
    while (weight >= PRODUCTS[product].weight) {
        weight -= PRODUCTS[product++].weight;
    }
    uint32_t first = generator->first_sku[product];
    return first + (uint32_t)below(mix(random), generator->first_sku[product + 1] - first);
}

/* ---- lines --------------------------------------------------------------------------------- */

enum { LINE_BYTES = 1024 };

static char *put(char *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}
#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_string(char *at, const char *string)
{
    return put(at, string, strlen(string));
}

static char *put_number(char *at, uint64_t number)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    while (count) {
        *at++ = digits[--count];
    }
    return at;
}

/* number / 10^digits, without zeros at its end. */
static char *put_decimal(char *at, uint64_t number, int digits)
{
    while (digits > 0 && number % 10 == 0) {
        number /= 10;
        digits--;
    }
    uint64_t unit = 1;
    for (int i = 0; i < digits; i++) {
        unit *= 10;
    }
    at = put_number(at, number / unit);
    if (digits > 0) {
        *at++ = '.';
        for (uint64_t rest = number % unit; unit > 1; rest %= unit) {
            unit /= 10;
            *at++ = (char)('0' + rest / unit);
        }
    }
    return at;
}

static char *put_hex(char *at, uint64_t number, int digits)
{
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        *at++ = "0123456789abcdef"[number >> shift & 15];
    }
    return at;
}

static char *put_two(char *at, uint64_t number)
{
    *at++ = (char)('0' + number / 10);
    *at++ = (char)('0' + number % 10);
    return at;
}

/* To the millisecond, as services write it. */
static char *put_time(struct generator *generator, char *at, instant time)
{
    instant day = time / NS_PER_DAY;
    if (day != generator->stamp_day) {
        struct civil civil = civil_from_days(day);
        snprintf(generator->stamp, sizeof generator->stamp, "%04u-%02u-%02uT",
                 (unsigned)civil.year % 10'000, (unsigned)civil.month % 100,
                 (unsigned)civil.day % 100);
        generator->stamp_day = day;
    }
    uint64_t ms = (uint64_t)(time % NS_PER_DAY) / 1'000'000;
    at = put(at, generator->stamp, 11);
    at = put_two(at, ms / 3'600'000);
    *at++ = ':';
    at = put_two(at, ms / 60'000 % 60);
    *at++ = ':';
    at = put_two(at, ms / 1000 % 60);
    *at++ = '.';
    *at++ = (char)('0' + ms / 100 % 10);
    at = put_two(at, ms % 100);
    *at++ = 'Z';
    return at;
}

/* Twelve digits that look like nothing, different for each account. */
static char *put_account(char *at, uint32_t account)
{
    unsigned __int128 scattered = (unsigned __int128)account * 282'475'249 % 900'000'000'000u;
    return put_number(at, UINT64_C(100'000'000'000) + (uint64_t)scattered);
}

static char *put_padded(char *at, uint32_t number)
{
    at = put_two(at, number / 100 % 100);
    return put_two(at, number % 100);
}

/* ---- events -------------------------------------------------------------------------------- */

enum trouble {
    TROUBLE_NONE,
    TROUBLE_DUPLICATE,
    TROUBLE_CONFLICT,
    TROUBLE_WITHDRAWAL,
    TROUBLE_BAD,
    TROUBLE_UNKNOWN,
};

static enum trouble find_trouble(const struct generator *generator, uint64_t index)
{
    const struct generate_options *options = &generator->options;
    uint64_t left = below(ask(options->seed, ASK_TROUBLE, index), GENERATE_PPM);
    const uint32_t shares[] = {options->duplicate_ppm, options->conflict_ppm,
                               options->withdrawn_ppm, options->bad_ppm, options->unknown_ppm};
    for (uint32_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        if (left < shares[i]) {
            return (enum trouble)(TROUBLE_DUPLICATE + i);
        }
        left -= shares[i];
    }
    return TROUBLE_NONE;
}

/* An earlier event without trouble, near or far; index itself when there is none. */
static uint64_t find_earlier(const struct generator *generator, uint64_t index)
{
    if (index == 0) {
        return index;
    }
    uint64_t random = ask(generator->options.seed, ASK_WHICH, index);
    uint64_t reach = index < 50'000 || random % 10 < 3 ? index : 50'000;
    uint64_t earlier = index - 1 - below(mix(random), reach);
    while (find_trouble(generator, earlier) != TROUBLE_NONE) {
        if (earlier == 0) {
            return index;
        }
        earlier--;
    }
    return earlier;
}

static uint32_t find_account(const struct generator *generator, uint64_t index)
{
    uint32_t count = generator->options.accounts;
    uint64_t random = ask(generator->options.seed, ASK_ACCOUNT, index);
    unsigned bits = 0;
    while (count >> bits > 1) {
        bits++;
    }
    for (;; random = mix(random + 1)) {
        uint64_t drawn = log_uniform(random, 0, bits + 1) - 1;
        if (drawn < count) {
            return (uint32_t)drawn;
        }
    }
}

/* An account uses few SKUs, the first of them most. */
static uint32_t find_sku(const struct generator *generator, uint64_t index, uint32_t account)
{
    uint32_t used = account < 20 ? 300 : account < 500 ? 60 : 15;
    uint64_t random = ask(generator->options.seed, ASK_SKU, index);
    uint64_t choice = below(random, used);
    choice = below(mix(random), choice + 1);
    return pick_sku(generator, ask(generator->options.seed, ASK_SKU_OF_ACCOUNT,
                                   (uint64_t)account << 16 | choice));
}

/* An event as it is meant, before it is written in one way or the other. */
struct meant {
    uint64_t index;
    uint32_t account, sku, region;
    uint64_t resource;
    instant at;
    bool is_late;
};

static struct meant make_event(const struct generator *generator, uint64_t index)
{
    const struct generate_options *options = &generator->options;
    struct meant meant = {.index = index};
    meant.account = find_account(generator, index);
    meant.sku = find_sku(generator, index, meant.account);
    uint64_t home = ask(options->seed, ASK_REGION, UINT64_C(1) << 63 | meant.account);
    uint64_t region = ask(options->seed, ASK_REGION, index);
    meant.region =
        (uint32_t)(region % 10 < 8 ? below(home, REGION_COUNT) : below(region, REGION_COUNT));
    uint64_t number = below(ask(options->seed, ASK_RESOURCE, index), meant.account < 100 ? 24 : 4);
    meant.resource = mix((uint64_t)meant.account << 32 | (uint64_t)meant.sku << 8 | number);

    uint64_t period_ms = (uint64_t)(options->period.to - options->period.from) / 1'000'000;
    uint64_t ms = (uint64_t)((unsigned __int128)index * period_ms / options->events);
    uint64_t jitter = below(ask(options->seed, ASK_TIME, index), 4096);
    ms = ms >= jitter ? ms - jitter : ms;
    meant.at = options->period.from + (instant)ms * 1'000'000;
    uint64_t late = ask(options->seed, ASK_LATE, index);
    if (below(late, GENERATE_PPM) < options->late_ppm) {
        meant.is_late = true;
        instant delay = (instant)below(mix(late), 3 * 86'400'000) * 1'000'000;
        meant.at -= delay;
        if (late % 20 == 0) { /* of the period before */
            meant.at = options->period.from - delay - NS_PER_SECOND;
        } else if (meant.at < options->period.from) {
            meant.at = options->period.from;
        }
    }
    return meant;
}

/* "member":quantity, from a random number. */
static char *put_quantity(char *at, const struct sample_product *product, uint64_t random)
{
    *at++ = '"';
    at = put_string(at, product->member);
    at = PUT(at, "\":");
    bool is_whole = random % 4 != 0; /* most machines run all the hour */
    switch (product->measure) {
    case MEASURE_SECONDS:
        return put_number(at, is_whole ? 3600 : 1 + below(random, 3600));
    case MEASURE_HOURS:
        return is_whole ? PUT(at, "1") : put_decimal(at, 1 + below(random, 9999), 4);
    case MEASURE_BYTES:
        return put_number(at, log_uniform(random, 12, 34));
    case MEASURE_BYTE_HOURS:
        return put_number(at, log_uniform(random, 28, 47));
    case MEASURE_REQUESTS:
        return put_number(at, log_uniform(random, 0, 20));
    case MEASURE_TOKENS:
        return put_number(at, log_uniform(random, 6, 19));
    case MEASURE_FEW:
        return put_number(at, log_uniform(random, 0, 7));
    case MEASURE_GIB:
        return put_number(at, 8 * log_uniform(random, 0, 5));
    case MEASURE_KEYS:
        return put_number(at, log_uniform(random, 0, 4));
    case MEASURE_GB_SECONDS:
        at = put_decimal(at, 125 * log_uniform(random, 0, 17), 6);
        at = PUT(at, ",\"requests\":");
        return put_number(at, log_uniform(mix(random), 0, 11));
    }
    return at;
}

static char *put_key(const struct generator *generator, char *at, const struct meant *meant)
{
    uint64_t seed = generator->options.seed;
    uint64_t a = ask(seed, ASK_ID, meant->index), b = ask(seed, ASK_ID_TAIL, meant->index);
    at = PUT(at, "\"source\":\"//cloud.example/");
    at = put_string(at, PRODUCTS[generator->skus[meant->sku].product].name);
    *at++ = '/';
    at = put_string(at, REGIONS[meant->region]);
    at = PUT(at, "\",\"id\":\"");
    at = put_hex(at, a >> 32, 8);
    *at++ = '-';
    at = put_hex(at, a >> 16, 4);
    at = PUT(at, "-4");
    at = put_hex(at, a, 3);
    at = PUT(at, "-a");
    at = put_hex(at, b >> 52, 3);
    *at++ = '-';
    at = put_hex(at, b, 12);
    *at++ = '"';
    return at;
}

/* How a line differs from the event that is meant; NULL members: not at all. */
struct twist {
    const char *type, *sku, *subject; /* other ones */
    const char *data;                 /* in place of the quantity */
    bool has_trace;                   /* an attribute that is no content */
    bool is_backwards;                /* data first: the same content in another order */
    bool is_other;                    /* another quantity: one more digit */
};

static char *put_data(const struct generator *generator, char *at, const struct meant *meant,
                      const struct twist *twist)
{
    const struct sku_name *sku = &generator->skus[meant->sku];
    at = PUT(at, "\"data\":{\"sku\":\"");
    at = twist->sku ? put_string(at, twist->sku) : put(at, sku->text, sku->size);
    at = PUT(at, "\",\"region\":\"");
    at = put_string(at, REGIONS[meant->region]);
    at = PUT(at, "\",\"resource\":\"r-");
    at = put_hex(at, meant->resource, 8);
    at = PUT(at, "\",");
    if (twist->data) {
        at = put_string(at, twist->data);
    } else {
        uint64_t random = ask(generator->options.seed, ASK_QUANTITY, meant->index);
        at = put_quantity(at, &PRODUCTS[sku->product], random);
        at = twist->is_other ? PUT(at, "1") : at;
    }
    *at++ = '}';
    return at;
}

static char *put_event(struct generator *generator, char *at, const struct meant *meant,
                       const struct twist *twist)
{
    *at++ = '{';
    if (twist->is_backwards) {
        at = put_data(generator, at, meant, twist);
        *at++ = ',';
    }
    at = PUT(at, "\"specversion\":\"1.0\",");
    at = put_key(generator, at, meant);
    at = PUT(at, ",\"type\":\"");
    if (twist->type) {
        at = put_string(at, twist->type);
    } else {
        at = PUT(at, "demo.");
        at = put_string(at, PRODUCTS[generator->skus[meant->sku].product].name);
    }
    at = PUT(at, "\",\"subject\":\"");
    at = twist->subject ? put_string(at, twist->subject) : put_account(at, meant->account);
    at = PUT(at, "\",\"time\":\"");
    at = put_time(generator, at, meant->at);
    *at++ = '"';
    if (twist->has_trace) {
        at = PUT(at, ",\"traceparent\":\"00-");
        at = put_hex(at, mix(meant->index), 16);
        *at++ = '"';
    }
    if (!twist->is_backwards) {
        *at++ = ',';
        at = put_data(generator, at, meant, twist);
    }
    return PUT(at, "}\n");
}

static char *put_withdrawal(struct generator *generator, char *at, const struct meant *meant,
                            uint64_t index)
{
    at = PUT(at, "{\"specversion\":\"1.0\",\"source\":\"//cloud.example/support\",\"id\":\"w-");
    at = put_number(at, index);
    at = PUT(at, "\",\"type\":\"farthing.withdrawal\",\"time\":\"");
    at = put_time(generator, at, meant->at);
    at = PUT(at, "\",\"data\":{");
    at = put_key(generator, at, meant);
    return PUT(at, "}}\n");
}

/* A line that is refused, whatever the catalog says. */
static char *put_bad(struct generator *generator, char *at, const struct meant *meant,
                     uint64_t random)
{
    static const char *const data[] = {
        "\"seconds\":1e400",                                    /* NUM_RANGE */
        "\"bytes\":0.1234567890123456789",                      /* NUM_SCALE */
        "\"hours\":01",                                         /* JSON_SYNTAX */
        "\"hours\":1,\"hours\":2",                              /* JSON_DUP_KEY */
        "\"note\":\"\\ud800\"",                                 /* UTF8 */
        "\"tokens\":12345678901234567890123456789012345678901", /* NUM_RANGE */
        "\"hours\":NaN",                                        /* JSON_SYNTAX */
    };
    enum { DATA = sizeof data / sizeof *data };
    uint64_t way = below(random, DATA + 5);
    struct twist twist = {.data = way < DATA ? data[way] : NULL};
    char *start = at, *found;
    switch (way) {
    case DATA: /* FIELD_LEN */
        twist.subject = "";
        break;
    case DATA + 1: /* a line that was cut */
        at = put_event(generator, at, meant, &twist);
        at = start + (at - start) / 2;
        *at++ = '\n';
        return at;
    case DATA + 2: /* TIME_ZONE */
        at = put_event(generator, at, meant, &twist);
        found = memmem(start, (size_t)(at - start), "Z\"", 2);
        memmove(found, found + 1, (size_t)(at - found - 1));
        return at - 1;
    case DATA + 3: /* FIELD_MISSING */
        at = put_event(generator, at, meant, &twist);
        found = memmem(start, (size_t)(at - start), "\"subject\"", 9);
        memcpy(found + 1, "Subject", 7);
        return at;
    case DATA + 4: /* UTF8 */
        twist.data = "\"note\":\"\xC3(\"";
        break;
    default:
        break;
    }
    return put_event(generator, at, meant, &twist);
}

/* A good event that no account, meter or price takes. */
static char *put_unknown(struct generator *generator, char *at, const struct meant *meant,
                         uint64_t random)
{
    static const struct twist twists[] = {
        {.subject = "999999999999"},
        {.subject = "a-closed-account"},
        {.type = "demo.preview"},
        {.sku = "vm.z9.gigantic"},
        {.data = "\"hours\":-1,\"seconds\":-60,\"bytes\":-1,\"byte_hours\":-1,\"requests\":-1,"
                 "\"tokens\":-1,\"units\":-1,\"gb_seconds\":-1"},
        {.data = "\"comment\":\"no quantity\""},
    };
    return put_event(generator, at, meant, &twists[below(random, sizeof twists / sizeof *twists)]);
}

static char *put_line(struct generator *generator, char *at, uint64_t index)
{
    struct generate_summary *summary = &generator->summary;
    enum trouble trouble = find_trouble(generator, index);
    uint64_t random = ask(generator->options.seed, ASK_FORM, index);
    bool is_again = trouble == TROUBLE_DUPLICATE || trouble == TROUBLE_CONFLICT ||
                    trouble == TROUBLE_WITHDRAWAL;
    uint64_t target = is_again ? find_earlier(generator, index) : index;
    if (is_again && target == index) {
        trouble = TROUBLE_NONE; /* nothing came before */
    }
    struct meant meant = make_event(generator, target);
    struct twist twist = {0};
    summary->lines++;
    switch (trouble) {
    case TROUBLE_NONE:
        summary->late += meant.is_late;
        break;
    case TROUBLE_DUPLICATE:
        summary->duplicates++;
        twist.has_trace = random % 3 == 0;
        twist.is_backwards = random % 5 == 0;
        break;
    case TROUBLE_CONFLICT:
        summary->conflicts++;
        twist.is_other = true;
        break;
    case TROUBLE_WITHDRAWAL:
        summary->withdrawals++;
        return put_withdrawal(generator, at, &meant, index);
    case TROUBLE_BAD:
        summary->bad++;
        return put_bad(generator, at, &meant, random);
    case TROUBLE_UNKNOWN:
        summary->unknown++;
        return put_unknown(generator, at, &meant, random);
    }
    return put_event(generator, at, &meant, &twist);
}

/* ---- files --------------------------------------------------------------------------------- */

enum { BLOCK_BYTES = 256 * 1024 };

/* A file that is being written, in blocks; compressed when context is there. */
struct sink {
    struct output_file *file;
    ZSTD_CCtx *context;
    size_t size;
    char block[BLOCK_BYTES];
    char packed[BLOCK_BYTES];
};

static enum status flush_sink(struct sink *sink, bool is_last, struct error *err)
{
    if (!sink->context) {
        TRY(output_append(sink->file, sink->block, sink->size, err));
        sink->size = 0;
        return OK;
    }
    ZSTD_inBuffer in = {sink->block, sink->size, 0};
    for (;;) {
        ZSTD_outBuffer out = {sink->packed, BLOCK_BYTES, 0};
        size_t left =
            ZSTD_compressStream2(sink->context, &out, &in, is_last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left)) {
            return fail(err, ERR_LIMIT, "zstd: %s", ZSTD_getErrorName(left));
        }
        TRY(output_append(sink->file, sink->packed, out.pos, err));
        if (is_last ? left == 0 : in.pos == in.size) {
            break;
        }
    }
    sink->size = 0;
    return OK;
}

/* Where a line of at most LINE_BYTES goes; NULL when what was written before could not be. */
static char *begin_line(struct sink *sink, enum status *status, struct error *err)
{
    if (sink->size > BLOCK_BYTES - LINE_BYTES) {
        *status = flush_sink(sink, false, err);
        if (*status != OK) {
            return NULL;
        }
    }
    return sink->block + sink->size;
}

static void end_line(struct sink *sink, const char *end)
{
    sink->size = (size_t)(end - sink->block);
    assert(sink->size <= BLOCK_BYTES);
}

static enum status write_usage(struct generator *generator, struct sink *sink, struct error *err)
{
    enum status status = OK;
    for (uint64_t i = 0; i < generator->options.events; i++) {
        char *start = begin_line(sink, &status, err);
        if (!start) {
            return status;
        }
        char *end = put_line(generator, start, i);
        generator->summary.size_bytes += (uint64_t)(end - start);
        end_line(sink, end);
    }
    return flush_sink(sink, true, err);
}

/* ---- accounts ------------------------------------------------------------------------------ */

/* An organization for three of ten accounts, the large ones among them; a group above each ten
 * organizations. */
static uint32_t organization_of(const struct generator *generator, uint32_t account)
{
    uint64_t random = ask(generator->options.seed, ASK_ORGANIZATION, account);
    if (generator->organization_count == 0 || random % 10 >= 3) {
        return UINT32_MAX;
    }
    uint64_t choice = below(random, generator->organization_count);
    return (uint32_t)below(mix(random), choice + 1);
}

static char *put_organization(char *at, uint32_t organization)
{
    at = PUT(at, "org-");
    return put_padded(at, organization + 1);
}

static char *put_date(char *at, instant day)
{
    char text[TIME_FORMAT_MAX];
    return put(at, text, (size_t)time_format_short(day, text));
}

/* Dated memberships stand in a file of their own: who joined, left or moved within the period. */
enum membership_kind { MEMBER_ALWAYS, MEMBER_JOINED, MEMBER_LEFT, MEMBER_MOVED };

static enum membership_kind membership_of(const struct generator *generator, uint32_t account)
{
    uint64_t draw = ask(generator->options.seed, ASK_MEMBERSHIP, account) % 100;
    return draw < 80   ? MEMBER_ALWAYS
           : draw < 88 ? MEMBER_JOINED
           : draw < 93 ? MEMBER_LEFT
                       : MEMBER_MOVED;
}

static enum status write_accounts(struct generator *generator, struct sink *sink, struct error *err)
{
    enum status status = OK;
    char *at = begin_line(sink, &status, err);
    end_line(sink, PUT(at, "id,organization,plan,since\n"));
    for (uint32_t i = 0; i < generator->group_count + generator->organization_count; i++) {
        uint32_t organization = i - generator->group_count;
        at = begin_line(sink, &status, err);
        if (!at) {
            return status;
        }
        if (i < generator->group_count) {
            at = PUT(at, "group-");
            at = put_padded(at, i + 1);
            at = PUT(at, ",,enterprise,2024-01-01\n");
        } else {
            at = put_organization(at, organization);
            *at++ = ',';
            if (organization / 10 < generator->group_count) {
                at = PUT(at, "group-");
                at = put_padded(at, organization / 10 + 1);
            }
            at = organization % 4 == 0 ? PUT(at, ",business,\n") : PUT(at, ",,\n");
        }
        end_line(sink, at);
        generator->summary.organizations++;
    }
    for (uint32_t i = 0; i < generator->options.accounts; i++) {
        uint32_t organization = organization_of(generator, i);
        uint64_t plan = ask(generator->options.seed, ASK_PLAN, i) % 100;
        at = begin_line(sink, &status, err);
        if (!at) {
            return status;
        }
        at = put_account(at, i);
        *at++ = ',';
        if (organization != UINT32_MAX && membership_of(generator, i) == MEMBER_ALWAYS) {
            at = put_organization(at, organization);
        }
        *at++ = ',';
        at = put_string(at, plan < 85 ? "" : plan < 95 ? "developer" : "business");
        *at++ = ',';
        instant since = civil_to_days(2020, 1, 1) +
                        (instant)below(ask(generator->options.seed, ASK_SINCE, i), 2400);
        at = put_date(at, since * NS_PER_DAY);
        *at++ = '\n';
        end_line(sink, at);
        generator->summary.accounts++;
    }
    return flush_sink(sink, true, err);
}

static char *put_membership(char *at, uint32_t account, uint32_t organization, instant from,
                            instant to)
{
    at = put_account(at, account);
    *at++ = ',';
    at = put_organization(at, organization);
    *at++ = ',';
    at = from == INSTANT_MIN ? at : put_date(at, from);
    *at++ = ',';
    at = to == INSTANT_MAX ? at : put_date(at, to);
    *at++ = '\n';
    return at;
}

static enum status write_memberships(struct generator *generator, struct sink *sink,
                                     struct error *err)
{
    enum status status = OK;
    char *at = begin_line(sink, &status, err);
    end_line(sink, PUT(at, "account,organization,from,to\n"));
    uint64_t days =
        (uint64_t)((generator->options.period.to - generator->options.period.from) / NS_PER_DAY);
    for (uint32_t i = 0; i < generator->options.accounts; i++) {
        uint32_t organization = organization_of(generator, i);
        enum membership_kind kind = membership_of(generator, i);
        if (organization == UINT32_MAX || kind == MEMBER_ALWAYS) {
            continue;
        }
        at = begin_line(sink, &status, err);
        if (!at) {
            return status;
        }
        uint64_t random = mix(ask(generator->options.seed, ASK_MEMBERSHIP, i));
        instant day = generator->options.period.from + (instant)below(random, days) * NS_PER_DAY;
        instant hour = day + 13 * NS_PER_HOUR; /* some change within a day */
        day = random % 5 == 0 ? hour : day;
        uint32_t other = (organization + 1) % generator->organization_count;
        if (kind == MEMBER_LEFT || kind == MEMBER_MOVED) {
            at = put_membership(at, i, organization, INSTANT_MIN, day);
            generator->summary.memberships++;
        }
        if (kind == MEMBER_JOINED || kind == MEMBER_MOVED) {
            at = put_membership(at, i, kind == MEMBER_MOVED ? other : organization, day,
                                INSTANT_MAX);
            generator->summary.memberships++;
        }
        end_line(sink, at);
    }
    return flush_sink(sink, true, err);
}

/* Negotiated prices of what is metered in the unit that is priced. */
static enum status write_overrides(struct generator *generator, struct sink *sink,
                                   struct error *err)
{
    static const char *const names[] = {"databases", "cache", "search", "warehouse", "messages"};
    enum { NAMES = sizeof names / sizeof *names };
    enum status status = OK;
    char *at = begin_line(sink, &status, err);
    end_line(sink, PUT(at, "account,sku,up_to,rate\n"));
    for (uint32_t i = 0; i < generator->options.accounts; i++) {
        uint64_t random = ask(generator->options.seed, ASK_OVERRIDE, i);
        if (random % 50 != 0 && i >= 5) {
            continue;
        }
        for (uint32_t k = 0; k < NAMES; k++) {
            random = mix(random + k);
            uint32_t product = 0;
            while (strcmp(PRODUCTS[product].name, names[k]) != 0) {
                product++;
            }
            uint32_t first = generator->first_sku[product];
            uint32_t sku =
                first + (uint32_t)below(random, generator->first_sku[product + 1] - first);
            bool is_messages = k == NAMES - 1;
            uint64_t rate = is_messages ? 400 + below(mix(random), 200) /* of 10^-5 dollars */
                                        : 5000 + below(mix(random), 60'000);
            uint32_t tiers = 1 + (uint32_t)(random % 3);
            for (uint32_t t = 0; t < tiers; t++) {
                at = begin_line(sink, &status, err);
                if (!at) {
                    return status;
                }
                at = put_account(at, i);
                *at++ = ',';
                at = put(at, generator->skus[sku].text, generator->skus[sku].size);
                *at++ = ',';
                at = t + 1 < tiers ? put_number(at, (is_messages ? 1000u : 100u) * (t + 1)) : at;
                *at++ = ',';
                at = put_decimal(at, rate * (10 - t) / 10, 5);
                *at++ = '\n';
                end_line(sink, at);
                generator->summary.overrides++;
            }
        }
    }
    return flush_sink(sink, true, err);
}

/* ---- the run ------------------------------------------------------------------------------- */

struct generate_options generate_defaults(void)
{
    return (struct generate_options){
        .seed = 1,
        .events = 1'000'000,
        .accounts = 10'000,
        .period = {civil_to_days(2026, 10, 1) * NS_PER_DAY,
                   civil_to_days(2026, 11, 1) * NS_PER_DAY},
        .late_ppm = 20'000,
        .duplicate_ppm = 10'000,
        .conflict_ppm = 1000,
        .withdrawn_ppm = 500,
        .bad_ppm = 200,
        .unknown_ppm = 1000,
    };
}

static enum status check_options(const struct generate_options *options, struct error *err)
{
    uint64_t sum = (uint64_t)options->duplicate_ppm + options->conflict_ppm +
                   options->withdrawn_ppm + options->bad_ppm + options->unknown_ppm;
    if (options->accounts == 0 || options->accounts > 100'000'000) {
        return fail(err, ERR_INPUT, "accounts: 1 to 100,000,000 are wanted");
    }
    if (options->events > UINT64_C(1'000'000'000'000)) {
        return fail(err, ERR_INPUT, "events: at most 10^12 are wanted");
    }
    if (sum > GENERATE_PPM || options->late_ppm > GENERATE_PPM) {
        return fail(err, ERR_INPUT, "the shares of events are more than all of them");
    }
    if (options->period.to - options->period.from < NS_PER_DAY ||
        options->period.from < 4 * NS_PER_DAY) {
        (void)fail(err, ERR_INPUT, "the period is shorter than a day, or begins before 1970-01-05");
        return fail_hint(err, "--period takes a month such as 2026-10, or another time of a day "
                              "or more");
    }
    return OK;
}

static const char *usage_name(const struct generate_options *options)
{
    return options->compress ? "usage.ndjson.zst" : "usage.ndjson";
}

/* The events of an earlier run in the other form: who gives the folder would give both. */
static bool is_outdated_usage(const void *context, struct text name)
{
    bool is_usage =
        text_equal(name, TEXT("usage.ndjson")) || text_equal(name, TEXT("usage.ndjson.zst"));
    return is_usage && !text_equal(name, text_of(usage_name(context)));
}

static enum status write_files(struct generator *generator, struct sink *sink,
                               struct output *output, struct error *err)
{
    static const struct {
        const char *name;
        enum status (*write)(struct generator *, struct sink *, struct error *);
    } files[] = {
        {"accounts.csv", write_accounts},
        {"memberships.csv", write_memberships},
        {"overrides.csv", write_overrides},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        sink->size = 0;
        TRY(output_file_open(output, files[i].name, &sink->file, err));
        TRY(files[i].write(generator, sink, err));
    }
    TRY(output_file_open(output, usage_name(&generator->options), &sink->file, err));
    if (!generator->options.compress) {
        return write_usage(generator, sink, err);
    }
    sink->context = ZSTD_createCCtx();
    if (!sink->context) {
        return fail(err, ERR_LIMIT, "zstd: no memory");
    }
    enum status status = write_usage(generator, sink, err);
    ZSTD_freeCCtx(sink->context);
    sink->context = NULL;
    return status;
}

enum status generate_run(struct env *env, const struct generate_options *options,
                         struct generate_summary *summary, struct error *err)
{
    TRY(check_options(options, err));
    struct output *output;
    struct output_options how = {
        .replace = options->replace, .is_outdated = is_outdated_usage, .context = options};
    TRY(output_open(env, options->folder, &how, &output, err));
    struct arena arena;
    jmp_buf recover;
    arena_init(&arena, &env->memory, 0);
    if (ARENA_RECOVER(&arena, recover)) {
        arena_release(&arena);
        output_abort(output);
        return fail_memory_at(err, "%s", options->folder);
    }
    struct generator *generator = arena_calloc(&arena, 1, sizeof *generator);
    struct sink *sink = arena_calloc(&arena, 1, sizeof *sink);
    generator->options = *options;
    generator->stamp_day = -1;
    generator->organization_count = options->accounts / 40 < 9999 ? options->accounts / 40 : 9999;
    generator->group_count = generator->organization_count / 20;
    list_skus(generator);
    enum status status = write_files(generator, sink, output, err);
    if (status == OK) {
        status = output_commit(output, err);
    } else {
        output_abort(output);
    }
    if (status == OK && summary) {
        *summary = generator->summary;
    }
    arena_release(&arena);
    return status;
}

/* ---- of the library ------------------------------------------------------------------------ */

enum farthing_status farthing_generate(struct farthing *farthing,
                                       const struct farthing_generate *options)
{
    handle_clear(farthing);
    if (handle_lacks(farthing, "options", options != NULL) ||
        handle_lacks(farthing, "out", options->out != NULL)) {
        return FARTHING_USAGE;
    }
    struct generate_options generate = generate_defaults();
    generate.folder = options->out;
    generate.compress = options->compress != 0;
    generate.replace = options->replace != 0;
    generate.seed = options->seed ? options->seed : generate.seed;
    generate.events = options->events ? options->events : generate.events;
    if (options->accounts > 0) { /* what 32 bits do not hold is too many, too */
        generate.accounts =
            options->accounts < UINT32_MAX ? (uint32_t)options->accounts : UINT32_MAX;
    }
    if (options->period &&
        period_parse(text_of(options->period), NULL, &generate.period) != TIME_OK) {
        (void)fail(&farthing->err, ERR_INPUT, "'%s' is no period", options->period);
        (void)fail_hint(&farthing->err, "write 2026-10");
        return FARTHING_INPUT;
    }
    return handle_status(farthing, generate_run(farthing->env, &generate, NULL, &farthing->err));
}
