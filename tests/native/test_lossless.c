/* test_lossless.c - the lossless batch, decoded by a reader written from docs/protocol.md section 4. */
#include <string.h>

#include "check.h"
#include "error.h"
#include "lossless.h"
#include "picture.h"
#include "pixel.h"
#include "predictor.h"
#include "rowmask.h"
#include "viewer_lossless.h"

#define MOST_RECTS 40

/* Decodes a batch and compares it with the picture; returns its literals. */
static int check_batch(const struct se_buffer *batch, const struct se_picture *picture, const struct se_rect *rects, size_t count)
{
	struct lossless_reader reader;

	lossless_open(&reader, batch->data, batch->size, rects, count);
	CHECK((batch->data[0] & 1) == 0 || reader.size + 3 * reader.plane_size >= SE_LOSSLESS_DEFLATE_FROM, "deflated %zu bytes",
	      reader.size);
	for (size_t i = 0; i < count; i++) {
		struct se_rect r = rects[i];
		uint8_t *out = malloc((size_t)se_rect_area(r) * 4);

		CHECK(out, "memory");
		lossless_read(&reader, out, (size_t)r.w * 4, r.w, r.h);
		for (int y = 0; y < r.h; y++)
			for (int x = 0; x < r.w; x++)
				CHECK(se_pixels_equal(out + ((size_t)y * (size_t)r.w + (size_t)x) * 4, se_picture_at(picture, r.x + x, r.y + y)),
				      "rectangle %zu at %d,%d", i, x, y);
		free(out);
	}
	lossless_close(&reader);
	return reader.literals;
}

/* ---- pictures ---- */

/* Colours drawn from `colours` many, in runs and copies from above: 0 noise, 1 like text, 2 flat. */
static void paint(struct se_picture *picture, uint32_t *seed, int colours, int kind)
{
	for (int y = 0; y < picture->height; y++)
		for (int x = 0; x < picture->width; x++) {
			uint8_t *p = se_picture_at(picture, x, y);
			int chance = draw_between(seed, 0, 99);

			if (x > 0 && kind > 0 && chance < 60)
				memcpy(p, p - 4, 3);
			else if (y > 0 && kind > 0 && chance < 92)
				memcpy(p, p - picture->stride, 3);
			else if (kind < 2 || (x == 0 && y == 0)) {
				uint32_t colour = (draw(seed) % (uint32_t)colours) * 0x9e3779b1u >> 8;

				memcpy(p, &colour, 3);
			} else
				memcpy(p, y > 0 ? p - picture->stride : p - 4, 3);
			p[3] = (uint8_t)draw(seed); /* X does not count */
		}
}

static struct se_rect draw_rect(uint32_t *seed, const struct se_picture *picture)
{
	struct se_rect r = { draw_between(seed, 0, picture->width - 1), draw_between(seed, 0, picture->height - 1), 0, 0 };

	r.w = draw_between(seed, 1, picture->width - r.x);
	r.h = draw_between(seed, 1, picture->height - r.y);
	if (draw_between(seed, 0, 2) == 0)
		r.w = r.w < 20 ? r.w : 20;
	return r;
}

/* Like a photograph: light that changes slowly, and grain. */
static void paint_photo(struct se_picture *picture, uint32_t *seed, int grain)
{
	for (int y = 0; y < picture->height; y++)
		for (int x = 0; x < picture->width; x++) {
			uint8_t *p = se_picture_at(picture, x, y);
			int light = 40 + x * 2 / 3 + y / 2 + draw_between(seed, 0, grain);

			for (int i = 0; i < 3; i++)
				p[i] = (uint8_t)(light + 20 * i + draw_between(seed, 0, grain / 2));
			p[3] = (uint8_t)draw(seed);
		}
}

/* Random batches of random rectangles, whole and in two parts, some of them predicted if `photos`. */
static void check_random(struct se_lossless *self, uint32_t *seed, bool photos)
{
	static const int palettes[] = { 1, 2, 17, 255, 256, 300, 5000, 1 << 24 };
	struct se_picture picture = { 0 };
	struct se_buffer out = { 0 };

	for (int round = 0; round < 120; round++) {
		struct se_rect rects[MOST_RECTS];
		size_t count = (size_t)draw_between(seed, 1, round % 8 == 0 ? MOST_RECTS : 4), cut;
		int literals, predicted = 0;

		CHECK(se_picture_resize(&picture, draw_between(seed, 1, 300), draw_between(seed, 1, 200)) == SE_OK, "memory");
		if (photos && round % 2)
			paint_photo(&picture, seed, draw_between(seed, 0, 9));
		else
			paint(&picture, seed, palettes[round % 8], round % 3);
		se_lossless_begin(self);
		for (size_t i = 0; i < count; i++) {
			rects[i] = draw_rect(seed, &picture);
			if (photos && draw(seed) % 2) {
				predicted++;
				CHECK(se_lossless_add_photo(self, picture.pixels, picture.stride, rects[i]) == 0, "%s", se_error_message());
			} else {
				CHECK(se_lossless_add(self, picture.pixels, picture.stride, rects[i], 1000) == 0, "%s", se_error_message());
			}
		}
		CHECK(se_lossless_count(self) == count, "count");
		cut = (size_t)draw_between(seed, 1, (int)count);
		CHECK(se_lossless_finish(self, 0, cut, &out) == SE_OK, "%s", se_error_message());
		CHECK(out.size <= se_lossless_bound(self, 0, cut), "%zu of %zu", out.size, se_lossless_bound(self, 0, cut));
		literals = check_batch(&out, &picture, rects, cut);
		CHECK(predicted || out.data[0] <= 1, "flags %d without a photograph", out.data[0]);
		if (cut == 1 && out.data[0] <= 1) {
			int64_t area = se_rect_area(rects[0]);

			CHECK(se_lossless_literals(picture.pixels, picture.stride, rects[0], 1000) == (literals * 1000 + area - 1) / area,
			      "counting finds other literals");
		}
		if (cut < count) {
			CHECK(se_lossless_finish(self, cut, count - cut, &out) == SE_OK, "%s", se_error_message());
			check_batch(&out, &picture, rects + cut, count - cut);
		}
	}
	se_buffer_free(&out);
	se_picture_free(&picture);
}

/* A refused rectangle leaves no trace, and counting and pass 1 agree on what is refused. */
static void check_refusal(struct se_lossless *self, uint32_t *seed)
{
	struct se_picture picture = { 0 };
	struct se_rect rects[3] = { { 0, 0, 200, 100 }, { 0, 0, 400, 300 }, { 7, 5, 310, 200 } };
	struct se_buffer out = { 0 }, again = { 0 };

	CHECK(se_picture_resize(&picture, 400, 300) == SE_OK, "memory");
	paint(&picture, seed, 900, 1);
	se_lossless_begin(self);
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, rects[0], 300) == 0, "text is refused");
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, rects[2], 300) == 0, "text is refused");
	CHECK(se_lossless_finish(self, 0, 2, &out) == SE_OK, "%s", se_error_message());
	se_lossless_begin(self); /* its colours would leave no room for the text's */
	{
		struct se_picture photo = { 0 };

		CHECK(se_picture_resize(&photo, 400, 300) == SE_OK, "memory");
		paint(&photo, seed, 1 << 24, 0);
		CHECK(se_lossless_add(self, photo.pixels, photo.stride, rects[1], 300) == 1, "noise is taken");
		CHECK(se_lossless_literals(photo.pixels, photo.stride, rects[1], 300) > 300, "noise is no photograph");
		CHECK(se_lossless_literals(photo.pixels, photo.stride, rects[1], 1000) > 900, "noise has few literals");
		se_picture_free(&photo);
	}
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, rects[0], 300) == 0, "text is refused");
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, rects[2], 300) == 0, "text is refused");
	CHECK(se_lossless_finish(self, 0, 2, &again) == SE_OK && again.size == out.size && memcmp(again.data, out.data, out.size) == 0,
	      "a refused rectangle has left something");
	CHECK(se_lossless_finish(self, 1, 2, &out) == SE_E_INVALID && se_lossless_finish(self, 0, 0, &out) == SE_E_INVALID &&
	              se_lossless_finish(self, SIZE_MAX, 2, &out) == SE_E_INVALID,
	      "a range that is none");
	CHECK(strstr(se_error_message(), "2 lossless rectangles"), "%s", se_error_message());
	CHECK(se_lossless_bound(self, 1, 2) == 0, "bound");
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, (struct se_rect){ 4, 4, 9, 0 }, 300) == SE_E_INVALID &&
	              strstr(se_error_message(), "9x0") && se_lossless_count(self) == 2,
	      "an empty rectangle: %s", se_error_message());
	CHECK(se_lossless_literals(picture.pixels, picture.stride, (struct se_rect){ 4, 4, 0, 9 }, 300) == 0, "of an empty one");
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, rects[0], -1) == 1, "nothing is allowed");
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, rects[0], 2000000000) == 0, "everything is allowed");
	for (int round = 0; round < 200; round++) {
		struct se_rect r = draw_rect(seed, &picture);
		int most = draw_between(seed, 0, 400), verdict = se_lossless_literals(picture.pixels, picture.stride, r, most);

		se_lossless_begin(self);
		CHECK((se_lossless_add(self, picture.pixels, picture.stride, r, most) == 1) == (verdict > most), "%d of %d", verdict, most);
	}
	se_buffer_free(&out);
	se_buffer_free(&again);
	se_picture_free(&picture);
}

/* Noise beyond the protocol's bound is refused with a reason, up to 65536 pixels it never is. */
static void check_noise(struct se_lossless *self, uint32_t *seed)
{
	struct se_picture picture = { 0 };
	struct se_rect all = { 0, 0, 512, 512 }, fits = { 0, 0, 256, 256 };
	struct se_buffer out = { 0 };

	CHECK(se_picture_resize(&picture, 512, 512) == SE_OK, "memory");
	paint(&picture, seed, 1 << 24, 0);
	se_lossless_begin(self);
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, all, 1000) == 0, "%s", se_error_message());
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, fits, 1000) == 0, "%s", se_error_message());
	CHECK(se_lossless_finish(self, 0, 1, &out) == SE_E_INVALID && strstr(se_error_message(), "fewer"), "%s",
	      se_error_message());
	CHECK(se_lossless_finish(self, 1, 1, &out) == SE_OK, "%s", se_error_message());
	check_batch(&out, &picture, &fits, 1);
	/* Neither is it where the colours before have left no room in the table. */
	fits = (struct se_rect){ 256, 256, 256, 256 };
	se_lossless_begin(self);
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, (struct se_rect){ 0, 0, 512, 200 }, 1000) == 0 &&
	          se_lossless_add(self, picture.pixels, picture.stride, fits, 1000) == 0, "%s", se_error_message());
	CHECK(se_lossless_finish(self, 1, 1, &out) == SE_OK, "%s", se_error_message());
	CHECK(out.data[1] == 255, "%d colours", out.data[1]);
	check_batch(&out, &picture, &fits, 1);
	se_buffer_free(&out);
	se_picture_free(&picture);
}

static int foretell(int a, int b, int c)
{
	int low = a < b ? a : b, high = a < b ? b : a;

	return c >= high ? low : c <= low ? high : a + b - c;
}

/* Against the protocol's words, pixel by pixel, at widths around those of a strip; nothing else is written. */
static void check_residuals(uint32_t *seed)
{
	static const int widths[] = { 1, 2, 15, 16, 17, 255, 256, 257, 300, 511, 512, 513, 700 };
	struct se_picture picture = { 0 };

	CHECK(se_picture_resize(&picture, 710, 9) == SE_OK, "memory");
	paint(&picture, seed, 1 << 24, 0);
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		struct se_rect r = { draw_between(seed, 0, 10), draw_between(seed, 0, 3), widths[i], draw_between(seed, 1, 6) };
		size_t area = (size_t)se_rect_area(r);
		uint8_t *planes = malloc(3 * area + 2);

		CHECK(planes, "memory");
		planes[0] = planes[3 * area + 1] = 0xa5;
		se_predictor_residuals(picture.pixels, picture.stride, r, planes + 1, planes + 1 + area, planes + 1 + 2 * area);
		CHECK(planes[0] == 0xa5 && planes[3 * area + 1] == 0xa5, "written outside");
		for (int plane = 0; plane < 3; plane++)
			for (int y = 0; y < r.h; y++)
				for (int x = 0; x < r.w; x++) {
					int values[2][2] = { { 0, 0 }, { 0, 0 } }; /* the row above and this, left and here */

					for (int dy = 0; dy < 2; dy++)
						for (int dx = 0; dx < 2; dx++) {
							const uint8_t *p;

							if ((!dx && x == 0) || (!dy && y == 0))
								continue;
							p = se_picture_at(&picture, r.x + x - !dx, r.y + y - !dy);
							values[dy][dx] = (plane == 0 ? p[1] : plane == 1 ? p[2] - p[1] : p[0] - p[1]) & 255;
						}
					CHECK(planes[1 + (size_t)plane * area + (size_t)(y * r.w + x)] ==
					              ((values[1][1] - foretell(values[1][0], values[0][1], values[0][0])) & 255),
					      "plane %d of %d pixels at %d,%d", plane, r.w, x, y);
				}
		free(planes);
	}
	se_picture_free(&picture);
}

/* A photograph is smaller predicted, and noise of any size stays in the protocol's bound. */
static void check_photos(struct se_lossless *self, uint32_t *seed)
{
	struct se_picture picture = { 0 };
	struct se_rect all = { 0, 0, 300, 400 };
	struct se_buffer ops = { 0 }, predicted = { 0 };

	CHECK(se_picture_resize(&picture, 300, 400) == SE_OK, "memory");
	paint_photo(&picture, seed, 6);
	se_lossless_begin(self);
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, all, 1000) == 0 &&
	              se_lossless_add_photo(self, picture.pixels, picture.stride, all) == 0,
	      "%s", se_error_message());
	CHECK(se_lossless_finish(self, 0, 1, &ops) == SE_OK && se_lossless_finish(self, 1, 1, &predicted) == SE_OK, "%s",
	      se_error_message());
	CHECK(ops.data[0] == 1 && predicted.data[0] == 3, "flags %d and %d", ops.data[0], predicted.data[0]);
	CHECK(predicted.size * 4 < ops.size * 3, "%zu bytes predicted, %zu not", predicted.size, ops.size);
	check_batch(&predicted, &picture, &all, 1);
	CHECK(se_lossless_bound(self, 1, 1) == 2 + 3 * 255 + 4 + 1 + 3 * 300 * 400, "bound");
	paint(&picture, seed, 1 << 24, 0);
	se_lossless_begin(self);
	CHECK(se_lossless_add_photo(self, picture.pixels, picture.stride, all) == 0 &&
	              se_lossless_finish(self, 0, 1, &predicted) == SE_OK,
	      "%s", se_error_message());
	CHECK(predicted.data[0] == 2 && predicted.size == 6 + 1 + 3 * 300 * 400, "noise of %zu bytes", predicted.size);
	check_batch(&predicted, &picture, &all, 1);
	CHECK(se_lossless_add_photo(self, picture.pixels, picture.stride, (struct se_rect){ 1, 1, 0, 5 }) == SE_E_INVALID &&
	              strstr(se_error_message(), "0x5") && se_lossless_count(self) == 1,
	      "an empty photograph: %s", se_error_message());
	se_buffer_free(&ops);
	se_buffer_free(&predicted);
	se_picture_free(&picture);
}

/* What the ops look like: a flat screen is a literal and long repeats; equal rows are one run from above. */
static void check_bytes(struct se_lossless *self)
{
	static const uint8_t flat[] = { 0, 1, 0x33, 0x22, 0x11, 6, 0, 0, 0, 0, 0, 0xff, 0xff, 0xe0, 0xff };
	static const uint8_t rows[] = { 0, 2, 0, 0, 0, 0x33, 0x22, 0x11, 4, 0, 0, 0, 1, 0, 1, 0x83 };
	struct se_picture picture = { 0 };
	struct se_buffer out = { 0 };
	struct se_rect all = { 0, 0, 127, 66 };

	CHECK(se_picture_resize(&picture, 127, 66) == SE_OK, "memory"); /* 8382 pixels: 1 + 8192 + 189 */
	for (int y = 0; y < 66; y++)
		for (int x = 0; x < 127; x++)
			memcpy(se_picture_at(&picture, x, y), (const uint8_t[]){ 0x11, 0x22, 0x33, (uint8_t)x }, 4);
	all.h = 66;
	se_lossless_begin(self);
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, all, 300) == 0 && se_lossless_finish(self, 0, 1, &out) == SE_OK,
	      "%s", se_error_message());
	check_batch(&out, &picture, &all, 1);
	CHECK(out.size == sizeof flat && memcmp(out.data, flat, 10) == 0 && out.data[11] == flat[11], "%zu bytes", out.size);
	for (int y = 0; y < 3; y++)
		memset(se_picture_at(&picture, 0, y), 0, 4);
	all = (struct se_rect){ 0, 0, 2, 3 };
	se_lossless_begin(self);
	CHECK(se_lossless_add(self, picture.pixels, picture.stride, all, 1000) == 0 && se_lossless_finish(self, 0, 1, &out) == SE_OK,
	      "%s", se_error_message());
	CHECK(out.size == sizeof rows && memcmp(out.data, rows, sizeof rows) == 0, "%zu bytes", out.size);
	se_buffer_free(&out);
	se_picture_free(&picture);
}

/* SIMD and portable code give the same masks, for all widths and offsets. */
static void check_masks(uint32_t *seed)
{
	uint8_t a[203 * 4], b[203 * 4];
	uint64_t fast[4], plain[4];

	for (int round = 0; round < 3000; round++) {
		int count = draw_between(seed, 1, 200), from = draw_between(seed, 0, 2);
		bool first = draw(seed) % 2;

		for (size_t i = 0; i < sizeof a; i++) {
			a[i] = (uint8_t)(draw(seed) % 2);
			b[i] = i % 4 == 3 ? (uint8_t)draw(seed) : (uint8_t)(a[i] ^ (draw(seed) % 8 == 0));
		}
		se_rowmask_equal(a + from * 4, b + from * 4, count, fast);
		se_pixel_use_portable(true);
		se_rowmask_equal(a + from * 4, b + from * 4, count, plain);
		se_pixel_use_portable(false);
		CHECK(memcmp(fast, plain, (size_t)(count + 63) / 64 * 8) == 0, "SIMD and portable code differ");
		for (int i = 0; i < (count + 63) / 64 * 64; i++)
			CHECK((fast[i / 64] >> (i % 64) & 1) == (i < count && memcmp(a + (from + i) * 4, b + (from + i) * 4, 3) == 0), "bit %d", i);
		se_rowmask_repeats(a + from * 4, count, first, fast);
		for (int i = 0; i < (count + 63) / 64 * 64; i++)
			CHECK((fast[i / 64] >> (i % 64) & 1) ==
			              (i == 0 ? first : i < count && memcmp(a + (from + i) * 4, a + (from + i - 1) * 4, 3) == 0),
			      "repeat %d of %d", i, count);
		for (int i = 0; i < count; i++) {
			int run = 0;

			while (i + run < count && (fast[(i + run) / 64] >> ((i + run) % 64) & 1))
				run++;
			CHECK(se_rowmask_run(fast, i, count) == run, "run at %d", i);
		}
	}
}

/* Noise in pieces, as a frame's batch is finished: the first has more colours than are told apart, the others fit all the same. */
static void check_pieces_of_noise(struct se_lossless *self, uint32_t *seed)
{
	struct se_picture picture = { 0 };
	struct se_rect rects[4];
	struct se_buffer out = { 0 };

	CHECK(se_picture_resize(&picture, 400, 300) == SE_OK, "memory");
	paint(&picture, seed, 1 << 24, 0);
	se_lossless_begin(self);
	for (int i = 0; i < 4; i++) {
		rects[i] = (struct se_rect){ 0, i * 75, 400, 75 };
		CHECK(se_lossless_add(self, picture.pixels, picture.stride, rects[i], 1000) == 0, "%s", se_error_message());
	}
	for (size_t i = 0; i < 4; i++) {
		CHECK(se_lossless_finish(self, i, 1, &out) == SE_OK, "piece %zu: %s", i, se_error_message());
		check_batch(&out, &picture, &rects[i], 1);
	}
	/* Again, and another range: what the pieces have left behind does no harm. */
	CHECK(se_lossless_finish(self, 0, 2, &out) == SE_OK, "%s", se_error_message());
	check_batch(&out, &picture, rects, 2);
	se_buffer_free(&out);
	se_picture_free(&picture);
}

void test_lossless(void)
{
	struct se_lossless *self = se_lossless_new();
	uint32_t seed = 21;

	CHECK(self, "%s", se_error_message());
	check_masks(&seed);
	check_bytes(self);
	check_residuals(&seed);
	check_photos(self, &seed);
	check_random(self, &seed, false);
	check_random(self, &seed, true);
	se_pixel_use_portable(true);
	check_random(self, &seed, false);
	se_pixel_use_portable(false);
	check_refusal(self, &seed);
	check_noise(self, &seed);
	check_pieces_of_noise(self, &seed);
	se_lossless_free(self);
	se_lossless_free(NULL);
}
