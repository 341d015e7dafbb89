/* show.c - bills of an output folder, as a person reads them.
 *
 * Every table goes over its rows twice: once to measure the columns (and to see that lines and bill
 * agree), once to write; so a folder of any size is shown in the memory of a few hundred rows.
 */
#include <stdio.h>

#include "engine/folder.h"
#include "engine/handle.h"
#include "render/table.h"

enum { NEAREST = 3, NAME_MAX_BYTES = 1024 };

/* A payer whose id is near to what was asked for. */
struct nearest {
    char payer[ATTRIBUTE_MAX_BYTES + 1];
    size_t distance;
};

struct show {
    struct farthing *farthing;
    struct folder folder;
    struct table table;
    struct sink_text sink;
    const char *name;
    enum farthing_form form;
    bool is_terminal;
    struct arena scratch; /* rewound for each row */
    struct error *err;
    /* what looking for the name has found */
    struct text found; /* the bill's id; empty: none or several */
    uint64_t bill_count;
    struct nearest nearest[NEAREST];
    int nearest_count;
};

static struct text time_text(struct arena *arena, instant at)
{
    char *out = arena_alloc(arena, TIME_FORMAT_MAX);
    return (struct text){out, (size_t)time_format_short(at, out)};
}

static struct text count_text(struct arena *arena, uint64_t count)
{
    return text_format(arena, "%llu", (unsigned long long)count);
}

static struct text decimal_text(struct arena *arena, struct dec value, int digits)
{
    char *out = arena_alloc(arena, DEC_FORMAT_MAX);
    return (struct text){out, (size_t)dec_format_digits(value, digits, out)};
}

static enum status put(struct show *show, struct text text)
{
    return sink_write(&show->sink, text, show->err);
}

/* ---- all bills
 * ----------------------------------------------------------------------------------- */

enum {
    LIST_PAYER,
    LIST_FROM,
    LIST_TO,
    LIST_KIND,
    LIST_TOTAL,
    LIST_CURRENCY,
    LIST_LINES,
    LIST_BILL
};

static void list_cells(struct arena *arena, const struct bill_head *head, bool with_kind,
                       struct text *cells)
{
    cells[LIST_PAYER] = head->payer;
    cells[LIST_FROM] = time_text(arena, head->period.from);
    cells[LIST_TO] = time_text(arena, head->period.to);
    cells[LIST_KIND] = with_kind || !text_equal(head->kind, TEXT("bill")) ? head->kind : TEXT("");
    cells[LIST_TOTAL] = head->total;
    cells[LIST_CURRENCY] = head->currency;
    cells[LIST_LINES] = count_text(arena, head->line_count);
    cells[LIST_BILL] = head->bill;
}

static bool is_wanted(const struct show *show, const struct bill_head *head)
{
    return !show->name || text_equal(head->payer, text_of(show->name));
}

/* What follows the table or the array. */
struct list_end {
    uint64_t count;
    struct dec total;
    char currency[8];
};

static enum status add_to_end(struct list_end *end, const struct bill_head *head, struct error *err)
{
    struct dec total;
    if (dec_parse(head->total, &total) != NUMBER_OK) {
        return fail(err, ERR_CORRUPT, "bills.ndjson: a total is no number");
    }
    end->count++;
    (void)snprintf(end->currency, sizeof end->currency, "%.*s", TEXT_ARG(head->currency));
    return dec_add(end->total, total, &end->total, err);
}

typedef enum status take_head(struct show *show, const struct bill_head *head, void *context);

/* Each bill of the folder that is wanted. */
static enum status each_head(struct show *show, take_head *take, void *context)
{
    struct reader *bills;
    TRY(folder_read(&show->folder, "bills.ndjson", NULL, &bills, show->err));
    struct arena_mark mark = arena_mark(&show->scratch);
    for (struct text row;;) {
        TRY(reader_next(bills, &row, NULL, show->err));
        if (!row.at) {
            break;
        }
        struct bill_head head;
        TRY(head_parse(&show->scratch, row, &head, show->err));
        TRY(take(show, &head, context));
        arena_rewind(&show->scratch, mark);
    }
    reader_close(bills);
    return OK;
}

static enum status measure_head(struct show *show, const struct bill_head *head, void *context)
{
    if (!is_wanted(show, head)) {
        return OK;
    }
    struct text cells[TABLE_COLUMNS_MAX];
    list_cells(&show->scratch, head, false, cells);
    table_measure(&show->table, cells);
    return add_to_end(context, head, show->err);
}

static enum status write_head_row(struct show *show, const struct bill_head *head, void *context)
{
    (void)context;
    struct text cells[TABLE_COLUMNS_MAX];
    list_cells(&show->scratch, head, false, cells);
    return is_wanted(show, head) ? table_row(&show->table, cells, show->err) : OK;
}

static enum status list_table(struct show *show)
{
    struct table *table = &show->table;
    table_init(table, &show->scratch, &show->sink, show->is_terminal);
    table_add_column(table, "PAYER", COLUMN_TEXT);
    table_add_column(table, "FROM", COLUMN_TEXT);
    table_add_column(table, "TO", COLUMN_TEXT);
    table_add_column(table, "KIND", COLUMN_TEXT);
    table_add_column(table, "TOTAL", COLUMN_DECIMAL);
    table_add_column(table, "CURRENCY", COLUMN_TEXT);
    table_add_column(table, "LINES", COLUMN_RIGHT);
    table_add_column(table, "BILL", COLUMN_TEXT);
    struct list_end end = {0};
    TRY(each_head(show, measure_head, &end));
    if (end.count == 0) {
        return put(show, TEXT("no bills\n"));
    }
    table_hide_empty(table);
    table->columns[LIST_BILL].is_hidden = show->name == NULL;
    table_begin(table, true);
    TRY(each_head(show, write_head_row, NULL));
    TRY(table_end(table, show->err));
    struct arena *arena = &show->scratch;
    struct text total = decimal_text(arena, end.total, 2);
    return put(show, text_format(arena, "%llu bill%s, %.*s %s\n", (unsigned long long)end.count,
                                 end.count == 1 ? "" : "s", TEXT_ARG(total), end.currency));
}

static void add_member(struct buffer *out, const char *key, struct text value)
{
    buffer_format(out, "%s\"%s\":", out->at[out->size - 1] == '{' ? "" : ",", key);
    buffer_add_json(out, value);
}

static enum status write_head_json(struct show *show, const struct bill_head *head, void *context)
{
    if (!is_wanted(show, head)) {
        return OK;
    }
    struct list_end *end = context;
    struct text cells[TABLE_COLUMNS_MAX];
    list_cells(&show->scratch, head, true, cells);
    struct buffer out;
    buffer_init(&out, &show->scratch, 512);
    buffer_add_text(&out, end->count > 0 ? TEXT(",\n{") : TEXT("\n{"));
    add_member(&out, "bill", head->bill);
    add_member(&out, "kind", head->kind);
    add_member(&out, "payer", head->payer);
    add_member(&out, "from", cells[LIST_FROM]);
    add_member(&out, "to", cells[LIST_TO]);
    add_member(&out, "currency", head->currency);
    add_member(&out, "total", head->total);
    buffer_format(&out, ",\"lines\":%llu}", (unsigned long long)head->line_count);
    TRY(add_to_end(end, head, show->err));
    return put(show, buffer_text(&out));
}

static enum status list_json(struct show *show)
{
    struct list_end end = {0};
    TRY(put(show, TEXT("{\"bills\":[")));
    TRY(each_head(show, write_head_json, &end));
    struct text total = decimal_text(&show->scratch, end.total, 2);
    return put(show, text_format(&show->scratch, "],\"count\":%llu,\"total\":\"%.*s\"}\n",
                                 (unsigned long long)end.count, TEXT_ARG(total)));
}

static enum status write_head_csv(struct show *show, const struct bill_head *head, void *context)
{
    (void)context;
    if (!is_wanted(show, head)) {
        return OK;
    }
    struct text cells[TABLE_COLUMNS_MAX];
    list_cells(&show->scratch, head, true, cells);
    struct buffer out;
    buffer_init(&out, &show->scratch, 512);
    const struct text texts[] = {head->bill, cells[LIST_KIND], head->payer};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        add_csv_safe(&out, texts[i]);
        buffer_add_char(&out, ',');
    }
    buffer_format(&out, "%.*s,%.*s,%.*s,%.*s,%.*s\n", TEXT_ARG(cells[LIST_FROM]),
                  TEXT_ARG(cells[LIST_TO]), TEXT_ARG(head->currency), TEXT_ARG(head->total),
                  TEXT_ARG(cells[LIST_LINES]));
    return put(show, buffer_text(&out));
}

static enum status list_bills(struct show *show)
{
    switch (show->form) {
    case FARTHING_JSON:
        return list_json(show);
    case FARTHING_CSV_SAFE:
        TRY(put(show, TEXT("bill,kind,payer,from,to,currency,total,lines\n")));
        return each_head(show, write_head_csv, NULL);
    case FARTHING_TABLE:
        break;
    }
    return list_table(show);
}

/* ---- which bill
 * ---------------------------------------------------------------------------------- */

/* Insertions, deletions and changes that make one of the other; at most most, which stands for
 * more. */
static size_t edit_distance(struct text a, struct text b, size_t most)
{
    size_t row[ATTRIBUTE_MAX_BYTES + 2];
    if (a.size > ATTRIBUTE_MAX_BYTES || b.size > ATTRIBUTE_MAX_BYTES ||
        (a.size > b.size ? a.size - b.size : b.size - a.size) >= most) {
        return most;
    }
    for (size_t j = 0; j <= b.size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t corner = row[0], least = row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t change = corner + (a.at[i - 1] != b.at[j - 1]);
            size_t one = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = change < one ? change : one;
            least = row[j] < least ? row[j] : least;
        }
        if (least >= most) {
            return most;
        }
    }
    return row[b.size] < most ? row[b.size] : most;
}

static void keep_nearest(struct show *show, struct text payer)
{
    size_t most =
        show->nearest_count < NEAREST ? NAME_MAX_BYTES : show->nearest[NEAREST - 1].distance;
    size_t distance = edit_distance(text_of(show->name), payer, most);
    if (distance >= most) {
        return;
    }
    int at = show->nearest_count < NEAREST ? show->nearest_count++ : NEAREST - 1;
    for (; at > 0 && show->nearest[at - 1].distance > distance; at--) {
        show->nearest[at] = show->nearest[at - 1];
    }
    show->nearest[at].distance = distance;
    memcpy(show->nearest[at].payer, payer.at, payer.size);
    show->nearest[at].payer[payer.size] = '\0';
}

static enum status match_head(struct show *show, const struct bill_head *head, void *context)
{
    (void)context;
    struct text name = text_of(show->name);
    if (text_equal(head->bill, name)) {
        show->found = text_copy(show->folder.arena, head->bill);
        return OK;
    }
    if (text_equal(head->payer, name)) {
        if (show->bill_count++ == 0 && show->found.size == 0) {
            show->found = text_copy(show->folder.arena, head->bill);
        }
        return OK;
    }
    if (head->payer.size <= ATTRIBUTE_MAX_BYTES &&
        (show->nearest_count == 0 ||
         strncmp(show->nearest[0].payer, head->payer.at, head->payer.size) != 0 ||
         show->nearest[0].payer[head->payer.size] != '\0')) {
        keep_nearest(show, head->payer);
    }
    return OK;
}

static enum status fail_unknown(struct show *show)
{
    struct buffer out;
    buffer_init(&out, &show->scratch, 256);
    for (int i = 0; i < show->nearest_count; i++) {
        buffer_add_text(&out, i > 0 ? TEXT(", ") : TEXT(""));
        add_shown(&out, text_of(show->nearest[i].payer));
    }
    (void)fail(show->err, ERR_NOT_FOUND, "%s: no bill and no payer '%s'", show->folder.path,
               show->name);
    if (show->nearest_count == 0) {
        return fail_hint(show->err, "the folder has no bills");
    }
    return fail_hint(show->err, "the nearest payer%s: %.*s", show->nearest_count > 1 ? "s" : "",
                     (int)out.size, out.at);
}

/* ---- one bill
 * ------------------------------------------------------------------------------------ */

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
    struct dec section, sum;
    uint64_t sections;
};

static void add_word(struct buffer *out, const char *format, struct text text)
{
    if (out->size > 0) {
        buffer_add_text(out, TEXT(", "));
    }
    buffer_format(out, format, (int)text.size, text.at);
}

/* What a line is, in words: what is as usual is left out. */
static struct text what_of(struct arena *arena, const struct page *page, const struct line *line)
{
    struct buffer out;
    buffer_init(&out, arena, 128);
    if (!text_equal(line->kind, TEXT("usage"))) {
        buffer_add_text(&out, line->kind);
    }
    if (!text_equal(line->price, line->sku) && line->price.size > 0) {
        add_word(&out, "%.*s", line->price);
    }
    if (line->tier > 0) {
        add_word(&out, "tier %.*s", text_format(arena, "%d", line->tier));
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
        struct text from = time_text(arena, line->from), to = time_text(arena, line->to);
        add_word(&out, "%.*s", text_format(arena, "%.*s to %.*s", TEXT_ARG(from), TEXT_ARG(to)));
    }
    if (out.size == 0) {
        buffer_add_text(&out, line->step);
    }
    return buffer_text(&out);
}

static void line_cells(struct arena *arena, const struct page *page, const struct line *line,
                       struct text *cells)
{
    char *id = arena_alloc(arena, 33);
    hash128_format(line->id, id);
    cells[CELL_PRODUCT] = line->product;
    cells[CELL_SKU] = line->sku;
    cells[CELL_DIMENSIONS] = line->dimensions;
    cells[CELL_WHAT] = what_of(arena, page, line);
    bool has_quantity = line->has_rate || !dec_is_zero(line->quantity);
    cells[CELL_QUANTITY] = has_quantity ? decimal_text(arena, line->quantity, 0) : TEXT("");
    cells[CELL_UNIT] = line->unit;
    cells[CELL_RATE] = line->has_rate ? decimal_text(arena, line->rate, 0) : TEXT("");
    cells[CELL_AMOUNT] = decimal_text(arena, line->amount, page->digits);
    cells[CELL_LINE] = (struct text){id, 8};
}

static bool is_total_rounding(const struct line *line)
{
    return line->price.size == 0 && text_equal(line->kind, TEXT("rounding"));
}

typedef enum status take_line(struct show *show, struct page *page, const struct line *line,
                              struct text row);

/* Each line of the bill; they are adjacent. */
static enum status each_line(struct show *show, struct page *page, take_line *take)
{
    struct arena_mark mark = arena_mark(&show->scratch);
    page->line_count = page->sections = page->section_lines = 0;
    page->sum = DEC_ZERO;
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
        TRY(dec_add(page->sum, line.amount, &page->sum, show->err));
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
    line_cells(&show->scratch, page, line, cells);
    if (is_total_rounding(line)) {
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
        TRY(sum_row(show, "subtotal", decimal_text(&show->scratch, page->section, page->digits)));
    }
    return table_end(&show->table, show->err);
}

static enum status write_line(struct show *show, struct page *page, const struct line *line,
                              struct text row)
{
    (void)row;
    bool is_rounding = is_total_rounding(line);
    if (is_rounding || !page->account.at || !text_equal(page->account, line->account)) {
        TRY(end_section(show, page));
        page->section_lines = 0;
        page->section = DEC_ZERO;
        if (is_rounding) {
            page->sections = 0; /* the last one is done */
            table_begin(&show->table, false);
            TRY(put(show, TEXT("\n")));
            return sum_row(show, "rounding",
                           decimal_text(&show->scratch, line->amount, page->digits));
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
        TRY(put(show, buffer_text(&out)));
        table_begin(&show->table, true);
    }
    page->section_lines++;
    TRY(dec_add(page->section, line->amount, &page->section, show->err));
    struct text cells[TABLE_COLUMNS_MAX];
    line_cells(&show->scratch, page, line, cells);
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
    struct text from = time_text(arena, head->period.from), to = time_text(arena, head->period.to);
    buffer_add_text(&out, TEXT("provider  "));
    add_shown(&out, head->provider);
    buffer_add_text(&out, TEXT("\npayer     "));
    add_shown(&out, head->payer);
    buffer_format(&out, "\nperiod    %.*s to %.*s (its start included, its end not)\n",
                  TEXT_ARG(from), TEXT_ARG(to));
    buffer_format(&out, "currency  %.*s\n", TEXT_ARG(head->currency));
    if (is_correction) {
        buffer_add_text(&out, TEXT("kind      correction: each line is what is known now, less "
                                   "what was billed before\n"));
    }
    return put(show, buffer_text(&out));
}

static enum status write_exclusions(struct show *show, const struct bill_head *head)
{
    yyjson_val *list = yyjson_obj_get(head->proof, "exclusions"), *item;
    if (yyjson_arr_size(list) == 0) {
        return OK;
    }
    TRY(put(show, TEXT("\non no line\n")));
    struct table table;
    table_init(&table, &show->scratch, &show->sink, show->is_terminal);
    table_add_column(&table, "REASON", COLUMN_TEXT);
    table_add_column(&table, "EVENTS", COLUMN_RIGHT);
    table_add_column(&table, "QUANTITY", COLUMN_DECIMAL);
    table_add_column(&table, "METER", COLUMN_TEXT);
    table_add_column(&table, "ACCOUNT", COLUMN_TEXT);
    for (int pass = 0; pass < 2; pass++) {
        size_t index, count;
        yyjson_arr_foreach(list, index, count, item)
        {
            const struct text cells[] = {
                json_text(item, "reason"),
                count_text(&show->scratch, yyjson_get_uint(yyjson_obj_get(item, "events"))),
                json_text(item, "quantity"), json_text(item, "meter"), json_text(item, "account")};
            if (pass == 0) {
                table_measure(&table, cells);
            } else {
                enum status status = table_row(&table, cells, show->err);
                if (status != OK) {
                    return status;
                }
            }
        }
        if (pass == 0) {
            table_hide_empty(&table);
            table_begin(&table, true);
        }
    }
    return table_end(&table, show->err);
}

static enum status write_proof(struct show *show, const struct bill_head *head)
{
    struct buffer out;
    buffer_init(&out, &show->scratch, 512);
    buffer_format(&out, "\nproof: %llu usage rows of %llu events, fingerprint %.12s\n",
                  (unsigned long long)yyjson_get_uint(yyjson_obj_get(head->proof, "usage_rows")),
                  (unsigned long long)yyjson_get_uint(yyjson_obj_get(head->proof, "events")),
                  json_text(head->proof, "fingerprint").at);
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
    return put(show, buffer_text(&out));
}

/* Lines and total are in two files: they must tell the same. */
static enum status check_page(struct show *show, const struct page *page)
{
    struct dec total;
    if (dec_parse(page->head.total, &total) == NUMBER_OK && dec_compare(total, page->sum) == 0 &&
        page->line_count == page->head.line_count) {
        return OK;
    }
    (void)fail(show->err, ERR_CORRUPT,
               "%s: the lines of lines.csv are not those of bill %.*s in bills.ndjson",
               show->folder.path, TEXT_ARG(page->head.bill));
    return fail_hint(show->err, "a file was changed or comes from another run: bill again");
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
        table_begin(table, false);
        TRY(put(show, TEXT("\n")));
    }
    TRY(sum_row(show, total.at, page->head.total));
    TRY(table_end(table, show->err));
    TRY(write_exclusions(show, &page->head));
    return write_proof(show, &page->head);
}

static bool is_number_column(struct text name)
{
    static const char *const NAMES[] = {"quantity", "rate", "tier",  "amount",
                                        "exact",    "list", "events"};
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
    return put(show, buffer_text(&out));
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
    return put(show, buffer_text(&out));
}

static enum status show_bill(struct show *show)
{
    struct page page = {0};
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
        TRY(put(show, TEXT("{\"bill\":")));
        TRY(put(show, page.head.json));
        TRY(put(show, TEXT(",\n\"lines\":[")));
        TRY(each_line(show, &page, write_json_line));
        TRY(put(show, TEXT("]}\n")));
        return check_page(show, &page);
    case FARTHING_CSV_SAFE:
        TRY(put(show, text_of(LINES_HEADER)));
        TRY(each_line(show, &page, write_csv_line));
        return check_page(show, &page);
    case FARTHING_TABLE:
        break;
    }
    return bill_table(show, &page);
}

/* ---- the call
 * ------------------------------------------------------------------------------------ */

static enum status show_all(struct show *show, const char *out)
{
    TRY(folder_open(show->farthing->env, &show->farthing->arena, out, &show->folder, show->err));
    if (!show->name) {
        return list_bills(show);
    }
    TRY(each_head(show, match_head, NULL));
    bool is_id = show->found.size > 0 && text_equal(show->found, text_of(show->name));
    if (show->bill_count > 1 && !is_id) {
        TRY(list_bills(show));
        struct buffer name;
        buffer_init(&name, &show->scratch, 64);
        add_shown(&name, text_of(show->name));
        (void)fail(show->err, ERR_INPUT, "%.*s has %llu bills", (int)name.size, name.at,
                   (unsigned long long)show->bill_count);
        return fail_hint(show->err, "give the id of one, such as %.*s", TEXT_ARG(show->found));
    }
    return show->found.size > 0 ? show_bill(show) : fail_unknown(show);
}

/* The one recovery point: what it needs after running out is behind a pointer. */
static enum status show_guarded(struct show *show, const char *out)
{
    jmp_buf recover;
    if (ARENA_RECOVER(&show->farthing->arena, recover)) {
        (void)fail(show->err, ERR_LIMIT, "the memory limit is reached");
        return fail_hint(show->err, "allow more with --memory");
    }
    show->scratch.recover = &recover;
    return show_all(show, out);
}

enum farthing_status farthing_show(struct farthing *farthing, const char *out, const char *name,
                                   enum farthing_form form, int is_terminal, farthing_write *write,
                                   void *context)
{
    handle_clear(farthing);
    if (!out) {
        (void)fail(&farthing->err, ERR_INPUT, "no output folder given");
        return FARTHING_USAGE;
    }
    struct show show = {.farthing = farthing,
                        .sink = {write, context},
                        .name = name,
                        .form = form,
                        .is_terminal = is_terminal != 0 && form == FARTHING_TABLE,
                        .found = TEXT(""),
                        .err = &farthing->err};
    arena_init(&show.scratch, &farthing->env->memory, 0);
    enum status status = show_guarded(&show, out);
    table_drop(&show.table);
    folder_close(&show.folder);
    arena_release(&show.scratch);
    farthing->arena.recover = NULL;
    return handle_status(farthing, status);
}
