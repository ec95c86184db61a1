/* rowmask.c - which pixels of a row equal others, as bit masks.
 *
 * AVX2 where the processor has it, else portable code; both give the same bits.
 */
#include "rowmask.h"

#include <string.h>

#include "pixel.h"

/* Up to 64 pixels. */
static uint64_t equal_portable(const uint8_t *a, const uint8_t *b, int count)
{
	uint64_t word = 0;

	for (int i = 0; i < count; i++) {
		uint32_t pa, pb;

		memcpy(&pa, a + (size_t)i * 4, 4);
		memcpy(&pb, b + (size_t)i * 4, 4);
		word |= (uint64_t)(((pa ^ pb) & COLOUR_MASK) == 0) << i;
	}
	return word;
}

#if HAVE_AVX2_KERNEL
/* `count` is a multiple of 8, at most 64. */
__attribute__((target("avx2"))) static uint64_t equal_avx2(const uint8_t *a, const uint8_t *b, int count)
{
	const __m256i colour = _mm256_set1_epi32((int)COLOUR_MASK), zero = _mm256_setzero_si256();
	uint64_t word = 0;

	for (int i = 0; i < count; i += 8) {
		__m256i difference = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + (size_t)i * 4)),
		                                      _mm256_loadu_si256((const __m256i *)(b + (size_t)i * 4)));
		__m256i equal = _mm256_cmpeq_epi32(_mm256_and_si256(difference, colour), zero);

		word |= (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(equal)) << i;
	}
	return word;
}

__attribute__((target("avx2"))) static void row_avx2(const uint8_t *a, const uint8_t *b, int count, uint64_t *mask)
{
	int done = 0;

	for (; done + 64 <= count; done += 64)
		*mask++ = equal_avx2(a + (size_t)done * 4, b + (size_t)done * 4, 64);
	if (done < count) {
		int whole = (count - done) & ~7, rest = (count - done) & 7;
		const uint8_t *from_a = a + (size_t)done * 4, *from_b = b + (size_t)done * 4;

		*mask = equal_avx2(from_a, from_b, whole);
		if (rest)
			*mask |= equal_portable(from_a + (size_t)whole * 4, from_b + (size_t)whole * 4, rest) << whole;
	}
}
#endif

void se_rowmask_equal(const uint8_t *a, const uint8_t *b, int count, uint64_t *mask)
{
#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2()) {
		row_avx2(a, b, count, mask);
		return;
	}
#endif
	for (int done = 0; done < count; done += 64) {
		int left = count - done;

		*mask++ = equal_portable(a + (size_t)done * 4, b + (size_t)done * 4, left < 64 ? left : 64);
	}
}

void se_rowmask_repeats(const uint8_t *row, int count, bool first, uint64_t *mask)
{
	int words = (count + 63) / 64;
	uint64_t carry = first;

	mask[words - 1] = 0; /* if the last word holds one pixel only, the comparison does not reach it */
	se_rowmask_equal(row + 4, row, count - 1, mask);
	for (int i = 0; i < words; i++) {
		uint64_t word = mask[i];

		mask[i] = word << 1 | carry;
		carry = word >> 63;
	}
}
