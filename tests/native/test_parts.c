/* test_parts.c - region, damage, colour, pool, frame, settings: each against a plain model of it. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "colour.h"
#include "damage.h"
#include "error.h"
#include "frame.h"
#include "pixel.h"
#include "pool.h"
#include "settings.h"

#define SIDE 96

/* The system's reason is named in words. */
void test_error(void)
{
	errno = ENOENT;
	CHECK(se_error_system("open %s", "there") == SE_E_SYSTEM, "another code");
	CHECK(strcmp(se_error_message(), "open there: No such file or directory") == 0, "%s", se_error_message());
}

/* A region covers whatever was added, stays in its bounds, and holds no more than its limit. */
void test_region(void)
{
	uint32_t seed = 1;

	for (int round = 0; round < 300; round++) {
		static bool covered[SIDE][SIDE];
		struct se_region region = { 0 };
		struct se_rect bounds = { 0, 0, 0, 0 };
		int limit = draw_between(&seed, 1, SE_REGION_MAX), count = draw_between(&seed, 1, 200);

		memset(covered, 0, sizeof covered);
		for (int i = 0; i < count; i++) {
			struct se_rect r = { draw_between(&seed, 0, SIDE - 1), draw_between(&seed, 0, SIDE - 1), 0, 0 };

			r.w = draw_between(&seed, 0, 8 < SIDE - r.x ? 8 : SIDE - r.x);
			r.h = draw_between(&seed, 0, 8 < SIDE - r.y ? 8 : SIDE - r.y);
			se_region_add_limited(&region, r, limit, draw_between(&seed, 0, 64));
			bounds = se_rect_union(bounds, r);
			for (int y = r.y; y < r.y + r.h; y++)
				for (int x = r.x; x < r.x + r.w; x++)
					covered[y][x] = true;
			CHECK(region.count <= limit, "%d rectangles, limit %d", region.count, limit);
		}
		CHECK(memcmp(&bounds, &(struct se_rect){ 0 }, sizeof bounds) == 0 ||
		              se_rect_area(se_region_bounds(&region)) == se_rect_area(bounds),
		      "bounds");
		for (int y = 0; y < SIDE; y++)
			for (int x = 0; x < SIDE; x++)
				CHECK(!covered[y][x] || se_region_intersects(&region, (struct se_rect){ x, y, 1, 1 }), "lost %d,%d", x, y);
		se_region_clip(&region, (struct se_rect){ 10, 10, 20, 20 });
		for (int i = 0; i < region.count; i++)
			CHECK(!se_rect_empty(region.rects[i]) && region.rects[i].x >= 10 && region.rects[i].x + region.rects[i].w <= 30,
			      "clip");
	}
}

void test_damage(void)
{
	uint32_t seed = 7;
	struct se_picture a = { 0 }, b = { 0 };

	CHECK(se_picture_resize(&a, 301, 40) == 0 && se_picture_resize(&b, 301, 40) == 0, "memory");
	CHECK(se_picture_resize(&a, 0, 40) == SE_E_INVALID && a.width == 301, "a bad size changes nothing");
	CHECK(se_picture_resize(&a, 16385, 40) == SE_E_INVALID, "too wide");
	for (int round = 0; round < 2000; round++) {
		struct se_rect area = { draw_between(&seed, 0, 299), draw_between(&seed, 0, 38), 0, 0 }, found;
		int left = 1000, right = -1, top = 1000, bottom = -1, changes = draw_between(&seed, 0, 3);

		area.w = draw_between(&seed, 1, 301 - area.x);
		area.h = draw_between(&seed, 1, 40 - area.y);
		for (int y = 0; y < 40; y++) {
			memcpy(se_picture_at(&b, 0, y), se_picture_at(&a, 0, y), 301 * 4);
			for (int x = 0; x < 301; x++)
				se_picture_at(&b, x, y)[3] = (uint8_t)draw(&seed); /* X does not count */
		}
		for (int i = 0; i < changes; i++) {
			int x = draw_between(&seed, 0, 300), y = draw_between(&seed, 0, 39);

			se_picture_at(&b, x, y)[draw(&seed) % 3] ^= 1;
		}
		for (int y = area.y; y < area.y + area.h; y++)
			for (int x = area.x; x < area.x + area.w; x++)
				if (memcmp(se_picture_at(&a, x, y), se_picture_at(&b, x, y), 3) != 0) {
					left = x < left ? x : left;
					right = x > right ? x : right;
					top = y < top ? y : top;
					bottom = y > bottom ? y : bottom;
				}
		found = se_damage_compare(&a, b.pixels, b.stride, area);
		if (right < 0)
			CHECK(se_rect_empty(found), "found a change where there is none");
		else
			CHECK(found.x == left && found.y == top && found.w == right - left + 1 && found.h == bottom - top + 1,
			      "found %d,%d %dx%d, not %d,%d..%d,%d", found.x, found.y, found.w, found.h, left, top, right, bottom);
		CHECK(se_diff_first(a.pixels, b.pixels, 301) == se_diff_first_portable(a.pixels, b.pixels, 301), "first");
		CHECK(se_diff_last(a.pixels, b.pixels, 301) == se_diff_last_portable(a.pixels, b.pixels, 301), "last");
	}
	CHECK(se_damage_hash(a.pixels, a.stride, 301, 0, 40) == se_damage_hash(a.pixels, a.stride, 301, 0, 40), "hash");
	a.pixels[a.stride * 39 + 300 * 4] ^= 1;
	CHECK(se_damage_hash(a.pixels, a.stride, 301, 0, 40) != se_damage_hash(b.pixels, b.stride, 301, 0, 40), "hash");
	se_picture_free(&a);
	se_picture_free(&b);
}

/* The formula. */
static void exact(enum se_colour colour, const uint8_t *p, double *y, double *u, double *v)
{
	bool is_709 = colour == SE_COLOUR_709_LIMITED || colour == SE_COLOUR_709_FULL;
	bool full = colour == SE_COLOUR_709_FULL || colour == SE_COLOUR_601_FULL;
	double kb = is_709 ? 0.0722 : 0.114, kr = is_709 ? 0.2126 : 0.299;
	double b = p[0] / 255.0, g = p[1] / 255.0, r = p[2] / 255.0, luma = kr * r + (1 - kr - kb) * g + kb * b;

	*y = full ? 255 * luma : 16 + 219 * luma;
	*u = 128 + (full ? 255 : 224) * (b - luma) / (2 - 2 * kb);
	*v = 128 + (full ? 255 : 224) * (r - luma) / (2 - 2 * kr);
}

/* Every eighth value of each channel, and every grey: within half a step of the formula, plus rounding of coefficients. */
static void check_444(enum se_colour colour)
{
	bool full = colour == SE_COLOUR_709_FULL || colour == SE_COLOUR_601_FULL;
	uint8_t line[33 * 4], y[33], u[33], v[33];

	for (int r = 0; r < 264; r += 8)
		for (int g = 0; g < 264; g += 8) {
			for (int i = 0; i < 33; i++) {
				line[i * 4] = (uint8_t)(i * 8 > 255 ? 255 : i * 8);
				line[i * 4 + 1] = (uint8_t)(g > 255 ? 255 : g);
				line[i * 4 + 2] = (uint8_t)(r > 255 ? 255 : r);
				line[i * 4 + 3] = 0xee;
			}
			se_colour_row_444(colour, line, 33, y, u, v);
			for (int i = 0; i < 33; i++) {
				double ey, eu, ev;

				exact(colour, line + i * 4, &ey, &eu, &ev);
				CHECK(fabs(y[i] - ey) < 0.52 && fabs(u[i] - eu) < 0.52 && fabs(v[i] - ev) < 0.52,
				      "colour %d: %d %d %d gives %d %d %d", (int)colour, line[i * 4 + 2], line[i * 4 + 1], line[i * 4],
				      y[i], u[i], v[i]);
			}
		}
	for (int grey = 0; grey < 256; grey++) {
		memset(line, grey, sizeof line);
		se_colour_row_444(colour, line, 33, y, u, v);
		CHECK(u[0] == 128 && v[32] == 128, "grey %d has colour", grey);
		CHECK(grey || y[0] == (full ? 0 : 16), "black");
		CHECK(grey < 255 || y[32] == (full ? 255 : 235), "white");
		CHECK(!full || y[16] == grey, "grey %d", grey);
	}
}

static void check_420(enum se_colour colour, uint32_t *seed)
{
	enum { COUNT = 118 }; /* 96 by AVX2, 16 by SSE2, 6 by neither */
	uint8_t top[COUNT * 4], bottom[COUNT * 4], y0[COUNT], y1[COUNT], u[COUNT / 2], v[COUNT / 2];
	uint8_t py0[COUNT], py1[COUNT], pu[COUNT / 2], pv[COUNT / 2];
	uint8_t mask = draw(seed) % 4 ? 0xff : 0; /* some are of pure colours: 0 and 255 only, where full range overflows */

	for (int i = 0; i < COUNT * 4; i++) {
		top[i] = (uint8_t)(mask ? draw(seed) : i / 8 % 2 ? 255 * (draw(seed) % 2) : 255 * (i % 4 == 0));
		bottom[i] = (uint8_t)(mask ? draw(seed) : top[i]);
	}
	se_colour_rows_420(colour, top, bottom, COUNT, y0, y1, u, v);
	se_pixel_use_portable(true);
	se_colour_rows_420(colour, top, bottom, COUNT, py0, py1, pu, pv);
	se_pixel_use_portable(false);
	CHECK(memcmp(y0, py0, COUNT) == 0 && memcmp(y1, py1, COUNT) == 0 && memcmp(u, pu, COUNT / 2) == 0 &&
	              memcmp(v, pv, COUNT / 2) == 0,
	      "SIMD and portable code differ");
	for (int i = 0; i < COUNT / 2; i++) {
		double sum_u = 0, sum_v = 0;
		const uint8_t *at[4] = { top + i * 8, top + i * 8 + 4, bottom + i * 8, bottom + i * 8 + 4 };

		for (int k = 0; k < 4; k++) {
			double ey, eu, ev;

			exact(colour, at[k], &ey, &eu, &ev);
			sum_u += eu / 4;
			sum_v += ev / 4;
		}
		CHECK(fabs(u[i] - sum_u) < 0.52 && fabs(v[i] - sum_v) < 0.52, "chroma of block %d", i);
	}
}

void test_colour(void)
{
	uint32_t seed = 3;

	for (int colour = 0; colour < SE_COLOURS; colour++) {
		check_444((enum se_colour)colour);
		for (int round = 0; round < 500; round++)
			check_420((enum se_colour)colour, &seed);
	}
}

static void count_job(void *context, size_t index)
{
	atomic_int *counts = context;

	atomic_fetch_add(&counts[index], 1);
}

#define CROWD_LONG 400
#define CROWD_SHORT 60

struct crowd {
	pthread_t caller;    /* of the batch */
	atomic_int *started; /* jobs of this batch */
	atomic_int helped;   /* those that helpers did */
};

static void slow_job(void *context, size_t index)
{
	struct crowd *crowd = context;

	(void)index;
	atomic_fetch_add(crowd->started, 1);
	if (!pthread_equal(pthread_self(), crowd->caller))
		atomic_fetch_add(&crowd->helped, 1);
	usleep(500);
}

static void *run_long_batch(void *context)
{
	struct crowd *crowd = context;
	uint64_t cpu = 0;

	crowd->caller = pthread_self();
	se_pool_run(slow_job, crowd, CROWD_LONG, true, &cpu);
	return NULL;
}

/* A long batch has taken all helpers: one that comes later gets help all the same, before the long one is done. */
static void check_sharing(void)
{
	atomic_int long_started = 0, short_started = 0;
	struct crowd large = { .started = &long_started }, small = { .caller = pthread_self(), .started = &short_started };
	pthread_t thread;
	uint64_t cpu = 0;

	if (se_pool_size() < 2)
		return;
	CHECK(pthread_create(&thread, NULL, run_long_batch, &large) == 0, "no thread");
	while (atomic_load(&long_started) < 2 * se_pool_size())
		usleep(100);
	se_pool_run(slow_job, &small, CROWD_SHORT, true, &cpu);
	CHECK(atomic_load(&long_started) < CROWD_LONG, "the long batch was over first");
	CHECK(atomic_load(&small.helped) > 0, "no helper came");
	pthread_join(thread, NULL);
	CHECK(atomic_load(&long_started) == CROWD_LONG && atomic_load(&short_started) == CROWD_SHORT, "%d and %d jobs ran",
	      atomic_load(&long_started), atomic_load(&short_started));
	CHECK(atomic_load(&large.helped) > 0, "the long batch had no helper");
}

void test_pool(void)
{
	static atomic_int counts[100];
	uint64_t cpu = 0;

	for (int round = 0; round < 200; round++)
		se_pool_run(count_job, counts, 100, round % 2, &cpu);
	se_pool_run(count_job, counts, 0, true, &cpu);
	for (int i = 0; i < 100; i++)
		CHECK(atomic_load(&counts[i]) == 200, "job %d ran %d times", i, atomic_load(&counts[i]));
	CHECK(se_pool_size() >= 1 && se_pool_size() <= 64, "%d threads", se_pool_size());
	check_sharing();
}

/* Two batches, of two rectangles each: a message each, the payload once in it. */
static void check_batches(const struct se_frame_info *info, const uint8_t *payload)
{
	struct se_op ops[] = {
		{ SE_OP_COPY, 0, 0, { 0, 0, 9, 9 }, 3, 4, 0, 0, 0, NULL, 0 },
		{ SE_OP_LOSSLESS, 0, 0, { 0, 0, 1, 1 }, 0, 0, 0, 1, 1, payload, 50 },
		{ SE_OP_LOSSLESS, 0, 0, { 1, 0, 1, 1 }, 0, 0, 1, 1, 1, payload, 50 },
		{ SE_OP_LOSSLESS, 0, 0, { 2, 0, 1, 1 }, 0, 0, 0, 1, 1, payload + 1, 50 },
		{ SE_OP_LOSSLESS, 0, 0, { 3, 0, 1, 1 }, 0, 0, 1, 1, 1, payload + 1, 50 },
		{ SE_OP_JPEG, 0, 0, { 5, 6, 7, 8 }, 0, 0, 0, 7, 8, payload, 20 },
	};
	const uint8_t *data;
	struct se_frame *frame;

	CHECK(se_frame_fit(ops, 6) == 3 && se_frame_fit(ops + 3, 3) == 3, "batches in a message");
	frame = se_frame_pack(info, ops, 3);
	CHECK(frame && se_frame_size(frame) == 48 + 3 * 32 + 50, "the payload once");
	data = se_frame_data(frame);
	CHECK(data[48 + 12] == 3 && data[48 + 14] == 4, "the copy's source");
	CHECK(data[48 + 64 + 16] == 0 && data[48 + 64 + 20] == 50 && data[48 + 64 + 28] == 1, "the second rectangle");
	se_frame_unref(frame);
	frame = se_frame_pack(info, ops + 3, 3);
	CHECK(frame && se_frame_size(frame) == 48 + 3 * 32 + 70, "batch and JPEG");
	CHECK(se_frame_data(frame)[48 + 64 + 16] == 50, "the JPEG's offset");
	se_frame_unref(frame);
}

void test_frame(void)
{
	static uint8_t payload[200000];
	struct se_frame_info info = { SE_KIND_FRAME, SE_FLAG_RESIZED, 0x01020304, 7, 640, 480, 0x1122334455667788, 99 };
	struct se_op ops[3] = {
		{ SE_OP_JPEG, 0, 0, { 1, 2, 3, 4 }, 0, 0, 0, 3, 4, payload, 100000 },
		{ SE_OP_JPEG, SE_OP_FINAL, 0, { 5, 6, 7, 8 }, 0, 0, 0, 7, 8, payload, 100000 },
		{ SE_OP_H264, SE_OP_KEY, 9, { 0, 0, 640, 64 }, 0, 0, 0, 640, 64, payload, 200000 },
	};
	static const uint8_t head[] = { 1, 1, 48, 32, 4, 3, 2, 1, 7, 0, 0, 0, 0x80, 2, 0xe0, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 };
	struct se_frame *frame;
	const uint8_t *data;

	CHECK(se_frame_fit(ops, 3) == 2 && se_frame_fit(ops + 2, 1) == 1 && se_frame_fit(ops, 0) == 0, "fit");
	frame = se_frame_pack(&info, ops, 2);
	CHECK(frame && se_frame_size(frame) == 48 + 64 + 200000, "size");
	data = se_frame_data(frame);
	CHECK(memcmp(data, head, sizeof head) == 0, "header");
	CHECK(data[36] == 2 && data[38] == 1 && data[40] == 99, "counts");
	CHECK(data[48 + 32 + 1] == SE_OP_FINAL && data[48 + 32 + 4] == 5 && data[48 + 32 + 24] == 7, "record");
	CHECK((data[48 + 32 + 16] | data[48 + 32 + 17] << 8 | data[48 + 32 + 18] << 16) == 100000, "offset");
	se_frame_stamp(frame, 0x0807060504030201);
	CHECK(data[24] == 1 && data[31] == 8 && se_frame_id(frame) == 7, "stamp");
	se_frame_unref(frame);
	ops[0].length = SE_FRAME_MAX;
	CHECK(!se_frame_pack(&info, ops, 1), "8 MB");
	CHECK(strstr(se_error_message(), "8388608"), "%s", se_error_message());
	CHECK(!se_frame_pack(&info, ops, 5000), "5000 ops");
	check_batches(&info, payload);
}

void test_settings(void)
{
	struct se_settings good = { SE_MODE_JPEG, 420, 60, 70, 1, 92, 15, 25, 18, 0, 1000, 1, 200, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 }, bad;

	CHECK(se_settings_check(&good) == SE_OK, "%s", se_error_message());
	CHECK(se_settings_stripe_height(&good, 1080) == 64, "JPEG");
	bad = good;
	bad.framerate = 0;
	CHECK(se_settings_check(&bad) == SE_E_INVALID && strstr(se_error_message(), "framerate"), "%s", se_error_message());
	bad = good;
	bad.stripe_height = 24;
	CHECK(se_settings_check(&bad) == SE_E_INVALID, "24");
	bad = good;
	bad.chroma = 422;
	CHECK(se_settings_check(&bad) == SE_E_INVALID, "422");
	bad = good;
	bad.colour_space = 2020;
	CHECK(se_settings_check(&bad) == SE_E_INVALID && strstr(se_error_message(), "colour_space"), "2020");
	bad = good;
	bad.colour_range = 2;
	CHECK(se_settings_check(&bad) == SE_E_INVALID && strstr(se_error_message(), "colour_range"), "range 2");
	bad = good;
	bad.mode = 7;
	CHECK(se_settings_check(&bad) == SE_E_INVALID, "mode 7");
	good.mode = SE_MODE_H264;
	CHECK(se_settings_check(&good) == (se_has_h264() ? SE_OK : SE_E_UNSUPPORTED), "x264");
	for (int height = 1; height <= 16384; height++) {
		int h = se_settings_stripe_height(&good, height);

		CHECK(h % 16 == 0 && h >= 16 && (height + h - 1) / h <= 8, "%d for %d", h, height);
		CHECK(h == 16 || (height + h - 17) / (h - 16) > 8, "%d is not the smallest for %d", h, height);
		good.stripe_height = 16;
		CHECK((height - 1) / se_settings_stripe_height(&good, height) < 16, "more than 16 streams for %d", height);
		good.stripe_height = 0;
	}
}
