/* pixel.c - whether vectorised kernels are used. */
#include "pixel.h"

static bool portable_only;

void se_pixel_use_portable(bool portable)
{
	portable_only = portable;
}

bool se_pixel_portable(void)
{
	return portable_only;
}

bool se_pixel_avx2(void)
{
#if HAVE_AVX2_KERNEL
	return !portable_only && __builtin_cpu_supports("avx2");
#else
	return false;
#endif
}
