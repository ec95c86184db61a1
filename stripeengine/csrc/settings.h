/* settings.h - checks of struct se_settings and what follows from them. Pure functions. */
#ifndef SE_SETTINGS_H
#define SE_SETTINGS_H

#include <stdbool.h>

#include "stripeengine.h"

#define SE_STREAMS_MAX 16 /* H.264 streams the wire can name */

/* The ranges are those of stripeengine/settings.py, which speaks to people; this is the second line. */
int se_settings_check(const struct se_settings *settings);

/* True for the modes that choose a form for each change (auto_mode.h); the others cut the picture into stripes. */
static inline bool se_mode_is_auto(int mode)
{
	return mode == SE_MODE_AUTO || mode == SE_MODE_LOSSLESS;
}

/* Height of a stripe, a multiple of 16, for a picture of that height. Never depends on the machine. */
int se_settings_stripe_height(const struct se_settings *settings, int picture_height);

#endif
