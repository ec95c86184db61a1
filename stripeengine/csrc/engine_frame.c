/* engine_frame.c - from ops to finished messages, and what becomes of failures. Engine thread. */
#include "engine_private.h"

#include <string.h>

#include "clock.h"
#include "error.h"

/* Frames in a row before the engine gives up: in which everything failed, in which something did. */
#define FAILURES_WHOLE 5
#define FAILURES_PARTIAL 40

static int reserve_slot(struct se_engine *self, size_t count)
{
	struct se_frame **slot;

	if (count <= self->slot_capacity)
		return SE_OK;
	slot = realloc(self->slot, count * sizeof *slot);
	if (!slot)
		return se_error_set(SE_E_NOMEM, "out of memory: %zu messages", count);
	self->slot = slot;
	self->slot_capacity = count;
	return SE_OK;
}

/* Packs ops into messages. Returns how many ops are in them; *messages are in `packed`. */
static size_t pack(struct se_engine *self, const struct se_op *ops, size_t op_count, struct se_frame **packed,
                   size_t *messages, uint64_t capture_us, uint64_t begun_us)
{
	size_t done = 0;

	*messages = 0;
	while (done < op_count) {
		size_t count = se_frame_fit(ops + done, op_count - done);
		struct se_frame_info info = {
			.kind = SE_KIND_FRAME,
			.flags = self->resized ? SE_FLAG_RESIZED : 0,
			.epoch = self->epoch,
			.frame_id = self->frame_id + 1,
			.width = self->reference.width,
			.height = self->reference.height,
			.capture_us = capture_us,
			.encode_us = (uint32_t)(se_now_us() - begun_us),
		};

		packed[*messages] = se_frame_pack(&info, ops + done, count);
		if (!packed[*messages])
			break;
		++*messages;
		self->resized = false;
		self->frame_id++;
		done += count;
	}
	return done;
}

/* Puts the messages where the consumer takes them. The slot is empty: this thread only builds when it is. */
static void hand_out(struct se_engine *self, struct se_frame **packed, size_t messages, size_t ops, uint64_t latency)
{
	struct se_stats *stats = &self->stats;

	pthread_mutex_lock(&self->lock);
	self->slot_next = 0;
	self->slot_count = messages;
	for (size_t i = 0; i < messages; i++) {
		self->slot[i] = packed[i];
		stats->bytes += se_frame_size(packed[i]);
	}
	stats->frames += messages;
	stats->ops += ops;
	stats->width = self->reference.width;
	stats->height = self->reference.height;
	if (latency != SE_NEVER) {
		uint32_t at = self->latency_next++ % (uint32_t)(sizeof stats->latency_us / sizeof *stats->latency_us);

		stats->latency_us[at] = latency < UINT32_MAX ? (uint32_t)latency : UINT32_MAX;
		if (at >= stats->latency_count)
			stats->latency_count = at + 1;
	}
	pthread_mutex_unlock(&self->lock);
	se_engine_signal(self->event_fd);
}

int se_engine_judge(struct se_engine *self, int code, const char *text, bool partial)
{
	if (code == SE_OK) {
		self->failures_in_a_row = 0;
		return SE_OK;
	}
	self->failures_in_a_row += partial ? 1 : FAILURES_PARTIAL / FAILURES_WHOLE;
	if (self->failures_in_a_row < FAILURES_PARTIAL)
		return SE_OK;
	return se_error_set(code, "encoding failed for many frames in a row: %.200s", text);
}

size_t se_engine_send(struct se_engine *self, const struct se_op *ops, size_t count, uint64_t capture_us,
                      uint64_t begun_us, bool changed, int *code, size_t *bytes)
{
	struct se_frame **packed = calloc(count + 1, sizeof *packed);
	size_t messages = 0, sent = 0;

	*code = SE_OK;
	*bytes = 0;
	pthread_mutex_lock(&self->lock); /* `slot` is shared */
	if (!packed)
		*code = se_error_set(SE_E_NOMEM, "out of memory: %zu messages", count);
	else
		*code = reserve_slot(self, count);
	pthread_mutex_unlock(&self->lock);
	if (*code == SE_OK)
		sent = pack(self, ops, count, packed, &messages, capture_us, begun_us);
	if (sent < count && *code == SE_OK)
		*code = SE_E_ENCODER;
	if (messages > 0) {
		self->copies_waiting = false;
		for (size_t i = 0; i < sent; i++)
			self->copies_waiting = self->copies_waiting || ops[i].kind == SE_OP_COPY;
		for (size_t i = 0; i < messages; i++)
			*bytes += se_frame_size(packed[i]);
		hand_out(self, packed, messages, sent, changed ? se_now_us() - capture_us : SE_NEVER);
	}
	free(packed);
	return sent;
}
