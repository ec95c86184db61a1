/* test_content.c - text, interface and gradients against photographs and grain, drawn by arithmetic. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "content.h"
#include "pixel.h"
#include "rowmask.h"

#define SIZE 256
#define SAMPLES 4 /* a way: of a pixel, how much is covered by ink */

typedef void painter(struct se_picture *picture, uint32_t *seed);

static void put(struct se_picture *picture, int x, int y, double r, double g, double b)
{
	uint8_t *p = se_picture_at(picture, x, y);
	double channels[3] = { b, g, r };

	for (int i = 0; i < 3; i++)
		p[i] = (uint8_t)(channels[i] < 0 ? 0 : channels[i] > 255 ? 255 : channels[i]);
	p[3] = (uint8_t)(x * 7 + y); /* X does not count */
}

static double noise(uint32_t *seed, double size) /* about normal: a sum of four */
{
	double sum = 0;

	for (int i = 0; i < 4; i++)
		sum += draw_between(seed, -1000, 1000) / 1000.0;
	return sum * size * 0.866;
}

/* ---- what is text or interface ---- */

/* The share of a pixel, or of a third of it, within `reach` of a line. */
static double coverage(double x, double y, double width, const double line[4], double reach)
{
	double dx = line[2] - line[0], dy = line[3] - line[1], length = dx * dx + dy * dy;
	int inside = 0;

	for (int i = 0; i < SAMPLES * SAMPLES; i++) {
		double px = x + (i % SAMPLES + 0.5) / SAMPLES * width, py = y + (i / SAMPLES + 0.5) / SAMPLES;
		double t = length > 0 ? ((px - line[0]) * dx + (py - line[1]) * dy) / length : 0;

		t = t < 0 ? 0 : t > 1 ? 1 : t;
		inside += hypot(px - line[0] - t * dx, py - line[1] - t * dy) < reach;
	}
	return (double)inside / (SAMPLES * SAMPLES);
}

#define GLYPHS 40
#define CELL_W 7
#define CELL_H 12

/* Characters of three strokes each, in cells as those of a small terminal font: how much ink a pixel's channels get. */
static void design(double font[GLYPHS][CELL_H][CELL_W][3], uint32_t *seed, bool subpixels)
{
	for (int glyph = 0; glyph < GLYPHS; glyph++) {
		double lines[3][4];

		for (int i = 0; i < 12; i++)
			lines[i / 4][i % 4] = draw_between(seed, 5, i % 2 ? 105 : 65) / 10.0;
		for (int at = 0; at < CELL_H * CELL_W * 3; at++) {
			int x = at / 3 % CELL_W, y = at / 3 / CELL_W, channel = subpixels ? at % 3 : 0;
			double *share = &font[glyph][y][x][at % 3];

			*share = 0;
			for (int i = 0; i < 3; i++) {
				double covered = coverage(x + channel / 3.0, y, subpixels ? 1 / 3.0 : 1, lines[i], 0.6);

				*share = covered > *share ? covered : *share;
			}
		}
	}
}

static void write_text(struct se_picture *picture, uint32_t *seed, bool subpixels, int inks, double paper)
{
	static const double colours[4][3] = { { 216, 222, 233 }, { 180, 142, 173 }, { 163, 190, 140 }, { 235, 203, 139 } };
	static double font[GLYPHS][CELL_H][CELL_W][3];

	design(font, seed, subpixels);
	for (int top = 0; top < SIZE; top += CELL_H)
		for (int left = 0; left < SIZE; left += CELL_W) {
			int glyph = draw_between(seed, 0, GLYPHS + 7); /* from GLYPHS on: a blank */
			const double *ink = colours[draw_between(seed, 0, inks - 1)];

			for (int y = top; y < top + CELL_H && y < SIZE; y++)
				for (int x = left; x < left + CELL_W && x < SIZE; x++) {
					static const double blank[3];
					const double *share = glyph < GLYPHS ? font[glyph][y - top][x - left] : blank;

					put(picture, x, y, paper + share[0] * (ink[0] - paper), paper + share[1] * (ink[1] - paper),
					    paper + share[2] * (ink[2] - paper));
				}
		}
}

static void paint_grey_text(struct se_picture *picture, uint32_t *seed)
{
	write_text(picture, seed, false, 1, 30);
}

static void paint_coloured_text(struct se_picture *picture, uint32_t *seed)
{
	write_text(picture, seed, false, 4, 30);
}

static void paint_subpixel_text(struct se_picture *picture, uint32_t *seed)
{
	write_text(picture, seed, true, 1, 30);
}

static void paint_gradient(struct se_picture *picture, uint32_t *seed)
{
	int kind = draw_between(seed, 0, 2);

	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++) {
			double at = kind == 0 ? x : kind == 1 ? y : (x + y) / 2.0;

			put(picture, x, y, 40 + at * 0.5, 60 + at * 0.3, 90 + at * 0.2);
		}
}

/* Disks with soft edges, shaded from top to bottom. */
static void paint_icons(struct se_picture *picture, uint32_t *seed)
{
	(void)seed;
	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++) {
			double ink = 22.5 - hypot(x % 64 - 31.5, y % 64 - 31.5);

			ink = ink < 0 ? 0 : ink > 1 ? 1 : ink;
			put(picture, x, y, 240 - ink * (160 - y % 64), 240 - ink * (60 + y % 64), 240 - ink * 20);
		}
}

/* Nearly all pixels are literals, of two colours. */
static void paint_dither(struct se_picture *picture, uint32_t *seed)
{
	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++)
			put(picture, x, y, (x + y) % 2 ? 255 : 20, draw(seed) % 8 ? 90 : 120, 30);
}

/* ---- what is a photograph ---- */

/* Soft light and shapes, with the grain of a sensor. `tint`: 0 leaves it grey. */
static void expose(struct se_picture *picture, uint32_t *seed, double grain, double tint)
{
	double phases[6];

	for (int i = 0; i < 6; i++)
		phases[i] = draw_between(seed, 0, 628) / 100.0;
	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++) {
			double light = 120 + 30 * sin(x / 37.0 + phases[0]) + 25 * sin(y / 23.0 + phases[1]) +
			               12 * sin(x / 7.0 + y / 11.0 + phases[2]) + 6 * sin(x / 3.0 - y / 4.0 + phases[3]) +
			               (sin(x / 29.0 + phases[4]) * sin(y / 31.0 + phases[5]) > 0.2 ? 25 : 0) + noise(seed, grain);
			double warm = tint * (sin(x / 17.0 + phases[5]) * 12 + noise(seed, grain / 2)), cold = tint * noise(seed, grain / 2);

			put(picture, x, y, light + warm, light, light - warm + cold);
		}
}

static void paint_photo(struct se_picture *picture, uint32_t *seed)
{
	expose(picture, seed, 2.5, 1);
}

static void paint_grey_photo(struct se_picture *picture, uint32_t *seed)
{
	expose(picture, seed, 2.5, 0);
}

static void paint_smooth_photo(struct se_picture *picture, uint32_t *seed)
{
	expose(picture, seed, 0, 1);
}

static void paint_grain(struct se_picture *picture, uint32_t *seed)
{
	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++) {
			double light = 90 + noise(seed, 6);

			put(picture, x, y, light, light, light);
		}
}

static const struct {
	const char *name;
	painter *paint;
	bool is_photo;
} kinds[] = {
	{ "grey text", paint_grey_text, false },         { "coloured text", paint_coloured_text, false },
	{ "subpixel text", paint_subpixel_text, false }, { "gradient", paint_gradient, false },
	{ "icons", paint_icons, false },                 { "dither", paint_dither, false },
	{ "photograph", paint_photo, true },             { "grey photograph", paint_grey_photo, true },
	{ "smooth photograph", paint_smooth_photo, true }, { "film grain", paint_grain, true },
};

static void check_kinds(struct se_picture *picture, uint32_t *seed)
{
	for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
		for (int round = 0; round < 3; round++) {
			kinds[kind].paint(picture, seed);
			for (int block = 0; block < 40; block++) {
				struct se_rect rect = { block % 4 * 64, block / 4 % 4 * 64, 64, 64 };
				struct se_content content;

				if (block >= 16) { /* the box of what has changed may be anywhere */
					rect.w = draw_between(seed, 24, 64);
					rect.h = draw_between(seed, 24, 64);
					rect.x = draw_between(seed, 0, SIZE - rect.w);
					rect.y = draw_between(seed, 0, SIZE - rect.h);
				}
				content = se_content_sample(picture, rect);
				CHECK(se_content_is_photo(content) == kinds[kind].is_photo, "%s at %d,%d %dx%d: %d literals, cost %d",
				      kinds[kind].name, rect.x, rect.y, rect.w, rect.h, content.literals, content.cost);
			}
		}
}

/* A page with a photograph in it: each block for what it shows. */
static void check_page(struct se_picture *picture, uint32_t *seed)
{
	struct se_picture photo = { 0 };

	CHECK(se_picture_resize(&photo, SIZE, SIZE) == SE_OK, "memory");
	paint_coloured_text(picture, seed);
	paint_photo(&photo, seed);
	se_picture_copy(picture, photo.pixels, photo.stride, (struct se_rect){ 64, 128, 128, 64 });
	for (int y = 0; y < SIZE; y += 64)
		for (int x = 0; x < SIZE; x += 64) {
			bool is_photo = y == 128 && (x == 64 || x == 128);

			CHECK(se_content_is_photo(se_content_sample(picture, (struct se_rect){ x, y, 64, 64 })) == is_photo, "%d,%d", x, y);
		}
	se_picture_free(&photo);
}

/* What it counts is what the definition says, at all sizes and with either code. */
static void check_counts(struct se_picture *picture, uint32_t *seed)
{
	for (int round = 0; round < 400; round++) {
		struct se_rect rect = { draw_between(seed, 0, SIZE - 1), draw_between(seed, 0, SIZE - 1), 0, 0 };
		struct se_content fast, plain;
		int literals = 0;

		if (round % 40 == 0)
			kinds[(size_t)round / 40 % (sizeof kinds / sizeof *kinds)].paint(picture, seed);
		rect.w = draw_between(seed, 1, SIZE - rect.x < SE_CONTENT_COLUMNS ? SIZE - rect.x : SE_CONTENT_COLUMNS);
		rect.h = draw_between(seed, 1, SIZE - rect.y < 32 ? SIZE - rect.y : 32);
		fast = se_content_sample(picture, rect);
		se_pixel_use_portable(true);
		plain = se_content_sample(picture, rect);
		se_pixel_use_portable(false);
		CHECK(fast.literals == plain.literals && fast.cost == plain.cost, "SIMD and portable code differ");
		for (int y = rect.y; y < rect.y + rect.h; y++)
			for (int x = rect.x; x < rect.x + rect.w; x++) {
				const uint8_t *p = se_picture_at(picture, x, y);

				literals += !(x > rect.x && se_pixels_equal(p, p - 4)) && !(y > rect.y && se_pixels_equal(p, p - picture->stride));
			}
		CHECK(fast.literals == literals * 1000 / se_rect_area(rect), "%d literals in %dx%d, not %d of 1000", literals, rect.w, rect.h,
		      fast.literals);
	}
}

static void check_edges(struct se_picture *picture, uint32_t *seed)
{
	struct se_content content = se_content_sample(picture, (struct se_rect){ 5, 5, 0, 9 });
	struct se_content one = se_content_sample(picture, (struct se_rect){ SIZE - 1, SIZE - 1, 1, 1 });

	CHECK(content.literals == 0 && content.cost == 0 && !se_content_is_photo(content), "an empty rectangle");
	CHECK(one.literals == 1000, "one pixel is a literal, not %d of 1000", one.literals);
	paint_photo(picture, seed);
	CHECK(se_content_is_photo(se_content_sample(picture, (struct se_rect){ 0, 0, SIZE, SIZE })), "a large rectangle");
	CHECK(se_content_is_photo(se_content_sample(picture, (struct se_rect){ SIZE - 64, SIZE - 64, 64, 64 })), "the last block");
	for (int y = 0; y < SIZE; y++)
		memset(se_picture_at(picture, 0, y), 0x55, SIZE * 4);
	content = se_content_sample(picture, (struct se_rect){ 64, 64, 64, 64 });
	CHECK(content.literals == 16 * 1000 / 1024 || content.literals == 0, "a flat block has %d literals", content.literals);
	CHECK(content.cost < 30, "a flat block costs %d", content.cost);
}

void test_content(void)
{
	struct se_picture picture = { 0 };
	uint32_t seed = 11;

	CHECK(se_picture_resize(&picture, SIZE, SIZE) == SE_OK, "memory");
	check_kinds(&picture, &seed);
	check_page(&picture, &seed);
	check_counts(&picture, &seed);
	check_edges(&picture, &seed);
	se_picture_free(&picture);
}
