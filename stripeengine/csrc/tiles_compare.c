/* tiles_compare.c - which pixels of each tile differ between what viewers have and what they should have. */
#include <string.h>

#include "motion_private.h"
#include "pixel.h"
#include "tiles_private.h"

/* Gathers how one row of `count` tiles, the last of `last` pixels, differs: X bytes are in it. Sets `rows[i]` to nonzero where
 * tile i differs in colour. */
typedef void compare_fn(const uint8_t *a, const uint8_t *b, int count, uint32_t (*columns)[SE_TILE], uint32_t *rows);

static void compare_part(const uint8_t *a, const uint8_t *b, int width, uint32_t columns[SE_TILE], uint32_t *row)
{
	uint32_t any = 0;

	for (int i = 0; i < width; i++) {
		uint32_t pa, pb;

		memcpy(&pa, a + i * 4, 4);
		memcpy(&pb, b + i * 4, 4);
		columns[i] |= pa ^ pb;
		any |= pa ^ pb;
	}
	*row = any & COLOUR_MASK;
}

static void compare_portable(const uint8_t *a, const uint8_t *b, int count, uint32_t (*columns)[SE_TILE], uint32_t *rows)
{
	for (int i = 0; i < count; i++, a += SE_TILE * 4, b += SE_TILE * 4) {
		uint32_t pa[SE_TILE], pb[SE_TILE], any = 0;

		memcpy(pa, a, sizeof pa);
		memcpy(pb, b, sizeof pb);
		for (int j = 0; j < SE_TILE; j++) {
			columns[i][j] |= pa[j] ^ pb[j];
			any |= pa[j] ^ pb[j];
		}
		rows[i] = any & COLOUR_MASK;
	}
}

#if HAVE_AVX2_KERNEL
__attribute__((target("avx2"))) static void compare_avx2(const uint8_t *a, const uint8_t *b, int count,
                                                         uint32_t (*columns)[SE_TILE], uint32_t *rows)
{
	const __m256i colour = _mm256_set1_epi32((int)COLOUR_MASK);

	for (int i = 0; i < count; i++, a += SE_TILE * 4, b += SE_TILE * 4) {
		__m256i left = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)a), _mm256_loadu_si256((const __m256i *)b));
		__m256i right = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + 32)),
		                                 _mm256_loadu_si256((const __m256i *)(b + 32)));
		__m256i *sums = (__m256i *)columns[i];

		rows[i] = !_mm256_testz_si256(_mm256_or_si256(left, right), colour);
		if (!rows[i])
			continue;
		_mm256_storeu_si256(sums, _mm256_or_si256(_mm256_loadu_si256(sums), left));
		_mm256_storeu_si256(sums + 1, _mm256_or_si256(_mm256_loadu_si256(sums + 1), right));
	}
}
#endif

static compare_fn *choose_compare(void)
{
#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2())
		return compare_avx2;
#endif
	return compare_portable;
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
	while ((columns[x0] & COLOUR_MASK) == 0)
		x0++;
	while ((columns[x1 - 1] & COLOUR_MASK) == 0)
		x1--;
	tile->changed_us = now;
	se_tile_set_dirty(self, tile, rect, x0, found->first[index], x1, found->end[index]);
}

/* Compares `count` (at most STRETCH) tiles of a row, beginning at `column`. */
static void compare_stretch(struct se_tiles *self, int column, int row, int count, const struct se_picture *shown,
                            const struct se_picture *wanted, uint64_t now)
{
	struct se_rect last = se_tile_rect(self, column + count - 1, row);
	int x = column * SE_TILE, y = row * SE_TILE, whole = last.w == SE_TILE ? count : count - 1;
	compare_fn *compare = choose_compare();
	struct differences found;
	uint32_t rows[STRETCH];

	memset(found.columns, 0, (size_t)count * sizeof found.columns[0]);
	for (int i = 0; i < count; i++)
		found.first[i] = -1;
	for (int line = 0; line < last.h; line++) {
		const uint8_t *a = se_picture_at(shown, x, y + line), *b = se_picture_at(wanted, x, y + line);

		compare(a, b, whole, found.columns, rows);
		if (whole < count)
			compare_part(a + (size_t)whole * SE_TILE * 4, b + (size_t)whole * SE_TILE * 4, last.w, found.columns[whole], rows + whole);
		for (int i = 0; i < count; i++) {
			if (!rows[i])
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
