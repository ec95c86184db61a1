/* predicted.c - the inverse of the median edge predictor.
 *
 * A pixel needs the one to its left, so a row is one chain of dependent steps; its three planes go side by side, in WebAssembly as
 * the bytes of one vector. A row stays in planes until the one below has been predicted from it.
 */
#include "predicted.h"

#ifdef __wasm_simd128__
#include <wasm_simd128.h>

#define INTERLEAVE_LOW(a, b) wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b) wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define INTERLEAVE_PAIRS_LOW(a, b) wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_PAIRS_HIGH(a, b) wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#endif

/* Bytes of a pixel: while it waits and when it is done. */
enum { RED, GREEN, BLUE, ALPHA };

/* A pixel waits as its residuals. */
static void gather(const uint8_t *plane, size_t distance, uint8_t *out, size_t count)
{
	size_t i = 0;

#ifdef __wasm_simd128__
	for (; i + 16 <= count; i += 16) {
		v128_t green = wasm_v128_load(plane + i), red = wasm_v128_load(plane + distance + i);
		v128_t blue = wasm_v128_load(plane + 2 * distance + i), zero = wasm_i32x4_splat(0);
		v128_t red_green[2] = { INTERLEAVE_LOW(red, green), INTERLEAVE_HIGH(red, green) };
		v128_t blue_zero[2] = { INTERLEAVE_LOW(blue, zero), INTERLEAVE_HIGH(blue, zero) };

		for (int half = 0; half < 2; half++) {
			wasm_v128_store(out + i * 4 + half * 32, INTERLEAVE_PAIRS_LOW(red_green[half], blue_zero[half]));
			wasm_v128_store(out + i * 4 + half * 32 + 16, INTERLEAVE_PAIRS_HIGH(red_green[half], blue_zero[half]));
		}
	}
#endif
	for (; i < count; i++) {
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
	size_t i = 0;

#ifdef __wasm_simd128__
	for (; i + 4 <= count; i += 4, row += 16) {
		v128_t pixels = wasm_v128_load(row), zero = wasm_i32x4_splat(0);
		v128_t green = wasm_i8x16_shuffle(pixels, zero, 1, 16, 1, 16, 5, 16, 5, 16, 9, 16, 9, 16, 13, 16, 13, 16);

		wasm_v128_store(row, wasm_v128_or(wasm_i8x16_add(pixels, green), wasm_i32x4_splat((int32_t)0xff000000)));
	}
#endif
	for (; i < count; i++, row += 4) {
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
