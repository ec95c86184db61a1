/* x11_monitors.c - see x11_monitors.h. */
#include "x11_monitors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xcb/randr.h>

#include "error.h"

#define MINOR_NEEDED 5 /* RandR 1.5 has monitors */

/* The reply's monitors vary in length: XCB's iterator would believe the server, the bytes that arrived decide here. */
static int take_monitors(struct se_x11_monitors *self, const xcb_randr_get_monitors_reply_t *reply, xcb_atom_t *names)
{
	const uint8_t *at = (const uint8_t *)(reply + 1);
	size_t left = (size_t)reply->length * 4; /* the fixed part is the 32 bytes that `length` does not count */

	for (uint32_t i = 0; i < reply->nMonitors && self->count < SE_X11_MONITORS_MAX; i++) {
		struct se_x11_monitor *monitor = &self->items[self->count];
		xcb_randr_monitor_info_t info;
		size_t size;

		if (left < sizeof info)
			return se_error_set(SE_E_SOURCE, "the X server sent a list of monitors that ends early");
		memcpy(&info, at, sizeof info);
		size = sizeof info + (size_t)info.nOutput * 4;
		if (left < size)
			return se_error_set(SE_E_SOURCE, "the X server sent a list of monitors that ends early");
		at += size;
		left -= size;
		monitor->rect = (struct se_rect){info.x, info.y, info.width, info.height};
		monitor->primary = info.primary != 0;
		names[self->count++] = info.name;
	}
	return 0;
}

static int take_name(struct se_x11_monitor *monitor, struct se_x11 *x11, xcb_get_atom_name_cookie_t cookie)
{
	xcb_get_atom_name_reply_t *reply = se_x11_reply(x11, cookie.sequence, NULL);
	size_t length;

	if (reply == NULL) {
		monitor->name[0] = '\0'; /* BadAtom: removed meanwhile */
		return se_x11_alive(x11);
	}
	length = reply->name_len < (size_t)reply->length * 4 ? reply->name_len : (size_t)reply->length * 4;
	snprintf(monitor->name, sizeof monitor->name, "%.*s", (int)length, xcb_get_atom_name_name(reply));
	free(reply);
	return 0;
}

static int take_names(struct se_x11_monitors *self, struct se_x11 *x11, const xcb_atom_t *names)
{
	xcb_get_atom_name_cookie_t cookies[SE_X11_MONITORS_MAX];
	int code = 0;

	for (int i = 0; i < self->count; i++)
		cookies[i] = xcb_get_atom_name(x11->connection, names[i]);
	for (int i = 0; i < self->count; i++) {
		int taken = take_name(&self->items[i], x11, cookies[i]);

		code = code < 0 ? code : taken;
	}
	return code;
}

int se_x11_monitors_read(struct se_x11_monitors *self, struct se_x11 *x11)
{
	xcb_connection_t *connection = x11->connection;
	xcb_randr_query_version_cookie_t version_cookie;
	xcb_randr_get_monitors_cookie_t monitors_cookie;
	xcb_randr_query_version_reply_t *version;
	xcb_randr_get_monitors_reply_t *reply;
	xcb_atom_t names[SE_X11_MONITORS_MAX];
	int code = 0;

	memset(self, 0, sizeof *self);
	if (!se_x11_extension(x11, &xcb_randr_id, NULL))
		return se_error_set(SE_E_UNSUPPORTED, "the X server lacks the RANDR extension, which knows monitors: start it without "
						      "'-extension RANDR', or name a rectangle");
	version_cookie = xcb_randr_query_version(connection, 1, MINOR_NEEDED);
	monitors_cookie = xcb_randr_get_monitors(connection, x11->screen->root, 1);
	version = se_x11_reply(x11, version_cookie.sequence, NULL);
	reply = se_x11_reply(x11, monitors_cookie.sequence, NULL);
	if (version != NULL && (version->major_version < 1 || (version->major_version == 1 && version->minor_version < MINOR_NEEDED)))
		code = se_error_set(SE_E_UNSUPPORTED, "the X server's RANDR is version %u.%u; monitors need 1.5: name a rectangle",
				    version->major_version, version->minor_version);
	else if (version == NULL || reply == NULL)
		code = se_x11_reply_error(x11, "GetMonitors", NULL);
	else
		code = take_monitors(self, reply, names);
	free(version);
	free(reply);
	return code < 0 ? code : take_names(self, x11, names);
}

const struct se_x11_monitor *se_x11_monitors_find(const struct se_x11_monitors *self, const char *name)
{
	for (int i = 0; i < self->count; i++)
		if (strcmp(self->items[i].name, name) == 0)
			return &self->items[i];
	return NULL;
}

void se_x11_monitors_list(const struct se_x11_monitors *self, char *out, size_t size)
{
	size_t used = 0;

	snprintf(out, size, "none");
	for (int i = 0; i < self->count && used < size; i++) {
		int length = snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", self->items[i].name);

		used += length > 0 ? (size_t)length : 0;
	}
}
