/* catalogs.h - catalogs from texts and files, for the tests of what they become. */
#ifndef FARTHING_TEST_CATALOGS_H
#define FARTHING_TEST_CATALOGS_H

#include "catalog/catalog.h"
#include "catalog/complain.h"

#define FOLDER FARTHING_SOURCE_DIR "/test/table/catalog"
#define HEAD   "catalog: a\ncurrency: USD\n"

#define ASSERT_TEXT(text, string) assert_true(text_equal((text), text_of(string)))

struct loaded {
    enum status status;
    const struct catalog *catalog;
    struct complaints complaints;
    struct error err;
};

/* Of a test: made before it and released behind it. */
extern struct arena test_arena;
int catalogs_start(void **state);
int catalogs_stop(void **state);

/* Tables' files are those of the folder of catalogs or, where a test sets it, these bytes. */
extern const char *table_bytes;
extern size_t table_size;

/* at NULL: there is none. */
struct text read_file(struct arena *arena, const char *path);
bool machine_zone(void *context, struct text name, struct text *bytes);
struct loaded load_files(struct arena *arena, const struct catalog_file *files, uint32_t count);
struct loaded load_text(struct arena *arena, struct text yaml);
struct loaded load_string(struct arena *arena, const char *yaml);
void assert_loads(const struct loaded *loaded);
const struct complaint *first_error(const struct loaded *loaded); /* or NULL */
uint32_t sku_index(const struct catalog *catalog, const char *name);
void print_complaints(const struct loaded *loaded, struct buffer *out);

uint64_t next_random(uint64_t *seed);

#endif
