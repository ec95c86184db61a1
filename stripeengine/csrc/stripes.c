/* stripes.c - the picture cut into horizontal stripes, and what each still owes the viewers. */
#include "stripes.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "error.h"

void se_stripe_add_changed(struct se_stripe *self, struct se_rect rect)
{
	se_region_add_limited(&self->changed, rect, SE_STRIPE_RECTS, SE_STRIPE_SLACK);
}

void se_stripe_add_lossy(struct se_stripe *self, struct se_rect rect, int crf)
{
	if (se_region_empty(&self->lossy) || crf > self->lossy_crf)
		self->lossy_crf = crf;
	se_region_add_limited(&self->lossy, rect, SE_STRIPE_RECTS, SE_STRIPE_SLACK);
}

bool se_stripe_wants_paint(const struct se_stripe *self, const struct se_settings *settings)
{
	return settings->paint_over && !se_region_empty(&self->lossy) && self->lossy_crf > settings->paint_over_crf;
}

bool se_stripe_wants_colour(const struct se_stripe *self, const struct se_settings *settings, int width)
{
	int colour = se_settings_paint_colour(settings);

	return colour != SE_PAINT_SAME && (self->painted_as < colour || self->painted_x < width) &&
	       !se_stripe_wants_paint(self, settings);
}

bool se_stripes_are_exact(const struct se_stripes *self, struct se_rect rect)
{
	int last = (rect.y + rect.h - 1) / self->height;

	for (int i = rect.y / self->height; i <= last; i++)
		if (self->items[i].painted_as != SE_PAINT_RGB || self->items[i].painted_x < rect.x + rect.w)
			return false;
	return true;
}

bool se_stripes_changed(const struct se_stripes *self)
{
	for (int i = 0; i < self->count; i++)
		if (!se_region_empty(&self->items[i].changed))
			return true;
	return false;
}

void se_stripes_drop_encoders(struct se_stripes *self)
{
	for (int i = 0; i < self->count; i++) {
		se_h264_free(self->items[i].encoder);
		self->items[i].encoder = NULL;
	}
}

uint64_t se_stripes_release_encoders(struct se_stripes *self, uint64_t now)
{
	uint64_t last = 0;
	bool released = false;

	for (int i = 0; i < self->count; i++) {
		struct se_stripe *stripe = &self->items[i];
		uint64_t due = stripe->encoder_used_us + SE_ENCODER_KEEP_US;

		if (!stripe->encoder)
			continue;
		if (due <= now) {
			se_h264_free(stripe->encoder);
			stripe->encoder = NULL;
			released = true;
		} else if (due > last) {
			last = due;
		}
	}
#ifdef __GLIBC__
	if (released && last == 0)
		malloc_trim(0); /* tens of megabytes that the C library would keep for the process */
#else
	(void)released;
#endif
	return last ? last : UINT64_MAX;
}

/* What an old stripe owes goes to those of the new ones that cover the place. */
static void inherit(struct se_stripe *stripe, struct se_rect area, const struct se_stripe *old)
{
	if (area.y >= old->y + old->h || old->y >= area.y + area.h)
		return;
	stripe->painted_x = old->painted_x < stripe->painted_x ? old->painted_x : stripe->painted_x;
	stripe->painted_as = old->painted_as < stripe->painted_as ? old->painted_as : stripe->painted_as;
	for (int i = 0; i < old->changed.count; i++)
		se_stripe_add_changed(stripe, se_rect_intersect(old->changed.rects[i], area));
	for (int i = 0; i < old->lossy.count; i++) {
		struct se_rect rect = se_rect_intersect(old->lossy.rects[i], area);

		if (se_rect_empty(rect))
			continue;
		se_stripe_add_lossy(stripe, rect, old->lossy_crf);
		if (old->changed_us > stripe->changed_us)
			stripe->changed_us = old->changed_us;
	}
}

int se_stripes_layout(struct se_stripes *self, int width, int picture_height, int stripe_height, bool fresh)
{
	int count = (picture_height + stripe_height - 1) / stripe_height;
	struct se_stripe *items = calloc((size_t)count, sizeof *items);

	if (!items)
		return se_error_set(SE_E_NOMEM, "out of memory: %d stripes", count);
	for (int i = 0; i < count; i++) {
		struct se_stripe *stripe = &items[i];
		int rest = picture_height - i * stripe_height;

		stripe->y = i * stripe_height;
		stripe->h = rest < stripe_height ? rest : stripe_height;
		stripe->painted_x = fresh ? 0 : width;
		stripe->painted_as = fresh ? SE_PAINT_SAME : SE_PAINT_RGB;
		for (int j = 0; !fresh && j < self->count; j++)
			inherit(stripe, (struct se_rect){ 0, stripe->y, width, stripe->h }, &self->items[j]);
	}
	se_stripes_free(self);
	*self = (struct se_stripes){ items, count, stripe_height, width, picture_height };
	return SE_OK;
}

void se_stripes_free(struct se_stripes *self)
{
	se_stripes_drop_encoders(self);
	free(self->items);
	*self = (struct se_stripes){ NULL, 0, 0, 0, 0 };
}
