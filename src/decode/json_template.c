/* json_template.c - records of a shape that came before, without looking at their names.
 *
 *     {"specversion":"1.0","id":"  e-17  ","source":"  /x  ", ... "data":{"quantity":  12.5  }}
 *     ^------- literal ----------^ text ^-- literal --^ text     ^-- literal --^    number  ^^
 *
 * Producers write the same members in the same order with the same blanks.  So what lies between
 * the values of a record that json_fast has read is kept, and where the next record has the same
 * bytes at these places, its values are what lies between: names need not be told apart, nor
 * doubles looked for.  Words (true, false, null), what is empty, the brackets of what is nested and
 * the version are part of the literals.
 *
 * Many shapes are known: of types of events, of members that some records lack.  The last one that
 * matched is tried first, and where a record goes on differently, another that is the same up to
 * there takes over; so shapes are a tree, written as its paths.
 *
 * As with json_fast.c, a shape that does not match is "not taken", no more.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/bytes.h"
#include "base/hash_inline.h"
#include "decode/record.h"

/* ---- reading --------------------------------------------------------------------------------- */

static inline bool is_stop(char c)
{
    return (unsigned char)(c - 0x20) > 0x5e || c == '"' || c == '\\';
}

#ifdef __SSE2__

/* The line goes on with the literal. */
static inline bool has_literal(const char *at, const struct template_value *value)
{
    const __m128i *a = (const void *)at, *b = (const void *)value->literal;
    __m128i low = _mm_cmpeq_epi8(_mm_loadu_si128(a), _mm_load_si128(b));
    uint32_t differ = (uint32_t)_mm_movemask_epi8(low) ^ 0xFFFF;
    if (value->size > sizeof *a) { /* most are short */
        __m128i high = _mm_cmpeq_epi8(_mm_loadu_si128(a + 1), _mm_load_si128(b + 1));
        differ |= ~(uint32_t)_mm_movemask_epi8(high) << 16;
    }
    return (differ & value->mask) == 0;
}

/* The first byte from at on that is a quote or no plain one: an escape, a control character, beyond
 * ASCII.  There is one, for a line ends with a newline. */
static inline const char *find_stop(const char *at)
{
    const __m128i quotes = _mm_set1_epi8('"'), escapes = _mm_set1_epi8('\\');
    const __m128i one = _mm_set1_epi8(1), plain = _mm_set1_epi8(' ' + 1);
    for (;; at += sizeof one) {
        __m128i x = _mm_loadu_si128((const void *)at);
        __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(x, quotes), _mm_cmpeq_epi8(x, escapes));
        /* One more, with a sign: of 0x7f and what is beyond it that is negative, or zero.  So what
         * is odd is less than the first plain one and one: the difference has a sign. */
        __m128i odd = _mm_subs_epi8(_mm_add_epi8(x, one), plain);
        uint32_t stops = (uint32_t)_mm_movemask_epi8(_mm_or_si128(marks, odd));
        if (stops) {
            return at + __builtin_ctz(stops);
        }
    }
}

#else

static inline bool has_literal(const char *at, const struct template_value *value)
{
    return memcmp(at, value->literal, value->size) == 0;
}

/* The highest bit of each byte that is zero; above the first of those it may be wrong. */
static inline uint64_t find_zeros(uint64_t word)
{
    return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

/* As above, eight bytes at once. */
static inline const char *find_stop(const char *at)
{
    for (;; at += sizeof(uint64_t)) {
        uint64_t word = bytes_load64(at);
        uint64_t controls = (word - EACH_BYTE(' ')) & ~word & EACH_BYTE(0x80);
        uint64_t stops = find_zeros(word ^ EACH_BYTE('"')) | find_zeros(word ^ EACH_BYTE('\\')) |
                         find_zeros(word ^ EACH_BYTE(0x7f)) | controls | (word & EACH_BYTE(0x80));
        if (stops) {
            return at + __builtin_ctzll(stops) / 8;
        }
    }
}

#endif

/* A text with what is beyond ASCII in it: its end, or NULL when it is not plain. */
__attribute__((cold, noinline)) static const char *find_end_of_wide(const char *first,
                                                                    const char *at)
{
    while (!is_stop(*at) || (unsigned char)*at >= 0x80) {
        at++;
    }
    return text_is_utf8((struct text){first, (size_t)(at - first)}) ? at : NULL;
}

/* Where the text that begins at first ends, as before or not; NULL when it is not plain.
 *
 * To know where the next value begins, the processor has to have read this one.  Where a value is
 * as long as it was before (an id, a time), it can go on sooner: it predicts the comparison.  Of
 * one that changes again and again no more is noted. */
static inline const char *find_end(struct template_value *value, const char *first)
{
    enum { STEADY = 8, UNSTEADY = 64 };
    const char *stop = find_stop(first);
    size_t size = (size_t)(stop - first);
    if (value->same >= STEADY) {
        size_t usual = value->usual;
        if (size == usual) {
            __asm__("" : "+r"(usual)); /* else the compiler sees that stop is the same */
            stop = first + usual;
        } else {
            value->same = 0;
        }
    } else if (value->changes < UNSTEADY) {
        const bool is_same = size == value->usual;
        value->same = is_same ? (uint8_t)(value->same + 1) : 0;
        value->changes += !is_same;
        value->usual = (uint32_t)size;
    }
    if (*stop == '"') {
        return stop;
    }
    const char *end = (unsigned char)*stop >= 0x80 ? find_end_of_wide(first, stop) : NULL;
    return end && *end == '"' ? end : NULL;
}

/* A number with an exponent, or of many digits; 0 when it is none. */
__attribute__((cold, noinline)) static size_t read_odd_number(const char *at, struct dec *number)
{
    struct text text = {at, strspn(at, "+-.0123456789Ee")}; /* the newline is behind it */
    return dec_parse(text, number) == NUMBER_OK ? text.size : 0;
}

/* The text that begins at first, where find_end has found none, without its escapes; its end as it
 * is written, or NULL.  Of data it may have control characters. */
__attribute__((cold, noinline)) static const char *
read_escaped(struct decoder *decoder, const char *first, bool is_data, struct text *text)
{
    const char *end = first;
    bool has_escape = false, is_ascii = true;
    for (; *end != '"'; end++) {
        if (*end == '\\') {
            has_escape = true;
            end++;
        }
        if ((unsigned char)*end < ' ' || *end == 0x7f) {
            return NULL;
        }
        is_ascii = is_ascii && (unsigned char)*end < 0x80;
    }
    const struct text raw = {first, (size_t)(end - first)};
    decoder->has_texts = true;
    bool is_good = has_escape && (is_ascii || text_is_utf8(raw)) &&
                   json_unescape(decoder->arena, raw, text) && (is_data || !has_control(*text));
    return is_good ? end : NULL;
}

/* How far a record has been read, by templates that are alike up to there. */
struct progress {
    const char *at;
    uint32_t value; /* the next one of the template */
    uint64_t print; /* of the values before */
};

/* Reads on as the template says; false where the record has something else, and progress is there.
 */
static inline bool match(struct decoder *decoder, struct template *template,
                         struct progress *progress)
{
    char *const places = (char *)decoder;
    const char *at = progress->at;
    struct template_value *value = template->values + progress->value;
    uint64_t print = progress->print;
    for (; has_literal(at, value); value++) {
        at += value->size;
        if (value->kind == TEMPLATE_MEMBER) {
            struct member *member = (void *)(places + value->member_offset);
            member->path = value->path;
            if (*at != '"') {
                size_t size =
                    scan_plain_number((struct text){at, DECODE_PADDING_BYTES}, &member->number);
                if (size == 0 && (size = read_odd_number(at, &member->number)) == 0) {
                    at -= value->size;
                    break;
                }
                member->kind = MEMBER_NUMBER;
                member->print = 0;
                print += record_print_member(member);
                at += size;
                continue;
            }
            member->kind = MEMBER_TEXT;
            at++;
        } else if (__builtin_expect(value->kind > TEMPLATE_MEMBER, 0)) {
            if (value->kind == TEMPLATE_END) {
                *progress = (struct progress){at, 0, print};
                return true;
            }
            if (value->kind == TEMPLATE_TIME) {
                size_t size = scan_time_ahead(&decoder->hour, at, &decoder->event.at);
                if (size > 0) {
                    decoder->time.at = NULL;
                    at += size + 1;
                    continue;
                }
            } else if (value->kind == TEMPLATE_EPOCH) {
                struct dec ignored;
                size_t size = scan_plain_number((struct text){at, DECODE_PADDING_BYTES}, &ignored);
                decoder->time = (struct text){at, size};
                at += size; /* none: no time */
                continue;
            } else if (value->kind == TEMPLATE_LITERAL) {
                continue;
            }
        }
        const char *end = find_end(value, at);
        struct text text, escaped;
        if (end) {
            text = (struct text){at, (size_t)(end - at)};
        } else {
            end = read_escaped(decoder, at, value->kind == TEMPLATE_MEMBER, &escaped);
            if (!end) {
                at -= value->size + (value->kind == TEMPLATE_MEMBER); /* and the quote */
                break;
            }
            text = escaped;
        }
        at = end + 1;
        if (value->kind <= TEMPLATE_MEMBER) {
            const uint64_t own = hash_print64_inline(text.at, text.size, value->seed);
            *(struct text *)(void *)(places + value->text_offset) = text;
            *(uint64_t *)(void *)(places + value->print_offset) = own;
            print += own;
        } else if (value->kind == TEMPLATE_TIME) {
            decoder->time = text;
        }
    }
    *progress = (struct progress){at, (uint32_t)(value - template->values), print};
    return false;
}

/* Another template that is like the one at that place as far as the record has been read, and goes
 * on as it does; TEMPLATES: none.  tried: bits of those that do not. */
__attribute__((noinline)) static uint32_t find_branch(const struct templates *known, uint32_t at,
                                                      uint32_t tried,
                                                      const struct progress *progress)
{
    for (uint32_t other = 0; other < known->count; other++) {
        if ((tried >> other & 1) == 0 && known->alike[at][other] >= progress->value &&
            progress->value < known->items[other].value_count &&
            has_literal(progress->at, &known->items[other].values[progress->value])) {
            return other;
        }
    }
    return TEMPLATES;
}

/* What its literals say. */
static inline void take_words(struct decoder *decoder, const struct template *template)
{
    for (uint32_t w = 0; w < template->word_count; w++) {
        uint32_t index = template->words[w];
        decoder->members[index] = template->members[index];
    }
    for (uint32_t h = 0; h < template->holder_count; h++) {
        decoder->holders[h] = template->holders[h];
    }
    decoder->holder_count = template->holder_count;
}

/* The one that matched last is tried first.  Where it does not go on, one that does is looked for:
 * what was read until then is not read again. */
size_t template_read(struct decoder *decoder, const char *record, const char *record_end)
{
    struct templates *known = &decoder->templates;
    struct progress progress = {.at = record};
    if (decoder->has_texts) {
        arena_rewind(decoder->arena, decoder->empty);
        decoder->has_texts = false;
    }
    uint32_t at = known->count > 0 ? known->last : TEMPLATES;
    for (uint32_t tried = 0; at < TEMPLATES;
         tried |= UINT32_C(1) << at, at = find_branch(known, at, tried, &progress)) {
        struct template *template = &known->items[at];
        assert(template->value_count > 0);
        if (!match(decoder, template, &progress)) {
            continue;
        }
        const char *end = progress.at;
        const size_t size = (size_t)(end - record);
        const bool is_end =
            record_end ? end == record_end : *end == '\n' || (*end == '\r' && end[1] == '\n');
        if (!is_end || size > LINE_MAX_BYTES ||
            (decoder->time.at && !record_find_time(decoder, decoder->time, &decoder->event.at))) {
            return 0;
        }
        known->last = at;
        take_words(decoder, template);
        decoder->event.print = progress.print + template->print;
        decoder->event.member_count = template->member_count;
        decoder->event.holder_count = template->holder_count;
        return size;
    }
    return 0;
}

void template_init(struct decoder *decoder)
{
    struct templates *known = &decoder->templates;
    known->count = known->last = known->missed = 0;
    decoder->event = (struct event){
        .kind = EVENT_USAGE, .members = decoder->members, .holders = decoder->holders};
}

/* ---- learning ------------------------------------------------------------------------------ */

struct learner {
    struct template *template;
    const char *at, *end, *literal; /* literal: where the one that is open begins */
    uint32_t member;
    uint32_t depth;  /* of data and what is open in it; 0: outside */
    uint64_t arrays; /* by depth: what is open there is an array */
};

/* Where in the decoder an attribute's text goes. */
static size_t text_offset(enum attribute attribute)
{
    switch (attribute) {
    case ATTRIBUTE_ID:
        return offsetof(struct decoder, event.id);
    case ATTRIBUTE_SOURCE:
        return offsetof(struct decoder, event.source);
    case ATTRIBUTE_TYPE:
        return offsetof(struct decoder, event.type);
    case ATTRIBUTE_SUBJECT:
        return offsetof(struct decoder, event.subject);
    case ATTRIBUTE_TIME:
    case ATTRIBUTE_SPECVERSION:
    case ATTRIBUTE_NONE:
        break;
    }
    assert(false && "an attribute that is content by its bytes");
    return 0;
}

/* Where what is read goes. */
static void set_places(struct template *template, struct template_value *value)
{
    if (value->kind == TEMPLATE_MEMBER) {
        size_t member = offsetof(struct decoder, members) + value->index * sizeof(struct member);
        value->member_offset = (uint32_t)member;
        value->text_offset = (uint32_t)(member + offsetof(struct member, text));
        value->print_offset = (uint32_t)(member + offsetof(struct member, print));
        value->path = template->members[value->index].path;
        value->seed = record_member_seed(value->path, MEMBER_TEXT);
    } else if (value->kind == TEMPLATE_ATTRIBUTE) {
        value->text_offset = (uint32_t)text_offset(value->index);
        value->print_offset =
            (uint32_t)(value->index == ATTRIBUTE_TYPE ? offsetof(struct decoder, event.type_print)
                                                      : offsetof(struct decoder, other_print));
        value->seed = record_attribute_seed(value->index);
    }
}

static bool add_piece(struct template *template, enum template_kind kind, uint32_t index,
                      const char *literal, size_t size)
{
    if (template->value_count == TEMPLATE_VALUES_MAX) {
        return false;
    }
    struct template_value *value = &template->values[template->value_count++];
    *value = (struct template_value){
        .kind = (uint8_t)kind,
        .index = (uint8_t)index,
        .size = (uint8_t)size,
        .mask = size == TEMPLATE_LITERAL_BYTES ? UINT32_MAX : (UINT32_C(1) << size) - 1};
    memcpy(value->literal, literal, size);
    set_places(template, value);
    return true;
}

/* The open literal ends at first, where a value begins that ends at end. */
static bool add_value(struct learner *learner, enum template_kind kind, uint32_t index,
                      const char *first, const char *end)
{
    size_t size = (size_t)(first - learner->literal);
    for (; size > TEMPLATE_LITERAL_BYTES; size -= TEMPLATE_LITERAL_BYTES) {
        if (!add_piece(learner->template, TEMPLATE_LITERAL, 0, learner->literal,
                       TEMPLATE_LITERAL_BYTES)) {
            return false;
        }
        learner->literal += TEMPLATE_LITERAL_BYTES;
    }
    if (!add_piece(learner->template, kind, index, learner->literal, size)) {
        return false;
    }
    learner->literal = learner->at = end;
    return true;
}

static const char *skip_to(const char *at, const char *end, char c)
{
    while (at < end && *at != c) {
        at += *at == '\\' ? 2 : 1;
    }
    return at;
}

/* A value of data that is not nested, at its first byte; then at its last, or behind it. */
static bool learn_member(struct learner *learner)
{
    struct template *template = learner->template;
    uint32_t index = learner->member++;
    struct member *member = &template->members[index];
    const char *first = learner->at, *end = first;
    if (*first == '"') {
        end = skip_to(first + 1, learner->end, '"') + 1;
    } else if (member->kind == MEMBER_EMPTY_OBJECT || member->kind == MEMBER_EMPTY_ARRAY) {
        end = skip_to(first, learner->end, *first == '{' ? '}' : ']') + 1;
    } else {
        while (end < learner->end && !strchr(",]} ", *end)) {
            end++;
        }
    }
    if (member->kind == MEMBER_TEXT || member->kind == MEMBER_NUMBER) {
        return add_value(learner, TEMPLATE_MEMBER, index, first, end);
    }
    template->words[template->word_count++] = (uint8_t)index; /* part of the literal */
    template->print += record_print_member(member);
    learner->at = end;
    return true;
}

static bool learn_attribute(struct learner *learner, struct text name)
{
    enum attribute attribute = attribute_find(name);
    const char *first = learner->at;
    if (*first != '"' && attribute == ATTRIBUTE_TIME) {
        struct dec ignored;
        size_t size = scan_plain_number((struct text){first, DECODE_PADDING_BYTES}, &ignored);
        return add_value(learner, TEMPLATE_EPOCH, 0, first, first + size);
    }
    if (*first != '"') {
        return false; /* an extension that is no text: rare */
    }
    const char *end = skip_to(++first, learner->end, '"') + 1;
    switch (attribute) {
    case ATTRIBUTE_SPECVERSION:
        learner->at = end;
        return true;
    case ATTRIBUTE_TIME:
        return add_value(learner, TEMPLATE_TIME, 0, first, end);
    case ATTRIBUTE_NONE:
        return add_value(learner, TEMPLATE_IGNORED, 0, first, end);
    default:
        return add_value(learner, TEMPLATE_ATTRIBUTE, attribute, first, end);
    }
}

/* Something is in what begins at the bracket. */
static bool has_content(const struct learner *learner)
{
    const char *at = learner->at + 1;
    while (*at == ' ') {
        at++;
    }
    return *at != ']' && *at != '}';
}

/* The record is one that json_fast has read: names have no escapes, data alone is nested. */
static bool learn(struct learner *learner)
{
    bool is_name = true;
    struct text name = {NULL, 0};
    while (learner->at < learner->end) {
        const char c = *learner->at;
        if (c == '"' && is_name) {
            const char *end = skip_to(learner->at + 1, learner->end, '"');
            name = (struct text){learner->at + 1, (size_t)(end - learner->at) - 1};
            learner->at = end + 1;
        } else if ((c == '{' || c == '[') && has_content(learner)) {
            learner->depth += name.at != NULL; /* else it is the record */
            learner->arrays &= ~(UINT64_C(1) << learner->depth);
            learner->arrays |= (uint64_t)(c == '[') << learner->depth;
            is_name = c == '{';
            learner->at++;
        } else if (strchr(" ,:}]", c)) {
            learner->depth -= (c == '}' || c == ']') && learner->depth > 0;
            if (c == ',' || c == ':') {
                is_name = c == ',' && (learner->arrays >> learner->depth & 1) == 0;
            }
            learner->at++;
        } else if (!(learner->depth > 0 ? learn_member(learner) : learn_attribute(learner, name))) {
            return false;
        }
    }
    return learner->member == learner->template->member_count &&
           add_value(learner, TEMPLATE_END, 0, learner->end, learner->end);
}

/* How many values of two templates are the same, from the first one on. */
static uint8_t count_alike(const struct template *a, const struct template *b)
{
    uint32_t count = 0;
    for (; count < a->value_count && count < b->value_count; count++) {
        const struct template_value *x = &a->values[count], *y = &b->values[count];
        if (x->kind != y->kind || x->index != y->index || x->size != y->size ||
            x->seed != y->seed || memcmp(x->literal, y->literal, x->size) != 0) {
            break;
        }
    }
    return (uint8_t)count;
}

void template_learn(struct decoder *decoder, struct text record, uint32_t member_count)
{
    enum { EAGER = 64, SELDOM = 64 };
    struct templates *known = &decoder->templates;
    /* Who writes each record in another shape is not learned from all the time. */
    if (member_count > TEMPLATE_MEMBERS_MAX || decoder->holder_count > TEMPLATE_HOLDERS_MAX ||
        (known->missed++ >= EAGER && known->missed % SELDOM != 0)) {
        return;
    }
    uint32_t place = known->count < TEMPLATES ? known->count : (known->last + 1) % TEMPLATES;
    struct template *template = &known->items[place];
    *template =
        (struct template){.member_count = member_count, .holder_count = decoder->holder_count};
    for (uint32_t i = 0; i < member_count; i++) {
        template->members[i] = decoder->members[i];
    }
    for (uint32_t i = 0; i < decoder->holder_count; i++) {
        template->holders[i] = decoder->holders[i];
    }
    struct learner learner = {.template = template,
                              .at = record.at,
                              .end = record.at + record.size,
                              .literal = record.at};
    if (!learn(&learner)) {
        *template = (struct template){.value_count = 0}; /* matches nothing */
    } else if (place == known->count) {
        known->count++;
    }
    for (uint32_t i = 0; i < known->count; i++) {
        known->alike[i][place] = known->alike[place][i] = count_alike(&known->items[i], template);
    }
}
