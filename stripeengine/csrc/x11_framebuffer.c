/* x11_framebuffer.c - see x11_framebuffer.h. */
#include "x11_framebuffer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

/* The header of an XWD file, version 7 (X11/XWDFile.h): numbers of 32 bits, in network order. */
enum {
	XWD_HEADER_SIZE = 0,
	XWD_VERSION = 1,
	XWD_FORMAT = 2,
	XWD_DEPTH = 3,
	XWD_WIDTH = 4,
	XWD_HEIGHT = 5,
	XWD_BYTE_ORDER = 7,
	XWD_BITS_PER_PIXEL = 11,
	XWD_BYTES_PER_LINE = 12,
	XWD_RED_MASK = 14,
	XWD_GREEN_MASK = 15,
	XWD_BLUE_MASK = 16,
	XWD_COLOURS = 19,
	XWD_NUMBERS = 25 /* in all */
};

#define Z_PIXMAP 2
#define LSB_FIRST 0
#define COLOUR_BYTES 12 /* of an entry of the colour map, which lies between header and pixels */
#define HEADER_MOST 65536
#define SIDE_MOST 32767

static uint32_t number(const uint8_t *header, int index)
{
	const uint8_t *at = header + index * 4;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int refuse(const char *why)
{
	return se_error_set(SE_E_UNSUPPORTED, "the screen's memory cannot be read directly: %s", why);
}

/* Takes the numbers from a header; those of a file of `size` bytes, which are all there are. */
static int parse(struct se_x11_framebuffer *self, const uint8_t *header, uint64_t size, uint64_t *offset)
{
	uint64_t colours = number(header, XWD_COLOURS), stride = number(header, XWD_BYTES_PER_LINE);
	uint32_t width = number(header, XWD_WIDTH), height = number(header, XWD_HEIGHT);

	if (number(header, XWD_VERSION) != 7 || number(header, XWD_FORMAT) != Z_PIXMAP || number(header, XWD_HEADER_SIZE) > HEADER_MOST ||
	    number(header, XWD_HEADER_SIZE) < XWD_NUMBERS * 4 || colours > HEADER_MOST)
		return refuse("the file is no XWD file");
	if (number(header, XWD_DEPTH) < 24 || number(header, XWD_BITS_PER_PIXEL) != 32 || number(header, XWD_BYTE_ORDER) != LSB_FIRST ||
	    number(header, XWD_RED_MASK) != 0xff0000 || number(header, XWD_GREEN_MASK) != 0xff00 || number(header, XWD_BLUE_MASK) != 0xff)
		return refuse("its pixels are not BGRX");
	*offset = number(header, XWD_HEADER_SIZE) + colours * COLOUR_BYTES;
	if (width < 1 || height < 1 || width > SIDE_MOST || height > SIDE_MOST || stride < (uint64_t)width * 4 ||
	    *offset + stride * height > size)
		return refuse("the file is shorter than its header says");
	self->width = (int)width;
	self->height = (int)height;
	self->stride = (size_t)stride;
	return SE_OK;
}

int se_x11_framebuffer_map(struct se_x11_framebuffer *self, int descriptor)
{
	uint8_t header[XWD_NUMBERS * 4];
	uint64_t offset = 0;
	struct stat status;
	void *memory;
	int seals = fcntl(descriptor, F_GET_SEALS), code;

	memset(self, 0, sizeof *self);
	if (fstat(descriptor, &status) < 0 || !S_ISREG(status.st_mode))
		return refuse("the descriptor is no file");
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return refuse("the file is not sealed against shrinking");
	if (pread(descriptor, header, sizeof header, 0) != (ssize_t)sizeof header)
		return refuse("the file has no header yet");
	code = parse(self, header, (uint64_t)status.st_size, &offset);
	if (code < 0)
		return code;
	self->size = (size_t)(offset + self->stride * (uint64_t)self->height);
	memory = mmap(NULL, self->size, PROT_READ, MAP_SHARED, descriptor, 0);
	if (memory == MAP_FAILED)
		return refuse(strerror(errno));
	self->memory = memory;
	self->pixels = self->memory + offset;
	return SE_OK;
}

bool se_x11_framebuffer_has(const struct se_x11_framebuffer *self, struct se_rect part)
{
	return self->memory != NULL && se_rect_holds((struct se_rect){0, 0, self->width, self->height}, part);
}

void se_x11_framebuffer_hold(struct se_x11_framebuffer *self, const struct se_x11 *x11)
{
	if (self->held)
		return;
	xcb_grab_server(x11->connection);
	self->held = true;
}

void se_x11_framebuffer_let_go(struct se_x11_framebuffer *self, const struct se_x11 *x11)
{
	if (!self->held)
		return;
	self->held = false;
	xcb_ungrab_server(x11->connection);
	xcb_flush(x11->connection);
}

void se_x11_framebuffer_unmap(struct se_x11_framebuffer *self)
{
	if (self->memory != NULL)
		munmap((void *)(uintptr_t)self->memory, self->size);
	memset(self, 0, sizeof *self);
}
