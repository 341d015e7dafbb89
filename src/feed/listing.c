/* listing.c - see listing.h. */
#include "feed/listing.h"

#include <string.h>

#include "decode/segment.h"

/* The files and folders that were seen, by device and inode. */
struct identity {
    uint64_t device, inode;
    bool is_used;
};

struct listing {
    struct env *env;
    struct arena *arena;
    const struct feed_options *options;
    struct listed_file *files;
    size_t count, capacity;
    size_t source;         /* the path at hand */
    struct identity *seen; /* open addressing; capacity is a power of two */
    size_t seen_count, seen_capacity;
};

static struct identity *find_identity(struct identity *seen, size_t capacity,
                                      const struct file_info *info)
{
    uint64_t hash = (info->inode ^ info->device << 40) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 32) & (capacity - 1);
    while (seen[at].is_used &&
           !(seen[at].inode == info->inode && seen[at].device == info->device)) {
        at = (at + 1) & (capacity - 1);
    }
    return &seen[at];
}

static bool is_seen_before(struct listing *listing, const struct file_info *info)
{
    if (2 * listing->seen_count >= listing->seen_capacity) {
        size_t capacity = listing->seen_capacity > 0 ? 2 * listing->seen_capacity : 64;
        struct identity *grown = arena_calloc(listing->arena, capacity, sizeof *grown);
        for (size_t i = 0; i < listing->seen_capacity; i++) {
            const struct identity *old = &listing->seen[i];
            if (old->is_used) {
                struct file_info of_old = {.device = old->device, .inode = old->inode};
                *find_identity(grown, capacity, &of_old) = *old;
            }
        }
        listing->seen = grown;
        listing->seen_capacity = capacity;
    }
    struct identity *place = find_identity(listing->seen, listing->seen_capacity, info);
    bool was_seen = place->is_used;
    *place = (struct identity){.device = info->device, .inode = info->inode, .is_used = true};
    listing->seen_count += !was_seen;
    return was_seen;
}

static bool ends_with(const char *path, size_t *size, const char *ending)
{
    size_t ending_size = strlen(ending);
    if (*size < ending_size || memcmp(path + *size - ending_size, ending, ending_size) != 0) {
        return false;
    }
    *size -= ending_size;
    return true;
}

static enum status add_file(struct listing *listing, const char *path, const struct file_info *info,
                            struct error *err)
{
    struct env *env = listing->env;
    struct listed_file file = {.info = *info, .is_pipe = info->kind == FILE_PIPE};
    size_t size = strlen(path);
    bool says_gzip = ends_with(path, &size, ".gz");
    bool says_zstd = !says_gzip && ends_with(path, &size, ".zst");
    enum feed_format format = listing->options->formats ? listing->options->formats[listing->source]
                                                        : listing->options->format;
    file.source = listing->source;
    file.format = format != FEED_BY_NAME           ? format
                  : ends_with(path, &size, ".csv") ? FEED_CSV
                                                   : FEED_NDJSON;
    if (!file.is_pipe) {
        unsigned char magic[8];
        size_t got = 0;
        struct file *opened;
        TRY(env->file_open(env, path, &opened, err));
        enum status status = env->file_read_at(env, opened, magic, sizeof magic, 0, &got, err);
        enum status close_status = env->file_close(env, opened, status == OK ? err : NULL);
        TRY(status);
        TRY(close_status);
        file.packing = stream_packing(magic, got);
        /* What was cut before its magic ends only the name tells. */
        bool is_cut = got < sizeof magic && !says_gzip && !says_zstd;
        if (segment_is_magic(magic, got) || (is_cut && ends_with(path, &size, ".segment"))) {
            file.format = FEED_SEGMENT;
        }
        if ((got >= 4 && memcmp(magic, "PAR1", 4) == 0) ||
            (got < 4 && is_cut && ends_with(path, &size, ".parquet"))) {
            file.format = FEED_PARQUET;
            if (!listing->options->takes_parquet) {
                (void)fail(err, ERR_INPUT, "%s is a Parquet file", path);
                return err ? fail_hint(err, "make segments of it with farthing import") : ERR_INPUT;
            }
        }
        if (got == 0 && (says_gzip || says_zstd)) {
            file.packing = says_gzip ? PACKED_GZIP : PACKED_ZSTD;
        }
    }
    file.path = arena_alloc(listing->arena, strlen(path) + 1);
    memcpy(file.path, path, strlen(path) + 1);
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity > 0 ? 2 * listing->capacity : 16;
        listing->files = arena_grow(listing->arena, listing->files, listing->count, capacity,
                                    sizeof *listing->files);
        listing->capacity = capacity;
    }
    listing->files[listing->count++] = file;
    return OK;
}

static enum status add_path(struct listing *listing, const char *path, bool is_named,
                            struct error *err);

/* What farthing has refused lies beside what it has written: segments, or FILE of an export. */
static bool is_letters(struct text name)
{
    struct text letters = TEXT("dead_letters.ndjson");
    size_t before = name.size - letters.size;
    return name.size >= letters.size && memcmp(name.at + before, letters.at, letters.size) == 0 &&
           (before == 0 || name.at[before - 1] == '.');
}

/* Bills that an earlier run has written here are no events; without this its tables would be taken
 * for events of a wrong form. */
static enum status check_no_bills(const char *path, const struct text *names, size_t count,
                                  struct error *err)
{
    bool has_bills = false, has_run = false;
    for (size_t i = 0; i < count; i++) {
        has_bills |= text_equal(names[i], TEXT("bills.ndjson"));
        has_run |= text_equal(names[i], TEXT("run.json"));
    }
    if (!has_bills || !has_run) {
        return OK;
    }
    (void)fail(err, ERR_INPUT, "%s: these are bills that a run has written, and no events", path);
    (void)fail_hint(err, "give the files of events, or --out a folder that lies elsewhere");
    return ERR_INPUT;
}

static enum status add_folder(struct listing *listing, const char *path, struct error *err)
{
    struct text *names;
    size_t count = 0;
    TRY(listing->env->folder_list(listing->env, path, listing->arena, &names, &count, err));
    TRY(check_no_bills(path, names, count, err));
    size_t path_size = strlen(path);
    while (path_size > 1 && path[path_size - 1] == '/') {
        path_size--;
    }
    for (size_t i = 0; i < count; i++) {
        if ((names[i].size > 0 && names[i].at[0] == '.') || is_letters(names[i])) {
            continue;
        }
        char *joined = arena_alloc(listing->arena, path_size + names[i].size + 2);
        memcpy(joined, path, path_size);
        joined[path_size] = '/';
        memcpy(joined + path_size + 1, names[i].at, names[i].size);
        joined[path_size + 1 + names[i].size] = '\0';
        TRY(add_path(listing, joined, false, err));
    }
    return OK;
}

/* is_named: given by the user, not found in a folder; only then may it be a pipe. */
static enum status add_path(struct listing *listing, const char *path, bool is_named,
                            struct error *err)
{
    struct file_info info;
    TRY(listing->env->file_stat(listing->env, path, &info, err));
    bool is_readable = info.kind == FILE_REGULAR || info.kind == FILE_FOLDER ||
                       (info.kind == FILE_PIPE && is_named);
    if (!is_readable) {
        bool is_standard = strcmp(path, "-") == 0;
        (void)fail(err, ERR_INPUT, "%s is %s", is_standard ? "standard input" : path,
                   info.kind == FILE_DEVICE ? "a device"
                   : info.kind == FILE_PIPE ? "a pipe in a folder"
                                            : "neither a file, a folder nor a pipe");
        (void)fail_hint(err, is_standard ? "put a file or a pipe there: < FILE, or COMMAND |"
                                         : "give files, folders, pipes, or - for standard input");
        return ERR_INPUT;
    }
    if (is_seen_before(listing, &info)) {
        return OK;
    }
    return info.kind == FILE_FOLDER ? add_folder(listing, path, err)
                                    : add_file(listing, path, &info, err);
}

enum status list_files(struct env *env, struct arena *arena, const char *const *paths, size_t count,
                       const struct feed_options *options, struct listed_file **files,
                       size_t *file_count, struct error *err)
{
    struct listing listing = {.env = env, .arena = arena, .options = options};
    for (size_t i = 0; i < count; i++) {
        listing.source = i;
        TRY(add_path(&listing, paths[i], true, err));
    }
    *files = listing.files;
    *file_count = listing.count;
    return OK;
}
