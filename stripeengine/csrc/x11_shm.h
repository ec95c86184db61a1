/* x11_shm.h - pixels the X server writes and the engine reads, without a copy in between.
 *
 * A memfd passed over the X socket (MIT-SHM 1.2) works between any two processes that share a Unix socket, whatever their
 * uids and IPC namespaces. System V segments do not (BadAccess), so they are only the fallback for older servers.
 * Used by the source's thread only; creation waits for one round trip, two when it falls back.
 */
#ifndef SE_X11_SHM_H
#define SE_X11_SHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xcb/shm.h>

#include "x11_connection.h"

struct se_x11_shm {
	uint8_t *pixels; /* NULL when there is none; mapped writable because SysV and the server need it, never written here */
	size_t size;
	xcb_shm_seg_t segment;
	bool passed;     /* true: a memfd; false: System V */
	bool pixmaps;    /* the server can draw into it */
};

/* Maps `size` bytes and attaches the server to them. 0, or a negative SE_E_* code with *self empty. */
int se_x11_shm_create(struct se_x11_shm *self, struct se_x11 *x11, size_t size);

/* Gives the pages back to the system: both sides read zeros until somebody writes. False if this memory cannot. */
bool se_x11_shm_empty(struct se_x11_shm *self);

/* Detaches both sides; harmless on an empty one. */
void se_x11_shm_destroy(struct se_x11_shm *self, const struct se_x11 *x11);

#endif
