/* damage.c - exact comparison of two BGRX images.
 *
 * A row is looked at from the left until it differs, then from the right: equal rows cost one pass at memory speed,
 * different ones almost nothing. AVX2 where the processor has it, else portable code that compilers vectorise.
 */
#include "damage.h"

#include <string.h>

#include "pixel.h"

#define XXH_INLINE_ALL /* lets the compiler use what it may assume of the processor */
#include <xxhash.h>

#define BLOCK 16 /* pixels looked at together */

static uint32_t pixel_diff(const uint8_t *a, const uint8_t *b, int index)
{
	uint32_t pa, pb;

	memcpy(&pa, a + (size_t)index * 4, 4);
	memcpy(&pb, b + (size_t)index * 4, 4);
	return (pa ^ pb) & COLOUR_MASK;
}

static uint32_t block_diff(const uint8_t *a, const uint8_t *b, int index)
{
	uint32_t sum = 0;

	for (int i = 0; i < BLOCK; i++)
		sum |= pixel_diff(a, b, index + i);
	return sum;
}

int se_diff_first_portable(const uint8_t *a, const uint8_t *b, int count)
{
	int i = 0;

	while (i + BLOCK <= count && !block_diff(a, b, i))
		i += BLOCK;
	while (i < count && !pixel_diff(a, b, i))
		i++;
	return i;
}

int se_diff_last_portable(const uint8_t *a, const uint8_t *b, int count)
{
	int i = count;

	while (i >= BLOCK && !block_diff(a, b, i - BLOCK))
		i -= BLOCK;
	while (i > 0 && !pixel_diff(a, b, i - 1))
		i--;
	return i - 1;
}

#if HAVE_AVX2_KERNEL
__attribute__((target("avx2"))) static int equal_32(const uint8_t *a, const uint8_t *b, __m256i mask)
{
	__m256i d0 = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)a), _mm256_loadu_si256((const __m256i *)b));
	__m256i d1 = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + 32)),
	                              _mm256_loadu_si256((const __m256i *)(b + 32)));
	__m256i d2 = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + 64)),
	                              _mm256_loadu_si256((const __m256i *)(b + 64)));
	__m256i d3 = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(a + 96)),
	                              _mm256_loadu_si256((const __m256i *)(b + 96)));

	return _mm256_testz_si256(_mm256_or_si256(_mm256_or_si256(d0, d1), _mm256_or_si256(d2, d3)), mask);
}

__attribute__((target("avx2"))) static int diff_first_avx2(const uint8_t *a, const uint8_t *b, int count)
{
	const __m256i mask = _mm256_set1_epi32((int)COLOUR_MASK);
	int i = 0;

	while (i + 32 <= count && equal_32(a + (size_t)i * 4, b + (size_t)i * 4, mask))
		i += 32;
	return i + se_diff_first_portable(a + (size_t)i * 4, b + (size_t)i * 4, count - i);
}

__attribute__((target("avx2"))) static int diff_last_avx2(const uint8_t *a, const uint8_t *b, int count)
{
	const __m256i mask = _mm256_set1_epi32((int)COLOUR_MASK);
	int i = count;

	while (i >= 32 && equal_32(a + (size_t)(i - 32) * 4, b + (size_t)(i - 32) * 4, mask))
		i -= 32;
	return se_diff_last_portable(a, b, i);
}
#endif

int se_diff_first(const uint8_t *a, const uint8_t *b, int count)
{
#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2())
		return diff_first_avx2(a, b, count);
#endif
	return se_diff_first_portable(a, b, count);
}

int se_diff_last(const uint8_t *a, const uint8_t *b, int count)
{
#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2())
		return diff_last_avx2(a, b, count);
#endif
	return se_diff_last_portable(a, b, count);
}

struct se_rect se_damage_compare(const struct se_picture *picture, const uint8_t *pixels, size_t stride,
                                 struct se_rect rect)
{
	int left = rect.w, right = -1, top = -1, bottom = -1;

	for (int row = 0; row < rect.h; row++) {
		const uint8_t *a = se_picture_at(picture, rect.x, rect.y + row);
		const uint8_t *b = pixels + (size_t)(rect.y + row) * stride + (size_t)rect.x * 4;
		int first = se_diff_first(a, b, rect.w), last;

		if (first == rect.w)
			continue;
		last = se_diff_last(a, b, rect.w);
		if (top < 0)
			top = row;
		bottom = row;
		if (first < left)
			left = first;
		if (last > right)
			right = last;
	}
	if (top < 0)
		return (struct se_rect){ rect.x, rect.y, 0, 0 };
	return (struct se_rect){ rect.x + left, rect.y + top, right - left + 1, bottom - top + 1 };
}

uint64_t se_damage_hash(const uint8_t *pixels, size_t stride, int width, int y0, int y1)
{
	XXH64_hash_t hash = 0;

	for (int y = y0; y < y1; y++)
		hash = XXH3_64bits_withSeed(pixels + (size_t)y * stride, (size_t)width * 4, hash);
	return hash;
}
