/* region.h - rectangles and a bounded list of them.
 *
 * A region never holds empty rectangles and never fails: past its capacity rectangles merge into their bounding box, so
 * it may cover more than was added but never less. Plain values, no threads, no allocation.
 */
#ifndef SE_REGION_H
#define SE_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "stripeengine.h" /* struct se_rect */

#define SE_REGION_MAX 64

struct se_region {
	int count;
	struct se_rect rects[SE_REGION_MAX];
};

static inline bool se_rect_empty(struct se_rect rect)
{
	return rect.w <= 0 || rect.h <= 0;
}

static inline int64_t se_rect_area(struct se_rect rect)
{
	return se_rect_empty(rect) ? 0 : (int64_t)rect.w * rect.h;
}

/* True if no pixel of `inner` (not empty) is outside of `outer`. */
static inline bool se_rect_holds(struct se_rect outer, struct se_rect inner)
{
	return inner.x >= outer.x && inner.y >= outer.y && inner.x + inner.w <= outer.x + outer.w &&
	       inner.y + inner.h <= outer.y + outer.h;
}

/* The common part; empty (w or h 0) if there is none. Coordinates are those of pictures: far from INT_MAX. */
struct se_rect se_rect_intersect(struct se_rect a, struct se_rect b);

/* The bounding box of both; an empty rectangle counts for nothing. */
struct se_rect se_rect_union(struct se_rect a, struct se_rect b);

static inline void se_region_clear(struct se_region *self)
{
	self->count = 0;
}

static inline bool se_region_empty(const struct se_region *self)
{
	return self->count == 0;
}

/* Adds a rectangle; merges it where the bounding box costs little more than the parts, or where room has run out. */
void se_region_add(struct se_region *self, struct se_rect rect);

/* As se_region_add, with at most `limit` (1..SE_REGION_MAX) rectangles, merged if that adds no more than `slack`
 * pixels a merge. */
void se_region_add_limited(struct se_region *self, struct se_rect rect, int limit, int64_t slack);

/* Adds every rectangle of `other`. */
void se_region_add_region(struct se_region *self, const struct se_region *other);

/* Cuts everything to `bounds`. */
void se_region_clip(struct se_region *self, struct se_rect bounds);

/* The bounding box; empty if the region is. */
struct se_rect se_region_bounds(const struct se_region *self);

/* True if some rectangle shares a pixel with `rect`. */
bool se_region_intersects(const struct se_region *self, struct se_rect rect);

#endif
