/* x11_source.c - an X screen, or a part of it, as a picture source: MIT-SHM pixels, XDamage, the XFixes pointer image, RandR sizes.
 *
 * Owned by one thread at a time, the engine's; every function waits for at most a few round trips to the server.
 *
 * Nothing is lost: damage is fetched and cleared in one step before the rows are grabbed, so a change is either in the grab or
 * raises another event. Nothing is slept on: XCB reads events into its own queue while it waits for a reply, where
 * the socket no longer shows them; the descriptor given out is therefore an epoll of the socket and an eventfd, which is
 * raised whenever a reply left something behind.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xcb/damage.h>
#include <xcb/randr.h>
#include <xcb/shm.h>
#include <xcb/xfixes.h>

#include "error.h"
#include "region.h"
#include "source.h"
#include "x11_connection.h"
#include "x11_cursor.h"
#include "x11_damage.h"
#include "x11_pixels.h"
#include "x11_view.h"

struct x11_source {
	struct se_source base; /* first: the engine's pointer is ours */
	struct se_x11 x11;
	struct se_x11_pixels pixels;
	struct se_x11_cursor cursor;
	struct se_x11_damage damage;
	struct se_x11_view view;          /* as last reported; the server may already be ahead */
	atomic_uint origin;               /* of view.rect: x << 16 | y, for other threads */
	uint8_t fixes_event, randr_event; /* event numbers; randr_event 0: no RandR, the size is fixed */
	unsigned pending;                 /* SE_SOURCE_* bits seen in events and not yet reported */
	int epoll_fd, wake_fd;            /* -1 until made */
	bool wake_raised;
};

static struct x11_source *self_of(struct se_source *source)
{
	return (struct x11_source *)(void *)source;
}

/* Makes the descriptor readable for what is pending, since the socket no longer is. */
static void wake_raise(struct x11_source *self)
{
	if (self->pending == 0 || self->wake_raised)
		return;
	self->wake_raised = eventfd_write(self->wake_fd, 1) == 0;
}

static void wake_clear(struct x11_source *self)
{
	eventfd_t value;

	if (!self->wake_raised)
		return;
	(void)eventfd_read(self->wake_fd, &value);
	self->wake_raised = false;
}

static void handle_event(struct x11_source *self, const xcb_generic_event_t *event)
{
	uint8_t type = event->response_type & 0x7f;

	/* Type 0 are errors of requests nobody waits for: a copy that was refused, or the damage object of a dying server. */
	if (type == 0)
		se_x11_mirror_refused(&self->pixels.mirror);
	else if (type == self->damage.first_event)
		self->pending |= se_x11_damage_concerns(&self->damage, event) ? SE_SOURCE_DAMAGE : 0;
	else if (type == self->fixes_event + XCB_XFIXES_CURSOR_NOTIFY)
		self->pending |= SE_SOURCE_CURSOR;
	else if (type == XCB_CONFIGURE_NOTIFY || (self->randr_event != 0 && (type == self->randr_event + XCB_RANDR_SCREEN_CHANGE_NOTIFY ||
									     type == self->randr_event + XCB_RANDR_NOTIFY)))
		self->pending |= SE_SOURCE_RESIZED;
}

/* Takes what a reply's wait has read besides the reply. Call after every wait for a reply. */
static void drain_queued(struct x11_source *self)
{
	xcb_generic_event_t *event;

	while ((event = xcb_poll_for_queued_event(self->x11.connection)) != NULL) {
		handle_event(self, event);
		free(event);
	}
	wake_raise(self);
}

/* Adopts where the view is now, with more memory if it has outgrown the present; SE_SOURCE_RESIZED if it has another size,
 * SE_SOURCE_DAMAGE if it is elsewhere, 0 if all is as it was. */
static int adopt_view(struct x11_source *self)
{
	struct se_x11_view now = self->view;
	int code, changed = se_x11_view_find(&now, &self->x11);
	bool resized = now.rect.w != self->view.rect.w || now.rect.h != self->view.rect.h;

	if (changed < 0)
		return changed;
	code = changed == 0 ? 0 : se_x11_pixels_fit(&self->pixels, &self->x11, now.rect);
	if (code < 0)
		return code;
	self->view = now;
	if (changed == 0)
		return 0;
	atomic_store(&self->origin, (unsigned)now.rect.x << 16 | (unsigned)now.rect.y);
	se_x11_damage_focus(&self->damage, &self->x11, now.rect);
	return resized ? SE_SOURCE_RESIZED : SE_SOURCE_DAMAGE;
}

static void take_events(struct x11_source *self)
{
	xcb_generic_event_t *event;

	while ((event = xcb_poll_for_event(self->x11.connection)) != NULL) {
		handle_event(self, event);
		free(event);
	}
}

/* What is only seen is still to be polled: the descriptor stays readable for it. */
static int source_glimpse(struct se_source *source)
{
	struct x11_source *self = self_of(source);
	int code;

	wake_clear(self);
	take_events(self);
	wake_raise(self);
	code = se_x11_alive(&self->x11);
	return code < 0 ? code : (int)self->pending;
}

static int source_poll(struct se_source *source, struct se_region *damage)
{
	struct x11_source *self = self_of(source);
	unsigned seen, bits = 0;
	int code;

	wake_clear(self);
	take_events(self);
	code = se_x11_alive(&self->x11);
	if (code < 0)
		return code;
	seen = self->pending;
	self->pending = 0;
	if (seen & SE_SOURCE_RESIZED) {
		code = adopt_view(self);
		if (code < 0)
			return code;
		bits |= (unsigned)code;
		if (code != 0)
			seen |= SE_SOURCE_DAMAGE; /* of a part that was not watched until now */
		if (code == SE_SOURCE_DAMAGE)
			se_region_add(damage, (struct se_rect){0, 0, self->view.rect.w, self->view.rect.h});
	}
	if (seen & SE_SOURCE_DAMAGE) {
		code = se_x11_damage_fetch(&self->damage, &self->x11, se_x11_pixels_expect(&self->pixels, &self->x11), damage);
		if (code < 0)
			return code;
		bits |= code ? SE_SOURCE_DAMAGE : 0;
	}
	bits |= seen & SE_SOURCE_CURSOR;
	drain_queued(self);
	return (int)bits;
}

/* After a read was refused: SE_E_AGAIN if the view is elsewhere by now, which poll reports next. */
static int read_refused(struct x11_source *self)
{
	struct se_x11_view now = self->view;
	int code = se_x11_view_find(&now, &self->x11);

	if (code == 0)
		return se_error_set(SE_E_SOURCE, "the X server refused ShmGetImage: the view lies inside of the screen");
	if (code < 0)
		return code;
	self->pending |= SE_SOURCE_RESIZED;
	return se_error_set(SE_E_AGAIN, "the X screen is changing its size");
}

static int source_grab(struct se_source *source, int y0, int y1, struct se_image *out)
{
	struct x11_source *self = self_of(source);
	int code, height = self->view.rect.h;

	if (y0 < 0 || y0 >= y1 || y1 > height)
		return se_error_set(SE_E_INVALID, "rows %d to %d of a screen of %d rows cannot be grabbed", y0, y1, height);
	code = se_x11_pixels_read(&self->pixels, &self->x11, self->view.rect, y0, y1, out);
	if (code == SE_E_AGAIN)
		code = read_refused(self);
	drain_queued(self);
	return code;
}

static void source_let_go(struct se_source *source)
{
	se_x11_pixels_let_go(&self_of(source)->pixels, &self_of(source)->x11);
}

static void source_distrust(struct se_source *source)
{
	se_x11_mirror_distrust(&self_of(source)->pixels.mirror);
}

static void source_release(struct se_source *source)
{
	se_x11_mirror_release(&self_of(source)->pixels.mirror);
}

static int source_cursor(struct se_source *source, struct se_cursor *out)
{
	struct x11_source *self = self_of(source);
	int code = se_x11_cursor_fetch(&self->cursor, &self->x11);

	drain_queued(self);
	if (code < 0)
		return code;
	*out = self->cursor.image;
	return 1;
}

static int source_fd(struct se_source *source)
{
	return self_of(source)->epoll_fd;
}

static void source_size(struct se_source *source, int *width, int *height)
{
	*width = self_of(source)->view.rect.w;
	*height = self_of(source)->view.rect.h;
}

void se_x11_source_origin(struct se_source *source, int *x, int *y)
{
	unsigned origin = atomic_load(&self_of(source)->origin);

	*x = (int)(origin >> 16);
	*y = (int)(origin & 0xffff);
}

int se_x11_source_direct(struct se_source *source)
{
	return self_of(source)->pixels.direct;
}

static int source_wants_scan(struct se_source *source)
{
	(void)source;
	return 1;
}

static void source_destroy(struct se_source *source)
{
	struct x11_source *self = self_of(source);

	if (self == NULL)
		return;
	se_x11_pixels_destroy(&self->pixels, &self->x11);
	se_x11_close(&self->x11); /* the server frees damage object and region with the connection */
	se_x11_cursor_free(&self->cursor);
	if (self->epoll_fd >= 0)
		close(self->epoll_fd);
	if (self->wake_fd >= 0)
		close(self->wake_fd);
	free(self);
}

static int require_extensions(struct x11_source *self)
{
	const struct se_x11 *x11 = &self->x11;
	const char *missing = NULL;

	if (!se_x11_extension(x11, &xcb_shm_id, NULL))
		missing = "MIT-SHM";
	else if (!se_x11_extension(x11, &xcb_damage_id, &self->damage.first_event))
		missing = "DAMAGE";
	else if (!se_x11_extension(x11, &xcb_xfixes_id, &self->fixes_event))
		missing = "XFIXES";
	if (missing != NULL)
		return se_error_set(SE_E_UNSUPPORTED, "the X server lacks the %s extension: start it without '-extension %s'", missing,
			       missing);
	if (!se_x11_extension(x11, &xcb_randr_id, &self->randr_event))
		self->randr_event = 0;
	return 0;
}

/* The versions must be asked for before the first request of XFixes and Damage, or the server refuses that. */
static int negotiate(struct x11_source *self)
{
	xcb_connection_t *connection = self->x11.connection;
	xcb_generic_error_t *error = NULL;
	xcb_xfixes_query_version_cookie_t fixes_cookie = xcb_xfixes_query_version(connection, 4, 0);
	xcb_damage_query_version_cookie_t damage_cookie = xcb_damage_query_version(connection, 1, 1);
	xcb_xfixes_query_version_reply_t *fixes = se_x11_reply(&self->x11, fixes_cookie.sequence, &error);
	xcb_damage_query_version_reply_t *damage = NULL;
	int code = 0;

	if (fixes == NULL)
		return se_x11_reply_error(&self->x11, "the XFixes version", error);
	damage = se_x11_reply(&self->x11, damage_cookie.sequence, &error);
	if (damage == NULL)
		code = se_x11_reply_error(&self->x11, "the Damage version", error);
	else if (fixes->major_version < 2)
		code = se_error_set(SE_E_SOURCE, "the X server's XFIXES is version %u; regions and pointer images need 2 or newer",
			       fixes->major_version);
	free(damage);
	free(fixes);
	return code;
}

/* Asks for events before the size is read, so that a resize in between is not missed. Of monitors that were only defined anew a
 * server tells by a ConfigureNotify of the root. */
static int subscribe(struct x11_source *self)
{
	xcb_connection_t *connection = self->x11.connection;
	xcb_window_t root = self->x11.screen->root;
	uint32_t events = XCB_EVENT_MASK_STRUCTURE_NOTIFY;

	if (self->randr_event != 0)
		xcb_randr_select_input(connection, root,
				       XCB_RANDR_NOTIFY_MASK_SCREEN_CHANGE |
					       (self->view.monitor[0] ? XCB_RANDR_NOTIFY_MASK_CRTC_CHANGE : 0));
	if (self->view.monitor[0])
		xcb_change_window_attributes(connection, root, XCB_CW_EVENT_MASK, &events);
	xcb_xfixes_select_cursor_input(connection, root, XCB_XFIXES_CURSOR_NOTIFY_MASK_DISPLAY_CURSOR);
	return se_x11_damage_watch(&self->damage, &self->x11, self->view.whole);
}

static int make_descriptor(struct x11_source *self)
{
	struct epoll_event socket_event = {.events = EPOLLIN}, wake_event = {.events = EPOLLIN};

	self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->epoll_fd < 0 || self->wake_fd < 0 ||
	    epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, xcb_get_file_descriptor(self->x11.connection), &socket_event) < 0 ||
	    epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->wake_fd, &wake_event) < 0)
		return se_error_set(SE_E_SOURCE, "no descriptor to wait for the X server: %s", strerror(errno));
	return 0;
}

static const struct se_source_vtable VTABLE = {
	.destroy = source_destroy,
	.fd = source_fd,
	.poll = source_poll,
	.size = source_size,
	.grab = source_grab,
	.let_go = source_let_go,
	.cursor = source_cursor,
	.wants_scan = source_wants_scan,
	.glimpse = source_glimpse,
	.distrust = source_distrust,
	.release = source_release,
};

struct se_source *se_x11_source_new(const struct se_x11_address *address, const struct se_x11_part *part, int framebuffer)
{
	struct x11_source *self = calloc(1, sizeof *self);
	int code;

	if (self == NULL) {
		se_error_set(SE_E_NOMEM, "out of memory");
		return NULL;
	}
	self->base.vtable = &VTABLE;
	self->epoll_fd = self->wake_fd = -1;
	if (framebuffer >= 0) /* if it is of no use the server is asked */
		(void)se_x11_framebuffer_map(&self->pixels.framebuffer, framebuffer);
	code = se_x11_view_init(&self->view, part);
	if (code == 0)
		code = se_x11_open(&self->x11, address);
	if (code == 0)
		code = se_x11_check_pixels(&self->x11);
	if (code == 0)
		code = require_extensions(self);
	if (code == 0)
		code = negotiate(self);
	if (code == 0)
		code = make_descriptor(self);
	if (code == 0)
		code = subscribe(self);
	if (code == 0)
		code = adopt_view(self);
	if (code < 0) {
		source_destroy(&self->base);
		return NULL;
	}
	self->pending |= SE_SOURCE_CURSOR; /* there is an image before it first changes */
	drain_queued(self);
	return &self->base;
}
