/* x11_cursor.c - see x11_cursor.h. */
#include "x11_cursor.h"

#include <stdlib.h>
#include <string.h>
#include <xcb/xfixes.h>

#include "error.h"

static uint8_t straight(uint32_t premultiplied, uint32_t alpha)
{
	uint32_t value = (premultiplied * 255 + alpha / 2) / alpha;

	return (uint8_t)(value > 255 ? 255 : value); /* themes exist whose colour exceeds its alpha */
}

int se_x11_cursor_straighten(const uint32_t *argb, uint8_t *rgba, size_t count)
{
	int visible = 0;

	for (size_t i = 0; i < count; i++, rgba += 4) {
		uint32_t alpha = argb[i] >> 24;

		if (alpha == 0) {
			memset(rgba, 0, 4);
			continue;
		}
		visible = 1;
		rgba[0] = straight(argb[i] >> 16 & 0xff, alpha);
		rgba[1] = straight(argb[i] >> 8 & 0xff, alpha);
		rgba[2] = straight(argb[i] & 0xff, alpha);
		rgba[3] = (uint8_t)alpha;
	}
	return visible;
}

/* First column (or row) of the part of at most SIDE_MAX that keeps the hotspot inside. */
static unsigned window_start(unsigned hot, unsigned size)
{
	unsigned half = SE_X11_CURSOR_SIDE_MAX / 2;
	unsigned last;

	if (size <= SE_X11_CURSOR_SIDE_MAX)
		return 0;
	last = size - SE_X11_CURSOR_SIDE_MAX;
	if (hot <= half)
		return 0;
	return hot - half < last ? hot - half : last;
}

static int reserve(struct se_x11_cursor *self, size_t bytes)
{
	uint8_t *grown;

	if (bytes <= self->capacity)
		return 0;
	grown = realloc(self->pixels, bytes);
	if (grown == NULL)
		return se_error_set(SE_E_NOMEM, "out of memory for a pointer image of %zu bytes", bytes);
	self->pixels = grown;
	self->capacity = bytes;
	return 0;
}

static int convert(struct se_x11_cursor *self, const xcb_xfixes_get_cursor_image_reply_t *reply, const uint32_t *argb)
{
	unsigned x0 = window_start(reply->xhot, reply->width);
	unsigned y0 = window_start(reply->yhot, reply->height);
	unsigned width = reply->width < SE_X11_CURSOR_SIDE_MAX ? reply->width : SE_X11_CURSOR_SIDE_MAX;
	unsigned height = reply->height < SE_X11_CURSOR_SIDE_MAX ? reply->height : SE_X11_CURSOR_SIDE_MAX;
	int visible = 0;
	int code = reserve(self, (size_t)width * height * 4);

	if (code < 0)
		return code;
	for (unsigned row = 0; row < height; row++)
		visible |= se_x11_cursor_straighten(argb + (size_t)(y0 + row) * reply->width + x0,
						    self->pixels + (size_t)row * width * 4, width);
	self->image.serial = reply->cursor_serial;
	if (!visible)
		return 0;
	self->image.width = (uint16_t)width;
	self->image.height = (uint16_t)height;
	/* A hotspot outside the image would put the pointer somewhere else on every client. */
	self->image.hot_x = (uint16_t)(reply->xhot - x0 < width ? reply->xhot - x0 : width - 1);
	self->image.hot_y = (uint16_t)(reply->yhot - y0 < height ? reply->yhot - y0 : height - 1);
	self->image.rgba = self->pixels;
	return 0;
}

int se_x11_cursor_fetch(struct se_x11_cursor *self, struct se_x11 *x11)
{
	xcb_xfixes_get_cursor_image_reply_t *reply =
		se_x11_reply(x11, xcb_xfixes_get_cursor_image(x11->connection).sequence, NULL);
	int code;

	memset(&self->image, 0, sizeof self->image);
	if (reply == NULL)
		return se_x11_alive(x11); /* BadCursor: the screen has no pointer image, so it is hidden */
	/* XCB trusts width and height; the bytes that came decide. Header and fixed part are 32 bytes, `length` counts the rest. */
	if ((uint64_t)reply->width * reply->height > reply->length)
		code = se_error_set(SE_E_SOURCE, "the X server sent a pointer image of %ux%u pixels in %u words", reply->width,
			       reply->height, reply->length);
	else
		code = convert(self, reply, xcb_xfixes_get_cursor_image_cursor_image(reply));
	free(reply);
	return code;
}

void se_x11_cursor_free(struct se_x11_cursor *self)
{
	free(self->pixels);
	memset(self, 0, sizeof *self);
}
