/* show_bill.c - one bill: its head, a section for each account, the total, and what stands behind
 * it. */
#include "inspect/show.h"
#include "render/render.h"

enum {
    CELL_PRODUCT,
    CELL_SKU,
    CELL_DIMENSIONS,
    CELL_WHAT,
    CELL_QUANTITY,
    CELL_UNIT,
    CELL_RATE,
    CELL_AMOUNT,
    CELL_LINE
};

/* One bill on its way to the sink. */
struct page {
    struct bill_head head;
    struct reader *lines;
    uint64_t offset; /* of its first row */
    int digits;      /* of the currency */
    uint64_t line_count;
    struct text account; /* of the section: account_bytes */
    char account_bytes[ATTRIBUTE_MAX_BYTES + 1];
    uint64_t section_lines;
    struct dec_sum section, sum;
    uint64_t sections;
};

static void add_word(struct buffer *out, const char *format, struct text text)
{
    if (out->size > 0) {
        buffer_add_text(out, TEXT(", "));
    }
    buffer_format(out, format, (int)text.size, text.at);
}

/* The part of a turn that a prorated fee is for, in days; false when the line does not bear it out:
 * quantity x rate, times the days of the line, divided by a whole number of days, is its amount. */
static bool days_of_fee(const struct line *line, int64_t *part, struct dec *whole)
{
    enum { UNIT = 1 }; /* the last digit: a part may be a difference of two */
    const int64_t day = INT64_C(86'400) * NS_PER_SECOND;
    struct dec full, again, off;
    *part = (line->to - line->from + day / 2) / day;
    return text_equal(line->kind, TEXT("fee")) && *part > 0 && !dec_is_zero(line->exact) &&
           dec_multiply_round(line->quantity, line->rate, DEC_SCALE, ROUND_HALF_EVEN, &full,
                              NULL) == OK &&
           dec_multiply_divide(full, dec_from_int(*part), line->exact, 0, ROUND_HALF_EVEN, whole,
                               NULL) == OK &&
           dec_compare(*whole, dec_from_int(*part)) > 0 &&
           dec_multiply_divide(full, dec_from_int(*part), *whole, DEC_SCALE, ROUND_HALF_EVEN,
                               &again, NULL) == OK &&
           dec_subtract(again, line->exact, &off, NULL) == OK &&
           dec_compare(dec_abs(off), (struct dec){UNIT, DEC_SCALE}) <= 0;
}

/* True of a step that was given a name, which customers read; the others are named by what they do.
 */
static bool is_named(struct text step)
{
    bool is_primitive = step.size == 0;
    for (enum step_kind kind = 0; kind < STEP_KINDS && !is_primitive; kind++) {
        is_primitive = text_equal(step, text_of(step_kind_name(kind)));
    }
    return !is_primitive;
}

/* A percentage of charges, which a quantity of nothing and a rate would hide. A fixed price is a
 * fee too, and may be of none: the terms' own say so in their level. */
static bool is_percentage(const struct line *line)
{
    static const char end[] = " terms";
    size_t size = sizeof end - 1;
    bool is_of_terms =
        line->level.size > size && memcmp(line->level.at + line->level.size - size, end, size) == 0;
    bool is_of_charges =
        text_equal(line->kind, TEXT("tax")) || (text_equal(line->kind, TEXT("fee")) && is_of_terms);
    return is_of_charges && line->has_rate && dec_is_zero(line->quantity);
}

/* Its grant is a commitment: of negations only those of covered usage have one. */
static bool is_of_commitment(const struct line *line)
{
    return text_equal(line->kind, TEXT("covered")) || text_equal(line->kind, TEXT("unused")) ||
           text_equal(line->kind, TEXT("negation"));
}

/* What a line is, in words: what is as usual is left out. */
static struct text what_of(struct show *show, const struct page *page, const struct line *line)
{
    struct arena *arena = &show->scratch;
    struct buffer out;
    buffer_init(&out, arena, 128);
    if (!text_equal(line->kind, TEXT("usage"))) {
        buffer_add_text(&out, line->kind);
        if (is_named(line->step) && !text_equal(line->step, line->kind)) {
            buffer_format(&out, " %.*s", TEXT_ARG(line->step));
        }
    } else if (is_named(line->step)) {
        buffer_add_text(&out, line->step);
    }
    if (is_percentage(line)) {
        struct text percent = show_decimal(arena, line->rate, 0);
        buffer_format(&out, " %.*s%%", TEXT_ARG(percent));
    }
    if (!text_equal(line->price, line->sku) && line->price.size > 0) {
        add_word(&out, "%.*s", line->price);
    }
    if (line->tier > 0) {
        add_word(&out, "tier %.*s", text_format(arena, "%d", line->tier));
    }
    if (line->grant.size > 0) {
        bool is_commitment = text_equal(line->kind, TEXT("commitment"));
        add_word(&out,
                 is_commitment            ? "%.*s"
                 : is_of_commitment(line) ? "commitment %.*s"
                                          : "grant %.*s",
                 line->grant);
    }
    if (line->contract.size > 0) {
        add_word(&out, "contract %.*s", line->contract);
    } else if (line->level.size > 0 && !text_equal(line->level, TEXT("catalog"))) {
        add_word(&out, "%.*s", line->level);
    }
    if (line->resource.size > 0) {
        add_word(&out, "%.*s", line->resource);
    }
    if (line->from != page->head.period.from || line->to != page->head.period.to) {
        struct text from = show_time(show, line->from), to = show_time(show, line->to);
        add_word(&out, "%.*s", text_format(arena, "%.*s to %.*s", TEXT_ARG(from), TEXT_ARG(to)));
    }
    if (line->conversion) { /* quantity x rate is in the currency of the price */
        const struct line_conversion *conversion = line->conversion;
        struct text amount = show_decimal(arena, conversion->amount, 2);
        struct text rate = show_decimal(arena, conversion->rate, 0);
        add_word(&out, "%.*s",
                 text_format(arena, "%.*s %.*s at %.*s", TEXT_ARG(amount),
                             TEXT_ARG(conversion->currency), TEXT_ARG(rate)));
        if (conversion->at > INSTANT_MIN) {
            struct text of = show_time(show, conversion->at);
            buffer_format(&out, " of %.*s", TEXT_ARG(of));
        }
    }
    int64_t part;
    struct dec whole;
    if (!line->conversion && days_of_fee(line, &part, &whole)) {
        char of[DEC_FORMAT_MAX];
        int size = dec_format(whole, of);
        add_word(&out, "%.*s", text_format(arena, "%lld of %.*s days", (long long)part, size, of));
    }
    if (out.size == 0) {
        buffer_add_text(&out, line->step);
    }
    return buffer_text(&out);
}

static void line_cells(struct show *show, const struct page *page, const struct line *line,
                       struct text *cells)
{
    struct arena *arena = &show->scratch;
    char *id = arena_alloc(arena, 33);
    hash128_format(line->id, id);
    cells[CELL_PRODUCT] = line->product;
    cells[CELL_SKU] = line->sku;
    cells[CELL_DIMENSIONS] = line->dimensions;
    cells[CELL_WHAT] = what_of(show, page, line);
    bool has_rate = line->has_rate && !is_percentage(line);
    bool has_quantity = has_rate || !dec_is_zero(line->quantity);
    cells[CELL_QUANTITY] = has_quantity ? show_decimal(arena, line->quantity, 0) : TEXT("");
    cells[CELL_UNIT] = line->unit;
    cells[CELL_RATE] = has_rate ? show_decimal(arena, line->rate, 0) : TEXT("");
    cells[CELL_AMOUNT] = show_decimal(arena, line->amount, page->digits);
    cells[CELL_LINE] = (struct text){id, 8};
}

typedef enum status take_line(struct show *show, struct page *page, const struct line *line,
                              struct text row);

/* Each line of the bill; they are adjacent. */
static enum status each_line(struct show *show, struct page *page, take_line *take)
{
    struct arena_mark mark = arena_mark(&show->scratch);
    page->line_count = page->sections = page->section_lines = 0;
    page->sum = (struct dec_sum){0};
    page->account = (struct text){NULL, 0};
    reader_seek(page->lines, page->offset);
    for (struct text row;;) {
        TRY(reader_next(page->lines, &row, NULL, show->err));
        if (!row.at) {
            return OK;
        }
        struct line line;
        struct text bill;
        enum status status = parse_line(&show->scratch, row, &line, &bill, show->err);
        if (status != OK) {
            return fail(show->err, ERR_CORRUPT, "%s: a row is no line", page->lines->path);
        }
        if (!text_equal(bill, page->head.bill)) {
            return OK;
        }
        TRY(dec_sum_add(&page->sum, line.amount, show->err));
        TRY(take(show, page, &line, row));
        page->line_count++;
        arena_rewind(&show->scratch, mark);
    }
}

static enum status measure_line(struct show *show, struct page *page, const struct line *line,
                                struct text row)
{
    (void)row;
    struct text cells[TABLE_COLUMNS_MAX];
    line_cells(show, page, line, cells);
    if (line_is_rounding(line)) {
        cells[CELL_WHAT] = TEXT("rounding");
    }
    table_measure(&show->table, cells);
    return OK;
}

static void empty_cells(struct text *cells)
{
    for (int i = 0; i < TABLE_COLUMNS_MAX; i++) {
        cells[i] = TEXT("");
    }
}

/* A row that sums up: a word, and an amount under the others. */
static enum status sum_row(struct show *show, const char *word, struct text amount)
{
    struct text cells[TABLE_COLUMNS_MAX];
    empty_cells(cells);
    cells[CELL_WHAT] = text_of(word);
    cells[CELL_AMOUNT] = amount;
    return table_row(&show->table, cells, show->err);
}

static enum status end_section(struct show *show, const struct page *page)
{
    if (page->sections == 0) {
        return OK;
    }
    if (page->section_lines > 1) {
        TRY(sum_row(show, "subtotal", show_sum(&show->scratch, &page->section, page->digits)));
    }
    return table_end(&show->table, show->err);
}

/* What is behind all sections: rounding, and the total. */
static enum status begin_sums(struct show *show)
{
    table_begin(&show->table, false);
    return show_put(show, TEXT("\n"));
}

static enum status write_line(struct show *show, struct page *page, const struct line *line,
                              struct text row)
{
    (void)row;
    bool is_rounding = line_is_rounding(line);
    if (is_rounding || !page->account.at || !text_equal(page->account, line->account)) {
        TRY(end_section(show, page));
        page->section_lines = 0;
        page->section = (struct dec_sum){0};
        if (is_rounding) {
            if (page->sections > 0 || page->line_count == 0) { /* the first, behind all sections */
                TRY(begin_sums(show));
            }
            page->sections = 0;
            return sum_row(show, "rounding",
                           show_decimal(&show->scratch, line->amount, page->digits));
        }
        size_t size = line->account.size < sizeof page->account_bytes ? line->account.size
                                                                      : sizeof page->account_bytes;
        memcpy(page->account_bytes, line->account.at, size);
        page->account = (struct text){page->account_bytes, size};
        page->sections++;
        struct buffer out;
        buffer_init(&out, &show->scratch, 128);
        buffer_add_text(&out, TEXT("\naccount "));
        add_shown(&out, line->account);
        buffer_add_char(&out, '\n');
        TRY(show_put(show, buffer_text(&out)));
        table_begin(&show->table, true);
    }
    page->section_lines++;
    TRY(dec_sum_add(&page->section, line->amount, show->err));
    struct text cells[TABLE_COLUMNS_MAX];
    line_cells(show, page, line, cells);
    return table_row(&show->table, cells, show->err);
}

static int digits_after_point(struct text number)
{
    const char *point = memchr(number.at, '.', number.size);
    return point ? (int)(number.at + number.size - point) - 1 : 0;
}

static enum status write_title(struct show *show, const struct bill_head *head)
{
    struct arena *arena = &show->scratch;
    struct buffer out;
    buffer_init(&out, arena, 512);
    const char *bold = show->is_terminal ? "\033[1m" : "",
               *plain = show->is_terminal ? "\033[0m" : "";
    bool is_correction = text_equal(head->kind, TEXT("correction"));
    buffer_format(&out, "%s%s ", bold, is_correction ? "Correction" : "Bill");
    add_shown(&out, head->bill);
    buffer_format(&out, "%s\n", plain);
    struct text from = show_time(show, head->period.from), to = show_time(show, head->period.to);
    buffer_add_text(&out, TEXT("provider  "));
    add_shown(&out, head->provider);
    buffer_add_text(&out, TEXT("\npayer     "));
    add_shown(&out, head->payer);
    const struct {
        const char *name;
        struct text text;
    } parties[] = {
        {"seller    ", head->seller}, {"contract  ", head->contract}, {"source    ", head->source}};
    for (size_t i = 0; i < sizeof parties / sizeof *parties; i++) {
        if (parties[i].text.size > 0) {
            buffer_format(&out, "\n%s", parties[i].name);
            add_shown(&out, parties[i].text);
        }
    }
    buffer_format(&out, "\nperiod    %.*s to %.*s (end not included)\n", TEXT_ARG(from),
                  TEXT_ARG(to));
    buffer_format(&out, "currency  %.*s\n", TEXT_ARG(head->currency));
    if (is_correction) {
        buffer_add_text(&out, TEXT("kind      correction: each line is what is known now, less "
                                   "what was billed before\n"));
    }
    return show_put(show, buffer_text(&out));
}

/* The cells of one item of a list, as many as the table has columns; false: it is not shown. */
typedef bool list_cells(struct show *show, yyjson_val *item, struct text *cells);

enum { LIST_COLUMNS = 5 };

/* A table of a list of the bill: measured first, written then. */
static enum status write_list(struct show *show, yyjson_val *list, struct table *table,
                              list_cells *cells_of)
{
    struct text cells[LIST_COLUMNS];
    yyjson_val *item;
    size_t index, count;
    yyjson_arr_foreach(list, index, count, item)
    {
        if (cells_of(show, item, cells)) {
            table_measure(table, cells);
        }
    }
    table_hide_empty(table);
    table_begin(table, true);
    yyjson_arr_foreach(list, index, count, item)
    {
        if (cells_of(show, item, cells)) {
            TRY(table_row(table, cells, show->err));
        }
    }
    return table_end(table, show->err);
}

/* Events of another time are on another bill, and say nothing about this one. */
static bool is_of_other_bill(yyjson_val *item)
{
    struct text reason = json_text(item, "reason");
    return text_equal(reason, text_of(exclusion_name(EXCLUDE_OUT_OF_PERIOD)));
}

static bool list_exclusion(struct show *show, yyjson_val *item, struct text *cells)
{
    cells[0] = json_text(item, "reason");
    cells[1] = show_count(&show->scratch, yyjson_get_uint(yyjson_obj_get(item, "events")));
    cells[2] = json_text(item, "quantity");
    cells[3] = json_text(item, "meter");
    cells[4] = json_text(item, "account");
    return !is_of_other_bill(item);
}

static enum status write_exclusions(struct show *show, const struct bill_head *head)
{
    yyjson_val *list = yyjson_obj_get(head->proof, "exclusions"), *item;
    size_t index, count, shown = 0;
    yyjson_arr_foreach(list, index, count, item)
    {
        shown += !is_of_other_bill(item);
    }
    if (shown == 0) {
        return OK;
    }
    TRY(show_put(show, TEXT("\non no line\n")));
    struct table table;
    table_init(&table, &show->scratch, &show->sink, show->is_terminal);
    table_add_column(&table, "REASON", COLUMN_TEXT);
    table_add_column(&table, "EVENTS", COLUMN_RIGHT);
    table_add_column(&table, "QUANTITY", COLUMN_DECIMAL);
    table_add_column(&table, "METER", COLUMN_TEXT);
    table_add_column(&table, "ACCOUNT", COLUMN_TEXT);
    return write_list(show, list, &table, list_exclusion);
}

static bool list_pending(struct show *show, yyjson_val *item, struct text *cells)
{
    instant due = INSTANT_MIN;
    struct text kind = json_text(item, "kind"), step = json_text(item, "step");
    (void)time_read(json_text(item, "due"), &due);
    cells[0] = show_time(show, due);
    cells[1] = is_named(step)
                   ? text_format(&show->scratch, "%.*s %.*s", TEXT_ARG(kind), TEXT_ARG(step))
                   : kind;
    cells[2] = json_text(item, "sku");
    cells[3] = json_text(item, "account");
    cells[4] = json_text(item, "amount");
    return true;
}

/* What the turn would still charge, if it ended with the bill. */
static enum status write_pending(struct show *show, const struct bill_head *head)
{
    if (yyjson_arr_size(head->pending) == 0) {
        return OK;
    }
    TRY(show_put(show, TEXT("\npending: on no bill before it is due, if nothing more is used\n")));
    struct table table;
    table_init(&table, &show->scratch, &show->sink, show->is_terminal);
    table_add_column(&table, "DUE", COLUMN_TEXT);
    table_add_column(&table, "WHAT", COLUMN_TEXT);
    table_add_column(&table, "SKU", COLUMN_TEXT);
    table_add_column(&table, "ACCOUNT", COLUMN_TEXT);
    table_add_column(&table, "AMOUNT", COLUMN_DECIMAL);
    return write_list(show, head->pending, &table, list_pending);
}

static enum status write_proof(struct show *show, const struct bill_head *head)
{
    struct buffer out;
    buffer_init(&out, &show->scratch, 512);
    uint64_t rows = yyjson_get_uint(yyjson_obj_get(head->proof, "usage_rows"));
    uint64_t events = yyjson_get_uint(yyjson_obj_get(head->proof, "events"));
    buffer_format(&out, "\nproof: %llu usage row%s of %llu event%s, fingerprint %.12s\n",
                  (unsigned long long)rows, rows == 1 ? "" : "s", (unsigned long long)events,
                  events == 1 ? "" : "s", json_text(head->proof, "fingerprint").at);
    static const char *const NAMES[] = {"catalog", "accounts", "zones", "opening"};
    buffer_add_text(&out, TEXT("inputs:"));
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct text digest = json_text(head->inputs, NAMES[i]);
        if (digest.size > 0) {
            buffer_format(&out, " %s %.12s,", NAMES[i], digest.at);
        }
    }
    struct text rules = json_text(head->inputs, "rules");
    buffer_format(&out, " rules %.*s\n", TEXT_ARG(rules));
    return show_put(show, buffer_text(&out));
}

/* Lines and total are in two files: they must tell the same. */
static enum status check_page(struct show *show, const struct page *page)
{
    struct dec total, sum;
    if (dec_parse(page->head.total, &total) == NUMBER_OK &&
        dec_sum_read(&page->sum, &sum, NULL) == OK && dec_compare(total, sum) == 0 &&
        page->line_count == page->head.line_count) {
        return OK;
    }
    (void)fail(show->err, ERR_CORRUPT,
               "%s: the lines of lines.csv are not those of bill %.*s in bills.ndjson",
               show->folder.path, TEXT_ARG(page->head.bill));
    return fail_hint(show->err, "a file was changed or comes from another run: bill again");
}

static enum status write_settlement(struct show *show, const struct bill_head *head)
{
    yyjson_val *settlement = head->settlement;
    if (!settlement) {
        return OK;
    }
    struct text date = json_text(settlement, "rate_date");
    instant at;
    bool has_date = date.size > 0 && time_parse(date, &at) == TIME_OK;
    struct text of = has_date ? show_time(show, at) : TEXT("");
    return show_put(show, text_format(&show->scratch, "settled in %.*s: %.*s, at %.*s%s%.*s\n",
                                      TEXT_ARG(json_text(settlement, "currency")),
                                      TEXT_ARG(json_text(settlement, "total")),
                                      TEXT_ARG(json_text(settlement, "rate")),
                                      has_date ? " of " : "", TEXT_ARG(of)));
}

static enum status bill_table(struct show *show, struct page *page)
{
    struct table *table = &show->table;
    table_init(table, &show->scratch, &show->sink, show->is_terminal);
    table_add_column(table, "PRODUCT", COLUMN_TEXT);
    table_add_column(table, "SKU", COLUMN_TEXT);
    table_add_column(table, "DIMENSIONS", COLUMN_TEXT);
    table_add_column(table, "WHAT", COLUMN_TEXT);
    table_add_column(table, "QUANTITY", COLUMN_DECIMAL);
    table_add_column(table, "UNIT", COLUMN_TEXT);
    table_add_column(table, "RATE", COLUMN_DECIMAL);
    table_add_column(table, "AMOUNT", COLUMN_DECIMAL);
    table_add_column(table, "LINE", COLUMN_TEXT);
    table->columns[CELL_PRODUCT].is_spare = true;
    TRY(each_line(show, page, measure_line));
    TRY(check_page(show, page));
    struct text total = text_format(&show->scratch, "total %.*s", TEXT_ARG(page->head.currency));
    struct text cells[TABLE_COLUMNS_MAX];
    empty_cells(cells);
    cells[CELL_WHAT] = total;
    cells[CELL_AMOUNT] = page->head.total;
    table_measure(table, cells);
    table_hide_empty(table);
    TRY(write_title(show, &page->head));
    TRY(each_line(show, page, write_line));
    if (page->sections > 0) { /* there was no rounding line */
        TRY(end_section(show, page));
        TRY(begin_sums(show));
    }
    TRY(sum_row(show, total.at, page->head.total));
    TRY(table_end(table, show->err));
    TRY(write_settlement(show, &page->head));
    TRY(write_pending(show, &page->head));
    TRY(write_exclusions(show, &page->head));
    return write_proof(show, &page->head);
}

static bool is_number_column(struct text name)
{
    static const char *const NAMES[] = {"quantity", "rate",   "tier",         "amount",    "exact",
                                        "list",     "events", "price_amount", "conversion"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (text_equal(name, text_of(NAMES[i]))) {
            return true;
        }
    }
    return false;
}

/* The columns of lines.csv, whatever they are. */
enum { CSV_COLUMNS_MAX = 64 };

static int header_names(struct show *show, struct text *names)
{
    struct text header = {LINES_HEADER, strlen(LINES_HEADER) - 1};
    return split_csv(&show->scratch, header, names, CSV_COLUMNS_MAX);
}

static enum status write_csv_line(struct show *show, struct page *page, const struct line *line,
                                  struct text row)
{
    (void)page;
    (void)line;
    struct text names[CSV_COLUMNS_MAX], fields[CSV_COLUMNS_MAX];
    int count = header_names(show, names);
    (void)split_csv(&show->scratch, row, fields, count); /* parse_line has seen that it splits */
    struct buffer out;
    buffer_init(&out, &show->scratch, row.size + 64);
    for (int i = 0; i < count; i++) {
        if (is_number_column(names[i])) {
            buffer_add_text(&out, fields[i]);
        } else {
            add_csv_safe(&out, fields[i]);
        }
        buffer_add_char(&out, i + 1 < count ? ',' : '\n');
    }
    return show_put(show, buffer_text(&out));
}

static enum status write_json_line(struct show *show, struct page *page, const struct line *line,
                                   struct text row)
{
    (void)line;
    struct text names[CSV_COLUMNS_MAX], fields[CSV_COLUMNS_MAX];
    int count = header_names(show, names);
    (void)split_csv(&show->scratch, row, fields, count);
    struct buffer out;
    buffer_init(&out, &show->scratch, row.size * 2 + 512);
    buffer_add_text(&out, page->line_count > 0 ? TEXT(",\n{") : TEXT("\n{"));
    for (int i = 1; i < count; i++) { /* the bill's id stands at the head */
        bool is_count = text_equal(names[i], TEXT("tier")) || text_equal(names[i], TEXT("events"));
        if (fields[i].size == 0) {
            continue;
        }
        buffer_format(&out, "%s\"%.*s\":", i > 1 ? "," : "", TEXT_ARG(names[i]));
        if (is_count) {
            buffer_add_text(&out, fields[i]);
        } else {
            buffer_add_json(&out, fields[i]);
        }
    }
    buffer_add_char(&out, '}');
    return show_put(show, buffer_text(&out));
}

enum status show_bill(struct show *show)
{
    struct page page = {0};
    TRY(folder_check(&show->folder, show->run, "lines.csv", show->err));
    TRY(folder_find_head(&show->folder, show->found, &page.head, show->err));
    page.digits = digits_after_point(page.head.total);
    enum status status =
        folder_find_lines(&show->folder, show->found, &page.lines, &page.offset, show->err);
    if (status == ERR_NOT_FOUND) {
        return fail(show->err, ERR_CORRUPT, "%s: lines.csv has no lines of bill %.*s",
                    show->folder.path, TEXT_ARG(show->found));
    }
    TRY(status);
    switch (show->form) {
    case FARTHING_JSON:
        TRY(show_put(show, TEXT("{\"bill\":")));
        TRY(show_put(show, page.head.json));
        TRY(show_put(show, TEXT(",\n\"lines\":[")));
        TRY(each_line(show, &page, write_json_line));
        TRY(show_put(show, TEXT("]}\n")));
        return check_page(show, &page);
    case FARTHING_CSV_SAFE:
        TRY(show_put(show, text_of(LINES_HEADER)));
        TRY(each_line(show, &page, write_csv_line));
        return check_page(show, &page);
    case FARTHING_TABLE:
        break;
    }
    return bill_table(show, &page);
}
