/* issued.c - bills issued before, as --billed gives them: their lines, which a new bill is less by,
 * and what tells that something was not given.
 *
 * A difference is only right when what was billed is given whole, and all that is known is given
 * again.  Neither can be proved from the inputs, so what looks otherwise is a warning: a folder of
 * which nothing is billed here, corrections without the bill they correct, fewer events than then.
 */
#include <stdlib.h>

#include "base/sort.h"
#include "engine/folder.h"
#include "engine/issued.h"
#include "engine/load.h"
#include "engine/run.h"

static int compare_issued(const void *a_item, const void *b_item)
{
    const struct issued_line *a = a_item, *b = b_item;
    if (a->payer != b->payer) {
        return a->payer < b->payer ? -1 : 1;
    }
    if (a->period.from != b->period.from) {
        return a->period.from < b->period.from ? -1 : 1;
    }
    return a->period.to < b->period.to ? -1 : a->period.to > b->period.to;
}

uint32_t issued_first(const struct run *run, uint32_t payer)
{
    return sort_first(run->issued.lines, run->issued.line_count, sizeof *run->issued.lines,
                      offsetof(struct issued_line, payer), payer);
}

bool issued_next(const struct run *run, uint32_t payer, uint32_t first, uint32_t *end)
{
    *end = first;
    while (*end < run->issued.line_count && run->issued.lines[*end].payer == payer &&
           period_equal(run->issued.lines[*end].period, run->issued.lines[first].period)) {
        ++*end;
    }
    return *end > first;
}

/* Whose a bill is and for when. */
static enum status read_bill_id(struct run *run, struct text id, struct issued_line *issued,
                                struct error *err)
{
    struct bill_name name;
    if (!bill_id_read(&run->arena, id, &name)) {
        return fail(err, ERR_INPUT, "'%.*s' is no id of a bill", TEXT_ARG(id));
    }
    if (!text_equal(name.provider, run->catalog->name)) {
        (void)fail(err, ERR_INPUT, "the bill %.*s is of another provider than the catalog %.*s",
                   TEXT_ARG(id), TEXT_ARG(run->catalog->name));
        return fail_hint(err, "give bills that were made with this catalog's name");
    }
    issued->period = name.period;
    issued->payer = run_payer(run, name.payer, name.contract);
    if (issued->payer == MAP_NONE && name.contract.size > 0) {
        (void)fail(err, ERR_INPUT, "the bill %.*s is of no contract that has bills of its own",
                   TEXT_ARG(id));
        return fail_hint(err, "keep contracts that were billed, and end them with `to:`");
    }
    if (issued->payer == MAP_NONE) {
        (void)fail(err, ERR_INPUT, "the payer of bill %.*s is no account", TEXT_ARG(id));
        return fail_hint(err, "keep accounts that were billed among the accounts");
    }
    return OK;
}

/* The bytes of the CSV row at an offset, without its newline; a quoted field may hold newlines. */
static size_t row_size(struct text bytes, size_t at)
{
    bool in_quotes = false;
    size_t i = at;
    while (i < bytes.size && (in_quotes || bytes.at[i] != '\n')) {
        in_quotes ^= bytes.at[i] == '"';
        i++;
    }
    return i - at;
}

enum status check_written(struct run *run, const char *folder, const char *name, struct text bytes,
                          char print[33])
{
    struct error *err = run->err;
    struct text path = text_format(&run->arena, "%s/run.json", folder), json;
    enum status loaded = load_bytes(run->env, &run->arena, path.at, RUN_FILE_MAX_BYTES, &json, err);
    if (loaded != OK && loaded != ERR_NOT_FOUND) {
        return loaded; /* it is there, and cannot be read */
    }
    if (loaded != OK) {
        (void)fail(err, ERR_INPUT, "%s: there is no run.json, so this is no whole output folder",
                   folder);
        return fail_hint(err, "give a folder as `farthing bill` left it");
    }
    yyjson_doc *doc = yyjson_read(json.at, json.size, 0);
    if (!yyjson_is_obj(yyjson_doc_get_root(doc)) || !folder_run_is_whole(json)) {
        yyjson_doc_free(doc);
        (void)fail(err, ERR_CORRUPT, "%s: is damaged", path.at);
        return fail_hint(err, "copy the output folder again, or bill again");
    }
    yyjson_val *file = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "files"), name);
    hash128_format(hash_blocks(bytes.at, bytes.size), print);
    bool same = text_equal(json_text(file, "print"), text_of(print));
    yyjson_doc_free(doc);
    if (!same) {
        (void)fail(err, ERR_CORRUPT, "%s/%s: is not as the run wrote it", folder, name);
        return fail_hint(err, "a run was stopped while it replaced files, or the file was edited: "
                              "bill that period again");
    }
    return OK;
}

static enum status load_lines(struct run *run, struct issued_folder *folder, uint32_t *capacity)
{
    struct text path = text_format(&run->arena, "%s/lines.csv", folder->path), bytes;
    enum status loaded =
        load_bytes(run->env, &run->arena, path.at, OUTPUT_FILE_MAX_BYTES, &bytes, run->err);
    if (loaded == ERR_NOT_FOUND) {
        return fail_hint(run->err, "%s takes the output folder of an earlier bill run",
                         run->restatement ? "--closed" : "--billed");
    }
    TRY(loaded);
    struct text header = text_of(LINES_HEADER);
    if (!text_starts_with(bytes, header)) {
        (void)fail(run->err, ERR_INPUT, "%s:1: these are no lines of bills", path.at);
        return fail_hint(run->err, "give the output folder of an earlier bill run");
    }
    TRY(check_written(run, folder->path, "lines.csv", bytes, folder->print));
    uint32_t number = 1;
    struct text last = {NULL, 0};
    for (size_t at = header.size; at < bytes.size; number++) {
        size_t size = row_size(bytes, at);
        run->issued.lines = arena_room(&run->arena, run->issued.lines, run->issued.line_count,
                                       capacity, sizeof *run->issued.lines);
        struct issued_line *issued = &run->issued.lines[run->issued.line_count++];
        struct error inner = {0};
        struct text bill;
        enum status status = parse_line(&run->arena, (struct text){bytes.at + at, size},
                                        &issued->line, &bill, &inner);
        if (status == OK && last.at && text_equal(bill, last)) {
            issued->payer = issued[-1].payer;
            issued->period = issued[-1].period;
        } else if (status == OK) {
            status = read_bill_id(run, bill, issued, &inner);
            last = bill;
        }
        if (status != OK) {
            (void)fail(run->err, status, "%s:%u: %s", path.at, number + 1, inner.message);
            return fail_hint(run->err, "%s", inner.hint);
        }
        at += size + 1;
    }
    return OK;
}

/* ---- what the bills say of themselves -------------------------------------------------------- */

/* The cut of this run that the bill lies in; false: it is not of a time that is billed.  Where
 * bills are taken back it is of a cut when all of it lies there. */
static bool find_cut(const struct run *run, uint32_t payer, struct period bill, instant *from)
{
    const struct period *cuts = &run->period;
    uint32_t count = 1;
    if (run->has_cuts) {
        cuts = run->cuts + run->cut_first[payer];
        count = run->cut_first[payer + 1] - run->cut_first[payer];
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_inside = cuts[i].from <= bill.from && bill.to <= cuts[i].to;
        if (is_inside || (!run->takes_back && cuts[i].from < bill.to && bill.from < cuts[i].to)) {
            *from = cuts[i].from;
            return true;
        }
    }
    return false;
}

/* Events that were known: on usage rows, or excluded before they came to one. */
static struct known_events count_known(yyjson_val *proof)
{
    struct known_events events = {.on_rows = yyjson_get_uint(yyjson_obj_get(proof, "events"))};
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(proof, "exclusions"), index, count, item)
    {
        struct text reason = json_text(item, "reason");
        if (!text_equal(reason, text_of(exclusion_name(EXCLUDE_UNPRICED))) &&
            !text_equal(reason, text_of(exclusion_name(EXCLUDE_FREE))) &&
            !text_equal(reason, text_of(exclusion_name(EXCLUDE_OUT_OF_PERIOD)))) {
            events.excluded += yyjson_get_uint(yyjson_obj_get(item, "events"));
        }
    }
    return events;
}

static enum status read_bill(struct run *run, struct issued_folder *folder, struct text line,
                             uint32_t *capacity)
{
    char accounts_digest[65];
    digest_format(&run->accounts->digest, accounts_digest);
    struct bill_head head;
    TRY(head_parse(&run->workers[0].scratch, line, &head, run->err));
    folder->bills++;
    uint32_t payer = run_payer(run, head.payer, head.contract);
    instant cut;
    bool is_of_cut = payer != MAP_NONE && find_cut(run, payer, head.period, &cut);
    folder->matched += is_of_cut || (payer != MAP_NONE && run->takes_back);
    if (!is_of_cut) {
        return OK;
    }
    /* A view by source has events of its source. */
    struct known_events events = {0};
    if (head.source.size == 0) {
        events = count_known(head.proof);
    }
    folder->events.on_rows += events.on_rows;
    folder->events.excluded += events.excluded;
    run->issued.bills = arena_room(&run->arena, run->issued.bills, run->issued.bill_count, capacity,
                                   sizeof *run->issued.bills);
    run->issued.bills[run->issued.bill_count++] = (struct issued_bill){
        .payer = payer,
        .cut = cut,
        .is_correction = text_equal(head.kind, TEXT("correction")),
        .same_accounts = text_equal(json_text(head.inputs, "accounts"), text_of(accounts_digest)),
        .events = events};
    return OK;
}

static enum status load_bills(struct run *run, struct issued_folder *folder, uint32_t *capacity)
{
    struct arena *scratch = &run->workers[0].scratch;
    scratch->recover = &run->recover;
    struct arena_mark mark = arena_mark(scratch);
    struct text path = text_format(&run->arena, "%s/bills.ndjson", folder->path), bytes;
    TRY(load_bytes(run->env, scratch, path.at, OUTPUT_FILE_MAX_BYTES, &bytes, run->err));
    TRY(check_written(run, folder->path, "bills.ndjson", bytes, folder->bills_print));
    for (size_t at = 0; at < bytes.size;) {
        const char *end = memchr(bytes.at + at, '\n', bytes.size - at);
        size_t size = end ? (size_t)(end - bytes.at) - at : bytes.size - at;
        struct arena_mark line = arena_mark(scratch);
        TRY(read_bill(run, folder, (struct text){bytes.at + at, size}, capacity));
        arena_rewind(scratch, line);
        at += size + 1;
    }
    arena_rewind(scratch, mark);
    return OK;
}

static int compare_bills(const void *a_item, const void *b_item)
{
    const struct issued_bill *a = a_item, *b = b_item;
    if (a->payer != b->payer) {
        return a->payer < b->payer ? -1 : 1;
    }
    if (a->cut != b->cut) {
        return a->cut < b->cut ? -1 : 1;
    }
    return a->is_correction - b->is_correction; /* first bills first */
}

static void warn(struct run *run)
{
    uint32_t orphans = 0, first = 0;
    for (size_t i = 0; i < run->options->billed.count; i++) {
        const struct issued_folder *folder = &run->issued.folders[i];
        if (folder->bills > 0 && folder->matched == 0) {
            run_warn(run,
                     "%s: none of its %u bills is of a payer and a time that are billed here, so "
                     "nothing of it is taken off: is --period right?",
                     folder->path, folder->bills);
        }
    }
    if (run->options->billed.count > 0 && run->issued.line_count == 0 && !run->restatement) {
        run_warn(run, "--billed: there are no bills in what was given, so nothing is taken off");
    }
    for (uint32_t i = 0; i < run->issued.bill_count; i++) {
        const struct issued_bill *bill = &run->issued.bills[i];
        bool begins = i == 0 || bill[-1].payer != bill->payer || bill[-1].cut != bill->cut;
        if (begins && bill->is_correction) {
            first = orphans == 0 ? i : first;
            orphans++;
        }
    }
    if (orphans > 0) {
        char from[TIME_FORMAT_MAX];
        (void)time_format_short(run->issued.bills[first].cut, from);
        run_warn(run,
                 "--billed: only corrections are given for %u of the bills, such as %.*s's of %s: "
                 "name the folder of the first bill too, or its amounts are billed again",
                 orphans, TEXT_ARG(run->accounts->items[run->issued.bills[first].payer].id), from);
    }
}

struct known_events issued_events(const struct run *run, uint32_t payer, instant cut)
{
    struct issued_bill key = {.payer = payer, .cut = cut};
    uint32_t low = 0, high = run->issued.bill_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_bills(&run->issued.bills[middle], &key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct known_events most = {0};
    for (; low < run->issued.bill_count && run->issued.bills[low].payer == payer &&
           run->issued.bills[low].cut == cut;
         low++) {
        const struct issued_bill *bill = &run->issued.bills[low];
        if (bill->same_accounts && known_count(bill->events) > known_count(most)) {
            most = bill->events;
        }
    }
    return most;
}

struct known_events issued_events_total(const struct run *run)
{
    struct known_events most = {0};
    for (size_t i = 0; i < run->options->billed.count; i++) {
        struct known_events events = run->issued.folders[i].events;
        most = known_count(events) > known_count(most) ? events : most;
    }
    return most;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* A folder given twice would be taken off twice. */
static enum status check_given_once(struct run *run, size_t index)
{
    struct farthing_paths billed = run->options->billed;
    struct file_info info, other;
    TRY(run->env->file_stat(run->env, billed.items[index], &info, run->err));
    if (run->options->out && run->env->file_stat(run->env, run->options->out, &other, NULL) == OK &&
        info.device == other.device && info.inode == other.inode) {
        (void)fail(run->err, ERR_INPUT, "%s: bills that were issued cannot be the output folder",
                   billed.items[index]);
        return fail_hint(run->err, "write the difference into a folder of its own");
    }
    for (size_t i = 0; i < index; i++) {
        TRY(run->env->file_stat(run->env, billed.items[i], &other, run->err));
        if (info.device == other.device && info.inode == other.inode) {
            (void)fail(run->err, ERR_INPUT, "%s: the same folder as %s", billed.items[index],
                       billed.items[i]);
            return fail_hint(run->err, "give each folder of issued bills once");
        }
    }
    return OK;
}

/* How many folders the run that wrote this one was a difference to. */
static size_t count_billed(struct run *run, const struct issued_folder *folder)
{
    struct text path = text_format(&run->arena, "%s/run.json", folder->path), json;
    if (load_bytes(run->env, &run->arena, path.at, RUN_FILE_MAX_BYTES, &json, NULL) != OK) {
        return 0;
    }
    yyjson_doc *doc = arena_read_json(&run->arena, json);
    return yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "billed"));
}

/* Nor is a copy another bill.  A later correction may say the same as one before it, but then it
 * is a difference to more folders. */
static enum status check_no_copy(struct run *run, size_t index)
{
    const struct issued_folder *folder = &run->issued.folders[index];
    for (size_t i = 0; i < index && folder->bills > 0; i++) {
        const struct issued_folder *other = &run->issued.folders[i];
        if (strcmp(folder->print, other->print) == 0 &&
            strcmp(folder->bills_print, other->bills_print) == 0 &&
            count_billed(run, folder) == count_billed(run, other)) {
            (void)fail(run->err, ERR_INPUT, "%s: it has the same bills as %s", folder->path,
                       other->path);
            return fail_hint(run->err, "name the folder that was issued, and no copy of it");
        }
    }
    return OK;
}

enum status load_issued_lines(struct run *run)
{
    struct farthing_paths billed = run->options->billed;
    uint32_t capacity = 0;
    run->issued.folders = arena_calloc(&run->arena, billed.count + 1, sizeof *run->issued.folders);
    for (size_t i = 0; i < billed.count; i++) {
        TRY(check_given_once(run, i));
        run->issued.folders[i].path = billed.items[i];
        TRY(load_lines(run, &run->issued.folders[i], &capacity));
    }
    if (run->issued.line_count > 1) {
        qsort(run->issued.lines, run->issued.line_count, sizeof *run->issued.lines, compare_issued);
    }
    return OK;
}

enum status load_issued(struct run *run)
{
    uint32_t capacity = 0;
    TRY(load_issued_lines(run));
    for (size_t i = 0; i < run->options->billed.count; i++) {
        TRY(load_bills(run, &run->issued.folders[i], &capacity));
        TRY(check_no_copy(run, i));
    }
    if (run->issued.bill_count > 1) {
        qsort(run->issued.bills, run->issued.bill_count, sizeof *run->issued.bills, compare_bills);
    }
    warn(run);
    return OK;
}
