/* pattern_source.c - a picture that draws itself, for demonstrations, benchmarks and tests.
 *
 * Everything is drawn on the engine's thread when its timer has ticked. What is drawn depends on the number of ticks only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "error.h"
#include "picture.h"
#include "source.h"

#define LINE 18       /* rows of a line of "text" */
#define SCROLL_STEP 3 /* rows a tick */
#define BALL 96

struct pattern_source {
	struct se_source base;
	int pattern;
	int timer_fd; /* -1 for a still picture */
	uint64_t ticks;
	uint32_t random;
	struct se_rect ball;
	int ball_dx, ball_dy;
	struct se_picture picture;
};

static struct pattern_source *cast(struct se_source *source)
{
	return (struct pattern_source *)source; /* base is the first member */
}

static void put_pixel(uint8_t *at, uint32_t rgb)
{
	at[0] = (uint8_t)rgb;
	at[1] = (uint8_t)(rgb >> 8);
	at[2] = (uint8_t)(rgb >> 16);
	at[3] = 0;
}

/* A number that looks random and depends on its argument only. */
static uint32_t mix(uint32_t value)
{
	value = (value ^ (value >> 16)) * 0x45d9f3bu;
	value = (value ^ (value >> 16)) * 0x45d9f3bu;
	return value ^ (value >> 16);
}

/* One pixel of an endless page: words of glyphs of 8x18 on a light ground. */
static uint32_t page_pixel(int x, uint64_t row)
{
	uint32_t line = (uint32_t)(row / LINE), at = (uint32_t)(row % LINE), column = (uint32_t)x / 8;
	uint32_t glyph = mix(line * 977u + column);

	if (at < 4 || at >= 15 || glyph % 6 == 0 || column > 40 + mix(line) % 200)
		return 0xf4f2ec;
	return (mix(glyph + at / 2 * 8u + (uint32_t)x % 8 / 2) & 1) ? 0x202830 : 0xf4f2ec;
}

static void draw_page_rows(struct pattern_source *self, int y0, int y1, uint64_t scrolled)
{
	for (int y = y0; y < y1; y++)
		for (int x = 0; x < self->picture.width; x++)
			put_pixel(se_picture_at(&self->picture, x, y), page_pixel(x, (uint64_t)y + scrolled));
}

static void draw_gradient(struct pattern_source *self, struct se_rect rect)
{
	for (int y = rect.y; y < rect.y + rect.h; y++)
		for (int x = rect.x; x < rect.x + rect.w; x++) {
			uint32_t r = (uint32_t)(x * 255 / self->picture.width), g = (uint32_t)(y * 255 / self->picture.height);

			put_pixel(se_picture_at(&self->picture, x, y), r << 16 | g << 8 | 96);
		}
}

static void draw_noise(struct pattern_source *self)
{
	for (int y = 0; y < self->picture.height; y++) {
		uint8_t *row = se_picture_at(&self->picture, 0, y);

		for (int x = 0; x < self->picture.width; x++) {
			self->random ^= self->random << 13;
			self->random ^= self->random >> 17;
			self->random ^= self->random << 5;
			put_pixel(row + (size_t)x * 4, self->random);
		}
	}
}

static void draw_ball(struct pattern_source *self)
{
	for (int y = 0; y < self->ball.h; y++)
		for (int x = 0; x < self->ball.w; x++)
			put_pixel(se_picture_at(&self->picture, self->ball.x + x, self->ball.y + y), 0xd04020);
}

static int bounce(int at, int size, int room, int *step)
{
	if (at + *step < 0 || at + *step + size > room)
		*step = -*step;
	at += *step;
	return at < 0 ? 0 : at + size > room ? room - size : at;
}

static void scroll(struct pattern_source *self, int rows)
{
	struct se_picture *picture = &self->picture;

	if (rows >= picture->height) {
		draw_page_rows(self, 0, picture->height, self->ticks * SCROLL_STEP);
		return;
	}
	memmove(picture->pixels, picture->pixels + (size_t)rows * picture->stride,
	        (size_t)(picture->height - rows) * picture->stride);
	draw_page_rows(self, picture->height - rows, picture->height, self->ticks * SCROLL_STEP);
}

/* Draws the state after `count` more ticks and reports what it touched. */
static void advance(struct pattern_source *self, uint64_t count, struct se_region *damage)
{
	self->ticks += count;
	switch (self->pattern) {
	case SE_PATTERN_SCROLL:
		scroll(self, count * SCROLL_STEP < SE_PICTURE_MAX ? (int)count * SCROLL_STEP : SE_PICTURE_MAX);
		se_region_add(damage, se_picture_bounds(&self->picture));
		break;
	case SE_PATTERN_BOUNCE:
		draw_gradient(self, self->ball);
		se_region_add(damage, self->ball);
		self->ball.x = bounce(self->ball.x, self->ball.w, self->picture.width, &self->ball_dx);
		self->ball.y = bounce(self->ball.y, self->ball.h, self->picture.height, &self->ball_dy);
		draw_ball(self);
		se_region_add(damage, self->ball);
		break;
	case SE_PATTERN_NOISE:
		draw_noise(self);
		se_region_add(damage, se_picture_bounds(&self->picture));
		break;
	}
}

static void source_destroy(struct se_source *source)
{
	struct pattern_source *self = cast(source);

	if (self->timer_fd >= 0)
		close(self->timer_fd);
	se_picture_free(&self->picture);
	free(self);
}

static int source_fd(struct se_source *source)
{
	return cast(source)->timer_fd;
}

static int source_poll(struct se_source *source, struct se_region *damage)
{
	struct pattern_source *self = cast(source);
	uint64_t count = 0;

	if (self->timer_fd < 0 || read(self->timer_fd, &count, sizeof count) != (ssize_t)sizeof count)
		return 0; /* EAGAIN: no tick yet */
	advance(self, count, damage);
	return SE_SOURCE_DAMAGE;
}

static void source_size(struct se_source *source, int *width, int *height)
{
	*width = cast(source)->picture.width;
	*height = cast(source)->picture.height;
}

static int source_grab(struct se_source *source, int y0, int y1, struct se_image *out)
{
	const struct se_picture *picture = &cast(source)->picture;

	(void)y0, (void)y1;
	*out = (struct se_image){ picture->pixels, picture->stride, picture->width, picture->height };
	return SE_OK;
}

static int source_cursor(struct se_source *source, struct se_cursor *out)
{
	(void)source, (void)out;
	return 0;
}

static const struct se_source_vtable vtable = {
	.destroy = source_destroy,
	.fd = source_fd,
	.poll = source_poll,
	.size = source_size,
	.grab = source_grab,
	.cursor = source_cursor,
};

static int start_timer(struct pattern_source *self, int framerate)
{
	long period = 1000000000L / framerate;
	struct itimerspec spec = { { period / 1000000000L, period % 1000000000L }, { period / 1000000000L, period % 1000000000L } };

	self->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (self->timer_fd < 0 || timerfd_settime(self->timer_fd, 0, &spec, NULL) < 0)
		return se_error_system("a test pattern needs a timer");
	return SE_OK;
}

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

struct se_source *se_pattern_source_new(int width, int height, int pattern, int framerate)
{
	struct pattern_source *self;

	if (pattern < SE_PATTERN_STILL || pattern > SE_PATTERN_NOISE) {
		se_error_set(SE_E_INVALID, "there is no test pattern %d", pattern);
		return NULL;
	}
	if (framerate < 1 || framerate > 240) {
		se_error_set(SE_E_INVALID, "a test pattern's framerate must be between 1 and 240, not %d", framerate);
		return NULL;
	}
	self = calloc(1, sizeof *self);
	if (!self) {
		se_error_set(SE_E_NOMEM, "out of memory: a test pattern");
		return NULL;
	}
	self->base.vtable = &vtable;
	self->pattern = pattern;
	self->timer_fd = -1;
	self->random = 2463534242u;
	if (se_picture_resize(&self->picture, width, height) < 0 ||
	    (pattern != SE_PATTERN_STILL && start_timer(self, framerate) < 0)) {
		source_destroy(&self->base);
		return NULL;
	}
	self->ball = (struct se_rect){ 0, 0, smaller(BALL, width), smaller(BALL, height) };
	self->ball_dx = smaller(7, width);
	self->ball_dy = smaller(5, height);
	if (pattern == SE_PATTERN_SCROLL || pattern == SE_PATTERN_STILL)
		draw_page_rows(self, 0, height, 0);
	else if (pattern == SE_PATTERN_BOUNCE)
		draw_gradient(self, se_picture_bounds(&self->picture));
	else
		draw_noise(self);
	return &self->base;
}
