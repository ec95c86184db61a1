/* test_stress.c - several engines side by side under random damage, mode switches, resizes, snapshots and slow consumers.
 *
 * Each engine has two threads: one draws and turns the knobs, one takes frames, now and then late, and checks them. In the end
 * the picture comes to rest in JPEG mode and must be the source's.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "viewer.h"

#define ENGINES 3
#define STEPS 160

struct session {
	struct se_source *source;
	struct se_engine *engine;
	struct se_picture picture;
	struct viewer viewer;
	uint32_t seed, viewer_seed;
	atomic_bool resting; /* nothing changes any more */
	pthread_t driver, consumer;
};

static void random_settings(struct session *self)
{
	uint32_t *seed = &self->seed;
	struct se_settings settings = {
		/* All four. */
		.mode = draw(seed) % 2 ? draw_between(seed, SE_MODE_AUTO, SE_MODE_LOSSLESS)
		        : se_has_h264() && draw(seed) % 4 ? SE_MODE_H264 : SE_MODE_JPEG,
		.chroma = draw(seed) % 2 ? 420 : 444,
		.colour_space = draw(seed) % 2 ? 709 : 601,
		.paint_over_colour = draw_between(seed, SE_PAINT_SAME, SE_PAINT_RGB),
		.motion_coarser = draw_between(seed, 0, 12),
		.colour_range = draw_between(seed, SE_RANGE_LIMITED, SE_RANGE_FULL),
		.framerate = draw_between(seed, 30, 240),
		.jpeg_quality = draw_between(seed, 1, 100),
		.paint_over = draw_between(seed, 0, 1),
		.paint_over_jpeg_quality = draw_between(seed, 1, 100),
		.paint_over_trigger_frames = draw_between(seed, 1, 10),
		.h264_crf = draw_between(seed, 5, 50),
		.paint_over_crf = draw_between(seed, 5, 50),
		.stripe_height = 16 * draw_between(seed, 0, 6),
		.verify_interval_ms = 100,
		.lossless_when_still = draw_between(seed, 0, 1),
		.repair_delay_ms = draw_between(seed, 20, 100),
		.max_kbps = draw(seed) % 4 ? 0 : draw_between(seed, 500, 20000),
	};

	CHECK(se_engine_update(self->engine, &settings) == SE_OK, "%s", se_error_message());
}

static void random_draw(struct session *self)
{
	uint32_t *seed = &self->seed;
	struct se_rect rects[4];
	int count = draw_between(seed, 1, 4);
	struct se_picture *picture = &self->picture;

	for (int i = 0; i < count; i++) {
		struct se_rect r = { draw_between(seed, 0, picture->width - 1), draw_between(seed, 0, picture->height - 1), 0, 0 };
		bool noise = draw(seed) % 4 == 0;

		r.w = draw_between(seed, 1, picture->width - r.x);
		r.h = draw_between(seed, 1, picture->height - r.y);
		rects[i] = r;
		for (int y = r.y; y < r.y + r.h; y++)
			for (int x = r.x; x < r.x + r.w; x++) {
				uint32_t rgb = noise ? draw(seed) : 0x304050u * (uint32_t)(i + 1) + (uint32_t)x / 16;

				memcpy(se_picture_at(picture, x, y), &rgb, 4);
			}
	}
	CHECK(se_framebuffer_source_submit(self->source, picture->pixels, picture->stride * (size_t)picture->height,
	                                   SE_FORMAT_BGRX, draw(seed) % 3 ? rects : NULL, (size_t)count) == SE_OK,
	      "%s", se_error_message());
}

/* Widths are multiples of 16 for rows without gaps; heights are anything. */
static void resize(struct session *self, int width, int height)
{
	CHECK(se_picture_resize(&self->picture, width, height) == 0, "memory");
	CHECK(se_framebuffer_source_resize(self->source, width, height) == SE_OK, "%s", se_error_message());
	random_draw(self);
}

static void snapshot(struct session *self)
{
	struct se_frame **frames;
	struct viewer newcomer;
	size_t count;

	viewer_open(&newcomer);
	CHECK(se_engine_snapshot(self->engine, draw_between(&self->seed, 1, 100), &frames, &count) == SE_OK, "%s", se_error_message());
	CHECK(count >= 1, "no message");
	for (size_t i = 0; i < count; i++) {
		const uint8_t *data = se_frame_data(frames[i]);

		CHECK(data[1] == 2 && ((data[38] & 2) != 0) == (i + 1 < count), "MORE");
		if (i == 0)
			viewer_apply(&newcomer, data, se_frame_size(frames[i]));
	}
	se_frames_free(frames, count);
	viewer_close(&newcomer);
}

static void *drive(void *argument)
{
	struct session *self = argument;
	struct se_settings last = { SE_MODE_JPEG, 444, 120, 60, 1, 97, 3, 25, 18, 0, 1000, 1, 200, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 };

	for (int step = 0; step < STEPS; step++) {
		switch (draw(&self->seed) % 16) {
		case 0:
			resize(self, 16 * draw_between(&self->seed, 1, 30), draw_between(&self->seed, 1, 300));
			break;
		case 1:
		case 2:
			random_settings(self);
			break;
		case 3:
			snapshot(self);
			break;
		case 4:
			se_engine_request_key_frames(self->engine);
			break;
		case 5:
			usleep(30000);
			break;
		default:
			random_draw(self);
		}
		usleep((useconds_t)draw_between(&self->seed, 0, 8000));
	}
	CHECK(se_engine_update(self->engine, &last) == SE_OK, "%s", se_error_message());
	/* Another size: everything is sent anew, as JPEG. */
	resize(self, 16 * 20 + (self->picture.width == 320 ? 16 : 0), 250);
	CHECK(se_framebuffer_source_submit(self->source, self->picture.pixels, self->picture.stride * 250, SE_FORMAT_BGRX, NULL, 0) == SE_OK,
	      "%s", se_error_message());
	atomic_store(&self->resting, true);
	return NULL;
}

static void *consume(void *argument)
{
	struct session *self = argument;
	struct pollfd fd = { se_engine_fd(self->engine), POLLIN, 0 };
	int quiet = 0;

	while (quiet < 15) { /* an emulator takes its time */
		uint64_t count;
		struct se_frame *frame;
		struct se_cursor_copy *cursor = se_engine_cursor(self->engine);

		CHECK(!cursor, "a framebuffer has no cursor");
		if (poll(&fd, 1, 100) == 1 && read(fd.fd, &count, sizeof count) < 0)
			continue;
		frame = se_engine_take(self->engine);
		quiet = frame || !atomic_load(&self->resting) ? 0 : quiet + 1;
		if (!frame)
			continue;
		if (draw(&self->viewer_seed) % 8 == 0)
			usleep(40000);
		viewer_apply(&self->viewer, se_frame_data(frame), se_frame_size(frame));
		se_frame_unref(frame);
	}
	return NULL;
}

static void check_end(struct session *self, int index)
{
	struct se_stats stats;
	const char *text;
	int code;

	CHECK(!se_engine_failure(self->engine, &code, &text), "engine %d failed: %s", index, text);
	se_engine_stats(self->engine, &stats);
	CHECK(stats.frames == self->viewer.messages && stats.bytes == self->viewer.bytes, "counters");
	CHECK(self->viewer.final_ops > 0, "nothing was painted over");
	CHECK(!se_has_h264() || self->viewer.h264_ops > 0, "H.264 was never used");
	/* Noise at quality 97 is a few dozen off at worst; a stripe that was never sent is 255 off. */
	code = viewer_difference(&self->viewer, &self->picture);
	CHECK(code <= 48, "engine %d: the picture at rest is %d off", index, code);
	printf("   engine %d: %d frames, %d ops (%d H.264, %d key), %d late, worst error %d\n", index, (int)stats.frames,
	       (int)stats.ops, (int)self->viewer.h264_ops, (int)self->viewer.key_frames, (int)stats.dropped, code);
}

void test_stress(void)
{
	static struct session sessions[ENGINES];
	struct se_settings first = { SE_MODE_JPEG, 420, 60, 70, 1, 92, 5, 25, 18, 0, 100, 1, 200, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 };

	for (int i = 0; i < ENGINES; i++) {
		struct session *self = &sessions[i];

		self->seed = 1000003u * (uint32_t)(i + 1);
		self->viewer_seed = 77u + (uint32_t)i;
		viewer_open(&self->viewer);
		self->source = se_framebuffer_source_new(320, 240);
		CHECK(self->source && se_picture_resize(&self->picture, 320, 240) == 0, "%s", se_error_message());
		self->engine = se_engine_new(self->source, &first, 1);
		CHECK(self->engine && se_engine_start(self->engine) == SE_OK, "%s", se_error_message());
		CHECK(pthread_create(&self->driver, NULL, drive, self) == 0, "thread");
		CHECK(pthread_create(&self->consumer, NULL, consume, self) == 0, "thread");
	}
	for (int i = 0; i < ENGINES; i++) {
		pthread_join(sessions[i].driver, NULL);
		pthread_join(sessions[i].consumer, NULL);
		check_end(&sessions[i], i);
		se_engine_free(sessions[i].engine);
		se_source_free(sessions[i].source);
		se_picture_free(&sessions[i].picture);
		viewer_close(&sessions[i].viewer);
	}
}
