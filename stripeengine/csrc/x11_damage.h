/* x11_damage.h - what has been drawn on the root window since it was last asked, by the DAMAGE extension.
 *
 * Used by the source's thread only. An event says that there is something; fetching it is one round trip.
 */
#ifndef SE_X11_DAMAGE_H
#define SE_X11_DAMAGE_H

#include "region.h"
#include "x11_connection.h"

struct se_x11_damage {
	uint32_t damage;     /* the server's object; freed with the connection */
	uint32_t fetched;    /* a region on the server: receives what is cleared */
	uint8_t first_event; /* number of the event that says there is damage */
};

/* Starts watching; the whole screen counts as damaged at first. Needs DAMAGE and XFIXES, already negotiated. */
int se_x11_damage_watch(struct se_x11_damage *self, struct se_x11 *x11);

/* Clears the damage and adds what it was to *out, cut to width x height. 1 if there was any, 0 if not. */
int se_x11_damage_fetch(struct se_x11_damage *self, struct se_x11 *x11, int width, int height,
			struct se_region *out);

#endif
