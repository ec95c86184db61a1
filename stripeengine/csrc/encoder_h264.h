/* encoder_h264.h - one H.264 stream through x264: ultrafast, zero latency, infinite GOP, a rate factor of its own.
 *
 * An encoder is used by one thread at a time; any may be the next. Opening and closing take a process-wide lock, for
 * libx264 does not allow two at once. Built without x264, opening fails with SE_E_UNSUPPORTED.
 */
#ifndef SE_ENCODER_H264_H
#define SE_ENCODER_H264_H

#include <stdbool.h>

#include "buffer.h"
#include "colour.h"
#include "region.h"

struct se_h264;

/* What a stream is made of; another form is another stream, which begins with a key frame. */
struct se_h264_form {
	int chroma; /* 420 or 444 */
	enum se_colour colour;
};

static inline bool se_h264_same_form(struct se_h264_form a, struct se_h264_form b)
{
	return a.chroma == b.chroma && a.colour == b.colour;
}

/* For pictures of width x height; coded in whole macroblocks, edges repeated. NULL on failure. */
struct se_h264 *se_h264_open(int width, int height, struct se_h264_form form, int framerate);
void se_h264_free(struct se_h264 *self);

bool se_h264_fits(const struct se_h264 *self, int width, int height, struct se_h264_form form);

/* Takes over the pixels of `rect` (inside the picture); `bgrx` is the picture's top left. */
void se_h264_update(struct se_h264 *self, const uint8_t *bgrx, size_t stride, struct se_rect rect);

/* Encodes what has been taken over so far into one access unit; the stream's first is always a key frame. Returns 1
 * for a key frame, 0 for a delta. `crf` is the quantizer of a delta of middling difficulty, changes that are more costly get a
 * coarser one, cheap ones a finer one; a key frame has always three steps less. A picture of more than `most` bytes (0: what a
 * message holds) is made anew as a coarser key frame, as long as it can be. After a failure the encoder must be freed. */
int se_h264_encode(struct se_h264 *self, bool key, int crf, size_t most, struct se_buffer *out);

/* Size of the decoded picture: multiples of 16. */
void se_h264_coded_size(const struct se_h264 *self, int *width, int *height);

#endif
