/* content.c - whether a place shows text and interface, or a photograph.
 *
 * The share of literals alone does not tell: dense small text has as many as a quarter of a photograph's, a dithered area
 * has as many as a photograph, and both are small losslessly, for their colours are few.
 */
#include "content.h"

#include <limits.h>
#include <string.h>

#include "rowmask.h"

#define SAMPLE_ROWS 16 /* are enough, at a quarter of the cost of a block */
#define SAMPLE_MOST (2 * SAMPLE_ROWS * SE_CONTENT_COLUMNS)
#define TABLE_BITS 12 /* at least twice SAMPLE_MOST, so that it never fills up */
#define FEW_LITERALS 200 /* of 1000: their colours hardly matter */
#define MANY_LITERALS 600 /* of 1000: with 256 colours, of 8 bits, it is a photograph already */
#define RUN_BITS 6       /* a run and the literals' op after it, as deflate leaves them */
#define PHOTO_COST 580   /* the smallest coloured text has 510, grey photographs 750 */

_Static_assert(MANY_LITERALS > PHOTO_COST, "what has many literals and colours must be a photograph");
_Static_assert((1 << TABLE_BITS) >= 2 * SAMPLE_MOST, "the table of colours must have room");

/* log2 of n >= 1 in units of 1/256, between powers of two on a straight line. */
static unsigned log2_of(unsigned n)
{
	unsigned whole = 31u - (unsigned)__builtin_clz(n);

	return whole * 256 + (unsigned)(((uint64_t)n << 8 >> whole) - 256);
}

struct sample {
	struct se_rect rect;
	const struct se_picture *picture;
	int context; /* rows above that belong to the place as well: 0 or 1 */
};

/* Which pixels of a row are neither of the row above's nor of the one before's colour. */
static uint64_t literals_of_row(const struct sample *sample, int y)
{
	const uint8_t *row = se_picture_at(sample->picture, sample->rect.x, y);
	int width = sample->rect.w;
	uint64_t up = 0, left, all = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;

	se_rowmask_repeats(row, width, false, &left);
	if (y > sample->rect.y || sample->context)
		se_rowmask_equal(row, row - sample->picture->stride, width, &up);
	return all & ~(up | left);
}

/* How many different colours the marked pixels, `literals` of them, have; of `most` or more it stops to count. */
static unsigned count_colours(const struct sample *sample, const uint64_t *marked, unsigned literals, unsigned most)
{
	uint32_t table[1u << TABLE_BITS];
	unsigned bits_used = 33u - (unsigned)__builtin_clz(literals | 1); /* at least twice as many places as literals */
	unsigned count = 0;

	bits_used = bits_used < TABLE_BITS ? bits_used : TABLE_BITS;
	memset(table, 0, sizeof *table << bits_used);
	for (int i = 0; i < sample->rect.h; i++) {
		const uint8_t *row = se_picture_at(sample->picture, sample->rect.x, sample->rect.y + i);

		for (uint64_t bits = marked[i]; bits && count < most; bits &= bits - 1) {
			uint32_t mark = se_pixel_colour(row + (size_t)__builtin_ctzll(bits) * 4) + 1;
			uint32_t slot = (mark * 0x9e3779b1u) >> (32 - bits_used);

			while (table[slot] && table[slot] != mark)
				slot = (slot + 1) & ((1u << bits_used) - 1);
			count += table[slot] == 0;
			table[slot] = mark;
		}
	}
	return count;
}

struct se_content se_content_sample(const struct se_picture *picture, struct se_rect rect)
{
	struct sample sample = { rect, picture, 0 };
	uint64_t marked[2 * SAMPLE_ROWS];
	uint64_t literals = 0, runs = 0, bits;
	uint64_t area;
	unsigned most;

	if (se_rect_empty(rect))
		return (struct se_content){ 0, 0 };
	if (rect.h > 2 * SAMPLE_ROWS) {
		sample.rect.y += rect.h / 2 - SAMPLE_ROWS / 2;
		sample.rect.h = SAMPLE_ROWS;
		sample.context = 1;
	}
	if (rect.w > SE_CONTENT_COLUMNS)
		sample.rect.w = SE_CONTENT_COLUMNS;
	area = (uint64_t)se_rect_area(sample.rect);
	for (int i = 0; i < sample.rect.h; i++) {
		marked[i] = literals_of_row(&sample, sample.rect.y + i);
		literals += (uint64_t)__builtin_popcountll(marked[i]);
		runs += (uint64_t)__builtin_popcountll(marked[i] & ~(marked[i] << 1));
	}
	bits = literals * 8;
	most = literals * 1000 > area * MANY_LITERALS ? 256 : UINT_MAX;
	if (literals * 1000 > area * FEW_LITERALS)
		bits = literals * log2_of(count_colours(&sample, marked, (unsigned)literals, most)) / 256;
	bits += runs * RUN_BITS;
	return (struct se_content){ (int)(literals * 1000 / area), (int)(bits * 125 / area) };
}

bool se_content_is_photo(struct se_content content)
{
	return content.cost > PHOTO_COST;
}
