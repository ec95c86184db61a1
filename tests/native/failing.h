/* failing.h - calls of the C core that fail when a test says so; the Makefile wraps them.
 *
 * Memory and whatever libraries make out of memory (compressors, pictures, encoders) count together, codec runs on their own. Only
 * calls of the core and the tests are counted: the libraries keep the real ones. Any thread.
 */
#ifndef FAILING_H
#define FAILING_H

#include <stdbool.h>

/* Every `memory`-th request for memory and every `codec`-th encoding fails from now on; 0: none. */
void failing_every(int memory, int codec);

/* The n-th request for memory from now on fails, and no other; 0: none. */
void failing_at(unsigned n);

/* True if the request last named by failing_at has come. */
bool failing_reached(void);

/* While true nothing fails on this thread, and nothing is counted: for a test's own memory. */
void failing_spare(bool spare);

#endif
