/* lossless_private.h - the inside of a lossless batch, shared by lossless.c, which finds its ops, and lossless_stream.c, which
 * writes them.
 */
#ifndef SE_LOSSLESS_PRIVATE_H
#define SE_LOSSLESS_PRIVATE_H

#include "lossless.h"
#include "rowmask.h"

#define SE_LOSSLESS_COLOURS 8192u       /* told apart in the choice of the palette: windows of text have 5000 */
#define SE_LOSSLESS_TABLE_BITS 14
#define SE_LOSSLESS_OTHER 0x80000000u   /* mark of a literal whose colour has no number: the colour itself */

/* Bits of an op's byte. */
#define SE_LOSSLESS_UP 0x80u
#define SE_LOSSLESS_LEFT 0xa0u
#define SE_LOSSLESS_LONG 0x40u

struct se_lossless_piece { /* a rectangle; where its ops, literals and residuals end */
	size_t ops_end, literals_end, residuals_end;
	int64_t pixels;
	bool predicted; /* three planes of residuals, no ops */
};

struct se_lossless {
	uint8_t *ops; /* as on the wire, without what follows the byte of a literal op */
	size_t ops_size, ops_capacity;
	uint32_t *literals;
	size_t literal_count, literal_capacity;
	uint8_t *residuals; /* of each predicted rectangle its planes */
	size_t residuals_size, residuals_capacity;
	struct se_lossless_piece *pieces;
	size_t piece_count, piece_capacity;
	uint32_t colours[SE_LOSSLESS_COLOURS]; /* by number */
	uint16_t slots[SE_LOSSLESS_COLOURS];   /* where in the table */
	uint32_t counts[SE_LOSSLESS_COLOURS];
	uint8_t indices[SE_LOSSLESS_COLOURS]; /* in the palette of the batch being finished, or ESCAPE */
	uint32_t colour_count;
	uint64_t table[1u << SE_LOSSLESS_TABLE_BITS]; /* 0 or number << 32 | colour + 1 */
	uint64_t up[SE_ROWMASK_WORDS], left[SE_ROWMASK_WORDS], known[SE_ROWMASK_WORDS];
	struct libdeflate_compressor *compressor;
	struct se_buffer stream;
};

#endif
