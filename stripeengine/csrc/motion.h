/* motion.h - scrolled and moved content: which parts of a changed window are the old picture, displaced.
 *
 * A finder holds scratch memory and what has moved lately (and how often a search was in vain); one thread at a time. It
 * allocates when an area is larger than any before, else never. Displacements of earlier calls and those near them are tried
 * first, on a few dozen probes; lines vote and tiles are searched only if these do not explain the change. What then takes
 * time is the exact comparison: one pass over both pictures.
 */
#ifndef SE_MOTION_H
#define SE_MOTION_H

#include "picture.h"

#define SE_MOTION_MAX 4           /* moves of one call */
#define SE_MOTION_LEAST 1024      /* changed pixels that a move saves at least; smaller ones cost more than they bring */
#define SE_MOTION_LEAST_AREA 8192 /* pixels; smaller areas are not searched */

struct se_move {
	struct se_rect rect; /* destination */
	int dx, dy;          /* the content came from rect.x - dx, rect.y - dy; not both 0 */
};

struct se_motion;

/* NULL if there is no memory. */
struct se_motion *se_motion_new(void);
void se_motion_free(struct se_motion *self);

/* Looks for moves inside `area` (inside the picture): source and destination both lie in it, so give the bounding box of
 * all that changed. `before` is the picture as the viewers have it, `after` the top left of an image at least as large.
 * `barred`, or NULL: no source pixel lies in it (what came from H.264).
 *
 * Returns how many moves are in `out`, 0 for none, SE_E_NOMEM. They are exact: applied to `before` in this order, each
 * reading what the ones before it left (a move as if its source were read whole), every destination equals `after` in
 * colour: whoever copies them from `after` need not compare there again. Destinations are disjoint; each holds at least
 * SE_MOTION_LEAST pixels that differ from `before`. What else has changed is left to the caller, who compares again outside
 * of the destinations. */
int se_motion_find(struct se_motion *self, const struct se_picture *before, const uint8_t *after, size_t stride,
                   struct se_rect area, const struct se_region *barred, struct se_move out[SE_MOTION_MAX]);

/* The same with destinations that a move must not touch: `kept`, or NULL (what a video decoder draws). */
int se_motion_find_beside(struct se_motion *self, const struct se_picture *before, const uint8_t *after, size_t stride,
                          struct se_rect area, const struct se_region *barred, const struct se_region *kept,
                          struct se_move out[SE_MOTION_MAX]);

/* True if the last call has found that `tile`, a tile of the picture (tiles.h) or a part of one, is in `after` as it was in
 * `before`, to the pixel: then there is nothing left to compare in it either. False says nothing. */
bool se_motion_unchanged(const struct se_motion *self, struct se_rect tile);

static inline struct se_rect se_move_source(struct se_move move)
{
	return (struct se_rect){ move.rect.x - move.dx, move.rect.y - move.dy, move.rect.w, move.rect.h };
}

/* Applies a move to a picture as a viewer does. */
void se_move_apply(struct se_move move, struct se_picture *picture);

#endif
