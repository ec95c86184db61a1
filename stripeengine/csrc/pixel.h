/* pixel.h - what the vectorised kernels share: which bits of a BGRX pixel are colour, whether AVX2 code can be compiled, and
 * whether the processor has it. */
#ifndef SE_PIXEL_H
#define SE_PIXEL_H

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAVE_AVX2_KERNEL 1
#include <immintrin.h>
#else
#define HAVE_AVX2_KERNEL 0
#endif

#include <stdbool.h>

/* True if AVX2 kernels may be called. */
bool se_pixel_avx2(void);

/* True if no vectorised kernel is to be called, of whatever kind. */
bool se_pixel_portable(void);

/* Switches all of them off for comparison with their portable twins in tests; not for use while engines run. */
void se_pixel_use_portable(bool portable);

/* Of a pixel read as one 32-bit number. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define COLOUR_MASK 0x00ffffffu
#else
#define COLOUR_MASK 0xffffff00u
#endif

#endif
