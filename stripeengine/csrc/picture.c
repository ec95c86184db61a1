/* picture.c - a BGRX image in memory. */
#include "picture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"

#define HUGE_PAGE 2097152u /* bytes */

int se_picture_resize(struct se_picture *self, int width, int height)
{
	size_t stride, size;
	uint8_t *pixels;

	if (width < 1 || height < 1 || width > SE_PICTURE_MAX || height > SE_PICTURE_MAX)
		return se_error_set(SE_E_INVALID, "a picture must be between 1x1 and %dx%d pixels, not %dx%d", SE_PICTURE_MAX,
		                    SE_PICTURE_MAX, width, height);
	stride = ((size_t)width * 4 + 63) & ~(size_t)63;
	size = stride * (size_t)height; /* at most 1 GiB */
	if (size >= HUGE_PAGE)
		size = (size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
	pixels = aligned_alloc(size >= HUGE_PAGE ? HUGE_PAGE : 64, size);
	if (!pixels)
		return se_error_set(SE_E_NOMEM, "out of memory: a picture of %dx%d pixels", width, height);
	/* A picture has thousands of small pages, more than a processor knows by heart; where there are none the small ones do. */
	if (size >= HUGE_PAGE)
		madvise(pixels, size, MADV_HUGEPAGE);
	memset(pixels, 0, size);
	free(self->pixels);
	*self = (struct se_picture){ pixels, stride, width, height };
	return SE_OK;
}

void se_picture_free(struct se_picture *self)
{
	free(self->pixels);
	*self = (struct se_picture){ NULL, 0, 0, 0 };
}

void se_picture_copy(struct se_picture *self, const uint8_t *pixels, size_t stride, struct se_rect rect)
{
	for (int y = rect.y; y < rect.y + rect.h; y++)
		memcpy(se_picture_at(self, rect.x, y), pixels + (size_t)y * stride + (size_t)rect.x * 4, (size_t)rect.w * 4);
}
