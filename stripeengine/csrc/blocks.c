/* blocks.c - what is dirty, in blocks, each with its form. */
#include "blocks.h"

#include <stdlib.h>
#include <string.h>

#include "activity.h"
#include "content.h"
#include "damage.h"
#include "error.h"
#include "pool.h"

#define BLOCK_TILES (SE_BLOCK / SE_TILE)
#define TEXT_UNREST 4       /* literals of text count that much less towards a video */
#define FLAT_LEAST 4        /* blocks in a row; fewer between text go with the text, in one op */
#define MERGE_WASTE 2048    /* pixels that a merged rectangle may hold beyond its parts: about what an op costs */
#define JPEG_ROWS 128       /* a JPEG is not higher, so that photographs are encoded side by side */
#define JPEG_LEAST 1024     /* pixels; below, a JPEG is mostly tables */
#define JPEG_TABLES 600     /* bytes of a JPEG that shows nothing */
#define CLASSIFIED 32       /* blocks whose forms one job of the pool finds */
#define PARALLEL_BLOCKS 128 /* the forms of fewer are found before a helper is awake */

void se_blocks_free(struct se_blocks *self)
{
	free(self->items);
	*self = (struct se_blocks){ 0 };
}

struct se_block *se_blocks_add(struct se_blocks *self)
{
	if (self->count == self->capacity) {
		size_t capacity = self->capacity ? self->capacity * 2 : 64;
		struct se_block *items = realloc(self->items, capacity * sizeof *items);

		if (!items) {
			se_error_set(SE_E_NOMEM, "out of memory: %zu blocks", capacity);
			return NULL;
		}
		self->items = items;
		self->capacity = capacity;
	}
	self->items[self->count] = (struct se_block){ 0 };
	return &self->items[self->count++];
}

static int region_of(struct se_rect rect, const struct se_rect *regions, int count)
{
	for (int i = 0; i < count; i++)
		if (!se_rect_empty(se_rect_intersect(rect, regions[i])))
			return i;
	return -1;
}

static uint32_t colour_at(const uint8_t *pixel)
{
	return (uint32_t)pixel[2] << 16 | (uint32_t)pixel[1] << 8 | pixel[0];
}

/* A row that equals itself one pixel on is of one colour. */
static bool is_uniform(const struct se_picture *picture, struct se_rect rect)
{
	const uint8_t *first = se_picture_at(picture, rect.x, rect.y);

	for (int y = rect.y; y < rect.y + rect.h; y++) {
		const uint8_t *row = se_picture_at(picture, rect.x, y);

		if (se_diff_first(row, first, 1) == 0 || se_diff_first(row + 4, row, rect.w - 1) < rect.w - 1)
			return false;
	}
	return true;
}

struct classification {
	struct se_blocks *blocks;
	const struct se_picture *picture;
};

/* Letters without the paper around them have as many colours as a photograph: what is around a small change says which it is. */
static bool is_photo(const struct se_block *block, struct se_content content, const struct se_picture *picture)
{
	struct se_rect around = { block->column * SE_BLOCK, block->row * SE_BLOCK, SE_BLOCK, SE_BLOCK };

	if (!se_content_is_photo(content) || se_rect_area(block->box) >= JPEG_LEAST)
		return se_content_is_photo(content);
	return se_content_is_photo(se_content_sample(picture, se_rect_intersect(around, se_picture_bounds(picture))));
}

static void classify(const struct se_blocks *self, struct se_block *block, const struct se_picture *picture)
{
	struct se_content content;

	if (is_uniform(picture, block->box)) {
		block->form = SE_FORM_FLAT;
		block->colour = colour_at(se_picture_at(picture, block->box.x, block->box.y));
		return;
	}
	content = se_content_sample(picture, block->box);
	block->literals = content.literals;
	block->cost = content.cost;
	block->form = is_photo(block, content, picture) ? self->photo : self->text;
}

static void classify_some(void *context, size_t index)
{
	const struct classification *all = context;
	struct se_blocks *blocks = all->blocks;

	for (size_t i = index * CLASSIFIED; i < (index + 1) * CLASSIFIED && i < blocks->count; i++)
		if (blocks->items[i].form == SE_FORM_NONE)
			classify(blocks, &blocks->items[i], all->picture);
}

/* Text that keeps changing is no video: it scrolls, which copies do better, and in a video it could not be copied at all. */
int se_block_unrest(const struct se_block *block)
{
	if (block->form == SE_FORM_VIDEO)
		return SE_ACTIVITY_UNKNOWN;
	return block->form == SE_FORM_JPEG ? block->literals : block->form == SE_FORM_LOSSLESS ? block->literals / TEXT_UNREST : 0;
}

struct gathered {
	struct se_rect boxes[3]; /* by region, last: outside of all */
	uint64_t changed_us[3];
};

static int add_block(struct se_blocks *self, int column, int row, struct se_rect box, uint64_t changed_us, int video)
{
	struct se_block *block = se_blocks_add(self);

	if (!block)
		return SE_E_NOMEM;
	block->column = column;
	block->row = row;
	block->box = box;
	block->changed_us = changed_us;
	block->video = video;
	block->form = video >= 0 ? SE_FORM_VIDEO : SE_FORM_NONE;
	return SE_OK;
}

struct tile_range {
	int x0, y0, x1, y1;
};

/* The box of what is outside would reach into a region: each tile on its own. */
static int add_lone(struct se_blocks *self, const struct se_tiles *tiles, struct tile_range range,
                    const struct se_rect *regions, int region_count)
{
	for (int row = range.y0; row < range.y1; row++)
		for (int column = range.x0; column < range.x1; column++) {
			const struct se_tile *tile = se_tile_at(tiles, column, row);

			if (!tile->dirty || region_of(se_tile_rect(tiles, column, row), regions, region_count) >= 0)
				continue;
			if (add_block(self, column / BLOCK_TILES, row / BLOCK_TILES, se_tile_dirty_box(tile, se_tile_rect(tiles, column, row)), tile->changed_us, -1) < 0)
				return SE_E_NOMEM;
			self->items[self->count - 1].lone = true;
		}
	return SE_OK;
}

static int add_range(struct se_blocks *self, const struct se_tiles *tiles, struct tile_range range,
                     const struct se_rect *regions, int region_count)
{
	struct gathered all = { 0 };
	int code = SE_OK, column = range.x0 / BLOCK_TILES, row = range.y0 / BLOCK_TILES;

	for (int y = range.y0; y < range.y1; y++)
		for (int x = range.x0; x < range.x1; x++) {
			const struct se_tile *tile = se_tile_at(tiles, x, y);
			int kind;

			if (!tile->dirty)
				continue;
			kind = region_count ? region_of(se_tile_rect(tiles, x, y), regions, region_count) : -1;
			kind = kind < 0 ? 2 : kind;
			all.boxes[kind] = se_rect_union(all.boxes[kind], se_tile_dirty_box(tile, se_tile_rect(tiles, x, y)));
			if (tile->changed_us > all.changed_us[kind])
				all.changed_us[kind] = tile->changed_us;
		}
	for (int i = 0; i < region_count && code == SE_OK; i++)
		if (!se_rect_empty(all.boxes[i]))
			code = add_block(self, column, row, all.boxes[i], all.changed_us[i], i);
	if (code < 0 || se_rect_empty(all.boxes[2]))
		return code;
	if (region_count && region_of(all.boxes[2], regions, region_count) >= 0)
		return add_lone(self, tiles, range, regions, region_count);
	return add_block(self, column, row, all.boxes[2], all.changed_us[2], -1);
}

int se_blocks_collect(struct se_blocks *self, const struct se_tiles *tiles, const struct se_picture *picture,
                      const struct se_rect *regions, int region_count, uint64_t *helper_cpu_ns)
{
	struct classification all = { self, picture };
	struct se_rect touched;

	self->count = 0;
	if (tiles->dirty == 0)
		return SE_OK;
	touched = se_tiles_touched(tiles->dirty_bounds);
	for (int row = touched.y / BLOCK_TILES * BLOCK_TILES; row < touched.y + touched.h; row += BLOCK_TILES)
		for (int column = touched.x / BLOCK_TILES * BLOCK_TILES; column < touched.x + touched.w; column += BLOCK_TILES) {
			struct tile_range range = { column, row, column + BLOCK_TILES, row + BLOCK_TILES };

			range.x1 = range.x1 < tiles->columns ? range.x1 : tiles->columns;
			range.y1 = range.y1 < tiles->rows ? range.y1 : tiles->rows;
			if (add_range(self, tiles, range, regions, region_count) < 0)
				return SE_E_NOMEM;
		}
	se_pool_run(classify_some, &all, (self->count + CLASSIFIED - 1) / CLASSIFIED, self->count >= PARALLEL_BLOCKS, helper_cpu_ns);
	return SE_OK;
}

/* Flat blocks that are few, or not whole, are no op of their own: text takes them in for a few bytes. */
static void drop_small_fills(struct se_blocks *self)
{
	for (size_t i = 0; i < self->count;) {
		size_t end = i + 1;

		if (self->items[i].form == SE_FORM_FLAT)
			while (end < self->count && self->items[end].form == SE_FORM_FLAT && self->items[end].row == self->items[i].row &&
			       self->items[end].colour == self->items[i].colour)
				end++;
		for (size_t j = i; end - i < FLAT_LEAST && j < end; j++)
			if (self->items[j].form == SE_FORM_FLAT)
				self->items[j].form = self->text;
		i = end;
	}
}

static bool may_merge(const struct se_block *a, const struct se_block *b, const struct se_blocks_limits *limits)
{
	struct se_rect both = se_rect_union(a->box, b->box);
	int64_t waste = se_rect_area(both) - se_rect_area(a->box) - se_rect_area(b->box);

	if (a->form != b->form || a->form == SE_FORM_VIDEO || a->form == SE_FORM_NONE || a->lone || b->lone ||
	    a->fast != b->fast)
		return false;
	if (waste > MERGE_WASTE || region_of(both, limits->regions, limits->region_count) >= 0)
		return false;
	if (limits->may && !limits->may(limits->context, both))
		return false;
	return a->form != SE_FORM_FLAT || (a->colour == b->colour && waste == 0);
}

static void merge(struct se_block *into, struct se_block *from)
{
	int64_t all = se_rect_area(into->box) + se_rect_area(from->box);

	into->cost = (int)((into->cost * se_rect_area(into->box) + from->cost * se_rect_area(from->box)) / all);
	into->box = se_rect_union(into->box, from->box);
	into->literals = from->literals > into->literals ? from->literals : into->literals;
	if (from->changed_us > into->changed_us)
		into->changed_us = from->changed_us;
	from->form = SE_FORM_NONE;
}

static void merge_rows(struct se_blocks *self, const struct se_blocks_limits *limits)
{
	struct se_block *last = NULL;
	int last_column = 0;

	for (size_t i = 0; i < self->count; i++) {
		struct se_block *block = &self->items[i];

		if (block->form == SE_FORM_VIDEO || block->form == SE_FORM_NONE)
			continue;
		if (last && last->row == block->row && block->column == last_column + 1 &&
		    may_merge(last, block, limits))
			merge(last, block);
		else
			last = block;
		last_column = block->column;
	}
}

/* Rows of blocks under one another that begin and end alike: so a merged rectangle holds nothing of a third one. */
static void merge_columns(struct se_blocks *self, const struct se_blocks_limits *limits)
{
	size_t above = 0, begin = 0;

	for (size_t i = 0; i < self->count; i++) {
		struct se_block *block = &self->items[i];

		if (block->row != self->items[begin].row) {
			above = begin;
			begin = i;
		}
		for (size_t j = above; j < begin; j++) {
			struct se_block *over = &self->items[j];

			if (over->form != block->form || over->box.x != block->box.x || over->box.w != block->box.w ||
			    over->row + 1 != block->row || !may_merge(over, block, limits))
				continue;
			if (block->form == SE_FORM_JPEG && block->box.y + block->box.h - over->box.y > JPEG_ROWS)
				continue;
			merge(block, over);
			break;
		}
	}
}

bool se_block_is_tiny(struct se_rect box, int cost)
{
	return se_rect_area(box) * cost < JPEG_TABLES * 1000;
}

/* A JPEG there would be mostly tables. Where text is JPEG too, the exact pixels must be smaller than those. */
static bool is_mostly_tables(const struct se_blocks *self, const struct se_block *block)
{
	return se_block_is_tiny(block->box, block->cost) ||
	       (self->text == SE_FORM_LOSSLESS && se_rect_area(block->box) < JPEG_LEAST);
}

void se_blocks_merge(struct se_blocks *self, const struct se_blocks_limits *limits)
{
	drop_small_fills(self);
	merge_rows(self, limits);
	merge_columns(self, limits);
	for (size_t i = 0; i < self->count; i++)
		if (self->items[i].form == SE_FORM_JPEG && is_mostly_tables(self, &self->items[i]))
			self->items[i].form = SE_FORM_LOSSLESS;
}
