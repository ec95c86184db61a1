/* activity_private.h - the inside of an activity grid, shared by activity*.c. */
#ifndef SE_ACTIVITY_PRIVATE_H
#define SE_ACTIVITY_PRIVATE_H

#include "activity.h"

#define SE_TILE_FORGET 0.3 /* level below which a tile's history counts for nothing */

struct se_tile {
	double level;           /* as of `changed` */
	uint64_t changed;       /* 0: never */
	float literals;         /* mean of what its changes would leave as literals, of 1000 */
	bool active;            /* part of a video, with hysteresis */
	/* Pixels that its changes have covered: since then, and in a time before. */
	struct se_rect extent, older;
	uint64_t extent_since;
};

/* A region that lives, or that may come to live. */
struct se_activity_slot {
	bool live;
	struct se_rect rect;
	struct se_rect wish;   /* what it should be by the latest look */
	uint64_t opened;
	uint64_t wished;       /* since when a wish other than `rect` has been standing; 0: there is none */
	uint64_t first_wished; /* since when there has been some wish */
	uint64_t rested;       /* the last change before the rest that was told */
};

struct se_activity {
	int width, height, columns, rows;
	struct se_tile *tiles;
	uint8_t *labels; /* of the search for regions: tile seen */
	int *queue;
	uint64_t changed; /* the newest change */
	struct se_rect alive; /* in tiles: all whose level is not 0 are in it. Typing must not cost a look at a whole large screen */
	struct se_activity_slot slots[SE_ACTIVITY_REGIONS];
};

/* The last decay computed: most tiles ask for the same. Begins as { 0, 1 }. */
struct se_decay {
	uint64_t passed;
	double factor;
};

/* The level of a tile at that time. */
double se_tile_level(const struct se_tile *tile, uint64_t now, struct se_decay *decay);

#endif
