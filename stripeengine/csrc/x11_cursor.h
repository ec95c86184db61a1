/* x11_cursor.h - the pointer's image, fetched through XFixes.
 *
 * Used by the source's thread only; fetching is one round trip. A pointer hidden by XFixesHideCursor is not visible to
 * the protocol (the server names the hidden image); one hidden the usual way, by an empty image, is.
 */
#ifndef SE_X11_CURSOR_H
#define SE_X11_CURSOR_H

#include "source.h"
#include "x11_connection.h"

#define SE_X11_CURSOR_SIDE_MAX 256 /* as in docs/protocol.md; a larger image is cut around its hotspot */

struct se_x11_cursor {
	struct se_cursor image; /* rgba points to `pixels` */
	uint8_t *pixels;        /* grown, never shrunk */
	size_t capacity;
};

/* Brings self->image up to date: straight RGBA, 0 x 0 when nothing of it is visible. 0 or a negative SE_E_* code. */
int se_x11_cursor_fetch(struct se_x11_cursor *self, struct se_x11 *x11);

void se_x11_cursor_free(struct se_x11_cursor *self);

/* Converts `count` premultiplied ARGB pixels to straight RGBA bytes; returns 1 if any of them is visible, else 0. */
int se_x11_cursor_straighten(const uint32_t *argb, uint8_t *rgba, size_t count);

#endif
