/* x11_input.c - pointer and keyboard injection by XTest; decl_x11.h has the contract.
 *
 * One thread at a time. Requests queue in XCB until flush; what is held is remembered, so that it can be let go at the end.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xcb/xproto.h>
#include <xcb/xtest.h>

#include "error.h"
#include "x11_connection.h"

#define HELD_BYTES 32 /* one bit for each of 256 keycodes or buttons */

struct se_x11_input {
	struct se_x11 x11;
	uint8_t keys[HELD_BYTES], buttons[HELD_BYTES];
	uint32_t keymap_serial;
	int offset_x, offset_y; /* of the view on the root window */
};

static bool held(const uint8_t *set, int number)
{
	return set[number >> 3] >> (number & 7) & 1;
}

static void hold(uint8_t *set, int number, int down)
{
	uint8_t bit = (uint8_t)(1u << (number & 7));

	if (down)
		set[number >> 3] |= bit;
	else
		set[number >> 3] &= (uint8_t)~bit;
}

static void fake(struct se_x11_input *self, uint8_t type, uint8_t detail, int16_t x, int16_t y)
{
	xcb_window_t root = type == XCB_MOTION_NOTIFY ? self->x11.screen->root : XCB_NONE;

	xcb_test_fake_input(self->x11.connection, type, detail, XCB_CURRENT_TIME, root, x, y, 0);
}

/* Reads pending events: without this they would pile up in memory, for every client gets every MappingNotify. */
static void drain(struct se_x11_input *self)
{
	xcb_generic_event_t *event;

	while ((event = xcb_poll_for_event(self->x11.connection)) != NULL) {
		if ((event->response_type & 0x7f) == XCB_MAPPING_NOTIFY)
			self->keymap_serial++;
		free(event);
	}
}

int se_x11_input_offset(struct se_x11_input *self, int x, int y)
{
	if (x < 0 || y < 0 || x > INT16_MAX || y > INT16_MAX)
		return se_error_set(SE_E_INVALID, "input cannot count from (%d, %d); 0 to %d are possible", x, y, INT16_MAX);
	self->offset_x = x;
	self->offset_y = y;
	return 0;
}

static int16_t on_root(int offset, int coordinate)
{
	int sum = offset + coordinate;

	return (int16_t)(sum < INT16_MAX ? sum : INT16_MAX);
}

int se_x11_input_move(struct se_x11_input *self, int x, int y)
{
	if (x < 0 || y < 0 || x > INT16_MAX || y > INT16_MAX)
		return se_error_set(SE_E_INVALID, "the pointer cannot go to (%d, %d); 0 to %d are possible", x, y, INT16_MAX);
	fake(self, XCB_MOTION_NOTIFY, 0, on_root(self->offset_x, x), on_root(self->offset_y, y));
	return 0;
}

int se_x11_input_button(struct se_x11_input *self, int button, int down)
{
	if (button < 1 || button > 255)
		return se_error_set(SE_E_INVALID, "there is no button %d; 1 to 255 are possible", button);
	fake(self, down ? XCB_BUTTON_PRESS : XCB_BUTTON_RELEASE, (uint8_t)button, 0, 0);
	hold(self->buttons, button, down);
	return 0;
}

int se_x11_input_key(struct se_x11_input *self, int keycode, int down)
{
	int first, last;

	se_x11_input_keycodes(self, &first, &last);
	if (keycode < first || keycode > last)
		return se_error_set(SE_E_INVALID, "there is no keycode %d; this X server has %d to %d", keycode, first, last);
	fake(self, down ? XCB_KEY_PRESS : XCB_KEY_RELEASE, (uint8_t)keycode, 0, 0);
	hold(self->keys, keycode, down);
	return 0;
}

int se_x11_input_flush(struct se_x11_input *self)
{
	xcb_flush(self->x11.connection);
	drain(self);
	return se_x11_alive(&self->x11);
}

int se_x11_input_release(struct se_x11_input *self)
{
	for (int i = 0; i < HELD_BYTES * 8; i++) {
		if (held(self->keys, i))
			fake(self, XCB_KEY_RELEASE, (uint8_t)i, 0, 0);
		if (held(self->buttons, i))
			fake(self, XCB_BUTTON_RELEASE, (uint8_t)i, 0, 0);
	}
	memset(self->keys, 0, sizeof self->keys);
	memset(self->buttons, 0, sizeof self->buttons);
	return se_x11_input_flush(self);
}

void se_x11_input_keycodes(const struct se_x11_input *self, int *first, int *last)
{
	*first = self->x11.setup->min_keycode;
	*last = self->x11.setup->max_keycode;
}

int se_x11_input_keymap(struct se_x11_input *self, uint32_t *keysyms, size_t capacity, int *per)
{
	xcb_connection_t *connection = self->x11.connection;
	xcb_generic_error_t *error = NULL;
	xcb_get_keyboard_mapping_reply_t *reply;
	int first, last, code = 0;
	size_t count;

	se_x11_input_keycodes(self, &first, &last);
	reply = se_x11_reply(
		&self->x11, xcb_get_keyboard_mapping(connection, (uint8_t)first, (uint8_t)(last - first + 1)).sequence, &error);
	if (reply == NULL)
		return se_x11_reply_error(&self->x11, "GetKeyboardMapping", error);
	*per = reply->keysyms_per_keycode;
	count = (size_t)(last - first + 1) * reply->keysyms_per_keycode;
	if (count > reply->length)
		code = se_error_set(SE_E_SOURCE, "the X server sent a keymap that ends early");
	else if (count > capacity)
		code = se_error_set(SE_E_INVALID, "the keymap has %zu keysyms, room is for %zu", count, capacity);
	else if (count > 0)
		memcpy(keysyms, xcb_get_keyboard_mapping_keysyms(reply), count * sizeof *keysyms);
	free(reply);
	return code;
}

int se_x11_input_modifiers(struct se_x11_input *self, uint8_t *keycodes, size_t capacity, int *per)
{
	xcb_connection_t *connection = self->x11.connection;
	xcb_generic_error_t *error = NULL;
	xcb_get_modifier_mapping_reply_t *reply =
		se_x11_reply(&self->x11, xcb_get_modifier_mapping(connection).sequence, &error);
	size_t count;
	int code = 0;

	if (reply == NULL)
		return se_x11_reply_error(&self->x11, "GetModifierMapping", error);
	*per = reply->keycodes_per_modifier;
	count = (size_t)8 * reply->keycodes_per_modifier;
	if (count > (size_t)reply->length * 4)
		code = se_error_set(SE_E_SOURCE, "the X server sent a modifier map that ends early");
	else if (count > capacity)
		code = se_error_set(SE_E_INVALID, "the modifier map has %zu keycodes, room is for %zu", count, capacity);
	else if (count > 0)
		memcpy(keycodes, xcb_get_modifier_mapping_keycodes(reply), count);
	free(reply);
	return code;
}

int se_x11_input_bind(struct se_x11_input *self, int keycode, const uint32_t *keysyms, int count)
{
	xcb_connection_t *connection = self->x11.connection;
	xcb_generic_error_t *error;
	int first, last;

	se_x11_input_keycodes(self, &first, &last);
	if (keycode < first || keycode > last)
		return se_error_set(SE_E_INVALID, "there is no keycode %d; this X server has %d to %d", keycode, first, last);
	if (count < 1 || count > 255)
		return se_error_set(SE_E_INVALID, "a keycode takes 1 to 255 keysyms, not %d", count);
	/* Checked, hence a round trip: a key event sent afterwards meets clients that were told before. */
	error = se_x11_check(&self->x11, xcb_change_keyboard_mapping_checked(connection, 1, (uint8_t)keycode,
										   (uint8_t)count, keysyms));
	if (error != NULL || self->x11.silent || xcb_connection_has_error(connection))
		return se_x11_reply_error(&self->x11, "ChangeKeyboardMapping", error);
	drain(self);
	return se_x11_alive(&self->x11);
}

int se_x11_input_pointer(struct se_x11_input *self, int *x, int *y, int *state)
{
	xcb_connection_t *connection = self->x11.connection;
	xcb_generic_error_t *error = NULL;
	xcb_query_pointer_reply_t *reply =
		se_x11_reply(&self->x11, xcb_query_pointer(connection, self->x11.screen->root).sequence, &error);

	if (reply == NULL)
		return se_x11_reply_error(&self->x11, "QueryPointer", error);
	*x = reply->root_x - self->offset_x;
	*y = reply->root_y - self->offset_y;
	*state = reply->mask;
	free(reply);
	return 0;
}

uint32_t se_x11_input_keymap_serial(const struct se_x11_input *self)
{
	return self->keymap_serial;
}

struct se_x11_input *se_x11_input_new(const struct se_x11_address *address)
{
	struct se_x11_input *self = calloc(1, sizeof *self);

	if (self == NULL) {
		se_error_set(SE_E_NOMEM, "out of memory");
		return NULL;
	}
	if (se_x11_open(&self->x11, address) < 0)
		goto fail;
	if (!se_x11_extension(&self->x11, &xcb_test_id, NULL)) {
		se_error_set(SE_E_UNSUPPORTED,
			     "the X server lacks the XTEST extension: start it without '-extension XTEST'");
		goto fail;
	}
	/* Input must reach the desktop also while a window manager has grabbed the server, for that is when it moves windows. */
	xcb_test_grab_control(self->x11.connection, 1);
	if (se_x11_input_flush(self) < 0)
		goto fail;
	return self;
fail:
	se_x11_input_free(self);
	return NULL;
}

void se_x11_input_free(struct se_x11_input *self)
{
	if (self == NULL)
		return;
	/* A server that finds the connection closed may throw away what it has not read yet: it must have answered. */
	if (self->x11.connection != NULL && se_x11_input_release(self) == 0)
		se_x11_round_trip(&self->x11);
	se_x11_close(&self->x11);
	free(self);
}
