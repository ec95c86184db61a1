/* tiles.h - what the viewers have of each 16x16 tile of the picture, and which pixels of it are still to be sent.
 *
 * Plain memory, engine thread only. A tile is as bad as its worst pixel: rectangles that cover it in part can make it worse
 * but not better.
 */
#ifndef SE_TILES_H
#define SE_TILES_H

#include "picture.h"

#define SE_TILE 16
#define SE_TILE_STRETCHED 0 /* as `quality`: from a payload of fewer pixels */

/* What a JPEG of that quality, 1..100, and colour resolution is worth: 2..201, full resolution breaks ties. */
static inline int se_tile_quality(int quality, int chroma)
{
	return quality * 2 + (chroma == 444);
}

enum se_tile_state {
	SE_TILE_EXACT,
	SE_TILE_LOSSY,   /* from JPEG */
	SE_TILE_H264,    /* from a video decoder, which rounds as it likes: no source of copies */
	SE_TILE_UNKNOWN, /* nobody knows: has to be sent whole */
	SE_TILE_STATES
};

struct se_tile {
	uint64_t changed_us; /* when it was last seen to differ */
	uint8_t state;       /* enum se_tile_state */
	uint8_t quality;     /* se_tile_quality() of JPEG, the worst; of H.264 what a repair as JPEG must exceed; else 0 */
	bool dirty;          /* the viewers' pixels differ from the captured ones inside the box */
	bool taken;          /* dirty, and on its way: the frame being made sends it */
	uint8_t x0, y0, x1, y1; /* the box, inside the tile, ends excluded */
};

struct se_tiles {
	struct se_tile *items;
	int columns, rows, width, height;
	int counts[SE_TILE_STATES]; /* tiles of each state */
	int dirty;                  /* dirty tiles */
	int taken;                  /* of these */
	struct se_rect dirty_bounds; /* holds all of them, in pixels */
};

/* A map of that size, all tiles in that state and changed at `now`. On failure nothing has changed. */
int se_tiles_layout(struct se_tiles *self, int width, int height, enum se_tile_state state, uint64_t now);
void se_tiles_free(struct se_tiles *self);

/* The tile's pixels, cut to the picture. */
struct se_rect se_tile_rect(const struct se_tiles *self, int column, int row);

static inline struct se_tile *se_tile_at(const struct se_tiles *self, int column, int row)
{
	return &self->items[(size_t)row * (size_t)self->columns + (size_t)column];
}

/* What is dirty of a dirty tile that covers `all`, in pixels of the picture. */
static inline struct se_rect se_tile_dirty_box(const struct se_tile *tile, struct se_rect all)
{
	return (struct se_rect){ all.x + tile->x0, all.y + tile->y0, tile->x1 - tile->x0, tile->y1 - tile->y0 };
}

/* The tiles that `rect` (inside the picture, not empty) touches: columns x .. x + w - 1, rows y .. y + h - 1. */
struct se_rect se_tiles_touched(struct se_rect rect);

/* `rect` grown to whole tiles, cut to the picture. */
struct se_rect se_tiles_snap(const struct se_tiles *self, struct se_rect rect);

struct se_motion;

/* What need not be compared. */
struct se_tiles_known {
	const struct se_rect *rects; /* tiles that lie whole in one of them are left alone: somebody has seen to them */
	int count;
	const struct se_motion *motion; /* tiles that its last search has seen unchanged are clean; or NULL */
};

/* Compares the tiles that `rect` touches, as the viewers have them (`shown`) and as they should be (`wanted`), and notes in
 * what they differ; those that do have changed at `now`. Tiles about which enough is known are not looked at. */
void se_tiles_compare(struct se_tiles *self, const struct se_picture *shown, const struct se_picture *wanted,
                      struct se_rect rect, const struct se_tiles_known *known, uint64_t now);

/* For several threads, each on tiles of its own: a part shares the tiles and counts by itself, until it is joined. */
struct se_tiles se_tiles_fork(const struct se_tiles *self);
void se_tiles_join(struct se_tiles *self, const struct se_tiles *part);

/* The pixels of `rect` (may be empty) differ, nobody needs to look: its tiles are dirty there and have changed at `now`. */
void se_tiles_touch(struct se_tiles *self, struct se_rect rect, uint64_t now);

/* Copies the boxes of the dirty tiles that lie inside `rect` from an image, whose top left is `pixels`, into `picture` and
 * notes that they are on their way. */
void se_tiles_take(struct se_tiles *self, struct se_rect rect, struct se_picture *picture, const uint8_t *pixels, size_t stride);

/* Ends a frame: what was taken but not sent is forgotten. */
void se_tiles_settle(struct se_tiles *self, uint64_t now);

/* The content of `rect` was moved there by (dx, dy), exactly: states move along, and what the rectangle covers whole is not dirty
 * any more. The others have to be compared. */
void se_tiles_move(struct se_tiles *self, struct se_rect rect, int dx, int dy, uint64_t now);

/* `rect` was sent in that form and at that quality, and what was taken of it is not dirty any more. */
void se_tiles_sent(struct se_tiles *self, struct se_rect rect, enum se_tile_state state, int quality);

/* Nobody knows what the viewers have of `rect`: its tiles are to be sent whole. */
void se_tiles_forget(struct se_tiles *self, struct se_rect rect, uint64_t now);

/* The pixels of tiles in that state or a worse one, as a region: it may cover more. */
void se_tiles_worse(const struct se_tiles *self, enum se_tile_state state, struct se_region *out);

#endif
