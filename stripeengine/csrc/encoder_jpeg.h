/* encoder_jpeg.h - JPEG through libjpeg-turbo. Any thread; each thread keeps one compressor for its lifetime. */
#ifndef SE_ENCODER_JPEG_H
#define SE_ENCODER_JPEG_H

#include "buffer.h"

/* Encodes w x h BGRX pixels; chroma is 420 or 444, quality 1..100. The buffer is reused and grows. */
int se_jpeg_encode(const uint8_t *bgrx, size_t stride, int w, int h, int chroma, int quality, struct se_buffer *out);

/* Averages squares of shrink x shrink pixels; at the right and at the bottom they may be smaller. `out` gets
 * ceil(w / shrink) x ceil(h / shrink) BGRX pixels without gaps. SE_E_NOMEM. */
int se_jpeg_shrink(const uint8_t *bgrx, size_t stride, int w, int h, int shrink, struct se_buffer *out);

#endif
