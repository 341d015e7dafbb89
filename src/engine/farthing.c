/* farthing.c - include/farthing.h implemented: a handle, an environment, and the memory of results.
 */
#include "farthing.h"

#include <stdlib.h>
#include <string.h>

#include "catalog/complain.h"
#include "engine/env_posix.h"
#include "engine/handle.h"
#include "engine/load.h"
#include "engine/run.h"

/* The limit is one of what the process holds: that has its program, its stacks and what malloc
 * cannot give back, too. */
enum { MEMORY_DEFAULT_BYTES = 1024 * 1024 * 1024, OTHER_SHARE = 16, BLOCK_SHARE = 64 };

struct farthing *farthing_new(const struct farthing_config *config)
{
    struct farthing *farthing = calloc(1, sizeof *farthing);
    if (!farthing) {
        return NULL;
    }
    if (config) {
        farthing->config = *config;
    }
    size_t limit = farthing->config.memory_bytes;
    limit = limit ? limit : MEMORY_DEFAULT_BYTES;
    const size_t asked_bytes = limit;
    limit -= limit / OTHER_SHARE;
    farthing->env = env_posix_new(limit);
    if (!farthing->env) {
        free(farthing);
        return NULL;
    }
    farthing->env->memory_asked_bytes = asked_bytes;
    arena_init(&farthing->arena, &farthing->env->memory, 0);
    farthing->arena.block_max_bytes = limit / BLOCK_SHARE;
    return farthing;
}

void farthing_free(struct farthing *farthing)
{
    if (farthing) {
        arena_release(&farthing->arena);
        env_posix_free(farthing->env);
        free(farthing);
    }
}

const char *farthing_message(const struct farthing *farthing)
{
    return farthing->err.message;
}

const char *farthing_hint(const struct farthing *farthing)
{
    return farthing->err.hint;
}

void handle_clear(struct farthing *farthing)
{
    farthing->err = (struct error){0};
    arena_release(&farthing->arena);
}

enum farthing_status handle_status(struct farthing *farthing, enum status status)
{
    farthing->err.status = status;
    switch (status) {
    case OK:
        return FARTHING_OK;
    case ERR_INPUT:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_OVERFLOW:
        return FARTHING_INPUT;
    case ERR_LIMIT:
        return FARTHING_LIMIT;
    case ERR_IO:
        return FARTHING_IO;
    case ERR_CORRUPT:
        break;
    }
    return FARTHING_INTERNAL;
}

enum farthing_status handle_no_memory(struct farthing *farthing)
{
    return handle_status(farthing,
                         fail_memory(&farthing->err, farthing->env->memory_asked_bytes, "", ""));
}

bool handle_lacks(struct farthing *farthing, const char *what, bool is_there)
{
    if (!is_there) {
        (void)fail(&farthing->err, ERR_INPUT, "no %s given", what);
    }
    return !is_there;
}

bool handle_lacks_path(struct farthing *farthing, const char *what,
                       const struct farthing_paths *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (!paths->items || !paths->items[i]) {
            (void)fail(&farthing->err, ERR_INPUT, "no %s given: path %zu of %zu is NULL", what,
                       i + 1, paths->count);
            return true;
        }
    }
    return false;
}

/* ---- complaints ------------------------------------------------------------------------------ */

static const struct farthing_complaint *copy_complaints(struct arena *arena,
                                                        const struct complaints *complaints)
{
    struct farthing_complaint *items = arena_calloc(arena, complaints->count + 1, sizeof *items);
    for (uint32_t i = 0; i < complaints->count; i++) {
        const struct complaint *from = &complaints->items[i];
        items[i] = (struct farthing_complaint){.file = text_copy(arena, from->place.file).at,
                                               .line = from->place.line,
                                               .column = from->place.column,
                                               .code = from->code,
                                               .message = from->message,
                                               .hint = from->hint,
                                               .source = text_copy(arena, from->source).at,
                                               .is_warning = from->is_warning};
    }
    return items;
}

/* The first complaint stands for all in the message. */
void handle_complaints(struct farthing *farthing, const struct complaints *complaints)
{
    for (uint32_t i = 0; i < complaints->count; i++) {
        const struct complaint *item = &complaints->items[i];
        if (!item->is_warning) {
            (void)fail(&farthing->err, ERR_INPUT, "%s: %s: %s%s",
                       place_text(&farthing->arena, item->place), item->code, item->message,
                       complaints->errors > 1 ? " (and others: see farthing check)" : "");
            (void)fail_hint(&farthing->err, "%s", item->hint);
            return;
        }
    }
}

static uint64_t count_organizations(struct farthing *farthing, const struct accounts *accounts)
{
    bool *seen = arena_calloc(&farthing->arena, accounts->count + 1, sizeof *seen);
    uint64_t count = 0;
    for (uint32_t i = 0; i < accounts->membership_count; i++) {
        if (accounts->memberships[i].organization >= accounts->own_count) {
            continue; /* of a view */
        }
        bool *is_seen = &seen[accounts->memberships[i].organization];
        count += !*is_seen;
        *is_seen = true;
    }
    return count;
}

/* A run tells only of those that have no usage; here nobody knows. */
static void warn_of_buyers(const struct loaded *loaded, struct complaints *complaints)
{
    enum { MEANT_MAX = 10 }; /* each looks at all accounts */
    const struct accounts *accounts = loaded->accounts;
    for (uint32_t i = 0; i < accounts->unknown_buyer_count; i++) {
        const struct contract *contract =
            &loaded->catalog->contracts[accounts->unknown_buyers[i].contract];
        struct text meant = i < MEANT_MAX ? accounts_buyer_meant(accounts, i) : TEXT("");
        struct text hint =
            meant.size > 0 ? text_format(complaints->arena, "did you mean %.*s?", TEXT_ARG(meant))
                           : TEXT("a record of an account, or a membership, makes it known");
        complain_softly(complaints, contract->place, "BUYER_UNKNOWN", hint,
                        "no record names %.*s, the buyer of a contract", TEXT_ARG(contract->buyer));
    }
    complaints_sort(complaints);
}

static enum farthing_status check_all(struct farthing *farthing,
                                      const struct farthing_paths *catalog,
                                      const struct farthing_paths *accounts,
                                      struct farthing_check *check)
{
    struct complaints complaints;
    struct loaded loaded = {0};
    const struct load_inputs inputs = {
        .zone_folder = farthing->config.zone_folder, .catalog = *catalog, .accounts = *accounts};
    enum status status = load_catalog(farthing->env, &farthing->arena, &inputs, &complaints,
                                      &loaded, &farthing->err);
    if (status == OK) {
        warn_of_buyers(&loaded, &complaints);
    }
    check->complaints = copy_complaints(&farthing->arena, &complaints);
    check->complaint_count = complaints.count;
    check->error_count = complaints.errors;
    if (complaints.errors > 0) {
        handle_complaints(farthing, &complaints);
    }
    if (status == OK) {
        char *hex = arena_alloc(&farthing->arena, 65);
        digest_format(&loaded.catalog->digest, hex);
        check->digest = hex;
        check->meters = loaded.catalog->meter_count;
        check->skus = loaded.catalog->sku_count;
        check->prices = loaded.catalog->price_count;
        for (uint32_t i = 0; i < loaded.catalog->contract_count; i++) {
            check->prices -= loaded.catalog->contracts[i].cost != NONE; /* nobody has written it */
        }
        check->plans = loaded.catalog->plan_count;
        check->contracts = loaded.catalog->contract_count;
        check->accounts = loaded.accounts->own_count;
        check->overrides = loaded.accounts->override_count;
        check->commitments = loaded.accounts->commitment_count;
        check->settings = loaded.accounts->setting_count;
        check->organizations = count_organizations(farthing, loaded.accounts);
    }
    return handle_status(farthing, status);
}

enum farthing_status farthing_check(struct farthing *farthing, struct farthing_paths catalog,
                                    struct farthing_paths accounts, struct farthing_check *check)
{
    handle_clear(farthing);
    if (handle_lacks(farthing, "check", check != NULL)) {
        return FARTHING_USAGE;
    }
    *check = (struct farthing_check){.digest = ""};
    if (catalog.count == 0) {
        (void)fail(&farthing->err, ERR_INPUT, "no catalog given");
        return FARTHING_USAGE;
    }
    if (handle_lacks_path(farthing, "catalog", &catalog) ||
        handle_lacks_path(farthing, "accounts", &accounts)) {
        return FARTHING_USAGE;
    }
    const struct farthing_paths inputs[] = {catalog, accounts};
    jmp_buf recover;
    if (ARENA_RECOVER(&farthing->arena, recover)) {
        return handle_no_memory(farthing);
    }
    enum farthing_status status = check_all(farthing, &inputs[0], &inputs[1], check);
    farthing->arena.recover = NULL;
    return status;
}

/* ---- bill ------------------------------------------------------------------------------------ */

static enum farthing_status check_options(struct farthing *farthing,
                                          const struct farthing_bill *bill)
{
    const char *missing = bill->catalog.count == 0  ? "catalog"
                          : bill->events.count == 0 ? "events"
                          : !bill->period           ? "period"
                          : !bill->out              ? "out"
                                                    : NULL;
    if (missing) {
        (void)fail(&farthing->err, ERR_INPUT, "no %s given", missing);
        return FARTHING_USAGE;
    }
    if (handle_lacks_path(farthing, "catalog", &bill->catalog) ||
        handle_lacks_path(farthing, "accounts", &bill->accounts) ||
        handle_lacks_path(farthing, "events", &bill->events) ||
        handle_lacks_path(farthing, "billed", &bill->billed)) {
        return FARTHING_USAGE;
    }
    return FARTHING_OK;
}

const char *complaint_text(struct arena *arena, const struct complaint *complaint)
{
    return text_format(arena, "%s: %s: %s", place_text(arena, complaint->place), complaint->code,
                       complaint->message)
        .at;
}

static void add_warnings(struct farthing *farthing, const struct complaints *complaints,
                         struct farthing_summary *summary)
{
    struct farthing_count *warnings = arena_calloc(
        &farthing->arena, complaints->count + summary->warning_count + 1, sizeof *warnings);
    size_t count = 0;
    for (uint32_t i = 0; i < complaints->count; i++) {
        const struct complaint *item = &complaints->items[i];
        if (item->is_warning) {
            warnings[count++].name = complaint_text(&farthing->arena, item);
        }
    }
    for (size_t i = 0; i < summary->warning_count; i++) {
        warnings[count++] = summary->warnings[i];
    }
    summary->warnings = warnings;
    summary->warning_count = count;
}

enum farthing_status farthing_bill(struct farthing *farthing, const struct farthing_bill *bill,
                                   struct farthing_summary *summary)
{
    handle_clear(farthing);
    if (handle_lacks(farthing, "bill", bill != NULL) ||
        handle_lacks(farthing, "summary", summary != NULL)) {
        return FARTHING_USAGE;
    }
    *summary = (struct farthing_summary){0};
    enum farthing_status checked = check_options(farthing, bill);
    if (checked != FARTHING_OK) {
        return checked;
    }
    struct complaints complaints = {0};
    enum status status = farthing_run_bill(farthing->env, &farthing->config, bill, &farthing->arena,
                                           summary, &complaints, &farthing->err);
    summary->memory_peak_bytes = env_posix_memory_peak_bytes(farthing->env);
    if (status != OK) {
        if (complaints.errors > 0) {
            handle_complaints(farthing, &complaints);
        }
        return handle_status(farthing, status);
    }
    jmp_buf recover;
    if (ARENA_RECOVER(&farthing->arena, recover)) {
        return handle_no_memory(farthing);
    }
    add_warnings(farthing, &complaints, summary);
    farthing->arena.recover = NULL;
    if (summary->failed_count > 0) {
        (void)fail(&farthing->err, ERR_OVERFLOW, "%zu payers could not be billed",
                   summary->failed_count);
        return FARTHING_PARTIAL;
    }
    return FARTHING_OK;
}
