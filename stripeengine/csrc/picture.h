/* picture.h - a BGRX image in memory. Owned by one thread at a time; rows may be worked on side by side. */
#ifndef SE_PICTURE_H
#define SE_PICTURE_H

#include "region.h"

#define SE_PICTURE_MAX 16384 /* of width and of height: the wire's bound */

struct se_picture {
	uint8_t *pixels; /* NULL while empty */
	size_t stride;   /* bytes, a multiple of 64 */
	int width, height;
};

/* Gives the picture another size and makes it black. On failure it is left as it was. */
int se_picture_resize(struct se_picture *self, int width, int height);
void se_picture_free(struct se_picture *self);

static inline struct se_rect se_picture_bounds(const struct se_picture *self)
{
	return (struct se_rect){ 0, 0, self->width, self->height };
}

static inline uint8_t *se_picture_at(const struct se_picture *self, int x, int y)
{
	return self->pixels + (size_t)y * self->stride + (size_t)x * 4;
}

/* Copies `rect` (inside both) from an image of the same layout; `pixels` is that image's top left. */
void se_picture_copy(struct se_picture *self, const uint8_t *pixels, size_t stride, struct se_rect rect);

#endif
