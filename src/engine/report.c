/* report.c - what a run says besides bills: dead letters, conflicts, the summary. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/complain.h"
#include "engine/conflict.h"
#include "engine/cut_value.h"
#include "engine/folder.h"
#include "engine/issued.h"
#include "engine/letter.h"
#include "engine/margins.h"
#include "engine/restatement.h"
#include "engine/run.h"
#include "engine/strangers.h"
#include "feed/output.h"

/* By file, then by block. */
static int compare_pieces(const void *a_piece, const void *b_piece)
{
    const struct kept_piece *a = a_piece, *b = b_piece;
    if (a->of != b->of) {
        return a->of < b->of ? -1 : 1;
    }
    return a->part < b->part ? -1 : a->part > b->part;
}

static void render_letter(struct run *run, struct buffer *out, const struct kept_piece *where,
                          const struct letter *letter, struct text detail, struct text bytes)
{
    const struct dead_letter dead = {
        .path = feed_file_path(run->feed, where->of),
        .line = feed_line_number(run->feed, where->of, where->part, letter->line_in_block),
        .offset = letter->offset,
        .refusal = (enum refusal)letter->refusal,
        .detail = detail,
        .bytes = bytes,
        .size = letter->size,
        .digest = letter->digest};
    letter_render(out, &dead);
}

static enum status write_piece(struct run *run, struct output_file *file, struct arena *arena,
                               const struct kept_piece *where)
{
    const struct kept_stream *stream = &run->workers[where->stream].read.letters;
    struct arena_mark mark = arena_mark(arena);
    for (uint64_t at = where->offset; at < where->offset + where->size;) {
        struct letter letter;
        TRY(kept_read(run, stream, at, (char *)&letter, sizeof letter));
        at += sizeof letter;
        size_t size = letter.detail_size + letter.bytes_size;
        char *texts = arena_alloc(arena, size + 1);
        TRY(kept_read(run, stream, at, texts, size));
        at += size;
        struct buffer out;
        buffer_init(&out, arena, 1024);
        render_letter(run, &out, where, &letter, (struct text){texts, letter.detail_size},
                      (struct text){texts + letter.detail_size, letter.bytes_size});
        TRY(output_append_text(file, buffer_text(&out), run->err));
        arena_rewind(arena, mark);
    }
    return OK;
}

static enum status write_letters(struct run *run)
{
    struct output_file *file;
    TRY(output_file_open(run->output, "dead_letters.ndjson", &file, run->err));
    run->files.letters = file;
    uint32_t count = 0;
    for (int i = 0; i < run->threads; i++) {
        count += run->workers[i].read.letters.piece_count;
    }
    if (count == 0) {
        return OK;
    }
    struct kept_piece *pieces = arena_calloc(&run->arena, count, sizeof *pieces);
    uint32_t at = 0;
    for (int i = 0; i < run->threads; i++) {
        const struct kept_stream *stream = &run->workers[i].read.letters;
        for (uint32_t p = 0; p < stream->piece_count; p++) {
            pieces[at++] = stream->pieces[p];
        }
    }
    qsort(pieces, count, sizeof *pieces, compare_pieces);
    struct arena *arena = &run->workers[0].output;
    arena->recover = &run->recover;
    for (uint32_t i = 0; i < count; i++) {
        TRY(write_piece(run, file, arena, &pieces[i]));
    }
    return OK;
}

/* ---- conflicts ------------------------------------------------------------------------------- */

static bool is_of_key(const struct conflict *a, const struct conflict *b)
{
    return text_equal(a->source, b->source) && text_equal(a->id, b->id);
}

static int compare_keys(const void *a_item, const void *b_item)
{
    const struct conflict *a = a_item, *b = b_item;
    int order = text_compare(a->source, b->source);
    order = order ? order : text_compare(a->id, b->id);
    return order ? order : a->refused < b->refused ? -1 : a->refused > b->refused;
}

/* A conflict of one key, with the bytes of its record; in their order, then in that of places. */
struct listed {
    struct conflict conflict;
    struct text bytes;
};

static int compare_listed(const void *a_item, const void *b_item)
{
    const struct listed *a = a_item, *b = b_item;
    int order = text_compare(a->bytes, b->bytes);
    const uint64_t x = a->conflict.refused, y = b->conflict.refused;
    return order ? order : (x > y) - (x < y);
}

static void add_position(struct run *run, struct buffer *out, uint64_t position)
{
    buffer_add_text(out, TEXT("{\"file\":"));
    buffer_add_json(out, text_of(feed_file_path(run->feed, (uint32_t)(position >> 48))));
    buffer_format(out, ",\"offset\":%llu}",
                  (unsigned long long)(position & ((UINT64_C(1) << 48) - 1)));
}

static enum status write_conflict(struct run *run, struct arena *arena, const struct listed *listed)
{
    const struct conflict *conflict = &listed->conflict;
    struct arena_mark mark = arena_mark(arena);
    struct buffer out;
    buffer_init(&out, arena, 1024);
    buffer_add_text(&out, TEXT("{\"source\":"));
    buffer_add_json(&out, conflict->source);
    buffer_add_text(&out, TEXT(",\"id\":"));
    buffer_add_json(&out, conflict->id);
    buffer_add_text(&out, TEXT(",\"accepted\":"));
    add_position(run, &out, conflict->accepted);
    buffer_add_text(&out, TEXT(",\"refused\":"));
    add_position(run, &out, conflict->refused);
    buffer_add_text(&out, TEXT(",\"bytes\":"));
    buffer_add_json(&out, listed->bytes);
    buffer_add_text(&out, TEXT("}\n"));
    TRY(output_append_text(run->files.conflicts, buffer_text(&out), run->err));
    arena_rewind(arena, mark);
    return OK;
}

/* Those of one key, in the order of their bytes. */
static enum status write_key(struct run *run, struct arena *arena, struct conflict *conflicts,
                             uint32_t count)
{
    struct listed *listed = arena_alloc(arena, count * sizeof *listed);
    for (uint32_t i = 0; i < count; i++) {
        size_t size = conflicts[i].size;
        char *bytes = arena_alloc(arena, size + 1);
        TRY(kept_read(run, &run->workers[0].accept.conflicts, conflicts[i].offset, bytes, size));
        listed[i] = (struct listed){conflicts[i], {bytes, size}};
    }
    qsort(listed, count, sizeof *listed, compare_listed);
    for (uint32_t i = 0; i < count; i++) {
        conflicts[i] = listed[i].conflict;
        TRY(write_conflict(run, arena, &listed[i]));
    }
    return OK;
}

static enum status write_conflicts(struct run *run)
{
    TRY(output_file_open(run->output, "conflicts.ndjson", &run->files.conflicts, run->err));
    struct conflict *conflicts = run->conflicts.items;
    if (run->conflicts.count > 1) {
        qsort(conflicts, run->conflicts.count, sizeof *conflicts, compare_keys);
    }
    struct arena *arena = &run->workers[0].output;
    arena->recover = &run->recover;
    struct arena_mark mark = arena_mark(arena);
    for (uint32_t i = 0, end; i < run->conflicts.count; i = end) {
        end = i + 1;
        while (end < run->conflicts.count && is_of_key(&conflicts[i], &conflicts[end])) {
            end++;
        }
        TRY(write_key(run, arena, &conflicts[i], end - i));
        arena_rewind(arena, mark);
    }
    return OK;
}

/* ---- the summary ----------------------------------------------------------------------------- */

static const char *copy_decimal(struct run *run, struct dec value)
{
    char *out = arena_alloc(&run->arena, DEC_FORMAT_MAX);
    (void)dec_format(value, out);
    return out;
}

static void add_count(struct farthing_count *counts, size_t *count, const char *name,
                      uint64_t value, const char *amount)
{
    counts[(*count)++] = (struct farthing_count){.name = name, .count = value, .amount = amount};
}

static int compare_failures(const void *a_item, const void *b_item)
{
    const struct farthing_count *a = a_item, *b = b_item;
    int order = strcmp(a->name, b->name);
    return order ? order : strcmp(a->amount, b->amount);
}

/* Those of a worker's bills in the currency; NULL: it had none. */
static const struct money_sums *find_sums(const struct worker *worker,
                                          const struct currency *currency)
{
    for (uint32_t i = 0; i < worker->settle.sums.count; i++) {
        if (worker->settle.sums.items[i].currency == currency) {
            return &worker->settle.sums.items[i];
        }
    }
    return NULL;
}

/* Each bill is in range; what they add up to may not be. False then. */
static bool sum_currency(struct run *run, const struct currency *currency,
                         struct farthing_money *money)
{
    const struct catalog *catalog = run->catalog;
    struct farthing_count *products =
        arena_calloc(&run->arena, catalog->product_count + 3, sizeof *products);
    bool is_lost = false;
    for (uint32_t p = 0; p < catalog->product_count + 2; p++) {
        struct dec_sum sum = {0};
        for (int i = 0; i < run->threads; i++) {
            const struct money_sums *sums = find_sums(&run->workers[i], currency);
            is_lost |= sums && dec_sum_merge(&sum, &sums->products[p], NULL) != OK;
        }
        struct dec amount = DEC_ZERO;
        is_lost |= dec_sum_read(&sum, &amount, NULL) != OK;
        if (!is_lost && !dec_is_zero(amount)) {
            struct text name = p < catalog->product_count    ? catalog->products[p].name
                               : p == catalog->product_count ? TEXT("(no product)")
                                                             : TEXT("(rounding)");
            add_count(products, &money->product_count, text_copy(&run->arena, name).at, 0,
                      copy_decimal(run, amount));
        }
    }
    struct dec_sum sum = {0};
    for (int i = 0; i < run->threads; i++) {
        const struct money_sums *sums = find_sums(&run->workers[i], currency);
        is_lost |= run->workers[i].settle.is_amount_lost ||
                   (sums && dec_sum_merge(&sum, &sums->total, NULL) != OK);
    }
    struct dec total;
    is_lost |= dec_sum_read(&sum, &total, NULL) != OK;
    money->products = products;
    money->currency = currency->code;
    if (is_lost) {
        money->product_count = 0;
    } else {
        char *out = arena_alloc(&run->arena, DEC_FORMAT_MAX);
        (void)dec_format_digits(total, currency->digits, out);
        money->total = out;
    }
    return !is_lost;
}

static void sum_amounts(struct run *run, struct farthing_summary *summary)
{
    const struct catalog *catalog = run->catalog;
    struct farthing_money own = {0};
    bool is_whole = sum_currency(run, catalog->currency, &own);
    summary->currency = own.currency;
    summary->total = own.total;
    summary->products = own.products;
    summary->product_count = own.product_count;
    size_t count;
    const struct currency *table = currency_table(&count);
    struct farthing_money *others = NULL;
    for (size_t i = 0; i < count; i++) {
        bool is_used = false;
        for (int w = 0; w < run->threads && &table[i] != catalog->currency; w++) {
            is_used |= find_sums(&run->workers[w], &table[i]) != NULL;
        }
        if (is_used) {
            others = others ? others : arena_calloc(&run->arena, count, sizeof *others);
            is_whole &= sum_currency(run, &table[i], &others[summary->other_count++]);
        }
    }
    summary->others = others;
    if (!is_whole) {
        run_warn(run, "the bills add up to more than 38 digits: the summary has no amounts");
    }
}

static void list_unknown_skus(struct run *run, struct farthing_summary *summary)
{
    struct strangers *all = arena_calloc(&run->arena, 1, sizeof *all);
    const char **names = arena_calloc(&run->arena, STRANGERS_MOST, sizeof *names);
    for (int i = 0; i < run->threads; i++) {
        strangers_merge(all, &run->workers[i].read.unknown_sku);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        names[i] = all->items[i].name;
    }
    summary->unknown_sku = names;
    summary->unknown_sku_count = all->count;
}

static void sum_counts(struct run *run, struct farthing_summary *summary)
{
    struct farthing_count *refused = arena_calloc(&run->arena, REFUSALS, sizeof *refused);
    struct farthing_count *excluded = arena_calloc(&run->arena, EXCLUSIONS, sizeof *excluded);
    uint64_t print = 0;
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        summary->lines_read += worker->read.lines_read;
        summary->events_accepted += worker->accept.accepted.count;
        summary->events_duplicate += worker->accept.duplicates;
        summary->withdrawals += worker->read.withdrawals;
        summary->events_billed += worker->settle.events_billed;
        summary->bills += worker->settle.bills;
        summary->bill_lines += worker->settle.bill_lines;
        summary->usage_rows += worker->settle.usage_rows;
        print += worker->accept.accepted.print;
    }
    summary->events_conflict = run->conflicts.count;
    for (int r = 0; r < REFUSALS; r++) {
        uint64_t count = 0;
        for (int i = 0; i < run->threads; i++) {
            count += run->workers[i].read.refused[r];
        }
        if (count > 0) {
            add_count(refused, &summary->refused_count, refusal_name((enum refusal)r), count, NULL);
            summary->events_refused += count;
        }
    }
    for (int e = 1; e < EXCLUSIONS; e++) {
        uint64_t count = 0;
        for (int i = 0; i < run->threads; i++) {
            count += run->workers[i].settle.excluded[e];
        }
        if (count > 0) {
            add_count(excluded, &summary->excluded_count, exclusion_name((enum exclusion)e), count,
                      NULL);
        }
    }
    summary->refused = refused;
    summary->excluded = excluded;
    summary->no_account = run->no_account;
    summary->no_account_count = run->no_account_count;
    list_unknown_skus(run, summary);
    char *hex = arena_alloc(&run->arena, 17);
    hash64_format(print, hex);
    summary->fingerprint = hex;
}

/* As lists of bills have it: a payer's own bill, and each of its views, may fail.  In a list by
 * name an account that is called so itself is another one. */
static const char *name_failed(struct run *run, const struct failed_payer *failed)
{
    struct arena *arena = &run->arena;
    struct text contract = bill_contract(run->catalog, run->accounts, failed->index);
    struct text name = contract.size > 0 ? text_format(arena, "%.*s (%.*s)",
                                                       TEXT_ARG(failed->payer), TEXT_ARG(contract))
                                         : text_copy(arena, failed->payer);
    while (contract.size > 0 && accounts_find(run->accounts, NONE, name) != MAP_NONE) {
        contract = text_format(arena, "(%.*s)", TEXT_ARG(contract));
        name = text_format(arena, "%.*s (%.*s)", TEXT_ARG(failed->payer), TEXT_ARG(contract));
    }
    return name.at;
}

static void list_failures(struct run *run, struct farthing_summary *summary)
{
    uint32_t count = 0;
    for (int i = 0; i < run->threads; i++) {
        count += run->workers[i].settle.failures.count;
    }
    struct farthing_count *failed = arena_calloc(&run->arena, count + 1, sizeof *failed);
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        for (uint32_t f = 0; f < worker->settle.failures.count; f++) {
            add_count(failed, &summary->failed_count,
                      name_failed(run, &worker->settle.failures.items[f]), 0,
                      text_copy(&run->arena, worker->settle.failures.items[f].message).at);
        }
    }
    qsort(failed, count, sizeof *failed, compare_failures);
    summary->failed = failed;
}

static void render_counts(struct buffer *out, const char *key, const struct farthing_count *counts,
                          size_t count, bool is_amount)
{
    buffer_format(out, ",\"%s\":{", key);
    for (size_t i = 0; i < count; i++) {
        buffer_add_text(out, i > 0 ? TEXT(",") : TEXT(""));
        buffer_add_json(out, text_of(counts[i].name));
        buffer_add_char(out, ':');
        if (is_amount) {
            buffer_add_json(out, text_of(counts[i].amount));
        } else {
            buffer_add_u64(out, counts[i].count);
        }
    }
    buffer_add_char(out, '}');
}

static enum status write_summary(struct run *run, const struct farthing_summary *summary)
{
    struct output_file *file;
    TRY(output_file_open(run->output, "summary.json", &file, run->err));
    run->files.summary = file;
    struct buffer out;
    buffer_init(&out, &run->arena, 4096);
    char from[TIME_FORMAT_MAX], to[TIME_FORMAT_MAX];
    (void)time_format(run->period.from, from);
    (void)time_format(run->period.to, to);
    buffer_add_text(&out, TEXT("{\"provider\":"));
    buffer_add_json(&out, run->catalog->name);
    buffer_format(&out, ",\"from\":\"%s\",\"to\":\"%s\"", from, to);
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"lines_read", summary->lines_read},
                  {"accepted", summary->events_accepted},
                  {"duplicates", summary->events_duplicate},
                  {"conflicts", summary->events_conflict},
                  {"refused", summary->events_refused},
                  {"withdrawals", summary->withdrawals},
                  {"billed", summary->events_billed},
                  {"usage_rows", summary->usage_rows},
                  {"bills", summary->bills},
                  {"bill_lines", summary->bill_lines}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        buffer_format(&out, ",\"%s\":%llu", counts[i].name, (unsigned long long)counts[i].value);
    }
    render_counts(&out, "refused_by_reason", summary->refused, summary->refused_count, false);
    render_counts(&out, "excluded_by_reason", summary->excluded, summary->excluded_count, false);
    render_counts(&out, "amount_by_product", summary->products, summary->product_count, true);
    margins_render(&out, summary);
    render_counts(&out, "failed", summary->failed, summary->failed_count, true);
    for (size_t i = 0; i < summary->other_count; i++) {
        const struct farthing_money *other = &summary->others[i];
        const char *of_total = other->total ? "\"" : "";
        buffer_format(&out, "%s\"%s\":{\"total\":%s%s%s", i == 0 ? ",\"other_currencies\":{" : ",",
                      other->currency, of_total, other->total ? other->total : "null", of_total);
        render_counts(&out, "amount_by_product", other->products, other->product_count, true);
        buffer_add_text(&out, i + 1 < summary->other_count ? TEXT("}") : TEXT("}}"));
    }
    const char *quote = summary->total ? "\"" : "";
    buffer_format(&out, ",\"currency\":\"%s\",\"total\":%s%s%s,\"fingerprint\":\"%s\"}\n",
                  summary->currency, quote, summary->total ? summary->total : "null", quote,
                  summary->fingerprint);
    return output_append_text(file, buffer_text(&out), run->err);
}

static void add_json_paths(struct buffer *out, const char *key, struct farthing_paths paths)
{
    buffer_format(out, ",\"%s\":[", key);
    for (size_t i = 0; i < paths.count; i++) {
        buffer_add_text(out, i > 0 ? TEXT(",") : TEXT(""));
        buffer_add_json(out, text_of(paths.items[i]));
    }
    buffer_add_char(out, ']');
}

/* How every other file was written.  run.json is the last to get its name, so a folder whose files
 * and run.json agree is whole, and one that was left half by a kill, or edited, is not. */
static void add_files(struct run *run, struct buffer *out)
{
    const struct {
        const char *name;
        const struct output_file *file;
    } files[] = {{"bills.ndjson", run->files.bills},
                 {"lines.csv", run->files.lines},
                 {"usage.csv", run->files.usage},
                 {"closing.ndjson", run->files.closing},
                 {"exclusions.csv", run->files.exclusions},
                 {"dead_letters.ndjson", run->files.letters},
                 {"conflicts.ndjson", run->files.conflicts},
                 {"summary.json", run->files.summary}};
    buffer_add_text(out, TEXT(",\"files\":{"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char print[33];
        hash128_format(output_file_print(files[i].file), print);
        buffer_format(out, "%s\"%s\":{\"size\":%llu,\"print\":\"%s\"}", i > 0 ? "," : "",
                      files[i].name, (unsigned long long)output_file_size(files[i].file), print);
    }
    buffer_add_char(out, '}');
}

static void add_billed(struct run *run, struct buffer *out)
{
    size_t count = run->options->billed.count;
    for (size_t i = 0; i < count; i++) {
        const struct issued_folder *folder = &run->issued.folders[i];
        buffer_add_text(out, i == 0 ? TEXT(",\"billed\":[") : TEXT(","));
        buffer_add_text(out, TEXT("{\"path\":"));
        buffer_add_json(out, text_of(folder->path));
        buffer_format(out, ",\"print\":\"%s\",\"bills\":%u,\"matched\":%u}", folder->print,
                      folder->bills, folder->matched);
    }
    buffer_add_text(out, count > 0 ? TEXT("]") : TEXT(""));
}

/* The files that were read, and what was in them: who restates the period reads them again. */
static void add_read(struct run *run, struct buffer *out)
{
    buffer_add_text(out, TEXT(",\"read\":["));
    for (uint32_t f = 0; f < feed_file_count(run->feed); f++) {
        char print[17];
        hash64_format(run->file_events[f].print, print);
        buffer_add_text(out, f > 0 ? TEXT(",{\"path\":") : TEXT("{\"path\":"));
        buffer_add_json(out, text_of(feed_file_path(run->feed, f)));
        buffer_format(out, ",\"csv\":%s,\"round\":%u,\"records\":%llu,\"fingerprint\":\"%s\"",
                      feed_file_format(run->feed, f) == FEED_CSV ? "true" : "false",
                      run_round(run, f), (unsigned long long)run->file_events[f].count, print);
        instant before = restatement_late_before(run, f);
        if (before > INSTANT_MIN) {
            add_json_time(out, "late_before", before);
        }
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
}

/* What the bills name too, for a run that has none. */
static void add_digests(struct run *run, struct buffer *out)
{
    char catalog[65], accounts[65];
    digest_format(&run->catalog->digest, catalog);
    digest_format(&run->accounts->digest, accounts);
    buffer_format(out, ",\"digests\":{\"catalog\":\"%s\",\"accounts\":\"%s\",\"zones\":\"%.*s\",",
                  catalog, accounts, TEXT_ARG(run->zones_digest));
    buffer_format(out, "\"opening\":\"%.*s\",\"rules\":\"%s\"}", TEXT_ARG(run->opening_digest),
                  FARTHING_RULES);
}

/* What was run on what, for explain and correct. */
static enum status write_run_file(struct run *run)
{
    struct output_file *file;
    TRY(output_file_open(run->output, "run.json", &file, run->err));
    const struct farthing_bill *options = run->options;
    struct buffer out;
    buffer_init(&out, &run->arena, 1024);
    buffer_add_text(&out, TEXT("{\"period\":"));
    buffer_add_json(&out, text_of(options->period));
    add_json_paths(&out, "catalog", options->catalog);
    add_json_paths(&out, "accounts", options->accounts);
    add_json_paths(&out, "events", options->events);
    if (options->opening) {
        buffer_add_text(&out, TEXT(",\"opening\":"));
        buffer_add_json(&out, text_of(options->opening));
    }
    if (run->catalog->billing.zone) {
        buffer_add_text(&out, TEXT(",\"zone\":"));
        buffer_add_json(&out, zone_name(run->catalog->billing.zone));
    }
    add_billed(run, &out);
    if (run->takes_back) {
        buffer_add_text(&out, TEXT(",\"takes_back\":true"));
    }
    add_digests(run, &out);
    if (run->late_before > INSTANT_MIN) {
        add_json_time(&out, "late_before", run->late_before);
    }
    add_read(run, &out);
    add_files(run, &out);
    folder_end_run(&out);
    return output_append_text(file, buffer_text(&out), run->err);
}

/* ---- what looks like a mistake --------------------------------------------------------------- */

static const struct farthing_count *find_most(const struct farthing_count *counts, size_t count)
{
    const struct farthing_count *most = &counts[0];
    for (size_t i = 1; i < count; i++) {
        most = counts[i].count > most->count ? &counts[i] : most;
    }
    return most;
}

static void warn_of_refusals(struct run *run, const struct farthing_summary *summary)
{
    const struct farthing_count *most = find_most(summary->refused, summary->refused_count);
    enum refusal refusal = REFUSE_NONE;
    while (refusal + 1 < REFUSALS && strcmp(most->name, refusal_name(refusal)) != 0) {
        refusal++;
    }
    bool is_csv = run->options->format == FARTHING_BY_NAME && refusal == REFUSE_JSON_SYNTAX;
    run_warn(run, "no event could be read: %s%llu %s refused, %s %s: %s; see dead_letters.ndjson",
             summary->events_refused > 1 ? "all " : "", (unsigned long long)summary->events_refused,
             summary->events_refused > 1 ? "were" : "was",
             summary->refused_count > 1 ? "most as" : "as", most->name,
             is_csv ? "--format csv reads CSV whose name does not end in .csv"
             : refusal == REFUSE_FIELD_MISSING ? "their detail says what they lack"
                                               : refusal_hint(refusal));
}

/* What to look at first when all events were excluded for a reason. */
static const char *find_advice(const struct run *run, const char *reason)
{
    static const struct {
        enum exclusion exclusion;
        const char *advice;
    } ADVICE[] = {
        {EXCLUDE_NO_METER, "is their type the event: of a meter? See exclusions.csv"},
        {EXCLUDE_NO_ACCOUNT, "are these the right accounts?"},
        {EXCLUDE_OUT_OF_PERIOD, "is --period right?"},
        {EXCLUDE_FIELD_MISSING, "do events have what their meters ask for? See exclusions.csv"},
        {EXCLUDE_FIELD_TYPE, "numbers that come as texts are read with number(data.x) or, from "
                             "CSV, number: true of the column; see exclusions.csv"},
    };
    for (size_t i = 0; i < sizeof ADVICE / sizeof *ADVICE; i++) {
        if (strcmp(reason, exclusion_name(ADVICE[i].exclusion)) == 0) {
            return ADVICE[i].exclusion == EXCLUDE_NO_ACCOUNT && run->options->accounts.count == 0
                       ? "give the accounts with --accounts"
                       : ADVICE[i].advice;
        }
    }
    return "see exclusions.csv";
}

/* A run that bills nothing is no failure, and nearly never what was meant; but a closed period may
 * have been one of fees alone, and has no bill when nothing is to correct. */
static void warn_of_nothing(struct run *run, const struct farthing_summary *summary)
{
    const bool is_closed = run->restatement != NULL;
    if (summary->events_accepted == 0) {
        if (summary->events_refused > 0) {
            warn_of_refusals(run, summary);
        } else if (summary->bills == 0 && !is_closed) {
            run_warn(run, "nothing is billed: there is no event in what --events names");
        }
        return;
    }
    if (summary->events_billed > 0 || summary->excluded_count == 0 || summary->failed_count > 0) {
        return;
    }
    const struct farthing_count *most = find_most(summary->excluded, summary->excluded_count);
    if (strcmp(most->name, exclusion_name(EXCLUDE_WITHDRAWN)) == 0) {
        return; /* on purpose */
    }
    bool is_outside = strcmp(most->name, exclusion_name(EXCLUDE_OUT_OF_PERIOD)) == 0;
    if (is_outside && (is_closed || summary->usage_rows > 0)) {
        return; /* what was carried from before is billed, and events of before came again */
    }
    run_warn(run, "%s is billed: all events were excluded, %s %s: %s",
             summary->bills > 0 ? "no event" : "nothing",
             summary->excluded_count > 1 ? "most as" : "as", most->name,
             find_advice(run, most->name));
}

/* The first of what all threads have found. */
static struct damage find_damage(const struct run *run, bool is_change)
{
    struct damage first = {0};
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        const struct damage *damage = is_change ? &worker->read.change : &worker->read.damage;
        const uint32_t count = first.count + damage->count;
        bool is_first =
            damage->count > 0 && (first.count == 0 || damage->file < first.file ||
                                  (damage->file == first.file && damage->offset < first.offset));
        first = is_first ? *damage : first;
        first.count = count;
    }
    return first;
}

const char *change_format(struct arena *arena, const char *path, uint32_t count)
{
    const char *others = count > 1 ? text_format(arena, " (so with %u more)", count - 1).at : "";
    return text_format(arena,
                       "%s: the file changed while it was read%s: what was added or written over "
                       "may be missing; run it again when nobody writes to it",
                       path, others)
        .at;
}

static void warn_of_damage(struct run *run)
{
    const struct damage first = find_damage(run, false), change = find_damage(run, true);
    if (change.count > 0) {
        const char *path = feed_file_path(run->feed, change.file);
        run_warn(run, "%s", change_format(&run->arena, path, change.count));
    }
    if (first.count > 0) {
        const char *others =
            first.count > 1 ? text_format(&run->arena, " (so with %u more)", first.count - 1).at
                            : "";
        run_warn(run, "%s: %s; what came before it counts%s: see dead_letters.ndjson",
                 feed_file_path(run->feed, first.file), first.reason, others);
    }
}

/* In the period: those that have ended stay in a catalog, and their buyers may have gone. */
static bool has_contract(const struct run *run, uint32_t buyer)
{
    const struct account *account = &run->accounts->items[buyer];
    for (uint32_t i = 0; i < account->contract_count; i++) {
        uint32_t index = run->accounts->contract_of[account->contract_first + i];
        const struct contract *contract = &run->catalog->contracts[index];
        if (contract->from < run->period.to && contract->to > run->period.from) {
            return true;
        }
    }
    return false;
}

/* A misspelt buyer is an account of its own, which nobody uses and which pays what the contract
 * asks for. */
static void warn_of_buyers(struct run *run)
{
    const struct accounts *accounts = run->accounts;
    uint32_t first = NONE, count = 0;
    for (uint32_t i = 0; i < accounts->unknown_buyer_count; i++) {
        if (!run->buyer_uses[i] && has_contract(run, accounts->unknown_buyers[i].account)) {
            first = first == NONE ? i : first;
            count++;
        }
    }
    if (first == NONE) {
        return;
    }
    const struct contract *contract =
        &run->catalog->contracts[accounts->unknown_buyers[first].contract];
    struct text meant = accounts_buyer_meant(accounts, first);
    run_warn(run,
             "%s: BUYER_UNKNOWN: no record names %.*s, the buyer of a contract, and it has no "
             "usage%s%.*s%s%s",
             place_text(&run->arena, contract->place), TEXT_ARG(contract->buyer),
             meant.size > 0 ? "; did you mean " : "", TEXT_ARG(meant), meant.size > 0 ? "?" : "",
             count > 1 ? text_format(&run->arena, " (so with %u more)", count - 1).at : "");
}

/* Both numbers as the bill shows them. */
static const char *count_events(struct run *run, struct known_events known)
{
    const char *rows = text_format(&run->arena, "%llu event%s", (unsigned long long)known.on_rows,
                                   known.on_rows == 1 ? "" : "s")
                           .at;
    if (known.excluded == 0) {
        return rows;
    }
    return text_format(&run->arena, "%s and %llu on no line", rows,
                       (unsigned long long)known.excluded)
        .at;
}

static void warn_of_fewer(struct run *run, uint64_t conflicts)
{
    const char *advice =
        conflicts == 0 ? "give all events of the period again, not the late ones alone"
                       : text_format(&run->arena,
                                     "%llu %s the source and id of another, and %s not billed: "
                                     "conflicts.ndjson lists %s",
                                     (unsigned long long)conflicts,
                                     conflicts == 1 ? "record has" : "records have",
                                     conflicts == 1 ? "is" : "are", conflicts == 1 ? "it" : "them")
                             .at;
    const struct fewer *first = NULL;
    uint64_t count = 0;
    bool has_failed = false; /* events of a payer that is not billed are not counted */
    struct known_events known = {0}, then = issued_events_total(run);
    for (int i = 0; i < run->threads; i++) {
        const struct worker *worker = &run->workers[i];
        has_failed |= worker->settle.failures.count > 0;
        if (worker->settle.fewer_count > 0 &&
            (!first || worker->settle.fewer.payer < first->payer)) {
            first = &worker->settle.fewer;
        }
        count += worker->settle.fewer_count;
        known.on_rows += worker->settle.events_known.on_rows;
        known.excluded += worker->settle.events_known.excluded;
    }
    if (first) {
        run_warn(run, "--billed: %.*s had %s when it was billed, and has %s now%s: %s",
                 TEXT_ARG(run->accounts->items[first->payer].id), count_events(run, first->then),
                 count_events(run, first->now), count > 1 ? ", and others are like it" : "",
                 advice);
    } else if (!has_failed && known_count(known) < known_count(then)) {
        run_warn(run, "--billed: there were %s when it was billed, and now %s: %s",
                 count_events(run, then), count_events(run, known), advice);
    }
}

enum status run_report(struct run *run, struct farthing_summary *summary)
{
    sum_counts(run, summary);
    list_failures(run, summary);
    warn_of_nothing(run, summary);
    warn_of_damage(run);
    if (summary->failed_count == 0) { /* of those nobody has looked at the usage */
        warn_of_buyers(run);
    }
    warn_of_fewer(run, summary->events_conflict);
    warn_of_cut_values(run);
    sum_amounts(run, summary);
    margins_sum(run, summary);
    summary->warnings = run->warnings.items;
    summary->warning_count = run->warnings.count;
    TRY(write_letters(run));
    TRY(write_conflicts(run));
    TRY(write_summary(run, summary));
    return write_run_file(run);
}
