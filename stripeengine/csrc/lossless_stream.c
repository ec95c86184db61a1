/* lossless_stream.c - from the ops of a batch's rectangles to its payload: palette, escapes, planes, deflate. */
#include <libdeflate.h>
#include <string.h>

#include "error.h"
#include "lossless_private.h"

#define ESCAPE 255u
#define DEFLATED 1u /* flags of a batch */
#define FORMS 2u
#define PALETTE 255u

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
		if (!(self->literals[i] & SE_LOSSLESS_OTHER))
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

		if (!(colour & SE_LOSSLESS_OTHER))
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
			const struct se_lossless_piece *piece = &self->pieces[i];
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
	const uint8_t *op = NULL, *end = NULL;
	const uint32_t *literal = NULL;
	uint8_t *out = stream;

	for (size_t i = range->first; has_photos(range) && i < range->first + range->count; i++)
		*out++ = self->pieces[i].predicted;
	if (range->ops_end > range->ops) { /* else, of photographs alone, there may never have been room for ops */
		op = self->ops + range->ops;
		end = self->ops + range->ops_end;
	}
	if (range->literals_end > range->literals)
		literal = self->literals + range->literals;
	while (op < end) {
		uint8_t byte = *op++;

		*out++ = byte;
		if (byte >= (SE_LOSSLESS_UP | SE_LOSSLESS_LONG)) {
			*out++ = *op++;
		} else if (byte < SE_LOSSLESS_UP) {
			for (int i = 0; i <= byte; i++, literal++) {
				if (*literal & SE_LOSSLESS_OTHER && spare > 0) {
					*out++ = (uint8_t)next++;
					spare--;
				} else if (*literal & SE_LOSSLESS_OTHER) {
					out = put_escape(out, *literal & ~SE_LOSSLESS_OTHER);
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
