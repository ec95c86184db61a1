/* jobs.c - the rectangles of one frame, encoded side by side. */
#include "jobs.h"

#include <stdio.h>
#include <string.h>

#include "encoder_jpeg.h"
#include "pool.h"

#define PARALLEL_PIXELS 100000 /* about 0.3 ms of encoding: below, waking a helper costs more than it brings */
#define PAYLOAD_AIM (SE_FRAME_AIM - SE_FRAME_HEADER - SE_FRAME_RECORD)

static void free_buffers(struct se_job *job)
{
	se_buffer_free(&job->out);
	se_buffer_free(&job->shrunk);
}

void se_jobs_free(struct se_jobs *self)
{
	for (size_t i = 0; i < self->capacity; i++)
		free_buffers(&self->items[i]);
	free(self->items);
	free(self->ops);
	free(self->op_jobs);
	*self = (struct se_jobs){ 0 };
}

void se_jobs_clear(struct se_jobs *self, const struct se_picture *picture)
{
	self->count = 0;
	self->op_count = 0;
	self->picture = picture;
}

static int grow(struct se_jobs *self)
{
	size_t capacity = self->capacity ? self->capacity * 2 : 32;
	struct se_job *items = realloc(self->items, capacity * sizeof *items);
	struct se_op *ops;
	size_t *op_jobs;

	if (!items)
		return SE_E_NOMEM;
	memset(items + self->capacity, 0, (capacity - self->capacity) * sizeof *items);
	self->items = items;
	ops = realloc(self->ops, capacity * sizeof *ops);
	if (!ops)
		return SE_E_NOMEM;
	self->ops = ops;
	op_jobs = realloc(self->op_jobs, capacity * sizeof *op_jobs);
	if (!op_jobs)
		return SE_E_NOMEM;
	self->op_jobs = op_jobs;
	self->capacity = capacity;
	return SE_OK;
}

struct se_job *se_jobs_add(struct se_jobs *self)
{
	struct se_job *job;
	struct se_buffer out, shrunk;

	if (self->count == self->capacity && grow(self) < 0) {
		se_error_set(SE_E_NOMEM, "out of memory: %zu encoding jobs", self->count + 1);
		return NULL;
	}
	job = &self->items[self->count++];
	out = job->out;
	shrunk = job->shrunk;
	memset(job, 0, sizeof *job);
	job->out = out;
	job->shrunk = shrunk;
	return job;
}

static int run_jpeg(const struct se_jobs *self, struct se_job *job)
{
	const struct se_picture *picture = self->picture;
	const uint8_t *pixels = se_picture_at(picture, job->rect.x, job->rect.y);
	int shrink = job->shrink > 1 ? job->shrink : 1, code;
	size_t stride = picture->stride;

	job->payload_width = (job->rect.w + shrink - 1) / shrink;
	job->payload_height = (job->rect.h + shrink - 1) / shrink;
	if (shrink > 1) {
		code = se_jpeg_shrink(pixels, stride, job->rect.w, job->rect.h, shrink, &job->shrunk);
		if (code < 0)
			return code;
		pixels = job->shrunk.data;
		stride = (size_t)job->payload_width * 4;
	}
	return se_jpeg_encode(pixels, stride, job->payload_width, job->payload_height, job->chroma, job->quality, &job->out);
}

static int run_h264(const struct se_jobs *self, struct se_job *job)
{
	const struct se_picture *picture = self->picture;
	const uint8_t *origin = se_picture_at(picture, job->rect.x, job->rect.y);
	struct se_h264 **encoder = job->encoder;
	int code;

	if (*encoder && !se_h264_fits(*encoder, job->rect.w, job->rect.h, job->form)) {
		se_h264_free(*encoder);
		*encoder = NULL;
	}
	if (!*encoder) {
		*encoder = se_h264_open(job->rect.w, job->rect.h, job->form, job->framerate);
		if (!*encoder)
			return SE_E_ENCODER;
		se_region_clear(&job->changed);
		se_region_add(&job->changed, job->rect);
	}
	for (int i = 0; i < job->changed.count; i++) {
		struct se_rect rect = job->changed.rects[i];

		rect.x -= job->rect.x;
		rect.y -= job->rect.y;
		se_h264_update(*encoder, origin, picture->stride, rect);
	}
	se_h264_coded_size(*encoder, &job->payload_width, &job->payload_height);
	code = se_h264_encode(*encoder, job->key, job->quality, job->most, &job->out);
	if (code < 0) {
		se_h264_free(*encoder); /* its state and the viewers' have parted */
		*encoder = NULL;
		return code;
	}
	job->is_key = code == 1;
	return SE_OK;
}

static void run_job(void *context, size_t index)
{
	struct se_jobs *self = context;
	struct se_job *job = &self->items[index];

	if (job->mode == SE_MODE_LOSSLESS)
		job->code = se_batch_encode(job->batch, self->picture);
	else
		job->code = job->mode == SE_MODE_JPEG ? run_jpeg(self, job) : run_h264(self, job);
	if (job->code < 0)
		snprintf(job->text, sizeof job->text, "%.159s", se_error_message());
}

struct part {
	struct se_jobs *jobs;
	size_t begin;
};

static void run_part(void *context, size_t index)
{
	const struct part *part = context;

	run_job(part->jobs, part->begin + index);
}

/* Halves a rectangle along its longer side, at an edge of the tiles: what one op does not cover whole is not known to be sent. */
static void halve(struct se_rect rect, struct se_rect *first, struct se_rect *second)
{
	*first = *second = rect;
	if (rect.w >= rect.h) {
		first->w = ((rect.x + rect.w / 2 + 15) & ~15) - rect.x;
		second->x += first->w;
		second->w -= first->w;
	} else {
		first->h = ((rect.y + rect.h / 2 + 15) & ~15) - rect.y;
		second->y += first->h;
		second->h -= first->h;
	}
}

static int split(struct se_jobs *self, size_t index)
{
	struct se_rect halves[2];

	halve(self->items[index].rect, &halves[0], &halves[1]);
	for (int i = 0; i < 2; i++) {
		struct se_job *job = se_jobs_add(self);
		const struct se_job *from;

		if (!job)
			return SE_E_NOMEM;
		from = &self->items[index];
		job->rect = halves[i];
		job->mode = from->mode;
		job->chroma = from->chroma;
		job->quality = from->quality;
		job->shrink = from->shrink;
		job->final = from->final;
	}
	self->items[index].replaced = true;
	return SE_OK;
}

static bool too_large(const struct se_job *job)
{
	return job->code == SE_OK && job->mode == SE_MODE_JPEG && job->out.size > PAYLOAD_AIM &&
	       (job->rect.w > 32 || job->rect.h > 32);
}

static void add_op(struct se_jobs *self, size_t index)
{
	const struct se_job *job = &self->items[index];
	struct se_op op = { .kind = job->mode == SE_MODE_JPEG ? SE_OP_JPEG : SE_OP_H264, .rect = job->rect };

	if (job->mode == SE_MODE_H264) {
		op.stream = job->stream;
		if (job->is_key)
			op.flags |= SE_OP_KEY;
		if (job->payload_width != job->rect.w || job->payload_height != job->rect.h)
			op.flags |= SE_OP_CROP;
	}
	if (job->final)
		op.flags |= SE_OP_FINAL;
	if ((job->mode == SE_MODE_H264 ? job->form.chroma : job->chroma) == 444)
		op.flags |= SE_OP_444;
	op.payload_width = job->payload_width;
	op.payload_height = job->payload_height;
	op.payload = job->out.data;
	op.length = job->out.size;
	self->op_jobs[self->op_count] = index;
	self->ops[self->op_count++] = op;
}

int se_jobs_run(struct se_jobs *self, uint64_t *helper_cpu_ns)
{
	size_t begin = 0;

	while (begin < self->count) {
		struct part part = { self, begin };
		size_t end = self->count;
		int64_t pixels = 0;

		for (size_t i = begin; i < end; i++)
			pixels += self->items[i].batch ? self->items[i].batch->pixels : se_rect_area(self->items[i].rect);
		se_pool_run(run_part, &part, end - begin, pixels >= PARALLEL_PIXELS, helper_cpu_ns);
		for (size_t i = begin; i < end; i++)
			if (too_large(&self->items[i]) && split(self, i) < 0)
				return SE_E_NOMEM;
		begin = end;
	}
	for (size_t i = 0; i < self->count; i++)
		if (self->items[i].code == SE_OK && !self->items[i].replaced && !self->items[i].batch)
			add_op(self, i);
	return SE_OK;
}
