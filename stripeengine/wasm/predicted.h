/* predicted.h - pixels out of the residuals of a predicted rectangle (docs/protocol.md, section 4).
 *
 * Pure functions on the caller's memory: no allocation, nothing blocks, any thread.
 */
#ifndef SE_PREDICTED_H
#define SE_PREDICTED_H

#include <stddef.h>
#include <stdint.h>

/* Writes `width` x `height` pixels, R, G, B, 255 in memory. Their residuals are as many bytes at `plane` (green) and one and two
 * times `distance` behind it (red and blue less green). Nothing beyond these pixels and bytes is touched. */
void se_predicted_decode(const uint8_t *plane, size_t distance, uint32_t *pixels, size_t width, size_t height);

#endif
