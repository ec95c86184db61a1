/* activity_regions.c - where a video plays: tiles that keep changing and would be expensive losslessly, as at most two regions.
 *
 * Another rectangle means another encoder and a key frame, so a region lives with more than it needs for a while, and a wish
 * to open, grow or shrink must stand for some time before it is granted.
 */
#include "activity_private.h"

#include <string.h>

#define ENTER 4.5            /* level: 6 changes in a sixth of a second, or 12 a second for longer */
#define ENTER_WHOLE 2.4      /* the same where most of the picture changes at once: three changes in a sixth of a second */
#define LEAVE 1.5            /* at its last change: two a second */
#define ENTER_LITERALS 200   /* of 1000: less is cheaper losslessly at any rate */
#define LEAVE_LITERALS 100
#define LEAST_TILES 4        /* a smaller region is not worth a decoder */
#define LEAST_PIXELS 9216    /* 128 x 72 */
#define NEAR 2               /* tiles between which activity counts as one */
#define WHOLE_PERCENT 55
#define SNAP 16
#define OPEN_US 60000u       /* for which a wish to open must stand unchanged */
#define GROW_US 300000u      /* and one to grow or move */
#define OPEN_MOST_US 600000u /* or either, change after change */
#define SHRINK_US 3000000u
#define SHIFT_US 500000u     /* for which a wish to begin where the video does must stand, */
#define YOUNG_US 4000000u    /* in a region that opened since: what had opened it was more than the video, a window raised */
#define REST_PICTURES 3      /* for which a video must have shown nothing new, to be at rest for certain */
#define SHRINK_PERCENT 80    /* of its area, below which a region shrinks */

/* True if most of the picture changes again and again: each of its pictures sent by other means costs as much as a key frame. */
static bool most_moves(const struct se_activity *self, uint64_t now)
{
	struct se_decay decay = { 0, 1 };
	struct se_rect alive = self->alive;
	int count = self->columns * self->rows, moving = 0;

	if (alive.w * alive.h * 100 <= count * WHOLE_PERCENT)
		return false;
	for (int row = alive.y; row < alive.y + alive.h; row++)
		for (int column = alive.x; column < alive.x + alive.w; column++) {
			const struct se_tile *tile = &self->tiles[row * self->columns + column];

			moving += tile->level > 0 && tile->literals >= ENTER_LITERALS && se_tile_level(tile, now, &decay) >= ENTER_WHOLE;
		}
	return moving * 100 > count * WHOLE_PERCENT;
}

/* Asked between two pictures of a slow film, the level of then would be that of no film: what is active goes by that of its last change. */
static void update_tile(struct se_tile *tile, double enter, uint64_t now, struct se_decay *decay)
{
	double level = se_tile_level(tile, now, decay);

	if (now >= tile->changed + SE_ACTIVITY_LEAVE_US)
		tile->active = false;
	else if (tile->active)
		tile->active = tile->level >= LEAVE && tile->literals >= LEAVE_LITERALS;
	else
		tile->active = level >= enter && tile->literals >= ENTER_LITERALS;
	if (level < SE_TILE_FORGET && !tile->active) {
		tile->level = 0;
		tile->literals = 0;
	}
}

static void update_tiles(struct se_activity *self, uint64_t now)
{
	struct se_decay decay = { 0, 1 };
	struct se_rect alive = self->alive;
	double enter = most_moves(self, now) ? ENTER_WHOLE : ENTER;

	self->alive = (struct se_rect){ 0, 0, 0, 0 };
	for (int row = alive.y; row < alive.y + alive.h; row++)
		for (int column = alive.x; column < alive.x + alive.w; column++) {
			struct se_tile *tile = &self->tiles[row * self->columns + column];

			if (tile->level > 0)
				update_tile(tile, enter, now, &decay);
			if (tile->level > 0)
				self->alive = se_rect_union(self->alive, (struct se_rect){ column, row, 1, 1 });
		}
}

struct cluster {
	struct se_rect rect;
	int tiles;
};

/* Puts the active tiles near `index` that nobody has seen into the queue. */
static int look_around(struct se_activity *self, int index, int end)
{
	int column = index % self->columns, row = index / self->columns;

	for (int y = row - NEAR; y <= row + NEAR; y++)
		for (int x = column - NEAR; x <= column + NEAR; x++) {
			int at = y * self->columns + x;

			if (x < 0 || y < 0 || x >= self->columns || y >= self->rows || self->labels[at] || !self->tiles[at].active)
				continue;
			self->labels[at] = 1;
			self->queue[end++] = at;
		}
	return end;
}

static struct cluster collect(struct se_activity *self, int start)
{
	struct cluster out = { { 0, 0, 0, 0 }, 0 };
	int end = 1;

	self->labels[start] = 1;
	self->queue[0] = start;
	for (; out.tiles < end; out.tiles++) {
		int index = self->queue[out.tiles];

		out.rect = se_rect_union(out.rect, se_rect_union(self->tiles[index].extent, self->tiles[index].older));
		end = look_around(self, index, end);
	}
	return out;
}

/* To macroblocks, but beginning at an odd pixel where the video does: 4:2:0 gives each square of 2x2 pixels one colour, and a
 * film has its own squares, which begin where it does. Across two of them colours would be mixed, and mixed again. */
static struct se_rect snap(const struct se_activity *self, struct se_rect rect)
{
	int right = (rect.x + rect.w + SNAP - 1) / SNAP * SNAP, bottom = (rect.y + rect.h + SNAP - 1) / SNAP * SNAP;

	rect.x = rect.x / SNAP * SNAP + rect.x % 2;
	rect.y = rect.y / SNAP * SNAP + rect.y % 2;
	rect.w = (right < self->width ? right : self->width) - rect.x;
	rect.h = (bottom < self->height ? bottom : self->height) - rect.y;
	return rect;
}

/* Adds a rectangle to the wishes; where there are too many the largest stay. */
static int add_wish(struct se_rect *wishes, int count, struct se_rect rect)
{
	for (int i = 0; i < count; i++) {
		struct se_rect both = se_rect_union(wishes[i], rect);
		bool overlap = !se_rect_empty(se_rect_intersect(wishes[i], rect));

		/* Overlapping ones are one, and such whose bounding box is hardly larger than both. */
		if (!overlap && se_rect_area(both) * 4 > (se_rect_area(wishes[i]) + se_rect_area(rect)) * 5)
			continue;
		wishes[i] = wishes[--count];
		return add_wish(wishes, count, both);
	}
	if (count < SE_ACTIVITY_REGIONS) {
		wishes[count++] = rect;
		return count;
	}
	for (int i = 0; i < count; i++)
		if (se_rect_area(rect) > se_rect_area(wishes[i])) {
			struct se_rect smaller = wishes[i];

			wishes[i] = rect;
			rect = smaller;
		}
	return count;
}

/* What the regions should be now, disjoint. */
static int find_wishes(struct se_activity *self, struct se_rect wishes[SE_ACTIVITY_REGIONS])
{
	struct se_rect whole = { 0, 0, self->width, self->height }, alive = self->alive;
	int64_t area = 0;
	int count = 0;

	memset(self->labels, 0, (size_t)(self->columns * self->rows));
	for (int row = alive.y; row < alive.y + alive.h; row++)
		for (int column = alive.x; column < alive.x + alive.w; column++) {
			int index = row * self->columns + column;
			struct cluster cluster;

			if (self->labels[index] || !self->tiles[index].active)
				continue;
			cluster = collect(self, index);
			if (cluster.tiles >= LEAST_TILES && se_rect_area(cluster.rect) >= LEAST_PIXELS)
				count = add_wish(wishes, count, snap(self, cluster.rect));
		}
	for (int i = 0; i < count; i++)
		area += se_rect_area(wishes[i]);
	if (area * 100 > se_rect_area(whole) * WHOLE_PERCENT) {
		wishes[0] = whole;
		count = 1;
	}
	return count;
}

static bool same(struct se_rect a, struct se_rect b)
{
	return a.x == b.x && a.y == b.y && a.w == b.w && a.h == b.h;
}

static bool contains(struct se_rect outer, struct se_rect inner)
{
	return same(se_rect_union(outer, inner), outer);
}

/* Gives each slot the wish that shares most with its region, the others to free slots. A slot without one has an empty wish. */
static void assign(struct se_activity *self, const struct se_rect *wishes, int count, struct se_rect *out)
{
	bool used[SE_ACTIVITY_REGIONS] = { false };

	memset(out, 0, SE_ACTIVITY_REGIONS * sizeof *out);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
		const struct se_activity_slot *slot = &self->slots[i];
		struct se_rect place = slot->live ? slot->rect : slot->wish;
		int64_t most = 0;
		int best = -1;

		for (int k = 0; k < count; k++) {
			int64_t shared = se_rect_area(se_rect_intersect(place, wishes[k]));

			if (!used[k] && shared > most) {
				most = shared;
				best = k;
			}
		}
		if (best >= 0) {
			used[best] = true;
			out[i] = wishes[best];
		}
	}
	for (int k = 0; k < count; k++)
		for (int i = 0; i < SE_ACTIVITY_REGIONS && !used[k]; i++)
			if (se_rect_empty(out[i]) && !self->slots[i].live) {
				out[i] = wishes[k];
				used[k] = true;
			}
}

/* How long a wish must stand. Shrinking saves a little; growing, more; opening, much. To begin where the video does
 * betters its colours (snap): worth a key frame soon after it was opened, by what was more than the video. */
static uint64_t patience(const struct se_activity *self, const struct se_activity_slot *slot, struct se_rect wish, uint64_t now)
{
	if (!slot->live) /* the whole picture cannot turn out to be too little */
		return wish.w == self->width && wish.h == self->height ? 0 : OPEN_US;
	if (!contains(slot->rect, wish))
		return GROW_US;
	if (((wish.x ^ slot->rect.x) | (wish.y ^ slot->rect.y)) & 1)
		return now - slot->opened < YOUNG_US ? SHIFT_US : SHRINK_US;
	return se_rect_area(wish) * 100 < se_rect_area(slot->rect) * SHRINK_PERCENT ? SHRINK_US : UINT64_MAX;
}

static void update_slot(const struct se_activity *self, struct se_activity_slot *slot, struct se_rect wish, uint64_t now)
{
	uint64_t wait;
	bool shrinking;

	if (se_rect_empty(wish)) { /* its tiles have left, each with its own hysteresis */
		*slot = (struct se_activity_slot){ 0 };
		return;
	}
	wait = patience(self, slot, wish, now);
	if (wait == UINT64_MAX) {
		slot->wish = wish;
		slot->wished = slot->first_wished = 0;
		return;
	}
	shrinking = slot->live && contains(slot->rect, wish);
	if (slot->wished == 0)
		slot->first_wished = slot->wished = now;
	else if (shrinking && now - slot->wished >= wait / 2) /* to whatever it has needed of late */
		wish = se_rect_union(wish, contains(slot->rect, slot->wish) ? slot->wish : wish);
	else if (!shrinking && !same(slot->wish, wish))
		slot->wished = now;
	slot->wish = wish;
	if (now - slot->wished < wait && (shrinking || now - slot->first_wished < OPEN_MOST_US))
		return;
	if (!slot->live)
		slot->opened = now;
	slot->live = true;
	slot->rect = wish;
	slot->wished = slot->first_wished = 0;
}

/* A region that has grown over another swallows it. */
static void keep_disjoint(struct se_activity *self)
{
	struct se_activity_slot *a = &self->slots[0], *b = &self->slots[1];

	if (!a->live || !b->live || se_rect_empty(se_rect_intersect(a->rect, b->rect)))
		return;
	a->rect = se_rect_union(a->rect, b->rect);
	a->wished = a->first_wished = 0;
	*b = (struct se_activity_slot){ 0 };
}

int se_activity_regions(struct se_activity *self, uint64_t now, struct se_rect out[SE_ACTIVITY_REGIONS])
{
	struct se_rect wishes[SE_ACTIVITY_REGIONS], assigned[SE_ACTIVITY_REGIONS];
	int live = 0;

	update_tiles(self, now);
	assign(self, wishes, find_wishes(self, wishes), assigned);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++)
		update_slot(self, &self->slots[i], assigned[i], now);
	keep_disjoint(self);
	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
		out[i] = self->slots[i].live ? self->slots[i].rect : (struct se_rect){ 0, 0, 0, 0 };
		live += self->slots[i].live;
	}
	return live;
}

bool se_activity_rested(struct se_activity *self, int index, uint64_t now)
{
	struct se_activity_slot *slot = &self->slots[index];
	uint64_t changed;

	if (!slot->live)
		return false;
	changed = se_activity_last_change(self, slot->rect);
	if (slot->rested == changed || now < changed + SE_ACTIVITY_REST_US)
		return false;
	slot->rested = changed;
	return true;
}

uint64_t se_activity_rest_due(const struct se_activity *self, int index)
{
	const struct se_activity_slot *slot = &self->slots[index];
	uint64_t changed, wait;
	int rate;

	if (!slot->live)
		return UINT64_MAX;
	changed = se_activity_last_change(self, slot->rect);
	rate = se_activity_rate(self, slot->rect, changed);
	wait = rate > 0 ? REST_PICTURES * 1000000u / (uint64_t)rate : SE_ACTIVITY_LEAVE_US;
	return changed + (wait > SE_ACTIVITY_REST_US ? wait : SE_ACTIVITY_REST_US);
}

uint64_t se_activity_due(const struct se_activity *self)
{
	uint64_t due = UINT64_MAX;

	for (int i = 0; i < SE_ACTIVITY_REGIONS; i++) {
		const struct se_activity_slot *slot = &self->slots[i];
		uint64_t changed, at;

		if (!slot->live)
			continue;
		changed = se_activity_last_change(self, slot->rect);
		at = changed + (slot->rested == changed ? SE_ACTIVITY_LEAVE_US : SE_ACTIVITY_REST_US);
		due = at < due ? at : due;
	}
	return due;
}
