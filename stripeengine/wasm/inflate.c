/* inflate.c - a bit reader, three kinds of block, and one loop over codes that exists twice.
 *
 * The loop is compiled as a fast one, for as long as input and output have room for the largest step, and a careful one that
 * checks each. Tables live on the stack (11 kB), so that any number of threads may inflate.
 */
#include "inflate.h"

#include <stdbool.h>

#include "huffman.h"

#define LITERAL_BITS 11
#define LITERAL_ENTRIES 2342 /* most of a complete code of 288 symbols read with 11 bits at first */
#define DISTANCE_BITS 8
#define DISTANCE_ENTRIES 402 /* likewise: 32 symbols, 8 bits */
#define LENGTH_BITS 7
#define LENGTH_ENTRIES 128
#define END_OF_BLOCK 256
#define MOST_LITERALS 286
#define MOST_DISTANCES 30
#define CHUNK 16 /* bytes that a copy moves at a time: a vector register */
/* Of the fast loop: two literals and the longest match, which a copy in chunks overshoots by less than three of them. */
#define OUT_ROOM (2 + 258 + 3 * CHUNK)
#define IN_ROOM 16 /* two refills */

struct reader {
	const uint8_t *at, *end;
	uint64_t bits;  /* the next bits of the stream, lowest first; above `count` they are those of `at` or zero */
	unsigned count; /* of them, at most 63 */
};

struct tables {
	uint32_t literals[LITERAL_ENTRIES], distances[DISTANCE_ENTRIES];
	unsigned literal_bits, distance_bits;
	/* Those of the fixed codes: such a block may have ten bits and must not cost a table each time. */
	bool fixed;
};

/* What a symbol means, without the bits of its code: se_entry(kind, extra bits, value). */
struct meanings {
	uint32_t literals[SE_HUFFMAN_MOST_SYMBOLS], distances[32];
};

static inline uint64_t load64(const uint8_t *from)
{
	uint64_t value;

	__builtin_memcpy(&value, from, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	value = __builtin_bswap64(value);
#endif
	return value;
}

/* At least 56 bits, or all that there are. */
static inline void refill(struct reader *self)
{
	if (self->end - self->at >= 8) {
		self->bits |= load64(self->at) << self->count;
		self->at += (63 - self->count) >> 3;
		self->count |= 56;
		return;
	}
	for (; self->count < 56 && self->at < self->end; self->count += 8)
		self->bits |= (uint64_t)*self->at++ << self->count;
}

static inline uint32_t take(struct reader *self, unsigned count)
{
	uint32_t value = (uint32_t)(self->bits & (((uint64_t)1 << count) - 1));

	self->bits >>= count;
	self->count -= count;
	return value;
}

/* Up to 16 bits. */
static int read_bits(struct reader *self, unsigned count, uint32_t *value)
{
	refill(self);
	if (self->count < count)
		return SE_INFLATE_EARLY;
	*value = take(self, count);
	return SE_INFLATE_OK;
}

static void fill_meanings(struct meanings *self)
{
	unsigned length = 3, distance = 1;

	for (unsigned i = 0; i < END_OF_BLOCK; i++)
		self->literals[i] = se_entry(SE_ENTRY_LITERAL, 0, i);
	self->literals[END_OF_BLOCK] = se_entry(SE_ENTRY_END, 0, 0);
	for (unsigned i = 257; i < 285; i++) {
		unsigned extra = i < 265 ? 0 : (i - 261) / 4;

		self->literals[i] = se_entry(0, extra, length);
		length += 1u << extra;
	}
	self->literals[285] = se_entry(0, 0, 258);
	self->literals[286] = self->literals[287] = SE_ENTRY_INVALID;
	for (unsigned i = 0; i < MOST_DISTANCES; i++) {
		unsigned extra = i < 4 ? 0 : (i - 2) / 2;

		self->distances[i] = se_entry(0, extra, distance);
		distance += 1u << extra;
	}
	self->distances[30] = self->distances[31] = SE_ENTRY_INVALID;
}

static int build(struct tables *self, const struct meanings *meanings, const uint8_t *literals, unsigned literal_count,
                 const uint8_t *distances, unsigned distance_count)
{
	if (se_huffman_build(self->literals, LITERAL_ENTRIES, LITERAL_BITS, literals, literal_count, meanings->literals, true,
	                     &self->literal_bits))
		return SE_INFLATE_INVALID;
	if (se_huffman_build(self->distances, DISTANCE_ENTRIES, DISTANCE_BITS, distances, distance_count, meanings->distances, true,
	                     &self->distance_bits))
		return SE_INFLATE_INVALID;
	return SE_INFLATE_OK;
}

static int fixed_tables(struct tables *self, const struct meanings *meanings)
{
	uint8_t literals[SE_HUFFMAN_MOST_SYMBOLS], distances[32];

	if (self->fixed)
		return SE_INFLATE_OK;
	self->fixed = true;
	for (unsigned i = 0; i < SE_HUFFMAN_MOST_SYMBOLS; i++)
		literals[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	for (unsigned i = 0; i < 32; i++)
		distances[i] = 5;
	return build(self, meanings, literals, SE_HUFFMAN_MOST_SYMBOLS, distances, 32);
}

/* Reads the code lengths of a dynamic block: `count` of them, packed with the code of `table`. */
static int read_lengths(struct reader *reader, const uint32_t *table, unsigned bits, uint8_t *lengths, unsigned count)
{
	static const uint8_t extra[] = { 2, 3, 7 }, least[] = { 3, 3, 11 };

	for (unsigned have = 0; have < count;) {
		uint32_t entry, symbol, repeats;
		uint8_t value;

		refill(reader);
		entry = table[reader->bits & ((1u << bits) - 1)];
		symbol = se_entry_value(entry);
		if (reader->count < se_entry_bits(entry))
			return SE_INFLATE_EARLY;
		take(reader, se_entry_bits(entry));
		if (symbol < 16) {
			lengths[have++] = (uint8_t)symbol;
			continue;
		}
		if (read_bits(reader, extra[symbol - 16], &repeats))
			return SE_INFLATE_EARLY;
		repeats += least[symbol - 16];
		if (repeats > count - have || (symbol == 16 && have == 0))
			return SE_INFLATE_INVALID;
		value = symbol == 16 ? lengths[have - 1] : 0;
		for (; repeats > 0; repeats--)
			lengths[have++] = value;
	}
	return SE_INFLATE_OK;
}

static int dynamic_tables(struct tables *self, const struct meanings *meanings, struct reader *reader)
{
	static const uint8_t order[] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
	uint32_t meaning[19], table[LENGTH_ENTRIES], literals, distances, packed, bits;
	uint8_t lengths[MOST_LITERALS + MOST_DISTANCES] = { 0 };
	unsigned table_bits;
	int error;

	if (read_bits(reader, 14, &bits))
		return SE_INFLATE_EARLY;
	literals = 257 + (bits & 31);
	distances = 1 + (bits >> 5 & 31);
	packed = 4 + (bits >> 10);
	if (literals > MOST_LITERALS || distances > MOST_DISTANCES)
		return SE_INFLATE_INVALID;
	for (unsigned i = 0; i < packed; i++) {
		if (read_bits(reader, 3, &bits))
			return SE_INFLATE_EARLY;
		lengths[order[i]] = (uint8_t)bits;
	}
	for (unsigned i = 0; i < 19; i++)
		meaning[i] = se_entry(0, 0, i);
	if (se_huffman_build(table, LENGTH_ENTRIES, LENGTH_BITS, lengths, 19, meaning, false, &table_bits))
		return SE_INFLATE_INVALID;
	error = read_lengths(reader, table, table_bits, lengths, literals + distances);
	if (error)
		return error;
	if (lengths[END_OF_BLOCK] == 0)
		return SE_INFLATE_INVALID;
	self->fixed = false;
	return build(self, meanings, lengths, literals, lengths + literals, distances);
}

/* Repeats `length` bytes from `distance` before `out`. Writes up to three chunks more than it is asked for. */
static inline void copy_fast(uint8_t *out, unsigned distance, unsigned length)
{
	uint8_t *end = out + length;

	if (distance < CHUNK) {
		/* The pattern is repeated until a whole chunk of it lies behind `out`. */
		unsigned period = (CHUNK + distance - 1) / distance * distance;

		for (unsigned i = 0; i < period - distance; i++, out++)
			*out = out[-(ptrdiff_t)distance];
		distance = period;
	}
	for (; out < end; out += CHUNK)
		__builtin_memcpy(out, out - distance, CHUNK);
}

static inline void copy_careful(uint8_t *out, unsigned distance, unsigned length)
{
	for (; length > 0; length--, out++)
		*out = out[-(ptrdiff_t)distance];
}

/* Looks up the next code and consumes it; `careful` also sees the end of the stream. */
static inline uint32_t next_entry(struct reader *reader, const uint32_t *table, unsigned bits)
{
	uint32_t entry = table[reader->bits & ((1u << bits) - 1)];

	if (entry & SE_ENTRY_SECOND) {
		uint64_t rest = reader->bits >> bits;

		/* Both steps are one code of at most 15 bits. */
		entry = table[se_entry_value(entry) + (rest & ((1u << se_entry_extra(entry)) - 1))] + bits;
	}
	return entry;
}

/* Runs codes until the block ends. `fast` leaves with 1 when the room for unchecked steps is used up. */
static inline __attribute__((always_inline)) int run_codes(const bool fast, const struct tables *tables, struct reader *reader,
                                                           const uint8_t *begin, uint8_t **position, const uint8_t *end)
{
	uint8_t *out = *position;
	int result = 1;

	while (!fast || (reader->end - reader->at >= IN_ROOM && end - out >= OUT_ROOM)) {
		uint32_t entry, length, distance;

		refill(reader);
		entry = next_entry(reader, tables->literals, tables->literal_bits);
		if (!fast && reader->count < se_entry_bits(entry)) {
			result = SE_INFLATE_EARLY;
			break;
		}
		take(reader, se_entry_bits(entry));
		if (entry & SE_ENTRY_LITERAL) {
			if (!fast && out == end) {
				result = SE_INFLATE_LONG;
				break;
			}
			*out++ = (uint8_t)se_entry_value(entry);
			if (!fast)
				continue;
			entry = next_entry(reader, tables->literals, tables->literal_bits);
			take(reader, se_entry_bits(entry));
			if (entry & SE_ENTRY_LITERAL) {
				*out++ = (uint8_t)se_entry_value(entry);
				continue;
			}
			refill(reader);
		}
		if (entry & (SE_ENTRY_END | SE_ENTRY_INVALID)) {
			result = entry & SE_ENTRY_END ? SE_INFLATE_OK : SE_INFLATE_INVALID;
			break;
		}
		/* From here at most 5 + 15 + 13 bits. */
		if (!fast && reader->count < se_entry_extra(entry)) {
			result = SE_INFLATE_EARLY;
			break;
		}
		length = se_entry_value(entry) + take(reader, se_entry_extra(entry));
		entry = next_entry(reader, tables->distances, tables->distance_bits);
		if (!fast && reader->count < se_entry_bits(entry) + se_entry_extra(entry)) {
			result = SE_INFLATE_EARLY;
			break;
		}
		take(reader, se_entry_bits(entry));
		distance = se_entry_value(entry) + take(reader, se_entry_extra(entry));
		if ((entry & SE_ENTRY_INVALID) || distance > (size_t)(out - begin)) {
			result = SE_INFLATE_INVALID;
			break;
		}
		if (fast) {
			copy_fast(out, distance, length);
		} else {
			if (length > (size_t)(end - out)) {
				result = SE_INFLATE_LONG;
				break;
			}
			copy_careful(out, distance, length);
		}
		out += length;
	}
	*position = out;
	return result;
}

static int run_stored(struct reader *reader, uint8_t **out, const uint8_t *end)
{
	uint32_t length, complement;

	take(reader, reader->count & 7);
	if (read_bits(reader, 16, &length) || read_bits(reader, 16, &complement))
		return SE_INFLATE_EARLY;
	if (length != (~complement & 0xffffu))
		return SE_INFLATE_INVALID;
	/* Whole bytes that wait in the bit buffer go back. */
	reader->at -= reader->count >> 3;
	reader->bits = 0;
	reader->count = 0;
	if (length > (size_t)(reader->end - reader->at))
		return SE_INFLATE_EARLY;
	if (length > (size_t)(end - *out))
		return SE_INFLATE_LONG;
	for (; length > 0; length--)
		*(*out)++ = *reader->at++;
	return SE_INFLATE_OK;
}

static int run_block(struct tables *tables, const struct meanings *meanings, struct reader *reader, uint32_t kind,
                     const uint8_t *begin, uint8_t **out, const uint8_t *end)
{
	int result;

	if (kind == 0)
		return run_stored(reader, out, end);
	if (kind == 3)
		return SE_INFLATE_INVALID;
	result = kind == 1 ? fixed_tables(tables, meanings) : dynamic_tables(tables, meanings, reader);
	if (result)
		return result;
	result = run_codes(true, tables, reader, begin, out, end);
	return result == 1 ? run_codes(false, tables, reader, begin, out, end) : result;
}

int se_inflate(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
	struct reader reader = { .at = in, .end = in + in_size };
	struct meanings meanings;
	struct tables tables;
	uint8_t *position = out;
	uint32_t head;

	tables.fixed = false;
	fill_meanings(&meanings);
	do {
		int error = read_bits(&reader, 3, &head);

		if (!error)
			error = run_block(&tables, &meanings, &reader, head >> 1, out, &position, out + out_size);
		if (error)
			return error;
	} while (!(head & 1));
	if (reader.count >= 8 || reader.at < reader.end)
		return SE_INFLATE_LATE;
	return position < out + out_size ? SE_INFLATE_SHORT : SE_INFLATE_OK;
}
