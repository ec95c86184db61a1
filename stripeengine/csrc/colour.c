/* colour.c - BGRX to planar YCbCr, in the matrices and ranges of enum se_colour.
 *
 * 15-bit fixed point. The coefficients of each row are rounded so that white gives exactly 235 (255 in full range), and grey exactly
 * 128 in both chroma planes. AVX2, SSE2 and portable code compute the same integers.
 */
#include "colour.h"

#include "pixel.h"

#if defined(__SSE2__)
#define HAVE_SSE2 1
#include <emmintrin.h>
#else
#define HAVE_SSE2 0
#endif

#define BITS 15

struct coefficients {
	int16_t b, g, r;
	int offset;
};

struct matrix {
	struct coefficients luma, blue, red;
};

/* Luma: 32768 * (Kb, 1 - Kb - Kr, Kr), in limited range * 219/255. Chroma: 32768 * (B - luma) / (2 - 2 Kb), and the same for red,
 * in limited range * 224/255. BT.709: Kb 0.0722, Kr 0.2126; BT.601: 0.114, 0.299. */
static const struct matrix matrices[SE_COLOURS] = {
	[SE_COLOUR_709_LIMITED] = { { 2032, 20127, 5983, 16 }, { 14392, -11094, -3298, 128 }, { -1320, -13072, 14392, 128 } },
	[SE_COLOUR_709_FULL] = { { 2366, 23436, 6966, 0 }, { 16384, -12630, -3754, 128 }, { -1502, -14882, 16384, 128 } },
	[SE_COLOUR_601_LIMITED] = { { 3208, 16519, 8414, 16 }, { 14392, -9535, -4857, 128 }, { -2340, -12052, 14392, 128 } },
	[SE_COLOUR_601_FULL] = { { 3735, 19235, 9798, 0 }, { 16384, -10855, -5529, 128 }, { -2664, -13720, 16384, 128 } },
};

/* `shift` is BITS for a pixel, BITS + 2 for the sum of four. */
static uint8_t convert(const struct coefficients *c, int b, int g, int r, int shift)
{
	int value = (c->b * b + c->g * g + c->r * r + (c->offset << shift) + (1 << (shift - 1))) >> shift;

	return (uint8_t)(value > 255 ? 255 : value); /* pure blue and red in full range are 255.5; below 0 is nothing */
}

static void plane_portable(const struct coefficients *c, const uint8_t *bgrx, int from, int count, uint8_t *out)
{
	for (int i = from; i < count; i++)
		out[i] = convert(c, bgrx[i * 4], bgrx[i * 4 + 1], bgrx[i * 4 + 2], BITS);
}

static void halves_portable(const struct matrix *m, const uint8_t *top, const uint8_t *bottom, int from, int count, uint8_t *u, uint8_t *v)
{
	for (int i = from; i < count; i++) {
		const uint8_t *t = top + (size_t)i * 8, *l = bottom + (size_t)i * 8;
		int b = t[0] + t[4] + l[0] + l[4];
		int g = t[1] + t[5] + l[1] + l[5];
		int r = t[2] + t[6] + l[2] + l[6];

		u[i] = convert(&m->blue, b, g, r, BITS + 2);
		v[i] = convert(&m->red, b, g, r, BITS + 2);
	}
}

#if HAVE_SSE2
static __m128i pairs(const struct coefficients *c)
{
	return _mm_set_epi16(0, c->r, c->g, c->b, 0, c->r, c->g, c->b);
}

/* Two vectors of two pixels each, 16 bits a channel, to four values of 32 bits. */
static __m128i dot_4(__m128i low, __m128i high, __m128i c, __m128i add)
{
	__m128 a = _mm_castsi128_ps(_mm_madd_epi16(low, c)), b = _mm_castsi128_ps(_mm_madd_epi16(high, c));
	__m128i even = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)));
	__m128i odd = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1)));

	return _mm_add_epi32(_mm_add_epi32(even, odd), add);
}

static __m128i plane_4(const uint8_t *bgrx, __m128i c, __m128i add)
{
	const __m128i zero = _mm_setzero_si128();
	__m128i pixels = _mm_loadu_si128((const __m128i *)bgrx);
	__m128i sums = dot_4(_mm_unpacklo_epi8(pixels, zero), _mm_unpackhi_epi8(pixels, zero), c, add);

	return _mm_srai_epi32(sums, BITS);
}

/* Returns how many values were written: a multiple of 16. */
static int plane_sse2(const struct coefficients *c, const uint8_t *bgrx, int count, uint8_t *out)
{
	const __m128i pair = pairs(c), add = _mm_set1_epi32((c->offset << BITS) + (1 << (BITS - 1)));
	int i;

	for (i = 0; i + 16 <= count; i += 16) {
		const uint8_t *from = bgrx + (size_t)i * 4;
		__m128i low = _mm_packs_epi32(plane_4(from, pair, add), plane_4(from + 16, pair, add));
		__m128i high = _mm_packs_epi32(plane_4(from + 32, pair, add), plane_4(from + 48, pair, add));

		_mm_storeu_si128((__m128i *)(out + i), _mm_packus_epi16(low, high));
	}
	return i;
}

/* Sums of 2x2 blocks: 4 pixels of two rows to 2 sums of 16 bits a channel. */
static __m128i sum_blocks(const uint8_t *top, const uint8_t *bottom)
{
	const __m128i zero = _mm_setzero_si128();
	__m128i t = _mm_loadu_si128((const __m128i *)top), l = _mm_loadu_si128((const __m128i *)bottom);
	__m128i low = _mm_add_epi16(_mm_unpacklo_epi8(t, zero), _mm_unpacklo_epi8(l, zero));
	__m128i high = _mm_add_epi16(_mm_unpackhi_epi8(t, zero), _mm_unpackhi_epi8(l, zero));

	return _mm_add_epi16(_mm_unpacklo_epi64(low, high), _mm_unpackhi_epi64(low, high));
}

/* Returns how many values were written: a multiple of 8. */
static int halves_sse2(const struct matrix *m, const uint8_t *top, const uint8_t *bottom, int count, uint8_t *u, uint8_t *v)
{
	const int shift = BITS + 2;
	const __m128i pair_u = pairs(&m->blue), pair_v = pairs(&m->red);
	const __m128i add = _mm_set1_epi32((128 << shift) + (1 << (shift - 1)));
	int i;

	for (i = 0; i + 8 <= count; i += 8) {
		const uint8_t *t = top + (size_t)i * 8, *l = bottom + (size_t)i * 8;
		__m128i s0 = sum_blocks(t, l), s1 = sum_blocks(t + 16, l + 16);
		__m128i s2 = sum_blocks(t + 32, l + 32), s3 = sum_blocks(t + 48, l + 48);
		__m128i u16 = _mm_packs_epi32(_mm_srai_epi32(dot_4(s0, s1, pair_u, add), shift),
		                              _mm_srai_epi32(dot_4(s2, s3, pair_u, add), shift));
		__m128i v16 = _mm_packs_epi32(_mm_srai_epi32(dot_4(s0, s1, pair_v, add), shift),
		                              _mm_srai_epi32(dot_4(s2, s3, pair_v, add), shift));

		_mm_storel_epi64((__m128i *)(u + i), _mm_packus_epi16(u16, u16));
		_mm_storel_epi64((__m128i *)(v + i), _mm_packus_epi16(v16, v16));
	}
	return i;
}
#endif

#if HAVE_AVX2_KERNEL
#define AVX2 __attribute__((target("avx2"), always_inline)) static inline

/* Coefficients beside blue and red, and beside green and the byte that says nothing. */
struct pairs_8 {
	__m256i blue_red, green, add;
};

AVX2 struct pairs_8 pairs_8(const struct coefficients *c, int shift)
{
	return (struct pairs_8){ _mm256_set1_epi32((int)((uint32_t)(uint16_t)c->r << 16 | (uint16_t)c->b)),
		                     _mm256_set1_epi32((uint16_t)c->g),
		                     _mm256_set1_epi32((c->offset << shift) + (1 << (shift - 1))) };
}

AVX2 __m256i load_8(const uint8_t *bgrx)
{
	return _mm256_loadu_si256((const __m256i *)bgrx);
}

AVX2 __m256i blue_red(__m256i pixels)
{
	return _mm256_and_si256(pixels, _mm256_set1_epi32(0x00FF00FF));
}

AVX2 __m256i green(__m256i pixels)
{
	return _mm256_srli_epi16(pixels, 8);
}

AVX2 __m256i dot_8(__m256i blue_red, __m256i green, struct pairs_8 c, int shift)
{
	__m256i sum = _mm256_add_epi32(_mm256_madd_epi16(blue_red, c.blue_red), _mm256_madd_epi16(green, c.green));

	return _mm256_srai_epi32(_mm256_add_epi32(sum, c.add), shift);
}

AVX2 __m256i luma_8(__m256i pixels, struct pairs_8 c)
{
	return dot_8(blue_red(pixels), green(pixels), c, BITS);
}

/* 32 pixels to bytes: packing leaves them in fours, one from each half in turn. */
AVX2 void luma_32(const __m256i pixels[4], struct pairs_8 c, uint8_t *out)
{
	__m256i low = _mm256_packs_epi32(luma_8(pixels[0], c), luma_8(pixels[1], c));
	__m256i high = _mm256_packs_epi32(luma_8(pixels[2], c), luma_8(pixels[3], c));
	__m256i bytes = _mm256_packus_epi16(low, high);

	bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
	_mm256_storeu_si256((__m256i *)out, bytes);
}

/* 16 sums of blocks, `shift` included, to bytes in the order of the blocks. */
AVX2 void chroma_16(const __m256i blue_red[2], const __m256i green[2], struct pairs_8 c, uint8_t *out)
{
	const int shift = BITS + 2;
	__m256i words = _mm256_packs_epi32(dot_8(blue_red[0], green[0], c, shift), dot_8(blue_red[1], green[1], c, shift));
	__m256i bytes = _mm256_packus_epi16(words, words);
	__m128i low = _mm256_castsi256_si128(bytes), high = _mm256_extracti128_si256(bytes, 1);

	_mm_storeu_si128((__m128i *)out, _mm_unpacklo_epi16(low, high));
}

/* Returns how many pixels of both rows were converted: a multiple of 32. */
__attribute__((target("avx2"))) static int rows_420_avx2(const struct matrix *m, const uint8_t *top, const uint8_t *bottom, int count,
                                                         uint8_t *y_top, uint8_t *y_bottom, uint8_t *u, uint8_t *v)
{
	const struct pairs_8 luma = pairs_8(&m->luma, BITS), blue = pairs_8(&m->blue, BITS + 2), red = pairs_8(&m->red, BITS + 2);
	int i;

	for (i = 0; i + 32 <= count; i += 32) {
		__m256i t[4], b[4], sums[4], greens[4], blue_red_16[2], green_16[2];

		for (int j = 0; j < 4; j++) {
			t[j] = load_8(top + (size_t)i * 4 + j * 32);
			b[j] = load_8(bottom + (size_t)i * 4 + j * 32);
			sums[j] = _mm256_add_epi16(blue_red(t[j]), blue_red(b[j]));
			greens[j] = _mm256_add_epi16(green(t[j]), green(b[j]));
		}
		luma_32(t, luma, y_top + i);
		luma_32(b, luma, y_bottom + i);
		/* Neighbours, in twos: a two of each half of the left, then of the right. Two sums of 16 bits each stay below 65536. */
		for (int j = 0; j < 2; j++) {
			blue_red_16[j] = _mm256_hadd_epi32(sums[j * 2], sums[j * 2 + 1]);
			green_16[j] = _mm256_hadd_epi32(greens[j * 2], greens[j * 2 + 1]);
		}
		chroma_16(blue_red_16, green_16, blue, u + i / 2);
		chroma_16(blue_red_16, green_16, red, v + i / 2);
	}
	return i;
}
#endif

static void plane(const struct coefficients *c, const uint8_t *bgrx, int count, uint8_t *out)
{
	int done = 0;

#if HAVE_SSE2
	if (!se_pixel_portable())
		done = plane_sse2(c, bgrx, count, out);
#endif
	plane_portable(c, bgrx, done, count, out);
}

void se_colour_row_444(enum se_colour colour, const uint8_t *bgrx, int count, uint8_t *y, uint8_t *u, uint8_t *v)
{
	const struct matrix *m = &matrices[colour];

	plane(&m->luma, bgrx, count, y);
	plane(&m->blue, bgrx, count, u);
	plane(&m->red, bgrx, count, v);
}

/* What the widest kernel leaves, or all of it. */
static void rows_420(const struct matrix *m, const uint8_t *top, const uint8_t *bottom, int count, uint8_t *y_top, uint8_t *y_bottom,
                     uint8_t *u, uint8_t *v)
{
	int done = 0;

	plane(&m->luma, top, count, y_top);
	plane(&m->luma, bottom, count, y_bottom);
#if HAVE_SSE2
	if (!se_pixel_portable())
		done = halves_sse2(m, top, bottom, count / 2, u, v);
#endif
	halves_portable(m, top, bottom, done, count / 2, u, v);
}

void se_colour_rows_420(enum se_colour colour, const uint8_t *top, const uint8_t *bottom, int count, uint8_t *y_top,
                        uint8_t *y_bottom, uint8_t *u, uint8_t *v)
{
	const struct matrix *m = &matrices[colour];
	int done = 0;

#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2())
		done = rows_420_avx2(m, top, bottom, count, y_top, y_bottom, u, v);
#endif
	rows_420(m, top + (size_t)done * 4, bottom + (size_t)done * 4, count - done, y_top + done, y_bottom + done, u + done / 2,
	         v + done / 2);
}
