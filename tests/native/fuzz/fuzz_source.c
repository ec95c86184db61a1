/* fuzz_source.c - what Python hands to a framebuffer or a pattern: sizes, formats, bytes, damage rectangles.
 *
 * Each picture lies in a block of exactly the size that is named, so AddressSanitizer sees a byte read too many; a model tells
 * what the engine must see.
 */
#include "error.h"
#include "fuzz.h"
#include "picture.h"
#include "source.h"

#define SIDE 70 /* of pictures that are really made */
#define RECTS 80

static struct se_picture model;

static void copy_to_model(const uint8_t *pixels, int format, struct se_rect r)
{
	size_t step = format == SE_FORMAT_RGB ? 3 : 4;

	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++) {
			const uint8_t *from = pixels + ((size_t)y * (size_t)model.width + (size_t)x) * step;
			uint8_t *to = se_picture_at(&model, x, y);

			for (int i = 0; i < 3; i++)
				to[i] = from[format == SE_FORMAT_BGRX ? i : 2 - i];
		}
}

static bool is_inside(struct se_rect r)
{
	return r.x >= 0 && r.y >= 0 && r.w > 0 && r.h > 0 && r.w <= SIDE && r.h <= SIDE && r.x <= model.width - r.w &&
	       r.y <= model.height - r.h;
}

static void submit(struct fuzz_input *input, struct se_source *source)
{
	struct se_rect rects[RECTS];
	int format = fuzz_byte(input) % 4 ? fuzz_byte(input) % 3 : fuzz_int(input), count = fuzz_byte(input) % RECTS, code;
	size_t right = (size_t)model.width * (size_t)model.height * (format == SE_FORMAT_RGB ? 3 : 4);
	size_t size = fuzz_byte(input) % 8 ? right : (size_t)fuzz_between(input, 0, SIDE * SIDE * 4);
	bool whole = fuzz_byte(input) % 4 == 0, valid = format >= 0 && format <= 2 && size == right;
	uint8_t *pixels = malloc(size + !size);

	CHECK(pixels, "memory");
	for (size_t i = 0; i < size; i++)
		pixels[i] = (uint8_t)(fuzz_ended(input) ? i * 7 : fuzz_byte(input) + i);
	for (int i = 0; i < count; i++) {
		bool wild = fuzz_byte(input) % 16 == 0;

		rects[i] = (struct se_rect){ 0, 0, 0, 0 };
		rects[i].x = wild ? fuzz_int(input) : fuzz_between(input, 0, model.width - 1);
		rects[i].y = wild ? fuzz_int(input) : fuzz_between(input, 0, model.height - 1);
		rects[i].w = wild ? fuzz_int(input) : fuzz_between(input, 1, model.width - rects[i].x);
		rects[i].h = wild ? fuzz_int(input) : fuzz_between(input, 1, model.height - rects[i].y);
		valid = valid && (whole || is_inside(rects[i]));
	}
	code = se_framebuffer_source_submit(source, pixels, size, format, whole ? NULL : rects, (size_t)count);
	CHECK(code == (valid ? SE_OK : SE_E_INVALID), "submit answers %d: %s", code, se_error_message());
	for (int i = 0; valid && !whole && i < count; i++)
		copy_to_model(pixels, format, rects[i]);
	if (valid && whole)
		copy_to_model(pixels, format, se_picture_bounds(&model));
	free(pixels);
}

static void resize(struct fuzz_input *input, struct se_source *source)
{
	bool wild = fuzz_byte(input) % 4 == 0;
	int width = wild ? fuzz_int(input) : fuzz_between(input, 1, SIDE), height = wild ? fuzz_int(input) : fuzz_between(input, 1, SIDE);
	bool valid = width >= 1 && height >= 1 && width <= SE_PICTURE_MAX && height <= SE_PICTURE_MAX;

	if (valid && (width > SIDE || height > SIDE))
		return; /* possible, and slow */
	CHECK(se_framebuffer_source_resize(source, width, height) == (valid ? SE_OK : SE_E_INVALID), "%dx%d", width, height);
	if (valid)
		CHECK(se_picture_resize(&model, width, height) == SE_OK, "memory");
}

static void look(struct se_source *source)
{
	struct se_region damage = { .count = 0 };
	struct se_image image;
	int width, height;

	CHECK(source->vtable->poll(source, &damage) >= 0, "poll: %s", se_error_message());
	source->vtable->size(source, &width, &height);
	CHECK(width == model.width && height == model.height, "%dx%d", width, height);
	CHECK(source->vtable->grab(source, 0, height, &image) == SE_OK, "grab: %s", se_error_message());
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			CHECK(memcmp(image.pixels + (size_t)y * image.stride + (size_t)x * 4, se_picture_at(&model, x, y), 3) == 0,
			      "another pixel at %d, %d", x, y);
	for (int i = 0; i < damage.count; i++)
		CHECK(is_inside(damage.rects[i]), "damage outside of the picture");
}

static void make_pattern(struct fuzz_input *input)
{
	int width = fuzz_int(input) % 300, height = fuzz_int(input) % 300, pattern = fuzz_byte(input) % 6 - 1;
	int framerate = fuzz_short(input);
	bool valid = width > 0 && height > 0 && pattern >= SE_PATTERN_STILL && pattern <= SE_PATTERN_NOISE && framerate > 0 &&
	             framerate <= 240;
	struct se_source *source = se_pattern_source_new(width, height, pattern, framerate);
	struct se_region damage = { .count = 0 };

	CHECK((source != NULL) == valid, "%dx%d, pattern %d, %d a second: %s", width, height, pattern, framerate,
	      se_error_message());
	if (!source)
		return;
	CHECK(source->vtable->poll(source, &damage) >= 0, "poll");
	se_source_free(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size, 0 };
	struct se_source *source = se_framebuffer_source_new(40, 30);

	CHECK(source && se_picture_resize(&model, 40, 30) == SE_OK, "%s", se_error_message());
	for (int i = 0; i < 40 && !fuzz_ended(&input); i++) {
		switch (fuzz_byte(&input) % 6) {
		case 0:
			resize(&input, source);
			break;
		case 1:
			make_pattern(&input);
			break;
		case 2:
			look(source);
			break;
		default:
			submit(&input, source);
		}
	}
	look(source);
	se_source_free(source);
	return 0;
}

/* Random scripts, of growing length. */
size_t fuzz_seed(unsigned number, uint8_t *out, size_t capacity)
{
	uint32_t state = number + 1;
	size_t size = (size_t)40 << number;

	if (number > 8 || size > capacity)
		return 0;
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)draw(&state);
	return size;
}
