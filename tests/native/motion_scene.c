/* motion_scene.c - see motion_scene.h. */
#include "motion_scene.h"

#include <string.h>

#include "check.h"
#include "error.h"
#include "pixel.h"

struct se_picture scene_before, scene_after, scene_shown;

struct se_motion *scene_finder;
static struct se_motion *plain_finder; /* without SIMD: the same calls, the same answers */

void scene_open(void)
{
	scene_finder = se_motion_new();
	plain_finder = se_motion_new();
	CHECK(scene_finder && plain_finder, "%s", se_error_message());
}

void scene_close(void)
{
	se_motion_free(scene_finder);
	se_motion_free(plain_finder);
	se_picture_free(&scene_before);
	se_picture_free(&scene_after);
	se_picture_free(&scene_shown);
}

void scene_fill(struct se_picture *picture, struct se_rect r, uint32_t colour)
{
	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++)
			memcpy(se_picture_at(picture, x, y), &colour, 4);
}

/* Lines of text on white: glyphs of 8x16 out of 60, drawn by a hash, a third of them blank, lines of different length. */
void scene_write_text(struct se_picture *picture, struct se_rect r, uint32_t *seed)
{
	scene_fill(picture, r, 0xffffff);
	for (int top = r.y + 2; top + 16 <= r.y + r.h; top += 18) {
		int letters = draw_between(seed, 0, (r.w - 8) / 8);

		for (int i = 0; i < letters; i++) {
			uint32_t glyph = draw(seed) % 90;

			if (glyph >= 60)
				continue;
			for (int y = 3; y < 14; y++)
				for (int x = 0; x < 7; x++) {
					uint32_t bits = (glyph * 131 + (uint32_t)(y * 7 + x)) * 0x9e3779b1u >> 28;

					if (bits < 5)
						memset(se_picture_at(picture, r.x + 4 + i * 8 + x, top + y), (int)bits * 40, 3);
				}
		}
	}
}

void scene_make_noise(struct se_picture *picture, struct se_rect r, uint32_t *seed)
{
	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++) {
			uint32_t colour = draw(seed);

			memcpy(se_picture_at(picture, x, y), &colour, 4);
		}
}

void scene_begin(int width, int height)
{
	CHECK(se_picture_resize(&scene_before, width, height) == SE_OK && se_picture_resize(&scene_after, width, height) == SE_OK &&
	              se_picture_resize(&scene_shown, width, height) == SE_OK,
	      "%s", se_error_message());
}

void scene_copy_all(struct se_picture *to, const struct se_picture *from)
{
	se_picture_copy(to, from->pixels, from->stride, se_picture_bounds(from));
}

/* Moves a rectangle of `after`, cut at `clip`. */
void scene_shift(struct se_rect r, int dx, int dy, struct se_rect clip)
{
	struct se_rect to = se_rect_intersect((struct se_rect){ r.x + dx, r.y + dy, r.w, r.h }, clip);

	for (int y = to.y; y < to.y + to.h; y++)
		for (int x = to.x; x < to.x + to.w; x++)
			memcpy(se_picture_at(&scene_after, x, y), se_picture_at(&scene_before, x - dx, y - dy), 4);
}

static bool same_pixel(const struct se_picture *a, const struct se_picture *b, int x, int y)
{
	return memcmp(se_picture_at(a, x, y), se_picture_at(b, x, y), 3) == 0;
}

int scene_differing(const struct se_picture *a, const struct se_picture *b, struct se_rect r)
{
	int count = 0;

	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++)
			count += !same_pixel(a, b, x, y);
	return count;
}

int scene_unchanged;

/* A tile that is said to be unchanged is, to the pixel; one that leaves the area is not said to be. */
static void check_unchanged(struct se_rect area)
{
	scene_unchanged = 0;
	for (int y = 0; y < scene_before.height; y += SE_MOTION_TILE)
		for (int x = 0; x < scene_before.width; x += SE_MOTION_TILE) {
			struct se_rect tile = { x, y, SE_MOTION_TILE, SE_MOTION_TILE };

			tile = se_rect_intersect(tile, se_picture_bounds(&scene_before));
			CHECK(se_motion_unchanged(scene_finder, tile) == se_motion_unchanged(plain_finder, tile), "SIMD sees other changes");
			if (!se_motion_unchanged(scene_finder, tile))
				continue;
			CHECK(se_rect_holds(area, tile), "a tile outside of the area is called unchanged");
			CHECK(scene_differing(&scene_before, &scene_after, tile) == 0, "a tile at %d,%d has changed", x, y);
			scene_unchanged++;
		}
}

/* Asks the finder and holds it to its contract. Returns how many moves there were; *left is how many pixels differ after them. */
int scene_find_beside(struct se_rect area, const struct se_region *barred, const struct se_region *kept, struct se_move *moves,
                       int *left)
{
	struct se_move plain[SE_MOTION_MAX];
	int count;

	for (int y = 0; y < scene_before.height; y++) /* X does not count */
		for (int x = 0; x < scene_before.width; x++)
			se_picture_at(&scene_before, x, y)[3] ^= (uint8_t)(x * 7 + y);
	count = se_motion_find_beside(scene_finder, &scene_before, scene_after.pixels, scene_after.stride, area, barred, kept, moves);
	CHECK(count >= 0 && count <= SE_MOTION_MAX, "%d: %s", count, se_error_message());
	se_pixel_use_portable(true);
	CHECK(se_motion_find_beside(plain_finder, &scene_before, scene_after.pixels, scene_after.stride, area, barred, kept, plain) == count,
	      "SIMD finds others");
	se_pixel_use_portable(false);
	CHECK(memcmp(moves, plain, (size_t)count * sizeof *moves) == 0, "SIMD finds others");
	check_unchanged(area);
	scene_copy_all(&scene_shown, &scene_before);
	for (int i = 0; i < count; i++) {
		struct se_rect r = moves[i].rect, source = se_move_source(moves[i]);

		CHECK(moves[i].dx != 0 || moves[i].dy != 0, "a move to its own place");
		CHECK(!se_rect_empty(r) && se_rect_holds(area, r) && se_rect_holds(area, source), "a move leaves the area");
		CHECK(!barred || !se_region_intersects(barred, source), "a move from a barred place");
		CHECK(!kept || !se_region_intersects(kept, r), "a move to a kept place");
		CHECK(scene_differing(&scene_before, &scene_after, r) >= SE_MOTION_LEAST, "a move saves %d pixels", scene_differing(&scene_before, &scene_after, r));
		for (int k = 0; k < i; k++)
			CHECK(se_rect_empty(se_rect_intersect(r, moves[k].rect)), "two moves to one place");
		se_move_apply(moves[i], &scene_shown);
	}
	for (int i = 0; i < count; i++)
		CHECK(scene_differing(&scene_shown, &scene_after, moves[i].rect) == 0, "move %d of %d is not exact", i, count);
	*left = scene_differing(&scene_shown, &scene_after, area);
	return count;
}

int scene_find(struct se_rect area, const struct se_region *barred, struct se_move *moves, int *left)
{
	return scene_find_beside(area, barred, NULL, moves, left);
}
