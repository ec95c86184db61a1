/* auto_repair.c - what was sent with losses is sent again, exactly, once it is at rest. Engine thread.
 *
 * Each tile counts from its own last change, so nothing that keeps changing elsewhere delays it. The most recently changed
 * comes first: that is where people look.
 */
#include "auto_mode.h"
#include "engine_private.h"
#include "error.h"

#define FRAME_BYTES 65536  /* of repairs in one frame, estimated */
#define FRAME_REPAIRS 1024 /* and rectangles */
#define BLOCK_TILES (SE_BLOCK / SE_TILE)

enum remedy { REMEDY_NONE, REMEDY_EXACT, REMEDY_JPEG };

/* What betters a tile with these settings. */
static enum remedy remedy_for(const struct se_settings *settings, const struct se_tile *tile)
{
	if (tile->state == SE_TILE_EXACT || tile->dirty)
		return REMEDY_NONE;
	if (settings->mode == SE_MODE_LOSSLESS || settings->lossless_when_still)
		return REMEDY_EXACT;
	if (settings->paint_over && (tile->state != SE_TILE_LOSSY || tile->quality < settings->paint_over_jpeg_quality))
		return REMEDY_JPEG;
	return REMEDY_NONE;
}

static uint64_t due_of(const struct se_settings *settings, const struct se_tile *tile)
{
	return settings->mode == SE_MODE_LOSSLESS ? 0 : tile->changed_us + (uint64_t)settings->repair_delay_ms * 1000u;
}

static bool in_video(const struct se_auto *self, struct se_rect rect)
{
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		if (!se_rect_empty(se_rect_intersect(rect, self->videos[i].rect)))
			return true;
	return false;
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

			if (remedy_for(&engine->settings, tile) != REMEDY_NONE && due_of(&engine->settings, tile) < due &&
			    !in_video(self, se_tile_rect(tiles, column, row)))
				due = due_of(&engine->settings, tile);
		}
	return due;
}

static int add_repair(struct se_auto *self, struct se_repair repair)
{
	if (self->repair_count == self->repair_capacity) {
		size_t capacity = self->repair_capacity ? self->repair_capacity * 2 : 64;
		struct se_repair *repairs = realloc(self->repairs, capacity * sizeof *repairs);

		if (!repairs)
			return se_error_set(SE_E_NOMEM, "out of memory: %zu repairs", capacity);
		self->repairs = repairs;
		self->repair_capacity = capacity;
	}
	self->repairs[self->repair_count++] = repair;
	return SE_OK;
}

/* Lists the due tiles of the block that begins at that tile: as one box, or each on its own where a video is close.
 * The box may hold tiles that are not due: sent again, they are no worse. */
static int list_block(struct se_engine *engine, int column, int row, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	const struct se_tiles *tiles = &self->tiles;
	struct se_rect block = se_rect_intersect((struct se_rect){ column * SE_TILE, row * SE_TILE, SE_BLOCK, SE_BLOCK },
	                                         (struct se_rect){ 0, 0, tiles->width, tiles->height });
	bool video_close = in_video(self, block);
	struct se_repair all = { .rect = { 0, 0, 0, 0 } };
	int code = SE_OK;

	for (int y = row; y < row + BLOCK_TILES && y < tiles->rows; y++)
		for (int x = column; x < column + BLOCK_TILES && x < tiles->columns; x++) {
			const struct se_tile *tile = se_tile_at(tiles, x, y);
			struct se_rect rect = se_tile_rect(tiles, x, y);
			enum remedy remedy = remedy_for(&engine->settings, tile);

			if (remedy == REMEDY_NONE || due_of(&engine->settings, tile) > now || (video_close && in_video(self, rect)))
				continue;
			if (video_close) {
				code = add_repair(self, (struct se_repair){ rect, tile->changed_us, remedy == REMEDY_JPEG });
				if (code < 0)
					return code;
				continue;
			}
			all.rect = se_rect_union(all.rect, rect);
			all.is_jpeg = remedy == REMEDY_JPEG;
			all.changed_us = tile->changed_us > all.changed_us ? tile->changed_us : all.changed_us;
		}
	return se_rect_empty(all.rect) ? SE_OK : add_repair(self, all);
}

static int latest_first(const void *a, const void *b)
{
	const struct se_repair *left = a, *right = b;

	if (left->changed_us != right->changed_us)
		return left->changed_us < right->changed_us ? 1 : -1;
	if (left->rect.y != right->rect.y)
		return left->rect.y < right->rect.y ? -1 : 1;
	return left->rect.x < right->rect.x ? -1 : 1;
}

static int add_exact(struct se_engine *engine, struct se_rect rect, int64_t *bytes)
{
	const struct se_picture *picture = &engine->reference;
	int literals = se_lossless_literals(picture->pixels, picture->stride, rect, 1000);

	*bytes = 32 + se_rect_area(rect) * literals * 3 / 1000;
	return se_auto_add_lossless(&engine->automatic, rect, literals);
}

static int add_jpeg(struct se_engine *engine, struct se_rect rect, int64_t *bytes)
{
	*bytes = 700 + se_rect_area(rect) / 2;
	return se_auto_add_jpeg(engine, rect, engine->settings.paint_over_jpeg_quality, true);
}

int se_auto_add_repairs(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	int64_t most = engine->settings.mode == SE_MODE_LOSSLESS ? INT64_MAX : FRAME_BYTES, spent = 0;
	int code = SE_OK;

	self->repair_count = 0;
	for (int row = 0; row < self->tiles.rows && code == SE_OK; row += BLOCK_TILES)
		for (int column = 0; column < self->tiles.columns && code == SE_OK; column += BLOCK_TILES)
			code = list_block(engine, column, row, now);
	if (code < 0)
		return code;
	if (self->available != SE_BUDGET_UNLIMITED && self->available - self->planned < most)
		most = self->available - self->planned;
	if (self->planned == 0 && most < 1)
		most = 1; /* one of them, however tight the budget is */
	if (self->repair_count > 1)
		qsort(self->repairs, self->repair_count, sizeof *self->repairs, latest_first);
	for (size_t i = 0; i < self->repair_count && spent < most && code == SE_OK; i++) {
		struct se_repair *repair = &self->repairs[i];
		int64_t bytes = 0;

		if (engine->settings.mode != SE_MODE_LOSSLESS && i == FRAME_REPAIRS)
			break;
		code = repair->is_jpeg ? add_jpeg(engine, repair->rect, &bytes) : add_exact(engine, repair->rect, &bytes);
		spent += bytes;
	}
	self->planned += spent;
	return code;
}
