/* auto_forms.c - from forms to jobs, from jobs to ops, and what a sent op means for the tiles. Engine thread. */
#include "auto_mode.h"
#include "content.h"
#include "engine_private.h"
#include "error.h"

#include <string.h>

#define BAND_PIXELS 131072  /* of a rectangle that batches share */
#define TAKEN_PIXELS 500000 /* copying fewer is over before a helper is awake */
#define FAST_LESS(coarser) ((coarser) * 15 / 4) /* JPEG quality for so many steps of the rate factor */

static struct se_op *add_op(struct se_auto *self, int job, int quality)
{
	if (self->op_count == self->op_capacity) {
		size_t capacity = self->op_capacity ? self->op_capacity * 2 : 64;
		struct se_op *ops = realloc(self->ops, capacity * sizeof *ops);
		struct se_auto_op *origins;

		if (ops)
			self->ops = ops;
		origins = ops ? realloc(self->origins, capacity * sizeof *origins) : NULL;
		if (!origins) {
			se_error_set(SE_E_NOMEM, "out of memory: %zu ops", capacity);
			return NULL;
		}
		self->origins = origins;
		self->op_capacity = capacity;
	}
	self->origins[self->op_count] = (struct se_auto_op){ job, quality };
	memset(&self->ops[self->op_count], 0, sizeof *self->ops);
	return &self->ops[self->op_count++];
}

int se_auto_add_copy(struct se_auto *self, struct se_move move)
{
	struct se_op *op = add_op(self, -1, 0);

	if (!op)
		return SE_E_NOMEM;
	op->kind = SE_OP_COPY;
	op->rect = move.rect;
	op->source_x = move.rect.x - move.dx;
	op->source_y = move.rect.y - move.dy;
	return SE_OK;
}

int se_auto_add_fill(struct se_auto *self, struct se_rect rect, uint32_t colour)
{
	struct se_op *op = add_op(self, -1, 0);

	if (!op)
		return SE_E_NOMEM;
	op->kind = SE_OP_FILL;
	op->flags = SE_OP_FINAL;
	op->rect = rect;
	op->value = colour;
	return SE_OK;
}

/* The first with room, or the last. */
static struct se_batch *find_batch(struct se_auto *self)
{
	for (int i = 0; i < SE_AUTO_BATCHES - 1; i++)
		if (self->batches[i].pixels < self->batch_pixels)
			return &self->batches[i];
	return &self->batches[SE_AUTO_BATCHES - 1];
}

int se_auto_add_lossless(struct se_auto *self, struct se_rect rect, int literals)
{
	return se_batch_add(find_batch(self), rect, literals);
}

/* Shares what is exact between an even number of batches, equally: two processors are done with them at once. */
static void share_batches(struct se_auto *self)
{
	int64_t pixels = 0, count;

	for (size_t i = 0; i < self->blocks.count; i++)
		if (self->blocks.items[i].form == SE_FORM_LOSSLESS)
			pixels += se_rect_area(self->blocks.items[i].box);
	if (pixels <= SE_AUTO_BATCH_PIXELS) /* each has a palette and codes of its own */
		return;
	count = (pixels / SE_AUTO_BATCH_PIXELS + 2) & ~1;
	count = count < SE_AUTO_BATCHES ? count : SE_AUTO_BATCHES;
	self->batch_pixels = (pixels + count - 1) / count;
}

/* In bands, for batches share it. What was told from photographs block by block, where those go another way, is not looked at
 * once more. */
static int add_exact(struct se_auto *self, const struct se_block *block)
{
	bool mixed = self->blocks.photo == SE_FORM_LOSSLESS;
	bool open = mixed || se_content_is_photo((struct se_content){ block->literals, block->cost });
	int end = block->box.y + block->box.h, rows = BAND_PIXELS / block->box.w / SE_BLOCK * SE_BLOCK, code = SE_OK;
	struct se_rect band = block->box;

	rows = rows > SE_BLOCK ? rows : SE_BLOCK;
	for (; band.y < end && code == SE_OK; band.y += band.h) {
		int cut = (band.y + rows) / SE_BLOCK * SE_BLOCK;

		band.h = (cut < end ? cut : end) - band.y;
		code = open ? se_auto_add_lossless(self, band, block->literals)
		            : se_batch_add_text(find_batch(self), band, block->literals);
	}
	return code;
}

int se_auto_add_jpeg(struct se_engine *engine, struct se_rect rect, int quality, int shrink, bool final)
{
	struct se_job *job = se_jobs_add(&engine->jobs);

	if (!job)
		return SE_E_NOMEM;
	job->rect = rect;
	job->mode = SE_MODE_JPEG;
	job->chroma = engine->settings.chroma;
	job->quality = quality;
	job->shrink = shrink;
	job->final = final;
	return SE_OK;
}

int se_auto_add_rest_jpeg(struct se_engine *engine, struct se_rect rect, int quality, bool final)
{
	int code = se_auto_add_jpeg(engine, rect, quality, 1, final);

	if (code == SE_OK)
		engine->jobs.items[engine->jobs.count - 1].chroma = se_settings_rest_chroma(&engine->settings);
	return code;
}

/* Quality of a changed area as JPEG. */
static int quality_of(const struct se_engine *engine, const struct se_block *block)
{
	int wanted = engine->settings.jpeg_quality, quality = wanted - (block->fast ? FAST_LESS(engine->settings.motion_coarser) : 0);

	quality = se_auto_quality(&engine->automatic, quality);
	if (quality < SE_AUTO_QUALITY_LEAST)
		quality = wanted < SE_AUTO_QUALITY_LEAST ? wanted : SE_AUTO_QUALITY_LEAST;
	return quality;
}

int se_auto_add_blocks(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	bool changed[SE_ACTIVITY_REGIONS] = { false };
	int index[SE_ACTIVITY_REGIONS], code = SE_OK;
	struct se_rect regions[SE_ACTIVITY_REGIONS];

	se_auto_regions(self, regions, index);
	share_batches(self);
	for (size_t i = 0; i < self->blocks.count && code == SE_OK; i++) {
		const struct se_block *block = &self->blocks.items[i];
		int quality, worth;

		switch (block->form) {
		case SE_FORM_FLAT:
			code = se_auto_add_fill(self, block->box, block->colour);
			break;
		case SE_FORM_LOSSLESS:
			code = add_exact(self, block);
			break;
		case SE_FORM_JPEG:
			quality = quality_of(engine, block);
			worth = se_tile_quality(quality, engine->settings.chroma);
			code = se_auto_add_jpeg(engine, block->box, quality, block->shrink,
			                        block->shrink <= 1 && !se_auto_repairs_later(&engine->settings, worth));
			break;
		case SE_FORM_VIDEO:
			changed[index[block->video]] = true;
			break;
		case SE_FORM_NONE:
			break;
		}
	}
	for (int i = 0; i < SE_ACTIVITY_REGIONS && code == SE_OK; i++) {
		bool paint;

		se_auto_note_video_rest(engine, i);
		paint = se_auto_video_paint_due(engine, i, now); /* asked in any case: the question wakes the engine until it was */

		if (changed[i] || paint)
			code = se_auto_add_video(engine, i, paint && !changed[i]);
	}
	return code;
}

static int add_batch_ops(struct se_auto *self, const struct se_batch *batch)
{
	for (size_t i = 0; i < batch->part_count; i++) {
		const struct se_batch_part *part = &batch->parts[i];

		for (size_t j = 0; j < part->count; j++) {
			struct se_op *op = add_op(self, -1, 0);

			if (!op)
				return SE_E_NOMEM;
			op->kind = SE_OP_LOSSLESS;
			op->flags = SE_OP_FINAL;
			op->rect = batch->pieces[part->first + j].rect;
			op->payload_width = op->rect.w;
			op->payload_height = op->rect.h;
			op->value = (uint32_t)j;
			op->payload = part->out.data;
			op->length = part->out.size;
		}
	}
	return SE_OK;
}

/* Takes blocks of a video that lie side by side at once, from `first` on: long rows are read faster. Returns how many. */
static size_t take_video(struct se_engine *engine, size_t first, struct se_video *video)
{
	struct se_auto *self = &engine->automatic;
	const struct se_block *block = &self->blocks.items[first], *end = self->blocks.items + self->blocks.count, *next = block + 1;
	struct se_rect box = block->box;

	for (; next < end && next->form == SE_FORM_VIDEO && next->video == block->video && next->row == block->row &&
	       next->column == next[-1].column + 1; next++)
		box = se_rect_union(box, next->box);
	se_auto_note_rim(engine, video, box);
	se_tiles_take(&self->tiles, box, &engine->reference, engine->image.pixels, engine->image.stride);
	se_auto_video_follow(engine, video, box);
	return (size_t)(next - block);
}

/* What is taken of the captured image, shared with the pool in SE_AUTO_PARTS runs of rows of tiles. */
struct taking {
	struct se_engine *engine;
	struct se_tiles parts[SE_AUTO_PARTS];
};

static void take_part(void *context, size_t index)
{
	struct taking *all = context;
	struct se_engine *engine = all->engine;
	const struct se_blocks *blocks = &engine->automatic.blocks;
	struct se_tiles *tiles = &all->parts[index];
	int top = (int)index * tiles->rows / SE_AUTO_PARTS * SE_TILE, bottom = ((int)index + 1) * tiles->rows / SE_AUTO_PARTS * SE_TILE;
	struct se_rect rows = { 0, top, tiles->width, bottom - top };

	for (size_t i = 0; i < blocks->count; i++) {
		const struct se_block *block = &blocks->items[i];
		struct se_rect box = se_rect_intersect(block->box, rows);

		if (block->form != SE_FORM_VIDEO && block->form != SE_FORM_NONE && !se_rect_empty(box))
			se_tiles_take(tiles, box, &engine->reference, engine->image.pixels, engine->image.stride);
	}
}

void se_auto_take_pixels(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;
	struct taking all = { .engine = engine };
	int index[SE_ACTIVITY_REGIONS];
	struct se_rect regions[SE_ACTIVITY_REGIONS];
	int64_t pixels = 0;

	se_auto_regions(self, regions, index);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		memset(self->videos[i].rim, 0, sizeof self->videos[i].rim);
	for (size_t i = 0, taken; i < self->blocks.count; i += taken) {
		const struct se_block *block = &self->blocks.items[i];

		taken = 1;
		if (block->form == SE_FORM_VIDEO)
			taken = take_video(engine, i, &self->videos[index[block->video]]);
		else if (block->form != SE_FORM_NONE)
			pixels += se_rect_area(block->box);
	}
	if (pixels > 0)
		se_auto_share_tiles(engine, take_part, &all, all.parts, pixels >= TAKEN_PIXELS);
}

int se_auto_encode(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;
	struct se_jobs *jobs = &engine->jobs;
	int code = SE_OK;

	for (int i = 0; i < SE_AUTO_BATCHES; i++) {
		struct se_job *job;

		if (self->batches[i].count == 0)
			continue;
		job = se_jobs_add(jobs);
		if (!job)
			return SE_E_NOMEM;
		job->mode = SE_MODE_LOSSLESS;
		job->batch = &self->batches[i];
	}
	if (jobs->count > 0)
		code = se_jobs_run(jobs, &engine->helper_cpu_ns);
	if (code < 0)
		return code;
	for (size_t i = 0; i < jobs->count && code == SE_OK; i++)
		if (jobs->items[i].batch && jobs->items[i].code == SE_OK)
			code = add_batch_ops(self, jobs->items[i].batch);
	for (size_t i = 0; i < jobs->op_count && code == SE_OK; i++) {
		const struct se_job *job = &jobs->items[jobs->op_jobs[i]];
		struct se_op *op = add_op(self, (int)jobs->op_jobs[i], job->quality);

		code = op ? SE_OK : SE_E_NOMEM;
		if (op)
			*op = jobs->ops[i];
	}
	return code;
}

static void settle_sent(struct se_engine *engine, const struct se_op *op, const struct se_auto_op *origin)
{
	struct se_auto *self = &engine->automatic;

	switch (op->kind) {
	case SE_OP_COPY:
		return; /* the tiles have followed already */
	case SE_OP_JPEG:
		se_tiles_sent(&self->tiles, op->rect, SE_TILE_LOSSY,
		              se_op_is_stretched(op) ? SE_TILE_STRETCHED
		                                     : se_tile_quality(origin->quality, op->flags & SE_OP_444 ? 444 : 420));
		break;
	case SE_OP_H264:
		/* Its rim came before it, unless that was too much. */
		se_tiles_sent(&self->tiles, self->trimmed ? op->rect : self->videos[op->stream].rect, SE_TILE_H264, 0);
		if (!engine->jobs.items[origin->job].paint)
			se_auto_note_video_size(&self->videos[op->stream], op);
		if (op->flags & SE_OP_KEY)
			self->videos[op->stream].key_due = false;
		break;
	default:
		se_tiles_sent(&self->tiles, op->rect, SE_TILE_EXACT, 0);
	}
}

void se_auto_settle(struct se_engine *engine, size_t sent, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	bool videos_sent[SE_ACTIVITY_REGIONS] = { false };

	for (size_t i = 0; i < sent; i++) {
		settle_sent(engine, &self->ops[i], &self->origins[i]);
		if (self->ops[i].kind == SE_OP_H264)
			videos_sent[self->ops[i].stream] = true;
	}
	/* What was not sent is in the reference all the same. */
	for (size_t i = sent; i < self->op_count; i++)
		if (self->ops[i].kind == SE_OP_COPY)
			se_tiles_forget(&self->tiles, self->ops[i].rect, now);
	/* A picture that was encoded but not sent: the next one must not refer to it. */
	for (size_t i = 0; i < engine->jobs.count; i++)
		if (engine->jobs.items[i].mode == SE_MODE_H264 && !videos_sent[engine->jobs.items[i].stream])
			self->videos[engine->jobs.items[i].stream].key_due = true;
	se_tiles_settle(&self->tiles, now);
}
