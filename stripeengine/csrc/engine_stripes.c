/* engine_stripes.c - mode h264: from changed stripes and due paint-overs to ops. Engine thread; encoding in the pool.
 *
 * What is taken on for a frame leaves its stripe's lists when the job is made and returns to them if the job or the message
 * fails, so nothing is ever lost or sent twice. A change of one colour is a fill; the stripe's encoder learns of it with its
 * next picture. The lists of ops and of lossless rectangles are those of the other modes (auto_mode.h).
 */
#include "engine_private.h"

#include <math.h>

#include "clock.h"
#include "damage.h"
#include "rowmask.h"

#define PAINTS 2            /* key frames at rest in a frame, so that a screen that stops at once is not one spike */
#define COLOUR_BYTES 65536  /* likewise of paint-overs in 4:4:4 or RGB, estimated */
#define COLOUR_COLUMNS 256  /* of a stripe that is painted over exactly are one rectangle */
#define RATE_S 0.4          /* over which a stripe's rate of change is the mean, about */
#define RATE_SLOW 3.0       /* whole stripes a second, up to which it gets the preset's rate factor; one change alone is 1 / RATE_S */
#define RATE_FAST 10.0      /* and from which it does with all of motion_coarser less */
#define CRF_MOST 50
#define LARGE_SHARE 2       /* of the picture: where a half changes fast that is all there is to see, and gets what the preset says */

static uint64_t trigger_us(const struct se_settings *settings)
{
	return (uint64_t)settings->paint_over_trigger_frames * 1000000u / (uint64_t)settings->framerate;
}

static bool is_due(const struct se_engine *self, const struct se_stripe *stripe, uint64_t now)
{
	return stripe->changed_us + trigger_us(&self->settings) <= now;
}

uint64_t se_engine_paint_due(const struct se_engine *self)
{
	uint64_t due = SE_NEVER;

	for (int i = 0; i < self->stripes.count; i++) {
		const struct se_stripe *stripe = &self->stripes.items[i];
		uint64_t at = stripe->changed_us + trigger_us(&self->settings);

		if (at < due && (se_stripe_wants_paint(stripe, &self->settings) ||
		                 se_stripe_wants_colour(stripe, &self->settings, self->stripes.width)))
			due = at;
	}
	return due;
}

/* Notes what of a stripe changes: its rate is that of its area. */
static void note_rate(const struct se_engine *self, struct se_stripe *stripe, uint64_t now)
{
	double passed = stripe->rate_us && now > stripe->rate_us ? (double)(now - stripe->rate_us) / 1e6 : 0;
	int64_t area = 0;

	for (int i = 0; i < stripe->changed.count; i++)
		area += se_rect_area(stripe->changed.rects[i]);
	stripe->rate *= exp(-passed / RATE_S);
	stripe->rate += (double)area / (double)se_rect_area(se_stripe_rect(&self->stripes, stripe)) / RATE_S;
	stripe->rate_us = now;
}

static double rate_at(const struct se_stripe *stripe, uint64_t now)
{
	return now > stripe->rate_us ? stripe->rate * exp(-(double)(now - stripe->rate_us) / 1e6 / RATE_S) : stripe->rate;
}

/* True if at least that share of the picture changes fast. */
static bool most_is_fast(const struct se_engine *self, uint64_t now)
{
	int rows = 0;

	for (int i = 0; i < self->stripes.count; i++)
		if (rate_at(&self->stripes.items[i], now) > RATE_SLOW)
			rows += self->stripes.items[i].h;
	return rows * LARGE_SHARE >= self->stripes.picture_height;
}

/* Rate factor of a change: the faster, the coarser, bounded by the preset. */
static int moving_crf(const struct se_engine *self, const struct se_stripe *stripe, bool large)
{
	const struct se_settings *settings = &self->settings;
	double share = (stripe->rate - RATE_SLOW) / (RATE_FAST - RATE_SLOW);
	int crf = settings->h264_crf;

	if (large || share <= 0)
		return crf;
	crf += (int)lround(settings->motion_coarser * (share < 1 ? share : 1));
	return crf < CRF_MOST ? crf : CRF_MOST;
}

static int add_picture(struct se_engine *self, struct se_stripe *stripe, int crf, bool paint)
{
	const struct se_settings *settings = &self->settings;
	bool is_last = se_settings_paint_colour(settings) == SE_PAINT_SAME;
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
	job->quality = crf;
	job->paint = paint;
	job->changed = stripe->changed;
	se_region_add_region(&job->changed, &stripe->unfed);
	job->key = paint || stripe->key_due;
	/* A delta leaves most of a stripe as it was: only a key frame can promise that all of it is final. */
	job->final = is_last && (paint || (job->key && settings->paint_over && crf <= settings->paint_over_crf));
	se_region_clear(&stripe->unfed);
	se_region_clear(paint ? &stripe->lossy : &stripe->changed);
	return SE_OK;
}

/* True if the pixels of `rect` are all of one colour. */
static bool is_flat(const struct se_picture *picture, struct se_rect rect)
{
	const uint8_t *first = se_picture_at(picture, rect.x, rect.y);

	for (int y = rect.y; y < rect.y + rect.h; y++) {
		const uint8_t *row = se_picture_at(picture, rect.x, y);

		if (!se_pixels_equal(row, first) || se_diff_first(row + 4, row, rect.w - 1) < rect.w - 1)
			return false;
	}
	return true;
}

static bool changes_are_flat(const struct se_engine *self, const struct se_stripe *stripe)
{
	for (int i = 0; i < stripe->changed.count; i++)
		if (!is_flat(&self->reference, stripe->changed.rects[i]))
			return false;
	return true;
}

static int add_fills(struct se_engine *self, struct se_stripe *stripe)
{
	const struct se_picture *picture = &self->reference;

	while (!se_region_empty(&stripe->changed)) {
		struct se_rect rect = stripe->changed.rects[stripe->changed.count - 1];

		if (se_auto_add_fill(&self->automatic, rect, se_pixel_colour(se_picture_at(picture, rect.x, rect.y))) < 0)
			return SE_E_NOMEM;
		se_region_add_limited(&stripe->unfed, rect, SE_STRIPE_RECTS, SE_STRIPE_SLACK);
		stripe->changed.count--;
	}
	return SE_OK;
}

static int add_change(struct se_engine *self, struct se_stripe *stripe, bool large, uint64_t now)
{
	if (changes_are_flat(self, stripe))
		return add_fills(self, stripe);
	note_rate(self, stripe, now);
	return add_picture(self, stripe, moving_crf(self, stripe, large), false);
}

/* All of a stripe as one JPEG, or as much of it exactly as `left` bytes pay for. */
static int add_colour(struct se_engine *self, struct se_stripe *stripe, int64_t *left)
{
	const struct se_settings *settings = &self->settings;
	const struct se_picture *picture = &self->reference;
	struct se_rect rect = se_stripe_rect(&self->stripes, stripe);
	int code = SE_OK, colour = se_settings_paint_colour(settings);

	if (stripe->painted_as < colour)
		stripe->painted_x = 0;
	stripe->painting_x = stripe->painted_x;
	if (colour == SE_PAINT_444) {
		*left -= se_rect_area(rect) / 3;
		stripe->painting_x = rect.w;
		return se_auto_add_rest_jpeg(self, rect, settings->paint_over_jpeg_quality, true);
	}
	while (*left > 0 && stripe->painting_x < rect.w && code == SE_OK) {
		struct se_rect columns = { stripe->painting_x, rect.y, COLOUR_COLUMNS, rect.h };
		int literals;

		columns = se_rect_intersect(columns, rect);
		literals = se_lossless_literals(picture->pixels, picture->stride, columns, 1000);
		*left -= se_batch_estimate(picture, columns, literals);
		code = se_auto_add_lossless(&self->automatic, columns, literals);
		stripe->painting_x += columns.w;
	}
	return code;
}

static int collect(struct se_engine *self, uint64_t now)
{
	bool large = most_is_fast(self, now);
	int paints = PAINTS, code = SE_OK;
	int64_t left = COLOUR_BYTES;

	for (int i = 0; i < self->stripes.count; i++)
		self->stripes.items[i].painting_x = 0;
	for (int i = 0; i < self->stripes.count && code == SE_OK; i++) {
		struct se_stripe *stripe = &self->stripes.items[i];

		if (!se_region_empty(&stripe->changed)) {
			code = add_change(self, stripe, large, now);
		} else if (!is_due(self, stripe, now)) {
			continue;
		} else if (se_stripe_wants_paint(stripe, &self->settings)) {
			if (paints-- > 0)
				code = add_picture(self, stripe, self->settings.paint_over_crf, true);
		} else if (left > 0 && se_stripe_wants_colour(stripe, &self->settings, self->stripes.width)) {
			code = add_colour(self, stripe, &left);
		}
	}
	return code;
}

/* The message with this picture was not made: its pixels are still due. */
static void put_back(struct se_job *job)
{
	struct se_stripe *stripe = job->stripe;

	stripe->key_due = true; /* the viewers lack a picture that the encoder may refer to */
	for (int i = 0; i < job->changed.count; i++) /* it may not have come so far as to convert them */
		se_region_add_limited(&stripe->unfed, job->changed.rects[i], SE_STRIPE_RECTS, SE_STRIPE_SLACK);
	if (job->paint)
		se_stripe_add_lossy(stripe, job->rect, SE_STRIPE_FOREIGN);
	else
		se_stripe_add_changed(stripe, job->rect);
}

static struct se_stripe *stripe_of(struct se_engine *self, struct se_rect rect)
{
	return &self->stripes.items[rect.y / self->stripes.height];
}

/* The message with this picture is made: notes what it leaves to better. */
static void settle_picture(struct se_job *job, uint64_t now)
{
	struct se_stripe *stripe = job->stripe;

	stripe->encoder_used_us = now;
	stripe->painted_x = 0;
	stripe->painted_as = SE_PAINT_SAME;
	if (job->is_key)
		stripe->key_due = false;
	if (job->final)
		return;
	if (job->is_key)
		se_stripe_add_lossy(stripe, job->rect, job->quality);
	for (int i = 0; i < job->changed.count && !job->is_key; i++)
		se_stripe_add_lossy(stripe, job->changed.rects[i], job->quality);
}

static void settle_fill(struct se_engine *self, struct se_rect rect)
{
	struct se_stripe *stripe = stripe_of(self, rect);

	if (rect.w < self->stripes.width || rect.h < stripe->h)
		return;
	se_region_clear(&stripe->lossy);
	stripe->painted_x = rect.w;
	stripe->painted_as = SE_PAINT_RGB;
}

/* Of what was begun but not all sent nothing counts: it is sent once more. */
static void settle_colours(struct se_engine *self)
{
	for (int i = 0; i < self->stripes.count; i++) {
		struct se_stripe *stripe = &self->stripes.items[i];

		if (stripe->painting_x == 0)
			continue;
		stripe->painted_x = stripe->painting_x;
		stripe->painted_as = (uint8_t)se_settings_paint_colour(&self->settings);
	}
}

/* Returns the last failure, with its text. */
static int settle(struct se_engine *self, size_t sent, int code, const char **text)
{
	struct se_auto *lists = &self->automatic;
	bool complete = code == SE_OK;
	uint64_t now = se_now_us();

	for (size_t i = 0; i < lists->op_count; i++) {
		struct se_job *job = lists->origins[i].job < 0 ? NULL : &self->jobs.items[lists->origins[i].job];
		struct se_rect rect = lists->ops[i].rect;

		if (lists->ops[i].kind == SE_OP_FILL && i < sent)
			settle_fill(self, rect);
		else if (lists->ops[i].kind == SE_OP_FILL)
			se_stripe_add_changed(stripe_of(self, rect), rect);
		else if (job && job->stripe && i < sent)
			settle_picture(job, now);
		else if (job && job->stripe)
			put_back(job);
		complete = complete && i < sent;
	}
	for (size_t i = 0; i < self->jobs.count; i++) {
		if (self->jobs.items[i].code == SE_OK)
			continue;
		if (self->jobs.items[i].stripe)
			put_back(&self->jobs.items[i]);
		complete = false;
		code = self->jobs.items[i].code;
		*text = self->jobs.items[i].text;
	}
	if (complete)
		settle_colours(self);
	return code;
}

/* Nothing was sent. */
static void give_up(struct se_engine *self)
{
	for (size_t i = 0; i < self->automatic.op_count; i++)
		if (self->automatic.ops[i].kind == SE_OP_FILL)
			se_stripe_add_changed(stripe_of(self, self->automatic.ops[i].rect), self->automatic.ops[i].rect);
	for (size_t i = 0; i < self->jobs.count; i++)
		if (self->jobs.items[i].stripe)
			put_back(&self->jobs.items[i]);
}

int se_engine_build(struct se_engine *self, uint64_t capture_us, uint64_t begun_us)
{
	struct se_auto *lists = &self->automatic;
	bool changed = se_stripes_changed(&self->stripes);
	const char *text = "out of memory";
	size_t bytes, sent;
	int code;

	se_engine_auto_clear(self);
	/* Out of memory while collecting: what has no job yet has stayed in its stripe. */
	code = collect(self, begun_us);
	if (self->jobs.count == 0 && lists->op_count == 0 && lists->batches[0].count == 0)
		return se_engine_judge(self, code, text, false);
	code = se_auto_encode(self);
	if (code < 0) {
		give_up(self);
		code = se_engine_judge(self, code, text, false);
		return code < 0 ? code : 1;
	}
	sent = se_engine_send(self, lists->ops, lists->op_count, capture_us, begun_us, changed, &code, &bytes);
	if (code < 0)
		text = se_error_message();
	code = settle(self, sent, code, &text);
	code = se_engine_judge(self, code, text, sent > 0);
	return code < 0 ? code : 1;
}
