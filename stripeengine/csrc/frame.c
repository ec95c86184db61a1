/* frame.c - wire messages: packing and reference counting. */
#include "frame.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

struct se_frame {
	atomic_uint references;
	uint32_t id;
	size_t size;
	uint8_t data[];
};

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value & 0xffff);
	put16(at + 2, value >> 16);
}

static void put64(uint8_t *at, uint64_t value)
{
	put32(at, (uint32_t)value);
	put32(at + 4, (uint32_t)(value >> 32));
}

/* True if the op at `index` has the payload of the one before. */
static bool shares_payload(const struct se_op *ops, size_t index)
{
	return index > 0 && ops[index].kind == SE_OP_LOSSLESS && ops[index - 1].kind == SE_OP_LOSSLESS &&
	       ops[index].payload == ops[index - 1].payload;
}

size_t se_frame_fit(const struct se_op *ops, size_t count)
{
	size_t size = SE_FRAME_HEADER, fits = 0;
	bool batch = false;

	while (fits < count) {
		size_t end = fits + 1; /* of the ops that stay together */

		while (end < count && shares_payload(ops, end))
			end++;
		/* Lengths are far below SIZE_MAX / ops. */
		size += (end - fits) * SE_FRAME_RECORD + ops[fits].length;
		if (fits > 0 && (size > SE_FRAME_AIM || end > SE_FRAME_MAX_OPS || (batch && ops[fits].kind == SE_OP_LOSSLESS)))
			break;
		batch = batch || ops[fits].kind == SE_OP_LOSSLESS;
		fits = end;
	}
	return fits;
}

static void put_header(uint8_t *at, const struct se_frame_info *info, size_t count, size_t payload_size)
{
	memset(at, 0, SE_FRAME_HEADER);
	at[0] = 1;
	at[1] = info->kind;
	at[2] = SE_FRAME_HEADER;
	at[3] = SE_FRAME_RECORD;
	put32(at + 4, info->epoch);
	put32(at + 8, info->frame_id);
	put16(at + 12, (unsigned)info->width);
	put16(at + 14, (unsigned)info->height);
	put64(at + 16, info->capture_us);
	put32(at + 32, (uint32_t)payload_size);
	put16(at + 36, (unsigned)count);
	put16(at + 38, info->flags);
	put32(at + 40, info->encode_us);
}

static void put_record(uint8_t *at, const struct se_op *op, size_t offset)
{
	memset(at, 0, SE_FRAME_RECORD);
	at[0] = op->kind;
	at[1] = op->flags;
	put16(at + 2, op->stream);
	put16(at + 4, (unsigned)op->rect.x);
	put16(at + 6, (unsigned)op->rect.y);
	put16(at + 8, (unsigned)op->rect.w);
	put16(at + 10, (unsigned)op->rect.h);
	put16(at + 12, (unsigned)op->source_x);
	put16(at + 14, (unsigned)op->source_y);
	put32(at + 16, (uint32_t)offset);
	put32(at + 20, (uint32_t)op->length);
	put16(at + 24, (unsigned)op->payload_width);
	put16(at + 26, (unsigned)op->payload_height);
	put32(at + 28, op->value);
}

struct se_frame *se_frame_pack(const struct se_frame_info *info, const struct se_op *ops, size_t count)
{
	size_t payload_size = 0, size, offset = 0;
	struct se_frame *self;
	uint8_t *payloads;

	if (count > SE_FRAME_MAX_OPS) {
		se_error_set(SE_E_INVALID, "a message of %zu ops: at most %u are allowed", count, SE_FRAME_MAX_OPS);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (shares_payload(ops, i))
			continue;
		if (ops[i].length > SE_FRAME_MAX - payload_size) {
			se_error_set(SE_E_ENCODER, "a message would exceed %u bytes", SE_FRAME_MAX);
			return NULL;
		}
		payload_size += ops[i].length;
	}
	size = SE_FRAME_HEADER + count * SE_FRAME_RECORD + payload_size;
	if (size > SE_FRAME_MAX) {
		se_error_set(SE_E_ENCODER, "a message of %zu bytes: at most %u are allowed", size, SE_FRAME_MAX);
		return NULL;
	}
	self = malloc(sizeof *self + size);
	if (!self) {
		se_error_set(SE_E_NOMEM, "out of memory: a message of %zu bytes", size);
		return NULL;
	}
	atomic_init(&self->references, 1);
	self->id = info->frame_id;
	self->size = size;
	put_header(self->data, info, count, payload_size);
	payloads = self->data + SE_FRAME_HEADER + count * SE_FRAME_RECORD;
	for (size_t i = 0; i < count; i++) {
		bool shared = shares_payload(ops, i);

		put_record(self->data + SE_FRAME_HEADER + i * SE_FRAME_RECORD, &ops[i],
		           shared ? offset - ops[i].length : ops[i].length > 0 ? offset : 0);
		if (shared || ops[i].length == 0)
			continue;
		memcpy(payloads + offset, ops[i].payload, ops[i].length);
		offset += ops[i].length;
	}
	return self;
}

void se_frame_stamp(struct se_frame *self, uint64_t publish_us)
{
	put64(self->data + 24, publish_us);
}

uint32_t se_frame_id(const struct se_frame *self)
{
	return self->id;
}

void se_frame_unref(struct se_frame *self)
{
	if (self && atomic_fetch_sub_explicit(&self->references, 1, memory_order_acq_rel) == 1)
		free(self);
}

void se_frames_free(struct se_frame **frames, size_t count)
{
	if (!frames)
		return;
	for (size_t i = 0; i < count; i++)
		se_frame_unref(frames[i]);
	free(frames);
}

uint8_t *se_frame_data(struct se_frame *self)
{
	return self->data;
}

size_t se_frame_size(const struct se_frame *self)
{
	return self->size;
}
