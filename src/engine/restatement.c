/* restatement.c - what a bill run does besides when it restates a closed period.
 *
 * correct.c says what is known (struct restatement): here the run holds its inputs and its files
 * against that before anything is written, leaves out payers that are held, and finds at its end
 * what came late and whether anything has changed.
 */
#include "engine/conflict.h"
#include "engine/restatement.h"
#include "engine/run.h"
#include "feed/output.h"

static enum status check_input(struct run *run, const char *name, struct text wanted,
                               const struct digest *digest)
{
    char now[65];
    digest_format(digest, now);
    if (wanted.size == 0 || text_equal(wanted, text_of(now))) {
        return OK;
    }
    (void)fail(run->err, ERR_INPUT,
               "%s: not what %s was billed with: the digest is %.12s, and was %.12s", name,
               run->restatement->folder, now, wanted.at);
    return fail_hint(run->err,
                     "to correct by what is there now, name it: --%s PATH; else say where that of "
                     "the time is: --moved OLD=NEW",
                     name);
}

enum status restatement_check_inputs(struct run *run)
{
    if (!run->restatement) {
        return OK;
    }
    TRY(check_input(run, "catalog", run->restatement->catalog, &run->catalog->digest));
    return check_input(run, "accounts", run->restatement->accounts, &run->accounts->digest);
}

enum status restatement_check_period(const struct run *run)
{
    const struct restatement *restatement = run->restatement;
    if (!restatement || period_equal(run->period, restatement->period)) {
        return OK;
    }
    char then[TIME_FORMAT_MAX], now[TIME_FORMAT_MAX];
    int then_size = time_format_short(restatement->period.from, then);
    int now_size = time_format_short(run->period.from, now);
    (void)fail(run->err, ERR_INPUT,
               "%s: was billed from %.*s on, and %s begins at %.*s by the catalog that is given",
               restatement->folder, then_size, then, run->options->period, now_size, now);
    return fail_hint(run->err,
                     "closed periods keep the zone of billing that they were billed with");
}

instant restatement_late_before(const struct run *run, uint32_t file)
{
    const struct restatement *restatement = run->restatement;
    size_t source = feed_file_source(run->feed, file);
    return !restatement                        ? INSTANT_MIN
           : source < restatement->known_count ? restatement->known[source].late_before
                                               : restatement->late_before;
}

bool restatement_is_new(const struct run *run, uint32_t file)
{
    const struct restatement *restatement = run->restatement;
    return restatement && feed_file_source(run->feed, file) >= restatement->known_count;
}

bool restatement_has(const struct run *run, const struct event *event)
{
    const struct restatement *restatement = run->restatement;
    instant at = event->at;
    uint32_t account = billing_is_calendar(run->catalog)
                           ? NONE
                           : account_find(&run->finder, account_hash(&run->finder, event->subject));
    if (account != NONE) {
        uint32_t payer = accounts_payer(run->accounts, account, at);
        const struct billing_of of = billing_of(run->catalog, run->accounts, payer, at);
        instant from = billing_turn(&of, at).from;
        at = billing_at(&of, from).is_custom ? from : at;
    }
    for (size_t i = 0; i < restatement->period_count; i++) {
        if (period_has(restatement->periods[i], at)) {
            return true;
        }
    }
    return false;
}

void outside_add(struct outside *to, const struct outside *more)
{
    if (more->count > 0) {
        to->first = to->count == 0 || more->first < to->first ? more->first : to->first;
        to->last = to->count == 0 || more->last > to->last ? more->last : to->last;
        to->count += more->count;
    }
}

instant restatement_late_max(const struct run *run)
{
    const struct restatement *restatement = run->restatement;
    if (!restatement) {
        return INSTANT_MIN;
    }
    instant max = restatement->late_before;
    for (size_t i = 0; i < restatement->known_count; i++) {
        instant before = restatement->known[i].late_before;
        max = before > max ? before : max;
    }
    return max > run->period.from ? INSTANT_MAX : max;
}

enum status restatement_check_events(struct run *run)
{
    struct restatement *restatement = run->restatement;
    if (!restatement) {
        return OK;
    }
    restatement->late_records = 0;
    for (uint32_t f = 0; f < feed_file_count(run->feed); f++) {
        size_t source = feed_file_source(run->feed, f);
        const struct event_count *now = &run->file_events[f];
        if (source >= restatement->known_count) {
            restatement->late_records += now->count;
            continue;
        }
        const struct known_file *known = &restatement->known[source];
        if (now->count == known->read.count && now->print == known->read.print) {
            continue;
        }
        (void)fail(
            run->err, ERR_INPUT,
            "%s: is not as it was when %s was billed: it had %llu records, and now has %llu%s",
            known->path, known->folder, (unsigned long long)known->read.count,
            (unsigned long long)now->count,
            now->count == known->read.count ? " that are others" : "");
        return fail_hint(run->err, known->is_csv && restatement->catalog.size == 0
                                       ? "was it the `csv:` of the catalog that is given? It must "
                                         "read the file as that did with which it was billed"
                                       : "put it back as it was, and give what is new as --events "
                                         "of another name; or say where it is with --moved "
                                         "OLD=NEW");
    }
    return OK;
}

/* Events outside the period are of another bill. */
static bool has_other_exclusions(const struct restatement *then, const struct farthing_summary *now)
{
    size_t same = 0, before = 0, index, count;
    yyjson_val *key, *value;
    const char *out_of_period = exclusion_name(EXCLUDE_OUT_OF_PERIOD);
    yyjson_obj_foreach(then->excluded, index, count, key, value)
    {
        before += strcmp(yyjson_get_str(key), out_of_period) != 0;
    }
    for (size_t i = 0; i < now->excluded_count; i++) {
        const struct farthing_count *item = &now->excluded[i];
        if (strcmp(item->name, out_of_period) == 0) {
            continue;
        }
        yyjson_val *was = yyjson_obj_get(then->excluded, item->name);
        if (!was || yyjson_get_uint(was) != item->count) {
            return true;
        }
        same++;
    }
    return same != before;
}

static bool is_as_before(const struct output_file *file, struct text print)
{
    char now[33];
    hash128_format(output_file_print(file), now);
    return text_equal(text_of(now), print);
}

/* What was refused of a file is listed, where a known file is its copy. */
static bool is_told(const struct run *run, uint32_t file)
{
    const struct event_count *refused = &run->file_refused[file];
    bool is_told = refused->count == 0;
    for (uint32_t f = 0; f < feed_file_count(run->feed) && !is_told; f++) {
        is_told = feed_file_source(run->feed, f) < run->restatement->known_count &&
                  run->file_refused[f].count == refused->count &&
                  run->file_refused[f].print == refused->print;
    }
    return is_told;
}

static void count_refused(struct run *run)
{
    struct restatement *then = run->restatement;
    for (uint32_t f = 0; f < feed_file_count(run->feed); f++) {
        if (feed_file_source(run->feed, f) >= then->known_count) {
            then->late_refused += run->file_refused[f].count;
            then->has_untold |= !is_told(run, f);
        }
    }
}

static bool is_late(const struct run *run, const struct conflict *conflict)
{
    uint32_t file = (uint32_t)(conflict->refused >> 48);
    return feed_file_source(run->feed, file) >= run->restatement->known_count;
}

/* Conflicts are sorted, those of one key and content together: they are listed where one of them is
 * of a known file. */
static void count_conflicts(struct run *run)
{
    struct restatement *then = run->restatement;
    for (uint32_t i = 0; i < run->conflicts.count;) {
        const struct conflict *first = &run->conflicts.items[i], *at = first;
        bool is_known = false;
        uint64_t late = 0;
        for (; i < run->conflicts.count && text_equal(at->source, first->source) &&
               text_equal(at->id, first->id) && hash_equal(at->print, first->print);
             at = &run->conflicts.items[++i]) {
            late += is_late(run, at);
            is_known |= !is_late(run, at);
        }
        then->late_conflicts += late;
        then->has_untold |= late > 0 && !is_known;
    }
}

void restatement_hold(struct run *run)
{
    const struct restatement *restatement = run->restatement;
    if (restatement && restatement->warning) {
        run_warn(run, "%s", restatement->warning);
    }
    if (!restatement || restatement->held_count == 0) {
        return;
    }
    run->held = arena_calloc(&run->arena, run->accounts->count + 1u, sizeof *run->held);
    for (uint32_t i = 0; i < restatement->held_count; i++) {
        const struct failure *held = &restatement->held[i];
        uint32_t payer = run_payer(run, held->payer, held->contract);
        if (payer != MAP_NONE) {
            run->held[payer] = held;
        }
    }
}

static struct failure name_payer(const struct run *run, uint32_t payer)
{
    return (struct failure){.payer = run->accounts->items[payer].id,
                            .contract = bill_contract(run->catalog, run->accounts, payer)};
}

static void list_failed(struct run *run)
{
    struct restatement *then = run->restatement;
    uint32_t count = 0;
    for (int i = 0; i < run->threads; i++) {
        count += run->workers[i].settle.failures.count;
    }
    then->failures = arena_calloc(&run->arena, count + 1, sizeof *then->failures);
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        for (uint32_t f = 0; f < worker->settle.failures.count; f++) {
            const struct failed_payer *from = &worker->settle.failures.items[f];
            if (run->held && run->held[from->index]) {
                continue;
            }
            struct failure *to = &then->failures[then->failure_count++];
            *to = name_payer(run, from->index);
            to->message = text_copy(&run->arena, from->message);
            to->is_torn = from->is_torn;
            then->is_torn |= from->is_torn && run->is_shifted && run->is_shifted[from->index];
        }
    }
}

bool restatement_is_torn(struct run *run)
{
    struct restatement *then = run->restatement;
    if (!then) {
        return false;
    }
    list_failed(run);
    then->shifted = arena_calloc(&run->arena, run->accounts->count + 1u, sizeof *then->shifted);
    for (uint32_t i = 0; i < run->accounts->count && run->is_shifted; i++) {
        if (run->is_shifted[i]) {
            then->shifted[then->shifted_count++] = name_payer(run, i);
        }
    }
    return then->is_torn;
}

bool restatement_has_changed(struct run *run, const struct farthing_summary *summary)
{
    struct restatement *then = run->restatement;
    count_refused(run);
    count_conflicts(run);
    then->is_written = (then->tells && then->has_untold) || summary->bill_lines > 0 ||
                       !is_as_before(run->files.usage, then->usage_print) ||
                       /* closing.ndjson names who failed */
                       !is_as_before(run->files.closing, then->closing_print) ||
                       has_other_exclusions(then, summary);
    return then->is_written;
}
