/* huffman.c - builds a table in one walk over the codes in canonical order.
 *
 * Codes that share their first bits follow each other in that order, so a second table is complete before the next begins.
 * Deflate sends codes from their first bit on, in the low bits of what is read: a code's index in the table is its mirror image.
 */
#include "huffman.h"

struct codes { /* of a table, by length */
	unsigned per_length[SE_HUFFMAN_MOST_BITS + 1];
	uint16_t sorted[SE_HUFFMAN_MOST_SYMBOLS]; /* symbols in canonical order */
	unsigned used, longest;
};

/* Sorts the symbols. Returns what is left of the code space, in codes of the longest length; negative: too many codes. */
static int sort_codes(struct codes *self, const uint8_t *lengths, unsigned count)
{
	unsigned place[SE_HUFFMAN_MOST_BITS + 2];
	int left = 1;

	for (unsigned i = 0; i <= SE_HUFFMAN_MOST_BITS; i++)
		self->per_length[i] = 0;
	for (unsigned i = 0; i < count; i++)
		self->per_length[lengths[i]]++;
	self->longest = 0;
	place[1] = 0;
	for (unsigned i = 1; i <= SE_HUFFMAN_MOST_BITS; i++) {
		if (self->per_length[i] > 0)
			self->longest = i;
		left = left * 2 - (int)self->per_length[i];
		if (left < 0)
			return left;
		place[i + 1] = place[i] + self->per_length[i];
	}
	self->used = place[SE_HUFFMAN_MOST_BITS + 1];
	for (unsigned i = 0; i < count; i++)
		if (lengths[i] > 0)
			self->sorted[place[lengths[i]]++] = (uint16_t)i;
	return left;
}

static unsigned mirror(unsigned code, unsigned length)
{
	unsigned result = 0;

	for (; length > 0; length--, code >>= 1)
		result = result << 1 | (code & 1);
	return result;
}

/* Bits of the second table whose first code has `length` bits: as many as the codes that still come fill. */
static unsigned second_bits(const struct codes *self, unsigned length, unsigned first_bits)
{
	unsigned bits = length - first_bits;
	int left = 1 << bits;

	for (; bits + first_bits < self->longest; bits++, left *= 2) {
		left -= (int)self->per_length[bits + first_bits];
		if (left <= 0)
			break;
	}
	return bits;
}

int se_huffman_build(uint32_t *table, size_t capacity, unsigned most_bits, const uint8_t *lengths, unsigned count,
                     const uint32_t *entries, int partial, unsigned *bits)
{
	struct codes codes;
	int left;
	unsigned first, code = 0, length = 1, begin = 0, inner = 0, prefix = ~0u;
	size_t size;

	if (count > SE_HUFFMAN_MOST_SYMBOLS)
		return -1;
	left = sort_codes(&codes, lengths, count);
	if (left < 0 || (left > 0 && !(partial && codes.longest <= 1)))
		return -1;
	first = codes.longest < most_bits ? codes.longest : most_bits;
	if (first == 0)
		first = 1;
	size = (size_t)1 << first;
	if (size > capacity)
		return -1;
	if (left > 0)
		for (size_t i = 0; i < size; i++)
			table[i] = SE_ENTRY_INVALID;
	for (unsigned i = 0; i < codes.used; i++, code++) {
		unsigned symbol = codes.sorted[i], index, step, end;

		for (; length < lengths[symbol]; length++)
			code <<= 1;
		index = mirror(code, length);
		if (length <= first) {
			begin = 0;
			step = 1u << length;
			end = 1u << first;
		} else {
			if ((index & ((1u << first) - 1)) != prefix) {
				prefix = index & ((1u << first) - 1);
				inner = second_bits(&codes, length, first);
				begin = (unsigned)size;
				if (capacity - size < (size_t)1 << inner)
					return -1;
				size += (size_t)1 << inner;
				table[prefix] = se_entry(SE_ENTRY_SECOND, inner, begin) | first;
			}
			index >>= first;
			step = 1u << (length - first);
			end = 1u << inner;
		}
		for (; index < end; index += step)
			table[begin + index] = entries[symbol] | (length <= first ? length : length - first);
		codes.per_length[length]--;
	}
	*bits = first;
	return 0;
}
