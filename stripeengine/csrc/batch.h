/* batch.h - the lossless rectangles of a frame, encoded into payloads that each fit a message.
 *
 * One thread at a time; memory is kept from frame to frame. No single message may hold two payloads (docs/protocol.md,
 * section 4), so what does not fit one goes into the next messages.
 */
#ifndef SE_BATCH_H
#define SE_BATCH_H

#include "buffer.h"
#include "lossless.h"
#include "picture.h"

struct se_batch_part {
	size_t first, count; /* of the batch's pieces */
	struct se_buffer out;
};

struct se_batch_piece {
	struct se_rect rect;
	bool photo; /* until it is encoded: it may be one, by its literals */
};

struct se_batch {
	struct se_lossless *coder; /* made by the first encode */
	struct se_batch_piece *pieces;
	size_t count, capacity;
	int64_t pixels;
	struct se_batch_part *parts;
	size_t part_count, part_capacity;
};

void se_batch_free(struct se_batch *self);
void se_batch_clear(struct se_batch *self);

/* Adds a rectangle, cut at tile edges into pieces of which each fits a message; `literals` of 1000 pixels, as far as
 * is known, say how large. SE_E_NOMEM leaves the pieces added so far. */
int se_batch_add(struct se_batch *self, struct se_rect rect, int literals);

/* The same of what is known to be no photograph. */
int se_batch_add_text(struct se_batch *self, struct se_rect rect, int literals);

/* Bytes that a rectangle of so many literals in 1000 pixels takes in a batch, about; its record included. Pure, any thread. */
int64_t se_batch_estimate(const struct se_picture *picture, struct se_rect rect, int literals);

/* Encodes all rectangles out of `picture`, those that show photographs predicted. Fails with SE_E_NOMEM and SE_E_ENCODER; then there are no parts. */
int se_batch_encode(struct se_batch *self, const struct se_picture *picture);

#endif
