/* x11_view.c - see x11_view.h. */
#include "x11_view.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "x11_monitors.h"

#define SIDE_MAX 16384 /* largest picture of the protocol */

int se_x11_view_init(struct se_x11_view *self, const struct se_x11_part *part)
{
	memset(self, 0, sizeof *self);
	if (part == NULL || (part->monitor == NULL && part->rect.w == 0 && part->rect.h == 0)) {
		self->whole = true;
		return 0;
	}
	if (part->monitor != NULL) {
		size_t length = strlen(part->monitor);

		if (length == 0 || length >= sizeof self->monitor)
			return se_error_set(SE_E_INVALID, "the monitor's name has %zu bytes; 1 to %zu are possible", length,
				       sizeof self->monitor - 1);
		memcpy(self->monitor, part->monitor, length);
		return 0;
	}
	self->wanted = part->rect;
	if (self->wanted.x < 0 || self->wanted.y < 0 || self->wanted.x > INT16_MAX || self->wanted.y > INT16_MAX ||
	    self->wanted.w < 1 || self->wanted.h < 1 || self->wanted.w > SIDE_MAX || self->wanted.h > SIDE_MAX)
		return se_error_set(SE_E_INVALID,
			       "the rectangle %dx%d+%d+%d cannot be shown: sides of 1 to %d and a corner of 0 to %d are possible",
			       self->wanted.w, self->wanted.h, self->wanted.x, self->wanted.y, SIDE_MAX, INT16_MAX);
	return 0;
}

static int root_rect(struct se_x11 *x11, struct se_rect *out)
{
	xcb_generic_error_t *error = NULL;
	xcb_get_geometry_reply_t *reply =
		se_x11_reply(x11, xcb_get_geometry(x11->connection, x11->screen->root).sequence, &error);

	if (reply == NULL)
		return se_x11_reply_error(x11, "GetGeometry", error);
	*out = (struct se_rect){0, 0, reply->width, reply->height};
	free(reply);
	return 0;
}

static int follow_monitor(struct se_x11_view *self, struct se_x11 *x11)
{
	struct se_x11_monitors monitors;
	const struct se_x11_monitor *monitor;
	char names[160];
	int code = se_x11_monitors_read(&monitors, x11);

	if (code < 0)
		return code;
	monitor = se_x11_monitors_find(&monitors, self->monitor);
	if (monitor != NULL)
		self->wanted = monitor->rect;
	if (!se_rect_empty(self->wanted))
		return 0;
	se_x11_monitors_list(&monitors, names, sizeof names);
	return se_error_set(SE_E_SOURCE, "the X server has no monitor '%.60s'; it has: %s ('xrandr --listmonitors' shows them)",
		       self->monitor, names);
}

/* What is wanted of a root of this size. */
static int choose(const struct se_x11_view *self, struct se_rect root, struct se_rect *out)
{
	struct se_rect wanted = self->whole ? root : self->wanted;

	*out = se_rect_intersect(wanted, root);
	if (se_rect_empty(*out))
		return se_error_set(SE_E_SOURCE,
			       "nothing is left to show: %s%.60s%s%dx%d+%d+%d lies outside of the X screen of %dx%d: enlarge the "
			       "screen or choose another part of it",
			       self->monitor[0] ? "monitor '" : "", self->monitor, self->monitor[0] ? "' at " : "", wanted.w, wanted.h,
			       wanted.x, wanted.y, root.w, root.h);
	if (out->w > SIDE_MAX || out->h > SIDE_MAX)
		return se_error_set(SE_E_SOURCE, "the X screen has %dx%d pixels to show; up to %dx%d are possible: name a part of it",
			       out->w, out->h, SIDE_MAX, SIDE_MAX);
	return 0;
}

int se_x11_view_find(struct se_x11_view *self, struct se_x11 *x11)
{
	struct se_rect root = {0, 0, 0, 0}, now = root, before = self->rect;
	int code = root_rect(x11, &root);

	if (code == 0 && self->monitor[0])
		code = follow_monitor(self, x11);
	if (code == 0)
		code = choose(self, root, &now);
	if (code < 0)
		return code;
	self->rect = now;
	return now.x != before.x || now.y != before.y || now.w != before.w || now.h != before.h;
}
