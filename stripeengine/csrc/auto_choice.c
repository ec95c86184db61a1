/* auto_choice.c - what of the changes a frame takes on under a rate bound, and how well. Engine thread.
 *
 * Nothing is ever queued: what the rate does not allow is not encoded but stays dirty, and goes out as it looks by then. First
 * quality gives way, then the payloads' size (they are stretched), then what changed last goes first and the rest waits.
 * Half of a frame is for what has waited long, so that nothing starves. Everything that goes out with losses is repaired.
 */
#include "auto_mode.h"
#include "content.h"
#include "engine_private.h"

#include <stdlib.h>

#define STALE_US 300000u       /* what waits for so long gets its share before what is newer */
#define STRETCH_LEAST 4096     /* pixels; of less the JPEG's tables are the most */
#define CUT_LEAST 900          /* bytes; no JPEG is begun with less */
#define COARSER_MOST 26        /* of a video's rate factor */
#define VIDEO_RATE 20          /* pictures a second below which a video does not fall for the sake of quality */
#define KEY_RATE 5             /* a key frame may take a fifth of a second */
#define VIDEO_WAITS_US 1000000u /* then its picture goes as soon as there is room at all */

/* How well JPEG rectangles are sent, from best to smallest. */
static const struct step {
	int shrink, percent; /* of the payload's sides; of the preset's quality */
} steps[] = { { 1, 100 }, { 1, 75 }, { 1, 50 }, { 1, 30 }, { 2, 60 }, { 4, 75 }, { 4, 35 } };

#define STEPS (int)(sizeof steps / sizeof *steps)

int se_auto_quality(const struct se_auto *self, int quality)
{
	return quality * steps[self->step].percent / 100;
}

int64_t se_auto_exact_bytes(struct se_auto *self, int64_t area, int literals, int cost)
{
	/* Of photographs the sample knows no more than a lower bound: most of their literals are escapes. */
	return SE_FRAME_RECORD + se_auto_plan(self, SE_AUTO_EXACT, 16 + area * (literals > 600 ? 3300 : cost) / 1000);
}

/* Bytes of a JPEG at that step: about linear in quality, more a pixel where many were averaged. */
static int64_t jpeg_bytes(struct se_engine *engine, const struct se_block *block, int step)
{
	int shrink = steps[step].shrink, quality = engine->settings.jpeg_quality * steps[step].percent / 100;
	int64_t pixels = se_rect_area(block->box) / (shrink * shrink), detail = 150 + block->literals / 5;

	quality = quality < SE_AUTO_QUALITY_LEAST ? SE_AUTO_QUALITY_LEAST : quality;
	return SE_FRAME_RECORD + 620 +
	       se_auto_plan(&engine->automatic, shrink > 1 ? SE_AUTO_STRETCHED : SE_AUTO_JPEG,
	                    pixels * detail * (quality + 15) / 85 * (shrink + 3) / 4 / 1000);
}

/* What the block costs at that step; `shrink`, if it is to be a stretched JPEG, else 1. */
static int64_t estimate(struct se_engine *engine, const struct se_block *block, int step, int *shrink)
{
	int64_t area = se_rect_area(block->box), bytes, stretched;

	*shrink = 1;
	switch (block->form) {
	case SE_FORM_JPEG:
		*shrink = steps[step].shrink;
		return jpeg_bytes(engine, block, step);
	case SE_FORM_LOSSLESS:
		bytes = se_auto_exact_bytes(&engine->automatic, area, block->literals, block->cost);
		if (engine->settings.mode == SE_MODE_LOSSLESS || steps[step].shrink == 1 || area < STRETCH_LEAST)
			return bytes;
		stretched = jpeg_bytes(engine, block, step);
		if (stretched >= bytes)
			return bytes;
		*shrink = steps[step].shrink;
		return stretched;
	case SE_FORM_FLAT:
		return SE_FRAME_RECORD;
	default:
		return 0;
	}
}

static bool is_chosen(const struct se_block *block)
{
	return block->form != SE_FORM_NONE && block->form != SE_FORM_VIDEO;
}

/* The best step at which everything fits, or the last. */
static int find_step(struct se_engine *engine, int64_t target)
{
	const struct se_blocks *blocks = &engine->automatic.blocks;
	int last = engine->settings.mode == SE_MODE_LOSSLESS ? 0 : STEPS - 1;

	for (int step = 0; step < last; step++) {
		int64_t bytes = 0;
		int shrink;

		for (size_t i = 0; i < blocks->count; i++)
			bytes += is_chosen(&blocks->items[i]) ? estimate(engine, &blocks->items[i], step, &shrink) : 0;
		if (bytes <= target)
			return step;
	}
	return last;
}

/* Latest first; what changed at once begins at row `turn`, for it changes again and again and each place shall have its turn. */
static int by_time(const void *a, const void *b, void *turn)
{
	const struct se_block *left = a, *right = b;
	bool left_later = left->row < *(int *)turn, right_later = right->row < *(int *)turn;

	if (left->changed_us != right->changed_us)
		return left->changed_us < right->changed_us ? 1 : -1;
	if (left_later != right_later)
		return left_later ? 1 : -1;
	if (left->row != right->row)
		return left->row < right->row ? -1 : 1;
	return left->column - right->column;
}

/* Cuts a rectangle, at a tile's edge, to what `left` of `bytes` pay for. False if that is not even a tile. */
static bool cut(struct se_rect *box, int64_t bytes, int64_t left)
{
	int end = (int)((box->y + box->h * left / bytes) / SE_TILE * SE_TILE);

	if (end > box->y) {
		box->h = end - box->y;
		return true;
	}
	end = (box->y / SE_TILE + 1) * SE_TILE; /* one row of tiles */
	if (end < box->y + box->h) {
		bytes = bytes * (end - box->y) / box->h;
		box->h = end - box->y;
	}
	end = (int)((box->x + box->w * left / (bytes > 0 ? bytes : 1)) / SE_TILE * SE_TILE);
	if (end <= box->x)
		return false;
	if (end < box->x + box->w)
		box->w = end - box->x;
	return true;
}

static void cut_to_tile(struct se_rect *box)
{
	int right = (box->x / SE_TILE + 1) * SE_TILE, bottom = (box->y / SE_TILE + 1) * SE_TILE;

	box->w = right < box->x + box->w ? right - box->x : box->w;
	box->h = bottom < box->y + box->h ? bottom - box->y : box->h;
}

/* Takes a block on, or what of it `left` pays for. Returns the bytes, 0 if it has to wait. */
static int64_t take(struct se_engine *engine, struct se_block *block, int64_t left)
{
	struct se_auto *self = &engine->automatic;
	struct se_block part = *block;
	int64_t bytes = estimate(engine, block, self->step, &part.shrink);

	if (bytes > left) {
		self->left_over = true;
		if (block->form == SE_FORM_FLAT || ((block->form == SE_FORM_JPEG || part.shrink > 1) && left < CUT_LEAST))
			return 0;
		if (left > 0 && cut(&part.box, bytes, left))
			bytes = estimate(engine, &part, self->step, &part.shrink);
		else
			return 0;
		if (bytes > left + left / 4) /* too small a piece to be worth its tables */
			return 0;
	}
	*block = part;
	if (part.shrink > 1)
		block->form = SE_FORM_JPEG;
	if (block->form == SE_FORM_FLAT)
		self->planned += bytes;
	else
		se_auto_spend(self, block->form == SE_FORM_LOSSLESS ? SE_AUTO_EXACT : part.shrink > 1 ? SE_AUTO_STRETCHED : SE_AUTO_JPEG, bytes);
	return bytes;
}

static void take_blocks(struct se_engine *engine, int64_t left, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_blocks *blocks = &self->blocks;
	size_t end = blocks->count; /* blocks from here on are stale and were looked at */
	int64_t stale = left / 2;
	struct se_block *newest = NULL, *missed = NULL;
	bool any = false;

	if (blocks->count > 1)
		qsort_r(blocks->items, blocks->count, sizeof *blocks->items, by_time, &self->turn);
	for (; end > 0 && blocks->items[end - 1].changed_us + STALE_US < now; end--) {
		struct se_block *block = &blocks->items[end - 1];
		int64_t bytes;

		if (!is_chosen(block))
			continue;
		bytes = take(engine, block, stale);
		if (bytes == 0)
			break;
		any = true;
		stale -= bytes;
		left -= bytes;
	}
	for (size_t i = 0; i < end; i++) {
		struct se_block *block = &blocks->items[i];
		int64_t bytes;

		if (!is_chosen(block))
			continue;
		newest = newest ? newest : block;
		bytes = take(engine, block, left);
		if (bytes == 0 && !any) { /* a tile of it, however tight the budget is */
			cut_to_tile(&block->box);
			bytes = take(engine, block, INT64_MAX / 8);
		}
		any = any || bytes > 0;
		left -= bytes;
		if (bytes == 0) {
			if (!missed && block->changed_us == newest->changed_us)
				missed = block;
			block->form = SE_FORM_NONE;
		}
	}
	self->turn = missed ? missed->row : 0;
}

/* Bytes of a picture whose rate factor is so much coarser: half for each 6. */
static int64_t coarser(int64_t bytes, int by)
{
	return (bytes >> (by / 6)) * (12 - by % 6) / 12;
}

static int64_t video_bytes(struct se_video *video)
{
	int64_t area = se_rect_area(video->rect);

	if (video->key_due || !video->encoder)
		return video->key_size > 0 ? video->key_size : area / 10;
	return video->delta_size > 0 ? video->delta_size : area / 100;
}

/* Chooses the rate factor at which the next picture fits; puts the picture off if there is none. */
static void plan_video(struct se_engine *engine, struct se_video *video, int region, int64_t left, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	bool key = video->key_due || !video->encoder;
	int64_t rate = se_budget_bucket(&self->budget) * 10, share = rate / (key ? KEY_RATE : VIDEO_RATE);
	int64_t bytes = video_bytes(video), most = self->room - self->planned - 4 * SE_FRAME_HEADER;
	bool goes;

	share = share > left ? share : left;
	for (video->coarser = 0; video->coarser < COARSER_MOST && coarser(bytes, video->coarser) > share;)
		video->coarser++;
	bytes = coarser(bytes, video->coarser);
	if (video->waits_us == 0)
		video->waits_us = now;
	goes = bytes <= left || (bytes <= most && (left >= se_budget_bucket(&self->budget) / 2 || now - video->waits_us > VIDEO_WAITS_US)) ||
	       (now - video->waits_us > 2 * VIDEO_WAITS_US && most > se_rect_area(video->rect) / 100);
	video->most = most > 1024 ? (size_t)most : 1024;
	if (goes) {
		video->waits_us = 0;
		self->planned += bytes;
		return;
	}
	self->left_over = true;
	for (size_t i = 0; i < self->blocks.count; i++)
		if (self->blocks.items[i].form == SE_FORM_VIDEO && self->blocks.items[i].video == region)
			self->blocks.items[i].form = SE_FORM_NONE;
}

/* Marks the regions with changes, as blocks number them. Returns how many. */
static int find_videos(const struct se_auto *self, bool dirty[SE_ACTIVITY_REGIONS])
{
	int count = 0;

	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		dirty[i] = false;
	for (size_t i = 0; i < self->blocks.count; i++) {
		const struct se_block *block = &self->blocks.items[i];

		if (block->form != SE_FORM_VIDEO || dirty[block->video])
			continue;
		dirty[block->video] = true;
		count++;
	}
	return count;
}

void se_auto_choose(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	bool dirty[SE_ACTIVITY_REGIONS], waits = false;
	int index[SE_ACTIVITY_REGIONS], videos;
	struct se_rect regions[SE_ACTIVITY_REGIONS];
	int64_t bucket = se_budget_bucket(&self->budget), left, reserved = 0, target;

	self->step = 0;
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
		self->videos[i].most = 0;
		self->videos[i].coarser = self->available == SE_BUDGET_UNLIMITED ? 0 : self->videos[i].coarser;
	}
	if (self->available == SE_BUDGET_UNLIMITED)
		return;
	self->left_over = false;
	self->planned = (int64_t)self->op_count * SE_FRAME_RECORD; /* copies */
	left = self->available - SE_FRAME_HEADER - self->planned;
	left = left > 0 ? left : 0;
	if (self->repair_due <= now)
		left -= left / SE_AUTO_REPAIR_SHARE;
	videos = find_videos(self, dirty);
	se_auto_regions(self, regions, index);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		waits = waits || (dirty[i] && self->videos[index[i]].waits_us);
	if (videos > 0)
		reserved = waits ? left * 3 / 4 : left / 2;
	target = left - reserved > bucket / 2 ? left - reserved : bucket / 2;
	self->step = find_step(engine, target);
	take_blocks(engine, left - reserved, now);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
		int64_t rest = left - self->planned;

		if (dirty[i])
			plan_video(engine, &self->videos[index[i]], i, rest > 0 ? rest / videos-- : 0, now);
	}
}
