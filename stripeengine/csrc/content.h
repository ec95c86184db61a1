/* content.h - facts about the pixels of a rectangle on which the choice of its form rests. Pure functions, any thread. */
#ifndef SE_CONTENT_H
#define SE_CONTENT_H

#include <stddef.h>

#include "region.h"

#define SE_CONTENT_COLOURS 256 /* more are not told apart */
#define SE_CONTENT_CELL 16     /* grid of flat rectangles, in picture coordinates */

struct se_content {
	bool uniform;    /* one colour */
	uint32_t colour; /* 0x00RRGGBB of the top left pixel: as a fill's value */
	int colours;     /* distinct ones: 1..SE_CONTENT_COLOURS, or SE_CONTENT_COLOURS + 1 for more */
	/* Steps from a pixel to its right neighbour, per 1000 of them, by the largest difference of a channel. What is missing to
	 * 1000 is in between. Text: many still, few soft. Photographs and horizontal gradients: few still, many soft. */
	int still; /* 0 */
	int soft;  /* 1..SE_CONTENT_SOFT */
	int hard;  /* SE_CONTENT_HARD and more */
};

#define SE_CONTENT_SOFT 15
#define SE_CONTENT_HARD 64

/* Looks at `rect` (not empty) of the BGRX image whose top left is `pixels`. A uniform rectangle costs a comparison. */
void se_content_examine(const uint8_t *pixels, size_t stride, struct se_rect rect, struct se_content *out);

struct se_flat {
	struct se_rect rect;
	uint32_t colour; /* 0x00RRGGBB */
};

/* Finds disjoint one-coloured rectangles of at least `least` pixels inside `rect`, whose edges lie on multiples of
 * SE_CONTENT_CELL or on the edge of `rect`. Returns how many are in `out`, at most `capacity`: the largest ones. `rect` is
 * at most 16384 pixels wide. */
int se_content_flat_rects(const uint8_t *pixels, size_t stride, struct se_rect rect, int64_t least, struct se_flat *out,
                          int capacity);

/* Switches the SIMD kernels off for comparison in tests; not for use while engines run. */
void se_content_use_portable(bool portable);

#endif
