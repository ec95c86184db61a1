/* viewer_lossless.c - the client's side of the lossless batch. */
#include "viewer_lossless.h"

#include <libdeflate.h>
#include <string.h>

#include "check.h"

static int next(struct lossless_reader *self)
{
	CHECK(self->at < self->size, "the op stream ends early");
	return self->stream[self->at++];
}

void lossless_open(struct lossless_reader *self, const uint8_t *payload, size_t length)
{
	size_t head = 6 + 3 * (length > 1 ? (size_t)payload[1] : 0), used = 0, got = 0;

	memset(self, 0, sizeof *self);
	CHECK(length > head && payload[0] <= 1, "a batch of %zu bytes", length);
	self->palette_size = payload[1];
	memcpy(self->palette, payload + 2, (size_t)self->palette_size * 3);
	for (int i = 0; i < 4; i++)
		self->size |= (size_t)payload[head - 4 + (size_t)i] << (8 * i);
	self->stream = malloc(self->size + 1);
	CHECK(self->stream, "memory");
	if (payload[0]) {
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
}

static void read_literal(struct lossless_reader *self, uint8_t *bgrx)
{
	int index = next(self);

	CHECK(index == 255 || index < self->palette_size, "index %d of %d", index, self->palette_size);
	for (int i = 2; i >= 0; i--)
		bgrx[i] = index == 255 ? (uint8_t)next(self) : self->palette[index * 3 + 2 - i];
}

void lossless_read(struct lossless_reader *self, uint8_t *out, size_t stride, int width, int height)
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

void lossless_close(struct lossless_reader *self)
{
	CHECK(self->at == self->size, "%zu bytes follow", self->size - self->at);
	free(self->stream);
}
