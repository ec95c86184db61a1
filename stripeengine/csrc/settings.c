/* settings.c - checks of struct se_settings and what follows from them. */
#include "settings.h"

#include <stddef.h>

#include "error.h"

#define JPEG_STRIPE 64
#define H264_STRIPES 8 /* each is a decoder in the browser */

static const struct {
	const char *name;
	size_t offset;
	int minimum, maximum;
} ranges[] = {
	{ "framerate", offsetof(struct se_settings, framerate), 1, 240 },
	{ "jpeg_quality", offsetof(struct se_settings, jpeg_quality), 1, 100 },
	{ "paint_over", offsetof(struct se_settings, paint_over), 0, 1 },
	{ "paint_over_jpeg_quality", offsetof(struct se_settings, paint_over_jpeg_quality), 1, 100 },
	{ "paint_over_trigger_frames", offsetof(struct se_settings, paint_over_trigger_frames), 1, 600 },
	{ "h264_crf", offsetof(struct se_settings, h264_crf), 5, 50 },
	{ "paint_over_crf", offsetof(struct se_settings, paint_over_crf), 5, 50 },
	{ "stripe_height", offsetof(struct se_settings, stripe_height), 0, 1024 },
	{ "verify_interval_ms", offsetof(struct se_settings, verify_interval_ms), 0, 60000 },
	{ "lossless_when_still", offsetof(struct se_settings, lossless_when_still), 0, 1 },
	{ "repair_delay_ms", offsetof(struct se_settings, repair_delay_ms), 20, 5000 },
	{ "max_kbps", offsetof(struct se_settings, max_kbps), 0, 1000000 },
	{ "colour_range", offsetof(struct se_settings, colour_range), SE_RANGE_LIMITED, SE_RANGE_FULL },
	{ "paint_over_colour", offsetof(struct se_settings, paint_over_colour), SE_PAINT_SAME, SE_PAINT_RGB },
	{ "motion_coarser", offsetof(struct se_settings, motion_coarser), 0, 12 },
};

int se_settings_check(const struct se_settings *settings)
{
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		int value = *(const int *)((const char *)settings + ranges[i].offset);

		if (value < ranges[i].minimum || value > ranges[i].maximum)
			return se_error_set(SE_E_INVALID, "%s must be between %d and %d, not %d", ranges[i].name,
			                    ranges[i].minimum, ranges[i].maximum, value);
	}
	if (settings->stripe_height % 16)
		return se_error_set(SE_E_INVALID, "stripe_height must be a multiple of 16, not %d", settings->stripe_height);
	if (settings->chroma != 420 && settings->chroma != 444)
		return se_error_set(SE_E_INVALID, "chroma must be 420 or 444, not %d", settings->chroma);
	if (settings->colour_space != 709 && settings->colour_space != 601)
		return se_error_set(SE_E_INVALID, "colour_space must be 709 or 601, not %d", settings->colour_space);
	if (settings->mode < SE_MODE_JPEG || settings->mode > SE_MODE_LOSSLESS)
		return se_error_set(SE_E_INVALID, "there is no mode %d", settings->mode);
	if (settings->mode == SE_MODE_H264 && !se_has_h264())
		return se_error_set(SE_E_UNSUPPORTED, "this engine was built without x264, so it has no H.264 mode: "
		                                      "use mode jpeg, or build without STRIPEENGINE_X264=0");
	return SE_OK;
}

struct se_h264_form se_settings_h264_form(const struct se_settings *settings)
{
	bool full = settings->colour_range == SE_RANGE_FULL;
	enum se_colour colour = full ? SE_COLOUR_709_FULL : SE_COLOUR_709_LIMITED;

	if (settings->colour_space == 601)
		colour = full ? SE_COLOUR_601_FULL : SE_COLOUR_601_LIMITED;
	return (struct se_h264_form){ settings->chroma, colour };
}

int se_settings_paint_colour(const struct se_settings *settings)
{
	if (!settings->paint_over || (settings->paint_over_colour == SE_PAINT_444 && settings->chroma == 444))
		return SE_PAINT_SAME;
	return settings->paint_over_colour;
}

int se_settings_rest_chroma(const struct se_settings *settings)
{
	return se_settings_paint_colour(settings) == SE_PAINT_SAME ? settings->chroma : 444;
}

bool se_settings_end_exact(const struct se_settings *settings)
{
	return settings->mode == SE_MODE_LOSSLESS || (settings->mode == SE_MODE_AUTO && settings->lossless_when_still) ||
	       se_settings_paint_colour(settings) == SE_PAINT_RGB;
}

/* The smallest multiple of 16 that cuts `height` into at most `count` stripes. */
static int height_for(int height, int count)
{
	return ((height + count - 1) / count + 15) / 16 * 16;
}

int se_settings_stripe_height(const struct se_settings *settings, int picture_height)
{
	int least;

	if (settings->mode != SE_MODE_H264)
		return settings->stripe_height ? settings->stripe_height : JPEG_STRIPE;
	if (!settings->stripe_height)
		return height_for(picture_height, H264_STRIPES);
	least = height_for(picture_height, SE_STREAMS_MAX);
	return settings->stripe_height > least ? settings->stripe_height : least;
}
