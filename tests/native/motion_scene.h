/* motion_scene.h - two pictures between which something has moved, and a finder that is held to its contract. */
#ifndef MOTION_SCENE_H
#define MOTION_SCENE_H

#include "motion_private.h"

extern struct se_picture scene_before, scene_after;
extern struct se_picture scene_shown; /* the first, after the moves that were found last */
extern int scene_unchanged;           /* tiles that the last call has found unchanged */

extern struct se_motion *scene_finder;

/* A finder, and one without SIMD that must answer the same. */
void scene_open(void);
void scene_close(void);

/* Both pictures get that size. */
void scene_begin(int width, int height);

void scene_fill(struct se_picture *picture, struct se_rect r, uint32_t colour);
void scene_write_text(struct se_picture *picture, struct se_rect r, uint32_t *seed);
void scene_make_noise(struct se_picture *picture, struct se_rect r, uint32_t *seed);
void scene_copy_all(struct se_picture *to, const struct se_picture *from);

/* Puts what the first shows in `r` into the second, displaced, inside of `clip`. */
void scene_shift(struct se_rect r, int dx, int dy, struct se_rect clip);

/* Pixels in `r` of another colour. */
int scene_differing(const struct se_picture *a, const struct se_picture *b, struct se_rect r);

/* Asks the finder and holds it to its contract: whatever is found is exact. Returns how many moves there were; *left is how many
 * pixels differ after them. */
int scene_find_beside(struct se_rect area, const struct se_region *barred, const struct se_region *kept, struct se_move *moves,
                      int *left);
int scene_find(struct se_rect area, const struct se_region *barred, struct se_move *moves, int *left);

#endif
