/* tiles_compare.c - which pixels of each tile differ between what viewers have and what they should have. */
#include <string.h>

#include "motion.h"
#include "tiles_private.h"

/* Differences of one row in colour, each pixel's gathered in `columns`. */
static uint32_t compare_row(const uint8_t *a, const uint8_t *b, int count, uint32_t columns[SE_TILE])
{
	static const uint8_t mask_bytes[4] = { 255, 255, 255, 0 };
	uint32_t pixels_a[SE_TILE], pixels_b[SE_TILE], mask, any = 0;

	memcpy(&mask, mask_bytes, 4);
	if (count == SE_TILE) { /* a constant count lets the compiler use vectors */
		memcpy(pixels_a, a, sizeof pixels_a);
		memcpy(pixels_b, b, sizeof pixels_b);
		for (int i = 0; i < SE_TILE; i++) {
			uint32_t difference = (pixels_a[i] ^ pixels_b[i]) & mask;

			columns[i] |= difference;
			any |= difference;
		}
		return any;
	}
	for (int i = 0; i < count; i++) {
		memcpy(pixels_a, a + i * 4, 4);
		memcpy(pixels_b, b + i * 4, 4);
		columns[i] |= (pixels_a[0] ^ pixels_b[0]) & mask;
		any |= (pixels_a[0] ^ pixels_b[0]) & mask;
	}
	return any;
}

#define STRETCH 64 /* tiles compared side by side, row by row: 4 kB of a row, for memory's sake */

/* What differs of neighbouring tiles. */
struct differences {
	uint32_t columns[STRETCH][SE_TILE]; /* gathered over the rows */
	int first[STRETCH], end[STRETCH];   /* rows; first is -1 while there is none */
};

/* Notes what has been found of one tile. */
static void note_differences(struct se_tiles *self, struct se_tile *tile, struct se_rect rect,
                             const struct differences *found, int index, uint64_t now)
{
	const uint32_t *columns = found->columns[index];
	int x0 = 0, x1 = rect.w;

	if (found->first[index] < 0) {
		se_tile_set_clean(self, tile);
		return;
	}
	while (columns[x0] == 0)
		x0++;
	while (columns[x1 - 1] == 0)
		x1--;
	tile->changed_us = now;
	se_tile_set_dirty(self, tile, rect, x0, found->first[index], x1, found->end[index]);
}

/* Compares `count` (at most STRETCH) tiles of a row, beginning at `column`. */
static void compare_stretch(struct se_tiles *self, int column, int row, int count, const struct se_picture *shown,
                            const struct se_picture *wanted, uint64_t now)
{
	struct se_rect last = se_tile_rect(self, column + count - 1, row);
	int x = column * SE_TILE, y = row * SE_TILE;
	struct differences found;

	memset(found.columns, 0, (size_t)count * sizeof found.columns[0]);
	for (int i = 0; i < count; i++)
		found.first[i] = -1;
	for (int line = 0; line < last.h; line++) {
		const uint8_t *a = se_picture_at(shown, x, y + line), *b = se_picture_at(wanted, x, y + line);

		for (int i = 0; i < count; i++, a += SE_TILE * 4, b += SE_TILE * 4) {
			if (!compare_row(a, b, i < count - 1 ? SE_TILE : last.w, found.columns[i]))
				continue;
			found.first[i] = found.first[i] < 0 ? line : found.first[i];
			found.end[i] = line + 1;
		}
	}
	for (int i = 0; i < count; i++)
		note_differences(self, se_tile_at(self, column + i, row), se_tile_rect(self, column + i, row), &found, i, now);
}

static bool any_holds(const struct se_rect *rects, int count, struct se_rect rect)
{
	for (int i = 0; i < count; i++)
		if (se_rect_holds(rects[i], rect))
			return true;
	return false;
}

/* True if that tile has to be looked at; what is known of it is noted. */
static bool needs_a_look(struct se_tiles *self, int column, int row, const struct se_tiles_known *known, uint64_t now)
{
	struct se_rect rect = se_tile_rect(self, column, row);
	struct se_tile *tile = se_tile_at(self, column, row);

	if (any_holds(known->rects, known->count, rect))
		return false;
	if (tile->state == SE_TILE_UNKNOWN) {
		tile->changed_us = now;
		se_tile_set_dirty(self, tile, rect, 0, 0, rect.w, rect.h);
		return false;
	}
	if (!known->motion || !se_motion_unchanged(known->motion, rect))
		return true;
	se_tile_set_clean(self, tile);
	return false;
}

void se_tiles_compare(struct se_tiles *self, const struct se_picture *shown, const struct se_picture *wanted,
                      struct se_rect rect, const struct se_tiles_known *known, uint64_t now)
{
	struct se_rect range = se_tiles_touched(rect);

	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x, count = 0; column <= range.x + range.w; column++) {
			bool look = column < range.x + range.w && needs_a_look(self, column, row, known, now);

			if (count > 0 && (!look || count == STRETCH)) {
				compare_stretch(self, column - count, row, count, shown, wanted, now);
				count = 0;
			}
			count += look;
		}
}
