/* source.h - what an engine needs of a picture source.
 *
 * A source owns a framebuffer of BGRX pixels (byte order B,G,R,X; X is undefined) and says what may have changed in it.
 * Every function is called from the engine's own thread only, never blocks longer than one request to the
 * source's server, and returns 0 or a positive value on success, a negative SE_E_* code on failure.
 */
#ifndef SE_SOURCE_H
#define SE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "region.h" /* struct se_rect, struct se_region */

struct se_source;

/* Bits returned by poll. */
enum {
	SE_SOURCE_DAMAGE = 1 << 0,  /* *damage has grown */
	SE_SOURCE_RESIZED = 1 << 1, /* size() differs; treat everything as damaged */
	SE_SOURCE_CURSOR = 1 << 2,  /* cursor() has a new image */
};

struct se_image {
	const uint8_t *pixels; /* BGRX, first row first; valid until poll, let_go or destroy is called. Grabs in a row add rows to the same image */
	size_t stride;         /* bytes, >= 4 * width */
	int width, height;     /* of the whole framebuffer */
};

struct se_cursor {
	uint32_t serial;
	uint16_t width, height; /* 0 x 0: hidden */
	uint16_t hot_x, hot_y;
	const uint8_t *rgba; /* width * height * 4, straight alpha; valid until the next call on the source */
};

struct se_source_vtable {
	/* Frees everything, closes the connection. */
	void (*destroy)(struct se_source *self);
	/* A descriptor that is readable when poll has something to say, or -1. */
	int (*fd)(struct se_source *self);
	/* Handles what is pending without blocking, adds damaged rectangles to *damage; SE_SOURCE_* bits. */
	int (*poll)(struct se_source *self, struct se_region *damage);
	/* Current size in pixels. */
	void (*size)(struct se_source *self, int *width, int *height);
	/* Makes the rows [y0, y1) of the framebuffer current, at least as of the last poll, and describes the whole of it; other
	 * rows may be stale. */
	int (*grab)(struct se_source *self, int y0, int y1, struct se_image *out);
	/* What grab described is not looked at any more: a source that stood still for it goes on. NULL if none ever does. */
	void (*let_go)(struct se_source *self);
	/* The newest cursor image; returns 0 when the source has no cursor, else 1. */
	int (*cursor)(struct se_source *self, struct se_cursor *out);
	/* 1 if a verification scan can find what damage does not report (X11), 0 if damage is exact. NULL if it always is. */
	int (*wants_scan)(struct se_source *self);
	/* What poll will report, as far as that is known without asking a server. NULL if poll asks nobody. */
	int (*glimpse)(struct se_source *self);
	/* The next grab is for a scan: it must show what damage did not report. NULL if any grab does. */
	void (*distrust)(struct se_source *self);
	/* Nobody will grab for long: memory that the next grab fills anyhow may go. NULL if there is none. */
	void (*release)(struct se_source *self);
};

struct se_source {
	const struct se_source_vtable *vtable;
};

#endif
