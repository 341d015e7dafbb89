/* show.c - bills of an output folder, as a person reads them: all of them, or which one.
 *
 * Every table goes over its rows twice: once to measure the columns (and to see that lines and bill
 * agree), once to write; so a folder of any size is shown in the memory of a few hundred rows.
 */
#include "inspect/show.h"

#include <stdio.h>

#include "engine/load.h"
#include "engine/run.h"

struct text show_time(struct show *show, instant at)
{
    char *out = arena_alloc(&show->scratch, TIME_FORMAT_MAX);
    const int32_t offset_s = zone_offset_seconds(show->zone, at), offset_min = offset_s / 60;
    /* As if it were UTC: midnight is a day, and another time says how far from UTC it is. */
    const struct text local = {out, (size_t)time_format_short(at + offset_s * NS_PER_SECOND, out)};
    if (!show->zone || local.at[local.size - 1] != 'Z') {
        return local;
    }
    const int32_t east = offset_min < 0 ? -offset_min : offset_min;
    return text_format(&show->scratch, "%.*s%c%02d:%02d", (int)local.size - 1, local.at,
                       offset_min < 0 ? '-' : '+', east / 60, east % 60);
}

struct text show_count(struct arena *arena, uint64_t count)
{
    return text_format(arena, "%llu", (unsigned long long)count);
}

struct text show_decimal(struct arena *arena, struct dec value, int digits)
{
    char *out = arena_alloc(arena, DEC_FORMAT_MAX);
    return (struct text){out, (size_t)dec_format_digits(value, digits, out)};
}

struct text show_sum(struct arena *arena, const struct dec_sum *sum, int digits)
{
    struct dec value;
    if (dec_sum_read(sum, &value, NULL) == OK) {
        return show_decimal(arena, value, digits);
    }
    char *out = arena_alloc(arena, WIDE_FORMAT_MAX);
    return (struct text){out, (size_t)dec_sum_format(sum, out)};
}

enum status show_put(struct show *show, struct text text)
{
    return sink_write(&show->sink, text, show->err);
}

/* ---- all bills ------------------------------------------------------------------------------ */

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

static void list_cells(struct show *show, const struct bill_head *head, bool with_kind,
                       struct text *cells)
{
    struct arena *arena = &show->scratch;
    cells[LIST_PAYER] =
        head->contract.size == 0
            ? head->payer
            : text_format(arena, "%.*s (%.*s)", TEXT_ARG(head->payer), TEXT_ARG(head->contract));
    cells[LIST_FROM] = show_time(show, head->period.from);
    cells[LIST_TO] = show_time(show, head->period.to);
    cells[LIST_KIND] = with_kind || !text_equal(head->kind, TEXT("bill")) ? head->kind : TEXT("");
    cells[LIST_TOTAL] = head->total;
    cells[LIST_CURRENCY] = head->currency;
    cells[LIST_LINES] = show_count(arena, head->line_count);
    cells[LIST_BILL] = head->bill;
}

static bool is_wanted(const struct show *show, const struct bill_head *head)
{
    return !show->name || text_equal(head->payer, text_of(show->name)) ||
           text_equal(head->contract, text_of(show->name));
}

/* What follows the table or the array: a total for each currency, in the order of their codes. */
enum { CURRENCIES_MAX = 256, CODE_BYTES = 8 };
struct list_end {
    uint64_t count;
    struct list_total {
        char currency[CODE_BYTES];
        struct dec_sum sum;
    } * totals;
    uint32_t total_count;
};

static struct list_total *total_of(struct list_end *end, struct text currency)
{
    uint32_t at = end->total_count;
    while (at > 0 && text_compare(currency, text_of(end->totals[at - 1].currency)) < 0) {
        at--;
    }
    if (at > 0 && text_equal(currency, text_of(end->totals[at - 1].currency))) {
        return &end->totals[at - 1];
    }
    if (end->total_count == CURRENCIES_MAX || currency.size >= CODE_BYTES) {
        return NULL;
    }
    memmove(&end->totals[at + 1], &end->totals[at], (end->total_count - at) * sizeof *end->totals);
    end->total_count++;
    end->totals[at] = (struct list_total){.sum = {.usual = {{0}}}};
    memcpy(end->totals[at].currency, currency.at, currency.size);
    return &end->totals[at];
}

static struct list_end new_end(struct arena *arena)
{
    return (struct list_end){.totals =
                                 arena_alloc(arena, CURRENCIES_MAX * sizeof(struct list_total))};
}

static struct text show_total(struct arena *arena, const struct list_total *total)
{
    const struct currency *currency = currency_find(text_of(total->currency));
    return show_sum(arena, &total->sum, currency ? currency->digits : 2);
}

/* "3.00 EUR, 12.50 USD" */
static struct text show_totals(struct arena *arena, const struct list_end *end)
{
    struct buffer out;
    buffer_init(&out, arena, 64);
    for (uint32_t i = 0; i < end->total_count; i++) {
        struct text total = show_total(arena, &end->totals[i]);
        buffer_format(&out, "%s%.*s %s", i > 0 ? ", " : "", TEXT_ARG(total),
                      end->totals[i].currency);
    }
    return buffer_text(&out);
}

static enum status add_to_end(struct list_end *end, const struct bill_head *head, struct error *err)
{
    struct dec total;
    if (dec_parse(head->total, &total) != NUMBER_OK) {
        return fail(err, ERR_CORRUPT, "bills.ndjson: a total is no number");
    }
    struct list_total *of_currency = total_of(end, head->currency);
    if (!of_currency) {
        return fail(err, ERR_CORRUPT, "bills.ndjson: a currency is no code");
    }
    end->count++;
    return dec_sum_add(&of_currency->sum, total, err);
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
    list_cells(show, head, false, cells);
    table_measure(&show->table, cells);
    return add_to_end(context, head, show->err);
}

static enum status write_head_row(struct show *show, const struct bill_head *head, void *context)
{
    (void)context;
    struct text cells[TABLE_COLUMNS_MAX];
    list_cells(show, head, false, cells);
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
    struct list_end end = new_end(&show->scratch);
    TRY(each_head(show, measure_head, &end));
    if (end.count == 0) {
        return show_put(show, TEXT("no bills\n"));
    }
    table_hide_empty(table);
    table->columns[LIST_BILL].is_hidden = show->name == NULL;
    table_begin(table, true);
    TRY(each_head(show, write_head_row, NULL));
    TRY(table_end(table, show->err));
    struct arena *arena = &show->scratch;
    struct text totals = show_totals(arena, &end);
    return show_put(show, text_format(arena, "%llu bill%s, %.*s\n", (unsigned long long)end.count,
                                      end.count == 1 ? "" : "s", TEXT_ARG(totals)));
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
    list_cells(show, head, true, cells);
    struct buffer out;
    buffer_init(&out, &show->scratch, 512);
    buffer_add_text(&out, end->count > 0 ? TEXT(",\n{") : TEXT("\n{"));
    add_member(&out, "bill", head->bill);
    add_member(&out, "kind", head->kind);
    add_member(&out, "payer", head->payer);
    if (head->contract.size > 0) {
        add_member(&out, "contract", head->contract);
    }
    if (head->seller.size > 0) {
        add_member(&out, "seller", head->seller);
    }
    add_member(&out, "from", cells[LIST_FROM]);
    add_member(&out, "to", cells[LIST_TO]);
    add_member(&out, "currency", head->currency);
    add_member(&out, "total", head->total);
    buffer_format(&out, ",\"lines\":%llu}", (unsigned long long)head->line_count);
    TRY(add_to_end(end, head, show->err));
    return show_put(show, buffer_text(&out));
}

static enum status list_json(struct show *show)
{
    struct arena *arena = &show->scratch;
    struct list_end end = new_end(arena);
    TRY(show_put(show, TEXT("{\"bills\":[")));
    TRY(each_head(show, write_head_json, &end));
    struct buffer out;
    buffer_init(&out, arena, 128);
    buffer_format(&out, "],\"count\":%llu", (unsigned long long)end.count);
    if (end.total_count < 2) {
        struct list_total none = {.sum = {.usual = {{0}}}};
        struct text total = show_total(arena, end.total_count > 0 ? &end.totals[0] : &none);
        buffer_format(&out, ",\"total\":\"%.*s\"}\n", TEXT_ARG(total));
        return show_put(show, buffer_text(&out));
    }
    buffer_add_text(&out, TEXT(",\"totals\":{"));
    for (uint32_t i = 0; i < end.total_count; i++) {
        struct text total = show_total(arena, &end.totals[i]);
        buffer_format(&out, "%s\"%s\":\"%.*s\"", i > 0 ? "," : "", end.totals[i].currency,
                      TEXT_ARG(total));
    }
    buffer_add_text(&out, TEXT("}}\n"));
    return show_put(show, buffer_text(&out));
}

static enum status write_head_csv(struct show *show, const struct bill_head *head, void *context)
{
    (void)context;
    if (!is_wanted(show, head)) {
        return OK;
    }
    struct text cells[TABLE_COLUMNS_MAX];
    list_cells(show, head, true, cells);
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
    return show_put(show, buffer_text(&out));
}

static enum status list_bills(struct show *show)
{
    switch (show->form) {
    case FARTHING_JSON:
        return list_json(show);
    case FARTHING_CSV_SAFE:
        TRY(show_put(show, TEXT("bill,kind,payer,from,to,currency,total,lines\n")));
        return each_head(show, write_head_csv, NULL);
    case FARTHING_TABLE:
        break;
    }
    return list_table(show);
}

/* ---- which bill ----------------------------------------------------------------------------- */

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

/* A payer may have several bills. */
static bool is_kept(const struct show *show, struct text payer)
{
    bool is = false;
    for (int i = 0; i < show->nearest_count && !is; i++) {
        is = text_equal(text_of(show->nearest[i].payer), payer);
    }
    return is;
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

/* True when a part of the bill, or what is on no line of it, is of the account. */
static bool has_account(const struct bill_head *head, struct text account)
{
    yyjson_val *const lists[] = {head->sections, yyjson_obj_get(head->proof, "exclusions")};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        size_t index, count;
        yyjson_val *item;
        yyjson_arr_foreach(lists[i], index, count, item)
        {
            if (text_equal(json_text(item, "account"), account)) {
                return true;
            }
        }
    }
    return false;
}

static enum status match_head(struct show *show, const struct bill_head *head, void *context)
{
    (void)context;
    show->has_bills = true;
    struct text name = text_of(show->name);
    if (text_equal(head->bill, name)) {
        show->found = text_copy(show->folder.arena, head->bill);
        return OK;
    }
    if (text_equal(head->payer, name) || text_equal(head->contract, name)) {
        if (show->bill_count++ == 0 && show->found.size == 0) {
            show->found = text_copy(show->folder.arena, head->bill);
        }
        return OK;
    }
    if (show->payer.size == 0 && has_account(head, name)) {
        show->payer = text_copy(show->folder.arena, head->payer);
    }
    if (head->payer.size <= ATTRIBUTE_MAX_BYTES && !is_kept(show, head->payer)) {
        keep_nearest(show, head->payer);
    }
    return OK;
}

static enum status fail_unknown(struct show *show)
{
    struct buffer out;
    buffer_init(&out, &show->scratch, 256);
    if (show->payer.size > 0) {
        buffer_add_text(&out, TEXT("farthing show "));
        buffer_add_text(&out, text_of(show->folder.path));
        buffer_add_char(&out, ' ');
        add_shown(&out, show->payer);
        struct buffer payer;
        buffer_init(&payer, &show->scratch, 64);
        add_shown(&payer, show->payer);
        (void)fail(show->err, ERR_NOT_FOUND, "%s: '%s' is billed on the bill of '%.*s'",
                   show->folder.path, show->name, (int)payer.size, payer.at);
        return fail_hint(show->err, "%.*s", (int)out.size, out.at);
    }
    size_t near = strlen(show->name) / 3 + 1; /* what differs in more is another name */
    int count = 0;
    for (; count < show->nearest_count && show->nearest[count].distance <= near; count++) {
        buffer_add_text(&out, count > 0 ? TEXT(", ") : TEXT(""));
        add_shown(&out, text_of(show->nearest[count].payer));
    }
    (void)fail(show->err, ERR_NOT_FOUND, "%s: no bill and no payer '%s'", show->folder.path,
               show->name);
    if (count == 0) {
        return fail_hint(show->err,
                         !show->has_bills
                             ? "the folder has no bills"
                             : "without a name all bills are listed; who has no line has none");
    }
    return fail_hint(show->err, "the nearest payer%s: %.*s", count > 1 ? "s" : "", (int)out.size,
                     out.at);
}

/* ---- the call ------------------------------------------------------------------------------- */

/* That of the catalog that billed.  Without its file, days are told in UTC. */
static void find_zone(struct show *show)
{
    struct farthing *farthing = show->farthing;
    struct text name = json_text(show->run, "zone"), bytes;
    struct error ignored;
    if (name.size == 0) {
        return;
    }
    struct zone_source *zones =
        zone_source_new(farthing->env, &farthing->arena, farthing->config.zone_folder);
    if (!zones->find(zones->context, name, &bytes) ||
        zone_parse(&farthing->arena, name, bytes, &show->zone, &ignored) != OK) {
        show->zone = NULL;
    }
}

static enum status show_all(struct show *show, const char *out)
{
    TRY(folder_open(show->farthing->env, &show->farthing->arena, out, &show->folder, show->err));
    TRY(folder_run(&show->folder, &show->run, show->err));
    TRY(folder_check(&show->folder, show->run, "bills.ndjson", show->err));
    find_zone(show);
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
        return fail_memory(show->err, show->farthing->env->memory_asked_bytes, "", "");
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
    if (handle_lacks(farthing, "write", write != NULL)) {
        return FARTHING_USAGE;
    }
    if (name && !name[0]) {
        (void)fail(&farthing->err, ERR_INPUT, "the name of the bill or payer is empty");
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
