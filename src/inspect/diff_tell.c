/* diff_tell.c - see diff_tell.h.  The table hides columns of reasons that nothing has; CSV and JSON
 * have all of them.
 */
#include "inspect/diff_tell.h"

#include "inspect/diff_sums.h"

/* ---- values and sums ----------------------------------------------------------------------- */

static struct text show_amount(struct arena *arena, struct wide value)
{
    char *out = arena_alloc(arena, WIDE_FORMAT_MAX);
    return (struct text){out, (size_t)wide_format(&value, out)};
}

/* A reason that is none is left out of the table. */
static struct text show_reason(struct arena *arena, struct wide value)
{
    return sum_is_zero(value) ? TEXT("") : show_amount(arena, value);
}

static struct text show_day(struct arena *arena, instant at)
{
    char *out = arena_alloc(arena, TIME_FORMAT_MAX);
    return (struct text){out, (size_t)time_format_short(at, out)};
}

/* The first currency behind one, by code, in which something has moved; at NULL: there is none. */
static struct text next_currency(const struct telling *t, struct text before)
{
    struct text next = {NULL, 0};
    for (size_t i = 0; i < t->count; i++) {
        struct text at = t->moved[i].currency;
        bool is_behind = text_compare(at, before) > 0;
        next = is_behind && (!next.at || text_compare(at, next) < 0) ? at : next;
    }
    return next;
}

/* What has moved in a currency. */
static struct moved sum_moved(const struct telling *t, struct text currency)
{
    struct moved sum = {.payer = TEXT(""), .currency = currency, .reasons.terms = TEXT("")};
    for (size_t i = 0; i < t->count; i++) {
        const struct moved *m = &t->moved[i];
        if (!text_equal(m->currency, currency)) {
            continue;
        }
        sum.amount[SIDE_A] = sum_plus(sum.amount[SIDE_A], m->amount[SIDE_A]);
        sum.amount[SIDE_B] = sum_plus(sum.amount[SIDE_B], m->amount[SIDE_B]);
        sum.difference = sum_plus(sum.difference, m->difference);
        sum.reasons.usage = sum_plus(sum.reasons.usage, m->reasons.usage);
        sum.reasons.price = sum_plus(sum.reasons.price, m->reasons.price);
        sum.reasons.step = sum_plus(sum.reasons.step, m->reasons.step);
        sum.reasons.term = sum_plus(sum.reasons.term, m->reasons.term);
        sum.reasons.currency = sum_plus(sum.reasons.currency, m->reasons.currency);
        sum.reasons.bills = sum_plus(sum.reasons.bills, m->reasons.bills);
    }
    return sum;
}

/* ---- a table ------------------------------------------------------------------------------- */

enum {
    CELL_PAYER,
    CELL_FROM,
    CELL_ACCOUNT,
    CELL_SKU,
    CELL_WHAT,
    CELL_DIMENSIONS,
    CELL_BEFORE,
    CELL_AFTER,
    CELL_DIFFERENCE,
    CELL_USAGE,
    CELL_PRICE,
    CELL_STEP,
    CELL_TERM,
    CELL_CURRENCY,
    CELL_BILLS,
    CELL_TERMS,
    CELLS
};

/* Of a term that has a name of its own, with that. */
static struct text show_kind(struct arena *arena, const struct moved *m)
{
    static const char *const plain[] = {"commit", "bound", "round", "allocate"};
    bool is_plain = m->made_by.size == 0 || text_equal(m->step, m->kind);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        is_plain = is_plain || text_equal(m->step, text_of(plain[i]));
    }
    return is_plain ? m->kind
                    : text_format(arena, "%.*s %.*s", TEXT_ARG(m->kind), TEXT_ARG(m->step));
}

static void make_cells(struct arena *arena, const struct moved *m, struct text cells[CELLS])
{
    bool both = m->dimensions.size > 0 && m->resource.size > 0;
    cells[CELL_PAYER] = m->payer;
    cells[CELL_FROM] = show_day(arena, m->period.from);
    cells[CELL_ACCOUNT] = m->account;
    cells[CELL_SKU] = m->sku;
    cells[CELL_WHAT] = show_kind(arena, m);
    cells[CELL_DIMENSIONS] = text_format(arena, "%.*s%s%.*s", TEXT_ARG(m->dimensions),
                                         both ? " " : "", TEXT_ARG(m->resource));
    cells[CELL_BEFORE] = show_amount(arena, m->amount[SIDE_A]);
    cells[CELL_AFTER] = show_amount(arena, m->amount[SIDE_B]);
    cells[CELL_DIFFERENCE] = show_amount(arena, m->difference);
    cells[CELL_USAGE] = show_reason(arena, m->reasons.usage);
    cells[CELL_PRICE] = show_reason(arena, m->reasons.price);
    cells[CELL_STEP] = show_reason(arena, m->reasons.step);
    cells[CELL_TERM] = show_reason(arena, m->reasons.term);
    cells[CELL_CURRENCY] = show_reason(arena, m->reasons.currency);
    cells[CELL_BILLS] = show_reason(arena, m->reasons.bills);
    cells[CELL_TERMS] = m->reasons.terms;
}

static enum status measure_total(struct telling *t, const struct text *cells)
{
    table_measure(&t->table, cells);
    return OK;
}

static enum status write_total(struct telling *t, const struct text *cells)
{
    return table_row(&t->table, cells, t->err);
}

/* A row below all others, for each currency. */
static enum status each_total(struct telling *t,
                              enum status (*take)(struct telling *t, const struct text *cells))
{
    struct text first = next_currency(t, TEXT(""));
    bool is_only = !next_currency(t, first).at;
    for (struct text currency = first; currency.at; currency = next_currency(t, currency)) {
        struct moved sum = sum_moved(t, currency);
        struct text cells[CELLS];
        make_cells(t->scratch, &sum, cells);
        for (int c = 0; c < CELL_BEFORE; c++) {
            cells[c] = TEXT("");
        }
        cells[CELL_WHAT] =
            is_only ? TEXT("total") : text_format(t->scratch, "total %.*s", TEXT_ARG(currency));
        TRY(take(t, cells));
    }
    return OK;
}

static enum status write_table(struct telling *t)
{
    if (t->count == 0) {
        return sink_write(&t->sink, TEXT("no amount has moved\n"), t->err);
    }
    struct table *table = &t->table;
    struct arena *arena = t->scratch;
    table_init(table, arena, &t->sink, t->is_terminal);
    static const char *const TITLES[CELLS] = {
        "PAYER",      "FROM",  "ACCOUNT", "SKU",  "WHAT", "OF",       "BEFORE", "AFTER",
        "DIFFERENCE", "USAGE", "PRICE",   "STEP", "TERM", "CURRENCY", "BILLS",  "TERMS"};
    for (int c = 0; c < CELLS; c++) {
        table_add_column(table, TITLES[c],
                         c < CELL_BEFORE || c == CELL_TERMS ? COLUMN_TEXT : COLUMN_DECIMAL);
    }
    struct text cells[CELLS];
    struct arena_mark mark = arena_mark(arena);
    for (size_t i = 0; i < t->count; i++) {
        make_cells(arena, &t->moved[i], cells);
        table_measure(table, cells);
        arena_rewind(arena, mark);
    }
    TRY(each_total(t, measure_total));
    table_hide_empty(table);
    for (int c = CELL_USAGE; c <= CELL_STEP; c++) {
        table->columns[c].is_hidden = false;
    }
    table_begin(table, true);
    for (size_t i = 0; i < t->count; i++) {
        make_cells(arena, &t->moved[i], cells);
        TRY(table_row(table, cells, t->err));
    }
    TRY(each_total(t, write_total));
    return table_end(table, t->err);
}

/* ---- CSV and JSON -------------------------------------------------------------------------- */

struct column {
    const char *name;
    struct text text;
    bool is_name; /* comes from strangers */
};

enum { COLUMNS = 25 };

static void make_columns(struct arena *arena, const struct moved *m, struct column columns[COLUMNS])
{
    const struct column all[COLUMNS] = {
        {"bill", m->bill, true},
        {"payer", m->payer, true},
        {"account", m->account, true},
        {"product", m->product, true},
        {"sku", m->sku, true},
        {"dimensions", m->dimensions, true},
        {"resource", m->resource, true},
        {"kind", m->kind, true},
        {"from", show_day(arena, m->period.from), false},
        {"to", show_day(arena, m->period.to), false},
        {"unit", m->unit, true},
        {"quantity_before", show_amount(arena, m->quantity[SIDE_A]), false},
        {"quantity_after", show_amount(arena, m->quantity[SIDE_B]), false},
        {"before", show_amount(arena, m->amount[SIDE_A]), false},
        {"after", show_amount(arena, m->amount[SIDE_B]), false},
        {"difference", show_amount(arena, m->difference), false},
        {"usage", show_amount(arena, m->reasons.usage), false},
        {"price_version", show_amount(arena, m->reasons.price), false},
        {"step", show_amount(arena, m->reasons.step), false},
        {"term", show_amount(arena, m->reasons.term), false},
        {"currency_rate", show_amount(arena, m->reasons.currency), false},
        {"other_bill", show_amount(arena, m->reasons.bills), false},
        {"currency", m->currency, true},
        {"terms", m->reasons.terms, true},
        {"made_by", m->made_by, true}};
    memcpy(columns, all, sizeof all);
}

static enum status write_csv(struct telling *t)
{
    struct moved none = {.payer = TEXT("")};
    struct column columns[COLUMNS];
    make_columns(t->arena, t->count > 0 ? &t->moved[0] : &none, columns);
    struct buffer out;
    buffer_init(&out, t->arena, 1024);
    for (int c = 0; c < COLUMNS; c++) {
        buffer_format(&out, "%s%s", c > 0 ? "," : "", columns[c].name);
    }
    buffer_add_char(&out, '\n');
    TRY(sink_write(&t->sink, buffer_text(&out), t->err));
    struct arena_mark mark = arena_mark(t->scratch);
    for (size_t i = 0; i < t->count; i++) {
        struct buffer row;
        buffer_init(&row, t->scratch, 512);
        make_columns(t->scratch, &t->moved[i], columns);
        for (int c = 0; c < COLUMNS; c++) {
            buffer_add_text(&row, c > 0 ? TEXT(",") : TEXT(""));
            if (columns[c].is_name) {
                add_csv_safe(&row, columns[c].text);
            } else {
                buffer_add_text(&row, columns[c].text);
            }
        }
        buffer_add_char(&row, '\n');
        TRY(sink_write(&t->sink, buffer_text(&row), t->err));
        arena_rewind(t->scratch, mark);
    }
    return OK;
}

static void add_sums(struct telling *t, struct buffer *out, struct text currency)
{
    struct moved sum = sum_moved(t, currency);
    const struct column sums[] = {
        {"before", show_amount(t->arena, sum.amount[SIDE_A]), false},
        {"after", show_amount(t->arena, sum.amount[SIDE_B]), false},
        {"difference", show_amount(t->arena, sum.difference), false},
        {"usage", show_amount(t->arena, sum.reasons.usage), false},
        {"price_version", show_amount(t->arena, sum.reasons.price), false},
        {"step", show_amount(t->arena, sum.reasons.step), false},
        {"term", show_amount(t->arena, sum.reasons.term), false},
        {"currency_rate", show_amount(t->arena, sum.reasons.currency), false},
        {"other_bill", show_amount(t->arena, sum.reasons.bills), false},
        {"currency", sum.currency, true}};
    for (size_t c = 0; c < sizeof sums / sizeof *sums; c++) {
        buffer_format(out, "%s\"%s\":", out->at[out->size - 1] == '{' ? "" : ",", sums[c].name);
        buffer_add_json(out, sums[c].text);
    }
}

static enum status write_json(struct telling *t)
{
    TRY(sink_write(&t->sink, TEXT("{\"moved\":["), t->err));
    struct arena_mark mark = arena_mark(t->scratch);
    for (size_t i = 0; i < t->count; i++) {
        struct column columns[COLUMNS];
        struct buffer row;
        buffer_init(&row, t->scratch, 512);
        make_columns(t->scratch, &t->moved[i], columns);
        for (int c = 0; c < COLUMNS; c++) {
            buffer_format(&row, "%s\"%s\":", c > 0 ? "," : i > 0 ? ",\n{" : "\n{", columns[c].name);
            buffer_add_json(&row, columns[c].text);
        }
        buffer_add_char(&row, '}');
        TRY(sink_write(&t->sink, buffer_text(&row), t->err));
        arena_rewind(t->scratch, mark);
    }
    struct buffer end;
    buffer_init(&end, t->scratch, 512);
    buffer_format(&end, "],\"count\":%u", t->count);
    struct text first = next_currency(t, TEXT(""));
    if (!first.at || !next_currency(t, first).at) {
        add_sums(t, &end, first.at ? first : t->currency);
    } else {
        buffer_add_text(&end, TEXT(",\"sums\":["));
        for (struct text at = first; at.at; at = next_currency(t, at)) {
            buffer_add_text(&end, at.at == first.at ? TEXT("{") : TEXT(",{"));
            add_sums(t, &end, at);
            buffer_add_char(&end, '}');
        }
        buffer_add_char(&end, ']');
    }
    buffer_add_text(&end, TEXT("}\n"));
    return sink_write(&t->sink, buffer_text(&end), t->err);
}

enum status diff_tell(struct telling *t)
{
    return t->form == FARTHING_JSON       ? write_json(t)
           : t->form == FARTHING_CSV_SAFE ? write_csv(t)
                                          : write_table(t);
}
