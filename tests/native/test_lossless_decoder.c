/* test_lossless_decoder.c - the browser's decoder against the engine's encoder and libdeflate, and against broken bytes.
 *
 * Memory is allocated to the byte, so that the sanitizers see the first step outside.
 */
#include <libdeflate.h>
#include <string.h>

#include "check.h"
#include "error.h"
#include "inflate.h"
#include "lossless.h"
#include "lossless_decoder.h"
#include "picture.h"

#define RECTS 5

static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	CHECK(copy, "memory");
	memcpy(copy, bytes, size);
	return copy;
}

/* Decodes into memory of exactly the size that is asked for. Returns the error; `out` gets the pixels, to be freed. */
static int decode(const uint8_t *payload, size_t length, const struct se_lossless_size *sizes, size_t count, uint32_t **out)
{
	struct se_lossless_decoder decoder;
	uint8_t *bytes = copy_of(payload, length), *scratch = NULL;
	uint32_t *pixels = NULL;
	int error = se_lossless_decoder_open(&decoder, bytes, length, sizes, count);

	if (!error) {
		scratch = malloc(decoder.op_bytes + 1);
		pixels = malloc((size_t)(decoder.pixels + SE_LOSSLESS_DECODER_SLACK) * sizeof *pixels);
		CHECK(scratch && pixels, "memory");
		error = se_lossless_decoder_run(&decoder, scratch, pixels);
	}
	free(scratch);
	free(bytes);
	if (error || !out)
		free(pixels);
	else
		*out = pixels;
	return error;
}

static void paint(struct se_picture *picture, uint32_t *seed)
{
	uint32_t colours = 1u << draw_between(seed, 0, 12), flat = (uint32_t)draw_between(seed, 0, 95);

	for (int y = 0; y < picture->height; y++)
		for (int x = 0; x < picture->width; x++) {
			uint8_t *p = se_picture_at(picture, x, y);
			uint32_t colour = (draw(seed) % colours) * 0x9e3779b1u >> 8, chance = draw(seed) % 100;

			if (x > 0 && chance < flat)
				memcpy(p, p - 4, 4);
			else if (y > 0 && chance < 98)
				memcpy(p, p - picture->stride, 4);
			else
				memcpy(p, &colour, 4);
		}
}

/* What the engine encodes is what the browser shows; changed bytes are refused or decoded within bounds. */
static void check_batches(uint32_t *seed)
{
	struct se_lossless *encoder = se_lossless_new();
	struct se_picture picture = { 0 };
	struct se_buffer batch = { 0 };
	int refused = 0;

	CHECK(encoder, "%s", se_error_message());
	for (int round = 0; round < 150; round++) {
		struct se_lossless_size sizes[RECTS];
		struct se_rect rects[RECTS];
		size_t count = (size_t)draw_between(seed, 1, RECTS), at = 0;
		uint32_t *pixels;

		CHECK(se_picture_resize(&picture, draw_between(seed, 1, 260), draw_between(seed, 1, 130)) == SE_OK, "memory");
		paint(&picture, seed);
		se_lossless_begin(encoder);
		for (size_t i = 0; i < count; i++) {
			struct se_rect r = { draw_between(seed, 0, picture.width - 1), draw_between(seed, 0, picture.height - 1), 0, 0 };

			r.w = draw_between(seed, 1, picture.width - r.x);
			r.h = draw_between(seed, 1, picture.height - r.y);
			rects[i] = r;
			sizes[i] = (struct se_lossless_size){ (uint32_t)r.w, (uint32_t)r.h };
			CHECK((round % 3 && draw(seed) % 2 ? se_lossless_add_photo(encoder, picture.pixels, picture.stride, r)
			                                   : se_lossless_add(encoder, picture.pixels, picture.stride, r, 1000)) == 0,
			      "%s", se_error_message());
		}
		CHECK(se_lossless_finish(encoder, 0, count, &batch) == SE_OK, "%s", se_error_message());
		CHECK(decode(batch.data, batch.size, sizes, count, &pixels) == 0, "round %d", round);
		for (size_t i = 0; i < count; i++)
			for (int y = 0; y < rects[i].h; y++)
				for (int x = 0; x < rects[i].w; x++, at++) {
					const uint8_t *p = se_picture_at(&picture, rects[i].x + x, rects[i].y + y);
					const uint8_t wanted[4] = { p[2], p[1], p[0], 255 };

					CHECK(memcmp(pixels + at, wanted, 4) == 0, "rectangle %zu at %d,%d", i, x, y);
				}
		free(pixels);
		for (int i = 0; i < 30; i++) {
			uint8_t *broken = copy_of(batch.data, batch.size);
			size_t reach = draw(seed) % 2 ? batch.size : batch.size < 90 ? batch.size : 90;
			size_t length = draw(seed) % 4 ? batch.size : draw(seed) % (batch.size + 1);

			broken[draw(seed) % reach] ^= (uint8_t)(1u << draw_between(seed, 0, 7));
			refused += decode(broken, length, sizes, count, NULL) != 0;
			free(broken);
		}
	}
	CHECK(refused > 1000, "only %d refused", refused);
	se_buffer_free(&batch);
	se_picture_free(&picture);
	se_lossless_free(encoder);
}

/* Whatever we inflate libdeflate inflates to the same, at every level and for every cut. */
static void check_inflate(uint32_t *seed)
{
	struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
	uint8_t *data = malloc(70000), *packed = malloc(90000);
	int accepted = 0;

	CHECK(inflater && data && packed, "memory");
	for (int round = 0; round < 120; round++) {
		struct libdeflate_compressor *packer = libdeflate_alloc_compressor(draw_between(seed, 0, 12));
		size_t size = (size_t)draw_between(seed, 0, round % 10 ? 3000 : 70000), length, cut;
		uint32_t values = 1u << draw_between(seed, 0, 8), period = draw(seed) % 40 + 1;
		uint8_t *out, *exact;

		CHECK(packer, "memory");
		for (size_t i = 0; i < size; i++)
			data[i] = i >= period && draw(seed) % 100 < 90 ? data[i - period] : (uint8_t)(draw(seed) % values);
		length = libdeflate_deflate_compress(packer, data, size, packed, 90000);
		libdeflate_free_compressor(packer);
		CHECK(length > 0, "deflate");
		exact = copy_of(packed, length);
		out = malloc(size + 1);
		CHECK(out, "memory");
		CHECK(se_inflate(exact, length, out, size) == SE_INFLATE_OK && memcmp(out, data, size) == 0, "round %d", round);
		CHECK(se_inflate(exact, length, out, size + 1) == SE_INFLATE_SHORT, "short");
		CHECK(size == 0 || se_inflate(exact, length, out, size - 1) == SE_INFLATE_LONG, "long");
		free(exact);
		cut = draw(seed) % length;
		exact = copy_of(packed, cut);
		CHECK(se_inflate(exact, cut, out, size) < 0, "what is cut off is not whole");
		free(exact);
		for (int i = 0; i < 40; i++) {
			uint8_t *other = malloc(size + 1);

			CHECK(other, "memory");
			exact = copy_of(packed, length);
			exact[draw(seed) % (length < 120 ? length : 120)] ^= (uint8_t)(1u << draw_between(seed, 0, 7));
			if (se_inflate(exact, length, out, size) == SE_INFLATE_OK) {
				accepted++;
				CHECK(libdeflate_deflate_decompress(inflater, exact, length, other, size, NULL) == LIBDEFLATE_SUCCESS &&
				              memcmp(out, other, size) == 0,
				      "libdeflate sees something else");
			}
			free(other);
			free(exact);
		}
		free(out);
	}
	CHECK(accepted > 10, "%d", accepted);
	libdeflate_free_decompressor(inflater);
	free(data);
	free(packed);
}

void test_lossless_decoder(void)
{
	uint32_t seed = 33;

	check_inflate(&seed);
	check_batches(&seed);
}
