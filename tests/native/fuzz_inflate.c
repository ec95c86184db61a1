/* fuzz_inflate.c - libFuzzer target of the browser's lossless decoder: `make fuzz-inflate`.
 *
 * The input's first bytes are the sizes of up to four rectangles, the rest a batch; the whole also goes through the inflater alone,
 * which must agree with libdeflate on whatever it accepts.
 */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "inflate.h"
#include "lossless_decoder.h"

#define MOST_RECTS 4

static void require(int condition)
{
	if (!condition)
		abort();
}

static void fuzz_batch(const uint8_t *data, size_t size)
{
	struct se_lossless_decoder decoder;
	struct se_lossless_size sizes[MOST_RECTS];
	size_t count = data[0] % MOST_RECTS + 1;
	uint8_t *scratch;
	uint32_t *pixels;

	if (size < 1 + 2 * count)
		return;
	for (size_t i = 0; i < count; i++)
		sizes[i] = (struct se_lossless_size){ data[1 + 2 * i] + 1u, data[2 + 2 * i] + 1u };
	data += 1 + 2 * count;
	size -= 1 + 2 * count;
	if (se_lossless_decoder_open(&decoder, data, size, sizes, count))
		return;
	scratch = malloc(decoder.op_bytes + 1);
	pixels = malloc((size_t)(decoder.pixels + SE_LOSSLESS_DECODER_SLACK) * sizeof *pixels);
	require(scratch && pixels);
	if (se_lossless_decoder_run(&decoder, scratch, pixels) == 0)
		for (uint64_t i = 0; i < decoder.pixels; i++)
			require(((const uint8_t *)(pixels + i))[3] == 255); /* every pixel was written */
	free(pixels);
	free(scratch);
}

static void fuzz_inflater(const uint8_t *data, size_t size)
{
	size_t room = (size_t)data[0] * data[0], got;
	uint8_t *ours = malloc(room + 1), *theirs = malloc(room + 1);
	struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();

	require(ours && theirs && inflater);
	/* First what it inflates to, then whether we say so too. */
	if (libdeflate_deflate_decompress(inflater, data + 1, size - 1, theirs, room, &got) != LIBDEFLATE_SUCCESS)
		got = room;
	if (se_inflate(data + 1, size - 1, ours, got) == SE_INFLATE_OK) {
		size_t used, again;

		require(libdeflate_deflate_decompress_ex(inflater, data + 1, size - 1, theirs, got, &used, &again) == LIBDEFLATE_SUCCESS);
		require(again == got && used == size - 1 && memcmp(ours, theirs, got) == 0);
	}
	libdeflate_free_decompressor(inflater);
	free(theirs);
	free(ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0) {
		fuzz_batch(data, size);
		fuzz_inflater(data, size);
	}
	return 0;
}
