/* failing.c - calls of the C core that fail when a test says so. */
#include "failing.h"

#include <libdeflate.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <turbojpeg.h>

static atomic_int memory_one_in, codec_one_in; /* 0: none */
static atomic_uint memory_calls, codec_calls;
static atomic_uint countdown; /* of failing_at; 0: none, or reached */
static atomic_bool reached;
static _Thread_local bool spared;

void failing_every(int memory, int codec)
{
	atomic_store(&memory_one_in, memory);
	atomic_store(&codec_one_in, codec);
}

void failing_at(unsigned n)
{
	if (n > 0)
		atomic_store(&reached, false);
	atomic_store(&countdown, n);
}

bool failing_reached(void)
{
	return atomic_load(&reached);
}

void failing_spare(bool spare)
{
	spared = spare;
}

/* The gaps grow by one, four times over: a frame that takes just so many calls shall not fail at the same one each time. */
static bool is_turn(atomic_int *one_in, atomic_uint *calls)
{
	unsigned every = (unsigned)atomic_load(one_in), call;

	if (every <= 1 || spared)
		return every == 1 && !spared;
	call = atomic_fetch_add(calls, 1) % (4 * every + 6) + 1;
	return call == every || call == 2 * every + 1 || call == 3 * every + 3 || call == 4 * every + 6;
}

static bool memory_fails(void)
{
	unsigned left = spared ? 0 : atomic_load(&countdown);

	while (left > 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1))
		;
	if (left == 1) {
		atomic_store(&reached, true);
		return true;
	}
	return is_turn(&memory_one_in, &memory_calls);
}

static bool codec_fails(void)
{
	return is_turn(&codec_one_in, &codec_calls);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
tjhandle __real_tjInitCompress(void);
struct libdeflate_compressor *__real_libdeflate_alloc_compressor(int level);
int __real_tjCompress2(tjhandle handle, const unsigned char *pixels, int width, int pitch, int height, int format,
                       unsigned char **jpeg, unsigned long *size, int sampling, int quality, int flags);

void *__wrap_malloc(size_t size)
{
	return memory_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return memory_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return memory_fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return memory_fails() ? NULL : __real_aligned_alloc(alignment, size);
}

tjhandle __wrap_tjInitCompress(void)
{
	return memory_fails() ? NULL : __real_tjInitCompress();
}

struct libdeflate_compressor *__wrap_libdeflate_alloc_compressor(int level)
{
	return memory_fails() ? NULL : __real_libdeflate_alloc_compressor(level);
}

int __wrap_tjCompress2(tjhandle handle, const unsigned char *pixels, int width, int pitch, int height, int format,
                       unsigned char **jpeg, unsigned long *size, int sampling, int quality, int flags)
{
	if (codec_fails())
		return -1;
	return __real_tjCompress2(handle, pixels, width, pitch, height, format, jpeg, size, sampling, quality, flags);
}

#if SE_WITH_X264
#include <stdint.h>
#include <x264.h>

/* x264.h puts its build number into the name of the function that opens an encoder. */
#define PASTE_NOW(a, b) a##b
#define PASTE(a, b) PASTE_NOW(a, b)
#define REAL_OPEN PASTE(__real_, x264_encoder_open)
#define WRAP_OPEN PASTE(__wrap_, x264_encoder_open)

x264_t *REAL_OPEN(x264_param_t *parameters);
int __real_x264_picture_alloc(x264_picture_t *picture, int csp, int width, int height);
int __real_x264_encoder_encode(x264_t *encoder, x264_nal_t **units, int *count, x264_picture_t *in, x264_picture_t *out);

x264_t *WRAP_OPEN(x264_param_t *parameters)
{
	return memory_fails() ? NULL : REAL_OPEN(parameters);
}

int __wrap_x264_picture_alloc(x264_picture_t *picture, int csp, int width, int height)
{
	return memory_fails() ? -1 : __real_x264_picture_alloc(picture, csp, width, height);
}

int __wrap_x264_encoder_encode(x264_t *encoder, x264_nal_t **units, int *count, x264_picture_t *in, x264_picture_t *out)
{
	return codec_fails() ? -1 : __real_x264_encoder_encode(encoder, units, count, in, out);
}
#endif
