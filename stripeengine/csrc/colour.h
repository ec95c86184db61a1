/* colour.h - BGRX to planar YCbCr: BT.709 or BT.601, limited or full range. Pure functions, any thread.
 *
 * libyuv (as Debian ships it) converts from RGB with BT.601 only; what is tagged BT.709 must be fed with it. Values are
 * the exact formula rounded: within 1 of it, and equal on every processor.
 */
#ifndef SE_COLOUR_H
#define SE_COLOUR_H

#include <stddef.h>
#include <stdint.h>

enum se_colour { SE_COLOUR_709_LIMITED, SE_COLOUR_709_FULL, SE_COLOUR_601_LIMITED, SE_COLOUR_601_FULL, SE_COLOURS };

/* One row of `count` pixels to one row of Y, U and V (4:4:4). */
void se_colour_row_444(enum se_colour colour, const uint8_t *bgrx, int count, uint8_t *y, uint8_t *u, uint8_t *v);

/* Two rows of `count` (even) pixels to two rows of Y and one of U and V: the mean of each 2x2 block (4:2:0). */
void se_colour_rows_420(enum se_colour colour, const uint8_t *top, const uint8_t *bottom, int count, uint8_t *y_top,
                        uint8_t *y_bottom, uint8_t *u, uint8_t *v);

#endif
