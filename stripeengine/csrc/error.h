/* error.h - how a failing function tells its code and its reason.
 *
 * The text is kept per thread, so no lock is needed and threads do not overwrite each other's.
 */
#ifndef SE_ERROR_H
#define SE_ERROR_H

#include "stripeengine.h"

#if defined(__GNUC__)
#define SE_PRINTF(string, first) __attribute__((format(printf, string, first)))
#else
#define SE_PRINTF(string, first)
#endif

/* Stores the text (name the cause and, where there is one, the remedy) and returns `code`. */
int se_error_set(int code, const char *format, ...) SE_PRINTF(2, 3);

/* As se_error_set with SE_E_SYSTEM, followed by ": " and the text of errno. */
int se_error_system(const char *format, ...) SE_PRINTF(1, 2);

#endif
