/* auto_changes.c - what has changed since the last frame: copies, dirty tiles, video regions, forms. Engine thread. */
#include "auto_mode.h"
#include "engine_private.h"
#include "error.h"

#define NEAR 32         /* pixels; changes that close are searched for moves together */
#define AREAS SE_AUTO_AREAS
#define FAST_RATE 6     /* changes a second from which an area is worth less quality */

int se_auto_regions(const struct se_auto *self, struct se_rect out[SE_ACTIVITY_REGIONS], int index[SE_ACTIVITY_REGIONS])
{
	int count = 0;

	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
		if (se_rect_empty(self->videos[i].rect))
			continue;
		if (index)
			index[count] = i;
		out[count++] = self->videos[i].rect;
	}
	return count;
}

/* The captured image as a picture to be read. */
static struct se_picture image_of(const struct se_engine *engine)
{
	const struct se_image *image = &engine->image;

	return (struct se_picture){ (uint8_t *)(uintptr_t)image->pixels, image->stride, image->width, image->height };
}

/* The bounding boxes of changes that lie close together. Returns how many. */
static int find_areas(const struct se_stripes *stripes, struct se_rect areas[AREAS])
{
	int count = 0;

	for (int i = 0; i < stripes->count; i++)
		for (int j = 0; j < stripes->items[i].changed.count; j++) {
			struct se_rect area = stripes->items[i].changed.rects[j];

			for (int k = 0; k < count;) {
				struct se_rect near = { areas[k].x - NEAR, areas[k].y - NEAR, areas[k].w + 2 * NEAR, areas[k].h + 2 * NEAR };

				if (se_rect_empty(se_rect_intersect(near, area))) {
					k++;
					continue;
				}
				area = se_rect_union(areas[k], area);
				areas[k] = areas[--count]; /* the grown one may be close to others */
				k = 0;
			}
			if (count == AREAS) {
				area = se_rect_union(areas[AREAS - 1], area);
				count--;
			}
			areas[count++] = area;
		}
	return count;
}

/* True if `rect` may be the destination of a copy: nothing of it belongs to a video decoder. */
static bool may_receive(const struct se_auto *self, struct se_rect rect)
{
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		if (!se_rect_empty(se_rect_intersect(rect, self->videos[i].rect)))
			return false;
	return true;
}

/* True if a search would be in vain: all of it is a video's. */
static bool in_one_video(const struct se_auto *self, struct se_rect rect)
{
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		if (se_rect_area(se_rect_intersect(rect, self->videos[i].rect)) == se_rect_area(rect))
			return true;
	return false;
}

static int move_inside(struct se_engine *engine, struct se_rect area, const struct se_region *barred, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	const struct se_image *image = &engine->image;
	struct se_move moves[SE_MOTION_MAX];
	int count = se_motion_find(self->motion, &engine->reference, image->pixels, image->stride, area, barred, moves);

	if (count > 0)
		self->scrolled[self->scrolled_count++] = area;
	for (int i = 0; i < count; i++) {
		/* A later move may read what this one leaves, so none is skipped. */
		if (!may_receive(self, moves[i].rect))
			return SE_OK;
		if (se_auto_add_copy(self, moves[i]) < 0)
			return SE_E_NOMEM;
		se_picture_copy(&engine->reference, image->pixels, image->stride, moves[i].rect); /* the same pixels: it is verified */
		se_tiles_move(&self->tiles, moves[i].rect, moves[i].dx, moves[i].dy, now);
	}
	return count < 0 ? count : SE_OK;
}

/* Makes the image whole where nothing has changed, between two areas that have. False if the source cannot just now. */
static bool grab_between(struct se_engine *engine, struct se_rect area)
{
	struct se_source *source = engine->source;

	return source->vtable->grab(source, area.y, area.y + area.h, &engine->image) == SE_OK &&
	       engine->image.width == engine->reference.width && engine->image.height == engine->reference.height;
}

static int find_moves(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_rect areas[AREAS];
	struct se_region barred;
	int count = find_areas(&engine->stripes, areas), code = SE_OK;
	size_t before = self->op_count;

	self->scrolled_count = 0;
	for (int i = 0; i < count && code == SE_OK; i++) {
		if (se_rect_area(areas[i]) < SE_MOTION_LEAST_AREA || in_one_video(self, areas[i]))
			continue;
		se_tiles_worse(&self->tiles, SE_TILE_H264, &barred);
		code = move_inside(engine, areas[i], se_region_empty(&barred) ? NULL : &barred, now);
	}
	/* A window that jumped further than its own size. */
	if (code == SE_OK && count == 2 && self->op_count == before && se_rect_area(areas[0]) >= SE_MOTION_LEAST_AREA &&
	    se_rect_area(areas[1]) >= SE_MOTION_LEAST_AREA && grab_between(engine, se_rect_union(areas[0], areas[1]))) {
		se_tiles_worse(&self->tiles, SE_TILE_H264, &barred);
		code = move_inside(engine, se_rect_union(areas[0], areas[1]), se_region_empty(&barred) ? NULL : &barred, now);
	}
	return code;
}

/* From the stripes' lists to dirty tiles. What the frame's first ops, its copies, have brought is known to be right. Inside a
 * video nothing is compared: hardly a tile of it ever stays as it was. */
static void compare(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_rect known[(AREAS + 1) * SE_MOTION_MAX + SE_ACTIVITY_REGIONS];
	struct se_rect regions[SE_ACTIVITY_REGIONS];
	int region_count = se_auto_regions(self, regions, NULL), count = 0;
	struct se_picture wanted = image_of(engine);

	for (size_t i = 0; i < self->op_count; i++)
		known[count++] = self->ops[i].rect;
	for (int i = 0; i < region_count; i++)
		known[count++] = regions[i];
	for (int i = 0; i < engine->stripes.count; i++) {
		struct se_region *changed = &engine->stripes.items[i].changed;

		for (int j = 0; j < changed->count; j++) {
			se_tiles_compare(&self->tiles, &engine->reference, &wanted, changed->rects[j], known, count, now);
			for (int k = 0; k < region_count; k++)
				se_tiles_touch(&self->tiles, se_rect_intersect(changed->rects[j], regions[k]), now);
		}
		se_region_clear(changed);
	}
}

/* True if something was moved around there: what is left over was scrolled in or uncovered, it does not play. */
static bool in_scrolled(const struct se_auto *self, struct se_rect rect)
{
	for (int i = 0; i < self->scrolled_count; i++)
		if (!se_rect_empty(se_rect_intersect(self->scrolled[i], rect)))
			return true;
	return false;
}

static void touch(struct se_auto *self, uint64_t now)
{
	for (size_t i = 0; i < self->blocks.count; i++) {
		struct se_block *block = &self->blocks.items[i];

		/* What waits from earlier frames was noted then. */
		if (block->changed_us != now || (block->form != SE_FORM_VIDEO && in_scrolled(self, block->box)))
			continue;
		se_activity_touch(self->activity, block->box, se_block_unrest(block), now);
	}
}

/* Follows the videos: a region that is gone leaves H.264 tiles behind, which are repaired. Returns true if any differs. */
static bool follow_videos(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_rect regions[SE_ACTIVITY_REGIONS] = { { 0, 0, 0, 0 } };
	bool differs = false;

	if (engine->settings.mode == SE_MODE_AUTO && se_has_h264())
		se_activity_regions(self->activity, now, regions);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
		struct se_video *video = &self->videos[i];
		struct se_rect rect = regions[i], old = video->rect;

		if (rect.x == old.x && rect.y == old.y && rect.w == old.w && rect.h == old.h)
			continue;
		differs = true;
		video->rect = rect;
		video->key_due = true; /* another place is another picture, even if it has the same size */
		video->last_size = 0;
		se_h264_free(video->encoder);
		video->encoder = NULL;
	}
	return differs;
}

int se_auto_take_changes(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_rect regions[SE_ACTIVITY_REGIONS];
	int count = se_auto_regions(self, regions, NULL), code = find_moves(engine, now);
	bool is_auto = engine->settings.mode == SE_MODE_AUTO;
	struct se_picture wanted = image_of(engine);

	if (code < 0)
		return code;
	compare(engine, now);
	code = se_blocks_collect(&self->blocks, &self->tiles, &wanted, regions, count);
	if (code < 0)
		return code;
	if (is_auto)
		touch(self, now);
	if (follow_videos(engine, now)) {
		count = se_auto_regions(self, regions, NULL);
		code = se_blocks_collect(&self->blocks, &self->tiles, &wanted, regions, count);
		if (code < 0)
			return code;
	}
	for (size_t i = 0; i < self->blocks.count; i++) {
		struct se_block *block = &self->blocks.items[i];

		if (block->form == SE_FORM_JPEG && is_auto)
			block->fast = se_activity_rate(self->activity, block->box, now) >= FAST_RATE;
		else if (block->form == SE_FORM_JPEG)
			block->form = SE_FORM_LOSSLESS;
	}
	se_blocks_merge(&self->blocks, regions, count);
	return SE_OK;
}
