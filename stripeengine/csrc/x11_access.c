/* x11_access.c - direct access to an X source, for tools and tests; decl_x11.h has the contract.
 *
 * The same calls the engine makes, from whichever thread owns the source while no engine does.
 */
#include <string.h>

#include "error.h"
#include "region.h"
#include "source.h"

int se_x11_source_poll(struct se_source *source, struct se_rect *rects, size_t capacity, size_t *count)
{
	struct se_region damage;
	int bits;

	se_region_clear(&damage);
	*count = 0;
	bits = source->vtable->poll(source, &damage);
	source->vtable->let_go(source);
	if (bits < 0)
		return bits;
	if ((size_t)damage.count > capacity)
		return se_error_set(SE_E_INVALID, "%d damaged rectangles, room is for %zu", damage.count, capacity);
	memcpy(rects, damage.rects, (size_t)damage.count * sizeof *rects);
	*count = (size_t)damage.count;
	return bits;
}

int se_x11_source_fd(struct se_source *source)
{
	return source->vtable->fd(source);
}

void se_x11_source_size(struct se_source *source, int *width, int *height)
{
	source->vtable->size(source, width, height);
}

int se_x11_source_read(struct se_source *source, int y0, int y1, uint8_t *out, size_t size)
{
	struct se_image image;
	size_t row;
	int code = source->vtable->grab(source, y0, y1, &image);

	source->vtable->distrust(source); /* so that the next one, without a poll before it, is of a later moment */
	row = code < 0 ? 0 : (size_t)image.width * 4;
	if (code == SE_OK && size != row * (size_t)(y1 - y0))
		code = se_error_set(SE_E_INVALID, "rows %d to %d have %zu bytes, not %zu", y0, y1, row * (size_t)(y1 - y0), size);
	for (int y = y0; y < y1 && code == SE_OK; y++, out += row)
		memcpy(out, image.pixels + (size_t)y * image.stride, row);
	source->vtable->let_go(source);
	return code;
}

int se_x11_source_cursor(struct se_source *source, uint32_t *info, uint8_t *rgba, size_t size)
{
	struct se_cursor cursor;
	size_t bytes;
	int code = source->vtable->cursor(source, &cursor);

	if (code < 0)
		return code;
	bytes = (size_t)cursor.width * cursor.height * 4;
	if (bytes > size)
		return se_error_set(SE_E_INVALID, "the pointer image has %zu bytes, room is for %zu", bytes, size);
	if (bytes > 0)
		memcpy(rgba, cursor.rgba, bytes);
	info[0] = cursor.serial;
	info[1] = cursor.width;
	info[2] = cursor.height;
	info[3] = cursor.hot_x;
	info[4] = cursor.hot_y;
	return code;
}
