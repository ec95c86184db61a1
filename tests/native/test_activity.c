/* test_activity.c - videos, terminals, carets and moving windows in simulated time: what becomes a region, and how steadily. */
#include <string.h>

#include "activity.h"
#include "check.h"
#include "error.h"
#include "picture.h"

#define PHOTO 900
#define TEXT 150 /* dense */
#define START 5000000u

static struct se_rect regions[SE_ACTIVITY_REGIONS];
static int resizes; /* how often regions changed while play() ran */

/* Touches `rect` at `rate` for `ms`, jittering its edges by up to `jitter` pixels, and asks for regions after each frame. */
static uint64_t play(struct se_activity *self, struct se_rect rect, int literals, int rate, int jitter, int ms, uint64_t now)
{
	uint64_t end = now + (uint64_t)ms * 1000u;
	static uint32_t seed = 41;

	for (; now < end; now += 1000000u / (uint64_t)rate) {
		struct se_rect before[SE_ACTIVITY_REGIONS], r = rect;

		memcpy(before, regions, sizeof before);
		if (jitter > 0) {
			int left = draw_between(&seed, 0, jitter), top = draw_between(&seed, 0, jitter);

			r = (struct se_rect){ r.x + left, r.y + top, r.w - left - draw_between(&seed, 0, jitter),
				                  r.h - top - draw_between(&seed, 0, jitter) };
		}
		se_activity_touch(self, r, literals, now);
		se_activity_regions(self, now, regions);
		resizes += memcmp(before, regions, sizeof before) != 0;
	}
	return now;
}

static bool is(struct se_rect r, int x, int y, int w, int h)
{
	return r.x == x && r.y == y && r.w == w && r.h == h;
}

static struct se_activity *open_grid(int width, int height)
{
	struct se_activity *self = se_activity_new(width, height);

	CHECK(self, "%s", se_error_message());
	memset(regions, 0, sizeof regions);
	resizes = 0;
	return self;
}

/* A 640x360 video is found within half a second, to the next multiple of 16 but for where its 2x2 pixels begin, does not move, and
 * ends half a second after it. */
static void check_video(int rate, int jitter)
{
	struct se_activity *self = open_grid(1920, 1080);
	struct se_rect video = { 203, 117, 640, 360 };
	uint64_t now = START;

	CHECK(se_activity_due(self) == UINT64_MAX, "due without a region");
	now = play(self, video, PHOTO, rate, jitter, rate < 24 ? 1500 : 600, now);
	CHECK(is(regions[0], 193, 113, 655, 367), "%d,%d %dx%d", regions[0].x, regions[0].y, regions[0].w, regions[0].h);
	CHECK(se_rect_empty(regions[1]), "two regions");
	resizes = 0;
	/* Inside a region nobody looks at the content. */
	now = play(self, video, SE_ACTIVITY_UNKNOWN, rate, jitter, 10000, now);
	CHECK(resizes == 0, "%d resizes", resizes);
	now = se_activity_last_change(self, video);
	CHECK(se_activity_due(self) == now + SE_ACTIVITY_REST_US, "rest due");
	CHECK(!se_activity_rested(self, 0, now + SE_ACTIVITY_REST_US - 1), "rests too early");
	CHECK(se_activity_rested(self, 0, now + SE_ACTIVITY_REST_US), "does not rest");
	CHECK(se_activity_rest_due(self, 0) >= now + SE_ACTIVITY_REST_US && se_activity_rest_due(self, 0) < now + SE_ACTIVITY_LEAVE_US,
	      "rests for certain after %llu us", (unsigned long long)(se_activity_rest_due(self, 0) - now));
	CHECK(se_activity_rest_due(self, 1) == UINT64_MAX, "what is not there rests");
	CHECK(!se_activity_rested(self, 0, now + SE_ACTIVITY_REST_US + 1) && !se_activity_rested(self, 1, now), "rests twice");
	CHECK(se_activity_due(self) == now + SE_ACTIVITY_LEAVE_US, "due");
	CHECK(se_activity_regions(self, now + SE_ACTIVITY_LEAVE_US - 1, regions) == 1, "over too early");
	CHECK(se_activity_regions(self, now + SE_ACTIVITY_LEAVE_US, regions) == 0, "not over");
	CHECK(se_rect_empty(regions[0]) && se_activity_due(self) == UINT64_MAX, "not over");
	se_activity_free(self);
}

/* What is cheap losslessly, small, slow or over at once is no video. */
static void check_others(void)
{
	struct se_activity *self = open_grid(1920, 1080);
	uint64_t now = START;

	now = play(self, (struct se_rect){ 0, 0, 1920, 1080 }, TEXT, 60, 0, 3000, now);
	CHECK(resizes == 0, "a terminal");
	now = play(self, (struct se_rect){ 500, 500, 60, 60 }, PHOTO, 60, 0, 3000, now + 3000000u);
	CHECK(resizes == 0, "a spinner");
	now = play(self, (struct se_rect){ 500, 500, 600, 600 }, PHOTO, 4, 0, 5000, now + 3000000u);
	CHECK(resizes == 0, "a slide show");
	now = play(self, (struct se_rect){ 500, 500, 600, 600 }, PHOTO, 60, 0, 60, now + 3000000u);
	se_activity_regions(self, now + 200000u, regions);
	CHECK(resizes == 0, "a burst");
	/* A video after text in the same place is one nonetheless. */
	now = play(self, (struct se_rect){ 512, 512, 640, 368 }, TEXT, 30, 0, 1000, now + 3000000u);
	now = play(self, (struct se_rect){ 512, 512, 640, 368 }, PHOTO, 30, 0, 1500, now);
	CHECK(is(regions[0], 512, 512, 640, 368), "a video after text");
	se_activity_free(self);
}

/* A film that has become slow does not rest between two of its pictures. */
static void check_slow_rest(void)
{
	struct se_activity *self = open_grid(1280, 720);
	struct se_rect video = { 320, 160, 640, 360 };
	uint64_t now = play(self, video, PHOTO, 30, 0, 1000, START), last;

	play(self, video, SE_ACTIVITY_UNKNOWN, 5, 0, 3000, now);
	last = se_activity_last_change(self, video);
	CHECK(!se_rect_empty(regions[0]), "over at 5 pictures a second");
	CHECK(se_activity_rest_due(self, 0) > last + 400000u, "rests after %llu us",
	      (unsigned long long)(se_activity_rest_due(self, 0) - last));
	se_activity_free(self);
}

/* Asked between two of its pictures, a slow film is one still; so are its first pictures, each of which takes 0.3 s to encode. */
static void check_slow_engine(void)
{
	struct se_activity *self = open_grid(3840, 2160);
	struct se_rect whole = { 0, 0, 3840, 2160 };
	uint64_t now = START;

	for (int i = 0; i < 20; i++, now += 340000u) {
		se_activity_touch(self, whole, i < 3 ? PHOTO : SE_ACTIVITY_UNKNOWN, now);
		se_activity_regions(self, now, regions);
		CHECK(se_rect_empty(regions[0]) == (i < 2), "picture %d", i);
		se_activity_delay(self, now, 260000u);
	}
	for (int i = 0; i < 20; i++, now += 330000u) {
		se_activity_touch(self, whole, SE_ACTIVITY_UNKNOWN, now);
		se_activity_regions(self, now, regions);
		se_activity_regions(self, now + SE_ACTIVITY_REST_US, regions);
		CHECK(!se_rect_empty(regions[0]), "over at 3 pictures a second");
	}
	se_activity_delay(self, now, 1000000u); /* nothing changed then */
	CHECK(se_activity_last_change(self, whole) == now - 330000u, "delayed");
	se_activity_free(self);
}

/* What raises the window of a video covers more of its tiles than the video. Soon the region begins where that does, once. */
static void check_shift(void)
{
	struct se_activity *self = open_grid(1920, 1080);
	struct se_rect window = { 600, 300, 700, 440 }, video = { 641, 353, 640, 360 };
	uint64_t now = START;

	se_activity_touch(self, window, PHOTO, now);
	now = play(self, video, PHOTO, 30, 0, 600, now + 33333u);
	CHECK(is(regions[0], 640, 352, 672, 384), "%d,%d %dx%d", regions[0].x, regions[0].y, regions[0].w, regions[0].h);
	now = play(self, video, SE_ACTIVITY_UNKNOWN, 30, 0, 1000, now);
	CHECK(is(regions[0], 641, 353, 655, 367), "%d,%d %dx%d", regions[0].x, regions[0].y, regions[0].w, regions[0].h);
	play(self, video, SE_ACTIVITY_UNKNOWN, 30, 0, 4000, now);
	CHECK(resizes == 2, "%d sizes", resizes);
	se_activity_free(self);
}

/* A video as large as the screen is found with its third picture, for each one before costs as much as a key frame; two pictures in
 * a row, a slow slide show, or as much text, are none. */
static void check_whole_at_once(void)
{
	struct se_rect whole = { 0, 0, 1920, 1080 };
	struct se_activity *self = open_grid(1920, 1080);
	uint64_t now = START;

	now = play(self, whole, PHOTO, 30, 0, 60, now);
	CHECK(se_rect_empty(regions[0]), "two pictures are a video");
	now = play(self, whole, PHOTO, 2, 0, 5000, now + 3000000u);
	CHECK(se_rect_empty(regions[0]), "a slide show");
	now = play(self, whole, TEXT, 30, 0, 1000, now + 3000000u);
	CHECK(se_rect_empty(regions[0]), "a terminal");
	play(self, whole, PHOTO, 30, 0, 90, now + 3000000u);
	CHECK(is(regions[0], 0, 0, 1920, 1080), "%d,%d %dx%d", regions[0].x, regions[0].y, regions[0].w, regions[0].h);
	se_activity_free(self);
}

/* Two videos, two indices; a third has none. Each keeps its index when the other one ends. */
static void check_two(void)
{
	struct se_activity *self = open_grid(1920, 1080);
	struct se_rect a = { 64, 64, 320, 240 }, b = { 1200, 600, 480, 272 }, c = { 1000, 64, 160, 96 };
	struct se_rect of_a = { 0, 0, 0, 0 };
	uint64_t now = START;
	int index_a, live = 0;

	for (int i = 0; i < 60; i++, now += 33333u) {
		se_activity_touch(self, a, PHOTO, now);
		se_activity_touch(self, b, PHOTO, now);
		se_activity_touch(self, c, PHOTO, now);
		live = se_activity_regions(self, now, regions);
	}
	index_a = is(regions[0], a.x, a.y, a.w, a.h) ? 0 : 1;
	CHECK(live == 2 && is(regions[index_a], a.x, a.y, a.w, a.h) && is(regions[1 - index_a], 1200, 592, 480, 288), "two videos");
	of_a = regions[index_a];
	for (int i = 0; i < 60; i++, now += 33333u) {
		se_activity_touch(self, b, PHOTO, now);
		live = se_activity_regions(self, now, regions);
		CHECK(is(regions[1 - index_a], 1200, 592, 480, 288), "b has moved");
	}
	CHECK(live == 1 && se_rect_empty(regions[index_a]), "a goes on");
	for (int i = 0; i < 60; i++, now += 33333u) {
		se_activity_touch(self, a, PHOTO, now);
		live = se_activity_regions(self, now, regions);
	}
	CHECK(live == 1, "%d regions", live);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		CHECK(se_rect_empty(regions[i]) || is(regions[i], of_a.x, of_a.y, of_a.w, of_a.h), "a elsewhere");
	se_activity_free(self);
}

/* More than 55 % is everything; a picture whose size is no multiple of 16 ends at its edge. */
static void check_whole(void)
{
	struct se_activity *self = open_grid(1366, 767);
	uint64_t now = play(self, (struct se_rect){ 0, 100, 1366, 600 }, PHOTO, 30, 0, 800, START);

	CHECK(is(regions[0], 0, 0, 1366, 767) && se_rect_empty(regions[1]), "not the whole");
	CHECK(se_activity_resize(self, 800, 599) == SE_OK && se_activity_regions(self, now, regions) == 0, "a resize forgets");
	play(self, (struct se_rect){ 500, 300, 400, 400 }, PHOTO, 30, 0, 800, now);
	CHECK(is(regions[0], 496, 288, 304, 311), "%d,%d %dx%d", regions[0].x, regions[0].y, regions[0].w, regions[0].h);
	se_activity_free(self);
}

/* A video whose parts begin one after the other opens one region, once. */
static void check_opening(void)
{
	struct se_activity *self = open_grid(1920, 1080);
	uint64_t now = START;

	for (int i = 0; i < 40; i++, now += 33333u) {
		struct se_rect before[SE_ACTIVITY_REGIONS];

		memcpy(before, regions, sizeof before);
		se_activity_touch(self, (struct se_rect){ 320, 160, 640, i < 2 ? 180 : 368 }, PHOTO, now);
		se_activity_regions(self, now, regions);
		resizes += memcmp(before, regions, sizeof before) != 0;
	}
	CHECK(is(regions[0], 320, 160, 640, 368) && resizes == 1, "%d changes", resizes);
	se_activity_free(self);
}

/* A video that becomes smaller or moves takes its region along, in few steps. */
static void check_changes(void)
{
	struct se_activity *self = open_grid(1920, 1080);
	uint64_t now = play(self, (struct se_rect){ 320, 160, 960, 544 }, PHOTO, 30, 0, 2000, START);

	CHECK(is(regions[0], 320, 160, 960, 544), "large");
	resizes = 0;
	now = play(self, (struct se_rect){ 320, 160, 480, 272 }, PHOTO, 30, 0, 6000, now);
	CHECK(is(regions[0], 320, 160, 480, 272) && resizes <= 2, "small: %dx%d after %d", regions[0].w, regions[0].h, resizes);
	resizes = 0;
	now = play(self, (struct se_rect){ 320, 160, 960, 544 }, PHOTO, 30, 0, 1000, now);
	CHECK(is(regions[0], 320, 160, 960, 544) && resizes == 1, "large again: %dx%d after %d", regions[0].w, regions[0].h, resizes);
	resizes = 0;
	for (int i = 0; i < 60; i++) /* dragged by 10 pixels a frame */
		now = play(self, (struct se_rect){ 320 + i * 10, 160 + i * 4, 480, 272 }, PHOTO, 30, 0, 33, now);
	CHECK(resizes <= 8, "%d resizes in a drag of 2 s", resizes);
	now = play(self, (struct se_rect){ 910, 396, 480, 272 }, PHOTO, 30, 0, 5000, now);
	CHECK(is(regions[0], 896, 384, 496, 288), "dragged: %d,%d %dx%d", regions[0].x, regions[0].y, regions[0].w, regions[0].h);
	se_activity_free(self);
}

/* A film that began on top of something else: its region finds the place where it begins, with one resize. */
static void check_parity(void)
{
	struct se_activity *self = open_grid(1920, 1080);
	uint64_t now = START;

	now = play(self, (struct se_rect){ 192, 112, 660, 370 }, PHOTO, 30, 0, 400, now);
	CHECK(is(regions[0], 192, 112, 672, 384), "%d,%d %dx%d", regions[0].x, regions[0].y, regions[0].w, regions[0].h);
	resizes = 0;
	now = play(self, (struct se_rect){ 203, 117, 640, 360 }, PHOTO, 30, 0, 8000, now);
	CHECK(is(regions[0], 193, 113, 655, 367), "%d,%d %dx%d", regions[0].x, regions[0].y, regions[0].w, regions[0].h);
	CHECK(resizes == 1, "%d resizes", resizes);
	se_activity_free(self);
}

/* Whatever is touched: regions are disjoint, aligned, inside, and as many as was said. */
static void check_random(void)
{
	struct se_activity *self = open_grid(1000, 700);
	uint64_t now = START;
	uint32_t seed = 43;
	int seen = 0;

	for (int scene = 0; scene < 60; scene++) {
		struct se_rect rects[4];

		for (int i = 0; i < 4; i++)
			rects[i] = (struct se_rect){ draw_between(&seed, -50, 950), draw_between(&seed, -50, 650), draw_between(&seed, 0, 400),
				                         draw_between(&seed, 0, 300) };
		for (int frame = 0; frame < 40; frame++, now += (uint64_t)draw_between(&seed, 8000, 60000)) {
			int live;

			for (int i = 0; i < 4; i++)
				if (draw_between(&seed, 0, 3))
					se_activity_touch(self, rects[i], draw_between(&seed, -1, 1) < 0 ? SE_ACTIVITY_UNKNOWN : PHOTO, now);
			live = se_activity_regions(self, now, regions);
			for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
				struct se_rect r = regions[i];

				live -= !se_rect_empty(r);
				seen += !se_rect_empty(r);
				CHECK(se_rect_empty(r) || (r.x >= 0 && r.y >= 0 && r.x + r.w <= 1000 && r.y + r.h <= 700), "outside");
				CHECK(r.x % 16 <= 1 && r.y % 16 <= 1, "begins at %d,%d", r.x, r.y);
				CHECK(((r.x + r.w) % 16 == 0 || r.x + r.w == 1000) && ((r.y + r.h) % 16 == 0 || r.y + r.h == 700),
				      "not aligned: %d,%d %dx%d", r.x, r.y, r.w, r.h);
			}
			CHECK(live == 0, "miscounted");
			CHECK(se_rect_empty(se_rect_intersect(regions[0], regions[1])), "overlap");
		}
	}
	CHECK(seen > 500, "only %d regions", seen);
	se_activity_free(self);
}

static void check_rates(void)
{
	struct se_activity *self = open_grid(640, 480);
	struct se_rect r = { 100, 100, 50, 50 };
	uint64_t now = START;
	int rate;

	CHECK(se_activity_last_change(self, r) == 0 && se_activity_rate(self, r, now) == 0, "nothing has changed yet");
	now = play(self, r, TEXT, 30, 0, 3000, now);
	rate = se_activity_rate(self, r, now);
	CHECK(rate >= 28 && rate <= 33, "%d changes a second, not 30", rate);
	CHECK(se_activity_rate(self, (struct se_rect){ 300, 300, 50, 50 }, now) == 0, "elsewhere");
	CHECK(se_activity_rate(self, r, now + 3000000u) == 0, "at rest");
	/* A tile counts once a frame, whatever touches it. */
	for (int i = 0; i < 20; i++)
		se_activity_touch(self, r, TEXT, now + 3000000u);
	CHECK(se_activity_rate(self, r, now + 3000000u) <= 3, "%d", se_activity_rate(self, r, now + 3000000u));
	CHECK(se_activity_last_change(self, (struct se_rect){ 149, 149, 1, 1 }) == now + 3000000u, "last change");
	se_activity_touch(self, (struct se_rect){ -100, -100, 50, 50 }, TEXT, now + 4000000u);
	se_activity_touch(self, (struct se_rect){ 700, 100, 50, 50 }, TEXT, now + 4000000u);
	CHECK(se_activity_last_change(self, (struct se_rect){ 0, 0, 640, 480 }) == now + 3000000u, "outside");
	CHECK(se_activity_resize(self, 0, 480) == SE_E_INVALID && strstr(se_error_message(), "0x480"), "%s", se_error_message());
	CHECK(se_activity_last_change(self, r) == now + 3000000u, "a refused size changes nothing");
	CHECK(!se_activity_new(16385, 1), "too wide");
	se_activity_free(self);
	se_activity_free(NULL);
}

void test_activity(void)
{
	check_video(60, 0);
	check_video(30, 0);
	check_video(24, 3);
	check_video(18, 0);
	check_others();
	check_slow_rest();
	check_slow_engine();
	check_shift();
	check_whole_at_once();
	check_two();
	check_whole();
	check_opening();
	check_changes();
	check_parity();
	check_random();
	check_rates();
}
