/* test_auto.c - modes jpeg, auto and lossless under random drawings: text, photographs, scrolls, moved windows, videos, flat areas.
 *
 * The viewer draws everything but H.264. In lossless mode it must have the source's pixels after every frame; in auto mode
 * at rest, so a copy out of a video, a repair that was forgotten or an op that covers too little shows up in the end.
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "blocks.h"
#include "check.h"
#include "clock.h"
#include "frame.h"
#include "tiles.h"
#include "viewer.h"

#define PATIENCE_MS 10000 /* under a sanitizer, on a busy machine; a healthy engine needs a fraction of a second */

struct scene {
	struct se_source *source;
	struct se_engine *engine;
	struct se_picture picture;
	struct viewer viewer;
	struct se_settings settings;
	uint32_t seed;
};

static void open_scene(struct scene *self, int mode, int width, int height)
{
	memset(self, 0, sizeof *self);
	self->settings = (struct se_settings){ mode, 420, 120, 60, 1, 92, 5, 28, 18, 0, 0, 1, 60, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 };
	self->seed = 7;
	viewer_open(&self->viewer);
	self->source = se_framebuffer_source_new(width, height);
	CHECK(self->source && se_picture_resize(&self->picture, width, height) == 0, "%s", se_error_message());
	self->engine = se_engine_new(self->source, &self->settings, 0);
	CHECK(self->engine && se_engine_start(self->engine) == SE_OK, "%s", se_error_message());
}

static void close_scene(struct scene *self)
{
	se_engine_free(self->engine);
	se_source_free(self->source);
	se_picture_free(&self->picture);
	viewer_close(&self->viewer);
}

static int take_all(struct scene *self, int quiet_ms)
{
	int count = viewer_follow(&self->viewer, self->engine, quiet_ms), code;
	const char *text;

	CHECK(!se_engine_failure(self->engine, &code, &text), "failed: %s", text);
	return count;
}

static void submit(struct scene *self)
{
	CHECK((size_t)self->picture.width * 4 == self->picture.stride, "the tests use widths without gaps");
	CHECK(se_framebuffer_source_submit(self->source, self->picture.pixels,
	                                   self->picture.stride * (size_t)self->picture.height, SE_FORMAT_BGRX, NULL, 0) == SE_OK,
	      "%s", se_error_message());
}

static bool is_exact(const struct scene *self)
{
	return self->viewer.picture.width == self->picture.width && self->viewer.picture.height == self->picture.height &&
	       viewer_difference(&self->viewer, &self->picture) == 0;
}

static void wait_exact(struct scene *self, const char *what)
{
	for (int i = 0; i < PATIENCE_MS / 20 && !is_exact(self); i++)
		take_all(self, 20);
	CHECK(is_exact(self), "%s: the picture at rest is %d off", what, viewer_difference(&self->viewer, &self->picture));
}

static struct se_rect random_rect(struct scene *self, int least)
{
	struct se_rect r = { draw_between(&self->seed, 0, self->picture.width - 1),
		                 draw_between(&self->seed, 0, self->picture.height - 1), 0, 0 };

	r.w = draw_between(&self->seed, 1, self->picture.width - r.x);
	r.h = draw_between(&self->seed, 1, self->picture.height - r.y);
	if (r.w < least && r.x + least <= self->picture.width)
		r.w = least;
	if (r.h < least && r.y + least <= self->picture.height)
		r.h = least;
	return r;
}

enum content { FLAT, TEXT, PHOTO, CONTENTS };

static void paint(struct scene *self, struct se_rect r, enum content content)
{
	uint32_t ground = draw(&self->seed) & 0xffffff, ink = draw(&self->seed) & 0xffffff;

	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++) {
			uint32_t colour = ground;

			if (content == TEXT)
				colour = y % 9 > 1 && draw(&self->seed) % 8 == 0 ? ink : ground;
			if (content == PHOTO)
				colour = ((uint32_t)(x * 2) & 255) << 16 | ((uint32_t)(y * 3) & 255) << 8 | (draw(&self->seed) & 31);
			memcpy(se_picture_at(&self->picture, x, y), &colour, 4);
		}
}

static void shift(struct scene *self, struct se_rect r, int dx, int dy)
{
	struct se_rect to = se_rect_intersect(r, (struct se_rect){ r.x + dx, r.y + dy, r.w, r.h });
	struct se_picture *p = &self->picture;

	for (int i = 0; i < to.h; i++) {
		int y = dy > 0 ? to.y + to.h - 1 - i : to.y + i;

		memmove(se_picture_at(p, to.x, y), se_picture_at(p, to.x - dx, y - dy), (size_t)to.w * 4);
	}
}

static void random_change(struct scene *self)
{
	struct se_rect rect = random_rect(self, 8);

	switch (draw(&self->seed) % 6) {
	case 0:
		shift(self, rect, draw_between(&self->seed, -40, 40), draw_between(&self->seed, -60, 60));
		break;
	case 1: /* a window is dragged: its content moves over what was there */
		shift(self, random_rect(self, 150), draw_between(&self->seed, -9, 9), draw_between(&self->seed, -9, 9));
		break;
	default:
		paint(self, rect, (enum content)(draw(&self->seed) % CONTENTS));
	}
}

/* The same engine makes something of everything: each kind of op is used. */
static void check_kinds(void)
{
	struct scene scene;
	struct se_rect page = { 0, 0, 512, 384 }, photo = { 64, 64, 256, 192 };

	open_scene(&scene, SE_MODE_AUTO, 512, 384);
	submit(&scene);
	wait_exact(&scene, "black");
	CHECK(scene.viewer.kinds[SE_OP_FILL] == 1 && scene.viewer.ops == 1, "black is %d ops", (int)scene.viewer.ops);
	paint(&scene, page, TEXT);
	submit(&scene);
	wait_exact(&scene, "text");
	CHECK(scene.viewer.kinds[SE_OP_LOSSLESS] > 0 && scene.viewer.kinds[SE_OP_JPEG] == 0, "text");
	shift(&scene, page, 0, -37);
	submit(&scene);
	wait_exact(&scene, "scroll");
	CHECK(scene.viewer.kinds[SE_OP_COPY] >= 1, "scroll");
	paint(&scene, photo, PHOTO);
	submit(&scene);
	wait_exact(&scene, "photograph");
	CHECK(scene.viewer.kinds[SE_OP_JPEG] > 0 && scene.viewer.kinds[SE_OP_H264] == 0, "photograph");
	for (int i = 0; i < 200 && !(i >= 40 && scene.viewer.kinds[SE_OP_H264] > 0); i++) {
		paint(&scene, photo, PHOTO);
		submit(&scene);
		take_all(&scene, 15);
	}
	CHECK(!se_has_h264() || scene.viewer.kinds[SE_OP_H264] > 0, "video");
	/* Moved while it plays: nothing may be copied out of it. */
	shift(&scene, page, 16, 16);
	submit(&scene);
	wait_exact(&scene, "video at rest");
	close_scene(&scene);
}

static void check_lossless(void)
{
	struct scene scene;

	open_scene(&scene, SE_MODE_LOSSLESS, 320, 240);
	for (int i = 0; i < 120; i++) {
		random_change(&scene);
		submit(&scene);
		wait_exact(&scene, "lossless");
	}
	CHECK(scene.viewer.kinds[SE_OP_JPEG] == 0 && scene.viewer.kinds[SE_OP_H264] == 0, "a lossy op");
	CHECK(scene.viewer.kinds[SE_OP_COPY] > 0 && scene.viewer.kinds[SE_OP_FILL] > 0, "copies and fills");
	close_scene(&scene);
}

static void wait_close(struct scene *self, int most, const char *what)
{
	int error = 255;

	for (int i = 0; i < PATIENCE_MS / 20 && error > most; i++) {
		take_all(self, 20);
		if (self->viewer.picture.width == self->picture.width && self->viewer.picture.height == self->picture.height)
			error = viewer_difference(&self->viewer, &self->picture);
	}
	CHECK(error <= most, "%s: the picture is %d off", what, error);
}

/* Mode jpeg copies and fills; text is JPEG, but what is smaller than a JPEG's tables is exact. */
static void check_jpeg(void)
{
	struct scene scene;
	struct se_rect page = { 0, 0, 512, 384 };
	uint64_t *kinds = scene.viewer.kinds, before;

	open_scene(&scene, SE_MODE_JPEG, 512, 384);
	scene.settings.paint_over_jpeg_quality = 100;
	scene.settings.chroma = 444;
	CHECK(se_engine_update(scene.engine, &scene.settings) == SE_OK, "%s", se_error_message());
	submit(&scene);
	wait_close(&scene, 0, "black");
	CHECK(kinds[SE_OP_FILL] == 1 && scene.viewer.ops == 1, "black is %d ops", (int)scene.viewer.ops);
	paint(&scene, page, TEXT);
	submit(&scene);
	wait_close(&scene, 8, "text");
	CHECK(kinds[SE_OP_JPEG] >= 2 && kinds[SE_OP_LOSSLESS] == 0, "text");
	take_all(&scene, 200);
	before = scene.viewer.bytes;
	shift(&scene, page, 0, -37);
	paint(&scene, (struct se_rect){ 0, 347, 512, 37 }, FLAT);
	submit(&scene);
	wait_close(&scene, 8, "scroll");
	CHECK(kinds[SE_OP_COPY] >= 1 && scene.viewer.bytes - before < 4000, "a scroll of %d bytes", (int)(scene.viewer.bytes - before));
	before = kinds[SE_OP_JPEG];
	paint(&scene, (struct se_rect){ 40, 40, 9, 14 }, TEXT);
	submit(&scene);
	wait_close(&scene, 8, "a letter");
	CHECK(kinds[SE_OP_LOSSLESS] >= 1 && kinds[SE_OP_JPEG] == before, "a letter");
	CHECK(take_all(&scene, 200) == 0, "something was sent at rest");
	scene.settings.mode = SE_MODE_AUTO;
	CHECK(se_engine_update(scene.engine, &scene.settings) == SE_OK, "%s", se_error_message());
	wait_exact(&scene, "from jpeg to auto");
	close_scene(&scene);
}

/* Mode jpeg under random drawings: whatever was copied and painted over, all of it is nearly right at rest. */
static void check_jpeg_histories(void)
{
	struct scene scene;

	open_scene(&scene, SE_MODE_JPEG, 320, 240);
	scene.settings.chroma = 444;
	scene.settings.paint_over_jpeg_quality = 100;
	for (int i = 0; i < 150; i++) {
		scene.settings.max_kbps = i / 10 % 3 == 2 ? 8000 : 0;
		scene.settings.jpeg_quality = draw_between(&scene.seed, 5, 100);
		CHECK(se_engine_update(scene.engine, &scene.settings) == SE_OK, "%s", se_error_message());
		random_change(&scene);
		submit(&scene);
		take_all(&scene, draw_between(&scene.seed, 1, 15));
		if (i % 10 == 9)
			wait_close(&scene, 12, "jpeg");
	}
	CHECK(scene.viewer.kinds[SE_OP_COPY] > 0 && scene.viewer.kinds[SE_OP_FILL] > 0, "copies and fills");
	CHECK(scene.viewer.kinds[SE_OP_H264] == 0, "H.264");
	close_scene(&scene);
}

static void resize(struct scene *self)
{
	int width = 16 * draw_between(&self->seed, 1, 26), height = draw_between(&self->seed, 1, 300);

	CHECK(se_picture_resize(&self->picture, width, height) == 0, "memory");
	CHECK(se_framebuffer_source_resize(self->source, width, height) == SE_OK, "%s", se_error_message());
	paint(self, se_picture_bounds(&self->picture), TEXT);
}

static void random_settings(struct scene *self, bool any_mode)
{
	struct se_settings *s = &self->settings;

	if (any_mode)
		s->mode = draw_between(&self->seed, SE_MODE_JPEG, SE_MODE_LOSSLESS);
	if (s->mode == SE_MODE_H264 && !se_has_h264())
		s->mode = SE_MODE_JPEG;
	s->chroma = draw(&self->seed) % 2 ? 420 : 444;
	s->colour_space = draw(&self->seed) % 2 ? 709 : 601;
	s->paint_over_colour = draw_between(&self->seed, SE_PAINT_SAME, SE_PAINT_RGB);
	s->motion_coarser = draw_between(&self->seed, 0, 12);
	s->colour_range = draw_between(&self->seed, SE_RANGE_LIMITED, SE_RANGE_FULL);
	s->jpeg_quality = draw_between(&self->seed, 10, 95);
	s->h264_crf = draw_between(&self->seed, 20, 40);
	s->stripe_height = 16 * draw_between(&self->seed, 0, 5);
	s->lossless_when_still = draw_between(&self->seed, 0, 1);
	s->max_kbps = draw(&self->seed) % 3 ? 0 : draw_between(&self->seed, 2000, 20000);
	CHECK(se_engine_update(self->engine, s) == SE_OK, "%s", se_error_message());
}

/* Who begins with a snapshot of an exact picture has exactly that, video or not. */
static void check_snapshot(struct scene *self)
{
	struct se_frame **frames;
	struct viewer newcomer;
	size_t count;

	viewer_open(&newcomer);
	take_all(self, 20);
	CHECK(se_engine_snapshot(self->engine, 0, &frames, &count) == SE_OK && count > 0, "%s", se_error_message());
	for (size_t i = 0; i < count; i++)
		viewer_apply(&newcomer, se_frame_data(frames[i]), se_frame_size(frames[i]));
	if (self->settings.mode == SE_MODE_LOSSLESS && is_exact(self))
		CHECK(viewer_difference(&newcomer, &self->picture) == 0, "a snapshot of an exact picture");
	se_frames_free(frames, count);
	viewer_close(&newcomer);
}

/* A snapshot is taken while a copy waits: it shows what the copy has led to, so the copy must not follow. */
static void check_snapshot_of_copies(void)
{
	struct scene scene;
	struct se_frame **frames, *frame;
	struct viewer newcomer;
	size_t count;

	open_scene(&scene, SE_MODE_AUTO, 320, 240);
	paint(&scene, se_picture_bounds(&scene.picture), TEXT);
	submit(&scene);
	wait_exact(&scene, "text");
	shift(&scene, se_picture_bounds(&scene.picture), 0, -50);
	submit(&scene);
	CHECK(poll(&(struct pollfd){ se_engine_fd(scene.engine), POLLIN, 0 }, 1, PATIENCE_MS) == 1, "nothing came");
	viewer_open(&newcomer);
	CHECK(se_engine_snapshot(scene.engine, 0, &frames, &count) == SE_OK && count == 1, "%s", se_error_message());
	viewer_apply(&newcomer, se_frame_data(frames[0]), se_frame_size(frames[0]));
	CHECK(viewer_difference(&newcomer, &scene.picture) == 0, "the newest picture");
	frame = se_engine_take(scene.engine);
	CHECK(frame && memcmp(se_frame_data(frame) + 8, se_frame_data(frames[0]) + 8, 4) == 0, "as of the waiting message");
	viewer_apply(&scene.viewer, se_frame_data(frame), se_frame_size(frame));
	CHECK(scene.viewer.kinds[SE_OP_COPY] > 0 && is_exact(&scene), "a copy");
	se_frame_unref(frame);
	se_frames_free(frames, count);
	viewer_close(&newcomer);
	close_scene(&scene);
}

static void check_histories(bool any_mode)
{
	struct scene scene;

	open_scene(&scene, SE_MODE_AUTO, 320, 240);
	scene.seed = any_mode ? 99 : 5;
	for (int i = 0; i < 200; i++) {
		switch (draw(&scene.seed) % 24) {
		case 0:
			resize(&scene);
			break;
		case 1:
			random_settings(&scene, any_mode);
			break;
		case 2:
			se_engine_request_key_frames(scene.engine);
			break;
		case 3:
			check_snapshot(&scene);
			break;
		case 4: { /* something plays */
			struct se_rect rect = random_rect(&scene, 96);

			for (int j = 0; j < 15; j++) {
				paint(&scene, rect, PHOTO);
				submit(&scene);
				take_all(&scene, 9);
			}
			break;
		}
		case 5: /* a consumer that is late */
			for (int j = 0; j < 4; j++) {
				random_change(&scene);
				submit(&scene);
				usleep(9000);
			}
			break;
		default:
			random_change(&scene);
		}
		submit(&scene);
		take_all(&scene, (int)(draw(&scene.seed) % 12));
	}
	scene.settings.mode = any_mode && draw(&scene.seed) % 2 ? SE_MODE_LOSSLESS : SE_MODE_AUTO;
	scene.settings.lossless_when_still = 1;
	scene.settings.max_kbps = 0;
	CHECK(se_engine_update(scene.engine, &scene.settings) == SE_OK, "%s", se_error_message());
	wait_exact(&scene, "history");
	CHECK(take_all(&scene, 300) == 0 && is_exact(&scene), "something was sent at rest");
	close_scene(&scene);
}

/* The pixels of the two dirty tiles at the top left go into a picture, and no others. */
static void check_take(struct se_tiles *tiles)
{
	static uint8_t image[50 * 400];
	struct se_picture picture = { 0 };

	memset(image, 9, sizeof image);
	CHECK(se_picture_resize(&picture, 100, 50) == SE_OK, "memory");
	se_tiles_take(tiles, (struct se_rect){ 0, 0, 31, 16 }, &picture, image, 400);
	CHECK(tiles->taken == 1, "a box that reaches out of the rectangle is not taken");
	se_tiles_take(tiles, (struct se_rect){ 0, 0, 40, 16 }, &picture, image, 400);
	CHECK(tiles->taken == 2 && *se_picture_at(&picture, 31, 15) == 9 && *se_picture_at(&picture, 32, 15) == 0 &&
	      *se_picture_at(&picture, 31, 16) == 0, "taken");
	se_picture_free(&picture);
}

/* A tile is as bad as its worst pixel, wherever it is moved. */
static void check_tiles(void)
{
	struct se_tiles tiles = { 0 };
	struct se_region region;

	CHECK(se_tiles_layout(&tiles, 100, 50, SE_TILE_EXACT, 1) == SE_OK, "memory");
	CHECK(tiles.columns == 7 && tiles.rows == 4, "%dx%d", tiles.columns, tiles.rows);
	se_tiles_sent(&tiles, (struct se_rect){ 20, 0, 4, 4 }, SE_TILE_LOSSY, 50);
	se_tiles_sent(&tiles, (struct se_rect){ 20, 0, 4, 4 }, SE_TILE_LOSSY, 80);
	CHECK(se_tile_at(&tiles, 1, 0)->quality == 50, "a part has made a tile better");
	se_tiles_sent(&tiles, (struct se_rect){ 96, 48, 4, 2 }, SE_TILE_H264, 0); /* all of the corner tile */
	se_tiles_move(&tiles, (struct se_rect){ 8, 20, 40, 16 }, 0, 20, 9);
	CHECK(se_tile_at(&tiles, 1, 1)->state == SE_TILE_LOSSY && se_tile_at(&tiles, 1, 2)->state == SE_TILE_LOSSY, "moved");
	CHECK(se_tile_at(&tiles, 4, 1)->state == SE_TILE_EXACT, "too far");
	se_tiles_worse(&tiles, SE_TILE_H264, &region);
	CHECK(region.count == 1 && region.rects[0].x == 96 && region.rects[0].h == 2, "H.264 tiles");
	se_tiles_sent(&tiles, (struct se_rect){ 0, 0, 100, 50 }, SE_TILE_EXACT, 0);
	CHECK(tiles.counts[SE_TILE_EXACT] == 28, "all exact");
	se_tiles_forget(&tiles, (struct se_rect){ 0, 0, 17, 1 }, 5);
	CHECK(tiles.dirty == 2 && se_rect_area(tiles.dirty_bounds) == 512, "forgotten");
	se_tiles_sent(&tiles, (struct se_rect){ 0, 0, 17, 16 }, SE_TILE_EXACT, 0);
	CHECK(tiles.dirty == 2, "sent as it was, not as it is to be");
	check_take(&tiles);
	se_tiles_sent(&tiles, (struct se_rect){ 0, 0, 31, 16 }, SE_TILE_EXACT, 0);
	CHECK(tiles.dirty == 1 && tiles.taken == 1 && tiles.counts[SE_TILE_UNKNOWN] == 1, "a forgotten tile is sent whole");
	se_tiles_settle(&tiles, 7);
	CHECK(tiles.dirty == 1 && tiles.taken == 0 && se_tile_at(&tiles, 1, 0)->changed_us == 7, "taken in vain");
	se_tiles_touch(&tiles, (struct se_rect){ 50, 34, 20, 3 }, 8);
	se_tiles_touch(&tiles, (struct se_rect){ 52, 33, 2, 1 }, 9);
	CHECK(tiles.dirty == 3 && se_tile_at(&tiles, 3, 2)->x0 == 2 && se_tile_at(&tiles, 3, 2)->y0 == 1 &&
	      se_tile_at(&tiles, 3, 2)->y1 == 5 && se_tile_at(&tiles, 4, 2)->x1 == 6, "touched");
	se_tiles_free(&tiles);
}

/* One rate for many frames: bytes stay near it, and the picture is right in the end. */
static void check_rate(int mode)
{
	struct scene scene;
	uint64_t before, begun;

	open_scene(&scene, mode, 512, 384);
	scene.settings.paint_over_jpeg_quality = 100;
	scene.settings.chroma = 444;
	submit(&scene);
	take_all(&scene, 50);
	scene.settings.max_kbps = 2000;
	CHECK(se_engine_update(scene.engine, &scene.settings) == SE_OK, "%s", se_error_message());
	for (int i = 0; i < 10; i++) { /* spends the first burst */
		paint(&scene, (struct se_rect){ 0, 0, 512, 384 }, TEXT);
		submit(&scene);
		take_all(&scene, 20);
	}
	before = scene.viewer.bytes;
	begun = se_now_us();
	for (int i = 0; i < 100; i++) {
		paint(&scene, (struct se_rect){ (i * 8) % 256, 0, 256, 384 }, i % 2 ? TEXT : PHOTO);
		submit(&scene);
		usleep(20000);
		take_all(&scene, 0);
	}
	/* 250 kB a second and a tenth, and what the last frames may have taken in advance. */
	CHECK(scene.viewer.bytes - before < (se_now_us() - begun) * 275 / 1000 + 65536, "%d bytes in %d ms at 2000 kbit/s",
	      (int)(scene.viewer.bytes - before), (int)((se_now_us() - begun) / 1000));
	scene.settings.max_kbps = 0;
	CHECK(se_engine_update(scene.engine, &scene.settings) == SE_OK, "%s", se_error_message());
	wait_close(&scene, mode == SE_MODE_JPEG ? 12 : 0, "rate");
	close_scene(&scene);
}

void test_auto(void)
{
	check_tiles();
	check_kinds();
	check_snapshot_of_copies();
	check_lossless();
	check_histories(false);
	check_histories(true);
	check_jpeg();
	check_jpeg_histories();
	check_rate(SE_MODE_AUTO);
	check_rate(SE_MODE_JPEG);
}
