/* opening.c - the state a period begins with: the closing.ndjson of the period before, line by
 * line.
 *
 *     "bucket"   what a step has added up              run->opening, by payer and key
 *     "meter"    a meter's value, level or samples     run->carried, by payer
 *     "failed"   a payer that was not billed           unbilled.c
 *     "waits"    one that has had no bill yet          waiting.c
 *
 * A state is of a moment, and only the bill that begins then may go on with it; of a meter's state
 * that is the bill of who pays for the account then, which may be another payer.
 */
#include <stdlib.h>
#include <yyjson.h>

#include "engine/folder.h"
#include "engine/issued.h"
#include "engine/load.h"
#include "engine/opening.h"
#include "engine/restatement.h"
#include "engine/run.h"
#include "engine/unbilled.h"
#include "engine/waiting.h"
#include "engine/wallets.h"

/* ---- members of a line --------------------------------------------------------------------- */

static bool member_text(yyjson_val *object, const char *key, struct text *out)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    if (!yyjson_is_str(value)) {
        return false;
    }
    *out = (struct text){yyjson_get_str(value), yyjson_get_len(value)};
    return true;
}

static bool member_time(yyjson_val *object, const char *key, instant *out)
{
    struct text text;
    return member_text(object, key, &text) && time_read(text, out);
}

/* The edge of a turn; empty where time is open. */
static bool member_edge(yyjson_val *object, const char *key, instant open, instant *out)
{
    struct text text;
    *out = open;
    return member_text(object, key, &text) && (text.size == 0 || time_read(text, out));
}

static bool member_dec(yyjson_val *object, const char *key, struct dec *out)
{
    struct text text;
    return member_text(object, key, &text) && dec_parse(text, out) == NUMBER_OK;
}

/* Numbers as texts; none when the member is not there. */
static bool member_decs(struct arena *arena, yyjson_val *object, const char *key,
                        const struct dec **out, uint32_t *count)
{
    yyjson_val *list = yyjson_obj_get(object, key), *item;
    struct dec *numbers = arena_alloc(arena, (yyjson_arr_size(list) + 1) * sizeof *numbers);
    yyjson_arr_iter iter = yyjson_arr_iter_with(list);
    *count = 0;
    *out = numbers;
    while ((item = yyjson_arr_iter_next(&iter))) {
        struct text text = {yyjson_get_str(item), yyjson_get_len(item)};
        if (!text.at || dec_parse(text, &numbers[(*count)++]) != NUMBER_OK) {
            return false;
        }
    }
    return !list || yyjson_is_arr(list);
}

/* ---- states -------------------------------------------------------------------------------- */

static enum status read_bucket(struct run *run, yyjson_val *object, uint32_t payer, instant at,
                               struct opening_bucket *out)
{
    struct text key;
    struct bucket_state *state = &out->state;
    out->payer = payer;
    if (!member_text(object, "bucket", &key) ||
        !member_edge(object, "from", INSTANT_MIN, &state->turn.from) ||
        !member_edge(object, "to", INSTANT_MAX, &state->turn.to) ||
        !member_dec(object, "x", &state->x) || !member_dec(object, "y", &state->y) ||
        !member_dec(object, "events", &state->events) ||
        !member_dec(object, "high", &state->high) ||
        !member_decs(&run->arena, object, "samples", &state->samples, &state->sample_count)) {
        return ERR_INPUT;
    }
    state->key = text_copy(&run->arena, key);
    out->payer = wallets_heir(run, &run->arena, payer, state->key, at);
    out->is_moved = out->payer != payer;
    return OK;
}

/* A payer that was not billed, so that it has no state. */
static enum status read_unbilled(struct run *run, yyjson_val *object, uint32_t payer, instant at,
                                 struct text line)
{
    struct unbilled unbilled = {.payer = payer, .span.to = at, .raw = line};
    if (!yyjson_is_true(yyjson_obj_get(object, "failed")) ||
        !member_time(object, "from", &unbilled.span.from)) {
        return ERR_INPUT;
    }
    if (payer != MAP_NONE) {
        unbilled_add(run, unbilled);
    }
    return OK;
}

/* The account of a state, by its id, and whether the state is of a view that is not there any more,
 * or that has lost the account. */
static void find_account(const struct run *run, uint32_t payer, struct text id, bool is_of_view,
                         struct carried *out)
{
    uint32_t view = payer == MAP_NONE ? NONE : accounts_view(run->accounts, payer);
    out->state.account =
        is_of_view && payer == MAP_NONE ? MAP_NONE : accounts_find(run->accounts, view, id);
    if (is_of_view && out->state.account == MAP_NONE && !out->has_samples) {
        out->is_gone = true;
        out->state.account = accounts_find(run->accounts, NONE, id);
    }
}

/* MAP_NONE: there is none of that name any more. */
static uint32_t find_meter(const struct catalog *catalog, struct text name)
{
    uint32_t meter = 0;
    while (meter < catalog->meter_count && !text_equal(catalog->meters[meter].name, name)) {
        meter++;
    }
    return meter < catalog->meter_count ? meter : (uint32_t)MAP_NONE;
}

/* Whether a meter of that aggregation leaves such a state. */
static bool leaves_such(enum aggregate aggregate, bool has_samples, bool has_sum)
{
    if (!has_samples) {
        return aggregate_picks(aggregate) || aggregate == AGGREGATE_TIME_WEIGHTED;
    }
    return has_sum ? aggregate == AGGREGATE_AVERAGE
                   : aggregate == AGGREGATE_UNIQUE || aggregate == AGGREGATE_PERCENTILE;
}

static uint32_t find_series(struct run *run, uint32_t meter, uint32_t sku, struct text resource,
                            yyjson_val *values)
{
    const struct catalog *catalog = run->catalog;
    const struct meter *known = &catalog->meters[meter];
    const uint32_t count = known->dimension_count;
    struct text dimensions[DIMENSIONS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        struct text name = catalog->dimensions[known->dimensions[i].name];
        struct text key = text_copy(&run->arena, name);
        dimensions[i] = TEXT("");
        (void)member_text(values, key.at, &dimensions[i]);
    }
    uint64_t hash = series_hash(meter, sku, resource, dimensions, count);
    uint32_t series = series_find(&run->series, hash, meter, sku, resource, dimensions, count);
    return series != NONE ? series
                          : series_add(&run->series, hash, meter, sku, resource, dimensions, count);
}

/* A meter's state enters only when the catalog still has its meter, SKU and account.  It goes on
 * with who pays for the account when the bill ended that tells it, or later, as the run begins; of
 * an account that its view has no more, with whom that is lent to. */
static enum status read_meter_state(struct run *run, yyjson_val *object, uint32_t payer, instant at,
                                    struct carried *out, bool *is_known)
{
    struct text meter_name, account, sku_name, resource, source = TEXT(""), id = TEXT("");
    bool has_sum = yyjson_obj_get(object, "sum");
    out->has_samples = has_sum || yyjson_obj_get(object, "samples");
    if (!member_text(object, "meter", &meter_name) || !member_text(object, "account", &account) ||
        !member_text(object, "sku", &sku_name) || !member_text(object, "resource", &resource) ||
        (!out->has_samples &&
         (!member_text(object, "source", &source) || !member_text(object, "id", &id) ||
          !member_dec(object, "value", &out->state.value) ||
          !member_time(object, "time", &out->state.at)))) {
        return ERR_INPUT;
    }
    out->state.is_open = yyjson_is_true(yyjson_obj_get(object, "open"));
    const struct catalog *catalog = run->catalog;
    const bool is_of_view =
        yyjson_obj_get(object, "contract") || yyjson_get_len(yyjson_obj_get(object, "payer")) == 0;
    find_account(run, payer, account, is_of_view, out);
    const uint32_t sku = map_find(&catalog->sku_by_name, sku_name);
    const uint32_t meter = find_meter(catalog, meter_name);
    *is_known = (payer != MAP_NONE || out->is_gone) && sku != MAP_NONE && meter != MAP_NONE &&
                out->state.account != MAP_NONE &&
                leaves_such(catalog->meters[meter].aggregate, out->has_samples, has_sum);
    if (!*is_known) {
        return OK;
    }
    out->state.series =
        find_series(run, meter, sku, resource, yyjson_obj_get(object, "dimensions"));
    const instant since = at > run->period.from ? at : run->period.from;
    out->payer = accounts_payer(run->accounts, out->state.account, since);
    if (is_of_view && !out->has_samples &&
        !accounts_is_billed(run->accounts, catalog, out->payer, since)) {
        out->is_gone = true;
    }
    out->is_lent = yyjson_is_true(yyjson_obj_get(object, "lent"));
    out->is_gone = out->is_gone || out->is_lent;
    if (out->is_gone) {
        out->state.account = accounts_own(run->accounts, out->state.account);
        out->payer = MAP_NONE;
    }
    out->state.told = at;
    out->state.source = text_copy(&run->arena, source);
    out->state.id = text_copy(&run->arena, id);
    return OK;
}

/* ---- who goes on --------------------------------------------------------------------------- */

/* A state is of the moment at which a bill ended; only the bill that begins there may go on with
 * it. */
static bool begins_at(const struct run *run, uint32_t payer, instant at)
{
    if (payer == MAP_NONE) {
        return true; /* not an account any more: its states are left out */
    }
    if (!run->has_cuts) {
        return at == run->period.from;
    }
    uint32_t first = run->cut_first[payer], end = run->cut_first[payer + 1];
    return first == end || run->cuts[first].from == at;
}

/* The same of a meter's state, of which another payer may be the one to go on with it: whenever its
 * bill begins then, and with a level inside its bill. */
static bool goes_on_at(const struct run *run, uint32_t payer, uint32_t heir, bool is_level,
                       instant at)
{
    if (payer != MAP_NONE && run_waits(run, payer)) {
        return at == run->period.from;
    }
    if (begins_at(run, payer, at)) {
        return true;
    }
    uint32_t first = run->has_cuts ? run->cut_first[heir] : 0;
    return run->has_cuts && heir != payer &&
           (first == run->cut_first[heir + 1] || run->cuts[first].from >= at ||
            (is_level && at >= run->period.from));
}

static struct carried *add_carried(struct run *run)
{
    run->carried.items = arena_room(&run->arena, run->carried.items, run->carried.count,
                                    &run->carried.capacity, sizeof *run->carried.items);
    return &run->carried.items[run->carried.count++];
}

static void add_copy(struct run *run, const struct carried *first, uint32_t account, uint32_t payer)
{
    struct carried *copy = add_carried(run);
    *copy = *first;
    copy->state.account = account;
    copy->payer = payer;
    copy->is_copy = true;
    copy->is_gone = false;
}

/* Whether it is known to all who pay for the account in the period, and not to the one alone who
 * goes on with it. */
static bool is_for_all(const struct run *run, const struct carried *carried)
{
    const uint32_t meter = series_at(&run->series, carried->state.series)->meter;
    return carried_is_level(run, carried) ||
           (run->catalog->meters[meter].aggregate == AGGREGATE_LATEST && run->has_cuts);
}

/* A level is known to all that pay for its account from when it is told, until a bill of a run
 * before tells another; and a gauge to all that do in the period, when they have turns that begin
 * in it.  The account may be another one of the same record, to which the state is lent.  Copies of
 * it are in run->carried from there on. */
static void copy_state(struct run *run, const struct carried first, uint32_t account,
                       uint32_t copies)
{
    const bool is_lent = first.is_gone || account != first.state.account;
    const bool is_level = carried_is_level(run, &first), goes_on = is_for_all(run, &first);
    if (!goes_on && !is_lent) {
        return;
    }
    struct carried copy = first;
    if (is_lent && is_level && first.state.at < run->period.from) {
        copy.state.told = run->period.from; /* it has not changed since, whoever tells it */
    }
    const instant since = goes_on && !is_level ? first.state.at : copy.state.told;
    uint32_t payer;
    for (instant at = since > run->period.from ? since : run->period.from, from = at;
         payers_next(run, account, &at, &payer) && (goes_on || from == copy.state.told);
         from = at) {
        if (is_level && run_was_billed(run, payer, from)) {
            return;
        }
        bool is_known =
            is_lent ? !accounts_is_paid_by(run->accounts, run->catalog, account, payer, from)
                    : payer == first.payer;
        for (uint32_t i = copies; i < run->carried.count && !is_known; i++) {
            is_known = run->carried.items[i].payer == payer;
        }
        if (!is_known) {
            add_copy(run, &copy, account, payer);
        }
    }
}

/* ---- views --------------------------------------------------------------------------------- */

/* A state by the record's account. */
struct told {
    uint32_t own, series, account; /* its own before those of views */
    uint32_t index;                /* in run->carried */
};

static int compare_told(const void *a_item, const void *b_item)
{
    const struct told *a = a_item, *b = b_item;
    if (a->own != b->own) {
        return a->own < b->own ? -1 : 1;
    }
    if (a->series != b->series) {
        return a->series < b->series ? -1 : 1;
    }
    if (a->account != b->account) {
        return a->account < b->account ? -1 : 1;
    }
    return (a->index > b->index) - (a->index < b->index);
}

/* Gives a state that is nobody's any more to who pays for an account when it is told: for good, so
 * that it is passed on until then. */
static bool take_in(struct run *run, const struct carried gone, uint32_t account)
{
    const instant at = gone.state.told > run->period.from ? gone.state.told : run->period.from;
    const uint32_t payer = accounts_payer(run->accounts, account, at);
    if (!accounts_is_billed(run->accounts, run->catalog, payer, at)) {
        return false;
    }
    add_copy(run, &gone, account, payer);
    run->carried.items[run->carried.count - 1].is_copy = false;
    return true;
}

/* Whether a state serves others better than another of the same account: a level that is told
 * earlier, since who needs it may begin before the other is; of gauges the one that a row of both
 * would have. */
static bool is_better(enum aggregate aggregate, const struct meter_state *a,
                      const struct meter_state *b)
{
    if (aggregate == AGGREGATE_TIME_WEIGHTED) {
        return a->told < b->told;
    }
    if (aggregate == AGGREGATE_MAX || aggregate == AGGREGATE_MIN) {
        int order = dec_compare(a->value, b->value);
        return aggregate == AGGREGATE_MAX ? order > 0 : order < 0;
    }
    if (a->at != b->at) {
        return a->at > b->at;
    }
    int order = text_compare(a->source, b->source);
    return order > 0 || (order == 0 && text_compare(a->id, b->id) > 0);
}

/* Of one record's account and series: what the best of them says goes to all accounts that say less
 * or nothing.  A level of one's own is as good as any. */
static void lend_states_of(struct run *run, const struct told *told, uint32_t count)
{
    const struct accounts *accounts = run->accounts;
    const uint32_t own = told->own;
    const enum aggregate aggregate =
        run->catalog->meters[series_at(&run->series, told->series)->meter].aggregate;
    struct carried best = run->carried.items[told->index];
    for (uint32_t i = 1; i < count; i++) {
        const struct carried *carried = &run->carried.items[told[i].index];
        best = is_better(aggregate, &carried->state, &best.state) ? *carried : best;
    }
    const bool has_copies = accounts_has_copies(accounts, own), was_gone = best.is_gone;
    const uint32_t first = has_copies ? accounts->copy_first[own] : 0,
                   end = has_copies ? accounts->copy_first[own + 1] : 0;
    bool is_homeless = was_gone && !best.is_lent;
    if (aggregate != AGGREGATE_TIME_WEIGHTED) {
        best.state.is_open = false; /* a slot that goes on is not lent */
    }
    for (uint32_t i = first; i <= end; i++) { /* those of views, then the record's own */
        const uint32_t account = i < end ? accounts->copies[i] : own;
        bool has_own = !was_gone && account == best.state.account;
        for (uint32_t k = 0; k < count && !has_own; k++) {
            const struct carried *carried = &run->carried.items[told[k].index];
            has_own = told[k].account == account && !carried->is_gone &&
                      (aggregate == AGGREGATE_TIME_WEIGHTED ||
                       !is_better(aggregate, &best.state, &carried->state));
        }
        const uint32_t copies = run->carried.count;
        if (!has_own) {
            is_homeless = is_homeless && !take_in(run, best, account);
            copy_state(run, best, account, copies);
        }
    }
}

/* Events are known to all who price their account, so a level or gauge is one for all of them: a
 * view that begins where no other of the account's bills does has none of its own, and neither has
 * the account when a view has billed it alone. */
static void lend_states(struct run *run)
{
    const struct accounts *accounts = run->accounts;
    struct told *told = arena_alloc(&run->arena, (run->carried.count + 1) * sizeof *told);
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->carried.count; i++) {
        const struct carried *carried = &run->carried.items[i];
        const struct meter_state *state = &carried->state;
        const uint32_t own = accounts_own(accounts, state->account);
        if (!carried->is_copy && !carried->has_samples &&
            ((carried->is_gone && !carried->is_lent) || accounts_has_copies(accounts, own))) {
            told[count++] = (struct told){own, state->series, state->account, i};
        }
    }
    if (count > 0) {
        qsort(told, count, sizeof *told, compare_told);
    }
    for (uint32_t first = 0, end; first < count; first = end) {
        end = first + 1;
        while (end < count && told[end].own == told[first].own &&
               told[end].series == told[first].series) {
            end++;
        }
        lend_states_of(run, told + first, end - first);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->carried.count; i++) {
        if (!run->carried.items[i].is_gone) {
            run->carried.items[kept++] = run->carried.items[i];
        }
    }
    run->carried.count = kept;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Of a meter, where somebody goes on with it; of a view that is gone, who it was lent to. */
static enum status read_carried(struct run *run, yyjson_val *object, uint32_t payer, instant at,
                                struct text line)
{
    bool is_known = false;
    struct carried *last = add_carried(run);
    *last = (struct carried){.raw = line};
    enum status status = read_meter_state(run, object, payer, at, last, &is_known);
    bool is_then = true; /* the bill of who goes on begins when the state is of */
    if (is_known && last->is_gone) {
        bool is_now = run->has_cuts ? at >= run->period.from : at == run->period.from;
        is_then = is_now || payer == MAP_NONE;
        is_known = is_now;
    } else if (status == OK) {
        uint32_t heir = is_known ? last->payer : payer;
        is_then = goes_on_at(run, payer, heir, is_known && carried_is_level(run, last), at);
    }
    status = status == OK && !is_then ? ERR_CONFLICT : status;
    run->carried.count -= status != OK || !is_known;
    return status;
}

static enum status read_opening_line(struct run *run, struct text line, instant *at)
{
    yyjson_read_err json_err;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)line.at, line.size, 0, NULL, &json_err);
    yyjson_val *object = yyjson_doc_get_root(doc);
    struct text payer_id;
    enum status status = ERR_INPUT;
    if (yyjson_is_obj(object) && member_text(object, "payer", &payer_id)) {
        struct text contract = TEXT("");
        (void)member_text(object, "contract", &contract);
        uint32_t payer = run_payer(run, payer_id, contract);
        if (!member_time(object, "at", at)) {
            status = ERR_INPUT;
        } else if (yyjson_is_true(yyjson_obj_get(object, "waits"))) {
            status = *at == run->period.from ? OK : ERR_CONFLICT;
            if (payer != MAP_NONE) {
                waiting_add(run, payer);
            }
        } else if (!yyjson_obj_get(object, "meter") && !begins_at(run, payer, *at)) {
            status = ERR_CONFLICT;
        } else if (yyjson_obj_get(object, "failed")) {
            status = read_unbilled(run, object, payer, *at, line);
        } else if (yyjson_obj_get(object, "bucket")) {
            run->opening[run->opening_count].raw = line;
            status = read_bucket(run, object, payer, *at, &run->opening[run->opening_count]);
            run->opening_count += status == OK && payer != MAP_NONE;
        } else {
            status = read_carried(run, object, payer, *at, line);
        }
    }
    yyjson_doc_free(doc);
    return status;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* One that has no state says nothing of its time, and would go with any period. */
static void warn_of_other_period(struct run *run, struct text run_file)
{
    struct text json, text;
    struct period period;
    if (run->restatement ||
        load_bytes(run->env, &run->arena, run_file.at, RUN_FILE_MAX_BYTES, &json, NULL) != OK) {
        return;
    }
    yyjson_doc *doc = arena_read_json(&run->arena, json);
    if (member_text(yyjson_doc_get_root(doc), "period", &text) &&
        period_parse(text, run->catalog->billing.zone, &period) == TIME_OK &&
        period.to != run->period.from) {
        run_warn(run,
                 "%s is of a run of %.*s, which does not end where this period begins: what was "
                 "used between them is in no state; give the closing.ndjson of the period just "
                 "before",
                 run->options->opening, TEXT_ARG(text));
    }
}

/* The payers of another catalog may be called the same, and what it says of them is no state of any
 * step here; but a catalog may also have got another name. */
static bool warn_of_other_catalog(struct run *run, const char *folder)
{
    struct text json, provider;
    const char *summary = text_format(&run->arena, "%s/summary.json", folder).at;
    if (run->restatement ||
        load_bytes(run->env, &run->arena, summary, RUN_FILE_MAX_BYTES, &json, NULL) != OK) {
        return false;
    }
    yyjson_doc *doc = arena_read_json(&run->arena, json);
    const bool is_other = member_text(yyjson_doc_get_root(doc), "provider", &provider) &&
                          !text_equal(provider, run->catalog->name);
    if (is_other) {
        run_warn(run,
                 "%s is of a run of catalog %.*s, and this one is called %.*s: where that is "
                 "another one, give the closing.ndjson of this one's period before",
                 run->options->opening, TEXT_ARG(provider), TEXT_ARG(run->catalog->name));
    }
    return is_other;
}

/* A closing that lies in its output folder must be that of the folder's run; a copy elsewhere is
 * taken as it is. */
static enum status check_opening_written(struct run *run, struct text bytes, bool *is_of_other)
{
    struct text path = text_of(run->options->opening), name = TEXT("closing.ndjson");
    *is_of_other = false;
    if (path.size < name.size || memcmp(path.at + path.size - name.size, name.at, name.size) != 0) {
        return OK;
    }
    size_t size = path.size - name.size; /* with the slash */
    if (size > 0 && path.at[size - 1] != '/') {
        return OK;
    }
    size -= size > 1; /* but of / */
    struct text folder =
        size == 0 ? TEXT(".") : text_copy(&run->arena, (struct text){path.at, size});
    struct text run_file = text_format(&run->arena, "%s/run.json", folder.at);
    struct file_info info;
    if (run->env->file_stat(run->env, run_file.at, &info, NULL) != OK) {
        return OK;
    }
    char print[33];
    TRY(check_written(run, folder.at, name.at, bytes, print));
    warn_of_other_period(run, run_file);
    *is_of_other = warn_of_other_catalog(run, folder.at);
    return OK;
}

/* Takes off the last line, which tells how much comes before it. */
static enum status check_opening_whole(struct run *run, struct text *bytes)
{
    size_t start = bytes->size > 0 ? bytes->size - 1 : 0;
    while (start > 0 && bytes->at[start - 1] != '\n') {
        start--;
    }
    yyjson_doc *doc = yyjson_read(bytes->at + start, bytes->size - start, 0);
    yyjson_val *end = yyjson_obj_get(yyjson_doc_get_root(doc), "closing");
    struct text print;
    char hex[33];
    hash128_format(hash_blocks(bytes->at, start), hex);
    bool is_end = yyjson_is_obj(end);
    bool is_whole = is_end && yyjson_get_uint(yyjson_obj_get(end, "size")) == start &&
                    member_text(end, "print", &print) && text_equal(print, text_of(hex));
    uint64_t form = yyjson_get_uint(yyjson_obj_get(end, "form"));
    yyjson_doc_free(doc);
    if (is_whole && form != CLOSING_FORM) { /* no bucket would be found by its name */
        (void)fail(run->err, ERR_INPUT, "%s: is of %s version, whose buckets have other names",
                   run->options->opening, form < CLOSING_FORM ? "an earlier" : "a later");
        return fail_hint(run->err, "bill the period before again with this version, from its own "
                                   "opening: the closing says the same in these names");
    }
    if (!is_whole) {
        (void)fail(run->err, is_end ? ERR_CORRUPT : ERR_INPUT,
                   is_end ? "%s: is not as the run wrote it" : "%s: is no whole closing.ndjson",
                   run->options->opening);
        return fail_hint(run->err, is_end
                                       ? "the file was edited: give it as the run wrote it"
                                       : "the line at its end is missing: give the closing.ndjson "
                                         "of the period before as the run wrote it");
    }
    bytes->size = start;
    return OK;
}

/* By their places in the file. */
static int compare_lines(struct text a, struct text b)
{
    return (a.at > b.at) - (a.at < b.at);
}

static int compare_opening(const void *a_item, const void *b_item)
{
    const struct opening_bucket *a = a_item, *b = b_item;
    if (a->payer != b->payer) {
        return a->payer < b->payer ? -1 : 1;
    }
    int order = bucket_state_compare(&a->state, &b->state);
    order = order ? order : (int)a->is_moved - (int)b->is_moved;
    return order ? order : compare_lines(a->raw, b->raw);
}

/* A wallet that goes along with its account comes to no payer who has one of its own, from when it
 * did not: as within a run (wallets_hand_on). */
static void drop_moved(struct run *run)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->opening_count; i++) {
        const struct opening_bucket *bucket = &run->opening[i];
        const struct opening_bucket *last = kept > 0 ? &run->opening[kept - 1] : NULL;
        bool has_own = last && bucket->is_moved && last->payer == bucket->payer &&
                       bucket_state_compare(&last->state, &bucket->state) == 0;
        if (!has_own) {
            run->opening[kept++] = *bucket;
        }
    }
    run->opening_count = kept;
}

static int compare_carried(const void *a_item, const void *b_item)
{
    const struct carried *a = a_item, *b = b_item;
    if (a->payer != b->payer) {
        return a->payer < b->payer ? -1 : 1;
    }
    return compare_lines(a->raw, b->raw);
}

/* Of a line that is none of a closing (ERR_INPUT), or whose state is of an instant at which the
 * payer's bill does not begin (ERR_CONFLICT). */
static enum status fail_state(struct run *run, size_t number, enum status status, instant of)
{
    if (status != ERR_CONFLICT) {
        (void)fail(run->err, ERR_INPUT, "%s:%zu: no state of a bucket or meter",
                   run->options->opening, number);
        return fail_hint(run->err, "give the closing.ndjson of the period before");
    }
    char text[TIME_FORMAT_MAX];
    (void)time_format_short(of, text);
    (void)fail(run->err, ERR_INPUT,
               "%s:%zu: this state is of %s, and the payer's bill does not begin then",
               run->options->opening, number, text);
    return fail_hint(run->err, run->restatement && !run->restatement->has_before
                                   ? "its turns are others now: name the closed folders of the "
                                     "periods before, too, with --closed"
                                   : "give the closing.ndjson of the period just before");
}

static enum status read_states(struct run *run, struct text bytes)
{
    size_t lines = 1, number = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        lines += bytes.at[i] == '\n';
    }
    if (lines > ARENA_ITEMS_MAX) {
        return fail(run->err, ERR_LIMIT, "%s: more than %u states", run->options->opening,
                    (unsigned)ARENA_ITEMS_MAX);
    }
    run->opening = arena_calloc(&run->arena, lines, sizeof *run->opening);
    for (size_t at = 0; at < bytes.size;) {
        const char *end = memchr(bytes.at + at, '\n', bytes.size - at);
        size_t size = end ? (size_t)(end - bytes.at) - at : bytes.size - at;
        number++;
        instant of = INSTANT_MIN;
        enum status status =
            size > 0 ? read_opening_line(run, (struct text){bytes.at + at, size}, &of) : OK;
        if (status != OK) {
            return fail_state(run, number, status, of);
        }
        at += size + 1;
    }
    return OK;
}

/* Sorted, and with copies for all who go on from a state. */
static void arrange_states(struct run *run)
{
    if (run->opening_count > 0) {
        qsort(run->opening, run->opening_count, sizeof *run->opening, compare_opening);
        drop_moved(run);
    }
    bool lends = run->accounts->view_count > 0;
    for (uint32_t i = 0, count = run->carried.count; i < count; i++) {
        if (!run->carried.items[i].is_gone) {
            copy_state(run, run->carried.items[i], run->carried.items[i].state.account,
                       run->carried.count);
        }
        lends = lends || run->carried.items[i].is_gone;
    }
    if (lends) {
        lend_states(run);
    }
    if (run->carried.count > 0) {
        qsort(run->carried.items, run->carried.count, sizeof *run->carried.items, compare_carried);
    }
}

enum status load_opening(struct run *run)
{
    const char *path = run->options->opening;
    run->opening_digest = TEXT("");
    if (!path) {
        if (!run->is_case) {
            warn_of_no_opening(run);
        }
        return OK;
    }
    if (strcmp(path, "none") == 0) {
        return OK; /* the first period */
    }
    struct text bytes;
    struct file_info info;
    if (run->env->file_stat(run->env, path, &info, NULL) == OK && info.kind == FILE_FOLDER) {
        (void)fail(run->err, ERR_INPUT, "%s is no file", path);
        return fail_hint(run->err, "--opening takes the file: %s/closing.ndjson", path);
    }
    TRY(load_bytes(run->env, &run->arena, path, OUTPUT_FILE_MAX_BYTES, &bytes, run->err));
    bool is_of_other; /* whose steps are others: that is told */
    TRY(check_opening_written(run, bytes, &is_of_other));
    struct digest digest = hash_digest(bytes);
    TRY(check_opening_whole(run, &bytes));
    TRY(read_states(run, bytes));
    arrange_states(run);
    if (!is_of_other) {
        warn_of_no_step(run);
    }
    unbilled_spread(run);
    char *hex = arena_alloc(&run->arena, 65);
    digest_format(&digest, hex);
    run->opening_digest = (struct text){hex, 64};
    return OK;
}

/* ---- samples ------------------------------------------------------------------------------- */

/* One record of the state whose line this is: of a key, or of so many values that are equal or, of
 * an average, have this sum.  False when it is not as it must be. */
static bool carry_sample(struct spool_writer *writer, uint32_t partition, struct record record,
                         struct text key, yyjson_val *value, yyjson_val *count)
{
    struct dec number = dec_from_int(1);
    struct text text = {yyjson_get_str(value), yyjson_get_len(value)};
    if (value && (!text.at || dec_parse(text, &number) != NUMBER_OK || !yyjson_is_uint(count))) {
        return false;
    }
    bool is_wide = number.mantissa > INT64_MAX || number.mantissa < INT64_MIN;
    size_t size = (is_wide ? (size_t)RECORD_WIDE_BYTES : 0) + RECORD_TAIL_BYTES + key.size;
    bool has_tail = is_wide || !value;
    record.print = value ? yyjson_get_uint(count) : 1;
    record.scale = (uint8_t)number.scale;
    record.mantissa = is_wide ? 0 : (int64_t)number.mantissa;
    record.flags |= (uint8_t)((is_wide ? RECORD_WIDE : 0) | (has_tail ? RECORD_TAIL : 0));
    record.tail_units =
        has_tail ? (uint8_t)((size + sizeof record - 1) / sizeof record) : (uint8_t)0;
    if (key.size > 2 * ATTRIBUTE_MAX_BYTES) {
        return false;
    }
    struct record *to = spool_add(writer, partition, 1u + record.tail_units);
    if (!to) {
        return true; /* spool_flush tells why */
    }
    *to = record;
    memset(to + 1, 0, (size_t)record.tail_units * sizeof *to);
    if (is_wide) {
        memcpy(to + 1, &number.mantissa, RECORD_WIDE_BYTES);
    }
    if (has_tail) {
        struct record_tail *tail = record_tail(to);
        tail->source_size = (uint16_t)key.size;
        memcpy(tail->texts, key.at, key.size);
    }
    return true;
}

static bool carry_line(struct run *run, struct spool_writer *writer, const struct carried *carried,
                       yyjson_val *line)
{
    const struct billing_of billing = run_billing(run, carried->payer);
    struct period cut = run->period;
    if (run->has_cuts) {
        if (run->cut_first[carried->payer] == run->cut_first[carried->payer + 1]) {
            return true; /* it is passed on */
        }
        cut = run->cuts[run->cut_first[carried->payer]];
    }
    if (billing_turn(&billing, cut.from).from == cut.from) {
        return true; /* its turn is over */
    }
    struct record record = {.form = RECORD_SAMPLE,
                            .flags = RECORD_CARRIED,
                            .account = carried->state.account,
                            .series = carried->state.series,
                            .slot_s = (uint32_t)((cut.from - run->period.from) / NS_PER_SECOND)};
    uint32_t partition = book_partition(run, carried->payer);
    yyjson_val *sum = yyjson_obj_get(line, "sum"), *item;
    if (sum) {
        return carry_sample(writer, partition, record, TEXT(""), sum,
                            yyjson_obj_get(line, "count"));
    }
    bool is_good = true;
    yyjson_arr_iter iter = yyjson_arr_iter_with(yyjson_obj_get(line, "samples"));
    while (is_good && (item = yyjson_arr_iter_next(&iter))) {
        bool is_key = yyjson_is_str(item);
        struct text key =
            is_key ? (struct text){yyjson_get_str(item), yyjson_get_len(item)} : TEXT("");
        is_good = (is_key || yyjson_arr_size(item) == 2) &&
                  carry_sample(writer, partition, record, key, yyjson_arr_get(item, 0),
                               yyjson_arr_get(item, 1));
    }
    return is_good;
}

enum status carry_samples(struct run *run)
{
    struct spool_writer *writer = NULL;
    enum status status = OK;
    for (uint32_t i = 0; i < run->carried.count && status == OK; i++) {
        const struct carried *carried = &run->carried.items[i];
        if (!carried->has_samples) {
            continue;
        }
        if (!writer) {
            TRY(spool_writer_new(run->records, &writer, run->err));
        }
        yyjson_doc *doc = yyjson_read(carried->raw.at, carried->raw.size, 0);
        if (!doc) {
            status = fail_memory(run->err, run->env->memory_asked_bytes,
                                 " while the opening is read", "");
        } else if (!carry_line(run, writer, carried, yyjson_doc_get_root(doc))) {
            status = fail(run->err, ERR_INPUT, "%s: the state of a meter is not as a run writes it",
                          run->options->opening);
        }
        yyjson_doc_free(doc);
    }
    if (writer) {
        enum status flushed = spool_flush(writer, status == OK ? run->err : NULL);
        status = status == OK ? flushed : status;
    }
    return status;
}
