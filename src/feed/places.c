/* places.c - see places.h. */
#include "feed/places.h"

#include <string.h>

#include "decode/segment.h"
#include "feed/stream.h"

struct search {
    struct env *env;
    const char *path;
    struct file *file;
    uint64_t size_bytes;
    struct places *places;
    uint64_t at;
    uint64_t base, seen; /* events of files before in this one, and of this one so far */
    bool is_ended;       /* an end block was last */
    bool has_gap;        /* what was before is not known */
};

static enum status add_place(struct search *search, struct place place, struct error *err)
{
    struct places *places = search->places;
    if (places->count == places->capacity) {
        size_t capacity = places->capacity > 0 ? 2 * places->capacity : 64;
        void *memory;
        TRY(feed_allocate(search->env, search->path, capacity * sizeof place, &memory, err));
        if (places->count > 0) {
            memcpy(memory, places->items, places->count * sizeof place);
        }
        feed_release(search->env, places->items, places->capacity * sizeof place);
        places->items = memory;
        places->capacity = capacity;
    }
    places->items[places->count++] = place;
    return OK;
}

static enum status add_fault(struct search *search, uint64_t size, const char *fault,
                             struct error *err)
{
    search->has_gap = true;
    return add_place(search,
                     (struct place){.offset = search->at,
                                    .first = search->base + search->seen,
                                    .size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
                                    .fault = fault},
                     err);
}

/* Where the next block may begin: the next magic behind what is at hand. */
static enum status find_next(struct search *search, uint64_t *next, struct error *err)
{
    enum { WINDOW_BYTES = 64 * 1024, MAGIC_BYTES = 8 };
    void *memory;
    TRY(feed_allocate(search->env, search->path, WINDOW_BYTES, &memory, err));
    const char *window = memory;
    enum status status = OK;
    *next = search->size_bytes;
    for (uint64_t at = search->at + 1; at + MAGIC_BYTES <= search->size_bytes;) {
        size_t got = 0;
        status = search->env->file_read_at(search->env, search->file, memory, WINDOW_BYTES, at,
                                           &got, err);
        size_t found = 0;
        while (found + MAGIC_BYTES <= got && !segment_is_magic(window + found, MAGIC_BYTES)) {
            const char *mark = memchr(window + found + 1, 0x89, got - found - 1);
            found = mark ? (size_t)(mark - window) : got;
        }
        if (found + MAGIC_BYTES <= got) {
            *next = at + found;
            break;
        }
        if (status != OK || got < WINDOW_BYTES) {
            break;
        }
        at += WINDOW_BYTES - MAGIC_BYTES;
    }
    feed_release(search->env, memory, WINDOW_BYTES);
    return status;
}

static enum status skip_bad(struct search *search, const char *fault, struct error *err)
{
    uint64_t next;
    TRY(find_next(search, &next, err));
    TRY(add_fault(search, next - search->at, fault, err));
    search->at = next;
    return OK;
}

/* Files may be put one behind another, so what each says of itself is not enough. */
static bool has_room(const struct search *search, const struct segment_header *header)
{
    uint64_t before = header->events_before > search->seen ? header->events_before : search->seen;
    return search->base + before + header->event_count < PLACES_EVENTS_MAX;
}

static enum status take_block(struct search *search, const struct segment_header *header,
                              struct error *err)
{
    if (header->events_before != search->seen) {
        if (!search->has_gap) {
            TRY(add_fault(search, 0, "segment: blocks are missing before this one", err));
        }
        search->seen = header->events_before > search->seen ? header->events_before : search->seen;
    }
    search->has_gap = false;
    uint32_t size = SEGMENT_HEADER_BYTES + header->body_bytes;
    if (header->kind == SEGMENT_EVENTS) {
        TRY(add_place(search,
                      (struct place){.offset = search->at,
                                     .first = search->base + search->seen,
                                     .size = size,
                                     .events = header->event_count},
                      err));
        search->seen += header->event_count;
    } else {
        search->base += search->seen;
        search->seen = 0;
    }
    search->is_ended = header->kind == SEGMENT_END;
    search->at += size;
    return OK;
}

enum status places_read(struct env *env, const char *path, struct file *file, uint64_t size_bytes,
                        struct places *places, struct error *err)
{
    struct search search = {
        .env = env, .path = path, .file = file, .size_bytes = size_bytes, .places = places};
    while (search.at < size_bytes) {
        unsigned char bytes[SEGMENT_HEADER_BYTES] = {0};
        size_t got = 0;
        struct segment_header header;
        const char *fault;
        TRY(env->file_read_at(env, file, bytes, sizeof bytes, search.at, &got, err));
        if (!segment_header_read(bytes, &header, &fault)) {
            search.is_ended = false;
            TRY(skip_bad(&search, got < sizeof bytes ? "segment: a block is cut" : fault, err));
        } else if (header.body_bytes > size_bytes - search.at - SEGMENT_HEADER_BYTES) {
            search.is_ended = false;
            TRY(skip_bad(&search, "segment: a block is cut", err));
        } else if (!has_room(&search, &header)) {
            search.is_ended = false;
            TRY(skip_bad(&search, "segment: the file has more events than one can have", err));
        } else {
            TRY(take_block(&search, &header, err));
        }
    }
    if (!search.is_ended && !search.has_gap) {
        TRY(add_fault(&search, 0, "segment: the file is cut: it has no end block", err));
    }
    return OK;
}

void places_release(struct env *env, struct places *places)
{
    feed_release(env, places->items, places->capacity * sizeof *places->items);
    *places = (struct places){0};
}

const struct place *places_find(const struct places *places, uint64_t event)
{
    size_t from = 0, to = places->count;
    while (from < to) { /* the last that begins at the event or before */
        size_t middle = from + (to - from) / 2;
        if (places->items[middle].first <= event) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    while (from > 0 && places->items[from - 1].fault) {
        from--;
    }
    const struct place *place = from > 0 ? &places->items[from - 1] : NULL;
    return place && event - place->first < place->events ? place : NULL;
}
