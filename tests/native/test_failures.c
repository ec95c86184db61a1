/* test_failures.c - memory runs out and codecs fail, now and then or for good. The Makefile wraps the calls.
 *
 * Now and then: the engine carries on and the picture is right in the end. For good: it ends with a text, and nothing crashes.
 */
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <turbojpeg.h>
#include <unistd.h>

#include "check.h"
#include "error.h"
#include "viewer.h"

static atomic_int one_in;       /* every that many-th wrapped call fails; 0: none */
static atomic_int codec_one_in; /* likewise for encoders */
static atomic_uint calls, codec_calls;

static bool fails(atomic_int *share, atomic_uint *count)
{
	int every = atomic_load(share);

	return every > 0 && atomic_fetch_add(count, 1) % (unsigned)every == (unsigned)every - 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_tjCompress2(tjhandle handle, const unsigned char *pixels, int width, int pitch, int height, int format,
                       unsigned char **jpeg, unsigned long *size, int sampling, int quality, int flags);

void *__wrap_malloc(size_t size)
{
	return fails(&one_in, &calls) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails(&one_in, &calls) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return fails(&one_in, &calls) ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails(&one_in, &calls) ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_tjCompress2(tjhandle handle, const unsigned char *pixels, int width, int pitch, int height, int format,
                       unsigned char **jpeg, unsigned long *size, int sampling, int quality, int flags)
{
	if (fails(&codec_one_in, &codec_calls))
		return -1;
	return __real_tjCompress2(handle, pixels, width, pitch, height, format, jpeg, size, sampling, quality, flags);
}

#if SE_WITH_X264
#include <x264.h>

int __real_x264_encoder_encode(x264_t *encoder, x264_nal_t **units, int *count, x264_picture_t *in, x264_picture_t *out);

int __wrap_x264_encoder_encode(x264_t *encoder, x264_nal_t **units, int *count, x264_picture_t *in, x264_picture_t *out)
{
	if (fails(&codec_one_in, &codec_calls))
		return -1;
	return __real_x264_encoder_encode(encoder, units, count, in, out);
}
#endif

struct scene {
	struct se_source *source;
	struct se_engine *engine;
	struct se_picture picture;
	struct viewer viewer;
	uint32_t seed;
};

static void open_scene(struct scene *self, int mode)
{
	struct se_settings settings = { mode, 444, 240, 60, 1, 97, 3, 30, 15, 0, 1000, 1, 200, 0 };

	memset(self, 0, sizeof *self);
	self->seed = 5;
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
		memset(se_picture_at(&self->picture, r.x, y), (int)(draw(&self->seed) % 200), (size_t)r.w * 4);
	CHECK(se_framebuffer_source_submit(self->source, self->picture.pixels, self->picture.stride * 256, SE_FORMAT_BGRX, NULL,
	                                   0) == SE_OK,
	      "%s", se_error_message());
}

/* The taker's own memory must not fail: only what runs on other threads meanwhile does. */
static int take_all(struct scene *self, int quiet_ms)
{
	struct pollfd fd = { se_engine_fd(self->engine), POLLIN, 0 };
	int count = 0;

	while (poll(&fd, 1, quiet_ms) == 1) {
		uint64_t signals;
		struct se_frame *frame;

		CHECK(read(fd.fd, &signals, sizeof signals) == sizeof signals, "eventfd");
		while ((frame = se_engine_take(self->engine))) {
			int memory = atomic_exchange(&one_in, 0);

			viewer_apply(&self->viewer, se_frame_data(frame), se_frame_size(frame));
			atomic_store(&one_in, memory);
			se_frame_unref(frame);
			count++;
		}
		if (se_engine_failure(self->engine, &(int){ 0 }, &(const char *){ NULL }))
			break;
	}
	return count;
}

static void check_now_and_then(int mode, int memory, int codec)
{
	struct scene scene;
	const char *text;
	int code;

	open_scene(&scene, mode);
	take_all(&scene, 100); /* without memory for the picture itself there is no engine */
	atomic_store(&one_in, memory);
	atomic_store(&codec_one_in, codec);
	for (int i = 0; i < 60; i++) {
		struct se_frame **frames;
		size_t count;

		change(&scene);
		take_all(&scene, 4);
		if (i % 10 == 0 && se_engine_snapshot(scene.engine, 50, &frames, &count) == SE_OK)
			se_frames_free(frames, count);
	}
	atomic_store(&one_in, 0);
	atomic_store(&codec_one_in, 0);
	take_all(&scene, 300);
	CHECK(!se_engine_failure(scene.engine, &code, &text), "gave up: %s", text);
	CHECK(scene.viewer.final_ops > 0, "never came to rest");
	if (mode != SE_MODE_H264) {
		code = viewer_difference(&scene.viewer, &scene.picture);
		CHECK(code <= (mode == SE_MODE_JPEG ? 24 : 0), "the picture is %d off", code);
	}
	close_scene(&scene);
}

static void check_for_good(int mode, int memory, int codec, const char *reason)
{
	struct scene scene;
	const char *text = "";
	int code;

	open_scene(&scene, mode);
	take_all(&scene, 200);
	atomic_store(&one_in, memory);
	atomic_store(&codec_one_in, codec);
	change(&scene);
	for (int i = 0; i < 200 && !se_engine_failure(scene.engine, &code, &text); i++)
		usleep(10000);
	atomic_store(&one_in, 0);
	atomic_store(&codec_one_in, 0);
	CHECK(se_engine_failure(scene.engine, &code, &text) && strstr(text, reason), "\"%s\" is not about %s", text, reason);
	close_scene(&scene);
}

static void check_constructors(void)
{
	struct se_settings settings = { SE_MODE_JPEG, 444, 240, 60, 1, 97, 3, 30, 15, 0, 1000, 1, 200, 0 };
	struct se_source *source = se_framebuffer_source_new(64, 64);

	atomic_store(&one_in, 1);
	CHECK(!se_framebuffer_source_new(64, 64) && strstr(se_error_message(), "memory"), "%s", se_error_message());
	CHECK(!se_pattern_source_new(64, 64, SE_PATTERN_NOISE, 60), "pattern");
	CHECK(!se_engine_new(source, &settings, 0), "engine");
	CHECK(se_framebuffer_source_resize(source, 128, 128) == SE_E_NOMEM, "resize");
	atomic_store(&one_in, 0);
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
