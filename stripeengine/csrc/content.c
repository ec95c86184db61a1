/* content.c - facts about the pixels of a rectangle on which the choice of its form rests.
 *
 * Only pixels that equal neither the one to the left nor the one above can show a new colour, so flat areas and text cost
 * little to count. SSE2 and portable code count the same steps.
 */
#include "content.h"

#include <string.h>

#include "damage.h"
#include "rowmask.h"

#if defined(__SSE2__)
#define HAVE_SSE2 1
#include <emmintrin.h>
#else
#define HAVE_SSE2 0
#endif

#define CELL SE_CONTENT_CELL
#define TABLE_BITS 10
#define RUNS (SE_PICTURE_MAX / CELL + 2)

static bool portable_only;

void se_content_use_portable(bool portable)
{
	portable_only = portable;
}

static const uint8_t *pixel_at(const uint8_t *pixels, size_t stride, int x, int y)
{
	return pixels + (size_t)y * stride + (size_t)x * 4;
}

/* ---- steps between neighbours ---- */

struct steps {
	int64_t still, soft, hard;
};

static int absolute(int value)
{
	return value < 0 ? -value : value;
}

static void steps_portable(const uint8_t *row, int from, int count, struct steps *out)
{
	for (int i = from; i < count; i++) {
		const uint8_t *a = row + (size_t)i * 4, *b = a + 4;
		int most = absolute(a[0] - b[0]);

		most = absolute(a[1] - b[1]) > most ? absolute(a[1] - b[1]) : most;
		most = absolute(a[2] - b[2]) > most ? absolute(a[2] - b[2]) : most;
		out->still += most == 0;
		out->soft += most > 0 && most <= SE_CONTENT_SOFT;
		out->hard += most >= SE_CONTENT_HARD;
	}
}

#if HAVE_SSE2
static int64_t sum_4(__m128i counts)
{
	uint32_t lanes[4];

	_mm_storeu_si128((__m128i *)lanes, counts);
	return (int64_t)lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

/* Returns how many steps were counted: a multiple of 4. */
static int steps_sse2(const uint8_t *row, int count, struct steps *out)
{
	const __m128i colour = _mm_set1_epi32(0x00ffffff), zero = _mm_setzero_si128();
	const __m128i soft_most = _mm_set1_epi8(SE_CONTENT_SOFT), hard_most = _mm_set1_epi8(SE_CONTENT_HARD - 1);
	__m128i still = zero, soft = zero, medium = zero; /* counts of steps up to each bound, negated */
	int i;

	for (i = 0; i + 4 <= count; i += 4) {
		__m128i a = _mm_loadu_si128((const __m128i *)(row + (size_t)i * 4));
		__m128i b = _mm_loadu_si128((const __m128i *)(row + (size_t)i * 4 + 4));
		__m128i step = _mm_and_si128(_mm_or_si128(_mm_subs_epu8(a, b), _mm_subs_epu8(b, a)), colour);

		still = _mm_add_epi32(still, _mm_cmpeq_epi32(step, zero));
		soft = _mm_add_epi32(soft, _mm_cmpeq_epi32(_mm_subs_epu8(step, soft_most), zero));
		medium = _mm_add_epi32(medium, _mm_cmpeq_epi32(_mm_subs_epu8(step, hard_most), zero));
	}
	still = _mm_sub_epi32(zero, still);
	soft = _mm_sub_epi32(zero, soft);
	medium = _mm_sub_epi32(zero, medium);
	out->still += sum_4(still);
	out->soft += sum_4(soft) - sum_4(still);
	out->hard += i - sum_4(medium);
	return i;
}
#endif

static void count_steps(const uint8_t *row, int count, struct steps *out)
{
	int done = 0;

#if HAVE_SSE2
	if (!portable_only)
		done = steps_sse2(row, count, out);
#endif
	steps_portable(row, done, count, out);
}

/* ---- colours ---- */

struct colours {
	uint32_t table[1 << TABLE_BITS]; /* colour + 1 */
	int count;
};

static void note_colour(struct colours *self, uint32_t colour)
{
	uint32_t slot = (colour * 0x9e3779b1u) >> (32 - TABLE_BITS);

	for (; self->table[slot]; slot = (slot + 1) & ((1u << TABLE_BITS) - 1))
		if (self->table[slot] == colour + 1)
			return;
	self->table[slot] = colour + 1;
	self->count++;
}

/* Notes the pixels of a row that equal no neighbour looked at before, until there are too many colours. */
static void note_row(struct colours *self, const uint8_t *row, const uint8_t *above, int width)
{
	uint64_t repeats[SE_ROWMASK_WORDS], same[SE_ROWMASK_WORDS];

	se_rowmask_repeats(row, width, false, repeats);
	se_rowmask_equal(row, above ? above : row, width, same);
	for (int i = 0; i < (width + 63) / 64; i++) {
		uint64_t left = ~(above ? repeats[i] | same[i] : repeats[i]);

		if (width - i * 64 < 64)
			left &= ((uint64_t)1 << (width - i * 64)) - 1;
		for (; left && self->count <= SE_CONTENT_COLOURS; left &= left - 1)
			note_colour(self, se_pixel_colour(row + (size_t)(i * 64 + __builtin_ctzll(left)) * 4));
	}
}

static bool is_uniform(const uint8_t *pixels, size_t stride, struct se_rect rect)
{
	const uint8_t *top = pixel_at(pixels, stride, rect.x, rect.y);

	if (se_diff_first(top, top + 4, rect.w - 1) < rect.w - 1)
		return false;
	for (int y = 1; y < rect.h; y++)
		if (se_diff_first(top, top + (size_t)y * stride, rect.w) < rect.w)
			return false;
	return true;
}

void se_content_examine(const uint8_t *pixels, size_t stride, struct se_rect rect, struct se_content *out)
{
	struct colours colours = { .count = 0 };
	struct steps steps = { 0, 0, 0 };
	const uint8_t *above = NULL;
	int64_t all = (int64_t)(rect.w - 1) * rect.h;

	*out = (struct se_content){ .uniform = true, .colours = 1, .still = 1000,
		                        .colour = se_pixel_colour(pixel_at(pixels, stride, rect.x, rect.y)) };
	if (is_uniform(pixels, stride, rect))
		return;
	for (int y = rect.y; y < rect.y + rect.h; y++) {
		const uint8_t *row = pixel_at(pixels, stride, rect.x, y);

		if (colours.count <= SE_CONTENT_COLOURS)
			note_row(&colours, row, above, rect.w);
		count_steps(row, rect.w - 1, &steps);
		above = row;
	}
	out->uniform = false;
	out->colours = colours.count;
	if (all == 0)
		return;
	out->still = (int)(steps.still * 1000 / all);
	out->soft = (int)(steps.soft * 1000 / all);
	out->hard = (int)(steps.hard * 1000 / all);
}

/* ---- flat rectangles ---- */

/* Cells side by side of one colour, and the rectangles they continue: in cells, relative to the first. */
struct span {
	int left, right, top;
	uint32_t colour;
};

struct flats {
	struct se_rect rect;
	int64_t least;
	struct se_flat *out;
	int count, capacity;
};

/* The first cell begins at the multiple of CELL at or before the rectangle. */
static int edge(int origin, int length, int index)
{
	int at = (origin / CELL + index) * CELL;

	return at < origin ? origin : at > origin + length ? origin + length : at;
}

static int cells_of(int origin, int length)
{
	return (origin + length - 1) / CELL - origin / CELL + 1;
}

/* Keeps the largest. */
static void report(struct flats *self, const struct span *span, int bottom)
{
	int x = edge(self->rect.x, self->rect.w, span->left), y = edge(self->rect.y, self->rect.h, span->top), smallest = 0;
	struct se_rect rect = { x, y, edge(self->rect.x, self->rect.w, span->right) - x,
		                    edge(self->rect.y, self->rect.h, bottom) - y };

	if (se_rect_area(rect) < self->least || self->capacity < 1)
		return;
	if (self->count < self->capacity) {
		self->out[self->count++] = (struct se_flat){ rect, span->colour };
		return;
	}
	for (int i = 1; i < self->count; i++)
		if (se_rect_area(self->out[i].rect) < se_rect_area(self->out[smallest].rect))
			smallest = i;
	if (se_rect_area(rect) > se_rect_area(self->out[smallest].rect))
		self->out[smallest] = (struct se_flat){ rect, span->colour };
}

/* The spans of a row of cells, from left to right. */
static int find_spans(const uint8_t *pixels, size_t stride, struct se_rect rect, int row, struct span *out)
{
	int top = edge(rect.y, rect.h, row), bottom = edge(rect.y, rect.h, row + 1), columns = cells_of(rect.x, rect.w);
	bool mixed[RUNS] = { false };
	int count = 0;

	for (int y = top; y < bottom; y++) {
		const uint8_t *here = pixel_at(pixels, stride, 0, y), *first = pixel_at(pixels, stride, 0, top);

		for (int i = 0; i < columns; i++) {
			int left = edge(rect.x, rect.w, i), right = edge(rect.x, rect.w, i + 1);

			/* The top row of a cell must be even, the others like it. */
			if (mixed[i])
				continue;
			if (y == top)
				mixed[i] = se_diff_first(here + (size_t)left * 4, here + (size_t)left * 4 + 4, right - left - 1) < right - left - 1;
			else
				mixed[i] = se_diff_first(here + (size_t)left * 4, first + (size_t)left * 4, right - left) < right - left;
		}
	}
	for (int i = 0; i < columns; i++) {
		uint32_t colour = se_pixel_colour(pixel_at(pixels, stride, edge(rect.x, rect.w, i), top));

		if (mixed[i])
			continue;
		if (count > 0 && out[count - 1].right == i && out[count - 1].colour == colour)
			out[count - 1].right++;
		else
			out[count++] = (struct span){ i, i + 1, row, colour };
	}
	return count;
}

/* Goes on from the open spans above to those of this row: a span that the new one contains goes on, and what the new one has
 * beyond it opens. All others end. Returns how many are open then. */
static int go_on(struct flats *flats, const struct span *open, int open_count, const struct span *row, int row_count,
                 int at, struct span *next)
{
	int count = 0, k = 0;

	for (int i = 0; i < row_count; i++) {
		int from = row[i].left;

		for (; k < open_count && open[k].left < row[i].right; k++) {
			if (open[k].left < from || open[k].right > row[i].right || open[k].colour != row[i].colour) {
				report(flats, &open[k], at);
				continue;
			}
			if (open[k].left > from)
				next[count++] = (struct span){ from, open[k].left, at, row[i].colour };
			next[count++] = open[k];
			from = open[k].right;
		}
		if (from < row[i].right)
			next[count++] = (struct span){ from, row[i].right, at, row[i].colour };
	}
	for (; k < open_count; k++)
		report(flats, &open[k], at);
	return count;
}

int se_content_flat_rects(const uint8_t *pixels, size_t stride, struct se_rect rect, int64_t least, struct se_flat *out,
                          int capacity)
{
	struct flats flats = { rect, least, out, 0, capacity };
	struct span spans[2][RUNS], row[RUNS];
	int rows = se_rect_empty(rect) ? 0 : cells_of(rect.y, rect.h), open = 0;

	for (int i = 0; i < rows; i++) {
		int found = find_spans(pixels, stride, rect, i, row);

		open = go_on(&flats, spans[i % 2], open, row, found, i, spans[(i + 1) % 2]);
	}
	for (int i = 0; i < open; i++)
		report(&flats, &spans[rows % 2][i], rows);
	return flats.count;
}
