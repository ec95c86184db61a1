/* x11_view.h - which rectangle of the root window a source shows, and where that is now.
 *
 * Used by the source's thread only. What is wanted stays; `rect` is what there is of it. A monitor that is gone leaves its last
 * rectangle behind, for RandR switches monitors off and on again while it changes them.
 */
#ifndef SE_X11_VIEW_H
#define SE_X11_VIEW_H

#include <stdbool.h>

#include "region.h"
#include "x11_connection.h"

struct se_x11_view {
	bool whole;            /* the root, whatever its size; `wanted` and `monitor` mean nothing */
	struct se_rect wanted; /* of a monitor, as it was last seen; empty: never */
	char monitor[128];     /* empty: a fixed rectangle */
	struct se_rect rect;   /* shown, inside the root; empty until first found */
};

/* Notes what is wanted; NULL is the whole root. SE_E_INVALID with a text if that cannot be. */
int se_x11_view_init(struct se_x11_view *self, const struct se_x11_part *part);

/* Asks the server where it is now: one round trip, for a monitor three. 1 if `rect` has changed, 0 if not; SE_E_SOURCE if
 * nothing of it is left or there is no such monitor, with `rect` as it was. */
int se_x11_view_find(struct se_x11_view *self, struct se_x11 *x11);

#endif
