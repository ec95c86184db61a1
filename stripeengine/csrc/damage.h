/* damage.h - exact comparison of two BGRX images. The X byte does not count. Pure functions, any thread. */
#ifndef SE_DAMAGE_H
#define SE_DAMAGE_H

#include "picture.h"

/* The smallest rectangle inside `rect` that holds every pixel which differs; empty if none does. `pixels` is the top
 * left of an image at least as large as the picture. */
struct se_rect se_damage_compare(const struct se_picture *picture, const uint8_t *pixels, size_t stride,
                                 struct se_rect rect);

/* XXH3 of whole rows [y0, y1), X bytes included: equal hashes mean equal rows, different ones mean nothing. */
uint64_t se_damage_hash(const uint8_t *pixels, size_t stride, int width, int y0, int y1);

/* The kernels, for the tests: index of the first (last) pixel that differs, or `count` (-1). */
int se_diff_first_portable(const uint8_t *a, const uint8_t *b, int count);
int se_diff_last_portable(const uint8_t *a, const uint8_t *b, int count);
int se_diff_first(const uint8_t *a, const uint8_t *b, int count);
int se_diff_last(const uint8_t *a, const uint8_t *b, int count);

#endif
