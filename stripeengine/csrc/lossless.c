/* lossless.c - the lossless batch.
 *
 * Pass 1 compares a row with the one above and with itself shifted by a pixel (bit masks), and takes the longer run at each
 * position, so its time goes with the ops more than with the pixels. Op bytes and literals are kept apart until the
 * palette is known. A literal is the number of its colour in a bounded table of colours; what finds no place there is escaped.
 */
#include <libdeflate.h>
#include <string.h>

#include "error.h"
#include "lossless_private.h"
#include "predictor.h"

#define LEVEL 3          /* of deflate: more save little and take longer */
#define MAX_LITERALS 128  /* of an op */
#define SHORT_RUN 32
#define LONG_RUN 8192

struct se_lossless *se_lossless_new(void)
{
	struct se_lossless *self = calloc(1, sizeof *self);

	if (self)
		self->compressor = libdeflate_alloc_compressor(LEVEL);
	if (!self || !self->compressor) {
		se_error_set(SE_E_NOMEM, "out of memory: a lossless encoder");
		se_lossless_free(self);
		return NULL;
	}
	return self;
}

void se_lossless_free(struct se_lossless *self)
{
	if (!self)
		return;
	if (self->compressor)
		libdeflate_free_compressor(self->compressor);
	se_buffer_free(&self->stream);
	free(self->ops);
	free(self->literals);
	free(self->residuals);
	free(self->pieces);
	free(self);
}

/* Forgets the newest colours. In the reverse order of their coming, open addressing is as it was before them. */
static void forget_colours(struct se_lossless *self, uint32_t count)
{
	while (self->colour_count > count)
		self->table[self->slots[--self->colour_count]] = 0;
}

void se_lossless_begin(struct se_lossless *self)
{
	forget_colours(self, 0);
	self->ops_size = self->literal_count = self->residuals_size = self->piece_count = 0;
}

size_t se_lossless_count(const struct se_lossless *self)
{
	return self->piece_count;
}

/* Makes room for `more` items beyond `used`. */
static int reserve(void **items, size_t *capacity, size_t used, size_t more, size_t item_size)
{
	size_t wanted;
	void *grown;

	if (more <= *capacity - used)
		return SE_OK;
	if (more > SIZE_MAX / 2 / item_size || used > SIZE_MAX / 2 / item_size - more)
		return se_error_set(SE_E_NOMEM, "out of memory: %zu lossless items", more);
	wanted = used + more + used / 2;
	grown = realloc(*items, wanted * item_size);
	if (!grown)
		return se_error_set(SE_E_NOMEM, "out of memory: %zu bytes for lossless pictures", wanted * item_size);
	*items = grown;
	*capacity = wanted;
	return SE_OK;
}

/* The ops of one rectangle while they are found. */
struct run {
	uint8_t *ops;         /* next byte */
	uint8_t *literal_op;  /* the literal op that can still grow, or NULL */
	unsigned kind;        /* of the pending run, SE_LOSSLESS_UP or SE_LOSSLESS_LEFT */
	int64_t count;        /* its length so far; 0: none is pending */
};

/* Writes the pending run. */
static void flush(struct run *run)
{
	while (run->count > 0) {
		unsigned count = run->count < LONG_RUN ? (unsigned)run->count : LONG_RUN;

		if (count <= SHORT_RUN) {
			*run->ops++ = (uint8_t)(run->kind | (count - 1));
		} else {
			*run->ops++ = (uint8_t)(run->kind | SE_LOSSLESS_LONG | (count - 1) >> 8);
			*run->ops++ = (uint8_t)(count - 1);
		}
		run->count -= count;
		run->literal_op = NULL;
	}
}

static uint32_t number_of(struct se_lossless *self, uint32_t colour)
{
	uint32_t slot = (colour * 0x9e3779b1u) >> (32 - SE_LOSSLESS_TABLE_BITS);

	for (; self->table[slot]; slot = (slot + 1) & ((1u << SE_LOSSLESS_TABLE_BITS) - 1))
		if ((uint32_t)self->table[slot] == colour + 1)
			return (uint32_t)(self->table[slot] >> 32);
	if (self->colour_count == SE_LOSSLESS_COLOURS)
		return SE_LOSSLESS_OTHER | colour;
	self->table[slot] = (uint64_t)self->colour_count << 32 | (colour + 1);
	self->slots[self->colour_count] = (uint16_t)slot;
	self->colours[self->colour_count] = colour;
	return self->colour_count++;
}

static void add_literals(struct se_lossless *self, struct run *run, const uint8_t *bgrx, int count)
{
	uint32_t *out = self->literals + self->literal_count;

	for (int i = 0; i < count; i++) {
		out[i] = number_of(self, se_pixel_colour(bgrx + (size_t)i * 4));
		if (run->literal_op && *run->literal_op < MAX_LITERALS - 1) {
			++*run->literal_op;
		} else {
			run->literal_op = run->ops;
			*run->ops++ = 0;
		}
	}
	self->literal_count += (size_t)count;
}

/* Bits of row `y` of `rect` that equal the pixel above and the one before, and those that are either. */
static void compare_row(const uint8_t *row, size_t stride, int width, bool below_first, uint64_t *up, uint64_t *left,
                        uint64_t *known)
{
	const uint8_t *above = below_first ? row - stride : row;

	se_rowmask_repeats(row, width, below_first && se_pixels_equal(row, above + (size_t)(width - 1) * 4), left);
	if (below_first)
		se_rowmask_equal(row, above, width, up);
	else
		memset(up, 0, (size_t)(width + 63) / 64 * sizeof *up);
	for (int i = 0; i < (width + 63) / 64; i++)
		known[i] = up[i] | left[i];
}

/* How many bits from `from` on are clear, below `count`. */
static int gap(const uint64_t *mask, int from, int count)
{
	int at = from;

	while (at < count) {
		uint64_t bits = mask[at >> 6] >> (at & 63);

		if (bits) {
			at += __builtin_ctzll(bits);
			break;
		}
		at = (at | 63) + 1;
	}
	return (at < count ? at : count) - from;
}

static void code_row(struct se_lossless *self, struct run *run, const uint8_t *row, int width)
{
	int x = 0;

	if (run->count > 0) { /* it reached the end of the row before */
		x = se_rowmask_run(run->kind == SE_LOSSLESS_UP ? self->up : self->left, 0, width);
		run->count += x;
		if (x < width)
			flush(run);
	}
	while (x < width) {
		int up = se_rowmask_run(self->up, x, width), left = se_rowmask_run(self->left, x, width);

		if (up == 0 && left == 0) {
			int count = gap(self->known, x, width);

			add_literals(self, run, row + (size_t)x * 4, count);
			x += count;
			continue;
		}
		run->kind = up >= left ? SE_LOSSLESS_UP : SE_LOSSLESS_LEFT;
		run->count = up >= left ? up : left;
		x += (int)run->count;
		if (x < width)
			flush(run);
	}
}

int se_lossless_add(struct se_lossless *self, const uint8_t *pixels, size_t stride, struct se_rect rect, int most)
{
	int64_t area = se_rect_area(rect), limit = area * (most < 0 ? 0 : most > 1000 ? 1000 : most) / 1000;
	size_t literals_before = self->literal_count;
	uint32_t colours_before = self->colour_count;
	struct run run = { 0 };

	if (area == 0)
		return se_error_set(SE_E_INVALID, "a lossless rectangle of %dx%d pixels is empty", rect.w, rect.h);
	/* An op has at least a pixel a byte; so has a literal a pixel. */
	if (reserve((void **)&self->ops, &self->ops_capacity, self->ops_size, (size_t)area, 1) < 0 ||
	    reserve((void **)&self->literals, &self->literal_capacity, self->literal_count, (size_t)limit + (size_t)rect.w,
	            sizeof *self->literals) < 0 ||
	    reserve((void **)&self->pieces, &self->piece_capacity, self->piece_count, 1, sizeof *self->pieces) < 0)
		return SE_E_NOMEM;
	run.ops = self->ops + self->ops_size;
	for (int y = 0; y < rect.h; y++) {
		const uint8_t *row = pixels + (size_t)(rect.y + y) * stride + (size_t)rect.x * 4;

		compare_row(row, stride, rect.w, y > 0, self->up, self->left, self->known);
		code_row(self, &run, row, rect.w);
		if ((int64_t)(self->literal_count - literals_before) > limit) {
			self->literal_count = literals_before;
			forget_colours(self, colours_before); /* numbers are scarce */
			return 1;
		}
	}
	flush(&run);
	self->ops_size = (size_t)(run.ops - self->ops);
	self->pieces[self->piece_count++] =
		(struct se_lossless_piece){ self->ops_size, self->literal_count, self->residuals_size, area, false };
	return SE_OK;
}

int se_lossless_add_photo(struct se_lossless *self, const uint8_t *pixels, size_t stride, struct se_rect rect)
{
	size_t area = (size_t)se_rect_area(rect);
	uint8_t *planes;

	if (area == 0)
		return se_error_set(SE_E_INVALID, "a lossless rectangle of %dx%d pixels is empty", rect.w, rect.h);
	if (reserve((void **)&self->residuals, &self->residuals_capacity, self->residuals_size, 3 * area, 1) < 0 ||
	    reserve((void **)&self->pieces, &self->piece_capacity, self->piece_count, 1, sizeof *self->pieces) < 0)
		return SE_E_NOMEM;
	planes = self->residuals + self->residuals_size;
	se_predictor_residuals(pixels, stride, rect, planes, planes + area, planes + 2 * area);
	self->residuals_size += 3 * area;
	self->pieces[self->piece_count++] =
		(struct se_lossless_piece){ self->ops_size, self->literal_count, self->residuals_size, (int64_t)area, true };
	return SE_OK;
}

int se_lossless_literals(const uint8_t *pixels, size_t stride, struct se_rect rect, int most)
{
	uint64_t up[SE_ROWMASK_WORDS], left[SE_ROWMASK_WORDS], known[SE_ROWMASK_WORDS];
	int64_t area = se_rect_area(rect), limit = area * most / 1000, count = 0;

	if (area == 0)
		return 0;
	for (int y = 0; y < rect.h && count <= limit; y++) {
		const uint8_t *row = pixels + (size_t)(rect.y + y) * stride + (size_t)rect.x * 4;

		compare_row(row, stride, rect.w, y > 0, up, left, known);
		count += rect.w;
		for (int i = 0; i < (rect.w + 63) / 64; i++)
			count -= __builtin_popcountll(known[i]);
	}
	return (int)((count * 1000 + area - 1) / area);
}
