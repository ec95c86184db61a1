/* predictor.h - what a photograph's pixels differ by from what their neighbours let expect (docs/protocol.md, section 4).
 *
 * Pure functions, any thread.
 */
#ifndef SE_PREDICTOR_H
#define SE_PREDICTOR_H

#include <stddef.h>
#include <stdint.h>

#include "region.h"

/* The residuals of `rect` of the BGRX image whose top left is `pixels`, w * h bytes into each plane: green, red less green,
 * blue less green. Nothing outside the rectangle is read; the X byte does not count. */
void se_predictor_residuals(const uint8_t *pixels, size_t stride, struct se_rect rect, uint8_t *green, uint8_t *red,
                            uint8_t *blue);

#endif
