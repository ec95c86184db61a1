/* x11_pixels.h - the pixels of an X source: read where the server has them (x11_framebuffer.h) if that is given and holds the
 * view, else in a copy of our own (x11_mirror.h). Used by the source's thread only.
 */
#ifndef SE_X11_PIXELS_H
#define SE_X11_PIXELS_H

#include "source.h"
#include "x11_framebuffer.h"
#include "x11_mirror.h"

struct se_x11_pixels {
	struct se_x11_framebuffer framebuffer;
	struct se_x11_mirror mirror;
	bool direct; /* from the framebuffer */
	int unread;  /* polls after which nobody has read */
};

/* Makes that view of the root readable; on failure all is as it was. The pointer is hidden where the framebuffer is read: the server
 * draws it there. */
int se_x11_pixels_fit(struct se_x11_pixels *self, struct se_x11 *x11, struct se_rect view);

/* What has changed is about to be asked: the answer and the pixels are to be of one moment, if they are read at all. Returns the
 * mirror that what is cleared has to be copied to, or NULL. */
struct se_x11_mirror *se_x11_pixels_expect(struct se_x11_pixels *self, const struct se_x11 *x11);

/* Makes the rows [y0, y1) of the view that was made readable last current. As se_x11_mirror_read. */
int se_x11_pixels_read(struct se_x11_pixels *self, struct se_x11 *x11, struct se_rect view, int y0, int y1, struct se_image *out);

/* What was read is not looked at any more. */
void se_x11_pixels_let_go(struct se_x11_pixels *self, const struct se_x11 *x11);

/* Frees all; harmless on one that never fitted. */
void se_x11_pixels_destroy(struct se_x11_pixels *self, const struct se_x11 *x11);

#endif
