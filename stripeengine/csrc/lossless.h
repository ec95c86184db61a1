/* lossless.h - the lossless batch (docs/protocol.md, section 4) of all lossless rectangles of a frame.
 *
 * Pass 1, per rectangle as it is added, finds the byte ops and collects the literals; pass 2, once per batch, chooses the
 * palette (the 255 commonest literals), merges and deflates. Photographs are predicted instead (predictor.h). A batch object is used by one thread at a time and keeps its
 * memory, so that it soon stops allocating. Rectangles that were added can be finished in several batches.
 */
#ifndef SE_LOSSLESS_H
#define SE_LOSSLESS_H

#include "buffer.h"
#include "region.h"

#define SE_LOSSLESS_DEFLATE_FROM 1024u /* op bytes; below, deflate costs about what it saves */

struct se_lossless;

/* NULL if there is no memory. */
struct se_lossless *se_lossless_new(void);
void se_lossless_free(struct se_lossless *self);

/* Empties the list of rectangles. */
void se_lossless_begin(struct se_lossless *self);

/* Adds `rect` of the BGRX image whose top left is `pixels`; the pixels are not needed afterwards. Returns 0; 1 if more than
 * `most` of 1000 pixels turned out to be literals: then nothing was added (1000 accepts everything; it stops as soon as it
 * is certain); SE_E_NOMEM or, for an empty rectangle, SE_E_INVALID: likewise nothing added. */
int se_lossless_add(struct se_lossless *self, const uint8_t *pixels, size_t stride, struct se_rect rect, int most);

/* Adds a rectangle that shows a photograph: predicted, at most 3 bytes a pixel. Returns as se_lossless_add, but never 1. */
int se_lossless_add_photo(struct se_lossless *self, const uint8_t *pixels, size_t stride, struct se_rect rect);

/* Rectangles added since se_lossless_begin. */
size_t se_lossless_count(const struct se_lossless *self);

/* The most bytes that a batch of rectangles [first, first + count) can have: before deflate, with every literal escaped.
 * Text ends at a tenth to a third of it, photographs at half. */
size_t se_lossless_bound(const struct se_lossless *self, size_t first, size_t count);

/* Writes the batch of rectangles [first, first + count), numbered from 0 in it, to `out`: the payload of their ops. May be
 * called again for other ranges (if the batch is larger than a message shall be: each half). Fails with SE_E_NOMEM, and
 * with SE_E_INVALID if there is no such range or the op stream would exceed the protocol's 4 bytes a pixel + 64, which
 * can only happen to noise of more than 65536 pixels: finish it in smaller ranges or send it as JPEG. */
int se_lossless_finish(struct se_lossless *self, size_t first, size_t count, struct se_buffer *out);

/* How many of 1000 pixels of `rect` pass 1 would leave as literals, without doing it. Stops, with some value above `most`, as soon as it is certain to be above; 1000 never stops. 0 if empty.
 * Pure, any thread. */
int se_lossless_literals(const uint8_t *pixels, size_t stride, struct se_rect rect, int most);

#endif
