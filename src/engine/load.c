/* load.c - what a run needs before the first event: catalog, accounts, whose turns it bills; and,
 * of others, the state that is carried in. */
#include <stdlib.h>

#include "engine/issued.h"
#include "engine/load.h"
#include "engine/opening.h"
#include "engine/restatement.h"
#include "engine/run.h"
#include "engine/sourced.h"
#include "engine/waiting.h"
#include "engine/wallets.h"

/* The catalog's own limit is 1 MB, and it says so as a complaint; this only keeps a run from
 * reading anything. */
enum { CATALOG_FILE_MAX_BYTES = 64 * 1024 * 1024, ZONE_MAX_BYTES = 1024 * 1024 };

/* Reads a file with body and closes it, also when body finds no memory: the arena's owner is told
 * after that. */
static enum status read_file(struct env *env, struct arena *arena, const char *path,
                             const char *hint,
                             enum status (*body)(void *context, struct file *file,
                                                 const struct file_info *info, struct error *err),
                             void *context, struct error *err)
{
    struct file_info info;
    TRY(env->file_stat(env, path, &info, err));
    if (info.kind != FILE_REGULAR && info.kind != FILE_PIPE) {
        (void)fail(err, ERR_INPUT, "%s is no file", path);
        return err ? fail_hint(err, "%s", hint) : ERR_INPUT;
    }
    struct file *file;
    TRY(env->file_open(env, path, &file, err));
    jmp_buf here, *outer = arena->recover;
    if (ARENA_RECOVER(arena, here)) {
        arena->recover = outer;
        (void)env->file_close(env, file, NULL);
        arena_run_out(arena);
    }
    enum status status = body(context, file, &info, err);
    arena->recover = outer;
    enum status closed = env->file_close(env, file, status == OK ? err : NULL);
    return status == OK ? closed : status;
}

struct whole_file {
    struct env *env;
    struct arena *arena;
    const char *path;
    uint64_t size_max;
    struct text bytes;
    struct file_info info;
};

static enum status read_whole(void *context, struct file *file, const struct file_info *info,
                              struct error *err)
{
    struct whole_file *whole = context;
    struct env *env = whole->env;
    size_t most = (size_t)whole->size_max + 1;
    size_t capacity = info->size_bytes > 0 ? (size_t)info->size_bytes + 1 : 64 * 1024;
    capacity = capacity < most ? capacity : most;
    char *at = arena_alloc(whole->arena, capacity);
    size_t size = 0, got = 1;
    while (got > 0 && size < most) {
        if (size == capacity) {
            at = arena_grow(whole->arena, at, size, capacity * 2, 1);
            capacity *= 2;
        }
        TRY(env->file_read(env, file, at + size, capacity - size, &got, err));
        size += got;
    }
    if (size >= most) {
        (void)fail(err, ERR_LIMIT, "%s: more than %llu bytes", whole->path,
                   (unsigned long long)whole->size_max);
        return err ? fail_hint(err, "split it into several files") : ERR_LIMIT;
    }
    whole->bytes = (struct text){at, size};
    whole->info = *info;
    return OK;
}

enum status load_bytes(struct env *env, struct arena *arena, const char *path, uint64_t size_max,
                       struct text *bytes, struct error *err)
{
    struct whole_file whole = {.env = env, .arena = arena, .path = path, .size_max = size_max};
    TRY(read_file(env, arena, path, "give a regular file", read_whole, &whole, err));
    *bytes = whole.bytes;
    return OK;
}

/* ---- zones ----------------------------------------------------------------------------------- */

struct zone_list {
    struct zone_source source;
    struct env *env;
    struct arena *arena;
    const char *folder;
    struct text *names;
    struct text *bytes;
    uint32_t count, capacity;
};

/* Names of zones: letters, digits and _+-/ with no dots, so that none leaves the folder. */
static bool is_zone_name(struct text name)
{
    if (name.size == 0 || name.size > 64 || name.at[0] == '/' || name.at[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        char c = name.at[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '_' && c != '+' && c != '-' && c != '/') {
            return false;
        }
    }
    return true;
}

static bool find_zone(void *context, struct text name, struct text *bytes)
{
    struct zone_list *list = context;
    for (uint32_t i = 0; i < list->count; i++) {
        if (text_equal(list->names[i], name)) {
            *bytes = list->bytes[i];
            return true;
        }
    }
    if (!is_zone_name(name)) {
        return false;
    }
    struct text path = text_format(list->arena, "%s/%.*s", list->folder, TEXT_ARG(name));
    if (load_bytes(list->env, list->arena, path.at, ZONE_MAX_BYTES, bytes, NULL) != OK) {
        return false;
    }
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 8;
        list->names =
            arena_grow(list->arena, list->names, list->count, capacity, sizeof *list->names);
        list->bytes =
            arena_grow(list->arena, list->bytes, list->count, capacity, sizeof *list->bytes);
        list->capacity = capacity;
    }
    list->names[list->count] = text_copy(list->arena, name);
    list->bytes[list->count++] = *bytes;
    return true;
}

struct zone_source *zone_source_new(struct env *env, struct arena *arena, const char *folder)
{
    struct zone_list *list = arena_calloc(arena, 1, sizeof *list);
    list->source = (struct zone_source){.context = list, .find = find_zone};
    list->env = env;
    list->arena = arena;
    list->folder = folder ? folder : "/usr/share/zoneinfo";
    return &list->source;
}

static int compare_texts(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

/* Of all zones that were asked for. */
static struct text digest_zones(struct zone_source *source)
{
    struct zone_list *list = source->context;
    struct text *entries = arena_calloc(list->arena, list->count + 1, sizeof *entries);
    for (uint32_t i = 0; i < list->count; i++) {
        char hex[65];
        struct digest digest = hash_digest(list->bytes[i]);
        digest_format(&digest, hex);
        entries[i] = text_format(list->arena, "%.*s %s\n", TEXT_ARG(list->names[i]), hex);
    }
    if (list->count > 1) {
        qsort(entries, list->count, sizeof *entries, compare_texts);
    }
    struct buffer all;
    buffer_init(&all, list->arena, 128);
    for (uint32_t i = 0; i < list->count; i++) {
        buffer_add_text(&all, entries[i]);
    }
    struct digest digest = hash_digest(buffer_text(&all));
    char *hex = arena_alloc(list->arena, 65);
    digest_format(&digest, hex);
    return (struct text){hex, 64};
}

/* ---- catalog and accounts -------------------------------------------------------------------- */

struct file_list {
    struct catalog_file *items;
    struct file_info *infos;
    uint32_t count, capacity;
};

static bool ends_with(struct text name, const char *end)
{
    size_t size = strlen(end);
    return name.size >= size && memcmp(name.at + name.size - size, end, size) == 0;
}

static bool is_catalog_name(struct text name)
{
    return ends_with(name, ".yaml") || ends_with(name, ".yml") || ends_with(name, ".json");
}

static enum status add_file(struct env *env, struct arena *arena, struct file_list *list,
                            const char *path, struct error *err)
{
    struct whole_file whole = {
        .env = env, .arena = arena, .path = path, .size_max = CATALOG_FILE_MAX_BYTES};
    TRY(read_file(env, arena, path, "give a regular file", read_whole, &whole, err));
    for (uint32_t i = 0; i < list->count && whole.info.kind == FILE_REGULAR; i++) {
        if (list->infos[i].inode == whole.info.inode &&
            list->infos[i].device == whole.info.device) {
            struct text other = list->items[i].name;
            if (text_equal(other, text_of(path))) {
                return fail(err, ERR_INPUT, "%s is given twice", path);
            }
            return fail(err, ERR_INPUT, "%s is given twice: %.*s is the same file", path,
                        TEXT_ARG(other));
        }
    }
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 8;
        list->items = arena_grow(arena, list->items, list->count, capacity, sizeof *list->items);
        list->infos = arena_grow(arena, list->infos, list->count, capacity, sizeof *list->infos);
        list->capacity = capacity;
    }
    list->infos[list->count] = whole.info;
    list->items[list->count++] =
        (struct catalog_file){.name = text_copy(arena, text_of(path)), .bytes = whole.bytes};
    return OK;
}

static enum status add_catalog_path(struct env *env, struct arena *arena, struct file_list *list,
                                    const char *path, struct error *err)
{
    struct file_info info;
    TRY(env->file_stat(env, path, &info, err));
    if (info.kind != FILE_FOLDER) {
        return add_file(env, arena, list, path, err);
    }
    struct text *names;
    size_t count;
    TRY(env->folder_list(env, path, arena, &names, &count, err));
    uint32_t before = list->count;
    for (size_t i = 0; i < count; i++) {
        if (names[i].size > 0 && names[i].at[0] != '.' && is_catalog_name(names[i])) {
            struct text file = text_format(arena, "%s/%.*s", path, TEXT_ARG(names[i]));
            TRY(add_file(env, arena, list, file.at, err));
        }
    }
    if (list->count == before) {
        (void)fail(err, ERR_INPUT, "%s: no catalog here", path);
        return fail_hint(err, "a catalog is one or more .yaml, .yml or .json files");
    }
    return OK;
}

/* Files that tables name. What is not the catalog's fault ends the run. */
struct beside {
    struct table_source source;
    struct env *env;
    struct arena *arena;
    struct error err;
};

static bool find_beside(void *context, struct text path, struct text *bytes, struct text *reason)
{
    struct beside *beside = context;
    struct error err = {0};
    const char *name = text_copy(beside->arena, path).at;
    enum status status =
        load_bytes(beside->env, beside->arena, name, CATALOG_FILE_MAX_BYTES, bytes, &err);
    if (status == ERR_NOT_FOUND || status == ERR_INPUT) {
        *reason = text_format(beside->arena, "%s", err.message);
    } else if (status != OK && beside->err.status == OK) {
        beside->err = err;
    }
    return status == OK;
}

struct record_file {
    struct env *env;
    struct arena *arena;
    struct accounts_builder *builder;
    const char *path;
    struct complaints *complaints;
};

static enum status read_records(void *context, struct file *file, const struct file_info *,
                                struct error *err)
{
    enum { PIECE_BYTES = 256 * 1024 };
    const struct record_file *records = context;
    struct text name = text_copy(records->arena, text_of(records->path));
    char *piece = arena_alloc(records->arena, PIECE_BYTES);
    for (size_t got = 1; got > 0;) {
        TRY(records->env->file_read(records->env, file, piece, PIECE_BYTES, &got, err));
        accounts_feed(records->builder, name, (struct text){piece, got}, got == 0,
                      records->complaints);
    }
    return OK;
}

static enum status feed_records(struct env *env, struct arena *arena,
                                struct accounts_builder *builder, const char *path,
                                struct complaints *complaints, struct error *err)
{
    struct record_file records = {env, arena, builder, path, complaints};
    return read_file(env, arena, path,
                     "give CSV or NDJSON files of accounts, memberships or overrides", read_records,
                     &records, err);
}

static void sort_complaints(struct complaints *complaints);

static struct text line_of(struct text bytes, uint32_t line)
{
    const char *at = bytes.at, *end = bytes.at + bytes.size;
    for (uint32_t i = 1; i < line && at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    size_t size = (size_t)((newline ? newline : end) - at);
    size -= size > 0 && at[size - 1] == '\r';
    return (struct text){at, size};
}

/* What is wrong inside an expression is shown in its line. */
static void quote_sources(const struct file_list *files, struct complaints *complaints)
{
    static const char prefix[] = "EXPRESSION";
    for (uint32_t i = 0; i < complaints->count; i++) {
        struct complaint *item = &complaints->items[i];
        if (strncmp(item->code, prefix, sizeof prefix - 1) != 0 || item->place.line == 0) {
            continue;
        }
        for (uint32_t f = 0; f < files->count; f++) {
            if (text_equal(files->items[f].name, item->place.file)) {
                item->source = line_of(files->items[f].bytes, item->place.line);
                break;
            }
        }
    }
}

static enum status load_on_stage(struct env *env, struct arena *arena, struct arena *stage,
                                 const struct load_inputs *inputs, struct complaints *complaints,
                                 struct loaded *loaded, struct error *err)
{
    *complaints = (struct complaints){.arena = arena};
    struct file_list files = {0};
    for (size_t i = 0; i < inputs->catalog.count; i++) {
        TRY(add_catalog_path(env, arena, &files, inputs->catalog.items[i], err));
    }
    struct zone_source *zones = zone_source_new(env, arena, inputs->zone_folder);
    struct beside beside = {.env = env, .arena = arena};
    beside.source = (struct table_source){.context = &beside, .find = find_beside};
    struct catalog_input input = {.files = files.items,
                                  .file_count = files.count,
                                  .zones = zones,
                                  .tables = &beside.source,
                                  .exact_rounding_default = inputs->is_exact};
    struct accounts_builder *builder = accounts_builder_new(arena, stage, input.zones);
    enum status status = catalog_load(arena, &input, builder, &loaded->catalog, complaints, err);
    if (beside.err.status != OK) {
        *complaints = (struct complaints){.arena = arena};
        if (err) {
            *err = beside.err;
        }
        return beside.err.status;
    }
    for (size_t i = 0; i < inputs->accounts.count; i++) {
        TRY(feed_records(env, arena, builder, inputs->accounts.items[i], complaints, err));
    }
    if (status == OK) {
        status = accounts_finish(builder, loaded->catalog, &loaded->accounts, complaints, err);
    }
    sort_complaints(complaints);
    quote_sources(&files, complaints);
    loaded->zones_digest = digest_zones(zones);
    return status;
}

/* What is on its way has an arena that goes when all is loaded: it is as large as what stays. */
enum status load_catalog(struct env *env, struct arena *arena, const struct load_inputs *inputs,
                         struct complaints *complaints, struct loaded *loaded, struct error *err)
{
    struct arena *stage = arena_alloc(arena, sizeof *stage);
    arena_init(stage, &env->memory, 0);
    stage->block_max_bytes = arena->block_max_bytes;
    jmp_buf here, *outer = arena->recover;
    if (ARENA_RECOVER(arena, here)) {
        arena->recover = outer;
        arena_release(stage);
        arena_run_out(arena);
    }
    enum status status = load_on_stage(env, arena, stage, inputs, complaints, loaded, err);
    arena->recover = outer;
    arena_release(stage);
    return status;
}

static int compare_complaints(const void *a_item, const void *b_item)
{
    const struct complaint *a = a_item, *b = b_item;
    int order = text_compare(a->place.file, b->place.file);
    if (order == 0 && a->place.line != b->place.line) {
        order = a->place.line < b->place.line ? -1 : 1;
    }
    if (order == 0 && a->place.column != b->place.column) {
        order = a->place.column < b->place.column ? -1 : 1;
    }
    return order ? order : strcmp(a->message, b->message);
}

static void sort_complaints(struct complaints *complaints)
{
    if (complaints->count > 1) {
        qsort(complaints->items, complaints->count, sizeof *complaints->items, compare_complaints);
    }
}

/* ---- billing clocks and cuts ----------------------------------------------------------------- */

/* False when every payer has one bill, of the whole period. */
static bool any_cuts(const struct run *run)
{
    return !billing_is_calendar(run->catalog) ||
           clock_turn(&run->catalog->billing, run->period.from).to < run->period.to;
}

struct billing_of run_billing(const struct run *run, uint32_t payer)
{
    return billing_of(run->catalog, run->accounts, payer, run->period.from);
}

/* What a payer is billed for in this run, bill by bill: the turns of a clock of its own that begin
 * in the period; of the calendar's, the parts of its turns that lie in the period, so that a
 * quarter of monthly bills is three bills and ten days are a split of one. */
static uint32_t find_cuts(const struct run *run, uint32_t payer, struct period *cuts,
                          uint32_t capacity)
{
    const struct billing_of of = run_billing(run, payer);
    uint32_t count = 0;
    struct period turn = billing_turn(&of, run->period.from);
    for (; turn.from < run->period.to; turn = billing_turn(&of, turn.to)) {
        bool is_custom = billing_at(&of, turn.from).is_custom;
        if (is_custom && turn.from < run->period.from) {
            continue; /* of the run in which it began */
        }
        if (count < capacity) {
            cuts[count] = is_custom ? turn : period_intersect(turn, run->period);
        }
        count++;
    }
    return count;
}

static void make_cuts(struct run *run)
{
    run->has_cuts = any_cuts(run);
    run->cuts_end = run->period.to;
    if (!run->has_cuts) {
        run->turn = clock_turn(&run->catalog->billing, run->period.to - 1);
        return;
    }
    uint32_t count = run->accounts->count;
    uint32_t *first = arena_calloc(&run->arena, count + 1, sizeof *first);
    for (uint32_t i = 0; i < count; i++) {
        first[i + 1] = first[i] + find_cuts(run, i, NULL, 0);
    }
    struct period *cuts = arena_calloc(&run->arena, first[count] + 1, sizeof *cuts);
    for (uint32_t i = 0; i < count; i++) {
        (void)find_cuts(run, i, cuts + first[i], first[i + 1] - first[i]);
    }
    for (uint32_t i = 0; i < first[count]; i++) {
        run->cuts_end = cuts[i].to > run->cuts_end ? cuts[i].to : run->cuts_end;
    }
    run->cut_first = first;
    run->cuts = cuts;
}

/* Rows say the second in which their slots begin, counted from the period's start in 32 bits. */
static enum status check_length(struct run *run)
{
    if (run->cuts_end - run->period.from <= ((instant)1 << 32) * NS_PER_SECOND) {
        return OK;
    }
    (void)fail(run->err, ERR_INPUT,
               "the period %s, with the turns that begin in it, is longer than "
               "136 years (4,294,967,296 seconds)",
               run->options->period);
    return fail_hint(run->err, "bill it in several runs, each with the closing of the one before");
}

bool run_cut(const struct run *run, uint32_t payer, instant at, struct period *cut)
{
    if (!run->has_cuts) {
        *cut = run->period;
        return period_has(run->period, at);
    }
    for (uint32_t i = run->cut_first[payer]; i < run->cut_first[payer + 1]; i++) {
        if (period_has(run->cuts[i], at)) {
            *cut = run->cuts[i];
            return true;
        }
    }
    return false;
}

/* ---- members of payers ----------------------------------------------------------------------- */

struct member_entry {
    uint32_t payer;
    struct member_span member;
};

static int compare_members(const void *a_item, const void *b_item)
{
    const struct member_entry *a = a_item, *b = b_item;
    if (a->payer != b->payer) {
        return a->payer < b->payer ? -1 : 1;
    }
    if (a->member.account != b->member.account) {
        return a->member.account < b->member.account ? -1 : 1;
    }
    const instant from = a->member.span.from, other = b->member.span.from;
    return (from > other) - (from < other);
}

/* Who pays for an account from when to when, over all time: fixed prices in advance look beyond the
 * period. */
static void make_members(struct run *run)
{
    bool has_fixed = run->catalog->has_waiting_terms || run->catalog->has_sales ||
                     run->catalog->has_shared_limits || run->catalog->has_contract_currencies ||
                     run->accounts->commitment_count > 0;
    for (uint32_t p = 0; p < run->catalog->price_count; p++) {
        has_fixed |= run->catalog->prices[p].has_fixed;
    }
    if (!has_fixed) {
        return;
    }
    const struct accounts *accounts = run->accounts;
    const size_t expected = accounts->count + 2 * (size_t)accounts->membership_count + 16;
    uint32_t capacity = expected < ARENA_ITEMS_MAX ? (uint32_t)expected : ARENA_ITEMS_MAX;
    uint32_t count = 0;
    struct member_entry *entries = arena_alloc(&run->arena, capacity * sizeof *entries);
    for (uint32_t a = 0; a < accounts->count; a++) {
        for (instant at = INSTANT_MIN, next; at < INSTANT_MAX; at = next) {
            uint32_t payer = accounts_payer(accounts, a, at);
            (void)accounts_edge(accounts, run->catalog, a, at, &next);
            bool is_only_buyer =
                a < accounts->own_count && accounts->is_only_buyer && accounts->is_only_buyer[a];
            if (is_only_buyer || !accounts_is_billed(accounts, run->catalog, payer, at)) {
                continue;
            }
            struct member_entry *last = count > 0 ? &entries[count - 1] : NULL;
            if (last && last->member.account == a && last->payer == payer &&
                last->member.span.to == at) {
                last->member.span.to = next;
                continue;
            }
            entries = arena_room(&run->arena, entries, count, &capacity, sizeof *entries);
            entries[count++] = (struct member_entry){payer, {a, {at, next}}};
        }
    }
    qsort(entries, count, sizeof *entries, compare_members);
    uint32_t *first = arena_calloc(&run->arena, accounts->count + 2, sizeof *first);
    struct member_span *members = arena_calloc(&run->arena, count + 1, sizeof *members);
    for (uint32_t i = 0; i < count; i++) {
        members[i] = entries[i].member;
        first[entries[i].payer + 1]++;
    }
    for (uint32_t a = 0; a < accounts->count; a++) {
        first[a + 1] += first[a];
    }
    run->members = members;
    run->member_first = first;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum status fail_period(struct run *run, enum time_fault fault)
{
    const char *period = run->options->period;
    const struct zone *zone = run->catalog->billing.zone;
    const char *slash = strchr(period, '/');
    instant from, to;
    if (slash &&
        time_parse_date((struct text){period, (size_t)(slash - period)}, zone, &from) == TIME_OK &&
        time_parse_date(text_of(slash + 1), zone, &to) == TIME_OK && from >= to) {
        (void)fail(run->err, ERR_INPUT, "the period %s %s", period,
                   from == to ? "is empty: it ends where it begins" : "ends before it begins");
        return fail_hint(run->err, "the end is not included: the first of October alone is "
                                   "2026-10-01/2026-10-02, or 2026-10-01");
    }
    (void)fail(run->err, ERR_INPUT, "'%s' is no period%s", period,
               fault == TIME_RANGE  ? " that can be billed: times go from 1970 to 2261"
               : fault == TIME_ZONE ? ": a time of day needs its zone, such as Z or +02:00"
                                    : "");
    return fail_hint(run->err,
                     "write 2026-10, 2026-10-05, 2026-W40, 2026-Q4, 2026, or days or times "
                     "such as 2026-10-01/2026-11-01");
}

static enum status parse_period(struct run *run)
{
    struct text text = text_of(run->options->period);
    enum time_fault fault = period_parse(text, run->catalog->billing.zone, &run->period);
    if (fault != TIME_OK) {
        return fail_period(run, fault);
    }
    if (run->period.from % NS_PER_SECOND != 0 || run->period.to % NS_PER_SECOND != 0) {
        return fail(run->err, ERR_INPUT, "%s: a period begins and ends at whole seconds",
                    run->options->period);
    }
    return restatement_check_period(run);
}

const struct csv_mapping *csv_mapping_new(struct arena *arena, const struct catalog *catalog)
{
    const struct csv_columns *csv = &catalog->csv;
    if (!catalog->has_csv) {
        return NULL;
    }
    struct csv_mapping *mapping = arena_calloc(arena, 1, sizeof *mapping);
    struct csv_column *columns = arena_calloc(arena, csv->count + 1, sizeof *columns);
    struct csv_constant *constants =
        arena_calloc(arena, csv->constant_count + 1, sizeof *constants);
    for (uint32_t i = 0; i < csv->count; i++) {
        columns[i] = (struct csv_column){csv->columns[i], csv->targets[i], csv->is_number[i]};
    }
    for (uint32_t i = 0; i < csv->constant_count; i++) {
        constants[i] = (struct csv_constant){csv->constant_targets[i], csv->constant_values[i]};
    }
    *mapping =
        (struct csv_mapping){csv->separator, columns, csv->count, constants, csv->constant_count};
    return mapping;
}

instant late_before(const struct catalog *catalog, instant at)
{
    if (!catalog->has_late_periods) {
        return INSTANT_MIN;
    }
    instant from = clock_turn(&catalog->billing, at).from;
    for (uint32_t i = 0; i < catalog->late_periods && from > 0; i++) {
        from = clock_turn(&catalog->billing, from - 1).from;
    }
    return from;
}

enum status load_state(struct run *run)
{
    TRY(parse_period(run));
    run->late_before = late_before(run->catalog, run->period.from);
    run->late_max = restatement_late_max(run);
    make_cuts(run);
    TRY(check_length(run));
    make_members(run);
    wallets_find(run);
    sourced_find(run);
    run->csv_mapping = csv_mapping_new(&run->arena, run->catalog);
    TRY(load_opening(run));
    waiting_find(run);
    TRY(load_issued(run));
    restatement_hold(run);
    return taken_back_check(run);
}
