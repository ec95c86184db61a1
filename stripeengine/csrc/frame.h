/* frame.h - wire messages (docs/protocol.md, section 2): packed, reference-counted, immutable once handed out.
 *
 * The reference count is atomic: a consumer may hold a frame while the engine makes the next, and beyond the engine's end.
 */
#ifndef SE_FRAME_H
#define SE_FRAME_H

#include "region.h"

#define SE_FRAME_AIM 262144u  /* bytes; only a single key frame may exceed it */
#define SE_FRAME_MAX 8388608u /* bytes */
#define SE_FRAME_HEADER 48u
#define SE_FRAME_RECORD 32u
#define SE_FRAME_MAX_OPS 4096u

enum { SE_KIND_FRAME = 1, SE_KIND_SNAPSHOT = 2 };
enum { SE_FLAG_RESIZED = 1 << 0, SE_FLAG_MORE = 1 << 1, SE_FLAG_PARTIAL = 1 << 2 };
enum { SE_OP_FILL = 1, SE_OP_COPY = 2, SE_OP_LOSSLESS = 3, SE_OP_JPEG = 4, SE_OP_H264 = 5 };
enum { SE_OP_KEY = 1 << 0, SE_OP_CROP = 1 << 1, SE_OP_FINAL = 1 << 2, SE_OP_444 = 1 << 3 };

struct se_op {
	uint8_t kind, flags;
	uint16_t stream;
	struct se_rect rect;
	int source_x, source_y; /* copy */
	uint32_t value;         /* fill: colour 0x00RRGGBB; lossless: index in its batch */
	int payload_width, payload_height;
	const uint8_t *payload; /* borrowed until packed; NULL for fill and copy. Lossless ops of one batch follow one another
	                           and have the same */
	size_t length;
};

/* True if its payload is smaller than its rectangle. */
static inline bool se_op_is_stretched(const struct se_op *op)
{
	return op->payload_width < op->rect.w || op->payload_height < op->rect.h;
}

struct se_frame_info {
	uint8_t kind;
	uint16_t flags;
	uint32_t epoch, frame_id;
	int width, height;
	uint64_t capture_us;
	uint32_t encode_us;
};

/* How many of the first ops go into one message: at least 1 if there are any. A batch stays whole, and no message holds
 * two; a batch has at most SE_FRAME_MAX_OPS ops. */
size_t se_frame_fit(const struct se_op *ops, size_t count);

/* A message of these ops, or NULL if there is no memory or it would exceed the bounds. */
struct se_frame *se_frame_pack(const struct se_frame_info *info, const struct se_op *ops, size_t count);

/* Writes publish_us; only before the frame is handed out. */
void se_frame_stamp(struct se_frame *self, uint64_t publish_us);

uint32_t se_frame_id(const struct se_frame *self);

#endif
