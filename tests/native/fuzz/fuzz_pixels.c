/* fuzz_pixels.c - the kernels that read the screen's pixels, each against what it promises.
 *
 * Lossless batches decode to the same pixels; moves are exact; a comparison finds the tight rectangle; SIMD and portable code
 * agree. Pictures end with their block of memory, so that a kernel that reads on is seen.
 */
#include "../viewer_lossless.h"
#include "colour.h"
#include "damage.h"
#include "fuzz.h"
#include "lossless.h"
#include "motion.h"
#include "pixel.h"
#include "rowmask.h"

#define SIDE 160

/* BGRX without gaps between rows, nor behind the last. */
struct image {
	uint8_t *pixels;
	size_t stride;
	int width, height;
};

static void image_open(struct image *self, int width, int height)
{
	*self = (struct image){ malloc((size_t)width * (size_t)height * 4), (size_t)width * 4, width, height };
	CHECK(self->pixels, "memory");
}

static void image_fill(struct image *self, struct fuzz_input *input, struct se_rect r)
{
	int kind = fuzz_byte(input) % 4, period = fuzz_between(input, 1, 20);
	uint32_t state = (uint32_t)fuzz_int(input) | 1, a = (uint32_t)fuzz_int(input), b = (uint32_t)fuzz_int(input);

	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++) {
			uint32_t colour = kind == 0 ? a : kind == 1 ? (draw(&state) % 5 ? a : b) : kind == 2 ? draw(&state) : 0;

			if (kind == 3)
				colour = (x / period + y) % 2 ? a : (uint32_t)fuzz_byte(input) * 0x010203u;
			memcpy(self->pixels + (size_t)y * self->stride + (size_t)x * 4, &colour, 4);
		}
}

static struct se_rect read_rect(struct fuzz_input *input, int width, int height)
{
	struct se_rect rect = { 0, 0, 0, 0 };

	rect.x = fuzz_between(input, 0, width - 1);
	rect.y = fuzz_between(input, 0, height - 1);
	rect.w = fuzz_between(input, 1, width - rect.x);
	rect.h = fuzz_between(input, 1, height - rect.y);
	return rect;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, 3) == 0;
}

static void check_lossless(struct fuzz_input *input, const struct image *image)
{
	static struct se_lossless *coder;
	struct se_rect rects[6];
	size_t count = (size_t)fuzz_between(input, 1, 6), first, number;
	struct se_buffer out = { 0 };
	struct lossless_reader reader;

	if (!coder)
		coder = se_lossless_new();
	CHECK(coder, "memory");
	se_lossless_begin(coder);
	for (size_t i = 0; i < count; i++) {
		rects[i] = read_rect(input, image->width, image->height);
		CHECK((fuzz_between(input, 0, 2) ? se_lossless_add(coder, image->pixels, image->stride, rects[i], 1000)
		                                 : se_lossless_add_photo(coder, image->pixels, image->stride, rects[i])) == 0,
		      "%s", se_error_message());
	}
	for (int pass = 0; pass < 2; pass++) {
		first = pass ? (size_t)fuzz_between(input, 0, (int)count - 1) : 0;
		number = pass ? (size_t)fuzz_between(input, 1, (int)(count - first)) : count;
		CHECK(se_lossless_finish(coder, first, number, &out) == SE_OK, "%s", se_error_message());
		CHECK(out.size <= se_lossless_bound(coder, first, number), "%zu bytes", out.size);
		lossless_open(&reader, out.data, out.size, rects + first, number);
		for (size_t i = first; i < first + number; i++) {
			struct image seen;

			image_open(&seen, rects[i].w, rects[i].h);
			lossless_read(&reader, seen.pixels, seen.stride, rects[i].w, rects[i].h);
			for (int y = 0; y < rects[i].h; y++)
				for (int x = 0; x < rects[i].w; x++)
					CHECK(same(seen.pixels + (size_t)y * seen.stride + (size_t)x * 4,
					           image->pixels + (size_t)(rects[i].y + y) * image->stride + (size_t)(rects[i].x + x) * 4),
					      "another pixel");
			free(seen.pixels);
		}
		lossless_close(&reader);
	}
	se_buffer_free(&out);
}

static void load(struct se_picture *picture, const struct image *image)
{
	CHECK(se_picture_resize(picture, image->width, image->height) == SE_OK, "memory");
	se_picture_copy(picture, image->pixels, image->stride, se_picture_bounds(picture));
}

static void check_damage(struct fuzz_input *input, const struct se_picture *before, const struct image *after)
{
	struct se_rect area = read_rect(input, after->width, after->height), expected = { 0, 0, 0, 0 };
	struct se_rect found = se_damage_compare(before, after->pixels, after->stride, area);

	for (int y = area.y; y < area.y + area.h; y++)
		for (int x = area.x; x < area.x + area.w; x++)
			if (!same(se_picture_at(before, x, y), after->pixels + (size_t)y * after->stride + (size_t)x * 4))
				expected = se_rect_union(expected, (struct se_rect){ x, y, 1, 1 });
	CHECK(se_rect_empty(expected) ? se_rect_empty(found)
	                              : found.x == expected.x && found.y == expected.y && found.w == expected.w && found.h == expected.h,
	      "%d,%d %dx%d is not %d,%d %dx%d", found.x, found.y, found.w, found.h, expected.x, expected.y, expected.w, expected.h);
}

static void check_motion(struct fuzz_input *input, struct se_picture *before, const struct image *after)
{
	static struct se_motion *finder;
	struct se_rect area = se_picture_bounds(before);
	struct se_region barred = { .count = 0 };
	struct se_move moves[SE_MOTION_MAX];
	int count;

	if (!finder)
		finder = se_motion_new();
	CHECK(finder, "memory");
	if (fuzz_byte(input) % 2)
		area = read_rect(input, area.w, area.h);
	for (int i = fuzz_byte(input) % 3; i > 0; i--)
		se_region_add(&barred, read_rect(input, before->width, before->height));
	count = se_motion_find(finder, before, after->pixels, after->stride, area, &barred, moves);
	CHECK(count >= 0 && count <= SE_MOTION_MAX, "%d moves", count);
	for (int i = 0; i < count; i++) {
		struct se_rect to = moves[i].rect, from = se_move_source(moves[i]);

		CHECK(se_rect_area(se_rect_intersect(to, area)) == se_rect_area(to) &&
		              se_rect_area(se_rect_intersect(from, area)) == se_rect_area(from) && (moves[i].dx || moves[i].dy),
		      "a move leaves the area");
		CHECK(!se_region_intersects(&barred, from), "a barred source");
		se_move_apply(moves[i], before);
		for (int y = to.y; y < to.y + to.h; y++)
			for (int x = to.x; x < to.x + to.w; x++)
				CHECK(same(se_picture_at(before, x, y), after->pixels + (size_t)y * after->stride + (size_t)x * 4),
				      "a move is not exact");
	}
}

static void check_colour(const struct image *image)
{
	int count = image->width & ~1;
	enum se_colour colour = image->pixels[0] % SE_COLOURS;
	uint8_t planes[2][6][SIDE];
	const uint8_t *bottom = image->pixels + (image->height > 1 ? image->stride : 0);

	memset(planes, 0, sizeof planes);
	for (int i = 0; i < 2; i++) {
		uint8_t(*p)[SIDE] = planes[i];

		se_pixel_use_portable(i == 1);
		se_colour_row_444(colour, image->pixels, image->width, p[0], p[1], p[2]);
		if (count > 0)
			se_colour_rows_420(colour, image->pixels, bottom, count, p[0], p[3], p[4], p[5]);
	}
	se_pixel_use_portable(false);
	CHECK(memcmp(planes[0], planes[1], sizeof planes[0]) == 0, "colours differ");
}

static void check_masks(const struct image *a, const struct image *b)
{
	uint64_t masks[2][2][SE_ROWMASK_WORDS];
	size_t size = ((size_t)a->width + 63) / 64 * sizeof(uint64_t);

	for (int i = 0; i < 2; i++) {
		se_pixel_use_portable(i == 1);
		se_rowmask_equal(a->pixels, b->pixels, a->width, masks[i][0]);
		se_rowmask_repeats(a->pixels, a->width, true, masks[i][1]);
	}
	se_pixel_use_portable(false);
	CHECK(memcmp(masks[0][0], masks[1][0], size) == 0 && memcmp(masks[0][1], masks[1][1], size) == 0, "masks differ");
	CHECK(se_diff_first(a->pixels, b->pixels, a->width) == se_diff_first_portable(a->pixels, b->pixels, a->width) &&
	              se_diff_last(a->pixels, b->pixels, a->width) == se_diff_last_portable(a->pixels, b->pixels, a->width),
	      "differences differ");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size, 0 };
	int width = fuzz_between(&input, 1, SIDE), height = fuzz_between(&input, 1, SIDE);
	struct se_picture before = { 0 };
	struct image image, after;

	image_open(&image, width, height);
	image_open(&after, width, height);
	image_fill(&image, &input, (struct se_rect){ 0, 0, width, height });
	for (int i = fuzz_byte(&input) % 4; i > 0; i--)
		image_fill(&image, &input, read_rect(&input, width, height));
	memcpy(after.pixels, image.pixels, after.stride * (size_t)height);
	for (int i = fuzz_byte(&input) % 4; i > 0; i--) { /* windows move */
		struct se_rect r = read_rect(&input, width, height);
		int x = fuzz_between(&input, 0, width - r.w), y = fuzz_between(&input, 0, height - r.h);

		for (int row = 0; row < r.h; row++)
			memcpy(after.pixels + (size_t)(y + row) * after.stride + (size_t)x * 4,
			       image.pixels + (size_t)(r.y + row) * image.stride + (size_t)r.x * 4, (size_t)r.w * 4);
	}
	if (fuzz_byte(&input) % 2)
		image_fill(&after, &input, read_rect(&input, width, height));
	load(&before, &image);
	check_lossless(&input, &after);
	check_damage(&input, &before, &after);
	check_colour(&after);
	check_masks(&image, &after);
	check_motion(&input, &before, &after);
	se_picture_free(&before);
	free(image.pixels);
	free(after.pixels);
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *out, size_t capacity)
{
	uint32_t state = number * 977 + 1;
	size_t size = 200 + number * 40;

	if (number >= 16 || size > capacity)
		return 0;
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)draw(&state);
	out[0] = out[1] = (uint8_t)(SIDE - 1 - number * 9); /* large first */
	out[2] = (uint8_t)number;
	return size;
}
