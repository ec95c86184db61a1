/* x11_connection.h - one XCB connection to a local or remote X server, checked and ready for use.
 *
 * Owned by one thread at a time. Opening blocks until the server has answered the handshake; nothing else in here
 * blocks longer than SE_X11_ANSWER_MS: a stopped server is a dead one. The server is treated as hostile: it runs inside the desktop's sandbox, so sizes in
 * replies are compared with the bytes that arrived before they are used.
 */
#ifndef SE_X11_CONNECTION_H
#define SE_X11_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xcb/xcb.h>

#include "stripeengine.h" /* struct se_x11_address */

/* How long a reply is waited for. */
#define SE_X11_ANSWER_MS 5000

struct se_x11 {
	xcb_connection_t *connection; /* NULL when closed */
	const xcb_screen_t *screen;   /* memory of the connection */
	const xcb_setup_t *setup;     /* likewise */
	bool silent;                  /* a reply has not come in time: the connection is given up */
};

/* Connects and picks the display's screen. 0 or a negative SE_E_* code with text; *self is closed on failure. */
int se_x11_open(struct se_x11 *self, const struct se_x11_address *address);

/* Disconnects; harmless on a closed one. */
void se_x11_close(struct se_x11 *self);

/* Checks that the root window has 24 or 32 bits of TrueColor in 32-bit little-endian BGRX pixels. */
int se_x11_check_pixels(const struct se_x11 *self);

/* 1 if the server has the extension, else 0; *first_event (may be NULL) is set then. */
int se_x11_extension(const struct se_x11 *self, xcb_extension_t *extension, uint8_t *first_event);

/* 0 while the connection lives, else a negative code with a text that says why it died. */
int se_x11_alive(const struct se_x11 *self);

/* Waits for the reply to a request with one; the caller frees it. NULL with *error (may be NULL) or with a connection that
 * se_x11_alive reports: it died, or nothing came for SE_X11_ANSWER_MS. */
void *se_x11_reply(struct se_x11 *self, unsigned sequence, xcb_generic_error_t **error);

/* Waits until the server has dealt with all requests so far, which it does in their order; for SE_X11_ANSWER_MS at most. */
void se_x11_round_trip(struct se_x11 *self);

/* As xcb_request_check, but waits for SE_X11_ANSWER_MS at most. NULL: no error, if the connection lives. */
xcb_generic_error_t *se_x11_check(struct se_x11 *self, xcb_void_cookie_t request);

/* Turns a failed reply into a code and text: the dead connection if it is dead, else the X error. Frees `error`. */
int se_x11_reply_error(const struct se_x11 *self, const char *request, xcb_generic_error_t *error);

#endif
