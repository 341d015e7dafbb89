/* fuzz_catalog.c - catalogs, as bytes.
 *
 * A byte 0x1E ends one file and begins the next.  Loading ends in a catalog or in complaints, each
 * with a place and one line of text; the files the other way round give the same, word for word.
 * A table may name one of the files as that of its rows.
 * What has loaded must hold together: nodes ascend, indices are in range, and every SKU can be
 * asked for its price.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "catalog/catalog.h"

enum { FILES = 4 };

struct outcome {
    enum status status;
    const struct catalog *catalog;
    struct complaints complaints;
};

struct given {
    const struct catalog_file *files;
    uint32_t count;
};

static bool find_table(void *context, struct text path, struct text *bytes, struct text *reason)
{
    const struct given *given = context;
    for (uint32_t i = 0; i < given->count; i++) {
        if (text_equal(given->files[i].name, path)) {
            *bytes = given->files[i].bytes;
            return true;
        }
    }
    *reason = TEXT("there is none");
    return false;
}

static struct outcome load(struct arena *arena, struct catalog_file *files, uint32_t count)
{
    struct given given = {files, count};
    struct table_source tables = {&given, find_table};
    struct catalog_input input = {.files = files, .file_count = count, .tables = &tables};
    struct outcome out = {0};
    struct error err;
    out.status = catalog_load(arena, &input, NULL, &out.catalog, &out.complaints, &err);
    assert(out.status == OK || out.status == ERR_INPUT);
    assert((out.status == OK) == (out.complaints.errors == 0));
    assert((out.status == OK) == (out.catalog != NULL));
    for (uint32_t i = 0; i < out.complaints.count; i++) {
        const struct complaint *c = &out.complaints.items[i];
        assert(c->place.line >= 1 && c->place.column >= 1 && c->place.file.size > 0);
        assert(c->code[0] != '\0' && c->message[0] != '\0' && strchr(c->message, '\n') == NULL);
        assert(text_is_utf8(text_of(c->message)) && text_is_utf8(text_of(c->hint)));
    }
    return out;
}

static void check_price(const struct catalog *catalog, const struct price *price)
{
    for (uint32_t i = 0; i < price->sku_count; i++) {
        assert(price->skus[i] < catalog->sku_count);
        assert(i == 0 || price->skus[i - 1] < price->skus[i]);
    }
    assert(price->from < price->to && price->step_count > 0);
    for (uint32_t i = 0; i < price->step_count; i++) {
        const struct step *step = &price->steps[i];
        assert(step->node < catalog->node_count);
        assert(i == 0 || price->steps[i - 1].node < step->node);
        if (step->kind == STEP_TIER) {
            const struct step_tier *tier = &step->tier;
            assert(tier->tier_count > 0);
            assert(tier->past_last != PAST_REFUSED || tier->tiers[tier->tier_count - 1].open);
        }
        if (step->kind == STEP_RATE) {
            assert(step->rate.case_count > 0 || step->rate.table != NULL ||
                   step->rate.from != NULL);
        }
    }
}

static void check_catalog(struct arena *arena, const struct catalog *catalog)
{
    struct text *dims = arena_calloc(arena, catalog->dimension_count, sizeof *dims);
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        check_price(catalog, &catalog->prices[p]);
    }
    for (uint32_t i = 0; i < catalog->dimension_count; i++) {
        dims[i] = TEXT("");
    }
    for (uint32_t s = 0; s < catalog->sku_count && s < 50; s++) {
        const struct contract *contract =
            catalog->contract_count > 0 ? &catalog->contracts[s % catalog->contract_count] : NULL;
        int level = -1;
        struct dimension_values values = {NULL, dims};
        const struct price *price = catalog_price(catalog, NULL, contract, NONE, s, &values,
                                                  catalog_edge_after(catalog, 0) - 1, &level);
        assert((price != NULL) == (level >= 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct text names[FILES] = {
        {"a.yaml", 6}, {"b.yaml", 6}, {"c.yaml", 6}, {"d.yaml", 6}};
    struct catalog_file files[FILES], reversed[FILES];
    uint32_t count = 0;
    const char *at = (const char *)data;
    while (count < FILES) {
        const char *end = size > 0 && count < FILES - 1 ? memchr(at, 0x1E, size) : NULL;
        size_t part = end == NULL ? size : (size_t)(end - at);
        files[count] = (struct catalog_file){names[count], {part > 0 ? at : "", part}};
        count++;
        if (end == NULL) {
            break;
        }
        at += part + 1;
        size -= part + 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        reversed[i] = files[count - 1 - i];
    }
    struct arena arena;
    arena_init(&arena, NULL, (size_t)1 << 30);
    jmp_buf recover;
    if (ARENA_RECOVER(&arena, recover)) {
        abort(); /* a few kilobytes of input never need a gigabyte */
    }
    struct outcome one = load(&arena, files, count), other = load(&arena, reversed, count);
    assert(one.status == other.status && one.complaints.count == other.complaints.count);
    for (uint32_t i = 0; i < one.complaints.count; i++) {
        const struct complaint *a = &one.complaints.items[i], *b = &other.complaints.items[i];
        assert(text_equal(a->place.file, b->place.file) && a->place.line == b->place.line);
        assert(strcmp(a->code, b->code) == 0 && strcmp(a->message, b->message) == 0);
        assert(strcmp(a->hint, b->hint) == 0);
    }
    if (one.status == OK) {
        assert(memcmp(&one.catalog->digest, &other.catalog->digest, sizeof one.catalog->digest) ==
               0);
        check_catalog(&arena, one.catalog);
    }
    arena_release(&arena);
    return 0;
}
