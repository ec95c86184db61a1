/* pace.c - see pace.h. */
#include "pace.h"

/* Parts of a period. */
#define GAP_PARTS 4     /* least time between two frames: a quarter */
#define SETTLE_PARTS 16 /* a burst in a stream is given a sixteenth to become complete */
#define EMPTY_PARTS 16  /* least time after a capture that found nothing, doubled each time */

#define SETTLE_US 1000u /* and no more than that: applications redraw as fast whatever the framerate is */
#define REST_PERIODS 3  /* no frame for so long is rest: the next burst is not given time, it is what somebody waits for */
#define CALM_PERIODS 4  /* a capture that found nothing is forgotten after that */
#define EMPTIES_MAX 4   /* 16 sixteenths are a period */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* From when on the bucket holds so many half frames. */
static uint64_t holds_at(const struct se_pace *self, uint64_t halves)
{
	uint64_t ahead = (2 * SE_PACE_BUCKET - halves) * self->period_us / 2;

	return self->full_us > ahead ? self->full_us - ahead : 0;
}

/* The least gap after the last frame, of so many quarters. */
static uint64_t gap_end(const struct se_pace *self, uint64_t quarters)
{
	return self->framed ? self->frame_us + self->period_us * quarters / GAP_PARTS : 0;
}

/* From when on whatever waits is taken: a frame is left for the next burst then. Once that was too much, only with half a
 * frame more, or frames would follow the bucket's filling instead of the bursts. */
static uint64_t plenty_at(const struct se_pace *self)
{
	return later(gap_end(self, 1), holds_at(self, self->scarce ? 5 : 4));
}

/* From when on a fresh burst is taken. */
static uint64_t burst_at(const struct se_pace *self)
{
	return earlier(plenty_at(self), later(gap_end(self, 3), holds_at(self, 2)));
}

static uint64_t settle_us(const struct se_pace *self)
{
	return earlier(self->period_us / SETTLE_PARTS, SETTLE_US);
}

static bool in_stream(const struct se_pace *self, uint64_t now)
{
	return self->framed && now < self->frame_us + REST_PERIODS * self->period_us;
}

void se_pace_init(struct se_pace *self, int framerate)
{
	*self = (struct se_pace){ .period_us = 1000000u / (uint64_t)framerate, .ready_us = SE_PACE_NEVER };
}

void se_pace_set_rate(struct se_pace *self, int framerate, uint64_t now)
{
	uint64_t period = 1000000u / (uint64_t)framerate;

	/* At most a bucket of periods is missing: the product fits. */
	if (self->full_us > now)
		self->full_us = now + (self->full_us - now) * period / self->period_us;
	self->empty_us = earlier(self->empty_us, now + period);
	self->period_us = period;
}

void se_pace_change(struct se_pace *self, bool fresh, uint64_t now)
{
	uint64_t ready = in_stream(self, now) ? now + settle_us(self) : now;

	if (!self->waiting) {
		self->waiting = true;
		self->since_us = now;
		self->ready_us = SE_PACE_NEVER;
	}
	if (fresh && self->ready_us == SE_PACE_NEVER && ready >= burst_at(self))
		self->ready_us = ready;
}

bool se_pace_settles(const struct se_pace *self, uint64_t now)
{
	return !self->waiting && in_stream(self, now);
}

uint64_t se_pace_due(const struct se_pace *self)
{
	uint64_t due;

	if (!self->waiting)
		return SE_PACE_NEVER;
	due = self->ready_us;
	if (due == SE_PACE_NEVER) {
		due = later(later(self->since_us + self->period_us, gap_end(self, 1)), holds_at(self, 2));
		due = earlier(due, later(self->since_us, plenty_at(self)));
	}
	return later(due, later(self->held_us, self->empty_us));
}

struct se_pace_wait se_pace_wait(const struct se_pace *self, uint64_t now)
{
	uint64_t due = se_pace_due(self), burst = later(burst_at(self), later(self->held_us, self->empty_us));

	/* A change that alters nothing shall not wake anybody. */
	if (!self->waiting)
		return (struct se_pace_wait){ SE_PACE_NEVER, true };
	if (due <= burst || self->ready_us != SE_PACE_NEVER)
		return (struct se_pace_wait){ due, false };
	return now < burst ? (struct se_pace_wait){ burst, false } : (struct se_pace_wait){ due, true };
}

uint64_t se_pace_spare(const struct se_pace *self)
{
	return later(later(gap_end(self, GAP_PARTS), holds_at(self, 4)), self->held_us);
}

void se_pace_frame(struct se_pace *self, uint64_t now)
{
	self->scarce = self->scarce && now < holds_at(self, 5);
	self->full_us = later(self->full_us, now) + self->period_us;
	self->scarce = self->scarce || now < holds_at(self, 3);
	self->frame_us = now;
	self->framed = true;
	self->waiting = false;
	self->ready_us = SE_PACE_NEVER;
	self->empties = 0;
	self->empty_us = 0;
}

void se_pace_empty(struct se_pace *self, uint64_t now)
{
	if (now - self->tried_us > CALM_PERIODS * self->period_us)
		self->empties = 0;
	self->tried_us = now;
	self->empty_us = now + (self->period_us << self->empties) / EMPTY_PARTS;
	if (self->empties < EMPTIES_MAX)
		self->empties++;
	self->waiting = false;
	self->ready_us = SE_PACE_NEVER;
}

void se_pace_hold(struct se_pace *self, uint64_t until)
{
	self->held_us = later(self->held_us, until);
}
