/* engine_snapshot.c - the picture, or a part of it, in stateless form, for one viewer.
 *
 * The engine's thread only copies what is asked for, between two frames; who asks encodes it from the copy, the easel, so that a
 * viewer who needs a snapshot holds up nobody's frames. The easel is an engine without a thread, of which only what a snapshot is made
 * from is used. It belongs to the engine's thread while a request waits for its answer, and else to the holder of snapshot_lock.
 *
 * Its as-of is the last message *taken*. Messages finished but not taken have larger ids, so the receiver applies them on top; the
 * snapshot already shows what they show, and each op overwrites its whole rectangle, so nothing is shown wrong. A smaller
 * as-of than possible is on purpose: a key frame that waits to be taken still reaches the newcomer's decoder. Copies alone must not be
 * applied to what they have led to: where one waits, the as-of is the last message finished.
 */
#include "engine_private.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "error.h"

#define BAND_ROWS 64

/* Bands of JPEG: mode h264, for what it sends last is H.264. What is shrunk is JPEG in all modes. */
static int collect(struct se_engine *self, struct se_rect rect, int quality, int shrink)
{
	const struct se_settings *settings = &self->settings;
	int rows = shrink > 1 ? rect.h : BAND_ROWS;

	if (!quality)
		quality = settings->jpeg_quality > settings->paint_over_jpeg_quality ? settings->jpeg_quality
		                                                                     : settings->paint_over_jpeg_quality;
	se_jobs_clear(&self->jobs, &self->reference);
	for (int y = rect.y; y < rect.y + rect.h; y += rows) {
		int rest = rect.y + rect.h - y;
		struct se_job *job = se_jobs_add(&self->jobs);

		if (!job)
			return SE_E_NOMEM;
		job->rect = (struct se_rect){ rect.x, y, rect.w, rest < rows ? rest : rows };
		job->mode = SE_MODE_JPEG;
		job->chroma = se_settings_rest_chroma(settings);
		job->quality = quality;
		job->shrink = shrink;
	}
	return SE_OK;
}

static int check_jobs(const struct se_engine *self)
{
	int code = SE_OK;

	for (size_t i = 0; i < self->jobs.count && code == SE_OK; i++)
		if (self->jobs.items[i].code < 0)
			code = se_error_set(self->jobs.items[i].code, "%s", self->jobs.items[i].text);
	return code;
}

static int pack(struct se_engine *self, struct se_snapshot_request *request, const struct se_op *ops, size_t op_count,
                uint64_t begun_us)
{
	struct se_frame **frames = realloc(request->frames, (request->count + op_count + 1) * sizeof *frames);
	size_t done = 0;

	if (!frames)
		return se_error_set(SE_E_NOMEM, "out of memory: a snapshot");
	request->frames = frames;
	do {
		size_t count = se_frame_fit(ops + done, op_count - done);
		struct se_frame_info info = {
			.kind = SE_KIND_SNAPSHOT,
			.flags = (done + count < op_count ? SE_FLAG_MORE : 0) | (request->rects ? SE_FLAG_PARTIAL : 0),
			.epoch = self->epoch,
			.frame_id = request->as_of,
			.width = self->reference.width,
			.height = self->reference.height,
			.capture_us = begun_us,
			.encode_us = (uint32_t)(se_now_us() - begun_us),
		};
		struct se_frame *frame = se_frame_pack(&info, ops + done, count);

		if (!frame)
			return SE_E_NOMEM;
		if (self->stamp)
			se_frame_stamp(frame, se_now_us());
		request->frames[request->count++] = frame;
		done += count;
	} while (done < op_count);
	return SE_OK;
}

/* True if it is known what of the picture viewers have exactly: then a newcomer is to have it so too. */
static bool in_forms(const struct se_engine *self)
{
	return se_mode_is_tiled(self->settings.mode) ? self->automatic.ready : se_settings_end_exact(&self->settings);
}

static int encode(struct se_engine *self, struct se_snapshot_request *request, struct se_rect rect)
{
	uint64_t begun_us = se_now_us();
	int code;

	if (in_forms(self) && request->shrink == 1) {
		code = se_engine_auto_snapshot(self, rect, request->quality);
		if (code == SE_OK)
			code = check_jobs(self);
		return code < 0 ? code : pack(self, request, self->automatic.ops, self->automatic.op_count, begun_us);
	}
	code = collect(self, rect, request->quality, request->shrink);
	if (code == SE_OK)
		code = se_jobs_run(&self->jobs, &self->helper_cpu_ns);
	if (code == SE_OK)
		code = check_jobs(self);
	return code < 0 ? code : pack(self, request, self->jobs.ops, self->jobs.op_count, begun_us);
}

static int encode_all(struct se_engine *self, struct se_snapshot_request *request)
{
	struct se_rect bounds = se_picture_bounds(&self->reference);
	int code = SE_OK;

	/* Nothing has been captured at this size: the next frame carries it all. */
	if (self->refresh)
		return pack(self, request, NULL, 0, se_now_us());
	if (!request->rects)
		return encode(self, request, bounds);
	for (size_t i = 0; i < request->rect_count && code == SE_OK; i++) {
		struct se_rect rect = se_rect_intersect(request->rects[i], bounds);

		if (!se_rect_empty(rect))
			code = encode(self, request, rect);
	}
	return code < 0 || request->count > 0 ? code : pack(self, request, NULL, 0, se_now_us());
}

static int copy_tiles(struct se_tiles *to, const struct se_tiles *from)
{
	size_t size = (size_t)from->columns * (size_t)from->rows * sizeof *from->items;
	struct se_tile *items = to->items;

	if (to->columns != from->columns || to->rows != from->rows) {
		items = realloc(to->items, size);
		if (!items)
			return se_error_set(SE_E_NOMEM, "out of memory: a snapshot's tiles");
	}
	*to = *from;
	to->items = items;
	memcpy(items, from->items, size);
	return SE_OK;
}

/* What they have been painted over in; their encoders stay the engine's. */
static int copy_stripes(struct se_stripes *to, const struct se_stripes *from)
{
	size_t size = (size_t)from->count * sizeof *from->items;
	struct se_stripe *items = to->items;

	if (to->count != from->count) {
		items = realloc(to->items, size);
		if (!items)
			return se_error_set(SE_E_NOMEM, "out of memory: a snapshot's stripes");
	}
	*to = *from;
	to->items = items;
	memcpy(items, from->items, size);
	return SE_OK;
}

static int copy_pixels(struct se_engine *easel, const struct se_picture *from, const struct se_snapshot_request *request)
{
	struct se_rect bounds = se_picture_bounds(from);
	int code = SE_OK;

	if (easel->reference.width != from->width || easel->reference.height != from->height)
		code = se_picture_resize(&easel->reference, from->width, from->height);
	if (code < 0)
		return code;
	if (!request->rects)
		se_picture_copy(&easel->reference, from->pixels, from->stride, bounds);
	for (size_t i = 0; i < request->rect_count; i++)
		se_picture_copy(&easel->reference, from->pixels, from->stride, se_rect_intersect(request->rects[i], bounds));
	return SE_OK;
}

static int sketch(struct se_engine *easel, const struct se_engine *self, const struct se_snapshot_request *request)
{
	int code = SE_OK;

	easel->settings = self->settings;
	easel->refresh = self->refresh;
	easel->automatic.ready = self->automatic.ready;
	if (self->automatic.ready)
		code = copy_tiles(&easel->automatic.tiles, &self->automatic.tiles);
	if (code == SE_OK && self->stripes.count > 0)
		code = copy_stripes(&easel->stripes, &self->stripes);
	return code < 0 ? code : copy_pixels(easel, &self->reference, request);
}

void se_engine_answer_snapshot(struct se_engine *self, struct se_snapshot_request *request, uint32_t as_of)
{
	/* Just resized: messages that wait are of the old size and must not follow; the next one brings everything. */
	request->as_of = self->refresh || self->copies_waiting ? self->frame_id : as_of;
	request->code = sketch(self->easel, self, request);
	if (request->code < 0)
		snprintf(request->text, sizeof request->text, "%.159s", se_error_message());
}

int se_engine_prepare_easel(struct se_engine *self, int width, int height)
{
	struct se_engine *easel = self->easel;

	if (!easel) {
		easel = calloc(1, sizeof *easel);
		if (!easel)
			return se_error_set(SE_E_NOMEM, "out of memory: a snapshot");
		easel->epoch = self->epoch;
		easel->stamp = self->stamp;
		self->easel = easel;
	}
	/* Here, where it holds nobody up, and so that its pages are there when the engine's thread writes them. */
	if (width > 0 && (easel->reference.width != width || easel->reference.height != height))
		return se_picture_resize(&easel->reference, width, height);
	return SE_OK;
}

void se_engine_free_easel(struct se_engine *self)
{
	struct se_engine *easel = self->easel;

	if (!easel)
		return;
	se_auto_free(&easel->automatic);
	se_jobs_free(&easel->jobs);
	se_picture_free(&easel->reference);
	free(easel->stripes.items);
	free(easel);
	self->easel = NULL;
}

int se_engine_encode_snapshot(struct se_engine *self, struct se_snapshot_request *request)
{
	struct se_engine *easel = self->easel;
	uint64_t begun_ns = se_thread_cpu_ns();
	int code = encode_all(easel, request);

	pthread_mutex_lock(&self->lock);
	self->asked_cpu_ns += se_thread_cpu_ns() - begun_ns + easel->helper_cpu_ns;
	pthread_mutex_unlock(&self->lock);
	easel->helper_cpu_ns = 0;
	if (code == SE_OK)
		return SE_OK;
	snprintf(request->text, sizeof request->text, "%.159s", se_error_message());
	se_frames_free(request->frames, request->count);
	request->frames = NULL;
	request->count = 0;
	return code;
}
