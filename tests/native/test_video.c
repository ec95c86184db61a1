/* test_video.c - an H.264 stream of its own: the quantizer follows the rate factor and what the pictures before have cost. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "encoder_h264.h"
#include "error.h"
#include "settings.h"

#define WIDTH 320
#define HEIGHT 192

static uint8_t pixels[HEIGHT][WIDTH * 4];

/* Grain over a part of the picture; `rows` of them change from frame to frame. */
static void draw_grain(uint32_t *seed, int rows)
{
	for (int y = 0; y < rows; y++)
		for (int x = 0; x < WIDTH * 4; x++)
			pixels[y][x] = (uint8_t)draw_between(seed, 60, 190);
}

/* Bytes of the last of `count` delta pictures. */
static size_t play(struct se_h264 *self, uint32_t *seed, int rows, int crf, int count)
{
	struct se_buffer out = { 0 };
	size_t size;

	for (int i = 0; i < count; i++) {
		draw_grain(seed, rows);
		se_h264_update(self, pixels[0], WIDTH * 4, (struct se_rect){ 0, 0, WIDTH, HEIGHT });
		out.size = 0;
		CHECK(se_h264_encode(self, false, crf, 0, &out) == 0, "%s", se_error_message());
	}
	size = out.size;
	se_buffer_free(&out);
	return size;
}

static size_t key(struct se_h264 *self, int crf)
{
	struct se_buffer out = { 0 };
	size_t size;

	CHECK(se_h264_encode(self, true, crf, 0, &out) == 1, "%s", se_error_message());
	size = out.size;
	se_buffer_free(&out);
	return size;
}

/* Slices of a key frame of one colour. */
static int slices(int width, int height)
{
	struct se_h264 *self = se_h264_open(width, height, (struct se_h264_form){ 420, SE_COLOUR_709_LIMITED }, 60);
	size_t stride = (size_t)width * 4;
	uint8_t *grey = malloc(stride * (size_t)height);
	struct se_buffer out = { 0 };
	int count = 0;

	CHECK(self && grey, "%s", se_error_message());
	memset(grey, 128, stride * (size_t)height);
	se_h264_update(self, grey, stride, (struct se_rect){ 0, 0, width, height });
	CHECK(se_h264_encode(self, true, 25, 0, &out) == 1, "%s", se_error_message());
	for (size_t i = 0; i + 3 < out.size; i++)
		count += out.data[i] == 0 && out.data[i + 1] == 0 && out.data[i + 2] == 1 && (out.data[i + 3] & 31) == 5;
	se_buffer_free(&out);
	free(grey);
	se_h264_free(self);
	return count;
}

void test_video(void)
{
	struct se_h264_form form = { 420, SE_COLOUR_709_LIMITED }, other = { 420, SE_COLOUR_601_LIMITED };
	struct se_h264 *self;
	uint32_t seed = 7;
	size_t fine, middling, coarse, few, key_fine, key_coarse;

	if (!se_has_h264())
		return;
	self = se_h264_open(WIDTH, HEIGHT, form, 60);
	CHECK(self, "%s", se_error_message());
	CHECK(se_h264_fits(self, WIDTH, HEIGHT, form) && !se_h264_fits(self, WIDTH, HEIGHT, other), "another colour space");
	draw_grain(&seed, HEIGHT);
	se_h264_update(self, pixels[0], WIDTH * 4, (struct se_rect){ 0, 0, WIDTH, HEIGHT });
	key_coarse = key(self, 40);
	key_fine = key(self, 15);
	CHECK(key_coarse * 3 < key_fine, "keys of %zu and %zu bytes", key_coarse, key_fine);
	/* Each quantizer reaches x264, on both sides of those it would take by itself. */
	fine = play(self, &seed, HEIGHT, 8, 6);
	middling = play(self, &seed, HEIGHT, 22, 6);
	coarse = play(self, &seed, HEIGHT, 36, 6);
	CHECK(coarse * 2 < middling && middling * 2 < fine, "%zu, %zu and %zu bytes", fine, middling, coarse);
	/* Where a sixteenth of the picture changes each pixel is worth more bits than where all of it does. */
	middling = play(self, &seed, HEIGHT, 25, 8);
	few = play(self, &seed, HEIGHT / 16, 25, 8);
	CHECK(few * 16 > middling * 5 / 4, "%zu bytes for a sixteenth, %zu for all", few, middling);
	/* What may not be so large is made anew as a coarser key frame. */
	{
		struct se_buffer out = { 0 };

		draw_grain(&seed, HEIGHT);
		se_h264_update(self, pixels[0], WIDTH * 4, (struct se_rect){ 0, 0, WIDTH, HEIGHT });
		CHECK(se_h264_encode(self, false, 15, key_fine / 2, &out) == 1, "%s", se_error_message());
		CHECK(out.size <= key_fine / 2, "%zu of %zu bytes", out.size, key_fine / 2);
		se_buffer_free(&out);
	}
	/* The history does not reach into key frames. */
	CHECK(key(self, 15) > key_fine * 3 / 4, "a key frame forgot its quantizer");
	se_h264_free(self);
	/* The larger, the more share the work. */
	CHECK(slices(512, 512) == 1 && slices(1280, 720) == 2 && slices(3840, 2160) == 4, "slices");
}
