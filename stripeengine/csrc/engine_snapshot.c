/* engine_snapshot.c - the picture, or a part of it, in stateless form, for one viewer. Engine thread, between frames.
 *
 * Its as-of is the last message *taken*. Messages finished but not taken have larger ids, so the receiver applies them on top; the
 * snapshot already shows what they show, and each op overwrites its whole rectangle, so nothing is shown wrong. A smaller
 * as-of than possible is on purpose: a key frame that waits to be taken still reaches the newcomer's decoder. Copies alone must not be
 * applied to what they have led to: where one waits, the as-of is the last message finished.
 */
#include "engine_private.h"

#include <stdio.h>

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
                uint32_t as_of, uint64_t begun_us)
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
			.frame_id = as_of,
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

static int encode(struct se_engine *self, struct se_snapshot_request *request, struct se_rect rect, uint32_t as_of)
{
	uint64_t begun_us = se_now_us();
	int code;

	if (in_forms(self) && request->shrink == 1) {
		code = se_engine_auto_snapshot(self, rect, request->quality);
		if (code == SE_OK)
			code = check_jobs(self);
		return code < 0 ? code : pack(self, request, self->automatic.ops, self->automatic.op_count, as_of, begun_us);
	}
	code = collect(self, rect, request->quality, request->shrink);
	if (code == SE_OK)
		code = se_jobs_run(&self->jobs, &self->helper_cpu_ns);
	if (code == SE_OK)
		code = check_jobs(self);
	return code < 0 ? code : pack(self, request, self->jobs.ops, self->jobs.op_count, as_of, begun_us);
}

static int encode_all(struct se_engine *self, struct se_snapshot_request *request, uint32_t as_of)
{
	struct se_rect bounds = se_picture_bounds(&self->reference);
	int code = SE_OK;

	/* Nothing has been captured at this size: the next frame carries it all. */
	if (self->refresh)
		return pack(self, request, NULL, 0, as_of, se_now_us());
	if (!request->rects)
		return encode(self, request, bounds, as_of);
	for (size_t i = 0; i < request->rect_count && code == SE_OK; i++) {
		struct se_rect rect = se_rect_intersect(request->rects[i], bounds);

		if (!se_rect_empty(rect))
			code = encode(self, request, rect, as_of);
	}
	return code < 0 || request->count > 0 ? code : pack(self, request, NULL, 0, as_of, se_now_us());
}

void se_engine_answer_snapshot(struct se_engine *self, struct se_snapshot_request *request, uint32_t as_of)
{
	int code;

	/* Just resized: messages that wait are of the old size and must not follow; the next one brings everything. */
	if (self->refresh || self->copies_waiting)
		as_of = self->frame_id;
	code = encode_all(self, request, as_of);
	if (code == SE_OK)
		return;
	request->code = code;
	snprintf(request->text, sizeof request->text, "%.159s", se_error_message());
	se_frames_free(request->frames, request->count);
	request->frames = NULL;
	request->count = 0;
}
