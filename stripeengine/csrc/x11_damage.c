/* x11_damage.c - see x11_damage.h. */
#include "x11_damage.h"

#include <stdlib.h>
#include <xcb/damage.h>
#include <xcb/xfixes.h>

#include "error.h"

/* NON_EMPTY raises one event when the first pixel changes and none until the damage is cleared, however much is drawn; the
 * exact rectangles come with the round trip that clears it. Measured on Xvfb 1920x1080 at 60 polls a second, against
 * DELTA_RECTANGLES and BOUNDING_BOX, which need no such round trip: an unlimited terminal flood cost 0.5 % of a core and 1 event
 * a frame (1.2 % and 140, 0.8 % and 50); a terminal at 60 lines/s and typing cost the same, with half the wake-ups, and
 * reached the grabbed picture within 15 us of each other. Only in the unlimited flood was it later, by 2.5 ms, for a server
 * that is busy for others answers late. */
#define LEVEL_WHOLE XCB_DAMAGE_REPORT_LEVEL_NON_EMPTY

/* Who shows a part must not wake for what is drawn elsewhere. DELTA_RECTANGLES raises an event for each area that is not damaged
 * yet. So damage outside of the part is left standing: it is reported once and never again, and a video on the next
 * monitor costs nothing here. The server names what is left again after each fetch; once that is much, all is cleared. */
#define LEVEL_PART XCB_DAMAGE_REPORT_LEVEL_DELTA_RECTANGLES
#define OUTSIDE_MAX 32

int se_x11_damage_watch(struct se_x11_damage *self, struct se_x11 *x11, bool whole)
{
	xcb_connection_t *connection = x11->connection;
	xcb_generic_error_t *error;

	self->fetched = xcb_generate_id(connection);
	xcb_xfixes_create_region(connection, self->fetched, 0, NULL);
	if (!whole) {
		self->focus = xcb_generate_id(connection);
		xcb_xfixes_create_region(connection, self->focus, 0, NULL);
	}
	self->damage = xcb_generate_id(connection);
	error = se_x11_check(x11, xcb_damage_create_checked(connection, self->damage, x11->screen->root,
							    whole ? LEVEL_WHOLE : LEVEL_PART));
	if (error != NULL || x11->silent || xcb_connection_has_error(connection))
		return se_x11_reply_error(x11, "DamageCreate", error);
	return 0;
}

void se_x11_damage_focus(struct se_x11_damage *self, const struct se_x11 *x11, struct se_rect part)
{
	xcb_rectangle_t rectangle = {(int16_t)part.x, (int16_t)part.y, (uint16_t)part.w, (uint16_t)part.h};

	self->part = part;
	if (self->focus != 0)
		xcb_xfixes_set_region(x11->connection, self->focus, 1, &rectangle);
}

static struct se_rect cut(const xcb_rectangle_t *rectangle, struct se_rect part)
{
	return se_rect_intersect((struct se_rect){rectangle->x, rectangle->y, rectangle->width, rectangle->height}, part);
}

bool se_x11_damage_concerns(struct se_x11_damage *self, const xcb_generic_event_t *event)
{
	const xcb_damage_notify_event_t *notice = (const xcb_damage_notify_event_t *)(const void *)event;

	if (self->focus == 0 || !se_rect_empty(cut(&notice->area, self->part)))
		return true;
	if (self->outside <= OUTSIDE_MAX)
		self->outside++;
	return false;
}

int se_x11_damage_fetch(struct se_x11_damage *self, struct se_x11 *x11, struct se_x11_mirror *mirror, struct se_region *out)
{
	xcb_connection_t *connection = x11->connection;
	xcb_generic_error_t *error = NULL;
	xcb_xfixes_fetch_region_reply_t *reply;
	const xcb_rectangle_t *rectangles;
	int count, added = 0;

	xcb_damage_subtract(connection, self->damage, self->outside > OUTSIDE_MAX ? XCB_NONE : self->focus, self->fetched);
	self->outside = 0;
	/* After it was cleared: what changes in between is copied, and reported once more. */
	if (mirror != NULL)
		se_x11_mirror_copy(mirror, x11, self->fetched);
	reply = se_x11_reply(x11, xcb_xfixes_fetch_region(connection, self->fetched).sequence, &error);
	if (reply == NULL)
		return se_x11_reply_error(x11, "FetchRegion", error);
	rectangles = xcb_xfixes_fetch_region_rectangles(reply);
	count = (int)(reply->length / 2); /* of what arrived: 8 bytes a rectangle */
	for (int i = 0; i < count; i++) {
		struct se_rect rect = cut(&rectangles[i], self->part);

		if (se_rect_empty(rect))
			continue;
		rect.x -= self->part.x;
		rect.y -= self->part.y;
		se_region_add(out, rect);
		added = 1;
	}
	free(reply);
	return added;
}
