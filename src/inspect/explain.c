/* explain.c - the line is found, its inputs are loaded, and the payer is priced again with traces.
 */
#include "inspect/explain.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/issued.h"
#include "engine/load.h"
#include "engine/sourced.h"
#include "engine/wallets.h"
#include "render/render.h"

enum { CANDIDATES_MAX = 8 };

/* ---- the line ------------------------------------------------------------------------------- */

/* The id of a row of lines.csv, its second field. */
static struct text id_of_row(struct text row)
{
    size_t at = 0;
    bool in_quotes = false;
    while (at < row.size && (row.at[at] != ',' || in_quotes)) {
        in_quotes ^= row.at[at] == '"';
        at++;
    }
    size_t left = row.size > at ? row.size - at - 1 : 0;
    return (struct text){row.at + at + (left > 0), left < 32 ? left : 32};
}

static bool is_hex(struct text prefix)
{
    for (size_t i = 0; i < prefix.size; i++) {
        char c = prefix.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) {
            return false;
        }
    }
    return prefix.size > 0 && prefix.size <= 32;
}

/* An ambiguous prefix: the lines that begin with it. */
struct candidates {
    struct text rows[CANDIDATES_MAX];
    uint64_t count;
};

static void add_candidate(struct buffer *out, const struct line *line, struct text bill)
{
    char id[33];
    hash128_format(line->id, id);
    buffer_format(out, "%s  ", id);
    add_shown(out, bill);
    buffer_add_text(out, TEXT("  "));
    add_shown(out, line->account);
    buffer_add_text(out, TEXT("  "));
    add_shown(out, line->sku);
    buffer_add_char(out, ' ');
    add_shown(out, line->dimensions);
    buffer_format(out, "%s%.*s ", line->dimensions.size > 0 ? " " : "", TEXT_ARG(line->kind));
    add_decimal(out, line->amount);
    buffer_add_char(out, '\n');
}

static void add_candidate_json(struct buffer *out, const struct line *line, struct text bill)
{
    char id[33];
    hash128_format(line->id, id);
    buffer_add_text(out, out->at[out->size - 1] == '[' ? TEXT("\n{") : TEXT(",\n{"));
    add_json_text(out, "line", (struct text){id, 32});
    add_json_text(out, "bill", bill);
    add_json_text(out, "account", line->account);
    add_json_text(out, "sku", line->sku);
    add_json_text(out, "dimensions", line->dimensions);
    add_json_text(out, "kind", line->kind);
    add_json_decimal(out, "amount", line->amount);
    buffer_add_char(out, '}');
}

static enum status fail_ambiguous(struct explain *x, const char *prefix,
                                  const struct candidates *candidates)
{
    const bool is_json = x->form == FARTHING_JSON;
    struct buffer out;
    buffer_init(&out, &x->scratch, 1024);
    buffer_add_text(&out, is_json ? TEXT("{\"lines\":[") : TEXT(""));
    for (uint64_t i = 0; i < candidates->count && i < CANDIDATES_MAX; i++) {
        struct line line;
        struct text bill;
        TRY(parse_line(&x->scratch, candidates->rows[i], &line, &bill, x->err));
        if (is_json) {
            add_candidate_json(&out, &line, bill);
        } else {
            add_candidate(&out, &line, bill);
        }
    }
    if (is_json) {
        buffer_format(&out, "],\"count\":%llu}\n", (unsigned long long)candidates->count);
    } else if (candidates->count > CANDIDATES_MAX) {
        buffer_format(&out, "... and %llu more\n",
                      (unsigned long long)(candidates->count - CANDIDATES_MAX));
    }
    TRY(sink_write(&x->sink, buffer_text(&out), x->err));
    (void)fail(x->err, ERR_INPUT, "%llu lines begin with %s", (unsigned long long)candidates->count,
               prefix);
    return fail_hint(x->err, "give more digits of one of them");
}

static enum status find_line(struct explain *x, const char *prefix, struct text *bill)
{
    struct text wanted = text_of(prefix);
    if (!is_hex(wanted)) {
        (void)fail(x->err, ERR_INPUT, "'%s' is no line", prefix);
        return fail_hint(x->err, "a line is up to 32 digits 0-9 a-f; `farthing show` prints the "
                                 "first of them");
    }
    char lower[32];
    for (size_t i = 0; i < wanted.size; i++) {
        char c = wanted.at[i];
        lower[i] = (char)(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    }
    wanted.at = lower;
    struct reader *lines;
    TRY(folder_read(&x->folder, "lines.csv", LINES_HEADER, &lines, x->err));
    struct candidates candidates = {.count = 0};
    for (struct text row;;) {
        TRY(reader_next(lines, &row, NULL, x->err));
        if (!row.at) {
            break;
        }
        struct text id = id_of_row(row);
        if (id.size == 32 && memcmp(id.at, wanted.at, wanted.size) == 0) {
            if (candidates.count < CANDIDATES_MAX) {
                candidates.rows[candidates.count] = text_copy(&x->run->arena, row);
            }
            candidates.count++;
        }
    }
    reader_close(lines);
    if (candidates.count == 0) {
        (void)fail(x->err, ERR_NOT_FOUND, "%s: no line begins with %s", x->folder.path, prefix);
        return fail_hint(x->err, "`farthing show %s PAYER` prints the lines of a bill",
                         x->folder.path);
    }
    if (candidates.count > 1) {
        return fail_ambiguous(x, prefix, &candidates);
    }
    return parse_line(&x->run->arena, candidates.rows[0], &x->line, bill, x->err);
}

/* ---- inputs --------------------------------------------------------------------------------- */

static struct farthing_paths json_paths(struct arena *arena, yyjson_val *object, const char *key)
{
    yyjson_val *list = yyjson_obj_get(object, key), *item;
    const char **items = arena_calloc(arena, yyjson_arr_size(list) + 1, sizeof *items);
    size_t index, count, kept = 0;
    yyjson_arr_foreach(list, index, count, item)
    {
        yyjson_val *path = yyjson_is_obj(item) ? yyjson_obj_get(item, "path") : item;
        if (yyjson_is_str(path)) {
            items[kept++] = yyjson_get_str(path);
        }
    }
    return (struct farthing_paths){items, kept};
}

/* What was not given is what the run was given. Events are read only when given. */
static enum status find_inputs(struct explain *x, const struct farthing_bill *given)
{
    struct arena *arena = &x->run->arena;
    if (given) {
        x->inputs = *given;
    }
    x->inputs.billed = (struct farthing_paths){NULL, 0};
    yyjson_val *run;
    struct error no_run = {0}; /* what is not told when all is given */
    (void)folder_json(x->folder.env, arena, x->folder.path, "run.json", &run, &no_run);
    x->billed = json_paths(arena, run, "billed");
    x->read = yyjson_obj_get(run, "read");
    if (x->inputs.catalog.count == 0) {
        x->inputs.catalog = json_paths(arena, run, "catalog");
    }
    if (x->inputs.accounts.count == 0) {
        x->inputs.accounts = json_paths(arena, run, "accounts");
    }
    if (!x->inputs.opening) {
        x->inputs.opening = yyjson_get_str(yyjson_obj_get(run, "opening"));
    }
    const char *period = yyjson_get_str(yyjson_obj_get(run, "period"));
    if (!x->inputs.period) {
        x->inputs.period = period;
    }
    x->run->takes_back = yyjson_is_true(yyjson_obj_get(run, "takes_back")) && period &&
                         strcmp(period, x->inputs.period) == 0;
    if (!x->inputs.period) {
        char from[TIME_FORMAT_MAX], to[TIME_FORMAT_MAX];
        (void)time_format(x->head.period.from, from);
        (void)time_format(x->head.period.to, to);
        x->inputs.period = text_format(arena, "%s/%s", from, to).at;
    }
    if (x->inputs.catalog.count == 0) {
        if (run) {
            (void)fail(x->err, ERR_INPUT, "%s: run.json does not name the catalog", x->folder.path);
        } else {
            *x->err = no_run;
        }
        return fail_hint(x->err,
                         "give the catalog with --catalog, and what else the run was given");
    }
    return OK;
}

/* A line of a bill must come out again.  One of a correction is a difference to what is not here,
 * and any would do: so nothing else tells that it, or the usage behind it, was edited. */
static enum status check_files(struct explain *x)
{
    yyjson_val *run;
    TRY(folder_run(&x->folder, &run, x->err));
    TRY(folder_check(&x->folder, run, "lines.csv", x->err));
    return folder_check(&x->folder, run, "usage.csv", x->err);
}

/* The line, its bill, and what the bill was made from. */
static enum status find(struct explain *x, const char *prefix, const struct farthing_bill *given)
{
    struct text bill;
    TRY(find_line(x, prefix, &bill));
    if (folder_find_head(&x->folder, bill, &x->head, x->err) != OK) {
        if (x->err->status != ERR_NOT_FOUND) {
            return x->err->status;
        }
        return fail(x->err, ERR_CORRUPT, "%s: bills.ndjson has no bill %.*s", x->folder.path,
                    TEXT_ARG(bill));
    }
    x->is_correction = text_equal(x->head.kind, TEXT("correction"));
    TRY(x->is_correction ? check_files(x) : OK);
    return find_inputs(x, given);
}

static enum status check_digest(struct explain *x, const char *name, struct text digest,
                                const char *hint)
{
    struct text wanted = json_text(x->head.inputs, name);
    if (text_equal(wanted, digest)) {
        return OK;
    }
    (void)fail(x->err, ERR_INPUT,
               "%s: not what the bill was made of: the digest is %.12s, the bill names %.12s", name,
               digest.size > 0 ? digest.at : "(none)", wanted.size > 0 ? wanted.at : "(none)");
    return fail_hint(x->err, "%s", hint);
}

static enum status load_inputs(struct explain *x)
{
    struct run *run = x->run;
    struct loaded loaded = {0};
    struct complaints complaints = {0};
    const struct load_inputs inputs = {.zone_folder = run->config->zone_folder,
                                       .catalog = x->inputs.catalog,
                                       .accounts = x->inputs.accounts};
    enum status status = load_catalog(run->env, &run->arena, &inputs, &complaints, &loaded, x->err);
    if (status != OK) {
        if (complaints.errors > 0) {
            handle_complaints(x->farthing, &complaints);
        } else if (status == ERR_NOT_FOUND) {
            (void)fail_hint(x->err,
                            "run.json names the files as the run was given them: go to that "
                            "folder, or give --catalog and --accounts");
        }
        return status;
    }
    run->catalog = loaded.catalog;
    run->accounts = loaded.accounts;
    run->options = &x->inputs;
    char catalog[65], accounts[65];
    digest_format(&run->catalog->digest, catalog);
    digest_format(&run->accounts->digest, accounts);
    TRY(check_digest(x, "catalog", text_of(catalog),
                     "give the catalog of that time with --catalog"));
    TRY(check_digest(x, "accounts", text_of(accounts),
                     "give the accounts of that time with --accounts"));
    TRY(check_digest(x, "zones", loaded.zones_digest,
                     "the time zone data has changed since: use that of the time"));
    series_table_init(&run->series, &run->series_arena, run->catalog);
    TRY(load_state(run));
    TRY(check_digest(x, "opening", run->opening_digest,
                     "give the opening of that run with --opening"));
    if (run->catalog->has_frozen && x->billed.count > 0) { /* covers stay as those bills say */
        x->inputs.billed = x->billed;
        TRY(load_issued_lines(run));
    }
    return check_digest(x, "rules", TEXT(FARTHING_RULES), "use the version that made the bill");
}

/* ---- usage rows ----------------------------------------------------------------------------- */

/* Rows of usage of one payer, in the order of its cuts. */
struct rows {
    struct usage_row *items;
    uint32_t count, capacity;
};

static enum status add_row(struct explain *x, const struct usage_text *text, struct rows *rows)
{
    struct run *run = x->run;
    struct usage_row made;
    TRY(usage_row_make(&x->scratch, text, run->catalog, run->accounts, run->period.from,
                       &run->series, &made, x->err));
    rows->items =
        arena_room(&run->arena, rows->items, rows->count, &rows->capacity, sizeof *rows->items);
    rows->items[rows->count++] = made;
    return OK;
}

static enum status fail_row(struct explain *x, const struct reader *usage, struct text payer)
{
    return fail(x->err, ERR_CORRUPT, "%s: a row of payer %.*s is not as it was written",
                usage->path, TEXT_ARG(payer));
}

static void rank_rows(const struct explain *x, struct usage_row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        rows[i].rank = series_at(&x->run->series, rows[i].series)->rank;
    }
}

static enum status read_usage(struct explain *x)
{
    struct run *run = x->run;
    struct reader *usage;
    TRY(folder_read(&x->folder, "usage.csv", USAGE_HEADER, &usage, x->err));
    struct buffer start;
    buffer_init(&start, &run->arena, 64);
    add_csv_text(&start, run->accounts->items[x->chain[0]].id);
    buffer_add_char(&start, ',');
    struct text contract = bill_contract(run->catalog, run->accounts, x->chain[0]);
    struct rows rows = {0};
    bool was_here = false;
    for (struct text row;;) {
        TRY(reader_next(usage, &row, NULL, x->err));
        bool is_here = row.at && row.size > start.size && memcmp(row.at, start.at, start.size) == 0;
        if (!row.at || (was_here && !is_here && !usage->has_views)) {
            break; /* a payer's rows are adjacent; but it may be the buyer in views */
        }
        was_here = is_here;
        if (!is_here) {
            continue;
        }
        struct arena_mark mark = arena_mark(&x->scratch);
        struct usage_text text;
        enum status status = parse_usage(&x->scratch, row, usage->has_views, &text, x->err);
        if (status == OK && text.slot.from < x->head.period.to &&
            text_equal(text.contract, contract)) {
            status = add_row(x, &text, &rows);
        }
        if (status != OK) {
            return fail_row(x, usage, x->head.payer);
        }
        arena_rewind(&x->scratch, mark);
    }
    reader_close(usage);
    x->usage = rows.items;
    x->usage_count = rows.count;
    series_rank(&run->series);
    rank_rows(x, x->usage, x->usage_count);
    return OK;
}

/* ---- the line again ------------------------------------------------------------------------- */

static enum status fail_differs(struct explain *x, const char *what, struct dec now,
                                struct dec then)
{
    char a[DEC_FORMAT_MAX], b[DEC_FORMAT_MAX];
    (void)dec_format(now, a);
    (void)dec_format(then, b);
    return fail(
        x->err, ERR_CORRUPT,
        "priced again, the line's %s is %s and not %s: a file of the folder was changed, or "
        "this is a bug",
        what, a, b);
}

/* What the line is for is told as its row has it; its id is of that, too, as it was. */
static bool has_same_key(const struct line *now, const struct line *then)
{
    const struct text texts[][2] = {
        {now->account, then->account},   {now->sku, then->sku},
        {now->resource, then->resource}, {now->dimensions, then->dimensions},
        {now->contract, then->contract}, {now->price, then->price},
        {now->step, then->step},         {now->kind, then->kind},
        {now->unit, then->unit},         {now->grant, then->grant},
        {now->product, then->product},   {now->level, then->level},
    };
    bool is_same = now->from == then->from && now->to == then->to &&
                   now->version == then->version && now->tier == then->tier &&
                   now->has_rate == then->has_rate &&
                   (!now->has_rate || dec_compare(now->rate, then->rate) == 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && is_same; i++) {
        is_same = text_equal(texts[i][0], texts[i][1]);
    }
    return is_same;
}

/* A correction is what is known now less what was billed before: so that is told, too. */
static enum status compare_line(struct explain *x)
{
    const struct line *now = &x->present, *then = &x->line;
    if (!x->is_correction) {
        if (!has_same_key(now, then)) {
            return fail(x->err, ERR_CORRUPT,
                        "priced again, the line is for something else: a file of the folder was "
                        "changed, or this is a bug");
        }
        const struct {
            const char *what;
            struct dec now, then;
        } numbers[] = {{"quantity", now->quantity, then->quantity},
                       {"exact amount", now->exact, then->exact},
                       {"amount", now->amount, then->amount},
                       {"list amount", now->list, then->list}};
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            if (dec_compare(numbers[i].now, numbers[i].then) != 0) {
                return fail_differs(x, numbers[i].what, numbers[i].now, numbers[i].then);
            }
        }
        if (now->events != then->events || now->print != then->print) {
            return fail(x->err, ERR_CORRUPT, "priced again, the line has other events");
        }
        return OK;
    }
    x->issued = *then;
    TRY(dec_subtract(now->quantity, then->quantity, &x->issued.quantity, x->err));
    TRY(dec_subtract(now->exact, then->exact, &x->issued.exact, x->err));
    TRY(dec_subtract(now->amount, then->amount, &x->issued.amount, x->err));
    return OK;
}

static enum status find_present(struct explain *x)
{
    for (uint32_t i = 0; i < x->bill.line_count; i++) {
        if (hash_equal(x->bill.lines[i].id, x->line.id)) {
            x->present = x->bill.lines[i];
            x->has_present = true;
            return compare_line(x);
        }
    }
    if (!x->is_correction) {
        return fail(x->err, ERR_CORRUPT,
                    "priced again, the bill does not have this line: a file of the folder was "
                    "changed, or this is a bug");
    }
    x->present = x->line;
    x->present.quantity = x->present.exact = x->present.amount = x->present.list = DEC_ZERO;
    x->present.events = 0;
    return compare_line(x);
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* The cuts up to the one that holds the bill, and that one in its parts. */
static enum status add_parts(struct explain *x, const struct period **cuts, uint32_t *count)
{
    size_t index, part_count;
    yyjson_val *item;
    uint32_t made = 0;
    struct period *all =
        arena_alloc(&x->run->arena, (*count + yyjson_arr_size(x->head.parts) + 1) * sizeof *all);
    while (made < *count && (*cuts)[made].to < x->head.period.to) {
        all[made] = (*cuts)[made];
        made++;
    }
    instant from = made < *count ? (*cuts)[made].from : x->head.period.from;
    yyjson_arr_foreach(x->head.parts, index, part_count, item)
    {
        all[made].from = from;
        if (!yyjson_is_str(item) || !time_read(text_of(yyjson_get_str(item)), &all[made].to)) {
            return fail(x->err, ERR_CORRUPT, "bills.ndjson: a bill's parts cannot be read");
        }
        from = all[made++].to;
    }
    *cuts = all;
    *count = made;
    return OK;
}

/* The cuts of the payer up to the bill's; one, unless its own clock has several turns in the run.
 * 0: there is none, since the bill was taken back. */
static enum status find_cuts(struct explain *x, uint32_t payer, const struct period **cuts,
                             uint32_t *count)
{
    const struct run *run = x->run;
    *cuts = &run->period;
    uint32_t all = 1;
    if (run->has_cuts) {
        *cuts = run->cuts + run->cut_first[payer];
        all = run->cut_first[payer + 1] - run->cut_first[payer];
    }
    if (x->head.parts) {
        TRY(add_parts(x, cuts, &all));
    }
    for (*count = 1; *count <= all; ++*count) {
        struct period cut = (*cuts)[*count - 1];
        if (cut.from == x->head.period.from && cut.to == x->head.period.to) {
            return OK;
        }
    }
    if (x->is_correction && run->takes_back) {
        *count = 0;
        return OK;
    }
    (void)fail(x->err, ERR_INPUT, "the bill is none of period %s", x->inputs.period);
    return fail_hint(x->err, "give the period of that run with --period");
}

/* Where the rows of a cut end: rows come cut by cut. */
static uint32_t end_of_cut(const struct explain *x, const struct rows *rows, struct period cut,
                           uint32_t row)
{
    while (
        row < rows->count &&
        period_has(cut, x->run->period.from + (instant)rows->items[row].slot_s * NS_PER_SECOND)) {
        row++;
    }
    return row;
}

/* Prices the payers on which a view by source stands, the usage first, and prepares the last one's
 * pricing. */
static enum status price_chain(struct explain *x, struct period cut, struct priced *priced,
                               bool is_first, uint32_t first, uint32_t count)
{
    struct run *run = x->run;
    struct pricing on = {0};
    for (uint32_t k = 0; k < x->chain_count; k++) {
        run_pricing(run, &run->arena, x->chain[k], cut, &x->pricing);
        if (run->catalog->has_frozen) {
            struct issued issued;
            TRY(payer_find_issued(run, &run->arena, x->chain[k], cut, &issued, x->err));
            x->pricing.covered = bill_covered(&run->arena, &issued, &x->pricing.covered_count);
        }
        if (!is_first) {
            x->pricing.opening = priced[k].closing;
            x->pricing.opening_count = priced[k].closing_count;
        }
        TRY(wallets_hand_on(run, &run->arena, cut, &x->pricing, x->err));
        if (k > 0) {
            sourced_gather(run, &run->arena, &on, &priced[k - 1], &x->pricing);
        }
        if (k + 1 < x->chain_count) {
            TRY(price_payer(&run->arena, &x->pricing, x->usage + first, count, &priced[k], x->err));
            on = x->pricing;
        }
    }
    return OK;
}

/* ---- what other payers hand over ------------------------------------------------------------- */

/* Of each payer between which accounts move with their wallets. */
struct others {
    struct explain *x;
    struct other {
        struct rows rows;
        uint32_t at; /* of the cut at hand */
        struct priced priced;
    } * payers;
};

static enum status read_others(struct explain *x, struct others *others)
{
    struct run *run = x->run;
    struct reader *usage;
    TRY(folder_read(&x->folder, "usage.csv", USAGE_HEADER, &usage, x->err));
    for (struct text row;;) {
        TRY(reader_next(usage, &row, NULL, x->err));
        if (!row.at) {
            break;
        }
        struct arena_mark mark = arena_mark(&x->scratch);
        struct usage_text text = {.payer = TEXT("")};
        enum status status = parse_usage(&x->scratch, row, usage->has_views, &text, x->err);
        uint32_t payer = status == OK && text.contract.size == 0
                             ? accounts_find(run->accounts, NONE, text.payer)
                             : MAP_NONE;
        if (payer != MAP_NONE && run->moves.is_party[payer]) { /* gauges are in the rows */
            status = add_row(x, &text, &others->payers[payer].rows);
        }
        if (status != OK) {
            return fail_row(x, usage, text.payer);
        }
        arena_rewind(&x->scratch, mark);
    }
    reader_close(usage);
    series_rank(&run->series);
    for (uint32_t i = 0; i < run->accounts->count; i++) {
        rank_rows(x, others->payers[i].rows.items, others->payers[i].rows.count);
    }
    return OK;
}

static enum status price_other(void *context, uint32_t payer, struct period cut, bool is_first,
                               struct handover *left, struct error *err)
{
    struct others *others = context;
    struct explain *x = others->x;
    struct run *run = x->run;
    struct other *of = &others->payers[payer];
    struct pricing pricing;
    run_pricing(run, &run->arena, payer, cut, &pricing);
    if (run->catalog->has_frozen) {
        struct issued issued;
        TRY(payer_find_issued(run, &run->arena, payer, cut, &issued, err));
        pricing.covered = bill_covered(&run->arena, &issued, &pricing.covered_count);
    }
    if (!is_first) {
        pricing.opening = of->priced.closing;
        pricing.opening_count = of->priced.closing_count;
    }
    TRY(wallets_hand_on(run, &run->arena, cut, &pricing, err));
    const uint32_t end = end_of_cut(x, &of->rows, cut, of->at);
    TRY(price_payer(&run->arena, &pricing, of->rows.items + of->at, end - of->at, &of->priced,
                    err));
    of->at = end;
    *left =
        (struct handover){.buckets = of->priced.closing, .bucket_count = of->priced.closing_count};
    return OK;
}

/* Where wallets go along with accounts, a bill may begin with what another payer has left. */
static enum status price_others(struct explain *x)
{
    struct run *run = x->run;
    if (!run->moves.is_party || !run->moves.is_wallet_party[x->chain[0]]) {
        return OK;
    }
    struct others others = {.x = x};
    others.payers = arena_calloc(&run->arena, run->accounts->count + 1u, sizeof *others.payers);
    TRY(read_others(x, &others));
    return wallets_rehearse(run, x->head.period.to, price_other, &others, x->err);
}

/* The cuts before the bill's hand their buckets on. */
static enum status price_cuts_before(struct explain *x, const struct period *cuts, uint32_t count)
{
    struct run *run = x->run;
    uint32_t first = 0, last = x->chain_count - 1;
    struct priced *priced = arena_calloc(&run->arena, x->chain_count, sizeof *priced);
    for (uint32_t i = 0; i < count; i++) {
        const struct rows rows = {.items = x->usage, .count = x->usage_count};
        uint32_t end = end_of_cut(x, &rows, cuts[i], first);
        TRY(price_chain(x, cuts[i], priced, i == 0, first, end - first));
        if (i + 1 < count) {
            TRY(price_payer(&run->arena, &x->pricing, x->usage + first, end - first, &priced[last],
                            x->err));
            first = end;
        } else if (end < x->usage_count) {
            return fail(x->err, ERR_CORRUPT, "usage.csv: rows of payer %.*s are of no bill",
                        TEXT_ARG(x->head.payer));
        }
    }
    x->usage += first;
    x->usage_count -= first;
    return OK;
}

/* Whose usage is priced for the bill: the payer's; of a view by source, that of the payer on which
 * it stands, and then all views between. */
static void find_chain(struct explain *x, uint32_t payer)
{
    const struct run *run = x->run;
    const struct accounts *accounts = run->accounts;
    uint32_t view = accounts_view(accounts, payer), count = 1, at = view;
    bool has_source =
        view != NONE && run->catalog->contracts[accounts->views[view].contract].source != NONE;
    for (uint32_t v = view; has_source && v != NONE; v = accounts->views[v].source) {
        count++;
    }
    x->chain = arena_calloc(&x->run->arena, count + 1u, sizeof *x->chain);
    x->chain[0] = has_source ? run->sourced.root[view] : payer;
    bool is_root_a_view = accounts_view(accounts, x->chain[0]) != NONE;
    x->chain_count = has_source && is_root_a_view ? count - 1 : count;
    for (uint32_t k = x->chain_count; k-- > 1;) {
        x->chain[k] = accounts->views[at].buyer;
        at = accounts->views[at].source;
    }
}

static enum status price_line(struct explain *x)
{
    struct arena *arena = &x->run->arena;
    TRY(price_payer(arena, &x->pricing, x->usage, x->usage_count, &x->priced, x->err));
    TRY(bill_make(arena, &x->pricing, x->usage, x->usage_count, NULL, 0, &x->priced, NULL, &x->bill,
                  x->err));
    return find_present(x);
}

/* Of a minimum, or a fee on charges, the rows of others say what it was held against: so many as
 * name some lines.  Which of them a term takes is seen by its traces. */
static void mark_rows_of_sum(struct explain *x, bool *is_row)
{
    enum { ROWS_MAX = 10'000 };
    uint32_t count = 0;
    for (uint32_t i = 0; i < x->priced.charge_count; i++) {
        const struct charge *charge = &x->priced.charges[i];
        bool passes = x->charge->level >= LEVEL_TERMS && charge->row != NONE;
        for (uint32_t s = 0; s < charge->price->step_count && charge->row != NONE; s++) {
            passes |= charge->price->steps[s].node == x->charge->step->node;
        }
        if (passes && !is_row[charge->row]) {
            if (count++ == ROWS_MAX) {
                x->held_against.has_more = true;
                return;
            }
            is_row[charge->row] = true;
        }
    }
}

/* Priced twice: once to see which rows are the line's, then with traces of those alone, since the
 * traces of all rows of a large payer would take more memory than all else. */
static enum status price_traced(struct explain *x)
{
    struct arena *arena = &x->run->arena;
    bool *is_row = arena_calloc(arena, x->usage_count + 1, sizeof *is_row);
    struct arena_mark mark = arena_mark(arena);
    TRY(price_line(x));
    const uint8_t *marks = explain_marks(x);
    for (uint32_t i = 0; i < x->priced.charge_count; i++) {
        const struct charge *charge = &x->priced.charges[i];
        uint32_t count;
        const uint32_t *rows = explain_rows_of(charge, &count);
        for (uint32_t k = 0; k < count && marks[i] != 0 && charge->row != NONE; k++) {
            is_row[rows[k]] = true;
        }
    }
    if (x->charge && (x->charge->kind == CHARGE_MINIMUM ||
                      (x->charge->step && x->charge->step->kind == STEP_FEE))) {
        mark_rows_of_sum(x, is_row);
    }
    arena_rewind(arena, mark);
    x->charge = NULL;
    x->has_present = false;
    x->pricing.trace = true;
    x->pricing.trace_rows = is_row;
    return price_line(x);
}

/* The line comes out of its payer, priced once more, with the traces of its steps. */
static enum status price_again(struct explain *x)
{
    struct run *run = x->run;
    TRY(load_inputs(x));
    uint32_t payer = run_payer(run, x->head.payer, x->head.contract);
    if (payer == MAP_NONE) {
        return fail(x->err, ERR_CORRUPT, "the accounts have no payer %.*s",
                    TEXT_ARG(x->head.payer));
    }
    find_chain(x, payer);
    const struct period *cuts;
    uint32_t cut_count;
    TRY(find_cuts(x, payer, &cuts, &cut_count));
    if (cut_count == 0) {
        x->is_taken_back = true;
        TRY(find_present(x));
        return explain_steps(x);
    }
    TRY(price_others(x));
    TRY(read_usage(x));
    TRY(price_cuts_before(x, cuts, cut_count));
    TRY(price_traced(x));
    return explain_steps(x);
}

static enum status explain_all(struct explain *x, const char *out, const char *line,
                               const struct farthing_bill *inputs, enum farthing_form form)
{
    TRY(folder_open(x->run->env, &x->run->arena, out, &x->folder, x->err));
    TRY(find(x, line, inputs));
    TRY(price_again(x));
    if (x->inputs.events.count > 0) {
        TRY(explain_events(x));
    }
    return explain_write(x, form);
}

/* The one recovery point. */
static enum status explain_guarded(struct explain *x, const char *out, const char *line,
                                   const struct farthing_bill *inputs, enum farthing_form form)
{
    struct run *run = x->run;
    if (ARENA_RECOVER(&run->arena, run->recover)) {
        return fail_memory(x->err, run->env->memory_asked_bytes, "",
                           ": explaining keeps the usage rows of the payer and the traces of their "
                           "steps");
    }
    run->series_arena.recover = x->scratch.recover = &run->recover;
    x->decoder_arena.recover = x->meter_arena.recover = &run->recover;
    x->segment_arena.recover = &run->recover;
    return explain_all(x, out, line, inputs, form);
}

enum farthing_status farthing_explain(struct farthing *farthing, const char *out, const char *line,
                                      const struct farthing_bill *inputs, enum farthing_form form,
                                      farthing_write *write, void *context)
{
    handle_clear(farthing);
    if (!out || !line) {
        (void)fail(&farthing->err, ERR_INPUT, "no %s given", out ? "line" : "output folder");
        return FARTHING_USAGE;
    }
    if (handle_lacks(farthing, "inputs", inputs != NULL) ||
        handle_lacks(farthing, "write", write != NULL) ||
        handle_lacks_path(farthing, "catalog", &inputs->catalog) ||
        handle_lacks_path(farthing, "accounts", &inputs->accounts) ||
        handle_lacks_path(farthing, "events", &inputs->events)) {
        return FARTHING_USAGE;
    }
    struct env *env = farthing->env;
    struct run *run = env->memory.allocate(&env->memory, sizeof *run);
    if (!run) {
        return handle_no_memory(farthing);
    }
    *run = (struct run){.env = env, .config = &farthing->config, .err = &farthing->err};
    struct explain x = {.farthing = farthing,
                        .err = &farthing->err,
                        .run = run,
                        .form = form,
                        .sink = {write, context}};
    struct arena *arenas[] = {&run->arena,      &run->series_arena, &x.scratch,
                              &x.decoder_arena, &x.meter_arena,     &x.segment_arena};
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) {
        arena_init(arenas[i], &env->memory, 0);
    }
    enum status status = explain_guarded(&x, out, line, inputs, form);
    const bool lacks = status == OK && x.has_events && !x.adds_up;
    if (lacks) { /* while the name of the file lies in an arena */
        (void)fail(&farthing->err, ERR_INPUT, "the events given do not add up to the usage rows");
        (void)fail_hint(&farthing->err, "%s%sgive all the events of the run with --events",
                        x.stranger ? x.stranger : "",
                        x.stranger ? " is no file that the run has read, or not as it was: " : "");
    }
    table_drop(&x.table);
    folder_close(&x.folder);
    feed_close(run->feed);
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) {
        arena_release(arenas[i]);
    }
    env->memory.release(&env->memory, run, sizeof *run);
    if (lacks) {
        return FARTHING_PARTIAL;
    }
    return handle_status(farthing, status);
}
