/* x11_liar.h - an X server for fuzzing: it answers each request of the engine as a server would, changed as a script says.
 *
 * One thread for each connection, which begins with x11_liar_begin and ends with the client or with x11_liar_end. What a client
 * would wait for in vain ends the connection, so nothing hangs.
 */
#ifndef X11_LIAR_H
#define X11_LIAR_H

#include "fuzz.h"

/* Path of the socket it listens on; made by the first call and removed at exit. */
const char *x11_liar_socket(void);

/* Serves the next connection by this script. */
void x11_liar_begin(struct fuzz_input *script);

/* Waits until that connection has ended. Call once the client is done, even if it never connected. */
void x11_liar_end(void);

#endif
