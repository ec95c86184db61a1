/* engine_snapshot.c - the whole picture in stateless form, for one viewer. Engine thread, between frames.
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

/* Modes jpeg and h264: bands of JPEG, for what they are sent last is JPEG or H.264 as well. */
static int collect(struct se_engine *self, int quality)
{
	const struct se_settings *settings = &self->settings;

	if (!quality)
		quality = settings->jpeg_quality > settings->paint_over_jpeg_quality ? settings->jpeg_quality
		                                                                     : settings->paint_over_jpeg_quality;
	se_jobs_clear(&self->jobs, &self->reference);
	if (self->refresh)
		return SE_OK; /* nothing has been captured at this size: the next frame carries it all */
	for (int y = 0; y < self->reference.height; y += BAND_ROWS) {
		int rest = self->reference.height - y;
		struct se_job *job = se_jobs_add(&self->jobs);

		if (!job)
			return SE_E_NOMEM;
		job->rect = (struct se_rect){ 0, y, self->reference.width, rest < BAND_ROWS ? rest : BAND_ROWS };
		job->mode = SE_MODE_JPEG;
		job->chroma = se_settings_rest_chroma(settings);
		job->quality = quality;
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
	size_t done = 0;

	request->frames = calloc(op_count + 1, sizeof(struct se_frame *));
	if (!request->frames)
		return se_error_set(SE_E_NOMEM, "out of memory: a snapshot");
	do {
		size_t count = se_frame_fit(ops + done, op_count - done);
		struct se_frame_info info = {
			.kind = SE_KIND_SNAPSHOT,
			.flags = done + count < op_count ? SE_FLAG_MORE : 0,
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

/* True if much of what viewers have may be exact: then a newcomer is to have it so too. */
static bool in_forms(const struct se_engine *self)
{
	if (self->settings.mode != SE_MODE_AUTO && !se_settings_end_exact(&self->settings))
		return false;
	return self->automatic.ready || !se_mode_is_tiled(self->settings.mode);
}

void se_engine_answer_snapshot(struct se_engine *self, struct se_snapshot_request *request, uint32_t as_of)
{
	uint64_t begun_us = se_now_us();
	const struct se_op *ops;
	size_t count;
	int code;

	/* Just resized: messages that wait are of the old size and must not follow; the next one brings everything. */
	if (self->refresh || self->copies_waiting)
		as_of = self->frame_id;
	if (in_forms(self) && !self->refresh) {
		code = se_engine_auto_snapshot(self, request->quality);
		ops = self->automatic.ops;
		count = self->automatic.op_count;
	} else {
		code = collect(self, request->quality);
		if (code == SE_OK)
			code = se_jobs_run(&self->jobs, &self->helper_cpu_ns);
		ops = self->jobs.ops;
		count = self->jobs.op_count;
	}
	if (code == SE_OK)
		code = check_jobs(self);
	if (code == SE_OK)
		code = pack(self, request, ops, count, as_of, begun_us);
	if (code == SE_OK)
		return;
	request->code = code;
	snprintf(request->text, sizeof request->text, "%.159s", se_error_message());
	se_frames_free(request->frames, request->count);
	request->frames = NULL;
	request->count = 0;
}
