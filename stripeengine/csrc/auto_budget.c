/* auto_budget.c - how much of what has changed may be sent now. Engine thread.
 *
 * Nothing is ever queued: what the rate does not allow is not encoded but stays dirty. Most recently changed goes first.
 */
#include "auto_mode.h"
#include "engine_private.h"

#define LEAST_BYTES 2000     /* with a rate bound, a frame of fewer bytes waits until it may have more */
#define PRESS_US 100000u     /* quality gives way a step that often */
#define RELAX_US 500000u     /* and comes back a step that often */
#define RATIO_FIRST 1000
#define RATIO_LEAST 200
#define RATIO_MOST 5000

bool se_auto_open_budget(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	int kbps = engine->settings.max_kbps;

	if (!self->budget_open)
		se_budget_init(&self->budget, kbps, now);
	else if (self->budget_kbps != kbps)
		se_budget_set_rate(&self->budget, kbps, now);
	self->budget_open = true;
	self->budget_kbps = kbps;
	if (self->estimate_ratio == 0)
		self->estimate_ratio = RATIO_FIRST;
	self->planned = 0;
	self->available = se_budget_available(&self->budget, now);
	if (kbps == 0)
		self->pressure = 0;
	if (self->available < LEAST_BYTES) {
		uint64_t due = se_budget_due(&self->budget, LEAST_BYTES, now);

		if (due > now) {
			se_pace_hold(&engine->pace, due);
			return false;
		}
	}
	return true;
}

static int latest_first(const void *a, const void *b)
{
	const struct se_block *left = a, *right = b;

	if (left->changed_us != right->changed_us)
		return left->changed_us < right->changed_us ? 1 : -1;
	return 0;
}

static int64_t estimate(const struct se_auto *self, const struct se_settings *settings, const struct se_block *block)
{
	int64_t area = se_rect_area(block->box), bytes;

	switch (block->form) {
	case SE_FORM_VIDEO:
		return (int64_t)self->videos[block->video].last_size;
	case SE_FORM_JPEG:
		bytes = 650 + area * settings->jpeg_quality * (100 - 8 * self->pressure) / 40000;
		break;
	case SE_FORM_LOSSLESS:
		bytes = 40 + area * block->literals / (block->literals > 500 ? 330 : 1000); /* many are mostly escapes */
		break;
	default:
		return 32;
	}
	return bytes * self->estimate_ratio / 1000;
}

void se_auto_choose(struct se_engine *engine, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	bool videos_planned[SE_ACTIVITY_REGIONS] = { false }, pressed = false;

	if (self->available == SE_BUDGET_UNLIMITED)
		return;
	if (self->blocks.count > 1)
		qsort(self->blocks.items, self->blocks.count, sizeof *self->blocks.items, latest_first);
	for (size_t i = 0; i < self->blocks.count; i++) {
		struct se_block *block = &self->blocks.items[i];
		int64_t bytes;

		if (block->form == SE_FORM_NONE || (block->form == SE_FORM_VIDEO && videos_planned[block->video]))
			continue;
		bytes = estimate(self, &engine->settings, block);
		if (self->planned > 0 && self->planned + bytes > self->available) {
			block->form = SE_FORM_NONE;
			pressed = true;
			continue;
		}
		self->planned += bytes;
		if (block->form == SE_FORM_VIDEO)
			videos_planned[block->video] = true;
	}
	if (pressed && self->pressure < SE_AUTO_PRESSURE_MAX && now - self->pressed_us >= PRESS_US) {
		self->pressure++;
		self->pressed_us = now;
	} else if (!pressed && self->pressure > 0 && now - self->pressed_us >= RELAX_US) {
		self->pressure--;
		self->pressed_us = now;
	}
	self->left_over = pressed;
}

void se_auto_account(struct se_auto *self, size_t bytes, uint64_t now)
{
	int64_t estimated = self->planned;

	se_budget_spend(&self->budget, bytes, now);
	if (self->available == SE_BUDGET_UNLIMITED || estimated < 256 || bytes == 0)
		return;
	/* A running mean of what estimates are worth. */
	self->estimate_ratio = (int)((self->estimate_ratio * 7 + (int64_t)bytes * self->estimate_ratio / estimated) / 8);
	if (self->estimate_ratio < RATIO_LEAST)
		self->estimate_ratio = RATIO_LEAST;
	if (self->estimate_ratio > RATIO_MOST)
		self->estimate_ratio = RATIO_MOST;
}
