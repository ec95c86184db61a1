/* test_tiles.c - which pixels of each tile differ, against a look at every pixel; parts of a map, joined. */
#include <string.h>

#include "check.h"
#include "pixel.h"
#include "tiles.h"

#define ROUNDS 200
#define NOW 77

static struct se_picture shown, wanted;

static void scatter(uint32_t *seed)
{
	for (int y = 0; y < shown.height; y++)
		for (int x = 0; x < shown.width; x++) {
			uint32_t pixel = draw(seed);

			memcpy(se_picture_at(&shown, x, y), &pixel, 4);
			pixel ^= ~COLOUR_MASK & draw(seed); /* X does not count */
			memcpy(se_picture_at(&wanted, x, y), &pixel, 4);
		}
	for (int i = draw_between(seed, 0, 12); i > 0; i--) {
		int x = draw_between(seed, 0, shown.width - 1), y = draw_between(seed, 0, shown.height - 1);

		se_picture_at(&wanted, x, y)[draw_between(seed, 0, 2)] ^= (uint8_t)draw_between(seed, 1, 255);
	}
}

/* The box of what differs in a tile, pixel by pixel. */
static struct se_rect differing(struct se_rect tile)
{
	struct se_rect box = { 0, 0, 0, 0 };

	for (int y = tile.y; y < tile.y + tile.h; y++)
		for (int x = tile.x; x < tile.x + tile.w; x++)
			if (memcmp(se_picture_at(&shown, x, y), se_picture_at(&wanted, x, y), 3) != 0)
				box = se_rect_union(box, (struct se_rect){ x, y, 1, 1 });
	return box;
}

static void check_tiles(const struct se_tiles *tiles)
{
	int dirty = 0;

	for (int row = 0; row < tiles->rows; row++)
		for (int column = 0; column < tiles->columns; column++) {
			const struct se_tile *tile = se_tile_at(tiles, column, row);
			struct se_rect all = se_tile_rect(tiles, column, row), box = differing(all), found = se_tile_dirty_box(tile, all);

			CHECK(tile->dirty == !se_rect_empty(box), "tile %d,%d", column, row);
			dirty += tile->dirty;
			if (!tile->dirty)
				continue;
			CHECK(memcmp(&box, &found, sizeof box) == 0, "tile %d,%d: %d,%d %dx%d", column, row, found.x, found.y, found.w, found.h);
			CHECK(tile->changed_us == NOW, "tile %d,%d has changed", column, row);
			CHECK(se_rect_holds(tiles->dirty_bounds, all), "bounds");
		}
	CHECK(tiles->dirty == dirty, "%d dirty tiles, counted %d", dirty, tiles->dirty);
	CHECK(dirty > 0 || se_rect_empty(tiles->dirty_bounds), "bounds of nothing");
}

/* In two parts, each with rows of tiles of its own, as several threads would. */
static void compare_in_parts(struct se_tiles *tiles)
{
	const struct se_tiles_known known = { NULL, 0, NULL };
	struct se_tiles parts[2] = { se_tiles_fork(tiles), se_tiles_fork(tiles) };
	int cut = tiles->rows / 2 * SE_TILE;
	struct se_rect halves[2] = { { 0, 0, tiles->width, cut }, { 0, cut, tiles->width, tiles->height - cut } };

	for (int i = 0; i < 2; i++) {
		if (!se_rect_empty(halves[i]))
			se_tiles_compare(&parts[i], &shown, &wanted, halves[i], &known, NOW);
		se_tiles_join(tiles, &parts[i]);
	}
}

void test_tiles(void)
{
	uint32_t seed = 5;

	for (int i = 0; i < ROUNDS; i++) {
		struct se_tiles tiles = { 0 };
		int width = draw_between(&seed, 1, i % 8 ? 100 : 1200), height = draw_between(&seed, 1, 70);

		CHECK(se_picture_resize(&shown, width, height) == SE_OK && se_picture_resize(&wanted, width, height) == SE_OK, "memory");
		CHECK(se_tiles_layout(&tiles, width, height, SE_TILE_EXACT, 1) == SE_OK, "memory");
		for (int j = 0; j < 3; j++) { /* what was dirty becomes clean again */
			scatter(&seed);
			se_pixel_use_portable(j == 1);
			compare_in_parts(&tiles);
			se_pixel_use_portable(false);
			check_tiles(&tiles);
		}
		se_tiles_free(&tiles);
	}
	se_picture_free(&shown);
	se_picture_free(&wanted);
}
