/* test_engine.c - one engine, step by step: what is sent when, and what is not. */
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "frame.h"
#include "viewer.h"

static const struct se_settings plain = { SE_MODE_JPEG, 444, 60, 95, 0, 96, 6, 25, 18, 0, 1000, 1, 200, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 };

static bool wait_readable(struct se_engine *engine, int ms)
{
	struct pollfd fd = { se_engine_fd(engine), POLLIN, 0 };
	uint64_t count;

	if (poll(&fd, 1, ms) != 1)
		return false;
	return read(fd.fd, &count, sizeof count) == sizeof count;
}

/* What wait_readable has consumed is still to be taken. */
static void signal_again(struct se_engine *engine)
{
	uint64_t one = 1;

	CHECK(write(se_engine_fd(engine), &one, sizeof one) == sizeof one, "eventfd");
}

static void fill(struct se_picture *picture, struct se_rect rect, uint32_t rgb)
{
	for (int y = rect.y; y < rect.y + rect.h; y++)
		for (int x = rect.x; x < rect.x + rect.w; x++) {
			uint8_t *at = se_picture_at(picture, x, y);

			at[0] = (uint8_t)rgb;
			at[1] = (uint8_t)(rgb >> 8);
			at[2] = (uint8_t)(rgb >> 16);
		}
}

static void submit(struct se_source *source, const struct se_picture *picture, const struct se_rect *rects, size_t n)
{
	CHECK((size_t)picture->width * 4 == picture->stride, "the tests use widths without gaps");
	CHECK(se_framebuffer_source_submit(source, picture->pixels, picture->stride * (size_t)picture->height,
	                                   SE_FORMAT_BGRX, rects, n) == SE_OK,
	      "%s", se_error_message());
}

/* What JPEG has losses of. */
static void gravel(struct se_picture *picture, struct se_rect rect, uint32_t *seed)
{
	for (int y = rect.y; y < rect.y + rect.h; y += 4)
		for (int x = rect.x; x < rect.x + rect.w; x += 4)
			fill(picture, (struct se_rect){ x, y, 3, 3 }, draw(seed));
}

static void check_changes(void)
{
	struct se_source *source = se_framebuffer_source_new(320, 200);
	struct se_engine *engine = se_engine_new(source, &plain, 1);
	struct se_picture picture = { 0 };
	struct se_rect rect = { 100, 70, 30, 20 };
	struct viewer viewer;
	struct se_stats before, after;

	viewer_open(&viewer);
	CHECK(engine && se_picture_resize(&picture, 320, 200) == 0, "%s", se_error_message());
	fill(&picture, (struct se_rect){ 0, 0, 320, 200 }, 0x406080);
	submit(source, &picture, NULL, 0);
	CHECK(se_engine_take(engine) == NULL, "a frame before start");
	CHECK(se_engine_start(engine) == SE_OK && se_engine_start(engine) == SE_OK, "%s", se_error_message());
	CHECK(viewer_follow(&viewer, engine, 150) == 1 && viewer.ops == 1 && viewer.kinds[SE_OP_FILL] == 1, "the first frame is one fill");
	CHECK(viewer_difference(&viewer, &picture) <= 3, "first picture");

	/* A change inside one stripe is one op of just that size. */
	fill(&picture, rect, 0xd02020);
	submit(source, &picture, NULL, 0);
	CHECK(viewer_follow(&viewer, engine, 150) == 1 && viewer.ops == 2, "one op, not %d", (int)viewer.ops - 1);
	CHECK(viewer_difference(&viewer, &picture) <= 8, "changed picture");

	/* The same pixels again are nothing, and at rest nothing wakes the engine. */
	submit(source, &picture, NULL, 0);
	CHECK(viewer_follow(&viewer, engine, 150) == 0, "sent what had not changed");
	se_engine_stats(engine, &before);
	usleep(300000);
	se_engine_stats(engine, &after);
	CHECK(after.wakeups == before.wakeups, "%d wake-ups at rest", (int)(after.wakeups - before.wakeups));
	CHECK(after.frames == 2 && after.latency_count == 2 && after.cpu_ns > 0, "counters");

	/* Outside of the damage nothing is looked at. */
	fill(&picture, (struct se_rect){ 0, 0, 10, 10 }, 0x00ff00);
	submit(source, &picture, &(struct se_rect){ 200, 150, 20, 20 }, 1);
	CHECK(viewer_follow(&viewer, engine, 100) == 0, "looked outside of the damage");

	CHECK(se_engine_stop(engine) == SE_OK && se_engine_stop(engine) == SE_OK, "stop");
	CHECK(se_engine_start(engine) == SE_E_STATE, "started again");
	se_engine_free(engine);
	se_source_free(source);
	viewer_close(&viewer);
	se_picture_free(&picture);
}

static void check_late_consumer_and_paint_over(void)
{
	struct se_settings settings = plain;
	struct se_source *source = se_framebuffer_source_new(320, 200);
	struct se_engine *engine;
	struct se_picture picture = { 0 };
	struct viewer viewer;
	struct se_stats stats;
	uint32_t seed = 5;

	settings.paint_over = 1;
	settings.jpeg_quality = 30;
	engine = se_engine_new(source, &settings, 0);
	viewer_open(&viewer);
	CHECK(engine && se_picture_resize(&picture, 320, 200) == 0 && se_engine_start(engine) == SE_OK, "start");
	CHECK(wait_readable(engine, 1000), "no first frame");
	for (int i = 0; i < 20; i++) {
		gravel(&picture, (struct se_rect){ i * 8, 8, 160, 48 }, &seed);
		submit(source, &picture, &(struct se_rect){ 0, 0, 320, 64 }, 1);
		usleep(5000);
	}
	se_engine_stats(engine, &stats);
	CHECK(stats.frames == 1 && stats.dropped == 1, "%d frames made for a late consumer", (int)stats.frames);
	signal_again(engine);
	CHECK(viewer_follow(&viewer, engine, 300) >= 3, "first, merged, painted over");
	CHECK(viewer.kinds[SE_OP_JPEG] >= 2 && viewer.final_ops >= 1, "%d ops painted over", (int)viewer.final_ops);
	CHECK(viewer_difference(&viewer, &picture) <= 24, "%d off", viewer_difference(&viewer, &picture));
	se_engine_stats(engine, &stats);
	CHECK(viewer.messages == stats.frames && viewer.bytes == stats.bytes && viewer.ops == stats.ops, "counters");
	se_engine_free(engine);
	se_source_free(source);
	viewer_close(&viewer);
	se_picture_free(&picture);
}

static void check_snapshot_and_failure(void)
{
	struct se_source *source = se_framebuffer_source_new(320, 200);
	struct se_engine *engine = se_engine_new(source, &plain, 0);
	struct se_picture picture = { 0 };
	struct se_frame **frames;
	struct viewer viewer;
	const char *text;
	size_t count;
	int code;

	viewer_open(&viewer);
	CHECK(engine && se_picture_resize(&picture, 320, 200) == 0, "%s", se_error_message());
	fill(&picture, (struct se_rect){ 30, 30, 100, 100 }, 0x80ff20);
	submit(source, &picture, NULL, 0);
	CHECK(se_engine_snapshot(engine, 0, &frames, &count) == SE_E_STATE, "a snapshot without a thread");
	CHECK(se_engine_start(engine) == SE_OK && wait_readable(engine, 1000), "start");
	/* The first frame waits to be taken: the snapshot is as of 0, and the frame applies on top of it. */
	CHECK(se_engine_snapshot(engine, 101, &frames, &count) == SE_E_INVALID, "quality 101");
	CHECK(se_engine_snapshot(engine, 98, &frames, &count) == SE_OK && count == 1, "%s", se_error_message());
	CHECK(memcmp(se_frame_data(frames[0]) + 8, "\0\0\0", 4) == 0, "as of");
	viewer_apply(&viewer, se_frame_data(frames[0]), se_frame_size(frames[0]));
	CHECK(viewer_difference(&viewer, &picture) <= 12, "snapshot is %d off", viewer_difference(&viewer, &picture));
	se_frames_free(frames, count);
	signal_again(engine);
	CHECK(viewer_follow(&viewer, engine, 100) == 1, "the first frame");

	CHECK(!se_engine_failure(engine, &code, &text), "failed early");
	CHECK(se_framebuffer_source_fail(source, "the cable was pulled") == SE_OK, "fail");
	CHECK(wait_readable(engine, 1000), "no signal of the failure");
	CHECK(se_engine_failure(engine, &code, &text) && code == SE_E_SOURCE && strcmp(text, "the cable was pulled") == 0, "failure");
	CHECK(se_engine_snapshot(engine, 90, &frames, &count) == SE_E_STATE && strstr(se_error_message(), "cable"), "%s",
	      se_error_message());
	se_engine_free(engine);
	se_source_free(source);
	viewer_close(&viewer);
	se_picture_free(&picture);
}

/* Parts of the picture, whole and with fewer pixels. Outside of them nothing is sent. */
static void check_repair(void)
{
	struct se_source *source = se_framebuffer_source_new(320, 200);
	struct se_engine *engine = se_engine_new(source, &plain, 0);
	struct se_rect rects[2] = { { 64, 64, 128, 64 }, { 256, 128, 640, 640 } }, outside = { 400, 0, 10, 10 };
	struct se_picture picture = { 0 }, shown = { 0 };
	struct se_frame **frames;
	struct viewer viewer;
	size_t count;

	viewer_open(&viewer);
	CHECK(engine && se_picture_resize(&picture, 320, 200) == 0 && se_picture_resize(&shown, 320, 200) == 0, "%s", se_error_message());
	submit(source, &picture, NULL, 0);
	CHECK(se_engine_start(engine) == SE_OK && viewer_follow(&viewer, engine, 100) == 1, "start");
	fill(&picture, (struct se_rect){ 0, 0, 320, 200 }, 0x80ff20);
	submit(source, &picture, NULL, 0);
	CHECK(wait_readable(engine, 1000), "a change");
	CHECK(se_engine_repair(engine, 0, 3, rects, 2, &frames, &count) == SE_E_INVALID, "shrunk by 3");
	CHECK(se_engine_repair(engine, 0, 1, rects, 0, &frames, &count) == SE_E_INVALID, "of nothing");
	CHECK(se_engine_repair(engine, 0, 1, NULL, 1, &frames, &count) == SE_E_INVALID, "of NULL");
	CHECK(se_engine_repair(engine, 0, 1, &outside, 1, &frames, &count) == SE_OK && count == 1, "%s", se_error_message());
	CHECK(memcmp(se_frame_data(frames[0]) + 36, "\0\0\4", 4) == 0, "no op, PARTIAL");
	se_frames_free(frames, count);
	for (int shrink = 1; shrink <= 4; shrink *= 2) {
		fill(&shown, (struct se_rect){ 0, 0, 320, 200 }, 0);
		CHECK(se_picture_resize(&viewer.picture, 320, 200) == 0, "black");
		fill(&viewer.picture, (struct se_rect){ 0, 0, 320, 200 }, 0);
		CHECK(se_engine_repair(engine, 98, shrink, rects, 2, &frames, &count) == SE_OK && count >= 2, "%s", se_error_message());
		for (size_t i = 0; i < count; i++)
			viewer_apply(&viewer, se_frame_data(frames[i]), se_frame_size(frames[i]));
		se_frames_free(frames, count);
		fill(&shown, rects[0], 0x80ff20);
		fill(&shown, (struct se_rect){ 256, 128, 64, 72 }, 0x80ff20);
		CHECK(viewer_difference(&viewer, &shown) <= 12, "shrunk by %d: %d off", shrink, viewer_difference(&viewer, &shown));
	}
	se_engine_free(engine);
	se_source_free(source);
	viewer_close(&viewer);
	se_picture_free(&picture);
	se_picture_free(&shown);
}

/* In a pause nothing is sent; a snapshot after it shows what has changed meanwhile, as of the frame that brings it. */
static void check_pause(void)
{
	struct se_source *source = se_framebuffer_source_new(320, 200);
	struct se_engine *engine = se_engine_new(source, &plain, 0);
	struct se_picture picture = { 0 };
	struct se_frame **frames;
	struct viewer viewer, newcomer;
	struct se_stats stats;
	size_t count;

	viewer_open(&viewer);
	viewer_open(&newcomer);
	CHECK(engine && se_picture_resize(&picture, 320, 200) == 0, "%s", se_error_message());
	submit(source, &picture, NULL, 0);
	CHECK(se_engine_start(engine) == SE_OK && viewer_follow(&viewer, engine, 100) == 1, "start");
	se_engine_pause(engine, 1);
	for (int i = 0; i < 10; i++) {
		fill(&picture, (struct se_rect){ 0, 0, 320, 200 }, 0x102030u * (uint32_t)(i + 1));
		submit(source, &picture, NULL, 0);
		CHECK(!wait_readable(engine, 10), "a frame in the pause");
	}
	se_engine_stats(engine, &stats);
	CHECK(stats.frames == 1 && stats.scans == 0, "%d frames, %d scans", (int)stats.frames, (int)stats.scans);
	se_engine_pause(engine, 0);
	CHECK(wait_readable(engine, 1000), "what has changed");
	CHECK(viewer_follow(&viewer, engine, 0) == 0, "nothing is signalled twice");
	signal_again(engine);
	CHECK(viewer_follow(&viewer, engine, 100) == 1 && viewer_difference(&viewer, &picture) <= 3, "the last picture");
	CHECK(se_engine_snapshot(engine, 98, &frames, &count) == SE_OK && count == 1, "%s", se_error_message());
	viewer_apply(&newcomer, se_frame_data(frames[0]), se_frame_size(frames[0]));
	CHECK(viewer_difference(&newcomer, &picture) <= 12, "as it is now");
	se_frames_free(frames, count);
	/* A pause in which nothing changes. */
	se_engine_pause(engine, 1);
	se_engine_pause(engine, 0);
	CHECK(se_engine_snapshot(engine, 98, &frames, &count) == SE_OK && count == 1, "%s", se_error_message());
	se_frames_free(frames, count);
	CHECK(!wait_readable(engine, 100), "nothing was to be sent");
	se_engine_free(engine);
	se_source_free(source);
	viewer_close(&viewer);
	viewer_close(&newcomer);
	se_picture_free(&picture);
}

/* A forked child may close what it inherited, and exits at once. */
static void check_fork(void)
{
	struct se_source *source = se_pattern_source_new(640, 480, SE_PATTERN_SCROLL, 60);
	struct se_engine *engine = se_engine_new(source, &plain, 0);
	int status;
	pid_t child;

	CHECK(engine && se_engine_start(engine) == SE_OK && wait_readable(engine, 1000), "start");
	child = fork();
	if (child == 0) {
		se_engine_stop(engine);
		se_engine_free(engine);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ended with %d", status);
	se_engine_free(engine);
	se_source_free(source);
}

static void check_bad_arguments(void)
{
	struct se_source *source = se_framebuffer_source_new(64, 64);
	struct se_rect outside = { 60, 0, 5, 1 };
	uint8_t pixels[64 * 64 * 4] = { 0 };

	CHECK(!se_engine_new(NULL, &plain, 0), "no source");
	CHECK(!se_framebuffer_source_new(0, 5) && !se_framebuffer_source_new(5, 20000), "size");
	CHECK(!se_pattern_source_new(64, 64, 9, 60) && !se_pattern_source_new(64, 64, SE_PATTERN_NOISE, 0), "pattern");
	CHECK(se_framebuffer_source_submit(source, pixels, 5, SE_FORMAT_BGRX, NULL, 0) == SE_E_INVALID, "short");
	CHECK(se_framebuffer_source_submit(source, pixels, sizeof pixels, 9, NULL, 0) == SE_E_INVALID, "format");
	CHECK(se_framebuffer_source_submit(source, pixels, sizeof pixels, SE_FORMAT_BGRX, &outside, 1) == SE_E_INVALID, "outside");
	CHECK(strstr(se_error_message(), "not inside"), "%s", se_error_message());
	CHECK(se_framebuffer_source_resize(source, -1, 4) == SE_E_INVALID, "resize");
	se_source_free(source);
	se_source_free(NULL);
	se_engine_free(NULL);
	se_frame_unref(NULL);
}

void test_engine(void)
{
	check_bad_arguments();
	check_changes();
	check_late_consumer_and_paint_over();
	check_snapshot_and_failure();
	check_repair();
	check_pause();
	check_fork();
}
