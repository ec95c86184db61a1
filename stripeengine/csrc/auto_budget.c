/* auto_budget.c - how many bytes a frame may have, and what the last ones were worth. Engine thread.
 *
 * What is planned is an estimate, so there are two bounds: `available` is what a frame is planned for; `room` is what it may turn
 * out to have, or some two seconds would hold too much. Ops beyond the latter are not sent.
 */
#include "auto_mode.h"
#include "engine_private.h"

#include <string.h>

#define LEAST_BYTES 2000 /* with a rate bound, a frame of fewer bytes waits until it may have more */
#define LEAST_PARTS 5    /* of the bucket, if that is more: the fewer frames, the more each of them can show */
#define VIDEO_PIXELS 8   /* of a video for each byte a second: then its coarsest key frame, a byte for 20, takes 0.4 s */
#define LIVE_PIXELS 12   /* the same of one that plays already */
#define RATIO_LEAST 100
#define RATIO_MOST 5000

static void init_ratios(struct se_auto *self)
{
	for (int i = 0; i < SE_AUTO_COSTS; i++)
		self->ratios[i] = 1000;
}

bool se_auto_open_budget(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	int kbps = engine->settings.max_kbps;
	int64_t least;

	if (!self->budget_open)
		se_budget_init(&self->budget, kbps, now);
	else if (self->budget_kbps != kbps)
		se_budget_set_rate(&self->budget, kbps, now);
	self->budget_open = true;
	self->budget_kbps = kbps;
	if (self->ratios[0] == 0)
		init_ratios(self);
	self->planned = 0;
	memset(self->estimates, 0, sizeof self->estimates);
	self->available = se_budget_available(&self->budget, now);
	self->room = se_budget_room(&self->budget, now);
	least = se_budget_bucket(&self->budget) / LEAST_PARTS;
	least = least > LEAST_BYTES ? least : LEAST_BYTES;
	if (self->available < least) {
		uint64_t due = se_budget_due(&self->budget, (size_t)least, now);

		if (due > now) {
			se_pace_hold(&engine->pace, due);
			return false;
		}
	}
	return true;
}

bool se_auto_affords_video(const struct se_settings *settings, struct se_rect rect, bool live)
{
	int64_t rate = (int64_t)settings->max_kbps * 125; /* bytes a second */

	return rate == 0 || se_rect_area(rect) <= rate * (live ? LIVE_PIXELS : VIDEO_PIXELS);
}

int64_t se_auto_plan(struct se_auto *self, enum se_auto_cost cost, int64_t bytes)
{
	return bytes * self->ratios[cost] / 1000;
}

void se_auto_spend(struct se_auto *self, enum se_auto_cost cost, int64_t bytes)
{
	self->estimates[cost] += bytes;
	self->planned += bytes;
}

static enum se_auto_cost cost_of(const struct se_op *op)
{
	if (op->kind == SE_OP_LOSSLESS)
		return SE_AUTO_EXACT;
	return se_op_is_stretched(op) ? SE_AUTO_STRETCHED : SE_AUTO_JPEG;
}

/* What estimates are worth: quick to learn that they were too low, slow that they were too high. */
static void learn(struct se_auto *self)
{
	int64_t real[SE_AUTO_COSTS] = { 0 };
	const uint8_t *batch = NULL;

	for (size_t i = 0; i < self->op_count; i++) {
		const struct se_op *op = &self->ops[i];

		if (op->kind != SE_OP_LOSSLESS && op->kind != SE_OP_JPEG)
			continue;
		real[cost_of(op)] += SE_FRAME_RECORD;
		if (op->kind == SE_OP_JPEG || op->payload != batch) /* a batch's ops share their payload */
			real[cost_of(op)] += (int64_t)op->length;
		if (op->kind == SE_OP_LOSSLESS)
			batch = op->payload;
	}
	for (int i = 0; i < SE_AUTO_COSTS; i++) {
		int64_t ratio;

		if (self->estimates[i] < 512 || real[i] == 0)
			continue;
		ratio = real[i] * self->ratios[i] / self->estimates[i];
		ratio = ratio > self->ratios[i] ? (self->ratios[i] + ratio) / 2 : (7 * self->ratios[i] + ratio) / 8;
		self->ratios[i] = (int)(ratio < RATIO_LEAST ? RATIO_LEAST : ratio > RATIO_MOST ? RATIO_MOST : ratio);
	}
}

void se_auto_trim(struct se_engine *engine)
{
	struct se_auto *self = &engine->automatic;
	int64_t bytes = 2 * SE_FRAME_HEADER;
	const uint8_t *batch = NULL;
	bool batch_kept = false, any = false;
	size_t kept = 0;

	self->trimmed = false;
	if (self->available == SE_BUDGET_UNLIMITED)
		return;
	learn(self);
	for (size_t i = 0; i < self->op_count; i++) {
		bytes += SE_FRAME_RECORD;
		if (self->ops[i].kind == SE_OP_H264) {
			bytes += (int64_t)self->ops[i].length;
			any = true;
		}
	}
	for (size_t i = 0; i < self->op_count; i++) {
		const struct se_op *op = &self->ops[i];
		bool keep = true;

		if (op->kind == SE_OP_LOSSLESS && op->payload == batch) {
			keep = batch_kept;
		} else if (op->kind == SE_OP_LOSSLESS || op->kind == SE_OP_JPEG) {
			keep = bytes + (int64_t)op->length <= self->room || !any; /* one of them, however tight the budget is */
			bytes += keep ? (int64_t)op->length : 0;
			any = any || keep;
		}
		if (op->kind == SE_OP_LOSSLESS && op->payload != batch) {
			batch = op->payload;
			batch_kept = keep;
		}
		if (!keep)
			continue;
		self->ops[kept] = *op;
		self->origins[kept++] = self->origins[i];
	}
	self->trimmed = kept < self->op_count;
	self->op_count = kept;
}

void se_auto_account(struct se_auto *self, size_t bytes, uint64_t now)
{
	se_budget_spend(&self->budget, bytes, now);
}
