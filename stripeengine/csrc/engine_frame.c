/* engine_frame.c - mode h264: from changed stripes and due paint-overs to H.264 pictures; and for all modes, from ops to finished
 * messages. Engine thread; encoding in the pool.
 *
 * What is taken on for a frame leaves its stripe's lists when the job is made and returns to them if the job or the message
 * fails, so nothing is ever lost or sent twice.
 */
#include "engine_private.h"

#include <string.h>

#include "clock.h"
#include "error.h"

/* Frames in a row before the engine gives up: in which everything failed, in which something did. */
#define FAILURES_WHOLE 5
#define FAILURES_PARTIAL 40

/* Paint-overs a frame, so that a screen that stops at once is not one spike. */
#define PAINTS 2

static uint64_t trigger_us(const struct se_settings *settings)
{
	return (uint64_t)settings->paint_over_trigger_frames * 1000000u / (uint64_t)settings->framerate;
}

uint64_t se_engine_paint_due(const struct se_engine *self)
{
	uint64_t due = SE_NEVER;

	for (int i = 0; i < self->stripes.count; i++) {
		const struct se_stripe *stripe = &self->stripes.items[i];
		uint64_t at = stripe->changed_us + trigger_us(&self->settings);

		if (at < due && se_stripe_wants_paint(stripe, &self->settings))
			due = at;
	}
	return due;
}

/* True if a key frame goes out in the best quality there is, so that nothing better follows. */
static bool already_final(const struct se_settings *settings)
{
	return settings->paint_over && settings->h264_crf <= settings->paint_over_crf;
}

static int add_stripe(struct se_engine *self, struct se_stripe *stripe, bool paint)
{
	const struct se_settings *settings = &self->settings;
	struct se_job *job = se_jobs_add(&self->jobs);

	if (!job)
		return SE_E_NOMEM;
	job->rect = se_stripe_rect(&self->stripes, stripe);
	job->stripe = stripe;
	job->encoder = &stripe->encoder;
	job->stream = (uint16_t)(stripe - self->stripes.items);
	job->mode = SE_MODE_H264;
	job->form = se_settings_h264_form(settings);
	job->framerate = settings->framerate;
	job->quality = paint ? settings->paint_over_crf : settings->h264_crf;
	job->paint = paint;
	job->changed = stripe->changed;
	job->key = paint || stripe->key_due;
	/* A delta leaves most of a stripe as it was: only a key frame can promise that all of it is final. */
	job->final = paint || (job->key && already_final(settings));
	se_region_clear(paint ? &stripe->lossy : &stripe->changed);
	return SE_OK;
}

static int collect(struct se_engine *self, uint64_t now)
{
	int paints = PAINTS, code = SE_OK;

	se_jobs_clear(&self->jobs, &self->reference);
	for (int i = 0; i < self->stripes.count && code == SE_OK; i++) {
		struct se_stripe *stripe = &self->stripes.items[i];

		if (!se_region_empty(&stripe->changed)) {
			code = add_stripe(self, stripe, false);
		} else if (paints > 0 && se_stripe_wants_paint(stripe, &self->settings) &&
		           stripe->changed_us + trigger_us(&self->settings) <= now) {
			paints--;
			code = add_stripe(self, stripe, true);
		}
	}
	return code;
}

/* The message with this job was not made: its pixels are still due. */
static void put_back(struct se_job *job)
{
	struct se_stripe *stripe = job->stripe;

	stripe->key_due = true; /* the viewers lack a picture that the encoder may refer to */
	if (job->paint)
		se_stripe_add_lossy(stripe, job->rect, SE_STRIPE_FOREIGN);
	else
		se_stripe_add_changed(stripe, job->rect);
}

/* The message with this job is made: notes what it leaves to better. */
static void settle(struct se_job *job, uint64_t now)
{
	struct se_stripe *stripe = job->stripe;

	stripe->encoder_used_us = now;
	if (job->is_key)
		stripe->key_due = false;
	if (job->final)
		return;
	if (job->is_key)
		se_stripe_add_lossy(stripe, job->rect, job->quality);
	for (int i = 0; i < job->changed.count && !job->is_key; i++)
		se_stripe_add_lossy(stripe, job->changed.rects[i], job->quality);
}

static int reserve_slot(struct se_engine *self, size_t count)
{
	struct se_frame **slot;

	if (count <= self->slot_capacity)
		return SE_OK;
	slot = realloc(self->slot, count * sizeof *slot);
	if (!slot)
		return se_error_set(SE_E_NOMEM, "out of memory: %zu messages", count);
	self->slot = slot;
	self->slot_capacity = count;
	return SE_OK;
}

/* Packs ops into messages. Returns how many ops are in them; *messages are in `packed`. */
static size_t pack(struct se_engine *self, const struct se_op *ops, size_t op_count, struct se_frame **packed,
                   size_t *messages, uint64_t capture_us, uint64_t begun_us)
{
	size_t done = 0;

	*messages = 0;
	while (done < op_count) {
		size_t count = se_frame_fit(ops + done, op_count - done);
		struct se_frame_info info = {
			.kind = SE_KIND_FRAME,
			.flags = self->resized ? SE_FLAG_RESIZED : 0,
			.epoch = self->epoch,
			.frame_id = self->frame_id + 1,
			.width = self->reference.width,
			.height = self->reference.height,
			.capture_us = capture_us,
			.encode_us = (uint32_t)(se_now_us() - begun_us),
		};

		packed[*messages] = se_frame_pack(&info, ops + done, count);
		if (!packed[*messages])
			break;
		++*messages;
		self->resized = false;
		self->frame_id++;
		done += count;
	}
	return done;
}

/* Puts the messages where the consumer takes them. The slot is empty: this thread only builds when it is. */
static void hand_out(struct se_engine *self, struct se_frame **packed, size_t messages, size_t ops, uint64_t latency)
{
	struct se_stats *stats = &self->stats;

	pthread_mutex_lock(&self->lock);
	self->slot_next = 0;
	self->slot_count = messages;
	for (size_t i = 0; i < messages; i++) {
		self->slot[i] = packed[i];
		stats->bytes += se_frame_size(packed[i]);
	}
	stats->frames += messages;
	stats->ops += ops;
	stats->width = self->reference.width;
	stats->height = self->reference.height;
	if (latency != SE_NEVER) {
		uint32_t at = self->latency_next++ % (uint32_t)(sizeof stats->latency_us / sizeof *stats->latency_us);

		stats->latency_us[at] = latency < UINT32_MAX ? (uint32_t)latency : UINT32_MAX;
		if (at >= stats->latency_count)
			stats->latency_count = at + 1;
	}
	pthread_mutex_unlock(&self->lock);
	se_engine_signal(self->event_fd);
}

int se_engine_judge(struct se_engine *self, int code, const char *text, bool partial)
{
	if (code == SE_OK) {
		self->failures_in_a_row = 0;
		return SE_OK;
	}
	self->failures_in_a_row += partial ? 1 : FAILURES_PARTIAL / FAILURES_WHOLE;
	if (self->failures_in_a_row < FAILURES_PARTIAL)
		return SE_OK;
	return se_error_set(code, "encoding failed for many frames in a row: %.200s", text);
}

size_t se_engine_send(struct se_engine *self, const struct se_op *ops, size_t count, uint64_t capture_us,
                      uint64_t begun_us, bool changed, int *code, size_t *bytes)
{
	struct se_frame **packed = calloc(count + 1, sizeof *packed);
	size_t messages = 0, sent = 0;

	*code = SE_OK;
	*bytes = 0;
	pthread_mutex_lock(&self->lock); /* `slot` is shared */
	if (!packed)
		*code = se_error_set(SE_E_NOMEM, "out of memory: %zu messages", count);
	else
		*code = reserve_slot(self, count);
	pthread_mutex_unlock(&self->lock);
	if (*code == SE_OK)
		sent = pack(self, ops, count, packed, &messages, capture_us, begun_us);
	if (sent < count && *code == SE_OK)
		*code = SE_E_ENCODER;
	if (messages > 0) {
		self->copies_waiting = false;
		for (size_t i = 0; i < sent; i++)
			self->copies_waiting = self->copies_waiting || ops[i].kind == SE_OP_COPY;
		for (size_t i = 0; i < messages; i++)
			*bytes += se_frame_size(packed[i]);
		hand_out(self, packed, messages, sent, changed ? se_now_us() - capture_us : SE_NEVER);
	}
	free(packed);
	return sent;
}

static int finish(struct se_engine *self, uint64_t capture_us, uint64_t begun_us, bool changed)
{
	struct se_jobs *jobs = &self->jobs;
	const char *text = "";
	size_t bytes, sent;
	uint64_t now;
	int code;

	sent = se_engine_send(self, jobs->ops, jobs->op_count, capture_us, begun_us, changed, &code, &bytes);
	if (code < 0)
		text = se_error_message();
	now = se_now_us();
	for (size_t i = 0; i < jobs->op_count; i++)
		if (i < sent)
			settle(&jobs->items[jobs->op_jobs[i]], now);
		else
			put_back(&jobs->items[jobs->op_jobs[i]]);
	for (size_t i = 0; i < jobs->count; i++) {
		if (jobs->items[i].code == SE_OK)
			continue;
		put_back(&jobs->items[i]);
		code = jobs->items[i].code;
		text = jobs->items[i].text;
	}
	return se_engine_judge(self, code, text, sent > 0);
}

int se_engine_build(struct se_engine *self, uint64_t capture_us, uint64_t begun_us)
{
	bool changed = se_stripes_changed(&self->stripes);
	struct se_jobs *jobs = &self->jobs;
	int code;

	/* Out of memory while collecting: what has no job yet has stayed in its stripe. */
	code = collect(self, begun_us);
	if (jobs->count == 0)
		return se_engine_judge(self, code, "out of memory", false);
	code = se_jobs_run(jobs, &self->helper_cpu_ns);
	if (code < 0) {
		for (size_t i = 0; i < jobs->count; i++)
			put_back(&jobs->items[i]);
		code = se_engine_judge(self, code, "out of memory", false);
		return code < 0 ? code : 1;
	}
	code = finish(self, capture_us, begun_us, changed);
	return code < 0 ? code : 1;
}
