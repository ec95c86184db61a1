/* motion_private.h - the inside of a motion finder, shared by motion*.c.
 *
 * motion.c         candidates become moves in a safe order
 * motion_probes.c  how much a candidate may explain, at a glance; candidates from what has moved before
 * motion_cells.c   a candidate verified exactly: which rectangles of the area have moved that way
 * motion_lines.c   candidates along one axis: rows or columns whose hashes vote for a distance
 * motion_tiles.c   candidates along both: distinctive tiles of the new picture searched in the old one
 */
#ifndef SE_MOTION_PRIVATE_H
#define SE_MOTION_PRIVATE_H

#include "motion.h"

#define SE_MOTION_STRIPS 8     /* places where lines are sampled */
#define SE_MOTION_CANDIDATES 3 /* distances verified at most */
#define SE_MOTION_TILE 16
#define SE_MOTION_LANES 8      /* numbers that hold a cell's differences */
#define SE_MOTION_RECENT 8     /* displacements remembered */
#define SE_MOTION_PROBE 32     /* pixels of a probe */
#define SE_MOTION_PROBE_GRID 6 /* at most so many probes each way */
#define SE_MOTION_PROBES_FEW 8 /* with fewer their number says nothing */

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE inline
#endif

/* The two pictures and where to look. */
struct se_motion_view {
	const struct se_picture *before;
	const uint8_t *after;
	size_t stride;
	struct se_rect area;
	const struct se_region *barred, *kept; /* or NULL */
};

struct se_motion_vector {
	int dx, dy;
};

/* Pieces of rows that have changed, spread over the area: the left end of each. */
struct se_motion_probes {
	int count;
	int sources; /* of its places, in so many the old picture is of more than one colour too */
	int x[SE_MOTION_PROBE_GRID * SE_MOTION_PROBE_GRID], y[SE_MOTION_PROBE_GRID * SE_MOTION_PROBE_GRID];
};

struct se_motion {
	int lines;                 /* capacity: rows or columns */
	uint64_t *hashes[2];       /* of before and after: (SE_MOTION_STRIPS + 1) x lines; 0: one-coloured */
	uint32_t *sums, *varied;   /* of columns while they are hashed */
	uint16_t *table;           /* hash to line + 1; a power of two, at least 2 x lines */
	uint32_t table_size;
	int32_t *votes;            /* by distance + lines */
	size_t cells;              /* capacity */
	struct se_rect area;       /* of the last call, empty before the first */
	uint8_t *states;           /* of the cells of an area under a candidate */
	uint8_t *same;             /* 1: the cell was found unchanged */
	uint32_t *differences;     /* of a row of cells: from their sources, then from what was there */
	int32_t *weights;          /* summed-area table of changed pixels */
	int32_t *heights, *stack;  /* of the largest rectangle */
	unsigned vain;             /* tile searches without a result, in a row */
	unsigned calls;
	struct se_motion_vector recent[SE_MOTION_RECENT]; /* newest first */
	int recent_count;
};

static inline const uint8_t *se_motion_before(const struct se_motion_view *view, int x, int y)
{
	return view->before->pixels + (size_t)y * view->before->stride + (size_t)x * 4;
}

static inline const uint8_t *se_motion_after(const struct se_motion_view *view, int x, int y)
{
	return view->after + (size_t)y * view->stride + (size_t)x * 4;
}

void se_motion_choose_probes(const struct se_motion_view *view, struct se_motion_probes *out);

/* False if a large area was or became flat: a page that was cleared, or drawn after that, has come from nowhere. */
bool se_motion_may_move(const struct se_motion_view *view, const struct se_motion_probes *probes);

/* How many probes outside of the moves lie at -by in the old picture. */
int se_motion_score(const struct se_motion_view *view, const struct se_motion_probes *probes, struct se_motion_vector by,
                    const struct se_move *moves, int count);

/* The score from which a candidate explains the change: no other is worth a search. */
static inline int se_motion_enough(const struct se_motion_probes *probes)
{
	return probes->count < SE_MOTION_PROBES_FEW ? SE_MOTION_PROBES_FEW : (3 * probes->count + 3) / 4;
}

/* The displacement with the best score among the remembered ones and those near the newest; false if none has any. */
bool se_motion_guess(const struct se_motion *self, const struct se_motion_view *view, const struct se_motion_probes *probes,
                     struct se_motion_vector *out);

void se_motion_remember(struct se_motion *self, struct se_motion_vector by);

/* Distances by which most lines have moved along one axis, best first; returns how many. Needs the capacity. */
int se_motion_vote(struct se_motion *self, const struct se_motion_view *view, bool horizontal,
                   struct se_motion_vector out[SE_MOTION_CANDIDATES]);

/* A displacement in both axes under which distinctive tiles of the new picture are in the old one; false if there is none.
 * *searched tells whether there was a tile to search, which is what takes time. */
bool se_motion_search(const struct se_motion_view *view, struct se_motion_vector *out, bool *searched);

/* How many cells need room for an area. */
size_t se_motion_cells(struct se_rect area);

/* True if nothing but the pixels themselves speaks against moving by `by` to `rect`: bounds, barred sources, other moves. */
bool se_motion_allowed(const struct se_motion_view *view, struct se_rect rect, struct se_motion_vector by,
                       const struct se_move *moves, int count);

/* Forgets which cells are unchanged: a new call. */
void se_motion_begin(struct se_motion *self, struct se_rect area);

/* Compares the whole area with where it would come from; returns the pixels that moves of it could save. */
int64_t se_motion_examine(struct se_motion *self, const struct se_motion_view *view, struct se_motion_vector by,
                          const struct se_move *moves, int count);

/* The rectangle of cells that saves most; returns how many pixels, 0 if there is none. */
int64_t se_motion_largest(struct se_motion *self, struct se_rect area, struct se_rect *out);

/* Takes the cells that `rect` touches out of the examined area. */
void se_motion_strike(struct se_motion *self, struct se_rect area, struct se_rect rect);

/* The kernel of the search, for the tests: index of the first pair of neighbouring pixels of colours `first`, `second` (as
 * in memory, X masked away) that begins at `from` or later, below `count` pairs; `count` if there is none. */
int se_motion_pair(const uint8_t *row, int from, int count, uint32_t first, uint32_t second);
int se_motion_pair_portable(const uint8_t *row, int from, int count, uint32_t first, uint32_t second);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SE_MOTION_COLOUR 0x00ffffffu
#else
#define SE_MOTION_COLOUR 0xffffff00u
#endif

#endif
