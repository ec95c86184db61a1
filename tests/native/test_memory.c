/* test_memory.c - memory runs out once, at each request in turn: the n-th fails, for n = 1, 2, … until a run asks for fewer.
 *
 * Whatever it was, the engine carries on, and the picture comes to rest as the source has it. A call that failed says that it
 * was memory, and succeeds when made again.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "failing.h"
#include "frame.h"
#include "viewer.h"

#define PATIENCE_MS 10000
#define SIDE_BY_SIDE 8
#define REQUESTS_MOST 2000 /* no script asks as often: one more is a script that never ends */

/* Each under AddressSanitizer, which tells of what leaks; elsewhere some do, in an emulator fewer. */
#if defined(MEMORY_STRIDE)
#define STRIDE MEMORY_STRIDE
#elif !defined(__SANITIZE_ADDRESS__)
#define STRIDE 5
#else
#define STRIDE 1
#endif

enum { REACHED = 40, PAST_THE_LAST = 41 }; /* how a process with a script ends */

struct scene {
	struct se_source *source;
	struct se_engine *engine;
	struct se_picture picture;
	struct viewer viewer;
	int mode, tolerance; /* largest difference at rest */
	uint32_t seed;
};

static const struct se_settings base = {
	.chroma = 444, .colour_space = 709, .framerate = 240, .jpeg_quality = 60, .paint_over = 1, .paint_over_jpeg_quality = 97,
	.paint_over_trigger_frames = 2, .h264_crf = 30, .paint_over_crf = 15, .lossless_when_still = 1, .repair_delay_ms = 20,
};

static void check_text(int code)
{
	CHECK(code == SE_E_NOMEM && strstr(se_error_message(), "memory"), "code %d: %s", code, se_error_message());
}

/* Makes an object by `expression`, which may fail once. */
#define MAKE(object, expression)          \
	do {                                  \
		(object) = (expression);          \
		if (!(object)) {                  \
			check_text(SE_E_NOMEM);       \
			(object) = (expression);      \
		}                                 \
		CHECK(object, "%s", se_error_message()); \
	} while (0)

/* In h264 the picture ends exact, for the viewer decodes no H.264. */
static struct se_settings settings_of(int mode, int stripe_height)
{
	struct se_settings settings = base;

	settings.mode = mode;
	settings.stripe_height = stripe_height;
	settings.paint_over_colour = mode == SE_MODE_H264 ? SE_PAINT_RGB : SE_PAINT_SAME;
	return settings;
}

static void open_scene(struct scene *self, int mode)
{
	struct se_settings settings = settings_of(mode, 0);

	*self = (struct scene){ .mode = mode, .tolerance = mode == SE_MODE_JPEG ? 24 : 0, .seed = 3 };
	failing_spare(true);
	viewer_open(&self->viewer);
	CHECK(se_picture_resize(&self->picture, 256, 192) == SE_OK, "%s", se_error_message());
	failing_spare(false);
	MAKE(self->source, se_framebuffer_source_new(256, 192));
	MAKE(self->engine, se_engine_new(self->source, &settings, 0));
	CHECK(se_engine_start(self->engine) == SE_OK, "%s", se_error_message());
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

	CHECK(!se_engine_failure(self->engine, &code, &text), "gave up: %s", text);
	return count;
}

static bool has_size(const struct scene *self)
{
	return self->viewer.picture.width == self->picture.width && self->viewer.picture.height == self->picture.height;
}

static bool at_rest(const struct scene *self)
{
	return has_size(self) && viewer_difference(&self->viewer, &self->picture) <= self->tolerance;
}

static void settle(struct scene *self, const char *what)
{
	CHECK(se_framebuffer_source_submit(self->source, self->picture.pixels, self->picture.stride * (size_t)self->picture.height,
	                                   SE_FORMAT_BGRX, NULL, 0) == SE_OK,
	      "%s", se_error_message());
	for (int i = 0; i < PATIENCE_MS / 5 && !at_rest(self); i++)
		take_all(self, 5);
	CHECK(at_rest(self), "mode %d, %s: the picture at rest is %d off", self->mode, what,
	      viewer_difference(&self->viewer, &self->picture));
}

static void draw_text(struct scene *self)
{
	for (int y = 0; y < self->picture.height; y++)
		for (int x = 0; x < self->picture.width; x++)
			memset(se_picture_at(&self->picture, x, y), y % 9 > 1 && draw(&self->seed) % 8 == 0 ? 20 : 230, 4);
}

static void draw_photo(struct scene *self, struct se_rect r)
{
	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++) {
			uint32_t colour = (uint32_t)(x & 255) << 16 | (uint32_t)(y & 255) << 8 | (draw(&self->seed) & 31);

			memcpy(se_picture_at(&self->picture, x, y), &colour, 4);
		}
}

static void scroll(struct scene *self, int rows)
{
	struct se_picture *p = &self->picture;

	memmove(p->pixels, p->pixels + (size_t)rows * p->stride, (size_t)(p->height - rows) * p->stride);
}

static void resize(struct scene *self, int width, int height)
{
	int code = se_framebuffer_source_resize(self->source, width, height);

	if (code < 0) {
		check_text(code);
		code = se_framebuffer_source_resize(self->source, width, height);
	}
	CHECK(code == SE_OK, "%s", se_error_message());
	failing_spare(true);
	CHECK(se_picture_resize(&self->picture, width, height) == SE_OK, "%s", se_error_message());
	failing_spare(false);
}

static void snapshot(struct scene *self)
{
	struct se_frame **frames;
	size_t count;
	int code = se_engine_snapshot(self->engine, 0, &frames, &count);

	if (code < 0) {
		check_text(code);
		code = se_engine_snapshot(self->engine, 0, &frames, &count);
	}
	CHECK(code == SE_OK && count > 0, "%s", se_error_message());
	se_frames_free(frames, count);
}

static void update(struct scene *self, int mode, int stripe_height)
{
	struct se_settings settings = settings_of(mode, stripe_height);

	self->mode = mode;
	CHECK(se_engine_update(self->engine, &settings) == SE_OK, "%s", se_error_message());
}

/* Everything a screen does but videos: each kind of op, a larger screen, a newcomer, other settings. */
static void run_screen(int mode, unsigned n)
{
	struct scene scene;

	failing_at(n);
	open_scene(&scene, mode);
	draw_text(&scene);
	settle(&scene, "text");
	scroll(&scene, 24);
	settle(&scene, "scroll");
	draw_photo(&scene, (struct se_rect){ 16, 16, 160, 128 });
	settle(&scene, "photograph");
	snapshot(&scene);
	resize(&scene, 320, 256);
	draw_photo(&scene, (struct se_rect){ 0, 0, 320, 256 });
	settle(&scene, "larger");
	update(&scene, mode, 32);
	draw_text(&scene);
	settle(&scene, "other stripes");
	failing_at(0);
	close_scene(&scene);
}

/* A region in which a video plays, then comes to rest; only what it asks for once it has begun counts. */
static void run_video(int mode, unsigned n)
{
	struct scene scene;

	failing_at(0);
	open_scene(&scene, mode);
	draw_text(&scene);
	settle(&scene, "text");
	failing_at(n);
	for (int i = 0; i < 300 && !(i >= 16 && scene.viewer.kinds[SE_OP_H264] > 2); i++) {
		draw_photo(&scene, (struct se_rect){ 32, 32, 192, 128 });
		CHECK(se_framebuffer_source_submit(scene.source, scene.picture.pixels, scene.picture.stride * 192, SE_FORMAT_BGRX, NULL,
		                                   0) == SE_OK,
		      "%s", se_error_message());
		take_all(&scene, 8);
	}
	CHECK(!se_has_h264() || scene.viewer.kinds[SE_OP_H264] > 2, "no video");
	settle(&scene, "video at rest");
	failing_at(0);
	close_scene(&scene);
}

/* From each mode to each other, for what they hand over is allocated anew. */
static void run_modes(int mode, unsigned n)
{
	struct scene scene;

	failing_at(n);
	open_scene(&scene, mode);
	for (int next = SE_MODE_JPEG; next <= SE_MODE_LOSSLESS; next++) {
		if (next == SE_MODE_H264 && !se_has_h264())
			continue;
		scene.tolerance = next == SE_MODE_JPEG ? 24 : 0;
		update(&scene, next, 0);
		draw_text(&scene);
		draw_photo(&scene, (struct se_rect){ 64, 64, 128, 64 });
		settle(&scene, "another mode");
	}
	failing_at(0);
	close_scene(&scene);
}

/* One process for each request, for the scripts wait more than they work: several side by side. */
static pid_t begin(void (*run)(int mode, unsigned n), int mode, unsigned n)
{
	pid_t pid = fork();

	CHECK(pid >= 0, "fork");
	if (pid > 0)
		return pid;
	run(mode, n);
	exit(failing_reached() ? REACHED : PAST_THE_LAST); /* by way of the leak checker, where there is one */
}

static void run_each(const char *name, void (*run)(int mode, unsigned n), int mode)
{
	uint64_t begun = se_now_us();
	unsigned n = 1, count = 0;
	bool last = false;

	while (!last) {
		pid_t pids[SIDE_BY_SIDE];

		for (int i = 0; i < SIDE_BY_SIDE; i++, n += STRIDE)
			pids[i] = begin(run, mode, n);
		for (int i = 0; i < SIDE_BY_SIDE; i++) {
			int status;

			CHECK(waitpid(pids[i], &status, 0) == pids[i], "wait");
			CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == REACHED || WEXITSTATUS(status) == PAST_THE_LAST),
			      "%s, mode %d: without request %u it ended with status %d", name, mode,
			      n - (unsigned)(SIDE_BY_SIDE - i) * STRIDE, status);
			last = last || WEXITSTATUS(status) == PAST_THE_LAST;
			count += WEXITSTATUS(status) == REACHED;
		}
		CHECK(n < REQUESTS_MOST, "%s: it never ends", name);
	}
	CHECK(count * STRIDE > 20, "%s: %u requests", name, count);
	printf("   %s, mode %d: %u requests failed, one by one, in %.1f s\n", name, mode, count,
	       (double)(se_now_us() - begun) / 1e6);
}

void test_memory(void)
{
#ifdef __SANITIZE_THREAD__
	printf("   left out: ThreadSanitizer follows no process that forks with threads\n");
	return;
#endif
	run_each("screen", run_screen, SE_MODE_AUTO);
	run_each("video", run_video, SE_MODE_AUTO);
	run_each("screen", run_screen, SE_MODE_LOSSLESS);
	run_each("screen", run_screen, SE_MODE_JPEG);
	if (se_has_h264())
		run_each("screen", run_screen, SE_MODE_H264);
	run_each("modes", run_modes, SE_MODE_AUTO);
}
