/* yaml.h - a file of a catalog as a tree.
 *
 *     bytes --libfyaml's events--> struct yaml_node, each with its line and column
 *
 * Strict YAML 1.2 or JSON: one document of mappings, lists and scalars.  Aliases, anchors, tags,
 * merge keys, duplicate keys, several documents, invalid UTF-8 and U+0000 are refused, and so is
 * what is larger than the limits below. A scalar stays a text: `no`, `1e3` and `0o17` are what was
 * written, and what a place wants decides how it is read.
 *
 * Texts are copied into the arena; the tree does not point into the bytes, but yaml_place_in reads
 * them.
 */
#ifndef FARTHING_CATALOG_YAML_H
#define FARTHING_CATALOG_YAML_H

#include "catalog/complain.h"

enum {
    YAML_SIZE_MAX_BYTES = 1024 * 1024,
    YAML_KEYS_MAX = 5000, /* of a mapping */
    YAML_DEPTH_MAX = 32,
    YAML_NODES_MAX = 250'000, /* of a file */
};

struct yaml_file {
    struct text name;
    struct text bytes;
    bool is_built_in; /* a part of the program */
};

enum yaml_kind {
    YAML_NONE, /* nothing, ~ or null */
    YAML_TEXT,
    YAML_LIST,
    YAML_MAP,
};

struct yaml_node {
    enum yaml_kind kind;
    bool is_plain; /* a text without quotes */
    bool is_quoted;
    bool has_offset;       /* a text as it stands in the file: a place in it can be found */
    uint32_t line, column; /* from 1 */
    size_t offset;         /* of its first byte */
    const struct yaml_file *file;
    struct text text;
    struct text key; /* when it stands in a mapping */
    uint32_t key_line, key_column;
    uint32_t count;
    struct yaml_node *items; /* of a list or mapping, as written */
};

/* NULL when the file cannot be read as far as its end, or is empty: then, but for emptiness, a
 * complaint says why. */
struct yaml_node *yaml_read(struct arena *arena, const struct yaml_file *file,
                            struct complaints *complaints);

struct place yaml_place(const struct yaml_node *node);
struct place yaml_key_place(const struct yaml_node *node); /* of its key, if it has one */
/* Of the byte at offset of the node's text. */
struct place yaml_place_in(const struct yaml_node *node, size_t offset);

/* The member of a mapping; NULL when absent (or node is NULL or no mapping). */
const struct yaml_node *yaml_member(const struct yaml_node *node, const char *key);

/* "a text", "a list", "a mapping", "nothing". */
const char *yaml_kind_phrase(enum yaml_kind kind);

/* Writes the node as JSON with sorted keys: the same bytes for the same content, whatever its
 * layout.  A bare number, true or false stays bare, since it may mean something else than the text.
 */
void yaml_write_canonical(const struct yaml_node *node, struct arena *arena, struct buffer *out);

#endif
