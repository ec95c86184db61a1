/* x11_damage.h - what has been drawn on the root window since it was last asked, by the DAMAGE extension.
 *
 * Used by the source's thread only. An event says that there is something; fetching it is one round trip.
 */
#ifndef SE_X11_DAMAGE_H
#define SE_X11_DAMAGE_H

#include "region.h"
#include "x11_connection.h"
#include "x11_mirror.h"

struct se_x11_damage {
	uint32_t damage;     /* the server's object; freed with the connection */
	uint32_t fetched;    /* a region on the server: receives what is cleared */
	uint32_t focus;      /* a region on the server: the part that is watched; 0: the whole root */
	struct se_rect part; /* the same, here */
	int outside;         /* events about other parts since the last fetch */
	uint8_t first_event; /* number of the event that says there is damage */
};

/* Starts watching, the whole root or the part that se_x11_damage_focus names, before anything else is called. All of it counts as
 * damaged at first. Needs DAMAGE and XFIXES, already negotiated. */
int se_x11_damage_watch(struct se_x11_damage *self, struct se_x11 *x11, bool whole);

/* Watches another part of the root. What was drawn there before may never be reported: fetch next. */
void se_x11_damage_focus(struct se_x11_damage *self, const struct se_x11 *x11, struct se_rect part);

/* True if a damage event means that there is something to fetch. */
bool se_x11_damage_concerns(struct se_x11_damage *self, const xcb_generic_event_t *event);

/* Clears the damage of the part and adds what it was to *out, cut to the part and counted from its corner. What was cleared is in
 * `mirror` then, unless that is NULL. 1 if there was any, 0 if not. */
int se_x11_damage_fetch(struct se_x11_damage *self, struct se_x11 *x11, struct se_x11_mirror *mirror, struct se_region *out);

#endif
