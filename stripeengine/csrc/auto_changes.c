/* auto_changes.c - what has changed since the last frame: copies, dirty tiles, video regions, forms. Engine thread. */
#include "auto_mode.h"
#include "engine_private.h"
#include "error.h"

#define NEAR 32         /* pixels; changes that close are searched for moves together */
#define AREAS SE_AUTO_AREAS
#define PARALLEL_PIXELS 500000 /* a comparison of fewer is over before a helper is awake; where something has moved most is known */
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

void se_auto_share_tiles(struct se_engine *engine, se_job_fn *job, void *context, struct se_tiles parts[SE_AUTO_PARTS], bool parallel)
{
	struct se_tiles *tiles = &engine->automatic.tiles;

	for (int i = 0; i < SE_AUTO_PARTS; i++)
		parts[i] = se_tiles_fork(tiles);
	se_pool_run(job, context, SE_AUTO_PARTS, parallel, &engine->helper_cpu_ns);
	for (int i = 0; i < SE_AUTO_PARTS; i++)
		se_tiles_join(tiles, &parts[i]);
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

/* True if a search would be in vain: all of it is a video's. */
static bool in_one_video(const struct se_auto *self, struct se_rect rect)
{
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		if (se_rect_area(se_rect_intersect(rect, self->videos[i].rect)) == se_rect_area(rect))
			return true;
	return false;
}

static int move_inside(struct se_engine *engine, struct se_rect area, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	const struct se_image *image = &engine->image;
	struct se_move moves[SE_MOTION_MAX];
	struct se_rect regions[SE_ACTIVITY_REGIONS];
	struct se_region barred, kept;
	int count = se_auto_regions(self, regions, NULL);

	se_tiles_worse(&self->tiles, SE_TILE_H264, &barred);
	se_region_clear(&kept);
	for (int i = 0; i < count; i++)
		se_region_add(&kept, regions[i]);
	count = se_motion_find_beside(self->motion, &engine->reference, image->pixels, image->stride, area, &barred, &kept, moves);
	if (count > 0)
		self->scrolled[self->scrolled_count++] = area;
	for (int i = 0; i < count; i++) {
		if (se_auto_add_copy(self, moves[i]) < 0)
			return SE_E_NOMEM;
		se_picture_copy(&engine->reference, image->pixels, image->stride, moves[i].rect); /* the same pixels: it is verified */
		se_tiles_move(&self->tiles, moves[i].rect, moves[i].dx, moves[i].dy, now);
	}
	return count < 0 ? count : SE_OK;
}

/* Makes the image whole where nothing has changed, between two areas that have. SE_E_AGAIN: the source has another size. */
static int grab_between(struct se_engine *engine, struct se_rect area)
{
	struct se_source *source = engine->source;
	int code = source->vtable->grab(source, area.y, area.y + area.h, &engine->image);

	if (code == SE_OK && (engine->image.width != engine->reference.width || engine->image.height != engine->reference.height))
		code = SE_E_AGAIN;
	return code;
}

/* What of an area is compared, shared with the pool in SE_AUTO_PARTS runs of stripes. */
struct comparison {
	struct se_engine *engine;
	struct se_rect area;
	struct se_picture wanted;
	struct se_tiles_known known;
	struct se_rect regions[SE_ACTIVITY_REGIONS];
	int region_count;
	uint64_t now;
	struct se_tiles parts[SE_AUTO_PARTS];
};

static void compare_stripe(struct comparison *all, struct se_tiles *tiles, struct se_region *changed)
{
	for (int i = 0; i < changed->count;) {
		struct se_rect rect = changed->rects[i];

		if (se_rect_empty(se_rect_intersect(rect, all->area))) {
			i++;
			continue;
		}
		se_tiles_compare(tiles, &all->engine->reference, &all->wanted, rect, &all->known, all->now);
		for (int j = 0; j < all->region_count; j++)
			se_tiles_touch(tiles, se_rect_intersect(rect, all->regions[j]), all->now);
		changed->rects[i] = changed->rects[--changed->count];
	}
}

/* Pixels that are to be compared. */
static int64_t pixels_to_compare(const struct se_stripes *stripes, struct se_rect area)
{
	int64_t pixels = 0;

	for (int i = 0; i < stripes->count; i++)
		for (int j = 0; j < stripes->items[i].changed.count; j++)
			pixels += se_rect_area(se_rect_intersect(stripes->items[i].changed.rects[j], area));
	return pixels;
}

/* Stripes share no tiles. */
static void compare_part(void *context, size_t index)
{
	struct comparison *all = context;
	struct se_stripes *stripes = &all->engine->stripes;
	size_t count = (size_t)stripes->count;

	for (size_t i = index * count / SE_AUTO_PARTS; i < (index + 1) * count / SE_AUTO_PARTS; i++)
		compare_stripe(all, &all->parts[index], &stripes->items[i].changed);
}

/* From the stripes' lists to dirty tiles, inside `area`. What the frame's first ops, its copies, have brought is known to be
 * right, and, if this was `searched` last, what the search has seen unchanged. Inside a video nothing is compared: hardly a
 * tile of it ever stays as it was. */
static void compare_inside(struct se_engine *engine, struct se_rect area, bool searched, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_rect known[(AREAS + 1) * SE_MOTION_MAX + SE_ACTIVITY_REGIONS];
	struct comparison all = { .engine = engine, .area = area, .wanted = image_of(engine), .now = now };
	int64_t pixels = pixels_to_compare(&engine->stripes, area);
	int count = 0;

	if (pixels == 0)
		return;
	all.region_count = se_auto_regions(self, all.regions, NULL);
	for (size_t i = 0; i < self->op_count; i++)
		known[count++] = self->ops[i].rect;
	for (int i = 0; i < all.region_count; i++)
		known[count++] = all.regions[i];
	all.known = (struct se_tiles_known){ known, count, searched ? self->motion : NULL };
	se_auto_share_tiles(engine, compare_part, &all, all.parts, count == 0 && pixels >= PARALLEL_PIXELS);
}

static bool worth_a_search(const struct se_auto *self, struct se_rect area)
{
	return se_rect_area(area) >= SE_MOTION_LEAST_AREA && !in_one_video(self, area);
}

/* Finds what has moved and compares the rest, area by area. What memory was lacking for stays in the stripes. */
static int find_changes(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_rect areas[AREAS];
	int count = find_areas(&engine->stripes, areas), code = SE_OK;
	bool pair = count == 2 && worth_a_search(self, areas[0]) && worth_a_search(self, areas[1]);

	self->scrolled_count = 0;
	for (int i = 0; i < count && code == SE_OK; i++) {
		bool searched = worth_a_search(self, areas[i]);

		if (searched)
			code = move_inside(engine, areas[i], now);
		if (code == SE_OK && !(pair && self->scrolled_count == 0))
			compare_inside(engine, areas[i], searched, now);
	}
	/* A window that jumped further than its own size. */
	pair = pair && self->scrolled_count == 0;
	if (code == SE_OK && pair)
		code = grab_between(engine, se_rect_union(areas[0], areas[1]));
	if (code == SE_OK && pair)
		code = move_inside(engine, se_rect_union(areas[0], areas[1]), now);
	if (code == SE_OK)
		compare_inside(engine, se_picture_bounds(&engine->reference), pair, now);
	return code;
}

/* True if something was moved around there: what is left over was scrolled in or uncovered, it does not play. */
static bool in_scrolled(const struct se_auto *self, struct se_rect rect)
{
	for (int i = 0; i < self->scrolled_count; i++)
		if (!se_rect_empty(se_rect_intersect(self->scrolled[i], rect)))
			return true;
	return false;
}

static void touch(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_rect regions[SE_ACTIVITY_REGIONS];
	int index[SE_ACTIVITY_REGIONS];

	se_auto_regions(self, regions, index);
	for (size_t i = 0; i < self->blocks.count; i++) {
		struct se_block *block = &self->blocks.items[i];
		struct se_rect box = block->box;

		/* What waits from earlier frames was noted then. */
		if (block->changed_us != now || (block->form != SE_FORM_VIDEO && in_scrolled(self, box)))
			continue;
		if (block->form == SE_FORM_VIDEO)
			box = se_auto_video_changes(engine, &self->videos[index[block->video]], box);
		se_activity_touch(self->activity, box, se_block_unrest(block), now);
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
		struct se_rect rect = regions[i], old = video->coded;

		if (!se_auto_affords_video(&engine->settings, rect, !se_rect_empty(old)))
			rect = (struct se_rect){ 0, 0, 0, 0 };
		if (rect.x == old.x && rect.y == old.y && rect.w == old.w && rect.h == old.h)
			continue;
		differs = true;
		video->coded = rect;
		video->rect = se_rect_empty(rect) ? rect : se_tiles_snap(&self->tiles, rect);
		video->key_due = true; /* another place is another picture, even if it has the same size */
		video->key_size = video->delta_size = 0;
		video->waits_us = 0;
		se_h264_free(video->encoder);
		video->encoder = NULL;
	}
	return differs;
}

int se_auto_take_changes(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_rect regions[SE_ACTIVITY_REGIONS];
	int count = se_auto_regions(self, regions, NULL), code = find_changes(engine, now);
	int mode = engine->settings.mode;
	struct se_picture wanted = image_of(engine);

	if (code < 0)
		return code;
	self->blocks.text = mode == SE_MODE_JPEG ? SE_FORM_JPEG : SE_FORM_LOSSLESS;
	self->blocks.photo = mode == SE_MODE_LOSSLESS ? SE_FORM_LOSSLESS : SE_FORM_JPEG;
	code = se_blocks_collect(&self->blocks, &self->tiles, &wanted, regions, count, &engine->helper_cpu_ns);
	if (code < 0)
		return code;
	if (mode != SE_MODE_LOSSLESS)
		touch(engine, now);
	if (follow_videos(engine, now)) {
		count = se_auto_regions(self, regions, NULL);
		code = se_blocks_collect(&self->blocks, &self->tiles, &wanted, regions, count, &engine->helper_cpu_ns);
		if (code < 0)
			return code;
	}
	for (size_t i = 0; i < self->blocks.count && mode != SE_MODE_LOSSLESS; i++) {
		struct se_block *block = &self->blocks.items[i];

		if (block->form == SE_FORM_JPEG)
			block->fast = se_activity_rate(self->activity, block->box, now) >= FAST_RATE;
	}
	se_blocks_merge(&self->blocks, &(struct se_blocks_limits){ .regions = regions, .region_count = count });
	return SE_OK;
}
