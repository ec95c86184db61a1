/* test_content.c - facts about rectangles against a plain count of them, and flat rectangles against every pixel. */
#include <string.h>

#include "check.h"
#include "content.h"
#include "picture.h"
#include "rowmask.h"

static struct se_rect draw_rect(uint32_t *seed, const struct se_picture *picture)
{
	struct se_rect r = { draw_between(seed, 0, picture->width - 1), draw_between(seed, 0, picture->height - 1), 0, 0 };

	r.w = draw_between(seed, 1, picture->width - r.x);
	r.h = draw_between(seed, 1, picture->height - r.y);
	return r;
}

/* Patches of one colour, of few, or of many, with steps of all sizes. */
static void paint(struct se_picture *picture, uint32_t *seed, int patches)
{
	for (int i = 0; i < patches; i++) {
		struct se_rect r = draw_rect(seed, picture);
		int kind = draw_between(seed, 0, 5), base = draw_between(seed, 0, 255);

		for (int y = r.y; y < r.y + r.h; y++)
			for (int x = r.x; x < r.x + r.w; x++) {
				uint8_t *p = se_picture_at(picture, x, y);

				for (int c = 0; c < 3; c++)
					p[c] = (uint8_t)(kind < 3 ? base : kind == 3 ? base + draw_between(seed, 0, 1) * 16 : draw_between(seed, 0, 255));
				p[3] = (uint8_t)draw(seed);
			}
	}
}

static void check_facts(const struct se_picture *picture, struct se_rect r, uint8_t *seen)
{
	struct se_content got;
	int64_t still = 0, soft = 0, hard = 0, all = (int64_t)(r.w - 1) * r.h;
	int colours = 0;

	memset(seen, 0, 1 << 24);
	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++) {
			const uint8_t *p = se_picture_at(picture, x, y);
			int step = 0;

			colours += !seen[se_pixel_colour(p)];
			seen[se_pixel_colour(p)] = 1;
			for (int c = 0; c < 3 && x + 1 < r.x + r.w; c++)
				step = abs(p[c] - p[c + 4]) > step ? abs(p[c] - p[c + 4]) : step;
			if (x + 1 < r.x + r.w) {
				still += step == 0;
				soft += step > 0 && step <= SE_CONTENT_SOFT;
				hard += step >= SE_CONTENT_HARD;
			}
		}
	se_content_examine(picture->pixels, picture->stride, r, &got);
	CHECK(got.colours == (colours > SE_CONTENT_COLOURS ? SE_CONTENT_COLOURS + 1 : colours), "%d colours, not %d", got.colours,
	      colours);
	CHECK(got.uniform == (colours == 1) && got.colour == se_pixel_colour(se_picture_at(picture, r.x, r.y)), "uniform");
	if (all > 0)
		CHECK(got.still == still * 1000 / all && got.soft == soft * 1000 / all && got.hard == hard * 1000 / all,
		      "steps %d %d %d of %lld", got.still, got.soft, got.hard, (long long)all);
	else
		CHECK(got.still == 1000 && got.soft == 0 && got.hard == 0, "a column has no steps");
}

/* Each is one colour, on the grid, large enough, and none overlaps another. */
static int check_flat(const struct se_picture *picture, struct se_rect r, int64_t least, struct se_flat *flats, int capacity)
{
	int count = se_content_flat_rects(picture->pixels, picture->stride, r, least, flats, capacity);

	CHECK(count >= 0 && count <= capacity, "%d of %d", count, capacity);
	for (int i = 0; i < count; i++) {
		struct se_rect f = flats[i].rect, inside = se_rect_intersect(f, r);

		CHECK(memcmp(&f, &inside, sizeof f) == 0 && se_rect_area(f) >= least, "outside or too small");
		CHECK((f.x == r.x || f.x % 16 == 0) && (f.y == r.y || f.y % 16 == 0), "begins off the grid");
		CHECK((f.x + f.w == r.x + r.w || (f.x + f.w) % 16 == 0) && (f.y + f.h == r.y + r.h || (f.y + f.h) % 16 == 0),
		      "ends off the grid");
		for (int y = f.y; y < f.y + f.h; y++)
			for (int x = f.x; x < f.x + f.w; x++)
				CHECK(se_pixel_colour(se_picture_at(picture, x, y)) == flats[i].colour, "not flat at %d,%d", x, y);
		for (int k = 0; k < i; k++)
			CHECK(se_rect_empty(se_rect_intersect(f, flats[k].rect)), "overlap");
	}
	return count;
}

static void fill(struct se_picture *picture, struct se_rect r, uint32_t colour)
{
	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++)
			memcpy(se_picture_at(picture, x, y), &colour, 3);
}

/* A page with a box in it: everything around the box and the box itself is found. */
static void check_page(struct se_picture *picture)
{
	struct se_rect page = { 5, 3, 300, 250 }, box = { 64, 48, 100, 100 };
	struct se_flat flats[16];
	int64_t sum = 0;
	int count;

	CHECK(se_picture_resize(picture, 320, 256) == SE_OK, "memory");
	fill(picture, page, 0xffffff);
	count = check_flat(picture, page, 4096, flats, 16);
	CHECK(count == 1 && se_rect_area(flats[0].rect) == se_rect_area(page) && flats[0].colour == 0xffffff, "%d", count);
	fill(picture, box, 0x204060);
	count = check_flat(picture, page, 1, flats, 16);
	for (int i = 0; i < count; i++)
		sum += se_rect_area(flats[i].rect);
	CHECK(sum >= se_rect_area(page) - 2 * 4 * 128 * 16 && sum < se_rect_area(page), "%lld pixels in %d", (long long)sum, count);
	/* The largest stay when there is no room for all. */
	count = check_flat(picture, page, 1, flats, 1);
	CHECK(count == 1 && se_rect_area(flats[0].rect) >= 129 * 205, "%lld", (long long)se_rect_area(flats[0].rect));
	CHECK(check_flat(picture, page, 1, flats, 0) == 0, "no room");
	CHECK(check_flat(picture, (struct se_rect){ 5, 5, 0, 9 }, 1, flats, 16) == 0, "empty");
}

void test_content(void)
{
	struct se_picture picture = { 0 };
	uint8_t *seen = malloc(1 << 24);
	uint32_t seed = 31;
	int found = 0;

	CHECK(seen, "memory");
	for (int round = 0; round < 60; round++) {
		CHECK(se_picture_resize(&picture, draw_between(&seed, 1, 200), draw_between(&seed, 1, 120)) == SE_OK, "memory");
		paint(&picture, &seed, draw_between(&seed, 0, 12));
		for (int i = 0; i < 3; i++) {
			struct se_rect r = draw_rect(&seed, &picture);
			struct se_flat flats[64];

			check_facts(&picture, r, seen);
			se_content_use_portable(true);
			se_rowmask_use_portable(true);
			check_facts(&picture, r, seen);
			se_content_use_portable(false);
			se_rowmask_use_portable(false);
			found += check_flat(&picture, r, 64, flats, draw_between(&seed, 1, 64));
		}
	}
	CHECK(found > 50, "only %d flat rectangles", found);
	check_page(&picture);
	se_picture_free(&picture);
	free(seen);
}
