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
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	return code;
}

int se_error_system(const char *format, ...)
{
	int cause = errno;
	va_list arguments;
	char reason[128];
	size_t used;

	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	if (strerror_r(cause, reason, sizeof reason) != 0)
		snprintf(reason, sizeof reason, "error %d", cause);
	used = strlen(message);
	snprintf(message + used, sizeof message - used, ": %s", reason);
	return SE_E_SYSTEM;
}
