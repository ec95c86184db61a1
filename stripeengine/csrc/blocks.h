/* blocks.h - what is dirty, gathered in blocks of 64x64 pixels, each with the form it is best sent in.
 *
 * Engine thread only. A list of blocks is made anew for each frame; its memory is kept.
 */
#ifndef SE_BLOCKS_H
#define SE_BLOCKS_H

#include "tiles.h"

#define SE_BLOCK 64

enum se_form { SE_FORM_FLAT, SE_FORM_LOSSLESS, SE_FORM_JPEG, SE_FORM_VIDEO, SE_FORM_NONE };

struct se_block {
	struct se_rect box; /* holds the dirty pixels, not more than needed; other blocks' boxes are elsewhere */
	uint64_t changed_us; /* the latest of its tiles */
	enum se_form form;   /* NONE: merged into another, or not for this frame */
	int video;           /* index of the region, SE_FORM_VIDEO */
	int literals;        /* of 1000 pixels in a sample */
	int cost;            /* bytes that 1000 pixels take losslessly (content.h); the mean of what was merged */
	int shrink;          /* above 1: sent as a JPEG whose sides are divided by that, for want of budget */
	uint32_t colour;     /* SE_FORM_FLAT */
	bool fast;           /* keeps changing: worth less quality */
	bool lone;           /* not to be merged: a region is close */
	int column, row;
};

struct se_blocks {
	struct se_block *items;
	size_t count, capacity;
	enum se_form text, photo; /* the forms of text and of photographs, SE_FORM_LOSSLESS or SE_FORM_JPEG each */
};

void se_blocks_free(struct se_blocks *self);

/* Gathers the dirty tiles and finds each block's form, of many blocks with the pool's help (pool.h). `regions` (may be empty) hold
 * the live videos, in tiles. SE_E_NOMEM. */
int se_blocks_collect(struct se_blocks *self, const struct se_tiles *tiles, const struct se_picture *picture,
                      const struct se_rect *regions, int region_count, uint64_t *helper_cpu_ns);

/* True if the exact pixels, of that many bytes for 1000, are smaller than the tables of a JPEG. */
bool se_block_is_tiny(struct se_rect box, int cost);

/* What a change of the block says for a video there, as se_activity_touch wants it. */
int se_block_unrest(const struct se_block *block);

/* A new block, all zero, or NULL if there is no memory. Valid until the next one is added. */
struct se_block *se_blocks_add(struct se_blocks *self);

/* Where blocks may not be merged: into a rectangle that touches a region, or that `may`, unless NULL, refuses. */
struct se_blocks_limits {
	const struct se_rect *regions;
	int region_count;
	bool (*may)(void *context, struct se_rect merged);
	void *context;
};

/* Merges neighbours of one form into larger rectangles. Blocks lie in rows, each from left to right. A JPEG that would be little but
 * tables becomes lossless. */
void se_blocks_merge(struct se_blocks *self, const struct se_blocks_limits *limits);

#endif
