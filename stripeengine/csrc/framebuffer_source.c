/* framebuffer_source.c - a source that its owner fills with pixels.
 *
 * `front` is written by submit() on any thread and copied row by row into `back`, which the engine reads without a lock: a slow
 * encode never blocks submit, and submit never tears what is being encoded. One mutex guards everything but `back`.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "picture.h"
#include "source.h"

struct framebuffer_source {
	struct se_source base;
	int event_fd;
	pthread_mutex_t lock;
	struct se_picture front;
	struct se_region damage;
	bool resized;
	char failure[200]; /* empty: alive */
	struct se_picture back; /* the engine's thread only */
};

static struct framebuffer_source *cast(struct se_source *source)
{
	return (struct framebuffer_source *)source; /* base is the first member */
}

static void source_destroy(struct se_source *source)
{
	struct framebuffer_source *self = cast(source);

	if (self->event_fd >= 0)
		close(self->event_fd);
	se_picture_free(&self->front);
	se_picture_free(&self->back);
	pthread_mutex_destroy(&self->lock);
	free(self);
}

static int source_fd(struct se_source *source)
{
	return cast(source)->event_fd;
}

static int source_poll(struct se_source *source, struct se_region *damage)
{
	struct framebuffer_source *self = cast(source);
	uint64_t count;
	int bits = 0;

	while (read(self->event_fd, &count, sizeof count) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&self->lock);
	if (self->failure[0]) {
		bits = se_error_set(SE_E_SOURCE, "%s", self->failure);
	} else {
		if (self->resized)
			bits |= SE_SOURCE_RESIZED;
		if (!se_region_empty(&self->damage))
			bits |= SE_SOURCE_DAMAGE;
		se_region_add_region(damage, &self->damage);
		se_region_clear(&self->damage);
		self->resized = false;
	}
	pthread_mutex_unlock(&self->lock);
	return bits;
}

static void source_size(struct se_source *source, int *width, int *height)
{
	struct framebuffer_source *self = cast(source);

	pthread_mutex_lock(&self->lock);
	*width = self->front.width;
	*height = self->front.height;
	pthread_mutex_unlock(&self->lock);
}

static int source_grab(struct se_source *source, int y0, int y1, struct se_image *out)
{
	struct framebuffer_source *self = cast(source);
	int code = SE_OK;

	pthread_mutex_lock(&self->lock);
	if (self->back.width != self->front.width || self->back.height != self->front.height)
		code = se_picture_resize(&self->back, self->front.width, self->front.height);
	if (code == SE_OK) {
		int end = y1 < self->front.height ? y1 : self->front.height;

		if (y0 < end)
			se_picture_copy(&self->back, self->front.pixels, self->front.stride,
			                (struct se_rect){ 0, y0, self->front.width, end - y0 });
		*out = (struct se_image){ self->back.pixels, self->back.stride, self->back.width, self->back.height };
	}
	pthread_mutex_unlock(&self->lock);
	return code;
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

static struct framebuffer_source *check(struct se_source *source)
{
	if (source && source->vtable == &vtable)
		return cast(source);
	se_error_set(SE_E_INVALID, "this is not a framebuffer source");
	return NULL;
}

static void wake(struct framebuffer_source *self)
{
	uint64_t one = 1;

	while (write(self->event_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

struct se_source *se_framebuffer_source_new(int width, int height)
{
	struct framebuffer_source *self = calloc(1, sizeof *self);

	if (!self) {
		se_error_set(SE_E_NOMEM, "out of memory: a framebuffer source");
		return NULL;
	}
	self->base.vtable = &vtable;
	pthread_mutex_init(&self->lock, NULL);
	self->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (self->event_fd < 0) {
		se_error_system("a framebuffer source needs an eventfd");
		source_destroy(&self->base);
		return NULL;
	}
	if (se_picture_resize(&self->front, width, height) < 0) {
		source_destroy(&self->base);
		return NULL;
	}
	return &self->base;
}

static void convert_row(uint8_t *out, const uint8_t *in, int count, int format)
{
	int step = format == SE_FORMAT_RGB ? 3 : 4;

	if (format == SE_FORMAT_BGRX) {
		memcpy(out, in, (size_t)count * 4);
		return;
	}
	for (int i = 0; i < count; i++) {
		out[i * 4] = in[i * step + 2];
		out[i * 4 + 1] = in[i * step + 1];
		out[i * 4 + 2] = in[i * step];
		out[i * 4 + 3] = 0;
	}
}

static void convert_rect(struct se_picture *front, const uint8_t *pixels, size_t stride, int format,
                         struct se_rect rect)
{
	size_t step = format == SE_FORMAT_RGB ? 3 : 4;

	for (int y = rect.y; y < rect.y + rect.h; y++)
		convert_row(se_picture_at(front, rect.x, y), pixels + (size_t)y * stride + (size_t)rect.x * step, rect.w, format);
}

static int check_rects(const struct se_picture *front, const struct se_rect *rects, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct se_rect r = rects[i];

		if (r.x < 0 || r.y < 0 || r.w < 1 || r.h < 1 || r.w > front->width - r.x || r.h > front->height - r.y)
			return se_error_set(SE_E_INVALID, "the damage rectangle (%d, %d, %d, %d) is not inside the picture of %dx%d",
			                    r.x, r.y, r.w, r.h, front->width, front->height);
	}
	return SE_OK;
}

int se_framebuffer_source_submit(struct se_source *source, const uint8_t *pixels, size_t size, int format,
                                 const struct se_rect *rects, size_t count)
{
	struct framebuffer_source *self = check(source);
	struct se_rect all;
	size_t row;
	int code;

	if (!self)
		return SE_E_INVALID;
	if (format != SE_FORMAT_RGB && format != SE_FORMAT_RGBX && format != SE_FORMAT_BGRX)
		return se_error_set(SE_E_INVALID, "there is no pixel format %d", format);
	pthread_mutex_lock(&self->lock);
	all = se_picture_bounds(&self->front);
	row = (size_t)all.w * (format == SE_FORMAT_RGB ? 3 : 4);
	if (size != row * (size_t)all.h)
		code = se_error_set(SE_E_INVALID, "a picture of %dx%d pixels in this format has %zu bytes, not %zu", all.w, all.h,
		                    row * (size_t)all.h, size);
	else
		code = rects ? check_rects(&self->front, rects, count) : SE_OK;
	if (code == SE_OK && !rects) {
		rects = &all;
		count = 1;
	}
	for (size_t i = 0; code == SE_OK && i < count; i++) {
		convert_rect(&self->front, pixels, row, format, rects[i]);
		se_region_add(&self->damage, rects[i]);
	}
	pthread_mutex_unlock(&self->lock);
	if (code == SE_OK && count > 0)
		wake(self);
	return code;
}

int se_framebuffer_source_resize(struct se_source *source, int width, int height)
{
	struct framebuffer_source *self = check(source);
	int code;

	if (!self)
		return SE_E_INVALID;
	pthread_mutex_lock(&self->lock);
	code = se_picture_resize(&self->front, width, height);
	if (code == SE_OK) {
		self->resized = true;
		se_region_clear(&self->damage);
		se_region_add(&self->damage, se_picture_bounds(&self->front));
	}
	pthread_mutex_unlock(&self->lock);
	if (code == SE_OK)
		wake(self);
	return code;
}

int se_framebuffer_source_fail(struct se_source *source, const char *text)
{
	struct framebuffer_source *self = check(source);

	if (!self)
		return SE_E_INVALID;
	pthread_mutex_lock(&self->lock);
	snprintf(self->failure, sizeof self->failure, "%s", text && text[0] ? text : "the source has failed");
	pthread_mutex_unlock(&self->lock);
	wake(self);
	return SE_OK;
}
