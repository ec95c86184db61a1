/* motion_cells.c - a candidate verified: the area as a grid of cells, and the rectangles of it that are worth a move.
 *
 * A cell that does not equal its source is bad, the others carry how many pixels a move would save. The rectangle of good cells
 * that saves most is what becomes a move.
 */
#include "motion_private.h"

#include <string.h>

#include "pixel.h"

#define CELL SE_MOTION_TILE
#define LANES SE_MOTION_LANES
#define SAMPLED 4 /* one row in so many tells whether a cell has changed */

enum { BAD, SAME, MOVED }; /* of a cell: differs from its source; equals it but also what was there; equals it and is new */

static int columns_of(struct se_rect area)
{
	return (area.w + CELL - 1) / CELL;
}

static int rows_of(struct se_rect area)
{
	return (area.h + CELL - 1) / CELL;
}

size_t se_motion_cells(struct se_rect area)
{
	return (size_t)(columns_of(area) + 1) * (size_t)(rows_of(area) + 1);
}

static bool contains(struct se_rect outer, struct se_rect inner)
{
	return inner.x >= outer.x && inner.y >= outer.y && inner.x + inner.w <= outer.x + outer.w &&
	       inner.y + inner.h <= outer.y + outer.h;
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

	return contains(view->area, rect) && contains(view->area, source) &&
	       !(view->barred && se_region_intersects(view->barred, source)) && !taken(rect, moves, count);
}

static struct se_rect cell_rect(struct se_rect area, int column, int row)
{
	struct se_rect cell = { column * CELL, row * CELL, CELL, CELL };

	cell.w = area.w - cell.x < CELL ? area.w - cell.x : CELL;
	cell.h = area.h - cell.y < CELL ? area.h - cell.y : CELL;
	cell.x += area.x;
	cell.y += area.y;
	return cell;
}

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

/* The cells of one row: states of columns [left, right), whose sources are in the area, from one pass over their pixels. */
static void examine_row(struct se_motion *self, const struct se_motion_view *view, struct se_motion_vector by, int row,
                        int left, int right, uint8_t *states)
{
	void (*gather)(uint32_t *, const uint8_t *, const uint8_t *, int) = gather_portable;
	struct se_rect area = view->area;
	int top = area.y + row * CELL, bottom = top + CELL < area.y + area.h ? top + CELL : area.y + area.h;
	int x = area.x + left * CELL, end = right * CELL < area.w ? right * CELL : area.w, count = end - left * CELL;
	uint32_t *moved = self->differences, *changed = moved + (size_t)(right - left) * LANES;

#if HAVE_AVX2_KERNEL
	if (se_motion_use_avx2())
		gather = gather_avx2;
#endif
	memset(moved, 0, (size_t)(right - left) * LANES * 2 * sizeof *moved);
	for (int y = top; y < bottom; y++) {
		const uint8_t *after = se_motion_after(view, x, y);

		gather(moved, after, se_motion_before(view, x - by.dx, y - by.dy), count);
		/* What a move saves may be an estimate. */
		if ((y - top) % SAMPLED == SAMPLED / 2)
			gather(changed, after, se_motion_before(view, x, y), count);
	}
	for (int column = left; column < right; column++, moved += LANES, changed += LANES)
		if (states[column] == SAME)
			states[column] = differs(moved) ? BAD : differs(changed) ? MOVED : SAME;
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
		int32_t sum = 0;

		here[0] = 0;
		for (int column = 0; column < columns; column++) {
			if (states[column] == MOVED)
				sum += (int32_t)se_rect_area(cell_rect(area, column, row));
			here[column + 1] = above[column + 1] + sum;
		}
	}
	return sums[(size_t)rows * (size_t)(columns + 1) + (size_t)columns];
}

int64_t se_motion_examine(struct se_motion *self, const struct se_motion_view *view, struct se_motion_vector by,
                          const struct se_move *moves, int count)
{
	struct se_rect area = view->area, inside = { area.x + by.dx, area.y + by.dy, area.w, area.h };
	int columns = columns_of(area), rows = rows_of(area);
	bool simple = count == 0 && !(view->barred && !se_region_empty(view->barred));

	inside = se_rect_intersect(inside, area); /* where the source is in the area */
	for (int row = 0; row < rows; row++) {
		uint8_t *states = self->states + (size_t)row * (size_t)columns;
		int left = columns, right = 0; /* of the cells that may move */

		for (int column = 0; column < columns; column++) {
			struct se_rect cell = cell_rect(area, column, row);

			states[column] = contains(inside, cell) && (simple || se_motion_allowed(view, cell, by, moves, count)) ? SAME : BAD;
			if (states[column] == BAD)
				continue;
			left = column < left ? column : left;
			right = column + 1;
		}
		if (left < right)
			examine_row(self, view, by, row, left, right, states);
	}
	return sum_up(self, area);
}

void se_motion_strike(struct se_motion *self, struct se_rect area, struct se_rect rect)
{
	int columns = columns_of(area);

	for (int row = (rect.y - area.y) / CELL; row * CELL < rect.y + rect.h - area.y; row++)
		for (int column = (rect.x - area.x) / CELL; column * CELL < rect.x + rect.w - area.x; column++)
			self->states[(size_t)row * (size_t)columns + (size_t)column] = BAD;
	sum_up(self, area);
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
	struct se_rect rect;

	while (weigh(self, columns, best.left, best.top, best.right, best.top + 1) == 0)
		best.top++;
	while (weigh(self, columns, best.left, best.bottom - 1, best.right, best.bottom) == 0)
		best.bottom--;
	while (weigh(self, columns, best.left, best.top, best.left + 1, best.bottom) == 0)
		best.left++;
	while (weigh(self, columns, best.right - 1, best.top, best.right, best.bottom) == 0)
		best.right--;
	rect = (struct se_rect){ area.x + best.left * CELL, area.y + best.top * CELL, (best.right - best.left) * CELL,
		                     (best.bottom - best.top) * CELL };
	return se_rect_intersect(rect, area);
}

int64_t se_motion_largest(struct se_motion *self, struct se_rect area, struct se_rect *out)
{
	struct best best = find_largest(self, area);

	if (best.weight > 0)
		*out = trim(self, area, best);
	return best.weight;
}
