/* error.c - the last error of each thread. Nothing blocks, nothing is shared. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[512] = "no error";

const char *se_error_message(void)
{
	return message;
}

int se_error_set(int code, const char *format, ...)
{
	char text[sizeof message]; /* an argument may be the message there is */
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	memcpy(message, text, strlen(text) + 1);
	return code;
}

/* Two libraries, two contracts under one name: glibc returns the text and may leave the buffer alone, others fill the
 * buffer and return a number. */
static const char *reason_of(int cause, char *buffer, size_t size)
{
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
	return strerror_r(cause, buffer, size);
#else
	if (strerror_r(cause, buffer, size) != 0)
		snprintf(buffer, size, "error %d", cause);
	return buffer;
#endif
}

int se_error_system(const char *format, ...)
{
	int cause = errno;
	va_list arguments;
	char text[sizeof message], reason[128];

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return se_error_set(SE_E_SYSTEM, "%.350s: %s", text, reason_of(cause, reason, sizeof reason));
}
