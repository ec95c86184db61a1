/* test_motion.c - scrolls, moved windows and what only looks like it. Every answer is applied move by move, as a viewer does.
 *
 * Whatever is found must be exact; and what is plainly a move must be found.
 */
#include <string.h>

#include "check.h"
#include "error.h"
#include "motion_scene.h"

/* A page scrolled by any distance in a window with borders and a scrollbar that does not go along. */
static void check_scroll(int distance, bool horizontal)
{
	struct se_rect window = { 37, 21, 500, 420 }, page = { 41, 40, 480, 396 }, moved;
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 51 + (uint32_t)distance;
	int dx = horizontal ? distance : 0, dy = horizontal ? 0 : distance, left, count;

	scene_begin(640, 480);
	scene_make_noise(&scene_before, se_picture_bounds(&scene_before), &seed);
	scene_fill(&scene_before, window, 0xc0c0c0);
	scene_write_text(&scene_before, page, &seed);
	scene_copy_all(&scene_after, &scene_before);
	scene_fill(&scene_after, page, 0xffffff);
	scene_write_text(&scene_after, page, &seed);
	scene_shift(page, dx, dy, page);
	scene_fill(&scene_before, (struct se_rect){ 524, 60, 10, 50 }, 0x404040);
	scene_fill(&scene_after, (struct se_rect){ 524, 70, 10, 50 }, 0x404040);
	count = scene_find(window, NULL, moves, &left);
	CHECK(count >= 1 && moves[0].dx == dx && moves[0].dy == dy, "%d moves for a scroll by %d,%d", count, dx, dy);
	moved = se_rect_intersect((struct se_rect){ page.x + dx, page.y + dy, page.w, page.h }, page);
	left = scene_differing(&scene_shown, &scene_after, moved);
	CHECK(left == 0, "%d pixels of what has scrolled by %d,%d are left", left, dx, dy);
	scene_copy_all(&scene_before, &scene_after);
	CHECK(scene_find(window, NULL, moves, &left) == 0 && left == 0, "nothing has changed");
}

/* A window dragged over a wallpaper. */
static void check_drag(int dx, int dy, bool text)
{
	struct se_rect window = { 200, 150, 300, 220 }, moved = { 200 + dx, 150 + dy, 300, 220 };
	struct se_rect area = se_rect_union(window, moved);
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 61;
	int left, count, inside;

	scene_begin(800, 600);
	scene_make_noise(&scene_after, se_picture_bounds(&scene_after), &seed);
	scene_copy_all(&scene_before, &scene_after);
	if (text)
		scene_write_text(&scene_before, window, &seed);
	else
		scene_make_noise(&scene_before, window, &seed);
	scene_shift(window, dx, dy, moved);
	count = scene_find(area, NULL, moves, &left);
	CHECK(count == 1 && moves[0].dx == dx && moves[0].dy == dy, "%d moves for a drag by %d,%d", count, dx, dy);
	inside = scene_differing(&scene_shown, &scene_after, moved);
	CHECK(inside == 0, "%d pixels of the window left", inside);
	CHECK(se_rect_holds(moved, moves[0].rect) || moves[0].rect.w * moves[0].rect.h < moved.w * moved.h + 40, "more than the window");
}

/* A caret, a changed line and a fixed note within the scrolled page: what is around them moves nonetheless. */
static void check_disturbed(void)
{
	struct se_rect page = { 0, 0, 640, 480 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 71;
	int left, count, all;

	scene_begin(640, 480);
	scene_write_text(&scene_before, page, &seed);
	scene_write_text(&scene_after, page, &seed);
	scene_shift(page, 0, -54, page);
	scene_make_noise(&scene_after, (struct se_rect){ 0, 200, 640, 12 }, &seed);
	scene_fill(&scene_before, (struct se_rect){ 560, 300, 60, 60 }, 0x8080ff);
	scene_fill(&scene_after, (struct se_rect){ 560, 300, 60, 60 }, 0x8080ff);
	scene_fill(&scene_after, (struct se_rect){ 560, 246, 60, 54 }, 0x00ff00);
	all = scene_differing(&scene_before, &scene_after, page);
	count = scene_find(page, NULL, moves, &left);
	CHECK(count >= 2 && moves[0].dy == -54, "%d moves", count);
	CHECK(left < all / 2, "%d of %d left", left, all);
}

/* Two panes scrolled apart, and two windows that change places: each reads what the other overwrites. */
static void check_two(void)
{
	struct se_rect upper = { 0, 0, 640, 240 }, lower = { 0, 240, 640, 240 }, all = { 0, 0, 640, 480 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 81;
	int left, count;

	scene_begin(640, 480);
	scene_write_text(&scene_before, all, &seed);
	scene_write_text(&scene_after, all, &seed);
	scene_shift(upper, 0, -36, upper);
	scene_shift(lower, 0, 25, lower);
	count = scene_find(all, NULL, moves, &left);
	CHECK(count >= 2 && moves[0].dy != moves[1].dy, "%d moves for two panes", count);
	scene_copy_all(&scene_after, &scene_before);
	scene_shift(upper, 0, 240, all);
	scene_shift(lower, 0, -240, all);
	count = scene_find(all, NULL, moves, &left);
	CHECK(count == 1 && left > 0, "%d moves, %d left: a circle has no safe order", count, left);
}

/* Nothing may be copied out of a video. */
static void check_barred(void)
{
	struct se_rect all = { 0, 0, 640, 480 };
	struct se_region barred = { 1, { { 300, 200, 160, 96 } } };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 91;
	int left, count;

	scene_begin(640, 480);
	scene_write_text(&scene_before, all, &seed);
	scene_write_text(&scene_after, all, &seed);
	scene_shift(all, 0, -40, all);
	count = scene_find(all, NULL, moves, &left);
	CHECK(count == 1, "%d moves", count);
	count = scene_find(all, &barred, moves, &left);
	CHECK(count >= 2, "%d moves around a video", count);
	barred.rects[0] = all;
	CHECK(scene_find(all, &barred, moves, &left) == 0, "moves out of a video");
}

/* Nothing may be copied into one either: what is around it moves all the same. */
static void check_kept(void)
{
	struct se_rect all = { 0, 0, 640, 480 };
	struct se_region kept = { 1, { { 300, 200, 160, 96 } } };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 171;
	int left, count;

	scene_begin(640, 480);
	scene_write_text(&scene_before, all, &seed);
	scene_write_text(&scene_after, all, &seed);
	scene_shift(all, 7, -40, all);
	count = scene_find_beside(all, NULL, &kept, moves, &left);
	CHECK(count >= 2, "%d moves around a video", count);
	kept.rects[0] = all;
	CHECK(scene_find_beside(all, NULL, &kept, moves, &left) == 0, "moves into a video");
}

/* Beside a scrolled column the finder says what it has seen to be as it was, to the pixel and wherever the area begins. */
static void check_seen(void)
{
	struct se_rect page = { 0, 0, 320, 480 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 181;
	int left;

	for (int offset = 0; offset < SE_MOTION_TILE; offset += 5) {
		struct se_rect area = { offset, offset, 640 - 2 * offset, 480 - offset };

		scene_begin(640, 480);
		scene_write_text(&scene_before, se_picture_bounds(&scene_before), &seed);
		scene_copy_all(&scene_after, &scene_before);
		scene_write_text(&scene_after, page, &seed);
		scene_shift(page, 0, -36, page);
		CHECK(scene_find(area, NULL, moves, &left) >= 1, "no scroll");
		CHECK(scene_unchanged > 18 * 24, "%d tiles unchanged", scene_unchanged);
		se_picture_at(&scene_after, 401, 101)[1] ^= 1; /* one bit of one pixel, in any row of a tile */
		CHECK(scene_find(area, NULL, moves, &left) >= 1, "no scroll");
		CHECK(!se_motion_unchanged(scene_finder, (struct se_rect){ 400, 96, 16, 16 }), "a pixel is overlooked");
		CHECK(se_motion_unchanged(scene_finder, (struct se_rect){ 400, 112, 16, 16 }), "a tile is not looked at");
		CHECK(!se_motion_unchanged(scene_finder, (struct se_rect){ 392, 112, 16, 16 }), "two tiles as one");
	}
	CHECK(scene_find((struct se_rect){ 0, 0, 40, 40 }, NULL, moves, &left) == 0, "a move of nothing");
	CHECK(scene_unchanged == 0, "what nobody looked at is called unchanged");
}

/* What is no move: flat areas, noise, another page, little areas, small changes. */
static void check_none(void)
{
	struct se_rect all = { 0, 0, 640, 480 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 101;
	int left;

	scene_begin(640, 480);
	scene_fill(&scene_before, all, 0xffffff);
	scene_fill(&scene_after, all, 0xe0e0e0);
	CHECK(scene_find(all, NULL, moves, &left) == 0, "a colour moves");
	scene_fill(&scene_after, all, 0xffffff);
	scene_fill(&scene_after, (struct se_rect){ 100, 100, 200, 200 }, 0x0000ff); /* a box opens on white */
	CHECK(scene_find(all, NULL, moves, &left) == 0, "a box moves");
	for (int i = 0; i < 8; i++) {
		scene_make_noise(&scene_before, all, &seed);
		scene_make_noise(&scene_after, all, &seed);
		CHECK(scene_find(all, NULL, moves, &left) == 0, "noise moves");
	}
	scene_copy_all(&scene_after, &scene_before);
	scene_make_noise(&scene_after, (struct se_rect){ 50, 60, 100, 18 }, &seed);
	CHECK(scene_find((struct se_rect){ 50, 60, 100, 18 }, NULL, moves, &left) == 0, "a typed word moves");
	CHECK(scene_find((struct se_rect){ 50, 60, 0, 0 }, NULL, moves, &left) == 0, "nothing moves");
	/* A small icon that moves is not worth a copy. */
	scene_copy_all(&scene_after, &scene_before);
	scene_shift((struct se_rect){ 100, 100, 24, 24 }, 200, 100, all);
	CHECK(scene_find(all, NULL, moves, &left) == 0, "an icon moves");
}

/* Random scenes of random moves, noise and text: whatever is found must be exact. */
/* The order of arguments and initialisers is the compiler's: drawn one by one the rectangles are the same everywhere. */
static struct se_rect draw_rect(uint32_t *seed, struct se_rect bounds, int w, int h)
{
	struct se_rect rect = { 0, 0, w, h };

	rect.x = draw_between(seed, 0, bounds.w - 1);
	rect.y = draw_between(seed, 0, bounds.h - 1);
	return rect;
}

static void check_random(void)
{
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 111;
	int found = 0, left;

	for (int round = 0; round < 150; round++) {
		struct se_rect all;
		struct se_region barred = { 0 };
		int width = draw_between(&seed, 16, 400), height = draw_between(&seed, 16, 300);

		scene_begin(width, height);
		all = se_picture_bounds(&scene_before);
		if (round % 3)
			scene_write_text(&scene_before, all, &seed);
		else
			scene_make_noise(&scene_before, all, &seed);
		scene_copy_all(&scene_after, &scene_before);
		for (int i = draw_between(&seed, 1, 3); i > 0; i--) {
			struct se_rect r = draw_rect(&seed, all, all.w, all.h);
			int dx = draw_between(&seed, -60, 60), dy = draw_between(&seed, -60, 60);

			if (round % 2)
				dx = 0;
			r = se_rect_intersect(r, all);
			scene_shift(r, dx, dy, se_rect_intersect((struct se_rect){ dx, dy, all.w, all.h }, all));
		}
		if (draw_between(&seed, 0, 2) == 0)
			se_region_add(&barred, draw_rect(&seed, all, 5, 5));
		found += scene_find(all, &barred, moves, &left);
	}
	CHECK(found > 25, "only %d moves found", found);
}

static void check_kernel(void)
{
	uint8_t row[100 * 4];
	uint32_t seed = 131;

	for (int round = 0; round < 5000; round++) {
		int count = draw_between(&seed, 1, 99), from = draw_between(&seed, 0, count), expected = from, got;
		uint32_t first = draw(&seed) % 3, second = draw(&seed) % 3;

		for (size_t i = 0; i < sizeof row; i++)
			row[i] = i % 4 == 3 ? (uint8_t)draw(&seed) : 0;
		for (int i = 0; i < 100; i++) {
			uint32_t colour = draw(&seed) % 40;

			row[i * 4] = (uint8_t)colour;
		}
		while (expected < count && !(row[expected * 4] == first && row[expected * 4 + 4] == second))
			expected++;
		got = se_motion_pair(row, from, count, first, second);
		CHECK(got == expected, "%d, not %d", got, expected);
		got = se_motion_pair_portable(row, from, count, first, second);
		CHECK(got == expected, "portable: %d, not %d", got, expected);
	}
}

void test_motion(void)
{
	static const int distances[] = { 1, -1, 3, 7, -18, 19, 53, -100, 120, 200, -230 };
	static const int drags[][2] = { { 5, 3 }, { -1, 1 }, { 40, -30 }, { -120, -90 }, { 133, 71 }, { 0, 25 }, { -25, 0 } };

	scene_open();
	check_kernel();
	for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
		check_scroll(distances[i], false);
		check_scroll(distances[i], true);
	}
	for (size_t i = 0; i < sizeof drags / sizeof *drags; i++) {
		check_drag(drags[i][0], drags[i][1], true);
		check_drag(drags[i][0], drags[i][1], false);
	}
	check_disturbed();
	check_two();
	check_barred();
	check_kept();
	check_seen();
	check_none();
	check_random();
	scene_close();
	se_motion_free(NULL);
}
