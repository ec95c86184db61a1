/* tiles_private.h - the inside of a map of tiles, shared by tiles.c and tiles_compare.c. */
#ifndef SE_TILES_PRIVATE_H
#define SE_TILES_PRIVATE_H

#include "tiles.h"

/* Nothing of the tile is to be sent; the box is: inside the tile, which covers `rect`, ends excluded. Neither is taken. */
void se_tile_set_clean(struct se_tiles *self, struct se_tile *tile);
void se_tile_set_dirty(struct se_tiles *self, struct se_tile *tile, struct se_rect rect, int x0, int y0, int x1, int y1);

#endif
