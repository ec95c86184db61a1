/* pace.h - when a frame is made: at most `framerate` a second, each as soon after its change as that allows.
 *
 * A plain value in microseconds of one clock: no threads, no allocation, nothing blocks, nothing fails. The rules and the reasons
 * for them are in docs/decisions/pacing.md.
 *
 * Changes come in bursts. A bucket holds SE_PACE_BUCKET frames and gets one more each period. A burst after rest is taken at
 * once. What follows it is taken a quarter period later if the bucket can spare a frame; if not, it waits for the next
 * burst, so that a source about as fast as the framerate is followed step by step; or a period at most.
 */
#ifndef SE_PACE_H
#define SE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define SE_PACE_BUCKET 4
#define SE_PACE_NEVER UINT64_MAX

struct se_pace {
	uint64_t period_us;
	uint64_t frame_us; /* when the last frame was captured */
	uint64_t full_us;  /* when the bucket is full again */
	uint64_t held_us;  /* no frame before that: a byte budget is empty */
	uint64_t empty_us; /* no capture before that: the last one found nothing new */
	uint64_t tried_us; /* when that was */
	int empties;       /* captures in a row that found nothing new */
	bool scarce;       /* the bucket was nearly empty and has not recovered */
	bool framed;       /* there was a frame */
	bool waiting;      /* something may have changed */
	uint64_t since_us; /* for how long it waits */
	uint64_t ready_us; /* a burst that may be taken at once is complete by then, or SE_PACE_NEVER */
};

/* What to do until something is due. */
struct se_pace_wait {
	uint64_t until_us; /* or SE_PACE_NEVER */
	bool watch;        /* a change is to end the wait */
};

/* `framerate` >= 1; the bucket is full. */
void se_pace_init(struct se_pace *self, int framerate);

/* Another rate from now on; what was taken out of the bucket stays out. */
void se_pace_set_rate(struct se_pace *self, int framerate, uint64_t now);

/* The source has reported changes. `fresh`: they have just come; false if they came while it was not watched. */
void se_pace_change(struct se_pace *self, bool fresh, uint64_t now);

/* True if a fresh change would not be taken at once: nothing waits yet, and it is one of a stream. */
bool se_pace_settles(const struct se_pace *self, uint64_t now);

/* When what waits is to be captured, at the latest; SE_PACE_NEVER if nothing waits. */
uint64_t se_pace_due(const struct se_pace *self);

/* How to wait for it. */
struct se_pace_wait se_pace_wait(const struct se_pace *self, uint64_t now);

/* When a frame may be made that nobody waits for, a repair or a scan: it takes nothing from changes. */
uint64_t se_pace_spare(const struct se_pace *self);

/* A frame was made of what was captured at `now`. */
void se_pace_frame(struct se_pace *self, uint64_t now);

/* What was captured at `now` was as before: no frame. Now and then this costs next to no time, a stream of it comes down to one
 * capture a period. */
void se_pace_empty(struct se_pace *self, uint64_t now);

/* No frame before `until`. */
void se_pace_hold(struct se_pace *self, uint64_t until);

#endif
