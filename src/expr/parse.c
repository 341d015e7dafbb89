/* parse.c - see code.h.  Text to a tree of nodes, by precedence climbing.
 *
 * Recursion is bounded: a bracket, an argument list and a list each take one of the
 * EXPR_DEPTH_MAX levels, and everything that could nest without a bracket is a loop: chains of
 * left-associative operators, of ?: (which nests to the right) and of ! and -.
 *
 * A dotted name becomes one node with its canonical path, since only names have members.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "expr/code.h"

#include "base/nofloat.h"

/* ---- tables --------------------------------------------------------------------------------- */

static const struct operator
{
    const char *name;
    uint8_t level; /* a higher level binds closer */
}
operators[] = {
    [OP_OR] = {"||", 1},
    [OP_AND] = {"&&", 2},
    [OP_EQUAL] = {"==", 3},
    [OP_UNEQUAL] = {"!=", 3},
    [OP_LESS] = {"<", 3},
    [OP_LESS_EQUAL] = {"<=", 3},
    [OP_GREATER] = {">", 3},
    [OP_GREATER_EQUAL] = {">=", 3},
    [OP_IN] = {"in", 3},
    [OP_ADD] = {"+", 4},
    [OP_SUBTRACT] = {"-", 4},
    [OP_MULTIPLY] = {"*", 5},
    [OP_DIVIDE] = {"/", 5},
    [OP_REMAINDER] = {"%", 5},
    [OP_NOT] = {"!", 6},
    [OP_NEGATE] = {"-", 6},
    [OP_HAS] = {"has", 0},
    [OP_SIZE] = {"size", 0},
    [OP_STARTS_WITH] = {"startsWith", 0},
    [OP_ENDS_WITH] = {"endsWith", 0},
    [OP_CONTAINS] = {"contains", 0},
    [OP_MATCHES] = {"matches", 0},
    [OP_LOWER] = {"lower", 0},
    [OP_UPPER] = {"upper", 0},
    [OP_MIN] = {"min", 0},
    [OP_MAX] = {"max", 0},
    [OP_ABS] = {"abs", 0},
    [OP_CEIL] = {"ceil", 0},
    [OP_FLOOR] = {"floor", 0},
    [OP_ROUND] = {"round", 0},
    [OP_ROUND_UP] = {"round_up", 0},
    [OP_HOUR] = {"hour", 0},
    [OP_WEEKDAY] = {"weekday", 0},
    [OP_DATE] = {"date", 0},
    [OP_TIMESTAMP] = {"timestamp", 0},
    [OP_DURATION] = {"duration", 0},
    [OP_SECONDS] = {"seconds", 0},
    [OP_SECONDS_BETWEEN] = {"seconds", 0},
    [OP_NUMBER] = {"number", 0},
    [OP_STRING] = {"string", 0},
    [OP_CALL] = {"call", 0},
    [OP_MOVE] = {"value", 0},
    [OP_IN_CONSTANTS] = {"in", 3},
    [OP_EITHER] = {"in", 3},
    [OP_GUARD] = {"list", 0},
    [OP_JUMP] = {"?:", 0},
    [OP_SKIP_TRUE] = {"||", 1},
    [OP_SKIP_FALSE] = {"&&", 2},
    [OP_CHOOSE] = {"?:", 0},
    [OP_CHECK] = {"result", 0},
    [OP_HELD] = {"number", 0},
    [OP_RETURN] = {"value", 0},
};

enum { LEVEL_LOWEST = 1, LEVEL_UNARY = 6 };

const char *op_name(enum op op)
{
    return operators[op].name;
}
int op_level(enum op op)
{
    return operators[op].level;
}

/* Words that CEL keeps for the languages an expression may stand in. */
static const char *const reserved_words[] = {
    "as",  "break", "const",   "continue",  "else",   "for", "function", "if",    "import",
    "let", "loop",  "package", "namespace", "return", "var", "void",     "while",
};

/* ---- errors --------------------------------------------------------------------------------- */

enum status expr_fail(struct expr_error *err, size_t offset, enum status status, const char *format,
                      ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->error.message, sizeof err->error.message, format, args);
        va_end(args);
        err->error.status = status;
        err->error.hint[0] = '\0';
        err->offset = offset;
    }
    return status;
}

static void hint(struct expr_error *err, const char *text)
{
    if (err) {
        snprintf(err->error.hint, sizeof err->error.hint, "%s", text);
    }
}

/* ---- tokens --------------------------------------------------------------------------------- */

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_TEXT, TOKEN_SIGN };

struct token {
    enum token_kind kind;
    size_t offset;
    struct text source; /* as written */
    struct text text;   /* TOKEN_TEXT: its value */
    struct dec number;
};

struct parser {
    struct arena *arena;
    struct text source;
    size_t at; /* after the token */
    struct token token;
    struct node *nodes;
    uint16_t node_count, node_capacity;
    int depth;
    struct expr_error *err;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at an offset, or 0 behind the end: no token has a zero byte, so 0 matches nothing. */
static char peek(const struct parser *p, size_t at)
{
    return at < p->source.size ? p->source.at[at] : '\0';
}

static bool is_word(struct text text, const char *word)
{
    return text_equal(text, text_of(word));
}

static bool is_keyword(struct text text)
{
    return is_word(text, "true") || is_word(text, "false") || is_word(text, "null") ||
           is_word(text, "in");
}

static bool is_identifier(struct text text)
{
    if (text.size == 0 || !is_letter(text.at[0])) {
        return false;
    }
    for (size_t i = 1; i < text.size; i++) {
        if (!is_letter(text.at[i]) && !is_digit(text.at[i])) {
            return false;
        }
    }
    return !is_keyword(text);
}

/* Writes 1 to 4 bytes; returns how many.  point is a valid code point. */
static int encode_utf8(int32_t point, char *out)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    int size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (int i = size - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    out[0] = (char)((0xF00 >> size & 0xFF) | point);
    return size;
}

static void skip_blanks(struct parser *p)
{
    for (;;) {
        char c = peek(p, p->at);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
            p->at++;
        } else if (c == '/' && peek(p, p->at + 1) == '/') {
            while (p->at < p->source.size && p->source.at[p->at] != '\n') {
                p->at++;
            }
        } else {
            return;
        }
    }
}

static enum status fail_number(struct parser *p, const char *what)
{
    return expr_fail(p->err, p->token.offset, ERR_INPUT, "%s", what);
}

/* A hexadecimal integer has no other form in decimal than its value. */
static enum status scan_hexadecimal(struct parser *p)
{
    i128 value = 0;
    p->at += 2;
    size_t start = p->at;
    for (int digit; (digit = hex_value(peek(p, p->at))) >= 0; p->at++) {
        if (value >> 123) { /* the next digit may leave 127 bits */
            return fail_number(p, "a number has at most 38 digits");
        }
        value = value * 16 + digit;
    }
    if (p->at == start) {
        return fail_number(p, "a number is not written like this");
    }
    if (dec_make(value, 0, &p->token.number, NULL) != OK) {
        return fail_number(p, "a number has at most 38 digits");
    }
    return OK;
}

/* CEL writes more numbers than JSON does (007, .5): they are brought to JSON's form and read as any
 * other input is. */
static enum status scan_decimal(struct parser *p)
{
    size_t start = p->at;
    while (is_digit(peek(p, p->at))) {
        p->at++;
    }
    size_t whole_end = p->at;
    bool is_integer = true;
    if (peek(p, p->at) == '.' && is_digit(peek(p, p->at + 1))) {
        is_integer = false;
        p->at++;
        while (is_digit(peek(p, p->at))) {
            p->at++;
        }
    }
    if (peek(p, p->at) == 'e' || peek(p, p->at) == 'E') {
        size_t digits = p->at + 1;
        digits += peek(p, digits) == '+' || peek(p, digits) == '-';
        if (is_digit(peek(p, digits))) {
            is_integer = false;
            for (p->at = digits; is_digit(peek(p, p->at));) {
                p->at++;
            }
        }
    }
    while (start + 1 < whole_end && p->source.at[start] == '0') {
        start++;
    }
    struct text text = {p->source.at + start, p->at - start};
    if (start == whole_end) {
        text = text_join(p->arena, TEXT("0"), text);
    }
    switch (dec_parse(text, &p->token.number)) {
    case NUMBER_OK:
        break;
    case NUMBER_SYNTAX:
        return fail_number(p, "a number is not written like this");
    case NUMBER_SCALE:
        return fail_number(p, "a number has at most 18 digits after the point");
    case NUMBER_LENGTH:
    case NUMBER_RANGE:
        return fail_number(p, "a number has at most 38 digits");
    }
    if (is_integer && (peek(p, p->at) == 'u' || peek(p, p->at) == 'U')) {
        p->at++;
    }
    return OK;
}

static enum status scan_number(struct parser *p)
{
    p->token.kind = TOKEN_NUMBER;
    bool is_hexadecimal = peek(p, p->at) == '0' && (peek(p, p->at + 1) | 0x20) == 'x';
    TRY(is_hexadecimal ? scan_hexadecimal(p) : scan_decimal(p));
    if (is_hexadecimal && (peek(p, p->at) == 'u' || peek(p, p->at) == 'U')) {
        p->at++;
    }
    if (is_letter(peek(p, p->at)) || is_digit(peek(p, p->at))) {
        return fail_number(p, "a number is not written like this");
    }
    return OK;
}

static enum status fail_escape(struct parser *p, size_t offset)
{
    (void)expr_fail(p->err, offset, ERR_INPUT, "a text has no such escape");
    hint(p->err,
         "escapes are \\\\ \\\" \\' \\` \\? \\a \\b \\f \\n \\r \\t \\v \\xHH \\uHHHH \\UHHHHHHHH "
         "\\OOO; r\"...\" has none");
    return ERR_INPUT;
}

/* At a backslash; adds what it stands for. */
static enum status scan_escape(struct parser *p, struct buffer *out)
{
    static const char letters[] = "abfnrtv\\\"'`?";
    static const char values[] = "\a\b\f\n\r\t\v\\\"'`?";
    size_t offset = p->at++;
    char c = peek(p, p->at++);
    const char *letter = memchr(letters, c, sizeof letters - 1);
    if (letter) {
        buffer_add_char(out, values[letter - letters]);
        return OK;
    }
    int base = 16, count;
    switch (c) {
    case 'x':
    case 'X':
        count = 2;
        break;
    case 'u':
        count = 4;
        break;
    case 'U':
        count = 8;
        break;
    default:
        if (c < '0' || c > '3') {
            return fail_escape(p, offset);
        }
        base = 8;
        count = 3;
        p->at--;
    }
    int64_t point = 0;
    for (int i = 0; i < count; i++) {
        int digit = hex_value(peek(p, p->at++));
        if (digit < 0 || digit >= base) {
            return fail_escape(p, offset);
        }
        point = point * base + digit;
    }
    if (point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
        return expr_fail(p->err, offset, ERR_INPUT, "the escape is not a Unicode character");
    }
    char bytes[4];
    buffer_add(out, bytes, (size_t)encode_utf8((int32_t)point, bytes));
    return OK;
}

/* At the opening quote.  Three quotes open a text that may hold line ends. */
static enum status scan_text(struct parser *p, bool is_raw)
{
    p->token.kind = TOKEN_TEXT;
    char quote = p->source.at[p->at];
    bool is_triple = peek(p, p->at + 1) == quote && peek(p, p->at + 2) == quote;
    p->at += is_triple ? 3 : 1;
    struct buffer out;
    buffer_init(&out, p->arena, 32);
    for (;;) {
        if (p->at >= p->source.size ||
            (!is_triple && (p->source.at[p->at] == '\n' || p->source.at[p->at] == '\r'))) {
            return expr_fail(p->err, p->token.offset, ERR_INPUT, "the text is not closed");
        }
        char c = p->source.at[p->at];
        if (c == quote &&
            (!is_triple || (peek(p, p->at + 1) == quote && peek(p, p->at + 2) == quote))) {
            p->at += is_triple ? 3 : 1;
            break;
        }
        if (c == '\\' && !is_raw) {
            TRY(scan_escape(p, &out));
            continue;
        }
        buffer_add_char(&out, c);
        p->at++;
    }
    p->token.text = buffer_text(&out);
    return OK;
}

#define BARE_NUMBERS "numbers stand alone; currency: says what they are in"
#define BARE_PERCENT "numbers stand alone: percent: 10 is 10 per cent"

/* What to write in place of a sign that other languages, and word processors, have. */
static const char *meant_sign(struct text rest)
{
    static const struct {
        const char *sign, *hint;
    } SIGNS[] = {
        {"=", "to compare write =="}, {"&", "write && for \"and\""},
        {"|", "write || for \"or\""}, {"{", "the language has no maps"},
        {"$", BARE_NUMBERS},          {"€", BARE_NUMBERS},
        {"£", BARE_NUMBERS},          {"“", "quotes are \" or '"},
        {"”", "quotes are \" or '"},  {"„", "quotes are \" or '"},
        {"‘", "quotes are \" or '"},  {"’", "quotes are \" or '"},
        {"−", "minus is -"},          {"–", "minus is -"},
    };
    for (size_t i = 0; i < sizeof SIGNS / sizeof *SIGNS; i++) {
        size_t size = strlen(SIGNS[i].sign);
        if (rest.size >= size && memcmp(rest.at, SIGNS[i].sign, size) == 0) {
            return SIGNS[i].hint;
        }
    }
    return "";
}

static enum status scan_sign(struct parser *p)
{
    static const char *const signs[] = {"||", "&&", "==", "!=", "<=", ">=", "<", ">",
                                        "+",  "-",  "*",  "/",  "%",  "!",  "?", ":",
                                        ".",  ",",  "(",  ")",  "[",  "]"};
    p->token.kind = TOKEN_SIGN;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        size_t size = strlen(signs[i]);
        if (p->source.size - p->at >= size && memcmp(p->source.at + p->at, signs[i], size) == 0) {
            p->at += size;
            return OK;
        }
    }
    unsigned char c = (unsigned char)p->source.at[p->at];
    (void)expr_fail(
        p->err, p->at, ERR_INPUT,
        c > ' ' && c < 0x7F ? "'%c' has no meaning here" : "byte 0x%02x has no meaning here", c);
    hint(p->err, meant_sign((struct text){p->source.at + p->at, p->source.size - p->at}));
    return ERR_INPUT;
}

static enum status scan(struct parser *p)
{
    skip_blanks(p);
    p->token = (struct token){.kind = TOKEN_END, .offset = p->at};
    char c = peek(p, p->at), next = peek(p, p->at + 1);
    if (p->at == p->source.size) {
        return OK;
    }
    if (is_digit(c) || (c == '.' && is_digit(next))) {
        TRY(scan_number(p));
    } else if (c == '"' || c == '\'') {
        TRY(scan_text(p, false));
    } else if ((c == 'r' || c == 'R') && (next == '"' || next == '\'')) {
        p->at++;
        TRY(scan_text(p, true));
    } else if ((c == 'b' || c == 'B') && (next == '"' || next == '\'')) {
        return expr_fail(p->err, p->at, ERR_INPUT, "the language has no byte strings");
    } else if (is_letter(c)) {
        p->token.kind = TOKEN_NAME;
        while (is_letter(peek(p, p->at)) || is_digit(peek(p, p->at))) {
            p->at++;
        }
    } else {
        TRY(scan_sign(p));
    }
    p->token.source = (struct text){p->source.at + p->token.offset, p->at - p->token.offset};
    return OK;
}

static bool is_sign(const struct parser *p, const char *sign)
{
    return p->token.kind == TOKEN_SIGN && is_word(p->token.source, sign);
}

/* Whether the expression is cut off behind a %, as percentages are written elsewhere. */
static bool ends_with_percent(const struct parser *p)
{
    size_t end = p->token.offset;
    while (end > 0 && p->source.at[end - 1] == ' ') {
        end--;
    }
    return end > 0 && p->source.at[end - 1] == '%';
}

/* Three capital letters, as people write them behind an amount. */
static bool is_currency(struct text word)
{
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] < 'A' || word.at[i] > 'Z') {
            return false;
        }
    }
    return word.size == 3;
}

static enum status fail_expected(struct parser *p, const char *what)
{
    if (p->token.kind == TOKEN_END) {
        (void)expr_fail(p->err, p->token.offset, ERR_INPUT, "expected %s, but the expression ends",
                        what);
        hint(p->err, ends_with_percent(p) ? BARE_PERCENT : "");
        return ERR_INPUT;
    }
    struct text found = p->token.source;
    bool is_long = found.size > 32;
    (void)expr_fail(p->err, p->token.offset, ERR_INPUT, "expected %s, not %s%.*s%s", what,
                    p->token.kind == TOKEN_TEXT ? "" : "'", is_long ? 32 : (int)found.size,
                    found.at,
                    is_long                       ? "..."
                    : p->token.kind == TOKEN_TEXT ? ""
                                                  : "'");
    if (p->token.kind == TOKEN_NAME) {
        hint(p->err, is_word(found, "and")   ? "write && for \"and\""
                     : is_word(found, "or")  ? "write || for \"or\""
                     : is_word(found, "not") ? "write ! for \"not\""
                     : is_currency(found)    ? BARE_NUMBERS
                                             : "");
    }
    return ERR_INPUT;
}

static enum status expect_sign(struct parser *p, const char *sign, const char *what)
{
    if (!is_sign(p, sign)) {
        return fail_expected(p, what);
    }
    return scan(p);
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static enum status add_node(struct parser *p, struct node node, size_t offset, uint16_t *index)
{
    if (p->node_count == EXPR_NODES_MAX) {
        return expr_fail(p->err, offset, ERR_LIMIT,
                         "the expression has more than %d names, literals, operators and calls",
                         EXPR_NODES_MAX);
    }
    if (p->node_count == p->node_capacity) {
        uint16_t capacity = (uint16_t)(p->node_capacity ? 2 * p->node_capacity : 8);
        p->nodes = arena_grow(p->arena, p->nodes, p->node_count, capacity, sizeof *p->nodes);
        p->node_capacity = capacity;
    }
    node.offset = (uint16_t)offset;
    node.next = NODE_NONE;
    if (node.child_count == 0) {
        node.first = NODE_NONE;
    }
    *index = p->node_count;
    p->nodes[p->node_count++] = node;
    return OK;
}

static enum status add_literal(struct parser *p, struct expr_value value, uint16_t *index)
{
    struct expr_value *copy = arena_alloc(p->arena, sizeof *copy);
    *copy = value;
    TRY(add_node(p, (struct node){.kind = NODE_LITERAL, .value = copy}, p->token.offset, index));
    return scan(p);
}

static enum status parse_choice(struct parser *p, uint16_t *index);

/* After the opening bracket: children up to the closing one, behind *last (or as the first). */
static enum status parse_children(struct parser *p, uint16_t parent, uint16_t last,
                                  const char *closing, bool may_end_with_comma)
{
    const char *what = closing[0] == ')' ? "',' or ')'" : "',' or ']'";
    if (is_sign(p, closing)) {
        return scan(p);
    }
    for (;;) {
        uint16_t child;
        TRY(parse_choice(p, &child));
        *(last == NODE_NONE ? &p->nodes[parent].first : &p->nodes[last].next) = child;
        last = child;
        p->nodes[parent].child_count++;
        if (is_sign(p, closing)) {
            return scan(p);
        }
        TRY(expect_sign(p, ",", what));
        if (may_end_with_comma && is_sign(p, closing)) {
            return scan(p);
        }
    }
}

static enum status parse_call(struct parser *p, struct text name, size_t offset, uint16_t receiver,
                              uint16_t *index)
{
    struct node node = {.kind = NODE_CALL,
                        .is_method = receiver != NODE_NONE,
                        .child_count = receiver != NODE_NONE,
                        .first = receiver,
                        .text = text_copy(p->arena, name)};
    TRY(add_node(p, node, offset, index));
    TRY(expect_sign(p, "(", "'('"));
    return parse_children(p, *index, receiver, ")", false);
}

static int count_parts(struct text path)
{
    int count = 1;
    for (size_t i = 0; i < path.size; i++) {
        count += path.at[i] == '.' || path.at[i] == '[';
    }
    return count;
}

static enum status add_part(struct parser *p, uint16_t index, struct text part, size_t offset)
{
    struct node *node = &p->nodes[index];
    if (node->kind != NODE_NAME) {
        return expr_fail(p->err, offset, ERR_INPUT, "only a name has members");
    }
    if (count_parts(node->text) == EXPR_PATH_PARTS_MAX) {
        return expr_fail(p->err, offset, ERR_LIMIT, "a name has at most %d parts",
                         EXPR_PATH_PARTS_MAX);
    }
    struct buffer path;
    buffer_init(&path, p->arena, node->text.size + part.size + 8);
    buffer_add_text(&path, node->text);
    if (is_identifier(part)) {
        buffer_add_char(&path, '.');
        buffer_add_text(&path, part);
    } else {
        buffer_add_char(&path, '[');
        buffer_add_json(&path, part);
        buffer_add_char(&path, ']');
    }
    node->text = buffer_text(&path);
    node->is_plain = false;
    return OK;
}

static enum status parse_name(struct parser *p, uint16_t *index)
{
    struct text name = p->token.source;
    size_t offset = p->token.offset;
    for (size_t i = 0; i < sizeof reserved_words / sizeof reserved_words[0]; i++) {
        if (is_word(name, reserved_words[i])) {
            return expr_fail(p->err, offset, ERR_INPUT, "'%.*s' is a reserved word",
                             TEXT_ARG(name));
        }
    }
    TRY(scan(p));
    if (is_sign(p, "(")) {
        return parse_call(p, name, offset, NODE_NONE, index);
    }
    return add_node(
        p, (struct node){.kind = NODE_NAME, .is_plain = true, .text = text_copy(p->arena, name)},
        offset, index);
}

static enum status parse_primary(struct parser *p, uint16_t *index)
{
    struct text word = p->token.source;
    switch (p->token.kind) {
    case TOKEN_NUMBER:
        return add_literal(p, expr_number(p->token.number), index);
    case TOKEN_TEXT:
        return add_literal(p, expr_text(p->token.text), index);
    case TOKEN_NAME:
        if (is_word(word, "true") || is_word(word, "false")) {
            return add_literal(p, expr_bool(word.at[0] == 't'), index);
        }
        if (is_word(word, "null")) {
            return add_literal(p, (struct expr_value){.type = EXPR_NULL}, index);
        }
        if (!is_word(word, "in")) {
            return parse_name(p, index);
        }
        break;
    case TOKEN_SIGN:
        if (is_sign(p, "(")) {
            TRY(scan(p));
            TRY(parse_choice(p, index));
            return expect_sign(p, ")", "')'");
        }
        if (is_sign(p, "[")) {
            TRY(add_node(p, (struct node){.kind = NODE_LIST}, p->token.offset, index));
            TRY(scan(p));
            return parse_children(p, *index, NODE_NONE, "]", true);
        }
        break;
    case TOKEN_END:
        break;
    }
    return fail_expected(p, "a value");
}

static enum status parse_member(struct parser *p, uint16_t *index)
{
    TRY(parse_primary(p, index));
    for (;;) {
        if (is_sign(p, ".")) {
            TRY(scan(p));
            struct text name = p->token.source;
            size_t offset = p->token.offset;
            if (p->token.kind != TOKEN_NAME || is_keyword(name)) {
                return fail_expected(p, "a name after '.'");
            }
            TRY(scan(p));
            if (is_sign(p, "(")) {
                TRY(parse_call(p, name, offset, *index, index));
            } else {
                TRY(add_part(p, *index, name, offset));
            }
        } else if (is_sign(p, "[")) {
            size_t offset = p->token.offset;
            TRY(scan(p));
            if (p->token.kind != TOKEN_TEXT) {
                return fail_expected(p, "a quoted name in brackets");
            }
            TRY(add_part(p, *index, p->token.text, offset));
            TRY(scan(p));
            TRY(expect_sign(p, "]", "']'"));
        } else {
            return OK;
        }
    }
}

/* CEL allows a row of ! or of -, not a mixture.  Two of them undo each other, but not their type
 * check. */
static enum status parse_unary(struct parser *p, uint16_t *index)
{
    const char *sign = is_sign(p, "!") ? "!" : is_sign(p, "-") ? "-" : NULL;
    if (!sign) {
        return parse_member(p, index);
    }
    size_t offset = p->token.offset;
    int count = 0;
    for (; is_sign(p, sign); count++) {
        TRY(scan(p));
    }
    TRY(parse_member(p, index));
    for (count = count % 2 ? 1 : 2; count > 0; count--) {
        struct node node = {.kind = NODE_UNARY,
                            .op = sign[0] == '!' ? OP_NOT : OP_NEGATE,
                            .child_count = 1,
                            .first = *index};
        TRY(add_node(p, node, offset, index));
    }
    return OK;
}

/* The binary operator at the token, if its level is at least this. */
static bool find_operator(const struct parser *p, int level, enum op *op)
{
    if (p->token.kind != TOKEN_SIGN && !is_word(p->token.source, "in")) {
        return false;
    }
    for (enum op i = OP_OR; i <= OP_REMAINDER; i++) {
        if (operators[i].level >= level && is_word(p->token.source, operators[i].name)) {
            *op = i;
            return true;
        }
    }
    return false;
}

/* Recursion is at most as deep as there are levels. */
static enum status parse_binary(struct parser *p, int level, uint16_t *index)
{
    TRY(parse_unary(p, index));
    for (enum op op; find_operator(p, level, &op);) {
        size_t offset = p->token.offset;
        TRY(scan(p));
        uint16_t right;
        TRY(parse_binary(p, operators[op].level + 1, &right));
        p->nodes[*index].next = right;
        struct node node = {
            .kind = NODE_BINARY, .op = (uint8_t)op, .child_count = 2, .first = *index};
        TRY(add_node(p, node, offset, index));
    }
    return OK;
}

/* condition ? value : (condition ? value : ...), where what stands in the middle is no choice but
 * in brackets. */
static enum status parse_choice(struct parser *p, uint16_t *index)
{
    if (p->depth > EXPR_DEPTH_MAX) {
        return expr_fail(p->err, p->token.offset, ERR_LIMIT,
                         "brackets are nested more than %d deep", EXPR_DEPTH_MAX);
    }
    p->depth++;
    for (uint16_t last = NODE_NONE;;) {
        uint16_t node, middle;
        TRY(parse_binary(p, LEVEL_LOWEST, &node));
        bool is_choice = is_sign(p, "?");
        if (is_choice) {
            struct node choice = {.kind = NODE_CHOICE, .child_count = 3, .first = node};
            size_t offset = p->token.offset;
            TRY(scan(p));
            TRY(parse_binary(p, LEVEL_LOWEST, &middle));
            p->nodes[node].next = middle;
            TRY(add_node(p, choice, offset, &node));
            TRY(expect_sign(p, ":", "':'"));
        }
        *(last == NODE_NONE ? index : &p->nodes[last].next) = node;
        if (!is_choice) {
            break;
        }
        last = middle;
    }
    p->depth--;
    return OK;
}

static enum status check_bytes(struct text source, struct expr_error *err)
{
    if (source.size > EXPR_SOURCE_MAX_BYTES) {
        return expr_fail(err, EXPR_SOURCE_MAX_BYTES, ERR_LIMIT,
                         "an expression has at most %d bytes", EXPR_SOURCE_MAX_BYTES);
    }
    const char *end = source.at + source.size;
    for (const char *at = source.at; at < end;) {
        int size;
        if (utf8_decode(at, end, &size) < 0) {
            return expr_fail(err, (size_t)(at - source.at), ERR_INPUT,
                             "the expression is not valid UTF-8");
        }
        at += size;
    }
    return OK;
}

enum status expr_parse(struct arena *arena, struct text source, struct tree *tree,
                       struct expr_error *err)
{
    TRY(check_bytes(source, err));
    struct parser p = {.arena = arena, .source = source, .err = err};
    uint16_t root;
    TRY(scan(&p));
    TRY(parse_choice(&p, &root));
    if (p.token.kind != TOKEN_END) {
        return fail_expected(&p, "an operator or the end");
    }
    assert(p.depth == 0 && root < p.node_count);
    *tree = (struct tree){.nodes = p.nodes, .count = p.node_count, .root = root};
    return OK;
}
