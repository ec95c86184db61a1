/* auto_repair.c - what was sent with losses is sent again, exactly or in better quality, once it is at rest. Engine thread.
 *
 * Each tile counts from its own last change, so nothing that keeps changing elsewhere delays it. The most recently changed
 * comes first: that is where people look.
 */
#include <limits.h>

#include "auto_mode.h"
#include "content.h"
#include "engine_private.h"
#include "error.h"

#define FRAME_BYTES 65536  /* of repairs in one frame, estimated, */
#define FRAME_PIXELS 2097152 /* of a picture of up to so many pixels; of a larger one as many times more, or it would take seconds */
#define FRAME_REPAIRS 1024 /* and rectangles */
#define BLOCK_TILES (SE_BLOCK / SE_TILE)

/* What a JPEG at rest is worth (se_tile_quality): its quality, or that of the change if only its colours are better. */
static int rest_quality(const struct se_settings *settings)
{
	int quality = settings->paint_over_jpeg_quality, chroma = se_settings_rest_chroma(settings);

	if (chroma > settings->chroma && settings->jpeg_quality > quality)
		quality = settings->jpeg_quality;
	return se_tile_quality(quality, chroma);
}

bool se_auto_repairs_later(const struct se_settings *settings, int tile_quality)
{
	return se_settings_end_exact(settings) || (settings->paint_over && rest_quality(settings) > tile_quality);
}

/* True if a tile has losses which, with these settings, are to be bettered. */
static bool has_remedy(const struct se_settings *settings, const struct se_tile *tile)
{
	if (tile->state == SE_TILE_EXACT || tile->dirty)
		return false;
	/* Stretched is no quality anybody asked for. */
	return (tile->state == SE_TILE_LOSSY && tile->quality == SE_TILE_STRETCHED) || se_auto_repairs_later(settings, tile->quality);
}

static uint64_t due_of(const struct se_settings *settings, const struct se_tile *tile)
{
	switch (settings->mode) {
	case SE_MODE_LOSSLESS:
		return 0;
	case SE_MODE_JPEG:
		return tile->changed_us + (uint64_t)settings->paint_over_trigger_frames * 1000000u / (uint64_t)settings->framerate;
	default:
		return tile->changed_us + (uint64_t)settings->repair_delay_ms * 1000u;
	}
}

/* From when on the videos that touch `rect` let it be repaired; 0 if there are none, SE_NEVER if not while they live. */
static uint64_t videos_rest(const struct se_auto *self, struct se_rect rect)
{
	uint64_t due = 0;

	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		if (self->videos[i].repair_us > due && !se_rect_empty(se_rect_intersect(rect, self->videos[i].rect)))
			due = self->videos[i].repair_us;
	return due;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t se_auto_find_repair(struct se_engine *engine)
{
	const struct se_auto *self = &engine->automatic;
	const struct se_tiles *tiles = &self->tiles;
	uint64_t due = SE_NEVER;

	if (tiles->counts[SE_TILE_EXACT] == tiles->columns * tiles->rows)
		return SE_NEVER;
	for (int row = 0; row < tiles->rows; row++)
		for (int column = 0; column < tiles->columns; column++) {
			const struct se_tile *tile = se_tile_at(tiles, column, row);

			if (has_remedy(&engine->settings, tile) && due_of(&engine->settings, tile) < due)
				due = least(due, later(due_of(&engine->settings, tile), videos_rest(self, se_tile_rect(tiles, column, row))));
		}
	return due;
}

/* `lone`: stays as it is. So do those that share a batch anyway, and all with a rate bound, which a large one might be too much for. */
static int add_repair(struct se_engine *engine, int column, int row, struct se_rect rect, uint64_t changed_us, bool lone)
{
	struct se_auto *self = &engine->automatic;
	struct se_block *repair = se_blocks_add(&self->repairs);
	bool is_exact = se_settings_end_exact(&engine->settings);

	if (!repair)
		return SE_E_NOMEM;
	repair->column = column / BLOCK_TILES;
	repair->row = row / BLOCK_TILES;
	repair->box = rect;
	repair->changed_us = changed_us;
	repair->form = is_exact ? SE_FORM_LOSSLESS : SE_FORM_JPEG;
	repair->cost = INT_MAX; /* merged as it is; the cost of those that are sent is estimated then */
	repair->lone = lone || is_exact || self->available != SE_BUDGET_UNLIMITED;
	return SE_OK;
}

static bool is_due(const struct se_engine *engine, int column, int row, uint64_t now)
{
	const struct se_tiles *tiles = &engine->automatic.tiles;
	const struct se_tile *tile = se_tile_at(tiles, column, row);

	return has_remedy(&engine->settings, tile) && due_of(&engine->settings, tile) <= now &&
	       videos_rest(&engine->automatic, se_tile_rect(tiles, column, row)) <= now;
}

/* True if nothing in the rectangle waits to be sent, nor has changed just now. */
static bool is_settled(const struct se_engine *engine, struct se_rect rect, uint64_t now)
{
	struct se_rect range = se_tiles_touched(rect);

	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w; column++) {
			const struct se_tile *tile = se_tile_at(&engine->automatic.tiles, column, row);

			if (tile->dirty || due_of(&engine->settings, tile) > now)
				return false;
		}
	return true;
}

/* Lists the due tiles of the range, neighbours in a row together. */
static int list_runs(struct se_engine *engine, struct se_rect range, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	int code = SE_OK;

	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w && code == SE_OK; column++) {
			struct se_rect run = { 0, 0, 0, 0 };
			uint64_t changed_us = 0;
			int first = column;

			for (; column < range.x + range.w && is_due(engine, column, row, now); column++) {
				const struct se_tile *tile = se_tile_at(&self->tiles, column, row);

				run = se_rect_union(run, se_tile_rect(&self->tiles, column, row));
				changed_us = tile->changed_us > changed_us ? tile->changed_us : changed_us;
			}
			if (!se_rect_empty(run))
				code = add_repair(engine, first, row, run, changed_us, true);
		}
	return code;
}

/* Lists the due tiles of the block that begins at that tile: as one box, or by runs where a video is close. The box may hold
 * tiles that are not due: sent again exactly, they are no worse. As a JPEG they might be, and in jpeg what is busy is sent as one
 * in the same frame, so there what is busy is left out. */
static int list_block(struct se_engine *engine, int column, int row, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	const struct se_tiles *tiles = &self->tiles;
	struct se_rect block = se_rect_intersect((struct se_rect){ column, row, BLOCK_TILES, BLOCK_TILES },
	                                         (struct se_rect){ 0, 0, tiles->columns, tiles->rows });
	bool around_busy = engine->settings.mode == SE_MODE_JPEG || !se_settings_end_exact(&engine->settings);
	struct se_rect all = { 0, 0, 0, 0 };
	uint64_t changed_us = 0;

	for (int y = block.y; y < block.y + block.h; y++)
		for (int x = block.x; x < block.x + block.w; x++) {
			const struct se_tile *tile = se_tile_at(tiles, x, y);

			if (!is_due(engine, x, y, now))
				continue;
			all = se_rect_union(all, se_tile_rect(tiles, x, y));
			changed_us = tile->changed_us > changed_us ? tile->changed_us : changed_us;
		}
	if (se_rect_empty(all))
		return SE_OK;
	if (videos_rest(self, all) > now || (around_busy && !is_settled(engine, all, now)))
		return list_runs(engine, block, now);
	return add_repair(engine, column, row, all, changed_us, false);
}

static int latest_first(const void *a, const void *b)
{
	const struct se_block *left = a, *right = b;

	if (left->changed_us != right->changed_us)
		return left->changed_us < right->changed_us ? 1 : -1;
	if (left->box.y != right->box.y)
		return left->box.y < right->box.y ? -1 : 1;
	return left->box.x < right->box.x ? -1 : left->box.x > right->box.x;
}

static int add_exact(struct se_engine *engine, struct se_rect rect, int64_t *bytes)
{
	const struct se_picture *picture = &engine->reference;
	int literals = se_lossless_literals(picture->pixels, picture->stride, rect, 1000);

	*bytes = se_batch_estimate(picture, rect, literals);
	return se_auto_add_lossless(&engine->automatic, rect, literals);
}

static int jpeg_quality(const struct se_settings *settings)
{
	return settings->paint_over && settings->paint_over_jpeg_quality > settings->jpeg_quality ? settings->paint_over_jpeg_quality
	                                                                                          : settings->jpeg_quality;
}

static int add_jpeg(struct se_engine *engine, struct se_rect rect, int64_t *bytes)
{
	if (rect.w <= SE_BLOCK && rect.h <= SE_BLOCK &&
	    se_block_is_tiny(rect, se_content_sample(&engine->reference, rect).cost))
		return add_exact(engine, rect, bytes);
	*bytes = 700 + se_rect_area(rect) / 2;
	return se_auto_add_rest_jpeg(engine, rect, jpeg_quality(&engine->settings), true);
}

/* What is left of a row of tiles after those at its left that need no repair: a cut before them would change nothing. */
static struct se_rect skip_repaired(const struct se_engine *engine, struct se_rect row)
{
	const struct se_tiles *tiles = &engine->automatic.tiles;

	while (row.w > SE_TILE && !has_remedy(&engine->settings, se_tile_at(tiles, row.x / SE_TILE, row.y / SE_TILE))) {
		row.x += SE_TILE;
		row.w -= SE_TILE;
	}
	return row;
}

/* Bytes of a repair of that area. */
static int64_t bytes_of(struct se_auto *self, const struct se_block *repair, bool is_jpeg, int64_t area)
{
	if (is_jpeg)
		return SE_FRAME_RECORD + 620 + se_auto_plan(self, SE_AUTO_JPEG, area / 2);
	return se_auto_exact_bytes(self, area, repair->literals, repair->cost);
}

/* Adds as much of a repair as `left` bytes pay for, from its top; the rest stays due. */
static int add_bounded(struct se_engine *engine, const struct se_block *repair, int64_t left, bool first, int64_t *bytes)
{
	struct se_auto *self = &engine->automatic;
	struct se_content content = se_content_sample(&engine->reference, repair->box);
	struct se_block sampled = { .literals = content.literals, .cost = content.cost };
	struct se_rect rect = repair->box;
	bool is_jpeg = repair->form == SE_FORM_JPEG && !se_block_is_tiny(rect, content.cost);
	int64_t cost = bytes_of(self, &sampled, is_jpeg, se_rect_area(rect));
	int code;

	*bytes = 0;
	while (cost > left && (rect.h > SE_TILE || rect.w > SE_TILE)) {
		if (rect.h > SE_TILE) {
			rect.h = (rect.h - 1) / SE_TILE * SE_TILE;
			if (rect.h == SE_TILE)
				rect = skip_repaired(engine, rect);
		} else {
			rect.w = (rect.w - 1) / SE_TILE * SE_TILE;
		}
		cost = bytes_of(self, &sampled, is_jpeg, se_rect_area(rect));
	}
	if (cost > left && !first)
		return SE_OK;
	code = is_jpeg ? se_auto_add_rest_jpeg(engine, rect, jpeg_quality(&engine->settings), true) : se_auto_add_lossless(self, rect, content.literals);
	*bytes = cost;
	if (code == SE_OK)
		se_auto_spend(self, is_jpeg ? SE_AUTO_JPEG : SE_AUTO_EXACT, cost);
	return code;
}

/* Bytes of repairs that a frame may have, estimated. */
static int64_t frame_bytes(const struct se_engine *engine)
{
	int64_t pixels = se_rect_area(se_picture_bounds(&engine->reference));

	return pixels > FRAME_PIXELS ? FRAME_BYTES * pixels / FRAME_PIXELS : FRAME_BYTES;
}

/* The share of the repairs, or all that is left if no change waits and no video is about to change; a part of the bucket is kept
 * for the next change. */
static int add_within_budget(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;
	bool share = self->left_over || se_auto_regions(self, (struct se_rect[SE_ACTIVITY_REGIONS]){ { 0, 0, 0, 0 } }, NULL) > 0;
	int64_t bucket = se_budget_bucket(&self->budget), least = self->available / SE_AUTO_REPAIR_SHARE;
	int64_t left = self->available - self->planned - bucket / SE_AUTO_REPAIR_SHARE;
	int code = SE_OK;

	left = share || left < least ? least : left;
	left = left > frame_bytes(engine) ? frame_bytes(engine) : left;
	for (size_t i = 0; i < self->repairs.count && i < FRAME_REPAIRS && code == SE_OK; i++) {
		int64_t bytes;

		if (self->repairs.items[i].form == SE_FORM_NONE) /* it is in another */
			continue;
		code = add_bounded(engine, &self->repairs.items[i], left, self->planned == 0, &bytes);
		if (bytes == 0)
			break;
		left -= bytes;
	}
	return code;
}

static int add_freely(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;
	int64_t most = engine->settings.mode == SE_MODE_LOSSLESS ? INT64_MAX : frame_bytes(engine), spent = 0;
	int code = SE_OK, repairs = 0;

	for (size_t i = 0; i < self->repairs.count && spent < most && code == SE_OK; i++) {
		const struct se_block *repair = &self->repairs.items[i];
		int64_t bytes = 0;

		if (repair->form == SE_FORM_NONE) /* it is in another */
			continue;
		if (engine->settings.mode != SE_MODE_LOSSLESS && repairs++ == FRAME_REPAIRS)
			break;
		code = repair->form == SE_FORM_JPEG ? add_jpeg(engine, repair->box, &bytes) : add_exact(engine, repair->box, &bytes);
		spent += bytes;
	}
	return code;
}

struct moment {
	const struct se_engine *engine;
	uint64_t now;
};

/* A JPEG over what has just been sent exactly would be worse. */
static bool may_repair(void *context, struct se_rect merged)
{
	const struct moment *moment = context;

	return se_settings_end_exact(&moment->engine->settings) || is_settled(moment->engine, merged, moment->now);
}

int se_auto_add_repairs(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct moment moment = { engine, now };
	int code = SE_OK;

	self->repairs.count = 0;
	for (int row = 0; row < self->tiles.rows && code == SE_OK; row += BLOCK_TILES)
		for (int column = 0; column < self->tiles.columns && code == SE_OK; column += BLOCK_TILES)
			code = list_block(engine, column, row, now);
	if (code < 0)
		return code;
	se_blocks_merge(&self->repairs, &(struct se_blocks_limits){ .may = may_repair, .context = &moment });
	if (self->repairs.count > 1)
		qsort(self->repairs.items, self->repairs.count, sizeof *self->repairs.items, latest_first);
	return self->available == SE_BUDGET_UNLIMITED ? add_freely(engine) : add_within_budget(engine);
}
