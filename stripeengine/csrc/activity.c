/* activity.c - which parts of the picture keep changing.
 *
 * A tile's level is the sum of its changes, each worth 1 when it happens and 1/e after DECAY: at a steady rate f it is about
 * f x DECAY. Where a video plays is decided in activity_regions.c.
 */
#include "activity_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "picture.h"

#define DECAY_US 400000.0
#define EXTENT_US 400000u
#define SAME_LITERALS 8 /* the mean of literals moves by one eighth a change */

struct se_activity *se_activity_new(int width, int height)
{
	struct se_activity *self = calloc(1, sizeof *self);

	if (!self) {
		se_error_set(SE_E_NOMEM, "out of memory: an activity grid");
		return NULL;
	}
	if (se_activity_resize(self, width, height) < 0) {
		free(self);
		return NULL;
	}
	return self;
}

void se_activity_free(struct se_activity *self)
{
	if (!self)
		return;
	free(self->tiles);
	free(self->labels);
	free(self->queue);
	free(self);
}

int se_activity_resize(struct se_activity *self, int width, int height)
{
	int columns = (width + SE_ACTIVITY_TILE - 1) / SE_ACTIVITY_TILE, rows = (height + SE_ACTIVITY_TILE - 1) / SE_ACTIVITY_TILE;
	struct se_tile *tiles;
	uint8_t *labels;
	int *queue;
	size_t count;

	if (width < 1 || height < 1 || width > SE_PICTURE_MAX || height > SE_PICTURE_MAX)
		return se_error_set(SE_E_INVALID, "an activity grid must be between 1x1 and %dx%d pixels, not %dx%d", SE_PICTURE_MAX,
		                    SE_PICTURE_MAX, width, height);
	count = (size_t)columns * (size_t)rows;
	tiles = calloc(count, sizeof *tiles);
	labels = calloc(count, sizeof *labels);
	queue = calloc(count, sizeof *queue);
	if (!tiles || !labels || !queue) {
		free(tiles);
		free(labels);
		free(queue);
		return se_error_set(SE_E_NOMEM, "out of memory: an activity grid of %dx%d pixels", width, height);
	}
	free(self->tiles);
	free(self->labels);
	free(self->queue);
	*self = (struct se_activity){ .width = width, .height = height, .columns = columns, .rows = rows,
		                          .tiles = tiles, .labels = labels, .queue = queue };
	return SE_OK;
}

/* The tiles that `rect` touches; empty if it is outside of the picture. */
static struct se_rect tiles_of(const struct se_activity *self, struct se_rect rect)
{
	struct se_rect out = { 0, 0, 0, 0 };

	rect = se_rect_intersect(rect, (struct se_rect){ 0, 0, self->width, self->height });
	if (se_rect_empty(rect))
		return out;
	out.x = rect.x / SE_ACTIVITY_TILE;
	out.y = rect.y / SE_ACTIVITY_TILE;
	out.w = (rect.x + rect.w - 1) / SE_ACTIVITY_TILE + 1 - out.x;
	out.h = (rect.y + rect.h - 1) / SE_ACTIVITY_TILE + 1 - out.y;
	return out;
}

double se_tile_level(const struct se_tile *tile, uint64_t now, struct se_decay *decay)
{
	if (tile->level <= 0 || now <= tile->changed)
		return tile->level;
	if (now - tile->changed != decay->passed) {
		decay->passed = now - tile->changed;
		decay->factor = exp(-(double)decay->passed / DECAY_US);
	}
	return tile->level * decay->factor;
}

/* Notes what a change of a tile covered, so that a region fits its video to the pixel; forgets what is over. */
static void widen(struct se_tile *tile, struct se_rect part, uint64_t now)
{
	if (tile->level <= 0) {
		tile->extent = tile->older = (struct se_rect){ 0, 0, 0, 0 };
		tile->extent_since = now;
	} else if (now - tile->extent_since > EXTENT_US) {
		tile->older = tile->extent;
		tile->extent = (struct se_rect){ 0, 0, 0, 0 };
		tile->extent_since = now;
	}
	tile->extent = se_rect_union(tile->extent, part);
}

void se_activity_touch(struct se_activity *self, struct se_rect rect, int literals, uint64_t now)
{
	struct se_rect range = tiles_of(self, rect);
	struct se_decay decay = { 0, 1 };

	for (int row = range.y; row < range.y + range.h; row++) {
		for (int column = range.x; column < range.x + range.w; column++) {
			struct se_tile *tile = &self->tiles[row * self->columns + column];
			struct se_rect whole = { column * SE_ACTIVITY_TILE, row * SE_ACTIVITY_TILE, SE_ACTIVITY_TILE, SE_ACTIVITY_TILE };
			bool counted = tile->level > 0 && tile->changed == now;

			if (!counted) {
				tile->level = se_tile_level(tile, now, &decay);
				if (tile->level < SE_TILE_FORGET) {
					tile->level = 0;
					tile->literals = 0;
				}
			}
			widen(tile, se_rect_intersect(whole, rect), now);
			/* The first change decides at once, later ones shift the mean. */
			if (literals >= 0 && tile->level <= 0)
				tile->literals = (float)literals;
			else if (literals >= 0)
				tile->literals += ((float)literals - tile->literals) / SAME_LITERALS;
			if (!counted)
				tile->level += 1;
			tile->changed = now;
		}
	}
	self->alive = se_rect_union(self->alive, range);
	if (!se_rect_empty(range) && now > self->changed)
		self->changed = now;
}

void se_activity_delay(struct se_activity *self, uint64_t changed, uint64_t us)
{
	if (self->changed != changed)
		return;
	for (int i = 0; i < self->columns * self->rows; i++)
		if (self->tiles[i].changed == changed)
			self->tiles[i].changed += us;
	self->changed += us;
}

uint64_t se_activity_last_change(const struct se_activity *self, struct se_rect rect)
{
	struct se_rect range = tiles_of(self, rect);
	uint64_t newest = 0;

	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w; column++) {
			const struct se_tile *tile = &self->tiles[row * self->columns + column];

			if (tile->changed > newest)
				newest = tile->changed;
		}
	return newest;
}

int se_activity_rate(const struct se_activity *self, struct se_rect rect, uint64_t now)
{
	struct se_rect range = tiles_of(self, rect);
	struct se_decay decay = { 0, 1 };
	double most = 0;

	for (int row = range.y; row < range.y + range.h; row++)
		for (int column = range.x; column < range.x + range.w; column++) {
			double level = se_tile_level(&self->tiles[row * self->columns + column], now, &decay);

			most = level > most ? level : most;
		}
	return (int)(most * 1000000.0 / DECAY_US + 0.5);
}
