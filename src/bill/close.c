/* close.c - whether the lines of a bill close: each id once, covered parts and what takes them back
 * nothing, and the sections their lines.  What charges must come to is held before, in
 * price/close.c; here it is what is written, of a difference to other bills too.
 */
#include "base/map.h"
#include "base/sort.h"
#include "bill/bill.h"

#include "base/nofloat.h"

static enum status fail_lines(const struct bill *bill, const char *rule, const char *what,
                              struct error *err)
{
    return fail(err, ERR_CORRUPT, "bill %.*s: %s does not close: %s", TEXT_ARG(bill->id), rule,
                what);
}

static enum status close_ids(struct arena *arena, const struct bill *bill, struct error *err)
{
    struct sort_key *keys = arena_alloc(arena, 2u * (bill->line_count + 1u) * sizeof *keys);
    uint32_t count = 0;
    for (uint32_t i = 0; i < bill->line_count; i++) {
        keys[count++] = (struct sort_key){bill->lines[i].id.high, bill->lines[i].id.low};
    }
    (void)sort_keys(arena, keys, count);
    for (uint32_t i = 1; i < count; i++) {
        if (keys[i].high == keys[i - 1].high && keys[i].low == keys[i - 1].low) {
            return fail_lines(bill, "LINE_IDS", "two lines have one id", err);
        }
    }
    return OK;
}

/* By commitment: a line at list, and the one that takes it back. */
static enum status close_negations(struct arena *arena, const struct bill *bill, struct error *err)
{
    struct map grants;
    struct dec *sums = arena_calloc(arena, bill->line_count + 1u, sizeof *sums);
    map_init(&grants, arena, 16);
    for (uint32_t i = 0; i < bill->line_count; i++) {
        const struct line *line = &bill->lines[i];
        bool is_covered = text_equal(line->kind, TEXT("covered"));
        bool takes_back = line->grant.size > 0 && text_equal(line->kind, TEXT("negation"));
        if (is_covered || takes_back) {
            uint32_t at = map_find(&grants, line->grant);
            at = at == MAP_NONE ? map_put(&grants, line->grant, i) : at;
            /* In the currency of the price: converted lines are rounded each. */
            struct dec amount = line->conversion ? line->conversion->amount : line->exact;
            TRY(dec_add(sums[at], amount, &sums[at], err));
        }
    }
    for (uint32_t i = 0; i < bill->line_count; i++) {
        if (!dec_is_zero(sums[i])) {
            return fail_lines(bill, "LINE_NEGATION",
                              "covered lines of a commitment and what takes them back are not 0",
                              err);
        }
    }
    return OK;
}

static enum status close_sections(const struct bill *bill, struct error *err)
{
    struct dec_sum lines = {0}, sections = {0};
    struct dec line, section;
    for (uint32_t i = 0; i < bill->line_count; i++) {
        TRY(dec_sum_add(&lines, bill->lines[i].amount, err));
    }
    for (uint32_t i = 0; i < bill->section_count; i++) {
        TRY(dec_sum_add(&sections, bill->sections[i].amount, err));
    }
    TRY(dec_sum_read(&lines, &line, err));
    TRY(dec_sum_read(&sections, &section, err));
    return dec_equal(line, section) && dec_equal(line, bill->total)
               ? OK
               : fail_lines(bill, "LINE_TOTAL", "its lines are not its total", err);
}

enum status bill_close(struct arena *arena, const struct bill *bill, struct error *err)
{
    struct arena_mark mark = arena_mark(arena);
    enum status status = close_ids(arena, bill, err);
    status = status == OK ? close_negations(arena, bill, err) : status;
    status = status == OK ? close_sections(bill, err) : status;
    arena_rewind(arena, mark);
    return status;
}
