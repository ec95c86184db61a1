/* x11_framebuffer.h - the pixels of an X source where the server itself has them: the file of `Xvfb -fbdir`, mapped.
 *
 * Nothing is copied, by nobody: what the server has drawn is there. So that it stands still while it is read, the server is held
 * (GrabServer): it then serves this connection alone. Who holds it reads at once and lets it go; if the connection ends, or the
 * process does, the server goes on by itself.
 * The file is the server's, and the server is hostile: its header is checked once, in a copy, and it must be sealed against
 * shrinking, for a file that gets shorter kills who reads it (SIGBUS). Pixels may be anything at any time, like any pixels.
 * Used by the source's thread only.
 */
#ifndef SE_X11_FRAMEBUFFER_H
#define SE_X11_FRAMEBUFFER_H

#include "region.h"
#include "x11_connection.h"

struct se_x11_framebuffer {
	const uint8_t *memory; /* the mapping; NULL: none */
	size_t size;
	const uint8_t *pixels; /* of the root's first pixel */
	size_t stride;         /* bytes */
	int width, height;     /* of the largest root there can be */
	bool held;
};

/* Maps the file, which may be closed afterwards. SE_E_UNSUPPORTED with a text if that is no sealed file of a true-colour
 * screen; nothing is mapped then. */
int se_x11_framebuffer_map(struct se_x11_framebuffer *self, int descriptor);

/* True if that part of the root can be read here. */
bool se_x11_framebuffer_has(const struct se_x11_framebuffer *self, struct se_rect part);

/* Queues the request that holds the server, if it is not held: it stands still once a later request is answered. */
void se_x11_framebuffer_hold(struct se_x11_framebuffer *self, const struct se_x11 *x11);

/* Lets the server go on, if it is held. Does not wait for it. */
void se_x11_framebuffer_let_go(struct se_x11_framebuffer *self, const struct se_x11 *x11);

/* Ends the mapping; harmless without one. */
void se_x11_framebuffer_unmap(struct se_x11_framebuffer *self);

#endif
