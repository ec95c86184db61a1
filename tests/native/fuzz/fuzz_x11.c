/* fuzz_x11.c - a hostile X server: setup, replies, errors and events as the script of x11_liar.h says, with any cookie.
 *
 * The calls that the engine and the worker's input make; whatever the server says they end with a result or a text. Screen
 * sizes are those the server claims, so that the rows of a grab must be there to be read.
 */
#include "error.h"
#include "source.h"
#include "x11_framebuffer.h"
#include "x11_liar.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct fuzz_input script;
static volatile uint8_t seen; /* pixels are really read */

static void check_code(int code)
{
	CHECK(code >= 0 || strlen(se_error_message()) > 3, "no text for %d", code);
}

static void look(struct se_source *source)
{
	struct se_region damage = { .count = 0 };
	struct se_cursor cursor;
	struct se_image image;
	int width, height, code = source->vtable->poll(source, &damage);

	check_code(code);
	source->vtable->size(source, &width, &height);
	CHECK(width >= 1 && height >= 1 && width <= 16384 && height <= 16384, "%dx%d", width, height);
	for (int i = 0; i < damage.count; i++)
		CHECK(damage.rects[i].x >= 0 && damage.rects[i].y >= 0 && damage.rects[i].w <= width - damage.rects[i].x &&
		              damage.rects[i].h <= height - damage.rects[i].y,
		      "damage outside of the screen");
	code = source->vtable->grab(source, height - 1, height, &image);
	check_code(code);
	if (code == SE_OK)
		seen = image.pixels[(size_t)(image.height - 1) * image.stride + (size_t)image.width * 4 - 1];
	code = source->vtable->cursor(source, &cursor);
	check_code(code);
	for (int i = 0; code > 0 && i < cursor.width * cursor.height * 4; i++)
		seen = cursor.rgba[i];
	CHECK(code <= 0 || (cursor.width <= 256 && cursor.height <= 256), "a pointer of %dx%d", cursor.width, cursor.height);
	CHECK(code <= 0 || cursor.width == 0 || (cursor.hot_x < cursor.width && cursor.hot_y < cursor.height), "hotspot");
}

static void type(struct se_x11_input *input)
{
	static uint32_t keysyms[256 * 255];
	static uint8_t keycodes[8 * 255];
	int per, x, y, state, first, last;

	se_x11_input_keycodes(input, &first, &last);
	check_code(se_x11_input_keymap(input, keysyms, sizeof keysyms / sizeof *keysyms, &per));
	check_code(se_x11_input_modifiers(input, keycodes, sizeof keycodes, &per));
	check_code(se_x11_input_key(input, 38, 1));
	check_code(se_x11_input_button(input, 1, 1));
	check_code(se_x11_input_pointer(input, &x, &y, &state));
	check_code(se_x11_input_bind(input, last, keysyms, 2));
	check_code(se_x11_input_flush(input));
}

/* A file that calls itself a screen: an honest header of 64x64 pixels, with the bytes that the script has for it. */
static void map_screen(void)
{
	static uint8_t file[20000];
	static const uint8_t numbers[] = { 100, 7, 2, 24, 64, 64, 0, 0, 32, 0, 32, 32 }; /* the last of each number's four bytes */
	struct se_x11_framebuffer framebuffer;
	int code, lies, screen = memfd_create("screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t size = sizeof file - fuzz_byte(&script) * 32u;

	memset(file, 0, sizeof file);
	for (size_t i = 0; i < sizeof numbers; i++)
		file[i * 4 + 3] = numbers[i];
	file[12 * 4 + 2] = 1; /* 256 bytes a row */
	file[14 * 4 + 1] = file[15 * 4 + 2] = file[16 * 4 + 3] = 0xff;
	lies = fuzz_byte(&script) % 8;
	for (int i = 0; i < lies; i++) {
		uint8_t at = fuzz_byte(&script);

		file[at % 100] = fuzz_byte(&script);
	}
	CHECK(screen >= 0 && write(screen, file, size) == (ssize_t)size && fcntl(screen, F_ADD_SEALS, F_SEAL_SHRINK) == 0, "no file");
	code = se_x11_framebuffer_map(&framebuffer, screen);
	close(screen);
	check_code(code);
	CHECK(code == SE_OK || lies > 0 || size < sizeof file, "an honest screen is refused: %s", se_error_message());
	CHECK(se_x11_framebuffer_has(&framebuffer, (struct se_rect){ 0, 0, 1, 1 }) == (code == SE_OK), "mapped or not");
	for (int y = 0; code == SE_OK && y < framebuffer.height; y++)
		seen = framebuffer.pixels[(size_t)y * framebuffer.stride + (size_t)framebuffer.width * 4 - 1];
	se_x11_framebuffer_unmap(&framebuffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t cookie[256];
	struct se_x11_address address = { .socket = x11_liar_socket() };
	struct se_x11_part part = { { 1, 2, 30, 20 }, NULL };
	struct se_x11_probe report;
	struct se_source *source;
	struct se_x11_input *input;
	uint8_t what;

	script = (struct fuzz_input){ data, size, 0 };
	what = fuzz_byte(&script);
	for (size_t i = 0; i < sizeof cookie; i++)
		cookie[i] = (uint8_t)(what + i);
	if (what & 4) {
		address.auth_name = "MIT-MAGIC-COOKIE-1";
		address.auth_data = cookie;
		address.auth_size = (size_t)what;
	}
	if (what & 128) {
		map_screen();
		return 0;
	}
	x11_liar_begin(&script);
	switch (what % 4) {
	case 0:
		check_code(se_x11_probe(&address, &report));
		CHECK(memchr(report.vendor, 0, sizeof report.vendor), "an endless vendor");
		break;
	case 1:
		input = se_x11_input_new(&address);
		if (input)
			type(input);
		se_x11_input_free(input);
		break;
	default:
		part.monitor = what & 16 ? "A" : NULL; /* the name the liar gives */
		source = se_x11_source_new(&address, what & 24 ? &part : NULL, -1);
		for (int i = 0; source && i < 3; i++)
			look(source);
		se_source_free(source);
	}
	x11_liar_end();
	return 0;
}

/* For each way in: an honest server, then one lie at each of its answers in turn. */
size_t fuzz_seed(unsigned number, uint8_t *out, size_t capacity)
{
	unsigned way = number % 5, at = number / 5;
	size_t size = 48;

	if (at == 25 && capacity >= 16) { /* screens, with a lie each */
		memset(out, 0, 16);
		out[0] = 128;
		out[2] = (uint8_t)(way > 0);
		out[3] = (uint8_t)(way * 16 + 3);
		out[4] = 0xff;
		return 16;
	}
	if (at > 24 || capacity < 2 * size)
		return 0;
	memset(out, 2, size); /* 2: the truth */
	out[0] = (uint8_t)(way < 3 ? way : way == 3 ? 2 + 8 : 2 + 16); /* a source of all, of a rectangle, of a monitor */
	if (at == 0)
		return size;
	memmove(out + at + 3, out + at, size - at);
	out[at] = 4 + 16;
	for (int i = 1; i <= 4; i++)
		out[at + (size_t)i] = i % 2 ? (uint8_t)(8 + at) : 0xff;
	return size;
}
