/* book.h - what the files that make a book share.  Private to this room. */
#ifndef FARTHING_USAGE_BOOK_H
#define FARTHING_USAGE_BOOK_H

#include "usage/usage.h"

/* The row, made when it is not there. Rows move when one is made. */
struct usage_row *book_find_row(struct book *book, uint32_t account, uint32_t series,
                                uint32_t slot_s);
/* What it holds besides its total, made when it is not there. Moves, too. */
struct usage_value *book_value(struct book *book, struct usage_row *row);

struct level *book_add_level(struct book *book);
void book_add_state(struct book *book, struct meter_states *states,
                    const struct meter_state *state);

static inline const struct record_tail *tail_of(const struct record *record)
{
    size_t offset = record->flags & RECORD_WIDE ? RECORD_WIDE_BYTES : 0;
    return (const struct record_tail *)(const void *)((const char *)(record + 1) + offset);
}

static inline struct text tail_source(const struct record_tail *tail)
{
    return (struct text){tail->texts, tail->source_size};
}

static inline struct text tail_id(const struct record_tail *tail)
{
    return (struct text){tail->texts + tail->source_size, tail->id_size};
}

/* Of a record that is a total. */
static inline const struct total *total_of(const struct record *record)
{
    return (const struct total *)(const void *)(record + 1);
}

#endif
