/* activity.h - which parts of the picture keep changing, and where a video plays.
 *
 * A grid of tiles, each with a change rate that decays exponentially with time (so frame rates do not matter). Times are those
 * of se_now_us() and must not go back. One thread at a time; allocates in new and resize only.
 */
#ifndef SE_ACTIVITY_H
#define SE_ACTIVITY_H

#include <stdbool.h>

#include "region.h"

#define SE_ACTIVITY_TILE 32
#define SE_ACTIVITY_REGIONS 2       /* live H.264 regions at most */
#define SE_ACTIVITY_LEAVE_US 500000u /* a region without change for that long is over */
#define SE_ACTIVITY_REST_US 200000u  /* and one for that long rests, though it may go on */
#define SE_ACTIVITY_UNKNOWN (-1)

struct se_activity;

/* NULL if there is no memory; width and height 1..SE_PICTURE_MAX. */
struct se_activity *se_activity_new(int width, int height);
void se_activity_free(struct se_activity *self);

/* Another picture size: forgets everything. On failure nothing has changed. */
int se_activity_resize(struct se_activity *self, int width, int height);

/* Notes that `rect` (cut to the picture) changed in the frame of time `now`: all rectangles of a frame have the same `now`, and a
 * tile counts once a frame. Do not note what a copy has brought. `literals` is what se_lossless_literals says of the
 * rectangle, or SE_ACTIVITY_UNKNOWN if nobody looked (inside a live region): it tells video from text that keeps changing. */
void se_activity_touch(struct se_activity *self, struct se_rect rect, int literals, uint64_t now);

/* The frame of time `changed`, the last one, took `us` longer than it should have: what changed with it counts as of so much later, for
 * nobody could see whether it went on changing. */
void se_activity_delay(struct se_activity *self, uint64_t changed, uint64_t us);

/* Finds the video regions: out[i] is region i, empty (w and h 0) if there is none; returns how many there are. A region keeps
 * its index i (hence its stream) while it lives and stays as it is while the video jitters; a changed rectangle needs an
 * encoder of the new size and a key frame. Rectangles are disjoint, begin at multiples of 16, or one pixel after where the
 * video begins at an odd one, and end at multiples of 16 or at the picture's edge. When more than 55 % of the picture moves the region is all of it. */
int se_activity_regions(struct se_activity *self, uint64_t now, struct se_rect out[SE_ACTIVITY_REGIONS]);

/* True the first time it is asked after region `index` has come to rest, once in each rest. */
bool se_activity_rested(struct se_activity *self, int index, uint64_t now);

/* When what plays in region `index` will have rested beyond doubt, if nothing changes: after SE_ACTIVITY_REST_US, or a few of its
 * pictures where those are slow, for a film of 5 pictures a second does not rest between two of them. UINT64_MAX if there is no such region. */
uint64_t se_activity_rest_due(const struct se_activity *self, int index);

/* When se_activity_regions and se_activity_rested should be asked again though nothing changes, or UINT64_MAX. */
uint64_t se_activity_due(const struct se_activity *self);

/* When anything in `rect` last changed; 0 if never. */
uint64_t se_activity_last_change(const struct se_activity *self, struct se_rect rect);

/* Changes a second of the busiest tile of `rect`, over about the last 0.4 s: 0 at rest, 30 in a video of 30 pictures/s. */
int se_activity_rate(const struct se_activity *self, struct se_rect rect, uint64_t now);

#endif
