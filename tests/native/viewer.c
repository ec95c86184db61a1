/* viewer.c - a strict client in C. */
#include "viewer.h"

#include <poll.h>
#include <string.h>
#include <turbojpeg.h>
#include <unistd.h>

#include "check.h"
#include "failing.h"
#include "frame.h"
#include "viewer_lossless.h"

static uint32_t get(const uint8_t *at, int bytes)
{
	uint32_t value = 0;

	for (int i = bytes - 1; i >= 0; i--)
		value = value << 8 | at[i];
	return value;
}

void viewer_open(struct viewer *self)
{
	memset(self, 0, sizeof *self);
	self->jpeg = tjInitDecompress();
	CHECK(self->jpeg, "no decoder");
}

void viewer_close(struct viewer *self)
{
	tjDestroy(self->jpeg);
	se_picture_free(&self->picture);
}

/* Stretched by repeating pixels: how well it looks is not this viewer's business. */
static void draw_stretched(struct viewer *self, struct se_rect rect, const uint8_t *payload, size_t length, int pw, int ph)
{
	uint8_t *pixels = malloc((size_t)pw * (size_t)ph * 4);

	CHECK(pixels, "out of memory");
	CHECK(tjDecompress2(self->jpeg, payload, length, pixels, pw, pw * 4, ph, TJPF_BGRX, 0) == 0, "%s",
	      tjGetErrorStr2(self->jpeg));
	for (int y = 0; y < rect.h; y++)
		for (int x = 0; x < rect.w; x++)
			memcpy(se_picture_at(&self->picture, rect.x + x, rect.y + y),
			       pixels + ((size_t)(y * ph / rect.h) * (size_t)pw + (size_t)(x * pw / rect.w)) * 4, 4);
	free(pixels);
}

static void draw_jpeg(struct viewer *self, struct se_rect rect, const uint8_t *payload, size_t length, int pw, int ph)
{
	int width, height, sampling, space;

	CHECK(tjDecompressHeader3(self->jpeg, payload, length, &width, &height, &sampling, &space) == 0, "%s",
	      tjGetErrorStr2(self->jpeg));
	CHECK(width == pw && height == ph, "JPEG of %dx%d for %dx%d", width, height, pw, ph);
	if (pw < rect.w || ph < rect.h) {
		draw_stretched(self, rect, payload, length, pw, ph);
		return;
	}
	CHECK(tjDecompress2(self->jpeg, payload, length, se_picture_at(&self->picture, rect.x, rect.y), width,
	                    (int)self->picture.stride, height, TJPF_BGRX, 0) == 0,
	      "%s", tjGetErrorStr2(self->jpeg));
}

static void note_h264(struct viewer *self, const uint8_t *record, struct se_rect rect, int pw, int ph)
{
	unsigned stream = get(record + 2, 2), flags = record[1];

	CHECK(stream < 16, "stream %u", stream);
	CHECK(pw % 16 == 0 && ph % 16 == 0 && pw >= rect.w && ph >= rect.h && pw - rect.w < 16, "coded %dx%d", pw, ph);
	CHECK(!(flags & SE_OP_CROP) == (pw == rect.w && ph == rect.h), "CROP");
	if (flags & SE_OP_KEY) {
		self->stream_alive[stream] = true;
		self->stream_width[stream] = pw;
		self->stream_height[stream] = ph;
		self->key_frames++;
	}
	CHECK(self->stream_alive[stream] && self->stream_width[stream] == pw && self->stream_height[stream] == ph,
	      "stream %u: a delta without its key frame", stream);
	self->h264_ops++;
}

static void draw_fill(struct viewer *self, struct se_rect rect, uint32_t rgb)
{
	for (int y = rect.y; y < rect.y + rect.h; y++)
		for (int x = rect.x; x < rect.x + rect.w; x++) {
			uint8_t *at = se_picture_at(&self->picture, x, y);

			at[0] = (uint8_t)rgb;
			at[1] = (uint8_t)(rgb >> 8);
			at[2] = (uint8_t)(rgb >> 16);
		}
}

static void draw_copy(struct viewer *self, struct se_rect rect, int sx, int sy)
{
	struct se_picture *p = &self->picture;

	CHECK(sx + rect.w <= p->width && sy + rect.h <= p->height, "copy from %d,%d %dx%d", sx, sy, rect.w, rect.h);
	for (int i = 0; i < rect.h; i++) {
		int row = sy < rect.y ? rect.h - 1 - i : i;

		memmove(se_picture_at(p, rect.x, rect.y + row), se_picture_at(p, sx, sy + row), (size_t)rect.w * 4);
	}
}

/* What is read while the ops of a message are applied. */
struct applying {
	const uint8_t *records;
	size_t record_count;
	const uint8_t *payloads;
	size_t payload_size;
	bool batch_open;
	uint32_t batch_count, batch_offset;
	struct lossless_reader batch;
	bool is_snapshot;
};

static void open_batch(struct applying *all, size_t offset, size_t length)
{
	struct se_rect rects[4096];
	size_t count = 0;

	for (size_t i = 0; i < all->record_count; i++) {
		const uint8_t *record = all->records + i * 32;

		if (record[0] == SE_OP_LOSSLESS)
			rects[count++] = (struct se_rect){ 0, 0, (int)get(record + 24, 2), (int)get(record + 26, 2) };
	}
	lossless_open(&all->batch, all->payloads + offset, length, rects, count);
}

static void draw_lossless(struct viewer *self, struct applying *all, const uint8_t *record, struct se_rect rect)
{
	uint32_t offset = get(record + 16, 4);

	if (!all->batch_open)
		open_batch(all, offset, get(record + 20, 4));
	CHECK(!all->batch_open || offset == all->batch_offset, "two batches in a message");
	CHECK(get(record + 28, 4) == all->batch_count++, "rectangle %u", get(record + 28, 4));
	all->batch_open = true;
	all->batch_offset = offset;
	lossless_read(&all->batch, se_picture_at(&self->picture, rect.x, rect.y), self->picture.stride, rect.w, rect.h);
}

static void apply_op(struct viewer *self, const uint8_t *record, struct applying *all)
{
	struct se_rect rect = { (int)get(record + 4, 2), (int)get(record + 6, 2), (int)get(record + 8, 2),
		                    (int)get(record + 10, 2) };
	size_t offset = get(record + 16, 4), length = get(record + 20, 4);
	int pw = (int)get(record + 24, 2), ph = (int)get(record + 26, 2), kind = record[0];
	bool bare = kind == SE_OP_FILL || kind == SE_OP_COPY;

	CHECK(rect.w >= 1 && rect.h >= 1 && rect.x + rect.w <= self->picture.width &&
	              rect.y + rect.h <= self->picture.height,
	      "op %d,%d %dx%d outside of %dx%d", rect.x, rect.y, rect.w, rect.h, self->picture.width, self->picture.height);
	CHECK(kind >= SE_OP_FILL && kind <= SE_OP_H264, "op kind %d", kind);
	CHECK(offset <= all->payload_size && length <= all->payload_size - offset && (length == 0) == bare, "payload");
	CHECK(!all->is_snapshot || (kind != SE_OP_COPY && kind != SE_OP_H264), "kind %d in a snapshot", kind);
	CHECK(kind == SE_OP_COPY || get(record + 12, 4) == 0, "a source");
	CHECK(kind == SE_OP_H264 || get(record + 2, 2) == 0, "a stream");
	if (kind == SE_OP_JPEG)
		CHECK(pw >= 1 && ph >= 1 && pw <= rect.w && ph <= rect.h, "payload of %dx%d", pw, ph);
	else if (kind != SE_OP_H264)
		CHECK(bare ? pw == 0 && ph == 0 : pw == rect.w && ph == rect.h, "payload of %dx%d", pw, ph);
	if (record[1] & SE_OP_FINAL)
		self->final_ops++;
	self->kinds[kind]++;
	if (kind == SE_OP_FILL)
		draw_fill(self, rect, get(record + 28, 4));
	else if (kind == SE_OP_COPY)
		draw_copy(self, rect, (int)get(record + 12, 2), (int)get(record + 14, 2));
	else if (kind == SE_OP_LOSSLESS)
		draw_lossless(self, all, record, rect);
	else if (kind == SE_OP_JPEG)
		draw_jpeg(self, rect, all->payloads + offset, length, pw, ph);
	else
		note_h264(self, record, rect, pw, ph);
}

static void check_header(struct viewer *self, const uint8_t *data, size_t size)
{
	int width = (int)get(data + 12, 2), height = (int)get(data + 14, 2);
	uint32_t id = get(data + 8, 4), flags = get(data + 38, 2), epoch = get(data + 4, 4);

	CHECK(data[0] == 1 && data[2] == 48 && data[3] == 32 && epoch != 0, "header");
	CHECK(size == 48 + 32u * get(data + 36, 2) + get(data + 32, 4), "%zu bytes", size);
	CHECK(size <= SE_FRAME_AIM || get(data + 36, 2) == 1, "%zu bytes in more than one op", size);
	CHECK(self->epoch == 0 || self->epoch == epoch, "epoch");
	self->epoch = epoch;
	if (data[1] == SE_KIND_FRAME) {
		CHECK(id == self->frame_id + 1, "frame %u after %u", id, self->frame_id);
		CHECK(get(data + 36, 2) > 0, "an empty frame");
		self->frame_id = id;
	}
	if (flags & SE_FLAG_RESIZED || (data[1] == SE_KIND_SNAPSHOT && !self->more && !(flags & SE_FLAG_PARTIAL)))
		CHECK(se_picture_resize(&self->picture, width, height) == 0, "%dx%d", width, height);
	self->more = flags & SE_FLAG_MORE;
	CHECK(width == self->picture.width && height == self->picture.height, "a resize without RESIZED");
}

void viewer_apply(struct viewer *self, const uint8_t *data, size_t size)
{
	struct applying all = { .is_snapshot = size > 1 && data[1] == SE_KIND_SNAPSHOT };
	size_t count;

	CHECK(size >= 48, "%zu bytes", size);
	check_header(self, data, size);
	count = get(data + 36, 2);
	all.records = data + 48;
	all.record_count = count;
	all.payloads = data + 48 + count * 32;
	all.payload_size = get(data + 32, 4);
	for (size_t i = 0; i < count; i++)
		apply_op(self, data + 48 + i * 32, &all);
	if (all.batch_open)
		lossless_close(&all.batch);
	self->messages++;
	self->bytes += size;
	self->ops += count;
}

int viewer_follow(struct viewer *self, struct se_engine *engine, int quiet_ms)
{
	struct pollfd fd = { se_engine_fd(engine), POLLIN, 0 };
	int count = 0;

	while (poll(&fd, 1, quiet_ms) == 1) {
		uint64_t signals;
		struct se_frame *frame;

		CHECK(read(fd.fd, &signals, sizeof signals) == sizeof signals, "eventfd");
		while ((frame = se_engine_take(engine))) {
			failing_spare(true);
			viewer_apply(self, se_frame_data(frame), se_frame_size(frame));
			failing_spare(false);
			se_frame_unref(frame);
			count++;
		}
	}
	return count;
}

int viewer_difference(const struct viewer *self, const struct se_picture *other)
{
	int worst = 0;

	CHECK(self->picture.width == other->width && self->picture.height == other->height, "sizes %dx%d and %dx%d",
	      self->picture.width, self->picture.height, other->width, other->height);
	for (int y = 0; y < other->height; y++) {
		const uint8_t *a = se_picture_at(&self->picture, 0, y), *b = se_picture_at(other, 0, y);

		for (int i = 0; i < other->width * 4; i++)
			if (i % 4 != 3 && abs(a[i] - b[i]) > worst)
				worst = abs(a[i] - b[i]);
	}
	return worst;
}
