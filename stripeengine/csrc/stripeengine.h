/* stripeengine.h - the one public header of the engine.
 *
 * The declarations live in decl*.h, which cffi parses as well (see _build.py).
 */
#ifndef STRIPEENGINE_H
#define STRIPEENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "decl.h"

#if __has_include("decl_x11.h")
#include "decl_x11.h"
#endif

#endif
