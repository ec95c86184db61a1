/* engine_auto.c - modes jpeg, auto and lossless: one frame, and entering and leaving the modes. Engine thread; encoding in the pool. */
#include "engine_private.h"

#include "clock.h"
#include "error.h"

#define QUALITY_FINAL se_tile_quality(100, 444) /* no JPEG is better */
#define SWIFT_US 40000u /* a frame that took longer hides what changed meanwhile: that time counts for nothing */

static void drop_videos(struct se_auto *self)
{
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
		se_h264_free(self->videos[i].encoder);
		self->videos[i] = (struct se_video){ .key_due = true };
	}
}

void se_auto_free(struct se_auto *self)
{
	drop_videos(self);
	se_tiles_free(&self->tiles);
	se_motion_free(self->motion);
	se_activity_free(self->activity);
	se_blocks_free(&self->blocks);
	for (int i = 0; i < SE_AUTO_BATCHES; i++)
		se_batch_free(&self->batches[i]);
	se_blocks_free(&self->repairs);
	free(self->ops);
	free(self->origins);
	*self = (struct se_auto){ 0 };
}

void se_engine_auto_resized(struct se_engine *engine)
{
	engine->automatic.ready = false;
	engine->automatic.fresh = true;
	drop_videos(&engine->automatic);
}

static int make_searchers(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;
	int width = engine->reference.width, height = engine->reference.height;

	if (!self->motion)
		self->motion = se_motion_new();
	if (!self->motion)
		return se_error_set(SE_E_NOMEM, "out of memory: a motion finder");
	if (self->activity)
		return se_activity_resize(self->activity, width, height);
	self->activity = se_activity_new(width, height);
	return self->activity ? SE_OK : se_error_set(SE_E_NOMEM, "out of memory: an activity map");
}

/* What h264 mode has sent in its best quality is not sent again for being a little worse than JPEG. */
static void inherit_quality(struct se_engine *engine)
{
	struct se_tiles *tiles = &engine->automatic.tiles;

	for (int i = 0; i < tiles->columns * tiles->rows; i++)
		tiles->items[i].quality = QUALITY_FINAL;
	/* A delta was drawn over all of its stripe, whatever of it had changed. */
	for (int i = 0; i < engine->stripes.count; i++)
		if (!se_region_empty(&engine->stripes.items[i].lossy))
			se_tiles_sent(tiles, se_tiles_snap(tiles, se_stripe_rect(&engine->stripes, &engine->stripes.items[i])), SE_TILE_H264, 0);
}

/* Gets everything ready for the picture as it is. Coming from another mode the viewers have the picture with losses of
 * which nothing is known, but for what has changed and was not sent. */
static int prepare(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	int width = engine->reference.width, height = engine->reference.height, code;

	if (self->ready)
		return SE_OK;
	code = make_searchers(engine);
	if (code == SE_OK)
		code = se_tiles_layout(&self->tiles, width, height, self->fresh ? SE_TILE_UNKNOWN : SE_TILE_H264, now);
	if (code < 0)
		return code;
	inherit_quality(engine);
	for (int i = 0; i < engine->stripes.count; i++) {
		struct se_stripe *stripe = &engine->stripes.items[i];

		for (int j = 0; j < stripe->changed.count; j++)
			se_tiles_forget(&self->tiles, stripe->changed.rects[j], now);
		se_region_clear(&stripe->lossy);
	}
	if (self->fresh)
		se_tiles_forget(&self->tiles, se_picture_bounds(&engine->reference), now);
	self->repair_due = 0;
	self->fresh = false;
	self->ready = true;
	return SE_OK;
}

/* What viewers lack goes back to the stripes, and with it everything whose losses a paint-over would better. The reference does
 * not have it yet either. */
static void leave(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;
	struct se_budget budget;
	bool open;
	int kbps, enough = se_tile_quality(engine->settings.paint_over_jpeg_quality, 420);

	if (se_region_empty(&engine->dirty))
		engine->dirty_since = se_now_us();
	for (int i = 0; i < engine->stripes.count; i++) {
		struct se_stripe *stripe = &engine->stripes.items[i];

		se_region_add_region(&engine->dirty, &stripe->changed);
		if (!self->ready)
			continue;
		stripe->painted_x = engine->stripes.width; /* unless a tile of it is not exact */
		stripe->painted_as = SE_PAINT_RGB;
	}
	for (int row = 0; row < self->tiles.rows && self->ready; row++)
		for (int column = 0; column < self->tiles.columns; column++) {
			const struct se_tile *tile = se_tile_at(&self->tiles, column, row);
			struct se_rect rect = se_tile_rect(&self->tiles, column, row);
			struct se_stripe *stripe;

			stripe = &engine->stripes.items[rect.y / engine->stripes.height]; /* heights are multiples of tiles */
			if (tile->state != SE_TILE_EXACT)
				stripe->painted_x = 0;
			if (!tile->dirty && (tile->state == SE_TILE_EXACT || tile->quality >= enough))
				continue;
			if (tile->dirty) {
				se_stripe_add_changed(stripe, rect);
				se_region_add(&engine->dirty, rect);
			} else {
				se_stripe_add_lossy(stripe, rect, SE_STRIPE_FOREIGN);
			}
			if (tile->changed_us > stripe->changed_us)
				stripe->changed_us = tile->changed_us;
		}
	budget = self->budget;
	kbps = self->budget_kbps;
	open = self->budget_open;
	se_auto_free(self);
	self->budget = budget; /* another mode and back gives no new burst */
	self->budget_kbps = kbps;
	self->budget_open = open;
}

void se_engine_auto_switch(struct se_engine *engine, int from, int to)
{
	struct se_auto *self = &engine->automatic;

	if (se_mode_is_tiled(from) && !se_mode_is_tiled(to))
		leave(engine);
	if (!se_mode_is_tiled(from) && se_mode_is_tiled(to))
		self->fresh = engine->refresh;
	if (from != SE_MODE_AUTO && to == SE_MODE_AUTO && self->ready)
		self->ready = se_activity_resize(self->activity, self->tiles.width, self->tiles.height) == SE_OK;
	if (to != SE_MODE_AUTO)
		drop_videos(self);
	self->repair_due = 0; /* other settings, other repairs */
}

void se_engine_auto_request_keys(struct se_engine *engine)
{
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		engine->automatic.videos[i].key_due = true;
}

bool se_engine_auto_changed(const struct se_engine *engine)
{
	return engine->automatic.ready && engine->automatic.tiles.dirty > 0;
}

struct se_rect se_engine_auto_waiting(const struct se_engine *engine)
{
	return engine->automatic.tiles.dirty_bounds;
}

uint64_t se_engine_auto_due(const struct se_engine *engine)
{
	const struct se_auto *self = &engine->automatic;
	uint64_t due = self->ready ? self->repair_due : 0;

	if (self->ready && engine->settings.mode == SE_MODE_AUTO && se_activity_due(self->activity) < due)
		due = se_activity_due(self->activity);
	return due;
}

void se_engine_auto_clear(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;

	se_jobs_clear(&engine->jobs, &engine->reference);
	self->op_count = 0;
	self->blocks.count = 0;
	self->left_over = false;
	self->batch_pixels = SE_AUTO_BATCH_PIXELS;
	for (int i = 0; i < SE_AUTO_BATCHES; i++)
		se_batch_clear(&self->batches[i]);
}

static int collect(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	int code = se_auto_take_changes(engine, now);

	if (code < 0)
		return code;
	se_auto_choose(engine, now);
	se_auto_take_pixels(engine);
	se_engine_let_go(engine);
	code = se_auto_add_blocks(engine, now);
	if (code == SE_OK && self->repair_due <= now)
		code = se_auto_add_repairs(engine, now);
	return code;
}

/* How often something changes must not depend on how long its pictures take: a film would be none on a slow or busy machine. */
static void forgive_slowness(struct se_auto *self, uint64_t began)
{
	uint64_t spent = se_now_us() - began;

	if (spent > SWIFT_US)
		se_activity_delay(self->activity, began, spent - SWIFT_US);
}

static const struct se_job *failed_job(const struct se_jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++)
		if (jobs->items[i].code < 0)
			return &jobs->items[i];
	return NULL;
}

int se_engine_auto_build(struct se_engine *engine, uint64_t capture_us, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	bool changed = se_stripes_changed(&engine->stripes) || se_engine_auto_changed(engine);
	const struct se_job *failed;
	const char *text = "out of memory";
	size_t sent = 0, bytes = 0;
	int code = prepare(engine, now);

	if (code < 0)
		return se_engine_judge(engine, code, text, false);
	if (!se_auto_open_budget(engine, now))
		return 0;
	se_engine_auto_clear(engine);
	code = collect(engine, now);
	/* What was taken on before memory ran out is encoded all the same. */
	if (code == SE_OK)
		code = se_auto_encode(engine);
	if (code == SE_OK)
		se_auto_trim(engine);
	if (self->op_count > 0 && code == SE_OK)
		sent = se_engine_send(engine, self->ops, self->op_count, capture_us, now, changed, &code, &bytes);
	if (code == SE_E_AGAIN)
		code = SE_OK; /* the source has another size, as it is about to say: nothing was taken on */
	if (code < 0)
		text = se_error_message();
	se_auto_settle(engine, sent, now);
	se_auto_account(self, bytes, now);
	forgive_slowness(self, now);
	self->repair_due = se_auto_find_repair(engine);
	failed = failed_job(&engine->jobs);
	if (failed) {
		code = failed->code;
		text = failed->text;
	}
	if (code == SE_OK && self->op_count == 0)
		return 0;
	code = se_engine_judge(engine, code, text, sent > 0);
	return code < 0 ? code : 1;
}
