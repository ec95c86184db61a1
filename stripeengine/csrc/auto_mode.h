/* auto_mode.h - the state of the modes jpeg, auto and lossless, which send each change in the cheapest of their forms.
 *
 * engine_auto.c   one frame, from what has changed to finished messages; entering and leaving the modes
 * auto_budget.c   how many bytes may be sent now
 * auto_choice.c   under a rate bound, what of the changes they are for, and how well it is sent
 * auto_changes.c  what has changed: copies, dirty tiles, video regions, forms
 * auto_video.c    what is done for a region in which a video plays
 * auto_forms.c    from forms to jobs, from jobs to ops, and what a sent op means for the tiles
 * auto_repair.c   what was lossy is sent exactly, or in better quality, once it is at rest
 * auto_snapshot.c the whole picture for a newcomer
 *
 * Engine thread only; encoding in the pool. The engine's reference picture is what viewers have once all finished messages have
 * reached them, but for coding losses: copies are verified against it, and what differs from the captured image is to be sent.
 * The tiles say where there are losses. What is taken on for a frame is copied from the image into the reference and encoded
 * from there; if no message with it gets finished, its tiles are forgotten, that is, sent whole with the next frame.
 */
#ifndef SE_AUTO_MODE_H
#define SE_AUTO_MODE_H

#include "activity.h"
#include "batch.h"
#include "blocks.h"
#include "budget.h"
#include "frame.h"
#include "motion.h"
#include "picture.h"
#include "pool.h"
#include "tiles.h"

#define SE_AUTO_BATCHES 4
#define SE_AUTO_BATCH_PIXELS 524288 /* what one batch is for */
#define SE_AUTO_QUALITY_LEAST 10 /* of a JPEG, however fast it changes and however little may be sent */
#define SE_AUTO_PARTS 8 /* of the tiles, for the pool */
#define SE_AUTO_AREAS 8 /* searched for moves in one frame */

#define SE_AUTO_REPAIR_SHARE 4 /* of a frame's bytes, one in so many is kept for repairs that are due */

struct se_engine;

/* Estimates of each kind are corrected by what they turned out to be worth. */
enum se_auto_cost { SE_AUTO_EXACT, SE_AUTO_JPEG, SE_AUTO_STRETCHED, SE_AUTO_COSTS };

struct se_video {
	struct se_rect rect; /* in whole tiles; empty: no such region */
	struct se_rect coded; /* of it: without the first column or row if the video begins at an odd pixel (activity.h) */
	struct se_rect rim[2]; /* what has changed of that column and row in the frame being made: sent losslessly */
	struct se_h264 *encoder;
	bool key_due;
	/* Under a rate bound */
	int64_t key_size, delta_size; /* bytes such a picture takes at the preset's rate factor; 0: not known */
	int coarser;       /* what the next picture's rate factor is added */
	size_t most;       /* bytes the next picture may have; 0: no bound */
	uint64_t waits_us; /* since when its picture is put off; 0: it is not */
	uint64_t repair_us; /* from when on it rests and what it shows may be repaired, though it may go on; SE_NEVER: not while it lives */
};

struct se_auto_op {
	int job;     /* index of the job it comes from, -1 for copies, fills and lossless */
	int quality; /* JPEG */
};

struct se_auto {
	bool ready; /* everything below has the size of the picture */
	bool fresh; /* when not ready: viewers start from nothing (a resize), not from another mode */
	struct se_tiles tiles;
	struct se_motion *motion;
	struct se_activity *activity;
	struct se_video videos[SE_ACTIVITY_REGIONS];
	struct se_rect scrolled[SE_AUTO_AREAS + 1]; /* areas in which this frame has found moves */
	int scrolled_count;
	struct se_blocks blocks;
	struct se_blocks repairs; /* what is due, for the frame being made */
	struct se_batch batches[SE_AUTO_BATCHES];
	int64_t batch_pixels; /* so many are enough for one batch of the frame being made */
	struct se_op *ops; /* of the frame being made */
	struct se_auto_op *origins;
	size_t op_count, op_capacity;
	uint64_t repair_due; /* not before that; UINT64_MAX: never */
	/* Rate bound */
	struct se_budget budget;
	bool budget_open;    /* it has been made */
	int budget_kbps;     /* what for */
	bool left_over;      /* not everything that has changed was taken on */
	int64_t available;   /* bytes this frame may have, SE_BUDGET_UNLIMITED without a bound */
	int64_t room;        /* bytes it must not exceed */
	int64_t planned;     /* bytes estimated for what was taken on */
	int64_t estimates[SE_AUTO_COSTS]; /* the same by kind */
	int ratios[SE_AUTO_COSTS];        /* real bytes for 1000 estimated */
	bool trimmed;        /* some of the frame was too much and is not sent */
	int step;            /* how far the quality of JPEG rectangles has given way */
	int turn;            /* row of blocks that comes first among those that changed at once */
};

void se_auto_free(struct se_auto *self);

/* auto_changes.c: moves what can be copied (noted as ops), compares the rest and leaves the blocks with their forms.
 * SE_E_NOMEM and SE_E_AGAIN, when the source has changed its size meanwhile, leave what was not looked at in the stripes. */
int se_auto_take_changes(struct se_engine *engine, uint64_t now);

/* Runs a job for each of SE_AUTO_PARTS parts of the tiles, which it finds in `parts` of its context and which share no tiles; `parallel`:
 * with the pool. */
void se_auto_share_tiles(struct se_engine *engine, se_job_fn *job, void *context, struct se_tiles parts[SE_AUTO_PARTS], bool parallel);

/* The live regions, compact, in `out`; returns how many. `index`, or NULL, tells which video each one is. */
int se_auto_regions(const struct se_auto *self, struct se_rect out[SE_ACTIVITY_REGIONS], int index[SE_ACTIVITY_REGIONS]);

/* auto_video.c */

/* What of `box`, a block of that video, has changed, before its pixels are taken over: inside the video nobody compares, and
 * of its rim only what differs. */
struct se_rect se_auto_video_changes(const struct se_engine *engine, const struct se_video *video, struct se_rect box);

/* Notes what of a video's rim this block changes, before its pixels are taken over. Most change only the video. */
void se_auto_note_rim(const struct se_engine *engine, struct se_video *video, struct se_rect box);

/* Converts for the video's encoder what the reference has just been given there, while it is in the processor's cache. An encoder that
 * is not there yet, or has another form, is opened later and looks at everything. */
void se_auto_video_follow(const struct se_engine *engine, struct se_video *video, struct se_rect box);

/* `paint`: the region rests, this is its better picture. */
int se_auto_add_video(struct se_engine *engine, int index, bool paint);

/* Notes from when on what a region shows may be repaired: exact pixels at once are fewer bytes than a better picture and exact
 * pixels. With a rate bound they wait until it is gone, for a film that goes on is worth more. */
void se_auto_note_video_rest(struct se_engine *engine, int index);

/* True once in each rest of a region that is so large that its exact repair takes a while: until then a better picture serves.
 * A region whose changes could not all be sent does not rest. */
bool se_auto_video_paint_due(struct se_engine *engine, int index, uint64_t now);

/* What such a picture takes at the preset's rate factor: twice as much for 6 less. Growth counts at once. */
void se_auto_note_video_size(struct se_video *video, const struct se_op *op);

/* auto_forms.c */
int se_auto_add_copy(struct se_auto *self, struct se_move move);
int se_auto_add_fill(struct se_auto *self, struct se_rect rect, uint32_t colour);
int se_auto_add_lossless(struct se_auto *self, struct se_rect rect, int literals);
int se_auto_add_jpeg(struct se_engine *engine, struct se_rect rect, int quality, int shrink, bool final);

/* The same in the colour resolution of what is at rest. */
int se_auto_add_rest_jpeg(struct se_engine *engine, struct se_rect rect, int quality, bool final);

/* Gives every block of this frame its job or op, and large videos at rest a better picture. */
int se_auto_add_blocks(struct se_engine *engine, uint64_t now);

/* Encodes all jobs and completes `ops`. SE_E_NOMEM. */
int se_auto_encode(struct se_engine *engine);

/* Copies what this frame takes on from the captured image into the reference, out of which it is encoded. */
void se_auto_take_pixels(struct se_engine *engine);

/* Notes that the first `sent` ops are in finished messages and the others are not. */
void se_auto_settle(struct se_engine *engine, size_t sent, uint64_t now);

/* auto_budget.c: finds out how much may be sent. False if it is too little: then the next frame is put off. */
bool se_auto_open_budget(struct se_engine *engine, uint64_t now);

/* True if the rate pays for a video there; one that is `live` may cost more than one that begins. Else it goes out as stretched
 * JPEGs, which any rate pays for: no picture of a video is smaller than its coarsest. */
bool se_auto_affords_video(const struct se_settings *settings, struct se_rect rect, bool live);

/* Corrects an estimate by what such ones were worth; notes one as planned. */
int64_t se_auto_plan(struct se_auto *self, enum se_auto_cost cost, int64_t bytes);
void se_auto_spend(struct se_auto *self, enum se_auto_cost cost, int64_t bytes);

/* Learns what the estimates were worth and takes out of `ops` what exceeds the room: its tiles are sent with the next frame. */
void se_auto_trim(struct se_engine *engine);

/* auto_choice.c: leaves out what the budget does not allow, and says how well the rest is sent. What is left out stays dirty. */
void se_auto_choose(struct se_engine *engine, uint64_t now);

/* A JPEG quality as far as it has given way. */
int se_auto_quality(const struct se_auto *self, int quality);

/* Bytes of so many pixels losslessly, of which a sample has that many literals and costs that much (content.h). */
int64_t se_auto_exact_bytes(struct se_auto *self, int64_t area, int literals, int cost);

/* Notes what this frame really took. */
void se_auto_account(struct se_auto *self, size_t bytes, uint64_t now);

/* auto_repair.c: true if what was sent with losses, worth that much (se_tile_quality), is sent again once it is at rest. */
bool se_auto_repairs_later(const struct se_settings *settings, int tile_quality);

/* Adds what is due; where there is a rate bound, what its share or the rest pays for. */
int se_auto_add_repairs(struct se_engine *engine, uint64_t now);

/* When the next repair is due. */
uint64_t se_auto_find_repair(struct se_engine *engine);

#endif
