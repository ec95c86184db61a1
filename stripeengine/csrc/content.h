/* content.h - whether a place shows text and interface, or a photograph. Pure functions, any thread.
 *
 * Text has runs, and few colours where it has none; a photograph has neither. What counts is what the lossless form would
 * make of it, estimated from a sample of rows.
 */
#ifndef SE_CONTENT_H
#define SE_CONTENT_H

#include "picture.h"
#include "region.h"

struct se_content {
	int literals; /* of 1000 pixels, those that neither the pixel above nor the one before has */
	int cost;     /* bytes that 1000 pixels take losslessly, before deflate finds what repeats; for photographs
	               * a lower bound */
};

/* Looks at 16 rows in the middle of `rect` (all if it has no more than 32), up to SE_CONTENT_COLUMNS pixels of each from its
 * left on. All zeros if `rect` is empty. */
struct se_content se_content_sample(const struct se_picture *picture, struct se_rect rect);

#define SE_CONTENT_COLUMNS 64

/* True if a JPEG is much smaller than the lossless form: so much that it is worth sending first. */
bool se_content_is_photo(struct se_content content);

#endif
