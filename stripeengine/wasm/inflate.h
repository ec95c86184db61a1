/* inflate.h - raw deflate (RFC 1951) from memory to memory, for bytes from strangers.
 *
 * Pure function, no allocation, nothing blocks, any thread. Never reads or writes outside what it is given. Its time grows with the
 * bytes it is given and the bytes it may write, never with what the stream claims.
 */
#ifndef SE_INFLATE_H
#define SE_INFLATE_H

#include <stddef.h>
#include <stdint.h>

enum se_inflate_error {
	SE_INFLATE_OK = 0,
	SE_INFLATE_INVALID = -1, /* not deflate */
	SE_INFLATE_EARLY = -2,   /* the stream ends early */
	SE_INFLATE_LATE = -3,    /* bytes follow the stream */
	SE_INFLATE_LONG = -4,    /* inflates to more than `out_size` bytes */
	SE_INFLATE_SHORT = -5,   /* inflates to fewer */
};

/* Inflates all of `in` to exactly `out_size` bytes. Returns a se_inflate_error; after one, `out` holds anything. */
int se_inflate(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size);

#endif
