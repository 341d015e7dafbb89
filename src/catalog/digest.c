/* digest.c - a catalog's version: the digest of its content.
 *
 * The content is that of all files as one object with sorted keys.  A list's entries are sorted,
 * since their order over files says nothing; tables in files of their own are told by the digests
 * of these. Accounts are records and have a digest of their own, but for what prices and covers ask
 * of them.
 */
#include "catalog/load.h"

#include <assert.h>

#include "base/nofloat.h"

static void write_list(struct loader *loader, const char *key, struct buffer *out)
{
    struct name_set set;
    name_set_init(&set, loader);
    for (uint32_t r = 0; r < loader->root_count; r++) {
        const struct yaml_node *node = yaml_member(loader->roots[r], key);
        for (uint32_t i = 0; node != NULL && node->kind == YAML_LIST && i < node->count; i++) {
            struct buffer item;
            buffer_init(&item, loader->arena, 256);
            yaml_write_canonical(&node->items[i], loader->arena, &item);
            set.items = grow_array(loader, set.items, set.count, &set.capacity, sizeof *set.items);
            set.items[set.count++] = buffer_text(&item);
        }
    }
    name_set_sort(&set);
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < set.count; i++) {
        buffer_add_text(out, i == 0 ? NO_HINT : TEXT(","));
        buffer_add_text(out, set.items[i]);
    }
    buffer_add_char(out, ']');
}

static void write_mapping(struct loader *loader, const char *key, struct buffer *out)
{
    uint32_t errors = loader->complaints->errors;
    struct section section = collect_mapping(loader, key);
    assert(loader->complaints->errors == errors); /* a catalog with errors has no digest */
    buffer_add_char(out, '{');
    for (uint32_t i = 0; i < section.count; i++) {
        buffer_add_text(out, i == 0 ? NO_HINT : TEXT(","));
        buffer_add_json(out, section.items[i]->key);
        buffer_add_char(out, ':');
        yaml_write_canonical(section.items[i], loader->arena, out);
    }
    buffer_add_char(out, '}');
}

/* What is in the files of tables, by the names of the tables. */
static void write_table_files(struct loader *loader, struct buffer *out)
{
    bool is_first = true;
    for (uint32_t i = 0; i < loader->catalog->table_count; i++) {
        if (!loader->table_has_file[i]) {
            continue;
        }
        char hex[65];
        digest_format(&loader->table_digests[i], hex);
        const struct rate_table *table = &loader->rate_tables[i];
        buffer_format(out, is_first ? ",\"files\":{" : ",");
        buffer_add_json(out,
                        text_format(loader->arena, "%s.%.*s",
                                    table->is_series ? "series" : "tables", TEXT_ARG(table->name)));
        buffer_format(out, ":\"%s\"", hex);
        is_first = false;
    }
    buffer_add_text(out, is_first ? NO_HINT : TEXT("}"));
}

/* Of accounts, what prices and covers ask of them; nothing where nobody says any. */
static void write_customers(struct loader *loader, const char *key, struct buffer *out)
{
    struct name_set set;
    name_set_init(&set, loader);
    for (uint32_t r = 0; r < loader->root_count; r++) {
        const struct yaml_node *node = yaml_member(loader->roots[r], "accounts");
        for (uint32_t i = 0; node != NULL && node->kind == YAML_LIST && i < node->count; i++) {
            const struct yaml_node *said = yaml_member(&node->items[i], key);
            const struct yaml_node *id = yaml_member(&node->items[i], "id");
            if (said != NULL && id != NULL) {
                struct buffer item;
                buffer_init(&item, loader->arena, 256);
                buffer_add_json(&item, id->text);
                buffer_add_char(&item, ':');
                yaml_write_canonical(said, loader->arena, &item);
                name_set_add(&set, buffer_text(&item));
            }
        }
    }
    name_set_sort(&set);
    if (set.count > 0) {
        buffer_format(out, ",\"%s\":{", key);
    }
    for (uint32_t i = 0; i < set.count; i++) {
        buffer_add_text(out, i == 0 ? NO_HINT : TEXT(","));
        buffer_add_text(out, set.items[i]);
    }
    buffer_add_text(out, set.count > 0 ? TEXT("}") : NO_HINT);
}

/* Profiles in files of the user's own: those of the program are its rules. */
static void write_profiles(struct loader *loader, struct buffer *out)
{
    for (uint32_t i = 0; i < loader->profile_count; i++) {
        const struct yaml_node *root = loader->profiles[i];
        if (!root->file->is_built_in && root->key.size == 0) {
            buffer_format(out, ",\"profile_%u\":", i);
            yaml_write_canonical(root, loader->arena, out);
        }
    }
}

void compute_digest(struct loader *loader)
{
    static const struct {
        const char *key;
        char shape; /* of all files together: single, mapping or list; o: a mapping, p: a single
                       that is left out when there is none */
    } parts[] = {
        {"billing", 's'},   {"calendars", 'o'}, {"catalog", 's'},    {"clocks", 'm'},
        {"contracts", 'l'}, {"csv", 's'},       {"currency", 's'},   {"default_plan", 's'},
        {"meters", 'm'},    {"plans", 'm'},     {"prices", 'l'},     {"products", 'm'},
        {"profile", 's'},   {"rounding", 's'},  {"steps", 'm'},      {"tables", 'm'},
        {"series", 'o'},    {"terms", 'p'},     {"currencies", 'p'}, {"commitments", 'o'},
    };
    struct buffer out;
    buffer_init(&out, loader->arena, 4096);
    buffer_add_char(&out, '{');
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].shape == 'o' && collect_mapping(loader, parts[i].key).count == 0) {
            continue;
        }
        const struct yaml_node *single = NULL;
        for (uint32_t r = 0; r < loader->root_count && single == NULL; r++) {
            single = yaml_member(loader->roots[r], parts[i].key);
        }
        if (parts[i].shape == 'p' && single == NULL) {
            continue;
        }
        buffer_format(&out, "%s\"%s\":", i == 0 ? "" : ",", parts[i].key);
        if (parts[i].shape == 'l') {
            write_list(loader, parts[i].key, &out);
        } else if (parts[i].shape == 'm' || parts[i].shape == 'o') {
            write_mapping(loader, parts[i].key, &out);
        } else if (single == NULL) {
            buffer_add_text(&out, TEXT("null"));
        } else {
            yaml_write_canonical(single, loader->arena, &out);
        }
    }
    write_table_files(loader, &out);
    write_profiles(loader, &out);
    write_customers(loader, "tax", &out);
    write_customers(loader, "sharing", &out);
    buffer_add_char(&out, '}');
    loader->catalog->digest = hash_digest(buffer_text(&out));
}
