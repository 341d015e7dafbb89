/* render_csv.c - lines, usage rows and exclusions as CSV (RFC 4180, newline ends a row). */
#include <assert.h>

#include "render/render.h"
#include "render/writer.h"

void add_csv_text(struct buffer *out, struct text text)
{
    struct pen pen = pen_begin(out, writer_text_max(text));
    pen_text(&pen, text);
    pen_end(&pen, out);
}

void add_decimal(struct buffer *out, struct dec value)
{
    char *at = buffer_reserve(out, DEC_FORMAT_MAX);
    out->size += (size_t)dec_format(value, at);
}

void add_time(struct buffer *out, instant at)
{
    char *to = buffer_reserve(out, TIME_FORMAT_MAX);
    out->size += (size_t)time_format_short(at, to);
}

void add_print(struct buffer *out, uint64_t print)
{
    char *at = buffer_reserve(out, 17);
    hash64_format(print, at);
    out->size += 16;
}

static void add_field(struct buffer *out, struct text text)
{
    add_csv_text(out, text);
    buffer_add_char(out, ',');
}

/* ---- lines ----------------------------------------------------------------------------------- */

enum line_column {
    COLUMN_BILL,
    COLUMN_LINE,
    COLUMN_ACCOUNT,
    COLUMN_PRODUCT,
    COLUMN_SKU,
    COLUMN_DIMENSIONS,
    COLUMN_RESOURCE,
    COLUMN_KIND,
    COLUMN_FROM,
    COLUMN_TO,
    COLUMN_QUANTITY,
    COLUMN_UNIT,
    COLUMN_RATE,
    COLUMN_TIER,
    COLUMN_AMOUNT,
    COLUMN_EXACT,
    COLUMN_LIST,
    COLUMN_CURRENCY,
    COLUMN_CONTRACT,
    COLUMN_LEVEL,
    COLUMN_PRICE,
    COLUMN_VERSION,
    COLUMN_STEP,
    COLUMN_GRANT,
    COLUMN_EVENTS,
    COLUMN_FINGERPRINT,
    COLUMN_PRICE_CURRENCY, /* of a line whose price is in another currency; these four are empty
                              else */
    COLUMN_PRICE_AMOUNT,
    COLUMN_CONVERSION,
    COLUMN_CONVERSION_DATE,
    COLUMN_EFFECTIVE, /* of a line that a commitment pays, or of one; else empty */
    LINE_COLUMNS
};

const char LINES_HEADER[] =
    "bill,line,account,product,sku,dimensions,resource,kind,from,to,quantity,unit,rate,tier,amount,"
    "exact,list,currency,contract,level,price,version,step,grant,events,fingerprint,price_currency,"
    "price_amount,conversion,conversion_date,effective\n";

static inline size_t line_size_max(const struct bill *bill, const struct line *line)
{
    size_t size = bill->id.size + line->account.size + line->product.size + line->sku.size +
                  line->dimensions.size + line->resource.size + line->kind.size + line->unit.size +
                  bill->currency.size + line->contract.size + line->level.size + line->price.size +
                  line->step.size + line->grant.size;
    return 2 * size + 1024; /* quotes; ids, times, decimals, commas */
}

/* The last columns, which few lines have; the first of them is begun. */
static struct pen write_last(struct writer *writer, struct pen pen, const struct line *line)
{
    const struct line_conversion *conversion = line->conversion;
    pen_char(&pen, ',');
    if (conversion) {
        pen_field(&pen, conversion->currency);
        pen_decimal(&pen, conversion->amount);
        pen_decimal(&pen, conversion->rate);
    } else {
        memcpy(pen.at, ",,,", 3);
        pen.at += 3;
    }
    if (conversion && conversion->at > INSTANT_MIN) {
        writer_time(writer, &pen, conversion->at);
    } else {
        pen_char(&pen, ',');
    }
    if (line->effective) {
        pen_decimal(&pen, *line->effective);
        pen.at[-1] = '\n';
    } else {
        pen_char(&pen, '\n');
    }
    return pen;
}

/* Parts of a row that the next row of the bill nearly always has, too: where they were written. */
struct part {
    size_t at, size;
};
struct row_before {
    const struct line *line;
    struct part account, time, level, step;
};

static inline bool is_same(struct text a, struct text b)
{
    return a.size == b.size && (a.at == b.at || a.size == 0);
}

static inline void pen_again(struct pen *pen, const struct buffer *out, struct part part)
{
    pen_copy(pen, out->at + part.at, part.size);
}

static inline struct part part_to(const struct pen *pen, const struct buffer *out, size_t from)
{
    return (struct part){from, (size_t)(pen->at - out->at) - from};
}

/* Dimensions, resource, kind and time. */
static inline void write_time(struct writer *writer, struct pen *pen, const struct buffer *out,
                              const struct line *line, struct row_before *before)
{
    if (before->line && is_same(line->kind, before->line->kind) &&
        is_same(line->dimensions, before->line->dimensions) &&
        is_same(line->resource, before->line->resource) && line->from == before->line->from &&
        line->to == before->line->to) {
        pen_again(pen, out, before->time);
        return;
    }
    const size_t from = (size_t)(pen->at - out->at);
    pen_field(pen, line->dimensions);
    pen_field(pen, line->resource);
    pen_field(pen, line->kind);
    writer_time(writer, pen, line->from);
    writer_time(writer, pen, line->to);
    before->time = part_to(pen, out, from);
}

/* Currency, contract and level. */
static inline void write_level(struct pen *pen, const struct buffer *out, const struct bill *bill,
                               const struct line *line, struct row_before *before)
{
    if (before->line && is_same(line->contract, before->line->contract) &&
        is_same(line->level, before->line->level)) {
        pen_again(pen, out, before->level);
        return;
    }
    const size_t from = (size_t)(pen->at - out->at);
    pen_field(pen, bill->currency);
    pen_field(pen, line->contract);
    pen_field(pen, line->level);
    before->level = part_to(pen, out, from);
}

/* Version, step and grant. */
static inline void write_step(struct writer *writer, struct pen *pen, const struct buffer *out,
                              const struct line *line, struct row_before *before)
{
    if (before->line && line->version == before->line->version &&
        is_same(line->step, before->line->step) && is_same(line->grant, before->line->grant)) {
        pen_again(pen, out, before->step);
        return;
    }
    const size_t from = (size_t)(pen->at - out->at);
    if (line->version > INSTANT_MIN) {
        writer_time(writer, pen, line->version);
    } else {
        pen_char(pen, ',');
    }
    pen_field(pen, line->step);
    pen_field(pen, line->grant);
    before->step = part_to(pen, out, from);
}

/* id: the bill's as it is written, with room behind it; empty when it is too long. */
static void write_line(struct writer *writer, struct buffer *out, const struct bill *bill,
                       struct text id, const struct line *line, struct row_before *before)
{
    struct pen pen = pen_begin(out, line_size_max(bill, line));
    if (id.size > 0) {
        pen_copy(&pen, id.at, id.size);
    } else {
        pen_field(&pen, bill->id);
    }
    pen_print(&pen, line->id.high);
    pen_print(&pen, line->id.low);
    pen_char(&pen, ',');
    if (before->line && is_same(line->account, before->line->account)) {
        pen_again(&pen, out, before->account);
    } else {
        const size_t from = (size_t)(pen.at - out->at);
        pen_field(&pen, line->account);
        before->account = part_to(&pen, out, from);
    }
    pen_field(&pen, line->product);
    pen_field(&pen, line->sku);
    write_time(writer, &pen, out, line, before);
    pen_decimal(&pen, line->quantity);
    pen_field(&pen, line->unit);
    if (line->has_rate) {
        pen_decimal(&pen, line->rate);
    } else {
        pen_char(&pen, ',');
    }
    if (line->tier > 0) {
        pen_u64(&pen, (uint64_t)line->tier);
    }
    pen_char(&pen, ',');
    const char *amount = pen.at;
    pen_decimal(&pen, line->amount);
    const char *exact = pen.at;
    pen_decimal_again(&pen, line->exact, amount, line->amount);
    pen_decimal_again(&pen, line->list, exact, line->exact);
    write_level(&pen, out, bill, line, before);
    pen_field(&pen, line->price);
    write_step(writer, &pen, out, line, before);
    bool is_negative = (int64_t)line->events < 0;
    if (is_negative) {
        pen_char(&pen, '-');
    }
    pen_u64(&pen, is_negative ? 0 - line->events : line->events);
    pen_char(&pen, ',');
    pen_print(&pen, line->print);
    if (line->conversion || line->effective) {
        pen = write_last(writer, pen, line);
    } else {
        memcpy(pen.at, ",,,,,\n", 6);
        pen.at += 6;
    }
    pen_end(&pen, out);
    before->line = line;
}

void render_lines_csv(struct writer *writer, struct buffer *out, const struct bill *bill,
                      uint32_t first, uint32_t count)
{
    enum { ID_BYTES = 256 };
    char room[ID_BYTES];
    struct text id = {room, 0};
    struct row_before before = {.line = NULL};
    if (writer_text_max(bill->id) + 1 + WRITER_LANE <= sizeof room) {
        struct pen pen = {room};
        pen_field(&pen, bill->id);
        id.size = (size_t)(pen.at - room);
    }
    for (uint32_t i = first; i < first + count; i++) {
        write_line(writer, out, bill, id, &bill->lines[i], &before);
    }
}

/* ---- reading a row --------------------------------------------------------------------------- */

static bool read_quoted(struct arena *arena, struct text row, size_t *at, struct text *field)
{
    char *out = arena_alloc(arena, row.size - *at + 1);
    size_t size = 0, i = *at + 1;
    for (;; i++) {
        if (i >= row.size) {
            return false;
        }
        if (row.at[i] == '"') {
            if (i + 1 < row.size && row.at[i + 1] == '"') {
                i++;
            } else {
                break;
            }
        }
        out[size++] = row.at[i];
    }
    *field = (struct text){out, size};
    *at = i + 1;
    return *at == row.size || row.at[*at] == ',';
}

int split_csv(struct arena *arena, struct text row, struct text *fields, int max)
{
    int count = 0;
    for (size_t at = 0;; at++) {
        if (count == max) {
            return max + 1;
        }
        if (at < row.size && row.at[at] == '"') {
            if (!read_quoted(arena, row, &at, &fields[count++])) {
                return -1;
            }
        } else {
            const char *end = at < row.size ? memchr(row.at + at, ',', row.size - at) : NULL;
            size_t size = end ? (size_t)(end - row.at) - at : row.size - at;
            fields[count++] = (struct text){row.at + at, size};
            at += size;
        }
        if (at >= row.size) {
            return count;
        }
    }
}

static bool read_hex64(struct text text, uint64_t *out)
{
    if (text.size != 16) {
        return false;
    }
    *out = 0;
    for (int i = 0; i < 16; i++) {
        char c = text.at[i];
        uint64_t digit = c >= '0' && c <= '9'   ? (uint64_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10)
                                                : 16;
        if (digit > 15) {
            return false;
        }
        *out = *out << 4 | digit;
    }
    return true;
}

static bool read_hex128(struct text text, struct hash128 *out)
{
    return text.size == 32 && read_hex64((struct text){text.at, 16}, &out->high) &&
           read_hex64((struct text){text.at + 16, 16}, &out->low);
}

static bool read_integer(struct text text, int64_t *out)
{
    struct dec value;
    if (text.size == 0) {
        *out = 0;
        return true;
    }
    if (dec_parse(text, &value) != NUMBER_OK || value.scale != 0 || value.mantissa > INT64_MAX ||
        value.mantissa < INT64_MIN) {
        return false;
    }
    *out = (int64_t)value.mantissa;
    return true;
}

static bool read_decimal(struct text text, struct dec *out)
{
    *out = DEC_ZERO;
    return text.size == 0 || dec_parse(text, out) == NUMBER_OK;
}

static bool read_time(struct text text, instant *out)
{
    *out = INSTANT_MIN;
    return text.size == 0 || time_read(text, out);
}

enum status parse_line(struct arena *arena, struct text row, struct line *line, struct text *bill,
                       struct error *err)
{
    struct text f[LINE_COLUMNS];
    if (split_csv(arena, row, f, LINE_COLUMNS) != LINE_COLUMNS) {
        return fail(err, ERR_INPUT, "CSV_ROW: a row of lines.csv has %d fields", LINE_COLUMNS);
    }
    int64_t tier, events;
    *bill = f[COLUMN_BILL];
    *line = (struct line){.account = f[COLUMN_ACCOUNT],
                          .product = f[COLUMN_PRODUCT],
                          .sku = f[COLUMN_SKU],
                          .dimensions = f[COLUMN_DIMENSIONS],
                          .resource = f[COLUMN_RESOURCE],
                          .kind = f[COLUMN_KIND],
                          .unit = f[COLUMN_UNIT],
                          .currency = f[COLUMN_CURRENCY],
                          .contract = f[COLUMN_CONTRACT],
                          .level = f[COLUMN_LEVEL],
                          .price = f[COLUMN_PRICE],
                          .step = f[COLUMN_STEP],
                          .grant = f[COLUMN_GRANT],
                          .has_rate = f[COLUMN_RATE].size > 0};
    if (!read_hex128(f[COLUMN_LINE], &line->id) ||
        !read_hex64(f[COLUMN_FINGERPRINT], &line->print) ||
        !read_time(f[COLUMN_FROM], &line->from) || !read_time(f[COLUMN_TO], &line->to) ||
        !read_time(f[COLUMN_VERSION], &line->version) ||
        !read_decimal(f[COLUMN_QUANTITY], &line->quantity) ||
        !read_decimal(f[COLUMN_RATE], &line->rate) ||
        !read_decimal(f[COLUMN_AMOUNT], &line->amount) ||
        !read_decimal(f[COLUMN_EXACT], &line->exact) ||
        !read_decimal(f[COLUMN_LIST], &line->list) || !read_integer(f[COLUMN_TIER], &tier) ||
        !read_integer(f[COLUMN_EVENTS], &events)) {
        return fail(err, ERR_INPUT, "CSV_ROW: a field of a row of lines.csv is damaged");
    }
    line->tier = (int32_t)tier;
    line->events = (uint64_t)events;
    if (f[COLUMN_EFFECTIVE].size > 0) {
        struct dec *effective = arena_alloc(arena, sizeof *effective);
        if (!read_decimal(f[COLUMN_EFFECTIVE], effective)) {
            return fail(err, ERR_INPUT, "CSV_ROW: a field of a row of lines.csv is damaged");
        }
        line->effective = effective;
    }
    if (f[COLUMN_PRICE_CURRENCY].size == 0) {
        return OK;
    }
    line->conversion = arena_alloc(arena, sizeof *line->conversion);
    line->conversion->currency = f[COLUMN_PRICE_CURRENCY];
    if (!read_decimal(f[COLUMN_PRICE_AMOUNT], &line->conversion->amount) ||
        !read_decimal(f[COLUMN_CONVERSION], &line->conversion->rate) ||
        !read_time(f[COLUMN_CONVERSION_DATE], &line->conversion->at)) {
        return fail(err, ERR_INPUT, "CSV_ROW: a field of a row of lines.csv is damaged");
    }
    return OK;
}

/* ---- usage rows and exclusions --------------------------------------------------------------- */

const char USAGE_HEADER[] = "payer,account,meter,sku,resource,dimensions,from,to,quantity,events,"
                            "sum,fingerprint,time,source,"
                            "id\n";

/* The dimensions as bill_dimensions has them; nearly always they hold nothing that must be encoded
 * or quoted. */
static bool is_plain(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c <= ' ' || c == ',' || c == '"' || c == ';' || c == '=' || c == '%' || c == 0x7F) {
            return false;
        }
    }
    return true;
}

static void write_dimensions(struct buffer *out, const struct catalog *catalog,
                             const struct series *series)
{
    const struct meter *meter = &catalog->meters[series->meter];
    size_t size = 64;
    bool plain = true;
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        struct text name = catalog->dimensions[meter->dimensions[i].name];
        plain = plain && is_plain(name) && is_plain(series->dimensions[i]);
        size += name.size + series->dimensions[i].size + 2;
    }
    if (!plain) {
        add_field(out, bill_dimensions(out->arena, catalog, series));
        return;
    }
    (void)buffer_reserve(out, size);
    bool is_first = true;
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        if (series->dimensions[i].size > 0) {
            buffer_add_text(out, is_first ? TEXT("") : TEXT(";"));
            buffer_add_text(out, catalog->dimensions[meter->dimensions[i].name]);
            buffer_add_char(out, '=');
            buffer_add_text(out, series->dimensions[i]);
            is_first = false;
        }
    }
    buffer_add_char(out, ',');
}

/* One more column at the end of a row, where there are views. */
static void write_contract(struct buffer *out, const struct pricing *pricing)
{
    out->at[out->size - 1] = ',';
    add_csv_text(out, bill_contract(pricing->catalog, pricing->accounts, pricing->payer));
    buffer_add_char(out, '\n');
}

/* Meter, SKU, resource and dimensions. */
static void write_series(struct buffer *out, const struct catalog *catalog,
                         const struct series *series)
{
    add_field(out, catalog->meters[series->meter].name);
    add_field(out, catalog->skus[series->sku].name);
    add_field(out, bill_encode(out->arena, series->resource));
    write_dimensions(out, catalog, series);
}

/* The form of a series; NULL: it is too long. */
static const struct series_form *find_form(struct writer *writer, struct buffer *out,
                                           const struct catalog *catalog,
                                           const struct series *series, uint32_t number)
{
    const uint32_t at = number & writer->series_mask;
    struct series_form *form = &writer->series[at];
    if (writer->has_series[at] && form->series == series) {
        return form;
    }
    const size_t from = out->size;
    write_series(out, catalog, series);
    const size_t size = out->size - from;
    out->size = from; /* it is written to where its row begins, and then kept */
    if (size > SERIES_FORM_BYTES) {
        return NULL;
    }
    writer->has_series[at] = true;
    form->series = series;
    form->size = size;
    memcpy(form->bytes, out->at + from, size);
    return form;
}

/* Of the row before: NULL, and where its payer and account are, and its time. */
struct usage_before {
    const struct usage_row *row;
    struct part account, time;
};

static void write_usage(struct writer *writer, struct buffer *out, const struct pricing *pricing,
                        struct text payer, const struct usage_row *row, struct usage_before *before)
{
    const struct catalog *catalog = pricing->catalog;
    const struct series *series = series_at(pricing->series, row->series);
    const struct series_form *form = find_form(writer, out, catalog, series, row->series);
    struct text account = pricing->accounts->items[row->account].id;
    const size_t size_max = 1024 + writer_text_max(payer) + writer_text_max(account);
    struct pen pen = pen_begin(out, size_max);
    if (before->row && row->account == before->row->account) {
        pen_again(&pen, out, before->account);
    } else {
        const size_t from = (size_t)(pen.at - out->at);
        pen_field(&pen, payer);
        pen_field(&pen, account);
        before->account = part_to(&pen, out, from);
    }
    if (form) {
        pen_copy(&pen, form->bytes, form->size);
    } else {
        pen_end(&pen, out);
        write_series(out, catalog, series);
        pen = pen_begin(out, size_max);
    }
    if (before->row && row->slot_s == before->row->slot_s && row->to == before->row->to) {
        pen_again(&pen, out, before->time);
    } else {
        const size_t from = (size_t)(pen.at - out->at);
        writer_time(writer, &pen, pricing->base + (instant)row->slot_s * NS_PER_SECOND);
        writer_time(writer, &pen, row->to);
        before->time = part_to(&pen, out, from);
    }
    before->row = row;
    const char *quantity = pen.at;
    pen_decimal(&pen, row->quantity);
    size_t quantity_size = (size_t)(pen.at - quantity);
    pen_u64(&pen, row->total.count);
    pen_char(&pen, ',');
    if (series->aggregate == AGGREGATE_SUM) {
        pen_copy(&pen, quantity, quantity_size); /* the sum of a sum */
    } else {
        pen.at += wide_format(&row->total.sum, pen.at);
        pen_char(&pen, ',');
    }
    pen_print(&pen, row->total.print);
    memcpy(pen.at, ",,,\n", 4);
    pen.at += row->event ? 1 : 4;
    if (row->event) {
        writer_time(writer, &pen, row->event->at);
        pen_end(&pen, out);
        pen = pen_begin(out,
                        16 + writer_text_max(row->event->source) + writer_text_max(row->event->id));
        pen_field(&pen, row->event->source);
        pen_field(&pen, row->event->id);
        pen.at[-1] = '\n';
    }
    pen_end(&pen, out);
    if (pricing->accounts->view_count > 0) {
        write_contract(out, pricing);
    }
}

void render_usage_csv(struct writer *writer, struct buffer *out, const struct pricing *pricing,
                      struct text payer, const struct usage_row *rows, uint32_t count)
{
    enum { ASK_AHEAD = 8 }; /* rows: their forms are asked for so early */
    struct usage_before before = {.row = NULL};
    for (uint32_t i = 0; i < count; i++) {
        if (i + ASK_AHEAD < count) {
            writer_ask(writer, rows[i + ASK_AHEAD].series);
        }
        write_usage(writer, out, pricing, payer, &rows[i], &before);
    }
}

enum usage_column {
    USAGE_PAYER,
    USAGE_ACCOUNT,
    USAGE_METER,
    USAGE_SKU,
    USAGE_RESOURCE,
    USAGE_DIMENSIONS,
    USAGE_FROM,
    USAGE_TO,
    USAGE_QUANTITY,
    USAGE_EVENTS,
    USAGE_SUM,
    USAGE_FINGERPRINT,
    USAGE_TIME,
    USAGE_SOURCE,
    USAGE_ID,
    USAGE_COLUMNS,
    USAGE_CONTRACT = USAGE_COLUMNS /* where there are views */
};

/* sum x 10, and a digit at the last place. */
static void add_digit(struct wide *sum, int digit)
{
    struct wide eight = *sum;
    for (int i = 0; i < 3; i++) {
        struct wide half = eight;
        wide_add(&eight, &half);
    }
    wide_add(&eight, sum);
    wide_add(&eight, sum);
    wide_add_i64(&eight, digit, DEC_SCALE);
    *sum = eight;
}

/* A sum may be wider than a decimal: digit by digit, at scale 18. */
static bool read_wide(struct text text, struct wide *sum)
{
    enum { DIGITS_MAX = 75 };
    *sum = (struct wide){{0}};
    bool is_negative = text.size > 0 && text.at[0] == '-', has_point = false;
    int digits = 0, fraction = 0;
    for (size_t at = is_negative; at < text.size; at++) {
        char c = text.at[at];
        if (c == '.' && !has_point && digits > 0) {
            has_point = true;
            continue;
        }
        fraction += has_point;
        if (c < '0' || c > '9' || fraction > DEC_SCALE ||
            ++digits > DIGITS_MAX - DEC_SCALE + fraction) {
            return false;
        }
        add_digit(sum, c - '0');
    }
    if (digits == 0 || (has_point && fraction == 0)) {
        return false;
    }
    for (; fraction < DEC_SCALE; fraction++) {
        add_digit(sum, 0);
    }
    if (is_negative) {
        struct wide zero = {{0}};
        wide_subtract(&zero, sum);
        *sum = zero;
    }
    return true;
}

enum status parse_usage(struct arena *arena, struct text row, bool has_views,
                        struct usage_text *usage, struct error *err)
{
    struct text f[USAGE_COLUMNS + 1];
    if (split_csv(arena, row, f, USAGE_COLUMNS + 1) != USAGE_COLUMNS + has_views) {
        return fail(err, ERR_INPUT, "CSV_ROW: a row of usage.csv has %d fields", USAGE_COLUMNS);
    }
    int64_t events;
    *usage = (struct usage_text){.payer = f[USAGE_PAYER],
                                 .account = f[USAGE_ACCOUNT],
                                 .meter = f[USAGE_METER],
                                 .sku = f[USAGE_SKU],
                                 .resource = f[USAGE_RESOURCE],
                                 .dimensions = f[USAGE_DIMENSIONS],
                                 .contract = has_views ? f[USAGE_CONTRACT] : TEXT("")};
    if (f[USAGE_QUANTITY].size == 0 || f[USAGE_EVENTS].size == 0 ||
        !read_time(f[USAGE_FROM], &usage->slot.from) || !read_time(f[USAGE_TO], &usage->slot.to) ||
        !read_decimal(f[USAGE_QUANTITY], &usage->quantity) ||
        !read_integer(f[USAGE_EVENTS], &events) || events < 0 ||
        !read_wide(f[USAGE_SUM], &usage->total.sum) ||
        !read_hex64(f[USAGE_FINGERPRINT], &usage->total.print)) {
        return fail(err, ERR_INPUT, "CSV_ROW: a field of a row of usage.csv is damaged");
    }
    usage->total.count = (uint64_t)events;
    usage->is_event = f[USAGE_ID].size > 0;
    usage->event = (struct event_name){.source = f[USAGE_SOURCE], .id = f[USAGE_ID]};
    if (usage->is_event && !read_time(f[USAGE_TIME], &usage->event.at)) {
        return fail(err, ERR_INPUT, "CSV_ROW: the time of an event in usage.csv is damaged");
    }
    return OK;
}

/* "name=value;name=value" to the values of the meter's dimensions, in its order. */
static bool read_dimensions(struct arena *arena, const struct catalog *catalog,
                            const struct meter *meter, struct text text, struct text *values)
{
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        values[i] = TEXT("");
    }
    while (text.size > 0) {
        const char *end = memchr(text.at, ';', text.size);
        size_t size = end ? (size_t)(end - text.at) : text.size;
        const char *equals = memchr(text.at, '=', size);
        if (!equals) {
            return false;
        }
        struct text name = {text.at, (size_t)(equals - text.at)};
        struct text value = {equals + 1, size - name.size - 1};
        if (!text_decode(name, arena_alloc(arena, name.size + 1), &name)) {
            return false;
        }
        uint32_t found = 0;
        while (found < meter->dimension_count &&
               !text_equal(catalog->dimensions[meter->dimensions[found].name], name)) {
            found++;
        }
        if (found == meter->dimension_count ||
            !text_decode(value, arena_alloc(arena, value.size), &values[found])) {
            return false;
        }
        size += end != NULL;
        text = (struct text){text.at + size, text.size - size};
    }
    return true;
}

enum status usage_row_make(struct arena *arena, const struct usage_text *usage,
                           const struct catalog *catalog, const struct accounts *accounts,
                           instant base, struct series_table *series, struct usage_row *row,
                           struct error *err)
{
    uint32_t contract = usage->contract.size > 0
                            ? map_find(&catalog->contract_by_id, usage->contract)
                            : (uint32_t)MAP_NONE;
    uint32_t view = contract == MAP_NONE ? NONE : catalog->contracts[contract].view;
    uint32_t account = accounts_find(accounts, view, usage->account);
    uint32_t sku = map_find(&catalog->sku_by_name, usage->sku);
    uint32_t meter = 0;
    while (meter < catalog->meter_count && !text_equal(catalog->meters[meter].name, usage->meter)) {
        meter++;
    }
    struct text values[DIMENSIONS_MAX], resource;
    if (!text_decode(usage->resource, arena_alloc(arena, usage->resource.size + 1), &resource) ||
        account == MAP_NONE || sku == MAP_NONE || meter == catalog->meter_count ||
        !read_dimensions(arena, catalog, &catalog->meters[meter], usage->dimensions, values)) {
        return fail(err, ERR_NOT_FOUND,
                    "usage row of account %.*s, meter %.*s, SKU %.*s: catalog or accounts lack one "
                    "of them, or a dimension",
                    TEXT_ARG(usage->account), TEXT_ARG(usage->meter), TEXT_ARG(usage->sku));
    }
    uint32_t count = catalog->meters[meter].dimension_count;
    uint64_t hash = series_hash(meter, sku, resource, values, count);
    uint32_t found = series_find(series, hash, meter, sku, resource, values, count);
    if (found == NONE) {
        found = series_add(series, hash, meter, sku, resource, values, count);
    }
    struct event_name *event = NULL;
    if (usage->is_event) {
        event = arena_alloc(series->arena, sizeof *event);
        *event = (struct event_name){usage->event.at, text_copy(series->arena, usage->event.source),
                                     text_copy(series->arena, usage->event.id)};
    }
    *row = (struct usage_row){.account = account,
                              .event = event,
                              .series = found,
                              .slot_s = (uint32_t)((usage->slot.from - base) / NS_PER_SECOND),
                              .value = NONE,
                              .to = usage->slot.to,
                              .quantity = usage->quantity,
                              .total = usage->total};
    return OK;
}

const char EXCLUSIONS_HEADER[] = "payer,account,reason,meter,events,quantity,fingerprint\n";

void render_exclusions_csv(struct buffer *out, const struct catalog *catalog,
                           const struct accounts *accounts, struct text payer, struct text contract,
                           const struct excluded *excluded, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct excluded *item = &excluded[i];
        add_field(out, payer);
        add_field(out, item->account == NONE ? TEXT("") : accounts->items[item->account].id);
        add_field(out, text_of(exclusion_name(item->reason)));
        add_field(out, item->meter == NONE ? TEXT("") : catalog->meters[item->meter].name);
        buffer_add_u64(out, item->total.count);
        buffer_add_char(out, ',');
        char *sum = buffer_reserve(out, 96);
        out->size += (size_t)wide_format(&item->total.sum, sum);
        buffer_add_char(out, ',');
        add_print(out, item->total.print);
        if (accounts->view_count > 0) {
            buffer_add_char(out, ',');
            add_csv_text(out, contract);
        }
        buffer_add_char(out, '\n');
    }
}
