/* folder.c - see folder.h. */
#include "engine/folder.h"

#include <assert.h>

#include "engine/load.h"
#include "engine/run.h"

enum { READ_BYTES = 1024 * 1024, CSV_ROW_MAX_BYTES = 16 * 1024 * 1024, PERIODS_MAX_BYTES = 160 };
static const size_t JSON_ROW_MAX_BYTES = (size_t)1 << 31;

/* ---- readers -------------------------------------------------------------------------------- */

/* The size of the row at the buffer's beginning; false when its end is not in the buffer. */
static bool find_row(const struct reader *reader, size_t *size)
{
    const char *at = reader->buffer + reader->begin, *end = reader->buffer + reader->end;
    bool in_quotes = false;
    for (const char *from = at; from < end;) {
        const char *newline = memchr(from, '\n', (size_t)(end - from));
        if (!newline) {
            return false;
        }
        if (reader->is_csv) {
            for (const char *quote = from;
                 (quote = memchr(quote, '"', (size_t)(newline - quote))) != NULL; quote++) {
                in_quotes = !in_quotes;
            }
        }
        if (!in_quotes) {
            *size = (size_t)(newline - at);
            return true;
        }
        from = newline + 1;
    }
    return false;
}

static enum status fill(struct reader *reader, size_t *got, struct error *err)
{
    if (reader->begin > 0) {
        memmove(reader->buffer, reader->buffer + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    if (reader->end == reader->capacity) {
        size_t most = reader->is_csv ? (size_t)CSV_ROW_MAX_BYTES : JSON_ROW_MAX_BYTES;
        if (reader->capacity >= most) {
            return fail(err, ERR_CORRUPT, "%s: a row of more than %zu bytes", reader->path, most);
        }
        reader->buffer =
            arena_grow(reader->arena, reader->buffer, reader->end, reader->capacity * 2, 1);
        reader->capacity *= 2;
    }
    TRY(reader->env->file_read_at(reader->env, reader->file, reader->buffer + reader->end,
                                  reader->capacity - reader->end, reader->offset, got, err));
    reader->end += *got;
    reader->offset += *got;
    return OK;
}

enum status reader_next(struct reader *reader, struct text *row, uint64_t *offset,
                        struct error *err)
{
    size_t size;
    while (!find_row(reader, &size)) {
        size_t got;
        TRY(fill(reader, &got, err));
        if (got == 0) {
            *row = (struct text){NULL, 0};
            if (reader->end > reader->begin) {
                (void)fail(err, ERR_CORRUPT, "%s: its last row is cut short", reader->path);
                return fail_hint(err, "copy the output folder again, or bill again");
            }
            return OK;
        }
    }
    *row = (struct text){reader->buffer + reader->begin, size};
    if (offset) {
        *offset = reader->offset - (reader->end - reader->begin);
    }
    reader->begin += size + 1;
    return OK;
}

void reader_seek(struct reader *reader, uint64_t offset)
{
    reader->offset = offset;
    reader->begin = reader->end = 0;
}

void reader_close(struct reader *reader)
{
    if (reader->file) {
        enum status status = reader->env->file_close(reader->env, reader->file, NULL);
        (void)status; /* it was only read */
        reader->file = NULL;
    }
}

/* ---- the folder ----------------------------------------------------------------------------- */

static const char *path_in(struct folder *folder, const char *name)
{
    return text_format(folder->arena, "%s/%s", folder->path, name).at;
}

struct text folder_periods(struct env *env, struct arena *arena, const char *path,
                           const char *between)
{
    struct text *names;
    size_t count;
    struct error ignored;
    struct buffer out;
    buffer_init(&out, arena, 256);
    if (env->folder_list(env, path, arena, &names, &count, &ignored) != OK) {
        count = 0;
    }
    for (size_t i = 0; i < count && out.size < PERIODS_MAX_BYTES; i++) {
        struct text inner = text_format(arena, "%s/%.*s", path, TEXT_ARG(names[i]));
        struct file_info info;
        if (env->file_stat(env, text_format(arena, "%s/run.json", inner.at).at, &info, &ignored) ==
            OK) {
            buffer_format(&out, "%s%.*s", out.size > 0 ? between : "", TEXT_ARG(inner));
        }
    }
    return buffer_text(&out);
}

static enum status not_a_folder(struct env *env, struct arena *arena, const char *path,
                                struct error *err)
{
    (void)fail(err, ERR_INPUT, "%s: no output folder of a bill run", path);
    struct text periods = folder_periods(env, arena, path, ", ");
    return periods.size > 0 ? fail_hint(err, "give one that lies in it: %.*s", TEXT_ARG(periods))
                            : fail_hint(err, "give the folder that `farthing bill --out` wrote");
}

enum status folder_open(struct env *env, struct arena *arena, const char *path,
                        struct folder *folder, struct error *err)
{
    *folder = (struct folder){.env = env, .arena = arena, .path = path};
    struct file_info info;
    TRY(env->file_stat(env, path, &info, err));
    if (info.kind != FILE_FOLDER) {
        return not_a_folder(env, arena, path, err);
    }
    static const char *const NAMES[] = {"bills.ndjson", "lines.csv", "usage.csv"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        enum status status = env->file_stat(env, path_in(folder, NAMES[i]), &info, err);
        if (status == ERR_NOT_FOUND || (status == OK && info.kind != FILE_REGULAR)) {
            return not_a_folder(env, arena, path, err);
        }
        TRY(status);
    }
    return OK;
}

void folder_close(struct folder *folder)
{
    for (int i = 0; i < FOLDER_READERS; i++) {
        reader_close(&folder->readers[i]);
    }
}

enum status folder_read(struct folder *folder, const char *name, const char *header,
                        struct reader **reader, struct error *err)
{
    int free_one = 0;
    while (folder->readers[free_one].file) {
        free_one++;
        assert(free_one < FOLDER_READERS);
    }
    struct reader *made = *reader = &folder->readers[free_one];
    char *buffer = made->buffer ? made->buffer : arena_alloc(folder->arena, READ_BYTES);
    *made = (struct reader){.env = folder->env,
                            .arena = folder->arena,
                            .path = path_in(folder, name),
                            .is_csv = header != NULL,
                            .buffer = buffer,
                            .capacity = READ_BYTES};
    TRY(folder->env->file_open(folder->env, made->path, &made->file, err));
    if (header) {
        struct text row, wanted = {header, strlen(header) - 1};
        TRY(reader_next(made, &row, NULL, err));
        bool has_views = row.at && row.size == wanted.size + strlen(VIEWS_HEADER) &&
                         memcmp(row.at + wanted.size, VIEWS_HEADER, strlen(VIEWS_HEADER)) == 0;
        made->has_views = has_views;
        row.size = has_views ? wanted.size : row.size;
        if (!row.at) {
            (void)fail(err, ERR_CORRUPT, "%s: is empty, and had a header", made->path);
            return fail_hint(err, "copy the output folder again, or bill again");
        }
        if (!text_equal(row, wanted)) {
            (void)fail(err, ERR_INPUT, "%s:1: not the header of this version of Farthing",
                       made->path);
            return fail_hint(err, "bill again with this version");
        }
    }
    return OK;
}

static enum status hash_file(struct env *env, struct file *file, char *buffer, uint64_t *size,
                             struct hash128 *print, struct error *err)
{
    for (size_t held = 0, got = 1; got > 0; held = 0) {
        while (held < HASH_BLOCK_BYTES && got > 0) {
            TRY(env->file_read(env, file, buffer + held, HASH_BLOCK_BYTES - held, &got, err));
            held += got;
        }
        *size += held;
        *print = held > 0 ? hash_block(*print, buffer, held) : *print;
    }
    return OK;
}

/* ,"print":"..."}, and a newline, at the end of run.json. */
static const char PRINT_BEGINS[] = ",\"print\":\"", PRINT_ENDS[] = "\"}\n";
enum {
    PRINT_DIGITS = 32,
    PRINT_BYTES = sizeof PRINT_BEGINS + PRINT_DIGITS + sizeof PRINT_ENDS - 2
};

void folder_end_run(struct buffer *run)
{
    char print[PRINT_DIGITS + 1];
    hash128_format(hash_blocks(run->at, run->size), print);
    buffer_format(run, "%s%s%s", PRINT_BEGINS, print, PRINT_ENDS);
}

bool folder_run_is_whole(struct text json)
{
    char print[PRINT_DIGITS + 1], end[PRINT_BYTES + 1];
    if (json.size < PRINT_BYTES) {
        return true;
    }
    size_t size = json.size - PRINT_BYTES;
    const char *at = json.at + size;
    hash128_format(hash_blocks(json.at, size), print);
    (void)snprintf(end, sizeof end, "%s%s%s", PRINT_BEGINS, print, PRINT_ENDS);
    bool has_print = memcmp(at, PRINT_BEGINS, sizeof PRINT_BEGINS - 1) == 0;
    return !has_print || memcmp(at, end, PRINT_BYTES) == 0;
}

enum status folder_json(struct env *env, struct arena *arena, const char *folder, const char *name,
                        yyjson_val **root, struct error *err)
{
    struct text json;
    struct file_info info;
    const char *path = text_format(arena, "%s/%s", folder, name).at;
    *root = NULL;
    TRY(env->file_stat(env, folder, &info, err));
    if (info.kind != FILE_FOLDER) {
        return not_a_folder(env, arena, folder, err);
    }
    enum status status = load_bytes(env, arena, path, RUN_FILE_MAX_BYTES, &json, err);
    if (status == ERR_NOT_FOUND) {
        (void)fail(err, ERR_INPUT, "%s: there is no %s, so this is no whole output folder", folder,
                   name);
        struct text periods = folder_periods(env, arena, folder, ", ");
        return periods.size > 0
                   ? fail_hint(err, "give one that lies in it: %.*s", TEXT_ARG(periods))
                   : fail_hint(err, "give a folder as `farthing bill` left it");
    }
    TRY(status);
    *root = yyjson_doc_get_root(arena_read_json(arena, json));
    if (yyjson_is_obj(*root) && folder_run_is_whole(json)) {
        return OK;
    }
    *root = NULL;
    (void)fail(err, ERR_CORRUPT, "%s: is damaged", path);
    return fail_hint(err, "copy the output folder again, or bill again");
}

enum status folder_run(struct folder *folder, yyjson_val **run, struct error *err)
{
    return folder_json(folder->env, folder->arena, folder->path, "run.json", run, err);
}

enum status folder_check(struct folder *folder, yyjson_val *run, const char *name,
                         struct error *err)
{
    struct env *env = folder->env;
    const char *path = path_in(folder, name);
    char *buffer = arena_alloc(folder->arena, HASH_BLOCK_BYTES), hex[33];
    yyjson_val *wanted = yyjson_obj_get(yyjson_obj_get(run, "files"), name);
    struct hash128 print = {0};
    uint64_t size = 0;
    struct file *file;
    TRY(env->file_open(env, path, &file, err));
    enum status status = hash_file(env, file, buffer, &size, &print, err);
    enum status closed = env->file_close(env, file, status == OK ? err : NULL);
    TRY(status);
    TRY(closed);
    hash128_format(print, hex);
    if (size == yyjson_get_uint(yyjson_obj_get(wanted, "size")) &&
        text_equal(json_text(wanted, "print"), text_of(hex))) {
        return OK;
    }
    (void)fail(err, ERR_CORRUPT, "%s: is not as the run wrote it", path);
    return fail_hint(err, "a run was stopped while it replaced files, or the file was edited: bill "
                          "that period again");
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void *json_allocate(void *context, size_t size)
{
    return arena_alloc(context, size);
}

static void *json_reallocate(void *context, void *old, size_t old_size, size_t size)
{
    return arena_grow(context, old, old_size < size ? old_size : size, size, 1);
}

static void json_free(void *context, void *block)
{
    (void)context;
    (void)block;
}

yyjson_doc *arena_read_json(struct arena *arena, struct text json)
{
    yyjson_alc memory = {json_allocate, json_reallocate, json_free, arena};
    return yyjson_read_opts((char *)(uintptr_t)json.at, json.size, 0, &memory, NULL);
}

struct text json_text(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    return yyjson_is_str(value) ? (struct text){yyjson_get_str(value), yyjson_get_len(value)}
                                : TEXT("");
}

enum status head_parse(struct arena *arena, struct text json, struct bill_head *head,
                       struct error *err)
{
    yyjson_doc *doc = arena_read_json(arena, json);
    yyjson_val *object = yyjson_doc_get_root(doc);
    *head = (struct bill_head){.json = json,
                               .bill = json_text(object, "bill"),
                               .kind = json_text(object, "kind"),
                               .provider = json_text(object, "provider"),
                               .payer = json_text(object, "payer"),
                               .contract = json_text(object, "contract"),
                               .source = json_text(object, "source"),
                               .seller = json_text(object, "seller"),
                               .currency = json_text(object, "currency"),
                               .total = json_text(object, "total"),
                               .exact = json_text(object, "exact"),
                               .line_count = yyjson_get_uint(yyjson_obj_get(object, "lines")),
                               .proof = yyjson_obj_get(object, "proof"),
                               .inputs = yyjson_obj_get(object, "inputs"),
                               .sections = yyjson_obj_get(object, "sections"),
                               .settlement = yyjson_obj_get(object, "settlement"),
                               .pending = yyjson_obj_get(object, "pending"),
                               .parts = yyjson_obj_get(object, "parts")};
    if (head->bill.size == 0 || head->payer.size == 0 || head->total.size == 0 ||
        !yyjson_is_obj(head->proof) || !yyjson_is_obj(head->inputs) ||
        !time_read(json_text(object, "from"), &head->period.from) ||
        !time_read(json_text(object, "to"), &head->period.to)) {
        return fail(err, ERR_CORRUPT, "bills.ndjson: a line is no bill");
    }
    return OK;
}

enum status folder_find_head(struct folder *folder, struct text bill, struct bill_head *head,
                             struct error *err)
{
    struct reader *bills;
    TRY(folder_read(folder, "bills.ndjson", NULL, &bills, err));
    struct buffer start;
    buffer_init(&start, folder->arena, bill.size + 16);
    buffer_add_text(&start, TEXT("{\"bill\":"));
    buffer_add_json(&start, bill);
    buffer_add_char(&start, ',');
    for (struct text row;;) {
        TRY(reader_next(bills, &row, NULL, err));
        if (!row.at) {
            reader_close(bills);
            return fail(err, ERR_NOT_FOUND, "%s: no bill %.*s", folder->path, TEXT_ARG(bill));
        }
        if (text_starts_with(row, buffer_text(&start))) {
            struct text json = text_copy(folder->arena, row);
            reader_close(bills);
            return head_parse(folder->arena, json, head, err);
        }
    }
}

enum status folder_find_lines(struct folder *folder, struct text bill, struct reader **lines,
                              uint64_t *offset, struct error *err)
{
    TRY(folder_read(folder, "lines.csv", LINES_HEADER, lines, err));
    struct buffer start;
    buffer_init(&start, folder->arena, bill.size + 16);
    add_csv_text(&start, bill);
    buffer_add_char(&start, ',');
    for (struct text row;;) {
        TRY(reader_next(*lines, &row, offset, err));
        if (!row.at) {
            reader_close(*lines);
            return fail(err, ERR_NOT_FOUND, "%s: no lines of bill %.*s", folder->path,
                        TEXT_ARG(bill));
        }
        if (text_starts_with(row, buffer_text(&start))) {
            reader_seek(*lines, *offset);
            return OK;
        }
    }
}
