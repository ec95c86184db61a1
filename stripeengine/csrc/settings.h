/* settings.h - checks of struct se_settings and what follows from them. Pure functions. */
#ifndef SE_SETTINGS_H
#define SE_SETTINGS_H

#include <stdbool.h>

#include "encoder_h264.h"

#define SE_STREAMS_MAX 16 /* H.264 streams the wire can name */

/* The ranges are those of stripeengine/settings.py, which speaks to people; this is the second line. */
int se_settings_check(const struct se_settings *settings);

/* True for the modes that know what viewers have of each tile and choose a form for each change (auto_mode.h); mode h264
 * encodes the picture in stripes instead. */
static inline bool se_mode_is_tiled(int mode)
{
	return mode != SE_MODE_H264;
}

/* What H.264 streams are made of. */
struct se_h264_form se_settings_h264_form(const struct se_settings *settings);

/* In which colours what is at rest is painted over: enum se_paint_colour. SE_PAINT_SAME also if it is not, or if 4:4:4 is what all is
 * sent in. */
int se_settings_paint_colour(const struct se_settings *settings);

/* Colour resolution of JPEGs that nothing better follows. */
int se_settings_rest_chroma(const struct se_settings *settings);

/* True if what has losses is sent exactly once it is at rest. */
bool se_settings_end_exact(const struct se_settings *settings);

/* Height of a stripe, a multiple of 16, for a picture of that height. Never depends on the machine. */
int se_settings_stripe_height(const struct se_settings *settings, int picture_height);

#endif
