/* region.c - rectangles and a bounded list of them. */
#include "region.h"

/* A rectangle of its own costs a grab, a diff and an op: worth about this many pixels. */
#define MERGE_SLACK 4096

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

static int max_int(int a, int b)
{
	return a > b ? a : b;
}

struct se_rect se_rect_intersect(struct se_rect a, struct se_rect b)
{
	struct se_rect out = { max_int(a.x, b.x), max_int(a.y, b.y), 0, 0 };

	if (se_rect_empty(a) || se_rect_empty(b))
		return out;
	out.w = max_int(0, min_int(a.x + a.w, b.x + b.w) - out.x);
	out.h = max_int(0, min_int(a.y + a.h, b.y + b.h) - out.y);
	return out;
}

struct se_rect se_rect_union(struct se_rect a, struct se_rect b)
{
	struct se_rect out = { min_int(a.x, b.x), min_int(a.y, b.y), 0, 0 };

	if (se_rect_empty(a))
		return b;
	if (se_rect_empty(b))
		return a;
	out.w = max_int(a.x + a.w, b.x + b.w) - out.x;
	out.h = max_int(a.y + a.h, b.y + b.h) - out.y;
	return out;
}

/* Pixels that the bounding box of both has beyond the two. */
static int64_t merge_cost(struct se_rect a, struct se_rect b)
{
	return se_rect_area(se_rect_union(a, b)) - se_rect_area(a) - se_rect_area(b) +
	       se_rect_area(se_rect_intersect(a, b));
}

static void remove_at(struct se_region *self, int index)
{
	self->rects[index] = self->rects[--self->count];
}

void se_region_add_limited(struct se_region *self, struct se_rect rect, int limit, int64_t slack)
{
	if (se_rect_empty(rect))
		return;
	for (;;) {
		int best = -1;
		int64_t best_cost = 0;

		for (int i = 0; i < self->count; i++) {
			int64_t cost = merge_cost(self->rects[i], rect);

			if (best < 0 || cost < best_cost) {
				best = i;
				best_cost = cost;
			}
		}
		if (best < 0 || (best_cost > slack && self->count < limit))
			break;
		/* The grown rectangle may now be close to another one, so look again. */
		rect = se_rect_union(self->rects[best], rect);
		remove_at(self, best);
	}
	self->rects[self->count++] = rect;
}

void se_region_add(struct se_region *self, struct se_rect rect)
{
	se_region_add_limited(self, rect, SE_REGION_MAX, MERGE_SLACK);
}

void se_region_add_region(struct se_region *self, const struct se_region *other)
{
	for (int i = 0; i < other->count; i++)
		se_region_add(self, other->rects[i]);
}

void se_region_clip(struct se_region *self, struct se_rect bounds)
{
	for (int i = self->count - 1; i >= 0; i--) {
		self->rects[i] = se_rect_intersect(self->rects[i], bounds);
		if (se_rect_empty(self->rects[i]))
			remove_at(self, i);
	}
}

struct se_rect se_region_bounds(const struct se_region *self)
{
	struct se_rect out = { 0, 0, 0, 0 };

	for (int i = 0; i < self->count; i++)
		out = se_rect_union(out, self->rects[i]);
	return out;
}

bool se_region_intersects(const struct se_region *self, struct se_rect rect)
{
	for (int i = 0; i < self->count; i++)
		if (!se_rect_empty(se_rect_intersect(self->rects[i], rect)))
			return true;
	return false;
}
