/* auto_video.c - what is done for a region in which a video plays: its rate factor, its rim, its better picture at rest. Engine
 * thread. */
#include "auto_mode.h"
#include "damage.h"
#include "engine_private.h"

#define CRF_MOST 50
#define LARGE_SHARE 2       /* of the picture: beside other things a video does with motion_coarser less, from a half on a video is all there is to see, and gets what the preset says */
#define KEY_COARSER 6       /* of a key frame while a video plays: the next picture hides what it lacks */
#define PAINT_PIXELS 400000 /* a smaller region that rests is exact so soon that a better picture before is not worth its bytes */
#define PAINT_PIXELS_EXACT 3000000 /* the same where its exact repair begins at once and ends within a second */
#define PAINT_DIVISOR 3     /* pixels for a byte of such a picture, about */

/* Rate factor of a video: by its size, bounded by the preset, and coarser as the budget wants. */
static int video_crf(const struct se_engine *engine, const struct se_video *video)
{
	const struct se_settings *settings = &engine->settings;
	int crf = settings->h264_crf;

	/* A bound on bytes makes it coarser where it has to be. */
	if (settings->max_kbps == 0 &&
	    se_rect_area(video->rect) * LARGE_SHARE < se_rect_area(se_picture_bounds(&engine->reference)))
		crf += settings->motion_coarser;
	crf += video->coarser;
	return crf < CRF_MOST ? crf : CRF_MOST;
}

/* The column and the row of tiles that are a video's but not of its picture; empty where there is none. */
static void rim_of(const struct se_video *video, struct se_rect out[2])
{
	struct se_rect rect = video->rect, coded = video->coded;

	out[0] = (struct se_rect){ rect.x, rect.y, coded.x - rect.x, rect.h };
	out[1] = (struct se_rect){ coded.x, rect.y, coded.w, coded.y - rect.y };
}

/* What of its rim `box` changes, before its pixels are taken over: the parts of the box in which something does, else empty. */
static void changed_rim(const struct se_engine *engine, const struct se_video *video, struct se_rect box, struct se_rect out[2])
{
	const struct se_image *image = &engine->image;

	rim_of(video, out);
	for (int i = 0; i < 2; i++) {
		out[i] = se_rect_intersect(out[i], box);
		if (se_rect_empty(se_damage_compare(&engine->reference, image->pixels, image->stride, out[i])))
			out[i] = (struct se_rect){ 0, 0, 0, 0 };
	}
}

struct se_rect se_auto_video_changes(const struct se_engine *engine, const struct se_video *video, struct se_rect box)
{
	struct se_rect rim[2];

	changed_rim(engine, video, box, rim);
	return se_rect_union(se_rect_intersect(box, video->coded), se_rect_union(rim[0], rim[1]));
}

void se_auto_note_rim(const struct se_engine *engine, struct se_video *video, struct se_rect box)
{
	struct se_rect rim[2];

	changed_rim(engine, video, box, rim);
	for (int i = 0; i < 2; i++)
		video->rim[i] = se_rect_union(video->rim[i], rim[i]);
}

/* With a key frame all of the rim is sent: what viewers have of it may be unknown. */
static int add_rim(struct se_auto *self, struct se_video *video)
{
	int code = SE_OK;

	if (video->key_due)
		rim_of(video, video->rim);
	for (int i = 0; i < 2 && code == SE_OK; i++)
		if (!se_rect_empty(video->rim[i]))
			code = se_auto_add_lossless(self, video->rim[i], 1000);
	return code;
}

/* Bytes that a picture at rest may have, 0 for no bound; what is planned counts it already. */
static size_t paint_most(const struct se_auto *self, const struct se_video *video)
{
	int64_t most = self->room - self->planned + se_rect_area(video->rect) / PAINT_DIVISOR;

	if (self->available == SE_BUDGET_UNLIMITED)
		return 0;
	return most > 1024 ? (size_t)most : 1024;
}

void se_auto_video_follow(const struct se_engine *engine, struct se_video *video, struct se_rect box)
{
	const struct se_picture *picture = &engine->reference;
	struct se_rect coded = video->coded, rect = se_rect_intersect(box, coded);

	if (!video->encoder || !se_h264_fits(video->encoder, coded.w, coded.h, se_settings_h264_form(&engine->settings)) || se_rect_empty(rect))
		return;
	rect.x -= coded.x;
	rect.y -= coded.y;
	se_h264_update(video->encoder, se_picture_at(picture, coded.x, coded.y), picture->stride, rect);
}

int se_auto_add_video(struct se_engine *engine, int index, bool paint)
{
	struct se_video *video = &engine->automatic.videos[index];
	struct se_job *job = se_jobs_add(&engine->jobs);

	if (!job)
		return SE_E_NOMEM;
	job->rect = video->coded;
	job->encoder = &video->encoder;
	job->stream = (uint16_t)index;
	job->mode = SE_MODE_H264;
	job->form = se_settings_h264_form(&engine->settings);
	job->framerate = engine->settings.framerate;
	job->paint = paint;
	job->key = video->key_due || paint;
	job->quality = paint ? engine->settings.paint_over_crf : video_crf(engine, video) + (job->key ? KEY_COARSER : 0);
	job->most = paint ? paint_most(&engine->automatic, video) : video->most;
	return add_rim(&engine->automatic, video);
}

static bool repairs_at_rest(const struct se_engine *engine)
{
	return se_settings_end_exact(&engine->settings) && engine->automatic.available == SE_BUDGET_UNLIMITED;
}

void se_auto_note_video_rest(struct se_engine *engine, int index)
{
	struct se_auto *self = &engine->automatic;

	self->videos[index].repair_us = repairs_at_rest(engine) ? se_activity_rest_due(self->activity, index) : SE_NEVER;
}

bool se_auto_video_paint_due(struct se_engine *engine, int index, uint64_t now)
{
	struct se_auto *self = &engine->automatic;
	const struct se_video *video = &self->videos[index];
	int64_t area = se_rect_area(video->rect), bytes = area / PAINT_DIVISOR;

	if (!se_activity_rested(self->activity, index, now) || !video->encoder)
		return false;
	if (!engine->settings.paint_over || engine->settings.paint_over_crf >= engine->settings.h264_crf || self->left_over ||
	    area < (repairs_at_rest(engine) ? PAINT_PIXELS_EXACT : PAINT_PIXELS))
		return false;
	if (self->available != SE_BUDGET_UNLIMITED && self->available - self->planned < bytes)
		return false;
	self->planned += bytes;
	self->videos[index].repair_us = now + 1; /* in this frame it would only be drawn over */
	return true;
}

void se_auto_note_video_size(struct se_video *video, const struct se_op *op)
{
	int64_t size = ((int64_t)op->length << (video->coarser / 6)) * (6 + video->coarser % 6) / 6;
	int64_t *known = op->flags & SE_OP_KEY ? &video->key_size : &video->delta_size;

	*known = size > *known ? size : (*known * 3 + size) / 4;
}
