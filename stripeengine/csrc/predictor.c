/* predictor.c - the median edge predictor of LOCO-I, on green and the two differences to it.
 *
 * A rectangle is worked off in strips, so that two rows of planes fit the stack and the nearest cache. The loops are plain ones
 * on bytes: compilers make vectors of them on every processor, and no second version has to agree.
 */
#include "predictor.h"

#include <string.h>

#define STRIP 256 /* pixels; a multiple of what a vector holds */

/* A row of a strip. Before its first pixel the one left of it, which is 0 at the edge of the rectangle. */
struct planes {
	uint8_t green[1 + STRIP], red[1 + STRIP], blue[1 + STRIP];
};

static void split(const uint8_t *restrict bgrx, int count, uint8_t *restrict green, uint8_t *restrict red,
                  uint8_t *restrict blue)
{
	for (int i = 0; i < count; i++) {
		green[i] = bgrx[i * 4 + 1];
		red[i] = (uint8_t)(bgrx[i * 4 + 2] - bgrx[i * 4 + 1]);
		blue[i] = (uint8_t)(bgrx[i * 4] - bgrx[i * 4 + 1]);
	}
}

static inline uint8_t least(uint8_t a, uint8_t b)
{
	return a < b ? a : b;
}

static inline uint8_t most(uint8_t a, uint8_t b)
{
	return a < b ? b : a;
}

/* Of pixels 1 to `count` of a row, pixel 0 being the one before the strip. */
static void subtract(const uint8_t *restrict row, const uint8_t *restrict above, int count, uint8_t *restrict out)
{
	for (int i = 0; i < count; i++) {
		uint8_t a = row[i], b = above[i + 1], c = above[i];

		c = least(most(c, least(a, b)), most(a, b));
		out[i] = (uint8_t)(row[i + 1] - (a + b - c));
	}
}

void se_predictor_residuals(const uint8_t *pixels, size_t stride, struct se_rect rect, uint8_t *green, uint8_t *red,
                            uint8_t *blue)
{
	struct planes rows[2];

	memset(rows, 0, sizeof rows);
	for (int x = 0; x < rect.w; x += STRIP) {
		int count = rect.w - x < STRIP ? rect.w - x : STRIP, before = x > 0;

		memset(&rows[1], 0, sizeof rows[1]); /* above the first row */
		for (int y = 0; y < rect.h; y++) {
			const uint8_t *bgrx = pixels + (size_t)(rect.y + y) * stride + (size_t)(rect.x + x - before) * 4;
			struct planes *row = &rows[y & 1], *above = &rows[~y & 1];
			size_t at = (size_t)y * (size_t)rect.w + (size_t)x;

			row->green[0] = row->red[0] = row->blue[0] = 0;
			split(bgrx, count + before, row->green + 1 - before, row->red + 1 - before, row->blue + 1 - before);
			subtract(row->green, above->green, count, green + at);
			subtract(row->red, above->red, count, red + at);
			subtract(row->blue, above->blue, count, blue + at);
		}
	}
}
