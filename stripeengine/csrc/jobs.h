/* jobs.h - the rectangles of one frame, encoded side by side.
 *
 * A list belongs to the engine thread; its jobs run in the pool, each touching its own buffer and, for H.264, its own stripe.
 * The reference picture is only read meanwhile. Buffers are kept from frame to frame.
 */
#ifndef SE_JOBS_H
#define SE_JOBS_H

#include "batch.h"
#include "buffer.h"
#include "frame.h"
#include "picture.h"
#include "stripes.h"

struct se_job {
	struct se_rect rect;       /* destination; of H.264 the whole stripe or region */
	struct se_stripe *stripe;  /* mode h264, else NULL */
	struct se_h264 **encoder;  /* H.264: where the encoder is kept; opened and closed as needed */
	struct se_batch *batch;    /* SE_MODE_LOSSLESS: its rectangles, instead of rect; ops are left to the caller */
	uint16_t stream;           /* index of the stripe or region; H.264 only */
	int mode;                  /* the form: SE_MODE_JPEG, SE_MODE_H264 or SE_MODE_LOSSLESS */
	int chroma;                /* JPEG */
	struct se_h264_form form;  /* H.264 */
	int framerate;             /* likewise */
	int quality;               /* JPEG quality or CRF */
	int shrink;                /* JPEG: the payload's sides are those of rect divided by that; 0 as 1 */
	size_t most;               /* H.264: bytes; a larger picture is made anew as a coarser key frame. 0: what a message holds */
	bool paint;                /* a paint-over, not a change */
	bool key;                  /* H.264: must be a key frame */
	bool final;                /* nothing better follows */
	struct se_region changed;  /* H.264: what to convert, inside rect */
	/* Results */
	int code;
	char text[160];
	bool is_key;
	int payload_width, payload_height;
	bool replaced; /* too large for a message, halves follow in the list */
	struct se_buffer out;
	struct se_buffer shrunk; /* pixels to encode, if they are not the picture's */
};

struct se_jobs {
	struct se_job *items;
	size_t count, capacity;
	struct se_op *ops; /* as many as capacity */
	size_t *op_jobs;   /* which job an op comes from */
	size_t op_count;
	const struct se_picture *picture;
};

void se_jobs_free(struct se_jobs *self);

/* Empties the list, keeps the memory. */
void se_jobs_clear(struct se_jobs *self, const struct se_picture *picture);

/* A new job, all members but its buffers zero, or NULL if there is no memory. Valid until the next one is added. */
struct se_job *se_jobs_add(struct se_jobs *self);

/* Encodes everything, splits JPEG rectangles whose result exceeds a message's aim, and fills `ops` with those that
 * succeeded. Fails only for want of memory; a job's own failure is in the job. */
int se_jobs_run(struct se_jobs *self, uint64_t *helper_cpu_ns);

#endif
