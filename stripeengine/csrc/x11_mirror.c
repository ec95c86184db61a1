/* x11_mirror.c - see x11_mirror.h. */
#include "x11_mirror.h"

#include <stdlib.h>
#include <string.h>
#include <xcb/xfixes.h>

#include "error.h"

static void free_pixmap(struct se_x11_mirror *self, const struct se_x11 *x11)
{
	if (self->pixmap != 0)
		xcb_free_pixmap(x11->connection, self->pixmap);
	self->pixmap = 0;
}

/* Copies with it take windows along, are clipped to what is named later, and raise no events. */
static void make_gc(struct se_x11_mirror *self, const struct se_x11 *x11)
{
	uint32_t values[] = {XCB_SUBWINDOW_MODE_INCLUDE_INFERIORS, 0};

	self->gc = xcb_generate_id(x11->connection);
	xcb_create_gc(x11->connection, self->gc, x11->screen->root, XCB_GC_SUBWINDOW_MODE | XCB_GC_GRAPHICS_EXPOSURES, values);
}

/* Without a pixmap rows are asked for; so whatever the server has against it is no failure. */
static void make_pixmap(struct se_x11_mirror *self, struct se_x11 *x11)
{
	xcb_generic_error_t *error;

	if (!self->shm.pixmaps || self->barred)
		return;
	if (self->gc == 0)
		make_gc(self, x11);
	self->pixmap = xcb_generate_id(x11->connection);
	error = se_x11_check(x11, xcb_shm_create_pixmap_checked(x11->connection, self->pixmap, x11->screen->root,
								(uint16_t)self->view.w, (uint16_t)self->view.h,
								x11->screen->root_depth, self->shm.segment, 0));
	if (error != NULL)
		self->pixmap = 0;
	free(error);
}

int se_x11_mirror_fit(struct se_x11_mirror *self, struct se_x11 *x11, struct se_rect view)
{
	size_t bytes = (size_t)view.w * (size_t)view.h * 4; /* at most 1 GiB, the view sees to it */
	bool same = view.w == self->view.w && view.h == self->view.h;
	struct se_x11_shm larger;
	int code;

	if (bytes > self->shm.size) {
		code = se_x11_shm_create(&larger, x11, bytes);
		if (code < 0)
			return code;
		free_pixmap(self, x11);
		se_x11_shm_destroy(&self->shm, x11);
		self->shm = larger;
		same = false;
	}
	self->current = false;
	self->view = view;
	if (same)
		return 0;
	free_pixmap(self, x11);
	make_pixmap(self, x11);
	return se_x11_alive(x11);
}

bool se_x11_mirror_follows(struct se_x11_mirror *self, bool wanted)
{
	self->current = self->current && wanted && self->pixmap != 0;
	return self->current;
}

void se_x11_mirror_copy(struct se_x11_mirror *self, const struct se_x11 *x11, uint32_t region)
{
	struct se_rect view = self->view;

	self->doubted = false;
	xcb_xfixes_set_gc_clip_region(x11->connection, self->gc, region, (int16_t)-view.x, (int16_t)-view.y);
	xcb_copy_area(x11->connection, x11->screen->root, self->pixmap, self->gc, (int16_t)view.x, (int16_t)view.y, 0, 0,
		      (uint16_t)view.w, (uint16_t)view.h);
}

int se_x11_mirror_read(struct se_x11_mirror *self, struct se_x11 *x11, int y0, int y1)
{
	struct se_rect view = self->view;
	xcb_generic_error_t *error = NULL;
	xcb_shm_get_image_reply_t *reply;
	int code = 0;

	if (self->current && !self->doubted)
		return 0;
	if (self->pixmap != 0) { /* from now on it is kept current */
		y0 = 0;
		y1 = view.h;
	}
	reply = se_x11_reply(x11,
			     xcb_shm_get_image(x11->connection, x11->screen->root, (int16_t)view.x, (int16_t)(view.y + y0),
					       (uint16_t)view.w, (uint16_t)(y1 - y0), ~0u, XCB_IMAGE_FORMAT_Z_PIXMAP,
					       self->shm.segment, (uint32_t)((size_t)y0 * (size_t)view.w * 4))
				     .sequence,
			     &error);
	if (reply == NULL && error != NULL && error->error_code == XCB_MATCH) {
		free(error);
		return se_error_set(SE_E_AGAIN, "the X screen is changing its size");
	}
	if (reply == NULL)
		code = se_x11_reply_error(x11, "ShmGetImage", error);
	self->current = code == 0 && self->pixmap != 0;
	self->doubted = self->doubted && code < 0;
	free(reply);
	return code;
}

void se_x11_mirror_distrust(struct se_x11_mirror *self)
{
	self->doubted = true;
}

void se_x11_mirror_release(struct se_x11_mirror *self)
{
	/* Without a pixmap a read asks for some rows, and the others must have kept what they show. */
	if (self->pixmap != 0 && se_x11_shm_empty(&self->shm))
		self->current = false;
}

void se_x11_mirror_refused(struct se_x11_mirror *self)
{
	self->barred = true;
	self->pixmap = 0; /* it ends with the connection */
	self->current = false;
}

void se_x11_mirror_destroy(struct se_x11_mirror *self, const struct se_x11 *x11)
{
	se_x11_shm_destroy(&self->shm, x11); /* pixmap and context end with the connection */
	memset(self, 0, sizeof *self);
}
