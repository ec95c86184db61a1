/* test_failures.c - memory runs out and codecs fail, now and then or for good. The Makefile wraps the calls.
 *
 * Now and then: the engine carries on and the picture is right in the end. For good: it ends with a text, and nothing crashes.
 */
#include <string.h>

#include "check.h"
#include "error.h"
#include "failing.h"
#include "viewer.h"

struct scene {
	struct se_source *source;
	struct se_engine *engine;
	struct se_picture picture;
	struct viewer viewer;
	uint32_t seed;
	bool noise; /* what is drawn: JPEG mode sends flat rows without the codec */
};

static void open_scene(struct scene *self, int mode)
{
	struct se_settings settings = { mode, 444, 240, 60, 1, 97, 3, 30, 15, 0, 1000, 1, 200, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 };

	memset(self, 0, sizeof *self);
	self->seed = 5;
	self->noise = mode == SE_MODE_JPEG;
	viewer_open(&self->viewer);
	self->source = se_framebuffer_source_new(320, 256);
	CHECK(self->source && se_picture_resize(&self->picture, 320, 256) == 0, "%s", se_error_message());
	self->engine = se_engine_new(self->source, &settings, 0);
	CHECK(self->engine && se_engine_start(self->engine) == SE_OK, "%s", se_error_message());
}

static void close_scene(struct scene *self)
{
	se_engine_free(self->engine);
	se_source_free(self->source);
	se_picture_free(&self->picture);
	viewer_close(&self->viewer);
}

static void change(struct scene *self)
{
	struct se_rect r = { draw_between(&self->seed, 0, 250), draw_between(&self->seed, 0, 200), 60, 50 };

	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x += self->noise ? 2 : r.w)
			memset(se_picture_at(&self->picture, x, y), (int)(draw(&self->seed) % 200), (self->noise ? 2 : (size_t)r.w) * 4);
	CHECK(se_framebuffer_source_submit(self->source, self->picture.pixels, self->picture.stride * 256, SE_FORMAT_BGRX, NULL,
	                                   0) == SE_OK,
	      "%s", se_error_message());
}

static void check_now_and_then(int mode, int memory, int codec)
{
	struct scene scene;
	const char *text;
	int code;

	open_scene(&scene, mode);
	viewer_follow(&scene.viewer, scene.engine, 100); /* without memory for the picture itself there is no engine */
	failing_every(memory, codec);
	for (int i = 0; i < 60; i++) {
		struct se_frame **frames;
		size_t count;

		change(&scene);
		viewer_follow(&scene.viewer, scene.engine, 4);
		if (i % 10 == 0 && se_engine_snapshot(scene.engine, 50, &frames, &count) == SE_OK)
			se_frames_free(frames, count);
	}
	failing_every(0, 0);
	viewer_follow(&scene.viewer, scene.engine, 300);
	CHECK(!se_engine_failure(scene.engine, &code, &text), "gave up: %s", text);
	CHECK(scene.viewer.final_ops > 0, "never came to rest");
	if (mode != SE_MODE_H264) {
		code = viewer_difference(&scene.viewer, &scene.picture);
		CHECK(code <= (mode == SE_MODE_JPEG ? 48 : 0), "the picture is %d off", code);
	}
	close_scene(&scene);
}

static void check_for_good(int mode, int memory, int codec, const char *reason)
{
	struct scene scene;
	const char *text = "";
	int code;

	open_scene(&scene, mode);
	viewer_follow(&scene.viewer, scene.engine, 200);
	failing_every(memory, codec);
	change(&scene);
	for (int i = 0; i < 1000 && !se_engine_failure(scene.engine, &code, &text); i++)
		viewer_follow(&scene.viewer, scene.engine, 10); /* a repair that came late must not wait in the slot */
	failing_every(0, 0);
	CHECK(se_engine_failure(scene.engine, &code, &text) && strstr(text, reason), "\"%s\" is not about %s", text, reason);
	close_scene(&scene);
}

static void check_constructors(void)
{
	struct se_settings settings = { SE_MODE_JPEG, 444, 240, 60, 1, 97, 3, 30, 15, 0, 1000, 1, 200, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 };
	struct se_source *source = se_framebuffer_source_new(64, 64);

	failing_every(1, 0);
	CHECK(!se_framebuffer_source_new(64, 64) && strstr(se_error_message(), "memory"), "%s", se_error_message());
	CHECK(!se_pattern_source_new(64, 64, SE_PATTERN_NOISE, 60), "pattern");
	CHECK(!se_engine_new(source, &settings, 0), "engine");
	CHECK(se_framebuffer_source_resize(source, 128, 128) == SE_E_NOMEM, "resize");
	failing_every(0, 0);
	se_source_free(source);
}

void test_failures(void)
{
	static const int modes[] = { SE_MODE_JPEG, SE_MODE_H264, SE_MODE_AUTO, SE_MODE_LOSSLESS };

	check_constructors();
	for (int i = 0; i < 4; i++) {
		bool has_codec = modes[i] == SE_MODE_JPEG || modes[i] == SE_MODE_H264; /* the others draw these flat areas without */

		if (modes[i] == SE_MODE_H264 && !se_has_h264())
			continue;
		check_now_and_then(modes[i], 0, 23);
		check_now_and_then(modes[i], 9, 0);
		if (has_codec)
			check_for_good(modes[i], 0, 1, "failed");
		check_for_good(modes[i], 1, 0, "memory");
	}
}
