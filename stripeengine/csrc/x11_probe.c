/* x11_probe.c - what an X server offers to the engine, for `python -m stripeengine doctor`.
 *
 * Blocks for a dozen round trips; no state.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xcb/damage.h>
#include <xcb/randr.h>
#include <xcb/shm.h>
#include <xcb/xfixes.h>
#include <xcb/xtest.h>

#include "error.h"
#include "x11_connection.h"
#include "x11_monitors.h"
#include "x11_shm.h"

#define PROBE_BYTES 4096 /* of shared memory: one page shows whether it can be attached */

/* Asks one extension for its version. All version replies of X extensions differ in type only, hence the macro. */
#define PROBE_VERSION(x11, id, call, major_wanted, minor_wanted, out)                                                      \
	do {                                                                                                               \
		call##_reply_t *reply_;                                                                                    \
		if (!se_x11_extension((x11), &(id), NULL))                                                                 \
			break;                                                                                             \
		reply_ = se_x11_reply((x11), call((x11)->connection, major_wanted, minor_wanted).sequence, NULL);           \
		if (reply_ == NULL)                                                                                        \
			break;                                                                                             \
		*(out) = (struct se_x11_version){1, reply_->major_version, reply_->minor_version};                         \
		free(reply_);                                                                                              \
	} while (0)

static void probe_shm_version(struct se_x11 *x11, struct se_x11_version *out)
{
	xcb_shm_query_version_reply_t *reply;

	if (!se_x11_extension(x11, &xcb_shm_id, NULL))
		return;
	reply = se_x11_reply(x11, xcb_shm_query_version(x11->connection).sequence, NULL);
	if (reply == NULL)
		return;
	*out = (struct se_x11_version){1, reply->major_version, reply->minor_version};
	free(reply);
}

static void probe_memory(struct se_x11 *x11, struct se_x11_probe *out)
{
	struct se_x11_shm shm;

	if (!out->shm.present || se_x11_shm_create(&shm, x11, PROBE_BYTES) < 0)
		return;
	out->memory = shm.passed ? 2 : 1;
	se_x11_shm_destroy(&shm, x11);
}

static void probe_monitors(struct se_x11 *x11, struct se_x11_probe *out)
{
	struct se_x11_monitors monitors;

	if (se_x11_monitors_read(&monitors, x11) < 0)
		return;
	out->monitor_count = monitors.count;
	memcpy(out->monitors, monitors.items, sizeof out->monitors);
}

int se_x11_probe(const struct se_x11_address *address, struct se_x11_probe *out)
{
	struct se_x11 x11;
	int code = se_x11_open(&x11, address);
	int vendor;

	memset(out, 0, sizeof *out);
	if (code < 0)
		return code;
	vendor = xcb_setup_vendor_length(x11.setup);
	snprintf(out->vendor, sizeof out->vendor, "%.*s", vendor, xcb_setup_vendor(x11.setup));
	out->width = x11.screen->width_in_pixels;
	out->height = x11.screen->height_in_pixels;
	out->depth = x11.screen->root_depth;
	out->pixels_usable = se_x11_check_pixels(&x11) == 0;
	probe_shm_version(&x11, &out->shm);
	PROBE_VERSION(&x11, xcb_damage_id, xcb_damage_query_version, 1, 1, &out->damage);
	PROBE_VERSION(&x11, xcb_xfixes_id, xcb_xfixes_query_version, 4, 0, &out->xfixes);
	PROBE_VERSION(&x11, xcb_randr_id, xcb_randr_query_version, 1, 5, &out->randr);
	PROBE_VERSION(&x11, xcb_test_id, xcb_test_get_version, 2, 2, &out->xtest);
	probe_memory(&x11, out);
	probe_monitors(&x11, out);
	code = se_x11_alive(&x11);
	se_x11_close(&x11);
	return code;
}
