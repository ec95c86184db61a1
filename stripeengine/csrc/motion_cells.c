/* motion_cells.c - a candidate verified: the area as a grid of cells, and the rectangles of it that are worth a move.
 *
 * Cells are where the tiles of the picture are (tiles.h), cut at the edges of the area, so that what is learnt of them serves the caller.
 * A cell that does not equal its source is bad, the others carry how many pixels a move would save. The rectangle of good cells
 * that saves most is what becomes a move.
 */
#include "motion_private.h"

#include <string.h>

#include "pixel.h"

#define CELL SE_MOTION_TILE
#define LANES SE_MOTION_LANES
#define SAMPLED 4 /* one row in so many tells most cells that have changed */

enum { BAD, SAME, MOVED }; /* of a cell: differs from its source; equals it but also what was there; equals it and is new */

static int columns_of(struct se_rect area)
{
	return (area.x + area.w + CELL - 1) / CELL - area.x / CELL;
}

static int rows_of(struct se_rect area)
{
	return (area.y + area.h + CELL - 1) / CELL - area.y / CELL;
}

size_t se_motion_cells(struct se_rect area)
{
	return (size_t)(columns_of(area) + 1) * (size_t)(rows_of(area) + 1);
}

static bool taken(struct se_rect rect, const struct se_move *moves, int count)
{
	for (int i = 0; i < count; i++)
		if (!se_rect_empty(se_rect_intersect(rect, moves[i].rect)))
			return true;
	return false;
}

bool se_motion_allowed(const struct se_motion_view *view, struct se_rect rect, struct se_motion_vector by,
                       const struct se_move *moves, int count)
{
	struct se_rect source = { rect.x - by.dx, rect.y - by.dy, rect.w, rect.h };

	return se_rect_holds(view->area, rect) && se_rect_holds(view->area, source) &&
	       !(view->barred && se_region_intersects(view->barred, source)) &&
	       !(view->kept && se_region_intersects(view->kept, rect)) && !taken(rect, moves, count);
}

/* Cells [left, right) x [top, bottom) without what is outside of the area. */
static struct se_rect cells_rect(struct se_rect area, int left, int top, int right, int bottom)
{
	int x = area.x / CELL + left, y = area.y / CELL + top;

	return se_rect_intersect((struct se_rect){ x * CELL, y * CELL, (right - left) * CELL, (bottom - top) * CELL }, area);
}

/* How wide (or high) cell `index` of an area that begins at `start` is. */
static int extent(int start, int length, int index)
{
	int from = (start / CELL + index) * CELL, to = from + CELL;

	return (to < start + length ? to : start + length) - (from > start ? from : start);
}

static struct se_rect cell_rect(struct se_rect area, int column, int row)
{
	return cells_rect(area, column, row, column + 1, row + 1);
}

typedef void gather_fn(uint32_t *found, const uint8_t *a, const uint8_t *b, int count);

/* Gathers how `count` pixels differ: the bits of each cell's pixels in LANES numbers. X bytes are in it. */
static ALWAYS_INLINE void gather_body(uint32_t *restrict found, const uint8_t *a, const uint8_t *b, int count)
{
	for (; count >= CELL; count -= CELL, a += CELL * 4, b += CELL * 4, found += LANES) {
		uint32_t pa[CELL], pb[CELL];

		memcpy(pa, a, sizeof pa);
		memcpy(pb, b, sizeof pb);
		for (int lane = 0; lane < LANES; lane++)
			found[lane] |= (pa[lane] ^ pb[lane]) | (pa[lane + LANES] ^ pb[lane + LANES]);
	}
	for (int i = 0; i < count; i++) {
		uint32_t pa, pb;

		memcpy(&pa, a + i * 4, 4);
		memcpy(&pb, b + i * 4, 4);
		found[0] |= pa ^ pb;
	}
}

static void gather_portable(uint32_t *found, const uint8_t *a, const uint8_t *b, int count)
{
	gather_body(found, a, b, count);
}

#if HAVE_AVX2_KERNEL
__attribute__((target("avx2"))) static void gather_avx2(uint32_t *found, const uint8_t *a, const uint8_t *b, int count)
{
	for (; count >= CELL; count -= CELL, a += CELL * 4, b += CELL * 4, found += LANES) {
		__m256i left = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)a), _mm256_loadu_si256((const __m256i *)b));
		__m256i right = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + 32)),
		                                 _mm256_loadu_si256((const __m256i *)(b + 32)));
		__m256i sum = _mm256_or_si256(_mm256_loadu_si256((const __m256i *)found), _mm256_or_si256(left, right));

		_mm256_storeu_si256((__m256i *)found, sum);
	}
	gather_body(found, a, b, count);
}
#endif

static bool differs(const uint32_t found[LANES])
{
	uint32_t sum = 0;

	for (int lane = 0; lane < LANES; lane++)
		sum |= found[lane];
	return (sum & COLOUR_MASK) != 0;
}

/* Adds how two rows of pixels that begin at `x` differ to the cells they touch. */
static void gather_row(gather_fn *gather, uint32_t *found, const uint8_t *a, const uint8_t *b, int x, int count)
{
	int cut = (CELL - x % CELL) % CELL; /* pixels of a first cell that is not whole */

	if (cut > count)
		cut = count;
	if (cut > 0) {
		gather_body(found, a, b, cut);
		found += LANES;
	}
	gather(found, a + (size_t)cut * 4, b + (size_t)cut * 4, count - cut);
}

/* Compares the cells of `strip` that seem unchanged in the rows that were left out: hardly any are where something has moved. */
static void complete(gather_fn *gather, const struct se_motion_view *view, struct se_rect strip, uint32_t *changed)
{
	int columns = columns_of(strip);

	for (int column = 0; column < columns; column++) {
		int end = column;
		struct se_rect run;

		while (end < columns && !differs(changed + (size_t)end * LANES))
			end++;
		if (end == column)
			continue;
		run = cells_rect(strip, column, 0, end, 1);
		for (int y = run.y; y < run.y + run.h; y++)
			if ((y - run.y) % SAMPLED != SAMPLED / 2)
				gather_row(gather, changed + (size_t)column * LANES, se_motion_after(view, run.x, y),
				           se_motion_before(view, run.x, y), run.x, run.w);
		column = end;
	}
}

/* The cells of one row: states of columns [left, right), whose sources are in the area, from one pass over their pixels. */
static void examine_row(struct se_motion *self, const struct se_motion_view *view, struct se_motion_vector by, int row,
                        int left, int right, uint8_t *states)
{
	gather_fn *gather = gather_portable;
	struct se_rect strip = cells_rect(view->area, left, row, right, row + 1);
	uint32_t *moved = self->differences, *changed = moved + (size_t)(right - left) * LANES;

#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2())
		gather = gather_avx2;
#endif
	memset(moved, 0, (size_t)(right - left) * LANES * 2 * sizeof *moved);
	for (int y = strip.y; y < strip.y + strip.h; y++) {
		const uint8_t *after = se_motion_after(view, strip.x, y);

		gather_row(gather, moved, after, se_motion_before(view, strip.x - by.dx, y - by.dy), strip.x, strip.w);
		if ((y - strip.y) % SAMPLED == SAMPLED / 2)
			gather_row(gather, changed, after, se_motion_before(view, strip.x, y), strip.x, strip.w);
	}
	complete(gather, view, strip, changed);
	for (int column = left; column < right; column++, moved += LANES, changed += LANES) {
		bool same = !differs(changed);

		if (same)
			self->same[(size_t)row * (size_t)columns_of(view->area) + (size_t)column] = 1;
		if (states[column] == SAME)
			states[column] = differs(moved) ? BAD : same ? SAME : MOVED;
	}
}

/* Sums up the weights of the cells as their states are now. */
static int64_t sum_up(struct se_motion *self, struct se_rect area)
{
	int columns = columns_of(area), rows = rows_of(area);
	int32_t *sums = self->weights;

	memset(sums, 0, (size_t)(columns + 1) * sizeof *sums);
	for (int row = 0; row < rows; row++) {
		const uint8_t *states = self->states + (size_t)row * (size_t)columns;
		int32_t *above = sums + (size_t)row * (size_t)(columns + 1), *here = above + columns + 1;
		int32_t sum = 0, height = extent(area.y, area.h, row);

		here[0] = 0;
		for (int column = 0; column < columns; column++) {
			if (states[column] == MOVED)
				sum += extent(area.x, area.w, column) * height;
			here[column + 1] = above[column + 1] + sum;
		}
	}
	return sums[(size_t)rows * (size_t)(columns + 1) + (size_t)columns];
}

/* The cells that lie whole in `inside`, a part of the area, as columns and rows. */
static struct se_rect cells_inside(struct se_rect area, struct se_rect inside)
{
	int left = 0, top = 0, right = columns_of(area), bottom = rows_of(area);

	if (se_rect_empty(inside))
		return (struct se_rect){ 0, 0, 0, 0 };
	if (inside.x > area.x)
		left = (inside.x + CELL - 1) / CELL - area.x / CELL;
	if (inside.y > area.y)
		top = (inside.y + CELL - 1) / CELL - area.y / CELL;
	if (inside.x + inside.w < area.x + area.w)
		right = (inside.x + inside.w) / CELL - area.x / CELL;
	if (inside.y + inside.h < area.y + area.h)
		bottom = (inside.y + inside.h) / CELL - area.y / CELL;
	return (struct se_rect){ left, top, right - left, bottom - top };
}

int64_t se_motion_examine(struct se_motion *self, const struct se_motion_view *view, struct se_motion_vector by,
                          const struct se_move *moves, int count)
{
	struct se_rect area = view->area, inside = { area.x + by.dx, area.y + by.dy, area.w, area.h };
	struct se_rect range = cells_inside(area, se_rect_intersect(inside, area)); /* where the source is in the area */
	int columns = columns_of(area), rows = rows_of(area);
	bool simple = count == 0 && !(view->barred && !se_region_empty(view->barred)) &&
	              !(view->kept && !se_region_empty(view->kept));

	memset(self->states, BAD, (size_t)columns * (size_t)rows);
	if (se_rect_empty(range))
		return sum_up(self, area);
	for (int row = range.y; row < range.y + range.h; row++) {
		uint8_t *states = self->states + (size_t)row * (size_t)columns;

		for (int column = range.x; column < range.x + range.w; column++)
			if (simple || se_motion_allowed(view, cell_rect(area, column, row), by, moves, count))
				states[column] = SAME;
		examine_row(self, view, by, row, range.x, range.x + range.w, states);
	}
	return sum_up(self, area);
}

void se_motion_strike(struct se_motion *self, struct se_rect area, struct se_rect rect)
{
	int columns = columns_of(area), left = area.x / CELL, top = area.y / CELL;

	for (int row = rect.y / CELL; row * CELL < rect.y + rect.h; row++)
		for (int column = rect.x / CELL; column * CELL < rect.x + rect.w; column++)
			self->states[(size_t)(row - top) * (size_t)columns + (size_t)(column - left)] = BAD;
	sum_up(self, area);
}

void se_motion_begin(struct se_motion *self, struct se_rect area)
{
	self->area = area;
	memset(self->same, 0, (size_t)columns_of(area) * (size_t)rows_of(area));
}

bool se_motion_unchanged(const struct se_motion *self, struct se_rect tile)
{
	struct se_rect area = self->area;

	if (!se_rect_holds(area, tile) || tile.x / CELL != (tile.x + tile.w - 1) / CELL || tile.y / CELL != (tile.y + tile.h - 1) / CELL)
		return false;
	return self->same[(size_t)(tile.y / CELL - area.y / CELL) * (size_t)columns_of(area) + (size_t)(tile.x / CELL - area.x / CELL)];
}

/* Weight of cells [left, right) x [top, bottom). */
static int32_t weigh(const struct se_motion *self, int columns, int left, int top, int right, int bottom)
{
	const int32_t *upper = self->weights + (size_t)top * (size_t)(columns + 1);
	const int32_t *lower = self->weights + (size_t)bottom * (size_t)(columns + 1);

	return lower[right] - lower[left] - upper[right] + upper[left];
}

struct best {
	int left, top, right, bottom; /* cells */
	int32_t weight;
};

/* Largest rectangle under a histogram, by weight: for each row the heights of good cells above it, a stack of rising ones. */
static struct best find_largest(struct se_motion *self, struct se_rect area)
{
	int columns = columns_of(area), rows = rows_of(area);
	struct best best = { 0 };

	memset(self->heights, 0, (size_t)(columns + 1) * sizeof *self->heights);
	for (int row = 0; row < rows; row++) {
		const uint8_t *states = self->states + (size_t)row * (size_t)columns;
		int depth = 0;

		for (int column = 0; column < columns; column++)
			self->heights[column] = states[column] == BAD ? 0 : self->heights[column] + 1;
		for (int column = 0; column <= columns; column++) { /* heights[columns] is 0 and ends all */
			while (depth > 0 && self->heights[self->stack[depth - 1]] >= self->heights[column]) {
				int height = self->heights[self->stack[--depth]];
				int left = depth > 0 ? self->stack[depth - 1] + 1 : 0;
				int32_t weight = weigh(self, columns, left, row + 1 - height, column, row + 1);

				if (weight > best.weight)
					best = (struct best){ left, row + 1 - height, column, row + 1, weight };
			}
			self->stack[depth++] = column;
		}
	}
	return best;
}

/* Without the rows and columns of cells at its edge that save nothing. */
static struct se_rect trim(const struct se_motion *self, struct se_rect area, struct best best)
{
	int columns = columns_of(area);

	while (weigh(self, columns, best.left, best.top, best.right, best.top + 1) == 0)
		best.top++;
	while (weigh(self, columns, best.left, best.bottom - 1, best.right, best.bottom) == 0)
		best.bottom--;
	while (weigh(self, columns, best.left, best.top, best.left + 1, best.bottom) == 0)
		best.left++;
	while (weigh(self, columns, best.right - 1, best.top, best.right, best.bottom) == 0)
		best.right--;
	return cells_rect(area, best.left, best.top, best.right, best.bottom);
}

int64_t se_motion_largest(struct se_motion *self, struct se_rect area, struct se_rect *out)
{
	struct best best = find_largest(self, area);

	if (best.weight > 0)
		*out = trim(self, area, best);
	return best.weight;
}
