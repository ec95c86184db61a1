/* fuzz_settings.c - settings as they come from Python: what is accepted lies in its range and makes stripes that fit the wire. */
#include <stddef.h>

#include "error.h"
#include "fuzz.h"
#include "settings.h"

#define FIELDS (sizeof(struct se_settings) / sizeof(int))

static const int usual[FIELDS] = { SE_MODE_AUTO, 420, 60, 70, 1, 92, 15, 25, 18, 0, 1000, 1, 200, 0, 709, SE_RANGE_LIMITED, SE_PAINT_SAME, 4 };

/* A field is as usual, a small number, or anything. */
static int read_field(struct fuzz_input *input, size_t index)
{
	switch (fuzz_byte(input) % 4) {
	case 0:
		return fuzz_int(input);
	case 1:
		return fuzz_short(input);
	case 2:
		return index == 1 ? 444 : index == offsetof(struct se_settings, colour_space) / sizeof(int) ? 601 : fuzz_byte(input) % 5;
	default:
		return usual[index];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size, 0 };
	struct se_settings settings;
	int fields[FIELDS], height = 1 + (int)((unsigned)fuzz_short(&input) % 16384u), stripe, code;
	struct se_source *source;
	struct se_engine *engine;

	for (size_t i = 0; i < FIELDS; i++)
		fields[i] = read_field(&input, i);
	memcpy(&settings, fields, sizeof settings);
	code = se_settings_check(&settings);
	source = se_framebuffer_source_new(16, 16);
	engine = se_engine_new(source, &settings, 0);
	CHECK((engine != NULL) == (code == SE_OK), "an engine of settings that are checked with %d", code);
	if (engine)
		CHECK(se_engine_update(engine, &settings) == SE_OK, "%s", se_error_message());
	se_engine_free(engine);
	se_source_free(source);
	if (code < 0) {
		CHECK(strlen(se_error_message()) > 10, "no reason");
		return 0;
	}
	CHECK(settings.mode >= SE_MODE_JPEG && settings.mode <= SE_MODE_LOSSLESS, "mode");
	CHECK(settings.framerate >= 1 && settings.framerate <= 240, "framerate");
	CHECK(settings.jpeg_quality >= 1 && settings.jpeg_quality <= 100, "quality");
	CHECK(settings.h264_crf >= 5 && settings.h264_crf <= 50, "rate factor");
	CHECK(settings.max_kbps >= 0 && settings.max_kbps <= 1000000, "rate");
	CHECK(se_settings_h264_form(&settings).colour < SE_COLOURS, "colour");
	stripe = se_settings_stripe_height(&settings, height);
	CHECK(stripe >= 16 && stripe % 16 == 0, "stripes of %d rows", stripe);
	if (settings.mode == SE_MODE_H264)
		CHECK((height + stripe - 1) / stripe <= SE_STREAMS_MAX, "%d rows in stripes of %d", height, stripe);
	return 0;
}

/* The usual settings, and each field in turn as small as a byte. */
size_t fuzz_seed(unsigned number, uint8_t *out, size_t capacity)
{
	size_t size = 2;

	if (number > FIELDS || capacity < 2 + 2 * FIELDS)
		return 0;
	out[0] = 0x38;
	out[1] = 4;
	for (size_t i = 0; i < FIELDS; i++) {
		out[size++] = i + 1 == number ? 2 : 3;
		if (i + 1 == number)
			out[size++] = 1;
	}
	return size;
}
