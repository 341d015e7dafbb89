/* catalogs.c - see catalogs.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "catalogs.h"

#include <cmocka.h>

struct text read_file(struct arena *arena, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return (struct text){NULL, 0};
    }
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = arena_alloc(arena, size + 1);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
    return (struct text){bytes, size};
}

bool machine_zone(void *context, struct text name, struct text *bytes)
{
    *bytes =
        read_file(context, text_format(context, "/usr/share/zoneinfo/%.*s", TEXT_ARG(name)).at);
    return bytes->size > 4 && memcmp(bytes->at, "TZif", 4) == 0;
}

const char *table_bytes;
size_t table_size;

static bool find_table(void *context, struct text path, struct text *bytes, struct text *reason)
{
    struct arena *arena = context;
    *reason = TEXT("no such file");
    *bytes = (struct text){table_bytes, table_size};
    if (table_bytes == NULL) {
        *bytes = read_file(arena, text_format(arena, FOLDER "/%.*s", TEXT_ARG(path)).at);
    }
    return bytes->at != NULL;
}

struct loaded load_files(struct arena *arena, const struct catalog_file *files, uint32_t count)
{
    struct table_source *tables = arena_alloc(arena, sizeof *tables);
    *tables = (struct table_source){arena, find_table};
    struct zone_source *zones = arena_alloc(arena, sizeof *zones);
    *zones = (struct zone_source){arena, machine_zone};
    struct catalog_input *input = arena_calloc(arena, 1, sizeof *input);
    input->files = files;
    input->file_count = count;
    input->zones = zones;
    input->tables = tables;
    struct loaded loaded = {0};
    loaded.status =
        catalog_load(arena, input, NULL, &loaded.catalog, &loaded.complaints, &loaded.err);
    return loaded;
}

struct loaded load_text(struct arena *arena, struct text yaml)
{
    struct catalog_file *file = arena_calloc(arena, 1, sizeof *file);
    *file = (struct catalog_file){TEXT("c.yaml"), yaml};
    return load_files(arena, file, 1);
}

struct loaded load_string(struct arena *arena, const char *yaml)
{
    return load_text(arena, text_of(yaml));
}

const struct complaint *first_error(const struct loaded *loaded)
{
    for (uint32_t i = 0; i < loaded->complaints.count; i++) {
        if (!loaded->complaints.items[i].is_warning) {
            return &loaded->complaints.items[i];
        }
    }
    return NULL;
}

void print_complaints(const struct loaded *loaded, struct buffer *out)
{
    for (uint32_t i = 0; i < loaded->complaints.count; i++) {
        const struct complaint *c = &loaded->complaints.items[i];
        buffer_format(out, "%.*s:%u:%u: %s %s: %s\n", TEXT_ARG(c->place.file), c->place.line,
                      c->place.column, c->is_warning ? "warning" : "error", c->code, c->message);
        if (c->hint[0] != '\0') {
            buffer_format(out, "    %s\n", c->hint);
        }
    }
}

void assert_loads(const struct loaded *loaded)
{
    if (loaded->status != OK) {
        fail_msg("%s (%s)", loaded->err.message, loaded->err.hint);
    }
    assert_non_null(loaded->catalog);
}

uint32_t sku_index(const struct catalog *catalog, const char *name)
{
    uint32_t index = map_find(&catalog->sku_by_name, text_of(name));
    assert_true(index != MAP_NONE);
    return index;
}

struct arena test_arena;

int catalogs_start(void **state)
{
    (void)state;
    arena_init(&test_arena, NULL, 0);
    return 0;
}
int catalogs_stop(void **state)
{
    (void)state;
    arena_release(&test_arena);
    return 0;
}

uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}
