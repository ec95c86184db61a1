/* predicted.c - the inverse of the median edge predictor.
 *
 * A pixel needs the one to its left, so a row is one chain of dependent steps; its three planes go side by side, in WebAssembly as
 * the bytes of one vector. A row stays in planes until the one below has been predicted from it.
 */
#include "predicted.h"

#ifdef __wasm_simd128__
#include <wasm_simd128.h>
#endif

/* Bytes of a pixel: while it waits and when it is done. */
enum { RED, GREEN, BLUE, ALPHA };

static void gather(const uint8_t *plane, size_t distance, uint8_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		out[i * 4 + RED] = plane[distance + i];
		out[i * 4 + GREEN] = plane[i];
		out[i * 4 + BLUE] = plane[2 * distance + i];
		out[i * 4 + ALPHA] = 0;
	}
}

#ifdef __wasm_simd128__
/* Adds to the residuals in `row` what the pixels of it and of the row above foretell. */
static void add_row(uint8_t *row, const uint8_t *above, size_t count)
{
	v128_t a = wasm_i32x4_splat(0), c = a;

	for (size_t i = 0; i < count; i++, row += 4, above += 4) {
		v128_t b = wasm_v128_load32_zero(above), residual = wasm_v128_load32_zero(row);
		v128_t sum = wasm_i8x16_add(residual, b);

		c = wasm_u8x16_min(wasm_u8x16_max(c, wasm_u8x16_min(a, b)), wasm_u8x16_max(a, b));
		a = wasm_i8x16_sub(wasm_i8x16_add(sum, a), c);
		wasm_v128_store32_lane(row, a, 0);
		c = b;
	}
}
#else
static void add_row(uint8_t *row, const uint8_t *above, size_t count)
{
	uint8_t left[3] = { 0, 0, 0 }, corner[3] = { 0, 0, 0 };

	for (size_t i = 0; i < count; i++, row += 4, above += 4)
		for (int k = RED; k <= BLUE; k++) {
			uint8_t a = left[k], b = above[k], c = corner[k], low = a < b ? a : b, high = a < b ? b : a;

			c = c < low ? low : c > high ? high : c;
			left[k] = row[k] = (uint8_t)(row[k] + a + b - c);
			corner[k] = b;
		}
}
#endif

/* The first row has none above: the pixel to the left is all it is predicted from. */
static void add_first_row(uint8_t *row, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (int k = RED; k <= BLUE; k++)
			row[i * 4 + (size_t)k] = (uint8_t)(row[i * 4 + (size_t)k] + row[(i - 1) * 4 + (size_t)k]);
}

/* From differences to colours. */
static void complete(uint8_t *row, size_t count)
{
	for (size_t i = 0; i < count; i++, row += 4) {
		row[RED] = (uint8_t)(row[RED] + row[GREEN]);
		row[BLUE] = (uint8_t)(row[BLUE] + row[GREEN]);
		row[ALPHA] = 255;
	}
}

void se_predicted_decode(const uint8_t *plane, size_t distance, uint32_t *pixels, size_t width, size_t height)
{
	uint8_t *row = (uint8_t *)pixels, *above = NULL;

	for (size_t y = 0; width > 0 && y < height; y++, plane += width) {
		gather(plane, distance, row, width);
		if (above) {
			add_row(row, above, width);
			complete(above, width);
		} else {
			add_first_row(row, width);
		}
		above = row;
		row += width * 4;
	}
	if (above)
		complete(above, width);
}
