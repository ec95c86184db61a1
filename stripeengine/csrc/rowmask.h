/* rowmask.h - which pixels of a row equal others, as bit masks. The X byte does not count. Pure functions, any thread. */
#ifndef SE_ROWMASK_H
#define SE_ROWMASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "picture.h"

#define SE_ROWMASK_WORDS (SE_PICTURE_MAX / 64 + 1)

/* Bit i of the mask (word i / 64, lowest bit first) tells whether pixel i of `a` has the colour of pixel i of `b`; the bits
 * from `count` to the end of the last word are 0. Writes (count + 63) / 64 words. */
void se_rowmask_equal(const uint8_t *a, const uint8_t *b, int count, uint64_t *mask);

/* Bit i tells whether pixel i has the colour of pixel i - 1; bit 0 is `first`. count >= 1. */
void se_rowmask_repeats(const uint8_t *row, int count, bool first, uint64_t *mask);

/* How many bits from `from` on are set without a gap, below `count`. */
static inline int se_rowmask_run(const uint64_t *mask, int from, int count)
{
	int at = from;

	while (at < count) {
		uint64_t gaps = ~mask[at >> 6] >> (at & 63);

		if (gaps) {
			at += __builtin_ctzll(gaps);
			break;
		}
		at = (at | 63) + 1;
	}
	return (at < count ? at : count) - from;
}

static inline bool se_pixels_equal(const uint8_t *a, const uint8_t *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/* 0x00RRGGBB. */
static inline uint32_t se_pixel_colour(const uint8_t *bgrx)
{
	return (uint32_t)bgrx[2] << 16 | (uint32_t)bgrx[1] << 8 | bgrx[0];
}


#endif
