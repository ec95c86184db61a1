/* encoder_jpeg.c - JPEG through libjpeg-turbo's TurboJPEG interface (2.1). */
#include "encoder_jpeg.h"

#include <pthread.h>
#include <turbojpeg.h>

static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void destroy(void *handle)
{
	tjDestroy(handle);
}

static void prepare(void)
{
	key_error = pthread_key_create(&key, destroy);
}

static tjhandle compressor(void)
{
	tjhandle handle;

	pthread_once(&prepared, prepare);
	if (key_error)
		return NULL;
	handle = pthread_getspecific(key);
	if (handle)
		return handle;
	handle = tjInitCompress();
	if (handle && pthread_setspecific(key, handle) != 0) {
		tjDestroy(handle);
		return NULL;
	}
	return handle;
}

int se_jpeg_encode(const uint8_t *bgrx, size_t stride, int w, int h, int chroma, int quality, struct se_buffer *out)
{
	int sampling = chroma == 444 ? TJSAMP_444 : TJSAMP_420, code;
	unsigned long bound = tjBufSize(w, h, sampling), size;
	tjhandle handle = compressor();

	if (!handle)
		return se_error_set(SE_E_NOMEM, "out of memory: a JPEG compressor");
	if (bound == (unsigned long)-1)
		return se_error_set(SE_E_ENCODER, "libjpeg-turbo refuses a picture of %dx%d pixels", w, h);
	code = se_buffer_reserve(out, bound);
	if (code < 0)
		return code;
	size = bound;
	if (tjCompress2(handle, bgrx, w, (int)stride, h, TJPF_BGRX, &out->data, &size, sampling, quality,
	                TJFLAG_NOREALLOC) != 0)
		return se_error_set(SE_E_ENCODER, "libjpeg-turbo failed: %s", tjGetErrorStr2(handle));
	out->size = size;
	return SE_OK;
}

static void average(const uint8_t *square, size_t stride, int w, int h, uint8_t *out)
{
	unsigned sums[3] = { 0, 0, 0 }, count = (unsigned)(w * h);

	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			for (int i = 0; i < 3; i++)
				sums[i] += square[(size_t)y * stride + (size_t)x * 4 + (size_t)i];
	for (int i = 0; i < 3; i++)
		out[i] = (uint8_t)((sums[i] + count / 2) / count);
	out[3] = 0;
}

int se_jpeg_shrink(const uint8_t *bgrx, size_t stride, int w, int h, int shrink, struct se_buffer *out)
{
	int columns = (w + shrink - 1) / shrink, rows = (h + shrink - 1) / shrink;
	size_t size = (size_t)columns * (size_t)rows * 4;
	int code = se_buffer_reserve(out, size);

	if (code < 0)
		return code;
	for (int row = 0; row < rows; row++) {
		const uint8_t *from = bgrx + (size_t)row * (size_t)shrink * stride;
		uint8_t *to = out->data + (size_t)row * (size_t)columns * 4;
		int high = h - row * shrink < shrink ? h - row * shrink : shrink;

		for (int column = 0; column < columns; column++) {
			int wide = w - column * shrink < shrink ? w - column * shrink : shrink;

			average(from + (size_t)column * (size_t)shrink * 4, stride, wide, high, to + (size_t)column * 4);
		}
	}
	out->size = size;
	return SE_OK;
}
