/* lossless.c - the lossless batch.
 *
 * Pass 1 compares a row with the one above and with itself shifted by a pixel (bit masks), and takes the longer run at each
 * position, so its time goes with the ops more than with the pixels. Op bytes and literals are kept apart until the
 * palette is known. A literal is the number of its colour in a bounded table of colours; what finds no place there is escaped.
 */
#include "lossless.h"

#include <libdeflate.h>
#include <string.h>

#include "error.h"
#include "predictor.h"
#include "rowmask.h"

#define LEVEL 1           /* of deflate: 6 saves at most 15 % and costs several times the time */
#define MAX_LITERALS 128  /* of an op */
#define SHORT_RUN 32
#define LONG_RUN 8192
#define UP 0x80u
#define LEFT 0xa0u
#define LONG 0x40u
#define ESCAPE 255u
#define DEFLATED 1u /* flags of a batch */
#define FORMS 2u
#define PALETTE 255u
#define COLOURS 8192u       /* told apart in the choice of the palette: windows of text have 5000 */
#define TABLE_BITS 14
#define OTHER 0x80000000u   /* mark of a literal whose colour has no number: the colour itself */

struct piece { /* a rectangle; where its ops, literals and residuals end */
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
	struct piece *pieces;
	size_t piece_count, piece_capacity;
	uint32_t colours[COLOURS]; /* by number */
	uint16_t slots[COLOURS];   /* where in the table */
	uint32_t counts[COLOURS];
	uint8_t indices[COLOURS]; /* in the palette of the batch being finished, or ESCAPE */
	uint32_t colour_count;
	uint64_t table[1u << TABLE_BITS]; /* 0 or number << 32 | colour + 1 */
	uint64_t up[SE_ROWMASK_WORDS], left[SE_ROWMASK_WORDS], known[SE_ROWMASK_WORDS];
	struct libdeflate_compressor *compressor;
	struct se_buffer stream;
};

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

/* ---- pass 1 ---- */

/* The ops of one rectangle while they are found. */
struct run {
	uint8_t *ops;         /* next byte */
	uint8_t *literal_op;  /* the literal op that can still grow, or NULL */
	unsigned kind;        /* of the pending run, UP or LEFT */
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
			*run->ops++ = (uint8_t)(run->kind | LONG | (count - 1) >> 8);
			*run->ops++ = (uint8_t)(count - 1);
		}
		run->count -= count;
		run->literal_op = NULL;
	}
}

static uint32_t number_of(struct se_lossless *self, uint32_t colour)
{
	uint32_t slot = (colour * 0x9e3779b1u) >> (32 - TABLE_BITS);

	for (; self->table[slot]; slot = (slot + 1) & ((1u << TABLE_BITS) - 1))
		if ((uint32_t)self->table[slot] == colour + 1)
			return (uint32_t)(self->table[slot] >> 32);
	if (self->colour_count == COLOURS)
		return OTHER | colour;
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
		x = se_rowmask_run(run->kind == UP ? self->up : self->left, 0, width);
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
		run->kind = up >= left ? UP : LEFT;
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
		(struct piece){ self->ops_size, self->literal_count, self->residuals_size, area, false };
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
		(struct piece){ self->ops_size, self->literal_count, self->residuals_size, (int64_t)area, true };
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

/* ---- pass 2 ---- */

struct range {
	size_t first, count; /* pieces */
	size_t ops, ops_end, literals, literals_end, residuals, residuals_end;
	int64_t pixels;
};

static struct range range_of(const struct se_lossless *self, size_t first, size_t count)
{
	struct range range = { .first = first, .count = count };

	if (first > 0) {
		range.ops = self->pieces[first - 1].ops_end;
		range.literals = self->pieces[first - 1].literals_end;
		range.residuals = self->pieces[first - 1].residuals_end;
	}
	range.ops_end = self->pieces[first + count - 1].ops_end;
	range.literals_end = self->pieces[first + count - 1].literals_end;
	range.residuals_end = self->pieces[first + count - 1].residuals_end;
	for (size_t i = first; i < first + count; i++)
		range.pixels += self->pieces[i].pixels;
	return range;
}

static bool has_photos(const struct range *range)
{
	return range->residuals_end > range->residuals;
}

/* Of the op stream, with every literal escaped. */
static size_t most_bytes(const struct range *range)
{
	return (has_photos(range) ? range->count : 0) + (range->ops_end - range->ops) +
	       4 * (range->literals_end - range->literals) + (range->residuals_end - range->residuals);
}

static bool in_range(const struct se_lossless *self, size_t first, size_t count)
{
	return count > 0 && first < self->piece_count && count <= self->piece_count - first;
}

size_t se_lossless_bound(const struct se_lossless *self, size_t first, size_t count)
{
	struct range range;

	if (!in_range(self, first, count))
		return 0;
	range = range_of(self, first, count);
	return 2 + 3 * PALETTE + 4 + most_bytes(&range);
}

/* The least count that at most PALETTE colours have. */
static uint32_t least_count(const struct se_lossless *self)
{
	uint32_t low = 1, high = 1;

	for (uint32_t i = 0; i < self->colour_count; i++)
		high = self->counts[i] >= high ? self->counts[i] + 1 : high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2, above = 0;

		for (uint32_t i = 0; i < self->colour_count; i++)
			above += self->counts[i] >= middle;
		if (above <= PALETTE)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Gives the commonest colours of the range an index and writes them; returns how many. */
static unsigned choose_palette(struct se_lossless *self, const struct range *range, uint8_t *out)
{
	unsigned size = 0;
	uint32_t least;

	memset(self->counts, 0, self->colour_count * sizeof *self->counts);
	memset(self->indices, (int)ESCAPE, self->colour_count);
	for (size_t i = range->literals; i < range->literals_end; i++)
		if (!(self->literals[i] & OTHER))
			self->counts[self->literals[i]]++;
	least = least_count(self);
	/* First all that have `least`, then as many of the next count as find room. */
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < self->colour_count && size < PALETTE; i++) {
			bool wanted = round == 0 ? self->counts[i] >= least : least > 1 && self->counts[i] == least - 1;

			if (!wanted)
				continue;
			self->indices[i] = (uint8_t)size;
			out[size * 3] = (uint8_t)(self->colours[i] >> 16);
			out[size * 3 + 1] = (uint8_t)(self->colours[i] >> 8);
			out[size * 3 + 2] = (uint8_t)self->colours[i];
			size++;
		}
	}
	return size;
}

static uint8_t *put_escape(uint8_t *out, uint32_t colour)
{
	*out++ = ESCAPE;
	*out++ = (uint8_t)(colour >> 16);
	*out++ = (uint8_t)(colour >> 8);
	*out++ = (uint8_t)colour;
	return out;
}

static size_t bound_of(const struct range *range)
{
	return 4 * (size_t)range->pixels + 64;
}

/* Gives what is left of the palette to the first colours of the range that have no number, one literal each; returns to how many.
 * In noise after much noise, which has filled the table, no colour has one, and escapes alone pass the bound. */
static unsigned fill_palette(const struct se_lossless *self, const struct range *range, unsigned size, uint8_t *out)
{
	unsigned spare = 0;

	for (size_t i = range->literals; i < range->literals_end && size + spare < PALETTE; i++) {
		uint32_t colour = self->literals[i];

		if (!(colour & OTHER))
			continue;
		out[(size + spare) * 3] = (uint8_t)(colour >> 16);
		out[(size + spare) * 3 + 1] = (uint8_t)(colour >> 8);
		out[(size + spare) * 3 + 2] = (uint8_t)colour;
		spare++;
	}
	return spare;
}

/* In each plane the rectangles follow each other: what is alike in their statistics shares deflate's codes. */
static uint8_t *put_planes(const struct se_lossless *self, const struct range *range, uint8_t *out)
{
	for (size_t plane = 0; plane < 3; plane++)
		for (size_t i = range->first; i < range->first + range->count; i++) {
			const struct piece *piece = &self->pieces[i];
			size_t size = (size_t)piece->pixels;

			if (!piece->predicted)
				continue;
			memcpy(out, self->residuals + piece->residuals_end - (3 - plane) * size, size);
			out += size;
		}
	return out;
}

/* Forms, ops with literals, and planes to the op stream. The first `spare` literals without a number have the indices from
 * `next` on. */
static size_t merge(const struct se_lossless *self, const struct range *range, unsigned next, unsigned spare, uint8_t *stream)
{
	const uint8_t *op = self->ops + range->ops, *end = self->ops + range->ops_end;
	const uint32_t *literal = self->literals + range->literals;
	uint8_t *out = stream;

	for (size_t i = range->first; has_photos(range) && i < range->first + range->count; i++)
		*out++ = self->pieces[i].predicted;
	while (op < end) {
		uint8_t byte = *op++;

		*out++ = byte;
		if (byte >= (UP | LONG)) {
			*out++ = *op++;
		} else if (byte < UP) {
			for (int i = 0; i <= byte; i++, literal++) {
				if (*literal & OTHER && spare > 0) {
					*out++ = (uint8_t)next++;
					spare--;
				} else if (*literal & OTHER) {
					out = put_escape(out, *literal & ~OTHER);
				} else if (self->indices[*literal] == ESCAPE) {
					out = put_escape(out, self->colours[*literal]);
				} else {
					*out++ = self->indices[*literal];
				}
			}
		}
	}
	if (has_photos(range))
		out = put_planes(self, range, out);
	return (size_t)(out - stream);
}

int se_lossless_finish(struct se_lossless *self, size_t first, size_t count, struct se_buffer *out)
{
	struct range range;
	size_t head, size, deflated = 0;
	unsigned colours;

	if (!in_range(self, first, count))
		return se_error_set(SE_E_INVALID, "there are %zu lossless rectangles, not %zu from %zu on", self->piece_count, count,
		                    first);
	range = range_of(self, first, count);
	size = most_bytes(&range);
	if (se_buffer_reserve(&self->stream, size) < 0 || se_buffer_reserve(out, 2 + 3 * PALETTE + 4 + size) < 0)
		return SE_E_NOMEM;
	colours = choose_palette(self, &range, out->data + 2);
	size = merge(self, &range, 0, 0, self->stream.data);
	if (size > bound_of(&range)) {
		unsigned spare = fill_palette(self, &range, colours, out->data + 2);

		size = merge(self, &range, colours, spare, self->stream.data);
		colours += spare;
	}
	out->data[1] = (uint8_t)colours;
	head = 2 + 3 * (size_t)colours;
	if (size > bound_of(&range))
		return se_error_set(SE_E_INVALID, "a lossless batch of %lld pixels of noise exceeds the protocol's bound: finish fewer "
		                                  "rectangles at a time", (long long)range.pixels);
	for (int i = 0; i < 4; i++)
		out->data[head++] = (uint8_t)(size >> (8 * i));
	if (size >= SE_LOSSLESS_DEFLATE_FROM)
		deflated = libdeflate_deflate_compress(self->compressor, self->stream.data, size, out->data + head, size - 1);
	if (deflated == 0)
		memcpy(out->data + head, self->stream.data, size);
	out->data[0] = (uint8_t)((deflated > 0 ? DEFLATED : 0) | (has_photos(&range) ? FORMS : 0));
	out->size = head + (deflated > 0 ? deflated : size);
	return SE_OK;
}
