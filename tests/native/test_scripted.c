/* test_scripted.c - a source that does what the test says: unreported changes, cursors, grabs that fail for a moment, death.
 *
 * It stands for an X server; the engine's side of the contract in source.h is what is tested.
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "error.h"
#include "source.h"
#include "viewer.h"

struct scripted {
	struct se_source base;
	int fd;
	pthread_mutex_t lock;
	struct se_picture picture; /* read by the engine without the lock: changed only while it sleeps */
	struct se_rect damage;
	bool cursor, resized;
	int again; /* that many grabs fail for the moment */
	bool dead;
	int rows_grabbed;
	int doubts; /* grabs announced to be a scan's */
	bool unread; /* what a poll has reported was not grabbed yet */
	int early;   /* polls meanwhile: the one before came too soon */
	uint8_t rgba[16];
};

static void scripted_destroy(struct se_source *source)
{
	(void)source; /* the test owns it */
}

static int scripted_fd(struct se_source *source)
{
	return ((struct scripted *)source)->fd;
}

static int scripted_poll(struct se_source *source, struct se_region *damage)
{
	struct scripted *self = (struct scripted *)source;
	uint64_t count;
	int bits = 0;

	if (read(self->fd, &count, sizeof count) < 0)
		count = 0;
	pthread_mutex_lock(&self->lock);
	self->early += self->unread;
	self->unread = !se_rect_empty(self->damage);
	se_region_add(damage, self->damage);
	self->damage = (struct se_rect){ 0 };
	if (self->cursor)
		bits |= SE_SOURCE_CURSOR;
	if (self->resized)
		bits |= SE_SOURCE_RESIZED;
	self->cursor = self->resized = false;
	pthread_mutex_unlock(&self->lock);
	return bits;
}

static void scripted_size(struct se_source *source, int *width, int *height)
{
	*width = ((struct scripted *)source)->picture.width;
	*height = ((struct scripted *)source)->picture.height;
}

static int scripted_grab(struct se_source *source, int y0, int y1, struct se_image *out)
{
	struct scripted *self = (struct scripted *)source;
	struct se_picture *p = &self->picture;
	int code = SE_OK;

	pthread_mutex_lock(&self->lock);
	if (self->again > 0) {
		self->again--;
		code = SE_E_AGAIN;
	}
	if (self->dead)
		code = se_error_set(SE_E_SOURCE, "the display is gone");
	self->rows_grabbed += y1 - y0;
	self->unread = false;
	pthread_mutex_unlock(&self->lock);
	*out = (struct se_image){ p->pixels, p->stride, p->width, p->height };
	return code;
}

static int scripted_cursor(struct se_source *source, struct se_cursor *out)
{
	*out = (struct se_cursor){ 42, 2, 2, 1, 0, ((struct scripted *)source)->rgba };
	return 1;
}

static int scripted_wants_scan(struct se_source *source)
{
	(void)source;
	return 1;
}

static int scripted_glimpse(struct se_source *source)
{
	struct scripted *self = (struct scripted *)source;
	int bits;

	pthread_mutex_lock(&self->lock);
	bits = (se_rect_empty(self->damage) ? 0 : SE_SOURCE_DAMAGE) | (self->cursor ? SE_SOURCE_CURSOR : 0) |
	       (self->resized ? SE_SOURCE_RESIZED : 0);
	pthread_mutex_unlock(&self->lock);
	return bits;
}

static void scripted_distrust(struct se_source *source)
{
	struct scripted *self = (struct scripted *)source;

	pthread_mutex_lock(&self->lock);
	self->doubts++;
	pthread_mutex_unlock(&self->lock);
}

static const struct se_source_vtable vtable = {
	.destroy = scripted_destroy,
	.fd = scripted_fd,
	.poll = scripted_poll,
	.size = scripted_size,
	.grab = scripted_grab,
	.cursor = scripted_cursor,
	.wants_scan = scripted_wants_scan,
	.glimpse = scripted_glimpse,
	.distrust = scripted_distrust,
};

static void tell(struct scripted *self)
{
	uint64_t one = 1;

	CHECK(write(self->fd, &one, sizeof one) == sizeof one, "eventfd");
}

static void fill(struct scripted *self, struct se_rect rect, int value)
{
	for (int y = rect.y; y < rect.y + rect.h; y++)
		memset(se_picture_at(&self->picture, rect.x, y), value, (size_t)rect.w * 4);
}

static void damage(struct scripted *self, struct se_rect rect, int again)
{
	pthread_mutex_lock(&self->lock);
	self->damage = rect;
	self->again = again;
	self->rows_grabbed = 0;
	pthread_mutex_unlock(&self->lock);
	tell(self);
}

static void check_scan(struct scripted *self, struct se_engine *engine, struct viewer *viewer)
{
	struct se_stats before, after;

	se_engine_stats(engine, &before);
	/* Nobody reports this one. Safe without a lock: the scan comes at most every 300 ms, and sees it then or later. */
	usleep(50000);
	fill(self, (struct se_rect){ 32, 100, 16, 20 }, 200);
	CHECK(viewer_follow(viewer, engine, 450) == 1, "the scan did not find the change");
	CHECK(viewer_difference(viewer, &self->picture) <= 12, "after the scan");
	usleep(650000);
	se_engine_stats(engine, &after);
	CHECK(after.scans >= before.scans + 3 && after.scans <= before.scans + 6, "%d scans", (int)(after.scans - before.scans));
	CHECK(after.wakeups - before.wakeups <= after.scans - before.scans + 1, "woken without a scan");
	CHECK(after.frames == before.frames + 1, "frames");
	pthread_mutex_lock(&self->lock);
	CHECK((uint64_t)self->doubts >= after.scans, "%d of %d scans took what the source had", (int)after.scans - self->doubts, (int)after.scans);
	pthread_mutex_unlock(&self->lock);
}

static void check_momentary_failure(struct scripted *self, struct se_engine *engine, struct viewer *viewer)
{
	struct se_rect rect = { 10, 10, 50, 20 };

	fill(self, rect, 90);
	damage(self, rect, 3);
	CHECK(viewer_follow(viewer, engine, 200) == 1, "the grab was not tried again");
	CHECK(viewer_difference(viewer, &self->picture) <= 12, "after a grab that failed for a moment");
}

static void check_rows(struct scripted *self, struct se_engine *engine, struct viewer *viewer)
{
	struct se_rect rect = { 10, 40, 50, 9 };

	fill(self, rect, 30);
	damage(self, rect, 0);
	viewer_follow(viewer, engine, 100);
	pthread_mutex_lock(&self->lock);
	/* On a slow machine a scan, which grabs all, may fall into it. */
	CHECK(self->rows_grabbed % self->picture.height == 9, "%d rows grabbed for 9 damaged", self->rows_grabbed);
	pthread_mutex_unlock(&self->lock);
}

/* Bursts of a stream are given time; the source, whose answer may be pixels, is asked once that is over. */
static void check_stream(struct scripted *self, struct se_engine *engine, struct viewer *viewer)
{
	pthread_mutex_lock(&self->lock);
	self->early = 0;
	pthread_mutex_unlock(&self->lock);
	for (int i = 0; i < 6; i++) {
		struct se_rect rect = { 10 + i, 60, 50, 9 };

		fill(self, rect, 40 + 20 * i);
		damage(self, rect, 0);
		CHECK(viewer_follow(viewer, engine, 13) >= 1 || viewer_follow(viewer, engine, 300) >= 1, "no frame %d", i);
		CHECK(viewer_difference(viewer, &self->picture) <= 12, "in a stream");
	}
	pthread_mutex_lock(&self->lock);
	CHECK(self->early == 0, "asked %d times too soon", self->early);
	pthread_mutex_unlock(&self->lock);
}

static void check_cursor(struct scripted *self, struct se_engine *engine, struct viewer *viewer)
{
	struct se_cursor_copy *cursor;

	CHECK(!se_engine_cursor(engine), "a cursor that nobody changed");
	memset(self->rgba, 7, sizeof self->rgba);
	pthread_mutex_lock(&self->lock);
	self->cursor = true;
	pthread_mutex_unlock(&self->lock);
	tell(self);
	CHECK(viewer_follow(viewer, engine, 100) == 0, "a cursor is no frame");
	cursor = se_engine_cursor(engine);
	CHECK(cursor && cursor->serial == 42 && cursor->width == 2 && cursor->hot_x == 1 && cursor->rgba[15] == 7, "cursor");
	se_cursor_copy_free(cursor);
	CHECK(!se_engine_cursor(engine), "twice the same cursor");
}

static void check_death(struct scripted *self, struct se_engine *engine)
{
	const char *text;
	int code;

	pthread_mutex_lock(&self->lock);
	self->dead = true;
	pthread_mutex_unlock(&self->lock);
	damage(self, (struct se_rect){ 0, 0, 5, 5 }, 0);
	for (int i = 0; i < 100 && !se_engine_failure(engine, &code, &text); i++)
		usleep(10000);
	CHECK(se_engine_failure(engine, &code, &text) && code == SE_E_SOURCE && strcmp(text, "the display is gone") == 0, "death");
}

void test_scripted(void)
{
	struct se_settings settings = { SE_MODE_JPEG, 444, 120, 95, 0, 96, 6, 25, 18, 0, 300, 1, 200, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 };
	struct scripted self = { .base = { &vtable }, .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	struct se_engine *engine;
	struct viewer viewer;

	pthread_mutex_init(&self.lock, NULL);
	CHECK(se_picture_resize(&self.picture, 320, 200) == 0, "memory");
	engine = se_engine_new(&self.base, &settings, 0);
	viewer_open(&viewer);
	CHECK(engine && se_engine_start(engine) == SE_OK, "%s", se_error_message());
	CHECK(poll(&(struct pollfd){ se_engine_fd(engine), POLLIN, 0 }, 1, 5000) == 1, "nothing came");
	CHECK(viewer_follow(&viewer, engine, 100) == 1, "first frame");
	check_rows(&self, engine, &viewer);
	check_stream(&self, engine, &viewer);
	check_momentary_failure(&self, engine, &viewer);
	check_cursor(&self, engine, &viewer);
#ifndef __SANITIZE_THREAD__ /* an unreported change has no happens-before by its nature */
	check_scan(&self, engine, &viewer);
#else
	(void)check_scan;
#endif
	check_death(&self, engine);
	se_engine_free(engine);
	viewer_close(&viewer);
	se_picture_free(&self.picture);
	close(self.fd);
	pthread_mutex_destroy(&self.lock);
}
