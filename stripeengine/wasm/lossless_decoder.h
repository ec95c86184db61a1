/* lossless_decoder.h - the client's side of the lossless batch (docs/protocol.md, section 4), for bytes from strangers.
 *
 * Compiled to WebAssembly for the browser, and natively for the tests. Works on the caller's memory only: no allocation, nothing
 * blocks, any thread. Time and memory grow with the payload and the announced pixels, never with what the payload claims.
 */
#ifndef SE_LOSSLESS_DECODER_H
#define SE_LOSSLESS_DECODER_H

#include <stddef.h>
#include <stdint.h>

/* Pixels to be left free behind those of a batch: runs are written four pixels at a time. */
#define SE_LOSSLESS_DECODER_SLACK 4

enum se_lossless_decoder_error {
	SE_LOSSLESS_DECODER_OK = 0,
	SE_LOSSLESS_DECODER_HEAD = -1,
	SE_LOSSLESS_DECODER_OP_BYTES = -2,
	SE_LOSSLESS_DECODER_BODY_LENGTH = -3,
	SE_LOSSLESS_DECODER_NOT_DEFLATE = -4,
	SE_LOSSLESS_DECODER_DEFLATE_EARLY = -5,
	SE_LOSSLESS_DECODER_DEFLATE_LATE = -6,
	SE_LOSSLESS_DECODER_DEFLATE_LENGTH = -7,
	SE_LOSSLESS_DECODER_EARLY = -8,
	SE_LOSSLESS_DECODER_LATE = -9,
	SE_LOSSLESS_DECODER_LITERALS = -10,
	SE_LOSSLESS_DECODER_INDEX = -11,
	SE_LOSSLESS_DECODER_RUN = -12,
	SE_LOSSLESS_DECODER_LEFT = -13,
	SE_LOSSLESS_DECODER_ABOVE = -14,
	SE_LOSSLESS_DECODER_FLAGS = -15,
	SE_LOSSLESS_DECODER_FORM = -16,
	SE_LOSSLESS_DECODER_PLANES = -17,
};

struct se_lossless_size {
	uint32_t width, height;
};

/* A batch whose head has been checked; points into the payload, which must live as long. */
struct se_lossless_decoder {
	const struct se_lossless_size *sizes;
	size_t count;
	const uint8_t *body;
	size_t body_size;
	int deflated;
	int has_forms; /* the op stream begins with a form of each rectangle */
	unsigned palette_size;
	size_t op_bytes;       /* scratch memory that `run` needs if the body is deflated */
	uint64_t pixels;       /* of all rectangles */
	uint32_t palette[256]; /* R, G, B, 255 in memory; 0 where there is no colour */
};

/* Checks the head of a batch of `count` rectangles of `sizes`. Returns a se_lossless_decoder_error. */
int se_lossless_decoder_open(struct se_lossless_decoder *self, const uint8_t *payload, size_t length,
                             const struct se_lossless_size *sizes, size_t count);

/* Decodes the batch into `pixels`, rectangle after rectangle, R, G, B, 255 in memory.
 *
 * `scratch` has room for `op_bytes` bytes, `pixels` for `pixels` + SE_LOSSLESS_DECODER_SLACK. Returns a se_lossless_decoder_error;
 * after one, both hold anything. */
int se_lossless_decoder_run(const struct se_lossless_decoder *self, uint8_t *scratch, uint32_t *pixels);

/* The error in words; never NULL. */
const char *se_lossless_decoder_message(int error);

#endif
