/* tiles.c - what the viewers have of each tile, and what is still to be sent. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "tiles_private.h"

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

static void set_state(struct se_tiles *self, struct se_tile *tile, uint8_t state, uint8_t quality)
{
	self->counts[tile->state]--;
	self->counts[state]++;
	tile->state = state;
	tile->quality = quality;
}

void se_tile_set_clean(struct se_tiles *self, struct se_tile *tile)
{
	if (!tile->dirty)
		return;
	tile->dirty = false;
	self->taken -= tile->taken;
	tile->taken = false;
	if (--self->dirty == 0)
		self->dirty_bounds = (struct se_rect){ 0, 0, 0, 0 };
}

void se_tile_set_dirty(struct se_tiles *self, struct se_tile *tile, struct se_rect rect, int x0, int y0, int x1, int y1)
{
	self->taken -= tile->taken;
	tile->taken = false;
	if (!tile->dirty)
		self->dirty++;
	tile->dirty = true;
	tile->x0 = (uint8_t)x0;
	tile->y0 = (uint8_t)y0;
	tile->x1 = (uint8_t)x1;
	tile->y1 = (uint8_t)y1;
	self->dirty_bounds = se_rect_union(self->dirty_bounds, rect);
}

/* So that a part's count of dirty tiles never gets to 0, when its bounds would be forgotten. */
#define PART_DIRTY (1 << 24)

struct se_tiles se_tiles_fork(const struct se_tiles *self)
{
	struct se_tiles part = *self;

	part.dirty = PART_DIRTY;
	part.taken = 0;
	part.dirty_bounds = (struct se_rect){ 0, 0, 0, 0 };
	memset(part.counts, 0, sizeof part.counts);
	return part;
}

void se_tiles_join(struct se_tiles *self, const struct se_tiles *part)
{
	self->dirty += part->dirty - PART_DIRTY;
	self->taken += part->taken;
	self->dirty_bounds = se_rect_union(self->dirty_bounds, part->dirty_bounds);
	if (self->dirty == 0)
		self->dirty_bounds = (struct se_rect){ 0, 0, 0, 0 };
	for (int i = 0; i < SE_TILE_STATES; i++)
		self->counts[i] += part->counts[i];
}

int se_tiles_layout(struct se_tiles *self, int width, int height, enum se_tile_state state, uint64_t now)
{
	int columns = (width + SE_TILE - 1) / SE_TILE, rows = (height + SE_TILE - 1) / SE_TILE;
	size_t count = (size_t)columns * (size_t)rows; /* at most 2^20: pictures are bounded */
	struct se_tile *items = calloc(count, sizeof *items);

	if (!items)
		return se_error_set(SE_E_NOMEM, "out of memory: %zu tiles", count);
	for (size_t i = 0; i < count; i++) {
		items[i].state = (uint8_t)state;
		items[i].changed_us = now;
	}
	free(self->items);
	*self = (struct se_tiles){ .items = items, .columns = columns, .rows = rows, .width = width, .height = height };
	self->counts[state] = (int)count;
	return SE_OK;
}

void se_tiles_free(struct se_tiles *self)
{
	free(self->items);
	*self = (struct se_tiles){ 0 };
}

struct se_rect se_tile_rect(const struct se_tiles *self, int column, int row)
{
	int x = column * SE_TILE, y = row * SE_TILE;

	return (struct se_rect){ x, y, min_int(SE_TILE, self->width - x), min_int(SE_TILE, self->height - y) };
}

struct se_rect se_tiles_touched(struct se_rect rect)
{
	int x = rect.x / SE_TILE, y = rect.y / SE_TILE;

	return (struct se_rect){ x, y, (rect.x + rect.w - 1) / SE_TILE + 1 - x, (rect.y + rect.h - 1) / SE_TILE + 1 - y };
}

struct se_rect se_tiles_snap(const struct se_tiles *self, struct se_rect rect)
{
	struct se_rect t = se_tiles_touched(rect);

	return se_rect_intersect((struct se_rect){ t.x * SE_TILE, t.y * SE_TILE, t.w * SE_TILE, t.h * SE_TILE },
	                         (struct se_rect){ 0, 0, self->width, self->height });
}

static bool is_worse(uint8_t state, uint8_t quality, const struct se_tile *than)
{
	return state > than->state || (state == than->state && state == SE_TILE_LOSSY && quality < than->quality);
}

/* The worst state among the tiles that `rect` touches. */
static struct se_tile worst_of(const struct se_tiles *self, struct se_rect rect)
{
	struct se_rect range = se_tiles_touched(rect);
	struct se_tile worst = { .state = SE_TILE_EXACT };

	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w; column++) {
			const struct se_tile *tile = se_tile_at(self, column, row);

			if (is_worse(tile->state, tile->quality, &worst))
				worst = *tile;
		}
	return worst;
}

static void move_tile(struct se_tiles *self, int column, int row, struct se_rect rect, int dx, int dy, uint64_t now)
{
	struct se_tile *tile = se_tile_at(self, column, row);
	struct se_rect all = se_tile_rect(self, column, row), part = se_rect_intersect(all, rect);
	struct se_tile worst = worst_of(self, (struct se_rect){ part.x - dx, part.y - dy, part.w, part.h });
	bool whole = se_rect_holds(rect, all);

	if (whole || is_worse(worst.state, worst.quality, tile))
		set_state(self, tile, worst.state, worst.quality);
	tile->changed_us = now;
	if (whole)
		se_tile_set_clean(self, tile);
}

void se_tiles_move(struct se_tiles *self, struct se_rect rect, int dx, int dy, uint64_t now)
{
	struct se_rect range = se_tiles_touched(rect);
	bool any = self->counts[SE_TILE_EXACT] != self->columns * self->rows;

	/* In the order of an overlapping memmove: sources are read before they are written. */
	for (int i = 0; i < range.h; i++) {
		int row = dy > 0 ? range.y + range.h - 1 - i : range.y + i;

		for (int j = 0; j < range.w; j++) {
			int column = dx > 0 ? range.x + range.w - 1 - j : range.x + j;

			if (any) {
				move_tile(self, column, row, rect, dx, dy, now);
			} else {
				struct se_tile *tile = se_tile_at(self, column, row);

				tile->changed_us = now;
				if (tile->dirty && se_rect_holds(rect, se_tile_rect(self, column, row)))
					se_tile_set_clean(self, tile);
			}
		}
	}
}

void se_tiles_sent(struct se_tiles *self, struct se_rect rect, enum se_tile_state state, int quality)
{
	struct se_rect range = se_tiles_touched(rect);

	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w; column++) {
			struct se_tile *tile = se_tile_at(self, column, row);
			struct se_rect all = se_tile_rect(self, column, row);
			struct se_rect box = se_tile_dirty_box(tile, all);

			if (se_rect_holds(rect, all) || is_worse((uint8_t)state, (uint8_t)quality, tile))
				set_state(self, tile, (uint8_t)state, (uint8_t)quality);
			if (tile->taken && se_rect_holds(rect, box))
				se_tile_set_clean(self, tile);
		}
}

void se_tiles_touch(struct se_tiles *self, struct se_rect rect, uint64_t now)
{
	struct se_rect range;

	if (se_rect_empty(rect))
		return;
	range = se_tiles_touched(rect);
	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w; column++) {
			struct se_tile *tile = se_tile_at(self, column, row);
			struct se_rect all = se_tile_rect(self, column, row), part = se_rect_intersect(all, rect);

			if (tile->dirty)
				part = se_rect_union(part, se_tile_dirty_box(tile, all));
			if (tile->state == SE_TILE_UNKNOWN)
				part = all;
			tile->changed_us = now;
			se_tile_set_dirty(self, tile, all, part.x - all.x, part.y - all.y, part.x + part.w - all.x, part.y + part.h - all.y);
		}
}

void se_tiles_take(struct se_tiles *self, struct se_rect rect, struct se_picture *picture, const uint8_t *pixels, size_t stride)
{
	struct se_rect range = se_tiles_touched(rect);

	for (int row = range.y; row < range.y + range.h; row++) {
		struct se_rect run = { 0, 0, 0, 0 }; /* neighbours whose boxes are equally high are copied together */

		for (int column = range.x; column < range.x + range.w; column++) {
			struct se_tile *tile = se_tile_at(self, column, row);
			struct se_rect box = se_tile_dirty_box(tile, se_tile_rect(self, column, row));

			if (!tile->dirty || tile->taken || !se_rect_holds(rect, box))
				continue;
			tile->taken = true;
			self->taken++;
			if (!se_rect_empty(run) && run.x + run.w == box.x && run.y == box.y && run.h == box.h) {
				run.w += box.w;
				continue;
			}
			if (!se_rect_empty(run))
				se_picture_copy(picture, pixels, stride, run);
			run = box;
		}
		if (!se_rect_empty(run))
			se_picture_copy(picture, pixels, stride, run);
	}
}

void se_tiles_settle(struct se_tiles *self, uint64_t now)
{
	struct se_rect range;

	if (self->taken == 0)
		return;
	range = se_tiles_touched(self->dirty_bounds);
	for (int row = range.y; row < range.y + range.h && self->taken > 0; row++)
		for (int column = range.x; column < range.x + range.w && self->taken > 0; column++)
			if (se_tile_at(self, column, row)->taken)
				se_tiles_forget(self, se_tile_rect(self, column, row), now);
}

void se_tiles_forget(struct se_tiles *self, struct se_rect rect, uint64_t now)
{
	struct se_rect range = se_tiles_touched(rect);

	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w; column++) {
			struct se_tile *tile = se_tile_at(self, column, row);
			struct se_rect all = se_tile_rect(self, column, row);

			set_state(self, tile, SE_TILE_UNKNOWN, 0);
			tile->changed_us = now;
			se_tile_set_dirty(self, tile, all, 0, 0, all.w, all.h);
		}
}

void se_tiles_worse(const struct se_tiles *self, enum se_tile_state state, struct se_region *out)
{
	int rest = 0;

	se_region_clear(out);
	for (int i = state; i < SE_TILE_STATES; i++)
		rest += self->counts[i];
	for (int row = 0; row < self->rows && rest > 0; row++)
		for (int column = 0; column < self->columns && rest > 0; column++) {
			int first = column;

			while (column < self->columns && se_tile_at(self, column, row)->state >= state)
				column++;
			if (column == first)
				continue;
			rest -= column - first;
			se_region_add(out, (struct se_rect){ first * SE_TILE, row * SE_TILE,
			                                     min_int(column * SE_TILE, self->width) - first * SE_TILE,
			                                     min_int(SE_TILE, self->height - row * SE_TILE) });
		}
}
