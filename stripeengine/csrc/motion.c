/* motion.c - from candidates to moves: rectangles that match exactly, in an order in which they are safe. */
#include "motion_private.h"

#include <stdlib.h>
#include <string.h>

#include "damage.h"
#include "error.h"

#define GROWTH (SE_MOTION_TILE - 1) /* lines by which a rectangle grows on each side: what the grid has cut off */
#define SHARE 16          /* a further rectangle of a candidate saves at least that part of all it could */
#define VAIN_MOST 4       /* tile searches in vain, after which only one in RETRY is made */
#define RETRY 4

struct se_motion *se_motion_new(void)
{
	struct se_motion *self = calloc(1, sizeof *self);

	if (!self)
		se_error_set(SE_E_NOMEM, "out of memory: a motion finder");
	return self;
}

static void free_lines(struct se_motion *self)
{
	free(self->hashes[0]);
	free(self->hashes[1]);
	free(self->sums);
	free(self->varied);
	free(self->table);
	free(self->votes);
	self->hashes[0] = self->hashes[1] = NULL;
	self->sums = self->varied = NULL;
	self->table = NULL;
	self->votes = NULL;
	self->lines = 0;
}

static void free_cells(struct se_motion *self)
{
	free(self->states);
	free(self->weights);
	free(self->heights);
	free(self->stack);
	self->states = NULL;
	self->weights = self->heights = self->stack = NULL;
	self->cells = 0;
}

void se_motion_free(struct se_motion *self)
{
	if (!self)
		return;
	free_lines(self);
	free_cells(self);
	free(self);
}

/* Room for an area. Areas are inside pictures, so no product overflows. */
static int reserve(struct se_motion *self, struct se_rect area)
{
	int lines = area.w > area.h ? area.w : area.h;
	size_t cells = se_motion_cells(area), count = (size_t)lines;

	if (lines > self->lines) {
		free_lines(self);
		self->hashes[0] = malloc(count * (SE_MOTION_STRIPS + 1) * sizeof *self->hashes[0]);
		self->hashes[1] = malloc(count * (SE_MOTION_STRIPS + 1) * sizeof *self->hashes[1]);
		self->sums = malloc(count * sizeof *self->sums);
		self->varied = malloc(count * sizeof *self->varied);
		self->table = malloc((4 * count + 64) * sizeof *self->table);
		self->votes = malloc((2 * count + 1) * sizeof *self->votes);
		if (!self->hashes[0] || !self->hashes[1] || !self->sums || !self->varied || !self->table || !self->votes)
			goto failed;
		self->lines = lines;
	}
	if (cells > self->cells) {
		free_cells(self);
		self->states = malloc(cells);
		self->weights = malloc(cells * sizeof *self->weights);
		self->heights = malloc(cells * sizeof *self->heights);
		self->stack = malloc(cells * sizeof *self->stack);
		if (!self->states || !self->weights || !self->heights || !self->stack)
			goto failed;
		self->cells = cells;
	}
	return SE_OK;
failed:
	free_lines(self);
	free_cells(self);
	return se_error_set(SE_E_NOMEM, "out of memory: motion of %dx%d pixels", area.w, area.h);
}

static bool matches(const struct se_motion_view *view, struct se_rect rect, struct se_motion_vector by)
{
	for (int y = rect.y; y < rect.y + rect.h; y++)
		if (se_diff_first(se_motion_after(view, rect.x, y), se_motion_before(view, rect.x - by.dx, y - by.dy), rect.w) < rect.w)
			return false;
	return true;
}

static struct se_rect grow(const struct se_motion_view *view, struct se_rect rect, struct se_motion_vector by,
                           const struct se_move *moves, int count)
{
	for (int side = 0; side < 4; side++) {
		for (int i = 0; i < GROWTH; i++) {
			struct se_rect line = rect;

			if (side < 2) {
				line.y = side == 0 ? rect.y - 1 : rect.y + rect.h;
				line.h = 1;
			} else {
				line.x = side == 2 ? rect.x - 1 : rect.x + rect.w;
				line.w = 1;
			}
			if (!se_motion_allowed(view, line, by, moves, count) || !matches(view, line, by))
				break;
			rect = se_rect_union(rect, line);
		}
	}
	return rect;
}

/* True if at least SE_MOTION_LEAST pixels of `rect` have changed. */
static bool saves_enough(const struct se_motion_view *view, struct se_rect rect)
{
	int found = 0;

	for (int y = rect.y; y < rect.y + rect.h; y++)
		for (int x = 0; x < rect.w; x++) {
			x += se_diff_first(se_motion_after(view, rect.x + x, y), se_motion_before(view, rect.x + x, y), rect.w - x);
			if (x < rect.w && ++found == SE_MOTION_LEAST)
				return true;
		}
	return false;
}

/* Adds the moves that a candidate is good for; returns how many there are then. */
static int add_moves(struct se_motion *self, const struct se_motion_view *view, struct se_motion_vector by,
                     struct se_move *moves, int count)
{
	int64_t all, best;
	struct se_rect rect;

	if (count == SE_MOTION_MAX)
		return count;
	all = se_motion_examine(self, view, by, moves, count);
	while (count < SE_MOTION_MAX && (best = se_motion_largest(self, view->area, &rect)) >= SE_MOTION_LEAST &&
	       best * SHARE >= all) {
		rect = grow(view, rect, by, moves, count);
		if (!saves_enough(view, rect))
			break;
		moves[count++] = (struct se_move){ rect, by.dx, by.dy };
		se_motion_strike(self, view->area, rect);
	}
	return count;
}

/* Puts the moves in an order in which none reads what one before it has written. Where they go round in a circle, the smallest
 * of those left is given up. */
static int put_in_order(struct se_move *moves, int count)
{
	for (int done = 0; done < count;) {
		int next = -1, smallest = done;

		for (int i = done; i < count && next < 0; i++) {
			bool safe = true;

			for (int k = done; k < count; k++)
				if (k != i && !se_rect_empty(se_rect_intersect(moves[i].rect, se_move_source(moves[k]))))
					safe = false;
			if (safe)
				next = i;
			if (se_rect_area(moves[i].rect) < se_rect_area(moves[smallest].rect))
				smallest = i;
		}
		if (next < 0) {
			moves[smallest] = moves[--count];
			continue;
		}
		struct se_move move = moves[next];

		moves[next] = moves[done];
		moves[done++] = move;
	}
	return count;
}

static int try_lines(struct se_motion *self, const struct se_motion_view *view, bool horizontal, struct se_move *moves)
{
	struct se_motion_vector candidates[SE_MOTION_CANDIDATES];
	int found = se_motion_vote(self, view, horizontal, candidates), count = 0;

	for (int i = 0; i < found; i++)
		count = add_moves(self, view, candidates[i], moves, count);
	return count;
}

/* Tile searches cost most and fail in every video: after a few in vain they become rare until one succeeds. */
static int try_tiles(struct se_motion *self, const struct se_motion_view *view, struct se_move *moves)
{
	struct se_motion_vector vector;
	bool searched = false;
	int count = 0;

	if (view->area.w < SE_MOTION_TILE || view->area.h < SE_MOTION_TILE)
		return 0;
	if (self->vain >= VAIN_MOST && ++self->calls % RETRY != 0)
		return 0;
	if (se_motion_search(view, &vector, &searched))
		count = add_moves(self, view, vector, moves, 0);
	if (count > 0)
		self->vain = 0;
	else if (searched)
		self->vain++;
	return count;
}

int se_motion_find(struct se_motion *self, const struct se_picture *before, const uint8_t *after, size_t stride,
                   struct se_rect area, const struct se_region *barred, struct se_move out[SE_MOTION_MAX])
{
	struct se_motion_view view = { before, after, stride, area, barred };
	int count;

	if (se_rect_area(area) < SE_MOTION_LEAST_AREA)
		return 0;
	if (reserve(self, area) < 0)
		return SE_E_NOMEM;
	count = try_lines(self, &view, false, out);
	if (count == 0)
		count = try_lines(self, &view, true, out);
	if (count == 0)
		count = try_tiles(self, &view, out);
	return put_in_order(out, count);
}

void se_move_apply(struct se_move move, struct se_picture *picture)
{
	struct se_rect to = move.rect, from = se_move_source(move);

	/* Rows in the direction in which none is overwritten before it was read. */
	for (int i = 0; i < to.h; i++) {
		int row = move.dy > 0 ? to.h - 1 - i : i;

		memmove(se_picture_at(picture, to.x, to.y + row), se_picture_at(picture, from.x, from.y + row), (size_t)to.w * 4);
	}
}
