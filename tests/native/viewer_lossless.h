/* viewer_lossless.h - the client's side of the lossless batch (docs/protocol.md, section 4). One thread. */
#ifndef VIEWER_LOSSLESS_H
#define VIEWER_LOSSLESS_H

#include <stdint.h>
#include <stdlib.h>

#include "region.h"

struct lossless_reader {
	uint8_t palette[255 * 3];
	int palette_size;
	uint8_t *stream;
	const uint8_t *forms; /* of the rectangles, or NULL: all are byte ops */
	size_t at, size;      /* of the ops; the planes follow */
	size_t planes, plane_size;
	size_t rects_read;
	int literals, predicted; /* read so far: pixels, rectangles */
};

/* Opens the batch of `count` rectangles, inflating it if it is deflated. A malformed one fails the test. */
void lossless_open(struct lossless_reader *self, const uint8_t *payload, size_t length, const struct se_rect *rects,
                   size_t count);

/* Reads the next rectangle into BGRX rows. */
void lossless_read(struct lossless_reader *self, uint8_t *out, size_t stride, int width, int height);

/* Fails the test unless all of the batch has been read. */
void lossless_close(struct lossless_reader *self);

#endif
