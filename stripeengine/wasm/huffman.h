/* huffman.h - lookup tables for the prefix codes of deflate (RFC 1951, section 3.2.2).
 *
 * Pure functions on the caller's memory: no allocation, nothing blocks, any thread.
 */
#ifndef SE_HUFFMAN_H
#define SE_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>

#define SE_HUFFMAN_MOST_SYMBOLS 288
#define SE_HUFFMAN_MOST_BITS 15

/* A table entry: bits of code to consume (0..3), kind (4..7), extra bits or bits of the second table (8..15), value (16..31). */
#define SE_ENTRY_LITERAL 0x10u
#define SE_ENTRY_END 0x20u
#define SE_ENTRY_SECOND 0x40u /* `value` is where the second table begins */
#define SE_ENTRY_INVALID 0x80u

#define se_entry(kind, extra, value) ((uint32_t)(kind) | (uint32_t)(extra) << 8 | (uint32_t)(value) << 16)
#define se_entry_bits(entry) ((entry) & 15u)
#define se_entry_extra(entry) ((entry) >> 8 & 255u)
#define se_entry_value(entry) ((entry) >> 16)

/* Builds a table that is read with `*bits` bits at a time, at most `most_bits`, and for longer codes a second time.
 *
 * `lengths` are the code lengths of `count` symbols, `entries` what each symbol means, without bits to consume. `partial` allows
 * what RFC 1951 allows for distances: no code at all, or a single one of one bit. Returns 0, or -1 for lengths that are no
 * prefix code or need more than `capacity` entries. */
int se_huffman_build(uint32_t *table, size_t capacity, unsigned most_bits, const uint8_t *lengths, unsigned count,
                     const uint32_t *entries, int partial, unsigned *bits);

#endif
