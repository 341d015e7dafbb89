/* explain_text.c - an explanation for people: all of it but the steps. */
#include "inspect/explain_write.h"

/* ---- small words ---------------------------------------------------------------------------- */

void say_instant(struct buffer *out, instant at)
{
    if (at <= INSTANT_MIN) {
        buffer_add_text(out, TEXT("the beginning"));
    } else if (at >= INSTANT_MAX) {
        buffer_add_text(out, TEXT("no end"));
    } else {
        add_time(out, at);
    }
}

void say_period(struct buffer *out, struct period period)
{
    say_instant(out, period.from);
    buffer_add_text(out, TEXT(" to "));
    say_instant(out, period.to);
}

void say_place(struct buffer *out, const struct place *place)
{
    add_shown(out, place->file);
    buffer_format(out, ":%u", place->line);
}

void say_count(struct buffer *out, uint64_t count, const char *word)
{
    buffer_format(out, "%llu %s%s", (unsigned long long)count, word, count == 1 ? "" : "s");
}

/* ---- the head ------------------------------------------------------------------------------- */

static void add_amounts(const struct explain *x, struct buffer *out, const struct line *line,
                        struct text currency)
{
    const struct step *step = x->charge ? x->charge->step : NULL;
    if (step && line->has_rate && (step->kind == STEP_FEE || step->kind == STEP_TAX)) {
        add_decimal(out, line->rate); /* of charges, not of a quantity */
        buffer_add_text(out, TEXT("%: "));
    } else if (line->has_rate || !dec_is_zero(line->quantity)) {
        add_decimal(out, line->quantity);
        if (line->unit.size > 0) {
            buffer_add_char(out, ' ');
            add_shown(out, line->unit);
        }
        if (line->has_rate) {
            buffer_add_text(out, TEXT(" at "));
            add_decimal(out, line->rate);
        }
        buffer_add_text(out, TEXT(": "));
    }
    if (line->conversion) {
        add_decimal(out, line->conversion->amount);
        buffer_format(out, " %.*s, which is ", TEXT_ARG(line->conversion->currency));
    }
    add_decimal(out, line->amount);
    buffer_format(out, " %.*s", TEXT_ARG(currency));
    if (line->effective) {
        buffer_add_text(out, TEXT(", effectively "));
        add_decimal(out, *line->effective);
        buffer_format(out, " %.*s", TEXT_ARG(currency));
    }
}

static void add_head(const struct explain *x, struct buffer *out)
{
    const struct line *line = &x->line;
    char id[33];
    hash128_format(line->id, id);
    buffer_format(out, "Line %s\nof %s ", id, x->is_correction ? "correction" : "bill");
    add_shown(out, x->head.bill);
    buffer_add_text(out, TEXT("\n\naccount   "));
    add_shown(out, line->account);
    if (line->sku.size > 0) {
        buffer_add_text(out, TEXT("\nSKU       "));
        add_shown(out, line->sku);
        if (line->product.size > 0) {
            buffer_add_text(out, TEXT(", product "));
            add_shown(out, line->product);
        }
    }
    if (line->dimensions.size > 0) {
        buffer_add_text(out, TEXT("\nwhere     "));
        add_shown(out, line->dimensions);
    }
    if (line->resource.size > 0) {
        buffer_add_text(out, TEXT("\nresource  "));
        add_shown(out, line->resource);
    }
    buffer_add_text(out, TEXT("\nfor       "));
    say_period(out, (struct period){line->from, line->to});
    buffer_format(out, "\n%-9.*s ", TEXT_ARG(line->kind));
    add_amounts(x, out, line, x->head.currency);
    buffer_add_char(out, '\n');
}

static void add_correction(const struct explain *x, struct buffer *out)
{
    const struct {
        const char *name;
        struct dec amount, quantity;
    } rows[] = {{"known now", x->present.amount, x->present.quantity},
                {"billed before", x->issued.amount, x->issued.quantity},
                {"this line", x->line.amount, x->line.quantity}};
    buffer_add_text(out, TEXT("\ncorrection: what is known now, less what was billed before\n"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buffer_format(out, "  %-14s", rows[i].name);
        add_decimal(out, rows[i].amount);
        buffer_format(out, " %.*s", TEXT_ARG(x->head.currency));
        if (!dec_is_zero(rows[i].quantity)) {
            buffer_add_text(out, TEXT(", for "));
            add_decimal(out, rows[i].quantity);
            if (x->line.unit.size > 0) {
                buffer_add_char(out, ' ');
                add_shown(out, x->line.unit);
            }
        }
        buffer_add_char(out, '\n');
    }
    buffer_add_text(out,
                    TEXT("  (billed before is told by the difference; the bills themselves are "
                         "in the folders given\n  to the run with --billed or --closed)\n"));
    if (x->is_taken_back) {
        buffer_add_text(out, TEXT("  all of its bill is taken back: its time is in other turns of "
                                  "billing now\n"));
    } else if (!x->has_present) {
        buffer_add_text(out, TEXT("  nothing of this line is charged now: it is taken back\n"));
    } else {
        buffer_add_text(out, TEXT("\nwhat is known now is explained below\n"));
    }
}

/* ---- the price ------------------------------------------------------------------------------ */

static void add_fixed_level(const struct explain *x, struct buffer *out)
{
    const struct charge *charge = x->charge;
    if (charge->level == LEVEL_CATALOG) {
        bool of_payer = charge->step->scope == SCOPE_ORGANIZATION;
        buffer_format(out,
                      "  catalog   a fixed price: %s pays it, unless a narrower level has one "
                      "of its name or SKU\n",
                      of_payer ? "the payer" : "each account");
    } else if (charge->contract) {
        buffer_add_text(out, TEXT("  contract  "));
        add_shown(out, charge->contract->id);
        buffer_format(out, "%s: its buyer pays it once\n",
                      charge->level == LEVEL_PLAN ? ", its plan" : "");
    } else {
        buffer_add_text(out, TEXT("  plan      a fixed price of the account's plan\n"));
    }
}

/* Of a line that a term made: which, and whose. */
static void add_term(const struct explain *x, struct buffer *out)
{
    const struct charge *charge = x->charge;
    buffer_add_text(out, TEXT("\nterm "));
    add_shown(out, charge->step->name);
    buffer_add_text(out, TEXT(", written at "));
    say_place(out, &charge->step->place);
    buffer_format(out, "\n  one of the %s", price_level_name(charge->level));
    if (charge->price->name.size > 0) {
        buffer_add_text(out, TEXT(", on a charge of price "));
        add_shown(out, charge->price->name);
    }
    buffer_add_char(out, '\n');
}

/* The plan that the price was found in.  A charge on a scope stands on its account, which may have
 * another plan than those whose usage made it, or none: then the plans that have the price. */
static void add_plans(const struct explain *x, struct buffer *out)
{
    const struct catalog *catalog = x->run->catalog;
    const struct charge *charge = x->charge;
    const struct account *account = &x->run->accounts->items[charge->account];
    uint32_t own = catalog_plan_of(catalog, charge->contract, account->plan);
    bool is_own = own != NONE && price_set_has(&catalog->plans[own].prices, charge->price);
    const char *before = ": plan ";
    for (uint32_t i = 0; i < catalog->plan_count; i++) {
        const struct plan *plan = &catalog->plans[i];
        if (is_own ? i == own : price_set_has(&plan->prices, charge->price)) {
            buffer_format(out, "%s", before);
            add_shown(out, plan->name);
            before = ", ";
        }
    }
}

static void add_price(const struct explain *x, struct buffer *out)
{
    const struct charge *charge = x->charge;
    const struct price *price = charge->price;
    if (charge->level >= LEVEL_TERMS) {
        add_term(x, out);
        return;
    }
    bool is_offering = charge->series == NONE && charge->step->kind == STEP_COVER;
    buffer_add_text(out, is_offering ? TEXT("\noffering ") : TEXT("\nprice "));
    add_shown(out, price->name);
    buffer_add_text(out, TEXT(", written at "));
    say_place(out, &price->place);
    buffer_add_text(out, TEXT("\n  in force  "));
    say_period(out, (struct period){price->from, price->to});
    buffer_add_char(out, '\n');
    for (int i = 0; i < x->level_count; i++) {
        buffer_format(out, "  %-9s %.*s\n", x->levels[i].level, TEXT_ARG(x->levels[i].why));
    }
    if (is_offering) {
        return;
    }
    if (charge->series == NONE && charge->step->kind == STEP_FIXED) {
        add_fixed_level(x, out);
        return;
    }
    buffer_format(out, "  %-9s here it was found", price_level_name(charge->level));
    if (charge->level == LEVEL_CONTRACT) {
        buffer_add_text(out, TEXT(": contract "));
        add_shown(out, charge->contract->id);
    } else if (charge->level == LEVEL_PLAN) {
        add_plans(x, out);
    }
    buffer_add_char(out, '\n');
}

/* The lines that the line's charges adjust. */
static void add_adjusted(const struct explain *x, struct buffer *out)
{
    const struct told_lines *told = &x->adjusted;
    for (uint32_t i = 0; i < told->count; i++) {
        char id[33];
        hash128_format(told->ids[i], id);
        buffer_format(out, "%s%s",
                      i > 0             ? ", "
                      : told->count > 1 ? "  it adjusts lines "
                                        : "  it adjusts line ",
                      id);
    }
    if (told->count > 0) {
        buffer_add_text(out, told->has_more ? TEXT(", and others\n") : TEXT("\n"));
    }
}

/* ---- from the charge to the line ------------------------------------------------------------ */

/* How the amount got from the currency of its price into the bill's. */
static void add_conversion(const struct explain *x, struct buffer *out)
{
    const struct line_conversion *conversion = x->present.conversion;
    const struct conversion *rules = &x->run->catalog->conversion;
    const struct used_rate *used = x->charge ? charge_rate_used(x->charge) : NULL;
    if (!conversion || !used || !rules->rates) {
        return;
    }
    buffer_format(out, "\nconversion of %.*s into %s\n  price     ", TEXT_ARG(conversion->currency),
                  used->to->code);
    add_decimal(out, conversion->amount);
    buffer_format(out, " %.*s\n  rate      ", TEXT_ARG(conversion->currency));
    add_decimal(out, used->rate);
    buffer_format(out, ", asked for at ");
    say_instant(out, used->asked);
    if (used->at > INSTANT_MIN) {
        buffer_add_text(out, TEXT("; it holds from "));
        say_instant(out, used->at);
    }
    buffer_add_text(out, TEXT("\n  written   "));
    say_place(out, used->place);
    buffer_add_text(out, TEXT(", table "));
    add_shown(out, rules->rates->name);
    buffer_add_text(out, TEXT("\n  amount    "));
    add_decimal(out, x->present.exact);
    buffer_format(out, " %s, rounded %s to %d digits\n", used->to->code, rounding_name(rules->mode),
                  rules->digits);
}

static void add_rounding(const struct explain *x, struct buffer *out)
{
    const struct line_rounding *rounding = x->bill.rounding;
    const int digits = bill_digits(&x->bill);
    buffer_add_text(out, TEXT("\nrounding\n  exact     "));
    add_decimal(out, x->present.exact);
    buffer_add_text(out, TEXT("\n  amount    "));
    add_decimal(out, x->present.amount);
    if (rounding->exact) {
        buffer_add_text(out, TEXT(", not rounded\n"));
    } else if (rounding->at_total) {
        buffer_format(out, ", %d digits by largest remainder: the bill's total is rounded %s\n",
                      digits, rounding_name(rounding->mode));
    } else {
        buffer_format(out, ", rounded %s to %d digits\n",
                      rounding_name(line_mode(&x->line, rounding->mode)), digits);
    }
}

/* The line that makes the others add up to the total. */
static void add_total_rounding(const struct explain *x, struct buffer *out)
{
    struct dec sum;
    if (dec_subtract(x->bill.total, x->present.amount, &sum, NULL) != OK) {
        return;
    }
    buffer_add_text(out, TEXT("\nwhat makes the lines add up to the total\n  lines     "));
    add_decimal(out, sum);
    buffer_add_text(out, TEXT("\n  total     "));
    char *at = buffer_reserve(out, DEC_FORMAT_MAX);
    out->size += (size_t)dec_format_digits(x->bill.total, x->bill.minor_digits, at);
    buffer_format(out, ", the lines' sum rounded half_up to the %d digits of %.*s\n  this line ",
                  x->bill.minor_digits, TEXT_ARG(x->bill.currency));
    add_decimal(out, x->present.amount);
    buffer_add_char(out, '\n');
}

/* ---- rows and events ------------------------------------------------------------------------ */

static struct text decimal_cell(struct arena *arena, struct dec value)
{
    char *out = arena_alloc(arena, DEC_FORMAT_MAX);
    return (struct text){out, (size_t)dec_format(value, out)};
}

static struct text time_cell(struct arena *arena, instant at)
{
    char *out = arena_alloc(arena, TIME_FORMAT_MAX);
    return (struct text){out, (size_t)time_format(at, out)};
}

static struct text account_of_row(const struct explain *x, const struct explained_row *row)
{
    return x->run->accounts->items[x->usage[row->row].account].id;
}

/* An aggregate over an organization makes one of rows of several accounts. */
static bool has_other_accounts(const struct explain *x)
{
    for (uint32_t i = 0; i < x->row_count; i++) {
        if (!text_equal(account_of_row(x, &x->rows[i]), x->line.account)) {
            return true;
        }
    }
    return false;
}

static void row_cells(struct explain *x, uint64_t index, struct text *cells)
{
    struct arena *arena = &x->scratch;
    const struct explained_row *row = &x->rows[index];
    const struct usage_row *usage = &x->usage[row->row];
    const struct series *series = series_at(&x->run->series, usage->series);
    char *print = arena_alloc(arena, 17);
    hash64_format(usage->total.print, print);
    struct period slot = explain_slot(x, usage);
    cells[0] = time_cell(arena, usage->event ? usage->event->at : slot.from);
    cells[1] = time_cell(arena, slot.to);
    cells[2] = x->has_other_accounts ? account_of_row(x, row) : TEXT("");
    cells[3] = bill_encode(arena, series->resource);
    cells[4] = decimal_cell(arena, usage->quantity);
    cells[5] = x->run->catalog->meters[series->meter].unit;
    cells[6] = text_format(arena, "%llu", (unsigned long long)usage->total.count);
    cells[7] = decimal_cell(arena, row->taken);
    cells[8] = decimal_cell(arena, row->amount);
    cells[9] = (struct text){print, 12};
}

static void fill_event(struct explain *x, const struct explained_event *event, struct text *cells)
{
    struct arena *arena = &x->scratch;
    struct buffer place;
    buffer_init(&place, arena, 64);
    buffer_format(&place, "%s:%llu", feed_file_path(x->run->feed, event->file),
                  (unsigned long long)event->line);
    cells[0] = time_cell(arena, event->at);
    cells[1] = event->source;
    cells[2] = event->id;
    cells[3] = decimal_cell(arena, event->value);
    cells[4] = buffer_text(&place);
}

static void event_cells(struct explain *x, uint64_t index, struct text *cells)
{
    fill_event(x, &x->events[index], cells);
}

static void late_cells(struct explain *x, uint64_t index, struct text *cells)
{
    fill_event(x, &x->late[index], cells);
}

static enum status write_table(struct explain *x, uint64_t count,
                               void (*fill)(struct explain *, uint64_t, struct text *))
{
    struct text cells[TABLE_COLUMNS_MAX];
    struct arena_mark mark = arena_mark(&x->scratch);
    for (uint64_t i = 0; i < count; i++) {
        fill(x, i, cells);
        table_measure(&x->table, cells);
        arena_rewind(&x->scratch, mark);
    }
    table_hide_empty(&x->table);
    table_begin(&x->table, true);
    for (uint64_t i = 0; i < count; i++) {
        fill(x, i, cells);
        TRY(table_row(&x->table, cells, x->err));
        arena_rewind(&x->scratch, mark);
    }
    return table_end(&x->table, x->err);
}

static enum status write_rows(struct explain *x)
{
    TRY(sink_write(&x->sink, TEXT("\nusage rows of the line, and what it takes of each\n"),
                   x->err));
    struct table *table = &x->table;
    table_init(table, &x->scratch, &x->sink, false);
    table_add_column(table, "FROM", COLUMN_TEXT);
    table_add_column(table, "TO", COLUMN_TEXT);
    x->has_other_accounts = has_other_accounts(x);
    table_add_column(table, "ACCOUNT", COLUMN_TEXT);
    table_add_column(table, "RESOURCE", COLUMN_TEXT);
    table_add_column(table, "QUANTITY", COLUMN_DECIMAL);
    table_add_column(table, "UNIT", COLUMN_TEXT);
    table_add_column(table, "EVENTS", COLUMN_RIGHT);
    table_add_column(table, "TAKEN", COLUMN_DECIMAL);
    table_add_column(table, "AMOUNT", COLUMN_DECIMAL);
    table_add_column(table, "FINGERPRINT", COLUMN_TEXT);
    TRY(write_table(x, x->row_count, row_cells));
    if (!explain_has_beside(x)) {
        return OK;
    }
    struct buffer out;
    buffer_init(&out, &x->scratch, 128);
    buffer_add_text(&out, TEXT("and "));
    add_decimal(&out, x->beside_amount);
    buffer_add_text(&out, TEXT(" of what no usage row is behind, such as a fee or a minimum\n"));
    return sink_write(&x->sink, buffer_text(&out), x->err);
}

static void init_events(struct explain *x)
{
    struct table *table = &x->table;
    table_init(table, &x->scratch, &x->sink, false);
    table_add_column(table, "TIME", COLUMN_TEXT);
    table_add_column(table, "SOURCE", COLUMN_TEXT);
    table_add_column(table, "ID", COLUMN_TEXT);
    table_add_column(table, "VALUE", COLUMN_DECIMAL);
    table_add_column(table, "PLACE", COLUMN_TEXT);
}

static enum status write_late(struct explain *x)
{
    TRY(sink_write(&x->sink,
                   TEXT("\nLATE: of the time of these rows, but came when that was billed no more, "
                        "and is on none\n"),
                   x->err));
    init_events(x);
    return write_table(x, x->late_count, late_cells);
}

static enum status write_events(struct explain *x)
{
    uint64_t pieces = 0; /* of spread events, but for each one's first */
    for (uint64_t i = 0; i < x->event_count; i++) {
        pieces += x->events[i].is_piece;
    }
    TRY(sink_write(&x->sink,
                   pieces > 0 ? TEXT("\nevents of these rows, each with its part of each row\n")
                              : TEXT("\nevents of these rows, each once\n"),
                   x->err));
    init_events(x);
    TRY(write_table(x, x->event_count, event_cells));
    uint64_t wanted = 0;
    for (uint32_t i = 0; i < x->row_count; i++) {
        wanted += x->usage[x->rows[i].row].total.count;
    }
    struct buffer out;
    buffer_init(&out, &x->scratch, 256);
    say_count(&out, x->event_count - pieces, "event");
    if (pieces > 0) {
        buffer_format(&out, " in %llu pieces", (unsigned long long)x->event_count);
    }
    if (x->adds_up) {
        buffer_add_text(&out, TEXT(": count, sum and fingerprint of every row add up\n"));
    } else {
        buffer_format(&out, ", but the rows were counted from %llu: these do not add up to them\n",
                      (unsigned long long)wanted);
    }
    TRY(sink_write(&x->sink, buffer_text(&out), x->err));
    return x->late_count > 0 ? write_late(x) : OK;
}

/* A line that no usage row is behind. */
static struct text say_no_events(const struct explain *x)
{
    struct text kind = x->has_present ? x->present.kind : TEXT("");
    bool is_on_charges = x->charge && x->charge->step && x->charge->step->kind == STEP_FEE;
    bool is_of_source =
        x->charge && x->charge->level < LEVEL_TERMS && x->charge->price->takes_money;
    return is_of_source
               ? TEXT("\nno events: it is of a charge of the source that has no usage row\n")
           : text_equal(kind, TEXT("fee")) && is_on_charges
               ? TEXT("\nno events: it is a fee on charges, whose usage is on other lines\n")
           : text_equal(kind, TEXT("fee"))
               ? TEXT("\nno events: a fixed price does not depend on usage\n")
           : text_equal(kind, TEXT("minimum"))
               ? TEXT(
                     "\nno events: it is what lacked in all of the bucket, whose usage is on other "
                     "lines\n")
               : TEXT("\nno events: no usage row is behind this line\n");
}

/* ---- all of it ------------------------------------------------------------------------------ */

enum status explain_write_text(struct explain *x)
{
    struct buffer out;
    buffer_init(&out, &x->run->arena, 8192);
    add_head(x, &out);
    if (x->is_correction) {
        add_correction(x, &out);
    }
    if (x->charge) {
        add_price(x, &out);
        if (x->step_count > 0) {
            buffer_add_text(&out, TEXT("\nsteps (F is quantized at 18 digits, half even)\n"));
        }
        for (uint32_t i = 0; i < x->step_count; i++) {
            explain_write_step(x, &out, i + 1, &x->steps[i]);
        }
        add_adjusted(x, &out);
        add_conversion(x, &out);
        add_rounding(x, &out);
    } else if (x->has_present && text_equal(x->present.kind, TEXT("rounding"))) {
        add_total_rounding(x, &out);
    }
    TRY(sink_write(&x->sink, buffer_text(&out), x->err));
    if (x->row_count > 0) {
        TRY(write_rows(x));
    }
    if (!x->has_events) {
        return OK;
    }
    return x->row_count > 0 ? write_events(x) : sink_write(&x->sink, say_no_events(x), x->err);
}
