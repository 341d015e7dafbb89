/* correct.c - closed periods restated: what is known now, less what was billed.
 *
 *     closed folders --run.json--> periods in order, files that were billed
 *                                      |
 *     files, late events --bill run---+--> difference of the first period --closing--> of the next
 * ...
 *
 * A correction is a bill run over everything that is known, with the closed bills taken off: no
 * second way of pricing.  What is known is found from the closed folders: run.json names the files
 * that were read, with the count and fingerprint of the records in each, so that a file that has
 * changed since is told from one that has not; and catalog, accounts and opening with their
 * digests.  Records that were accepted before stay accepted, whatever comes later under their key:
 * each closing is a round, and rounds decide before bytes do (accept.c).
 *
 * Where a turn goes on over several periods, a later one begins with the closing of the one before,
 * as restated.  A period in which nothing has changed, neither a line nor what the next begins
 * with, is not written; so the same correction a second time writes nothing.
 */
#include <stdlib.h>

#include "engine/folder.h"
#include "engine/handle.h"
#include "engine/load.h"
#include "engine/margins.h"
#include "engine/restatement.h"
#include "engine/run.h"

/* An output folder that was issued. */
struct closed {
    const char *path;
    size_t index; /* as given */
    yyjson_val *run, *summary;
    struct text period; /* as it was written */
    struct period span;
    size_t billed_count; /* 0: first bills */
};

/* All folders of one period. */
struct closed_period {
    const struct closed *first; /* of its folders, in the order of making */
    size_t count;
    const struct closed *latest;
    const char *warning; /* of what looks as if a folder was not named; NULL */
};

/* Payers, each once. */
struct payer_list {
    struct map by_name;
    struct failure *items;
    uint32_t count, capacity;
};

struct correct {
    struct farthing *farthing;
    struct env *env;
    struct arena *arena;
    struct error *err;
    const struct farthing_correct *options;
    struct closed *closed;
    struct closed_period *periods;
    size_t period_count;
    struct period *spans; /* of the periods */
    struct known_file *known;
    uint32_t known_count, known_capacity;
    struct map known_by_path;
    uint32_t round;      /* of what comes now */
    instant late_before; /* what comes now and is of a time before is not billed */
    /* Who is billed for no period, who could not be for one so far, whose bills lie in other turns
     * now: see hold_torn. */
    struct payer_list held, failures, shifted;
    bool *is_own;     /* of each period: what lies in its folder was written by this command */
    struct arena own; /* of the period at hand */
};

/* ---- reading the folders --------------------------------------------------------------------- */

static enum status read_json(struct correct *c, const char *folder, const char *name,
                             yyjson_val **root)
{
    enum status status = folder_json(c->env, c->arena, folder, name, root, c->err);
    if (status == ERR_INPUT) { /* it is there, and not whole */
        struct text periods = folder_periods(c->env, c->arena, folder, " --closed ");
        return periods.size > 0
                   ? fail_hint(c->err, "give those that lie in it: --closed %.*s",
                               TEXT_ARG(periods))
                   : fail_hint(c->err, "--closed takes folders as `farthing bill` or `farthing "
                                       "correct` left them");
    }
    return status;
}

static const char *member(yyjson_val *object, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(object, key));
}

static enum status read_closed(struct correct *c, size_t index)
{
    struct closed *closed = &c->closed[index];
    closed->path = c->options->closed.items[index];
    closed->index = index;
    TRY(read_json(c, closed->path, "run.json", &closed->run));
    TRY(read_json(c, closed->path, "summary.json", &closed->summary));
    struct folder folder = {.env = c->env, .arena = c->arena, .path = closed->path};
    TRY(folder_check(&folder, closed->run, "summary.json", c->err));
    closed->period = json_text(closed->run, "period");
    closed->billed_count = yyjson_arr_size(yyjson_obj_get(closed->run, "billed"));
    if (!yyjson_is_arr(yyjson_obj_get(closed->run, "read"))) {
        (void)fail(c->err, ERR_INPUT, "%s: run.json does not say what was in the files it read",
                   closed->path);
        return fail_hint(c->err, "it is of an older version: bill that period again into another "
                                 "folder, and give that");
    }
    if (closed->period.size == 0 ||
        !time_read(json_text(closed->summary, "from"), &closed->span.from) ||
        !time_read(json_text(closed->summary, "to"), &closed->span.to)) {
        return fail(c->err, ERR_CORRUPT, "%s: its period cannot be read", closed->path);
    }
    const char *rules = member(yyjson_obj_get(closed->run, "digests"), "rules");
    if (!rules || strcmp(rules, FARTHING_RULES) != 0) {
        (void)fail(c->err, ERR_INPUT, "%s: was billed by version %s of the rules, and these are %s",
                   closed->path, rules ? rules : "?", FARTHING_RULES);
        return fail_hint(c->err, "correct it with the version of Farthing that billed it");
    }
    return OK;
}

static int compare_closed(const void *a_item, const void *b_item)
{
    const struct closed *a = a_item, *b = b_item;
    if (a->span.from != b->span.from) {
        return a->span.from < b->span.from ? -1 : 1;
    }
    if (a->billed_count != b->billed_count) {
        return a->billed_count < b->billed_count ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

static const char *lines_print(const struct closed *closed)
{
    yyjson_val *files = yyjson_obj_get(closed->run, "files");
    return member(yyjson_obj_get(files, "lines.csv"), "print");
}

/* A folder that corrects another stands for a difference, so the other must be there. */
static enum status check_has_billed(struct correct *c, const struct closed_period *period,
                                    const struct closed *closed)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(closed->run, "billed"), index, count, item)
    {
        const char *print = member(item, "print");
        bool is_here = false;
        for (size_t i = 0; i < period->count && print; i++) {
            const char *other = lines_print(&period->first[i]);
            is_here |= other && strcmp(other, print) == 0;
        }
        if (!is_here) {
            const char *path = member(item, "path");
            (void)fail(c->err, ERR_INPUT, "%s: corrects %s, which is not given", closed->path,
                       path ? path : "?");
            return fail_hint(c->err, "name all bills of a period: --closed %s --closed %s",
                             path ? path : "?", closed->path);
        }
    }
    return OK;
}

static bool are_same(yyjson_val *a, yyjson_val *b)
{
    return a && b && yyjson_equals(a, b);
}

/* A copy stands for the same bills: what it comes to would be taken off twice.  Two corrections of
 * one state that say the same are the same bills, too, whichever was issued. */
static enum status check_no_copies(struct correct *c, const struct closed_period *period)
{
    for (size_t i = 0; i < period->count; i++) {
        const struct closed *one = &period->first[i];
        yyjson_val *files = yyjson_obj_get(one->run, "files");
        for (size_t k = 0; k < i; k++) {
            const struct closed *other = &period->first[k];
            yyjson_val *others = yyjson_obj_get(other->run, "files");
            bool is_copy =
                are_same(yyjson_obj_get(files, "lines.csv"), yyjson_obj_get(others, "lines.csv")) &&
                are_same(yyjson_obj_get(files, "bills.ndjson"),
                         yyjson_obj_get(others, "bills.ndjson")) &&
                one->billed_count == other->billed_count;
            if (is_copy && yyjson_get_uint(yyjson_obj_get(one->summary, "bills")) > 0) {
                (void)fail(c->err, ERR_INPUT, "%s and %s have the same bills of %.*s", other->path,
                           one->path, TEXT_ARG(one->period));
                return fail_hint(c->err, "name the folder that was issued, and no copy of it");
            }
        }
    }
    return OK;
}

/* Whether a folder begins with the closing of one that is named for the period before. */
static bool begins_with_named(struct correct *c, const struct closed_period *before,
                              const struct closed *closed, const char *opening)
{
    struct text digest = json_text(yyjson_obj_get(closed->run, "digests"), "opening");
    for (size_t i = 0; i < before->count; i++) {
        struct text path = text_of(before->first[i].path);
        while (path.size > 1 && path.at[path.size - 1] == '/') {
            path.size--;
        }
        struct text name = text_format(c->arena, "%.*s/closing.ndjson", TEXT_ARG(path));
        if (text_equal(name, text_of(opening))) {
            return true;
        }
    }
    for (size_t i = 0; i < before->count; i++) {
        const char *path = text_format(c->arena, "%s/closing.ndjson", before->first[i].path).at;
        struct arena_mark mark = arena_mark(c->arena);
        struct text bytes;
        struct error ignored;
        char hex[65] = "";
        if (load_bytes(c->env, c->arena, path, OUTPUT_FILE_MAX_BYTES, &bytes, &ignored) == OK) {
            struct digest found = hash_digest(bytes);
            digest_format(&found, hex);
        }
        arena_rewind(c->arena, mark);
        if (text_equal(text_of(hex), digest)) {
            return true;
        }
    }
    return false;
}

/* A period goes on from the one before: when a folder of it was begun with another closing than
 * those that are named, a correction may be lacking, or it is none that follows. */
static enum status check_goes_on(struct correct *c, struct closed_period *period)
{
    const struct closed_period *before = period - 1;
    bool is_linked = false;
    for (size_t i = 0; i < period->count; i++) {
        const struct closed *closed = &period->first[i];
        const char *opening = member(closed->run, "opening");
        if (!opening || strcmp(opening, "none") == 0) {
            continue;
        }
        if (begins_with_named(c, before, closed, opening)) {
            is_linked = true;
        } else if (!period->warning) {
            period->warning =
                text_format(c->arena,
                            "%s begins with %s, which is of no folder of %.*s that is named: where "
                            "that was issued, name it too, or it is billed twice",
                            closed->path, opening, TEXT_ARG(before->first->period))
                    .at;
        }
    }
    struct text now = json_text(period->first->summary, "provider");
    struct text then = json_text(before->first->summary, "provider");
    if (!is_linked && !text_equal(now, then)) {
        (void)fail(c->err, ERR_INPUT, "%s is of catalog %.*s, and %s of %.*s", before->first->path,
                   TEXT_ARG(then), period->first->path, TEXT_ARG(now));
        return fail_hint(c->err, "correct the periods of each catalog on their own");
    }
    return OK;
}

static enum status add_period(struct correct *c, size_t first, size_t end)
{
    struct closed_period *period = &c->periods[c->period_count++];
    *period = (struct closed_period){&c->closed[first], end - first, &c->closed[end - 1], NULL};
    const struct closed *one = period->first;
    c->spans[c->period_count - 1] = one->span;
    if (period->count > 1 && one[1].billed_count == 0) {
        (void)fail(c->err, ERR_INPUT, "%s and %s are both first bills of %.*s", one->path,
                   one[1].path, TEXT_ARG(one->period));
        return fail_hint(c->err, "name the folder that was issued, and its corrections");
    }
    for (size_t i = 0; i < period->count; i++) {
        TRY(check_has_billed(c, period, &one[i]));
    }
    TRY(check_no_copies(c, period));
    if (c->period_count > 1 && period[-1].first->span.to > one->span.from) {
        (void)fail(c->err, ERR_INPUT, "the periods of %s and %s overlap", period[-1].first->path,
                   one->path);
        return fail_hint(c->err, "correct periods that follow one another");
    }
    if (c->period_count > 1 && period[-1].first->span.to == one->span.from) {
        TRY(check_goes_on(c, period));
    }
    return OK;
}

static enum status find_periods(struct correct *c)
{
    size_t count = c->options->closed.count;
    c->closed = arena_calloc(c->arena, count + 1, sizeof *c->closed);
    c->periods = arena_calloc(c->arena, count + 1, sizeof *c->periods);
    c->spans = arena_calloc(c->arena, count + 1, sizeof *c->spans);
    for (size_t i = 0; i < count; i++) {
        TRY(read_closed(c, i));
    }
    qsort(c->closed, count, sizeof *c->closed, compare_closed);
    for (size_t first = 0; first < count;) {
        size_t end = first + 1;
        while (end < count && c->closed[end].span.from == c->closed[first].span.from &&
               c->closed[end].span.to == c->closed[first].span.to) {
            end++;
        }
        TRY(add_period(c, first, end));
        first = end;
    }
    return OK;
}

/* ---- what was billed ------------------------------------------------------------------------- */

/* Whether OLD is one of a run's own, FOLDER:OLD, and the rest of it. */
static bool is_of_folder(const char **moved, const char *folder)
{
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/') {
        size--;
    }
    if (strncmp(*moved, folder, size) != 0) {
        return false;
    }
    const char *at = *moved + size;
    while (*at == '/') {
        at++;
    }
    bool is_own = *at == ':';
    *moved = is_own ? at + 1 : *moved;
    return is_own;
}

/* The `=` behind OLD, with which the path begins; of several the last, since a path may have some
 * itself: dt=2026-10-01/=archive/.  NULL: it begins otherwise. */
static const char *end_of_old(const char *moved, const char *path)
{
    const char *end = NULL;
    for (const char *at = strchr(moved, '='); at && at[1]; at = strchr(at + 1, '=')) {
        end = strncmp(path, moved, (size_t)(at - moved)) == 0 ? at : end;
    }
    return end;
}

/* Where a file lies that run.json names: --moved OLD=NEW replaces the beginning of its path, and
 * FOLDER:OLD=NEW only that of a run, which comes first.  Two runs may both have read a path that
 * was another file each time, such as standard input. */
static const char *find_moved(struct correct *c, const struct closed *closed, const char *path)
{
    const char *found = path;
    for (size_t i = 0; i < c->options->moved.count; i++) {
        const char *moved = c->options->moved.items[i];
        bool is_own = is_of_folder(&moved, closed->path);
        const char *equal = end_of_old(moved, path);
        if (equal && (is_own || found == path)) {
            found = text_format(c->arena, "%s%s", equal + 1, path + (equal - moved)).at;
            if (is_own) {
                return found;
            }
        }
    }
    return found;
}

static enum status check_moved(struct correct *c)
{
    for (size_t i = 0; i < c->options->moved.count; i++) {
        const char *moved = c->options->moved.items[i], *equal = strchr(moved, '=');
        if (!equal || equal == moved || !equal[1]) {
            (void)fail(c->err, ERR_INPUT, "--moved %s: is not OLD=NEW", moved);
            return fail_hint(c->err, "write where files were and where they are now, such as "
                                     "--moved usage/=archive/2026-10/");
        }
    }
    return OK;
}

/* Whether a closed run was given, or has read, what --moved says the place of. */
static bool moves_any(const struct closed *closed, const char *moved)
{
    static const char *const KEYS[] = {"catalog", "accounts", "read"};
    (void)is_of_folder(&moved, closed->path);
    const char *opening = member(closed->run, "opening");
    bool moves = opening && end_of_old(moved, opening);
    for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++) {
        yyjson_val *list = yyjson_obj_get(closed->run, KEYS[k]), *item;
        size_t index, count;
        yyjson_arr_foreach(list, index, count, item)
        {
            const char *path = yyjson_is_str(item) ? yyjson_get_str(item) : member(item, "path");
            moves |= path && end_of_old(moved, path);
        }
    }
    return moves;
}

/* One that is misspelt would go unnoticed where the file is still at its old place. */
static void warn_of_unmoved(struct correct *c)
{
    struct buffer none;
    buffer_init(&none, c->arena, 64);
    for (size_t i = 0; i < c->options->moved.count; i++) {
        bool moves = false;
        for (size_t k = 0; k < c->options->closed.count && !moves; k++) {
            moves = moves_any(&c->closed[k], c->options->moved.items[i]);
        }
        if (!moves) {
            buffer_format(&none, "%s%s", none.size > 0 ? ", " : "", c->options->moved.items[i]);
        }
    }
    if (none.size > 0) {
        struct text all = buffer_text(&none);
        c->periods[0].warning =
            text_format(c->arena, "--moved %.*s: no path that a closed folder names begins so",
                        TEXT_ARG(all))
                .at;
    }
}

static struct farthing_paths recorded_paths(struct correct *c, const struct closed *closed,
                                            const char *key)
{
    yyjson_val *list = yyjson_obj_get(closed->run, key), *item;
    const char **items = arena_calloc(c->arena, yyjson_arr_size(list) + 1, sizeof *items);
    size_t index, count, kept = 0;
    yyjson_arr_foreach(list, index, count, item)
    {
        if (yyjson_is_str(item)) {
            items[kept++] = find_moved(c, closed, yyjson_get_str(item));
        }
    }
    return (struct farthing_paths){items, kept};
}

static enum status check_is_there(struct correct *c, const struct known_file *file)
{
    struct file_info info;
    struct error ignored;
    bool is_pipe = strcmp(file->path, "-") == 0;
    if (!is_pipe && c->env->file_stat(c->env, file->path, &info, &ignored) == OK) {
        if (info.kind == FILE_REGULAR) {
            return OK;
        }
        is_pipe = true;
    }
    (void)fail(c->err, ERR_INPUT, "%s: events that %s was billed from are %s", file->path,
               file->folder, is_pipe ? "no file that can be read again" : "not there any more");
    bool is_of_several = is_pipe && c->options->closed.count > 1;
    return fail_hint(c->err,
                     "a correction reads them again: say where they are with --moved %s%s%s=FILE",
                     is_of_several ? file->folder : "", is_of_several ? ":" : "", file->recorded);
}

static enum status add_known(struct correct *c, const struct closed *closed, yyjson_val *item,
                             uint32_t base, uint32_t *round_max)
{
    const char *recorded = member(item, "path"), *print = member(item, "fingerprint");
    if (!recorded || !print) {
        return fail(c->err, ERR_CORRUPT, "%s/run.json: is damaged", closed->path);
    }
    struct known_file file = {.recorded = recorded,
                              .path = find_moved(c, closed, recorded),
                              .is_csv = yyjson_get_bool(yyjson_obj_get(item, "csv")),
                              .round =
                                  base + (uint32_t)yyjson_get_uint(yyjson_obj_get(item, "round")),
                              .read = {.count = yyjson_get_uint(yyjson_obj_get(item, "records")),
                                       .print = strtoull(print, NULL, 16)},
                              .late_before = INSTANT_MIN,
                              .folder = closed->path};
    (void)time_parse(json_text(item, "late_before"), &file.late_before);
    uint32_t same = map_find(&c->known_by_path, text_of(file.path));
    if (same != MAP_NONE) {
        const struct known_file *known = &c->known[same];
        if (known->read.count == file.read.count && known->read.print == file.read.print) {
            return OK;
        }
        (void)fail(c->err, ERR_INPUT, "%s: was not the same file for %s and for %s", file.path,
                   known->folder, closed->path);
        return fail_hint(c->err,
                         "say which file each of them has read: --moved %s:%s=FILE --moved "
                         "%s:%s=FILE",
                         known->folder, known->recorded, closed->path, recorded);
    }
    TRY(check_is_there(c, &file));
    c->known = arena_room(c->arena, c->known, c->known_count, &c->known_capacity, sizeof *c->known);
    *round_max = file.round > *round_max ? file.round : *round_max;
    (void)map_put(&c->known_by_path, text_of(file.path), c->known_count);
    c->known[c->known_count++] = file;
    return OK;
}

/* The files of all folders, each once.  The folders come in the order in which they were given, and
 * so do their rounds; a folder's own files keep the order they have among themselves. */
static enum status find_known(struct correct *c)
{
    uint32_t base = 0;
    map_init(&c->known_by_path, c->arena, 16);
    for (size_t given = 0; given < c->options->closed.count; given++) {
        const struct closed *closed = c->closed;
        while (closed->index != given) {
            closed++;
        }
        uint32_t round_max = 0;
        size_t index, count, before = c->known_count;
        yyjson_val *item;
        yyjson_arr_foreach(yyjson_obj_get(closed->run, "read"), index, count, item)
        {
            TRY(add_known(c, closed, item, base, &round_max));
        }
        base = c->known_count > before ? round_max + 1 : base;
    }
    c->round = base;
    return OK;
}

/* ---- one period ------------------------------------------------------------------------------ */

static const char *folder_name(struct correct *c, const struct closed *closed)
{
    if (c->period_count == 1) {
        return c->options->out;
    }
    char *name = (char *)(uintptr_t)text_copy(c->arena, closed->period).at;
    for (char *at = name; *at; at++) {
        *at = *at == '/' ? '_' : *at;
    }
    return text_format(c->arena, "%s/%s", c->options->out, name).at;
}

/* Of one that is not the first: whether it begins as the one before ends. */
static bool follows(const struct closed_period *period)
{
    return period[-1].first->span.to == period->first->span.from;
}

/* The opening of the period: that of its bills, or what the one before has become. */
static enum status find_opening(struct correct *c, size_t index, const char *closing,
                                const char **opening)
{
    const struct closed_period *period = &c->periods[index];
    const char *recorded = member(period->latest->run, "opening");
    *opening = index > 0 && follows(period) ? closing : recorded;
    if (*opening != recorded || !recorded || strcmp(recorded, "none") == 0) {
        return OK;
    }
    if (index > 0) {
        (void)fail(c->err, ERR_INPUT,
                   "%s: begins with %s, which is of a period between it and that of %s",
                   period->first->path, recorded, period[-1].first->path);
        return fail_hint(c->err, "a correction goes on from period to period: name the folders of "
                                 "those between, too");
    }
    *opening = find_moved(c, period->latest, recorded);
    return OK;
}

/* Late usage is billed so far back as the newest closed period says. */
static void find_late_before(struct correct *c)
{
    c->late_before = INSTANT_MIN;
    if (c->period_count > 0) {
        const struct closed *newest = c->periods[c->period_count - 1].latest;
        (void)time_parse(json_text(newest->run, "late_before"), &c->late_before);
    }
}

static struct restatement describe_latest(struct correct *c, const struct closed_period *period)
{
    yyjson_val *run = period->latest->run, *files = yyjson_obj_get(run, "files");
    yyjson_val *digests = yyjson_obj_get(run, "digests");
    const struct farthing_correct *options = c->options;
    struct text none = TEXT("");
    /* Accounts that stand in the catalog alone are those of another catalog that is given. */
    bool is_inside = yyjson_arr_size(yyjson_obj_get(run, "accounts")) == 0;
    bool is_given = options->accounts.count > 0 || (options->catalog.count > 0 && is_inside);
    return (struct restatement){
        .periods = c->spans,
        .period_count = c->period_count,
        .period = period->first->span,
        .known = c->known,
        .known_count = c->known_count,
        .round = c->round,
        .late_before = c->late_before,
        .catalog = options->catalog.count > 0 ? none : json_text(digests, "catalog"),
        .accounts = is_given ? none : json_text(digests, "accounts"),
        .folder = period->latest->path,
        .usage_print = json_text(yyjson_obj_get(files, "usage.csv"), "print"),
        .closing_print = json_text(yyjson_obj_get(files, "closing.ndjson"), "print"),
        .excluded = yyjson_obj_get(period->latest->summary, "excluded_by_reason")};
}

static struct farthing_paths join_events(struct correct *c, const struct restatement *restatement)
{
    struct farthing_paths late = c->options->events;
    size_t known_count = restatement->known_count;
    const char **items = arena_calloc(c->arena, known_count + late.count + 1, sizeof *items);
    for (size_t i = 0; i < known_count; i++) {
        items[i] = restatement->known[i].path;
    }
    for (size_t i = 0; i < late.count; i++) {
        items[known_count + i] = late.items[i];
    }
    return (struct farthing_paths){items, known_count + late.count};
}

static const struct farthing_count *copy_counts(struct arena *arena,
                                                const struct farthing_count *counts, size_t count)
{
    struct farthing_count *copies = arena_calloc(arena, count + 1, sizeof *copies);
    for (size_t i = 0; i < count; i++) {
        copies[i] = counts[i];
        copies[i].name = text_copy(arena, text_of(counts[i].name)).at;
        copies[i].amount = counts[i].amount ? text_copy(arena, text_of(counts[i].amount)).at : NULL;
    }
    return copies;
}

static const char *const *copy_texts(struct arena *arena, const char *const *texts, size_t count)
{
    const char **copies = arena_calloc(arena, count + 1, sizeof *copies);
    for (size_t i = 0; i < count; i++) {
        copies[i] = text_copy(arena, text_of(texts[i])).at;
    }
    return copies;
}

/* The memory of a period goes when it is done: what is told of it is kept. */
static void copy_summary(struct arena *arena, const struct complaints *complaints,
                         struct farthing_summary *s)
{
    struct farthing_count *warnings =
        arena_calloc(arena, complaints->count + s->warning_count + 1, sizeof *warnings);
    size_t count = 0;
    for (uint32_t i = 0; i < complaints->count; i++) {
        if (complaints->items[i].is_warning) {
            warnings[count++].name = complaint_text(arena, &complaints->items[i]);
        }
    }
    for (size_t i = 0; i < s->warning_count; i++) {
        warnings[count++].name = text_copy(arena, text_of(s->warnings[i].name)).at;
    }
    s->warnings = warnings;
    s->warning_count = count;
    s->no_account = copy_texts(arena, s->no_account, s->no_account_count);
    s->unknown_sku = copy_texts(arena, s->unknown_sku, s->unknown_sku_count);
    s->refused = copy_counts(arena, s->refused, s->refused_count);
    s->excluded = copy_counts(arena, s->excluded, s->excluded_count);
    s->products = copy_counts(arena, s->products, s->product_count);
    s->failed = copy_counts(arena, s->failed, s->failed_count);
    struct farthing_money *others = arena_calloc(arena, s->other_count + 1, sizeof *others);
    for (size_t i = 0; i < s->other_count; i++) {
        others[i] = s->others[i];
        others[i].products = copy_counts(arena, others[i].products, others[i].product_count);
        others[i].total = others[i].total ? text_copy(arena, text_of(others[i].total)).at : NULL;
    }
    s->others = others;
    margins_copy(arena, s);
    s->currency = text_copy(arena, text_of(s->currency)).at;
    s->total = s->total ? text_copy(arena, text_of(s->total)).at : NULL;
    s->fingerprint = text_copy(arena, text_of(s->fingerprint)).at;
}

/* ---- all of a payer or nothing --------------------------------------------------------------- */

static struct text name_of(struct arena *arena, const struct failure *payer)
{
    return text_format(arena, "%.*s\n%.*s", TEXT_ARG(payer->payer), TEXT_ARG(payer->contract));
}

static bool is_named(struct correct *c, const struct payer_list *list, const struct failure *payer)
{
    struct arena_mark mark = arena_mark(c->arena);
    bool is_it = list->count > 0 && map_find(&list->by_name, name_of(c->arena, payer)) != MAP_NONE;
    arena_rewind(c->arena, mark);
    return is_it;
}

/* Unless it is listed; `period`: what its message begins with. */
static void list_add(struct correct *c, struct payer_list *list, const struct failure *payer,
                     struct text period)
{
    if (is_named(c, list, payer)) {
        return;
    }
    if (list->count == 0) {
        map_init(&list->by_name, c->arena, 16);
    }
    list->items =
        arena_room(c->arena, list->items, list->count, &list->capacity, sizeof *list->items);
    struct failure *to = &list->items[list->count];
    *to = *payer;
    to->payer = text_copy(c->arena, payer->payer);
    to->contract = text_copy(c->arena, payer->contract);
    to->message = text_format(c->arena, "%.*s%s%.*s", TEXT_ARG(period), period.size > 0 ? ": " : "",
                              TEXT_ARG(payer->message));
    (void)map_put(&list->by_name, name_of(c->arena, to), list->count++);
}

/* Of one whose bills lie in other turns now, a bill that is taken back and the turns in its place
 * may be in different periods: when one of these cannot be billed, the others must not be either,
 * or some time would be on two bills.  True when there is such a payer of which something was
 * billed: it is held, and all periods are corrected anew. */
static bool hold_torn(struct correct *c, size_t index, const struct restatement *restatement)
{
    const uint32_t before = c->held.count;
    const struct text period = c->period_count == 1 ? TEXT("") : c->periods[index].first->period;
    for (uint32_t i = 0; i < restatement->failure_count; i++) {
        const struct failure *failure = &restatement->failures[i];
        if (index > 0 || failure->is_torn) {
            list_add(c, &c->failures, failure, period);
        }
    }
    for (uint32_t i = 0; i < restatement->shifted_count; i++) {
        list_add(c, &c->shifted, &restatement->shifted[i], TEXT(""));
    }
    for (uint32_t i = 0; i < c->failures.count; i++) {
        if (is_named(c, &c->shifted, &c->failures.items[i])) {
            list_add(c, &c->held, &c->failures.items[i], TEXT(""));
        }
    }
    return c->held.count > before;
}

static enum status remove_file(struct correct *c, const char *folder, const char *name)
{
    const char *path = text_format(c->arena, "%s/%s", folder, name).at;
    struct error cause = {0};
    enum status status = c->env->file_remove(c->env, path, &cause);
    if (status == OK || status == ERR_NOT_FOUND) {
        return OK;
    }
    (void)fail(c->err, status, "%s: cannot remove it: %s", path, cause.message);
    return fail_hint(c->err, "issue nothing of this folder: some time is on two bills");
}

/* What this command wrote is not there any more, run.json first: without it a folder is none.  One
 * that stays would be issued beside bills of the same time. */
static enum status remove_own(struct correct *c)
{
    for (size_t i = 0; i < c->period_count; i++) {
        if (!c->is_own[i]) {
            continue;
        }
        const char *folder = folder_name(c, c->periods[i].first);
        yyjson_val *run, *name, *file;
        TRY(read_json(c, folder, "run.json", &run));
        TRY(remove_file(c, folder, "run.json"));
        size_t index, count;
        yyjson_obj_foreach(yyjson_obj_get(run, "files"), index, count, name, file)
        {
            TRY(remove_file(c, folder, yyjson_get_str(name)));
        }
        (void)c->env->file_remove(c->env, folder, NULL);
        c->is_own[i] = false;
    }
    return OK;
}

/* What comes through it is read once. */
static bool is_pipe(struct correct *c, const char *path)
{
    struct file_info info;
    struct error ignored;
    bool is_it = strcmp(path, "-") == 0;
    if (!is_it && c->env->file_stat(c->env, path, &info, &ignored) == OK) {
        is_it = info.kind != FILE_REGULAR && info.kind != FILE_FOLDER;
    }
    return is_it;
}

static enum status check_can_repeat(struct correct *c)
{
    for (size_t i = 0; i < c->options->events.count; i++) {
        const char *path = c->options->events.items[i];
        if (is_pipe(c, path)) {
            const struct failure *held = &c->held.items[c->held.count - 1];
            (void)fail(c->err, ERR_CONFLICT,
                       "%.*s: its bills lie in other turns now, and go together: %.*s; to correct "
                       "the others without it, %s is needed once more, which is read once",
                       TEXT_ARG(held->payer), TEXT_ARG(held->message),
                       strcmp(path, "-") == 0 ? "standard input" : path);
            return fail_hint(c->err, "put the events into a file");
        }
    }
    return OK;
}

static enum status run_period(struct correct *c, const struct closed_period *period,
                              const struct farthing_bill *bill, struct restatement *restatement,
                              struct farthing_summary *summary, bool *is_torn)
{
    struct farthing *farthing = c->farthing;
    struct file_info info;
    struct error ignored;
    bool was_there = c->env->file_stat(c->env, bill->out, &info, &ignored) == OK;
    struct complaints complaints = {0};
    enum status status = farthing_run_restatement(c->env, &farthing->config, bill, restatement,
                                                  &c->own, summary, &complaints, c->err);
    if (status == OK) {
        copy_summary(c->arena, &complaints, summary);
        *is_torn = hold_torn(c, (size_t)(period - c->periods), restatement);
    } else if (complaints.errors > 0) {
        handle_complaints(farthing, &complaints);
    }
    arena_release(&c->own);
    if ((!was_there || restatement->was_cleared) && (status != OK || !restatement->is_written)) {
        (void)c->env->file_remove(c->env, bill->out, NULL); /* it is empty */
    }
    if (status != OK && c->period_count > 1) {
        struct error cause = *c->err;
        (void)fail(c->err, status, "%.*s: %s", TEXT_ARG(period->first->period), cause.message);
        return fail_hint(c->err, "%s", cause.hint);
    }
    return status;
}

static void tell_outside(struct correct *c, const struct outside *outside,
                         struct farthing_corrections *corrections)
{
    char first[TIME_FORMAT_MAX], last[TIME_FORMAT_MAX];
    (void)time_format(outside->first, first);
    (void)time_format(outside->last, last);
    corrections->late_outside = outside->count;
    corrections->outside_first = text_copy(c->arena, text_of(first)).at;
    corrections->outside_last = text_copy(c->arena, text_of(last)).at;
}

static enum status correct_period(struct correct *c, size_t index, const char **closing,
                                  struct farthing_correction *correction,
                                  struct farthing_corrections *corrections, bool *is_torn)
{
    const struct closed_period *period = &c->periods[index];
    const char **billed = arena_calloc(c->arena, period->count + 1, sizeof *billed);
    for (size_t i = 0; i < period->count; i++) {
        billed[i] = period->first[i].path;
    }
    const struct farthing_correct *options = c->options;
    struct restatement restatement = describe_latest(c, period);
    struct farthing_bill bill = {
        .catalog = options->catalog.count > 0 ? options->catalog
                                              : recorded_paths(c, period->latest, "catalog"),
        .accounts = options->accounts.count > 0 ? options->accounts
                                                : recorded_paths(c, period->latest, "accounts"),
        .events = join_events(c, &restatement),
        .format = options->format,
        .period = text_copy(c->arena, period->first->period).at,
        .out = folder_name(c, period->first),
        .billed = {billed, period->count},
        .replace = options->replace};
    TRY(find_opening(c, index, *closing, &bill.opening));
    restatement.tells = index + 1 == c->period_count && corrections->written == 0;
    restatement.has_before = index > 0 && follows(period);
    restatement.has_later = index + 1 < c->period_count;
    restatement.has_behind = restatement.has_later && follows(period + 1);
    struct farthing_summary summary = {0};
    restatement.warning = period->warning;
    restatement.held = c->held.items;
    restatement.held_count = c->held.count;
    TRY(run_period(c, period, &bill, &restatement, &summary, is_torn));
    c->is_own[index] = restatement.is_written;
    *closing = text_format(c->arena, "%s/closing.ndjson",
                           restatement.is_written ? bill.out : period->latest->path)
                   .at;
    corrections->late_records = restatement.late_records;
    corrections->late_refused = restatement.late_refused;
    corrections->late_conflicts = restatement.late_conflicts;
    corrections->too_late = restatement.too_late;
    tell_outside(c, &restatement.outside, corrections);
    *correction = (struct farthing_correction){.period = bill.period,
                                               .out = restatement.is_written ? bill.out : NULL,
                                               .cleared = restatement.was_cleared ? bill.out : NULL,
                                               .closed = billed[period->count - 1],
                                               .summary = summary};
    return OK;
}

static bool has_output(struct correct *c, const char *folder)
{
    struct file_info info;
    struct error ignored;
    const char *path = text_format(c->arena, "%s/run.json", folder).at;
    return c->env->file_stat(c->env, path, &info, &ignored) == OK;
}

/* Before anything is written: of any period, since one that is replaced may be what another one
 * goes on from. */
static enum status check_out_not_closed(struct correct *c)
{
    for (size_t i = 0; i < c->period_count; i++) {
        const char *out = folder_name(c, c->periods[i].first);
        struct file_info info, other;
        struct error ignored;
        if (c->env->file_stat(c->env, out, &info, &ignored) != OK) {
            continue;
        }
        for (size_t k = 0; k < c->options->closed.count; k++) {
            const char *closed = c->options->closed.items[k];
            if (c->env->file_stat(c->env, closed, &other, &ignored) == OK &&
                info.device == other.device && info.inode == other.inode) {
                (void)fail(c->err, ERR_INPUT,
                           "%s: bills that were issued cannot be the output folder", closed);
                return fail_hint(c->err, "write the difference into a folder of its own");
            }
        }
    }
    return OK;
}

/* The correction of one period lies in the output folder, those of several in folders of it.  What
 * lies there in the other way would stand beside it, and is not replaced. */
static enum status check_out(struct correct *c)
{
    const char *out = c->options->out, *other = out;
    struct text *names;
    size_t count;
    struct error ignored;
    bool is_there = c->period_count > 1 && has_output(c, out);
    if (c->period_count == 1 && c->options->replace &&
        c->env->folder_list(c->env, out, c->arena, &names, &count, &ignored) == OK) {
        for (size_t i = 0; i < count && !is_there; i++) {
            other = text_format(c->arena, "%s/%.*s", out, TEXT_ARG(names[i])).at;
            is_there = has_output(c, other);
        }
    }
    if (!is_there) {
        return check_out_not_closed(c);
    }
    (void)fail(c->err, ERR_INPUT, "%s: has the output of a run in it, and %s goes beside it", other,
               c->period_count > 1 ? "a correction of several periods" : "that of one period");
    return fail_hint(c->err, "give another folder with --out, or remove it");
}

/* Late events are read for each period. */
static enum status check_events(struct correct *c)
{
    for (size_t i = 0; i < c->options->events.count && c->period_count > 1; i++) {
        const char *path = c->options->events.items[i];
        if (is_pipe(c, path)) {
            (void)fail(c->err, ERR_INPUT, "%s is read once, and %zu periods need it",
                       strcmp(path, "-") == 0 ? "standard input" : path, c->period_count);
            return fail_hint(c->err, "put the events into a file");
        }
    }
    return OK;
}

/* All periods, in order.  *again: a payer is held now, so that nothing of this stands, and all of
 * it is to be done once more. */
static enum status correct_periods(struct correct *c, struct farthing_correction *items,
                                   struct farthing_corrections *corrections, bool *again)
{
    const char *closing = NULL;
    enum status status = OK;
    *again = false;
    for (size_t i = 0; i < c->period_count && status == OK; i++) {
        bool is_torn = false;
        status = correct_period(c, i, &closing, &items[i], corrections, &is_torn);
        if (is_torn || (status != OK && c->shifted.count > 0)) {
            enum status removed = remove_own(c);
            status = removed == OK ? status : removed;
            *corrections = (struct farthing_corrections){0};
        }
        if (status == OK && is_torn) {
            c->failures = (struct payer_list){0};
            *again = true;
            return check_can_repeat(c);
        }
        corrections->written += status == OK && items[i].out;
        corrections->failed += items[i].summary.failed_count;
        corrections->count += status == OK;
    }
    return status;
}

static enum status correct_all(struct correct *c, struct farthing_corrections *corrections)
{
    TRY(check_moved(c));
    TRY(find_periods(c));
    TRY(find_known(c));
    warn_of_unmoved(c);
    find_late_before(c);
    TRY(check_events(c));
    for (size_t i = 0; i < c->period_count; i++) {
        const char *opening;
        TRY(find_opening(c, i, "", &opening)); /* all of them, before anything is written */
    }
    TRY(check_out(c));
    struct farthing_correction *items = arena_calloc(c->arena, c->period_count + 1, sizeof *items);
    struct file_info info;
    struct error ignored;
    bool was_there = c->env->file_stat(c->env, c->options->out, &info, &ignored) == OK;
    c->is_own = arena_calloc(c->arena, c->period_count + 1, sizeof *c->is_own);
    bool again = true;
    enum status status = OK;
    while (status == OK && again) {
        status = correct_periods(c, items, corrections, &again);
    }
    if (!was_there && corrections->written == 0) {
        (void)c->env->file_remove(c->env, c->options->out, NULL); /* it is empty */
    }
    corrections->items = items;
    return status;
}

/* The one recovery point: what it needs after running out is behind a pointer. */
static enum status correct_guarded(struct correct *c, struct farthing_corrections *corrections)
{
    jmp_buf recover;
    if (ARENA_RECOVER(c->arena, recover)) {
        return fail_memory(c->err, c->env->memory_asked_bytes, "", "");
    }
    return correct_all(c, corrections);
}

enum farthing_status farthing_correct(struct farthing *farthing,
                                      const struct farthing_correct *options,
                                      struct farthing_corrections *corrections)
{
    handle_clear(farthing);
    if (handle_lacks(farthing, "options", options != NULL) ||
        handle_lacks(farthing, "corrections", corrections != NULL)) {
        return FARTHING_USAGE;
    }
    *corrections = (struct farthing_corrections){0};
    const char *missing = options->closed.count == 0 ? "closed" : !options->out ? "out" : NULL;
    if (missing) {
        (void)fail(&farthing->err, ERR_INPUT, "no %s given", missing);
        return FARTHING_USAGE;
    }
    if (handle_lacks_path(farthing, "closed", &options->closed) ||
        handle_lacks_path(farthing, "events", &options->events) ||
        handle_lacks_path(farthing, "catalog", &options->catalog) ||
        handle_lacks_path(farthing, "accounts", &options->accounts) ||
        handle_lacks_path(farthing, "moved", &options->moved)) {
        return FARTHING_USAGE;
    }
    struct correct c = {.farthing = farthing,
                        .env = farthing->env,
                        .arena = &farthing->arena,
                        .err = &farthing->err,
                        .options = options};
    arena_init(&c.own, &farthing->env->memory, 0);
    enum status status = correct_guarded(&c, corrections);
    arena_release(&c.own);
    farthing->arena.recover = NULL;
    if (status != OK) {
        return handle_status(farthing, status);
    }
    if (corrections->failed > 0) {
        (void)fail(&farthing->err, ERR_OVERFLOW, "%llu payers could not be billed",
                   (unsigned long long)corrections->failed);
        return FARTHING_PARTIAL;
    }
    return FARTHING_OK;
}
