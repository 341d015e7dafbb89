/* case_run.c - a case's story: usage becomes known, bills are made, lines are kept.
 *
 * charges(t) is what is known at t; a bill is charges less what is on issued lines.  So each bill
 * of a story bills its period and once more every period billed before, each with the folders of
 * all runs so far, and the openings chain from period to period in the order of time.
 */
#include <stdlib.h>
#include <yyjson.h>

#include "cases/cases.h"
#include "engine/load.h"
#include "render/render.h"

enum { LINES_MAX_BYTES = 256 * 1024 * 1024 };

/* ---- the story ----------------------------------------------------------------------------- */

static bool check_known(struct case_run *run, const struct yaml_node *map, const char *const *known,
                        const char *what)
{
    if (map->kind != YAML_MAP) {
        case_finding(run, "line %u: %s is no mapping", map->line, what);
        return false;
    }
    bool is_good = true;
    for (uint32_t i = 0; i < map->count; i++) {
        bool is_known = false;
        for (const char *const *name = known; *name; name++) {
            is_known = is_known || text_equal(map->items[i].key, text_of(*name));
        }
        if (!is_known) {
            case_finding(run, "line %u: %s has no key '%.*s'", map->items[i].key_line, what,
                         TEXT_ARG(map->items[i].key));
            is_good = false;
        }
    }
    return is_good;
}

static bool is_list(struct case_run *run, const struct yaml_node *node, const char *what)
{
    if (node && node->kind != YAML_LIST && node->kind != YAML_NONE) {
        case_finding(run, "line %u: %s is no list", node->line, what);
        return false;
    }
    return true;
}

/* What a row or an event says of itself by these keys is one word each. */
static bool check_texts(struct case_run *run, const struct yaml_node *row, const char *const *names,
                        const char *what)
{
    bool is_good = true;
    for (const char *const *name = names; *name; name++) {
        const struct yaml_node *node = yaml_member(row, *name);
        if (node && node->kind != YAML_TEXT && node->kind != YAML_NONE) {
            case_finding(run, "line %u: %s of %s has to be a text", node->line, *name, what);
            is_good = false;
        }
    }
    return is_good;
}

static bool check_dims(struct case_run *run, const struct yaml_node *dims)
{
    if (dims && dims->kind != YAML_MAP && dims->kind != YAML_NONE) {
        case_finding(run, "line %u: dims: write {dimension: value}", dims->line);
        return false;
    }
    bool is_good = true;
    for (uint32_t d = 0; dims && d < dims->count; d++) {
        const struct yaml_node *value = &dims->items[d];
        if (value->kind != YAML_TEXT && value->kind != YAML_NONE) {
            case_finding(run, "line %u: the dimension %.*s of a row of usage has to be a text",
                         value->line, TEXT_ARG(value->key));
            is_good = false;
        }
    }
    return is_good;
}

static void note_sku(struct case_run *run, const struct yaml_node *row)
{
    const struct yaml_node *sku = yaml_member(row, "sku"), *product = yaml_member(row, "product");
    struct text name = sku ? sku->text : TEXT("");
    if (name_list_find(&run->skus, name) != NONE) {
        return;
    }
    name_list_add(run->arena, &run->skus, name);
    if (run->sku_products.capacity < run->skus.capacity) {
        run->sku_products.items =
            arena_grow(run->arena, run->sku_products.items, run->sku_products.count,
                       run->skus.capacity, sizeof *run->sku_products.items);
        run->sku_products.capacity = run->skus.capacity;
    }
    run->sku_products.items[run->sku_products.count++] = product ? product->text : TEXT("");
}

static void note_account(struct case_run *run, const struct yaml_node *row)
{
    const struct yaml_node *account = yaml_member(row, "account");
    name_list_add(run->arena, &run->accounts,
                  account && account->kind == YAML_TEXT ? account->text : run->account_default);
}

/* The first time that a row gives names the month of bills that say none. */
static void note_time(struct case_run *run, const struct yaml_node *row)
{
    enum { MONTH_BYTES = 7 };
    const struct yaml_node *time = yaml_member(row, "time");
    instant at;
    if (run->month_default.size == 0 && time && time->kind == YAML_TEXT &&
        case_time(time->text, &at)) {
        const struct yaml_node *account = yaml_member(row, "account");
        run->month_default = (struct text){time->text.at, MONTH_BYTES};
        run->has_first_time = true;
        run->first_time = at;
        run->first_account =
            account && account->kind == YAML_TEXT ? account->text : run->account_default;
    }
}

/* A second row of one id is the event once more, or a conflict, of which one would be lost unseen.
 */
static bool check_id(struct case_run *run, const struct yaml_node *row)
{
    const struct yaml_node *id = yaml_member(row, "id");
    if (!id || id->kind != YAML_TEXT) {
        return true;
    }
    struct buffer content;
    buffer_init(&content, run->arena, 128);
    yaml_write_canonical(row, run->arena, &content);
    uint32_t first = map_put(&run->row_by_id, id->text, run->rows_with_id.count);
    if (first == run->rows_with_id.count) {
        name_list_add(run->arena, &run->rows_with_id, buffer_text(&content));
    } else if (!text_equal(run->rows_with_id.items[first], buffer_text(&content))) {
        case_finding(run,
                     "line %u: another row of usage has the id '%.*s' and is not the same: one "
                     "event would be lost",
                     row->line, TEXT_ARG(id->text));
        return false;
    }
    return true;
}

static bool read_rows(struct case_run *run, const struct yaml_node *node)
{
    static const char *const row_keys[] = {"account", "sku", "quantity", "time",    "resource",
                                           "events",  "id",  "dims",     "product", NULL};
    static const char *const row_texts[] = {"account", "sku",     "time", "resource",
                                            "id",      "product", NULL};
    static const char *const event_texts[] = {"account", "time", "id", "meter", "type", NULL};
    const struct yaml_node *usage = yaml_member(node, "usage");
    const struct yaml_node *events = yaml_member(node, "events");
    if (!is_list(run, usage, "usage") || !is_list(run, events, "events")) {
        return false;
    }
    for (uint32_t i = 0; usage && i < usage->count; i++) {
        const struct yaml_node *row = &usage->items[i];
        if (!check_known(run, row, row_keys, "a row of usage") ||
            !check_texts(run, row, row_texts, "a row of usage") ||
            !check_dims(run, yaml_member(row, "dims")) || !check_id(run, row)) {
            return false;
        }
        note_sku(run, row);
        note_account(run, row);
        note_time(run, row);
        const struct yaml_node *resource = yaml_member(row, "resource");
        if (resource) {
            name_list_add(run->arena, &run->resources, resource->text);
        }
        const struct yaml_node *dims = yaml_member(row, "dims");
        for (uint32_t d = 0; dims && d < dims->count; d++) {
            name_list_add(run->arena, &run->dimensions, dims->items[d].key);
        }
    }
    for (uint32_t i = 0; events && i < events->count; i++) {
        if (events->items[i].kind != YAML_MAP) {
            case_finding(run, "line %u: an event is no mapping", events->items[i].line);
            return false;
        }
        if (!check_texts(run, &events->items[i], event_texts, "an event")) {
            return false;
        }
        run->has_events = true;
        note_account(run, &events->items[i]);
        note_time(run, &events->items[i]);
    }
    return true;
}

/* Lines carry their resource only when somebody asks for it. */
static void note_expectations(struct case_run *run, const struct yaml_node *expect)
{
    const struct yaml_node *lines = yaml_member(expect, "lines");
    const struct yaml_node *net = yaml_member(expect, "net");
    run->needs_resources = run->needs_resources || yaml_member(expect, "by_resource");
    for (uint32_t i = 0; net && i < net->count; i++) {
        run->needs_resources =
            run->needs_resources || name_list_find(&run->resources, net->items[i].key) != NONE;
    }
    for (uint32_t i = 0; lines && i < lines->count; i++) {
        run->needs_resources = run->needs_resources || yaml_member(&lines->items[i], "resource");
    }
}

static void set_section(struct case_run *run, struct text key, const struct yaml_node *node)
{
    for (uint32_t i = 0; i < run->section_count; i++) {
        if (text_equal(run->sections[i].key, key)) {
            run->sections[i].node = node;
            return;
        }
    }
    run->sections = arena_room(run->arena, run->sections, run->section_count,
                               &run->section_capacity, sizeof *run->sections);
    run->sections[run->section_count++] = (struct case_section){key, node};
}

/* Accounts and contracts are written anew, with what a case need not say: as lists they are. */
static bool check_section(struct case_run *run, const struct yaml_node *node)
{
    bool is_rewritten =
        text_equal(node->key, TEXT("accounts")) || text_equal(node->key, TEXT("contracts"));
    return !is_rewritten || is_list(run, node, node->key.at[0] == 'a' ? "accounts" : "contracts");
}

static bool set_sections(struct case_run *run, const struct yaml_node *map, const char *what)
{
    if (map && map->kind != YAML_MAP && map->kind != YAML_NONE) {
        case_finding(run, "line %u: %s is no mapping", map->line, what);
        return false;
    }
    bool is_good = true;
    for (uint32_t i = 0; map && i < map->count; i++) {
        is_good = check_section(run, &map->items[i]) && is_good;
        set_section(run, map->items[i].key, &map->items[i]);
    }
    return is_good;
}

/* The first account of the list, or one that nobody needs to name. */
static void choose_account(struct case_run *run)
{
    const struct yaml_node *accounts = yaml_member(run->node, "accounts");
    const struct yaml_node *first =
        accounts && accounts->count > 0 ? yaml_member(&accounts->items[0], "id") : NULL;
    run->account_default = first && first->kind == YAML_TEXT ? first->text : TEXT("account");
}

static bool is_once(const struct yaml_node *node)
{
    if (node->kind == YAML_TEXT) {
        return text_equal(node->key, TEXT("when")) && text_equal(node->text, TEXT("once"));
    }
    for (uint32_t i = 0; i < node->count; i++) {
        if (is_once(&node->items[i])) {
            return true;
        }
    }
    return false;
}

static bool note_sections(struct case_run *run)
{
    bool is_good = true;
    static const char *const beside[] = {"accounts", "contracts", "commitments"};
    const struct yaml_node *catalog = yaml_member(run->node, "catalog");
    if (catalog && catalog->kind == YAML_TEXT) {
        run->catalog_path =
            text_format(run->arena, "%.*s%.*s", TEXT_ARG(run->directory), TEXT_ARG(catalog->text));
    } else {
        is_good = set_sections(run, catalog, "catalog");
    }
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        const struct yaml_node *node = yaml_member(run->node, beside[i]);
        if (node) {
            is_good = check_section(run, node) && is_good;
            set_section(run, text_of(beside[i]), node);
        }
    }
    for (uint32_t i = 0; i < run->section_count; i++) {
        run->charges_once = run->charges_once || is_once(run->sections[i].node);
    }
    return is_good;
}

static bool is_attribute(const struct yaml_node *products, struct text name)
{
    for (uint32_t p = 0; products && p < products->count; p++) {
        const struct yaml_node *skus = yaml_member(&products->items[p], "skus");
        for (uint32_t s = 0; skus && skus->kind == YAML_MAP && s < skus->count; s++) {
            const struct yaml_node *attributes = yaml_member(&skus->items[s], "attributes");
            for (uint32_t a = 0; attributes && a < attributes->count; a++) {
                if (text_equal(attributes->items[a].key, name)) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* What commitments say of themselves, and no SKU has, rows may say too, though this case gives none
 * that do. */
static void note_commitments(struct case_run *run)
{
    static const char *const own[] = {"id",    "offering", "account",   "from",   "to",
                                      "count", "amount",   "recurring", "upfront"};
    const struct yaml_node *contracts = NULL, *products = NULL;
    for (uint32_t i = 0; i < run->section_count; i++) {
        const struct yaml_node *node = run->sections[i].node;
        contracts = text_equal(run->sections[i].key, TEXT("contracts")) ? node : contracts;
        products = text_equal(run->sections[i].key, TEXT("products")) ? node : products;
    }
    for (uint32_t i = 0; contracts && i < contracts->count; i++) {
        const struct yaml_node *list = yaml_member(&contracts->items[i], "commitments");
        for (uint32_t k = 0; list && k < list->count; k++) {
            for (uint32_t m = 0; m < list->items[k].count; m++) {
                struct text key = list->items[k].items[m].key;
                bool is_own = is_attribute(products, key);
                for (size_t o = 0; o < sizeof own / sizeof *own; o++) {
                    is_own = is_own || text_equal(key, text_of(own[o]));
                }
                if (!is_own) {
                    name_list_add(run->arena, &run->dimensions, key);
                }
            }
        }
    }
}

/* The story as moments, and the names that rows use. */
static bool read_story(struct case_run *run)
{
    static const char *const keys[] = {"case",   "why",       "catalog",     "accounts", "usage",
                                       "events", "bill",      "expect",      "story",    "begin",
                                       "source", "contracts", "commitments", NULL};
    static const char *const moment_keys[] = {"usage",  "events", "amend", "bill",
                                              "expect", "why",    NULL};
    if (!check_known(run, run->node, keys, "a case")) {
        return false;
    }
    const struct yaml_node *story = yaml_member(run->node, "story");
    if (!is_list(run, story, "story")) {
        return false;
    }
    choose_account(run);
    map_init(&run->row_by_id, run->arena, 16);
    bool expects = false;
    run->moment_count = story ? story->count + 1 : 1;
    run->moments = arena_calloc(run->arena, run->moment_count + 1, sizeof *run->moments);
    for (uint32_t i = 0; i < run->moment_count; i++) {
        /* Of a story, the case's own rows come before its first entry. */
        const struct yaml_node *node = i == 0 ? run->node : &story->items[i - 1];
        if (i > 0 && !check_known(run, node, moment_keys, "an entry of a story")) {
            return false;
        }
        run->moments[i].node = node;
        run->moments[i].bill = yaml_member(node, "bill");
        run->moments[i].has_bill =
            run->moments[i].bill || yaml_member(node, "expect") || (!story && i == 0);
        if (!read_rows(run, node)) {
            return false;
        }
        const struct yaml_node *expect = yaml_member(node, "expect");
        expects = expects || (expect && (expect->kind != YAML_MAP || expect->count > 0) &&
                              expect->kind != YAML_NONE);
        note_expectations(run, expect);
    }
    if (!expects) {
        case_finding(run,
                     "line %u: nothing is expected: a case says `expect:`, or a bill of its "
                     "story does",
                     run->node->line);
        return false;
    }
    for (uint32_t i = run->moment_count - 1; i > 0; i--) {
        if (!run->moments[i - 1].has_bill) {
            run->moments[i - 1].bill = run->moments[i].bill;
        }
    }
    if (run->month_default.size == 0) {
        run->month_default = TEXT("2026-10");
    }
    if (run->accounts.count == 0 && !yaml_member(run->node, "accounts")) {
        name_list_add(run->arena, &run->accounts, run->account_default);
    }
    if (!note_sections(run)) {
        return false;
    }
    note_commitments(run);
    return true;
}

/* ---- files --------------------------------------------------------------------------------- */

static enum status write_file(struct case_run *run, const char *path, struct text bytes,
                              struct error *err)
{
    struct file *file;
    TRY(run->env->file_create(run->env, path, false, &file, err));
    enum status status = run->env->file_write(run->env, file, bytes.at, bytes.size, err);
    struct error ignored;
    enum status closed = run->env->file_close(run->env, file, status == OK ? err : &ignored);
    return status == OK ? closed : status;
}

static const char *path_in(struct case_run *run, const char *folder, const char *name)
{
    return text_format(run->arena, "%s/%s", folder, name).at;
}

static struct case_line *add_line(struct case_run *run)
{
    run->lines = arena_room(run->arena, run->lines, run->line_count, &run->line_capacity,
                            sizeof *run->lines);
    return &run->lines[run->line_count++];
}

/* Of a time that thresholds divide, the last bill is the one that a case tells of. */
static enum status read_lines(struct case_run *run, const char *folder, uint32_t moment,
                              struct period period, bool is_own, struct error *err)
{
    const bool is_divided = run->loaded.catalog->has_thresholds;
    struct text bytes;
    TRY(load_bytes(run->env, run->arena, path_in(run, folder, "lines.csv"), LINES_MAX_BYTES, &bytes,
                   err));
    size_t at = text_of(LINES_HEADER).size;
    while (at < bytes.size) {
        const char *end = memchr(bytes.at + at, '\n', bytes.size - at);
        size_t size = end ? (size_t)(end - bytes.at) - at : bytes.size - at;
        struct case_line *line = add_line(run);
        struct text bill;
        if (parse_line(run->arena, (struct text){bytes.at + at, size}, &line->line, &bill, err) !=
            OK) {
            case_finding(run, "%s: %.*s", err->message, (int)size, bytes.at + at);
            return OK;
        }
        struct text *resource = &line->line.resource;
        (void)text_decode(*resource, arena_alloc(run->arena, resource->size + 1), resource);
        line->moment = moment;
        struct bill_name name = {0};
        (void)bill_id_read(run->arena, bill, &name);
        line->payer = name.payer;
        line->period_from = is_divided ? period.from : name.period.from;
        line->bill_to = name.period.to;
        line->is_interim = is_divided && is_own && name.period.to < period.to;
        at += size + 1;
    }
    return OK;
}

/* What a bill of an unfinished turn says of its end. */
static void note_waiting(struct case_run *run, yyjson_val *bill)
{
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(yyjson_obj_get(bill, "pending"), index, count, item)
    {
        const char *kind = yyjson_get_str(yyjson_obj_get(item, "kind"));
        const char *text = yyjson_get_str(yyjson_obj_get(item, "amount"));
        struct dec amount;
        if (!kind || !text || dec_parse(text_of(text), &amount) != NUMBER_OK) {
            case_finding(run, "what is pending of a bill cannot be read");
            return;
        }
        run->waiting = arena_room(run->arena, run->waiting, run->waiting_count,
                                  &run->waiting_capacity, sizeof *run->waiting);
        run->waiting[run->waiting_count++] =
            (struct case_balance){text_copy(run->arena, text_of(kind)), amount};
    }
}

/* That each bill's lines add up to its total is the one thing that no case needs to say. */
static enum status check_totals(struct case_run *run, const char *folder, uint32_t first_line,
                                struct error *err)
{
    struct text bytes;
    TRY(load_bytes(run->env, run->arena, path_in(run, folder, "bills.ndjson"), LINES_MAX_BYTES,
                   &bytes, err));
    struct dec totals = DEC_ZERO, lines = DEC_ZERO;
    run->waiting_count = 0;
    for (size_t at = 0; at < bytes.size;) {
        const char *end = memchr(bytes.at + at, '\n', bytes.size - at);
        size_t size = end ? (size_t)(end - bytes.at) - at : bytes.size - at;
        yyjson_doc *doc = yyjson_read(bytes.at + at, size, 0);
        const char *total = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "total"));
        struct dec value = DEC_ZERO;
        if (!total || dec_parse(text_of(total), &value) != NUMBER_OK ||
            dec_add(totals, value, &totals, NULL) != OK) {
            case_finding(run, "a bill has no total");
        }
        note_waiting(run, yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
        at += size + 1;
    }
    for (uint32_t l = first_line; l < run->line_count; l++) {
        if (dec_add(lines, run->lines[l].line.amount, &lines, NULL) != OK) {
            case_finding(run, "a sum of amounts has more than 38 digits");
        }
    }
    if (!dec_equal(lines, totals)) {
        char a[DEC_FORMAT_MAX], b[DEC_FORMAT_MAX];
        (void)dec_format(lines, a);
        (void)dec_format(totals, b);
        case_finding(run, "lines add up to %s, bills to %s", a, b);
    }
    return OK;
}

/* A name as it was before what would separate was encoded. */
static struct text decoded(struct case_run *run, struct text encoded)
{
    struct text plain = text_copy(run->arena, encoded);
    (void)text_decode(encoded, arena_alloc(run->arena, encoded.size + 1), &plain);
    return plain;
}

/* What is left of grants: the states of wallets, whose names end with "|grant:" and its id. */
static enum status read_balances(struct case_run *run, const char *folder, struct error *err)
{
    struct text bytes;
    run->balance_count = 0;
    TRY(load_bytes(run->env, run->arena, path_in(run, folder, "closing.ndjson"), LINES_MAX_BYTES,
                   &bytes, err));
    for (size_t at = 0; at < bytes.size;) {
        const char *end = memchr(bytes.at + at, '\n', bytes.size - at);
        size_t size = end ? (size_t)(end - bytes.at) - at : bytes.size - at;
        yyjson_doc *doc = yyjson_read(bytes.at + at, size, 0);
        yyjson_val *root = yyjson_doc_get_root(doc);
        const char *bucket = yyjson_get_str(yyjson_obj_get(root, "bucket"));
        const char *from = yyjson_get_str(yyjson_obj_get(root, "from"));
        const char *x = yyjson_get_str(yyjson_obj_get(root, "x"));
        static const char label[] = "|grant:";
        const size_t label_size = sizeof label - 1;
        const char *last = bucket ? strrchr(bucket, '|') : NULL;
        struct dec amount;
        if (last && strncmp(last, label, label_size) == 0 && from && from[0] == '\0' && x &&
            dec_parse(text_of(x), &amount) == NUMBER_OK) {
            run->balances = arena_room(run->arena, run->balances, run->balance_count,
                                       &run->balance_capacity, sizeof *run->balances);
            run->balances[run->balance_count++] =
                (struct case_balance){decoded(run, text_of(last + label_size)), amount};
        }
        yyjson_doc_free(doc);
        at += size + 1;
    }
    return OK;
}

/* ---- one bill run -------------------------------------------------------------------------- */

static const char *period_text(struct case_run *run, struct period period)
{
    char from[TIME_FORMAT_MAX], to[TIME_FORMAT_MAX];
    (void)time_format(period.from, from);
    (void)time_format(period.to, to);
    return text_format(run->arena, "%s/%s", from, to).at;
}

static void add_folder(struct case_run *run, const char *folder)
{
    run->folders = arena_room(run->arena, run->folders, run->folder_count, &run->folder_capacity,
                              sizeof *run->folders);
    run->folders[run->folder_count++] = folder;
}

/* What the run says besides its files: counted, or a finding. */
static void note_summary(struct case_run *run, const struct farthing_summary *summary)
{
    for (size_t i = 0; i < summary->failed_count; i++) {
        const struct yaml_node *expected = run->failing && run->failing->kind == YAML_MAP
                                               ? yaml_member(run->failing, summary->failed[i].name)
                                               : NULL;
        if (expected && expected->kind == YAML_TEXT &&
            strstr(summary->failed[i].amount, text_copy(run->arena, expected->text).at)) {
            name_list_add(run->arena, &run->failed, expected->key);
            continue;
        }
        case_finding(run, "payer %s was not billed: %s", summary->failed[i].name,
                     summary->failed[i].amount);
    }
    for (size_t i = 0; i < summary->refused_count; i++) {
        case_finding(run, "%llu events were refused: %s",
                     (unsigned long long)summary->refused[i].count, summary->refused[i].name);
    }
    for (size_t i = 0; i < summary->excluded_count; i++) {
        for (int reason = 0; reason < EXCLUSIONS; reason++) {
            if (strcmp(summary->excluded[i].name, exclusion_name((enum exclusion)reason)) == 0) {
                run->excluded[reason] += (uint32_t)summary->excluded[i].count;
            }
        }
    }
}

static void add_taxes(struct case_run *run, const struct tax_sums *sums, struct period period,
                      uint32_t moment)
{
    run->taxes =
        arena_room(run->arena, run->taxes, run->tax_count, &run->tax_capacity, sizeof *run->taxes);
    struct case_taxes *taxes = &run->taxes[run->tax_count++];
    *taxes = (struct case_taxes){.moment = moment, .period = period};
    bool is_lost = sums->is_lost;
    for (int kind = 0; kind < CHARGE_KINDS; kind++) {
        is_lost = is_lost || dec_sum_read(&sums->of[kind], &taxes->of[kind], NULL) != OK;
    }
    if (is_lost) {
        case_finding(run, "a sum of taxes has more than 38 digits");
    }
}

/* The first month, or else the time, that the story has no bill of before one that it has; empty:
 * there is none. */
static struct text find_gap(struct case_run *run, struct period period)
{
    instant from = INSTANT_MIN;
    for (uint32_t i = 0; i < run->period_count && run->periods[i].from < period.from; i++) {
        from = run->periods[i].to;
    }
    if (from == INSTANT_MIN || from >= period.from) {
        return TEXT("");
    }
    struct civil civil = zone_civil(run->zone, from);
    struct text month = text_format(run->arena, "%04d-%02d", civil.year, civil.month);
    struct period gap;
    bool is_month = period_parse(month, run->zone, &gap) == TIME_OK && gap.from == from &&
                    gap.to <= period.from;
    return is_month ? month
                    : text_of(period_text(run, (struct period){.from = from, .to = period.from}));
}

/* What one bill leaves is where the next begins, which looks as if that file were wrong. */
static void note_not_billed(struct case_run *run, struct period period, const char *opening,
                            const char *message)
{
    bool is_of_opening = opening && strncmp(message, opening, strlen(opening)) == 0;
    struct text gap = is_of_opening ? find_gap(run, period) : TEXT("");
    if (gap.size > 0) {
        case_finding(run,
                     "not billed: the story has no bill of %.*s, and what goes on from bill to "
                     "bill needs one of each period in between",
                     TEXT_ARG(gap));
    } else {
        case_finding(run, "not billed: %s", message);
    }
}

/* *folder is where it was billed to; NULL: it could not be, which is a finding. */
static enum status run_once(struct case_run *run, const struct farthing_paths *catalog,
                            const char *events, struct period period, const char *opening,
                            uint32_t moment, bool is_own, const char **folder, struct error *err)
{
    char name[32];
    (void)snprintf(name, sizeof name, "out-%u", run->folder_count);
    *folder = path_in(run, run->folder.at, name);
    struct farthing_bill options = {.catalog = *catalog,
                                    .events = {&events, 1},
                                    .period = period_text(run, period),
                                    .out = *folder,
                                    .opening = opening,
                                    .billed = {run->folders, run->folder_count}};
    struct farthing_summary summary;
    struct complaints complaints = {0};
    struct arena arena;
    arena_init(&arena, &run->env->memory, 0);
    struct error inner = {0};
    struct tax_sums taxes = {.is_lost = false};
    enum status status = farthing_run_case(run->env, run->config, &options, &taxes, &arena,
                                           &summary, &complaints, &inner);
    if (status == OK) {
        note_summary(run, &summary);
    } else if (status == ERR_IO || status == ERR_LIMIT) {
        *err = inner;
    } else {
        note_not_billed(run, period, opening, inner.message);
        *folder = NULL;
        status = OK;
    }
    arena_release(&arena);
    TRY(status);
    if (*folder) {
        uint32_t first_line = run->line_count;
        add_taxes(run, &taxes, period, moment);
        TRY(read_lines(run, *folder, moment, period, is_own, err));
        TRY(check_totals(run, *folder, first_line, err));
        TRY(read_balances(run, *folder, err));
        add_folder(run, *folder);
    }
    return OK;
}

/* ---- one moment ---------------------------------------------------------------------------- */

/* An expected error is a code, a part of the message, or `true` for any. */
static bool is_error(struct text wanted, const struct complaint *complaint)
{
    return text_equal(wanted, text_of(complaint->code)) || text_equal(wanted, TEXT("true")) ||
           (wanted.size > 0 &&
            memmem(complaint->message, strlen(complaint->message), wanted.at, wanted.size) != NULL);
}

static const char *show_place(struct case_run *run, struct place place)
{
    return text_format(run->arena, "%.*s:%u: ", TEXT_ARG(place.file), place.line).at;
}

/* True when the catalog loads; else it is a finding, or what the case expects. */
static enum status load_or_explain(struct case_run *run, const struct farthing_paths *catalog,
                                   const struct yaml_node *expect, bool *is_loaded,
                                   struct error *err)
{
    struct complaints complaints = {0};
    struct loaded loaded = {0};
    struct error inner = {0};
    *is_loaded = false;
    const struct load_inputs inputs = {
        .zone_folder = run->config->zone_folder, .catalog = *catalog, .is_exact = true};
    enum status status = load_catalog(run->env, run->arena, &inputs, &complaints, &loaded, &inner);
    if (status == OK) {
        run->loaded = loaded;
        run->zone = loaded.catalog->billing.zone;
        *is_loaded = true;
        return OK;
    }
    if (complaints.errors == 0) {
        if (status == ERR_IO || status == ERR_LIMIT) {
            *err = inner;
            return status;
        }
        case_finding(run, "catalog: %s", inner.message);
        return OK;
    }
    const struct yaml_node *wanted = case_expected_error(expect);
    const struct complaint *first = NULL;
    bool is_expected = false;
    for (uint32_t i = 0; i < complaints.count; i++) {
        const struct complaint *item = &complaints.items[i];
        if (item->is_warning) {
            continue;
        }
        first = first ? first : item;
        is_expected = is_expected || (wanted && is_error(wanted->text, item));
    }
    if (is_expected) {
        if (expect->count > 1) {
            case_finding(run, "error: what does not load bills nothing that the case could expect "
                              "besides");
        }
        return OK;
    }
    if (wanted) {
        case_finding(run, "error: expected %.*s, came %s: %s", TEXT_ARG(wanted->text), first->code,
                     first->message);
    } else {
        /* Of a catalog that the case itself holds the file is one of ours. */
        struct text path = run->catalog_path, file = first->place.file;
        bool is_file =
            path.size > 0 && file.size >= path.size && memcmp(file.at, path.at, path.size) == 0;
        case_finding(run, "catalog: %s%s: %s%s%s", is_file ? show_place(run, first->place) : "",
                     first->code, first->message, first->hint[0] ? "; " : "", first->hint);
    }
    return OK;
}

static int compare_periods(const void *a_item, const void *b_item)
{
    const struct period *a = a_item, *b = b_item;
    return a->from != b->from ? (a->from < b->from ? -1 : 1) : (a->to > b->to) - (a->to < b->to);
}

/* Keeps the periods billed so far in the order of time.  One that lies in another is billed with
 * it. */
static void add_period(struct case_run *run, struct period period)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->period_count; i++) {
        struct period old = run->periods[i];
        if (old.from <= period.from && old.to >= period.to) {
            return;
        }
        if (!(old.from >= period.from && old.to <= period.to)) {
            run->periods[count++] = old;
        }
    }
    run->period_count = count;
    run->periods = arena_room(run->arena, run->periods, run->period_count, &run->period_capacity,
                              sizeof *run->periods);
    run->periods[run->period_count++] = period;
    qsort(run->periods, run->period_count, sizeof *run->periods, compare_periods);
}

static enum status bill_moment(struct case_run *run, uint32_t moment, struct period own,
                               const struct farthing_paths *catalog, const char *events,
                               struct error *err)
{
    const char *opening = NULL;
    memset(run->excluded, 0, sizeof run->excluded);
    run->failed.count = 0;
    for (uint32_t i = 0; i < run->period_count; i++) {
        const char *folder;
        bool is_own = run->periods[i].from == own.from;
        TRY(run_once(run, catalog, events, run->periods[i], opening, moment, is_own, &folder, err));
        if (!folder) {
            return OK;
        }
        opening = path_in(run, folder, "closing.ndjson");
    }
    return OK;
}

bool case_own_turn(const struct case_run *run, struct text account, instant at, struct period *turn)
{
    const struct accounts *accounts = run->loaded.accounts;
    uint32_t index = accounts_find(accounts, NONE, account);
    if (index == MAP_NONE) {
        return false;
    }
    uint32_t payer = accounts_payer(accounts, index, at);
    const struct billing_of billing = billing_of(run->loaded.catalog, accounts, payer, at);
    *turn = billing_turn(&billing, at);
    return billing_at(&billing, turn->from).is_custom;
}

/* A bill that says no period is of the month of its usage, in the zone of bills; where the payer's
 * bills follow a clock of their own, of the month in which the turn of that usage begins. */
static void find_month(struct case_run *run)
{
    if (run->has_first_time) {
        struct period turn;
        bool is_own = case_own_turn(run, run->first_account, run->first_time, &turn);
        struct civil civil = zone_civil(run->zone, is_own ? turn.from : run->first_time);
        run->month_default = text_format(run->arena, "%04d-%02d", civil.year, civil.month);
    }
}

/* A payer whose bills follow a clock of their own gets one for each turn that begins in the period.
 * A period {from, to} that begins inside such a turn begins with it. */
static instant turn_start(const struct case_run *run, struct period period)
{
    const struct accounts *accounts = run->loaded.accounts;
    instant start = period.from;
    for (uint32_t i = 0; i < accounts->count; i++) {
        const struct billing_of billing = billing_of(run->loaded.catalog, accounts, i, period.from);
        instant from = billing_turn(&billing, period.from).from;
        if (billing_at(&billing, from).is_custom && accounts_payer(accounts, i, period.from) == i) {
            start = from < start ? from : start;
        }
    }
    return start;
}

static bool rounds_lines(const struct catalog *catalog)
{
    bool rounds = !catalog->rounding.exact;
    for (uint32_t i = 0; i < catalog->contract_count; i++) {
        const struct line_rounding *own = catalog->contracts[i].rounding;
        rounds = rounds || (own && !own->exact);
    }
    return rounds;
}

/* Where lines are rounded, a bill that goes on inside a turn is that of the turn so far, less what
 * was billed: rounding is of the line that the turn has. */
static instant line_start(const struct case_run *run, struct period period)
{
    const struct catalog *catalog = run->loaded.catalog;
    struct period turn = clock_turn(&catalog->billing, period.from);
    for (uint32_t i = run->period_count; i > 0 && rounds_lines(catalog); i--) {
        if (run->periods[i - 1].to == period.from && run->periods[i - 1].from >= turn.from) {
            period.from = run->periods[i - 1].from;
        }
    }
    return period.from;
}

static enum status run_moment(struct case_run *run, uint32_t index, struct error *err)
{
    const struct moment *moment = &run->moments[index];
    const struct yaml_node *amend = yaml_member(moment->node, "amend");
    const struct yaml_node *expect = yaml_member(moment->node, "expect");
    if (!set_sections(run, amend, "amend")) {
        return OK;
    }
    struct buffer json;
    buffer_init(&json, run->arena, 1024);
    case_write_catalog(run, &json);
    const char *file = path_in(run, run->folder.at, "case.json");
    TRY(write_file(run, file, buffer_text(&json), err));
    const char *paths[2] = {file, run->catalog_path.at};
    struct farthing_paths catalog = {paths, run->catalog_path.size > 0 ? 2 : 1};
    bool is_loaded;
    TRY(load_or_explain(run, &catalog, expect, &is_loaded, err));
    if (!is_loaded) {
        return OK;
    }
    find_month(run);
    struct period period;
    run->too_late = 0;
    run->late_before = case_period(run, moment->bill, &period)
                           ? late_before(run->loaded.catalog, period.from)
                           : INSTANT_MIN;
    case_add_events(run, moment);
    if (!moment->has_bill || run->finding_count > 0) {
        return OK;
    }
    if (!case_period(run, moment->bill, &period)) {
        case_finding(run, "bill: no period: write 2026-10 or {from: 2026-10-01, to: 2026-11-01}");
        return OK;
    }
    if (moment->bill && moment->bill->kind != YAML_TEXT) {
        period.from = turn_start(run, period);
    }
    period.from = line_start(run, period);
    const char *events = path_in(run, run->folder.at, "events.ndjson");
    TRY(write_file(run, events, buffer_text(&run->events), err));
    add_period(run, period);
    run->failing = expect && expect->kind == YAML_MAP ? yaml_member(expect, "failed") : NULL;
    TRY(bill_moment(run, index, period, &catalog, events, err));
    if (expect && run->finding_count == 0) {
        case_compare(run, index, expect);
    }
    return OK;
}

enum status case_run(struct case_run *run, struct error *err)
{
    buffer_init(&run->events, run->arena, 4096);
    if (!read_story(run)) {
        return OK;
    }
    TRY(run->env->folder_create(run->env, run->folder.at, err));
    for (uint32_t i = 0; i < run->moment_count; i++) {
        TRY(run_moment(run, i, err));
        if (run->finding_count > 0) {
            break;
        }
    }
    if (run->finding_count > 0) {
        for (int reason = EXCLUDE_WITHDRAWN; reason < EXCLUSIONS; reason++) {
            if (run->excluded[reason] > 0 && reason != EXCLUDE_OUT_OF_PERIOD) {
                case_finding(run, "(%u event%s excluded as %s)", run->excluded[reason],
                             run->excluded[reason] == 1 ? " was" : "s were",
                             exclusion_name((enum exclusion)reason));
            }
        }
    }
    return OK;
}
