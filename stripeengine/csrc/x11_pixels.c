/* x11_pixels.c - see x11_pixels.h. */
#include "x11_pixels.h"

#include <string.h>
#include <xcb/xfixes.h>

#define UNREAD_MOST 2 /* polls in a row: who is paused, or only watches, costs the server no more */

int se_x11_pixels_fit(struct se_x11_pixels *self, struct se_x11 *x11, struct se_rect view)
{
	bool direct = se_x11_framebuffer_has(&self->framebuffer, view);
	int code = direct ? se_x11_alive(x11) : se_x11_mirror_fit(&self->mirror, x11, view);

	if (code < 0 || direct == self->direct)
		return code;
	if (direct)
		xcb_xfixes_hide_cursor(x11->connection, x11->screen->root);
	else
		xcb_xfixes_show_cursor(x11->connection, x11->screen->root);
	self->direct = direct;
	return 0;
}

struct se_x11_mirror *se_x11_pixels_expect(struct se_x11_pixels *self, const struct se_x11 *x11)
{
	bool wanted = self->unread < UNREAD_MOST;

	self->unread += wanted;
	if (!self->direct)
		return se_x11_mirror_follows(&self->mirror, wanted) ? &self->mirror : NULL;
	if (wanted)
		se_x11_framebuffer_hold(&self->framebuffer, x11);
	return NULL;
}

int se_x11_pixels_read(struct se_x11_pixels *self, struct se_x11 *x11, struct se_rect view, int y0, int y1, struct se_image *out)
{
	const struct se_x11_framebuffer *framebuffer = &self->framebuffer;
	int code;

	self->unread = 0;
	if (!self->direct) {
		code = se_x11_mirror_read(&self->mirror, x11, y0, y1);
		*out = (struct se_image){self->mirror.shm.pixels, (size_t)view.w * 4, view.w, view.h};
		return code;
	}
	if (!framebuffer->held) {
		se_x11_framebuffer_hold(&self->framebuffer, x11);
		se_x11_round_trip(x11);
	}
	*out = (struct se_image){framebuffer->pixels + (size_t)view.y * framebuffer->stride + (size_t)view.x * 4, framebuffer->stride,
				 view.w, view.h};
	return se_x11_alive(x11);
}

void se_x11_pixels_let_go(struct se_x11_pixels *self, const struct se_x11 *x11)
{
	se_x11_framebuffer_let_go(&self->framebuffer, x11);
}

void se_x11_pixels_destroy(struct se_x11_pixels *self, const struct se_x11 *x11)
{
	se_x11_framebuffer_unmap(&self->framebuffer);
	se_x11_mirror_destroy(&self->mirror, x11);
}
