/* auto_forms.c - from forms to jobs, from jobs to ops, and what a sent op means for the tiles. Engine thread. */
#include "auto_mode.h"
#include "engine_private.h"
#include "error.h"

#include <string.h>

#define BATCH_PIXELS 524288 /* a batch of more is shared with the pool */
#define FAST_LESS 15        /* JPEG quality that an area which keeps changing does without */
#define QUALITY_LEAST 10
#define CRF_MOST 50
#define SMALL_COARSER 4     /* rate factor that a video beside other things does without */
#define LARGE_FINER 3       /* and that one gains which fills the screen: then it is all there is to see */
#define LARGE_SHARE 2       /* of the picture: from a half */
#define KEY_COARSER 6       /* of a key frame while a video plays: the next picture hides what it lacks */
#define PAINT_PIXELS 400000 /* a smaller region that rests is exact so soon that a better picture before is not worth its bytes */
#define PAINT_DIVISOR 3     /* pixels for a byte of such a picture, about */

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

int se_auto_add_lossless(struct se_auto *self, struct se_rect rect, int literals)
{
	struct se_batch *batch = &self->batches[0];

	for (int i = 0; i < SE_AUTO_BATCHES; i++) {
		batch = &self->batches[i];
		if (batch->pixels < BATCH_PIXELS)
			break;
	}
	return se_batch_add(batch, rect, literals);
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

/* Rate factor of a video: by its size, bounded by the preset, and coarser as the budget wants. */
static int video_crf(const struct se_engine *engine, const struct se_video *video)
{
	const struct se_settings *settings = &engine->settings;
	int crf = settings->h264_crf;

	if (settings->max_kbps == 0) /* else the budget does it */
		crf += SMALL_COARSER;
	if (se_rect_area(video->rect) * LARGE_SHARE >= se_rect_area(se_picture_bounds(&engine->reference))) {
		crf = settings->h264_crf - LARGE_FINER;
		if (crf < settings->paint_over_crf)
			crf = settings->paint_over_crf < settings->h264_crf ? settings->paint_over_crf : settings->h264_crf;
	}
	crf += video->coarser;
	return crf < CRF_MOST ? crf : CRF_MOST;
}

/* The column and the row of tiles that are a video's but not of its picture; empty where there is none. */
static void rim_of(const struct se_video *video, struct se_rect out[2])
{
	struct se_rect rect = video->rect, coded = video->coded;

	out[0] = (struct se_rect){ rect.x, rect.y, coded.x - rect.x, rect.h };
	out[1] = (struct se_rect){ coded.x, rect.y, coded.w, coded.y - rect.y };
}

static bool differs(const struct se_engine *engine, struct se_rect rect)
{
	const struct se_image *image = &engine->image;

	for (int y = rect.y; y < rect.y + rect.h; y++)
		for (int x = rect.x; x < rect.x + rect.w; x++) {
			const uint8_t *a = se_picture_at(&engine->reference, x, y), *b = image->pixels + (size_t)y * image->stride + (size_t)x * 4;

			if (a[0] != b[0] || a[1] != b[1] || a[2] != b[2])
				return true;
		}
	return false;
}

struct se_rect se_auto_video_changes(const struct se_engine *engine, const struct se_video *video, struct se_rect box)
{
	struct se_rect rim[2], out = se_rect_intersect(box, video->coded);

	rim_of(video, rim);
	for (int i = 0; i < 2; i++) {
		struct se_rect part = se_rect_intersect(rim[i], box);

		if (differs(engine, part))
			out = se_rect_union(out, part);
	}
	return out;
}

/* Notes what of a video's rim this block changes, before its pixels are taken over. Most change only the video. */
static void note_rim(const struct se_engine *engine, struct se_video *video, struct se_rect box)
{
	struct se_rect rim[2];

	rim_of(video, rim);
	for (int i = 0; i < 2; i++) {
		struct se_rect part = se_rect_intersect(rim[i], box);

		if (differs(engine, part))
			video->rim[i] = se_rect_union(video->rim[i], part);
	}
}

/* With a key frame all of the rim is sent: what viewers have of it may be unknown. */
static int add_rim(struct se_auto *self, struct se_video *video)
{
	int code = SE_OK;

	if (video->key_due)
		rim_of(video, video->rim);
	for (int i = 0; i < 2 && code == SE_OK; i++)
		if (!se_rect_empty(video->rim[i]))
			code = se_auto_add_lossless(self, video->rim[i], 1000);
	return code;
}

/* Bytes that a picture at rest may have, 0 for no bound; what is planned counts it already. */
static size_t paint_most(const struct se_auto *self, const struct se_video *video)
{
	int64_t most = self->room - self->planned + se_rect_area(video->rect) / PAINT_DIVISOR;

	if (self->available == SE_BUDGET_UNLIMITED)
		return 0;
	return most > 1024 ? (size_t)most : 1024;
}

/* `paint`: the region rests, this is its better picture. */
static int add_video(struct se_engine *engine, int index, const struct se_region *changed, bool paint)
{
	struct se_video *video = &engine->automatic.videos[index];
	struct se_job *job = se_jobs_add(&engine->jobs);

	if (!job)
		return SE_E_NOMEM;
	job->rect = video->coded;
	job->encoder = &video->encoder;
	job->stream = (uint16_t)index;
	job->mode = SE_MODE_H264;
	job->chroma = engine->settings.chroma;
	job->framerate = engine->settings.framerate;
	job->paint = paint;
	job->key = video->key_due || paint;
	job->quality = paint ? engine->settings.paint_over_crf : video_crf(engine, video) + (job->key ? KEY_COARSER : 0);
	job->most = paint ? paint_most(&engine->automatic, video) : video->most;
	job->changed = *changed;
	se_region_clip(&job->changed, video->coded);
	return add_rim(&engine->automatic, video);
}

/* True once in each rest of a region that is so large that its exact repair takes a while: until then a better picture serves.
 * A region whose changes could not all be sent does not rest. */
static bool paint_due(struct se_engine *engine, int index, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	const struct se_video *video = &self->videos[index];
	int64_t area = se_rect_area(video->rect), bytes = area / PAINT_DIVISOR;

	if (!se_activity_rested(self->activity, index, now) || !video->encoder)
		return false;
	if (!engine->settings.paint_over || engine->settings.paint_over_crf >= engine->settings.h264_crf || area < PAINT_PIXELS ||
	    self->left_over)
		return false;
	if (self->available != SE_BUDGET_UNLIMITED && self->available - self->planned < bytes)
		return false;
	self->planned += bytes;
	return true;
}

/* Quality of a changed area as JPEG. */
static int quality_of(const struct se_engine *engine, const struct se_block *block)
{
	int wanted = engine->settings.jpeg_quality, quality = wanted - (block->fast ? FAST_LESS : 0);

	quality = se_auto_quality(&engine->automatic, quality);
	if (quality < QUALITY_LEAST)
		quality = wanted < QUALITY_LEAST ? wanted : QUALITY_LEAST;
	return quality;
}

int se_auto_add_blocks(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	struct se_region changed[SE_ACTIVITY_REGIONS] = { { .count = 0 } };
	int index[SE_ACTIVITY_REGIONS], code = SE_OK;
	struct se_rect regions[SE_ACTIVITY_REGIONS];

	se_auto_regions(self, regions, index);
	for (size_t i = 0; i < self->blocks.count && code == SE_OK; i++) {
		const struct se_block *block = &self->blocks.items[i];
		int quality;

		switch (block->form) {
		case SE_FORM_FLAT:
			code = se_auto_add_fill(self, block->box, block->colour);
			break;
		case SE_FORM_LOSSLESS:
			code = se_auto_add_lossless(self, block->box, block->literals);
			break;
		case SE_FORM_JPEG:
			quality = quality_of(engine, block);
			code = se_auto_add_jpeg(engine, block->box, quality, block->shrink,
			                        block->shrink <= 1 && !se_auto_repairs_later(&engine->settings, quality));
			break;
		case SE_FORM_VIDEO:
			se_region_add(&changed[index[block->video]], block->box);
			break;
		case SE_FORM_NONE:
			break;
		}
	}
	for (int i = 0; i < SE_ACTIVITY_REGIONS && code == SE_OK; i++) {
		bool paint = paint_due(engine, i, now); /* asked in any case: the question wakes the engine until it was */

		if (!se_region_empty(&changed[i]) || paint)
			code = add_video(engine, i, &changed[i], paint && se_region_empty(&changed[i]));
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

void se_auto_take_pixels(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;
	int index[SE_ACTIVITY_REGIONS];
	struct se_rect regions[SE_ACTIVITY_REGIONS];

	se_auto_regions(self, regions, index);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		memset(self->videos[i].rim, 0, sizeof self->videos[i].rim);
	for (size_t i = 0; i < self->blocks.count; i++) {
		const struct se_block *block = &self->blocks.items[i];

		if (block->form == SE_FORM_NONE)
			continue;
		if (block->form == SE_FORM_VIDEO)
			note_rim(engine, &self->videos[index[block->video]], block->box);
		se_tiles_take(&self->tiles, block->box, &engine->reference, engine->image.pixels, engine->image.stride);
	}
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

static bool is_stretched(const struct se_op *op)
{
	return op->payload_width < op->rect.w || op->payload_height < op->rect.h;
}

/* What such a picture takes at the preset's rate factor: twice as much for 6 less. Growth counts at once. */
static void note_size(struct se_video *video, const struct se_op *op)
{
	int64_t size = ((int64_t)op->length << (video->coarser / 6)) * (6 + video->coarser % 6) / 6;
	int64_t *known = op->flags & SE_OP_KEY ? &video->key_size : &video->delta_size;

	*known = size > *known ? size : (*known * 3 + size) / 4;
}

static void settle_sent(struct se_engine *engine, const struct se_op *op, const struct se_auto_op *origin)
{
	struct se_auto *self = &engine->automatic;

	switch (op->kind) {
	case SE_OP_COPY:
		return; /* the tiles have followed already */
	case SE_OP_JPEG:
		se_tiles_sent(&self->tiles, op->rect, SE_TILE_LOSSY, is_stretched(op) ? SE_TILE_STRETCHED : origin->quality);
		break;
	case SE_OP_H264:
		/* Its rim came before it, unless that was too much. */
		se_tiles_sent(&self->tiles, self->trimmed ? op->rect : self->videos[op->stream].rect, SE_TILE_H264, 0);
		if (!engine->jobs.items[origin->job].paint)
			note_size(&self->videos[op->stream], op);
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
