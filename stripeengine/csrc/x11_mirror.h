/* x11_mirror.h - the pixels of an X source: shared memory in which the server keeps a copy of the view.
 *
 * The memory is also a pixmap of the server's. What damage is cleared can so be copied into it by the same burst of requests that
 * clears it, clipped to the very damage: pixels are there with the list of rectangles, after one round trip. To ask for them
 * afterwards would take a second one, and a server that is busy drawing answers each only when its client's turn is over. Servers
 * without shared pixmaps give rows to ShmGetImage.
 * Used by the source's thread only.
 */
#ifndef SE_X11_MIRROR_H
#define SE_X11_MIRROR_H

#include "region.h"
#include "x11_connection.h"
#include "x11_shm.h"

struct se_x11_mirror {
	struct se_x11_shm shm;
	xcb_pixmap_t pixmap;  /* over the memory; 0: none */
	xcb_gcontext_t gc;    /* 0 until first needed */
	struct se_rect view;  /* of the root: what the memory shows */
	bool barred;          /* the server has refused something: no pixmap any more */
	bool current;         /* holds the whole view as of the last copy or read */
	bool doubted;         /* read anew, unless something is copied before */
};

/* Makes room for that view of the root: a few round trips if its size has changed. Nothing is current then. */
int se_x11_mirror_fit(struct se_x11_mirror *self, struct se_x11 *x11, struct se_rect view);

/* True if what damage is cleared now is to be copied: somebody reads the pixels (`wanted`). */
bool se_x11_mirror_follows(struct se_x11_mirror *self, bool wanted);

/* Sends the requests that copy `region` of the root, a region on the server; there once a later request is answered. */
void se_x11_mirror_copy(struct se_x11_mirror *self, const struct se_x11 *x11, uint32_t region);

/* Makes the rows [y0, y1) of the view current, if they are not: one round trip. 0, or a negative code; after SE_E_AGAIN, and only
 * then, the view may be elsewhere. */
int se_x11_mirror_read(struct se_x11_mirror *self, struct se_x11 *x11, int y0, int y1);

/* The next read asks the server, unless another copy comes before. */
void se_x11_mirror_distrust(struct se_x11_mirror *self);

/* Nobody will read for long: gives the memory's pages back, the server's share of them too. The next read asks for everything. */
void se_x11_mirror_release(struct se_x11_mirror *self);

/* A request without a reply has failed: perhaps a copy. */
void se_x11_mirror_refused(struct se_x11_mirror *self);

/* Frees all; harmless on one that never fitted. */
void se_x11_mirror_destroy(struct se_x11_mirror *self, const struct se_x11 *x11);

#endif
