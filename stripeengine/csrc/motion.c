/* motion.c - from candidates to moves: rectangles that match exactly, in an order in which they are safe. */
#include "motion_private.h"

#include <stdlib.h>
#include <string.h>

#include "damage.h"
#include "error.h"

#define GROWTH (SE_MOTION_TILE - 1) /* lines by which a rectangle grows on each side: what the grid has cut off */
#define SHARE 16          /* a further rectangle of a candidate saves at least that part of all it could */
#define VAIN_MOST 4       /* searches in vain, after which only one in RETRY goes beyond rows */
#define RETRY 4
#define WITNESSES 8      /* probes; so many tell how much of the change a candidate explains */
#define WORTH 8          /* where none explains much, those are examined that explain one part in so many */
#define CANDIDATES (2 * SE_MOTION_CANDIDATES + 2) /* a guess, rows, columns, tiles */

enum { TOP, BOTTOM, LEFT, RIGHT }; /* sides */

struct candidate {
	struct se_motion_vector by;
	int score;
};

/* What is looked for in one call, and how far that has come. */
struct search {
	struct se_motion *self;
	struct se_motion_view view;
	struct se_motion_probes probes;
	struct candidate candidates[CANDIDATES];
	int candidate_count;
	int best; /* score */
	struct se_move *moves;
	int count;
};

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
	free(self->differences);
	free(self->table);
	free(self->votes);
	self->hashes[0] = self->hashes[1] = NULL;
	self->sums = self->varied = self->differences = NULL;
	self->table = NULL;
	self->votes = NULL;
	self->lines = 0;
}

static void free_cells(struct se_motion *self)
{
	free(self->states);
	free(self->same);
	free(self->weights);
	free(self->heights);
	free(self->stack);
	self->states = self->same = NULL;
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
		self->differences = malloc((count / SE_MOTION_TILE + 2) * 2 * SE_MOTION_LANES * sizeof *self->differences);
		self->table = malloc((4 * count + 64) * sizeof *self->table);
		self->votes = malloc((2 * count + 1) * sizeof *self->votes);
		if (!self->hashes[0] || !self->hashes[1] || !self->sums || !self->varied || !self->differences || !self->table ||
		    !self->votes)
			goto failed;
		self->lines = lines;
	}
	if (cells > self->cells) {
		free_cells(self);
		self->states = malloc(cells);
		self->same = malloc(cells);
		self->weights = malloc(cells * sizeof *self->weights);
		self->heights = malloc(cells * sizeof *self->heights);
		self->stack = malloc(cells * sizeof *self->stack);
		if (!self->states || !self->same || !self->weights || !self->heights || !self->stack)
			goto failed;
		self->cells = cells;
	}
	return SE_OK;
failed:
	free_lines(self);
	free_cells(self);
	return se_error_set(SE_E_NOMEM, "out of memory: motion of %dx%d pixels", area.w, area.h);
}

/* The strip of `extent` rows or columns beyond a side. */
static struct se_rect beyond(struct se_rect rect, int side, int extent)
{
	switch (side) {
	case TOP:
		return (struct se_rect){ rect.x, rect.y - extent, rect.w, extent };
	case BOTTOM:
		return (struct se_rect){ rect.x, rect.y + rect.h, rect.w, extent };
	case LEFT:
		return (struct se_rect){ rect.x - extent, rect.y, extent, rect.h };
	default:
		return (struct se_rect){ rect.x + rect.w, rect.y, extent, rect.h };
	}
}

/* The most pixels, up to GROWTH, that a side may be moved: by all but the pixels themselves. */
static int room(const struct se_motion_view *view, struct se_rect rect, int side, struct se_motion_vector by,
                const struct se_move *moves, int count)
{
	for (int extent = GROWTH; extent > 0; extent--)
		if (se_motion_allowed(view, beyond(rect, side, extent), by, moves, count))
			return extent;
	return 0;
}

static bool row_matches(const struct se_motion_view *view, struct se_rect rect, int y, struct se_motion_vector by)
{
	return se_diff_first(se_motion_after(view, rect.x, y), se_motion_before(view, rect.x - by.dx, y - by.dy), rect.w) == rect.w;
}

/* How many rows, or columns, up to `extent` match beyond a side. */
static int matching(const struct se_motion_view *view, struct se_rect rect, int side, int extent, struct se_motion_vector by)
{
	if (side == TOP || side == BOTTOM) {
		int rows = 0;

		while (rows < extent && row_matches(view, rect, side == TOP ? rect.y - 1 - rows : rect.y + rect.h + rows, by))
			rows++;
		return rows;
	}
	/* Columns all at once, for memory's sake. */
	for (int y = rect.y; y < rect.y + rect.h && extent > 0; y++) {
		int x = side == LEFT ? rect.x - extent : rect.x + rect.w;
		const uint8_t *after = se_motion_after(view, x, y), *source = se_motion_before(view, x - by.dx, y - by.dy);

		extent = side == LEFT ? extent - 1 - se_diff_last(after, source, extent) : se_diff_first(after, source, extent);
	}
	return extent;
}

/* Makes a verified rectangle as large as it may be, to the pixel. */
static struct se_rect grow(const struct se_motion_view *view, struct se_rect rect, struct se_motion_vector by,
                           const struct se_move *moves, int count)
{
	for (int side = TOP; side <= RIGHT; side++) {
		int extent = matching(view, rect, side, room(view, rect, side, by, moves, count), by);

		rect = se_rect_union(rect, beyond(rect, side, extent));
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

/* Adds the moves that a candidate is good for. */
static void add_moves(struct search *search, struct se_motion_vector by)
{
	struct se_motion *self = search->self;
	const struct se_motion_view *view = &search->view;
	int64_t all = se_motion_examine(self, view, by, search->moves, search->count), best;
	int before = search->count;
	struct se_rect rect;

	while (search->count < SE_MOTION_MAX && (best = se_motion_largest(self, view->area, &rect)) >= SE_MOTION_LEAST &&
	       best * SHARE >= all) {
		rect = grow(view, rect, by, search->moves, search->count);
		if (!saves_enough(view, rect))
			break;
		search->moves[search->count++] = (struct se_move){ rect, by.dx, by.dy };
		se_motion_strike(self, view->area, rect);
	}
	if (search->count > before)
		se_motion_remember(self, by);
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

/* Best scores first; of equal ones the earlier. */
static void add_candidate(struct search *search, struct se_motion_vector by)
{
	int score = se_motion_score(&search->view, &search->probes, by, NULL, 0), at = search->candidate_count;

	for (int i = 0; i < search->candidate_count; i++)
		if (search->candidates[i].by.dx == by.dx && search->candidates[i].by.dy == by.dy)
			return;
	for (; at > 0 && search->candidates[at - 1].score < score; at--)
		search->candidates[at] = search->candidates[at - 1];
	search->candidates[at] = (struct candidate){ by, score };
	search->candidate_count++;
	search->best = score > search->best ? score : search->best;
}

static void add_lines(struct search *search, bool horizontal)
{
	struct se_motion_vector found[SE_MOTION_CANDIDATES];
	int count = se_motion_vote(search->self, &search->view, horizontal, found);

	for (int i = 0; i < count; i++)
		add_candidate(search, found[i]);
}

/* What is looked for beyond rows costs most and fails in every video and where pages are turned: after a few in vain it becomes
 * rare until something is found. */
static bool worth_more(struct se_motion *self)
{
	return self->vain < VAIN_MOST || ++self->calls % RETRY == 0;
}

static void add_tiles(struct search *search)
{
	struct se_motion *self = search->self;
	struct se_motion_vector vector;
	bool searched = false;

	if (search->view.area.w < SE_MOTION_TILE || search->view.area.h < SE_MOTION_TILE)
		return;
	if (se_motion_search(&search->view, &vector, &searched))
		add_candidate(search, vector);
	if (searched)
		self->vain++; /* until something is found */
}

/* From what costs little to what costs much, as long as the change is not explained. */
static void gather_candidates(struct search *search)
{
	struct se_motion_vector guess;
	int enough, half;

	se_motion_choose_probes(&search->view, &search->probes);
	if (!se_motion_may_move(&search->view, &search->probes))
		return;
	enough = se_motion_enough(&search->probes);
	half = (enough + 1) / 2;
	if (se_motion_guess(search->self, &search->view, &search->probes, &guess))
		add_candidate(search, guess);
	if (search->best < enough)
		add_lines(search, false);
	if (search->best >= half || !worth_more(search->self))
		return;
	add_lines(search, true);
	if (search->best < half)
		add_tiles(search);
}

static void try_candidates(struct search *search)
{
	int enough = se_motion_enough(&search->probes);
	bool explained = search->best >= enough, doubtful = search->probes.count >= WITNESSES && search->best * 2 < enough;

	for (int i = 0; i < search->candidate_count && search->count < SE_MOTION_MAX; i++) {
		struct se_motion_vector by = search->candidates[i].by;

		/* A page that was turned: by chance a few of its lines are lines of the old one. An examination reads all of both. */
		if (doubtful && search->candidates[i].score * WORTH < search->probes.count)
			break; /* the best come first */
		/* Where one has explained the change, another that explains nothing of the rest is not worth an examination. */
		if (explained && search->count > 0 &&
		    se_motion_score(&search->view, &search->probes, by, search->moves, search->count) == 0)
			continue;
		add_moves(search, by);
	}
	if (search->count > 0)
		search->self->vain = 0;
}

int se_motion_find_beside(struct se_motion *self, const struct se_picture *before, const uint8_t *after, size_t stride,
                          struct se_rect area, const struct se_region *barred, const struct se_region *kept,
                          struct se_move out[SE_MOTION_MAX])
{
	struct search search = { .self = self, .view = { before, after, stride, area, barred, kept }, .moves = out };

	self->area = (struct se_rect){ 0, 0, 0, 0 };
	if (se_rect_area(area) < SE_MOTION_LEAST_AREA)
		return 0;
	if (reserve(self, area) < 0)
		return SE_E_NOMEM;
	se_motion_begin(self, area);
	gather_candidates(&search);
	try_candidates(&search);
	return put_in_order(out, search.count);
}

int se_motion_find(struct se_motion *self, const struct se_picture *before, const uint8_t *after, size_t stride,
                   struct se_rect area, const struct se_region *barred, struct se_move out[SE_MOTION_MAX])
{
	return se_motion_find_beside(self, before, after, stride, area, barred, NULL, out);
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
