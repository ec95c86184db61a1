/* motion_probes.c - a guess what part of a change a candidate explains, and candidates from what has moved before.
 *
 * A probe is a short piece of a row that has changed and is not of one colour. How many probes lie displaced in the old picture is
 * known in microseconds, while an examination reads all of both. What moves goes on moving: a page scrolls by the same
 * distance again, a dragged window by nearly the same.
 */
#include "motion_private.h"

#include "damage.h"
#include "rowmask.h"

#define GRID SE_MOTION_PROBE_GRID
#define WIDTH SE_MOTION_PROBE
#define TRIALS 4      /* rows tried for a probe */
#define TRIAL_PITCH 5 /* not the height of a line of text */
#define LEAST_STEPS 3 /* between neighbours of different colour; fewer are a border, which is the same at other heights */
#define DOUBTED_PIXELS 65536 /* a search of less is cheap */
#define NEAR 4        /* pixels by which a drag gets faster or slower in a frame, either way */
#define NEAR_LINE 24  /* the same of a scroll, along its axis */

/* True if a piece of a row is of more than one colour. */
static bool is_varied(const uint8_t *row)
{
	uint64_t repeats;

	se_rowmask_repeats(row, WIDTH, true, &repeats);
	return WIDTH - __builtin_popcountll(repeats) >= LEAST_STEPS;
}

/* Looks for a probe in the trials from (x, y) on, and whether there is anything that could have moved. */
static void probe(const struct se_motion_view *view, int x, int y, struct se_motion_probes *out)
{
	int end = view->area.y + view->area.h;
	bool found = false, source = false;

	for (int i = 0; i < TRIALS && y < end && !(found && source); i++, y += TRIAL_PITCH) {
		const uint8_t *after = se_motion_after(view, x, y), *before = se_motion_before(view, x, y);

		source = source || is_varied(before);
		if (found || se_diff_first(after, before, WIDTH) == WIDTH || !is_varied(after))
			continue;
		found = true;
		out->x[out->count] = x;
		out->y[out->count++] = y;
	}
	out->sources += source;
}

void se_motion_choose_probes(const struct se_motion_view *view, struct se_motion_probes *out)
{
	struct se_rect area = view->area;

	out->count = out->sources = 0;
	if (area.w < WIDTH)
		return;
	for (int part = 0; part < GRID * GRID; part++) {
		int x = area.x + (int)((int64_t)(area.w - WIDTH) * (2 * (part % GRID) + 1) / (2 * GRID));
		int y = area.y + (int)((int64_t)area.h * (2 * (part / GRID) + 1) / (2 * GRID));

		probe(view, x, y, out);
	}
}

bool se_motion_may_move(const struct se_motion_view *view, const struct se_motion_probes *probes)
{
	return se_rect_area(view->area) < DOUBTED_PIXELS || view->area.w < WIDTH || (probes->count > 0 && probes->sources > 0);
}

static bool inside(struct se_rect area, int x, int y)
{
	return x >= area.x && y >= area.y && x + WIDTH <= area.x + area.w && y < area.y + area.h;
}

static bool in_moves(int x, int y, const struct se_move *moves, int count)
{
	for (int i = 0; i < count; i++)
		if (!se_rect_empty(se_rect_intersect((struct se_rect){ x, y, WIDTH, 1 }, moves[i].rect)))
			return true;
	return false;
}

int se_motion_score(const struct se_motion_view *view, const struct se_motion_probes *probes, struct se_motion_vector by,
                    const struct se_move *moves, int count)
{
	int score = 0;

	for (int i = 0; i < probes->count; i++) {
		int x = probes->x[i], y = probes->y[i];

		if (!inside(view->area, x - by.dx, y - by.dy) || in_moves(x, y, moves, count))
			continue;
		score += se_diff_first(se_motion_after(view, x, y), se_motion_before(view, x - by.dx, y - by.dy), WIDTH) == WIDTH;
	}
	return score;
}

/* Keeps the better one. */
static void try_near(const struct se_motion_view *view, const struct se_motion_probes *probes, int dx, int dy,
                     struct se_motion_vector *best, int *most)
{
	struct se_motion_vector by = { dx, dy };
	int score = dx || dy ? se_motion_score(view, probes, by, NULL, 0) : 0;

	if (score <= *most)
		return;
	*most = score;
	*best = by;
}

bool se_motion_guess(const struct se_motion *self, const struct se_motion_view *view, const struct se_motion_probes *probes,
                     struct se_motion_vector *out)
{
	struct se_motion_vector last = self->recent[0];
	int most = 0;

	if (self->recent_count == 0)
		return false;
	for (int i = 0; i < self->recent_count; i++)
		try_near(view, probes, self->recent[i].dx, self->recent[i].dy, out, &most);
	if (most >= se_motion_enough(probes))
		return true;
	for (int dy = -NEAR; dy <= NEAR; dy++)
		for (int dx = -NEAR; dx <= NEAR; dx++)
			try_near(view, probes, last.dx + dx, last.dy + dy, out, &most);
	for (int i = -NEAR_LINE; i <= NEAR_LINE && most < se_motion_enough(probes); i++) {
		if (last.dx == 0)
			try_near(view, probes, 0, last.dy + i, out, &most);
		if (last.dy == 0)
			try_near(view, probes, last.dx + i, 0, out, &most);
	}
	return most > 0;
}

void se_motion_remember(struct se_motion *self, struct se_motion_vector by)
{
	int at = 0;

	while (at < self->recent_count && (self->recent[at].dx != by.dx || self->recent[at].dy != by.dy))
		at++;
	if (at == self->recent_count && self->recent_count < SE_MOTION_RECENT)
		self->recent_count++;
	if (at == SE_MOTION_RECENT)
		at--; /* the oldest is forgotten */
	for (; at > 0; at--)
		self->recent[at] = self->recent[at - 1];
	self->recent[0] = by;
}
