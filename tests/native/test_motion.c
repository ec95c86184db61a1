/* test_motion.c - scrolls, moved windows and what only looks like it. Every answer is applied move by move, as a viewer does.
 *
 * Whatever is found must be exact; and what is plainly a move must be found.
 */
#include <string.h>

#include "check.h"
#include "error.h"
#include "motion_private.h"
#include "pixel.h"

static struct se_picture before, after, shown;
static struct se_motion *finder, *plain_finder; /* the second one without SIMD: the same calls, the same answers */

/* ---- pictures ---- */

static void fill(struct se_picture *picture, struct se_rect r, uint32_t colour)
{
	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++)
			memcpy(se_picture_at(picture, x, y), &colour, 4);
}

/* Lines of text on white: glyphs of 8x16 out of 60, drawn by a hash, a third of them blank, lines of different length. */
static void write_text(struct se_picture *picture, struct se_rect r, uint32_t *seed)
{
	fill(picture, r, 0xffffff);
	for (int top = r.y + 2; top + 16 <= r.y + r.h; top += 18) {
		int letters = draw_between(seed, 0, (r.w - 8) / 8);

		for (int i = 0; i < letters; i++) {
			uint32_t glyph = draw(seed) % 90;

			if (glyph >= 60)
				continue;
			for (int y = 3; y < 14; y++)
				for (int x = 0; x < 7; x++) {
					uint32_t bits = (glyph * 131 + (uint32_t)(y * 7 + x)) * 0x9e3779b1u >> 28;

					if (bits < 5)
						memset(se_picture_at(picture, r.x + 4 + i * 8 + x, top + y), (int)bits * 40, 3);
				}
		}
	}
}

static void make_noise(struct se_picture *picture, struct se_rect r, uint32_t *seed)
{
	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++) {
			uint32_t colour = draw(seed);

			memcpy(se_picture_at(picture, x, y), &colour, 4);
		}
}

static void begin(int width, int height)
{
	CHECK(se_picture_resize(&before, width, height) == SE_OK && se_picture_resize(&after, width, height) == SE_OK &&
	              se_picture_resize(&shown, width, height) == SE_OK,
	      "%s", se_error_message());
}

static void copy_all(struct se_picture *to, const struct se_picture *from)
{
	se_picture_copy(to, from->pixels, from->stride, se_picture_bounds(from));
}

/* Moves a rectangle of `after`, cut at `clip`. */
static void shift(struct se_rect r, int dx, int dy, struct se_rect clip)
{
	struct se_rect to = se_rect_intersect((struct se_rect){ r.x + dx, r.y + dy, r.w, r.h }, clip);

	for (int y = to.y; y < to.y + to.h; y++)
		for (int x = to.x; x < to.x + to.w; x++)
			memcpy(se_picture_at(&after, x, y), se_picture_at(&before, x - dx, y - dy), 4);
}

static bool same_pixel(const struct se_picture *a, const struct se_picture *b, int x, int y)
{
	return memcmp(se_picture_at(a, x, y), se_picture_at(b, x, y), 3) == 0;
}

static int differing(const struct se_picture *a, const struct se_picture *b, struct se_rect r)
{
	int count = 0;

	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++)
			count += !same_pixel(a, b, x, y);
	return count;
}

static bool within(struct se_rect outer, struct se_rect r)
{
	return r.x >= outer.x && r.y >= outer.y && r.x + r.w <= outer.x + outer.w && r.y + r.h <= outer.y + outer.h;
}

static int unchanged_tiles; /* that the last call has found */

/* A tile that is said to be unchanged is, to the pixel; one that leaves the area is not said to be. */
static void check_unchanged(struct se_rect area)
{
	unchanged_tiles = 0;
	for (int y = 0; y < before.height; y += SE_MOTION_TILE)
		for (int x = 0; x < before.width; x += SE_MOTION_TILE) {
			struct se_rect tile = { x, y, SE_MOTION_TILE, SE_MOTION_TILE };

			tile = se_rect_intersect(tile, se_picture_bounds(&before));
			CHECK(se_motion_unchanged(finder, tile) == se_motion_unchanged(plain_finder, tile), "SIMD sees other changes");
			if (!se_motion_unchanged(finder, tile))
				continue;
			CHECK(within(area, tile), "a tile outside of the area is called unchanged");
			CHECK(differing(&before, &after, tile) == 0, "a tile at %d,%d has changed", x, y);
			unchanged_tiles++;
		}
}

/* Asks the finder and holds it to its contract. Returns how many moves there were; *left is how many pixels differ after them. */
static int find_beside(struct se_rect area, const struct se_region *barred, const struct se_region *kept, struct se_move *moves,
                       int *left)
{
	struct se_move plain[SE_MOTION_MAX];
	int count;

	for (int y = 0; y < before.height; y++) /* X does not count */
		for (int x = 0; x < before.width; x++)
			se_picture_at(&before, x, y)[3] ^= (uint8_t)(x * 7 + y);
	count = se_motion_find_beside(finder, &before, after.pixels, after.stride, area, barred, kept, moves);
	CHECK(count >= 0 && count <= SE_MOTION_MAX, "%d: %s", count, se_error_message());
	se_pixel_use_portable(true);
	CHECK(se_motion_find_beside(plain_finder, &before, after.pixels, after.stride, area, barred, kept, plain) == count,
	      "SIMD finds others");
	se_pixel_use_portable(false);
	CHECK(memcmp(moves, plain, (size_t)count * sizeof *moves) == 0, "SIMD finds others");
	check_unchanged(area);
	copy_all(&shown, &before);
	for (int i = 0; i < count; i++) {
		struct se_rect r = moves[i].rect, source = se_move_source(moves[i]);

		CHECK(moves[i].dx != 0 || moves[i].dy != 0, "a move to its own place");
		CHECK(!se_rect_empty(r) && within(area, r) && within(area, source), "a move leaves the area");
		CHECK(!barred || !se_region_intersects(barred, source), "a move from a barred place");
		CHECK(!kept || !se_region_intersects(kept, r), "a move to a kept place");
		CHECK(differing(&before, &after, r) >= SE_MOTION_LEAST, "a move saves %d pixels", differing(&before, &after, r));
		for (int k = 0; k < i; k++)
			CHECK(se_rect_empty(se_rect_intersect(r, moves[k].rect)), "two moves to one place");
		se_move_apply(moves[i], &shown);
	}
	for (int i = 0; i < count; i++)
		CHECK(differing(&shown, &after, moves[i].rect) == 0, "move %d of %d is not exact", i, count);
	*left = differing(&shown, &after, area);
	return count;
}

static int find(struct se_rect area, const struct se_region *barred, struct se_move *moves, int *left)
{
	return find_beside(area, barred, NULL, moves, left);
}

/* ---- scenes ---- */

/* A page scrolled by any distance in a window with borders and a scrollbar that does not go along. */
static void check_scroll(int distance, bool horizontal)
{
	struct se_rect window = { 37, 21, 500, 420 }, page = { 41, 40, 480, 396 }, moved;
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 51 + (uint32_t)distance;
	int dx = horizontal ? distance : 0, dy = horizontal ? 0 : distance, left, count;

	begin(640, 480);
	make_noise(&before, se_picture_bounds(&before), &seed);
	fill(&before, window, 0xc0c0c0);
	write_text(&before, page, &seed);
	copy_all(&after, &before);
	fill(&after, page, 0xffffff);
	write_text(&after, page, &seed);
	shift(page, dx, dy, page);
	fill(&before, (struct se_rect){ 524, 60, 10, 50 }, 0x404040);
	fill(&after, (struct se_rect){ 524, 70, 10, 50 }, 0x404040);
	count = find(window, NULL, moves, &left);
	CHECK(count >= 1 && moves[0].dx == dx && moves[0].dy == dy, "%d moves for a scroll by %d,%d", count, dx, dy);
	moved = se_rect_intersect((struct se_rect){ page.x + dx, page.y + dy, page.w, page.h }, page);
	left = differing(&shown, &after, moved);
	CHECK(left == 0, "%d pixels of what has scrolled by %d,%d are left", left, dx, dy);
	copy_all(&before, &after);
	CHECK(find(window, NULL, moves, &left) == 0 && left == 0, "nothing has changed");
}

/* A window dragged over a wallpaper. */
static void check_drag(int dx, int dy, bool text)
{
	struct se_rect window = { 200, 150, 300, 220 }, moved = { 200 + dx, 150 + dy, 300, 220 };
	struct se_rect area = se_rect_union(window, moved);
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 61;
	int left, count, inside;

	begin(800, 600);
	make_noise(&after, se_picture_bounds(&after), &seed);
	copy_all(&before, &after);
	if (text)
		write_text(&before, window, &seed);
	else
		make_noise(&before, window, &seed);
	shift(window, dx, dy, moved);
	count = find(area, NULL, moves, &left);
	CHECK(count == 1 && moves[0].dx == dx && moves[0].dy == dy, "%d moves for a drag by %d,%d", count, dx, dy);
	inside = differing(&shown, &after, moved);
	CHECK(inside == 0, "%d pixels of the window left", inside);
	CHECK(within(moved, moves[0].rect) || moves[0].rect.w * moves[0].rect.h < moved.w * moved.h + 40, "more than the window");
}

/* A caret, a changed line and a fixed note within the scrolled page: what is around them moves nonetheless. */
static void check_disturbed(void)
{
	struct se_rect page = { 0, 0, 640, 480 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 71;
	int left, count, all;

	begin(640, 480);
	write_text(&before, page, &seed);
	write_text(&after, page, &seed);
	shift(page, 0, -54, page);
	make_noise(&after, (struct se_rect){ 0, 200, 640, 12 }, &seed);
	fill(&before, (struct se_rect){ 560, 300, 60, 60 }, 0x8080ff);
	fill(&after, (struct se_rect){ 560, 300, 60, 60 }, 0x8080ff);
	fill(&after, (struct se_rect){ 560, 246, 60, 54 }, 0x00ff00);
	all = differing(&before, &after, page);
	count = find(page, NULL, moves, &left);
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

	begin(640, 480);
	write_text(&before, all, &seed);
	write_text(&after, all, &seed);
	shift(upper, 0, -36, upper);
	shift(lower, 0, 25, lower);
	count = find(all, NULL, moves, &left);
	CHECK(count >= 2 && moves[0].dy != moves[1].dy, "%d moves for two panes", count);
	copy_all(&after, &before);
	shift(upper, 0, 240, all);
	shift(lower, 0, -240, all);
	count = find(all, NULL, moves, &left);
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

	begin(640, 480);
	write_text(&before, all, &seed);
	write_text(&after, all, &seed);
	shift(all, 0, -40, all);
	count = find(all, NULL, moves, &left);
	CHECK(count == 1, "%d moves", count);
	count = find(all, &barred, moves, &left);
	CHECK(count >= 2, "%d moves around a video", count);
	barred.rects[0] = all;
	CHECK(find(all, &barred, moves, &left) == 0, "moves out of a video");
}

/* Nothing may be copied into one either: what is around it moves all the same. */
static void check_kept(void)
{
	struct se_rect all = { 0, 0, 640, 480 };
	struct se_region kept = { 1, { { 300, 200, 160, 96 } } };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 171;
	int left, count;

	begin(640, 480);
	write_text(&before, all, &seed);
	write_text(&after, all, &seed);
	shift(all, 7, -40, all);
	count = find_beside(all, NULL, &kept, moves, &left);
	CHECK(count >= 2, "%d moves around a video", count);
	kept.rects[0] = all;
	CHECK(find_beside(all, NULL, &kept, moves, &left) == 0, "moves into a video");
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

		begin(640, 480);
		write_text(&before, se_picture_bounds(&before), &seed);
		copy_all(&after, &before);
		write_text(&after, page, &seed);
		shift(page, 0, -36, page);
		CHECK(find(area, NULL, moves, &left) >= 1, "no scroll");
		CHECK(unchanged_tiles > 18 * 24, "%d tiles unchanged", unchanged_tiles);
		se_picture_at(&after, 401, 101)[1] ^= 1; /* one bit of one pixel, in any row of a tile */
		CHECK(find(area, NULL, moves, &left) >= 1, "no scroll");
		CHECK(!se_motion_unchanged(finder, (struct se_rect){ 400, 96, 16, 16 }), "a pixel is overlooked");
		CHECK(se_motion_unchanged(finder, (struct se_rect){ 400, 112, 16, 16 }), "a tile is not looked at");
		CHECK(!se_motion_unchanged(finder, (struct se_rect){ 392, 112, 16, 16 }), "two tiles as one");
	}
	CHECK(find((struct se_rect){ 0, 0, 40, 40 }, NULL, moves, &left) == 0, "a move of nothing");
	CHECK(unchanged_tiles == 0, "what nobody looked at is called unchanged");
}

/* What is no move: flat areas, noise, another page, little areas, small changes. */
static void check_none(void)
{
	struct se_rect all = { 0, 0, 640, 480 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 101;
	int left;

	begin(640, 480);
	fill(&before, all, 0xffffff);
	fill(&after, all, 0xe0e0e0);
	CHECK(find(all, NULL, moves, &left) == 0, "a colour moves");
	fill(&after, all, 0xffffff);
	fill(&after, (struct se_rect){ 100, 100, 200, 200 }, 0x0000ff); /* a box opens on white */
	CHECK(find(all, NULL, moves, &left) == 0, "a box moves");
	for (int i = 0; i < 8; i++) {
		make_noise(&before, all, &seed);
		make_noise(&after, all, &seed);
		CHECK(find(all, NULL, moves, &left) == 0, "noise moves");
	}
	copy_all(&after, &before);
	make_noise(&after, (struct se_rect){ 50, 60, 100, 18 }, &seed);
	CHECK(find((struct se_rect){ 50, 60, 100, 18 }, NULL, moves, &left) == 0, "a typed word moves");
	CHECK(find((struct se_rect){ 50, 60, 0, 0 }, NULL, moves, &left) == 0, "nothing moves");
	/* A small icon that moves is not worth a copy. */
	copy_all(&after, &before);
	shift((struct se_rect){ 100, 100, 24, 24 }, 200, 100, all);
	CHECK(find(all, NULL, moves, &left) == 0, "an icon moves");
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

		begin(width, height);
		all = se_picture_bounds(&before);
		if (round % 3)
			write_text(&before, all, &seed);
		else
			make_noise(&before, all, &seed);
		copy_all(&after, &before);
		for (int i = draw_between(&seed, 1, 3); i > 0; i--) {
			struct se_rect r = draw_rect(&seed, all, all.w, all.h);
			int dx = draw_between(&seed, -60, 60), dy = draw_between(&seed, -60, 60);

			if (round % 2)
				dx = 0;
			r = se_rect_intersect(r, all);
			shift(r, dx, dy, se_rect_intersect((struct se_rect){ dx, dy, all.w, all.h }, all));
		}
		if (draw_between(&seed, 0, 2) == 0)
			se_region_add(&barred, draw_rect(&seed, all, 5, 5));
		found += find(all, &barred, moves, &left);
	}
	CHECK(found > 25, "only %d moves found", found);
}

/* A long run of noise makes searches rare, but a drag that begins is still found after a few frames. */
static void check_patience(void)
{
	struct se_rect all = { 0, 0, 400, 300 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 121;
	int left, frames = 0;

	begin(400, 300);
	for (int i = 0; i < 20; i++) {
		make_noise(&before, all, &seed);
		make_noise(&after, all, &seed);
		CHECK(find(all, NULL, moves, &left) == 0, "noise moves");
	}
	shift(all, 7, 5, all);
	while (find(all, NULL, moves, &left) == 0)
		CHECK(++frames < 6, "not found in %d frames", frames);
	CHECK(find(all, NULL, moves, &left) == 1, "found once, then not");
}

/* A window dragged in a circle over another with text, step by step: each is found, from the first on. */
static void check_course(void)
{
	static const int steps[][2] = { { 11, 3 }, { 10, 5 }, { 8, 8 }, { 5, 10 }, { 2, 11 }, { 0, 12 }, { -3, 11 }, { -6, 9 },
		                            { -9, 7 }, { -11, 3 }, { -12, 0 }, { -11, -3 }, { -30, 40 }, { 1, 1 } };
	struct se_rect window = { 200, 100, 300, 220 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 141;
	struct se_picture wallpaper = { 0 };
	int left;

	begin(800, 600);
	CHECK(se_picture_resize(&wallpaper, 800, 600) == SE_OK, "%s", se_error_message());
	write_text(&wallpaper, se_picture_bounds(&wallpaper), &seed);
	copy_all(&before, &wallpaper);
	fill(&before, window, 0x303030);
	write_text(&before, (struct se_rect){ 204, 120, 292, 196 }, &seed);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		int dx = steps[i][0], dy = steps[i][1], count;
		struct se_rect moved = { window.x + dx, window.y + dy, window.w, window.h };

		copy_all(&after, &wallpaper);
		shift(window, dx, dy, moved);
		count = find(se_rect_union(window, moved), NULL, moves, &left);
		CHECK(count >= 1 && moves[count - 1].dx == dx && moves[count - 1].dy == dy, "step %zu: %d moves", i, count);
		CHECK(differing(&shown, &after, moved) == 0, "step %zu: not all of the window", i);
		copy_all(&before, &after);
		window = moved;
	}
	se_picture_free(&wallpaper);
}

/* A few lines that scroll must not hide the window that is dragged beside them. */
static void check_distraction(void)
{
	struct se_rect window = { 40, 30, 420, 240 }, moved = { 49, 37, 420, 240 }, pane = { 40, 290, 420, 60 };
	struct se_move moves[SE_MOTION_MAX];
	uint32_t seed = 151;
	int left, count;

	begin(500, 360);
	make_noise(&before, se_picture_bounds(&before), &seed);
	copy_all(&after, &before);
	write_text(&before, window, &seed);
	shift(window, 9, 7, moved);
	write_text(&before, pane, &seed);
	shift(pane, 0, -20, pane);
	for (int i = 0; i < 2; i++) {
		count = find((struct se_rect){ 40, 30, 430, 322 }, NULL, moves, &left);
		CHECK(count == 2, "%d moves", count);
		CHECK(differing(&shown, &after, moved) == 0, "the window is not moved");
		CHECK(differing(&shown, &after, (struct se_rect){ 40, 290, 420, 40 }) == 0, "the pane is not moved");
	}
}

/* What is remembered: the newest first, each once, no more than there is room for. */
static void check_memory(void)
{
	struct se_rect all = { 0, 0, 640, 480 };
	struct se_motion *memory = se_motion_new();
	struct se_motion_view view = { .before = &before, .area = all };
	struct se_motion_probes probes;
	struct se_motion_vector by = { 0, 0 };
	uint32_t seed = 161;

	CHECK(memory, "%s", se_error_message());
	begin(640, 480);
	write_text(&before, all, &seed);
	write_text(&after, all, &seed);
	shift(all, 0, -68, all);
	view.after = after.pixels;
	view.stride = after.stride;
	se_motion_choose_probes(&view, &probes);
	CHECK(probes.count >= SE_MOTION_PROBES_FEW, "%d probes", probes.count);
	CHECK(!se_motion_guess(memory, &view, &probes, &by), "a guess out of nothing");
	CHECK(se_motion_score(&view, &probes, (struct se_motion_vector){ 0, -68 }, NULL, 0) >= se_motion_enough(&probes),
	      "the scroll explains too little");
	CHECK(se_motion_score(&view, &probes, (struct se_motion_vector){ 0, -67 }, NULL, 0) == 0, "a wrong distance explains much");
	CHECK(se_motion_score(&view, &probes, (struct se_motion_vector){ 0, -68 }, &(struct se_move){ all, 0, -68 }, 1) == 0,
	      "what is moved already counts");
	se_motion_remember(memory, (struct se_motion_vector){ 0, -68 });
	for (int i = 1; i < SE_MOTION_RECENT; i++) {
		se_motion_remember(memory, (struct se_motion_vector){ i * 40, i * 40 });
		CHECK(se_motion_guess(memory, &view, &probes, &by) && by.dx == 0 && by.dy == -68, "forgotten after %d", i);
	}
	se_motion_remember(memory, (struct se_motion_vector){ 0, -68 });
	CHECK(memory->recent_count == SE_MOTION_RECENT && memory->recent[0].dy == -68 && memory->recent[1].dx == 280, "out of order");
	for (int i = 1; i <= SE_MOTION_RECENT; i++)
		se_motion_remember(memory, (struct se_motion_vector){ i * 50, i * 50 });
	CHECK(memory->recent_count == SE_MOTION_RECENT, "%d remembered", memory->recent_count);
	CHECK(!se_motion_guess(memory, &view, &probes, &by), "not forgotten");
	se_motion_remember(memory, (struct se_motion_vector){ 0, -60 });
	CHECK(se_motion_guess(memory, &view, &probes, &by) && by.dy == -68, "a scroll that gets faster");
	se_motion_remember(memory, (struct se_motion_vector){ 2, -65 });
	CHECK(se_motion_guess(memory, &view, &probes, &by) && by.dx == 0 && by.dy == -68, "a drag that turns");
	view.area = (struct se_rect){ 3, 3, SE_MOTION_PROBE - 1, 400 };
	se_motion_choose_probes(&view, &probes);
	CHECK(probes.count == 0, "%d probes where none has room", probes.count);
	view.area = (struct se_rect){ 639 - SE_MOTION_PROBE, 0, SE_MOTION_PROBE, 480 };
	se_motion_choose_probes(&view, &probes);
	for (int i = 0; i < probes.count; i++)
		CHECK(probes.x[i] == view.area.x && probes.y[i] < 480, "a probe outside of the area");
	se_motion_free(memory);
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

	finder = se_motion_new();
	plain_finder = se_motion_new();
	CHECK(finder && plain_finder, "%s", se_error_message());
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
	check_patience();
	check_course();
	check_distraction();
	check_memory();
	se_motion_free(finder);
	se_motion_free(plain_finder);
	se_motion_free(NULL);
	se_picture_free(&before);
	se_picture_free(&after);
	se_picture_free(&shown);
}
