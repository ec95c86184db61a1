/* fuzz.h - what the libFuzzer targets share: reading a bounded input, and seeds made by code.
 *
 * A target defines LLVMFuzzerTestOneInput and fuzz_seed. Inputs are scripts: bytes that run out read as 0, so any input is valid.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../check.h"

struct fuzz_input {
	const uint8_t *data;
	size_t size, at;
};

static inline bool fuzz_ended(const struct fuzz_input *self)
{
	return self->at >= self->size;
}

static inline uint8_t fuzz_byte(struct fuzz_input *self)
{
	return self->at < self->size ? self->data[self->at++] : 0;
}

static inline int fuzz_short(struct fuzz_input *self)
{
	int low = fuzz_byte(self);

	return (int16_t)(low | fuzz_byte(self) << 8);
}

static inline int fuzz_int(struct fuzz_input *self)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value << 8 | fuzz_byte(self);
	return (int)value;
}

/* low … high, from one byte if that is enough. */
static inline int fuzz_between(struct fuzz_input *self, int low, int high)
{
	unsigned range = (unsigned)(high - low) + 1, value = fuzz_byte(self);

	if (range > 256)
		value |= (unsigned)fuzz_byte(self) << 8;
	return low + (int)(value % range);
}

/* Writes seed `number` and returns its size, 0 when there are no more. */
size_t fuzz_seed(unsigned number, uint8_t *out, size_t capacity);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
