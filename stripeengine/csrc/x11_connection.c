/* x11_connection.c - see x11_connection.h. No Xlib: XCB has no global state, so sources in one process do not meet. */
#include "x11_connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xcb/xcbext.h>

#include "clock.h"
#include "error.h"

#define AUTH_BYTES_MAX 4096

/* Opens the socket at `path` ourselves, so that a display number need not be unique, nor exist, on this host. */
static int socket_connect(const char *path, int *out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int fd;

	if (length == 0 || length >= sizeof address.sun_path)
		return se_error_set(SE_E_SOURCE, "the X socket's path has %zu bytes; 1 to %zu are possible", length,
			       sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, length);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return se_error_set(SE_E_SOURCE, "no socket for the X server could be made: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
		int code = se_error_set(SE_E_SOURCE, "the X socket %s cannot be reached: %s; is the X server running?", path,
				   strerror(errno));
		close(fd);
		return code;
	}
	*out = fd;
	return 0;
}

static int connect_socket(struct se_x11 *self, const struct se_x11_address *address)
{
	xcb_auth_info_t auth = {0};
	int fd = -1;
	int code;

	if (address->auth_size > AUTH_BYTES_MAX ||
	    (address->auth_name != NULL && strlen(address->auth_name) > AUTH_BYTES_MAX))
		return se_error_set(SE_E_SOURCE, "the X authorization is longer than %d bytes", AUTH_BYTES_MAX);
	code = socket_connect(address->socket, &fd);
	if (code < 0)
		return code;
	if (address->auth_name != NULL) {
		/* XCB only reads through these pointers; its struct is older than const. */
		auth.name = (char *)(uintptr_t)address->auth_name;
		auth.namelen = (int)strlen(address->auth_name);
		auth.data = (char *)(uintptr_t)address->auth_data;
		auth.datalen = (int)address->auth_size;
	}
	self->connection = xcb_connect_to_fd(fd, address->auth_name != NULL ? &auth : NULL);
	if (xcb_connection_has_error(self->connection))
		return se_error_set(SE_E_SOURCE, "the X server at %s refused the connection; is the cookie right?", address->socket);
	return 0;
}

static int connect_display(struct se_x11 *self, const char *display, int *screen)
{
	self->connection = xcb_connect(display, screen);
	switch (xcb_connection_has_error(self->connection)) {
	case 0:
		return 0;
	case XCB_CONN_CLOSED_PARSE_ERR:
		return se_error_set(SE_E_SOURCE, "'%s' is not the name of an X display; expected something like :0",
			       display != NULL ? display : "");
	case XCB_CONN_CLOSED_INVALID_SCREEN:
		return se_error_set(SE_E_SOURCE, "the X display %s has no such screen", display);
	default:
		return se_error_set(SE_E_SOURCE,
			       "the X display %s cannot be opened; is it running, and does XAUTHORITY name its cookie?",
			       display != NULL ? display : "(DISPLAY)");
	}
}

/* XCB's iterators trust the counts in the server's greeting; here they are compared with the bytes that came, so that nobody
 * walks past its end. */
static int check_setup(const xcb_setup_t *setup)
{
	const uint8_t *bytes = (const uint8_t *)setup;
	size_t size = 8 + (size_t)setup->length * 4, at = sizeof *setup;

	if (size < at)
		goto short_of_bytes;
	at += ((size_t)setup->vendor_len + 3) / 4 * 4 + (size_t)setup->pixmap_formats_len * sizeof(xcb_format_t);
	for (int screen = 0; screen < setup->roots_len; screen++) {
		int depths;

		if (at > size || size - at < sizeof(xcb_screen_t))
			goto short_of_bytes;
		depths = ((const xcb_screen_t *)(const void *)(bytes + at))->allowed_depths_len;
		at += sizeof(xcb_screen_t);
		for (; depths > 0; depths--) {
			if (at > size || size - at < sizeof(xcb_depth_t))
				goto short_of_bytes;
			at += sizeof(xcb_depth_t) +
			      ((const xcb_depth_t *)(const void *)(bytes + at))->visuals_len * sizeof(xcb_visualtype_t);
		}
	}
	if (at <= size)
		return 0;
short_of_bytes:
	return se_error_set(SE_E_SOURCE, "the X server's greeting ends early: it names more than its %zu bytes hold", size);
}

int se_x11_open(struct se_x11 *self, const struct se_x11_address *address)
{
	xcb_screen_iterator_t screens;
	int number = 0;
	int code;

	memset(self, 0, sizeof *self);
	if (address->socket != NULL)
		code = connect_socket(self, address);
	else
		code = connect_display(self, address->display, &number);
	if (code < 0)
		goto fail;
	self->setup = xcb_get_setup(self->connection);
	code = check_setup(self->setup);
	if (code < 0)
		goto fail;
	screens = xcb_setup_roots_iterator(self->setup);
	for (; screens.rem > 0 && number > 0; number--)
		xcb_screen_next(&screens);
	if (screens.rem <= 0) {
		code = se_error_set(SE_E_SOURCE, "the X server has no screen");
		goto fail;
	}
	self->screen = screens.data;
	return 0;
fail:
	se_x11_close(self);
	return code;
}

void se_x11_close(struct se_x11 *self)
{
	if (self->connection != NULL)
		xcb_disconnect(self->connection); /* also frees a connection in error */
	memset(self, 0, sizeof *self);
}

static const xcb_visualtype_t *root_visual(const xcb_screen_t *screen)
{
	for (xcb_depth_iterator_t depths = xcb_screen_allowed_depths_iterator(screen); depths.rem > 0; xcb_depth_next(&depths)) {
		xcb_visualtype_iterator_t visuals = xcb_depth_visuals_iterator(depths.data);

		for (; visuals.rem > 0; xcb_visualtype_next(&visuals))
			if (visuals.data->visual_id == screen->root_visual)
				return visuals.data;
	}
	return NULL;
}

int se_x11_check_pixels(const struct se_x11 *self)
{
	const xcb_visualtype_t *visual = root_visual(self->screen);
	uint8_t depth = self->screen->root_depth;
	xcb_format_iterator_t formats = xcb_setup_pixmap_formats_iterator(self->setup);
	int bits = 0;

	for (; formats.rem > 0; xcb_format_next(&formats))
		if (formats.data->depth == depth)
			bits = formats.data->bits_per_pixel;
	if ((depth != 24 && depth != 32) || bits != 32 || visual == NULL || visual->_class != XCB_VISUAL_CLASS_TRUE_COLOR)
		return se_error_set(SE_E_SOURCE,
			       "the X screen has depth %d at %d bits a pixel; the engine needs TrueColor at depth 24 or 32 in "
			       "32 bits: start the server with a screen like 1920x1080x24",
			       depth, bits);
	if (self->setup->image_byte_order != XCB_IMAGE_ORDER_LSB_FIRST || visual->red_mask != 0xff0000 ||
	    visual->green_mask != 0x00ff00 || visual->blue_mask != 0x0000ff)
		return se_error_set(SE_E_SOURCE, "the X screen's pixels are not little-endian BGRX (masks %06x %06x %06x)",
			       visual->red_mask, visual->green_mask, visual->blue_mask);
	return 0;
}

int se_x11_extension(const struct se_x11 *self, xcb_extension_t *extension, uint8_t *first_event)
{
	const xcb_query_extension_reply_t *reply = xcb_get_extension_data(self->connection, extension);

	if (reply == NULL || !reply->present)
		return 0;
	if (first_event != NULL)
		*first_event = reply->first_event;
	return 1;
}

void *se_x11_reply(struct se_x11 *self, unsigned sequence, xcb_generic_error_t **error)
{
	uint64_t end = se_now_us() + SE_X11_ANSWER_MS * 1000u;
	struct pollfd fd = {.fd = xcb_get_file_descriptor(self->connection), .events = POLLIN};
	xcb_generic_error_t *failure = NULL;
	void *reply = NULL;

	xcb_flush(self->connection);
	/* Whatever the poll says, XCB is asked once more: it may have read the reply while it looked for another. */
	while (!self->silent && !xcb_poll_for_reply(self->connection, sequence, &reply, &failure)) {
		uint64_t now = se_now_us();

		if (now >= end)
			self->silent = true;
		else
			(void)poll(&fd, 1, (int)((end - now) / 1000u) + 1);
	}
	if (self->silent)
		xcb_discard_reply(self->connection, sequence);
	if (error != NULL)
		*error = failure;
	else
		free(failure);
	return reply;
}

void se_x11_round_trip(struct se_x11 *self)
{
	free(se_x11_reply(self, xcb_get_input_focus(self->connection).sequence, NULL));
}

xcb_generic_error_t *se_x11_check(struct se_x11 *self, xcb_void_cookie_t request)
{
	se_x11_round_trip(self); /* then the check does not wait */
	if (self->silent) {
		xcb_discard_reply(self->connection, request.sequence);
		return NULL;
	}
	return xcb_request_check(self->connection, request);
}

int se_x11_alive(const struct se_x11 *self)
{
	if (self->silent)
		return se_error_set(SE_E_SOURCE,
			       "the X server has not answered for %d s; it is stopped or far too busy: let it go on, then start again",
			       SE_X11_ANSWER_MS / 1000);
	switch (xcb_connection_has_error(self->connection)) {
	case 0:
		return 0;
	case XCB_CONN_CLOSED_MEM_INSUFFICIENT:
		return se_error_set(SE_E_NOMEM, "out of memory in the connection to the X server");
	default:
		return se_error_set(SE_E_SOURCE, "the X server went away");
	}
}

int se_x11_reply_error(const struct se_x11 *self, const char *request, xcb_generic_error_t *error)
{
	int code = se_x11_alive(self);

	if (code == 0 && error != NULL)
		code = se_error_set(SE_E_SOURCE, "the X server answered %s with error %d", request, error->error_code);
	else if (code == 0)
		code = se_error_set(SE_E_SOURCE, "the X server did not answer %s", request);
	free(error);
	return code;
}
