/* engine_source.c - what the source says: changes, sizes, pointer images. Engine thread. */
#include "engine_private.h"

#include <string.h>

#include "clock.h"

/* Keeps a copy for whoever asks. Want of memory costs one cursor image, not the engine. */
static int take_cursor(struct se_engine *self)
{
	struct se_cursor image;
	struct se_cursor_copy *copy, *before;
	int code = self->source->vtable->cursor(self->source, &image);
	size_t size;

	if (code <= 0)
		return code == SE_E_NOMEM ? 0 : code;
	size = (size_t)image.width * image.height * 4;
	copy = calloc(1, sizeof *copy);
	if (!copy)
		return 0;
	*copy = (struct se_cursor_copy){ image.serial, image.width, image.height, image.hot_x, image.hot_y, NULL };
	if (size > 0) {
		copy->rgba = malloc(size);
		if (!copy->rgba) {
			free(copy);
			return 0;
		}
		memcpy(copy->rgba, image.rgba, size);
	}
	pthread_mutex_lock(&self->lock);
	before = self->cursor;
	self->cursor = copy;
	pthread_mutex_unlock(&self->lock);
	se_cursor_copy_free(before);
	se_engine_signal(self->event_fd);
	return 0;
}

/* Inside a stream a burst is given time to become complete: until then it is enough to know that there is one, for what has changed
 * is asked, and its pixels are copied, once all of it has. */
static bool glimpse(struct se_engine *self, uint64_t now)
{
	const struct se_source_vtable *vtable = self->source->vtable;
	bool nothing = !self->refresh && !self->layout_due && se_region_empty(&self->dirty);

	if (!vtable->glimpse || !nothing || self->paused || self->catch_up == SE_CATCHING_UP || !se_pace_settles(&self->pace, now))
		return false;
	if (vtable->glimpse(self->source) != SE_SOURCE_DAMAGE)
		return false;
	self->glimpsed_us = se_now_us();
	se_pace_change(&self->pace, true, now);
	return true;
}

int se_engine_read_source(struct se_engine *self, bool fresh, uint64_t now)
{
	bool was_clean = se_region_empty(&self->dirty) && !self->refresh;
	uint64_t since;
	int bits, code;

	if (fresh && glimpse(self, now))
		return SE_OK;
	since = self->glimpsed_us;
	self->glimpsed_us = 0;
	bits = self->source->vtable->poll(self->source, &self->dirty);
	if (bits < 0)
		return bits;
	self->layout_due = self->layout_due || (bits & SE_SOURCE_RESIZED);
	if (bits & SE_SOURCE_CURSOR) {
		code = take_cursor(self);
		if (code < 0)
			return code;
	}
	se_region_clip(&self->dirty, se_picture_bounds(&self->reference));
	if (!self->refresh && se_region_empty(&self->dirty) && !(bits & SE_SOURCE_RESIZED))
		return SE_OK;
	if (was_clean)
		self->dirty_since = since ? since : se_now_us();
	if (!self->pace.waiting || (bits & (SE_SOURCE_DAMAGE | SE_SOURCE_RESIZED)))
		se_pace_change(&self->pace, fresh, now);
	return SE_OK;
}

void se_engine_let_go(struct se_engine *self)
{
	if (self->source->vtable->let_go)
		self->source->vtable->let_go(self->source);
}
