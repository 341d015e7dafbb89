/* regex.c - see regex.h.  Thompson's construction and Pike's simulation, without captures: the
 * question is only whether there is a match, so greedy and lazy are the same, and a set of states
 * is all that is kept.
 *
 *     pattern --parse--> tree --emit--> program --search--> yes or no
 *
 * A repetition x{2,4} is emitted as x x (x (x)?)?, which is why its counts and the program have
 * limits.
 */
#include "expr/regex.h"

#include <assert.h>
#include <string.h>

#include "expr/code.h"

#include "base/nofloat.h"

/* ---- the program ---------------------------------------------------------------------------- */

enum step_op { STEP_CHARACTER, STEP_SET, STEP_SPLIT, STEP_JUMP, STEP_PLACE, STEP_MATCH };

enum place {
    PLACE_TEXT_START,
    PLACE_TEXT_END,
    PLACE_LINE_START,
    PLACE_LINE_END,
    PLACE_WORD_EDGE,
    PLACE_NO_WORD_EDGE,
};

struct step {
    uint16_t op;
    uint16_t x,
        y; /* CHARACTER: low and high part; SET: index; SPLIT: both ways; JUMP: way; PLACE: which */
};

struct range {
    int32_t from, to; /* inclusive */
};

/* A set of characters; the ranges decide above ASCII. */
struct set {
    uint64_t ascii[2];
    const struct range *ranges;
    uint32_t range_count;
    bool is_negated;
};

struct regex {
    const struct step *steps;
    const struct set *sets;
    uint16_t step_count;
};

/* ---- the tree ------------------------------------------------------------------------------- */

enum item_kind {
    ITEM_EMPTY,
    ITEM_CHARACTER,
    ITEM_SET,
    ITEM_PLACE,
    ITEM_SEQUENCE,
    ITEM_CHOICE,
    ITEM_REPEAT
};

struct item {
    enum item_kind kind;
    int32_t value;             /* character, index of the set, place */
    int32_t min, max;          /* of a repeat; max -1: no end */
    struct item *first, *next; /* children in order; the next sibling */
};

enum flags { FLAG_IGNORE_CASE = 1, FLAG_DOT_ALL = 2, FLAG_LINES = 4 };

struct builder {
    struct arena *arena;
    const char *start, *at, *end;
    unsigned flags;
    int depth;
    struct set *sets;
    uint32_t set_count, set_capacity;
    struct range *ranges; /* of the set being read */
    uint32_t range_count, range_capacity;
    struct step *steps;
    uint32_t step_count, step_capacity;
    size_t *offset;
    struct error *err;
};

static enum status fail_at(struct builder *b, const char *at, enum status status, const char *what)
{
    *b->offset = (size_t)(at - b->start);
    return fail(b->err, status, "%s", what);
}

static struct item *add_item(struct builder *b, enum item_kind kind, int32_t value)
{
    struct item *item = arena_alloc(b->arena, sizeof *item);
    *item = (struct item){.kind = kind, .value = value};
    return item;
}

static bool has_more(const struct builder *b)
{
    return b->at < b->end;
}

static bool take(struct builder *b, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(b->end - b->at) < size || memcmp(b->at, word, size) != 0) {
        return false;
    }
    b->at += size;
    return true;
}

static int32_t take_character(struct builder *b)
{
    int size;
    int32_t point = utf8_decode(b->at, b->end, &size);
    assert(point >= 0);
    b->at += size;
    return point;
}

/* ---- sets ----------------------------------------------------------------------------------- */

enum { POINT_MAX = 0x10FFFF };

static void add_range(struct builder *b, int32_t from, int32_t to)
{
    if (b->range_count == b->range_capacity) {
        uint32_t capacity = b->range_capacity ? 2 * b->range_capacity : 8;
        b->ranges = arena_grow(b->arena, b->ranges, b->range_count, capacity, sizeof *b->ranges);
        b->range_capacity = capacity;
    }
    b->ranges[b->range_count++] = (struct range){from, to};
}

/* Adds the letters of the other case of what the set has, in ASCII. */
static void add_other_case(struct builder *b)
{
    uint32_t count = b->range_count;
    for (uint32_t i = 0; i < count; i++) {
        for (int32_t c = 'a'; c <= 'z'; c++) {
            int32_t upper = c - 'a' + 'A';
            struct range range = b->ranges[i];
            if (range.from <= c && c <= range.to) {
                add_range(b, upper, upper);
            }
            if (range.from <= upper && upper <= range.to) {
                add_range(b, c, c);
            }
        }
    }
}

static bool ranges_have(const struct range *ranges, uint32_t count, int32_t point)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ranges[i].from <= point && point <= ranges[i].to) {
            return true;
        }
    }
    return false;
}

/* Makes a set of the ranges read so far and begins an empty one. */
static struct item *close_set(struct builder *b, bool is_negated)
{
    if (b->flags & FLAG_IGNORE_CASE) {
        add_other_case(b);
    }
    if (b->set_count == b->set_capacity) {
        uint32_t capacity = b->set_capacity ? 2 * b->set_capacity : 4;
        b->sets = arena_grow(b->arena, b->sets, b->set_count, capacity, sizeof *b->sets);
        b->set_capacity = capacity;
    }
    struct set *set = &b->sets[b->set_count];
    *set =
        (struct set){.ranges = b->ranges, .range_count = b->range_count, .is_negated = is_negated};
    for (int32_t c = 0; c < 128; c++) {
        uint64_t bit = ranges_have(set->ranges, set->range_count, c) != is_negated;
        set->ascii[c / 64] |= bit << c % 64;
    }
    b->ranges = NULL;
    b->range_count = b->range_capacity = 0;
    return add_item(b, ITEM_SET, (int32_t)b->set_count++);
}

/* Named sets as pairs of bounds; all are ASCII. */
static const struct named_set {
    const char *name;
    const char *bounds;
} named_sets[] = {
    {"alnum", "09AZaz"},
    {"alpha", "AZaz"},
    {"digit", "09"},
    {"lower", "az"},
    {"upper", "AZ"},
    {"space", "\t\r  "},
    {"blank", "\t\t  "},
    {"punct", "!/:@[`{~"},
    {"print", " ~"},
    {"graph", "!~"},
    {"word", "09AZ__az"},
    {"xdigit", "09AFaf"},
    {"cntrl", "\001\037\177\177"},
    {"ascii", "\001\177"},
    /* \d \w \s */
    {"d", "09"},
    {"w", "09AZ__az"},
    {"s", "\t\n\f\r  "},
};

static bool add_named(struct builder *b, struct text name, bool is_negated)
{
    for (size_t i = 0; i < sizeof named_sets / sizeof named_sets[0]; i++) {
        if (!text_equal(name, text_of(named_sets[i].name))) {
            continue;
        }
        const char *bounds = named_sets[i].bounds;
        bool has_zero = bounds[0] == '\001'; /* a bound of zero would end the string */
        int32_t next = 0;
        for (; *bounds; bounds += 2) {
            int32_t from = has_zero && next == 0 ? 0 : bounds[0], to = bounds[1];
            if (!is_negated) {
                add_range(b, from, to);
            } else if (next < from) {
                add_range(b, next, from - 1);
            }
            next = to + 1;
        }
        if (is_negated) {
            add_range(b, next, POINT_MAX);
        }
        return true;
    }
    return false;
}

/* \d \w \s \D \W \S after their backslash. */
static bool take_class_letter(struct builder *b)
{
    char c = *b->at, lower = (char)(c | 0x20);
    if (lower != 'd' && lower != 'w' && lower != 's') {
        return false;
    }
    b->at++;
    return add_named(b, (struct text){&lower, 1}, c != lower);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \x7F or \x{10FFFF}, after the x. */
static enum status take_hexadecimal(struct builder *b, const char *escape, int32_t *point)
{
    bool is_braced = take(b, "{");
    int count = 0;
    *point = 0;
    for (int digit; has_more(b) && (digit = hex_digit(*b->at)) >= 0 && count < (is_braced ? 6 : 2);
         count++) {
        *point = *point * 16 + digit;
        b->at++;
    }
    bool is_whole = is_braced ? count > 0 && take(b, "}") : count == 2;
    if (!is_whole || *point > POINT_MAX) {
        return fail_at(b, escape, ERR_INPUT, "the pattern has no such escape");
    }
    return OK;
}

/* After a backslash: one character. */
static enum status take_escape(struct builder *b, int32_t *point)
{
    static const char letters[] = "ntfrva";
    static const char values[] = "\n\t\f\r\v\a";
    const char *escape = b->at - 1;
    if (!has_more(b)) {
        return fail_at(b, escape, ERR_INPUT, "the pattern ends with a backslash");
    }
    int32_t c = take_character(b);
    const char *letter = c < 0x80 ? memchr(letters, c, sizeof letters - 1) : NULL;
    if (letter) {
        *point = values[letter - letters];
    } else if (c == 'x') {
        return take_hexadecimal(b, escape, point);
    } else if (c == '0') {
        *point = 0;
        for (int i = 0; i < 2 && has_more(b) && *b->at >= '0' && *b->at <= '7'; i++) {
            *point = *point * 8 + (*b->at++ - '0');
        }
    } else if (c >= '1' && c <= '9') {
        return fail_at(b, escape, ERR_INPUT, "a pattern has no backreferences");
    } else if (c == 'p' || c == 'P') {
        return fail_at(b, escape, ERR_INPUT, "a pattern has no Unicode classes");
    } else if (c > ' ' && c < 0x7F && c != '_' && !(c >= '0' && c <= '9') &&
               !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
        *point = c;
    } else {
        return fail_at(b, escape, ERR_INPUT, "the pattern has no such escape");
    }
    return OK;
}

/* [:alpha:] or [:^alpha:] inside a class. */
static enum status take_posix(struct builder *b, bool *is_taken)
{
    const char *start = b->at;
    *is_taken = false;
    if (!take(b, "[:")) {
        return OK;
    }
    bool is_negated = take(b, "^");
    const char *name = b->at;
    while (has_more(b) && *b->at >= 'a' && *b->at <= 'z') {
        b->at++;
    }
    struct text text = {name, (size_t)(b->at - name)};
    if (!take(b, ":]")) {
        b->at = start; /* just these characters */
        return OK;
    }
    if (text.size < 2 || !add_named(b, text, is_negated)) {
        return fail_at(b, start, ERR_INPUT, "the pattern names no such class of characters");
    }
    *is_taken = true;
    return OK;
}

/* One character of a class, or a whole class (then *point is -1). */
static enum status take_member(struct builder *b, int32_t *point)
{
    bool is_posix;
    *point = -1;
    TRY(take_posix(b, &is_posix));
    if (is_posix) {
        return OK;
    }
    if (!take(b, "\\")) {
        *point = take_character(b);
        return OK;
    }
    if (has_more(b) && take_class_letter(b)) {
        return OK;
    }
    return take_escape(b, point);
}

/* After the opening bracket. */
static enum status parse_class(struct builder *b, struct item **out)
{
    const char *opening = b->at - 1;
    bool is_negated = take(b, "^");
    for (bool is_first = true;; is_first = false) {
        if (!has_more(b)) {
            return fail_at(b, opening, ERR_INPUT, "the class of characters is not closed");
        }
        if (!is_first && take(b, "]")) {
            break;
        }
        const char *member = b->at;
        int32_t from, to;
        TRY(take_member(b, &from));
        if (from < 0) {
            continue;
        }
        to = from;
        if (b->end - b->at >= 2 && b->at[0] == '-' && b->at[1] != ']') {
            b->at++;
            TRY(take_member(b, &to));
            if (to < from) {
                return fail_at(b, member, ERR_INPUT, "the range of characters is empty");
            }
        }
        add_range(b, from, to);
    }
    *out = close_set(b, is_negated);
    return OK;
}

/* ---- parsing -------------------------------------------------------------------------------- */

static enum status parse_choice(struct builder *b, struct item **out);

static bool take_number(struct builder *b, int32_t *number)
{
    const char *start = b->at;
    *number = 0;
    while (has_more(b) && *b->at >= '0' && *b->at <= '9') {
        *number = *number > REGEX_REPEAT_MAX ? *number : *number * 10 + (*b->at - '0');
        b->at++;
    }
    return b->at > start;
}

/* {n} {n,} {n,m}; braces that are none of these are just characters. */
static bool take_counts(struct builder *b, int32_t *min, int32_t *max)
{
    const char *start = b->at;
    if (take(b, "{") && take_number(b, min)) {
        *max = *min;
        if (take(b, ",") && !take_number(b, max)) {
            *max = -1;
        }
        if (take(b, "}")) {
            return true;
        }
    }
    b->at = start;
    return false;
}

static struct item *add_character(struct builder *b, int32_t point)
{
    int32_t lower = point | 0x20;
    if ((b->flags & FLAG_IGNORE_CASE) && point < 0x80 && lower >= 'a' && lower <= 'z') {
        add_range(b, point, point);
        return close_set(b, false);
    }
    return add_item(b, ITEM_CHARACTER, point);
}

/* After "(?": flags up to ) or :.  *is_group tells which. */
static enum status parse_flags(struct builder *b, bool *is_group)
{
    const char *start = b->at;
    bool is_off = false;
    for (; has_more(b); b->at++) {
        unsigned flag = 0;
        switch (*b->at) {
        case 'i':
            flag = FLAG_IGNORE_CASE;
            break;
        case 's':
            flag = FLAG_DOT_ALL;
            break;
        case 'm':
            flag = FLAG_LINES;
            break;
        case 'U':
            break; /* swaps greedy and lazy */
        case '-':
            if (is_off) {
                return fail_at(b, b->at, ERR_INPUT, "the pattern has no such group");
            }
            is_off = true;
            break;
        case ')':
        case ':':
            *is_group = *b->at++ == ':';
            return OK;
        default:
            return fail_at(b, start, ERR_INPUT, "the pattern has no such group");
        }
        b->flags = is_off ? b->flags & ~flag : b->flags | flag;
    }
    return fail_at(b, start, ERR_INPUT, "the group is not closed");
}

/* After the opening bracket. */
static enum status parse_group(struct builder *b, struct item **out)
{
    const char *opening = b->at - 1;
    unsigned flags = b->flags;
    if (take(b, "?P<") || take(b, "?<")) {
        const char *name = b->at;
        while (has_more(b) && ((*b->at >= '0' && *b->at <= '9') || *b->at == '_' ||
                               ((*b->at | 0x20) >= 'a' && (*b->at | 0x20) <= 'z'))) {
            b->at++;
        }
        if (b->at == name || !take(b, ">")) {
            return fail_at(b, opening, ERR_INPUT, "the pattern has no such group");
        }
    } else if (take(b, "?")) {
        bool is_group = false;
        TRY(parse_flags(b, &is_group));
        if (!is_group) {
            *out = NULL; /* the flags hold up to the end of the group they stand in */
            return OK;
        }
    }
    if (b->depth == REGEX_DEPTH_MAX) {
        return fail_at(b, opening, ERR_LIMIT, "the pattern nests its groups too deep");
    }
    b->depth++;
    TRY(parse_choice(b, out));
    b->depth--;
    if (!take(b, ")")) {
        return fail_at(b, opening, ERR_INPUT, "the group is not closed");
    }
    b->flags = flags;
    return OK;
}

static enum status parse_atom(struct builder *b, struct item **out)
{
    const char *start = b->at;
    bool has_lines = b->flags & FLAG_LINES;
    int32_t c = take_character(b), min, max;
    switch (c) {
    case '(':
        return parse_group(b, out);
    case '[':
        return parse_class(b, out);
    case '.':
        if (!(b->flags & FLAG_DOT_ALL)) {
            add_range(b, '\n', '\n');
        }
        *out = close_set(b, true);
        return OK;
    case '^':
        *out = add_item(b, ITEM_PLACE, has_lines ? PLACE_LINE_START : PLACE_TEXT_START);
        return OK;
    case '$':
        *out = add_item(b, ITEM_PLACE, has_lines ? PLACE_LINE_END : PLACE_TEXT_END);
        return OK;
    case '{':
        b->at = start;
        if (!take_counts(b, &min, &max)) {
            b->at = start + 1;
            *out = add_character(b, c);
            return OK;
        } /* fall through */
    case '*':
    case '+':
    case '?':
        return fail_at(b, start, ERR_INPUT, "the pattern repeats nothing here");
    case '\\':
        break;
    default:
        *out = add_character(b, c);
        return OK;
    }
    static const struct {
        const char *letter;
        enum place place;
    } places[] = {{"A", PLACE_TEXT_START},
                  {"z", PLACE_TEXT_END},
                  {"b", PLACE_WORD_EDGE},
                  {"B", PLACE_NO_WORD_EDGE}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (take(b, places[i].letter)) {
            *out = add_item(b, ITEM_PLACE, (int32_t)places[i].place);
            return OK;
        }
    }
    if (has_more(b) && take_class_letter(b)) {
        *out = close_set(b, false);
        return OK;
    }
    int32_t point;
    TRY(take_escape(b, &point));
    *out = add_character(b, point);
    return OK;
}

static bool take_repeat(struct builder *b, int32_t *min, int32_t *max)
{
    if (take(b, "*") || take(b, "+")) {
        *min = b->at[-1] == '+';
        *max = -1;
        return true;
    }
    if (take(b, "?")) {
        *min = 0;
        *max = 1;
        return true;
    }
    return take_counts(b, min, max);
}

/* An atom with its repetition; NULL for flags alone. */
static enum status parse_piece(struct builder *b, struct item **out)
{
    int32_t min, max;
    TRY(parse_atom(b, out));
    const char *at = b->at;
    if (!take_repeat(b, &min, &max)) {
        return OK;
    }
    if (!*out) {
        return fail_at(b, at, ERR_INPUT, "the pattern repeats nothing here");
    }
    if (min > REGEX_REPEAT_MAX || max > REGEX_REPEAT_MAX) {
        return fail_at(b, at, ERR_LIMIT, "the pattern repeats more than 1000 times");
    }
    if (max >= 0 && max < min) {
        return fail_at(b, at, ERR_INPUT, "the counts of the repetition are in the wrong order");
    }
    (void)take(b, "?");
    const char *second = b->at;
    int32_t ignored_min, ignored_max;
    if (take_repeat(b, &ignored_min, &ignored_max)) {
        return fail_at(b, second, ERR_INPUT, "the pattern repeats a repetition");
    }
    struct item *repeat = add_item(b, ITEM_REPEAT, 0);
    repeat->min = min;
    repeat->max = max;
    repeat->first = *out;
    *out = repeat;
    return OK;
}

/* \Q...\E: characters as they are. */
static void parse_quoted(struct builder *b, struct item ***end)
{
    while (has_more(b) && !take(b, "\\E")) {
        struct item *item = add_character(b, take_character(b));
        **end = item;
        *end = &item->next;
    }
}

static enum status parse_sequence(struct builder *b, struct item **out)
{
    struct item *sequence = add_item(b, ITEM_SEQUENCE, 0);
    struct item **end = &sequence->first;
    while (has_more(b) && *b->at != '|' && *b->at != ')') {
        if (take(b, "\\Q")) {
            parse_quoted(b, &end);
            continue;
        }
        struct item *piece;
        TRY(parse_piece(b, &piece));
        if (piece) {
            *end = piece;
            end = &piece->next;
        }
    }
    *out = sequence;
    return OK;
}

static enum status parse_choice(struct builder *b, struct item **out)
{
    struct item *choice = add_item(b, ITEM_CHOICE, 0);
    struct item **end = &choice->first;
    do {
        struct item *sequence;
        TRY(parse_sequence(b, &sequence));
        *end = sequence;
        end = &sequence->next;
    } while (take(b, "|"));
    *out = choice;
    return OK;
}

/* ---- emitting ------------------------------------------------------------------------------- */

static enum status emit_step(struct builder *b, enum step_op op, uint32_t x, uint32_t y)
{
    if (b->step_count == REGEX_PROGRAM_MAX) {
        return fail_at(b, b->start, ERR_LIMIT, "the pattern is too large");
    }
    if (b->step_count == b->step_capacity) {
        uint32_t capacity = b->step_capacity ? 2 * b->step_capacity : 16;
        b->steps = arena_grow(b->arena, b->steps, b->step_count, capacity, sizeof *b->steps);
        b->step_capacity = capacity;
    }
    b->steps[b->step_count++] = (struct step){(uint16_t)op, (uint16_t)x, (uint16_t)y};
    return OK;
}

static enum status emit(struct builder *b, const struct item *item);

/* x|y|z: a split before each but the last, whose second way is the next; a jump to the end after
 * each but the last. */
static enum status emit_choice(struct builder *b, const struct item *item)
{
    uint32_t last_jump = 0; /* list of jumps to mend, each holding the one before; 0 ends it */
    for (const struct item *child = item->first; child; child = child->next) {
        uint32_t split = b->step_count;
        if (child->next) {
            TRY(emit_step(b, STEP_SPLIT, split + 1, 0));
        }
        TRY(emit(b, child));
        if (child->next) {
            uint32_t jump = b->step_count;
            TRY(emit_step(b, STEP_JUMP, last_jump, 0));
            last_jump = jump;
            b->steps[split].y = (uint16_t)b->step_count;
        }
    }
    while (last_jump) {
        uint32_t before = b->steps[last_jump].x;
        b->steps[last_jump].x = (uint16_t)b->step_count;
        last_jump = before;
    }
    return OK;
}

static enum status emit_repeat(struct builder *b, const struct item *item)
{
    const struct item *child = item->first;
    uint32_t start = b->step_count;
    for (int32_t i = 0; i < item->min; i++) {
        start = b->step_count;
        TRY(emit(b, child));
        if (b->step_count == start) {
            return OK; /* nothing repeated is nothing */
        }
    }
    if (item->max < 0 && item->min > 0) {
        return emit_step(b, STEP_SPLIT, start, b->step_count + 1); /* back to the last copy */
    }
    if (item->max < 0) {
        TRY(emit_step(b, STEP_SPLIT, start + 1, 0));
        TRY(emit(b, child));
        TRY(emit_step(b, STEP_JUMP, start, 0));
        b->steps[start].y = (uint16_t)b->step_count;
        return OK;
    }
    uint32_t last_split = 0; /* list to mend; step 0 is the program's own */
    for (int32_t i = item->min; i < item->max; i++) {
        uint32_t split = b->step_count;
        TRY(emit_step(b, STEP_SPLIT, split + 1, last_split));
        last_split = split;
        TRY(emit(b, child));
    }
    while (last_split) {
        uint32_t before = b->steps[last_split].y;
        b->steps[last_split].y = (uint16_t)b->step_count;
        last_split = before;
    }
    return OK;
}

static enum status emit(struct builder *b, const struct item *item)
{
    switch (item->kind) {
    case ITEM_EMPTY:
        return OK;
    case ITEM_CHARACTER:
        return emit_step(b, STEP_CHARACTER, (uint32_t)item->value & 0xFFFF,
                         (uint32_t)item->value >> 16);
    case ITEM_SET:
        return emit_step(b, STEP_SET, (uint32_t)item->value, 0);
    case ITEM_PLACE:
        return emit_step(b, STEP_PLACE, (uint32_t)item->value, 0);
    case ITEM_SEQUENCE:
        for (const struct item *child = item->first; child; child = child->next) {
            TRY(emit(b, child));
        }
        return OK;
    case ITEM_CHOICE:
        return emit_choice(b, item);
    case ITEM_REPEAT:
        return emit_repeat(b, item);
    }
    return OK;
}

enum status regex_compile(struct arena *arena, struct text pattern, const struct regex **out,
                          size_t *offset, struct error *err)
{
    struct builder b = {.arena = arena,
                        .start = pattern.at,
                        .at = pattern.at,
                        .end = pattern.at + pattern.size,
                        .offset = offset,
                        .err = err};
    struct item *root;
    *offset = 0;
    TRY(parse_choice(&b, &root));
    if (has_more(&b)) {
        return fail_at(&b, b.at, ERR_INPUT, "the pattern closes a group that is not open");
    }
    /* A step that does nothing, so that 0 can end the lists of emit_choice and emit_repeat. */
    TRY(emit_step(&b, STEP_JUMP, 1, 0));
    TRY(emit(&b, root));
    TRY(emit_step(&b, STEP_MATCH, 0, 0));
    struct regex *regex = arena_alloc(arena, sizeof *regex);
    *regex = (struct regex){.steps = b.steps, .sets = b.sets, .step_count = (uint16_t)b.step_count};
    *out = regex;
    return OK;
}

uint32_t regex_size(const struct regex *regex)
{
    return regex->step_count;
}

/* ---- searching ------------------------------------------------------------------------------ */

enum { SMALL_STEPS = 128 };

/* The states alive at one place in the text; marks[s] is the last place where s was entered. */
struct states {
    uint16_t *now, *then; /* steps that wait for a character */
    uint16_t *stack;
    uint32_t *marks;
    uint32_t now_count, then_count;
};

/* False before the start, where index has wrapped, and behind the end. */
static bool is_word_at(struct text text, size_t index)
{
    if (index >= text.size) {
        return false;
    }
    unsigned char c = (unsigned char)text.at[index], lower = c | 0x20;
    return (c >= '0' && c <= '9') || c == '_' || (c < 0x80 && lower >= 'a' && lower <= 'z');
}

static bool is_place(enum place place, size_t index, struct text text)
{
    switch (place) {
    case PLACE_TEXT_START:
        return index == 0;
    case PLACE_TEXT_END:
        return index == text.size;
    case PLACE_LINE_START:
        return index == 0 || text.at[index - 1] == '\n';
    case PLACE_LINE_END:
        return index == text.size || text.at[index] == '\n';
    case PLACE_WORD_EDGE:
    case PLACE_NO_WORD_EDGE:
        break;
    }
    bool is_edge = is_word_at(text, index - 1) != is_word_at(text, index);
    return is_edge == (place == PLACE_WORD_EDGE);
}

static bool set_has(const struct set *set, int32_t point)
{
    if (point >= 0 && point < 128) {
        return set->ascii[point / 64] >> point % 64 & 1;
    }
    return ranges_have(set->ranges, set->range_count, point) != set->is_negated;
}

/* Enters a step at a place, and all that follow it without a character.  True: the pattern has
 * matched. */
static bool enter(const struct regex *regex, struct states *states, uint16_t first, uint32_t mark,
                  const char *at, struct text text)
{
    uint32_t depth = 0;
    if (states->marks[first] == mark) {
        return false;
    }
    states->marks[first] = mark;
    states->stack[depth++] = first;
    while (depth > 0) {
        uint16_t index = states->stack[--depth];
        const struct step *step = &regex->steps[index];
        uint16_t next[2];
        int next_count = 0;
        switch ((enum step_op)step->op) {
        case STEP_MATCH:
            return true;
        case STEP_CHARACTER:
        case STEP_SET:
            states->then[states->then_count++] = index;
            break;
        case STEP_SPLIT:
            next[next_count++] = step->y; /* fall through */
        case STEP_JUMP:
            next[next_count++] = step->x;
            break;
        case STEP_PLACE:
            if (is_place((enum place)step->x, (size_t)(at - text.at), text)) {
                next[next_count++] = (uint16_t)(index + 1);
            }
            break;
        }
        while (next_count > 0) {
            uint16_t entered = next[--next_count];
            if (states->marks[entered] != mark) {
                states->marks[entered] = mark;
                states->stack[depth++] = entered;
            }
        }
    }
    return false;
}

static bool search(const struct regex *regex, struct text text, struct states *states)
{
    const char *end = text.at + text.size;
    uint32_t mark = 0;
    for (const char *at = text.at;;) {
        /* then holds the states entered at this place by what was read; a match may also begin
         * here. */
        mark++;
        for (uint32_t i = 0; i < states->now_count; i++) {
            if (enter(regex, states, states->now[i], mark, at, text)) {
                return true;
            }
        }
        if (enter(regex, states, 0, mark, at, text)) {
            return true;
        }
        if (at == end) {
            return false;
        }
        int size;
        int32_t point = utf8_decode(at, end, &size);
        at += size;
        states->now_count = 0;
        for (uint32_t i = 0; i < states->then_count; i++) {
            uint16_t index = states->then[i];
            const struct step *step = &regex->steps[index];
            bool is_read = step->op == STEP_CHARACTER
                               ? point == (int32_t)(step->x | (uint32_t)step->y << 16)
                               : set_has(&regex->sets[step->x], point);
            if (is_read) {
                states->now[states->now_count++] = (uint16_t)(index + 1);
            }
        }
        states->then_count = 0;
    }
}

bool regex_search(const struct regex *regex, struct text text, struct arena *scratch)
{
    uint32_t count = regex->step_count;
    assert(text.size < UINT32_MAX - 1);
    if (!text.at) {
        text = TEXT("");
    }
    if (count <= SMALL_STEPS) {
        uint16_t now[SMALL_STEPS], then[SMALL_STEPS], stack[SMALL_STEPS];
        uint32_t marks[SMALL_STEPS] = {0};
        struct states states = {.now = now, .then = then, .stack = stack, .marks = marks};
        return search(regex, text, &states);
    }
    struct arena_mark mark = arena_mark(scratch);
    struct states states = {.now = arena_alloc(scratch, count * sizeof(uint16_t)),
                            .then = arena_alloc(scratch, count * sizeof(uint16_t)),
                            .stack = arena_alloc(scratch, count * sizeof(uint16_t)),
                            .marks = arena_calloc(scratch, count, sizeof(uint32_t))};
    bool is_match = search(regex, text, &states);
    arena_rewind(scratch, mark);
    return is_match;
}
