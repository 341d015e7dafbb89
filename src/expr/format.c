/* format.c - see expr.h.  Values and parsed expressions as text of the language. */
#include "expr/code.h"

#include "base/nofloat.h"

void expr_value_format(const struct expr_value *value, struct buffer *out)
{
    char text[DEC_FORMAT_MAX];
    switch (value->type) {
    case EXPR_MISSING:
        buffer_add_text(out, TEXT("missing"));
        break;
    case EXPR_NULL:
        buffer_add_text(out, TEXT("null"));
        break;
    case EXPR_BOOL:
        buffer_add_text(out, value->truth ? TEXT("true") : TEXT("false"));
        break;
    case EXPR_NUMBER:
        buffer_add(out, text, (size_t)dec_format(value->number, text));
        break;
    case EXPR_TEXT:
        buffer_add_json(out, value->text);
        break;
    case EXPR_TIME:
        buffer_add_text(out, TEXT("timestamp(\""));
        buffer_add(out, text, (size_t)time_format(value->time, text));
        buffer_add_text(out, TEXT("\")"));
        break;
    case EXPR_DURATION:
        buffer_add_text(out, TEXT("duration(\""));
        buffer_add(out, text, (size_t)dec_format(duration_seconds(value->duration_ns), text));
        buffer_add_text(out, TEXT("s\")"));
        break;
    case EXPR_OTHER:
        buffer_add_text(out, TEXT("a list or object"));
        break;
    case EXPR_ERROR:
    case EXPR_DYNAMIC:
        buffer_add_text(out, TEXT("error"));
        break;
    }
}

struct printer {
    const struct expr *expr;
    const struct expr_env *env;
    struct buffer *out;
};

enum { LEVEL_CHOICE = 0, LEVEL_UNARY = 6, LEVEL_MEMBER = 7 };

static void print(const struct printer *p, uint16_t index, int level);

static void print_list(const struct printer *p, uint16_t first)
{
    for (uint16_t child = first; child != NODE_NONE; child = p->expr->tree.nodes[child].next) {
        if (child != first) {
            buffer_add_text(p->out, TEXT(", "));
        }
        print(p, child, LEVEL_CHOICE);
    }
}

static void print_name(const struct printer *p, const struct node *node)
{
    buffer_add_text(p->out, node->text);
    if (!p->env) {
        return;
    }
    for (size_t i = 0; i < p->expr->name_count; i++) {
        if (text_equal(p->expr->names[i].path, node->text)) {
            buffer_add_char(p->out, '{');
            expr_value_format(&p->env->slots[p->expr->names[i].slot], p->out);
            buffer_add_char(p->out, '}');
            return;
        }
    }
}

static void print_call(const struct printer *p, const struct node *node)
{
    uint16_t first = node->first;
    if (node->is_method) {
        print(p, first, LEVEL_MEMBER);
        buffer_add_char(p->out, '.');
        first = p->expr->tree.nodes[first].next;
    }
    buffer_add_text(p->out, node->text);
    buffer_add_char(p->out, '(');
    print_list(p, first);
    buffer_add_char(p->out, ')');
}

static int level_of(const struct node *node)
{
    switch ((enum node_kind)node->kind) {
    case NODE_CHOICE:
        return LEVEL_CHOICE;
    case NODE_UNARY:
    case NODE_BINARY:
        return op_level(node->op);
    default:
        return LEVEL_MEMBER;
    }
}

/* Two signs in a row are what the parser leaves of any even number; a third needs brackets to stay.
 */
static bool is_pair(const struct printer *p, const struct node *node)
{
    const struct node *child = &p->expr->tree.nodes[node->first];
    if (child->kind != NODE_UNARY || child->op != node->op) {
        return false;
    }
    const struct node *grandchild = &p->expr->tree.nodes[child->first];
    return grandchild->kind != NODE_UNARY || grandchild->op != node->op;
}

/* level is what the place needs: brackets go around what binds less. */
static void print(const struct printer *p, uint16_t index, int level)
{
    const struct node *node = &p->expr->tree.nodes[index];
    int own = level_of(node);
    uint16_t second = node->child_count > 1 ? p->expr->tree.nodes[node->first].next : NODE_NONE;
    if (own < level) {
        buffer_add_char(p->out, '(');
    }
    switch ((enum node_kind)node->kind) {
    case NODE_LITERAL:
        expr_value_format(node->value, p->out);
        break;
    case NODE_NAME:
        print_name(p, node);
        break;
    case NODE_UNARY:
        buffer_format(p->out, "%s", op_name(node->op));
        print(p, node->first, is_pair(p, node) ? LEVEL_UNARY : LEVEL_MEMBER);
        break;
    case NODE_BINARY:
        print(p, node->first, own);
        buffer_format(p->out, " %s ", op_name(node->op));
        print(p, second, own + 1);
        break;
    case NODE_CHOICE:
        print(p, node->first, LEVEL_CHOICE + 1);
        buffer_add_text(p->out, TEXT(" ? "));
        print(p, second, LEVEL_CHOICE + 1);
        buffer_add_text(p->out, TEXT(" : "));
        print(p, p->expr->tree.nodes[second].next, LEVEL_CHOICE);
        break;
    case NODE_LIST:
        buffer_add_char(p->out, '[');
        print_list(p, node->first);
        buffer_add_char(p->out, ']');
        break;
    case NODE_CALL:
        print_call(p, node);
        break;
    }
    if (own < level) {
        buffer_add_char(p->out, ')');
    }
}

void expr_format(const struct expr *expr, const struct expr_env *env, struct buffer *out)
{
    struct printer printer = {.expr = expr, .env = env, .out = out};
    print(&printer, expr->tree.root, LEVEL_CHOICE);
}
