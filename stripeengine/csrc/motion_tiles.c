/* motion_tiles.c - candidates for moved windows: distinctive tiles of the new picture, searched in the old one.
 *
 * Each tile has a key, two neighbouring pixels that are rare in it. The search goes outwards from the tile's row, for a window
 * seldom jumps; it ends when several tiles agree on a displacement or when its budget of pixels is spent.
 */
#include "motion_private.h"

#include <stdlib.h>
#include <string.h>

#include "damage.h"
#include "pixel.h"
#include "rowmask.h"

#define COLUMNS 3      /* one tile is chosen in each of 3 x 2 parts of the area */
#define ROWS 2
#define TILES (COLUMNS * ROWS)
#define TRIALS 4       /* places tried in a part, each way */
#define AGREE 3        /* tiles that make a displacement certain enough to be verified at once */
#define BUDGET 2000000 /* pixels compared with keys, all tiles together: about 0.25 ms */
#define HIT_COST 32    /* pixels that a look at a hit is worth */

struct tile {
	int x, y;   /* in the new picture */
	int kx, ky; /* of the key */
	uint32_t first, second;
};

int se_motion_pair_portable(const uint8_t *row, int from, int count, uint32_t first, uint32_t second)
{
	for (int i = from; i < count; i++) {
		uint32_t pair[2];

		memcpy(pair, row + (size_t)i * 4, 8);
		if ((pair[0] & SE_MOTION_COLOUR) == first && (pair[1] & SE_MOTION_COLOUR) == second)
			return i;
	}
	return count;
}

#if HAVE_AVX2_KERNEL
__attribute__((target("avx2"))) static int pair_avx2(const uint8_t *row, int from, int count, uint32_t first,
                                                     uint32_t second)
{
	const __m256i colour = _mm256_set1_epi32((int)SE_MOTION_COLOUR);
	const __m256i a = _mm256_set1_epi32((int)first), b = _mm256_set1_epi32((int)second);
	int i = from;

	for (; i + 8 <= count; i += 8) { /* reads 9 pixels: there is one more than pairs */
		__m256i left = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(row + (size_t)i * 4)), colour);
		__m256i right = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(row + (size_t)i * 4 + 4)), colour);
		__m256i both = _mm256_and_si256(_mm256_cmpeq_epi32(left, a), _mm256_cmpeq_epi32(right, b));
		unsigned bits = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(both));

		if (bits)
			return i + __builtin_ctz(bits);
	}
	return se_motion_pair_portable(row, i, count, first, second);
}
#endif

int se_motion_pair(const uint8_t *row, int from, int count, uint32_t first, uint32_t second)
{
#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2())
		return pair_avx2(row, from, count, first, second);
#endif
	return se_motion_pair_portable(row, from, count, first, second);
}

static bool tile_equal(const struct se_motion_view *view, const struct tile *tile, int dx, int dy)
{
	for (int y = 0; y < SE_MOTION_TILE; y++)
		if (se_diff_first(se_motion_after(view, tile->x, tile->y + y),
		                  se_motion_before(view, tile->x - dx, tile->y + y - dy), SE_MOTION_TILE) < SE_MOTION_TILE)
			return false;
	return true;
}

static bool inside(struct se_rect area, int x, int y)
{
	return x >= area.x && y >= area.y && x + SE_MOTION_TILE <= area.x + area.w && y + SE_MOTION_TILE <= area.y + area.h;
}

static bool tile_moved(const struct se_motion_view *view, const struct tile *tile, int dx, int dy)
{
	return inside(view->area, tile->x - dx, tile->y - dy) && tile_equal(view, tile, dx, dy);
}

/* Steps between neighbouring pixels of different colour; *row is that with most of them. */
static int busyness(const struct se_motion_view *view, int x, int y, int *row)
{
	int sum = 0, most = -1;

	for (int i = 0; i < SE_MOTION_TILE; i++) {
		uint64_t repeats;
		int steps;

		se_rowmask_repeats(se_motion_after(view, x, y + i), SE_MOTION_TILE, true, &repeats);
		steps = SE_MOTION_TILE - __builtin_popcountll(repeats);
		sum += steps;
		if (steps > most) {
			most = steps;
			*row = i;
		}
	}
	return sum;
}

static uint32_t colour_at(const struct se_motion_view *view, int x, int y)
{
	uint32_t pixel;

	memcpy(&pixel, se_motion_after(view, x, y), 4);
	return pixel & SE_MOTION_COLOUR;
}

/* Two different neighbours in that row of the tile, best without the colour of its corner, which is likely the background. */
static void choose_key(const struct se_motion_view *view, struct tile *tile, int row)
{
	uint32_t corner = colour_at(view, tile->x, tile->y);
	int best = -1;

	tile->ky = tile->y + row;
	for (int i = 0; i + 1 < SE_MOTION_TILE; i++) {
		uint32_t first = colour_at(view, tile->x + i, tile->ky), second = colour_at(view, tile->x + i + 1, tile->ky);
		int score = first == second ? 0 : 1 + (first != corner) + (second != corner);

		if (score <= best)
			continue;
		best = score;
		tile->kx = tile->x + i;
		tile->first = first;
		tile->second = second;
	}
}

/* The busiest changed tile among some places of a part of the area; false if none is worth a search. */
static bool choose_tile(const struct se_motion_view *view, struct se_rect part, struct tile *out)
{
	int best = 8; /* fewer steps are a straight edge */
	bool found = false;

	for (int i = 0; i < TRIALS * TRIALS; i++) {
		struct tile tile = { .x = part.x + part.w * (2 * (i % TRIALS) + 1) / (2 * TRIALS) - SE_MOTION_TILE / 2,
			                 .y = part.y + part.h * (2 * (i / TRIALS) + 1) / (2 * TRIALS) - SE_MOTION_TILE / 2 };
		int row = 0, busy;

		if (!inside(view->area, tile.x, tile.y) || tile_equal(view, &tile, 0, 0))
			continue;
		busy = busyness(view, tile.x, tile.y, &row);
		if (busy <= best)
			continue;
		best = busy;
		choose_key(view, &tile, row);
		*out = tile;
		found = true;
	}
	return found;
}

static int choose_tiles(const struct se_motion_view *view, struct tile *tiles)
{
	struct se_rect area = view->area;
	int count = 0;

	for (int i = 0; i < TILES; i++) {
		struct se_rect part = { area.x + area.w * (i % COLUMNS) / COLUMNS, area.y + area.h * (i / COLUMNS) / ROWS,
			                    area.w / COLUMNS, area.h / ROWS };

		if (choose_tile(view, part, &tiles[count]))
			count++;
	}
	return count;
}

/* What the search has found so far. */
struct finding {
	const struct tile *tiles;
	int count;
	struct se_motion_vector vector;
	int agree;
};

/* Looks for the key of a tile in one row of the old picture; returns the pixels that took. */
static int64_t search_row(const struct se_motion_view *view, const struct tile *tile, int y, struct finding *finding)
{
	const uint8_t *row = se_motion_before(view, view->area.x, y);
	int pairs = view->area.w - 1, dy = tile->ky - y;
	int64_t cost = pairs;

	for (int x = 0; (x = se_motion_pair(row, x, pairs, tile->first, tile->second)) < pairs; x++) {
		int dx = tile->kx - (view->area.x + x), agree = 0;

		cost += HIT_COST;
		if ((dx == 0 && dy == 0) || !tile_moved(view, tile, dx, dy))
			continue;
		for (int i = 0; i < finding->count; i++)
			agree += tile_moved(view, &finding->tiles[i], dx, dy);
		if (agree > finding->agree) {
			finding->agree = agree;
			finding->vector = (struct se_motion_vector){ dx, dy };
		}
	}
	return cost;
}

bool se_motion_search(const struct se_motion_view *view, struct se_motion_vector *out, bool *searched)
{
	struct tile tiles[TILES];
	struct finding finding = { tiles, choose_tiles(view, tiles), { 0, 0 }, 0 };
	int64_t spent = 0;
	int top = view->area.y, bottom = view->area.y + view->area.h, wanted = finding.count < AGREE ? finding.count : AGREE;

	/* One displacement is as likely in all tiles: they take turns. */
	for (int distance = 0; distance < view->area.h && spent < BUDGET && finding.agree < wanted; distance++) {
		for (int i = 0; i < finding.count && finding.agree < wanted; i++) {
			int above = tiles[i].ky - distance, below = tiles[i].ky + distance;

			if (above >= top)
				spent += search_row(view, &tiles[i], above, &finding);
			if (distance > 0 && below < bottom)
				spent += search_row(view, &tiles[i], below, &finding);
		}
	}
	*out = finding.vector;
	*searched = finding.count > 0;
	return finding.agree > 0;
}
