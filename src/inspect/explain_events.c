/* explain_events.c - the very events of a line's usage rows, found by reading all events again.
 *
 * An event belongs to a row when a meter makes of it what the row counts: this is the engine's own
 * way (decode, meter, slot), looked at for the accounts of the rows: an aggregate over an
 * organization makes one of rows of several.  What acceptance decided from bytes is taken from
 * conflicts.ndjson; copies count once; what was withdrawn counts not at all.  What came too late
 * for its time (LATE) is told by run.json, which has for each file what was in it and from when on
 * it counts.  Then counts, sums and fingerprints are held against the rows: 128 bits an event, so
 * equal means the same events.
 */
#include <stdlib.h>

#include "decode/segment.h"
#include "inspect/explain.h"

/* A row by what its events have in common. */
struct row_place {
    struct hash128 event; /* its key, when the row is of one; else 0 */
    uint32_t account, series, slot_s, row;
};

/* A file by what is in it, wherever it lies. */
struct read_file {
    uint64_t count, print;
    instant late_before; /* of times before nothing in it counts */
};

struct withdrawn {
    struct hash128 key;
    uint32_t file;
};

struct reading {
    struct explain *x;
    struct read_file *files;
    uint32_t file_count, file_capacity;
    struct map accounts;    /* of the rows: id -> index */
    struct row_place *keys; /* sorted */
    struct meter_plan *plan;
    struct meter_scratch *scratch;
    struct segment_reader *segments;
    struct feed_block block;
    uint64_t line_in_block, line_offset;
    uint64_t event_capacity;
    struct withdrawn *withdrawn;
    uint64_t withdrawn_count, withdrawn_capacity;
    struct hash128 *gone; /* keys of what was withdrawn in time; sorted when all is read */
    uint64_t gone_count;
};

static int compare_hashes(const void *a_hash, const void *b_hash)
{
    const struct hash128 *a = a_hash, *b = b_hash;
    return hash_compare(*a, *b);
}

static int compare_keys(const void *a_key, const void *b_key)
{
    const struct row_place *a = a_key, *b = b_key;
    if (a->account != b->account) {
        return a->account < b->account ? -1 : 1;
    }
    if (a->series != b->series) {
        return a->series < b->series ? -1 : 1;
    }
    if (a->slot_s != b->slot_s) {
        return a->slot_s < b->slot_s ? -1 : 1;
    }
    return hash_compare(a->event, b->event);
}

static struct hash128 key_of(struct text source, struct text id)
{
    struct hash128 parts[] = {hash_print(source.at, source.size), hash_print(id.at, id.size)};
    return hash_print(parts, sizeof parts);
}

/* Of the bytes of a record, but for blanks around them. */
static struct hash128 hash_record(struct text record)
{
    while (record.size > 0 && (unsigned char)record.at[record.size - 1] <= ' ') {
        record.size--;
    }
    while (record.size > 0 && (unsigned char)record.at[0] <= ' ') {
        record = (struct text){record.at + 1, record.size - 1};
    }
    return hash_print(record.at, record.size);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void count_event(struct reading *reading, uint64_t print)
{
    uint32_t file = reading->block.file_index;
    if (file >= reading->file_capacity) {
        uint32_t more = file * 2 + 16;
        reading->files = arena_grow(&reading->x->run->arena, reading->files, reading->file_count,
                                    more, sizeof *reading->files);
        reading->file_capacity = more;
    }
    while (reading->file_count <= file) {
        reading->files[reading->file_count++] = (struct read_file){.late_before = INSTANT_MIN};
    }
    reading->files[file].count++;
    reading->files[file].print += print;
}

static void keep_withdrawn(struct reading *reading, const struct event *event)
{
    if (reading->withdrawn_count == reading->withdrawn_capacity) {
        uint64_t more = reading->withdrawn_capacity ? reading->withdrawn_capacity * 2 : 256;
        reading->withdrawn =
            arena_grow(&reading->x->run->arena, reading->withdrawn, reading->withdrawn_capacity,
                       more, sizeof *reading->withdrawn);
        reading->withdrawn_capacity = more;
    }
    reading->withdrawn[reading->withdrawn_count++] = (struct withdrawn){
        key_of(event->target_source, event->target_id), reading->block.file_index};
}

/* An event that may be on a row. */
struct kept {
    const struct event *event;
    struct dec value;
    uint64_t offset;
    struct text record;
};

/* The record of an event of a segment is its canonical form, as in conflicts.ndjson; it is made for
 * those that are kept. */
static struct text record_of(const struct kept *kept, struct reading *reading, struct arena *arena)
{
    if (reading->block.format != FEED_SEGMENT) {
        return kept->record;
    }
    struct buffer canonical;
    buffer_init(&canonical, arena, 1024);
    segment_canonical(reading->segments, &canonical);
    return buffer_text(&canonical);
}

static void keep_event(struct reading *reading, const struct kept *kept, uint32_t row,
                       bool is_piece)
{
    const struct event *event = kept->event;
    struct explain *x = reading->x;
    struct arena *arena = &x->run->arena;
    if (x->event_count == reading->event_capacity) {
        uint64_t more = reading->event_capacity ? reading->event_capacity * 2 : 256;
        x->events = arena_grow(arena, x->events, reading->event_capacity, more, sizeof *x->events);
        reading->event_capacity = more;
    }
    struct arena_mark mark = arena_mark(&x->scratch);
    struct hash128 bytes = hash_record(record_of(kept, reading, &x->scratch));
    arena_rewind(&x->scratch, mark);
    x->events[x->event_count++] =
        (struct explained_event){.key = key_of(event->source, event->id),
                                 .print = event->print,
                                 .bytes = bytes,
                                 .source = text_copy(arena, event->source),
                                 .id = text_copy(arena, event->id),
                                 .at = event->at,
                                 .value = kept->value,
                                 .is_piece = is_piece,
                                 .row = row,
                                 .file = reading->block.file_index,
                                 .block = reading->block.block_index,
                                 .line_in_block = reading->line_in_block,
                                 .offset = kept->offset};
}

/* An event is on the row of each slot that it has time in. */
static void keep_pieces(struct reading *reading, const struct kept *whole, uint32_t account,
                        uint32_t series, struct period span)
{
    const struct explain *x = reading->x;
    const struct run *run = x->run;
    const struct spread spread = {span, whole->value};
    for (uint32_t i = 0; i < x->row_count; i++) {
        const struct row_place *place = &reading->keys[i];
        const struct usage_row *row = &x->usage[x->rows[place->row].row];
        instant start = run->period.from + (instant)place->slot_s * NS_PER_SECOND;
        struct period piece = period_intersect(span, (struct period){start, row->to});
        bool is_in = span.from == span.to ? start <= span.from && span.from < row->to
                                          : piece.from < piece.to;
        struct kept kept = *whole;
        if (place->account == account && place->series == series && is_in &&
            spread_piece(&spread, span.from == span.to ? span : piece, &kept.value)) {
            keep_event(reading, &kept, place->row, start > span.from);
        }
    }
}

static void take_event(void *context, const struct event *event, size_t record_offset,
                       struct text record)
{
    struct reading *reading = context;
    struct explain *x = reading->x;
    struct run *run = x->run;
    count_event(reading, event->print);
    if (event->kind == EVENT_WITHDRAWAL) {
        keep_withdrawn(reading, event);
        return;
    }
    uint32_t account = map_find(&reading->accounts, event->subject);
    if (account == MAP_NONE) {
        return;
    }
    uint32_t count;
    const uint32_t *meters = meter_plan_find(reading->plan, event->type, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct meter *meter = &run->catalog->meters[meters[i]];
        struct measure measure;
        meter_apply(run->catalog, meter, event, reading->scratch, &measure);
        if (!measure.matched || measure.exclusion != EXCLUDE_NONE) {
            continue;
        }
        uint64_t hash = series_hash(meters[i], measure.sku, measure.resource, measure.dimensions,
                                    measure.dimension_count);
        uint32_t series = series_find(&run->series, hash, meters[i], measure.sku, measure.resource,
                                      measure.dimensions, measure.dimension_count);
        if (series == NONE) {
            continue;
        }
        if (meter->spread_from) {
            struct kept kept = {event, measure.value, reading->line_offset + record_offset, record};
            keep_pieces(reading, &kept, account, series, measure.spread);
            continue;
        }
        if (!period_has(x->head.period, event->at)) {
            continue;
        }
        instant start = slot_start(run->catalog, run->accounts, account,
                                   series_at(&run->series, series), x->head.period, event->at);
        struct row_place key = {.account = account,
                                .series = series,
                                .slot_s = (uint32_t)((start - run->period.from) / NS_PER_SECOND)};
        if (meter->grain == GRAIN_EVENT) {
            key.event = key_of(event->source, event->id);
        }
        const struct row_place *found =
            bsearch(&key, reading->keys, x->row_count, sizeof key, compare_keys);
        if (found) {
            struct kept kept = {event, measure.value, reading->line_offset + record_offset, record};
            keep_event(reading, &kept, found->row, false);
        }
    }
}

static void take_finding(void *context, const struct finding *finding)
{
    (void)context; /* it was refused then, too */
    (void)finding;
}

static void read_segment(struct reading *reading)
{
    const struct feed_block *block = &reading->block;
    const struct event *event;
    const char *fault;
    if (!reading->segments) {
        reading->segments = segment_reader_new(&reading->x->segment_arena);
    }
    if (segment_open(reading->segments, (struct text){block->bytes, block->size}, &fault)) {
        reading->line_offset = block->first_event;
        for (uint32_t i = 0; (event = segment_next(reading->segments, &fault)); i++) {
            reading->line_in_block = i;
            take_event(reading, event, i, (struct text){0});
        }
    }
}

static enum status read_block(struct reading *reading, struct decoder *decoder,
                              const struct csv_header **header)
{
    struct run *run = reading->x->run;
    const struct feed_block *block = &reading->block;
    struct sink sink = {.context = reading, .event = take_event, .refused = take_finding};
    if (block->format == FEED_SEGMENT) {
        if (block->size > 0) {
            read_segment(reading);
        }
        return OK;
    }
    bool is_csv = block->format == FEED_CSV;
    if (is_csv && block->size > 0 && block->is_first_of_file) {
        struct text line = text_copy(&run->arena, block->header);
        TRY(csv_header_read(&run->arena, line, run->csv_mapping, header, reading->x->err));
    }
    uint64_t line = 0;
    for (size_t at = 0; at < block->size; line++) {
        reading->line_in_block = line;
        reading->line_offset = block->offset + at;
        struct text rest = {block->bytes + at, block->size - at};
        bool is_first = block->is_first_of_file && line == 0;
        at += is_csv ? decode_csv_next(decoder, *header, rest, is_first, &sink)
                     : decode_json_next(decoder, rest, is_first, &sink);
    }
    feed_count_lines(run->feed, block->file_index, block->block_index, (uint32_t)line);
    return OK;
}

static enum status open_events(struct explain *x)
{
    struct run *run = x->run;
    struct feed_options options = {.threads = 1,
                                   .format = x->inputs.format == FARTHING_CSV      ? FEED_CSV
                                             : x->inputs.format == FARTHING_NDJSON ? FEED_NDJSON
                                                                                   : FEED_BY_NAME,
                                   .temporary_folder = run->config->temporary_folder};
    return feed_open(run->env, &run->arena, x->inputs.events.items, x->inputs.events.count,
                     &options, &run->feed, x->err);
}

static enum status read_all(struct reading *reading)
{
    struct explain *x = reading->x;
    struct run *run = x->run;
    TRY(open_events(x));
    struct decoder *decoder = decoder_new(&x->decoder_arena);
    reading->plan = meter_plan_new(&run->arena, run->catalog);
    reading->scratch = meter_scratch_new(&x->meter_arena, run->catalog);
    const struct csv_header *header = NULL;
    for (;;) {
        TRY(feed_next(run->feed, 0, &reading->block, x->err));
        if (!reading->block.bytes) {
            return OK;
        }
        TRY(read_block(reading, decoder, &header));
    }
}

/* ---- what was accepted ---------------------------------------------------------------------- */

static int compare_contents(const void *a_item, const void *b_item)
{
    const struct read_file *a = a_item, *b = b_item;
    int order = (a->count > b->count) - (a->count < b->count);
    return order ? order : (a->print > b->print) - (a->print < b->print);
}

static int compare_read(const void *a_item, const void *b_item)
{
    const struct read_file *a = a_item, *b = b_item;
    int order = compare_contents(a, b);
    return order ? order : (a->late_before > b->late_before) - (a->late_before < b->late_before);
}

/* What the run has read, by its contents; of equal ones the one that came first. */
static const struct read_file *list_read(struct explain *x, size_t *count)
{
    size_t i, item_count, kept = 0;
    yyjson_val *item;
    struct read_file *read =
        arena_calloc(&x->run->arena, yyjson_arr_size(x->read) + 1, sizeof *read);
    *count = 0;
    yyjson_arr_foreach(x->read, i, item_count, item)
    {
        const char *print = yyjson_get_str(yyjson_obj_get(item, "fingerprint"));
        struct read_file file = {.count = yyjson_get_uint(yyjson_obj_get(item, "records")),
                                 .print = print ? strtoull(print, NULL, 16) : 0,
                                 .late_before = INSTANT_MIN};
        (void)time_parse(json_text(item, "late_before"), &file.late_before);
        if (print) {
            read[(*count)++] = file;
        }
    }
    qsort(read, *count, sizeof *read, compare_read);
    for (size_t k = 0; k < *count; k++) {
        if (kept == 0 || compare_contents(&read[kept - 1], &read[k]) != 0) {
            read[kept++] = read[k];
        }
    }
    *count = kept;
    return read;
}

/* When files came, by the run that read them.  Of a run that did not write it, nobody knows. */
static void find_files(struct reading *reading)
{
    struct explain *x = reading->x;
    size_t count;
    const struct read_file *read = list_read(x, &count);
    for (uint32_t f = 0; f < reading->file_count && x->read; f++) {
        struct read_file *file = &reading->files[f];
        const struct read_file *known = bsearch(file, read, count, sizeof *read, compare_contents);
        if (known) {
            file->late_before = known->late_before;
        } else if (file->count > 0) {
            x->stranger = feed_file_path(x->run->feed, f);
        }
    }
}

/* A withdrawal that came when the period was billed no more takes back nothing of it. */
static void find_gone(struct reading *reading)
{
    struct explain *x = reading->x;
    reading->gone =
        arena_calloc(&x->run->arena, reading->withdrawn_count + 1, sizeof *reading->gone);
    for (uint64_t i = 0; i < reading->withdrawn_count; i++) {
        const struct withdrawn *withdrawn = &reading->withdrawn[i];
        if (x->head.period.from >= reading->files[withdrawn->file].late_before) {
            reading->gone[reading->gone_count++] = withdrawn->key;
        }
    }
    if (reading->gone_count > 1) {
        qsort(reading->gone, reading->gone_count, sizeof *reading->gone, compare_hashes);
    }
}

/* The refused records of conflicts.ndjson: key and bytes as one hash each, sorted. */
static enum status load_conflicts(struct explain *x, struct hash128 **refused, uint64_t *count)
{
    struct reader *conflicts;
    uint64_t capacity = 0;
    TRY(folder_read(&x->folder, "conflicts.ndjson", NULL, &conflicts, x->err));
    for (struct text row;;) {
        TRY(reader_next(conflicts, &row, NULL, x->err));
        if (!row.at) {
            break;
        }
        struct arena_mark mark = arena_mark(&x->scratch);
        yyjson_val *object = yyjson_doc_get_root(arena_read_json(&x->scratch, row));
        struct hash128 both = hash_add(key_of(json_text(object, "source"), json_text(object, "id")),
                                       hash_record(json_text(object, "bytes")));
        arena_rewind(&x->scratch, mark);
        if (*count == capacity) {
            uint64_t more = capacity ? capacity * 2 : 256;
            *refused = arena_grow(&x->run->arena, *refused, capacity, more, sizeof **refused);
            capacity = more;
        }
        (*refused)[(*count)++] = both;
    }
    reader_close(conflicts);
    if (*count > 1) {
        qsort(*refused, *count, sizeof **refused, compare_hashes);
    }
    return OK;
}

static bool has_hash(const struct hash128 *hashes, uint64_t count, struct hash128 hash)
{
    return count > 0 && bsearch(&hash, hashes, count, sizeof hash, compare_hashes) != NULL;
}

static int compare_copies(const void *a_item, const void *b_item)
{
    const struct explained_event *a = a_item, *b = b_item;
    int order = hash_compare(a->key, b->key);
    order = order ? order : (a->print > b->print) - (a->print < b->print);
    order = order ? order : (a->row > b->row) - (a->row < b->row);
    order = order ? order : a->is_late - b->is_late;
    order = order ? order : (a->file > b->file) - (a->file < b->file);
    return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

static int compare_events(const void *a_item, const void *b_item)
{
    const struct explained_event *a = a_item, *b = b_item;
    int order = (a->row > b->row) - (a->row < b->row);
    order = order ? order : (a->at > b->at) - (a->at < b->at);
    order = order ? order : text_compare(a->source, b->source);
    return order ? order : text_compare(a->id, b->id);
}

/* Each accepted event once, the first of its copies; one that has none in time is late. */
static enum status keep_accepted(struct reading *reading)
{
    struct explain *x = reading->x;
    struct hash128 *refused = NULL;
    uint64_t refused_count = 0, kept = 0;
    TRY(load_conflicts(x, &refused, &refused_count));
    find_files(reading);
    find_gone(reading);
    for (uint64_t i = 0; i < x->event_count; i++) {
        struct explained_event *event = &x->events[i];
        event->is_late = event->at < reading->files[event->file].late_before;
    }
    x->late = arena_calloc(&x->run->arena, x->event_count + 1, sizeof *x->late);
    if (x->event_count > 1) {
        qsort(x->events, x->event_count, sizeof *x->events, compare_copies);
    }
    struct explained_event last = {.row = NONE};
    for (uint64_t i = 0; i < x->event_count; i++) {
        struct explained_event event = x->events[i];
        bool is_copy =
            hash_equal(last.key, event.key) && last.print == event.print && last.row == event.row;
        if (is_copy || has_hash(reading->gone, reading->gone_count, event.key) ||
            has_hash(refused, refused_count, hash_add(event.key, event.bytes))) {
            continue;
        }
        last = event;
        if (event.is_late) {
            x->late[x->late_count++] = event;
        } else {
            x->events[kept++] = event;
        }
    }
    x->event_count = kept;
    return OK;
}

enum status explain_events(struct explain *x)
{
    struct run *run = x->run;
    x->has_events = true;
    x->adds_up = true;
    if (x->row_count == 0) {
        return open_events(x); /* none is the line's, but a name may be misspelt */
    }
    struct reading reading = {.x = x};
    map_init(&reading.accounts, &run->arena, 16);
    reading.keys = arena_calloc(&run->arena, x->row_count, sizeof *reading.keys);
    for (uint32_t i = 0; i < x->row_count; i++) {
        const struct usage_row *row = &x->usage[x->rows[i].row];
        reading.keys[i] = (struct row_place){
            .account = row->account, .series = row->series, .slot_s = row->slot_s, .row = i};
        (void)map_put(&reading.accounts, run->accounts->items[row->account].id, row->account);
        if (row->event) {
            reading.keys[i].event = key_of(row->event->source, row->event->id);
        }
    }
    qsort(reading.keys, x->row_count, sizeof *reading.keys, compare_keys);
    TRY(read_all(&reading));
    TRY(keep_accepted(&reading));
    if (x->event_count > 1) {
        qsort(x->events, x->event_count, sizeof *x->events, compare_events);
    }
    if (x->late_count > 1) {
        qsort(x->late, x->late_count, sizeof *x->late, compare_events);
    }
    for (uint64_t i = 0; i < x->late_count; i++) {
        struct explained_event *event = &x->late[i];
        event->line = feed_line_number(run->feed, event->file, event->block, event->line_in_block);
    }
    for (uint64_t i = 0; i < x->event_count; i++) {
        struct explained_event *event = &x->events[i];
        struct total *found = &x->rows[event->row].found;
        event->line = feed_line_number(run->feed, event->file, event->block, event->line_in_block);
        found->count += !event->is_piece;
        found->print += event->print;
        wide_add_dec(&found->sum, event->value);
    }
    for (uint32_t i = 0; i < x->row_count; i++) {
        const struct total *found = &x->rows[i].found;
        const struct total *counted = &x->usage[x->rows[i].row].total;
        x->adds_up &= found->count == counted->count && found->print == counted->print &&
                      wide_equal(&found->sum, &counted->sum);
    }
    return OK;
}
