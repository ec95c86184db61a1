/* motion_lines.c - candidates for scrolling: hashes of rows (or columns) vote for a distance.
 *
 * Lines are hashed in a few short samples spread over the area rather than whole: that is faster, and a border, a scrollbar or a
 * part that stands still spoils only some of them. A sample of one colour has no vote, nor one that occurs twice.
 */
#include "motion_private.h"

#include <string.h>

#include "pixel.h"

#define LANES 8
#define SAMPLE 32      /* pixels of a line */
#define PITCH 96       /* pixels for which one sample is taken */
#define LEAST_VOTES 6
#define REPEATED 0x8000u /* mark in the table; lines are below it */

static uint64_t finish_hash(uint64_t hash)
{
	hash ^= hash >> 29;
	hash *= 0xbf58476d1ce4e5b9u;
	hash ^= hash >> 32;
	return hash | 1; /* 0 is for one colour */
}

static inline uint32_t load_pixel(const uint8_t *bgrx)
{
	uint32_t pixel;

	memcpy(&pixel, bgrx, 4);
	return pixel & SE_MOTION_COLOUR;
}

/* What the lanes of a sample add up to; 0 if it is of one colour. */
static uint64_t finish_sample(const uint32_t sums[LANES], bool varied)
{
	uint64_t hash = 0;

	if (!varied)
		return 0;
	for (int lane = 0; lane < LANES; lane += 2)
		hash = hash * 0xc2b2ae3d27d4eb4fu + ((uint64_t)sums[lane] << 32 | sums[lane + 1]);
	return finish_hash(hash);
}

/* The SAMPLE pixels of a row from `bgrx` on, in LANES sums side by side. */
static uint64_t hash_sample_portable(const uint8_t *bgrx)
{
	uint32_t sums[LANES] = { 0 }, first = load_pixel(bgrx), varied = 0;

	for (int i = 0; i < SAMPLE; i += LANES) {
		for (int lane = 0; lane < LANES; lane++) {
			uint32_t pixel = load_pixel(bgrx + (size_t)(i + lane) * 4);

			varied |= pixel ^ first;
			sums[lane] = (sums[lane] << 5 | sums[lane] >> 27) + pixel;
		}
	}
	return finish_sample(sums, varied);
}

#if HAVE_AVX2_KERNEL
__attribute__((target("avx2"))) static uint64_t hash_sample_avx2(const uint8_t *bgrx)
{
	const __m256i colour = _mm256_set1_epi32((int)SE_MOTION_COLOUR), first = _mm256_set1_epi32((int)load_pixel(bgrx));
	__m256i sum = _mm256_setzero_si256(), varied = _mm256_setzero_si256();
	uint32_t sums[LANES];

	for (int i = 0; i < SAMPLE; i += LANES) {
		__m256i pixels = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(bgrx + (size_t)i * 4)), colour);

		varied = _mm256_or_si256(varied, _mm256_xor_si256(pixels, first));
		sum = _mm256_add_epi32(_mm256_or_si256(_mm256_slli_epi32(sum, 5), _mm256_srli_epi32(sum, 27)), pixels);
	}
	_mm256_storeu_si256((__m256i *)sums, sum);
	return finish_sample(sums, !_mm256_testz_si256(varied, varied));
}
#endif

/* Where sample `index` of `count` begins, in an extent of `length`: in the middle of its share. */
static int sample_at(int index, int count, int length, int size)
{
	return (int)((int64_t)(2 * index + 1) * length / (2 * count)) - size / 2;
}


/* Adds a row to the hashes of its columns. */
static ALWAYS_INLINE void add_row_body(const uint8_t *restrict row, const uint8_t *restrict top, int count,
                                       uint32_t *restrict sums, uint32_t *restrict varied)
{
	for (int i = 0; i < count; i++) {
		uint32_t pixel = load_pixel(row + (size_t)i * 4);

		sums[i] = (sums[i] << 5 | sums[i] >> 27) + pixel;
		varied[i] |= pixel ^ load_pixel(top + (size_t)i * 4);
	}
}

static void add_row_portable(const uint8_t *row, const uint8_t *top, int count, uint32_t *sums, uint32_t *varied)
{
	add_row_body(row, top, count, sums, varied);
}

#if HAVE_AVX2_KERNEL
__attribute__((target("avx2"))) static void add_row_avx2(const uint8_t *row, const uint8_t *top, int count, uint32_t *sums,
                                                         uint32_t *varied)
{
	add_row_body(row, top, count, sums, varied);
}
#endif

/* The first `width` pixels, where there are no more: what is missing repeats the first. */
static uint64_t hash_narrow(const uint8_t *bgrx, int width)
{
	uint8_t sample[SAMPLE * 4];

	for (int i = 0; i < SAMPLE; i++)
		memcpy(sample + i * 4, bgrx + (size_t)(i < width ? i : 0) * 4, 4);
	return hash_sample_portable(sample);
}

/* Row by row, for memory's sake. */
static void hash_rows(const struct se_motion_view *view, int which, int strips, uint64_t *out)
{
	uint64_t (*hash)(const uint8_t *) = hash_sample_portable;
	struct se_rect area = view->area;
	int offsets[SE_MOTION_STRIPS];

#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2())
		hash = hash_sample_avx2;
#endif
	for (int strip = 0; strip < strips; strip++)
		offsets[strip] = sample_at(strip, strips, area.w, SAMPLE) * 4;
	for (int y = 0; y < area.h; y++) {
		const uint8_t *row = which ? se_motion_after(view, area.x, area.y + y) : se_motion_before(view, area.x, area.y + y);

		for (int strip = 0; strip < strips; strip++)
			out[(size_t)strip * (size_t)area.h + (size_t)y] =
				area.w < SAMPLE ? hash_narrow(row, area.w) : hash(row + offsets[strip]);
	}
}

static void add_row(const uint8_t *row, const uint8_t *top, int count, uint32_t *sums, uint32_t *varied)
{
#if HAVE_AVX2_KERNEL
	if (se_pixel_avx2()) {
		add_row_avx2(row, top, count, sums, varied);
		return;
	}
#endif
	add_row_portable(row, top, count, sums, varied);
}

static void hash_columns(struct se_motion *self, const struct se_motion_view *view, int which, int strips, int size,
                         uint64_t *out)
{
	struct se_rect area = view->area;

	for (int strip = 0; strip < strips; strip++, out += area.w) {
		int y = area.y + sample_at(strip, strips, area.h, size);
		const uint8_t *top = which ? se_motion_after(view, area.x, y) : se_motion_before(view, area.x, y);
		size_t stride = which ? view->stride : view->before->stride;

		memset(self->sums, 0, (size_t)area.w * sizeof *self->sums);
		memset(self->varied, 0, (size_t)area.w * sizeof *self->varied);
		for (int i = 0; i < size; i++)
			add_row(top + (size_t)i * stride, top, area.w, self->sums, self->varied);
		for (int x = 0; x < area.w; x++)
			out[x] = self->varied[x] ? finish_hash(self->sums[x] * 0x9e3779b97f4a7c15u) : 0;
	}
}

/* One more strip: all samples of a line together, which repeat less often than each. */
static void combine(uint64_t *hashes, int strips, int lines)
{
	uint64_t *out = hashes + (size_t)strips * (size_t)lines;

	for (int line = 0; line < lines; line++) {
		uint64_t hash = 0;

		for (int strip = 0; strip < strips; strip++)
			hash = hash * 0x9e3779b97f4a7c15u + hashes[(size_t)strip * (size_t)lines + (size_t)line];
		out[line] = hash ? finish_hash(hash) : 0;
	}
}

static void index_lines(struct se_motion *self, const uint64_t *hashes, int lines, uint32_t mask)
{
	memset(self->table, 0, (size_t)(mask + 1) * sizeof *self->table);
	for (int line = 0; line < lines; line++) {
		uint32_t slot = (uint32_t)(hashes[line] >> 32) & mask;

		if (!hashes[line])
			continue;
		while (self->table[slot] && hashes[(self->table[slot] & ~REPEATED) - 1] != hashes[line])
			slot = (slot + 1) & mask;
		self->table[slot] = self->table[slot] ? self->table[slot] | REPEATED : (uint16_t)(line + 1);
	}
}

static void count_votes(struct se_motion *self, const uint64_t *before, const uint64_t *after, int lines, uint32_t mask,
                        int weight)
{
	for (int line = 0; line < lines; line++) {
		uint32_t slot = (uint32_t)(after[line] >> 32) & mask;

		if (!after[line] || after[line] == before[line])
			continue;
		while (self->table[slot] && before[(self->table[slot] & ~REPEATED) - 1] != after[line])
			slot = (slot + 1) & mask;
		if (self->table[slot] && !(self->table[slot] & REPEATED))
			self->votes[line - (self->table[slot] - 1) + lines] += weight;
	}
}

/* The distances with most votes. One with a quarter of another's is noise beside it. */
static int elect(const struct se_motion *self, int lines, bool horizontal, struct se_motion_vector *out)
{
	int best[SE_MOTION_CANDIDATES] = { 0 }, count = 0;

	for (int i = 0; i <= 2 * lines; i++) {
		int votes = self->votes[i], at = SE_MOTION_CANDIDATES;

		if (votes < LEAST_VOTES)
			continue;
		while (at > 0 && votes > best[at - 1])
			at--;
		if (at == SE_MOTION_CANDIDATES)
			continue;
		for (int k = SE_MOTION_CANDIDATES - 1; k > at; k--) {
			best[k] = best[k - 1];
			out[k] = out[k - 1];
		}
		best[at] = votes;
		out[at] = (struct se_motion_vector){ horizontal ? i - lines : 0, horizontal ? 0 : i - lines };
	}
	while (count < SE_MOTION_CANDIDATES && best[count] > best[0] / 4)
		count++;
	return count;
}

int se_motion_vote(struct se_motion *self, const struct se_motion_view *view, bool horizontal,
                   struct se_motion_vector out[SE_MOTION_CANDIDATES])
{
	int lines = horizontal ? view->area.w : view->area.h, across = horizontal ? view->area.h : view->area.w;
	int strips = across / PITCH, size = across < SAMPLE ? across : SAMPLE;
	uint32_t mask = 64;

	strips = strips < 1 ? 1 : strips > SE_MOTION_STRIPS ? SE_MOTION_STRIPS : strips;
	while (mask < 2 * (uint32_t)lines)
		mask *= 2;
	mask--;
	for (int which = 0; which < 2; which++) {
		if (horizontal)
			hash_columns(self, view, which, strips, size, self->hashes[which]);
		else
			hash_rows(view, which, strips, self->hashes[which]);
		combine(self->hashes[which], strips, lines);
	}
	memset(self->votes, 0, (size_t)(2 * lines + 1) * sizeof *self->votes);
	for (int strip = 0; strip <= strips; strip++) {
		const uint64_t *before = self->hashes[0] + (size_t)strip * (size_t)lines;
		const uint64_t *after = self->hashes[1] + (size_t)strip * (size_t)lines;

		index_lines(self, before, lines, mask);
		count_votes(self, before, after, lines, mask, strip == strips ? strips : 1);
	}
	return elect(self, lines, horizontal, out);
}
