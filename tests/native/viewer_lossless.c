/* viewer_lossless.c - the client's side of the lossless batch. */
#include "viewer_lossless.h"

#include <libdeflate.h>
#include <stddef.h>
#include <string.h>

#include "check.h"

static int next(struct lossless_reader *self)
{
	CHECK(self->at < self->size, "the op stream ends early");
	return self->stream[self->at++];
}

/* Finds the forms before the ops and the planes behind them. */
static void open_forms(struct lossless_reader *self, const struct se_rect *rects, size_t count)
{
	CHECK(self->size >= count, "the forms end early");
	self->forms = self->stream;
	self->at = count;
	for (size_t i = 0; i < count; i++) {
		CHECK(self->forms[i] <= 1, "form %d", self->forms[i]);
		self->plane_size += self->forms[i] ? (size_t)se_rect_area(rects[i]) : 0;
	}
	CHECK(self->plane_size > 0, "forms without a predicted rectangle");
	CHECK(self->size - count >= 3 * self->plane_size, "the planes end early");
	self->size -= 3 * self->plane_size;
	self->planes = self->size;
}

void lossless_open(struct lossless_reader *self, const uint8_t *payload, size_t length, const struct se_rect *rects,
                   size_t count)
{
	size_t head = 6 + 3 * (length > 1 ? (size_t)payload[1] : 0), used = 0, got = 0, pixels = 0;

	memset(self, 0, sizeof *self);
	CHECK(length > head && payload[0] <= 3, "a batch of %zu bytes", length);
	self->palette_size = payload[1];
	memcpy(self->palette, payload + 2, (size_t)self->palette_size * 3);
	for (int i = 0; i < 4; i++)
		self->size |= (size_t)payload[head - 4 + (size_t)i] << (8 * i);
	for (size_t i = 0; i < count; i++)
		pixels += (size_t)se_rect_area(rects[i]);
	CHECK(self->size <= 4 * pixels + 64, "%zu op bytes for %zu pixels", self->size, pixels);
	self->stream = malloc(self->size + 1);
	CHECK(self->stream, "memory");
	if (payload[0] & 1) {
		struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();

		CHECK(inflater && libdeflate_deflate_decompress_ex(inflater, payload + head, length - head, self->stream, self->size,
		                                                   &used, &got) == LIBDEFLATE_SUCCESS,
		      "inflate");
		CHECK(got == self->size && used == length - head, "%zu of %zu bytes", got, self->size);
		libdeflate_free_decompressor(inflater);
	} else {
		CHECK(length - head == self->size, "%zu bytes, not %zu", length - head, self->size);
		memcpy(self->stream, payload + head, self->size);
	}
	if (payload[0] & 2)
		open_forms(self, rects, count);
}

static void read_literal(struct lossless_reader *self, uint8_t *bgrx)
{
	int index = next(self);

	self->literals++;
	CHECK(index == 255 || index < self->palette_size, "index %d of %d", index, self->palette_size);
	for (int i = 2; i >= 0; i--)
		bgrx[i] = index == 255 ? (uint8_t)next(self) : self->palette[index * 3 + 2 - i];
}

/* As the protocol says it, pixel by pixel and plane by plane. */
static void read_planes(struct lossless_reader *self, uint8_t *out, size_t stride, int width, int height)
{
	static const int bytes[3] = { 1, 2, 0 }; /* of a BGRX pixel: green, red less it, blue less it */

	for (int plane = 0; plane < 3; plane++) {
		const uint8_t *residual = self->stream + self->planes + (size_t)plane * self->plane_size;

		for (int y = 0; y < height; y++)
			for (int x = 0; x < width; x++) {
				uint8_t *at = out + (size_t)y * stride + (size_t)x * 4 + bytes[plane];
				int a = x > 0 ? at[-4] : 0, b = y > 0 ? at[-(ptrdiff_t)stride] : 0;
				int c = x > 0 && y > 0 ? at[-(ptrdiff_t)stride - 4] : 0, low = a < b ? a : b, high = a < b ? b : a;

				*at = (uint8_t)(*residual++ + (c >= high ? low : c <= low ? high : a + b - c));
			}
	}
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			uint8_t *at = out + (size_t)y * stride + (size_t)x * 4;

			at[0] = (uint8_t)(at[0] + at[1]);
			at[2] = (uint8_t)(at[2] + at[1]);
		}
	self->planes += (size_t)width * (size_t)height;
	self->predicted++;
}

static void read_ops(struct lossless_reader *self, uint8_t *out, size_t stride, int width, int height)
{
	int done = 0, all = width * height;

	while (done < all) {
		int byte = next(self), count = byte < 0x80 ? byte + 1 : (byte & 31) + 1;

		if (byte >= 0xc0)
			count = ((byte & 31) << 8 | next(self)) + 1;
		CHECK(count <= all - done, "an op runs past its rectangle");
		CHECK(byte < 0x80 || ((byte & 0x20) ? done > 0 : done >= width), "nothing to repeat");
		for (; count > 0; count--, done++) {
			int from = (byte & 0x20) ? done - 1 : done - width;
			uint8_t *at = out + (size_t)(done / width) * stride + (size_t)(done % width) * 4;

			if (byte < 0x80)
				read_literal(self, at);
			else
				memcpy(at, out + (size_t)(from / width) * stride + (size_t)(from % width) * 4, 4);
		}
	}
}

void lossless_read(struct lossless_reader *self, uint8_t *out, size_t stride, int width, int height)
{
	if (self->forms && self->forms[self->rects_read++])
		read_planes(self, out, stride, width, height);
	else
		read_ops(self, out, stride, width, height);
}

void lossless_close(struct lossless_reader *self)
{
	CHECK(self->at == self->size, "%zu bytes follow", self->size - self->at);
	CHECK(!self->forms || self->planes == self->size + self->plane_size, "planes are left over");
	free(self->stream);
}
