/* x11_monitors.h - the monitors of a screen: names and rectangles, by RandR 1.5.
 *
 * Each active output has a monitor of its name, unless `xrandr --setmonitor` gave it to another. Used by the thread that owns the
 * connection; reading waits for two round trips.
 */
#ifndef SE_X11_MONITORS_H
#define SE_X11_MONITORS_H

#include "x11_connection.h"

#define SE_X11_MONITORS_MAX 16 /* as in struct se_x11_probe */

struct se_x11_monitors {
	int count;
	struct se_x11_monitor items[SE_X11_MONITORS_MAX];
};

/* Asks the server. 0; SE_E_UNSUPPORTED without RandR 1.5; other codes if the connection is dead. */
int se_x11_monitors_read(struct se_x11_monitors *self, struct se_x11 *x11);

/* The monitor of that name, or NULL. */
const struct se_x11_monitor *se_x11_monitors_find(const struct se_x11_monitors *self, const char *name);

/* Writes the names, with commas between, as far as `size` bytes hold them. */
void se_x11_monitors_list(const struct se_x11_monitors *self, char *out, size_t size);

#endif
