/* diff_sets.c - see diff_sets.h.  Rows are in the order of payers, so a payer's are read when they
 * come, from all files; and most rows begin as the one before, which tells that they are of the
 * same payer.
 */
#include "inspect/diff_sets.h"

#include "engine/run.h"

enum { SOURCE_PAYER_MAX_BYTES = 1024 };

/* A file of rows that are in the order of payers. */
struct source {
    struct folder folder;
    struct reader *rows;
    bool is_usage;
    int side;
    struct text row; /* the next; at NULL: there is none */
    char payer[SOURCE_PAYER_MAX_BYTES];
    size_t payer_size;
    char first[SOURCE_PAYER_MAX_BYTES]; /* the row's first field, which says whose it is */
    size_t first_size;
};

/* ---- opening ------------------------------------------------------------------------------- */

static enum status add_source(struct sets *s, const char *path, yyjson_val *run, bool is_usage,
                              int side)
{
    struct source *source = arena_alloc(s->arena, sizeof *source); /* stays: its reader is in it */
    const char *name = is_usage ? "usage.csv" : "lines.csv";
    *source = (struct source){.is_usage = is_usage, .side = side};
    TRY(folder_open(s->env, s->arena, path, &source->folder, s->err));
    s->sources =
        arena_room(s->arena, s->sources, s->source_count, &s->source_capacity, sizeof *s->sources);
    s->sources[s->source_count++] = source;
    TRY(folder_check(&source->folder, run, name, s->err));
    return folder_read(&source->folder, name, is_usage ? USAGE_HEADER : LINES_HEADER, &source->rows,
                       s->err);
}

/* A folder of corrections stands for the bills that it corrects, too: as they were. */
static enum status check_billed_print(struct sets *s, const char *path, yyjson_val *run,
                                      yyjson_val *item, const char *corrected_by)
{
    yyjson_val *files = yyjson_obj_get(run, "files");
    struct text print = json_text(yyjson_obj_get(files, "lines.csv"), "print");
    if (print.size > 0 && text_equal(print, json_text(item, "print"))) {
        return OK;
    }
    (void)fail(s->err, ERR_INPUT, "%s: is not there as %s corrects it", path, corrected_by);
    return fail_hint(s->err,
                     "a folder of corrections stands for the bills that it corrects, too; run.json "
                     "names them as the run was given them: go to that folder");
}

/* Whose bills they are, of when, in what currency. */
static enum status read_summary(struct sets *s, const char *path, yyjson_val *run, int side)
{
    yyjson_val *summary;
    struct folder folder;
    TRY(folder_open(s->env, s->arena, path, &folder, s->err));
    TRY(folder_check(&folder, run, "summary.json", s->err));
    TRY(folder_json(s->env, s->arena, path, "summary.json", &summary, s->err));
    s->paths[side] = path;
    s->digests[side] = yyjson_obj_get(run, "digests");
    s->provider[side] = json_text(summary, "provider");
    s->currency[side] = json_text(summary, "currency");
    if (!time_read(json_text(summary, "from"), &s->period[side].from) ||
        !time_read(json_text(summary, "to"), &s->period[side].to)) {
        return fail(s->err, ERR_CORRUPT, "%s: its period cannot be read", path);
    }
    yyjson_val *failed = yyjson_obj_get(summary, "failed"), *name, *reason;
    map_init(&s->failed[side], s->arena, (uint32_t)yyjson_obj_size(failed));
    size_t index, count;
    yyjson_obj_foreach(failed, index, count, name, reason)
    {
        const struct text key = {yyjson_get_str(name), yyjson_get_len(name)};
        map_put(&s->failed[side], key, 0);
    }
    return OK;
}

static enum status open_set(struct sets *s, const char *path, int side)
{
    struct folder folder;
    yyjson_val *run, *item;
    TRY(folder_open(s->env, s->arena, path, &folder, s->err));
    TRY(folder_run(&folder, &run, s->err));
    TRY(read_summary(s, path, run, side));
    yyjson_val *billed = yyjson_obj_get(run, "billed");
    size_t index, count;
    TRY(add_source(s, path, run, true, side));
    TRY(add_source(s, path, run, false, side));
    yyjson_arr_foreach(billed, index, count, item)
    {
        const char *other = yyjson_get_str(yyjson_obj_get(item, "path"));
        yyjson_val *other_run;
        struct error missing;
        (void)folder_json(s->env, s->arena, other ? other : "?", "run.json", &other_run, &missing);
        TRY(check_billed_print(s, other ? other : "?", other_run, item, path));
        TRY(add_source(s, other, other_run, false, side));
    }
    return OK;
}

static enum status check_currencies(struct sets *s)
{
    if (text_equal(s->currency[SIDE_A], s->currency[SIDE_B])) {
        return OK;
    }
    (void)fail(s->err, ERR_INPUT, "%s is in %.*s, and %s in %.*s", s->paths[SIDE_A],
               TEXT_ARG(s->currency[SIDE_A]), s->paths[SIDE_B], TEXT_ARG(s->currency[SIDE_B]));
    return fail_hint(s->err, "only amounts of one currency can be compared");
}

/* ---- rows of one payer --------------------------------------------------------------------- */

/* Whose a bill is and for when. */
static enum status split_bill(struct arena *arena, struct text id, struct bill_name *name,
                              struct error *err)
{
    return bill_id_read(arena, id, name)
               ? OK
               : fail(err, ERR_CORRUPT, "'%.*s' is no id of a bill", TEXT_ARG(id));
}

/* The order of payers in files: those of records, then views of usage, then views by source, each
 * by their contracts' ids, which have no control characters. */
enum { PAYER_END = 1 };

static struct text payer_key(struct arena *arena, struct text contract, struct text source,
                             struct text payer)
{
    struct buffer key;
    buffer_init(&key, arena, contract.size + payer.size + 2);
    buffer_add_char(&key, source.size > 0 ? '2' : contract.size > 0 ? '1' : '0');
    if (contract.size > 0) {
        buffer_add_text(&key, contract);
        buffer_add_char(&key, PAYER_END);
    }
    buffer_add_text(&key, payer);
    return buffer_text(&key);
}

static struct text payer_of_key(struct text key)
{
    const char *end = key.at[0] == '0' ? key.at : memchr(key.at, PAYER_END, key.size);
    size_t before = (size_t)(end + 1 - key.at);
    return (struct text){key.at + before, key.size - before};
}

/* As a summary names it: of a view "payer (contract)". */
static struct text name_of_key(struct arena *arena, struct text key)
{
    struct text payer = payer_of_key(key);
    size_t before = key.size - payer.size;
    return before <= 2
               ? payer
               : text_format(arena, "%.*s (%.*s)", TEXT_ARG(payer), (int)(before - 2), key.at + 1);
}

static enum status read_payer(struct sets *s, struct source *source, struct text *payer)
{
    struct error inner = {0};
    enum status status;
    if (source->is_usage) {
        struct usage_text usage;
        status = parse_usage(s->scratch, source->row, source->rows->has_views, &usage, &inner);
        *payer = payer_key(s->scratch, usage.contract, TEXT(""), usage.payer);
    } else {
        struct line line;
        struct text bill;
        struct bill_name name;
        status = parse_line(s->scratch, source->row, &line, &bill, &inner);
        status = status == OK ? split_bill(s->scratch, bill, &name, &inner) : status;
        if (status == OK) {
            *payer = payer_key(s->scratch, name.contract, name.source, name.payer);
        }
    }
    if (status == OK && payer->size < sizeof source->payer) {
        return OK;
    }
    (void)fail(s->err, ERR_CORRUPT, "%s: a row is not as it was written: %s", source->rows->path,
               inner.message);
    return fail_hint(s->err, "bill that period again");
}

static int compare_payer(const struct source *source, struct text payer)
{
    return text_compare((struct text){source->payer, source->payer_size}, payer);
}

static enum status advance(struct sets *s, struct source *source)
{
    TRY(reader_next(source->rows, &source->row, NULL, s->err));
    if (!source->row.at) {
        return OK;
    }
    if (source->first_size > 0 && source->row.size > source->first_size &&
        memcmp(source->row.at, source->first, source->first_size) == 0) {
        return OK; /* as most rows are */
    }
    const char *comma = source->row.at[0] != '"' ? memchr(source->row.at, ',', source->row.size)
                                                 : NULL; /* in quotes there may be others */
    source->first_size = comma ? (size_t)(comma + 1 - source->row.at) : 0;
    if (source->rows->has_views) { /* the last field says it too */
        source->first_size = 0;
    }
    if (source->first_size > sizeof source->first) {
        source->first_size = 0;
    }
    memcpy(source->first, source->row.at, source->first_size);
    struct arena_mark mark = arena_mark(s->scratch);
    struct text payer;
    TRY(read_payer(s, source, &payer));
    if (compare_payer(source, payer) > 0) {
        return fail(s->err, ERR_CORRUPT, "%s: its rows are not in the order of payers",
                    source->rows->path);
    }
    memcpy(source->payer, payer.at, payer.size);
    source->payer_size = payer.size;
    arena_rewind(s->scratch, mark);
    return OK;
}

static enum status take_row(struct sets *s, const struct source *source)
{
    struct text row = text_copy(s->scratch, source->row);
    if (source->is_usage) {
        s->used =
            arena_room(s->scratch, s->used, s->used_count, &s->used_capacity, sizeof *s->used);
        struct used *used = &s->used[s->used_count++];
        used->side = source->side;
        return parse_usage(s->scratch, row, source->rows->has_views, &used->usage, s->err);
    }
    s->pieces =
        arena_room(s->scratch, s->pieces, s->piece_count, &s->piece_capacity, sizeof *s->pieces);
    struct piece *piece = &s->pieces[s->piece_count++];
    struct bill_name name;
    piece->side = source->side;
    TRY(parse_line(s->scratch, row, &piece->line, &piece->bill, s->err));
    TRY(split_bill(s->scratch, piece->bill, &name, s->err));
    piece->period = name.period;
    return OK;
}

/* ---- payer by payer ------------------------------------------------------------------------ */

enum status sets_open(struct sets *s, const char *a, const char *b)
{
    TRY(open_set(s, a, SIDE_A));
    TRY(open_set(s, b, SIDE_B));
    TRY(check_currencies(s));
    for (size_t i = 0; i < s->source_count; i++) {
        TRY(advance(s, s->sources[i]));
    }
    return OK;
}

enum status sets_next(struct sets *s, struct text *payer)
{
    const struct source *least = NULL;
    s->pieces = NULL;
    s->used = NULL;
    s->piece_count = s->piece_capacity = s->used_count = s->used_capacity = 0;
    payer->at = NULL;
    for (size_t i = 0; i < s->source_count; i++) {
        const struct source *at = s->sources[i];
        if (at->row.at &&
            (!least || compare_payer(least, (struct text){at->payer, at->payer_size}) > 0)) {
            least = at;
        }
    }
    if (!least) {
        return OK;
    }
    struct text key = text_copy(s->arena, (struct text){least->payer, least->payer_size});
    for (size_t i = 0; i < s->source_count; i++) {
        struct source *source = s->sources[i];
        while (source->row.at && compare_payer(source, key) == 0) {
            TRY(take_row(s, source));
            TRY(advance(s, source));
        }
    }
    *payer = payer_of_key(key);
    struct text name = name_of_key(s->scratch, key);
    for (int side = 0; side < SIDES; side++) {
        s->is_failed[side] = map_find(&s->failed[side], name) != MAP_NONE;
    }
    return OK;
}

bool sets_share_digest(const struct sets *s, const char *name)
{
    struct text digest = json_text(s->digests[SIDE_A], name);
    return digest.size > 0 && text_equal(digest, json_text(s->digests[SIDE_B], name));
}

void sets_close(struct sets *s)
{
    for (size_t i = 0; i < s->source_count; i++) {
        folder_close(&s->sources[i]->folder);
    }
}
