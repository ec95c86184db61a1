/* buffer.h - a byte buffer that grows and is used again. Owned by whoever holds it; no threads. */
#ifndef SE_BUFFER_H
#define SE_BUFFER_H

#include <stdlib.h>

#include "error.h"

struct se_buffer {
	uint8_t *data;
	size_t size, capacity;
};

/* Makes room for `capacity` bytes; what was in the buffer is lost. */
static inline int se_buffer_reserve(struct se_buffer *self, size_t capacity)
{
	self->size = 0;
	if (capacity <= self->capacity)
		return SE_OK;
	free(self->data);
	self->capacity = 0;
	self->data = malloc(capacity);
	if (!self->data)
		return se_error_set(SE_E_NOMEM, "out of memory: %zu bytes for an encoded picture", capacity);
	self->capacity = capacity;
	return SE_OK;
}

static inline void se_buffer_free(struct se_buffer *self)
{
	free(self->data);
	*self = (struct se_buffer){ NULL, 0, 0 };
}

#endif
