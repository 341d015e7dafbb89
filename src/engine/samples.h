/* samples.h - the records of sampled meters of one payer, in their order: read for a bill, and
 * written to the closing where the next bill needs them.  Private to this room.
 */
#ifndef FARTHING_ENGINE_SAMPLES_H
#define FARTHING_ENGINE_SAMPLES_H

#include "engine/partition.h"
#include "engine/run.h"
#include "engine/texts.h"

/* Records of sampled meters in their order: sorted here, or by way of a file. */
struct samples {
    const struct records *records;
    const struct record **items; /* when in memory */
    uint32_t count;
};

/* What they take in memory of a partition's records, for a unit of these: pointers, and half of
 * them for sorting. */
enum { SAMPLE_UNIT_BYTES = 12 };

/* Records of sampled meters once more, in order: book_sample. */
enum status samples_read(struct worker *worker, const struct records *records,
                         const struct book_view *view, bool is_first, struct book *book,
                         struct samples *samples, struct error *err);
/* Whether the bill cuts the slot of an average, or of samples, in a turn that ends at turn_to. */
bool samples_go_on(const struct book *book, const struct book_view *view, instant turn_to);
/* What the next bill needs of them.  Takes no memory but what the text has; key has room for one.
 */
enum status samples_close(struct worker *worker, const struct samples *samples,
                          const struct pricing *pricing, const struct book *book,
                          const struct book_view *view, instant turn_to, struct buffer *key,
                          struct texts *texts, struct error *err);

#endif
