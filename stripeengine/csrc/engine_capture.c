/* engine_capture.c - from damage to changed rectangles and an up-to-date reference picture. Engine thread; the comparison
 * of large areas is shared with the pool, stripe by stripe. */
#include "engine_private.h"

#include <string.h>

#include "clock.h"
#include "damage.h"
#include "error.h"
#include "pool.h"

#define GRAB_GAP_ROWS 96        /* two grabs cost as much as one that has this many rows to spare */
#define PARALLEL_PIXELS 1000000 /* a comparison of fewer is over before a helper is awake */
#define PARALLEL_SAMPLED 8000000 /* the same where large rectangles are sampled */
#define SAMPLED_PIXELS 32768    /* from which size on a rectangle is sampled before it is compared */
#define SAMPLED_ROWS 8          /* one in so many */

struct interval {
	int y0, y1;
};

struct comparison {
	struct se_engine *engine;
	const struct se_image *image;
	int first; /* index of the first stripe */
	struct interval rows;
	bool everything;
};

/* The size of the reference picture is that of what follows from it, or `refresh` is set: whatever fails is made up for later. */
static int adopt_size(struct se_engine *self, int width, int height)
{
	int code = se_picture_resize(&self->reference, width, height);

	if (code < 0)
		return code;
	if (!self->refresh && se_region_empty(&self->dirty))
		self->dirty_since = se_now_us();
	se_region_clear(&self->dirty);
	se_engine_auto_resized(self);
	self->refresh = true;
	self->resized = true;
	return SE_OK;
}

int se_engine_layout(struct se_engine *self)
{
	struct se_stripes *stripes = &self->stripes;
	int width, height, stripe_height, code = SE_OK;
	bool fresh;

	self->source->vtable->size(self->source, &width, &height);
	self->layout_due = true;
	if (width != self->reference.width || height != self->reference.height)
		code = adopt_size(self, width, height);
	if (code < 0)
		return code;
	fresh = stripes->width != width || stripes->picture_height != height;
	stripe_height = se_settings_stripe_height(&self->settings, height);
	if (fresh || stripes->height != stripe_height)
		code = se_stripes_layout(stripes, width, height, stripe_height, fresh);
	self->layout_due = code < 0;
	return code;
}

/* Looks at a few rows of a large rectangle. True if so much of it has changed that auto mode, which compares tiles anyway once it
 * has found what moved, gains nothing from a box that is exact in height; *rect is then as wide as what has changed. */
static bool changed_mostly(const struct se_engine *self, const struct se_image *image, struct se_rect *rect)
{
	int changed = 0, sampled = 0, left = rect->w, right = 0;
	struct se_rect before, behind;

	if (!se_mode_is_tiled(self->settings.mode) || se_rect_area(*rect) < SAMPLED_PIXELS)
		return false;
	for (int y = rect->y; y < rect->y + rect->h; y += SAMPLED_ROWS, sampled++) {
		const uint8_t *row = image->pixels + (size_t)y * image->stride + (size_t)rect->x * 4;
		const uint8_t *known = se_picture_at(&self->reference, rect->x, y);
		int first = se_diff_first(known, row, rect->w), last;

		if (first == rect->w)
			continue;
		last = se_diff_last(known, row, rect->w);
		left = first < left ? first : left;
		right = last >= right ? last + 1 : right;
		changed++;
	}
	if (changed * 2 < sampled)
		return false;
	/* What lies beside has to be looked at in all rows. */
	before = se_damage_compare(&self->reference, image->pixels, image->stride, (struct se_rect){ rect->x, rect->y, left, rect->h });
	behind = se_damage_compare(&self->reference, image->pixels, image->stride,
	                           (struct se_rect){ rect->x + right, rect->y, rect->w - right, rect->h });
	right = se_rect_empty(behind) ? rect->x + right : behind.x + behind.w;
	left = se_rect_empty(before) ? rect->x + left : before.x;
	rect->x = left;
	rect->w = right - left;
	return true;
}

static void take_over(struct se_engine *self, struct se_stripe *stripe, const struct se_image *image,
                      struct se_rect rect)
{
	if (!self->refresh && !changed_mostly(self, image, &rect))
		rect = se_damage_compare(&self->reference, image->pixels, image->stride, rect);
	if (se_rect_empty(rect))
		return;
	if (!se_mode_is_tiled(self->settings.mode))
		se_picture_copy(&self->reference, image->pixels, image->stride, rect);
	se_stripe_add_changed(stripe, rect);
	stripe->hash_valid = false;
}

/* Compares one stripe inside the damage, or all of it. */
static void compare_stripe(void *context, size_t index)
{
	const struct comparison *comparison = context;
	struct se_engine *self = comparison->engine;
	const struct se_image *image = comparison->image;
	struct se_stripe *stripe = &self->stripes.items[comparison->first + (int)index];
	struct se_rect area = se_stripe_rect(&self->stripes, stripe);
	uint64_t hash;

	if (!comparison->everything) {
		area = se_rect_intersect(area, (struct se_rect){ 0, comparison->rows.y0, self->reference.width,
		                                                 comparison->rows.y1 - comparison->rows.y0 });
		for (int i = 0; i < self->dirty.count; i++)
			take_over(self, stripe, image, se_rect_intersect(self->dirty.rects[i], area));
		return;
	}
	/* A hash reads the picture once where a comparison reads two; equal hashes end it there. */
	hash = se_damage_hash(image->pixels, image->stride, image->width, stripe->y, stripe->y + stripe->h);
	if (stripe->hash_valid && stripe->hash == hash)
		return;
	take_over(self, stripe, image, area);
	stripe->hash = hash;
	stripe->hash_valid = true;
}

static int capture_rows(struct se_engine *self, struct interval rows, bool everything)
{
	struct se_image *image = &self->image;
	struct comparison comparison = { self, image, rows.y0 / self->stripes.height, rows, everything };
	int last = (rows.y1 - 1) / self->stripes.height, code;
	bool sampled = se_mode_is_tiled(self->settings.mode) && !everything;

	code = self->source->vtable->grab(self->source, rows.y0, rows.y1, image);
	if (code < 0)
		return code;
	if (image->width != self->reference.width || image->height != self->reference.height)
		return SE_E_AGAIN; /* resized meanwhile: poll is about to say so */
	se_pool_run(compare_stripe, &comparison, (size_t)(last - comparison.first + 1),
	            (int64_t)(rows.y1 - rows.y0) * image->width >= (sampled ? PARALLEL_SAMPLED : PARALLEL_PIXELS), &self->helper_cpu_ns);
	return SE_OK;
}

/* What has to be captured: damage, and in auto mode what waits to be sent, for that is sent as it looks by then. */
static struct se_region wanted_region(const struct se_engine *self)
{
	struct se_region wanted = self->dirty;

	if (!se_mode_is_tiled(self->settings.mode))
		return wanted;
	for (int i = 0; i < self->stripes.count; i++)
		se_region_add_region(&wanted, &self->stripes.items[i].changed);
	if (se_engine_auto_changed(self))
		se_region_add(&wanted, se_engine_auto_waiting(self));
	return wanted;
}

/* Row intervals that hold the region, apart by more than GRAB_GAP_ROWS. Returns how many. */
static int region_intervals(const struct se_region *region, struct interval *out)
{
	int count = 0;

	for (int i = 0; i < region->count; i++) {
		struct interval add = { region->rects[i].y, region->rects[i].y + region->rects[i].h };

		for (int j = 0; j < count;) {
			if (add.y0 > out[j].y1 + GRAB_GAP_ROWS || out[j].y0 > add.y1 + GRAB_GAP_ROWS) {
				j++;
				continue;
			}
			add.y0 = add.y0 < out[j].y0 ? add.y0 : out[j].y0;
			add.y1 = add.y1 > out[j].y1 ? add.y1 : out[j].y1;
			out[j] = out[--count]; /* the grown one may reach others: look at all again */
			j = 0;
		}
		out[count++] = add;
	}
	return count;
}

static void note_changes(struct se_engine *self, uint64_t now)
{
	for (int i = 0; i < self->stripes.count; i++)
		if (!se_region_empty(&self->stripes.items[i].changed))
			self->stripes.items[i].changed_us = now;
}

int se_engine_capture(struct se_engine *self, bool scan, uint64_t now)
{
	struct interval intervals[SE_REGION_MAX];
	const struct se_source_vtable *vtable = self->source->vtable;
	bool everything = scan || self->refresh;
	int count = 1, code = SE_OK;

	intervals[0] = (struct interval){ 0, self->reference.height };
	if (!everything) {
		struct se_region wanted = wanted_region(self);

		count = region_intervals(&wanted, intervals);
	}
	if (scan && vtable->distrust)
		vtable->distrust(self->source);
	if (scan) { /* counted when it begins, as the wake-up for it was: a large screen takes a while */
		self->last_scan_us = now;
		pthread_mutex_lock(&self->lock);
		self->stats.scans++;
		pthread_mutex_unlock(&self->lock);
	}
	for (int i = 0; i < count && code == SE_OK; i++)
		code = capture_rows(self, intervals[i], everything);
	if (code < 0)
		return code;
	note_changes(self, now);
	se_region_clear(&self->dirty);
	self->refresh = false;
	return SE_OK;
}
