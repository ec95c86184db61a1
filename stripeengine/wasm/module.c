/* module.c - what the WebAssembly module exports (the caller is static/core/decoders/wasm.js).
 *
 * The module imports nothing and keeps no heap: the caller owns all memory from `workspace` on. In it lie, in this order, the sizes of the
 * rectangles, the payload, the inflated ops and the pixels. One batch at a time; the pixels stay until the next one.
 */
#include "lossless_decoder.h"

#define EXPORT(name) __attribute__((export_name(#name)))
#define ALIGN 16u
/* Beyond a picture of 3840x2160 the caller decodes in another way: memory that has grown is never given back. */
#define MOST_PIXELS (8u << 20)
#define TOO_LARGE 1

extern uint8_t __heap_base;

static struct se_lossless_decoder decoder;
static uintptr_t ops, pixels, end;

static uintptr_t align(uintptr_t address)
{
	return (address + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
}

/* Where the caller writes `count` sizes (two u32 each) and directly behind them the payload. */
EXPORT(workspace) uintptr_t workspace(void)
{
	return align((uintptr_t)&__heap_base);
}

/* Checks the head of the batch in the workspace. 0: `memory_needed` says how far memory must reach before `decode`; 1: too many pixels
 * for this module; negative: an error of the decoder. */
EXPORT(open) int open_batch(uint32_t count, uint32_t length)
{
	const struct se_lossless_size *sizes = (const struct se_lossless_size *)workspace();
	const uint8_t *payload = (const uint8_t *)(sizes + count);
	int error = se_lossless_decoder_open(&decoder, payload, length, sizes, count);

	end = 0;
	if (error)
		return error;
	if (decoder.pixels > MOST_PIXELS)
		return TOO_LARGE;
	ops = align((uintptr_t)payload + length);
	pixels = align(ops + (decoder.deflated ? decoder.op_bytes : 0));
	end = pixels + (uintptr_t)(decoder.pixels + SE_LOSSLESS_DECODER_SLACK) * sizeof(uint32_t);
	return SE_LOSSLESS_DECODER_OK;
}

EXPORT(memory_needed) uintptr_t memory_needed(void)
{
	return end;
}

/* Decodes what `open` has accepted, or returns an error of the decoder. */
EXPORT(decode) int decode_batch(void)
{
	return end == 0 ? SE_LOSSLESS_DECODER_HEAD : se_lossless_decoder_run(&decoder, (uint8_t *)ops, (uint32_t *)pixels);
}

/* Where the pixels of the last batch begin. */
EXPORT(result) uintptr_t result(void)
{
	return pixels;
}

/* The error in words, ending in 0. */
EXPORT(message) const char *message(int error)
{
	return se_lossless_decoder_message(error);
}
